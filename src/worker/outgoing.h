/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of guests to providers: to an instance in this process, without a wire, or over the bus to whoever serves it.
 * One thread. */
#pragma once

#include "worker/builtin.h"
#include "wrpc/call.h"

/* A call on its way. Zeroed but for on_end it can be started; the storage is its owner's. */
struct wisp_outgoing {
    /* Its end: once, perhaps before it has started, never after cancel; the storage may be given up in it. The result
     * is valid during this, unless result_stays: then as long as the arena. */
    void (*on_end)(struct wisp_outgoing *outgoing, const void *result, const struct wisp_err *err);
    bool result_stays;
    /* The rest is private. */
    struct wisp_worker *worker;
    struct wisp_span *span;
    struct wisp_builtin *builtin; /* held */
    struct wisp_provider_call *local;
    struct wisp_wrpc_call *remote;
};

/* As wisp_provider_call_start. */
void wisp_outgoing_to_provider(struct wisp_outgoing *outgoing, struct wisp_provider *provider,
                               const struct wisp_provider_export *export_, const struct wisp_provider_caller *caller,
                               void *args);
/* The same for one of the worker's, by the invocation's link of that name. */
void wisp_outgoing_to_builtin(struct wisp_outgoing *outgoing, const struct wisp_invocation *caller,
                              struct wisp_builtin *builtin, const struct wisp_provider_export *export_,
                              struct wisp_str link_name, void *args);
/* To whoever serves this id, in the invocation's time; waits a while for somebody who does. `args` are not needed after
 * it returns. */
void wisp_outgoing_to_bus(struct wisp_outgoing *outgoing, const struct wisp_invocation *caller,
                          struct wisp_str target_id, struct wisp_str link_name,
                          const struct wisp_wrpc_function *function, const struct wisp_func_type *type,
                          const void *args, struct wisp_arena *arena);
/* For a call that can't even be started: takes the other ends of the writers in `args`. */
void wisp_outgoing_discard(struct wisp_wire_types *types, const struct wisp_provider_interface *interface,
                           const struct wisp_provider_func *func, const void *args, uv_loop_t *loop);
/* Nobody wants its result. Not after on_end. */
void wisp_outgoing_cancel(struct wisp_outgoing *outgoing);

/* One that a guest stands still for. */
struct wisp_outgoing_wait {
    struct wisp_outgoing outgoing;
    struct wisp_call *call;
    const struct wisp_type *type; /* of the result; NULL: none */
    void *result;                 /* its memory is call->arena's in the end */
    struct wisp_err *err;
    bool is_over, has_failed, is_caller_waiting;
};
void wisp_outgoing_wait_init(struct wisp_outgoing_wait *wait, struct wisp_call *call, const struct wisp_type *type,
                             void *result, struct wisp_err *err);
/* After the start; suspends if it has to. 0; WISP_OUTSIDE_FAILED with `err`; or negative: return it at once. */
int wisp_outgoing_wait(struct wisp_outgoing_wait *wait);
