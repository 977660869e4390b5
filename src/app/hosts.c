/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts and what they run, by their inventories and beats; events.c follows what changes in between.
 *
 * A host that is silent is unknown first, and gone when its lease ends: a host of our own kind beats every BEAT_MS and
 * its lease is short; of others only heartbeats are heard, every half a minute. Only those who follow (app.h) know of
 * hosts at all. */
#include "app/app_priv.h"
#include "app/hosts_priv.h"
#include "app/items_priv.h"
#include "app/lease_priv.h"
#include "app/output_priv.h"
#include "app/status_priv.h"
#include "app/touch_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    BEAT_MS = 700,
    BEATS_MISSED_MS = 1600, /* unknown */
    BEATS_LEASE_MS = 2500,
    OTHERS_UNKNOWN_MS = 40000,
    OTHERS_LEASE_MS = 70000,
    ASK_AGAIN_MS = 1000, /* that has not told what it runs */
    SETTLE_MS = 1200,    /* for answers to a ping of all */
};

/* --- the list --- */

/* It becomes part of subjects. */
static bool can_be_id(struct wisp_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && c != '-' && c != '_') return false;
    }
    return id.len && id.len <= WISP_APP_HOST_ID_MAX;
}

/* Something that placement depends on: first of all for what runs there. */
static void host_changed(struct wisp_app *app, struct wisp_app_known_host *host)
{
    app->is_listed = false;
    WISP_RING_EACH(at, &host->all_units)
    wisp_app_touch_instance(app, &WISP_OWNER(at, struct wisp_app_unit, of_host)->instance);
    wisp_app_touch_all(app);
}

static void set_known(struct wisp_app *app, struct wisp_app_known_host *host, bool has_inventory, bool is_unknown)
{
    app->n_unheard -= !host->has_inventory && !host->host.is_unknown;
    app->n_unheard += !has_inventory && !is_unknown;
    app->n_untold -= !host->has_inventory;
    app->n_untold += !has_inventory;
    host->has_inventory = has_inventory;
    host->host.is_unknown = is_unknown;
    app->hosts_ms = 0;
}

struct wisp_app_known_host *wisp_app_host_need(struct wisp_app *app, struct wisp_str id)
{
    struct wisp_app_known_host *host = wisp_app_host_find(app, id);
    if (host || !can_be_id(id) || app->hosts.count >= WISP_APP_HOSTS_MAX) return host;
    host = wisp_mem_calloc(1, sizeof *host);
    host->id = wisp_mem_dup(id);
    host->friendly_name = wisp_mem_dup(WISP_STR(""));
    host->labels = json_object();
    host->host = (struct wisp_app_host){.id = wisp_str_from(host->id), .labels = host->labels, .position = SIZE_MAX};
    wisp_ring_init(&host->all_units);
    host->heard_ms = app->now.now_ms;
    host->next = app->first_host;
    app->first_host = host;
    app->n_unheard++;
    app->n_untold++;
    wisp_map_add(&app->hosts, host->host.id, host);
    app->hosts_ms = 0;
    wisp_app_host_ask(app, host);
    return host;
}

static void host_free(struct wisp_app *app, struct wisp_app_known_host *host)
{
    wisp_app_units_clear(app, host);
    for (size_t i = 0; i < WISP_COUNT(host->units); i++) wisp_map_deinit(&host->units[i]);
    json_decref(host->labels);
    free(host->friendly_name);
    free(host->id);
    free(host);
}

void wisp_app_host_forget(struct wisp_app *app, struct wisp_app_known_host *host)
{
    struct wisp_app_known_host **at = &app->first_host;
    while (*at != host) at = &(*at)->next;
    *at = host->next;
    set_known(app, host, true, false);
    host_changed(app, host);
    wisp_map_remove(&app->hosts, host->host.id);
    wisp_app_items_forget(app, host->id);
    host_free(app, host);
}

void wisp_app_host_set_draining(struct wisp_app *app, struct wisp_app_known_host *host, bool is_draining)
{
    if (host->host.is_draining == is_draining) return;
    host->host.is_draining = is_draining;
    host_changed(app, host);
}

void wisp_app_host_heard(struct wisp_app *app, struct wisp_app_known_host *host)
{
    host->heard_ms = app->now.now_ms;
    if (!host->host.is_unknown) return;
    set_known(app, host, host->has_inventory, false);
    host_changed(app, host);
}

static void forget_all(struct wisp_app *app)
{
    while (app->first_host) {
        struct wisp_app_known_host *host = app->first_host;
        app->first_host = host->next;
        host_free(app, host);
    }
    wisp_map_deinit(&app->hosts);
    app->n_unheard = app->n_untold = 0;
    app->is_listed = false;
}

void wisp_app_hosts_deinit(struct wisp_app *app)
{
    forget_all(app);
    wisp_app_units_deinit(&app->units);
    free(app->host_list);
}

bool wisp_app_hosts_are_known(const struct wisp_app *app) { return !app->n_unheard; }

static int by_id(const void *a, const void *b)
{
    return wisp_str_compare((*(const struct wisp_app_known_host *const *)a)->host.id,
                            (*(const struct wisp_app_known_host *const *)b)->host.id);
}

const struct wisp_app_host *const *wisp_app_hosts_list(struct wisp_app *app, size_t *ret_n)
{
    *ret_n = app->n_listed;
    if (app->is_listed) return app->host_list;
    size_t n = 0;
    WISP_CLEANUP_FREE struct wisp_app_known_host **known = wisp_mem_calloc(app->hosts.count + 1, sizeof(*known));
    for (struct wisp_app_known_host *host = app->first_host; host; host = host->next) {
        host->host.position = SIZE_MAX;
        if (host->has_inventory) known[n++] = host; /* nothing is put where it is not known what runs */
    }
    qsort(known, n, sizeof *known, by_id);
    free(app->host_list);
    app->host_list = wisp_mem_calloc(n + 1, sizeof *app->host_list);
    for (size_t i = 0; i < n; i++) {
        known[i]->host.position = i;
        app->host_list[i] = &known[i]->host;
    }
    app->is_listed = true;
    *ret_n = app->n_listed = n;
    return app->host_list;
}

/* --- inventories --- */

static json_t *object_of(const json_t *value, const char *key)
{
    json_t *field = json_object_get(value, key);
    return json_is_object(field) ? field : NULL;
}

/* Hosts of our kind say how a process that ended is doing; what its health checks said is in events only. */
static void take_health(struct wisp_app *app, struct wisp_app_known_host *host, struct wisp_app_unit *unit,
                        const json_t *entry)
{
    struct wisp_str state = wisp_json_str(json_object_get(entry, "wisp"), "state");
    int health = (int)unit->instance.health;
    if (wisp_str_is(state, "failed")) health = WISP_APP_FAILED;
    if (wisp_str_is(state, "restarting") && health != WISP_APP_FAILED) health = WISP_APP_UNHEALTHY;
    wisp_app_unit_set_health(app, host, unit, health, unit->instance.trouble);
}

static void take_unit(struct wisp_app *app, struct wisp_app_known_host *host, bool is_provider, const json_t *entry,
                      bool is_heartbeat)
{
    struct wisp_app_instance now = {.is_provider = is_provider,
                                    .id = wisp_json_str(entry, "id"),
                                    .reference = wisp_json_str(entry, "image_ref"),
                                    .annotations = object_of(entry, "annotations"),
                                    .count = is_provider ? 1 : (uint32_t)wisp_json_u64(entry, "max_instances", 0)};
    if (!now.id.len) return;
    const struct wisp_app_unit *before = wisp_app_unit_find(host, is_provider, now.id);
    /* A host that runs very much leaves annotations out of its heartbeats: then those that are known still hold. */
    if (is_heartbeat && before && wisp_str_equal(now.reference, before->instance.reference) &&
        !json_object_size(now.annotations))
        now.annotations = before->instance.annotations;
    struct wisp_app_unit *unit = wisp_app_unit_put(app, host, &now);
    if (!unit) return;
    unit->inventory = host->inventory;
    if (is_provider) take_health(app, host, unit, entry);
}

static void take_list(struct wisp_app *app, struct wisp_app_known_host *host, bool is_provider, const json_t *list,
                      bool is_heartbeat)
{
    for (size_t i = 0; i < json_array_size(list) && i < WISP_APP_UNITS_MAX; i++)
        take_unit(app, host, is_provider, json_array_get(list, i), is_heartbeat);
}

void wisp_app_host_take(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *inventory,
                        bool is_heartbeat)
{
    const json_t *components = json_object_get(inventory, "components");
    json_t *labels = object_of(inventory, "labels");
    bool has_labels = json_object_size(labels) ? json_equal(labels, host->labels) : !json_object_size(host->labels);
    host->inventory++;
    take_list(app, host, false, components ? components : json_object_get(inventory, "actors"), is_heartbeat);
    take_list(app, host, true, json_object_get(inventory, "providers"), is_heartbeat);
    WISP_RING_EACH(at, &host->all_units)
    {
        struct wisp_app_unit *unit = WISP_OWNER(at, struct wisp_app_unit, of_host);
        if (unit->inventory != host->inventory) wisp_app_unit_remove(app, host, unit);
    }
    free(host->friendly_name);
    host->friendly_name = wisp_mem_dup(wisp_json_str(inventory, "friendly_name"));
    host->host.friendly_name = wisp_str_from(host->friendly_name);
    if (!has_labels) {
        host->digest = 0;
        json_decref(host->labels);
        host->host.labels = host->labels = labels ? json_incref(labels) : json_object();
    }
    if (host->has_inventory && has_labels) return;
    set_known(app, host, true, host->host.is_unknown);
    host_changed(app, host);
}

/* --- asking --- */

static void on_inventory(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note)
{
    WISP_CLEANUP_JSON json_t *answer = NULL;
    struct wisp_app_known_host *host = wisp_app_host_find(app, wisp_str_from(note->text));
    if (!host) return;
    host->is_asking = false;
    host->ask_ms = app->now.now_ms + ASK_AGAIN_MS;
    app->hosts_ms = 0;
    if (!done->err.kind && wisp_json_parse(done->reply.payload, &answer, NULL) == 0) {
        const json_t *inventory = object_of(answer, "response");
        if (inventory) wisp_app_host_heard(app, host);
        if (inventory) wisp_app_host_take(app, host, inventory, false);
    }
    if (host->asks_again) wisp_app_host_ask(app, host);
}

/* Only a leader does: what everybody asked would grow with the square of the number of hosts. */
void wisp_app_host_ask(struct wisp_app *app, struct wisp_app_known_host *host)
{
    host->asks_again = host->is_asking;
    if (host->is_asking || !app->is_connected || !app->lease.is_held) return;
    host->is_asking = true;
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    wisp_buf_printf(&subject, "%s.v1.%s.host.get.%s", app->ctl_prefix, app->lattice, host->id);
    wisp_app_request(app, wisp_buf_str(&subject), NULL, app->command_timeout_ms, on_inventory,
                     (struct wisp_app_note){.text = wisp_mem_dup(host->host.id)});
}

/* What followers know is from heartbeats and events; what a silent host ran last still counts. */
void wisp_app_hosts_ask_all(struct wisp_app *app)
{
    for (struct wisp_app_known_host *host = app->first_host; host; host = host->next) {
        if (!host->host.is_unknown) set_known(app, host, false, false);
        wisp_app_host_ask(app, host);
    }
    app->is_listed = false;
    app->asked_ms = app->now.now_ms + SETTLE_MS;
}

/* Whoever answers is there, and whoever also beats is of our kind: its lease is short. */
void wisp_app_hosts_begin(struct wisp_app *app)
{
    WISP_CLEANUP_BUF struct wisp_buf who = {0};
    wisp_buf_printf(&who, "wisp.app.%s.who", app->lattice);
    wisp_app_publish(app, wisp_buf_str(&who), NULL);
    struct wisp_app_queued *queued = wisp_app_emit(app, WISP_APP_PUBLISH);
    queued->action.subject =
        wisp_str_from(wisp_arena_printf(&queued->arena, "%s.v1.%s.host.ping", app->ctl_prefix, app->lattice));
    queued->action.reply =
        wisp_str_from(wisp_arena_printf(&queued->arena, "wisp.app.%s.pong.%s", app->lattice, app->host_id));
    for (struct wisp_app_known_host *host = app->first_host; host; host = host->next) {
        host->heard_ms = app->now.now_ms;
        if (host->beat_ms) host->beat_ms = app->now.now_ms;
    }
    app->settled_ms = app->now.now_ms + SETTLE_MS;
    app->beat_ms = app->hosts_ms = 0;
}

static void emit_subject(struct wisp_app *app, enum wisp_app_action_kind kind, const char *first, const char *last)
{
    struct wisp_app_queued *queued = wisp_app_emit(app, kind);
    queued->action.subject = wisp_str_from(wisp_arena_printf(&queued->arena, "%s.%s.%s", first, app->lattice, last));
}

void wisp_app_hosts_follow(struct wisp_app *app, bool follows)
{
    enum wisp_app_action_kind kind = follows ? WISP_APP_SUBSCRIBE : WISP_APP_UNSUBSCRIBE;
    if (follows == app->follows) return;
    app->follows = follows;
    emit_subject(app, kind, "wasmbus.evt", "*");
    emit_subject(app, kind, "wisp.app", "alive.*");
    emit_subject(app, kind, "wadm.status", "*");
    if (!follows) forget_all(app);
    if (follows && app->is_connected) wisp_app_hosts_begin(app);
    if (follows && app->is_connected && !app->lease.is_held) wisp_app_status_ask(app);
}

void wisp_app_hosts_on_pong(struct wisp_app *app, const struct wisp_bus_message *message)
{
    WISP_CLEANUP_JSON json_t *answer = NULL;
    if (message->status || wisp_json_parse(message->payload, &answer, NULL) < 0) return;
    struct wisp_str id = wisp_json_str(json_object_get(answer, "response"), "id");
    bool is_known = wisp_app_host_find(app, id);
    struct wisp_app_known_host *host = wisp_app_host_need(app, id);
    if (!host) return;
    wisp_app_host_heard(app, host);
    if (is_known) wisp_app_host_ask(app, host);
}

/* --- beats --- */

void wisp_app_hosts_on_beat(struct wisp_app *app, const struct wisp_bus_message *message)
{
    struct wisp_str subject = message->subject, id = subject;
    for (struct wisp_str head; wisp_str_split(subject, '.', &head, &subject);) id = subject;
    struct wisp_app_known_host *host = wisp_app_host_need(app, id);
    if (!host) return;
    bool is_draining = wisp_str_is(message->payload, "\"draining\"");
    /* One that is new here has not heard of this host either: it should before this one can die. */
    if (!host->beat_ms) app->hosts_ms = app->beat_ms = 0;
    host->beat_ms = app->now.now_ms;
    wisp_app_host_heard(app, host);
    host->is_passive = wisp_str_is(message->payload, "\"passive\"");
    wisp_app_host_set_draining(app, host, is_draining);
}

/* `text` NULL: nothing in particular. */
static void beat(struct wisp_app *app, const char *text)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    WISP_CLEANUP_JSON json_t *payload = text ? json_string(text) : NULL;
    wisp_buf_printf(&subject, "wisp.app.%s.alive.%s", app->lattice, app->host_id);
    wisp_app_publish(app, wisp_buf_str(&subject), payload);
}

void wisp_app_hosts_say_draining(struct wisp_app *app) { beat(app, "draining"); }

/* --- silence --- */

/* Nobody else can say that its processes are gone: calls to them are waiting (wrpc/call.h). */
static void tell_ended(struct wisp_app *app, struct wisp_app_known_host *host)
{
    WISP_RING_EACH(at, &host->all_units)
    {
        WISP_CLEANUP_BUF struct wisp_buf subject = {0};
        wisp_buf_printf(&subject, "wisp.ended.%s.%s", app->lattice, WISP_OWNER(at, struct wisp_app_unit, of_host)->id);
        if (wisp_bus_subject_is_valid(wisp_buf_str(&subject))) wisp_app_publish(app, wisp_buf_str(&subject), NULL);
    }
}

static void note_lost(struct wisp_app *app, struct wisp_app_known_host *host, uint64_t silent_ms)
{
    wisp_app_log(app, WISP_LOG_WARN, "host %s was silent for %llu ms: what it ran is started elsewhere", host->id,
                 (unsigned long long)silent_ms);
    tell_ended(app, host);
}

/* When its state changes for lack of news. */
static uint64_t look_at(struct wisp_app *app, struct wisp_app_known_host *host)
{
    uint64_t lease = app->host_lease_ms ? app->host_lease_ms : host->beat_ms ? BEATS_LEASE_MS : OTHERS_LEASE_MS;
    uint64_t unknown = host->beat_ms ? BEATS_MISSED_MS : OTHERS_UNKNOWN_MS;
    uint64_t silent = app->now.now_ms - (host->beat_ms ? host->beat_ms : host->heard_ms);
    if (silent >= lease) {
        if (app->lease.is_held) note_lost(app, host, silent);
        wisp_app_host_forget(app, host);
        return UINT64_MAX;
    }
    if (silent >= unknown && !host->host.is_unknown) {
        set_known(app, host, host->has_inventory, true);
        host_changed(app, host);
    }
    bool asks = !host->has_inventory && app->lease.is_held;
    if (asks && !host->is_asking && app->now.now_ms >= host->ask_ms) wisp_app_host_ask(app, host);
    uint64_t next = app->now.now_ms + (silent < unknown ? wisp_app_sooner(unknown, lease) : lease) - silent;
    return asks && !host->is_asking ? wisp_app_sooner(next, host->ask_ms) : next;
}

uint64_t wisp_app_hosts_tick(struct wisp_app *app)
{
    if (!app->is_connected) return UINT64_MAX; /* it is we who are away: nobody can be heard */
    if (app->now.now_ms >= app->beat_ms && !app->is_stopped) {
        beat(app, app->is_passive ? "passive" : NULL);
        app->beat_ms = app->now.now_ms + BEAT_MS;
    }
    if (app->now.now_ms >= app->hosts_ms) {
        app->hosts_ms = UINT64_MAX;
        for (struct wisp_app_known_host *host = app->first_host, *after; host; host = after) {
            after = host->next;
            app->hosts_ms = wisp_app_sooner(app->hosts_ms, look_at(app, host));
        }
    }
    return app->is_stopped ? app->hosts_ms : wisp_app_sooner(app->hosts_ms, app->beat_ms);
}
