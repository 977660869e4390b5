/* SPDX-License-Identifier: Apache-2.0 */
/* What operators ask a host over HTTP: GET or HEAD of
 *
 *     /livez    200 {"status":"ok"} while the process runs
 *     /readyz   the same while it takes part in the lattice and workers serve; else 500 {"status":"failure"}
 *     /metrics  Prometheus text: host and components (worker/shared.h)
 *
 * One loop, one thread. */
#pragma once

#include "bus/server.h"
#include "host/fleet.h"
#include "telemetry/telemetry.h"

struct wisp_admin;

int wisp_admin_new(struct wisp_admin **ret_admin, uv_loop_t *loop, const char *address, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Closes; its handles end in the loop's next turns. NULL is fine. */
void wisp_admin_free(struct wisp_admin *admin);

void wisp_admin_set_ready(struct wisp_admin *admin, bool is_ready);
/* What metrics are made of; borrowed, NULL: none. */
struct wisp_admin_sources {
    const char *lattice, *host_id;
    const struct wisp_fleet *fleet;
    const struct wisp_bus_server *bus;
    const struct wisp_telemetry *telemetry;
};
void wisp_admin_set_sources(struct wisp_admin *admin, const struct wisp_admin_sources *sources);
