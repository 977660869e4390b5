/* SPDX-License-Identifier: Apache-2.0 */
/* A leader's work: plans, their commands, and what becomes of each.
 *
 *     plan ─▶ SENT ─▶ (accepted) ─▶ ACCEPTED ─▶ (event) ─▶ DONE, for a while ─▶ gone
 *               └────── refused ──────┴─ failed, no outcome ─▶ HELD ─▶ (time) ─▶ planned again
 *
 * The same command is not sent while it is under way, and later the later the more often it failed, or was done and is
 * planned again all the same. So nothing loops hot, whatever hosts say. */
#include "app/app_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    SPACING_MS = 10, /* between plans */
    IN_FLIGHT_MAX = 200,
    UNIT_OUTCOME_MS = 120000,
    STATE_OUTCOME_MS = 5000,
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 60000,
    REPEAT_FIRST_MS = 100,
    FORGET_MS = 60000,
    SETTLE_MS = 1200, /* for answers of hosts to a ping */
};

/* --- what is --- */

static int by_id(const void *a, const void *b)
{
    return wisp_str_compare(((const struct wisp_app_host *)a)->id, ((const struct wisp_app_host *)b)->id);
}

static size_t list_units(struct wisp_arena *arena, const json_t *map, const struct wisp_app_instance **ret_list)
{
    struct wisp_app_instance *list = WISP_NEW_ARRAY(arena, struct wisp_app_instance, json_object_size(map));
    size_t n = 0;
    const char *id;
    json_t *unit;
    json_object_foreach((json_t *)(uintptr_t)map, id, unit)
    {
        list[n] = (struct wisp_app_instance){.id = wisp_str_from(id),
                                             .reference = wisp_json_str(unit, "reference"),
                                             .annotations = json_object_get(unit, "annotations"),
                                             .count = (uint32_t)wisp_json_u64(unit, "count", 1),
                                             .trouble = wisp_json_str(unit, "trouble")};
        uint64_t health = wisp_json_u64(unit, "health", WISP_APP_PENDING);
        if (health == WISP_APP_HEALTHY) list[n].health = WISP_APP_HEALTHY;
        if (health == WISP_APP_UNHEALTHY) list[n].health = WISP_APP_UNHEALTHY;
        if (health == WISP_APP_FAILED) list[n].health = WISP_APP_FAILED;
        n++;
    }
    *ret_list = list;
    return n;
}

static bool list_hosts(struct wisp_app *app, struct wisp_arena *arena, struct wisp_app_observed *observed)
{
    struct wisp_app_host *hosts = WISP_NEW_ARRAY(arena, struct wisp_app_host, app->hosts.count);
    bool is_complete = true;
    size_t n = 0;
    for (const struct wisp_app_known_host *known = app->first_host; known; known = known->next) {
        is_complete &= known->has_inventory || known->is_unknown;
        if (!known->has_inventory) continue; /* what runs there is not known: nothing is put there */
        struct wisp_app_host *host = &hosts[n++];
        *host = (struct wisp_app_host){.id = known->id,
                                       .friendly_name = wisp_str_from(known->friendly_name),
                                       .labels = known->labels,
                                       .is_unknown = known->is_unknown,
                                       .is_draining = known->is_draining};
        host->n_components = list_units(arena, known->components, &host->components);
        host->n_providers = list_units(arena, known->providers, &host->providers);
    }
    qsort(hosts, n, sizeof *hosts, by_id);
    observed->hosts = hosts;
    observed->n_hosts = n;
    return is_complete;
}

static void list_links(struct wisp_app *app, struct wisp_arena *arena, struct wisp_app_observed *observed)
{
    size_t n = 0, most = 0;
    for (size_t i = 0; i < app->specs.capacity; i++)
        if (app->specs.slots[i].value) most += json_array_size(app->specs.slots[i].value);
    struct wisp_app_observed_link *links = WISP_NEW_ARRAY(arena, struct wisp_app_observed_link, most);
    for (size_t i = 0; i < app->specs.capacity; i++)
        for (size_t k = 0; app->specs.slots[i].value && k < json_array_size(app->specs.slots[i].value); k++) {
            const json_t *link = json_array_get(app->specs.slots[i].value, k);
            struct wisp_str name = wisp_json_str(link, "name");
            links[n++] = (struct wisp_app_observed_link){.source = wisp_json_str(link, "source_id"),
                                                         .target = wisp_json_str(link, "target"),
                                                         .name = name.len ? name : WISP_STR("default"),
                                                         .wit_namespace = wisp_json_str(link, "wit_namespace"),
                                                         .wit_package = wisp_json_str(link, "wit_package"),
                                                         .interfaces = json_object_get(link, "interfaces"),
                                                         .source_config = json_object_get(link, "source_config"),
                                                         .target_config = json_object_get(link, "target_config")};
        }
    observed->links = links;
    observed->n_links = n;
}

/* --- what should be --- */

static struct wisp_app_desired desire(struct wisp_arena *arena, const struct wisp_app_record *record)
{
    const struct wisp_app_version *main = record->deployed ? record->deployed : record->last_deployed;
    if (!main) main = record->versions;
    struct wisp_app_desired desired = {.manifest = &main->manifest, .is_deployed = record->deployed != NULL};
    size_t n = 0;
    for (const struct wisp_app_version *at = record->versions; at; at = at->next) n++;
    const struct wisp_app_manifest **others = WISP_NEW_ARRAY(arena, const struct wisp_app_manifest *, n);
    for (const struct wisp_app_version *at = record->versions; at; at = at->next)
        if (at != main) others[desired.n_others++] = &at->manifest;
    desired.others = others;
    return desired;
}

static int by_name(const void *a, const void *b)
{
    return wisp_str_compare(((const struct wisp_app_desired *)a)->manifest->name,
                            ((const struct wisp_app_desired *)b)->manifest->name);
}

static void list_apps(struct wisp_app *app, struct wisp_arena *arena, const struct wisp_app_desired *changed,
                      struct wisp_app_wishes *wishes)
{
    struct wisp_app_desired *apps = WISP_NEW_ARRAY(arena, struct wisp_app_desired, app->records.count + 1);
    size_t n = 0;
    for (const struct wisp_app_record *record = app->first_record; record; record = record->next) {
        bool is_changed = changed && wisp_str_is(changed->manifest->name, record->name);
        if (!is_changed && record->versions) apps[n++] = desire(arena, record);
    }
    if (changed) apps[n++] = *changed;
    qsort(apps, n, sizeof *apps, by_name);
    wishes->apps = apps;
    wishes->n_apps = n;
}

static void list_held(struct wisp_app *app, struct wisp_arena *arena, struct wisp_app_wishes *wishes)
{
    struct wisp_app_held *held = WISP_NEW_ARRAY(arena, struct wisp_app_held, app->items.count);
    size_t n = 0;
    for (const struct wisp_app_item *item = app->first_item; item; item = item->next)
        if (item->state == WISP_APP_ITEM_HELD && item->due_ms > app->now.now_ms)
            held[n++] = (struct wisp_app_held){.key = wisp_str_from(item->key),
                                               .cause = wisp_str_from(item->cause),
                                               .retry_in_ms = item->due_ms - app->now.now_ms};
    wishes->held = held;
    wishes->n_held = n;
}

void wisp_app_make_plan(struct wisp_app *app, const struct wisp_app_desired *changed, struct wisp_app_plan *ret_plan)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_app_observed observed = {.configs = &app->configs, .is_connected = app->is_connected};
    struct wisp_app_wishes wishes = {.updates_max = 1};
    bool all_known = list_hosts(app, &arena, &observed);
    observed.is_complete = all_known && app->is_loaded && app->now.now_ms - app->asked_ms >= SETTLE_MS;
    list_links(app, &arena, &observed);
    list_apps(app, &arena, changed, &wishes);
    list_held(app, &arena, &wishes);
    wisp_app_plan_make(ret_plan, &wishes, &observed);
}

/* --- items --- */

static struct wisp_app_item *item_need(struct wisp_app *app, struct wisp_str key)
{
    struct wisp_app_item *item = wisp_map_get(&app->items, key);
    if (item || app->items.count >= WISP_APP_ITEMS_MAX) return item;
    item = wisp_mem_calloc(1, sizeof *item);
    item->key = wisp_mem_dup(key);
    item->next = app->first_item;
    app->first_item = item;
    wisp_map_add(&app->items, wisp_str_from(item->key), item);
    return item;
}

static void item_free(struct wisp_app *app, struct wisp_app_item **at)
{
    struct wisp_app_item *item = *at;
    *at = item->next;
    wisp_map_remove(&app->items, wisp_str_from(item->key));
    free(item->key);
    free(item->cause);
    free(item);
}

void wisp_app_items_forget(struct wisp_app *app)
{
    while (app->first_item) item_free(app, &app->first_item);
}

static uint64_t backoff(struct wisp_app *app, uint32_t tries, uint64_t first_ms)
{
    uint64_t pause = first_ms << (tries < 10 ? tries : 10);
    if (pause > BACKOFF_MAX_MS) pause = BACKOFF_MAX_MS;
    app->random = app->random * 6364136223846793005u + 1442695040888963407u;
    return pause - (app->random >> 33) % (pause / 4 + 1);
}

static void hold(struct wisp_app *app, struct wisp_app_item *item, const char *cause)
{
    bool is_news = !item->cause || strcmp(item->cause, cause) != 0;
    item->state = WISP_APP_ITEM_HELD;
    item->due_ms = app->now.now_ms + backoff(app, item->tries++, BACKOFF_FIRST_MS);
    if (is_news) wisp_app_log(app, WISP_LOG_WARN, "%s: %s", item->key, cause);
    if (is_news) {
        free(item->cause);
        item->cause = wisp_mem_dup(wisp_str_from(cause));
    }
    wisp_app_touch(app);
}

static void finish(struct wisp_app *app, struct wisp_app_item *item)
{
    item->state = WISP_APP_ITEM_DONE;
    item->due_ms = app->now.now_ms + backoff(app, item->tries++, REPEAT_FIRST_MS);
    free(WISP_TAKE(item->cause));
    wisp_app_touch(app);
}

void wisp_app_item_outcome(struct wisp_app *app, struct wisp_str key, const char *cause)
{
    struct wisp_app_item *item = wisp_map_get(&app->items, key);
    bool is_under_way = item && (item->state == WISP_APP_ITEM_SENT || item->state == WISP_APP_ITEM_ACCEPTED);
    if (!is_under_way) return;
    if (cause)
        hold(app, item, cause);
    else
        finish(app, item);
}

/* When an item changes next. */
static uint64_t look_at(struct wisp_app *app, struct wisp_app_item **at)
{
    struct wisp_app_item *item = *at;
    bool is_under_way = item->state == WISP_APP_ITEM_SENT || item->state == WISP_APP_ITEM_ACCEPTED;
    if (app->now.now_ms < item->due_ms) return item->due_ms;
    if (is_under_way) {
        hold(app, item, "there was no outcome in time");
        return item->due_ms;
    }
    if (!item->was_looked_at) wisp_app_touch(app); /* may be tried again */
    item->was_looked_at = true;
    if (app->now.now_ms < item->due_ms + FORGET_MS) return item->due_ms + FORGET_MS;
    item_free(app, at);
    return UINT64_MAX;
}

static uint64_t items_tick(struct wisp_app *app)
{
    uint64_t next = UINT64_MAX;
    for (struct wisp_app_item **at = &app->first_item; *at;) {
        struct wisp_app_item *item = *at;
        uint64_t due = look_at(app, at);
        if (due < next) next = due;
        if (*at == item) at = &item->next;
    }
    return next;
}

/* --- sending --- */

struct sent {
    char *key;
    bool has_event; /* the outcome comes by an event of the host; else by the state, or not at all */
};

static void on_answer(struct wisp_app *app, const struct wisp_app_done *done, void *env)
{
    struct sent *sent = env;
    struct wisp_app_item *item = wisp_map_get(&app->items, wisp_str_from(sent->key));
    WISP_CLEANUP_JSON json_t *answer = NULL;
    bool is_ours = item && item->state == WISP_APP_ITEM_SENT;
    if (is_ours && done->err.kind) {
        hold(app, item, done->err.text);
    } else if (is_ours &&
               (wisp_json_parse(done->reply.payload, &answer, NULL) < 0 || !wisp_json_bool(answer, "success", false))) {
        WISP_CLEANUP_FREE char *cause = wisp_mem_dup(wisp_json_str(answer, "message"));
        hold(app, item, cause[0] ? cause : "the host refused it and does not say why");
    } else if (is_ours) {
        item->state = WISP_APP_ITEM_ACCEPTED;
        item->due_ms = app->now.now_ms + (sent->has_event ? UNIT_OUTCOME_MS : STATE_OUTCOME_MS);
        if (!sent->has_event) finish(app, item);
    }
    free(sent->key);
    free(sent);
}

static void put_subject(const struct wisp_app *app, const struct wisp_app_command *command, struct wisp_buf *out)
{
    wisp_buf_printf(out, "%s.v1.%s.", app->ctl_prefix, app->lattice);
    switch (command->kind) {
    case WISP_APP_PUT_CONFIG:
        wisp_buf_printf(out, "config.put.%.*s", WISP_STR_ARG(command->name));
        break;
    case WISP_APP_DELETE_CONFIG:
        wisp_buf_printf(out, "config.del.%.*s", WISP_STR_ARG(command->name));
        break;
    case WISP_APP_PUT_LINK:
        wisp_buf_append_str(out, WISP_STR("link.put"));
        break;
    case WISP_APP_DELETE_LINK:
        wisp_buf_append_str(out, WISP_STR("link.del"));
        break;
    case WISP_APP_SCALE:
        wisp_buf_printf(out, "component.scale.%.*s", WISP_STR_ARG(command->host));
        break;
    case WISP_APP_START_PROVIDER:
        wisp_buf_printf(out, "provider.start.%.*s", WISP_STR_ARG(command->host));
        break;
    case WISP_APP_STOP_PROVIDER:
        wisp_buf_printf(out, "provider.stop.%.*s", WISP_STR_ARG(command->host));
        break;
    }
}

static void send(struct wisp_app *app, const struct wisp_app_command *command, struct wisp_app_item *item)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    struct sent *sent = wisp_mem_calloc(1, sizeof *sent);
    *sent = (struct sent){wisp_mem_dup(command->key), command->kind >= WISP_APP_SCALE};
    item->state = WISP_APP_ITEM_SENT;
    item->was_looked_at = false;
    item->due_ms = app->now.now_ms + app->command_timeout_ms + 1000;
    put_subject(app, command, &subject);
    wisp_app_request(app, wisp_buf_str(&subject), command->payload, on_answer, sent);
}

/* What starts waits for the configs and links of its application. */
static bool must_wait(const struct wisp_app_command *command, const json_t *preparing)
{
    bool starts = command->kind == WISP_APP_SCALE || command->kind == WISP_APP_START_PROVIDER;
    return starts && json_object_getn(preparing, command->app.ptr, command->app.len);
}

static void send_all(struct wisp_app *app)
{
    WISP_CLEANUP_JSON json_t *preparing = json_object();
    uint32_t n_sent = 0;
    for (const struct wisp_app_item *item = app->first_item; item; item = item->next)
        n_sent += item->state == WISP_APP_ITEM_SENT;
    for (size_t i = 0; i < app->plan.n_commands && n_sent < IN_FLIGHT_MAX; i++) {
        const struct wisp_app_command *command = &app->plan.commands[i];
        struct wisp_app_item *item = wisp_map_get(&app->items, command->key);
        bool is_under_way = item && (item->state != WISP_APP_ITEM_HELD || item->due_ms > app->now.now_ms) &&
                            (item->state != WISP_APP_ITEM_DONE || item->due_ms > app->now.now_ms);
        bool is_sent = item && item->state == WISP_APP_ITEM_SENT;
        if (!is_under_way && !must_wait(command, preparing) && (item = item_need(app, command->key))) {
            send(app, command, item);
            is_sent = true;
            n_sent++;
        }
        if (is_sent && command->kind < WISP_APP_SCALE)
            json_object_setn_new_nocheck(preparing, command->app.ptr, command->app.len, json_true());
    }
}

/* --- what was deleted, once nothing of it is left --- */

static void on_purged(struct wisp_app *app, const struct wisp_app_done *done, void *env)
{
    (void)env;
    if (done->err.kind && done->err.kind != WISP_ERR_EXISTS)
        wisp_app_log(app, WISP_LOG_WARN, "an application could not be deleted: %s", done->err.text);
}

static bool has_left_over(const struct wisp_app *app, struct wisp_str name)
{
    if (json_object_getn(app->plan.blocked, name.ptr, name.len)) return true;
    for (size_t i = 0; i < app->plan.n_commands; i++)
        if (wisp_str_equal(app->plan.commands[i].app, name)) return true;
    return app->now.now_ms - app->asked_ms < SETTLE_MS;
}

static void purge(struct wisp_app *app)
{
    for (struct wisp_app_record *record = app->first_record; record; record = record->next) {
        struct wisp_str name = wisp_str_from(record->name);
        if (!record->is_deleting || record->deployed || has_left_over(app, name)) continue;
        WISP_CLEANUP_BUF struct wisp_buf key = {0};
        wisp_app_write(app, wisp_app_store_key(app, name, &key), NULL, (int64_t)record->revision, on_purged, NULL);
    }
}

/* --- time --- */

void wisp_app_touch(struct wisp_app *app)
{
    if (app->is_dirty) return;
    app->is_dirty = true;
    if (app->plan_ms < app->now.now_ms) app->plan_ms = app->now.now_ms;
}

void wisp_app_run_tick(struct wisp_app *app)
{
    if (!wisp_app_lease_is_valid(app)) return;
    app->items_ms = items_tick(app);
    bool is_full = app->now.now_ms >= app->full_ms,
         has_settled = app->asked_ms && !app->was_settled && app->now.now_ms - app->asked_ms >= SETTLE_MS;
    if (has_settled) app->was_settled = true;
    if (!is_full && !has_settled && (!app->is_dirty || app->now.now_ms < app->plan_ms)) return;
    app->is_dirty = false;
    app->plan_ms = app->now.now_ms + SPACING_MS;
    app->full_ms = app->now.now_ms + app->reconcile_ms;
    if (is_full) wisp_app_store_repair(app);
    wisp_app_plan_deinit(&app->plan);
    wisp_app_make_plan(app, NULL, &app->plan);
    send_all(app);
    wisp_app_status_publish(app);
    purge(app);
}

uint64_t wisp_app_run_next(const struct wisp_app *app)
{
    if (!wisp_app_lease_is_valid(app)) return UINT64_MAX;
    uint64_t next = app->full_ms < app->items_ms ? app->full_ms : app->items_ms;
    if (app->is_dirty && app->plan_ms < next) next = app->plan_ms;
    if (!app->was_settled && app->asked_ms + SETTLE_MS < next) next = app->asked_ms + SETTLE_MS;
    return next;
}

void wisp_app_run_deinit(struct wisp_app *app)
{
    wisp_app_plan_deinit(&app->plan);
    wisp_app_items_forget(app);
    wisp_map_deinit(&app->items);
}
