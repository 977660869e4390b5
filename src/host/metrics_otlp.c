/* SPDX-License-Identifier: Apache-2.0 */
#include "host/metrics_otlp.h"

#include "wrpc/http.h"

enum { PART = 64 }; /* components of one item: requests have a limit, hosts have many components */

struct row {
    struct wisp_buf attributes, histogram_attributes, http_attributes; /* encoded */
    struct wisp_shared_counters counters;
};

struct part {
    const struct wisp_metrics_otlp_options *options;
    struct wisp_telemetry *telemetry;
    struct wisp_otlp_when when;
    struct row rows[PART];
    size_t n;
};

#define OFFSET(field) offsetof(struct wisp_shared_counters, field)
#define SUM WISP_OTLP_SUM
#define GAUGE WISP_OTLP_GAUGE

static const struct {
    struct wisp_otlp_metric metric;
    size_t offset;
} integers[] = {
    {{"wisp.component.calls", "{call}", "calls that were valid", SUM}, OFFSET(calls)},
    {{"wisp.component.errors", "{call}", "calls that were not answered to the end", SUM}, OFFSET(errors)},
    {{"wisp.component.traps", "{call}", "calls that ended in a trap", SUM}, OFFSET(traps)},
    {{"wisp.component.timeouts", "{call}", "calls ended by the wall deadline", SUM}, OFFSET(timeouts)},
    {{"wisp.component.refused", "{call}", "calls refused for want of a free instance", SUM}, OFFSET(refused)},
    {{"wisp.component.instances", "{instance}", "instances alive now", GAUGE}, OFFSET(instances)},
    {{"wisp.component.queue", "{call}", "calls waiting for an instance now", GAUGE}, OFFSET(queue)},
    {{"wisp.component.memory.peak", "By", "most linear memory one instance had", GAUGE}, OFFSET(memory_peak_bytes)},
};

static uint64_t counter(const struct row *row, size_t offset)
{
    uint64_t value;
    memcpy(&value, (const char *)&row->counters + offset, sizeof value);
    return value;
}

static void put_integers(const struct part *part, struct wisp_buf *out)
{
    for (size_t i = 0; i < WISP_COUNT(integers); i++) {
        struct wisp_otlp_begun begun = wisp_otlp_metric_begin(out, &integers[i].metric);
        for (size_t k = 0; k < part->n; k++)
            wisp_otlp_integer(out, &part->when, wisp_buf_str(&part->rows[k].attributes),
                              counter(&part->rows[k], integers[i].offset));
        wisp_otlp_metric_end(out, &begun);
    }
}

/* wasmCloud's: those of HTTP have an `operation`; which function others called is not counted. */
static void put_original(const struct part *part, struct wisp_buf *out, const struct wisp_otlp_metric *metric,
                         size_t all, size_t http)
{
    struct wisp_otlp_begun begun = wisp_otlp_metric_begin(out, metric);
    for (size_t k = 0; k < part->n; k++) {
        const struct row *row = &part->rows[k];
        uint64_t n_http = counter(row, http), n_all = counter(row, all);
        if (n_http) wisp_otlp_integer(out, &part->when, wisp_buf_str(&row->http_attributes), n_http);
        if (n_all > n_http || !n_http)
            wisp_otlp_integer(out, &part->when, wisp_buf_str(&row->attributes), n_all > n_http ? n_all - n_http : 0);
    }
    wisp_otlp_metric_end(out, &begun);
}

static void put_originals(const struct part *part, struct wisp_buf *out)
{
    static const struct wisp_otlp_metric calls = {"wasmcloud_host.component.invocations", "", "calls of the component",
                                                  SUM},
                                         errors = {"wasmcloud_host.component.invocation.errors", "",
                                                   "calls that failed", SUM};
    put_original(part, out, &calls, OFFSET(calls), OFFSET(http_calls));
    put_original(part, out, &errors, OFFSET(errors), OFFSET(http_errors));
}

static void put_cpu(const struct part *part, struct wisp_buf *out)
{
    static const struct wisp_otlp_metric cpu = {"wisp.component.cpu.time", "s", "time in guest code and host functions",
                                                SUM};
    struct wisp_otlp_begun begun = wisp_otlp_metric_begin(out, &cpu);
    for (size_t k = 0; k < part->n; k++)
        wisp_otlp_number(out, &part->when, wisp_buf_str(&part->rows[k].attributes),
                         (double)part->rows[k].counters.guest_ns / 1e9);
    wisp_otlp_metric_end(out, &begun);
}

/* `unit_ns`: of the metric. */
static void put_latency(const struct part *part, struct wisp_buf *out, const struct wisp_otlp_metric *metric,
                        double unit_ns)
{
    double bounds[WISP_SHARED_BUCKETS - 1];
    for (uint32_t i = 0; i < WISP_COUNT(bounds); i++) bounds[i] = (double)wisp_shared_bucket_ns(i) / unit_ns;
    struct wisp_otlp_begun begun = wisp_otlp_metric_begin(out, metric);
    for (size_t k = 0; k < part->n; k++) {
        const struct wisp_shared_counters *counters = &part->rows[k].counters;
        const struct wisp_otlp_histogram histogram = {(double)counters->latency_ns / unit_ns, counters->latency, bounds,
                                                      WISP_COUNT(bounds)};
        wisp_otlp_histogram(out, &part->when, wisp_buf_str(&part->rows[k].histogram_attributes), &histogram);
    }
    wisp_otlp_metric_end(out, &begun);
}

static void finish_part(struct part *part)
{
    static const struct wisp_otlp_metric original = {"wasmcloud_host.handle_rpc_message.duration", "ns",
                                                     "time of calls that were answered", WISP_OTLP_HISTOGRAM};
    static const struct wisp_otlp_metric ours = {"wisp.component.latency", "s", "time of calls that were answered",
                                                 WISP_OTLP_HISTOGRAM};
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    if (!part->n) return;
    put_originals(part, &out);
    put_integers(part, &out);
    put_cpu(part, &out);
    put_latency(part, &out, &original, 1);
    put_latency(part, &out, &ours, 1e9);
    wisp_telemetry_add(part->telemetry, WISP_OTLP_METRICS, wisp_buf_str(&out), 1);
    for (size_t k = 0; k < part->n; k++) {
        struct row *row = &part->rows[k];
        row->attributes.len = row->histogram_attributes.len = row->http_attributes.len = 0;
    }
    part->n = 0;
}

static void add_component(struct wisp_str id, struct wisp_str reference, uint32_t slot, void *env)
{
    struct part *part = env;
    const struct wisp_log_field attributes[] = {WISP_BYTES("component.ref", reference), WISP_BYTES("component.id", id),
                                                WISP_TEXT("lattice", part->options->lattice),
                                                WISP_TEXT("host", part->options->host_id),
                                                WISP_TEXT("operation", WISP_WRPC_HTTP_INTERFACE "/handle")};
    size_t n = WISP_COUNT(attributes) - 1;
    if (part->n == PART) finish_part(part);
    struct row *row = &part->rows[part->n++];
    wisp_otlp_number_attributes(&row->attributes, attributes, n);
    wisp_otlp_number_attributes(&row->http_attributes, attributes, n + 1);
    wisp_otlp_histogram_attributes(&row->histogram_attributes, attributes, n);
    wisp_shared_read(wisp_fleet_shared(part->options->fleet), slot, &row->counters);
}

void wisp_metrics_otlp(const struct wisp_metrics_otlp_options *options, struct wisp_telemetry *telemetry)
{
    struct part part = {.options = options,
                        .telemetry = telemetry,
                        .when = {.start_ns = options->started_ns, .now_ns = wisp_otlp_now_ns()}};
    wisp_fleet_each(options->fleet, add_component, &part);
    finish_part(&part);
    for (size_t k = 0; k < PART; k++) {
        wisp_buf_deinit(&part.rows[k].attributes);
        wisp_buf_deinit(&part.rows[k].histogram_attributes);
        wisp_buf_deinit(&part.rows[k].http_attributes);
    }
}
