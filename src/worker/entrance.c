/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/entrance.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

/* --- requests --- */

static struct wisp_tenant *tenant_of(struct wisp_worker *worker, struct wisp_route *route)
{
    if (route->topology != worker->topology) {
        route->tenant = wisp_tenant_find(worker, route->component);
        route->topology = worker->topology;
    }
    return route->tenant;
}

static void on_request(struct wisp_http_exchange *exchange, void *env)
{
    struct wisp_entrance *entrance = env;
    struct wisp_route *route = wisp_router_find(&entrance->router, exchange);
    if (!route) {
        wisp_wasi_http_reply(exchange, 404, NULL, NULL);
        return;
    }
    if (wisp_http_site_may_answer(&route->site) && wisp_http_site_answer(&route->site, exchange)) return;
    struct wisp_tenant *tenant = tenant_of(entrance->worker, route);
    if (tenant)
        wisp_http_call_begin(tenant, NULL, route, exchange);
    else
        wisp_remote_forward(entrance->worker, route, exchange);
}

static bool is_forwarded(const struct wisp_http_exchange *exchange)
{
    const struct wisp_answerer *answerer = exchange->user;
    return answerer && answerer->is_forward;
}

static void on_body(struct wisp_http_exchange *exchange, void *env)
{
    if (is_forwarded(exchange))
        wisp_remote_on_body(exchange);
    else
        wisp_http_call_on_body(exchange, env);
}

static void on_drain(struct wisp_http_exchange *exchange, void *env)
{
    if (is_forwarded(exchange))
        wisp_remote_on_drain(exchange);
    else
        wisp_http_call_on_drain(exchange, env);
}

static void on_close(struct wisp_http_exchange *exchange, void *env)
{
    if (is_forwarded(exchange))
        wisp_remote_on_close(exchange);
    else
        wisp_http_call_on_close(exchange, env);
}

/* --- addresses --- */

int wisp_entrance_get(struct wisp_worker *worker, struct wisp_str address, struct wisp_entrance **ret_entrance,
                      struct wisp_err *err)
{
    size_t n = 0;
    for (struct wisp_entrance *at = worker->entrances; at; at = at->next, n++) {
        if (!wisp_str_is(address, at->address)) continue;
        *ret_entrance = at;
        return 0;
    }
    if (n >= WISP_ENTRANCES_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d addresses to listen on", WISP_ENTRANCES_MAX);
    struct wisp_entrance *entrance = wisp_mem_calloc(1, sizeof *entrance);
    entrance->worker = worker;
    entrance->address = wisp_mem_dup(address);
    entrance->next = worker->entrances;
    worker->entrances = entrance;
    *ret_entrance = entrance;
    return 0;
}

static void entrance_free(struct wisp_entrance *entrance)
{
    wisp_router_deinit(&entrance->router);
    wisp_http_tls_unref(entrance->tls);
    free(entrance->tls_cert_path);
    free(entrance->tls_key_path);
    free(entrance->fds);
    free(entrance->address);
    free(entrance);
}

/* Those without sockets and routes, whose exchanges are over. */
static void drop_unused(struct wisp_worker *worker)
{
    for (struct wisp_entrance **at = &worker->entrances; *at;) {
        struct wisp_entrance *entrance = *at;
        if (entrance->server || entrance->n_stopping || entrance->router.n_routes) {
            at = &entrance->next;
            continue;
        }
        *at = entrance->next;
        entrance_free(entrance);
    }
}

/* --- sockets --- */

static int make_server(struct wisp_entrance *entrance, struct wisp_err *err)
{
    const struct wisp_http_options options = {
        .handler = {.on_request = on_request, .on_body = on_body, .on_drain = on_drain, .on_close = on_close},
        .env = entrance,
    };
    int r = wisp_http_server_new(&entrance->server, &entrance->worker->loop, &options, err);
    if (r < 0) return r;
    wisp_http_server_set_tls(entrance->server, entrance->tls);
    entrance->worker->n_servers++;
    return 0;
}

static void keep_copy(struct wisp_entrance *entrance, int copy)
{
    entrance->fds = wisp_mem_realloc(entrance->fds, (entrance->n_fds + 1) * sizeof *entrance->fds);
    entrance->fds[entrance->n_fds++] = copy;
}

int wisp_entrance_listen(struct wisp_entrance *entrance, int fd_taken, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = fd_taken;
    if (entrance->n_fds >= WISP_ENTRANCE_SOCKETS_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d sockets for `%s`", WISP_ENTRANCE_SOCKETS_MAX,
                            entrance->address);
    if (listen(fd, BACKLOG) < 0) return wisp_err_os(err, errno, "listen on `%s`", entrance->address);
    int r = entrance->server ? 0 : make_server(entrance, err);
    WISP_CLEANUP_FD int copy = entrance->worker->hosting ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (r == 0) r = wisp_http_server_listen_fd_take(entrance->server, fd, err);
    if (r < 0) return r;
    (void)WISP_TAKE_FD(fd);
    if (copy >= 0) keep_copy(entrance, WISP_TAKE_FD(copy));
    return 0;
}

/* A server on its way out. */
struct stopping {
    struct wisp_entrance *entrance;
    struct wisp_http_server *server;
};

static void on_stopped(void *env)
{
    struct stopping *stopping = env;
    struct wisp_worker *worker = stopping->entrance->worker;
    wisp_http_server_free(stopping->server);
    stopping->entrance->n_stopping--;
    worker->n_servers--;
    free(stopping);
    if (worker->is_stopping)
        wisp_worker_settle(worker);
    else
        drop_unused(worker);
}

void wisp_entrance_unlisten(struct wisp_entrance *entrance, uint64_t grace_ms)
{
    if (!entrance->server) return;
    struct stopping *stopping = wisp_mem_calloc(1, sizeof *stopping);
    *stopping = (struct stopping){entrance, WISP_TAKE(entrance->server)};
    entrance->n_stopping++;
    if (!entrance->worker->has_successors) wisp_http_server_turn_away(stopping->server);
    while (entrance->n_fds) close(entrance->fds[--entrance->n_fds]);
    wisp_http_server_stop(stopping->server, grace_ms, on_stopped, stopping);
}

void wisp_entrances_unlisten(struct wisp_worker *worker, uint64_t grace_ms)
{
    for (struct wisp_entrance *at = worker->entrances; at; at = at->next) wisp_entrance_unlisten(at, grace_ms);
}

/* --- routes --- */

static bool is_same_path(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static bool has_tls_of(const struct wisp_entrance *entrance, const struct wisp_http_site *site)
{
    return is_same_path(entrance->tls_cert_path, site->tls_cert_path) &&
           is_same_path(entrance->tls_key_path, site->tls_key_path);
}

/* The first route of an address says whether it has TLS. */
static int agree_on_tls(struct wisp_entrance *entrance, const struct wisp_http_site *site, struct wisp_err *err)
{
    struct wisp_http_tls *tls = NULL;
    if (has_tls_of(entrance, site)) return 0;
    if (entrance->router.n_routes && entrance->tls && site->tls_cert_path)
        return wisp_err_set(err, WISP_ERR_INVALID, "`%s` has TLS with other files by another route", entrance->address);
    if (entrance->router.n_routes)
        return wisp_err_set(err, WISP_ERR_INVALID, "`%s` is %s by another route, and can't be both", entrance->address,
                            entrance->tls ? "HTTPS" : "plain HTTP");
    int r = site->tls_cert_path ? wisp_http_tls_new(&tls, site->tls_cert_path, site->tls_key_path, err) : 0;
    if (r < 0) return r;
    wisp_http_tls_unref(entrance->tls);
    free(entrance->tls_cert_path);
    free(entrance->tls_key_path);
    entrance->tls = tls;
    entrance->tls_cert_path = tls ? wisp_mem_dup(wisp_str_from(site->tls_cert_path)) : NULL;
    entrance->tls_key_path = tls ? wisp_mem_dup(wisp_str_from(site->tls_key_path)) : NULL;
    if (entrance->server) wisp_http_server_set_tls(entrance->server, tls);
    return 0;
}

static int add_route(struct wisp_worker *worker, const json_t *json, struct wisp_err *err)
{
    struct wisp_route *route;
    struct wisp_str address;
    int r = wisp_route_new(&route, worker, json, &address, err);
    if (r < 0) return r;
    struct wisp_entrance *entrance;
    r = wisp_entrance_get(worker, address, &entrance, err);
    if (r == 0) r = agree_on_tls(entrance, &route->site, err);
    if (r < 0) {
        (void)wisp_err_wrap(err, "route to `%.*s`", WISP_STR_ARG(route->component));
        wisp_route_unref(route);
        return r;
    }
    if (!wisp_router_add(&entrance->router, route))
        return wisp_err_set(err, WISP_ERR_EXISTS, "two routes of `%s` have the same host and path", entrance->address);
    return 0;
}

void wisp_entrances_set_routes(struct wisp_worker *worker, const json_t *routes)
{
    for (struct wisp_entrance *at = worker->entrances; at; at = at->next) wisp_router_deinit(&at->router);
    for (size_t i = 0; i < json_array_size(routes); i++) {
        struct wisp_err err = {0};
        int r = i < WISP_ROUTES_MAX ? add_route(worker, json_array_get(routes, i), &err)
                                    : wisp_err_set(&err, WISP_ERR_LIMIT, "more than %d routes", WISP_ROUTES_MAX);
        if (r < 0) WISP_LOG(WARN, "worker", "a route is left out", WISP_TEXT("cause", err.text));
        if (i >= WISP_ROUTES_MAX) break;
    }
    drop_unused(worker);
}

void wisp_entrances_deinit(struct wisp_worker *worker)
{
    while (worker->entrances) {
        struct wisp_entrance *entrance = worker->entrances;
        worker->entrances = entrance->next;
        assert(!entrance->server && !entrance->n_stopping);
        entrance_free(entrance);
    }
}
