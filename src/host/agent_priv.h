/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a host's control process, for agent*.c. One loop, one thread. */
#pragma once

#include "base/ring.h"
#include "bus/client.h"
#include "bus/server.h"
#include "host/agent.h"
#include "host/fleet.h"
#include "host/paths.h"
#include "host/stop_signals.h"
#include "state/state.h"
#include "supervise/launcher.h"
#include "telemetry/telemetry.h"

/* What a machine has subscribed to: a list. */
struct wisp_agent_subscription {
    char *subject;
    struct wisp_bus_subscription *subscription;
    struct wisp_agent_subscription *next;
};
int wisp_agent_subscriptions_add(struct wisp_agent_subscription **list, struct wisp_bus_client *bus,
                                 struct wisp_str subject, struct wisp_str queue, wisp_bus_on_message *on_message,
                                 void *env, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_agent_subscriptions_remove(struct wisp_agent_subscription **list, struct wisp_str subject);
void wisp_agent_subscriptions_clear(struct wisp_agent_subscription **list);

struct wisp_agent_app;

struct wisp_agent {
    const struct wisp_agent_options *options;
    struct wisp_paths paths;
    uv_loop_t loop;
    struct wisp_stop_signals signals;
    uv_timer_t tick;  /* of the lattice */
    uv_timer_t retry; /* for the bus and the state, see agent_bus.c */
    uv_timer_t log_check;
    uv_prepare_t prepare; /* actions are performed before the loop sleeps */

    /* agent_bus.c */
    struct wisp_bus_server *server;   /* the embedded bus, when this process has it */
    struct wisp_bus_client *bus, *rpc; /* rpc is the same as bus unless it has its own address or credentials */
    bool joined_own_address;           /* joined a bus where ours would be: to be replaced when it is gone */
    struct wisp_state *state;
    bool is_state_remote, is_probing;
    char bus_host[200]; /* where the embedded bus is, ours or the one we joined, or one NATS server */
    uint16_t bus_port;
    char bus_url[256]; /* as others reach it */

    struct wisp_lattice *lattice;
    struct wisp_agent_subscription *subscriptions;
    struct wisp_link pending;   /* of agent_actions.c: actions whose outcome is not there yet */
    struct wisp_agent_app *app; /* manager of applications, see agent_app.c; NULL before the lattice is there */
    struct wisp_oci_client *artifacts;
    struct wisp_secrets *secrets;
    struct wisp_launcher *launcher;
    struct wisp_fleet *fleet;
    struct wisp_providers *providers;
    struct wisp_admin *admin;
    struct wisp_telemetry *telemetry; /* NULL: nothing is exported */
    uint64_t started_ns;              /* since 1970 */

    bool is_ready, is_stopping, is_forced;
    struct wisp_err failure; /* why it ends; NONE: it was asked to */
};

struct wisp_lattice_now wisp_agent_now(const struct wisp_agent *agent);
/* Ends the program with this error. */
void wisp_agent_fail(struct wisp_agent *agent, const struct wisp_err *err);

/* agent_bus.c */
int wisp_agent_bus_open(struct wisp_agent *agent, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_agent_bus_close(struct wisp_agent *agent);
/* Makes the lattice's machine; called once, when the bus is there. */
int wisp_agent_lattice_open(struct wisp_agent *agent, struct wisp_err *err) __attribute__((warn_unused_result));

/* agent_actions.c */
void wisp_agent_perform_all(struct wisp_agent *agent);
void wisp_agent_pending_free(struct wisp_agent *agent);
/* STOP_HOST came: drains the workers, then ends the loop. */
void wisp_agent_begin_stop(struct wisp_agent *agent, uint64_t timeout_ms);

/* agent_app.c; all but open do nothing before it */
int wisp_agent_app_open(struct wisp_agent *agent, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_agent_app_perform_all(struct wisp_agent *agent);
void wisp_agent_app_on_tick(struct wisp_agent *agent);
uint64_t wisp_agent_app_next_tick_ms(const struct wisp_agent *agent);
void wisp_agent_app_on_state(struct wisp_agent *agent, int bucket, struct wisp_str key, const struct wisp_str *value,
                             uint64_t revision);
void wisp_agent_app_on_state_loaded(struct wisp_agent *agent);
void wisp_agent_app_on_state_reachable(struct wisp_agent *agent, bool is_reachable);
void wisp_agent_app_on_state_opened(struct wisp_agent *agent);
void wisp_agent_app_on_bus(struct wisp_agent *agent, bool is_connected);
/* The host is about to end: another one may lead. */
void wisp_agent_app_stop(struct wisp_agent *agent);
/* Before the bus client goes, and after it. */
void wisp_agent_app_unsubscribe(struct wisp_agent *agent);
void wisp_agent_app_free(struct wisp_agent *agent);

/* agent_runs.c */
void wisp_agent_runs_open(struct wisp_agent *agent);

/* agent_telemetry.c */
int wisp_agent_telemetry_open(struct wisp_agent *agent, struct wisp_err *err) __attribute__((warn_unused_result));
/* The lattice's machine and the fleet are there. */
void wisp_agent_telemetry_begin(struct wisp_agent *agent);
/* What workers hand in; for the fleet. */
void wisp_agent_on_telemetry(const json_t *order, void *env);
/* After the loop has ended: lets what was collected leave, for a moment. */
void wisp_agent_telemetry_finish(struct wisp_agent *agent);
