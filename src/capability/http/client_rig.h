/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the kind `http-client`: an instance of it, the project's own server at the far end on the same loop, and
 * requests as a caller in the same process makes them. Included once by a test program. */
#pragma once

#include "base/mem.h"
#include "capability/capability.h"
#include "http/http.h"
#include "provider/runtime.h"
#include "test.h"
#include "wasi/http_outgoing.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BIG = 5 * 1000 * 1000 };

/* --- the server --- */

static struct {
    uv_loop_t loop;
    struct wisp_http_server *server;
    uint16_t port;
    struct wisp_provider *provider;
    bool is_server_stopped, is_provider_closed;
    unsigned n_requests, n_gone;
    struct wisp_http_exchange *held;
    char head[4096]; /* of the last request */
    uint64_t n_received, n_sent, to_send;
    struct wisp_err err;
} world;

static inline void note_head(const struct wisp_http_exchange *exchange)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "%.*s %s://%.*s%.*s len=%lld\n", WISP_STR_ARG(exchange->method), exchange->scheme.ptr,
                    WISP_STR_ARG(exchange->authority), WISP_STR_ARG(exchange->target),
                    (long long)exchange->content_length);
    for (size_t i = 0; i < exchange->n_headers; i++)
        wisp_buf_printf(&text, "%.*s: %.*s\n", WISP_STR_ARG(exchange->headers[i].name),
                        WISP_STR_ARG(exchange->headers[i].value));
    snprintf(world.head, sizeof world.head, "%.*s", WISP_STR_ARG(wisp_buf_str(&text)));
}

static inline void begin_response(struct wisp_http_exchange *exchange, uint64_t length)
{
    static const struct wisp_http_header headers[] = {{WISP_STR_INIT("X-A"), WISP_STR_INIT("1")},
                                                      {WISP_STR_INIT("x-a"), WISP_STR_INIT("2")},
                                                      {WISP_STR_INIT("content-encoding"), WISP_STR_INIT("gzip")}};
    const struct wisp_http_response response = {200, headers, WISP_COUNT(headers), length};
    CHECK_OK(wisp_http_start(exchange, &response, &world.err), &world.err);
}

/* /echo: the body back, with its trailers. */
static inline void pump_echo(struct wisp_http_exchange *exchange)
{
    struct wisp_str bytes;
    for (size_t room; (room = wisp_http_room(exchange)) > 0;) {
        enum wisp_http_body state = wisp_http_body_peek(exchange, &bytes);
        if (state == WISP_HTTP_BODY_END)
            CHECK_OK(wisp_http_end(exchange, exchange->trailers, exchange->n_trailers, &world.err), &world.err);
        if (state != WISP_HTTP_BODY_DATA) return;
        size_t size = bytes.len < room ? bytes.len : room;
        CHECK_OK(wisp_http_write(exchange, bytes.ptr, size, &world.err), &world.err);
        wisp_http_body_consume(exchange, size);
    }
}

/* /big: as many bytes as the test wants. */
static inline void pump_big(struct wisp_http_exchange *exchange)
{
    static const char bytes[8192];
    for (size_t room; world.n_sent < world.to_send && (room = wisp_http_room(exchange)) > 0;) {
        size_t n = room < sizeof bytes ? room : sizeof bytes;
        if (n > world.to_send - world.n_sent) n = (size_t)(world.to_send - world.n_sent);
        CHECK_OK(wisp_http_write(exchange, bytes, n, &world.err), &world.err);
        world.n_sent += n;
    }
    if (world.n_sent == world.to_send) CHECK_OK(wisp_http_end(exchange, NULL, 0, &world.err), &world.err);
}

static inline void pump(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    if (exchange->user == pump_echo) pump_echo(exchange);
    if (exchange->user == pump_big) pump_big(exchange);
}

static inline void on_request(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    world.n_requests++;
    note_head(exchange);
    if (wisp_str_starts_with(exchange->target, WISP_STR("/echo"))) {
        exchange->user = pump_echo;
        begin_response(exchange, WISP_HTTP_LENGTH_UNKNOWN);
        pump_echo(exchange);
    } else if (wisp_str_starts_with(exchange->target, WISP_STR("/big"))) {
        exchange->user = pump_big;
        begin_response(exchange, world.to_send);
        pump_big(exchange);
    } else if (wisp_str_starts_with(exchange->target, WISP_STR("/hold"))) {
        world.held = exchange;
    } else if (wisp_str_starts_with(exchange->target, WISP_STR("/half"))) {
        world.held = exchange;
        begin_response(exchange, 100);
        CHECK_OK(wisp_http_write(exchange, "half", 4, &world.err), &world.err);
    } else if (wisp_str_starts_with(exchange->target, WISP_STR("/moved"))) {
        static const struct wisp_http_header location = {WISP_STR_INIT("location"), WISP_STR_INIT("/echo")};
        CHECK_OK(wisp_http_reply(exchange, 302, &location, 1, WISP_STR("elsewhere"), &world.err), &world.err);
    } else {
        CHECK_OK(wisp_http_reply(exchange, 200, NULL, 0, WISP_STR("hello"), &world.err), &world.err);
    }
}

static inline void on_close(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    if (world.held == exchange) world.held = NULL;
    if (exchange->outcome == WISP_HTTP_CLIENT_GONE) world.n_gone++;
}

/* --- the world --- */

static inline void begin(const char *config, struct wisp_http_tls *tls)
{
    static const struct wisp_http_options options = {.handler = {on_request, pump, pump, on_close}};
    static const struct wisp_http_address address = {.host = "127.0.0.1"};
    CHECK_INT(uv_loop_init(&world.loop), 0);
    CHECK_OK(wisp_http_server_new(&world.server, &world.loop, &options, &world.err), &world.err);
    wisp_http_server_set_tls(world.server, tls);
    CHECK_OK(wisp_http_server_listen(world.server, &address, &world.port, &world.err), &world.err);
    json_t *json = config ? json_loads(config, 0, NULL) : NULL;
    struct wisp_provider_options provider = {.kind = wisp_capability_find(WISP_STR("http-client")),
                                             .id = "web",
                                             .lattice = "default",
                                             .host_id = "NHOST",
                                             .loop = &world.loop,
                                             .config = json};
    CHECK_OK(wisp_provider_new(&world.provider, &provider, &world.err), &world.err);
    json_decref(json);
}

static inline void set_true(void *env) { *(bool *)env = true; }

static inline void end(void)
{
    wisp_provider_close(world.provider, set_true, &world.is_provider_closed);
    wisp_http_server_stop(world.server, 0, set_true, &world.is_server_stopped);
    while (!world.is_provider_closed || !world.is_server_stopped) uv_run(&world.loop, UV_RUN_ONCE);
    wisp_http_server_free(world.server);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world.loop), 0);
}

/* --- requests --- */

struct asking {
    struct wisp_wasi_http_send args;
    struct wisp_wrpc_writer *body, *trailers; /* ours to end */
    struct wisp_provider_call *call;
    bool is_done, is_error;
    struct wisp_err err;
    uint16_t status;
    uint32_t code;
    struct wisp_wrpc_reader *response, *response_trailers;
    char headers[512];
    char authority[64];
};

static inline const struct wisp_provider_export *find_handle(void)
{
    return wisp_provider_find(world.provider, WISP_STR("wrpc:http/outgoing-handler@0.1.0"), WISP_STR("handle"));
}

static inline void on_return(const void *result, const struct wisp_err *err, void *env)
{
    struct asking *asking = env;
    const struct wisp_wasi_http_answer *answer = result;
    asking->is_done = true;
    asking->call = NULL;
    if (err) asking->err = *err;
    if (!result) return;
    asking->is_error = answer->is_error;
    if (answer->is_error) {
        asking->code = answer->of.error.tag;
        return;
    }
    asking->status = answer->of.response.rest.status;
    asking->response = answer->of.response.body;
    asking->response_trailers = answer->of.response.trailers;
    const struct wisp_wrpc_fields *fields = &answer->of.response.rest.headers;
    for (size_t i = 0, at = 0; i < fields->len; i++)
        for (size_t k = 0; k < fields->ptr[i].values.len; k++)
            at += (size_t)snprintf(asking->headers + at, sizeof asking->headers - at, "%.*s: %.*s\n",
                                   WISP_STR_ARG(fields->ptr[i].name), WISP_STR_ARG(fields->ptr[i].values.ptr[k]));
}

static inline void ready(struct asking *asking, uint32_t method, const char *target)
{
    *asking = (struct asking){0};
    snprintf(asking->authority, sizeof asking->authority, "127.0.0.1:%u", world.port);
    const struct wisp_type *request = find_handle()->type->params[0].type;
    asking->body = wisp_wrpc_writer_new(request->fields[0].type);
    asking->trailers = wisp_wrpc_writer_new(request->fields[1].type);
    asking->args.request.body = asking->body;
    asking->args.request.trailers = asking->trailers;
    asking->args.request.rest = (struct wisp_wrpc_request_rest){
        .method.tag = method,
        .target = {1, wisp_str_from(target)},
        .scheme = {1, {WISP_WRPC_SCHEME_HTTP, {0}}},
        .authority = {1, wisp_str_from(asking->authority)},
    };
}

static inline void go(struct asking *asking)
{
    static const struct wisp_provider_caller caller = {.source_id = WISP_STR_INIT("app"),
                                                       .link_name = WISP_STR_INIT("default")};
    struct wisp_provider_call *call =
        wisp_provider_call_start(world.provider, find_handle(), &caller, &asking->args, on_return, asking);
    if (!asking->is_done) asking->call = call;
}

static inline void end_request(struct asking *asking)
{
    static const struct wisp_wrpc_option_fields none;
    wisp_wrpc_writer_end(WISP_TAKE(asking->body));
    CHECK_OK(wisp_wrpc_writer_put(asking->trailers, &none, &world.err), &world.err);
    wisp_wrpc_writer_end(WISP_TAKE(asking->trailers));
}

static inline void await(struct asking *asking)
{
    while (!asking->is_done) uv_run(&world.loop, UV_RUN_ONCE);
    if (asking->err.kind) wisp_test_fail(__FILE__, __LINE__, "%s", asking->err.text);
}

/* A bodiless request up to its answer. */
static inline struct asking *ask(uint32_t method, const char *target)
{
    static struct asking asking;
    ready(&asking, method, target);
    go(&asking);
    end_request(&asking);
    await(&asking);
    return &asking;
}

static inline void drop_response(struct asking *asking)
{
    wisp_wrpc_reader_close(WISP_TAKE(asking->response));
    wisp_wrpc_reader_close(WISP_TAKE(asking->response_trailers));
}

/* All of the body. */
static inline enum wisp_wrpc_reading read_all(struct asking *asking, struct wisp_buf *out)
{
    struct wisp_str bytes;
    for (;;) {
        enum wisp_wrpc_reading reading = wisp_wrpc_reader_peek(asking->response, &bytes, &world.err);
        if (reading == WISP_WRPC_READING_WAIT) {
            uv_run(&world.loop, UV_RUN_ONCE);
            continue;
        }
        if (reading != WISP_WRPC_READING_ITEM) return reading;
        wisp_buf_append_str(out, bytes);
        wisp_wrpc_reader_consume(asking->response, bytes.len);
    }
}

static inline void expect_body(struct asking *asking, const char *expected)
{
    WISP_CLEANUP_BUF struct wisp_buf body = {0};
    CHECK_INT(read_all(asking, &body), WISP_WRPC_READING_END);
    CHECK_STR(wisp_buf_str(&body), expected);
}

static inline void expect_code(struct asking *asking, uint32_t code)
{
    CHECK(asking->is_error);
    CHECK_INT(asking->code, code);
}

enum { GET = 0, HEAD = 1, POST = 2, CONNECT = 5, OTHER = 9 };
