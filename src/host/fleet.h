/* SPDX-License-Identifier: Apache-2.0 */
/* The workers of a host: every one runs all of the host's components and listens on all of its HTTP addresses. What they
 * were told is kept and told again to a worker that takes another's place. One loop, one thread. */
#pragma once

#include "host/paths.h"
#include "lattice/lattice.h"
#include "supervise/supervisor.h"
#include "worker/orders.h"
#include "worker/shared.h"
#include "worker/worker.h"

#include <uv.h>

struct wisp_fleet;

struct wisp_fleet_options {
    struct wisp_supervisor *supervisor;
    const struct wisp_paths *paths; /* hand-over sockets are made in paths->host */
    uint32_t n_workers;
    uint32_t components_max;
    /* Defaults of components that don't say otherwise. */
    uint64_t memory_bytes_max, timeout_ms, body_bytes_max;
    uint32_t grace_ms, drain_ms;
    uint32_t provider_wait_ms; /* 0: the worker's default */
    const char *lattice, *host_id;
    int log_level, log_format;
    struct wisp_worker_telemetry telemetry;
    void (*on_telemetry)(const json_t *order, void *env); /* what workers hand in; NULL: not wanted */
    void *telemetry_env;
    void (*on_ended)(struct wisp_str id, void *env); /* a worker that had this component or provider is gone */
    void *ended_env;
    struct wisp_worker_bus bus;
    struct { /* as in struct wisp_worker_policy */
        const char *topic, *changes_topic;
        const json_t *labels;
        uint64_t timeout_ms;
    } policy;
};

/* Starts the workers and takes listening sockets over from workers that an earlier control process left behind; those
 * end when ours serve. Options are borrowed for its life. */
int wisp_fleet_new(struct wisp_fleet **ret_fleet, uv_loop_t *loop, const struct wisp_fleet_options *options,
                   struct wisp_err *err) __attribute__((warn_unused_result));
/* All workers are down. NULL is fine. */
void wisp_fleet_free(struct wisp_fleet *fleet);

typedef void wisp_fleet_on_done(const struct wisp_err *err, void *env, uint64_t id);
/* Runs a component on all workers, or changes what runs. on_done comes once, from here or later: when all workers serve
 * it, or with why one can't. Replaced by a later put or remove of the same id: CANCELLED. */
void wisp_fleet_put(struct wisp_fleet *fleet, const struct wisp_lattice_component *component,
                    wisp_fleet_on_done *on_done, void *env, uint64_t id);
void wisp_fleet_remove(struct wisp_fleet *fleet, struct wisp_str component_id, wisp_fleet_on_done *on_done, void *env,
                       uint64_t id);
/* The same for a provider of a built-in kind: `providers_dir` of the options gets a directory for it. */
void wisp_fleet_put_provider(struct wisp_fleet *fleet, const struct wisp_lattice_builtin *provider,
                             wisp_fleet_on_done *on_done, void *env, uint64_t id);
void wisp_fleet_remove_provider(struct wisp_fleet *fleet, struct wisp_str provider_id, wisp_fleet_on_done *on_done,
                                void *env, uint64_t id);
/* All routes of the built-in HTTP server. An address that can't be listened on is logged and tried again. */
void wisp_fleet_set_routes(struct wisp_fleet *fleet, const struct wisp_lattice_route *routes, size_t n_routes);

/* Workers finish what is in flight and end; on_drained when all are gone. */
void wisp_fleet_drain(struct wisp_fleet *fleet, void (*on_drained)(void *env), void *env);
/* Lets workers write to a rotated log file. */
void wisp_fleet_set_log(struct wisp_fleet *fleet, int fd);

uint32_t wisp_fleet_n_workers(const struct wisp_fleet *fleet);
/* Some worker is ready. */
bool wisp_fleet_is_serving(const struct wisp_fleet *fleet);
const struct wisp_shared *wisp_fleet_shared(const struct wisp_fleet *fleet);
/* Calls back for every component with its place in the shared memory. */
/* The files that its components are loaded from. */
void wisp_fleet_each_path(const struct wisp_fleet *fleet, void (*visit)(const char *path, void *env), void *env);
void wisp_fleet_each(const struct wisp_fleet *fleet,
                     void (*visit)(struct wisp_str id, struct wisp_str reference, uint32_t slot, void *env), void *env);
