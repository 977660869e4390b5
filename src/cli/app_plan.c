/* SPDX-License-Identifier: Apache-2.0 */
/* wisp app plan: what a deploy would do. The manager makes the plan; here it is told. */
#include "cli/app.h"

#include "base/json.h"
#include "cli/verbs.h"
#include "cli/words.h"

#include <stdio.h>

struct values {
    struct wisp_connection connection;
    int output;
    const char *source, *version;
    bool is_lenient;
};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

static struct wisp_str text(const json_t *object, const char *key) { return wisp_json_str(object, key); }

/* --- one command --- */

/* How it is told, by its kind. '~' is a change of what is there. */
struct change {
    char sign; /* '+', '-', '~' */
    struct wisp_buf what;
};

static bool is_kind(const json_t *command, const char *kind) { return wisp_str_is(text(command, "kind"), kind); }

static json_t *payload_of(const json_t *command) { return json_object_get(command, "payload"); }

static const char *first_of(const json_t *object, const char *key, const char *other)
{
    const char *value = json_string_value(json_object_get(object, key));
    if (!value) value = json_string_value(json_object_get(object, other));
    return value ? value : "?";
}

/* How many instances a host has now: what is scaled from. */
static uint64_t running(const json_t *inventories, const char *host, const char *id)
{
    for (size_t i = 0; i < json_array_size(inventories); i++) {
        const json_t *inventory = json_array_get(inventories, i);
        if (!wisp_str_is(text(inventory, "host_id"), host)) continue;
        return wisp_json_u64(wisp_inventory_find(inventory, "components", id), "max_instances", 0);
    }
    return 0;
}

/* "component api on host N...: 3 -> 5 of IMAGE" */
static void describe_scale(const json_t *command, const json_t *reply, struct change *change)
{
    const json_t *payload = payload_of(command), *commands = json_object_get(reply, "commands");
    const char *id = first_of(payload, "component_id", "id"), *host = first_of(command, "host", "host_id");
    uint64_t count = wisp_json_u64(payload, "count", 0);
    uint64_t before = running(json_object_get(reply, "inventories"), host, id);
    change->sign = !count ? '-' : before ? '~' : '+';
    wisp_buf_printf(&change->what, "component %s on host %s", id, host);
    if (count) {
        wisp_buf_append_str(&change->what, WISP_STR(": "));
        if (before && before != count) wisp_buf_printf(&change->what, "%llu -> ", (unsigned long long)before);
        wisp_buf_printf(&change->what, "%llu of %s", (unsigned long long)count,
                        first_of(payload, "component_ref", "reference"));
    }
    for (size_t i = 0; !count && i < json_array_size(commands); i++) {
        const json_t *other = json_array_get(commands, i);
        if (!is_kind(other, "scale") || !wisp_json_u64(payload_of(other), "count", 0)) continue;
        if (strcmp(first_of(payload_of(other), "component_id", "id"), id) != 0) continue;
        wisp_buf_printf(&change->what, ", moves to host %s", first_of(other, "host", "host_id"));
        break;
    }
}

static void describe_link(const json_t *command, struct change *change)
{
    const json_t *payload = payload_of(command);
    const char *target = json_string_value(json_object_get(payload, "target"));
    change->sign = is_kind(command, "put_link") ? '+' : '-';
    wisp_buf_printf(&change->what, "link of %s%s%s for %s:%s", first_of(payload, "source_id", "source"),
                    target ? " to " : "", target ? target : "", first_of(payload, "wit_namespace", "namespace"),
                    first_of(payload, "wit_package", "package"));
}

static void describe(const json_t *command, const json_t *reply, struct change *change)
{
    const json_t *payload = payload_of(command);
    change->sign = '~';
    if (is_kind(command, "scale")) {
        describe_scale(command, reply, change);
    } else if (is_kind(command, "start_provider") || is_kind(command, "stop_provider")) {
        bool is_start = is_kind(command, "start_provider");
        change->sign = is_start ? '+' : '-';
        wisp_buf_printf(&change->what, "provider %s on host %s", first_of(payload, "provider_id", "id"),
                        first_of(command, "host", "host_id"));
        if (is_start) wisp_buf_printf(&change->what, ": %s", first_of(payload, "provider_ref", "reference"));
    } else if (is_kind(command, "put_link") || is_kind(command, "delete_link")) {
        describe_link(command, change);
    } else if (is_kind(command, "put_config") || is_kind(command, "delete_config")) {
        change->sign = is_kind(command, "put_config") ? '+' : '-';
        wisp_buf_printf(&change->what, "config %s", first_of(command, "name", "config"));
    } else {
        wisp_buf_append_str(&change->what, text(command, "kind"));
    }
}

/* --- all of them --- */

struct summary {
    size_t n_added, n_changed, n_removed;
};

static void print_command(const json_t *command, const json_t *reply, const char *name, struct summary *summary)
{
    struct wisp_str reason = text(command, "reason"), app = text(command, "app");
    struct change change = {0};
    describe(command, reply, &change);
    if (app.len && !wisp_str_is(app, name)) wisp_buf_printf(&change.what, " (of `%.*s`)", WISP_STR_ARG(app));
    if (reason.len) wisp_buf_printf(&change.what, "  # %.*s", WISP_STR_ARG(reason));
    wisp_output_clean(change.what.data, change.what.len);
    printf("%c %.*s\n", change.sign, WISP_STR_ARG(wisp_buf_str(&change.what)));
    *(change.sign == '+' ? &summary->n_added : change.sign == '-' ? &summary->n_removed : &summary->n_changed) += 1;
    wisp_buf_deinit(&change.what);
}

/* What would still not be right when all is done. */
static void print_troubles(struct wisp_lattice_client *client, const json_t *scalers, const char *name)
{
    for (size_t i = 0; i < json_array_size(scalers); i++) {
        const json_t *scaler = json_array_get(scalers, i);
        struct wisp_str state = text(json_object_get(scaler, "status"), "type"), app = text(scaler, "app");
        if (!wisp_str_is(state, "failed") && !wisp_str_is(state, "unhealthy")) continue;
        if (app.len && !wisp_str_is(app, name)) continue;
        printf("! %s: %s\n", wisp_apps_text(client, text(scaler, "name")),
               wisp_apps_text(client, wisp_apps_why(scaler)));
    }
}

static void print(struct wisp_lattice_client *client, const json_t *reply, const char *name)
{
    const json_t *commands = json_object_get(reply, "commands");
    struct summary summary = {0};
    for (size_t i = 0; i < json_array_size(commands); i++)
        print_command(json_array_get(commands, i), reply, name, &summary);
    print_troubles(client, json_object_get(reply, "scalers"), name);
    if (json_array_size(commands))
        printf("%zu to add, %zu to change, %zu to remove\n", summary.n_added, summary.n_changed, summary.n_removed);
    else
        printf("nothing to do\n");
}

/* Kinds are words with '_', whatever the manager joins them with. */
static void fix_kinds(json_t *commands)
{
    for (size_t i = 0; i < json_array_size(commands); i++) {
        json_t *command = json_array_get(commands, i);
        WISP_CLEANUP_BUF struct wisp_buf kind = {0};
        wisp_buf_append_str(&kind, text(command, "kind"));
        for (size_t k = 0; k < kind.len; k++)
            if (kind.data[k] == '-') kind.data[k] = '_';
        json_object_set_new(command, "kind", wisp_json_text(wisp_buf_str(&kind)));
    }
}

int wisp_apps_plan(struct wisp_lattice_client *client, const struct wisp_apps_source *source, bool is_json,
                   struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *reply = NULL, *body = NULL;
    body = source->file ? json_incref(source->manifest.json) : wisp_apps_version_body(source->version);
    struct wisp_apps_question question = {
        .op = "plan", .name = source->name, .body = body, .is_manifest = source->file};
    int r = wisp_apps_ask(client, &question, &reply, err);
    if (r < 0) return r;
    json_t *commands = json_object_get(reply, "commands"), *scalers = json_object_get(reply, "scalers");
    fix_kinds(commands);
    json_t *inventories = NULL;
    if (!is_json && json_array_size(commands) && wisp_hosts_inventories(client, &inventories, NULL) == 0)
        json_object_set_new(reply, "inventories", inventories);
    if (is_json)
        wisp_output_success_take(json_pack("{s:o, s:O, s:O}", "name", wisp_json_text(wisp_str_from(source->name)),
                                           "commands", commands ? commands : json_null(), "scalers",
                                           scalers ? scalers : json_null()));
    else
        print(client, reply, source->name);
    return 0;
}

static int run_plan(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_APPS_SOURCE struct wisp_apps_source source = {0};
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    int r = wisp_apps_source_read(&source, values->source, values->version, values->is_lenient, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    return r < 0 ? r : wisp_apps_plan(client, &source, values->output == WISP_OUTPUT_JSON, err);
}

static const struct wisp_arg_option options[] = {
    {.name = "lenient",
     .kind = WISP_ARG_FLAG,
     FIELD(is_lenient),
     .help = "keys that wadm silently ignores are warnings, not errors"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand operands[] = {
    {.name = "FILE-OR-NAME",
     .help = "manifest (a file, a URL, - for standard input), or NAME or NAME@VERSION of what is stored",
     .is_required = true,
     FIELD(source),
     .completion = WISP_COMPLETE_FILES},
    {.name = "VERSION", .help = "of NAME [the latest]", FIELD(version)},
};
const struct wisp_verb wisp_verb_app_plan = {
    .name = "app plan",
    .summary = "what a deploy would start, stop, link, and what would not work",
    .text = "Nothing is changed. Lines begin with + for what is added, ~ for what is changed, - for what is removed,\n"
            "and ! for what would not be as the manifest says, and why.",
    .example = "wisp app plan shop.yaml\nwisp app plan shop@v1.0.0 -o json",
    WISP_VERB_TABLES(options, operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_plan,
};
