/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:http/types.incoming-request. */
#include "wasi/http/http_priv.h"

#include <stdlib.h>

struct self_args {
    struct wisp_incoming_request *self;
};

/* --- what it says --- */

enum part { PART_METHOD, PART_TARGET, PART_SCHEME, PART_AUTHORITY, PART_COUNT };
_Static_assert(PART_COUNT == WISP_COUNT(((struct wisp_incoming_request *)0)->copy_sizes), "a size for each part");

static struct wisp_str exchange_part(const struct wisp_http_exchange *exchange, enum part part)
{
    switch (part) {
    case PART_METHOD:
        return exchange->method;
    case PART_TARGET:
        return exchange->target;
    case PART_SCHEME:
        return exchange->scheme;
    case PART_AUTHORITY:
        return exchange->authority;
    case PART_COUNT:
        break;
    }
    return (struct wisp_str){0};
}

static struct wisp_str part_of(const struct wisp_incoming_request *request, enum part part)
{
    const struct wisp_http_exchange *exchange = request->object.http->wasi->exchange;
    if (exchange) return exchange_part(exchange, part);
    if (!request->copy) return (struct wisp_str){0};
    const char *at = request->copy;
    for (int i = 0; i < (int)part; i++) at += request->copy_sizes[i];
    return (struct wisp_str){at, request->copy_sizes[part]};
}

static struct wisp_fields *headers_of(struct wisp_incoming_request *request)
{
    const struct wisp_http_exchange *exchange = request->object.http->wasi->exchange;
    if (!request->headers)
        request->headers = wisp_fields_from_headers(request->object.http, exchange ? exchange->headers : NULL,
                                                    exchange ? exchange->n_headers : 0);
    return request->headers;
}

void wisp_incoming_request_detach(struct wisp_incoming_request *request, const struct wisp_http_exchange *exchange)
{
    if (request->object.refs == 1) return; /* the guest has no handle to it any more */
    (void)headers_of(request);
    size_t size = 0;
    for (int i = 0; i < PART_COUNT; i++)
        size += request->copy_sizes[i] = (uint32_t)exchange_part(exchange, (enum part)i).len;
    char *at = request->copy = wisp_mem_alloc(size + 1);
    for (int i = 0; i < PART_COUNT; i++) {
        if (request->copy_sizes[i]) memcpy(at, exchange_part(exchange, (enum part)i).ptr, request->copy_sizes[i]);
        at += request->copy_sizes[i];
    }
}

void wisp_incoming_request_destroy(void *object)
{
    struct wisp_incoming_request *request = object;
    wisp_wasi_http_object_unref(request->headers);
    free(request->copy);
}

const char *wisp_incoming_request_refuse_drop(const void *rep)
{
    const struct wisp_incoming_request *request = rep;
    return request->headers && request->headers->object.refs > 1 ? "its headers are still there" : NULL;
}

/* --- host functions --- */

int wisp_wasi_http_host_request_method(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_str method = part_of(((const struct self_args *)args)->self, PART_METHOD);
    *(struct wisp_abi_method *)result = wisp_wasi_http_method_from(method);
    return 0;
}

int wisp_wasi_http_host_request_path(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_str target = part_of(((const struct self_args *)args)->self, PART_TARGET);
    *(struct wisp_abi_option_str *)result = (struct wisp_abi_option_str){target.len > 0, target};
    return 0;
}

int wisp_wasi_http_host_request_scheme(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_str scheme = part_of(((const struct self_args *)args)->self, PART_SCHEME);
    *(struct wisp_abi_option_scheme *)result =
        (struct wisp_abi_option_scheme){scheme.len > 0, wisp_wasi_http_scheme_from(scheme)};
    return 0;
}

int wisp_wasi_http_host_request_authority(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_str authority = part_of(((const struct self_args *)args)->self, PART_AUTHORITY);
    *(struct wisp_abi_option_str *)result = (struct wisp_abi_option_str){authority.len > 0, authority};
    return 0;
}

int wisp_wasi_http_host_request_headers(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_fields *headers = headers_of(((const struct self_args *)args)->self);
    wisp_wasi_http_object_ref(headers);
    *(struct wisp_fields **)result = headers;
    return 0;
}

int wisp_wasi_http_host_request_consume(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_incoming_request *request = ((const struct self_args *)args)->self;
    struct wisp_abi_result_handle *ret = result;
    ret->is_error = request->is_consumed;
    if (request->is_consumed) return 0;
    struct wisp_incoming_source of_exchange = {0};
    ret->value = wisp_incoming_body_new(call, &of_exchange);
    if (!ret->value) return -WISP_ERR_GUEST;
    request->is_consumed = true;
    /* A client that waits to hear whether its body is wanted (Expect: 100-continue) is told now, for once the response
     * has begun it is too late. */
    struct wisp_http_exchange *exchange = ((struct wisp_wasi *)call->context)->exchange;
    struct wisp_str bytes;
    if (exchange) (void)wisp_http_body_peek(exchange, &bytes);
    return 0;
}
