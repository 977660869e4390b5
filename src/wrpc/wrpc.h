/* SPDX-License-Identifier: Apache-2.0 */
/* wRPC over NATS as wasmCloud 1.6 speaks it: calls between components and providers of one lattice, on any host.
 *
 *     caller                                          callee
 *       ── {L}.{id}.wrpc.0.0.1.{interface}.{function} ──▶   reply: C; parameters, as many bytes as fit
 *       ◀── C ──                                            empty, reply: S: the call was accepted
 *       ── S.params ──▶                                     more of the parameters; then an empty message
 *       ── S.params.{path} ──▶                              streams among the parameters; each ends empty
 *       ◀── C.results ──                                    the result; then an empty message
 *       ◀── C.results.{path} ──                             streams in the result; each ends empty
 *
 * C and S are inboxes, one of each per call. A callee that fails ends C.results without a (whole) result; no cause is
 * sent. Where there is no result, that would look like success: one of our own sends the header `wisp-failed` with the
 * end, which others ignore.
 *
 * The bus does not slow a sender down. What a receiver does not read in time is kept up to a limit, and beyond it the
 * call is broken off. Two of our own do better: a call that has streams carries the header `wisp-window: BYTES`, its
 * accept answers with another, and that many bytes of streams may be sent before a message to C.credit or S.credit
 * (LEB128: bytes since the beginning) allows more. That is how the body of an HTTP message goes; with other functions
 * each stream has its own credit, by messages to C.credit.{path}, where an empty one says that nobody reads it any more
 * (without a path: any of them). Others ignore header and messages, and do without.
 *
 * A call that nobody takes was not delivered, and may be sent again. Whether somebody who took one is still there can
 * be asked: a request to S.probe has no responders once S is gone. An accept with the header `wisp-probe` says that
 * this may be done at any time; C.probe is for the other direction.
 *
 * Nor does a short answer need all this: a call whose own message holds all of its parameters, none of them a stream,
 * carries the header `wisp-direct`. Whoever knows it and has the result soon, in one message, sends that and nothing
 * else (a result of no bytes is the empty message); a failure is `wisp-failed` alone. Otherwise the accept comes late,
 * and the caller says nothing more. To all others the accept goes out with the answer, or first when that takes longer.
 *
 * value.h has the encoding, call.h calls, serve.h serves, http.h puts HTTP exchanges on top, session.h is below all of
 * them. One loop, one thread; callbacks come from the loop only. */
#pragma once

#include "bus/client.h"

/* Who has served something lately, by the hash of the target; zeroed at first. It may lie in memory that processes of
 * one machine share, so that one knows what another has heard. Two that write a slot at once may mix it up: then a call
 * waits too long, or too short, once. */
enum { WISP_WRPC_SEEN_MAX = 256 }; /* a power of two */
struct wisp_wrpc_seen {
    struct {
        _Atomic uint64_t hash, at_ms; /* of the loops' clock, which all processes have in common */
    } of[WISP_WRPC_SEEN_MAX];
};

/* A lattice as reached through one bus client. */
struct wisp_wrpc;

struct wisp_wrpc_options {
    uv_loop_t *loop;
    struct wisp_bus_client *bus; /* borrowed; outlives it */
    const char *lattice;         /* one token of a subject: "default" */
    size_t value_bytes_max;      /* of one call's parameters or result; 0: WISP_WRPC_VALUE_BYTES_MAX */
    size_t stream_bytes_max;     /* of one call's stream that waits to be read here; 0: 16 MiB */
    /* A callee gives up on a caller whose parameters stop coming, an exchange on the other side's body, a reader on its
     * stream; 0: 30 s. */
    uint64_t idle_timeout_ms;
    struct wisp_wrpc_seen *seen; /* borrowed; NULL: its own */
};

/* INVALID when the lattice can't be part of a subject. */
int wisp_wrpc_new(struct wisp_wrpc **ret_wrpc, const struct wisp_wrpc_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* After all services, calls and forwards of it, and before its bus client. Streams that are still under way are broken
 * off. Its handles close in the loop's next turns. NULL is fine. */
void wisp_wrpc_free(struct wisp_wrpc *wrpc);

/* What is called: "wasi:keyvalue/store@0.2.0" (empty for functions of the world) and "get"; names of methods
 * ("[method]bucket.get") go without their prefix. */
struct wisp_wrpc_function {
    struct wisp_str interface, name;
};
/* Appends the subject of a call. INVALID when one of the parts can't be in a subject. */
int wisp_wrpc_subject(struct wisp_str lattice, struct wisp_str target, const struct wisp_wrpc_function *function,
                      struct wisp_buf *out, struct wisp_err *err) __attribute__((warn_unused_result));
