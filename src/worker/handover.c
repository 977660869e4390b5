/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/handover.h"

#include "base/mem.h"
#include "worker/frame.h"
#include "worker/orders.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CLIENTS_MAX = 4 };

static int fill_address(struct sockaddr_un *address, const char *path, struct wisp_err *err)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size >= sizeof address->sun_path)
        return wisp_err_set(err, WISP_ERR_INVALID, "`%s` is too long for the name of a socket", path);
    memcpy(address->sun_path, path, size + 1);
    return 0;
}

/* The process at the other end runs as we do. */
static bool is_same_user(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

/* --- the worker --- */

struct wisp_handover {
    struct wisp_handover_handler handler;
    void *env;
    uv_poll_t poll;
    int fd;
    struct sockaddr_un address;
    struct wisp_orders *clients[CLIENTS_MAX];
    struct wisp_orders *asking; /* in on_handover */
    uint32_t n_given;
};

static void hand_over(struct wisp_handover *handover, struct wisp_orders *client)
{
    handover->asking = client;
    handover->n_given = 0;
    handover->handler.on_handover(handover, handover->env);
    handover->asking = NULL;
    wisp_orders_send(client, json_pack("{s:s, s:I}", "is", "handed-over", "listeners", (json_int_t)handover->n_given),
                     -1);
}

void wisp_handover_give(struct wisp_handover *handover, const char *address, int fd)
{
    assert(handover->asking);
    json_t *frame = json_pack("{s:s, s:o}", "is", "listener", "address", wisp_json_text(wisp_str_from(address)));
    wisp_orders_send(handover->asking, frame, fd);
    handover->n_given++;
}

static void on_order(struct wisp_orders *client, const json_t *order, int fd, void *env)
{
    struct wisp_handover *handover = env;
    if (fd >= 0) close(fd);
    struct wisp_str what = wisp_json_str(order, "do");
    if (wisp_str_is(what, "handover"))
        hand_over(handover, client);
    else if (wisp_str_is(what, "drain"))
        handover->handler.on_drain(handover->env);
}

static void on_client_closed(struct wisp_orders *client, const struct wisp_err *err, void *env)
{
    (void)err;
    struct wisp_handover *handover = env;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (handover->clients[i] == client) handover->clients[i] = NULL;
    wisp_orders_free(client);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    static const struct wisp_orders_handler handler = {on_order, on_client_closed};
    (void)status, (void)events;
    struct wisp_handover *handover = poll->data;
    WISP_CLEANUP_FD int fd = accept4(handover->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || !is_same_user(fd)) return;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (handover->clients[i]) continue;
        if (wisp_orders_new(&handover->clients[i], poll->loop, WISP_TAKE_FD(fd), &handler, handover, NULL) < 0)
            handover->clients[i] = NULL;
        return;
    }
}

/* Before anybody can connect, the file is nobody else's. */
static int open_socket(struct wisp_handover *handover, struct wisp_err *err)
{
    const struct sockaddr *address = (const struct sockaddr *)(const void *)&handover->address;
    handover->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(handover->address.sun_path);
    if (handover->fd < 0 || bind(handover->fd, address, sizeof handover->address) < 0 ||
        chmod(handover->address.sun_path, 0600) < 0 || listen(handover->fd, CLIENTS_MAX) < 0)
        return wisp_err_os(err, errno, "listen on `%s`", handover->address.sun_path);
    return 0;
}

static void print_path(struct wisp_buf *path, const char *dir, pid_t pid)
{
    wisp_buf_printf(path, "%s/worker-%d.sock", dir, (int)pid);
    wisp_buf_append_char(path, '\0');
}

int wisp_handover_new(struct wisp_handover **ret_handover, uv_loop_t *loop, const char *dir,
                      const struct wisp_handover_handler *handler, void *env, struct wisp_err *err)
{
    struct wisp_handover *handover = wisp_mem_calloc(1, sizeof *handover);
    handover->fd = -1;
    handover->handler = *handler;
    handover->env = env;
    WISP_CLEANUP_BUF struct wisp_buf path = {0};
    print_path(&path, dir, getpid());
    int r = fill_address(&handover->address, path.data, err);
    if (r == 0) r = open_socket(handover, err);
    if (r == 0) r = uv_poll_init(loop, &handover->poll, handover->fd);
    if (r < 0) {
        wisp_fd_closep(&handover->fd);
        free(handover);
        return r;
    }
    handover->poll.data = handover;
    uv_poll_start(&handover->poll, UV_READABLE, on_connection);
    *ret_handover = handover;
    return 0;
}

void wisp_handover_forget(const char *dir, pid_t pid)
{
    WISP_CLEANUP_BUF struct wisp_buf path = {0};
    print_path(&path, dir, pid);
    (void)unlink(path.data);
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

void wisp_handover_free(struct wisp_handover *handover)
{
    if (!handover) return;
    (void)unlink(handover->address.sun_path);
    for (size_t i = 0; i < CLIENTS_MAX; i++) wisp_orders_free(handover->clients[i]);
    uv_close((uv_handle_t *)&handover->poll, on_closed);
    wisp_fd_closep(&handover->fd);
}

/* --- the control process --- */

static int connect_to(int *ret_fd, const char *path, struct wisp_err *err)
{
    struct sockaddr_un address;
    int r = fill_address(&address, path, err);
    if (r < 0) return r;
    WISP_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return wisp_err_os(err, errno, "connect to `%s`", path);
    if (connect(fd, (const struct sockaddr *)(const void *)&address, sizeof address) < 0)
        return errno == ECONNREFUSED || errno == ENOENT
                   ? wisp_err_set(err, WISP_ERR_UNAVAILABLE, "nobody listens on `%s`", path)
                   : wisp_err_os(err, errno, "connect to `%s`", path);
    if (!is_same_user(fd)) return wisp_err_set(err, WISP_ERR_DENIED, "`%s` is another user's", path);
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

static bool tell(int fd, const char *what)
{
    WISP_CLEANUP_JSON json_t *order = json_pack("{s:s}", "do", what);
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    wisp_frame_print(order, false, &bytes);
    return wisp_frame_send(fd, bytes.data, bytes.len, -1) == (ssize_t)bytes.len;
}

/* True when it was the last. */
static bool take_frame(struct wisp_handover_taken *taken, const json_t *frame, int fd)
{
    WISP_CLEANUP_FD int owned = fd;
    struct wisp_str what = wisp_json_str(frame, "is"), address = wisp_json_str(frame, "address");
    if (wisp_str_is(what, "listener") && fd >= 0 && taken->n_listeners < WISP_HANDOVER_LISTENERS_MAX) {
        taken->listeners = wisp_mem_realloc(taken->listeners, (taken->n_listeners + 1) * sizeof *taken->listeners);
        taken->listeners[taken->n_listeners++] =
            (struct wisp_handover_listener){wisp_mem_dup(address), WISP_TAKE_FD(owned)};
    }
    return wisp_str_is(what, "handed-over");
}

static uint64_t now_ms(void) { return uv_hrtime() / 1000000; }

static int receive_all(struct wisp_handover_taken *taken, struct wisp_frame_reader *reader, uint64_t deadline_ms,
                       struct wisp_err *err)
{
    for (;;) {
        json_t *frame;
        int fd;
        int r = wisp_frame_next(reader, &frame, &fd, err);
        if (r < 0) return r;
        if (r > 0) {
            bool is_last = take_frame(taken, frame, fd);
            json_decref(frame);
            if (is_last) return 0;
            continue;
        }
        uint64_t now = now_ms();
        struct pollfd watch = {.fd = taken->fd, .events = POLLIN};
        if (now >= deadline_ms || poll(&watch, 1, (int)(deadline_ms - now)) == 0)
            return wisp_err_set(err, WISP_ERR_TIMEOUT, "the worker doesn't answer");
        ssize_t n = wisp_frame_receive(reader, taken->fd);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "the worker ended");
    }
}

int wisp_handover_take(struct wisp_handover_taken *ret_taken, const char *path, uint32_t timeout_ms,
                       struct wisp_err *err)
{
    struct wisp_handover_taken taken = {.fd = -1};
    struct wisp_frame_reader reader = {0};
    int r = connect_to(&taken.fd, path, err);
    if (r == 0 && !tell(taken.fd, "handover")) r = wisp_err_set(err, WISP_ERR_UNAVAILABLE, "the worker ended");
    if (r == 0) r = receive_all(&taken, &reader, now_ms() + timeout_ms, err);
    wisp_frame_reader_deinit(&reader);
    if (r < 0) {
        wisp_handover_taken_deinit(&taken);
        (void)wisp_err_wrap(err, "hand-over by `%s`", path);
        return r;
    }
    *ret_taken = taken;
    return 0;
}

void wisp_handover_drain(const struct wisp_handover_taken *taken) { (void)tell(taken->fd, "drain"); }

void wisp_handover_taken_deinit(struct wisp_handover_taken *taken)
{
    for (size_t i = 0; i < taken->n_listeners; i++) {
        free(taken->listeners[i].address);
        wisp_fd_closep(&taken->listeners[i].fd);
    }
    free(taken->listeners);
    wisp_fd_closep(&taken->fd);
    *taken = (struct wisp_handover_taken){.fd = -1};
}
