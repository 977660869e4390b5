/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:http/types.outgoing-response and response-outparam. */
#include "wasi/http/http_priv.h"

#include <stdio.h>

struct response_args {
    struct wisp_outgoing_response *self;
};

/* --- outgoing-response --- */

void wisp_outgoing_response_destroy(void *object)
{
    struct wisp_outgoing_response *response = object;
    wisp_wasi_http_object_unref(response->headers);
    if (!response->body) return;
    /* It can't be sent any more; nor can its body, unless that was done already. */
    if (response->body->sink == WISP_WASI_HTTP_SINK_UNSET) wisp_outgoing_body_close(response->body);
    wisp_wasi_http_object_unref(response->body);
}

const char *wisp_outgoing_response_refuse_drop(const void *rep)
{
    const struct wisp_outgoing_response *response = rep;
    return response->headers->object.refs > 1 ? "its headers are still there" : NULL;
}

int wisp_wasi_http_host_response_new(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_fields *headers = wisp_fields_keep_consume(call, *(struct wisp_fields *const *)args);
    if (!headers) return -WISP_ERR_GUEST;
    struct wisp_outgoing_response *response = wisp_wasi_http_object_new(call, WISP_WASI_HTTP_KIND_RESPONSE_OUT);
    if (!response) {
        wisp_wasi_http_object_unref(headers);
        return -WISP_ERR_GUEST;
    }
    response->headers = headers;
    response->status = 200;
    *(struct wisp_outgoing_response **)result = response;
    return 0;
}

int wisp_wasi_http_host_response_status(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    *(uint16_t *)result = ((const struct response_args *)args)->self->status;
    return 0;
}

int wisp_wasi_http_host_response_set_status(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_abi_status_args *arg = args;
    bool is_valid = arg->status >= 100 && arg->status <= 599;
    ((struct wisp_abi_result *)result)->is_error = !is_valid;
    if (is_valid) arg->self->status = arg->status;
    return 0;
}

int wisp_wasi_http_host_response_headers(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_fields *headers = ((const struct response_args *)args)->self->headers;
    wisp_wasi_http_object_ref(headers);
    *(struct wisp_fields **)result = headers;
    return 0;
}

int wisp_wasi_http_host_response_body(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_outgoing_response *response = ((const struct response_args *)args)->self;
    return wisp_outgoing_body_give(call, &response->body, response->headers, false, result);
}

/* --- response-outparam --- */

bool wisp_wasi_http_has_no_body(const struct wisp_http_exchange *exchange, uint16_t status)
{
    return status == 204 || status == 304 || wisp_str_is(exchange->method, "HEAD");
}

void wisp_wasi_http_reply(struct wisp_http_exchange *exchange, uint16_t status, const char *cause,
                          const struct wisp_http_header *header)
{
    struct wisp_http_header headers[2] = {{WISP_STR("content-type"), WISP_STR("text/plain")}};
    if (header) headers[1] = *header;
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    struct wisp_err err;
    wisp_buf_printf(&text, "%s%s%s\n", wisp_http_status_text(status), cause ? ": " : "", cause ? cause : "");
    int r = wisp_http_reply(exchange, status, headers, header ? 2 : 1, wisp_buf_str(&text), &err);
    if (r < 0) wisp_http_abort(exchange);
}

/* What the guest set can't be sent, for this reason. */
static void reply_instead(struct wisp_wasi_http *http, struct wisp_outgoing_response *response, const char *why)
{
    wisp_wasi_http_problem_set(http, "%s", why);
    http->response = WISP_WASI_HTTP_REPLIED;
    if (response->body) wisp_outgoing_body_close(response->body);
    wisp_wasi_http_reply(http->wasi->exchange, 500, NULL, NULL);
}

static int start(struct wisp_call *call, struct wisp_wasi_http *http, const struct wisp_outgoing_response *response,
                 struct wisp_err *err)
{
    struct wisp_http_exchange *exchange = http->wasi->exchange;
    struct wisp_http_response head = {.status = response->status};
    if (response->body && response->body->is_broken)
        return wisp_err_set(err, WISP_ERR_GUEST, "its body was dropped unfinished before the response was set");
    if (!wisp_fields_content_length(response->headers, &head.content_length))
        return wisp_err_set(err, WISP_ERR_GUEST, "its content-length is no number");
    if (!response->body) {
        uint64_t length = head.content_length == WISP_HTTP_LENGTH_UNKNOWN ? 0 : head.content_length;
        if (length > 0 && !wisp_wasi_http_has_no_body(exchange, response->status))
            return wisp_err_set(err, WISP_ERR_GUEST, "its content-length is %llu but it has no body",
                                (unsigned long long)length);
        head.content_length = length;
    }
    head.headers = wisp_fields_to_headers(call, response->headers, &head.n_headers);
    return wisp_http_start(exchange, &head, err);
}

static void set_response(struct wisp_call *call, struct wisp_wasi_http *http, struct wisp_outgoing_response *response)
{
    struct wisp_err err;
    if (!http->wasi->exchange) { /* the client has left */
        http->response = WISP_WASI_HTTP_COMPLETE;
        return;
    }
    if (start(call, http, response, &err) < 0) {
        reply_instead(http, response, err.text);
        return;
    }
    http->response = WISP_WASI_HTTP_STREAMING;
    if (response->body) {
        wisp_outgoing_body_connect(call, response->body);
    } else if (wisp_http_end(http->wasi->exchange, NULL, 0, &err) < 0) {
        wisp_wasi_http_problem_set(http, "%s", err.text);
        http->response = WISP_WASI_HTTP_BROKEN;
        wisp_http_abort(http->wasi->exchange);
    } else {
        http->response = WISP_WASI_HTTP_COMPLETE;
    }
}

static void set_error(struct wisp_wasi_http *http, const struct wisp_abi_error_code *error)
{
    static const struct {
        const char *name;
        uint16_t status;
    } codes[] = {
#define X(code, name, status) [WISP_HTTP_ERROR_##code] = {name, status},
        WISP_HTTP_ERROR_CODES(X)
#undef X
    };
    http->response = WISP_WASI_HTTP_REPLIED;
    if (error->tag == WISP_HTTP_ERROR_INTERNAL_ERROR && error->of.text.is_some)
        wisp_wasi_http_problem_set(http, "it answered with the error-code internal-error: %.*s",
                                   WISP_STR_ARG(error->of.text.value));
    else
        wisp_wasi_http_problem_set(http, "it answered with the error-code %s", codes[error->tag].name);
    if (http->wasi->exchange) wisp_wasi_http_reply(http->wasi->exchange, codes[error->tag].status, NULL, NULL);
}

int wisp_wasi_http_host_outparam_set(struct wisp_call *call, const void *args, void *result)
{
    (void)result;
    const struct wisp_abi_set_response_args *arg = args;
    if (arg->response.is_error) {
        set_error(arg->outparam, &arg->response.of.error);
        return 0;
    }
    struct wisp_outgoing_response *response = arg->response.of.response;
    const char *refusal = wisp_outgoing_response_refuse_drop(response);
    if (!refusal) set_response(call, arg->outparam, response);
    wisp_wasi_http_object_unref(response);
    return refusal ? wisp_call_trap(call, "outgoing-response set while %s", refusal) : 0;
}

int wisp_wasi_http_host_outparam_informational(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_abi_informational_args *arg = args;
    struct wisp_abi_result_error_code *ret = result;
    wisp_wasi_http_object_unref(arg->headers);
    ret->is_error = WISP_ABI_ERROR;
    if (arg->status < 100 || arg->status > 199) {
        ret->error = (struct wisp_abi_error_code){.tag = WISP_HTTP_ERROR_PROTOCOL_ERROR};
        return 0;
    }
    ret->error = (struct wisp_abi_error_code){.tag = WISP_HTTP_ERROR_INTERNAL_ERROR};
    ret->error.of.text =
        (struct wisp_abi_option_str){WISP_ABI_SOME, WISP_STR("informational responses are not supported")};
    return 0;
}
