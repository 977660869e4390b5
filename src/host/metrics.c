/* SPDX-License-Identifier: Apache-2.0 */
#include "host/metrics.h"

#include "base/arena.h"

#include <inttypes.h>
#include <stdlib.h>

/* One component with a copy of its numbers: a metric's lines stand together, so all are walked once per metric. */
struct row {
    struct wisp_str labels; /* component="…",reference="…" */
    struct wisp_shared_counters counters;
};

struct rows {
    struct wisp_arena arena;
    const struct wisp_shared *shared;
    struct row *items;
    size_t count, capacity;
};

static void append_label(struct wisp_buf *out, const char *name, struct wisp_str value)
{
    wisp_buf_printf(out, "%s=\"", name);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\n')
            wisp_buf_append(out, "\\n", 2);
        else {
            if (c == '"' || c == '\\') wisp_buf_append_char(out, '\\');
            wisp_buf_append_char(out, c);
        }
    }
    wisp_buf_append_char(out, '"');
}

static void add_row(struct wisp_str id, struct wisp_str reference, uint32_t slot, void *env)
{
    struct rows *rows = env;
    WISP_CLEANUP_BUF struct wisp_buf labels = {0};
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? rows->capacity * 2 : 64;
        rows->items = wisp_mem_realloc(rows->items, rows->capacity * sizeof *rows->items);
    }
    struct row *row = &rows->items[rows->count++];
    append_label(&labels, "component", id);
    wisp_buf_append_char(&labels, ',');
    append_label(&labels, "reference", reference);
    row->labels = wisp_arena_str(&rows->arena, wisp_buf_str(&labels));
    wisp_shared_read(rows->shared, slot, &row->counters);
}

static void heading(struct wisp_buf *out, const char *name, const char *type, const char *help)
{
    wisp_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_counter(struct wisp_buf *out, const struct rows *rows, const char *name, const char *type,
                          const char *help, size_t offset)
{
    heading(out, name, type, help);
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->items[i];
        uint64_t value;
        memcpy(&value, (const char *)&row->counters + offset, sizeof value);
        wisp_buf_printf(out, "%s{%.*s} %" PRIu64 "\n", name, WISP_STR_ARG(row->labels), value);
    }
}

static void print_seconds(struct wisp_buf *out, const struct rows *rows, const char *name, const char *help,
                          size_t offset)
{
    heading(out, name, "counter", help);
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->items[i];
        uint64_t value;
        memcpy(&value, (const char *)&row->counters + offset, sizeof value);
        wisp_buf_printf(out, "%s{%.*s} %.9f\n", name, WISP_STR_ARG(row->labels), (double)value / 1e9);
    }
}

static void print_latency(struct wisp_buf *out, const struct rows *rows)
{
    static const char name[] = "wisp_component_latency_seconds";
    heading(out, name, "histogram", "time from the begin to the end of calls that were answered");
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->items[i];
        uint64_t total = 0;
        for (uint32_t bucket = 0; bucket < WISP_SHARED_BUCKETS; bucket++) {
            total += row->counters.latency[bucket];
            wisp_buf_printf(out, "%s_bucket{%.*s,le=\"", name, WISP_STR_ARG(row->labels));
            if (bucket + 1 < WISP_SHARED_BUCKETS)
                wisp_buf_printf(out, "%g", (double)wisp_shared_bucket_ns(bucket) / 1e9);
            else
                wisp_buf_append(out, "+Inf", 4);
            wisp_buf_printf(out, "\"} %" PRIu64 "\n", total);
        }
        wisp_buf_printf(out, "%s_sum{%.*s} %.9f\n%s_count{%.*s} %" PRIu64 "\n", name, WISP_STR_ARG(row->labels),
                        (double)row->counters.latency_ns / 1e9, name, WISP_STR_ARG(row->labels), total);
    }
}

#define OFFSET(field) offsetof(struct wisp_shared_counters, field)

static void print_components(struct wisp_buf *out, const struct rows *rows)
{
    static const struct {
        const char *name, *type, *help;
        size_t offset;
    } counters[] = {
        {"wisp_component_calls_total", "counter", "calls that were valid", OFFSET(calls)},
        {"wisp_component_answered_total", "counter", "calls that were answered to the end", OFFSET(answered)},
        {"wisp_component_errors_total", "counter", "calls that were not answered to the end", OFFSET(errors)},
        {"wisp_component_traps_total", "counter", "calls that ended in a trap", OFFSET(traps)},
        {"wisp_component_timeouts_total", "counter", "calls ended by the wall deadline", OFFSET(timeouts)},
        {"wisp_component_cancelled_total", "counter", "calls ended because the caller left", OFFSET(cancelled)},
        {"wisp_component_refused_total", "counter", "calls refused for want of a free instance", OFFSET(refused)},
        {"wisp_component_queued_total", "counter", "calls that had to wait for an instance", OFFSET(queued)},
        {"wisp_component_instances", "gauge", "instances alive now", OFFSET(instances)},
        {"wisp_component_queue", "gauge", "calls waiting for an instance now", OFFSET(queue)},
        {"wisp_component_memory_peak_bytes", "gauge", "most linear memory one instance had", OFFSET(memory_peak_bytes)},
    };
    for (size_t i = 0; i < WISP_COUNT(counters); i++)
        print_counter(out, rows, counters[i].name, counters[i].type, counters[i].help, counters[i].offset);
    print_seconds(out, rows, "wisp_component_cpu_seconds_total", "time in guest code and host functions",
                  OFFSET(guest_ns));
    print_latency(out, rows);
}

static void print_bus(struct wisp_buf *out, const struct wisp_bus_server_stats *stats)
{
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } values[] = {
        {"wisp_bus_connections", "gauge", "clients of the embedded bus now", stats->connections},
        {"wisp_bus_subscriptions", "gauge", "subscriptions now", stats->subscriptions},
        {"wisp_bus_in_messages_total", "counter", "messages published", stats->in_messages},
        {"wisp_bus_in_bytes_total", "counter", "payload bytes published", stats->in_bytes},
        {"wisp_bus_out_messages_total", "counter", "messages delivered", stats->out_messages},
        {"wisp_bus_out_bytes_total", "counter", "payload bytes delivered", stats->out_bytes},
        {"wisp_bus_slow_consumers_total", "counter", "clients cut off for not reading", stats->slow_consumers},
        {"wisp_bus_refused_total", "counter", "clients that were not let in", stats->refused},
    };
    for (size_t i = 0; i < WISP_COUNT(values); i++) {
        heading(out, values[i].name, values[i].type, values[i].help);
        wisp_buf_printf(out, "%s %" PRIu64 "\n", values[i].name, values[i].value);
    }
}

static void print_telemetry(struct wisp_buf *out, const struct wisp_telemetry *telemetry)
{
    static const char *const signals[] = {"traces", "metrics", "logs"};
    static const char name[] = "wisp_telemetry_dropped_total";
    heading(out, name, "counter", "items that OpenTelemetry collectors did not get");
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++)
        wisp_buf_printf(out, "%s{signal=\"%s\"} %" PRIu64 "\n", name, signals[i],
                        wisp_telemetry_dropped(telemetry, (enum wisp_otlp_signal)i));
}

void wisp_metrics_print(const struct wisp_admin_sources *sources, struct wisp_buf *out)
{
    struct rows rows = {0};
    heading(out, "wisp_host_info", "gauge", "this host");
    wisp_buf_append_str(out, WISP_STR("wisp_host_info{"));
    append_label(out, "lattice", wisp_str_from(sources->lattice));
    wisp_buf_append_char(out, ',');
    append_label(out, "host", wisp_str_from(sources->host_id));
    wisp_buf_append_str(out, WISP_STR("} 1\n"));
    if (sources->fleet) {
        rows.shared = wisp_fleet_shared(sources->fleet);
        wisp_fleet_each(sources->fleet, add_row, &rows);
        print_components(out, &rows);
    }
    if (sources->bus) print_bus(out, wisp_bus_server_stats(sources->bus));
    if (sources->telemetry) print_telemetry(out, sources->telemetry);
    free(rows.items);
    wisp_arena_deinit(&rows.arena);
}
