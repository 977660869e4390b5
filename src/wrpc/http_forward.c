/* SPDX-License-Identifier: Apache-2.0 */
/* An exchange answered by a component elsewhere. Two independent streams: the request's body goes up as it comes and as
 * the bus takes it, the response's body comes down as the client takes it. */
#include "base/log.h"
#include "http/exchange.h"
#include "wrpc/http.h"
#include "wrpc/http_stream.h"
#include "wrpc/wrpc_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    HEADERS_MAX = 256,          /* of a response */
    INLINE_BODY_MAX = 32 << 10, /* a request's body that is here already and no larger goes with the head */
};

struct wisp_wrpc_forward {
    struct wisp_wrpc_session session;
    struct wisp_wrpc *wrpc;
    struct wisp_http_exchange *exchange;
    char *target;
    struct wisp_arena arena;
    bool is_open;         /* the other side takes the body */
    bool is_request_over; /* body and trailers were sent */
    bool are_trailers_sent;
    bool is_answered; /* nothing more is to be done with the exchange */
    bool is_started;  /* the response's head is out */
    struct wisp_wrpc_collector head;
    struct wisp_wrpc_http_in in;
};

static struct wisp_wrpc_forward *of_session(struct wisp_wrpc_session *session)
{
    return WISP_OWNER(session, struct wisp_wrpc_forward, session);
}

/* --- ends --- */

/* No more from or to the other side. */
static void hang_up(struct wisp_wrpc_forward *forward)
{
    if (forward->session.inbox && forward->is_open && !forward->is_request_over)
        wisp_wrpc_http_break_off(&forward->session);
    wisp_wrpc_session_close(&forward->session);
}

static void reply(struct wisp_http_exchange *exchange, uint16_t status)
{
    static const struct wisp_http_header plain_text = {WISP_STR_INIT("content-type"), WISP_STR_INIT("text/plain")};
    char text[120];
    struct wisp_err err;
    /* The client is told no names. */
    const char *cause = status == 503 ? ": nobody who runs the component can be reached" : "";
    int size = snprintf(text, sizeof text, "%s%s\n", wisp_http_status_text(status), cause);
    if (wisp_http_reply(exchange, status, &plain_text, 1, (struct wisp_str){text, (size_t)size}, &err) < 0)
        wisp_http_abort(exchange);
}

/* The client is told as well as it still can be. */
static void fail(struct wisp_wrpc_forward *forward, uint16_t status, const char *cause)
{
    struct wisp_str path = forward->exchange->target, query;
    wisp_str_split(path, '?', &path, &query); /* a query may hold secrets */
    WISP_LOG(WARN, "wrpc", "a forwarded request failed", WISP_TEXT("component", forward->target),
             WISP_BYTES("path", path), WISP_INT("status", forward->is_started ? 0 : status), WISP_TEXT("cause", cause));
    hang_up(forward);
    forward->is_answered = true;
    if (!forward->is_started || wisp_http_retract(forward->exchange))
        reply(forward->exchange, status);
    else
        wisp_http_abort(forward->exchange);
}

static uint16_t status_of(enum wisp_err_kind kind)
{
    switch (kind) {
    case WISP_ERR_UNAVAILABLE:
        return 503;
    case WISP_ERR_TIMEOUT:
        return 504;
    case WISP_ERR_GUEST:
        return 500;
    default:
        return 502;
    }
}

static void fail_with(struct wisp_wrpc_forward *forward, const struct wisp_err *err)
{
    fail(forward, status_of(err->kind), err->text);
}

void wisp_wrpc_forward_free(struct wisp_wrpc_forward *forward)
{
    if (!forward) return;
    hang_up(forward);
    wisp_wrpc_collector_deinit(&forward->head);
    wisp_wrpc_http_in_deinit(&forward->in);
    wisp_arena_deinit(&forward->arena);
    free(forward->target);
    free(forward);
}

/* --- up: the request --- */

static int send_trailers(struct wisp_wrpc_forward *forward, struct wisp_err *err)
{
    const struct wisp_http_exchange *exchange = forward->exchange;
    struct wisp_wrpc_option_fields trailers = {.is_some = exchange->n_trailers > 0};
    int r = wisp_wrpc_fields_from(exchange->trailers, exchange->n_trailers, WISP_WRPC_HTTP_HANDLERS, &forward->arena,
                                  &trailers.value, err);
    return r == 0 ? wisp_wrpc_http_send_trailers(&forward->session, &trailers, err) : r;
}

/* Sends what there is of the body, as far as there is room. */
static int pump_up(struct wisp_wrpc_forward *forward, struct wisp_err *err)
{
    int r = 0;
    for (size_t room; r == 0 && (room = wisp_wrpc_session_room(&forward->session)) > 0;) {
        struct wisp_str bytes;
        enum wisp_http_body state = wisp_http_body_peek(forward->exchange, &bytes);
        if (state == WISP_HTTP_BODY_WAIT) return 0;
        if (state == WISP_HTTP_BODY_END) {
            forward->is_request_over = true;
            r = wisp_wrpc_http_send_body(&forward->session, WISP_STR(""), true, err);
            return r == 0 && !forward->are_trailers_sent ? send_trailers(forward, err) : r;
        }
        if (bytes.len > room) bytes.len = room;
        r = wisp_wrpc_http_send_body(&forward->session, bytes, false, err);
        wisp_http_body_consume(forward->exchange, bytes.len);
    }
    return r;
}

static void go_on_up(struct wisp_wrpc_forward *forward)
{
    struct wisp_err err = {0};
    if (!forward->is_open || forward->is_request_over || forward->is_answered) return;
    if (pump_up(forward, &err) == 0) return;
    wisp_err_wrap(&err, "sending the request's body");
    fail_with(forward, &err);
}

static void on_open(struct wisp_wrpc_session *session)
{
    of_session(session)->is_open = true;
    go_on_up(of_session(session));
}

static void on_room(struct wisp_wrpc_session *session) { go_on_up(of_session(session)); }

void wisp_wrpc_forward_on_body(struct wisp_wrpc_forward *forward) { go_on_up(forward); }

/* --- down: the response --- */

static int end_response(struct wisp_wrpc_forward *forward, struct wisp_err *err)
{
    const struct wisp_http_header *trailers = NULL;
    size_t n = 0;
    int r = 0;
    if (forward->in.trailers.is_some)
        r = wisp_wrpc_fields_to(&forward->in.trailers.value, HEADERS_MAX, WISP_WRPC_HTTP_HANDLERS, &forward->arena,
                                &trailers, &n, err);
    if (r == 0) r = wisp_http_end(forward->exchange, trailers, n, err);
    if (r < 0) return r;
    forward->is_answered = true;
    hang_up(forward);
    return 0;
}

static int pump_down(struct wisp_wrpc_forward *forward, struct wisp_err *err)
{
    struct wisp_str bytes;
    while ((bytes = wisp_wrpc_http_in_peek(&forward->in)).len > 0) {
        size_t room = wisp_http_room(forward->exchange);
        if (room == 0) return 0;
        if (bytes.len > room) bytes.len = room;
        int r = wisp_http_write(forward->exchange, bytes.ptr, bytes.len, err);
        if (r < 0) return r;
        wisp_wrpc_http_in_consume(&forward->in, &forward->session, bytes.len);
    }
    return wisp_wrpc_http_in_is_over(&forward->in) ? end_response(forward, err) : 0;
}

static void go_on_down(struct wisp_wrpc_forward *forward)
{
    struct wisp_err err = {0};
    if (!forward->is_started || forward->is_answered) return;
    if (pump_down(forward, &err) == 0) return;
    wisp_err_wrap(&err, "the response");
    fail(forward, 502, err.text);
}

void wisp_wrpc_forward_on_drain(struct wisp_wrpc_forward *forward) { go_on_down(forward); }

static void answer_error(struct wisp_wrpc_forward *forward, const struct wisp_wrpc_error_code *error)
{
    static const struct {
        const char *name;
        uint16_t status;
    } codes[] = {
#define X(code, name, status) [WISP_HTTP_ERROR_##code] = {name, status},
        WISP_HTTP_ERROR_CODES(X)
#undef X
    };
    char cause[256];
    struct wisp_str text = {NULL, 0};
    if (error->tag == WISP_HTTP_ERROR_INTERNAL_ERROR && error->of.text.is_some) text = error->of.text.value;
    snprintf(cause, sizeof cause, "it answered with the error-code %s%s%.*s", codes[error->tag].name,
             text.len ? ": " : "", WISP_STR_ARG(text));
    fail(forward, codes[error->tag].status, cause);
}

static int start(struct wisp_wrpc_forward *forward, const struct wisp_wrpc_response *response, struct wisp_err *err)
{
    struct wisp_http_response head = {.status = response->rest.status};
    int r = wisp_wrpc_fields_to(&response->rest.headers, HEADERS_MAX, WISP_WRPC_HTTP_HANDLERS, &forward->arena,
                                &head.headers, &head.n_headers, err);
    if (r == 0) r = wisp_wrpc_fields_length(&response->rest.headers, &head.content_length, err);
    return r == 0 ? wisp_http_start(forward->exchange, &head, err) : r;
}

static void answer(struct wisp_wrpc_forward *forward, const struct wisp_wrpc_response *response)
{
    struct wisp_err err = {0};
    if (response->is_error) {
        answer_error(forward, &response->error);
        return;
    }
    if (start(forward, response, &err) < 0) {
        wisp_err_wrap(&err, "the response");
        fail(forward, 502, err.text);
        return;
    }
    forward->is_started = true;
    wisp_wrpc_session_set_timeout(&forward->session, forward->wrpc->idle_timeout_ms);
    wisp_wrpc_http_in_take(&forward->in, &response->front);
    go_on_down(forward);
}

static void take_head(struct wisp_wrpc_forward *forward, struct wisp_str bytes)
{
    struct wisp_wrpc_response response;
    struct wisp_err err = {0};
    bool is_end = bytes.len == 0;
    int r = wisp_wrpc_collect(&forward->head, bytes, forward->wrpc->value_bytes_max, &err);
    if (r == 0) {
        if (!wisp_wrpc_collector_is_worth_a_try(&forward->head, is_end)) return;
        r = wisp_wrpc_response_decode(forward->wrpc->http_types, wisp_buf_str(&forward->head.bytes), &forward->arena,
                                      &response, &err);
        if (r == WISP_WRPC_MORE && !is_end) return;
    }
    if (r == 0) {
        answer(forward, &response);
    } else if (r == WISP_WRPC_MORE) {
        fail(forward, 500, "it failed: it ended without a response");
    } else {
        wisp_err_wrap(&err, "the response can't be understood");
        fail(forward, 502, err.text);
    }
}

static void on_bytes(struct wisp_wrpc_session *session, struct wisp_str path, struct wisp_str bytes)
{
    struct wisp_wrpc_forward *forward = of_session(session);
    struct wisp_err err = {0};
    if (forward->is_started) wisp_wrpc_session_set_timeout(session, forward->wrpc->idle_timeout_ms);
    if (path.len == 0) {
        if (!forward->is_started) take_head(forward, bytes);
    } else if (wisp_wrpc_http_in_feed(&forward->in, forward->wrpc->http_types, path, bytes,
                                      forward->wrpc->stream_bytes_max, &forward->arena, &err) < 0) {
        wisp_err_wrap(&err, "the response");
        fail(forward, 502, err.text);
    } else {
        go_on_down(forward);
    }
}

static void on_timeout(struct wisp_wrpc_session *session)
{
    struct wisp_wrpc_forward *forward = of_session(session);
    char cause[128];
    /* It is the client that takes its time: the server of the exchange sees to that. */
    if (wisp_wrpc_http_in_peek(&forward->in).len > 0 && forward->is_started) {
        wisp_wrpc_session_set_timeout(session, forward->wrpc->idle_timeout_ms);
        return;
    }
    snprintf(cause, sizeof cause, "%s came within %llu ms", forward->is_started ? "nothing more" : "no response",
             (unsigned long long)session->timeout_ms);
    fail(forward, 504, cause);
}

static void on_failed(struct wisp_wrpc_session *session, const struct wisp_err *err)
{
    fail_with(of_session(session), err);
}

static const struct wisp_wrpc_session_ops ops = {
    .on_open = on_open, .on_bytes = on_bytes, .on_room = on_room, .on_timeout = on_timeout, .on_failed = on_failed};

/* --- the beginning --- */

static struct wisp_wrpc_method method_of(struct wisp_str method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    for (uint32_t i = 0; i < WISP_COUNT(names); i++)
        if (wisp_str_is(method, names[i])) return (struct wisp_wrpc_method){.tag = i};
    return (struct wisp_wrpc_method){WISP_WRPC_METHOD_OTHER, method};
}

static struct wisp_wrpc_option_scheme scheme_of(struct wisp_str scheme)
{
    struct wisp_wrpc_option_scheme ret = {.is_some = true};
    ret.value.tag = wisp_str_is(scheme, "http")    ? WISP_WRPC_SCHEME_HTTP
                    : wisp_str_is(scheme, "https") ? WISP_WRPC_SCHEME_HTTPS
                                                   : WISP_WRPC_SCHEME_OTHER;
    if (ret.value.tag == WISP_WRPC_SCHEME_OTHER) ret.value.other = scheme;
    return ret;
}

/* A body that is here already goes with the head; its bytes stay where they are until it was encoded. */
static void take_early_body(struct wisp_wrpc_forward *forward, struct wisp_wrpc_http_front *front)
{
    struct wisp_http_exchange *exchange = forward->exchange;
    uint64_t length = exchange->content_length;
    if (length > INLINE_BODY_MAX) return;
    if (length > 0 &&
        (wisp_http_body_peek(exchange, &front->body) != WISP_HTTP_BODY_DATA || front->body.len < length)) {
        front->body = (struct wisp_str){NULL, 0};
        return;
    }
    front->is_body_here = length > 0;
    front->are_trailers_here = forward->are_trailers_sent = true;
    forward->is_request_over = front->is_body_here;
}

static int call(struct wisp_wrpc_forward *forward, const struct wisp_wrpc_forward_options *options,
                struct wisp_err *err)
{
    const struct wisp_http_exchange *exchange = forward->exchange;
    struct wisp_wrpc_request request = {.rest = {.method = method_of(exchange->method),
                                                 .target = {true, exchange->target},
                                                 .scheme = scheme_of(exchange->scheme),
                                                 .authority = {exchange->authority.len > 0, exchange->authority}}};
    struct wisp_wrpc_target target = {
        .id = options->target,
        .function = {WISP_STR(WISP_WRPC_HTTP_INTERFACE), WISP_STR("handle")},
        .headers = options->headers,
        .n_headers = options->n_headers,
        .timeout_ms = options->timeout_ms,
        .wait_ms = options->wait_ms,
    };
    struct wisp_buf *out = &forward->wrpc->scratch;
    out->len = 0;
    int r = wisp_wrpc_fields_from(exchange->headers, exchange->n_headers, WISP_WRPC_HTTP_END_TO_END, &forward->arena,
                                  &request.rest.headers, err);
    if (r < 0) return r;
    take_early_body(forward, &request.front);
    r = wisp_wrpc_request_encode(forward->wrpc->http_types, &request, out, err);
    if (r == 0)
        r = wisp_wrpc_session_call(&forward->session, &ops, forward->wrpc, &target, wisp_buf_str(out), true, err);
    if (request.front.is_body_here) wisp_http_body_consume(forward->exchange, request.front.body.len);
    return r;
}

struct wisp_wrpc_forward *wisp_wrpc_forward_new(struct wisp_wrpc *wrpc, struct wisp_http_exchange *exchange,
                                                const struct wisp_wrpc_forward_options *options)
{
    struct wisp_wrpc_forward *forward = wisp_mem_calloc(1, sizeof *forward);
    struct wisp_err err = {0};
    forward->wrpc = wrpc;
    forward->exchange = exchange;
    forward->target = wisp_mem_dup(options->target);
    if (call(forward, options, &err) < 0) fail_with(forward, &err);
    return forward;
}
