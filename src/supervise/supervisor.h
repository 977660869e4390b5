/* SPDX-License-Identifier: Apache-2.0 */
/* A set of supervised children: their lifecycles, what they say, and the log of what happens to them.
 *
 * A child may have a control channel on which both sides write lines:
 *
 *     child → parent    "ready[ TEXT]"       it does its work now
 *                       "failed KIND TEXT"   it can't start; KIND as wisp_err_name has it, TEXT for people
 *     parent → child    "drain"              finish what is in flight and end
 *     end of file       the parent is gone, or wants it gone
 *
 * A child without one counts as ready when its program runs, and is asked to finish by SIGTERM.
 *
 * Captured output goes to the log line by line, with the child's name as scope. Of a child that writes more than a few
 * hundred lines a second the rest is counted only; it is never kept waiting.
 *
 * Clock, timer and processes come from outside (struct wisp_supervisor_world), so that hundreds of children can be
 * simulated on a virtual clock; launcher.h has the real ones. One thread. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "supervise/lifecycle.h"

#include <sys/types.h>

struct wisp_supervisor;
struct wisp_child;
struct wisp_process_spec;

/* --- one child --- */

/* A process that ended. */
struct wisp_child_exit {
    pid_t pid;
    int wait_status; /* of waitpid(2) */
    uint64_t ran_ms;
    bool was_ready;
    /* What it said with "failed"; kind NONE when it said nothing of the kind. */
    struct wisp_err failure;
    const char *reason; /* why it was killed: as given to wisp_child_hang, or for want of memory; NULL: it wasn't */
};

/* What the owner is asked and told. Any may be NULL. They may call the functions below, also for this child, but not
 * free anything. */
struct wisp_child_handler {
    /* Just before each start: says what to run. What `spec` points to must live until the next start. */
    int (*prepare)(struct wisp_child *child, struct wisp_process_spec *spec, void *env, struct wisp_err *err);
    /* After every change of state. */
    void (*on_state)(struct wisp_child *child, void *env);
    /* The process ended, the state is still the one it ended in. False: don't start it again. */
    bool (*on_exit)(struct wisp_child *child, const struct wisp_child_exit *exit, void *env);
    /* What follows "ready" on the control channel; empty without one. */
    void (*on_ready)(struct wisp_child *child, struct wisp_str text, void *env);
    /* After on_exit: failures, pause and state are what follows from the exit. Not the place to want something else of
     * this child. */
    void (*on_ended)(struct wisp_child *child, const struct wisp_child_exit *exit, void *env);
    /* With the policy `is_held`: its next start waits for wisp_child_release. */
    void (*on_due)(struct wisp_child *child, void *env);
};

struct wisp_child_options {
    const char *name;                    /* "worker 1"; copied */
    const char *running;                 /* what it runs, for the log: "hello.wasm"; copied */
    struct wisp_lifecycle_policy policy; /* zeros: defaults */
    struct wisp_child_handler handler;
    void *env;
};

/* Not started yet. Lives as long as the supervisor. */
struct wisp_child *wisp_child_add(struct wisp_supervisor *supervisor, const struct wisp_child_options *options);
/* What the owner wants, at any time; see lifecycle.h for what it means in each state. */
void wisp_child_start(struct wisp_child *child);
void wisp_child_stop(struct wisp_child *child);
void wisp_child_kill(struct wisp_child *child);
/* What was due is prepared. */
void wisp_child_release(struct wisp_child *child);
/* It does nothing any more: killed and started again, like one that died. `reason` is for the log and on_exit. */
void wisp_child_hang(struct wisp_child *child, const char *reason);

enum wisp_lifecycle_state wisp_child_state(const struct wisp_child *child);
pid_t wisp_child_pid(const struct wisp_child *child); /* 0 when there is no process (yet) */
/* When it will be started again, in ms from now; only in BACKOFF. */
uint64_t wisp_child_pause_ms(const struct wisp_child *child);
/* Deaths in a row, and whether they are more than the policy takes. */
uint32_t wisp_child_failures(const struct wisp_child *child);
bool wisp_child_is_failed(const struct wisp_child *child);
/* Why it could not be started the last time it was tried, or what it said with "failed"; kind NONE: neither. */
const struct wisp_err *wisp_child_failure(const struct wisp_child *child);
/* The last lines of its captured output, oldest first, each cut to some 200 bytes; from on_exit and on_ended. Returns
 * how many. */
size_t wisp_child_last_output(const struct wisp_child *child, struct wisp_str *ret_lines, size_t max);
/* Calls the owner's prepare; for worlds. */
int wisp_child_prepare(struct wisp_child *child, struct wisp_process_spec *spec, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* --- all of them --- */

/* What became of a spawn: the program runs, or it can't be run. Told by the world. */
void wisp_child_started(struct wisp_child *child, pid_t pid);
void wisp_child_unstartable(struct wisp_child *child, const struct wisp_err *err);
/* What a process did. Told by the world. */
void wisp_child_said(struct wisp_child *child, struct wisp_str line);    /* a line of the control channel */
void wisp_child_printed(struct wisp_child *child, struct wisp_str line); /* a line of captured output */
void wisp_child_ran_out(struct wisp_child *child, uint64_t limit_bytes); /* of memory, and so it is killed */
void wisp_child_exited(struct wisp_child *child, int wait_status);

/* How a child's process is reached. */
struct wisp_child_process {
    void *handle;     /* the world's own */
    bool has_control; /* else it counts as ready as soon as it runs */
};

/* The outside of a supervisor. */
struct wisp_supervisor_world {
    uint64_t (*now_ms)(void *env); /* never goes back */
    /* Call wisp_supervisor_tick at this time; 0: no need to. Replaces what was said before. */
    void (*wake_at)(void *env, uint64_t at_ms);
    /* When it succeeds, wisp_child_started or wisp_child_unstartable follows, not before it has returned. A process
     * that is signalled before that need not be started at all. */
    int (*spawn)(void *env, struct wisp_child *child, struct wisp_child_process *ret_process, struct wisp_err *err);
    /* Only for a process that has_control. */
    void (*tell)(void *env, void *handle, const char *line);
    void (*signal)(void *env, void *handle, int signal_number);
};

/* `world` is borrowed. `seed` makes the jitter of pauses. */
struct wisp_supervisor *wisp_supervisor_new(const struct wisp_supervisor_world *world, void *env, uint64_t seed)
    __attribute__((returns_nonnull));
/* No child may have a process. NULL is fine. */
void wisp_supervisor_free(struct wisp_supervisor *supervisor);
void wisp_supervisor_tick(struct wisp_supervisor *supervisor);
void wisp_supervisor_stop_all(struct wisp_supervisor *supervisor);
void wisp_supervisor_kill_all(struct wisp_supervisor *supervisor);
/* Every child is DOWN. */
bool wisp_supervisor_is_idle(const struct wisp_supervisor *supervisor);
