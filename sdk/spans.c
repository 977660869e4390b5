/* SPDX-License-Identifier: Apache-2.0 */
#include "spans.h"

#include <stdlib.h>
#include <time.h>

enum { FLUSH_MS = 1000, SPANS_MAX = 256 /* of one message, and of one second */, TEXT_MAX = 200 };

struct wisp_sdk_spans {
    struct wisp_bus_client *bus;
    const struct wisp_host_data *data;
    uv_timer_t timer;
    json_t *list;
    uint64_t n_dropped;
};

static void on_timer(uv_timer_t *timer) { wisp_sdk_spans_flush(timer->data); }

struct wisp_sdk_spans *wisp_sdk_spans_new(uv_loop_t *loop, struct wisp_bus_client *bus,
                                          const struct wisp_host_data *data)
{
    struct wisp_sdk_spans *spans = wisp_mem_calloc(1, sizeof *spans);
    *spans = (struct wisp_sdk_spans){.bus = bus, .data = data, .list = json_array()};
    uv_timer_init(loop, &spans->timer);
    spans->timer.data = spans;
    return spans;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static json_t *text_of(struct wisp_str text)
{
    if (text.len > TEXT_MAX) text.len = TEXT_MAX;
    return wisp_json_text(text);
}

void wisp_sdk_spans_add(void *env, const struct wisp_provider_span *span)
{
    struct wisp_sdk_spans *spans = env;
    char context[WISP_TRACEPARENT_LEN + 1], parent[WISP_TRACEPARENT_LEN + 1];
    struct wisp_trace_context above = span->context;
    uint64_t end_ns = now_ns();
    if (json_array_size(spans->list) == SPANS_MAX) {
        spans->n_dropped++;
        return;
    }
    wisp_trace_print(&span->context, context);
    memcpy(above.span_id, span->parent_id, sizeof above.span_id);
    wisp_trace_print(&above, parent);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:I}", "traceparent", context, "parent", parent,
                             "service", span->interface, "method", span->func, "source", text_of(span->source_id),
                             "link", text_of(span->link_name), "start_ns", (json_int_t)(end_ns - span->took_ns),
                             "end_ns", (json_int_t)end_ns);
    if (span->failure) json_object_set_new(json, "failure", text_of(wisp_str_from(span->failure)));
    json_array_append_new(spans->list, json);
    if (!uv_is_active((uv_handle_t *)&spans->timer)) uv_timer_start(&spans->timer, on_timer, FLUSH_MS, 0);
}

void wisp_sdk_spans_flush(struct wisp_sdk_spans *spans)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    struct wisp_err err;
    if (!spans || json_array_size(spans->list) == 0) return;
    WISP_CLEANUP_JSON json_t *message = json_pack("{s:s, s:I, s:o}", "provider", spans->data->provider_id, "dropped",
                                                  (json_int_t)spans->n_dropped, "spans", WISP_TAKE(spans->list));
    spans->list = json_array();
    spans->n_dropped = 0;
    wisp_json_print(message, &text);
    if (wisp_bus_publish(spans->bus, wisp_str_from(spans->data->spans_subject), WISP_STR(""), NULL, 0,
                         wisp_buf_str(&text), &err) < 0)
        WISP_LOG(DEBUG, "provider", "spans not sent", WISP_TEXT("cause", err.text));
}

static void on_closed(uv_handle_t *handle)
{
    struct wisp_sdk_spans *spans = handle->data;
    json_decref(spans->list);
    free(spans);
}

void wisp_sdk_spans_free(struct wisp_sdk_spans *spans)
{
    if (spans) uv_close((uv_handle_t *)&spans->timer, on_closed);
}
