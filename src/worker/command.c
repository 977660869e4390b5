/* SPDX-License-Identifier: Apache-2.0 */
/* One run of a command component, in the foreground. */
#include "worker/alone.h"
#include "worker/program.h"
#include "worker/surroundings.h"

#include "wasi/http.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

struct command {
    const struct wisp_worker_component *what;
    struct wisp_surroundings surroundings;
    struct wisp_runtime runtime;
    struct wisp_program program;
    const struct wisp_linked_export *entry;
    uv_loop_t loop;
    uv_timer_t deadline;
    struct wisp_alone alone;
    struct wisp_wasi wasi;
    struct wisp_wasi_http *http;
    struct wisp_instance *instance;
    uint32_t result; /* of run: 0 ok, 1 error */
    bool is_woken, is_expired;
    struct wisp_err err; /* of the guest */
};

static void on_wake(struct wisp_instance *instance, void *context)
{
    (void)instance;
    struct command *command = WISP_OWNER(context, struct command, wasi);
    command->is_woken = true;
}

static void on_deadline(uv_timer_t *timer) { ((struct command *)timer->data)->is_expired = true; }

/* False when the guest waits for something that can't come any more. */
static bool wait_for_wake(struct command *command)
{
    while (!command->is_woken && !command->is_expired) {
        if (!uv_loop_alive(&command->loop)) return false;
        uv_run(&command->loop, UV_RUN_ONCE);
    }
    command->is_woken = false;
    return true;
}

/* Until the guest's function has returned, failed, or run out of time. */
static enum wisp_instance_state run_to_end(struct command *command)
{
    enum wisp_instance_state state =
        wisp_instance_call(command->instance, command->entry, NULL, &command->result, &command->err);
    for (;;) {
        if (state == WISP_INSTANCE_PREEMPTED) {
            uv_run(&command->loop, UV_RUN_NOWAIT);
        } else if (state != WISP_INSTANCE_SUSPENDED) {
            return state;
        } else if (!wait_for_wake(command)) {
            wisp_err_set(&command->err, WISP_ERR_GUEST, "it waits for something that can never happen");
            return WISP_INSTANCE_FAILED;
        }
        if (command->is_expired) return state;
        state = wisp_instance_resume(command->instance);
    }
}

static int exit_code(struct command *command, enum wisp_instance_state state)
{
    const char *name = command->what->name;
    if (command->is_expired && (state == WISP_INSTANCE_SUSPENDED || state == WISP_INSTANCE_PREEMPTED)) {
        fprintf(stderr, "wisp: `%s` was stopped: not done within %llu ms\n", name,
                (unsigned long long)command->what->limits.timeout_ms);
        return WISP_WORKER_EXIT_TIMEOUT;
    }
    if (command->wasi.has_exited) return command->wasi.exit_code;
    if (state == WISP_INSTANCE_DONE) return command->result == 0 ? 0 : 1;
    fprintf(stderr, "wisp: `%s` trapped: %s\n", name, command->err.text);
    if (command->instance) fputs(wisp_instance_backtrace(command->instance), stderr);
    return WISP_WORKER_EXIT_TRAP;
}

static int run(struct command *command)
{
    const struct wisp_worker_limits *limits = &command->what->limits;
    wisp_wasi_init(&command->wasi, &command->surroundings.config, &command->loop);
    wisp_alone_init(&command->alone, &command->loop);
    command->wasi.outside = &command->alone.outside;
    wisp_wasi_http_attach(command->http, &command->wasi, NULL);
    if (limits->timeout_ms) uv_timer_start(&command->deadline, on_deadline, limits->timeout_ms, 0);

    const struct wisp_instance_options options = {
        .context = &command->wasi,
        .memory_bytes_max = limits->memory_bytes_max,
        .on_wake = on_wake,
    };
    enum wisp_instance_state state = WISP_INSTANCE_FAILED;
    if (wisp_instance_new(&command->instance, command->program.linked, &options, &command->err) == 0) {
        command->wasi.instance = command->instance;
        state = run_to_end(command);
    }
    int code = exit_code(command, state);
    wisp_instance_free(command->instance);
    wisp_wasi_http_reset(command->http);
    wisp_wasi_deinit(&command->wasi);
    (void)wisp_alone_close(&command->alone, NULL, NULL); /* in the loop's last turns */
    return code;
}

static int prepare(struct command *command, const char *cache_dir, struct wisp_err *err)
{
    const struct wisp_worker_component *what = command->what;
    int r = wisp_runtime_init(&command->runtime, NULL, err);
    if (r == 0) r = wisp_surroundings_init(&command->surroundings, what, err);
    if (r == 0) r = wisp_program_load(&command->program, what->path, err);
    if (r == 0) r = wisp_program_check_memory(&command->program, what->limits.memory_bytes_max, err);
    const struct wisp_wasm_engine_options engine = {
        .instances_max = 1, .memory_bytes_max = what->limits.memory_bytes_max, .cache_dir = cache_dir};
    if (r == 0) r = wisp_runtime_start_for(&command->runtime, command->program.component, &engine, err);
    if (r == 0) r = wisp_program_link(&command->program, &command->runtime, err);
    if (r == 0) command->entry = wisp_program_entry(&command->program, WISP_PROGRAM_COMMAND, err);
    if (r == 0 && !command->entry) r = -WISP_ERR_INVALID;
    if (r < 0) (void)wisp_err_wrap(err, "component `%s`", what->name);
    return r;
}

int wisp_worker_command_run(const struct wisp_worker_component *component, const char *cache_dir, int *ret_exit_code,
                            struct wisp_err *err)
{
    struct command command = {.what = component};
    signal(SIGPIPE, SIG_IGN);
    int r = prepare(&command, cache_dir, err);
    if (r == 0) {
        struct wisp_wasi_config *config = &command.surroundings.config;
        config->stdin_fd = STDIN_FILENO;
        config->stdout_fd = STDOUT_FILENO;
        config->stderr_fd = STDERR_FILENO;
        command.http = wisp_wasi_http_new();
        uv_loop_init(&command.loop);
        uv_timer_init(&command.loop, &command.deadline);
        command.deadline.data = &command;
        *ret_exit_code = run(&command);
        uv_close((uv_handle_t *)&command.deadline, NULL);
        uv_run(&command.loop, UV_RUN_DEFAULT);
        uv_loop_close(&command.loop);
        wisp_alone_deinit(&command.alone);
        wisp_wasi_http_free(command.http);
    }
    wisp_program_deinit(&command.program);
    wisp_surroundings_deinit(&command.surroundings);
    wisp_runtime_deinit(&command.runtime);
    return r;
}
