/* SPDX-License-Identifier: Apache-2.0 */
/* How providers in this worker call components of this worker: as calls from the bus do (admission, deadline, policy),
 * but without it. One thread. */
#pragma once

#include "provider/runtime.h"
#include "worker/worker_priv.h"

/* Its invoke says UNAVAILABLE of components that don't run here. */
struct wisp_provider_world wisp_world_of(struct wisp_worker *worker);
/* Ends what was cancelled. From the loop, when no guest is on the stack: a provider may cancel within the call of a
 * component, and what it cancels may be around that. */
void wisp_world_end_cancelled(struct wisp_worker *worker);
