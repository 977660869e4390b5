/* SPDX-License-Identifier: Apache-2.0 */
/* A plan while it is being made. Everything lives in its arena. */
#pragma once

#include "app/plan.h"

/* In the order in which they are sent: what others need comes first, what others needed goes last. */
enum wisp_app_phase {
    WISP_APP_PHASE_CONFIG,
    WISP_APP_PHASE_UNLINK_FIRST, /* a link that is in the way of another one */
    WISP_APP_PHASE_LINK,
    WISP_APP_PHASE_PROVIDER,
    WISP_APP_PHASE_UP,   /* components: more, or another version */
    WISP_APP_PHASE_DOWN, /* fewer, or none */
    WISP_APP_PHASE_UNLINK,
    WISP_APP_PHASE_FORGET, /* configs */
    WISP_APP_PHASE_COUNT
};

struct wisp_app_list {
    struct wisp_app_command *commands;
    uint32_t n, capacity;
};

struct wisp_app_planner {
    struct wisp_app_plan *plan;
    const struct wisp_app_wishes *wishes;
    const struct wisp_app_observed *observed;
    struct wisp_app_list phases[WISP_APP_PHASE_COUNT];
    struct wisp_app_scaler_status *scalers;
    uint32_t n_scalers, scalers_capacity;
    struct wisp_map held; /* key to struct wisp_app_held */

    /* Of the application at hand. */
    const struct wisp_app_desired *desired; /* NULL: it is not known */
    struct wisp_app_planned *planned;
    struct wisp_map wanted_links, wanted_configs, wanted_ids;
    struct wisp_map coming_configs; /* that this plan puts */
    bool is_moving;                 /* something of it starts, stops, or should */
};

/* The scaler at hand, or NULL. */
struct wisp_app_subject {
    const struct wisp_app_manifest *manifest;
    const struct wisp_app_component *component;
    const struct wisp_app_scaler *scaler;
    struct wisp_str id; /* of the scaler */
    struct wisp_app_scaler_status *status;
};

/* --- plan_parts.c --- */

struct wisp_str wisp_app_printf(struct wisp_app_planner *planner, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A new line of the status; valid until the next one. */
struct wisp_app_scaler_status *wisp_app_status_add(struct wisp_app_planner *planner, struct wisp_str app,
                                                   struct wisp_str id, const char *kind, struct wisp_str name);
/* Makes a status worse, never better; texts of the same state are joined. */
void wisp_app_status_set(struct wisp_app_planner *planner, struct wisp_app_scaler_status *status,
                         enum wisp_app_state state, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Adds it, unless it is held back: then the status says so. The payload's reference is taken. False: held back. */
bool wisp_app_command_add(struct wisp_app_planner *planner, enum wisp_app_phase phase,
                          const struct wisp_app_command *command, json_t *payload_taken,
                          struct wisp_app_scaler_status *status);
/* Names of configs and secrets, as the lattice knows them: a list of texts. */
json_t *wisp_app_names(struct wisp_app_planner *planner, const struct wisp_app_manifest *manifest,
                       const struct wisp_app_config *configs, size_t n_configs, const struct wisp_app_secret *secrets,
                       size_t n_secrets);
/* The id of a component, also of another application's. Empty, and *ret_problem is set, when that is not there. */
struct wisp_str wisp_app_id_of(struct wisp_app_planner *planner, const struct wisp_app_component *component,
                               const char **ret_problem);
/* Something of the application at hand starts or stops, or should. */
void wisp_app_is_moving(struct wisp_app_planner *planner);
/* What is known of an application; NULL: nothing. */
const struct wisp_app_desired *wisp_app_desired_find(const struct wisp_app_planner *planner, struct wisp_str name);

/* --- plan_link.c --- */

void wisp_app_plan_configs(struct wisp_app_planner *planner, const struct wisp_app_desired *desired);
void wisp_app_plan_links(struct wisp_app_planner *planner, const struct wisp_app_desired *desired);
/* Of all versions, what is not wanted. */
void wisp_app_plan_unlink(struct wisp_app_planner *planner, const struct wisp_app_desired *desired);
void wisp_app_plan_forget(struct wisp_app_planner *planner, const struct wisp_app_desired *desired);
/* All configs that the component's start needs are there. */
bool wisp_app_has_configs(struct wisp_app_planner *planner, const json_t *names);

/* --- plan_place.c --- */

/* Which host serves which spread, and with how many instances. */
struct wisp_app_target {
    const struct wisp_app_host *host;
    const struct wisp_app_spread *spread; /* NULL: none */
    uint32_t wanted;
    const struct wisp_app_instance *instance; /* what is there now; NULL: nothing */
    bool is_mine;                             /* it was started for this application */
};

/* One for each host, ascending. The subject's status tells what can't be. */
struct wisp_app_target *wisp_app_place_instances(struct wisp_app_planner *planner,
                                                 const struct wisp_app_subject *subject);

/* --- plan_scale.c, plan_provider.c --- */

void wisp_app_plan_component(struct wisp_app_planner *planner, const struct wisp_app_subject *subject);
void wisp_app_plan_provider(struct wisp_app_planner *planner, const struct wisp_app_subject *subject);
json_t *wisp_app_annotations(const struct wisp_app_subject *subject, struct wisp_str spread);
/* What runs for the application and isn't wanted (any more). */
void wisp_app_plan_garbage(struct wisp_app_planner *planner, struct wisp_str app);
