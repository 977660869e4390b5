/* SPDX-License-Identifier: Apache-2.0 */
/* One side of one call, as bytes: the handshake, who sends what to which subject, limits in time. What the bytes mean
 * is the business of those above. Streams within parameters and results have paths ("0.1": second field of the first
 * parameter); the parameters and results themselves are the empty path. */
#pragma once

#include "base/ring.h"
#include "wrpc/call.h"

struct wisp_wrpc_session;

struct wisp_wrpc_session_ops {
    /* The other side accepted the call: sending may begin. The caller's side only; may be NULL. */
    void (*on_open)(struct wisp_wrpc_session *session);
    /* Bytes of a path; its end when there are none. May close the session. The path is the peer's choice: it may be one
     * that does not exist, which is nothing to complain of. */
    void (*on_bytes)(struct wisp_wrpc_session *session, struct wisp_str path, struct wisp_str bytes);
    /* Of a session with streams by path: `payload` says how much of this one may be sent in all, or that nobody wants
     * it (empty). May be NULL: then all streams have one credit. */
    void (*on_credit)(struct wisp_wrpc_session *session, struct wisp_str path, struct wisp_str payload);
    /* As wisp_wrpc_session_is_heard; the caller has said nothing. The called side only; may be NULL. */
    void (*on_heard)(struct wisp_wrpc_session *session);
    /* There is room again, after wisp_wrpc_session_room said 0. May be NULL. */
    void (*on_room)(struct wisp_wrpc_session *session);
    /* The time that was set is over, the session still open. NULL: it fails. */
    void (*on_timeout)(struct wisp_wrpc_session *session);
    /* UNAVAILABLE: nobody serves it; TIMEOUT; INVALID: the other side broke the protocol. The session is closed. */
    void (*on_failed)(struct wisp_wrpc_session *session, const struct wisp_err *err);
};

/* First in what the two sides are. Zeroed: closed. Fields are the business of session.c. */
struct wisp_wrpc_session {
    const struct wisp_wrpc_session_ops *ops;
    struct wisp_wrpc *wrpc;
    struct wisp_bus_inbox *inbox; /* NULL: closed */
    bool is_caller;
    char *label;  /* "`wasi:keyvalue/store@0.2.0.get` at `kv`", for errors */
    char *peer;   /* the other side's inbox, S or C; NULL: not known yet */
    char *unsent; /* parameters that did not fit into the first message */
    size_t unsent_size;
    uint64_t timeout_ms, deadline_ms;
    struct wisp_link timed, waiting; /* for the deadline; for room */
    struct wisp_link tail;           /* only streams of it are still under way */
    struct wisp_link calling;        /* of a caller: among all calls of the lattice */
    struct wisp_link unaccepted;     /* of a callee: the accept is still to be sent */
    uint64_t accept_ms;              /* when, if there is no answer before */
    bool has_headers;                /* of a callee: the caller has sent some */
    bool is_heard;                   /* of a callee: what is sent reaches the caller */
    bool is_direct;                  /* the caller has said all with the call, and needs the result only */
    char *target;                    /* of a caller: the id that is called */
    struct wisp_wrpc_again *again;   /* what to send while nobody takes it; NULL: it is not sent again */
    struct wisp_bus_request *probe;  /* whether the other side is still there; NULL: not being asked */
    uint64_t again_ms, probe_ms;     /* when to send that, or the accept, again, when to ask; UINT64_MAX: not now */
    uint64_t sent, sent_max;         /* bytes of streams; UINT64_MAX: the other side does not say */
    uint64_t window, granted;        /* what we allow ahead of reading, and in all; window 0: unlimited */
    bool is_short_of_credit;
};

/* Calls. `params` are the encoded parameters, without what their streams carry; copied. The target's timeout is set. A
 * call of a function with streams asks for flow control. */
int wisp_wrpc_session_call(struct wisp_wrpc_session *session, const struct wisp_wrpc_session_ops *ops,
                           struct wisp_wrpc *wrpc, const struct wisp_wrpc_target *target, struct wisp_str params,
                           bool has_streams, struct wisp_err *err) __attribute__((warn_unused_result));
/* Takes the call that `message` begins, and is open. The accept itself goes out a little later, or with what is sent
 * first: an answer that is there soon saves it, and all that it sets in motion. The message's payload is for the caller
 * of this to look at. INVALID: there is no way to answer it. */
int wisp_wrpc_session_accept(struct wisp_wrpc_session *session, const struct wisp_wrpc_session_ops *ops,
                             struct wisp_wrpc *wrpc, const struct wisp_bus_message *message, const char *label,
                             struct wisp_err *err) __attribute__((warn_unused_result));
/* Sends the accept, if it isn't out: the other side has more to say. */
int wisp_wrpc_session_accept_now(struct wisp_wrpc_session *session, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* No callback comes any more, nothing can be sent. Harmless on a closed one. */
void wisp_wrpc_session_close(struct wisp_wrpc_session *session);
/* Whether what is sent now reaches the caller. That of the original's crates (wrpc-transport-nats 0.27.1) may look at
 * what comes before it has put itself down for its inbox: then it loses the first messages of an answer that is fast,
 * be it the accept, and waits for ever. So nothing but the accept goes to others than our own until they have sent
 * parameters, at least their end, or for a while, after which they are sent another accept.
 * False: on_bytes for the empty path, or on_heard, follows once the accept was sent. The called side only. */
static inline bool wisp_wrpc_session_is_heard(const struct wisp_wrpc_session *session) { return session->is_heard; }
/* That while is over. */
void wisp_wrpc_session_accept_again(struct wisp_wrpc_session *session);
/* Asks the bus whether the other side still exists; if not, the session fails with UNAVAILABLE. Before the call was
 * accepted: whether it is on its way to somebody. */
void wisp_wrpc_session_probe(struct wisp_wrpc_session *session);
/* Asks one of our own whether it still knows of the session; it fails when there is no answer within the idle timeout.
 */
void wisp_wrpc_session_probe_own(struct wisp_wrpc_session *session);
/* From now on; 0: none. */
void wisp_wrpc_session_set_timeout(struct wisp_wrpc_session *session, uint64_t timeout_ms);
/* Nobody but its streams needs it any more. Fails when the lattice is freed. */
void wisp_wrpc_session_go_on(struct wisp_wrpc_session *session);
/* As on_failed: "nothing more came". */
void wisp_wrpc_session_time_out(struct wisp_wrpc_session *session);
/* As on_failed. */
void wisp_wrpc_session_fail(struct wisp_wrpc_session *session, const struct wisp_err *err);

/* Sends bytes (at least one) to a path, in as many messages as it takes. Only when open. Errors are the bus's. */
int wisp_wrpc_session_send(struct wisp_wrpc_session *session, const char *path, struct wisp_str bytes,
                           struct wisp_err *err) __attribute__((warn_unused_result));
/* Ends a path. */
int wisp_wrpc_session_end(struct wisp_wrpc_session *session, const char *path, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Sends a whole result (may be no bytes) and ends it. The called side only. */
int wisp_wrpc_session_answer(struct wisp_wrpc_session *session, struct wisp_str bytes, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Ends the results of a call that failed, in a way that a wisp caller can tell from success also when the function has
 * no result. The called side only. */
#define WISP_WRPC_FAILED_HEADER "wisp-failed"
int wisp_wrpc_session_end_failed(struct wisp_wrpc_session *session, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Tells the other side how much of a stream it may send in all. If that does not arrive, nothing does. */
void wisp_wrpc_session_credit(struct wisp_wrpc_session *session, const char *path, struct wisp_str payload);
/* How many bytes should be sent now: what the bus may have in hand for all sessions of a lattice, and what the other
 * side allows. 0: wait for on_room. */
size_t wisp_wrpc_session_room(struct wisp_wrpc_session *session);
/* That many of the bytes sent were content of a stream. */
void wisp_wrpc_session_count(struct wisp_wrpc_session *session, size_t size);
/* That many such bytes, since the beginning, were received and are done with: the other side may send more. */
void wisp_wrpc_session_allow(struct wisp_wrpc_session *session, uint64_t consumed);
