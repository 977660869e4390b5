/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of a host's components as OpenTelemetry metrics: ours (wisp.component.*), and those of the original under
 * their names (wasmcloud_host.*). */
#pragma once

#include "host/fleet.h"
#include "telemetry/telemetry.h"

struct wisp_metrics_otlp_options {
    const struct wisp_fleet *fleet;
    const char *lattice, *host_id;
    uint64_t started_ns; /* since 1970 */
};
/* Adds them, as of now. */
void wisp_metrics_otlp(const struct wisp_metrics_otlp_options *options, struct wisp_telemetry *telemetry);
