/* SPDX-License-Identifier: Apache-2.0 */
/* Orders whose contents are more than a few names: a component's terms, providers, and routes with their settings; and
 * requests that are routed by what came out. Input: a JSON value. */
#include "worker/builtin.h"
#include "worker/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void read_terms(struct wisp_worker *worker, const json_t *order)
{
    struct wisp_terms *terms;
    struct wisp_err err;
    if (wisp_terms_from_order(&terms, worker, order, &err) == 0) wisp_terms_unref(terms);
}

static void read_provider(const json_t *json)
{
    struct wisp_builtin_order order;
    struct wisp_err err;
    if (wisp_builtin_order_read(&order, json, &err) < 0) return;
    if (!order.id.len || !order.kind.len || (order.links && !json_is_array(order.links))) __builtin_trap();
}

static void find(const struct wisp_router *router, const char *authority, const char *target)
{
    const struct wisp_http_exchange exchange = {.authority = wisp_str_from(authority), .target = wisp_str_from(target)};
    struct wisp_route *route = wisp_router_find(router, &exchange);
    if (route && (!route->component.len || route->n_refs != 1)) __builtin_trap();
}

static void read_routes(struct wisp_worker *worker, const json_t *routes)
{
    struct wisp_router router = {0};
    for (size_t i = 0; i < json_array_size(routes); i++) {
        struct wisp_route *route;
        struct wisp_str address;
        struct wisp_err err;
        if (wisp_route_new(&route, worker, json_array_get(routes, i), &address, &err) == 0)
            (void)wisp_router_add(&router, route);
    }
    find(&router, "", "*");
    find(&router, "a.example:80", "/p?q");
    find(&router, "[::1]:8000", "/");
    wisp_router_deinit(&router);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct wisp_worker worker;
    if (!worker.deadline_classes.next) wisp_ring_init(&worker.deadline_classes);
    WISP_CLEANUP_JSON json_t *order = NULL;
    struct wisp_err err;
    if (wisp_json_parse((struct wisp_str){(const char *)bytes, size}, &order, &err) < 0) return 0;
    read_terms(&worker, order);
    read_provider(order);
    read_routes(&worker, json_object_get(order, "routes"));
    if (!wisp_ring_is_empty(&worker.deadline_classes)) __builtin_trap(); /* none is left behind */
    return 0;
}
