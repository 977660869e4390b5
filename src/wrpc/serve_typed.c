/* SPDX-License-Identifier: Apache-2.0 */
/* Functions served by their type, with native values. */
#include "base/log.h"
#include "wrpc/carrier.h"
#include "wrpc/collect.h"
#include "wrpc/serve_priv.h"

#include <stdlib.h>

/* What an endpoint knows of its function. */
struct typed {
    const struct wisp_func_type *type;
    wisp_wrpc_on_call *on_call;
    void *env;
};

struct typed_call {
    struct wisp_wrpc_incoming incoming;
    struct wisp_wrpc_carrier carrier; /* in use when the function has streams */
    struct typed function;
    struct wisp_wrpc_collector collector; /* the native arguments point into it */
    struct wisp_wrpc_slots slots;         /* of `held` */
    void *held;                           /* arguments, until the caller hears of what becomes of them */
    void *args;                           /* NULL: nobody has them yet */
    bool is_finished;                     /* and goes on for its streams */
};

static struct typed_call *typed_of(struct wisp_wrpc_session *session)
{
    return WISP_OWNER(session, struct typed_call, incoming.session);
}

static void typed_free(struct typed_call *call, enum wisp_err_kind kind, const char *text)
{
    wisp_wrpc_carrier_deinit(&call->carrier, kind, text);
    wisp_wrpc_collector_deinit(&call->collector);
    wisp_wrpc_incoming_free(&call->incoming);
}

/* --- its end --- */

void wisp_wrpc_incoming_fail(struct wisp_wrpc_incoming *incoming)
{
    struct wisp_wrpc_session *session = &incoming->session;
    struct wisp_err err;
    if (session->inbox && wisp_wrpc_session_end_failed(session, &err) < 0)
        WISP_LOG(DEBUG, "wrpc", "a caller can't be told that its call failed", WISP_TEXT("cause", err.text));
    typed_free(typed_of(session), WISP_ERR_UNAVAILABLE, "the call that carried it has failed");
}

static int send_result(struct typed_call *call, const void *result, struct wisp_wrpc_slots *slots, struct wisp_err *err)
{
    struct wisp_wrpc_session *session = &call->incoming.session;
    struct wisp_wrpc *wrpc = session->wrpc;
    const struct wisp_type *type = call->function.type->result;
    struct wisp_buf *bytes = &wrpc->scratch;
    bytes->len = 0;
    if (!session->inbox) return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "the caller is gone");
    int r = type ? wisp_wrpc_value_encode_with(type, result, wrpc->value_bytes_max, slots, bytes, err) : 0;
    return r == 0 ? wisp_wrpc_session_answer(session, wisp_buf_str(bytes), err) : r;
}

/* What is left of the call are its streams. */
static int go_on(struct typed_call *call, const struct wisp_wrpc_slots *slots, struct wisp_err *err)
{
    struct wisp_wrpc_session *session = &call->incoming.session;
    wisp_wrpc_carrier_send(&call->carrier, slots);
    call->is_finished = true;
    wisp_wrpc_collector_deinit(&call->collector);
    wisp_arena_deinit(&call->incoming.arena);
    call->carrier.is_timed = true;
    wisp_wrpc_session_set_timeout(session, session->wrpc->idle_timeout_ms);
    wisp_wrpc_session_go_on(session);
    int r = wisp_wrpc_carrier_open(&call->carrier, err);
    if (r < 0)
        typed_free(call, err->kind, err->text);
    else if (wisp_wrpc_carrier_is_over(&call->carrier))
        typed_free(call, WISP_ERR_UNAVAILABLE, "the call is over");
    return r;
}

int wisp_wrpc_incoming_finish(struct wisp_wrpc_incoming *incoming, const void *result, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_wrpc_slots slots = {.arena = &arena, .prefix = "0"};
    struct typed_call *call = typed_of(&incoming->session);
    const struct wisp_type *type = call->function.type->result;
    int r = send_result(call, result, &slots, err);
    if (r < 0) {
        wisp_err_wrap(err, "the result of %s", incoming->session.label ? incoming->session.label : "a call");
        if (type) wisp_wrpc_value_discard(type, result, incoming->session.wrpc->loop);
        wisp_wrpc_incoming_fail(incoming);
        return r;
    }
    if (call->carrier.session) return go_on(call, &slots, err);
    typed_free(call, WISP_ERR_NONE, "");
    return 0;
}

/* --- parameters --- */

static void refuse(struct typed_call *call, const struct wisp_err *err)
{
    WISP_LOG(WARN, "wrpc", "call refused", WISP_TEXT("function", call->incoming.session.label),
             WISP_BYTES("source", call->incoming.caller.source_id), WISP_TEXT("cause", err->text));
    wisp_wrpc_incoming_fail(&call->incoming);
}

static int try_to_decode(struct typed_call *call, bool is_end, struct wisp_err *err)
{
    const struct wisp_func_type *type = call->function.type;
    struct wisp_str bytes = wisp_buf_str(&call->collector.bytes);
    size_t used;
    void *args = wisp_arena_alloc(&call->incoming.arena, type->native_params_size);
    call->slots = (struct wisp_wrpc_slots){.arena = &call->incoming.arena};
    int r = wisp_wrpc_params_decode(type, bytes, &call->incoming.arena, args, &call->slots, &used, err);
    if (r < 0) return wisp_err_wrap(err, "its parameters can't be understood");
    if (r == WISP_WRPC_MORE)
        return is_end ? wisp_err_set(err, WISP_ERR_INVALID, "its parameters ended in the middle") : WISP_WRPC_MORE;
    if (used < bytes.len)
        return wisp_err_set(err, WISP_ERR_INVALID, "%zu bytes follow the end of its parameters", bytes.len - used);
    call->held = args;
    return 0;
}

static void hand_over(struct typed_call *call)
{
    struct wisp_wrpc_session *session = &call->incoming.session;
    call->args = WISP_TAKE(call->held);
    if (call->carrier.session) wisp_wrpc_carrier_receive(&call->carrier, &call->slots);
    call->carrier.is_timed = call->carrier.n_ins > 0;
    wisp_wrpc_session_set_timeout(session, call->carrier.is_timed ? session->wrpc->idle_timeout_ms : 0);
    call->function.on_call(&call->incoming, call->args, call->function.env);
}

static void on_heard(struct wisp_wrpc_session *session)
{
    if (typed_of(session)->held) hand_over(typed_of(session));
}

static void take_params(struct typed_call *call, struct wisp_str bytes, bool is_end)
{
    struct wisp_wrpc_session *session = &call->incoming.session;
    struct wisp_err err = {0};
    int r = wisp_wrpc_collect(&call->collector, bytes, session->wrpc->value_bytes_max, &err);
    if (r == 0) {
        bool is_worth_it = wisp_wrpc_collector_is_worth_a_try(&call->collector, is_end);
        r = is_worth_it ? try_to_decode(call, is_end, &err) : WISP_WRPC_MORE;
        bool is_held = r == 0 && !wisp_wrpc_session_is_heard(session);
        if (r == WISP_WRPC_MORE || is_held) r = wisp_wrpc_session_accept_now(session, &err);
        if (r == 0 && (!call->held || is_held)) return;
    }
    if (r < 0)
        refuse(call, &err);
    else
        hand_over(call);
}

static void on_bytes(struct wisp_wrpc_session *session, struct wisp_str path, struct wisp_str bytes)
{
    struct typed_call *call = typed_of(session);
    if (path.len > 0) {
        if (call->carrier.session) wisp_wrpc_carrier_on_bytes(&call->carrier, path, bytes);
        return;
    }
    if (call->held) {
        hand_over(call);
        return;
    }
    if (call->args) return;
    wisp_wrpc_session_set_timeout(session, session->wrpc->idle_timeout_ms);
    take_params(call, bytes, bytes.len == 0);
}

/* --- streams --- */

static void on_streams_over(struct wisp_wrpc_carrier *carrier)
{
    struct typed_call *call = WISP_OWNER(carrier, struct typed_call, carrier);
    if (call->is_finished) typed_free(call, WISP_ERR_UNAVAILABLE, "the call is over");
}

static void on_room(struct wisp_wrpc_session *session) { wisp_wrpc_carrier_on_room(&typed_of(session)->carrier); }

static void on_credit(struct wisp_wrpc_session *session, struct wisp_str path, struct wisp_str payload)
{
    struct typed_call *call = typed_of(session);
    if (call->carrier.session) wisp_wrpc_carrier_on_credit(&call->carrier, path, payload);
}

static void on_timeout(struct wisp_wrpc_session *session)
{
    struct typed_call *call = typed_of(session);
    if (call->args)
        wisp_wrpc_carrier_on_timeout(&call->carrier);
    else
        wisp_wrpc_session_time_out(session);
}

/* The rest of the parameters did not come, or of streams. One that somebody has stays with him. */
static void on_failed(struct wisp_wrpc_session *session, const struct wisp_err *err)
{
    struct typed_call *call = typed_of(session);
    bool is_kept = call->args && !call->is_finished;
    if (err->kind != WISP_ERR_CANCELLED) WISP_LOG(WARN, "wrpc", "call given up", WISP_TEXT("cause", err->text));
    if (is_kept)
        wisp_wrpc_carrier_deinit(&call->carrier, err->kind, err->text);
    else
        typed_free(call, err->kind, err->text);
}

/* Nobody has it yet, and nobody will. */
static void on_service_gone(struct wisp_wrpc_incoming *incoming)
{
    if (!typed_of(&incoming->session)->args) wisp_wrpc_incoming_fail(incoming);
}

static const struct wisp_wrpc_session_ops ops = {.on_bytes = on_bytes,
                                                 .on_heard = on_heard,
                                                 .on_room = on_room,
                                                 .on_credit = on_credit,
                                                 .on_timeout = on_timeout,
                                                 .on_failed = on_failed};

static void on_invoke(struct wisp_wrpc_endpoint *endpoint, const struct wisp_bus_message *message)
{
    struct typed_call *call = wisp_mem_calloc(1, sizeof *call);
    struct wisp_err err = {0};
    call->function = *(const struct typed *)endpoint->context;
    call->incoming.on_service_gone = on_service_gone;
    if (wisp_wrpc_incoming_open(&call->incoming, &ops, endpoint, message, !call->function.type->has_streams, &err) <
        0) {
        WISP_LOG(WARN, "wrpc", "call not accepted", WISP_TEXT("cause", err.text));
        free(call);
        return;
    }
    if (call->function.type->has_streams)
        wisp_wrpc_carrier_init(&call->carrier, &call->incoming.session, true, on_streams_over);
    wisp_wrpc_session_set_timeout(&call->incoming.session, call->incoming.session.wrpc->idle_timeout_ms);
    take_params(call, message->payload, false);
}

int wisp_wrpc_service_add(struct wisp_wrpc_service *service, const struct wisp_wrpc_function *function,
                          const struct wisp_func_type *type, wisp_wrpc_on_call *on_call, void *env,
                          struct wisp_err *err)
{
    int r = wisp_wrpc_func_check(type, err);
    if (r == 0 && type->has_handles)
        r = wisp_err_set(err, WISP_ERR_UNSUPPORTED, "handles of resources can't be received from other hosts");
    if (r < 0) return wisp_err_wrap(err, "`%.*s`", WISP_STR_ARG(function->name));
    struct typed *typed = wisp_mem_alloc(sizeof *typed);
    *typed = (struct typed){type, on_call, env};
    struct wisp_wrpc_endpoint endpoint = {.on_invoke = on_invoke, .free = free, .context = typed};
    r = wisp_wrpc_service_add_endpoint(service, function, &endpoint, err);
    if (r < 0) free(typed);
    return r;
}
