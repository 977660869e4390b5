/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of a worker: start, control channel, signals, and the way out.
 *
 *     running ──drain, SIGTERM──▶ stopping: the server finishes exchanges, then the last invocation ends ──▶ closed
 *        └────parent gone, second SIGTERM──▶ the same, but what is in flight is given up ───────────────────┘
 */
#include "base/log.h"
#include "worker/builtin.h"
#include "worker/entrance.h"
#include "worker/links.h"
#include "worker/remote.h"
#include "worker/world.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    COMMAND_SIZE_MAX = 256, /* of a line from the parent */
    LAST_MOMENT_MS = 100,   /* for what was given up to leave in order */
};

/* --- the way out --- */

/* Nothing to do here: an active idle handle is what keeps the loop from sleeping. */
static void on_idle(uv_idle_t *idle) { (void)idle; }

void wisp_worker_stay_awake(struct wisp_worker *worker)
{
    if (!worker->are_handles_closed) uv_idle_start(&worker->idle, on_idle);
}

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
    wisp_remote_stop(worker);
    wisp_hosting_close(worker);
}

/* Not at once: what has ended is still on the stack. */
void wisp_worker_settle(struct wisp_worker *worker)
{
    worker->must_settle = true;
    wisp_worker_stay_awake(worker);
}

static void on_alone_closed(void *env) { wisp_worker_settle(env); }

/* Without active handles the loop ends by itself. */
static void settle(struct wisp_worker *worker)
{
    worker->must_settle = false;
    if (!worker->is_stopping || worker->n_servers || worker->n_alive) return;
    if (wisp_builtins_finish(worker) && wisp_alone_close(&worker->alone, on_alone_closed, worker) &&
        wisp_remote_finish(worker))
        close_handles(worker);
}

static void on_last_moment(uv_timer_t *timer) { uv_stop(timer->loop); }

/* What is in flight is given up. Connections end with their exchanges; one that is still sending an earlier response to
 * a slow client would keep the server, and is left to the end of the process. */
void wisp_worker_stop_hard(struct wisp_worker *worker)
{
    if (worker->is_hard) return;
    worker->is_hard = worker->is_stopping = true;
    wisp_invocations_cancel(worker, "the worker stops");
    wisp_entrances_unlisten(worker, 0);
    wisp_worker_settle(worker);
    if (!worker->are_handles_closed) uv_timer_start(&worker->drain, on_last_moment, LAST_MOMENT_MS, 0);
}

static void on_drain_deadline(uv_timer_t *timer) { wisp_worker_stop_hard(timer->data); }

uint64_t wisp_worker_drain_ms(const struct wisp_worker *worker)
{
    return worker->options->drain_ms ? worker->options->drain_ms : WISP_WORKER_DRAIN_MS;
}

void wisp_worker_drain(struct wisp_worker *worker)
{
    if (worker->is_stopping) return;
    worker->is_stopping = true;
    /* Servers don't know of guests that go on after their response, hence a deadline of our own. */
    uv_timer_start(&worker->drain, on_drain_deadline, wisp_worker_drain_ms(worker), 0);
    wisp_entrances_unlisten(worker, wisp_worker_drain_ms(worker));
    wisp_remote_drain(worker);
    wisp_builtins_drain(worker);
    wisp_worker_settle(worker);
}

/* --- turns of the loop --- */

static void on_check(uv_check_t *check)
{
    struct wisp_worker *worker = check->data;
    if (!uv_is_active((uv_handle_t *)&worker->idle)) return;
    wisp_wasm_turn_begin(worker->runtime.engine);
    wisp_invocations_run(worker);
    wisp_wasm_turn_end(worker->runtime.engine);
    if (!wisp_ring_is_empty(&worker->cancelled)) wisp_world_end_cancelled(worker);
    if (!wisp_ring_is_empty(&worker->loading)) wisp_hosting_load_some(worker);
    if (!wisp_ring_is_empty(&worker->retired)) wisp_tenants_collect(worker);
    if (wisp_ring_is_empty(&worker->runnable) && wisp_ring_is_empty(&worker->loading) &&
        wisp_ring_is_empty(&worker->cancelled))
        uv_idle_stop(&worker->idle);
    if (worker->must_settle) settle(worker);
}

/* --- signals --- */

static void on_sigterm(uv_signal_t *handle, int number)
{
    (void)number;
    struct wisp_worker *worker = handle->data;
    if (worker->is_stopping)
        wisp_worker_stop_hard(worker);
    else
        wisp_worker_drain(worker);
}

static void on_ignored_signal(uv_signal_t *handle, int number) { (void)handle, (void)number; }

/* --- the control channel --- */

static void on_command(struct wisp_worker *worker, struct wisp_str line)
{
    if (wisp_str_is(line, "drain"))
        wisp_worker_drain(worker);
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
        if (worker->hosting)
            wisp_hosting_on_orphaned(worker);
        else
            wisp_worker_stop_hard(worker);
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

/* --- `wisp run`: one component --- */

static void on_guest_output(struct wisp_str line, bool is_stderr, void *env)
{
    const struct wisp_worker *worker = env;
    WISP_LOG(INFO, "guest", is_stderr ? "stderr" : "stdout", WISP_BYTES("line", line),
             WISP_TEXT("component", worker->options->component.name));
}

int wisp_worker_start_engine(struct wisp_worker *worker, const struct wisp_component *component, struct wisp_err *err)
{
    const struct wisp_worker_limits *limits = &worker->options->component.limits;
    const struct wisp_wasm_engine_options engine = {
        .instances_max = limits->instances_max ? limits->instances_max : WISP_WORKER_INSTANCES_MAX,
        .processes = worker->options->n_workers,
        .memory_bytes_max = limits->memory_bytes_max,
        .cache_dir = worker->options->cache_dir,
    };
    int r = wisp_runtime_start_for(&worker->runtime, component, &engine, err);
    if (r < 0) return r;
    worker->places_max = worker->runtime.instances_max;
    if (wisp_wasm_engine_is_reduced(worker->runtime.engine))
        WISP_LOG(WARN, "worker", "this machine has less room for instances than asked for",
                 WISP_INT("asked", engine.instances_max), WISP_INT("instances", worker->places_max),
                 WISP_TEXT("allocation", wisp_wasm_engine_allocation(worker->runtime.engine)));
    return 0;
}

static int load_component(struct wisp_worker *worker, struct wisp_err *err)
{
    const struct wisp_worker_component *what = &worker->options->component;
    struct wisp_surroundings surroundings;
    int r = wisp_surroundings_init(&surroundings, what, err);
    if (r < 0) {
        wisp_surroundings_deinit(&surroundings);
        return r;
    }
    surroundings.config.on_output = on_guest_output;
    surroundings.config.on_output_env = worker;
    struct wisp_terms *terms = wisp_terms_new(worker, &what->limits, &surroundings, NULL);
    struct wisp_tenant *tenant;
    r = wisp_tenant_get(worker, wisp_str_from(what->name), 0, &tenant, err);
    assert(r == 0); /* the first one, at the only place */
    r = wisp_tenant_load(tenant, 1, what->path, terms, err);
    if (r == 0 && !wisp_program_entry(&tenant->edition->program, WISP_PROGRAM_HTTP, err)) r = -WISP_ERR_INVALID;
    return r;
}

static int open_entrance(struct wisp_worker *worker, struct wisp_err *err)
{
    const struct wisp_worker_options *options = worker->options;
    struct wisp_entrance *entrance;
    int r = wisp_entrance_get(worker, WISP_STR("the address"), &entrance, err);
    if (r < 0) return r;
    wisp_router_add(&entrance->router, wisp_route_new_plain(wisp_str_from(options->component.name)));
    for (size_t i = 0; r == 0 && i < options->n_listen_fds; i++)
        r = wisp_entrance_listen(entrance, options->listen_fds[i], err);
    return r;
}

static int start_component(struct wisp_worker *worker, struct wisp_err *err)
{
    worker->shared = wisp_shared_new_private(1);
    worker->n_running = wisp_mem_calloc(1, sizeof *worker->n_running);
    int r = load_component(worker, err);
    if (r < 0) {
        (void)wisp_err_wrap(err, "component `%s`", worker->options->component.name);
        return r;
    }
    r = open_entrance(worker, err);
    if (r < 0) return r;
    WISP_LOG(INFO, "worker", "serving", WISP_TEXT("component", worker->options->component.name),
             WISP_INT("instances", worker->places_max),
             WISP_TEXT("allocation", wisp_wasm_engine_allocation(worker->runtime.engine)));
    return 0;
}

/* --- start --- */

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

static void init_lists(struct wisp_worker *worker)
{
    wisp_ring_init(&worker->tenants);
    wisp_ring_init(&worker->waiting);
    wisp_ring_init(&worker->loading);
    wisp_ring_init(&worker->retired);
    wisp_ring_init(&worker->builtins);
    wisp_ring_init(&worker->cancelled);
    wisp_ring_init(&worker->deadline_classes);
    worker->next_deadline_ms = UINT64_MAX;
    worker->topology = 1;
    wisp_invocations_init(worker);
}

static int start(struct wisp_worker *worker, struct wisp_err *err)
{
    bool is_host = worker->options->host != NULL;
    wisp_alone_init(&worker->alone, &worker->loop);
    worker->outside = is_host ? &wisp_links_outside : &worker->alone.outside;
    int r = wisp_runtime_init(&worker->runtime, is_host ? wisp_import_fallback(worker) : NULL, err);
    if (r == 0) r = is_host ? wisp_hosting_start(worker, err) : start_component(worker, err);
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
    wisp_entrances_deinit(worker);
    wisp_builtins_deinit(worker);
    wisp_tenants_deinit(worker);
    wisp_invocations_deinit(worker);
    wisp_hosting_free(worker);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    uv_loop_close(&worker->loop);
    wisp_runtime_deinit(&worker->runtime);
    wisp_shared_free(worker->shared);
    wisp_wire_types_deinit(&worker->wire_types);
    wisp_alone_deinit(&worker->alone);
    free(worker->n_running);
    wisp_buf_deinit(&worker->command);
    free(worker);
}

int wisp_worker_run(const struct wisp_worker_options *options, struct wisp_err *err)
{
    signal(SIGPIPE, SIG_IGN);
    struct wisp_worker *worker = wisp_mem_calloc(1, sizeof *worker);
    worker->options = options;
    init_lists(worker);
    init_loop(worker);
    int r = start(worker, err);
    if (r == 0) {
        uv_run(&worker->loop, UV_RUN_DEFAULT);
        wisp_report_end(worker);
        if (!worker->are_handles_closed) return 0; /* the last moment is over; the process ends, and so does the rest */
    } else {
        wisp_worker_stop_hard(worker); /* some of its sockets may be open */
        if (options->control_fd >= 0) tell_failure(options->control_fd, err);
        if (options->control_fd >= 0) close(options->control_fd);
    }
    deinit(worker);
    return r;
}
