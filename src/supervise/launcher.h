/* SPDX-License-Identifier: Apache-2.0 */
/* A supervisor in the real world: libuv's loop and clock, child processes of this process. */
#pragma once

#include "supervise/supervisor.h"

#include <uv.h>

struct wisp_launcher;
/* Raises this process's limit of descriptors as far as it may: children need some each. Belongs to the loop's thread,
 * which must live as long as the program: see process.h. */
int wisp_launcher_new(struct wisp_launcher **ret_launcher, uv_loop_t *loop, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* The supervisor must be idle. The memory goes when the loop has run once more. NULL is fine. */
void wisp_launcher_free(struct wisp_launcher *launcher);
struct wisp_supervisor *wisp_launcher_supervisor(struct wisp_launcher *launcher);
