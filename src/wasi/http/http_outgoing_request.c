/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:http/types.outgoing-request and request-options, and how a request is made ready to be sent. */
#include "wasi/http/http_priv.h"
#include "wrpc/http_message.h"

#define TIMEOUT_NS (UINT64_C(600) * 1000 * 1000 * 1000) /* when the guest didn't set it */

/* --- methods and schemes --- */

static const struct wisp_str method_names[] = {
    [WISP_WASI_HTTP_METHOD_GET] = WISP_STR_INIT("GET"),
    [WISP_WASI_HTTP_METHOD_HEAD] = WISP_STR_INIT("HEAD"),
    [WISP_WASI_HTTP_METHOD_POST] = WISP_STR_INIT("POST"),
    [WISP_WASI_HTTP_METHOD_PUT] = WISP_STR_INIT("PUT"),
    [WISP_WASI_HTTP_METHOD_DELETE] = WISP_STR_INIT("DELETE"),
    [WISP_WASI_HTTP_METHOD_CONNECT] = WISP_STR_INIT("CONNECT"),
    [WISP_WASI_HTTP_METHOD_OPTIONS] = WISP_STR_INIT("OPTIONS"),
    [WISP_WASI_HTTP_METHOD_TRACE] = WISP_STR_INIT("TRACE"),
    [WISP_WASI_HTTP_METHOD_PATCH] = WISP_STR_INIT("PATCH"),
};
_Static_assert(WISP_COUNT(method_names) == WISP_WASI_HTTP_METHOD_OTHER, "a name for each method");

struct wisp_abi_method wisp_wasi_http_method_from(struct wisp_str name)
{
    for (uint32_t i = 0; i < WISP_COUNT(method_names); i++)
        if (wisp_str_equal(name, method_names[i])) return (struct wisp_abi_method){.tag = i};
    return (struct wisp_abi_method){.tag = WISP_WASI_HTTP_METHOD_OTHER, .other = name};
}

struct wisp_abi_scheme wisp_wasi_http_scheme_from(struct wisp_str name)
{
    if (wisp_str_equal_nocase(name, WISP_STR("http")))
        return (struct wisp_abi_scheme){.tag = WISP_WASI_HTTP_SCHEME_HTTP};
    if (wisp_str_equal_nocase(name, WISP_STR("https")))
        return (struct wisp_abi_scheme){.tag = WISP_WASI_HTTP_SCHEME_HTTPS};
    return (struct wisp_abi_scheme){.tag = WISP_WASI_HTTP_SCHEME_OTHER, .other = name};
}

/* --- syntax --- */

/* RFC 3986: a letter, then letters, digits, '+', '-', '.'. */
static bool is_scheme(struct wisp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i], lower = c | 0x20;
        bool is_letter = lower >= 'a' && lower <= 'z';
        if (!is_letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'))) return false;
    }
    return text.len > 0;
}

/* Printable ASCII, and none of these. */
static bool has_none_of(struct wisp_str text, const char *refused)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || strchr(refused, text.ptr[i])) return false;
    return true;
}

/* What may stand in a request line: origin form or "*"; "?query" and the empty string mean the root. More is let
 * through than RFC 3986 allows, for there are URLs in use with braces and bars in them. */
static bool is_target(struct wisp_str text)
{
    bool starts_well = text.len == 0 || text.ptr[0] == '/' || text.ptr[0] == '?' || wisp_str_is(text, "*");
    return starts_well && has_none_of(text, "<>\\#");
}

static bool is_authority(struct wisp_str text)
{
    if (text.len == 0 || !has_none_of(text, "\"<>\\^`{|}#/?")) return false;
    const char *at = memrchr(text.ptr, '@', text.len);
    struct wisp_str host = text;
    if (at) host = (struct wisp_str){at + 1, text.len - (size_t)(at + 1 - text.ptr)};
    size_t digits = 0;
    while (digits < host.len && host.ptr[host.len - 1 - digits] >= '0' && host.ptr[host.len - 1 - digits] <= '9')
        digits++;
    if (digits < host.len && host.ptr[host.len - 1 - digits] == ':') host.len -= digits + 1;
    if (host.len == 0) return false;
    /* A colon left over means a port that is no number, unless the host is an IPv6 address in brackets. */
    if (host.ptr[0] == '[') return host.ptr[host.len - 1] == ']';
    return !memchr(host.ptr, ':', host.len) && !memchr(host.ptr, '[', host.len) && !memchr(host.ptr, ']', host.len);
}

/* --- outgoing-request --- */

struct request_args {
    struct wisp_outgoing_request *self;
};

static void set_text(struct wisp_buf *buf, struct wisp_str text)
{
    buf->len = 0;
    wisp_buf_append_str(buf, text);
}

void wisp_outgoing_request_destroy(void *object)
{
    struct wisp_outgoing_request *request = object;
    wisp_wasi_http_object_unref(request->headers);
    wisp_wasi_http_object_unref(request->body);
    wisp_buf_deinit(&request->method_other);
    wisp_buf_deinit(&request->scheme_other);
    wisp_buf_deinit(&request->target);
    wisp_buf_deinit(&request->authority);
}

const char *wisp_outgoing_request_refuse_drop(const void *rep)
{
    const struct wisp_outgoing_request *request = rep;
    return request->headers->object.refs > 1 ? "its headers are still there" : NULL;
}

int wisp_wasi_http_host_outgoing_new(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_fields *headers = wisp_fields_keep_consume(call, *(struct wisp_fields *const *)args);
    if (!headers) return -WISP_ERR_GUEST;
    struct wisp_outgoing_request *request = wisp_wasi_http_object_new(call, WISP_WASI_HTTP_KIND_REQUEST_OUT);
    if (!request) {
        wisp_wasi_http_object_unref(headers);
        return -WISP_ERR_GUEST;
    }
    request->headers = headers;
    request->method = WISP_WASI_HTTP_METHOD_GET;
    *(struct wisp_outgoing_request **)result = request;
    return 0;
}

int wisp_wasi_http_host_outgoing_body(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_outgoing_request *request = ((const struct request_args *)args)->self;
    return wisp_outgoing_body_give(call, &request->body, request->headers, true, result);
}

int wisp_wasi_http_host_outgoing_method(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_outgoing_request *request = ((const struct request_args *)args)->self;
    *(struct wisp_abi_method *)result = (struct wisp_abi_method){request->method, wisp_buf_str(&request->method_other)};
    return 0;
}

int wisp_wasi_http_host_outgoing_set_method(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_abi_set_method_args *arg = args;
    bool is_other = arg->method.tag == WISP_WASI_HTTP_METHOD_OTHER;
    bool is_valid = !is_other || wisp_wasi_http_is_token(arg->method.other);
    ((struct wisp_abi_result *)result)->is_error = !is_valid;
    if (!is_valid) return 0;
    arg->self->method = arg->method.tag;
    if (is_other) set_text(&arg->self->method_other, arg->method.other);
    return 0;
}

int wisp_wasi_http_host_outgoing_path(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_outgoing_request *request = ((const struct request_args *)args)->self;
    *(struct wisp_abi_option_str *)result =
        (struct wisp_abi_option_str){request->has_target, wisp_buf_str(&request->target)};
    return 0;
}

int wisp_wasi_http_host_outgoing_set_path(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_abi_set_text_args *arg = args;
    bool is_valid = !arg->text.is_some || is_target(arg->text.value);
    ((struct wisp_abi_result *)result)->is_error = !is_valid;
    if (!is_valid) return 0;
    arg->self->has_target = arg->text.is_some;
    if (arg->text.is_some) set_text(&arg->self->target, arg->text.value);
    return 0;
}

int wisp_wasi_http_host_outgoing_scheme(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_outgoing_request *request = ((const struct request_args *)args)->self;
    *(struct wisp_abi_option_scheme *)result =
        (struct wisp_abi_option_scheme){request->has_scheme, {request->scheme, wisp_buf_str(&request->scheme_other)}};
    return 0;
}

int wisp_wasi_http_host_outgoing_set_scheme(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_abi_set_scheme_args *arg = args;
    bool is_other = arg->scheme.is_some && arg->scheme.value.tag == WISP_WASI_HTTP_SCHEME_OTHER;
    bool is_valid = !is_other || is_scheme(arg->scheme.value.other);
    ((struct wisp_abi_result *)result)->is_error = !is_valid;
    if (!is_valid) return 0;
    arg->self->has_scheme = arg->scheme.is_some;
    if (arg->scheme.is_some) arg->self->scheme = arg->scheme.value.tag;
    if (is_other) set_text(&arg->self->scheme_other, arg->scheme.value.other);
    return 0;
}

int wisp_wasi_http_host_outgoing_authority(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_outgoing_request *request = ((const struct request_args *)args)->self;
    *(struct wisp_abi_option_str *)result =
        (struct wisp_abi_option_str){request->has_authority, wisp_buf_str(&request->authority)};
    return 0;
}

int wisp_wasi_http_host_outgoing_set_authority(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_abi_set_text_args *arg = args;
    bool is_valid = !arg->text.is_some || is_authority(arg->text.value);
    ((struct wisp_abi_result *)result)->is_error = !is_valid;
    if (!is_valid) return 0;
    arg->self->has_authority = arg->text.is_some;
    if (arg->text.is_some) set_text(&arg->self->authority, arg->text.value);
    return 0;
}

int wisp_wasi_http_host_outgoing_headers(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_fields *headers = ((const struct request_args *)args)->self->headers;
    wisp_wasi_http_object_ref(headers);
    *(struct wisp_fields **)result = headers;
    return 0;
}

/* --- request-options --- */

int wisp_wasi_http_host_options_new(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    void *options = wisp_wasi_http_object_new(call, WISP_WASI_HTTP_KIND_REQUEST_OPTIONS);
    *(void **)result = options;
    return options ? 0 : -WISP_ERR_GUEST;
}

static int get_timeout(const void *args, enum wisp_wasi_http_timeout timeout, void *result)
{
    const struct wisp_request_options *options = *(struct wisp_request_options *const *)args;
    *(struct wisp_abi_option_u64 *)result = options->timeouts_ns[timeout];
    return 0;
}

static int set_timeout(const void *args, enum wisp_wasi_http_timeout timeout, void *result)
{
    const struct wisp_abi_set_timeout_args *arg = args;
    arg->self->timeouts_ns[timeout] = arg->duration;
    ((struct wisp_abi_result *)result)->is_error = WISP_ABI_OK;
    return 0;
}

int wisp_wasi_http_host_options_connect(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    return get_timeout(args, WISP_WASI_HTTP_TIMEOUT_CONNECT, result);
}

int wisp_wasi_http_host_options_set_connect(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    return set_timeout(args, WISP_WASI_HTTP_TIMEOUT_CONNECT, result);
}

int wisp_wasi_http_host_options_first_byte(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    return get_timeout(args, WISP_WASI_HTTP_TIMEOUT_FIRST_BYTE, result);
}

int wisp_wasi_http_host_options_set_first_byte(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    return set_timeout(args, WISP_WASI_HTTP_TIMEOUT_FIRST_BYTE, result);
}

int wisp_wasi_http_host_options_between_bytes(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    return get_timeout(args, WISP_WASI_HTTP_TIMEOUT_BETWEEN_BYTES, result);
}

int wisp_wasi_http_host_options_set_between_bytes(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    return set_timeout(args, WISP_WASI_HTTP_TIMEOUT_BETWEEN_BYTES, result);
}

/* --- sending --- */

static struct wisp_abi_option_u64 timeout_or_default(const struct wisp_request_options *options,
                                                     enum wisp_wasi_http_timeout timeout)
{
    if (options && options->timeouts_ns[timeout].is_some) return options->timeouts_ns[timeout];
    return (struct wisp_abi_option_u64){WISP_ABI_SOME, TIMEOUT_NS};
}

static struct wisp_wrpc_option_u64 to_wire(struct wisp_abi_option_u64 number)
{
    return (struct wisp_wrpc_option_u64){number.is_some, number.value};
}

/* Every entry is of use to the other side: its name and value were checked when the guest set them. */
static int fill_headers(const struct wisp_outgoing_request *request, struct wisp_arena *arena,
                        struct wisp_wrpc_fields *ret_fields, struct wisp_err *err)
{
    const struct wisp_fields *fields = request->headers;
    struct wisp_http_header *headers = wisp_arena_alloc(arena, (fields->n_entries + 1) * sizeof *headers);
    size_t n = 0;
    if (request->has_authority)
        headers[n++] = (struct wisp_http_header){WISP_STR("host"), wisp_buf_str(&request->authority)};
    for (uint32_t i = 0; i < fields->n_entries; i++)
        headers[n++] = (struct wisp_http_header){wisp_fields_name(fields, i), wisp_fields_value(fields, i)};
    return wisp_wrpc_fields_from(headers, n, WISP_WRPC_HTTP_END_TO_END, arena, ret_fields, err);
}

static int fill_rest(const struct wisp_outgoing_request *request, struct wisp_arena *arena,
                     struct wisp_wrpc_request_rest *rest, struct wisp_err *err)
{
    *rest = (struct wisp_wrpc_request_rest){
        .method = {request->method, wisp_buf_str(&request->method_other)},
        .target = {request->has_target, wisp_buf_str(&request->target)},
        .scheme = {WISP_ABI_SOME, {WISP_WRPC_SCHEME_HTTPS, {0}}},
        .authority = {request->has_authority, wisp_buf_str(&request->authority)},
    };
    if (request->has_scheme) {
        rest->scheme.value.tag = request->scheme;
        rest->scheme.value.other = wisp_buf_str(&request->scheme_other);
    }
    return fill_headers(request, arena, &rest->headers, err);
}

/* False: the body is broken off, and the writers are gone. */
static bool connect_body(struct wisp_call *call, const struct wisp_outgoing_request *request,
                         struct wisp_wrpc_writer *body, struct wisp_wrpc_writer *trailers)
{
    static const struct wisp_wrpc_option_fields none;
    if (request->body) return wisp_outgoing_body_connect_writers(call, request->body, body, trailers);
    struct wisp_err err;
    if (wisp_wrpc_writer_put(trailers, &none, &err) < 0) {
        wisp_wrpc_writer_abort(body);
        wisp_wrpc_writer_abort(trailers);
        return false;
    }
    wisp_wrpc_writer_end(body);
    wisp_wrpc_writer_end(trailers);
    return true;
}

static int fill_send(struct wisp_call *call, struct wisp_outgoing_request *request,
                     const struct wisp_request_options *options, const struct wisp_type *body_type,
                     const struct wisp_type *trailers_type, struct wisp_arena *arena,
                     struct wisp_wasi_http_send *ret_send)
{
    struct wisp_err err = {0};
    *ret_send = (struct wisp_wasi_http_send){.options.is_some = WISP_ABI_SOME};
    if (fill_rest(request, arena, &ret_send->request.rest, &err) < 0)
        return wisp_call_trap(call, "request can't be sent: %s", err.text);
    ret_send->options.value = (struct wisp_wasi_http_options){
        to_wire(timeout_or_default(options, WISP_WASI_HTTP_TIMEOUT_CONNECT)),
        to_wire(timeout_or_default(options, WISP_WASI_HTTP_TIMEOUT_FIRST_BYTE)),
        to_wire(timeout_or_default(options, WISP_WASI_HTTP_TIMEOUT_BETWEEN_BYTES)),
    };
    struct wisp_wrpc_writer *body = wisp_wrpc_writer_new(body_type);
    struct wisp_wrpc_writer *trailers = wisp_wrpc_writer_new(trailers_type);
    if (connect_body(call, request, body, trailers)) {
        ret_send->request.body = body;
        ret_send->request.trailers = trailers;
    }
    return 0;
}

int wisp_wasi_http_send(struct wisp_call *call, const void *args, const struct wisp_type *body_type,
                        const struct wisp_type *trailers_type, struct wisp_arena *arena,
                        struct wisp_wasi_http_send *ret_send, struct wisp_future_response **ret_future)
{
    const struct wisp_abi_send_args *arg = args;
    struct wisp_outgoing_request *request = arg->request;
    struct wisp_request_options *options = arg->options.is_some ? arg->options.value : NULL;
    const char *refusal = wisp_outgoing_request_refuse_drop(request);
    struct wisp_future_response *future = NULL;
    int r = refusal ? wisp_call_trap(call, "outgoing-request sent while %s", refusal) : 0;
    if (r == 0) future = wisp_wasi_http_object_new(call, WISP_WASI_HTTP_KIND_FUTURE_RESPONSE);
    if (r == 0 && !future) r = -WISP_ERR_GUEST;
    if (r == 0) r = fill_send(call, request, options, body_type, trailers_type, arena, ret_send);
    wisp_wasi_http_object_unref(options);
    if (r < 0) {
        wisp_wasi_http_object_unref(future);
        wisp_wasi_http_object_unref(request);
        return r;
    }
    future->request = request;
    *ret_future = future;
    return 0;
}
