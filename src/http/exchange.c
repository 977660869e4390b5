/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers call goes to the maker of the exchange; and what all makers have in common. */
#include "http/exchange.h"

#include "http/chars.h"

enum wisp_http_body wisp_http_body_peek(struct wisp_http_exchange *exchange, struct wisp_str *ret_bytes)
{
    return exchange->ops->body_peek(exchange, ret_bytes);
}

void wisp_http_body_consume(struct wisp_http_exchange *exchange, size_t size)
{
    exchange->ops->body_consume(exchange, size);
}

bool wisp_http_body_limit(struct wisp_http_exchange *exchange, uint64_t bytes_max)
{
    return exchange->ops->body_limit(exchange, bytes_max);
}

int wisp_http_start(struct wisp_http_exchange *exchange, const struct wisp_http_response *response,
                    struct wisp_err *err)
{
    return exchange->ops->start(exchange, response, err);
}

size_t wisp_http_room(struct wisp_http_exchange *exchange) { return exchange->ops->room(exchange); }

int wisp_http_write(struct wisp_http_exchange *exchange, const void *bytes, size_t size, struct wisp_err *err)
{
    return exchange->ops->write(exchange, bytes, size, err);
}

int wisp_http_end(struct wisp_http_exchange *exchange, const struct wisp_http_header *trailers, size_t n_trailers,
                  struct wisp_err *err)
{
    return exchange->ops->end(exchange, trailers, n_trailers, err);
}

int wisp_http_reply(struct wisp_http_exchange *exchange, uint16_t status, const struct wisp_http_header *headers,
                    size_t n_headers, struct wisp_str body, struct wisp_err *err)
{
    struct wisp_http_response response = {status, headers, n_headers, body.len};
    int result = wisp_http_start(exchange, &response, err);
    if (result == 0) result = wisp_http_write(exchange, body.ptr, body.len, err);
    if (result == 0) result = wisp_http_end(exchange, NULL, 0, err);
    return result;
}

bool wisp_http_retract(struct wisp_http_exchange *exchange) { return exchange->ops->retract(exchange); }

void wisp_http_abort(struct wisp_http_exchange *exchange) { exchange->ops->abort(exchange); }

const struct sockaddr *wisp_http_peer(struct wisp_http_exchange *exchange) { return exchange->ops->peer(exchange); }

/* --- checks --- */

bool wisp_http_is_reserved(struct wisp_str name)
{
    switch (name.len) {
    case 2:
        return wisp_str_equal_nocase(name, WISP_STR("te"));
    case 7:
        return wisp_str_equal_nocase(name, WISP_STR("upgrade"));
    case 10:
        return wisp_str_equal_nocase(name, WISP_STR("connection")) ||
               wisp_str_equal_nocase(name, WISP_STR("keep-alive"));
    case 14:
        return wisp_str_equal_nocase(name, WISP_STR("content-length"));
    case 16:
        return wisp_str_equal_nocase(name, WISP_STR("proxy-connection"));
    case 17:
        return wisp_str_equal_nocase(name, WISP_STR("transfer-encoding"));
    default:
        return false;
    }
}

int wisp_http_status_check(uint16_t status, struct wisp_err *err)
{
    if (status >= 200 && status <= 599) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "status %u cannot end a request", status);
}

int wisp_http_headers_check(const struct wisp_http_header *headers, size_t n, struct wisp_http_headers_facts *ret_facts,
                            struct wisp_err *err)
{
    *ret_facts = (struct wisp_http_headers_facts){0};
    for (size_t i = 0; i < n; i++) {
        struct wisp_str name = headers[i].name;
        if (name.len == 0 || !wisp_http_is_all(name, WISP_HTTP_TOKEN))
            return wisp_err_set(err, WISP_ERR_INVALID, "a header name has characters that names may not have");
        if (wisp_http_is_reserved(name))
            return wisp_err_set(err, WISP_ERR_INVALID, "header `%.*s` is set by the server only", WISP_STR_ARG(name));
        if (!wisp_http_is_all(headers[i].value, WISP_HTTP_VALUE))
            return wisp_err_set(err, WISP_ERR_INVALID, "the value of header `%.*s` has control characters",
                                WISP_STR_ARG(name));
        ret_facts->has_date |= name.len == 4 && wisp_str_equal_nocase(name, WISP_STR("date"));
        ret_facts->size += name.len + headers[i].value.len + 4;
    }
    return 0;
}
