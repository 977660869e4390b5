/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the server on a real loop: clients are plain blocking sockets in a thread of their own. */
#pragma once

#include "base/mem.h"
#include "http/http.h"
#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

/* --- a server, and a client's script beside it --- */

struct world {
    uv_loop_t loop;
    struct wisp_http_server *server;
    struct wisp_http_options options;
    struct wisp_http_tls *tls; /* NULL: plain */
    uint16_t port;
    void (*script)(struct world *world); /* the clients; runs in a thread */
    uint64_t grace_ms;
    uv_async_t script_done;
    bool stops_early; /* the script stops the server itself, by `stop` */
    uv_async_t stop;
    bool has_stopped;
    struct wisp_http_exchange *held; /* by the handler, for later */
    uv_timer_t timer;
    unsigned n_requests, n_closed;
    enum wisp_http_outcome last_outcome;
    uint64_t sent, to_send; /* by a handler that streams */
    struct wisp_err err;
};

static inline void on_stopped(void *env)
{
    struct world *world = env;
    world->has_stopped = true;
    wisp_http_server_free(WISP_TAKE(world->server));
    uv_close((uv_handle_t *)&world->script_done, NULL);
    uv_close((uv_handle_t *)&world->stop, NULL);
    uv_close((uv_handle_t *)&world->timer, NULL);
}

static inline void stop(uv_async_t *async)
{
    struct world *world = async->data;
    wisp_http_server_stop(world->server, world->grace_ms, on_stopped, world);
}

static inline void on_script_done(uv_async_t *async)
{
    struct world *world = async->data;
    if (!world->stops_early) stop(async);
}

static inline void *run_script(void *env)
{
    struct world *world = env;
    world->script(world);
    uv_async_send(&world->script_done);
    return NULL;
}

static inline void count_close(struct wisp_http_exchange *exchange, void *env)
{
    struct world *world = env;
    __atomic_add_fetch(&world->n_closed, 1, __ATOMIC_RELAXED); /* the script may look */
    world->last_outcome = exchange->outcome;
    if (world->held == exchange) world->held = NULL;
}

/* A world as its options were set; returns when the script is over and the server has stopped. */
static inline void run(struct world *world)
{
    pthread_t thread;
    if (!world->grace_ms) world->grace_ms = 5000;
    world->options.env = world;
    if (!world->options.handler.on_close) world->options.handler.on_close = count_close;
    CHECK_INT(uv_loop_init(&world->loop), 0);
    CHECK_OK(wisp_http_server_new(&world->server, &world->loop, &world->options, &world->err), &world->err);
    wisp_http_server_set_tls(world->server, world->tls);
    struct wisp_http_address address = {.host = "127.0.0.1"};
    CHECK_OK(wisp_http_server_listen(world->server, &address, &world->port, &world->err), &world->err);
    uv_async_init(&world->loop, &world->script_done, on_script_done);
    uv_async_init(&world->loop, &world->stop, stop);
    uv_timer_init(&world->loop, &world->timer);
    world->script_done.data = world->stop.data = world->timer.data = world;
    pthread_create(&thread, NULL, run_script, world);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
    CHECK(world->has_stopped);
    CHECK_INT(uv_loop_close(&world->loop), 0);
    CHECK_INT(world->n_closed, world->n_requests);
}

/* --- clients --- */

static inline int dial(struct world *world)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(world->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 20}, sizeof(struct timeval));
    return fd;
}

/* Returns what could be sent before the server closed. */
static inline size_t say_bytes(int fd, const void *bytes, size_t size)
{
    size_t sent = 0;
    while (sent < size) {
        ssize_t n = send(fd, (const char *)bytes + sent, size - sent, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += (size_t)n;
    }
    return sent;
}

static inline void say(int fd, const char *text) { CHECK_INT(say_bytes(fd, text, strlen(text)), strlen(text)); }

/* Reads until `words` have come, or to the end when NULL; a reset connection adds "<reset>". The caller frees. */
static inline char *hear(int fd, const char *words)
{
    struct wisp_buf buf = {0};
    for (;;) {
        ssize_t n = recv(fd, wisp_buf_reserve(&buf, 65536), 65535, 0);
        if (n > 0) buf.len += (size_t)n;
        buf.data[buf.len] = '\0';
        if (n < 0) wisp_buf_append(&buf, errno == ECONNRESET ? "<reset>" : "<error>", 8);
        if (n <= 0 || (words && strstr(buf.data, words))) return buf.data;
    }
}

static inline void expect(int fd, const char *words, const char *expected)
{
    char *text = hear(fd, words);
    CHECK_HAS(text, expected);
    free(text);
}

static inline void sleep_ms(unsigned ms) { usleep(ms * 1000); }

/* --- handlers --- */

static inline void hello(struct wisp_http_exchange *exchange, void *env)
{
    struct world *world = env;
    world->n_requests++;
    CHECK_OK(wisp_http_reply(exchange, 200, NULL, 0, WISP_STR("hello"), &world->err), &world->err);
}

static inline void hold(struct wisp_http_exchange *exchange, void *env)
{
    struct world *world = env;
    world->n_requests++;
    world->held = exchange;
}

/* Completes what `hold` left open, from outside of the server's callbacks. */
static inline void answer_held(uv_timer_t *timer)
{
    struct world *world = timer->data;
    struct wisp_http_response response = {.status = 200, .content_length = WISP_HTTP_LENGTH_UNKNOWN};
    if (!world->held) return;
    CHECK_OK(wisp_http_start(world->held, &response, &world->err), &world->err);
    CHECK_OK(wisp_http_write(world->held, "later", 5, &world->err), &world->err);
    CHECK_OK(wisp_http_end(world->held, NULL, 0, &world->err), &world->err);
    CHECK(world->held); /* not closed from within */
}

static inline void pump(struct wisp_http_exchange *exchange, void *env)
{
    struct world *world = env;
    struct wisp_str bytes;
    for (size_t room; (room = wisp_http_room(exchange)) > 0;) {
        enum wisp_http_body state = wisp_http_body_peek(exchange, &bytes);
        if (state == WISP_HTTP_BODY_END) CHECK_OK(wisp_http_end(exchange, NULL, 0, &world->err), &world->err);
        if (state != WISP_HTTP_BODY_DATA) return;
        CHECK(bytes.len < 200000); /* bounded, however fast the client is */
        size_t size = bytes.len < room ? bytes.len : room;
        CHECK_OK(wisp_http_write(exchange, bytes.ptr, size, &world->err), &world->err);
        wisp_http_body_consume(exchange, size);
    }
}

static inline void echo(struct wisp_http_exchange *exchange, void *env)
{
    struct world *world = env;
    world->n_requests++;
    struct wisp_http_response response = {.status = 200, .content_length = exchange->content_length};
    CHECK_OK(wisp_http_start(exchange, &response, &world->err), &world->err);
    pump(exchange, env);
}

static inline void stream(struct wisp_http_exchange *exchange, void *env)
{
    struct world *world = env;
    char bytes[5000];
    for (size_t room; world->sent < world->to_send && (room = wisp_http_room(exchange)) > 0;) {
        size_t n = room < sizeof bytes ? room : sizeof bytes;
        if (n > world->to_send - world->sent) n = (size_t)(world->to_send - world->sent);
        for (size_t i = 0; i < n; i++) bytes[i] = (char)((world->sent + i) % 251);
        CHECK_OK(wisp_http_write(exchange, bytes, n, &world->err), &world->err);
        world->sent += n;
    }
    if (world->sent == world->to_send) CHECK_OK(wisp_http_end(exchange, NULL, 0, &world->err), &world->err);
}

static inline void begin_stream(struct wisp_http_exchange *exchange, void *env)
{
    struct world *world = env;
    world->n_requests++;
    struct wisp_http_response response = {.status = 200, .content_length = world->to_send};
    CHECK_OK(wisp_http_start(exchange, &response, &world->err), &world->err);
    stream(exchange, env);
}
