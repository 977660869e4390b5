/* SPDX-License-Identifier: Apache-2.0 */
/* What is exported, where to, and as whom: from flags and from the variables that OpenTelemetry gave names to.
 *
 *     OTEL_EXPORTER_OTLP_HEADERS    NAME=VALUE,… for every request; values percent-encoded; secret
 *     OTEL_EXPORTER_OTLP_TIMEOUT    of a request, ms [10000]
 *     OTEL_METRIC_EXPORT_INTERVAL   ms [10000]
 *     OTEL_TRACES_SAMPLER, _ARG     always_on, always_off, traceidratio, or these after parentbased_
 * [parentbased_always_on] OTEL_SERVICE_NAME             [wasmcloud-host] OTEL_RESOURCE_ATTRIBUTES      NAME=VALUE,… */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "telemetry/otlp.h"
#include "web/web.h"

struct wisp_telemetry_flags {
    bool all, is_on[WISP_OTLP_SIGNALS];
    const char *endpoint;                     /* of all signals; NULL: http://localhost:4318 */
    const char *endpoints[WISP_OTLP_SIGNALS]; /* exact; NULL: from the one above */
    const char *const *ca_paths;              /* certificates to trust beside the system's */
    size_t n_ca_paths;
};

struct wisp_telemetry_options {
    const char *urls[WISP_OTLP_SIGNALS]; /* NULL: not exported */
    const struct wisp_web_header *headers;
    size_t n_headers;
    const struct wisp_log_field *resource; /* of whom: service.name and others */
    size_t n_resource;
    uint64_t timeout_ms, metric_interval_ms;
    struct wisp_trace_sampler sampler;
    const char *const *ca_paths;
    size_t n_ca_paths;
};

/* Texts are the arena's or borrowed. USAGE names the flag or variable, never a header. */
int wisp_telemetry_settings(const struct wisp_telemetry_flags *flags, struct wisp_arena *arena,
                            struct wisp_telemetry_options *ret_options, struct wisp_err *err)
    __attribute__((warn_unused_result));
