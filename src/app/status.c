/* SPDX-License-Identifier: Apache-2.0 */
/* How applications stand, as wadm says it; ours adds to each scaler what is wanted and found, and since when it stands
 * so. What is still being stopped is `reconciling`, not yet `undeployed`. */
#include "app/app_priv.h"

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

static json_t *scaler_json(const struct wisp_app_record *record, const struct wisp_app_scaler_status *scaler)
{
    const json_t *entry = json_object_getn(record->since, scaler->id.ptr, scaler->id.len);
    json_t *since = json_array_get(entry, 1);
    json_t *json = json_pack("{s:o, s:o, s:o, s:o, s:I, s:I}", "id", wisp_json_text(scaler->id), "kind",
                             wisp_json_text(scaler->kind), "name", wisp_json_text(scaler->name), "status",
                             state_json(scaler->state, scaler->message), "wanted", (json_int_t)scaler->wanted, "found",
                             (json_int_t)scaler->found);
    if (since) json_object_set(json, "since", since);
    return json;
}

/* Scalers are listed by application, ascending. */
static const struct wisp_app_scaler_status *find_scalers(const struct wisp_app_plan *plan, struct wisp_str name,
                                                         size_t *ret_n)
{
    size_t low = 0, high = plan->n_scalers;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (wisp_str_compare(plan->scalers[middle].app, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_n = 0;
    while (low + *ret_n < plan->n_scalers && wisp_str_equal(plan->scalers[low + *ret_n].app, name)) ++*ret_n;
    return *ret_n ? plan->scalers + low : NULL;
}

/* What can be said without looking at scalers. False: look at them. */
static bool say_shortly(const struct wisp_app_record *record, const struct wisp_app_plan *plan,
                        enum wisp_app_state *ret_state, struct wisp_buf *message)
{
    const struct wisp_app_version *none = NULL;
    bool is_known = record && record->is_ours, is_deployed = is_known && record->deployed,
         was_deployed = is_known && (record->last_deployed != none || record->removed != none);
    *ret_state = WISP_APP_UNDEPLOYED;
    if (is_known && record->trouble) {
        *ret_state = WISP_APP_FAILED_STATE;
        wisp_buf_append_str(message, wisp_str_from(record->trouble));
    } else if (!is_deployed && was_deployed &&
               (record->is_unplanned || json_object_get(plan->unsettled, record->name))) {
        *ret_state = WISP_APP_RECONCILING;
        wisp_buf_append_str(message, WISP_STR("what runs of it is being stopped"));
    } else if (is_deployed && record->is_unplanned) {
        *ret_state = WISP_APP_RECONCILING;
        wisp_buf_append_str(message, WISP_STR("it has just been changed"));
    } else if (is_deployed) {
        return false;
    }
    return true;
}

json_t *wisp_app_status_json(const struct wisp_app *app, const struct wisp_app_record *record,
                             const struct wisp_app_plan *plan)
{
    WISP_CLEANUP_BUF struct wisp_buf message = {0};
    json_t *list = json_array();
    enum wisp_app_state state;
    (void)app;
    if (!say_shortly(record, plan, &state, &message)) {
        size_t n;
        const struct wisp_app_scaler_status *scalers = find_scalers(plan, wisp_str_from(record->name), &n);
        state = n ? wisp_app_state_of(scalers, n) : WISP_APP_DEPLOYED;
        for (size_t i = 0; i < n; i++) {
            json_array_append_new(list, scaler_json(record, &scalers[i]));
            if (scalers[i].message.len && scalers[i].state == state)
                wisp_buf_printf(&message, "%s%.*s: %.*s", message.len ? ", " : "", WISP_STR_ARG(scalers[i].name),
                                WISP_STR_ARG(scalers[i].message));
        }
    }
    return json_pack("{s:o, s:o, s:s, s:[]}", "status", state_json(state, wisp_buf_str(&message)), "scalers", list,
                     "version", "", "components");
}

/* --- telling --- */

static void mix(uint64_t *hash, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < n; i++) *hash = (*hash ^ at[i]) * 0x100000001b3u;
}

/* Of all that a status says; never 0. */
static uint64_t hash_of(const struct wisp_app_record *record, const struct wisp_app_plan *plan)
{
    WISP_CLEANUP_BUF struct wisp_buf message = {0};
    uint64_t hash = 0xcbf29ce484222325u;
    enum wisp_app_state state;
    if (say_shortly(record, plan, &state, &message)) {
        mix(&hash, &state, sizeof state);
        mix(&hash, message.data, message.len);
        return hash | 1;
    }
    size_t n;
    const struct wisp_app_scaler_status *scalers = find_scalers(plan, wisp_str_from(record->name), &n);
    for (size_t i = 0; i < n; i++) {
        const uint32_t numbers[] = {(uint32_t)scalers[i].state, scalers[i].wanted, scalers[i].found, (uint32_t)n};
        mix(&hash, numbers, sizeof numbers);
        mix(&hash, scalers[i].id.ptr, scalers[i].id.len);
        mix(&hash, scalers[i].message.ptr, scalers[i].message.len);
    }
    return hash | 1;
}

static void note_since(struct wisp_app *app, struct wisp_app_record *record)
{
    size_t n;
    const struct wisp_app_scaler_status *scalers = find_scalers(&app->plan, wisp_str_from(record->name), &n);
    json_t *since = json_object(), *now = wisp_app_time_json((uint64_t)(app->now.wall_ns / 1000000000));
    for (size_t i = 0; i < n; i++) {
        const struct wisp_app_scaler_status *scaler = &scalers[i];
        json_t *before = json_object_getn(record->since, scaler->id.ptr, scaler->id.len);
        bool is_same = before && json_integer_value(json_array_get(before, 0)) == (json_int_t)scaler->state;
        json_object_setn_new_nocheck(since, scaler->id.ptr, scaler->id.len,
                                     is_same ? json_incref(before)
                                             : json_pack("[I, O]", (json_int_t)scaler->state, now));
    }
    json_decref(now);
    json_decref(record->since);
    record->since = since;
}

void wisp_app_status_publish(struct wisp_app *app)
{
    for (struct wisp_app_record *record = app->first_record; record; record = record->next) {
        if (!record->is_ours) continue;
        uint64_t hash = hash_of(record, &app->plan);
        if (hash == record->told) continue;
        record->told = hash;
        note_since(app, record);
        WISP_CLEANUP_JSON json_t *status = wisp_app_status_json(app, record, &app->plan);
        WISP_CLEANUP_BUF struct wisp_buf subject = {0};
        wisp_buf_printf(&subject, "wadm.status.%s.%s", app->lattice, record->name);
        wisp_app_publish(app, wisp_buf_str(&subject), status);
    }
}
