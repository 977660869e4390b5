/* SPDX-License-Identifier: Apache-2.0 */
/* Turns and ends of invocations. */
#include "worker/entry.h"
#include "worker/observer.h"
#include "worker/router.h"

#include <stdlib.h>

enum {
    ROUND_NS = 10 * 1000 * 1000, /* after it the loop looks for input and timers again */
    FREE_MAX = 256,              /* invocations kept for reuse */
};

/* --- the memory of invocations --- */

void wisp_invocations_init(struct wisp_worker *worker)
{
    wisp_ring_init(&worker->runnable);
    wisp_ring_init(&worker->free);
}

static void free_invocation(struct wisp_invocation *invocation)
{
    wisp_wasi_http_free(invocation->http);
    free(invocation);
}

void wisp_invocations_deinit(struct wisp_worker *worker)
{
    assert(worker->n_alive == 0);
    while (!wisp_ring_is_empty(&worker->free)) {
        struct wisp_link *link = worker->free.next;
        wisp_ring_remove(link);
        free_invocation(WISP_OWNER(link, struct wisp_invocation, turn));
    }
}

static struct wisp_invocation *take_invocation(struct wisp_worker *worker)
{
    /* The one that was used last is the likeliest to be in the caches. */
    struct wisp_link *link = worker->free.previous;
    if (link != &worker->free) {
        wisp_ring_remove(link);
        worker->n_free--;
        return WISP_OWNER(link, struct wisp_invocation, turn);
    }
    struct wisp_invocation *invocation = wisp_mem_calloc(1, sizeof *invocation);
    invocation->worker = worker;
    invocation->http = wisp_wasi_http_new();
    return invocation;
}

struct wisp_invocation *wisp_invocation_new(struct wisp_tenant *tenant, const struct wisp_invocation_ops *ops)
{
    struct wisp_invocation *invocation = take_invocation(tenant->worker);
    invocation->ops = ops;
    invocation->tenant = tenant;
    invocation->terms = wisp_terms_ref(tenant->terms);
    invocation->started_ns = uv_hrtime();
    tenant->worker->n_alive++;
    wisp_wasi_init(&invocation->wasi, &invocation->terms->surroundings.config, &tenant->worker->loop);
    invocation->wasi.outside = tenant->worker->outside;
    if (invocation->terms->app) invocation->wasi.app = wisp_wasi_app_ref(invocation->terms->app);
    return invocation;
}

void wisp_invocation_drop(struct wisp_invocation *invocation)
{
    struct wisp_worker *worker = invocation->worker;
    if (invocation->span && invocation->exchange) wisp_span_set_status(invocation->span, invocation->exchange->status);
    if (invocation->span) wisp_span_end(worker, WISP_TAKE(invocation->span));
    wisp_ring_remove(&invocation->due);
    wisp_entry_end(invocation);
    wisp_wasi_http_reset(invocation->http);
    wisp_wasi_deinit(&invocation->wasi);
    wisp_terms_unref(WISP_TAKE(invocation->terms));
    invocation->edition = NULL;
    if (invocation->exchange) invocation->exchange->user = NULL;
    invocation->exchange = NULL;
    if (invocation->answerer.route) wisp_route_leave(&invocation->answerer);
    invocation->n_hops = 0;
    invocation->err.kind = WISP_ERR_NONE;
    worker->n_alive--;
    if (worker->n_free == FREE_MAX) {
        free_invocation(invocation);
        return;
    }
    worker->n_free++;
    wisp_ring_append(&worker->free, &invocation->turn);
}

/* --- turns --- */

static void queue_turn(struct wisp_invocation *invocation, bool is_first)
{
    struct wisp_worker *worker = invocation->worker;
    if (wisp_ring_is_empty(&worker->runnable)) wisp_worker_stay_awake(worker);
    invocation->state = WISP_INVOCATION_RUNNABLE;
    if (is_first)
        wisp_ring_prepend(&worker->runnable, &invocation->turn);
    else
        wisp_ring_append(&worker->runnable, &invocation->turn);
}

/* One that another waits for goes first: that one has had its wait. */
void wisp_invocation_make_runnable(struct wisp_invocation *invocation)
{
    queue_turn(invocation, invocation->n_hops > 0);
}

static void on_wake(struct wisp_instance *instance, void *context)
{
    (void)instance;
    struct wisp_invocation *invocation = wisp_invocation_of(context);
    if (invocation->state == WISP_INVOCATION_SUSPENDED) wisp_invocation_make_runnable(invocation);
}

static enum wisp_instance_state take_turn(struct wisp_invocation *invocation)
{
    if (invocation->instance) return wisp_instance_resume(invocation->instance);
    const struct wisp_instance_options options = {
        .context = &invocation->wasi,
        .memory_bytes_max = invocation->terms->limits.memory_bytes_max,
        .on_wake = on_wake,
    };
    if (invocation->ops->prepare(invocation) < 0 || wisp_entry_prepare(invocation) < 0) return WISP_INSTANCE_FAILED;
    if (wisp_instance_new(&invocation->instance, invocation->edition->program.linked, &options, &invocation->err) < 0)
        return WISP_INSTANCE_FAILED;
    invocation->wasi.instance = invocation->instance;
    return wisp_instance_call(invocation->instance, invocation->export_, invocation->args, invocation->result,
                              &invocation->err);
}

void wisp_invocations_charge(struct wisp_worker *worker, uint64_t now_ns)
{
    if (worker->turn_counters) worker->turn_counters->guest_ns += now_ns - worker->turn_ns;
    worker->turn_ns = now_ns;
}

/* --- ends --- */

static void note_memory(struct wisp_invocation *invocation)
{
    struct wisp_shared_counters *counters = invocation->tenant->counters;
    uint64_t bytes = wisp_instance_memory_bytes(invocation->instance);
    if (bytes > counters->memory_peak_bytes) counters->memory_peak_bytes = bytes;
}

void wisp_invocation_end(struct wisp_invocation *invocation)
{
    struct wisp_worker *worker = invocation->worker;
    struct wisp_edition *edition = invocation->edition;
    if (invocation->instance) note_memory(invocation);
    wisp_entry_drop(invocation);
    wisp_instance_free(WISP_TAKE(invocation->instance));
    wisp_admission_leave(invocation);
    wisp_invocation_drop(invocation);
    wisp_edition_unref(edition);
    if (worker->is_stopping) wisp_worker_settle(worker);
}

static void count_end(struct wisp_invocation *invocation, bool is_answered)
{
    struct wisp_shared_counters *counters = invocation->tenant->counters;
    uint64_t now_ns = uv_hrtime();
    wisp_invocations_charge(invocation->worker, now_ns);
    if (!is_answered) {
        counters->errors++;
        if (invocation->exchange) counters->http_errors++;
        return;
    }
    uint64_t latency_ns = now_ns - invocation->started_ns;
    counters->answered++;
    counters->latency_ns += latency_ns;
    counters->latency[wisp_shared_bucket_of(latency_ns)]++;
}

static void end_returned(struct wisp_invocation *invocation)
{
    note_memory(invocation); /* the answer may take the instance down */
    wisp_entry_leave(invocation);
    count_end(invocation, invocation->ops->on_returned(invocation));
    wisp_invocation_end(invocation);
}

static void end_failed(struct wisp_invocation *invocation)
{
    count_end(invocation, invocation->ops->on_failed(invocation));
    wisp_invocation_end(invocation);
}

void wisp_invocation_run(struct wisp_invocation *invocation)
{
    struct wisp_shared_counters *counters = invocation->tenant->counters;
    invocation->state = WISP_INVOCATION_RUNNING;
    switch (take_turn(invocation)) {
    case WISP_INSTANCE_DONE:
        end_returned(invocation);
        break;
    case WISP_INSTANCE_SUSPENDED:
        wisp_invocations_charge(invocation->worker, uv_hrtime());
        counters->suspensions++;
        invocation->state = WISP_INVOCATION_SUSPENDED;
        break;
    case WISP_INSTANCE_PREEMPTED:
        wisp_invocations_charge(invocation->worker, uv_hrtime());
        counters->preemptions++;
        queue_turn(invocation, false);
        break;
    case WISP_INSTANCE_FAILED:
        end_failed(invocation);
        break;
    }
}

void wisp_invocations_run(struct wisp_worker *worker)
{
    if (wisp_ring_is_empty(&worker->runnable)) return;
    worker->turn_ns = uv_hrtime();
    uint64_t end_ns = worker->turn_ns + ROUND_NS;
    do {
        struct wisp_link *link = worker->runnable.next;
        struct wisp_invocation *invocation = WISP_OWNER(link, struct wisp_invocation, turn);
        wisp_ring_remove(link);
        worker->turn_counters = invocation->tenant->counters;
        wisp_invocation_run(invocation);
    } while (!wisp_ring_is_empty(&worker->runnable) && worker->turn_ns < end_ns);
    worker->turn_counters = NULL;
}

/* --- other ends --- */

void wisp_invocation_expire(struct wisp_invocation *invocation)
{
    bool is_held = invocation->state == WISP_INVOCATION_HELD;
    if (is_held || invocation->state == WISP_INVOCATION_QUEUED) {
        /* It had no chance: as if the queue had been full. */
        invocation->tenant->counters->refused++;
        invocation->ops->on_refused(invocation, is_held ? "it waited too long: the policy service did not decide"
                                                        : "it waited too long: all instances were busy");
    } else {
        invocation->tenant->counters->timeouts++;
        count_end(invocation, invocation->ops->on_expired(invocation));
    }
    wisp_invocation_end(invocation);
}

void wisp_invocation_give_up(struct wisp_invocation *invocation, const char *cause)
{
    count_end(invocation, invocation->ops->on_given_up(invocation, cause));
    wisp_invocation_end(invocation);
}

void wisp_invocations_cancel(struct wisp_worker *worker, const char *cause)
{
    for (struct wisp_link *at = worker->deadline_classes.next; at != &worker->deadline_classes;) {
        struct wisp_deadline_class *deadlines = WISP_OWNER(at, struct wisp_deadline_class, all);
        if (wisp_ring_is_empty(&deadlines->members)) {
            at = at->next;
            continue;
        }
        /* Its end may be the end of its class, and of others. */
        wisp_invocation_give_up(WISP_OWNER(deadlines->members.next, struct wisp_invocation, due), cause);
        at = worker->deadline_classes.next;
    }
}
