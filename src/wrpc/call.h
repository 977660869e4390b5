/* SPDX-License-Identifier: Apache-2.0 */
/* Calling a function by its type, with native values. */
#pragma once

#include "wrpc/stream.h"

struct wisp_wrpc_target {
    struct wisp_str id; /* of a component or provider */
    struct wisp_wrpc_function function;
    const struct wisp_bus_header *headers; /* source-id, link-name, traceparent, ... */
    size_t n_headers;
    uint64_t timeout_ms; /* until the whole result is here; 0: none */
    /* How long to go on trying while nobody serves it, within the timeout; 0: it fails at once. A call that nobody took
     * was not delivered, so that nothing is done twice. */
    uint64_t wait_ms;
    /* The same while it isn't known either that somebody will: no host says that it is to run the target (asked at
     * WISP_WRPC_RUNS), and nobody has served anything of it for 15 s. 0: wait_ms. */
    uint64_t unknown_wait_ms;
};

struct wisp_wrpc_call;

/* Exactly once, unless the call was cancelled before. `result` is the native value, NULL when there is an error or the
 * function has no result; valid as long as the arena. Errors name function and target:
 * UNAVAILABLE: nobody serves it; TIMEOUT; GUEST: the callee failed; INVALID: its answer can't be understood; LIMIT. */
typedef void wisp_wrpc_on_result(const void *result, const struct wisp_err *err, void *env);

/* Owned handles (component/host/opaque.h) in the arguments stay the caller's; those in the result are owned by whoever
 * gets it. Values with handles go over the bus only: not from one component of this process to another
 * (type->has_handles).
 *
 * Writers in the arguments are taken in any case (stream.h); they are connected once the call is accepted. Readers in
 * the result are of whoever gets it. What streams carry goes on after on_result, for as long as one is open on both
 * sides, without anything to be done about the call, which is gone for its caller: until wisp_wrpc_free. A reader fails
 * when nothing comes that it waits for within the idle timeout; one of our own processes at the other end may take its
 * time as long as it is there and knows of the call.
 *
 * Everything given is copied or sent before it returns. The result goes to the arena, which must live until on_result
 * or cancel. Fails at once, and without on_result, when the arguments can't be sent. */
int wisp_wrpc_call_start(struct wisp_wrpc *wrpc, const struct wisp_wrpc_target *target,
                         const struct wisp_func_type *type, const void *args, struct wisp_arena *arena,
                         wisp_wrpc_on_result *on_result, void *env, struct wisp_wrpc_call **ret_call,
                         struct wisp_err *err) __attribute__((warn_unused_result));
/* Nobody is told; the callee goes on. Streams are broken off. Not after on_result. NULL is fine. */
void wisp_wrpc_call_cancel(struct wisp_wrpc_call *call);

/* Whoever supervises a process that served `id` publishes an empty message to `wisp.ended.{lattice}.{id}` when it has
 * ended; that is heard here, and does the following. */
#define WISP_WRPC_ENDED "wisp.ended"
/* Hosts of ours answer an empty request to this subject, of lattice and id, when they have been told to run it. */
#define WISP_WRPC_RUNS "wasmbus.rpc.%.*s.%.*s.runs"
/* A process that served `id` has ended. Calls (and HTTP forwards) that it may have had fail with
 * UNAVAILABLE instead of waiting for their time to be over: those that it had taken, when it is gone from the bus, and
 * those that nobody has taken yet, since it may have had them. None is sent again: it could be done twice. Those that
 * others of that id have taken go on, and so do those that had no responder and wait. */
void wisp_wrpc_target_ended(struct wisp_wrpc *wrpc, struct wisp_str id);
