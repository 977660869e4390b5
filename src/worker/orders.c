/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/orders.h"

#include "base/mem.h"
#include "worker/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A frame on its way. */
struct unsent {
    struct unsent *next;
    struct wisp_buf bytes;
    size_t n_sent;
    int fd; /* -1: none, or sent */
};

struct wisp_orders {
    struct wisp_orders_handler handler;
    void *env;
    uv_poll_t poll;
    int fd; /* -1: closed */
    struct wisp_frame_reader reader;
    struct unsent *first, *last;
    size_t unsent_size;
    bool is_freed, is_handle_gone; /* both: nobody needs the memory */
};

static void on_event(uv_poll_t *poll, int status, int events);

/* --- the end --- */

static void on_closed(uv_handle_t *handle)
{
    struct wisp_orders *orders = handle->data;
    orders->is_handle_gone = true;
    if (orders->is_freed) free(orders);
}

static void drop_first(struct wisp_orders *orders)
{
    struct unsent *frame = orders->first;
    orders->first = frame->next;
    if (!orders->first) orders->last = NULL;
    orders->unsent_size -= frame->bytes.len;
    wisp_buf_deinit(&frame->bytes);
    wisp_fd_closep(&frame->fd);
    free(frame);
}

static void close_socket(struct wisp_orders *orders)
{
    if (orders->fd < 0) return;
    /* In this order: a handle that is closed after its descriptor takes the next owner of that number off the loop. */
    uv_close((uv_handle_t *)&orders->poll, on_closed);
    wisp_fd_closep(&orders->fd);
    while (orders->first) drop_first(orders);
    wisp_frame_reader_deinit(&orders->reader);
    orders->reader = (struct wisp_frame_reader){0};
}

void wisp_orders_free(struct wisp_orders *orders)
{
    if (!orders) return;
    close_socket(orders);
    orders->is_freed = true;
    if (orders->is_handle_gone) free(orders);
}

static void tell_closed(struct wisp_orders *orders, const struct wisp_err *err)
{
    close_socket(orders);
    if (orders->handler.on_closed) orders->handler.on_closed(orders, err, orders->env);
}

/* --- writing --- */

static void watch(struct wisp_orders *orders)
{
    int events = UV_READABLE | (orders->first ? UV_WRITABLE : 0);
    (void)uv_poll_start(&orders->poll, events, on_event);
}

/* An error shows as the end of reading too, and is told from there. */
static void send_some(struct wisp_orders *orders)
{
    while (orders->first) {
        struct unsent *frame = orders->first;
        ssize_t n =
            wisp_frame_send(orders->fd, frame->bytes.data + frame->n_sent, frame->bytes.len - frame->n_sent, frame->fd);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) break;
        wisp_fd_closep(&frame->fd);
        frame->fd = -1;
        frame->n_sent += (size_t)n;
        if (frame->n_sent == frame->bytes.len) drop_first(orders);
    }
    while (orders->first) drop_first(orders);
}

void wisp_orders_send(struct wisp_orders *orders, json_t *order_taken, int fd)
{
    WISP_CLEANUP_JSON json_t *order = order_taken;
    if (orders->fd < 0) return;
    struct unsent *frame = wisp_mem_calloc(1, sizeof *frame);
    frame->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    wisp_frame_print(order, frame->fd >= 0, &frame->bytes);
    if (orders->last)
        orders->last->next = frame;
    else
        orders->first = frame;
    orders->last = frame;
    orders->unsent_size += frame->bytes.len;
    if (orders->unsent_size > WISP_ORDERS_UNSENT_MAX) {
        (void)shutdown(orders->fd, SHUT_RDWR); /* seen when reading */
        return;
    }
    send_some(orders);
    watch(orders);
}

size_t wisp_orders_unsent(const struct wisp_orders *orders) { return orders->unsent_size; }

/* --- reading --- */

/* Zero when there is nothing more for now. */
static int take_frames(struct wisp_orders *orders, struct wisp_err *err)
{
    for (;;) {
        json_t *frame = NULL;
        int fd = -1;
        int r = wisp_frame_next(&orders->reader, &frame, &fd, err);
        if (r <= 0) return r;
        orders->handler.on_order(orders, frame, fd, orders->env);
        json_decref(frame);
        if (orders->fd < 0) return 0;
    }
}

static void receive(struct wisp_orders *orders)
{
    struct wisp_err err = {0};
    ssize_t n = wisp_frame_receive(&orders->reader, orders->fd);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) {
        tell_closed(orders, &err);
        return;
    }
    if (take_frames(orders, &err) < 0 && !orders->is_freed) tell_closed(orders, &err);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct wisp_orders *orders = poll->data;
    if (status < 0 || events & (UV_READABLE | UV_DISCONNECT)) receive(orders);
    if (orders->fd < 0) return;
    if (events & UV_WRITABLE) {
        send_some(orders);
        watch(orders);
    }
}

int wisp_orders_new(struct wisp_orders **ret_orders, uv_loop_t *loop, int fd, const struct wisp_orders_handler *handler,
                    void *env, struct wisp_err *err)
{
    struct wisp_orders *orders = wisp_mem_calloc(1, sizeof *orders);
    int flags = fcntl(fd, F_GETFL);
    int r = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : uv_poll_init(loop, &orders->poll, fd);
    if (r < 0) {
        close(fd);
        free(orders);
        return wisp_err_os(err, -r, "watch the channel of orders");
    }
    orders->fd = fd;
    orders->handler = *handler;
    orders->env = env;
    orders->poll.data = orders;
    watch(orders);
    *ret_orders = orders;
    return 0;
}
