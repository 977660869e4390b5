/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets a place. A tenant's invocations count against its limit, which is over all workers of the host (shared.h);
 * and each takes one of the places that this worker's pool has for all tenants. Whoever gets none waits in its tenant's
 * queue.
 *
 * Calls from outside may not take the last places of the pool, so that components can call each other when it is
 * full. */
#include "worker/policy.h"

enum { TENANTS_PER_PLACE = 64 }; /* looked at for one that can use a place */

static void occupy(struct wisp_invocation *invocation)
{
    struct wisp_tenant *tenant = invocation->tenant;
    struct wisp_shared_counters *counters = tenant->counters;
    if (!invocation->edition) invocation->edition = tenant->edition;
    invocation->edition->n_refs++;
    invocation->worker->n_places++;
    tenant->n_running++;
    tenant->worker->n_running[tenant->slot]++;
    counters->instances = tenant->n_running;
    if (tenant->n_running > counters->instances_peak) counters->instances_peak = tenant->n_running;
}

/* One that is free. */
static bool take_place(struct wisp_tenant *tenant)
{
    struct wisp_shared *shared = tenant->worker->shared;
    return wisp_shared_acquire(shared, tenant->slot, tenant->terms->limits.instances_max);
}

/* Other workers gave some. */
static bool has_given_places(const struct wisp_tenant *tenant)
{
    const struct wisp_worker *worker = tenant->worker;
    return wisp_shared_held(worker->shared, tenant->slot) > worker->n_running[tenant->slot];
}

/* What other workers gave for calls that don't wait any more. */
static void give_back(struct wisp_tenant *tenant)
{
    struct wisp_shared *shared = tenant->worker->shared;
    wisp_shared_stop_waiting(shared, tenant->slot);
    while (has_given_places(tenant)) wisp_shared_release(shared, tenant->slot, tenant->terms->limits.instances_max);
}

static bool has_code(const struct wisp_invocation *invocation)
{
    return invocation->edition || invocation->tenant->edition;
}

static void enqueue(struct wisp_invocation *invocation)
{
    struct wisp_tenant *tenant = invocation->tenant;
    invocation->state = WISP_INVOCATION_QUEUED;
    if (invocation->edition) invocation->edition->n_refs++;
    wisp_ring_append(&tenant->queue, &invocation->turn);
    if (!tenant->n_queued++) wisp_ring_append(&tenant->worker->waiting, &tenant->waiting);
    tenant->counters->queue = tenant->n_queued;
    tenant->counters->queued++;
}

static void leave_queue(struct wisp_invocation *invocation)
{
    struct wisp_tenant *tenant = invocation->tenant;
    wisp_ring_remove(&invocation->turn);
    tenant->counters->queue = --tenant->n_queued;
    if (tenant->n_queued) return;
    wisp_ring_remove(&tenant->waiting);
}

/* Those that wait go first, whoever comes. */
static bool may_have_place(struct wisp_invocation *invocation, uint32_t places_max)
{
    struct wisp_tenant *tenant = invocation->tenant;
    return !tenant->n_queued && has_code(invocation) && invocation->worker->n_places < places_max && take_place(tenant);
}

static bool wait_for_place(struct wisp_invocation *invocation)
{
    struct wisp_tenant *tenant = invocation->tenant;
    if (tenant->n_queued < tenant->terms->limits.queue_max) {
        enqueue(invocation);
        return true;
    }
    if (!tenant->n_queued) give_back(tenant);
    return false;
}

/* What may be had of the pool. */
static uint32_t places_for(const struct wisp_invocation *invocation)
{
    const struct wisp_worker *worker = invocation->worker;
    return invocation->n_hops ? worker->runtime.instances_max : worker->places_max;
}

bool wisp_admission_enter(struct wisp_invocation *invocation)
{
    uint32_t places_max = places_for(invocation);
    /* Callers keep their places, so one that needs a place for itself would wait for ever. */
    if (invocation->n_hops && invocation->worker->n_places >= places_max) return false;
    if (!may_have_place(invocation, places_max)) return wait_for_place(invocation);
    occupy(invocation);
    invocation->state = WISP_INVOCATION_RUNNING;
    return true;
}

void wisp_admission_begin(struct wisp_invocation *invocation)
{
    if (!invocation->worker->is_hard && wisp_admission_enter(invocation)) {
        if (invocation->state == WISP_INVOCATION_RUNNING) wisp_invocation_make_runnable(invocation);
        return;
    }
    invocation->tenant->counters->refused++;
    invocation->ops->on_refused(invocation, "all instances are busy and the queue is full");
    wisp_invocation_drop(invocation);
}

static struct wisp_invocation *first_of(const struct wisp_tenant *tenant)
{
    return WISP_OWNER(tenant->queue.next, struct wisp_invocation, turn);
}

/* False: it gets no place now. */
static bool start_first(struct wisp_tenant *tenant)
{
    struct wisp_worker *worker = tenant->worker;
    struct wisp_invocation *invocation = first_of(tenant);
    if (!has_code(invocation) || worker->n_places >= places_for(invocation) ||
        !(has_given_places(tenant) || take_place(tenant)))
        return false;
    struct wisp_edition *edition = invocation->edition;
    leave_queue(invocation);
    occupy(invocation);
    if (edition) edition->n_refs--; /* that of the queue */
    wisp_invocation_make_runnable(invocation);
    return true;
}

void wisp_admission_retry(struct wisp_tenant *tenant)
{
    if (!tenant->n_queued) return;
    while (tenant->n_queued && start_first(tenant)) continue;
    if (!tenant->n_queued) give_back(tenant);
}

/* A place of the pool is free, and the one who had it doesn't need it. In turn, one for each. */
static void offer_place(struct wisp_worker *worker)
{
    for (int i = 0; i < TENANTS_PER_PLACE && !wisp_ring_is_empty(&worker->waiting); i++) {
        struct wisp_tenant *tenant = WISP_OWNER(worker->waiting.next, struct wisp_tenant, waiting);
        wisp_ring_remove(&tenant->waiting);
        wisp_ring_append(&worker->waiting, &tenant->waiting);
        if (!start_first(tenant)) continue;
        if (!tenant->n_queued) give_back(tenant);
        return;
    }
}

/* The one that has its place in the shared memory now. */
static void retry_successor(const struct wisp_tenant *tenant)
{
    const struct wisp_worker *worker = tenant->worker;
    for (struct wisp_link *at = worker->waiting.next, *next; at != &worker->waiting; at = next) {
        struct wisp_tenant *other = WISP_OWNER(at, struct wisp_tenant, waiting);
        next = at->next;
        if (other->slot == tenant->slot) wisp_admission_retry(other);
    }
}

void wisp_admission_leave(struct wisp_invocation *invocation)
{
    struct wisp_tenant *tenant = invocation->tenant;
    struct wisp_worker *worker = invocation->worker;
    if (invocation->state == WISP_INVOCATION_HELD) {
        wisp_policy_let_go(invocation);
        return;
    }
    if (invocation->state == WISP_INVOCATION_QUEUED) {
        leave_queue(invocation);
        if (!tenant->n_queued) give_back(tenant);
        return;
    }
    wisp_ring_remove(&invocation->turn);
    bool was_full = worker->n_places >= worker->places_max;
    worker->n_places--;
    worker->n_running[tenant->slot]--;
    tenant->counters->instances = --tenant->n_running;
    wisp_shared_release(worker->shared, tenant->slot, tenant->terms->limits.instances_max);
    if (wisp_ring_is_empty(&worker->waiting)) return;
    if (was_full) offer_place(worker);
    wisp_admission_retry(tenant);
    if (tenant->is_removed) retry_successor(tenant);
}

void wisp_admission_on_wake(struct wisp_worker *worker)
{
    for (struct wisp_link *at = worker->waiting.next, *next; at != &worker->waiting; at = next) {
        next = at->next;
        wisp_admission_retry(WISP_OWNER(at, struct wisp_tenant, waiting));
    }
}
