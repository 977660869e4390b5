/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP exchanges, whichever way they came, answered by invocations of wasi:http/incoming-handler. */
#include "base/log.h"
#include "worker/observer.h"
#include "worker/policy.h"
#include "worker/router.h"
#include "wrpc/http.h"

#include <stdio.h>

/* --- answers in the component's place --- */

/* Clients read the cause. */
static void refuse(struct wisp_http_exchange *exchange, const char *cause)
{
    static const struct wisp_http_header retry_after = {WISP_STR_INIT("retry-after"), WISP_STR_INIT("1")};
    wisp_wasi_http_reply(exchange, 503, cause, &retry_after);
}

static bool is_answered(const struct wisp_invocation *invocation)
{
    return wisp_wasi_http_response(invocation->http) == WISP_WASI_HTTP_COMPLETE;
}

/* An error for the client if it hasn't been told anything yet, otherwise a response that is visibly broken. */
static void answer_failure_for(struct wisp_invocation *invocation, uint16_t status, const char *cause)
{
    struct wisp_http_exchange *exchange = invocation->exchange;
    if (!exchange || is_answered(invocation)) return;
    if (exchange->status == 0 || wisp_http_retract(exchange))
        wisp_wasi_http_reply(exchange, status, cause, NULL);
    else
        wisp_http_abort(exchange);
}

static void answer_failure(struct wisp_invocation *invocation, uint16_t status)
{
    answer_failure_for(invocation, status, NULL);
}

/* --- the invocation's ends --- */

static int prepare(struct wisp_invocation *invocation)
{
    invocation->export_ = invocation->edition->http_handler;
    if (!invocation->export_)
        return wisp_err_set(&invocation->err, WISP_ERR_UNSUPPORTED,
                            "it does not export wasi:http/incoming-handler, or one of another type");
    wisp_wasi_http_handle_args(invocation->http, &invocation->handle_args);
    invocation->args = &invocation->handle_args;
    invocation->result = NULL;
    return 0;
}

static bool on_returned(struct wisp_invocation *invocation)
{
    struct wisp_shared_counters *counters = invocation->tenant->counters;
    /* What the guest left open is dropped first: that may break its response. */
    wisp_instance_free(WISP_TAKE(invocation->instance));
    invocation->wasi.instance = NULL;
    switch (wisp_wasi_http_response(invocation->http)) {
    case WISP_WASI_HTTP_COMPLETE:
        return true;
    case WISP_WASI_HTTP_REPLIED:
        wisp_report_failure(invocation, "the component gave no response", wisp_wasi_http_problem(invocation->http));
        break;
    case WISP_WASI_HTTP_NOT_SET:
        counters->no_response++;
        wisp_report_failure(invocation, "the component gave no response", "it returned without setting one");
        answer_failure(invocation, 500);
        break;
    case WISP_WASI_HTTP_STREAMING:
    case WISP_WASI_HTTP_BROKEN:
        counters->no_response++;
        wisp_report_failure(invocation, "the component broke off its response",
                            wisp_wasi_http_problem(invocation->http));
        break;
    }
    return false;
}

static bool on_failed(struct wisp_invocation *invocation)
{
    const struct wisp_err *err = &invocation->err;
    struct wisp_shared_counters *counters = invocation->tenant->counters;
    /* What counts is how far the response had come before this. */
    bool was_answered = is_answered(invocation);
    if (invocation->wasi.has_exited && was_answered) {
        /* It has done what it was there for. */
    } else if (invocation->wasi.has_exited) {
        char cause[64];
        snprintf(cause, sizeof cause, "it called exit with code %d", invocation->wasi.exit_code);
        wisp_report_failure(invocation, "the component exited", cause);
        answer_failure(invocation, 500);
    } else if (err->kind == WISP_ERR_LIMIT && invocation->exchange && invocation->exchange->status == 0) {
        wisp_report_failure(invocation, "no instance could be made", err->text);
        counters->refused++;
        refuse(invocation->exchange, "no instance could be made");
    } else if (err->kind == WISP_ERR_UNSUPPORTED) {
        wisp_report_failure(invocation, "the component can't answer HTTP requests", err->text);
        answer_failure(invocation, 500);
    } else {
        counters->traps++;
        wisp_report_failure(invocation, "the component trapped", err->text);
        answer_failure(invocation, 500);
    }
    return was_answered;
}

static bool on_expired(struct wisp_invocation *invocation)
{
    bool was_answered = is_answered(invocation);
    char cause[64];
    snprintf(cause, sizeof cause, "no answer within %llu ms", (unsigned long long)invocation->timeout_ms);
    wisp_report_failure(invocation, "the component took too long", cause);
    answer_failure(invocation, invocation->timeout_status);
    return was_answered;
}

static void on_refused(struct wisp_invocation *invocation, const char *cause)
{
    wisp_report_failure(invocation, "a request was refused", cause);
    refuse(invocation->exchange, cause);
}

static bool on_given_up(struct wisp_invocation *invocation, const char *cause)
{
    bool was_answered = is_answered(invocation);
    wisp_report_failure(invocation, "request given up", cause);
    answer_failure_for(invocation, 503, "the component stops, or could not be started");
    return was_answered;
}

/* By wRPC a call that is denied ends without a result, as with the original. */
static void on_denied(struct wisp_invocation *invocation, const char *why)
{
    (void)why;
    if (wisp_wrpc_http_caller(invocation->exchange))
        wisp_http_abort(invocation->exchange);
    else
        answer_failure(invocation, 403);
}

static const struct wisp_invocation_ops ops = {prepare,    on_returned, on_failed, on_expired,
                                               on_refused, on_given_up, on_denied};

/* --- the exchange's events --- */

static struct wisp_str header(const struct wisp_http_exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->n_headers; i++)
        if (wisp_str_is(exchange->headers[i].name, name)) return exchange->headers[i].value;
    return (struct wisp_str){0};
}

/* Headers of the call that carries the request come before those of the request: whoever forwards has a span of its own
 * below the client's. */
static struct wisp_span *begin_span(struct wisp_tenant *tenant, const struct wisp_http_exchange *exchange)
{
    const struct wisp_wrpc_caller *caller = wisp_wrpc_http_caller(exchange);
    struct wisp_span_origin origin = {.traceparent = header(exchange, "traceparent"),
                                      .tracestate = header(exchange, "tracestate")};
    if (caller && caller->traceparent.len) {
        origin.traceparent = caller->traceparent;
        origin.tracestate = caller->tracestate;
    }
    return wisp_span_new_http(tenant->worker, WISP_OTLP_SERVER, tenant->id, exchange, &origin);
}

void wisp_http_call_begin(struct wisp_tenant *tenant, struct wisp_edition *edition, struct wisp_route *route,
                          struct wisp_http_exchange *exchange)
{
    static const struct wisp_wrpc_function handle = {WISP_STR_INIT(WISP_WRPC_HTTP_INTERFACE), WISP_STR_INIT("handle")};
    if (!wisp_wasi_http_is_valid_request(exchange)) {
        wisp_wasi_http_reply(exchange, 400, NULL, NULL);
        return;
    }
    tenant->counters->calls++;
    tenant->counters->http_calls++;
    if (!wisp_http_body_limit(exchange, tenant->terms->limits.body_bytes_max)) return;
    struct wisp_invocation *invocation = wisp_invocation_new(tenant, &ops);
    struct wisp_deadline_class *deadlines = invocation->terms->deadlines;
    invocation->edition = edition;
    invocation->exchange = exchange;
    invocation->timeout_status = 504;
    exchange->user = &invocation->answerer;
    if (tenant->worker->is_tracing) invocation->span = begin_span(tenant, exchange);
    if (route && route->deadlines && route->deadlines->timeout_ms < deadlines->timeout_ms) {
        deadlines = route->deadlines;
        invocation->timeout_status = 408;
    }
    if (route && wisp_route_has_headers(route)) wisp_route_decorate(route, exchange, &invocation->answerer);
    wisp_wasi_http_attach(invocation->http, &invocation->wasi, exchange);
    wisp_deadline_begin(invocation, deadlines);
    wisp_policy_begin(invocation, &handle);
}

static struct wisp_invocation *invocation_of(const struct wisp_http_exchange *exchange)
{
    return exchange->user ? WISP_OWNER(exchange->user, struct wisp_invocation, answerer) : NULL;
}

void wisp_http_call_on_body(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    struct wisp_invocation *invocation = invocation_of(exchange);
    if (invocation) wisp_wasi_http_on_body(invocation->http);
}

void wisp_http_call_on_drain(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    struct wisp_invocation *invocation = invocation_of(exchange);
    if (invocation) wisp_wasi_http_on_drain(invocation->http);
}

void wisp_http_call_on_close(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    struct wisp_invocation *invocation = invocation_of(exchange);
    if (!invocation) return;
    wisp_wasi_http_detach(invocation->http);
    if (invocation->span) wisp_span_set_status(invocation->span, exchange->status);
    invocation->exchange = NULL;
    /* Once the guest's response is out, or given up by the guest, what else it does is its own business. */
    if (exchange->outcome == WISP_HTTP_COMPLETE || exchange->outcome == WISP_HTTP_ABORTED) return;
    invocation->tenant->counters->errors++;
    invocation->tenant->counters->http_errors++;
    if (exchange->outcome == WISP_HTTP_CLIENT_GONE) invocation->tenant->counters->cancelled++;
    if (invocation->span) wisp_span_fail(invocation->span, "request given up", wisp_report_outcome(exchange->outcome));
    WISP_LOG(DEBUG, "worker", "request given up", WISP_TEXT("cause", wisp_report_outcome(exchange->outcome)),
             WISP_TEXT("component", invocation->tenant->id));
    wisp_invocation_end(invocation);
}
