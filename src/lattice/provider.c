/* SPDX-License-Identifier: Apache-2.0 */
/* Providers: start, stop, new data for a restart, health; and the built-in HTTP server, a provider without a process.
 *
 *     START    FETCH ─ policy ─ claims and spec ─ host data ─ PROVIDER_START ─ provider_started
 *     START    of a built-in one: policy ─ spec ─ config ─ provider_started, health_check_passed
 *     STOP     shutdown request ─ PROVIDER_STOP ─ provider_stopped, answer
 *     RESTART  host data, for as long as it takes ─ PROVIDER_RESTART_READY
 *
 * The original tells of no health of built-in providers; deployment managers wait for it, so ours is told once. A start
 * that is still under way can be stopped, and says that it failed. */
#include "lattice/lattice_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    HEALTH_FIRST_MS = 5000,
    HEALTH_INTERVAL_MS = 30000,
    RESTART_FIRST_MS = 1000,
    RESTART_MAX_MS = 30000,
};

/* --- events --- */

static json_t *event_data(const struct wisp_lattice_unit *unit)
{
    json_t *data = json_object();
    json_object_set_new(data, "host_id", json_string(unit->lattice->host_id));
    json_object_set_new(data, "provider_id", wisp_json_text(wisp_lattice_unit_id(unit)));
    return data;
}

static void set_identity(json_t *data, const struct wisp_lattice_unit *unit)
{
    json_object_set_new(data, "instance_id", wisp_json_text(wisp_lattice_unit_id(unit)));
    json_object_set_new(data, "public_key", wisp_json_text(wisp_lattice_unit_id(unit)));
    json_object_set_new(data, "link_name", json_string("default"));
}

static void tell_started(const struct wisp_lattice_unit *unit)
{
    json_t *data = event_data(unit);
    json_object_set_new(data, "image_ref", wisp_json_text(wisp_str_from(unit->plain_reference)));
    json_object_set(data, "annotations", unit->annotations);
    if (unit->claims) {
        json_object_set_new(data, "claims", wisp_lattice_provider_claims(unit->claims));
        set_identity(data, unit);
    }
    wisp_lattice_event(unit->lattice, "provider_started", data);
}

static void tell_stopped(const struct wisp_lattice_unit *unit)
{
    json_t *data = event_data(unit);
    json_object_set(data, "annotations", unit->annotations);
    json_object_set_new(data, "reason", json_string("stop"));
    set_identity(data, unit);
    wisp_lattice_event(unit->lattice, "provider_stopped", data);
}

static void tell_failed(const struct wisp_lattice_job *job, const char *error)
{
    const struct wisp_lattice_unit *unit = job->unit;
    json_t *data = event_data(unit);
    json_object_set_new(data, "provider_ref", wisp_json_text(wisp_str_from(job->reference)));
    json_object_set_new(data, "error", wisp_json_text(wisp_str_from(error)));
    json_object_set_new(data, "link_name", json_string("default"));
    wisp_lattice_event(unit->lattice, "provider_start_failed", data);
    wisp_lattice_log(unit->lattice, WISP_LOG_ERROR, "provider `%.*s` could not be started: %s",
                     WISP_STR_ARG(wisp_lattice_unit_id(unit)), error);
}

static void fail(struct wisp_lattice_job *job, const struct wisp_err *err)
{
    tell_failed(job, err->text);
    wisp_lattice_job_end(job);
}

/* --- config --- */

static void publish_config(struct wisp_lattice_unit *unit)
{
    struct wisp_lattice *lattice = unit->lattice;
    wisp_lattice_publish(lattice, wisp_lattice_rpc_subject(lattice, wisp_lattice_unit_id(unit), "config.update"),
                         unit->config);
}

void wisp_lattice_provider_config_changed(struct wisp_lattice_unit *unit)
{
    WISP_CLEANUP_JSON json_t *config = NULL;
    if (!unit->is_running || wisp_lattice_config_merge(unit->lattice, unit->config_names, true, &config, NULL) < 0 ||
        json_equal(config, unit->config))
        return;
    json_decref(unit->config);
    unit->config = WISP_TAKE(config);
    if (unit->kind == WISP_LATTICE_HTTP_SERVER)
        wisp_lattice_routes_touch(unit->lattice);
    else
        publish_config(unit);
}

/* --- health --- */

static void health_due(struct wisp_lattice_timer *timer, void *env);

static void on_health(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_unit *unit = env;
    struct wisp_lattice *lattice = unit->lattice;
    WISP_CLEANUP_JSON json_t *reply = NULL;
    struct wisp_err err = done->err;
    if (!err.kind &&
        (wisp_json_parse(done->reply.payload, &reply, NULL) < 0 || !json_is_boolean(json_object_get(reply, "healthy"))))
        wisp_err_set(&err, WISP_ERR_INVALID, "its answer is not {\"healthy\": true or false}");
    if (err.kind) {
        wisp_lattice_log(lattice, WISP_LOG_WARN, "provider `%.*s` gave no health: %s",
                         WISP_STR_ARG(wisp_lattice_unit_id(unit)), err.text);
        return;
    }
    bool is_healthy = wisp_json_bool(reply, "healthy", false);
    const char *name = is_healthy == unit->is_healthy ? "health_check_status"
                       : is_healthy                   ? "health_check_passed"
                                                      : "health_check_failed";
    unit->is_healthy = is_healthy;
    wisp_lattice_event(lattice, name, event_data(unit));
    if (unit->was_checked) return;
    unit->was_checked = true;
    wisp_lattice_deliveries_repeat(unit);
}

static void arm_health(struct wisp_lattice_unit *unit, uint64_t after_ms)
{
    wisp_lattice_timer_arm(unit->lattice, &unit->health, after_ms, health_due, unit);
}

static void health_due(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    struct wisp_lattice_unit *unit = env;
    struct wisp_lattice *lattice = unit->lattice;
    arm_health(unit, HEALTH_INTERVAL_MS);
    if (!lattice->is_connected || wisp_lattice_call_is_open(&unit->health_call)) return;
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_REQUEST);
    action->subject = wisp_lattice_rpc_subject(lattice, wisp_lattice_unit_id(unit), "health");
    action->timeout_ms = lattice->rpc_timeout_ms;
    wisp_lattice_call_begin(lattice, &unit->health_call, action, on_health, unit);
}

/* --- START --- */

static void started(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    wisp_lattice_job_adopt(job);
    unit->is_running = true;
    wisp_lattice_restored(unit);
    wisp_lattice_save_touch(unit->lattice);
    tell_started(unit);
    if (unit->kind == WISP_LATTICE_HTTP_SERVER) {
        wisp_lattice_event(unit->lattice, "health_check_passed", event_data(unit));
        wisp_lattice_routes_touch(unit->lattice);
    } else {
        arm_health(unit, HEALTH_FIRST_MS);
        publish_config(unit);
        wisp_lattice_deliveries_repeat(unit);
    }
    wisp_lattice_provider_config_changed(unit); /* in case it has on the way */
    wisp_lattice_job_end(job);
}

static void process_started(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_job *job = env;
    if (done->err.kind)
        fail(job, &done->err);
    else
        started(job);
}

static void host_data_ready(struct wisp_lattice_job *job, const struct wisp_err *err)
{
    struct wisp_lattice *lattice = job->unit->lattice;
    if (err) {
        fail(job, err);
        return;
    }
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_PROVIDER_START);
    wisp_lattice_host_data_fill(job, action);
    job->is_at_process = true;
    wisp_lattice_call_begin(lattice, &job->call, action, process_started, job);
}

static void config_resolved(struct wisp_lattice_resolve *resolve, const struct wisp_err *err, void *env)
{
    struct wisp_lattice_job *job = env;
    if (err) {
        fail(job, err);
        return;
    }
    job->config = WISP_TAKE(resolve->config);
    struct wisp_err mode_err = {0};
    if (wisp_lattice_routing_mode_check(job->config, &mode_err) < 0)
        fail(job, &mode_err);
    else
        started(job);
}

static void permitted(struct wisp_lattice_policy *policy, const struct wisp_err *err, void *env)
{
    (void)policy;
    struct wisp_lattice_job *job = env;
    struct wisp_lattice_unit *unit = job->unit;
    struct wisp_lattice *lattice = unit->lattice;
    if (err) {
        fail(job, err);
        return;
    }
    if (job->claims) wisp_lattice_claims_store(lattice, job->claims, true);
    wisp_lattice_unit_store_spec(unit, job->reference);
    if (unit->kind == WISP_LATTICE_HTTP_SERVER) {
        wisp_lattice_resolve_begin(lattice, &job->resolve, job->config_names, NULL, job->annotations, false,
                                   config_resolved, job);
        return;
    }
    wisp_lattice_make_key(lattice, WISP_NKEY_CURVE, &unit->xkey);
    wisp_nkey_public_text(&unit->xkey, unit->xkey_text);
    wisp_lattice_host_data_begin(job, host_data_ready);
}

static void fetched(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_job *job = env;
    if (done->err.kind) {
        fail(job, &done->err);
        return;
    }
    wisp_lattice_job_take_artifact(job, done);
    wisp_lattice_policy_begin(job->unit->lattice, &job->policy, job, permitted, job);
}

static void begin_start(struct wisp_lattice_job *job)
{
    if (job->unit->kind == WISP_LATTICE_PROVIDER) {
        wisp_lattice_job_fetch(job, true, fetched);
        return;
    }
    job->plain_reference = wisp_mem_dup(WISP_STR("http-server"));
    wisp_lattice_policy_begin(job->unit->lattice, &job->policy, job, permitted, job);
}

/* --- STOP --- */

static void stopped(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    struct wisp_lattice *lattice = unit->lattice;
    unit->is_running = false;
    wisp_lattice_save_touch(lattice);
    tell_stopped(unit);
    wisp_lattice_answer(lattice, &job->reply, "successfully stopped provider", NULL);
    bool is_http_server = unit->kind == WISP_LATTICE_HTTP_SERVER;
    wisp_lattice_job_end(job);
    if (is_http_server) wisp_lattice_routes_touch(lattice);
}

static void process_stopped(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_job *job = env;
    if (done->err.kind && done->err.kind != WISP_ERR_NOT_FOUND) {
        wisp_lattice_refuse(job->unit->lattice, &job->reply, done->err.text);
        wisp_lattice_job_end(job);
        return;
    }
    stopped(job);
}

static void shutdown_asked(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_job *job = env;
    struct wisp_lattice *lattice = job->unit->lattice;
    struct wisp_str id = wisp_lattice_unit_id(job->unit);
    if (done->err.kind)
        wisp_lattice_log(lattice, WISP_LOG_WARN, "provider `%.*s` did not answer to its shutdown: %s", WISP_STR_ARG(id),
                         done->err.text);
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_PROVIDER_STOP);
    action->provider.id = wisp_lattice_keep(lattice, id);
    wisp_lattice_call_begin(lattice, &job->call, action, process_stopped, job);
}

static void begin_stop(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    struct wisp_lattice *lattice = unit->lattice;
    if (!unit->is_running) {
        if (job->has_aborted)
            wisp_lattice_answer(lattice, &job->reply, "successfully stopped provider", NULL);
        else
            wisp_lattice_refuse(lattice, &job->reply, "provider with that ID is not running");
        wisp_lattice_job_end(job);
        return;
    }
    if (unit->kind == WISP_LATTICE_HTTP_SERVER) {
        stopped(job);
        return;
    }
    wisp_lattice_timer_disarm(lattice, &unit->health);
    wisp_lattice_call_forget(lattice, &unit->health_call);
    WISP_CLEANUP_JSON json_t *payload = json_pack("{s:s}", "host_id", lattice->host_id);
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_REQUEST);
    action->subject = wisp_lattice_rpc_subject(lattice, wisp_lattice_unit_id(unit), "default.shutdown");
    action->payload = wisp_lattice_keep_json(lattice, payload);
    action->timeout_ms = lattice->provider_shutdown_delay_ms;
    wisp_lattice_call_begin(lattice, &job->call, action, shutdown_asked, job);
}

/* --- RESTART --- */

static void restart_data_ready(struct wisp_lattice_job *job, const struct wisp_err *err);

static void try_again(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    wisp_lattice_host_data_begin(env, restart_data_ready);
}

/* A secrets backend that is away must not end the provider for good. */
static void restart_data_ready(struct wisp_lattice_job *job, const struct wisp_err *err)
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

void wisp_lattice_provider_job(struct wisp_lattice_job *job)
{
    if (job->kind == WISP_LATTICE_START)
        begin_start(job);
    else if (job->kind == WISP_LATTICE_STOP)
        begin_stop(job);
    else
        wisp_lattice_host_data_begin(job, restart_data_ready);
}

/* --- news of the process --- */

static bool is_being_changed(const struct wisp_lattice_unit *unit)
{
    WISP_RING_EACH(at, &unit->jobs)
    {
        enum wisp_lattice_job_kind kind = WISP_OWNER(at, struct wisp_lattice_job, turn)->kind;
        if (kind == WISP_LATTICE_STOP || kind == WISP_LATTICE_RESTART) return true;
    }
    return false;
}

void wisp_lattice_provider_news_heard(struct wisp_lattice_unit *unit, enum wisp_lattice_provider_news news,
                                      const char *text)
{
    struct wisp_lattice *lattice = unit->lattice;
    if (unit->kind != WISP_LATTICE_PROVIDER || !unit->is_running) return;
    if (news == WISP_LATTICE_PROVIDER_UP) {
        if (!unit->awaits_up) return;
        unit->awaits_up = false;
        arm_health(unit, HEALTH_FIRST_MS);
        publish_config(unit);
        return;
    }
    if (is_being_changed(unit)) return;
    wisp_lattice_log(lattice, news == WISP_LATTICE_PROVIDER_FAILED ? WISP_LOG_ERROR : WISP_LOG_WARN,
                     "provider `%.*s` %s%s%s", WISP_STR_ARG(wisp_lattice_unit_id(unit)),
                     news == WISP_LATTICE_PROVIDER_FAILED ? "fails again and again" : "has ended unasked",
                     text ? ": " : "", text ? text : "");
    unit->was_checked = false;
    if (wisp_lattice_job_new(unit, WISP_LATTICE_RESTART)) wisp_lattice_unit_go_on(unit);
}

/* --- requests --- */

static bool is_builtin(struct wisp_str reference)
{
    return wisp_str_starts_with(reference, WISP_STR("wasmcloud+builtin://")) ||
           wisp_str_starts_with(reference, WISP_STR("wisp://"));
}

static const struct wisp_lattice_field start_fields[] = {
    {"provider_id", WISP_LATTICE_TEXT, true}, {"provider_ref", WISP_LATTICE_TEXT, false},
    {"host_id", WISP_LATTICE_TEXT, false},    {"config", WISP_LATTICE_TEXTS, false},
    {"annotations", WISP_LATTICE_MAP, false},
};

static int check_start(struct wisp_lattice *lattice, const json_t *request, struct wisp_err *err)
{
    int r = wisp_lattice_fields_check(request, start_fields, WISP_COUNT(start_fields), err);
    if (r < 0) return r;
    struct wisp_str id = wisp_json_str(request, "provider_id"), reference = wisp_json_str(request, "provider_ref");
    if (!wisp_lattice_is_id(id))
        return wisp_err_set(err, WISP_ERR_INVALID, "a provider's id has letters, digits and -_=./ only, at most %d",
                            WISP_LATTICE_ID_MAX);
    if (wisp_lattice_provider_find(lattice, id))
        return wisp_err_set(err, WISP_ERR_EXISTS, "provider with that ID is already running");
    if (!reference.len) return wisp_err_set(err, WISP_ERR_INVALID, "provider_ref is empty");
    if (is_builtin(reference) && !wisp_lattice_is_http_server(reference))
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED,
                            "there is no built-in provider `%.*s`; known: wisp://http-server", WISP_STR_ARG(reference));
    if (lattice->providers.count >= lattice->providers_max)
        return wisp_err_set(err, WISP_ERR_LIMIT, "this host has its limit of %u providers", lattice->providers_max);
    return 0;
}

int wisp_lattice_provider_begin(struct wisp_lattice *lattice, const json_t *request, struct wisp_lattice_asker *asker,
                                struct wisp_err *err)
{
    int r = check_start(lattice, request, err);
    if (r < 0) return r;
    struct wisp_str reference = wisp_json_str(request, "provider_ref");
    struct wisp_lattice_unit *unit = wisp_lattice_unit_new(
        lattice, wisp_json_str(request, "provider_id"),
        wisp_lattice_is_http_server(reference) ? WISP_LATTICE_HTTP_SERVER : WISP_LATTICE_PROVIDER);
    struct wisp_lattice_job *job = wisp_lattice_job_new(unit, WISP_LATTICE_START);
    job->reference = wisp_mem_dup(reference);
    job->config_names = wisp_lattice_list_of(request, "config");
    job->annotations = wisp_lattice_map_of(request, "annotations");
    if (asker) wisp_lattice_answer(lattice, asker, "successfully started provider", NULL);
    wisp_lattice_unit_go_on(unit);
    return 0;
}

void wisp_lattice_provider_start(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *request = NULL;
    int r = wisp_lattice_decode(command->payload, "provider start command", start_fields, WISP_COUNT(start_fields),
                                &request, &err);
    if (r == 0) r = wisp_lattice_provider_begin(lattice, request, &command->reply, &err);
    if (r < 0) {
        wisp_lattice_refuse(lattice, &command->reply, err.text);
        return;
    }
    struct wisp_str id = wisp_json_str(request, "provider_id");
    json_object_deln(lattice->waiting_providers, id.ptr, id.len);
}

/* What is under way and has not reached the process can be given up. */
static bool abort_first(struct wisp_lattice_unit *unit)
{
    struct wisp_lattice_job *job = wisp_lattice_job_first(unit);
    if (!job || job->is_at_process || job->kind == WISP_LATTICE_STOP) return false;
    wisp_lattice_job_cancel(job);
    if (job->kind == WISP_LATTICE_START) tell_failed(job, "stopped before it was started");
    wisp_lattice_job_end(job);
    return true;
}

void wisp_lattice_provider_stop(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    static const struct wisp_lattice_field fields[] = {
        {"provider_id", WISP_LATTICE_TEXT, false},
        {"provider_ref", WISP_LATTICE_TEXT, false},
        {"host_id", WISP_LATTICE_TEXT, false},
    };
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *request = NULL;
    if (wisp_lattice_decode(command->payload, "provider stop command", fields, WISP_COUNT(fields), &request, &err) <
        0) {
        wisp_lattice_refuse(lattice, &command->reply, err.text);
        return;
    }
    struct wisp_str id = wisp_json_str(request, "provider_id");
    if (!id.len) id = wisp_json_str(request, "provider_ref");
    if (json_object_deln(lattice->waiting_providers, id.ptr, id.len) == 0) wisp_lattice_save_touch(lattice);
    struct wisp_lattice_unit *unit = wisp_lattice_provider_find(lattice, id);
    struct wisp_lattice_job *job = unit ? wisp_lattice_job_new(unit, WISP_LATTICE_STOP) : NULL;
    if (!job) {
        wisp_lattice_refuse(lattice, &command->reply,
                            unit ? "too many commands wait for this provider; try again"
                                 : "provider with that ID is not running");
        return;
    }
    job->reply = command->reply;
    command->reply = (struct wisp_lattice_asker){0};
    job->has_aborted = !unit->is_running;
    if (!abort_first(unit)) wisp_lattice_unit_go_on(unit);
}
