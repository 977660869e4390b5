/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:http/types.outgoing-body with its output-stream.
 *
 *     of a response   UNSET ──set──▶ EXCHANGE ──finish, drop, client gone──▶ CLOSED
 *     of a request    UNSET ──sent──▶ WRITER ───finish, drop, refused───────▶ CLOSED
 */
#include "wasi/http/http_priv.h"
#include "wrpc/http_message.h"

#include <stdio.h>

/* --- where bytes go --- */

static struct wisp_http_exchange *exchange_of(const struct wisp_outgoing_body *body)
{
    return body->object.http->wasi->exchange;
}

void wisp_outgoing_body_close(struct wisp_outgoing_body *body)
{
    struct wisp_wasi_http *http = body->object.http;
    if (http->response_body == body) http->response_body = NULL;
    body->sink = WISP_WASI_HTTP_SINK_CLOSED;
    if (body->is_request) {
        wisp_wrpc_writer_abort(WISP_TAKE(body->writer));
        wisp_wrpc_writer_abort(WISP_TAKE(body->trailers_writer));
    }
    wisp_buf_deinit(&body->unsent);
    wisp_wasi_http_object_unref(WISP_TAKE(body->trailers));
}

/* The client shall notice that the response is not whole: by an error if none of it has left yet, else by the end of
 * the connection. */
static void break_off(struct wisp_outgoing_body *body, const char *why)
{
    struct wisp_wasi_http *http = body->object.http;
    body->is_broken = true;
    if (body->sink == WISP_WASI_HTTP_SINK_EXCHANGE) {
        wisp_wasi_http_problem_set(http, "%s", why);
        http->response = WISP_WASI_HTTP_BROKEN;
        if (wisp_http_retract(exchange_of(body)))
            wisp_wasi_http_reply(exchange_of(body), 500, NULL, NULL);
        else
            wisp_http_abort(exchange_of(body));
    }
    wisp_outgoing_body_close(body);
}

static int send_on(struct wisp_outgoing_body *body, struct wisp_str bytes, struct wisp_err *err)
{
    if (body->sink == WISP_WASI_HTTP_SINK_WRITER) return wisp_wrpc_writer_write(body->writer, bytes, err);
    return wisp_http_write(exchange_of(body), bytes.ptr, bytes.len, err);
}

static int send_zeroes(struct wisp_outgoing_body *body, size_t size, struct wisp_err *err)
{
    static const char zeroes[4096];
    int r = 0;
    for (size_t n; size > 0 && r == 0; size -= n) {
        n = size < sizeof zeroes ? size : sizeof zeroes;
        r = send_on(body, (struct wisp_str){zeroes, n}, err);
    }
    return r;
}

static int put(struct wisp_outgoing_body *body, const void *bytes, size_t size, struct wisp_err *err)
{
    switch (body->sink) {
    case WISP_WASI_HTTP_SINK_UNSET:
        if (bytes)
            wisp_buf_append(&body->unsent, bytes, size);
        else
            memset(wisp_buf_reserve(&body->unsent, size), 0, size), body->unsent.len += size;
        return 0;
    case WISP_WASI_HTTP_SINK_EXCHANGE:
    case WISP_WASI_HTTP_SINK_WRITER:
        return bytes ? send_on(body, (struct wisp_str){bytes, size}, err) : send_zeroes(body, size, err);
    case WISP_WASI_HTTP_SINK_CLOSED:
        break;
    }
    return 0;
}

/* Bytes written now would be taken; 0 also means that on_drain or on_room will come. */
static size_t room(const struct wisp_outgoing_body *body)
{
    switch (body->sink) {
    case WISP_WASI_HTTP_SINK_UNSET:
        return body->unsent.len < WISP_WASI_HTTP_UNSENT_MAX ? WISP_WASI_HTTP_UNSENT_MAX - body->unsent.len : 0;
    case WISP_WASI_HTTP_SINK_EXCHANGE:
        return wisp_http_room(exchange_of(body));
    case WISP_WASI_HTTP_SINK_WRITER:
        return wisp_wrpc_writer_room(body->writer);
    case WISP_WASI_HTTP_SINK_CLOSED:
        break;
    }
    return 0;
}

/* --- the stream --- */

static struct wisp_outgoing_body *body_of(struct wisp_output_stream *stream)
{
    return WISP_OWNER(stream, struct wisp_outgoing_body, stream);
}

static enum wisp_http_error_code size_error(const struct wisp_outgoing_body *body)
{
    return body->is_request ? WISP_HTTP_ERROR_REQUEST_BODY_SIZE : WISP_HTTP_ERROR_RESPONSE_BODY_SIZE;
}

/* The server, or who was to carry it there, takes no more of a request. */
static void notice_end(struct wisp_outgoing_body *body)
{
    if (body->sink == WISP_WASI_HTTP_SINK_WRITER && wisp_wrpc_writer_is_closed(body->writer))
        wisp_outgoing_body_close(body);
}

static enum wisp_stream_status check_write(struct wisp_output_stream *stream, size_t *ret_room,
                                           struct wisp_io_error *ret_error)
{
    (void)ret_error;
    struct wisp_outgoing_body *body = body_of(stream);
    notice_end(body);
    *ret_room = room(body);
    return body->sink == WISP_WASI_HTTP_SINK_CLOSED ? WISP_STREAM_CLOSED : WISP_STREAM_OK;
}

static enum wisp_stream_status write_bytes(struct wisp_output_stream *stream, const void *bytes, size_t size,
                                           struct wisp_io_error *ret_error)
{
    struct wisp_outgoing_body *body = body_of(stream);
    if (body->sink == WISP_WASI_HTTP_SINK_CLOSED) return WISP_STREAM_CLOSED;
    *ret_error = (struct wisp_io_error){.origin = WISP_IO_ERROR_HTTP, .code = size_error(body)};
    if (body->length != WISP_HTTP_LENGTH_UNKNOWN && size > body->length - body->written) {
        snprintf(ret_error->text, sizeof ret_error->text, "body longer than its content-length of %llu",
                 (unsigned long long)body->length);
        break_off(body, ret_error->text);
        return WISP_STREAM_FAILED;
    }
    struct wisp_err err;
    if (put(body, bytes, size, &err) < 0) {
        snprintf(ret_error->text, sizeof ret_error->text, "%.*s", (int)sizeof ret_error->text - 1, err.text);
        break_off(body, ret_error->text);
        return WISP_STREAM_FAILED;
    }
    body->written += size;
    return WISP_STREAM_OK;
}

/* What is written leaves as soon as the invocation suspends, is preempted or ends; so everything is as good as flushed
 * while the server takes more. That keeps head, body and end of a small response together in one system call. */
static enum wisp_stream_status flush(struct wisp_output_stream *stream, bool *ret_done, struct wisp_io_error *ret_error)
{
    (void)ret_error;
    struct wisp_outgoing_body *body = body_of(stream);
    notice_end(body);
    bool may_wait = body->sink == WISP_WASI_HTTP_SINK_EXCHANGE || body->sink == WISP_WASI_HTTP_SINK_WRITER;
    *ret_done = !may_wait || room(body) > 0;
    return body->sink == WISP_WASI_HTTP_SINK_CLOSED ? WISP_STREAM_CLOSED : WISP_STREAM_OK;
}

static bool is_ready(struct wisp_output_stream *stream)
{
    struct wisp_outgoing_body *body = body_of(stream);
    notice_end(body);
    return body->sink == WISP_WASI_HTTP_SINK_CLOSED || room(body) > 0;
}

static void stream_drop(struct wisp_output_stream *stream)
{
    struct wisp_outgoing_body *body = body_of(stream);
    body->is_stream_alive = false;
    wisp_wasi_http_object_unref(body);
}

static const struct wisp_output_stream_ops stream_ops = {
    .check_write = check_write,
    .write = write_bytes,
    .flush = flush,
    .is_ready = is_ready,
    .drop = stream_drop,
};

/* --- life of a body --- */

static struct wisp_outgoing_body *new_body(struct wisp_call *call, uint64_t length, bool is_request)
{
    struct wisp_outgoing_body *body = wisp_wasi_http_object_new(call, WISP_WASI_HTTP_KIND_BODY_OUT);
    if (!body) return NULL;
    body->stream = (struct wisp_output_stream){.ops = &stream_ops, .wasi = call->context};
    body->sink = WISP_WASI_HTTP_SINK_UNSET;
    body->is_request = is_request;
    body->length = length;
    return body;
}

int wisp_outgoing_body_give(struct wisp_call *call, struct wisp_outgoing_body **body, const struct wisp_fields *headers,
                            bool is_request, struct wisp_abi_result_handle *ret_body)
{
    uint64_t length;
    ret_body->is_error = *body || !wisp_fields_content_length(headers, &length);
    if (ret_body->is_error) return 0;
    *body = new_body(call, length, is_request);
    if (!*body) return -WISP_ERR_GUEST;
    wisp_wasi_http_object_ref(*body);
    ret_body->value = *body;
    return 0;
}

static int end(struct wisp_call *call, struct wisp_outgoing_body *body, const struct wisp_fields *trailers,
               struct wisp_err *err)
{
    size_t n = 0;
    const struct wisp_http_header *headers = trailers ? wisp_fields_to_headers(call, trailers, &n) : NULL;
    int r = wisp_http_end(exchange_of(body), headers, n, err);
    if (r < 0) {
        break_off(body, err->text);
        return r;
    }
    body->object.http->response = WISP_WASI_HTTP_COMPLETE;
    wisp_outgoing_body_close(body);
    return 0;
}

void wisp_outgoing_body_connect(struct wisp_call *call, struct wisp_outgoing_body *body)
{
    struct wisp_err err;
    body->object.http->response_body = body;
    body->sink = WISP_WASI_HTTP_SINK_EXCHANGE;
    struct wisp_str unsent = wisp_buf_str(&body->unsent);
    if (unsent.len && wisp_http_write(exchange_of(body), unsent.ptr, unsent.len, &err) < 0) {
        break_off(body, err.text);
        return;
    }
    wisp_buf_deinit(&body->unsent);
    if (body->is_finished) (void)end(call, body, body->trailers, &err);
}

/* The same for a request. */
static int end_request(struct wisp_call *call, struct wisp_outgoing_body *body, const struct wisp_fields *trailers,
                       struct wisp_err *err)
{
    struct wisp_wrpc_option_fields value = {.is_some = trailers != NULL};
    size_t n = 0;
    const struct wisp_http_header *headers = trailers ? wisp_fields_to_headers(call, trailers, &n) : NULL;
    int r = wisp_wrpc_fields_from(headers, n, WISP_WRPC_HTTP_HANDLERS, call->arena, &value.value, err);
    if (r == 0) r = wisp_wrpc_writer_put(body->trailers_writer, &value, err);
    if (r == 0) {
        wisp_wrpc_writer_end(WISP_TAKE(body->trailers_writer));
        wisp_wrpc_writer_end(WISP_TAKE(body->writer));
    }
    wisp_outgoing_body_close(body);
    return r;
}

static void on_room(struct wisp_wrpc_writer *writer, void *env)
{
    const struct wisp_outgoing_body *body = env;
    const struct wisp_wasi *wasi = body->object.http->wasi;
    (void)writer;
    if (wasi->instance) wisp_instance_wake(wasi->instance);
}

bool wisp_outgoing_body_connect_writers(struct wisp_call *call, struct wisp_outgoing_body *body,
                                        struct wisp_wrpc_writer *writer, struct wisp_wrpc_writer *trailers_writer)
{
    struct wisp_err err;
    body->writer = writer;
    body->trailers_writer = trailers_writer;
    bool was_broken = body->is_broken || body->sink == WISP_WASI_HTTP_SINK_CLOSED;
    body->sink = WISP_WASI_HTTP_SINK_WRITER;
    wisp_wrpc_writer_on_room(writer, on_room, body);
    struct wisp_str unsent = wisp_buf_str(&body->unsent);
    if (was_broken || wisp_wrpc_writer_write(writer, unsent, &err) < 0) {
        wisp_outgoing_body_close(body);
        return false;
    }
    wisp_buf_deinit(&body->unsent);
    return !body->is_finished || end_request(call, body, body->trailers, &err) == 0;
}

void wisp_outgoing_body_drop(struct wisp_outgoing_body *body)
{
    if (!body->is_finished) break_off(body, "the component dropped the body of its response before finishing it");
}

void wisp_outgoing_body_destroy(void *object)
{
    struct wisp_outgoing_body *body = object;
    wisp_outgoing_body_drop(body);
    wisp_outgoing_body_close(body);
}

const char *wisp_outgoing_body_refuse_drop(const void *rep)
{
    return ((const struct wisp_outgoing_body *)rep)->is_stream_alive ? "its stream is still there" : NULL;
}

/* --- host functions --- */

int wisp_wasi_http_host_body_out_write(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_outgoing_body *body = *(struct wisp_outgoing_body *const *)args;
    struct wisp_abi_result_handle *ret = result;
    ret->is_error = body->is_stream_taken;
    if (body->is_stream_taken) return 0;
    body->is_stream_taken = body->is_stream_alive = true;
    wisp_wasi_http_object_ref(body);
    ret->value = &body->stream;
    return 0;
}

/* Nothing written where the protocol lets nothing be sent, whatever the content-length: HEAD, 204, 304. */
static bool is_rightly_empty(const struct wisp_outgoing_body *body)
{
    const struct wisp_http_exchange *exchange = exchange_of(body);
    if (body->is_request || body->written || !exchange) return false;
    return wisp_wasi_http_has_no_body(exchange, exchange->status);
}

/* Whether what was written is what content-length promised; if not, the error. */
static bool has_right_length(const struct wisp_outgoing_body *body, struct wisp_abi_error_code *ret_error)
{
    bool is_right = body->length == WISP_HTTP_LENGTH_UNKNOWN || body->length == body->written || is_rightly_empty(body);
    if (is_right && !body->is_broken) return true;
    *ret_error = (struct wisp_abi_error_code){.tag = size_error(body)};
    ret_error->of.body_size = (struct wisp_abi_option_u64){WISP_ABI_SOME, body->written};
    return false;
}

/* `trailers` may be NULL; consumed. */
static int finish(struct wisp_call *call, struct wisp_outgoing_body *body, struct wisp_fields *trailers,
                  struct wisp_abi_result_error_code *ret)
{
    ret->is_error = !has_right_length(body, &ret->error);
    if (ret->is_error) {
        break_off(body, "the body of the response is not as long as its content-length says");
        wisp_wasi_http_object_unref(trailers);
        return 0;
    }
    body->is_finished = true;
    if (body->sink == WISP_WASI_HTTP_SINK_UNSET) {
        if (trailers) body->trailers = wisp_fields_keep_consume(call, trailers);
        return trailers && !body->trailers ? -WISP_ERR_GUEST : 0;
    }
    struct wisp_err err;
    int r = 0;
    if (body->sink == WISP_WASI_HTTP_SINK_EXCHANGE) r = end(call, body, trailers, &err);
    if (body->sink == WISP_WASI_HTTP_SINK_WRITER) r = end_request(call, body, trailers, &err);
    if (r < 0) {
        ret->is_error = WISP_ABI_ERROR;
        ret->error = (struct wisp_abi_error_code){.tag = WISP_HTTP_ERROR_INTERNAL_ERROR};
        ret->error.of.text =
            (struct wisp_abi_option_str){WISP_ABI_SOME, wisp_arena_str(call->arena, wisp_str_from(err.text))};
    }
    wisp_wasi_http_object_unref(trailers);
    return 0;
}

int wisp_wasi_http_host_body_out_finish(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_abi_finish_args *arg = args;
    struct wisp_fields *trailers = arg->trailers.is_some ? arg->trailers.value : NULL;
    const char *refusal = wisp_outgoing_body_refuse_drop(arg->body);
    int r;
    if (refusal) {
        wisp_outgoing_body_drop(arg->body);
        wisp_wasi_http_object_unref(trailers);
        r = wisp_call_trap(call, "outgoing-body finished while %s", refusal);
    } else {
        r = finish(call, arg->body, trailers, result);
    }
    wisp_wasi_http_object_unref(arg->body);
    return r;
}
