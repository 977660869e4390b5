/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that a provider makes at components: in this process when its world has them, else over wRPC. */
#include "provider/provider_priv.h"
#include "wrpc/call.h"

#include <stdlib.h>

struct wisp_provider_invocation {
    struct wisp_provider_instance *instance;
    struct wisp_link link;
    wisp_provider_on_result *on_result;
    void *env;
    struct wisp_wrpc_call *call; /* over wRPC, or */
    void *handle;                /* the world's */
    bool is_world;
};

static void invocation_free(struct wisp_provider_invocation *invocation)
{
    struct wisp_provider_instance *instance = invocation->instance;
    wisp_ring_remove(&invocation->link);
    free(invocation);
    wisp_provider_something_ended(instance);
}

static void on_result(const void *result, const struct wisp_err *err, void *env)
{
    struct wisp_provider_invocation *invocation = env;
    wisp_provider_on_result *callback = invocation->on_result;
    void *its_env = invocation->env;
    invocation_free(invocation);
    callback(result, err, its_env);
}

static const struct wisp_provider_export *find_import(const struct wisp_provider_instance *instance,
                                                      const struct wisp_provider_interface *interface,
                                                      const struct wisp_provider_func *func, struct wisp_err *err)
{
    for (const struct wisp_provider_export *at = instance->types->imports;
         at < instance->types->imports + instance->types->n_imports; at++)
        if (at->func == func && at->interface == interface) return at;
    wisp_err_set(err, WISP_ERR_INTERNAL, "provider `%s` does not import `%s.%s`", instance->base.kind->name,
                 interface->name, func->name);
    return NULL;
}

static int call_remote(struct wisp_provider_invocation *invocation, const struct wisp_provider_export *import,
                       const void *args, const struct wisp_provider_request *request, struct wisp_err *err)
{
    const struct wisp_provider *provider = &invocation->instance->base;
    const struct wisp_bus_header headers[] = {{WISP_STR("source-id"), provider->id},
                                              {WISP_STR("target-id"), request->target_id},
                                              {WISP_STR("traceparent"), request->traceparent}};
    struct wisp_wrpc_target target = {
        .id = request->target_id,
        .function = {wisp_str_from(import->interface->name), wisp_str_from(import->func->name)},
        .headers = headers,
        .n_headers = WISP_COUNT(headers) - (request->traceparent.len == 0),
        .timeout_ms = request->timeout_ms};
    return wisp_wrpc_call_start(provider->wrpc, &target, import->type, args, request->arena, request->on_result,
                                request->env, &invocation->call, err);
}

static int start(struct wisp_provider_invocation *invocation, const struct wisp_provider_export *import,
                 const void *args, const struct wisp_provider_request *request, struct wisp_err *err)
{
    struct wisp_provider_instance *instance = invocation->instance;
    const struct wisp_provider_world *world = &instance->world;
    int r = -WISP_ERR_UNAVAILABLE;
    if (world->invoke)
        r = world->invoke(world->env, &instance->base, import, args, request, &invocation->handle, err);
    else
        wisp_err_set(err, WISP_ERR_UNAVAILABLE, "there is no bus to reach `%.*s` by", WISP_STR_ARG(request->target_id));
    invocation->is_world = r == 0;
    if (r != -WISP_ERR_UNAVAILABLE || !instance->base.wrpc) return r;
    return call_remote(invocation, import, args, request, err);
}

int wisp_provider_invoke(struct wisp_provider *provider, const struct wisp_provider_interface *interface,
                         const struct wisp_provider_func *func, const void *args,
                         const struct wisp_provider_request *request, struct wisp_provider_invocation **ret_invocation,
                         struct wisp_err *err)
{
    struct wisp_provider_instance *instance = wisp_provider_instance_of(provider);
    const struct wisp_provider_export *import = find_import(instance, interface, func, err);
    if (!import) return -WISP_ERR_INTERNAL;
    struct wisp_provider_invocation *invocation = wisp_mem_alloc(sizeof *invocation);
    *invocation =
        (struct wisp_provider_invocation){.instance = instance, .on_result = request->on_result, .env = request->env};
    wisp_ring_append(&instance->invocations, &invocation->link);
    struct wisp_provider_request own = *request;
    own.on_result = on_result;
    own.env = invocation;
    if (own.timeout_ms == 0) own.timeout_ms = instance->call_timeout_ms;
    int r = start(invocation, import, args, &own, err);
    if (r < 0) {
        invocation_free(invocation);
        return r;
    }
    *ret_invocation = invocation;
    return 0;
}

void wisp_provider_invocation_cancel(struct wisp_provider_invocation *invocation)
{
    if (!invocation) return;
    const struct wisp_provider_world *world = &invocation->instance->world;
    if (invocation->is_world)
        world->cancel(world->env, invocation->handle);
    else
        wisp_wrpc_call_cancel(invocation->call);
    invocation_free(invocation);
}

void wisp_provider_cancel_invocations(struct wisp_provider_instance *instance)
{
    while (!wisp_ring_is_empty(&instance->invocations))
        wisp_provider_invocation_cancel(WISP_OWNER(instance->invocations.next, struct wisp_provider_invocation, link));
}
