/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the protocol: a connection without a socket, a client at its other end, and a clock that the test moves.
 * Functions of the test are called from within the server's callbacks, with the exchange in rig->exchange. */
#pragma once

#include "base/mem.h"
#include "http/conn.h"
#include "test.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

/* --- a connection and the client at its other end --- */

struct rig {
    struct wisp_http_shared shared;
    struct wisp_http_conn conn;
    struct wisp_buf received; /* by the client */
    size_t kernel_room;       /* bytes that the kernel takes before it says that it is full */
    struct wisp_http_block *sending;
    struct wisp_str sending_left;
    bool is_scheduled;
    enum wisp_http_next next;
    struct wisp_http_exchange *exchange; /* open now */
    char log[2048];
    struct wisp_err err;
    void (*on_request)(struct rig *rig);
    void (*on_body)(struct rig *rig);
    void (*on_drain)(struct rig *rig);
};

static inline struct rig *rig_of(struct wisp_http_conn *conn)
{
    return (struct rig *)(void *)((char *)conn - offsetof(struct rig, conn));
}

static inline void schedule(struct wisp_http_conn *conn) { rig_of(conn)->is_scheduled = true; }

static inline bool peer(struct wisp_http_conn *conn, struct sockaddr_storage *ret_peer)
{
    (void)conn;
    ret_peer->ss_family = AF_INET;
    return true;
}

__attribute__((format(printf, 2, 3))) static inline void note(struct rig *rig, const char *format, ...)
{
    va_list args;
    size_t used = strlen(rig->log);
    va_start(args, format);
    vsnprintf(rig->log + used, sizeof rig->log - used, format, args);
    va_end(args);
}

static inline void on_request(struct wisp_http_exchange *exchange, void *env)
{
    struct rig *rig = env;
    CHECK(!rig->exchange && !exchange->user);
    exchange->user = rig;
    rig->exchange = exchange;
    note(rig, "%.*s %.*s;", WISP_STR_ARG(exchange->method), WISP_STR_ARG(exchange->target));
    if (rig->on_request) rig->on_request(rig);
}

static inline void on_body(struct wisp_http_exchange *exchange, void *env)
{
    struct rig *rig = env;
    CHECK(exchange == rig->exchange && exchange->user == rig);
    note(rig, "body;");
    if (rig->on_body) rig->on_body(rig);
}

static inline void on_drain(struct wisp_http_exchange *exchange, void *env)
{
    struct rig *rig = env;
    CHECK(exchange == rig->exchange);
    note(rig, "drain;");
    if (rig->on_drain) rig->on_drain(rig);
}

static inline void on_close(struct wisp_http_exchange *exchange, void *env)
{
    static const char *const names[] = {"open",      "complete", "gone",    "timeout",
                                        "malformed", "large",    "aborted", "stopped"};
    struct rig *rig = env;
    CHECK(exchange == rig->exchange);
    rig->exchange = NULL;
    note(rig, "%s;", names[exchange->outcome]);
}

static const struct wisp_http_transport transport = {.schedule = schedule, .peer = peer};

static inline struct wisp_http_options rig_options(void)
{
    return (struct wisp_http_options){
        .handler = {.on_request = on_request, .on_body = on_body, .on_drain = on_drain, .on_close = on_close},
        .head_timeout_ms = 100,
        .idle_timeout_ms = 200,
        .body_timeout_ms = 300,
        .write_timeout_ms = 400};
}

static inline void rig_init(struct rig *rig, struct wisp_http_options options)
{
    memset(rig, 0, sizeof *rig);
    options.env = rig;
    wisp_http_shared_init(&rig->shared, &options, &transport);
    rig->shared.now_ms = 1000;
    wisp_http_conn_init(&rig->conn, &rig->shared);
    rig->kernel_room = SIZE_MAX;
}

static inline void rig_deinit(struct rig *rig)
{
    wisp_http_conn_deinit(&rig->conn, WISP_HTTP_STOPPED);
    wisp_http_block_put(&rig->shared, rig->sending);
    CHECK_INT(rig->shared.stats.in_flight, 0);
    wisp_http_shared_deinit(&rig->shared);
    wisp_buf_deinit(&rig->received);
}

/* What the kernel takes of it, the client has. */
static inline size_t deliver(struct rig *rig, struct wisp_str bytes)
{
    size_t n = bytes.len < rig->kernel_room ? bytes.len : rig->kernel_room;
    if (rig->kernel_room != SIZE_MAX) rig->kernel_room -= n;
    wisp_buf_append(&rig->received, bytes.ptr, n);
    return n;
}

static inline void send_async(struct rig *rig)
{
    while (rig->sending) {
        size_t n = deliver(rig, rig->sending_left);
        rig->sending_left.ptr += n;
        rig->sending_left.len -= n;
        if (rig->sending_left.len > 0) return;
        wisp_http_conn_output_done(&rig->conn, WISP_TAKE(rig->sending));
    }
}

/* As the owner of a socket does after each call, and before its loop sleeps. */
static inline void settle(struct rig *rig)
{
    do {
        if (rig->is_scheduled) wisp_http_conn_run(&rig->conn);
        rig->is_scheduled = false;
        rig->next = wisp_http_conn_next(&rig->conn);
        if (rig->next == WISP_HTTP_NEXT_RESET) return;
        send_async(rig);
        struct wisp_str output = wisp_http_conn_output(&rig->conn);
        if (output.len > 0)
            rig->sending = wisp_http_conn_output_sent(&rig->conn, deliver(rig, output), &rig->sending_left);
        rig->is_scheduled |= wisp_http_conn_wants_run(&rig->conn);
    } while (rig->is_scheduled);
    rig->next = wisp_http_conn_next(&rig->conn);
}

/* The client sends this in pieces; returns how much was read of it. */
static inline size_t client_sends(struct rig *rig, struct wisp_str text, size_t piece)
{
    size_t sent = 0;
    while (sent < text.len && wisp_http_conn_wants_input(&rig->conn)) {
        size_t size, n = text.len - sent < piece ? text.len - sent : piece;
        char *space = wisp_http_conn_space(&rig->conn, &size);
        if (n > size) n = size;
        memcpy(space, text.ptr + sent, n);
        sent += n;
        wisp_http_conn_input(&rig->conn, n);
        settle(rig);
    }
    return sent;
}

static inline void client_says(struct rig *rig, const char *text)
{
    CHECK_INT(client_sends(rig, wisp_str_from(text), SIZE_MAX), strlen(text));
}

static inline void client_closes(struct rig *rig)
{
    wisp_http_conn_eof(&rig->conn);
    settle(rig);
}

static inline void pass_time(struct rig *rig, uint64_t ms)
{
    rig->shared.now_ms += ms;
    wisp_http_conn_tick(&rig->conn);
    settle(rig);
}

/* What the client received, with the date taken out. */
static const char *received(struct rig *rig)
{
    wisp_buf_append_char(&rig->received, '\0');
    rig->received.len--;
    for (char *date; (date = strstr(rig->received.data, "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"));) {
        char *after = date + WISP_HTTP_DATE_BYTES;
        memmove(date, after, strlen(after) + 1);
        rig->received.len -= WISP_HTTP_DATE_BYTES;
    }
    return rig->received.data;
}

static inline void forget(struct rig *rig)
{
    rig->received.len = 0;
    rig->log[0] = '\0';
}

/* --- handlers --- */

static inline void reply_hello(struct rig *rig)
{
    CHECK_OK(wisp_http_reply(rig->exchange, 200, NULL, 0, WISP_STR("hello"), &rig->err), &rig->err);
}

static inline void reply_target(struct rig *rig)
{
    CHECK_OK(wisp_http_reply(rig->exchange, 200, NULL, 0, rig->exchange->target, &rig->err), &rig->err);
}

static inline void start(struct rig *rig, uint16_t status, uint64_t content_length)
{
    struct wisp_http_response response = {.status = status, .content_length = content_length};
    CHECK_OK(wisp_http_start(rig->exchange, &response, &rig->err), &rig->err);
}
static inline void start_unknown(struct rig *rig) { start(rig, 200, WISP_HTTP_LENGTH_UNKNOWN); }

static inline void write_text(struct rig *rig, const char *text)
{
    CHECK_OK(wisp_http_write(rig->exchange, text, strlen(text), &rig->err), &rig->err);
}

static inline void end(struct rig *rig) { CHECK_OK(wisp_http_end(rig->exchange, NULL, 0, &rig->err), &rig->err); }

/* Sends the body back as it comes. */
static inline void pump(struct rig *rig)
{
    struct wisp_str bytes;
    for (size_t room; (room = wisp_http_room(rig->exchange)) > 0;) {
        enum wisp_http_body state = wisp_http_body_peek(rig->exchange, &bytes);
        if (state == WISP_HTTP_BODY_END) end(rig);
        if (state != WISP_HTTP_BODY_DATA) return;
        size_t size = bytes.len < room ? bytes.len : room;
        CHECK_OK(wisp_http_write(rig->exchange, bytes.ptr, size, &rig->err), &rig->err);
        wisp_http_body_consume(rig->exchange, size);
    }
}
static inline void echo(struct rig *rig)
{
    start_unknown(rig);
    pump(rig);
}

static inline void use_echo(struct rig *rig)
{
    rig->on_request = echo;
    rig->on_body = rig->on_drain = pump;
}

static inline void ask_for_body(struct rig *rig)
{
    struct wisp_str bytes;
    CHECK_INT(wisp_http_body_peek(rig->exchange, &bytes), WISP_HTTP_BODY_WAIT);
}

static inline void start_and_write(struct rig *rig)
{
    start_unknown(rig);
    write_text(rig, "hello");
}

static inline void fill(struct rig *rig)
{
    static const char bytes[1000] = {1};
    for (size_t room; (room = wisp_http_room(rig->exchange)) > 0;) {
        size_t n = room < sizeof bytes ? room : sizeof bytes;
        CHECK_OK(wisp_http_write(rig->exchange, bytes, n, &rig->err), &rig->err);
    }
}
static inline void start_and_fill(struct rig *rig)
{
    start_unknown(rig);
    fill(rig);
}
