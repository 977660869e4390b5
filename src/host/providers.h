/* SPDX-License-Identifier: Apache-2.0 */
/* Provider processes of a host: native programs that get their host data on standard input and speak the bus's
 * protocol. One that ends unasked is started again when the lattice's machine has prepared new host data. One loop, one
 * thread. */
#pragma once

#include "lattice/lattice.h"
#include "supervise/supervisor.h"

#include <uv.h>

struct wisp_providers;

/* Zeros: defaults. */
struct wisp_providers_options {
    uint32_t failed_after;   /* deaths in a row until it has failed [5] */
    uint32_t restart_max_ms; /* longest pause before a new start [30,000] */
};

/* Kills what providers of hosts that were killed have left behind. */
int wisp_providers_new(struct wisp_providers **ret_providers, uv_loop_t *loop, struct wisp_supervisor *supervisor,
                       const struct wisp_providers_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* All processes are gone. Its handle closes in the loop's next turns. NULL is fine. */
void wisp_providers_free(struct wisp_providers *providers);

struct wisp_providers_handler {
    /* The outcome of a start or stop. */
    void (*on_done)(uint64_t id, const struct wisp_err *err, void *env);
    void (*on_news)(struct wisp_str provider_id, enum wisp_lattice_provider_news news,
                    const struct wisp_lattice_provider_report *report, void *env);
    /* A process is gone, asked or not; before the news. */
    void (*on_ended)(struct wisp_str provider_id, void *env);
    void *env;
};
void wisp_providers_set_handler(struct wisp_providers *providers, const struct wisp_providers_handler *handler);

/* on_done when the process runs, or with why it can't. */
void wisp_providers_start(struct wisp_providers *providers, const struct wisp_lattice_provider *provider, uint64_t id);
/* Host data for the start that is due: it is started. */
void wisp_providers_release(struct wisp_providers *providers, const struct wisp_lattice_provider *provider);
/* It does not answer: killed, and started again as one that died. */
void wisp_providers_hang(struct wisp_providers *providers, struct wisp_str provider_id, struct wisp_str reason);
/* It is asked over the bus to end: from now on its exit is no surprise. */
void wisp_providers_expect_end(struct wisp_providers *providers, struct wisp_str provider_id);
/* on_done when the process is gone. The shutdown message was sent before: one that answered may end by itself within
 * grace_ms, others (0) get SIGTERM at once. */
void wisp_providers_stop(struct wisp_providers *providers, struct wisp_str provider_id, uint64_t grace_ms,
                         uint64_t id);
/* Every process has been asked over the bus to end; those that are still there after `patience_ms` get SIGTERM.
 * on_stopped when all are gone, once, from here or later. */
void wisp_providers_stop_all(struct wisp_providers *providers, uint64_t patience_ms, void (*on_stopped)(void *env),
                             void *env);
/* The programs that they are. */
void wisp_providers_each_path(const struct wisp_providers *providers, void (*visit)(const char *path, void *env),
                              void *env);
