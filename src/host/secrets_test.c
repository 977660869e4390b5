/* SPDX-License-Identifier: Apache-2.0 */
/* Real files, a real environment, and a server that answers as Vault does, or worse. A real one is asked in
 * tests/interop/vault_test.py. */
#include "host/secrets.h"

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

/* --- asking --- */

struct world {
    uv_loop_t loop;
    struct wisp_secrets *secrets;
    char folder[32];
    bool is_done;
    struct wisp_err err;
    char value[128]; /* the beginning */
    size_t size;
};

static void open_world(struct world *world, const struct wisp_secrets_options *options)
{
    struct wisp_err err = {0};
    CHECK_INT(uv_loop_init(&world->loop), 0);
    CHECK_OK(wisp_secrets_new(&world->secrets, &world->loop, options, &err), &err);
}

static void close_world(struct world *world)
{
    wisp_secrets_free(world->secrets);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->loop), 0);
    if (!world->folder[0]) return;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", world->folder);
    CHECK_INT(system(command), 0);
}

static void on_done(struct wisp_str value, const struct wisp_err *err, void *env)
{
    struct world *world = env;
    CHECK(!world->is_done);
    world->is_done = true;
    world->err = err ? *err : (struct wisp_err){0};
    world->size = value.len;
    snprintf(world->value, sizeof world->value, "%.*s", WISP_STR_ARG(value));
}

static void ask(struct world *world, const char *backend, struct wisp_str key, const char *field, const char *version)
{
    struct wisp_lattice_secret_place place = {wisp_str_from(backend), key, wisp_str_from(field),
                                              wisp_str_from(version)};
    world->is_done = false;
    wisp_secrets_get(world->secrets, &place, on_done, world);
    while (!world->is_done) uv_run(&world->loop, UV_RUN_ONCE);
}

static void check_gives(struct world *world, const char *backend, const char *key, const char *field, const char *value)
{
    ask(world, backend, wisp_str_from(key), field, NULL);
    CHECK_TEXT(world->err.text, "");
    CHECK_TEXT(world->value, value);
}

static void check_fails(struct world *world, const char *backend, const char *key, const char *field,
                        enum wisp_err_kind kind, const char *words)
{
    ask(world, backend, wisp_str_from(key), field, NULL);
    CHECK_HAS(world->err.text, words);
    CHECK_INT(world->err.kind, kind);
    CHECK_INT(world->size, 0);
    CHECK(!strstr(world->err.text, "s3cret"));
}

/* --- files --- */

static const char *in_folder(const struct world *world, const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", world->folder, name);
    return path;
}

static void write_file(const struct world *world, const char *name, const char *text)
{
    FILE *file = fopen(in_folder(world, name), "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* FOLDER/secrets is the backend's; beside it is what it must not give. As Kubernetes lays it out: the names lead by
 * links within the directory. */
static void open_files(struct world *world)
{
    char path[128];
    *world = (struct world){.folder = "/tmp/wisp-secrets-XXXXXX"};
    CHECK(mkdtemp(world->folder) != NULL);
    CHECK_INT(mkdir(in_folder(world, "secrets"), 0700), 0);
    CHECK_INT(mkdir(in_folder(world, "secrets/..2025"), 0700), 0);
    write_file(world, "outside", "s3cret");
    write_file(world, "secrets/plain", "s3cret\n");
    write_file(world, "secrets/..2025/password", "s3cret of a link");
    write_file(world, "secrets/json", "{\"user\":\"me\",\"password\":\"s3cret\",\"port\":5432}");
    CHECK_INT(symlink("..2025", in_folder(world, "secrets/..data")), 0);
    CHECK_INT(symlink("..data/password", in_folder(world, "secrets/password")), 0);
    CHECK_INT(symlink("../outside", in_folder(world, "secrets/out")), 0);
    snprintf(path, sizeof path, "%s/outside", world->folder);
    CHECK_INT(symlink(path, in_folder(world, "secrets/absolute")), 0);
    CHECK_INT(symlink("..", in_folder(world, "secrets/up")), 0);
    CHECK_INT(symlink("/proc/self/environ", in_folder(world, "secrets/environ")), 0);
    CHECK_INT(mkfifo(in_folder(world, "secrets/pipe"), 0600), 0);
    snprintf(path, sizeof path, "%s/secrets", world->folder);
    open_world(world, &(struct wisp_secrets_options){.dir = path});
}

TEST(files)
{
    struct world world;
    size_t n;
    open_files(&world);
    const char *const *backends = wisp_secrets_backends(world.secrets, &n);
    CHECK_INT(n, 1);
    CHECK_TEXT(backends[0], "file");
    check_gives(&world, "file", "plain", NULL, "s3cret\n");
    check_gives(&world, "file", "password", NULL, "s3cret of a link");
    check_gives(&world, "file", "..2025/../plain", NULL, "s3cret\n");
    check_gives(&world, "file", "json", "password", "s3cret");
    write_file(&world, "secrets/plain", "another"); /* read at each request */
    check_gives(&world, "file", "plain", NULL, "another");
    write_file(&world, "secrets/plain", "");
    check_gives(&world, "file", "plain", NULL, "");
    close_world(&world);
}

TEST(files_that_are_not_given)
{
    struct world world;
    open_files(&world);
    const char *const leading_out[] = {"../outside", "..",         "/etc/passwd", "out",
                                       "absolute",   "up/outside", "environ",     "..2025/../../outside"};
    for (size_t i = 0; i < WISP_COUNT(leading_out); i++)
        check_fails(&world, "file", leading_out[i], NULL, WISP_ERR_DENIED, "leads out of the directory");
    check_fails(&world, "file", "nowhere", NULL, WISP_ERR_NOT_FOUND, "file: ");
    check_fails(&world, "file", "", NULL, WISP_ERR_NOT_FOUND, "file: ");
    check_fails(&world, "file", "..2025", NULL, WISP_ERR_INVALID, "no file");
    check_fails(&world, "file", "pipe", NULL, WISP_ERR_INVALID, "no file");
    ask(&world, "file", (struct wisp_str){"plain\0x", 7}, NULL, NULL);
    CHECK(world.err.kind != WISP_ERR_NONE);
    check_fails(&world, "file", "json", "missing", WISP_ERR_NOT_FOUND, "no field `missing`");
    check_fails(&world, "file", "json", "port", WISP_ERR_INVALID, "`port` is no text");
    check_fails(&world, "file", "plain", "x", WISP_ERR_INVALID, "no JSON object");
    check_fails(&world, "env", "plain", NULL, WISP_ERR_NOT_FOUND, "no such backend");
    check_fails(&world, "vault", "plain", NULL, WISP_ERR_NOT_FOUND, "no such backend");
    close_world(&world);
}

TEST(files_have_a_size)
{
    struct world world;
    open_files(&world);
    write_file(&world, "secrets/large", "x");
    CHECK_INT(truncate(in_folder(&world, "secrets/large"), WISP_SECRETS_SIZE_MAX), 0);
    ask(&world, "file", WISP_STR("large"), NULL, NULL);
    CHECK_INT(world.size, WISP_SECRETS_SIZE_MAX);
    CHECK_INT(truncate(in_folder(&world, "secrets/large"), WISP_SECRETS_SIZE_MAX + 1), 0);
    check_fails(&world, "file", "large", NULL, WISP_ERR_LIMIT, "more than 1024 KiB");
    close_world(&world);
}

/* --- variables --- */

TEST(variables)
{
    struct world world = {0};
    static char texts[][32] = {"T_SECRET_A=s3cret", "PATH=/bin",     "T_SECRET_J={\"f\":\"x\"}",
                               "T_SECRET_B=",       "T_SECRET=near", "HOME=/"};
    static char *variables[WISP_COUNT(texts) + 1];
    for (size_t i = 0; i < WISP_COUNT(texts); i++) variables[i] = texts[i];
    environ = variables;
    open_world(&world, &(struct wisp_secrets_options){.env_prefix = "T_SECRET_"});
    check_gives(&world, "env", "A", NULL, "s3cret");
    check_gives(&world, "env", "A", NULL, "s3cret");
    check_gives(&world, "env", "B", NULL, "");
    check_gives(&world, "env", "J", "f", "x");
    check_fails(&world, "env", "PATH", NULL, WISP_ERR_NOT_FOUND, "not given such a variable (T_SECRET_...)");
    check_fails(&world, "env", "A=s", NULL, WISP_ERR_NOT_FOUND, "no");
    check_fails(&world, "env", "", NULL, WISP_ERR_NOT_FOUND, "no");
    check_fails(&world, "env", "A", "f", WISP_ERR_INVALID, "no JSON object");
    ask(&world, "env", (struct wisp_str){"A\0", 2}, NULL, NULL);
    CHECK_INT(world.err.kind, WISP_ERR_NOT_FOUND);
    /* No child will have them. */
    CHECK(!getenv("T_SECRET_A") && !getenv("T_SECRET_B") && !getenv("T_SECRET_J"));
    CHECK_TEXT(getenv("PATH"), "/bin");
    CHECK_TEXT(getenv("T_SECRET"), "near");
    CHECK_TEXT(getenv("HOME"), "/");
    CHECK(!environ[3]);
    CHECK_TEXT(texts[0], "T_SECRET_A=");
    close_world(&world);
}

static void check_refused(const struct wisp_secrets_options *options, const char *words)
{
    struct world world = {0};
    struct wisp_err err = {0};
    CHECK_INT(uv_loop_init(&world.loop), 0);
    CHECK(wisp_secrets_new(&world.secrets, &world.loop, options, &err) < 0);
    CHECK_HAS(err.text, words);
    close_world(&world);
}

TEST(what_cannot_be)
{
    unsetenv("VAULT_TOKEN");
    check_refused(&(struct wisp_secrets_options){.dir = "/nowhere/at all"}, "flag `--secrets-dir`: `/nowhere/at all`");
    check_refused(&(struct wisp_secrets_options){.dir = "/proc/self/exe"}, "flag `--secrets-dir`");
    check_refused(&(struct wisp_secrets_options){.env_prefix = ""}, "flag `--secrets-env-prefix`");
    check_refused(&(struct wisp_secrets_options){.vault_url = "https://x"}, "needs --secrets-vault-token-file");
    check_refused(&(struct wisp_secrets_options){.vault_url = "file:///x", .vault_token_file = "t"}, "no URL");
    check_refused(&(struct wisp_secrets_options){.vault_url = "http://x?y", .vault_token_file = "t"}, "no URL");
    check_refused(
        &(struct wisp_secrets_options){.vault_url = "http://x", .vault_token_file = "t", .vault_mount = "a b"},
        "mount");
}

/* --- Vault --- */

/* Answers to one connection after another, each with one request, which is kept. */
struct server {
    int listener;
    pthread_t thread;
    char url[64];
    const char *const *answers;
    size_t n;
    char heard[16][2048];
};

static void *serve(void *env)
{
    struct server *server = env;
    for (size_t i = 0; i < server->n; i++) {
        int fd = accept(server->listener, NULL, NULL);
        size_t len = 0;
        ssize_t n;
        while (!strstr(server->heard[i], "\r\n\r\n") && len < sizeof server->heard[i] - 1 &&
               (n = recv(fd, server->heard[i] + len, sizeof server->heard[i] - 1 - len, 0)) > 0)
            len += (size_t)n;
        CHECK(send(fd, server->answers[i], strlen(server->answers[i]), MSG_NOSIGNAL) >= 0);
        close(fd);
    }
    return NULL;
}

static void serve_begin(struct server *server, const char *const *answers, size_t n)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *server = (struct server){.answers = answers, .n = n};
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(server->listener >= 0 && bind(server->listener, (struct sockaddr *)&address, size) == 0);
    CHECK(listen(server->listener, 4) == 0 && getsockname(server->listener, (struct sockaddr *)&address, &size) == 0);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    CHECK_INT(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void serve_end(struct server *server)
{
    CHECK_INT(pthread_join(server->thread, NULL), 0);
    close(server->listener);
}

#define ANSWER(status, body) "HTTP/1.1 " status " X\r\nConnection: close\r\n\r\n" body

TEST(vault)
{
    static const char *const answers[] = {
        ANSWER("200", "{\"data\":{\"data\":{\"value\":\"s3cret\",\"n\":1},\"metadata\":{\"version\":3}}}"),
        ANSWER("200", "{\"data\":{\"data\":{\"password\":\"old\"},\"metadata\":{\"version\":2}}}"),
    };
    struct server server;
    struct world world = {.folder = "/tmp/wisp-secrets-XXXXXX"};
    char token[64];
    CHECK(mkdtemp(world.folder) != NULL);
    write_file(&world, "token", "hvs.one\n");
    snprintf(token, sizeof token, "%s/token", world.folder);
    serve_begin(&server, answers, WISP_COUNT(answers));
    open_world(&world, &(struct wisp_secrets_options){
                           .vault_url = server.url, .vault_token_file = token, .vault_mount = "kv/apps"});
    check_gives(&world, "vault", "prod/d b", NULL, "s3cret");
    write_file(&world, "token", "hvs.two");
    ask(&world, "vault", WISP_STR("db"), "password", "2");
    CHECK_TEXT(world.err.text, "");
    CHECK_TEXT(world.value, "old");
    serve_end(&server);
    CHECK_HAS(server.heard[0], "GET /v1/kv/apps/data/prod/d%20b HTTP/1.1\r\n");
    CHECK_HAS(server.heard[0], "X-Vault-Token: hvs.one\r\n");
    CHECK_HAS(server.heard[1], "GET /v1/kv/apps/data/db?version=2 HTTP/1.1\r\n");
    CHECK_HAS(server.heard[1], "X-Vault-Token: hvs.two\r\n");
    /* Nobody is asked about these. */
    check_fails(&world, "vault", "../sys/seal", NULL, WISP_ERR_INVALID, "no path");
    check_fails(&world, "vault", "", NULL, WISP_ERR_INVALID, "no path");
    ask(&world, "vault", WISP_STR("db"), NULL, "1&x");
    CHECK_HAS(world.err.text, "version is no number");
    write_file(&world, "token", "two\r\nlines");
    check_fails(&world, "vault", "db", NULL, WISP_ERR_INVALID, "token of Vault: empty, or with characters");
    CHECK_INT(unlink(token), 0);
    check_fails(&world, "vault", "db", NULL, WISP_ERR_NOT_FOUND, token);
    close_world(&world);
}

TEST(vault_that_says_no_or_nonsense)
{
    static const struct {
        const char *answer;
        enum wisp_err_kind kind;
        const char *words;
    } cases[] = {
        {ANSWER("403", "{\"errors\":[\"permission denied\"]}"), WISP_ERR_DENIED,
         "Vault answered 403: permission denied"},
        {ANSWER("404", "{\"errors\":[]}"), WISP_ERR_NOT_FOUND, "no such secret"},
        {ANSWER("404", "{\"data\":{\"data\":null,\"metadata\":{}}}"), WISP_ERR_NOT_FOUND, "no such secret"},
        {ANSWER("503", "{\"errors\":[\"Vault is sealed\"]}"), WISP_ERR_UNAVAILABLE, "sealed"},
        {ANSWER("200", "{\"data\":{\"value\":\"s3cret\"}}"), WISP_ERR_INVALID, "no KV version 2"},
        {ANSWER("200", "{\"data\":{\"data\":{\"x\":\"s3cret\"},\"metadata\":{}}}"), WISP_ERR_NOT_FOUND,
         "no field `value`"},
        {ANSWER("200", "{\"data\":{\"data\":{\"value\":[\"s3cret\"]},\"metadata\":{}}}"), WISP_ERR_INVALID,
         "is no text"},
        {ANSWER("200", "s3cret"), WISP_ERR_INVALID, "is not JSON"},
        {ANSWER("200", "{\"data\":{\"data\":{\"value\":\"s3cret"), WISP_ERR_INVALID, "is not JSON"},
        {"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n", WISP_ERR_INVALID,
         "answered 307"},
        {"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\n{\"data\":", WISP_ERR_UNAVAILABLE, "/v1/secret/data/db"},
    };
    const char *answers[WISP_COUNT(cases)];
    struct server server;
    struct world world = {0};
    for (size_t i = 0; i < WISP_COUNT(cases); i++) answers[i] = cases[i].answer;
    serve_begin(&server, answers, WISP_COUNT(cases));
    setenv("VAULT_TOKEN", "hvs.variable", 1);
    open_world(&world, &(struct wisp_secrets_options){.vault_url = server.url});
    CHECK(!getenv("VAULT_TOKEN"));
    for (size_t i = 0; i < WISP_COUNT(cases); i++)
        check_fails(&world, "vault", "db", NULL, cases[i].kind, cases[i].words);
    serve_end(&server);
    CHECK_HAS(server.heard[0], "X-Vault-Token: hvs.variable\r\n");
    check_fails(&world, "vault", "db", NULL, WISP_ERR_UNAVAILABLE, "127.0.0.1"); /* nobody listens any more */
    close_world(&world);
}

/* What is asked when the host ends has no outcome. */
TEST(vault_at_the_end)
{
    struct server server;
    struct world world = {0};
    serve_begin(&server, NULL, 0);
    setenv("VAULT_TOKEN", "t", 1);
    open_world(&world, &(struct wisp_secrets_options){.vault_url = server.url});
    struct wisp_lattice_secret_place place = {.backend = WISP_STR("vault"), .key = WISP_STR("db")};
    wisp_secrets_get(world.secrets, &place, on_done, &world);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    close_world(&world);
    CHECK(!world.is_done);
    serve_end(&server);
}
