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

void wisp_agent_telemetry_begin(struct wisp_agent *agent)
{
    if (!agent->telemetry) return;
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
