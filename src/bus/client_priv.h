/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the client, and how they meet:
 *
 *     client.c           calls of client.h; what waits to be sent
 *     client_session.c   one connection after another: greeting, login, frames, loss, the next attempt
 *     client_link.c      one connection's bytes: resolve, connect, read, write; client_tls.c encrypts them
 *     client_servers.c   urls, and which of them is next                                    (no I/O)
 *     client_login.c     CONNECT's JSON                                                     (no I/O)
 *     client_mux.c       requests and inboxes below one wildcard subscription
 *     client_deadline.c  many deadlines on one timer */
#pragma once

#include "bus/client.h"
#include "bus/protocol.h"
#include "tls/tls.h"

#include <jansson.h>
#include <stddef.h>

/* --- deadlines --- */

/* Zeroed: not set. On monotonic milliseconds. */
struct wisp_bus_deadline {
    uint64_t at_ms;
    size_t place; /* in the heap, from 1; 0: not set */
    void (*on_due)(struct wisp_bus_deadline *deadline);
};

struct wisp_bus_deadlines {
    uv_timer_t timer;                /* armed for the first deadline or earlier */
    uint64_t armed_ms;               /* 0: not armed */
    struct wisp_bus_deadline **heap; /* a binary heap, first element unused */
    size_t count, capacity;
};

uint64_t wisp_bus_now_ms(void);
void wisp_bus_deadlines_init(struct wisp_bus_deadlines *deadlines, uv_loop_t *loop);
/* The timer is the owner's to close. */
void wisp_bus_deadlines_deinit(struct wisp_bus_deadlines *deadlines);
/* Also moves one that is set. `on_due` comes from the loop, at that time or later; the deadline is not set then. */
void wisp_bus_deadline_set(struct wisp_bus_deadlines *deadlines, struct wisp_bus_deadline *deadline, uint64_t after_ms,
                           void (*on_due)(struct wisp_bus_deadline *deadline));
void wisp_bus_deadline_clear(struct wisp_bus_deadlines *deadlines, struct wisp_bus_deadline *deadline);

/* --- servers --- */

enum { WISP_BUS_SERVERS_MAX = 256 };

struct wisp_bus_server_url {
    char *host; /* NULL: `path` counts */
    uint16_t port;
    char *path;     /* of a Unix socket */
    char *tls_name; /* what its certificate must be for; that of the server who told of it when `host` is an address */
    char *user, *password, *token; /* may be NULL */
    char *shown;                   /* without credentials */
    bool wants_tls, is_learned;
    unsigned n_denied; /* since it last let us in */
};

/* All that is known, in the order in which they are tried. */
struct wisp_bus_servers {
    struct wisp_bus_server_url *list;
    size_t count;
    size_t next; /* the one to try next; == count: the round is over */
};

int wisp_bus_servers_add(struct wisp_bus_servers *servers, struct wisp_str url, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_bus_servers_deinit(struct wisp_bus_servers *servers);
void wisp_bus_servers_shuffle(struct wisp_bus_servers *servers, uint64_t (*random)(void));
/* Takes over what a server says about its cluster ("HOST:PORT" texts): new ones are added, learned ones that are not
 * named any more are dropped. Neither `current` nor its position's validity changes: returns where it is now. */
size_t wisp_bus_servers_learn(struct wisp_bus_servers *servers, size_t current, const json_t *connect_urls);
/* The one at `current` becomes the last one, and a new round begins. */
void wisp_bus_servers_put_last(struct wisp_bus_servers *servers, size_t current);

/* --- login --- */

/* Texts may be NULL. */
struct wisp_bus_credentials {
    const char *token, *user, *password, *jwt, *seed, *creds_path;
};

/* Appends CONNECT's JSON. `nonce` may be empty. Fails when a seed or file of credentials is not usable. */
int wisp_bus_login_encode(const struct wisp_bus_credentials *credentials, const struct wisp_bus_server_url *server,
                          const char *name, struct wisp_str nonce, bool is_tls, struct wisp_buf *out,
                          struct wisp_err *err) __attribute__((warn_unused_result));

/* --- TLS --- */

struct wisp_bus_client_tls_options {
    bool is_required, is_first;
    char *ca_path, *cert_path, *key_path;
};

int wisp_bus_client_tls_new(struct wisp_tls **ret_tls, const struct wisp_bus_client_tls_options *options,
                            const char *host, struct wisp_err *err) __attribute__((warn_unused_result));
/* Bytes from the peer; plain text is appended to `plain`. Returns 1 at the orderly end of the peer's stream. */
int wisp_bus_client_tls_receive(struct wisp_tls *tls, const void *bytes, size_t size, struct wisp_buf *plain,
                                struct wisp_err *err) __attribute__((warn_unused_result));
/* Not before it is ready. Everything is taken. */
int wisp_bus_client_tls_send(struct wisp_tls *tls, struct wisp_str plain, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* --- one connection --- */

struct wisp_bus_client;

struct wisp_bus_client_link {
    struct wisp_bus_client *client; /* NULL: closed, and only waiting for the loop to let go of it */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    struct addrinfo *addresses, *address; /* found; the one being tried */
    bool has_handle, is_resolving, is_writing, is_open;
    struct wisp_tls *tls;
    struct wisp_buf in;      /* plain, not yet used by the session */
    size_t in_wanted;        /* how large `in` has to become before it is of use */
    struct wisp_buf sealed;  /* room to read ciphertext into */
    struct wisp_buf sending; /* in the hands of the loop */
    struct wisp_buf waiting; /* TLS records behind it */
};

/* Begins to connect; wisp_bus_session_on_open or _on_lost follows from the loop. */
struct wisp_bus_client_link *wisp_bus_client_link_new(struct wisp_bus_client *client,
                                                      const struct wisp_bus_server_url *server);
/* Takes the descriptor over in any case. Begins with wisp_bus_client_link_begin. */
int wisp_bus_client_link_new_fd(struct wisp_bus_client_link **ret_link, struct wisp_bus_client *client, int fd,
                                struct wisp_err *err) __attribute__((warn_unused_result));
/* It is connected: reads, and tells wisp_bus_session_on_open. From the loop. */
void wisp_bus_client_link_begin(struct wisp_bus_client_link *link);
/* No callback comes after it. NULL is fine. */
void wisp_bus_client_link_close(struct wisp_bus_client_link *link);
int wisp_bus_client_link_start_tls(struct wisp_bus_client_link *link, const char *host, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Writes what is in `out` and empties it, or leaves it when an earlier write is still going on; then
 * wisp_bus_session_on_writable follows. A failure is permanent. */
int wisp_bus_client_link_send(struct wisp_bus_client_link *link, struct wisp_buf *out, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* --- requests and inboxes --- */

enum {
    WISP_BUS_MUX_SLOT_LEN = 4,  /* base 62: place in the table */
    WISP_BUS_MUX_CHECK_LEN = 8, /* base 62: random, so that nobody can guess another's inbox */
    WISP_BUS_MUX_TOKEN_LEN = WISP_BUS_MUX_SLOT_LEN + WISP_BUS_MUX_CHECK_LEN,
    WISP_BUS_MUX_ENTRIES_MAX = 1 << 20,
};

struct wisp_bus_mux_entry {
    struct wisp_bus_client *client;
    uint32_t slot;
    bool is_request;
    char subject[WISP_BUS_INBOX_MAX]; /* ends with the token */
};

struct wisp_bus_mux {
    char prefix[WISP_BUS_INBOX_MAX]; /* "_INBOX.<random>." */
    size_t prefix_len;
    struct wisp_bus_subscription *subscription; /* made when the first entry is */
    struct wisp_bus_mux_entry **entries;
    uint32_t *free_slots; /* a stack, as large as entries */
    uint32_t n_free, n_slots, capacity;
    struct wisp_bus_request *recycled;
    size_t n_recycled;
    char random[2048]; /* letters and digits, used from the end */
    size_t n_random;
};

int wisp_bus_mux_init(struct wisp_bus_mux *mux, const char *inbox_prefix, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Frees requests and inboxes, too. */
void wisp_bus_mux_deinit(struct wisp_bus_mux *mux);
/* Every request that waits fails with that. */
void wisp_bus_mux_fail_requests(struct wisp_bus_client *client, const struct wisp_err *reason);

/* --- the client --- */

/* Of a subscription that is drained, until the server has answered a ping behind its UNSUB. */
struct wisp_bus_subscription_end {
    struct wisp_bus_subscription *subscription; /* NULL: unsubscribed meanwhile */
    void (*on_ended)(void *env);
    void *env;
};

struct wisp_bus_subscription {
    struct wisp_bus_client *client;
    uint64_t sid;
    wisp_bus_on_message *on_message;
    void *env;
    struct wisp_bus_subscription_end *end; /* NULL: it is not being drained */
    struct wisp_str pattern, queue;        /* behind the struct */
};

/* A sid is the place in the table and, above it, how often the place was used: a late message for an old one finds
 * nothing. */
enum { WISP_BUS_SID_PLACE_BITS = 20 };

struct wisp_bus_subscription_slot {
    struct wisp_bus_subscription *subscription; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* 0: none; places count from 1 */
};

enum wisp_bus_client_phase {
    WISP_BUS_CLIENT_IDLE,     /* no link: pausing, or closed */
    WISP_BUS_CLIENT_OPENING,  /* resolving, connecting, TLS first */
    WISP_BUS_CLIENT_GREETING, /* INFO is awaited */
    WISP_BUS_CLIENT_SECURING, /* TLS after INFO */
    WISP_BUS_CLIENT_LOGIN,    /* CONNECT and PING went out, PONG is awaited */
    WISP_BUS_CLIENT_LIVE,
};

struct wisp_bus_flush {
    struct wisp_bus_flush *next;
    struct wisp_bus_client *client;
    uint64_t ping; /* whose PONG it waits for; 0: none yet, there is no connection */
    struct wisp_bus_deadline deadline;
    void (*on_flushed)(const struct wisp_err *err, void *env);
    void *env;
    bool owns_env; /* frees it with itself */
};

struct wisp_bus_client {
    uv_loop_t *loop;
    unsigned n_open_handles; /* uv handles whose close callback is still to come: the last one frees */
    enum wisp_bus_state state;
    enum wisp_bus_client_phase phase;
    bool is_in_callback; /* the caller's code runs: it may not free the client */

    char *name, *token, *user, *password, *jwt, *seed, *creds_path;
    struct wisp_bus_client_tls_options tls;
    uint64_t connect_timeout_ms, ping_interval_ms, reconnect_wait_ms;
    size_t pending_bytes_max;
    bool gives_up_at_start, has_fd;
    void (*on_state)(enum wisp_bus_state state, const struct wisp_err *reason, void *env);
    void *env;
    struct wisp_bus_watch *watches;
    struct wisp_bus_watch *next_watch; /* to be told next */

    struct wisp_bus_servers servers;
    size_t current;    /* server of the link or of the last one */
    unsigned n_rounds; /* over all servers since a connection was there */
    struct wisp_bus_client_link *link;
    struct wisp_bus_parser parser;
    json_t *info; /* the last INFO; NULL: never connected */
    size_t payload_bytes_max;
    struct wisp_err last_server_err; /* what the server said of this connection before it closed it */
    bool is_denied;                  /* it said that our credentials are not good */

    struct wisp_buf out;          /* whole operations; goes out in phase LIVE */
    struct wisp_buf hello;        /* goes out before that */
    struct wisp_buf header_block; /* scratch */
    uv_idle_t flusher;            /* active while there is something to send */

    struct wisp_bus_deadlines deadlines;
    struct wisp_bus_deadline attempt, ping, leave;
    uint64_t n_pings, n_pongs; /* of this connection */
    unsigned n_unanswered;     /* pings since anything was heard */
    struct wisp_bus_flush *flushes, **flushes_end;
    uint64_t violation_logged_ms;

    struct wisp_bus_subscription_slot *slots; /* first one unused */
    uint32_t n_slots, slots_capacity, free_slot;
    struct wisp_bus_mux mux;

    bool is_draining;
    unsigned n_drain_rounds;
    struct wisp_bus_deadline drain;
    void (*on_drained)(void *env);
    void *drain_env;
};

uint64_t wisp_bus_random(void);
/* Something was appended to `out` or `hello`. */
void wisp_bus_client_wake(struct wisp_bus_client *client);
/* Writes what can be written now. */
int wisp_bus_client_send(struct wisp_bus_client *client, struct wisp_err *err) __attribute__((warn_unused_result));
struct wisp_bus_subscription *wisp_bus_client_find(const struct wisp_bus_client *client, uint64_t sid);
void wisp_bus_client_on_pong(struct wisp_bus_client *client);
/* Flushes that were asked for without a connection get their ping, those of a lost one fail. */
void wisp_bus_client_ping_for_flushes(struct wisp_bus_client *client);
void wisp_bus_client_fail_flushes(struct wisp_bus_client *client, const struct wisp_err *reason, bool all);
/* Appends PING and returns its number. */
uint64_t wisp_bus_client_ping(struct wisp_bus_client *client, struct wisp_buf *out);

/* Connects to the next server now. */
void wisp_bus_session_attempt(struct wisp_bus_client *client);
/* What stops the session for good. */
void wisp_bus_session_close(struct wisp_bus_client *client, const struct wisp_err *reason);
void wisp_bus_session_on_open(struct wisp_bus_client *client);
void wisp_bus_session_on_secure(struct wisp_bus_client *client);
void wisp_bus_session_on_bytes(struct wisp_bus_client *client);
void wisp_bus_session_on_writable(struct wisp_bus_client *client);
/* The connection is no more. */
void wisp_bus_session_on_lost(struct wisp_bus_client *client, const struct wisp_err *reason);
