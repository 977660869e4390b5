/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP through the bus: client, server, forward, nats-server, served handler. */
#include "wrpc/http_rig.h"

#define SETUP(name)                                                                                                    \
    struct http_rig name;                                                                                              \
    http_rig_init(&name);                                                                                              \
    serve_app(&name)

#define GET "GET /q?z=1 HTTP/1.1\r\nHost: h.example\r\nx-a: 1\r\nX-A: 2\r\nconnection: keep-alive\r\n\r\n"

static void note_headers(struct http_rig *rig)
{
    const struct wisp_http_exchange *exchange = rig->exchange;
    for (size_t i = 0; i < exchange->n_headers; i++)
        note(rig, "%.*s=%.*s;", WISP_STR_ARG(exchange->headers[i].name), WISP_STR_ARG(exchange->headers[i].value));
    const struct wisp_wrpc_caller *caller = wisp_wrpc_http_caller(exchange);
    note(rig, "from %.*s to %.*s;", WISP_STR_ARG(caller->source_id), WISP_STR_ARG(caller->target_id));
    CHECK(!wisp_http_peer(rig->exchange));
    reply_hello(rig);
}

TEST(a_short_exchange)
{
    SETUP(rig);
    rig.on_request = note_headers;
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, ends_with(&rig, "hello"));
    CHECK_HAS(received(&rig), "HTTP/1.1 200 OK\r\n");
    CHECK_HAS(received(&rig), "x-app: yes\r\n");
    CHECK_HAS(received(&rig), "content-length: 5\r\n");
    CHECK_TEXT(rig.log, "GET http://h.example/q?z=1;host=h.example;x-a=1;x-a=2;from front to app;complete;");
    CHECK_INT(rig.front_outcome, WISP_HTTP_COMPLETE);
    http_rig_deinit(&rig);
}

TEST(bodies_and_trailers_are_streamed_both_ways)
{
    SETUP(rig);
    use_echo(&rig);
    client_says(&rig, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    AWAIT(&rig.base.loop, has_received(&rig, "5\r\nhello\r\n"));
    client_says(&rig, "6\r\n world\r\n");
    AWAIT(&rig.base.loop, has_received(&rig, "6\r\n world\r\n"));
    client_says(&rig, "0\r\nx-sum: 11\r\n\r\n");
    AWAIT(&rig.base.loop, ends_with(&rig, "0\r\nx-sum: 11\r\n\r\n"));
    CHECK_TEXT(rig.log, "POST http://a/;complete;");
    http_rig_deinit(&rig);
}

TEST(a_large_body)
{
    SETUP(rig);
    enum { SIZE = 20 << 20 };
    char *body = malloc(SIZE);
    CHECK(body);
    for (size_t i = 0; i < SIZE; i++) body[i] = (char)(i * 31 >> 4);
    use_echo(&rig);
    char head[128];
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n", SIZE);
    client_says(&rig, head);
    client_sends(&rig, body, SIZE);
    AWAIT(&rig.base.loop, ends_with(&rig, "\r\n0\r\n\r\n"));
    /* Chunks begin with their length; what is between is counted. */
    const char *at = strstr(received(&rig), "\r\n\r\n") + 4;
    size_t n = 0;
    for (char *next; *at != '0' || at[1] != '\r'; at = next + 2) {
        size_t size = strtoul(at, &next, 16);
        next += 2;
        CHECK(size <= SIZE - n && memcmp(next, body + n, size) == 0);
        n += size;
        next += size;
    }
    CHECK_INT(n, SIZE);
    free(body);
    http_rig_deinit(&rig);
}

TEST(a_body_that_is_here_already_goes_with_the_head)
{
    SETUP(rig);
    rig.on_request = rig.on_body = read_all;
    listen_by_hand(&rig.base, "default.app.>");
    client_says(&rig, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
    AWAIT(&rig.base.loop, ends_with(&rig, "3"));
    CHECK_HAS(received(&rig), "200 OK");
    CHECK_HAS(heard(&rig.base), " 036162630100020101"); /* body, no trailers, post, path */
    http_rig_deinit(&rig);
}

static void reply_head(struct http_rig *rig)
{
    struct wisp_http_response response = {.status = 200, .content_length = 1000};
    CHECK_OK(wisp_http_start(rig->exchange, &response, &rig->base.err), &rig->base.err);
    CHECK_OK(wisp_http_end(rig->exchange, NULL, 0, &rig->base.err), &rig->base.err);
}
static void reply_nothing(struct http_rig *rig)
{
    CHECK_OK(wisp_http_reply(rig->exchange, 204, NULL, 0, WISP_STR(""), &rig->base.err), &rig->base.err);
}

TEST(responses_without_a_body)
{
    SETUP(rig);
    rig.on_request = reply_head;
    client_says(&rig, "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    AWAIT(&rig.base.loop, ends_with(&rig, "\r\n\r\n"));
    CHECK_HAS(received(&rig), "content-length: 1000\r\n");
    rig.received.len = 0;
    rig.on_request = reply_nothing;
    client_says(&rig, "PATCH /x HTTP/1.1\r\nhost: a\r\n\r\n");
    AWAIT(&rig.base.loop, ends_with(&rig, "\r\n\r\n"));
    CHECK_HAS(received(&rig), "204 No Content\r\n");
    CHECK_TEXT(rig.log, "HEAD http://a/;complete;PATCH http://a/x;complete;");
    http_rig_deinit(&rig);
}

/* --- things that fail --- */

TEST(nobody_serves_the_component)
{
    struct http_rig rig;
    http_rig_init(&rig);
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, ends_with(&rig, "Service Unavailable: nobody who runs the component can be reached\n"));
    CHECK_HAS(received(&rig), "HTTP/1.1 503 ");
    http_rig_deinit(&rig);
}

TEST(a_request_waits_for_somebody_who_serves_the_component)
{
    struct http_rig rig;
    http_rig_init(&rig);
    rig.wait_ms = 10000;
    use_echo(&rig);
    client_says(&rig, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    uint64_t until = uv_hrtime() + 50 * 1000000;
    while (uv_hrtime() < until) uv_run(&rig.base.loop, UV_RUN_NOWAIT);
    CHECK_INT(rig.received.len, 0);
    serve_app(&rig);
    AWAIT(&rig.base.loop, has_received(&rig, "5\r\nhello\r\n"));
    client_says(&rig, "0\r\n\r\n");
    AWAIT(&rig.base.loop, ends_with(&rig, "0\r\n\r\n"));
    CHECK_TEXT(rig.log, "POST http://a/;complete;");
    http_rig_deinit(&rig);
}

TEST(the_process_that_took_the_request_ends)
{
    struct http_rig rig;
    struct wisp_bus_subscription *listens;
    http_rig_init(&rig);
    listen_by_hand(&rig.base, "default.app.wrpc.>");
    CHECK_OK(wisp_bus_subscribe(rig.base.hand.client, WISP_STR("S.>"), WISP_STR(""), on_heard, &rig.base, &listens,
                                &rig.base.err),
             &rig.base.err);
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, rig.base.n_heard);
    say(&rig.base, heard_reply(&rig.base), "S", "");
    AWAIT(&rig.base.loop, heard_on(&rig.base, "S.params"));
    wisp_bus_unsubscribe(listens);
    settle(&rig.base, &rig.base.hand);
    wisp_wrpc_target_ended(rig.base.caller.wrpc, WISP_STR("app"));
    AWAIT(&rig.base.loop, has_received(&rig, "Service Unavailable: nobody who runs the component can be reached\n"));
    http_rig_deinit(&rig);
}

TEST(no_response_in_time)
{
    SETUP(rig);
    rig.timeout_ms = 50;
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, ends_with(&rig, "Gateway Timeout\n"));
    CHECK_HAS(received(&rig), "HTTP/1.1 504 ");
    reply_hello(&rig);
    AWAIT(&rig.base.loop, !rig.exchange);
    http_rig_deinit(&rig);
}

static void abort_at_once(struct http_rig *rig) { wisp_http_abort(rig->exchange); }
static void start_and_write(struct http_rig *rig)
{
    start_unknown(rig);
    CHECK_OK(wisp_http_write(rig->exchange, "half", 4, &rig->base.err), &rig->base.err);
}

TEST(the_application_fails_before_the_head)
{
    SETUP(rig);
    rig.on_request = abort_at_once;
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, ends_with(&rig, "Internal Server Error\n"));
    CHECK_HAS(received(&rig), "HTTP/1.1 500 ");
    CHECK_HAS(rig.log, "aborted;");
    http_rig_deinit(&rig);
}

TEST(the_application_fails_within_the_body)
{
    SETUP(rig);
    rig.on_request = start_and_write;
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, has_received(&rig, "4\r\nhalf\r\n"));
    wisp_http_abort(rig.exchange);
    AWAIT(&rig.base.loop, rig.is_over);
    CHECK(!has_received(&rig, "\r\n0\r\n"));
    CHECK_HAS(rig.log, "aborted;");
    CHECK_INT(rig.front_outcome, WISP_HTTP_ABORTED);
    http_rig_deinit(&rig);
}

TEST(a_response_is_taken_back)
{
    SETUP(rig);
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, rig.exchange);
    start_and_write(&rig);
    CHECK(wisp_http_retract(rig.exchange));
    reply_hello(&rig);
    CHECK(!wisp_http_retract(rig.exchange));
    CHECK_FAILS(wisp_http_write(rig.exchange, "x", 1, &rig.base.err), INVALID);
    AWAIT(&rig.base.loop, ends_with(&rig, "hello"));
    http_rig_deinit(&rig);
}

TEST(lengths_are_kept)
{
    SETUP(rig);
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, rig.exchange);
    struct wisp_http_header reserved = {WISP_STR("connection"), WISP_STR("close")};
    struct wisp_http_response response = {.status = 200, .headers = &reserved, .n_headers = 1, .content_length = 3};
    CHECK_FAILS(wisp_http_start(rig.exchange, &response, &rig.base.err), INVALID);
    response.n_headers = 0;
    CHECK_OK(wisp_http_start(rig.exchange, &response, &rig.base.err), &rig.base.err);
    CHECK_FAILS(wisp_http_write(rig.exchange, "four", 4, &rig.base.err), INVALID);
    CHECK_OK(wisp_http_write(rig.exchange, "a", 1, &rig.base.err), &rig.base.err);
    CHECK_FAILS(wisp_http_end(rig.exchange, NULL, 0, &rig.base.err), INVALID);
    CHECK_OK(wisp_http_write(rig.exchange, "bc", 2, &rig.base.err), &rig.base.err);
    CHECK_OK(wisp_http_end(rig.exchange, NULL, 0, &rig.base.err), &rig.base.err);
    AWAIT(&rig.base.loop, ends_with(&rig, "content-length: 3\r\n\r\nabc") || ends_with(&rig, "\r\n\r\nabc"));
    http_rig_deinit(&rig);
}

TEST(the_client_leaves_within_its_body)
{
    SETUP(rig);
    rig.on_request = rig.on_body = read_all;
    client_says(&rig, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    AWAIT(&rig.base.loop, rig.body.len == 5);
    client_leaves(&rig);
    AWAIT(&rig.base.loop, !rig.exchange);
    CHECK_TEXT(rig.log, "POST http://a/;malformed;");
    CHECK_INT(rig.front_outcome, WISP_HTTP_CLIENT_GONE);
    http_rig_deinit(&rig);
}

TEST(the_client_leaves_within_the_response)
{
    SETUP(rig);
    rig.on_request = start_and_write;
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, has_received(&rig, "half"));
    client_leaves(&rig);
    AWAIT(&rig.base.loop, rig.n_front_closed == 1);
    CHECK_OK(wisp_http_end(rig.exchange, NULL, 0, &rig.base.err), &rig.base.err);
    AWAIT(&rig.base.loop, !rig.exchange);
    http_rig_deinit(&rig);
}

TEST(a_body_larger_than_allowed)
{
    SETUP(rig);
    client_says(&rig, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n");
    AWAIT(&rig.base.loop, rig.exchange);
    CHECK(wisp_http_body_limit(rig.exchange, 100));
    CHECK(!wisp_http_body_limit(rig.exchange, 99));
    AWAIT(&rig.base.loop, has_received(&rig, "413"));
    CHECK_HAS(rig.log, "large;");
    http_rig_deinit(&rig);
}

static void fill(struct http_rig *rig)
{
    static char zeroes[64 << 10];
    for (size_t room; (room = wisp_http_room(rig->exchange)) > 0 && rig->exchange->bytes_out < 64 << 20;) {
        size_t size = room < sizeof zeroes ? room : sizeof zeroes;
        CHECK_OK(wisp_http_write(rig->exchange, zeroes, size, &rig->base.err), &rig->base.err);
    }
}
static void start_and_fill(struct http_rig *rig)
{
    start_unknown(rig);
    fill(rig);
}

TEST(a_client_that_does_not_read_holds_the_application_back)
{
    SETUP(rig);
    client_connect(&rig);
    uv_read_stop((uv_stream_t *)&rig.tcp);
    rig.on_request = start_and_fill;
    rig.on_drain = fill;
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, rig.exchange);
    uint64_t before;
    do {
        before = rig.exchange->bytes_out;
        for (int i = 0; i < 5; i++) {
            settle(&rig.base, &rig.base.callee.bus);
            settle(&rig.base, &rig.base.caller.bus);
        }
    } while (rig.exchange->bytes_out > before);
    CHECK(before < 32 << 20);
    CHECK_INT(wisp_http_room(rig.exchange), 0);
    uv_read_start((uv_stream_t *)&rig.tcp, client_alloc, client_on_read);
    AWAIT(&rig.base.loop, rig.exchange->bytes_out >= 64 << 20);
    CHECK_OK(wisp_http_end(rig.exchange, NULL, 0, &rig.base.err), &rig.base.err);
    AWAIT(&rig.base.loop, ends_with(&rig, "\r\n0\r\n\r\n"));
    CHECK(rig.received.len > 64 << 20);
    http_rig_deinit(&rig);
}

TEST(an_application_that_does_not_read_holds_the_client_back)
{
    SETUP(rig);
    enum { SIZE = 32 << 20 };
    char *body = calloc(1, SIZE), head[128];
    CHECK(body);
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n", SIZE);
    client_says(&rig, head);
    client_sends(&rig, body, SIZE);
    AWAIT(&rig.base.loop, rig.exchange);
    for (int i = 0; i < 50; i++) {
        settle(&rig.base, &rig.base.caller.bus);
        settle(&rig.base, &rig.base.callee.bus);
    }
    CHECK(rig.exchange && rig.exchange->bytes_in <= 1 << 20);
    rig.on_body = read_all;
    read_all(&rig);
    AWAIT(&rig.base.loop, ends_with(&rig, "33554432"));
    free(body);
    http_rig_deinit(&rig);
}

static void on_drained(void *env) { *(bool *)env = true; }

TEST(draining_waits_for_exchanges)
{
    SETUP(rig);
    bool is_drained = false;
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, rig.exchange);
    wisp_wrpc_service_drain(rig.service, on_drained, &is_drained);
    settle(&rig.base, &rig.base.callee.bus);
    settle(&rig.base, &rig.base.callee.bus);
    CHECK(!is_drained);
    reply_hello(&rig);
    AWAIT(&rig.base.loop, is_drained);
    AWAIT(&rig.base.loop, ends_with(&rig, "hello"));
    rig.received.len = 0;
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, has_received(&rig, "503"));
    http_rig_deinit(&rig);
}

TEST(a_service_that_goes_answers)
{
    SETUP(rig);
    client_says(&rig, GET);
    AWAIT(&rig.base.loop, rig.exchange);
    wisp_wrpc_service_free(WISP_TAKE(rig.service));
    CHECK_HAS(rig.log, "stopped;");
    AWAIT(&rig.base.loop, has_received(&rig, "503"));
    http_rig_deinit(&rig);
}
