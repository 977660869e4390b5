/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/router.h"

#include "base/log.h"
#include "http/exchange.h"

#include <stdlib.h>

enum { KEY_MAX = 4096, CORS_MAX_AGE_SECS = 300 };

/* --- reading --- */

static struct wisp_str setting(const json_t *settings, const char *key)
{
    struct wisp_str text = wisp_json_str(settings, key);
    while (text.len && text.ptr[0] == ' ') text = (struct wisp_str){text.ptr + 1, text.len - 1};
    while (text.len && text.ptr[text.len - 1] == ' ') text.len--;
    return text;
}

static int read_number(const json_t *settings, const char *key, uint64_t fallback, uint64_t *ret_number,
                       struct wisp_err *err)
{
    struct wisp_str text = setting(settings, key);
    *ret_number = fallback;
    if (!text.len) return 0;
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || number > UINT32_MAX)
            return wisp_err_set(err, WISP_ERR_INVALID, "setting `%s` is no number, or too large: `%.*s`", key,
                                WISP_STR_ARG(text));
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret_number = number;
    return 0;
}

static bool can_be_value(struct wisp_str text)
{
    const struct wisp_http_header header = {WISP_STR("x"), text};
    struct wisp_http_headers_facts facts;
    return wisp_http_headers_check(&header, 1, &facts, NULL) == 0;
}

/* A JSON list of texts; empty when the setting is missing. */
static int read_list(const json_t *settings, const char *key, json_t **ret_list, struct wisp_err *err)
{
    struct wisp_str text = setting(settings, key);
    *ret_list = NULL;
    if (!text.len) return 0;
    int r = wisp_json_parse(text, ret_list, err);
    bool is_list = r == 0 && json_is_array(*ret_list) && json_array_size(*ret_list) <= WISP_ROUTE_ORIGINS_MAX;
    for (size_t i = 0; is_list && i < json_array_size(*ret_list); i++) {
        const json_t *item = json_array_get(*ret_list, i);
        is_list =
            json_is_string(item) && can_be_value((struct wisp_str){json_string_value(item), json_string_length(item)});
    }
    return is_list ? 0 : wisp_err_set(err, WISP_ERR_INVALID, "setting `%s` is no list of texts in JSON", key);
}

/* "a, b, c"; `fallback` for an empty list. */
static int read_joined(struct wisp_route *route, const json_t *settings, const char *key, const char *fallback,
                       struct wisp_str *ret_value, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *list = NULL;
    WISP_CLEANUP_BUF struct wisp_buf joined = {0};
    int r = read_list(settings, key, &list, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
        wisp_buf_printf(&joined, "%s%s", i ? ", " : "", json_string_value(json_array_get(list, i)));
    *ret_value = wisp_arena_str(&route->arena, joined.len ? wisp_buf_str(&joined) : wisp_str_from(fallback));
    return r;
}

static int read_origins(struct wisp_route *route, const json_t *settings, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *list = NULL;
    int r = read_list(settings, "cors_allowed_origins", &list, err);
    if (r < 0) return r;
    struct wisp_str *origins = WISP_NEW_ARRAY(&route->arena, struct wisp_str, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++)
        origins[i] = wisp_arena_str(&route->arena, wisp_str_from(json_string_value(json_array_get(list, i))));
    route->cors.origins = origins;
    route->cors.n_origins = json_array_size(list);
    return 0;
}

static int read_cors(struct wisp_route *route, const json_t *settings, struct wisp_err *err)
{
    static const char *const keys[] = {"cors_allowed_origins", "cors_allowed_headers", "cors_allowed_methods",
                                       "cors_exposed_headers", "cors_max_age_secs"};
    for (size_t i = 0; i < WISP_COUNT(keys); i++) route->has_cors |= setting(settings, keys[i]).len > 0;
    if (!route->has_cors) return 0;
    uint64_t max_age_secs = 0;
    struct wisp_route_cors *cors = &route->cors;
    int r = read_origins(route, settings, err);
    if (r == 0) r = read_joined(route, settings, keys[1], "*", &cors->allow_headers, err);
    if (r == 0) r = read_joined(route, settings, keys[2], "*", &cors->allow_methods, err);
    if (r == 0) r = read_joined(route, settings, keys[3], "", &cors->expose_headers, err);
    if (r == 0) r = read_number(settings, keys[4], CORS_MAX_AGE_SECS, &max_age_secs, err);
    cors->max_age = wisp_str_from(wisp_arena_printf(&route->arena, "%llu", (unsigned long long)max_age_secs));
    return r;
}

static int read_settings(struct wisp_route *route, struct wisp_worker *worker, const json_t *settings,
                         struct wisp_err *err)
{
    uint64_t timeout_ms;
    int r = read_number(settings, "timeout_ms", 0, &timeout_ms, err);
    if (r == 0) r = read_cors(route, settings, err);
    if (r < 0) return r;
    route->is_read_only = wisp_str_is(setting(settings, "readonly_mode"), "true");
    route->cache_control = wisp_arena_str(&route->arena, setting(settings, "cache_control"));
    if (!can_be_value(route->cache_control))
        return wisp_err_set(err, WISP_ERR_INVALID, "setting `cache_control` can't be a header's value");
    if (setting(settings, "tls_cert_file").len || setting(settings, "tls_priv_key_file").len)
        WISP_LOG(WARN, "worker", "TLS is not served yet: this address is served without it",
                 WISP_BYTES("component", route->component));
    if (timeout_ms) route->deadlines = wisp_deadline_class_get(worker, timeout_ms);
    return 0;
}

static void append_lower(struct wisp_buf *out, struct wisp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        wisp_buf_append_char(out, c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c);
    }
}

static struct wisp_str make_key(struct wisp_arena *arena, struct wisp_str host, struct wisp_str path)
{
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    append_lower(&key, host);
    wisp_buf_append_char(&key, '\n');
    wisp_buf_append_str(&key, path);
    return wisp_arena_str(arena, wisp_buf_str(&key));
}

static struct wisp_route *route_new(struct wisp_str component, struct wisp_str host, struct wisp_str path)
{
    struct wisp_route *route = wisp_mem_calloc(1, sizeof *route);
    route->n_refs = 1;
    route->component = wisp_arena_str(&route->arena, component);
    route->key = make_key(&route->arena, host, path);
    return route;
}

int wisp_route_new(struct wisp_route **ret_route, struct wisp_worker *worker, const json_t *json,
                   struct wisp_str *ret_address, struct wisp_err *err)
{
    struct wisp_str component = wisp_json_str(json, "component"), host = wisp_json_str(json, "host"),
                    path = wisp_json_str(json, "path");
    *ret_address = wisp_json_str(json, "address");
    if (!component.len || !ret_address->len)
        return wisp_err_set(err, WISP_ERR_INVALID, "a route without component or address");
    if (host.len + path.len >= KEY_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "a route's host or path is too long");
    struct wisp_route *route = route_new(component, host, path);
    int r = read_settings(route, worker, json_object_get(json, "settings"), err);
    if (r < 0) {
        (void)wisp_err_wrap(err, "route to `%.*s`", WISP_STR_ARG(component));
        wisp_route_unref(route);
        return r;
    }
    *ret_route = route;
    return 0;
}

struct wisp_route *wisp_route_new_plain(struct wisp_str component)
{
    return route_new(component, (struct wisp_str){0}, (struct wisp_str){0});
}

void wisp_route_unref(struct wisp_route *route)
{
    if (!route || --route->n_refs) return;
    wisp_deadline_class_unref(route->deadlines);
    wisp_arena_deinit(&route->arena);
    free(route);
}

/* --- tables --- */

bool wisp_router_add(struct wisp_router *router, struct wisp_route *route_taken)
{
    if (!wisp_map_add(&router->by_key, route_taken->key, route_taken)) {
        wisp_route_unref(route_taken);
        return false;
    }
    /* Grows by doubling: the number of routes is a power of two when it is full. */
    if (!(router->n_routes & (router->n_routes - 1)))
        router->routes = wisp_mem_realloc(router->routes,
                                          (router->n_routes ? 2 * router->n_routes : 1) * sizeof(struct wisp_route *));
    router->routes[router->n_routes++] = route_taken;
    router->only = router->n_routes == 1 && wisp_str_is(route_taken->key, "\n") ? route_taken : NULL;
    return true;
}

void wisp_router_deinit(struct wisp_router *router)
{
    for (size_t i = 0; i < router->n_routes; i++) wisp_route_unref(router->routes[i]);
    free(router->routes);
    wisp_map_deinit(&router->by_key);
    *router = (struct wisp_router){0};
}

/* Without the port. A colon within brackets belongs to an IPv6 address. */
static struct wisp_str host_of(struct wisp_str authority)
{
    for (size_t i = authority.len; i-- > 0;) {
        if (authority.ptr[i] == ']') break;
        if (authority.ptr[i] == ':') return (struct wisp_str){authority.ptr, i};
    }
    return authority;
}

static struct wisp_route *look_up(const struct wisp_router *router, struct wisp_buf *key, struct wisp_str host,
                                  struct wisp_str path)
{
    key->len = 0;
    append_lower(key, host);
    wisp_buf_append_char(key, '\n');
    wisp_buf_append_str(key, path);
    return wisp_map_get(&router->by_key, wisp_buf_str(key));
}

struct wisp_route *wisp_router_find(const struct wisp_router *router, const struct wisp_http_exchange *exchange)
{
    static const struct wisp_str any;
    static struct wisp_buf key; /* kept: there is one thread */
    if (router->only) return router->only;
    if (!router->n_routes) return NULL;
    struct wisp_str host = host_of(exchange->authority), path = exchange->target, query;
    wisp_str_split(path, '?', &path, &query);
    if (host.len + path.len >= KEY_MAX) return look_up(router, &key, any, any);
    struct wisp_route *route = NULL;
    if (host.len) route = look_up(router, &key, host, path);
    if (!route && host.len) route = look_up(router, &key, host, any);
    if (!route) route = look_up(router, &key, any, path);
    return route ? route : look_up(router, &key, any, any);
}
