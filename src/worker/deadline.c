/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines without a heap: timeouts are settings, so there are few different ones, and among the invocations with the
 * same one the first to begin is the first to be due. */
#include "worker/worker_priv.h"

#include <stdlib.h>

struct wisp_deadline_class *wisp_deadline_class_get(struct wisp_worker *worker, uint64_t timeout_ms)
{
    struct wisp_link *all = &worker->deadline_classes;
    for (struct wisp_link *at = all->next; at != all; at = at->next) {
        struct wisp_deadline_class *one = WISP_OWNER(at, struct wisp_deadline_class, all);
        if (one->timeout_ms != timeout_ms) continue;
        one->n_refs++;
        return one;
    }
    struct wisp_deadline_class *one = wisp_mem_calloc(1, sizeof *one);
    one->timeout_ms = timeout_ms;
    one->n_refs = 1;
    wisp_ring_init(&one->members);
    wisp_ring_append(all, &one->all);
    return one;
}

void wisp_deadline_class_unref(struct wisp_deadline_class *deadlines)
{
    if (!deadlines || --deadlines->n_refs) return;
    assert(wisp_ring_is_empty(&deadlines->members));
    wisp_ring_remove(&deadlines->all);
    free(deadlines);
}

static struct wisp_invocation *first_of(const struct wisp_deadline_class *deadlines)
{
    if (wisp_ring_is_empty(&deadlines->members)) return NULL;
    return WISP_OWNER(deadlines->members.next, struct wisp_invocation, due);
}

/* NULL when nothing is due in any time. */
static struct wisp_invocation *earliest(const struct wisp_worker *worker)
{
    struct wisp_invocation *earliest = NULL;
    for (struct wisp_link *at = worker->deadline_classes.next; at != &worker->deadline_classes; at = at->next) {
        struct wisp_invocation *first = first_of(WISP_OWNER(at, struct wisp_deadline_class, all));
        if (first && (!earliest || first->deadline_ms < earliest->deadline_ms)) earliest = first;
    }
    return earliest;
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct wisp_worker *worker, uint64_t deadline_ms, uint64_t now_ms)
{
    worker->next_deadline_ms = deadline_ms;
    uv_timer_start(&worker->deadline, on_timer, deadline_ms > now_ms ? deadline_ms - now_ms : 0, 0);
}

/* Ends those whose time is up, and sets the timer for the next one. */
static void on_timer(uv_timer_t *timer)
{
    struct wisp_worker *worker = timer->data;
    uint64_t now_ms = uv_now(&worker->loop);
    struct wisp_invocation *next;
    worker->next_deadline_ms = UINT64_MAX;
    while ((next = earliest(worker)) && next->deadline_ms <= now_ms) wisp_invocation_expire(next);
    if (next) set_timer(worker, next->deadline_ms, now_ms);
}

void wisp_deadline_begin(struct wisp_invocation *invocation, struct wisp_deadline_class *deadlines)
{
    struct wisp_worker *worker = invocation->worker;
    uint64_t now_ms = uv_now(&worker->loop);
    invocation->timeout_ms = deadlines->timeout_ms;
    invocation->deadline_ms = now_ms + deadlines->timeout_ms;
    wisp_ring_append(&deadlines->members, &invocation->due);
    if (invocation->deadline_ms < worker->next_deadline_ms) set_timer(worker, invocation->deadline_ms, now_ms);
}
