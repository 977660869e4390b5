/* SPDX-License-Identifier: Apache-2.0 */
/* Events of hosts: "wasmbus.evt.{lattice}.{name}", CloudEvents whose source is the host. What they say is taken at its
 * word for what is there now; inventories come by every heartbeat and put right what was lost or came twice. */
#include "app/app_priv.h"
#include "app/hosts_priv.h"
#include "app/items_priv.h"

#include <stdlib.h>

/* --- components --- */

/* An update ends with an event of no instances too, for the code that was replaced: unless it is the outcome of what
 * this manager asked for, the host is asked. */
static void component_gone(struct wisp_app *app, struct wisp_app_known_host *host, struct wisp_str id, bool is_asked)
{
    struct wisp_app_unit *unit = wisp_app_unit_find(host, false, id);
    if (unit && is_asked) wisp_app_unit_remove(app, host, unit);
    if (unit && !is_asked) wisp_app_host_ask(app, host);
}

static json_t *annotations_of(const json_t *data)
{
    json_t *annotations = json_object_get(data, "annotations");
    return json_is_object(annotations) ? annotations : NULL;
}

static void component_scaled(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    struct wisp_app_instance now = {.id = wisp_json_str(data, "component_id"),
                                    .reference = wisp_json_str(data, "image_ref"),
                                    .annotations = annotations_of(data),
                                    .count = (uint32_t)wisp_json_u64(data, "max_instances", 0)};
    struct wisp_app_outcome outcome = {host->host.id, now.id, now.reference, now.count, {0}, false};
    bool is_asked = wisp_app_item_outcome(app, WISP_APP_SCALE, &outcome);
    if (now.id.len && now.count)
        wisp_app_unit_put(app, host, &now);
    else if (now.id.len)
        component_gone(app, host, now.id, is_asked);
}

static void failed(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data,
                   enum wisp_app_command_kind kind)
{
    bool is_component = kind == WISP_APP_SCALE;
    struct wisp_str why = wisp_json_str(data, "error");
    struct wisp_app_outcome outcome = {.host = host->host.id,
                                       .unit = wisp_json_str(data, is_component ? "component_id" : "provider_id"),
                                       .reference = wisp_json_str(data, is_component ? "image_ref" : "provider_ref"),
                                       .why = why.len ? why : WISP_STR("the host says only that it failed"),
                                       .is_failure = true};
    wisp_app_item_outcome(app, kind, &outcome);
}

/* --- providers --- */

static void provider_started(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    const struct wisp_str none = {0};
    struct wisp_app_instance now = {.is_provider = true,
                                    .id = wisp_json_str(data, "provider_id"),
                                    .reference = wisp_json_str(data, "image_ref"),
                                    .annotations = annotations_of(data),
                                    .count = 1};
    wisp_app_item_outcome(app, WISP_APP_START_PROVIDER,
                          &(struct wisp_app_outcome){.host = host->host.id, .unit = now.id});
    struct wisp_app_unit *unit = now.id.len ? wisp_app_unit_put(app, host, &now) : NULL;
    if (unit) wisp_app_unit_set_health(app, host, unit, WISP_APP_PENDING, none);
}

static void provider_stopped(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    struct wisp_str id = wisp_json_str(data, "provider_id");
    wisp_app_item_outcome(app, WISP_APP_STOP_PROVIDER, &(struct wisp_app_outcome){.host = host->host.id, .unit = id});
    struct wisp_app_unit *unit = wisp_app_unit_find(host, true, id);
    if (unit) wisp_app_unit_remove(app, host, unit);
}

static void set_health(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data, int health,
                       struct wisp_str trouble)
{
    struct wisp_app_unit *unit = wisp_app_unit_find(host, true, wisp_json_str(data, "provider_id"));
    if (unit) wisp_app_unit_set_health(app, host, unit, health, trouble);
}

/* "it ended with status 1, 5 times in a row: last line of its output" */
static void exited(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data, int health)
{
    const json_t *output = json_object_get(data, "last_output"), *signal = json_object_get(data, "signal");
    const char *last = json_string_value(json_array_get(output, json_array_size(output) - 1));
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "it ended by %s %llu, for the %lluth time in a row", signal ? "signal" : "status",
                    (unsigned long long)wisp_json_u64(data, signal ? "signal" : "status", 0),
                    (unsigned long long)wisp_json_u64(data, "failures", 1));
    if (last && *last) wisp_buf_printf(&text, ": %.300s", last);
    set_health(app, host, data, health, wisp_buf_str(&text));
}

/* It is up, but whether it works is still to be seen. */
static void restarted(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    const struct wisp_str none = {0};
    set_health(app, host, data, WISP_APP_PENDING, none);
}

/* --- all of them --- */

static void on_heartbeat(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    wisp_app_host_take(app, host, data, true);
}

/* From the start of a JSON value to its end; empty: it is cut off. Nothing is checked. */
static struct wisp_str value_at(struct wisp_str text)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{'))
            depth++;
        else if (!in_string && (c == ']' || c == '}'))
            depth--;
        if (!depth && !in_string && i < text.len) return (struct wisp_str){text.ptr, i + 1};
    }
    return (struct wisp_str){0};
}

/* The value of a key without parsing the rest: within a string its quotes would be escaped. */
static struct wisp_str raw_member(struct wisp_str json, const char *key)
{
    const char *at = memmem(json.ptr, json.len, key, strlen(key));
    const struct wisp_str none = {0};
    return at ? value_at((struct wisp_str){at + strlen(key), json.len - (size_t)(at - json.ptr) - strlen(key)}) : none;
}

/* Of all that a heartbeat says of what is there, so that one that says the same as the one before costs little; 0: it
 * isn't known. */
static uint64_t digest_of(struct wisp_str heartbeat)
{
    static const char *const keys[] = {"\"components\":", "\"providers\":", "\"labels\":", "\"friendly_name\":"};
    uint64_t digest = 1;
    for (size_t i = 0; i < WISP_COUNT(keys); i++) {
        struct wisp_str value = raw_member(heartbeat, keys[i]);
        if (!value.len && i < 2) return 0; /* perhaps an older host, which says it in another way */
        digest = digest * 0x9e3779b97f4a7c15u ^ wisp_str_hash(value);
    }
    return digest ? digest : 1;
}

static bool is_repeated(struct wisp_app *app, struct wisp_str heartbeat, uint64_t digest)
{
    struct wisp_str source = raw_member(heartbeat, "\"source\":");
    if (!digest || source.len < 2) return false;
    struct wisp_app_known_host *host = wisp_app_host_find(app, (struct wisp_str){source.ptr + 1, source.len - 2});
    if (!host || !host->has_inventory || host->digest != digest) return false;
    wisp_app_host_heard(app, host);
    return true;
}

/* It has just begun, and with it all that it runs. */
static void on_started(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    (void)data;
    wisp_app_host_set_draining(app, host, false);
    wisp_app_items_forget(app, host->id);
    wisp_app_host_ask(app, host);
}

static void on_stopped(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    (void)data;
    wisp_app_host_forget(app, host);
}

static void on_labels(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    (void)data;
    wisp_app_host_ask(app, host);
}

static void on_scale_failed(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    failed(app, host, data, WISP_APP_SCALE);
}

static void on_start_failed(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    failed(app, host, data, WISP_APP_START_PROVIDER);
}

static void on_healthy(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    const struct wisp_str none = {0};
    set_health(app, host, data, WISP_APP_HEALTHY, none);
}

static void on_unhealthy(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    set_health(app, host, data, WISP_APP_UNHEALTHY, WISP_STR("its health check failed"));
}

static void on_exited(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    exited(app, host, data, WISP_APP_UNHEALTHY);
}

static void on_failed(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    exited(app, host, data, WISP_APP_FAILED);
}

static const struct {
    const char *name;
    void (*take)(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data);
    bool shows_host; /* one that was not known is there */
} events[] = {
    {"host_heartbeat", on_heartbeat, true},        {"host_started", on_started, true},
    {"host_stopped", on_stopped, false},           {"labels_changed", on_labels, false},
    {"component_scaled", component_scaled, false}, {"component_scale_failed", on_scale_failed, false},
    {"provider_started", provider_started, false}, {"provider_start_failed", on_start_failed, false},
    {"provider_stopped", provider_stopped, false}, {"provider_exited", on_exited, false},
    {"provider_failed", on_failed, false},         {"provider_restarted", restarted, false},
    {"health_check_passed", on_healthy, false},    {"health_check_failed", on_unhealthy, false},
};

void wisp_app_on_event(struct wisp_app *app, const struct wisp_bus_message *message)
{
    struct wisp_str name = message->subject;
    for (struct wisp_str head; wisp_str_split(name, '.', &head, &name);) continue;
    size_t i = 0;
    while (i < WISP_COUNT(events) && !wisp_str_is(name, events[i].name)) i++;
    if (i == WISP_COUNT(events)) return;
    uint64_t digest = events[i].take == on_heartbeat ? digest_of(message->payload) : 0;
    if (is_repeated(app, message->payload, digest)) return;
    WISP_CLEANUP_JSON json_t *event = NULL;
    if (wisp_json_parse(message->payload, &event, NULL) < 0) return;
    const json_t *data = json_object_get(event, "data");
    struct wisp_str id = wisp_json_str(event, "source");
    if (!json_is_object(data)) return;
    struct wisp_app_known_host *host = events[i].shows_host ? wisp_app_host_need(app, id) : wisp_app_host_find(app, id);
    if (!host) return;
    wisp_app_host_heard(app, host);
    events[i].take(app, host, data);
    if (digest) host->digest = digest;
}
