/* SPDX-License-Identifier: Apache-2.0 */
#include "host/admin.h"

#include "base/mem.h"
#include "host/listener.h"
#include "host/metrics.h"
#include "http/http.h"

#include <stdlib.h>

struct wisp_admin {
    struct wisp_http_server *server;
    struct wisp_admin_sources sources;
    bool is_ready;
};

static void reply(struct wisp_http_exchange *exchange, uint16_t status, const char *type, struct wisp_str body)
{
    const struct wisp_http_header header = {WISP_STR("content-type"), wisp_str_from(type)};
    struct wisp_err err;
    if (wisp_http_reply(exchange, status, &header, 1, body, &err) < 0) wisp_http_abort(exchange);
}

static void reply_status(struct wisp_http_exchange *exchange, bool is_ok)
{
    reply(exchange, is_ok ? 200 : 500, "application/json",
          is_ok ? WISP_STR("{\"status\":\"ok\"}") : WISP_STR("{\"status\":\"failure\"}"));
}

static void reply_text(struct wisp_http_exchange *exchange, uint16_t status)
{
    reply(exchange, status, "text/plain", wisp_str_from(wisp_http_status_text(status)));
}

static bool is_ready(const struct wisp_admin *admin)
{
    return admin->is_ready && admin->sources.fleet && wisp_fleet_is_serving(admin->sources.fleet);
}

static void on_request(struct wisp_http_exchange *exchange, void *env)
{
    const struct wisp_admin *admin = env;
    struct wisp_str path = exchange->target, query;
    wisp_str_split(path, '?', &path, &query);
    if (!wisp_str_is(exchange->method, "GET") && !wisp_str_is(exchange->method, "HEAD")) {
        reply_text(exchange, 405);
    } else if (wisp_str_is(path, "/livez")) {
        reply_status(exchange, true);
    } else if (wisp_str_is(path, "/readyz")) {
        reply_status(exchange, is_ready(admin));
    } else if (wisp_str_is(path, "/metrics")) {
        WISP_CLEANUP_BUF struct wisp_buf text = {0};
        wisp_metrics_print(&admin->sources, &text);
        reply(exchange, 200, "text/plain; version=0.0.4", wisp_buf_str(&text));
    } else {
        reply_text(exchange, 404);
    }
}

int wisp_admin_new(struct wisp_admin **ret_admin, uv_loop_t *loop, const char *address, struct wisp_err *err)
{
    struct wisp_listen_address parsed;
    WISP_CLEANUP_FD int fd = -1;
    struct wisp_admin *admin = wisp_mem_calloc(1, sizeof *admin);
    const struct wisp_http_options options = {.handler = {.on_request = on_request}, .env = admin, .body_bytes_max = 4096};
    int r = wisp_listen_address_parse(wisp_str_from(address), &parsed, err);
    if (r == 0) r = wisp_listen_claim(&parsed, &fd, err);
    if (r == 0) r = wisp_http_server_new(&admin->server, loop, &options, err);
    if (r == 0) r = wisp_http_server_listen_fd_take(admin->server, WISP_TAKE_FD(fd), err);
    if (r < 0) {
        if (admin->server) wisp_http_server_free(admin->server);
        free(admin);
        return wisp_err_wrap(err, "health and metrics at %s", address);
    }
    *ret_admin = admin;
    return 0;
}

static void on_stopped(void *env)
{
    struct wisp_admin *admin = env;
    wisp_http_server_free(admin->server);
    free(admin);
}

void wisp_admin_free(struct wisp_admin *admin)
{
    if (admin) wisp_http_server_stop(admin->server, 0, on_stopped, admin);
}

void wisp_admin_set_ready(struct wisp_admin *admin, bool is_ready) { admin->is_ready = is_ready; }

void wisp_admin_set_sources(struct wisp_admin *admin, const struct wisp_admin_sources *sources)
{
    admin->sources = *sources;
    admin->is_ready = true;
}
