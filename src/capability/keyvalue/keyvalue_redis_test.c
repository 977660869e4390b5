/* SPDX-License-Identifier: Apache-2.0 */
/* With a real redis-server, and with servers that are none. */
#include "capability/keyvalue/keyvalue_suite.h"
#include "capability/keyvalue/redis_rig.h"
#include "capability/keyvalue/redis_url.h"

static void open_redis(struct world *world, const char *url)
{
    struct wisp_provider_options options = {.kind = &wisp_keyvalue_redis};
    char config[256];
    CHECK_OK(open_world(world, &options), &err);
    snprintf(config, sizeof config, "{\"URL\": \"%s\"}", url);
    CHECK_OK(put_link(world, "default", config, NULL), &err);
}

TEST(suite)
{
    struct redis_server server;
    struct world world;
    redis_init(&server);
    redis_start(&server, "");
    open_redis(&world, server.url);
    check_all(&world, false, true);
    close_world(&world);
    redis_deinit(&server);
}

TEST(keys_are_as_they_are_and_buckets_do_not_count)
{
    struct redis_server server;
    struct world world;
    char url[96];
    redis_init(&server);
    redis_start(&server, "");
    open_redis(&world, server.url);
    CHECK_TEXT(say(&world, WISP_KEYVALUE_SET, "one", "a b\xc3\xa4", "x"), "done");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_GET, "another", "a b\xc3\xa4", NULL), "some x");
    /* Another database of the same server. */
    snprintf(url, sizeof url, "{\"url\": \"%s/3\"}", server.url);
    CHECK_OK(put_link(&world, "third", url, NULL), &err);
    CHECK_TEXT(say_over(&world, "third", WISP_KEYVALUE_GET, "b", "a b\xc3\xa4", NULL), "none");
    close_world(&world);
    redis_deinit(&server);
}

TEST(wrong_types_and_counters_below_zero)
{
    struct redis_server server;
    struct world world;
    char command[256];
    redis_init(&server);
    redis_start(&server, "");
    snprintf(command, sizeof command,
             "redis-cli -p %u lpush list 1 >/dev/null && redis-cli -p %u set minus -5 >/dev/null", server.port,
             server.port);
    CHECK(run_program(command));
    open_redis(&world, server.url);
    CHECK_HAS(GET(&world, "list"), "other: Redis: WRONGTYPE");
    CHECK_HAS(say(&world, WISP_KEYVALUE_INCREMENT, "b", "minus", "1"), "other: the counter is negative: -4");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_GET_MANY, "b", "list minus", NULL), "none minus=-4");
    close_world(&world);
    redis_deinit(&server);
}

TEST(credentials)
{
    struct redis_server server;
    struct world world;
    char text[160];
    redis_init(&server);
    redis_start(&server, "requirepass s%cret\nuser bob on >pa:ss ~* +@all");
    open_redis(&world, server.url);
    CHECK_TEXT(GET(&world, "a"), "access-denied");
    snprintf(text, sizeof text, "{\"url\": \"redis://:s%%25cret@127.0.0.1:%u/\"}", server.port);
    CHECK_OK(put_link(&world, "secret", "{}", text), &err);
    CHECK_TEXT(say_over(&world, "secret", WISP_KEYVALUE_GET, "b", "a", NULL), "none");
    snprintf(text, sizeof text, "{\"url\": \"redis://bob:pa%%3ass@localhost:%u/2\"}", server.port);
    CHECK_OK(put_link(&world, "user", "{}", text), &err);
    CHECK_TEXT(say_over(&world, "user", WISP_KEYVALUE_SET, "b", "a", "x"), "done");
    snprintf(text, sizeof text, "{\"url\": \"redis://bob:wrong@127.0.0.1:%u\"}", server.port);
    CHECK_OK(put_link(&world, "wrong", text, NULL), &err);
    CHECK_TEXT(say_over(&world, "wrong", WISP_KEYVALUE_GET, "b", "a", NULL), "access-denied");
    WISP_CLEANUP_BUF struct wisp_buf why = {0};
    CHECK(!wisp_provider_is_healthy(world.provider, &why));
    wisp_buf_append_char(&why, '\0');
    CHECK_HAS(why.data, "not connected to redis://127.0.0.1:");
    CHECK(!strstr(why.data, "wrong"));
    close_world(&world);
    redis_deinit(&server);
}

TEST(urls)
{
    static const struct {
        const char *url, *host, *user, *password;
        unsigned port, db;
        bool is_tls;
    } good[] = {
        {"redis://h", "h", NULL, NULL, 6379, 0, false},
        {"redis://h:1/", "h", NULL, NULL, 1, 0, false},
        {"redis://h/12", "h", NULL, NULL, 6379, 12, false},
        {"rediss://u:p@[::1]:7/2", "::1", "u", "p", 7, 2, true},
        {"redis://:a%40b%3A@h", "h", NULL, "a@b:", 6379, 0, false},
        {"redis://u:p@w@h", "h", "u", "p@w", 6379, 0, false},
    };
    static const char *const bad[] = {"",
                                      "h:1",
                                      "http://h",
                                      "redis:h",
                                      "redis://",
                                      "redis://:1",
                                      "redis://h:0",
                                      "redis://h:65536",
                                      "redis://h/x",
                                      "redis://%zz@h",
                                      "redis://:%0@h",
                                      "redis://[::1",
                                      "redis://[::1]x",
                                      "redis://:%00@h"};
    struct wisp_redis_address address;
    for (size_t i = 0; i < WISP_COUNT(good); i++) {
        CHECK_OK(wisp_redis_address_parse(wisp_str_from(good[i].url), &address, &err), &err);
        CHECK_TEXT(address.host, good[i].host);
        CHECK_TEXT(address.user ? address.user : "-", good[i].user ? good[i].user : "-");
        CHECK_TEXT(address.password ? address.password : "-", good[i].password ? good[i].password : "-");
        CHECK_INT(address.port, good[i].port);
        CHECK_INT(address.db, good[i].db);
        CHECK_INT(address.is_tls, good[i].is_tls);
        wisp_redis_address_deinit(&address);
    }
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        if (wisp_redis_address_parse(wisp_str_from(bad[i]), &address, &err) == 0)
            wisp_test_fail(__FILE__, __LINE__, "`%s` was taken", bad[i]);
        wisp_redis_address_deinit(&address);
    }
}

/* --- a server that goes away --- */

enum { COUNTERS = 8 };

struct load {
    struct world *world;
    struct wisp_str key;
    uint64_t n_done, n_failed;
    bool is_stopping, is_idle;
    struct wisp_keyvalue_increment_args args;
};

static void increment_next(struct load *load);

static void on_incremented(const void *result, const struct wisp_err *failure, void *env)
{
    struct load *load = env;
    const struct wisp_keyvalue_number *sum = result;
    CHECK(!failure);
    if (sum->is_err)
        load->n_failed++;
    else
        load->n_done++;
    load->is_idle = load->is_stopping;
    if (!load->is_stopping) increment_next(load);
}

static void increment_next(struct load *load)
{
    struct wisp_provider_caller caller = {.source_id = WISP_STR("guest")};
    load->args = (struct wisp_keyvalue_increment_args){WISP_STR(""), load->key, 1};
    wisp_provider_call_start(load->world->provider, find_verb(load->world, WISP_KEYVALUE_INCREMENT), &caller,
                             &load->args, on_incremented, load);
}

static uint64_t sum_of(const struct load *loads)
{
    uint64_t sum = 0;
    for (int i = 0; i < COUNTERS; i++) sum += loads[i].n_done;
    return sum;
}

/* Killed and started again while increments are under way: what was acknowledged is there, and no more is there than
 * was asked for; what failed are those few that were in flight. */
TEST(a_restart_under_load_loses_nothing)
{
    static const char *const keys[COUNTERS] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    struct redis_server server;
    struct world world;
    struct load loads[COUNTERS] = {0};
    redis_init(&server);
    redis_start(&server, "");
    open_redis(&world, server.url);
    for (int i = 0; i < COUNTERS; i++) {
        loads[i] = (struct load){.world = &world, .key = wisp_str_from(keys[i])};
        increment_next(&loads[i]);
    }
    for (int round = 0; round < 3; round++) {
        uint64_t before = sum_of(loads);
        AWAIT(&world.loop, sum_of(loads) > before + 500);
        redis_kill(&server);
        redis_start(&server, "");
    }
    uint64_t before = sum_of(loads);
    AWAIT(&world.loop, sum_of(loads) > before + 500);
    for (int i = 0; i < COUNTERS; i++) loads[i].is_stopping = true;
    for (int i = 0; i < COUNTERS; i++) AWAIT(&world.loop, loads[i].is_idle);
    for (int i = 0; i < COUNTERS; i++) {
        const char *text = GET(&world, keys[i]);
        uint64_t stored = strtoull(text + strlen("some "), NULL, 10);
        if (stored < loads[i].n_done || stored > loads[i].n_done + loads[i].n_failed)
            wisp_test_fail(__FILE__, __LINE__, "%s: %s, but %llu done and %llu failed", keys[i], text,
                           (unsigned long long)loads[i].n_done, (unsigned long long)loads[i].n_failed);
        CHECK(loads[i].n_failed <= 3);
    }
    close_world(&world);
    redis_deinit(&server);
}

/* Reads that were in flight are asked again. */
TEST(reads_survive_a_lost_connection)
{
    struct redis_server server;
    struct world world;
    struct outcome outcome;
    struct wisp_keyvalue_key_args get = {WISP_STR("b"), WISP_STR("a")};
    redis_init(&server);
    redis_start(&server, "");
    open_redis(&world, server.url);
    CHECK_TEXT(SET(&world, "a", "x"), "done");
    kill(server.pid, SIGSTOP);
    start_call(&world, "default", WISP_KEYVALUE_GET, &get, &outcome);
    for (int i = 0; i < 5; i++) uv_run(&world.loop, UV_RUN_NOWAIT); /* it is sent */
    redis_kill(&server);
    for (int i = 0; i < 5; i++) uv_run(&world.loop, UV_RUN_NOWAIT);
    CHECK_INT(outcome.n, 0);
    redis_start(&server, "");
    AWAIT(&world.loop, outcome.n);
    CHECK_TEXT(outcome.text, "some x");
    close_world(&world);
    redis_deinit(&server);
}

TEST(calls_wait_for_a_server_that_is_not_there_yet)
{
    struct redis_server server;
    struct world world;
    struct outcome outcome, cancelled;
    struct wisp_keyvalue_key_args get = {WISP_STR("b"), WISP_STR("a")};
    redis_init(&server);
    open_redis(&world, server.url);
    start_call(&world, "default", WISP_KEYVALUE_GET, &get, &outcome);
    struct wisp_provider_call *call = start_call(&world, "default", WISP_KEYVALUE_GET, &get, &cancelled);
    wisp_provider_call_cancel(call);
    for (int i = 0; i < 20; i++) uv_run(&world.loop, UV_RUN_ONCE);
    CHECK_INT(outcome.n, 0);
    redis_start(&server, "");
    AWAIT(&world.loop, outcome.n);
    CHECK_TEXT(outcome.text, "none");
    CHECK_INT(cancelled.n, 0);
    close_world(&world);
    redis_deinit(&server);
}

TEST(nobody_there)
{
    struct world world;
    char url[64];
    snprintf(url, sizeof url, "redis://127.0.0.1:%u", free_port());
    open_redis(&world, url);
    CHECK_HAS(GET(&world, "a"), "other: redis://127.0.0.1:");
    CHECK_HAS(GET(&world, "a"), "connection refused");
    close_world(&world);
}

TEST(closing_with_calls_in_flight)
{
    struct redis_server server;
    struct world world;
    struct outcome outcome;
    struct wisp_keyvalue_key_args get = {WISP_STR("b"), WISP_STR("a")};
    redis_init(&server);
    redis_start(&server, "");
    open_redis(&world, server.url);
    CHECK_TEXT(SET(&world, "a", "x"), "done");
    kill(server.pid, SIGSTOP);
    start_call(&world, "default", WISP_KEYVALUE_GET, &get, &outcome);
    for (int i = 0; i < 5; i++) uv_run(&world.loop, UV_RUN_NOWAIT);
    close_world(&world);
    redis_deinit(&server);
}

/* --- servers that are none --- */

struct liar {
    uv_tcp_t listener, peer;
    const char *answer;
    size_t size;
    bool has_peer;
};

static void on_liar_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    static char room[65536];
    (void)handle, (void)size;
    *buf = uv_buf_init(room, sizeof room);
}

static void on_liar_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    const struct liar *liar = stream->data;
    uv_buf_t pong = uv_buf_init((char *)(uintptr_t)"+PONG\r\n", 7);
    uv_buf_t lie = uv_buf_init((char *)(uintptr_t)liar->answer, (unsigned)liar->size);
    if (n < 0) {
        if (!uv_is_closing((uv_handle_t *)stream)) uv_read_stop(stream);
        return;
    }
    bool is_ping = memmem(buf->base, (size_t)n, "PING", 4);
    uv_try_write(stream, is_ping ? &pong : &lie, 1);
}

static void on_liar_accept(uv_stream_t *listener, int status)
{
    struct liar *liar = listener->data;
    CHECK_INT(status, 0);
    if (liar->has_peer) return; /* one is enough */
    liar->has_peer = true;
    uv_tcp_init(listener->loop, &liar->peer);
    liar->peer.data = liar;
    CHECK_INT(uv_accept(listener, (uv_stream_t *)&liar->peer), 0);
    uv_read_start((uv_stream_t *)&liar->peer, on_liar_alloc, on_liar_read);
}

/* What becomes of an increment that is answered so. */
static const char *ask_liar(const char *answer, size_t size)
{
    static char text[2048];
    struct liar liar = {.answer = answer, .size = size};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct world world;
    char url[64];
    uint16_t port = free_port();
    snprintf(url, sizeof url, "redis://127.0.0.1:%u", port);
    open_redis(&world, url);
    address.sin_port = htons(port);
    uv_tcp_init(&world.loop, &liar.listener);
    liar.listener.data = &liar;
    CHECK_INT(uv_tcp_bind(&liar.listener, (struct sockaddr *)&address, 0), 0);
    CHECK_INT(uv_listen((uv_stream_t *)&liar.listener, 8, on_liar_accept), 0);
    snprintf(text, sizeof text, "%s", say(&world, WISP_KEYVALUE_INCREMENT, "b", "n", "1"));
    uv_close((uv_handle_t *)&liar.listener, NULL);
    uv_close((uv_handle_t *)&liar.peer, NULL);
    close_world(&world);
    return text;
}
#define LIE(literal) ask_liar("" literal "", sizeof(literal) - 1)

TEST(hostile_answers)
{
    CHECK_TEXT(LIE(":7\r\n"), "7");
    CHECK_HAS(LIE("+OK\r\n"), "other: Redis answered with something of another type");
    CHECK_HAS(LIE("$-1\r\n"), "other: Redis answered with something of another type");
    CHECK_HAS(LIE("*-1\r\n"), "other: Redis answered with something of another type");
    CHECK_HAS(LIE("-ERR \xff\xfe no\r\n"), "other: Redis: ERR ?? no");
    CHECK_HAS(LIE("!!\r\n"), "the connection was lost");
    CHECK_HAS(LIE("*2147483647\r\n"), "the connection was lost");
    CHECK_HAS(LIE("*9999999999\r\n"), "the connection was lost");
    CHECK_HAS(LIE("*70000\r\n:1\r\n"), "the connection was lost");
    CHECK_HAS(LIE("$99999999999999999999\r\n"), "the connection was lost");
    CHECK_HAS(LIE("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"),
              "the connection was lost");
    CHECK_TEXT(LIE(":1\r\n:2\r\n:3\r\n"), "1"); /* answers to nothing: lost after it */
}

TEST(tls_is_verified)
{
    char script[512], url[64];
    struct redis_server server;
    struct world world;
    redis_init(&server);
    make_certificates(server.dir);
    snprintf(script, sizeof script,
             "tls-port %u\ntls-cert-file %s/server.pem\ntls-key-file %s/server.key\ntls-ca-cert-file %s/ca.pem\n"
             "tls-auth-clients no\nport 0",
             server.port, server.dir, server.dir, server.dir);
    redis_start(&server, script);
    snprintf(url, sizeof url, "rediss://localhost:%u", server.port);
    open_redis(&world, url);
    CHECK_TEXT(GET(&world, "a"), "access-denied"); /* nobody knows that CA */
    close_world(&world);
    char path[128];
    snprintf(path, sizeof path, "%s/ca.pem", server.dir);
    setenv("SSL_CERT_FILE", path, 1);
    open_redis(&world, url);
    CHECK_TEXT(SET(&world, "a", "secret"), "done");
    CHECK_TEXT(GET(&world, "a"), "some secret");
    check_large_value(&world);
    close_world(&world);
    redis_deinit(&server);
}
