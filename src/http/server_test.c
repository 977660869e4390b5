/* SPDX-License-Identifier: Apache-2.0 */
/* The server on real sockets: traffic, and clients that misbehave. */
#include "http/server_rig.h"

/* --- requests --- */

static void ask_many_times(struct world *world)
{
    int fd = dial(world);
    for (int i = 0; i < 100; i++) {
        say(fd, GET);
        expect(fd, "hello", "HTTP/1.1 200 OK\r\n");
    }
    struct wisp_buf many = {0};
    for (int i = 0; i < 1000; i++) wisp_buf_append_str(&many, WISP_STR(GET));
    wisp_buf_append_str(&many, WISP_STR("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    CHECK_INT(say_bytes(fd, many.data, many.len), many.len);
    char *text = hear(fd, NULL), *at = text;
    int n = 0;
    for (; (at = strstr(at, "hello")); at++) n++;
    CHECK_INT(n, 1001);
    CHECK(!strstr(text, "<"));
    free(text);
    wisp_buf_deinit(&many);
    close(fd);
}

TEST(keep_alive_and_pipelining)
{
    struct world world = {.script = ask_many_times, .options.handler.on_request = hello};
    run(&world);
    CHECK_INT(world.n_requests, 1101);
    CHECK_INT(world.last_outcome, WISP_HTTP_COMPLETE);
}

static void hold_a_little(struct wisp_http_exchange *exchange, void *env)
{
    struct world *world = env;
    hold(exchange, env);
    const struct sockaddr_in *peer = (const struct sockaddr_in *)(const void *)wisp_http_peer(exchange);
    CHECK(peer && peer->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    uv_timer_start(&world->timer, answer_held, 5, 0);
}

static void ask_twice(struct world *world)
{
    int fd = dial(world);
    for (int i = 0; i < 2; i++) {
        say(fd, GET);
        /* Written in one turn, so the length is known although it was not given. */
        expect(fd, "later", "content-length: 5\r\n\r\nlater");
    }
    close(fd);
}

TEST(answers_from_elsewhere_in_the_loop)
{
    struct world world = {.script = ask_twice, .options.handler.on_request = hold_a_little};
    run(&world);
    CHECK_INT(world.n_requests, 2);
}

/* --- streaming --- */

enum { BIG = 32 << 20 };

static void *send_big_body(void *env)
{
    int fd = *(int *)env;
    char bytes[65536];
    for (size_t sent = 0; sent < BIG; sent += sizeof bytes) {
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)((sent + i) % 251);
        if (say_bytes(fd, bytes, sizeof bytes) < sizeof bytes) break;
    }
    return NULL;
}

/* Reads a response of BIG bytes and looks at each. */
static void read_big_body(int fd)
{
    char bytes[65536], *body = NULL;
    size_t seen = 0;
    for (ssize_t n; seen < BIG && (n = recv(fd, bytes, sizeof bytes - 1, 0)) > 0;) {
        char *at = bytes;
        bytes[n] = '\0';
        if (!body) {
            at = body = strstr(bytes, "\r\n\r\n");
            CHECK(body);
            at += 4;
        }
        for (; at < bytes + n; at++, seen++)
            if (*at != (char)(seen % 251)) wisp_test_fail(__FILE__, __LINE__, "byte %zu differs", seen);
    }
    CHECK_INT(seen, BIG);
}

static void echo_big(struct world *world)
{
    pthread_t thread;
    char head[100];
    int fd = dial(world);
    snprintf(head, sizeof head, POST "Content-Length: %d\r\n\r\n", BIG);
    say(fd, head);
    pthread_create(&thread, NULL, send_big_body, &fd);
    read_big_body(fd);
    pthread_join(thread, NULL);
    close(fd);
}

TEST(big_bodies_stream_both_ways)
{
    struct world world = {.script = echo_big,
                          .options.handler = {.on_request = echo, .on_body = pump, .on_drain = pump}};
    run(&world);
    CHECK_INT(world.last_outcome, WISP_HTTP_COMPLETE);
}

static void read_late(struct world *world)
{
    int fd = dial(world);
    say(fd, GET);
    sleep_ms(200);
    read_big_body(fd);
    close(fd);
}

TEST(a_big_response_waits_for_its_client)
{
    struct world world = {
        .script = read_late, .to_send = BIG, .options.handler = {.on_request = begin_stream, .on_drain = stream}};
    run(&world);
    CHECK_INT(world.sent, BIG);
}

static void upload_chunked_in_drops(struct world *world)
{
    int fd = dial(world);
    say(fd, POST "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    /* The echo has started its response before it asks for the body, so there is no 100 any more. */
    expect(fd, "\r\n\r\n", "GMT\r\nconnection: close\r\ntransfer-encoding: chunked\r\n");
    for (int i = 0; i < 20; i++) {
        say(fd, "1\r\n");
        sleep_ms(1);
        say(fd, "x\r");
        expect(fd, "x\r\n", "1\r\nx\r\n");
        say(fd, "\n");
    }
    say(fd, "0\r\n\r\n");
    expect(fd, NULL, "0\r\n\r\n");
    close(fd);
}

TEST(drops_are_passed_on_as_they_come)
{
    struct world world = {.script = upload_chunked_in_drops,
                          .options.handler = {.on_request = echo, .on_body = pump, .on_drain = pump}};
    run(&world);
}

/* --- bad clients --- */

static void send_a_megabyte_of_headers(struct world *world)
{
    int fd = dial(world);
    static char line[1024];
    memset(line, 'x', sizeof line);
    memcpy(line, "X-Header: ", 10);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    say(fd, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 1024; i++) say_bytes(fd, line, sizeof line);
    expect(fd, NULL, "HTTP/1.1 431 Request Header Fields Too Large\r\n");
    close(fd);
}

TEST(a_megabyte_of_headers)
{
    struct world world = {.script = send_a_megabyte_of_headers, .options.handler.on_request = hello};
    run(&world);
    CHECK_INT(world.n_requests, 0);
}

static void send_too_much(struct world *world)
{
    int fd = dial(world);
    char bytes[65536];
    memset(bytes, 'x', sizeof bytes);
    say(fd, POST "Content-Length: 10000000\r\n\r\n");
    for (int i = 0; i < 100; i++) say_bytes(fd, bytes, sizeof bytes);
    /* It is still there to be read, and not swept away by a reset. */
    expect(fd, NULL, "HTTP/1.1 413 Content Too Large\r\n");
    close(fd);
}

TEST(a_body_over_the_limit)
{
    struct world world = {.script = send_too_much, .options = {.handler.on_request = hello, .body_bytes_max = 1000}};
    run(&world);
    CHECK_INT(world.n_requests, 0);
}

static void leave_in_different_ways(struct world *world)
{
    int fd = dial(world); /* mid-body, politely */
    say(fd, POST "Content-Length: 10\r\n\r\nabc");
    sleep_ms(20);
    close(fd);
    sleep_ms(20);
    fd = dial(world); /* mid-body, with a reset */
    say(fd, POST "Content-Length: 10\r\n\r\nabc");
    sleep_ms(20);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(fd);
    sleep_ms(20);
    fd = dial(world); /* before the answer */
    say(fd, GET);
    sleep_ms(20);
    close(fd);
    sleep_ms(20);
    fd = dial(world); /* in the middle of a head: no exchange at all */
    say(fd, "GET / HTTP/1.1\r\nHo");
    close(fd);
}

TEST(clients_that_leave)
{
    struct world world = {.script = leave_in_different_ways, .options.handler.on_request = hold};
    run(&world);
    CHECK_INT(world.n_requests, 3);
    CHECK_INT(world.last_outcome, WISP_HTTP_CLIENT_GONE);
}

static void hold_sleep_or_poke(struct wisp_http_exchange *exchange, void *env)
{
    struct world *world = env;
    if (wisp_str_is(exchange->target, "/hold")) {
        hold(exchange, env);
        return;
    }
    if (wisp_str_is(exchange->target, "/sleep")) sleep_ms(100);
    if (wisp_str_is(exchange->target, "/poke")) answer_held(&world->timer);
    hello(exchange, env);
}

/* While the loop is busy with one client, another causes something on the connection of a third, and that one goes: the
 * loop then meets both in one turn. */
static void leave_just_when_it_is_answered(struct world *world)
{
    int leaver = dial(world), sleeper = dial(world), poker = dial(world);
    say(leaver, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    sleep_ms(20);
    say(sleeper, "GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n");
    sleep_ms(20);
    say(poker, "GET /poke HTTP/1.1\r\nHost: a\r\n\r\n");
    setsockopt(leaver, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(leaver);
    expect(poker, "hello", "200 OK");
    expect(sleeper, "hello", "200 OK");
    close(sleeper), close(poker);
}

TEST(a_client_that_leaves_just_when_it_is_answered)
{
    struct world world = {.script = leave_just_when_it_is_answered, .options.handler.on_request = hold_sleep_or_poke};
    run(&world);
    CHECK_INT(world.n_requests, 3);
}

static void leave_within_a_response(struct world *world)
{
    int fd = dial(world);
    char bytes[1000];
    say(fd, GET);
    CHECK(recv(fd, bytes, sizeof bytes, 0) > 0);
    close(fd); /* with input unread: a reset */
}

TEST(a_client_that_leaves_within_the_response)
{
    struct world world = {.script = leave_within_a_response,
                          .to_send = BIG,
                          .options.handler = {.on_request = begin_stream, .on_drain = stream}};
    run(&world);
    CHECK_INT(world.last_outcome, WISP_HTTP_CLIENT_GONE);
    CHECK(world.sent < BIG);
}

static void be_slow(struct world *world)
{
    int quiet = dial(world), partial = dial(world), idle = dial(world), body = dial(world);
    say(partial, "GET / HTTP/1.1\r\n");
    say(idle, POST "Content-Length: 5\r\n\r\nhello");
    expect(idle, "hello", "200 OK");
    say(body, POST "Content-Length: 5\r\n\r\nhe");
    expect(partial, NULL, "HTTP/1.1 408 ");
    expect(quiet, NULL, "");
    expect(idle, NULL, "");
    expect(body, NULL, "he<reset>"); /* the echo had begun */
    close(quiet), close(partial), close(idle), close(body);
}

TEST(slow_clients)
{
    struct world world = {.script = be_slow,
                          .options = {.handler = {.on_request = echo, .on_body = pump, .on_drain = pump},
                                      .head_timeout_ms = 100,
                                      .idle_timeout_ms = 100,
                                      .body_timeout_ms = 100}};
    run(&world);
    CHECK_INT(world.n_requests, 2);
}

static void hold_the_loop_up(struct wisp_http_exchange *exchange, void *env)
{
    if (wisp_str_is(exchange->target, "/slow")) sleep_ms(1800);
    hello(exchange, env);
}

static void ask_while_the_loop_is_held_up(struct world *world)
{
    int punctual = dial(world), slow = dial(world);
    say(punctual, GET);
    expect(punctual, "hello", "200 OK");
    say(slow, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    sleep_ms(100);
    say(punctual, GET); /* well within its time, but nobody reads it for long */
    expect(slow, "hello", "200 OK");
    expect(punctual, "hello", "200 OK");
    close(punctual), close(slow);
}

TEST(clients_do_not_pay_for_a_loop_that_was_busy)
{
    struct world world = {.script = ask_while_the_loop_is_held_up,
                          .options = {.handler.on_request = hold_the_loop_up, .idle_timeout_ms = 1000}};
    run(&world);
    CHECK_INT(world.n_requests, 3);
}

static void never_read(struct world *world)
{
    int fd = dial(world);
    say(fd, GET);
    while (__atomic_load_n(&world->n_closed, __ATOMIC_RELAXED) == 0) sleep_ms(10);
    close(fd);
}

TEST(a_client_that_never_reads)
{
    struct world world = {
        .script = never_read,
        .to_send = (uint64_t)1 << 40,
        .options = {.handler = {.on_request = begin_stream, .on_drain = stream}, .write_timeout_ms = 100}};
    run(&world);
    CHECK_INT(world.last_outcome, WISP_HTTP_TIMED_OUT);
}

static void send_one_byte_at_a_time(struct world *world)
{
    int fd = dial(world);
    for (const char *at = POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"; *at; at++) {
        CHECK_INT(say_bytes(fd, at, 1), 1);
        sleep_ms(1);
    }
    expect(fd, "0\r\n\r\n", "abc");
    close(fd);
}

TEST(one_byte_at_a_time)
{
    struct world world = {.script = send_one_byte_at_a_time,
                          .options.handler = {.on_request = echo, .on_body = pump, .on_drain = pump}};
    run(&world);
}

/* --- breaking off --- */

static void start_and_abort(struct wisp_http_exchange *exchange, void *env)
{
    struct world *world = env;
    world->n_requests++;
    struct wisp_http_response response = {.status = 200, .content_length = 100};
    CHECK_OK(wisp_http_start(exchange, &response, &world->err), &world->err);
    wisp_http_abort(exchange);
}

static void see_a_reset(struct world *world)
{
    int fd = dial(world);
    say(fd, GET);
    expect(fd, NULL, "<reset>");
    close(fd);
}

TEST(an_aborted_exchange_resets_the_connection)
{
    struct world world = {.script = see_a_reset, .options.handler.on_request = start_and_abort};
    run(&world);
    CHECK_INT(world.last_outcome, WISP_HTTP_ABORTED);
}
