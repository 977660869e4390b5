/* SPDX-License-Identifier: Apache-2.0 */
/* The deployment manager of a host, without I/O: messages, changes of the state, outcomes and a time go in, actions
 * come out. Every host has one; the one that holds the lease acts. Two others, which it names, follow what happens on
 * all hosts, ready to take over; the rest hear of nothing but the state, so that a lattice costs each of its hosts the
 * same however many there are. One of them that has to take over asks everybody first.
 *
 * It serves wadm's API (subjects `wadm.api.{lattice}.model...`), keeps manifests in wadm's format, watches the lattice
 * by its events and the state, makes plans (plan.h) on every change and at a slow interval, sends their commands as a
 * client of the control interface, and publishes status as wadm does. Actions, times and outcomes work as in
 * lattice/lattice.h: every action with an `id` is answered by exactly one call of wisp_app_on_done.
 *
 * The lease is a key of the manifests' bucket, written by compare-and-swap and renewed; its revision fences: a leader
 * that could not renew in time stops acting before another may begin. Without the state or the bus nobody acts. A state
 * that was lost is filled again from what managers remember; until it has been there for ten minutes, what runs for
 * applications that nobody knows is left alone. */
#pragma once

#include "app/plan.h"
#include "bus/bus.h"

struct wisp_app;

enum { WISP_APP_BUCKET_MANIFESTS = 2 }; /* beside lattice.h's buckets: `wadm_manifests` */

struct wisp_app_now {
    uint64_t now_ms; /* monotonic */
    int64_t wall_ns; /* since 1970, for versions and status */
};

/* Everything is copied. Times in ms; zeros: the default in brackets. */
struct wisp_app_options {
    const char *lattice, *ctl_prefix, *api_prefix; /* "default", "wasmbus.ctl", "wadm.api" */
    const char *host_id;
    uint64_t lease_ms;           /* [2,000] a leader that is silent for so long is replaced */
    uint64_t reconcile_ms;       /* [30,000] full plan though nothing changed */
    uint64_t command_timeout_ms; /* [2,000] */
    uint64_t
        host_lease_ms; /* [wisp hosts 2,500; others 70,000: by their heartbeats] until an unknown host counts as gone */
    uint32_t apps_max; /* [10,000] */
    uint32_t versions_max; /* kept of one application [100]; the oldest that isn't deployed goes */
    uint64_t seed;
    bool is_passive; /* never leads: another manager does (--disable-wadm) */
};

int wisp_app_new(struct wisp_app **ret_app, const struct wisp_app_options *options, struct wisp_app_now now,
                 struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_app_free(struct wisp_app *app);

/* --- in --- */

void wisp_app_on_message(struct wisp_app *app, struct wisp_app_now now, const struct wisp_bus_message *message);
/* As wisp_lattice_on_state and its companions; all three buckets. After it could not be reached, the state counts again
 * when it was loaded anew; the loss of the bus does not imply that, it is told by both functions. */
void wisp_app_on_state(struct wisp_app *app, struct wisp_app_now now, int bucket, struct wisp_str key,
                       const struct wisp_str *value, uint64_t revision);
void wisp_app_on_state_loaded(struct wisp_app *app, struct wisp_app_now now);
void wisp_app_on_state_reachable(struct wisp_app *app, struct wisp_app_now now, bool is_reachable);
void wisp_app_on_state_opened(struct wisp_app *app, struct wisp_app_now now);
void wisp_app_on_bus(struct wisp_app *app, struct wisp_app_now now, bool is_connected);
void wisp_app_on_tick(struct wisp_app *app, struct wisp_app_now now);
uint64_t wisp_app_next_tick_ms(const struct wisp_app *app);
/* The host ends: takes nothing new and gives the lease up (a STATE_WRITE whose outcome need not be told), so that
 * another takes over at once. */
void wisp_app_stop(struct wisp_app *app, struct wisp_app_now now);

struct wisp_app_done {
    struct wisp_err err;
    struct wisp_bus_message reply; /* REQUEST */
    uint64_t revision;             /* STATE_WRITE */
};
void wisp_app_on_done(struct wisp_app *app, struct wisp_app_now now, uint64_t id, const struct wisp_app_done *done);

/* --- out --- */

enum wisp_app_action_kind {
    WISP_APP_SUBSCRIBE,   /* subject, queue */
    WISP_APP_UNSUBSCRIBE, /* subject */
    WISP_APP_PUBLISH,     /* subject, reply, headers, payload */
    WISP_APP_REQUEST,     /* id; subject, payload, timeout_ms */
    WISP_APP_STATE_WRITE, /* id; bucket, key, value or none, expected */
    WISP_APP_LOG,         /* level, text */
};

/* Views: valid until the next call on the manager. */
struct wisp_app_action {
    enum wisp_app_action_kind kind;
    uint64_t id;
    struct wisp_str subject, queue, reply, payload;
    const struct wisp_bus_header *headers;
    size_t n_headers;
    uint64_t timeout_ms;
    int bucket;
    struct wisp_str key, value;
    bool has_value;
    int64_t expected;
    int level;
    struct wisp_str text;
};
bool wisp_app_next_action(struct wisp_app *app, struct wisp_app_action *ret_action);

/* For metrics and `get hosts`. */
bool wisp_app_is_leading(const struct wisp_app *app);
