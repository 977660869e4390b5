/* SPDX-License-Identifier: Apache-2.0 */
#include "web/web_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { CERTIFICATES_MAX = 16 << 20 };

/* --- libcurl's sockets and timer on the loop --- */

static void drain(struct wisp_web *web)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(web->multi, &left))) {
        struct wisp_web_request *request = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
        wisp_web_complete(request, code);
    }
}

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
    struct wisp_web *web = env;
    struct watch *watch = assigned;
    if (what == CURL_POLL_REMOVE) {
        wisp_web_lost_interest(easy);
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
    if (options->n_ca_paths == 0 && !options->no_system_ca) return 0;
    if (options->no_system_ca)
        wisp_buf_append_char(&web->certificates, '\n'); /* even if it is all: nobody is trusted then */
    else if (version->age >= CURLVERSION_SEVENTH && version->cainfo && access(version->cainfo, R_OK) == 0) {
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
