/* SPDX-License-Identifier: Apache-2.0 */
/* Responses: how they are framed, what is refused, and how fast they may come. */
#include "http/conn_rig.h"

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
    CHECK_INT(rig.received.len,
              strlen("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1388\r\n") + 5000 + 7);
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
    CHECK_TEXT(received(&rig),
               "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n");
    forget(&rig);
    client_says(&rig, "GET / HTTP/1.0\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
    rig_deinit(&rig);
}

static void reply_status(struct rig *rig)
{
    uint64_t status = 0;
    for (size_t i = 1; i < rig->exchange->target.len; i++)
        status = status * 10 + (uint64_t)(rig->exchange->target.ptr[i] - '0');
    CHECK_OK(wisp_http_reply(rig->exchange, (uint16_t)status, NULL, 0, WISP_STR("hello"), &rig->err), &rig->err);
}

TEST(responses_without_a_body)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = reply_status;
    client_says(
        &rig,
        "HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\nGET /204 HTTP/1.1\r\nHost: a\r\n\r\nGET /304 HTTP/1.1\r\nHost: a\r\n\r\n"
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
    for (size_t i = 0; i < WISP_COUNT(bad); i++)
        CHECK_FAILS(wisp_http_end(rig.exchange, &bad[i], 1, &rig.err), INVALID);
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

/* --- responses taken back --- */

static void start_write_and_take_back(struct rig *rig)
{
    start_and_write(rig);
    CHECK(wisp_http_retract(rig->exchange));
    start(rig, 200, 100);
    write_text(rig, "abc");
    CHECK(wisp_http_retract(rig->exchange) && wisp_http_retract(rig->exchange));
    CHECK_INT(rig->exchange->status, 0);
    reply_status(rig);
    CHECK(!wisp_http_retract(rig->exchange));
}

TEST(a_response_is_taken_back)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = start_write_and_take_back;
    client_says(&rig, "GET /500 HTTP/1.1\r\nHost: a\r\n\r\nGET /501 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TEXT(received(&rig), "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 5\r\n\r\nhello"
                               "HTTP/1.1 501 Not Implemented\r\ncontent-length: 5\r\n\r\nhello");
    rig.on_request = start_and_write;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(!wisp_http_retract(rig.exchange));
    rig_deinit(&rig);
}

/* --- output that does not leave --- */

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
    struct wisp_str request =
        WISP_STR("GET /0123456789012345678901234567890123456789012345678901234567890 HTTP/1.1\r\nHost: a\r\n\r\n");
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
