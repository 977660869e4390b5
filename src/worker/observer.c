/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/observer.h"

#include "base/log.h"
#include "nkeys/nkeys.h"
#include "telemetry/queue.h"
#include "wrpc/http.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    HAND_IN_MS = 1000,
    BATCH_BYTES = 64 << 10,
    QUEUE_BYTES = 1 << 20,
    KEPT_MAX = 256,
};

struct wisp_observer {
    struct wisp_worker *worker;
    uv_timer_t timer;
    struct wisp_telemetry_queue queues[WISP_OTLP_SIGNALS];
};

struct wisp_span {
    struct wisp_trace_context context;
    uint8_t parent_id[8];
    bool has_parent, is_http, is_on_bus;
    enum wisp_otlp_span_kind kind;
    uint64_t start_ns, start_hrtime; /* since 1970; of a clock that doesn't jump */
    const char *component;
    uint16_t status;
    char *state;                                               /* tracestate; NULL: none */
    char name[KEPT_MAX], first[KEPT_MAX], second[KEPT_MAX]; /* method and path, interface and function */
    char failure[KEPT_MAX];
};

/* --- handing in --- */

static void hand_in(struct wisp_observer *observer)
{
    for (int signal = 0; signal < WISP_OTLP_SIGNALS; signal++) {
        struct wisp_telemetry_queue *queue = &observer->queues[signal];
        while (queue->n_items) {
            WISP_CLEANUP_BUF struct wisp_buf items = {0}, text = {0};
            if (!wisp_hosting_may_tell_more(observer->worker)) return;
            size_t n = wisp_telemetry_queue_take(queue, &items, BATCH_BYTES);
            wisp_base64_encode(wisp_buf_str(&items), &text);
            wisp_hosting_tell(observer->worker,
                              json_pack("{s:s, s:i, s:I, s:I, s:o}", "is", "telemetry", "signal", signal, "n",
                                        (json_int_t)n, "dropped", (json_int_t)wisp_telemetry_queue_take_dropped(queue),
                                        "items", wisp_json_text(wisp_buf_str(&text))));
        }
    }
}

static void on_timer(uv_timer_t *timer) { hand_in(timer->data); }

/* From any thread. */
static void on_log(const struct wisp_log_record *record, void *env)
{
    struct wisp_observer *observer = env;
    WISP_CLEANUP_BUF struct wisp_buf item = {0};
    wisp_otlp_log(&item, record);
    wisp_telemetry_queue_push(&observer->queues[WISP_OTLP_LOGS], wisp_buf_str(&item), 1);
}

/* --- life --- */

void wisp_observer_start(struct wisp_worker *worker)
{
    const struct wisp_worker_telemetry *wanted = &worker->options->host->telemetry;
    if (!wanted->traces && !wanted->logs) return;
    struct wisp_observer *observer = worker->observer = wisp_mem_calloc(1, sizeof *observer);
    observer->worker = worker;
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++) wisp_telemetry_queue_init(&observer->queues[i], QUEUE_BYTES);
    uv_timer_init(&worker->loop, &observer->timer);
    observer->timer.data = observer;
    uv_timer_start(&observer->timer, on_timer, HAND_IN_MS, HAND_IN_MS);
    worker->is_tracing = wanted->traces;
    if (wanted->logs) wisp_log_set_sink(on_log, observer);
}

void wisp_observer_stop(struct wisp_worker *worker)
{
    struct wisp_observer *observer = worker->observer;
    if (!observer) return;
    wisp_log_set_sink(NULL, NULL);
    hand_in(observer);
    uv_close((uv_handle_t *)&observer->timer, NULL);
}

void wisp_observer_free(struct wisp_worker *worker)
{
    struct wisp_observer *observer = WISP_TAKE(worker->observer);
    if (!observer) return;
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++) wisp_telemetry_queue_deinit(&observer->queues[i]);
    free(observer);
}

/* --- spans --- */

static void keep(char *out, struct wisp_str text) { snprintf(out, KEPT_MAX, "%.*s", WISP_STR_ARG(text)); }

static struct wisp_span *span_new(struct wisp_worker *worker, enum wisp_otlp_span_kind kind, const char *component,
                                  const struct wisp_span_origin *origin)
{
    const struct wisp_trace_sampler *sampler = &worker->options->host->telemetry.sampler;
    struct wisp_span *span = wisp_mem_calloc(1, sizeof *span);
    struct wisp_trace_context parent;
    struct wisp_str state = origin->tracestate;
    if (origin->span) {
        parent = origin->span->context;
        state = wisp_str_from(origin->span->state);
        span->has_parent = true;
    } else {
        span->has_parent = wisp_trace_parse(origin->traceparent, &parent);
    }
    wisp_trace_begin(sampler, span->has_parent ? &parent : NULL, &span->context);
    if (span->has_parent) memcpy(span->parent_id, parent.span_id, sizeof span->parent_id);
    if (span->has_parent && state.len && state.len <= WISP_TRACESTATE_MAX) span->state = wisp_mem_dup(state);
    span->kind = kind;
    span->component = component;
    span->start_ns = wisp_otlp_now_ns();
    span->start_hrtime = uv_hrtime();
    return span;
}

struct wisp_span *wisp_span_new_http(struct wisp_worker *worker, enum wisp_otlp_span_kind kind, const char *component,
                                     const struct wisp_http_exchange *exchange, const struct wisp_span_origin *origin)
{
    struct wisp_span *span = span_new(worker, kind, component, origin);
    struct wisp_str path = exchange->target, query;
    wisp_str_split(path, '?', &path, &query); /* a query may hold secrets */
    span->is_http = true;
    span->is_on_bus = kind == WISP_OTLP_CLIENT || wisp_wrpc_http_caller(exchange);
    keep(span->first, exchange->method);
    keep(span->second, path);
    snprintf(span->name, sizeof span->name, "%.32s %.200s", span->first, component);
    return span;
}

struct wisp_span *wisp_span_new_call(struct wisp_worker *worker, enum wisp_otlp_span_kind kind, const char *component,
                                     struct wisp_str interface, struct wisp_str function,
                                     const struct wisp_span_origin *origin)
{
    struct wisp_span *span = span_new(worker, kind, component, origin);
    span->is_on_bus = kind != WISP_OTLP_INTERNAL;
    keep(span->first, interface);
    keep(span->second, function);
    snprintf(span->name, sizeof span->name, "%.127s/%.127s", span->first, span->second);
    return span;
}

void wisp_span_set_status(struct wisp_span *span, uint16_t http_status)
{
    span->status = http_status;
    if (http_status >= 500) wisp_span_fail(span, "answered with an error", "");
}

void wisp_span_fail(struct wisp_span *span, const char *message, const char *cause)
{
    if (span->failure[0]) return;
    snprintf(span->failure, sizeof span->failure, "%.100s%s%.150s", message, *cause ? ": " : "", cause);
}

static void add_item(struct wisp_observer *observer, const struct wisp_span *span)
{
    WISP_CLEANUP_BUF struct wisp_buf item = {0};
    char operation[2 * KEPT_MAX];
    snprintf(operation, sizeof operation, "%s/%s", span->is_http ? WISP_WRPC_HTTP_INTERFACE : span->first,
             span->is_http ? "handle" : span->second);
    struct wisp_log_field attributes[5] = {
        WISP_TEXT("component.id", span->component),
        WISP_TEXT(span->is_http ? "http.request.method" : "rpc.service", span->first),
        WISP_TEXT(span->is_http ? "url.path" : "rpc.method", span->second),
        span->is_http ? WISP_INT("http.response.status_code", span->status)
                      : WISP_TEXT("rpc.system", span->kind == WISP_OTLP_INTERNAL ? "wisp" : "wrpc"),
    };
    size_t n = !span->is_http || span->status ? 4 : 3;
    if (span->is_on_bus) attributes[n++] = WISP_TEXT("operation", operation); /* as wasmCloud names it */
    wisp_otlp_span(&item, &(struct wisp_otlp_span){.context = span->context,
                                                   .parent_id = span->has_parent ? span->parent_id : NULL,
                                                   .state = wisp_str_from(span->state),
                                                   .name = wisp_str_from(span->name),
                                                   .kind = span->kind,
                                                   .start_ns = span->start_ns,
                                                   .end_ns = span->start_ns + (uv_hrtime() - span->start_hrtime),
                                                   .attributes = attributes,
                                                   .n_attributes = n,
                                                   .failure = span->failure[0] ? span->failure : NULL});
    wisp_telemetry_queue_push(&observer->queues[WISP_OTLP_TRACES], wisp_buf_str(&item), 1);
}

void wisp_span_end(struct wisp_worker *worker, struct wisp_span *span)
{
    if (span->context.is_sampled && worker->observer) add_item(worker->observer, span);
    free(span->state);
    free(span);
}

size_t wisp_span_headers(const struct wisp_span *span, char text[WISP_TRACEPARENT_LEN + 1],
                         struct wisp_bus_header headers[2])
{
    wisp_trace_print(&span->context, text);
    headers[0] = (struct wisp_bus_header){WISP_STR("traceparent"), {text, WISP_TRACEPARENT_LEN}};
    if (!span->state) return 1;
    headers[1] = (struct wisp_bus_header){WISP_STR("tracestate"), wisp_str_from(span->state)};
    return 2;
}
