/* SPDX-License-Identifier: Apache-2.0 */
/* Provider processes of a host: native programs that get their host data on standard input and speak the bus's
 * protocol. One that ends unasked is started again. One loop, one thread. */
#pragma once

#include "lattice/lattice.h"
#include "supervise/supervisor.h"

struct wisp_providers;

int wisp_providers_new(struct wisp_providers **ret_providers, struct wisp_supervisor *supervisor, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* All processes are gone. NULL is fine. */
void wisp_providers_free(struct wisp_providers *providers);

struct wisp_providers_handler {
    /* The outcome of a start or stop. */
    void (*on_done)(uint64_t id, const struct wisp_err *err, void *env);
    void (*on_news)(struct wisp_str provider_id, enum wisp_lattice_provider_news news, const char *text, void *env);
    void *env;
};
void wisp_providers_set_handler(struct wisp_providers *providers, const struct wisp_providers_handler *handler);

/* on_done when the process runs, or with why it can't. */
void wisp_providers_start(struct wisp_providers *providers, const struct wisp_lattice_provider *provider, uint64_t id);
/* Host data for the next start of the same provider. */
void wisp_providers_refresh(struct wisp_providers *providers, const struct wisp_lattice_provider *provider);
/* on_done when the process is gone. The shutdown message was sent before, so it gets SIGTERM at once. */
void wisp_providers_stop(struct wisp_providers *providers, struct wisp_str provider_id, uint64_t id);
/* Every process is asked to end. */
void wisp_providers_stop_all(struct wisp_providers *providers);
