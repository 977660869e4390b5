/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that come over the bus, and go out over it. Without a bus all of this does nothing, or says so. One thread. */
#pragma once

#include "worker/router.h"

int wisp_remote_start(struct wisp_worker *worker, struct wisp_err *err) __attribute__((warn_unused_result));
/* Takes calls for this edition's exports; wisp_hosting_on_ready follows, at once or when the bus knows of it. */
void wisp_remote_serve(struct wisp_edition *edition);
/* Asks for no more of them; what came already is answered. The service holds the edition till then. */
void wisp_remote_unserve(struct wisp_edition *edition);
/* The worker drains: no more calls from the bus. wisp_worker_settle follows when all have been answered. */
void wisp_remote_drain(struct wisp_worker *worker);
/* Nothing else needs the bus any more: lets what was sent leave. True when it has, or nobody cares; otherwise
 * wisp_worker_settle follows. */
bool wisp_remote_finish(struct wisp_worker *worker);
/* Closes. After all exchanges and invocations. */
void wisp_remote_stop(struct wisp_worker *worker);
/* `tell` is called when the bus knows of all services made so far, at once when there is none to be reached. */
void wisp_remote_when_served(struct wisp_worker *worker,
                             void (*tell)(struct wisp_worker *worker, struct wisp_str id, uint64_t generation),
                             struct wisp_str id, uint64_t generation);
/* NULL without a bus. */
struct wisp_wrpc *wisp_remote_wrpc(const struct wisp_worker *worker);
struct wisp_bus_client *wisp_remote_bus(const struct wisp_worker *worker);
