/* SPDX-License-Identifier: Apache-2.0 */
/* --watch: the same answer again and again, until interrupted. */
#pragma once

#include "cli/lattice_client.h"

#define WISP_WATCH_OPTION(values, field)                                                                               \
    {.name = "watch",                                                                                                  \
     .letter = 'w',                                                                                                    \
     .kind = WISP_ARG_MILLISECONDS,                                                                                    \
     .value = "TIME",                                                                                                  \
     .implied = "5s",                                                                                                  \
     .is_positive = true,                                                                                              \
     .help = "show it again every TIME (ms, or as 5s), until interrupted [5s]",                                        \
     .offset = offsetof(values, field)}

/* Calls `show` once, or every period_ms (not 0). On a terminal each text takes the place of the one before; what is not
 * for a terminal follows. A failure ends it when it is the first one; later ones are printed, for the bus may be back.
 */
int wisp_watch(struct wisp_lattice_client *client, uint64_t period_ms, bool is_json,
               int (*show)(struct wisp_lattice_client *client, const void *values, struct wisp_err *err),
               const void *values, struct wisp_err *err) __attribute__((warn_unused_result));
