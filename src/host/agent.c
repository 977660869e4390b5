/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a host's control process: start, signals, clock, and the way out.
 *
 *     bus ─▶ state ─▶ lattice ─▶ (actions) ─▶ SIGTERM or host.stop ─▶ lattice says good-bye ─▶ workers drain ─▶ end
 */
#include "host/agent_priv.h"

#include "base/log.h"
#include "base/trim.h"
#include "host/admin.h"
#include "host/log_file.h"
#include "host/machine.h"
#include "host/providers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    LOG_CHECK_MS = 5000,
    USE_NOTED_MS = 3600 * 1000,
};

struct wisp_lattice_now wisp_agent_now(const struct wisp_agent *agent)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct wisp_lattice_now){.now_ms = uv_now(&agent->loop),
                                     .wall_ns = (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec};
}

void wisp_agent_fail(struct wisp_agent *agent, const struct wisp_err *err)
{
    if (agent->failure.kind || agent->is_stopping) return;
    agent->failure = *err;
    if (agent->fleet)
        wisp_agent_begin_stop(agent, 0);
    else
        uv_stop(&agent->loop);
}

/* --- clock --- */

static void on_tick(uv_timer_t *timer)
{
    struct wisp_agent *agent = timer->data;
    if (agent->lattice) wisp_lattice_on_tick(agent->lattice, wisp_agent_now(agent));
    wisp_agent_app_on_tick(agent);
}

/* Whatever happened in this turn of the loop may have left actions and moved the next deadline. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct wisp_agent *agent = prepare->data;
    if (!agent->lattice) return;
    wisp_agent_perform_all(agent);
    wisp_agent_app_perform_all(agent);
    uint64_t at = wisp_lattice_next_tick_ms(agent->lattice), app_at = wisp_agent_app_next_tick_ms(agent);
    uint64_t now = uv_now(&agent->loop);
    if (app_at < at) at = app_at;
    if (at == UINT64_MAX)
        uv_timer_stop(&agent->tick);
    else
        uv_timer_start(&agent->tick, on_tick, at > now ? at - now : 1, 0);
}

/* What is in a cache must still be there when a worker or a provider is started again. */
static void note_use(const char *path, void *env)
{
    const struct wisp_agent *agent = env;
    if (strncmp(path, agent->paths.cache, strlen(agent->paths.cache)) == 0) wisp_trim_note_use(-1, path);
}

static void on_log_check(uv_timer_t *timer)
{
    struct wisp_agent *agent = timer->data;
    if (agent->fleet) wisp_fleet_each_path(agent->fleet, note_use, agent);
    if (agent->providers) wisp_providers_each_path(agent->providers, note_use, agent);
    if (!agent->options->is_detached) return;
    int fd = wisp_log_file_rotate(agent->paths.log);
    if (fd >= 0 && agent->fleet) wisp_fleet_set_log(agent->fleet, fd);
}

/* --- signals --- */

/* Whoever stops the host over the lattice has asked already. */
static void on_stop(int number, bool insists, void *env)
{
    struct wisp_agent *agent = env;
    if (insists || agent->is_stopping) {
        agent->is_forced = true;
        wisp_supervisor_kill_all(wisp_launcher_supervisor(agent->launcher));
        return;
    }
    WISP_LOG(INFO, "host", "stopping: what is in flight is finished; the same signal again stops at once",
             WISP_INT("signal", number));
    if (agent->lattice)
        wisp_lattice_stop(agent->lattice, wisp_agent_now(agent));
    else
        wisp_agent_begin_stop(agent, 0);
}

/* --- life --- */

static int init_loop(struct wisp_agent *agent, struct wisp_err *err)
{
    int r = uv_loop_init(&agent->loop);
    if (r < 0) return wisp_err_os(err, -r, "start the event loop");
    uv_timer_init(&agent->loop, &agent->tick);
    uv_timer_init(&agent->loop, &agent->retry);
    uv_timer_init(&agent->loop, &agent->log_check);
    uv_prepare_init(&agent->loop, &agent->prepare);
    agent->tick.data = agent->retry.data = agent->log_check.data = agent->prepare.data = agent;
    uv_prepare_start(&agent->prepare, on_prepare);
    uint64_t check_ms = agent->options->is_detached ? LOG_CHECK_MS : USE_NOTED_MS;
    uv_timer_start(&agent->log_check, on_log_check, check_ms, check_ms);
    return wisp_stop_signals_init(&agent->signals, &agent->loop, on_stop, agent, err);
}

static void close_loop(struct wisp_agent *agent)
{
    wisp_stop_signals_close(&agent->signals);
    uv_close((uv_handle_t *)&agent->tick, NULL);
    uv_close((uv_handle_t *)&agent->retry, NULL);
    uv_close((uv_handle_t *)&agent->log_check, NULL);
    uv_close((uv_handle_t *)&agent->prepare, NULL);
    wisp_launcher_free(agent->launcher);
    uv_run(&agent->loop, UV_RUN_DEFAULT);
    uv_loop_close(&agent->loop);
}

static int write_pid(const struct wisp_agent *agent, struct wisp_err *err)
{
    char text[16];
    snprintf(text, sizeof text, "%d\n", (int)getpid());
    return wisp_paths_write(agent->paths.host, "pid", wisp_str_from(text), err);
}

/* Wherever the log is, `wisp logs` finds it where it always is. */
static int open_log(struct wisp_agent *agent, struct wisp_err *err)
{
    const char *given = agent->options->log_path;
    char usual[WISP_PATH_MAX], cwd[WISP_PATH_MAX] = "", old[WISP_PATH_MAX + 8];
    struct stat status;
    memcpy(usual, agent->paths.log, sizeof usual);
    snprintf(old, sizeof old, "%s.1", usual);
    bool is_there = lstat(usual, &status) == 0;
    if (is_there && S_ISLNK(status.st_mode)) unlink(usual);
    if (!given) return wisp_log_file_open(usual, err);
    if (is_there && S_ISREG(status.st_mode)) rename(usual, old);
    if (*given != '/' && !getcwd(cwd, sizeof cwd)) return wisp_err_os(err, errno, "current directory");
    int n = snprintf(agent->paths.log, sizeof agent->paths.log, "%s%s%s", cwd, *cwd ? "/" : "", given);
    if (n >= (int)sizeof agent->paths.log) return wisp_err_set(err, WISP_ERR_INVALID, "log file: the path is too long");
    int r = wisp_log_file_open(agent->paths.log, err);
    return r == 0 && symlink(agent->paths.log, usual) < 0 ? wisp_err_os(err, errno, "link `%s`", usual) : r;
}

static int start(struct wisp_agent *agent, struct wisp_err *err)
{
    struct wisp_oci_options artifacts = agent->options->artifacts;
    if (!artifacts.cache_dir) artifacts.cache_dir = agent->paths.cache;
    int r = wisp_secrets_new(&agent->secrets, &agent->loop, &agent->options->secrets, err);
    if (r == 0) r = wisp_agent_telemetry_open(agent, err);
    if (r == 0) r = wisp_oci_client_new(&agent->artifacts, &agent->loop, &artifacts, err);
    if (r == 0) r = wisp_launcher_new(&agent->launcher, &agent->loop, err);
    const struct wisp_providers_options providers = {agent->options->provider_failed_after,
                                                     agent->options->provider_restart_max_ms};
    if (r == 0)
        r = wisp_providers_new(&agent->providers, &agent->loop, wisp_launcher_supervisor(agent->launcher), &providers,
                               err);
    if (r == 0 && agent->options->admin_address)
        r = wisp_admin_new(&agent->admin, &agent->loop, agent->options->admin_address, err);
    if (r == 0) r = wisp_agent_bus_open(agent, err);
    return r;
}

static int outcome(const struct wisp_agent *agent, struct wisp_err *err)
{
    if (agent->failure.kind) {
        if (err) *err = agent->failure;
        return -(int)agent->failure.kind;
    }
    if (agent->is_forced) return wisp_err_set(err, WISP_ERR_CANCELLED, "stopped before what was in flight was finished");
    return 0;
}

static void free_parts(struct wisp_agent *agent)
{
    wisp_admin_free(agent->admin);
    wisp_agent_subscriptions_clear(&agent->subscriptions);
    wisp_agent_app_unsubscribe(agent);
    wisp_agent_bus_close(agent);
    wisp_fleet_free(agent->fleet);
    wisp_providers_free(agent->providers);
    wisp_oci_client_free(agent->artifacts);
    wisp_secrets_free(agent->secrets);
    wisp_agent_pending_free(agent);
    wisp_agent_app_free(agent);
    wisp_lattice_free(agent->lattice);
    wisp_telemetry_free(agent->telemetry);
}

int wisp_agent_run(const struct wisp_agent_options *options, struct wisp_err *err)
{
    struct wisp_agent *agent = wisp_mem_calloc(1, sizeof *agent);
    agent->options = options;
    wisp_ring_init(&agent->pending);
    int r = wisp_paths_init(&agent->paths, options->state_dir, options->lattice.lattice, err);
    if (r == 0) r = wisp_paths_claim_host(&agent->paths, err);
    if (r == 0) r = write_pid(agent, err);
    if (r == 0 && options->is_detached) r = open_log(agent, err);
    if (r == 0) r = init_loop(agent, err);
    if (r == 0) {
        r = start(agent, err);
        if (r == 0) {
            uv_run(&agent->loop, UV_RUN_DEFAULT);
            wisp_agent_telemetry_finish(agent);
            r = outcome(agent, err);
        }
        free_parts(agent);
        close_loop(agent);
    }
    if (agent->paths.lock_fd >= 0) {
        char path[WISP_PATH_MAX + 8];
        snprintf(path, sizeof path, "%s/pid", agent->paths.host);
        unlink(path);
    }
    wisp_paths_deinit(&agent->paths);
    free(agent);
    return r;
}
