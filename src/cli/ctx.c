/* SPDX-License-Identifier: Apache-2.0 */
/* wisp ctx list, new, del, default, edit. */
#include "base/json.h"
#include "cli/connection.h"
#include "cli/context.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "host/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct values {
    struct wisp_connection connection; /* `new` writes down what is given */
    int output;
    const char *name, *directory, *editor;
    bool is_interactive;
};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

struct place {
    char directory[WISP_HOME_PATH_MAX];
    json_t *names;          /* the built-in one too */
    struct wisp_buf chosen; /* name of the default context */
};

static void place_deinit(struct place *place)
{
    json_decref(place->names);
    wisp_buf_deinit(&place->chosen);
}
#define PLACE __attribute__((cleanup(place_deinit))) struct place

static bool has_name(const json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++)
        if (strcmp(json_string_value(json_array_get(names, i)), name) == 0) return true;
    return false;
}

static int open_place(struct place *place, const struct values *values, struct wisp_err *err)
{
    int r = wisp_home_directory("contexts", values->directory, place->directory, err);
    if (r == 0) r = wisp_home_list(place->directory, ".json", &place->names, err);
    if (r == 0) r = wisp_context_default(place->directory, &place->chosen, err);
    if (r == 0 && !has_name(place->names, WISP_CONTEXT_BUILT_IN))
        json_array_insert_new(place->names, 0, json_string(WISP_CONTEXT_BUILT_IN));
    return r;
}

static void print_result(const struct values *values, const char *name, const char *what)
{
    char result[256];
    snprintf(result, sizeof result, "Context %s %s", name, what);
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(json_pack("{s:s}", "result", result));
    else
        printf("%s\n", result);
}

static int set_default(const struct place *place, const char *name, struct wisp_err *err)
{
    int r = wisp_home_make(place->directory, err);
    return r < 0 ? r : wisp_paths_write(place->directory, "default", wisp_str_from(name), err);
}

/* A menu, when no name was given and somebody is there to answer. */
static int choose(const struct place *place, const struct values *values, char name[128], struct wisp_err *err)
{
    size_t n = json_array_size(place->names);
    if (values->name) {
        snprintf(name, 128, "%s", values->name);
        return wisp_home_check_name(values->name, err);
    }
    if (!isatty(STDIN_FILENO)) return wisp_err_set(err, WISP_ERR_USAGE, "name a context; `wisp ctx list` shows them");
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, "%2zu  %s\n", i + 1, json_string_value(json_array_get(place->names, i)));
    fprintf(stderr, "which one? ");
    char line[16] = "";
    size_t number = fgets(line, sizeof line, stdin) ? (size_t)strtoul(line, NULL, 10) : 0;
    if (number < 1 || number > n) return wisp_err_set(err, WISP_ERR_CANCELLED, "no context was chosen");
    snprintf(name, 128, "%s", json_string_value(json_array_get(place->names, number - 1)));
    return 0;
}

static int check_exists(const struct place *place, const char *name, struct wisp_err *err)
{
    if (has_name(place->names, name)) return 0;
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no context `%s`; `wisp ctx list` shows all", name);
}

/* --- list --- */

static int run_list(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    PLACE place = {0};
    int r = open_place(&place, values, err);
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON) {
        wisp_output_success_take(json_pack("{s:O, s:s}", "contexts", place.names, "default", place.chosen.data));
        return 0;
    }
    for (size_t i = 0; i < json_array_size(place.names); i++) {
        const char *name = json_string_value(json_array_get(place.names, i));
        printf("%s%s\n", name, strcmp(name, place.chosen.data) == 0 ? " (default)" : "");
    }
    return 0;
}

/* --- new --- */

static void set_text(json_t *context, const char *key, const char *text)
{
    if (text) json_object_set_new(context, key, wisp_json_text(wisp_str_from(text)));
}

static json_t *context_of(const struct wisp_connection *given, const char *name)
{
    json_t *context = json_object();
    set_text(context, "name", name);
    set_text(context, "lattice", given->lattice ? given->lattice : "default");
    set_text(context, "ctl_host", given->host);
    if (given->port) json_object_set_new(context, "ctl_port", json_integer(given->port));
    set_text(context, "ctl_jwt", given->jwt);
    set_text(context, "ctl_seed", given->seed);
    set_text(context, "ctl_credsfile", given->creds_path);
    set_text(context, "ctl_token", given->token);
    if (given->timeout_ms) json_object_set_new(context, "ctl_timeout", json_integer((json_int_t)given->timeout_ms));
    set_text(context, "ctl_tls_ca_file", given->tls_ca_path);
    set_text(context, "ctl_tls_cert_file", given->tls_cert_path);
    set_text(context, "ctl_tls_key_file", given->tls_key_path);
    if (given->tls_first >= 0) json_object_set_new(context, "ctl_tls_first", json_boolean(given->tls_first));
    set_text(context, "js_domain", given->js_domain);
    return context;
}

/* Lines on standard input; an empty one keeps what is there. */
static void ask_for_fields(json_t *context)
{
    static const char *const keys[] = {"lattice",  "ctl_host",      "ctl_port",    "ctl_jwt",
                                       "ctl_seed", "ctl_credsfile", "ctl_timeout", "js_domain"};
    for (size_t i = 0; i < WISP_COUNT(keys); i++) {
        json_t *before = json_object_get(context, keys[i]);
        if (json_is_string(before))
            fprintf(stderr, "%s [%s]: ", keys[i], json_string_value(before));
        else
            fprintf(stderr, "%s: ", keys[i]);
        char line[4096];
        if (!fgets(line, sizeof line, stdin)) return;
        line[strcspn(line, "\r\n")] = '\0';
        char *end;
        unsigned long number = strtoul(line, &end, 10);
        bool is_number = strcmp(keys[i], "ctl_port") == 0 || strcmp(keys[i], "ctl_timeout") == 0;
        if (*line && is_number && !*end)
            json_object_set_new(context, keys[i], json_integer((json_int_t)number));
        else if (*line && !is_number)
            set_text(context, keys[i], line);
    }
}

static int run_new(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    PLACE place = {0};
    int r = wisp_home_check_name(values->name, err);
    if (r == 0) r = open_place(&place, values, err);
    if (r < 0) return r;
    char file[128];
    snprintf(file, sizeof file, "%s.json", values->name);
    WISP_CLEANUP_BUF struct wisp_buf there = {0};
    if (wisp_paths_read(place.directory, file, &there, NULL) == 0)
        return wisp_err_set(err, WISP_ERR_EXISTS, "there is a context `%s` already; `wisp ctx edit %s` changes it",
                            values->name, values->name);
    WISP_CLEANUP_JSON json_t *context = context_of(&values->connection, values->name);
    if (values->is_interactive) ask_for_fields(context);
    char *text = json_dumps(context, JSON_INDENT(2));
    r = wisp_home_make(place.directory, err);
    if (r == 0) r = wisp_paths_write(place.directory, file, wisp_str_from(text), err);
    free(text);
    if (r == 0) print_result(values, values->name, "is made");
    return r;
}

/* --- del, default, edit --- */

static int run_del(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    PLACE place = {0};
    char name[128], path[WISP_HOME_PATH_MAX + 140];
    int r = open_place(&place, values, err);
    if (r == 0) r = choose(&place, values, name, err);
    if (r < 0) return r;
    snprintf(path, sizeof path, "%s/%s.json", place.directory, name);
    if (unlink(path) < 0)
        return errno == ENOENT ? wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no context `%s` to delete", name)
                               : wisp_err_os(err, errno, "delete `%s`", path);
    if (strcmp(place.chosen.data, name) == 0) r = set_default(&place, WISP_CONTEXT_BUILT_IN, err);
    if (r == 0) print_result(values, name, "is deleted");
    return r;
}

static int run_default(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    PLACE place = {0};
    char name[128];
    int r = open_place(&place, values, err);
    if (r == 0) r = choose(&place, values, name, err);
    if (r == 0) r = check_exists(&place, name, err);
    if (r == 0) r = set_default(&place, name, err);
    if (r == 0) print_result(values, name, "is the default now");
    return r;
}

/* The editor may come with arguments: "code -w". */
static int edit(const char *editor, const char *path, struct wisp_err *err)
{
    pid_t pid = fork();
    if (pid < 0) return wisp_err_os(err, errno, "start the editor");
    if (pid == 0) {
        setenv("WISP_EDITOR", editor, 1);
        execl("/bin/sh", "sh", "-c", "exec $WISP_EDITOR \"$1\"", "sh", path, (char *)NULL);
        _exit(127);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return wisp_err_os(err, errno, "wait for the editor");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    return wisp_err_set(err, WISP_ERR_CANCELLED, "editor `%s` ended with an error", editor);
}

static int run_edit(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    const char *editor = values->editor;
    if (!editor) return wisp_err_set(err, WISP_ERR_USAGE, "no editor: set the variable EDITOR, or give --editor");
    PLACE place = {0};
    char name[128], file[140], path[WISP_HOME_PATH_MAX + 140];
    int r = open_place(&place, values, err);
    if (r == 0) r = choose(&place, values, name, err);
    if (r == 0) r = check_exists(&place, name, err);
    if (r < 0) return r;
    snprintf(file, sizeof file, "%s.json", name);
    snprintf(path, sizeof path, "%s/%s", place.directory, file);
    if (access(path, F_OK) < 0) { /* the built-in one: there will be something to edit */
        static const char empty[] = "{\n  \"name\": \"" WISP_CONTEXT_BUILT_IN "\",\n  \"lattice\": \"default\"\n}\n";
        r = wisp_home_make(place.directory, err);
        if (r == 0) r = wisp_paths_write(place.directory, file, wisp_str_from(empty), err);
    }
    if (r == 0) r = edit(editor, path, err);
    WISP_CLEANUP_JSON json_t *context = NULL;
    if (r == 0) r = wisp_context_load(place.directory, name, &context, err);
    if (r == 0) print_result(values, name, "is changed");
    return r;
}

/* --- tables --- */

#define OPTION_DIRECTORY                                                                                               \
    {.name = "directory",                                                                                              \
     .kind = WISP_ARG_TEXT,                                                                                            \
     .value = "DIR",                                                                                                   \
     FIELD(directory),                                                                                                 \
     .env = "WISP_CONTEXTS WASH_CONTEXTS",                                                                             \
     .completion = WISP_COMPLETE_DIRS,                                                                                 \
     .help = "where contexts are [~/.config/wisp/contexts, else ~/.wash/contexts]"}
static const struct wisp_arg_option options[] = {OPTION_DIRECTORY, WISP_OUTPUT_OPTION(struct values, output)};
static const struct wisp_arg_option new_options[] = {
    {.name = "interactive",
     .letter = 'i',
     .kind = WISP_ARG_FLAG,
     FIELD(is_interactive),
     .help = "ask for each setting"},
    OPTION_DIRECTORY,
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_option edit_options[] = {
    {.name = "editor",
     .letter = 'e',
     .kind = WISP_ARG_TEXT,
     .value = "COMMAND",
     FIELD(editor),
     .env = "EDITOR",
     .help = "what to edit with"},
    OPTION_DIRECTORY,
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand new_operands[] = {
    {.name = "NAME", .help = "of the context", .is_required = true, FIELD(name)},
};
static const struct wisp_arg_operand operands[] = {
    {.name = "NAME", .help = "of the context [asks on a terminal]", FIELD(name)},
};

static const struct wisp_verb verb_list = {
    .name = "ctx list",
    .summary = "names of the contexts, and which is the default",
    .example = "wisp ctx list",
    .options = options,
    .n_options = WISP_COUNT(options),
    .defaults = &defaults,
    .values_size = sizeof defaults,
    .run = run_list,
};
static const struct wisp_verb verb_new = {
    .name = "ctx new",
    .summary = "keep settings under a name",
    .text = "Those that the connection flags (or their variables) give.",
    .example = "wisp ctx new prod --ctl-host nats.example.com --ctl-credsfile ~/prod.creds --lattice prod",
    WISP_VERB_TABLES(new_options, new_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_new,
};
static const struct wisp_verb verb_del = {
    .name = "ctx del",
    .aliases = "delete",
    .summary = "delete a context",
    .example = "wisp ctx del prod",
    WISP_VERB_TABLES(options, operands, defaults),
    .run = run_del,
};
static const struct wisp_verb verb_default = {
    .name = "ctx default",
    .summary = "choose the context that counts when none is named",
    .example = "wisp ctx default prod",
    WISP_VERB_TABLES(options, operands, defaults),
    .run = run_default,
};
static const struct wisp_verb verb_edit = {
    .name = "ctx edit",
    .summary = "change a context in an editor",
    .example = "wisp ctx edit prod --editor nano",
    WISP_VERB_TABLES(edit_options, operands, defaults),
    .run = run_edit,
};

static const struct wisp_verb *const verbs[] = {&verb_list, &verb_new, &verb_del, &verb_default, &verb_edit, NULL};
const struct wisp_verb wisp_verb_ctx = {
    .name = "ctx",
    .summary = "contexts, named ways to reach lattices",
    .text = "Files of JSON in ~/.config/wisp/contexts ($WISP_CONTEXTS, $WASH_CONTEXTS); those of wash in\n"
            "~/.wash/contexts count until that directory is there.",
    .verbs = verbs,
    .example = "wisp ctx new prod --ctl-host nats.example.com --lattice prod\nwisp get hosts --context prod",
};
