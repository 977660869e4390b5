/* SPDX-License-Identifier: Apache-2.0 */
/* The client on a real loop; the server is a script of blocking sockets in a thread of its own. */
#include "web/web.h"

#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PLENTY = 64 << 20 };

struct world {
    uv_loop_t loop;
    struct wisp_web *web;
    int listener;
    uint16_t port;
    char url[64];
    pthread_t server;
    void (*script)(struct world *world);
    uv_async_t signal; /* the script has something to say */
    void (*on_signal)(struct world *world);
    struct wisp_web_ask ask;
    struct wisp_web_request *request;
    /* what came */
    bool is_done, had_head;
    long status;
    enum wisp_web_fault fault;
    struct wisp_err err;
    struct wisp_buf body;
    uint64_t n_received;
    char field[64];
    /* what is sent */
    struct wisp_str parts[4];
    size_t n_parts, next_part;
    bool waits_before_parts, never_ends, cancels_in_head, cancels_in_body, pauses;
    uint64_t sent_while_paused, received_while_paused;
    bool is_sent_again;
};

/* --- the server --- */

static int accept_one(struct world *world)
{
    int fd = accept(world->listener, NULL, NULL);
    CHECK(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 20}, sizeof(struct timeval));
    return fd;
}

/* Reads until `words` have come, or to the end when NULL. The caller frees. */
static char *hear(int fd, const char *words)
{
    struct wisp_buf buf = {0};
    for (;;) {
        ssize_t n = recv(fd, wisp_buf_reserve(&buf, 65536), 65535, 0);
        if (n > 0) buf.len += (size_t)n;
        buf.data[buf.len] = '\0';
        if (n <= 0 || (words && strstr(buf.data, words))) return buf.data;
    }
}

static void say(int fd, const char *text)
{
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* One request that ends in `words`, and its answer; what was heard is the caller's. */
static char *answer(struct world *world, const char *words, const char *response)
{
    int fd = accept_one(world);
    char *heard = hear(fd, words);
    say(fd, response);
    close(fd);
    return heard;
}

static void *serve(void *env)
{
    struct world *world = env;
    world->script(world);
    return NULL;
}

/* --- the client --- */

static int on_head(const struct wisp_web_response *response, void *env, struct wisp_err *err)
{
    struct world *world = env;
    (void)err;
    CHECK(!world->had_head);
    world->had_head = true;
    world->status = response->status;
    struct wisp_str value = wisp_web_find(response, "x-thing");
    snprintf(world->field, sizeof world->field, "%.*s", WISP_STR_ARG(value));
    if (world->cancels_in_head) wisp_web_cancel(WISP_TAKE(world->request));
    return 0;
}

static int on_body(const struct wisp_web_response *response, struct wisp_str bytes, void *env, struct wisp_err *err)
{
    struct world *world = env;
    (void)err;
    CHECK(response->status);
    world->n_received += bytes.len;
    if (world->body.len + bytes.len < 4096) wisp_buf_append_str(&world->body, bytes);
    if (world->cancels_in_body) wisp_web_cancel(WISP_TAKE(world->request));
    if (world->pauses) wisp_web_pause(world->request);
    return 0;
}

static enum wisp_web_sending on_send(void *buffer, size_t max, size_t *ret_n, void *env, struct wisp_err *err)
{
    struct world *world = env;
    (void)err;
    if (world->waits_before_parts) return WISP_WEB_SENDING_WAIT;
    if (world->next_part == world->n_parts) return world->never_ends ? WISP_WEB_SENDING_WAIT : WISP_WEB_SENDING_END;
    struct wisp_str *part = &world->parts[world->next_part];
    *ret_n = part->len < max ? part->len : max;
    memcpy(buffer, part->ptr, *ret_n);
    part->ptr += *ret_n;
    part->len -= *ret_n;
    if (part->len == 0) world->next_part++;
    return WISP_WEB_SENDING_BYTES;
}

static void on_done(const struct wisp_web_response *response, const struct wisp_err *err, void *env)
{
    struct world *world = env;
    CHECK(!world->is_done);
    world->is_done = true;
    world->status = response->status;
    world->fault = response->fault;
    if (err) world->err = *err;
    uv_unref((uv_handle_t *)&world->signal);
}

static void on_signal(uv_async_t *async)
{
    struct world *world = async->data;
    if (world->on_signal) world->on_signal(world);
}

static void set_up(struct world *world, uint64_t stall_ms)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct wisp_web_options options = {.stall_timeout_ms = stall_ms};
    CHECK_INT(uv_loop_init(&world->loop), 0);
    CHECK_OK(wisp_web_new(&world->web, &world->loop, &options, &world->err), &world->err);
    world->listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(world->listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(world->listener, 8) == 0);
    CHECK(getsockname(world->listener, (struct sockaddr *)&address, &size) == 0);
    world->port = ntohs(address.sin_port);
    snprintf(world->url, sizeof world->url, "http://127.0.0.1:%u/a/../b?q=1", world->port);
    uv_async_init(&world->loop, &world->signal, on_signal);
    world->signal.data = world;
    world->ask.url = world->url;
    world->ask.on_done = on_done;
    world->ask.env = world;
    if (!world->ask.on_body) world->ask.on_body = on_body;
    if (world->ask.method) world->ask.on_head = on_head;
}

static void tear_down(struct world *world)
{
    wisp_web_free(world->web);
    uv_ref((uv_handle_t *)&world->signal);
    uv_close((uv_handle_t *)&world->signal, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->loop), 0);
    close(world->listener);
    wisp_buf_deinit(&world->body);
}

/* The world's ask, to the end; the script runs beside it. */
static void run_for(struct world *world, uint64_t stall_ms)
{
    set_up(world, stall_ms);
    pthread_create(&world->server, NULL, serve, world);
    world->request = wisp_web_start(world->web, &world->ask);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    pthread_join(world->server, NULL);
    tear_down(world);
}

static void run(struct world *world) { run_for(world, 20000); }

/* --- any request --- */

static void heard(struct world *world, const char *words, const char *response, const char *const *expected)
{
    char *text = answer(world, words, response);
    for (; *expected; expected++) CHECK_HAS(text, *expected);
    free(text);
}

static void take_put(struct world *world)
{
    heard(world, "hello", "HTTP/1.1 201 Created\r\nX-Thing: yes \r\nx-thing: no\r\nContent-Length: 2\r\n\r\nok",
          (const char *const[]){"PUT /a/../b?q=1 HTTP/1.1\r\n", "\r\nContent-Length: 5\r\n", "\r\nx-empty:\r\n",
                                "\r\nHost: store\r\n", NULL});
}

TEST(a_method_with_headers_and_a_body)
{
    const struct wisp_web_header headers[] = {{"x-empty", ""}, {"Host", "store"}};
    struct world world = {.script = take_put,
                          .ask = {.method = "PUT", .body = WISP_STR("hello"), .headers = headers, .n_headers = 2}};
    run(&world);
    CHECK_TEXT(world.err.text, "");
    CHECK_INT(world.status, 201);
    CHECK_TEXT(world.field, "yes");
    CHECK_INT(world.n_received, 2);
}

static void take_empty_put(struct world *world)
{
    heard(world, "\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nX-Thing: here\r\n\r\n",
          (const char *const[]){"\r\nContent-Length: 0\r\n", NULL});
}

TEST(an_empty_body_has_a_length_and_interim_answers_are_none)
{
    struct world world = {.script = take_empty_put, .ask = {.method = "PUT"}};
    run(&world);
    CHECK_INT(world.status, 204);
    CHECK_TEXT(world.field, "here");
}

static void take_delete(struct world *world)
{
    char *text = answer(world, "\r\n\r\n",
                        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 4\r\n\r\nbody");
    CHECK_HAS(text, "DELETE /a/../b?q=1");
    CHECK(!strstr(text, "Content-Length") && !strstr(text, "chunked"));
    free(text);
}

TEST(what_a_redirect_says_is_the_answer)
{
    struct world world = {.script = take_delete, .ask = {.method = "DELETE"}};
    run(&world);
    CHECK_TEXT(world.err.text, "");
    CHECK_INT(world.status, 302);
    CHECK_INT(world.n_received, 4);
}

static void take_head(struct world *world)
{
    heard(world, "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX-Thing: 1\r\n\r\n",
          (const char *const[]){"HEAD /a", NULL});
}

TEST(head_has_no_body)
{
    struct world world = {.script = take_head, .ask = {.method = "HEAD"}};
    run(&world);
    CHECK_INT(world.status, 200);
    CHECK_TEXT(world.err.text, "");
    CHECK_TEXT(world.field, "1");
}

static void nobody(struct world *world) { (void)world; }

TEST(what_would_be_another_header_is_refused)
{
    const struct wisp_web_header header = {"x", "a\r\ny: b"};
    struct world world = {.script = nobody, .ask = {.method = "GET", .headers = &header, .n_headers = 1}};
    run(&world);
    CHECK_INT(world.err.kind, WISP_ERR_INVALID);
    CHECK_INT(world.fault, WISP_WEB_FAULT_CALLER);
}

/* --- sending bit by bit --- */

static void give_parts(struct world *world)
{
    world->waits_before_parts = false;
    wisp_web_send_on(world->request);
}

static void take_chunks(struct world *world)
{
    int fd = accept_one(world);
    char *head = hear(fd, "\r\n\r\n");
    CHECK_HAS(head, "Transfer-Encoding: chunked");
    free(head);
    uv_async_send(&world->signal); /* only now is there something to send */
    char *body = hear(fd, "0\r\n\r\n");
    CHECK_HAS(body, "3\r\none\r\n");
    CHECK_HAS(body, "5\r\nthree\r\n");
    free(body);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    close(fd);
}

TEST(a_body_of_unknown_length_waits_for_its_parts)
{
    struct world world = {.script = take_chunks,
                          .waits_before_parts = true,
                          .on_signal = give_parts,
                          .parts = {WISP_STR("one"), WISP_STR("three")},
                          .n_parts = 2,
                          .ask = {.method = "POST", .on_send = on_send, .body_size = WISP_WEB_LENGTH_UNKNOWN}};
    run(&world);
    CHECK_TEXT(world.err.text, "");
    CHECK_INT(world.status, 200);
}

static void take_all(struct world *world)
{
    int fd = accept_one(world);
    size_t total = 0;
    char *buffer = malloc(1 << 16);
    while (total < PLENTY) {
        ssize_t n = recv(fd, buffer, 1 << 16, 0);
        CHECK(n > 0);
        total += (size_t)n;
    }
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    free(buffer);
    close(fd);
}

TEST(a_large_body_of_known_length)
{
    char *bytes = calloc(1, PLENTY);
    struct world world = {.script = take_all,
                          .parts = {{bytes, PLENTY}},
                          .n_parts = 1,
                          .ask = {.method = "PUT", .on_send = on_send, .body_size = PLENTY}};
    run(&world);
    CHECK_TEXT(world.err.text, "");
    CHECK_INT(world.status, 200);
    free(bytes);
}

static void hear_head(struct world *world)
{
    int fd = accept_one(world);
    free(hear(fd, NULL));
    close(fd);
}

TEST(a_body_that_is_shorter_than_it_says_fails)
{
    struct world world = {.script = hear_head,
                          .parts = {WISP_STR("short")},
                          .n_parts = 1,
                          .ask = {.method = "PUT", .on_send = on_send, .body_size = 6}};
    run(&world);
    CHECK_INT(world.err.kind, WISP_ERR_INVALID);
    CHECK_HAS(world.err.text, "5 bytes, not 6");
}

static void refuse_early(struct world *world)
{
    free(answer(world, "first", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"));
}

TEST(an_answer_ends_a_body_that_does_not_come)
{
    struct world world = {.script = refuse_early,
                          .never_ends = true,
                          .parts = {WISP_STR("first")},
                          .n_parts = 1,
                          .ask = {.method = "PUT", .on_send = on_send, .body_size = WISP_WEB_LENGTH_UNKNOWN}};
    run(&world);
    CHECK_TEXT(world.err.text, "");
    CHECK_INT(world.status, 403);
    CHECK_INT(world.n_received, 2);
}

static void hang_up_after_head(struct world *world) { free(answer(world, "first", "")); }

TEST(a_server_that_goes_away_while_it_is_sent_a_body)
{
    struct world world = {.script = hang_up_after_head,
                          .never_ends = true,
                          .parts = {WISP_STR("first")},
                          .n_parts = 1,
                          .ask = {.method = "PUT", .on_send = on_send, .body_size = WISP_WEB_LENGTH_UNKNOWN}};
    run(&world);
    CHECK_INT(world.err.kind, WISP_ERR_UNAVAILABLE);
    CHECK_INT(world.fault, WISP_WEB_FAULT_BROKEN);
}

/* --- receiving --- */

static void resume_all(struct world *world)
{
    world->received_while_paused = world->n_received;
    world->pauses = false;
    wisp_web_resume(world->request);
}

/* Sends until the kernel takes no more for a while, and the rest when the client was told to go on. */
static void send_plenty(struct world *world)
{
    int fd = accept_one(world);
    free(hear(fd, "\r\n\r\n"));
    char head[100], *bytes = calloc(1, 1 << 20);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", PLENTY);
    say(fd, head);
    size_t sent = 0;
    bool is_told = false;
    while (sent < PLENTY) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
        if (poll(&poll_fd, 1, is_told ? 20000 : 300) == 0) {
            CHECK(!is_told);
            is_told = true;
            world->sent_while_paused = sent;
            uv_async_send(&world->signal);
            continue;
        }
        size_t left = PLENTY - sent;
        ssize_t n = send(fd, bytes, left < 1 << 20 ? left : 1 << 20, MSG_NOSIGNAL | MSG_DONTWAIT);
        CHECK(n > 0 || errno == EAGAIN);
        if (n > 0) sent += (size_t)n;
    }
    free(bytes);
    close(fd);
}

TEST(a_paused_request_holds_the_server_back)
{
    struct world world = {.script = send_plenty, .pauses = true, .on_signal = resume_all, .ask = {.method = "GET"}};
    run_for(&world, 20000);
    CHECK_TEXT(world.err.text, "");
    CHECK_INT(world.n_received, PLENTY);
    CHECK(world.sent_while_paused < PLENTY);
    CHECK(world.received_while_paused <= 128 << 10);
}

static void cut_short(struct world *world)
{
    free(answer(world, "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"));
}

TEST(a_body_that_is_cut_short)
{
    struct world world = {.script = cut_short, .ask = {.method = "GET"}};
    run(&world);
    CHECK_INT(world.err.kind, WISP_ERR_UNAVAILABLE);
    CHECK_INT(world.fault, WISP_WEB_FAULT_BROKEN);
    CHECK_INT(world.status, 200);
    CHECK_INT(world.n_received, 4);
    CHECK(!strstr(world.err.text, "q=1"));
}

static void begin_answer(struct world *world)
{
    int fd = accept_one(world);
    free(hear(fd, "\r\n\r\n"));
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
    free(hear(fd, NULL)); /* until the client goes */
    close(fd);
}

TEST(a_request_may_be_cancelled_from_its_own_functions)
{
    for (int in_head = 0; in_head < 2; in_head++) {
        struct world world = {.script = begin_answer,
                              .cancels_in_head = in_head == 1,
                              .cancels_in_body = in_head == 0,
                              .ask = {.method = "GET"}};
        set_up(&world, 20000);
        uv_unref((uv_handle_t *)&world.signal);
        pthread_create(&world.server, NULL, serve, &world);
        world.request = wisp_web_start(world.web, &world.ask);
        uv_run(&world.loop, UV_RUN_DEFAULT);
        tear_down(&world); /* the connection goes with it */
        pthread_join(world.server, NULL);
        CHECK(!world.is_done);
        CHECK_INT(world.n_received, in_head ? 0 : 4);
    }
}

TEST(a_server_that_says_nothing_more)
{
    struct world world = {.script = begin_answer, .ask = {.method = "GET", .stall_timeout_ms = 50}};
    run(&world);
    CHECK_INT(world.err.kind, WISP_ERR_TIMEOUT);
    CHECK_INT(world.fault, WISP_WEB_FAULT_TIMEOUT);
}

static void too_many_headers(struct world *world)
{
    struct wisp_buf response = {0};
    wisp_buf_printf(&response, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 2000; i++) wisp_buf_printf(&response, "x-%d: y\r\n", i);
    wisp_buf_append(&response, "\r\n", 3);
    int fd = accept_one(world);
    free(hear(fd, "\r\n\r\n"));
    (void)!send(fd, response.data, response.len - 1, MSG_NOSIGNAL);
    free(hear(fd, NULL));
    close(fd);
    wisp_buf_deinit(&response);
}

TEST(headers_are_bounded)
{
    struct world world = {.script = too_many_headers, .ask = {.method = "GET"}};
    run(&world);
    CHECK_INT(world.err.kind, WISP_ERR_LIMIT);
    CHECK(!world.had_head);
}

TEST(nobody_listens)
{
    struct world world = {.script = nobody, .ask = {.method = "GET"}};
    set_up(&world, 20000);
    shutdown(world.listener, SHUT_RDWR);
    close(world.listener);
    world.request = wisp_web_start(world.web, &world.ask);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    CHECK_INT(world.err.kind, WISP_ERR_UNAVAILABLE);
    CHECK_INT(world.fault, WISP_WEB_FAULT_REFUSED);
    world.listener = -1;
    tear_down(&world);
}

TEST(an_error_shows_no_secrets_of_the_url)
{
    struct world world = {.script = nobody, .ask = {.method = "GET"}};
    char url[100];
    set_up(&world, 20000);
    shutdown(world.listener, SHUT_RDWR);
    close(world.listener);
    snprintf(url, sizeof url, "http://me:hush@127.0.0.1:%u/path?hush#@", world.port);
    world.ask.url = url;
    world.request = wisp_web_start(world.web, &world.ask);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    snprintf(url, sizeof url, "GET http://127.0.0.1:%u/path: ", world.port);
    CHECK_HAS(world.err.text, url);
    CHECK(!strstr(world.err.text, "hush"));
    world.listener = -1;
    tear_down(&world);
}

/* --- plainly --- */

static void redirect_elsewhere(struct world *world)
{
    char response[200];
    snprintf(response, sizeof response,
             "HTTP/1.1 302 Found\r\nLocation: http://localhost:%u/c\r\nContent-Length: 3\r\n\r\nold", world->port);
    heard(world, "\r\n\r\n", response, (const char *const[]){"Authorization: secret", NULL});
    char *text = answer(world, "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew");
    CHECK_HAS(text, "GET /c HTTP");
    CHECK(!strstr(text, "secret"));
    free(text);
}

TEST(a_plain_get_follows_a_redirect_without_its_authorization)
{
    struct world world = {.script = redirect_elsewhere, .ask = {.authorization = "secret"}};
    run(&world);
    CHECK_TEXT(world.err.text, "");
    CHECK_INT(world.status, 200);
    CHECK_INT(world.n_received, 3);
}

static void take_post(struct world *world)
{
    heard(world, "data", "HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
          (const char *const[]){"POST /b?q=1", "\r\nContent-Type: text/plain\r\n", "\r\nx-a: b\r\n", NULL});
}

TEST(a_plain_post)
{
    const struct wisp_web_header header = {"x-a", "b"};
    struct world world = {
        .script = take_post,
        .ask = {.content_type = "text/plain", .body = WISP_STR("data"), .headers = &header, .n_headers = 1}};
    run(&world);
    CHECK_INT(world.status, 503);
    CHECK_TEXT(world.err.text, "");
}

/* --- servers that are up to something --- */

/* A kept connection that the server closes when it has heard the next request. */
static void close_after_the_first(struct world *world)
{
    int fd = accept_one(world);
    free(hear(fd, "\r\n\r\n"));
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    free(hear(fd, "\r\n\r\n"));
    close(fd);
    /* Another connection is harmless. */
    fd = accept_one(world);
    char *text = hear(fd, "\r\n\r\n");
    world->is_sent_again = *text != '\0';
    if (*text) say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain");
    free(text);
    close(fd);
}

static void ask_twice(struct world *world, const char *method, bool is_sent_again)
{
    world->script = close_after_the_first;
    world->ask.method = "GET";
    set_up(world, 20000);
    pthread_create(&world->server, NULL, serve, world);
    world->request = wisp_web_start(world->web, &world->ask);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    CHECK_TEXT(world->err.text, "");
    world->is_done = world->had_head = false;
    world->ask.method = method;
    world->request = wisp_web_start(world->web, &world->ask);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    CHECK(world->is_done);
    pthread_join(world->server, NULL);
    CHECK_INT(world->is_sent_again, is_sent_again);
    tear_down(world);
}

/* It may have done what it was asked, though it did not say so. */
TEST(what_may_not_be_done_twice_is_not_sent_twice)
{
    static const char *const methods[] = {"POST", "PATCH", "BREW"};
    for (size_t i = 0; i < WISP_COUNT(methods); i++) {
        struct world world = {.ask = {.method = NULL}};
        ask_twice(&world, methods[i], false);
        CHECK_INT(world.err.kind, WISP_ERR_UNAVAILABLE);
        CHECK_INT(world.fault, WISP_WEB_FAULT_BROKEN);
    }
}

TEST(what_may_be_done_twice_is_sent_again)
{
    static const char *const methods[] = {"GET", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < WISP_COUNT(methods); i++) {
        struct world world = {.ask = {.method = NULL}};
        ask_twice(&world, methods[i], true);
        CHECK_TEXT(world.err.text, "");
        CHECK_INT(world.n_received, 2 + 5);
    }
}

static void say_anything(struct world *world)
{
    int fd = accept_one(world);
    free(hear(fd, "\r\n\r\n"));
    (void)!send(fd, world->parts[3].ptr, world->parts[3].len, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    free(hear(fd, NULL));
    close(fd);
}

TEST(answers_that_are_none)
{
    static const struct {
        struct wisp_str text;
        bool has_head;
    } all[] = {
        {WISP_STR_INIT(""), false},
        {WISP_STR_INIT("hello"), false}, /* HTTP/0.9 */
        {WISP_STR_INIT("SSH-2.0-OpenSSH_9.2\r\n"), false},
        {WISP_STR_INIT("\0\0\0\0\0\0\0\0\r\n\r\n"), false},
        {WISP_STR_INIT("HTTP/1.1 200 OK\r\nX-A: b"), false},
        {WISP_STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx"), false},
        {WISP_STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"), true},
        {WISP_STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), true},
        {WISP_STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"), true},
        {WISP_STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx"), true},
        {WISP_STR_INIT("HTTP/1.1 100 Continue\r\n\r\n"), false},
        {WISP_STR_INIT("HTTP/7.5 200 OK\r\n\r\n"), false},
    };
    for (size_t i = 0; i < WISP_COUNT(all); i++) {
        struct world world = {.script = say_anything, .ask = {.method = "GET"}};
        world.parts[3] = all[i].text;
        run(&world);
        if (world.err.kind == WISP_ERR_NONE || world.had_head != all[i].has_head)
            wisp_test_fail(__FILE__, __LINE__, "%zu: %d %s", i, world.had_head, world.err.text);
    }
}

/* Interim answers without an end are only as many as the caller's time allows, and take no memory. */
static void go_on(struct world *world)
{
    static const char text[] = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    int fd = accept_one(world);
    free(hear(fd, "\r\n\r\n"));
    for (int i = 0; i < 20000; i++)
        if (send(fd, text, sizeof text - 1, MSG_NOSIGNAL) < 0) break;
    static const char last[] = "HTTP/1.1 200 OK\r\nX-Thing: last\r\nContent-Length: 0\r\n\r\n";
    (void)!send(fd, last, sizeof last - 1, MSG_NOSIGNAL);
    close(fd);
}

TEST(many_interim_answers)
{
    struct world world = {.script = go_on, .ask = {.method = "GET"}};
    run(&world);
    if (world.err.kind == WISP_ERR_NONE) CHECK_TEXT(world.field, "last");
    CHECK(world.err.kind == WISP_ERR_NONE || world.err.kind == WISP_ERR_UNAVAILABLE);
}
