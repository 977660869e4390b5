/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in HTTP server: links from its id to components, with their configs, become routes.
 *
 *     routing_mode   listens on                            a link's source_config needs   and may have
 *     address        its `address`, else the provider's    -                              host, path
 *     path           the provider's default_address        path                           host
 *     host           the provider's default_address        host                           path
 *
 * Of two links that want the same address, host and path the first one in the spec is served. */
#include "lattice/lattice_priv.h"

#include "base/log.h"

#include <ctype.h>

enum { PAUSE_MS = 20 }; /* between two sets of routes: thousands of changes in a row don't make thousands of sets */

/* --- settings --- */

static void set_lower(json_t *settings, struct wisp_str key, json_t *value)
{
    WISP_CLEANUP_BUF struct wisp_buf lower = {0};
    for (size_t i = 0; i < key.len; i++) wisp_buf_append_char(&lower, (char)tolower((unsigned char)key.ptr[i]));
    if (json_is_string(value)) {
        json_object_setn_nocheck(settings, lower.data, lower.len, value);
        return;
    }
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(value, &text);
    json_object_setn_new_nocheck(settings, lower.data, lower.len, wisp_json_text(wisp_buf_str(&text)));
}

static void add_settings(json_t *settings, json_t *from)
{
    const char *key;
    size_t key_len;
    json_t *value;
    json_object_keylen_foreach(from, key, key_len, value) set_lower(settings, (struct wisp_str){key, key_len}, value);
}

int wisp_lattice_routing_mode_check(json_t *config, struct wisp_err *err)
{
    static const char *const modes[] = {"", "address", "path", "host"};
    WISP_CLEANUP_JSON json_t *settings = json_object();
    add_settings(settings, config);
    struct wisp_str mode = wisp_json_str(settings, "routing_mode");
    for (size_t i = 0; i < WISP_COUNT(modes); i++)
        if (wisp_str_is(mode, modes[i])) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "routing_mode `%.*s` is none of address, path, host",
                        WISP_STR_ARG(mode));
}

static int decode_base64(struct wisp_str text, struct wisp_buf *out)
{
    while (text.len && text.ptr[text.len - 1] == '=') text.len--;
    WISP_CLEANUP_BUF struct wisp_buf url = {0};
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        wisp_buf_append_char(&url, c == '+' ? '-' : c == '/' ? '_' : c);
    }
    return wisp_base64url_decode(wisp_buf_str(&url), out, NULL);
}

/* The whole settings as one JSON object in a single key: then nothing else counts. */
static json_t *whole_settings(const json_t *settings)
{
    WISP_CLEANUP_BUF struct wisp_buf decoded = {0};
    struct wisp_str text = wisp_json_str(settings, "config_json");
    if (!text.len && decode_base64(wisp_json_str(settings, "config_b64"), &decoded) == 0) text = wisp_buf_str(&decoded);
    WISP_CLEANUP_JSON json_t *object = NULL;
    if (!text.len || wisp_json_parse(text, &object, NULL) < 0 || !json_is_object(object)) return NULL;
    json_t *whole = json_object();
    add_settings(whole, object);
    return whole;
}

static json_t *settings_of(struct wisp_lattice *lattice, const struct wisp_lattice_unit *unit, const json_t *link)
{
    WISP_CLEANUP_JSON json_t *config = NULL;
    json_t *settings = json_object();
    add_settings(settings, unit->config);
    if (wisp_lattice_config_merge(lattice, json_object_get(link, "source_config"), true, &config, NULL) == 0)
        add_settings(settings, config);
    json_t *whole = whole_settings(settings);
    if (!whole) return settings;
    json_t *mode = json_object_get(settings, "routing_mode");
    if (mode && !json_object_get(whole, "routing_mode")) json_object_set(whole, "routing_mode", mode);
    json_decref(settings);
    return whole;
}

static void note_configs(struct wisp_lattice *lattice, const json_t *link)
{
    const json_t *names = json_object_get(link, "source_config");
    for (size_t i = 0; i < json_array_size(names); i++) {
        const json_t *text = json_array_get(names, i);
        struct wisp_lattice_record *record = wisp_lattice_record_need(
            lattice, WISP_LATTICE_CONFIG, (struct wisp_str){json_string_value(text), json_string_length(text)});
        if (!record) continue;
        wisp_ring_remove(&record->in_routes);
        wisp_ring_append(&lattice->in_routes, &record->in_routes);
    }
}

/* --- routes --- */

struct set {
    struct wisp_lattice *lattice;
    struct wisp_lattice_route *routes;
    size_t n_routes;
    json_t *taken; /* address, host and path of the routes so far */
};

static bool handles_http(const json_t *link)
{
    const json_t *interfaces = json_object_get(link, "interfaces");
    if (!wisp_str_is(wisp_json_str(link, "wit_namespace"), "wasi")) return false;
    if (!wisp_str_is(wisp_json_str(link, "wit_package"), "http")) return false;
    for (size_t i = 0; i < json_array_size(interfaces); i++)
        if (strcmp(json_string_value(json_array_get(interfaces, i)), "incoming-handler") == 0) return true;
    return false;
}

static struct wisp_str address_of(const json_t *settings, bool is_by_address)
{
    struct wisp_str own = wisp_json_str(settings, "address"), shared = wisp_json_str(settings, "default_address");
    if (is_by_address && own.len) return own;
    return shared.len ? shared : WISP_STR("0.0.0.0:8000");
}

static const char *reason_against(struct set *set, struct wisp_lattice_route *route, struct wisp_str mode)
{
    if (wisp_str_is(mode, "path") && !route->path.len) return "its source_config has no path";
    if (wisp_str_is(mode, "host") && !route->host.len) return "its source_config has no host";
    WISP_CLEANUP_BUF struct wisp_buf place = {0};
    wisp_buf_printf(&place, "%.*s\n%.*s\n%.*s", WISP_STR_ARG(route->address), WISP_STR_ARG(route->host),
                    WISP_STR_ARG(route->path));
    if (json_object_getn(set->taken, place.data, place.len)) return "another link has its address, host and path";
    json_object_setn_new_nocheck(set->taken, place.data, place.len, json_true());
    return NULL;
}

static void add_route(struct set *set, const struct wisp_lattice_unit *unit, const struct wisp_lattice_link *link)
{
    struct wisp_lattice *lattice = set->lattice;
    if (!handles_http(link->json)) return;
    note_configs(lattice, link->json);
    WISP_CLEANUP_JSON json_t *settings = settings_of(lattice, unit, link->json);
    struct wisp_str mode = wisp_json_str(settings, "routing_mode");
    wisp_lattice_borrow(lattice, settings);
    struct wisp_lattice_route route = {
        .provider = wisp_lattice_keep(lattice, wisp_lattice_unit_id(unit)),
        .link_name = wisp_lattice_keep(lattice, wisp_json_str(link->json, "name")),
        .component = wisp_lattice_keep(lattice, wisp_json_str(link->json, "target")),
        .address = wisp_lattice_keep(lattice, address_of(settings, !mode.len || wisp_str_is(mode, "address"))),
        .host = wisp_lattice_keep(lattice, wisp_json_str(settings, "host")),
        .path = wisp_lattice_keep(lattice, wisp_json_str(settings, "path")),
        .settings = settings,
    };
    const char *reason = reason_against(set, &route, mode);
    if (reason)
        wisp_lattice_log(lattice, WISP_LOG_WARN, "link `%.*s` from `%.*s` to `%.*s` serves nothing: %s",
                         WISP_STR_ARG(route.link_name), WISP_STR_ARG(route.provider), WISP_STR_ARG(route.component),
                         reason);
    else
        set->routes[set->n_routes++] = route;
}

static struct wisp_lattice_record *spec_of_server(struct wisp_lattice *lattice, const struct wisp_lattice_unit *unit)
{
    bool is_server = unit->kind == WISP_LATTICE_HTTP_SERVER && unit->is_running;
    return is_server ? wisp_lattice_spec_find(lattice, wisp_lattice_unit_id(unit)) : NULL;
}

static size_t count_links(struct wisp_lattice *lattice)
{
    size_t n = 0;
    for (struct wisp_lattice_unit *unit = wisp_table_first(&lattice->providers); unit;
         unit = wisp_table_next(&lattice->providers, unit)) {
        struct wisp_lattice_record *spec = spec_of_server(lattice, unit);
        if (spec) WISP_RING_EACH(at, &spec->links) n++;
    }
    return n;
}

/* Configs that routes depended on and do no more: those before the marker. */
static void forget_configs(struct wisp_lattice *lattice, struct wisp_link *marker)
{
    while (lattice->in_routes.next != marker) {
        struct wisp_lattice_record *record = WISP_OWNER(lattice->in_routes.next, struct wisp_lattice_record, in_routes);
        wisp_ring_remove(&record->in_routes);
        wisp_lattice_record_settle(record);
    }
    wisp_ring_remove(marker);
}

static void emit(struct wisp_lattice *lattice)
{
    struct wisp_link marker; /* what is noted again goes behind it */
    wisp_ring_append(&lattice->in_routes, &marker);
    WISP_CLEANUP_JSON json_t *taken = json_object();
    struct set set = {.lattice = lattice, .taken = taken};
    set.routes = WISP_NEW_ARRAY(&lattice->arena, struct wisp_lattice_route, count_links(lattice));
    for (struct wisp_lattice_unit *unit = wisp_table_first(&lattice->providers); unit;
         unit = wisp_table_next(&lattice->providers, unit)) {
        struct wisp_lattice_record *spec = spec_of_server(lattice, unit);
        if (!spec) continue;
        WISP_RING_EACH(at, &spec->links)
        add_route(&set, unit, WISP_OWNER(at, struct wisp_lattice_link, of_source));
    }
    forget_configs(lattice, &marker);
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_HTTP);
    action->routes = set.routes;
    action->n_routes = set.n_routes;
}

static void on_due(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    struct wisp_lattice *lattice = env;
    lattice->routes_due_ms = lattice->now.now_ms + PAUSE_MS;
    emit(lattice);
}

void wisp_lattice_routes_touch(struct wisp_lattice *lattice)
{
    if (lattice->routes.slot) return;
    uint64_t now_ms = lattice->now.now_ms;
    wisp_lattice_timer_arm(lattice, &lattice->routes,
                           lattice->routes_due_ms > now_ms ? lattice->routes_due_ms - now_ms : 0, on_due, lattice);
}
