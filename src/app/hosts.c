/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts and what they run, by their events, inventories and beats.
 *
 * A host that is silent is unknown first, and gone when its lease ends: a host of our own kind beats every
 * WISP_APP_BEAT_MS and its lease is short; of others only heartbeats are heard, every half a minute. */
#include "app/app_priv.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BEAT_MS = 700,
    BEATS_MISSED_MS = 1600, /* unknown */
    OTHERS_UNKNOWN_MS = 40000,
    OTHERS_LEASE_MS = 70000,
};

/* --- the list --- */

static struct wisp_app_known_host *find(struct wisp_app *app, struct wisp_str id)
{
    return wisp_map_get(&app->hosts, id);
}

static struct wisp_app_known_host *need(struct wisp_app *app, struct wisp_str id)
{
    struct wisp_app_known_host *host = find(app, id);
    if (host || !id.len || app->hosts.count >= WISP_APP_HOSTS_MAX) return host;
    host = wisp_mem_calloc(1, sizeof *host);
    host->id_text = wisp_mem_dup(id);
    host->id = wisp_str_from(host->id_text);
    host->labels = json_object();
    host->components = json_object();
    host->providers = json_object();
    host->next = app->first_host;
    app->first_host = host;
    wisp_map_add(&app->hosts, host->id, host);
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

static void forget(struct wisp_app *app, struct wisp_app_known_host *host)
{
    struct wisp_app_known_host **at = &app->first_host;
    while (*at != host) at = &(*at)->next;
    *at = host->next;
    wisp_map_remove(&app->hosts, host->id);
    host_free(host);
    wisp_app_touch(app);
}

static void heard(struct wisp_app *app, struct wisp_app_known_host *host)
{
    host->heard_ms = app->now.now_ms;
    if (!host->is_unknown) return;
    host->is_unknown = false;
    wisp_app_touch(app);
}

void wisp_app_hosts_deinit(struct wisp_app *app)
{
    while (app->first_host) {
        struct wisp_app_known_host *host = app->first_host;
        app->first_host = host->next;
        host_free(host);
    }
    wisp_map_deinit(&app->hosts);
}

/* --- inventories --- */

static json_t *texts_of(const json_t *value)
{
    return json_is_object(value) ? json_incref((json_t *)(uintptr_t)value) : json_object();
}

static json_t *read_components(const json_t *list)
{
    json_t *components = json_object();
    for (size_t i = 0; i < json_array_size(list) && i < WISP_APP_UNITS_MAX; i++) {
        const json_t *entry = json_array_get(list, i);
        struct wisp_str id = wisp_json_str(entry, "id");
        if (!id.len) continue;
        json_object_setn_new_nocheck(components, id.ptr, id.len,
                                     json_pack("{s:o, s:o, s:I}", "reference",
                                               wisp_json_text(wisp_json_str(entry, "image_ref")), "annotations",
                                               texts_of(json_object_get(entry, "annotations")), "count",
                                               (json_int_t)wisp_json_u64(entry, "max_instances", 0)));
    }
    return components;
}

static json_t *make_provider(struct wisp_str reference, json_t *annotations_taken, const json_t *before)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "reference", wisp_json_text(reference), "annotations", annotations_taken,
                     "health", json_integer((json_int_t)wisp_json_u64(before, "health", WISP_APP_PENDING)), "trouble",
                     wisp_json_text(wisp_json_str(before, "trouble")));
}

static json_t *read_providers(const json_t *list, const json_t *before)
{
    json_t *providers = json_object();
    for (size_t i = 0; i < json_array_size(list) && i < WISP_APP_UNITS_MAX; i++) {
        const json_t *entry = json_array_get(list, i);
        struct wisp_str id = wisp_json_str(entry, "id");
        if (!id.len) continue;
        json_object_setn_new_nocheck(providers, id.ptr, id.len,
                                     make_provider(wisp_json_str(entry, "image_ref"),
                                                   texts_of(json_object_get(entry, "annotations")),
                                                   json_object_getn(before, id.ptr, id.len)));
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

static void take_inventory(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *inventory)
{
    const json_t *components = json_object_get(inventory, "components");
    if (!components) components = json_object_get(inventory, "actors");
    bool is_new = !host->has_inventory;
    host->has_inventory = true;
    free(host->friendly_name);
    host->friendly_name = wisp_mem_dup(wisp_json_str(inventory, "friendly_name"));
    is_new |= replace(&host->labels, texts_of(json_object_get(inventory, "labels")));
    is_new |= replace(&host->components, read_components(components));
    is_new |= replace(&host->providers, read_providers(json_object_get(inventory, "providers"), host->providers));
    if (is_new) wisp_app_touch(app);
}

/* --- asking --- */

struct asking {
    char *host_id;
};

static void on_inventory(struct wisp_app *app, const struct wisp_app_done *done, void *env)
{
    struct asking *asking = env;
    WISP_CLEANUP_JSON json_t *answer = NULL;
    struct wisp_app_known_host *host = find(app, wisp_str_from(asking->host_id));
    if (host && !done->err.kind && wisp_json_parse(done->reply.payload, &answer, NULL) == 0 &&
        json_is_object(json_object_get(answer, "response"))) {
        heard(app, host);
        take_inventory(app, host, json_object_get(answer, "response"));
    }
    free(asking->host_id);
    free(asking);
}

static void ask_one(struct wisp_app *app, struct wisp_app_known_host *host)
{
    struct asking *asking = wisp_mem_calloc(1, sizeof *asking);
    asking->host_id = wisp_mem_dup(host->id);
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    wisp_buf_printf(&subject, "%s.v1.%s.host.get.%s", app->ctl_prefix, app->lattice, host->id_text);
    wisp_app_request(app, wisp_buf_str(&subject), NULL, on_inventory, asking);
}

void wisp_app_hosts_ask(struct wisp_app *app)
{
    if (!app->is_connected) return;
    struct wisp_app_queued *queued = wisp_app_emit(app, WISP_APP_PUBLISH);
    queued->action.subject =
        wisp_str_from(wisp_arena_printf(&queued->arena, "%s.v1.%s.host.ping", app->ctl_prefix, app->lattice));
    queued->action.reply =
        wisp_str_from(wisp_arena_printf(&queued->arena, "wisp.app.%s.pong.%s", app->lattice, app->host_id));
    app->asked_ms = app->now.now_ms;
    app->was_settled = false;
}

void wisp_app_hosts_on_pong(struct wisp_app *app, const struct wisp_bus_message *message)
{
    WISP_CLEANUP_JSON json_t *answer = NULL;
    if (message->status || wisp_json_parse(message->payload, &answer, NULL) < 0) return;
    struct wisp_app_known_host *host = need(app, wisp_json_str(json_object_get(answer, "response"), "id"));
    if (!host) return;
    heard(app, host);
    ask_one(app, host);
}

/* --- events --- */

static void component_scaled(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    struct wisp_str id = wisp_json_str(data, "component_id");
    uint64_t count = wisp_json_u64(data, "max_instances", 0);
    WISP_CLEANUP_JSON json_t *made =
        json_pack("{s:o, s:o, s:I}", "reference", wisp_json_text(wisp_json_str(data, "image_ref")), "annotations",
                  texts_of(json_object_get(data, "annotations")), "count", (json_int_t)count);
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    wisp_buf_printf(&key, "scale/%s/%.*s", host->id_text, WISP_STR_ARG(id));
    wisp_app_item_outcome(app, wisp_buf_str(&key), NULL);
    if (!id.len || json_equal(json_object_getn(host->components, id.ptr, id.len), made)) return;
    if (!count)
        json_object_deln(host->components, id.ptr, id.len);
    else if (json_object_size(host->components) < WISP_APP_UNITS_MAX)
        json_object_setn_nocheck(host->components, id.ptr, id.len, made);
    wisp_app_touch(app);
}

static void set_health(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data, int health,
                       struct wisp_str trouble)
{
    struct wisp_str id = wisp_json_str(data, "provider_id");
    json_t *provider = json_object_getn(host->providers, id.ptr, id.len);
    if (!provider) return;
    bool is_same = wisp_json_u64(provider, "health", 99) == (uint64_t)health &&
                   wisp_str_equal(wisp_json_str(provider, "trouble"), trouble);
    if (is_same) return;
    json_object_set_new(provider, "trouble", wisp_json_text(trouble));
    json_object_set_new(provider, "health", json_integer(health));
    wisp_app_touch(app);
}

static void provider_started(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    struct wisp_str id = wisp_json_str(data, "provider_id");
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    wisp_buf_printf(&key, "start/%s/%.*s", host->id_text, WISP_STR_ARG(id));
    wisp_app_item_outcome(app, wisp_buf_str(&key), NULL);
    if (!id.len || json_object_size(host->providers) >= WISP_APP_UNITS_MAX) return;
    json_object_setn_new_nocheck(
        host->providers, id.ptr, id.len,
        make_provider(wisp_json_str(data, "image_ref"), texts_of(json_object_get(data, "annotations")), NULL));
    wisp_app_touch(app);
}

static void provider_stopped(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    struct wisp_str id = wisp_json_str(data, "provider_id");
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    wisp_buf_printf(&key, "stop/%s/%.*s", host->id_text, WISP_STR_ARG(id));
    wisp_app_item_outcome(app, wisp_buf_str(&key), NULL);
    if (id.len && json_object_deln(host->providers, id.ptr, id.len) == 0) wisp_app_touch(app);
}

static void failed(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data, const char *verb,
                   const char *id_key)
{
    struct wisp_str id = wisp_json_str(data, id_key), error = wisp_json_str(data, "error");
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    WISP_CLEANUP_FREE char *cause = wisp_mem_dup(error.len ? error : WISP_STR("the host says only that it failed"));
    wisp_buf_printf(&key, "%s/%s/%.*s", verb, host->id_text, WISP_STR_ARG(id));
    wisp_app_item_outcome(app, wisp_buf_str(&key), cause);
}

static void host_event(struct wisp_app *app, struct wisp_app_known_host *host, struct wisp_str name, const json_t *data)
{
    const struct wisp_str none = {0};
    if (wisp_str_is(name, "host_heartbeat"))
        take_inventory(app, host, data);
    else if (wisp_str_is(name, "host_started") || wisp_str_is(name, "host_labels_changed") ||
             wisp_str_is(name, "labels_changed"))
        ask_one(app, host);
    else if (wisp_str_is(name, "component_scaled"))
        component_scaled(app, host, data);
    else if (wisp_str_is(name, "component_scale_failed"))
        failed(app, host, data, "scale", "component_id");
    else if (wisp_str_is(name, "provider_started"))
        provider_started(app, host, data);
    else if (wisp_str_is(name, "provider_start_failed"))
        failed(app, host, data, "start", "provider_id");
    else if (wisp_str_is(name, "provider_stopped"))
        provider_stopped(app, host, data);
    else if (wisp_str_is(name, "health_check_passed"))
        set_health(app, host, data, WISP_APP_HEALTHY, none);
    else if (wisp_str_is(name, "health_check_failed"))
        set_health(app, host, data, WISP_APP_UNHEALTHY, none);
    else if (wisp_str_is(name, "provider_failed"))
        set_health(app, host, data, WISP_APP_FAILED, wisp_json_str(data, "last_output"));
    else if (wisp_str_is(name, "provider_restarted"))
        set_health(app, host, data, WISP_APP_PENDING, none);
}

/* "wasmbus.evt.{lattice}.{name}", a CloudEvent whose source is the host. */
void wisp_app_hosts_on_event(struct wisp_app *app, const struct wisp_bus_message *message)
{
    WISP_CLEANUP_JSON json_t *event = NULL;
    if (wisp_json_parse(message->payload, &event, NULL) < 0) return;
    struct wisp_str type = wisp_json_str(event, "type"), prefix = WISP_STR("com.wasmcloud.lattice.");
    const json_t *data = json_object_get(event, "data");
    struct wisp_str id = wisp_json_str(event, "source");
    if (!wisp_str_starts_with(type, prefix) || !json_is_object(data)) return;
    struct wisp_str name = {type.ptr + prefix.len, type.len - prefix.len};
    if (wisp_str_starts_with(name, WISP_STR("link")) || wisp_str_starts_with(name, WISP_STR("config"))) return;
    if (wisp_str_is(name, "host_stopped")) {
        struct wisp_app_known_host *host = find(app, id);
        if (host) forget(app, host);
        return;
    }
    struct wisp_app_known_host *host = need(app, id);
    if (!host) return;
    bool is_new = !host->heard_ms;
    heard(app, host);
    host_event(app, host, name, data);
    if (is_new && !host->has_inventory) ask_one(app, host);
}

/* --- silence --- */

void wisp_app_hosts_on_beat(struct wisp_app *app, const struct wisp_bus_message *message)
{
    struct wisp_str subject = message->subject, id = subject;
    for (struct wisp_str head; wisp_str_split(subject, '.', &head, &subject);) id = subject;
    struct wisp_app_known_host *host = need(app, id);
    if (!host) return;
    bool is_new = !host->heard_ms, is_draining = wisp_str_is(message->payload, "draining");
    host->beat_ms = app->now.now_ms;
    heard(app, host);
    if (is_draining != host->is_draining) wisp_app_touch(app);
    host->is_draining = is_draining;
    if (is_new) ask_one(app, host);
}

static void beat(struct wisp_app *app)
{
    if (app->now.now_ms < app->beat_ms) return;
    app->beat_ms = app->now.now_ms + BEAT_MS;
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    wisp_buf_printf(&subject, "wisp.app.%s.alive.%s", app->lattice, app->host_id);
    wisp_app_publish(app, wisp_buf_str(&subject), NULL);
}

/* When its state changes for lack of news. */
static uint64_t look_at(struct wisp_app *app, struct wisp_app_known_host *host)
{
    uint64_t unknown = host->beat_ms ? BEATS_MISSED_MS : OTHERS_UNKNOWN_MS;
    uint64_t lease = app->host_lease_ms ? app->host_lease_ms : host->beat_ms ? 2500 : OTHERS_LEASE_MS;
    uint64_t silent = app->now.now_ms - (host->beat_ms ? host->beat_ms : host->heard_ms);
    if (silent >= lease) {
        wisp_app_log(app, WISP_LOG_WARN, "host %s was silent for %llu ms: what it ran is started elsewhere",
                     host->id_text, (unsigned long long)silent);
        forget(app, host);
        return UINT64_MAX;
    }
    if (silent >= unknown && !host->is_unknown) {
        host->is_unknown = true;
        wisp_app_touch(app);
    }
    return app->now.now_ms + (silent < unknown ? unknown : lease) - silent;
}

uint64_t wisp_app_hosts_tick(struct wisp_app *app)
{
    uint64_t next = UINT64_MAX;
    if (!app->is_connected) return next; /* it is we who are away: nobody can be heard */
    beat(app);
    for (struct wisp_app_known_host *host = app->first_host, *after; host; host = after) {
        after = host->next;
        uint64_t at = look_at(app, host);
        if (at < next) next = at;
    }
    return next < app->beat_ms ? next : app->beat_ms;
}
