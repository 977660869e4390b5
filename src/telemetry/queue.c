/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/queue.h"

#include <stdlib.h>

struct wisp_telemetry_item {
    struct wisp_telemetry_item *next;
    size_t n, size;
    char bytes[];
};

void wisp_telemetry_queue_init(struct wisp_telemetry_queue *queue, size_t bytes_max)
{
    *queue = (struct wisp_telemetry_queue){.bytes_max = bytes_max};
    pthread_mutex_init(&queue->lock, NULL);
}

/* What an item takes. */
static size_t weight(size_t size) { return sizeof(struct wisp_telemetry_item) + size; }

static void remove_first(struct wisp_telemetry_queue *queue)
{
    struct wisp_telemetry_item *item = queue->first;
    queue->first = item->next;
    if (!queue->first) queue->last = NULL;
    queue->n_items -= item->n;
    queue->n_bytes -= weight(item->size);
    free(item);
}

static void drop_for(struct wisp_telemetry_queue *queue, size_t room)
{
    while (queue->first && queue->n_bytes + room > queue->bytes_max) {
        queue->n_dropped += queue->first->n;
        remove_first(queue);
    }
}

static void append(struct wisp_telemetry_queue *queue, struct wisp_str bytes, size_t n)
{
    struct wisp_telemetry_item *item = wisp_mem_alloc(sizeof *item + bytes.len);
    *item = (struct wisp_telemetry_item){.n = n, .size = bytes.len};
    memcpy(item->bytes, bytes.ptr, bytes.len);
    if (queue->last)
        queue->last->next = item;
    else
        queue->first = item;
    queue->last = item;
    queue->n_items += n;
    queue->n_bytes += weight(bytes.len);
}

void wisp_telemetry_queue_push(struct wisp_telemetry_queue *queue, struct wisp_str bytes, size_t n)
{
    if (!bytes.len) return;
    pthread_mutex_lock(&queue->lock);
    if (weight(bytes.len) > queue->bytes_max) {
        queue->n_dropped += n;
    } else {
        drop_for(queue, weight(bytes.len));
        append(queue, bytes, n);
    }
    pthread_mutex_unlock(&queue->lock);
}

size_t wisp_telemetry_queue_take(struct wisp_telemetry_queue *queue, struct wisp_buf *out, size_t bytes_max)
{
    size_t n = 0, begun = out->len;
    pthread_mutex_lock(&queue->lock);
    while (queue->first && (!n || out->len - begun + queue->first->size <= bytes_max)) {
        wisp_buf_append(out, queue->first->bytes, queue->first->size);
        n += queue->first->n;
        remove_first(queue);
    }
    pthread_mutex_unlock(&queue->lock);
    return n;
}

void wisp_telemetry_queue_clear(struct wisp_telemetry_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->first) remove_first(queue);
    pthread_mutex_unlock(&queue->lock);
}

uint64_t wisp_telemetry_queue_take_dropped(struct wisp_telemetry_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    uint64_t n = queue->n_dropped;
    queue->n_dropped = 0;
    pthread_mutex_unlock(&queue->lock);
    return n;
}

void wisp_telemetry_queue_deinit(struct wisp_telemetry_queue *queue)
{
    wisp_telemetry_queue_clear(queue);
    pthread_mutex_destroy(&queue->lock);
}
