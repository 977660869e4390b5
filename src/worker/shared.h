/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that the workers of a host and its control process share: how many invocations of each component run in all
 * workers together, and what each worker counted.
 *
 *     place of component 0: word of worker 0, 1, ...; counters of worker 0, 1, ... │ place of component 1 │ ... │ board
 *
 * A worker's word for a component says how many places it holds, and whether calls wait in it for one more. Only sums
 * are compared with the limit, so a worker that dies takes nothing with it once its words are zeroed. A place that
 * becomes free is given to the next worker, in turn, in which calls wait: its word is counted up and its event
 * descriptor written. So no worker starves, and nobody polls.
 *
 * All processes are the same program, so the layout needs no versions. Any process may die at any instruction. */
#pragma once

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    WISP_SHARED_WORKERS_MAX = 256,
    WISP_SHARED_COMPONENTS_MAX = 100000,
    WISP_SHARED_BUCKETS = 32,
    WISP_SHARED_BOARD_SIZE = 4096,
};

/* Of one component in one worker (or summed over workers), since the host's start. */
#define WISP_SHARED_COUNTERS(X)                                                                                        \
    X(calls, "calls of the component that were valid: HTTP requests, wRPC, local calls")                               \
    X(answered, "calls that it answered to the end")                                                                   \
    X(errors, "calls that it did not answer to the end, for whatever reason")                                          \
    X(http_calls, "calls that were HTTP requests")                                                                     \
    X(http_errors, "HTTP requests that it did not answer to the end")                                                  \
    X(traps, "calls that ended in a trap")                                                                             \
    X(timeouts, "calls ended by the wall deadline")                                                                    \
    X(no_response, "HTTP calls that returned without setting a response, or before finishing it")                      \
    X(cancelled, "calls ended because the caller left")                                                                \
    X(refused, "calls refused: no instance free and the queue full, waited too long, no memory, or denied")            \
    X(queued, "calls that had to wait for an instance")                                                                \
    X(suspensions, "times a call waited for the host")                                                                 \
    X(preemptions, "times a call used up its time slice")                                                              \
    X(guest_ns, "time in calls: guest code and the host functions it called")                                          \
    X(latency_ns, "time from the begin to the end of calls that were answered, in sum")                                \
    X(memory_peak_bytes, "most linear memory that one instance had")                                                   \
    X(instances, "instances alive now")                                                                                \
    X(instances_peak, "most instances ever alive at once in one worker")                                               \
    X(queue, "calls waiting for an instance now")

struct wisp_shared_counters {
#define X(name, help) uint64_t name;
    WISP_SHARED_COUNTERS(X)
#undef X
    /* Answered calls by latency: bucket i counts those below wisp_shared_bucket_ns(i), the last one all others. Not
     * cumulative. */
    uint64_t latency[WISP_SHARED_BUCKETS];
};
/* 1 µs, 2 µs, 4 µs, ... 2^30 µs (18 minutes); UINT64_MAX for the last one. */
uint64_t wisp_shared_bucket_ns(uint32_t bucket);
uint32_t wisp_shared_bucket_of(uint64_t latency_ns);

struct wisp_shared;

/* --- the control process --- */

/* LIMIT beyond the numbers above. Memory is used only where a component's place is. */
int wisp_shared_new(struct wisp_shared **ret_shared, uint32_t n_workers, uint32_t n_components, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Unmaps and closes; for both sides. NULL is fine. */
void wisp_shared_free(struct wisp_shared *shared);

/* The descriptors a worker is given, in the order that wisp_shared_open wants: memory, event of worker 0, 1, ...
 * Borrowed. */
const int *wisp_shared_fds(const struct wisp_shared *shared, uint32_t *ret_n);

/* That worker's process is gone: gives back the places it held, and lets others have them. Its gauges become 0, its
 * counts stay. Before another process takes its index. */
void wisp_shared_worker_reset(struct wisp_shared *shared, uint32_t worker);
/* Forgets what was counted. To be called before a component is given this place, when no worker runs another there any
 * more. */
void wisp_shared_component_reset(struct wisp_shared *shared, uint32_t component);
/* Sums over all workers; of peaks, the largest. */
void wisp_shared_read(const struct wisp_shared *shared, uint32_t component, struct wisp_shared_counters *ret_sum);

/* --- a worker --- */

/* `fds` as above, taken over. INVALID when the memory isn't of that size. */
int wisp_shared_open(struct wisp_shared **ret_shared, const int *fds, uint32_t n_fds, uint32_t worker,
                     struct wisp_err *err) __attribute__((warn_unused_result));
/* For a worker on its own: private memory, one worker, no descriptors. */
struct wisp_shared *wisp_shared_new_private(uint32_t n_components);
uint32_t wisp_shared_n_components(const struct wisp_shared *shared);
/* Becomes readable when another worker gave this one a place. -1: private. */
int wisp_shared_wake_fd(const struct wisp_shared *shared);

/* WISP_SHARED_BOARD_SIZE bytes for what workers tell each other, zeroed at first. */
void *wisp_shared_board(struct wisp_shared *shared);

/* What this worker counts for a component; written by nobody else. */
struct wisp_shared_counters *wisp_shared_mine(struct wisp_shared *shared, uint32_t component);

/* Takes one of `limit` places (UINT32_MAX: there is no limit). False: all are taken, and this worker is noted as
 * waiting: wisp_shared_granted will say when it got one. */
bool wisp_shared_acquire(struct wisp_shared *shared, uint32_t component, uint32_t limit);
/* Gives one back: to the next worker that waits, or to all. */
void wisp_shared_release(struct wisp_shared *shared, uint32_t component, uint32_t limit);
/* Places this worker holds, those it was given included. */
uint32_t wisp_shared_held(const struct wisp_shared *shared, uint32_t component);
/* Nothing waits here any more. */
void wisp_shared_stop_waiting(struct wisp_shared *shared, uint32_t component);
