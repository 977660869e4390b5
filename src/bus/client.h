/* SPDX-License-Identifier: Apache-2.0 */
/* A NATS client on a libuv loop: one connection that is made again whenever it is lost. It speaks to the embedded bus
 * and to NATS servers alike.
 *
 * One loop, one thread. Callbacks come from the loop only, never from within a call. They may call everything here,
 * also unsubscribe and cancel themselves, but not free the client. What is published and subscribed while there is no
 * connection is kept (up to pending_bytes_max) and goes out, in order, when there is one again. */
#pragma once

#include "bus/bus.h"

#include <uv.h>

struct wisp_bus_client;
struct wisp_bus_subscription;
struct wisp_bus_request;

enum wisp_bus_state {
    WISP_BUS_CONNECTING, /* never was connected yet */
    WISP_BUS_CONNECTED,
    WISP_BUS_RECONNECTING,
    WISP_BUS_CLOSED, /* given up: wrong credentials, or first connect failed for good; see the error */
};

struct wisp_bus_client_options {
    /* "nats://[USER[:PASSWORD]@|TOKEN@]HOST[:PORT]", "tls://…", "unix:/PATH", or "HOST[:PORT]"; several are
     * shuffled, but Unix sockets come first. Servers that a server tells of are added. */
    const char *const *urls;
    size_t n_urls;
    int fd;           /* a connected stream socket, taken over, when there are no urls. Never connected again */
    const char *name; /* told to the server */
    const char *token, *user, *password; /* may be NULL; those of a url win */
    const char *jwt, *seed;              /* NKEY/JWT authentication, texts; seed alone: plain nkey */
    const char *creds_path;              /* file with both; read on every connect */
    struct {
        bool is_required, is_first;                 /* is_first: handshake before INFO */
        const char *ca_path, *cert_path, *key_path; /* may be NULL: the system's CAs, no client certificate */
    } tls;
    const char *inbox_prefix;    /* NULL: "_INBOX" */
    uint64_t connect_timeout_ms; /* of one attempt; 0: 2 s */
    uint64_t ping_interval_ms;   /* 0: 20 s; two unanswered: connection lost. None on Unix sockets of urls */
    uint64_t reconnect_wait_ms;  /* first pause, doubled up to 4 s, with jitter; 0: 100 ms. Never gives up */
    size_t pending_bytes_max;    /* 0: 16 MiB */
    bool gives_up_at_start;      /* the first round over all urls fails: CLOSED instead of trying on */
    /* On every change. May be NULL. `reason` is empty for CONNECTED. Also told once as CONNECTING, with the reason,
     * when the first round over all urls failed and it tries on. */
    void (*on_state)(enum wisp_bus_state state, const struct wisp_err *reason, void *env);
    void *env;
};

/* Begins to connect. Options are copied. INVALID for urls that can't be understood. */
int wisp_bus_client_new(struct wisp_bus_client **ret_client, uv_loop_t *loop,
                        const struct wisp_bus_client_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Closes at once, without callbacks; requests and subscriptions are gone. Its handles close in the loop's next turns.
 * NULL is fine. */
void wisp_bus_client_free(struct wisp_bus_client *client);
/* Unsubscribes everything, lets callbacks for what has arrived happen, flushes, then calls on_drained; at most
 * timeout_ms. Only free may follow. */
void wisp_bus_client_drain(struct wisp_bus_client *client, uint64_t timeout_ms, void (*on_drained)(void *env),
                           void *env);

/* One more who is told of changes of state, after `on_state`. The struct is the caller's, until unwatched. */
struct wisp_bus_watch {
    void (*on_state)(enum wisp_bus_state state, const struct wisp_err *reason, void *env);
    void *env;
    struct wisp_bus_watch *next; /* the client's */
};
void wisp_bus_client_watch(struct wisp_bus_client *client, struct wisp_bus_watch *watch);
void wisp_bus_client_unwatch(struct wisp_bus_client *client, struct wisp_bus_watch *watch);

enum wisp_bus_state wisp_bus_client_state(const struct wisp_bus_client *client);
/* What the server allows in one message, headers included; a default while never connected. */
size_t wisp_bus_client_payload_max(const struct wisp_bus_client *client);
/* "nats://127.0.0.1:4222" of the current or last server, without credentials. */
const char *wisp_bus_client_url(const struct wisp_bus_client *client);
/* Fields of the last INFO; empty while never connected. */
struct wisp_str wisp_bus_client_server_id(const struct wisp_bus_client *client);
bool wisp_bus_client_has_jetstream(const struct wisp_bus_client *client);

/* Bytes are copied (or written right away). LIMIT when larger than allowed or when too much is pending, INVALID for
 * subjects that can't be published to. `reply` may be empty. */
int wisp_bus_publish(struct wisp_bus_client *client, struct wisp_str subject, struct wisp_str reply,
                     const struct wisp_bus_header *headers, size_t n_headers, struct wisp_str payload,
                     struct wisp_err *err) __attribute__((warn_unused_result));

typedef void wisp_bus_on_message(const struct wisp_bus_message *message, void *env);
/* `queue` may be empty. Holds across reconnects. Owned by the client, ends with unsubscribe. */
int wisp_bus_subscribe(struct wisp_bus_client *client, struct wisp_str pattern, struct wisp_str queue,
                       wisp_bus_on_message *on_message, void *env, struct wisp_bus_subscription **ret_subscription,
                       struct wisp_err *err) __attribute__((warn_unused_result));
/* No callback comes after it. NULL is fine. */
void wisp_bus_unsubscribe(struct wisp_bus_subscription *subscription);
/* Asks the server to send no more; what it had sent before it heard of that is still delivered. Then, from the loop,
 * on_ended, and the subscription is gone. Also ends, at once, when the connection is lost. */
void wisp_bus_subscription_drain(struct wisp_bus_subscription *subscription, void (*on_ended)(void *env), void *env);

/* The answer, or NULL with `err`: TIMEOUT, UNAVAILABLE (no responders, connection lost for good). Exactly once unless
 * cancelled. */
typedef void wisp_bus_on_reply(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env);
/* All requests of a client share one subscription. */
int wisp_bus_request(struct wisp_bus_client *client, struct wisp_str subject, const struct wisp_bus_header *headers,
                     size_t n_headers, struct wisp_str payload, uint64_t timeout_ms, wisp_bus_on_reply *on_reply,
                     void *env, struct wisp_bus_request **ret_request, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_bus_request_cancel(struct wisp_bus_request *request);

enum { WISP_BUS_INBOX_MAX = 128 };
/* A new subject below a prefix of this client's own that one wildcard subscription covers: messages to it and to
 * anything below it ("INBOX.results.0") go to on_message until the inbox is closed. No traffic to open or close. NULL
 * when the client is closed for good or drained, or has a million of them. */
struct wisp_bus_inbox;
struct wisp_bus_inbox *wisp_bus_inbox_open(struct wisp_bus_client *client, wisp_bus_on_message *on_message, void *env);
/* Valid until closed. */
struct wisp_str wisp_bus_inbox_subject(const struct wisp_bus_inbox *inbox);
void wisp_bus_inbox_close(struct wisp_bus_inbox *inbox);
/* A subject of one's own that no inbox covers, to be subscribed to: for deliveries that keep another subject, such as
 * JetStream's. Ends with NUL. */
void wisp_bus_unique_subject(struct wisp_bus_client *client, char subject[WISP_BUS_INBOX_MAX]);

/* Calls back when the server has processed everything before (PING, PONG); err: connection lost or timeout. */
void wisp_bus_flush(struct wisp_bus_client *client, uint64_t timeout_ms,
                    void (*on_flushed)(const struct wisp_err *err, void *env), void *env);
