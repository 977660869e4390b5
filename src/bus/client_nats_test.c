/* SPDX-License-Identifier: Apache-2.0 */
/* The client against real nats-servers. */
#include "bus/client_rig.h"

#include "nkeys/nkeys.h"

static const struct wisp_str none;

struct heard {
    unsigned n;
    struct wisp_buf text; /* payloads, each with a blank behind it */
};

static void on_heard(const struct wisp_bus_message *message, void *env)
{
    struct heard *heard = env;
    heard->n++;
    wisp_buf_append_str(&heard->text, message->payload);
    wisp_buf_append_char(&heard->text, ' ');
}

static void say(struct told *told, const char *subject, const char *text)
{
    struct wisp_err err = {0};
    CHECK_OK(wisp_bus_publish(told->client, wisp_str_from(subject), none, NULL, 0, wisp_str_from(text), &err), &err);
}

static struct wisp_bus_subscription *listen_to(struct told *told, const char *pattern, const char *queue,
                                               wisp_bus_on_message *on_message, void *env)
{
    struct wisp_err err = {0};
    struct wisp_bus_subscription *subscription;
    CHECK_OK(wisp_bus_subscribe(told->client, wisp_str_from(pattern), wisp_str_from(queue), on_message, env,
                                &subscription, &err),
             &err);
    return subscription;
}

static void on_flush(const struct wisp_err *err, void *env) { *(int *)env = err ? -(int)err->kind : 1; }

static int flush(struct told *told, uint64_t timeout_ms)
{
    int result = 0;
    wisp_bus_flush(told->client, timeout_ms, on_flush, &result);
    AWAIT(told->loop, result);
    return result;
}

struct server {
    uv_loop_t loop;
    struct nats nats;
};

static void setup(struct server *server, const char *config)
{
    CHECK_INT(uv_loop_init(&server->loop), 0);
    nats_init(&server->nats);
    nats_start(&server->nats, config);
}

static void teardown(struct server *server)
{
    end_loop(&server->loop);
    nats_deinit(&server->nats);
}

TEST(publish_and_subscribe)
{
    struct server server;
    struct told a, b;
    struct heard all = {0}, one = {0}, other = {0};
    setup(&server, "");
    connect_to(&a, &server.loop, server.nats.url);
    connect_to(&b, &server.loop, server.nats.url);
    CHECK(wisp_bus_client_server_id(a.client).len == 56);
    CHECK_TEXT(wisp_bus_client_url(a.client), server.nats.url);
    listen_to(&a, "t.*", "", on_heard, &all);
    listen_to(&a, "t.>", "q", on_heard, &one);
    struct wisp_bus_subscription *left = listen_to(&b, "t.>", "q", on_heard, &other);
    CHECK_INT(flush(&a, 5000), 1);
    CHECK_INT(flush(&b, 5000), 1);
    say(&b, "t.x", "1");
    say(&b, "t.y.z", "2");
    AWAIT(&server.loop, all.n == 1 && one.n + other.n == 2);
    CHECK_STR(wisp_buf_str(&all.text), "1 ");
    wisp_bus_unsubscribe(left);
    for (int i = 0; i < 20; i++) say(&b, "t.y.z", "3");
    unsigned before = one.n;
    AWAIT(&server.loop, one.n == before + 20);
    wisp_buf_deinit(&all.text);
    wisp_buf_deinit(&one.text);
    wisp_buf_deinit(&other.text);
    wisp_bus_client_free(a.client);
    wisp_bus_client_free(b.client);
    teardown(&server);
}

static void answer(const struct wisp_bus_message *message, void *env)
{
    struct told *told = env;
    struct wisp_err err = {0};
    struct wisp_bus_header header = {WISP_STR("X-Case"), wisp_bus_header_get(message, "X-Case")};
    CHECK_OK(wisp_bus_publish(told->client, message->reply, none, &header, 1, message->payload, &err), &err);
}

struct reply {
    unsigned n;
    enum wisp_err_kind kind;
    char text[1100], header[64];
};

static void on_reply(const struct wisp_bus_message *message, const struct wisp_err *err, void *env)
{
    struct reply *reply = env;
    reply->n++;
    reply->kind = err ? err->kind : WISP_ERR_NONE;
    struct wisp_str text = err ? wisp_str_from(err->text) : message->payload;
    snprintf(reply->text, sizeof reply->text, "%.*s", WISP_STR_ARG(text));
    if (message)
        snprintf(reply->header, sizeof reply->header, "%.*s", WISP_STR_ARG(wisp_bus_header_get(message, "X-Case")));
}

TEST(requests)
{
    struct server server;
    struct told a, b;
    struct reply reply = {0}, refused = {0};
    struct wisp_err err = {0};
    struct wisp_bus_header header = {WISP_STR("X-Case"), WISP_STR("Kept As It Is")};
    setup(&server, "");
    connect_to(&a, &server.loop, server.nats.url);
    connect_to(&b, &server.loop, server.nats.url);
    listen_to(&b, "echo", "", answer, &b);
    CHECK_INT(flush(&b, 5000), 1);
    CHECK_OK(
        wisp_bus_request(a.client, WISP_STR("echo"), &header, 1, WISP_STR("hi"), 20000, on_reply, &reply, NULL, &err),
        &err);
    CHECK_OK(wisp_bus_request(a.client, WISP_STR("nobody"), NULL, 0, none, 20000, on_reply, &refused, NULL, &err),
             &err);
    AWAIT(&server.loop, reply.n && refused.n);
    CHECK_TEXT(reply.text, "hi");
    CHECK_TEXT(reply.header, "Kept As It Is");
    CHECK_INT(refused.kind, WISP_ERR_UNAVAILABLE);
    CHECK_TEXT(refused.text, "nobody answers on nobody");
    wisp_bus_client_free(a.client);
    wisp_bus_client_free(b.client);
    teardown(&server);
}

static void add_up(const struct wisp_bus_message *message, void *env)
{
    uint64_t *sum = env;
    for (size_t i = 0; i < message->payload.len; i += 4099)
        CHECK_INT((unsigned char)message->payload.ptr[i], i / 4099 % 256);
    *sum += message->payload.len;
}

TEST(large_messages_more_than_the_socket_takes)
{
    enum { SIZE = 1 << 20, COUNT = 40 };
    struct server server;
    struct told a;
    struct wisp_err err = {0};
    uint64_t sum = 0;
    char *bytes = wisp_mem_calloc(1, SIZE);
    for (size_t i = 0; i < SIZE; i += 4099) bytes[i] = (char)(i / 4099 % 256);
    setup(&server, "max_pending: 100MB");
    const char *url = server.nats.url;
    connect_with(&a, &server.loop,
                 (struct wisp_bus_client_options){.urls = &url, .n_urls = 1, .pending_bytes_max = 64 << 20});
    AWAIT(&server.loop, a.n_connected);
    listen_to(&a, "large", "", add_up, &sum);
    for (int i = 0; i < COUNT; i++)
        CHECK_OK(wisp_bus_publish(a.client, WISP_STR("large"), none, NULL, 0, (struct wisp_str){bytes, SIZE}, &err),
                 &err);
    AWAIT(&server.loop, sum == (uint64_t)SIZE * COUNT);
    free(bytes);
    wisp_bus_client_free(a.client);
    teardown(&server);
}

TEST(a_killed_server_is_found_again)
{
    struct server server;
    struct told a;
    struct heard heard = {0};
    struct reply late = {0};
    struct wisp_err err = {0};
    setup(&server, "");
    connect_to(&a, &server.loop, server.nats.url);
    listen_to(&a, "s", "", on_heard, &heard);
    struct wisp_bus_subscription *gone = listen_to(&a, "s", "", on_heard, &heard);
    CHECK_INT(flush(&a, 5000), 1);
    nats_kill(&server.nats);
    int flushed = 0;
    wisp_bus_flush(a.client, 30000, on_flush, &flushed);
    AWAIT(&server.loop, a.n_lost == 1);
    AWAIT(&server.loop, flushed);
    CHECK_INT(flushed, -(int)WISP_ERR_UNAVAILABLE);
    CHECK_INT(wisp_bus_client_state(a.client), WISP_BUS_RECONNECTING);
    wisp_bus_unsubscribe(gone); /* not said again */
    listen_to(&a, "new", "", on_heard, &heard);
    say(&a, "s", "kept1");
    say(&a, "new", "kept2");
    CHECK_OK(wisp_bus_request(a.client, WISP_STR("nobody"), NULL, 0, none, 30000, on_reply, &late, NULL, &err), &err);
    nats_start(&server.nats, "");
    AWAIT(&server.loop, heard.n == 2 && late.n);
    CHECK_STR(wisp_buf_str(&heard.text), "kept1 kept2 ");
    CHECK_INT(late.kind, WISP_ERR_UNAVAILABLE);
    CHECK_INT(a.n_connected, 2);
    wisp_buf_deinit(&heard.text);
    wisp_bus_client_free(a.client);
    teardown(&server);
}

TEST(what_is_kept_is_bounded)
{
    struct server server;
    struct told a;
    struct wisp_err err = {0};
    char bytes[1000] = {0};
    setup(&server, "");
    const char *url = server.nats.url;
    connect_with(&a, &server.loop,
                 (struct wisp_bus_client_options){.urls = &url, .n_urls = 1, .pending_bytes_max = 10000});
    AWAIT(&server.loop, a.n_connected);
    nats_kill(&server.nats);
    AWAIT(&server.loop, a.n_lost);
    int n = 0;
    while (wisp_bus_publish(a.client, WISP_STR("s"), none, NULL, 0, (struct wisp_str){bytes, 1000}, &err) == 0) n++;
    CHECK_INT(err.kind, WISP_ERR_LIMIT);
    CHECK(n >= 9 && n <= 10);
    wisp_bus_client_free(a.client);
    teardown(&server);
}

TEST(a_stopped_server_is_noticed_by_its_silence)
{
    struct server server;
    struct told a;
    setup(&server, "");
    const char *url = server.nats.url;
    connect_with(&a, &server.loop, (struct wisp_bus_client_options){.urls = &url, .n_urls = 1, .ping_interval_ms = 50});
    AWAIT(&server.loop, a.n_connected);
    kill(server.nats.pid, SIGSTOP);
    AWAIT(&server.loop, a.n_lost);
    CHECK_INT(a.reason.kind, WISP_ERR_TIMEOUT);
    kill(server.nats.pid, SIGCONT);
    AWAIT(&server.loop, a.n_connected == 2);
    wisp_bus_client_free(a.client);
    teardown(&server);
}

/* --- a cluster --- */

static void start_cluster(struct nats *nodes, size_t n, const char *more)
{
    char config[1024], routes[512] = "";
    for (size_t i = 0; i < n; i++) nats_init(&nodes[i]);
    for (size_t i = 0; i < n; i++)
        snprintf(routes + strlen(routes), sizeof routes - strlen(routes), "\"nats-route://127.0.0.1:%u\",",
                 nodes[i].cluster_port);
    for (size_t i = 0; i < n; i++) {
        snprintf(config, sizeof config,
                 "server_name: n%zu\ncluster { name: c, listen: \"127.0.0.1:%u\", routes: [%s] }\n%s", i,
                 nodes[i].cluster_port, routes, more);
        nats_start(&nodes[i], config);
    }
}

/* Until the client knows that many servers, it could not move on. */
static void await_cluster(struct told *told, struct nats *nodes)
{
    struct told other;
    struct heard heard = {0};
    struct wisp_bus_subscription *subscription = listen_to(told, "probe", "", on_heard, &heard);
    CHECK_INT(flush(told, 5000), 1);
    connect_to(&other, told->loop, nodes[1].url);
    for (int i = 0; !heard.n; i++) {
        say(&other, "probe", "x");
        CHECK_INT(flush(&other, 5000), 1);
        CHECK_INT(flush(told, 5000), 1);
    }
    wisp_bus_client_free(other.client);
    wisp_bus_unsubscribe(subscription);
    wisp_buf_deinit(&heard.text);
}

TEST(a_cluster_member_is_lost)
{
    uv_loop_t loop;
    struct nats nodes[2];
    struct told a;
    struct heard heard = {0};
    CHECK_INT(uv_loop_init(&loop), 0);
    start_cluster(nodes, 2, "");
    connect_to(&a, &loop, nodes[0].url); /* knows of this one only */
    await_cluster(&a, nodes);
    listen_to(&a, "s", "", on_heard, &heard);
    nats_kill(&nodes[0]);
    AWAIT(&loop, a.n_lost == 1);
    say(&a, "s", "kept");
    AWAIT(&loop, heard.n == 1);
    CHECK_TEXT(wisp_bus_client_url(a.client), nodes[1].url);
    wisp_buf_deinit(&heard.text);
    wisp_bus_client_free(a.client);
    end_loop(&loop);
    nats_deinit(&nodes[0]);
    nats_deinit(&nodes[1]);
}

TEST(a_server_that_goes_is_left)
{
    uv_loop_t loop;
    struct nats nodes[2];
    struct told a;
    CHECK_INT(uv_loop_init(&loop), 0);
    start_cluster(nodes, 2, "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"15s\"\n");
    connect_to(&a, &loop, nodes[0].url);
    await_cluster(&a, nodes);
    kill(nodes[0].pid, SIGUSR2);
    AWAIT(&loop, a.n_connected == 2);
    CHECK_TEXT(wisp_bus_client_url(a.client), nodes[1].url);
    CHECK_HAS(a.reason.text, "shuts down");
    wisp_bus_client_free(a.client);
    end_loop(&loop);
    nats_deinit(&nodes[0]);
    nats_deinit(&nodes[1]);
}

/* --- who may --- */

static void check_login(struct server *server, struct wisp_bus_client_options options, bool is_welcome)
{
    struct told told;
    const char *url = server->nats.url;
    if (!options.n_urls) {
        options.urls = &url;
        options.n_urls = 1;
    }
    options.reconnect_wait_ms = 10;
    connect_with(&told, &server->loop, options);
    AWAIT(&server->loop, told.n_connected || told.is_closed);
    CHECK_INT(told.n_connected, is_welcome);
    if (!is_welcome) CHECK_INT(told.reason.kind, WISP_ERR_DENIED);
    wisp_bus_client_free(told.client);
}

#define LOGIN(...)                                                                                                     \
    (struct wisp_bus_client_options) { __VA_ARGS__ }

TEST(token)
{
    struct server server;
    char url[128];
    const char *urls[] = {url};
    setup(&server, "authorization { token: \"s3cret\" }");
    snprintf(url, sizeof url, "nats://s3cret@127.0.0.1:%u", server.nats.port);
    check_login(&server, LOGIN(.token = "s3cret"), true);
    check_login(&server, LOGIN(.urls = urls, .n_urls = 1), true);
    check_login(&server, LOGIN(.token = "wrong"), false);
    check_login(&server, LOGIN(.token = NULL), false);
    teardown(&server);
}

TEST(user_and_password)
{
    struct server server;
    char url[128];
    const char *urls[] = {url};
    setup(&server, "authorization { user: \"u\", password: \"p@:x\" }");
    snprintf(url, sizeof url, "nats://u:p%%40%%3Ax@127.0.0.1:%u", server.nats.port);
    check_login(&server, LOGIN(.user = "u", .password = "p@:x"), true);
    check_login(&server, LOGIN(.urls = urls, .n_urls = 1, .user = "other"), true);
    check_login(&server, LOGIN(.user = "u", .password = "p"), false);
    teardown(&server);
}

TEST(nkey)
{
    struct server server;
    struct wisp_nkey key, stranger;
    char config[256], public[WISP_NKEY_PUBLIC_LEN + 1], seed[WISP_NKEY_SEED_LEN + 1], other[WISP_NKEY_SEED_LEN + 1];
    wisp_nkey_generate(&key, WISP_NKEY_USER);
    wisp_nkey_generate(&stranger, WISP_NKEY_USER);
    wisp_nkey_public_text(&key, public);
    wisp_nkey_seed_text(&key, seed);
    wisp_nkey_seed_text(&stranger, other);
    snprintf(config, sizeof config, "authorization { users: [ { nkey: %s } ] }", public);
    setup(&server, config);
    check_login(&server, LOGIN(.seed = seed), true);
    check_login(&server, LOGIN(.seed = other), false);
    teardown(&server);
}

static char *sign(const struct wisp_nkey *issuer, const struct wisp_nkey *subject, const char *kind)
{
    char claims[1024], iss[WISP_NKEY_PUBLIC_LEN + 1], sub[WISP_NKEY_PUBLIC_LEN + 1];
    struct wisp_buf token = {0};
    wisp_nkey_public_text(issuer, iss);
    wisp_nkey_public_text(subject, sub);
    const char *limits = strcmp(kind, "account") == 0
                             ? "\"limits\":{\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,"
                               "\"wildcards\":true,\"conn\":-1,\"leaf\":-1},"
                             : "";
    const char *user_limits = strcmp(kind, "user") == 0 ? "\"subs\":-1,\"data\":-1,\"payload\":-1," : "";
    snprintf(
        claims, sizeof claims,
        "{\"jti\":\"X\",\"iat\":1700000000,\"iss\":\"%s\",\"name\":\"n\",\"sub\":\"%s\",\"nats\":{%s%s\"type\":\"%s\","
        "\"version\":2}}",
        iss, sub, limits, user_limits, kind);
    wisp_jwt_sign(issuer, wisp_str_from(claims), &token);
    wisp_buf_append_char(&token, '\0');
    return token.data;
}

TEST(jwt_and_credentials_file)
{
    struct server server;
    struct wisp_nkey operator_key, account, user;
    char config[8192], creds[4096], path[128], seed[WISP_NKEY_SEED_LEN + 1], public[WISP_NKEY_PUBLIC_LEN + 1];
    wisp_nkey_generate(&operator_key, WISP_NKEY_OPERATOR);
    wisp_nkey_generate(&account, WISP_NKEY_ACCOUNT);
    wisp_nkey_generate(&user, WISP_NKEY_USER);
    WISP_CLEANUP_FREE char *operator_jwt = sign(&operator_key, &operator_key, "operator");
    WISP_CLEANUP_FREE char *account_jwt = sign(&operator_key, &account, "account");
    WISP_CLEANUP_FREE char *user_jwt = sign(&account, &user, "user");
    wisp_nkey_public_text(&account, public);
    wisp_nkey_seed_text(&user, seed);
    snprintf(config, sizeof config, "operator: %s\nresolver: MEMORY\nresolver_preload: { %s: %s }\n", operator_jwt,
             public, account_jwt);
    setup(&server, config);
    snprintf(creds, sizeof creds,
             "-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n************************* IMPORTANT "
             "*************************\n\n-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
             user_jwt, seed);
    write_text_file(server.nats.dir, "user.creds", creds);
    snprintf(path, sizeof path, "%s/user.creds", server.nats.dir);
    check_login(&server, LOGIN(.creds_path = path), true);
    check_login(&server, LOGIN(.jwt = user_jwt, .seed = seed), true);
    check_login(&server, LOGIN(.jwt = account_jwt, .seed = seed), false);
    check_login(&server, LOGIN(.user = "x"), false);
    teardown(&server);
}

TEST(subjects_that_are_not_allowed)
{
    struct server server;
    struct told a;
    struct heard heard = {0};
    setup(&server, "authorization { users: [ { user: u, password: p, permissions: { publish: \"ok\", subscribe: "
                   "[\"ok\", \"_INBOX.>\"] } } ] }");
    const char *url = server.nats.url;
    connect_with(&a, &server.loop, LOGIN(.urls = &url, .n_urls = 1, .user = "u", .password = "p"));
    AWAIT(&server.loop, a.n_connected);
    listen_to(&a, "secret", "", on_heard, &heard);
    listen_to(&a, "ok", "", on_heard, &heard);
    say(&a, "secret", "1");
    say(&a, "ok", "2");
    AWAIT(&server.loop, heard.n == 1);
    CHECK_STR(wisp_buf_str(&heard.text), "2 ");
    CHECK_INT(a.n_lost, 0);
    wisp_buf_deinit(&heard.text);
    wisp_bus_client_free(a.client);
    teardown(&server);
}

TEST(nobody_at_the_address)
{
    uv_loop_t loop;
    struct told a;
    char url[64];
    const char *urls[] = {url, "unix:/nowhere/bus.sock", "nats://no.such.host.invalid:1"};
    CHECK_INT(uv_loop_init(&loop), 0);
    snprintf(url, sizeof url, "localhost:%u", free_port());
    connect_with(&a, &loop, LOGIN(.urls = urls, .n_urls = 2, .gives_up_at_start = true));
    AWAIT(&loop, a.is_closed);
    CHECK_INT(a.reason.kind, WISP_ERR_UNAVAILABLE);
    CHECK_HAS(a.reason.text, "connect to ");
    wisp_bus_client_free(a.client);
    connect_with(&a, &loop, LOGIN(.urls = urls, .n_urls = 1, .reconnect_wait_ms = 1));
    AWAIT(&loop, a.reason.kind); /* told once, and goes on */
    CHECK_INT(wisp_bus_client_state(a.client), WISP_BUS_CONNECTING);
    wisp_bus_client_free(a.client);
    connect_with(&a, &loop, LOGIN(.urls = urls + 2, .n_urls = 1));
    wisp_bus_client_free(a.client); /* while the name is looked up */
    end_loop(&loop);
}

/* --- TLS --- */

struct tls_files {
    char ca[128], cert[128], key[128];
};

static void setup_tls(struct server *server, bool verifies_clients, struct tls_files *files)
{
    char config[1024];
    CHECK_INT(uv_loop_init(&server->loop), 0);
    nats_init(&server->nats);
    const char *dir = server->nats.dir;
    make_certificates(dir);
    snprintf(config, sizeof config,
             "tls { cert_file: \"%s/server.pem\", key_file: \"%s/server.key\", ca_file: \"%s/ca.pem\", verify: %s }",
             dir, dir, dir, verifies_clients ? "true" : "false");
    nats_start(&server->nats, config);
    snprintf(files->ca, sizeof files->ca, "%s/ca.pem", dir);
    snprintf(files->cert, sizeof files->cert, "%s/client.pem", dir);
    snprintf(files->key, sizeof files->key, "%s/client.key", dir);
}

TEST(tls)
{
    enum { SIZE = 900000, COUNT = 10 };
    struct server server;
    struct tls_files files;
    struct told a;
    struct wisp_err err = {0};
    uint64_t sum = 0;
    char *bytes = wisp_mem_calloc(1, SIZE);
    for (size_t i = 0; i < SIZE; i += 4099) bytes[i] = (char)(i / 4099 % 256);
    setup_tls(&server, false, &files);
    char url[64];
    const char *urls[] = {url};
    snprintf(url, sizeof url, "tls://localhost:%u", server.nats.port);
    connect_with(&a, &server.loop, LOGIN(.urls = urls, .n_urls = 1, .tls.ca_path = files.ca));
    AWAIT(&server.loop, a.n_connected);
    listen_to(&a, "large", "", add_up, &sum);
    for (int i = 0; i < COUNT; i++)
        CHECK_OK(wisp_bus_publish(a.client, WISP_STR("large"), none, NULL, 0, (struct wisp_str){bytes, SIZE}, &err),
                 &err);
    AWAIT(&server.loop, sum == (uint64_t)SIZE * COUNT);
    free(bytes);
    wisp_bus_client_free(a.client);
    check_login(&server, LOGIN(.gives_up_at_start = true), false); /* the system's CAs don't know it */
    teardown(&server);
}

TEST(tls_with_client_certificates_across_a_restart)
{
    struct server server;
    struct tls_files files;
    struct told a, b;
    setup_tls(&server, true, &files);
    const char *url = server.nats.url;
    connect_with(
        &a, &server.loop,
        LOGIN(.urls = &url, .n_urls = 1, .tls = {.ca_path = files.ca, .cert_path = files.cert, .key_path = files.key}));
    AWAIT(&server.loop, a.n_connected);
    connect_with(&b, &server.loop,
                 LOGIN(.urls = &url, .n_urls = 1, .tls.ca_path = files.ca, .gives_up_at_start = true));
    AWAIT(&server.loop, b.is_closed);
    wisp_bus_client_free(b.client);
    connect_with(&b, &server.loop,
                 LOGIN(.urls = &url, .n_urls = 1, .tls.ca_path = "/nowhere/ca.pem", .gives_up_at_start = true));
    AWAIT(&server.loop, b.is_closed);
    CHECK_HAS(b.reason.text, "/nowhere/ca.pem");
    wisp_bus_client_free(b.client);
    nats_kill(&server.nats);
    AWAIT(&server.loop, a.n_lost);
    char config[1024];
    snprintf(config, sizeof config,
             "tls { cert_file: \"%s/server.pem\", key_file: \"%s/server.key\", ca_file: \"%s/ca.pem\" }",
             server.nats.dir, server.nats.dir, server.nats.dir);
    nats_start(&server.nats, config);
    AWAIT(&server.loop, a.n_connected == 2);
    CHECK_INT(flush(&a, 5000), 1);
    wisp_bus_client_free(a.client);
    teardown(&server);
}
