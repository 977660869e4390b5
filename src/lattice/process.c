/* SPDX-License-Identifier: Apache-2.0 */
/* What the process of a provider does once it was started: it answers to health checks or not, ends unasked, is started
 * again with everything resolved anew.
 *
 *     EXITED  provider_exited [, provider_failed]
 *     DUE     host data, for as long as it takes ─ PROVIDER_RESTART_READY ─ UP ─ provider_restarted
 *
 * When it is due, and how often that may go wrong, is for whoever runs the process (supervise/lifecycle.h). The
 * original knows no such events; its clients ignore what they don't know. A process that doesn't answer to several
 * health checks in a row hangs, unless the bus is away; any answer counts as one, also that it is not healthy. */
#include "lattice/lattice_priv.h"

#include "base/log.h"

enum {
    HEALTH_FIRST_MS = 5000,
    HEALTH_SPREAD = 8, /* an interval is up to an eighth shorter, so that many don't answer at the same time */
    HEALTH_TICKS = 30, /* of an interval: all that are due within one are asked together, which wakes the host once */
    RESTART_FIRST_MS = 200,
    RESTART_MAX_MS = 30000,
};

#define CONFINE_PREFIX WISP_STR("wisp.confine.")

/* --- health --- */

static void health_due(struct wisp_lattice_timer *timer, void *env);

static void note_silence(struct wisp_lattice_unit *unit)
{
    struct wisp_lattice *lattice = unit->lattice;
    if (!lattice->is_connected || ++unit->n_silent < lattice->hung_after) return;
    const char *text =
        wisp_arena_printf(&lattice->arena, "no answer to %u health checks in a row", (unsigned)unit->n_silent);
    wisp_lattice_process_unwatch(unit);
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_PROVIDER_HANG);
    action->provider.id = wisp_lattice_keep(lattice, wisp_lattice_unit_id(unit));
    action->text = wisp_str_from(text);
}

static void take_health(struct wisp_lattice_unit *unit, bool is_healthy)
{
    const char *name = is_healthy == unit->is_healthy ? "health_check_status"
                       : is_healthy                   ? "health_check_passed"
                                                      : "health_check_failed";
    unit->is_healthy = is_healthy;
    unit->is_failed &= !is_healthy;
    wisp_lattice_event(unit->lattice, name, wisp_lattice_provider_data(unit));
    if (unit->was_checked) return;
    unit->was_checked = true;
    wisp_lattice_deliveries_repeat(unit);
}

static void on_health(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_unit *unit = env;
    WISP_CLEANUP_JSON json_t *reply = NULL;
    struct wisp_err err = done->err;
    bool is_silent = err.kind != WISP_ERR_NONE;
    if (!is_silent &&
        (wisp_json_parse(done->reply.payload, &reply, NULL) < 0 || !json_is_boolean(json_object_get(reply, "healthy"))))
        wisp_err_set(&err, WISP_ERR_INVALID, "its answer is not {\"healthy\": true or false}");
    if (err.kind)
        wisp_lattice_log(unit->lattice, WISP_LOG_WARN, "provider `%.*s` gave no health: %s",
                         WISP_STR_ARG(wisp_lattice_unit_id(unit)), err.text);
    if (is_silent) {
        note_silence(unit);
        return;
    }
    unit->n_silent = 0;
    if (!err.kind) take_health(unit, wisp_json_bool(reply, "healthy", false));
}

static void arm_health(struct wisp_lattice_unit *unit, uint64_t after_ms)
{
    wisp_lattice_timer_arm(unit->lattice, &unit->health, after_ms, health_due, unit);
}

static uint64_t until_next_health_ms(struct wisp_lattice *lattice)
{
    uint64_t interval_ms = lattice->health_interval_ms, tick_ms = interval_ms / HEALTH_TICKS + 1;
    uint64_t after_ms = interval_ms - wisp_lattice_random(lattice) % (interval_ms / HEALTH_SPREAD + 1);
    uint64_t into_tick_ms = (lattice->now.now_ms + after_ms) % tick_ms;
    return after_ms > into_tick_ms ? after_ms - into_tick_ms : after_ms;
}

static void health_due(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    struct wisp_lattice_unit *unit = env;
    struct wisp_lattice *lattice = unit->lattice;
    arm_health(unit, until_next_health_ms(lattice));
    if (!lattice->is_connected || wisp_lattice_call_is_open(&unit->health_call)) return;
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_REQUEST);
    action->subject = wisp_lattice_rpc_subject(lattice, wisp_lattice_unit_id(unit), "health");
    action->timeout_ms = lattice->rpc_timeout_ms;
    wisp_lattice_call_begin(lattice, &unit->health_call, action, on_health, unit);
}

void wisp_lattice_process_watch(struct wisp_lattice_unit *unit)
{
    uint64_t interval_ms = unit->lattice->health_interval_ms;
    unit->is_down = false;
    unit->n_silent = 0;
    arm_health(unit, interval_ms < HEALTH_FIRST_MS ? interval_ms : HEALTH_FIRST_MS);
}

void wisp_lattice_process_unwatch(struct wisp_lattice_unit *unit)
{
    unit->was_checked = false;
    unit->n_silent = 0;
    wisp_lattice_timer_disarm(unit->lattice, &unit->health);
    wisp_lattice_call_forget(unit->lattice, &unit->health_call);
}

/* --- an exit that nobody asked for --- */

static json_t *exit_data(const struct wisp_lattice_unit *unit, const struct wisp_lattice_provider_report *report)
{
    json_t *data = wisp_lattice_provider_data(unit), *output = json_array();
    if (report->has_run && report->signal_number)
        json_object_set_new(data, "signal", json_integer(report->signal_number));
    else if (report->has_run)
        json_object_set_new(data, "status", json_integer(report->exit_status));
    if (report->reason) json_object_set_new(data, "reason", wisp_json_text(wisp_str_from(report->reason)));
    json_object_set_new(data, "ran_ms", json_integer((json_int_t)report->ran_ms));
    json_object_set_new(data, "failures", json_integer(report->failures));
    json_object_set_new(data, "restart_in_ms", json_integer((json_int_t)report->pause_ms));
    for (size_t i = 0; i < report->n_output; i++) json_array_append_new(output, wisp_json_text(report->output[i]));
    json_object_set_new(data, "last_output", output);
    return data;
}

static void note_exit(struct wisp_lattice_unit *unit, const struct wisp_lattice_provider_report *report)
{
    struct wisp_lattice *lattice = unit->lattice;
    bool is_new_failure = report->is_failed && !unit->is_failed;
    wisp_lattice_process_unwatch(unit);
    unit->awaits_up = false;
    if (!unit->is_down) unit->ended_ms = lattice->now.now_ms;
    unit->is_down = true;
    unit->is_failed = report->is_failed;
    unit->n_failures = report->failures;
    wisp_lattice_event(lattice, "provider_exited", exit_data(unit, report));
    if (!is_new_failure) return;
    wisp_lattice_event(lattice, "provider_failed", exit_data(unit, report));
    wisp_lattice_log(lattice, WISP_LOG_ERROR,
                     "provider `%.*s` has failed: it ended %u times in a row; it is tried again rarely from now on",
                     WISP_STR_ARG(wisp_lattice_unit_id(unit)), (unsigned)report->failures);
}

static void note_up(struct wisp_lattice_unit *unit)
{
    struct wisp_lattice *lattice = unit->lattice;
    if (!unit->awaits_up) return;
    unit->awaits_up = false;
    unit->n_restarts++;
    wisp_lattice_process_watch(unit);
    wisp_lattice_provider_publish_config(unit);
    json_t *data = wisp_lattice_provider_data(unit);
    json_object_set_new(data, "restarts", json_integer(unit->n_restarts));
    json_object_set_new(data, "failures", json_integer(unit->n_failures));
    json_object_set_new(data, "was_away_ms", json_integer((json_int_t)(lattice->now.now_ms - unit->ended_ms)));
    wisp_lattice_event(lattice, "provider_restarted", data);
}

/* --- RESTART --- */

static void data_ready(struct wisp_lattice_job *job, const struct wisp_err *err);

static void try_again(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    wisp_lattice_host_data_begin(env, data_ready);
}

/* A secrets backend that is away must not end the provider for good. */
static void data_ready(struct wisp_lattice_job *job, const struct wisp_err *err)
{
    struct wisp_lattice_unit *unit = job->unit;
    struct wisp_lattice *lattice = unit->lattice;
    if (err) {
        wisp_lattice_log(lattice, WISP_LOG_ERROR, "provider `%.*s` can't be started again yet: %s",
                         WISP_STR_ARG(wisp_lattice_unit_id(unit)), err->text);
        uint64_t pause = wisp_lattice_backoff_ms(lattice, ++job->tries, RESTART_FIRST_MS, RESTART_MAX_MS);
        wisp_lattice_timer_arm(lattice, &job->timer, pause, try_again, job);
        return;
    }
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_PROVIDER_RESTART_READY);
    wisp_lattice_host_data_fill(job, action);
    wisp_lattice_job_adopt(job);
    unit->awaits_up = true;
    wisp_lattice_job_end(job);
}

void wisp_lattice_process_restart(struct wisp_lattice_job *job) { wisp_lattice_host_data_begin(job, data_ready); }

/* --- news --- */

static bool has_job(const struct wisp_lattice_unit *unit, enum wisp_lattice_job_kind kind)
{
    WISP_RING_EACH(at, &unit->jobs)
    {
        if (WISP_OWNER(at, struct wisp_lattice_job, turn)->kind == kind) return true;
    }
    return false;
}

void wisp_lattice_process_news_heard(struct wisp_lattice_unit *unit, enum wisp_lattice_provider_news news,
                                     const struct wisp_lattice_provider_report *report)
{
    if (unit->kind != WISP_LATTICE_PROVIDER || !unit->is_running || has_job(unit, WISP_LATTICE_STOP)) return;
    if (news == WISP_LATTICE_PROVIDER_UP)
        note_up(unit);
    else if (news == WISP_LATTICE_PROVIDER_EXITED)
        note_exit(unit, report);
    else if (!has_job(unit, WISP_LATTICE_RESTART) && wisp_lattice_job_new(unit, WISP_LATTICE_RESTART))
        wisp_lattice_unit_go_on(unit);
}

json_t *wisp_lattice_process_state(const struct wisp_lattice_unit *unit)
{
    if (unit->kind != WISP_LATTICE_PROVIDER || (!unit->is_down && !unit->n_restarts)) return NULL;
    const char *state = unit->is_failed ? "failed" : unit->is_down ? "restarting" : "running";
    return json_pack("{s:s, s:I}", "state", state, "restarts", (json_int_t)unit->n_restarts);
}

/* --- confinement --- */

static void take_confined(json_t *confine, const json_t *from)
{
    void *at = json_object_iter((json_t *)(uintptr_t)from);
    for (; at; at = json_object_iter_next((json_t *)(uintptr_t)from, at)) {
        struct wisp_str key = wisp_str_from(json_object_iter_key(at));
        if (!wisp_str_starts_with(key, CONFINE_PREFIX) || !json_is_string(json_object_iter_value(at))) continue;
        json_object_set(confine, key.ptr + CONFINE_PREFIX.len, json_object_iter_value(at));
    }
}

json_t *wisp_lattice_confine_take(json_t *config, const json_t *annotations)
{
    json_t *confine = json_object(), *value;
    const char *key;
    void *next;
    take_confined(confine, config);
    take_confined(confine, annotations);
    json_object_foreach_safe(config, next, key, value)
    {
        if (wisp_str_starts_with(wisp_str_from(key), CONFINE_PREFIX)) json_object_del(config, key);
    }
    if (json_object_size(confine)) return confine;
    json_decref(confine);
    return NULL;
}

int wisp_lattice_confine_refuse(const json_t *confine, struct wisp_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)confine, key, value)
    {
        (void)value;
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED,
                            "`wisp.confine.%s`: a built-in provider has no process of its own that could be confined",
                            key);
    }
    return 0;
}
