/* SPDX-License-Identifier: Apache-2.0 */
/* Moves bytes between a connection of the broker and its socket: one write for all that one turn of the loop has
 * brought together, and only what the kernel does not take waits in libuv. */
#include "base/log.h"
#include "bus/server_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { LINGER_MS = 1000 }; /* a client has so long to read why it is cut off */

static struct wisp_bus_socket *socket_of(struct wisp_bus_conn *conn)
{
    return WISP_OWNER(conn, struct wisp_bus_socket, conn);
}

static int fd_of(const struct wisp_bus_socket *socket)
{
    uv_os_fd_t fd;
    return uv_fileno(&socket->uv.handle, &fd) == 0 ? fd : -1;
}

/* --- closing --- */

static void on_closed(uv_handle_t *handle)
{
    struct wisp_bus_socket *socket = handle->data;
    struct wisp_bus_server *server = socket->server;
    free(socket);
    wisp_bus_server_handle_closed(server);
}

static void log_end(const struct wisp_bus_conn *conn)
{
    if (!conn->reason) return;
    WISP_LOG(WARN, "bus", "client cut off", WISP_TEXT("reason", conn->reason), WISP_INT("client", conn->id),
             WISP_TEXT("name", conn->name), WISP_TEXT("language", conn->language),
             WISP_TEXT("address", conn->peer.address), WISP_INT("pending_bytes", wisp_bus_conn_pending(conn)));
}

static void close_socket(struct wisp_bus_socket *socket)
{
    if (socket->is_closing) return;
    socket->is_closing = true;
    log_end(&socket->conn);
    wisp_ring_remove(&socket->scheduled);
    wisp_ring_remove(&socket->stalled);
    wisp_ring_remove(&socket->link);
    wisp_bus_conn_deinit(&socket->conn);
    wisp_tls_free(WISP_TAKE(socket->tls));
    uv_close(&socket->uv.handle, on_closed);
}

/* --- sending --- */

static void on_written(uv_write_t *request, int status)
{
    struct wisp_bus_socket *socket = request->data;
    struct wisp_buf sent = socket->sending;
    socket->sending = (struct wisp_buf){0};
    if (socket->is_closing) {
        wisp_buf_deinit(&sent);
        return;
    }
    wisp_bus_server_look_at_clock(socket->server);
    wisp_bus_conn_output_done(&socket->conn, &sent);
    if (status < 0) wisp_bus_conn_lost(&socket->conn, NULL);
    wisp_bus_socket_settle(socket);
}

/* As much as goes at once; <0: the connection broke. */
static ssize_t try_write(struct wisp_bus_socket *socket, struct wisp_str bytes)
{
    uv_buf_t buffer = {.base = (char *)(uintptr_t)bytes.ptr, .len = bytes.len};
    int n = uv_try_write(&socket->uv.stream, &buffer, 1);
    return n == UV_EAGAIN ? 0 : n;
}

/* socket->sending from `offset` on waits in libuv. */
static bool write_later(struct wisp_bus_socket *socket, size_t offset)
{
    uv_buf_t buffer = {.base = socket->sending.data + offset, .len = socket->sending.len - offset};
    socket->sending_left = buffer.len;
    socket->write.data = socket;
    if (uv_write(&socket->write, &socket->uv.stream, &buffer, 1, on_written) == 0) return true;
    wisp_buf_deinit(&socket->sending);
    return false;
}

static bool flush_plain(struct wisp_bus_socket *socket)
{
    struct wisp_str output = wisp_bus_conn_output(&socket->conn);
    if (output.len == 0) return true;
    ssize_t n = try_write(socket, output);
    if (n < 0) return false;
    if ((size_t)n == output.len) {
        wisp_bus_conn_output_sent(&socket->conn);
        return true;
    }
    wisp_bus_conn_output_take(&socket->conn, (size_t)n, &socket->sending);
    return write_later(socket, (size_t)n);
}

/* What was encrypted is in flight until the last byte of it has left. */
static bool flush_tls(struct wisp_bus_socket *socket)
{
    struct wisp_bus_conn *conn = &socket->conn;
    WISP_CLEANUP_BUF struct wisp_buf cipher = {0};
    struct wisp_str output = wisp_bus_conn_output(conn);
    bool with_output = output.len > 0 && wisp_tls_is_open(socket->tls);
    if (with_output && wisp_tls_write(socket->tls, output, NULL) < 0) return false;
    wisp_tls_take(socket->tls, &cipher);
    if (cipher.len == 0) return true;
    ssize_t n = try_write(socket, wisp_buf_str(&cipher));
    if (n < 0) return false;
    if ((size_t)n == cipher.len) {
        if (with_output) wisp_bus_conn_output_sent(conn);
        return true;
    }
    WISP_CLEANUP_BUF struct wisp_buf plain = {0};
    if (with_output) wisp_bus_conn_output_take(conn, 0, &plain);
    socket->sending = cipher;
    cipher = (struct wisp_buf){0};
    return write_later(socket, (size_t)n);
}

static bool flush(struct wisp_bus_socket *socket)
{
    if (socket->sending.data) return true;
    return socket->tls ? flush_tls(socket) : flush_plain(socket);
}

/* --- receiving --- */

static void on_space(uv_handle_t *handle, size_t suggested_size, uv_buf_t *ret_buffer)
{
    (void)suggested_size;
    struct wisp_bus_socket *socket = handle->data;
    struct wisp_buf *scratch = &socket->server->broker.scratch;
    size_t size = scratch->capacity;
    bool is_plain = !socket->tls && !socket->is_shut;
    ret_buffer->base = is_plain ? wisp_bus_conn_space(&socket->conn, &size) : scratch->data;
    ret_buffer->len = size;
}

/* Gives the broker what TLS has decrypted, as long as it wants input. */
static void read_tls(struct wisp_bus_socket *socket)
{
    struct wisp_bus_conn *conn = &socket->conn;
    while (wisp_bus_conn_wants_input(conn)) {
        size_t size;
        struct wisp_err err = {0};
        char *at = wisp_bus_conn_space(conn, &size);
        int n = wisp_tls_read(socket->tls, at, size, &err);
        if (n < 0) {
            if (err.kind != WISP_ERR_CANCELLED)
                WISP_LOG(WARN, "bus", "TLS with a client failed", WISP_TEXT("cause", err.text),
                         WISP_TEXT("address", conn->peer.address));
            wisp_bus_conn_lost(conn, NULL);
            break;
        }
        if (n == 0) break;
        wisp_bus_conn_input(conn, (size_t)n);
    }
    conn->owes_handshake = !wisp_tls_is_open(socket->tls);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct wisp_bus_socket *socket = stream->data;
    struct wisp_bus_conn *conn = &socket->conn;
    if (n == 0) return;
    wisp_bus_server_look_at_clock(socket->server);
    if (n < 0)
        wisp_bus_conn_lost(conn, NULL);
    else if (socket->is_shut)
        return;
    else if (!socket->tls)
        wisp_bus_conn_input(conn, (size_t)n);
    else {
        wisp_tls_feed(socket->tls, (struct wisp_str){buffer->base, (size_t)n});
        read_tls(socket);
    }
    /* What goes to clients leaves before the loop sleeps, together. */
    if (socket->tls || !wisp_bus_conn_wants_input(conn)) wisp_bus_socket_settle(socket);
}

static void set_reading(struct wisp_bus_socket *socket)
{
    bool is_ready = !socket->wants_tls || socket->tls;
    bool wanted = socket->is_shut || (is_ready && wisp_bus_conn_wants_input(&socket->conn));
    if (wanted == socket->is_reading) return;
    socket->is_reading = wanted;
    if (wanted)
        (void)uv_read_start(&socket->uv.stream, on_space, on_read);
    else
        (void)uv_read_stop(&socket->uv.stream);
}

void wisp_bus_socket_resume(struct wisp_bus_socket *socket)
{
    if (socket->tls) read_tls(socket);
    wisp_bus_socket_settle(socket);
}

/* --- what next --- */

/* All is sent: a socket closed with unread input would take the reason away from the client again, so it is told that
 * nothing more comes and is listened to for a moment. */
static void shut(struct wisp_bus_socket *socket)
{
    if (socket->is_shut) return;
    if (socket->tls) {
        wisp_tls_end(socket->tls);
        (void)flush_tls(socket);
    }
    socket->is_shut = true;
    (void)shutdown(fd_of(socket), SHUT_WR);
    socket->conn.write_deadline_ms = socket->conn.broker->now_ms + LINGER_MS;
}

static bool is_drained(const struct wisp_bus_socket *socket)
{
    return !socket->sending.data && wisp_bus_conn_pending(&socket->conn) == 0;
}

void wisp_bus_socket_settle(struct wisp_bus_socket *socket)
{
    struct wisp_bus_conn *conn = &socket->conn;
    if (socket->is_closing) return;
    wisp_ring_remove(&socket->scheduled);
    wisp_ring_init(&socket->scheduled);
    wisp_bus_conn_settled(conn);
    bool is_speechless = socket->tls && !wisp_tls_is_open(socket->tls) && conn->phase != WISP_BUS_PHASE_OPEN;
    if (!flush(socket) || conn->phase == WISP_BUS_PHASE_LOST || is_speechless) {
        close_socket(socket);
        return;
    }
    if (conn->phase == WISP_BUS_PHASE_CLOSING && is_drained(socket)) shut(socket);
    if (conn->phase == WISP_BUS_PHASE_OPEN) {
        if (socket->wants_tls && !socket->tls && is_drained(socket))
            socket->tls = wisp_tls_new(socket->server->tls);
        if (!wisp_bus_conn_wants_input(conn)) wisp_bus_server_stall(socket);
    }
    set_reading(socket);
}

void wisp_bus_socket_tick(struct wisp_bus_socket *socket)
{
    if (!socket->sending.data) return;
    size_t left = uv_stream_get_write_queue_size(&socket->uv.stream);
    if (left != socket->sending_left) wisp_bus_conn_output_moved(&socket->conn);
    socket->sending_left = left;
}

void wisp_bus_socket_end(struct wisp_bus_socket *socket)
{
    (void)flush(socket);
    close_socket(socket);
}

/* --- transport --- */

static void schedule(struct wisp_bus_conn *conn)
{
    struct wisp_bus_socket *socket = socket_of(conn);
    wisp_ring_append(&socket->server->scheduled, &socket->scheduled);
}

/* A broken connection shows again when the socket is settled. */
static void push(struct wisp_bus_conn *conn) { (void)flush(socket_of(conn)); }

const struct wisp_bus_broker_transport wisp_bus_socket_transport = {.schedule = schedule, .push = push};

/* --- beginning --- */

static struct wisp_bus_socket *new_socket(struct wisp_bus_server *server, bool is_unix)
{
    struct wisp_bus_socket *socket = wisp_mem_calloc(1, sizeof *socket);
    socket->server = server;
    int result = is_unix ? uv_pipe_init(server->loop, &socket->uv.pipe, 0) : uv_tcp_init(server->loop, &socket->uv.tcp);
    assert(result == 0);
    (void)result;
    socket->uv.handle.data = socket;
    server->n_handles++;
    return socket;
}

/* It never became a connection. */
static void drop(struct wisp_bus_socket *socket)
{
    socket->is_closing = true;
    uv_close(&socket->uv.handle, on_closed);
}

static void begin(struct wisp_bus_socket *socket, const struct wisp_bus_peer *peer)
{
    struct wisp_bus_server *server = socket->server;
    wisp_ring_append(&server->sockets, &socket->link);
    wisp_ring_init(&socket->scheduled);
    wisp_ring_init(&socket->stalled);
    socket->wants_tls = peer->uses_tls;
    wisp_bus_server_look_at_clock(server);
    if (peer->uses_tls && server->is_tls_first) socket->tls = wisp_tls_new(server->tls);
    wisp_bus_conn_init(&socket->conn, &server->broker, peer);
}

/* May the owner of the other end use the bus? */
static int check_owner(struct wisp_bus_socket *socket, bool is_unix, const struct sockaddr_storage *peer,
                       struct wisp_err *err)
{
    uid_t uid = 0;
    int result = 0;
    if (is_unix) {
        result = wisp_bus_unix_owner(fd_of(socket), &uid, err);
    } else if (socket->server->checks_owner) {
        struct sockaddr_storage local;
        int size = sizeof local;
        result = uv_tcp_getsockname(&socket->uv.tcp, (struct sockaddr *)(void *)&local, &size);
        if (result < 0) return wisp_err_os(err, -result, "local address");
        result = wisp_bus_diag_owner(socket->server->diag_fd, peer, &local, &uid, err);
    }
    if (result < 0 || wisp_bus_owner_is_trusted(uid)) return result;
    return wisp_err_set(err, WISP_ERR_DENIED, "user %u is neither the user of this process nor root", (unsigned)uid);
}

static void refuse(struct wisp_bus_socket *socket, const char *address, const struct wisp_err *err)
{
    socket->server->broker.stats.refused++;
    WISP_LOG(WARN, "bus", "connection refused", WISP_TEXT("cause", err->text), WISP_TEXT("address", address));
    (void)try_write(socket, WISP_STR("-ERR 'Authorization Violation'\r\n"));
    drop(socket);
}

static int describe(struct wisp_bus_socket *socket, bool is_unix, struct sockaddr_storage *ret_address,
                    struct wisp_bus_peer *ret_peer, struct wisp_err *err)
{
    struct wisp_bus_server *server = socket->server;
    memset(ret_peer, 0, sizeof *ret_peer);
    memset(ret_address, 0, sizeof *ret_address);
    ret_peer->is_trusted = is_unix;
    ret_peer->uses_tls = !is_unix && server->tls;
    if (!is_unix && server->has_nkeys) wisp_bus_server_nonce(ret_peer->nonce);
    if (is_unix) return 0;
    int size = sizeof *ret_address;
    int result = uv_tcp_getpeername(&socket->uv.tcp, (struct sockaddr *)(void *)ret_address, &size);
    if (result < 0) return wisp_err_os(err, -result, "address of a client");
    (void)uv_tcp_nodelay(&socket->uv.tcp, 1);
    (void)uv_ip_name((struct sockaddr *)(void *)ret_address, ret_peer->address, sizeof ret_peer->address);
    return 0;
}

void wisp_bus_socket_accept(struct wisp_bus_server *server, uv_stream_t *listener, bool is_unix)
{
    struct wisp_bus_socket *socket = new_socket(server, is_unix);
    struct sockaddr_storage address;
    struct wisp_bus_peer peer;
    struct wisp_err err = {0};
    if (uv_accept(listener, &socket->uv.stream) != 0) {
        drop(socket);
        return;
    }
    int result = describe(socket, is_unix, &address, &peer, &err);
    if (result == 0) result = check_owner(socket, is_unix, &address, &err);
    if (result < 0) {
        refuse(socket, peer.address, &err);
        return;
    }
    begin(socket, &peer);
}

int wisp_bus_socket_open(struct wisp_bus_server *server, int fd, struct wisp_err *err)
{
    WISP_CLEANUP_FD int owned = fd;
    int domain;
    socklen_t size = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0) return wisp_err_os(err, errno, "not a socket");
    struct wisp_bus_socket *socket = new_socket(server, domain == AF_UNIX);
    int result = domain == AF_UNIX ? uv_pipe_open(&socket->uv.pipe, fd) : uv_tcp_open(&socket->uv.tcp, fd);
    if (result < 0) {
        drop(socket);
        return wisp_err_os(err, -result, "connected socket");
    }
    (void)WISP_TAKE_FD(owned);
    struct wisp_bus_peer peer = {.is_trusted = true};
    begin(socket, &peer);
    return 0;
}
