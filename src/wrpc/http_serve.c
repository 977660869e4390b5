/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of incoming-handler become exchanges. What the handler writes is collected and leaves before the loop sleeps,
 * so a short answer that is written at once is one message with its body and trailers inside. */
#include "base/log.h"
#include "http/chars.h"
#include "http/exchange.h"
#include "wrpc/http.h"
#include "wrpc/http_stream.h"
#include "wrpc/serve_priv.h"

#include <assert.h>
#include <stdlib.h>

enum {
    HEADERS_MAX = 100,
    OUTPUT_BYTES_MAX = 256 << 10, /* collected in one turn of the loop */
    INLINE_BODY_MAX = 32 << 10,   /* more than that goes on its path */
};

struct http_call {
    struct wisp_wrpc_incoming incoming;
    struct wisp_http_exchange exchange;
    struct wisp_wrpc_http_options options;
    struct wisp_wrpc_collector head;
    struct wisp_wrpc_http_in in;
    uint64_t body_bytes_max;
    struct wisp_wrpc_request *held; /* until the caller hears of what becomes of it; NULL: it isn't here, or begun */
    bool is_begun;                  /* the handler has it */
    bool is_body_wanted, is_drain_wanted, is_aborted;

    enum { RESPONSE_NONE, RESPONSE_OPEN, RESPONSE_ENDED } state;
    bool is_head_sent, is_bodiless;
    uint64_t length;                    /* of the response's body */
    struct wisp_wrpc_response response; /* its head */
    struct wisp_wrpc_option_fields trailers;
    struct wisp_buf output; /* body that was not sent yet */
    struct wisp_wrpc_task flush;
};

static const struct wisp_http_exchange_ops exchange_ops;

static struct http_call *of_session(struct wisp_wrpc_session *session)
{
    return WISP_OWNER(session, struct http_call, incoming.session);
}
static struct http_call *of_exchange(const struct wisp_http_exchange *exchange)
{
    return WISP_OWNER((uintptr_t)exchange, struct http_call, exchange);
}

static const struct wisp_wrpc_http_types *types_of(const struct http_call *call)
{
    return call->incoming.session.wrpc->http_types;
}

/* --- ends --- */

static void call_free(struct http_call *call)
{
    wisp_wrpc_undefer(call->incoming.session.wrpc, &call->flush);
    wisp_wrpc_collector_deinit(&call->head);
    wisp_wrpc_http_in_deinit(&call->in);
    wisp_buf_deinit(&call->output);
    wisp_wrpc_incoming_free(&call->incoming);
}

/* The handler's last call. */
static void call_close(struct http_call *call, enum wisp_http_outcome outcome)
{
    const struct wisp_http_handler *handler = &call->options.handler;
    call->exchange.outcome = outcome;
    if (call->is_begun && handler->on_close) handler->on_close(&call->exchange, call->options.env);
    call_free(call);
}

static int send_error(struct http_call *call, uint16_t status, struct wisp_err *err)
{
    struct wisp_wrpc_session *session = &call->incoming.session;
    const char *text = wisp_http_status_text(status);
    struct wisp_str plain = WISP_STR("text/plain");
    struct wisp_wrpc_field type = {WISP_STR("content-type"), {&plain, 1}};
    struct wisp_wrpc_response response = {
        .front = {.is_body_here = true, .body = wisp_str_from(text), .are_trailers_here = true},
        .rest = {.status = status, .headers = {&type, 1}}};
    struct wisp_buf *out = &session->wrpc->scratch;
    out->len = 0;
    int r = wisp_wrpc_response_encode(types_of(call), &response, out, err);
    if (r == 0) r = wisp_wrpc_session_send(session, "", wisp_buf_str(out), err);
    return r == 0 ? wisp_wrpc_session_end(session, "", err) : r;
}

/* Tells the caller, in the way that is left, that nothing more comes. */
static void break_off(struct http_call *call)
{
    struct wisp_wrpc_session *session = &call->incoming.session;
    struct wisp_err ignored;
    if (!session->inbox) return;
    if (call->is_head_sent)
        wisp_wrpc_http_break_off(session);
    else
        (void)!wisp_wrpc_session_end(session, "", &ignored);
}

/* It can't go on, by the fault of the caller: an answer for it, as long as no other was sent. */
static void fail(struct http_call *call, enum wisp_http_outcome outcome, uint16_t status, const struct wisp_err *why)
{
    struct wisp_err err = {0};
    WISP_LOG(DEBUG, "wrpc", "HTTP exchange given up", WISP_TEXT("function", call->incoming.session.label),
             WISP_TEXT("cause", why->text));
    if (call->is_head_sent || send_error(call, status, &err) < 0)
        break_off(call);
    else
        call->exchange.status = status;
    call_close(call, outcome);
}

static void on_service_gone(struct wisp_wrpc_incoming *incoming)
{
    struct http_call *call = of_session(&incoming->session);
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "it is not served here any more");
    fail(call, WISP_HTTP_STOPPED, 503, &err);
}

/* --- the request's body, for the handler --- */

static enum wisp_http_body body_peek(struct wisp_http_exchange *exchange, struct wisp_str *ret_bytes)
{
    struct http_call *call = of_exchange(exchange);
    *ret_bytes = wisp_wrpc_http_in_peek(&call->in);
    if (ret_bytes->len > 0) return WISP_HTTP_BODY_DATA;
    if (wisp_wrpc_http_in_is_over(&call->in)) return WISP_HTTP_BODY_END;
    if (!call->is_body_wanted) {
        struct wisp_wrpc_session *session = &call->incoming.session;
        call->is_body_wanted = true;
        wisp_wrpc_session_set_timeout(session, session->wrpc->idle_timeout_ms);
    }
    return WISP_HTTP_BODY_WAIT;
}

static void body_consume(struct wisp_http_exchange *exchange, size_t size)
{
    struct http_call *call = of_exchange(exchange);
    wisp_wrpc_http_in_consume(&call->in, &call->incoming.session, size);
}

static void touch(struct http_call *call) { wisp_wrpc_defer(call->incoming.session.wrpc, &call->flush); }

static bool is_body_too_large(const struct http_call *call)
{
    uint64_t length = call->exchange.content_length;
    return call->in.received > call->body_bytes_max ||
           (length != WISP_HTTP_LENGTH_UNKNOWN && length > call->body_bytes_max);
}

static bool body_limit(struct wisp_http_exchange *exchange, uint64_t bytes_max)
{
    struct http_call *call = of_exchange(exchange);
    if (bytes_max < call->body_bytes_max) call->body_bytes_max = bytes_max;
    if (!is_body_too_large(call)) return true;
    touch(call);
    return false;
}

static const struct sockaddr *peer(struct wisp_http_exchange *exchange)
{
    (void)exchange;
    return NULL;
}

/* --- the response, from the handler --- */

static struct wisp_wrpc_fields copy_fields(struct http_call *call, const struct wisp_http_header *headers, size_t n,
                                           int *ret_result, struct wisp_err *err)
{
    struct wisp_arena *arena = &call->incoming.arena;
    struct wisp_http_header *copies = WISP_NEW_ARRAY(arena, struct wisp_http_header, n);
    struct wisp_wrpc_fields fields = {NULL, 0};
    for (size_t i = 0; i < n; i++)
        copies[i] =
            (struct wisp_http_header){wisp_arena_str(arena, headers[i].name), wisp_arena_str(arena, headers[i].value)};
    *ret_result = wisp_wrpc_fields_from(copies, n, WISP_WRPC_HTTP_ALL, arena, &fields, err);
    return fields;
}

/* The handler gives it as a number; callers know it as a header. */
static void add_content_length(struct http_call *call, uint64_t length)
{
    struct wisp_arena *arena = &call->incoming.arena;
    struct wisp_wrpc_fields *fields = &call->response.rest.headers;
    struct wisp_wrpc_field *more = WISP_NEW_ARRAY(arena, struct wisp_wrpc_field, fields->len + 1);
    struct wisp_str *value = WISP_NEW(arena, struct wisp_str);
    if (fields->len > 0) memcpy(more, fields->ptr, fields->len * sizeof *more);
    *value = wisp_str_from(wisp_arena_printf(arena, "%llu", (unsigned long long)length));
    more[fields->len] = (struct wisp_wrpc_field){WISP_STR("content-length"), {value, 1}};
    *fields = (struct wisp_wrpc_fields){more, fields->len + 1};
}

static int start(struct wisp_http_exchange *exchange, const struct wisp_http_response *response, struct wisp_err *err)
{
    struct http_call *call = of_exchange(exchange);
    struct wisp_http_headers_facts facts;
    if (call->state != RESPONSE_NONE) return wisp_err_set(err, WISP_ERR_INVALID, "the response was started already");
    int r = wisp_http_status_check(response->status, err);
    if (r == 0) r = wisp_http_headers_check(response->headers, response->n_headers, &facts, err);
    if (r < 0) return r;
    struct wisp_wrpc_fields fields = copy_fields(call, response->headers, response->n_headers, &r, err);
    if (r < 0) return r;
    exchange->status = response->status;
    call->state = RESPONSE_OPEN;
    call->length = response->content_length;
    call->is_bodiless =
        response->status == 204 || response->status == 304 || wisp_str_equal(exchange->method, WISP_STR("HEAD"));
    call->response = (struct wisp_wrpc_response){.rest = {.status = response->status, .headers = fields}};
    if (call->length != WISP_HTTP_LENGTH_UNKNOWN && response->status != 204) add_content_length(call, call->length);
    touch(call);
    return 0;
}

static size_t room(struct wisp_http_exchange *exchange)
{
    struct http_call *call = of_exchange(exchange);
    size_t free_bytes = wisp_wrpc_session_room(&call->incoming.session), used = call->output.len;
    if (free_bytes > OUTPUT_BYTES_MAX) free_bytes = OUTPUT_BYTES_MAX;
    if (used < free_bytes) return free_bytes - used;
    call->is_drain_wanted = true;
    return 0;
}

static int check_writable(const struct http_call *call, struct wisp_err *err)
{
    if (call->state == RESPONSE_NONE) return wisp_err_set(err, WISP_ERR_INVALID, "the response was not started");
    if (call->state == RESPONSE_ENDED) return wisp_err_set(err, WISP_ERR_INVALID, "the response has ended");
    return 0;
}

static int write_body(struct wisp_http_exchange *exchange, const void *bytes, size_t size, struct wisp_err *err)
{
    struct http_call *call = of_exchange(exchange);
    int r = check_writable(call, err);
    if (r < 0) return r;
    if (call->length != WISP_HTTP_LENGTH_UNKNOWN && size > call->length - exchange->bytes_out)
        return wisp_err_set(err, WISP_ERR_INVALID, "more than the content-length of %llu bytes was written",
                            (unsigned long long)call->length);
    exchange->bytes_out += size;
    if (size == 0 || call->is_bodiless) return 0;
    wisp_buf_append(&call->output, bytes, size);
    touch(call);
    return 0;
}

static int end(struct wisp_http_exchange *exchange, const struct wisp_http_header *trailers, size_t n_trailers,
               struct wisp_err *err)
{
    struct http_call *call = of_exchange(exchange);
    struct wisp_http_headers_facts facts;
    int r = check_writable(call, err);
    if (r == 0) r = wisp_http_headers_check(trailers, n_trailers, &facts, err);
    if (r < 0) return r;
    if (!call->is_bodiless && call->length != WISP_HTTP_LENGTH_UNKNOWN && exchange->bytes_out < call->length)
        return wisp_err_set(err, WISP_ERR_INVALID, "%llu of %llu bytes of content-length were written",
                            (unsigned long long)exchange->bytes_out, (unsigned long long)call->length);
    if (n_trailers > 0) {
        struct wisp_wrpc_fields fields = copy_fields(call, trailers, n_trailers, &r, err);
        if (r < 0) return r;
        call->trailers = (struct wisp_wrpc_option_fields){true, fields};
    }
    call->state = RESPONSE_ENDED;
    touch(call);
    return 0;
}

static bool retract(struct wisp_http_exchange *exchange)
{
    struct http_call *call = of_exchange(exchange);
    if (call->state == RESPONSE_NONE) return true;
    if (call->state == RESPONSE_ENDED || call->is_head_sent) return false;
    call->state = RESPONSE_NONE;
    call->output.len = 0;
    exchange->status = 0;
    exchange->bytes_out = 0;
    return true;
}

static void abort_exchange(struct wisp_http_exchange *exchange)
{
    struct http_call *call = of_exchange(exchange);
    if (call->state == RESPONSE_ENDED) return;
    call->is_aborted = true;
    touch(call);
}

static const struct wisp_http_exchange_ops exchange_ops = {
    .body_peek = body_peek,
    .body_consume = body_consume,
    .body_limit = body_limit,
    .start = start,
    .room = room,
    .write = write_body,
    .end = end,
    .retract = retract,
    .abort = abort_exchange,
    .peer = peer,
};

const struct wisp_wrpc_caller *wisp_wrpc_http_caller(const struct wisp_http_exchange *exchange)
{
    return exchange->ops == &exchange_ops ? &of_exchange(exchange)->incoming.caller : NULL;
}

/* --- sending --- */

static int send_head(struct http_call *call, struct wisp_err *err)
{
    struct wisp_wrpc_session *session = &call->incoming.session;
    struct wisp_wrpc_http_front *front = &call->response.front;
    bool is_whole = call->state == RESPONSE_ENDED;
    if (is_whole && !call->is_bodiless && call->length == WISP_HTTP_LENGTH_UNKNOWN)
        add_content_length(call, call->output.len);
    front->is_body_here = is_whole && call->output.len > 0 && call->output.len <= INLINE_BODY_MAX;
    front->body = wisp_buf_str(&call->output);
    front->are_trailers_here = is_whole;
    front->trailers = call->trailers;
    struct wisp_buf *out = &session->wrpc->scratch;
    out->len = 0;
    int r = wisp_wrpc_response_encode(types_of(call), &call->response, out, err);
    if (r == 0) r = wisp_wrpc_session_send(session, "", wisp_buf_str(out), err);
    if (r == 0) r = wisp_wrpc_session_end(session, "", err);
    call->is_head_sent = r == 0;
    return r;
}

static int send_output(struct http_call *call, struct wisp_err *err)
{
    struct wisp_wrpc_session *session = &call->incoming.session;
    const struct wisp_wrpc_http_front *front = &call->response.front;
    bool is_last = call->state == RESPONSE_ENDED;
    int r = call->is_head_sent ? 0 : send_head(call, err);
    if (r == 0 && !front->is_body_here)
        r = wisp_wrpc_http_send_body(session, wisp_buf_str(&call->output), is_last, err);
    if (r == 0 && is_last && !front->are_trailers_here) r = wisp_wrpc_http_send_trailers(session, &call->trailers, err);
    call->output.len = 0;
    return r;
}

static void flush(struct wisp_wrpc_task *task)
{
    struct http_call *call = WISP_OWNER(task, struct http_call, flush);
    struct wisp_err err = {0};
    if (call->is_aborted) {
        break_off(call);
        call_close(call, WISP_HTTP_ABORTED);
        return;
    }
    if (call->state != RESPONSE_ENDED && is_body_too_large(call)) {
        wisp_err_set(&err, WISP_ERR_LIMIT, "the body is larger than allowed");
        fail(call, WISP_HTTP_BODY_TOO_LARGE, 413, &err);
        return;
    }
    if (call->state == RESPONSE_NONE) return;
    if (send_output(call, &err) < 0) {
        WISP_LOG(WARN, "wrpc", "a response can't be sent", WISP_TEXT("function", call->incoming.session.label),
                 WISP_TEXT("cause", err.text));
        break_off(call);
        call_close(call, WISP_HTTP_CLIENT_GONE);
    } else if (call->state == RESPONSE_ENDED) {
        call_close(call, WISP_HTTP_COMPLETE);
    } else if (call->is_drain_wanted && wisp_wrpc_session_room(&call->incoming.session) > 0) {
        call->is_drain_wanted = false;
        if (call->options.handler.on_drain) call->options.handler.on_drain(&call->exchange, call->options.env);
    }
}

static void on_room(struct wisp_wrpc_session *session)
{
    struct http_call *call = of_session(session);
    if (!call->is_drain_wanted) return;
    call->is_drain_wanted = false;
    if (call->options.handler.on_drain) call->options.handler.on_drain(&call->exchange, call->options.env);
}

/* --- the request --- */

static struct wisp_str method_of(const struct wisp_wrpc_method *method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    return method->tag < WISP_COUNT(names) ? wisp_str_from(names[method->tag]) : method->other;
}

static struct wisp_str scheme_of(const struct wisp_wrpc_option_scheme *scheme)
{
    if (!scheme->is_some || scheme->value.tag == WISP_WRPC_SCHEME_HTTP) return WISP_STR("http");
    return scheme->value.tag == WISP_WRPC_SCHEME_HTTPS ? WISP_STR("https") : scheme->value.other;
}

static struct wisp_str host_of(const struct wisp_http_exchange *exchange)
{
    for (size_t i = 0; i < exchange->n_headers; i++)
        if (wisp_str_is(exchange->headers[i].name, "host")) return exchange->headers[i].value;
    return WISP_STR("");
}

static bool is_well_formed(const struct wisp_http_exchange *exchange)
{
    struct wisp_str target = exchange->target;
    return exchange->method.len > 0 && wisp_http_is_all(exchange->method, WISP_HTTP_TOKEN) &&
           wisp_http_is_all(exchange->authority, WISP_HTTP_AUTHORITY) && wisp_http_is_all(target, WISP_HTTP_TARGET) &&
           (wisp_str_starts_with(target, WISP_STR("/")) || wisp_str_is(target, "*"));
}

static int fill_in(struct http_call *call, const struct wisp_wrpc_request *request, struct wisp_err *err)
{
    struct wisp_http_exchange *exchange = &call->exchange;
    const struct wisp_wrpc_request_rest *rest = &request->rest;
    exchange->ops = &exchange_ops;
    exchange->version_minor = 1;
    int r = wisp_wrpc_fields_to(&rest->headers, call->options.headers_max, WISP_WRPC_HTTP_ALL, &call->incoming.arena,
                                &exchange->headers, &exchange->n_headers, err);
    if (r == 0) r = wisp_wrpc_fields_length(&rest->headers, &exchange->content_length, err);
    if (r < 0) return r;
    exchange->method = method_of(&rest->method);
    exchange->scheme = scheme_of(&rest->scheme);
    exchange->target = rest->target.is_some && rest->target.value.len > 0 ? rest->target.value : WISP_STR("/");
    exchange->authority = rest->authority.is_some ? rest->authority.value : host_of(exchange);
    if (!is_well_formed(exchange))
        return wisp_err_set(err, WISP_ERR_INVALID, "its method, path or authority is none that HTTP can have");
    return 0;
}

/* What the body and trailers that are here must be like. */
static int check_body(struct http_call *call, struct wisp_err *err)
{
    struct wisp_http_exchange *exchange = &call->exchange;
    const struct wisp_wrpc_http_in *in = &call->in;
    exchange->bytes_in = in->received;
    if (is_body_too_large(call)) return wisp_err_set(err, WISP_ERR_LIMIT, "the body is larger than allowed");
    bool is_wrong =
        in->is_body_over ? in->received != exchange->content_length : in->received > exchange->content_length;
    if (exchange->content_length != WISP_HTTP_LENGTH_UNKNOWN && is_wrong)
        return wisp_err_set(err, WISP_ERR_INVALID, "the body is not as long as its content-length");
    if (!in->are_trailers_over || exchange->trailers || !in->trailers.is_some) return 0;
    return wisp_wrpc_fields_to(&in->trailers.value, call->options.headers_max, WISP_WRPC_HTTP_ALL,
                               &call->incoming.arena, &exchange->trailers, &exchange->n_trailers, err);
}

static void fail_body(struct http_call *call, const struct wisp_err *err)
{
    if (err->kind == WISP_ERR_LIMIT)
        fail(call, WISP_HTTP_BODY_TOO_LARGE, 413, err);
    else
        fail(call, WISP_HTTP_BODY_MALFORMED, 400, err);
}

static void begin(struct http_call *call, const struct wisp_wrpc_request *request)
{
    struct wisp_err err = {0};
    wisp_wrpc_session_set_timeout(&call->incoming.session, 0);
    wisp_wrpc_http_in_take(&call->in, &request->front);
    if (fill_in(call, request, &err) < 0) {
        fail(call, WISP_HTTP_BODY_MALFORMED, err.kind == WISP_ERR_LIMIT ? 431 : 400, &err);
        return;
    }
    if (check_body(call, &err) < 0) {
        fail_body(call, &err);
        return;
    }
    call->is_begun = true;
    call->options.handler.on_request(&call->exchange, call->options.env);
}

static void refuse(struct http_call *call, const struct wisp_err *err)
{
    WISP_LOG(WARN, "wrpc", "call refused", WISP_TEXT("function", call->incoming.session.label),
             WISP_BYTES("source", call->incoming.caller.source_id), WISP_TEXT("cause", err->text));
    break_off(call);
    call_free(call);
}

static void on_heard(struct wisp_wrpc_session *session)
{
    struct http_call *call = of_session(session);
    if (call->held) begin(call, WISP_TAKE(call->held));
}

static void take_head(struct http_call *call, struct wisp_str bytes, bool is_end)
{
    struct wisp_wrpc_request *request = WISP_NEW(&call->incoming.arena, struct wisp_wrpc_request);
    struct wisp_err err = {0};
    int r = wisp_wrpc_collect(&call->head, bytes, call->incoming.session.wrpc->value_bytes_max, &err);
    if (r == 0) {
        if (!wisp_wrpc_collector_is_worth_a_try(&call->head, is_end)) return;
        r = wisp_wrpc_request_decode(types_of(call), wisp_buf_str(&call->head.bytes), &call->incoming.arena, request,
                                     &err);
        if (r == WISP_WRPC_MORE && !is_end) return;
        if (r == WISP_WRPC_MORE) r = wisp_err_set(&err, WISP_ERR_INVALID, "it ended in the middle");
    }
    if (r < 0) {
        wisp_err_wrap(&err, "the request can't be understood");
        refuse(call, &err);
    } else {
        call->held = request;
        if (wisp_wrpc_session_is_heard(&call->incoming.session)) on_heard(&call->incoming.session);
    }
}

static void tell_body(struct http_call *call)
{
    if (!call->is_body_wanted || call->is_aborted) return;
    if (wisp_wrpc_http_in_peek(&call->in).len == 0 && !wisp_wrpc_http_in_is_over(&call->in)) return;
    call->is_body_wanted = false;
    wisp_wrpc_session_set_timeout(&call->incoming.session, 0);
    if (call->options.handler.on_body) call->options.handler.on_body(&call->exchange, call->options.env);
}

static void on_bytes(struct wisp_wrpc_session *session, struct wisp_str path, struct wisp_str bytes)
{
    struct http_call *call = of_session(session);
    struct wisp_err err = {0};
    if (!call->is_begun || call->is_body_wanted) wisp_wrpc_session_set_timeout(session, session->wrpc->idle_timeout_ms);
    if (path.len == 0) {
        if (call->held)
            on_heard(session);
        else if (!call->is_begun)
            take_head(call, bytes, bytes.len == 0);
        return;
    }
    if (wisp_wrpc_http_in_feed(&call->in, types_of(call), path, bytes, session->wrpc->stream_bytes_max,
                               &call->incoming.arena, &err) < 0 ||
        (call->is_begun && check_body(call, &err) < 0))
        fail_body(call, &err);
    else if (call->is_begun)
        tell_body(call);
}

static void on_timeout(struct wisp_wrpc_session *session)
{
    struct http_call *call = of_session(session);
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_TIMEOUT, "the request stopped coming for %llu ms",
                 (unsigned long long)session->timeout_ms);
    fail(call, WISP_HTTP_TIMED_OUT, 408, &err);
}

static void on_failed(struct wisp_wrpc_session *session, const struct wisp_err *err)
{
    (void)err; /* only callers' sessions fail */
    call_close(of_session(session), WISP_HTTP_CLIENT_GONE);
}

static const struct wisp_wrpc_session_ops session_ops = {
    .on_bytes = on_bytes, .on_heard = on_heard, .on_room = on_room, .on_timeout = on_timeout, .on_failed = on_failed};

/* --- the endpoint --- */

static void on_invoke(struct wisp_wrpc_endpoint *endpoint, const struct wisp_bus_message *message)
{
    struct http_call *call = wisp_mem_calloc(1, sizeof *call);
    struct wisp_err err = {0};
    call->options = *(const struct wisp_wrpc_http_options *)endpoint->context;
    call->body_bytes_max = call->options.body_bytes_max;
    call->flush.run = flush;
    call->incoming.on_service_gone = on_service_gone;
    if (wisp_wrpc_incoming_open(&call->incoming, &session_ops, endpoint, message, false, &err) < 0) {
        WISP_LOG(WARN, "wrpc", "call not accepted", WISP_TEXT("cause", err.text));
        free(call);
        return;
    }
    wisp_wrpc_session_set_timeout(&call->incoming.session, call->incoming.session.wrpc->idle_timeout_ms);
    take_head(call, message->payload, false);
}

int wisp_wrpc_http_serve(struct wisp_wrpc_service *service, const struct wisp_wrpc_http_options *options,
                         struct wisp_err *err)
{
    static const struct wisp_wrpc_function handle = {WISP_STR_INIT(WISP_WRPC_HTTP_INTERFACE), WISP_STR_INIT("handle")};
    struct wisp_wrpc_http_options *copy = wisp_mem_alloc(sizeof *copy);
    *copy = *options;
    if (!copy->body_bytes_max) copy->body_bytes_max = WISP_HTTP_UNLIMITED;
    if (!copy->headers_max) copy->headers_max = HEADERS_MAX;
    struct wisp_wrpc_endpoint endpoint = {.on_invoke = on_invoke, .free = free, .context = copy};
    int r = wisp_wrpc_service_add_endpoint(service, &handle, &endpoint, err);
    if (r < 0) free(copy);
    return r;
}
