/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker's calls and log look like from outside: spans and log records for OpenTelemetry collectors. They are
 * handed to the control process in batches; what it does not take in time is dropped, oldest first. Nothing here can
 * make a call fail.
 *
 * A span is there for every call of a component while worker->is_tracing, also for those that are not sampled: what is
 * called in turn has to know. One thread. */
#pragma once

#include "bus/bus.h"
#include "telemetry/otlp.h"
#include "worker/worker_priv.h"

/* After the orders are there. Does nothing unless the host asks for spans or logs. */
void wisp_observer_start(struct wisp_worker *worker);
/* Hands in what is left; before the orders are freed. */
void wisp_observer_stop(struct wisp_worker *worker);
/* Handles are closed. */
void wisp_observer_free(struct wisp_worker *worker);

struct wisp_span;

/* Whom a span is below: a span of this worker, or what a caller sent; nobody when all is empty. */
struct wisp_span_origin {
    const struct wisp_span *span;
    struct wisp_str traceparent, tracestate;
};

/* Of an HTTP request that a component answers: SERVER here, CLIENT elsewhere, to where it is forwarded. The component's
 * id outlives the span. */
struct wisp_span *wisp_span_new_http(struct wisp_worker *worker, enum wisp_otlp_span_kind kind, const char *component,
                                     const struct wisp_http_exchange *exchange, const struct wisp_span_origin *origin);
/* Of a call of a function: SERVER when it came over the bus, CLIENT when it goes there, INTERNAL within the worker.
 * Texts are copied, except the component's id. */
struct wisp_span *wisp_span_new_call(struct wisp_worker *worker, enum wisp_otlp_span_kind kind, const char *component,
                                     struct wisp_str interface, struct wisp_str function,
                                     const struct wisp_span_origin *origin);
void wisp_span_set_status(struct wisp_span *span, uint16_t http_status);
/* Only the first reason is kept. */
void wisp_span_fail(struct wisp_span *span, const char *message, const char *cause);
/* Ends it now. */
void wisp_span_end(struct wisp_worker *worker, struct wisp_span *span);

/* Headers that tell somebody else of the span; the number of them, at most two. `text` and the span must outlive
 * them. */
size_t wisp_span_headers(const struct wisp_span *span, char text[WISP_TRACEPARENT_LEN + 1],
                         struct wisp_bus_header headers[2]);
