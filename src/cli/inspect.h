/* SPDX-License-Identifier: Apache-2.0 */
/* What `wisp inspect` says of something that runs. */
#pragma once

#include "cli/connection.h"

/* Where it runs, its image, its links, and names of the configs it gets. NOT_FOUND when no host runs it. */
int wisp_inspect_running(const struct wisp_connection *connection, const char *id, bool is_json, struct wisp_err *err)
    __attribute__((warn_unused_result));
