/* SPDX-License-Identifier: Apache-2.0 */
/* wisp stop component, stop provider, stop host. */
#include "cli/outcome.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/words.h"

struct values {
    struct wisp_connection connection;
    int output;
    const char *id, *host;
    uint64_t host_timeout_ms;
    bool skips_wait;
};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

static void print(const struct values *values, const char *result, const char *id_field, const char *host_id)
{
    if (values->output != WISP_OUTPUT_JSON) {
        printf("%s\n", result);
        return;
    }
    json_t *json = json_object();
    json_object_set_new(json, "result", wisp_json_text(wisp_str_from(result)));
    if (id_field) json_object_set_new(json, id_field, wisp_json_text(wisp_str_from(values->id)));
    json_object_set_new(json, "host_id", json_string(host_id));
    wisp_output_success_take(json);
}

static const char *host_id_of(const json_t *inventory)
{
    const char *id = json_string_value(json_object_get(inventory, "host_id"));
    return id && wisp_word_is_host_id(id) ? id : "";
}

/* Text with the ids of all hosts. */
static void list_hosts(const json_t *inventories, size_t first, struct wisp_buf *out)
{
    for (size_t i = first; i < json_array_size(inventories); i++)
        wisp_buf_printf(out, "%s%s", i > first ? ", " : "", host_id_of(json_array_get(inventories, i)));
}

/* --- component --- */

static json_t *scale_to_zero(const struct values *values, const json_t *inventory)
{
    const json_t *entry = wisp_inventory_find(inventory, "components", values->id);
    json_t *body = json_object();
    json_object_set_new(body, "component_ref", wisp_json_text(wisp_json_str(entry, "image_ref")));
    json_object_set_new(body, "component_id", wisp_json_text(wisp_str_from(values->id)));
    json_object_set_new(body, "host_id", json_string(host_id_of(inventory)));
    json_object_set_new(body, "config", json_array());
    json_object_set_new(body, "count", json_integer(0));
    return body;
}

static int stop_component(struct wisp_lattice_client *client, const struct values *values, const json_t *inventory,
                          struct wisp_err *err)
{
    struct wisp_outcome outcome = {
        .host_id = host_id_of(inventory),
        .id_field = "component_id",
        .id = values->id,
        .success = "component_scaled",
        .failure = "component_scale_failed",
        .max_instances = 0,
        .patience_ms = WISP_OUTCOME_COMPONENT_MS,
        .what = wisp_arena_printf(wisp_lattice_client_arena(client), "stop component `%s`", values->id),
    };
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    struct wisp_lattice_question question = {.tail = "component.scale", .host_id = outcome.host_id};
    int r = values->skips_wait ? 0 : wisp_outcome_listen(client, &outcome, err);
    if (r < 0) return r;
    question.body = scale_to_zero(values, inventory);
    r = wisp_lattice_client_ask(client, &question, &reply, err);
    if (r == 0 && !values->skips_wait) r = wisp_outcome_wait(client, &outcome, err);
    return r;
}

static int run_component(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_JSON json_t *inventories = NULL;
    int r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r == 0) r = wisp_hosts_running(client, "components", values->id, values->host, &inventories, err);
    if (r == 0) r = stop_component(client, values, json_array_get(inventories, 0), err);
    if (r < 0) return r;
    const char *host_id = host_id_of(json_array_get(inventories, 0));
    char result[512];
    snprintf(result, sizeof result,
             values->skips_wait ? "Host %s is stopping component [%s]" : "Host %s has stopped component [%s]", host_id,
             values->id);
    print(values, result, "component_id", host_id);
    WISP_CLEANUP_BUF struct wisp_buf others = {0};
    list_hosts(inventories, 1, &others);
    if (others.len) wisp_output_note("it still runs on %.*s", WISP_STR_ARG(wisp_buf_str(&others)));
    return 0;
}

/* --- provider --- */

static int stop_provider(struct wisp_lattice_client *client, const struct values *values, const json_t *inventories,
                         struct wisp_err *err)
{
    if (json_array_size(inventories) > 1) {
        WISP_CLEANUP_BUF struct wisp_buf all = {0};
        list_hosts(inventories, 0, &all);
        return wisp_err_set(err, WISP_ERR_USAGE, "provider `%s` runs on several hosts; name one with --host-id: %.*s",
                            values->id, WISP_STR_ARG(wisp_buf_str(&all)));
    }
    const char *host_id = host_id_of(json_array_get(inventories, 0));
    const struct wisp_connection_settings *settings = wisp_lattice_client_settings(client);
    json_t *body = json_object();
    json_object_set_new(body, "provider_id", wisp_json_text(wisp_str_from(values->id)));
    json_object_set_new(body, "host_id", json_string(host_id));
    /* The host answers when the process is gone, so the patience is that for the deed. */
    bool has_patience = !values->skips_wait && !settings->is_timeout_given;
    struct wisp_lattice_question question = {.tail = "provider.stop",
                                             .host_id = host_id,
                                             .body = body,
                                             .timeout_ms = has_patience ? WISP_OUTCOME_PROVIDER_MS : 0};
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    int r = wisp_lattice_client_ask(client, &question, &reply, err);
    if (r != -WISP_ERR_TIMEOUT && r != -WISP_ERR_CANCELLED) return r;
    return wisp_err_wrap(err, "still in progress: host %s was asked to stop provider `%s`", host_id, values->id);
}

static int run_provider(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_JSON json_t *inventories = NULL;
    int r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r == 0) r = wisp_hosts_running(client, "providers", values->id, values->host, &inventories, err);
    if (r == 0) r = stop_provider(client, values, inventories, err);
    if (r < 0) return r;
    const char *host_id = host_id_of(json_array_get(inventories, 0));
    char result[512];
    snprintf(result, sizeof result, "Host %s has stopped provider [%s]", host_id, values->id);
    print(values, result, "provider_id", host_id);
    return 0;
}

/* --- host --- */

static int run_host(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    if (!wisp_word_is_host_id(values->id))
        return wisp_err_set(err, WISP_ERR_USAGE,
                            "`%s` is no whole host id (N and 55 characters); `wisp get hosts` shows them", values->id);
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    int r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r < 0) return r;
    json_t *body = json_object();
    json_object_set_new(body, "host_id", json_string(values->id));
    json_object_set_new(body, "timeout",
                        values->host_timeout_ms ? json_integer((json_int_t)values->host_timeout_ms) : json_null());
    struct wisp_lattice_question question = {.tail = "host.stop", .host_id = values->id, .body = body};
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    r = wisp_lattice_client_ask(client, &question, &reply, err);
    if (r < 0) return r;
    char result[128];
    snprintf(result, sizeof result, "Host %s is stopping", values->id);
    print(values, result, NULL, values->id);
    return 0;
}

/* --- tables --- */

static const struct wisp_arg_option options[] = {
    {.name = "host-id",
     .kind = WISP_ARG_TEXT,
     .value = "HOST",
     FIELD(host),
     .help = "stop it there: id, beginning of an id, or part of a friendly name [where it runs]"},
    {.name = "skip-wait",
     .kind = WISP_ARG_FLAG,
     FIELD(skips_wait),
     .help = "don't wait until it has stopped, only until the host has accepted"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand operands[] = {
    {.name = "ID", .help = "under which the lattice knows it", .is_required = true, FIELD(id)},
};
static const struct wisp_arg_option host_options[] = {
    {.name = "host-timeout",
     .aliases = "host-timeout-ms",
     .kind = WISP_ARG_MILLISECONDS,
     .value = "TIME",
     FIELD(host_timeout_ms),
     .help = "what the host gives itself to end, in ms or as 5s [the host's own]"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand host_operands[] = {
    {.name = "HOST-ID", .help = "the whole id of the host", .is_required = true, FIELD(id)},
};

static const struct wisp_verb verb_component = {
    .name = "stop component",
    .summary = "stop a component on one host",
    .text = "On the host that is named, or on the first one that runs it. Calls in progress are finished.",
    .example = "wisp stop component echo",
    WISP_VERB_TABLES(options, operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_component,
};
static const struct wisp_verb verb_provider = {
    .name = "stop provider",
    .summary = "stop a provider",
    .text = "When several hosts run it, --host-id says which one.",
    .example = "wisp stop provider http",
    WISP_VERB_TABLES(options, operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_provider,
};
static const struct wisp_verb verb_host = {
    .name = "stop host",
    .summary = "end a host",
    .example = "wisp stop host NDZYWCZGNWVWQN7CMCEXBQ3CYRQXAUGVHVAKYUCVMSVEAZYY4FAPLXGX",
    WISP_VERB_TABLES(host_options, host_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_host,
};

static const struct wisp_verb *const verbs[] = {&verb_component, &verb_provider, &verb_host, NULL};
const struct wisp_verb wisp_verb_stop = {
    .name = "stop",
    .summary = "end something",
    .verbs = verbs,
    .example = "wisp stop component echo\nwisp stop provider http",
};
