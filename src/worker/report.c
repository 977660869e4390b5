/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/observer.h"

#include "base/log.h"

enum { LINES_PER_WINDOW = 20, WINDOW_MS = 1000 };

/* Says how many lines were held back, if any. */
void wisp_report_flush(struct wisp_tenant *tenant)
{
    struct wisp_reporter *reporter = &tenant->reporter;
    if (reporter->n_held_back)
        WISP_LOG(WARN, "worker", "more requests failed in the same second", WISP_INT("requests", reporter->n_held_back),
                 WISP_TEXT("component", tenant->id));
    reporter->n_held_back = 0;
}

static bool may_report(struct wisp_tenant *tenant)
{
    struct wisp_reporter *reporter = &tenant->reporter;
    uint64_t now_ms = uv_now(&tenant->worker->loop);
    if (now_ms >= reporter->window_end_ms) {
        wisp_report_flush(tenant);
        reporter->window_end_ms = now_ms + WINDOW_MS;
        reporter->n_in_window = 0;
    }
    if (reporter->n_in_window >= LINES_PER_WINDOW) {
        reporter->n_held_back++;
        return false;
    }
    reporter->n_in_window++;
    return true;
}

static void report_request(const struct wisp_tenant *tenant, const struct wisp_http_exchange *exchange,
                           const char *message, const char *cause)
{
    struct wisp_str path = exchange->target, query;
    wisp_str_split(path, '?', &path, &query); /* a query may hold secrets */
    WISP_LOG(ERROR, "worker", message, WISP_TEXT("cause", cause), WISP_TEXT("component", tenant->id),
             WISP_BYTES("method", exchange->method), WISP_BYTES("path", path));
}

void wisp_report_failure(struct wisp_invocation *invocation, const char *message, const char *cause)
{
    struct wisp_tenant *tenant = invocation->tenant;
    if (invocation->span) wisp_span_fail(invocation->span, message, cause);
    if (!may_report(tenant)) return;
    if (invocation->exchange)
        report_request(tenant, invocation->exchange, message, cause);
    else
        WISP_LOG(ERROR, "worker", message, WISP_TEXT("cause", cause), WISP_TEXT("component", tenant->id));
    const char *backtrace = invocation->instance ? wisp_instance_backtrace(invocation->instance) : "";
    if (*backtrace)
        WISP_LOG(DEBUG, "worker", "backtrace", WISP_TEXT("component", tenant->id), WISP_TEXT("frames", backtrace));
}

const char *wisp_report_outcome(enum wisp_http_outcome outcome)
{
    static const char *const texts[] = {
        [WISP_HTTP_OPEN] = "open",
        [WISP_HTTP_COMPLETE] = "complete",
        [WISP_HTTP_CLIENT_GONE] = "the client left",
        [WISP_HTTP_TIMED_OUT] = "the client was too slow",
        [WISP_HTTP_BODY_MALFORMED] = "the request's body is malformed",
        [WISP_HTTP_BODY_TOO_LARGE] = "the request's body is too large",
        [WISP_HTTP_ABORTED] = "broken off",
        [WISP_HTTP_STOPPED] = "the worker stops",
    };
    return texts[outcome];
}

void wisp_report_end(struct wisp_worker *worker)
{
    for (struct wisp_link *at = worker->tenants.next; at != &worker->tenants; at = at->next) {
        struct wisp_tenant *tenant = WISP_OWNER(at, struct wisp_tenant, all);
        const struct wisp_shared_counters *counters = tenant->counters;
        wisp_report_flush(tenant);
        if (!counters->calls) continue;
        WISP_LOG(DEBUG, "worker", "stopped", WISP_TEXT("component", tenant->id), WISP_INT("calls", counters->calls),
                 WISP_INT("answered", counters->answered), WISP_INT("failed", counters->errors),
                 WISP_INT("refused", counters->refused), WISP_INT("instances_peak", counters->instances_peak),
                 WISP_INT("guest_ms", counters->guest_ns / 1000000));
    }
}
