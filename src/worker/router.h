/* SPDX-License-Identifier: Apache-2.0 */
/* From an HTTP request to the component that answers it: by the address it came in on, its host and its path.
 *
 * A route names an address, and may name a host and a path; what it doesn't name matches all. Hosts are compared
 * without port and in any case, paths as they were sent, whole, without the query. Of the routes that match, the most
 * specific one counts: host and path, before host, before path, before neither; of equal ones the first. No match: 404.
 *
 * Settings of a route are those of http/site.h. Certificates belong to the address (entrance.h).
 *
 * One thread. */
#pragma once

#include "base/arena.h"
#include "http/site.h"
#include "worker/worker_priv.h"

enum { WISP_ROUTES_MAX = 100000 };

struct wisp_route {
    struct wisp_arena arena; /* of everything below, and of this */
    uint32_t n_refs;
    struct wisp_str key; /* host, newline, path */
    struct wisp_str component;
    struct wisp_tenant *tenant; /* what `component` means while `topology` is the worker's */
    uint64_t topology;
    struct wisp_deadline_class *deadlines; /* NULL: the component's own */
    struct wisp_http_site site;
};

/* The routes of one address. Zeroed is a valid empty one. */
struct wisp_router {
    struct wisp_map by_key;
    struct wisp_route **routes;
    size_t n_routes;
    struct wisp_route *only; /* when it is the only one, and matches all */
};

/* Reads one element of the "routes" order; `address` gets the address it is for. INVALID names what is wrong. */
int wisp_route_new(struct wisp_route **ret_route, struct wisp_worker *worker, const json_t *json,
                   struct wisp_str *ret_address, struct wisp_err *err) __attribute__((warn_unused_result));
/* A route that matches all, for `wisp run`. */
struct wisp_route *wisp_route_new_plain(struct wisp_str component);
static inline struct wisp_route *wisp_route_ref(struct wisp_route *route)
{
    route->n_refs++;
    return route;
}
/* NULL is fine. */
void wisp_route_unref(struct wisp_route *route);

/* Takes the reference. False, and nothing happened but the reference's end, when a route like it is there already. */
bool wisp_router_add(struct wisp_router *router, struct wisp_route *route_taken);
void wisp_router_deinit(struct wisp_router *router);
/* NULL: no match. */
struct wisp_route *wisp_router_find(const struct wisp_router *router, const struct wisp_http_exchange *exchange);

/* The response is to get the route's headers. */
static inline bool wisp_route_has_headers(const struct wisp_route *route)
{
    return wisp_http_site_has_headers(&route->site);
}
/* Sees to it; the route is held until the answerer is done. */
void wisp_route_decorate(struct wisp_route *route, struct wisp_http_exchange *exchange, struct wisp_answerer *answerer);
void wisp_route_leave(struct wisp_answerer *answerer);
