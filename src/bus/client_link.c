/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/client_priv.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 64 << 10, KEEP_SIZE = 1 << 20, KEEPALIVE_S = 30 };

static void release(struct wisp_bus_client_link *link)
{
    if (link->client || link->has_handle || link->is_resolving) return;
    wisp_tls_free(link->tls);
    if (link->addresses) uv_freeaddrinfo(link->addresses);
    wisp_buf_deinit(&link->in);
    wisp_buf_deinit(&link->sealed);
    wisp_buf_deinit(&link->sending);
    wisp_buf_deinit(&link->waiting);
    free(link);
}

static void on_closed(uv_handle_t *handle)
{
    struct wisp_bus_client_link *link = handle->data;
    link->has_handle = false;
    release(link);
}

void wisp_bus_client_link_close(struct wisp_bus_client_link *link)
{
    if (!link) return;
    link->client = NULL;
    if (link->is_resolving) uv_cancel((uv_req_t *)&link->resolve);
    if (link->has_handle && !uv_is_closing(&link->handle)) uv_close(&link->handle, on_closed);
    release(link);
}

/* Reports it and closes: from the loop only. */
static void lose(struct wisp_bus_client_link *link, const struct wisp_err *reason)
{
    if (link->client) wisp_bus_session_on_lost(link->client, reason);
}

static void lose_uv(struct wisp_bus_client_link *link, int status, const char *what)
{
    struct wisp_err err = {0};
    if (!link->client) return;
    const char *url = link->client->servers.count ? link->client->servers.list[link->client->current].shown : "the bus";
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "%s %s: %s", what, url, uv_strerror(status));
    lose(link, &err);
}

/* --- reading --- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    struct wisp_bus_client_link *link = handle->data;
    size_t size = READ_SIZE;
    if (link->tls) {
        ret_buf->base = wisp_buf_reserve(&link->sealed, size);
    } else {
        if (link->in_wanted > link->in.len + size) size = link->in_wanted - link->in.len;
        ret_buf->base = wisp_buf_reserve(&link->in, size);
    }
    ret_buf->len = size;
}

static int flush_records(struct wisp_bus_client_link *link, struct wisp_err *err);

static void take_sealed(struct wisp_bus_client_link *link, size_t size)
{
    struct wisp_err err = {0};
    bool was_ready = wisp_tls_is_open(link->tls);
    int r = wisp_bus_client_tls_receive(link->tls, link->sealed.data, size, &link->in, &err);
    bool is_end = r > 0;
    if (r >= 0) r = flush_records(link, &err);
    if (r >= 0 && !was_ready && wisp_tls_is_open(link->tls)) wisp_bus_session_on_secure(link->client);
    if (r >= 0 && link->client && link->in.len) wisp_bus_session_on_bytes(link->client);
    if (r < 0)
        lose(link, &err);
    else if (is_end)
        lose_uv(link, UV_EOF, "read from");
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    struct wisp_bus_client_link *link = stream->data;
    if (n == 0 || !link->client) return;
    if (n < 0) {
        uv_read_stop(stream);
        lose_uv(link, (int)n, "read from");
        return;
    }
    if (link->tls) {
        take_sealed(link, (size_t)n);
    } else {
        link->in.len += (size_t)n;
        wisp_bus_session_on_bytes(link->client);
    }
    if (link->in.len == 0 && link->in.capacity > KEEP_SIZE) wisp_buf_deinit(&link->in);
}

/* --- writing --- */

static void on_written(uv_write_t *write, int status)
{
    struct wisp_bus_client_link *link = write->data;
    struct wisp_err err = {0};
    link->is_writing = false;
    link->sending.len = 0;
    if (link->sending.capacity > KEEP_SIZE) wisp_buf_deinit(&link->sending);
    if (!link->client) return;
    if (status < 0)
        lose_uv(link, status, "write to");
    else if (link->tls && flush_records(link, &err) < 0)
        lose(link, &err);
    else if (!link->is_writing)
        wisp_bus_session_on_writable(link->client);
}

static int fail(struct wisp_err *err, int status)
{
    return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "write to the bus: %s", uv_strerror(status));
}

/* What the kernel doesn't take at once goes to the loop, in a buffer that `bytes` is exchanged for. */
static int write_out(struct wisp_bus_client_link *link, struct wisp_buf *bytes, struct wisp_err *err)
{
    uv_buf_t buf = uv_buf_init(bytes->data, (unsigned)bytes->len);
    int n = uv_try_write(&link->stream, &buf, 1);
    if (n < 0 && n != UV_EAGAIN) return fail(err, n);
    if (n < 0) n = 0;
    if ((size_t)n == bytes->len) {
        bytes->len = 0;
        if (bytes->capacity > KEEP_SIZE) wisp_buf_deinit(bytes);
        return 0;
    }
    struct wisp_buf emptied = link->sending;
    link->sending = *bytes;
    *bytes = emptied;
    bytes->len = 0;
    buf = uv_buf_init(link->sending.data + n, (unsigned)(link->sending.len - (size_t)n));
    int r = uv_write(&link->write, &link->stream, &buf, 1, on_written);
    if (r < 0) return fail(err, r);
    link->is_writing = true;
    return 0;
}

static int flush_records(struct wisp_bus_client_link *link, struct wisp_err *err)
{
    wisp_tls_take(link->tls, &link->waiting);
    if (link->is_writing || !link->waiting.len) return 0;
    return write_out(link, &link->waiting, err);
}

int wisp_bus_client_link_send(struct wisp_bus_client_link *link, struct wisp_buf *out, struct wisp_err *err)
{
    if (link->is_writing || !link->is_open || !out->len) return 0;
    if (!link->tls) return write_out(link, out, err);
    if (!wisp_tls_is_open(link->tls)) return 0;
    int r = wisp_bus_client_tls_send(link->tls, wisp_buf_str(out), err);
    out->len = 0;
    if (out->capacity > KEEP_SIZE) wisp_buf_deinit(out);
    return r < 0 ? r : flush_records(link, err);
}

int wisp_bus_client_link_start_tls(struct wisp_bus_client_link *link, const char *host, struct wisp_err *err)
{
    /* Plain text behind INFO was not sent by whoever holds the key. */
    if (link->in.len) return wisp_err_set(err, WISP_ERR_INVALID, "the server sent bytes ahead of TLS");
    int r = wisp_bus_client_tls_new(&link->tls, &link->client->tls, host, err);
    if (r == 0) r = wisp_bus_client_tls_receive(link->tls, NULL, 0, &link->in, err);
    return r < 0 ? r : flush_records(link, err);
}

/* --- connecting --- */

void wisp_bus_client_link_begin(struct wisp_bus_client_link *link)
{
    link->is_open = true;
    if (link->handle.type == UV_TCP) {
        uv_tcp_nodelay(&link->tcp, 1);
        uv_tcp_keepalive(&link->tcp, 1, KEEPALIVE_S);
    }
    uv_read_start(&link->stream, on_alloc, on_read);
    wisp_bus_session_on_open(link->client);
}

static void try_address(struct wisp_bus_client_link *link);

static void on_attempt_closed(uv_handle_t *handle)
{
    struct wisp_bus_client_link *link = handle->data;
    link->has_handle = false;
    if (link->client)
        try_address(link);
    else
        release(link);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct wisp_bus_client_link *link = connect->data;
    if (!link->client) return;
    if (status == 0) {
        wisp_bus_client_link_begin(link);
    } else if (link->address && link->address->ai_next) {
        link->address = link->address->ai_next;
        uv_close(&link->handle, on_attempt_closed);
    } else {
        lose_uv(link, status, "connect to");
    }
}

static void try_address(struct wisp_bus_client_link *link)
{
    uv_tcp_init(link->client->loop, &link->tcp);
    link->handle.data = link;
    link->has_handle = true;
    int r = uv_tcp_connect(&link->connect, &link->tcp, link->address->ai_addr, on_connect);
    if (r < 0) lose_uv(link, r, "connect to");
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *addresses)
{
    struct wisp_bus_client_link *link = resolve->data;
    link->is_resolving = false;
    link->addresses = link->address = addresses;
    if (!link->client) {
        release(link);
    } else if (status < 0 || !addresses) {
        lose_uv(link, status < 0 ? status : UV_EAI_NONAME, "resolve");
    } else {
        try_address(link);
    }
}

static struct wisp_bus_client_link *link_new(struct wisp_bus_client *client)
{
    struct wisp_bus_client_link *link = wisp_mem_calloc(1, sizeof *link);
    link->client = client;
    link->resolve.data = link->connect.data = link->write.data = link;
    return link;
}

static void init_pipe(struct wisp_bus_client_link *link)
{
    uv_pipe_init(link->client->loop, &link->pipe, 0);
    link->handle.data = link;
    link->has_handle = true;
}

struct wisp_bus_client_link *wisp_bus_client_link_new(struct wisp_bus_client *client,
                                                      const struct wisp_bus_server_url *server)
{
    struct wisp_bus_client_link *link = link_new(client);
    if (server->path) {
        init_pipe(link);
        uv_pipe_connect(&link->connect, &link->pipe, server->path, on_connect);
        return link;
    }
    char port[8];
    snprintf(port, sizeof port, "%u", server->port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    link->is_resolving = uv_getaddrinfo(client->loop, &link->resolve, on_resolved, server->host, port, &hints) == 0;
    if (link->is_resolving) return link;
    /* Only for a name that can't be one. */
    wisp_bus_client_link_close(link);
    return NULL;
}

int wisp_bus_client_link_new_fd(struct wisp_bus_client_link **ret_link, struct wisp_bus_client *client, int fd,
                                struct wisp_err *err)
{
    struct wisp_bus_client_link *link = link_new(client);
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int r = getsockname(fd, (struct sockaddr *)&address, &size) == 0 ? 0 : -errno;
    if (r == 0 && address.ss_family == AF_UNIX) {
        init_pipe(link);
        r = uv_pipe_open(&link->pipe, fd);
    } else if (r == 0) {
        uv_tcp_init(client->loop, &link->tcp);
        link->handle.data = link;
        link->has_handle = true;
        r = uv_tcp_open(&link->tcp, fd);
    }
    if (r < 0) {
        close(fd);
        wisp_bus_client_link_close(link);
        return wisp_err_set(err, WISP_ERR_INVALID, "descriptor %d is no connected socket: %s", fd, uv_strerror(r));
    }
    *ret_link = link;
    return 0;
}
