/* SPDX-License-Identifier: Apache-2.0 */
/* Providers: start and stop. What a process does in between is in process.c; built-in ones have none.
 *
 *     START    FETCH ─ policy ─ claims and spec ─ host data ─ PROVIDER_START ─ provider_started
 *     START    of the built-in HTTP server: policy ─ spec ─ config ─ provider_started, health_check_passed
 *     STOP     shutdown request ─ PROVIDER_STOP ─ provider_stopped, answer
 *     STOP     for a `replacement`, an image that is to be started then: FETCH ─ policy ─ as above; or it runs on, and
 *              the answer says why the image can't be had
 *
 * The original tells of no health of built-in providers; deployment managers wait for it, so ours is told once. A start
 * that is still under way can be stopped, and says that it failed. */
#include "lattice/lattice_priv.h"

#include "base/log.h"

#include <stdlib.h>

/* --- events --- */

json_t *wisp_lattice_provider_data(const struct wisp_lattice_unit *unit)
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
    json_t *data = wisp_lattice_provider_data(unit);
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
    json_t *data = wisp_lattice_provider_data(unit);
    json_object_set(data, "annotations", unit->annotations);
    json_object_set_new(data, "reason", json_string("stop"));
    set_identity(data, unit);
    wisp_lattice_event(unit->lattice, "provider_stopped", data);
}

static void tell_failed(const struct wisp_lattice_job *job, const char *error)
{
    const struct wisp_lattice_unit *unit = job->unit;
    json_t *data = wisp_lattice_provider_data(unit);
    json_object_set_new(data, "provider_ref", wisp_json_text(wisp_str_from(job->reference)));
    json_object_set_new(data, "error", wisp_json_text(wisp_str_from(error)));
    json_object_set_new(data, "link_name", json_string("default"));
    wisp_lattice_event(unit->lattice, "provider_start_failed", data);
    wisp_lattice_log(unit->lattice, WISP_LOG_ERROR, "provider `%.*s` could not be started: %s",
                     WISP_STR_ARG(wisp_lattice_unit_id(unit)), error);
}

void wisp_lattice_provider_failed(struct wisp_lattice_job *job, const struct wisp_err *err)
{
    tell_failed(job, err->text);
    wisp_lattice_job_end(job);
}

/* --- config --- */

void wisp_lattice_provider_publish_config(struct wisp_lattice_unit *unit)
{
    struct wisp_lattice *lattice = unit->lattice;
    wisp_lattice_publish(lattice, wisp_lattice_rpc_subject(lattice, wisp_lattice_unit_id(unit), "config.update"),
                         unit->config);
}

void wisp_lattice_provider_config_changed(struct wisp_lattice_unit *unit)
{
    WISP_CLEANUP_JSON json_t *config = NULL;
    if (!unit->is_running || wisp_lattice_config_merge(unit->lattice, unit->config_names, true, &config, NULL) < 0)
        return;
    json_decref(wisp_lattice_confine_take(config, NULL)); /* counts from the next start */
    if (json_equal(config, unit->config)) return;
    json_decref(unit->config);
    unit->config = WISP_TAKE(config);
    if (unit->kind == WISP_LATTICE_HTTP_SERVER)
        wisp_lattice_routes_touch(unit->lattice);
    else
        wisp_lattice_provider_publish_config(unit);
}

/* --- START --- */

void wisp_lattice_provider_started(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    wisp_lattice_job_adopt(job);
    unit->is_running = true;
    wisp_lattice_restored(unit);
    wisp_lattice_save_touch(unit->lattice);
    tell_started(unit);
    if (unit->kind == WISP_LATTICE_PROVIDER) {
        wisp_lattice_process_watch(unit);
        wisp_lattice_provider_publish_config(unit);
        wisp_lattice_deliveries_repeat(unit);
    } else {
        wisp_lattice_event(unit->lattice, "health_check_passed", wisp_lattice_provider_data(unit));
    }
    if (unit->kind == WISP_LATTICE_HTTP_SERVER) wisp_lattice_routes_touch(unit->lattice);
    if (unit->kind == WISP_LATTICE_BUILTIN)
        wisp_lattice_builtin_adopted(job);
    else
        wisp_lattice_provider_config_changed(unit); /* in case it has on the way */
    wisp_lattice_job_end(job);
}

static void process_started(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_job *job = env;
    if (done->err.kind)
        wisp_lattice_provider_failed(job, &done->err);
    else
        wisp_lattice_provider_started(job);
}

static void host_data_ready(struct wisp_lattice_job *job, const struct wisp_err *err)
{
    struct wisp_lattice *lattice = job->unit->lattice;
    if (err) {
        wisp_lattice_provider_failed(job, err);
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
        wisp_lattice_provider_failed(job, err);
        return;
    }
    job->config = WISP_TAKE(resolve->config);
    job->confine = wisp_lattice_confine_take(job->config, job->annotations);
    struct wisp_err own = {0};
    int r = wisp_lattice_routing_mode_check(job->config, &own);
    if (r == 0) r = wisp_lattice_confine_refuse(job->confine, &own);
    if (r < 0)
        wisp_lattice_provider_failed(job, &own);
    else
        wisp_lattice_provider_started(job);
}

static void permitted(struct wisp_lattice_policy *policy, const struct wisp_err *err, void *env)
{
    (void)policy;
    struct wisp_lattice_job *job = env;
    struct wisp_lattice_unit *unit = job->unit;
    struct wisp_lattice *lattice = unit->lattice;
    if (err) {
        wisp_lattice_provider_failed(job, err);
        return;
    }
    if (job->claims) wisp_lattice_claims_store(lattice, job->claims, true);
    wisp_lattice_unit_store_spec(unit, job->reference);
    if (unit->kind == WISP_LATTICE_HTTP_SERVER) {
        wisp_lattice_resolve_begin(lattice, &job->resolve, job->config_names, NULL, job->annotations, false,
                                   config_resolved, job);
        return;
    }
    if (unit->kind == WISP_LATTICE_BUILTIN) {
        wisp_lattice_builtin_job(job);
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
        wisp_lattice_provider_failed(job, &done->err);
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
    job->plain_reference = wisp_lattice_builtin_plain(wisp_str_from(job->reference));
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
    if (!done->err.kind) action->timeout_ms = lattice->provider_shutdown_delay_ms;
    wisp_lattice_call_begin(lattice, &job->call, action, process_stopped, job);
}

static void ask_shutdown(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    struct wisp_lattice *lattice = unit->lattice;
    wisp_lattice_process_unwatch(unit);
    wisp_lattice_emit(lattice, WISP_LATTICE_PROVIDER_ENDING)->provider.id =
        wisp_lattice_keep(lattice, wisp_lattice_unit_id(unit));
    WISP_CLEANUP_JSON json_t *payload = json_pack("{s:s}", "host_id", lattice->host_id);
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_REQUEST);
    action->subject = wisp_lattice_rpc_subject(lattice, wisp_lattice_unit_id(unit), "default.shutdown");
    action->payload = wisp_lattice_keep_json(lattice, payload);
    action->timeout_ms = lattice->provider_shutdown_delay_ms;
    wisp_lattice_call_begin(lattice, &job->call, action, shutdown_asked, job);
}

static void remove_builtin(struct wisp_lattice_job *job)
{
    struct wisp_lattice *lattice = job->unit->lattice;
    wisp_lattice_timer_disarm(lattice, &job->unit->refresh);
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_BUILTIN_REMOVE);
    action->builtin.id = wisp_lattice_keep(lattice, wisp_lattice_unit_id(job->unit));
    wisp_lattice_call_begin(lattice, &job->call, action, process_stopped, job);
}

static void stop_now(struct wisp_lattice_job *job)
{
    if (job->unit->kind == WISP_LATTICE_HTTP_SERVER)
        stopped(job);
    else if (job->unit->kind == WISP_LATTICE_BUILTIN)
        remove_builtin(job);
    else
        ask_shutdown(job);
}

static void stay(struct wisp_lattice_job *job, const struct wisp_err *err)
{
    wisp_lattice_refuse(job->unit->lattice, &job->reply, err->text);
    wisp_lattice_job_end(job);
}

static void replacement_permitted(struct wisp_lattice_policy *policy, const struct wisp_err *err, void *env)
{
    (void)policy;
    struct wisp_lattice_job *job = env;
    if (err)
        stay(job, err);
    else
        stop_now(job);
}

static void replacement_fetched(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_job *job = env;
    if (done->err.kind) {
        stay(job, &done->err);
        return;
    }
    wisp_lattice_job_take_artifact(job, done);
    wisp_lattice_policy_begin(job->unit->lattice, &job->policy, job, replacement_permitted, job);
}

static void check_replacement(struct wisp_lattice_job *job)
{
    struct wisp_lattice *lattice = job->unit->lattice;
    struct wisp_str reference = wisp_str_from(job->reference), kind;
    struct wisp_err err = {0};
    if (!wisp_lattice_builtin_parse(lattice, reference, &kind)) {
        wisp_lattice_job_fetch(job, true, replacement_fetched);
        return;
    }
    if (wisp_lattice_builtin_check(lattice, reference, kind, &err) < 0) {
        stay(job, &err);
        return;
    }
    job->plain_reference = wisp_lattice_builtin_plain(reference);
    wisp_lattice_policy_begin(lattice, &job->policy, job, replacement_permitted, job);
}

static void begin_stop(struct wisp_lattice_job *job)
{
    struct wisp_lattice *lattice = job->unit->lattice;
    if (job->unit->is_running) {
        if (job->reference)
            check_replacement(job);
        else
            stop_now(job);
        return;
    }
    if (job->has_aborted)
        wisp_lattice_answer(lattice, &job->reply, "successfully stopped provider", NULL);
    else
        wisp_lattice_refuse(lattice, &job->reply, "provider with that ID is not running");
    wisp_lattice_job_end(job);
}

void wisp_lattice_provider_job(struct wisp_lattice_job *job)
{
    if (job->kind == WISP_LATTICE_START)
        begin_start(job);
    else if (job->kind == WISP_LATTICE_STOP)
        begin_stop(job);
    else if (job->kind == WISP_LATTICE_REFRESH)
        wisp_lattice_builtin_job(job);
    else
        wisp_lattice_process_restart(job);
}

/* --- requests --- */

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
    struct wisp_str kind;
    if (wisp_lattice_builtin_parse(lattice, reference, &kind) &&
        wisp_lattice_builtin_check(lattice, reference, kind, err) < 0)
        return -WISP_ERR_UNSUPPORTED;
    if (lattice->providers.count >= lattice->providers_max)
        return wisp_err_set(err, WISP_ERR_LIMIT, "this host has its limit of %u providers", lattice->providers_max);
    return 0;
}

static void set_builtin(struct wisp_lattice_unit *unit, struct wisp_str kind)
{
    struct wisp_lattice *lattice = unit->lattice;
    struct wisp_str id = wisp_lattice_unit_id(unit);
    unit->builtin = wisp_mem_dup(kind);
    if (!lattice->secrets_topic) return;
    unit->token_claims = wisp_lattice_builtin_claims(lattice, id);
    wisp_lattice_log(lattice, WISP_LOG_INFO, "built-in provider `%.*s` asks for secrets as %.*s", WISP_STR_ARG(id),
                     WISP_STR_ARG(wisp_json_str(unit->token_claims, "subject")));
}

int wisp_lattice_provider_begin(struct wisp_lattice *lattice, const json_t *request, struct wisp_lattice_asker *asker,
                                struct wisp_err *err)
{
    int r = check_start(lattice, request, err);
    if (r < 0) return r;
    struct wisp_str reference = wisp_json_str(request, "provider_ref"), builtin = {0};
    enum wisp_lattice_unit_kind kind = WISP_LATTICE_PROVIDER;
    if (wisp_lattice_builtin_parse(lattice, reference, &builtin))
        kind = wisp_str_is(builtin, "http-server") ? WISP_LATTICE_HTTP_SERVER : WISP_LATTICE_BUILTIN;
    struct wisp_lattice_unit *unit = wisp_lattice_unit_new(lattice, wisp_json_str(request, "provider_id"), kind);
    if (kind == WISP_LATTICE_BUILTIN) set_builtin(unit, builtin);
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
        {"replacement", WISP_LATTICE_TEXT, false}, /* ours */
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
    struct wisp_str replacement = wisp_json_str(request, "replacement");
    if (replacement.len) job->reference = wisp_mem_dup(replacement);
    if (!abort_first(unit)) wisp_lattice_unit_go_on(unit);
}
