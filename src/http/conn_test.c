/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol of a connection, without sockets and with a clock that the test moves. */
#include "base/mem.h"
#include "http/conn.h"
#include "test.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* --- a connection and the client at its other end --- */

struct rig {
    struct wisp_http_shared shared;
    struct wisp_http_conn conn;
    struct wisp_buf received;   /* by the client */
    size_t kernel_room;         /* bytes that the kernel takes before it says that it is full */
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

static struct rig *rig_of(struct wisp_http_conn *conn)
{
    return (struct rig *)(void *)((char *)conn - offsetof(struct rig, conn));
}

static void schedule(struct wisp_http_conn *conn) { rig_of(conn)->is_scheduled = true; }

static bool peer(struct wisp_http_conn *conn, struct sockaddr_storage *ret_peer)
{
    (void)conn;
    ret_peer->ss_family = AF_INET;
    return true;
}

static void note(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct rig *rig, const char *format, ...)
{
    va_list args;
    size_t used = strlen(rig->log);
    va_start(args, format);
    vsnprintf(rig->log + used, sizeof rig->log - used, format, args);
    va_end(args);
}

static void on_request(struct wisp_http_exchange *exchange, void *env)
{
    struct rig *rig = env;
    CHECK(!rig->exchange && !exchange->user);
    exchange->user = rig;
    rig->exchange = exchange;
    note(rig, "%.*s %.*s;", WISP_STR_ARG(exchange->method), WISP_STR_ARG(exchange->target));
    if (rig->on_request) rig->on_request(rig);
}

static void on_body(struct wisp_http_exchange *exchange, void *env)
{
    struct rig *rig = env;
    CHECK(exchange == rig->exchange && exchange->user == rig);
    note(rig, "body;");
    if (rig->on_body) rig->on_body(rig);
}

static void on_drain(struct wisp_http_exchange *exchange, void *env)
{
    struct rig *rig = env;
    CHECK(exchange == rig->exchange);
    note(rig, "drain;");
    if (rig->on_drain) rig->on_drain(rig);
}

static void on_close(struct wisp_http_exchange *exchange, void *env)
{
    static const char *const names[] = {"open", "complete", "gone", "timeout", "malformed", "large", "aborted", "stopped"};
    struct rig *rig = env;
    CHECK(exchange == rig->exchange);
    rig->exchange = NULL;
    note(rig, "%s;", names[exchange->outcome]);
}

static const struct wisp_http_transport transport = {.schedule = schedule, .peer = peer};

static struct wisp_http_options rig_options(void)
{
    return (struct wisp_http_options){
        .handler = {.on_request = on_request, .on_body = on_body, .on_drain = on_drain, .on_close = on_close},
        .head_timeout_ms = 100, .idle_timeout_ms = 200, .body_timeout_ms = 300, .write_timeout_ms = 400};
}

static void rig_init(struct rig *rig, struct wisp_http_options options)
{
    memset(rig, 0, sizeof *rig);
    options.env = rig;
    wisp_http_shared_init(&rig->shared, &options, &transport);
    rig->shared.now_ms = 1000;
    wisp_http_conn_init(&rig->conn, &rig->shared);
    rig->kernel_room = SIZE_MAX;
}

static void rig_deinit(struct rig *rig)
{
    wisp_http_conn_deinit(&rig->conn, WISP_HTTP_STOPPED);
    wisp_http_block_put(&rig->shared, rig->sending);
    CHECK_INT(rig->shared.stats.in_flight, 0);
    wisp_http_shared_deinit(&rig->shared);
    wisp_buf_deinit(&rig->received);
}

/* What the kernel takes of it, the client has. */
static size_t deliver(struct rig *rig, struct wisp_str bytes)
{
    size_t n = bytes.len < rig->kernel_room ? bytes.len : rig->kernel_room;
    if (rig->kernel_room != SIZE_MAX) rig->kernel_room -= n;
    wisp_buf_append(&rig->received, bytes.ptr, n);
    return n;
}

static void send_async(struct rig *rig)
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
static void settle(struct rig *rig)
{
    do {
        if (rig->is_scheduled) wisp_http_conn_run(&rig->conn);
        rig->is_scheduled = false;
        rig->next = wisp_http_conn_next(&rig->conn);
        if (rig->next == WISP_HTTP_NEXT_RESET) return;
        send_async(rig);
        struct wisp_str output = wisp_http_conn_output(&rig->conn);
        if (output.len > 0) rig->sending = wisp_http_conn_output_sent(&rig->conn, deliver(rig, output), &rig->sending_left);
        rig->is_scheduled |= wisp_http_conn_wants_run(&rig->conn);
    } while (rig->is_scheduled);
    rig->next = wisp_http_conn_next(&rig->conn);
}

/* The client sends this in pieces; returns how much was read of it. */
static size_t client_sends(struct rig *rig, struct wisp_str text, size_t piece)
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

static void client_says(struct rig *rig, const char *text)
{
    CHECK_INT(client_sends(rig, wisp_str_from(text), SIZE_MAX), strlen(text));
}

static void client_closes(struct rig *rig)
{
    wisp_http_conn_eof(&rig->conn);
    settle(rig);
}

static void pass_time(struct rig *rig, uint64_t ms)
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

static void forget(struct rig *rig)
{
    rig->received.len = 0;
    rig->log[0] = '\0';
}

/* --- handlers --- */

static void reply_hello(struct rig *rig) { CHECK_OK(wisp_http_reply(rig->exchange, 200, NULL, 0, WISP_STR("hello"), &rig->err), &rig->err); }

static void reply_target(struct rig *rig)
{
    CHECK_OK(wisp_http_reply(rig->exchange, 200, NULL, 0, rig->exchange->target, &rig->err), &rig->err);
}

static void start(struct rig *rig, uint16_t status, uint64_t content_length)
{
    struct wisp_http_response response = {.status = status, .content_length = content_length};
    CHECK_OK(wisp_http_start(rig->exchange, &response, &rig->err), &rig->err);
}
static void start_unknown(struct rig *rig) { start(rig, 200, WISP_HTTP_LENGTH_UNKNOWN); }

static void write_text(struct rig *rig, const char *text)
{
    CHECK_OK(wisp_http_write(rig->exchange, text, strlen(text), &rig->err), &rig->err);
}

static void end(struct rig *rig) { CHECK_OK(wisp_http_end(rig->exchange, NULL, 0, &rig->err), &rig->err); }

/* Sends the body back as it comes. */
static void pump(struct rig *rig)
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
static void echo(struct rig *rig)
{
    start_unknown(rig);
    pump(rig);
}

static void use_echo(struct rig *rig)
{
    rig->on_request = echo;
    rig->on_body = rig->on_drain = pump;
}

static void ask_for_body(struct rig *rig)
{
    struct wisp_str bytes;
    CHECK_INT(wisp_http_body_peek(rig->exchange, &bytes), WISP_HTTP_BODY_WAIT);
}

/* --- responses --- */

TEST(a_reply_known_at_once)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = reply_hello;
    client_says(&rig, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_HAS(rig.received.data, "\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    CHECK_TEXT(rig.log, "GET /x;complete;");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_GO_ON);
    CHECK(!rig.conn.in && !rig.conn.out); /* an idle connection holds no buffers */
    rig_deinit(&rig);
}

static void many_small_writes(struct rig *rig)
{
    start_unknown(rig);
    write_text(rig, "hel");
    write_text(rig, "");
    write_text(rig, "lo");
    end(rig);
}

TEST(a_response_that_ends_in_the_same_turn_gets_a_length)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = many_small_writes;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    forget(&rig);
    client_says(&rig, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_GO_ON);
    rig_deinit(&rig);
}

TEST(a_response_that_goes_on_is_chunked)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = start_unknown;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    write_text(&rig, "0123456789abcdef!");
    CHECK(rig.is_scheduled);
    settle(&rig);
    write_text(&rig, "x");
    end(&rig);
    CHECK(rig.exchange); /* on_close does not come from within a call */
    settle(&rig);
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
                               "11\r\n0123456789abcdef!\r\n1\r\nx\r\n0\r\n\r\n");
    CHECK_TEXT(rig.log, "GET /;complete;");
    rig_deinit(&rig);
}

static void start_and_write(struct rig *rig)
{
    start_unknown(rig);
    write_text(rig, "hello");
}

TEST(what_was_written_before_the_framing_was_known_becomes_one_chunk)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = start_and_write;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    end(&rig);
    settle(&rig);
    CHECK_HAS(received(&rig), "5\r\nhello\r\n0\r\n\r\n");
    rig_deinit(&rig);
}

TEST(http_1_0_ends_an_unknown_body_with_the_connection)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = start_and_write;
    client_says(&rig, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    write_text(&rig, "!");
    end(&rig);
    settle(&rig);
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello!");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);
}

static void write_large(struct rig *rig)
{
    char bytes[5000];
    memset(bytes, 'x', sizeof bytes);
    start_unknown(rig);
    write_text(rig, "ab");
    CHECK_OK(wisp_http_write(rig->exchange, bytes, sizeof bytes, &rig->err), &rig->err);
    end(rig);
}

TEST(a_large_body_is_not_held_back_for_a_length)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = write_large;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_HAS(received(&rig), "chunked\r\n\r\n2\r\nab\r\n1388\r\nxxx");
    CHECK_HAS(received(&rig), "xxx\r\n0\r\n\r\n");
    CHECK_INT(rig.received.len, strlen("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1388\r\n") + 5000 + 7);
    rig_deinit(&rig);
}

static const struct wisp_http_header sum = {WISP_STR_INIT("x-sum"), WISP_STR_INIT("1")};

static void reply_with_trailers(struct rig *rig)
{
    start_and_write(rig);
    CHECK_OK(wisp_http_end(rig->exchange, &sum, 1, &rig->err), &rig->err);
}

TEST(trailers_of_a_response)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = reply_with_trailers;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n");
    forget(&rig);
    client_says(&rig, "GET / HTTP/1.0\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
    rig_deinit(&rig);
}

static void reply_status(struct rig *rig)
{
    uint64_t status = 0;
    for (size_t i = 1; i < rig->exchange->target.len; i++) status = status * 10 + (uint64_t)(rig->exchange->target.ptr[i] - '0');
    CHECK_OK(wisp_http_reply(rig->exchange, (uint16_t)status, NULL, 0, WISP_STR("hello"), &rig->err), &rig->err);
}

TEST(responses_without_a_body)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = reply_status;
    client_says(&rig, "HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\nGET /204 HTTP/1.1\r\nHost: a\r\n\r\nGET /304 HTTP/1.1\r\nHost: a\r\n\r\n"
                      "GET /299 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
                               "HTTP/1.1 204 No Content\r\n\r\n"
                               "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"
                               "HTTP/1.1 299 \r\ncontent-length: 5\r\n\r\nhello");
    forget(&rig);
    rig.on_request = many_small_writes;
    client_says(&rig, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\n\r\n");
    rig_deinit(&rig);
}

TEST(a_stated_length_is_kept_to)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_FAILS(wisp_http_write(rig.exchange, "a", 1, &rig.err), INVALID);
    CHECK_FAILS(wisp_http_end(rig.exchange, NULL, 0, &rig.err), INVALID);
    start(&rig, 200, 3);
    CHECK_FAILS(wisp_http_write(rig.exchange, "abcd", 4, &rig.err), INVALID);
    write_text(&rig, "ab");
    CHECK_FAILS(wisp_http_end(rig.exchange, NULL, 0, &rig.err), INVALID);
    CHECK_HAS(rig.err.text, "2 of 3 bytes");
    CHECK_FAILS(wisp_http_write(rig.exchange, "cd", 2, &rig.err), INVALID);
    write_text(&rig, "c");
    end(&rig);
    CHECK_FAILS(wisp_http_write(rig.exchange, "d", 1, &rig.err), INVALID);
    CHECK_FAILS(wisp_http_end(rig.exchange, NULL, 0, &rig.err), INVALID);
    settle(&rig);
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
    rig_deinit(&rig);
}

TEST(headers_that_are_refused)
{
    static const struct wisp_http_header bad[] = {
        {WISP_STR_INIT(""), WISP_STR_INIT("a")},
        {WISP_STR_INIT("a b"), WISP_STR_INIT("a")},
        {WISP_STR_INIT("a:"), WISP_STR_INIT("a")},
        {WISP_STR_INIT("a\r\nb"), WISP_STR_INIT("a")},
        {WISP_STR_INIT("a"), WISP_STR_INIT("a\r\nb: c")},
        {WISP_STR_INIT("a"), WISP_STR_INIT("a\nb")},
        {WISP_STR_INIT("a"), WISP_STR_INIT("a\rb")},
        {WISP_STR_INIT("a"), WISP_STR_INIT("a\0b")},
        {WISP_STR_INIT("a"), WISP_STR_INIT("\x7f")},
        {WISP_STR_INIT("Connection"), WISP_STR_INIT("close")},
        {WISP_STR_INIT("keep-alive"), WISP_STR_INIT("1")},
        {WISP_STR_INIT("Proxy-Connection"), WISP_STR_INIT("close")},
        {WISP_STR_INIT("Transfer-Encoding"), WISP_STR_INIT("chunked")},
        {WISP_STR_INIT("TE"), WISP_STR_INIT("trailers")},
        {WISP_STR_INIT("upgrade"), WISP_STR_INIT("h2c")},
        {WISP_STR_INIT("Content-Length"), WISP_STR_INIT("5")},
    };
    struct rig rig;
    rig_init(&rig, rig_options());
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        struct wisp_http_response response = {.status = 200, .headers = &bad[i], .n_headers = 1};
        CHECK_FAILS(wisp_http_start(rig.exchange, &response, &rig.err), INVALID);
    }
    uint16_t statuses[] = {0, 100, 101, 199, 600};
    for (size_t i = 0; i < WISP_COUNT(statuses); i++) {
        struct wisp_http_response response = {.status = statuses[i]};
        CHECK_FAILS(wisp_http_start(rig.exchange, &response, &rig.err), INVALID);
    }
    start_unknown(&rig);
    struct wisp_http_response again = {.status = 200};
    CHECK_FAILS(wisp_http_start(rig.exchange, &again, &rig.err), INVALID);
    for (size_t i = 0; i < WISP_COUNT(bad); i++) CHECK_FAILS(wisp_http_end(rig.exchange, &bad[i], 1, &rig.err), INVALID);
    end(&rig);
    settle(&rig);
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    rig_deinit(&rig);
}

static void reply_with_headers(struct rig *rig)
{
    static const struct wisp_http_header headers[] = {{WISP_STR_INIT("Date"), WISP_STR_INIT("now")},
                                                      {WISP_STR_INIT("a"), WISP_STR_INIT("\t\xff")},
                                                      {WISP_STR_INIT("a"), {NULL, 0}}};
    CHECK_OK(wisp_http_reply(rig->exchange, 404, headers, 3, WISP_STR(""), &rig->err), &rig->err);
}

TEST(headers_go_out_as_they_are)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = reply_with_headers;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 404 Not Found\r\nDate: now\r\na: \t\xff\r\na: \r\ncontent-length: 0\r\n\r\n");
    rig_deinit(&rig);
}

/* --- one request after the other --- */

TEST(pipelined_requests_are_answered_in_order)
{
    struct rig rig;
    for (size_t piece = 1; piece < 60; piece += 7) {
        rig_init(&rig, rig_options());
        rig.on_request = reply_target;
        CHECK_INT(client_sends(&rig, WISP_STR("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /22 HTTP/1.1\r\nHost: a\r\n\r\n\r\n"
                                              "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), piece), 112);
        CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/1HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n/22"
                                   "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n/3");
        CHECK_TEXT(rig.log, "GET /1;complete;GET /22;complete;GET /3;complete;");
        CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
        rig_deinit(&rig);
    }
}

TEST(the_next_request_waits_for_the_response)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    client_says(&rig, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(rig.log, "GET /1;");
    struct wisp_str target = rig.exchange->target;
    client_says(&rig, "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_STR(target, "/1");
    reply_target(&rig);
    settle(&rig);
    CHECK_TEXT(rig.log, "GET /1;complete;GET /2;");
    reply_target(&rig);
    settle(&rig);
    CHECK_TEXT(rig.log, "GET /1;complete;GET /2;complete;GET /3;");
    rig_deinit(&rig);
}

TEST(what_is_sent_ahead_is_bounded)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    char junk[8192];
    memset(junk, 'x', sizeof junk);
    size_t total = 0;
    for (int i = 0; i < 100; i++) total += client_sends(&rig, (struct wisp_str){junk, sizeof junk}, SIZE_MAX);
    CHECK(total > 0 && total < 20000);
    CHECK(!wisp_http_conn_wants_input(&rig.conn));
    reply_hello(&rig);
    settle(&rig);
    CHECK_HAS(received(&rig), "hello");
    CHECK_HAS(received(&rig), "HTTP/1.1 414 ");
    rig_deinit(&rig);
}

TEST(connection_close_and_what_comes_after_it)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = reply_target;
    client_says(&rig, "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(rig.log, "GET /1;complete;");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT); /* something came after all: linger */
    client_says(&rig, "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(rig.log, "GET /1;complete;");
    client_closes(&rig);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
    rig_deinit(&rig);
}

TEST(blank_lines_before_a_request)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = reply_target;
    client_says(&rig, "\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(rig.log, "GET /1;complete;");
    client_says(&rig, "\r\n\r\n");
    CHECK_HAS(received(&rig), "HTTP/1.1 400 Bad Request\r\n");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);
}

/* --- bodies --- */

#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static void check_echo(const char *request, const char *expected)
{
    struct wisp_str text = wisp_str_from(request);
    for (size_t piece = 1; piece <= text.len; piece += piece < 20 ? 1 : 13) {
        struct rig rig;
        rig_init(&rig, rig_options());
        use_echo(&rig);
        CHECK_INT(client_sends(&rig, text, piece), text.len);
        /* However the response was framed, its pieces in their order are the body. */
        const char *body = strstr(received(&rig), "\r\n\r\n");
        CHECK(body);
        char joined[256] = "";
        if (strstr(rig.received.data, "chunked")) {
            for (const char *at = body + 4; *at && *at != '0';) {
                int size, used;
                CHECK_INT(sscanf(at, "%x\r\n%n", (unsigned *)&size, &used), 1);
                strncat(joined, at + used, (size_t)size);
                at += used + size + 2;
            }
        } else {
            strncat(joined, body + 4, sizeof joined - 1);
        }
        CHECK_TEXT(joined, expected);
        CHECK_HAS(rig.log, "complete;");
        CHECK_INT(rig.next, WISP_HTTP_NEXT_GO_ON);
        rig_deinit(&rig);
    }
}

TEST(sized_bodies_however_they_come) { check_echo(POST "Content-Length: 11\r\n\r\nhello world", "hello world"); }

TEST(chunked_bodies_however_they_come)
{
    check_echo(POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\n\r\n", "hello world");
    check_echo(POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", "abc");
}

static void read_all(struct rig *rig)
{
    struct wisp_str bytes;
    enum wisp_http_body state;
    while ((state = wisp_http_body_peek(rig->exchange, &bytes)) == WISP_HTTP_BODY_DATA) wisp_http_body_consume(rig->exchange, bytes.len);
    if (state == WISP_HTTP_BODY_WAIT) return;
    CHECK_INT(rig->exchange->n_trailers, 2);
    CHECK_STR(rig->exchange->trailers[0].name, "x-sum");
    CHECK_STR(rig->exchange->trailers[1].value, "b c");
    CHECK_STR(rig->exchange->headers[0].value, "a");
    reply_hello(rig);
}

TEST(trailers_of_a_request)
{
    struct wisp_str text = WISP_STR(POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nx: b c \r\n\r\n");
    for (size_t piece = 1; piece <= text.len; piece++) {
        struct rig rig;
        rig_init(&rig, rig_options());
        rig.on_request = rig.on_body = read_all;
        client_sends(&rig, text, piece);
        CHECK_HAS(rig.log, "complete;");
        client_sends(&rig, text, piece);
        rig_deinit(&rig);
    }
}

TEST(what_the_exchange_says_about_its_body)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct wisp_str bytes;
    CHECK_INT(rig.exchange->content_length, 0);
    CHECK_INT(wisp_http_body_peek(rig.exchange, &bytes), WISP_HTTP_BODY_END);
    CHECK(wisp_http_peer(rig.exchange)->sa_family == AF_INET);
    reply_hello(&rig);
    settle(&rig);
    client_says(&rig, POST "Content-Length: 3\r\n\r\nabc");
    CHECK_INT(rig.exchange->content_length, 3);
    CHECK_INT(wisp_http_body_peek(rig.exchange, &bytes), WISP_HTTP_BODY_DATA);
    CHECK_STR(bytes, "abc");
    wisp_http_body_consume(rig.exchange, 2);
    CHECK_INT(wisp_http_body_peek(rig.exchange, &bytes), WISP_HTTP_BODY_DATA);
    CHECK_STR(bytes, "c");
    reply_hello(&rig);
    settle(&rig);
    client_says(&rig, POST "Transfer-Encoding: chunked\r\n\r\n");
    CHECK(rig.exchange->content_length == WISP_HTTP_LENGTH_UNKNOWN);
    rig_deinit(&rig);
}

TEST(reading_stops_at_the_window)
{
    struct rig rig;
    char bytes[10000];
    memset(bytes, 'x', sizeof bytes);
    rig_init(&rig, rig_options());
    client_says(&rig, POST "Content-Length: 1000000\r\n\r\n");
    size_t sent = 0, n;
    while ((n = client_sends(&rig, (struct wisp_str){bytes, sizeof bytes}, SIZE_MAX)) > 0) sent += n;
    CHECK(sent >= 65536 && sent < 90000);
    struct wisp_str view;
    size_t consumed = 0;
    while (consumed < 1000000) {
        CHECK_INT(wisp_http_body_peek(rig.exchange, &view), WISP_HTTP_BODY_DATA);
        size_t part = view.len / 3 + 1;
        wisp_http_body_consume(rig.exchange, part);
        consumed += part;
        settle(&rig);
        n = 1000000 - sent < sizeof bytes ? 1000000 - sent : sizeof bytes;
        sent += client_sends(&rig, (struct wisp_str){bytes, n}, SIZE_MAX);
    }
    CHECK_INT(sent, 1000000);
    CHECK_INT(wisp_http_body_peek(rig.exchange, &view), WISP_HTTP_BODY_END);
    CHECK_INT(rig.conn.in ? rig.conn.in->capacity : 0, rig.shared.large_block_bytes);
    rig_deinit(&rig);
}

TEST(a_body_nobody_reads_is_skipped_when_it_is_small)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = reply_hello;
    client_says(&rig, POST "Content-Length: 10\r\n\r\nabc");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    CHECK_INT(rig.conn.phase, WISP_HTTP_PHASE_SKIP);
    client_says(&rig, "defghijGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(rig.log, "POST /;complete;GET /2;complete;");
    client_says(&rig, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client_says(&rig, "0\r\nx: y\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_HAS(rig.log, "GET /3;complete;");
    client_says(&rig, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client_says(&rig, "x");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);
}

TEST(a_body_nobody_reads_ends_the_connection_when_it_is_large)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = reply_hello;
    client_says(&rig, POST "Content-Length: 10000000\r\n\r\nabc");
    CHECK_HAS(received(&rig), "hello");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);

    rig_init(&rig, rig_options());
    rig.on_request = reply_hello;
    client_says(&rig, POST "Transfer-Encoding: chunked\r\n\r\nffffff\r\n");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_GO_ON);
    char bytes[10000];
    memset(bytes, 'x', sizeof bytes);
    for (int i = 0; i < 40; i++) client_sends(&rig, (struct wisp_str){bytes, sizeof bytes}, SIZE_MAX);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);
}

TEST(expect_continue)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    client_says(&rig, POST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    CHECK_TEXT(received(&rig), "");
    ask_for_body(&rig);
    ask_for_body(&rig);
    settle(&rig);
    CHECK_TEXT(received(&rig), "HTTP/1.1 100 Continue\r\n\r\n");
    client_says(&rig, "abc");
    reply_hello(&rig);
    settle(&rig);
    CHECK_TEXT(received(&rig), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_GO_ON);

    forget(&rig); /* The handler does not want it: the client may send it or not, so this was the last request. */
    rig.on_request = reply_hello;
    client_says(&rig, POST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);

    rig_init(&rig, rig_options()); /* The body is here already. */
    client_says(&rig, POST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\na");
    struct wisp_str bytes;
    CHECK_INT(wisp_http_body_peek(rig.exchange, &bytes), WISP_HTTP_BODY_DATA);
    wisp_http_body_consume(rig.exchange, 1);
    ask_for_body(&rig);
    settle(&rig);
    CHECK_TEXT(received(&rig), "");
    rig_deinit(&rig);
}

/* --- bodies in error --- */

static void check_refused_body(const char *request, struct wisp_http_options options, const char *status, const char *log)
{
    struct wisp_str text = wisp_str_from(request);
    for (size_t piece = 1; piece <= text.len; piece++) {
        struct rig rig;
        rig_init(&rig, options);
        rig.on_request = ask_for_body;
        rig.on_body = read_all;
        if (piece == text.len) rig.on_request = NULL;
        client_sends(&rig, text, piece);
        if (strncmp(received(&rig), status, strlen(status)) != 0) CHECK_TEXT(received(&rig), status);
        CHECK_HAS(received(&rig), "\r\nconnection: close\r\n");
        if (piece == 1) CHECK_HAS(rig.log, log);
        CHECK(!rig.exchange);
        CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
        rig_deinit(&rig);
    }
}

TEST(a_malformed_body_is_answered)
{
    struct wisp_http_options options = rig_options();
    check_refused_body(POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n", options, "HTTP/1.1 400 ", "malformed;");
    check_refused_body(POST "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: a\r\n\r\n", options, "HTTP/1.1 400 ", "malformed;");
    check_refused_body(POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\n", options, "HTTP/1.1 400 ", "malformed;");
    check_refused_body(POST "Transfer-Encoding: chunked\r\n\r\n0\r\na: b\r\n c\r\n\r\n", options, "HTTP/1.1 400 ", "malformed;");
}

TEST(a_body_over_the_limit_is_answered)
{
    struct wisp_http_options options = rig_options();
    options.body_bytes_max = 4;
    check_refused_body(POST "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n", options, "HTTP/1.1 413 ", "large;");
    check_refused_body(POST "Content-Length: 5\r\n\r\n", options, "HTTP/1.1 413 ", "");
}

static void limit_to_4(struct rig *rig)
{
    wisp_http_body_limit(rig->exchange, 4);
    wisp_http_body_limit(rig->exchange, 100);
    if (rig->exchange->target.len > 1) reply_hello(rig);
}

TEST(the_handler_sets_a_limit)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = limit_to_4;
    client_says(&rig, POST "Content-Length: 5\r\n\r\n");
    CHECK_HAS(received(&rig), "HTTP/1.1 413 ");
    CHECK_TEXT(rig.log, "POST /;large;");
    rig_deinit(&rig);
    rig_init(&rig, rig_options());
    rig.on_request = limit_to_4;
    client_says(&rig, POST "Content-Length: 4\r\n\r\nabcd");
    CHECK(rig.exchange);
    rig_deinit(&rig);
    rig_init(&rig, rig_options()); /* It came whole before anybody could set a limit. */
    rig.on_request = limit_to_4;
    client_says(&rig, POST "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n");
    CHECK_HAS(received(&rig), "HTTP/1.1 413 ");
    rig_deinit(&rig);
}

TEST(a_body_in_error_breaks_a_response_that_has_begun)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    use_echo(&rig);
    client_says(&rig, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client_says(&rig, "x");
    CHECK_TEXT(rig.log, "POST /;body;malformed;");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_RESET);
    rig_deinit(&rig);
}

/* --- output that does not leave --- */

static void fill(struct rig *rig)
{
    static const char bytes[1000] = {1};
    for (size_t room; (room = wisp_http_room(rig->exchange)) > 0;) {
        size_t n = room < sizeof bytes ? room : sizeof bytes;
        CHECK_OK(wisp_http_write(rig->exchange, bytes, n, &rig->err), &rig->err);
    }
}
static void start_and_fill(struct rig *rig)
{
    start_unknown(rig);
    fill(rig);
}

TEST(a_slow_client_holds_the_response_back)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.kernel_room = 100;
    rig.on_request = start_and_fill;
    rig.on_drain = fill;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(rig.log, "GET /;");
    CHECK_INT(rig.received.len, 100);
    CHECK(wisp_http_conn_output_size(&rig.conn) < 70000);
    for (int i = 0; i < 50; i++) {
        rig.kernel_room = 10000;
        settle(&rig);
        CHECK(wisp_http_conn_output_size(&rig.conn) < 70000);
    }
    CHECK_HAS(rig.log, "GET /;drain;drain;");
    CHECK_INT(rig.received.len, 100 + 50 * 10000);
    rig_deinit(&rig);
}

TEST(no_further_request_is_taken_while_the_output_is_full)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.kernel_room = 0;
    rig.on_request = reply_target;
    struct wisp_str request = WISP_STR("GET /0123456789012345678901234567890123456789012345678901234567890 HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 10000; i++) client_sends(&rig, request, SIZE_MAX);
    CHECK(wisp_http_conn_output_size(&rig.conn) < 70000);
    CHECK(!wisp_http_conn_wants_input(&rig.conn));
    rig.kernel_room = SIZE_MAX;
    settle(&rig);
    CHECK_INT(wisp_http_conn_output_size(&rig.conn), 0);
    CHECK(wisp_http_conn_wants_input(&rig.conn));
    rig_deinit(&rig);
}

TEST(a_response_larger_than_the_window)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    struct wisp_str big = {wisp_mem_calloc(1, 1 << 20), 1 << 20};
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_OK(wisp_http_reply(rig.exchange, 200, NULL, 0, big, &rig.err), &rig.err);
    settle(&rig);
    CHECK(rig.received.len > 1 << 20);
    CHECK_TEXT(rig.log, "GET /;complete;");
    free((void *)(uintptr_t)big.ptr);
    rig_deinit(&rig);
}

/* --- heads over a limit --- */

TEST(heads_over_the_limits)
{
    struct rig rig;
    static char filler[1 << 20];
    memset(filler, 'x', sizeof filler);
    for (size_t piece = 100; piece <= sizeof filler; piece *= 10) {
        rig_init(&rig, rig_options());
        client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
        client_sends(&rig, (struct wisp_str){filler, sizeof filler}, piece);
        CHECK_HAS(received(&rig), "HTTP/1.1 431 Request Header Fields Too Large\r\n");
        CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
        rig_deinit(&rig);
        rig_init(&rig, rig_options());
        client_sends(&rig, (struct wisp_str){filler, sizeof filler}, piece);
        CHECK_HAS(received(&rig), "HTTP/1.1 414 URI Too Long\r\n");
        rig_deinit(&rig);
    }
    rig_init(&rig, rig_options()); /* Nearly at the limit, and after a request that was not. */
    rig.on_request = reply_hello;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    CHECK_INT(client_sends(&rig, (struct wisp_str){filler, 65000}, 1000), 65000);
    client_says(&rig, "\r\n\r\n");
    CHECK_TEXT(rig.log, "GET /;complete;GET /;complete;");
    rig_deinit(&rig);
}

TEST(a_long_head_with_a_body)
{
    struct rig rig;
    static char filler[60000];
    memset(filler, 'x', sizeof filler);
    rig_init(&rig, rig_options());
    use_echo(&rig);
    client_says(&rig, POST "X: ");
    CHECK_INT(client_sends(&rig, (struct wisp_str){filler, sizeof filler}, 7000), sizeof filler);
    client_says(&rig, "\r\nContent-Length: 60003\r\n\r\nabc");
    CHECK_INT(rig.exchange->headers[1].value.len, sizeof filler);
    CHECK_INT(client_sends(&rig, (struct wisp_str){filler, sizeof filler}, 7000), sizeof filler);
    CHECK_HAS(rig.log, "complete;");
    rig_deinit(&rig);
}

TEST(trailers_over_the_limit)
{
    struct rig rig;
    char filler[9000];
    memset(filler, 'x', sizeof filler);
    rig_init(&rig, rig_options());
    client_says(&rig, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: ");
    client_sends(&rig, (struct wisp_str){filler, sizeof filler}, 1000);
    CHECK_HAS(received(&rig), "HTTP/1.1 431 ");
    rig_deinit(&rig);
}

/* --- time --- */

TEST(slow_heads)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    pass_time(&rig, 60);
    client_says(&rig, "GET / HT");
    pass_time(&rig, 39);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_GO_ON);
    pass_time(&rig, 1);
    CHECK_HAS(received(&rig), "HTTP/1.1 408 Request Timeout\r\n");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    pass_time(&rig, 1999);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    pass_time(&rig, 1);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
    rig_deinit(&rig);

    rig_init(&rig, rig_options()); /* Not a byte: nothing to answer. */
    pass_time(&rig, 100);
    CHECK_TEXT(received(&rig), "");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);
}

TEST(idle_connections)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = reply_hello;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pass_time(&rig, 199);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_GO_ON);
    client_says(&rig, "G");
    pass_time(&rig, 99); /* from the first byte on it is a slow head */
    CHECK_INT(rig.next, WISP_HTTP_NEXT_GO_ON);
    client_says(&rig, "E");
    forget(&rig);
    pass_time(&rig, 1);
    CHECK_HAS(received(&rig), "HTTP/1.1 408 ");
    rig_deinit(&rig);
    rig_init(&rig, rig_options());
    rig.on_request = reply_hello;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    forget(&rig);
    pass_time(&rig, 200);
    CHECK_TEXT(received(&rig), "");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);
}

TEST(slow_bodies)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    client_says(&rig, POST "Content-Length: 10\r\n\r\na");
    pass_time(&rig, 100000); /* the handler takes its time, that is not the client's fault */
    CHECK(rig.exchange);
    struct wisp_str bytes;
    CHECK_INT(wisp_http_body_peek(rig.exchange, &bytes), WISP_HTTP_BODY_DATA);
    wisp_http_body_consume(rig.exchange, 1);
    ask_for_body(&rig);
    pass_time(&rig, 299);
    client_says(&rig, "b");
    pass_time(&rig, 100000);
    CHECK_TEXT(rig.log, "POST /;body;");
    wisp_http_body_consume(rig.exchange, 1);
    ask_for_body(&rig);
    pass_time(&rig, 300);
    CHECK_TEXT(rig.log, "POST /;body;timeout;");
    CHECK_HAS(received(&rig), "HTTP/1.1 408 ");
    rig_deinit(&rig);

    rig_init(&rig, rig_options()); /* With a response under way it can only be broken. */
    client_says(&rig, POST "Content-Length: 10\r\n\r\n");
    ask_for_body(&rig);
    start_unknown(&rig);
    settle(&rig);
    pass_time(&rig, 300);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_RESET);
    rig_deinit(&rig);

    rig_init(&rig, rig_options()); /* One that is only skipped. */
    rig.on_request = reply_hello;
    client_says(&rig, POST "Content-Length: 10\r\n\r\n");
    pass_time(&rig, 299);
    client_says(&rig, "a");
    pass_time(&rig, 299);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_GO_ON);
    pass_time(&rig, 1);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);
}

TEST(clients_that_do_not_take_the_response)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.kernel_room = 10;
    rig.on_request = start_and_fill;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pass_time(&rig, 399);
    CHECK(rig.exchange);
    wisp_http_conn_output_moved(&rig.conn);
    pass_time(&rig, 399);
    CHECK(rig.exchange);
    pass_time(&rig, 1);
    CHECK_TEXT(rig.log, "GET /;timeout;");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_RESET);
    rig_deinit(&rig);
}

/* --- ends --- */

TEST(the_client_leaves)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    client_closes(&rig);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
    rig_deinit(&rig);

    rig_init(&rig, rig_options());
    client_says(&rig, "GET / HT");
    client_closes(&rig);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
    CHECK_TEXT(received(&rig), "");
    rig_deinit(&rig);

    rig_init(&rig, rig_options());
    client_says(&rig, POST "Content-Length: 10\r\n\r\nabc");
    client_closes(&rig);
    CHECK_TEXT(rig.log, "POST /;gone;");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
    rig_deinit(&rig);

    rig_init(&rig, rig_options());
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    start_unknown(&rig);
    client_closes(&rig);
    CHECK_TEXT(rig.log, "GET /;gone;");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_RESET);
    rig_deinit(&rig);

    rig_init(&rig, rig_options());
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wisp_http_conn_lost(&rig.conn, WISP_HTTP_CLIENT_GONE);
    settle(&rig);
    CHECK_TEXT(rig.log, "GET /;gone;");
    rig_deinit(&rig);
}

TEST(half_closed_clients_are_served_if_asked_for)
{
    struct rig rig;
    struct wisp_http_options options = rig_options();
    options.serve_half_closed = true;
    rig_init(&rig, options);
    client_says(&rig, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3");
    client_closes(&rig);
    reply_hello(&rig);
    settle(&rig);
    reply_hello(&rig);
    settle(&rig);
    CHECK_TEXT(rig.log, "GET /1;complete;GET /2;complete;");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
    rig_deinit(&rig);
    rig_init(&rig, options);
    client_says(&rig, POST "Content-Length: 10\r\n\r\nabc");
    client_closes(&rig);
    CHECK_TEXT(rig.log, "POST /;gone;");
    rig_deinit(&rig);
}

TEST(the_handler_aborts)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    start_and_write(&rig);
    wisp_http_abort(rig.exchange);
    CHECK_TEXT(rig.log, "GET /;");
    settle(&rig);
    CHECK_TEXT(rig.log, "GET /;aborted;");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_RESET);
    rig_deinit(&rig);
    rig_init(&rig, rig_options());
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    reply_hello(&rig);
    wisp_http_abort(rig.exchange);
    settle(&rig);
    CHECK_TEXT(rig.log, "GET /;complete;");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_GO_ON);
    rig_deinit(&rig);
}

TEST(the_server_stops)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    wisp_http_conn_stop(&rig.conn);
    settle(&rig);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);

    rig_init(&rig, rig_options());
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n");
    rig.shared.is_stopping = true;
    wisp_http_conn_stop(&rig.conn);
    settle(&rig);
    CHECK(rig.exchange);
    reply_hello(&rig);
    settle(&rig);
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);
}

TEST(dates)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {{0, "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"},
                 {784111777, "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"},
                 {951782400, "date: Tue, 29 Feb 2000 00:00:00 GMT\r\n"},
                 {4102444799, "date: Thu, 31 Dec 2099 23:59:59 GMT\r\n"}};
    struct wisp_http_shared shared;
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        wisp_http_shared_set_date(&shared, cases[i].seconds);
        CHECK_STR(((struct wisp_str){shared.date, sizeof shared.date}), cases[i].text);
    }
}
