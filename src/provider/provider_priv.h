/* SPDX-License-Identifier: Apache-2.0 */
/* How an instance of a kind is kept:
 *
 *     instance ─┬─ types of all functions of its kind, which all instances share (types.c)
 *               ├─ links (links.c): found by the id of the other end. One that was replaced or deleted stays on
 *               │  `gone_links` until the calls that use it are ended
 *               ├─ calls in flight, from this process or over wRPC (calls.c)
 *               └─ invocations of components (invoke.c)
 *
 * What must not happen within a call of the kind's (freeing a link whose last call ends, the steps of closing) happens
 * in the timer's next turn. */
#pragma once

#include "provider/runtime.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/ring.h"

enum {
    WISP_PROVIDER_LINKS_MAX = 100000,      /* of an instance */
    WISP_PROVIDER_CALLS_KEPT_MAX = 32,     /* calls and their arenas that wait to be used again */
    WISP_PROVIDER_CALL_TIMEOUT_MS = 10000, /* of calls of components, unless they say */
};

struct wisp_provider_instance {
    struct wisp_provider base;
    struct wisp_provider_world world;
    uint64_t call_timeout_ms;
    void (*on_span)(void *env, const struct wisp_provider_span *span);
    void *span_env;
    struct wisp_arena arena;
    const struct wisp_provider_types *types;
    struct wisp_arena settings_arena; /* of base.settings */

    struct wisp_map peers; /* to struct peer of links.c */
    struct wisp_link links, gone_links;
    size_t n_links;
    uint64_t round; /* counts set_links */

    struct wisp_link calls, kept_calls, invocations;
    size_t n_calls, n_kept_calls, n_holds;

    uv_timer_t later;
    bool is_closing, is_closed;    /* asked to; the kind has done so */
    void (*on_drained)(void *env); /* NULL: nobody waits for it */
    void *drained_env;
    void (*on_closed)(void *env);
    void *closed_env;
};

static inline struct wisp_provider_instance *wisp_provider_instance_of(const struct wisp_provider *provider)
{
    return (struct wisp_provider_instance *)((uintptr_t)provider - offsetof(struct wisp_provider_instance, base));
}
/* Looks soon whether something can be freed. */
void wisp_provider_look_later(struct wisp_provider_instance *instance);
/* Something has ended that draining or closing may have waited for. */
static inline void wisp_provider_something_ended(struct wisp_provider_instance *instance)
{
    if (instance->is_closing || instance->on_drained) wisp_provider_look_later(instance);
}

/* --- types.c --- */

/* A kind's tables, read. They stay for good: whoever holds a stream of a function may outlive the instance. */
struct wisp_provider_types {
    const struct wisp_provider_kind *kind;
    struct wisp_arena arena;
    struct wisp_provider_export *exports, *imports;
    size_t n_exports, n_imports;
    struct wisp_provider_types *next;
};
int wisp_provider_types_get(const struct wisp_provider_kind *kind, const struct wisp_provider_types **ret_types,
                            struct wisp_err *err) __attribute__((warn_unused_result));

/* --- links.c --- */

struct wisp_provider_kept_link;
/* That of a call from `source_id` by its link of this name, for this interface rather than another; counted as used.
 * NULL: none. `err`: why the kind did not take it. */
struct wisp_provider_kept_link *wisp_provider_use_link(struct wisp_provider_instance *instance,
                                                       struct wisp_str source_id, struct wisp_str name,
                                                       const struct wisp_provider_interface *interface,
                                                       struct wisp_err *err);
struct wisp_provider_link *wisp_provider_kept_link_base(struct wisp_provider_kept_link *link);
/* NULL is fine. */
void wisp_provider_unuse_link(struct wisp_provider_kept_link *link);
/* Those whose settings are others with what the provider has now. */
void wisp_provider_renew_links(struct wisp_provider_instance *instance);
void wisp_provider_remove_links(struct wisp_provider_instance *instance);
/* Gone ones that nobody uses. */
void wisp_provider_free_links(struct wisp_provider_instance *instance);

/* --- calls.c, invoke.c --- */

/* A function as the service of wRPC calls it. */
struct wisp_provider_served {
    struct wisp_provider_instance *instance;
    const struct wisp_provider_export *export_;
};

void wisp_provider_cancel_calls(struct wisp_provider_instance *instance);
void wisp_provider_free_calls(struct wisp_provider_instance *instance);
void wisp_provider_cancel_invocations(struct wisp_provider_instance *instance);
