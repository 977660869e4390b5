/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing requests from the guest's side: what is sent, futures, responses and their ends. */
#include "wasi/test_double.h"

#include "wasi/http/http_carrier.h"

#define TYPES wisp_wasi_http_types

static struct wisp_wasi_http *http;
static struct wisp_outgoing_request *request;
static struct carrier carrier;

static void begin(void)
{
    fake_start();
    http = wisp_wasi_http_new();
    wisp_wasi_http_attach(http, &fake.wasi, NULL);
    struct wisp_fields *fields;
    CHECK_INT(fake_invoke(&TYPES, "[constructor]fields", NULL, 0, &fields, sizeof fields), 0);
    struct wisp_abi_fields_append_args args = {fields, WISP_STR("X-A"), {(const uint8_t *)"1", 1}};
    struct wisp_abi_result_header_error result;
    CHECK_INT(INVOKE(TYPES, "[method]fields.append", &args, &result), 0);
    args = (struct wisp_abi_fields_append_args){fields, WISP_STR("x-a"), {(const uint8_t *)"2", 1}};
    CHECK_INT(INVOKE(TYPES, "[method]fields.append", &args, &result), 0);
    CHECK_INT(INVOKE(TYPES, "[constructor]outgoing-request", &fields, &request), 0);
}

static void turn(void)
{
    for (int i = 0; i < 5; i++) uv_run(&fake.loop, UV_RUN_NOWAIT);
}

static void finish(void)
{
    wisp_wasi_http_reset(http);
    wisp_wasi_http_free(http);
    carrier_deinit(&carrier);
    fake_stop();
}

static void send_request(void) { CHECK_INT(carrier_send(&carrier, request, NULL), 0); }

static void set_authority(const char *text)
{
    struct wisp_abi_set_text_args args = {request, {WISP_ABI_SOME, wisp_str_from(text)}};
    struct wisp_abi_result result;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.set-authority", &args, &result), 0);
    CHECK(!result.is_error);
}

static struct wisp_outgoing_body *take_body(struct wisp_output_stream **ret_stream)
{
    struct wisp_abi_result_handle body, stream;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.body", &request, &body), 0);
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-body.write", &body.value, &stream), 0);
    *ret_stream = stream.value;
    return body.value;
}

static void write_text(struct wisp_output_stream *stream, const char *text)
{
    struct wisp_io_error error;
    CHECK_INT(stream->ops->write(stream, text, strlen(text), &error), WISP_STREAM_OK);
}

static void finish_body(struct wisp_outgoing_body *body)
{
    struct wisp_abi_finish_args args = {.body = body};
    struct wisp_abi_result_error_code result;
    CHECK_INT(INVOKE(TYPES, "[static]outgoing-body.finish", &args, &result), 0);
    CHECK(!result.is_error);
}

static struct wisp_abi_response_result get(void)
{
    struct wisp_abi_response_result result;
    CHECK_INT(INVOKE(TYPES, "[method]future-incoming-response.get", &carrier.future, &result), 0);
    return result;
}

static struct wisp_incoming_response *take_response(void)
{
    struct wisp_abi_response_result result = get();
    CHECK(result.is_some && !result.taken.is_error && !result.taken.value.is_error);
    return result.taken.value.of.response;
}

static struct wisp_str peek_request(void)
{
    struct wisp_str bytes = {0};
    struct wisp_err err;
    return wisp_wrpc_reader_peek(carrier.args.request.body, &bytes, &err) == WISP_WRPC_READING_ITEM
               ? bytes
               : (struct wisp_str){0};
}

/* --- the request --- */

TEST(what_is_sent)
{
    begin();
    set_authority("a.com:81");
    struct wisp_request_options *options;
    CHECK_INT(fake_invoke(&TYPES, "[constructor]request-options", NULL, 0, &options, sizeof options), 0);
    options->timeouts_ns[WISP_WASI_HTTP_TIMEOUT_FIRST_BYTE] = (struct wisp_abi_option_u64){WISP_ABI_SOME, 7};
    CHECK_INT(carrier_send(&carrier, request, options), 0);
    const struct wisp_wrpc_request_rest *rest = &carrier.args.request.rest;
    CHECK_INT(rest->method.tag, WISP_WASI_HTTP_METHOD_GET);
    CHECK(!rest->target.is_some);
    CHECK(rest->scheme.is_some && rest->scheme.value.tag == WISP_WRPC_SCHEME_HTTPS);
    CHECK_STR(rest->authority.value, "a.com:81");
    CHECK_INT(rest->headers.len, 2);
    CHECK_STR(rest->headers.ptr[0].name, "host");
    CHECK_STR(rest->headers.ptr[0].values.ptr[0], "a.com:81");
    CHECK_INT(rest->headers.ptr[1].values.len, 2);
    CHECK_INT(carrier.args.options.value.first_byte_ns.value, 7);
    CHECK_INT(carrier.args.options.value.connect_ns.value, 600000000000);
    /* There is no body, and that is known at once. */
    struct wisp_str bytes;
    struct wisp_err err;
    CHECK_INT(wisp_wrpc_reader_peek(carrier.args.request.body, &bytes, &err), WISP_WRPC_READING_END);
    CHECK(!get().is_some);
    CHECK(!fake_drop(&TYPES, "future-incoming-response", carrier.future));
    CHECK_INT(carrier.n_dropped, 1);
    CHECK_INT(http->n_alive, 0);
    finish();
}

TEST(sending_with_headers_still_out_traps)
{
    begin();
    struct wisp_fields *headers;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.headers", &request, &headers), 0);
    CHECK_INT(carrier_send(&carrier, request, NULL), -WISP_ERR_GUEST);
    CHECK_HAS(fake.trap, "headers are still there");
    CHECK(!fake_drop(&TYPES, "fields", headers));
    finish();
}

TEST(a_body_written_before_and_after)
{
    begin();
    struct wisp_output_stream *stream;
    struct wisp_outgoing_body *body = take_body(&stream);
    write_text(stream, "before ");
    send_request();
    write_text(stream, "after");
    CHECK_STR(peek_request(), "before ");
    wisp_wrpc_reader_consume(carrier.args.request.body, 7);
    CHECK_STR(peek_request(), "after");
    wisp_wrpc_reader_consume(carrier.args.request.body, 5);
    stream->ops->drop(stream);
    finish_body(body);
    struct wisp_str bytes;
    struct wisp_err err;
    CHECK_INT(wisp_wrpc_reader_peek(carrier.args.request.body, &bytes, &err), WISP_WRPC_READING_END);
    struct wisp_wrpc_option_fields trailers;
    CHECK_INT(wisp_wrpc_reader_next(carrier.args.request.trailers, &carrier.arena, &trailers, &err),
              WISP_WRPC_READING_ITEM);
    CHECK(!trailers.is_some);
    CHECK(!fake_drop(&TYPES, "future-incoming-response", carrier.future));
    finish();
}

TEST(a_reader_that_is_slow_holds_the_guest_back)
{
    begin();
    struct wisp_output_stream *stream;
    struct wisp_outgoing_body *body = take_body(&stream);
    send_request();
    struct wisp_io_error error;
    size_t room, n_written = 0;
    while (stream->ops->check_write(stream, &room, &error) == WISP_STREAM_OK && room > 0) {
        CHECK_INT(stream->ops->write(stream, NULL, room, &error), WISP_STREAM_OK); /* zeroes */
        n_written += room;
        CHECK(n_written < 1 << 20);
    }
    CHECK(!stream->ops->is_ready(stream));
    fake.is_woken = false;
    while (peek_request().len) wisp_wrpc_reader_consume(carrier.args.request.body, peek_request().len);
    turn();
    CHECK(fake.is_woken && stream->ops->is_ready(stream));
    /* And one that is gone ends it. */
    fake.is_woken = false;
    carrier_close_request(&carrier);
    turn();
    CHECK(fake.is_woken);
    CHECK_INT(stream->ops->check_write(stream, &room, &error), WISP_STREAM_CLOSED);
    stream->ops->drop(stream);
    CHECK(!fake_drop(&TYPES, "outgoing-body", body));
    CHECK(!fake_drop(&TYPES, "future-incoming-response", carrier.future));
    finish();
}

TEST(a_body_that_is_dropped_is_broken_off)
{
    begin();
    struct wisp_output_stream *stream;
    struct wisp_outgoing_body *body = take_body(&stream);
    send_request();
    stream->ops->drop(stream);
    CHECK(!fake_drop(&TYPES, "outgoing-body", body));
    struct wisp_str bytes;
    struct wisp_err err;
    CHECK_INT(wisp_wrpc_reader_peek(carrier.args.request.body, &bytes, &err), WISP_WRPC_READING_FAILED);
    CHECK(!fake_drop(&TYPES, "future-incoming-response", carrier.future));
    finish();
}

/* Dropped before it is sent: the other side sees a stream that failed, too. */
TEST(a_body_that_was_dropped_before)
{
    begin();
    struct wisp_output_stream *stream;
    struct wisp_outgoing_body *body = take_body(&stream);
    write_text(stream, "some");
    stream->ops->drop(stream);
    CHECK(!fake_drop(&TYPES, "outgoing-body", body));
    send_request();
    struct wisp_str bytes;
    struct wisp_err err;
    CHECK_INT(wisp_wrpc_reader_peek(carrier.args.request.body, &bytes, &err), WISP_WRPC_READING_FAILED);
    CHECK(!fake_drop(&TYPES, "future-incoming-response", carrier.future));
    finish();
}

/* --- the answer --- */

TEST(errors)
{
    begin();
    struct wisp_output_stream *stream;
    struct wisp_outgoing_body *body = take_body(&stream);
    send_request();
    fake.is_woken = false;
    struct wisp_wasi_http_answer answer = {.is_error = 1, .of.error.tag = WISP_HTTP_ERROR_DNS_ERROR};
    answer.of.error.of.dns_error.rcode.is_some = 1;
    answer.of.error.of.dns_error.rcode.value = WISP_STR("nothing there");
    carrier.is_pending = false;
    wisp_wasi_http_answer(carrier.future, &answer);
    CHECK(fake.is_woken);
    struct wisp_abi_response_result result = get();
    CHECK(result.is_some && result.taken.value.is_error);
    CHECK_INT(result.taken.value.of.error.tag, WISP_HTTP_ERROR_DNS_ERROR);
    CHECK_STR(result.taken.value.of.error.of.dns_error.rcode.value, "nothing there");
    CHECK(get().taken.is_error); /* once */
    struct wisp_io_error error;
    size_t room;
    CHECK_INT(stream->ops->check_write(stream, &room, &error), WISP_STREAM_CLOSED);
    stream->ops->drop(stream);
    CHECK(!fake_drop(&TYPES, "outgoing-body", body));
    CHECK(!fake_drop(&TYPES, "future-incoming-response", carrier.future));
    CHECK_INT(carrier.n_dropped, 0);
    finish();
}

static struct wisp_pollable *subscribe(void)
{
    struct wisp_pollable *pollable;
    CHECK_INT(INVOKE(TYPES, "[method]future-incoming-response.subscribe", &carrier.future, &pollable), 0);
    return pollable;
}

static struct wisp_incoming_body *consume(struct wisp_incoming_response *response)
{
    struct wisp_abi_result_handle result;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-response.consume", &response, &result), 0);
    CHECK(!result.is_error);
    return result.value;
}

static struct wisp_input_stream *stream_of(struct wisp_incoming_body *body)
{
    struct wisp_abi_result_handle result;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-body.stream", &body, &result), 0);
    CHECK(!result.is_error);
    return result.value;
}

TEST(a_response_with_body_and_trailers)
{
    begin();
    send_request();
    struct wisp_pollable *pollable = subscribe();
    CHECK(!pollable->ops->is_ready(pollable));
    CHECK_HAS(fake_drop(&TYPES, "future-incoming-response", carrier.future), "pollable");
    struct wisp_wrpc_field field = {WISP_STR("X-B"), {&WISP_STR("3"), 1}};
    carrier_answer(&carrier, &(struct wisp_wrpc_fields){&field, 1});
    CHECK(pollable->ops->is_ready(pollable));
    pollable->ops->drop(pollable);
    struct wisp_incoming_response *response = take_response();
    CHECK(!fake_drop(&TYPES, "future-incoming-response", carrier.future));
    uint16_t status;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-response.status", &response, &status), 0);
    CHECK_INT(status, 200);
    struct wisp_fields *headers;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-response.headers", &response, &headers), 0);
    CHECK_STR(wisp_fields_name(headers, 0), "x-b");
    CHECK_HAS(fake_drop(&TYPES, "incoming-response", response), "headers");
    CHECK(!fake_drop(&TYPES, "fields", headers));
    struct wisp_incoming_body *body = consume(response);
    struct wisp_abi_result_handle again;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-response.consume", &response, &again), 0);
    CHECK(again.is_error);
    CHECK(!fake_drop(&TYPES, "incoming-response", response)); /* the body stays */

    struct wisp_input_stream *stream = stream_of(body);
    char bytes[16];
    size_t n;
    struct wisp_io_error error;
    struct wisp_err err;
    CHECK_INT(stream->ops->read(stream, bytes, sizeof bytes, &n, &error), WISP_STREAM_OK);
    CHECK(n == 0 && !stream->ops->is_ready(stream));
    fake.is_woken = false;
    CHECK_OK(wisp_wrpc_writer_write(carrier.body, WISP_STR("hello"), &err), &err);
    turn();
    CHECK(fake.is_woken && stream->ops->is_ready(stream));
    CHECK_INT(stream->ops->read(stream, bytes, sizeof bytes, &n, &error), WISP_STREAM_OK);
    CHECK_INT(n, 5);
    CHECK_OK(wisp_wrpc_writer_write(carrier.body, WISP_STR("not read"), &err), &err);
    stream->ops->drop(stream);

    struct wisp_future_trailers *trailers;
    CHECK_INT(INVOKE(TYPES, "[static]incoming-body.finish", &body, &trailers), 0);
    struct wisp_abi_trailers_result result;
    CHECK_INT(INVOKE(TYPES, "[method]future-trailers.get", &trailers, &result), 0);
    CHECK(!result.is_some);
    carrier_end_response(&carrier, &(struct wisp_wrpc_option_fields){1, {&field, 1}});
    turn();
    CHECK_INT(INVOKE(TYPES, "[method]future-trailers.get", &trailers, &result), 0);
    CHECK(result.is_some && !result.taken.is_error && !result.taken.value.is_error);
    CHECK_STR(wisp_fields_value(result.taken.value.of.trailers.value, 0), "3");
    CHECK(!fake_drop(&TYPES, "fields", result.taken.value.of.trailers.value));
    CHECK(!fake_drop(&TYPES, "future-trailers", trailers));
    CHECK_INT(http->n_alive, 0);
    finish();
}

TEST(a_response_that_is_broken_off)
{
    begin();
    send_request();
    carrier_answer(&carrier, NULL);
    struct wisp_incoming_response *response = take_response();
    struct wisp_incoming_body *body = consume(response);
    struct wisp_input_stream *stream = stream_of(body);
    wisp_wrpc_writer_abort(WISP_TAKE(carrier.body));
    wisp_wrpc_writer_abort(WISP_TAKE(carrier.trailers));
    turn();
    char bytes[16];
    size_t n;
    struct wisp_io_error error;
    CHECK_INT(stream->ops->read(stream, bytes, sizeof bytes, &n, &error), WISP_STREAM_FAILED);
    CHECK_INT(error.origin, WISP_IO_ERROR_HTTP);
    CHECK_INT(error.code, WISP_HTTP_ERROR_CONNECTION_TERMINATED);
    stream->ops->drop(stream);
    struct wisp_future_trailers *trailers;
    CHECK_INT(INVOKE(TYPES, "[static]incoming-body.finish", &body, &trailers), 0);
    struct wisp_abi_trailers_result result;
    CHECK_INT(INVOKE(TYPES, "[method]future-trailers.get", &trailers, &result), 0);
    CHECK(result.is_some && result.taken.value.is_error);
    CHECK(!fake_drop(&TYPES, "future-trailers", trailers));
    CHECK(!fake_drop(&TYPES, "incoming-response", response));
    CHECK(!fake_drop(&TYPES, "future-incoming-response", carrier.future));
    finish();
}

/* --- ends --- */

/* An answer that nobody takes, then one whose body nobody reads: the other side hears of it. */
TEST(responses_that_are_dropped)
{
    begin();
    send_request();
    carrier_answer(&carrier, NULL);
    CHECK(!fake_drop(&TYPES, "future-incoming-response", carrier.future));
    CHECK(wisp_wrpc_writer_is_closed(carrier.body));
    CHECK_INT(http->n_alive, 0);
    finish();
    begin();
    send_request();
    carrier_answer(&carrier, NULL);
    struct wisp_incoming_response *response = take_response();
    CHECK(!fake_drop(&TYPES, "incoming-body", consume(response)));
    CHECK(wisp_wrpc_writer_is_closed(carrier.body));
    CHECK(!fake_drop(&TYPES, "incoming-response", response));
    CHECK(!fake_drop(&TYPES, "future-incoming-response", carrier.future));
    finish();
}

/* The invocation ends with everything still in flight. */
TEST(the_end_of_the_invocation)
{
    begin();
    struct wisp_output_stream *stream;
    (void)take_body(&stream);
    send_request();
    struct wisp_pollable *pollable = subscribe();
    pollable->ops->drop(pollable);
    finish();
    CHECK_INT(carrier.n_dropped, 1);
}
