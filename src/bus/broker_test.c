/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/broker_rig.h"
#include "nkeys/nkeys.h"
#include "test.h"

#define S(text) wisp_str_from(text)

static struct rig rig;

/* A connection that has said CONNECT; what it has seen so far is forgotten. */
static void join(size_t i, const char *options)
{
    WISP_CLEANUP_BUF struct wisp_buf line = {0};
    rig_open(&rig, i, NULL);
    wisp_buf_printf(&line, "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true%s}\r\n", options);
    rig_feed(&rig, i, wisp_buf_str(&line), SIZE_MAX);
    rig.conns[i].seen.len = 0;
}

static void say(size_t i, const char *text) { rig_feed(&rig, i, S(text), SIZE_MAX); }

/* All it has seen since. */
static struct wisp_str seen(size_t i)
{
    rig_drain(&rig.conns[i]);
    struct wisp_str text = wisp_buf_str(&rig.conns[i].seen);
    rig.conns[i].seen.len = 0;
    return text;
}

static void check_cut(size_t i, const char *reason)
{
    CHECK(rig.conns[i].conn.phase != WISP_BUS_PHASE_OPEN);
    CHECK_TEXT(rig.conns[i].conn.reason, reason);
    CHECK_INT(rig.conns[i].conn.n_subs, 0);
}

TEST(info)
{
    rig_init(&rig, NULL);
    rig_open(&rig, 0, NULL);
    CHECK_STR(seen(0),
              "INFO {\"server_id\":\"ID\",\"server_name\":\"rig\",\"version\":\"2.10.0\",\"proto\":1,"
              "\"host\":\"127.0.0.1\",\"port\":0,\"headers\":true,\"max_payload\":1048576,\"client_id\":1}\r\n");
    say(0, "CONNECT {}\r\nPING\r\nSUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1\r\n");
    CHECK_STR(seen(0), "+OK\r\nPONG\r\n+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\n+OK\r\n");
    rig_deinit(&rig);
}

TEST(publish_and_subscribe)
{
    rig_init(&rig, NULL);
    join(0, "");
    join(1, "");
    say(0, "SUB a.* 1\r\nSUB a.> 2\r\nSUB b 3\r\n");
    say(1, "PUB a.b r 2\r\nhi\r\nPUB c 0\r\n\r\n");
    CHECK_STR(seen(0), "MSG a.b 2 r 2\r\nhi\r\nMSG a.b 1 r 2\r\nhi\r\n");
    say(0, "UNSUB 2\r\nUNSUB 99\r\nSUB b 1\r\n");
    say(1, "PUB a.b 0\r\n\r\nPUB b 0\r\n\r\n");
    CHECK_STR(seen(0), "MSG a.b 1 0\r\n\r\nMSG b 3 0\r\n\r\n");
    CHECK_INT(rig.broker.stats.in_messages, 4);
    CHECK_INT(rig.broker.stats.out_messages, 4);
    CHECK_INT(rig.broker.stats.subscriptions, 2);
    rig_deinit(&rig);
}

TEST(headers_reach_those_who_know_them)
{
    rig_init(&rig, NULL);
    join(0, "");
    join(1, ",\"headers\":false");
    say(0, "SUB a 1\r\n");
    say(1, "SUB a 1\r\n");
    say(0, "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    CHECK_STR(seen(0), "HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    CHECK_STR(seen(1), "MSG a 1 2\r\nhi\r\n");
    say(1, "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    CHECK_INT(rig.conns[1].conn.phase, WISP_BUS_PHASE_LOST);
    rig_deinit(&rig);
}

TEST(echo)
{
    rig_init(&rig, NULL);
    join(0, ",\"echo\":false,\"no_responders\":true");
    say(0, "SUB a 1\r\nSUB i.* 2\r\nPUB a 1\r\nx\r\n");
    CHECK_INT(seen(0).len, 0);
    say(0, "PUB a i.1 1\r\nx\r\n");
    CHECK_STR(seen(0), "HMSG i.1 2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    rig_deinit(&rig);
}

TEST(no_responders)
{
    rig_init(&rig, NULL);
    join(0, ",\"no_responders\":true");
    join(1, "");
    say(0, "SUB i.* 2\r\nPUB $JS.API.INFO i.1 0\r\n\r\n");
    CHECK_STR(seen(0), "HMSG i.1 2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    say(0, "PUB nobody elsewhere 0\r\n\r\nPUB nobody 0\r\n\r\n");
    CHECK_INT(seen(0).len, 0);
    say(1, "SUB i.* 2\r\nPUB nobody i.1 0\r\n\r\n");
    CHECK_INT(seen(1).len, 0);
    say(1, "SUB svc q 1\r\n");
    say(0, "PUB svc i.1 0\r\n\r\n");
    CHECK_STR(seen(1), "MSG svc 1 i.1 0\r\n\r\n");
    CHECK_INT(seen(0).len, 0);
    rig_open(&rig, 2, NULL);
    say(2, "CONNECT {\"no_responders\":true}\r\n");
    check_cut(2, "no responders requires headers support");
    rig_deinit(&rig);
}

TEST(unsubscribe_after)
{
    rig_init(&rig, NULL);
    join(0, "");
    say(0, "SUB a 1\r\nUNSUB 1 2\r\nPUB a 0\r\n\r\nPUB a 0\r\n\r\nPUB a 0\r\n\r\n");
    CHECK_STR(seen(0), "MSG a 1 0\r\n\r\nMSG a 1 0\r\n\r\n");
    CHECK_INT(rig.conns[0].conn.n_subs, 0);
    say(0, "SUB a 1\r\nPUB a 0\r\n\r\nPUB a 0\r\n\r\nUNSUB 1 2\r\n");
    CHECK_INT(rig.conns[0].conn.n_subs, 0);
    rig_deinit(&rig);
}

TEST(queue_groups_share_fairly)
{
    enum { MESSAGES = 3000 };
    rig_init(&rig, NULL);
    for (size_t i = 0; i < 4; i++) join(i, "");
    for (size_t i = 1; i < 4; i++) say(i, "SUB a.* q 1\r\nSUB other q 2\r\n");
    for (int i = 0; i < MESSAGES; i++) say(0, "PUB a.b 0\r\n\r\n");
    size_t total = 0;
    for (size_t i = 1; i < 4; i++) {
        size_t n = seen(i).len / strlen("MSG a.b 1 0\r\n\r\n");
        CHECK(n > MESSAGES / 3 - 200 && n < MESSAGES / 3 + 200);
        total += n;
    }
    CHECK_INT(total, MESSAGES);
    rig_deinit(&rig);
}

TEST(what_is_wrong_is_said)
{
    const struct {
        const char *text, *answer;
        bool is_over;
    } cases[] = {
        {"SUB a..b 1\r\n", "-ERR 'Invalid Subject'\r\n", false},
        {"CONNECT {\"verbose\":false}\r\nPUB a.* 0\r\n\r\n", "-ERR 'Invalid Publish Subject'\r\n", false},
        {"NONSENSE\r\n", "-ERR 'Unknown Protocol Operation'\r\n", true},
        {"PUB a 2000000\r\n", "-ERR 'Maximum Payload Violation'\r\n", true},
        {"PUB a\r\n", "", true},
        {"CONNECT []\r\n", "", true},
        {"CONNECT {\r\n", "", true},
        {"CONNECT {\"protocol\":2}\r\n", "-ERR 'invalid client protocol'\r\n", true},
    };
    rig_init(&rig, NULL);
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        join(0, "");
        say(0, cases[i].text);
        CHECK_STR(seen(0), cases[i].answer);
        CHECK_INT(rig.conns[0].conn.phase != WISP_BUS_PHASE_OPEN, cases[i].is_over);
        rig_close(&rig, 0);
    }
    rig_deinit(&rig);
}

TEST(large_messages_in_pieces)
{
    enum { SIZE = 300000 };
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    for (int i = 0; i < 2; i++) {
        wisp_buf_printf(&text, "PUB a %d\r\n", SIZE);
        memset(wisp_buf_reserve(&text, SIZE), 'x' + i, SIZE);
        text.len += SIZE;
        wisp_buf_append(&text, "\r\n", 2);
    }
    for (size_t piece = 1000; piece < 200000; piece = piece * 3 + 1) {
        rig_init(&rig, NULL);
        join(0, "");
        say(0, "SUB a 1\r\n");
        rig_feed(&rig, 0, wisp_buf_str(&text), piece);
        struct wisp_str got = seen(0);
        CHECK_INT(got.len, 2 * (strlen("MSG a 1 300000\r\n") + SIZE + 2));
        CHECK(got.ptr[got.len - 3] == 'y');
        CHECK_INT(rig.conns[0].conn.in.capacity, 0);
        rig_deinit(&rig);
    }
}

TEST(limits)
{
    struct wisp_bus_broker_options options = {.connections_max = 1, .subscriptions_max = 2};
    rig_init(&rig, &options);
    join(0, "");
    say(0, "SUB a 1\r\nSUB a 2\r\nSUB a 2\r\n");
    CHECK_INT(seen(0).len, 0);
    say(0, "SUB a 3\r\n");
    CHECK_STR(seen(0), "-ERR 'maximum subscriptions exceeded'\r\n");
    rig_open(&rig, 1, NULL);
    CHECK_STR(seen(1), "-ERR 'maximum connections exceeded'\r\n");
    check_cut(1, "maximum connections exceeded");
    CHECK_INT(rig.broker.stats.refused, 1);
    rig_deinit(&rig);
}

TEST(slow_consumer)
{
    struct wisp_bus_broker_options options = {.pending_bytes_max = 10000};
    rig_init(&rig, &options);
    join(0, "");
    join(1, "");
    say(0, "SUB a 1\r\nSUB a 2\r\n");
    rig.conns[0].is_lazy = true;
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_append_str(&text, WISP_STR("PUB a 2000\r\n"));
    memset(wisp_buf_reserve(&text, 2002), 'x', 2000);
    memcpy(text.data + text.len + 2000, "\r\n", 2);
    text.len += 2002;
    rig_feed(&rig, 1, wisp_buf_str(&text), SIZE_MAX);
    CHECK(wisp_bus_conn_wants_input(&rig.conns[1].conn));
    rig_feed(&rig, 1, wisp_buf_str(&text), SIZE_MAX);
    CHECK(!wisp_bus_conn_wants_input(&rig.conns[1].conn));
    rig.broker.now_ms += 10;
    CHECK(wisp_bus_conn_wants_input(&rig.conns[1].conn));
    rig_feed(&rig, 1, wisp_buf_str(&text), SIZE_MAX);
    check_cut(0, "Slow Consumer");
    CHECK_INT(rig.broker.stats.slow_consumers, 1);
    rig.conns[0].is_lazy = false;
    CHECK_STR(seen(0), "-ERR 'Slow Consumer'\r\n");
    CHECK_INT(rig.conns[1].conn.phase, WISP_BUS_PHASE_OPEN);
    rig_deinit(&rig);
}

TEST(write_timeout)
{
    rig_init(&rig, NULL);
    join(0, "");
    say(0, "SUB a 1\r\n");
    rig.conns[0].is_lazy = true;
    say(0, "PUB a 1\r\nx\r\n");
    WISP_CLEANUP_BUF struct wisp_buf taken = {0};
    wisp_bus_conn_output_take(&rig.conns[0].conn, 3, &taken);
    CHECK_INT(wisp_bus_conn_pending(&rig.conns[0].conn), strlen(" a 1 1\r\nx\r\n"));
    CHECK_INT(wisp_bus_conn_output(&rig.conns[0].conn).len, 0);
    rig.broker.now_ms += 900;
    wisp_bus_conn_output_moved(&rig.conns[0].conn);
    rig.broker.now_ms += 900;
    say(0, "PONG\r\n");
    wisp_bus_broker_tick(&rig.broker);
    CHECK_INT(rig.conns[0].conn.phase, WISP_BUS_PHASE_OPEN);
    rig.broker.now_ms += 200;
    wisp_bus_broker_tick(&rig.broker);
    CHECK_INT(rig.conns[0].conn.phase, WISP_BUS_PHASE_LOST);
    rig_deinit(&rig);
}

TEST(pings)
{
    rig_init(&rig, NULL);
    join(0, "");
    rig.broker.now_ms = 1000;
    wisp_bus_broker_tick(&rig.broker);
    CHECK_STR(seen(0), "PING\r\n");
    say(0, "PONG\r\n");
    rig.broker.now_ms = 1999;
    wisp_bus_broker_tick(&rig.broker);
    CHECK_INT(seen(0).len, 0);
    for (int i = 0; i < 3; i++) {
        rig.broker.now_ms += 1000;
        wisp_bus_broker_tick(&rig.broker);
    }
    CHECK_STR(seen(0), "PING\r\nPING\r\n-ERR 'Stale Connection'\r\n");
    check_cut(0, "Stale Connection");
    rig_deinit(&rig);
}

/* --- credentials --- */

static void try_connect(const struct wisp_bus_peer *peer, const char *text, const char *answer)
{
    rig_open(&rig, 1, peer);
    seen(1);
    say(1, text);
    CHECK_STR(seen(1), answer);
    rig_close(&rig, 1);
}

#define DENIED "-ERR 'Authorization Violation'\r\n"

TEST(token)
{
    struct wisp_bus_broker_options options = {.token = wisp_mem_dup(WISP_STR("secret"))};
    rig_init(&rig, &options);
    rig_open(&rig, 0, NULL);
    WISP_CLEANUP_BUF struct wisp_buf info = {0};
    wisp_buf_append_str(&info, seen(0));
    wisp_buf_append_char(&info, '\0');
    CHECK_HAS(info.data, "\"auth_required\":true");
    CHECK(!strstr(info.data, "secret"));
    try_connect(NULL, "CONNECT {\"auth_token\":\"secret\"}\r\nPING\r\n", "+OK\r\nPONG\r\n");
    try_connect(NULL, "CONNECT {\"user\":\"secret\"}\r\n", "+OK\r\n");
    try_connect(NULL, "CONNECT {\"user\":\"secret\",\"pass\":\"x\"}\r\n", DENIED);
    try_connect(NULL, "CONNECT {\"auth_token\":\"secret2\"}\r\nPING\r\n", DENIED);
    try_connect(NULL, "CONNECT {\"auth_token\":\"\"}\r\n", DENIED);
    try_connect(NULL, "CONNECT {}\r\n", DENIED);
    try_connect(NULL, "PING\r\n", DENIED);
    try_connect(NULL, "SUB > 1\r\n", DENIED);
    try_connect(NULL, "PUB a 100\r\n", DENIED);
    try_connect(NULL, "NONSENSE\r\n", DENIED);
    struct wisp_bus_peer trusted = {.is_trusted = true};
    try_connect(&trusted, "PING\r\n", "PONG\r\n");
    rig.broker.now_ms = 1000;
    wisp_bus_broker_tick(&rig.broker);
    CHECK_STR(seen(0), "-ERR 'Authentication Timeout'\r\n");
    CHECK_INT(rig.broker.stats.refused, 9);
    rig_deinit(&rig);
}

static void sign(const struct wisp_nkey *key, const char *nonce, struct wisp_buf *out)
{
    uint8_t signature[WISP_NKEY_SIGNATURE_SIZE];
    char public_text[WISP_NKEY_PUBLIC_LEN + 1];
    wisp_nkey_sign(key, S(nonce), signature);
    wisp_nkey_public_text(key, public_text);
    wisp_buf_printf(out, "CONNECT {\"nkey\":\"%s\",\"sig\":\"", public_text);
    wisp_base64url_encode((struct wisp_str){(char *)signature, sizeof signature}, out);
    wisp_buf_printf(out, "\"}\r\n%c", '\0');
}

TEST(nkey)
{
    struct wisp_nkey key, stranger, account;
    wisp_nkey_generate(&key, WISP_NKEY_USER);
    wisp_nkey_generate(&stranger, WISP_NKEY_USER);
    wisp_nkey_generate(&account, WISP_NKEY_ACCOUNT);
    struct wisp_bus_broker_options options = {.keys = {.at = wisp_mem_calloc(1, 32), .count = 1}};
    memcpy(options.keys.at[0], key.public, 32);
    rig_init(&rig, &options);
    struct wisp_bus_peer peer = {.nonce = "some-nonce"};
    const struct {
        const struct wisp_nkey *key;
        const char *nonce, *answer;
    } cases[] = {{&key, "some-nonce", "+OK\r\n"}, {&key, "other", DENIED}, {&stranger, "some-nonce", DENIED}};
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        WISP_CLEANUP_BUF struct wisp_buf text = {0};
        sign(cases[i].key, cases[i].nonce, &text);
        try_connect(&peer, text.data, cases[i].answer);
    }
    try_connect(&peer, "CONNECT {\"nkey\":\"nonsense\",\"sig\":\"x\"}\r\n", DENIED);
    rig_deinit(&rig);
    wisp_nkey_wipe(&key);
}

TEST(handshake_deadline)
{
    rig_init(&rig, NULL);
    struct wisp_bus_peer peer = {.uses_tls = true};
    rig_open(&rig, 0, &peer);
    rig_open(&rig, 1, &peer);
    rig.conns[1].conn.owes_handshake = false;
    seen(0);
    rig.broker.now_ms = 1000;
    wisp_bus_broker_tick(&rig.broker);
    CHECK_STR(seen(0), "-ERR 'Authentication Timeout'\r\n");
    CHECK_INT(rig.conns[1].conn.phase, WISP_BUS_PHASE_OPEN);
    rig_deinit(&rig);
}
