/* SPDX-License-Identifier: Apache-2.0 */
/* Admission, turns and ends of invocations. */
#include "worker/worker_priv.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ROUND_NS = 10 * 1000 * 1000, /* after it the loop looks for input and timers again */
    FREE_MAX = 256,              /* invocations kept for reuse */
};

/* --- the memory of invocations --- */

void wisp_invocations_init(struct wisp_worker *worker)
{
    wisp_ring_init(&worker->queued);
    wisp_ring_init(&worker->runnable);
    wisp_ring_init(&worker->alive);
    wisp_ring_init(&worker->free);
}

static void free_invocation(struct wisp_invocation *invocation)
{
    wisp_wasi_http_free(invocation->http);
    free(invocation);
}

void wisp_invocations_deinit(struct wisp_worker *worker)
{
    assert(wisp_ring_is_empty(&worker->alive));
    while (!wisp_ring_is_empty(&worker->free)) {
        struct wisp_link *link = worker->free.next;
        wisp_ring_remove(link);
        free_invocation(WISP_RING_OWNER(link, struct wisp_invocation, turn));
    }
}

static struct wisp_invocation *make_invocation(struct wisp_worker *worker)
{
    /* The one that was used last is the likeliest to be in the caches. */
    struct wisp_link *link = worker->free.previous;
    if (link != &worker->free) {
        wisp_ring_remove(link);
        worker->n_free--;
        return WISP_RING_OWNER(link, struct wisp_invocation, turn);
    }
    struct wisp_invocation *invocation = wisp_mem_calloc(1, sizeof *invocation);
    invocation->worker = worker;
    invocation->http = wisp_wasi_http_new();
    return invocation;
}

static void keep_invocation(struct wisp_invocation *invocation)
{
    struct wisp_worker *worker = invocation->worker;
    if (worker->n_free == FREE_MAX) {
        free_invocation(invocation);
        return;
    }
    worker->n_free++;
    wisp_ring_append(&worker->free, &invocation->turn);
}

/* --- turns --- */

static void make_runnable(struct wisp_invocation *invocation)
{
    struct wisp_worker *worker = invocation->worker;
    if (wisp_ring_is_empty(&worker->runnable)) wisp_worker_stay_awake(worker);
    invocation->state = WISP_INVOCATION_RUNNABLE;
    wisp_ring_append(&worker->runnable, &invocation->turn);
}

static void on_wake(struct wisp_instance *instance, void *context)
{
    (void)instance;
    struct wisp_invocation *invocation = WISP_RING_OWNER(context, struct wisp_invocation, wasi);
    if (invocation->state == WISP_INVOCATION_SUSPENDED) make_runnable(invocation);
}

static enum wisp_instance_state take_turn(struct wisp_invocation *invocation)
{
    struct wisp_worker *worker = invocation->worker;
    struct wisp_program *program = &worker->program;
    if (invocation->instance) return wisp_instance_resume(invocation->instance);
    const struct wisp_instance_options options = {
        .context = &invocation->wasi,
        .memory_bytes_max = worker->limits.memory_bytes_max,
        .on_wake = on_wake,
    };
    if (wisp_instance_new(&invocation->instance, program->linked, &options, &invocation->err) < 0)
        return WISP_INSTANCE_FAILED;
    invocation->wasi.instance = invocation->instance;
    wisp_wasi_http_handle_args(invocation->http, &invocation->args);
    return wisp_instance_call(invocation->instance, program->entry, &invocation->args, NULL, &invocation->err);
}

/* --- ends --- */

static void refuse(struct wisp_worker *worker, struct wisp_http_exchange *exchange)
{
    static const struct wisp_http_header retry_after = {WISP_STR_INIT("retry-after"), WISP_STR_INIT("1")};
    worker->counters.refused++;
    wisp_wasi_http_reply(exchange, 503, &retry_after);
}

/* An error for the client if it hasn't been told anything yet, otherwise a response that is visibly broken. */
static void answer_failure(struct wisp_invocation *invocation, uint16_t status)
{
    struct wisp_http_exchange *exchange = invocation->exchange;
    if (!exchange || wisp_wasi_http_response(invocation->http) == WISP_WASI_HTTP_COMPLETE) return;
    if (exchange->status == 0 || wisp_http_retract(exchange))
        wisp_wasi_http_reply(exchange, status, NULL);
    else
        wisp_http_abort(exchange);
}

/* It has one of the places now. */
static void occupy(struct wisp_invocation *invocation)
{
    struct wisp_worker_counters *counters = &invocation->worker->counters;
    counters->instances++;
    if (counters->instances > counters->instances_peak) counters->instances_peak = counters->instances;
    make_runnable(invocation);
}

static void start_queued(struct wisp_worker *worker)
{
    if (wisp_ring_is_empty(&worker->queued) || worker->counters.instances >= worker->program.instances_max) return;
    struct wisp_link *link = worker->queued.next;
    wisp_ring_remove(link);
    worker->counters.queue--;
    occupy(WISP_RING_OWNER(link, struct wisp_invocation, turn));
}

/* Takes it apart, wherever it is. */
static void end(struct wisp_invocation *invocation)
{
    struct wisp_worker *worker = invocation->worker;
    wisp_ring_remove(&invocation->alive);
    wisp_ring_remove(&invocation->turn);
    if (invocation->state == WISP_INVOCATION_QUEUED)
        worker->counters.queue--;
    else
        worker->counters.instances--;
    wisp_instance_free(WISP_TAKE(invocation->instance));
    wisp_wasi_http_reset(invocation->http);
    wisp_wasi_deinit(&invocation->wasi);
    if (invocation->exchange) invocation->exchange->user = NULL;
    invocation->exchange = NULL;
    invocation->err.kind = WISP_ERR_NONE;
    keep_invocation(invocation);
    start_queued(worker);
    wisp_worker_settle(worker);
}

/* The function returned. What the guest left open is dropped first: that may break its response. */
static void end_returned(struct wisp_invocation *invocation)
{
    struct wisp_worker_counters *counters = &invocation->worker->counters;
    wisp_instance_free(WISP_TAKE(invocation->instance));
    invocation->wasi.instance = NULL;
    const char *problem = wisp_wasi_http_problem(invocation->http);
    switch (wisp_wasi_http_response(invocation->http)) {
    case WISP_WASI_HTTP_COMPLETE:
        counters->answered++;
        break;
    case WISP_WASI_HTTP_REPLIED:
        counters->failed++;
        wisp_report_failure(invocation, "the component gave no response", problem);
        break;
    case WISP_WASI_HTTP_NOT_SET:
        counters->failed++;
        counters->no_response++;
        wisp_report_failure(invocation, "the component gave no response", "it returned without setting one");
        answer_failure(invocation, 500);
        break;
    case WISP_WASI_HTTP_STREAMING:
    case WISP_WASI_HTTP_BROKEN:
        counters->failed++;
        counters->no_response++;
        wisp_report_failure(invocation, "the component broke off its response", problem);
        break;
    }
    end(invocation);
}

/* For ends that say nothing about the response: it may have been finished before. */
static bool count_outcome(struct wisp_invocation *invocation)
{
    struct wisp_worker_counters *counters = &invocation->worker->counters;
    bool is_answered = wisp_wasi_http_response(invocation->http) == WISP_WASI_HTTP_COMPLETE;
    if (is_answered)
        counters->answered++;
    else
        counters->failed++;
    return is_answered;
}

static void end_failed(struct wisp_invocation *invocation)
{
    struct wisp_worker *worker = invocation->worker;
    const struct wisp_err *err = &invocation->err;
    bool is_answered = count_outcome(invocation);
    if (invocation->wasi.has_exited && is_answered) {
        /* It has done what it was there for. */
    } else if (invocation->wasi.has_exited) {
        char cause[64];
        snprintf(cause, sizeof cause, "it called exit with code %d", invocation->wasi.exit_code);
        wisp_report_failure(invocation, "the component exited", cause);
        answer_failure(invocation, 500);
    } else if (err->kind == WISP_ERR_LIMIT && invocation->exchange && invocation->exchange->status == 0) {
        wisp_report_failure(invocation, "no instance could be made", err->text);
        refuse(worker, invocation->exchange);
    } else {
        worker->counters.traps++;
        wisp_report_failure(invocation, "the component trapped", err->text);
        answer_failure(invocation, 500);
    }
    end(invocation);
}

static void run_turn(struct wisp_invocation *invocation)
{
    struct wisp_worker_counters *counters = &invocation->worker->counters;
    switch (take_turn(invocation)) {
    case WISP_INSTANCE_DONE:
        end_returned(invocation);
        break;
    case WISP_INSTANCE_SUSPENDED:
        counters->suspensions++;
        invocation->state = WISP_INVOCATION_SUSPENDED;
        break;
    case WISP_INSTANCE_PREEMPTED:
        counters->preemptions++;
        make_runnable(invocation);
        break;
    case WISP_INSTANCE_FAILED:
        end_failed(invocation);
        break;
    }
}

void wisp_invocations_run(struct wisp_worker *worker)
{
    uint64_t start_ns = wisp_ring_is_empty(&worker->runnable) ? 0 : uv_hrtime(), now_ns = start_ns;
    while (!wisp_ring_is_empty(&worker->runnable) && now_ns - start_ns < ROUND_NS) {
        struct wisp_link *link = worker->runnable.next;
        wisp_ring_remove(link);
        run_turn(WISP_RING_OWNER(link, struct wisp_invocation, turn));
        uint64_t end_ns = uv_hrtime();
        worker->counters.guest_ns += end_ns - now_ns;
        now_ns = end_ns;
    }
    if (wisp_ring_is_empty(&worker->runnable)) uv_idle_stop(&worker->idle);
}

/* --- deadlines --- */

static void end_expired(struct wisp_invocation *invocation)
{
    struct wisp_worker *worker = invocation->worker;
    char cause[64];
    snprintf(cause, sizeof cause, "no answer within %llu ms", (unsigned long long)worker->limits.timeout_ms);
    (void)count_outcome(invocation);
    worker->counters.timeouts++;
    wisp_report_failure(invocation, "the component took too long", cause);
    answer_failure(invocation, 504);
    end(invocation);
}

/* It had no chance: as if the queue had been full. */
static void end_expired_in_queue(struct wisp_invocation *invocation)
{
    wisp_report_failure(invocation, "a request waited too long", "all instances were busy");
    refuse(invocation->worker, invocation->exchange);
    end(invocation);
}

/* Ends those whose time is up, and sets the timer for the next one. */
static void on_deadline(uv_timer_t *timer)
{
    struct wisp_worker *worker = timer->data;
    uint64_t now_ms = uv_now(&worker->loop);
    while (!wisp_ring_is_empty(&worker->alive)) {
        struct wisp_invocation *first = WISP_RING_OWNER(worker->alive.next, struct wisp_invocation, alive);
        if (first->deadline_ms > now_ms) {
            uv_timer_start(&worker->deadline, on_deadline, first->deadline_ms - now_ms, 0);
            return;
        }
        if (first->state == WISP_INVOCATION_QUEUED)
            end_expired_in_queue(first);
        else
            end_expired(first);
    }
}

void wisp_invocations_cancel(struct wisp_worker *worker, const char *reason)
{
    while (!wisp_ring_is_empty(&worker->alive)) {
        struct wisp_invocation *first = WISP_RING_OWNER(worker->alive.next, struct wisp_invocation, alive);
        (void)count_outcome(first);
        wisp_report_failure(first, "request given up", reason);
        answer_failure(first, 503);
        end(first);
    }
}

/* --- the server's callbacks --- */

static void begin(struct wisp_worker *worker, struct wisp_http_exchange *exchange, bool is_queued)
{
    struct wisp_invocation *invocation = make_invocation(worker);
    invocation->exchange = exchange;
    exchange->user = invocation;
    wisp_wasi_init(&invocation->wasi, &worker->program.config, &worker->loop);
    wisp_wasi_http_attach(invocation->http, &invocation->wasi, exchange);
    invocation->deadline_ms = uv_now(&worker->loop) + worker->limits.timeout_ms;
    wisp_ring_append(&worker->alive, &invocation->alive);
    if (!uv_is_active((uv_handle_t *)&worker->deadline))
        uv_timer_start(&worker->deadline, on_deadline, worker->limits.timeout_ms, 0);
    if (!is_queued) {
        occupy(invocation);
        return;
    }
    worker->counters.queued++;
    worker->counters.queue++;
    invocation->state = WISP_INVOCATION_QUEUED;
    wisp_ring_append(&worker->queued, &invocation->turn);
}

static void on_request(struct wisp_http_exchange *exchange, void *env)
{
    struct wisp_worker *worker = env;
    struct wisp_worker_counters *counters = &worker->counters;
    counters->requests++;
    if (!wisp_wasi_http_is_valid_request(exchange)) {
        wisp_wasi_http_reply(exchange, 400, NULL);
        return;
    }
    bool is_free = counters->instances < worker->program.instances_max && counters->queue == 0;
    if (worker->is_hard || (!is_free && counters->queue >= worker->limits.queue_max)) {
        refuse(worker, exchange);
        return;
    }
    begin(worker, exchange, !is_free);
}

static void on_body(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    struct wisp_invocation *invocation = exchange->user;
    if (invocation) wisp_wasi_http_on_body(invocation->http);
}

static void on_drain(struct wisp_http_exchange *exchange, void *env)
{
    (void)env;
    struct wisp_invocation *invocation = exchange->user;
    if (invocation) wisp_wasi_http_on_drain(invocation->http);
}

static void on_close(struct wisp_http_exchange *exchange, void *env)
{
    struct wisp_worker *worker = env;
    struct wisp_invocation *invocation = exchange->user;
    if (!invocation) return;
    wisp_wasi_http_detach(invocation->http);
    invocation->exchange = NULL;
    /* Once the guest's response is out, or given up by the guest, what else it does is its own business. */
    if (exchange->outcome == WISP_HTTP_COMPLETE || exchange->outcome == WISP_HTTP_ABORTED) return;
    worker->counters.failed++;
    if (exchange->outcome == WISP_HTTP_CLIENT_GONE) worker->counters.cancelled++;
    WISP_LOG(DEBUG, "worker", "request given up", WISP_TEXT("cause", wisp_report_outcome(exchange->outcome)),
             WISP_TEXT("component", worker->program.what->name));
    end(invocation);
}

const struct wisp_http_handler wisp_invocation_handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_drain = on_drain,
    .on_close = on_close,
};
