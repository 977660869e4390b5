/* SPDX-License-Identifier: Apache-2.0 */
#include "web/web.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    REDIRECTS_MAX = 5,
    CONNECT_TIMEOUT_MS = 10 * 1000,
    CERTIFICATES_MAX = 16 << 20,
    HEADER_VALUE_MAX = 8 * 1024,
    RECEIVE_SIZE = 128 * 1024,
};

struct wisp_web {
    CURLM *multi;
    uv_loop_t *loop;
    uv_timer_t timer;
    struct wisp_buf certificates; /* PEM; empty: libcurl's own */
    uint64_t stall_timeout_ms;
    bool is_freed;
};

struct wisp_web_request {
    struct wisp_web *web;
    struct wisp_web_ask ask; /* strings are ours */
    CURL *easy;
    struct curl_slist *headers;
    uv_timer_t stall;
    unsigned n_redirects;
    struct wisp_web_response response;
    struct wisp_err failure; /* of on_body */
    char detail[CURL_ERROR_SIZE];
};

static void drain(struct wisp_web *web);

/* --- libcurl's sockets and timer on the loop --- */

struct watch {
    uv_poll_t poll;
    struct wisp_web *web;
    curl_socket_t socket;
};

static void free_watch(uv_handle_t *handle) { free(handle->data); }

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct wisp_web *web = watch->web;
    int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) |
                (status < 0 ? CURL_CSELECT_ERR : 0);
    int running;
    curl_multi_socket_action(web->multi, watch->socket, flags, &running);
    drain(web);
}

static struct watch *new_watch(struct wisp_web *web, curl_socket_t socket)
{
    struct watch *watch = wisp_mem_calloc(1, sizeof *watch);
    watch->web = web;
    watch->socket = socket;
    watch->poll.data = watch;
    if (uv_poll_init(web->loop, &watch->poll, socket) < 0) {
        free(watch);
        return NULL;
    }
    curl_multi_assign(web->multi, socket, watch);
    return watch;
}

static int want_socket(CURL *easy, curl_socket_t socket, int what, void *env, void *assigned)
{
    (void)easy;
    struct wisp_web *web = env;
    struct watch *watch = assigned;
    if (what == CURL_POLL_REMOVE) {
        if (!watch) return 0;
        curl_multi_assign(web->multi, socket, NULL);
        uv_close((uv_handle_t *)&watch->poll, free_watch);
        return 0;
    }
    if (!watch) watch = new_watch(web, socket);
    if (!watch) return -1;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watch->poll, events, on_socket) < 0 ? -1 : 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct wisp_web *web = timer->data;
    int running;
    curl_multi_socket_action(web->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    drain(web);
}

static int want_timer(CURLM *multi, long timeout_ms, void *env)
{
    (void)multi;
    struct wisp_web *web = env;
    if (web->is_freed) return 0;
    if (timeout_ms < 0)
        uv_timer_stop(&web->timer);
    else
        uv_timer_start(&web->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

/* --- certificates --- */

static int add_file(const char *path, struct wisp_buf *out, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return wisp_err_os(err, errno, "certificates `%s`", path);
    for (;;) {
        ssize_t n = read(fd, wisp_buf_reserve(out, 64 * 1024), 64 * 1024);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wisp_err_os(err, errno, "certificates `%s`", path);
        if (n == 0) break;
        out->len += (size_t)n;
        if (out->len > CERTIFICATES_MAX)
            return wisp_err_set(err, WISP_ERR_LIMIT, "certificates `%s` are too large", path);
    }
    wisp_buf_append_char(out, '\n');
    return 0;
}

/* libcurl takes one bundle: the system's and ours become one. */
static int load_certificates(struct wisp_web *web, const struct wisp_web_options *options, struct wisp_err *err)
{
    const curl_version_info_data *version = curl_version_info(CURLVERSION_NOW);
    if (options->n_ca_paths == 0) return 0;
    if (version->age >= CURLVERSION_SEVENTH && version->cainfo && access(version->cainfo, R_OK) == 0) {
        int r = add_file(version->cainfo, &web->certificates, err);
        if (r < 0) return r;
    }
    for (size_t i = 0; i < options->n_ca_paths; i++) {
        int r = add_file(options->ca_paths[i], &web->certificates, err);
        if (r < 0) return r;
    }
    return 0;
}

/* --- life --- */

/* Writes to connections that are closed already are errors, not the end of the program. */
static void ignore_sigpipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

int wisp_web_new(struct wisp_web **ret_web, uv_loop_t *loop, const struct wisp_web_options *options,
                 struct wisp_err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return wisp_err_set(err, WISP_ERR_INTERNAL, "libcurl can't be used");
    ignore_sigpipe();
    struct wisp_web *web = wisp_mem_calloc(1, sizeof *web);
    web->loop = loop;
    web->stall_timeout_ms = options->stall_timeout_ms;
    int r = load_certificates(web, options, err);
    if (r < 0) {
        wisp_buf_deinit(&web->certificates);
        free(web);
        return r;
    }
    web->multi = curl_multi_init();
    if (!web->multi) wisp_mem_out(0);
    uv_timer_init(loop, &web->timer);
    web->timer.data = web;
    curl_multi_setopt(web->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(web->multi, CURLMOPT_SOCKETDATA, web);
    curl_multi_setopt(web->multi, CURLMOPT_TIMERFUNCTION, want_timer);
    curl_multi_setopt(web->multi, CURLMOPT_TIMERDATA, web);
    *ret_web = web;
    return 0;
}

static void free_web(uv_handle_t *handle)
{
    struct wisp_web *web = handle->data;
    wisp_buf_deinit(&web->certificates);
    free(web);
}

void wisp_web_free(struct wisp_web *web)
{
    if (!web) return;
    web->is_freed = true;
    curl_multi_cleanup(web->multi);
    uv_close((uv_handle_t *)&web->timer, free_web);
}

/* --- one request --- */

static void free_request(uv_handle_t *handle)
{
    struct wisp_web_request *request = handle->data;
    free((char *)(uintptr_t)request->ask.url);
    free((char *)(uintptr_t)request->ask.accept);
    free((char *)(uintptr_t)request->ask.content_type);
    if (request->ask.authorization) {
        explicit_bzero((char *)(uintptr_t)request->ask.authorization, strlen(request->ask.authorization));
        free((char *)(uintptr_t)request->ask.authorization);
    }
    wisp_buf_deinit(&request->response.challenge);
    wisp_buf_deinit(&request->response.digest);
    free(request);
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

void wisp_web_cancel(struct wisp_web_request *request)
{
    if (!request) return;
    detach(request);
    uv_close((uv_handle_t *)&request->stall, free_request);
}

static void finish(struct wisp_web_request *request, const struct wisp_err *err)
{
    detach(request);
    uv_timer_stop(&request->stall);
    request->ask.on_done(&request->response, err, request->ask.env);
    uv_close((uv_handle_t *)&request->stall, free_request);
}

/* "https://host/path" of a URL with a query. */
static struct wisp_str public_part(const char *url) { return (struct wisp_str){url, strcspn(url, "?#")}; }

static void fail(struct wisp_web_request *request, struct wisp_err *err)
{
    wisp_err_wrap(err, "%s %.*s", request->ask.content_type ? "post" : "get",
                  WISP_STR_ARG(public_part(request->ask.url)));
    finish(request, err);
}

static void on_stall(uv_timer_t *timer)
{
    struct wisp_web_request *request = timer->data;
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_TIMEOUT, "nothing arrived for %llu ms",
                 (unsigned long long)request->web->stall_timeout_ms);
    fail(request, &err);
}

/* --- what arrives --- */

static size_t on_bytes(char *bytes, size_t one, size_t n, void *env)
{
    struct wisp_web_request *request = env;
    (void)one;
    uv_timer_again(&request->stall);
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &request->response.status);
    if (!request->ask.on_body) return n;
    if (request->response.status >= 300 && request->response.status < 400) return n;
    struct wisp_str body = {bytes, n};
    return request->ask.on_body(&request->response, body, request->ask.env, &request->failure) == 0 ? n : 0;
}

static bool header_is(struct wisp_str line, struct wisp_str name, struct wisp_str *ret_value)
{
    struct wisp_str head;
    if (!wisp_str_split(line, ':', &head, ret_value) || !wisp_str_equal_nocase(head, name)) return false;
    while (ret_value->len && strchr(" \t", ret_value->ptr[0])) ret_value->ptr++, ret_value->len--;
    while (ret_value->len && strchr(" \t\r\n", ret_value->ptr[ret_value->len - 1])) ret_value->len--;
    return true;
}

static uint64_t leading_number(struct wisp_str text)
{
    uint64_t value = 0;
    size_t i;
    for (i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
        if (value > UINT64_MAX / 100) return UINT64_MAX;
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return i ? value : UINT64_MAX;
}

static void reset(struct wisp_web_response *response)
{
    response->status = 0;
    response->challenge.len = response->digest.len = 0;
    response->range_start = UINT64_MAX;
    response->retry_after_ms = 0;
}

static void note_header(struct wisp_web_response *response, struct wisp_str line)
{
    struct wisp_str value;
    if (wisp_str_starts_with(line, WISP_STR("HTTP/"))) {
        reset(response); /* the head of the next response: after 100 Continue, for example */
    } else if (header_is(line, WISP_STR("WWW-Authenticate"), &value)) {
        if (response->challenge.len + value.len > HEADER_VALUE_MAX) return;
        if (response->challenge.len) wisp_buf_append(&response->challenge, ", ", 2);
        wisp_buf_append_str(&response->challenge, value);
    } else if (header_is(line, WISP_STR("Docker-Content-Digest"), &value)) {
        response->digest.len = 0;
        if (value.len <= HEADER_VALUE_MAX) wisp_buf_append_str(&response->digest, value);
    } else if (header_is(line, WISP_STR("Content-Range"), &value)) {
        struct wisp_str bytes = WISP_STR("bytes ");
        if (wisp_str_starts_with(value, bytes))
            response->range_start = leading_number((struct wisp_str){value.ptr + bytes.len, value.len - bytes.len});
    } else if (header_is(line, WISP_STR("Retry-After"), &value)) {
        uint64_t seconds = leading_number(value);
        response->retry_after_ms = seconds < 3600 ? seconds * 1000 : 0;
    }
}

static size_t on_header(char *bytes, size_t one, size_t n, void *env)
{
    struct wisp_web_request *request = env;
    (void)one;
    uv_timer_again(&request->stall);
    note_header(&request->response, (struct wisp_str){bytes, n});
    return n;
}

/* --- going --- */

static void add_header(struct wisp_web_request *request, const char *name, const char *value)
{
    WISP_CLEANUP_BUF struct wisp_buf line = {0};
    wisp_buf_printf(&line, "%s: %s", name, value);
    wisp_buf_append_char(&line, '\0');
    struct curl_slist *headers = curl_slist_append(request->headers, line.data);
    if (!headers) wisp_mem_out(line.len);
    request->headers = headers;
    explicit_bzero(line.data, line.len);
}

static void set_up(struct wisp_web_request *request)
{
    CURL *easy = request->easy;
    curl_easy_setopt(easy, CURLOPT_URL, request->ask.url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "wisp");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->ask.timeout_ms);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_SIZE);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->detail);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
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
    add_header(request, "Expect", ""); /* never wait for 100 Continue */
    for (size_t i = 0; i < ask->n_headers; i++) add_header(request, ask->headers[i].name, ask->headers[i].value);
    curl_easy_setopt(request->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, ask->body.len ? ask->body.ptr : "");
    curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body.len);
}

static void send_request(struct wisp_web_request *request)
{
    reset(&request->response);
    request->easy = curl_easy_init();
    if (!request->easy) wisp_mem_out(0);
    if (request->ask.accept) add_header(request, "Accept", request->ask.accept);
    if (request->ask.authorization) add_header(request, "Authorization", request->ask.authorization);
    if (request->ask.content_type) set_up_post(request);
    set_up(request);
    uv_timer_start(&request->stall, on_stall, request->web->stall_timeout_ms, request->web->stall_timeout_ms);
    if (curl_multi_add_handle(request->web->multi, request->easy) != CURLM_OK) wisp_mem_out(0);
}

/* --- redirects --- */

struct origin {
    char *scheme, *host, *port;
};

static void origin_deinit(struct origin *origin)
{
    curl_free(origin->scheme);
    curl_free(origin->host);
    curl_free(origin->port);
}

static bool origin_of(const char *text, struct origin *ret_origin)
{
    CURLU *url = curl_url();
    bool ok = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_SCHEME, &ret_origin->scheme, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_HOST, &ret_origin->host, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_PORT, &ret_origin->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    curl_url_cleanup(url);
    return ok;
}

static bool same(const char *a, const char *b) { return wisp_str_equal_nocase(wisp_str_from(a), wisp_str_from(b)); }

/* Makes the request one for `target`. */
static int turn_to(struct wisp_web_request *request, const char *target, struct wisp_err *err)
{
    __attribute__((cleanup(origin_deinit))) struct origin from = {0}, to = {0};
    if (request->n_redirects++ == REDIRECTS_MAX)
        return wisp_err_set(err, WISP_ERR_DENIED, "more than %d redirects", REDIRECTS_MAX);
    if (!origin_of(request->ask.url, &from) || !origin_of(target, &to) ||
        (!same(to.scheme, "https") && !same(to.scheme, "http")))
        return wisp_err_set(err, WISP_ERR_DENIED, "redirected to something that is no URL of http or https");
    if (same(from.scheme, "https") && !same(to.scheme, "https"))
        return wisp_err_set(err, WISP_ERR_DENIED, "redirected from https to %s", to.scheme);
    if (request->ask.authorization &&
        !(same(from.scheme, to.scheme) && same(from.host, to.host) && same(from.port, to.port))) {
        explicit_bzero((char *)(uintptr_t)request->ask.authorization, strlen(request->ask.authorization));
        free((char *)(uintptr_t)request->ask.authorization);
        request->ask.authorization = NULL;
    }
    free((char *)(uintptr_t)request->ask.url);
    request->ask.url = wisp_mem_dup(wisp_str_from(target));
    return 0;
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

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void complete(struct wisp_web_request *request, CURLcode code)
{
    struct wisp_err err = {0};
    char *target = NULL;
    if (request->failure.kind) {
        fail(request, &request->failure);
        return;
    }
    if (code != CURLE_OK) {
        wisp_err_set(&err, kind_of(code), "%s", request->detail[0] ? request->detail : curl_easy_strerror(code));
        fail(request, &err);
        return;
    }
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &request->response.status);
    curl_easy_getinfo(request->easy, CURLINFO_REDIRECT_URL, &target);
    if (!is_redirect(request->response.status) || !target || request->ask.content_type) {
        finish(request, NULL);
        return;
    }
    int r = turn_to(request, target, &err);
    if (r < 0) {
        fail(request, &err);
        return;
    }
    detach(request);
    send_request(request);
}

static void drain(struct wisp_web *web)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(web->multi, &left))) {
        struct wisp_web_request *request = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
        complete(request, code);
    }
}

static char *copy(const char *text) { return text ? wisp_mem_dup(wisp_str_from(text)) : NULL; }

struct wisp_web_request *wisp_web_start(struct wisp_web *web, const struct wisp_web_ask *ask)
{
    struct wisp_web_request *request = wisp_mem_calloc(1, sizeof *request);
    request->web = web;
    request->ask = *ask;
    request->ask.url = copy(ask->url);
    request->ask.authorization = copy(ask->authorization);
    request->ask.accept = copy(ask->accept);
    request->ask.content_type = copy(ask->content_type);
    uv_timer_init(web->loop, &request->stall);
    request->stall.data = request;
    send_request(request);
    return request;
}
