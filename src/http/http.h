/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 server: streaming exchanges with backpressure both ways. Exchanges may also come from other transports
 * (exchange.h); what is said of "the server" and "the connection" holds for their maker then.
 *
 * A server belongs to one uv_loop_t and its thread; everything here is called on that thread, and nothing here blocks.
 * Several servers may share a loop. An exchange is one request and its response:
 *
 *     on_request ── the head is complete ──▶ [on_body | on_drain]* ──▶ on_close, exactly once
 *
 * Inside a callback or at any later time before on_close, the handler reads the body (peek, consume) and answers
 * (start, write*, end; or reply). These calls never call the handler back and never touch the socket: what they cause
 * happens when the callback has returned or, when they were made from elsewhere, before the loop sleeps again. So
 * head, body and end that are written together leave in one system call, also for several pipelined requests.
 *
 * Requests that a client sends ahead of a response are read, up to a bounded number of bytes, but not looked at before
 * the exchange in front of them has ended.
 *
 * Malformed requests, exceeded limits and timeouts are answered by the server itself, and end the exchange if there is
 * one: with an error response while nothing of another was sent, else by resetting the connection. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <uv.h>

#define WISP_HTTP_LENGTH_UNKNOWN UINT64_MAX
/* For timeouts and limits of the options: none. */
#define WISP_HTTP_UNLIMITED UINT64_MAX

struct wisp_http_header {
    struct wisp_str name, value;
};

/* How an exchange came to its end. */
enum wisp_http_outcome {
    WISP_HTTP_OPEN,           /* it has not ended yet */
    WISP_HTTP_COMPLETE,       /* the whole response was handed to the connection */
    WISP_HTTP_CLIENT_GONE,    /* the client closed or broke the connection */
    WISP_HTTP_TIMED_OUT,      /* the client was too slow to send the body or to take the response */
    WISP_HTTP_BODY_MALFORMED, /* broken chunked coding or trailers */
    WISP_HTTP_BODY_TOO_LARGE, /* body or trailers over a limit */
    WISP_HTTP_ABORTED,        /* by wisp_http_abort */
    WISP_HTTP_STOPPED,        /* the server's stop reached its deadline */
};

/* All fields but `user` are for reading. What they point to is valid until on_close has returned. */
struct wisp_http_exchange {
    void *user;                               /* the handler's; NULL in on_request */
    const struct wisp_http_exchange_ops *ops; /* its maker's: exchange.h */

    struct wisp_str method;    /* any token, case as sent */
    struct wisp_str target;    /* path and query as sent: begins with '/', or is "*" */
    struct wisp_str scheme;    /* "http", "https" */
    struct wisp_str authority; /* of an absolute-form target, else the Host header; empty when HTTP/1.0 gave none */
    /* In the order they came, duplicates kept; names in lower case, values byte-exact without surrounding blanks.
     * Includes the hop-by-hop ones. Values hold no control characters but tab. */
    const struct wisp_http_header *headers;
    size_t n_headers;
    uint64_t content_length; /* 0: no body; WISP_HTTP_LENGTH_UNKNOWN: chunked */
    uint8_t version_minor;   /* 1 for HTTP/1.1, 0 for HTTP/1.0 */

    /* Once wisp_http_body_peek has returned WISP_HTTP_BODY_END. */
    const struct wisp_http_header *trailers;
    size_t n_trailers;

    const struct wisp_http_site *site; /* site.h's; NULL */

    uint16_t status;                /* of the response, also of the server's own; 0 until it was started */
    uint64_t bytes_in, bytes_out;   /* body bytes received (without framing) and written */
    enum wisp_http_outcome outcome; /* for on_close */
};

struct wisp_http_handler {
    /* The request's head is complete; method, target, headers can be read. */
    void (*on_request)(struct wisp_http_exchange *exchange, void *env);
    /* More of the body, or its end, can be peeked at. Comes only after wisp_http_body_peek said WAIT. May be NULL. */
    void (*on_body)(struct wisp_http_exchange *exchange, void *env);
    /* There is room for the response again. Comes only after wisp_http_room said 0. May be NULL. */
    void (*on_drain)(struct wisp_http_exchange *exchange, void *env);
    /* Last call for this exchange; `outcome` says why. The exchange may not be used after it, and within it only be
     * read. A response that was complete before is still sent to a slow client afterwards. May be NULL. */
    void (*on_close)(struct wisp_http_exchange *exchange, void *env);
};

/* Zero means the default in brackets. */
struct wisp_http_options {
    struct wisp_http_handler handler;
    void *env; /* for the handler */

    size_t head_bytes_max;      /* request line and headers [64 KiB]; more: 431. Trailers may have 8 KiB */
    size_t headers_max;         /* number of headers, and of trailers [100]; more: 431 */
    size_t target_bytes_max;    /* [8 KiB]; more: 414 */
    uint64_t body_bytes_max;    /* [unlimited]; more: 413. See wisp_http_body_limit */
    size_t connections_max;     /* [unlimited]; more wait in the listen queue of the kernel */
    size_t body_window_bytes;   /* reading from the socket stops when this much is unread [64 KiB] */
    size_t output_window_bytes; /* of response that the kernel did not take yet [64 KiB] */

    /* In ms. They are checked once a second, or four times in the shortest of them if that is shorter. */
    uint64_t head_timeout_ms;  /* from the first byte of a request, or from accepting, to the end of its head [10 s] */
    uint64_t idle_timeout_ms;  /* between two requests [60 s] */
    uint64_t body_timeout_ms;  /* without a byte of the body while we read [30 s] */
    uint64_t write_timeout_ms; /* without the kernel taking a byte of response [30 s] */

    /* A client that shuts down its sending side within an exchange counts as gone, unless this is set. */
    bool serve_half_closed;
};

struct wisp_http_stats {
    uint64_t accepted;    /* connections, ever */
    uint64_t connections; /* open now */
    uint64_t exchanges;   /* requests given to the handler, ever */
    uint64_t in_flight;   /* exchanges now */
    uint64_t refused;     /* requests that the server answered itself with an error, ever */
};

/* --- the server --- */

struct wisp_http_server;

/* `options` are copied; INTERNAL when they have no on_request. If the program leaves SIGPIPE at its default, which is
 * to end the program when a client has gone, the signal is ignored from here on. */
int wisp_http_server_new(struct wisp_http_server **ret_server, uv_loop_t *loop, const struct wisp_http_options *options,
                         struct wisp_err *err) __attribute__((warn_unused_result));
/* Only before the first listen or after on_stopped was called; NULL is fine. */
void wisp_http_server_free(struct wisp_http_server *server);

struct wisp_http_address {
    const char *host; /* "127.0.0.1", "::", or a name, which is looked up right here (this one call may block) */
    uint16_t port;    /* 0: the kernel picks one */
    bool reuse_port;  /* SO_REUSEPORT: several processes share the address */
    int backlog;      /* 0: 1024 */
};
/* May be called several times. ret_port may be NULL. EXISTS when the address is in use. */
int wisp_http_server_listen(struct wisp_http_server *server, const struct wisp_http_address *address,
                            uint16_t *ret_port, struct wisp_err *err) __attribute__((warn_unused_result));
/* The same on a stream socket that is bound and listens already. The server owns `fd` on success. */
int wisp_http_server_listen_fd_take(struct wisp_http_server *server, int fd, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* From now on the kernel drops attempts to connect to the server's sockets, whoever else has them: for sockets that
 * nobody will listen on after this server. Those that connected before are still accepted until stop. */
void wisp_http_server_turn_away(struct wisp_http_server *server);

/* Graceful end, once: accepts who waits in the listen queues now and nobody later, closes idle connections (new ones
 * have half a second for their first request), lets exchanges in flight finish (their responses say
 * `connection: close` if their head is not out yet), after grace_ms resets what is left. on_stopped comes when all
 * connections and handles are gone, always from the loop; the server may be freed in it. */
void wisp_http_server_stop(struct wisp_http_server *server, uint64_t grace_ms, void (*on_stopped)(void *env),
                           void *env);

/* A certificate with its key. References are counted. */
struct wisp_http_tls;
/* PEM files: the certificate with those that lead to its CA, and its key without a passphrase. They are looked at while
 * connections come: when they have changed they are read again; what can't be used then is logged, and the old ones are
 * served on. INVALID names the file. */
int wisp_http_tls_new(struct wisp_http_tls **ret_tls, const char *cert_path, const char *key_path, struct wisp_err *err)
    __attribute__((warn_unused_result));
struct wisp_http_tls *wisp_http_tls_ref(struct wisp_http_tls *tls);
/* NULL is fine for both. */
void wisp_http_tls_unref(struct wisp_http_tls *tls);
/* Connections that come from now on speak TLS (NULL: they don't): 1.2 or 1.3, http/1.1 by ALPN. The server has a
 * reference of its own. */
void wisp_http_server_set_tls(struct wisp_http_server *server, struct wisp_http_tls *tls);

const struct wisp_http_stats *wisp_http_server_stats(const struct wisp_http_server *server);

/* --- the request's body --- */

enum wisp_http_body {
    WISP_HTTP_BODY_DATA, /* *ret_bytes is a view of at least one byte */
    WISP_HTTP_BODY_WAIT, /* nothing yet; on_body will be called */
    WISP_HTTP_BODY_END,  /* all was consumed; trailers can be read */
};

/* What is there of the body. The view is valid until the next consume or until control returns to the loop. The first
 * call makes a client that expects it get its `100 Continue`. Reading from the socket stops while body_window_bytes
 * are unread; a handler that never reads the body need not do anything: what it left is skipped when that costs
 * little, or else the connection is closed after the response. */
enum wisp_http_body wisp_http_body_peek(struct wisp_http_exchange *exchange, struct wisp_str *ret_bytes);
/* Drops `size` bytes, at most what the last peek showed. */
void wisp_http_body_consume(struct wisp_http_exchange *exchange, size_t size);
/* Lowers the limit of this body (it never raises the server's). False: the body is known to be larger already, and the
 * server ends the exchange with 413 as soon as control has returned; the handler need not do anything. */
bool wisp_http_body_limit(struct wisp_http_exchange *exchange, uint64_t bytes_max);

/* --- the response --- */

struct wisp_http_response {
    uint16_t status; /* 200 to 599 */
    const struct wisp_http_header *headers;
    size_t n_headers;
    uint64_t content_length; /* exact, or WISP_HTTP_LENGTH_UNKNOWN: found out or framed by the server */
};

/* Begins the response; once per exchange. Everything is copied. INVALID and no effect when a name is no token, a value
 * has control characters other than tab (so no response can be split), the status is out of range, or a header is the
 * server's own business: connection, keep-alive, proxy-connection, transfer-encoding, te, upgrade, content-length
 * (give it as number). `date` is added unless it is given. A response to HEAD, and one with status 204 or 304, has no
 * body: what is written is counted and dropped, and content_length, if known, is what the header says. */
int wisp_http_start(struct wisp_http_exchange *exchange, const struct wisp_http_response *response,
                    struct wisp_err *err) __attribute__((warn_unused_result));
/* How many bytes should be written now; 0: wait for on_drain. */
size_t wisp_http_room(struct wisp_http_exchange *exchange);
/* Copies `size` bytes into the output. More than wisp_http_room is taken too, but that is how memory grows.
 * INVALID and no effect when that is more than content_length. */
int wisp_http_write(struct wisp_http_exchange *exchange, const void *bytes, size_t size, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Ends the response. Trailers are checked like headers and sent when the body goes out chunked, otherwise dropped.
 * INVALID and no effect when less than content_length was written (abort then). */
int wisp_http_end(struct wisp_http_exchange *exchange, const struct wisp_http_header *trailers, size_t n_trailers,
                  struct wisp_err *err) __attribute__((warn_unused_result));
/* start, write and end in one; `body` may be empty. */
int wisp_http_reply(struct wisp_http_exchange *exchange, uint16_t status, const struct wisp_http_header *headers,
                    size_t n_headers, struct wisp_str body, struct wisp_err *err) __attribute__((warn_unused_result));
/* Takes a response back that was started but not ended, if nothing of it has been sent yet: another may be started
 * then. False: it is too late. What was written before control returned to the loop is never sent already. */
bool wisp_http_retract(struct wisp_http_exchange *exchange);
/* Breaks the connection in a way that the client notices, whatever was sent. on_close follows. As long as
 * nothing was sent, wisp_http_retract and wisp_http_reply are the kinder way. Harmless on an exchange whose response
 * has ended. */
void wisp_http_abort(struct wisp_http_exchange *exchange);

/* The client's address. Valid until on_close has returned; NULL when it is not known any more. */
const struct sockaddr *wisp_http_peer(struct wisp_http_exchange *exchange);

/* Reason phrase of a status, "" when there is none. */
const char *wisp_http_status_text(uint16_t status);
