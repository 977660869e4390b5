/* SPDX-License-Identifier: Apache-2.0 */
/* The table of wasi:http/types. */
#include "wasi/http/http_priv.h"
#include "wasi/http_outgoing.h"
#include "wasi/wasi_priv.h"

/* Handles are pointers, alone or as the only argument. */
#define HANDLE sizeof(void *)

const char *const wisp_wasi_http_type_names[] = {
    "duration = u64",
    "method = variant{_, _, _, _, _, _, _, _, _, string}",
    "scheme = variant{_, _, string}",
    "field-size = record{option<string>, option<u32>}",
    WISP_HTTP_ERROR_CODE_TYPE,
    "header-error = variant{_, _, _}",
    NULL,
};

/* --- functions --- */

static int http_error_code(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_io_error *error = *(struct wisp_io_error *const *)args;
    struct wisp_abi_option_error_code *ret = result;
    *ret = (struct wisp_abi_option_error_code){0};
    ret->is_some = error->origin == WISP_IO_ERROR_HTTP;
    if (ret->is_some) ret->value.tag = error->code;
    return 0;
}

static const struct wisp_host_func funcs[] = {
    {"[constructor]fields", "() -> own<fields>", wisp_fields_host_new, 0, HANDLE},
    {"[static]fields.from-list", "(list<tuple<string, list<u8>>>) -> result<own<fields>, header-error>",
     wisp_fields_host_from_list, WISP_HOST_SIZES(struct wisp_abi_list_field, struct wisp_abi_result_fields)},
    {"[method]fields.get", "(borrow<fields>, string) -> list<list<u8>>", wisp_fields_host_get,
     WISP_HOST_SIZES(struct wisp_abi_fields_name_args, struct wisp_abi_list_value)},
    {"[method]fields.has", "(borrow<fields>, string) -> bool", wisp_fields_host_has,
     WISP_HOST_SIZES(struct wisp_abi_fields_name_args, bool)},
    {"[method]fields.set", "(borrow<fields>, string, list<list<u8>>) -> result<_, header-error>", wisp_fields_host_set,
     WISP_HOST_SIZES(struct wisp_abi_fields_set_args, struct wisp_abi_result_header_error)},
    {"[method]fields.delete", "(borrow<fields>, string) -> result<_, header-error>", wisp_fields_host_delete,
     WISP_HOST_SIZES(struct wisp_abi_fields_name_args, struct wisp_abi_result_header_error)},
    {"[method]fields.append", "(borrow<fields>, string, list<u8>) -> result<_, header-error>", wisp_fields_host_append,
     WISP_HOST_SIZES(struct wisp_abi_fields_append_args, struct wisp_abi_result_header_error)},
    {"[method]fields.entries", "(borrow<fields>) -> list<tuple<string, list<u8>>>", wisp_fields_host_entries, HANDLE,
     sizeof(struct wisp_abi_list_field)},
    {"[method]fields.clone", "(borrow<fields>) -> own<fields>", wisp_fields_host_clone, HANDLE, HANDLE},

    {"[method]incoming-request.method", "(borrow<incoming-request>) -> method", wisp_wasi_http_host_request_method,
     HANDLE, sizeof(struct wisp_abi_method)},
    {"[method]incoming-request.path-with-query", "(borrow<incoming-request>) -> option<string>",
     wisp_wasi_http_host_request_path, HANDLE, sizeof(struct wisp_abi_option_str)},
    {"[method]incoming-request.scheme", "(borrow<incoming-request>) -> option<scheme>",
     wisp_wasi_http_host_request_scheme, HANDLE, sizeof(struct wisp_abi_option_scheme)},
    {"[method]incoming-request.authority", "(borrow<incoming-request>) -> option<string>",
     wisp_wasi_http_host_request_authority, HANDLE, sizeof(struct wisp_abi_option_str)},
    {"[method]incoming-request.headers", "(borrow<incoming-request>) -> own<fields>",
     wisp_wasi_http_host_request_headers, HANDLE, HANDLE},
    {"[method]incoming-request.consume", "(borrow<incoming-request>) -> result<own<incoming-body>>",
     wisp_wasi_http_host_request_consume, HANDLE, sizeof(struct wisp_abi_result_handle)},

    {"[constructor]outgoing-request", "(own<fields>) -> own<outgoing-request>", wisp_wasi_http_host_outgoing_new,
     HANDLE, HANDLE},
    {"[method]outgoing-request.body", "(borrow<outgoing-request>) -> result<own<outgoing-body>>",
     wisp_wasi_http_host_outgoing_body, HANDLE, sizeof(struct wisp_abi_result_handle)},
    {"[method]outgoing-request.method", "(borrow<outgoing-request>) -> method", wisp_wasi_http_host_outgoing_method,
     HANDLE, sizeof(struct wisp_abi_method)},
    {"[method]outgoing-request.set-method", "(borrow<outgoing-request>, method) -> result",
     wisp_wasi_http_host_outgoing_set_method, WISP_HOST_SIZES(struct wisp_abi_set_method_args, struct wisp_abi_result)},
    {"[method]outgoing-request.path-with-query", "(borrow<outgoing-request>) -> option<string>",
     wisp_wasi_http_host_outgoing_path, HANDLE, sizeof(struct wisp_abi_option_str)},
    {"[method]outgoing-request.set-path-with-query", "(borrow<outgoing-request>, option<string>) -> result",
     wisp_wasi_http_host_outgoing_set_path, WISP_HOST_SIZES(struct wisp_abi_set_text_args, struct wisp_abi_result)},
    {"[method]outgoing-request.scheme", "(borrow<outgoing-request>) -> option<scheme>",
     wisp_wasi_http_host_outgoing_scheme, HANDLE, sizeof(struct wisp_abi_option_scheme)},
    {"[method]outgoing-request.set-scheme", "(borrow<outgoing-request>, option<scheme>) -> result",
     wisp_wasi_http_host_outgoing_set_scheme, WISP_HOST_SIZES(struct wisp_abi_set_scheme_args, struct wisp_abi_result)},
    {"[method]outgoing-request.authority", "(borrow<outgoing-request>) -> option<string>",
     wisp_wasi_http_host_outgoing_authority, HANDLE, sizeof(struct wisp_abi_option_str)},
    {"[method]outgoing-request.set-authority", "(borrow<outgoing-request>, option<string>) -> result",
     wisp_wasi_http_host_outgoing_set_authority,
     WISP_HOST_SIZES(struct wisp_abi_set_text_args, struct wisp_abi_result)},
    {"[method]outgoing-request.headers", "(borrow<outgoing-request>) -> own<fields>",
     wisp_wasi_http_host_outgoing_headers, HANDLE, HANDLE},

    {"[constructor]request-options", "() -> own<request-options>", wisp_wasi_http_host_options_new, 0, HANDLE},
    {"[method]request-options.connect-timeout", "(borrow<request-options>) -> option<duration>",
     wisp_wasi_http_host_options_connect, HANDLE, sizeof(struct wisp_abi_option_u64)},
    {"[method]request-options.set-connect-timeout", "(borrow<request-options>, option<duration>) -> result",
     wisp_wasi_http_host_options_set_connect,
     WISP_HOST_SIZES(struct wisp_abi_set_timeout_args, struct wisp_abi_result)},
    {"[method]request-options.first-byte-timeout", "(borrow<request-options>) -> option<duration>",
     wisp_wasi_http_host_options_first_byte, HANDLE, sizeof(struct wisp_abi_option_u64)},
    {"[method]request-options.set-first-byte-timeout", "(borrow<request-options>, option<duration>) -> result",
     wisp_wasi_http_host_options_set_first_byte,
     WISP_HOST_SIZES(struct wisp_abi_set_timeout_args, struct wisp_abi_result)},
    {"[method]request-options.between-bytes-timeout", "(borrow<request-options>) -> option<duration>",
     wisp_wasi_http_host_options_between_bytes, HANDLE, sizeof(struct wisp_abi_option_u64)},
    {"[method]request-options.set-between-bytes-timeout", "(borrow<request-options>, option<duration>) -> result",
     wisp_wasi_http_host_options_set_between_bytes,
     WISP_HOST_SIZES(struct wisp_abi_set_timeout_args, struct wisp_abi_result)},

    {"[method]response-outparam.send-informational",
     "(borrow<response-outparam>, u16, own<fields>) -> result<_, error-code>",
     wisp_wasi_http_host_outparam_informational,
     WISP_HOST_SIZES(struct wisp_abi_informational_args, struct wisp_abi_result_error_code)},
    {"[static]response-outparam.set", "(own<response-outparam>, result<own<outgoing-response>, error-code>)",
     wisp_wasi_http_host_outparam_set, sizeof(struct wisp_abi_set_response_args), 0},

    {"[method]incoming-response.status", "(borrow<incoming-response>) -> u16", wisp_wasi_http_host_in_status, HANDLE,
     sizeof(uint16_t)},
    {"[method]incoming-response.headers", "(borrow<incoming-response>) -> own<fields>", wisp_wasi_http_host_in_headers,
     HANDLE, HANDLE},
    {"[method]incoming-response.consume", "(borrow<incoming-response>) -> result<own<incoming-body>>",
     wisp_wasi_http_host_in_consume, HANDLE, sizeof(struct wisp_abi_result_handle)},

    {"[method]incoming-body.stream", "(borrow<incoming-body>) -> result<own<input-stream>>",
     wisp_wasi_http_host_body_in_stream, HANDLE, sizeof(struct wisp_abi_result_handle)},
    {"[static]incoming-body.finish", "(own<incoming-body>) -> own<future-trailers>", wisp_wasi_http_host_body_in_finish,
     HANDLE, HANDLE},
    {"[method]future-trailers.subscribe", "(borrow<future-trailers>) -> own<pollable>",
     wisp_wasi_http_host_trailers_subscribe, HANDLE, HANDLE},
    {"[method]future-trailers.get",
     "(borrow<future-trailers>) -> option<result<result<option<own<fields>>, error-code>>>",
     wisp_wasi_http_host_trailers_get, HANDLE, sizeof(struct wisp_abi_trailers_result)},

    {"[constructor]outgoing-response", "(own<fields>) -> own<outgoing-response>", wisp_wasi_http_host_response_new,
     HANDLE, HANDLE},
    {"[method]outgoing-response.status-code", "(borrow<outgoing-response>) -> u16", wisp_wasi_http_host_response_status,
     HANDLE, sizeof(uint16_t)},
    {"[method]outgoing-response.set-status-code", "(borrow<outgoing-response>, u16) -> result",
     wisp_wasi_http_host_response_set_status, WISP_HOST_SIZES(struct wisp_abi_status_args, struct wisp_abi_result)},
    {"[method]outgoing-response.headers", "(borrow<outgoing-response>) -> own<fields>",
     wisp_wasi_http_host_response_headers, HANDLE, HANDLE},
    {"[method]outgoing-response.body", "(borrow<outgoing-response>) -> result<own<outgoing-body>>",
     wisp_wasi_http_host_response_body, HANDLE, sizeof(struct wisp_abi_result_handle)},

    {"[method]outgoing-body.write", "(borrow<outgoing-body>) -> result<own<output-stream>>",
     wisp_wasi_http_host_body_out_write, HANDLE, sizeof(struct wisp_abi_result_handle)},
    {"[static]outgoing-body.finish", "(own<outgoing-body>, option<own<fields>>) -> result<_, error-code>",
     wisp_wasi_http_host_body_out_finish,
     WISP_HOST_SIZES(struct wisp_abi_finish_args, struct wisp_abi_result_error_code)},

    {"[method]future-incoming-response.subscribe", "(borrow<future-incoming-response>) -> own<pollable>",
     wisp_wasi_http_host_future_subscribe, HANDLE, HANDLE},
    {"[method]future-incoming-response.get",
     "(borrow<future-incoming-response>) -> option<result<result<own<incoming-response>, error-code>>>",
     wisp_wasi_http_host_future_get, HANDLE, sizeof(struct wisp_abi_response_result)},

    {"http-error-code", "(borrow<error>) -> option<error-code>", http_error_code, HANDLE,
     sizeof(struct wisp_abi_option_error_code)},
};

/* --- resources --- */

static void drop(void *rep, void *context)
{
    (void)context;
    wisp_wasi_http_object_unref(rep);
}

/* Its representation is the invocation's state: without a handle it can't be set any more, and that is all. */
static void drop_outparam(void *rep, void *context) { (void)rep, (void)context; }

static void drop_outgoing_body(void *rep, void *context)
{
    (void)context;
    wisp_outgoing_body_drop(rep);
    wisp_wasi_http_object_unref(rep);
}

static const struct wisp_host_resource resources[] = {
    {.name = "fields", .drop = drop},
    {.name = "incoming-request", .drop = drop, .refuse_drop = wisp_incoming_request_refuse_drop},
    {.name = "outgoing-request", .drop = drop, .refuse_drop = wisp_outgoing_request_refuse_drop},
    {.name = "request-options", .drop = drop},
    {.name = "response-outparam", .drop = drop_outparam},
    {.name = "incoming-response", .drop = drop, .refuse_drop = wisp_incoming_response_refuse_drop},
    {.name = "incoming-body", .drop = drop, .refuse_drop = wisp_incoming_body_refuse_drop},
    {.name = "future-trailers", .drop = drop, .refuse_drop = wisp_future_trailers_refuse_drop},
    {.name = "outgoing-response", .drop = drop, .refuse_drop = wisp_outgoing_response_refuse_drop},
    {.name = "outgoing-body", .drop = drop_outgoing_body, .refuse_drop = wisp_outgoing_body_refuse_drop},
    {.name = "future-incoming-response", .drop = drop, .refuse_drop = wisp_future_response_refuse_drop},
};

const struct wisp_host_interface wisp_wasi_http_types = {
    .name = "wasi:http/types",
    .version = WISP_WASI_VERSION,
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
    .types = wisp_wasi_http_type_names,
};
