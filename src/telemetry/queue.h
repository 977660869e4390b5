/* SPDX-License-Identifier: Apache-2.0 */
/* Items as bytes that wait to be sent on. Bounded: the oldest go first. May be used from any thread. */
#pragma once

#include "base/mem.h"

#include <pthread.h>

struct wisp_telemetry_item;

struct wisp_telemetry_queue {
    pthread_mutex_t lock;
    struct wisp_telemetry_item *first, *last;
    size_t n_items, n_bytes, bytes_max;
    uint64_t n_dropped; /* since they were last asked for */
};

void wisp_telemetry_queue_init(struct wisp_telemetry_queue *queue, size_t bytes_max);
void wisp_telemetry_queue_deinit(struct wisp_telemetry_queue *queue);
/* `n` is how many `bytes` hold. Too large for all of the queue: dropped. */
void wisp_telemetry_queue_push(struct wisp_telemetry_queue *queue, struct wisp_str bytes, size_t n);
/* Appends the oldest, as many as fit into bytes_max but one at least; their number. */
size_t wisp_telemetry_queue_take(struct wisp_telemetry_queue *queue, struct wisp_buf *out, size_t bytes_max);
/* Forgets all; they don't count as dropped. */
void wisp_telemetry_queue_clear(struct wisp_telemetry_queue *queue);
uint64_t wisp_telemetry_queue_take_dropped(struct wisp_telemetry_queue *queue);
