/* SPDX-License-Identifier: Apache-2.0 */
/* A process made of a program, done right once. Private to this folder: process.h is what others use. */
#pragma once

#include "supervise/process.h"

/* All that a new process needs, laid out before there is one: making it is then a matter of system calls. */
struct wisp_spawn;

/* How it is held together, beside what its owner asked for. */
struct wisp_spawn_bounds {
    int group_fd;        /* entrance of its control group; borrowed until it is freed; -1: none of its own */
    const char *marker;  /* one more variable of its environment; NULL: none */
    uint64_t mark;       /* its RLIMIT_LOCKS, if that can be set; 0: as ours */
    uint64_t data_bytes; /* its RLIMIT_DATA; 0: as ours */
};

/* Copies what `spec` points to, and has descriptors of its own for those in it. */
int wisp_spawn_new(struct wisp_spawn **ret_spawn, const struct wisp_process_spec *spec,
                   const struct wisp_spawn_bounds *bounds, struct wisp_err *err) __attribute__((warn_unused_result));
/* NULL is fine. */
void wisp_spawn_free(struct wisp_spawn *spawn);

/* As many descriptors for this process, and those that run this very program, as it may have; other programs get what
 * it had, since some look at each. Again: nothing happens. */
void wisp_spawn_take_all_descriptors(void);

/* Blocks until the child has called execve: a millisecond, or as long as it takes until the child has its turn. Once;
 * from any thread, but with its end the kernel kills the child, unless it may outlive us. Returns its pid. */
int wisp_spawn_run(struct wisp_spawn *spawn, struct wisp_err *err) __attribute__((warn_unused_result));

/* Our ends of the control channel and of its output, non-blocking; -1: there is none. The caller owns them. */
int wisp_spawn_take_control(struct wisp_spawn *spawn);
int wisp_spawn_take_output(struct wisp_spawn *spawn);
