/* SPDX-License-Identifier: Apache-2.0 */
/* What calls took, told to the host, which sends it on to its collector with what it knows itself: so a provider needs
 * neither the collector's credentials nor an HTTP client. Every second, or when there are many, a message
 *
 *     {"provider": ID, "dropped": N, "spans": [{"traceparent", "parent" (another), "service", "method", "source", "link",
 *      "start_ns", "end_ns", "failure"?}]}
 *
 * Only calls in traces that their callers export have spans. */
#pragma once

#include "host_data.h"
#include "provider/runtime.h"

struct wisp_sdk_spans;
/* Everything is borrowed. */
struct wisp_sdk_spans *wisp_sdk_spans_new(uv_loop_t *loop, struct wisp_bus_client *bus,
                                          const struct wisp_host_data *data);
/* For wisp_provider_options. */
void wisp_sdk_spans_add(void *spans, const struct wisp_provider_span *span);
void wisp_sdk_spans_flush(struct wisp_sdk_spans *spans); /* NULL is fine */
/* The memory goes when the loop has run once more. NULL is fine. */
void wisp_sdk_spans_free(struct wisp_sdk_spans *spans);
