/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners, and their requests on the way to components. */
#include "http_server.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    GRACE_MS = 30000,    /* for requests in flight when a listener ends */
    AGAIN_AFTER_MS = 10, /* the address is taken by a listener of our own that is just ending */
    HOST_MAX = 256,
};

struct wisp_http_listening {
    struct wisp_http_front *front;
    struct wisp_link link;
    char *address;
    struct wisp_http_server *server;
    struct wisp_link routes;
    uv_timer_t again;
    bool is_listening, is_stopping;
};

struct request {
    struct wisp_http_front *front;
    struct wisp_link link;
    struct wisp_http_route *route;
    struct wisp_http_exchange *exchange;
    struct wisp_wrpc_forward *forward; /* NULL: it is answered otherwise */
    uv_timer_t timer;
    bool has_timer;
};

static struct wisp_http_route *route_of(struct wisp_link *link)
{
    return WISP_OWNER(link, struct wisp_http_route, link);
}

static struct wisp_http_listening *listening_of(struct wisp_link *link)
{
    return WISP_OWNER(link, struct wisp_http_listening, link);
}

void wisp_http_route_unref(struct wisp_http_route *route)
{
    if (--route->n_refs > 0) return;
    wisp_http_tls_unref(route->tls);
    wisp_arena_deinit(&route->arena);
    free(route);
}

/* --- requests --- */

static void reply(struct wisp_http_exchange *exchange, uint16_t status, struct wisp_str text)
{
    static const struct wisp_http_header plain_text = {WISP_STR_INIT("content-type"), WISP_STR_INIT("text/plain")};
    struct wisp_err err;
    if (wisp_http_reply(exchange, status, &plain_text, 1, text, &err) < 0) wisp_http_abort(exchange);
}

static void free_request(uv_handle_t *timer) { free(WISP_OWNER(timer, struct request, timer)); }

static void on_timeout(uv_timer_t *timer)
{
    struct request *request = WISP_OWNER(timer, struct request, timer);
    if (request->exchange->status != 0 || !request->forward) return;
    WISP_LOG(WARN, "http", "no response in time", WISP_BYTES("component", request->route->target),
             WISP_BYTES("path", request->exchange->target), WISP_INT("ms", request->route->site.timeout_ms));
    wisp_wrpc_forward_free(WISP_TAKE(request->forward));
    reply(request->exchange, 408, WISP_STR("request timed out\n"));
}

static struct wisp_str path_of(struct wisp_str target)
{
    struct wisp_str path = target, query;
    (void)wisp_str_split(target, '?', &path, &query);
    return path;
}

static struct wisp_http_route *find_route(const struct wisp_http_listening *listening, struct wisp_str target)
{
    bool is_by_path = listening->front->by_path == listening;
    WISP_RING_EACH(at, &listening->routes)
    if (!is_by_path || wisp_str_equal(route_of(at)->path, path_of(target))) return route_of(at);
    return NULL;
}

static void forward(struct request *request)
{
    const struct wisp_http_exchange *exchange = request->exchange;
    struct wisp_provider *provider = request->front->provider;
    struct wisp_bus_header headers[4] = {{WISP_STR("source-id"), provider->id},
                                         {WISP_STR("target-id"), request->route->target}};
    static const struct wisp_str passed_on[] = {WISP_STR_INIT("traceparent"), WISP_STR_INIT("tracestate")};
    size_t n = 2;
    for (size_t i = 0; i < exchange->n_headers; i++)
        for (size_t j = 0; j < WISP_COUNT(passed_on) && n < WISP_COUNT(headers); j++)
            if (wisp_str_equal(exchange->headers[i].name, passed_on[j]))
                headers[n++] = (struct wisp_bus_header){passed_on[j], exchange->headers[i].value};
    struct wisp_wrpc_forward_options options = {.target = request->route->target, .headers = headers, .n_headers = n};
    request->forward = wisp_wrpc_forward_new(provider->wrpc, request->exchange, &options);
}

static void on_request(struct wisp_http_exchange *exchange, void *env)
{
    struct wisp_http_listening *listening = env;
    struct wisp_http_front *front = listening->front;
    struct wisp_http_route *route = find_route(listening, exchange->target);
    if (!route || front->is_closed) {
        reply(exchange, front->by_path ? 404 : 503, front->by_path ? WISP_STR("path not found\n") : WISP_STR("\n"));
        return;
    }
    if (wisp_http_site_may_answer(&route->site) && wisp_http_site_answer(&route->site, exchange)) return;
    if (wisp_http_site_has_headers(&route->site)) wisp_http_site_decorate(&route->site, exchange);
    struct request *request = wisp_mem_calloc(1, sizeof *request);
    request->front = front;
    request->exchange = exchange;
    request->route = route;
    route->n_refs++;
    exchange->user = request;
    wisp_ring_append(&front->requests, &request->link);
    wisp_provider_hold(front->provider);
    if (route->site.timeout_ms > 0) {
        request->has_timer = true;
        uv_timer_init(front->provider->loop, &request->timer);
        uv_timer_start(&request->timer, on_timeout, route->site.timeout_ms, 0);
    }
    forward(request);
}

static void on_body(struct wisp_http_exchange *exchange, void *env)
{
    struct request *request = exchange->user;
    (void)env;
    if (request && request->forward) wisp_wrpc_forward_on_body(request->forward);
}

static void on_drain(struct wisp_http_exchange *exchange, void *env)
{
    struct request *request = exchange->user;
    (void)env;
    if (request && request->forward) wisp_wrpc_forward_on_drain(request->forward);
}

static void on_close(struct wisp_http_exchange *exchange, void *env)
{
    struct request *request = exchange->user;
    (void)env;
    if (!request) return;
    wisp_wrpc_forward_free(request->forward);
    wisp_ring_remove(&request->link);
    if (!request->front->is_closed) wisp_provider_release(request->front->provider);
    wisp_http_route_unref(request->route);
    if (request->has_timer)
        uv_close((uv_handle_t *)&request->timer, free_request);
    else
        free(request);
}

/* --- listeners --- */

static void free_front(struct wisp_http_front *front)
{
    if (front->is_closed && wisp_ring_is_empty(&front->listeners)) free(front);
}

static void free_listening(uv_handle_t *timer)
{
    struct wisp_http_listening *listening = WISP_OWNER(timer, struct wisp_http_listening, again);
    struct wisp_http_front *front = listening->front;
    wisp_ring_remove(&listening->link);
    wisp_http_server_free(listening->server);
    free(listening->address);
    free(listening);
    free_front(front);
}

static void on_stopped(void *env)
{
    struct wisp_http_listening *listening = env;
    WISP_RING_EACH(at, &listening->routes)
    {
        wisp_ring_remove(at);
        route_of(at)->listening = NULL;
    }
    uv_close((uv_handle_t *)&listening->again, free_listening);
}

static void stop(struct wisp_http_listening *listening)
{
    if (listening->is_stopping) return;
    listening->is_stopping = true;
    uv_timer_stop(&listening->again);
    if (listening->is_listening)
        wisp_http_server_stop(listening->server, GRACE_MS, on_stopped, listening);
    else
        on_stopped(listening);
}

static bool is_being_left(const struct wisp_http_front *front, const char *address)
{
    WISP_RING_EACH(at, &front->listeners)
    if (listening_of(at)->is_stopping && strcmp(listening_of(at)->address, address) == 0) return true;
    return false;
}

static void on_again(uv_timer_t *timer);

static int listen_now(struct wisp_http_listening *listening, struct wisp_err *err)
{
    char host[HOST_MAX];
    struct wisp_http_address address = {.host = host};
    uint16_t port;
    int r = wisp_http_address_parse(wisp_str_from(listening->address), host, sizeof host, &address.port, err);
    if (r == 0) r = wisp_http_server_listen(listening->server, &address, &port, err);
    if (r == -WISP_ERR_EXISTS && is_being_left(listening->front, listening->address)) {
        uv_timer_start(&listening->again, on_again, AGAIN_AFTER_MS, 0);
        return 0;
    }
    if (r < 0) return r;
    listening->is_listening = true;
    WISP_LOG(INFO, "http", "listening", WISP_TEXT("address", listening->address), WISP_INT("port", port));
    return 0;
}

static void on_again(uv_timer_t *timer)
{
    struct wisp_http_listening *listening = WISP_OWNER(timer, struct wisp_http_listening, again);
    struct wisp_err err;
    if (listen_now(listening, &err) < 0) WISP_LOG(ERROR, "http", "not listening", WISP_TEXT("cause", err.text));
}

static int listening_new(struct wisp_http_front *front, struct wisp_str address, struct wisp_http_tls *tls,
                         struct wisp_http_listening **ret_listening, struct wisp_err *err)
{
    struct wisp_http_options options = {.handler = {on_request, on_body, on_drain, on_close}};
    struct wisp_http_listening *listening = wisp_mem_calloc(1, sizeof *listening);
    listening->front = front;
    listening->address = wisp_mem_dup(address);
    wisp_ring_init(&listening->routes);
    options.env = listening;
    int r = wisp_http_server_new(&listening->server, front->provider->loop, &options, err);
    if (r < 0) {
        free(listening->address);
        free(listening);
        return r;
    }
    if (tls) wisp_http_server_set_tls(listening->server, tls);
    uv_timer_init(front->provider->loop, &listening->again);
    wisp_ring_append(&front->listeners, &listening->link);
    r = listen_now(listening, err);
    if (r < 0) {
        stop(listening);
        return r;
    }
    *ret_listening = listening;
    return 0;
}

int wisp_http_front_listen(struct wisp_http_front *front, struct wisp_str address, struct wisp_http_tls *tls,
                           struct wisp_http_listening **ret_listening, struct wisp_err *err)
{
    WISP_RING_EACH(at, &front->listeners)
    {
        struct wisp_http_listening *listening = listening_of(at);
        if (listening->is_stopping || !wisp_str_is(address, listening->address)) continue;
        *ret_listening = listening;
        return 0;
    }
    return listening_new(front, address, tls, ret_listening, err);
}

/* --- routes --- */

static bool is_same(const struct wisp_http_route *a, const struct wisp_http_route *b)
{
    return wisp_str_equal(a->target, b->target) && wisp_str_equal(a->name, b->name);
}

/* By address, the certificate is that of the component that is served. */
static void look_at_tls(struct wisp_http_listening *listening)
{
    if (listening->front->by_path == listening || wisp_ring_is_empty(&listening->routes)) return;
    wisp_http_server_set_tls(listening->server, route_of(listening->routes.next)->tls);
}

void wisp_http_front_add(struct wisp_http_listening *listening, struct wisp_http_route *route)
{
    struct wisp_link *before = &listening->routes;
    WISP_RING_EACH(at, &listening->routes)
    if (is_same(route_of(at), route)) before = at;
    wisp_ring_append(before, &route->link);
    route->listening = listening;
    look_at_tls(listening);
}

void wisp_http_front_remove(struct wisp_http_route *route)
{
    struct wisp_http_listening *listening = WISP_TAKE(route->listening);
    if (!listening) return;
    wisp_ring_remove(&route->link);
    look_at_tls(listening);
    if (wisp_ring_is_empty(&listening->routes) && listening->front->by_path != listening) stop(listening);
}

int wisp_http_front_check_path(const struct wisp_http_front *front, const struct wisp_http_route *route,
                               struct wisp_err *err)
{
    WISP_RING_EACH(at, &front->by_path->routes)
    if (wisp_str_equal(route_of(at)->path, route->path) && !is_same(route_of(at), route))
        return wisp_err_set(err, WISP_ERR_EXISTS, "path `%.*s` is that of component `%.*s`", WISP_STR_ARG(route->path),
                            WISP_STR_ARG(route_of(at)->target));
    return 0;
}

/* --- the end --- */

void wisp_http_front_drain(struct wisp_http_front *front)
{
    front->is_draining = true;
    WISP_RING_EACH(at, &front->listeners)
    stop(listening_of(at));
}

void wisp_http_front_close(struct wisp_http_front *front)
{
    wisp_http_front_drain(front);
    front->is_closed = true;
    WISP_RING_EACH(at, &front->requests)
    {
        struct request *request = WISP_OWNER(at, struct request, link);
        wisp_wrpc_forward_free(WISP_TAKE(request->forward));
        wisp_http_abort(request->exchange);
    }
    free_front(front);
}
