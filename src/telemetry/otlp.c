/* SPDX-License-Identifier: Apache-2.0 */
/* Field numbers are those of opentelemetry/proto/{collector,common,resource,trace,metrics,logs}/v1. */
#include "telemetry/otlp.h"

#include "telemetry/protobuf.h"

#include <time.h>

enum {
    ITEM = 2, /* ScopeSpans.spans, ScopeMetrics.metrics, ScopeLogs.log_records */
    CUMULATIVE = 2,
    STATUS_ERROR = 2,
    FLAG_SAMPLED = 1,
};

uint64_t wisp_otlp_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void put_name(struct wisp_buf *out, uint32_t field, const char *text)
{
    wisp_protobuf_text(out, field, wisp_str_from(text));
}

/* repeated KeyValue { string key = 1; AnyValue value = 2 { string_value = 1; int_value = 3 } } */
static void put_attributes(struct wisp_buf *out, uint32_t field, const struct wisp_log_field *attributes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t pair = wisp_protobuf_begin(out, field);
        put_name(out, 1, attributes[i].key);
        size_t value = wisp_protobuf_begin(out, 2);
        if (attributes[i].kind == WISP_LOG_FIELD_INT)
            wisp_protobuf_varint(out, 3, (uint64_t)attributes[i].number);
        else
            wisp_protobuf_text(out, 1, attributes[i].text);
        wisp_protobuf_end(out, value);
        wisp_protobuf_end(out, pair);
    }
}

/* --- the request --- */

void wisp_otlp_resource(struct wisp_buf *out, const struct wisp_log_field *attributes, size_t n)
{
    size_t resource = wisp_protobuf_begin(out, 1);
    put_attributes(out, 1, attributes, n);
    wisp_protobuf_end(out, resource);
}

void wisp_otlp_request(struct wisp_buf *out, struct wisp_str resource, struct wisp_str items)
{
    size_t of_resource = wisp_protobuf_begin(out, 1);
    wisp_buf_append_str(out, resource);
    size_t of_scope = wisp_protobuf_begin(out, 2);
    size_t scope = wisp_protobuf_begin(out, 1);
    put_name(out, 1, "wisp");
    wisp_protobuf_end(out, scope);
    wisp_buf_append_str(out, items);
    wisp_protobuf_end(out, of_scope);
    wisp_protobuf_end(out, of_resource);
}

/* --- logs --- */

void wisp_otlp_log(struct wisp_buf *out, const struct wisp_log_record *log)
{
    static const struct {
        const char *name;
        uint8_t number;
    } severities[] = {[WISP_LOG_ERROR] = {"ERROR", 17},
                      [WISP_LOG_WARN] = {"WARN", 13},
                      [WISP_LOG_INFO] = {"INFO", 9},
                      [WISP_LOG_DEBUG] = {"DEBUG", 5}};
    uint64_t now_ns = wisp_otlp_now_ns();
    const struct wisp_log_field scope = WISP_TEXT("scope", log->scope);
    size_t record = wisp_protobuf_begin(out, ITEM);
    wisp_protobuf_fixed64(out, 1, now_ns);
    wisp_protobuf_varint(out, 2, severities[log->level].number);
    put_name(out, 3, severities[log->level].name);
    size_t body = wisp_protobuf_begin(out, 5);
    put_name(out, 1, log->message);
    wisp_protobuf_end(out, body);
    put_attributes(out, 6, &scope, 1);
    put_attributes(out, 6, log->fields, log->n_fields);
    wisp_protobuf_fixed64(out, 11, now_ns);
    wisp_protobuf_end(out, record);
}

/* --- spans --- */

static void put_id(struct wisp_buf *out, uint32_t field, const uint8_t *id, size_t size)
{
    wisp_protobuf_bytes(out, field, (struct wisp_str){(const char *)id, size});
}

void wisp_otlp_span(struct wisp_buf *out, const struct wisp_otlp_span *span)
{
    size_t begun = wisp_protobuf_begin(out, ITEM);
    put_id(out, 1, span->context.trace_id, sizeof span->context.trace_id);
    put_id(out, 2, span->context.span_id, sizeof span->context.span_id);
    if (span->state.len) wisp_protobuf_text(out, 3, span->state);
    if (span->parent_id) put_id(out, 4, span->parent_id, sizeof span->context.span_id);
    wisp_protobuf_text(out, 5, span->name);
    wisp_protobuf_varint(out, 6, span->kind);
    wisp_protobuf_fixed64(out, 7, span->start_ns);
    wisp_protobuf_fixed64(out, 8, span->end_ns);
    put_attributes(out, 9, span->attributes, span->n_attributes);
    if (span->failure) {
        size_t status = wisp_protobuf_begin(out, 15);
        put_name(out, 2, span->failure);
        wisp_protobuf_varint(out, 3, STATUS_ERROR);
        wisp_protobuf_end(out, status);
    }
    wisp_protobuf_fixed32(out, 16, FLAG_SAMPLED);
    wisp_protobuf_end(out, begun);
}

/* --- metrics --- */

struct wisp_otlp_begun wisp_otlp_metric_begin(struct wisp_buf *out, const struct wisp_otlp_metric *metric)
{
    struct wisp_otlp_begun begun = {.kind = metric->kind};
    begun.metric = wisp_protobuf_begin(out, ITEM);
    put_name(out, 1, metric->name);
    put_name(out, 2, metric->description);
    put_name(out, 3, metric->unit);
    begun.data = wisp_protobuf_begin(out, metric->kind); /* Metric.gauge, .sum, .histogram */
    return begun;
}

void wisp_otlp_metric_end(struct wisp_buf *out, const struct wisp_otlp_begun *begun)
{
    if (begun->kind != WISP_OTLP_GAUGE) wisp_protobuf_varint(out, 2, CUMULATIVE);
    if (begun->kind == WISP_OTLP_SUM) wisp_protobuf_varint(out, 3, true); /* monotonic */
    wisp_protobuf_end(out, begun->data);
    wisp_protobuf_end(out, begun->metric);
}

static size_t begin_point(struct wisp_buf *out, const struct wisp_otlp_when *when, struct wisp_str attributes)
{
    size_t point = wisp_protobuf_begin(out, 1);
    wisp_buf_append_str(out, attributes);
    wisp_protobuf_fixed64(out, 2, when->start_ns);
    wisp_protobuf_fixed64(out, 3, when->now_ns);
    return point;
}

void wisp_otlp_integer(struct wisp_buf *out, const struct wisp_otlp_when *when, struct wisp_str attributes,
                       uint64_t value)
{
    size_t point = begin_point(out, when, attributes);
    wisp_protobuf_fixed64(out, 6, value);
    wisp_protobuf_end(out, point);
}

void wisp_otlp_number(struct wisp_buf *out, const struct wisp_otlp_when *when, struct wisp_str attributes, double value)
{
    size_t point = begin_point(out, when, attributes);
    wisp_protobuf_double(out, 4, value);
    wisp_protobuf_end(out, point);
}

void wisp_otlp_histogram(struct wisp_buf *out, const struct wisp_otlp_when *when, struct wisp_str attributes,
                         const struct wisp_otlp_histogram *histogram)
{
    uint64_t count = 0;
    size_t point = begin_point(out, when, attributes);
    for (size_t i = 0; i <= histogram->n_bounds; i++) count += histogram->counts[i];
    wisp_protobuf_fixed64(out, 4, count);
    wisp_protobuf_double(out, 5, histogram->sum);
    size_t counts = wisp_protobuf_begin(out, 6);
    for (size_t i = 0; i <= histogram->n_bounds; i++) wisp_protobuf_packed_fixed64(out, histogram->counts[i]);
    wisp_protobuf_end(out, counts);
    size_t bounds = wisp_protobuf_begin(out, 7);
    for (size_t i = 0; i < histogram->n_bounds; i++) wisp_protobuf_packed_double(out, histogram->bounds[i]);
    wisp_protobuf_end(out, bounds);
    wisp_protobuf_end(out, point);
}

void wisp_otlp_number_attributes(struct wisp_buf *out, const struct wisp_log_field *attributes, size_t n)
{
    put_attributes(out, 7, attributes, n);
}

void wisp_otlp_histogram_attributes(struct wisp_buf *out, const struct wisp_log_field *attributes, size_t n)
{
    put_attributes(out, 9, attributes, n);
}
