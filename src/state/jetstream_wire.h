/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to JetStream's API and to KV buckets, and what they answer. No I/O. */
#pragma once

#include "base/json.h"
#include "bus/bus.h"
#include "state/state.h"

enum { WISP_STATE_JS_HEARTBEAT_MS = 3000 };

/* STREAM.CREATE for a bucket as KV clients make it by default, which is with one replica. */
void wisp_state_js_stream_config(const char *bucket, uint32_t n_replicas, struct wisp_buf *out);
/* CONSUMER.CREATE: ephemeral, pushed to `deliver_subject`, what is there and then every change. */
void wisp_state_js_consumer_config(const char *bucket, const char *deliver_subject, struct wisp_buf *out);
/* STREAM.MSG.GET of the last message on a subject. */
void wisp_state_js_get_last(struct wisp_str subject, struct wisp_buf *out);

/* An answer of the API, or an acknowledgement of a write. Errors: NOT_FOUND (no such stream or message), EXISTS (stream
 * is there already; sequence is not the expected one), LIMIT, UNAVAILABLE, INVALID (what it says makes no sense). */
int wisp_state_js_parse(struct wisp_str payload, json_t **ret_answer, struct wisp_err *err)
    __attribute__((warn_unused_result));

struct wisp_state_js_position {
    uint64_t stream_sequence, consumer_sequence, pending;
};
/* The reply subject of a delivered message, in its old or new form. */
int wisp_state_js_parse_position(struct wisp_str reply, struct wisp_state_js_position *ret_position,
                                 struct wisp_err *err) __attribute__((warn_unused_result));

/* The message says that its key is gone. */
bool wisp_state_js_is_marker(const struct wisp_bus_message *message);
/* The answer to wisp_state_js_get_last: its sequence when it is such a marker, 0 when it is a value. */
int wisp_state_js_parse_marker(const json_t *answer, uint64_t *ret_sequence, struct wisp_err *err)
    __attribute__((warn_unused_result));
