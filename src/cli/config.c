/* SPDX-License-Identifier: Apache-2.0 */
/* wisp config put, get, del; and `wisp secrets`, whose references to backends are configs of a certain shape. */
#include "cli/get.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/watch.h"
#include "cli/words.h"

struct values {
    struct wisp_connection connection;
    int output;
    uint64_t watch_ms;
    const char *name;
    struct wisp_arg_list pairs;
    /* secrets put */
    const char *backend, *key, *field, *version;
    struct wisp_arg_list properties;
};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};
static const struct wisp_arg_option options[] = {WISP_OUTPUT_OPTION(struct values, output)};
static const struct wisp_arg_option get_options[] = {WISP_OUTPUT_OPTION(struct values, output),
                                                     WISP_WATCH_OPTION(struct values, watch_ms)};
static const struct wisp_arg_operand name_operand[] = {
    {.name = "NAME", .help = "name of the entry", .is_required = true, FIELD(name)},
};

/* --- asking --- */

#define SECRET_PREFIX "SECRET"

static int check_name(const char *name, bool is_secret, struct wisp_err *err)
{
    int r = wisp_word_check_config(name, err);
    if (r == 0 && !is_secret && strncmp(name, SECRET_PREFIX, strlen(SECRET_PREFIX)) == 0)
        return wisp_err_set(err, WISP_ERR_USAGE,
                            "names that begin with " SECRET_PREFIX " are secrets; see `wisp help secrets`");
    return r;
}

/* `verb` is put, get or del; takes the body. */
static int ask(struct wisp_lattice_client *client, const struct values *values, bool is_secret, const char *verb,
               json_t *body, struct wisp_lattice_reply *ret_reply, struct wisp_err *err)
{
    const char *tail = wisp_arena_printf(wisp_lattice_client_arena(client), "config.%s.%s%s", verb,
                                         is_secret ? SECRET_PREFIX "_" : "", values->name);
    struct wisp_lattice_question question = {.tail = tail, .body = body};
    return wisp_lattice_client_ask(client, &question, ret_reply, err);
}

static int ask_once(const struct values *values, bool is_secret, const char *verb, json_t *body, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *kept = body;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    int r = check_name(values->name, is_secret, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    return r < 0 ? r : ask(client, values, is_secret, verb, WISP_TAKE(kept), &reply, err);
}

static void print_message(const struct values *values, const char *message)
{
    if (values->output == WISP_OUTPUT_JSON) {
        json_t *json = json_object();
        json_object_set_new(json, "message", wisp_json_text(wisp_str_from(message)));
        wisp_output_success_take(json);
    } else {
        printf("%s\n", message);
    }
}

static int put(const struct values *values, bool is_secret, json_t *body, struct wisp_err *err)
{
    int r = ask_once(values, is_secret, "put", body, err);
    if (r < 0) return r;
    char message[160];
    snprintf(message, sizeof message, "%s `%.100s` is set.", is_secret ? "Secret reference" : "Configuration",
             values->name);
    print_message(values, message);
    return 0;
}

static int show(struct wisp_lattice_client *client, const struct values *values, bool is_secret, struct wisp_err *err)
{
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    int r = ask(client, values, is_secret, "get", NULL, &reply, err);
    if (r < 0) return r;
    if (!json_is_object(reply.response))
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no %s `%s`", is_secret ? "secret" : "config",
                            values->name);
    if (values->output == WISP_OUTPUT_JSON) {
        wisp_output_json_take(json_incref(reply.response));
        return 0;
    }
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 2);
    const char *key;
    json_t *value;
    json_object_foreach(reply.response, key, value)
    {
        wisp_output_table_add(&table, wisp_str_from(key));
        wisp_output_table_add(&table, wisp_json_str(reply.response, key));
    }
    wisp_output_table_print(&table, stdout, 0);
    return 0;
}

static int show_config(struct wisp_lattice_client *client, const void *values, struct wisp_err *err)
{
    return show(client, values, false, err);
}

static int show_secret(struct wisp_lattice_client *client, const void *values, struct wisp_err *err)
{
    return show(client, values, true, err);
}

static int get(const struct values *values, bool is_secret, struct wisp_err *err)
{
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    int r = check_name(values->name, is_secret, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r < 0) return r;
    return wisp_watch(client, values->watch_ms, values->output == WISP_OUTPUT_JSON,
                      is_secret ? show_secret : show_config, values, err);
}

static int del(const struct values *values, bool is_secret, struct wisp_err *err)
{
    int r = ask_once(values, is_secret, "del", NULL, err);
    if (r < 0) return r;
    char message[160];
    snprintf(message, sizeof message, "%s `%.100s` is deleted.", is_secret ? "Secret reference" : "Configuration",
             values->name);
    print_message(values, message);
    return 0;
}

/* --- config --- */

static int run_put(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    json_t *map;
    int r = wisp_word_pairs(&values->pairs, '\0', "config", &map, err);
    return r < 0 ? r : put(values, false, map, err);
}

static int run_get(const void *values, struct wisp_err *err) { return get(values, false, err); }
static int run_del(const void *values, struct wisp_err *err) { return del(values, false, err); }

static const struct wisp_arg_operand put_operands[] = {
    {.name = "NAME", .help = "name of the entry", .is_required = true, FIELD(name)},
    {.name = "KEY=VALUE",
     .help = "what the entry holds from now on",
     .is_required = true,
     .is_list = true,
     FIELD(pairs)},
};

static const struct wisp_verb verb_put = {
    .name = "config put",
    .aliases = "create",
    .summary = "set an entry, replacing all that it held",
    .example = "wisp config put http-cfg address=0.0.0.0:8080",
    WISP_VERB_TABLES(options, put_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_put,
};

#define CONFIG_GET(name_)                                                                                              \
    {.name = name_,                                                                                                    \
     .summary = "what an entry holds",                                                                                 \
     .example = "wisp " name_ " http-cfg -o json",                                                                     \
     WISP_VERB_TABLES(get_options, name_operand, defaults),                                                            \
     .shared = &wisp_connection_options,                                                                               \
     .run = run_get}
static const struct wisp_verb verb_get = CONFIG_GET("config get");
const struct wisp_verb wisp_verb_get_config = CONFIG_GET("get config");

static const struct wisp_verb verb_del = {
    .name = "config del",
    .aliases = "delete",
    .summary = "delete an entry; those who use it see it empty",
    .example = "wisp config del http-cfg",
    WISP_VERB_TABLES(options, name_operand, defaults),
    .shared = &wisp_connection_options,
    .run = run_del,
};

static const struct wisp_verb *const config_verbs[] = {&verb_put, &verb_get, &verb_del, NULL};
const struct wisp_verb wisp_verb_config = {
    .name = "config",
    .summary = "named configurations that links and components refer to",
    .text = "Values reach what uses them at once, also what runs already. Not for secrets: anyone in the lattice can\n"
            "read them.",
    .verbs = config_verbs,
    .example = "wisp config put http-cfg address=0.0.0.0:8080\nwisp config get http-cfg",
};

/* --- secrets --- */

#define SECRET_TYPE "secret.wasmcloud.dev/v1alpha1"
#define PROPERTIES_TYPE "properties." SECRET_TYPE

/* The policy is a text of JSON inside the JSON. */
static json_t *policy_json(json_t *properties_taken)
{
    WISP_CLEANUP_BUF struct wisp_buf policy = {0};
    json_t *json = json_object();
    json_object_set_new(json, "type", json_string(PROPERTIES_TYPE));
    json_object_set_new(json, "properties", properties_taken);
    wisp_json_print(json, &policy);
    json_decref(json);
    return wisp_json_text(wisp_buf_str(&policy));
}

static int run_secrets_put(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    json_t *properties;
    int r = wisp_word_pairs(&values->properties, '\0', "flag `--property`", &properties, err);
    if (r < 0) return r;
    json_t *map = json_object();
    json_object_set_new(map, "name", wisp_json_text(wisp_str_from(values->name)));
    json_object_set_new(map, "type", json_string(SECRET_TYPE));
    json_object_set_new(map, "backend", wisp_json_text(wisp_str_from(values->backend)));
    json_object_set_new(map, "key", wisp_json_text(wisp_str_from(values->key)));
    if (values->field) json_object_set_new(map, "field", wisp_json_text(wisp_str_from(values->field)));
    if (values->version) json_object_set_new(map, "version", wisp_json_text(wisp_str_from(values->version)));
    json_object_set_new(map, "policy", policy_json(properties));
    return put(values, true, map, err);
}

static int run_secrets_get(const void *values, struct wisp_err *err) { return get(values, true, err); }
static int run_secrets_del(const void *values, struct wisp_err *err) { return del(values, true, err); }

static const struct wisp_arg_option secrets_options[] = {
    {.name = "field", .kind = WISP_ARG_TEXT, .value = "FIELD", FIELD(field), .help = "of a secret that has several"},
    {.name = "version",
     .letter = 'v',
     .kind = WISP_ARG_TEXT,
     .value = "VERSION",
     FIELD(version),
     .help = "of the secret [the latest]"},
    {.name = "property", .kind = WISP_ARG_LIST, .value = "KEY=VALUE", FIELD(properties), .help = "for the backend"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand secrets_operands[] = {
    {.name = "NAME", .help = "under which components and links refer to it", .is_required = true, FIELD(name)},
    {.name = "BACKEND",
     .help = "the backend that has it: \"nats-kv\"; hosts' own: \"file\", \"env\", \"vault\"",
     .is_required = true,
     FIELD(backend)},
    {.name = "KEY", .help = "what the backend calls it", .is_required = true, FIELD(key)},
};

static const struct wisp_verb verb_secrets_put = {
    .name = "secrets put",
    .aliases = "create",
    .summary = "refer to a secret of a backend",
    .example = "wisp secrets put db-password nats-kv prod/db --field password\n"
               "wisp secrets put api-key file api/key",
    WISP_VERB_TABLES(secrets_options, secrets_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_secrets_put,
};
static const struct wisp_verb verb_secrets_get = {
    .name = "secrets get",
    .summary = "where a secret is (not what it is)",
    .example = "wisp secrets get db-password",
    WISP_VERB_TABLES(get_options, name_operand, defaults),
    .shared = &wisp_connection_options,
    .run = run_secrets_get,
};
static const struct wisp_verb verb_secrets_del = {
    .name = "secrets del",
    .aliases = "delete",
    .summary = "forget where a secret is",
    .example = "wisp secrets del db-password",
    WISP_VERB_TABLES(options, name_operand, defaults),
    .shared = &wisp_connection_options,
    .run = run_secrets_del,
};

static const struct wisp_verb *const secrets_verbs[] = {&verb_secrets_put, &verb_secrets_get, &verb_secrets_del, NULL};
const struct wisp_verb wisp_verb_secrets = {
    .name = "secrets",
    .summary = "references to secrets that backends keep",
    .verbs = secrets_verbs,
    .example = "wisp secrets put db-password nats-kv prod/db",
};
