/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts and what they run, by their inventories and beats; events.c follows what changes in between.
 *
 * A host that is silent is unknown first, and gone when its lease ends: a host of our own kind beats every BEAT_MS and
 * its lease is short; of others only heartbeats are heard, every half a minute. Only those who follow (app.h) know of
 * hosts at all. */
#include "app/app_priv.h"

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

struct wisp_app_known_host *wisp_app_host_find(const struct wisp_app *app, struct wisp_str id)
{
    return wisp_map_get(&app->hosts, id);
}

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

struct wisp_app_known_host *wisp_app_host_need(struct wisp_app *app, struct wisp_str id)
{
    struct wisp_app_known_host *host = wisp_app_host_find(app, id);
    if (host || !can_be_id(id) || app->hosts.count >= WISP_APP_HOSTS_MAX) return host;
    host = wisp_mem_calloc(1, sizeof *host);
    host->id_text = wisp_mem_dup(id);
    host->id = wisp_str_from(host->id_text);
    host->labels = json_object();
    host->components = json_object();
    host->providers = json_object();
    host->heard_ms = app->now.now_ms;
    host->next = app->first_host;
    app->first_host = host;
    wisp_map_add(&app->hosts, host->id, host);
    app->hosts_ms = 0;
    wisp_app_host_ask(app, host);
    return host;
}

static void host_free(struct wisp_app_known_host *host)
{
    json_decref(host->labels);
    json_decref(host->components);
    json_decref(host->providers);
    free(host->friendly_name);
    free(host->id_text);
    free(host);
}

void wisp_app_host_forget(struct wisp_app *app, struct wisp_app_known_host *host)
{
    struct wisp_app_known_host **at = &app->first_host;
    while (*at != host) at = &(*at)->next;
    *at = host->next;
    wisp_map_remove(&app->hosts, host->id);
    wisp_app_items_forget(app, host->id_text);
    host_free(host);
    wisp_app_touch(app);
}

void wisp_app_host_heard(struct wisp_app *app, struct wisp_app_known_host *host)
{
    host->heard_ms = app->now.now_ms;
    if (!host->is_unknown) return;
    host->is_unknown = false;
    app->hosts_ms = 0;
    wisp_app_touch(app);
}

static void forget_all(struct wisp_app *app)
{
    while (app->first_host) {
        struct wisp_app_known_host *host = app->first_host;
        app->first_host = host->next;
        host_free(host);
    }
    wisp_map_deinit(&app->hosts);
    app->hosts = (struct wisp_map){0};
}

void wisp_app_hosts_deinit(struct wisp_app *app) { forget_all(app); }

/* --- inventories --- */

static const json_t *object_of(const json_t *value, const char *key)
{
    const json_t *field = json_object_get(value, key);
    return json_is_object(field) ? field : NULL;
}

/* A host that runs very much leaves annotations out of its heartbeats: then those that are known still hold. */
static const json_t *annotations_of(const json_t *entry, const json_t *before, bool is_heartbeat)
{
    const json_t *given = object_of(entry, "annotations");
    bool is_same = wisp_str_equal(wisp_json_str(entry, "image_ref"), wisp_json_str(before, "reference"));
    return is_heartbeat && before && is_same && !json_object_size(given) ? object_of(before, "annotations") : given;
}

json_t *wisp_app_unit_json(struct wisp_str reference, const json_t *annotations, uint64_t count)
{
    json_t *unit = json_pack("{s:o, s:I}", "reference", wisp_json_text(reference), "count", (json_int_t)count);
    json_t *own = annotations ? json_incref((json_t *)(uintptr_t)annotations) : json_object();
    json_object_set_new(unit, "annotations", own);
    return unit;
}

static json_t *read_components(const json_t *list, const json_t *before, bool is_heartbeat)
{
    json_t *components = json_object();
    for (size_t i = 0; i < json_array_size(list) && i < WISP_APP_UNITS_MAX; i++) {
        const json_t *entry = json_array_get(list, i);
        struct wisp_str id = wisp_json_str(entry, "id");
        if (!id.len) continue;
        const json_t *annotations = annotations_of(entry, json_object_getn(before, id.ptr, id.len), is_heartbeat);
        json_object_setn_new_nocheck(components, id.ptr, id.len,
                                     wisp_app_unit_json(wisp_json_str(entry, "image_ref"), annotations,
                                                        wisp_json_u64(entry, "max_instances", 0)));
    }
    return components;
}

/* Hosts of our kind say how a process that ended is doing; what its health checks said is in events only. */
static void set_health(json_t *provider, const json_t *entry, const json_t *before)
{
    struct wisp_str state = wisp_json_str(json_object_get(entry, "wisp"), "state");
    uint64_t health = wisp_json_u64(before, "health", WISP_APP_PENDING);
    if (wisp_str_is(state, "failed")) health = WISP_APP_FAILED;
    if (wisp_str_is(state, "restarting") && health != WISP_APP_FAILED) health = WISP_APP_UNHEALTHY;
    json_object_set_new(provider, "health", json_integer((json_int_t)health));
    json_object_set_new(provider, "trouble", wisp_json_text(wisp_json_str(before, "trouble")));
}

static json_t *read_providers(const json_t *list, const json_t *known, bool is_heartbeat)
{
    json_t *providers = json_object();
    for (size_t i = 0; i < json_array_size(list) && i < WISP_APP_UNITS_MAX; i++) {
        const json_t *entry = json_array_get(list, i);
        struct wisp_str id = wisp_json_str(entry, "id");
        if (!id.len) continue;
        const json_t *before = json_object_getn(known, id.ptr, id.len);
        json_t *provider =
            wisp_app_unit_json(wisp_json_str(entry, "image_ref"), annotations_of(entry, before, is_heartbeat), 1);
        set_health(provider, entry, before);
        json_object_setn_new_nocheck(providers, id.ptr, id.len, provider);
    }
    return providers;
}

/* Takes the new value; true when it is another one. */
static bool replace(json_t **value, json_t *new_taken)
{
    bool is_same = json_equal(*value, new_taken);
    json_decref(*value);
    *value = new_taken;
    return !is_same;
}

void wisp_app_host_take(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *inventory,
                        bool is_heartbeat)
{
    const json_t *components = json_object_get(inventory, "components"), *labels = object_of(inventory, "labels");
    if (!components) components = json_object_get(inventory, "actors");
    bool is_new = !host->has_inventory;
    host->has_inventory = true;
    free(host->friendly_name);
    host->friendly_name = wisp_mem_dup(wisp_json_str(inventory, "friendly_name"));
    is_new |= replace(&host->labels, labels ? json_incref((json_t *)(uintptr_t)labels) : json_object());
    is_new |= replace(&host->components, read_components(components, host->components, is_heartbeat));
    is_new |= replace(&host->providers,
                      read_providers(json_object_get(inventory, "providers"), host->providers, is_heartbeat));
    if (is_new) wisp_app_touch(app);
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

void wisp_app_host_ask(struct wisp_app *app, struct wisp_app_known_host *host)
{
    host->asks_again = host->is_asking;
    if (host->is_asking || !app->is_connected) return;
    host->is_asking = true;
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    wisp_buf_printf(&subject, "%s.v1.%s.host.get.%s", app->ctl_prefix, app->lattice, host->id_text);
    wisp_app_request(app, wisp_buf_str(&subject), NULL, on_inventory,
                     (struct wisp_app_note){.text = wisp_mem_dup(host->id)});
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
    wisp_app_touch(app);
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
    if (!follows) forget_all(app);
    if (follows && app->is_connected) wisp_app_hosts_begin(app);
}

bool wisp_app_host_can_stand_by(const struct wisp_app *app, const struct wisp_app_known_host *host)
{
    return host->beat_ms && !host->is_unknown && !host->is_draining && !host->is_passive &&
           !wisp_str_is(host->id, app->host_id);
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
    if (is_draining != host->is_draining) wisp_app_touch(app);
    host->is_draining = is_draining;
    host->is_passive = wisp_str_is(message->payload, "\"passive\"");
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
static void tell_ended(struct wisp_app *app, json_t *units)
{
    const char *id;
    json_t *unit;
    json_object_foreach(units, id, unit)
    {
        WISP_CLEANUP_BUF struct wisp_buf subject = {0};
        wisp_buf_printf(&subject, "wisp.ended.%s.%s", app->lattice, id);
        if (wisp_bus_subject_is_valid(wisp_buf_str(&subject))) wisp_app_publish(app, wisp_buf_str(&subject), NULL);
    }
}

/* When its state changes for lack of news. */
static uint64_t look_at(struct wisp_app *app, struct wisp_app_known_host *host)
{
    uint64_t lease = app->host_lease_ms ? app->host_lease_ms : host->beat_ms ? BEATS_LEASE_MS : OTHERS_LEASE_MS;
    uint64_t unknown = host->beat_ms ? BEATS_MISSED_MS : OTHERS_UNKNOWN_MS;
    uint64_t silent = app->now.now_ms - (host->beat_ms ? host->beat_ms : host->heard_ms);
    if (silent >= lease) {
        wisp_app_log(app, WISP_LOG_WARN, "host %s was silent for %llu ms: what it ran is started elsewhere",
                     host->id_text, (unsigned long long)silent);
        if (wisp_app_is_leading(app)) {
            tell_ended(app, host->components);
            tell_ended(app, host->providers);
        }
        wisp_app_host_forget(app, host);
        return UINT64_MAX;
    }
    if (silent >= unknown && !host->is_unknown) {
        host->is_unknown = true;
        wisp_app_touch(app);
    }
    if (!host->has_inventory && !host->is_asking && app->now.now_ms >= host->ask_ms) wisp_app_host_ask(app, host);
    uint64_t next = app->now.now_ms + (silent < unknown ? wisp_app_sooner(unknown, lease) : lease) - silent;
    return host->has_inventory || host->is_asking ? next : wisp_app_sooner(next, host->ask_ms);
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
