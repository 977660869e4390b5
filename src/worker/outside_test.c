/* SPDX-License-Identifier: Apache-2.0 */
/* A host interface that is an adapter, as those with objects are: what `front` calls goes through it to the provider
 * that its link leads to, in this worker or in another one. */
#include "provider/outside.h"
#include "worker/hosting_rig.h"
#include "worker/test_kind.h"

#include <sys/socket.h>
#include <sys/un.h>

#define ADDRESS "127.0.0.1:80"
#define LINKS                                                                                                          \
    "\"links\":[{\"name\":\"default\",\"interface\":\"test:calc/ops\",\"target\":\"kind\"},"                           \
    "{\"name\":\"default\",\"interface\":\"test:calc/next\",\"target\":\"kind\"}]"

/* --- the adapter --- */

enum { CALL_ADD, CALL_ECHO, CALL_TRAP, CALL_SPIN, CALL_NAP };

/* Another table of the same functions, as an adapter in another folder might have it. */
static const struct wisp_provider_func wire_funcs[] = {
    {"add", "(u32, u32) -> u32", NULL, WISP_HOST_SIZES(struct add_args, uint32_t)},
    {"echo", "(string) -> string", NULL, WISP_HOST_SIZES(struct wisp_str, struct wisp_str)},
    {"trap", "()", NULL, 0, 0},
    {"spin", "()", NULL, 0, 0},
    {"nap", "(u64)", NULL, sizeof(struct nap_args), 0},
};
static const struct wisp_provider_interface wire = {
    .name = "test:calc/ops@0.1.0", .funcs = wire_funcs, .n_funcs = WISP_COUNT(wire_funcs)};

static int forward(struct wisp_call *call, int func, const void *args, void *result)
{
    struct wisp_err err = {0};
    int r = wisp_outside_call(call, &wire, &wire_funcs[func], args, result, &err);
    if (r != WISP_OUTSIDE_FAILED) return r;
    return wisp_call_trap(call, "%s: %s", wisp_err_name(err.kind), err.text);
}

static int adapter_add(struct wisp_call *call, const void *args, void *result)
{
    return forward(call, CALL_ADD, args, result);
}

static int adapter_echo(struct wisp_call *call, const void *args, void *result)
{
    return forward(call, CALL_ECHO, args, result);
}

static int adapter_trap(struct wisp_call *call, const void *args, void *result)
{
    return forward(call, CALL_TRAP, args, result);
}

static int adapter_spin(struct wisp_call *call, const void *args, void *result)
{
    return forward(call, CALL_SPIN, args, result);
}

/* This one doesn't let the guest stand still. */
struct napping {
    struct wisp_call *call;
    bool is_over;
    struct wisp_err err;
};

static void on_nap_done(const void *result, const struct wisp_err *err, void *env)
{
    (void)result;
    struct napping *napping = env;
    napping->is_over = true;
    if (err) napping->err = *err;
    wisp_instance_wake(napping->call->instance);
}

static int adapter_nap(struct wisp_call *call, const void *args, void *result)
{
    (void)result;
    struct napping napping = {.call = call};
    struct nap_args own_args = *(const struct nap_args *)args;
    struct wisp_outside_pending *pending =
        wisp_outside_start(call, &wire, &wire_funcs[CALL_NAP], &own_args, on_nap_done, &napping);
    while (!napping.is_over) {
        int r = wisp_call_suspend(call);
        if (r >= 0) continue;
        if (!napping.is_over) wisp_outside_cancel(call->context, pending);
        return r;
    }
    if (!napping.err.kind) return 0;
    return wisp_call_trap(call, "%s: %s", wisp_err_name(napping.err.kind), napping.err.text);
}

static const struct wisp_host_func adapter_funcs[] = {
    {"add", "(u32, u32) -> u32", adapter_add, WISP_HOST_SIZES(struct add_args, uint32_t)},
    {"echo", "(string) -> string", adapter_echo, WISP_HOST_SIZES(struct wisp_str, struct wisp_str)},
    {"trap", "()", adapter_trap, 0, 0},
    {"spin", "()", adapter_spin, 0, 0},
    {"nap", "(u64)", adapter_nap, sizeof(struct nap_args), 0},
};
static const struct wisp_host_interface adapter = {
    .name = "test:calc/ops", .version = "0.1.0", .funcs = adapter_funcs, .n_funcs = WISP_COUNT(adapter_funcs)};

const struct wisp_host_interface *const wisp_capability_interfaces[] = {&adapter};
const size_t wisp_capability_n_interfaces = 1;

/* --- hosts --- */

static void run_provider(uint32_t index)
{
    rig_order(index, json_pack("{s:s, s:s, s:s}", "do", "provider", "id", "kind", "kind", "test"), -1);
    rig_expect(index, "provider-ready", "kind");
}

static uint16_t serve_front(const char *more)
{
    rig_compile(rig.front);
    rig_run(0, "front", 1, 0, rig.front, more);
    rig_routes(0, "{\"address\":\"" ADDRESS "\",\"component\":\"front\"}");
    return rig_listen(0, ADDRESS);
}

/* A connection to the bus by hand, that has sent this. */
static int connect_by_hand(const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", rig.bus_path);
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_INT(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static void await_more(int fd, char *heard, size_t size)
{
    size_t len = strlen(heard);
    ssize_t got = read(fd, heard + len, size - 1 - len);
    CHECK(got > 0);
    heard[len + (size_t)got] = '\0';
}

static void await_text(int fd, char *heard, size_t size, const char *words)
{
    while (!strstr(heard, words)) await_more(fd, heard, size);
}

/* As control processes do: when a process is gone, and when somebody asks whether one is to run. */
static void say_ended(const char *id)
{
    char text[160], answer[2048] = "";
    snprintf(text, sizeof text, "CONNECT {}\r\nPUB wisp.ended.default.%s 0\r\n\r\nPING\r\n", id);
    WISP_CLEANUP_FD int fd = connect_by_hand(text);
    await_text(fd, answer, sizeof answer, "PONG");
}

static int hear_questions(const char *id)
{
    char text[200], answer[2048] = "";
    snprintf(text, sizeof text, "CONNECT {}\r\nSUB wasmbus.rpc.default.%s.runs 1\r\nPING\r\n", id);
    int fd = connect_by_hand(text);
    await_text(fd, answer, sizeof answer, "PONG\r\n");
    return fd;
}

static void answer_questions(int fd, size_t n)
{
    char text[200], inbox[128], heard[8192] = "";
    for (const char *at = heard; n > 0; n--) {
        while (!strstr(at, " 0\r\n\r\n")) await_more(fd, heard, sizeof heard);
        CHECK_INT(sscanf(at = strstr(at, "MSG "), "MSG %*s 1 %127s", inbox), 1);
        at = strstr(at, " 0\r\n\r\n") + strlen(" 0\r\n\r\n");
        snprintf(text, sizeof text, "PUB %s 0\r\n\r\n", inbox);
        CHECK_INT(write(fd, text, strlen(text)), strlen(text));
    }
}

static bool is_logged(const char *words)
{
    for (int i = 0; i < 100; i++)
        if (strstr(rig_log(), words)) return true;
    return false;
}

static void check_calls(uint16_t port)
{
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'E'), "hello");
    int fds[12];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 2 ? 'N' : 'B');
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
}

TEST(in_this_worker)
{
    rig_start(1);
    run_provider(0);
    uint16_t port = serve_front(LINKS ",\"timeout_ms\":1000");
    check_calls(port);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'T'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "unavailable: provider `kind`: it never works");
    int leaving = rig_ask(port, "/", 'N');
    usleep(10 * 1000);
    close(leaving);
    CHECK(is_logged("cancelled function=nap"));
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'S'), "HTTP/1.1 504 ");
    CHECK(is_logged("cancelled function=spin"));
    rig_stop(1);
}

TEST(without_a_link_or_a_provider)
{
    rig_start(1);
    uint16_t port = serve_front("");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "not-found: nothing is linked to `test:calc/ops` by the name `default`");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'N'), "HTTP/1.1 500 ");
    rig_run(0, "front", 1, 0, rig.front, LINKS);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 500 ");
    CHECK_HAS(rig_log(), "unavailable: provider `kind` is not in this worker, and there is no bus");
    run_provider(0);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    rig_stop(1);
}

/* Two workers, and nobody runs a provider. */
static void start_on_bus(void)
{
    rig_prepare();
    rig_start_bus();
    for (uint32_t i = 0; i < 2; i++) rig_start_worker(i);
    CHECK(is_logged("on the bus"));
}

TEST(calls_wait_for_a_provider)
{
    start_on_bus();
    uint16_t port = serve_front(LINKS);
    int fds[6];
    WISP_CLEANUP_FD int questions = hear_questions("kind");
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", i % 2 ? 'c' : 'N');
    answer_questions(questions, WISP_COUNT(fds));
    usleep(300 * 1000);
    run_provider(1);
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "hello from the guest");
    rig_stop(2);
}

TEST(but_not_for_ever)
{
    rig.provider_wait_ms = 100;
    start_on_bus();
    uint16_t port = serve_front(LINKS);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "HTTP/1.1 500 ");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'N'), "HTTP/1.1 500 ");
    CHECK(is_logged("unavailable: "));
    rig_stop(2);
}

TEST(provider_that_died_does_not_answer)
{
    start_on_bus();
    uint16_t port = serve_front(LINKS);
    run_provider(1);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    int fds[4];
    for (size_t i = 0; i < WISP_COUNT(fds); i++) fds[i] = rig_ask(port, "/", 'S');
    usleep(100 * 1000);
    kill(rig.workers[1].pid, SIGKILL);
    CHECK_INT(waitpid(rig.workers[1].pid, NULL, 0), rig.workers[1].pid);
    say_ended("kind");
    for (size_t i = 0; i < WISP_COUNT(fds); i++) RIG_CHECK_ANSWER(fds[i], "HTTP/1.1 500 ");
    CHECK(is_logged("unavailable: "));
    wisp_frame_reader_deinit(&rig.workers[1].reader);
    rig.workers[1] = (struct rig_worker){0};
    rig_stop(1);
}

TEST(in_another_worker)
{
    start_on_bus();
    uint16_t port = serve_front(LINKS ",\"timeout_ms\":1000");
    run_provider(1);
    check_calls(port);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'T'), "HTTP/1.1 500 ");
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'S'), "HTTP/1.1 50");
    int leaving = rig_ask(port, "/", 'N');
    usleep(10 * 1000);
    close(leaving);
    RIG_CHECK_ANSWER(rig_ask(port, "/", 'c'), "hello from the guest");
    rig_stop(2);
}
