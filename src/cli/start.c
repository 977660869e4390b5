/* SPDX-License-Identifier: Apache-2.0 */
/* wisp start component, start provider. */
#include "cli/outcome.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/words.h"

struct values {
    struct wisp_connection connection;
    int output;
    const char *reference, *id, *host, *link_name;
    uint32_t instances_max;
    uint64_t auction_timeout_ms;
    struct wisp_arg_list constraints, config;
    bool skips_wait;
};

#define FIELD(name) .offset = offsetof(struct values, name)
#define COMMON_OPTIONS                                                                                                 \
    {.name = "host-id",                                                                                                \
     .kind = WISP_ARG_TEXT,                                                                                            \
     .value = "HOST",                                                                                                  \
     FIELD(host),                                                                                                      \
     .help = "start it there: id, beginning of an id, or part of a friendly name [any host that bids]"},               \
        {.name = "constraint",                                                                                         \
         .aliases = "constraints",                                                                                     \
         .letter = 'c',                                                                                                \
         .kind = WISP_ARG_LIST,                                                                                        \
         .value = "KEY=VALUE",                                                                                         \
         FIELD(constraints),                                                                                           \
         .help = "a label that the host must have"},                                                                   \
        {.name = "auction-timeout-ms",                                                                                 \
         .kind = WISP_ARG_MILLISECONDS,                                                                                \
         .value = "TIME",                                                                                              \
         FIELD(auction_timeout_ms),                                                                                    \
         .is_positive = true,                                                                                          \
         .env = "WISP_AUCTION_TIMEOUT_MS",                                                                             \
         .help = "how long to wait for the first bid [2000]"},                                                         \
        {.name = "config", .kind = WISP_ARG_LIST, .value = "NAME", FIELD(config), .help = "a named config it gets"},   \
        {.name = "skip-wait",                                                                                          \
         .kind = WISP_ARG_FLAG,                                                                                        \
         FIELD(skips_wait),                                                                                            \
         .help = "don't wait until it runs, only until the host has accepted"},                                        \
        WISP_OUTPUT_OPTION(struct values, output)

static const struct values defaults = {
    .connection = WISP_CONNECTION_UNSET, .instances_max = 1, .auction_timeout_ms = 2000, .link_name = "default"};

/* What differs between the two. */
struct kind {
    const char *word;                 /* "component" */
    const char *auction, *start;      /* tails of subjects */
    const char *ref_field, *id_field; /* of messages and of our own JSON */
    const char *started, *failed;     /* events */
    uint64_t patience_ms;
    bool has_max;
};
static const struct kind component = {.word = "component",
                                      .auction = "component.auction",
                                      .start = "component.scale",
                                      .ref_field = "component_ref",
                                      .id_field = "component_id",
                                      .started = "component_scaled",
                                      .failed = "component_scale_failed",
                                      .patience_ms = WISP_OUTCOME_COMPONENT_MS,
                                      .has_max = true};
static const struct kind provider = {.word = "provider",
                                     .auction = "provider.auction",
                                     .start = "provider.start",
                                     .ref_field = "provider_ref",
                                     .id_field = "provider_id",
                                     .started = "provider_started",
                                     .failed = "provider_start_failed",
                                     .patience_ms = WISP_OUTCOME_PROVIDER_MS};

/* --- where --- */

/* Hosts that run it already don't bid. */
static int refuse_no_bid(struct wisp_lattice_client *client, const struct values *values, const struct kind *kind,
                         struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *running = NULL;
    if (wisp_hosts_running(client, kind->has_max ? "components" : "providers", values->id, NULL, &running, NULL) == 0)
        return wisp_err_set(err, WISP_ERR_EXISTS,
                            "no host bid for %s `%s`, for it runs already on %zu host%s; "
                            "`wisp inspect %s` tells where",
                            kind->word, values->id, json_array_size(running), json_array_size(running) == 1 ? "" : "s",
                            values->id);
    return wisp_err_set(err, WISP_ERR_UNAVAILABLE,
                        "no host bid for %s `%s` within %llu ms%s; `wisp get inventory` shows hosts and their labels",
                        kind->word, values->id, (unsigned long long)values->auction_timeout_ms,
                        values->constraints.count ? ", none has the labels asked for" : "");
}

static int auction(struct wisp_lattice_client *client, const struct values *values, const struct kind *kind,
                   const char *reference, const char **ret_host_id, struct wisp_err *err)
{
    json_t *constraints;
    int r = wisp_word_pairs(&values->constraints, '\0', "flag `--constraint`", &constraints, err);
    if (r < 0) return r;
    json_t *body = json_object();
    json_object_set_new(body, kind->ref_field, wisp_json_text(wisp_str_from(reference)));
    json_object_set_new(body, kind->id_field, wisp_json_text(wisp_str_from(values->id)));
    json_object_set_new(body, "constraints", constraints);
    struct wisp_lattice_question question = {
        .tail = kind->auction, .body = body, .timeout_ms = values->auction_timeout_ms};
    WISP_CLEANUP_JSON json_t *bids = NULL;
    r = wisp_lattice_client_gather(client, &question, 1, &bids, err);
    if (r < 0) return r;
    struct wisp_str host_id = wisp_json_str(json_array_get(bids, 0), "host_id");
    if (!host_id.len) return refuse_no_bid(client, values, kind, err);
    *ret_host_id = wisp_arena_cstr(wisp_lattice_client_arena(client), host_id);
    if (!wisp_word_is_host_id(*ret_host_id))
        return wisp_err_set(err, WISP_ERR_INVALID, "the bid of `%s` is no host's", *ret_host_id);
    return 0;
}

/* A named host is asked for its labels when there are constraints, for it starts what it is told to. */
static int check_constraints(struct wisp_lattice_client *client, const struct values *values, const char *host_id,
                             struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *wanted = NULL, *inventory = NULL;
    if (!values->constraints.count) return 0;
    int r = wisp_word_pairs(&values->constraints, '\0', "flag `--constraint`", &wanted, err);
    if (r == 0) r = wisp_hosts_inventory(client, host_id, &inventory, err);
    if (r < 0) return r;
    const char *key;
    json_t *value;
    json_object_foreach(wanted, key, value)
    {
        if (!json_equal(json_object_get(json_object_get(inventory, "labels"), key), value))
            return wisp_err_set(err, WISP_ERR_USAGE, "host %s has no label %s=%s", host_id, key,
                                json_string_value(value));
    }
    return 0;
}

static int choose_host(struct wisp_lattice_client *client, const struct values *values, const struct kind *kind,
                       const char *reference, const char **ret_host_id, struct wisp_err *err)
{
    if (!values->host) return auction(client, values, kind, reference, ret_host_id, err);
    int r = wisp_hosts_find(client, values->host, ret_host_id, err);
    return r < 0 ? r : check_constraints(client, values, *ret_host_id, err);
}

/* --- start --- */

static json_t *order(const struct values *values, const struct kind *kind, const char *reference, const char *host_id)
{
    json_t *body = json_object();
    json_object_set_new(body, kind->ref_field, wisp_json_text(wisp_str_from(reference)));
    json_object_set_new(body, kind->id_field, wisp_json_text(wisp_str_from(values->id)));
    json_object_set_new(body, "host_id", json_string(host_id));
    json_object_set_new(body, "config", wisp_word_list_json(&values->config));
    json_object_set_new(body, "annotations", json_object());
    if (kind->has_max) json_object_set_new(body, "count", json_integer(values->instances_max));
    return body;
}

static void print(const struct values *values, const struct kind *kind, const char *reference, const char *host_id)
{
    char result[1024];
    snprintf(result, sizeof result,
             values->skips_wait ? "Host %s is starting %s [%s] (%s)" : "Host %s runs %s [%s] (%s)", host_id, kind->word,
             values->id, reference);
    if (values->output != WISP_OUTPUT_JSON) {
        printf("%s\n", result);
        return;
    }
    json_t *json = json_object();
    json_object_set_new(json, "result", wisp_json_text(wisp_str_from(result)));
    json_object_set_new(json, kind->ref_field, wisp_json_text(wisp_str_from(reference)));
    json_object_set_new(json, kind->id_field, wisp_json_text(wisp_str_from(values->id)));
    if (!kind->has_max) json_object_set_new(json, "link_name", wisp_json_text(wisp_str_from(values->link_name)));
    json_object_set_new(json, "host_id", json_string(host_id));
    wisp_output_success_take(json);
}

static int start_on(struct wisp_lattice_client *client, const struct values *values, const struct kind *kind,
                    const char *reference, const char *host_id, struct wisp_err *err)
{
    struct wisp_outcome outcome = {
        .host_id = host_id,
        .id_field = kind->id_field,
        .id = values->id,
        .success = kind->started,
        .failure = kind->failed,
        .max_instances = kind->has_max ? (int64_t)values->instances_max : -1,
        .patience_ms = kind->patience_ms,
        .what = wisp_arena_printf(wisp_lattice_client_arena(client), "start %s `%s`", kind->word, values->id),
    };
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    struct wisp_lattice_question question = {
        .tail = kind->start, .host_id = host_id, .body = order(values, kind, reference, host_id)};
    int r = values->skips_wait ? 0 : wisp_outcome_listen(client, &outcome, err);
    if (r < 0) json_decref(question.body);
    if (r == 0) r = wisp_lattice_client_ask(client, &question, &reply, err);
    if (r == 0 && *reply.message && kind->has_max) wisp_output_note("%s", reply.message); /* a warning */
    if (r == 0 && !values->skips_wait) r = wisp_outcome_wait(client, &outcome, err);
    return r;
}

static int start(const struct values *values, const struct kind *kind, struct wisp_err *err)
{
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    const char *reference, *host_id;
    int r = wisp_word_check_id(values->id, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r == 0) r = wisp_word_reference(values->reference, wisp_lattice_client_arena(client), &reference, err);
    if (r == 0) r = choose_host(client, values, kind, reference, &host_id, err);
    if (r == 0) r = start_on(client, values, kind, reference, host_id, err);
    if (r == 0) print(values, kind, reference, host_id);
    return r;
}

static int run_component(const void *values, struct wisp_err *err) { return start(values, &component, err); }
static int run_provider(const void *values, struct wisp_err *err) { return start(values, &provider, err); }

static const struct wisp_arg_operand operands[] = {
    {.name = "REF",
     .help = "image: a file, or HOST/NAME:TAG of a registry",
     .is_required = true,
     FIELD(reference),
     .completion = WISP_COMPLETE_FILES},
    {.name = "ID", .help = "under which the lattice knows it", .is_required = true, FIELD(id)},
};

static const struct wisp_arg_option component_options[] = {
    {.name = "max-instances",
     .aliases = "max-concurrent max count",
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(instances_max),
     .is_positive = true,
     .help = "calls answered at the same time on that host [1]"},
    COMMON_OPTIONS,
};
static const struct wisp_verb verb_component = {
    .name = "start component",
    .summary = "run a component on a host",
    .text = "On the host that is named, or on the first one that bids for it.",
    .example = "wisp start component ./echo.wasm echo\n"
               "wisp start component ghcr.io/acme/echo:1.0.0 echo --max-instances 100 --constraint zone=eu",
    WISP_VERB_TABLES(component_options, operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_component,
};

static const struct wisp_arg_option provider_options[] = {
    {.name = "link-name",
     .letter = 'l',
     .kind = WISP_ARG_TEXT,
     .value = "NAME",
     FIELD(link_name),
     .help = "shown in the result, otherwise of no effect [default]"},
    COMMON_OPTIONS,
};
static const struct wisp_verb verb_provider = {
    .name = "start provider",
    .summary = "run a provider on a host",
    .text = "On the host that is named, or on the first one that bids for it.",
    .example = "wisp start provider ghcr.io/wasmcloud/http-server:0.25.0 http --config http-cfg",
    WISP_VERB_TABLES(provider_options, operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_provider,
};

static const struct wisp_verb *const verbs[] = {&verb_component, &verb_provider, NULL};
const struct wisp_verb wisp_verb_start = {
    .name = "start",
    .summary = "run something on a host",
    .verbs = verbs,
    .example = "wisp start component ./echo.wasm echo\nwisp start provider ghcr.io/wasmcloud/http-server:0.25.0 http",
};
