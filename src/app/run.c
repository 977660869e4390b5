/* SPDX-License-Identifier: Apache-2.0 */
/* A leader's work: applications for which something has changed are planned anew, some at a time, and what follows from
 * that is done. The others are looked at too, one after the other at a slow pace, should anything have been missed. */
#include "app/app_priv.h"
#include "app/hosts_priv.h"
#include "app/items_priv.h"
#include "app/lease_priv.h"
#include "app/output_priv.h"
#include "app/run_priv.h"
#include "app/status_priv.h"
#include "app/store_priv.h"
#include "app/touch_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    SPACING_MS = 10,     /* between plans */
    AT_ONCE_MAX = 100,   /* applications that are planned then */
    IN_FLIGHT_MAX = 200, /* commands without an answer */
    CHECK_MIN_MS = 500,  /* between two that are looked at for no reason */
};

/* --- sending --- */

/* Configs and links that are on their way, or have just been accepted and are not seen yet. */
static bool is_preparing(const struct wisp_app *app, const struct wisp_app_item *item)
{
    bool is_fresh = item && item->state == WISP_APP_ITEM_DONE && item->tries <= 1 && item->due_ms > app->now.now_ms;
    return item && (is_fresh || item->state == WISP_APP_ITEM_SENT);
}

/* Nothing starts before the configs and links that come first are there. False: there is no room for all. */
static bool send_all(struct wisp_app *app, const struct wisp_app_plan *plan)
{
    bool prepares = false;
    for (size_t i = 0; i < plan->n_commands; i++) {
        const struct wisp_app_command *command = &plan->commands[i];
        bool is_unit = command->kind >= WISP_APP_SCALE, starts = is_unit && command->kind != WISP_APP_STOP_PROVIDER;
        if (starts && prepares) continue;
        if (app->n_sent >= IN_FLIGHT_MAX) return false;
        wisp_app_item_send(app, command);
        struct wisp_app_item *item = wisp_app_item_find(app, command->key);
        if (item) item->plan = app->plan_number;
        prepares |= !is_unit && is_preparing(app, item);
    }
    return true;
}

/* --- what was deleted, once nothing of it is left --- */

static bool has_removed(const struct wisp_app_record *record)
{
    return json_array_size(json_object_get(record->json, "removed")) ||
           !json_object_size(json_object_get(record->json, "manifests"));
}

static void on_cleared(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note)
{
    app->is_writing = false;
    if (!done->err.kind) wisp_app_store_adopt(app, wisp_str_from(note->text), note->json, done->revision);
    if (!done->err.kind) app->clear_ms = 0;
}

static bool can_clear(struct wisp_app *app, const struct wisp_app_record *record)
{
    bool is_settled = record->is_ours && !record->is_unplanned && !record->is_missing && record->was_complete &&
                      !record->is_unsettled;
    if (!is_settled || !has_removed(record)) return false;
    uint64_t sure_ms = wisp_app_items_sure_ms(app, record->name);
    if (!sure_ms && app->sure_ms > app->now.now_ms) sure_ms = app->sure_ms;
    if (sure_ms) app->clear_ms = wisp_app_sooner(app->clear_ms, sure_ms);
    return !sure_ms;
}

static void clear_next(struct wisp_app *app)
{
    const struct wisp_app_record *record = app->first_record;
    app->clear_ms = UINT64_MAX;
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

/* --- plans --- */

/* What runs for an application that can't be understood stays; so does what runs for one that isn't known at all, while
 * it may be that the state was lost. */
static bool is_spared(const struct wisp_app *app, const struct wisp_app_record *record)
{
    return record ? !wisp_ring_is_member(&record->desired.mentions) : wisp_app_lease_is_young(app);
}

/* Nothing is left of it, or it can't be understood. */
static void skip(struct wisp_app *app, struct wisp_app_record *record)
{
    record->is_unplanned = record->is_unsettled = false;
    record->was_complete = !record->trouble && wisp_app_is_complete(app);
    if (has_removed(record)) app->clear_ms = 0;
}

static void take_outcome(struct wisp_app *app, struct wisp_app_record *record, const struct wisp_app_plan *plan)
{
    record->is_unplanned = false;
    record->is_unsettled = plan->apps[0].is_unsettled;
    record->was_complete = plan->is_complete;
    wisp_app_status_take(app, record, &plan->apps[0]);
    if (has_removed(record)) app->clear_ms = 0;
}

static void plan_one(struct wisp_app *app, struct wisp_str name)
{
    struct wisp_app_record *record = wisp_app_record_find(app, name);
    if (!is_spared(app, record)) {
        struct wisp_app_plan plan;
        wisp_app_make_plan(app, &name, 1, NULL, &plan);
        app->plan_number++;
        for (size_t i = 0; i < plan.n_commands; i++) {
            struct wisp_app_item *item = wisp_app_item_find(app, plan.commands[i].key);
            if (item) item->plan = app->plan_number;
        }
        wisp_app_items_settle(app, name);
        bool is_sent = send_all(app, &plan);
        if (record) take_outcome(app, record, &plan);
        wisp_app_plan_deinit(&plan);
        if (!is_sent) wisp_app_touch(app, name); /* the rest when there is room */
    } else if (record) {
        skip(app, record);
    }
    if (record && record->is_ours) wisp_app_status_publish(app, record);
}

static void run(struct wisp_app *app)
{
    app->plan_ms = app->now.now_ms + SPACING_MS;
    for (int i = 0; i < AT_ONCE_MAX && app->n_sent < IN_FLIGHT_MAX; i++) {
        WISP_CLEANUP_FREE char *name = wisp_app_touched_take(app);
        if (!name) return;
        plan_one(app, wisp_str_from(name));
    }
}

/* --- time --- */

/* Whether enough is known to start and to stop something. Who has just begun to lead gives all hosts some time to tell,
 * those that are silent too: they may be gone by then. */
static uint64_t look_around(struct wisp_app *app)
{
    bool is_settled = app->now.now_ms >= app->settled_ms, is_complete = wisp_app_is_complete(app),
         is_ready = is_settled && (!app->n_untold || app->now.now_ms >= app->asked_ms);
    if ((is_ready && !app->was_ready) || (is_complete && !app->was_complete)) wisp_app_touch_all(app);
    app->was_ready = is_ready;
    app->was_complete = is_complete;
    return is_ready ? UINT64_MAX : is_settled ? app->asked_ms : app->settled_ms;
}

static uint64_t check(struct wisp_app *app)
{
    if (app->now.now_ms >= app->strays_ms) {
        wisp_app_touch_strays(app);
        app->strays_ms = app->now.now_ms + app->reconcile_ms;
    }
    if (app->now.now_ms < app->check_ms) return wisp_app_sooner(app->check_ms, app->strays_ms);
    const struct wisp_app_record *record = app->next_check ? app->next_check : app->first_record;
    uint64_t pause_ms = app->reconcile_ms / (app->records.count ? app->records.count : 1);
    if (record) wisp_app_touch_later(app, wisp_str_from(record->name));
    app->next_check = record ? record->next : NULL;
    app->check_ms = app->now.now_ms + (pause_ms > CHECK_MIN_MS ? pause_ms : CHECK_MIN_MS);
    return wisp_app_sooner(app->check_ms, app->strays_ms);
}

uint64_t wisp_app_run_tick(struct wisp_app *app)
{
    if (!wisp_app_lease_is_valid(app)) return UINT64_MAX;
    uint64_t next = look_around(app);
    next = wisp_app_sooner(next, wisp_app_items_tick(app));
    next = wisp_app_sooner(next, check(app));
    bool has_work = app->was_ready && app->touched.count;
    if (has_work && app->n_sent < IN_FLIGHT_MAX && app->now.now_ms >= app->plan_ms) run(app);
    if (!app->is_writing && app->now.now_ms >= app->clear_ms) clear_next(app);
    has_work = app->was_ready && app->touched.count;
    if (has_work && app->n_sent < IN_FLIGHT_MAX) next = wisp_app_sooner(next, app->plan_ms);
    if (!app->is_writing) next = wisp_app_sooner(next, app->clear_ms);
    return wisp_app_sooner(next, wisp_app_items_next_ms(app));
}

void wisp_app_run_begin(struct wisp_app *app)
{
    for (struct wisp_app_record *record = app->first_record; record; record = record->next)
        record->was_complete = false;
    app->was_ready = app->was_complete = false;
    app->plan_ms = app->check_ms = app->strays_ms = 0;
    app->clear_ms = UINT64_MAX;
    wisp_app_hosts_ask_all(app);
}

void wisp_app_run_end(struct wisp_app *app)
{
    wisp_app_items_forget(app, NULL);
    wisp_app_touched_clear(app);
}

void wisp_app_run_deinit(struct wisp_app *app)
{
    wisp_app_touched_clear(app);
    wisp_map_deinit(&app->touched);
    wisp_app_items_deinit(app);
}
