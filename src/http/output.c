/* SPDX-License-Identifier: Apache-2.0 */
/* Output of a connection: collected in one block, handed to the transport whole. */
#include "http/conn.h"

#include <assert.h>

char *wisp_http_conn_reserve(struct wisp_http_conn *conn, size_t size)
{
    struct wisp_http_block *out = conn->out;
    if (!out) {
        conn->out = wisp_http_block_get(conn->shared, size);
    } else if (out->capacity - conn->out_end < size) {
        size_t needed = conn->out_end + size, doubled = 2 * out->capacity;
        conn->out = wisp_http_block_get(conn->shared, needed > doubled ? needed : doubled);
        memcpy(conn->out->bytes, out->bytes, conn->out_end);
        wisp_http_block_put(conn->shared, out);
    }
    return conn->out->bytes + conn->out_end;
}

struct wisp_str wisp_http_conn_output(struct wisp_http_conn *conn)
{
    if (!conn->out || conn->in_flight > 0) return (struct wisp_str){NULL, 0};
    if (conn->exchange && conn->exchange->response.state == WISP_HTTP_RESPONSE_OPEN)
        wisp_http_response_seal(conn->exchange);
    return (struct wisp_str){conn->out->bytes, conn->out_end};
}

struct wisp_http_block *wisp_http_conn_output_sent(struct wisp_http_conn *conn, size_t size, struct wisp_str *ret_left)
{
    assert(conn->out && conn->in_flight == 0 && size <= conn->out_end);
    struct wisp_http_block *out = WISP_TAKE(conn->out);
    if (conn->exchange) conn->exchange->response.is_sent = conn->exchange->response.state != WISP_HTTP_RESPONSE_NONE;
    size_t left = conn->out_end - size;
    conn->out_end = 0;
    if (left == 0) {
        wisp_http_block_put(conn->shared, out);
        return NULL;
    }
    *ret_left = (struct wisp_str){out->bytes + size, left};
    conn->in_flight = left;
    wisp_http_conn_output_moved(conn);
    return out;
}

void wisp_http_conn_output_moved(struct wisp_http_conn *conn)
{
    conn->output_deadline_ms = wisp_http_after(conn->shared, conn->shared->options.write_timeout_ms);
}

void wisp_http_conn_output_done(struct wisp_http_conn *conn, struct wisp_http_block *block)
{
    wisp_http_block_put(conn->shared, block);
    conn->in_flight = 0;
    conn->output_deadline_ms = WISP_HTTP_UNLIMITED;
    if (conn->phase == WISP_HTTP_PHASE_CLOSING)
        conn->input_deadline_ms = wisp_http_after(conn->shared, WISP_HTTP_LINGER_MS);
    wisp_http_conn_run(conn);
}

bool wisp_http_conn_wants_run(const struct wisp_http_conn *conn)
{
    size_t window = conn->shared->options.output_window_bytes;
    switch (conn->phase) {
    case WISP_HTTP_PHASE_HEAD:
        return conn->is_blocked && wisp_http_conn_output_size(conn) < window;
    case WISP_HTTP_PHASE_EXCHANGE:
        return conn->exchange->response.is_drain_wanted && wisp_http_conn_output_size(conn) <= window / 2;
    default:
        return false;
    }
}
