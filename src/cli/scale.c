/* SPDX-License-Identifier: Apache-2.0 */
/* wisp scale component, update component: changes of what runs. */
#include "cli/outcome.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/words.h"

struct values {
    struct wisp_connection connection;
    int output;
    const char *host, *reference, *id;
    uint32_t instances_max;
    uint64_t wait_timeout_ms;
    struct wisp_arg_list annotations, config;
    bool skips_wait;
};

#define FIELD(name) .offset = offsetof(struct values, name)
#define OPTION_SKIP_WAIT                                                                                               \
    {.name = "skip-wait",                                                                                              \
     .kind = WISP_ARG_FLAG,                                                                                            \
     FIELD(skips_wait),                                                                                                \
     .help = "don't wait until it is done, only until the host has accepted"}

static const struct values defaults = {
    .connection = WISP_CONNECTION_UNSET, .instances_max = UINT32_MAX, .wait_timeout_ms = WISP_OUTCOME_COMPONENT_MS};

static int act(struct wisp_lattice_client *client, const struct values *values,
               const struct wisp_lattice_question *question, const struct wisp_outcome *outcome,
               struct wisp_lattice_reply *ret_reply, struct wisp_err *err)
{
    int r = values->skips_wait ? 0 : wisp_outcome_listen(client, outcome, err);
    if (r < 0) {
        json_decref(question->body);
        return r;
    }
    return wisp_lattice_client_ask(client, question, ret_reply, err);
}

/* --- scale --- */

static int scale_order(const struct values *values, const char *reference, const char *host_id, json_t **ret_body,
                       struct wisp_err *err)
{
    json_t *annotations;
    int r = wisp_word_pairs(&values->annotations, '\0', "flag `--annotations`", &annotations, err);
    if (r < 0) return r;
    json_t *body = *ret_body = json_object();
    json_object_set_new(body, "component_ref", wisp_json_text(wisp_str_from(reference)));
    json_object_set_new(body, "component_id", wisp_json_text(wisp_str_from(values->id)));
    json_object_set_new(body, "host_id", json_string(host_id));
    json_object_set_new(body, "count", json_integer(values->instances_max));
    json_object_set_new(body, "config", wisp_word_list_json(&values->config));
    json_object_set_new(body, "annotations", annotations);
    return 0;
}

static void print_scaled(const struct values *values, const char *reference, const char *host_id)
{
    char result[1024], max[32] = "an unlimited number of";
    if (values->instances_max != UINT32_MAX) snprintf(max, sizeof max, "%u", values->instances_max);
    snprintf(result, sizeof result,
             values->skips_wait ? "Host %s is scaling component [%s] to at most %s instances"
                                : "Host %s has scaled component [%s] to at most %s instances",
             host_id, values->id, max);
    if (values->output != WISP_OUTPUT_JSON) {
        printf("%s\n", result);
        return;
    }
    json_t *json = json_object();
    json_object_set_new(json, "result", wisp_json_text(wisp_str_from(result)));
    json_object_set_new(json, "component_ref", wisp_json_text(wisp_str_from(reference)));
    json_object_set_new(json, "component_id", wisp_json_text(wisp_str_from(values->id)));
    json_object_set_new(json, "host_id", json_string(host_id));
    wisp_output_success_take(json);
}

static int scale(struct wisp_lattice_client *client, const struct values *values, const char *reference,
                 const char *host_id, struct wisp_err *err)
{
    struct wisp_outcome outcome = {
        .host_id = host_id,
        .id_field = "component_id",
        .id = values->id,
        .success = "component_scaled",
        .failure = "component_scale_failed",
        .max_instances = values->instances_max,
        .patience_ms = values->wait_timeout_ms,
        .what = wisp_arena_printf(wisp_lattice_client_arena(client), "scale component `%s`", values->id),
    };
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    struct wisp_lattice_question question = {.tail = "component.scale", .host_id = host_id};
    int r = scale_order(values, reference, host_id, &question.body, err);
    if (r == 0) r = act(client, values, &question, &outcome, &reply, err);
    if (r == 0 && *reply.message) wisp_output_note("%s", reply.message); /* a warning */
    if (r == 0 && !values->skips_wait) r = wisp_outcome_wait(client, &outcome, err);
    return r;
}

static int run_scale(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    const char *reference, *host_id;
    int r = wisp_word_check_id(values->id, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r == 0) r = wisp_word_reference(values->reference, wisp_lattice_client_arena(client), &reference, err);
    if (r == 0) r = wisp_hosts_find(client, values->host, &host_id, err);
    if (r == 0) r = scale(client, values, reference, host_id, err);
    if (r == 0) print_scaled(values, reference, host_id);
    return r;
}

static const struct wisp_arg_option scale_options[] = {
    {.name = "max-instances",
     .aliases = "max-concurrent max count",
     .letter = 'c',
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(instances_max),
     .help = "calls answered at the same time on that host; 0 stops it [no limit]"},
    {.name = "annotations",
     .aliases = "annotation",
     .letter = 'a',
     .kind = WISP_ARG_LIST,
     .value = "KEY=VALUE",
     FIELD(annotations),
     .help = "kept with it, for whoever manages it"},
    {.name = "config", .kind = WISP_ARG_LIST, .value = "NAME", FIELD(config), .help = "a named config it gets"},
    OPTION_SKIP_WAIT,
    {.name = "wait-timeout-ms",
     .kind = WISP_ARG_MILLISECONDS,
     .value = "TIME",
     FIELD(wait_timeout_ms),
     .is_positive = true,
     .help = "how long to wait until it is done [10s]"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand scale_operands[] = {
    {.name = "HOST", .help = "id, beginning of an id, or part of a friendly name", .is_required = true, FIELD(host)},
    {.name = "REF", .help = "image: a file, or HOST/NAME:TAG of a registry", .is_required = true, FIELD(reference)},
    {.name = "ID", .help = "under which the lattice knows it", .is_required = true, FIELD(id)},
};
static const struct wisp_verb verb_scale_component = {
    .name = "scale component",
    .summary = "how many calls a component answers at the same time",
    .text = "Starts it when it doesn't run there yet.",
    .example = "wisp scale component calm-lake ghcr.io/acme/echo:1.0.0 echo --max-instances 100",
    WISP_VERB_TABLES(scale_options, scale_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_scale,
};

static const struct wisp_verb *const scale_verbs[] = {&verb_scale_component, NULL};
const struct wisp_verb wisp_verb_scale = {
    .name = "scale",
    .summary = "change how much of a component runs",
    .verbs = scale_verbs,
    .example = "wisp scale component calm-lake ghcr.io/acme/echo:1.0.0 echo --max-instances 100",
};

/* --- update --- */

static int find_only_host(struct wisp_lattice_client *client, const struct values *values, json_t **ret_inventory,
                          struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *inventories = NULL;
    int r = wisp_hosts_running(client, "components", values->id, values->host, &inventories, err);
    if (r < 0) return r;
    if (json_array_size(inventories) > 1)
        return wisp_err_set(err, WISP_ERR_USAGE, "component `%s` runs on %zu hosts; name one with --host-id",
                            values->id, json_array_size(inventories));
    *ret_inventory = json_incref(json_array_get(inventories, 0));
    return 0;
}

static int update(struct wisp_lattice_client *client, const struct values *values, const char *reference,
                  const char *host_id, char *result, size_t result_size, struct wisp_err *err)
{
    struct wisp_outcome outcome = {
        .host_id = host_id,
        .id_field = "component_id",
        .id = values->id,
        .success = "component_scaled",
        .failure = "component_scale_failed",
        .image_ref = reference,
        .max_instances = -1,
        .patience_ms = WISP_OUTCOME_COMPONENT_MS,
        .what =
            wisp_arena_printf(wisp_lattice_client_arena(client), "update component `%s` to %s", values->id, reference),
    };
    json_t *body = json_object();
    json_object_set_new(body, "component_id", wisp_json_text(wisp_str_from(values->id)));
    json_object_set_new(body, "new_component_ref", wisp_json_text(wisp_str_from(reference)));
    json_object_set_new(body, "host_id", json_string(host_id));
    json_object_set_new(body, "annotations", json_object());
    struct wisp_lattice_question question = {.tail = "component.update", .host_id = host_id, .body = body};
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    int r = act(client, values, &question, &outcome, &reply, err);
    if (r == 0 && !values->skips_wait) r = wisp_outcome_wait(client, &outcome, err);
    snprintf(result, result_size,
             values->skips_wait ? "Host %s is updating component [%s] to %s"
                                : "Host %s has updated component [%s] to %s",
             host_id, values->id, reference);
    return r;
}

static int run_update(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_JSON json_t *inventory = NULL;
    const char *reference;
    char result[1024];
    int r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r == 0) r = wisp_word_reference(values->reference, wisp_lattice_client_arena(client), &reference, err);
    if (r == 0) r = find_only_host(client, values, &inventory, err);
    if (r < 0) return r;
    const char *host_id = wisp_arena_cstr(wisp_lattice_client_arena(client), wisp_json_str(inventory, "host_id"));
    struct wisp_str running = wisp_json_str(wisp_inventory_find(inventory, "components", values->id), "image_ref");
    if (wisp_str_is(running, reference))
        snprintf(result, sizeof result, "Component [%s] is %s already", values->id, reference);
    else
        r = update(client, values, reference, host_id, result, sizeof result, err);
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(json_pack("{s:o}", "result", wisp_json_text(wisp_str_from(result))));
    else
        printf("%s\n", result);
    return 0;
}

static const struct wisp_arg_option update_options[] = {
    {.name = "host-id",
     .kind = WISP_ARG_TEXT,
     .value = "HOST",
     FIELD(host),
     .help = "update it there: id, beginning of an id, or part of a friendly name [where it runs]"},
    OPTION_SKIP_WAIT,
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand update_operands[] = {
    {.name = "ID", .help = "under which the lattice knows it", .is_required = true, FIELD(id)},
    {.name = "NEW-REF", .help = "image that takes over", .is_required = true, FIELD(reference)},
};
static const struct wisp_verb verb_update_component = {
    .name = "update component",
    .summary = "put another image in a component's place",
    .text = "The new one takes the next calls; the old one finishes those it has.",
    .example = "wisp update component echo ghcr.io/acme/echo:1.1.0",
    WISP_VERB_TABLES(update_options, update_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_update,
};

static const struct wisp_verb *const update_verbs[] = {&verb_update_component, NULL};
const struct wisp_verb wisp_verb_update = {
    .name = "update",
    .summary = "change the image of something",
    .verbs = update_verbs,
    .example = "wisp update component echo ghcr.io/acme/echo:1.1.0",
};
