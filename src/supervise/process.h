/* SPDX-License-Identifier: Apache-2.0 */
/* One child process: a program with its descriptors, spawned, watched, signalled.
 *
 *     parent                                   child
 *     control channel (socket pair)   ◄────►   descriptor `control_as`: lines both ways
 *     captured output (pipe)          ◄─────   1 and 2
 *     pidfd: readable when it is gone
 *
 * The child has a process group of its own, no descriptors but those it was given, default signal dispositions, and is
 * killed by the kernel when the thread that spawned it ends, however that comes about (unless it may outlive us): so
 * spawn from a thread that lives as long as the program does, which a spawner's does. One loop, one thread. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>
#include <uv.h>

enum {
    WISP_PROCESS_LINE_MAX = 4096, /* longer lines of a child arrive in pieces of this size */
    WISP_PROCESS_FDS_MAX = 320,   /* a host's worker has one for each other worker */
};

/* The parent's `fd` is the child's `as`. */
struct wisp_process_fd {
    int fd, as;
};

/* Everything is borrowed for the length of the call that spawns. */
struct wisp_process_spec {
    const char *path;        /* NULL: this very program, even if its file was replaced meanwhile */
    const char *const *argv; /* ends with NULL */
    const char *const *env;  /* ends with NULL; NULL: the parent's */
    const struct wisp_process_fd *fds;
    size_t n_fds;
    int control_as;       /* the child's end of the control channel; 0: there is none */
    bool capture_output;  /* 1 and 2 come to on_output; otherwise they are the parent's. 0 is /dev/null */
    bool outlives_parent; /* when the parent dies, the child is left alone: it sees the end of its control channel */
    /* What it forks ends with it, in sessions of its own too: by a control group where that is possible (cgroup.h),
     * else those processes are found by a mark among their limits, or by a variable in their environment. */
    bool is_contained;
    const struct wisp_confine *confine; /* NULL: it may do what we may */
};

/* Called from the loop only. Lines come without their end. Any may be NULL but on_exit, and on_started and on_failed of
 * what a spawner makes. */
struct wisp_process_handler {
    void (*on_line)(void *env, struct wisp_str line);   /* from the control channel */
    void (*on_output)(void *env, struct wisp_str line); /* of standard output and standard error, as they come */
    /* The process is gone and reaped, and all that it wrote has been handed over. What a contained one forked is gone
     * too, unless the kernel can't end it within two seconds. The status is that of waitpid(2). The last call: the
     * struct is freed after it. */
    void (*on_exit)(void *env, int wait_status);
    /* Before on_exit: the kernel killed it because it, with all that it forked, wanted more memory than this limit. */
    void (*on_out_of_memory)(void *env, uint64_t limit_bytes);
    /* Of a process that a spawner makes, one of them, before anything else: the program runs; or it can't be run, and
     * then this is the last call. */
    void (*on_started)(void *env, pid_t pid);
    void (*on_failed)(void *env, const struct wisp_err *err);
};

struct wisp_process;
struct wisp_spawner; /* spawner.h */

/* Returns when the new program runs: a program that can't be executed is an error of this call. */
int wisp_process_new(struct wisp_process **ret_process, uv_loop_t *loop, const struct wisp_process_spec *spec,
                     const struct wisp_process_handler *handler, void *env, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* Returns at once; on_started or on_failed follows. What it is told or sent before that arrives after it, but for
 * SIGTERM and SIGKILL: then it is not started, if that is still possible. */
int wisp_process_start(struct wisp_process **ret_process, struct wisp_spawner *spawner, uv_loop_t *loop,
                       const struct wisp_process_spec *spec, const struct wisp_process_handler *handler, void *env,
                       struct wisp_err *err) __attribute__((warn_unused_result));

pid_t wisp_process_pid(const struct wisp_process *process); /* 0: it is not started yet */
bool wisp_process_has_control(const struct wisp_process *process);
/* Sends a line (without its end) on the control channel. A child that doesn't listen or is gone is no error. */
void wisp_process_tell(struct wisp_process *process, const char *line);
/* SIGKILL goes to the whole process group (and everything that a contained one forked), everything else to the process
 * alone. */
void wisp_process_signal(struct wisp_process *process, int signal_number);
