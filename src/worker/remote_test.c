/* SPDX-License-Identifier: Apache-2.0 */
/* Two workers that run different components, as two hosts would, and a bus between them. */
#include "worker/hosting_rig.h"

#define ADDRESS "127.0.0.1:80"
#define LINKS                                                                                                          \
    "\"links\":[{\"name\":\"default\",\"interface\":\"test:calc/ops\",\"target\":\"calc\"},"                           \
    "{\"name\":\"default\",\"interface\":\"test:calc/next\",\"target\":\"calc\"}]"

static const char route[] = "{\"address\":\"" ADDRESS "\",\"component\":\"front\"}";

/* Only a connected worker says that a component is ready when the bus knows of it. */
static void wait_for_bus(uint32_t n_workers)
{
    uint32_t n = 0;
    for (int i = 0; i < 200 && n < n_workers; i++) {
        n = 0;
        for (const char *at = rig_log(); (at = strstr(at, "on the bus")); at++) n++;
    }
    CHECK_INT(n, n_workers);
}

static void start(uint32_t n_workers)
{
    rig_prepare();
    rig_start_bus();
    for (uint32_t i = 0; i < n_workers; i++) rig_start_worker(i);
    wait_for_bus(n_workers);
    rig_compile(rig.front);
    rig_compile(rig.calc);
}

static struct wisp_shared_counters counters_of(uint32_t slot)
{
    struct wisp_shared_counters sum;
    wisp_shared_read(rig.shared, slot, &sum);
    return sum;
}

TEST(imports_are_served_over_the_bus)
{
    start(2);
    rig_run(1, "calc", 1, 1, rig.calc, LINKS);
    rig_run(0, "front", 1, 0, rig.front, LINKS);
    rig_routes(0, route);
    uint16_t port = rig_listen(0, ADDRESS);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "hello");
    CHECK_INT(counters_of(1).answered, 2);
    int fds[10];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 2 ? 'N' : 'B');
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    rig_stop(2);
}

TEST(requests_go_where_the_component_is)
{
    start(2);
    rig_compile(rig.guest);
    rig_run(1, "hello", 1, 2, rig.guest, "");
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"hello\",\"settings\":{\"cache_control\":\"no-store\"}},"
                  "{\"address\":\"" ADDRESS "\",\"component\":\"nobody\",\"path\":\"/nobody\"}");
    uint16_t port = rig_listen(0, ADDRESS);
    const char *answer = rig_answer(rig_ask(port, "/", 'h'));
    CHECK_HAS(answer, "hello from the guest");
    CHECK_HAS(answer, "cache-control: no-store\r\n");
    RIG_CHECK_ANSWER(rig_ask(port, "/nobody", 'h'), "HTTP/1.1 503 ");
    int leaving = rig_ask(port, "/", 'z');
    usleep(50 * 1000);
    close(leaving);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 's'), "hello from the guest");
    CHECK_INT(counters_of(2).answered, 2);
    rig_stop(2);
}

TEST(worker_that_drains_loses_no_calls)
{
    start(3);
    for (uint32_t i = 1; i < 3; i++) rig_run(i, "calc", 1, 1, rig.calc, LINKS);
    rig_run(0, "front", 1, 0, rig.front, LINKS);
    rig_routes(0, route);
    uint16_t port = rig_listen(0, ADDRESS);
    int fds[16];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 2 ? 'N' : 'B');
    usleep(20 * 1000);
    rig_order(1, json_pack("{s:s}", "do", "drain"), -1);
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    rig_wait_for_exit(1);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    rig_stop(3);
}

TEST(calls_are_shared_and_replacing_loses_none)
{
    start(2);
    for (uint32_t i = 0; i < 2; i++) rig_run(i, "calc", 1, 1, rig.calc, LINKS);
    rig_order(0, json_pack("{s:s, s:s}", "do", "remove", "id", "calc"), -1);
    rig_expect(0, "component-gone", "calc");
    rig_run(0, "front", 1, 0, rig.front, LINKS);
    rig_routes(0, route);
    uint16_t port = rig_listen(0, ADDRESS);
    int fds[20];
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 2 ? 'N' : 'B');
        rig_run(1, "calc", round + 2, 1, rig.calc, LINKS);
        for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
        rig_expect(1, "component-gone", "calc");
    }
    rig_stop(2);
}

TEST(refused_and_late_calls_fail_in_the_caller)
{
    start(2);
    rig_run(1, "calc", 1, 1, rig.calc, LINKS ",\"instances_max\":1,\"queue_max\":4294967295");
    rig_run(0, "front", 1, 0, rig.front, LINKS ",\"timeout_ms\":2000");
    rig_routes(0, route);
    uint16_t port = rig_listen(0, ADDRESS);
    int spinning = rig_ask(port, "/", 'S');
    usleep(100 * 1000);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "all instances are busy");
    RIG_CHECK_ANSWER(spinning, "HTTP/1.1 50");
    rig_stop(2);
}

TEST(workers_outlive_the_bus)
{
    start(2);
    rig_run(0, "front", 1, 0, rig.front, LINKS);
    rig_run(0, "calc", 1, 1, rig.calc, LINKS);
    rig_routes(0, route);
    uint16_t port = rig_listen(0, ADDRESS);
    rig_stop_bus();
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    rig_run(0, "calc", 2, 1, rig.calc, LINKS);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    rig_start_bus();
    rig_order(0, json_pack("{s:s, s:s}", "do", "remove", "id", "calc"), -1);
    rig_run(1, "calc", 1, 1, rig.calc, LINKS);
    /* Until both have found the bus again. */
    bool is_served = false;
    for (int i = 0; i < 100 && !is_served; i++) {
        is_served = strstr(rig_answer(rig_ask(port, "/", 'c')), "hello") != NULL;
        if (!is_served) usleep(100 * 1000);
    }
    CHECK(is_served);
    rig_stop(2);
}
