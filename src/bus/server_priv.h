/* SPDX-License-Identifier: Apache-2.0 */
/* The server and its sockets: what server.c (listeners, time, the end), server_socket.c (one connection's bytes),
 * server_tls.c and server_peer.c share. */
#pragma once

#include "bus/broker.h"
#include "tls/tls.h"

#include <sys/socket.h>

/* --- who is at the other end (server_peer.c) --- */

/* A socket to ask the kernel about other sockets. UNSUPPORTED where that can't be done. */
int wisp_bus_diag_open(int *ret_fd, struct wisp_err *err) __attribute__((warn_unused_result));
/* The user that owns the other end of a TCP connection within this machine, by its two addresses. Doesn't block.
 * NOT_FOUND when the kernel knows no such socket, or one that its process has closed already. */
int wisp_bus_diag_owner(int diag_fd, const struct sockaddr_storage *peer, const struct sockaddr_storage *local,
                        uid_t *ret_uid, struct wisp_err *err) __attribute__((warn_unused_result));
/* The user that connected a Unix socket. */
int wisp_bus_unix_owner(int fd, uid_t *ret_uid, struct wisp_err *err) __attribute__((warn_unused_result));
/* This process's own user, and root. */
bool wisp_bus_owner_is_trusted(uid_t uid);
bool wisp_bus_is_loopback(const struct sockaddr_storage *address);

/* --- sockets (server_socket.c) --- */

struct wisp_bus_socket {
    struct wisp_bus_conn conn; /* first: the broker hands out pointers to it */
    struct wisp_bus_server *server;
    struct wisp_link link;      /* of all sockets */
    struct wisp_link scheduled; /* of those to be settled; alone when it is not */
    struct wisp_link stalled;
    bool is_reading, is_shut, is_closing;
    bool wants_tls; /* the handshake follows INFO, if it was not first */
    struct wisp_tls *tls;
    struct wisp_buf sending; /* with libuv until on_written */
    size_t sending_left;     /* when last looked at */
    uv_write_t write;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
};

/* Takes a connection that waits at the listener. */
void wisp_bus_socket_accept(struct wisp_bus_server *server, uv_stream_t *listener, bool is_unix);
int wisp_bus_socket_open(struct wisp_bus_server *server, int fd, struct wisp_err *err);
/* Does what the broker wants done now: send, read or not, close. */
void wisp_bus_socket_settle(struct wisp_bus_socket *socket);
/* Takes note of what has left, before the deadlines are looked at. */
void wisp_bus_socket_tick(struct wisp_bus_socket *socket);
/* It may be read from again. */
void wisp_bus_socket_resume(struct wisp_bus_socket *socket);
/* Tries to send what is queued, and closes. */
void wisp_bus_socket_end(struct wisp_bus_socket *socket);
extern const struct wisp_bus_broker_transport wisp_bus_socket_transport;

/* --- the server (server.c) --- */

struct wisp_bus_server {
    struct wisp_bus_broker broker;
    uv_loop_t *loop;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
    bool has_tcp, has_pipe;
    bool has_nkeys, checks_owner; /* owner: of the other end of a TCP connection */
    uv_timer_t timer;             /* deadlines */
    uv_timer_t stall_timer;
    uv_prepare_t before_sleep;
    int diag_fd; /* -1: not needed */
    SSL_CTX *tls;
    bool is_tls_first;
    char *unix_path;
    uint64_t unix_device, unix_inode;
    uint16_t port;
    struct wisp_link sockets, scheduled, stalled;
    unsigned n_handles; /* open ones, those of sockets too */
    bool is_ending;
};

/* The broker's clock is that of the loop's turn. */
void wisp_bus_server_look_at_clock(struct wisp_bus_server *server);
/* Random text. */
void wisp_bus_server_nonce(char nonce[WISP_BUS_NONCE_MAX]);
/* The socket is not read from for a while. */
void wisp_bus_server_stall(struct wisp_bus_socket *socket);
/* A handle was closed; the last one takes the server with it. */
void wisp_bus_server_handle_closed(struct wisp_bus_server *server);
