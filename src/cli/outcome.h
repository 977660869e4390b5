/* SPDX-License-Identifier: Apache-2.0 */
/* What became of a request that a host has only accepted: it says so by an event. */
#pragma once

#include "cli/lattice_client.h"

struct wisp_outcome {
    const char *host_id;           /* whose event it is */
    const char *id_field, *id;     /* "component_id": others' events don't count */
    const char *success, *failure; /* names of the events */
    const char *image_ref;         /* NULL: any */
    int64_t max_instances;         /* -1: any */
    uint64_t patience_ms;          /* unless the user has set another */
    const char *what;              /* "start component `echo`" */
};

enum { WISP_OUTCOME_COMPONENT_MS = 10 * 1000, WISP_OUTCOME_PROVIDER_MS = 60 * 1000 };

/* Before the request is made, so that nothing is missed. */
int wisp_outcome_listen(struct wisp_lattice_client *client, const struct wisp_outcome *outcome, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* 0 on success. The host's error when it failed. TIMEOUT and CANCELLED say that it is still in progress. */
int wisp_outcome_wait(struct wisp_lattice_client *client, const struct wisp_outcome *outcome, struct wisp_err *err)
    __attribute__((warn_unused_result));
