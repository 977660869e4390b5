/* SPDX-License-Identifier: Apache-2.0 */
/* Workers under orders. */
#include "worker/handover.h"
#include "worker/hosting_rig.h"

#define ADDRESS "127.0.0.1:80"

static const char plain_route[] = "{\"address\":\"" ADDRESS "\",\"component\":\"hello\"}";

static uint16_t start_hello(const char *more)
{
    rig_start(1);
    rig_compile(rig.guest);
    rig_run(0, "hello", 1, 0, rig.guest, more);
    rig_routes(0, plain_route);
    return rig_listen(0, ADDRESS);
}

/* --- components --- */

TEST(component_is_compiled_elsewhere_and_served)
{
    rig_start(1);
    rig_order(0, rig_component("hello", 1, 0, rig.guest, ""), -1);
    rig_expect(0, "component-uncached", "hello");
    rig_compile(rig.guest);
    rig_run(0, "hello", 1, 0, rig.guest, "");
    rig_routes(0, plain_route);
    uint16_t port = rig_listen(0, ADDRESS);
    RIG_CHECK_ANSWER(rig_ask(port, "/any", 'h'), "hello from the guest");
    struct wisp_shared_counters sum;
    wisp_shared_read(rig.shared, 0, &sum);
    CHECK_INT(sum.calls, 1);
    CHECK_INT(sum.answered, 1);
    CHECK(sum.latency_ns > 0 && sum.guest_ns > 0);
    CHECK_INT(sum.memory_peak_bytes, 65536);
    rig_stop(1);
}

TEST(calls_wait_for_code_that_is_being_compiled)
{
    rig_start(1);
    rig_routes(0, plain_route);
    uint16_t port = rig_listen(0, ADDRESS);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "HTTP/1.1 503 "); /* nobody has ordered it */
    rig_order(0, rig_component("hello", 1, 0, rig.guest, ""), -1);
    rig_expect(0, "component-uncached", "hello");
    int waiting = rig_ask(port, "/", 'h');
    rig_compile(rig.guest);
    rig_run(0, "hello", 1, 0, rig.guest, "");
    RIG_CHECK_ANSWER(waiting, "hello from the guest");
    rig_stop(1);
}

TEST(broken_orders_are_told)
{
    rig_start(1);
    rig_order(0, rig_component("x", 1, 0, "/no/such/file", ""), -1);
    rig_expect(0, "component-failed", "x");
    rig_order(0, rig_component("x", 1, 999, rig.guest, ""), -1);
    rig_expect(0, "component-failed", "x");
    rig_order(0, rig_component("x", 1, 0, rig.guest, "\"config\":{\"a\":1}"), -1);
    rig_expect(0, "component-failed", "x");
    rig_order(0, rig_component("x", 1, 0, rig.guest, "\"secrets\":{\"a\":{\"bytes\":\"?\"}}"), -1);
    rig_expect(0, "component-failed", "x");
    rig_order(0, json_pack("{s:s, s:s}", "do", "listen", "address", ADDRESS), -1);
    rig_expect(0, "listen-failed", ADDRESS);
    rig_order(0, json_pack("{s:s}", "do", "dance"), -1);
    rig_order(0, json_pack("[i]", 1), -1);
    rig_order(0, json_pack("{s:s, s:s}", "do", "remove", "id", "nobody"), -1);
    rig_compile(rig.guest);
    rig_run(0, "x", 1, 0, rig.guest, "");
    rig_stop(1);
}

TEST(new_code_takes_over_and_the_old_finishes)
{
    uint16_t port = start_hello("");
    int slow = rig_ask(port, "/", 's');
    CHECK(strstr(rig_log(), "") != NULL);
    rig_run(0, "hello", 2, 0, rig.guest, "");
    RIG_CHECK_ANSWER(slow, "hello from the guest");
    rig_expect(0, "component-gone", "hello");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "hello from the guest");
    /* Code that can't be run changes nothing. */
    rig_order(0, rig_component("hello", 3, 0, "/no/such/file", ""), -1);
    rig_expect(0, "component-failed", "hello");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "hello from the guest");
    rig_stop(1);
}

TEST(replacing_under_load_loses_nothing)
{
    uint16_t port = start_hello("");
    int fds[40];
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 2 ? 's' : 'h');
        rig_run(0, "hello", round + 2, 0, rig.guest, "");
        for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
        rig_expect(0, "component-gone", "hello");
    }
    rig_stop(1);
}

TEST(removed_component_finishes_and_may_come_back)
{
    uint16_t port = start_hello("\"instances_max\":1");
    int running = rig_ask(port, "/", 's'), waiting = rig_ask(port, "/", 'h');
    CHECK(rig_log());
    rig_order(0, json_pack("{s:s, s:s}", "do", "remove", "id", "hello"), -1);
    RIG_CHECK_ANSWER(running, "hello from the guest");
    RIG_CHECK_ANSWER(waiting, "hello from the guest");
    rig_expect(0, "component-gone", "hello");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "HTTP/1.1 503 ");
    rig_run(0, "hello", 2, 0, rig.guest, "");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "hello from the guest");
    rig_stop(1);
}

/* While its calls still end in the one where they began. */
TEST(removed_component_may_come_back_in_another_place)
{
    uint16_t port = start_hello("\"instances_max\":1");
    int slow = rig_ask(port, "/", 's'), waiting = rig_ask(port, "/", 'h');
    usleep(30 * 1000);
    rig_order(0, json_pack("{s:s, s:s}", "do", "remove", "id", "hello"), -1);
    rig_run(0, "hello", 2, 1, rig.guest, "\"instances_max\":1");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "hello from the guest");
    RIG_CHECK_ANSWER(slow, "hello from the guest");
    RIG_CHECK_ANSWER(waiting, "hello from the guest");
    rig_expect(0, "component-gone", "hello");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "hello from the guest");
    rig_order(0, json_pack("{s:s, s:s}", "do", "remove", "id", "hello"), -1);
    rig_expect(0, "component-gone", "hello");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "HTTP/1.1 503 ");
    rig_stop(1);
}

TEST(new_limits_hold_from_the_next_call_on)
{
    uint16_t port = start_hello("");
    int slow = rig_ask(port, "/", 's');
    CHECK(rig_log());
    rig_run(0, "hello", 1, 0, rig.guest, "\"timeout_ms\":50,\"body_bytes_max\":1");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 's'), "HTTP/1.1 504 ");
    RIG_CHECK_ANSWER(slow, "hello from the guest");
    int fd = rig_client(port);
    rig_send(fd, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhh");
    RIG_CHECK_ANSWER(fd, "HTTP/1.1 413 ");
    rig_stop(1);
}

/* --- places --- */

TEST(limit_is_over_all_workers)
{
    rig_start(2);
    rig_compile(rig.guest);
    uint16_t ports[2];
    for (uint32_t i = 0; i < 2; i++) {
        rig_run(i, "hello", 1, 0, rig.guest, "\"instances_max\":1");
        rig_routes(i, plain_route);
        ports[i] = rig_listen(i, ADDRESS);
    }
    int fds[10];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(ports[i % 2], "/", 's');
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    struct wisp_shared_counters sum;
    wisp_shared_read(rig.shared, 0, &sum);
    CHECK_INT(sum.answered, 10);
    CHECK_INT(sum.instances_peak, 1);
    CHECK(sum.queued >= 8);
    CHECK_INT(sum.instances, 0);
    CHECK_INT(sum.queue, 0);
    rig_stop(2);
}

TEST(dead_worker_takes_no_places_with_it)
{
    rig_start(2);
    rig_compile(rig.guest);
    for (uint32_t i = 0; i < 2; i++) rig_run(i, "hello", 1, 0, rig.guest, "\"instances_max\":1");
    for (uint32_t i = 0; i < 2; i++) rig_routes(i, plain_route);
    uint16_t first = rig_listen(0, ADDRESS), second = rig_listen(1, ADDRESS);
    int lost = rig_ask(first, "/", 'z');
    usleep(100 * 1000);
    int waiting = rig_ask(second, "/", 'h');
    usleep(100 * 1000);
    kill(rig.workers[0].pid, SIGKILL);
    CHECK_INT(waitpid(rig.workers[0].pid, NULL, 0), rig.workers[0].pid);
    rig.workers[0].pid = 0;
    wisp_shared_worker_reset(rig.shared, 0);
    RIG_CHECK_ANSWER(waiting, "hello from the guest");
    close(lost);
    rig_stop(2);
}

/* A control process that didn't know yet that the first one had begun to serve. */
TEST(place_of_a_component_that_still_ends_can_be_given_to_another)
{
    uint16_t port = start_hello("\"instances_max\":1");
    int slow = rig_ask(port, "/", 's');
    usleep(30 * 1000);
    rig_order(0, json_pack("{s:s, s:s}", "do", "remove", "id", "hello"), -1);
    rig_run(0, "other", 1, 0, rig.guest, "\"instances_max\":1");
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"other\"}");
    int waiting = rig_ask(port, "/", 'h');
    RIG_CHECK_ANSWER(slow, "hello from the guest");
    rig_expect(0, "component-gone", "hello");
    RIG_CHECK_ANSWER(waiting, "hello from the guest");
    rig_stop(1);
}

TEST(full_queue_is_refused)
{
    uint16_t port = start_hello("\"instances_max\":1,\"queue_max\":1");
    int running = rig_ask(port, "/", 's');
    usleep(30 * 1000);
    int waiting = rig_ask(port, "/", 'h');
    usleep(30 * 1000);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "retry-after: 1");
    CHECK_HAS(rig_log(), "the queue is full");
    RIG_CHECK_ANSWER(running, "hello from the guest");
    RIG_CHECK_ANSWER(waiting, "hello from the guest");
    rig_stop(1);
}

/* More calls than the worker's pool has places for, of components without limits. */
TEST(pool_is_shared_by_all)
{
    rig_start(1);
    rig_compile(rig.guest);
    rig_run(0, "a", 1, 0, rig.guest, "");
    rig_run(0, "b", 1, 1, rig.guest, "");
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"a\",\"path\":\"/a\"},"
                  "{\"address\":\"" ADDRESS "\",\"component\":\"b\",\"path\":\"/b\"}");
    uint16_t port = rig_listen(0, ADDRESS);
    int fds[100];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, i % 2 ? "/a" : "/b", 's');
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    rig_stop(1);
}

/* --- routes and sockets --- */

TEST(routes_by_host_and_path)
{
    rig_start(1);
    rig_compile(rig.guest);
    rig_run(0, "hello", 1, 0, rig.guest, "");
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"hello\",\"path\":\"/p\"},"
                  "{\"address\":\"" ADDRESS "\",\"component\":\"hello\",\"host\":\"One.example\"},"
                  "{\"address\":\"" ADDRESS "\",\"component\":\"absent\",\"host\":\"one.example\",\"path\":\"/q\"}");
    uint16_t port = rig_listen(0, ADDRESS);
    RIG_CHECK_ANSWER(rig_ask(port, "/p?query", 'h'), "hello from the guest");
    RIG_CHECK_ANSWER(rig_ask(port, "/p/", 'h'), "HTTP/1.1 404 ");
    int fd = rig_client(port);
    rig_send(fd, "GET /any HTTP/1.1\r\nhost: ONE.example:80\r\nconnection: close\r\n\r\n");
    RIG_CHECK_ANSWER(fd, "hello from the guest");
    fd = rig_client(port);
    rig_send(fd, "GET /q HTTP/1.1\r\nhost: one.example\r\nconnection: close\r\n\r\n");
    RIG_CHECK_ANSWER(fd, "HTTP/1.1 503 ");
    rig_stop(1);
}

TEST(settings_of_a_route)
{
    rig_start(1);
    rig_compile(rig.guest);
    rig_run(0, "hello", 1, 0, rig.guest, "");
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"hello\",\"path\":\"/slow\","
                  "\"settings\":{\"timeout_ms\":\"50\"}},"
                  "{\"address\":\"" ADDRESS "\",\"component\":\"hello\",\"path\":\"/read\","
                  "\"settings\":{\"readonly_mode\":\"true\",\"cache_control\":\"max-age=9\"}},"
                  "{\"address\":\"" ADDRESS "\",\"component\":\"hello\",\"path\":\"/cors\",\"settings\":"
                  "{\"cors_allowed_origins\":\"[\\\"http://good\\\"]\",\"cors_exposed_headers\":\"[\\\"x-a\\\"]\"}},"
                  "{\"address\":\"" ADDRESS "\",\"component\":\"hello\",\"path\":\"/bad\","
                  "\"settings\":{\"timeout_ms\":\"soon\"}}");
    uint16_t port = rig_listen(0, ADDRESS);
    CHECK_HAS(rig_log(), "timeout_ms");
    RIG_CHECK_ANSWER(rig_ask(port, "/bad", 'h'), "HTTP/1.1 404 ");
    RIG_CHECK_ANSWER(rig_ask(port, "/slow", 's'), "HTTP/1.1 408 ");
    RIG_CHECK_ANSWER(rig_ask(port, "/slow", 'h'), "hello from the guest");
    RIG_CHECK_ANSWER(rig_ask(port, "/read", 'h'), "HTTP/1.1 405 ");
    int fd = rig_client(port);
    rig_send(fd, "GET /read HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    RIG_CHECK_ANSWER(fd, "cache-control: max-age=9\r\n");
    fd = rig_client(port);
    rig_send(fd, "GET /cors HTTP/1.1\r\nhost: x\r\norigin: http://good\r\nconnection: close\r\n\r\n");
    const char *answer = rig_answer(fd);
    CHECK_HAS(answer, "access-control-allow-origin: http://good\r\n");
    CHECK_HAS(answer, "access-control-expose-headers: x-a\r\n");
    CHECK_HAS(answer, "hello from the guest");
    fd = rig_client(port);
    rig_send(fd, "GET /cors HTTP/1.1\r\nhost: x\r\norigin: http://bad\r\nconnection: close\r\n\r\n");
    CHECK(!strstr(rig_answer(fd), "access-control-allow-origin"));
    fd = rig_client(port);
    rig_send(fd, "OPTIONS /cors HTTP/1.1\r\nhost: x\r\norigin: http://good\r\naccess-control-request-method: PUT\r\n"
                 "connection: close\r\n\r\n");
    RIG_CHECK_ANSWER(fd, "access-control-max-age: 300\r\n");
    rig_stop(1);
}

TEST(connections_survive_other_routes)
{
    uint16_t port = start_hello("");
    int fd = rig_client(port);
    rig_send(fd, "GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
    char text[1024];
    CHECK(rig_is_readable(fd, RIG_WAIT_MS));
    CHECK(read(fd, text, sizeof text) > 0);
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"hello\",\"path\":\"/b\"}");
    rig_run(0, "hello", 1, 0, rig.guest, "");
    rig_send(fd, "GET /b HTTP/1.1\r\nhost: x\r\n\r\nGET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    const char *answer = rig_answer(fd);
    CHECK_HAS(answer, "hello from the guest");
    CHECK_HAS(answer, "HTTP/1.1 404 ");
    rig_stop(1);
}

TEST(address_that_is_left_finishes_its_exchanges)
{
    uint16_t port = start_hello("");
    int slow = rig_ask(port, "/", 's');
    usleep(30 * 1000);
    rig_order(0, json_pack("{s:s, s:s}", "do", "unlisten", "address", ADDRESS), -1);
    RIG_CHECK_ANSWER(slow, "hello from the guest");
    rig_run(0, "hello", 1, 0, rig.guest, "");
    port = rig_listen(0, ADDRESS);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "hello from the guest");
    rig_stop(1);
}

/* --- life --- */

TEST(orphan_serves_on_and_hands_its_sockets_over)
{
    rig.grace_ms = 60000;
    uint16_t port = start_hello("");
    int kept = rig_client(port);
    shutdown(rig.workers[0].orders, SHUT_RDWR);
    shutdown(rig.workers[0].control, SHUT_RDWR);
    CHECK_HAS(rig_log(), "serving on for a while");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "hello from the guest");
    int slow = rig_ask(port, "/", 's');

    char path[128];
    snprintf(path, sizeof path, "%s/worker-%d.sock", rig.dir, (int)rig.workers[0].pid);
    struct wisp_handover_taken taken;
    struct wisp_err err = {0};
    CHECK_OK(wisp_handover_take(&taken, path, RIG_WAIT_MS, &err), &err);
    CHECK_INT(taken.n_listeners, 1);
    CHECK_TEXT(taken.listeners[0].address, ADDRESS);
    rig_start_worker(1);
    rig_run(1, "hello", 1, 0, rig.guest, "");
    rig_routes(1, plain_route);
    rig_order(1, json_pack("{s:s, s:s}", "do", "listen", "address", ADDRESS), taken.listeners[0].fd);
    rig_expect(1, "listening", ADDRESS);
    wisp_handover_drain(&taken);
    wisp_handover_taken_deinit(&taken);
    RIG_CHECK_ANSWER(slow, "hello from the guest");
    close(kept);
    rig_wait_for_exit(0);
    CHECK(access(path, F_OK) < 0);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "hello from the guest");
    rig_stop(2);
}

TEST(orphan_ends_when_nobody_comes)
{
    rig.grace_ms = 300;
    uint16_t port = start_hello("");
    close(rig.workers[0].orders);
    close(rig.workers[0].control);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 's'), "hello from the guest");
    rig_wait_for_exit(0);
    CHECK_HAS(rig_log(), "nobody took over");
}

TEST(without_grace_the_end_is_at_once)
{
    uint16_t port = start_hello("");
    int fd = rig_ask(port, "/", 'z');
    usleep(50 * 1000);
    close(rig.workers[0].orders);
    rig_wait_for_exit(0);
    close(fd);
}

TEST(drain_under_load_fails_nothing)
{
    uint16_t port = start_hello("");
    int fds[100];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 3 ? 'h' : 's');
    rig_order(0, json_pack("{s:s}", "do", "drain"), -1);
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    rig_wait_for_exit(0);
}
