/* SPDX-License-Identifier: Apache-2.0 */
#include "wrpc/call.h"

#include "component/host/opaque.h"
#include "wrpc/carrier.h"
#include "wrpc/collect.h"
#include "wrpc/wrpc_priv.h"

#include <stdlib.h>

struct wisp_wrpc_call {
    struct wisp_wrpc_session session;
    struct wisp_wrpc_carrier carrier; /* in use when the function has streams */
    const struct wisp_type *type;     /* of the result; NULL: none */
    struct wisp_arena *arena;
    struct wisp_wrpc_collector collector;
    wisp_wrpc_on_result *on_result; /* NULL: it is done, and goes on for its streams */
    void *env;
};

static struct wisp_wrpc_call *call_of(struct wisp_wrpc_session *session)
{
    return WISP_OWNER(session, struct wisp_wrpc_call, session);
}

static void call_free(struct wisp_wrpc_call *call, const struct wisp_err *err)
{
    wisp_wrpc_carrier_deinit(&call->carrier, err->kind, err->text);
    wisp_wrpc_session_close(&call->session);
    wisp_wrpc_collector_deinit(&call->collector);
    free(call);
}

void wisp_wrpc_call_cancel(struct wisp_wrpc_call *call)
{
    static const struct wisp_err cancelled = {WISP_ERR_CANCELLED, 0, "the call was given up"};
    if (!call) return;
    /* Of what the callee sends, nothing is wanted. */
    if (call->carrier.session && call->session.window) wisp_wrpc_session_credit(&call->session, "", WISP_STR(""));
    call_free(call, &cancelled);
}

static void complete(struct wisp_wrpc_call *call, const void *result, const struct wisp_err *err)
{
    static const struct wisp_err over = {WISP_ERR_UNAVAILABLE, 0, "the call is over"};
    struct wisp_wrpc_session *session = &call->session;
    wisp_wrpc_on_result *on_result = WISP_TAKE(call->on_result);
    void *env = call->env;
    bool goes_on = !err && call->carrier.session && !wisp_wrpc_carrier_is_over(&call->carrier) && session->peer;
    if (goes_on) {
        call->carrier.is_timed = true;
        wisp_wrpc_session_set_timeout(session, session->wrpc->idle_timeout_ms);
        wisp_wrpc_session_go_on(session);
        wisp_wrpc_collector_deinit(&call->collector);
    } else {
        call_free(call, err ? err : &over);
    }
    if (on_result) on_result(result, err, env);
}

static void on_failed(struct wisp_wrpc_session *session, const struct wisp_err *err)
{
    complete(call_of(session), NULL, err);
}

/* --- streams --- */

static void on_streams_over(struct wisp_wrpc_carrier *carrier)
{
    static const struct wisp_err over = {WISP_ERR_UNAVAILABLE, 0, "the call is over"};
    struct wisp_wrpc_call *call = WISP_OWNER(carrier, struct wisp_wrpc_call, carrier);
    if (!call->on_result) call_free(call, &over);
}

static void on_open(struct wisp_wrpc_session *session)
{
    struct wisp_wrpc_call *call = call_of(session);
    struct wisp_err err = {0};
    if (!call->carrier.session || wisp_wrpc_carrier_open(&call->carrier, &err) == 0) return;
    wisp_err_wrap(&err, "%s: sending a stream", session->label);
    wisp_wrpc_session_fail(session, &err);
}

static void on_room(struct wisp_wrpc_session *session) { wisp_wrpc_carrier_on_room(&call_of(session)->carrier); }

static void on_credit(struct wisp_wrpc_session *session, struct wisp_str path, struct wisp_str payload)
{
    struct wisp_wrpc_call *call = call_of(session);
    if (call->carrier.session) wisp_wrpc_carrier_on_credit(&call->carrier, path, payload);
}

static void on_timeout(struct wisp_wrpc_session *session)
{
    struct wisp_wrpc_call *call = call_of(session);
    if (call->on_result)
        wisp_wrpc_session_time_out(session);
    else
        wisp_wrpc_carrier_on_timeout(&call->carrier);
}

/* --- the result --- */

static void fill_slots(struct wisp_wrpc_call *call, const struct wisp_wrpc_slots *slots)
{
    for (uint32_t i = 0; i < slots->n; i++) {
        const struct wisp_wrpc_slot *slot = &slots->items[i];
        if (!wisp_opaque_is(slot->type)) continue;
        const struct wisp_opaque *opaque = wisp_opaque_new(slot->bytes);
        memcpy(slot->at, &opaque, sizeof opaque);
    }
    if (call->carrier.session) wisp_wrpc_carrier_receive(&call->carrier, slots);
}

/* Returns WISP_WRPC_MORE, or a result. */
static int try_to_decode(struct wisp_wrpc_call *call, void **ret_result, struct wisp_err *err)
{
    struct wisp_wrpc_slots slots = {.arena = call->arena, .prefix = "0"};
    struct wisp_str bytes = wisp_arena_str(call->arena, wisp_buf_str(&call->collector.bytes));
    size_t used;
    *ret_result = wisp_arena_alloc(call->arena, call->type->native_size);
    int r = wisp_wrpc_value_decode_with(call->type, bytes, call->arena, *ret_result, &slots, &used, err);
    if (r == 0 && used < bytes.len)
        return wisp_err_set(err, WISP_ERR_INVALID, "%zu bytes follow its end", bytes.len - used);
    if (r == 0) fill_slots(call, &slots);
    return r;
}

static void take_result(struct wisp_wrpc_call *call, struct wisp_str bytes)
{
    struct wisp_wrpc_session *session = &call->session;
    struct wisp_err err = {0};
    void *result = NULL;
    bool is_end = bytes.len == 0;
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

static void on_bytes(struct wisp_wrpc_session *session, struct wisp_str path, struct wisp_str bytes)
{
    struct wisp_wrpc_call *call = call_of(session);
    if (path.len > 0) {
        if (call->carrier.session) wisp_wrpc_carrier_on_bytes(&call->carrier, path, bytes);
    } else if (call->on_result) {
        take_result(call, bytes);
    }
}

static const struct wisp_wrpc_session_ops ops = {.on_open = on_open,
                                                 .on_bytes = on_bytes,
                                                 .on_room = on_room,
                                                 .on_credit = on_credit,
                                                 .on_timeout = on_timeout,
                                                 .on_failed = on_failed};

/* --- the beginning --- */

static int start(struct wisp_wrpc *wrpc, struct wisp_wrpc_call *call, const struct wisp_wrpc_target *target,
                 const struct wisp_func_type *type, const void *args, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_wrpc_slots slots = {.arena = &arena};
    struct wisp_buf *params = &wrpc->scratch;
    params->len = 0;
    int r = wisp_wrpc_func_check(type, err);
    if (r == 0) r = wisp_wrpc_params_encode(type, args, wrpc->value_bytes_max, &slots, params, err);
    if (r < 0) return wisp_err_wrap(err, "call of `%.*s`", WISP_STR_ARG(target->function.name));
    r = wisp_wrpc_session_call(&call->session, &ops, wrpc, target, wisp_buf_str(params), type->has_streams, err);
    if (r < 0 || !type->has_streams) return r;
    wisp_wrpc_carrier_init(&call->carrier, &call->session, type->result && type->result->has_streams, on_streams_over);
    wisp_wrpc_carrier_send(&call->carrier, &slots);
    return 0;
}

int wisp_wrpc_call_start(struct wisp_wrpc *wrpc, const struct wisp_wrpc_target *target,
                         const struct wisp_func_type *type, const void *args, struct wisp_arena *arena,
                         wisp_wrpc_on_result *on_result, void *env, struct wisp_wrpc_call **ret_call,
                         struct wisp_err *err)
{
    struct wisp_wrpc_call *call = wisp_mem_calloc(1, sizeof *call);
    call->type = type->result;
    call->arena = arena;
    call->on_result = on_result;
    call->env = env;
    int r = start(wrpc, call, target, type, args, err);
    if (r < 0) {
        wisp_wrpc_params_discard(type, args, wrpc->loop);
        free(call);
        return r;
    }
    *ret_call = call;
    return 0;
}
