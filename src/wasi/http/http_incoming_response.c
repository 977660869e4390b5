/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:http/types.future-incoming-response and incoming-response. */
#include "wasi/http/http_priv.h"
#include "wrpc/http_message.h"

#include <stdlib.h>

enum { HEADERS_MAX = 4096 };

/* --- the answer --- */

static void wake(struct wisp_wasi_http *http)
{
    if (http->wasi && http->wasi->instance) wisp_instance_wake(http->wasi->instance);
}

static void on_ready(struct wisp_wrpc_reader *reader, void *env)
{
    (void)reader;
    wake(env);
}

void wisp_incoming_source_close(struct wisp_incoming_source *source)
{
    wisp_wrpc_reader_close(WISP_TAKE(source->body));
    wisp_wrpc_reader_close(WISP_TAKE(source->trailers));
}

/* What the future borrowed from; and nobody is to be told of its end any more. */
static void settle(struct wisp_future_response *future)
{
    future->on_drop = NULL;
    wisp_wasi_http_object_unref(WISP_TAKE(future->request));
}

void wisp_wasi_http_on_drop(struct wisp_future_response *future, void (*on_drop)(void *env), void *env)
{
    future->on_drop = on_drop;
    future->on_drop_env = env;
}

void wisp_wasi_http_fail(struct wisp_future_response *future, uint32_t error_code, const char *text)
{
    future->is_error = true;
    future->error = (struct wisp_abi_error_code){.tag = error_code};
    if (error_code == WISP_HTTP_ERROR_INTERNAL_ERROR && text[0])
        future->error.of.text =
            (struct wisp_abi_option_str){WISP_ABI_SOME, wisp_arena_str(&future->arena, wisp_str_from(text))};
    /* Nobody reads what the guest goes on to write. */
    if (future->request->body) wisp_outgoing_body_close(future->request->body);
    settle(future);
    wake(future->object.http);
}

static struct wisp_abi_option_str keep_text(struct wisp_arena *arena, struct wisp_wrpc_option_str text)
{
    if (!text.is_some) return (struct wisp_abi_option_str){0};
    return (struct wisp_abi_option_str){WISP_ABI_SOME, wisp_arena_str(arena, text.value)};
}

static struct wisp_abi_field_size keep_field_size(struct wisp_arena *arena, const struct wisp_wrpc_field_size *size)
{
    return (struct wisp_abi_field_size){keep_text(arena, size->name), {size->size.is_some, size->size.value}};
}

static struct wisp_abi_error_code keep_error(struct wisp_arena *arena, const struct wisp_wrpc_error_code *error)
{
    struct wisp_abi_error_code kept = {.tag = error->tag};
    switch (error->tag) {
    case WISP_HTTP_ERROR_DNS_ERROR:
        kept.of.dns_error.rcode = keep_text(arena, error->of.dns_error.rcode);
        kept.of.dns_error.info_code =
            (struct wisp_abi_option_u16){error->of.dns_error.info_code.is_some, error->of.dns_error.info_code.value};
        break;
    case WISP_HTTP_ERROR_TLS_ALERT_RECEIVED:
        kept.of.tls_alert.id =
            (struct wisp_abi_option_u8){error->of.tls_alert.id.is_some, error->of.tls_alert.id.value};
        kept.of.tls_alert.message = keep_text(arena, error->of.tls_alert.message);
        break;
    case WISP_HTTP_ERROR_REQUEST_BODY_SIZE:
    case WISP_HTTP_ERROR_RESPONSE_BODY_SIZE:
        kept.of.body_size = (struct wisp_abi_option_u64){error->of.body_size.is_some, error->of.body_size.value};
        break;
    case WISP_HTTP_ERROR_REQUEST_HEADER_SECTION_SIZE:
    case WISP_HTTP_ERROR_REQUEST_TRAILER_SECTION_SIZE:
    case WISP_HTTP_ERROR_RESPONSE_HEADER_SECTION_SIZE:
    case WISP_HTTP_ERROR_RESPONSE_TRAILER_SECTION_SIZE:
        kept.of.section_size =
            (struct wisp_abi_option_u32){error->of.section_size.is_some, error->of.section_size.value};
        break;
    case WISP_HTTP_ERROR_REQUEST_HEADER_SIZE:
        kept.of.option_field_size.is_some = error->of.option_field_size.is_some;
        if (error->of.option_field_size.is_some)
            kept.of.option_field_size.value = keep_field_size(arena, &error->of.option_field_size.value);
        break;
    case WISP_HTTP_ERROR_REQUEST_TRAILER_SIZE:
    case WISP_HTTP_ERROR_RESPONSE_HEADER_SIZE:
    case WISP_HTTP_ERROR_RESPONSE_TRAILER_SIZE:
        kept.of.field_size = keep_field_size(arena, &error->of.field_size);
        break;
    case WISP_HTTP_ERROR_RESPONSE_TRANSFER_CODING:
    case WISP_HTTP_ERROR_RESPONSE_CONTENT_CODING:
    case WISP_HTTP_ERROR_INTERNAL_ERROR:
        kept.of.text = keep_text(arena, error->of.text);
        break;
    default:
        break;
    }
    return kept;
}

static void take_response(struct wisp_future_response *future, const struct wisp_wasi_http_answer *answer,
                          const struct wisp_http_header *headers, size_t n_headers)
{
    struct wisp_wasi_http *http = future->object.http;
    struct wisp_incoming_response *response = wisp_wasi_http_object_make(http, WISP_WASI_HTTP_KIND_RESPONSE_IN);
    response->status = answer->of.response.rest.status;
    response->headers = wisp_fields_from_headers(http, headers, n_headers);
    response->source = (struct wisp_incoming_source){answer->of.response.body, answer->of.response.trailers};
    if (response->source.body) wisp_wrpc_reader_on_ready(response->source.body, on_ready, http);
    if (response->source.trailers) wisp_wrpc_reader_on_ready(response->source.trailers, on_ready, http);
    future->response = response;
    settle(future);
    wake(http);
}

void wisp_wasi_http_answer(struct wisp_future_response *future, const struct wisp_wasi_http_answer *answer)
{
    if (answer->is_error) {
        struct wisp_abi_error_code error = keep_error(&future->arena, &answer->of.error);
        wisp_wasi_http_fail(future, error.tag, "");
        future->error = error;
        return;
    }
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_http_header *headers;
    size_t n;
    struct wisp_err err;
    if (wisp_wrpc_fields_to(&answer->of.response.rest.headers, HEADERS_MAX, WISP_WRPC_HTTP_END_TO_END, &arena, &headers,
                            &n, &err) == 0) {
        take_response(future, answer, headers, n);
        return;
    }
    struct wisp_incoming_source source = {answer->of.response.body, answer->of.response.trailers};
    wisp_incoming_source_close(&source);
    wisp_wasi_http_fail(future, WISP_HTTP_ERROR_PROTOCOL_ERROR, "");
}

/* --- future-incoming-response --- */

void wisp_future_response_destroy(void *object)
{
    struct wisp_future_response *future = object;
    void (*on_drop)(void *env) = future->on_drop;
    future->on_drop = NULL;
    if (on_drop) on_drop(future->on_drop_env);
    settle(future);
    wisp_wasi_http_object_unref(WISP_TAKE(future->response));
    wisp_arena_deinit(&future->arena);
}

const char *wisp_future_response_refuse_drop(const void *rep)
{
    return ((const struct wisp_future_response *)rep)->n_pollables ? "a pollable of it is still there" : NULL;
}

static bool is_answered(const struct wisp_future_response *future)
{
    return future->is_taken || future->is_error || future->response;
}

struct response_pollable {
    struct wisp_pollable base;
    struct wisp_future_response *future;
};

static bool response_is_ready(struct wisp_pollable *pollable)
{
    return is_answered(((struct response_pollable *)pollable)->future);
}

static void response_pollable_drop(struct wisp_pollable *pollable)
{
    struct wisp_future_response *future = ((struct response_pollable *)pollable)->future;
    future->n_pollables--;
    wisp_wasi_http_object_unref(future);
    free(pollable);
}

int wisp_wasi_http_host_future_subscribe(struct wisp_call *call, const void *args, void *result)
{
    static const struct wisp_pollable_ops ops = {.is_ready = response_is_ready, .drop = response_pollable_drop};
    struct wisp_future_response *future = *(struct wisp_future_response *const *)args;
    struct response_pollable *pollable = wisp_mem_alloc(sizeof *pollable);
    *pollable = (struct response_pollable){{&ops, call->context}, future};
    future->n_pollables++;
    wisp_wasi_http_object_ref(future);
    *(struct wisp_pollable **)result = &pollable->base;
    return 0;
}

int wisp_wasi_http_host_future_get(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_future_response *future = *(struct wisp_future_response *const *)args;
    struct wisp_abi_response_result *ret = result;
    memset(ret, 0, sizeof *ret);
    ret->is_some = is_answered(future);
    if (!ret->is_some) return 0;
    ret->taken.is_error = future->is_taken;
    if (future->is_taken) return 0;
    future->is_taken = true;
    ret->taken.value.is_error = future->is_error;
    if (future->is_error)
        ret->taken.value.of.error = future->error;
    else
        ret->taken.value.of.response = WISP_TAKE(future->response);
    return 0;
}

/* --- incoming-response --- */

void wisp_incoming_response_destroy(void *object)
{
    struct wisp_incoming_response *response = object;
    wisp_incoming_source_close(&response->source);
    wisp_wasi_http_object_unref(response->headers);
}

const char *wisp_incoming_response_refuse_drop(const void *rep)
{
    return ((const struct wisp_incoming_response *)rep)->headers->object.refs > 1 ? "its headers are still there"
                                                                                  : NULL;
}

int wisp_wasi_http_host_in_status(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    *(uint16_t *)result = (*(struct wisp_incoming_response *const *)args)->status;
    return 0;
}

int wisp_wasi_http_host_in_headers(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_fields *headers = (*(struct wisp_incoming_response *const *)args)->headers;
    wisp_wasi_http_object_ref(headers);
    *(struct wisp_fields **)result = headers;
    return 0;
}

int wisp_wasi_http_host_in_consume(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_incoming_response *response = *(struct wisp_incoming_response *const *)args;
    struct wisp_abi_result_handle *ret = result;
    memset(ret, 0, sizeof *ret);
    ret->is_error = response->is_consumed;
    if (response->is_consumed) return 0;
    ret->value = wisp_incoming_body_new(call, &response->source);
    if (!ret->value) return -WISP_ERR_GUEST;
    response->is_consumed = true;
    return 0;
}
