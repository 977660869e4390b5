/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/wasi_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* How often to look at a descriptor that can't be watched. */
enum { RETRY_NS = 10 * 1000 * 1000 };

/* The loop doesn't watch the descriptor itself: libuv would set O_NONBLOCK on it, which everybody who shares it (the
 * shell, after we are gone) would feel, and can't watch one descriptor twice, which invocations that share a standard
 * stream would ask for. So it goes into an epoll set of its own, and the loop watches that. */
struct wisp_fd_watch {
    uv_poll_t handle;
    struct wisp_wasi *wasi;
    int epoll_fd;
};

bool wisp_fd_is_ready(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    int n;
    do n = poll(&one, 1, 0);
    while (n < 0 && errno == EINTR);
    return n != 0;
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    struct wisp_fd_watch *watch = handle->data;
    uv_poll_stop(handle);
    wisp_instance_wake(watch->wasi->instance);
}

static struct wisp_fd_watch *open_watch(struct wisp_wasi *wasi, int fd, short events)
{
    WISP_CLEANUP_FD int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) return NULL;
    struct epoll_event event = {.events = events & POLLIN ? EPOLLIN : EPOLLOUT};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) return NULL;
    struct wisp_fd_watch *watch = wisp_mem_calloc(1, sizeof *watch);
    if (uv_poll_init(wasi->loop, &watch->handle, epoll_fd) < 0) {
        free(watch);
        return NULL;
    }
    watch->handle.data = watch;
    watch->wasi = wasi;
    watch->epoll_fd = WISP_TAKE_FD(epoll_fd);
    return watch;
}

void wisp_fd_watch_arm(struct wisp_fd_watch **watch, struct wisp_wasi *wasi, int fd, short events)
{
    if (!*watch) *watch = open_watch(wasi, fd, events);
    if (!*watch || uv_poll_start(&(*watch)->handle, UV_READABLE, on_ready) < 0)
        wisp_wasi_wake_at(wasi, uv_hrtime() + RETRY_NS);
}

static void free_watch(uv_handle_t *handle)
{
    struct wisp_fd_watch *watch = handle->data;
    close(watch->epoll_fd);
    free(watch);
}

void wisp_fd_watch_close(struct wisp_fd_watch **watch)
{
    if (!*watch) return;
    uv_close((uv_handle_t *)&(*watch)->handle, free_watch);
    *watch = NULL;
}
