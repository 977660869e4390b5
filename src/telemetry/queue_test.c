/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/queue.h"

#include "test.h"

static struct wisp_str take(struct wisp_telemetry_queue *queue, struct wisp_buf *out, size_t bytes_max)
{
    out->len = 0;
    wisp_telemetry_queue_take(queue, out, bytes_max);
    return wisp_buf_str(out);
}

TEST(items_leave_in_order_and_in_batches)
{
    struct wisp_telemetry_queue queue;
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    wisp_telemetry_queue_init(&queue, 1 << 20);
    wisp_telemetry_queue_push(&queue, WISP_STR("one"), 1);
    wisp_telemetry_queue_push(&queue, WISP_STR("two"), 1);
    wisp_telemetry_queue_push(&queue, WISP_STR("three"), 5);
    CHECK_INT(queue.n_items, 7);
    CHECK(wisp_str_is(take(&queue, &out, 6), "onetwo"));
    CHECK(wisp_str_is(take(&queue, &out, 1), "three")); /* at least one */
    CHECK_INT(take(&queue, &out, 100).len, 0);
    CHECK_INT(queue.n_bytes, 0);
    CHECK_INT(wisp_telemetry_queue_take_dropped(&queue), 0);
    wisp_telemetry_queue_deinit(&queue);
}

TEST(oldest_are_dropped_and_counted)
{
    struct wisp_telemetry_queue queue;
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    static const char big[2000];
    wisp_telemetry_queue_init(&queue, 1000);
    for (int i = 0; i < 100000; i++) {
        wisp_telemetry_queue_push(&queue, WISP_STR("0123456789"), 2);
        CHECK(queue.n_bytes <= 1000);
    }
    uint64_t n_kept = queue.n_items;
    CHECK_INT(wisp_telemetry_queue_take_dropped(&queue), 200000 - n_kept);
    wisp_telemetry_queue_push(&queue, (struct wisp_str){big, sizeof big}, 3);
    CHECK_INT(queue.n_items, n_kept);
    CHECK_INT(wisp_telemetry_queue_take_dropped(&queue), 3);
    wisp_telemetry_queue_clear(&queue);
    CHECK_INT(wisp_telemetry_queue_take_dropped(&queue), 0);
    CHECK_INT(queue.n_items, 0);
    wisp_telemetry_queue_deinit(&queue);
}
