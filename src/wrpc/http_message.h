/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and responses of wrpc:http@0.1.0 to bytes and back.
 *
 * In front of each stand its body and trailers, in one of two forms: `00` says that they follow on a path of their own,
 * anything else is the whole of them. */
#pragma once

#include "http/http.h"
#include "wrpc/http_types.h"

#include "base/mem.h"

#define WISP_WRPC_HTTP_BODY_PATH "0.0"
#define WISP_WRPC_HTTP_TRAILERS_PATH "0.1"

enum { WISP_WRPC_HTTP_FIELDS_MAX = 512 }; /* headers of a message that we send */

struct wisp_wrpc_http_front {
    bool is_body_here; /* else on its path */
    struct wisp_str body;
    bool are_trailers_here;
    struct wisp_wrpc_option_fields trailers;
};

struct wisp_wrpc_request {
    struct wisp_wrpc_http_front front;
    struct wisp_wrpc_request_rest rest;
};
/* result<response, error-code> */
struct wisp_wrpc_response {
    bool is_error;
    struct wisp_wrpc_error_code error;
    struct wisp_wrpc_http_front front;
    struct wisp_wrpc_response_rest rest;
};

/* As wisp_wrpc_value_decode: 0, WISP_WRPC_MORE, or an error. Nothing may follow. */
int wisp_wrpc_request_decode(const struct wisp_wrpc_http_types *types, struct wisp_str bytes, struct wisp_arena *arena,
                             struct wisp_wrpc_request *ret_request, struct wisp_err *err)
    __attribute__((warn_unused_result));
int wisp_wrpc_response_decode(const struct wisp_wrpc_http_types *types, struct wisp_str bytes, struct wisp_arena *arena,
                              struct wisp_wrpc_response *ret_response, struct wisp_err *err)
    __attribute__((warn_unused_result));
int wisp_wrpc_trailers_decode(const struct wisp_wrpc_http_types *types, struct wisp_str bytes, struct wisp_arena *arena,
                              struct wisp_wrpc_option_fields *ret_trailers, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* Append. */
int wisp_wrpc_request_encode(const struct wisp_wrpc_http_types *types, const struct wisp_wrpc_request *request,
                             struct wisp_buf *out, struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_wrpc_response_encode(const struct wisp_wrpc_http_types *types, const struct wisp_wrpc_response *response,
                              struct wisp_buf *out, struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_wrpc_trailers_encode(const struct wisp_wrpc_http_types *types, const struct wisp_wrpc_option_fields *trailers,
                              struct wisp_buf *out, struct wisp_err *err) __attribute__((warn_unused_result));

/* What is left out. */
enum wisp_wrpc_http_fields_kind {
    WISP_WRPC_HTTP_ALL,        /* nothing */
    WISP_WRPC_HTTP_END_TO_END, /* what concerns a connection only; content-length stays */
    WISP_WRPC_HTTP_HANDLERS,   /* also content-length: as wisp_http_start wants it */
};
/* One entry per name, in the order of their first occurrence; in the arena, texts borrowed. LIMIT beyond
 * WISP_WRPC_HTTP_FIELDS_MAX. */
int wisp_wrpc_fields_from(const struct wisp_http_header *headers, size_t n, enum wisp_wrpc_http_fields_kind kind,
                          struct wisp_arena *arena, struct wisp_wrpc_fields *ret_fields, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* One header per value, names in lower case; in the arena, texts mostly borrowed. INVALID for names and values that
 * HTTP can't have, LIMIT for more than n_max. */
int wisp_wrpc_fields_to(const struct wisp_wrpc_fields *fields, size_t n_max, enum wisp_wrpc_http_fields_kind kind,
                        struct wisp_arena *arena, const struct wisp_http_header **ret_headers, size_t *ret_n,
                        struct wisp_err *err) __attribute__((warn_unused_result));
/* From a content-length among them; unknown when there is none. INVALID when it is no number or they contradict. */
int wisp_wrpc_fields_length(const struct wisp_wrpc_fields *fields, uint64_t *ret_length, struct wisp_err *err)
    __attribute__((warn_unused_result));
