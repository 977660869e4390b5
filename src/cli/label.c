/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/words.h"

struct values {
    struct wisp_connection connection;
    int output;
    const char *host;
    struct wisp_arg_list labels;
    bool is_delete;
};

#define FIELD(name) .offset = offsetof(struct values, name)

/* {"key": "value"}; when labels go, the values are "". */
static int parse_labels(const struct values *values, json_t **ret_labels, struct wisp_err *err)
{
    if (!values->is_delete) return wisp_word_pairs(&values->labels, ',', "label", ret_labels, err);
    json_t *labels = *ret_labels = json_object();
    for (size_t i = 0; i < values->labels.count; i++) {
        struct wisp_str rest = wisp_str_from(values->labels.items[i]), key;
        do {
            if (!wisp_str_split(rest, ',', &key, &rest)) {
                key = rest;
                rest.len = 0;
            }
            struct wisp_str value;
            wisp_str_split(key, '=', &key, &value);
            if (key.len) json_object_setn_new(labels, key.ptr, key.len, json_string(""));
        } while (rest.len);
    }
    return 0;
}

static int set_label(struct wisp_lattice_client *client, const struct values *values, const char *host_id,
                     const char *key, json_t *value, struct wisp_err *err)
{
    json_t *body = json_object();
    json_object_set_new(body, "key", json_string(key));
    if (!values->is_delete) json_object_set(body, "value", value);
    struct wisp_lattice_question question = {
        .tail = values->is_delete ? "label.del" : "label.put", .host_id = host_id, .body = body};
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    int r = wisp_lattice_client_ask(client, &question, &reply, err);
    return r < 0 ? wisp_err_wrap(err, "label `%s`", key) : 0;
}

static void print(const struct values *values, const char *host_id, json_t *labels)
{
    const char *key;
    json_t *value, *processed = json_array();
    json_object_foreach(labels, key, value)
    {
        json_array_append_new(processed, json_pack("[s, O]", key, value));
        if (values->output != WISP_OUTPUT_JSON)
            printf("Host %s %s label %s%s%s\n", host_id, values->is_delete ? "no longer has" : "has", key,
                   values->is_delete ? "" : "=", json_string_value(value));
    }
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(json_pack("{s:b, s:O}", "deleted", values->is_delete, "processed", processed));
    json_decref(processed);
}

static int run(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_JSON json_t *labels = NULL;
    const char *host_id, *key;
    json_t *value;
    int r = parse_labels(values, &labels, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r == 0) r = wisp_hosts_find(client, values->host, &host_id, err);
    if (r < 0) return r;
    json_object_foreach(labels, key, value)
    {
        if ((r = set_label(client, values, host_id, key, value, err)) < 0) return r;
    }
    print(values, host_id, labels);
    return 0;
}

static const struct wisp_arg_option options[] = {
    {.name = "delete", .kind = WISP_ARG_FLAG, FIELD(is_delete), .help = "take the labels away; keys are enough"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand operands[] = {
    {.name = "HOST", .help = "id, beginning of an id, or part of a friendly name", .is_required = true, FIELD(host)},
    {.name = "KEY=VALUE[,...]", .help = "labels", .is_required = true, .is_list = true, FIELD(labels)},
};
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

const struct wisp_verb wisp_verb_label = {
    .name = "label",
    .aliases = "tag",
    .summary = "set or take away labels of a host",
    .text = "Constraints of `wisp start` and of applications choose hosts by labels.",
    .example = "wisp label calm-lake zone=eu,disk=ssd\nwisp label calm-lake --delete zone",
    WISP_VERB_TABLES(options, operands, defaults),
    .shared = &wisp_connection_options,
    .run = run,
};
