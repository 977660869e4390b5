/* SPDX-License-Identifier: Apache-2.0 */
/* Where in a trace something is, as W3C Trace Context writes it (https://www.w3.org/TR/trace-context/), and which
 * traces are kept. */
#pragma once

#include "base/str.h"

enum {
    WISP_TRACEPARENT_LEN = 55,
    WISP_TRACESTATE_MAX = 512, /* longer ones are dropped, as the standard allows */
};

/* One span. */
struct wisp_trace_context {
    uint8_t trace_id[16], span_id[8];
    bool is_sampled; /* it, or what is below it, is exported */
};

/* Reads a traceparent header of this or a later version; false: there is none that is valid. */
bool wisp_trace_parse(struct wisp_str traceparent, struct wisp_trace_context *ret_context);
/* With a NUL at the end. */
void wisp_trace_print(const struct wisp_trace_context *context, char out[WISP_TRACEPARENT_LEN + 1]);

/* Which spans are exported. Zeros: none. */
struct wisp_trace_sampler {
    bool follows_parent; /* a span within a trace does as its parent does */
    uint64_t threshold;  /* traces whose id (its last 63 bits) is below; 1 << 63: all */
};
/* A number between 0 and 1. */
uint64_t wisp_trace_threshold(double ratio);

/* Makes a child of `parent`, or without one (NULL) the root of a new trace. From any thread. */
void wisp_trace_begin(const struct wisp_trace_sampler *sampler, const struct wisp_trace_context *parent,
                      struct wisp_trace_context *ret_context);
