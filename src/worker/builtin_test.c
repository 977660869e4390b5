/* SPDX-License-Identifier: Apache-2.0 */
/* Components that call an instance of a provider kind, in this worker or in another one, and are called by it. */
#include "worker/hosting_rig.h"
#include "worker/test_kind.h"

const struct wisp_host_interface *const wisp_capability_interfaces[] = {NULL};
const size_t wisp_capability_n_interfaces = 0;

#define ADDRESS "127.0.0.1:80"
#define LINKS                                                                                                          \
    "\"links\":[{\"name\":\"default\",\"interface\":\"test:calc/ops\",\"target\":\"kind\"},"                           \
    "{\"name\":\"default\",\"interface\":\"test:calc/next\",\"target\":\"kind\"}]"
#define SELF "\"links\":[{\"name\":\"default\",\"interface\":\"test:calc/next\",\"target\":\"calc\"}]"
/* A provider's link from `front`, with a greeting. */
#define GREETING(text)                                                                                                 \
    "\"links\":[{\"source_id\":\"front\",\"target\":\"kind\",\"name\":\"default\",\"wit_namespace\":\"test\","         \
    "\"wit_package\":\"calc\",\"interfaces\":[\"ops\"],\"source_config\":{},\"target_config\":{\"greeting\":\"" text   \
    "\"}}]"

static const char route[] = "{\"address\":\"" ADDRESS "\",\"component\":\"front\"}";

static void order(uint32_t index, const char *what, const char *id, const char *more)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    struct wisp_err err = {0};
    json_t *json = NULL;
    wisp_buf_printf(&text, "{\"do\":\"%s\",\"id\":\"%s\"%s%s}", what, id, *more ? "," : "", more);
    CHECK_OK(wisp_json_parse(wisp_buf_str(&text), &json, &err), &err);
    rig_order(index, json, -1);
}

static void run_provider(uint32_t index, const char *more)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "\"kind\":\"test\"%s%s", *more ? "," : "", more);
    wisp_buf_append_char(&text, '\0');
    order(index, "provider", "kind", text.data);
    rig_expect(index, "provider-ready", "kind");
}

static uint16_t serve_front(const char *more)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, LINKS "%s%s", *more ? "," : "", more);
    wisp_buf_append_char(&text, '\0');
    rig_compile(rig.front);
    rig_compile(rig.calc);
    rig_run(0, "front", 1, 0, rig.front, text.data);
    rig_routes(0, route);
    return rig_listen(0, ADDRESS);
}

static uint16_t start(const char *front_more)
{
    rig_start(1);
    run_provider(0, "");
    return serve_front(front_more);
}

/* Several workers and a bus, to which all are connected. */
static void start_on_bus(uint32_t n_workers)
{
    rig_prepare();
    rig_start_bus();
    for (uint32_t i = 0; i < n_workers; i++) rig_start_worker(i);
    uint32_t n = 0;
    for (int i = 0; i < 200 && n < n_workers; i++) {
        n = 0;
        for (const char *at = rig_log(); (at = strstr(at, "on the bus")); at++) n++;
    }
    CHECK_INT(n, n_workers);
}

static bool is_logged(const char *words)
{
    for (int i = 0; i < 100; i++)
        if (strstr(rig_log(), words)) return true;
    return false;
}

static struct wisp_shared_counters counters_of(uint32_t slot)
{
    struct wisp_shared_counters sum;
    wisp_shared_read(rig.shared, slot, &sum);
    return sum;
}

TEST(direct_calls)
{
    uint16_t port = start("");
    CHECK_HAS(rig_log(), "opened first");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "\r\n\r\nhello");
    int fds[12];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 2 ? 'N' : 'B');
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    CHECK_INT(counters_of(0).answered, 2 + WISP_COUNT(fds));
    rig_stop(1);
}

TEST(failure_of_a_function_traps_with_its_text)
{
    uint16_t port = start("");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'T'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "test:calc/ops@0.1.0#trap: provider `kind`: it never works");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    rig_stop(1);
}

TEST(settings_of_links_and_their_changes)
{
    uint16_t port = start("");
    run_provider(0, "\"config\":{\"greeting\":\"provider\"}");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "\r\n\r\nprovi");
    run_provider(0, GREETING("first"));
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "\r\n\r\nfirst");
    /* What runs goes on by the link it began with. */
    int fds[8];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", 'N');
    usleep(20 * 1000);
    run_provider(0, GREETING("other"));
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "\r\n\r\nother");
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    CHECK(is_logged("link deleted"));
    rig_stop(1);
}

TEST(orders_that_are_wrong_are_told)
{
    rig_start(1);
    order(0, "provider", "kind", "\"kind\":\"nothing\"");
    rig_expect(0, "provider-failed", "kind");
    order(0, "provider", "kind", "\"kind\":\"test\",\"config\":[]");
    rig_expect(0, "provider-failed", "kind");
    order(0, "provider", "kind", "\"kind\":\"test\",\"config\":{\"refuse\":\"yes\"}");
    rig_expect(0, "provider-failed", "kind");
    CHECK_HAS(rig_log(), "it does not want to");
    order(0, "provider", "kind", "\"kind\":\"test\",\"data_path\":\"relative\"");
    rig_expect(0, "provider-failed", "kind");
    order(0, "provider-remove", "kind", "");
    run_provider(0, "");
    rig_stop(1);
}

TEST(function_that_never_answers_ends_with_the_caller)
{
    uint16_t port = start("\"timeout_ms\":200");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'S'), "HTTP/1.1 504 ");
    CHECK(is_logged("cancelled function=spin"));
    int leaving = rig_ask(port, "/", 'N');
    usleep(10 * 1000);
    close(leaving);
    CHECK(is_logged("cancelled function=nap"));
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    CHECK_INT(counters_of(0).instances, 0);
    rig_stop(1);
}

TEST(removal_lets_calls_finish)
{
    uint16_t port = start("");
    int fds[10];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", 'N');
        usleep(30 * 1000);
        order(0, "provider-remove", "kind", "");
        for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
        RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 500 ");
        run_provider(0, "");
    }
    CHECK(is_logged("closed id=kind"));
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    rig_stop(1);
}

TEST(removal_does_not_wait_for_ever)
{
    uint16_t port = start("");
    int busy = rig_ask(port, "/", 'S');
    usleep(50 * 1000);
    order(0, "provider-remove", "kind", "");
    run_provider(0, "");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    RIG_CHECK_ANSWER(busy, "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "provider `kind` is being stopped");
    CHECK(is_logged("closed id=kind"));
    rig_stop(1);
}

TEST(worker_that_is_ended_hard_takes_both)
{
    uint16_t port = start("");
    int fds[] = {rig_ask(port, "/", 'S'), rig_ask(port, "/", 'N')};
    usleep(100 * 1000);
    kill(rig.workers[0].pid, SIGTERM);
    usleep(50 * 1000);
    kill(rig.workers[0].pid, SIGTERM);
    rig_wait_for_exit(0);
    for (size_t i = 0; i < WISP_COUNT(fds); i++) close(fds[i]);
}

TEST(new_one_takes_over)
{
    char more[128];
    uint16_t port = start("");
    int fds[20];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 2 ? 'N' : 'B');
        snprintf(more, sizeof more, "\"data_path\":\"/nowhere/%d\"", round);
        run_provider(0, more);
        for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    }
    rig_stop(1);
}

TEST(worker_that_drains_finishes_calls)
{
    uint16_t port = start("");
    int fds[6];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", 'N');
    usleep(30 * 1000);
    rig_order(0, json_pack("{s:s}", "do", "drain"), -1);
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    rig_wait_for_exit(0);
    CHECK_HAS(rig_log(), "closed id=kind");
}

TEST(worker_that_is_started_again_gets_all_orders_again)
{
    start("");
    kill(rig.workers[0].pid, SIGKILL);
    waitpid(rig.workers[0].pid, NULL, 0);
    close(rig.workers[0].orders);
    close(rig.workers[0].control);
    wisp_frame_reader_deinit(&rig.workers[0].reader);
    wisp_shared_worker_reset(rig.shared, 0);
    rig_start_worker(0);
    /* In any order. */
    uint16_t port = serve_front("");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "`kind` is not in this worker, and there is no bus");
    run_provider(0, GREETING("again"));
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "again");
    rig_stop(1);
}

/* --- calls of components --- */

TEST(provider_calls_a_component_here)
{
    rig.instances_max = 200;
    uint16_t port = start("\"timeout_ms\":2000");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'D'), "HTTP/1.1 500 ");
    rig_run(0, "calc", 1, 1, rig.calc, SELF);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'D'), "hello from the guest");
    CHECK_INT(counters_of(1).answered, 21);
    int fds[6];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", 'D');
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello");
    rig_stop(1);
}

TEST(component_is_given_up_with_the_provider_s_caller)
{
    uint16_t port = start("\"timeout_ms\":300");
    rig_run(0, "calc", 1, 1, rig.calc, SELF);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'V'), "HTTP/1.1 504 ");
    for (int i = 0; i < 100 && counters_of(1).instances; i++) usleep(10 * 1000);
    CHECK_INT(counters_of(1).instances, 0);
    CHECK_INT(counters_of(1).cancelled, 1);
    rig_run(0, "calc", 1, 1, rig.calc, SELF ",\"timeout_ms\":50");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'V'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "component `calc`: no answer to a provider in time");
    rig_run(0, "calc", 1, 1, rig.calc, SELF ",\"instances_max\":1,\"queue_max\":4294967295,\"timeout_ms\":200");
    int busy = rig_ask(port, "/", 'V');
    usleep(50 * 1000);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'V'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "all instances are busy and the queue is full");
    RIG_CHECK_ANSWER(busy, "HTTP/1.1 500 ");
    rig_stop(1);
}

/* --- over the bus --- */

TEST(calls_from_other_workers)
{
    start_on_bus(2);
    run_provider(1, GREETING("there"));
    uint16_t port = serve_front("");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "there");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'T'), "HTTP/1.1 500 ");
    int fds[10];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", 'N');
    usleep(20 * 1000);
    run_provider(0, ""); /* now there is one here too */
    order(1, "provider-remove", "kind", "");
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "\r\n\r\nhello");
    CHECK(is_logged("closed id=kind"));
    rig_stop(2);
}

TEST(provider_calls_a_component_elsewhere)
{
    start_on_bus(2);
    run_provider(0, "");
    uint16_t port = serve_front("");
    rig_run(1, "calc", 1, 1, rig.calc, SELF);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'D'), "hello from the guest");
    rig_stop(2);
}
