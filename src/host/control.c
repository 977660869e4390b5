/* SPDX-License-Identifier: Apache-2.0 */
#include "host/control.h"

#include "base/mem.h"
#include "host/machine.h"
#include "host/source.h"
#include "host/stop_signals.h"
#include "host/worker_config.h"
#include "supervise/launcher.h"
#include "supervise/process.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    READY_TIMEOUT_MS = 15 * 60 * 1000, /* compiling a big component on a small machine takes minutes */
    TERM_AFTER_DRAIN_MS = 3000,        /* a worker ends its drain by itself; this is how late it may be */
    SLOW_START_MS = 1000,
};

/* One of the N places for a worker; processes come and go in it. */
struct slot {
    struct control *control;
    struct wisp_child *child;
    int listen_fd; /* our copy; -1: none */
    char number[12];
    const char *argv[5];
    struct wisp_process_fd fds[3 + WISP_CONTROL_DIRS_MAX];
};

struct control {
    const struct wisp_control_options *options;
    uv_loop_t loop;
    struct wisp_launcher *launcher;
    struct wisp_supervisor *supervisor;
    struct wisp_listen_address address;
    struct wisp_stop_signals signals;
    uv_timer_t slow_start;
    struct slot *slots;
    uint32_t n_slots;
    int config_fd;
    uint32_t n_early_deaths;
    bool is_serving; /* some worker has been ready */
    bool is_stopping, is_forced;
    struct wisp_err failure; /* why it ends; NONE: it was asked to */
};

/* --- what a worker gets --- */

/* Directories reach a worker as descriptors: it opens them where they are now, even if somebody renames them before
 * the worker is replaced. */
static int make_config(struct control *control, struct wisp_err *err)
{
    const struct wisp_control_options *options = control->options;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    struct wisp_worker_config config = {
        .options = {.component = options->component,
                    .n_workers = control->n_slots,
                    .drain_ms = options->drain_ms,
                    .cache_dir = options->cache_dir},
        .log_level = options->log_level,
        .log_format = options->log_format,
    };
    struct wisp_worker_component *component = &config.options.component;
    component->path = wisp_arena_printf(&arena, "/proc/self/fd/%d", WISP_WORKER_FD_COMPONENT);
    struct wisp_worker_preopen *dirs = WISP_NEW_ARRAY(&arena, struct wisp_worker_preopen, component->n_preopens);
    for (size_t i = 0; i < component->n_preopens; i++) {
        dirs[i] = component->preopens[i];
        dirs[i].host_path = wisp_arena_printf(&arena, "/proc/self/fd/%zu", WISP_WORKER_FD_FIRST_DIR + i);
    }
    component->preopens = dirs;
    wisp_worker_config_encode(&config, &bytes);
    return wisp_memory_file_new("configuration", wisp_buf_str(&bytes), &control->config_fd, err);
}

static int prepare(struct wisp_child *child, struct wisp_process_spec *spec, void *env, struct wisp_err *err)
{
    (void)child;
    struct slot *slot = env;
    struct control *control = slot->control;
    const struct wisp_control_options *options = control->options;
    if (slot->listen_fd < 0) {
        int r = wisp_listen_share(&control->address, &slot->listen_fd, err);
        if (r < 0) return r;
    }
    size_t n = 0;
    slot->fds[n++] = (struct wisp_process_fd){control->config_fd, WISP_WORKER_FD_CONFIG};
    slot->fds[n++] = (struct wisp_process_fd){options->component_fd, WISP_WORKER_FD_COMPONENT};
    slot->fds[n++] = (struct wisp_process_fd){slot->listen_fd, WISP_WORKER_FD_LISTENER};
    for (size_t i = 0; i < options->component.n_preopens; i++)
        slot->fds[n++] = (struct wisp_process_fd){options->dir_fds[i], WISP_WORKER_FD_FIRST_DIR + (int)i};
    *spec = (struct wisp_process_spec){
        .argv = slot->argv, .fds = slot->fds, .n_fds = n, .control_as = WISP_WORKER_FD_CONTROL};
    return 0;
}

/* --- what happens to workers --- */

static void on_ready(struct wisp_child *child, struct wisp_str text, void *env)
{
    (void)child;
    (void)text;
    struct control *control = ((struct slot *)env)->control;
    if (control->is_serving) return;
    control->is_serving = true;
    uv_timer_stop(&control->slow_start);
    for (uint32_t i = 1; i < control->n_slots; i++) wisp_child_start(control->slots[i].child);
    char address[WISP_LISTEN_TEXT_MAX];
    wisp_listen_address_format(&control->address, address);
    if (control->options->on_serving) control->options->on_serving(control->options->env, address, control->n_slots);
}

/* Once we have served, a worker that can't start is a passing trouble of this machine; before, it is the answer. */
static bool on_exit_worker(struct wisp_child *child, const struct wisp_child_exit *exit, void *env)
{
    (void)child;
    struct control *control = ((struct slot *)env)->control;
    if (control->is_serving || control->is_stopping) return true;
    control->failure = exit->failure;
    if (!exit->failure.kind) {
        if (++control->n_early_deaths < WISP_CONTROL_EARLY_DEATHS_MAX) return true;
        wisp_err_set(&control->failure, WISP_ERR_INTERNAL,
                     "the worker died %d times before it was ready, see the log above; this is a defect in wisp, or "
                     "the machine is too small",
                     WISP_CONTROL_EARLY_DEATHS_MAX);
    }
    control->is_stopping = true;
    return false;
}

static void close_loop_handles(struct control *control)
{
    wisp_stop_signals_close(&control->signals);
    uv_close((uv_handle_t *)&control->slow_start, NULL);
    wisp_launcher_free(control->launcher);
    control->launcher = NULL;
}

static void on_state(struct wisp_child *child, void *env)
{
    struct slot *slot = env;
    if (!wisp_listen_is_held_for(child)) wisp_fd_closep(&slot->listen_fd);
    if (slot->control->is_stopping && wisp_supervisor_is_idle(slot->control->supervisor)) uv_stop(&slot->control->loop);
}

/* --- stopping --- */

/* A worker that is not ready has nothing to finish, and may be too busy compiling to listen. */
static void begin_stop(struct control *control)
{
    control->is_stopping = true;
    WISP_LOG(INFO, "host", "stopping: workers finish what is in flight; the same signal again stops at once");
    for (uint32_t i = 0; i < control->n_slots; i++) {
        struct wisp_child *child = control->slots[i].child;
        if (wisp_child_state(child) == WISP_CHILD_STARTING)
            wisp_child_kill(child);
        else
            wisp_child_stop(child);
    }
    if (wisp_supervisor_is_idle(control->supervisor)) uv_stop(&control->loop);
}

/* A first worker that can't start has stopped us already. */
static void on_stop(int number, bool insists, void *env)
{
    (void)number;
    struct control *control = env;
    if (!insists && !control->is_stopping) {
        begin_stop(control);
        return;
    }
    control->is_forced = true;
    wisp_supervisor_kill_all(control->supervisor);
}

static void on_slow_start(uv_timer_t *timer)
{
    struct control *control = timer->data;
    WISP_LOG(INFO, "host", "still compiling; next time it comes from the code cache",
             WISP_TEXT("component", control->options->component.name));
}

/* --- life --- */

static void add_slots(struct control *control, int first_listen_fd)
{
    const struct wisp_control_options *options = control->options;
    uint32_t drain_ms = options->drain_ms ? options->drain_ms : WISP_WORKER_DRAIN_MS;
    control->slots = wisp_mem_calloc(control->n_slots, sizeof *control->slots);
    for (uint32_t i = 0; i < control->n_slots; i++) {
        struct slot *slot = &control->slots[i];
        char name[32];
        snprintf(slot->number, sizeof slot->number, "%u", i + 1);
        snprintf(name, sizeof name, "worker %u", i + 1);
        slot->control = control;
        slot->listen_fd = i == 0 ? first_listen_fd : -1;
        memcpy(slot->argv, (const char *[]){"wisp", "worker", slot->number, options->component.name, NULL},
               sizeof slot->argv);
        slot->child = wisp_child_add(
            control->supervisor,
            &(struct wisp_child_options){
                .name = name,
                .running = options->component.name,
                .policy = {.ready_timeout_ms = READY_TIMEOUT_MS, .ask_timeout_ms = drain_ms + TERM_AFTER_DRAIN_MS},
                .handler = {prepare, on_state, on_exit_worker, on_ready},
                .env = slot,
            });
    }
}

static int outcome(const struct control *control, struct wisp_err *err)
{
    if (control->failure.kind) {
        if (err) *err = control->failure;
        return -(int)control->failure.kind;
    }
    if (control->is_forced)
        return wisp_err_set(err, WISP_ERR_CANCELLED, "stopped before requests in flight were finished");
    return 0;
}

static int serve(struct control *control, struct wisp_err *err)
{
    int listen_fd;
    control->address = control->options->address;
    int r = wisp_listen_claim(&control->address, &listen_fd, err);
    if (r < 0) return r;
    add_slots(control, listen_fd);
    uv_timer_start(&control->slow_start, on_slow_start, SLOW_START_MS, 0);
    wisp_child_start(control->slots[0].child);
    uv_run(&control->loop, UV_RUN_DEFAULT);
    for (uint32_t i = 0; control->slots && i < control->n_slots; i++) wisp_fd_closep(&control->slots[i].listen_fd);
    return outcome(control, err);
}

int wisp_control_run(const struct wisp_control_options *options, struct wisp_err *err)
{
    assert(options->component.n_preopens <= WISP_CONTROL_DIRS_MAX);
    struct control control = {.options = options, .config_fd = -1};
    control.n_slots = options->n_workers ? options->n_workers : wisp_machine_cores();
    if (control.n_slots > WISP_CONTROL_WORKERS_MAX) control.n_slots = WISP_CONTROL_WORKERS_MAX;
    int r = uv_loop_init(&control.loop);
    if (r < 0) return wisp_err_os(err, -r, "start the event loop");
    r = wisp_launcher_new(&control.launcher, &control.loop, err);
    assert(r == 0); /* a timer on a fresh loop */
    control.supervisor = wisp_launcher_supervisor(control.launcher);
    uv_timer_init(&control.loop, &control.slow_start);
    control.slow_start.data = &control;
    r = wisp_stop_signals_init(&control.signals, &control.loop, on_stop, &control, err);
    if (r == 0) r = make_config(&control, err);
    if (r == 0) r = serve(&control, err);
    close_loop_handles(&control);
    uv_run(&control.loop, UV_RUN_DEFAULT);
    uv_loop_close(&control.loop);
    wisp_fd_closep(&control.config_fd);
    free(control.slots);
    return r;
}
