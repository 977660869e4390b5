/* SPDX-License-Identifier: Apache-2.0 */
/* Logs, spans and metrics as OpenTelemetry's protocol has them (opentelemetry-proto 1.x). Each function appends one
 * item as a field of the message around it, so items can be kept as bytes and put together later: all three signals
 * have the same frame. Attributes are fields as logs have them. */
#pragma once

#include "base/log.h"
#include "base/mem.h"
#include "telemetry/trace.h"

/* Nanoseconds since 1970. */
uint64_t wisp_otlp_now_ns(void);

/* --- the request around items --- */

enum wisp_otlp_signal { WISP_OTLP_TRACES, WISP_OTLP_METRICS, WISP_OTLP_LOGS, WISP_OTLP_SIGNALS };

/* The attributes of who says it, for wisp_otlp_request. */
void wisp_otlp_resource(struct wisp_buf *out, const struct wisp_log_field *attributes, size_t n);
/* ExportTraceServiceRequest and its siblings. */
void wisp_otlp_request(struct wisp_buf *out, struct wisp_str resource, struct wisp_str items);

/* --- items --- */

void wisp_otlp_log(struct wisp_buf *out, const struct wisp_log_record *log);

enum wisp_otlp_span_kind { WISP_OTLP_INTERNAL = 1, WISP_OTLP_SERVER, WISP_OTLP_CLIENT };
struct wisp_otlp_span {
    struct wisp_trace_context context;
    const uint8_t *parent_id; /* NULL: a root */
    struct wisp_str state;    /* tracestate */
    struct wisp_str name;
    enum wisp_otlp_span_kind kind;
    uint64_t start_ns, end_ns; /* since 1970 */
    const struct wisp_log_field *attributes;
    size_t n_attributes;
    const char *failure; /* NULL: none */
};
void wisp_otlp_span(struct wisp_buf *out, const struct wisp_otlp_span *span);

/* Numbers since the start (cumulative), and gauges. */
enum wisp_otlp_metric_kind { WISP_OTLP_GAUGE = 5, WISP_OTLP_SUM = 7, WISP_OTLP_HISTOGRAM = 9 };
struct wisp_otlp_metric {
    const char *name, *unit, *description;
    enum wisp_otlp_metric_kind kind;
};
struct wisp_otlp_when {
    uint64_t start_ns, now_ns;
};
struct wisp_otlp_begun {
    size_t metric, data;
    enum wisp_otlp_metric_kind kind;
};
struct wisp_otlp_begun wisp_otlp_metric_begin(struct wisp_buf *out, const struct wisp_otlp_metric *metric);
/* Points, any number of them. */
void wisp_otlp_integer(struct wisp_buf *out, const struct wisp_otlp_when *when, struct wisp_str attributes,
                       uint64_t value);
void wisp_otlp_number(struct wisp_buf *out, const struct wisp_otlp_when *when, struct wisp_str attributes,
                      double value);
struct wisp_otlp_histogram {
    double sum;
    const uint64_t *counts; /* one more than bounds */
    const double *bounds;
    size_t n_bounds;
};
void wisp_otlp_histogram(struct wisp_buf *out, const struct wisp_otlp_when *when, struct wisp_str attributes,
                         const struct wisp_otlp_histogram *histogram);
void wisp_otlp_metric_end(struct wisp_buf *out, const struct wisp_otlp_begun *begun);
/* Attributes of points, made once for several: of numbers, and of histograms. */
void wisp_otlp_number_attributes(struct wisp_buf *out, const struct wisp_log_field *attributes, size_t n);
void wisp_otlp_histogram_attributes(struct wisp_buf *out, const struct wisp_log_field *attributes, size_t n);
