/* SPDX-License-Identifier: Apache-2.0 */
/* wisp link put, del, query. */
#include "cli/get.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/words.h"

struct values {
    struct wisp_connection connection;
    int output;
    const char *source, *target, *namespace, *package, *name;
    struct wisp_arg_list interfaces, source_config, target_config;
    bool is_all, is_forced;
};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

/* --- put --- */

static json_t *link_json(const struct values *values)
{
    json_t *link = json_object();
    json_object_set_new(link, "source_id", wisp_json_text(wisp_str_from(values->source)));
    json_object_set_new(link, "target", wisp_json_text(wisp_str_from(values->target)));
    json_object_set_new(link, "name", wisp_json_text(wisp_str_from(values->name ? values->name : "default")));
    json_object_set_new(link, "wit_namespace", wisp_json_text(wisp_str_from(values->namespace)));
    json_object_set_new(link, "wit_package", wisp_json_text(wisp_str_from(values->package)));
    json_object_set_new(link, "interfaces", wisp_word_list_json(&values->interfaces));
    json_object_set_new(link, "source_config", wisp_word_list_json(&values->source_config));
    json_object_set_new(link, "target_config", wisp_word_list_json(&values->target_config));
    return link;
}

static int check_put(const struct values *values, struct wisp_err *err)
{
    int r = wisp_word_check_id(values->source, err);
    if (r == 0) r = wisp_word_check_id(values->target, err);
    if (r == 0 && !values->interfaces.count)
        return wisp_err_set(err, WISP_ERR_USAGE,
                            "a link needs at least one --interface; for example: --interface incoming-handler");
    return r;
}

static int run_put(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    int r = check_put(values, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r < 0) return r;
    struct wisp_lattice_question question = {.tail = "link.put", .body = link_json(values)};
    if ((r = wisp_lattice_client_ask(client, &question, &reply, err)) < 0) return r;
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(json_pack("{s:o, s:o}", "source_id", wisp_json_text(wisp_str_from(values->source)),
                                           "target", wisp_json_text(wisp_str_from(values->target))));
    else
        printf("%s is linked to %s for %s:%s\n", values->source, values->target, values->namespace, values->package);
    return 0;
}

/* --- del --- */

static int del(struct wisp_lattice_client *client, const json_t *link, struct wisp_err *err)
{
    static const char *const keys[] = {"source_id", "wit_namespace", "wit_package", "name"};
    json_t *body = json_object();
    for (size_t i = 0; i < WISP_COUNT(keys); i++) json_object_set(body, keys[i], json_object_get(link, keys[i]));
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    struct wisp_lattice_question question = {.tail = "link.del", .body = body};
    return wisp_lattice_client_ask(client, &question, &reply, err);
}

static bool is_similar(const json_t *link, const struct values *values)
{
    return wisp_str_is(wisp_json_str(link, "source_id"), values->source) &&
           wisp_str_is(wisp_json_str(link, "wit_namespace"), values->namespace) &&
           wisp_str_is(wisp_json_str(link, "wit_package"), values->package);
}

/* Without a name only one link can be meant. */
static int find_name(const struct values *values, const json_t *links, const char **ret_name, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf names = {0};
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(links); i++) {
        const json_t *link = json_array_get(links, i);
        const char *name = json_string_value(json_object_get(link, "name"));
        if (!name || !is_similar(link, values) || (values->name && strcmp(name, values->name) != 0)) continue;
        wisp_buf_printf(&names, "%s%s", n++ ? ", " : "", name);
        *ret_name = name;
    }
    if (n == 1 || (n && values->name)) return 0;
    if (n)
        return wisp_err_set(err, WISP_ERR_USAGE, "%zu links are meant; name one with --link-name: %.*s", n,
                            WISP_STR_ARG(wisp_buf_str(&names)));
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no link of %s for %s:%s%s%s; `wisp get links` lists all",
                        values->source, values->namespace, values->package, values->name ? " named " : "",
                        values->name ? values->name : "");
}

static int del_one(struct wisp_lattice_client *client, const struct values *values, const json_t *links,
                   struct wisp_err *err)
{
    const char *name = NULL;
    int r = find_name(values, links, &name, err);
    if (r < 0) return r;
    json_t *link = json_object();
    json_object_set_new(link, "source_id", wisp_json_text(wisp_str_from(values->source)));
    json_object_set_new(link, "wit_namespace", wisp_json_text(wisp_str_from(values->namespace)));
    json_object_set_new(link, "wit_package", wisp_json_text(wisp_str_from(values->package)));
    json_object_set_new(link, "name", json_string(name));
    r = del(client, link, err);
    if (r == 0 && values->output != WISP_OUTPUT_JSON)
        printf("%s is no longer linked for %s:%s (%s)\n", values->source, values->namespace, values->package, name);
    if (r == 0 && values->output == WISP_OUTPUT_JSON) {
        json_object_del(link, "name");
        json_object_set_new(link, "link_name", json_string(name));
        wisp_output_success_take(json_incref(link));
    }
    json_decref(link);
    return r;
}

static int del_all(struct wisp_lattice_client *client, const struct values *values, const json_t *links,
                   struct wisp_err *err)
{
    size_t n = json_array_size(links), n_done = 0;
    char question[128];
    snprintf(question, sizeof question, "this deletes all %zu links of lattice `%.60s`", n,
             wisp_lattice_client_settings(client)->lattice);
    int r = values->is_forced || !n ? 0 : wisp_word_confirm(question, "add --force", err);
    if (r < 0) return r;
    json_t *deleted = json_array();
    for (; n_done < n && r == 0; n_done += r == 0) {
        r = del(client, json_array_get(links, n_done), err);
        if (r == 0) json_array_append(deleted, json_array_get(links, n_done));
    }
    if (values->output != WISP_OUTPUT_JSON)
        printf("%zu links are deleted\n", n_done);
    else if (r == 0)
        wisp_output_success_take(json_pack("{s:O}", "deleted", deleted));
    else
        wisp_output_json_take(json_pack("{s:O, s:s, s:b}", "deleted", deleted, "error", err->text, "success", 0));
    json_decref(deleted);
    return r < 0 ? wisp_err_wrap(err, "stopped after %zu of %zu links", n_done, n) : 0;
}

static int run_del(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    bool has_operands = values->source && values->namespace && values->package;
    if (values->is_all && values->source)
        return wisp_err_set(err, WISP_ERR_USAGE, "--all deletes every link; it goes without SOURCE");
    if (!values->is_all && !has_operands)
        return wisp_err_set(err, WISP_ERR_USAGE,
                            "`wisp link del` needs SOURCE, NAMESPACE and PACKAGE (or --all); for example: "
                            "wisp link del http wasi http");
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_JSON json_t *links = NULL;
    int r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r == 0) r = wisp_get_links(client, &links, err);
    if (r < 0) return r;
    return values->is_all ? del_all(client, values, links, err) : del_one(client, values, links, err);
}

/* --- tables --- */

static const struct wisp_arg_option put_options[] = {
    {.name = "interface",
     .aliases = "interfaces",
     .kind = WISP_ARG_LIST,
     .value = "NAME",
     FIELD(interfaces),
     .help = "an interface of the package, without version; at least one"},
    {.name = "source-config",
     .kind = WISP_ARG_LIST,
     .value = "NAME",
     FIELD(source_config),
     .help = "a named config for the source"},
    {.name = "target-config",
     .kind = WISP_ARG_LIST,
     .value = "NAME",
     FIELD(target_config),
     .help = "a named config for the target"},
    {.name = "link-name",
     .letter = 'l',
     .kind = WISP_ARG_TEXT,
     .value = "NAME",
     FIELD(name),
     .help = "tells links apart that a component chooses from [default]"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand put_operands[] = {
    {.name = "SOURCE", .help = "id of the component or provider that calls", .is_required = true, FIELD(source)},
    {.name = "TARGET", .help = "id of the one that is called", .is_required = true, FIELD(target)},
    {.name = "NAMESPACE", .help = "of the interfaces: \"wasi\"", .is_required = true, FIELD(namespace)},
    {.name = "PACKAGE", .help = "of the interfaces: \"http\"", .is_required = true, FIELD(package)},
};
static const struct wisp_verb verb_put = {
    .name = "link put",
    .summary = "let one call interfaces of another",
    .text = "A link that differs only in its interfaces or configs is replaced.",
    .example = "wisp link put http echo wasi http --interface incoming-handler --source-config http-cfg",
    WISP_VERB_TABLES(put_options, put_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_put,
};

static const struct wisp_arg_option del_options[] = {
    {.name = "link-name",
     .letter = 'l',
     .kind = WISP_ARG_TEXT,
     .value = "NAME",
     FIELD(name),
     .help = "which one, when several are similar [the only one]"},
    {.name = "all", .kind = WISP_ARG_FLAG, FIELD(is_all), .help = "every link of the lattice; asks first"},
    {.name = "force", .kind = WISP_ARG_FLAG, FIELD(is_forced), .help = "with --all: without asking"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand del_operands[] = {
    {.name = "SOURCE", .help = "id of the component or provider that calls", FIELD(source)},
    {.name = "NAMESPACE", .help = "of the interfaces: \"wasi\"", FIELD(namespace)},
    {.name = "PACKAGE", .help = "of the interfaces: \"http\"", FIELD(package)},
};
static const struct wisp_verb verb_del = {
    .name = "link del",
    .aliases = "delete",
    .summary = "take a link away",
    .example = "wisp link del http wasi http\nwisp link del --all",
    WISP_VERB_TABLES(del_options, del_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_del,
};

static const struct wisp_verb *const verbs[] = {&verb_put, &verb_del, &wisp_verb_link_query, NULL};
const struct wisp_verb wisp_verb_link = {
    .name = "link",
    .summary = "who may call whom, and with what config",
    .verbs = verbs,
    .example = "wisp link put http echo wasi http --interface incoming-handler\nwisp link query",
};
