/* SPDX-License-Identifier: Apache-2.0 */
/* A leader's work: plans, on every change and at a slow interval, and what follows from them. */
#include "app/app_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    SPACING_MS = 10,            /* between plans, */
    SCALERS_PER_SPACING = 2000, /* and as much again for each of so many */
    IN_FLIGHT_MAX = 200,        /* commands without an answer */
};

void wisp_app_touch(struct wisp_app *app) { app->is_dirty = true; }

/* --- sending --- */

/* Configs and links that are on their way, or have just been accepted and are not seen yet. */
static bool is_preparing(const struct wisp_app *app, const struct wisp_app_item *item)
{
    bool is_fresh = item && item->state == WISP_APP_ITEM_DONE && item->tries <= 1 && item->due_ms > app->now.now_ms;
    return item && (is_fresh || item->state == WISP_APP_ITEM_SENT);
}

static void send(struct wisp_app *app, const struct wisp_app_command *command)
{
    bool is_unit = command->kind >= WISP_APP_SCALE,
         starts = command->kind == WISP_APP_SCALE || command->kind == WISP_APP_START_PROVIDER;
    /* Until all hosts have answered it is not known what runs already. */
    if (is_unit && app->now.now_ms < app->settled_ms) return;
    if (starts && json_object_getn(app->preparing, command->app.ptr, command->app.len)) return;
    wisp_app_item_send(app, command);
    struct wisp_app_item *item = wisp_app_item_find(app, command->key);
    if (item) item->plan = app->plan_number;
    if (!is_unit && is_preparing(app, item))
        json_object_setn_new_nocheck(app->preparing, command->app.ptr, command->app.len, json_true());
}

void wisp_app_send_more(struct wisp_app *app)
{
    if (!wisp_app_lease_is_valid(app)) return;
    while (app->next_command < app->plan.n_commands && app->n_sent < IN_FLIGHT_MAX)
        send(app, &app->plan.commands[app->next_command++]);
}

/* --- what was deleted, once nothing of it is left --- */

static void clear_next(struct wisp_app *app);

static void on_cleared(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note)
{
    app->is_writing = false;
    if (!done->err.kind) wisp_app_store_adopt(app, wisp_str_from(note->text), note->json, done->revision);
    wisp_app_api_go_on(app);
    if (!done->err.kind) clear_next(app);
}

static bool can_clear(struct wisp_app *app, const struct wisp_app_record *record)
{
    bool has_removed = json_array_size(json_object_get(record->json, "removed")) ||
                       !json_object_size(json_object_get(record->json, "manifests"));
    bool is_settled = record->is_ours && !record->is_unplanned && !record->is_missing && app->plan.is_complete &&
                      !json_object_get(app->plan.unsettled, record->name);
    if (!has_removed || !is_settled) return false;
    uint64_t sure_ms = wisp_app_items_sure_ms(app, record->name);
    if (!sure_ms && app->sure_ms > app->now.now_ms) sure_ms = app->sure_ms;
    if (sure_ms) app->full_ms = wisp_app_sooner(app->full_ms, sure_ms);
    return !sure_ms;
}

static void clear_next(struct wisp_app *app)
{
    const struct wisp_app_record *record = app->first_record;
    if (app->is_writing || !wisp_app_lease_is_valid(app)) return;
    while (record && !can_clear(app, record)) record = record->next;
    if (!record) return;
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    bool is_gone = !json_object_size(json_object_get(record->json, "manifests"));
    json_t *json = is_gone ? NULL : json_copy(record->json);
    json_object_del(json, "removed");
    app->is_writing = true;
    wisp_app_write(app, wisp_app_store_key(app, wisp_str_from(record->name), &key), json, record->revision, on_cleared,
                   (struct wisp_app_note){.text = wisp_mem_dup(wisp_str_from(record->name)), .json = json});
}

/* --- time --- */

static void run(struct wisp_app *app)
{
    app->is_dirty = false;
    app->plan_number++;
    wisp_app_plan_deinit(&app->plan);
    wisp_app_make_plan(app, NULL, &app->plan);
    wisp_app_store_collect(app);
    for (struct wisp_app_record *record = app->first_record; record; record = record->next)
        record->is_unplanned = false;
    for (size_t i = 0; i < app->plan.n_commands; i++) {
        struct wisp_app_item *item = wisp_app_item_find(app, app->plan.commands[i].key);
        if (item) item->plan = app->plan_number;
    }
    wisp_app_items_settle(app);
    app->plan_ms = app->now.now_ms + SPACING_MS * (1 + app->plan.n_scalers / SCALERS_PER_SPACING);
    app->full_ms = app->now.now_ms + app->reconcile_ms;
    app->next_command = 0;
    json_object_clear(app->preparing);
    wisp_app_send_more(app);
    wisp_app_status_publish(app);
    clear_next(app);
}

uint64_t wisp_app_run_tick(struct wisp_app *app)
{
    if (!wisp_app_lease_is_valid(app)) return UINT64_MAX;
    uint64_t next = wisp_app_items_tick(app);
    bool is_settling = app->now.now_ms < app->settled_ms;
    if (!is_settling && !app->plan.is_complete && app->plan_ms < app->settled_ms) app->is_dirty = true;
    bool is_due = (app->is_dirty && app->now.now_ms >= app->plan_ms) || app->now.now_ms >= app->full_ms;
    if (is_due) run(app);
    if (app->is_dirty) next = wisp_app_sooner(next, app->plan_ms);
    if (is_settling) next = wisp_app_sooner(next, app->settled_ms);
    next = wisp_app_sooner(next, app->items_ms);
    return wisp_app_sooner(next, app->full_ms);
}

void wisp_app_run_deinit(struct wisp_app *app)
{
    wisp_app_plan_deinit(&app->plan);
    wisp_app_items_deinit(app);
    json_decref(app->preparing);
}
