/* SPDX-License-Identifier: Apache-2.0 */
/* What a host tells OpenTelemetry collectors: its log and its workers', numbers of components, spans of calls. */
#include "host/agent_priv.h"
#include "host/metrics_otlp.h"
#include "nkeys/nkeys.h"

enum {
    FLUSH_MS = 2000,
    LAST_TURNS = 8, /* of the loop, for what workers wrote before they ended */
};

int wisp_agent_telemetry_open(struct wisp_agent *agent, struct wisp_err *err)
{
    const struct wisp_telemetry_options *options = &agent->options->telemetry;
    bool any = false;
    agent->started_ns = wisp_otlp_now_ns();
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++) any = any || options->urls[i];
    return any ? wisp_telemetry_new(&agent->telemetry, &agent->loop, options, err) : 0;
}

static void collect(void *env)
{
    const struct wisp_agent *agent = env;
    if (!agent->fleet) return;
    wisp_metrics_otlp(&(struct wisp_metrics_otlp_options){.fleet = agent->fleet,
                                                          .lattice = agent->options->lattice.lattice,
                                                          .host_id = wisp_lattice_host_id(agent->lattice),
                                                          .started_ns = agent->started_ns},
                      agent->telemetry);
}

/* --- spans of provider processes --- */

static bool encode_span(struct wisp_str provider_id, const json_t *json, struct wisp_buf *out)
{
    struct wisp_str service = wisp_json_str(json, "service"), method = wisp_json_str(json, "method");
    WISP_CLEANUP_BUF struct wisp_buf name = {0}, failure = {0};
    struct wisp_trace_context parent;
    struct wisp_otlp_span span = {.kind = WISP_OTLP_SERVER,
                                  .start_ns = wisp_json_u64(json, "start_ns", 0),
                                  .end_ns = wisp_json_u64(json, "end_ns", 0)};
    const struct wisp_log_field attributes[] = {
        WISP_BYTES("provider.id", provider_id),
        WISP_BYTES("rpc.service", service),
        WISP_BYTES("rpc.method", method),
        WISP_TEXT("rpc.system", "wrpc"),
        WISP_BYTES("source.id", wisp_json_str(json, "source")),
        WISP_BYTES("link.name", wisp_json_str(json, "link")),
    };
    if (!wisp_trace_parse(wisp_json_str(json, "traceparent"), &span.context)) return false;
    if (wisp_trace_parse(wisp_json_str(json, "parent"), &parent)) span.parent_id = parent.span_id;
    wisp_buf_printf(&name, "%.*s/%.*s", WISP_STR_ARG(service), WISP_STR_ARG(method));
    wisp_buf_printf(&failure, "%.*s%c", WISP_STR_ARG(wisp_json_str(json, "failure")), '\0');
    span.name = wisp_buf_str(&name);
    span.failure = failure.len > 1 ? failure.data : NULL;
    span.attributes = attributes;
    span.n_attributes = WISP_COUNT(attributes);
    wisp_otlp_span(out, &span);
    return true;
}

/* From whoever is on the bus: what is not understood is left out. sdk/spans.h has the format. */
static void on_spans(const struct wisp_bus_message *message, void *env)
{
    struct wisp_agent *agent = env;
    WISP_CLEANUP_JSON json_t *json = NULL;
    WISP_CLEANUP_BUF struct wisp_buf items = {0};
    size_t i, n = 0;
    json_t *span;
    if (wisp_json_parse(message->payload, &json, NULL) < 0) return;
    json_array_foreach(json_object_get(json, "spans"), i, span) n +=
        encode_span(wisp_json_str(json, "provider"), span, &items);
    if (n) wisp_telemetry_add(agent->telemetry, WISP_OTLP_TRACES, wisp_buf_str(&items), n);
    wisp_telemetry_note_dropped(agent->telemetry, WISP_OTLP_TRACES, wisp_json_u64(json, "dropped", 0));
}

static void listen_for_spans(struct wisp_agent *agent)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    struct wisp_err err;
    if (!agent->options->lattice.takes_spans) return;
    wisp_buf_printf(&subject, WISP_LATTICE_SPANS ".%s.%s", agent->options->lattice.lattice,
                    wisp_lattice_host_id(agent->lattice));
    if (wisp_bus_subscribe(agent->rpc, wisp_buf_str(&subject), WISP_STR(""), on_spans, agent, NULL, &err) < 0)
        WISP_LOG(WARN, "host", "spans of providers can't be heard", WISP_TEXT("cause", err.text));
}

/* --- life --- */

void wisp_agent_telemetry_begin(struct wisp_agent *agent)
{
    if (!agent->telemetry) return;
    listen_for_spans(agent);
    const struct wisp_lattice_options *lattice = &agent->options->lattice;
    const struct wisp_log_field attributes[] = {
        WISP_TEXT("service.version", lattice->version),
        WISP_TEXT("service.instance.id", wisp_lattice_host_id(agent->lattice)),
        WISP_TEXT("lattice", lattice->lattice),
    };
    wisp_telemetry_set_resource(agent->telemetry, attributes, WISP_COUNT(attributes));
    wisp_telemetry_set_collect(agent->telemetry, collect, agent);
}

void wisp_agent_on_telemetry(const json_t *order, void *env)
{
    struct wisp_agent *agent = env;
    WISP_CLEANUP_BUF struct wisp_buf items = {0};
    uint64_t signal = wisp_json_u64(order, "signal", WISP_OTLP_SIGNALS);
    if (!agent->telemetry || signal >= WISP_OTLP_SIGNALS) return;
    if (wisp_base64_decode(wisp_json_str(order, "items"), &items, NULL) < 0) return;
    wisp_telemetry_add(agent->telemetry, (enum wisp_otlp_signal)signal, wisp_buf_str(&items),
                       wisp_json_u64(order, "n", 1));
    wisp_telemetry_note_dropped(agent->telemetry, (enum wisp_otlp_signal)signal, wisp_json_u64(order, "dropped", 0));
}

static void on_flushed(void *env) { *(bool *)env = true; }

void wisp_agent_telemetry_finish(struct wisp_agent *agent)
{
    bool is_flushed = false;
    if (!agent->telemetry) return;
    for (int i = 0; i < LAST_TURNS; i++) uv_run(&agent->loop, UV_RUN_NOWAIT);
    wisp_telemetry_flush(agent->telemetry, FLUSH_MS, on_flushed, &is_flushed);
    while (!is_flushed) uv_run(&agent->loop, UV_RUN_ONCE);
}
