/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inspect.h"

#include "cli/image.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "component/plan.h"
#include "host/source.h"
#include "wasm/expose.h"
#include "wit/wit.h"

#include <unistd.h>

struct values {
    struct wisp_connection connection;
    const char *target;
    int output;
    struct wisp_image_options image;
};

enum { OUTPUT_WIT = 2 };
static const char *const formats[] = {"text", "json", "wit", NULL};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct wisp_arg_option options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = WISP_ARG_CHOICE,
     .value = "FORMAT",
     .help = "text, json or wit [text]",
     FIELD(output),
     .choices = formats},
    {.name = "allowed-insecure",
     .kind = WISP_ARG_TEXT,
     .value = "A,B",
     FIELD(image.insecure),
     .env = "WISP_OCI_ALLOWED_INSECURE WASMCLOUD_OCI_ALLOWED_INSECURE",
     .help = "registries reached by plain HTTP"},
    {.name = "user",
     .letter = 'u',
     .kind = WISP_ARG_TEXT,
     .value = "NAME",
     FIELD(image.user),
     .env = "WISP_REG_USER WASH_REG_USER",
     .help = "of the registry [what Docker's configuration says]"},
    {.name = "password",
     .kind = WISP_ARG_TEXT,
     .value = "PASSWORD",
     FIELD(image.password),
     .env = "WISP_REG_PASSWORD WASH_REG_PASSWORD",
     .help = "of that user; better given by the variable"},
};

static const struct wisp_arg_operand operands[] = {
    {.name = "FILE",
     .help =
         "a component, binary (.wasm) or text (.wat), or a provider archive; or an image HOST/NAME:TAG; or the id of "
         "what runs in a lattice",
     .is_required = true,
     FIELD(target),
     .completion = WISP_COMPLETE_FILES},
};

/* --- facts --- */

static const char *const kind_names[] = {
    [WISP_ITEM_FUNC] = "function", [WISP_ITEM_INTERFACE] = "interface", [WISP_ITEM_TYPE] = "type",
    [WISP_ITEM_MODULE] = "module", [WISP_ITEM_COMPONENT] = "component",
};

static const char *const world_names[] = {[WISP_SOURCE_OTHER] = "nothing that `wisp run` knows",
                                          [WISP_SOURCE_HTTP] = "HTTP service",
                                          [WISP_SOURCE_COMMAND] = "command"};
static const char *const world_keys[] = {
    [WISP_SOURCE_OTHER] = "other", [WISP_SOURCE_HTTP] = "http", [WISP_SOURCE_COMMAND] = "command"};

static uint32_t count_members(const struct wisp_item *item, enum wisp_item_kind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; item->kind == WISP_ITEM_INTERFACE && i < item->interface->n_items; i++)
        n += item->interface->items[i].kind == kind;
    return n;
}

/* Core modules that the plan instantiates; the others were shims. */
static uint32_t count_kept_modules(const struct wisp_component *component)
{
    uint32_t n = 0;
    for (uint32_t module = 0; module < component->n_modules; module++) {
        bool is_kept = false;
        for (uint32_t i = 0; i < component->n_steps; i++) is_kept |= component->steps[i].module == module;
        n += is_kept;
    }
    return n;
}

/* --- text --- */

static void print_items(const char *heading, const struct wisp_item *items, uint32_t n)
{
    printf("\n%s%s%s%s\n", wisp_output_style(stdout, "1"), heading, wisp_output_style(stdout, "0"), n ? "" : ": none");
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 2);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t n_funcs = count_members(&items[i], WISP_ITEM_FUNC);
        wisp_output_table_add(&table, items[i].name);
        if (items[i].kind == WISP_ITEM_INTERFACE) {
            wisp_output_table_printf(&table, "%u function%s", n_funcs, n_funcs == 1 ? "" : "s");
        } else if (items[i].kind == WISP_ITEM_FUNC) {
            WISP_CLEANUP_BUF struct wisp_buf signature = {0};
            wisp_wit_describe(items[i].func, items[i].name, &signature);
            wisp_output_table_add(&table, wisp_buf_str(&signature));
        } else {
            wisp_output_table_printf(&table, "%s", kind_names[items[i].kind]);
        }
    }
    wisp_output_table_print(&table, stdout, 2);
}

static void add_producers(struct wisp_output_table *table, const struct wisp_component *component)
{
    for (uint32_t i = 0; i < component->n_producers; i++) {
        const struct wisp_producer *producer = &component->producers[i];
        wisp_output_table_add(table, producer->field);
        wisp_output_table_printf(table, "%.*s%s%.*s", WISP_STR_ARG(producer->name), producer->version.len ? " " : "",
                                 WISP_STR_ARG(producer->version));
    }
}

/* Whether an instance may serve again after a call; otherwise why each call gets a new one. */
static bool can_put_back(const struct wisp_component *component, char *ret_reason, size_t reason_size)
{
    *ret_reason = '\0';
    for (uint32_t i = 0; i < component->n_steps; i++) {
        struct wisp_err err = {0};
        uint32_t module = component->steps[i].module;
        if (wisp_wasm_expose(component->modules[module].bytes, NULL, NULL, &err) == 0) continue;
        snprintf(ret_reason, reason_size, "core module %u %s", module, err.text);
        return false;
    }
    return true;
}

static void print_text(const struct wisp_source *source, const struct wisp_component *component)
{
    WISP_CLEANUP_BUF struct wisp_buf size = {0};
    wisp_output_size(&size, source->file_size);
    uint32_t n_kept = count_kept_modules(component);
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 2);
    wisp_output_table_printf(&table, "component");
    wisp_output_table_printf(&table, "%s%s", source->name, source->was_text ? " (text)" : "");
    wisp_output_table_printf(&table, "is");
    wisp_output_table_printf(&table, "%s", world_names[wisp_source_world(component)]);
    wisp_output_table_printf(&table, "size");
    wisp_output_table_add(&table, wisp_buf_str(&size));
    wisp_output_table_printf(&table, "core modules");
    wisp_output_table_printf(&table, n_kept == component->n_modules ? "%u" : "%u, of which %u are instantiated",
                             component->n_modules, n_kept);
    char reason[WISP_ERR_TEXT_MAX];
    bool is_put_back = can_put_back(component, reason, sizeof reason);
    wisp_output_table_printf(&table, "instances");
    wisp_output_table_printf(
        &table, is_put_back ? "may serve many calls, put back to new after each" : "new for each call: %s", reason);
    add_producers(&table, component);
    wisp_output_table_print(&table, stdout, 0);
    print_items("imports", component->imports, component->n_imports);
    print_items("exports", component->exports, component->n_exports);
}

/* --- JSON --- */

/* "wasi:http/types@0.2.2" also in its parts; they are null for a plain name. */
static json_t *item_json(const struct wisp_item *item)
{
    struct wisp_str interface = item->name, version = {0}, package = {0}, rest;
    wisp_str_split(item->name, '@', &interface, &version);
    bool has_package = wisp_str_split(interface, '/', &package, &rest);
    json_t *json = json_object();
    json_object_set_new(json, "name", wisp_output_json_text(item->name));
    json_object_set_new(json, "kind", json_string(kind_names[item->kind]));
    json_object_set_new(json, "package", has_package ? wisp_output_json_text(package) : json_null());
    json_object_set_new(json, "interface", has_package ? wisp_output_json_text(rest) : json_null());
    json_object_set_new(json, "version", version.len ? wisp_output_json_text(version) : json_null());
    json_object_set_new(json, "functions", json_integer(count_members(item, WISP_ITEM_FUNC)));
    json_object_set_new(json, "types", json_integer(count_members(item, WISP_ITEM_TYPE)));
    return json;
}

static json_t *items_json(const struct wisp_item *items, uint32_t n)
{
    json_t *json = json_array();
    for (uint32_t i = 0; i < n; i++) json_array_append_new(json, item_json(&items[i]));
    return json;
}

static json_t *producers_json(const struct wisp_component *component)
{
    json_t *json = json_array();
    for (uint32_t i = 0; i < component->n_producers; i++) {
        const struct wisp_producer *producer = &component->producers[i];
        json_t *each = json_object();
        json_object_set_new(each, "field", wisp_output_json_text(producer->field));
        json_object_set_new(each, "name", wisp_output_json_text(producer->name));
        json_object_set_new(each, "version", wisp_output_json_text(producer->version));
        json_array_append_new(json, each);
    }
    return json;
}

static void print_json(const struct wisp_source *source, const struct wisp_component *component)
{
    json_t *json = json_object(), *modules = json_object();
    json_object_set_new(modules, "total", json_integer(component->n_modules));
    json_object_set_new(modules, "instantiated", json_integer(count_kept_modules(component)));
    char reason[WISP_ERR_TEXT_MAX];
    bool is_put_back = can_put_back(component, reason, sizeof reason);
    json_object_set_new(modules, "put_back", json_boolean(is_put_back));
    json_object_set_new(modules, "put_back_reason", is_put_back ? json_null() : json_string(reason));
    json_object_set_new(json, "file", wisp_output_json_text(wisp_str_from(source->name)));
    json_object_set_new(json, "format", json_string(source->was_text ? "text" : "binary"));
    json_object_set_new(json, "size", json_integer((json_int_t)source->file_size));
    json_object_set_new(json, "world", json_string(world_keys[wisp_source_world(component)]));
    json_object_set_new(json, "modules", modules);
    json_object_set_new(json, "imports", items_json(component->imports, component->n_imports));
    json_object_set_new(json, "exports", items_json(component->exports, component->n_exports));
    json_object_set_new(json, "producers", producers_json(component));
    wisp_output_json_take(json);
}

/* --- the verb --- */

static int print_wit(const struct wisp_component *component, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    int r = wisp_wit_print(component, &text, err);
    if (r == 0) fwrite(text.data, 1, text.len, stdout);
    return r;
}

static int print(const struct values *values, const struct wisp_source *source, const struct wisp_component *component,
                 struct wisp_err *err)
{
    if (values->output == OUTPUT_WIT) return print_wit(component, err);
    if (values->output == WISP_OUTPUT_JSON)
        print_json(source, component);
    else
        print_text(source, component);
    return 0;
}

static int inspect_component(const struct values *values, struct wisp_err *err)
{
    WISP_CLEANUP_SOURCE struct wisp_source source = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = NULL;
    int r = wisp_image_read(&source, values->target, &values->image, err);
    if (r < 0) return r;
    r = wisp_component_new(&component, wisp_buf_str(&source.binary), NULL, err);
    if (r == 0) r = print(values, &source, component, err);
    return r < 0 ? wisp_err_wrap(err, "component `%s`", source.name) : 0;
}

static int inspect_file(const struct values *values, struct wisp_err *err)
{
    const char *target = values->target, *path = strncmp(target, "file://", 7) == 0 ? target + 7 : target;
    enum wisp_inspect_form form = wisp_inspect_form(path);
    if (form == WISP_INSPECT_PROGRAM)
        return wisp_err_set(
            err, WISP_ERR_INVALID,
            "`%s` is not WebAssembly but a program (7f 45 4c 46, or #!); a provider may itself tell with --describe "
            "what it serves",
            path);
    if (form == WISP_INSPECT_OTHER) return inspect_component(values, err);
    if (values->output == OUTPUT_WIT)
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "`%s` is a provider archive; -o wit is for components", path);
    return wisp_inspect_archive(path, values->output == WISP_OUTPUT_JSON, err);
}

static int run(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    bool may_run = access(values->target, F_OK) < 0 && wisp_word_check_id(values->target, NULL) == 0;
    if (!may_run) return inspect_file(values, err);
    if (values->output == OUTPUT_WIT)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no file `%s`; -o wit is for files and images",
                            values->target);
    int r = wisp_inspect_running(&values->connection, values->target, values->output == WISP_OUTPUT_JSON, err);
    return r < 0 ? wisp_err_wrap(err, "there is no file `%s`, so it was looked for in the lattice", values->target) : 0;
}

static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

const struct wisp_verb wisp_verb_inspect = {
    .name = "inspect",
    .summary = "what a component imports and exports; what runs in a lattice",
    .text =
        "With -o wit: its world in WIT, as other tools read it. Of a provider archive (.par.gz): its claims, and the\n"
        "machines that it is for. The id of a component or provider that runs in a lattice (and is no file): where\n"
        "it runs, its image, its links and configs.",
    .example = "wisp inspect hello.wasm\nwisp inspect hello.wasm -o wit\nwisp inspect ghcr.io/acme/echo:1.0.0\n"
               "wisp inspect echo -o json",
    WISP_VERB_TABLES(options, operands, defaults),
    .shared = &wisp_connection_options,
    .run = run,
};
