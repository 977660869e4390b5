/* SPDX-License-Identifier: Apache-2.0 */
#include "web/web_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    CONNECT_TIMEOUT_MS = 10 * 1000,
    RECEIVE_SIZE = 128 * 1024,
};

/* --- life --- */

static void free_request(uv_handle_t *handle)
{
    struct wisp_web_request *request = handle->data;
    wisp_mem_wipe((char *)(uintptr_t)request->ask.url);
    free((char *)(uintptr_t)request->ask.method);
    wisp_mem_wipe((char *)(uintptr_t)request->ask.target);
    free((char *)(uintptr_t)request->ask.accept);
    free((char *)(uintptr_t)request->ask.content_type);
    wisp_mem_wipe((char *)(uintptr_t)request->ask.authorization);
    wisp_web_head_deinit(&request->head, &request->response);
    free(request);
}

static void on_stall_closed(uv_handle_t *handle)
{
    struct wisp_web_request *request = handle->data;
    uv_close((uv_handle_t *)&request->nudge, free_request);
}

static void detach(struct wisp_web_request *request)
{
    if (!request->easy) return;
    curl_multi_remove_handle(request->web->multi, request->easy);
    curl_easy_cleanup(request->easy);
    curl_slist_free_all(request->headers);
    request->easy = NULL;
    request->headers = NULL;
}

static void dispose(struct wisp_web_request *request)
{
    detach(request);
    uv_timer_stop(&request->nudge);
    uv_close((uv_handle_t *)&request->stall, on_stall_closed);
}

void wisp_web_cancel(struct wisp_web_request *request)
{
    if (!request) return;
    request->is_cancelled = true;
    if (!request->is_inside) dispose(request);
}

static void finish(struct wisp_web_request *request, const struct wisp_err *err)
{
    detach(request);
    uv_timer_stop(&request->stall);
    uv_timer_stop(&request->nudge);
    request->response.fault = err ? request->fault : WISP_WEB_FAULT_NONE;
    request->ask.on_done(&request->response, err, request->ask.env);
    dispose(request);
}

/* Of the URL it says "https://host/path": user, password and query may be secrets. */
static void fail(struct wisp_web_request *request, struct wisp_err *err)
{
    const char *what = request->ask.method ? request->ask.method : request->ask.content_type ? "post" : "get";
    const char *url = request->ask.url, *colon = strstr(url, "://"), *place = colon ? colon + 3 : url;
    const char *at = memrchr(place, '@', strcspn(place, "/?#")), *host = at ? at + 1 : place;
    wisp_err_wrap(err, "%s %.*s%.*s", what, (int)(place - url), url, (int)strcspn(host, "?#"), host);
    finish(request, err);
}

/* --- standing still --- */

static uint64_t stall_timeout(const struct wisp_web_request *request)
{
    return request->ask.stall_timeout_ms ? request->ask.stall_timeout_ms : request->web->stall_timeout_ms;
}

static void on_stall(uv_timer_t *timer)
{
    struct wisp_web_request *request = timer->data;
    struct wisp_err err = {0};
    request->fault = WISP_WEB_FAULT_TIMEOUT;
    wisp_err_set(&err, WISP_ERR_TIMEOUT, "nothing arrived for %llu ms", (unsigned long long)stall_timeout(request));
    fail(request, &err);
}

/* There was progress, or it is somebody else's turn to make some. */
static void restart_stall(struct wisp_web_request *request)
{
    if (request->is_paused || request->is_send_waiting || stall_timeout(request) == 0)
        uv_timer_stop(&request->stall);
    else
        uv_timer_start(&request->stall, on_stall, stall_timeout(request), 0);
}

/* --- what arrives --- */

/* A plain GET or POST: what a redirect says is not for the caller. */
static bool is_hidden(const struct wisp_web_request *request)
{
    return !request->ask.method && request->response.status >= 300 && request->response.status < 400;
}

static size_t on_bytes(char *bytes, size_t one, size_t n, void *env)
{
    struct wisp_web_request *request = env;
    (void)one;
    if (request->is_cancelled) return 0;
    if (request->is_paused) return CURL_WRITEFUNC_PAUSE;
    restart_stall(request);
    if (!request->ask.on_body || is_hidden(request)) return n;
    struct wisp_str body = {bytes, n};
    request->is_inside = true;
    int r = request->ask.on_body(&request->response, body, request->ask.env, &request->failure);
    request->is_inside = false;
    if (r < 0) request->fault = WISP_WEB_FAULT_CALLER;
    return r == 0 && !request->is_cancelled ? n : 0;
}

/* --- what leaves --- */

static size_t send_borrowed(struct wisp_web_request *request, char *buffer, size_t max)
{
    size_t left = request->ask.body.len - (size_t)request->n_sent;
    size_t n = left < max ? left : max;
    if (n) memcpy(buffer, request->ask.body.ptr + request->n_sent, n);
    request->n_sent += n;
    return n;
}

static size_t give_up(struct wisp_web_request *request)
{
    request->fault = WISP_WEB_FAULT_CALLER;
    return CURL_READFUNC_ABORT;
}

static size_t end_sending(struct wisp_web_request *request)
{
    request->has_sent_all = true;
    if (request->ask.body_size == WISP_WEB_LENGTH_UNKNOWN || request->n_sent == request->ask.body_size) return 0;
    wisp_err_set(&request->failure, WISP_ERR_INVALID, "the body has %llu bytes, not %llu",
                 (unsigned long long)request->n_sent, (unsigned long long)request->ask.body_size);
    return give_up(request);
}

static size_t send_given(struct wisp_web_request *request, char *buffer, size_t max)
{
    size_t n = 0;
    if (request->has_sent_all) return 0;
    request->is_inside = true;
    enum wisp_web_sending state = request->ask.on_send(buffer, max, &n, request->ask.env, &request->failure);
    request->is_inside = false;
    if (request->is_cancelled) return CURL_READFUNC_ABORT;
    request->is_send_waiting = state == WISP_WEB_SENDING_WAIT;
    restart_stall(request);
    switch (state) {
    case WISP_WEB_SENDING_WAIT:
        return CURL_READFUNC_PAUSE;
    case WISP_WEB_SENDING_END:
        return end_sending(request);
    case WISP_WEB_SENDING_FAILED:
        return give_up(request);
    case WISP_WEB_SENDING_BYTES:
        break;
    }
    request->n_sent += n;
    if (request->n_sent > request->ask.body_size) return end_sending(request);
    return n;
}

static size_t on_read(char *buffer, size_t one, size_t max, void *env)
{
    struct wisp_web_request *request = env;
    (void)one;
    if (request->is_cancelled) return CURL_READFUNC_ABORT;
    restart_stall(request);
    return request->ask.on_send ? send_given(request, buffer, max) : send_borrowed(request, buffer, max);
}

/* What a server may be asked twice with the same effect (RFC 9110, 9.2.2). */
static bool is_idempotent(const struct wisp_web_ask *ask)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    if (!ask->method) return !ask->content_type;
    for (size_t i = 0; i < WISP_COUNT(methods); i++)
        if (strcmp(ask->method, methods[i]) == 0) return true;
    return false;
}

/* Before anything is sent. A second time: the server has closed a kept connection without an answer, and libcurl would
 * try another. But what was sent may have been heard. */
static int on_connection(void *env, char *to, char *from, int to_port, int from_port)
{
    struct wisp_web_request *request = env;
    (void)to, (void)from, (void)to_port, (void)from_port;
    bool is_again = request->has_begun;
    request->has_begun = true;
    if (!is_again || is_idempotent(&request->ask)) return CURL_PREREQFUNC_OK;
    request->fault = WISP_WEB_FAULT_BROKEN;
    wisp_err_set(&request->failure, WISP_ERR_UNAVAILABLE, "the server closed the connection before it answered");
    return CURL_PREREQFUNC_ABORT;
}

/* A kept connection had just been closed by the server: libcurl tries another, from the beginning. */
static int on_seek(void *env, curl_off_t offset, int origin)
{
    struct wisp_web_request *request = env;
    if (request->ask.on_send && request->n_sent) return CURL_SEEKFUNC_FAIL;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > request->ask.body.len) return CURL_SEEKFUNC_FAIL;
    if (!request->ask.on_send) request->n_sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* --- pausing --- */

static void on_nudge(uv_timer_t *timer)
{
    struct wisp_web_request *request = timer->data;
    if (request->failure.kind) { /* found outside of libcurl */
        wisp_web_complete(request, CURLE_ABORTED_BY_CALLBACK);
        return;
    }
    int still = (request->is_paused ? CURLPAUSE_RECV : 0) | (request->is_send_waiting ? CURLPAUSE_SEND : 0);
    CURLcode code = curl_easy_pause(request->easy, still);
    if (code != CURLE_OK) wisp_web_complete(request, code);
}

static void nudge(struct wisp_web_request *request)
{
    restart_stall(request);
    uv_timer_start(&request->nudge, on_nudge, 0, 0);
}

void wisp_web_pause(struct wisp_web_request *request)
{
    request->is_paused = true;
    restart_stall(request);
}

void wisp_web_resume(struct wisp_web_request *request)
{
    if (!request->is_paused) return;
    request->is_paused = false;
    nudge(request);
}

void wisp_web_send_on(struct wisp_web_request *request)
{
    if (!request->is_send_waiting) return;
    request->is_send_waiting = false;
    nudge(request);
}

/* --- the head --- */

static int take_head(struct wisp_web_request *request)
{
    /* After an error libcurl sends no more, but doesn't forget by itself that it was waiting. */
    if (request->response.status >= 400) wisp_web_send_on(request);
    if (!request->ask.on_head || !request->ask.method) return 0;
    request->is_inside = true;
    int r = request->ask.on_head(&request->response, request->ask.env, &request->failure);
    request->is_inside = false;
    if (r < 0) request->fault = WISP_WEB_FAULT_CALLER;
    return request->is_cancelled ? -1 : r;
}

static size_t on_header(char *bytes, size_t one, size_t n, void *env)
{
    struct wisp_web_request *request = env;
    (void)one;
    if (request->is_cancelled) return 0;
    restart_stall(request);
    bool was_complete = request->head.is_complete && request->response.status >= 200;
    int r = wisp_web_head_line(&request->head, &request->response, (struct wisp_str){bytes, n}, &request->failure);
    if (r < 0) request->fault = WISP_WEB_FAULT_PROTOCOL;
    bool is_complete = request->head.is_complete && request->response.status >= 200;
    if (r == 0 && is_complete && !was_complete) r = take_head(request);
    return r < 0 ? 0 : n;
}

/* --- a lost server --- */

/* A server that goes away while there is nothing to send is noticed by libcurl with the next bytes only, and these may
 * never come. */
void wisp_web_lost_interest(CURL *easy)
{
    struct wisp_web_request *request = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
    if (!request || !request->is_send_waiting || request->is_paused || request->response.status >= 200) return;
    if (request->failure.kind || request->is_cancelled) return;
    request->fault = WISP_WEB_FAULT_BROKEN;
    wisp_err_set(&request->failure, WISP_ERR_UNAVAILABLE, "the server closed the connection");
    uv_timer_start(&request->nudge, on_nudge, 0, 0);
}

/* --- going --- */

static void add_line(struct wisp_web_request *request, struct wisp_buf *line)
{
    wisp_buf_append_char(line, '\0');
    struct curl_slist *headers = curl_slist_append(request->headers, line->data);
    if (!headers) wisp_mem_out(line->len);
    request->headers = headers;
}

static void add_header(struct wisp_web_request *request, const char *name, const char *value)
{
    WISP_CLEANUP_WIPE struct wisp_buf line = {0};
    if (value[0])
        wisp_buf_printf(&line, "%s: %s", name, value);
    else
        wisp_buf_printf(&line, "%s;", name); /* so libcurl wants an empty one */
    add_line(request, &line);
}

static void omit_header(struct wisp_web_request *request, const char *name)
{
    WISP_CLEANUP_WIPE struct wisp_buf line = {0};
    wisp_buf_printf(&line, "%s:", name);
    add_line(request, &line);
}

static void add_headers(struct wisp_web_request *request)
{
    for (size_t i = 0; i < request->ask.n_headers; i++)
        add_header(request, request->ask.headers[i].name, request->ask.headers[i].value);
}

static void set_up(struct wisp_web_request *request)
{
    CURL *easy = request->easy;
    uint64_t connect_timeout = request->ask.connect_timeout_ms;
    curl_easy_setopt(easy, CURLOPT_URL, request->ask.url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
    if (!request->ask.is_bare) curl_easy_setopt(easy, CURLOPT_USERAGENT, "wisp");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout ? (long)connect_timeout : CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->ask.timeout_ms);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_SIZE);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->detail);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connection);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, request);
    /* Not CURLOPT_RESUME_FROM: an answer without the range is for us to judge. */
    char range[32];
    snprintf(range, sizeof range, "%llu-", (unsigned long long)request->ask.range_start);
    if (request->ask.range_start) curl_easy_setopt(easy, CURLOPT_RANGE, range);
    struct wisp_buf *certificates = &request->web->certificates;
    struct curl_blob blob = {certificates->data, certificates->len, CURL_BLOB_NOCOPY};
    if (certificates->len) curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
}

static void set_up_post(struct wisp_web_request *request)
{
    const struct wisp_web_ask *ask = &request->ask;
    add_header(request, "Content-Type", ask->content_type);
    omit_header(request, "Expect"); /* never wait for 100 Continue */
    add_headers(request);
    curl_easy_setopt(request->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, ask->body.len ? ask->body.ptr : "");
    curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body.len);
}

static bool is_given(const struct wisp_web_ask *ask, const char *name)
{
    for (size_t i = 0; i < ask->n_headers; i++)
        if (wisp_str_equal_nocase(wisp_str_from(ask->headers[i].name), wisp_str_from(name))) return true;
    return false;
}

static int on_trailers(struct curl_slist **ret_trailers, void *env)
{
    struct wisp_web_request *request = env;
    const struct wisp_web_header *trailers;
    size_t n = request->ask.on_trailers(&trailers, request->ask.env);
    for (size_t i = 0; i < n; i++) {
        WISP_CLEANUP_WIPE struct wisp_buf line = {0};
        wisp_buf_printf(&line, "%s: %s", trailers[i].name, trailers[i].value);
        wisp_buf_append_char(&line, '\0');
        struct curl_slist *longer = curl_slist_append(*ret_trailers, line.data);
        if (!longer) wisp_mem_out(line.len);
        *ret_trailers = longer;
    }
    return CURL_TRAILERFUNC_OK;
}

/* Of these a server expects a length even if it is 0 (RFC 9110, 8.6). */
static bool has_body(const struct wisp_web_ask *ask)
{
    return ask->on_send || ask->body.len || !strcmp(ask->method, "PUT") || !strcmp(ask->method, "POST") ||
           !strcmp(ask->method, "PATCH");
}

static void set_up_method(struct wisp_web_request *request)
{
    struct wisp_web_ask *ask = &request->ask;
    CURL *easy = request->easy;
    if (ask->content_type) add_header(request, "Content-Type", ask->content_type);
    omit_header(request, "Expect");
    if (ask->is_bare && !is_given(ask, "Accept")) omit_header(request, "Accept");
    add_headers(request);
    /* HTTP/2 would let a server send megabytes ahead of a reader that has paused. */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    if (ask->target) curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, ask->target);
    if (ask->is_bare) {
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a name that is being looked up when it is cancelled */
    }
    if (!strcmp(ask->method, "HEAD")) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    if (has_body(ask)) {
        if (!ask->on_send) ask->body_size = ask->body.len;
        bool is_known = ask->body_size != WISP_WEB_LENGTH_UNKNOWN;
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, is_known ? (curl_off_t)ask->body_size : (curl_off_t)-1);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(easy, CURLOPT_READDATA, request);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, request);
        if (ask->on_trailers) {
            curl_easy_setopt(easy, CURLOPT_TRAILERFUNCTION, on_trailers);
            curl_easy_setopt(easy, CURLOPT_TRAILERDATA, request);
        }
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, ask->method);
}

static void send_request(struct wisp_web_request *request)
{
    wisp_web_head_reset(&request->head, &request->response);
    request->has_begun = false;
    request->easy = curl_easy_init();
    if (!request->easy) wisp_mem_out(0);
    if (request->ask.accept) add_header(request, "Accept", request->ask.accept);
    if (request->ask.authorization) add_header(request, "Authorization", request->ask.authorization);
    if (request->ask.method)
        set_up_method(request);
    else if (request->ask.content_type)
        set_up_post(request);
    set_up(request);
    restart_stall(request);
    if (curl_multi_add_handle(request->web->multi, request->easy) != CURLM_OK) wisp_mem_out(0);
}

/* --- the end --- */

static enum wisp_err_kind kind_of(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return WISP_ERR_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return WISP_ERR_DENIED;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return WISP_ERR_INVALID;
    default:
        return WISP_ERR_UNAVAILABLE;
    }
}

static enum wisp_web_fault fault_of(struct wisp_web_request *request, CURLcode code)
{
    curl_off_t connected_us = 0;
    curl_easy_getinfo(request->easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return connected_us ? WISP_WEB_FAULT_TIMEOUT : WISP_WEB_FAULT_CONNECT_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
        return WISP_WEB_FAULT_NAME;
    case CURLE_COULDNT_CONNECT:
        return WISP_WEB_FAULT_REFUSED;
    case CURLE_SSL_CONNECT_ERROR:
        return WISP_WEB_FAULT_TLS;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return WISP_WEB_FAULT_CERTIFICATE;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_FAIL_REWIND:
        return WISP_WEB_FAULT_BROKEN;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
        return WISP_WEB_FAULT_PROTOCOL;
    default:
        return WISP_WEB_FAULT_OTHER;
    }
}

static void follow(struct wisp_web_request *request, const char *target)
{
    struct wisp_err err = {0};
    if (wisp_web_turn_to(request, target, &err) < 0) {
        request->fault = WISP_WEB_FAULT_OTHER;
        fail(request, &err);
        return;
    }
    detach(request);
    send_request(request);
}

void wisp_web_complete(struct wisp_web_request *request, CURLcode code)
{
    struct wisp_err err = {0};
    char *target = NULL;
    if (request->is_cancelled) {
        dispose(request);
        return;
    }
    if (request->failure.kind) {
        fail(request, &request->failure);
        return;
    }
    if (code != CURLE_OK) {
        request->fault = fault_of(request, code);
        wisp_err_set(&err, kind_of(code), "%s", request->detail[0] ? request->detail : curl_easy_strerror(code));
        fail(request, &err);
        return;
    }
    if (!request->head.is_complete || request->response.status < 200) { /* libcurl is content with a part of it */
        request->fault = WISP_WEB_FAULT_BROKEN;
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "the server closed the connection within its answer's head");
        fail(request, &err);
        return;
    }
    curl_easy_getinfo(request->easy, CURLINFO_REDIRECT_URL, &target);
    if (!wisp_web_is_redirect(request->response.status) || !target || request->ask.content_type || request->ask.method)
        finish(request, NULL);
    else
        follow(request, target);
}

/* --- start --- */

static char *copy(const char *text) { return text ? wisp_mem_dup(wisp_str_from(text)) : NULL; }

static bool is_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 && *text != '\t') return false;
    return true;
}

/* What would become another header, or another request. */
static int check(const struct wisp_web_ask *ask, struct wisp_err *err)
{
    if (ask->method && (!ask->method[0] || strpbrk(ask->method, " \t\r\n")))
        return wisp_err_set(err, WISP_ERR_INVALID, "the method is no word");
    for (size_t i = 0; i < ask->n_headers; i++)
        if (!ask->headers[i].name[0] || strpbrk(ask->headers[i].name, " \t\r\n:;") || !is_line(ask->headers[i].value))
            return wisp_err_set(err, WISP_ERR_INVALID, "header %zu can't be sent", i);
    return 0;
}

struct wisp_web_request *wisp_web_start(struct wisp_web *web, const struct wisp_web_ask *ask)
{
    struct wisp_web_request *request = wisp_mem_calloc(1, sizeof *request);
    request->web = web;
    request->ask = *ask;
    request->ask.url = copy(ask->url);
    request->ask.method = copy(ask->method);
    request->ask.target = copy(ask->target);
    request->ask.authorization = copy(ask->authorization);
    request->ask.accept = copy(ask->accept);
    request->ask.content_type = copy(ask->content_type);
    request->head.keeps_fields = ask->on_head != NULL;
    uv_timer_init(web->loop, &request->stall);
    uv_timer_init(web->loop, &request->nudge);
    request->stall.data = request->nudge.data = request;
    if (check(ask, &request->failure) < 0) {
        request->fault = WISP_WEB_FAULT_CALLER;
        nudge(request);
        return request;
    }
    send_request(request);
    request->ask.headers = NULL;
    request->ask.n_headers = 0;
    return request;
}
