/* SPDX-License-Identifier: Apache-2.0 */
/* How applications stand, as wadm says it; ours adds wanted and found to each scaler. */
#include "app/app_priv.h"

#include <stdlib.h>

static json_t *state_json(enum wisp_app_state state, struct wisp_str message)
{
    json_t *json = json_pack("{s:s}", "type", wisp_app_state_name(state));
    json_object_set_new(json, "message", wisp_json_text(message));
    return json;
}

static json_t *scaler_json(const struct wisp_app_scaler_status *scaler)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I}", "id", wisp_json_text(scaler->id), "kind",
                     wisp_json_text(scaler->kind), "name", wisp_json_text(scaler->name), "status",
                     state_json(scaler->state, scaler->message), "wanted", (json_int_t)scaler->wanted, "found",
                     (json_int_t)scaler->found);
}

/* Those of one application are neighbours. */
static size_t find_scalers(const struct wisp_app_plan *plan, struct wisp_str name, size_t *ret_n)
{
    size_t first = 0;
    while (first < plan->n_scalers && !wisp_str_equal(plan->scalers[first].app, name)) first++;
    *ret_n = 0;
    while (first + *ret_n < plan->n_scalers && wisp_str_equal(plan->scalers[first + *ret_n].app, name)) ++*ret_n;
    return first;
}

json_t *wisp_app_status_json(const struct wisp_app *app, const struct wisp_app_record *record,
                             const struct wisp_app_plan *plan)
{
    (void)app;
    size_t n = 0, first = record ? find_scalers(plan, wisp_str_from(record->name), &n) : 0;
    bool is_deployed = record && record->deployed;
    enum wisp_app_state state = is_deployed ? WISP_APP_WAITING : WISP_APP_UNDEPLOYED;
    WISP_CLEANUP_BUF struct wisp_buf message = {0};
    json_t *scalers = json_array();
    if (is_deployed && n) state = wisp_app_state_of(plan->scalers + first, n);
    for (size_t i = first; is_deployed && i < first + n; i++) {
        json_array_append_new(scalers, scaler_json(&plan->scalers[i]));
        if (plan->scalers[i].message.len && plan->scalers[i].state == state)
            wisp_buf_printf(&message, "%s%.*s: %.*s", message.len ? ", " : "", WISP_STR_ARG(plan->scalers[i].name),
                            WISP_STR_ARG(plan->scalers[i].message));
    }
    return json_pack("{s:o, s:o, s:s, s:[]}", "status", state_json(state, wisp_buf_str(&message)), "scalers", scalers,
                     "version", "", "components");
}

void wisp_app_status_publish(struct wisp_app *app)
{
    for (struct wisp_app_record *record = app->first_record; record; record = record->next) {
        WISP_CLEANUP_JSON json_t *status = wisp_app_status_json(app, record, &app->plan);
        WISP_CLEANUP_BUF struct wisp_buf text = {0}, subject = {0};
        wisp_json_print(status, &text);
        if (record->status_told && wisp_str_is(wisp_buf_str(&text), record->status_told)) continue;
        free(record->status_told);
        record->status_told = wisp_mem_dup(wisp_buf_str(&text));
        wisp_buf_printf(&subject, "wadm.status.%s.%s", app->lattice, record->name);
        wisp_app_publish(app, wisp_buf_str(&subject), status);
    }
}
