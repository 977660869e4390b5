/* SPDX-License-Identifier: Apache-2.0 */
/* The types of wrpc:http@0.1.0 that are no streams, and their C structs. Streams stand in front of the rest of requests
 * and responses, and their readers and writers deal with them (http_message.h). */
#pragma once

#include "component/types.h"

#include "base/arena.h"
#include "http/error_codes.h"

struct wisp_wrpc_option_str {
    uint32_t is_some;
    struct wisp_str value;
};

/* "", "get" to "patch", "other" */
enum { WISP_WRPC_METHOD_OTHER = 9, WISP_WRPC_SCHEME_HTTP = 0, WISP_WRPC_SCHEME_HTTPS = 1, WISP_WRPC_SCHEME_OTHER = 2 };
struct wisp_wrpc_method {
    uint32_t tag;
    struct wisp_str other;
};
struct wisp_wrpc_option_scheme {
    uint32_t is_some;
    struct {
        uint32_t tag;
        struct wisp_str other;
    } value;
};

/* One name with all its values. */
struct wisp_wrpc_field {
    struct wisp_str name;
    struct {
        struct wisp_str *ptr;
        size_t len;
    } values;
};
struct wisp_wrpc_fields {
    struct wisp_wrpc_field *ptr;
    size_t len;
};
struct wisp_wrpc_option_fields {
    uint32_t is_some;
    struct wisp_wrpc_fields value;
};

/* What follows body and trailers. */
struct wisp_wrpc_request_rest {
    struct wisp_wrpc_method method;
    struct wisp_wrpc_option_str target;
    struct wisp_wrpc_option_scheme scheme;
    struct wisp_wrpc_option_str authority;
    struct wisp_wrpc_fields headers;
};
struct wisp_wrpc_response_rest {
    uint16_t status;
    struct wisp_wrpc_fields headers;
};

struct wisp_wrpc_option_u8 {
    uint32_t is_some;
    uint8_t value;
};
struct wisp_wrpc_option_u16 {
    uint32_t is_some;
    uint16_t value;
};
struct wisp_wrpc_option_u32 {
    uint32_t is_some;
    uint32_t value;
};
struct wisp_wrpc_option_u64 {
    uint32_t is_some;
    uint64_t value;
};
struct wisp_wrpc_field_size {
    struct wisp_wrpc_option_str name;
    struct wisp_wrpc_option_u32 size;
};
struct wisp_wrpc_error_code {
    uint32_t tag; /* enum wisp_http_error_code */
    union {
        struct {
            struct wisp_wrpc_option_str rcode;
            struct wisp_wrpc_option_u16 info_code;
        } dns_error;
        struct {
            struct wisp_wrpc_option_u8 id;
            struct wisp_wrpc_option_str message;
        } tls_alert;
        struct wisp_wrpc_option_u64 body_size;
        struct wisp_wrpc_option_u32 section_size;
        struct {
            uint32_t is_some;
            struct wisp_wrpc_field_size value;
        } option_field_size;
        struct wisp_wrpc_field_size field_size;
        struct wisp_wrpc_option_str text;
    } of;
};

struct wisp_wrpc_http_types {
    const struct wisp_type *request_rest, *response_rest, *option_fields, *error_code;
};

/* In the arena. INTERNAL when structs and types differ. */
int wisp_wrpc_http_types_make(struct wisp_arena *arena, const struct wisp_wrpc_http_types **ret_types,
                              struct wisp_err *err) __attribute__((warn_unused_result));
