// SPDX-License-Identifier: Apache-2.0
// Answers every request with one line of text.

#include <string.h>

#include "hello.h" // made by wit-bindgen from hello.wit

#define TEXT "Hello from C!\n"

// Arguments are borrowed for the length of a call, so literals will do.
static uint8_t *bytes(const char *literal)
{
    return (uint8_t *)literal;
}

static wasi_http_types_tuple2_field_name_field_value_t field(const char *name, const char *value)
{
    return (wasi_http_types_tuple2_field_name_field_value_t){
        .f0 = {bytes(name), strlen(name)},
        .f1 = {bytes(value), strlen(value)},
    };
}

static void check(bool ok)
{
    if (!ok)
        __builtin_trap();
}

void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t request,
    exports_wasi_http_incoming_handler_own_response_outparam_t out)
{
    wasi_http_types_incoming_request_drop_own(request);

    wasi_http_types_tuple2_field_name_field_value_t entries[] = {
        field("content-type", "text/plain"),
        field("content-length", "14"),
    };
    _Static_assert(sizeof TEXT - 1 == 14, "content-length");
    wasi_http_types_list_tuple2_field_name_field_value_t list = {entries, 2};
    wasi_http_types_own_fields_t headers;
    wasi_http_types_header_error_t header_error;
    check(wasi_http_types_static_fields_from_list(&list, &headers, &header_error));

    wasi_http_types_own_outgoing_response_t response = wasi_http_types_constructor_outgoing_response(headers);
    wasi_http_types_own_outgoing_body_t body;
    check(wasi_http_types_method_outgoing_response_body(wasi_http_types_borrow_outgoing_response(response), &body));
    wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = response};
    wasi_http_types_static_response_outparam_set(out, &result);

    wasi_http_types_own_output_stream_t stream;
    check(wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream));
    hello_list_u8_t contents = {bytes(TEXT), sizeof TEXT - 1};
    wasi_io_streams_stream_error_t stream_error;
    bool written = wasi_io_streams_method_output_stream_blocking_write_and_flush(
        wasi_io_streams_borrow_output_stream(stream), &contents, &stream_error);
    wasi_io_streams_output_stream_drop_own(stream);

    // An error here means that the client has left: there is nobody to tell.
    wasi_http_types_error_code_t finish_error;
    if (written)
        wasi_http_types_static_outgoing_body_finish(body, NULL, &finish_error);
}
