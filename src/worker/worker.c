/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of a worker: start, control channel, signals, and the way out.
 *
 *     running ──drain, SIGTERM──▶ stopping: the server finishes exchanges, then the last invocation ends ──▶ closed
 *        └────parent gone, second SIGTERM──▶ the same, but what is in flight is given up ───────────────────┘
 */
#include "worker/worker_priv.h"

#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    COMMAND_SIZE_MAX = 256, /* of a line from the parent */
    LAST_MOMENT_MS = 100,   /* for what was given up to leave in order */
};

/* --- turns of the loop --- */

static void on_check(uv_check_t *check) { wisp_invocations_run(check->data); }

/* Nothing to do here: an active idle handle is what keeps the loop from sleeping. */
static void on_idle(uv_idle_t *idle) { (void)idle; }

void wisp_worker_stay_awake(struct wisp_worker *worker) { uv_idle_start(&worker->idle, on_idle); }

/* --- the way out --- */

static void close_handles(struct wisp_worker *worker)
{
    if (worker->are_handles_closed) return;
    worker->are_handles_closed = true;
    uv_close((uv_handle_t *)&worker->check, NULL);
    uv_close((uv_handle_t *)&worker->idle, NULL);
    uv_close((uv_handle_t *)&worker->deadline, NULL);
    uv_close((uv_handle_t *)&worker->drain, NULL);
    uv_close((uv_handle_t *)&worker->on_sigterm, NULL);
    uv_close((uv_handle_t *)&worker->on_sigint, NULL);
    uv_close((uv_handle_t *)&worker->control, NULL);
}

/* Without active handles the loop ends by itself. */
void wisp_worker_settle(struct wisp_worker *worker)
{
    if (worker->is_server_stopped && wisp_ring_is_empty(&worker->alive)) close_handles(worker);
}

static void on_server_stopped(void *env)
{
    struct wisp_worker *worker = env;
    worker->is_server_stopped = true;
    wisp_worker_settle(worker);
}

static void on_last_moment(uv_timer_t *timer) { uv_stop(timer->loop); }

/* What is in flight is given up. Connections end with their exchanges; one that is still sending an earlier response to
 * a slow client would keep the server, and is left to the end of the process. */
static void stop_hard(struct wisp_worker *worker)
{
    if (worker->is_hard) return;
    worker->is_hard = true;
    wisp_invocations_cancel(worker, "the worker stops");
    if (!worker->is_stopping) wisp_http_server_stop(worker->server, 0, on_server_stopped, worker);
    worker->is_stopping = true;
    if (!worker->are_handles_closed) uv_timer_start(&worker->drain, on_last_moment, LAST_MOMENT_MS, 0);
}

static void on_drain_deadline(uv_timer_t *timer) { stop_hard(timer->data); }

static void stop_gracefully(struct wisp_worker *worker)
{
    if (worker->is_stopping) return;
    uint64_t drain_ms = worker->options->drain_ms ? worker->options->drain_ms : WISP_WORKER_DRAIN_MS;
    worker->is_stopping = true;
    /* The server doesn't know of guests that go on after their response, hence a deadline of our own. */
    uv_timer_start(&worker->drain, on_drain_deadline, drain_ms, 0);
    wisp_http_server_stop(worker->server, drain_ms, on_server_stopped, worker);
}

/* --- signals --- */

static void on_sigterm(uv_signal_t *handle, int number)
{
    (void)number;
    struct wisp_worker *worker = handle->data;
    if (worker->is_stopping)
        stop_hard(worker);
    else
        stop_gracefully(worker);
}

static void on_ignored_signal(uv_signal_t *handle, int number) { (void)handle, (void)number; }

/* --- the control channel --- */

static void on_command(struct wisp_worker *worker, struct wisp_str line)
{
    if (wisp_str_is(line, "drain"))
        stop_gracefully(worker);
    else
        WISP_LOG(WARN, "worker", "unknown command from the parent", WISP_BYTES("line", line));
}

static void take_commands(struct wisp_worker *worker)
{
    struct wisp_str rest = wisp_buf_str(&worker->command), line;
    while (wisp_str_split(rest, '\n', &line, &rest)) on_command(worker, line);
    if (rest.len > COMMAND_SIZE_MAX) rest.len = 0;
    memmove(worker->command.data, rest.ptr, rest.len);
    worker->command.len = rest.len;
}

static void alloc_command(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    struct wisp_worker *worker = handle->data;
    *ret_buf = uv_buf_init(wisp_buf_reserve(&worker->command, COMMAND_SIZE_MAX), COMMAND_SIZE_MAX);
}

static void on_control(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    struct wisp_worker *worker = stream->data;
    if (n < 0) {
        uv_read_stop(stream);
        stop_hard(worker);
        return;
    }
    worker->command.len += (size_t)n;
    take_commands(worker);
}

/* A short line to the parent, before the channel belongs to the loop. */
static void tell(int fd, struct wisp_str line)
{
    ssize_t n;
    do n = write(fd, line.ptr, line.len);
    while (n < 0 && errno == EINTR);
}

static void tell_failure(int fd, const struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf line = {0};
    wisp_buf_printf(&line, "failed %s %s", wisp_err_name(err->kind), err->text);
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '\n') line.data[i] = ' ';
    wisp_buf_append_char(&line, '\n');
    tell(fd, wisp_buf_str(&line));
}

/* --- start --- */

static void fill_limits(struct wisp_worker *worker)
{
    struct wisp_worker_limits *limits = &worker->limits;
    *limits = worker->options->component.limits;
    if (!limits->timeout_ms) limits->timeout_ms = WISP_WORKER_TIMEOUT_MS;
    if (!limits->instances_max) limits->instances_max = WISP_WORKER_INSTANCES_MAX;
    if (!limits->queue_max) limits->queue_max = WISP_WORKER_QUEUE_MAX;
    if (limits->queue_max == UINT32_MAX) limits->queue_max = 0;
    if (!limits->body_bytes_max) limits->body_bytes_max = WISP_WORKER_BODY_BYTES_MAX;
}

static void on_guest_output(struct wisp_str line, bool is_stderr, void *env)
{
    const struct wisp_worker *worker = env;
    WISP_LOG(INFO, "guest", is_stderr ? "stderr" : "stdout", WISP_BYTES("line", line),
             WISP_TEXT("component", worker->program.what->name));
}

static int load_program(struct wisp_worker *worker, struct wisp_err *err)
{
    const struct wisp_program_options options = {
        .world = WISP_PROGRAM_HTTP,
        .instances_max = worker->limits.instances_max,
        .n_workers = worker->options->n_workers,
        .cache_dir = worker->options->cache_dir,
    };
    int r = wisp_program_init(&worker->program, &worker->options->component, &options, err);
    if (r < 0) return r;
    worker->program.config.on_output = on_guest_output;
    worker->program.config.on_output_env = worker;
    if (wisp_wasm_engine_is_reduced(worker->program.engine))
        WISP_LOG(WARN, "worker", "this machine has less room for instances than asked for",
                 WISP_INT("asked", worker->limits.instances_max), WISP_INT("instances", worker->program.instances_max),
                 WISP_TEXT("allocation", wisp_wasm_engine_allocation(worker->program.engine)));
    return 0;
}

static void init_loop(struct wisp_worker *worker)
{
    uv_loop_t *loop = &worker->loop;
    int r = uv_loop_init(loop);
    assert(r == 0);
    (void)r;
    uv_check_init(loop, &worker->check);
    uv_idle_init(loop, &worker->idle);
    uv_timer_init(loop, &worker->deadline);
    uv_timer_init(loop, &worker->drain);
    uv_signal_init(loop, &worker->on_sigterm);
    uv_signal_init(loop, &worker->on_sigint);
    uv_pipe_init(loop, &worker->control, 0);
    worker->check.data = worker->deadline.data = worker->drain.data = worker->on_sigterm.data = worker->on_sigint.data =
        worker->control.data = worker;
}

static int make_server(struct wisp_worker *worker, struct wisp_err *err)
{
    const struct wisp_http_options options = {
        .handler = wisp_invocation_handler,
        .env = worker,
        .body_bytes_max = worker->limits.body_bytes_max,
    };
    int r = wisp_http_server_new(&worker->server, &worker->loop, &options, err);
    for (size_t i = 0; r == 0 && i < worker->options->n_listen_fds; i++)
        r = wisp_http_server_listen_fd_take(worker->server, worker->options->listen_fds[i], err);
    return r;
}

static int start(struct wisp_worker *worker, struct wisp_err *err)
{
    fill_limits(worker);
    int r = load_program(worker, err);
    if (r == 0) r = make_server(worker, err);
    if (r < 0) return r;
    int control_fd = worker->options->control_fd;
    uv_check_start(&worker->check, on_check);
    uv_signal_start(&worker->on_sigterm, on_sigterm, SIGTERM);
    uv_signal_start(&worker->on_sigint, control_fd >= 0 ? on_ignored_signal : on_sigterm, SIGINT);
    if (control_fd < 0) return 0;
    tell(control_fd, WISP_STR("ready\n"));
    uv_pipe_open(&worker->control, control_fd);
    uv_read_start((uv_stream_t *)&worker->control, alloc_command, on_control);
    return 0;
}

static void deinit(struct wisp_worker *worker)
{
    close_handles(worker);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    wisp_http_server_free(worker->server);
    wisp_invocations_deinit(worker);
    uv_loop_close(&worker->loop);
    wisp_program_deinit(&worker->program);
    wisp_buf_deinit(&worker->command);
    free(worker);
}

int wisp_worker_run(const struct wisp_worker_options *options, struct wisp_err *err)
{
    signal(SIGPIPE, SIG_IGN);
    struct wisp_worker *worker = wisp_mem_calloc(1, sizeof *worker);
    worker->options = options;
    wisp_invocations_init(worker);
    init_loop(worker);
    int r = start(worker, err);
    if (r == 0) {
        WISP_LOG(INFO, "worker", "serving", WISP_TEXT("component", options->component.name),
                 WISP_INT("instances", worker->program.instances_max),
                 WISP_TEXT("allocation", wisp_wasm_engine_allocation(worker->program.engine)));
        uv_run(&worker->loop, UV_RUN_DEFAULT);
        wisp_report_end(worker);
        if (!worker->is_server_stopped) return 0; /* the last moment is over; the process ends, and so does the rest */
    } else {
        if (worker->server) stop_hard(worker); /* some of its sockets may be open */
        if (options->control_fd >= 0) tell_failure(options->control_fd, err);
        if (options->control_fd >= 0) close(options->control_fd);
    }
    deinit(worker);
    return r;
}
