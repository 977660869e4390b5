/* SPDX-License-Identifier: Apache-2.0 */
/* A process made of a program, done right once. Private to this folder: process.h is what others use. */
#pragma once

#include "supervise/process.h"

/* All that a new process needs, laid out before there is one: making it is then a matter of system calls. */
struct wisp_spawn;

/* Copies what `spec` points to, and has descriptors of its own for those in it. `group_fd` is the entrance of its
 * control group (borrowed until it is freed; -1: ours), `marker` one more variable of its environment (NULL: none). */
int wisp_spawn_new(struct wisp_spawn **ret_spawn, const struct wisp_process_spec *spec, int group_fd,
                   const char *marker, struct wisp_err *err) __attribute__((warn_unused_result));
/* NULL is fine. */
void wisp_spawn_free(struct wisp_spawn *spawn);

/* Blocks until the child has called execve: a millisecond, or as long as it takes until the child has its turn. Once;
 * from any thread, but with its end the kernel kills the child, unless it may outlive us. Returns its pid. */
int wisp_spawn_run(struct wisp_spawn *spawn, struct wisp_err *err) __attribute__((warn_unused_result));

/* Our ends of the control channel and of its output, non-blocking; -1: there is none. The caller owns them. */
int wisp_spawn_take_control(struct wisp_spawn *spawn);
int wisp_spawn_take_output(struct wisp_spawn *spawn);
