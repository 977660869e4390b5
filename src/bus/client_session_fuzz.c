/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile server may say to a client that has subscriptions, inboxes and requests. The first byte chooses the
 * size of the pieces and whether the login is done already. */
#include "bus/client.h"

#include "base/log.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOGIN "INFO {\"max_payload\":100}\r\nPONG\r\n"

static uv_loop_t loop;
static struct wisp_bus_client *client;
static int peer;
static unsigned n_answered;

static void hear(void)
{
    char bytes[4096];
    for (int i = 0; i < 3; i++) uv_run(&loop, UV_RUN_NOWAIT);
    while (recv(peer, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
}

static void say(const uint8_t *bytes, size_t size, size_t piece)
{
    while (size) {
        ssize_t n = send(peer, bytes, size < piece ? size : piece, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) return;
        bytes += n;
        size -= (size_t)n;
        hear();
    }
}

static void on_message(const struct wisp_bus_message *message, void *env)
{
    (void)env;
    uint64_t sum = message->status + message->payload.len;
    for (size_t i = 0; i < message->n_headers; i++) sum += message->headers[i].name.len + message->headers[i].value.len;
    if (message->reply.len && sum < 1000 &&
        wisp_bus_publish(client, message->reply, message->subject, message->headers, message->n_headers,
                         message->payload, NULL) < 0)
        return;
}

static void on_reply(const struct wisp_bus_message *message, const struct wisp_err *err, void *env)
{
    (void)env;
    if (!message == !err) abort();
    n_answered++;
}

static void start(struct wisp_bus_inbox **ret_inbox)
{
    int fds[2];
    struct wisp_bus_request *cancelled;
    uv_loop_init(&loop);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) abort();
    peer = fds[0];
    struct wisp_bus_client_options options = {.fd = fds[1], .inbox_prefix = "I", .pending_bytes_max = 10000};
    if (wisp_bus_client_new(&client, &loop, &options, NULL) < 0) abort();
    *ret_inbox = wisp_bus_inbox_open(client, on_message, NULL); /* its subscription is number 1 */
    if (wisp_bus_subscribe(client, WISP_STR(">"), WISP_STR(""), on_message, NULL, NULL, NULL) < 0) abort();
    for (int i = 0; i < 2; i++)
        if (wisp_bus_request(client, WISP_STR("a"), NULL, 0, WISP_STR("?"), 1000000, on_reply, NULL, &cancelled, NULL) <
            0)
            abort();
    wisp_bus_request_cancel(cancelled);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wisp_bus_inbox *inbox;
    if (!size || size > 100000) return 0;
    wisp_log_configure(WISP_LOG_ERROR, WISP_LOG_AUTO);
    n_answered = 0;
    start(&inbox);
    if (data[0] & 1) say((const uint8_t *)LOGIN, sizeof LOGIN - 1, 1000);
    say(data + 1, size - 1, data[0] & 2 ? 1 + data[0] / 4 : 4096);
    if (n_answered > 1) abort();
    wisp_bus_inbox_close(inbox);
    wisp_bus_client_free(client);
    close(peer);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0) abort();
    return 0;
}
