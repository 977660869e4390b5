/* SPDX-License-Identifier: Apache-2.0 */
/* Gets of a 16-byte value from a provider process over a bus, by turns with bare requests of the same size over the
 * same bus and with hiredis on a blocking socket: times of one after another, and how many a second of 64 at a time.
 * Bus, redis-server and provider are there already. Prints a line per figure.
 *
 *     capability_process_bench NATS_URL REDIS_PORT LATTICE PROVIDER_ID */
#include "capability/keyvalue/keyvalue.h"
#include "provider/runtime.h"
#include "wrpc/call.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 20, CALLS = 200, AT_ONCE = 64 };
static const uint64_t duration_ns = 1000000000;

struct bench {
    uv_loop_t loop;
    struct wisp_bus_client *bus;
    struct wisp_wrpc *wrpc;
    struct wisp_arena arena, results;
    struct wisp_provider_export store[WISP_KEYVALUE_VERB_COUNT];
    const struct wisp_provider_export *get, *set;
    struct wisp_str id;
    redisContext *redis;
    bool is_done;
    uint64_t n_begun, n_done, until;
};

/* One way to get the value. */
struct way {
    const char *name;
    void (*once)(struct bench *bench);
    uint64_t ns[ROUNDS * CALLS];
    size_t n;
};

static void fail(const char *what, const struct wisp_err *err)
{
    fprintf(stderr, "%s: %s\n", what, err ? err->text : "no value");
    exit(1);
}

static void bus_open(struct bench *bench, const char *url)
{
    struct wisp_err err = {0};
    struct wisp_bus_client_options options = {.urls = &url, .n_urls = 1};
    uv_loop_init(&bench->loop);
    if (wisp_bus_client_new(&bench->bus, &bench->loop, &options, &err) < 0) fail("bus", &err);
}

/* --- a bare request, and who answers it --- */

static void on_request(const struct wisp_bus_message *message, void *env)
{
    struct bench *bench = env;
    struct wisp_err err = {0};
    if (wisp_bus_publish(bench->bus, message->reply, WISP_STR(""), NULL, 0, message->payload, &err) < 0)
        fail("answer", &err);
}

static pid_t start_answering(const char *url)
{
    static struct bench bench;
    struct wisp_err err = {0};
    pid_t parent = getpid(), pid = fork();
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    bus_open(&bench, url);
    if (wisp_bus_subscribe(bench.bus, WISP_STR("bench.bare"), WISP_STR("bench"), on_request, &bench, NULL, &err) < 0)
        fail("subscribe", &err);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    _exit(1);
}

static void on_reply(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    (void)reply;
    if (err) fail("bare request", err);
    ((struct bench *)env)->is_done = true;
}

static void request_once(struct bench *bench)
{
    struct wisp_bus_request *request;
    struct wisp_err err = {0};
    if (wisp_bus_request(bench->bus, WISP_STR("bench.bare"), NULL, 0, WISP_STR("0123456789abcdef"), 5000, on_reply,
                         bench, &request, &err) < 0)
        fail("bare request", &err);
    while (!bench->is_done) uv_run(&bench->loop, UV_RUN_ONCE);
}

/* --- hiredis --- */

static void take_reply(struct bench *bench)
{
    void *reply = NULL;
    if (redisGetReply(bench->redis, &reply) != REDIS_OK || ((redisReply *)reply)->type != REDIS_REPLY_STRING)
        fail("hiredis", NULL);
    freeReplyObject(reply);
}

static void hiredis_once(struct bench *bench)
{
    redisAppendCommand(bench->redis, "GET %s", "key");
    take_reply(bench);
}

static double hiredis_rate(struct bench *bench)
{
    uint64_t n = 0, start = uv_hrtime();
    for (; uv_hrtime() - start < duration_ns; n += AT_ONCE) {
        for (int i = 0; i < AT_ONCE; i++) redisAppendCommand(bench->redis, "GET %s", "key");
        for (int i = 0; i < AT_ONCE; i++) take_reply(bench);
    }
    return (double)n * 1e9 / (double)(uv_hrtime() - start);
}

/* --- the provider --- */

static void call(struct bench *bench, const struct wisp_provider_export *export, const void *args,
                 wisp_wrpc_on_result *on_result)
{
    static const struct wisp_bus_header headers[] = {{WISP_STR_INIT("source-id"), WISP_STR_INIT("guest")},
                                                     {WISP_STR_INIT("link-name"), WISP_STR_INIT("default")}};
    struct wisp_wrpc_target target = {
        .id = bench->id,
        .function = {wisp_str_from(wisp_keyvalue_store.name), wisp_str_from(export->func->name)},
        .headers = headers,
        .n_headers = 2,
        .timeout_ms = 10000,
        .wait_ms = 5000};
    struct wisp_wrpc_call *unused;
    struct wisp_err err = {0};
    if (wisp_wrpc_call_start(bench->wrpc, &target, export->type, args, &bench->results, on_result, bench, &unused,
                             &err) < 0)
        fail("call", &err);
}

static void on_got(const void *result, const struct wisp_err *err, void *env)
{
    const struct wisp_keyvalue_value *value = result;
    if (err || value->is_err || !value->is_some) fail("get", err);
    ((struct bench *)env)->is_done = true;
}

static void get(struct bench *bench, wisp_wrpc_on_result *on_result)
{
    static const struct wisp_keyvalue_key_args args = {WISP_STR_INIT("default"), WISP_STR_INIT("key")};
    call(bench, bench->get, &args, on_result);
}

static void provider_once(struct bench *bench)
{
    get(bench, on_got);
    while (!bench->is_done) uv_run(&bench->loop, UV_RUN_ONCE);
    wisp_arena_reset(&bench->results);
}

static void on_got_one_of_many(const void *result, const struct wisp_err *err, void *env)
{
    struct bench *bench = env;
    on_got(result, err, env);
    bench->n_done++;
    if (uv_hrtime() >= bench->until) return;
    bench->n_begun++;
    get(bench, on_got_one_of_many);
}

static double provider_rate(struct bench *bench)
{
    uint64_t start = uv_hrtime();
    bench->until = start + duration_ns;
    for (bench->n_begun = 0; bench->n_begun < AT_ONCE; bench->n_begun++) get(bench, on_got_one_of_many);
    while (bench->n_done < bench->n_begun) uv_run(&bench->loop, UV_RUN_ONCE);
    return (double)bench->n_done * 1e9 / (double)(uv_hrtime() - start);
}

static void on_set(const void *result, const struct wisp_err *err, void *env)
{
    if (err || ((const struct wisp_keyvalue_done *)result)->is_err) fail("set", err);
    ((struct bench *)env)->is_done = true;
}

static void provider_open(struct bench *bench)
{
    static const struct wisp_keyvalue_set_args args = {
        WISP_STR_INIT("default"), WISP_STR_INIT("key"), {(const uint8_t *)"0123456789abcdef", 16}};
    struct wisp_err err = {0};
    if (wisp_provider_interface_types(&wisp_keyvalue_store, &bench->arena, bench->store, &err) < 0) fail("types", &err);
    for (size_t i = 0; i < wisp_keyvalue_store.n_funcs; i++) {
        if (strcmp(bench->store[i].func->name, "get") == 0) bench->get = &bench->store[i];
        if (strcmp(bench->store[i].func->name, "set") == 0) bench->set = &bench->store[i];
    }
    call(bench, bench->set, &args, on_set);
    while (!bench->is_done) uv_run(&bench->loop, UV_RUN_ONCE);
}

/* --- times --- */

static void measure(struct bench *bench, struct way *way)
{
    for (int i = 0; i < CALLS; i++) {
        bench->is_done = false;
        uint64_t start = uv_hrtime();
        way->once(bench);
        way->ns[way->n++] = uv_hrtime() - start;
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void print(struct way *way)
{
    qsort(way->ns, way->n, sizeof *way->ns, by_size);
    printf("%s_p50_us %.1f\n%s_p99_us %.1f\n", way->name, (double)way->ns[way->n / 2] / 1000, way->name,
           (double)way->ns[way->n * 99 / 100] / 1000);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    static struct way ways[] = {{.name = "hiredis", .once = hiredis_once},
                                {.name = "bare", .once = request_once},
                                {.name = "provider", .once = provider_once}};
    struct wisp_err err = {0};
    if (argc != 5) return 2;
    signal(SIGPIPE, SIG_IGN);
    pid_t pid = start_answering(argv[1]);
    bus_open(&bench, argv[1]);
    const struct wisp_wrpc_options options = {.loop = &bench.loop, .bus = bench.bus, .lattice = argv[3]};
    bench.id = wisp_str_from(argv[4]);
    if (wisp_wrpc_new(&bench.wrpc, &options, &err) < 0) fail("wrpc", &err);
    bench.redis = redisConnect("127.0.0.1", atoi(argv[2]));
    if (!bench.redis || bench.redis->err) fail("no redis-server", NULL);
    freeReplyObject(redisCommand(bench.redis, "SET %s %s", "key", "0123456789abcdef"));
    provider_open(&bench);
    for (int round = 0; round <= ROUNDS; round++)
        for (size_t i = 0; i < WISP_COUNT(ways); i++) {
            if (round == 1) ways[i].n = 0; /* the first one was to warm up */
            if (ways[i].n + CALLS <= ROUNDS * CALLS) measure(&bench, &ways[i]);
        }
    for (size_t i = 0; i < WISP_COUNT(ways); i++) print(&ways[i]);
    printf("provider_64 %.0f\n", provider_rate(&bench));
    printf("hiredis_64 %.0f\n", hiredis_rate(&bench));
    redisFree(bench.redis);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return 0;
}
