/* SPDX-License-Identifier: Apache-2.0 */
/* The C types of wasi:http's signatures, laid out as component/types.h says, named after their shape.
 * Handles are typed: the representation of a resource is a pointer to the struct of http_priv.h. */
#pragma once

#include "component/host.h"
#include "http/error_codes.h"

struct wisp_fields;
struct wisp_incoming_request;
struct wisp_outgoing_request;
struct wisp_request_options;
struct wisp_outgoing_response;
struct wisp_incoming_body;
struct wisp_outgoing_body;
struct wisp_future_trailers;
struct wisp_input_stream;
struct wisp_io_error;
struct wisp_output_stream;
struct wisp_pollable;
struct wisp_wasi_http;

/* --- options and results without a payload of their own --- */

enum { WISP_ABI_NONE = 0, WISP_ABI_SOME = 1, WISP_ABI_OK = 0, WISP_ABI_ERROR = 1 };

struct wisp_abi_option_u8 {
    uint32_t is_some;
    uint8_t value;
};
struct wisp_abi_option_u16 {
    uint32_t is_some;
    uint16_t value;
};
struct wisp_abi_option_u32 {
    uint32_t is_some;
    uint32_t value;
};
struct wisp_abi_option_u64 {
    uint32_t is_some;
    uint64_t value;
};
struct wisp_abi_option_str {
    uint32_t is_some;
    struct wisp_str value;
};
/* result */
struct wisp_abi_result {
    uint32_t is_error;
};
/* result<own<R>> */
struct wisp_abi_result_handle {
    uint32_t is_error;
    void *value;
};

/* --- method, scheme --- */

enum wisp_wasi_http_method {
    WISP_WASI_HTTP_METHOD_GET,
    WISP_WASI_HTTP_METHOD_HEAD,
    WISP_WASI_HTTP_METHOD_POST,
    WISP_WASI_HTTP_METHOD_PUT,
    WISP_WASI_HTTP_METHOD_DELETE,
    WISP_WASI_HTTP_METHOD_CONNECT,
    WISP_WASI_HTTP_METHOD_OPTIONS,
    WISP_WASI_HTTP_METHOD_TRACE,
    WISP_WASI_HTTP_METHOD_PATCH,
    WISP_WASI_HTTP_METHOD_OTHER,
};
struct wisp_abi_method {
    uint32_t tag; /* enum wisp_wasi_http_method */
    struct wisp_str other;
};

enum wisp_wasi_http_scheme { WISP_WASI_HTTP_SCHEME_HTTP, WISP_WASI_HTTP_SCHEME_HTTPS, WISP_WASI_HTTP_SCHEME_OTHER };
struct wisp_abi_scheme {
    uint32_t tag; /* enum wisp_wasi_http_scheme */
    struct wisp_str other;
};
struct wisp_abi_option_scheme {
    uint32_t is_some;
    struct wisp_abi_scheme value;
};

/* --- error-code --- */

struct wisp_abi_field_size {
    struct wisp_abi_option_str name;
    struct wisp_abi_option_u32 size;
};
struct wisp_abi_error_code {
    uint32_t tag; /* enum wisp_http_error_code */
    union {
        struct {
            struct wisp_abi_option_str rcode;
            struct wisp_abi_option_u16 info_code;
        } dns_error;
        struct {
            struct wisp_abi_option_u8 id;
            struct wisp_abi_option_str message;
        } tls_alert;
        struct wisp_abi_option_u32 section_size;
        struct wisp_abi_option_u64 body_size;
        struct wisp_abi_field_size field_size;
        struct {
            uint32_t is_some;
            struct wisp_abi_field_size value;
        } option_field_size;
        struct wisp_abi_option_str text; /* content and transfer coding, internal-error */
    } of;
};
struct wisp_abi_option_error_code {
    uint32_t is_some;
    struct wisp_abi_error_code value;
};
/* result<_, error-code> */
struct wisp_abi_result_error_code {
    uint32_t is_error;
    struct wisp_abi_error_code error;
};

/* --- arguments that several functions share --- */

struct wisp_abi_status_args {
    struct wisp_outgoing_response *self;
    uint16_t status;
};

/* --- fields --- */

enum wisp_header_error { WISP_HEADER_INVALID_SYNTAX, WISP_HEADER_FORBIDDEN, WISP_HEADER_IMMUTABLE };

struct wisp_abi_field {
    struct wisp_str name;
    struct wisp_bytes value;
};
struct wisp_abi_list_field {
    const struct wisp_abi_field *ptr;
    size_t len;
};
struct wisp_abi_list_value {
    const struct wisp_bytes *ptr;
    size_t len;
};
struct wisp_abi_fields_name_args {
    struct wisp_fields *self;
    struct wisp_str name;
};
struct wisp_abi_fields_set_args {
    struct wisp_fields *self;
    struct wisp_str name;
    struct wisp_abi_list_value values;
};
struct wisp_abi_fields_append_args {
    struct wisp_fields *self;
    struct wisp_str name;
    struct wisp_bytes value;
};
/* result<_, header-error> */
struct wisp_abi_result_header_error {
    uint32_t is_error;
    uint32_t error; /* enum wisp_header_error */
};
/* result<fields, header-error> */
struct wisp_abi_result_fields {
    uint32_t is_error;
    union {
        struct wisp_fields *fields;
        uint32_t error;
    } of;
};

/* --- outgoing requests --- */

struct wisp_abi_set_method_args {
    struct wisp_outgoing_request *self;
    struct wisp_abi_method method;
};
struct wisp_abi_set_text_args {
    struct wisp_outgoing_request *self;
    struct wisp_abi_option_str text;
};
struct wisp_abi_set_scheme_args {
    struct wisp_outgoing_request *self;
    struct wisp_abi_option_scheme scheme;
};
struct wisp_abi_set_timeout_args {
    struct wisp_request_options *self;
    struct wisp_abi_option_u64 duration;
};
struct wisp_abi_send_args {
    struct wisp_outgoing_request *request;
    struct {
        uint32_t is_some;
        struct wisp_request_options *value;
    } options;
};
/* result<own<future-incoming-response>, error-code> */
struct wisp_abi_send_result {
    uint32_t is_error;
    union {
        void *future;
        struct wisp_abi_error_code error;
    } of;
};

/* --- responses --- */

struct wisp_abi_informational_args {
    struct wisp_wasi_http *self;
    uint16_t status;
    struct wisp_fields *headers;
};
struct wisp_abi_set_response_args {
    struct wisp_wasi_http *outparam;
    struct {
        uint32_t is_error;
        union {
            struct wisp_outgoing_response *response;
            struct wisp_abi_error_code error;
        } of;
    } response;
};

/* --- bodies --- */

struct wisp_abi_finish_args {
    struct wisp_outgoing_body *body;
    struct {
        uint32_t is_some;
        struct wisp_fields *value;
    } trailers;
};
/* option<result<result<option<own<trailers>>, error-code>>> */
struct wisp_abi_trailers_result {
    uint32_t is_some;
    struct {
        uint32_t is_error;
        struct {
            uint32_t is_error;
            union {
                struct {
                    uint32_t is_some;
                    struct wisp_fields *value;
                } trailers;
                struct wisp_abi_error_code error;
            } of;
        } value;
    } taken;
};
/* option<result<result<own<incoming-response>, error-code>>> */
struct wisp_abi_response_result {
    uint32_t is_some;
    struct {
        uint32_t is_error;
        struct {
            uint32_t is_error;
            union {
                void *response;
                struct wisp_abi_error_code error;
            } of;
        } value;
    } taken;
};
