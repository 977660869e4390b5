/* SPDX-License-Identifier: Apache-2.0 */
/* How a server comes to its sockets, and how it ends. */
#include "http/server_rig.h"

/* --- stopping --- */

static void stop_with_requests_in_flight(struct world *world)
{
    int begun = dial(world), busy = dial(world), idle = dial(world);
    say(begun, "GE");
    say(busy, GET);
    sleep_ms(50); /* busy is held for 200 */
    uv_async_send(&world->stop);
    say(begun, "T / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(begun, NULL, "connection: close\r\ncontent-length: 5\r\n\r\nhello");
    expect(busy, NULL, "connection: close\r\ncontent-length: 5\r\n\r\nlater");
    expect(idle, NULL, ""); /* a newcomer has a moment for its first request */
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(world->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int late = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(late, (struct sockaddr *)&address, sizeof address) < 0);
    close(begun), close(busy), close(idle), close(late);
}

static void hold_for_a_while(struct wisp_http_exchange *exchange, void *env)
{
    struct world *world = env;
    if (world->held) {
        hello(exchange, env);
        return;
    }
    hold(exchange, env);
    uv_timer_start(&world->timer, answer_held, 200, 0);
}

TEST(a_graceful_stop)
{
    struct world world = {
        .script = stop_with_requests_in_flight, .stops_early = true, .options.handler.on_request = hold_for_a_while};
    run(&world);
    CHECK_INT(world.n_requests, 2);
}

static void stop_while_held(struct world *world)
{
    int fd = dial(world);
    say(fd, GET);
    sleep_ms(50);
    uv_async_send(&world->stop);
    expect(fd, NULL, "<reset>");
    close(fd);
}

TEST(a_stop_that_reaches_its_deadline)
{
    struct world world = {
        .script = stop_while_held, .stops_early = true, .grace_ms = 100, .options.handler.on_request = hold};
    run(&world);
    CHECK_INT(world.last_outcome, WISP_HTTP_STOPPED);
}

static void mark(void *env) { *(bool *)env = true; }

/* Also when the loop has been busy for so long that its timers are due before it has looked at who waits. */
TEST(who_waits_when_it_stops_is_answered)
{
    struct world world = {.options.handler = {.on_request = hello, .on_close = count_close}};
    struct wisp_http_address address = {.host = "127.0.0.1"};
    bool has_stopped = false;
    world.options.env = &world;
    CHECK_INT(uv_loop_init(&world.loop), 0);
    CHECK_OK(wisp_http_server_new(&world.server, &world.loop, &world.options, &world.err), &world.err);
    CHECK_OK(wisp_http_server_listen(world.server, &address, &world.port, &world.err), &world.err);
    int fd = dial(&world);
    say(fd, GET);
    sleep_ms(20);
    wisp_http_server_stop(world.server, 1000, mark, &has_stopped);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    CHECK(has_stopped);
    expect(fd, NULL, "connection: close\r\ncontent-length: 5\r\n\r\nhello");
    close(fd);
    wisp_http_server_free(world.server);
    CHECK_INT(uv_loop_close(&world.loop), 0);
}

TEST(stopping_a_server_that_never_listened)
{
    struct wisp_http_server *server;
    struct wisp_http_options options = {.handler.on_request = hello};
    struct wisp_err err;
    uv_loop_t loop;
    bool has_stopped = false;
    uv_loop_init(&loop);
    CHECK_OK(wisp_http_server_new(&server, &loop, &options, &err), &err);
    wisp_http_server_free(server);
    CHECK_OK(wisp_http_server_new(&server, &loop, &options, &err), &err);
    wisp_http_server_stop(server, 1000, mark, &has_stopped);
    CHECK(!has_stopped);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(has_stopped);
    wisp_http_server_free(server);
    CHECK_INT(uv_loop_close(&loop), 0);
}

/* --- listening --- */

TEST(addresses_that_cannot_be_had)
{
    struct wisp_http_server *server, *second;
    struct wisp_http_options options = {.handler.on_request = hello};
    struct wisp_err err;
    uv_loop_t loop;
    uint16_t port;
    bool has_stopped = false;
    int pipes[2];
    uv_loop_init(&loop);
    CHECK_OK(wisp_http_server_new(&server, &loop, &options, &err), &err);
    CHECK_OK(wisp_http_server_new(&second, &loop, &options, &err), &err);
    struct wisp_http_address address = {.host = "127.0.0.1"};
    CHECK_OK(wisp_http_server_listen(server, &address, &port, &err), &err);
    address.port = port;
    CHECK_FAILS(wisp_http_server_listen(second, &address, NULL, &err), EXISTS);
    CHECK_HAS(err.text, "listen on `127.0.0.1` port");
    address.host = "no such host";
    CHECK_FAILS(wisp_http_server_listen(second, &address, NULL, &err), NOT_FOUND);
    struct wisp_http_address six = {.host = "::1"};
    if (wisp_http_server_listen(server, &six, &port, &err) == 0) CHECK(port > 0); /* where there is IPv6 */
    CHECK(pipe(pipes) == 0);
    CHECK(wisp_http_server_listen_fd_take(second, pipes[0], &err) < 0);
    int unbound = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_FAILS(wisp_http_server_listen_fd_take(second, unbound, &err), INVALID);
    CHECK(close(pipes[0]) == 0 && close(pipes[1]) == 0 && close(unbound) == 0);
    wisp_http_server_free(second);
    wisp_http_server_stop(server, 1000, mark, &has_stopped);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(has_stopped);
    wisp_http_server_free(server);
    CHECK_INT(uv_loop_close(&loop), 0);
}

static void ask_all_listeners(struct world *world)
{
    for (int i = 0; i < 20; i++) {
        int fd = dial(world);
        say(fd, GET);
        expect(fd, "hello", "200 OK");
        close(fd);
    }
}

/* Several servers on one loop share a port; one of them was given its socket ready-made. */
TEST(shared_and_inherited_listeners)
{
    struct wisp_http_server *servers[2];
    struct world world = {.script = ask_all_listeners};
    struct wisp_http_options options = {.env = &world, .handler = {.on_request = hello, .on_close = count_close}};
    bool have_stopped[2] = {false, false};
    pthread_t thread;
    uv_loop_init(&world.loop);
    struct wisp_http_address address = {.host = "127.0.0.1", .reuse_port = true};
    for (int i = 0; i < 2; i++)
        CHECK_OK(wisp_http_server_new(&servers[i], &world.loop, &options, &world.err), &world.err);
    CHECK_OK(wisp_http_server_listen(servers[0], &address, &world.port, &world.err), &world.err);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(world.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int));
    CHECK(bind(fd, (struct sockaddr *)&in, sizeof in) == 0 && listen(fd, 100) == 0);
    CHECK_OK(wisp_http_server_listen_fd_take(servers[1], fd, &world.err), &world.err);
    uv_async_init(&world.loop, &world.script_done, NULL);
    pthread_create(&thread, NULL, run_script, &world);
    while (world.n_closed < 20) uv_run(&world.loop, UV_RUN_ONCE);
    pthread_join(thread, NULL);
    uint64_t total = wisp_http_server_stats(servers[0])->exchanges + wisp_http_server_stats(servers[1])->exchanges;
    CHECK_INT(total, 20);
    uv_close((uv_handle_t *)&world.script_done, NULL);
    for (int i = 0; i < 2; i++) wisp_http_server_stop(servers[i], 1000, mark, &have_stopped[i]);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    CHECK(have_stopped[0] && have_stopped[1]);
    for (int i = 0; i < 2; i++) wisp_http_server_free(servers[i]);
    CHECK_INT(uv_loop_close(&world.loop), 0);
}

static void come_in_threes(struct world *world)
{
    int first = dial(world), second = dial(world), third = dial(world);
    say(first, GET);
    say(second, GET);
    say(third, GET);
    expect(first, "hello", "200 OK");
    expect(second, "hello", "200 OK");
    char c;
    sleep_ms(50);
    CHECK(recv(third, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    close(first);
    expect(third, "hello", "200 OK");
    close(second), close(third);
}

TEST(more_connections_than_allowed_wait)
{
    struct world world = {.script = come_in_threes, .options = {.handler.on_request = hello, .connections_max = 2}};
    run(&world);
    CHECK_INT(world.n_requests, 3);
}
