/* SPDX-License-Identifier: Apache-2.0 */
/* The bus without its sockets: connections take bytes in and yield bytes out, and messages pass between them. Whoever
 * owns the sockets (server.c; a test; the fuzzer) moves the bytes.
 *
 *     OPEN ──in error, slow, idle──▶ CLOSING: the last output leaves, nothing is read any more
 *       └──────── gone ──▶ LOST ◀───────┘      LOST: to be closed at once
 *
 * Input goes where `space` says. Output gathers in one buffer for each connection, whole frames only; the owner either
 * sends it at once or takes the buffer as it is, so that a message is copied once for each subscriber. All on one
 * thread; the callbacks may be called while any connection is given input, and must not call back in. */
#pragma once

#include "bus/protocol.h"
#include "bus/server.h"
#include "bus/sublist.h"

struct wisp_bus_broker;
struct wisp_bus_conn;

struct wisp_bus_broker_transport {
    /* There is output, or the connection is over: see to it before the loop sleeps. Called once until `settled`. */
    void (*schedule)(struct wisp_bus_conn *conn);
    /* Much output has come together: send now what goes at once. */
    void (*push)(struct wisp_bus_conn *conn);
};

/* Public user keys that may connect. */
struct wisp_bus_keys {
    uint8_t (*at)[32];
    size_t count;
};

struct wisp_bus_broker_options {
    const struct wisp_bus_broker_transport *transport;
    char *server_id, *server_name, *host; /* for INFO; taken over */
    uint16_t port;
    char *token;               /* NULL: none. Taken over, as the keys are */
    struct wisp_bus_keys keys; /* count 0: none */
    size_t payload_bytes_max, pending_bytes_max;
    uint32_t connections_max, subscriptions_max;
    uint64_t ping_interval_ms, write_timeout_ms, auth_timeout_ms;
    uint64_t secret; /* random */
};

struct wisp_bus_broker {
    struct wisp_bus_broker_options options;
    struct wisp_bus_server_stats stats;
    struct wisp_bus_sublist sublist;
    struct wisp_bus_table sids; /* of all connections */
    struct wisp_link conns;
    struct wisp_bus_sub *gone; /* freed when the call that came from outside ends */
    uint64_t now_ms;           /* the owner keeps it current; only goes forward */
    uint64_t last_id, dice;
    struct wisp_buf scratch; /* input of a connection that holds no long part of a frame */
    struct wisp_buf tail;    /* of the MSG lines of the message on its way */
};

void wisp_bus_broker_init(struct wisp_bus_broker *broker, const struct wisp_bus_broker_options *options);
/* All connections are gone. */
void wisp_bus_broker_deinit(struct wisp_bus_broker *broker);
/* Checks the deadlines of all connections; a few times a second, at least. */
void wisp_bus_broker_tick(struct wisp_bus_broker *broker);

/* --- one connection --- */

enum wisp_bus_phase { WISP_BUS_PHASE_OPEN, WISP_BUS_PHASE_CLOSING, WISP_BUS_PHASE_LOST };

enum { WISP_BUS_NONCE_MAX = 32, WISP_BUS_ADDRESS_MAX = 64 };

/* What the owner of the socket knows about who is there. */
struct wisp_bus_peer {
    char address[WISP_BUS_ADDRESS_MAX]; /* "127.0.0.1"; empty when it has none */
    char nonce[WISP_BUS_NONCE_MAX];     /* random text to be signed; empty: nkeys are not asked for */
    bool is_trusted;                    /* needs no credentials */
    bool uses_tls;                      /* INFO says that the handshake follows */
};

struct wisp_bus_conn {
    struct wisp_bus_broker *broker;
    struct wisp_link link; /* of the broker */
    uint64_t id;
    enum wisp_bus_phase phase;
    struct wisp_bus_peer peer;
    char name[64], language[16]; /* as the client calls itself, cut, printable; for the log */
    /* Of CONNECT. */
    bool is_verbose, is_pedantic, has_echo, has_headers, wants_no_responders;
    bool is_scheduled;
    const char *reason; /* why it was cut off; NULL when it was not */

    struct wisp_bus_parser parser;
    struct wisp_buf in; /* the beginning of a frame that has not come whole */
    bool uses_scratch;  /* `space` has put it into the broker's */

    struct wisp_buf out;
    size_t in_flight; /* bytes of output that the transport has taken */
    bool was_idle;    /* nothing was sent between the last two ticks */

    struct wisp_link subs;
    uint32_t n_subs;

    bool owes_credentials; /* may do nothing but CONNECT, and that soon */
    bool owes_handshake;   /* of TLS: cleared by the owner. `uses_tls` of the peer sets it */
    uint64_t connect_deadline_ms, write_deadline_ms, ping_at_ms, stalled_until_ms;
    unsigned pings_out;
};

/* Puts INFO into its output, or the reason why it can't stay. `peer` is copied. */
void wisp_bus_conn_init(struct wisp_bus_conn *conn, struct wisp_bus_broker *broker, const struct wisp_bus_peer *peer);
/* Gives back everything; its subscriptions end. */
void wisp_bus_conn_deinit(struct wisp_bus_conn *conn);

/* False: its socket should not be read for now; asked again after 5 ms, and when something happens. */
bool wisp_bus_conn_wants_input(const struct wisp_bus_conn *conn);
/* Where to put bytes from the client; what was put there is told before anything else is called. */
char *wisp_bus_conn_space(struct wisp_bus_conn *conn, size_t *ret_size);
/* `size` bytes have come (0: none after all). */
void wisp_bus_conn_input(struct wisp_bus_conn *conn, size_t size);
/* The client is gone, or an error of the transport ends it: `reason` (static, for the log) may be NULL. */
void wisp_bus_conn_lost(struct wisp_bus_conn *conn, const char *reason);
/* Cut off by the owner: the client is told the reason. */
void wisp_bus_conn_cut(struct wisp_bus_conn *conn, const char *reason);
/* The owner has done what `schedule` asked for. */
static inline void wisp_bus_conn_settled(struct wisp_bus_conn *conn) { conn->is_scheduled = false; }

/* What there is to send; empty while a buffer is in flight. */
struct wisp_str wisp_bus_conn_output(const struct wisp_bus_conn *conn);
/* All of it was sent. */
void wisp_bus_conn_output_sent(struct wisp_bus_conn *conn);
/* The first `size` bytes were sent; the buffer now is the transport's. */
void wisp_bus_conn_output_take(struct wisp_bus_conn *conn, size_t size, struct wisp_buf *ret_buf);
/* Some of what is in flight has left. */
void wisp_bus_conn_output_moved(struct wisp_bus_conn *conn);
/* All of it has; the buffer comes back. */
void wisp_bus_conn_output_done(struct wisp_bus_conn *conn, struct wisp_buf *buf);

/* --- between the files of this folder --- */

struct wisp_bus_sub {
    struct wisp_bus_sub_link place; /* in the sublist */
    struct wisp_bus_entry entry;    /* of broker->sids */
    struct wisp_link link;          /* of the connection */
    struct wisp_bus_conn *conn;
    uint64_t delivered, max; /* max: messages after which it ends, 0: never */
    struct wisp_bus_sub *next_gone;
    bool is_gone;
    struct wisp_str sid;
    char sid_bytes[];
};

static inline size_t wisp_bus_conn_pending(const struct wisp_bus_conn *conn) { return conn->out.len + conn->in_flight; }
/* Something was added to the output. */
void wisp_bus_conn_wrote(struct wisp_bus_conn *conn);
/* INFO for this connection. */
void wisp_bus_conn_greet(struct wisp_bus_conn *conn);
void wisp_bus_conn_on_connect(struct wisp_bus_conn *conn, struct wisp_str json);
void wisp_bus_conn_on_pub(struct wisp_bus_conn *conn, const struct wisp_bus_frame *frame);
void wisp_bus_conn_on_sub(struct wisp_bus_conn *conn, const struct wisp_bus_frame *frame);
void wisp_bus_conn_on_unsub(struct wisp_bus_conn *conn, const struct wisp_bus_frame *frame);
/* Ends all of its subscriptions. */
void wisp_bus_conn_forget_subs(struct wisp_bus_conn *conn);
