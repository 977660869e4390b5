/* SPDX-License-Identifier: Apache-2.0 */
#include "wrpc/serve_priv.h"

#include <stdlib.h>

struct wisp_wrpc_service {
    struct wisp_wrpc *wrpc;
    char *id, *queue;
    struct wisp_wrpc_endpoint *endpoints;
    struct wisp_link calls;
    size_t n_calls;
    bool is_draining;
    size_t n_draining; /* endpoints */
    void (*on_drained)(void *env);
    void *drained_env;
    struct wisp_wrpc_task tell_drained;
};

/* --- it comes and goes --- */

int wisp_wrpc_service_new(struct wisp_wrpc_service **ret_service, struct wisp_wrpc *wrpc, struct wisp_str id,
                          struct wisp_err *err)
{
    if (!wisp_bus_subject_is_valid(id))
        return wisp_err_set(err, WISP_ERR_INVALID, "`%.*s` can't be part of a subject", WISP_STR_ARG(id));
    struct wisp_wrpc_service *service = wisp_mem_calloc(1, sizeof *service);
    struct wisp_buf queue = {0};
    wisp_buf_printf(&queue, "%s.%.*s", wrpc->lattice, WISP_STR_ARG(id));
    service->wrpc = wrpc;
    service->id = wisp_mem_dup(id);
    service->queue = wisp_mem_dup(wisp_buf_str(&queue));
    wisp_buf_deinit(&queue);
    wisp_ring_init(&service->calls);
    *ret_service = service;
    return 0;
}

static void endpoint_free(struct wisp_wrpc_endpoint *endpoint)
{
    wisp_bus_unsubscribe(endpoint->subscription);
    if (endpoint->free) endpoint->free(endpoint->context);
    free(endpoint->label);
    free(endpoint);
}

void wisp_wrpc_service_free(struct wisp_wrpc_service *service)
{
    if (!service) return;
    while (!wisp_ring_is_empty(&service->calls)) {
        struct wisp_wrpc_incoming *call = WISP_OWNER(service->calls.next, struct wisp_wrpc_incoming, link);
        wisp_ring_remove(&call->link);
        call->service = NULL;
        if (call->on_service_gone) call->on_service_gone(call);
    }
    while (service->endpoints) {
        struct wisp_wrpc_endpoint *endpoint = service->endpoints;
        service->endpoints = endpoint->next;
        endpoint_free(endpoint);
    }
    wisp_wrpc_undefer(service->wrpc, &service->tell_drained);
    free(service->queue);
    free(service->id);
    free(service);
}

size_t wisp_wrpc_service_in_flight(const struct wisp_wrpc_service *service) { return service->n_calls; }

/* --- draining --- */

static void tell_drained(struct wisp_wrpc_task *task)
{
    struct wisp_wrpc_service *service = WISP_OWNER(task, struct wisp_wrpc_service, tell_drained);
    service->on_drained(service->drained_env);
}

static void look_whether_drained(struct wisp_wrpc_service *service)
{
    if (!service->is_draining || service->n_draining > 0 || service->n_calls > 0) return;
    service->tell_drained.run = tell_drained;
    wisp_wrpc_defer(service->wrpc, &service->tell_drained);
}

static void on_endpoint_drained(void *env)
{
    struct wisp_wrpc_endpoint *endpoint = env;
    endpoint->subscription = NULL;
    endpoint->service->n_draining--;
    look_whether_drained(endpoint->service);
}

void wisp_wrpc_service_drain(struct wisp_wrpc_service *service, void (*on_drained)(void *env), void *env)
{
    service->is_draining = true;
    service->on_drained = on_drained;
    service->drained_env = env;
    for (struct wisp_wrpc_endpoint *endpoint = service->endpoints; endpoint; endpoint = endpoint->next) {
        service->n_draining++;
        wisp_bus_subscription_drain(endpoint->subscription, on_endpoint_drained, endpoint);
    }
    look_whether_drained(service);
}

/* --- endpoints --- */

static void on_invocation(const struct wisp_bus_message *message, void *env)
{
    struct wisp_wrpc_endpoint *endpoint = env;
    endpoint->on_invoke(endpoint, message);
}

int wisp_wrpc_service_add_endpoint(struct wisp_wrpc_service *service, const struct wisp_wrpc_function *function,
                                   const struct wisp_wrpc_endpoint *kind, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0}, label = {0};
    struct wisp_str lattice = wisp_str_from(service->wrpc->lattice);
    int r = wisp_wrpc_subject(lattice, wisp_str_from(service->id), function, &subject, err);
    if (r < 0) return r;
    wisp_buf_printf(&label, "`%.*s%s%.*s` at `%s`", WISP_STR_ARG(function->interface),
                    function->interface.len ? "." : "", WISP_STR_ARG(function->name), service->id);
    struct wisp_wrpc_endpoint *endpoint = wisp_mem_alloc(sizeof *endpoint);
    *endpoint = *kind;
    endpoint->service = service;
    endpoint->label = wisp_mem_dup(wisp_buf_str(&label));
    r = wisp_bus_subscribe(service->wrpc->bus, wisp_buf_str(&subject), wisp_str_from(service->queue), on_invocation,
                           endpoint, &endpoint->subscription, err);
    if (r < 0) {
        free(endpoint->label);
        free(endpoint);
        return wisp_err_wrap(err, "serving %.*s", WISP_STR_ARG(wisp_buf_str(&label)));
    }
    endpoint->next = service->endpoints;
    service->endpoints = endpoint;
    return 0;
}

/* --- calls --- */

static void take_caller(struct wisp_wrpc_incoming *call, const struct wisp_bus_message *message)
{
    struct wisp_wrpc_caller *caller = &call->caller;
    const struct {
        const char *name;
        struct wisp_str *to;
    } headers[] = {{"source-id", &caller->source_id},
                   {"link-name", &caller->link_name},
                   {"target-id", &caller->target_id},
                   {"traceparent", &caller->traceparent},
                   {"tracestate", &caller->tracestate}};
    if (message->n_headers == 0) return;
    for (size_t i = 0; i < WISP_COUNT(headers); i++) {
        struct wisp_str value = wisp_bus_header_get(message, headers[i].name);
        if (value.len > 0) *headers[i].to = wisp_arena_str(&call->arena, value);
    }
}

int wisp_wrpc_incoming_open(struct wisp_wrpc_incoming *call, const struct wisp_wrpc_session_ops *ops,
                            struct wisp_wrpc_endpoint *endpoint, const struct wisp_bus_message *message, bool may_wait,
                            struct wisp_err *err)
{
    struct wisp_wrpc_service *service = endpoint->service;
    int r = wisp_wrpc_session_accept(&call->session, ops, service->wrpc, message, endpoint->label, err);
    if (r == 0 && !may_wait) r = wisp_wrpc_session_accept_now(&call->session, err);
    if (r < 0) {
        wisp_wrpc_session_close(&call->session);
        return r;
    }
    call->service = service;
    wisp_ring_append(&service->calls, &call->link);
    service->n_calls++;
    take_caller(call, message);
    return 0;
}

void wisp_wrpc_incoming_free(struct wisp_wrpc_incoming *call)
{
    struct wisp_wrpc_service *service = call->service;
    wisp_wrpc_session_close(&call->session);
    wisp_ring_remove(&call->link);
    wisp_arena_deinit(&call->arena);
    free(call);
    if (!service) return;
    service->n_calls--;
    look_whether_drained(service);
}

const struct wisp_wrpc_caller *wisp_wrpc_incoming_caller(const struct wisp_wrpc_incoming *call)
{
    return &call->caller;
}

struct wisp_arena *wisp_wrpc_incoming_arena(struct wisp_wrpc_incoming *call) { return &call->arena; }
