/* SPDX-License-Identifier: Apache-2.0 */
/* Calling a function by its type, with native values. */
#pragma once

#include "component/types.h"
#include "wrpc/wrpc.h"

struct wisp_wrpc_target {
    struct wisp_str id; /* of a component or provider */
    struct wisp_wrpc_function function;
    const struct wisp_bus_header *headers; /* source-id, link-name, traceparent, ... */
    size_t n_headers;
    uint64_t timeout_ms; /* until the whole result is here; 0: none */
};

struct wisp_wrpc_call;

/* Exactly once, unless the call was cancelled before. `result` is the native value, NULL when there is an error or the
 * function has no result; valid as long as the arena. Errors name function and target:
 * UNAVAILABLE: nobody serves it; TIMEOUT; GUEST: the callee failed; INVALID: its answer can't be understood; LIMIT. */
typedef void wisp_wrpc_on_result(const void *result, const struct wisp_err *err, void *env);

/* Everything given is copied or sent before it returns. The result goes to the arena, which must live until on_result
 * or cancel. Fails at once, and without on_result, when the arguments can't be sent. */
int wisp_wrpc_call_start(struct wisp_wrpc *wrpc, const struct wisp_wrpc_target *target,
                         const struct wisp_func_type *type, const void *args, struct wisp_arena *arena,
                         wisp_wrpc_on_result *on_result, void *env, struct wisp_wrpc_call **ret_call,
                         struct wisp_err *err) __attribute__((warn_unused_result));
/* Nobody is told; the callee goes on. Not after on_result. NULL is fine. */
void wisp_wrpc_call_cancel(struct wisp_wrpc_call *call);
