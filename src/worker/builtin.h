/* SPDX-License-Identifier: Apache-2.0 */
/* Instances of provider kinds that run in this worker, as in every other worker of the host (images `wisp://KIND`).
 * Components of this worker call them directly (outgoing.h), everybody else over the bus. One thread. */
#pragma once

#include "base/json.h"
#include "provider/runtime.h"
#include "worker/worker_priv.h"

struct wisp_builtin {
    struct wisp_link all; /* in worker->builtins, until its provider is gone */
    struct wisp_worker *worker;
    char *id, *data_path; /* data_path may be NULL */
    struct wisp_provider *provider;
    struct wisp_wrpc_service *service; /* NULL: not served over the bus, or not any more */
    json_t *source_links;              /* those in which it is the source, without their settings */
    uint32_t n_calls;                  /* of components of this worker, in flight */
    uv_timer_t patience;               /* with calls in flight, once it is removed */
    bool is_draining;                  /* the service takes no more calls */
    bool is_removed, is_closing;
};

/* --- orders --- */

/* A "provider" order; everything is borrowed from it. */
struct wisp_builtin_order {
    struct wisp_str id, kind, data_path;    /* data_path may be empty */
    const json_t *config, *secrets, *links; /* objects, or NULL; an array, or NULL */
};
/* INVALID names what is wrong, but no value. */
int wisp_builtin_order_read(struct wisp_builtin_order *ret_order, const json_t *json, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* Run it, or change what runs; and take it away. They say what became of it. */
void wisp_builtin_on_order(struct wisp_worker *worker, const json_t *order);
void wisp_builtin_on_remove(struct wisp_worker *worker, const json_t *order);

/* --- calls --- */

/* NULL when there is none that takes calls. */
struct wisp_builtin *wisp_builtin_find(const struct wisp_worker *worker, struct wisp_str id);
/* While it is held, a call of a component is in flight. */
static inline struct wisp_builtin *wisp_builtin_hold(struct wisp_builtin *builtin)
{
    builtin->n_calls++;
    return builtin;
}
void wisp_builtin_release(struct wisp_builtin *builtin);

/* --- the end --- */

/* The worker drains: no more calls from the bus, and none that they make of themselves; those of components go on. */
void wisp_builtins_drain(struct wisp_worker *worker);
/* No component calls any more: closes them. True when all are gone, or nobody cares; otherwise wisp_worker_settle
 * follows. */
bool wisp_builtins_finish(struct wisp_worker *worker);
/* After all calls. */
void wisp_builtins_deinit(struct wisp_worker *worker);
