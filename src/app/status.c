/* SPDX-License-Identifier: Apache-2.0 */
/* How applications stand, as wadm says it; ours adds to each scaler what is wanted and found, and since when it stands
 * so, which standbys learn from what a leader says. What is still being stopped is `reconciling`, not yet `undeployed`
 * (but for lists, see api.c). */
#include "app/app_priv.h"
#include "app/output_priv.h"
#include "app/status_priv.h"
#include "app/store_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

json_t *wisp_app_time_json(uint64_t seconds)
{
    struct tm tm;
    char text[32];
    time_t time = (time_t)seconds;
    if (!gmtime_r(&time, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm)) return json_null();
    return json_string(text);
}

static json_t *state_json(enum wisp_app_state state, struct wisp_str message)
{
    return json_pack("{s:s, s:o}", "type", wisp_app_state_name(state), "message", wisp_json_text(message));
}

static json_t *scaler_json(const struct wisp_app_scaler_status *scaler, const json_t *before, json_t *now)
{
    struct wisp_str state = wisp_str_from(wisp_app_state_name(scaler->state));
    bool is_same = wisp_str_equal(wisp_json_str(json_object_get(before, "status"), "type"), state);
    json_t *since = is_same ? json_object_get(before, "since") : now;
    json_t *json = json_pack("{s:o, s:o, s:o, s:o, s:I, s:I}", "id", wisp_json_text(scaler->id), "kind",
                             wisp_json_text(scaler->kind), "name", wisp_json_text(scaler->name), "status",
                             state_json(scaler->state, scaler->message), "wanted", (json_int_t)scaler->wanted, "found",
                             (json_int_t)scaler->found);
    if (since) json_object_set(json, "since", since);
    return json;
}

/* Most often it is in the same place. */
static const json_t *find_scaler(const json_t *list, size_t place, struct wisp_str id)
{
    const json_t *there = json_array_get(list, place);
    if (wisp_str_equal(wisp_json_str(there, "id"), id)) return there;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (wisp_str_equal(wisp_json_str(json_array_get(list, i), "id"), id)) return json_array_get(list, i);
    return NULL;
}

json_t *wisp_app_scalers_json(const struct wisp_app_planned *planned, const json_t *before, json_t *since)
{
    json_t *list = json_array();
    for (size_t i = 0; i < planned->n_scalers; i++) {
        const struct wisp_app_scaler_status *scaler = &planned->scalers[i];
        json_array_append_new(list, scaler_json(scaler, find_scaler(before, i, scaler->id), since));
    }
    return list;
}

void wisp_app_status_take(struct wisp_app *app, struct wisp_app_record *record, const struct wisp_app_planned *planned)
{
    WISP_CLEANUP_BUF struct wisp_buf message = {0};
    WISP_CLEANUP_JSON json_t *now = wisp_app_time_json((uint64_t)(app->now.wall_ns / 1000000000)),
                             *before = record->scalers;
    record->scalers = wisp_app_scalers_json(planned, before, now);
    record->state = planned->n_scalers ? wisp_app_state_of(planned->scalers, planned->n_scalers) : WISP_APP_DEPLOYED;
    for (size_t i = 0; i < planned->n_scalers; i++) {
        const struct wisp_app_scaler_status *scaler = &planned->scalers[i];
        if (scaler->message.len && scaler->state == record->state)
            wisp_buf_printf(&message, "%s%.*s: %.*s", message.len ? ", " : "", WISP_STR_ARG(scaler->name),
                            WISP_STR_ARG(scaler->message));
    }
    free(record->message);
    record->message = wisp_mem_dup(wisp_buf_str(&message));
}

/* What can be said without looking at scalers; NULL: look at them. */
static const char *say_shortly(const struct wisp_app_record *record, enum wisp_app_state *ret_state)
{
    bool is_known = record && record->is_ours, is_deployed = is_known && record->deployed,
         was_deployed = is_known && (record->last_deployed || record->removed);
    *ret_state = WISP_APP_UNDEPLOYED;
    if (is_known && record->trouble) {
        *ret_state = WISP_APP_FAILED_STATE;
        return record->trouble;
    }
    if (is_deployed && !record->is_unplanned) return NULL;
    if (!is_deployed && (!was_deployed || (!record->is_unplanned && !record->is_unsettled))) return "";
    *ret_state = WISP_APP_RECONCILING;
    return is_deployed ? "it has just been changed" : "what runs of it is being stopped";
}

json_t *wisp_app_status_json(const struct wisp_app_record *record)
{
    enum wisp_app_state state;
    const char *text = say_shortly(record, &state);
    bool has_scalers = !text && record->scalers;
    if (!text) state = record->state;
    if (!text) text = record->message ? record->message : "";
    return json_pack("{s:o, s:o, s:s, s:[]}", "status", state_json(state, wisp_str_from(text)), "scalers",
                     has_scalers ? json_incref(record->scalers) : json_array(), "version", "", "components");
}

void wisp_app_status_publish(struct wisp_app *app, struct wisp_app_record *record)
{
    WISP_CLEANUP_JSON json_t *status = wisp_app_status_json(record);
    if (record->told && json_equal(status, record->told)) return;
    json_decref(record->told);
    record->told = json_incref(status);
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    wisp_buf_printf(&subject, "wadm.status.%s.%s", app->lattice, record->name);
    wisp_app_publish(app, wisp_buf_str(&subject), status);
}

/* --- hearing --- */

/* What counts of it is since when; the rest is planned anew by who leads. */
static void hear(struct wisp_app *app, struct wisp_str name, json_t *status)
{
    struct wisp_app_record *record = wisp_app_record_find(app, name);
    json_t *scalers = json_object_get(status, "scalers");
    if (!record || app->lease.is_held || !json_array_size(scalers)) return;
    json_incref(scalers);
    json_decref(record->scalers);
    record->scalers = scalers;
}

void wisp_app_status_on_message(struct wisp_app *app, const struct wisp_bus_message *message)
{
    WISP_CLEANUP_JSON json_t *status = NULL;
    struct wisp_str subject = message->subject, name = subject;
    if (app->lease.is_held || wisp_json_parse(message->payload, &status, NULL) < 0) return;
    for (struct wisp_str head; wisp_str_split(subject, '.', &head, &subject);) name = subject;
    hear(app, name, status);
}

static void on_list(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note)
{
    (void)note;
    WISP_CLEANUP_JSON json_t *list = NULL;
    if (done->err.kind || wisp_json_parse(done->reply.payload, &list, NULL) < 0) return;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *summary = json_array_get(list, i);
        hear(app, wisp_json_str(summary, "name"), json_object_get(summary, "detailed_status"));
    }
}

void wisp_app_status_ask(struct wisp_app *app)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    wisp_buf_printf(&subject, "%s.%s.model.list", app->api_prefix, app->lattice);
    wisp_app_request(app, wisp_buf_str(&subject), NULL, app->command_timeout_ms, on_list, (struct wisp_app_note){0});
}
