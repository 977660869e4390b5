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
#include "base/ring.h"

/* --- what is --- */

struct wisp_app_host {
    struct wisp_str id, friendly_name;
    json_t *labels;
    bool is_unknown;  /* silent, its lease has not ended */
    bool is_draining; /* takes nothing new */
    size_t position;  /* among all, ascending by id; SIZE_MAX: it is not known what it runs */
};

/* What runs on a host under an id. It says itself what it is part of: whoever changes `id`, `annotations` or `host`
 * takes it out of the units and adds it again. */
struct wisp_app_instance {
    const struct wisp_app_host *host;
    bool is_provider;
    struct wisp_str id, reference;
    json_t *annotations; /* object of strings; may be NULL */
    uint32_t count;      /* components: max instances; providers: 1 */
    bool is_coming;      /* was commanded and accepted, is not seen yet: nothing is put elsewhere in its place */
    /* Providers: what their health checks say. */
    enum { WISP_APP_PENDING, WISP_APP_HEALTHY, WISP_APP_UNHEALTHY, WISP_APP_FAILED } health;
    struct wisp_str trouble; /* last cause of a failure, for people; may be empty */
    /* Set by wisp_app_units_add, from the annotations; empty: somebody else started it. */
    struct wisp_str app, scaler_id, spread;
    struct wisp_link with_id, of_app;
};

/* All that runs, by id and by application: so what concerns one application is found without looking at the rest. */
struct wisp_app_units {
    struct wisp_map components, providers, apps; /* to struct wisp_app_listed */
};
/* What has a text in common. */
struct wisp_app_listed {
    char *text; /* the key */
    size_t len;
    struct wisp_link all;
};
void wisp_app_units_add(struct wisp_app_units *units, struct wisp_app_instance *instance);
/* Nothing happens when it isn't among them. */
void wisp_app_units_remove(struct wisp_app_units *units, struct wisp_app_instance *instance);
/* Those that are in it are forgotten, not freed. */
void wisp_app_units_deinit(struct wisp_app_units *units);

struct wisp_app_observed_link {
    struct wisp_str source, target, name, wit_namespace, wit_package;
    json_t *interfaces, *source_config, *target_config; /* lists of strings */
};

/* Of one source. */
struct wisp_app_observed_links {
    struct wisp_app_observed_link *list;
    size_t n;
    json_t *kept; /* what its texts are part of; whoever made it knows */
};

struct wisp_app_observed {
    const struct wisp_app_host *const *hosts; /* by id, ascending */
    size_t n_hosts;
    const struct wisp_app_units *units;
    const struct wisp_map *links;   /* source id to struct wisp_app_observed_links */
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
    struct wisp_link mentions; /* kept by the wants that it is in */
};

/* What manifests name, by which applications meet. */
enum wisp_app_mentioned {
    WISP_APP_MENTIONED_ID,     /* of a component or provider that it has itself */
    WISP_APP_MENTIONED_SOURCE, /* of a link */
    WISP_APP_MENTIONED_CONFIG,
    WISP_APP_MENTIONED_SHARED, /* application whose components it uses */
    WISP_APP_MENTIONED_COUNT
};

struct wisp_app_mention {
    struct wisp_app_desired *desired;
    bool is_own; /* CONFIG: it gives its content */
    enum wisp_app_mentioned what;
    struct wisp_app_listed *list;
    struct wisp_link with_text, of_app;
};

/* All applications, and which of them name what. */
struct wisp_app_wants {
    struct wisp_map apps; /* name to struct wisp_app_desired */
    struct wisp_map mentioned[WISP_APP_MENTIONED_COUNT];
};
/* `desired` is borrowed until it is removed, and does not change meanwhile. Ids of other applications' components are
 * looked up now: when such an application changes, its users are removed and added again. */
void wisp_app_wants_add(struct wisp_app_wants *wants, struct wisp_app_desired *desired);
void wisp_app_wants_remove(struct wisp_app_wants *wants, struct wisp_app_desired *desired);
/* Who mentions it: `with_text` of struct wisp_app_mention. To be read only. */
struct wisp_link *wisp_app_wants_mentions(const struct wisp_app_wants *wants, enum wisp_app_mentioned what,
                                          struct wisp_str text);
void wisp_app_wants_deinit(struct wisp_app_wants *wants);

/* What failed before and is not to be tried again yet; told by the manager. */
struct wisp_app_held {
    struct wisp_str key;   /* of the command */
    const json_t *payload; /* and its content: another one is not held back */
    struct wisp_str cause; /* "image not found" */
    uint32_t tries;
    bool is_under_way; /* it is being tried again: not held back, but told until it succeeds */
};

struct wisp_app_wishes {
    const struct wisp_app_wants *wants; /* of all applications */
    /* Those that are planned, ascending. What runs for one that isn't known goes. What is planned for one does not
     * depend on who else is. */
    const struct wisp_str *names;
    size_t n_names;
    const struct wisp_app_desired *changed; /* in the place of what is known of its application; or NULL */
    const struct wisp_app_held *held;
    size_t n_held;
    uint32_t updates_max; /* hosts on which one component is updated at a time; 0: 1 */
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

/* How one application stands. */
struct wisp_app_planned {
    struct wisp_str name;
    const struct wisp_app_scaler_status *scalers; /* in the manifest's order */
    size_t n_scalers;
    bool is_unsettled; /* something needs to be done, be it held back or on a silent host */
};

struct wisp_app_plan {
    struct wisp_arena arena;                 /* everything else lives here */
    json_t *kept;                            /* payloads */
    bool is_complete;                        /* as it was observed */
    const struct wisp_app_command *commands; /* in the order in which they should be sent */
    size_t n_commands;
    const struct wisp_app_planned *apps; /* as they were named */
    size_t n_apps;
};

/* Zeroed `ret_plan`; to be deinited. Takes time in proportion to what these applications want, to what runs for them,
 * and to the number of hosts. Commands hold copies; statuses point to manifests. */
void wisp_app_plan_make(struct wisp_app_plan *ret_plan, const struct wisp_app_wishes *wishes,
                        const struct wisp_app_observed *observed);
void wisp_app_plan_deinit(struct wisp_app_plan *plan);

/* Hex SHA-256, as wadm makes them, so that a lattice can change hands. */
struct wisp_str wisp_app_scaler_id(struct wisp_arena *arena, const struct wisp_str *parts, size_t n);
/* Of all scalers of an application together: failed > undeployed > waiting > reconciling > unhealthy > deployed. */
enum wisp_app_state wisp_app_state_of(const struct wisp_app_scaler_status *scalers, size_t n);
const char *wisp_app_state_name(enum wisp_app_state state); /* "reconciling" */
