/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of what a provider exports: from this process, and over wRPC. */
#include "base/log.h"
#include "provider/provider_priv.h"

#include <stdlib.h>

struct call {
    struct wisp_provider_call base;
    struct wisp_arena arena;
    struct wisp_link link; /* in the instance's calls, or those kept */
    const struct wisp_func_type *type;
    struct wisp_provider_kept_link *its_link;
    /* Who waits for it; both NULL: nobody (any more). */
    wisp_provider_on_return *on_return;
    void *env;
    struct wisp_wrpc_incoming *incoming;
    bool is_starting, is_ended, is_traced;
    /* is_traced: */
    const struct wisp_provider_interface *interface;
    struct wisp_trace_context span;
    uint8_t parent_id[8];
    uint64_t start_ns;
};

#if defined(__SANITIZE_ADDRESS__)
enum { ARE_CALLS_KEPT = false }; /* so that every use of one that is ended is seen */
#else
enum { ARE_CALLS_KEPT = true };
#endif

static struct call *call_of(struct wisp_provider_call *base) { return WISP_OWNER(base, struct call, base); }

static struct wisp_provider_instance *instance_of(const struct call *call)
{
    return wisp_provider_instance_of(call->base.provider);
}

/* --- memory --- */

static struct call *call_new(struct wisp_provider_instance *instance)
{
    if (wisp_ring_is_empty(&instance->kept_calls)) return wisp_mem_calloc(1, sizeof(struct call));
    struct call *call = WISP_OWNER(instance->kept_calls.next, struct call, link);
    wisp_ring_remove(&call->link);
    instance->n_kept_calls--;
    struct wisp_arena arena = call->arena;
    *call = (struct call){.arena = arena};
    return call;
}

static void call_free(struct wisp_provider_instance *instance, struct call *call)
{
    if (ARE_CALLS_KEPT && instance->n_kept_calls < WISP_PROVIDER_CALLS_KEPT_MAX) {
        wisp_arena_reset(&call->arena);
        wisp_ring_prepend(&instance->kept_calls, &call->link);
        instance->n_kept_calls++;
        return;
    }
    wisp_arena_deinit(&call->arena);
    free(call);
}

void wisp_provider_free_calls(struct wisp_provider_instance *instance)
{
    while (!wisp_ring_is_empty(&instance->kept_calls)) {
        struct call *call = WISP_OWNER(instance->kept_calls.next, struct call, link);
        wisp_ring_remove(&call->link);
        wisp_arena_deinit(&call->arena);
        free(call);
    }
}

/* --- beginning and end --- */

static void begin(struct call *call, struct wisp_provider_instance *instance,
                  const struct wisp_provider_export *export_, const struct wisp_provider_caller *caller)
{
    struct wisp_provider_call *base = &call->base;
    base->provider = &instance->base;
    base->func = export_->func;
    base->type = export_->type;
    base->arena = &call->arena;
    base->source_id = wisp_arena_str(&call->arena, caller->source_id);
    base->link_name = caller->link_name.len > 0 ? wisp_arena_str(&call->arena, caller->link_name) : WISP_STR("default");
    if (caller->traceparent.len > 0) base->traceparent = wisp_arena_str(&call->arena, caller->traceparent);
    call->type = export_->type;
    call->is_starting = true;
    wisp_ring_append(&instance->calls, &call->link);
    instance->n_calls++;
}

/* Its caller's span becomes that of the call. */
static void trace(struct call *call, const struct wisp_provider_interface *interface)
{
    static const struct wisp_trace_sampler sampler = {.follows_parent = true};
    struct wisp_trace_context parent;
    char text[WISP_TRACEPARENT_LEN + 1];
    if (!wisp_trace_parse(call->base.traceparent, &parent) || !parent.is_sampled) return;
    wisp_trace_begin(&sampler, &parent, &call->span);
    memcpy(call->parent_id, parent.span_id, sizeof call->parent_id);
    wisp_trace_print(&call->span, text);
    call->base.traceparent = wisp_arena_str(&call->arena, wisp_str_from(text));
    call->interface = interface;
    call->start_ns = uv_hrtime();
    call->is_traced = true;
}

static void end_span(struct call *call, const char *failure)
{
    const struct wisp_provider_instance *instance = instance_of(call);
    if (!call->is_traced) return;
    call->is_traced = false;
    instance->on_span(instance->span_env, &(struct wisp_provider_span){.context = call->span,
                                                                       .parent_id = call->parent_id,
                                                                       .interface = call->interface->name,
                                                                       .func = call->base.func->name,
                                                                       .source_id = call->base.source_id,
                                                                       .link_name = call->base.link_name,
                                                                       .took_ns = uv_hrtime() - call->start_ns,
                                                                       .failure = failure});
}

/* The function is done with it. */
static void end(struct call *call)
{
    struct wisp_provider_instance *instance = instance_of(call);
    wisp_ring_remove(&call->link);
    instance->n_calls--;
    wisp_provider_unuse_link(call->its_link);
    wisp_provider_something_ended(instance);
    call->is_ended = true;
    if (!call->is_starting) call_free(instance, call);
}

/* Runs the function, or fails the call. False: it has been ended. */
static bool run(struct call *call, const struct wisp_provider_interface *interface, void *args)
{
    struct wisp_provider_instance *instance = instance_of(call);
    struct wisp_provider_call *base = &call->base;
    struct wisp_err err = {0};
    if (instance->is_closing)
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "provider `%.*s` is being stopped", WISP_STR_ARG(base->provider->id));
    else
        call->its_link = wisp_provider_use_link(instance, base->source_id, base->link_name, interface, &err);
    if (call->its_link) base->link = wisp_provider_kept_link_base(call->its_link);
    if (err.kind == WISP_ERR_NONE) {
        base->func->fn(base, args);
    } else {
        wisp_wrpc_params_close(call->type, args);
        wisp_provider_fail(base, &err);
    }
    call->is_starting = false;
    if (!call->is_ended) return true;
    call_free(instance, call);
    return false;
}

/* --- results --- */

/* The result as whoever called gets it, with readers for what the function writes. */
static const void *receive(struct call *call, const void *result)
{
    const struct wisp_type *type = call->type->result;
    if (!type || !type->has_streams) return result;
    void *copy = wisp_arena_alloc(&call->arena, type->native_size);
    wisp_value_copy(&call->arena, type, result, copy);
    wisp_wrpc_value_pipe(type, copy, call->base.provider->loop);
    return copy;
}

static void finish_incoming(struct call *call, const void *result)
{
    struct wisp_err err;
    if (wisp_wrpc_incoming_finish(WISP_TAKE(call->incoming), result, &err) < 0)
        WISP_LOG(WARN, "provider", "result not sent", WISP_BYTES("provider", call->base.provider->id),
                 WISP_TEXT("cause", err.text));
}

void wisp_provider_return(struct wisp_provider_call *base, const void *result)
{
    struct call *call = call_of(base);
    end_span(call, NULL);
    if (call->incoming)
        finish_incoming(call, result);
    else if (call->on_return)
        call->on_return(receive(call, result), NULL, call->env);
    else if (call->type->result && call->type->result->has_streams)
        wisp_wrpc_value_discard(call->type->result, result, base->provider->loop);
    end(call);
}

void wisp_provider_fail(struct wisp_provider_call *base, const struct wisp_err *err)
{
    struct call *call = call_of(base);
    end_span(call, err->text);
    if (call->incoming) {
        WISP_LOG(WARN, "provider", "call failed", WISP_BYTES("provider", base->provider->id),
                 WISP_TEXT("function", base->func->name), WISP_BYTES("source", base->source_id),
                 WISP_TEXT("cause", err->text));
        wisp_wrpc_incoming_fail(WISP_TAKE(call->incoming));
    } else if (call->on_return) {
        call->on_return(NULL, err, call->env);
    }
    end(call);
}

/* --- from this process --- */

struct wisp_provider_call *wisp_provider_call_start(struct wisp_provider *provider,
                                                    const struct wisp_provider_export *export_,
                                                    const struct wisp_provider_caller *caller, void *args,
                                                    wisp_provider_on_return *on_return, void *env)
{
    struct wisp_provider_instance *instance = wisp_provider_instance_of(provider);
    struct call *call = call_new(instance);
    begin(call, instance, export_, caller);
    call->on_return = on_return;
    call->env = env;
    wisp_wrpc_params_pipe(call->type, args, provider->loop);
    return run(call, export_->interface, args) ? &call->base : NULL;
}

void wisp_provider_call_cancel(struct wisp_provider_call *base)
{
    if (!base) return;
    call_of(base)->on_return = NULL;
    if (base->on_cancel) base->on_cancel(base);
}

/* Whoever waits is told last: it may do anything. */
static void give_up(struct call *call, const struct wisp_err *err)
{
    wisp_provider_on_return *on_return = WISP_TAKE(call->on_return);
    void *env = call->env;
    struct wisp_wrpc_incoming *incoming = WISP_TAKE(call->incoming);
    if (!on_return && !incoming) return;
    end_span(call, err->text);
    if (call->base.on_cancel) call->base.on_cancel(&call->base);
    if (incoming) wisp_wrpc_incoming_fail(incoming);
    if (on_return) on_return(NULL, err, env);
}

void wisp_provider_cancel_calls(struct wisp_provider_instance *instance)
{
    struct wisp_link calls;
    struct wisp_err err;
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "provider `%.*s` is being stopped", WISP_STR_ARG(instance->base.id));
    wisp_ring_init(&calls);
    wisp_ring_move(&instance->calls, &calls);
    while (!wisp_ring_is_empty(&calls)) {
        struct call *call = WISP_OWNER(calls.next, struct call, link);
        wisp_ring_remove(&call->link);
        wisp_ring_append(&instance->calls, &call->link);
        give_up(call, &err);
    }
}

/* --- over wRPC --- */

static void on_incoming(struct wisp_wrpc_incoming *incoming, const void *args, void *env)
{
    const struct wisp_provider_served *served = env;
    const struct wisp_wrpc_caller *from = wisp_wrpc_incoming_caller(incoming);
    struct wisp_provider_caller caller = {from->source_id, from->link_name, from->traceparent};
    struct call *call = call_new(served->instance);
    begin(call, served->instance, served->export_, &caller);
    call->incoming = incoming;
    if (served->instance->on_span) trace(call, served->export_->interface);
    run(call, served->export_->interface, (void *)(uintptr_t)args);
}

int wisp_provider_serve(struct wisp_provider *provider, struct wisp_wrpc_service *service, struct wisp_err *err)
{
    struct wisp_provider_instance *instance = wisp_provider_instance_of(provider);
    const struct wisp_provider_types *types = instance->types;
    struct wisp_provider_served *served =
        WISP_NEW_ARRAY(&instance->arena, struct wisp_provider_served, types->n_exports);
    for (size_t i = 0; i < types->n_exports; i++) {
        const struct wisp_provider_export *export_ = &types->exports[i];
        struct wisp_wrpc_function function = {wisp_str_from(export_->interface->name),
                                              wisp_str_from(export_->func->name)};
        served[i] = (struct wisp_provider_served){instance, export_};
        int r = wisp_wrpc_service_add(service, &function, export_->type, on_incoming, &served[i], err);
        if (r < 0) return r;
    }
    return 0;
}
