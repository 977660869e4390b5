/* SPDX-License-Identifier: Apache-2.0 */
/* Requests through the kind `http-client`. */
#include "capability/http/client_rig.h"

#include <poll.h>

/* --- heads --- */

TEST(a_request_as_it_is)
{
    begin(NULL, NULL);
    struct wisp_wrpc_field headers[] = {
        {WISP_STR("host"), {&WISP_STR("example.com"), 1}},
        {WISP_STR("X-Two"), {(struct wisp_str[]){WISP_STR("a"), WISP_STR("b")}, 2}},
        {WISP_STR("connection"), {&WISP_STR("close"), 1}},
        {WISP_STR("accept-encoding"), {&WISP_STR("gzip"), 1}},
        {WISP_STR("expect"), {&WISP_STR("100-continue"), 1}},
    };
    struct asking asking;
    ready(&asking, GET, "/a/../b?c={d}");
    asking.args.request.rest.headers = (struct wisp_wrpc_fields){headers, WISP_COUNT(headers)};
    go(&asking);
    end_request(&asking);
    await(&asking);
    CHECK_TEXT(world.head, "GET http://example.com/a/../b?c={d} len=0\nhost: example.com\nx-two: a\nx-two: b\n"
                           "accept-encoding: gzip\n");
    CHECK_INT(asking.status, 200);
    CHECK_HAS(asking.headers, "content-length: 5\n");
    CHECK(!strstr(asking.headers, "connection"));
    expect_body(&asking, "hello");
    drop_response(&asking);
    end();
}

TEST(response_heads_are_not_interpreted)
{
    begin(NULL, NULL);
    struct asking *asking = ask(GET, "/moved");
    CHECK_INT(asking->status, 302);
    CHECK_HAS(asking->headers, "location: /echo\n");
    expect_body(asking, "elsewhere");
    drop_response(asking);
    asking = ask(GET, "/echo");
    CHECK_HAS(asking->headers, "x-a: 1\nx-a: 2\n");
    CHECK_HAS(asking->headers, "content-encoding: gzip\n");
    expect_body(asking, "");
    drop_response(asking);
    CHECK_INT(world.n_requests, 2);
    end();
}

TEST(methods)
{
    begin(NULL, NULL);
    struct asking *asking = ask(HEAD, "/");
    CHECK_INT(asking->status, 200);
    CHECK_HAS(asking->headers, "content-length: 5\n");
    expect_body(asking, "");
    drop_response(asking);
    CHECK_HAS(world.head, "HEAD http");
    asking = ask(POST, "/echo");
    expect_body(asking, "");
    drop_response(asking);
    expect_code(ask(CONNECT, "/"), WISP_HTTP_ERROR_REQUEST_METHOD_INVALID);
    struct asking other;
    ready(&other, OTHER, "/");
    other.args.request.rest.method.other = WISP_STR("PROPFIND");
    go(&other);
    end_request(&other);
    await(&other);
    CHECK_HAS(world.head, "PROPFIND http");
    drop_response(&other);
    end();
}

/* --- bodies --- */

static void send_text(struct asking *asking, const char *text)
{
    CHECK_OK(wisp_wrpc_writer_write(asking->body, wisp_str_from(text), &world.err), &world.err);
}

TEST(bodies_and_trailers_go_both_ways)
{
    begin(NULL, NULL);
    struct asking asking;
    ready(&asking, POST, "/echo");
    go(&asking);
    await(&asking); /* the response begins before the request ends */
    send_text(&asking, "one ");
    struct wisp_str bytes;
    while (wisp_wrpc_reader_peek(asking.response, &bytes, &world.err) == WISP_WRPC_READING_WAIT)
        uv_run(&world.loop, UV_RUN_ONCE);
    CHECK_STR(bytes, "one ");
    send_text(&asking, "two");
    struct wisp_wrpc_field field = {WISP_STR("x-sum"), {&WISP_STR("42"), 1}};
    struct wisp_wrpc_option_fields trailers = {1, {&field, 1}};
    wisp_wrpc_writer_end(WISP_TAKE(asking.body));
    CHECK_OK(wisp_wrpc_writer_put(asking.trailers, &trailers, &world.err), &world.err);
    wisp_wrpc_writer_end(WISP_TAKE(asking.trailers));
    expect_body(&asking, "one two");
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    enum wisp_wrpc_reading reading;
    while ((reading = wisp_wrpc_reader_next(asking.response_trailers, &arena, &trailers, &world.err)) ==
           WISP_WRPC_READING_WAIT)
        uv_run(&world.loop, UV_RUN_ONCE);
    CHECK_INT(reading, WISP_WRPC_READING_ITEM);
    CHECK(trailers.is_some && trailers.value.len == 1);
    CHECK_STR(trailers.value.ptr[0].name, "x-sum");
    CHECK_STR(trailers.value.ptr[0].values.ptr[0], "42");
    drop_response(&asking);
    end();
}

/* Both ends as slow as the other lets them. */
TEST(big_bodies_with_backpressure)
{
    begin(NULL, NULL);
    struct asking asking;
    char piece[10000];
    memset(piece, 'x', sizeof piece);
    ready(&asking, POST, "/echo");
    struct wisp_wrpc_field length = {WISP_STR("content-length"), {&WISP_STR("5000000"), 1}};
    asking.args.request.rest.headers = (struct wisp_wrpc_fields){&length, 1};
    go(&asking);
    uint64_t n_sent = 0, n_received = 0;
    struct wisp_str bytes;
    while (n_received < BIG) {
        while (n_sent < BIG && wisp_wrpc_writer_room(asking.body) > 0) {
            CHECK_OK(wisp_wrpc_writer_write(asking.body, (struct wisp_str){piece, sizeof piece}, &world.err),
                     &world.err);
            n_sent += sizeof piece;
            if (n_sent == BIG) end_request(&asking);
        }
        CHECK(n_sent - n_received < BIG); /* nobody keeps it all */
        uv_run(&world.loop, UV_RUN_ONCE);
        if (!asking.response) continue;
        while (wisp_wrpc_reader_peek(asking.response, &bytes, &world.err) == WISP_WRPC_READING_ITEM) {
            n_received += bytes.len;
            wisp_wrpc_reader_consume(asking.response, bytes.len);
        }
    }
    CHECK_INT(n_received, BIG);
    CHECK_HAS(world.head, "len=5000000");
    drop_response(&asking);
    end();
}

TEST(a_response_that_nobody_reads_holds_the_server_back)
{
    begin(NULL, NULL);
    world.to_send = UINT64_C(1) << 32;
    struct asking *asking = ask(GET, "/big");
    uint64_t before;
    do {
        before = world.n_sent;
        for (int i = 0; i < 200; i++) uv_run(&world.loop, UV_RUN_NOWAIT), usleep(100);
    } while (world.n_sent != before);
    CHECK(world.n_sent < 64 << 20);
    drop_response(asking); /* and the server hears of it */
    while (!world.n_gone) uv_run(&world.loop, UV_RUN_ONCE);
    end();
}

TEST(a_request_body_that_is_broken_off)
{
    begin(NULL, NULL);
    struct asking asking;
    ready(&asking, POST, "/hold");
    go(&asking);
    send_text(&asking, "some");
    while (!world.held) uv_run(&world.loop, UV_RUN_ONCE);
    wisp_wrpc_writer_abort(asking.body);
    wisp_wrpc_writer_abort(asking.trailers);
    await(&asking);
    expect_code(&asking, WISP_HTTP_ERROR_INTERNAL_ERROR);
    while (!world.n_gone) uv_run(&world.loop, UV_RUN_ONCE);
    end();
}

TEST(a_response_that_is_cut_off)
{
    begin(NULL, NULL);
    struct asking *asking = ask(GET, "/half");
    wisp_http_abort(world.held);
    WISP_CLEANUP_BUF struct wisp_buf body = {0};
    CHECK_INT(read_all(asking, &body), WISP_WRPC_READING_FAILED);
    CHECK_STR(wisp_buf_str(&body), "half");
    drop_response(asking);
    end();
}

TEST(connections_are_used_again)
{
    begin(NULL, NULL);
    for (int i = 0; i < 20; i++) {
        struct asking *asking = ask(GET, "/");
        expect_body(asking, "hello");
        drop_response(asking);
    }
    CHECK_INT(wisp_http_server_stats(world.server)->accepted, 1);
    end();
}

TEST(many_at_once)
{
    enum { N = 50 };
    static struct asking many[N];
    begin(NULL, NULL);
    for (int i = 0; i < N; i++) {
        ready(&many[i], POST, "/echo");
        go(&many[i]);
    }
    for (int i = N; i-- > 0;) {
        send_text(&many[i], "body");
        end_request(&many[i]);
    }
    for (int i = 0; i < N; i++) {
        await(&many[i]);
        expect_body(&many[i], "body");
        drop_response(&many[i]);
    }
    end();
}

TEST(not_more_than_so_many)
{
    enum { N = 1001 };
    static struct asking many[N];
    begin(NULL, NULL);
    for (int i = 0; i < N; i++) { /* they wait for the first of a body */
        ready(&many[i], GET, "/");
        go(&many[i]);
    }
    await(&many[N - 1]);
    expect_code(&many[N - 1], WISP_HTTP_ERROR_CONNECTION_LIMIT_REACHED);
    CHECK(!many[0].is_done);
    for (int i = 0; i < N; i++) {
        if (many[i].call) wisp_provider_call_cancel(many[i].call);
        wisp_wrpc_writer_abort(many[i].body);
        wisp_wrpc_writer_abort(many[i].trailers);
    }
    struct asking *asking = ask(GET, "/");
    CHECK_INT(asking->status, 200);
    drop_response(asking);
    end();
}

/* --- what goes wrong --- */

TEST(no_server)
{
    begin(NULL, NULL);
    struct asking asking;
    ready(&asking, GET, "/");
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound, but it doesn't listen */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &(socklen_t){sizeof address}), 0);
    snprintf(asking.authority, sizeof asking.authority, "127.0.0.1:%u", ntohs(address.sin_port));
    asking.args.request.rest.authority.value = wisp_str_from(asking.authority);
    go(&asking);
    end_request(&asking);
    await(&asking);
    expect_code(&asking, WISP_HTTP_ERROR_CONNECTION_REFUSED);
    close(fd);
    ready(&asking, GET, "/");
    asking.args.request.rest.authority.value = WISP_STR("nothing.invalid");
    go(&asking);
    end_request(&asking);
    await(&asking);
    expect_code(&asking, WISP_HTTP_ERROR_DNS_ERROR);
    end();
}

TEST(requests_that_cannot_be)
{
    static const char *const authorities[] = {"",    "user@127.0.0.1", "127.0.0.1:99999", "a b",
                                              "a/b", "%31.com",        "a:b:80"};
    begin(NULL, NULL);
    struct asking asking;
    for (size_t i = 0; i < WISP_COUNT(authorities); i++) {
        ready(&asking, GET, "/");
        asking.args.request.rest.authority.value = wisp_str_from(authorities[i]);
        go(&asking);
        end_request(&asking);
        await(&asking);
        expect_code(&asking, WISP_HTTP_ERROR_REQUEST_URI_INVALID);
    }
    expect_code(ask(GET, "/a b"), WISP_HTTP_ERROR_REQUEST_URI_INVALID);
    expect_code(ask(GET, "/a\r\nx: y"), WISP_HTTP_ERROR_REQUEST_URI_INVALID);
    struct wisp_wrpc_field split = {WISP_STR("x"), {&WISP_STR("a\r\ny: b"), 1}};
    ready(&asking, GET, "/");
    asking.args.request.rest.headers = (struct wisp_wrpc_fields){&split, 1};
    go(&asking);
    end_request(&asking);
    await(&asking);
    expect_code(&asking, WISP_HTTP_ERROR_PROTOCOL_ERROR);
    CHECK_INT(world.n_requests, 0);
    end();
}

TEST(first_byte_and_between_bytes)
{
    begin(NULL, NULL);
    struct asking asking;
    ready(&asking, GET, "/hold");
    asking.args.options.is_some = 1;
    asking.args.options.value.first_byte_ns = (struct wisp_wrpc_option_u64){1, 50 * 1000000};
    go(&asking);
    end_request(&asking);
    await(&asking);
    expect_code(&asking, WISP_HTTP_ERROR_CONNECTION_READ_TIMEOUT);
    ready(&asking, GET, "/half");
    asking.args.options.is_some = 1;
    asking.args.options.value.between_bytes_ns = (struct wisp_wrpc_option_u64){1, 50 * 1000000};
    go(&asking);
    end_request(&asking);
    await(&asking);
    CHECK_INT(asking.status, 200);
    WISP_CLEANUP_BUF struct wisp_buf body = {0};
    CHECK_INT(read_all(&asking, &body), WISP_WRPC_READING_FAILED);
    drop_response(&asking);
    end();
}

/* A server whose place for new connections is full says nothing at all. */
TEST(a_server_that_takes_no_connection)
{
    int clients[16];
    size_t n = 0;
    begin(NULL, NULL);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &(socklen_t){sizeof address}), 0);
    CHECK_INT(listen(fd, 0), 0);
    while (n < WISP_COUNT(clients)) {
        struct pollfd connected = {.events = POLLOUT};
        connected.fd = clients[n++] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(connected.fd, (struct sockaddr *)&address, sizeof address);
        if (poll(&connected, 1, 100) == 0) break; /* this one is left waiting, as is the next */
    }
    struct asking asking;
    ready(&asking, GET, "/");
    snprintf(asking.authority, sizeof asking.authority, "127.0.0.1:%u", ntohs(address.sin_port));
    asking.args.request.rest.authority.value = wisp_str_from(asking.authority);
    asking.args.options.is_some = 1;
    asking.args.options.value.connect_ns = (struct wisp_wrpc_option_u64){1, 50 * 1000000};
    go(&asking);
    end_request(&asking);
    await(&asking);
    expect_code(&asking, WISP_HTTP_ERROR_CONNECTION_TIMEOUT);
    while (n > 0) close(clients[--n]);
    close(fd);
    end();
}

TEST(cancelled_at_any_time)
{
    static const char *const targets[] = {"/", "/hold", "/half", "/echo"};
    begin(NULL, NULL);
    for (int turns = 0; turns < 12; turns++) {
        for (size_t i = 0; i < WISP_COUNT(targets); i++) {
            struct asking asking;
            ready(&asking, i == 3 ? POST : GET, targets[i]);
            go(&asking);
            if (turns & 1) end_request(&asking);
            for (int k = 0; k < turns; k++) uv_run(&world.loop, UV_RUN_NOWAIT);
            if (asking.call) wisp_provider_call_cancel(asking.call);
            drop_response(&asking);
            wisp_wrpc_writer_abort(asking.body);
            wisp_wrpc_writer_abort(asking.trailers);
        }
    }
    end();
}

TEST(closed_in_the_middle)
{
    begin(NULL, NULL);
    struct asking *asking = ask(GET, "/half");
    struct asking waiting;
    ready(&waiting, GET, "/hold");
    go(&waiting);
    end_request(&waiting);
    wisp_provider_close(world.provider, set_true, &world.is_provider_closed);
    while (!world.is_provider_closed) uv_run(&world.loop, UV_RUN_ONCE);
    CHECK(waiting.is_done);
    CHECK_INT(waiting.err.kind, WISP_ERR_UNAVAILABLE);
    /* The reader outlives it. */
    WISP_CLEANUP_BUF struct wisp_buf body = {0};
    CHECK_INT(read_all(asking, &body), WISP_WRPC_READING_FAILED);
    drop_response(asking);
    wisp_http_server_stop(world.server, 0, set_true, &world.is_server_stopped);
    while (!world.is_server_stopped) uv_run(&world.loop, UV_RUN_ONCE);
    wisp_http_server_free(world.server);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world.loop), 0);
}

TEST(only_allowed_hosts)
{
    begin("{\"allowed_hosts\": \"example.com, 127.0.0.1:1\"}", NULL);
    expect_code(ask(GET, "/"), WISP_HTTP_ERROR_REQUEST_DENIED);
    json_t *config = json_pack("{s:o}", "allowed_hosts", json_sprintf("*.example.com,127.0.0.1:%u", world.port));
    CHECK_OK(wisp_provider_set_config(world.provider, config, NULL, &world.err), &world.err);
    json_decref(config);
    struct asking *asking = ask(GET, "/");
    CHECK_INT(asking->status, 200);
    drop_response(asking);
    end();
}

/* --- TLS --- */

static char dir[64];

static void make_certificate(void)
{
    char script[512];
    snprintf(dir, sizeof dir, "/tmp/wisp_client_test.XXXXXX");
    CHECK(mkdtemp(dir));
    snprintf(
        script, sizeof script,
        "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>/dev/null",
        dir);
    CHECK_INT(system(script), 0); /* NOLINT: the test's own words */
}

static struct wisp_http_tls *load_tls(void)
{
    char cert[128], key[128];
    struct wisp_http_tls *tls;
    snprintf(cert, sizeof cert, "%s/cert.pem", dir);
    snprintf(key, sizeof key, "%s/key.pem", dir);
    CHECK_OK(wisp_http_tls_new(&tls, cert, key, &world.err), &world.err);
    return tls;
}

static void ask_secure(struct asking *asking, const char *host)
{
    ready(asking, GET, "/");
    snprintf(asking->authority, sizeof asking->authority, "%s:%u", host, world.port);
    asking->args.request.rest.authority.value = wisp_str_from(asking->authority);
    asking->args.request.rest.scheme.is_some = 0; /* as if it were https */
    go(asking);
    end_request(asking);
    await(asking);
}

TEST(tls)
{
    make_certificate();
    struct wisp_http_tls *server = load_tls();
    char config[256];
    snprintf(config, sizeof config, "{\"ssl_certs_file\": \"%s/cert.pem\", \"load_native_certs\": \"false\"}", dir);
    begin(config, server);
    struct asking asking;
    ask_secure(&asking, "localhost");
    CHECK(!asking.is_error);
    CHECK_HAS(world.head, "GET https://localhost:");
    expect_body(&asking, "hello");
    drop_response(&asking);
    ask_secure(&asking, "127.0.0.1"); /* not its name */
    expect_code(&asking, WISP_HTTP_ERROR_TLS_CERTIFICATE_ERROR);
    CHECK_OK(wisp_provider_set_config(world.provider, NULL, NULL, &world.err), &world.err);
    ask_secure(&asking, "localhost"); /* nobody vouches for it */
    expect_code(&asking, WISP_HTTP_ERROR_TLS_CERTIFICATE_ERROR);
    wisp_http_server_set_tls(world.server, NULL);
    ask_secure(&asking, "localhost"); /* plain HTTP at the other end */
    expect_code(&asking, WISP_HTTP_ERROR_TLS_PROTOCOL_ERROR);
    end();
    wisp_http_tls_unref(server);
    snprintf(config, sizeof config, "rm -r %s", dir);
    CHECK_INT(system(config), 0); /* NOLINT: the test's own words */
}

TEST(settings_that_cannot_be)
{
    static const char *const configs[] = {"{\"ssl_certs_file\": \"/nonexistent/file\"}",
                                          "{\"load_native_certs\": \"perhaps\"}", "{\"allowed_hosts\": \"a b\"}"};
    uv_loop_init(&world.loop);
    for (size_t i = 0; i < WISP_COUNT(configs); i++) {
        json_t *config = json_loads(configs[i], 0, NULL);
        struct wisp_provider_options options = {.kind = wisp_capability_find(WISP_STR("http-client")),
                                                .id = "web",
                                                .lattice = "default",
                                                .host_id = "NHOST",
                                                .loop = &world.loop,
                                                .config = config};
        CHECK(wisp_provider_new(&world.provider, &options, &world.err) < 0);
        json_decref(config);
        uv_run(&world.loop, UV_RUN_DEFAULT);
    }
    CHECK_INT(uv_loop_close(&world.loop), 0);
}
