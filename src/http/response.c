/* SPDX-License-Identifier: Apache-2.0 */
/* Responses into bytes.
 *
 * How the body is framed is often not known when the head is: guests rarely say how long their answer is. So the head
 * goes into the output with a gap where the framing belongs, and small pieces of body behind it. A response that ends
 * before the output is sent gets a content-length; one that goes on becomes chunked (or, for HTTP/1.0, ends with the
 * connection). Then the framing is written into the gap and the body closes up to it. */
#include "http/conn.h"

#include <assert.h>

enum {
    GAP_BYTES = 96,          /* the longest framing text: see put_framing */
    OPEN_BODY_BYTES = 4096,  /* more than this is not worth moving */
    CHUNK_LINE_BYTES = 18,   /* 16 hexadecimal digits, CR LF */
    LENGTH_LINE_BYTES = 38,  /* "content-length: " 20 digits, CR LF */
    HEAD_OVERHEAD_BYTES = 64 /* status line without its phrase, empty line */
};

/* --- putting text --- */

static char *put(char *at, const char *text, size_t size)
{
    if (size > 0) memcpy(at, text, size);
    return at + size;
}
#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static char *put_decimal(char *at, uint64_t n)
{
    char digits[20];
    size_t i = sizeof digits;
    do digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    return put(at, digits + i, sizeof digits - i);
}

static char *put_chunk_line(char *at, size_t size)
{
    char digits[16];
    size_t i = sizeof digits;
    do digits[--i] = "0123456789abcdef"[size % 16];
    while (size /= 16);
    at = put(at, digits + i, sizeof digits - i);
    return PUT(at, "\r\n");
}

/* --- framing --- */

static char *put_headers(char *at, const struct wisp_http_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        at = put(at, headers[i].name.ptr, headers[i].name.len);
        at = PUT(at, ": ");
        at = put(at, headers[i].value.ptr, headers[i].value.len);
        at = PUT(at, "\r\n");
    }
    return at;
}

static char *put_status_line(char *at, uint16_t status)
{
    at = PUT(at, "HTTP/1.1 ");
    at = put_decimal(at, status);
    *at++ = ' ';
    const char *text = wisp_http_status_text(status);
    at = put(at, text, strlen(text));
    return PUT(at, "\r\n");
}

/* May another request follow? What the client said, as far as the request's body and the server leave it so. */
static void decide_keep_alive(struct wisp_http_conn *conn)
{
    bool may_send_body_or_not = !conn->body.is_complete && conn->body.expects_continue;
    if (conn->shared->is_stopping || may_send_body_or_not) conn->keep_alive = false;
}

/* The last lines of a head: how the connection and the body go on. */
static char *put_framing(char *at, struct wisp_http_exchange_full *full)
{
    const struct wisp_http_outgoing *response = &full->response;
    decide_keep_alive(full->conn);
    if (!full->conn->keep_alive)
        at = PUT(at, "connection: close\r\n");
    else if (full->exchange.version_minor == 0)
        at = PUT(at, "connection: keep-alive\r\n");
    if (response->framing == WISP_HTTP_RESPONSE_CHUNKED) {
        at = PUT(at, "transfer-encoding: chunked\r\n");
    } else if (response->length != WISP_HTTP_LENGTH_UNKNOWN && full->exchange.status != 204) {
        at = PUT(at, "content-length: ");
        at = put_decimal(at, response->length);
        at = PUT(at, "\r\n");
    }
    return PUT(at, "\r\n");
}

/* Puts the framing, now decided, into the gap of an OPEN response and closes up. */
static void close_gap(struct wisp_http_exchange_full *full)
{
    struct wisp_http_conn *conn = full->conn;
    struct wisp_http_outgoing *response = &full->response;
    char *gap = conn->out->bytes + response->gap, *body = gap + GAP_BYTES;
    size_t body_size = (size_t)(conn->out->bytes + conn->out_end - body);
    char *at = put_framing(gap, full);
    bool is_chunk = response->framing == WISP_HTTP_RESPONSE_CHUNKED && body_size > 0;
    if (is_chunk) at = put_chunk_line(at, body_size);
    assert(at <= body);
    memmove(at, body, body_size);
    at += body_size;
    /* The gap was longer than what went into it by more than these two bytes. */
    if (is_chunk) at = PUT(at, "\r\n");
    conn->out_end = (size_t)(at - conn->out->bytes);
    response->state = WISP_HTTP_RESPONSE_STREAMING;
}

void wisp_http_response_seal(struct wisp_http_exchange_full *full)
{
    if (full->exchange.version_minor > 0) {
        full->response.framing = WISP_HTTP_RESPONSE_CHUNKED;
    } else {
        full->response.framing = WISP_HTTP_RESPONSE_UNTIL_CLOSE;
        full->conn->keep_alive = false;
    }
    close_gap(full);
}

static bool is_bodiless(const struct wisp_http_exchange_full *full, uint16_t status)
{
    return full->is_head_request || status == 204 || status == 304;
}

/* --- what the handler calls --- */

static int start(struct wisp_http_exchange *exchange, const struct wisp_http_response *response, struct wisp_err *err)
{
    struct wisp_http_exchange_full *full = wisp_http_full(exchange);
    struct wisp_http_conn *conn = full->conn;
    struct wisp_http_headers_facts facts;
    if (full->response.state != WISP_HTTP_RESPONSE_NONE)
        return wisp_err_set(err, WISP_ERR_INVALID, "the response was started already");
    int result = wisp_http_status_check(response->status, err);
    if (result == 0) result = wisp_http_headers_check(response->headers, response->n_headers, &facts, err);
    if (result < 0) return result;

    exchange->status = response->status;
    full->response.length = response->content_length;
    char *at = wisp_http_conn_reserve(conn, HEAD_OVERHEAD_BYTES + facts.size + WISP_HTTP_DATE_BYTES + GAP_BYTES);
    full->response.start = conn->out_end;
    at = put_status_line(at, response->status);
    at = put_headers(at, response->headers, response->n_headers);
    if (!facts.has_date) at = put(at, conn->shared->date, WISP_HTTP_DATE_BYTES);
    full->response.framing = is_bodiless(full, response->status)                    ? WISP_HTTP_RESPONSE_BODILESS
                             : response->content_length != WISP_HTTP_LENGTH_UNKNOWN ? WISP_HTTP_RESPONSE_SIZED
                                                                                    : WISP_HTTP_RESPONSE_UNDECIDED;
    if (full->response.framing == WISP_HTTP_RESPONSE_UNDECIDED) {
        full->response.state = WISP_HTTP_RESPONSE_OPEN;
        full->response.gap = (size_t)(at - conn->out->bytes);
        at += GAP_BYTES;
    } else {
        full->response.state = WISP_HTTP_RESPONSE_STREAMING;
        at = put_framing(at, full);
    }
    conn->out_end = (size_t)(at - conn->out->bytes);
    wisp_http_conn_touch(conn);
    return 0;
}

static size_t room(struct wisp_http_exchange *exchange)
{
    struct wisp_http_exchange_full *full = wisp_http_full(exchange);
    size_t window = full->conn->shared->options.output_window_bytes;
    size_t used = wisp_http_conn_output_size(full->conn);
    if (used < window) return window - used;
    full->response.is_drain_wanted = true;
    return 0;
}

static void append(struct wisp_http_conn *conn, const void *bytes, size_t size)
{
    memcpy(wisp_http_conn_reserve(conn, size), bytes, size);
    conn->out_end += size;
}

static void append_chunk(struct wisp_http_conn *conn, const void *bytes, size_t size)
{
    char *start = wisp_http_conn_reserve(conn, size + CHUNK_LINE_BYTES + 2);
    char *at = put_chunk_line(start, size);
    at = put(at, bytes, size);
    at = PUT(at, "\r\n");
    conn->out_end += (size_t)(at - start);
}

static int check_writable(const struct wisp_http_exchange_full *full, struct wisp_err *err)
{
    if (full->response.state == WISP_HTTP_RESPONSE_NONE)
        return wisp_err_set(err, WISP_ERR_INVALID, "the response was not started");
    if (full->response.state == WISP_HTTP_RESPONSE_ENDED)
        return wisp_err_set(err, WISP_ERR_INVALID, "the response has ended");
    return 0;
}

static int write_body(struct wisp_http_exchange *exchange, const void *bytes, size_t size, struct wisp_err *err)
{
    struct wisp_http_exchange_full *full = wisp_http_full(exchange);
    struct wisp_http_outgoing *response = &full->response;
    struct wisp_http_conn *conn = full->conn;
    int result = check_writable(full, err);
    if (result < 0) return result;
    if (response->length != WISP_HTTP_LENGTH_UNKNOWN && size > response->length - exchange->bytes_out)
        return wisp_err_set(err, WISP_ERR_INVALID, "more than the content-length of %llu bytes was written",
                            (unsigned long long)response->length);
    exchange->bytes_out += size;
    if (size == 0 || response->framing == WISP_HTTP_RESPONSE_BODILESS) return 0;
    if (response->state == WISP_HTTP_RESPONSE_OPEN && exchange->bytes_out > OPEN_BODY_BYTES)
        wisp_http_response_seal(full);
    if (response->framing == WISP_HTTP_RESPONSE_CHUNKED)
        append_chunk(conn, bytes, size);
    else
        append(conn, bytes, size);
    wisp_http_conn_touch(conn);
    return 0;
}

static void append_last_chunk(struct wisp_http_conn *conn, const struct wisp_http_header *trailers, size_t n,
                              size_t trailers_size)
{
    char *start = wisp_http_conn_reserve(conn, trailers_size + 5);
    char *at = PUT(start, "0\r\n");
    at = put_headers(at, trailers, n);
    at = PUT(at, "\r\n");
    conn->out_end += (size_t)(at - start);
}

static int end(struct wisp_http_exchange *exchange, const struct wisp_http_header *trailers, size_t n_trailers,
               struct wisp_err *err)
{
    struct wisp_http_exchange_full *full = wisp_http_full(exchange);
    struct wisp_http_outgoing *response = &full->response;
    struct wisp_http_headers_facts facts = {0};
    int result = check_writable(full, err);
    if (result == 0) result = wisp_http_headers_check(trailers, n_trailers, &facts, err);
    if (result < 0) return result;
    if (response->framing == WISP_HTTP_RESPONSE_SIZED && exchange->bytes_out < response->length)
        return wisp_err_set(err, WISP_ERR_INVALID, "%llu of %llu bytes of content-length were written",
                            (unsigned long long)exchange->bytes_out, (unsigned long long)response->length);

    if (response->state == WISP_HTTP_RESPONSE_OPEN && n_trailers > 0 && exchange->version_minor > 0) {
        wisp_http_response_seal(full);
    } else if (response->state == WISP_HTTP_RESPONSE_OPEN) {
        response->framing = WISP_HTTP_RESPONSE_SIZED;
        response->length = exchange->bytes_out;
        close_gap(full);
    }
    if (response->framing == WISP_HTTP_RESPONSE_CHUNKED)
        append_last_chunk(full->conn, trailers, n_trailers, facts.size);
    response->state = WISP_HTTP_RESPONSE_ENDED;
    wisp_http_conn_touch(full->conn);
    return 0;
}

bool wisp_http_response_retract(struct wisp_http_exchange *exchange)
{
    struct wisp_http_exchange_full *full = wisp_http_full(exchange);
    struct wisp_http_outgoing *response = &full->response;
    if (response->state == WISP_HTTP_RESPONSE_NONE) return true;
    if (response->state == WISP_HTTP_RESPONSE_ENDED || response->is_sent) return false;
    full->conn->out_end = response->start;
    exchange->status = 0;
    exchange->bytes_out = 0;
    *response = (struct wisp_http_outgoing){.is_drain_wanted = response->is_drain_wanted};
    return true;
}

static void abort_exchange(struct wisp_http_exchange *exchange)
{
    struct wisp_http_exchange_full *full = wisp_http_full(exchange);
    if (full->response.state == WISP_HTTP_RESPONSE_ENDED) return;
    full->is_aborted = true;
    wisp_http_conn_touch(full->conn);
}

const struct wisp_http_exchange_ops wisp_http_conn_ops = {
    .body_peek = wisp_http_incoming_peek,
    .body_consume = wisp_http_incoming_consume,
    .body_limit = wisp_http_incoming_limit,
    .start = start,
    .room = room,
    .write = write_body,
    .end = end,
    .retract = wisp_http_response_retract,
    .abort = abort_exchange,
    .peer = wisp_http_incoming_peer,
};

/* --- the server's own answers --- */

void wisp_http_response_refuse(struct wisp_http_conn *conn, int status, bool is_head_request)
{
    const char *text = wisp_http_status_text((uint16_t)status);
    size_t text_size = strlen(text);
    char *start = wisp_http_conn_reserve(conn, 256);
    char *at = put_status_line(start, (uint16_t)status);
    at = PUT(at, "content-type: text/plain\r\n");
    at = put(at, conn->shared->date, WISP_HTTP_DATE_BYTES);
    at = PUT(at, "connection: close\r\ncontent-length: ");
    at = put_decimal(at, text_size + 1);
    at = PUT(at, "\r\n\r\n");
    if (!is_head_request) {
        at = put(at, text, text_size);
        *at++ = '\n';
    }
    conn->out_end += (size_t)(at - start);
}
