/* SPDX-License-Identifier: Apache-2.0 */
/* The C types of wasi:http's signatures, laid out as component/types.h says, named after their shape.
 * Handles are typed: the representation of a resource is a pointer to the struct of http_priv.h. */
#pragma once

#include "component/host.h"

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

/* Cases in the order of the interface: enumerator, name, status of the response when a component gives this error
 * instead of a response. Payloads are in struct wisp_abi_error_code. */
#define WISP_WASI_HTTP_ERROR_CODES(X) \
    X(DNS_TIMEOUT, "DNS-timeout", 504) \
    X(DNS_ERROR, "DNS-error", 502) \
    X(DESTINATION_NOT_FOUND, "destination-not-found", 502) \
    X(DESTINATION_UNAVAILABLE, "destination-unavailable", 503) \
    X(DESTINATION_IP_PROHIBITED, "destination-IP-prohibited", 502) \
    X(DESTINATION_IP_UNROUTABLE, "destination-IP-unroutable", 502) \
    X(CONNECTION_REFUSED, "connection-refused", 502) \
    X(CONNECTION_TERMINATED, "connection-terminated", 502) \
    X(CONNECTION_TIMEOUT, "connection-timeout", 504) \
    X(CONNECTION_READ_TIMEOUT, "connection-read-timeout", 504) \
    X(CONNECTION_WRITE_TIMEOUT, "connection-write-timeout", 504) \
    X(CONNECTION_LIMIT_REACHED, "connection-limit-reached", 503) \
    X(TLS_PROTOCOL_ERROR, "TLS-protocol-error", 502) \
    X(TLS_CERTIFICATE_ERROR, "TLS-certificate-error", 502) \
    X(TLS_ALERT_RECEIVED, "TLS-alert-received", 502) \
    X(REQUEST_DENIED, "HTTP-request-denied", 403) \
    X(REQUEST_LENGTH_REQUIRED, "HTTP-request-length-required", 411) \
    X(REQUEST_BODY_SIZE, "HTTP-request-body-size", 413) \
    X(REQUEST_METHOD_INVALID, "HTTP-request-method-invalid", 405) \
    X(REQUEST_URI_INVALID, "HTTP-request-URI-invalid", 400) \
    X(REQUEST_URI_TOO_LONG, "HTTP-request-URI-too-long", 414) \
    X(REQUEST_HEADER_SECTION_SIZE, "HTTP-request-header-section-size", 431) \
    X(REQUEST_HEADER_SIZE, "HTTP-request-header-size", 431) \
    X(REQUEST_TRAILER_SECTION_SIZE, "HTTP-request-trailer-section-size", 431) \
    X(REQUEST_TRAILER_SIZE, "HTTP-request-trailer-size", 431) \
    X(RESPONSE_INCOMPLETE, "HTTP-response-incomplete", 502) \
    X(RESPONSE_HEADER_SECTION_SIZE, "HTTP-response-header-section-size", 502) \
    X(RESPONSE_HEADER_SIZE, "HTTP-response-header-size", 502) \
    X(RESPONSE_BODY_SIZE, "HTTP-response-body-size", 502) \
    X(RESPONSE_TRAILER_SECTION_SIZE, "HTTP-response-trailer-section-size", 502) \
    X(RESPONSE_TRAILER_SIZE, "HTTP-response-trailer-size", 502) \
    X(RESPONSE_TRANSFER_CODING, "HTTP-response-transfer-coding", 502) \
    X(RESPONSE_CONTENT_CODING, "HTTP-response-content-coding", 502) \
    X(RESPONSE_TIMEOUT, "HTTP-response-timeout", 504) \
    X(UPGRADE_FAILED, "HTTP-upgrade-failed", 502) \
    X(PROTOCOL_ERROR, "HTTP-protocol-error", 502) \
    X(LOOP_DETECTED, "loop-detected", 508) \
    X(CONFIGURATION_ERROR, "configuration-error", 500) \
    X(INTERNAL_ERROR, "internal-error", 500)

enum wisp_wasi_http_error_code {
#define X(name, ...) WISP_WASI_HTTP_ERROR_##name,
    WISP_WASI_HTTP_ERROR_CODES(X)
#undef X
        WISP_WASI_HTTP_ERROR_COUNT
};

struct wisp_abi_field_size {
    struct wisp_abi_option_str name;
    struct wisp_abi_option_u32 size;
};
struct wisp_abi_error_code {
    uint32_t tag; /* enum wisp_wasi_http_error_code */
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
