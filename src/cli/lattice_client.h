/* SPDX-License-Identifier: Apache-2.0 */
/* A lattice as verbs see it: ask and wait for the answer. Synchronous; SIGINT and SIGTERM end every wait with
 * CANCELLED.
 *
 * Control subjects are named by their tail: "host.ping" is wasmbus.ctl.v1.LATTICE.host.ping. */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "bus/client.h"
#include "cli/connection.h"

struct wisp_lattice_client;

/* Connects. UNAVAILABLE and others say what to try. */
int wisp_lattice_client_new(struct wisp_lattice_client **ret_client, const struct wisp_connection *connection,
                            struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_lattice_client_free(struct wisp_lattice_client *client);
void wisp_lattice_client_freep(struct wisp_lattice_client **client);
#define WISP_CLEANUP_LATTICE_CLIENT __attribute__((cleanup(wisp_lattice_client_freep)))

const struct wisp_connection_settings *wisp_lattice_client_settings(const struct wisp_lattice_client *client);
/* Lives as long as the client; for texts of subjects and the like. */
struct wisp_arena *wisp_lattice_client_arena(struct wisp_lattice_client *client);
/* For what else runs on the same connection and loop. */
struct wisp_bus_client *wisp_lattice_client_bus(struct wisp_lattice_client *client);
uv_loop_t *wisp_lattice_client_loop(struct wisp_lattice_client *client);
/* Runs the loop until *is_done, at most timeout_ms (UINT64_MAX: no end). TIMEOUT, CANCELLED; UNAVAILABLE when the
 * connection was given up. */
int wisp_lattice_client_wait(struct wisp_lattice_client *client, const bool *is_done, uint64_t timeout_ms,
                             struct wisp_err *err) __attribute__((warn_unused_result));

/* From now on signals are kept for the next wait, for whom being interrupted is an outcome like another. Otherwise one
 * that comes between two waits ends the program. */
void wisp_lattice_client_hold_signals(struct wisp_lattice_client *client);

/* --- questions --- */

struct wisp_lattice_reply {
    json_t *envelope;
    const char *message; /* never NULL */
    json_t *response;    /* borrowed; NULL when there is none */
};
void wisp_lattice_reply_deinit(struct wisp_lattice_reply *reply);
#define WISP_CLEANUP_LATTICE_REPLY __attribute__((cleanup(wisp_lattice_reply_deinit)))

/* `body` NULL: empty; its reference is taken in any case. A refusal (success: false) is an error with the host's words.
 * Nobody listens: UNAVAILABLE when any host could answer; NOT_FOUND when `host_id` isn't NULL, which is then appended
 * to the subject. TIMEOUT means that it may or may not have happened. `timeout_ms` 0: as the connection's. */
struct wisp_lattice_question {
    const char *tail, *host_id;
    json_t *body;
    uint64_t timeout_ms;
};
int wisp_lattice_client_ask(struct wisp_lattice_client *client, const struct wisp_lattice_question *question,
                            struct wisp_lattice_reply *ret_reply, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* Responses of all hosts that answer. Ends when `enough` (0: no such number) are there or time is up; unless the
 * question has a timeout of its own, also when answers have stopped coming: nothing for four times as long as the first
 * one took, and at least 300 ms. UNAVAILABLE when nobody listens; no answer at all is an empty array. */
int wisp_lattice_client_gather(struct wisp_lattice_client *client, const struct wisp_lattice_question *question,
                               size_t enough, json_t **ret_responses, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Hosts refuse with words only: the kind of error that they mean. */
enum wisp_err_kind wisp_lattice_kind_of_refusal(const char *message);
/* UNAVAILABLE, with what to try. */
int wisp_lattice_client_refuse_empty(const struct wisp_lattice_client *client, struct wisp_err *err);

/* --- listening --- */

struct wisp_lattice_message {
    struct wisp_lattice_message *next;
    size_t size;
    struct wisp_str subject, payload;
    const struct wisp_bus_header *headers;
    size_t n_headers;
};
enum { WISP_LATTICE_QUEUE_BYTES_MAX = 32 << 20 };

/* From now on, messages that match are queued. Any number of patterns. */
int wisp_lattice_client_subscribe(struct wisp_lattice_client *client, const char *pattern, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* 1 and the oldest message (valid until the next call), 0 when time is up; CANCELLED and others. */
int wisp_lattice_client_next(struct wisp_lattice_client *client, uint64_t timeout_ms,
                             const struct wisp_lattice_message **ret_message, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* LIMIT when messages did not fit into the queue. */
int wisp_lattice_client_check_complete(const struct wisp_lattice_client *client, struct wisp_err *err)
    __attribute__((warn_unused_result));
