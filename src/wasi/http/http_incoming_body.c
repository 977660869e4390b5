/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:http/types.incoming-body with its input-stream, and future-trailers: views of the exchange's request body.
 * Nothing is buffered here, so what the guest doesn't read stays with the server and holds the client back. */
#include "wasi/http/http_priv.h"

#include <stdlib.h>

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

static enum wisp_stream_status body_read(struct wisp_input_stream *stream, void *buffer, size_t max, size_t *ret_n,
                                         struct wisp_io_error *ret_error)
{
    struct wisp_http_exchange *exchange = stream->wasi->exchange;
    *ret_n = 0;
    if (!exchange) {
        fill_gone_error(ret_error);
        return WISP_STREAM_FAILED;
    }
    struct wisp_str bytes;
    switch (wisp_http_body_peek(exchange, &bytes)) {
    case WISP_HTTP_BODY_WAIT:
        return WISP_STREAM_OK;
    case WISP_HTTP_BODY_END:
        return WISP_STREAM_CLOSED;
    case WISP_HTTP_BODY_DATA:
        break;
    }
    *ret_n = bytes.len < max ? bytes.len : max;
    if (buffer && *ret_n) memcpy(buffer, bytes.ptr, *ret_n);
    wisp_http_body_consume(exchange, *ret_n);
    return WISP_STREAM_OK;
}

/* There is nothing to arm: an answer that says wait makes the server call on_body, which wakes the invocation. */
static bool body_is_ready(struct wisp_input_stream *stream)
{
    struct wisp_http_exchange *exchange = stream->wasi->exchange;
    struct wisp_str bytes;
    return !exchange || wisp_http_body_peek(exchange, &bytes) != WISP_HTTP_BODY_WAIT;
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

struct wisp_incoming_body *wisp_incoming_body_new(struct wisp_call *call)
{
    struct wisp_incoming_body *body = wisp_wasi_http_object_new(call, WISP_WASI_HTTP_KIND_BODY_IN);
    if (body) body->stream = (struct wisp_input_stream){.ops = &body_stream_ops, .wasi = call->context};
    return body;
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
    wisp_wasi_http_object_unref(body);
    if (refusal) return wisp_call_trap(call, "incoming-body finished while %s", refusal);
    struct wisp_future_trailers *trailers = wisp_wasi_http_object_new(call, WISP_WASI_HTTP_KIND_TRAILERS);
    *(struct wisp_future_trailers **)result = trailers;
    return trailers ? 0 : -WISP_ERR_GUEST;
}

/* --- future-trailers --- */

struct trailers_args {
    struct wisp_future_trailers *self;
};

void wisp_future_trailers_destroy(void *object)
{
    wisp_wasi_http_object_unref(((struct wisp_future_trailers *)object)->fields);
}

const char *wisp_future_trailers_refuse_drop(const void *rep)
{
    const struct wisp_future_trailers *trailers = rep;
    if (trailers->n_pollables) return "a pollable of it is still there";
    return trailers->fields && trailers->fields->object.refs > 1 ? "its trailers are still there" : NULL;
}

/* They come behind the body: what the guest left of that is skipped. Ready also when the exchange has ended. */
static bool skip_to_trailers(struct wisp_http_exchange *exchange)
{
    struct wisp_str bytes;
    if (!exchange) return true;
    for (;;) {
        switch (wisp_http_body_peek(exchange, &bytes)) {
        case WISP_HTTP_BODY_WAIT:
            return false;
        case WISP_HTTP_BODY_END:
            return true;
        case WISP_HTTP_BODY_DATA:
            wisp_http_body_consume(exchange, bytes.len);
            break;
        }
    }
}

/* Its own object and not part of the trailers, since a guest may make as many as it likes. */
struct trailers_pollable {
    struct wisp_pollable base;
    struct wisp_future_trailers *trailers;
};

static bool trailers_are_ready(struct wisp_pollable *pollable)
{
    return ((struct trailers_pollable *)pollable)->trailers->is_taken || skip_to_trailers(pollable->wasi->exchange);
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

int wisp_wasi_http_host_trailers_get(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_future_trailers *trailers = ((const struct trailers_args *)args)->self;
    struct wisp_http_exchange *exchange = ((struct wisp_wasi *)call->context)->exchange;
    struct wisp_abi_trailers_result *ret = result;
    memset(ret, 0, sizeof *ret);
    ret->is_some = trailers->is_taken || skip_to_trailers(exchange);
    if (!ret->is_some) return 0;
    ret->taken.is_error = trailers->is_taken;
    if (trailers->is_taken) return 0;
    trailers->is_taken = true;
    if (!exchange) {
        ret->taken.value.is_error = WISP_ABI_ERROR;
        ret->taken.value.of.error = (struct wisp_abi_error_code){.tag = WISP_HTTP_ERROR_CONNECTION_TERMINATED};
    } else if (exchange->n_trailers) {
        trailers->fields = wisp_fields_from_headers(trailers->object.http, exchange->trailers, exchange->n_trailers);
        wisp_wasi_http_object_ref(trailers->fields);
        ret->taken.value.of.trailers.is_some = WISP_ABI_SOME;
        ret->taken.value.of.trailers.value = trailers->fields;
    }
    return 0;
}
