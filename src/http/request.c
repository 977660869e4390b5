/* SPDX-License-Identifier: Apache-2.0 */
/* What the handler may ask of the request's side of a connection's exchange. */
#include "http/conn.h"

#include <assert.h>

enum wisp_http_body wisp_http_incoming_peek(struct wisp_http_exchange *exchange, struct wisp_str *ret_bytes)
{
    struct wisp_http_exchange_full *full = wisp_http_full(exchange);
    struct wisp_http_conn *conn = full->conn;
    struct wisp_http_incoming *body = &conn->body;
    *ret_bytes = (struct wisp_str){NULL, 0};
    if (conn->decoded > conn->unread) {
        *ret_bytes = (struct wisp_str){conn->in->bytes + conn->unread, conn->decoded - conn->unread};
        return WISP_HTTP_BODY_DATA;
    }
    if (body->is_complete) return WISP_HTTP_BODY_END;
    if (!body->is_wanted) {
        body->is_wanted = true;
        conn->input_deadline_ms = wisp_http_after(conn->shared, conn->shared->options.body_timeout_ms);
    }
    if (body->expects_continue && full->response.state == WISP_HTTP_RESPONSE_NONE) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        memcpy(wisp_http_conn_reserve(conn, sizeof go_on - 1), go_on, sizeof go_on - 1);
        conn->out_end += sizeof go_on - 1;
        body->expects_continue = false;
        wisp_http_conn_touch(conn);
    }
    return WISP_HTTP_BODY_WAIT;
}

void wisp_http_incoming_consume(struct wisp_http_exchange *exchange, size_t size)
{
    struct wisp_http_conn *conn = wisp_http_full(exchange)->conn;
    assert(size <= conn->decoded - conn->unread);
    bool was_stopped = !wisp_http_conn_wants_input(conn);
    conn->unread += size;
    if (was_stopped && wisp_http_conn_wants_input(conn)) wisp_http_conn_touch(conn);
}

bool wisp_http_incoming_limit(struct wisp_http_exchange *exchange, uint64_t bytes_max)
{
    struct wisp_http_conn *conn = wisp_http_full(exchange)->conn;
    struct wisp_http_incoming *body = &conn->body;
    if (bytes_max < body->max) body->max = bytes_max;
    if (body->received + body->left <= body->max) return true;
    wisp_http_conn_touch(conn);
    return false;
}

const struct sockaddr *wisp_http_incoming_peer(struct wisp_http_exchange *exchange)
{
    struct wisp_http_exchange_full *full = wisp_http_full(exchange);
    if (full->peer.ss_family == AF_UNSPEC && !full->conn->shared->transport->peer(full->conn, &full->peer)) return NULL;
    return (const struct sockaddr *)(const void *)&full->peer;
}
