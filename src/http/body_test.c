/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of requests. */
#include "http/conn_rig.h"

/* --- bodies --- */

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
                char *data;
                size_t size = strtoul(at, &data, 16);
                strncat(joined, data + 2, size);
                at = data + 2 + size + 2;
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
    check_echo(POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\n\r\n",
               "hello world");
    check_echo(POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", "abc");
}

static void read_all(struct rig *rig)
{
    struct wisp_str bytes;
    enum wisp_http_body state;
    while ((state = wisp_http_body_peek(rig->exchange, &bytes)) == WISP_HTTP_BODY_DATA)
        wisp_http_body_consume(rig->exchange, bytes.len);
    if (state == WISP_HTTP_BODY_WAIT) return;
    CHECK_INT(rig->exchange->n_trailers, 2);
    CHECK_STR(rig->exchange->trailers[0].name, "x-sum");
    CHECK_STR(rig->exchange->trailers[1].value, "b c");
    CHECK_STR(rig->exchange->headers[0].value, "a");
    reply_hello(rig);
}

TEST(trailers_of_a_request)
{
    struct wisp_str text =
        WISP_STR(POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nx: b c \r\n\r\n");
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

static void check_refused_body(const char *request, struct wisp_http_options options, const char *status,
                               const char *log)
{
    struct wisp_str text = wisp_str_from(request);
    for (size_t piece = 1; piece <= text.len; piece++) {
        struct rig rig;
        rig_init(&rig, options);
        rig.on_request = rig.on_body = read_all;
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
    check_refused_body(POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n", options, "HTTP/1.1 400 ",
                       "malformed;");
    check_refused_body(POST "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: a\r\n\r\n", options, "HTTP/1.1 400 ",
                       "malformed;");
    check_refused_body(POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\n", options, "HTTP/1.1 400 ", "malformed;");
    check_refused_body(POST "Transfer-Encoding: chunked\r\n\r\n0\r\na: b\r\n c\r\n\r\n", options, "HTTP/1.1 400 ",
                       "malformed;");
}

TEST(a_body_over_the_limit_is_answered)
{
    struct wisp_http_options options = rig_options();
    options.body_bytes_max = 4;
    check_refused_body(POST "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n", options, "HTTP/1.1 413 ",
                       "large;");
    check_refused_body(POST "Content-Length: 5\r\n\r\n", options, "HTTP/1.1 413 ", "");
}

static void limit_to_4(struct rig *rig)
{
    bool is_within = wisp_http_body_limit(rig->exchange, 4);
    CHECK_INT(wisp_http_body_limit(rig->exchange, 100), is_within);
    note(rig, is_within ? "within;" : "over;");
    start_and_write(rig); /* not sent yet, so it does not matter */
}

TEST(the_handler_sets_a_limit)
{
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = limit_to_4;
    client_says(&rig, POST "Content-Length: 5\r\n\r\n");
    CHECK_HAS(received(&rig), "HTTP/1.1 413 ");
    CHECK_TEXT(rig.log, "POST /;over;large;");
    rig_deinit(&rig);
    rig_init(&rig, rig_options());
    rig.on_request = limit_to_4;
    client_says(&rig, POST "Content-Length: 4\r\n\r\nabcd");
    CHECK_TEXT(rig.log, "POST /;within;");
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
    client_says(&rig, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"); /* and this is sent back */
    client_says(&rig, "x");
    CHECK_TEXT(rig.log, "POST /;malformed;");
    CHECK_INT(rig.next, WISP_HTTP_NEXT_RESET);
    rig_deinit(&rig);
}
