/* SPDX-License-Identifier: Apache-2.0 */
/* Gets of a 16-byte value a second, calls of a provider in this process: SQLite, and Redis one after another and 64 at
 * a time, beside the same with nothing but hiredis on a blocking socket. Starts redis-server itself. Prints a line per
 * figure. */
#include "capability/keyvalue/keyvalue.h"
#include "capability/kinds.h"
#include "provider/runtime.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AT_ONCE = 64, WARM_UP = 2000 };
static const uint64_t duration_ns = 1000000000;

static void fail(const char *text)
{
    fprintf(stderr, "%s\n", text);
    exit(1);
}

/* --- a kind --- */

struct run {
    struct wisp_provider *provider;
    const struct wisp_provider_export *get;
    struct wisp_keyvalue_key_args args;
    uint64_t n_wanted, n_begun, n_done, until;
    bool is_starting; /* answers that come at once are a loop, not a recursion */
};

static void next(struct run *run);

static void on_got(const void *result, const struct wisp_err *err, void *env)
{
    struct run *run = env;
    const struct wisp_keyvalue_value *value = result;
    if (err || value->is_err || !value->is_some) fail("a get failed");
    run->n_done++;
    bool is_over = run->until ? uv_hrtime() >= run->until : run->n_done >= WARM_UP;
    if (!is_over) next(run);
}

static void next(struct run *run)
{
    const struct wisp_provider_caller caller = {.source_id = WISP_STR("guest")};
    run->n_wanted++;
    if (run->is_starting) return;
    run->is_starting = true;
    while (run->n_begun < run->n_wanted) {
        run->n_begun++;
        wisp_provider_call_start(run->provider, run->get, &caller, &run->args, on_got, run);
    }
    run->is_starting = false;
}

static double measure(struct wisp_provider *provider, unsigned at_once)
{
    struct run run = {.provider = provider, .args = {WISP_STR("default"), WISP_STR("key")}};
    run.get = wisp_provider_find(provider, wisp_str_from(wisp_keyvalue_store.name), WISP_STR("get"));
    next(&run);
    while (run.n_done < run.n_begun) uv_run(provider->loop, UV_RUN_ONCE);
    run.n_wanted = run.n_begun = run.n_done = 0;
    uint64_t start = uv_hrtime();
    run.until = start + duration_ns;
    for (unsigned i = 0; i < at_once; i++) next(&run);
    while (run.n_done < run.n_begun) uv_run(provider->loop, UV_RUN_ONCE);
    return (double)run.n_done * 1e9 / (double)(uv_hrtime() - start);
}

static void on_set(const void *result, const struct wisp_err *err, void *env)
{
    if (err || ((const struct wisp_keyvalue_done *)result)->is_err) fail("a set failed");
    *(bool *)env = true;
}

static struct wisp_provider *open_provider(const struct wisp_provider_kind *kind, uv_loop_t *loop, const char *url,
                                           const char *data_path)
{
    struct wisp_err err = {0};
    struct wisp_provider *provider;
    struct wisp_provider_options options = {
        .kind = kind, .id = "kv", .lattice = "bench", .host_id = "host", .loop = loop, .data_path = data_path};
    if (wisp_provider_new(&provider, &options, &err) < 0) fail(err.text);
    json_t *link = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[s], s:{}, s:{s:s}}", "source_id", "guest", "target", "kv",
                             "name", "default", "wit_namespace", "wasi", "wit_package", "keyvalue", "interfaces",
                             "store", "source_config", "target_config", "url", url);
    if (wisp_provider_put_link(provider, link, &err) < 0) fail(err.text);
    json_decref(link);
    struct wisp_keyvalue_set_args set = {
        WISP_STR("default"), WISP_STR("key"), {(const uint8_t *)"0123456789abcdef", 16}};
    const struct wisp_provider_caller caller = {.source_id = WISP_STR("guest")};
    bool is_set = false;
    wisp_provider_call_start(provider,
                             wisp_provider_find(provider, wisp_str_from(wisp_keyvalue_store.name), WISP_STR("set")),
                             &caller, &set, on_set, &is_set);
    while (!is_set) uv_run(loop, UV_RUN_ONCE);
    return provider;
}

static void close_provider(struct wisp_provider *provider, uv_loop_t *loop)
{
    wisp_provider_close(provider, NULL, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
}

/* --- hiredis alone --- */

static redisContext *connect_bare(const char *port)
{
    for (int i = 0; i < 500; i++) {
        redisContext *redis = redisConnect("127.0.0.1", atoi(port));
        if (redis && !redis->err) return redis;
        if (redis) redisFree(redis);
        usleep(10000);
    }
    fail("redis-server does not start");
    return NULL;
}

static double measure_bare(redisContext *redis, unsigned at_once)
{
    uint64_t n = 0, start = uv_hrtime();
    while (uv_hrtime() - start < duration_ns) {
        for (unsigned i = 0; i < at_once; i++) redisAppendCommand(redis, "GET %s", "key");
        for (unsigned i = 0; i < at_once; i++) {
            void *reply = NULL;
            if (redisGetReply(redis, &reply) != REDIS_OK) fail("hiredis: no reply");
            if (((redisReply *)reply)->type != REDIS_REPLY_STRING) fail("hiredis: no value");
            freeReplyObject(reply);
            n++;
        }
    }
    return (double)n * 1e9 / (double)(uv_hrtime() - start);
}

static pid_t start_redis(const char *port)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--logfile",
               "/dev/null", (char *)NULL);
        _exit(127);
    }
    return pid;
}

int main(void)
{
    char dir[] = "/tmp/wisp-bench-XXXXXX", port[8], url[64], command[64];
    uv_loop_t loop;
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&loop);
    if (!mkdtemp(dir)) fail("no directory");
    snprintf(port, sizeof port, "%d", 14000 + (int)(uv_hrtime() % 5999));
    snprintf(url, sizeof url, "redis://127.0.0.1:%s", port);
    pid_t pid = start_redis(port);
    redisContext *bare = connect_bare(port);

    struct wisp_provider *sqlite = open_provider(&wisp_keyvalue_sqlite, &loop, url, dir);
    printf("sqlite_get %.0f\n", measure(sqlite, 1));
    close_provider(sqlite, &loop);
    struct wisp_provider *redis = open_provider(&wisp_keyvalue_redis, &loop, url, NULL);
    double bare_one = measure_bare(bare, 1), one = measure(redis, 1);
    double bare_many = measure_bare(bare, AT_ONCE), many = measure(redis, AT_ONCE);
    close_provider(redis, &loop);
    printf("hiredis_get %.0f\nredis_get %.0f\nredis_ratio %.2f\n", bare_one, one, one / bare_one);
    printf("hiredis_get_64 %.0f\nredis_get_64 %.0f\nredis_ratio_64 %.2f\n", bare_many, many, many / bare_many);

    redisFree(bare);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    snprintf(command, sizeof command, "rm -rf -- %s", dir);
    return system(command) == 0 && uv_loop_close(&loop) == 0 ? 0 : 1;
}
