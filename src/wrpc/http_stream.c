/* SPDX-License-Identifier: Apache-2.0 */
#include "wrpc/http_stream.h"

#include "wrpc/wire.h"
#include "wrpc/wrpc_priv.h"

#include <assert.h>

enum { TRAILER_BYTES_MAX = 64 << 10, KEPT_BYTES = 64 << 10 };

/* --- coming in --- */

void wisp_wrpc_http_in_take(struct wisp_wrpc_http_in *in, const struct wisp_wrpc_http_front *front)
{
    if (front->is_body_here) {
        in->body.len = in->read = 0;
        wisp_buf_append_str(&in->body, front->body);
        in->received = front->body.len;
        in->is_body_over = true;
    }
    if (front->are_trailers_here) {
        in->trailers = front->trailers;
        in->are_trailers_over = true;
    }
}

void wisp_wrpc_http_in_deinit(struct wisp_wrpc_http_in *in)
{
    wisp_buf_deinit(&in->body);
    wisp_wrpc_collector_deinit(&in->trailer_bytes);
}

struct wisp_str wisp_wrpc_http_in_peek(const struct wisp_wrpc_http_in *in)
{
    if (in->read == in->body.len) return (struct wisp_str){NULL, 0};
    return (struct wisp_str){in->body.data + in->read, in->body.len - in->read};
}

void wisp_wrpc_http_in_consume(struct wisp_wrpc_http_in *in, struct wisp_wrpc_session *session, size_t size)
{
    assert(size <= in->body.len - in->read);
    in->read += size;
    in->consumed += size;
    if (!in->is_body_over) wisp_wrpc_session_allow(session, in->consumed);
}

bool wisp_wrpc_http_in_is_over(const struct wisp_wrpc_http_in *in)
{
    return in->is_body_over && in->are_trailers_over && in->read == in->body.len;
}

/* Makes room for more at the end. */
static void compact(struct wisp_wrpc_http_in *in)
{
    size_t left = in->body.len - in->read;
    if (in->read < left || in->read == 0) return;
    if (left == 0 && in->body.capacity > KEPT_BYTES) {
        wisp_buf_deinit(&in->body);
    } else {
        memmove(in->body.data, in->body.data + in->read, left);
        in->body.len = left;
    }
    in->read = 0;
}

/* Takes a byte of the number before a chunk. */
static int take_number(struct wisp_wrpc_http_in *in, uint8_t byte, struct wisp_err *err)
{
    bool is_too_large = in->number_shift == 28 && byte > 0x0f, is_too_long = in->number_shift > 0 && byte == 0;
    if (is_too_large || is_too_long)
        return wisp_err_set(err, WISP_ERR_INVALID, "the length of a piece of the body is malformed");
    in->number |= (uint32_t)(byte & 0x7f) << in->number_shift;
    in->number_shift += 7;
    if (byte & 0x80) return 0;
    in->chunk_left = in->number;
    in->is_body_over = in->number == 0;
    in->number = in->number_shift = 0;
    return 0;
}

static int feed_body(struct wisp_wrpc_http_in *in, struct wisp_str bytes, size_t bytes_max, struct wisp_err *err)
{
    if (in->is_body_over) return 0;
    if (bytes.len == 0) return wisp_err_set(err, WISP_ERR_INVALID, "the body was broken off");
    compact(in);
    while (bytes.len > 0 && !in->is_body_over) {
        size_t used = 1;
        if (in->chunk_left == 0) {
            int r = take_number(in, (uint8_t)*bytes.ptr, err);
            if (r < 0) return r;
        } else {
            used = bytes.len < in->chunk_left ? bytes.len : in->chunk_left;
            wisp_buf_append(&in->body, bytes.ptr, used);
            in->chunk_left -= (uint32_t)used;
            in->received += used;
        }
        bytes.ptr += used;
        bytes.len -= used;
    }
    if (in->body.len - in->read <= bytes_max) return 0;
    return wisp_err_set(err, WISP_ERR_LIMIT, "more than %zu bytes of the body came faster than they were read",
                        bytes_max);
}

/* The end without anything before it is as good as no trailers. */
static int feed_trailers(struct wisp_wrpc_http_in *in, const struct wisp_wrpc_http_types *types, struct wisp_str bytes,
                         struct wisp_arena *arena, struct wisp_err *err)
{
    bool is_end = bytes.len == 0;
    if (in->are_trailers_over) return 0;
    int r = wisp_wrpc_collect(&in->trailer_bytes, bytes, TRAILER_BYTES_MAX, err);
    if (r < 0) return wisp_err_wrap(err, "trailers");
    if (is_end && in->trailer_bytes.bytes.len == 0) {
        in->are_trailers_over = true;
        return 0;
    }
    if (!wisp_wrpc_collector_is_worth_a_try(&in->trailer_bytes, is_end)) return 0;
    r = wisp_wrpc_trailers_decode(types, wisp_buf_str(&in->trailer_bytes.bytes), arena, &in->trailers, err);
    if (r == WISP_WRPC_MORE) return is_end ? wisp_err_set(err, WISP_ERR_INVALID, "the trailers were broken off") : 0;
    in->are_trailers_over = r == 0;
    return r < 0 ? wisp_err_wrap(err, "trailers") : 0;
}

int wisp_wrpc_http_in_feed(struct wisp_wrpc_http_in *in, const struct wisp_wrpc_http_types *types, struct wisp_str path,
                           struct wisp_str bytes, size_t bytes_max, struct wisp_arena *arena, struct wisp_err *err)
{
    if (wisp_str_is(path, WISP_WRPC_HTTP_BODY_PATH)) return feed_body(in, bytes, bytes_max, err);
    if (wisp_str_is(path, WISP_WRPC_HTTP_TRAILERS_PATH)) return feed_trailers(in, types, bytes, arena, err);
    return 0;
}

/* --- going out --- */

int wisp_wrpc_http_send_body(struct wisp_wrpc_session *session, struct wisp_str bytes, bool is_last,
                             struct wisp_err *err)
{
    struct wisp_buf *out = &session->wrpc->scratch;
    int r = 0;
    out->len = 0;
    if (bytes.len > 0) wisp_wrpc_put_bytes(out, bytes);
    if (is_last) wisp_buf_append_char(out, 0);
    if (out->len > 0) r = wisp_wrpc_session_send(session, WISP_WRPC_HTTP_BODY_PATH, wisp_buf_str(out), err);
    wisp_wrpc_session_count(session, bytes.len);
    if (r == 0 && is_last) r = wisp_wrpc_session_end(session, WISP_WRPC_HTTP_BODY_PATH, err);
    return r;
}

int wisp_wrpc_http_send_trailers(struct wisp_wrpc_session *session, const struct wisp_wrpc_option_fields *trailers,
                                 struct wisp_err *err)
{
    struct wisp_buf *out = &session->wrpc->scratch;
    out->len = 0;
    int r = wisp_wrpc_trailers_encode(session->wrpc->http_types, trailers, out, err);
    if (r == 0) r = wisp_wrpc_session_send(session, WISP_WRPC_HTTP_TRAILERS_PATH, wisp_buf_str(out), err);
    if (r == 0) r = wisp_wrpc_session_end(session, WISP_WRPC_HTTP_TRAILERS_PATH, err);
    return r;
}

void wisp_wrpc_http_break_off(struct wisp_wrpc_session *session)
{
    struct wisp_err ignored;
    if (wisp_wrpc_session_end(session, WISP_WRPC_HTTP_BODY_PATH, &ignored) < 0) return;
    (void)!wisp_wrpc_session_end(session, WISP_WRPC_HTTP_TRAILERS_PATH, &ignored);
}
