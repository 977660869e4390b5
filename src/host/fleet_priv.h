/* SPDX-License-Identifier: Apache-2.0 */
/* The workers of a host from within, for fleet*.c. */
#pragma once

#include "base/map.h"
#include "base/mem.h"
#include "host/fleet.h"
#include "host/listener.h"
#include "supervise/process.h"
#include "worker/handover.h"
#include "worker/orders.h"

enum {
    WISP_FLEET_COMPONENTS_MAX = 10000,
    WISP_FLEET_COMPILERS_MAX = 2, /* compile at once; each uses all cores for a big module */
};

/* One of the N places for a worker; processes come and go in it. */
struct wisp_seat {
    struct wisp_fleet *fleet;
    uint32_t index;
    struct wisp_child *child;
    struct wisp_orders *orders;
    bool is_ready;            /* takes orders */
    int config_fd, orders_fd; /* of the next process */
    char number[12];
    const char *argv[5];
    struct wisp_process_fd fds[WISP_PROCESS_FDS_MAX];
};

/* A component that workers run, or should. */
struct wisp_fleet_component {
    char *id, *reference, *path;
    uint32_t slot; /* in the shared memory */
    uint64_t generation;
    json_t *order;                /* what workers are told */
    json_t *good_order;           /* the last one that all served; NULL: none yet */
    uint64_t good_generation;
    bool *is_ready;               /* by seat: this generation takes calls there */
    bool wants_compiler;          /* some worker didn't find the code in the cache */
    struct wisp_fleet_compiler *compiler;
    wisp_fleet_on_done *on_done;  /* NULL: nobody waits */
    void *env;
    uint64_t done_id;
};

/* Was removed; workers may still finish calls of it. */
struct wisp_fleet_leaver {
    char *id;
    uint32_t slot;
    uint64_t generation;
    bool *is_gone; /* by seat */
    struct wisp_fleet_leaver *next;
};

/* A provider of a built-in kind that workers run, or should. */
struct wisp_fleet_provider {
    char *id;
    json_t *order;         /* what workers are told */
    json_t *good_order;    /* the last one that all took; NULL: none yet */
    uint32_t *n_told;      /* by seat: orders on their way to it that it has not answered */
    wisp_fleet_on_done *on_done; /* NULL: nobody waits */
    void *env;
    uint64_t done_id;
};

/* An address of the built-in HTTP server. */
struct wisp_fleet_listener {
    char *address;
    struct wisp_listen_address parsed;
    bool is_claimed, is_wanted, was_reported;
    int *fds;      /* by seat: our copy of its socket; -1: none */
    bool *is_told; /* by seat: its process has it; once, since every time is one more socket */
    struct wisp_fleet_listener *next;
};

struct wisp_fleet {
    struct wisp_fleet_options options;
    uv_loop_t *loop;
    uv_timer_t retry;    /* addresses that could not be had */
    uv_timer_t patience; /* with components that are not ready when old workers wait to be replaced */
    uint32_t n_closed;
    struct wisp_shared *shared;
    struct wisp_seat *seats;
    uint32_t n_seats;
    uint32_t *free_slots, n_free_slots;

    struct wisp_map components; /* by id */
    struct wisp_map providers;  /* built-in ones, by id */
    struct wisp_fleet_leaver *leavers;
    uint32_t n_compilers;
    struct wisp_fleet_compiler *compilers;

    json_t *routes; /* the order; NULL: none yet */
    struct wisp_fleet_listener *listeners;
    struct wisp_handover_taken *old; /* workers of an earlier control process, and their sockets */
    size_t n_old;
    bool holds_back; /* our workers don't listen yet: they wait for their components, while the old ones serve */

    bool is_draining;
    void (*on_drained)(void *env);
    void *drained_env;
};

/* fleet.c */
/* To all that are ready. The caller keeps its reference. */
void wisp_fleet_tell(struct wisp_fleet *fleet, json_t *order);

/* fleet_components.c */
void wisp_fleet_on_component(struct wisp_seat *seat, const char *what, const json_t *order);
/* A worker that had this component or provider is gone: callers are told. */
void wisp_fleet_tell_ended(struct wisp_fleet *fleet, const char *id);
void wisp_fleet_on_worker_gone(struct wisp_seat *seat);
bool wisp_fleet_component_is_ready(const struct wisp_fleet *fleet, const struct wisp_fleet_component *component);
void wisp_fleet_end_compiling(struct wisp_fleet *fleet);
void wisp_fleet_free_components(struct wisp_fleet *fleet);

/* fleet_providers.c */
void wisp_fleet_tell_providers(struct wisp_seat *seat);
/* What a worker says of one; false: it is about something else. */
bool wisp_fleet_on_provider(struct wisp_seat *seat, const char *what, const json_t *order);
void wisp_fleet_provider_worker_gone(struct wisp_seat *seat);
void wisp_fleet_free_providers(struct wisp_fleet *fleet);

/* fleet_listeners.c */
/* Connects to workers that were left behind and takes over their sockets. */
void wisp_fleet_take_over(struct wisp_fleet *fleet);
void wisp_fleet_tell_listeners(struct wisp_seat *seat);
/* The seat has another process, which was told nothing yet. */
void wisp_fleet_forget_told(struct wisp_seat *seat);
void wisp_fleet_on_worker_ready(struct wisp_seat *seat);
/* After each change of a worker's state: connections don't wait for one that is away for long. */
void wisp_fleet_hold_listeners(struct wisp_seat *seat);
/* Something got ready: the old workers may be done. */
void wisp_fleet_check_old(struct wisp_fleet *fleet);
void wisp_fleet_free_listeners(struct wisp_fleet *fleet);
