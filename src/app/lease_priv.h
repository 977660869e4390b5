/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads (lease.c). */
#pragma once

#include "app/app.h"

enum { WISP_APP_STANDBYS = 2, WISP_APP_HOST_ID_MAX = 128 };

struct wisp_app_lease {
    uint64_t revision;   /* of the key; 0: it is not there */
    uint64_t free_ms;    /* when it may be taken, unless it changes until then */
    uint64_t renewed_ms; /* when the last renewal that succeeded was sent */
    uint64_t next_ms;    /* to renew, or to try */
    bool is_writing, is_held;
    uint32_t term;                                              /* a new one each time that it is won */
    bool is_others;                                             /* somebody else has, or had it last */
    bool is_named;                                              /* this host stands by */
    char standbys[WISP_APP_STANDBYS][WISP_APP_HOST_ID_MAX + 1]; /* "": none */
    bool was_others;                                            /* who held it last did not end in order */
    char epoch[17];   /* of the state: another one, and it was lost in between; empty: there is none */
    uint64_t began_s; /* when the epoch did, since 1970 */
};
void wisp_app_lease_on_state(struct wisp_app *app, const struct wisp_str *value, uint64_t revision);
/* The state is another one, perhaps without a lease. */
void wisp_app_lease_reset(struct wisp_app *app);
uint64_t wisp_app_lease_tick(struct wisp_app *app);
void wisp_app_lease_release(struct wisp_app *app);
bool wisp_app_lease_is_valid(const struct wisp_app *app);
/* The state is so new that it may have been another one which knew more. */
bool wisp_app_lease_is_young(const struct wisp_app *app);
