/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: what is around managers. The state answers and tells at once; hosts are pretended ones that do at once
 * what they are told and say so in events, unless their mood is another. */
#pragma once

#include "app/app.h"

#include "base/arena.h"
#include "base/json.h"

#include "test.h"

#include <stdio.h>
#include <stdlib.h>

enum { RIG_MANAGERS = 4, RIG_HOSTS = 8, RIG_SAID_MAX = 20000, RIG_PENDING_MAX = 1000, RIG_BUCKETS = 3 };

enum rig_mood {
    RIG_OBEYS,
    RIG_REFUSES,      /* success: false */
    RIG_SILENT,       /* no answer */
    RIG_LIES,         /* says yes and does nothing */
    RIG_FAILS,        /* says yes, and tells of a failure */
    RIG_FLIPS,        /* does it, tells, and undoes it */
    RIG_SAYS_NOTHING, /* does it without an event */
    RIG_SLOW,         /* says yes; rig_catch_up does it */
};

struct rig_host {
    const char *id;
    enum rig_mood mood;
    bool is_up;
    json_t *labels, *components, *providers; /* as in inventories, by id */
    uint64_t beat_ms;                        /* the next heartbeat; UINT64_MAX: none */
    json_t *waiting;                         /* [tail, payload]: accepted, not done */
};

struct rig_manager {
    struct wisp_app *app;
    bool is_on_bus, has_state;
    bool holds_writes;
    bool follows; /* is subscribed to what happens on hosts */
};

struct rig_pending {
    size_t manager;
    uint64_t id, due_ms;
};

struct rig_said {
    const char *subject, *payload;
    size_t manager;
};

static struct {
    struct wisp_arena arena;
    struct wisp_app_now now;
    struct rig_manager managers[RIG_MANAGERS];
    struct rig_host hosts[RIG_HOSTS];
    size_t n_hosts;
    json_t *store[RIG_BUCKETS]; /* key to [text, revision] */
    uint64_t revision;
    struct rig_pending pending[RIG_PENDING_MAX];
    size_t n_pending;
    struct rig_said said[RIG_SAID_MAX]; /* what was published */
    size_t n_said, n_commands, n_logs;
    size_t n_asked[RIG_MANAGERS]; /* inventories, by whom */
    uint32_t n_replies;
    uint64_t lease_ms;
} rig;

static inline const char *rig_text(struct wisp_str text) { return wisp_arena_cstr(&rig.arena, text); }

static inline json_t *rig_parse(const char *text)
{
    struct wisp_err err = {0};
    json_t *value;
    CHECK_OK(wisp_json_parse(wisp_str_from(text), &value, &err), &err);
    return value;
}

/* --- the state --- */

static inline void rig_tell(size_t manager, int bucket, const char *key)
{
    const json_t *entry = json_object_get(rig.store[bucket], key);
    struct wisp_str text = wisp_str_from(json_string_value(json_array_get(entry, 0)));
    uint64_t revision = entry ? (uint64_t)json_integer_value(json_array_get(entry, 1)) : ++rig.revision;
    wisp_app_on_state(rig.managers[manager].app, rig.now, bucket, wisp_str_from(key), entry ? &text : NULL, revision);
}

static inline void rig_tell_all(int bucket, const char *key)
{
    for (size_t i = 0; i < RIG_MANAGERS; i++)
        if (rig.managers[i].app && rig.managers[i].has_state) rig_tell(i, bucket, key);
}

/* `text` NULL: none. */
static inline void rig_set(int bucket, const char *key, const char *text)
{
    if (text)
        json_object_set_new(rig.store[bucket], key, json_pack("[s, I]", text, (json_int_t)++rig.revision));
    else
        json_object_del(rig.store[bucket], key);
}

/* Somebody else changes it. */
static inline void rig_change(int bucket, const char *key, const char *text)
{
    rig_set(bucket, key, text);
    rig_tell_all(bucket, key);
}

static inline json_t *rig_stored(int bucket, const char *key)
{
    const char *text = json_string_value(json_array_get(json_object_get(rig.store[bucket], key), 0));
    return text ? rig_parse(text) : NULL;
}

static inline void rig_load(size_t i)
{
    const char *key;
    json_t *unused;
    for (int bucket = 0; bucket < RIG_BUCKETS; bucket++)
        json_object_foreach(rig.store[bucket], key, unused) rig_tell(i, bucket, key);
    rig.managers[i].has_state = true;
    wisp_app_on_state_loaded(rig.managers[i].app, rig.now);
}

static inline void rig_write(size_t manager, const struct wisp_app_action *action)
{
    const char *key = rig_text(action->key), *value = action->has_value ? rig_text(action->value) : NULL;
    struct wisp_app_done done = {0};
    json_int_t known = json_integer_value(json_array_get(json_object_get(rig.store[action->bucket], key), 1));
    int bucket = action->bucket;
    if (!rig.managers[manager].has_state) {
        wisp_err_set(&done.err, WISP_ERR_UNAVAILABLE, "the state is away");
    } else if (action->expected >= 0 && action->expected != known) {
        wisp_err_set(&done.err, WISP_ERR_EXISTS, "it is another one");
    } else {
        rig_set(bucket, key, value);
        done.revision = value ? rig.revision : ++rig.revision;
    }
    wisp_app_on_done(rig.managers[manager].app, rig.now, action->id, &done);
    if (!done.err.kind) rig_tell_all(bucket, key);
}

/* --- the bus --- */

static inline void rig_deliver(const char *subject, const char *reply, const char *payload)
{
    struct wisp_bus_message message = {
        .subject = wisp_str_from(subject), .reply = wisp_str_from(reply), .payload = wisp_str_from(payload)};
    for (size_t i = 0; i < RIG_MANAGERS; i++)
        if (rig.managers[i].app && rig.managers[i].is_on_bus)
            wisp_app_on_message(rig.managers[i].app, rig.now, &message);
}

static inline const char *rig_print_taken(json_t *value)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(value, &text);
    json_decref(value);
    return rig_text(wisp_buf_str(&text));
}

static inline void rig_event(const char *host, const char *name, json_t *data_taken)
{
    const char *subject = wisp_arena_printf(&rig.arena, "wasmbus.evt.default.%s", name);
    const char *type = wisp_arena_printf(&rig.arena, "com.wasmcloud.lattice.%s", name);
    rig_deliver(subject, "",
                rig_print_taken(json_pack("{s:s, s:s, s:s, s:s, s:o}", "specversion", "1.0", "id", "x", "type", type,
                                          "source", host, "data", data_taken)));
}

/* --- hosts --- */

static inline struct rig_host *rig_host(const char *id)
{
    for (size_t i = 0; i < rig.n_hosts; i++)
        if (strcmp(rig.hosts[i].id, id) == 0) return &rig.hosts[i];
    return NULL;
}

static inline json_t *rig_inventory(const struct rig_host *host)
{
    json_t *components = json_array(), *providers = json_array(), *unit;
    const char *id;
    json_object_foreach(host->components, id, unit) json_array_append(components, unit);
    json_object_foreach(host->providers, id, unit) json_array_append(providers, unit);
    return json_pack("{s:s, s:s, s:s, s:O, s:o, s:o}", "host_id", host->id, "friendly_name", "calm-lake", "version",
                     "1.6.2", "labels", host->labels, "components", components, "providers", providers);
}

static inline void rig_heartbeat(struct rig_host *host)
{
    if (host->is_up) rig_event(host->id, "host_heartbeat", rig_inventory(host));
}

static inline struct rig_host *rig_add_host(const char *id, const char *labels)
{
    struct rig_host *host = &rig.hosts[rig.n_hosts++];
    *host = (struct rig_host){.id = id,
                              .is_up = true,
                              .labels = rig_parse(labels),
                              .components = json_object(),
                              .providers = json_object(),
                              .waiting = json_array(),
                              .beat_ms = rig.now.now_ms + 30000};
    rig_event(id, "host_started", json_pack("{s:O, s:s}", "labels", host->labels, "friendly_name", "calm-lake"));
    return host;
}

static inline void rig_tell_scaled(const struct rig_host *host, const json_t *payload, const char *error)
{
    json_t *data =
        json_pack("{s:O, s:s, s:O, s:O, s:O}", "annotations", json_object_get(payload, "annotations"), "host_id",
                  host->id, "image_ref", json_object_get(payload, "component_ref"), "max_instances",
                  json_object_get(payload, "count"), "component_id", json_object_get(payload, "component_id"));
    if (error) json_object_set_new(data, "error", json_string(error));
    rig_event(host->id, error ? "component_scale_failed" : "component_scaled", data);
}

static inline void rig_scale(struct rig_host *host, const json_t *payload, bool tells)
{
    const char *id = json_string_value(json_object_get(payload, "component_id"));
    const char *image = json_string_value(json_object_get(payload, "component_ref"));
    const json_t *before = json_object_get(host->components, id);
    bool is_update = before && strcmp(json_string_value(json_object_get(before, "image_ref")), image) != 0;
    json_int_t count = json_integer_value(json_object_get(payload, "count"));
    if (count)
        json_object_set_new(host->components, id,
                            json_pack("{s:s, s:s, s:O, s:I}", "id", id, "image_ref", image, "annotations",
                                      json_object_get(payload, "annotations"), "max_instances", count));
    else
        json_object_del(host->components, id);
    if (tells) rig_tell_scaled(host, payload, NULL);
    if (!tells || !is_update || !count) return;
    WISP_CLEANUP_JSON json_t *old = json_copy((json_t *)(uintptr_t)payload); /* as hosts do after an update */
    json_object_set_new(old, "count", json_integer(0));
    rig_tell_scaled(host, old, NULL);
}

static inline json_t *rig_provider_data(const struct rig_host *host, const char *id)
{
    return json_pack("{s:s, s:s}", "host_id", host->id, "provider_id", id);
}

static inline void rig_start(struct rig_host *host, const json_t *payload, bool tells)
{
    const char *id = json_string_value(json_object_get(payload, "provider_id"));
    json_t *data = rig_provider_data(host, id);
    json_object_set(data, "image_ref", json_object_get(payload, "provider_ref"));
    json_object_set(data, "annotations", json_object_get(payload, "annotations"));
    json_object_set_new(host->providers, id,
                        json_pack("{s:s, s:O, s:O}", "id", id, "image_ref", json_object_get(payload, "provider_ref"),
                                  "annotations", json_object_get(payload, "annotations")));
    if (tells)
        rig_event(host->id, "provider_started", data);
    else
        json_decref(data);
}

static inline void rig_stop(struct rig_host *host, const json_t *payload, bool tells)
{
    const char *id = json_string_value(json_object_get(payload, "provider_id"));
    json_object_del(host->providers, id);
    if (tells) rig_event(host->id, "provider_stopped", rig_provider_data(host, id));
}

static inline void rig_fail(const struct rig_host *host, const char *tail, const json_t *payload)
{
    if (strncmp(tail, "component.scale", 15) == 0) {
        rig_tell_scaled(host, payload, "image not found");
        return;
    }
    json_t *data = rig_provider_data(host, json_string_value(json_object_get(payload, "provider_id")));
    json_object_set(data, "provider_ref", json_object_get(payload, "provider_ref"));
    json_object_set_new(data, "error", json_string("image not found"));
    rig_event(host->id, "provider_start_failed", data);
}

static inline void rig_obey(struct rig_host *host, const char *tail, const json_t *payload, bool tells)
{
    if (strncmp(tail, "component.scale", 15) == 0)
        rig_scale(host, payload, tells);
    else if (strncmp(tail, "provider.start", 14) == 0)
        rig_start(host, payload, tells);
    else
        rig_stop(host, payload, tells);
}

/* What a slow host was told so far is done. */
static inline void rig_catch_up(struct rig_host *host)
{
    WISP_CLEANUP_JSON json_t *waiting = host->waiting;
    host->waiting = json_array();
    for (size_t i = 0; i < json_array_size(waiting); i++) {
        const json_t *entry = json_array_get(waiting, i);
        rig_obey(host, json_string_value(json_array_get(entry, 0)), json_array_get(entry, 1), true);
    }
}

/* After its answer. */
static inline void rig_do(struct rig_host *host, const char *tail, const json_t *payload)
{
    switch (host->mood) {
    case RIG_OBEYS:
        rig_obey(host, tail, payload, true);
        break;
    case RIG_SAYS_NOTHING:
        rig_obey(host, tail, payload, false);
        break;
    case RIG_FAILS:
        rig_fail(host, tail, payload);
        break;
    case RIG_SLOW:
        json_array_append_new(host->waiting, json_pack("[s, O]", tail, payload));
        break;
    case RIG_FLIPS:
        rig_obey(host, tail, payload, true);
        json_object_clear(host->components);
        json_object_clear(host->providers);
        rig_heartbeat(host);
        break;
    default:
        break;
    }
}

/* --- links and configs --- */

static inline bool rig_is_same(const json_t *a, const json_t *b, const char *key)
{
    return json_equal(json_object_get(a, key), json_object_get(b, key));
}

static inline void rig_link(const json_t *payload, bool is_put)
{
    const char *key =
        wisp_arena_printf(&rig.arena, "COMPONENT_%s", json_string_value(json_object_get(payload, "source_id")));
    WISP_CLEANUP_JSON json_t *spec = rig_stored(0, key);
    if (!spec) spec = json_pack("{s:s, s:[]}", "url", "", "links");
    json_t *links = json_object_get(spec, "links");
    for (size_t i = json_array_size(links); i-- > 0;) {
        const json_t *link = json_array_get(links, i);
        if (rig_is_same(link, payload, "name") && rig_is_same(link, payload, "wit_namespace") &&
            rig_is_same(link, payload, "wit_package") && (!is_put || rig_is_same(link, payload, "target")))
            json_array_remove(links, i);
    }
    if (is_put) json_array_append(links, (json_t *)(uintptr_t)payload);
    rig_change(0, key, rig_print_taken(json_incref(spec)));
}
