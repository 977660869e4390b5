/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus.h"
#include "test.h"

#define S(text) wisp_str_from(text)

TEST(subjects)
{
    CHECK(wisp_bus_subject_is_valid(S("a")));
    CHECK(wisp_bus_subject_is_valid(S("a.b.c")));
    CHECK(wisp_bus_subject_is_valid(S("$JS.API.>x")));
    CHECK(wisp_bus_subject_is_valid(S("a*.*b")));
    const char *bad[] = {"", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\r", "a\n", "*", "a.*", ">", "a.>"};
    for (size_t i = 0; i < WISP_COUNT(bad); i++) CHECK(!wisp_bus_subject_is_valid(S(bad[i])));
    static char large[WISP_BUS_SUBJECT_MAX + 1];
    memset(large, 'a', sizeof large);
    CHECK(wisp_bus_subject_is_valid((struct wisp_str){large, WISP_BUS_SUBJECT_MAX}));
    CHECK(!wisp_bus_subject_is_valid((struct wisp_str){large, sizeof large}));
}

TEST(patterns)
{
    CHECK(wisp_bus_pattern_is_valid(S(">")));
    CHECK(wisp_bus_pattern_is_valid(S("*.a.>")));
    CHECK(!wisp_bus_pattern_is_valid(S(">.a")));
    CHECK(!wisp_bus_pattern_is_valid(S("a..>")));
    CHECK(wisp_bus_pattern_matches(S("a.*.c"), S("a.b.c")));
    CHECK(wisp_bus_pattern_matches(S("a.>"), S("a.b.c")));
    CHECK(!wisp_bus_pattern_matches(S("a.>"), S("a")));
    CHECK(!wisp_bus_pattern_matches(S("a.*"), S("a.b.c")));
    CHECK(!wisp_bus_pattern_matches(S("a.*.c"), S("a.b")));
    CHECK(!wisp_bus_pattern_matches(S("a.b"), S("a.bc")));
    CHECK(wisp_bus_pattern_matches(S("a*"), S("a*")));
    CHECK(!wisp_bus_pattern_matches(S("a*"), S("ab")));
    CHECK(!wisp_bus_pattern_matches(S("*"), S("")));
}

TEST(headers_there_and_back)
{
    WISP_CLEANUP_BUF struct wisp_buf block = {0};
    struct wisp_bus_header headers[] = {{S("Key"), S("value")}, {S("key"), S("other: value")}, {S("empty"), S("")}};
    wisp_bus_headers_encode(headers, 3, &block);
    CHECK_STR(wisp_buf_str(&block), "NATS/1.0\r\nKey: value\r\nkey: other: value\r\nempty: \r\n\r\n");
    struct wisp_bus_header back[3];
    uint16_t status = 1;
    size_t n;
    struct wisp_err err = {0};
    CHECK_OK(wisp_bus_headers_decode(wisp_buf_str(&block), &status, back, 3, &n, &err), &err);
    CHECK_INT(n, 3);
    CHECK_INT(status, 0);
    CHECK_STR(back[1].value, "other: value");
    struct wisp_bus_message message = {.headers = back, .n_headers = n};
    CHECK_STR(wisp_bus_header_get(&message, "key"), "other: value");
    CHECK_INT(wisp_bus_header_get(&message, "KEY").len, 0);
    CHECK_FAILS(wisp_bus_headers_decode(wisp_buf_str(&block), &status, back, 2, &n, &err), LIMIT);
}

TEST(a_value_makes_no_header)
{
    WISP_CLEANUP_BUF struct wisp_buf block = {0};
    struct wisp_bus_header header = {S("a"), S("b\r\nforged: c")};
    wisp_bus_headers_encode(&header, 1, &block);
    CHECK_STR(wisp_buf_str(&block), "NATS/1.0\r\na: b  forged: c\r\n\r\n");
}

TEST(status)
{
    uint16_t status;
    size_t n;
    struct wisp_err err = {0};
    CHECK_OK(wisp_bus_headers_decode(S("NATS/1.0 503\r\n\r\n"), &status, NULL, 0, &n, &err), &err);
    CHECK_INT(status, 503);
    CHECK_OK(wisp_bus_headers_decode(S("NATS/1.0 408 Request Timeout\r\n\r\n"), &status, NULL, 0, &n, &err), &err);
    CHECK_INT(status, 408);
    const char *bad[] = {"",
                         "NATS/1.0",
                         "NATS/1.0\r\n",
                         "NATS/1.0\n\n",
                         "HTTP/1.0\r\n\r\n",
                         "NATS/1.0503\r\n\r\n",
                         "NATS/1.0 50\r\n\r\n",
                         "NATS/1.0 50x\r\n\r\n",
                         "NATS/1.0 5034\r\n\r\n",
                         "NATS/1.0\r\nno colon\r\n\r\n",
                         "NATS/1.0\r\n: no name\r\n\r\n",
                         "NATS/1.0\r\na: b\rc\r\n\r\n",
                         "NATS/1.0\r\n\r\nmore"};
    struct wisp_bus_header headers[2];
    for (size_t i = 0; i < WISP_COUNT(bad); i++)
        CHECK_FAILS(wisp_bus_headers_decode(S(bad[i]), &status, headers, 2, &n, &err), INVALID);
}
