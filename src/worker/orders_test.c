/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/orders.h"

#include "base/mem.h"
#include "test.h"
#include "worker/frame.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct end {
    struct wisp_orders *orders;
    int n_orders, n_fds, n_closed;
    struct wisp_err err;
    long long sum;
    char last[64];
    struct end *stops; /* when an order "stop" comes */
};

static uv_loop_t loop;
static struct end near_end, far_end;

static void on_order(struct wisp_orders *orders, const json_t *order, int fd, void *env)
{
    struct end *end = env;
    CHECK(orders == end->orders);
    end->n_orders++;
    end->sum += (long long)wisp_json_u64(order, "n", 0);
    struct wisp_str kind = wisp_json_str(order, "do");
    snprintf(end->last, sizeof end->last, "%.*s", WISP_STR_ARG(kind));
    if (fd >= 0) {
        struct stat status;
        CHECK_INT(fstat(fd, &status), 0);
        end->n_fds++;
        close(fd);
    }
    if (wisp_str_is(kind, "free")) wisp_orders_free(WISP_TAKE(end->orders));
}

static void on_closed(struct wisp_orders *orders, const struct wisp_err *err, void *env)
{
    struct end *end = env;
    CHECK(orders == end->orders);
    end->n_closed++;
    end->err = *err;
}

static const struct wisp_orders_handler handler = {on_order, on_closed};

static void open_end(struct end *end, int fd)
{
    struct wisp_err err = {0};
    CHECK_OK(wisp_orders_new(&end->orders, &loop, fd, &handler, end, &err), &err);
}

/* The far end is a bare socket when `is_bare`. */
static int start(bool is_bare)
{
    int fds[2];
    uv_loop_init(&loop);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    open_end(&near_end, fds[0]);
    if (!is_bare) open_end(&far_end, fds[1]);
    return fds[1];
}

static void stop(void)
{
    wisp_orders_free(near_end.orders);
    wisp_orders_free(far_end.orders);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&loop), 0);
}

static void turn_until(const int *counter, int value)
{
    for (int i = 0; i < 10000 && *counter < value; i++) uv_run(&loop, UV_RUN_ONCE);
    CHECK_INT(*counter, value);
}

TEST(orders_and_descriptors_arrive_in_order)
{
    start(false);
    int pipes[2];
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    for (int i = 0; i < 3; i++) {
        wisp_orders_send(near_end.orders, json_pack("{s:s, s:i}", "do", "a", "n", i), -1);
        wisp_orders_send(near_end.orders, json_pack("{s:s}", "do", "b"), pipes[0]);
    }
    wisp_orders_send(far_end.orders, json_pack("{s:s}", "is", "ready"), -1);
    turn_until(&far_end.n_orders, 6);
    CHECK_INT(far_end.n_fds, 3);
    CHECK_INT(far_end.sum, 3);
    CHECK_TEXT(far_end.last, "b");
    turn_until(&near_end.n_orders, 1);
    close(pipes[0]);
    close(pipes[1]);
    stop();
}

TEST(more_than_the_socket_takes_at_once)
{
    start(false);
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    for (int i = 0; i < 300000; i++) wisp_buf_append_char(&text, 'x');
    for (int i = 0; i < 40; i++) {
        json_t *order = json_pack("{s:s, s:i}", "do", "big", "n", i);
        json_object_set_new(order, "text", wisp_json_text(wisp_buf_str(&text)));
        wisp_orders_send(near_end.orders, order, i % 2 ? null_fd : -1);
    }
    turn_until(&far_end.n_orders, 40);
    CHECK_INT(far_end.sum, 780);
    CHECK_INT(far_end.n_fds, 20);
    close(null_fd);
    stop();
}

TEST(end_of_the_other_side_is_told_once)
{
    start(false);
    wisp_orders_send(near_end.orders, json_pack("{s:s}", "do", "last"), -1);
    wisp_orders_free(WISP_TAKE(near_end.orders));
    turn_until(&far_end.n_closed, 1);
    CHECK_INT(far_end.n_orders, 1);
    CHECK_INT(far_end.err.kind, WISP_ERR_NONE);
    wisp_orders_send(far_end.orders, json_pack("{s:s}", "do", "nobody"), -1);
    stop();
    CHECK_INT(far_end.n_closed, 1);
}

TEST(freed_by_an_order)
{
    start(false);
    wisp_orders_send(near_end.orders, json_pack("{s:s}", "do", "free"), -1);
    wisp_orders_send(near_end.orders, json_pack("{s:s}", "do", "too late"), -1);
    turn_until(&near_end.n_closed, 1);
    CHECK_INT(far_end.n_orders, 1);
    CHECK(!far_end.orders);
    stop();
}

TEST(broken_frames_end_the_connection)
{
    static const struct {
        struct wisp_str bytes;
        enum wisp_err_kind kind;
    } cases[] = {
        {WISP_STR_INIT("\xff\xff\xff\x7f"), WISP_ERR_LIMIT},
        {WISP_STR_INIT("\x02\x00\x00\x80{}"), WISP_ERR_INVALID},
        {WISP_STR_INIT("\x02\x00\x00\x00{x"), WISP_ERR_INVALID},
        {WISP_STR_INIT("\x00\x00\x00\x00"), WISP_ERR_INVALID},
        {WISP_STR_INIT("\x09\x00\x00\x00{}"), WISP_ERR_NONE}, /* cut off */
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        near_end = (struct end){0};
        int fd = start(true);
        CHECK_INT(write(fd, cases[i].bytes.ptr, cases[i].bytes.len), cases[i].bytes.len);
        if (cases[i].kind == WISP_ERR_NONE) close(fd);
        turn_until(&near_end.n_closed, 1);
        CHECK_INT(near_end.err.kind, cases[i].kind);
        CHECK_INT(near_end.n_orders, 0);
        if (cases[i].kind != WISP_ERR_NONE) close(fd);
        stop();
    }
}

TEST(flood_of_descriptors_ends_the_connection)
{
    int fd = start(true);
    for (int i = 0; i < 40; i++) CHECK_INT(wisp_frame_send(fd, "\x10", 1, STDERR_FILENO), 1);
    turn_until(&near_end.n_closed, 1);
    CHECK_INT(near_end.err.kind, WISP_ERR_LIMIT);
    close(fd);
    stop();
}
