/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and what becomes of each.
 *
 *     SENT ─▶ (accepted) ─▶ ACCEPTED ─▶ (event, or it can be seen) ─▶ DONE, for a while ─▶ gone
 *      └────── refused ────────┴─ failed, no outcome ─▶ HELD ─▶ (time) ─▶ planned again
 *
 * The same command is not sent while it is under way, and the later the more often it failed, or was done and is
 * planned again all the same. So nothing loops hot, whatever hosts say. One with other content begins anew: who has put
 * a mistake right does not wait. */
#include "app/app_priv.h"
#include "app/hosts_priv.h"
#include "app/items_priv.h"
#include "app/listed.h"
#include "app/output_priv.h"
#include "app/touch_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    ANSWER_MS = 1000,   /* after the time of a request is over, to be sure */
    OUTCOME_MS = 60000, /* of what a host has to fetch an image for */
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 60000,
    REPEAT_FIRST_MS = 100,
    FORGET_MS = 60000,
    LOOK_MS = 20,
    DOUBT_MS = 15000, /* a host may try for so long to write what it was asked for, */
    TELLING_MS = 500, /* and this is how long a write that is done takes to be told */
};

static bool has_event(enum wisp_app_command_kind kind) { return kind >= WISP_APP_SCALE; }

/* --- the list --- */

struct wisp_app_item *wisp_app_item_find(const struct wisp_app *app, struct wisp_str key)
{
    return wisp_map_get(&app->items, key);
}

bool wisp_app_item_is_under_way(const struct wisp_app_item *item)
{
    return item->state == WISP_APP_ITEM_SENT || item->state == WISP_APP_ITEM_ACCEPTED;
}

/* What was commanded and is not there yet counts for placement. */
static void bring(struct wisp_app *app, struct wisp_app_item *item)
{
    const json_t *payload = item->payload;
    bool is_provider = item->kind == WISP_APP_START_PROVIDER;
    const struct wisp_app_known_host *host = item->host ? wisp_app_host_find(app, wisp_str_from(item->host)) : NULL;
    item->coming =
        (struct wisp_app_instance){.is_provider = is_provider,
                                   .id = wisp_json_str(payload, is_provider ? "provider_id" : "component_id"),
                                   .reference = wisp_json_str(payload, is_provider ? "provider_ref" : "component_ref"),
                                   .annotations = json_object_get(payload, "annotations"),
                                   .count = (uint32_t)wisp_json_u64(payload, "count", 1),
                                   .is_coming = true};
    if (!host || !item->coming.count || (!is_provider && item->kind != WISP_APP_SCALE)) return;
    item->coming.host = &host->host;
    wisp_app_units_add(&app->units, &item->coming);
}

static void set_state(struct wisp_app *app, struct wisp_app_item *item, enum wisp_app_item_state state, uint64_t due_ms)
{
    wisp_app_units_remove(&app->units, &item->coming);
    app->n_sent -= item->state == WISP_APP_ITEM_SENT;
    app->n_sent += state == WISP_APP_ITEM_SENT;
    item->state = state;
    item->due_ms = due_ms;
    item->was_due = false;
    if (wisp_app_item_is_under_way(item)) bring(app, item);
    app->items_ms = wisp_app_sooner(app->items_ms, due_ms);
}

static struct wisp_app_item *item_need(struct wisp_app *app, const struct wisp_app_command *command)
{
    struct wisp_app_item *item = wisp_app_item_find(app, command->key);
    if (item || app->items.count >= WISP_APP_ITEMS_MAX) return item;
    item = wisp_mem_calloc(1, sizeof *item);
    item->state = WISP_APP_ITEM_DONE;
    item->key = wisp_mem_dup(command->key);
    item->kind = command->kind;
    item->host = command->host.len ? wisp_mem_dup(command->host) : NULL;
    item->next = app->first_item;
    app->first_item = item;
    wisp_map_add(&app->items, wisp_str_from(item->key), item);
    return item;
}

static void set_app(struct wisp_app *app, struct wisp_app_item *item, struct wisp_str name)
{
    if (item->app && wisp_str_is(name, item->app)) return;
    wisp_ring_remove(&item->of_app);
    if (item->app) wisp_app_listed_release(&app->items_of_app, wisp_str_from(item->app));
    free(item->app);
    item->app = wisp_mem_dup(name);
    wisp_ring_append(&wisp_app_listed_need(&app->items_of_app, wisp_str_from(item->app))->all, &item->of_app);
}

struct wisp_link *wisp_app_items_of(const struct wisp_app *app, struct wisp_str name)
{
    return wisp_app_listed_in(&app->items_of_app, name);
}

static void item_free(struct wisp_app *app, struct wisp_app_item **at)
{
    struct wisp_app_item *item = *at;
    *at = item->next;
    wisp_app_units_remove(&app->units, &item->coming);
    wisp_ring_remove(&item->of_app);
    if (item->app) wisp_app_listed_release(&app->items_of_app, wisp_str_from(item->app));
    wisp_map_remove(&app->items, wisp_str_from(item->key));
    app->n_sent -= item->state == WISP_APP_ITEM_SENT;
    json_decref(item->payload);
    free(item->key);
    free(item->host);
    free(item->app);
    free(item->cause);
    free(item);
}

void wisp_app_items_forget(struct wisp_app *app, const char *host)
{
    for (struct wisp_app_item **at = &app->first_item; *at;) {
        bool goes = !host || ((*at)->host && strcmp((*at)->host, host) == 0);
        if (goes)
            item_free(app, at);
        else
            at = &(*at)->next;
    }
}

void wisp_app_items_deinit(struct wisp_app *app)
{
    wisp_app_items_forget(app, NULL);
    wisp_map_deinit(&app->items);
    wisp_app_listed_deinit(&app->items_of_app);
}

/* --- outcomes --- */

static uint64_t backoff(struct wisp_app *app, uint32_t tries, uint64_t first_ms)
{
    uint64_t pause = first_ms << (tries < 10 ? tries : 10);
    if (pause > BACKOFF_MAX_MS) pause = BACKOFF_MAX_MS;
    return pause - wisp_app_random(app) % (pause / 4 + 1);
}

static void hold(struct wisp_app *app, struct wisp_app_item *item, struct wisp_str cause)
{
    bool is_news = !item->cause || !wisp_str_is(cause, item->cause);
    set_state(app, item, WISP_APP_ITEM_HELD, app->now.now_ms + backoff(app, item->tries++, BACKOFF_FIRST_MS));
    if (is_news) {
        free(item->cause);
        item->cause = wisp_mem_dup(cause);
        wisp_app_log(app, WISP_LOG_WARN, "%s: %s", item->key, item->cause);
    }
    wisp_app_touch(app, wisp_str_from(item->app));
}

static void finish(struct wisp_app *app, struct wisp_app_item *item)
{
    set_state(app, item, WISP_APP_ITEM_DONE, app->now.now_ms + backoff(app, item->tries++, REPEAT_FIRST_MS));
    free(WISP_TAKE(item->cause));
    wisp_app_touch(app, wisp_str_from(item->app));
}

/* What an event tells is what the command was for, and not of an earlier one. */
static bool is_outcome_of(const struct wisp_app_item *item, const struct wisp_app_outcome *outcome)
{
    if (item->kind != WISP_APP_SCALE) return true;
    uint64_t count = wisp_json_u64(item->payload, "count", 0);
    bool is_same_code = wisp_str_equal(outcome->reference, wisp_json_str(item->payload, "component_ref"));
    return outcome->is_failure ? is_same_code : outcome->count == count && (!count || is_same_code);
}

static const char *verb_of(enum wisp_app_command_kind kind)
{
    return kind == WISP_APP_SCALE ? "scale" : kind == WISP_APP_START_PROVIDER ? "start" : "stop";
}

bool wisp_app_item_outcome(struct wisp_app *app, enum wisp_app_command_kind kind,
                           const struct wisp_app_outcome *outcome)
{
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    wisp_buf_printf(&key, "%s/%.*s/%.*s", verb_of(kind), WISP_STR_ARG(outcome->host), WISP_STR_ARG(outcome->unit));
    struct wisp_app_item *item = wisp_app_item_find(app, wisp_buf_str(&key));
    if (!item || !wisp_app_item_is_under_way(item) || !is_outcome_of(item, outcome)) return false;
    if (outcome->is_failure)
        hold(app, item, outcome->why);
    else
        finish(app, item);
    return true;
}

void wisp_app_items_settle(struct wisp_app *app, struct wisp_str name)
{
    struct wisp_link *items = wisp_app_items_of(app, name);
    WISP_RING_EACH(at, items)
    {
        struct wisp_app_item *item = WISP_OWNER(at, struct wisp_app_item, of_app);
        if (item->state != WISP_APP_ITEM_ACCEPTED || item->plan == app->plan_number) continue;
        set_state(app, item, WISP_APP_ITEM_DONE, app->now.now_ms);
        free(WISP_TAKE(item->cause));
    }
}

/* --- sending --- */

/* `number`: of the item's sending, so that an answer to an earlier one does not count. */
static void on_answer(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note)
{
    struct wisp_app_item *item = wisp_app_item_find(app, wisp_str_from(note->text));
    WISP_CLEANUP_JSON json_t *answer = NULL;
    if (!item || item->state != WISP_APP_ITEM_SENT || item->serial != note->number) return;
    if (done->err.kind) {
        hold(app, item, wisp_str_from(done->err.text));
    } else if (wisp_json_parse(done->reply.payload, &answer, NULL) < 0 || !wisp_json_bool(answer, "success", false)) {
        struct wisp_str message = wisp_json_str(answer, "message");
        hold(app, item, message.len ? message : WISP_STR("the host refused it and does not say why"));
    } else if (has_event(item->kind)) {
        set_state(app, item, WISP_APP_ITEM_ACCEPTED, app->now.now_ms + OUTCOME_MS);
    } else {
        item->sure_ms = app->now.now_ms + TELLING_MS;
        finish(app, item);
    }
}

uint64_t wisp_app_items_sure_ms(const struct wisp_app *app, const char *name)
{
    uint64_t latest = 0;
    struct wisp_link *items = wisp_app_items_of(app, wisp_str_from(name));
    WISP_RING_EACH(at, items)
    {
        const struct wisp_app_item *item = WISP_OWNER(at, struct wisp_app_item, of_app);
        bool counts = !has_event(item->kind) && item->sure_ms > app->now.now_ms;
        if (counts && item->sure_ms > latest) latest = item->sure_ms;
    }
    return latest;
}

static void put_subject(const struct wisp_app *app, const struct wisp_app_command *command, struct wisp_buf *out)
{
    static const char *const verbs[] = {
        [WISP_APP_PUT_CONFIG] = "config.put.",      [WISP_APP_DELETE_CONFIG] = "config.del.",
        [WISP_APP_PUT_LINK] = "link.put",           [WISP_APP_DELETE_LINK] = "link.del",
        [WISP_APP_SCALE] = "component.scale.",      [WISP_APP_START_PROVIDER] = "provider.start.",
        [WISP_APP_STOP_PROVIDER] = "provider.stop."};
    wisp_buf_printf(out, "%s.v1.%s.%s", app->ctl_prefix, app->lattice, verbs[command->kind]);
    wisp_buf_append_str(out, has_event(command->kind) ? command->host : command->name);
}

static bool may_send(const struct wisp_app *app, const struct wisp_app_item *item,
                     const struct wisp_app_command *command)
{
    if (item->state == WISP_APP_ITEM_SENT) return false;
    bool is_same = item->payload == command->payload ||
                   (item->payload && command->payload && json_equal(item->payload, command->payload));
    return !is_same || !item->serial || (item->state != WISP_APP_ITEM_ACCEPTED && item->due_ms <= app->now.now_ms);
}

void wisp_app_item_send(struct wisp_app *app, const struct wisp_app_command *command)
{
    struct wisp_app_item *item = item_need(app, command);
    if (!item || !may_send(app, item, command)) return;
    bool is_same = !command->payload || (item->payload && json_equal(item->payload, command->payload));
    if (!is_same) item->tries = 0;
    if (!is_same) free(WISP_TAKE(item->cause));
    wisp_app_units_remove(&app->units, &item->coming); /* that points to the old one */
    json_decref(item->payload);
    item->payload = json_incref(command->payload);
    set_app(app, item, command->app);
    item->serial = ++app->next_serial;
    item->sure_ms = app->now.now_ms + DOUBT_MS;
    bool may_fetch = wisp_json_str(command->payload, "replacement").len; /* before it answers */
    uint64_t timeout_ms = may_fetch ? OUTCOME_MS : app->command_timeout_ms;
    set_state(app, item, WISP_APP_ITEM_SENT, app->now.now_ms + timeout_ms + ANSWER_MS);
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    put_subject(app, command, &subject);
    wisp_app_request(app, wisp_buf_str(&subject), command->payload, timeout_ms, on_answer,
                     (struct wisp_app_note){.text = wisp_mem_dup(command->key), .number = item->serial});
}

/* --- time --- */

/* When it is due next; it may be gone then. */
static uint64_t look_at(struct wisp_app *app, struct wisp_app_item **at)
{
    struct wisp_app_item *item = *at;
    if (app->now.now_ms < item->due_ms) return item->due_ms;
    if (wisp_app_item_is_under_way(item)) {
        hold(app, item, WISP_STR("there was no outcome in time"));
        return item->due_ms;
    }
    if (!item->was_due) wisp_app_touch(app, wisp_str_from(item->app)); /* may be tried again */
    item->was_due = true;
    if (app->now.now_ms < item->due_ms + FORGET_MS) return item->due_ms + FORGET_MS;
    item_free(app, at);
    return UINT64_MAX;
}

/* All are looked at then, so not too often. */
uint64_t wisp_app_items_next_ms(const struct wisp_app *app)
{
    uint64_t earliest = app->items_looked_ms + LOOK_MS;
    return app->items_ms > earliest ? app->items_ms : earliest;
}

uint64_t wisp_app_items_tick(struct wisp_app *app)
{
    uint64_t next = wisp_app_items_next_ms(app);
    if (app->now.now_ms < next) return next;
    app->items_ms = UINT64_MAX;
    app->items_looked_ms = app->now.now_ms;
    for (struct wisp_app_item **at = &app->first_item; *at;) {
        struct wisp_app_item *item = *at;
        uint64_t due = look_at(app, at);
        app->items_ms = wisp_app_sooner(app->items_ms, due);
        if (*at == item) at = &item->next;
    }
    return wisp_app_items_next_ms(app);
}
