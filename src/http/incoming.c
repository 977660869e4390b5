/* SPDX-License-Identifier: Apache-2.0 */
/* Input of a connection: its block, and the body taken out of its framing.
 *
 *     0        unread      decoded        raw           in_end      capacity
 *     | head …  | for the   | framing that | not parsed  | free       |
 *     |         | handler   | was removed  | yet         |            |
 */
#include "http/conn.h"

#include <assert.h>

/* Trailers must fit beside a full window of unread body. */
enum { TRAILER_BYTES_MAX = 8 * 1024 };

static void reset_offsets(struct wisp_http_conn *conn) { conn->unread = conn->decoded = conn->raw = conn->in_end = 0; }

void wisp_http_incoming_trim(struct wisp_http_conn *conn)
{
    if (!conn->in || conn->is_pinned || conn->raw != conn->in_end || conn->unread != conn->decoded) return;
    wisp_http_block_put(conn->shared, conn->in);
    conn->in = NULL;
    reset_offsets(conn);
}

/* --- space --- */

/* Moves what is still needed to the start of the block. */
static void compact(struct wisp_http_conn *conn)
{
    char *bytes = conn->in->bytes;
    size_t n_body = conn->decoded - conn->unread, n_raw = conn->in_end - conn->raw;
    if (n_body + n_raw == conn->in_end) return;
    memmove(bytes, bytes + conn->unread, n_body);
    memmove(bytes + n_body, bytes + conn->raw, n_raw);
    conn->unread = 0;
    conn->decoded = conn->raw = n_body;
    conn->in_end = n_body + n_raw;
}

/* A head that is longer than a small block goes on in a large one. */
static void enlarge(struct wisp_http_conn *conn)
{
    struct wisp_http_block *block = wisp_http_block_get(conn->shared, conn->shared->large_block_bytes);
    memcpy(block->bytes, conn->in->bytes, conn->in_end);
    wisp_http_block_put(conn->shared, conn->in);
    conn->in = block;
}

char *wisp_http_conn_space(struct wisp_http_conn *conn, size_t *ret_size)
{
    if (!conn->in) {
        bool is_body = conn->phase == WISP_HTTP_PHASE_EXCHANGE || conn->phase == WISP_HTTP_PHASE_SKIP;
        conn->in = wisp_http_block_get(conn->shared, is_body ? conn->shared->large_block_bytes : 1);
    } else if (!conn->is_pinned && conn->in->capacity - conn->in_end < conn->in->capacity / 4) {
        compact(conn);
        if (conn->in_end == conn->in->capacity && conn->in->capacity < conn->shared->large_block_bytes) enlarge(conn);
    }
    *ret_size = conn->in->capacity - conn->in_end;
    assert(*ret_size > 0);
    return conn->in->bytes + conn->in_end;
}

bool wisp_http_conn_wants_input(const struct wisp_http_conn *conn)
{
    if (conn->is_eof || conn->is_broken) return false;
    switch (conn->phase) {
    case WISP_HTTP_PHASE_HEAD:
        return wisp_http_conn_output_size(conn) < conn->shared->options.output_window_bytes;
    case WISP_HTTP_PHASE_EXCHANGE:
        if (!conn->body.is_complete) return conn->decoded - conn->unread < conn->shared->options.body_window_bytes;
        /* Only to learn that the client left; what it sends meanwhile is bounded by the block. */
        return !conn->in || conn->in_end < conn->in->capacity;
    case WISP_HTTP_PHASE_SKIP:
    case WISP_HTTP_PHASE_CLOSING:
        return true;
    }
    return false;
}

/* --- body --- */

static void receive_sized(struct wisp_http_conn *conn)
{
    struct wisp_http_incoming *body = &conn->body;
    size_t here = conn->in_end - conn->raw;
    size_t n = here < body->left ? here : (size_t)body->left;
    conn->raw += n;
    conn->decoded = conn->raw;
    body->received += n;
    body->left -= n;
    body->is_complete = body->left == 0;
}

static int receive_trailers(struct wisp_http_conn *conn)
{
    struct wisp_http_incoming *body = &conn->body;
    struct wisp_http_exchange_full *full = conn->exchange;
    char *bytes = conn->in->bytes + conn->raw;
    size_t size = conn->in_end - conn->raw;
    enum wisp_http_scan_result result = wisp_http_scan(&body->trailer_scan, bytes, size);
    if (result == WISP_HTTP_SCAN_BAD) return 400;
    if (result == WISP_HTTP_SCAN_MORE) return size < TRAILER_BYTES_MAX ? 0 : 431;
    size_t trailer_size = body->trailer_scan.line_start;
    if (trailer_size > TRAILER_BYTES_MAX) return 431;
    /* Without an exchange the body is only skipped; more than an empty line needs no look any more. */
    if (trailer_size > 2 && full) {
        full->trailers = wisp_mem_calloc(conn->shared->head_limits.headers_max, sizeof *full->trailers);
        int status = wisp_http_trailers_parse(&conn->shared->parsers, &conn->shared->head_limits, bytes, trailer_size,
                                              full->trailers, &full->exchange.n_trailers);
        if (status != 0) return status;
        full->exchange.trailers = full->trailers;
        conn->is_pinned = true;
    }
    conn->raw += trailer_size;
    body->is_complete = true;
    return 0;
}

static int receive_chunked(struct wisp_http_conn *conn)
{
    struct wisp_http_incoming *body = &conn->body;
    if (!body->in_trailers) {
        char *bytes = conn->in->bytes, *out;
        size_t used;
        enum wisp_http_chunked_result result = wisp_http_chunked_decode(
            &body->chunked, bytes + conn->decoded, bytes + conn->raw, conn->in_end - conn->raw, &out, &used);
        if (result == WISP_HTTP_CHUNKED_BAD) return 400;
        size_t decoded = (size_t)(out - bytes);
        body->received += decoded - conn->decoded;
        conn->decoded = decoded;
        conn->raw += used;
        body->in_trailers = result == WISP_HTTP_CHUNKED_LAST;
    }
    return body->in_trailers ? receive_trailers(conn) : 0;
}

int wisp_http_incoming_receive(struct wisp_http_conn *conn)
{
    struct wisp_http_incoming *body = &conn->body;
    int status = 0;
    if (!body->is_complete && conn->raw < conn->in_end) {
        body->expects_continue = false;
        if (body->framing == WISP_HTTP_SIZED)
            receive_sized(conn);
        else
            status = receive_chunked(conn);
        if (conn->exchange) conn->exchange->exchange.bytes_in = body->received;
    }
    if (status == 0 && body->received + body->left > body->max) status = 413;
    return status;
}

/* The head stays where it is, in a block of its own; what came behind it goes to a new one. */
static void set_head_aside(struct wisp_http_conn *conn)
{
    struct wisp_http_block *head = conn->in;
    conn->exchange->head_block = head;
    conn->in = NULL;
    conn->is_pinned = false;
    size_t from = conn->unread, size = conn->in_end - from;
    if (size == 0) {
        reset_offsets(conn);
        return;
    }
    conn->in = wisp_http_block_get(conn->shared, conn->shared->large_block_bytes);
    memcpy(conn->in->bytes, head->bytes + from, size);
    conn->unread = 0;
    conn->decoded -= from;
    conn->raw -= from;
    conn->in_end -= from;
}

int wisp_http_incoming_begin(struct wisp_http_conn *conn, const struct wisp_http_head *head)
{
    struct wisp_http_incoming *body = &conn->body;
    body->framing = head->framing;
    body->is_complete = head->framing == WISP_HTTP_NO_BODY;
    body->is_wanted = body->in_trailers = false;
    body->expects_continue = head->expects_continue;
    body->received = 0;
    body->left = head->content_length;
    body->max = conn->shared->options.body_bytes_max;
    conn->unread = conn->decoded = conn->raw;
    conn->is_pinned = true;
    if (body->is_complete) return 0;

    body->trailer_scan = (struct wisp_http_scan){0};
    if (head->framing == WISP_HTTP_CHUNKED) wisp_http_chunked_init(&body->chunked, &conn->shared->parsers);
    int status = wisp_http_incoming_receive(conn);
    if (status == 0 && !body->is_complete) set_head_aside(conn);
    return status;
}
