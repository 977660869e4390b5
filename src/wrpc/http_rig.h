/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a client, an HTTP server that forwards its exchanges, the bus, and an application behind it. */
#pragma once

#include "wrpc/http.h"
#include "wrpc/wrpc_rig.h"

#include <stdarg.h>

struct http_rig {
    struct rig base;

    /* The front: forwards, unless the test takes it off. */
    struct wisp_http_server *server;
    uint16_t port;
    uint64_t timeout_ms, wait_ms;
    unsigned n_front_closed;
    enum wisp_http_outcome front_outcome;

    /* The application. */
    struct wisp_wrpc_service *service;
    struct wisp_http_exchange *exchange; /* open now */
    char log[4096];
    void (*on_request)(struct http_rig *rig);
    void (*on_body)(struct http_rig *rig);
    void (*on_drain)(struct http_rig *rig);
    struct wisp_buf body; /* what it read */

    /* The client. */
    uv_tcp_t tcp;
    bool is_connected, is_over, is_tcp_open;
    struct wisp_buf received;
    char space[65536];
};

__attribute__((format(printf, 2, 3))) static inline void note(struct http_rig *rig, const char *format, ...)
{
    va_list args;
    size_t used = strlen(rig->log);
    va_start(args, format);
    vsnprintf(rig->log + used, sizeof rig->log - used, format, args);
    va_end(args);
}

/* --- the front --- */

static inline void front_on_request(struct wisp_http_exchange *exchange, void *env)
{
    static const struct wisp_bus_header headers[] = {{WISP_STR_INIT("source-id"), WISP_STR_INIT("front")},
                                                     {WISP_STR_INIT("target-id"), WISP_STR_INIT("app")}};
    struct http_rig *rig = env;
    struct wisp_wrpc_forward_options options = {.target = WISP_STR("app"),
                                                .headers = headers,
                                                .n_headers = WISP_COUNT(headers),
                                                .timeout_ms = rig->timeout_ms,
                                                .wait_ms = rig->wait_ms};
    exchange->user = wisp_wrpc_forward_new(rig->base.caller.wrpc, exchange, &options);
}
static inline void front_on_body(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    wisp_wrpc_forward_on_body(exchange->user);
}
static inline void front_on_drain(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    wisp_wrpc_forward_on_drain(exchange->user);
}
static inline void front_on_close(struct wisp_http_exchange *exchange, void *env)
{
    struct http_rig *rig = env;
    rig->n_front_closed++;
    rig->front_outcome = exchange->outcome;
    wisp_wrpc_forward_free(exchange->user);
}

/* --- the application --- */

static inline void app_on_request(struct wisp_http_exchange *exchange, void *env)
{
    struct http_rig *rig = env;
    CHECK(!rig->exchange);
    rig->exchange = exchange;
    exchange->user = rig;
    note(rig, "%.*s %.*s://%.*s%.*s;", WISP_STR_ARG(exchange->method), WISP_STR_ARG(exchange->scheme),
         WISP_STR_ARG(exchange->authority), WISP_STR_ARG(exchange->target));
    if (rig->on_request) rig->on_request(rig);
}
static inline void app_on_body(struct wisp_http_exchange *exchange, void *env)
{
    struct http_rig *rig = env;
    CHECK(exchange == rig->exchange);
    if (rig->on_body) rig->on_body(rig);
}
static inline void app_on_drain(struct wisp_http_exchange *exchange, void *env)
{
    struct http_rig *rig = env;
    CHECK(exchange == rig->exchange);
    if (rig->on_drain) rig->on_drain(rig);
}
static inline void app_on_close(struct wisp_http_exchange *exchange, void *env)
{
    static const char *const names[] = {"open",      "complete", "gone",    "timeout",
                                        "malformed", "large",    "aborted", "stopped"};
    struct http_rig *rig = env;
    CHECK(exchange == rig->exchange);
    rig->exchange = NULL;
    note(rig, "%s;", names[exchange->outcome]);
}

static inline void serve_app(struct http_rig *rig)
{
    struct wisp_wrpc_http_options options = {
        .handler = {app_on_request, app_on_body, app_on_drain, app_on_close}, .env = rig, .body_bytes_max = 64 << 20};
    struct wisp_err *err = &rig->base.err;
    CHECK_OK(wisp_wrpc_service_new(&rig->service, rig->base.callee.wrpc, WISP_STR("app"), err), err);
    CHECK_OK(wisp_wrpc_http_serve(rig->service, &options, err), err);
    settle(&rig->base, &rig->base.callee.bus);
}

/* --- handlers --- */

static inline void reply_hello(struct http_rig *rig)
{
    static const struct wisp_http_header header = {WISP_STR_INIT("x-app"), WISP_STR_INIT("yes")};
    CHECK_OK(wisp_http_reply(rig->exchange, 200, &header, 1, WISP_STR("hello"), &rig->base.err), &rig->base.err);
}

static inline void start_unknown(struct http_rig *rig)
{
    struct wisp_http_response response = {.status = 200, .content_length = WISP_HTTP_LENGTH_UNKNOWN};
    CHECK_OK(wisp_http_start(rig->exchange, &response, &rig->base.err), &rig->base.err);
}

/* Sends body and trailers back as they come. */
static inline void pump(struct http_rig *rig)
{
    struct wisp_str bytes;
    for (size_t room; (room = wisp_http_room(rig->exchange)) > 0;) {
        enum wisp_http_body state = wisp_http_body_peek(rig->exchange, &bytes);
        if (state == WISP_HTTP_BODY_END)
            CHECK_OK(wisp_http_end(rig->exchange, rig->exchange->trailers, rig->exchange->n_trailers, &rig->base.err),
                     &rig->base.err);
        if (state != WISP_HTTP_BODY_DATA) return;
        size_t size = bytes.len < room ? bytes.len : room;
        CHECK_OK(wisp_http_write(rig->exchange, bytes.ptr, size, &rig->base.err), &rig->base.err);
        wisp_http_body_consume(rig->exchange, size);
    }
}
static inline void echo(struct http_rig *rig)
{
    start_unknown(rig);
    pump(rig);
}
static inline void use_echo(struct http_rig *rig)
{
    rig->on_request = echo;
    rig->on_body = rig->on_drain = pump;
}

/* Reads what there is of the body, and answers with its size at the end. */
static inline void read_all(struct http_rig *rig)
{
    struct wisp_str bytes;
    enum wisp_http_body state;
    while ((state = wisp_http_body_peek(rig->exchange, &bytes)) == WISP_HTTP_BODY_DATA) {
        wisp_buf_append_str(&rig->body, bytes);
        wisp_http_body_consume(rig->exchange, bytes.len);
    }
    if (state == WISP_HTTP_BODY_WAIT) return;
    char text[32];
    int size = snprintf(text, sizeof text, "%zu", rig->body.len);
    CHECK_OK(wisp_http_reply(rig->exchange, 200, NULL, 0, (struct wisp_str){text, (size_t)size}, &rig->base.err),
             &rig->base.err);
}

/* --- the client --- */

static inline void client_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct http_rig *rig = handle->data;
    (void)suggested;
    *buf = uv_buf_init(rig->space, sizeof rig->space);
}
static inline void client_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct http_rig *rig = stream->data;
    if (n < 0)
        rig->is_over = true;
    else
        wisp_buf_append(&rig->received, buf->base, (size_t)n);
}
static inline void client_on_connect(uv_connect_t *connect, int status)
{
    struct http_rig *rig = connect->handle->data;
    CHECK_INT(status, 0);
    rig->is_connected = true;
    uv_read_start(connect->handle, client_alloc, client_on_read);
}
static inline void client_connect(struct http_rig *rig)
{
    static uv_connect_t connect;
    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", rig->port, &address);
    uv_tcp_init(&rig->base.loop, &rig->tcp);
    rig->tcp.data = rig;
    rig->is_tcp_open = true;
    CHECK_INT(uv_tcp_connect(&connect, &rig->tcp, (const struct sockaddr *)&address, client_on_connect), 0);
    AWAIT(&rig->base.loop, rig->is_connected);
}
static inline void client_on_written(uv_write_t *write, int status)
{
    (void)status;
    free(write);
}
/* The bytes stay until they are sent. */
static inline void client_sends(struct http_rig *rig, const char *bytes, size_t size)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size);
    if (!rig->is_tcp_open) client_connect(rig);
    uv_write((uv_write_t *)wisp_mem_alloc(sizeof(uv_write_t)), (uv_stream_t *)&rig->tcp, &buf, 1, client_on_written);
}
static inline void client_says(struct http_rig *rig, const char *text) { client_sends(rig, text, strlen(text)); }
static inline void client_leaves(struct http_rig *rig)
{
    if (rig->is_tcp_open) uv_close((uv_handle_t *)&rig->tcp, NULL);
    rig->is_tcp_open = false;
}
static inline const char *received(struct http_rig *rig)
{
    wisp_buf_append_char(&rig->received, '\0');
    rig->received.len--;
    return rig->received.data;
}
static inline bool has_received(struct http_rig *rig, const char *words) { return strstr(received(rig), words); }
static inline bool ends_with(struct http_rig *rig, const char *words)
{
    return wisp_str_ends_with(wisp_buf_str(&rig->received), wisp_str_from(words));
}

/* --- all of it --- */

static inline void http_rig_init(struct http_rig *rig)
{
    memset(rig, 0, sizeof *rig);
    rig_init(&rig->base);
    rig->timeout_ms = 10000;
    struct wisp_http_options options = {.handler = {front_on_request, front_on_body, front_on_drain, front_on_close},
                                        .env = rig};
    struct wisp_http_address address = {.host = "127.0.0.1"};
    struct wisp_err *err = &rig->base.err;
    CHECK_OK(wisp_http_server_new(&rig->server, &rig->base.loop, &options, err), err);
    CHECK_OK(wisp_http_server_listen(rig->server, &address, &rig->port, err), err);
}

static inline void on_stopped(void *env) { *(bool *)env = true; }

static inline void http_rig_deinit(struct http_rig *rig)
{
    bool is_stopped = false;
    client_leaves(rig);
    wisp_wrpc_service_free(rig->service);
    CHECK(!rig->exchange);
    wisp_http_server_stop(rig->server, 0, on_stopped, &is_stopped);
    AWAIT(&rig->base.loop, is_stopped);
    wisp_http_server_free(rig->server);
    rig_deinit(&rig->base);
    wisp_buf_deinit(&rig->received);
    wisp_buf_deinit(&rig->body);
}
