/* SPDX-License-Identifier: Apache-2.0 */
/* For those who make exchanges: an HTTP/1 connection is one kind (conn.h), a call over wRPC another. The handler calls
 * the functions of http.h, which go to the maker's through this table; what http.h promises, the maker keeps. */
#pragma once

#include "http/http.h"

/* As the functions of the same name in http.h. */
struct wisp_http_exchange_ops {
    enum wisp_http_body (*body_peek)(struct wisp_http_exchange *exchange, struct wisp_str *ret_bytes);
    void (*body_consume)(struct wisp_http_exchange *exchange, size_t size);
    bool (*body_limit)(struct wisp_http_exchange *exchange, uint64_t bytes_max);
    int (*start)(struct wisp_http_exchange *exchange, const struct wisp_http_response *response, struct wisp_err *err);
    size_t (*room)(struct wisp_http_exchange *exchange);
    int (*write)(struct wisp_http_exchange *exchange, const void *bytes, size_t size, struct wisp_err *err);
    int (*end)(struct wisp_http_exchange *exchange, const struct wisp_http_header *trailers, size_t n_trailers,
               struct wisp_err *err);
    bool (*retract)(struct wisp_http_exchange *exchange);
    void (*abort)(struct wisp_http_exchange *exchange);
    const struct sockaddr *(*peer)(struct wisp_http_exchange *exchange);
};

struct wisp_http_headers_facts {
    size_t size; /* of "name: value\r\n" of all */
    bool has_date;
};
/* What http.h asks of the headers and trailers of a response: INVALID and why. */
int wisp_http_headers_check(const struct wisp_http_header *headers, size_t n, struct wisp_http_headers_facts *ret_facts,
                            struct wisp_err *err) __attribute__((warn_unused_result));
/* And of its status. */
int wisp_http_status_check(uint16_t status, struct wisp_err *err) __attribute__((warn_unused_result));
/* About this connection and message only; never carried on to another: connection, keep-alive, proxy-connection,
 * transfer-encoding, te, upgrade; and content-length, which is a number of its own. */
bool wisp_http_is_reserved(struct wisp_str name);
