/* SPDX-License-Identifier: Apache-2.0 */
/* The client against the embedded bus, in one loop; and TLS before INFO, which it does not offer, against a thread. */
#include "bus/client_rig.h"

#include "bus/server.h"
#include "nkeys/nkeys.h"

#include <openssl/ssl.h>
#include <pthread.h>

static const struct wisp_str none;
static struct wisp_err err;

struct world {
    uv_loop_t loop;
    struct wisp_bus_server *server;
    char dir[64];
    char url[128];
};

static void serve(struct world *world, struct wisp_bus_server_options options)
{
    if (!options.unix_path) options.host = "127.0.0.1";
    CHECK_OK(wisp_bus_server_new(&world->server, &world->loop, &options, &err), &err);
    if (options.unix_path)
        snprintf(world->url, sizeof world->url, "unix:%s", options.unix_path);
    else
        snprintf(world->url, sizeof world->url, "localhost:%u", wisp_bus_server_port(world->server));
}

static void setup(struct world *world)
{
    *world = (struct world){0};
    CHECK_INT(uv_loop_init(&world->loop), 0);
    make_dir(world->dir);
}

static void teardown(struct world *world)
{
    wisp_bus_server_free(world->server);
    end_loop(&world->loop);
    remove_tree(world->dir);
}

static void answer(const struct wisp_bus_message *message, void *env)
{
    struct told *told = env;
    CHECK_OK(wisp_bus_publish(told->client, message->reply, none, NULL, 0, message->payload, &err), &err);
}

static void on_reply(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    *(int *)env = failure ? -(int)failure->kind : (int)message->payload.len + 1;
}

static int ask(struct told *told, const char *subject, const char *text)
{
    int result = 0;
    CHECK_OK(wisp_bus_request(told->client, wisp_str_from(subject), NULL, 0, wisp_str_from(text), 10000, on_reply,
                              &result, NULL, &err),
             &err);
    AWAIT(told->loop, result);
    return result;
}

static void check_talk(struct told *told)
{
    CHECK_OK(wisp_bus_subscribe(told->client, WISP_STR("echo"), none, answer, told, NULL, &err), &err);
    CHECK_INT(ask(told, "echo", "four"), 5);
    CHECK_INT(ask(told, "nobody", ""), -(int)WISP_ERR_UNAVAILABLE);
}

TEST(tcp_a_socket_in_the_file_system_and_a_given_one)
{
    struct world world;
    struct told told;
    char path[128];
    int fds[2];
    setup(&world);
    serve(&world, (struct wisp_bus_server_options){0});
    connect_to(&told, &world.loop, world.url);
    check_talk(&told);
    wisp_bus_client_free(told.client);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_OK(wisp_bus_server_add_fd_take(world.server, fds[0], &err), &err);
    connect_with(&told, &world.loop, (struct wisp_bus_client_options){.fd = fds[1]});
    check_talk(&told);
    wisp_bus_client_free(told.client);
    wisp_bus_server_free(world.server);
    snprintf(path, sizeof path, "%s/bus.sock", world.dir);
    serve(&world, (struct wisp_bus_server_options){.unix_path = path});
    connect_to(&told, &world.loop, world.url);
    check_talk(&told);
    wisp_bus_client_free(told.client);
    teardown(&world);
}

TEST(the_bus_is_started_again)
{
    struct world world;
    struct told told;
    char path[128];
    setup(&world);
    snprintf(path, sizeof path, "%s/bus.sock", world.dir);
    serve(&world, (struct wisp_bus_server_options){.unix_path = path});
    connect_to(&told, &world.loop, world.url);
    check_talk(&told);
    for (unsigned i = 1; i <= 3; i++) {
        wisp_bus_server_free(world.server);
        AWAIT(&world.loop, told.n_lost == i);
        serve(&world, (struct wisp_bus_server_options){.unix_path = path});
        CHECK_INT(ask(&told, "echo", "kept"), 5);
    }
    wisp_bus_client_free(told.client);
    teardown(&world);
}

static int try_to_join(struct world *world, struct wisp_bus_client_options options)
{
    struct told told;
    const char *url = world->url;
    options.urls = &url;
    options.n_urls = 1;
    options.reconnect_wait_ms = 5;
    connect_with(&told, &world->loop, options);
    AWAIT(&world->loop, told.n_connected || told.is_closed);
    int result = told.n_connected ? 1 : -(int)told.reason.kind;
    wisp_bus_client_free(told.client);
    return result;
}

TEST(who_may)
{
    struct world world;
    struct wisp_nkey key, stranger;
    char public[WISP_NKEY_PUBLIC_LEN + 1], seed[WISP_NKEY_SEED_LEN + 1], other[WISP_NKEY_SEED_LEN + 1];
    const char *const nkeys[] = {public};
    wisp_nkey_generate(&key, WISP_NKEY_USER);
    wisp_nkey_generate(&stranger, WISP_NKEY_USER);
    wisp_nkey_public_text(&key, public);
    wisp_nkey_seed_text(&key, seed);
    wisp_nkey_seed_text(&stranger, other);
    setup(&world);
    serve(&world, (struct wisp_bus_server_options){.token = "s3cret", .nkeys = nkeys, .n_nkeys = 1});
    CHECK_INT(try_to_join(&world, (struct wisp_bus_client_options){.token = "s3cret"}), 1);
    CHECK_INT(try_to_join(&world, (struct wisp_bus_client_options){.seed = seed}), 1);
    CHECK_INT(try_to_join(&world, (struct wisp_bus_client_options){.token = "other"}), -(int)WISP_ERR_DENIED);
    CHECK_INT(try_to_join(&world, (struct wisp_bus_client_options){.seed = other}), -(int)WISP_ERR_DENIED);
    CHECK_INT(try_to_join(&world, (struct wisp_bus_client_options){0}), -(int)WISP_ERR_DENIED);
    teardown(&world);
}

struct files {
    char ca[128], cert[128], key[128], client_cert[128], client_key[128];
};

static void make_files(const struct world *world, struct files *files)
{
    make_certificates(world->dir);
    snprintf(files->ca, sizeof files->ca, "%s/ca.pem", world->dir);
    snprintf(files->cert, sizeof files->cert, "%s/server.pem", world->dir);
    snprintf(files->key, sizeof files->key, "%s/server.key", world->dir);
    snprintf(files->client_cert, sizeof files->client_cert, "%s/client.pem", world->dir);
    snprintf(files->client_key, sizeof files->client_key, "%s/client.key", world->dir);
}

TEST(tls_with_client_certificates)
{
    struct world world;
    struct files files;
    setup(&world);
    make_files(&world, &files);
    serve(&world, (struct wisp_bus_server_options){.tls = {files.cert, files.key, files.ca}});
    struct wisp_bus_client_options good = {
        .tls = {.ca_path = files.ca, .cert_path = files.client_cert, .key_path = files.client_key}};
    CHECK_INT(try_to_join(&world, good), 1);
    struct wisp_bus_client_options nameless = {.tls.ca_path = files.ca, .gives_up_at_start = true};
    CHECK(try_to_join(&world, nameless) < 0);
    struct wisp_bus_client_options wrong_ca = {.tls.ca_path = files.client_cert, .gives_up_at_start = true};
    CHECK_INT(try_to_join(&world, wrong_ca), -(int)WISP_ERR_DENIED);
    teardown(&world);
}

/* --- TLS first --- */

struct tls_server {
    int fd;
    const struct files *files;
    char heard[4096];
};

static void tls_say(SSL *ssl, const char *text) { CHECK_INT(SSL_write(ssl, text, (int)strlen(text)), strlen(text)); }

static void *run_tls_server(void *env)
{
    struct tls_server *server = env;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    CHECK_INT(SSL_CTX_use_certificate_chain_file(context, server->files->cert), 1);
    CHECK_INT(SSL_CTX_use_PrivateKey_file(context, server->files->key, SSL_FILETYPE_PEM), 1);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, server->fd);
    CHECK_INT(SSL_accept(ssl), 1);
    tls_say(ssl, "INFO {\"tls_required\":true}\r\n");
    for (size_t n = 0; !strstr(server->heard, "PING");) {
        int more = SSL_read(ssl, server->heard + n, (int)(sizeof server->heard - 1 - n));
        CHECK(more > 0);
        n += (size_t)more;
    }
    tls_say(ssl, "PONG\r\n");
    CHECK(SSL_read(ssl, server->heard, 1) <= 0); /* until the client goes */
    SSL_free(ssl);
    SSL_CTX_free(context);
    return NULL;
}

TEST(tls_before_anything_is_said)
{
    struct world world;
    struct files files;
    struct told told;
    int fds[2];
    pthread_t thread;
    setup(&world);
    make_files(&world, &files);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    struct tls_server server = {.fd = fds[0], .files = &files};
    connect_with(
        &told, &world.loop,
        (struct wisp_bus_client_options){
            .fd = fds[1], .token = "t", .connect_timeout_ms = 20000, .tls = {.ca_path = files.ca, .is_first = true}});
    CHECK_INT(pthread_create(&thread, NULL, run_tls_server, &server), 0);
    AWAIT(&world.loop, told.n_connected || told.is_closed);
    CHECK_TEXT(told.reason.text, "");
    wisp_bus_client_free(told.client);
    end_loop(&world.loop);
    CHECK_INT(pthread_join(thread, NULL), 0);
    close(fds[0]);
    CHECK_HAS(server.heard, "\"auth_token\":\"t\"");
    remove_tree(world.dir);
}
