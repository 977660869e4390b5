/* SPDX-License-Identifier: Apache-2.0 */
/* The lattice's policy service decides about calls that come over the bus (performInvocation, wasmCloud 1.6). It is
 * asked once about each function of a component's image; its decision holds until it tells of another on the topic for
 * changes. What it doesn't decide in time, or not understandably, is denied, and asked again with the next call. One
 * thread. */
#pragma once

#include "bus/client.h"
#include "worker/worker_priv.h"
#include "wrpc/wrpc.h"

/* From now on calls need permission. As the worker's options say it; the bus is borrowed. */
int wisp_policy_start(struct wisp_worker *worker, struct wisp_bus_client *bus, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* When the bus client is gone, and with it all that was asked. NULL is fine. */
void wisp_policy_free(struct wisp_policy *policy);

void wisp_policy_ask(struct wisp_invocation *invocation, const struct wisp_wrpc_function *function);
/* Admission, now or when the call is permitted. One that is denied ends without a result. The invocation has its
 * edition, and is the callee of a wRPC call, of an exchange that came by one, or of a provider in this worker. */
static inline void wisp_policy_begin(struct wisp_invocation *invocation, const struct wisp_wrpc_function *function)
{
    if (invocation->worker->policy && !invocation->worker->is_hard)
        wisp_policy_ask(invocation, function);
    else
        wisp_admission_begin(invocation);
}
/* A held invocation ends, or goes on. */
void wisp_policy_let_go(struct wisp_invocation *invocation);
