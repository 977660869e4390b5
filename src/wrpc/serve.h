/* SPDX-License-Identifier: Apache-2.0 */
/* Serving functions of one component or provider. All who serve the same id share its calls (queue group). */
#pragma once

#include "wrpc/stream.h"

struct wisp_wrpc_service;
struct wisp_wrpc_incoming; /* one call */

/* `id` is copied. INVALID when it can't be part of a subject. */
int wisp_wrpc_service_new(struct wisp_wrpc_service **ret_service, struct wisp_wrpc *wrpc, struct wisp_str id,
                          struct wisp_err *err) __attribute__((warn_unused_result));
/* Takes no more calls from now on, and loses those that are on their way: drain before. Calls that were handed out stay
 * valid until they are finished. NULL is fine. */
void wisp_wrpc_service_free(struct wisp_wrpc_service *service);
/* Asks for no more calls, takes those that were sent before the server knew, and waits until all calls are finished;
 * then on_drained, from the loop. Only free may follow; it may also come earlier, and then on_drained doesn't come. */
void wisp_wrpc_service_drain(struct wisp_wrpc_service *service, void (*on_drained)(void *env), void *env);
/* Calls accepted and not yet finished, or with streams that are still under way. */
size_t wisp_wrpc_service_in_flight(const struct wisp_wrpc_service *service);

/* What the caller says about itself; empty when it does not. */
struct wisp_wrpc_caller {
    struct wisp_str source_id, link_name, target_id, traceparent, tracestate;
};

/* Streams: readers among the parameters are whoever's gets the call, to be closed also after it was finished or failed,
 * which may be before their end; when the call is given up they fail. Writers in the result go on after it was
 * finished. The type is needed until both are through.
 *
 * A call with all its parameters, as the struct of the type. It must be finished or failed, within this callback or
 * later; till then `args` and the caller's strings stay. How many run at once is the callee's business: it may let
 * calls wait, or fail them. */
typedef void wisp_wrpc_on_call(struct wisp_wrpc_incoming *call, const void *args, void *env);

/* Serves one function. `type` is borrowed while the service lives and calls are open. UNSUPPORTED when values of its
 * types can't be sent, or have handles. Calls whose parameters can't be understood are failed without asking. */
int wisp_wrpc_service_add(struct wisp_wrpc_service *service, const struct wisp_wrpc_function *function,
                          const struct wisp_func_type *type, wisp_wrpc_on_call *on_call, void *env,
                          struct wisp_err *err) __attribute__((warn_unused_result));

const struct wisp_wrpc_caller *wisp_wrpc_incoming_caller(const struct wisp_wrpc_incoming *call);
/* Memory that lives as long as the call. */
struct wisp_arena *wisp_wrpc_incoming_arena(struct wisp_wrpc_incoming *call);
/* Sends the result (NULL: the function has none) and ends the call, also when that fails (its writers are closed then):
 * the caller is told that the call failed then, and the error is for the log. */
int wisp_wrpc_incoming_finish(struct wisp_wrpc_incoming *call, const void *result, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Ends it without a result. wRPC can't carry the cause. */
void wisp_wrpc_incoming_fail(struct wisp_wrpc_incoming *call);
