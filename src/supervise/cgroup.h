/* SPDX-License-Identifier: Apache-2.0 */
/* A control group (v2) of one child's own, below that of this process: whatever the child forks is in it and can be
 * killed with it, in sessions of its own too; and it can be limited. Needs the right to make directories there: root, a
 * container of its own, or a systemd service with `Delegate=yes`. To limit memory or processor time the host itself
 * must be in a group below: `DelegateSubgroup=wisp-host`. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
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
/* SIGKILL for all that are in it, and in groups that they have made below it. They end in their own time. */
void wisp_cgroup_kill(struct wisp_cgroup *cgroup);
bool wisp_cgroup_is_empty(struct wisp_cgroup *cgroup);
/* POLLPRI on this descriptor says that it may be empty now, if it was not when it was last asked; borrowed, -1: none.
 */
int wisp_cgroup_changes(struct wisp_cgroup *cgroup);
/* Whether the kernel has killed in it because it was at its limit of memory. */
bool wisp_cgroup_ran_out(const struct wisp_cgroup *cgroup);
/* Removes it if it is empty, with the groups below it; otherwise a later call for another one does. NULL is fine. */
void wisp_cgroup_free(struct wisp_cgroup *cgroup);
/* Kills what processes that are gone have left behind in groups below ours, and removes those groups; waits for a
 * second at most. To be called before the first one is made. */
void wisp_cgroup_sweep(void);
