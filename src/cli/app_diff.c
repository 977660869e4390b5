/* SPDX-License-Identifier: Apache-2.0 */
/* wisp app diff: two manifests compared by what they mean. Order does not count, nor which form was chosen. */
#include "cli/app.h"

#include "base/json.h"
#include "cli/verbs.h"

#include <stdio.h>

struct values {
    struct wisp_connection connection;
    int output;
    const char *a, *b;
};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

/* --- as people would tell it --- */

/* Lists become objects with an entry such as "component api", and "properties" goes: what is left is compared key by
 * key. As deep as a manifest may be. */
static json_t *readable(json_t *object);

static void put(json_t *tree, const char *label, json_t *value_taken)
{
    char numbered[600];
    snprintf(numbered, sizeof numbered, "%s", label);
    for (int n = 2; json_object_get(tree, numbered); n++) snprintf(numbered, sizeof numbered, "%.500s #%d", label, n);
    json_object_set_new(tree, numbered, value_taken);
}

/* "component api", "link wasi:http", "spreadscaler" */
static void label_of(const char *list, const json_t *item, char *out, size_t size)
{
    static const struct {
        const char *list, *word;
    } words[] = {{"components", "component"}, {"policies", "policy"}, {"secrets", "secret"}};
    struct wisp_str type = wisp_json_str(item, "type"), name = wisp_json_str(item, "name");
    if (strcmp(list, "traits") == 0) {
        const json_t *properties = json_object_get(item, "properties");
        struct wisp_str link = wisp_json_str(properties, "name");
        if (!wisp_str_is(type, "link"))
            snprintf(out, size, "%.*s", WISP_STR_ARG(type));
        else
            snprintf(out, size, "link%s%.*s for %.*s:%.*s", link.len ? " " : "", WISP_STR_ARG(link),
                     WISP_STR_ARG(wisp_json_str(properties, "namespace")),
                     WISP_STR_ARG(wisp_json_str(properties, "package")));
        return;
    }
    const char *word = list;
    for (size_t i = 0; i < WISP_COUNT(words); i++)
        if (strcmp(words[i].list, list) == 0) word = words[i].word;
    snprintf(out, size, "%s %.*s", word, WISP_STR_ARG(name));
}

static void put_list(json_t *tree, const char *key, const json_t *list)
{
    WISP_CLEANUP_BUF struct wisp_buf words = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        if (json_is_object(item)) {
            char label[512];
            WISP_CLEANUP_JSON json_t *rest = json_copy(item);
            label_of(key, item, label, sizeof label);
            json_object_del(rest, strcmp(key, "traits") == 0 ? "type" : "name");
            put(tree, label, readable(rest));
        } else if (json_is_string(item)) {
            wisp_buf_printf(&words, "%s%s", words.len ? ", " : "", json_string_value(item));
        }
    }
    if (words.len) put(tree, key, wisp_json_text(wisp_buf_str(&words)));
}

static json_t *readable(json_t *object)
{
    json_t *tree = json_object(), *value;
    const char *key;
    json_object_foreach(object, key, value)
    {
        bool is_wrapper = !strcmp(key, "properties") || !strcmp(key, "spec") || !strcmp(key, "metadata");
        if (json_is_array(value)) {
            put_list(tree, key, value);
        } else if (json_is_object(value)) {
            json_t *inner = readable(value);
            if (is_wrapper)
                json_object_update(tree, inner);
            else
                json_object_set(tree, key, inner);
            json_decref(inner);
        } else {
            json_object_set(tree, key, value);
        }
    }
    return tree;
}

/* --- comparing --- */

static void add_change(json_t *changes, const char *change, json_t *path, const char *key, json_t *old, json_t *new)
{
    json_t *whole = json_copy(path);
    json_array_append_new(whole, wisp_json_text(wisp_str_from(key)));
    json_t *json = json_pack("{s:s, s:o}", "change", change, "path", whole);
    if (old) json_object_set(json, "old", old);
    if (new) json_object_set(json, "new", new);
    json_array_append_new(changes, json);
}

static void compare(json_t *old, json_t *new, json_t *path, json_t *changes)
{
    const char *key;
    json_t *value;
    json_object_foreach(old, key, value)
    {
        json_t *other = json_object_get(new, key);
        if (json_is_object(value) && json_is_object(other)) {
            json_array_append_new(path, wisp_json_text(wisp_str_from(key)));
            compare(value, other, path, changes);
            json_array_remove(path, json_array_size(path) - 1);
        } else if (!other) {
            add_change(changes, "removed", path, key, value, NULL);
        } else if (!json_equal(value, other)) {
            add_change(changes, "changed", path, key, value, other);
        }
    }
    json_object_foreach(new, key, value)
    {
        if (!json_object_get(old, key)) add_change(changes, "added", path, key, NULL, value);
    }
}

/* --- printing --- */

/* What is an object is told by its path alone. */
static void append_value(struct wisp_buf *line, const char *before, const json_t *value)
{
    if (!value || json_is_object(value)) return;
    wisp_buf_append_str(line, wisp_str_from(before));
    if (json_is_string(value))
        wisp_buf_append(line, json_string_value(value), json_string_length(value));
    else
        wisp_json_print(value, line);
}

static void print_change(const json_t *change)
{
    const json_t *path = json_object_get(change, "path"), *old = json_object_get(change, "old");
    struct wisp_str kind = wisp_json_str(change, "change");
    WISP_CLEANUP_BUF struct wisp_buf line = {0};
    for (size_t i = 0; i < json_array_size(path); i++)
        wisp_buf_printf(&line, "%s%s", i ? ": " : "", json_string_value(json_array_get(path, i)));
    append_value(&line, ": ", old);
    append_value(&line, old ? " -> " : ": ", json_object_get(change, "new"));
    wisp_output_clean(line.data, line.len);
    printf("%c %.*s\n",
           wisp_str_is(kind, "added")     ? '+'
           : wisp_str_is(kind, "removed") ? '-'
                                          : '~',
           WISP_STR_ARG(wisp_buf_str(&line)));
}

static void print(json_t *changes, bool is_json)
{
    if (is_json) {
        wisp_output_success_take(json_pack("{s:b, s:O}", "same", !json_array_size(changes), "changes", changes));
        return;
    }
    for (size_t i = 0; i < json_array_size(changes); i++) print_change(json_array_get(changes, i));
    if (!json_array_size(changes)) printf("no difference\n");
}

/* --- which two --- */

/* What runs, or what would if one were deployed. */
static int deployed_version(struct wisp_lattice_client *client, const char *name, const char **ret_version,
                            struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *list = NULL;
    int r = wisp_apps_list(client, &list, err);
    if (r < 0) return r;
    struct wisp_str version = wisp_json_str(wisp_apps_find(list, name), "deployed_version");
    *ret_version = version.len ? wisp_apps_text(client, version) : NULL;
    return 0;
}

/* A name's manifest is in the lattice. */
static int load(struct wisp_lattice_client *client, struct wisp_apps_source *source, struct wisp_err *err)
{
    if (source->file) return 0;
    int r = wisp_apps_fetch(client, source->name, source->version, &source->arena, &source->manifest, err);
    return r == -WISP_ERR_NOT_FOUND ? wisp_apps_explain_missing(client, source->name, source->version, err) : r;
}

static int run_diff(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_APPS_SOURCE struct wisp_apps_source a = {0}, b = {0};
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    int r = wisp_apps_source_read(&a, values->a, NULL, true, err);
    if (r == 0 && values->b) r = wisp_apps_source_read(&b, values->b, NULL, true, err);
    if (r == 0 && !(a.file && b.file)) r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r < 0) return r;
    struct wisp_apps_source *old = &a, *new = &b;
    if (!values->b) { /* what it is against what runs */
        old = &b;
        new = &a;
        old->name = new->name;
        r = deployed_version(client, new->name, &old->version, err);
    }
    if (r == 0) r = load(client, old, err);
    if (r == 0) r = load(client, new, err);
    if (r < 0) return r;
    WISP_CLEANUP_JSON json_t *left = readable(old->manifest.json), *right = readable(new->manifest.json);
    WISP_CLEANUP_JSON json_t *path = json_array(), *changes = json_array();
    compare(left, right, path, changes);
    print(changes, values->output == WISP_OUTPUT_JSON);
    return 0;
}

static const struct wisp_arg_option options[] = {WISP_OUTPUT_OPTION(struct values, output)};
static const struct wisp_arg_operand operands[] = {
    {.name = "A",
     .help = "manifest (a file, a URL, - for standard input), or NAME or NAME@VERSION of what is stored",
     .is_required = true,
     FIELD(a),
     .completion = WISP_COMPLETE_FILES},
    {.name = "B",
     .help = "likewise: what is different in it [A, compared with what is deployed]",
     FIELD(b),
     .completion = WISP_COMPLETE_FILES},
};
const struct wisp_verb wisp_verb_app_diff = {
    .name = "app diff",
    .summary = "how two manifests or versions differ",
    .text = "By what they mean: component by component, trait by trait. + is only in B, - only in A, ~ differs.",
    .example =
        "wisp app diff shop.yaml\nwisp app diff shop@v1.0.0 shop@v1.1.0\nwisp app diff old.yaml new.yaml -o json",
    WISP_VERB_TABLES(options, operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_diff,
};
