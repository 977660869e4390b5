/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/world.h"

#include "worker/entry.h"
#include "worker/observer.h"
#include "worker/policy.h"

#include <stdlib.h>

/* A call by a provider: the `caller` of its invocation. */
struct world_call {
    struct wisp_link cancelled; /* in worker->cancelled */
    struct wisp_invocation *invocation;
    const struct wisp_func_type *type;
    struct wisp_deadline_class *deadlines; /* held; NULL: the component's own */
    struct wisp_arena arena;               /* arguments, and the result as the component gave it */
    struct wisp_arena *result_arena;       /* the provider's, until it cancels */
    wisp_provider_on_result *on_result;    /* NULL: cancelled */
    void *env;
    bool is_beginning; /* the provider's call did not return yet: it gets the error from there */
    struct wisp_err *err;
};

static void world_call_free(struct world_call *call)
{
    wisp_ring_remove(&call->cancelled);
    wisp_arena_deinit(&call->arena);
    free(call);
}

/* The invocation is over after this, and `call` is gone. */
static void finish(struct wisp_invocation *invocation, const void *result, const struct wisp_err *err)
{
    struct world_call *call = invocation->caller;
    wisp_provider_on_result *on_result = call->on_result;
    void *env = call->env;
    const struct wisp_type *type = call->type->result;
    void *copy = NULL;
    if (call->is_beginning) {
        *call->err = *err;
        call->invocation = NULL;
        return;
    }
    wisp_ring_remove(&invocation->due);
    wisp_deadline_class_unref(call->deadlines);
    if (on_result && result) {
        copy = wisp_arena_alloc(call->result_arena, type->native_size);
        wisp_value_copy(call->result_arena, type, result, copy);
    }
    world_call_free(call);
    if (on_result) on_result(copy, err, env);
}

static void tell(struct wisp_invocation *invocation, enum wisp_err_kind kind, const char *cause)
{
    struct wisp_err err = {0};
    wisp_err_set(&err, kind, "component `%s`: %s", invocation->tenant->id, cause);
    finish(invocation, NULL, &err);
}

static bool fail(struct wisp_invocation *invocation, enum wisp_err_kind kind, const char *message, const char *cause)
{
    const struct world_call *call = invocation->caller;
    if (call->on_result) wisp_report_failure(invocation, message, cause);
    tell(invocation, kind, cause);
    return false;
}

/* --- the invocation's ends --- */

static int prepare(struct wisp_invocation *invocation)
{
    (void)invocation;
    return 0;
}

static bool on_returned(struct wisp_invocation *invocation)
{
    finish(invocation, invocation->result, NULL);
    return true;
}

static bool on_failed(struct wisp_invocation *invocation)
{
    struct wisp_shared_counters *counters = invocation->tenant->counters;
    if (invocation->wasi.has_exited)
        return fail(invocation, WISP_ERR_GUEST, "the component exited", "it called exit in a call by a provider");
    if (invocation->err.kind == WISP_ERR_LIMIT) {
        counters->refused++;
        return fail(invocation, WISP_ERR_LIMIT, "no instance could be made", invocation->err.text);
    }
    counters->traps++;
    return fail(invocation, WISP_ERR_GUEST, "the component trapped", invocation->err.text);
}

static bool on_expired(struct wisp_invocation *invocation)
{
    return fail(invocation, WISP_ERR_TIMEOUT, "the component took too long", "no answer to a provider in time");
}

static void on_refused(struct wisp_invocation *invocation, const char *cause)
{
    (void)fail(invocation, WISP_ERR_LIMIT, "a call was refused", cause);
}

static bool on_given_up(struct wisp_invocation *invocation, const char *cause)
{
    return fail(invocation, WISP_ERR_CANCELLED, "a call was given up", cause);
}

static void on_denied(struct wisp_invocation *invocation, const char *why) { tell(invocation, WISP_ERR_DENIED, why); }

static const struct wisp_invocation_ops ops = {prepare,    on_returned, on_failed, on_expired,
                                               on_refused, on_given_up, on_denied};

/* --- calls --- */

/* An entry has an `inside`. */
static int find_export(const struct wisp_edition *edition, const struct wisp_provider_export *import,
                       struct wisp_entry_target *ret_target, struct wisp_err *err)
{
    struct wisp_str interface = wisp_str_from(import->interface->name), name = wisp_str_from(import->func->name);
    const struct wisp_export_func *func = wisp_component_export_exact(edition->program.component, interface, name);
    *ret_target = (struct wisp_entry_target){.func = func};
    if (func) ret_target->export_ = wisp_linked_export_of(edition->program.linked, func);
    if (!func && wisp_entry_find(edition, interface, name, ret_target)) return 0;
    if (!ret_target->export_)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "component `%s` does not export `%s` of `%s`", edition->tenant->id,
                            import->func->name, import->interface->name);
    if (!func || !wisp_func_type_same_shape(func->type, import->type))
        return wisp_err_set(err, WISP_ERR_INVALID, "component `%s` exports `%s` of `%s` with another type",
                            edition->tenant->id, import->func->name, import->interface->name);
    return 0;
}

static const void *copy_args(struct wisp_arena *arena, const struct wisp_func_type *type, const void *args)
{
    char *copy = wisp_arena_alloc(arena, type->native_params_size);
    if (type->native_params_size) memcpy(copy, args, type->native_params_size);
    for (uint32_t i = 0; i < type->n_params; i++) {
        char *param = copy + type->params[i].native_offset;
        if (type->params[i].type->has_pointers) wisp_value_copy(arena, type->params[i].type, param, param);
    }
    return copy;
}

/* The provider's time counts when it is shorter than the component's. */
static void begin_deadline(struct world_call *call, uint64_t timeout_ms)
{
    struct wisp_invocation *invocation = call->invocation;
    if (timeout_ms && timeout_ms < invocation->terms->limits.timeout_ms)
        call->deadlines = wisp_deadline_class_get(invocation->worker, timeout_ms);
    wisp_deadline_begin(invocation, call->deadlines ? call->deadlines : invocation->terms->deadlines);
}

static struct world_call *call_new(struct wisp_edition *edition, const struct wisp_provider_export *import,
                                   const struct wisp_entry_target *target, const void *args,
                                   struct wisp_str traceparent)
{
    struct wisp_tenant *tenant = edition->tenant;
    struct world_call *call = wisp_mem_calloc(1, sizeof *call);
    struct wisp_invocation *invocation = call->invocation = wisp_invocation_new(tenant, &ops);
    const struct wisp_func_type *type = target->inside ? import->type : target->func->type;
    tenant->counters->calls++;
    call->type = type;
    invocation->caller = call;
    invocation->edition = edition;
    invocation->export_ = target->export_;
    if (tenant->worker->is_tracing)
        invocation->span =
            wisp_span_new_call(tenant->worker, WISP_OTLP_INTERNAL, tenant->id, target->func->interface,
                               target->func->name, &(struct wisp_span_origin){.traceparent = traceparent});
    invocation->args = copy_args(&call->arena, type, args);
    invocation->result = type->result ? wisp_arena_calloc(&call->arena, 1, type->result->native_size) : NULL;
    if (target->inside) wisp_entry_begin(invocation, target);
    wisp_wasi_http_attach(invocation->http, &invocation->wasi, NULL);
    return call;
}

/* Admission may refuse it at once. */
static int begin(struct world_call *call, const struct wisp_wrpc_function *function, uint64_t timeout_ms,
                 struct wisp_err *err)
{
    call->is_beginning = true;
    call->err = err;
    begin_deadline(call, timeout_ms);
    wisp_policy_begin(call->invocation, function);
    call->is_beginning = false;
    if (call->invocation) return 0;
    wisp_deadline_class_unref(call->deadlines);
    world_call_free(call);
    return -(int)err->kind;
}

static int invoke(void *env, struct wisp_provider *provider, const struct wisp_provider_export *import,
                  const void *args, const struct wisp_provider_request *request, void **ret_handle,
                  struct wisp_err *err)
{
    (void)provider;
    struct wisp_worker *worker = env;
    struct wisp_str target_id = request->target_id;
    const struct wisp_tenant *tenant = wisp_tenant_find(worker, target_id);
    struct wisp_entry_target target;
    if (!tenant || !tenant->edition || worker->is_hard)
        return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "component `%.*s` does not run here", WISP_STR_ARG(target_id));
    int r = find_export(tenant->edition, import, &target, err);
    if (r < 0) return r;
    struct world_call *call = call_new(tenant->edition, import, &target, args, request->traceparent);
    call->result_arena = request->arena;
    call->on_result = request->on_result;
    call->env = request->env;
    const struct wisp_wrpc_function function = {wisp_str_from(import->interface->name),
                                                wisp_str_from(import->func->name)};
    r = begin(call, &function, request->timeout_ms, err);
    if (r == 0) *ret_handle = call;
    return r;
}

/* --- what was cancelled --- */

static void cancel(void *env, void *handle)
{
    struct wisp_worker *worker = env;
    struct world_call *call = handle;
    call->on_result = NULL;
    wisp_ring_append(&worker->cancelled, &call->cancelled);
    wisp_worker_stay_awake(worker);
}

void wisp_world_end_cancelled(struct wisp_worker *worker)
{
    while (!wisp_ring_is_empty(&worker->cancelled)) {
        struct world_call *call = WISP_OWNER(worker->cancelled.next, struct world_call, cancelled);
        call->invocation->tenant->counters->cancelled++;
        wisp_invocation_give_up(call->invocation, "the provider that called has cancelled it");
    }
}

struct wisp_provider_world wisp_world_of(struct wisp_worker *worker)
{
    return (struct wisp_provider_world){.invoke = invoke, .cancel = cancel, .env = worker};
}
