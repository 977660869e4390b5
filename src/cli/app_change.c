/* SPDX-License-Identifier: Apache-2.0 */
/* wisp app put, deploy, undeploy, delete. */
#include "cli/app.h"

#include "base/json.h"
#include "cli/verbs.h"

struct values {
    struct wisp_connection connection;
    int output;
    const char *source, *version;
    uint64_t wait_ms;
    bool is_lenient, is_dry, replaces, is_all;
};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

static void set_text(json_t *object, const char *key, const char *text)
{
    json_object_set_new(object, key, text ? wisp_json_text(wisp_str_from(text)) : json_null());
}

/* --- put --- */

/* The same in all but the version. */
static bool is_same(const json_t *a, const json_t *b)
{
    WISP_CLEANUP_JSON json_t *left = json_deep_copy(a), *right = json_deep_copy(b);
    json_object_del(json_object_get(json_object_get(left, "metadata"), "annotations"), "version");
    json_object_del(json_object_get(json_object_get(right, "metadata"), "annotations"), "version");
    return json_equal(left, right);
}

/* 1 with the version when the lattice has just this manifest, 0 when it has none of that version. Without a version of
 * its own the latest one is meant. */
static int find_stored(struct wisp_lattice_client *client, const struct wisp_apps_source *source,
                       const char **ret_version, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_app_manifest stored = {0};
    int r = wisp_apps_fetch(client, source->name, source->version, &arena, &stored, err);
    if (r == -WISP_ERR_NOT_FOUND || r == -WISP_ERR_INVALID || r == -WISP_ERR_DENIED) return 0;
    if (r < 0) return r;
    bool is_equal = is_same(stored.json, source->manifest.json);
    if (is_equal) *ret_version = wisp_apps_text(client, stored.version);
    wisp_app_manifest_deinit(&stored);
    if (!is_equal && source->version)
        return wisp_err_set(err, WISP_ERR_EXISTS,
                            "`%s` is there already with version %s, and differs; give this one another version "
                            "(annotation `version`), or see `wisp app diff %s@%s %s`",
                            source->name, source->version, source->name, source->version, source->file);
    return is_equal && **ret_version ? 1 : 0;
}

static void tell_warnings(const json_t *reply)
{
    const json_t *warnings = json_object_get(reply, "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const char *text = json_string_value(json_array_get(warnings, i));
        if (text) wisp_output_note("warning: %s", text);
    }
}

int wisp_apps_put(struct wisp_lattice_client *client, const struct wisp_apps_source *source, const char **ret_version,
                  struct wisp_err *err)
{
    int r = find_stored(client, source, ret_version, err);
    if (r != 0) return r < 0 ? r : 0;
    WISP_CLEANUP_JSON json_t *reply = NULL;
    struct wisp_apps_question question = {.op = "put", .body = source->manifest.json, .is_manifest = true};
    if ((r = wisp_apps_ask(client, &question, &reply, err)) < 0) return r;
    tell_warnings(reply);
    *ret_version = wisp_apps_text(client, wisp_json_str(reply, "current_version"));
    return 0;
}

static int run_put(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_APPS_SOURCE struct wisp_apps_source source = {0};
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    const char *file = values->source ? values->source : "-", *version = NULL;
    int r = wisp_apps_source_read(&source, file, NULL, values->is_lenient, err);
    if (r == 0 && !source.file) r = wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no file `%s`", file);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r == 0) r = wisp_apps_put(client, &source, &version, err);
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON) {
        json_t *json = json_pack("{s:b}", "deployed", 1); /* the original's word */
        set_text(json, "model_name", source.name);
        set_text(json, "model_version", version);
        wisp_output_success_take(json);
    } else {
        printf("application `%s` is stored, version %s\n", source.name, version);
    }
    return 0;
}

/* --- deploy --- */

/* What stands in the way goes; that it was not there is no failure. */
static void replace(struct wisp_lattice_client *client, const struct wisp_apps_source *source)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *reply = NULL, *body = wisp_apps_version_body(source->version);
    struct wisp_apps_question question = {.op = "del", .name = source->name, .body = body};
    if (wisp_apps_ask(client, &question, &reply, &err) < 0)
        wisp_output_note("warning: what was there could not be deleted: %s", err.text);
}

static int deploy(struct wisp_lattice_client *client, const struct wisp_apps_source *source, const char **ret_version,
                  struct wisp_err *err)
{
    const char *version = source->version;
    int r = source->file ? wisp_apps_put(client, source, &version, err) : 0;
    if (r < 0) return r;
    WISP_CLEANUP_JSON json_t *reply = NULL, *body = wisp_apps_version_body(version);
    struct wisp_apps_question question = {.op = "deploy", .name = source->name, .body = body};
    if ((r = wisp_apps_ask(client, &question, &reply, err)) < 0) return r;
    struct wisp_str told = wisp_json_str(reply, "version");
    *ret_version = told.len ? wisp_apps_text(client, told) : version;
    return 0;
}

/* *ret_status: the last one, a new reference; NULL when nothing was waited for. */
static int deploy_and_wait(struct wisp_lattice_client *client, const struct wisp_apps_source *source, uint64_t wait_ms,
                           bool is_quiet, const char **ret_version, json_t **ret_status, struct wisp_err *err)
{
    int r = wait_ms ? wisp_apps_listen(client, source->name, err) : 0;
    if (r == 0) r = deploy(client, source, ret_version, err);
    if (r == 0 && wait_ms) r = wisp_apps_wait(client, source->name, "deployed", wait_ms, is_quiet, ret_status, err);
    if (r == 0 && !is_quiet)
        printf("application `%s`%s%s is %sdeployed\n", source->name, *ret_version ? ", version " : "",
               *ret_version ? *ret_version : "", wait_ms ? "" : "being ");
    return r;
}

int wisp_apps_deploy(const struct wisp_connection *connection, const struct wisp_apps_source *source, bool is_quiet,
                     struct wisp_err *err)
{
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_JSON json_t *status = NULL;
    const char *version;
    int r = wisp_lattice_client_new(&client, connection, err);
    return r < 0 ? r : deploy_and_wait(client, source, WISP_APPS_WAIT_MS, is_quiet, &version, &status, err);
}

static int run_deploy(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_APPS_SOURCE struct wisp_apps_source source = {0};
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    bool is_json = values->output == WISP_OUTPUT_JSON;
    int r =
        wisp_apps_source_read(&source, values->source ? values->source : "-", values->version, values->is_lenient, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r < 0) return r;
    if (values->is_dry) return wisp_apps_plan(client, &source, is_json, err);
    if (values->replaces) replace(client, &source);
    WISP_CLEANUP_JSON json_t *status = NULL;
    const char *version = NULL;
    r = deploy_and_wait(client, &source, values->wait_ms, is_json, &version, &status, err);
    if (r < 0 || !is_json) return r;
    json_t *json = json_pack("{s:b}", "deployed", 1);
    set_text(json, "model_name", source.name);
    set_text(json, "model_version", version);
    if (status) json_object_set(json, "status", status);
    wisp_output_success_take(json);
    return 0;
}

/* --- undeploy, delete: one or many --- */

typedef int change_one(struct wisp_lattice_client *client, const char *name, const char *version, struct wisp_err *err);

static int undeploy(struct wisp_lattice_client *client, const char *name, const char *version, struct wisp_err *err)
{
    (void)version;
    WISP_CLEANUP_JSON json_t *reply = NULL;
    return wisp_apps_ask(client, &(struct wisp_apps_question){.op = "undeploy", .name = name}, &reply, err);
}

static int delete_one(struct wisp_lattice_client *client, const char *name, const char *version, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *reply = NULL, *body = wisp_apps_version_body(version);
    struct wisp_apps_question question = {.op = "del", .name = name, .body = body};
    int r = wisp_apps_ask(client, &question, &reply, err);
    if (r < 0 || !wisp_str_is(wisp_json_str(reply, "result"), "noop")) return r;
    return wisp_apps_explain_missing(client, name, version, err);
}

/* Those of the list that are deployed, or those that are not: each is told, and failures don't keep it from the next.
 * *ret_names: what was done, an array. */
static int change_all(struct wisp_lattice_client *client, bool is_deployed, change_one *change, json_t **ret_names,
                      struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *list = NULL;
    int r = wisp_apps_list(client, &list, err);
    size_t n_failed = 0;
    *ret_names = json_array();
    for (size_t i = 0; i < json_array_size(list) && r == 0; i++) {
        struct wisp_str name = wisp_json_str(json_array_get(list, i), "name");
        struct wisp_str version = wisp_json_str(json_array_get(list, i), "deployed_version");
        const char *text = wisp_apps_text(client, name);
        struct wisp_err failure = {0};
        if (!name.len || (version.len > 0) != is_deployed || wisp_apps_check_name(text, NULL) < 0) continue;
        if (change(client, text, NULL, &failure) == 0) {
            json_array_append_new(*ret_names, wisp_json_text(name));
            continue;
        }
        if (!n_failed++) *err = failure;
        wisp_output_note("`%s`: %s", text, failure.text);
    }
    if (r < 0 || !n_failed) return r;
    return wisp_err_wrap(err, "%zu of %zu applications failed; the first", n_failed,
                         n_failed + json_array_size(*ret_names));
}

static int wait_for_end(struct wisp_lattice_client *client, const struct values *values, const json_t *names,
                        struct wisp_err *err)
{
    for (size_t i = 0; values->wait_ms && i < json_array_size(names); i++) {
        WISP_CLEANUP_JSON json_t *status = NULL;
        int r = wisp_apps_wait(client, json_string_value(json_array_get(names, i)), "undeployed", values->wait_ms,
                               values->output == WISP_OUTPUT_JSON, &status, err);
        if (r < 0) return r;
    }
    return 0;
}

static int undeploy_named(struct wisp_lattice_client *client, const struct values *values, json_t **ret_names,
                          struct wisp_err *err)
{
    WISP_CLEANUP_APPS_SOURCE struct wisp_apps_source source = {0};
    int r = wisp_apps_name_of(&source, values->source, NULL, err);
    if (r == 0 && source.version)
        r = wisp_err_set(err, WISP_ERR_USAGE, "only one version can be deployed; write `wisp app undeploy %s`",
                         source.name);
    if (r == 0 && values->wait_ms) r = wisp_apps_listen(client, source.name, err);
    if (r == 0) r = undeploy(client, source.name, NULL, err);
    if (r == 0) json_array_append_new(*ret_names = json_array(), wisp_json_text(wisp_str_from(source.name)));
    return r;
}

static int run_undeploy(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_JSON json_t *names = NULL;
    if (!values->source == !values->is_all)
        return wisp_err_set(err, WISP_ERR_USAGE, "`wisp app undeploy` needs a NAME or --all, and not both");
    int r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r == 0)
        r = values->is_all ? change_all(client, true, undeploy, &names, err)
                           : undeploy_named(client, values, &names, err);
    if (r == 0) r = wait_for_end(client, values, names, err);
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON) {
        json_t *results = json_array();
        for (size_t i = 0; i < json_array_size(names); i++)
            json_array_append_new(
                results, json_sprintf("application `%s` is undeployed", json_string_value(json_array_get(names, i))));
        wisp_output_success_take(json_pack("{s:o, s:O}", "results", results, "undeployed_application_names", names));
        return 0;
    }
    for (size_t i = 0; i < json_array_size(names); i++)
        printf("application `%s` is %sundeployed\n", json_string_value(json_array_get(names, i)),
               values->wait_ms ? "" : "being ");
    if (!json_array_size(names)) printf("no application is deployed\n");
    return 0;
}

static int delete_all(struct wisp_lattice_client *client, const struct values *values, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *names = NULL;
    int r = change_all(client, false, delete_one, &names, err);
    if (r < 0) return r;
    json_t *deleted = json_array();
    for (size_t i = 0; i < json_array_size(names); i++)
        json_array_append_new(deleted, json_pack("{s:O, s:n}", "model_name", json_array_get(names, i), "version"));
    if (values->output == WISP_OUTPUT_JSON) {
        wisp_output_success_take(json_pack("{s:o}", "deleted_applications", deleted));
        return 0;
    }
    json_decref(deleted);
    printf("%zu application%s that %s not deployed %s deleted\n", json_array_size(names),
           json_array_size(names) == 1 ? "" : "s", json_array_size(names) == 1 ? "was" : "were",
           json_array_size(names) == 1 ? "is" : "are");
    return 0;
}

static int run_delete(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_APPS_SOURCE struct wisp_apps_source source = {0};
    if (!values->source == !values->is_all)
        return wisp_err_set(err, WISP_ERR_USAGE, "`wisp app delete` needs a NAME or --all-undeployed, and not both");
    int r = values->is_all ? 0 : wisp_apps_name_of(&source, values->source, values->version, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r == 0 && values->is_all) return delete_all(client, values, err);
    if (r == 0) r = delete_one(client, source.name, source.version, err);
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON) {
        json_t *json = json_pack("{s:b}", "deleted", 1);
        set_text(json, "model_name", source.name);
        set_text(json, "model_version", source.version);
        wisp_output_success_take(json);
    } else {
        printf("%s%s%sapplication `%s` is deleted\n", source.version ? "version " : "",
               source.version ? source.version : "", source.version ? " of " : "", source.name);
    }
    return 0;
}

/* --- tables --- */

#define LENIENT_OPTION                                                                                                 \
    {.name = "lenient",                                                                                                \
     .kind = WISP_ARG_FLAG,                                                                                            \
     FIELD(is_lenient),                                                                                                \
     .help = "keys that wadm silently ignores are warnings, not errors"}

static const struct wisp_arg_option put_options[] = {LENIENT_OPTION, WISP_OUTPUT_OPTION(struct values, output)};
static const struct wisp_arg_operand put_operands[] = {
    {.name = "FILE",
     .help = "manifest: a file, a URL, or - for standard input [-]",
     FIELD(source),
     .completion = WISP_COMPLETE_FILES},
};
const struct wisp_verb wisp_verb_app_put = {
    .name = "app put",
    .summary = "store a manifest without deploying it",
    .text = "Versions (annotation `version`) never change. A manifest that has none gets one, unless it is just the\n"
            "latest that is there.",
    .example = "wisp app put shop.yaml\ngenerate | wisp app put",
    WISP_VERB_TABLES(put_options, put_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_put,
};

static const struct wisp_arg_option deploy_options[] = {
    WISP_APPS_WAIT_OPTION(struct values, wait_ms, "show how it gets there, until it is deployed or TIME is up [2m]"),
    {.name = "dry-run",
     .kind = WISP_ARG_FLAG,
     FIELD(is_dry),
     .help = "only tell what would be done, as `wisp app plan` does"},
    {.name = "replace",
     .kind = WISP_ARG_FLAG,
     FIELD(replaces),
     .help = "first delete the version that is there, or all of them when the manifest names none"},
    LENIENT_OPTION,
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand deploy_operands[] = {
    {.name = "FILE-OR-NAME",
     .help = "manifest (a file, a URL, - for standard input), or NAME or NAME@VERSION of what is stored [-]",
     FIELD(source),
     .completion = WISP_COMPLETE_FILES},
    {.name = "VERSION", .help = "of NAME [the latest]", FIELD(version)},
};
const struct wisp_verb wisp_verb_app_deploy = {
    .name = "app deploy",
    .summary = "make the lattice what a manifest says, and keep it so",
    .text = "A file is stored, then deployed. NAME@VERSION deploys what is stored: that is also the way back to an\n"
            "older version. Returns when the deployment manager has taken it; with --wait, when it is done: a failure\n"
            "says what is not as it should be, and the manager goes on trying.",
    .example = "wisp app deploy shop.yaml --wait\nwisp app deploy shop.yaml --dry-run\nwisp app deploy shop@v1.2.0",
    WISP_VERB_TABLES(deploy_options, deploy_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_deploy,
};

static const struct wisp_arg_option undeploy_options[] = {
    WISP_APPS_WAIT_OPTION(struct values, wait_ms, "until nothing of it runs, or TIME is up [2m]"),
    {.name = "all", .kind = WISP_ARG_FLAG, FIELD(is_all), .help = "every application that is deployed"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand undeploy_operands[] = {
    {.name = "FILE-OR-NAME",
     .help = "of an application, or its manifest",
     FIELD(source),
     .completion = WISP_COMPLETE_FILES},
};
const struct wisp_verb wisp_verb_app_undeploy = {
    .name = "app undeploy",
    .summary = "stop an application; its manifests stay",
    .text = "Takes away what the application started, linked and configured, and nothing else.",
    .example = "wisp app undeploy shop --wait\nwisp app undeploy --all",
    WISP_VERB_TABLES(undeploy_options, undeploy_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_undeploy,
};

static const struct wisp_arg_option delete_options[] = {
    {.name = "all-undeployed",
     .aliases = "delete-all-undeployed",
     .kind = WISP_ARG_FLAG,
     FIELD(is_all),
     .help = "every application that is not deployed"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand delete_operands[] = {
    {.name = "FILE-OR-NAME",
     .help = "of an application (perhaps NAME@VERSION), or its manifest",
     FIELD(source),
     .completion = WISP_COMPLETE_FILES},
    {.name = "VERSION", .help = "this one only [all]", FIELD(version)},
};
const struct wisp_verb wisp_verb_app_delete = {
    .name = "app delete",
    .aliases = "del",
    .summary = "forget versions of an application, or all of it",
    .text = "What is deployed is undeployed first.",
    .example = "wisp app delete shop@v1.0.0\nwisp app delete shop\nwisp app delete --all-undeployed",
    WISP_VERB_TABLES(delete_options, delete_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_delete,
};
