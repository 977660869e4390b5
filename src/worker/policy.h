/* SPDX-License-Identifier: Apache-2.0 */
/* The lattice's policy service decides about calls of components, whichever way they come: over the bus, from HTTP
 * clients, from components and providers of this worker (performInvocation, wasmCloud 1.6). It is asked once about each
 * function of a component's image; its decision holds until it tells of another on the topic for changes. What it
 * doesn't decide in time, or not understandably, is denied, and asked again with the next call. One thread. */
#pragma once

#include "bus/client.h"
#include "worker/worker_priv.h"
#include "wrpc/wrpc.h"

/* From now on calls need permission. As the worker's options say it; the bus is borrowed. */
int wisp_policy_start(struct wisp_worker *worker, struct wisp_bus_client *bus, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* When the bus client is gone, and with it all that was asked. NULL is fine. */
void wisp_policy_free(struct wisp_policy *policy);

bool wisp_policy_ask(struct wisp_invocation *invocation, const struct wisp_wrpc_function *function);
/* True: the call is permitted, and the caller goes on with admission. False: admission comes when it is decided, or it
 * is denied, as the invocation's ops were told. The invocation has its edition, or is an HTTP request's. */
static inline bool wisp_policy_permits(struct wisp_invocation *invocation, const struct wisp_wrpc_function *function)
{
    return !invocation->worker->policy || invocation->worker->is_hard || wisp_policy_ask(invocation, function);
}
/* Admission, now or when the call is permitted. */
static inline void wisp_policy_begin(struct wisp_invocation *invocation, const struct wisp_wrpc_function *function)
{
    if (wisp_policy_permits(invocation, function)) wisp_admission_begin(invocation);
}
/* A held invocation ends, or goes on. */
void wisp_policy_let_go(struct wisp_invocation *invocation);
