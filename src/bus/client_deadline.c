/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/client_priv.h"

#include <stdlib.h>

/* Not the loop's own time, which stands still while callbacks run: a deadline is set from within long ones, too. */
uint64_t wisp_bus_now_ms(void) { return uv_hrtime() / 1000000; }

void wisp_bus_deadlines_init(struct wisp_bus_deadlines *deadlines, uv_loop_t *loop)
{
    *deadlines = (struct wisp_bus_deadlines){0};
    uv_timer_init(loop, &deadlines->timer);
    deadlines->timer.data = deadlines;
}

void wisp_bus_deadlines_deinit(struct wisp_bus_deadlines *deadlines)
{
    free(deadlines->heap);
    deadlines->heap = NULL;
    deadlines->count = deadlines->capacity = 0;
}

static void put(struct wisp_bus_deadlines *deadlines, size_t place, struct wisp_bus_deadline *deadline)
{
    deadlines->heap[place] = deadline;
    deadline->place = place;
}

/* Moves the deadline from the hole at `place` to where it belongs. */
static void sift(struct wisp_bus_deadlines *deadlines, size_t place, struct wisp_bus_deadline *deadline)
{
    struct wisp_bus_deadline **heap = deadlines->heap;
    while (place > 1 && heap[place / 2]->at_ms > deadline->at_ms) {
        put(deadlines, place, heap[place / 2]);
        place /= 2;
    }
    for (size_t child; (child = place * 2) <= deadlines->count; place = child) {
        if (child < deadlines->count && heap[child + 1]->at_ms < heap[child]->at_ms) child++;
        if (heap[child]->at_ms >= deadline->at_ms) break;
        put(deadlines, place, heap[child]);
    }
    put(deadlines, place, deadline);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct wisp_bus_deadlines *deadlines)
{
    if (!deadlines->count) return;
    uint64_t at_ms = deadlines->heap[1]->at_ms, now_ms = wisp_bus_now_ms();
    if (deadlines->armed_ms && deadlines->armed_ms <= at_ms) return;
    deadlines->armed_ms = at_ms;
    uv_timer_start(&deadlines->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct wisp_bus_deadlines *deadlines = timer->data;
    uint64_t now_ms = wisp_bus_now_ms();
    while (deadlines->count && deadlines->heap[1]->at_ms <= now_ms) {
        struct wisp_bus_deadline *due = deadlines->heap[1];
        wisp_bus_deadline_clear(deadlines, due);
        due->on_due(due);
    }
    deadlines->armed_ms = 0;
    uv_timer_stop(timer);
    arm(deadlines);
}

void wisp_bus_deadline_set(struct wisp_bus_deadlines *deadlines, struct wisp_bus_deadline *deadline, uint64_t after_ms,
                           void (*on_due)(struct wisp_bus_deadline *deadline))
{
    uint64_t now_ms = wisp_bus_now_ms();
    wisp_bus_deadline_clear(deadlines, deadline);
    if (deadlines->count + 2 > deadlines->capacity) {
        deadlines->capacity = deadlines->capacity ? deadlines->capacity * 2 : 16;
        deadlines->heap = wisp_mem_realloc(deadlines->heap, deadlines->capacity * sizeof *deadlines->heap);
    }
    deadline->at_ms = after_ms > UINT64_MAX / 2 ? UINT64_MAX / 2 : now_ms + after_ms;
    deadline->on_due = on_due;
    sift(deadlines, ++deadlines->count, deadline);
    arm(deadlines);
}

void wisp_bus_deadline_clear(struct wisp_bus_deadlines *deadlines, struct wisp_bus_deadline *deadline)
{
    size_t place = deadline->place;
    if (!place) return;
    deadline->place = 0;
    struct wisp_bus_deadline *last = deadlines->heap[deadlines->count--];
    if (last != deadline) sift(deadlines, place, last);
    /* A timer that is armed too early costs one wake-up; without any deadline it would keep the loop alive. */
    if (!deadlines->count && deadlines->armed_ms) {
        uv_timer_stop(&deadlines->timer);
        deadlines->armed_ms = 0;
    }
}
