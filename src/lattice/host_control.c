/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about the host itself, auctions, credentials; its end; and a look for others that use its id. */
#include "lattice/lattice_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum { LABELS_MAX = 1000, STOP_DEFAULT_MS = 10000, CONFIG_SERVICE_TIMEOUT_MS = 10000, PROBE_EVERY_HEARTBEATS = 10 };

void wisp_lattice_host_ping(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    wisp_lattice_answer(lattice, &command->reply, "", wisp_lattice_host_json(lattice));
}

void wisp_lattice_host_get(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    /* Our own look for a host of the same id: whoever answers is another. */
    if (command->reply.subject && strcmp(command->reply.subject, lattice->probe_subject) == 0) return;
    wisp_lattice_answer(lattice, &command->reply, "", wisp_lattice_inventory_json(lattice, WISP_LATTICE_FULL));
}

void wisp_lattice_end(struct wisp_lattice *lattice, uint64_t timeout_ms)
{
    if (lattice->is_stopping) return;
    lattice->is_stopping = true;
    wisp_lattice_timer_disarm(lattice, &lattice->heartbeat);
    wisp_lattice_timer_disarm(lattice, &lattice->heartbeat_once);
    wisp_lattice_timer_disarm(lattice, &lattice->probe);
    wisp_lattice_subscriptions_end(lattice);
    wisp_lattice_event(lattice, "host_stopped", json_pack("{s:O}", "labels", lattice->labels));
    wisp_lattice_emit(lattice, WISP_LATTICE_STOP_HOST)->timeout_ms = timeout_ms;
}

void wisp_lattice_host_stop(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    static const struct wisp_lattice_field fields[] = {
        {"host_id", WISP_LATTICE_TEXT, false},
        {"timeout", WISP_LATTICE_TIME, false},
    };
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *request = NULL;
    if (command->payload.len &&
        wisp_lattice_decode(command->payload, "stop host command", fields, WISP_COUNT(fields), &request, &err) < 0) {
        wisp_lattice_refuse(lattice, &command->reply, err.text);
        return;
    }
    struct wisp_str host_id = wisp_json_str(request, "host_id");
    if (host_id.len && !wisp_str_is(host_id, lattice->host_id)) {
        wisp_lattice_refuse(lattice, &command->reply, "the host_id of the request is another host's");
        return;
    }
    wisp_lattice_answer(lattice, &command->reply, "successfully handled stop host", NULL);
    if (!lattice->is_stopping) wisp_lattice_save_nothing(lattice);
    wisp_lattice_end(lattice, wisp_json_u64(request, "timeout", STOP_DEFAULT_MS));
}

/* --- labels --- */

static void tell_labels(struct wisp_lattice *lattice)
{
    wisp_lattice_event(lattice, "labels_changed",
                       json_pack("{s:s, s:O}", "host_id", lattice->host_id, "labels", lattice->labels));
}

/* Events and replies that are queued hold the old set: a new one takes its place. `value` null: without it. */
static void edit_label(struct wisp_lattice *lattice, struct wisp_str key, json_t *value)
{
    json_t *labels = json_copy(lattice->labels);
    json_decref(lattice->labels);
    lattice->labels = labels;
    if (json_is_null(value))
        json_object_deln(labels, key.ptr, key.len);
    else
        json_object_setn_nocheck(labels, key.ptr, key.len, value);
}

static void change_label(struct wisp_lattice *lattice, struct wisp_str key, json_t *value)
{
    edit_label(lattice, key, value);
    json_object_setn_nocheck(lattice->label_edits, key.ptr, key.len, value);
    if (json_is_null(value) && !json_object_getn(lattice->startup_labels, key.ptr, key.len))
        json_object_deln(lattice->label_edits, key.ptr, key.len);
    wisp_lattice_save_touch(lattice);
    tell_labels(lattice);
}

int wisp_lattice_labels_restore(struct wisp_lattice *lattice, json_t *edits, struct wisp_err *err)
{
    const char *key;
    json_t *value;
    if (edits && (!json_is_object(edits) || json_object_size(edits) > LABELS_MAX))
        return wisp_err_set(err, WISP_ERR_INVALID, "the labels are no map, or too many");
    json_object_foreach(edits, key, value) if (!json_is_string(value) && !json_is_null(value)) return wisp_err_set(
        err, WISP_ERR_INVALID, "label `%s` is no text", key);
    json_object_foreach(edits, key, value)
    {
        edit_label(lattice, wisp_str_from(key), value);
        json_object_set(lattice->label_edits, key, value);
    }
    json_decref(lattice->startup_labels);
    lattice->startup_labels = json_incref(lattice->labels);
    return 0;
}

void wisp_lattice_label_put(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    static const struct wisp_lattice_field fields[] = {
        {"key", WISP_LATTICE_TEXT, true},
        {"value", WISP_LATTICE_TEXT, true},
    };
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *request = NULL;
    int r = wisp_lattice_decode(command->payload, "host label", fields, WISP_COUNT(fields), &request, &err);
    struct wisp_str key = wisp_json_str(request, "key");
    if (r == 0 && json_object_size(lattice->labels) >= LABELS_MAX &&
        !json_object_getn(lattice->labels, key.ptr, key.len))
        r = wisp_err_set(&err, WISP_ERR_LIMIT, "this host has its limit of %d labels", LABELS_MAX);
    if (r < 0) {
        wisp_lattice_refuse(lattice, &command->reply, err.text);
        return;
    }
    change_label(lattice, key, json_object_get(request, "value"));
    wisp_lattice_answer(lattice, &command->reply, "successfully put label", NULL);
}

void wisp_lattice_label_del(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    static const struct wisp_lattice_field fields[] = {
        {"key", WISP_LATTICE_TEXT, true},
        {"value", WISP_LATTICE_TEXT, false},
    };
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *request = NULL;
    if (wisp_lattice_decode(command->payload, "host label", fields, WISP_COUNT(fields), &request, &err) < 0) {
        wisp_lattice_refuse(lattice, &command->reply, err.text);
        return;
    }
    struct wisp_str key = wisp_json_str(request, "key");
    if (!json_object_getn(lattice->labels, key.ptr, key.len)) {
        wisp_lattice_answer(lattice, &command->reply, "successfully deleted label (no such label)", NULL);
        return;
    }
    WISP_CLEANUP_JSON json_t *gone = json_null();
    change_label(lattice, key, gone);
    wisp_lattice_answer(lattice, &command->reply, "successfully deleted label", NULL);
}

/* --- credentials --- */

static bool are_credentials(json_t *registries)
{
    static const struct wisp_lattice_field fields[] = {
        {"username", WISP_LATTICE_TEXT, false},
        {"password", WISP_LATTICE_TEXT, false},
        {"token", WISP_LATTICE_TEXT, false},
    };
    const char *key;
    json_t *value;
    if (!json_is_object(registries)) return false;
    json_object_foreach(registries, key,
                        value) if (wisp_lattice_fields_check(value, fields, WISP_COUNT(fields), NULL) < 0) return false;
    return true;
}

static void emit_credentials(struct wisp_lattice *lattice, json_t *registries)
{
    wisp_lattice_emit(lattice, WISP_LATTICE_CREDENTIALS)->registries = wisp_lattice_borrow(lattice, registries);
}

void wisp_lattice_registry_put(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    WISP_CLEANUP_JSON json_t *registries = NULL;
    /* Where in the JSON it went wrong is not told: the text near it may be a password. */
    if (wisp_json_parse(command->payload, &registries, NULL) < 0 || !are_credentials(registries)) {
        wisp_lattice_refuse(lattice, &command->reply, "failed to deserialize registries: not a map of credentials");
        return;
    }
    emit_credentials(lattice, registries);
    wisp_lattice_answer(lattice, &command->reply, "successfully put registries", NULL);
}

static void on_config_service(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice *lattice = env;
    WISP_CLEANUP_JSON json_t *reply = NULL;
    struct wisp_err err = done->err;
    if (!err.kind && wisp_json_parse(done->reply.payload, &reply, NULL) < 0)
        wisp_err_set(&err, WISP_ERR_INVALID, "its answer is not JSON");
    json_t *registries = json_object_get(reply, "registryCredentials");
    if (are_credentials(registries))
        emit_credentials(lattice, registries);
    else if (err.kind)
        wisp_lattice_log(lattice, WISP_LOG_WARN, "the config service gave nothing: %s", err.text);
}

void wisp_lattice_ask_config_service(struct wisp_lattice *lattice)
{
    WISP_CLEANUP_JSON json_t *payload = json_pack("{s:O}", "labels", lattice->labels);
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_REQUEST);
    action->subject = wisp_str_from(wisp_arena_printf(&lattice->arena, "wasmbus.cfg.%s.req", lattice->lattice));
    action->payload = wisp_lattice_keep_json(lattice, payload);
    action->timeout_ms = CONFIG_SERVICE_TIMEOUT_MS;
    wisp_lattice_call_begin(lattice, &lattice->config_service, action, on_config_service, lattice);
}

/* --- auctions: who can't, or does already, says nothing --- */

static bool fulfils(const struct wisp_lattice *lattice, json_t *constraints)
{
    const char *key;
    size_t key_len;
    json_t *value;
    json_object_keylen_foreach(
        constraints, key, key_len,
        value) if (!json_equal(value, json_object_getn(lattice->labels, key, key_len))) return false;
    return true;
}

static void bid(struct wisp_lattice *lattice, struct wisp_lattice_command *command, bool is_provider)
{
    const char *ref_key = is_provider ? "provider_ref" : "component_ref";
    const char *id_key = is_provider ? "provider_id" : "component_id";
    const struct wisp_lattice_field fields[] = {
        {ref_key, WISP_LATTICE_TEXT, false},
        {id_key, WISP_LATTICE_TEXT, true},
        {"constraints", WISP_LATTICE_MAP, true},
    };
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *request = NULL;
    if (wisp_lattice_decode(command->payload, is_provider ? "provider auction" : "component auction", fields,
                            WISP_COUNT(fields), &request, &err) < 0) {
        wisp_lattice_refuse(lattice, &command->reply, err.text);
        return;
    }
    struct wisp_str id = wisp_json_str(request, id_key);
    const struct wisp_table *table = is_provider ? &lattice->providers : &lattice->components;
    bool is_full = table->count >= (is_provider ? lattice->providers_max : lattice->components_max);
    if (is_full || wisp_table_get(table, id) || !fulfils(lattice, json_object_get(request, "constraints"))) return;
    json_t *ack = json_object();
    json_object_set_new(ack, ref_key, wisp_json_text(wisp_json_str(request, ref_key)));
    json_object_set_new(ack, id_key, wisp_json_text(id));
    json_object_set_new(ack, "host_id", json_string(lattice->host_id));
    json_object_set(ack, "constraints", json_object_get(request, "constraints"));
    wisp_lattice_answer(lattice, &command->reply, "", ack);
}

void wisp_lattice_component_auction(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    bid(lattice, command, false);
}

void wisp_lattice_provider_auction(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    bid(lattice, command, true);
}

/* --- another host with this id ---
 *
 * Listening to everybody's heartbeats would cost each host the whole lattice's. Instead the host now and then asks
 * itself, and does not answer: an answer means that somebody else goes by its id. */

static void on_probe_due(struct wisp_lattice_timer *timer, void *env)
{
    struct wisp_lattice *lattice = env;
    wisp_lattice_timer_arm(lattice, timer, lattice->heartbeat_interval_ms * PROBE_EVERY_HEARTBEATS, on_probe_due,
                           lattice);
    if (!lattice->is_connected) return;
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_PUBLISH);
    action->subject = wisp_str_from(wisp_arena_printf(&lattice->arena, "%s.v1.%s.host.get.%s", lattice->ctl_prefix,
                                                      lattice->lattice, lattice->host_id));
    action->reply = wisp_lattice_keep(lattice, wisp_str_from(lattice->probe_subject));
}

void wisp_lattice_probe_begin(struct wisp_lattice *lattice)
{
    wisp_lattice_timer_arm(lattice, &lattice->probe, 0, on_probe_due, lattice);
}

void wisp_lattice_probe_heard(struct wisp_lattice *lattice, struct wisp_str payload)
{
    WISP_CLEANUP_JSON json_t *reply = NULL;
    if (wisp_json_parse(payload, &reply, NULL) < 0) return;
    const json_t *inventory = json_object_get(reply, "response");
    if (!wisp_str_is(wisp_json_str(inventory, "host_id"), lattice->host_id)) return;
    wisp_lattice_log(lattice, WISP_LOG_ERROR,
                     "another host of lattice `%s` has this host's id %s: `%.*s`, up for %.*s. Commands reach both and "
                     "neither is seen rightly; give one of them another --host-seed",
                     lattice->lattice, lattice->host_id, WISP_STR_ARG(wisp_json_str(inventory, "friendly_name")),
                     WISP_STR_ARG(wisp_json_str(inventory, "uptime_human")));
}
