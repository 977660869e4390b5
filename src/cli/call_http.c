/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request as a wRPC call. Both bodies are as long as a command line and a terminal bear, so they are held. */
#include "cli/call.h"

#include "http/error_codes.h"
#include "wrpc/http_stream.h"
#include "wrpc/value.h"

#include <errno.h>
#include <stdio.h>

#define INTERFACE "wrpc:http/incoming-handler@0.1.0"
enum { REQUEST_BODY_MAX = 8 << 20, HEAD_MAX = 16 << 20, BODY_MAX = 64 << 20 };

struct exchange {
    struct wisp_wrpc_session session; /* first */
    const struct wisp_wrpc_http_types *types;
    struct wisp_arena *arena;
    struct wisp_str sent_body;
    struct wisp_buf head; /* as it comes: encoded */
    struct wisp_wrpc_http_in in;
    struct wisp_wrpc_response response;
    bool is_done, has_head;
    struct wisp_err err;
};

bool wisp_call_is_http(const char *word)
{
    static const char *const begins[] = {"wasi:http/incoming-handler", "wrpc:http/incoming-handler"};
    for (size_t i = 0; i < WISP_COUNT(begins); i++) {
        size_t size = strlen(begins[i]);
        bool has_name = strncmp(word, begins[i], size) == 0 && (word[size] == '.' || word[size] == '@');
        if (has_name && wisp_str_ends_with(wisp_str_from(word), WISP_STR(".handle"))) return true;
    }
    return false;
}

/* --- the request --- */

static int read_body(const struct wisp_call_http *request, struct wisp_buf *out, struct wisp_err *err)
{
    if (request->body && request->body_path)
        return wisp_err_set(err, WISP_ERR_USAGE, "--http-body and --http-body-path exclude each other");
    if (request->body) wisp_buf_append_str(out, wisp_str_from(request->body));
    if (!request->body_path) return 0;
    FILE *file = fopen(request->body_path, "rb");
    if (!file) return wisp_err_os(err, errno, "open `%s`", request->body_path);
    size_t n;
    while ((n = fread(wisp_buf_reserve(out, 65536), 1, 65536, file)) > 0 && out->len <= REQUEST_BODY_MAX) out->len += n;
    int failure = ferror(file) ? errno : 0;
    fclose(file);
    if (failure) return wisp_err_os(err, failure, "read `%s`", request->body_path);
    if (out->len > REQUEST_BODY_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "`%s` is larger than 8 MiB", request->body_path);
    return 0;
}

static struct wisp_wrpc_method method_of(const char *text)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    for (uint32_t i = 0; i < WISP_COUNT(names); i++)
        if (wisp_str_equal_nocase(wisp_str_from(text), wisp_str_from(names[i])))
            return (struct wisp_wrpc_method){.tag = i};
    return (struct wisp_wrpc_method){.tag = WISP_WRPC_METHOD_OTHER, .other = wisp_str_from(text)};
}

static int encode_request(const struct wisp_call_http *request, const struct exchange *exchange, struct wisp_buf *out,
                          struct wisp_err *err)
{
    struct wisp_arena *arena = exchange->arena;
    struct wisp_str host = wisp_str_from(wisp_arena_printf(arena, "%s:%u", request->host, request->port));
    struct wisp_str size = wisp_str_from(wisp_arena_printf(arena, "%zu", exchange->sent_body.len));
    struct wisp_str type = wisp_str_from(request->content_type), scheme = wisp_str_from(request->scheme);
    struct wisp_wrpc_field fields[3] = {{.name = WISP_STR("host"), .values = {&host, 1}}};
    size_t n = 1;
    if (exchange->sent_body.len)
        fields[n++] = (struct wisp_wrpc_field){.name = WISP_STR("content-length"), .values = {&size, 1}};
    if (type.len) fields[n++] = (struct wisp_wrpc_field){.name = WISP_STR("content-type"), .values = {&type, 1}};
    struct wisp_wrpc_request whole = {.rest = {
                                          .method = method_of(request->method),
                                          .target = {true, wisp_str_from(request->path)},
                                          .scheme = {.is_some = true, .value = {WISP_WRPC_SCHEME_OTHER, scheme}},
                                          .authority = {true, host},
                                          .headers = {fields, n},
                                      }};
    if (wisp_str_equal_nocase(scheme, WISP_STR("http"))) whole.rest.scheme.value.tag = WISP_WRPC_SCHEME_HTTP;
    if (wisp_str_equal_nocase(scheme, WISP_STR("https"))) whole.rest.scheme.value.tag = WISP_WRPC_SCHEME_HTTPS;
    return wisp_wrpc_request_encode(exchange->types, &whole, out, err);
}

/* --- the exchange --- */

static void finish(struct exchange *exchange, const struct wisp_err *err)
{
    if (err) exchange->err = *err;
    exchange->is_done = true;
    wisp_wrpc_session_close(&exchange->session);
}

static void on_open(struct wisp_wrpc_session *session)
{
    struct exchange *exchange = (struct exchange *)session;
    struct wisp_err err;
    int r = wisp_wrpc_http_send_body(session, exchange->sent_body, true, &err);
    if (r == 0) r = wisp_wrpc_http_send_trailers(session, &(struct wisp_wrpc_option_fields){0}, &err);
    if (r < 0) finish(exchange, &err);
}

/* Why there is no response, or 0. */
static int judge_head(struct exchange *exchange, struct wisp_err *err)
{
    static const char *const names[] = {
#define X(name, text, ...) text,
        WISP_HTTP_ERROR_CODES(X)
#undef X
    };
    struct wisp_wrpc_response *response = &exchange->response;
    struct wisp_str head = wisp_buf_str(&exchange->head), detail = {0};
    if (!head.len) return wisp_err_set(err, WISP_ERR_GUEST, "the component failed; its host's log tells why");
    int r = wisp_wrpc_response_decode(exchange->types, head, exchange->arena, response, err);
    if (r == WISP_WRPC_MORE) r = wisp_err_set(err, WISP_ERR_INVALID, "it is incomplete");
    if (r < 0) return wisp_err_wrap(err, "the component's answer can't be understood");
    if (!response->is_error) return 0;
    uint32_t tag = response->error.tag;
    if (tag == WISP_HTTP_ERROR_INTERNAL_ERROR && response->error.of.text.is_some)
        detail = response->error.of.text.value;
    return wisp_err_set(err, WISP_ERR_GUEST, "the component answered with the error %s%s%.*s", names[tag],
                        detail.len ? ": " : "", WISP_STR_ARG(detail));
}

static int feed_head(struct exchange *exchange, struct wisp_str bytes, struct wisp_err *err)
{
    if (exchange->has_head) return 0;
    wisp_buf_append_str(&exchange->head, bytes);
    if (exchange->head.len > HEAD_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "the head is larger than 16 MiB");
    if (bytes.len) return 0;
    exchange->has_head = true;
    int r = judge_head(exchange, err);
    if (r == 0) wisp_wrpc_http_in_take(&exchange->in, &exchange->response.front);
    return r;
}

/* Trailers are not shown, and so not waited for. */
static void on_bytes(struct wisp_wrpc_session *session, struct wisp_str path, struct wisp_str bytes)
{
    struct exchange *exchange = (struct exchange *)session;
    struct wisp_err err;
    int r;
    if (!path.len)
        r = feed_head(exchange, bytes, &err);
    else
        r = wisp_wrpc_http_in_feed(&exchange->in, exchange->types, path, bytes, BODY_MAX, exchange->arena, &err);
    if (r < 0)
        finish(exchange, &err);
    else if (exchange->has_head && exchange->in.is_body_over)
        finish(exchange, NULL);
}

static void on_failed(struct wisp_wrpc_session *session, const struct wisp_err *err)
{
    finish((struct exchange *)session, err);
}

static const struct wisp_wrpc_session_ops ops = {.on_open = on_open, .on_bytes = on_bytes, .on_failed = on_failed};

/* --- the response --- */

static json_t *headers_json(const struct wisp_wrpc_fields *fields)
{
    json_t *json = json_object();
    for (size_t i = 0; i < fields->len; i++) {
        WISP_CLEANUP_BUF struct wisp_buf value = {0};
        for (size_t k = 0; k < fields->ptr[i].values.len; k++) {
            if (k) wisp_buf_append_str(&value, WISP_STR(", "));
            wisp_buf_append_str(&value, fields->ptr[i].values.ptr[k]);
        }
        struct wisp_str name = fields->ptr[i].name;
        json_object_setn_new(json, name.ptr, name.len, wisp_json_text(wisp_buf_str(&value)));
    }
    return json;
}

static json_t *response_json(const struct exchange *exchange)
{
    json_t *response = json_object();
    json_object_set_new(response, "status", json_integer(exchange->response.rest.status));
    json_object_set_new(response, "headers", headers_json(&exchange->response.rest.headers));
    json_object_set_new(response, "body", wisp_json_text(wisp_wrpc_http_in_peek(&exchange->in)));
    return response;
}

int wisp_call_http(struct wisp_lattice_client *client, struct wisp_wrpc *wrpc, const char *component_id,
                   const struct wisp_call_http *request, json_t **ret_response, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf body = {0}, params = {0};
    struct exchange exchange = {.arena = wisp_lattice_client_arena(client)};
    struct wisp_bus_header source = {WISP_STR_INIT("source-id"), WISP_STR_INIT("wisp")};
    struct wisp_wrpc_target target = {.id = wisp_str_from(component_id),
                                      .function = {WISP_STR_INIT(INTERFACE), WISP_STR_INIT("handle")},
                                      .headers = &source,
                                      .n_headers = 1,
                                      .timeout_ms = wisp_lattice_client_settings(client)->timeout_ms};
    int r = read_body(request, &body, err);
    exchange.sent_body = wisp_buf_str(&body);
    if (r == 0) r = wisp_wrpc_http_types_make(exchange.arena, &exchange.types, err);
    if (r == 0) r = encode_request(request, &exchange, &params, err);
    if (r == 0) r = wisp_wrpc_session_call(&exchange.session, &ops, wrpc, &target, wisp_buf_str(&params), false, err);
    if (r < 0) return r;
    r = wisp_lattice_client_wait(client, &exchange.is_done, UINT64_MAX, err);
    wisp_wrpc_session_close(&exchange.session);
    if (r == 0 && exchange.err.kind) {
        *err = exchange.err;
        r = -(int)exchange.err.kind;
    }
    if (r == 0) *ret_response = response_json(&exchange);
    wisp_buf_deinit(&exchange.head);
    wisp_wrpc_http_in_deinit(&exchange.in);
    return r;
}
