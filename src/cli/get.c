/* SPDX-License-Identifier: Apache-2.0 */
/* wisp get hosts, inventory, links, claims, config. */
#include "cli/get.h"

#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/watch.h"
#include "cli/words.h"

#include <stdlib.h>

struct values {
    struct wisp_connection connection;
    int output;
    uint64_t watch_ms;
    const char *host;
};

static const struct wisp_arg_option options[] = {
    WISP_OUTPUT_OPTION(struct values, output),
    WISP_WATCH_OPTION(struct values, watch_ms),
};
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

typedef int show_function(struct wisp_lattice_client *client, const void *values, struct wisp_err *err);

static int show_all(const struct values *values, show_function *show, struct wisp_err *err)
{
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    int r = wisp_lattice_client_new(&client, &values->connection, err);
    return r < 0 ? r : wisp_watch(client, values->watch_ms, values->output == WISP_OUTPUT_JSON, show, values, err);
}

/* {NAME: value, "success": true} */
static void print_under(const char *name, json_t *value_taken)
{
    json_t *json = json_object();
    json_object_set_new(json, name, value_taken);
    wisp_output_success_take(json);
}

static struct wisp_str text(const json_t *object, const char *key) { return wisp_json_str(object, key); }

/* --- hosts --- */

static void add_uptime(struct wisp_output_table *table, const json_t *host)
{
    WISP_CLEANUP_BUF struct wisp_buf uptime = {0};
    wisp_output_duration(&uptime, wisp_json_u64(host, "uptime_seconds", 0));
    wisp_output_table_add(table, wisp_buf_str(&uptime));
}

static void print_hosts(const json_t *hosts)
{
    static const char *const headings[] = {"HOST ID", "NAME", "UPTIME", "VERSION", NULL};
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init_head(&table, headings);
    for (size_t i = 0; i < json_array_size(hosts); i++) {
        const json_t *host = json_array_get(hosts, i);
        wisp_output_table_add(&table, text(host, "id"));
        wisp_output_table_add(&table, text(host, "friendly_name"));
        add_uptime(&table, host);
        wisp_output_table_add(&table, text(host, "version"));
    }
    wisp_output_table_print(&table, stdout, 0);
}

static int show_hosts(struct wisp_lattice_client *client, const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    const struct wisp_connection_settings *settings = wisp_lattice_client_settings(client);
    WISP_CLEANUP_JSON json_t *hosts = NULL;
    int r = wisp_hosts_ping(client, settings->is_timeout_given ? settings->timeout_ms : 0, &hosts, err);
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON)
        print_under("hosts", json_incref(hosts));
    else
        print_hosts(hosts);
    return 0;
}

static int run_hosts(const void *values, struct wisp_err *err) { return show_all(values, show_hosts, err); }

static const struct wisp_verb verb_hosts = {
    .name = "get hosts",
    .summary = "hosts of the lattice, longest running first",
    .text = "Waits until no more answers come; --timeout-ms, when it is given, is waited for in full.",
    .example = "wisp get hosts\nwisp get hosts --watch 2s\nwisp get hosts -o json | jq -r '.hosts[].id'",
    .options = options,
    .n_options = WISP_COUNT(options),
    .shared = &wisp_connection_options,
    .defaults = &defaults,
    .values_size = sizeof defaults,
    .run = run_hosts,
};

/* --- inventory --- */

static void print_labels(json_t *labels)
{
    const char *key;
    json_t *value;
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 2);
    json_object_foreach(labels, key, value)
    {
        wisp_output_table_add(&table, wisp_str_from(key));
        wisp_output_table_add(&table, wisp_json_str(labels, key));
    }
    printf("  labels%s\n", table.n_cells ? "" : ": none");
    wisp_output_table_print(&table, stdout, 4);
}

/* Its name, and how a provider process is doing unless it just runs. */
static void add_name(struct wisp_output_table *table, const json_t *entry)
{
    const json_t *state = json_object_get(entry, "wisp");
    struct wisp_str name = text(entry, "name");
    WISP_CLEANUP_BUF struct wisp_buf cell = {0};
    wisp_buf_append_str(&cell, name);
    if (wisp_json_str(state, "state").len) {
        uint64_t n = wisp_json_u64(state, "restarts", 0);
        wisp_buf_printf(&cell, "%s(%.*s, %llu restart%s)", name.len ? " " : "",
                        WISP_STR_ARG(wisp_json_str(state, "state")), (unsigned long long)n, n == 1 ? "" : "s");
    }
    wisp_output_table_add(table, wisp_buf_str(&cell));
}

static void print_running(const char *title, const json_t *entries, bool has_max)
{
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, has_max ? 4 : 3);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        uint64_t max = wisp_json_u64(entry, "max_instances", 0);
        wisp_output_table_add(&table, text(entry, "id"));
        if (has_max && max >= UINT32_MAX)
            wisp_output_table_printf(&table, "unlimited");
        else if (has_max)
            wisp_output_table_printf(&table, "max %llu", (unsigned long long)max);
        wisp_output_table_add(&table, text(entry, "image_ref"));
        add_name(&table, entry);
    }
    printf("  %s%s\n", title, table.n_cells ? "" : ": none");
    wisp_output_table_print(&table, stdout, 4);
}

static void print_inventory(const json_t *inventory, bool is_first)
{
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 3);
    wisp_output_table_add(&table, text(inventory, "host_id"));
    wisp_output_table_add(&table, text(inventory, "friendly_name"));
    WISP_CLEANUP_BUF struct wisp_buf uptime = {0};
    wisp_buf_append_str(&uptime, WISP_STR("up "));
    wisp_output_duration(&uptime, wisp_json_u64(inventory, "uptime_seconds", 0));
    wisp_output_table_add(&table, wisp_buf_str(&uptime));
    table.has_head = true;
    if (!is_first) putchar('\n');
    wisp_output_table_print(&table, stdout, 0);
    const json_t *components = json_object_get(inventory, "components");
    print_labels(json_object_get(inventory, "labels"));
    print_running("components", components ? components : json_object_get(inventory, "actors"), true);
    print_running("providers", json_object_get(inventory, "providers"), false);
}

static int show_inventory(struct wisp_lattice_client *client, const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_JSON json_t *inventories = NULL;
    const char *host_id;
    json_t *inventory = NULL;
    int r;
    if (!values->host) {
        r = wisp_hosts_inventories(client, &inventories, err);
    } else if ((r = wisp_hosts_find(client, values->host, &host_id, err)) == 0 &&
               (r = wisp_hosts_inventory(client, host_id, &inventory, err)) == 0) {
        json_array_append_new(inventories = json_array(), inventory);
    }
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON) {
        print_under("inventories", json_incref(inventories));
        return 0;
    }
    for (size_t i = 0; i < json_array_size(inventories); i++) print_inventory(json_array_get(inventories, i), i == 0);
    return 0;
}

static int run_inventory(const void *values, struct wisp_err *err) { return show_all(values, show_inventory, err); }

static const struct wisp_arg_operand inventory_operands[] = {
    {.name = "HOST",
     .help = "id, beginning of an id, or part of a friendly name [all hosts]",
     .offset = offsetof(struct values, host)},
};

static const struct wisp_verb verb_inventory = {
    .name = "get inventory",
    .aliases = "inventories",
    .summary = "what runs on each host, and the hosts' labels",
    .example = "wisp get inventory\nwisp get inventory calm-lake -o json",
    WISP_VERB_TABLES(options, inventory_operands, defaults),
    .shared = &wisp_connection_options,
    .run = run_inventory,
};

/* --- links --- */

static int compare_source(const void *a, const void *b)
{
    return wisp_str_compare(text(*(json_t *const *)a, "source_id"), text(*(json_t *const *)b, "source_id"));
}

/* "ns:pkg/a,b" */
static void add_interfaces(struct wisp_output_table *table, const json_t *link)
{
    WISP_CLEANUP_BUF struct wisp_buf all = {0};
    const json_t *interfaces = json_object_get(link, "interfaces");
    struct wisp_str namespace = text(link, "wit_namespace"), package = text(link, "wit_package");
    wisp_buf_printf(&all, "%.*s:%.*s/", WISP_STR_ARG(namespace), WISP_STR_ARG(package));
    for (size_t i = 0; i < json_array_size(interfaces); i++) {
        const char *each = json_string_value(json_array_get(interfaces, i));
        wisp_buf_printf(&all, "%s%s", i ? "," : "", each ? each : "?");
    }
    wisp_output_table_add(table, wisp_buf_str(&all));
}

static void print_links(const json_t *links)
{
    static const char *const headings[] = {"SOURCE", "TARGET", "INTERFACES", "NAME", NULL};
    size_t n = json_array_size(links);
    WISP_CLEANUP_FREE json_t **sorted = wisp_mem_calloc(n + 1, sizeof *sorted);
    for (size_t i = 0; i < n; i++) sorted[i] = json_array_get(links, i);
    qsort(sorted, n, sizeof *sorted, compare_source);
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init_head(&table, headings);
    for (size_t i = 0; i < n; i++) {
        wisp_output_table_add(&table, text(sorted[i], "source_id"));
        wisp_output_table_add(&table, text(sorted[i], "target"));
        add_interfaces(&table, sorted[i]);
        wisp_output_table_add(&table, text(sorted[i], "name"));
    }
    wisp_output_table_print(&table, stdout, 0);
}

int wisp_get_links(struct wisp_lattice_client *client, json_t **ret_links, struct wisp_err *err)
{
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    int r = wisp_lattice_client_ask(client, &(struct wisp_lattice_question){.tail = "link.get"}, &reply, err);
    if (r < 0) return r;
    *ret_links = json_is_array(reply.response) ? json_incref(reply.response) : json_array();
    return 0;
}

static int show_links(struct wisp_lattice_client *client, const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_JSON json_t *links = NULL;
    int r = wisp_get_links(client, &links, err);
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON)
        print_under("links", json_incref(links));
    else
        print_links(links);
    return 0;
}

static int run_links(const void *values, struct wisp_err *err) { return show_all(values, show_links, err); }

#define LINKS(name_, aliases_)                                                                                         \
    {.name = name_,                                                                                                    \
     .aliases = aliases_,                                                                                              \
     .summary = "links between components and providers",                                                              \
     .options = options,                                                                                               \
     .n_options = WISP_COUNT(options),                                                                                 \
     .shared = &wisp_connection_options,                                                                               \
     .defaults = &defaults,                                                                                            \
     .values_size = sizeof defaults,                                                                                   \
     .run = run_links,                                                                                                 \
     .example = "wisp " name_ "\nwisp " name_ " -o json | jq '.links[] | select(.source_id == \"echo\")'"}
static const struct wisp_verb verb_links = LINKS("get links", NULL);
const struct wisp_verb wisp_verb_link_query = LINKS("link query", "get");

/* --- claims --- */

static void print_claims(const json_t *claims)
{
    static const char *const headings[] = {"SUBJECT", "NAME", "VERSION", "REVISION", "ISSUER", NULL};
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init_head(&table, headings);
    for (size_t i = 0; i < json_array_size(claims); i++) {
        const json_t *each = json_array_get(claims, i);
        wisp_output_table_add(&table, text(each, "sub"));
        wisp_output_table_add(&table, text(each, "name"));
        wisp_output_table_add(&table, text(each, "version"));
        wisp_output_table_add(&table, text(each, "rev"));
        wisp_output_table_add(&table, text(each, "iss"));
    }
    wisp_output_table_print(&table, stdout, 0);
}

static int show_claims(struct wisp_lattice_client *client, const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    int r = wisp_lattice_client_ask(client, &(struct wisp_lattice_question){.tail = "claims.get"}, &reply, err);
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON)
        print_under("claims", reply.response ? json_incref(reply.response) : json_array());
    else
        print_claims(reply.response);
    return 0;
}

static int run_claims(const void *values, struct wisp_err *err) { return show_all(values, show_claims, err); }

static const struct wisp_verb verb_claims = {
    .name = "get claims",
    .summary = "who signed what the lattice has run",
    .example = "wisp get claims",
    .options = options,
    .n_options = WISP_COUNT(options),
    .shared = &wisp_connection_options,
    .defaults = &defaults,
    .values_size = sizeof defaults,
    .run = run_claims,
};

/* --- the group --- */

static const struct wisp_verb *const verbs[] = {&verb_hosts,  &verb_inventory,       &verb_links,
                                                &verb_claims, &wisp_verb_get_config, NULL};

const struct wisp_verb wisp_verb_get = {
    .name = "get",
    .summary = "what a lattice has",
    .verbs = verbs,
    .example = "wisp get hosts\nwisp get inventory --watch",
};
