/* SPDX-License-Identifier: Apache-2.0 */
/* Events of hosts: "wasmbus.evt.{lattice}.{name}", CloudEvents whose source is the host. What they say is taken at its
 * word for what is there now; inventories come by every heartbeat and put right what was lost or came twice. */
#include "app/app_priv.h"

#include <stdlib.h>

/* --- components --- */

/* An update ends with an event of no instances too, for the code that was replaced: unless it is the outcome of what
 * this manager asked for, the host is asked. */
static void component_gone(struct wisp_app *app, struct wisp_app_known_host *host, struct wisp_str id, bool is_asked)
{
    if (!json_object_getn(host->components, id.ptr, id.len)) return;
    if (!is_asked) {
        wisp_app_host_ask(app, host);
        return;
    }
    json_object_deln(host->components, id.ptr, id.len);
    wisp_app_touch(app);
}

static void component_scaled(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    struct wisp_str id = wisp_json_str(data, "component_id"), reference = wisp_json_str(data, "image_ref");
    uint64_t count = wisp_json_u64(data, "max_instances", 0);
    const json_t *annotations = json_object_get(data, "annotations");
    bool is_asked = wisp_app_item_outcome(app, WISP_APP_SCALE,
                                          &(struct wisp_app_outcome){host->id, id, reference, count, {0}, false});
    if (!id.len) return;
    if (!count) {
        component_gone(app, host, id, is_asked);
        return;
    }
    WISP_CLEANUP_JSON json_t *made =
        wisp_app_unit_json(reference, json_is_object(annotations) ? annotations : NULL, count);
    if (json_equal(json_object_getn(host->components, id.ptr, id.len), made)) return;
    if (json_object_size(host->components) < WISP_APP_UNITS_MAX)
        json_object_setn_nocheck(host->components, id.ptr, id.len, made);
    wisp_app_touch(app);
}

static void failed(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data,
                   enum wisp_app_command_kind kind)
{
    bool is_component = kind == WISP_APP_SCALE;
    struct wisp_str why = wisp_json_str(data, "error");
    struct wisp_app_outcome outcome = {.host = host->id,
                                       .unit = wisp_json_str(data, is_component ? "component_id" : "provider_id"),
                                       .reference = wisp_json_str(data, is_component ? "image_ref" : "provider_ref"),
                                       .why = why.len ? why : WISP_STR("the host says only that it failed"),
                                       .is_failure = true};
    wisp_app_item_outcome(app, kind, &outcome);
}

/* --- providers --- */

static void provider_started(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    struct wisp_str id = wisp_json_str(data, "provider_id"), reference = wisp_json_str(data, "image_ref");
    const json_t *annotations = json_object_get(data, "annotations");
    wisp_app_item_outcome(app, WISP_APP_START_PROVIDER, &(struct wisp_app_outcome){.host = host->id, .unit = id});
    if (!id.len || json_object_size(host->providers) >= WISP_APP_UNITS_MAX) return;
    json_t *made = wisp_app_unit_json(reference, json_is_object(annotations) ? annotations : NULL, 1);
    json_object_set_new(made, "health", json_integer(WISP_APP_PENDING));
    json_object_set_new(made, "trouble", json_string(""));
    json_object_setn_new_nocheck(host->providers, id.ptr, id.len, made);
    wisp_app_touch(app);
}

static void provider_stopped(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    struct wisp_str id = wisp_json_str(data, "provider_id");
    wisp_app_item_outcome(app, WISP_APP_STOP_PROVIDER, &(struct wisp_app_outcome){.host = host->id, .unit = id});
    if (id.len && json_object_deln(host->providers, id.ptr, id.len) == 0) wisp_app_touch(app);
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

/* It has just begun, and with it all that it runs. */
static void on_started(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *data)
{
    (void)data;
    host->is_draining = false;
    wisp_app_items_forget(app, host->id_text);
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
    WISP_CLEANUP_JSON json_t *event = NULL;
    if (wisp_json_parse(message->payload, &event, NULL) < 0) return;
    const json_t *data = json_object_get(event, "data");
    struct wisp_str id = wisp_json_str(event, "source");
    if (!json_is_object(data)) return;
    struct wisp_app_known_host *host = events[i].shows_host ? wisp_app_host_need(app, id) : wisp_app_host_find(app, id);
    if (!host) return;
    wisp_app_host_heard(app, host);
    events[i].take(app, host, data);
}
