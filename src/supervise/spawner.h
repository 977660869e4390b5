/* SPDX-License-Identifier: Apache-2.0 */
/* A thread in which processes are made, one after another, so that the loop never waits until a child has had its turn
 * to call execve: on a busy machine that is milliseconds for each. Private to this folder. */
#pragma once

#include "base/ring.h"
#include "supervise/spawn.h"

#include <stdatomic.h>

/* A process to be made. Embedded in what is told of it. */
struct wisp_spawn_job {
    struct wisp_spawn *spawn;
    /* From the loop, once. `pid` is the process, or negative: why there is none. */
    void (*on_done)(struct wisp_spawn_job *job, int pid, const struct wisp_err *err);
    atomic_bool is_cancelled; /* may be set at any time: not to be made, if it isn't yet */
    /* The spawner's business. */
    struct wisp_link link;
    int pid;
    struct wisp_err err;
};

struct wisp_spawner;
int wisp_spawner_new(struct wisp_spawner **ret_spawner, uv_loop_t *loop, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* There may be no jobs. Children that may not outlive us die with its thread. The memory goes when the loop has run
 * once more. NULL is fine. */
void wisp_spawner_free(struct wisp_spawner *spawner);
void wisp_spawner_add(struct wisp_spawner *spawner, struct wisp_spawn_job *job);
