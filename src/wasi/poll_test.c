/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/test_double.h"

struct list {
    struct wisp_pollable **ptr;
    size_t len;
};
struct indices {
    uint32_t *ptr;
    size_t len;
};

static int poll_list(struct wisp_pollable **pollables, size_t n, struct indices *ret_ready)
{
    return INVOKE(wisp_wasi_io_poll, "poll", (&(struct list){pollables, n}), ret_ready);
}

static struct wisp_pollable *after_ns(uint64_t duration)
{
    struct wisp_pollable *pollable;
    CHECK_INT(INVOKE(wisp_wasi_clocks_monotonic_clock, "subscribe-duration", &duration, &pollable), 0);
    return pollable;
}

static uint64_t now_ns(void)
{
    uint64_t now;
    CHECK_INT(fake_invoke(&wisp_wasi_clocks_monotonic_clock, "now", NULL, 0, &now, sizeof now), 0);
    return now;
}

static bool is_ready(struct wisp_pollable *pollable)
{
    bool ready;
    CHECK_INT(INVOKE(wisp_wasi_io_poll, "[method]pollable.ready", &pollable, &ready), 0);
    return ready;
}

static int block(struct wisp_pollable *pollable)
{
    return fake_invoke(&wisp_wasi_io_poll, "[method]pollable.block", &pollable, sizeof pollable, NULL, 0);
}

static void drop(struct wisp_pollable *pollable) { CHECK(!fake_drop(&wisp_wasi_io_poll, "pollable", pollable)); }

TEST(empty_list_traps)
{
    fake_start();
    struct indices ready;
    CHECK(poll_list(NULL, 0, &ready) < 0);
    CHECK_HAS(fake.trap, "an empty list of pollables");
    fake_stop();
}

TEST(too_many_pollables_trap)
{
    fake_start();
    struct wisp_pollable *one = wisp_pollable_ready_new(&fake.wasi), *many[16385];
    for (size_t i = 0; i < WISP_COUNT(many); i++) many[i] = one;
    struct indices ready;
    CHECK(poll_list(many, WISP_COUNT(many), &ready) < 0);
    CHECK_TEXT(fake.trap, "16385 pollables at once, where 16384 are allowed");
    CHECK_INT(poll_list(many, WISP_COUNT(many) - 1, &ready), 0);
    CHECK_INT(ready.len, 16384);
    drop(one);
    fake_stop();
}

TEST(ready_ones_are_told_without_waiting)
{
    fake_start();
    struct wisp_pollable *list[] = {after_ns(UINT64_MAX), wisp_pollable_ready_new(&fake.wasi), after_ns(0),
                                    after_ns(10000000000)};
    struct indices ready;
    CHECK_INT(poll_list(list, 4, &ready), 0);
    CHECK_INT(ready.len, 2);
    CHECK_INT(ready.ptr[0], 1);
    CHECK_INT(ready.ptr[1], 2);
    CHECK_INT(fake.n_suspensions, 0);
    CHECK(!fake.wasi.timer);
    for (size_t i = 0; i < 4; i++) drop(list[i]);
    fake_stop();
}

TEST(waits_for_the_earliest)
{
    fake_start();
    struct wisp_pollable *list[] = {after_ns(UINT64_MAX), after_ns(3600000000000), after_ns(20000000),
                                    after_ns(60000000000)};
    uint64_t start = now_ns();
    struct indices ready;
    CHECK_INT(poll_list(list, 4, &ready), 0);
    CHECK_INT(ready.len, 1);
    CHECK_INT(ready.ptr[0], 2);
    CHECK(now_ns() - start >= 19000000);
    CHECK(now_ns() - start < 10000000000);
    CHECK(fake.n_suspensions >= 1);
    /* Nothing is left running. */
    CHECK_INT(uv_run(&fake.loop, UV_RUN_NOWAIT), 0);
    for (size_t i = 0; i < 4; i++) drop(list[i]);
    fake_stop();
}

TEST(block_waits_again_and_again)
{
    fake_start();
    for (int i = 0; i < 5; i++) {
        uint64_t start = now_ns();
        struct wisp_pollable *pollable = after_ns(1500000);
        CHECK(!is_ready(pollable));
        CHECK_INT(block(pollable), 0);
        CHECK(is_ready(pollable));
        CHECK(now_ns() - start >= 1500000);
        drop(pollable);
    }
    fake_stop();
}

TEST(stale_loop_time_does_not_shorten_the_wait)
{
    fake_start();
    uv_update_time(&fake.loop);
    uint64_t start = uv_hrtime();
    while (uv_hrtime() - start < 30000000) continue;
    struct wisp_pollable *pollable = after_ns(20000000);
    CHECK_INT(block(pollable), 0);
    CHECK_INT(fake.n_suspensions, 1);
    drop(pollable);
    fake_stop();
}

TEST(instants_are_those_of_now)
{
    fake_start();
    uint64_t when = now_ns() + 5000000;
    struct wisp_pollable *pollable;
    CHECK_INT(INVOKE(wisp_wasi_clocks_monotonic_clock, "subscribe-instant", &when, &pollable), 0);
    CHECK_INT(block(pollable), 0);
    CHECK(now_ns() >= when);
    drop(pollable);
    when = 0;
    CHECK_INT(INVOKE(wisp_wasi_clocks_monotonic_clock, "subscribe-instant", &when, &pollable), 0);
    CHECK(is_ready(pollable));
    drop(pollable);
    fake_stop();
}

TEST(cancelled_while_waiting)
{
    fake_start();
    struct wisp_pollable *pollable = after_ns(UINT64_MAX);
    fake.is_cancelled = true;
    CHECK_INT(block(pollable), -(int)WISP_ERR_CANCELLED);
    struct indices ready;
    CHECK_INT(poll_list(&pollable, 1, &ready), -(int)WISP_ERR_CANCELLED);
    /* The armed timer goes with the invocation. */
    drop(pollable);
    fake_stop();
}

TEST(clocks_tell_the_time)
{
    fake_start();
    struct {
        uint64_t seconds;
        uint32_t nanoseconds;
    } wall, resolution;
    CHECK_INT(fake_invoke(&wisp_wasi_clocks_wall_clock, "now", NULL, 0, &wall, sizeof wall), 0);
    CHECK(wall.seconds > 1700000000);
    CHECK(wall.nanoseconds < 1000000000);
    CHECK_INT(fake_invoke(&wisp_wasi_clocks_wall_clock, "resolution", NULL, 0, &resolution, sizeof resolution), 0);
    CHECK(resolution.seconds == 0 && resolution.nanoseconds > 0 && resolution.nanoseconds < 1000000000);
    uint64_t tick, before = now_ns();
    CHECK_INT(fake_invoke(&wisp_wasi_clocks_monotonic_clock, "resolution", NULL, 0, &tick, sizeof tick), 0);
    CHECK(tick > 0);
    CHECK(now_ns() >= before);
    fake_stop();
}
