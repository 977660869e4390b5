/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/blobstore/s3_priv.h"

#include <curl/curl.h>
#include <stdlib.h>

enum { BACKOFF_MS = 100, ONCE_TIMEOUT_MS = 5000, ERROR_TEXT_MAX = 300 };

/* --- making one --- */

static int check_id(struct wisp_str bucket, struct wisp_str key, struct wisp_err *err)
{
    if (bucket.len == 0 || bucket.len > 255 || memchr(bucket.ptr, '/', bucket.len) || wisp_str_is(bucket, ".") ||
        wisp_str_is(bucket, ".."))
        return wisp_err_set(err, WISP_ERR_INVALID, "container `%.*s` can't have this name", WISP_STR_ARG(bucket));
    if (key.len > WISP_S3_KEY_MAX) return wisp_err_set(err, WISP_ERR_INVALID, "an object's name is too long");
    return 0;
}

struct wisp_s3_call *wisp_s3_call_new(struct wisp_s3 *s3, const char *method, struct wisp_blobstore_id id,
                                      struct wisp_err *err)
{
    struct wisp_str bucket = wisp_s3_bucket(&s3->config, id.container);
    if (check_id(bucket, id.object, err) < 0) return NULL;
    struct wisp_s3_call *call = wisp_mem_calloc(1, sizeof *call);
    call->s3 = s3;
    call->method = method;
    s3->n_refs++;
    wisp_buf_printf(&call->path, "%s/", s3->config.base_path);
    wisp_s3_encode(&call->path, bucket, false);
    if (id.object.len) wisp_buf_append_char(&call->path, '/');
    wisp_s3_encode(&call->path, id.object, true);
    uv_timer_init(s3->loop, &call->timer);
    call->timer.data = call;
    return call;
}

void wisp_s3_call_param(struct wisp_s3_call *call, const char *name, struct wisp_str value)
{
    if (call->query.len) wisp_buf_append_char(&call->query, '&');
    wisp_buf_printf(&call->query, "%s=", name);
    wisp_s3_encode(&call->query, value, false);
}

void wisp_s3_call_header(struct wisp_s3_call *call, const char *name, const char *value)
{
    assert(call->n_headers < WISP_S3_HEADERS_MAX);
    call->headers[call->n_headers++] = (struct wisp_web_header){name, value};
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct wisp_s3_call *call = handle->data;
    wisp_s3_unref(call->s3);
    wisp_buf_deinit(&call->path);
    wisp_buf_deinit(&call->query);
    wisp_buf_deinit(&call->answer);
    wisp_arena_deinit(&call->arena);
    free(call);
}

static void dispose(struct wisp_s3_call *call)
{
    uv_timer_stop(&call->timer);
    uv_close((uv_handle_t *)&call->timer, on_timer_closed);
}

void wisp_s3_call_cancel(struct wisp_s3_call *call)
{
    if (!call) return;
    wisp_web_cancel(WISP_TAKE(call->request));
    dispose(call);
}

static void finish(struct wisp_s3_call *call, const struct wisp_err *err)
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

/* Also of answers that seemed good at first: some operations take long enough for S3 to begin before it knows. */
static int judge(struct wisp_s3_call *call, struct wisp_err *err)
{
    struct error_answer answer = {0};
    bool is_good = call->status >= 200 && call->status < 300;
    bool is_xml = !call->has_begun && call->answer.len > 0;
    if (is_xml && wisp_xml_read(wisp_buf_str(&call->answer), &call->arena, on_error_element, &answer, NULL) < 0)
        answer = (struct error_answer){0};
    call->code = answer.code;
    if (is_good && answer.code.len == 0) return 0;
    if (answer.message.len > ERROR_TEXT_MAX) answer.message.len = 0;
    if (answer.code.len == 0 || answer.code.len > ERROR_TEXT_MAX)
        return wisp_err_set(err, kind_of(call->status), "the server answered with status %ld", call->status);
    return wisp_err_set(err, is_good ? WISP_ERR_UNAVAILABLE : kind_of(call->status), "%.*s: %.*s",
                        WISP_STR_ARG(answer.code), WISP_STR_ARG(answer.message));
}

static void read_head(struct wisp_s3_call *call, const struct wisp_web_response *response)
{
    struct wisp_str length = wisp_web_find(response, "content-length"), etag = wisp_web_find(response, "etag");
    struct wisp_str modified = wisp_web_find(response, "last-modified");
    call->status = response->status;
    call->size = strtoull(wisp_arena_cstr(&call->arena, length), NULL, 10);
    call->etag = wisp_arena_str(&call->arena, etag);
    time_t time = modified.len ? curl_getdate(wisp_arena_cstr(&call->arena, modified), NULL) : -1;
    call->modified = time > 0 ? (uint64_t)time : 0;
}

/* What on_begin does may start other requests, which is not for here. */
static void on_begin_later(uv_timer_t *timer)
{
    struct wisp_s3_call *call = timer->data;
    struct wisp_web_request *request = call->request;
    call->on_begin(call);
    wisp_web_resume(request);
}

static int on_head(const struct wisp_web_response *response, void *env, struct wisp_err *err)
{
    struct wisp_s3_call *call = env;
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
    struct wisp_s3_call *call = env;
    (void)response;
    if (call->has_begun) return call->on_bytes(call, bytes, err);
    if (call->answer.len + bytes.len > WISP_S3_ANSWER_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "the server's answer is too large");
    wisp_buf_append_str(&call->answer, bytes);
    return 0;
}

/* --- sending it --- */

static void send_call(struct wisp_s3_call *call);

static void on_retry(uv_timer_t *timer) { send_call(timer->data); }

static bool is_worth_another(const struct wisp_s3_call *call, const struct wisp_err *err)
{
    bool is_temporary = err->kind == WISP_ERR_UNAVAILABLE || err->kind == WISP_ERR_TIMEOUT;
    return is_temporary && !call->once && !call->has_begun && call->n_attempts < call->s3->config.n_attempts_max;
}

static void on_done(const struct wisp_web_response *response, const struct wisp_err *web_err, void *env)
{
    struct wisp_s3_call *call = env;
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

/* Those for this attempt come in front of x-amz-security-token, the last one by name. */
static void add_own_headers(struct wisp_s3_call *call, const char *date, struct wisp_web_header *headers, size_t *n)
{
    size_t at = 0;
    while (at < call->n_headers && strcmp(call->headers[at].name, "x-amz-content-sha256") < 0) at++;
    memcpy(headers, call->headers, at * sizeof *headers);
    *n = at;
    headers[(*n)++] = (struct wisp_web_header){"x-amz-content-sha256", call->payload_hash};
    for (; at < call->n_headers && strcmp(call->headers[at].name, "x-amz-date") < 0; at++)
        headers[(*n)++] = call->headers[at];
    headers[(*n)++] = (struct wisp_web_header){"x-amz-date", date};
    if (call->s3->config.session_token)
        headers[(*n)++] = (struct wisp_web_header){"x-amz-security-token", call->s3->config.session_token};
}

static void ask(struct wisp_s3_call *call, const char *url, const char *authorization,
                const struct wisp_web_header *headers, size_t n_headers)
{
    struct wisp_web_ask ask = {
        .url = url,
        .method = call->method,
        .authorization = authorization,
        .headers = headers,
        .n_headers = n_headers,
        .body = call->body,
        .timeout_ms = call->once ? ONCE_TIMEOUT_MS : 0,
        .on_head = on_head,
        .on_body = on_body,
        .on_done = on_done,
        .env = call,
    };
    call->request = wisp_web_start(call->s3->web, &ask);
}

static void send_call(struct wisp_s3_call *call)
{
    const struct wisp_s3_config *config = &call->s3->config;
    WISP_CLEANUP_BUF struct wisp_buf url = {0}, authorization = {0};
    struct wisp_web_header headers[WISP_S3_HEADERS_MAX + 3];
    size_t n_headers;
    char date[17];
    time_t now = time(NULL);
    call->n_attempts++;
    call->answer.len = 0;
    call->status = 0;
    wisp_s3_date(now, date);
    add_own_headers(call, date, headers, &n_headers);
    struct wisp_s3_to_sign what = {.method = call->method,
                                   .host = config->host,
                                   .path = wisp_buf_str(&call->path),
                                   .query = wisp_buf_str(&call->query),
                                   .headers = headers,
                                   .n_headers = n_headers,
                                   .payload_hash = call->payload_hash,
                                   .now = now};
    wisp_s3_sign(config, &what, &authorization);
    wisp_buf_append_char(&authorization, '\0');
    wisp_buf_printf(&url, "%s%.*s%s%.*s", config->origin, WISP_STR_ARG(wisp_buf_str(&call->path)),
                    call->query.len ? "?" : "", WISP_STR_ARG(wisp_buf_str(&call->query)));
    wisp_buf_append_char(&url, '\0');
    ask(call, url.data, authorization.data, headers, n_headers);
}

void wisp_s3_call_send(struct wisp_s3_call *call)
{
    if (!call->payload_hash[0]) wisp_s3_hash(call->body, call->payload_hash);
    send_call(call);
}

void wisp_s3_call_pause(struct wisp_s3_call *call)
{
    if (call->request) wisp_web_pause(call->request);
}

void wisp_s3_call_resume(struct wisp_s3_call *call)
{
    if (call->request) wisp_web_resume(call->request);
}
