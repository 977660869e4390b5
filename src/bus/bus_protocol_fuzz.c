/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol, read by either side, and header blocks. First byte: bit 0 which side; the rest seeds how the bytes are
 * cut into pieces. Whole or in pieces, the same frames come out, and encoded again they are understood as the same. */
#include "bus/protocol.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADERS_MAX = 16 };

static uint64_t digest_str(uint64_t digest, struct wisp_str s)
{
    digest = (digest ^ s.len) * 0x100000001b3u;
    for (size_t i = 0; i < s.len; i++) digest = (digest ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
    return digest;
}

static uint64_t digest_frame(uint64_t digest, const struct wisp_bus_frame *frame)
{
    const struct wisp_str parts[] = {frame->subject, frame->reply,   frame->queue, frame->sid,
                                     frame->headers, frame->payload, frame->text};
    digest = (digest ^ frame->op ^ frame->max << 8) * 0x100000001b3u;
    for (size_t i = 0; i < WISP_COUNT(parts); i++) digest = digest_str(digest, parts[i]);
    return digest;
}

static void check_headers(struct wisp_str block)
{
    struct wisp_bus_header headers[HEADERS_MAX], again[HEADERS_MAX];
    uint16_t status;
    size_t n, n_again;
    struct wisp_err err;
    if (wisp_bus_headers_decode(block, &status, headers, HEADERS_MAX, &n, &err) < 0) return;
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_bus_headers_encode(headers, n, &text);
    if (wisp_bus_headers_decode(wisp_buf_str(&text), &status, again, HEADERS_MAX, &n_again, &err) < 0) abort();
    assert(n == n_again);
    for (size_t i = 0; i < n; i++)
        assert(wisp_str_equal(headers[i].name, again[i].name) && wisp_str_equal(headers[i].value, again[i].value));
}

static void check_again(enum wisp_bus_side side, const struct wisp_bus_frame *frame)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    if (frame->op == WISP_BUS_OP_PUB)
        wisp_bus_encode_pub(&text, frame->subject, frame->reply, frame->headers, frame->payload);
    else if (frame->op == WISP_BUS_OP_MSG)
        wisp_bus_encode_msg(&text, frame->subject, frame->sid, frame->reply, frame->headers, frame->payload);
    else
        return;
    struct wisp_bus_parser parser;
    struct wisp_bus_frame again;
    size_t used;
    wisp_bus_parser_init(&parser, side);
    parser.line_bytes_max *= 2; /* numbers may have been shorter */
    if (wisp_bus_parse(&parser, wisp_buf_str(&text), &again, &used) != WISP_BUS_PARSED_FRAME) abort();
    assert(used == text.len && digest_frame(0, frame) == digest_frame(0, &again));
    check_headers(frame->headers);
}

/* A digest of all frames and of how it ended. */
static uint64_t run(enum wisp_bus_side side, struct wisp_str bytes, uint32_t seed)
{
    struct wisp_bus_parser parser;
    uint64_t digest = 0xcbf29ce484222325u;
    size_t start = 0, end = seed ? 0 : bytes.len;
    enum wisp_bus_parsed result;
    wisp_bus_parser_init(&parser, side);
    for (;;) {
        struct wisp_bus_frame frame;
        size_t used = 0;
        /* A copy of exactly that size, so that a byte read past it shows. */
        WISP_CLEANUP_FREE char *copy = wisp_mem_alloc(end - start);
        if (end > start) memcpy(copy, bytes.ptr + start, end - start);
        result = wisp_bus_parse(&parser, (struct wisp_str){copy, end - start}, &frame, &used);
        if (result == WISP_BUS_PARSED_FRAME) {
            assert(used > 0 && used <= end - start);
            digest = digest_frame(digest, &frame);
            if (!seed) check_again(side, &frame);
            start += used;
        } else if (result == WISP_BUS_PARSED_MORE && end < bytes.len) {
            seed = seed * 1103515245u + 12345u;
            end += 1 + (seed >> 16) % 9;
            if (end > bytes.len) end = bytes.len;
        } else {
            break;
        }
    }
    return digest ^ result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 20000) return 0;
    enum wisp_bus_side side = data[0] & 1 ? WISP_BUS_SIDE_CLIENT : WISP_BUS_SIDE_SERVER;
    struct wisp_str bytes = {(const char *)data + 1, size - 1};
    if (run(side, bytes, 0) != run(side, bytes, data[0] | 256u)) abort();
    check_headers(bytes);
    return 0;
}
