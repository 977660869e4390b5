/* SPDX-License-Identifier: Apache-2.0 */
/* A control group (v2) of one child's own, below that of this process: whatever the child forks is in it and can be
 * killed with it, in sessions of its own too; and it can be limited. Needs the right to make directories there: root, a
 * container of its own, or a systemd service with `Delegate=yes`. To limit memory or processor time the host itself
 * must be in a group below: `DelegateSubgroup=wisp-host`. */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct wisp_cgroup;

struct wisp_cgroup_limits {
    uint64_t memory_bytes, cpu_us; /* per 100 ms; 0: none */
};

/* UNSUPPORTED when there is no cgroup v2 or it lacks what is needed for the limits, else what went wrong. */
int wisp_cgroup_new(struct wisp_cgroup **ret_cgroup, const struct wisp_cgroup_limits *limits, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* To be written "0" by the process that is to be in it; borrowed. */
int wisp_cgroup_entrance(const struct wisp_cgroup *cgroup);
/* SIGKILL for all that are in it. */
void wisp_cgroup_kill(struct wisp_cgroup *cgroup);
/* Removes it, now or later with another, since the dead leave it in their own time. NULL is fine. */
void wisp_cgroup_free(struct wisp_cgroup *cgroup);
/* Kills what processes that are gone have left behind in groups below ours. */
void wisp_cgroup_sweep(void);
