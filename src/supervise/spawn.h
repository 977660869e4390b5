/* SPDX-License-Identifier: Apache-2.0 */
/* fork and exec, done right once. Private to this folder: process.h is what others use. */
#pragma once

#include "supervise/process.h"

struct wisp_spawned {
    pid_t pid;
    int control_fd; /* our end of the control channel, non-blocking; -1: none */
    int output_fd;  /* what the child writes to 1 and 2, non-blocking; -1: not captured */
};

/* Blocks until the child has called execve: some milliseconds. The caller owns pid and descriptors. `group_fd` is the
 * entrance of its control group; -1: ours. */
int wisp_spawn(struct wisp_spawned *ret_spawned, const struct wisp_process_spec *spec, int group_fd,
               struct wisp_err *err) __attribute__((warn_unused_result));
