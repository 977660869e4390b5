/* SPDX-License-Identifier: Apache-2.0 */
/* Components that call each other within a worker: `front` answers HTTP and calls `calc`. */
#include "worker/hosting_rig.h"

#define ADDRESS "127.0.0.1:80"
#define LINKS                                                                                                          \
    "\"links\":[{\"name\":\"default\",\"interface\":\"test:calc/ops\",\"target\":\"calc\"},"                           \
    "{\"name\":\"default\",\"interface\":\"test:calc/next\",\"target\":\"calc\"}]"
#define SELF "\"links\":[{\"name\":\"default\",\"interface\":\"test:calc/next\",\"target\":\"calc\"}]"

static uint16_t start(const char *front_more, const char *calc_more)
{
    rig_start(1);
    rig_compile(rig.front);
    rig_compile(rig.calc);
    rig_run(0, "front", 1, 0, rig.front, front_more);
    if (calc_more) rig_run(0, "calc", 1, 1, rig.calc, calc_more);
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"front\"}");
    return rig_listen(0, ADDRESS);
}

static struct wisp_shared_counters counters_of(uint32_t slot)
{
    struct wisp_shared_counters sum;
    wisp_shared_read(rig.shared, slot, &sum);
    return sum;
}

TEST(values_go_there_and_back)
{
    uint16_t port = start(LINKS, SELF);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "\r\n\r\nhello");
    struct wisp_shared_counters calc = counters_of(1), front = counters_of(0);
    CHECK_INT(calc.calls, 2);
    CHECK_INT(calc.answered, 2);
    CHECK_INT(calc.instances, 0);
    CHECK(calc.guest_ns > 0 && front.guest_ns > 0);
    CHECK_INT(front.answered, 2);
    rig_stop(1);
}

TEST(many_calls_by_many_callers)
{
    uint16_t port = start(LINKS, SELF);
    int fds[12];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", 'B');
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    CHECK_INT(counters_of(1).answered, 1200);
    rig_stop(1);
}

TEST(callee_that_waits_lets_others_go_on)
{
    uint16_t port = start(LINKS, SELF);
    int fds[8];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", 'N');
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    CHECK(counters_of(1).instances_peak > 1);
    rig_stop(1);
}

TEST(one_inside_the_other)
{
    rig.instances_max = 100;
    uint16_t port = start(LINKS, SELF);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'D'), "hello from the guest");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'V'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "32 components call each other, one inside the other");
    CHECK_INT(counters_of(1).instances, 0);
    CHECK_INT(counters_of(1).instances_peak, 31);
    rig_stop(1);
}

TEST(full_pool_does_not_wait_for_itself)
{
    rig.instances_max = 12;
    uint16_t port = start(LINKS, SELF);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'D'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "all instances are busy");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    CHECK_INT(counters_of(1).instances, 0);
    rig_stop(1);
}

TEST(trap_of_the_callee_is_told_to_the_caller)
{
    uint16_t port = start(LINKS, SELF);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'T'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "test:calc/ops@0.1.0#trap: component `calc`: ");
    CHECK_HAS(rig_log(), "unreachable");
    CHECK_INT(counters_of(1).traps, 1);
    CHECK_INT(counters_of(0).traps, 1);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    rig_stop(1);
}

TEST(missing_link_traps)
{
    uint16_t port = start("", SELF);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "failed to find a configured link with name `default` for interface `test:calc/ops`");
    /* And a new link is used by the next call. */
    rig_run(0, "front", 1, 0, rig.front, LINKS);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    rig_run(0, "front", 1, 0, rig.front, "\"links\":[]");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 500 ");
    rig_stop(1);
}

TEST(target_that_is_not_here_traps_without_a_bus)
{
    uint16_t port = start(LINKS, NULL);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "there is no bus");
    rig_run(0, "calc", 1, 1, rig.calc, SELF);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    rig_order(0, json_pack("{s:s, s:s}", "do", "remove", "id", "calc"), -1);
    rig_expect(0, "component-gone", "calc");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 500 ");
    rig_stop(1);
}

TEST(target_of_another_type_traps)
{
    uint16_t port =
        start("\"links\":[{\"name\":\"default\",\"interface\":\"test:calc/ops\",\"target\":\"front\"}]", NULL);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "component `front` does not export it");
    rig_stop(1);
}

TEST(busy_callee_ends_with_its_time)
{
    uint16_t port = start(LINKS, SELF ",\"timeout_ms\":100");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'S'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "component `calc`: no answer within 100 ms");
    CHECK_INT(counters_of(1).timeouts, 1);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    rig_stop(1);
}

TEST(busy_callee_lets_others_go_on)
{
    uint16_t port = start(LINKS, SELF ",\"timeout_ms\":3000");
    int busy = rig_ask(port, "/", 'S');
    usleep(50 * 1000);
    for (int i = 0; i < 5; i++) RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    CHECK_INT(counters_of(1).timeouts, 0);
    RIG_CHECK_ANSWER(busy, "HTTP/1.1 500 ");
    rig_stop(1);
}

TEST(callee_ends_with_its_caller)
{
    uint16_t port = start(LINKS ",\"timeout_ms\":100", SELF);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'S'), "HTTP/1.1 504 ");
    int leaving = rig_ask(port, "/", 'S');
    usleep(50 * 1000);
    close(leaving);
    CHECK_HAS(rig_log(), "took too long");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    CHECK_INT(counters_of(1).instances, 0);
    CHECK_INT(counters_of(0).instances, 0);
    rig_stop(1);
}

TEST(limit_of_the_callee_makes_callers_wait)
{
    uint16_t port = start(LINKS, SELF ",\"instances_max\":1");
    int fds[6];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", 'N');
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    CHECK_INT(counters_of(1).instances_peak, 1);
    rig_stop(1);
}

TEST(callee_is_replaced_under_load)
{
    uint16_t port = start(LINKS, SELF);
    int fds[30];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 2 ? 'N' : 'B');
        rig_run(0, "calc", round + 2, 1, rig.calc, SELF);
        for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
        rig_expect(0, "component-gone", "calc");
    }
    rig_stop(1);
}

TEST(worker_that_is_ended_hard_takes_both)
{
    uint16_t port = start(LINKS, SELF);
    int fd = rig_ask(port, "/", 'S');
    usleep(100 * 1000);
    kill(rig.workers[0].pid, SIGTERM);
    usleep(50 * 1000);
    kill(rig.workers[0].pid, SIGTERM);
    rig_wait_for_exit(0);
    close(fd);
}
