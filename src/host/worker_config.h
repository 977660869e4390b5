/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker is told, as bytes. They reach it in a memory file: values of --env may be secrets, and the arguments
 * of a process can be read by everybody on the machine. Reader and writer are the same program, so the format needs no
 * versions; a reader still checks every length. */
#pragma once

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/worker.h"

/* Descriptors of a worker, by number. */
enum {
    WISP_WORKER_FD_CONTROL = 3,
    WISP_WORKER_FD_CONFIG,
    /* Of `wisp run`. */
    WISP_WORKER_FD_COMPONENT,
    WISP_WORKER_FD_LISTENER,
    WISP_WORKER_FD_FIRST_DIR,
    /* Of a host. */
    WISP_WORKER_FD_ORDERS = WISP_WORKER_FD_COMPONENT,
    WISP_WORKER_FD_FIRST_SHARED, /* wisp_shared_fds, in their order */
};

struct wisp_worker_config {
    struct wisp_worker_options options; /* descriptors and their arrays are not part of the bytes, their numbers are */
    enum wisp_log_level log_level;
    enum wisp_log_format log_format;
};

void wisp_worker_config_encode(const struct wisp_worker_config *config, struct wisp_buf *bytes);
/* Everything that the result points to is in the arena. INVALID for bytes that encode did not make. */
int wisp_worker_config_decode(struct wisp_arena *arena, struct wisp_str bytes, struct wisp_worker_config *ret_config,
                              struct wisp_err *err) __attribute__((warn_unused_result));

/* The whole life of a worker process; the exit code. Its descriptors are those above. */
int wisp_worker_process_main(void);
