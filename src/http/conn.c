/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine of a connection; conn.h has the drawing. */
#include "http/conn.h"

#include <assert.h>

enum {
    SKIP_BYTES_MAX = 256 * 1024 /* reading this much of an unwanted body is cheaper than a new connection */
};

void wisp_http_conn_init(struct wisp_http_conn *conn, struct wisp_http_shared *shared)
{
    memset(conn, 0, sizeof *conn);
    conn->shared = shared;
    conn->input_deadline_ms = wisp_http_after(shared, shared->options.head_timeout_ms);
    conn->output_deadline_ms = WISP_HTTP_UNLIMITED;
}

void wisp_http_conn_touch(struct wisp_http_conn *conn)
{
    if (!conn->is_running) conn->shared->transport->schedule(conn);
}

/* --- exchanges begin and end --- */

static struct wisp_http_exchange_full *exchange_new(struct wisp_http_conn *conn)
{
    struct wisp_http_exchange_full *full = wisp_http_recycler_get(&conn->shared->exchanges);
    memset(full, 0, offsetof(struct wisp_http_exchange_full, peer));
    full->peer.ss_family = AF_UNSPEC;
    full->exchange.ops = &wisp_http_conn_ops;
    full->conn = conn;
    conn->exchange = full;
    return full;
}

static void exchange_free(struct wisp_http_conn *conn)
{
    struct wisp_http_exchange_full *full = conn->exchange;
    conn->exchange = NULL;
    conn->is_pinned = false;
    conn->unread = conn->decoded = conn->raw;
    wisp_http_block_put(conn->shared, full->head_block);
    free(full->trailers);
    wisp_http_recycler_put(&conn->shared->exchanges, full);
}

/* The handler's last call. */
static void exchange_close(struct wisp_http_conn *conn, enum wisp_http_outcome outcome)
{
    struct wisp_http_exchange *exchange = &conn->exchange->exchange;
    const struct wisp_http_options *options = &conn->shared->options;
    exchange->outcome = outcome;
    if (options->handler.on_close) options->handler.on_close(exchange, options->env);
    conn->shared->stats.in_flight--;
    exchange_free(conn);
}

/* --- the ways out --- */

/* What is in the output is sent; then the client has a while to close first, for a socket closed with unread input
 * would take the response away from it again. */
static void begin_closing(struct wisp_http_conn *conn)
{
    bool is_quiet = conn->client_closes && conn->body.is_complete && conn->raw == conn->in_end;
    conn->phase = WISP_HTTP_PHASE_CLOSING;
    conn->is_eof |= is_quiet;
    conn->unread = conn->decoded = conn->raw = conn->in_end;
    conn->input_deadline_ms = wisp_http_after(conn->shared, WISP_HTTP_LINGER_MS);
}

/* Nothing was asked and nothing is owed: no need to linger. */
static void close_idle(struct wisp_http_conn *conn)
{
    begin_closing(conn);
    conn->is_eof = true;
}

static void refuse(struct wisp_http_conn *conn, int status, bool is_head_request)
{
    conn->shared->stats.refused++;
    conn->client_closes = false;
    wisp_http_response_refuse(conn, status, is_head_request);
    begin_closing(conn);
}

static void reset(struct wisp_http_conn *conn, enum wisp_http_outcome outcome)
{
    conn->is_broken = true;
    conn->phase = WISP_HTTP_PHASE_CLOSING;
    if (conn->exchange) exchange_close(conn, outcome);
}

/* The exchange cannot go on, by the client's fault. */
static void fail(struct wisp_http_conn *conn, enum wisp_http_outcome outcome, int status)
{
    if (!wisp_http_response_retract(&conn->exchange->exchange)) {
        reset(conn, outcome);
        return;
    }
    bool is_head_request = conn->exchange->is_head_request;
    conn->exchange->exchange.status = (uint16_t)status;
    exchange_close(conn, outcome);
    refuse(conn, status, is_head_request);
}

static void fail_body(struct wisp_http_conn *conn, int status)
{
    fail(conn, status == 400 ? WISP_HTTP_BODY_MALFORMED : WISP_HTTP_BODY_TOO_LARGE, status);
}

/* --- phases --- */

static void begin_head(struct wisp_http_conn *conn)
{
    const struct wisp_http_options *options = &conn->shared->options;
    bool is_next_here = conn->raw < conn->in_end;
    conn->phase = WISP_HTTP_PHASE_HEAD;
    conn->has_served = true;
    conn->has_blank_line = false;
    conn->scan = (struct wisp_http_scan){0};
    conn->input_deadline_ms =
        wisp_http_after(conn->shared, is_next_here ? options->head_timeout_ms : options->idle_timeout_ms);
}

/* Reads the head and what is here of the body. Returns 0, or the status for a request in error. */
static int read_request(struct wisp_http_conn *conn, char *bytes, size_t size, struct wisp_http_head *ret_head)
{
    struct wisp_http_shared *shared = conn->shared;
    struct wisp_http_exchange_full *full = conn->exchange;
    int status = wisp_http_head_parse(&shared->parsers, &shared->head_limits, bytes, size, full->headers, ret_head);
    if (status != 0) return status;
    conn->raw += size;
    full->is_head_request = wisp_str_equal(ret_head->method, WISP_STR("HEAD"));
    return wisp_http_incoming_begin(conn, ret_head);
}

static void fill_in(struct wisp_http_exchange_full *full, const struct wisp_http_head *head)
{
    struct wisp_http_exchange *exchange = &full->exchange;
    exchange->method = head->method;
    exchange->target = head->target;
    exchange->scheme = full->conn->is_secure ? WISP_STR("https") : WISP_STR("http");
    exchange->authority = head->authority;
    exchange->headers = full->headers;
    exchange->n_headers = head->n_headers;
    exchange->content_length = head->framing == WISP_HTTP_CHUNKED ? WISP_HTTP_LENGTH_UNKNOWN : head->content_length;
    exchange->version_minor = head->version_minor;
}

static bool begin_exchange(struct wisp_http_conn *conn, char *bytes, size_t size)
{
    struct wisp_http_shared *shared = conn->shared;
    struct wisp_http_exchange_full *full = exchange_new(conn);
    struct wisp_http_head head;
    int status = read_request(conn, bytes, size, &head);
    /* The rest of the body will never come; who sends half a request is owed no answer. */
    bool is_cut_off = status == 0 && conn->is_eof && !conn->body.is_complete;
    if (status != 0 || is_cut_off) {
        bool is_head_request = full->is_head_request;
        exchange_free(conn);
        if (is_cut_off)
            begin_closing(conn);
        else
            refuse(conn, status, is_head_request);
        return true;
    }
    fill_in(full, &head);
    conn->keep_alive = head.keep_alive;
    conn->client_closes = !head.keep_alive;
    conn->input_deadline_ms = WISP_HTTP_UNLIMITED;
    conn->phase = WISP_HTTP_PHASE_EXCHANGE;
    shared->stats.exchanges++;
    shared->stats.in_flight++;
    shared->options.handler.on_request(&full->exchange, shared->options.env);
    return true;
}

/* A head that isn't complete yet: is it still worth waiting for? */
static bool wait_for_head(struct wisp_http_conn *conn, bool is_first_look)
{
    const struct wisp_http_options *options = &conn->shared->options;
    size_t size = conn->in_end - conn->raw;
    if (conn->scan.line_start == 0 && size > options->target_bytes_max + 128) {
        refuse(conn, 414, false);
        return true;
    }
    if (size >= options->head_bytes_max) {
        refuse(conn, 431, false);
        return true;
    }
    if (conn->is_eof) {
        begin_closing(conn);
        return false;
    }
    if (is_first_look && conn->has_served)
        conn->input_deadline_ms = wisp_http_after(conn->shared, options->head_timeout_ms);
    return false;
}

static bool step_head(struct wisp_http_conn *conn)
{
    const struct wisp_http_options *options = &conn->shared->options;
    if (conn->raw == conn->in_end) {
        if (conn->is_eof) begin_closing(conn);
        return false;
    }
    conn->is_blocked = wisp_http_conn_output_size(conn) >= options->output_window_bytes;
    if (conn->is_blocked) return false;
    bool is_first_look = conn->scan.line_start + conn->scan.seen == 0;
    char *bytes = conn->in->bytes + conn->raw;
    switch (wisp_http_scan(&conn->scan, bytes, conn->in_end - conn->raw)) {
    case WISP_HTTP_SCAN_MORE:
        return wait_for_head(conn, is_first_look);
    case WISP_HTTP_SCAN_BAD:
        refuse(conn, 400, false);
        return true;
    case WISP_HTTP_SCAN_DONE:
        break;
    }
    size_t size = conn->scan.line_start;
    if (size > options->head_bytes_max) {
        refuse(conn, 431, false);
        return true;
    }
    if (size > 2) return begin_exchange(conn, bytes, size);
    /* An empty line before the request: old clients send one behind a body. One is forgiven. */
    if (conn->has_blank_line) {
        refuse(conn, 400, false);
        return true;
    }
    conn->has_blank_line = true;
    conn->scan = (struct wisp_http_scan){0};
    conn->raw += size;
    conn->unread = conn->decoded = conn->raw;
    return true;
}

static bool is_skippable(const struct wisp_http_incoming *body)
{
    return !body->expects_continue && body->left <= SKIP_BYTES_MAX;
}

static void begin_skip(struct wisp_http_conn *conn)
{
    conn->phase = WISP_HTTP_PHASE_SKIP;
    conn->body.max = conn->body.received + SKIP_BYTES_MAX;
    conn->input_deadline_ms = wisp_http_after(conn->shared, conn->shared->options.body_timeout_ms);
}

/* The response is in the output: on to the next request, or out. */
static bool finish(struct wisp_http_conn *conn)
{
    const struct wisp_http_incoming *body = &conn->body;
    exchange_close(conn, WISP_HTTP_COMPLETE);
    if (!conn->keep_alive || conn->shared->is_stopping || !(body->is_complete || is_skippable(body)))
        begin_closing(conn);
    else if (body->is_complete)
        begin_head(conn);
    else
        begin_skip(conn);
    return true;
}

static bool step_exchange(struct wisp_http_conn *conn)
{
    struct wisp_http_exchange_full *full = conn->exchange;
    const struct wisp_http_options *options = &conn->shared->options;
    if (full->is_aborted) {
        reset(conn, WISP_HTTP_ABORTED);
        return false;
    }
    if (full->response.state == WISP_HTTP_RESPONSE_ENDED) return finish(conn);
    int status = wisp_http_incoming_receive(conn);
    if (status != 0) {
        fail_body(conn, status);
        return true;
    }
    if (conn->body.is_wanted && (conn->decoded > conn->unread || conn->body.is_complete)) {
        conn->body.is_wanted = false;
        conn->input_deadline_ms = WISP_HTTP_UNLIMITED;
        if (options->handler.on_body) options->handler.on_body(&full->exchange, options->env);
        return true;
    }
    if (full->response.is_drain_wanted && wisp_http_conn_output_size(conn) <= options->output_window_bytes / 2) {
        full->response.is_drain_wanted = false;
        if (options->handler.on_drain) options->handler.on_drain(&full->exchange, options->env);
        return true;
    }
    return false;
}

static bool step_skip(struct wisp_http_conn *conn)
{
    int status = wisp_http_incoming_receive(conn);
    conn->unread = conn->decoded;
    if (status != 0 || conn->is_eof || conn->shared->is_stopping) {
        begin_closing(conn);
        return true;
    }
    if (!conn->body.is_complete) return false;
    conn->unread = conn->decoded = conn->raw;
    begin_head(conn);
    return true;
}

static bool step(struct wisp_http_conn *conn)
{
    switch (conn->phase) {
    case WISP_HTTP_PHASE_HEAD:
        return step_head(conn);
    case WISP_HTTP_PHASE_EXCHANGE:
        return step_exchange(conn);
    case WISP_HTTP_PHASE_SKIP:
        return step_skip(conn);
    case WISP_HTTP_PHASE_CLOSING:
        conn->unread = conn->decoded = conn->raw = conn->in_end;
        return false;
    }
    return false;
}

void wisp_http_conn_run(struct wisp_http_conn *conn)
{
    assert(!conn->is_running);
    conn->is_running = true;
    while (step(conn)) continue;
    conn->is_running = false;
    wisp_http_incoming_trim(conn);
}

/* --- events from the owner --- */

void wisp_http_conn_input(struct wisp_http_conn *conn, size_t size)
{
    assert(conn->in && size <= conn->in->capacity - conn->in_end);
    conn->in_end += size;
    if (conn->phase == WISP_HTTP_PHASE_SKIP)
        conn->input_deadline_ms = wisp_http_after(conn->shared, conn->shared->options.body_timeout_ms);
    wisp_http_conn_run(conn);
}

void wisp_http_conn_eof(struct wisp_http_conn *conn)
{
    conn->is_eof = true;
    bool can_go_on = conn->body.is_complete && conn->shared->options.serve_half_closed;
    if (conn->phase == WISP_HTTP_PHASE_EXCHANGE && !can_go_on) {
        if (wisp_http_response_retract(&conn->exchange->exchange)) {
            /* Responses to requests before this one may still be on their way. */
            exchange_close(conn, WISP_HTTP_CLIENT_GONE);
            begin_closing(conn);
        } else {
            reset(conn, WISP_HTTP_CLIENT_GONE);
        }
    }
    wisp_http_conn_run(conn);
}

void wisp_http_conn_lost(struct wisp_http_conn *conn, enum wisp_http_outcome outcome)
{
    reset(conn, outcome);
    wisp_http_conn_run(conn);
}

void wisp_http_conn_deinit(struct wisp_http_conn *conn, enum wisp_http_outcome outcome)
{
    if (conn->exchange) exchange_close(conn, outcome);
    wisp_http_block_put(conn->shared, conn->in);
    wisp_http_block_put(conn->shared, conn->out);
    conn->in = conn->out = NULL;
}

static void tick_input(struct wisp_http_conn *conn)
{
    switch (conn->phase) {
    case WISP_HTTP_PHASE_HEAD:
        if (conn->raw < conn->in_end)
            refuse(conn, 408, false);
        else
            close_idle(conn);
        return;
    case WISP_HTTP_PHASE_EXCHANGE:
        fail(conn, WISP_HTTP_TIMED_OUT, 408);
        return;
    case WISP_HTTP_PHASE_SKIP:
        begin_closing(conn);
        return;
    case WISP_HTTP_PHASE_CLOSING:
        /* It had its time to close. How long it may take over the response is another deadline. */
        if (wisp_http_conn_output_size(conn) == 0) conn->is_eof = true;
        return;
    }
}

void wisp_http_conn_tick(struct wisp_http_conn *conn)
{
    uint64_t now = conn->shared->now_ms;
    if (conn->output_deadline_ms <= now) {
        reset(conn, WISP_HTTP_TIMED_OUT);
    } else if (conn->input_deadline_ms <= now) {
        tick_input(conn);
        wisp_http_conn_run(conn);
    }
}

void wisp_http_conn_stop(struct wisp_http_conn *conn)
{
    if (conn->phase == WISP_HTTP_PHASE_HEAD && conn->raw == conn->in_end)
        close_idle(conn);
    else if (conn->phase == WISP_HTTP_PHASE_SKIP)
        begin_closing(conn);
}

enum wisp_http_next wisp_http_conn_next(const struct wisp_http_conn *conn)
{
    if (conn->is_broken) return WISP_HTTP_NEXT_RESET;
    if (conn->phase != WISP_HTTP_PHASE_CLOSING) return WISP_HTTP_NEXT_GO_ON;
    return conn->is_eof ? WISP_HTTP_NEXT_CLOSE : WISP_HTTP_NEXT_SHUT;
}
