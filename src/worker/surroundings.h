/* SPDX-License-Identifier: Apache-2.0 */
/* What the instances of a component may see of the outside. */
#pragma once

#include "base/arena.h"
#include "wasi/wasi.h"
#include "worker/worker.h"

/* Zeroed is a valid empty one. */
struct wisp_surroundings {
    struct wisp_wasi_config config; /* its standard streams are for the caller to fill */
    struct wisp_arena arena;
};

/* Opens the directories. `what` is borrowed; `surroundings` is to be deinited in any case. */
int wisp_surroundings_init(struct wisp_surroundings *surroundings, const struct wisp_worker_component *what,
                           struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_surroundings_deinit(struct wisp_surroundings *surroundings);
