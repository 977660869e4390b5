/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "http/chars.h"
#include "http/chunked.h"
#include "http/head.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

/* --- reading one head, as a connection does --- */

enum { INCOMPLETE = -1, MAX_HEADERS = 8 };

struct reading {
    struct wisp_http_parsers parsers;
    struct wisp_http_head_limits limits;
    struct wisp_http_header headers[MAX_HEADERS];
    struct wisp_http_head head;
    char *bytes;
};

/* Gives the bytes to the scan in pieces of `piece`, then to the parse, from memory that ends where they end. */
static int read_head(struct reading *reading, struct wisp_str text, size_t piece)
{
    struct wisp_http_scan scan = {0};
    enum wisp_http_scan_result result = WISP_HTTP_SCAN_MORE;
    wisp_http_parsers_init(&reading->parsers);
    reading->limits = (struct wisp_http_head_limits){.target_bytes_max = 64, .headers_max = MAX_HEADERS};
    free(reading->bytes);
    reading->bytes = wisp_mem_alloc(text.len ? text.len : 1);
    memcpy(reading->bytes, text.ptr, text.len);
    for (size_t size = 0; result == WISP_HTTP_SCAN_MORE && size < text.len;) {
        size = size + piece < text.len ? size + piece : text.len;
        result = wisp_http_scan(&scan, reading->bytes, size);
    }
    if (result == WISP_HTTP_SCAN_MORE) return INCOMPLETE;
    if (result == WISP_HTTP_SCAN_BAD) return 400;
    return wisp_http_head_parse(&reading->parsers, &reading->limits, reading->bytes, scan.line_start, reading->headers,
                                &reading->head);
}

static int status_of(struct wisp_str text)
{
    static const size_t pieces[] = {SIZE_MAX / 2, 1, 2, 3, 7};
    struct reading reading = {.bytes = NULL};
    int status = read_head(&reading, text, pieces[0]);
    for (size_t i = 1; i < WISP_COUNT(pieces); i++) CHECK_INT(read_head(&reading, text, pieces[i]), status);
    free(reading.bytes);
    return status;
}

#define CHECK_STATUS(literal, expected)                                                                                \
    do {                                                                                                               \
        int s_ = status_of(WISP_STR(literal));                                                                         \
        if (s_ != (expected)) wisp_test_fail(__FILE__, __LINE__, "%s: %d, expected %d", #literal, s_, (expected));     \
    } while (0)

#define H "GET / HTTP/1.1\r\nHost: a\r\n"
#define P "POST / HTTP/1.1\r\nHost: a\r\n"

TEST(a_plain_head)
{
    struct reading reading = {.bytes = NULL};
    CHECK_INT(read_head(&reading,
                        WISP_STR("GET /p?q=1 HTTP/1.1\r\nHost: example.com:80\r\nX-Thing:  a b\t \r\nEMPTY:\r\n"
                                 "x-thing: \xc3\xa9\r\n\r\n"),
                        1),
              0);
    struct wisp_http_head *head = &reading.head;
    CHECK_STR(head->method, "GET");
    CHECK_STR(head->target, "/p?q=1");
    CHECK_STR(head->authority, "example.com:80");
    CHECK_INT(head->version_minor, 1);
    CHECK_INT(head->framing, WISP_HTTP_NO_BODY);
    CHECK(head->keep_alive && !head->expects_continue);
    CHECK_INT(head->n_headers, 4);
    CHECK_STR(reading.headers[0].name, "host");
    CHECK_STR(reading.headers[1].name, "x-thing");
    CHECK_STR(reading.headers[1].value, "a b");
    CHECK_STR(reading.headers[2].name, "empty");
    CHECK_STR(reading.headers[2].value, "");
    CHECK_STR(reading.headers[3].value, "\xc3\xa9");
    free(reading.bytes);
}

TEST(any_token_is_a_method)
{
    struct reading reading = {.bytes = NULL};
    CHECK_INT(read_head(&reading, WISP_STR("QUERY!#$%&'*+-.^_`|~9 / HTTP/1.1\r\nHost: a\r\n\r\n"), 100), 0);
    CHECK_STR(reading.head.method, "QUERY!#$%&'*+-.^_`|~9");
    CHECK_INT(read_head(&reading, WISP_STR("get / HTTP/1.1\r\nHost: a\r\n\r\n"), 100), 0);
    CHECK_STR(reading.head.method, "get");
    free(reading.bytes);
    CHECK_STATUS("MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM / HTTP/1.1\r\nHost: a\r\n\r\n",
                 501);
    CHECK_STATUS("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 501);
    CHECK_STATUS("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501);
}

TEST(request_lines_that_are_refused)
{
    CHECK_STATUS("GET /\r\n\r\n", 400);
    CHECK_STATUS("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET / http/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/11\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET / RTSP/1.0\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505);
    CHECK_STATUS("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
    CHECK_STATUS("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505);
    CHECK_STATUS("PRI * HTTP/2.0\r\n\r\n", 505);
    CHECK_STATUS("GET /0123456789012345678901234567890123456789012345678901234567890123456 HTTP/1.1\r\nHost: a\r\n\r\n",
                 414);
}

TEST(forms_of_the_target)
{
    static const struct {
        const char *request, *target, *authority;
    } cases[] = {
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*", "a"},
        {"GET http://b:8080/p?q HTTP/1.1\r\nHost: a\r\n\r\n", "/p?q", "b:8080"},
        {"GET HTTPS://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "/", "b"},
        {"GET http://[::1]:80 HTTP/1.1\r\nHost: a\r\n\r\n", "/", "[::1]:80"},
        {"GET http://b?q=/x HTTP/1.1\r\nHost: a\r\n\r\n", "/?q=/x", "b"},
        {"GET //x/y HTTP/1.1\r\nHost: a\r\n\r\n", "//x/y", "a"},
        {"GET /%00|{}\"<> HTTP/1.1\r\nHost:\r\n\r\n", "/%00|{}\"<>", ""},
        {"GET / HTTP/1.0\r\n\r\n", "/", ""},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct reading reading = {.bytes = NULL};
        CHECK_INT(read_head(&reading, wisp_str_from(cases[i].request), 5), 0);
        CHECK_STR(reading.head.target, cases[i].target);
        CHECK_STR(reading.head.authority, cases[i].authority);
        free(reading.bytes);
    }
}

TEST(the_host_header)
{
    CHECK_STATUS("GET / HTTP/1.1\r\n\r\n", 400);
    CHECK_STATUS("GET http://a/ HTTP/1.1\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.0\r\nHost: a\r\nhOST: b\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\nHost: a?\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", 400);
    CHECK_STATUS("GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
}

TEST(line_ends)
{
    CHECK_STATUS("GET / HTTP/1.1\nHost: a\r\n\r\n", 400);
    CHECK_STATUS(H "\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\nHost: a\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\nHost: a\n\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\rHost: a\r\n\r\n", 400);
    CHECK_STATUS(H "X: a\rY: b\r\n\r\n", 400);
    CHECK_STATUS(H "X: a\r\r\n\r\n", 400);
    CHECK_STATUS(H "X:\r\rY: b\r\n\r\n", 400);
    CHECK_STATUS(H "\rX: a\r\n\r\n", 400);
    CHECK_STATUS(H "X: a\r\n\rY: b\r\n\r\n", 400);
    CHECK_STATUS(H "X: a\r\n\r\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400);
    CHECK_STATUS(H "X: a\r\n", INCOMPLETE);
    CHECK_STATUS(H "\r", INCOMPLETE);
}

TEST(folded_lines)
{
    CHECK_STATUS(H "X: a\r\n b\r\n\r\n", 400);
    CHECK_STATUS(H "X: a\r\n\tb\r\n\r\n", 400);
    CHECK_STATUS(H "X:\r\n b\r\n\r\n", 400);
    CHECK_STATUS(H " \r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding:\r\n chunked\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length:\r\n 3\r\n\r\n", 400);
}

TEST(header_names)
{
    CHECK_STATUS(H "X : a\r\n\r\n", 400);
    CHECK_STATUS(H "X\t: a\r\n\r\n", 400);
    CHECK_STATUS(H ": a\r\n\r\n", 400);
    CHECK_STATUS(H "X\r\n\r\n", 400);
    CHECK_STATUS(H "X y: a\r\n\r\n", 400);
    CHECK_STATUS(H "Content-Length : 1\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400);
    CHECK_STATUS("GET / HTTP/1.1\r\nHos\xd4: a\r\nHost: a\r\n\r\n", 400);
}

/* llhttp goes through states of their own for these names, each with its own idea of what may follow. */
TEST(every_byte_in_names_and_values)
{
    static const char *const names[] = {
        "x", "connection", "upgrade", "expect", "proxy-connection", "content-lengtx", "transfer-encodinx"};
    for (size_t i = 0; i < WISP_COUNT(names); i++) {
        for (int c = 0; c < 256; c++) {
            char text[160];
            if (c == ':') continue; /* ends the name */
            int n = snprintf(text, sizeof text, "%s%s", H, names[i]);
            size_t name_end = (size_t)n;
            n += snprintf(text + n, sizeof text - (size_t)n, "?: v?v\r\n\r\n");
            struct wisp_str whole = {text, (size_t)n};
            text[name_end] = (char)c;
            int expected = wisp_http_chars[c] & WISP_HTTP_TOKEN ? 0 : 400;
            text[name_end + 4] = 'v';
            int status = status_of(whole);
            if (status != expected) wisp_test_fail(__FILE__, __LINE__, "%s: name with %02x: %d", names[i], c, status);
            text[name_end] = 'x';
            text[name_end + 4] = (char)c;
            status = status_of(whole);
            expected = wisp_http_chars[c] & WISP_HTTP_VALUE ? 0 : 400;
            if (status != expected) wisp_test_fail(__FILE__, __LINE__, "%s: value with %02x: %d", names[i], c, status);
        }
    }
}

TEST(every_byte_in_values_that_mean_something)
{
    static const char *const heads[] = {P "Content-Length: 3", P "Transfer-Encoding: chunked",
                                        H "Connection: close", H "Connection: x",
                                        H "Upgrade: x",        H "Connection: keep-alive, x"};
    for (size_t i = 0; i < WISP_COUNT(heads); i++) {
        for (int c = 0; c < 256; c++) {
            char text[160];
            size_t size = (size_t)snprintf(text, sizeof text, "%s?\r\n\r\n", heads[i]);
            text[strlen(heads[i])] = (char)c;
            int status = status_of((struct wisp_str){text, size});
            if (status != 0 && status != 400 && !(i == 1 && status == 501))
                wisp_test_fail(__FILE__, __LINE__, "%s%02x: %d", heads[i], c, status);
            if (!(wisp_http_chars[c] & WISP_HTTP_VALUE)) CHECK_INT(status, 400);
            /* Only digits and blanks change nothing about a length. */
            if (i == 0 && status == 0) CHECK((c >= '0' && c <= '9') || c == ' ' || c == '\t');
            if (i == 1 && status == 0) CHECK(c == ' ' || c == '\t');
        }
    }
}

TEST(content_length)
{
    struct reading reading = {.bytes = NULL};
    CHECK_INT(read_head(&reading, WISP_STR(P "Content-Length: 0012\r\n\r\n"), 100), 0);
    CHECK_INT(reading.head.framing, WISP_HTTP_SIZED);
    CHECK_INT(reading.head.content_length, 12);
    CHECK_INT(read_head(&reading, WISP_STR(P "Content-Length: 0\r\n\r\n"), 100), 0);
    CHECK_INT(reading.head.framing, WISP_HTTP_NO_BODY);
    free(reading.bytes);
    CHECK_STATUS(P "Content-Length: 9223372036854775807\r\n\r\n", 0);
    CHECK_STATUS(P "Content-Length: 9223372036854775808\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length: 18446744073709551616\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length: 99999999999999999999999\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length:\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length: -1\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length: +1\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length: 0x1\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length: 1 1\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length: 1,1\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400);
    CHECK_STATUS(P "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400);
}

TEST(transfer_encoding)
{
    struct reading reading = {.bytes = NULL};
    CHECK_INT(read_head(&reading, WISP_STR(P "Transfer-Encoding: CHUNKED \r\n\r\n"), 100), 0);
    CHECK_INT(reading.head.framing, WISP_HTTP_CHUNKED);
    free(reading.bytes);
    CHECK_STATUS(P "Transfer-Encoding:\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: identity\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: gzip\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: xchunked\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: chunkedx\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: \"chunked\"\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: \x0b"
                   "chunked\r\n\r\n",
                 400);
    CHECK_STATUS(P "Transfer-Encoding: chunked;q=1\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: chunked,\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: chunked, chunked\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: chunked, gzip\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: chunked, identity, chunked\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: gzip, chunked\r\n\r\n", 501);
    CHECK_STATUS(P "Transfer-Encoding: gzip,\tchunked\r\n\r\n", 501);
    CHECK_STATUS(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    CHECK_STATUS("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    CHECK_STATUS(P "Transfer_Encoding: chunked\r\n\r\n", 0);
}

TEST(keep_alive)
{
    static const struct {
        const char *request;
        bool keep_alive;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive, CLOSE\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", false},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct reading reading = {.bytes = NULL};
        CHECK_INT(read_head(&reading, wisp_str_from(cases[i].request), 5), 0);
        if (reading.head.keep_alive != cases[i].keep_alive) wisp_test_fail(__FILE__, __LINE__, "%s", cases[i].request);
        free(reading.bytes);
    }
}

TEST(expectations)
{
    struct reading reading = {.bytes = NULL};
    CHECK_INT(read_head(&reading, WISP_STR(P "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"), 100), 0);
    CHECK(reading.head.expects_continue);
    CHECK_INT(read_head(&reading, WISP_STR(H "Expect: 100-continue\r\n\r\n"), 100), 0);
    CHECK(!reading.head.expects_continue);
    CHECK_INT(
        read_head(&reading, WISP_STR("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"), 100), 0);
    CHECK(!reading.head.expects_continue);
    free(reading.bytes);
    CHECK_STATUS(P "Expect: cake\r\nContent-Length: 1\r\n\r\n", 417);
    CHECK_STATUS(P "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", 417);
}

TEST(number_of_headers)
{
    CHECK_STATUS(H "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\n\r\n", 0);
    CHECK_STATUS(H "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\nh:\r\n\r\n", 431);
}

TEST(trailers)
{
    struct reading r;
    size_t n;
    char good[] = "X-Sum: 1\r\ny:\t2 \r\n\r\n", length[] = "content-length: 1\r\n\r\n", host[] = "Host: a\r\n\r\n";
    char coding[] = "transfer-encoding: chunked\r\n\r\n", colon[] = "x : 1\r\n\r\n", none[] = "\r\n";
    r.limits = (struct wisp_http_head_limits){.headers_max = 2};
    wisp_http_parsers_init(&r.parsers);
    CHECK_INT(wisp_http_trailers_parse(&r.parsers, &r.limits, good, sizeof good - 1, r.headers, &n), 0);
    CHECK_INT(n, 2);
    CHECK_STR(r.headers[0].name, "x-sum");
    CHECK_STR(r.headers[1].value, "2");
    CHECK_INT(wisp_http_trailers_parse(&r.parsers, &r.limits, none, sizeof none - 1, r.headers, &n), 0);
    CHECK_INT(n, 0);
    CHECK_INT(wisp_http_trailers_parse(&r.parsers, &r.limits, length, sizeof length - 1, r.headers, &n), 400);
    CHECK_INT(wisp_http_trailers_parse(&r.parsers, &r.limits, host, sizeof host - 1, r.headers, &n), 400);
    CHECK_INT(wisp_http_trailers_parse(&r.parsers, &r.limits, coding, sizeof coding - 1, r.headers, &n), 400);
    CHECK_INT(wisp_http_trailers_parse(&r.parsers, &r.limits, colon, sizeof colon - 1, r.headers, &n), 400);
}

/* --- chunked coding --- */

/* Decodes in pieces; returns the data as text, or "bad", or "more:" and the data. `rest` gets what follows. */
static void decode(struct wisp_str text, size_t piece, char *ret, size_t ret_size)
{
    struct wisp_http_parsers parsers;
    struct wisp_http_chunked chunked;
    wisp_http_parsers_init(&parsers);
    wisp_http_chunked_init(&chunked, &parsers);
    char *bytes = wisp_mem_alloc(text.len ? text.len : 1), *out = bytes;
    memcpy(bytes, text.ptr, text.len);
    enum wisp_http_chunked_result result = WISP_HTTP_CHUNKED_MORE;
    for (size_t at = 0; result == WISP_HTTP_CHUNKED_MORE && at < text.len;) {
        size_t size = text.len - at < piece ? text.len - at : piece, used;
        result = wisp_http_chunked_decode(&chunked, out, bytes + at, size, &out, &used);
        at += used;
    }
    const char *prefix = result == WISP_HTTP_CHUNKED_MORE ? "more:" : "";
    if (result == WISP_HTTP_CHUNKED_BAD)
        snprintf(ret, ret_size, "bad");
    else
        snprintf(ret, ret_size, "%s%.*s", prefix, (int)(out - bytes), bytes);
    free(bytes);
}

#define CHECK_CHUNKED(literal, expected)                                                                               \
    do {                                                                                                               \
        for (size_t piece_ = 1; piece_ < 9; piece_++) {                                                                \
            char got_[256];                                                                                            \
            decode(WISP_STR(literal), piece_ == 8 ? 10000 : piece_, got_, sizeof got_);                                \
            CHECK_TEXT(got_, expected);                                                                                \
        }                                                                                                              \
    } while (0)

TEST(chunks)
{
    CHECK_CHUNKED("0\r\n", "");
    CHECK_CHUNKED("5\r\nhello\r\n6\r\n world\r\n0\r\n", "hello world");
    CHECK_CHUNKED("A\r\n0123456789\r\nb\r\n01234567890\r\n00\r\n", "012345678901234567890");
    CHECK_CHUNKED("0005;a=b\r\nhello\r\n0;x=\"y\"\r\n", "hello");
    CHECK_CHUNKED("5\r\nhel", "more:hel");
    CHECK_CHUNKED("5\r\nhello\r\n", "more:hello");
}

TEST(chunks_that_are_refused)
{
    CHECK_CHUNKED("\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("g\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("-1\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("+5\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("0x5\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED(" 5\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("5 \r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("5\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("5\rXhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("5\r\nhello0\r\n", "bad");
    CHECK_CHUNKED("5\r\nhello\n0\r\n", "bad");
    CHECK_CHUNKED("5\r\nhelloXX0\r\n", "bad");
    CHECK_CHUNKED("4\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("6\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("5;\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("5;a\0b\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("5;a\nb\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("5;a=\"\n\"\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("5;a=\"\r\n\"\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("10000000000000000\r\nhello\r\n0\r\n", "bad");
    CHECK_CHUNKED("FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n", "bad");
}

TEST(chunk_lines_have_a_limit)
{
    char text[2048], got[64];
    memset(text, '0', sizeof text);
    decode((struct wisp_str){text, sizeof text}, 100, got, sizeof got);
    CHECK_TEXT(got, "bad");
    memset(text, 'x', sizeof text);
    memcpy(text, "5;", 2);
    decode((struct wisp_str){text, sizeof text}, 100, got, sizeof got);
    CHECK_TEXT(got, "bad");
    memcpy(text + 400, "\r\nhello\r\n0\r\n", 12);
    decode((struct wisp_str){text, 412}, 100, got, sizeof got);
    CHECK_TEXT(got, "hello");
}

/* --- characters --- */

TEST(tables_follow_the_grammar)
{
    for (int c = 0; c < 256; c++) {
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'), is_digit = c >= '0' && c <= '9';
        bool is_token = is_letter || is_digit || (c && strchr("!#$%&'*+-.^_`|~", c));
        bool is_authority = is_letter || is_digit || (c && strchr("-._~:[]!$&'()*+,;=%", c));
        bool is_target = c > 0x20 && c < 0x7f && c != '#';
        bool is_value = c == '\t' || (c >= 0x20 && c != 0x7f);
        CHECK_INT(wisp_http_chars[c], is_token * WISP_HTTP_TOKEN + is_target * WISP_HTTP_TARGET +
                                          is_authority * WISP_HTTP_AUTHORITY + is_value * WISP_HTTP_VALUE);
    }
}

TEST(lowering)
{
    char text[256 + 5], expected[256 + 5];
    for (size_t shift = 0; shift < 8; shift++) {
        for (size_t i = 0; i < sizeof text; i++) {
            unsigned char c = (unsigned char)(i * 7 + shift);
            text[i] = (char)c;
            expected[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        wisp_http_to_lower(text, sizeof text);
        CHECK(memcmp(text, expected, sizeof text) == 0);
    }
}
