/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/http/http_scene.h"

/* --- heads --- */

static const char *request_text(const char *getter)
{
    struct wisp_abi_option_str value;
    CHECK_INT(INVOKE(TYPES, getter, &scene.args.request, &value), 0);
    return value.is_some ? wisp_arena_cstr(&fake.arena, value.value) : "(none)";
}

static void check_request(void)
{
    struct wisp_abi_method method;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-request.method", &scene.args.request, &method), 0);
    CHECK_INT(method.tag, WISP_WASI_HTTP_METHOD_OTHER);
    CHECK_STR(method.other, "PURGE");
    CHECK_TEXT(request_text("[method]incoming-request.path-with-query"), "/a?b=c");
    CHECK_TEXT(request_text("[method]incoming-request.authority"), "example.org:81");
    struct wisp_abi_option_scheme scheme;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-request.scheme", &scene.args.request, &scheme), 0);
    CHECK(scheme.is_some && scheme.value.tag == WISP_WASI_HTTP_SCHEME_HTTP);
    struct wisp_fields *headers;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-request.headers", &scene.args.request, &headers), 0);
    CHECK(headers->is_immutable);
    CHECK_INT(headers->n_entries, 3); /* without those of the connection */
    CHECK_STR(wisp_fields_name(headers, 0), "x-a");
    CHECK_STR(wisp_fields_value(headers, 2), "3");
    CHECK_HAS(fake_drop(&TYPES, "incoming-request", scene.args.request), "headers");
    drop("fields", headers);
}

#define PURGE                                                                                                          \
    "PURGE /a?b=c HTTP/1.1\r\nHost: example.org:81\r\nX-A: 1\r\nConnection: close\r\nx-a: 2\r\nTE: x\r\nB: 3\r\n\r\n"

TEST(request_says_what_the_client_sent)
{
    begin(PURGE);
    check_request();
    drop_request();
    finish();
}

TEST(request_outlives_its_exchange)
{
    begin(PURGE);
    CHECK_INT(set(new_response(NULL, NULL)), 0);
    turn();
    CHECK(scene.is_closed && !fake.wasi.exchange);
    check_request();
    drop_request();
    finish();
}

/* --- bodies --- */

static struct wisp_incoming_body *consume(void)
{
    struct wisp_abi_result_handle result;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-request.consume", &scene.args.request, &result), 0);
    CHECK(!result.is_error);
    struct wisp_incoming_body *body = result.value;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-request.consume", &scene.args.request, &result), 0);
    CHECK(result.is_error);
    return body;
}

static struct wisp_input_stream *input_of(struct wisp_incoming_body *body)
{
    struct wisp_abi_result_handle result;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-body.stream", &body, &result), 0);
    CHECK(!result.is_error);
    struct wisp_input_stream *stream = result.value;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-body.stream", &body, &result), 0);
    CHECK(result.is_error);
    return stream;
}

static struct wisp_future_trailers *finish_input(struct wisp_incoming_body *body)
{
    struct wisp_future_trailers *trailers;
    CHECK_INT(INVOKE(TYPES, "[static]incoming-body.finish", &body, &trailers), 0);
    return trailers;
}

static struct wisp_abi_trailers_result get_trailers(struct wisp_future_trailers *trailers)
{
    struct wisp_abi_trailers_result result;
    CHECK_INT(INVOKE(TYPES, "[method]future-trailers.get", &trailers, &result), 0);
    return result;
}

TEST(body_is_read_as_it_comes)
{
    begin("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\nabc");
    struct wisp_incoming_body *body = consume();
    drop_request();
    struct wisp_input_stream *stream = input_of(body);
    char buffer[16] = "";
    size_t n;
    struct wisp_io_error error;
    CHECK(stream->ops->is_ready(stream));
    CHECK_INT(stream->ops->read(stream, buffer, 2, &n, &error), WISP_STREAM_OK);
    CHECK(n == 2 && memcmp(buffer, "ab", 2) == 0);
    CHECK_INT(stream->ops->read(stream, NULL, 5, &n, &error), WISP_STREAM_OK);
    CHECK_INT(n, 1);
    CHECK_INT(stream->ops->read(stream, buffer, 5, &n, &error), WISP_STREAM_OK);
    CHECK(n == 0 && !stream->ops->is_ready(stream));
    fake.is_woken = false;
    client_sends("defgh");
    CHECK(fake.is_woken);
    CHECK_INT(stream->ops->read(stream, buffer, sizeof buffer, &n, &error), WISP_STREAM_OK);
    CHECK(n == 5 && memcmp(buffer, "defgh", 5) == 0);
    CHECK_INT(stream->ops->read(stream, buffer, sizeof buffer, &n, &error), WISP_STREAM_CLOSED);
    CHECK_HAS(fake_drop(&TYPES, "incoming-body", body), "stream");
    stream->ops->drop(stream);
    struct wisp_future_trailers *trailers = finish_input(body);
    struct wisp_abi_trailers_result result = get_trailers(trailers);
    CHECK(result.is_some && !result.taken.is_error && !result.taken.value.is_error);
    CHECK(!result.taken.value.of.trailers.is_some);
    result = get_trailers(trailers);
    CHECK(result.is_some && result.taken.is_error);
    drop("future-trailers", trailers);
    finish();
}

TEST(client_that_waits_to_hear_is_told_to_go_on)
{
    begin("POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    turn();
    CHECK_INT(scene.n_received, 0);
    struct wisp_incoming_body *body = consume();
    drop_request();
    CHECK_INT(set(new_response(NULL, NULL)), 0); /* even if the response begins before the first read */
    turn();
    CHECK_HAS(scene.received, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n");
    drop("incoming-body", body);
    finish();
}

TEST(trailers_come_though_the_body_was_not_read)
{
    begin("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    struct wisp_incoming_body *body = consume();
    drop_request();
    struct wisp_future_trailers *trailers = finish_input(body);
    CHECK(!get_trailers(trailers).is_some);
    struct wisp_pollable *pollable;
    CHECK_INT(INVOKE(TYPES, "[method]future-trailers.subscribe", &trailers, &pollable), 0);
    CHECK(!pollable->ops->is_ready(pollable));
    CHECK_HAS(fake_drop(&TYPES, "future-trailers", trailers), "pollable");
    fake.is_woken = false;
    client_sends("0\r\nx-sum: 1\r\n\r\n");
    CHECK(fake.is_woken && pollable->ops->is_ready(pollable));
    struct wisp_abi_trailers_result result = get_trailers(trailers);
    CHECK(result.is_some && !result.taken.is_error && !result.taken.value.is_error);
    CHECK(result.taken.value.of.trailers.is_some);
    struct wisp_fields *fields = result.taken.value.of.trailers.value;
    CHECK(fields->is_immutable && fields->n_entries == 1);
    CHECK_STR(wisp_fields_name(fields, 0), "x-sum");
    pollable->ops->drop(pollable);
    CHECK_HAS(fake_drop(&TYPES, "future-trailers", trailers), "trailers");
    drop("fields", fields);
    drop("future-trailers", trailers);
    finish();
}

TEST(body_finished_while_it_is_read_traps)
{
    begin("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc");
    struct wisp_incoming_body *body = consume();
    drop_request();
    struct wisp_input_stream *stream = input_of(body);
    struct wisp_future_trailers *trailers;
    CHECK_INT(INVOKE(TYPES, "[static]incoming-body.finish", &body, &trailers), -WISP_ERR_GUEST);
    CHECK_HAS(fake.trap, "stream is still there");
    stream->ops->drop(stream);
    finish();
}

TEST(client_that_leaves_fails_reads_and_closes_writes)
{
    begin("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\nabc");
    struct wisp_incoming_body *body = consume();
    drop_request();
    struct wisp_input_stream *input = input_of(body);
    struct wisp_outgoing_response *response = new_response(NULL, NULL);
    struct wisp_outgoing_body *out = body_of(response);
    CHECK_INT(set(response), 0);
    struct wisp_output_stream *output = stream_of(out);
    char buffer[16];
    size_t n;
    struct wisp_io_error error;
    CHECK_INT(input->ops->read(input, buffer, sizeof buffer, &n, &error), WISP_STREAM_OK);
    CHECK(!input->ops->is_ready(input));
    fake.is_woken = false;
    shutdown(scene.client, SHUT_RDWR);
    turn();
    CHECK(scene.is_closed && scene.outcome == WISP_HTTP_CLIENT_GONE && fake.is_woken);
    CHECK(input->ops->is_ready(input) && output->ops->is_ready(output));
    CHECK_INT(input->ops->read(input, buffer, sizeof buffer, &n, &error), WISP_STREAM_FAILED);
    CHECK(error.origin == WISP_IO_ERROR_HTTP && error.code == WISP_HTTP_ERROR_CONNECTION_TERMINATED);
    CHECK_INT(output->ops->check_write(output, &n, &error), WISP_STREAM_CLOSED);
    CHECK_INT(write_text(output, "x"), WISP_STREAM_CLOSED);
    input->ops->drop(input);
    output->ops->drop(output);
    struct wisp_future_trailers *trailers = finish_input(body);
    struct wisp_abi_trailers_result result = get_trailers(trailers);
    CHECK(result.is_some && !result.taken.is_error && result.taken.value.is_error);
    drop("future-trailers", trailers);
    drop("outgoing-body", out);
    finish();
}
