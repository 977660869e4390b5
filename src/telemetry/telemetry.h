/* SPDX-License-Identifier: Apache-2.0 */
/* Sends logs, traces and metrics of a host to OpenTelemetry collectors, as OTLP over HTTP (protobuf).
 *
 *     add, log records ──▶ queue (bounded, oldest dropped) ──▶ batch ──▶ POST ──▶ gone
 *                                                                ▲         │ 429, 502, 503, 504, unreachable
 *                                                                └─ waits ◀┘ longer each time, at most for minutes
 *
 * One queue and one request at a time for each signal. A collector that is slow or away costs bounded memory and
 * nothing else. One loop, one thread, but for add. */
#pragma once

#include "telemetry/settings.h"

struct wisp_telemetry;

/* Options are borrowed for its life. When logs are exported it becomes the log's sink. */
int wisp_telemetry_new(struct wisp_telemetry **ret_telemetry, uv_loop_t *loop,
                       const struct wisp_telemetry_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Its handles close in the loop's next turns. Nobody logs in another thread any more. NULL is fine. */
void wisp_telemetry_free(struct wisp_telemetry *telemetry);

/* Who it is that reports, beside what the options say; from the next batch on. Copied. */
void wisp_telemetry_set_resource(struct wisp_telemetry *telemetry, const struct wisp_log_field *attributes, size_t n);
/* Calls back when it is time for metrics; what is added then takes the place of what was not sent yet. */
void wisp_telemetry_set_collect(struct wisp_telemetry *telemetry, void (*collect)(void *env), void *env);

/* `n` items of otlp.h. From any thread. Not exported: nothing happens. */
void wisp_telemetry_add(struct wisp_telemetry *telemetry, enum wisp_otlp_signal signal, struct wisp_str items,
                        size_t n);
/* Somebody else had to drop items before they came here. */
void wisp_telemetry_note_dropped(struct wisp_telemetry *telemetry, enum wisp_otlp_signal signal, uint64_t n);
uint64_t wisp_telemetry_dropped(const struct wisp_telemetry *telemetry, enum wisp_otlp_signal signal);

/* Sends what there is, metrics of this moment included, without trying again. on_flushed comes when it is out, or the
 * time is over. */
void wisp_telemetry_flush(struct wisp_telemetry *telemetry, uint64_t timeout_ms, void (*on_flushed)(void *env),
                          void *env);
