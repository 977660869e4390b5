/* SPDX-License-Identifier: Apache-2.0 */
/* Moves bytes between a connection and its socket. One read and one write per request is the rule: output is written
 * synchronously when the connection's work is done, and only what the kernel does not take waits for the loop. */
#include "http/server.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

static struct wisp_http_socket *socket_of(struct wisp_http_conn *conn)
{
    return (struct wisp_http_socket *)(void *)conn;
}

static uv_stream_t *stream_of(struct wisp_http_socket *socket) { return (uv_stream_t *)(void *)&socket->tcp; }

/* --- closing --- */

static void on_closed(uv_handle_t *handle)
{
    struct wisp_http_socket *socket = handle->data;
    wisp_http_server_remove(socket->server, socket);
}

static void close_socket(struct wisp_http_socket *socket, enum wisp_http_outcome outcome, bool with_reset)
{
    if (socket->is_closing) return;
    socket->is_closing = true;
    wisp_http_conn_deinit(&socket->conn, outcome);
    wisp_tls_free(WISP_TAKE(socket->tls));
    if (!socket->is_writing) wisp_buf_deinit(&socket->cipher);
    if (!with_reset || uv_tcp_close_reset(&socket->tcp, on_closed) != 0)
        uv_close((uv_handle_t *)&socket->tcp, on_closed);
}

void wisp_http_socket_reset(struct wisp_http_socket *socket, enum wisp_http_outcome outcome)
{
    close_socket(socket, outcome, true);
}

/* --- sending --- */

static void on_written(uv_write_t *request, int status)
{
    struct wisp_http_socket *socket = request->data;
    struct wisp_http_block *block = WISP_TAKE(socket->sending);
    socket->is_writing = false;
    if (socket->is_closing) wisp_buf_deinit(&socket->cipher);
    if (socket->is_closing || status < 0) {
        wisp_http_block_put(&socket->server->shared, block);
        if (socket->is_closing) return;
        wisp_http_conn_lost(&socket->conn, WISP_HTTP_CLIENT_GONE);
    } else {
        wisp_http_server_look_at_clock(socket->server);
        if (block) wisp_http_conn_output_done(&socket->conn, block);
    }
    wisp_http_socket_settle(socket);
}

/* What the kernel takes at once; negative: the connection broke. send costs less than the write of uv_try_write, which
 * goes through the kernel's file layer first. Nothing is queued in libuv now. */
static ssize_t try_send(struct wisp_http_socket *socket, struct wisp_str bytes)
{
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&socket->tcp, &fd) < 0) return -1;
    ssize_t n;
    do n = send(fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == ENOBUFS) ? 0 : n;
}

/* Has libuv send what the kernel did not take yet. */
static bool write_rest(struct wisp_http_socket *socket, struct wisp_str bytes)
{
    socket->is_writing = true;
    socket->sending_left = bytes.len;
    socket->write.data = socket;
    uv_buf_t buffer = {.base = (char *)(uintptr_t)bytes.ptr, .len = bytes.len};
    if (uv_write(&socket->write, stream_of(socket), &buffer, 1, on_written) == 0) return true;
    socket->is_writing = false;
    wisp_http_block_put(&socket->server->shared, WISP_TAKE(socket->sending));
    return false;
}

/* False: the connection broke. */
static bool flush(struct wisp_http_socket *socket)
{
    if (socket->is_writing) return true;
    struct wisp_str output = wisp_http_conn_output(&socket->conn), bytes = output, left = {0};
    if (socket->tls && !wisp_http_socket_encrypt(socket, output, &bytes)) return false;
    if (bytes.len == 0) return true;
    ssize_t n = try_send(socket, bytes);
    if (n < 0) return false;
    size_t sent = (size_t)n;
    /* Encrypted output counts as in flight as long as any of it is left. */
    if (socket->tls) sent = sent == bytes.len ? output.len : 0;
    if (output.len) socket->sending = wisp_http_conn_output_sent(&socket->conn, sent, &left);
    if ((size_t)n == bytes.len) {
        if (socket->tls) wisp_buf_deinit(&socket->cipher);
        return true;
    }
    if (socket->tls) left = (struct wisp_str){bytes.ptr + n, bytes.len - (size_t)n};
    return write_rest(socket, left);
}

/* --- receiving --- */

void wisp_http_socket_on_space(uv_handle_t *handle, size_t suggested_size, uv_buf_t *ret_buffer)
{
    (void)suggested_size;
    struct wisp_http_socket *socket = handle->data;
    size_t size;
    ret_buffer->base = wisp_http_conn_space(&socket->conn, &size);
    ret_buffer->len = size;
}

void wisp_http_socket_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    (void)buffer;
    struct wisp_http_socket *socket = stream->data;
    wisp_http_server_look_at_clock(socket->server);
    if (n >= 0)
        wisp_http_conn_input(&socket->conn, (size_t)n);
    else if (n == UV_EOF)
        wisp_http_conn_eof(&socket->conn);
    else
        wisp_http_conn_lost(&socket->conn, WISP_HTTP_CLIENT_GONE);
    wisp_http_socket_settle(socket);
}

static void set_reading(struct wisp_http_socket *socket)
{
    bool wanted = wisp_http_conn_wants_input(&socket->conn);
    if (socket->tls) wanted = wanted && wisp_http_socket_wants_cipher(socket);
    if (wanted == socket->is_reading) return;
    socket->is_reading = wanted;
    if (!wanted)
        (void)uv_read_stop(stream_of(socket));
    else if (socket->tls)
        (void)uv_read_start(stream_of(socket), wisp_http_socket_on_cipher_space, wisp_http_socket_on_cipher);
    else
        (void)uv_read_start(stream_of(socket), wisp_http_socket_on_space, wisp_http_socket_on_read);
}

/* --- what next --- */

static void shut_down_our_side(struct wisp_http_socket *socket)
{
    uv_os_fd_t fd;
    if (socket->is_shut) return;
    socket->is_shut = true;
    if (socket->tls) wisp_http_socket_end_tls(socket);
    if (uv_fileno((uv_handle_t *)&socket->tcp, &fd) == 0) (void)shutdown(fd, SHUT_WR);
}

void wisp_http_socket_settle(struct wisp_http_socket *socket)
{
    struct wisp_http_conn *conn = &socket->conn;
    if (socket->is_closing) return;
    enum wisp_http_next next = wisp_http_conn_next(conn);
    if (next != WISP_HTTP_NEXT_RESET && !flush(socket)) {
        wisp_http_conn_lost(conn, WISP_HTTP_CLIENT_GONE);
        next = WISP_HTTP_NEXT_RESET;
    }
    if (next == WISP_HTTP_NEXT_RESET) {
        close_socket(socket, WISP_HTTP_CLIENT_GONE, true);
        return;
    }
    if (next != WISP_HTTP_NEXT_GO_ON && wisp_http_conn_output_size(conn) == 0 && !socket->is_writing) {
        if (next == WISP_HTTP_NEXT_CLOSE) {
            if (socket->tls && !socket->is_shut) wisp_http_socket_end_tls(socket);
            close_socket(socket, WISP_HTTP_CLIENT_GONE, false);
            return;
        }
        shut_down_our_side(socket);
    }
    set_reading(socket);
    bool can_decrypt = socket->has_cipher && wisp_http_conn_wants_input(conn);
    if (can_decrypt || wisp_http_conn_wants_run(conn)) wisp_http_server_schedule(socket);
}

void wisp_http_socket_tick(struct wisp_http_socket *socket)
{
    if (socket->is_closing) return;
    if (socket->sending) {
        size_t left = uv_stream_get_write_queue_size(stream_of(socket));
        if (left != socket->sending_left) wisp_http_conn_output_moved(&socket->conn);
        socket->sending_left = left;
    }
    const struct wisp_http_conn *conn = &socket->conn;
    if (conn->input_deadline_ms > conn->shared->now_ms && conn->output_deadline_ms > conn->shared->now_ms) return;
    wisp_http_conn_tick(&socket->conn);
    wisp_http_socket_settle(socket);
}

void wisp_http_socket_stop(struct wisp_http_socket *socket)
{
    if (socket->is_closing) return;
    wisp_http_conn_stop(&socket->conn);
    wisp_http_socket_settle(socket);
}

/* --- transport --- */

static void schedule(struct wisp_http_conn *conn) { wisp_http_server_schedule(socket_of(conn)); }

static bool peer(struct wisp_http_conn *conn, struct sockaddr_storage *ret_peer)
{
    int size = sizeof *ret_peer;
    return uv_tcp_getpeername(&socket_of(conn)->tcp, (struct sockaddr *)(void *)ret_peer, &size) == 0;
}

const struct wisp_http_transport wisp_http_socket_transport = {.schedule = schedule, .peer = peer};

/* --- accepting --- */

void wisp_http_socket_accept(struct wisp_http_listener *listener)
{
    struct wisp_http_server *server = listener->server;
    struct wisp_http_socket *socket = wisp_http_recycler_get(&server->spare_sockets);
    memset(socket, 0, offsetof(struct wisp_http_socket, tcp));
    socket->server = server;
    int result = uv_tcp_init(server->loop, &socket->tcp);
    assert(result == 0);
    (void)result;
    socket->tcp.data = socket;
    wisp_http_server_add(server, socket);
    wisp_http_conn_init(&socket->conn, &server->shared);
    if (server->tls) wisp_http_socket_begin_tls(socket);
    if (uv_accept((uv_stream_t *)&listener->tcp, stream_of(socket)) != 0) {
        close_socket(socket, WISP_HTTP_CLIENT_GONE, false);
        return;
    }
    set_reading(socket);
}
