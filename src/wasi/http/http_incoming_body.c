/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:http/types.incoming-body with its input-stream, and future-trailers: views of the exchange's request body, or of
 * the streams of a response. Nothing is buffered here, so what the guest doesn't read stays where it comes from and
 * holds the other side back. */
#include "wasi/http/http_priv.h"
#include "wrpc/http_message.h"

#include <stdio.h>
#include <stdlib.h>

enum { TRAILERS_MAX = 1000 };

/* --- the stream --- */

static struct wisp_incoming_body *body_of(struct wisp_input_stream *stream)
{
    return WISP_OWNER(stream, struct wisp_incoming_body, stream);
}

static void fill_gone_error(struct wisp_io_error *error)
{
    *error = (struct wisp_io_error){
        .text = "the HTTP exchange has ended before the request's body was read",
        .origin = WISP_IO_ERROR_HTTP,
        .code = WISP_HTTP_ERROR_CONNECTION_TERMINATED,
    };
}

static void fill_failure(struct wisp_io_error *error, const struct wisp_err *err)
{
    *error = (struct wisp_io_error){
        .origin = WISP_IO_ERROR_HTTP,
        .code = err->kind == WISP_ERR_TIMEOUT ? WISP_HTTP_ERROR_CONNECTION_READ_TIMEOUT
                                              : WISP_HTTP_ERROR_CONNECTION_TERMINATED,
    };
    snprintf(error->text, sizeof error->text, "the response's body: %.100s", err->text);
}

/* What there is of the body to be read; `ret_error` (may be NULL) is filled when that is a failure. */
static enum wisp_wrpc_reading peek(const struct wisp_wasi *wasi, const struct wisp_incoming_source *source,
                                   struct wisp_str *ret_bytes, struct wisp_io_error *ret_error)
{
    if (source->body) {
        struct wisp_err err = {0};
        enum wisp_wrpc_reading reading = wisp_wrpc_reader_peek(source->body, ret_bytes, &err);
        if (reading == WISP_WRPC_READING_FAILED && ret_error) fill_failure(ret_error, &err);
        return reading;
    }
    if (!wasi->exchange) {
        if (ret_error) fill_gone_error(ret_error);
        return WISP_WRPC_READING_FAILED;
    }
    switch (wisp_http_body_peek(wasi->exchange, ret_bytes)) {
    case WISP_HTTP_BODY_WAIT:
        return WISP_WRPC_READING_WAIT;
    case WISP_HTTP_BODY_END:
        return WISP_WRPC_READING_END;
    case WISP_HTTP_BODY_DATA:
        break;
    }
    return WISP_WRPC_READING_ITEM;
}

static void consume(const struct wisp_wasi *wasi, const struct wisp_incoming_source *source, size_t size)
{
    if (source->body)
        wisp_wrpc_reader_consume(source->body, size);
    else
        wisp_http_body_consume(wasi->exchange, size);
}

static enum wisp_stream_status body_read(struct wisp_input_stream *stream, void *buffer, size_t max, size_t *ret_n,
                                         struct wisp_io_error *ret_error)
{
    const struct wisp_incoming_source *source = &body_of(stream)->source;
    struct wisp_str bytes;
    *ret_n = 0;
    switch (peek(stream->wasi, source, &bytes, ret_error)) {
    case WISP_WRPC_READING_WAIT:
        return WISP_STREAM_OK;
    case WISP_WRPC_READING_END:
        return WISP_STREAM_CLOSED;
    case WISP_WRPC_READING_FAILED:
        return WISP_STREAM_FAILED;
    case WISP_WRPC_READING_ITEM:
        break;
    }
    *ret_n = bytes.len < max ? bytes.len : max;
    if (buffer && *ret_n) memcpy(buffer, bytes.ptr, *ret_n);
    consume(stream->wasi, source, *ret_n);
    return WISP_STREAM_OK;
}

/* There is nothing to arm: an answer that says wait makes the server call on_body, or the reader on_ready, which wake
 * the invocation. */
static bool body_is_ready(struct wisp_input_stream *stream)
{
    struct wisp_str bytes;
    return peek(stream->wasi, &body_of(stream)->source, &bytes, NULL) != WISP_WRPC_READING_WAIT;
}

static void body_stream_drop(struct wisp_input_stream *stream)
{
    struct wisp_incoming_body *body = body_of(stream);
    body->is_stream_alive = false;
    wisp_wasi_http_object_unref(body);
}

static const struct wisp_input_stream_ops body_stream_ops = {
    .read = body_read,
    .is_ready = body_is_ready,
    .drop = body_stream_drop,
};

/* --- incoming-body --- */

struct body_args {
    struct wisp_incoming_body *self;
};

struct wisp_incoming_body *wisp_incoming_body_new(struct wisp_call *call, struct wisp_incoming_source *source)
{
    struct wisp_incoming_body *body = wisp_wasi_http_object_new(call, WISP_WASI_HTTP_KIND_BODY_IN);
    if (!body) return NULL;
    body->stream = (struct wisp_input_stream){.ops = &body_stream_ops, .wasi = call->context};
    body->source = *source;
    *source = (struct wisp_incoming_source){0};
    return body;
}

void wisp_incoming_body_destroy(void *object)
{
    wisp_incoming_source_close(&((struct wisp_incoming_body *)object)->source);
}

const char *wisp_incoming_body_refuse_drop(const void *rep)
{
    return ((const struct wisp_incoming_body *)rep)->is_stream_alive ? "its stream is still there" : NULL;
}

int wisp_wasi_http_host_body_in_stream(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_incoming_body *body = ((const struct body_args *)args)->self;
    struct wisp_abi_result_handle *ret = result;
    ret->is_error = body->is_stream_taken;
    if (body->is_stream_taken) return 0;
    body->is_stream_taken = body->is_stream_alive = true;
    wisp_wasi_http_object_ref(body);
    ret->value = &body->stream;
    return 0;
}

int wisp_wasi_http_host_body_in_finish(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_incoming_body *body = ((const struct body_args *)args)->self;
    const char *refusal = wisp_incoming_body_refuse_drop(body);
    struct wisp_future_trailers *trailers = NULL;
    int r = refusal ? wisp_call_trap(call, "incoming-body finished while %s", refusal) : 0;
    if (r == 0) {
        trailers = wisp_wasi_http_object_new(call, WISP_WASI_HTTP_KIND_TRAILERS);
        r = trailers ? 0 : -WISP_ERR_GUEST;
    }
    if (r == 0) {
        trailers->source = body->source;
        body->source = (struct wisp_incoming_source){0};
    }
    wisp_wasi_http_object_unref(body);
    *(struct wisp_future_trailers **)result = trailers;
    return r;
}

/* --- future-trailers --- */

struct trailers_args {
    struct wisp_future_trailers *self;
};

void wisp_future_trailers_destroy(void *object)
{
    struct wisp_future_trailers *trailers = object;
    wisp_incoming_source_close(&trailers->source);
    wisp_wasi_http_object_unref(trailers->fields);
}

const char *wisp_future_trailers_refuse_drop(const void *rep)
{
    const struct wisp_future_trailers *trailers = rep;
    if (trailers->n_pollables) return "a pollable of it is still there";
    return trailers->fields && trailers->fields->object.refs > 1 ? "its trailers are still there" : NULL;
}

/* They come behind the body: what the guest left of that is skipped. Ready also when it can't be read any more. */
static bool skip_to_trailers(const struct wisp_wasi *wasi, struct wisp_future_trailers *trailers)
{
    struct wisp_str bytes;
    for (;;) {
        enum wisp_wrpc_reading reading = peek(wasi, &trailers->source, &bytes, NULL);
        if (reading == WISP_WRPC_READING_WAIT) return false;
        if (reading != WISP_WRPC_READING_ITEM) return true;
        consume(wasi, &trailers->source, bytes.len);
    }
}

/* Of a response: looks at the future behind the body too. False: not yet. */
static bool receive(struct wisp_future_trailers *trailers, enum wisp_wrpc_reading *ret_reading)
{
    struct wisp_wrpc_option_fields value = {0};
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_err err;
    if (trailers->is_received) {
        *ret_reading = trailers->reading;
        return true;
    }
    trailers->reading = *ret_reading = wisp_wrpc_reader_next(trailers->source.trailers, &arena, &value, &err);
    if (*ret_reading == WISP_WRPC_READING_WAIT) return false;
    trailers->is_received = true;
    if (*ret_reading != WISP_WRPC_READING_ITEM || !value.is_some) return true;
    const struct wisp_http_header *headers;
    size_t n;
    if (wisp_wrpc_fields_to(&value.value, TRAILERS_MAX, WISP_WRPC_HTTP_HANDLERS, &arena, &headers, &n, &err) < 0)
        trailers->reading = *ret_reading = WISP_WRPC_READING_FAILED;
    else
        trailers->fields = wisp_fields_from_headers(trailers->object.http, headers, n);
    return true;
}

static bool are_there(const struct wisp_wasi *wasi, struct wisp_future_trailers *trailers)
{
    enum wisp_wrpc_reading reading;
    if (!skip_to_trailers(wasi, trailers)) return false;
    return !trailers->source.trailers || receive(trailers, &reading);
}

/* Its own object and not part of the trailers, since a guest may make as many as it likes. */
struct trailers_pollable {
    struct wisp_pollable base;
    struct wisp_future_trailers *trailers;
};

static bool trailers_are_ready(struct wisp_pollable *pollable)
{
    struct wisp_future_trailers *trailers = ((struct trailers_pollable *)pollable)->trailers;
    return trailers->is_taken || are_there(pollable->wasi, trailers);
}

static void trailers_pollable_drop(struct wisp_pollable *pollable)
{
    struct wisp_future_trailers *trailers = ((struct trailers_pollable *)pollable)->trailers;
    trailers->n_pollables--;
    wisp_wasi_http_object_unref(trailers);
    free(pollable);
}

int wisp_wasi_http_host_trailers_subscribe(struct wisp_call *call, const void *args, void *result)
{
    static const struct wisp_pollable_ops ops = {.is_ready = trailers_are_ready, .drop = trailers_pollable_drop};
    struct wisp_future_trailers *trailers = ((const struct trailers_args *)args)->self;
    struct trailers_pollable *pollable = wisp_mem_alloc(sizeof *pollable);
    *pollable = (struct trailers_pollable){{&ops, call->context}, trailers};
    trailers->n_pollables++;
    wisp_wasi_http_object_ref(trailers);
    *(struct wisp_pollable **)result = &pollable->base;
    return 0;
}

/* False: the exchange, or the stream of the response, was broken off. */
static bool take(struct wisp_future_trailers *trailers, struct wisp_http_exchange *exchange)
{
    if (trailers->source.trailers) {
        enum wisp_wrpc_reading reading;
        return receive(trailers, &reading) && reading != WISP_WRPC_READING_FAILED;
    }
    if (exchange && exchange->n_trailers)
        trailers->fields = wisp_fields_from_headers(trailers->object.http, exchange->trailers, exchange->n_trailers);
    return exchange;
}

int wisp_wasi_http_host_trailers_get(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_future_trailers *trailers = ((const struct trailers_args *)args)->self;
    const struct wisp_wasi *wasi = call->context;
    struct wisp_abi_trailers_result *ret = result;
    memset(ret, 0, sizeof *ret);
    ret->is_some = trailers->is_taken || are_there(wasi, trailers);
    if (!ret->is_some) return 0;
    ret->taken.is_error = trailers->is_taken;
    if (trailers->is_taken) return 0;
    trailers->is_taken = true;
    if (!take(trailers, wasi->exchange)) {
        ret->taken.value.is_error = WISP_ABI_ERROR;
        ret->taken.value.of.error = (struct wisp_abi_error_code){.tag = WISP_HTTP_ERROR_CONNECTION_TERMINATED};
    } else if (trailers->fields) {
        wisp_wasi_http_object_ref(trailers->fields);
        ret->taken.value.of.trailers.is_some = WISP_ABI_SOME;
        ret->taken.value.of.trailers.value = trailers->fields;
    }
    return 0;
}
