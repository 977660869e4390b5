/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a link by address, of the provider by path: those of http/site.h and
 *     address          ip:port; else the provider's default_address, else 0.0.0.0:8000
 *     config_json      all of them as one object in JSON, or (config_b64) in base64
 * of a link by path:
 *     path             what the path of a request must be
 * of the provider:
 *     routing_mode     address, path */
#include "http_server.h"

#include "base/json.h"

#include <stdlib.h>

static struct wisp_str address_of(const struct wisp_provider *provider, const json_t *settings)
{
    struct wisp_str address = wisp_json_str(settings, "address");
    if (address.len == 0) address = wisp_settings_get(&provider->settings, "default_address");
    return address.len > 0 ? address : WISP_STR("0.0.0.0:8000");
}

/* --- the provider --- */

static int listen_by_path(struct wisp_http_front *front, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *settings = NULL;
    struct wisp_http_route *route = wisp_mem_calloc(1, sizeof *route); /* for its certificate */
    route->n_refs = 1;
    int r = wisp_http_settings_read(&front->provider->settings, &settings, err);
    if (r == 0) r = wisp_http_route_read(route, settings, err);
    if (r == 0)
        r = wisp_http_front_listen(front, address_of(front->provider, settings), route->tls, &front->by_path, err);
    wisp_http_route_unref(route);
    return r;
}

static int open_(struct wisp_provider *provider, struct wisp_err *err)
{
    struct wisp_str mode = wisp_settings_get(&provider->settings, "routing_mode");
    bool is_by_path = wisp_str_is(mode, "path");
    if (!is_by_path && mode.len > 0 && !wisp_str_is(mode, "address"))
        return wisp_err_set(err, WISP_ERR_INVALID, "routing_mode `%.*s` is neither address nor path",
                            WISP_STR_ARG(mode));
    if (!provider->wrpc) return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "there is no bus to reach components by");
    struct wisp_http_front *front = wisp_mem_calloc(1, sizeof *front);
    front->provider = provider;
    wisp_ring_init(&front->listeners);
    wisp_ring_init(&front->requests);
    provider->state = front;
    int r = is_by_path ? listen_by_path(front, err) : 0;
    if (r < 0) wisp_http_front_close(front);
    return r;
}

static void drain(struct wisp_provider *provider) { wisp_http_front_drain(provider->state); }

static void close_(struct wisp_provider *provider) { wisp_http_front_close(provider->state); }

/* --- links --- */

static int read_by_path(struct wisp_http_front *front, const struct wisp_provider_link *link,
                        struct wisp_http_route *route, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *settings = NULL;
    struct wisp_str path = wisp_settings_get(&link->own, "path");
    if (path.len == 0 || path.ptr[0] != '/')
        return wisp_err_set(err, WISP_ERR_INVALID, "routing by path needs a `path` that begins with `/`");
    route->path = wisp_arena_str(&route->arena, path);
    int r = wisp_http_settings_read(&front->provider->settings, &settings, err);
    if (r == 0) r = wisp_http_route_read(route, settings, err);
    if (r == 0) r = wisp_http_front_check_path(front, route, err);
    if (r == 0) wisp_http_front_add(front->by_path, route);
    return r;
}

static int read_by_address(struct wisp_http_front *front, const struct wisp_provider_link *link,
                           struct wisp_http_route *route, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *settings = NULL;
    struct wisp_http_listening *listening;
    int r = wisp_http_settings_read(&link->own, &settings, err);
    if (r == 0) r = wisp_http_route_read(route, settings, err);
    if (r == 0) r = wisp_http_front_listen(front, address_of(front->provider, settings), route->tls, &listening, err);
    if (r == 0) wisp_http_front_add(listening, route);
    return r;
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    struct wisp_http_front *front = provider->state;
    if (front->is_draining) return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "it is about to end");
    if (!link->is_source) return wisp_err_set(err, WISP_ERR_INVALID, "an http-server is the source of its links");
    struct wisp_http_route *route = wisp_mem_calloc(1, sizeof *route);
    route->n_refs = 1;
    route->target = wisp_arena_str(&route->arena, link->target_id);
    route->name = wisp_arena_str(&route->arena, link->name);
    int r = front->by_path ? read_by_path(front, link, route, err) : read_by_address(front, link, route, err);
    if (r < 0)
        wisp_http_route_unref(route);
    else
        link->state = route;
    return r;
}

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    (void)provider;
    wisp_http_front_remove(link->state);
    wisp_http_route_unref(link->state);
}

const struct wisp_provider_kind wisp_http_front_kind = {.name = "http-server",
                                                        .about = "HTTP requests for components, by address or path",
                                                        .open = open_,
                                                        .drain = drain,
                                                        .close = close_,
                                                        .put_link = put_link,
                                                        .del_link = del_link};
