/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/blobstore/rest.h"

#include <curl/curl.h>
#include <stdlib.h>

enum { BACKOFF_MS = 100, ONCE_TIMEOUT_MS = 5000, ERROR_TEXT_MAX = 300 };

/* --- making one --- */

static int check_id(struct wisp_str container, struct wisp_str object, struct wisp_err *err)
{
    if (container.len == 0 || container.len > 255 || memchr(container.ptr, '/', container.len) ||
        wisp_str_is(container, ".") || wisp_str_is(container, ".."))
        return wisp_err_set(err, WISP_ERR_INVALID, "container `%.*s` can't have this name", WISP_STR_ARG(container));
    if (object.len > WISP_REST_KEY_MAX) return wisp_err_set(err, WISP_ERR_INVALID, "an object's name is too long");
    return 0;
}

void wisp_rest_encode(struct wisp_buf *out, struct wisp_str text, bool keep_slashes)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool stays = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~' || (c == '/' && keep_slashes);
        if (stays)
            wisp_buf_append_char(out, c);
        else
            wisp_buf_printf(out, "%%%02X", (unsigned char)c);
    }
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

struct wisp_str wisp_rest_decode(struct wisp_str text)
{
    char *out = (char *)(uintptr_t)text.ptr;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int high = c == '%' && i + 2 < text.len ? digit(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? digit(text.ptr[i + 2]) : -1;
        if (low >= 0) i += 2;
        out[n++] = low >= 0 ? (char)(high << 4 | low) : c == '+' ? ' ' : c;
    }
    return (struct wisp_str){text.ptr, n};
}

int wisp_rest_path(struct wisp_rest *rest, struct wisp_blobstore_id id, struct wisp_buf *out, struct wisp_err *err)
{
    struct wisp_str container = rest->dialect->container ? rest->dialect->container(rest, id.container) : id.container;
    int r = check_id(container, id.object, err);
    if (r < 0) return r;
    wisp_buf_append_char(out, '/');
    wisp_rest_encode(out, container, false);
    if (id.object.len) wisp_buf_append_char(out, '/');
    wisp_rest_encode(out, id.object, true);
    return 0;
}

struct wisp_rest_call *wisp_rest_call_new(struct wisp_rest *rest, const char *method, struct wisp_blobstore_id id,
                                          struct wisp_err *err)
{
    struct wisp_buf path = {0};
    wisp_buf_printf(&path, "%s", rest->endpoint.base_path);
    if (wisp_rest_path(rest, id, &path, err) < 0) {
        wisp_buf_deinit(&path);
        return NULL;
    }
    struct wisp_rest_call *call = wisp_mem_calloc(1, sizeof *call);
    call->rest = rest;
    call->method = method;
    call->path = path;
    call->is_container = id.object.len == 0;
    rest->n_refs++;
    uv_timer_init(rest->loop, &call->timer);
    call->timer.data = call;
    return call;
}

void wisp_rest_call_param(struct wisp_rest_call *call, const char *name, struct wisp_str value)
{
    if (call->query.len) wisp_buf_append_char(&call->query, '&');
    wisp_buf_printf(&call->query, "%s=", name);
    wisp_rest_encode(&call->query, value, false);
}

void wisp_rest_headers_add(struct wisp_rest_headers *headers, const char *name, const char *value)
{
    size_t at = headers->n++;
    assert(headers->n <= WISP_REST_HEADERS_MAX);
    for (; at > 0 && strcmp(headers->list[at - 1].name, name) > 0; at--) headers->list[at] = headers->list[at - 1];
    headers->list[at] = (struct wisp_web_header){name, value};
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct wisp_rest_call *call = handle->data;
    wisp_rest_unref(call->rest);
    wisp_buf_deinit(&call->path);
    wisp_buf_deinit(&call->query);
    wisp_buf_deinit(&call->answer);
    wisp_arena_deinit(&call->arena);
    free(call);
}

static void dispose(struct wisp_rest_call *call)
{
    uv_timer_stop(&call->timer);
    uv_close((uv_handle_t *)&call->timer, on_timer_closed);
}

void wisp_rest_call_cancel(struct wisp_rest_call *call)
{
    if (!call) return;
    wisp_web_cancel(WISP_TAKE(call->request));
    dispose(call);
}

static void finish(struct wisp_rest_call *call, const struct wisp_err *err)
{
    uv_timer_stop(&call->timer);
    call->on_done(call, err);
    dispose(call);
}

/* --- what is answered --- */

struct error_answer {
    struct wisp_str code, message;
};

static void on_error_element(const struct wisp_xml_element *element, void *env)
{
    struct error_answer *answer = env;
    if (element->depth != 2) return; /* <Error> within something else is about a part of it */
    if (wisp_xml_is(element, "Error", "Code")) answer->code = element->text;
    if (wisp_xml_is(element, "Error", "Message")) answer->message = element->text;
}

static enum wisp_err_kind kind_of(long status)
{
    switch (status) {
    case 401:
    case 403:
        return WISP_ERR_DENIED;
    case 404:
        return WISP_ERR_NOT_FOUND;
    case 409:
        return WISP_ERR_EXISTS;
    case 429:
        return WISP_ERR_UNAVAILABLE;
    default:
        return status >= 500 ? WISP_ERR_UNAVAILABLE : WISP_ERR_INVALID;
    }
}

/* Also of answers that seemed good at first: some operations take long enough for a server to begin before it knows. */
static int judge(struct wisp_rest_call *call, struct wisp_err *err)
{
    struct error_answer answer = {0};
    bool is_good = call->status >= 200 && call->status < 300;
    bool is_xml = !call->has_begun && call->answer.len > 0;
    if (is_xml && wisp_xml_read(wisp_buf_str(&call->answer), &call->arena, on_error_element, &answer, NULL) < 0)
        answer = (struct error_answer){0};
    if (answer.code.len) call->code = answer.code;
    if (is_good && answer.code.len == 0) return 0;
    struct wisp_str rest; /* Azure's messages go on with lines about the request */
    wisp_str_split(answer.message, '\n', &answer.message, &rest);
    if (answer.message.len > ERROR_TEXT_MAX) answer.message.len = 0;
    if (answer.code.len == 0 || answer.code.len > ERROR_TEXT_MAX)
        return wisp_err_set(err, kind_of(call->status), "the server answered with status %ld", call->status);
    return wisp_err_set(err, is_good ? WISP_ERR_UNAVAILABLE : kind_of(call->status), "%.*s: %.*s",
                        WISP_STR_ARG(answer.code), WISP_STR_ARG(answer.message));
}

uint64_t wisp_rest_date(struct wisp_str text)
{
    WISP_CLEANUP_FREE char *copy = wisp_mem_dup(text);
    time_t time = text.len ? curl_getdate(copy, NULL) : -1;
    return time > 0 ? (uint64_t)time : 0;
}

static void read_head(struct wisp_rest_call *call, const struct wisp_web_response *response)
{
    struct wisp_str length = wisp_web_find(response, "content-length");
    call->status = response->status;
    call->size = strtoull(wisp_arena_cstr(&call->arena, length), NULL, 10);
    call->etag = wisp_arena_str(&call->arena, wisp_web_find(response, "etag"));
    call->created_at = wisp_rest_date(wisp_web_find(response, "last-modified"));
    call->code = (struct wisp_str){0};
    if (call->rest->dialect->read_head) call->rest->dialect->read_head(call, response);
}

/* What on_begin does may start other requests, which is not for here. */
static void on_begin_later(uv_timer_t *timer)
{
    struct wisp_rest_call *call = timer->data;
    struct wisp_web_request *request = call->request;
    call->on_begin(call);
    wisp_web_resume(request);
}

static int on_head(const struct wisp_web_response *response, void *env, struct wisp_err *err)
{
    struct wisp_rest_call *call = env;
    (void)err;
    read_head(call, response);
    if (!call->on_begin || (call->status != 200 && call->status != 206)) return 0;
    call->has_begun = true;
    wisp_web_pause(call->request);
    uv_timer_start(&call->timer, on_begin_later, 0, 0);
    return 0;
}

static int on_body(const struct wisp_web_response *response, struct wisp_str bytes, void *env, struct wisp_err *err)
{
    struct wisp_rest_call *call = env;
    (void)response;
    if (call->has_begun) return call->on_bytes(call, bytes, err);
    if (call->answer.len + bytes.len > WISP_REST_ANSWER_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "the server's answer is too large");
    wisp_buf_append_str(&call->answer, bytes);
    return 0;
}

/* --- sending it --- */

static void send_call(struct wisp_rest_call *call);

static void on_retry(uv_timer_t *timer) { send_call(timer->data); }

static bool is_worth_another(const struct wisp_rest_call *call, const struct wisp_err *err)
{
    bool is_temporary = err->kind == WISP_ERR_UNAVAILABLE || err->kind == WISP_ERR_TIMEOUT;
    return is_temporary && !call->once && !call->has_begun && call->n_attempts < call->rest->n_attempts_max;
}

static void on_done(const struct wisp_web_response *response, const struct wisp_err *web_err, void *env)
{
    struct wisp_rest_call *call = env;
    struct wisp_err err = {0};
    (void)response;
    call->request = NULL;
    if (call->has_begun && uv_is_active((uv_handle_t *)&call->timer)) {
        uv_timer_stop(&call->timer); /* an empty object: on_begin is still owed */
        call->on_begin(call);
    }
    if (web_err)
        err = *web_err;
    else if (judge(call, &err) == 0)
        err.kind = WISP_ERR_NONE;
    if (err.kind && is_worth_another(call, &err))
        uv_timer_start(&call->timer, on_retry, (uint64_t)BACKOFF_MS << call->n_attempts, 0);
    else
        finish(call, err.kind ? &err : NULL);
}

static void ask(struct wisp_rest_call *call, const char *url, const char *authorization,
                const struct wisp_rest_headers *headers)
{
    struct wisp_web_ask ask = {
        .url = url,
        .method = call->method,
        .authorization = authorization,
        .headers = headers->list,
        .n_headers = headers->n,
        .body = call->body,
        .timeout_ms = call->once ? ONCE_TIMEOUT_MS : 0,
        .on_head = on_head,
        .on_body = on_body,
        .on_done = on_done,
        .env = call,
    };
    call->request = wisp_web_start(call->rest->web, &ask);
}

static void send_call(struct wisp_rest_call *call)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf url = {0}, authorization = {0};
    struct wisp_rest_headers headers = call->headers;
    call->n_attempts++;
    call->answer.len = 0;
    call->status = 0;
    call->rest->dialect->sign(call, &headers, &arena, &authorization);
    wisp_buf_append_char(&authorization, '\0');
    wisp_buf_printf(&url, "%s%.*s%s%.*s", call->rest->endpoint.origin, WISP_STR_ARG(wisp_buf_str(&call->path)),
                    call->query.len ? "?" : "", WISP_STR_ARG(wisp_buf_str(&call->query)));
    wisp_buf_append_char(&url, '\0');
    ask(call, url.data, authorization.data, &headers);
}

void wisp_rest_call_send(struct wisp_rest_call *call)
{
    call->rest->dialect->complete(call);
    if (call->delay_ms)
        uv_timer_start(&call->timer, on_retry, call->delay_ms, 0);
    else
        send_call(call);
}

void wisp_rest_call_pause(struct wisp_rest_call *call)
{
    if (call->request) wisp_web_pause(call->request);
}

void wisp_rest_call_resume(struct wisp_rest_call *call)
{
    if (call->request) wisp_web_resume(call->request);
}
