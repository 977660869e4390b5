/* SPDX-License-Identifier: Apache-2.0 */
/* A server and its sockets: what server.c (listeners, time, the end), socket.c (one connection's bytes) and
 * tls.c (the same, encrypted) share. */
#pragma once

#include "http/conn.h"
#include "tls/tls.h"

/* A connection with its socket. Recycled; lives from accept to the close callback of its handle. */
struct wisp_http_socket {
    struct wisp_http_conn conn; /* first: the protocol side hands out pointers to it */
    struct wisp_http_server *server;
    struct wisp_http_socket *next, *previous; /* of all open ones */
    struct wisp_http_socket *next_scheduled;
    bool is_scheduled;
    bool is_reading, is_shut, is_closing;
    struct wisp_http_block *sending; /* with the kernel until on_written; TLS: may be NULL while is_writing */
    size_t sending_left;             /* when last looked at */
    bool is_writing;                 /* on_written will come */
    bool has_cipher;                 /* TLS may have more to decrypt */
    bool is_cut;                     /* the client shut down its side of the socket */
    struct wisp_tls *tls;            /* NULL: plain */
    struct wisp_buf cipher;          /* of what was encrypted last; with libuv while is_writing */
    uv_tcp_t tcp;
    uv_write_t write;
};

struct wisp_http_listener {
    uv_tcp_t tcp;
    struct wisp_http_server *server;
    struct wisp_http_listener *next;
    bool is_waiting; /* a connection wants in, but there are as many as there may be */
};

struct wisp_http_server {
    struct wisp_http_shared shared;
    uv_loop_t *loop;
    uv_timer_t timer; /* deadlines and date; runs while there are connections or the server stops */
    uv_prepare_t before_sleep;
    uv_idle_t stay_awake; /* active while something is scheduled: the loop may not sleep */
    uint64_t tick_ms, ticked_at_ms;
    uint64_t date_ms; /* when the date was set last */
    struct wisp_http_listener *listeners;
    struct wisp_http_socket *sockets;
    struct wisp_http_socket *scheduled;
    struct wisp_http_recycler spare_sockets;
    struct wisp_http_tls *tls; /* of new connections; NULL: plain */
    char *cipher_space;        /* where encrypted bytes are read to */
    unsigned n_handles;        /* of the server itself, open; 0 before the first listen */
    uint64_t stop_began_ms, stop_deadline_ms;
    bool has_looked; /* the loop at its sockets, since the stop began */
    bool is_ending;  /* all connections are gone; the handles are being closed */
    void (*on_stopped)(void *env);
    void *on_stopped_env;
};

/* Takes the connection that waits at the listener. */
void wisp_http_socket_accept(struct wisp_http_listener *listener);
/* Does what the protocol side wants done now: send, read or not, close. After every call into it. */
void wisp_http_socket_settle(struct wisp_http_socket *socket);
/* Checks deadlines. */
void wisp_http_socket_tick(struct wisp_http_socket *socket);
/* The server stops: closes it if it is idle. */
void wisp_http_socket_stop(struct wisp_http_socket *socket);
/* Ends it at once. */
void wisp_http_socket_reset(struct wisp_http_socket *socket, enum wisp_http_outcome outcome);
extern const struct wisp_http_transport wisp_http_socket_transport;
/* libuv's callbacks for plain bytes: from the kernel, or out of TLS. */
void wisp_http_socket_on_space(uv_handle_t *handle, size_t suggested_size, uv_buf_t *ret_buffer);
void wisp_http_socket_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer);

/* --- TLS (tls.c), for sockets that have it --- */

void wisp_http_socket_begin_tls(struct wisp_http_socket *socket);
void wisp_http_socket_on_cipher_space(uv_handle_t *handle, size_t suggested_size, uv_buf_t *ret_buffer);
void wisp_http_socket_on_cipher(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer);
/* Gives the protocol side what it wants of what has come. */
void wisp_http_socket_decrypt(struct wisp_http_socket *socket);
/* What there is to be sent, with `output` at its end, as long as nothing is being written. Valid until the next call.
 * False: it can't go on. */
bool wisp_http_socket_encrypt(struct wisp_http_socket *socket, struct wisp_str output, struct wisp_str *ret_bytes);
/* Before our side is shut down. */
void wisp_http_socket_end_tls(struct wisp_http_socket *socket);
/* Besides what the protocol side wants. */
bool wisp_http_socket_wants_cipher(const struct wisp_http_socket *socket);

/* --- server.c --- */

/* It is settled, after its connection has been run, before the loop sleeps. */
void wisp_http_server_schedule(struct wisp_http_socket *socket);
/* Sockets tell the server that they are open or gone. */
void wisp_http_server_add(struct wisp_http_server *server, struct wisp_http_socket *socket);
void wisp_http_server_remove(struct wisp_http_server *server, struct wisp_http_socket *socket);
/* Time and date are those of the loop's turn. */
void wisp_http_server_look_at_clock(struct wisp_http_server *server);
