/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded bus as a program of its own, for benchmarks and for tests with other people's clients.
 *
 *     server_bench [--host H] [--port P] [--unix PATH] [--token T] [--nkey U...] [--tls-cert F --tls-key F]
 *                  [--tls-ca F] [--pending-bytes N] [--payload-bytes N] [--ping-ms N] [--write-ms N] [--auth-ms N]
 *
 * Prints "listening on PORT" and serves until SIGTERM or SIGINT. */
#include "base/parse.h"
#include "bus/server.h"

#include <stdio.h>
#include <stdlib.h>

struct program {
    struct wisp_bus_server *server;
    uv_signal_t signals[2];
};

static const char *nkeys[16];

static void fail(const char *text)
{
    fprintf(stderr, "%s\n", text);
    exit(1);
}

static uint64_t number(const char *text)
{
    uint64_t value;
    struct wisp_err err = {0};
    if (wisp_parse_u64(wisp_str_from(text), UINT32_MAX, &value, &err) < 0) fail(err.text);
    return value;
}

static void take(struct wisp_bus_server_options *options, const char *flag, const char *value)
{
    const struct {
        const char *name, **text;
    } texts[] = {
        {"--host", &options->host},
        {"--unix", &options->unix_path},
        {"--token", &options->token},
        {"--tls-cert", &options->tls.cert_path},
        {"--tls-key", &options->tls.key_path},
        {"--tls-ca", &options->tls.client_ca_path},
    };
    for (size_t i = 0; i < WISP_COUNT(texts); i++) {
        if (strcmp(flag, texts[i].name) != 0) continue;
        *texts[i].text = value;
        return;
    }
    if (strcmp(flag, "--nkey") == 0 && options->n_nkeys < WISP_COUNT(nkeys))
        nkeys[options->n_nkeys++] = value;
    else if (strcmp(flag, "--port") == 0)
        options->port = (uint16_t)number(value);
    else if (strcmp(flag, "--pending-bytes") == 0)
        options->pending_bytes_max = number(value);
    else if (strcmp(flag, "--payload-bytes") == 0)
        options->payload_bytes_max = number(value);
    else if (strcmp(flag, "--ping-ms") == 0)
        options->ping_interval_ms = number(value);
    else if (strcmp(flag, "--write-ms") == 0)
        options->write_timeout_ms = number(value);
    else if (strcmp(flag, "--auth-ms") == 0)
        options->auth_timeout_ms = number(value);
    else
        fail(flag);
}

static void on_signal(uv_signal_t *handle, int number_)
{
    (void)number_;
    struct program *program = handle->data;
    wisp_bus_server_free(WISP_TAKE(program->server));
    for (size_t i = 0; i < WISP_COUNT(program->signals); i++) uv_close((uv_handle_t *)&program->signals[i], NULL);
}

int main(int argc, char **argv)
{
    struct wisp_bus_server_options options = {.host = "127.0.0.1", .server_name = "bus", .nkeys = nkeys};
    for (int i = 1; i + 1 < argc; i += 2) take(&options, argv[i], argv[i + 1]);
    struct program program = {0};
    struct wisp_err err = {0};
    uv_loop_t loop;
    uv_loop_init(&loop);
    if (wisp_bus_server_new(&program.server, &loop, &options, &err) < 0) fail(err.text);
    const int signals[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < WISP_COUNT(signals); i++) {
        uv_signal_init(&loop, &program.signals[i]);
        program.signals[i].data = &program;
        uv_signal_start(&program.signals[i], on_signal, signals[i]);
    }
    printf("listening on %u\n", wisp_bus_server_port(program.server));
    fflush(stdout);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
