/* SPDX-License-Identifier: Apache-2.0 */
/* The serving half of this folder from within.
 *
 *     on_request ─▶ QUEUED ─▶ RUNNABLE ─▶ (a slice) ─▶ SUSPENDED ─▶ RUNNABLE ─▶ ... ─▶ free list
 *                   no slot   in turns                 on_wake
 *
 * Guest code runs in one place only: from the loop, in wisp_invocations_run. Everything that calls us (the server, the
 * wake-ups of hosts, timers) just moves invocations between lists. One thread. */
#pragma once

#include "http/http.h"
#include "wasi/http.h"
#include "worker/program.h"

/* --- intrusive rings --- */

/* Member of a list, or its head. Out of any list: next is NULL. */
struct wisp_link {
    struct wisp_link *next, *previous;
};

static inline void wisp_ring_init(struct wisp_link *head) { head->next = head->previous = head; }
static inline bool wisp_ring_is_empty(const struct wisp_link *head) { return head->next == head; }
static inline void wisp_ring_append(struct wisp_link *head, struct wisp_link *link)
{
    *link = (struct wisp_link){head, head->previous};
    head->previous = head->previous->next = link;
}
static inline void wisp_ring_remove(struct wisp_link *link)
{
    if (!link->next) return;
    link->next->previous = link->previous;
    link->previous->next = link->next;
    *link = (struct wisp_link){0};
}
#define WISP_RING_OWNER(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))

/* --- invocations --- */

enum wisp_invocation_state {
    WISP_INVOCATION_QUEUED,   /* waits for one of the places; has no instance */
    WISP_INVOCATION_RUNNABLE, /* waits for its turn */
    WISP_INVOCATION_SUSPENDED,
};

/* A request and the instance that answers it. Kept for the next one when it is over. */
struct wisp_invocation {
    struct wisp_worker *worker;
    enum wisp_invocation_state state;
    struct wisp_link turn;               /* in worker->queued, ->runnable or ->free */
    struct wisp_link alive;              /* in worker->alive, earliest deadline first, since all have the same time */
    uint64_t deadline_ms;                /* of the loop's clock */
    struct wisp_http_exchange *exchange; /* NULL once it has ended */
    struct wisp_instance *instance;      /* NULL until its first turn */
    struct wisp_wasi_http_handle_args args;
    struct wisp_wasi wasi;
    struct wisp_wasi_http *http;
    struct wisp_err err;
};

/* --- the worker --- */

/* Keeps failures that repeat from flooding the log. */
struct wisp_reporter {
    uint64_t window_end_ms;
    uint32_t n_in_window;
    uint64_t n_held_back;
};

struct wisp_worker {
    const struct wisp_worker_options *options;
    struct wisp_worker_limits limits; /* without zeros */
    struct wisp_program program;
    struct wisp_worker_counters counters;
    struct wisp_reporter reporter;

    uv_loop_t loop;
    uv_check_t check; /* runs guests after the loop has looked for input */
    uv_idle_t idle;   /* active while guests are runnable, so that the loop doesn't sleep */
    uv_timer_t deadline, drain;
    uv_signal_t on_sigterm, on_sigint;
    uv_pipe_t control;
    struct wisp_http_server *server;

    struct wisp_link queued, runnable, alive, free;
    uint32_t n_free;

    struct wisp_buf command; /* begun line from the control channel */
    bool is_stopping, is_server_stopped, are_handles_closed;
    bool is_hard; /* what is in flight is given up */
};

/* --- invocation.c --- */

/* The server's callbacks, with the worker as env. */
extern const struct wisp_http_handler wisp_invocation_handler;
/* Fills in the lists. */
void wisp_invocations_init(struct wisp_worker *worker);
/* Gives each that is runnable a turn, as long as that takes no longer than a moment. */
void wisp_invocations_run(struct wisp_worker *worker);
/* Ends all, for `reason`, with an error or a broken connection for the client. */
void wisp_invocations_cancel(struct wisp_worker *worker, const char *reason);
/* After all have ended. */
void wisp_invocations_deinit(struct wisp_worker *worker);

/* --- report.c --- */

/* One line in the log about a request that went wrong. */
void wisp_report_failure(struct wisp_invocation *invocation, const char *message, const char *cause);
const char *wisp_report_outcome(enum wisp_http_outcome outcome);
/* What the worker did. */
void wisp_report_end(struct wisp_worker *worker);

/* --- worker.c --- */

/* An invocation is runnable: keeps the loop from sleeping. */
void wisp_worker_stay_awake(struct wisp_worker *worker);
/* An invocation has ended: the worker may be waiting for the last one. */
void wisp_worker_settle(struct wisp_worker *worker);
