/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise/launcher.h"

#include "base/mem.h"
#include "supervise/spawner.h"

#include <stdlib.h>
#include <sys/random.h>

struct wisp_launcher {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct wisp_spawner *spawner;
    struct wisp_supervisor *supervisor;
};

/* --- what a process does goes to its child --- */

static void on_line(void *env, struct wisp_str line) { wisp_child_said(env, line); }
static void on_output(void *env, struct wisp_str line) { wisp_child_printed(env, line); }
static void on_exit_status(void *env, int wait_status) { wisp_child_exited(env, wait_status); }

static void on_started(void *env, pid_t pid) { wisp_child_started(env, pid); }
static void on_failed(void *env, const struct wisp_err *err) { wisp_child_unstartable(env, err); }

static void on_out_of_memory(void *env, uint64_t limit_bytes) { wisp_child_ran_out(env, limit_bytes); }

static const struct wisp_process_handler process_handler = {
    .on_line = on_line,
    .on_output = on_output,
    .on_exit = on_exit_status,
    .on_out_of_memory = on_out_of_memory,
    .on_started = on_started,
    .on_failed = on_failed,
};

/* --- the world --- */

static uint64_t now_ms(void *env)
{
    (void)env;
    return uv_hrtime() / 1000000;
}

static void on_timer(uv_timer_t *timer)
{
    struct wisp_launcher *launcher = timer->data;
    wisp_supervisor_tick(launcher->supervisor);
}

static void wake_at(void *env, uint64_t at_ms)
{
    struct wisp_launcher *launcher = env;
    if (!at_ms) {
        uv_timer_stop(&launcher->timer);
        return;
    }
    uint64_t now = now_ms(env);
    /* The loop counts from when it last looked at the clock. */
    uv_update_time(launcher->loop);
    uv_timer_start(&launcher->timer, on_timer, at_ms > now ? at_ms - now : 0, 0);
}

static int spawn(void *env, struct wisp_child *child, struct wisp_child_process *ret_process, struct wisp_err *err)
{
    struct wisp_launcher *launcher = env;
    struct wisp_process_spec spec = {0};
    int r = wisp_child_prepare(child, &spec, err);
    if (r < 0) return r;
    struct wisp_process *process;
    r = wisp_process_start(&process, launcher->spawner, launcher->loop, &spec, &process_handler, child, err);
    if (r < 0) return r;
    *ret_process = (struct wisp_child_process){process, wisp_process_has_control(process)};
    return 0;
}

static void tell(void *env, void *handle, const char *line)
{
    (void)env;
    wisp_process_tell(handle, line);
}

static void send_signal(void *env, void *handle, int signal_number)
{
    (void)env;
    wisp_process_signal(handle, signal_number);
}

static const struct wisp_supervisor_world world = {now_ms, wake_at, spawn, tell, send_signal};

/* --- life --- */

static void on_timer_closed(uv_handle_t *handle) { free(handle->data); }

int wisp_launcher_new(struct wisp_launcher **ret_launcher, uv_loop_t *loop, struct wisp_err *err)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) seed = uv_hrtime();
    struct wisp_launcher *launcher = wisp_mem_calloc(1, sizeof *launcher);
    int r = uv_timer_init(loop, &launcher->timer);
    if (r < 0) {
        free(launcher);
        return wisp_err_os(err, -r, "start a timer");
    }
    launcher->timer.data = launcher;
    r = wisp_spawner_new(&launcher->spawner, loop, err);
    if (r < 0) {
        uv_close((uv_handle_t *)&launcher->timer, on_timer_closed);
        return r;
    }
    wisp_spawn_take_all_descriptors();
    launcher->loop = loop;
    launcher->supervisor = wisp_supervisor_new(&world, launcher, seed);
    *ret_launcher = launcher;
    return 0;
}

void wisp_launcher_free(struct wisp_launcher *launcher)
{
    if (!launcher) return;
    wisp_supervisor_free(launcher->supervisor);
    wisp_spawner_free(launcher->spawner);
    uv_close((uv_handle_t *)&launcher->timer, on_timer_closed);
}

struct wisp_supervisor *wisp_launcher_supervisor(struct wisp_launcher *launcher) { return launcher->supervisor; }
