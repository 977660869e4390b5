/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from the encoding's documentation; whole messages are decoded by tests/e2e/telemetry_test.py. */
#include "telemetry/protobuf.h"

#include "test.h"

#define CHECK_BYTES(buf, literal) CHECK(wisp_str_equal(wisp_buf_str(&(buf)), WISP_STR(literal)))

TEST(numbers)
{
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    wisp_protobuf_varint(&out, 1, 150);
    CHECK_BYTES(out, "\x08\x96\x01");
    out.len = 0;
    wisp_protobuf_varint(&out, 1, (uint64_t)-2);
    CHECK_BYTES(out, "\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    out.len = 0;
    wisp_protobuf_fixed64(&out, 16, 1);
    CHECK_BYTES(out, "\x81\x01\x01\0\0\0\0\0\0\0");
    out.len = 0;
    wisp_protobuf_fixed32(&out, 1, 0x01020304);
    CHECK_BYTES(out, "\x0d\x04\x03\x02\x01");
    out.len = 0;
    wisp_protobuf_double(&out, 1, 1.0);
    CHECK_BYTES(out, "\x09\0\0\0\0\0\0\xf0\x3f");
}

TEST(texts)
{
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    wisp_protobuf_text(&out, 2, WISP_STR("testing"));
    CHECK_BYTES(out, "\x12\x07testing");
    out.len = 0;
    wisp_protobuf_text(&out, 2, WISP_STR("a\xff\xc3z"));
    CHECK_BYTES(out, "\x12\x04"
                     "a??z");
}

TEST(messages_of_any_length)
{
    static const size_t sizes[] = {0, 127, 128, 16383, 16384, 100000};
    for (size_t i = 0; i < WISP_COUNT(sizes); i++) {
        WISP_CLEANUP_BUF struct wisp_buf out = {0}, body = {0}, expected = {0};
        memset(wisp_buf_reserve(&body, sizes[i] + 1), 'x', sizes[i] + 1);
        body.len = sizes[i];
        size_t begun = wisp_protobuf_begin(&out, 3);
        wisp_buf_append_str(&out, wisp_buf_str(&body));
        wisp_protobuf_end(&out, begun);
        wisp_protobuf_bytes(&expected, 3, wisp_buf_str(&body));
        CHECK(wisp_str_equal(wisp_buf_str(&out), wisp_buf_str(&expected)));
    }
}
