/* SPDX-License-Identifier: Apache-2.0 */
#include "wrpc/call.h"

#include "wrpc/collect.h"
#include "wrpc/wrpc_priv.h"

#include <stdlib.h>

struct wisp_wrpc_call {
    struct wisp_wrpc_session session;
    const struct wisp_type *type; /* of the result; NULL: none */
    struct wisp_arena *arena;
    struct wisp_wrpc_collector collector;
    wisp_wrpc_on_result *on_result;
    void *env;
};

static struct wisp_wrpc_call *call_of(struct wisp_wrpc_session *session)
{
    return WISP_OWNER(session, struct wisp_wrpc_call, session);
}

void wisp_wrpc_call_cancel(struct wisp_wrpc_call *call)
{
    if (!call) return;
    wisp_wrpc_session_close(&call->session);
    wisp_wrpc_collector_deinit(&call->collector);
    free(call);
}

static void complete(struct wisp_wrpc_call *call, const void *result, const struct wisp_err *err)
{
    wisp_wrpc_on_result *on_result = call->on_result;
    void *env = call->env;
    wisp_wrpc_call_cancel(call);
    on_result(result, err, env);
}

static void on_failed(struct wisp_wrpc_session *session, const struct wisp_err *err)
{
    complete(call_of(session), NULL, err);
}

/* Returns WISP_WRPC_MORE, or a result. */
static int try_to_decode(struct wisp_wrpc_call *call, void **ret_result, struct wisp_err *err)
{
    struct wisp_str bytes = wisp_arena_str(call->arena, wisp_buf_str(&call->collector.bytes));
    size_t used;
    *ret_result = wisp_arena_alloc(call->arena, call->type->native_size);
    int r = wisp_wrpc_value_decode(call->type, bytes, call->arena, *ret_result, &used, err);
    if (r == 0 && used < bytes.len)
        return wisp_err_set(err, WISP_ERR_INVALID, "%zu bytes follow its end", bytes.len - used);
    return r;
}

static void on_bytes(struct wisp_wrpc_session *session, struct wisp_str path, struct wisp_str bytes)
{
    struct wisp_wrpc_call *call = call_of(session);
    struct wisp_err err = {0};
    void *result = NULL;
    bool is_end = bytes.len == 0;
    if (path.len > 0) return; /* a type without streams has no paths */
    int r = wisp_wrpc_collect(&call->collector, bytes, session->wrpc->value_bytes_max, &err);
    if (r == 0 && !call->type) {
        if (!is_end) r = wisp_err_set(&err, WISP_ERR_INVALID, "it has none");
    } else if (r == 0) {
        if (!wisp_wrpc_collector_is_worth_a_try(&call->collector, is_end)) return;
        r = try_to_decode(call, &result, &err);
        if (r == WISP_WRPC_MORE && !is_end) return;
    }
    if (r == WISP_WRPC_MORE)
        wisp_err_set(&err, WISP_ERR_GUEST, "%s failed: it ended without a %sresult", session->label,
                     call->collector.bytes.len > 0 ? "whole " : "");
    else if (r < 0)
        wisp_err_wrap(&err, "the result of %s can't be understood", session->label);
    complete(call, r == 0 ? result : NULL, r == 0 ? NULL : &err);
}

static const struct wisp_wrpc_session_ops ops = {.on_bytes = on_bytes, .on_failed = on_failed};

int wisp_wrpc_call_start(struct wisp_wrpc *wrpc, const struct wisp_wrpc_target *target,
                         const struct wisp_func_type *type, const void *args, struct wisp_arena *arena,
                         wisp_wrpc_on_result *on_result, void *env, struct wisp_wrpc_call **ret_call,
                         struct wisp_err *err)
{
    struct wisp_buf *params = &wrpc->scratch;
    params->len = 0;
    int r = wisp_wrpc_func_check(type, err);
    if (r == 0) r = wisp_wrpc_params_encode(type, args, wrpc->value_bytes_max, params, err);
    if (r < 0) return wisp_err_wrap(err, "call of `%.*s`", WISP_STR_ARG(target->function.name));

    struct wisp_wrpc_call *call = wisp_mem_alloc(sizeof *call);
    *call = (struct wisp_wrpc_call){.type = type->result, .arena = arena, .on_result = on_result, .env = env};
    r = wisp_wrpc_session_call(&call->session, &ops, wrpc, target, wisp_buf_str(params), false, err);
    if (r < 0) {
        free(call);
        return r;
    }
    *ret_call = call;
    return 0;
}
