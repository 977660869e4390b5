/* SPDX-License-Identifier: Apache-2.0 */
/* The server with TLS, and OpenSSL's own client at the other end. */
#include "http/server_rig.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

enum {
    BIG = 3 * 1000 * 1000,
    VERY_BIG = 32 * 1000 * 1000, /* more than the kernel holds for a client that doesn't read */
};

/* --- certificates --- */

static char dir[64];

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % WISP_COUNT(paths)];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void run_script_text(const char *script)
{
    char text[1024];
    snprintf(text, sizeof text, "cd %s && exec >/dev/null 2>&1 && %s", dir, script);
    CHECK_INT(system(text), 0); /* NOLINT: the test's own words */
}

static void make_certificate(const char *name, const char *subject)
{
    char script[512];
    snprintf(script, sizeof script,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=%s "
             "-addext subjectAltName=DNS:localhost -keyout %s.key -out %s.pem",
             subject, name, name);
    run_script_text(script);
}

static void begin(void)
{
    snprintf(dir, sizeof dir, "/tmp/wisp_tls_test.XXXXXX");
    CHECK(mkdtemp(dir));
    make_certificate("a", "first");
}

static void end(void) { run_script_text("rm -r \"$PWD\""); }

static struct wisp_http_tls *load_tls(void)
{
    struct wisp_http_tls *tls;
    struct wisp_err err = {0};
    CHECK_OK(wisp_http_tls_new(&tls, path_of("a.pem"), path_of("a.key"), &err), &err);
    return tls;
}

static void run_tls(struct world *world)
{
    begin();
    world->tls = load_tls();
    run(world);
    wisp_http_tls_unref(world->tls);
    end();
}

/* --- clients --- */

struct client {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
};

static struct client dial_tls(struct world *world, const char *protocols)
{
    struct client client = {.fd = dial(world), .context = SSL_CTX_new(TLS_client_method())};
    SSL_CTX_load_verify_file(client.context, path_of("a.pem"));
    SSL_CTX_set_verify(client.context, SSL_VERIFY_PEER, NULL);
    client.ssl = SSL_new(client.context);
    SSL_set1_host(client.ssl, "localhost");
    SSL_set_fd(client.ssl, client.fd);
    if (protocols) SSL_set_alpn_protos(client.ssl, (const unsigned char *)protocols, (unsigned)strlen(protocols));
    return client;
}

static void hang_up(struct client *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    close(client->fd);
    ERR_clear_error();
}

static struct client shake_hands(struct world *world)
{
    struct client client = dial_tls(world, "\x02h2\x08http/1.1");
    CHECK_INT(SSL_connect(client.ssl), 1);
    return client;
}

static void say_tls(struct client *client, const char *text)
{
    CHECK_INT(SSL_write(client->ssl, text, (int)strlen(text)), strlen(text));
}

/* Until `words`, or to the proper end of TLS when NULL. */
static void expect_tls(struct client *client, const char *words, const char *expected)
{
    WISP_CLEANUP_BUF struct wisp_buf buf = {0};
    for (;;) {
        int n = SSL_read(client->ssl, wisp_buf_reserve(&buf, 65536), 65535);
        if (n > 0) buf.len += (size_t)n;
        buf.data[buf.len] = '\0';
        if (n <= 0) CHECK_INT(SSL_get_error(client->ssl, n), SSL_ERROR_ZERO_RETURN);
        if (n <= 0 || (words && strstr(buf.data, words))) break;
    }
    CHECK_HAS(buf.data, expected);
}

/* --- requests --- */

static void hello_secure(struct wisp_http_exchange *exchange, void *env)
{
    CHECK(wisp_str_is(exchange->scheme, "https"));
    hello(exchange, env);
}

static void ask_many_times(struct world *world)
{
    struct client client = shake_hands(world);
    const unsigned char *protocol;
    unsigned size;
    SSL_get0_alpn_selected(client.ssl, &protocol, &size);
    CHECK(wisp_str_is((struct wisp_str){(const char *)protocol, size}, "http/1.1"));
    CHECK_INT(SSL_version(client.ssl), TLS1_3_VERSION);
    for (int i = 0; i < 100; i++) {
        say_tls(&client, GET);
        expect_tls(&client, "hello", "HTTP/1.1 200 OK\r\n");
    }
    say_tls(&client, GET GET "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    expect_tls(&client, NULL, "connection: close");
    hang_up(&client);
}

TEST(keep_alive_pipelining_and_a_proper_end)
{
    struct world world = {.script = ask_many_times, .options.handler.on_request = hello_secure};
    run_tls(&world);
    CHECK_INT(world.n_requests, 103);
}

static void ask_with_tls_1_2(struct world *world)
{
    struct client client = dial_tls(world, NULL);
    SSL_set_max_proto_version(client.ssl, TLS1_2_VERSION);
    CHECK_INT(SSL_connect(client.ssl), 1);
    say_tls(&client, GET);
    expect_tls(&client, "hello", "200 OK");
    hang_up(&client);
}

TEST(tls_1_2)
{
    struct world world = {.script = ask_with_tls_1_2, .options.handler.on_request = hello_secure};
    run_tls(&world);
    CHECK_INT(world.n_requests, 1);
}

static void fail_hands(struct world *world, int version, const char *protocols)
{
    struct client client = dial_tls(world, protocols);
    if (version) SSL_set_min_proto_version(client.ssl, 0), SSL_set_max_proto_version(client.ssl, version);
    CHECK(SSL_connect(client.ssl) != 1);
    hang_up(&client);
}

static void shake_wrongly(struct world *world)
{
    fail_hands(world, TLS1_1_VERSION, NULL);
    fail_hands(world, 0, "\x02h2");
    /* Plain HTTP, and a client that leaves in the middle of its handshake. */
    int fd = dial(world);
    say(fd, GET);
    char *text = hear(fd, NULL);
    CHECK(!strstr(text, "HTTP"));
    free(text);
    close(fd);
    fd = dial(world);
    say(fd, "\x16\x03\x01\x02");
    close(fd);
    ask_with_tls_1_2(world);
}

TEST(handshakes_that_fail)
{
    struct world world = {.script = shake_wrongly, .options.handler.on_request = hello_secure};
    run_tls(&world);
    CHECK_INT(world.n_requests, 1);
}

static void shake_too_slowly(struct world *world)
{
    int fd = dial(world);
    say(fd, "\x16");
    char *text = hear(fd, NULL); /* the server ends it */
    CHECK(!strstr(text, "HTTP"));
    free(text);
    close(fd);
}

TEST(handshakes_have_a_deadline)
{
    struct world world = {
        .script = shake_too_slowly, .options.handler.on_request = hello_secure, .options.head_timeout_ms = 50};
    run_tls(&world);
    CHECK_INT(world.n_requests, 0);
}

/* --- bodies --- */

/* One thread can't both write and read a blocking SSL, so it does so by turns, in small pieces. */
static void echo_big(struct world *world)
{
    struct client client = shake_hands(world);
    char head[128], piece[10000];
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BIG);
    say_tls(&client, head);
    size_t received = 0;
    bool in_body = false;
    unsigned char next = 0;
    for (int sent = 0; sent < BIG || received < BIG;) {
        for (size_t i = 0; i < sizeof piece; i++) piece[i] = (char)((sent + (int)i) % 251);
        if (sent < BIG) sent += SSL_write(client.ssl, piece, sizeof piece);
        while (received < (size_t)sent) {
            char bytes[20000];
            int n = SSL_read(client.ssl, bytes, sizeof bytes);
            CHECK(n > 0);
            char *at = bytes;
            if (!in_body) {
                at = memmem(bytes, (size_t)n, "\r\n\r\n", 4);
                CHECK(at);
                at += 4;
                in_body = true;
            }
            for (; at < bytes + n; at++, received++, next = (unsigned char)((next + 1) % 251))
                CHECK((unsigned char)*at == next);
        }
    }
    CHECK_INT(received, BIG);
    hang_up(&client);
}

TEST(big_bodies_both_ways)
{
    struct world world = {.script = echo_big,
                          .options.handler = {.on_request = echo, .on_body = pump, .on_drain = pump}};
    run_tls(&world);
    CHECK_INT(world.last_outcome, WISP_HTTP_COMPLETE);
}

/* The client lets the server fill all windows before it reads. */
static void read_late(struct world *world)
{
    struct client client = shake_hands(world);
    say_tls(&client, GET);
    sleep_ms(100);
    CHECK(__atomic_load_n(&world->sent, __ATOMIC_RELAXED) < VERY_BIG);
    size_t received = 0;
    char bytes[20000];
    char *body = NULL;
    while (received < VERY_BIG) {
        int n = SSL_read(client.ssl, bytes, sizeof bytes);
        CHECK(n > 0);
        if (!body) {
            body = memmem(bytes, (size_t)n, "\r\n\r\n", 4);
            CHECK(body);
            received = (size_t)(bytes + n - (body + 4));
        } else {
            received += (size_t)n;
        }
    }
    CHECK_INT(received, VERY_BIG);
    hang_up(&client);
}

TEST(slow_readers_hold_the_handler_back)
{
    struct world world = {
        .script = read_late, .options.handler = {.on_request = begin_stream, .on_drain = stream}, .to_send = VERY_BIG};
    run_tls(&world);
    CHECK_INT(world.last_outcome, WISP_HTTP_COMPLETE);
}

static void leave_in_the_middle(struct world *world)
{
    struct client client = shake_hands(world);
    char bytes[1000];
    say_tls(&client, GET);
    CHECK(SSL_read(client.ssl, bytes, sizeof bytes) > 0);
    hang_up(&client);
    while (!__atomic_load_n(&world->n_closed, __ATOMIC_RELAXED)) sleep_ms(1);
}

TEST(clients_that_leave)
{
    struct world world = {.script = leave_in_the_middle,
                          .options.handler = {.on_request = begin_stream, .on_drain = stream},
                          .to_send = UINT64_C(1) << 40};
    run_tls(&world);
    CHECK_INT(world.last_outcome, WISP_HTTP_CLIENT_GONE);
}

/* --- certificates --- */

static void see_who(struct world *world, char name[64])
{
    struct client client = dial_tls(world, NULL);
    SSL_set_verify(client.ssl, SSL_VERIFY_NONE, NULL);
    CHECK_INT(SSL_connect(client.ssl), 1);
    X509 *certificate = SSL_get1_peer_certificate(client.ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, 64);
    X509_free(certificate);
    hang_up(&client);
}

static void see_changes(struct world *world)
{
    char name[64];
    see_who(world, name);
    CHECK_TEXT(name, "first");
    make_certificate("b", "second");
    run_script_text("cp b.pem a.pem"); /* the key doesn't fit yet */
    sleep_ms(1100);                    /* the files are looked at once a second */
    see_who(world, name);
    CHECK_TEXT(name, "first");
    run_script_text("cp b.key a.key");
    do sleep_ms(20), see_who(world, name);
    while (strcmp(name, "second") != 0);
}

TEST(changed_certificates_are_read_again)
{
    struct world world = {.script = see_changes, .options.handler.on_request = hello};
    run_tls(&world);
}

TEST(files_that_cannot_be_used)
{
    begin();
    make_certificate("b", "second");
    struct wisp_http_tls *tls;
    struct wisp_err err = {0};
    CHECK_INT(wisp_http_tls_new(&tls, path_of("nothing.pem"), path_of("a.key"), &err), -WISP_ERR_INVALID);
    CHECK_HAS(err.text, "nothing.pem");
    CHECK_INT(wisp_http_tls_new(&tls, path_of("a.pem"), path_of("b.key"), &err), -WISP_ERR_INVALID);
    CHECK_HAS(err.text, "b.key");
    end();
}
