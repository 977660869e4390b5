/* SPDX-License-Identifier: Apache-2.0 */
/* wisp app list, get, status, history: what there is. */
#include "cli/app.h"

#include "base/json.h"
#include "cli/verbs.h"
#include "cli/watch.h"

#include <stdio.h>
#include <time.h>

struct values {
    struct wisp_connection connection;
    int output;
    uint64_t watch_ms;
    const char *name, *version;
};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

static const char *const manifest_formats[] = {"text", "json", "yaml", NULL}; /* as WISP_OUTPUT_..., and one more */

static struct wisp_str text(const json_t *object, const char *key) { return wisp_json_str(object, key); }

static int show_all(const struct values *values,
                    int (*show)(struct wisp_lattice_client *client, const void *values, struct wisp_err *err),
                    struct wisp_err *err)
{
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    int r = wisp_lattice_client_new(&client, &values->connection, err);
    return r < 0 ? r : wisp_watch(client, values->watch_ms, values->output == WISP_OUTPUT_JSON, show, values, err);
}

/* --- list --- */

static struct wisp_str type_of(const json_t *summary)
{
    struct wisp_str type = text(json_object_get(json_object_get(summary, "detailed_status"), "status"), "type");
    if (!type.len) type = text(json_object_get(summary, "detailed_status"), "type");
    return type.len ? type : text(summary, "status");
}

static void print_list(const json_t *list)
{
    static const char *const headings[] = {"NAME", "DEPLOYED", "STATUS", "LATEST", "DESCRIPTION", NULL};
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init_head(&table, headings);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *summary = json_array_get(list, i);
        struct wisp_str deployed = text(summary, "deployed_version");
        wisp_output_table_add(&table, text(summary, "name"));
        wisp_output_table_add(&table, deployed.len ? deployed : WISP_STR("-"));
        wisp_output_table_add(&table, type_of(summary));
        wisp_output_table_add(&table, text(summary, "version"));
        wisp_output_table_add(&table, text(summary, "description"));
    }
    wisp_output_table_print(&table, stdout, 0);
}

static int show_list(struct wisp_lattice_client *client, const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_JSON json_t *list = NULL;
    int r = wisp_apps_list(client, &list, err);
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(json_pack("{s:O}", "applications", list));
    else if (json_array_size(list))
        print_list(list);
    else
        printf("there are no applications; `wisp app deploy FILE` makes one\n");
    return 0;
}

static int run_list(const void *values, struct wisp_err *err) { return show_all(values, show_list, err); }

/* --- get --- */

static int get(const struct values *values, struct wisp_err *err)
{
    WISP_CLEANUP_APPS_SOURCE struct wisp_apps_source source = {0};
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_JSON json_t *reply = NULL, *body = NULL;
    int r = wisp_apps_name_of(&source, values->name, values->version, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    body = r == 0 ? wisp_apps_version_body(source.version) : NULL;
    struct wisp_apps_question question = {.op = "get", .name = source.name, .body = body};
    if (r == 0) r = wisp_apps_ask(client, &question, &reply, err);
    if (r < 0) return r;
    json_t *manifest = json_object_get(reply, "manifest");
    if (values->output == WISP_OUTPUT_JSON) {
        wisp_output_success_take(json_pack("{s:O}", "application", manifest ? manifest : json_null()));
        return 0;
    }
    WISP_CLEANUP_BUF struct wisp_buf yaml = {0};
    if (manifest) wisp_app_yaml_print(manifest, &yaml);
    wisp_output_clean(yaml.data, yaml.len);
    printf("%.*s", WISP_STR_ARG(wisp_buf_str(&yaml)));
    return 0;
}

static int run_get(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    return values->name ? get(values, err) : show_all(values, show_list, err);
}

/* --- status --- */

/* Seconds since "2026-01-31T12:00:00...", in UTC; -1: it is no such time. */
static int64_t seconds_since(struct wisp_str when)
{
    struct tm tm = {0};
    char copy[64];
    snprintf(copy, sizeof copy, "%.*s", WISP_STR_ARG(when));
    if (!strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm)) return -1;
    int64_t seconds = (int64_t)time(NULL) - (int64_t)timegm(&tm);
    return seconds < 0 ? 0 : seconds;
}

static void print_scalers(const json_t *scalers)
{
    static const char *const headings[] = {"KIND", "NAME", "STATUS", "FOUND", "SINCE", "WHY NOT", NULL};
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init_head(&table, headings);
    for (size_t i = 0; i < json_array_size(scalers); i++) {
        const json_t *scaler = json_array_get(scalers, i);
        WISP_CLEANUP_BUF struct wisp_buf counts = {0}, since = {0};
        int64_t seconds = seconds_since(text(scaler, "since"));
        wisp_apps_counts(scaler, &counts);
        if (seconds >= 0) wisp_output_duration(&since, (uint64_t)seconds);
        wisp_output_table_add(&table, text(scaler, "kind"));
        wisp_output_table_add(&table, text(scaler, "name"));
        wisp_output_table_add(&table, text(json_object_get(scaler, "status"), "type"));
        wisp_output_table_add(&table, wisp_buf_str(&counts));
        wisp_output_table_add(&table, wisp_buf_str(&since));
        wisp_output_table_add(&table, wisp_apps_why(scaler));
    }
    wisp_output_table_print(&table, stdout, 0);
}

static void print_status(struct wisp_lattice_client *client, const json_t *summary, const json_t *status)
{
    const json_t *scalers = json_object_get(status, "scalers");
    struct wisp_str version = text(summary, "deployed_version"),
                    message = text(json_object_get(status, "status"), "message");
    printf("%s%s%s - %s\n", wisp_apps_text(client, text(summary, "name")), version.len ? "@" : "",
           wisp_apps_text(client, version), wisp_apps_text(client, text(json_object_get(status, "status"), "type")));
    if (json_array_size(scalers))
        print_scalers(scalers);
    else if (message.len)
        printf("%s\n", wisp_apps_text(client, message));
}

static int show_status(struct wisp_lattice_client *client, const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_JSON json_t *list = NULL, *reply = NULL;
    int r = wisp_apps_list(client, &list, err);
    if (r < 0) return r;
    const json_t *summary = wisp_apps_find(list, values->name);
    if (!summary) return wisp_apps_explain_missing(client, values->name, NULL, err);
    struct wisp_apps_question question = {.op = "status", .name = values->name};
    if ((r = wisp_apps_ask(client, &question, &reply, err)) < 0) return r;
    json_t *status = json_object_get(reply, "status");
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(json_pack(
            "{s:o, s:o, s:O}", "name", wisp_json_text(text(summary, "name")), "deployed_version",
            json_incref(json_object_get(summary, "deployed_version") ? json_object_get(summary, "deployed_version")
                                                                     : json_null()),
            "status", status ? status : json_null()));
    else
        print_status(client, summary, status);
    return 0;
}

static int run_status(const void *values_, struct wisp_err *err)
{
    struct values values = *(const struct values *)values_;
    WISP_CLEANUP_APPS_SOURCE struct wisp_apps_source source = {0};
    int r = wisp_apps_name_of(&source, values.name, NULL, err);
    if (r < 0) return r;
    values.name = source.name;
    return show_all(&values, show_status, err);
}

/* --- history --- */

static void print_history(const json_t *versions)
{
    static const char *const headings[] = {"VERSION", "DEPLOYED", "CREATED", NULL};
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init_head(&table, headings);
    for (size_t i = 0; i < json_array_size(versions); i++) {
        const json_t *version = json_array_get(versions, i);
        wisp_output_table_add(&table, text(version, "version"));
        wisp_output_table_add(&table, wisp_json_bool(version, "deployed", false) ? WISP_STR("yes") : WISP_STR("no"));
        wisp_output_table_add(&table, text(version, "created"));
    }
    wisp_output_table_print(&table, stdout, 0);
}

static int run_history(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_APPS_SOURCE struct wisp_apps_source source = {0};
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_JSON json_t *reply = NULL;
    int r = wisp_apps_name_of(&source, values->name, NULL, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    struct wisp_apps_question question = {.op = "versions", .name = source.name};
    if (r == 0) r = wisp_apps_ask(client, &question, &reply, err);
    if (r < 0) return r;
    json_t *versions = json_object_get(reply, "versions");
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(json_pack("{s:O}", "revisions", versions ? versions : json_null()));
    else
        print_history(versions);
    return 0;
}

/* --- tables --- */

#define NAME_OPERAND(required)                                                                                         \
    {.name = "FILE-OR-NAME",                                                                                           \
     .help = "of an application, or its manifest",                                                                     \
     .is_required = (required),                                                                                        \
     FIELD(name),                                                                                                      \
     .completion = WISP_COMPLETE_FILES}

static const struct wisp_arg_option watched_options[] = {WISP_OUTPUT_OPTION(struct values, output),
                                                         WISP_WATCH_OPTION(struct values, watch_ms)};
const struct wisp_verb wisp_verb_app_list = {
    .name = "app list",
    .summary = "applications of the lattice",
    .example = "wisp app list\nwisp app list -o json | jq -r '.applications[].name'",
    .options = watched_options,
    .n_options = WISP_COUNT(watched_options),
    .shared = &wisp_connection_options,
    .defaults = &defaults,
    .values_size = sizeof defaults,
    .run = run_list,
};

static const struct wisp_arg_option get_options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = WISP_ARG_CHOICE,
     .value = "FORMAT",
     FIELD(output),
     .choices = manifest_formats,
     .help = "text (that is yaml), json or yaml [text]"},
    WISP_WATCH_OPTION(struct values, watch_ms),
};
static const struct wisp_arg_operand get_operands[] = {
    {.name = "NAME", .help = "of an application, perhaps with @VERSION [the list of all]", FIELD(name)},
    {.name = "VERSION", .help = "of its manifest [the latest]", FIELD(version)},
};
const struct wisp_verb wisp_verb_app_get = {
    .name = "app get",
    .summary = "a stored manifest",
    .example = "wisp app get shop > shop.yaml\nwisp app get shop@v1.2.0 -o json",
    WISP_VERB_TABLES(get_options, get_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_get,
};

static const struct wisp_arg_operand status_operands[] = {NAME_OPERAND(true)};
const struct wisp_verb wisp_verb_app_status = {
    .name = "app status",
    .summary = "how an application stands, and why it isn't as it should be",
    .text =
        "One line for each thing that is kept as it should be: what is found of what is wanted, since when it is in\n"
        "this state, and what keeps it from being deployed.",
    .example = "wisp app status shop\nwisp app status shop --watch 1s",
    WISP_VERB_TABLES(watched_options, status_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_status,
};

static const struct wisp_arg_option plain_options[] = {WISP_OUTPUT_OPTION(struct values, output)};
const struct wisp_verb wisp_verb_app_history = {
    .name = "app history",
    .summary = "versions that are stored, oldest first",
    .text = "`wisp app deploy NAME@VERSION` goes back to one of them.",
    .example = "wisp app history shop",
    WISP_VERB_TABLES(plain_options, status_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_history,
};
