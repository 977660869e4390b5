/* SPDX-License-Identifier: Apache-2.0 */
/* The serving half of this folder from within. One thread.
 *
 * A worker runs TENANTS, components by id. A tenant has EDITIONS, generations of its code, of which the newest takes
 * calls, and TERMS: its limits and what it may see. Both are held by the invocations that began with them, so that they
 * can be replaced at any time.
 *
 *     exchange, wRPC call, local call ─▶ admission ─▶ RUNNABLE ─▶ (a slice) ─▶ SUSPENDED ─▶ RUNNABLE ─▶ ... ─▶ end
 *                                         └ QUEUED ──▶ (a place is free)          on_wake
 *
 * Guest code runs in one place only: from the loop, in wisp_invocations_run. Everything that calls us (servers, the
 * wake-ups of hosts, timers) just moves invocations between lists. A component that a running one calls runs within
 * that, see local_call.c. */
#pragma once

#include "base/map.h"
#include "base/ring.h"
#include "http/http.h"
#include "wasi/app.h"
#include "wasi/http.h"
#include "worker/alone.h"
#include "worker/orders.h"
#include "worker/program.h"
#include "worker/shared.h"
#include "worker/surroundings.h"
#include "worker/wire_types.h"

#include <uv.h>

struct wisp_tenant;
struct wisp_entrance;
struct wisp_entry;
struct wisp_route;
struct wisp_invocation;
struct wisp_observer;
struct wisp_span;
struct wisp_worker;

/* --- terms and editions (tenant.c) --- */

/* Invocations that may take equally long: the one that began first is due first. */
struct wisp_deadline_class {
    struct wisp_link all; /* in worker->deadline_classes */
    uint64_t timeout_ms;
    uint32_t n_refs;
    struct wisp_link members; /* invocations, by their `due` */
};

/* Immutable once in use. */
struct wisp_terms {
    uint32_t n_refs;
    struct wisp_worker_limits limits; /* without zeros */
    struct wisp_surroundings surroundings;
    struct wisp_wasi_app *app; /* config, secrets, links; NULL: `wisp run` */
    struct wisp_deadline_class *deadlines;
    json_t *policy_target; /* how the policy service knows the component; NULL: it isn't asked */
};

struct wisp_edition {
    struct wisp_tenant *tenant;
    uint64_t generation;
    uint32_t n_refs; /* invocations, and the tenant while it is the current one */
    struct wisp_program program;
    const struct wisp_linked_export *http_handler; /* NULL: it has none */
    struct wisp_local_link *local_links;           /* by import, see local_call.c; NULL until used */
    struct wisp_remote_service *service;           /* of what the bus serves; NULL: nothing */
    struct wisp_link retired;                      /* in worker->retired, when nothing refers to it any more */
};

/* Code to be loaded. */
struct wisp_tenant_pending {
    struct wisp_link loading; /* in worker->loading */
    uint64_t generation;
    char *path;
    struct wisp_terms *terms; /* NULL: nothing is pending */
};

/* Keeps failures that repeat from flooding the log. */
struct wisp_reporter {
    uint64_t window_end_ms;
    uint32_t n_in_window;
    uint64_t n_held_back;
};

struct wisp_tenant {
    struct wisp_worker *worker;
    char *id;
    uint32_t slot; /* in the shared memory */
    bool is_removed;
    struct wisp_shared_counters *counters;
    struct wisp_edition *edition; /* takes calls; NULL: there is none yet */
    struct wisp_terms *terms;     /* of new invocations; NULL: there are none yet */
    struct wisp_tenant_pending pending;
    uint32_t n_editions;    /* that exist, the current one included */
    uint32_t n_running;     /* invocations that have a place */
    struct wisp_link queue; /* invocations that wait for one */
    uint32_t n_queued;
    struct wisp_link waiting; /* in worker->waiting while there are some */
    struct wisp_link all;     /* in worker->tenants */
    struct wisp_reporter reporter;
};

/* --- invocations (invocation.c) --- */

enum wisp_invocation_state {
    WISP_INVOCATION_HELD,     /* may not be permitted, see policy.h; did not ask for a place yet */
    WISP_INVOCATION_QUEUED,   /* waits for a place; has no instance */
    WISP_INVOCATION_RUNNABLE, /* waits for its turn */
    WISP_INVOCATION_RUNNING,  /* has its turn */
    WISP_INVOCATION_SUSPENDED,
};

/* What the ends of an invocation mean to whoever asked for it. Each tells the caller; wisp_invocation_end follows. */
struct wisp_invocation_ops {
    /* Makes ready: the export and its arguments. The edition is known, the instance is not made yet. */
    int (*prepare)(struct wisp_invocation *invocation);
    /* The function returned. True: all is well. */
    bool (*on_returned)(struct wisp_invocation *invocation);
    /* It trapped, or could not begin; invocation->err. True: the caller has its answer nevertheless. */
    bool (*on_failed)(struct wisp_invocation *invocation);
    bool (*on_expired)(struct wisp_invocation *invocation);
    /* It never had a place. The cause is a fixed text: others' clients read it. */
    void (*on_refused)(struct wisp_invocation *invocation, const char *cause);
    /* The worker gives it up, or its component was removed. */
    bool (*on_given_up)(struct wisp_invocation *invocation, const char *cause);
    /* The policy service does not permit it. */
    void (*on_denied)(struct wisp_invocation *invocation, const char *why);
};

/* Why an exchange is in our hands: exchange->user points to one, the first member of what answers it. */
struct wisp_answerer {
    bool is_forward;
    struct wisp_route *route; /* NULL, or held: it has headers for the response */
};

/* A call of a component and the instance that answers it. Kept for the next one when it is over. */
struct wisp_invocation {
    struct wisp_answerer answerer;
    const struct wisp_invocation_ops *ops;
    struct wisp_worker *worker;
    struct wisp_tenant *tenant;
    struct wisp_terms *terms;
    struct wisp_edition *edition; /* NULL: the newest when it gets a place */
    enum wisp_invocation_state state;
    uint8_t n_hops;                   /* local calls around it */
    struct wisp_link turn;            /* in tenant->queue, worker->runnable or ->free; or held, see policy.c */
    struct wisp_link due;             /* in its deadline class; in none when its caller's deadline is earlier */
    uint64_t timeout_ms, deadline_ms; /* deadline: of the loop's clock */
    uint64_t started_ns;
    struct wisp_instance *instance; /* NULL until its first turn */
    const struct wisp_linked_export *export_;
    const void *args;
    void *result;
    struct wisp_entry *entry;            /* NULL: the guest's arguments are the caller's */
    struct wisp_http_exchange *exchange; /* HTTP; NULL once it has ended */
    uint16_t timeout_status;             /* HTTP */
    struct wisp_wasi_http_handle_args handle_args;
    void *caller;           /* CALL: of its ops */
    struct wisp_span *span; /* NULL: not tracing */
    struct wisp_wasi wasi;
    struct wisp_wasi_http *http;
    struct wisp_err err;
};

/* --- the worker --- */

struct wisp_worker {
    const struct wisp_worker_options *options;
    struct wisp_runtime runtime;
    struct wisp_shared *shared;
    uint32_t *n_running;           /* by place in it: a component that ends and the next one there may overlap */
    uint32_t n_places, places_max; /* invocations that have an instance; what calls from outside may take */
    struct wisp_shared_counters *turn_counters; /* of whom the time since turn_ns is */
    uint64_t turn_ns;

    uv_loop_t loop;
    uv_check_t check; /* runs guests after the loop has looked for input */
    uv_idle_t idle;   /* active while there is something to do, so that the loop doesn't sleep */
    uv_timer_t deadline, drain;
    bool has_successors; /* others listen on the same sockets */
    uv_signal_t on_sigterm, on_sigint;
    uv_pipe_t control;

    struct wisp_map tenants_by_id;
    struct wisp_link tenants, waiting, loading, retired;
    struct wisp_map builtins_by_id;     /* those that take calls */
    struct wisp_link builtins;          /* all of them, see builtin.h */
    struct wisp_link cancelled;         /* calls by providers, see world.h */
    const struct wisp_outside *outside; /* of all invocations */
    struct wisp_alone alone;            /* for `wisp run` */
    struct wisp_wire_types wire_types;
    uint64_t topology; /* changes whenever a name may mean something else than before */
    struct wisp_entrance *entrances;
    uint32_t n_servers; /* HTTP servers that have not ended */

    struct wisp_link deadline_classes;
    uint64_t next_deadline_ms; /* when the timer comes; UINT64_MAX: it doesn't */
    struct wisp_link runnable, free;
    uint32_t n_free, n_alive; /* invocations */

    struct wisp_buf command; /* begun line from the control channel */
    bool is_stopping, must_settle, are_handles_closed;
    bool is_hard; /* what is in flight is given up */

    struct wisp_hosting *hosting;   /* NULL: `wisp run` */
    struct wisp_remote *remote;     /* NULL: no bus */
    struct wisp_policy *policy;     /* NULL: calls need no permission */
    struct wisp_observer *observer; /* NULL: nobody wants to know */
    bool is_tracing;                /* calls have spans, see observer.h */
};

/* --- tenant.c --- */

/* A reference to the terms that the limits, surroundings and app make; zeros in `limits` become defaults. The others
 * are taken over. */
struct wisp_terms *wisp_terms_new(struct wisp_worker *worker, const struct wisp_worker_limits *limits,
                                  struct wisp_surroundings *surroundings, struct wisp_wasi_app *app_taken);
/* Those of a "component" order. INVALID names what is wrong, but no value. */
int wisp_terms_from_order(struct wisp_terms **ret_terms, struct wisp_worker *worker, const json_t *order,
                          struct wisp_err *err) __attribute__((warn_unused_result));
static inline struct wisp_terms *wisp_terms_ref(struct wisp_terms *terms)
{
    terms->n_refs++;
    return terms;
}
/* NULL is fine. */
void wisp_terms_unref(struct wisp_terms *terms);

/* NULL when there is none that takes calls. */
struct wisp_tenant *wisp_tenant_find(struct wisp_worker *worker, struct wisp_str id);
/* The one with this id, new if need be. INVALID when it runs in another place of the shared memory. */
int wisp_tenant_get(struct wisp_worker *worker, struct wisp_str id, uint32_t slot, struct wisp_tenant **ret_tenant,
                    struct wisp_err *err) __attribute__((warn_unused_result));
/* New calls have these terms, taken over. */
void wisp_tenant_set_terms(struct wisp_tenant *tenant, struct wisp_terms *terms_taken);
/* Loads and links code. With success it takes the calls from now on, those that waited first. UNAVAILABLE when it isn't
 * compiled. */
int wisp_tenant_load(struct wisp_tenant *tenant, uint64_t generation, const char *path, struct wisp_terms *terms_taken,
                     struct wisp_err *err) __attribute__((warn_unused_result));
/* Code that was to be loaded is not. */
void wisp_tenant_forget_pending(struct wisp_tenant *tenant);
/* Takes no more calls; those in flight go on. Without code those that wait are given up. */
void wisp_tenant_remove(struct wisp_tenant *tenant, const char *cause);
void wisp_edition_unref(struct wisp_edition *edition);
/* Frees what nothing refers to any more. From the loop, when no guest is on the stack. */
void wisp_tenants_collect(struct wisp_worker *worker);
/* After all invocations have ended. */
void wisp_tenants_deinit(struct wisp_worker *worker);

/* --- deadline.c --- */

struct wisp_deadline_class *wisp_deadline_class_get(struct wisp_worker *worker, uint64_t timeout_ms);
void wisp_deadline_class_unref(struct wisp_deadline_class *deadlines);
/* It is due when the time of this class is over from now. */
void wisp_deadline_begin(struct wisp_invocation *invocation, struct wisp_deadline_class *deadlines);

/* --- admission.c --- */

/* Gives the invocation a place, or lets it wait for one; or refuses and drops it. */
void wisp_admission_begin(struct wisp_invocation *invocation);
/* For whoever runs it himself, such as a component in the middle of its turn that calls another: with a place it is
 * RUNNING and not in any list. False: neither a place nor a wait; nothing happened. */
bool wisp_admission_enter(struct wisp_invocation *invocation);
/* Takes it out; those that wait may get its place. */
void wisp_admission_leave(struct wisp_invocation *invocation);
/* There may be places for those that wait: limits, or code, have come. */
void wisp_admission_retry(struct wisp_tenant *tenant);
/* Another worker gave places. */
void wisp_admission_on_wake(struct wisp_worker *worker);

/* --- invocation.c --- */

void wisp_invocations_init(struct wisp_worker *worker);
/* A blank one for a call of the tenant with its present terms. Its owner fills in what its ops need, and begins its
 * deadline; it goes through admission, or is dropped. */
struct wisp_invocation *wisp_invocation_new(struct wisp_tenant *tenant, const struct wisp_invocation_ops *ops);
void wisp_invocation_drop(struct wisp_invocation *invocation);
static inline struct wisp_invocation *wisp_invocation_of(void *wasi)
{
    return WISP_OWNER(wasi, struct wisp_invocation, wasi);
}
void wisp_invocation_make_runnable(struct wisp_invocation *invocation);
/* Gives it a turn; it may have ended after that. */
void wisp_invocation_run(struct wisp_invocation *invocation);
/* Takes it apart, wherever it is. */
void wisp_invocation_end(struct wisp_invocation *invocation);
/* As if its time was up, the caller had left, ...: tells, counts, ends. */
void wisp_invocation_expire(struct wisp_invocation *invocation);
void wisp_invocation_give_up(struct wisp_invocation *invocation, const char *cause);
/* The time up to now is that of turn_counters. Turns end with it: reading the clock is a good part of a small one. */
void wisp_invocations_charge(struct wisp_worker *worker, uint64_t now_ns);
/* Gives each that is runnable a turn, as long as that takes no longer than a moment. */
void wisp_invocations_run(struct wisp_worker *worker);
/* Ends all, with an error or a broken connection for the caller. */
void wisp_invocations_cancel(struct wisp_worker *worker, const char *cause);
void wisp_invocations_deinit(struct wisp_worker *worker);

/* --- http_call.c: HTTP exchanges --- */

/* An exchange for this tenant, in this edition (NULL: the newest), by this route (NULL: it didn't come by one). */
void wisp_http_call_begin(struct wisp_tenant *tenant, struct wisp_edition *edition, struct wisp_route *route,
                          struct wisp_http_exchange *exchange);
/* Callbacks of whoever makes exchanges, but on_request. */
void wisp_http_call_on_body(struct wisp_http_exchange *exchange, void *env);
void wisp_http_call_on_drain(struct wisp_http_exchange *exchange, void *env);
void wisp_http_call_on_close(struct wisp_http_exchange *exchange, void *env);

/* --- local_call.c --- */

/* Serves imports that no host interface has: by the caller's links, in this worker or over the bus. */
const struct wisp_host_fallback *wisp_import_fallback(struct wisp_worker *worker);

/* --- remote.c: HTTP to components of other hosts --- */

/* Lets the route's component answer, wherever it runs. */
void wisp_remote_forward(struct wisp_worker *worker, struct wisp_route *route, struct wisp_http_exchange *exchange);
void wisp_remote_on_body(struct wisp_http_exchange *exchange);
void wisp_remote_on_drain(struct wisp_http_exchange *exchange);
void wisp_remote_on_close(struct wisp_http_exchange *exchange);

/* --- report.c --- */

/* One line in the log about a call that went wrong. */
void wisp_report_failure(struct wisp_invocation *invocation, const char *message, const char *cause);
const char *wisp_report_outcome(enum wisp_http_outcome outcome);
/* Lines held back, before a tenant goes. */
void wisp_report_flush(struct wisp_tenant *tenant);
/* What the worker did. */
void wisp_report_end(struct wisp_worker *worker);

/* --- worker.c --- */

/* For `wisp run`: an engine that is made for this component. */
int wisp_worker_start_engine(struct wisp_worker *worker, const struct wisp_component *component, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* There is something to do: keeps the loop from sleeping. */
void wisp_worker_stay_awake(struct wisp_worker *worker);
/* Something has ended: the worker may be waiting for the last one. It looks when the loop comes by. */
void wisp_worker_settle(struct wisp_worker *worker);
uint64_t wisp_worker_drain_ms(const struct wisp_worker *worker);
/* Stops taking calls, finishes those in flight, ends. */
void wisp_worker_drain(struct wisp_worker *worker);
/* Gives up what is in flight, ends. */
void wisp_worker_stop_hard(struct wisp_worker *worker);

/* --- hosting.c: taking orders --- */

int wisp_hosting_start(struct wisp_worker *worker, struct wisp_err *err) __attribute__((warn_unused_result));
/* Tells the control process. */
void wisp_hosting_on_ready(struct wisp_worker *worker, struct wisp_str id, uint64_t generation);
void wisp_hosting_on_gone(struct wisp_tenant *tenant, uint64_t generation);
/* More news, besides. */
void wisp_hosting_tell(struct wisp_worker *worker, json_t *news_taken);
/* Whether the control process takes it up in time, so that what can wait, or be dropped, may be told. */
bool wisp_hosting_may_tell_more(const struct wisp_worker *worker);
/* Loads what was ordered, as long as that takes no longer than a moment. */
void wisp_hosting_load_some(struct wisp_worker *worker);
/* The parent is gone. */
void wisp_hosting_on_orphaned(struct wisp_worker *worker);
/* Nothing is in flight any more: closes handles. */
void wisp_hosting_close(struct wisp_worker *worker);
void wisp_hosting_free(struct wisp_worker *worker);
