/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inspect.h"

#include "cli/get.h"
#include "cli/output.h"
#include "cli/words.h"

/* What is known of it. All but kind are arrays. */
struct facts {
    const char *kind; /* "component"; NULL: it runs nowhere */
    json_t *running, *links, *configs;
};

static void facts_deinit(struct facts *facts)
{
    json_decref(facts->running);
    json_decref(facts->links);
    json_decref(facts->configs);
}

static void note_names(json_t *names, const json_t *more)
{
    for (size_t i = 0; i < json_array_size(more); i++) {
        bool is_there = !json_is_string(json_array_get(more, i));
        for (size_t k = 0; k < json_array_size(names); k++)
            is_there |= json_equal(json_array_get(names, k), json_array_get(more, i));
        if (!is_there) json_array_append(names, json_array_get(more, i));
    }
}

/* What only hosts of our kind say. */
static void note_own(json_t *place, const json_t *own)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)own, key, value) json_object_set(place, key, value);
    json_object_del(place, "wisp");
}

/* The inventory's entry, with the host's names in front. */
static void note_running(struct facts *facts, const char *kind, const json_t *inventory, json_t *entry)
{
    const char *key;
    json_t *value, *place = json_object();
    facts->kind = kind;
    json_object_set(place, "host_id", json_object_get(inventory, "host_id"));
    json_object_set(place, "friendly_name", json_object_get(inventory, "friendly_name"));
    json_object_foreach(entry, key, value)
    {
        if (strcmp(key, "id") != 0) json_object_set(place, key, value);
    }
    json_array_append_new(facts->running, place);
    note_own(place, json_object_get(entry, "wisp"));
    note_names(facts->configs, json_object_get(place, "config"));
}

static void note_links(struct facts *facts, const json_t *links, const char *id)
{
    for (size_t i = 0; i < json_array_size(links); i++) {
        json_t *link = json_array_get(links, i);
        bool is_source = wisp_str_is(wisp_json_str(link, "source_id"), id);
        bool is_target = wisp_str_is(wisp_json_str(link, "target"), id);
        if (is_source || is_target) json_array_append(facts->links, link);
        if (is_source) note_names(facts->configs, json_object_get(link, "source_config"));
        if (is_target) note_names(facts->configs, json_object_get(link, "target_config"));
    }
}

static int collect(struct wisp_lattice_client *client, const char *id, struct facts *facts, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *inventories = NULL, *links = NULL;
    int r = wisp_hosts_inventories(client, &inventories, err);
    if (r == 0) r = wisp_get_links(client, &links, err);
    if (r < 0) return r;
    for (size_t i = 0; i < json_array_size(inventories); i++) {
        const json_t *inventory = json_array_get(inventories, i);
        json_t *component = wisp_inventory_find(inventory, "components", id);
        json_t *provider = wisp_inventory_find(inventory, "providers", id);
        if (component) note_running(facts, "component", inventory, component);
        if (provider) note_running(facts, "provider", inventory, provider);
    }
    note_links(facts, links, id);
    return 0;
}

/* --- text --- */

static void append_names(struct wisp_buf *out, const json_t *names, const char *title)
{
    if (!json_array_size(names)) return;
    wisp_buf_printf(out, "%s%s", out->len ? ", " : "", title);
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        wisp_buf_printf(out, " %s", name ? name : "?");
    }
}

static void print_configs(struct wisp_output_table *table, const json_t *names)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    append_names(&text, names, "");
    if (!text.len) return;
    wisp_output_table_printf(table, "configs");
    wisp_output_table_add(table, (struct wisp_str){wisp_buf_str(&text).ptr + 1, text.len - 1});
}

static void print_place(const json_t *place)
{
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 2);
    struct wisp_str host = wisp_json_str(place, "host_id"), name = wisp_json_str(place, "friendly_name");
    wisp_output_table_printf(&table, "on");
    wisp_output_table_printf(&table, "%.*s (%.*s)", WISP_STR_ARG(host), WISP_STR_ARG(name));
    static const char *const keys[] = {"image_ref", "digest", "name", "max_instances", "revision", "state", "restarts"};
    static const char *const titles[] = {"image", "digest", "name", "max instances", "revision", "state", "restarts"};
    for (size_t i = 0; i < WISP_COUNT(keys); i++) {
        const json_t *value = json_object_get(place, keys[i]);
        bool is_unlimited = json_is_integer(value) && json_integer_value(value) >= UINT32_MAX;
        if (!json_is_string(value) && !json_is_integer(value)) continue;
        wisp_output_table_printf(&table, "%s", titles[i]);
        if (json_is_string(value))
            wisp_output_table_add(&table, wisp_json_str(place, keys[i]));
        else if (is_unlimited)
            wisp_output_table_printf(&table, "unlimited");
        else
            wisp_output_table_printf(&table, "%lld", (long long)json_integer_value(value));
    }
    print_configs(&table, json_object_get(place, "config"));
    wisp_output_table_print(&table, stdout, 2);
}

/* "a,b" */
static void append_interfaces(struct wisp_buf *out, const json_t *names)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        wisp_buf_printf(out, "%s%s", i ? "," : "", name ? name : "?");
    }
}

static void print_links(const json_t *links)
{
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 5);
    for (size_t i = 0; i < json_array_size(links); i++) {
        const json_t *link = json_array_get(links, i);
        WISP_CLEANUP_BUF struct wisp_buf interfaces = {0}, configs = {0};
        struct wisp_str namespace = wisp_json_str(link, "wit_namespace"), package = wisp_json_str(link, "wit_package");
        wisp_buf_printf(&interfaces, "%.*s:%.*s/", WISP_STR_ARG(namespace), WISP_STR_ARG(package));
        append_interfaces(&interfaces, json_object_get(link, "interfaces"));
        append_names(&configs, json_object_get(link, "source_config"), "source config");
        append_names(&configs, json_object_get(link, "target_config"), "target config");
        wisp_output_table_add(&table, wisp_json_str(link, "source_id"));
        wisp_output_table_printf(&table, "-> %.*s", WISP_STR_ARG(wisp_json_str(link, "target")));
        wisp_output_table_add(&table, wisp_buf_str(&interfaces));
        wisp_output_table_add(&table, wisp_json_str(link, "name"));
        wisp_output_table_add(&table, wisp_buf_str(&configs));
    }
    printf("\n%slinks%s%s\n", wisp_output_style(stdout, "1"), wisp_output_style(stdout, "0"),
           table.n_cells ? "" : ": none");
    wisp_output_table_print(&table, stdout, 2);
}

static void print_text(const struct facts *facts, const char *id)
{
    printf("%s%s%s: a %s, on %zu host%s\n", wisp_output_style(stdout, "1"), id, wisp_output_style(stdout, "0"),
           facts->kind, json_array_size(facts->running), json_array_size(facts->running) == 1 ? "" : "s");
    for (size_t i = 0; i < json_array_size(facts->running); i++) {
        putchar('\n');
        print_place(json_array_get(facts->running, i));
    }
    print_links(facts->links);
}

static void print_json(const struct facts *facts, const char *id)
{
    json_t *json = json_object();
    json_object_set_new(json, "id", json_string(id));
    json_object_set_new(json, "kind", json_string(facts->kind));
    json_object_set(json, "running", facts->running);
    json_object_set(json, "links", facts->links);
    json_object_set(json, "configs", facts->configs);
    wisp_output_success_take(json);
}

int wisp_inspect_running(const struct wisp_connection *connection, const char *id, bool is_json, struct wisp_err *err)
{
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    __attribute__((cleanup(facts_deinit))) struct facts facts = {
        .running = json_array(), .links = json_array(), .configs = json_array()};
    int r = wisp_lattice_client_new(&client, connection, err);
    if (r == 0) r = collect(client, id, &facts, err);
    if (r < 0) return r;
    if (!facts.kind)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND,
                            "no host of lattice `%s` runs it; `wisp get inventory` shows what runs",
                            wisp_lattice_client_settings(client)->lattice);
    if (is_json)
        print_json(&facts, id);
    else
        print_text(&facts, id);
    return 0;
}
