/* SPDX-License-Identifier: Apache-2.0 */
/* What a call between two processes costs over a bare request of the same size, both through one nats-server that this
 * starts, one at a time and by turns in the same run.
 *
 *     wrpc_call_bench [BYTES] */
#include "component/host/host_signature.h"
#include "wrpc/call.h"
#include "wrpc/serve.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 40, CALLS = 500 };

static const struct wisp_wrpc_function echo = {WISP_STR_INIT("bench:echo/echo@1.0.0"), WISP_STR_INIT("echo")};

struct list {
    const void *ptr;
    size_t len;
};

struct side {
    uv_loop_t loop;
    struct wisp_bus_client *bus;
    struct wisp_wrpc *wrpc;
    struct wisp_arena arena, results;
    const struct wisp_func_type *type;
    struct wisp_str payload;
    uint64_t *ns; /* of each call */
    size_t n;
    bool is_done;
};

static void die(const struct wisp_err *err)
{
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static void side_init(struct side *side, const char *url)
{
    struct wisp_err err = {0};
    struct wisp_map resources = {0};
    struct wisp_signature_names names = {.arena = &side->arena, .resources = &resources};
    uv_loop_init(&side->loop);
    struct wisp_bus_client_options options = {.urls = &url, .n_urls = 1};
    struct wisp_wrpc_options wrpc = {.loop = &side->loop, .lattice = "bench"};
    if (wisp_signature_parse(&names, WISP_STR("(list<u8>) -> list<u8>"), &side->type, &err) < 0) die(&err);
    if (wisp_bus_client_new(&side->bus, &side->loop, &options, &err) < 0) die(&err);
    wrpc.bus = side->bus;
    if (wisp_wrpc_new(&side->wrpc, &wrpc, &err) < 0) die(&err);
}

/* --- the callee --- */

static void on_request(const struct wisp_bus_message *message, void *env)
{
    struct side *side = env;
    struct wisp_err err = {0};
    if (wisp_bus_publish(side->bus, message->reply, WISP_STR(""), NULL, 0, message->payload, &err) < 0) die(&err);
}

static void on_call(struct wisp_wrpc_incoming *call, const void *args, void *env)
{
    struct wisp_err err = {0};
    (void)env;
    if (wisp_wrpc_incoming_finish(call, args, &err) < 0) die(&err);
}

static void serve(const char *url)
{
    static struct side side;
    struct wisp_err err = {0};
    struct wisp_wrpc_service *service;
    side_init(&side, url);
    if (wisp_bus_subscribe(side.bus, WISP_STR("bench.bare"), WISP_STR("bench"), on_request, &side, NULL, &err) < 0)
        die(&err);
    if (wisp_wrpc_service_new(&service, side.wrpc, WISP_STR("echo"), &err) < 0) die(&err);
    if (wisp_wrpc_service_add(service, &echo, side.type, on_call, NULL, &err) < 0) die(&err);
    uv_run(&side.loop, UV_RUN_DEFAULT);
}

/* --- the caller --- */

static void on_reply(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    (void)reply;
    ((struct side *)env)->is_done = true;
    if (err) die(err);
}

static void on_result(const void *result, const struct wisp_err *err, void *env)
{
    (void)result;
    ((struct side *)env)->is_done = true;
    if (err) die(err);
}

static void request(struct side *side)
{
    struct wisp_bus_request *request_made;
    struct wisp_err err = {0};
    if (wisp_bus_request(side->bus, WISP_STR("bench.bare"), NULL, 0, side->payload, 5000, on_reply, side, &request_made,
                         &err) < 0)
        die(&err);
}

static void call(struct side *side)
{
    static const struct wisp_bus_header headers[] = {{WISP_STR_INIT("source-id"), WISP_STR_INIT("bench")},
                                                     {WISP_STR_INIT("link-name"), WISP_STR_INIT("default")}};
    struct wisp_wrpc_target target = {
        .id = WISP_STR("echo"), .function = echo, .headers = headers, .n_headers = 2, .timeout_ms = 5000};
    struct list args = {side->payload.ptr, side->payload.len};
    struct wisp_wrpc_call *call_made;
    struct wisp_err err = {0};
    if (wisp_wrpc_call_start(side->wrpc, &target, side->type, &args, &side->results, on_result, side, &call_made,
                             &err) < 0)
        die(&err);
}

static void measure(struct side *side, void (*begin)(struct side *side))
{
    for (int i = 0; i < CALLS; i++) {
        uint64_t start = uv_hrtime();
        side->is_done = false;
        begin(side);
        while (!side->is_done) uv_run(&side->loop, UV_RUN_ONCE);
        side->ns[side->n++] = uv_hrtime() - start;
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(struct side *side, double part)
{
    qsort(side->ns, side->n, sizeof *side->ns, by_size);
    return (double)side->ns[(size_t)((double)side->n * part)] / 1000;
}

static void compare(const char *url, size_t size)
{
    static struct side bare, wrpc;
    side_init(&bare, url);
    side_init(&wrpc, url);
    bare.payload = wrpc.payload = (struct wisp_str){wisp_mem_calloc(1, size), size};
    bare.ns = wisp_mem_calloc(ROUNDS * CALLS, sizeof *bare.ns);
    wrpc.ns = wisp_mem_calloc(ROUNDS * CALLS, sizeof *wrpc.ns);
    measure(&bare, request);
    measure(&wrpc, call);
    bare.n = wrpc.n = 0;
    for (int round = 0; round < ROUNDS; round++) {
        measure(&bare, request);
        measure(&wrpc, call);
        wisp_arena_reset(&wrpc.results);
    }
    double bare_us = percentile_us(&bare, 0.5), wrpc_us = percentile_us(&wrpc, 0.5);
    printf("bare_p50_us %.1f\nwrpc_p50_us %.1f\np50_ratio %.2f\n", bare_us, wrpc_us, wrpc_us / bare_us);
    printf("bare_p99_us %.1f\nwrpc_p99_us %.1f\n", percentile_us(&bare, 0.99), percentile_us(&wrpc, 0.99));
}

/* --- processes --- */

static pid_t start_child(void (*run)(const char *argument), const char *argument)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run(argument);
    _exit(1);
}

static void run_nats(const char *port)
{
    execlp("nats-server", "nats-server", "-a", "127.0.0.1", "-p", port, "-l", "/dev/null", (char *)NULL);
    execl("/usr/sbin/nats-server", "nats-server", "-a", "127.0.0.1", "-p", port, "-l", "/dev/null", (char *)NULL);
    fprintf(stderr, "nats-server is not installed\n");
}

int main(int argc, char **argv)
{
    char port[8], url[64];
    snprintf(port, sizeof port, "%d", 14000 + (int)(uv_hrtime() % 5999));
    snprintf(url, sizeof url, "nats://127.0.0.1:%s", port);
    pid_t children[] = {start_child(run_nats, port), start_child(serve, url)};
    usleep(500 * 1000);
    compare(url, argc > 1 ? (size_t)atol(argv[1]) : 128);
    for (size_t i = 0; i < WISP_COUNT(children); i++) {
        kill(children[i], SIGTERM);
        waitpid(children[i], NULL, 0);
    }
    return 0;
}
