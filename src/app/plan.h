/* SPDX-License-Identifier: Apache-2.0 */
/* From what should be and what is to what is to be done: a pure function, the heart of deployment.
 *
 *     desired applications ┐
 *                          ├─▶ commands to hosts, and how each scaler stands
 *     observed lattice     ┘
 *
 * Nothing is remembered here, no clock is read, and the same input gives the same output. When all commands have been
 * carried out and are observed, the next plan is empty. Rules:
 *   - Never destroys on doubt: a host that is silent is UNKNOWN; what runs there counts as running until its lease
 * ends, and nothing is stopped or moved because of it. Only what carries annotations of an application is ever stopped
 * for it, and only by its own scaler ids; what carries annotations of an application that isn't deployed any more, or
 * of a scaler it no longer has, is removed (garbage).
 *   - Placement is deterministic, balanced over eligible hosts, prefers where instances run already, moves as little as
 *     possible.
 *   - A new image: UPDATE in place on each host (the new version serves before the old one drains), at most
 *     `updates_max` hosts at a time; nothing is removed before its replacement is observed.
 *   - Configs come before what needs them, links before or with components, removal in the opposite order; a config
 * that any desired scaler still names is never deleted.
 *   - Links are compared by source, name, namespace, package, interfaces, target and config names.
 *   - A provider id runs at most once on a host. A shared provider stays while a deployed application refers to it. */
#pragma once

#include "app/manifest.h"
#include "base/map.h"

/* --- what is --- */

struct wisp_app_instance {
    struct wisp_str id, reference;
    json_t *annotations; /* object of strings; may be NULL */
    uint32_t count;      /* components: max instances; providers: 1 */
    bool is_coming;      /* was commanded and accepted, is not seen yet: nothing is put elsewhere in its place */
    /* Providers: what their health checks say. */
    enum { WISP_APP_PENDING, WISP_APP_HEALTHY, WISP_APP_UNHEALTHY, WISP_APP_FAILED } health;
    struct wisp_str trouble; /* last cause of a failure, for people; may be empty */
};

struct wisp_app_host {
    struct wisp_str id, friendly_name;
    json_t *labels;
    bool is_unknown;  /* silent, its lease has not ended */
    bool is_draining; /* takes nothing new */
    const struct wisp_app_instance *components, *providers;
    size_t n_components, n_providers;
};

struct wisp_app_observed_link {
    struct wisp_str source, target, name, wit_namespace, wit_package;
    json_t *interfaces, *source_config, *target_config; /* lists of strings */
};

struct wisp_app_observed {
    const struct wisp_app_host *hosts; /* by id, ascending */
    size_t n_hosts;
    const struct wisp_app_observed_link *links;
    size_t n_links;
    const struct wisp_map *configs; /* name to json_t *, what it holds */
    bool is_complete;               /* everything was heard of at least once; otherwise nothing is removed */
    bool is_connected;              /* to the bus; otherwise nothing is commanded */
};

/* --- what should be --- */

struct wisp_app_desired {
    const struct wisp_app_manifest *manifest; /* of the deployed version, or of the last one that was */
    bool is_deployed;                         /* false: being undeployed, everything of it goes */
    /* Its other versions: their links and configs, and nobody else's, go when they are not wanted any more. */
    const struct wisp_app_manifest *const *others;
    size_t n_others;
};

/* What failed before and is not to be tried again yet; told by the manager. */
struct wisp_app_held {
    struct wisp_str key;   /* of the command */
    const json_t *payload; /* and its content: another one is not held back */
    struct wisp_str cause; /* "image not found" */
    uint32_t tries;
    bool is_under_way; /* it is being tried again: not held back, but told until it succeeds */
};

struct wisp_app_wishes {
    const struct wisp_app_desired *apps; /* by name, ascending */
    size_t n_apps;
    const struct wisp_app_held *held;
    size_t n_held;
    uint32_t updates_max; /* hosts on which one component is updated at a time; 0: 1 */
    const struct wisp_map
        *spared;         /* names of applications that can't be understood: what runs for them stays; or NULL */
    bool spares_unknown; /* so does what runs for those that are not known at all */
};

/* --- what to do --- */

enum wisp_app_command_kind {
    WISP_APP_PUT_CONFIG,
    WISP_APP_DELETE_CONFIG,
    WISP_APP_PUT_LINK,
    WISP_APP_DELETE_LINK,
    WISP_APP_SCALE, /* component.scale with allow_update: count, reference, annotations, config names */
    WISP_APP_START_PROVIDER,
    WISP_APP_STOP_PROVIDER,
};

struct wisp_app_command {
    enum wisp_app_command_kind kind;
    struct wisp_str key; /* of the item: same for the same thing in every plan ("scale/HOST/ID/SCALER") */
    struct wisp_str app, scaler_id;
    struct wisp_str host; /* SCALE, START_PROVIDER, STOP_PROVIDER */
    struct wisp_str name; /* of a config */
    json_t *payload;      /* body of the request to the lattice, as the control interface has it; borrowed */
    const char *reason;   /* for people: "3 of 10 instances run in spread `east`" */
};

enum wisp_app_state {
    WISP_APP_UNDEPLOYED,
    WISP_APP_WAITING,
    WISP_APP_RECONCILING,
    WISP_APP_DEPLOYED,
    WISP_APP_UNHEALTHY_STATE,
    WISP_APP_FAILED_STATE
};

struct wisp_app_scaler_status {
    struct wisp_str app, id, kind,
        name; /* "SpreadScaler", "DaemonScaler", "LinkScaler", "ConfigScaler", "SecretScaler" */
    enum wisp_app_state state;
    struct wisp_str message; /* why it isn't as it should be: "no host has label `zone=east`" */
    uint32_t wanted, found;  /* instances; hosts of providers; 1 and 0 or 1 of links and configs */
};

struct wisp_app_plan {
    struct wisp_arena arena; /* everything else lives here */
    json_t *kept;            /* payloads */
    json_t *unsettled;       /* object: applications that need something done, be it held back or on a silent host */
    bool is_complete;        /* as it was observed */
    const struct wisp_app_command *commands; /* in the order in which they should be sent */
    size_t n_commands;
    const struct wisp_app_scaler_status *scalers; /* by application, in the manifest's order */
    size_t n_scalers;
};

/* Zeroed `ret_plan`; to be deinited. Takes time in proportion to what is desired and observed. */
void wisp_app_plan_make(struct wisp_app_plan *ret_plan, const struct wisp_app_wishes *wishes,
                        const struct wisp_app_observed *observed);
void wisp_app_plan_deinit(struct wisp_app_plan *plan);

/* Hex SHA-256, as wadm makes them, so that a lattice can change hands. */
struct wisp_str wisp_app_scaler_id(struct wisp_arena *arena, const struct wisp_str *parts, size_t n);
/* Of all scalers of an application together: failed > undeployed > waiting > reconciling > unhealthy > deployed. */
enum wisp_app_state wisp_app_state_of(const struct wisp_app_scaler_status *scalers, size_t n);
const char *wisp_app_state_name(enum wisp_app_state state); /* "reconciling" */
