/* SPDX-License-Identifier: Apache-2.0 */
/* Tells callers whom nobody answers whether it is worth waiting: wrpc/call.h, WISP_WRPC_RUNS. */
#include "base/log.h"
#include "host/agent_priv.h"
#include "wrpc/call.h"

static void on_question(const struct wisp_bus_message *message, void *env)
{
    struct wisp_agent *agent = env;
    struct wisp_str rest = message->subject, id = {0};
    struct wisp_err err;
    if (!message->reply.len) return;
    /* "wasmbus.rpc.LATTICE.ID.runs" */
    for (int i = 0; i < 4; i++)
        if (!wisp_str_split(rest, '.', &id, &rest)) return;
    if (!wisp_lattice_is_to_run(agent->lattice, id)) return;
    if (wisp_bus_publish(agent->rpc, message->reply, WISP_STR(""), NULL, 0, WISP_STR(""), &err) < 0)
        WISP_LOG(DEBUG, "host", "a caller can't be answered", WISP_TEXT("cause", err.text));
}

void wisp_agent_runs_open(struct wisp_agent *agent)
{
    struct wisp_str lattice = wisp_str_from(agent->options->lattice.lattice), any = WISP_STR("*");
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    struct wisp_err err;
    wisp_buf_printf(&subject, WISP_WRPC_RUNS, WISP_STR_ARG(lattice), WISP_STR_ARG(any));
    if (wisp_bus_subscribe(agent->rpc, wisp_buf_str(&subject), WISP_STR(""), on_question, agent, NULL, &err) < 0)
        WISP_LOG(WARN, "host", "callers won't wait for what runs here", WISP_TEXT("cause", err.text));
}
