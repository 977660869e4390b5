/* SPDX-License-Identifier: Apache-2.0 */
/* The data plane: one process that answers HTTP requests with fresh instances of a component, on one loop and one
 * thread. Beside it, the one-shot sibling that runs a command component to its end.
 *
 * A worker is told everything at its start and talks to whoever started it over one descriptor, the control channel:
 *
 *     worker → parent   "ready\n"                it serves
 *                       "failed KIND TEXT\n"     it can't start, and trying again won't help; KIND as wisp_err_name
 *     parent → worker   "drain\n"                stop accepting, finish what is in flight, return
 *     end of file       the parent is gone: the worker returns at once
 *
 * SIGTERM drains as well, and a second one ends at once. SIGINT is ignored while there is a control channel, since a
 * terminal sends it to the whole process group and the parent decides; without a channel it is the same as SIGTERM. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

/* --- what to run --- */

struct wisp_worker_preopen {
    const char *host_path, *guest_path; /* "./data", "/data" */
    bool read_only;
};

struct wisp_worker_env {
    const char *name, *value;
};

/* Limits of one component within one worker. Zero stands for the default that is named here. All are enforced. */
struct wisp_worker_limits {
    uint64_t memory_bytes_max; /* linear memory of one instance; default: what the engine allows (4 GiB) */
    uint64_t timeout_ms;       /* wall time of one request, from its head to the last byte taken from the guest */
    uint32_t instances_max;    /* requests being answered at once */
    uint32_t queue_max;        /* requests that wait for an instance; UINT32_MAX: none, refused at once */
    uint64_t body_bytes_max;   /* of one request; more is answered with 413 */
};

enum {
    WISP_WORKER_TIMEOUT_MS = 30 * 1000,
    WISP_WORKER_INSTANCES_MAX = 1000,
    WISP_WORKER_QUEUE_MAX = 1000,
    WISP_WORKER_BODY_BYTES_MAX = 64 << 20,
    WISP_WORKER_DRAIN_MS = 30 * 1000, /* after it, requests still in flight are broken off */
    WISP_WORKER_EXIT_TRAP = 134,      /* exit code of a command that trapped: what a shell shows for SIGABRT */
    WISP_WORKER_EXIT_TIMEOUT = 124,   /* exit code of a command that ran out of time, as timeout(1) has it */
};

struct wisp_worker_component {
    const char *name; /* for the log; the guest's argument 0 */
    const char *path; /* a component, binary or text; must not change while it runs */
    const char *const *args; /* what follows the name */
    size_t n_args;
    const struct wisp_worker_env *env;
    size_t n_env;
    const struct wisp_worker_preopen *preopens;
    size_t n_preopens;
    struct wisp_worker_limits limits;
};

/* --- serving HTTP --- */

/* Everything is borrowed until wisp_worker_run returns. */
struct wisp_worker_options {
    struct wisp_worker_component component;
    const int *listen_fds; /* bound and listening sockets, taken over: closed when draining starts */
    size_t n_listen_fds;
    int control_fd;        /* connected stream socket or -1, taken over */
    uint32_t n_workers;    /* that share the machine's memory, this one included; 0: 1 */
    uint32_t drain_ms;     /* 0: WISP_WORKER_DRAIN_MS */
    const char *cache_dir; /* code cache, as in struct wisp_wasm_engine_options */
};

/* Since the worker's start. Written by the loop's thread only. */
#define WISP_WORKER_COUNTERS(X)                                                                    \
    X(requests, "requests whose head was complete and valid")                                      \
    X(answered, "requests that the component answered to the end")                                 \
    X(failed, "requests that the component did not answer to the end, for whatever reason")        \
    X(traps, "invocations that ended in a trap")                                                   \
    X(timeouts, "invocations ended by the wall deadline")                                          \
    X(no_response, "invocations that returned without setting a response, or before finishing it") \
    X(cancelled, "invocations ended because the client left")                                      \
    X(refused, "requests answered with 503: no instance free and the queue full, or no memory")    \
    X(queued, "requests that had to wait for an instance")                                         \
    X(suspensions, "times an invocation waited for the host")                                      \
    X(preemptions, "times an invocation used up its time slice")                                   \
    X(guest_ns, "time in invocations: guest code and the host functions it called")                \
    X(instances, "invocations alive now")                                                          \
    X(instances_peak, "most invocations ever alive at once")                                       \
    X(queue, "requests waiting for an instance now")

struct wisp_worker_counters {
#define X(name, help) uint64_t name;
    WISP_WORKER_COUNTERS(X)
#undef X
};

/* Loads the component, says that it is ready, and serves until it is drained or the parent is gone; then 0. Negative
 * when it can't start (also told on the control channel). Uses the calling thread, handles SIGTERM and SIGINT of the
 * process while it runs and ignores SIGPIPE from then on. It owns the requests, so it logs what goes wrong with them:
 * method and path, never the query, headers or bodies. */
int wisp_worker_run(const struct wisp_worker_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* --- running a command --- */

/* Runs a component that exports wasi:cli/run, once, with the descriptors 0, 1, 2 as its standard streams.
 *
 *     the component's run returned ok, error      0, 1
 *     wasi:cli/exit                               the code it gave
 *     trap                                        WISP_WORKER_EXIT_TRAP; message and backtrace on standard error
 *     limits.timeout_ms (0 here: none)            WISP_WORKER_EXIT_TIMEOUT, with a message
 *
 * SIGINT and SIGTERM have their default effect. Returns negative when the component can't be loaded; otherwise 0 and
 * *ret_exit_code. */
int wisp_worker_command_run(const struct wisp_worker_component *component, const char *cache_dir,
                            int *ret_exit_code, struct wisp_err *err) __attribute__((warn_unused_result));
