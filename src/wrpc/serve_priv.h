/* SPDX-License-Identifier: Apache-2.0 */
/* A call that came in, below what its parameters mean. */
#pragma once

#include "wrpc/serve.h"
#include "wrpc/wrpc_priv.h"

/* One function that is served. */
struct wisp_wrpc_endpoint {
    struct wisp_wrpc_service *service;
    struct wisp_wrpc_endpoint *next;
    struct wisp_bus_subscription *subscription; /* NULL: it takes no more */
    char *label;                                /* "`interface.function` at `id`" */
    void (*on_invoke)(struct wisp_wrpc_endpoint *endpoint, const struct wisp_bus_message *message);
    void (*free)(void *context); /* may be NULL */
    void *context;
};

/* First in what the kinds of calls are. */
struct wisp_wrpc_incoming {
    struct wisp_wrpc_session session;
    struct wisp_wrpc_service *service;                        /* NULL: it is gone */
    struct wisp_link link;                                    /* in the service's calls */
    void (*on_service_gone)(struct wisp_wrpc_incoming *call); /* may be NULL */
    struct wisp_wrpc_caller caller;
    struct wisp_arena arena;
};

/* Subscribes. `context` is taken over on success. */
int wisp_wrpc_service_add_endpoint(struct wisp_wrpc_service *service, const struct wisp_wrpc_function *function,
                                   const struct wisp_wrpc_endpoint *endpoint, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Takes a call and counts it; the accept goes out at once, unless it `may_wait` for a soon answer. `call` is zeroed, of
 * malloc. */
int wisp_wrpc_incoming_open(struct wisp_wrpc_incoming *call, const struct wisp_wrpc_session_ops *ops,
                            struct wisp_wrpc_endpoint *endpoint, const struct wisp_bus_message *message, bool may_wait,
                            struct wisp_err *err) __attribute__((warn_unused_result));
/* Closes the session, frees the arena and the call. */
void wisp_wrpc_incoming_free(struct wisp_wrpc_incoming *call);
