/* SPDX-License-Identifier: Apache-2.0 */
/* The data plane: one process that answers calls, HTTP requests and others, each in an instance of its own, on one loop
 * and one thread. Beside it, the one-shot sibling that runs a command component to its end.
 *
 * The worker of `wisp run` is told at its start what to run. That of a host starts empty and takes orders while it
 * runs (orders.h). Both talk to whoever started them over one descriptor, the control channel:
 *
 *     worker → parent   "ready\n"                it serves
 *                       "failed KIND TEXT\n"     it can't start, and trying again won't help; KIND as wisp_err_name
 *     parent → worker   "drain\n"                stop accepting, finish what is in flight, return
 *     end of file       the parent is gone: the worker returns at once; that of a host goes on for grace_ms, drains,
 *                       and returns
 *
 * SIGTERM drains as well, and a second one ends at once. SIGINT is ignored while there is a control channel, since a
 * terminal sends it to the whole process group and the parent decides; without a channel it is the same as SIGTERM. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "telemetry/trace.h"

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
    WISP_WORKER_PROVIDER_WAIT_MS = 10 * 1000,
    WISP_WORKER_UNKNOWN_WAIT_MS = 250, /* calls wait for what no host is to run */
    WISP_WORKER_DRAIN_MS = 30 * 1000,  /* after it, requests still in flight are broken off */
    WISP_WORKER_EXIT_TRAP = 134,       /* exit code of a command that trapped: what a shell shows for SIGABRT */
    WISP_WORKER_EXIT_TIMEOUT = 124,    /* exit code of a command that ran out of time, as timeout(1) has it */
};

struct wisp_worker_component {
    const char *name;        /* for the log; the guest's argument 0 */
    const char *path;        /* a component, binary or text; must not change while it runs */
    const char *const *args; /* what follows the name */
    size_t n_args;
    const struct wisp_worker_env *env;
    size_t n_env;
    const struct wisp_worker_preopen *preopens;
    size_t n_preopens;
    struct wisp_worker_limits limits;
};

/* --- serving --- */

/* How a worker reaches the bus, for calls between hosts. Texts may be NULL; see struct wisp_bus_client_options. */
struct wisp_worker_bus {
    const char *const *urls;
    size_t n_urls; /* 0: no bus */
    const char *jwt, *seed, *creds_path, *token;
    const char *tls_ca_path, *tls_cert_path, *tls_key_path;
    bool is_tls, is_tls_first;
};

/* What goes to OpenTelemetry collectors, by way of the control process. */
struct wisp_worker_telemetry {
    bool traces, logs;
    struct wisp_trace_sampler sampler;
};

/* Who decides about calls that come over the bus. */
struct wisp_worker_policy {
    const char *topic;         /* NULL: nobody */
    const char *changes_topic; /* may be NULL */
    const char *labels;        /* the host's, a JSON object */
    uint64_t timeout_ms;       /* 0: 1 s */
};

/* A worker of a host. */
struct wisp_worker_host {
    int orders_fd;         /* see orders.h; taken over */
    const int *shared_fds; /* wisp_shared_fds, taken over */
    uint32_t n_shared_fds;
    uint32_t index;            /* in the shared memory; no other living worker has it */
    uint32_t instances_max;    /* invocations alive at once in this worker, of all components; 0: 1000 */
    uint64_t memory_bytes_max; /* what components may be given at most; 0: 4 GiB */
    uint32_t grace_ms;         /* goes on for so long without its parent; 0: not at all */
    uint32_t provider_wait_ms; /* calls wait for a provider that nobody runs right now; 0: 10 s */
    const char *handover_dir;  /* see handover.h; NULL: no hand-over */
    const char *lattice, *host_id;
    struct wisp_worker_telemetry telemetry;
    struct wisp_worker_bus bus;
    struct wisp_worker_policy policy;
};

enum {
    WISP_WORKER_HOPS_MAX = 32, /* components that call each other within this worker, one inside the other */
};

/* Everything is borrowed until wisp_worker_run returns. */
struct wisp_worker_options {
    const struct wisp_worker_host *host;    /* NULL: `wisp run` */
    struct wisp_worker_component component; /* without a host */
    const int *listen_fds; /* without a host: bound and listening sockets, taken over; closed when draining starts */
    size_t n_listen_fds;
    int control_fd;        /* connected stream socket or -1, taken over */
    uint32_t n_workers;    /* that share the machine's memory, this one included; 0: 1 */
    uint32_t drain_ms;     /* 0: WISP_WORKER_DRAIN_MS */
    const char *cache_dir; /* code cache, as in struct wisp_wasm_engine_options */
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
int wisp_worker_command_run(const struct wisp_worker_component *component, const char *cache_dir, int *ret_exit_code,
                            struct wisp_err *err) __attribute__((warn_unused_result));
