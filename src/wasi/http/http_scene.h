/* SPDX-License-Identifier: Apache-2.0 */
/* For the unit tests of wasi:http: a real exchange, that is the server on a loopback socket and a client that is a
 * plain socket, and host functions called as a guest would. Included once by a test program. */
#pragma once

#include "wasi/http/http_priv.h"
#include "wasi/test_double.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TYPES wisp_wasi_http_types

/* --- scene --- */

static struct {
    struct wisp_http_server *server;
    struct wisp_http_exchange *exchange;
    struct wisp_wasi_http *http;
    struct wisp_wasi_http_handle_args args;
    int client;
    bool is_closed, is_stopped;
    enum wisp_http_outcome outcome;
    char received[1 << 20]; /* by the client */
    size_t n_received;
    bool is_client_at_end;
} scene;

static void on_request(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    scene.exchange = exchange;
}
static void on_body(struct wisp_http_exchange *exchange, void *env)
{
    (void)exchange, (void)env;
    if (scene.http) wisp_wasi_http_on_body(scene.http);
}
static void on_drain(struct wisp_http_exchange *exchange, void *env)
{
    (void)exchange, (void)env;
    if (scene.http) wisp_wasi_http_on_drain(scene.http);
}
static void on_close(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    scene.is_closed = true;
    scene.outcome = exchange->outcome;
    if (scene.http) wisp_wasi_http_detach(scene.http);
}
static void on_stopped(void *env)
{
    (void)env;
    scene.is_stopped = true;
}

/* A few turns of the loop, in which the client takes what comes. */
static inline void turn(void)
{
    for (int i = 0; i < 20; i++) {
        uv_run(&fake.loop, UV_RUN_NOWAIT);
        ssize_t n = recv(scene.client, scene.received + scene.n_received, sizeof scene.received - scene.n_received - 1,
                         MSG_DONTWAIT);
        if (n > 0) scene.n_received += (size_t)n;
        if (n == 0 || (n < 0 && errno == ECONNRESET)) scene.is_client_at_end = true;
        scene.received[scene.n_received] = '\0';
        usleep(200);
    }
}

static inline void client_sends(const char *text)
{
    CHECK_INT(send(scene.client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    turn();
}

static inline int connect_to(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* A request has come, and its invocation can begin. */
static inline void begin(const char *request)
{
    fake_start();
    struct wisp_err err;
    const struct wisp_http_options options = {.handler = {on_request, on_body, on_drain, on_close}};
    CHECK_OK(wisp_http_server_new(&scene.server, &fake.loop, &options, &err), &err);
    uint16_t port;
    CHECK_OK(wisp_http_server_listen(scene.server, &(struct wisp_http_address){.host = "127.0.0.1"}, &port, &err),
             &err);
    scene.client = connect_to(port);
    client_sends(request);
    CHECK(scene.exchange);
    scene.http = wisp_wasi_http_new();
    wisp_wasi_http_attach(scene.http, &fake.wasi, scene.exchange);
    wisp_wasi_http_handle_args(scene.http, &scene.args);
}

/* The guest is gone; whatever it had was dropped by the test. */
static inline void finish(void)
{
    struct wisp_wasi_http *http = WISP_TAKE(scene.http);
    wisp_wasi_http_reset(http);
    wisp_wasi_http_free(http);
    close(scene.client);
    wisp_http_server_stop(scene.server, 0, on_stopped, NULL);
    while (!scene.is_stopped) uv_run(&fake.loop, UV_RUN_ONCE);
    wisp_http_server_free(scene.server);
    fake_stop();
}

/* --- what a guest does --- */

static inline void drop(const char *resource, void *rep)
{
    const char *refusal = fake_drop(&TYPES, resource, rep);
    if (refusal) wisp_test_fail(__FILE__, __LINE__, "drop %s: %s", resource, refusal);
}

static inline struct wisp_outgoing_response *new_response(const char *name, const char *value)
{
    struct wisp_fields *fields;
    CHECK_INT(fake_invoke(&TYPES, "[constructor]fields", NULL, 0, &fields, sizeof fields), 0);
    if (name) {
        struct wisp_abi_fields_append_args args = {
            fields, wisp_str_from(name), {(const uint8_t *)value, strlen(value)}};
        struct wisp_abi_result_header_error result;
        CHECK_INT(INVOKE(TYPES, "[method]fields.append", &args, &result), 0);
        CHECK(!result.is_error);
    }
    struct wisp_outgoing_response *response;
    CHECK_INT(INVOKE(TYPES, "[constructor]outgoing-response", &fields, &response), 0);
    return response;
}

static inline struct wisp_outgoing_body *body_of(struct wisp_outgoing_response *response)
{
    struct wisp_abi_result_handle result;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-response.body", &response, &result), 0);
    CHECK(!result.is_error);
    return result.value;
}

static inline struct wisp_output_stream *stream_of(struct wisp_outgoing_body *body)
{
    struct wisp_abi_result_handle result;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-body.write", &body, &result), 0);
    CHECK(!result.is_error);
    return result.value;
}

static inline enum wisp_stream_status write_text(struct wisp_output_stream *stream, const char *text)
{
    struct wisp_io_error error;
    return stream->ops->write(stream, text, strlen(text), &error);
}

static inline int set(struct wisp_outgoing_response *response)
{
    struct wisp_abi_set_response_args args = {.outparam = scene.http};
    args.response.of.response = response;
    return fake_invoke(&TYPES, "[static]response-outparam.set", &args, sizeof args, NULL, 0);
}

static inline struct wisp_abi_result_error_code finish_body(struct wisp_outgoing_body *body,
                                                            struct wisp_fields *trailers)
{
    struct wisp_abi_finish_args args = {.body = body};
    args.trailers.is_some = trailers != NULL;
    args.trailers.value = trailers;
    struct wisp_abi_result_error_code result;
    CHECK_INT(INVOKE(TYPES, "[static]outgoing-body.finish", &args, &result), 0);
    return result;
}

static inline void drop_request(void) { drop("incoming-request", scene.args.request); }
