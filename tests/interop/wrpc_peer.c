/* SPDX-License-Identifier: Apache-2.0 */
/* This project's wRPC, as the other side of somebody else's:
 *
 *     wrpc_peer serve PORT ID      serves an HTTP handler and a function at ID, both of which send back what they get;
 *                               the paths /whole and /nothing are answered at once; and the streams of wrpc_blobs.h
 *     wrpc_peer forward PORT ID    an HTTP server that forwards to ID; prints "listening on PORT"
 *     wrpc_peer call PORT ID       calls the function at ID and compares what comes back
 *     wrpc_peer stream PORT ID     calls the streams at ID and prints what comes back
 *
 * PORT is that of a NATS server on this machine. Ends on SIGTERM. */
#include "component/host/host_signature.h"
#include "wrpc/http.h"
#include "wrpc_blobs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUES                                                                                                         \
    "tuple<string, u32, s64, f64, char, bool, list<tuple<string, option<u64>>>, result<u16, string>, list<u8>>"

struct peer {
    uv_loop_t loop;
    struct wisp_bus_client *bus;
    struct wisp_wrpc *wrpc;
    struct wisp_arena arena;
    struct wisp_str id;
    const struct wisp_func_type *mirror;
    struct blobs *blobs;
    bool is_connected, is_done;
};

static const struct wisp_wrpc_function mirror = {WISP_STR_INIT("test:values/values@1.0.0"), WISP_STR_INIT("mirror")};

static void must(int result, const struct wisp_err *err)
{
    if (result == 0) return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

/* --- the echo --- */

static void pump(struct wisp_http_exchange *exchange, void *env)
{
    struct wisp_str bytes;
    struct wisp_err err;
    (void)env;
    for (size_t room; (room = wisp_http_room(exchange)) > 0;) {
        enum wisp_http_body state = wisp_http_body_peek(exchange, &bytes);
        if (state == WISP_HTTP_BODY_WAIT) return;
        if (state == WISP_HTTP_BODY_END) {
            must(wisp_http_end(exchange, exchange->trailers, exchange->n_trailers, &err), &err);
            return;
        }
        if (bytes.len > room) bytes.len = room;
        must(wisp_http_write(exchange, bytes.ptr, bytes.len, &err), &err);
        wisp_http_body_consume(exchange, bytes.len);
    }
}

static void echo(struct wisp_http_exchange *exchange, void *env)
{
    struct wisp_err err;
    struct wisp_http_header headers[3] = {{WISP_STR("x-method"), exchange->method},
                                          {WISP_STR("x-target"), exchange->target},
                                          {WISP_STR("x-authority"), exchange->authority}};
    struct wisp_http_response response = {200, headers, 3, WISP_HTTP_LENGTH_UNKNOWN};
    if (wisp_str_is(exchange->target, "/whole")) {
        must(wisp_http_reply(exchange, 200, headers, 3, WISP_STR("whole"), &err), &err);
        return;
    }
    if (wisp_str_is(exchange->target, "/nothing")) {
        must(wisp_http_reply(exchange, 204, headers, 3, WISP_STR(""), &err), &err);
        return;
    }
    must(wisp_http_start(exchange, &response, &err), &err);
    pump(exchange, env);
}

static void on_mirror(struct wisp_wrpc_incoming *call, const void *args, void *env)
{
    struct wisp_err err;
    (void)env;
    must(wisp_wrpc_incoming_finish(call, args, &err), &err);
}

static void on_flushed(const struct wisp_err *err, void *env)
{
    (void)env;
    if (err) exit(1);
    printf("serving\n");
    fflush(stdout);
}

static void serve(struct peer *peer)
{
    struct wisp_err err;
    struct wisp_wrpc_service *service;
    struct wisp_wrpc_http_options http = {.handler = {.on_request = echo, .on_body = pump, .on_drain = pump}};
    must(wisp_wrpc_service_new(&service, peer->wrpc, peer->id, &err), &err);
    must(wisp_wrpc_service_add(service, &mirror, peer->mirror, on_mirror, peer, &err), &err);
    must(wisp_wrpc_http_serve(service, &http, &err), &err);
    peer->blobs = blobs_new(peer->wrpc, &peer->loop);
    blobs_serve(peer->blobs, service);
    wisp_bus_flush(peer->bus, 10000, on_flushed, peer);
}

/* --- forwarding --- */

static void forward_request(struct wisp_http_exchange *exchange, void *env)
{
    struct peer *peer = env;
    struct wisp_bus_header source = {WISP_STR("source-id"), WISP_STR("peer")};
    struct wisp_wrpc_forward_options options = {
        .target = peer->id, .headers = &source, .n_headers = 1, .timeout_ms = 5000};
    exchange->user = wisp_wrpc_forward_new(peer->wrpc, exchange, &options);
}
static void forward_body(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    wisp_wrpc_forward_on_body(exchange->user);
}
static void forward_drain(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    wisp_wrpc_forward_on_drain(exchange->user);
}
static void forward_close(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    wisp_wrpc_forward_free(exchange->user);
}

static void forward(struct peer *peer)
{
    struct wisp_err err;
    struct wisp_http_server *server;
    struct wisp_http_options options = {.handler = {forward_request, forward_body, forward_drain, forward_close},
                                        .env = peer};
    struct wisp_http_address address = {.host = "127.0.0.1"};
    uint16_t port;
    must(wisp_http_server_new(&server, &peer->loop, &options, &err), &err);
    must(wisp_http_server_listen(server, &address, &port, &err), &err);
    printf("listening on %u\n", port);
    fflush(stdout);
}

/* --- calling --- */

struct entry {
    struct wisp_str name;
    struct {
        uint32_t is_some;
        uint64_t value;
    } number;
};

struct values {
    struct wisp_str text;
    uint32_t number;
    int64_t negative;
    double real;
    uint32_t scalar;
    bool yes;
    struct {
        const struct entry *ptr;
        size_t len;
    } entries;
    struct {
        uint32_t is_error;
        struct wisp_str error;
    } result;
    struct wisp_str bytes;
};

static bool is_same(const struct values *a, const struct values *b)
{
    if (a->entries.len != b->entries.len) return false;
    for (size_t i = 0; i < a->entries.len; i++) {
        const struct entry *x = &a->entries.ptr[i], *y = &b->entries.ptr[i];
        if (!wisp_str_equal(x->name, y->name) || x->number.is_some != y->number.is_some ||
            x->number.value != y->number.value)
            return false;
    }
    return wisp_str_equal(a->text, b->text) && a->number == b->number && a->negative == b->negative &&
           a->real == b->real && a->scalar == b->scalar && a->yes == b->yes &&
           a->result.is_error == b->result.is_error && wisp_str_equal(a->result.error, b->result.error) &&
           wisp_str_equal(a->bytes, b->bytes);
}

static const struct entry entries[] = {{WISP_STR_INIT("a"), {1, UINT64_MAX}}, {WISP_STR_INIT(""), {0, 0}}};
static char large[3000000];
static const struct values sent = {.text = WISP_STR_INIT("h\xc3\xa4"),
                                   .number = UINT32_MAX,
                                   .negative = INT64_MIN,
                                   .real = -0.5,
                                   .scalar = 0x1f600,
                                   .yes = true,
                                   .entries = {entries, 2},
                                   .result = {1, WISP_STR_INIT("no")},
                                   .bytes = {large, sizeof large}};

static void on_result(const void *result, const struct wisp_err *err, void *env)
{
    struct peer *peer = env;
    must(err ? -1 : 0, err);
    printf("mirror %s\n", is_same(result, &sent) ? "ok" : "crooked");
    peer->is_done = true;
}

static void call(struct peer *peer)
{
    struct wisp_err err;
    struct wisp_wrpc_call *started;
    struct wisp_wrpc_target target = {.id = peer->id, .function = mirror, .timeout_ms = 10000};
    memset(large, 7, sizeof large);
    must(wisp_wrpc_call_start(peer->wrpc, &target, peer->mirror, &sent, &peer->arena, on_result, peer, &started, &err),
         &err);
    while (!peer->is_done) uv_run(&peer->loop, UV_RUN_ONCE);
    exit(0);
}

static void stream(struct peer *peer)
{
    peer->blobs = blobs_new(peer->wrpc, &peer->loop);
    blobs_call(peer->blobs, peer->id);
    exit(0);
}

/* --- */

static void on_state(enum wisp_bus_state state, const struct wisp_err *reason, void *env)
{
    (void)reason;
    ((struct peer *)env)->is_connected = state == WISP_BUS_CONNECTED;
}

static void connect_peer(struct peer *peer, const char *port)
{
    char url[64];
    const char *urls = url;
    struct wisp_err err;
    struct wisp_map resources = {0};
    struct wisp_signature_names names = {.arena = &peer->arena, .resources = &resources};
    snprintf(url, sizeof url, "nats://127.0.0.1:%s", port);
    uv_loop_init(&peer->loop);
    struct wisp_bus_client_options options = {.urls = &urls, .n_urls = 1, .fd = -1, .on_state = on_state, .env = peer};
    must(wisp_bus_client_new(&peer->bus, &peer->loop, &options, &err), &err);
    struct wisp_wrpc_options wrpc = {.loop = &peer->loop, .bus = peer->bus, .lattice = "default"};
    must(wisp_wrpc_new(&peer->wrpc, &wrpc, &err), &err);
    must(wisp_signature_parse(&names, WISP_STR("(" VALUES ") -> " VALUES), &peer->mirror, &err), &err);
    if (peer->mirror->native_params_size != sizeof(struct values)) abort();
    while (!peer->is_connected) uv_run(&peer->loop, UV_RUN_ONCE);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct peer *peer);
    } verbs[] = {{"serve", serve}, {"forward", forward}, {"call", call}, {"stream", stream}};
    struct peer peer = {0};
    for (size_t i = 0; argc == 4 && i < WISP_COUNT(verbs); i++) {
        if (strcmp(argv[1], verbs[i].name) != 0) continue;
        connect_peer(&peer, argv[2]);
        peer.id = wisp_str_from(argv[3]);
        verbs[i].run(&peer);
        return uv_run(&peer.loop, UV_RUN_DEFAULT);
    }
    fprintf(stderr, "usage: %s serve|forward|call|stream PORT ID\n", argv[0]);
    return 2;
}
