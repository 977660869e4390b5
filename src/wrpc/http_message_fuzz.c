/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, responses and trailers from bytes: what decodes encodes to what decodes to the same. Bodies: in pieces as
 * large as the dice say, they are the same bytes as in one. The first byte chooses. */
#include "wrpc/http_stream.h"
#include "wrpc/value.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADERS_MAX = 20, BODY_MAX = 1 << 16 };

static struct wisp_arena types_arena;
static const struct wisp_wrpc_http_types *types;

static void check_fields(const struct wisp_wrpc_fields *fields, struct wisp_arena *arena)
{
    struct wisp_err err;
    const struct wisp_http_header *headers;
    struct wisp_wrpc_fields again;
    size_t n;
    uint64_t length;
    (void)!wisp_wrpc_fields_length(fields, &length, &err);
    if (wisp_wrpc_fields_to(fields, HEADERS_MAX, WISP_WRPC_HTTP_HANDLERS, arena, &headers, &n, &err) < 0) return;
    assert(n <= HEADERS_MAX);
    int r = wisp_wrpc_fields_from(headers, n, WISP_WRPC_HTTP_HANDLERS, arena, &again, &err);
    assert(r == 0 && again.len <= n);
}

static void check_request(struct wisp_str bytes, struct wisp_arena *arena)
{
    struct wisp_wrpc_request request, again;
    struct wisp_err err = {0};
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    if (wisp_wrpc_request_decode(types, bytes, arena, &request, &err) != 0) return;
    int r = wisp_wrpc_request_encode(types, &request, &out, &err);
    assert(r == 0 && wisp_str_equal(wisp_buf_str(&out), bytes));
    r = wisp_wrpc_request_decode(types, wisp_buf_str(&out), arena, &again, &err);
    assert(r == 0);
    check_fields(&request.rest.headers, arena);
}

static void check_response(struct wisp_str bytes, struct wisp_arena *arena)
{
    struct wisp_wrpc_response response;
    struct wisp_err err = {0};
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    if (wisp_wrpc_response_decode(types, bytes, arena, &response, &err) != 0) return;
    if (response.is_error)
        assert(response.error.tag < WISP_HTTP_ERROR_COUNT);
    else
        check_fields(&response.rest.headers, arena);
    int r = wisp_wrpc_response_encode(types, &response, &out, &err);
    assert(r == 0 && wisp_str_equal(wisp_buf_str(&out), bytes));
}

/* The body that comes out of it; returns the result of the last piece. */
static int feed(struct wisp_str bytes, uint32_t dice, struct wisp_arena *arena, struct wisp_buf *body, bool *ret_over)
{
    struct wisp_wrpc_http_in in = {0};
    struct wisp_wrpc_session closed = {0};
    struct wisp_err err;
    int r = 0;
    while (r == 0 && bytes.len > 0) {
        dice = dice * 1664525 + 1013904223;
        size_t n = dice ? 1 + (dice >> 16) % bytes.len : bytes.len;
        char *piece = malloc(n);
        memcpy(piece, bytes.ptr, n);
        r = wisp_wrpc_http_in_feed(&in, types, WISP_STR(WISP_WRPC_HTTP_BODY_PATH), (struct wisp_str){piece, n},
                                   BODY_MAX, arena, &err);
        free(piece);
        struct wisp_str here = wisp_wrpc_http_in_peek(&in);
        wisp_buf_append_str(body, here);
        wisp_wrpc_http_in_consume(&in, &closed, here.len);
        bytes.ptr += n;
        bytes.len -= n;
    }
    *ret_over = in.is_body_over;
    assert(in.received == body->len);
    wisp_wrpc_http_in_deinit(&in);
    return r;
}

static void check_body(struct wisp_str bytes, struct wisp_arena *arena)
{
    WISP_CLEANUP_BUF struct wisp_buf one = {0}, other = {0};
    bool is_over, is_over_again;
    uint32_t seed = bytes.len >= 4 ? (uint32_t)bytes.ptr[0] * 7919 + bytes.ptr[1] : 1;
    int r = feed(bytes, seed | 1, arena, &one, &is_over), again = feed(bytes, seed | 2, arena, &other, &is_over_again);
    assert(r == again);
    if (r == 0) assert(is_over == is_over_again && wisp_str_equal(wisp_buf_str(&one), wisp_buf_str(&other)));
}

static void check_trailers(struct wisp_str bytes, struct wisp_arena *arena)
{
    struct wisp_wrpc_option_fields trailers;
    struct wisp_err err = {0};
    if (wisp_wrpc_trailers_decode(types, bytes, arena, &trailers, &err) != 0 || !trailers.is_some) return;
    check_fields(&trailers.value, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct wisp_str bytes, struct wisp_arena *arena) = {check_request, check_response,
                                                                                      check_body, check_trailers};
    struct wisp_err err;
    struct wisp_arena arena = {0};
    if (size == 0) return 0;
    if (!types && wisp_wrpc_http_types_make(&types_arena, &types, &err) < 0) abort();
    char *copy = malloc(size);
    memcpy(copy, data + 1, size - 1);
    checks[*data % WISP_COUNT(checks)]((struct wisp_str){copy, size - 1}, &arena);
    free(copy);
    wisp_arena_deinit(&arena);
    return 0;
}
