/* SPDX-License-Identifier: Apache-2.0 */
/* The server alone, answering from memory: what a request costs without WebAssembly.
 *
 *     http_server_bench PORT [hello | echo | BODY_BYTES]
 *
 * hello (the default) answers a fixed line, echo sends the request's body back as it comes, a number gives a body of
 * that many bytes. Ends on SIGINT and SIGTERM. */
#include "base/mem.h"
#include "base/parse.h"
#include "http/http.h"

#include <signal.h>
#include <stdio.h>

static const struct wisp_http_header plain_text[] = {{WISP_STR_INIT("content-type"), WISP_STR_INIT("text/plain")}};

struct bench {
    struct wisp_http_server *server;
    struct wisp_str body;
    uv_signal_t signals[2];
};

static void answer(struct wisp_http_exchange *exchange, void *env)
{
    const struct bench *bench = env;
    struct wisp_err err;
    if (wisp_http_reply(exchange, 200, plain_text, WISP_COUNT(plain_text), bench->body, &err) < 0)
        wisp_http_abort(exchange);
}

/* Moves what there is from the request to the response, as far as there is room. */
static void pump(struct wisp_http_exchange *exchange, void *env)
{
    struct wisp_err err;
    struct wisp_str bytes;
    (void)env;
    for (size_t room; (room = wisp_http_room(exchange)) > 0;) {
        enum wisp_http_body state = wisp_http_body_peek(exchange, &bytes);
        if (state == WISP_HTTP_BODY_WAIT) return;
        if (state == WISP_HTTP_BODY_END) {
            if (wisp_http_end(exchange, NULL, 0, &err) < 0) wisp_http_abort(exchange);
            return;
        }
        size_t size = bytes.len < room ? bytes.len : room;
        if (wisp_http_write(exchange, bytes.ptr, size, &err) < 0) {
            wisp_http_abort(exchange);
            return;
        }
        wisp_http_body_consume(exchange, size);
    }
}

static void echo(struct wisp_http_exchange *exchange, void *env)
{
    struct wisp_err err;
    struct wisp_http_response response = {200, plain_text, WISP_COUNT(plain_text), exchange->content_length};
    if (wisp_http_start(exchange, &response, &err) < 0)
        wisp_http_abort(exchange);
    else
        pump(exchange, env);
}

static void on_stopped(void *env) { (void)env; }

static void on_signal(uv_signal_t *signal, int number)
{
    struct bench *bench = signal->data;
    (void)number;
    for (size_t i = 0; i < WISP_COUNT(bench->signals); i++) uv_close((uv_handle_t *)&bench->signals[i], NULL);
    wisp_http_server_stop(bench->server, 1000, on_stopped, NULL);
}

static void handle_signals(struct bench *bench, uv_loop_t *loop)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < WISP_COUNT(numbers); i++) {
        uv_signal_init(loop, &bench->signals[i]);
        bench->signals[i].data = bench;
        uv_signal_start(&bench->signals[i], on_signal, numbers[i]);
    }
}

static int prepare(struct bench *bench, const char *mode, struct wisp_http_options *options, struct wisp_err *err)
{
    uint64_t size;
    bench->body = WISP_STR("Hello from Rust!\n");
    options->env = bench;
    options->handler.on_request = answer;
    if (strcmp(mode, "hello") == 0) return 0;
    if (strcmp(mode, "echo") == 0) {
        options->handler.on_request = echo;
        options->handler.on_body = options->handler.on_drain = pump;
        return 0;
    }
    if (wisp_parse_size(wisp_str_from(mode), &size, err) < 0) return wisp_err_wrap(err, "mode `%s`", mode);
    bench->body = (struct wisp_str){wisp_mem_calloc(size, 1), size};
    return 0;
}

static int serve(const char *port_text, const char *mode, struct wisp_err *err)
{
    static struct bench bench;
    struct wisp_http_options options = {0};
    uint64_t port;
    int result = wisp_parse_u64(wisp_str_from(port_text), 65535, &port, err);
    if (result == 0) result = prepare(&bench, mode, &options, err);
    if (result < 0) return result;
    uv_loop_t *loop = uv_default_loop();
    struct wisp_http_address address = {.host = "127.0.0.1", .port = (uint16_t)port};
    result = wisp_http_server_new(&bench.server, loop, &options, err);
    if (result == 0) result = wisp_http_server_listen(bench.server, &address, NULL, err);
    if (result < 0) return result;
    handle_signals(&bench, loop);
    uv_run(loop, UV_RUN_DEFAULT);
    wisp_http_server_free(bench.server);
    return 0;
}

int main(int argc, char **argv)
{
    struct wisp_err err;
    if (argc < 2) {
        fprintf(stderr, "usage: %s PORT [hello | echo | BODY_BYTES]\n", argv[0]);
        return 2;
    }
    if (serve(argv[1], argc > 2 ? argv[2] : "hello", &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}
