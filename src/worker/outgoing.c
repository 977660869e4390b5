/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/outgoing.h"

#include "component/host/opaque.h"
#include "provider/outside.h"
#include "worker/observer.h"
#include "worker/remote.h"
#include "wrpc/stream.h"

/* --- the end --- */

static void end_span(struct wisp_outgoing *outgoing, const struct wisp_err *err)
{
    if (!outgoing->span) return;
    if (err) wisp_span_fail(outgoing->span, "the call failed", err->text);
    wisp_span_end(outgoing->worker, WISP_TAKE(outgoing->span));
}

static void end(struct wisp_outgoing *outgoing, const void *result, const struct wisp_err *err)
{
    struct wisp_builtin *builtin = WISP_TAKE(outgoing->builtin);
    outgoing->local = NULL;
    outgoing->remote = NULL;
    end_span(outgoing, err);
    outgoing->on_end(outgoing, result, err);
    if (builtin) wisp_builtin_release(builtin);
}

void wisp_outgoing_cancel(struct wisp_outgoing *outgoing)
{
    static const struct wisp_err given_up = {.kind = WISP_ERR_CANCELLED, .text = "the caller is gone"};
    struct wisp_builtin *builtin = WISP_TAKE(outgoing->builtin);
    end_span(outgoing, &given_up);
    if (outgoing->local) wisp_provider_call_cancel(WISP_TAKE(outgoing->local));
    wisp_wrpc_call_cancel(WISP_TAKE(outgoing->remote));
    if (builtin) wisp_builtin_release(builtin);
}

/* --- in this process --- */

static void on_return(const void *result, const struct wisp_err *err, void *env)
{
    struct wisp_outgoing *outgoing = env;
    struct wisp_err told;
    if (err && outgoing->builtin) {
        told = *err;
        wisp_err_wrap(&told, "provider `%s`", outgoing->builtin->id);
        err = &told;
    }
    end(outgoing, result, err);
}

void wisp_outgoing_to_provider(struct wisp_outgoing *outgoing, struct wisp_provider *provider,
                               const struct wisp_provider_export *export_, const struct wisp_provider_caller *caller,
                               void *args)
{
    /* When it is over already, `outgoing` may be gone. */
    struct wisp_provider_call *call = wisp_provider_call_start(provider, export_, caller, args, on_return, outgoing);
    if (call) outgoing->local = call;
}

void wisp_outgoing_to_builtin(struct wisp_outgoing *outgoing, const struct wisp_invocation *caller,
                              struct wisp_builtin *builtin, const struct wisp_provider_export *export_,
                              struct wisp_str link_name, void *args)
{
    struct wisp_worker *worker = outgoing->worker = caller->worker;
    struct wisp_provider_caller from = {.source_id = wisp_str_from(caller->tenant->id), .link_name = link_name};
    char traceparent[WISP_TRACEPARENT_LEN + 1];
    struct wisp_bus_header headers[2];
    outgoing->builtin = wisp_builtin_hold(builtin);
    if (worker->is_tracing) {
        outgoing->span =
            wisp_span_new_call(worker, WISP_OTLP_INTERNAL, builtin->id, wisp_str_from(export_->interface->name),
                               wisp_str_from(export_->func->name), &(struct wisp_span_origin){.span = caller->span});
        (void)wisp_span_headers(outgoing->span, traceparent, headers);
        from.traceparent = headers[0].value;
    }
    wisp_outgoing_to_provider(outgoing, builtin->provider, export_, &from, args);
}

/* --- over the bus --- */

static void on_result(const void *result, const struct wisp_err *err, void *env)
{
    end(env, result, err && err->kind ? err : NULL);
}

static uint64_t wait_ms(const struct wisp_worker *worker)
{
    uint32_t wait_ms = worker->options->host->provider_wait_ms;
    return wait_ms ? wait_ms : WISP_WORKER_PROVIDER_WAIT_MS;
}

void wisp_outgoing_to_bus(struct wisp_outgoing *outgoing, const struct wisp_invocation *caller,
                          struct wisp_str target_id, struct wisp_str link_name,
                          const struct wisp_wrpc_function *function, const struct wisp_func_type *type,
                          const void *args, struct wisp_arena *arena)
{
    struct wisp_worker *worker = outgoing->worker = caller->worker;
    uint64_t now_ms = uv_now(&worker->loop);
    struct wisp_bus_header headers[4] = {{WISP_STR("source-id"), wisp_str_from(caller->tenant->id)},
                                         {WISP_STR("link-name"), link_name}};
    size_t n_headers = 2;
    char traceparent[WISP_TRACEPARENT_LEN + 1];
    if (worker->is_tracing) {
        outgoing->span = wisp_span_new_call(worker, WISP_OTLP_CLIENT, caller->tenant->id, function->interface,
                                            function->name, &(struct wisp_span_origin){.span = caller->span});
        n_headers += wisp_span_headers(outgoing->span, traceparent, headers + n_headers);
    }
    const struct wisp_wrpc_target target = {
        .id = target_id,
        .function = *function,
        .headers = headers,
        .n_headers = n_headers,
        .timeout_ms = caller->deadline_ms > now_ms ? caller->deadline_ms - now_ms : 1,
        .wait_ms = wait_ms(worker),
        .unknown_wait_ms = WISP_WORKER_UNKNOWN_WAIT_MS,
    };
    struct wisp_err err = {0};
    outgoing->result_stays = true;
    int r = wisp_wrpc_call_start(wisp_remote_wrpc(worker), &target, type, args, arena, on_result, outgoing,
                                 &outgoing->remote, &err);
    if (r < 0) end(outgoing, NULL, &err);
}

/* --- not at all --- */

void wisp_outgoing_discard(struct wisp_wire_types *types, const struct wisp_provider_interface *interface,
                           const struct wisp_provider_func *func, const void *args, uv_loop_t *loop)
{
    struct wisp_err ignored;
    const struct wisp_func_type *type = wisp_wire_type(types, interface, func, &ignored);
    bool has_streams = false;
    for (uint32_t i = 0; type && i < type->n_params; i++) has_streams |= type->params[i].type->has_streams;
    if (!has_streams) return;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    void *copy = wisp_arena_alloc(&arena, type->native_params_size);
    memcpy(copy, args, type->native_params_size);
    wisp_wrpc_params_pipe(type, copy, loop);
    wisp_wrpc_params_close(type, copy);
}

/* --- waiting --- */

static void on_end(struct wisp_outgoing *outgoing, const void *result, const struct wisp_err *err)
{
    struct wisp_outgoing_wait *wait = WISP_OWNER(outgoing, struct wisp_outgoing_wait, outgoing);
    wait->is_over = true;
    wait->has_failed = err != NULL;
    if (err)
        *wait->err = *err;
    else if (wait->type && outgoing->result_stays)
        memcpy(wait->result, result, wait->type->native_size);
    else if (wait->type)
        wisp_value_copy(wait->call->arena, wait->type, result, wait->result);
    if (wait->is_caller_waiting) wisp_instance_wake(wait->call->instance);
}

void wisp_outgoing_wait_init(struct wisp_outgoing_wait *wait, struct wisp_call *call, const struct wisp_type *type,
                             void *result, struct wisp_err *err)
{
    *wait = (struct wisp_outgoing_wait){
        .outgoing.on_end = on_end, .call = call, .type = type, .result = result, .err = err};
}

/* The caller is being ended. */
static void give_up(struct wisp_outgoing_wait *wait)
{
    if (!wait->is_over) {
        wisp_outgoing_cancel(&wait->outgoing);
    } else if (!wait->has_failed && wait->type) {
        if (wait->type->has_streams) wisp_wrpc_value_close(wait->type, wait->result);
        if (wait->type->has_handles) wisp_opaque_value_free(wait->type, wait->result);
    }
}

int wisp_outgoing_wait(struct wisp_outgoing_wait *wait)
{
    while (!wait->is_over) {
        wait->is_caller_waiting = true;
        int r = wisp_call_suspend(wait->call);
        wait->is_caller_waiting = false;
        if (r >= 0) continue;
        give_up(wait);
        return r;
    }
    return wait->has_failed ? WISP_OUTSIDE_FAILED : 0;
}
