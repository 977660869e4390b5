/* SPDX-License-Identifier: Apache-2.0 */
/* The other side of control.c: what a freshly started worker process does before src/worker takes over. */
#include "host/worker_config.h"

#include "host/listener.h"
#include "worker/shared.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file is shared by all workers, its offset too: so it is mapped, not read. */
static int read_config(struct wisp_arena *arena, struct wisp_worker_config *ret_config, struct wisp_err *err)
{
    struct stat status;
    if (fstat(WISP_WORKER_FD_CONFIG, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size <= 0)
        return wisp_err_set(err, WISP_ERR_USAGE, "`wisp worker` is started by wisp itself; you want `wisp run FILE`");
    size_t size = (size_t)status.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, WISP_WORKER_FD_CONFIG, 0);
    if (bytes == MAP_FAILED) return wisp_err_os(err, errno, "map the worker's configuration");
    int r = wisp_worker_config_decode(arena, (struct wisp_str){bytes, size}, ret_config, err);
    munmap(bytes, size);
    close(WISP_WORKER_FD_CONFIG);
    return r;
}

static int serve_component(struct wisp_worker_options *options, struct wisp_err *err)
{
    static const int listen_fds[] = {WISP_WORKER_FD_LISTENER};
    options->listen_fds = listen_fds;
    options->n_listen_fds = WISP_COUNT(listen_fds);
    /* From here on connections are ours as well; whether it works out is found by the worker. */
    (void)listen(WISP_WORKER_FD_LISTENER, WISP_LISTEN_BACKLOG);
    return wisp_worker_run(options, err);
}

static int serve_host(struct wisp_worker_options *options, struct wisp_err *err)
{
    int shared_fds[WISP_SHARED_WORKERS_MAX + 1];
    struct wisp_worker_host host = *options->host;
    for (uint32_t i = 0; i < host.n_shared_fds; i++) shared_fds[i] = WISP_WORKER_FD_FIRST_SHARED + (int)i;
    host.orders_fd = WISP_WORKER_FD_ORDERS;
    host.shared_fds = shared_fds;
    options->host = &host;
    return wisp_worker_run(options, err);
}

int wisp_worker_process_main(void)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_worker_config config;
    struct wisp_err err = {0};
    prctl(PR_SET_NAME, "wisp-worker");
    if (read_config(&arena, &config, &err) < 0) {
        fprintf(stderr, "wisp: error: %s\n", err.text);
        return wisp_err_exit_code(err.kind);
    }
    wisp_log_configure(config.log_level, config.log_format);
    config.options.control_fd = WISP_WORKER_FD_CONTROL;
    /* What goes wrong is told on the control channel; the control process owns the error. */
    int r = config.options.host ? serve_host(&config.options, &err) : serve_component(&config.options, &err);
    return r < 0 ? wisp_err_exit_code(err.kind) : 0;
}
