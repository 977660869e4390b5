/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's life: requests one after the other, heads, time, ends. */
#include "http/conn_rig.h"

/* --- one request after the other --- */

TEST(pipelined_requests_are_answered_in_order)
{
    struct rig rig;
    for (size_t piece = 1; piece < 60; piece += 7) {
        rig_init(&rig, rig_options());
        rig.on_request = reply_target;
        CHECK_INT(client_sends(&rig,
                               WISP_STR("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /22 HTTP/1.1\r\nHost: a\r\n\r\n\r\n"
                                        "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
                               piece),
                  106);
        CHECK_TEXT(received(&rig),
                   "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/1HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n/22"
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

TEST(a_head_over_the_limit_that_comes_at_once)
{
    struct rig rig;
    struct wisp_http_options options = rig_options();
    options.head_bytes_max = 54;
    rig_init(&rig, options);
    rig.on_request = reply_hello;
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789012345678901\r\n\r\n");
    CHECK_HAS(received(&rig), "hello");
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\nX: 01234567890123456789012\r\n\r\n");
    CHECK_HAS(received(&rig), "HTTP/1.1 431 ");
    rig_deinit(&rig);
}

TEST(heads_in_error_are_answered_and_end_the_connection)
{
    static const struct {
        const char *request, *status;
    } cases[] = {
        {"GET / HTTP/1.1\nHost: a\n\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {POST "Expect: x\r\n\r\n", "HTTP/1.1 417 Expectation Failed\r\n"},
        {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 501 Not Implemented\r\n"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
        {"\x16\x03\x01\x02\n", "HTTP/1.1 400 Bad Request\r\n"},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct rig rig;
        rig_init(&rig, rig_options());
        client_says(&rig, cases[i].request);
        /* Nothing after it is looked at, for nobody knows where it begins. */
        client_sends(&rig, WISP_STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), SIZE_MAX);
        CHECK_HAS(received(&rig), cases[i].status);
        CHECK_HAS(received(&rig), "\r\nconnection: close\r\n");
        CHECK_TEXT(rig.log, "");
        CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
        CHECK_INT(rig.shared.stats.refused, 1);
        rig_deinit(&rig);
    }
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
    CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
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
    CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
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
    settle(&rig);
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

TEST(half_a_request_ahead_of_the_end)
{
    struct rig rig;
    struct wisp_http_options options = rig_options();
    options.serve_half_closed = true;
    rig_init(&rig, options);
    client_says(&rig, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" POST "Content-Length: 10\r\n\r\nabc");
    client_closes(&rig);
    reply_hello(&rig);
    settle(&rig);
    CHECK_TEXT(rig.log, "GET /1;complete;");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
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
    CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
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

TEST(the_server_stops_while_a_body_is_skipped)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = reply_hello;
    client_says(&rig, POST "Content-Length: 10\r\n\r\nabc");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_GO_ON);
    wisp_http_conn_stop(&rig.conn);
    settle(&rig);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    rig_deinit(&rig);
}

TEST(lingering_begins_when_the_response_has_left)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.kernel_room = 10;
    rig.on_request = reply_hello;
    client_says(&rig, "x\r\n\r\n");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    for (int i = 0; i < 10; i++) {
        wisp_http_conn_output_moved(&rig.conn);
        pass_time(&rig, 300);
    }
    rig.kernel_room = SIZE_MAX;
    settle(&rig);
    CHECK_INT(wisp_http_conn_output_size(&rig.conn), 0);
    pass_time(&rig, 1999);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_SHUT);
    pass_time(&rig, 1);
    CHECK_INT(rig.next, WISP_HTTP_NEXT_CLOSE);
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
