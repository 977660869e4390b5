/* SPDX-License-Identifier: Apache-2.0 */
/* Two workers, as of two hosts, and a policy service in a process of its own. It permits `add`, denies `echo` until it
 * is asked about `deep`, and `spin`, answers rubbish about `trap` and nothing about `nap`; of components it denies
 * `forbidden`. */
#include "bus/client.h"
#include "worker/hosting_rig.h"
#include "worker/test_kind.h"

const struct wisp_host_interface *const wisp_capability_interfaces[] = {NULL};
const size_t wisp_capability_n_interfaces = 0;

#define ADDRESS "127.0.0.1:80"
#define TARGET(id)                                                                                                     \
    "\"policy_target\":\"{\\\"componentId\\\":\\\"" id "\\\",\\\"imageRef\\\":\\\"x/" id                               \
    ":1\\\",\\\"maxInstances\\\":0}\""
#define LINKS                                                                                                          \
    "\"links\":[{\"name\":\"default\",\"interface\":\"test:calc/ops\",\"target\":\"calc\"},"                           \
    "{\"name\":\"default\",\"interface\":\"test:calc/next\",\"target\":\"calc\"}]"

static struct {
    struct wisp_bus_client *bus;
    char echo_id[64];
    pid_t pid;
} service;

/* --- the service --- */

static void send_decision(struct wisp_str subject, struct wisp_str id, bool is_permitted)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    struct wisp_err err = {0};
    wisp_buf_printf(&text, "{\"requestId\":\"%.*s\",\"permitted\":%s,\"message\":\"not today\"}", WISP_STR_ARG(id),
                    is_permitted ? "true" : "false");
    CHECK_OK(wisp_bus_publish(service.bus, subject, WISP_STR(""), NULL, 0, wisp_buf_str(&text), &err), &err);
}

static void on_question(const struct wisp_bus_message *message, void *env)
{
    (void)env;
    WISP_CLEANUP_JSON json_t *json = NULL;
    struct wisp_err err = {0};
    CHECK_OK(wisp_json_parse(message->payload, &json, &err), &err);
    const json_t *request = json_object_get(json, "request"), *host = json_object_get(json, "host");
    struct wisp_str id = wisp_json_str(json, "requestId"), function = wisp_json_str(request, "function");
    struct wisp_str component = wisp_json_str(json_object_get(request, "target"), "componentId");
    dprintf(rig.log_write, "asked %.*s %.*s of %s: %.*s.%.*s of %.*s\n", WISP_STR_ARG(wisp_json_str(json, "version")),
            WISP_STR_ARG(wisp_json_str(json, "kind")), json_string_value(json_object_get(host, "publicKey")),
            WISP_STR_ARG(wisp_json_str(request, "interface")), WISP_STR_ARG(function), WISP_STR_ARG(component));
    CHECK_INT(id.len, 36);
    CHECK_STR(wisp_json_str(json_object_get(host, "labels"), "zone"), "a");
    if (wisp_str_is(function, "nap")) return;
    if (wisp_str_is(function, "trap")) {
        CHECK_OK(wisp_bus_publish(service.bus, message->reply, WISP_STR(""), NULL, 0, WISP_STR("{}"), &err), &err);
        return;
    }
    if (wisp_str_is(function, "echo")) snprintf(service.echo_id, sizeof service.echo_id, "%.*s", WISP_STR_ARG(id));
    if (wisp_str_is(function, "deep")) {
        send_decision(WISP_STR("policy.changes"), WISP_STR("somebody's"), true);
        send_decision(WISP_STR("policy.changes"), wisp_str_from(service.echo_id), true);
    }
    bool is_denied =
        wisp_str_is(function, "echo") || wisp_str_is(function, "spin") || wisp_str_is(component, "forbidden");
    send_decision(message->reply, id, !is_denied);
}

static void on_subscribed(const struct wisp_err *err, void *env)
{
    CHECK_OK(err ? -(int)err->kind : 0, err);
    CHECK_INT(write(*(const int *)env, "r", 1), 1);
}

static void be_service(int ready_fd)
{
    uv_loop_t loop;
    struct wisp_bus_subscription *subscription;
    struct wisp_err err = {0};
    const struct wisp_bus_client_options options = {
        .urls = (const char *const[]){rig.bus_url}, .n_urls = 1, .fd = -1, .name = "policy"};
    alarm(60);
    uv_loop_init(&loop);
    CHECK_OK(wisp_bus_client_new(&service.bus, &loop, &options, &err), &err);
    CHECK_OK(wisp_bus_subscribe(service.bus, WISP_STR("policy"), WISP_STR(""), on_question, NULL, &subscription, &err),
             &err);
    wisp_bus_flush(service.bus, 5000, on_subscribed, &ready_fd);
    uv_run(&loop, UV_RUN_DEFAULT);
    _exit(0);
}

static void start_service(void)
{
    int pipes[2];
    char byte;
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    fflush(NULL);
    service.pid = fork();
    if (service.pid == 0) be_service(pipes[1]);
    close(pipes[1]);
    CHECK_INT(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
}

/* --- the test's side --- */

static int n_in_log(const char *words)
{
    int n = 0;
    for (const char *at = rig_log(); (at = strstr(at, words)); at++) n++;
    return n;
}

static void start(void)
{
    rig.policy = (struct wisp_worker_policy){"policy", "policy.changes", "{\"zone\":\"a\"}", 300};
    rig_prepare();
    rig_start_bus();
    for (uint32_t i = 0; i < 2; i++) rig_start_worker(i);
    for (int i = 0; i < 200 && n_in_log("on the bus") < 2; i++) continue;
    rig_compile(rig.front);
    rig_compile(rig.calc);
}

static uint16_t run_both(void)
{
    rig_run(1, "calc", 1, 1, rig.calc, LINKS "," TARGET("calc"));
    rig_run(0, "front", 1, 0, rig.front, LINKS "," TARGET("front"));
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"front\"}");
    return rig_listen(0, ADDRESS);
}

static void stop(void)
{
    kill(service.pid, SIGKILL);
    CHECK_INT(waitpid(service.pid, NULL, 0), service.pid);
    rig_stop(2);
}

TEST(calls_wait_for_one_decision)
{
    start();
    uint16_t port = run_both();
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 403 ");
    CHECK_HAS(rig_log(), "the policy service did not decide");
    start_service();
    int fds[10];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 2 ? 'c' : 'B');
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    CHECK_INT(n_in_log("asked v1 performInvocation of NTEST: test:calc/ops@0.1.0.add of calc\n"), 1);
    CHECK_INT(n_in_log("incoming-handler@0.1.0.handle of front\n"), 1);
    stop();
}

TEST(calls_within_a_worker_are_decided_too)
{
    start();
    start_service();
    rig_run(0, "calc", 1, 1, rig.calc, LINKS "," TARGET("calc"));
    rig_run(0, "front", 1, 0, rig.front, LINKS "," TARGET("front"));
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"front\"}");
    uint16_t port = rig_listen(0, ADDRESS);
    int fds[10];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 2 ? 'c' : 'B');
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    CHECK_INT(n_in_log("asked v1 performInvocation of NTEST: test:calc/ops@0.1.0.add of calc\n"), 1);
    for (int i = 0; i < 2; i++) CHECK(!strstr(rig_answer(rig_ask(port, "/", 'E')), "hello"));
    CHECK_HAS(rig_log(), "component `calc`: the call was denied: not today");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'T'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "component `calc`: the call was denied: the policy service did not decide");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'D'), "hello from the guest");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "hello");
    stop();
}

TEST(requests_of_http_clients_are_decided_too)
{
    start();
    start_service();
    rig_compile(rig.guest);
    rig_run(0, "hello", 1, 2, rig.guest, TARGET("hello"));
    rig_run(0, "forbidden", 1, 3, rig.guest, TARGET("forbidden"));
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"hello\"},"
                  "{\"address\":\"" ADDRESS "\",\"component\":\"forbidden\",\"path\":\"/forbidden\"}");
    uint16_t port = rig_listen(0, ADDRESS);
    for (int i = 0; i < 2; i++) {
        RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "hello from the guest");
        RIG_CHECK_ANSWER(rig_ask(port, "/forbidden", 'h'), "HTTP/1.1 403 ");
    }
    CHECK_INT(n_in_log("asked v1 performInvocation of NTEST: wrpc:http/incoming-handler@0.1.0.handle of hello\n"), 1);
    CHECK_INT(n_in_log("incoming-handler@0.1.0.handle of forbidden\n"), 1);
    stop();
}

TEST(denials_hold_until_they_are_changed)
{
    start();
    start_service();
    uint16_t port = run_both();
    for (int i = 0; i < 3; i++) CHECK(!strstr(rig_answer(rig_ask(port, "/", 'E')), "hello"));
    CHECK_INT(n_in_log("a call was denied"), 3);
    CHECK_HAS(rig_log(), "not today");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'D'), "hello from the guest");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "hello");
    CHECK_INT(n_in_log("ops@0.1.0.echo of calc\n"), 1);
    stop();
}

TEST(what_is_not_decided_is_denied_and_asked_again)
{
    start();
    start_service();
    uint16_t port = run_both();
    for (int i = 1; i < 3; i++) {
        RIG_CHECK_ANSWER(rig_ask(port, "/", 'T'), "HTTP/1.1 500 ");
        RIG_CHECK_ANSWER(rig_ask(port, "/", 'N'), "HTTP/1.1 500 ");
        CHECK_INT(n_in_log("ops@0.1.0.trap of calc\n"), i);
        CHECK_INT(n_in_log("ops@0.1.0.nap of calc\n"), i);
    }
    CHECK_HAS(rig_log(), "has no `requestId` or `permitted`");
    CHECK_INT(n_in_log("the policy service did not decide"), 4);
    stop();
}

TEST(http_calls_are_decided_too)
{
    start();
    start_service();
    rig_compile(rig.guest);
    rig_run(1, "hello", 1, 2, rig.guest, TARGET("hello"));
    rig_run(1, "forbidden", 1, 3, rig.guest, TARGET("forbidden"));
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"hello\"},"
                  "{\"address\":\"" ADDRESS "\",\"component\":\"forbidden\",\"path\":\"/forbidden\"}");
    uint16_t port = rig_listen(0, ADDRESS);
    for (int i = 0; i < 2; i++) {
        RIG_CHECK_ANSWER(rig_ask(port, "/", 'h'), "hello from the guest");
        RIG_CHECK_ANSWER(rig_ask(port, "/forbidden", 'h'), "HTTP/1.1 50");
    }
    CHECK_INT(n_in_log("asked v1 performInvocation of NTEST: wrpc:http/incoming-handler@0.1.0.handle of hello\n"), 1);
    CHECK_INT(n_in_log("incoming-handler@0.1.0.handle of forbidden\n"), 1);
    CHECK_INT(n_in_log("a call was denied"), 2);
    stop();
}

TEST(calls_by_providers_here_are_decided_too)
{
    start();
    start_service();
    rig_order(0, json_pack("{s:s, s:s, s:s}", "do", "provider", "id", "kind", "kind", "test"), -1);
    rig_expect(0, "provider-ready", "kind");
    rig_run(0, "calc", 1, 1, rig.calc, LINKS "," TARGET("calc"));
    rig_run(0, "front", 1, 0, rig.front,
            "\"links\":[{\"name\":\"default\",\"interface\":\"test:calc/next\",\"target\":\"kind\"}]," TARGET("front"));
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"front\"}");
    uint16_t port = rig_listen(0, ADDRESS);
    for (int i = 0; i < 2; i++) {
        RIG_CHECK_ANSWER(rig_ask(port, "/", 'D'), "hello from the guest");
        RIG_CHECK_ANSWER(rig_ask(port, "/", 'V'), "HTTP/1.1 500 ");
    }
    CHECK_INT(n_in_log("asked v1 performInvocation of NTEST: test:calc/next@0.1.0.deep of calc\n"), 1);
    CHECK_INT(n_in_log("ops@0.1.0.spin of calc\n"), 1);
    CHECK_HAS(rig_log(), "provider `kind`: component `calc`: not today");
    stop();
}

TEST(held_calls_end_with_the_worker)
{
    rig.policy.timeout_ms = 0;
    start();
    start_service();
    uint16_t port = run_both();
    int held = rig_ask(port, "/", 'N');
    while (!n_in_log("nap of calc\n")) continue;
    kill(rig.workers[1].pid, SIGTERM);
    kill(service.pid, SIGSTOP);
    RIG_CHECK_ANSWER(held, "HTTP/1.1 500 ");
    rig_wait_for_exit(1);
    stop();
}
