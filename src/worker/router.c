/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/router.h"

#include <stdlib.h>

enum { KEY_MAX = 4096 };

/* --- reading --- */

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
    int r = wisp_http_site_read(&route->site, json_object_get(json, "settings"), &route->arena, err);
    if (r < 0) {
        (void)wisp_err_wrap(err, "route to `%.*s`", WISP_STR_ARG(component));
        wisp_route_unref(route);
        return r;
    }
    if (route->site.timeout_ms) route->deadlines = wisp_deadline_class_get(worker, route->site.timeout_ms);
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

void wisp_route_decorate(struct wisp_route *route, struct wisp_http_exchange *exchange, struct wisp_answerer *answerer)
{
    wisp_http_site_decorate(&route->site, exchange);
    answerer->route = wisp_route_ref(route);
}

void wisp_route_leave(struct wisp_answerer *answerer) { wisp_route_unref(WISP_TAKE(answerer->route)); }

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
