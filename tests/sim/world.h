/* SPDX-License-Identifier: Apache-2.0 */
/* A lattice in one process: hosts (real machines of src/lattice), a bus, a key-value store, clients, on a virtual
 * clock. Everything that happens follows from the seed.
 *
 * The bus loses, delays, reorders and doubles messages. The store is one place with compare-and-swap; a host that is
 * cut off from bus and store catches up when it is back, as src/state does. Hosts crash and come back with what they
 * saved. The store can be wiped. Processes of providers die, hang, and are started again as src/supervise does it. */
#pragma once

#include "app/app.h"
#include "lattice/lattice.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

struct world;

enum { WORLD_BUCKETS = WISP_APP_BUCKET_MANIFESTS + 1, CACHE_SIZE = 8 << 20 };

/* In per mille of messages, and ms. */
struct weather {
    uint32_t lost, doubled;
    uint64_t delay_max_ms;
};

struct route {
    char *pattern, *queue;
    bool is_app; /* of the manager of applications */
    struct route *next;
};

enum { PROCESSES_MAX = 16, PROVIDERS_MAX = 4 };

/* A provider's process on a host. */
struct process {
    char id[16];
    enum { GONE, UP, AWAY, DUE } state;
    bool is_deaf;     /* does not answer to health checks */
    bool is_born;     /* its being up is still to be told */
    uint64_t due_ms;  /* AWAY */
    uint64_t told_ms; /* UP: by then whoever started it knows; it does not die before */
    uint32_t failures;
};

struct host {
    struct world *world;
    size_t index;
    struct wisp_lattice *lattice; /* NULL: down */
    struct wisp_app *app;         /* when the world has applications */
    uint64_t heard_until_ms;      /* what the manager hears next comes no earlier: a bus keeps the order */
    uint32_t life;                /* a new number at every start: what was meant for an earlier one is dropped */
    uint32_t link_no;             /* a new number whenever the connection changes */
    bool is_connected;
    char seed[64];
    char id[64];
    struct route *routes;
    json_t *view[WORLD_BUCKETS]; /* key to revision, as told */
    uint64_t told_until_ms;      /* what is told next comes no earlier */
    json_t *running;             /* component id to {count, config, links}: what the workers run */
    json_t *expected;            /* component id to count: the last accepted scale */
    struct process processes[PROCESSES_MAX];
    char *saved;
    uint64_t tick_at_ms;
    uint64_t n_actions_in_window, window_ms, n_actions_most; /* actions in one second */
    uint64_t n_in, n_out, cpu_ns;                            /* of both machines; CPU only if is_sampled */
    bool is_sampled;
};

enum event_kind { EV_MESSAGE, EV_WRITE, EV_DONE, EV_TOLD, EV_LOADED, EV_TICK, EV_CALL };

struct event {
    uint64_t at_ms, order;
    enum event_kind kind;
    struct host *host;
    uint32_t life, link_no;
    char *subject, *reply, *text; /* message; or key, -, value */
    size_t text_len;
    uint64_t id, revision;
    int bucket;
    int64_t expected;
    enum wisp_err_kind err;
    bool has_text, is_fetch, is_app;
    void (*call)(struct world *world, void *env);
    void *env;
};

/* A request of a client. */
struct request {
    char *subject;
    uint32_t *n_delivered, *n_answered; /* by host */
    void (*on_answer)(struct world *world, struct host *host, const json_t *envelope, void *env);
    void *env;
};

struct world {
    uint64_t seed, random, now_ms, order;
    struct weather weather;
    struct host *hosts;
    size_t n_hosts;
    struct event **heap;
    size_t n_events, capacity;
    json_t *store[WORLD_BUCKETS];   /* key to [value, revision] */
    json_t *markers[WORLD_BUCKETS]; /* deleted key to revision */
    uint64_t revision;
    struct request *requests;
    size_t n_requests, requests_capacity;
    bool is_verbose;
    char *
        cold; /* CACHE_SIZE bytes: what sampled hosts do is timed with nothing of theirs in the caches. NULL: untimed */
    bool kills_processes;
    bool has_apps;
    /* What a manager asks of a host; may be NULL. */
    void (*on_command)(struct world *world, struct host *host, struct wisp_str subject, const json_t *payload);
    uint64_t n_deaths, n_hangs, n_restarts;
    uint64_t n_events_done;
};

void world_init(struct world *world, uint64_t seed, size_t n_hosts);
void world_deinit(struct world *world);
uint64_t world_random(struct world *world, uint64_t below);
/* Runs until that time. */
void world_run(struct world *world, uint64_t until_ms);
void world_at(struct world *world, uint64_t after_ms, void (*call)(struct world *world, void *env), void *env);
void world_fail(const struct world *world, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

void host_start(struct host *host);
void host_crash(struct host *host);
void host_cut(struct host *host);
void host_join(struct host *host);
/* Every process lives on for a moment. To be called by itself for as long as the world lasts. */
void world_live(struct world *world, void *env);
/* Everything in the store is gone, without a trace. */
void world_wipe(struct world *world);

/* `payload` is copied. on_answer (may be NULL) is called when a host answers, whether the answer gets anywhere or not.
 */
void world_ask(struct world *world, const char *subject, const char *payload,
               void (*on_answer)(struct world *world, struct host *host, const json_t *envelope, void *env), void *env);
/* Asks one host directly, past the bus, and returns the envelope's response. The caller owns the reference. */
json_t *host_ask(struct host *host, const char *tail);
