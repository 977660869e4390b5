/* SPDX-License-Identifier: Apache-2.0 */
/* The bus: connection, services of editions, HTTP to components of other hosts. */
#include "worker/remote.h"
#include "worker/entry.h"
#include "worker/observer.h"
#include "worker/policy.h"

#include "base/log.h"
#include "capability/capability.h"
#include "wrpc/call.h"
#include "wrpc/http.h"

#include <stdlib.h>

enum { FLUSH_MS = 1000, SERVED_MS = 2000 };

struct wisp_remote {
    struct wisp_worker *worker;
    struct wisp_bus_client *bus;
    struct wisp_wrpc *wrpc;
    struct wisp_link services, announcements;
    bool is_flushing, is_flushed;
};

/* What is served of one edition. */
struct wisp_remote_service {
    struct wisp_link all; /* in remote->services */
    struct wisp_remote *remote;
    struct wisp_edition *edition; /* held */
    struct wisp_wrpc_service *service;
    struct served *functions; /* by the component's export_funcs, then by wisp_capability_insides */
    bool is_draining;
};

struct served {
    struct wisp_remote_service *service;
    struct wisp_wrpc_function function;
    const struct wisp_func_type *type; /* on the wire */
    struct wisp_entry_target target;   /* without `inside`: it is exported as it is on the wire */
};

struct wisp_wrpc *wisp_remote_wrpc(const struct wisp_worker *worker)
{
    return worker->remote ? worker->remote->wrpc : NULL;
}

struct wisp_bus_client *wisp_remote_bus(const struct wisp_worker *worker)
{
    return worker->remote ? worker->remote->bus : NULL;
}

/* --- calls of functions --- */

static int prepare(struct wisp_invocation *invocation)
{
    (void)invocation;
    return 0;
}

static bool on_returned(struct wisp_invocation *invocation)
{
    struct wisp_err err = {0};
    if (wisp_wrpc_incoming_finish(invocation->caller, invocation->result, &err) == 0) return true;
    wisp_report_failure(invocation, "a result could not be sent", err.text);
    return false;
}

static bool fail(struct wisp_invocation *invocation, const char *message, const char *cause)
{
    wisp_report_failure(invocation, message, cause);
    wisp_wrpc_incoming_fail(invocation->caller);
    return false;
}

static bool on_failed(struct wisp_invocation *invocation)
{
    struct wisp_shared_counters *counters = invocation->tenant->counters;
    if (invocation->wasi.has_exited) return fail(invocation, "the component exited", "in a call");
    if (invocation->err.kind == WISP_ERR_LIMIT) {
        counters->refused++;
        return fail(invocation, "no instance could be made", invocation->err.text);
    }
    counters->traps++;
    return fail(invocation, "the component trapped", invocation->err.text);
}

static bool on_expired(struct wisp_invocation *invocation)
{
    return fail(invocation, "the component took too long", "in a call");
}

static void on_refused(struct wisp_invocation *invocation, const char *cause)
{
    (void)fail(invocation, "a call was refused", cause);
}

static bool on_given_up(struct wisp_invocation *invocation, const char *cause)
{
    return fail(invocation, "a call was given up", cause);
}

static void on_denied(struct wisp_invocation *invocation, const char *why)
{
    (void)why;
    wisp_wrpc_incoming_fail(invocation->caller);
}

static const struct wisp_invocation_ops ops = {prepare,    on_returned, on_failed, on_expired,
                                               on_refused, on_given_up, on_denied};

static struct wisp_span *begin_span(struct wisp_tenant *tenant, const struct wisp_wrpc_incoming *call,
                                    const struct wisp_wrpc_function *function)
{
    const struct wisp_wrpc_caller *caller = wisp_wrpc_incoming_caller(call);
    const struct wisp_span_origin origin = {.traceparent = caller->traceparent, .tracestate = caller->tracestate};
    return wisp_span_new_call(tenant->worker, WISP_OTLP_SERVER, tenant->id, function->interface, function->name,
                              &origin);
}

static void on_call(struct wisp_wrpc_incoming *call, const void *args, void *env)
{
    const struct served *served = env;
    struct wisp_edition *edition = served->service->edition;
    struct wisp_tenant *tenant = edition->tenant;
    struct wisp_invocation *invocation = wisp_invocation_new(tenant, &ops);
    const struct wisp_type *type = served->type->result;
    tenant->counters->calls++;
    invocation->caller = call;
    invocation->edition = edition;
    invocation->export_ = served->target.export_;
    if (tenant->worker->is_tracing) invocation->span = begin_span(tenant, call, &served->function);
    invocation->args = args;
    invocation->result = type ? wisp_arena_calloc(wisp_wrpc_incoming_arena(call), 1, type->native_size) : NULL;
    wisp_wasi_http_attach(invocation->http, &invocation->wasi, NULL);
    if (served->target.inside) wisp_entry_begin(invocation, &served->target);
    wisp_deadline_begin(invocation, invocation->terms->deadlines);
    wisp_policy_begin(invocation, &served->function);
}

static void on_request(struct wisp_http_exchange *exchange, void *env)
{
    const struct wisp_remote_service *service = env;
    wisp_http_call_begin(service->edition->tenant, service->edition, NULL, exchange);
}

/* --- services --- */

static int serve_function(struct wisp_remote_service *service, uint32_t index, struct wisp_err *err)
{
    struct wisp_edition *edition = service->edition;
    const struct wisp_export_func *func = &edition->program.component->export_funcs[index];
    struct served *served = &service->functions[index];
    *served =
        (struct served){.service = service,
                        .function = {func->interface, func->name},
                        .type = func->type,
                        .target = {.func = func, .export_ = wisp_linked_export_of(edition->program.linked, func)}};
    if (!served->target.export_) return 0; /* an import, exported again */
    return wisp_wrpc_service_add(service->service, &served->function, func->type, on_call, served, err);
}

/* What an export with objects stands for. */
static int serve_inside(struct wisp_remote_service *service, uint32_t index, struct wisp_err *err)
{
    struct wisp_edition *edition = service->edition;
    const struct wisp_inside *inside = wisp_capability_insides[index];
    struct served *served = &service->functions[edition->program.component->n_export_funcs + index];
    *served = (struct served){.service = service,
                              .function = {wisp_str_from(inside->interface->name), wisp_str_from(inside->func->name)}};
    if (!wisp_entry_get(edition, inside, &served->target)) return 0;
    served->type = wisp_wire_type(&edition->tenant->worker->wire_types, inside->interface, inside->func, err);
    if (!served->type) return -(int)err->kind;
    return wisp_wrpc_service_add(service->service, &served->function, served->type, on_call, served, err);
}

static int serve_http(struct wisp_remote_service *service, struct wisp_err *err)
{
    const struct wisp_wrpc_http_options options = {
        .handler = {.on_request = on_request,
                    .on_body = wisp_http_call_on_body,
                    .on_drain = wisp_http_call_on_drain,
                    .on_close = wisp_http_call_on_close},
        .env = service,
    };
    return wisp_wrpc_http_serve(service->service, &options, err);
}

static void warn(const struct wisp_edition *edition, const struct wisp_wrpc_function *function,
                 const struct wisp_err *err)
{
    WISP_LOG(WARN, "worker", "an export is not served to other hosts", WISP_TEXT("component", edition->tenant->id),
             WISP_BYTES("interface", function->interface), WISP_BYTES("function", function->name),
             WISP_TEXT("cause", err->text));
}

static void serve_all(struct wisp_remote_service *service)
{
    const struct wisp_edition *edition = service->edition;
    const struct wisp_component *component = edition->program.component;
    for (uint32_t i = 0; i < component->n_export_funcs; i++) {
        const struct wisp_export_func *func = &component->export_funcs[i];
        struct wisp_err err = {0};
        bool is_http = wisp_str_starts_with(func->interface, WISP_STR("wasi:http/incoming-handler@0.2"));
        int r = 0;
        if (is_http)
            r = edition->http_handler ? serve_http(service, &err) : 0;
        else if (!wisp_entry_is_behind(edition, func))
            r = serve_function(service, i, &err);
        if (r < 0) warn(edition, &(struct wisp_wrpc_function){func->interface, func->name}, &err);
    }
    for (uint32_t i = 0; i < wisp_capability_n_insides; i++) {
        struct wisp_err err = {0};
        if (serve_inside(service, i, &err) < 0)
            warn(edition, &service->functions[component->n_export_funcs + i].function, &err);
    }
}

/* Subscriptions that are on their way to the bus. */
struct announcement {
    struct wisp_link all; /* in remote->announcements */
    struct wisp_worker *worker;
    void (*tell)(struct wisp_worker *worker, struct wisp_str id, uint64_t generation);
    char *id;
    uint64_t generation;
};

static void announcement_free(struct announcement *announcement)
{
    wisp_ring_remove(&announcement->all);
    free(announcement->id);
    free(announcement);
}

static void on_served(const struct wisp_err *err, void *env)
{
    (void)err; /* without the bus it takes calls of this host all the same */
    struct announcement *announcement = env;
    announcement->tell(announcement->worker, wisp_str_from(announcement->id), announcement->generation);
    announcement_free(announcement);
}

void wisp_remote_when_served(struct wisp_worker *worker,
                             void (*tell)(struct wisp_worker *worker, struct wisp_str id, uint64_t generation),
                             struct wisp_str id, uint64_t generation)
{
    struct wisp_remote *remote = worker->remote;
    if (!remote || wisp_bus_client_state(remote->bus) != WISP_BUS_CONNECTED) {
        tell(worker, id, generation);
        return;
    }
    struct announcement *announcement = wisp_mem_calloc(1, sizeof *announcement);
    announcement->worker = worker;
    announcement->tell = tell;
    announcement->id = wisp_mem_dup(id);
    announcement->generation = generation;
    wisp_ring_append(&remote->announcements, &announcement->all);
    wisp_bus_flush(remote->bus, SERVED_MS, on_served, announcement);
}

static void serve(struct wisp_edition *edition)
{
    struct wisp_remote *remote = edition->tenant->worker->remote;
    struct wisp_remote_service *service = wisp_mem_calloc(1, sizeof *service);
    struct wisp_err err = {0};
    if (wisp_wrpc_service_new(&service->service, remote->wrpc, wisp_str_from(edition->tenant->id), &err) < 0) {
        WISP_LOG(ERROR, "worker", "the component is not served to other hosts",
                 WISP_TEXT("component", edition->tenant->id), WISP_TEXT("cause", err.text));
        free(service);
        return;
    }
    service->remote = remote;
    service->edition = edition;
    service->functions = wisp_mem_calloc(edition->program.component->n_export_funcs + wisp_capability_n_insides,
                                         sizeof *service->functions);
    edition->n_refs++;
    edition->service = service;
    wisp_ring_append(&remote->services, &service->all);
    serve_all(service);
}

void wisp_remote_serve(struct wisp_edition *edition)
{
    const struct wisp_tenant *tenant = edition->tenant;
    if (tenant->worker->remote) serve(edition);
    wisp_remote_when_served(tenant->worker, wisp_hosting_on_ready, wisp_str_from(tenant->id), edition->generation);
}

static void service_free(struct wisp_remote_service *service)
{
    wisp_wrpc_service_free(service->service);
    wisp_ring_remove(&service->all);
    service->edition->service = NULL;
    wisp_edition_unref(service->edition);
    free(service->functions);
    free(service);
}

static void on_drained(void *env)
{
    struct wisp_remote_service *service = env;
    struct wisp_worker *worker = service->remote->worker;
    service_free(service);
    if (worker->is_stopping) wisp_worker_settle(worker);
}

static void drain(struct wisp_remote_service *service)
{
    if (service->is_draining) return;
    service->is_draining = true;
    wisp_wrpc_service_drain(service->service, on_drained, service);
}

void wisp_remote_unserve(struct wisp_edition *edition)
{
    if (edition->service) drain(edition->service);
}

/* --- HTTP to components of other hosts --- */

struct forward {
    struct wisp_answerer answerer;
    struct wisp_wrpc_forward *forward;
    struct wisp_worker *worker;
    struct wisp_span *span; /* NULL: nothing is traced here */
    char *component;        /* of the span */
};

static size_t add_header(struct wisp_bus_header *headers, size_t n, const struct wisp_http_exchange *exchange,
                         const char *name)
{
    for (size_t i = 0; i < exchange->n_headers; i++) {
        if (!wisp_str_is(exchange->headers[i].name, name)) continue;
        headers[n++] = (struct wisp_bus_header){wisp_str_from(name), exchange->headers[i].value};
        break;
    }
    return n;
}

/* The trace goes on below a span of this worker, or as the client sent it. The number of headers, at most two. */
static size_t trace(struct forward *forward, struct wisp_worker *worker, const struct wisp_route *route,
                    const struct wisp_http_exchange *exchange, char text[WISP_TRACEPARENT_LEN + 1],
                    struct wisp_bus_header *headers)
{
    size_t n_sent = add_header(headers, 0, exchange, "traceparent");
    size_t n = add_header(headers, n_sent, exchange, "tracestate");
    forward->worker = worker;
    if (!worker->is_tracing) return n;
    const struct wisp_span_origin origin = {.traceparent = n_sent ? headers[0].value : (struct wisp_str){0},
                                            .tracestate = n > n_sent ? headers[n_sent].value : (struct wisp_str){0}};
    forward->component = wisp_mem_dup(route->component);
    forward->span = wisp_span_new_http(worker, WISP_OTLP_CLIENT, forward->component, exchange, &origin);
    return wisp_span_headers(forward->span, text, headers);
}

void wisp_remote_forward(struct wisp_worker *worker, struct wisp_route *route, struct wisp_http_exchange *exchange)
{
    if (!worker->remote || worker->is_hard) {
        static const struct wisp_http_header retry_after = {WISP_STR_INIT("retry-after"), WISP_STR_INIT("1")};
        wisp_wasi_http_reply(exchange, 503, worker->is_hard ? "the host stops" : "the host is on no bus", &retry_after);
        return;
    }
    struct wisp_bus_header headers[4] = {{WISP_STR("source-id"), wisp_str_from(worker->options->host->host_id)},
                                         {WISP_STR("target-id"), route->component}};
    char traceparent[WISP_TRACEPARENT_LEN + 1];
    struct forward *forward = wisp_mem_calloc(1, sizeof *forward);
    size_t n = 2 + trace(forward, worker, route, exchange, traceparent, &headers[2]);
    const struct wisp_wrpc_forward_options options = {
        .target = route->component,
        .headers = headers,
        .n_headers = n,
        .timeout_ms = route->deadlines ? route->deadlines->timeout_ms : WISP_WORKER_TIMEOUT_MS,
    };
    forward->answerer.is_forward = true;
    exchange->user = &forward->answerer;
    if (wisp_route_has_headers(route)) wisp_route_decorate(route, exchange, &forward->answerer);
    forward->forward = wisp_wrpc_forward_new(worker->remote->wrpc, exchange, &options);
}

static struct forward *forward_of(const struct wisp_http_exchange *exchange)
{
    return WISP_OWNER(exchange->user, struct forward, answerer);
}

void wisp_remote_on_body(struct wisp_http_exchange *exchange)
{
    wisp_wrpc_forward_on_body(forward_of(exchange)->forward);
}

void wisp_remote_on_drain(struct wisp_http_exchange *exchange)
{
    wisp_wrpc_forward_on_drain(forward_of(exchange)->forward);
}

void wisp_remote_on_close(struct wisp_http_exchange *exchange)
{
    struct forward *forward = forward_of(exchange);
    wisp_wrpc_forward_free(forward->forward);
    if (forward->span) {
        wisp_span_set_status(forward->span, exchange->status);
        wisp_span_end(forward->worker, forward->span);
    }
    free(forward->component);
    wisp_route_leave(&forward->answerer);
    free(forward);
}

/* --- the connection --- */

static void on_state(enum wisp_bus_state state, const struct wisp_err *reason, void *env)
{
    const struct wisp_remote *remote = env;
    if (state == WISP_BUS_CONNECTED)
        WISP_LOG(DEBUG, "worker", "on the bus", WISP_TEXT("url", wisp_bus_client_url(remote->bus)));
    else
        WISP_LOG(WARN, "worker", "the bus can't be reached; what is on this host goes on",
                 WISP_TEXT("cause", reason ? reason->text : ""));
}

int wisp_remote_start(struct wisp_worker *worker, struct wisp_err *err)
{
    const struct wisp_worker_host *host = worker->options->host;
    const struct wisp_worker_bus *bus = &host->bus;
    if (!bus->n_urls) return 0;
    struct wisp_remote *remote = worker->remote = wisp_mem_calloc(1, sizeof *remote);
    remote->worker = worker;
    wisp_ring_init(&remote->services);
    wisp_ring_init(&remote->announcements);
    const struct wisp_bus_client_options client = {
        .urls = bus->urls,
        .n_urls = bus->n_urls,
        .fd = -1,
        .name = "wisp worker",
        .token = bus->token,
        .jwt = bus->jwt,
        .seed = bus->seed,
        .creds_path = bus->creds_path,
        .tls = {.is_required = bus->is_tls,
                .is_first = bus->is_tls_first,
                .ca_path = bus->tls_ca_path,
                .cert_path = bus->tls_cert_path,
                .key_path = bus->tls_key_path},
        .on_state = on_state,
        .env = remote,
    };
    int r = wisp_bus_client_new(&remote->bus, &worker->loop, &client, err);
    if (r < 0) return r;
    const struct wisp_wrpc_options wrpc = {.loop = &worker->loop,
                                           .bus = remote->bus,
                                           .lattice = host->lattice ? host->lattice : "default",
                                           .seen = wisp_shared_board(worker->shared)};
    static_assert(sizeof *wrpc.seen <= WISP_SHARED_BOARD_SIZE, "it fits");
    r = wisp_wrpc_new(&remote->wrpc, &wrpc, err);
    return r == 0 && host->policy.topic ? wisp_policy_start(worker, remote->bus, err) : r;
}

void wisp_remote_drain(struct wisp_worker *worker)
{
    if (!worker->remote) return;
    struct wisp_link *services = &worker->remote->services;
    for (struct wisp_link *at = services->next; at != services; at = at->next)
        drain(WISP_OWNER(at, struct wisp_remote_service, all));
}

static void on_flushed(void *env)
{
    struct wisp_remote *remote = env;
    remote->is_flushed = true;
    wisp_worker_settle(remote->worker);
}

bool wisp_remote_finish(struct wisp_worker *worker)
{
    struct wisp_remote *remote = worker->remote;
    if (!remote || worker->is_hard) return true;
    if (!wisp_ring_is_empty(&remote->services)) return false;
    if (!remote->is_flushing) {
        remote->is_flushing = true;
        wisp_bus_client_drain(remote->bus, FLUSH_MS, on_flushed, remote);
    }
    return remote->is_flushed;
}

void wisp_remote_stop(struct wisp_worker *worker)
{
    struct wisp_remote *remote = worker->remote;
    if (!remote) return;
    while (!wisp_ring_is_empty(&remote->services))
        service_free(WISP_OWNER(remote->services.next, struct wisp_remote_service, all));
    wisp_wrpc_free(remote->wrpc);
    wisp_bus_client_free(remote->bus);
    wisp_policy_free(WISP_TAKE(worker->policy));
    while (!wisp_ring_is_empty(&remote->announcements))
        announcement_free(WISP_OWNER(remote->announcements.next, struct announcement, all));
    free(remote);
    worker->remote = NULL;
}
