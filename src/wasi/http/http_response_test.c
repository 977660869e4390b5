/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/http/http_scene.h"

TEST(small_response_goes_out_in_one_piece)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response("Content-Type", "text/plain");
    struct wisp_outgoing_body *body = body_of(response);
    CHECK_INT(set(response), 0);
    CHECK_INT(wisp_wasi_http_response(scene.http), WISP_WASI_HTTP_STREAMING);
    struct wisp_output_stream *stream = stream_of(body);
    CHECK_INT(write_text(stream, "hello"), WISP_STREAM_OK);
    struct wisp_io_error error;
    bool is_done = false;
    CHECK_INT(stream->ops->flush(stream, &is_done, &error), WISP_STREAM_OK);
    CHECK(is_done);
    stream->ops->drop(stream);
    CHECK(!finish_body(body, NULL).is_error);
    CHECK_INT(wisp_wasi_http_response(scene.http), WISP_WASI_HTTP_COMPLETE);
    CHECK_INT(scene.http->n_alive, 1); /* the request, ours */
    turn();
    CHECK_HAS(scene.received, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n");
    CHECK_HAS(scene.received, "\r\ncontent-length: 5\r\n\r\nhello");
    CHECK(scene.is_closed && scene.outcome == WISP_HTTP_COMPLETE);
    finish();
}

TEST(response_without_a_body)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response(NULL, NULL);
    struct wisp_abi_status_args args = {response, 404};
    struct wisp_abi_result result;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-response.set-status-code", &args, &result), 0);
    CHECK(!result.is_error);
    args.status = 600;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-response.set-status-code", &args, &result), 0);
    CHECK(result.is_error);
    uint16_t status;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-response.status-code", &response, &status), 0);
    CHECK_INT(status, 404);
    CHECK_INT(set(response), 0);
    CHECK_INT(wisp_wasi_http_response(scene.http), WISP_WASI_HTTP_COMPLETE);
    turn();
    CHECK_HAS(scene.received, "HTTP/1.1 404 Not Found\r\n");
    CHECK_HAS(scene.received, "content-length: 0\r\n");
    finish();
}

TEST(body_written_before_the_response_is_set)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response(NULL, NULL);
    struct wisp_outgoing_body *body = body_of(response);
    struct wisp_output_stream *stream = stream_of(body);
    struct wisp_io_error error;
    size_t room;
    CHECK_INT(stream->ops->check_write(stream, &room, &error), WISP_STREAM_OK);
    CHECK_INT(room, WISP_WASI_HTTP_UNSENT_MAX);
    CHECK_INT(write_text(stream, "before "), WISP_STREAM_OK);
    CHECK_INT(stream->ops->write(stream, NULL, 3, &error), WISP_STREAM_OK);
    stream->ops->drop(stream);
    CHECK(!finish_body(body, NULL).is_error);
    turn();
    CHECK_INT(scene.n_received, 0);
    CHECK_INT(set(response), 0);
    turn();
    CHECK_HAS(scene.received, "content-length: 10\r\n\r\nbefore ");
    CHECK_INT(memcmp(scene.received + scene.n_received - 3, "\0\0\0", 3), 0);
    finish();
}

TEST(pieces_leave_as_they_are_written_and_trailers_follow)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\nte: trailers\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response(NULL, NULL);
    struct wisp_outgoing_body *body = body_of(response);
    CHECK_INT(set(response), 0);
    struct wisp_output_stream *stream = stream_of(body);
    CHECK_INT(write_text(stream, "one"), WISP_STREAM_OK);
    turn();
    CHECK_HAS(scene.received, "transfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    CHECK_INT(write_text(stream, "four"), WISP_STREAM_OK);
    turn();
    CHECK_HAS(scene.received, "\r\n4\r\nfour\r\n");
    stream->ops->drop(stream);
    struct wisp_fields *trailers;
    CHECK_INT(fake_invoke(&TYPES, "[constructor]fields", NULL, 0, &trailers, sizeof trailers), 0);
    struct wisp_abi_fields_append_args args = {trailers, WISP_STR("x-sum"), {(const uint8_t *)"7", 1}};
    struct wisp_abi_result_header_error result;
    CHECK_INT(INVOKE(TYPES, "[method]fields.append", &args, &result), 0);
    CHECK(!finish_body(body, trailers).is_error);
    turn();
    CHECK_HAS(scene.received, "\r\n0\r\nx-sum: 7\r\n\r\n");
    finish();
}

TEST(dropped_body_breaks_the_response)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response(NULL, NULL);
    struct wisp_outgoing_body *body = body_of(response);
    CHECK_INT(set(response), 0);
    struct wisp_output_stream *stream = stream_of(body);
    CHECK_INT(write_text(stream, "half"), WISP_STREAM_OK);
    turn();
    CHECK_HAS(fake_drop(&TYPES, "outgoing-body", body), "stream");
    stream->ops->drop(stream);
    drop("outgoing-body", body);
    CHECK_INT(wisp_wasi_http_response(scene.http), WISP_WASI_HTTP_BROKEN);
    CHECK_HAS(wisp_wasi_http_problem(scene.http), "dropped the body");
    turn();
    CHECK(scene.is_closed && scene.is_client_at_end);
    CHECK(!strstr(scene.received, "0\r\n\r\n"));
    finish();
}

TEST(length_is_held_to)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response("content-length", "5");
    struct wisp_outgoing_body *body = body_of(response);
    CHECK_INT(set(response), 0);
    struct wisp_output_stream *stream = stream_of(body);
    CHECK_INT(write_text(stream, "four"), WISP_STREAM_OK);
    stream->ops->drop(stream);
    struct wisp_abi_result_error_code result = finish_body(body, NULL);
    CHECK(result.is_error && result.error.tag == WISP_HTTP_ERROR_RESPONSE_BODY_SIZE);
    CHECK(result.error.of.body_size.is_some && result.error.of.body_size.value == 4);
    CHECK_INT(wisp_wasi_http_response(scene.http), WISP_WASI_HTTP_BROKEN);
    turn();
    CHECK_HAS(scene.received, "HTTP/1.1 500 "); /* nothing of the other one had left */
    finish();
}

TEST(more_than_the_length_is_refused)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response("content-length", "5");
    struct wisp_outgoing_body *body = body_of(response);
    CHECK_INT(set(response), 0);
    struct wisp_output_stream *stream = stream_of(body);
    CHECK_INT(write_text(stream, "four"), WISP_STREAM_OK);
    struct wisp_io_error error;
    CHECK_INT(stream->ops->write(stream, "more", 4, &error), WISP_STREAM_FAILED);
    CHECK(error.origin == WISP_IO_ERROR_HTTP && error.code == WISP_HTTP_ERROR_RESPONSE_BODY_SIZE);
    struct wisp_io_error *self = &error;
    struct wisp_abi_option_error_code code;
    CHECK_INT(INVOKE(TYPES, "http-error-code", &self, &code), 0);
    CHECK(code.is_some && code.value.tag == WISP_HTTP_ERROR_RESPONSE_BODY_SIZE);
    CHECK_INT(write_text(stream, "x"), WISP_STREAM_CLOSED);
    stream->ops->drop(stream);
    CHECK(finish_body(body, NULL).is_error);
    turn();
    CHECK_HAS(scene.received, "HTTP/1.1 500 "); /* nothing of the other one had left */
    finish();
}

TEST(head_request_may_have_a_length_and_no_body)
{
    begin("HEAD / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response("content-length", "1000");
    struct wisp_outgoing_body *body = body_of(response);
    CHECK_INT(set(response), 0);
    CHECK(!finish_body(body, NULL).is_error);
    turn();
    CHECK_HAS(scene.received, "content-length: 1000\r\n");
    CHECK(scene.outcome == WISP_HTTP_COMPLETE);
    finish();
}

TEST(nonsense_lengths)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response("content-length", "many");
    struct wisp_abi_result_handle result;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-response.body", &response, &result), 0);
    CHECK(result.is_error);
    CHECK_INT(set(response), 0);
    CHECK_INT(wisp_wasi_http_response(scene.http), WISP_WASI_HTTP_REPLIED);
    CHECK_HAS(wisp_wasi_http_problem(scene.http), "content-length is no number");
    turn();
    CHECK_HAS(scene.received, "HTTP/1.1 500 ");
    finish();
}

TEST(body_dropped_before_the_response_is_set)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response(NULL, NULL);
    drop("outgoing-body", body_of(response));
    CHECK_INT(set(response), 0);
    CHECK_INT(wisp_wasi_http_response(scene.http), WISP_WASI_HTTP_REPLIED);
    turn();
    CHECK_HAS(scene.received, "HTTP/1.1 500 ");
    finish();
}

TEST(response_dropped_instead_of_set)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response(NULL, NULL);
    struct wisp_outgoing_body *body = body_of(response);
    struct wisp_output_stream *stream = stream_of(body);
    drop("outgoing-response", response);
    CHECK_INT(write_text(stream, "x"), WISP_STREAM_CLOSED);
    stream->ops->drop(stream);
    drop("outgoing-body", body);
    drop("response-outparam", scene.args.outparam);
    CHECK_INT(wisp_wasi_http_response(scene.http), WISP_WASI_HTTP_NOT_SET);
    CHECK_INT(scene.n_received, 0);
    finish();
}

TEST(error_code_instead_of_a_response)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_abi_set_response_args args = {.outparam = scene.http};
    args.response.is_error = WISP_ABI_ERROR;
    args.response.of.error = (struct wisp_abi_error_code){.tag = WISP_HTTP_ERROR_RESPONSE_TIMEOUT};
    CHECK_INT(fake_invoke(&TYPES, "[static]response-outparam.set", &args, sizeof args, NULL, 0), 0);
    CHECK_INT(wisp_wasi_http_response(scene.http), WISP_WASI_HTTP_REPLIED);
    CHECK_HAS(wisp_wasi_http_problem(scene.http), "HTTP-response-timeout");
    turn();
    CHECK_HAS(scene.received, "HTTP/1.1 504 Gateway Timeout\r\n");
    finish();
}

TEST(response_set_while_its_headers_are_out_traps)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response(NULL, NULL);
    struct wisp_fields *headers;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-response.headers", &response, &headers), 0);
    CHECK_INT(set(response), -WISP_ERR_GUEST);
    CHECK_HAS(fake.trap, "headers are still there");
    CHECK_INT(wisp_wasi_http_response(scene.http), WISP_WASI_HTTP_NOT_SET);
    drop("fields", headers);
    finish();
}

TEST(body_finished_while_its_stream_is_out_traps)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response(NULL, NULL);
    struct wisp_outgoing_body *body = body_of(response);
    CHECK_INT(set(response), 0);
    struct wisp_output_stream *stream = stream_of(body);
    struct wisp_abi_finish_args args = {.body = body};
    struct wisp_abi_result_error_code result;
    CHECK_INT(INVOKE(TYPES, "[static]outgoing-body.finish", &args, &result), -WISP_ERR_GUEST);
    CHECK_HAS(fake.trap, "stream is still there");
    stream->ops->drop(stream);
    CHECK_INT(wisp_wasi_http_response(scene.http), WISP_WASI_HTTP_BROKEN);
    finish();
}

TEST(request_headers_can_be_given_to_a_response)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\nx-a: 1\r\n\r\n");
    struct wisp_fields *headers;
    struct wisp_outgoing_response *response;
    CHECK_INT(INVOKE(TYPES, "[method]incoming-request.headers", &scene.args.request, &headers), 0);
    CHECK_INT(INVOKE(TYPES, "[constructor]outgoing-response", &headers, &response), 0);
    drop_request(); /* its child went into the response */
    CHECK_INT(set(response), 0);
    turn();
    CHECK_HAS(scene.received, "x-a: 1\r\n");
    finish();
}

TEST(informational_responses_are_refused)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    static const struct {
        uint16_t status;
        uint32_t error;
    } cases[] = {{103, WISP_HTTP_ERROR_INTERNAL_ERROR}, {200, WISP_HTTP_ERROR_PROTOCOL_ERROR}};
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct wisp_abi_informational_args args = {scene.http, cases[i].status, NULL};
        CHECK_INT(fake_invoke(&TYPES, "[constructor]fields", NULL, 0, &args.headers, sizeof(void *)), 0);
        struct wisp_abi_result_error_code result;
        CHECK_INT(INVOKE(TYPES, "[method]response-outparam.send-informational", &args, &result), 0);
        CHECK(result.is_error && result.error.tag == cases[i].error);
    }
    finish();
}

/* --- backpressure --- */

TEST(slow_client_holds_the_guest_back)
{
    begin("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    drop_request();
    struct wisp_outgoing_response *response = new_response(NULL, NULL);
    struct wisp_outgoing_body *body = body_of(response);
    CHECK_INT(set(response), 0);
    struct wisp_output_stream *stream = stream_of(body);
    static char bytes[1 << 16];
    struct wisp_io_error error;
    size_t room, written = 0;
    /* The client reads nothing: at some point the kernel takes no more, then the server. */
    for (;;) {
        CHECK_INT(stream->ops->check_write(stream, &room, &error), WISP_STREAM_OK);
        if (room == 0) break;
        size_t n = room < sizeof bytes ? room : sizeof bytes;
        CHECK_INT(stream->ops->write(stream, bytes, n, &error), WISP_STREAM_OK);
        written += n;
        CHECK(written < 100 << 20);
        uv_run(&fake.loop, UV_RUN_NOWAIT);
    }
    bool is_done = true;
    CHECK(!stream->ops->is_ready(stream));
    CHECK_INT(stream->ops->flush(stream, &is_done, &error), WISP_STREAM_OK);
    CHECK(!is_done);
    fake.is_woken = false;
    for (int i = 0; i < 1000 && !fake.is_woken; i++) {
        scene.n_received = 0;
        turn();
    }
    CHECK(fake.is_woken && stream->ops->is_ready(stream));
    stream->ops->drop(stream);
    drop("outgoing-body", body);
    finish();
}
