/* SPDX-License-Identifier: Apache-2.0 */
/* What a route itself has to say to a request and its response: read-only mode, CORS, cache-control. */
#include "http/exchange.h"
#include "worker/router.h"

enum { EXTRA_MAX = 8 };

struct headers {
    struct wisp_http_header items[EXTRA_MAX];
    size_t n;
};

static void put(struct headers *headers, struct wisp_str name, struct wisp_str value)
{
    assert(headers->n < EXTRA_MAX);
    headers->items[headers->n++] = (struct wisp_http_header){name, value};
}

static struct wisp_str header_of(const struct wisp_http_exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->n_headers; i++)
        if (wisp_str_is(exchange->headers[i].name, name)) return exchange->headers[i].value;
    return (struct wisp_str){0};
}

/* --- CORS --- */

static bool is_allowed_origin(const struct wisp_route_cors *cors, struct wisp_str origin)
{
    for (size_t i = 0; i < cors->n_origins; i++)
        if (wisp_str_equal(cors->origins[i], origin)) return true;
    return false;
}

/* What every response gets. An origin that isn't allowed gets no header, and the browser refuses. */
static void put_origin(struct headers *headers, const struct wisp_route_cors *cors, struct wisp_str origin)
{
    if (!cors->n_origins) {
        put(headers, WISP_STR("access-control-allow-origin"), WISP_STR("*"));
        return;
    }
    put(headers, WISP_STR("vary"), WISP_STR("origin"));
    if (is_allowed_origin(cors, origin)) put(headers, WISP_STR("access-control-allow-origin"), origin);
}

static void answer_preflight(const struct wisp_route_cors *cors, struct wisp_http_exchange *exchange)
{
    struct headers headers = {.n = 0};
    put_origin(&headers, cors, header_of(exchange, "origin"));
    put(&headers, WISP_STR("access-control-allow-methods"), cors->allow_methods);
    put(&headers, WISP_STR("access-control-allow-headers"), cors->allow_headers);
    put(&headers, WISP_STR("access-control-max-age"), cors->max_age);
    int r = wisp_http_reply(exchange, 200, headers.items, headers.n, (struct wisp_str){0}, NULL);
    if (r < 0) wisp_http_abort(exchange);
}

static bool is_preflight(const struct wisp_http_exchange *exchange)
{
    return wisp_str_is(exchange->method, "OPTIONS") && header_of(exchange, "origin").len &&
           header_of(exchange, "access-control-request-method").len;
}

bool wisp_route_answer(const struct wisp_route *route, struct wisp_http_exchange *exchange)
{
    if (route->has_cors && is_preflight(exchange)) {
        answer_preflight(&route->cors, exchange);
        return true;
    }
    if (route->is_read_only && !wisp_str_is(exchange->method, "GET") && !wisp_str_is(exchange->method, "HEAD")) {
        static const struct wisp_http_header allow = {WISP_STR_INIT("allow"), WISP_STR_INIT("GET, HEAD")};
        wisp_wasi_http_reply(exchange, 405, &allow);
        return true;
    }
    return false;
}

/* --- the response's headers --- */

static bool has_header(const struct wisp_http_response *response, struct wisp_str name)
{
    for (size_t i = 0; i < response->n_headers; i++)
        if (wisp_str_equal_nocase(response->headers[i].name, name)) return true;
    return false;
}

static void gather(struct headers *headers, const struct wisp_route *route, const struct wisp_http_exchange *exchange,
                   const struct wisp_http_response *response)
{
    struct wisp_str cache_control = WISP_STR("cache-control");
    if (route->cache_control.len && !has_header(response, cache_control))
        put(headers, cache_control, route->cache_control);
    if (!route->has_cors || has_header(response, WISP_STR("access-control-allow-origin"))) return;
    put_origin(headers, &route->cors, header_of(exchange, "origin"));
    if (route->cors.expose_headers.len)
        put(headers, WISP_STR("access-control-expose-headers"), route->cors.expose_headers);
}

/* Of the HTTP server's exchanges; only those have routes. */
static const struct wisp_http_exchange_ops *plain_ops;

static int start_decorated(struct wisp_http_exchange *exchange, const struct wisp_http_response *response,
                           struct wisp_err *err)
{
    const struct wisp_answerer *answerer = exchange->user;
    if (!answerer) return plain_ops->start(exchange, response, err);
    struct headers extra = {.n = 0};
    gather(&extra, answerer->route, exchange, response);
    WISP_CLEANUP_FREE struct wisp_http_header *all = wisp_mem_calloc(response->n_headers + extra.n + 1, sizeof *all);
    if (response->n_headers) memcpy(all, response->headers, response->n_headers * sizeof *all);
    memcpy(all + response->n_headers, extra.items, extra.n * sizeof *all);
    struct wisp_http_response decorated = *response;
    decorated.headers = all;
    decorated.n_headers = response->n_headers + extra.n;
    return plain_ops->start(exchange, &decorated, err);
}

void wisp_route_decorate(struct wisp_route *route, struct wisp_http_exchange *exchange, struct wisp_answerer *answerer)
{
    static struct wisp_http_exchange_ops decorated_ops;
    if (!plain_ops) {
        plain_ops = exchange->ops;
        decorated_ops = *plain_ops;
        decorated_ops.start = start_decorated;
    }
    assert(exchange->ops == plain_ops);
    exchange->ops = &decorated_ops;
    answerer->route = wisp_route_ref(route);
}

void wisp_route_leave(struct wisp_answerer *answerer) { wisp_route_unref(WISP_TAKE(answerer->route)); }
