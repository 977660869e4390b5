/* SPDX-License-Identifier: Apache-2.0 */
/* One connection's side of the protocol, without its socket: bytes in → calls of the handler; calls by the handler →
 * bytes out. Whoever owns the socket (http/server.c; a test; the fuzzer) moves the bytes and asks what to do next.
 *
 *     HEAD ──request──▶ EXCHANGE ──response ended, body read──▶ HEAD
 *      │                   │      ──response ended, body left──▶ SKIP ──body over──▶ HEAD
 *      └──refused──┬───────┴───────────────┘
 *                  ▼
 *              CLOSING: the last output leaves; what still comes in is thrown away
 *
 * The owner calls in, and after each call does what `wisp_http_conn_next` says. Input goes where `wisp_http_conn_space`
 * says, output is taken with the `output` calls. All on the thread of the server.
 *
 * Memory: a connection between requests holds no buffers. Input is read into a block that holds the head (which the
 * exchange's strings point into, so it stays where it is) and what follows it. When a body does not end in that
 * block, the block is set aside for the head, and a larger one takes the body. */
#pragma once

#include "http/chunked.h"
#include "http/exchange.h"
#include "http/head.h"
#include "http/recycler.h"

struct wisp_http_conn;

/* What a connection needs from the owner of its socket. */
struct wisp_http_transport {
    /* The handler caused something outside of a callback: call wisp_http_conn_run before the loop sleeps. */
    void (*schedule)(struct wisp_http_conn *conn);
    /* Fills in the client's address; false when it is unknown. */
    bool (*peer)(struct wisp_http_conn *conn, struct sockaddr_storage *ret_peer);
};

enum {
    WISP_HTTP_DATE_BYTES = 37,
    WISP_HTTP_LINGER_MS = 2000, /* how long a closing connection waits for the client to close its side */
};

/* What the connections of one server share. The owner keeps now_ms and date current. */
struct wisp_http_shared {
    struct wisp_http_options options; /* without zeroes: defaults are filled in */
    const struct wisp_http_transport *transport;
    struct wisp_http_parsers parsers;
    struct wisp_http_head_limits head_limits;
    struct wisp_http_recycler small_blocks, large_blocks, exchanges;
    size_t large_block_bytes; /* capacity of a large one */
    struct wisp_http_stats stats;
    uint64_t now_ms; /* of a clock that only goes forward */
    bool is_stopping;
    char date[WISP_HTTP_DATE_BYTES]; /* "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n" */
};

/* `options` are copied. The struct stays where it is. */
void wisp_http_shared_init(struct wisp_http_shared *shared, const struct wisp_http_options *options,
                           const struct wisp_http_transport *transport);
void wisp_http_shared_deinit(struct wisp_http_shared *shared);
void wisp_http_shared_set_date(struct wisp_http_shared *shared, int64_t unix_seconds);

/* A piece of memory for input or output. */
struct wisp_http_block {
    size_t capacity;
    char bytes[];
};
/* At least `size` bytes: a small or a large block if one is enough. */
struct wisp_http_block *wisp_http_block_get(struct wisp_http_shared *shared, size_t size);
/* NULL is fine. */
void wisp_http_block_put(struct wisp_http_shared *shared, struct wisp_http_block *block);

enum wisp_http_phase { WISP_HTTP_PHASE_HEAD, WISP_HTTP_PHASE_EXCHANGE, WISP_HTTP_PHASE_SKIP, WISP_HTTP_PHASE_CLOSING };

/* Body of the request that is being read; outlives the exchange when it has to be skipped. */
struct wisp_http_incoming {
    enum wisp_http_framing framing;
    bool is_complete; /* the last byte and the trailers have been read from the connection */
    bool in_trailers;
    bool is_wanted;         /* the handler waits for on_body */
    bool expects_continue;  /* the client waits for a 100 and did not get it yet */
    uint64_t left;          /* SIZED: bytes still to come */
    uint64_t received, max; /* bytes of body */
    struct wisp_http_scan trailer_scan;
    struct wisp_http_chunked chunked;
};

enum wisp_http_response_state {
    WISP_HTTP_RESPONSE_NONE,
    WISP_HTTP_RESPONSE_OPEN,      /* head in the output, but not how the body is framed, which may still turn out */
    WISP_HTTP_RESPONSE_STREAMING, /* framing decided */
    WISP_HTTP_RESPONSE_ENDED,
};
enum wisp_http_response_framing {
    WISP_HTTP_RESPONSE_UNDECIDED, /* while OPEN */
    WISP_HTTP_RESPONSE_BODILESS,  /* HEAD, 204, 304 */
    WISP_HTTP_RESPONSE_SIZED,
    WISP_HTTP_RESPONSE_CHUNKED,
    WISP_HTTP_RESPONSE_UNTIL_CLOSE,
};
struct wisp_http_outgoing {
    enum wisp_http_response_state state;
    enum wisp_http_response_framing framing;
    bool is_drain_wanted; /* the handler waits for on_drain */
    uint64_t length;      /* of a SIZED body, or what a BODILESS one says its length would be; else unknown */
    size_t start;         /* offset in the output block where it begins, unless it is_sent */
    bool is_sent;         /* at least in part */
    size_t gap;           /* OPEN: offset in the output block where the framing will go */
};

/* The public struct is the first member of what the handler's exchange really is. */
struct wisp_http_exchange_full {
    struct wisp_http_exchange exchange;
    struct wisp_http_conn *conn;
    struct wisp_http_outgoing response;
    struct wisp_http_block *head_block; /* when the head is no longer in conn->in */
    struct wisp_http_header *trailers;  /* own array; NULL until there are some */
    bool is_head_request, is_aborted;
    /* From here on not zeroed when an exchange begins. */
    struct sockaddr_storage peer;      /* family AF_UNSPEC: not asked for yet */
    struct wisp_http_header headers[]; /* options.headers_max */
};

struct wisp_http_conn {
    struct wisp_http_shared *shared;
    enum wisp_http_phase phase;
    bool is_running;     /* the state machine is at work: handler calls need not schedule anything */
    bool keep_alive;     /* another request may follow the one that was parsed last */
    bool client_closes;  /* it said so: it won't send more */
    bool is_eof;         /* it has shut down its sending side, or we are done with listening to it */
    bool is_secure;      /* the transport's bytes are encrypted */
    bool is_broken;      /* reset instead of closing */
    bool has_served;     /* not the first request */
    bool has_blank_line; /* one came before the request line */
    bool is_blocked;     /* the next request is here, but the output is full */

    /* Input, offsets into in->bytes: [unread, decoded) is body for the handler, [raw, in_end) is not parsed yet. */
    struct wisp_http_block *in;
    bool is_pinned; /* the exchange points into `in`: what is below `raw` must not move */
    size_t unread, decoded, raw, in_end;
    struct wisp_http_scan scan; /* HEAD */
    struct wisp_http_incoming body;

    /* Output: `out_end` bytes in `out`; `in_flight` bytes of an earlier block are with the transport. */
    struct wisp_http_block *out;
    size_t out_end, in_flight;

    struct wisp_http_exchange_full *exchange;
    uint64_t input_deadline_ms, output_deadline_ms; /* WISP_HTTP_UNLIMITED: none */
};

void wisp_http_conn_init(struct wisp_http_conn *conn, struct wisp_http_shared *shared);
/* Gives back all memory. An exchange ends with this outcome. */
void wisp_http_conn_deinit(struct wisp_http_conn *conn, enum wisp_http_outcome outcome);

/* --- input --- */

/* Where to put bytes from the client, at least one; what was put there is told by wisp_http_conn_input before anything
 * else is called. Only when the connection wants input. */
char *wisp_http_conn_space(struct wisp_http_conn *conn, size_t *ret_size);
/* False: the socket should not be read for now. */
bool wisp_http_conn_wants_input(const struct wisp_http_conn *conn);
/* `size` bytes have come (0: none after all). Runs the connection. */
void wisp_http_conn_input(struct wisp_http_conn *conn, size_t size);
/* The client will send no more. Runs the connection. */
void wisp_http_conn_eof(struct wisp_http_conn *conn);
/* The connection is broken: ends the exchange and drops the output. */
void wisp_http_conn_lost(struct wisp_http_conn *conn, enum wisp_http_outcome outcome);

/* Does all there is to do. */
void wisp_http_conn_run(struct wisp_http_conn *conn);
/* A deadline has passed (whether or not it still has; this checks). */
void wisp_http_conn_tick(struct wisp_http_conn *conn);
/* The server stops: closes a connection without an exchange, unless a request has begun to come. */
void wisp_http_conn_stop(struct wisp_http_conn *conn);

enum wisp_http_next {
    WISP_HTTP_NEXT_GO_ON,
    WISP_HTTP_NEXT_SHUT,  /* when all output is sent: shut down our side, go on reading until the client closes */
    WISP_HTTP_NEXT_CLOSE, /* when all output is sent: close */
    WISP_HTTP_NEXT_RESET, /* at once, without sending anything more */
};
enum wisp_http_next wisp_http_conn_next(const struct wisp_http_conn *conn);

/* --- output --- */

/* What there is to send now; empty while something is in flight. */
struct wisp_str wisp_http_conn_output(struct wisp_http_conn *conn);
/* The kernel took `size` bytes of that. Returns NULL when this was all; else a block that now belongs to the transport,
 * which sends what *ret_left shows of it and gives it back. */
struct wisp_http_block *wisp_http_conn_output_sent(struct wisp_http_conn *conn, size_t size, struct wisp_str *ret_left);
/* The transport saw some of what is in flight leave. */
void wisp_http_conn_output_moved(struct wisp_http_conn *conn);
/* All in flight was sent; the block comes back. Runs the connection. */
void wisp_http_conn_output_done(struct wisp_http_conn *conn, struct wisp_http_block *block);
/* Running it again would go on with something that waited for the output to leave. */
bool wisp_http_conn_wants_run(const struct wisp_http_conn *conn);

static inline size_t wisp_http_conn_output_size(const struct wisp_http_conn *conn)
{
    return conn->out_end + conn->in_flight;
}

/* --- between the files of this folder --- */

/* Room for `size` more bytes of output; the caller adds to out_end. */
char *wisp_http_conn_reserve(struct wisp_http_conn *conn, size_t size);
/* Decides the framing of an OPEN response with what is known now. */
void wisp_http_response_seal(struct wisp_http_exchange_full *full);
/* What exchanges of a connection do. */
extern const struct wisp_http_exchange_ops wisp_http_conn_ops;
bool wisp_http_response_retract(struct wisp_http_exchange *exchange);
enum wisp_http_body wisp_http_incoming_peek(struct wisp_http_exchange *exchange, struct wisp_str *ret_bytes);
void wisp_http_incoming_consume(struct wisp_http_exchange *exchange, size_t size);
bool wisp_http_incoming_limit(struct wisp_http_exchange *exchange, uint64_t bytes_max);
const struct sockaddr *wisp_http_incoming_peer(struct wisp_http_exchange *exchange);
/* Puts the server's own answer to a request in error into the output. */
void wisp_http_response_refuse(struct wisp_http_conn *conn, int status, bool is_head_request);
/* Takes what came in for the body out of its framing. Returns 0, or the status for a body in error. */
int wisp_http_incoming_receive(struct wisp_http_conn *conn);
/* Gives the input block back if nothing needs it. */
void wisp_http_incoming_trim(struct wisp_http_conn *conn);
/* The head was parsed: what follows it is body. Sets it aside unless the body is there already. As receive. */
int wisp_http_incoming_begin(struct wisp_http_conn *conn, const struct wisp_http_head *head);
/* The handler did something: see that the connection is run. */
void wisp_http_conn_touch(struct wisp_http_conn *conn);

static inline struct wisp_http_exchange_full *wisp_http_full(struct wisp_http_exchange *exchange)
{
    return (struct wisp_http_exchange_full *)(void *)exchange;
}

static inline uint64_t wisp_http_after(const struct wisp_http_shared *shared, uint64_t timeout_ms)
{
    return timeout_ms > WISP_HTTP_UNLIMITED - shared->now_ms ? WISP_HTTP_UNLIMITED : shared->now_ms + timeout_ms;
}
