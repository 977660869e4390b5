/* SPDX-License-Identifier: Apache-2.0 */
/* Imports that no table of the host has: by the caller's links they lead to a component or a provider, in this worker
 * when the target runs here, else over the bus.
 *
 * A call of a component within the worker has no wire. The callee gets an instance as new; what the caller's arguments
 * were lifted to is lowered into it as it is, and it runs at once, on a fiber of its own, within the turn of the
 * caller. Only when it has to wait does the caller wait too, and both are back among the others. The callee counts and
 * waits for a place like any call of it; it has the caller's time at most, and ends with the caller. */
#include "provider/outside.h"
#include "worker/observer.h"
#include "worker/outgoing.h"
#include "worker/policy.h"
#include "worker/remote.h"

#include <stdlib.h>

/* What an import meant when it was called last. */
struct wisp_local_link {
    uint64_t topology;              /* it means the same as long as this is the worker's */
    const struct wisp_terms *terms; /* of the caller */
    struct wisp_tenant *target;     /* NULL: no component of this worker */
    const struct wisp_linked_export *export_;
    const struct wisp_edition *edition; /* that the export is of */
    struct wisp_builtin *provider;      /* NULL: no provider of this worker */
    const struct wisp_provider_export *provider_export;
    struct wisp_str target_id; /* of the terms */
};

/* --- what an import means --- */

static struct wisp_str without_version(struct wisp_str interface)
{
    struct wisp_str name = interface, version;
    wisp_str_split(interface, '@', &name, &version);
    return name;
}

static int find_link(struct wisp_call *call, const struct wisp_invocation *caller, struct wisp_str interface,
                     struct wisp_str name, struct wisp_str *ret_target)
{
    const struct wisp_wasi_link *link = wisp_wasi_app_link(caller->terms->app, name, interface);
    if (!link)
        return wisp_call_trap(call, "failed to find a configured link with name `%.*s` for interface `%.*s`",
                              WISP_STR_ARG(name), WISP_STR_ARG(interface));
    *ret_target = link->target;
    return 0;
}

static bool has_handles(const struct wisp_func_type *type)
{
    for (uint32_t i = 0; i < type->n_params; i++)
        if (type->params[i].type->has_handles) return true;
    return type->result && type->result->has_handles;
}

static int find_export(struct wisp_call *call, const struct wisp_import_func *func, struct wisp_local_link *link)
{
    struct wisp_tenant *target = link->target;
    const struct wisp_program *program = &target->edition->program;
    const struct wisp_export_func *export_ =
        wisp_component_export_exact(program->component, func->interface, func->name);
    if (export_) link->export_ = wisp_linked_export_of(program->linked, export_);
    if (!export_ || !link->export_) return wisp_call_trap(call, "component `%s` does not export it", target->id);
    if (has_handles(func->type))
        return wisp_call_trap(call, "component `%s` runs here too: resources can't be passed to it directly",
                              target->id);
    if (!wisp_func_type_equal(func->type, export_->type))
        return wisp_call_trap(call, "component `%s` exports it with another type", target->id);
    link->edition = target->edition;
    return 0;
}

static int find_provider_export(struct wisp_call *call, const struct wisp_import_func *func,
                                struct wisp_local_link *link)
{
    const struct wisp_builtin *provider = link->provider;
    link->provider_export = wisp_provider_find(provider->provider, func->interface, func->name);
    if (!link->provider_export) return wisp_call_trap(call, "provider `%s` does not have it", provider->id);
    if (!wisp_func_type_same_shape(func->type, link->provider_export->type))
        return wisp_call_trap(call, "provider `%s` has it with another type", provider->id);
    return 0;
}

static int look_up(struct wisp_call *call, struct wisp_invocation *caller, const struct wisp_import_func *func,
                   struct wisp_str interface, struct wisp_str name, struct wisp_local_link *link)
{
    struct wisp_worker *worker = caller->worker;
    *link = (struct wisp_local_link){.terms = caller->terms};
    int r = find_link(call, caller, interface, name, &link->target_id);
    if (r < 0) return r;
    struct wisp_tenant *target = wisp_tenant_find(worker, link->target_id);
    /* While its code is still being loaded, another worker may have it. */
    if (target && target->edition) {
        link->target = target;
        r = find_export(call, func, link);
    } else {
        link->provider = wisp_builtin_find(worker, link->target_id);
        if (link->provider) r = find_provider_export(call, func, link);
    }
    if (r < 0) return r;
    link->topology = worker->topology;
    return 0;
}

/* Points to the memory of the caller's edition, or to `own` when the guest chose another link. */
static int resolve(struct wisp_call *call, struct wisp_invocation *caller, const struct wisp_import_func *func,
                   struct wisp_local_link *own, struct wisp_local_link **ret_link)
{
    struct wisp_edition *edition = caller->edition;
    const struct wisp_component *component = edition->program.component;
    struct wisp_str interface = without_version(func->interface);
    struct wisp_str name = wisp_wasi_link_name(&caller->wasi, interface);
    struct wisp_local_link *link = own;
    if (wisp_str_is(name, "default")) {
        if (!edition->local_links)
            edition->local_links = wisp_mem_calloc(component->n_import_funcs, sizeof *edition->local_links);
        link = &edition->local_links[func - component->import_funcs];
        if (link->topology == caller->worker->topology && link->terms == caller->terms) {
            *ret_link = link;
            return 0;
        }
    }
    *ret_link = link;
    return look_up(call, caller, func, interface, name, link);
}

/* --- within this worker --- */

/* Lives on the caller's fiber. */
struct local_call {
    struct wisp_call *call;
    const struct wisp_func_type *type;
    void *result, *callee_result;
    const char *target_id;
    bool is_done, is_caller_waiting;
    int outcome;
};

static void finish(struct wisp_invocation *callee, int outcome)
{
    struct local_call *local = callee->caller;
    local->is_done = true;
    local->outcome = outcome;
    if (local->is_caller_waiting) wisp_instance_wake(local->call->instance);
}

static int prepare(struct wisp_invocation *callee)
{
    (void)callee;
    return 0;
}

static bool on_returned(struct wisp_invocation *callee)
{
    struct local_call *local = callee->caller;
    const struct wisp_type *type = local->type->result;
    /* It may point to what ends with the callee. */
    if (type && type->has_pointers) wisp_value_copy(local->call->arena, type, local->callee_result, local->result);
    wisp_instance_free(WISP_TAKE(callee->instance)); /* in the callee's time */
    callee->wasi.instance = NULL;
    finish(callee, 0);
    return true;
}

static bool on_failed(struct wisp_invocation *callee)
{
    struct local_call *local = callee->caller;
    struct wisp_shared_counters *counters = callee->tenant->counters;
    const char *text = callee->err.text;
    if (callee->wasi.has_exited)
        text = "it called exit";
    else if (callee->err.kind == WISP_ERR_LIMIT)
        counters->refused++;
    else
        counters->traps++;
    wisp_report_failure(callee, "the component failed in a call by another", text);
    finish(callee, wisp_call_trap(local->call, "component `%s`: %s", local->target_id, text));
    return false;
}

static bool on_expired(struct wisp_invocation *callee)
{
    struct local_call *local = callee->caller;
    wisp_report_failure(callee, "the component took too long", "in a call by another");
    finish(callee, wisp_call_trap(local->call, "component `%s`: no answer within %llu ms", local->target_id,
                                  (unsigned long long)callee->timeout_ms));
    return false;
}

static void on_refused(struct wisp_invocation *callee, const char *cause)
{
    struct local_call *local = callee->caller;
    wisp_report_failure(callee, "a call was refused", cause);
    finish(callee, wisp_call_trap(local->call, "component `%s`: %s", local->target_id, cause));
}

static bool on_given_up(struct wisp_invocation *callee, const char *cause)
{
    struct local_call *local = callee->caller;
    finish(callee, wisp_call_trap(local->call, "component `%s`: %s", local->target_id, cause));
    return false;
}

static void on_denied(struct wisp_invocation *callee, const char *why)
{
    struct local_call *local = callee->caller;
    finish(callee, wisp_call_trap(local->call, "component `%s`: the call was denied: %s", local->target_id, why));
}

static const struct wisp_invocation_ops ops = {prepare,    on_returned, on_failed, on_expired,
                                               on_refused, on_given_up, on_denied};

/* Its own time counts only when it ends before the caller's does. */
static void begin_deadline(struct wisp_invocation *callee, const struct wisp_invocation *caller)
{
    uint64_t own_ms = uv_now(&callee->worker->loop) + callee->terms->limits.timeout_ms;
    callee->deadline_ms = caller->deadline_ms;
    if (own_ms < caller->deadline_ms) wisp_deadline_begin(callee, callee->terms->deadlines);
}

/* Runs it as far as it gets now, as a part of the caller's turn. */
static void run_within(struct wisp_invocation *callee, struct wisp_invocation *caller)
{
    struct wisp_worker *worker = caller->worker;
    wisp_invocations_charge(worker, callee->started_ns); /* just now */
    worker->turn_counters = callee->tenant->counters;
    wisp_invocation_run(callee);
    worker->turn_counters = caller->tenant->counters;
}

static int wait_for(struct local_call *local, struct wisp_invocation *callee)
{
    while (!local->is_done) {
        local->is_caller_waiting = true;
        int r = wisp_call_suspend(local->call);
        local->is_caller_waiting = false;
        if (r >= 0) continue;
        /* The caller is being ended. */
        if (!local->is_done) wisp_invocation_end(callee);
        return r;
    }
    return local->outcome;
}

static int call_local(struct wisp_call *call, struct wisp_invocation *caller, const struct wisp_import_func *func,
                      const struct wisp_local_link *link, const void *args, void *result)
{
    struct wisp_tenant *target = link->target;
    if (caller->n_hops + 1 >= WISP_WORKER_HOPS_MAX)
        return wisp_call_trap(call, "component `%s`: %d components call each other, one inside the other", target->id,
                              WISP_WORKER_HOPS_MAX);
    const struct wisp_type *type = func->type->result;
    struct local_call local = {
        .call = call, .type = func->type, .result = result, .callee_result = result, .target_id = target->id};
    if (type && type->has_pointers) local.callee_result = wisp_arena_calloc(call->arena, 1, type->native_size);
    struct wisp_invocation *callee = wisp_invocation_new(target, &ops);
    callee->caller = &local;
    if (caller->worker->is_tracing)
        callee->span = wisp_span_new_call(caller->worker, WISP_OTLP_INTERNAL, target->id, func->interface, func->name,
                                          &(struct wisp_span_origin){.span = caller->span});
    callee->edition = target->edition;
    callee->export_ = link->export_;
    callee->args = args;
    callee->result = local.callee_result;
    callee->n_hops = (uint8_t)(caller->n_hops + 1);
    wisp_wasi_http_attach(callee->http, &callee->wasi, NULL);
    target->counters->calls++;
    begin_deadline(callee, caller);
    if (!wisp_policy_permits(callee, &(struct wisp_wrpc_function){func->interface, func->name}))
        return wait_for(&local, callee);
    if (!wisp_admission_enter(callee)) {
        target->counters->refused++;
        on_refused(callee, "all instances are busy and the queue is full");
        wisp_invocation_drop(callee);
        return local.outcome;
    }
    if (callee->state == WISP_INVOCATION_RUNNING) run_within(callee, caller);
    return wait_for(&local, callee);
}

/* --- providers, and what is elsewhere --- */

static int finish_outgoing(struct wisp_outgoing_wait *wait)
{
    int r = wisp_outgoing_wait(wait);
    return r == WISP_OUTSIDE_FAILED ? wisp_call_trap(wait->call, "%s", wait->err->text) : r;
}

static int call_provider(struct wisp_call *call, struct wisp_invocation *caller, const struct wisp_import_func *func,
                         const struct wisp_local_link *link, struct wisp_str link_name, const void *args, void *result)
{
    struct wisp_outgoing_wait wait;
    struct wisp_err err = {0};
    wisp_outgoing_wait_init(&wait, call, func->type->result, result, &err);
    /* Guests have no streams that would be replaced in them. */
    wisp_outgoing_to_builtin(&wait.outgoing, caller, link->provider, link->provider_export, link_name,
                             (void *)(uintptr_t)args);
    return finish_outgoing(&wait);
}

static int call_remote(struct wisp_call *call, struct wisp_invocation *caller, const struct wisp_import_func *func,
                       struct wisp_str target_id, struct wisp_str link_name, const void *args, void *result)
{
    const struct wisp_wrpc_function function = {func->interface, func->name};
    struct wisp_outgoing_wait wait;
    struct wisp_err err = {0};
    if (!wisp_remote_wrpc(caller->worker))
        return wisp_call_trap(call, "`%.*s` is not in this worker, and there is no bus to reach others",
                              WISP_STR_ARG(target_id));
    wisp_outgoing_wait_init(&wait, call, func->type->result, result, &err);
    wisp_outgoing_to_bus(&wait.outgoing, caller, target_id, link_name, &function, func->type, args, call->arena);
    return finish_outgoing(&wait);
}

/* --- the fallback --- */

static bool accepts(struct wisp_str interface, void *env)
{
    (void)env;
    return interface.len > 0;
}

static int call_import(struct wisp_call *call, const struct wisp_import_func *func, const void *args, void *result,
                       void *env)
{
    (void)env;
    struct wisp_invocation *caller = wisp_invocation_of(call->context);
    struct wisp_local_link own, *link;
    int r = resolve(call, caller, func, &own, &link);
    if (r < 0) return r;
    if (link->target) return call_local(call, caller, func, link, args, result);
    struct wisp_str name = wisp_wasi_link_name(&caller->wasi, without_version(func->interface));
    if (link->provider) return call_provider(call, caller, func, link, name, args, result);
    return call_remote(call, caller, func, link->target_id, name, args, result);
}

const struct wisp_host_fallback *wisp_import_fallback(struct wisp_worker *worker)
{
    static struct wisp_host_fallback fallback = {.accepts = accepts, .call = call_import};
    fallback.env = worker;
    return &fallback;
}
