/* SPDX-License-Identifier: Apache-2.0 */
/* The manager from within: what all its files share. Each has a header of its own beside this. */
#pragma once

#include "app/app.h"
#include "app/lease_priv.h"
#include "base/json.h"

enum {
    WISP_APP_HOSTS_MAX = 10000,
    WISP_APP_UNITS_MAX = 10000,  /* components, and providers, of one host */
    WISP_APP_ITEMS_MAX = 100000, /* commands that are under way or held back */
    WISP_APP_LINKS_MAX = 100000,
    WISP_APP_CONFIGS_MAX = 100000,
    WISP_APP_ASKED_MAX = 1000, /* requests that wait for an earlier one's write */
};

struct wisp_app {
    char *lattice, *ctl_prefix, *api_prefix, *host_id;
    uint64_t lease_ms, reconcile_ms, command_timeout_ms, host_lease_ms;
    uint32_t apps_max, versions_max;
    bool is_passive;
    struct wisp_app_now now;
    uint64_t next_ms; /* of the next tick */
    uint64_t random;

    struct wisp_app_queued *first, *last, *taken; /* actions; the one handed out last */
    struct wisp_map calls;                        /* by id, to struct call of output.c */
    uint64_t next_id;

    bool is_connected; /* to the bus */
    bool is_current;   /* the state is reachable, and everything in it was told */
    bool was_current, is_stopped, has_subscribed;
    struct wisp_app_lease lease;
    uint32_t term; /* of the lease, in which this manager leads; 0: it does not */

    struct wisp_map hosts; /* by id */
    struct wisp_app_known_host *first_host;
    bool follows;                           /* what happens on hosts */
    uint64_t hosts_ms, beat_ms;             /* when to look at hosts; when to beat */
    uint64_t settled_ms;                    /* by then all hosts have answered to a ping */
    uint64_t asked_ms;                      /* and by then all that this manager asked when it began to lead */
    size_t n_unheard;                       /* hosts that are not silent, of which it is not known what they run */
    size_t n_untold;                        /* all of which it is not known */
    const struct wisp_app_host **host_list; /* see wisp_app_hosts_list */
    size_t n_listed;
    bool is_listed;                         /* `host_list` is right */
    struct wisp_app_units units;            /* all that runs, and all that is under way */
    struct wisp_map specs;                  /* source id to struct wisp_app_observed_links */
    struct wisp_map configs;                /* name to json_t * */
    struct wisp_map spec_keys, config_keys; /* what the keys of these two are */

    struct wisp_map records; /* by name */
    struct wisp_app_record *first_record;
    struct wisp_app_record *next_check; /* NULL: the first one */
    struct wisp_app_wants wants;        /* of those that are ours and can be understood */
    json_t *index;                      /* as stored; NULL: none */
    uint64_t index_revision;
    uint64_t index_ms;   /* not to be written before */
    bool is_index_right; /* by all that is known here */
    uint64_t store_ms;   /* when to put right what is stored */
    uint64_t patient_ms; /* until then that is the leader's business */
    char epoch[17];      /* of the state, as last seen */

    struct wisp_app_waiting *first_waiting, *last_waiting;
    uint32_t n_waiting;
    bool is_writing; /* for the API */

    struct wisp_map items;        /* by key */
    struct wisp_map items_of_app; /* to struct wisp_app_listed */
    struct wisp_app_item *first_item;
    uint32_t n_sent; /* items in that state */
    uint64_t items_ms, items_looked_ms, next_serial;
    uint64_t sure_ms; /* until then an earlier leader's commands may come into effect unseen */

    struct wisp_map touched; /* by name */
    struct wisp_link touched_first, touched_then;
    uint64_t plan_ms;             /* not before */
    uint64_t check_ms, strays_ms; /* when to touch the next one, and strays, though nothing is known to have changed */
    uint64_t clear_ms;            /* when to look for what was deleted and is not there any more */
    uint32_t plan_number;
    bool was_ready, was_complete; /* to start something, to stop something; when that was looked at last */
};

/* xorshift-like; not for secrets. */
static inline uint64_t wisp_app_random(struct wisp_app *app)
{
    app->random = app->random * 6364136223846793005u + 1442695040888963407u;
    return app->random >> 33;
}

static inline uint64_t wisp_app_sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }
