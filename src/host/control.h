/* SPDX-License-Identifier: Apache-2.0 */
/* The control process of a service: keeps workers running that serve one component on one address.
 *
 * The first worker starts alone: it compiles what the code cache doesn't have, and if the component can't be served,
 * one clear error comes of it instead of one per worker. When it is ready, the others follow; none of them has a share
 * of the connections before its process runs. The control process holds a copy of every worker's listening socket while
 * that worker runs or is back within a second, so that connections which nobody has accepted yet survive their worker;
 * a worker that pauses for longer loses it, so that its share goes to the others.
 *
 *     SIGINT, SIGTERM, SIGHUP   workers stop accepting and finish what is in flight; then it is over
 *     the same again            at once
 *
 * A SIGHUP that was ignored when the program started (nohup) stays ignored. */
#pragma once

#include "base/err.h"
#include "base/log.h"
#include "host/listener.h"
#include "worker/worker.h"

enum {
    WISP_CONTROL_WORKERS_MAX = 1024,
    WISP_CONTROL_DIRS_MAX = 32,
    WISP_CONTROL_EARLY_DEATHS_MAX = 3, /* of the first worker, before it was ever ready: then we give up */
};

/* Everything is borrowed until wisp_control_run returns. */
struct wisp_control_options {
    /* What to run. `path` is not used: the bytes come from component_fd, directories from dir_fds. */
    struct wisp_worker_component component;
    int component_fd;                   /* a file with the component's binary */
    const int *dir_fds;                 /* one per component.preopens, at most WISP_CONTROL_DIRS_MAX */
    struct wisp_listen_address address; /* port 0: any */
    uint32_t n_workers;                 /* 0: one per core */
    uint32_t drain_ms;                  /* as in struct wisp_worker_options */
    const char *cache_dir;              /* likewise */
    enum wisp_log_level log_level;
    enum wisp_log_format log_format;
    /* The first worker is ready; `address` as clients write it. */
    void (*on_serving)(void *env, const char *address, uint32_t n_workers);
    void *env;
};

/* Serves until it is told to stop by a signal: then 0, or CANCELLED when it was told twice. EXISTS when the address is
 * in use; whatever the first worker says when it can't serve the component. On the thread that owns the process. */
int wisp_control_run(const struct wisp_control_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
