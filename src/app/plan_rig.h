/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a lattice that does at once what it is told, and applications written as YAML. */
#pragma once

#include "app/plan.h"
#include "base/json.h"

#include "test.h"

#include <stdlib.h>

enum { RIG_HOSTS = 32, RIG_UNITS = 64, RIG_LINKS = 512, RIG_APPS = 16 };

struct rig_host {
    struct wisp_app_host host;
    struct wisp_app_instance components[RIG_UNITS], providers[RIG_UNITS];
    size_t n_components, n_providers;
};

static struct {
    struct wisp_arena arena;
    struct rig_host hosts[RIG_HOSTS];
    size_t n_hosts;
    struct wisp_app_observed_link links[RIG_LINKS];
    size_t n_links;
    struct wisp_map configs;
    struct wisp_app_manifest manifests[RIG_APPS];
    struct wisp_app_desired apps[RIG_APPS];
    size_t n_apps;
    struct wisp_app_held held[8];
    size_t n_held;
    bool is_complete, is_connected;
    json_t *kept;              /* all JSON that the rest points to */
    struct wisp_app_plan plan; /* the last one */
    size_t n_commands;         /* all so far */
} rig = {.is_complete = true, .is_connected = true};

static inline struct wisp_str rig_str(struct wisp_str s) { return wisp_arena_str(&rig.arena, s); }

static inline json_t *rig_keep(json_t *value)
{
    if (!rig.kept) rig.kept = json_array();
    json_array_append(rig.kept, value);
    return value;
}

static inline json_t *rig_json(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    CHECK(value);
    rig_keep(value);
    json_decref(value);
    return value;
}

static inline void rig_index_reset(void);
static inline void rig_reset(void)
{
    wisp_app_plan_deinit(&rig.plan);
    rig_index_reset();
    for (size_t i = 0; i < rig.n_apps; i++) wisp_app_manifest_deinit(&rig.manifests[i]);
    wisp_map_deinit(&rig.configs);
    wisp_arena_deinit(&rig.arena);
    json_decref(rig.kept);
    memset(&rig, 0, sizeof rig);
    rig.is_complete = rig.is_connected = true;
}

static inline struct rig_host *rig_add_host(const char *id, const char *labels)
{
    struct rig_host *made = &rig.hosts[rig.n_hosts++];
    *made = (struct rig_host){.host = {.id = wisp_str_from(id), .labels = rig_json(labels)}};
    return made;
}

static inline struct wisp_app_desired *rig_deploy(size_t i, const char *yaml)
{
    struct wisp_app_problems problems;
    struct wisp_err err = {0};
    rig_index_reset(); /* it points to what is replaced here */
    if (i < rig.n_apps && !rig.apps[i].n_others) wisp_app_manifest_deinit(&rig.manifests[i]);
    CHECK_OK(wisp_app_manifest_parse(&rig.manifests[i], &rig.arena, wisp_str_from(yaml), WISP_APP_YAML, false,
                                     &problems, &err),
             &err);
    rig.apps[i] = (struct wisp_app_desired){.manifest = &rig.manifests[i], .is_deployed = true};
    if (i >= rig.n_apps) rig.n_apps = i + 1;
    return &rig.apps[i];
}

static inline struct rig_host *rig_host(struct wisp_str id)
{
    for (size_t i = 0; i < rig.n_hosts; i++)
        if (wisp_str_equal(rig.hosts[i].host.id, id)) return &rig.hosts[i];
    wisp_test_fail(__FILE__, __LINE__, "a command for a host that is not there");
}

static inline struct wisp_app_instance *rig_unit(struct wisp_app_instance *list, size_t n, struct wisp_str id)
{
    for (size_t i = 0; i < n; i++)
        if (wisp_str_equal(list[i].id, id)) return &list[i];
    return NULL;
}

static inline void rig_remove_unit(struct wisp_app_instance *list, size_t *n, struct wisp_app_instance *unit)
{
    memmove(unit, unit + 1, (size_t)(list + --*n - unit) * sizeof *unit);
}

/* --- what commands do --- */

static inline void rig_scale(const struct wisp_app_command *command)
{
    struct rig_host *host = rig_host(command->host);
    struct wisp_str id = wisp_json_str(command->payload, "component_id");
    uint64_t count = wisp_json_u64(command->payload, "count", 0);
    struct wisp_app_instance *unit = rig_unit(host->components, host->n_components, id);
    if (!count) {
        if (unit) rig_remove_unit(host->components, &host->n_components, unit);
        return;
    }
    if (!unit) unit = &host->components[host->n_components++];
    *unit = (struct wisp_app_instance){.id = rig_str(id),
                                       .reference = rig_str(wisp_json_str(command->payload, "component_ref")),
                                       .annotations = rig_keep(json_object_get(command->payload, "annotations")),
                                       .count = (uint32_t)count};
}

static inline void rig_provider(const struct wisp_app_command *command, bool is_start)
{
    struct rig_host *host = rig_host(command->host);
    struct wisp_str id = wisp_json_str(command->payload, "provider_id");
    struct wisp_app_instance *unit = rig_unit(host->providers, host->n_providers, id);
    CHECK(is_start == !unit); /* starting twice is an error on a host */
    if (!is_start) {
        rig_remove_unit(host->providers, &host->n_providers, unit);
        return;
    }
    host->providers[host->n_providers++] =
        (struct wisp_app_instance){.id = rig_str(id),
                                   .reference = rig_str(wisp_json_str(command->payload, "provider_ref")),
                                   .annotations = rig_keep(json_object_get(command->payload, "annotations")),
                                   .count = 1,
                                   .health = WISP_APP_HEALTHY};
}

static inline bool rig_is_at(const struct wisp_app_observed_link *link, const json_t *payload)
{
    return wisp_str_equal(link->source, wisp_json_str(payload, "source_id")) &&
           wisp_str_equal(link->name, wisp_json_str(payload, "name")) &&
           wisp_str_equal(link->wit_namespace, wisp_json_str(payload, "wit_namespace")) &&
           wisp_str_equal(link->wit_package, wisp_json_str(payload, "wit_package"));
}

static inline void rig_unlink(const json_t *payload, struct wisp_str target)
{
    for (size_t i = rig.n_links; i-- > 0;)
        if (rig_is_at(&rig.links[i], payload) && (!target.len || wisp_str_equal(rig.links[i].target, target)))
            rig.links[i] = rig.links[--rig.n_links];
}

static inline void rig_link(const json_t *payload)
{
    rig_unlink(payload, wisp_json_str(payload, "target"));
    rig.links[rig.n_links++] =
        (struct wisp_app_observed_link){.source = rig_str(wisp_json_str(payload, "source_id")),
                                        .target = rig_str(wisp_json_str(payload, "target")),
                                        .name = rig_str(wisp_json_str(payload, "name")),
                                        .wit_namespace = rig_str(wisp_json_str(payload, "wit_namespace")),
                                        .wit_package = rig_str(wisp_json_str(payload, "wit_package")),
                                        .interfaces = rig_keep(json_object_get(payload, "interfaces")),
                                        .source_config = rig_keep(json_object_get(payload, "source_config")),
                                        .target_config = rig_keep(json_object_get(payload, "target_config"))};
}

static inline void rig_do(const struct wisp_app_command *command)
{
    struct wisp_str none = {0};
    rig.n_commands++;
    switch (command->kind) {
    case WISP_APP_PUT_CONFIG:
        wisp_map_remove(&rig.configs, command->name);
        wisp_map_add(&rig.configs, rig_str(command->name), rig_keep(command->payload));
        break;
    case WISP_APP_DELETE_CONFIG:
        wisp_map_remove(&rig.configs, command->name);
        break;
    case WISP_APP_PUT_LINK:
        rig_link(command->payload);
        break;
    case WISP_APP_DELETE_LINK:
        rig_unlink(command->payload, none);
        break;
    case WISP_APP_SCALE:
        rig_scale(command);
        break;
    case WISP_APP_START_PROVIDER:
        rig_provider(command, true);
        break;
    case WISP_APP_STOP_PROVIDER:
        rig_provider(command, false);
        break;
    }
}

/* --- plans --- */

static struct {
    struct wisp_app_units units;
    struct wisp_app_wants wants;
    struct wisp_map links;
    const struct wisp_app_host *hosts[RIG_HOSTS];
    struct wisp_app_observed_links lists[RIG_LINKS];
    size_t n_lists;
    struct wisp_str names[2 * RIG_APPS + RIG_UNITS];
    size_t n_names;
} rig_index;

static inline int rig_by_text(const void *a, const void *b)
{
    return wisp_str_compare(*(const struct wisp_str *)a, *(const struct wisp_str *)b);
}

/* Applications that are wanted, and those for which something runs. */
static inline void rig_list_names(void)
{
    struct wisp_str *names = rig_index.names;
    size_t n = 0, n_once = 0;
    for (size_t i = 0; i < rig.n_apps; i++) names[n++] = rig.apps[i].manifest->name;
    for (size_t i = 0; i < rig_index.units.apps.capacity; i++)
        if (rig_index.units.apps.slots[i].value) names[n++] = rig_index.units.apps.slots[i].key;
    qsort(names, n, sizeof *names, rig_by_text);
    for (size_t i = 0; i < n; i++)
        if (!n_once || !wisp_str_equal(names[n_once - 1], names[i])) names[n_once++] = names[i];
    rig_index.n_names = n_once;
}

static inline void rig_index_host(struct rig_host *host, size_t position)
{
    host->host.position = position;
    rig_index.hosts[position] = &host->host;
    for (size_t i = 0; i < host->n_components + host->n_providers; i++) {
        bool is_provider = i >= host->n_components;
        struct wisp_app_instance *unit = is_provider ? &host->providers[i - host->n_components] : &host->components[i];
        unit->host = &host->host;
        unit->is_provider = is_provider;
        wisp_app_units_add(&rig_index.units, unit);
    }
}

static inline void rig_index_link(const struct wisp_app_observed_link *link)
{
    struct wisp_app_observed_links *links = wisp_map_get(&rig_index.links, link->source);
    if (!links) {
        links = &rig_index.lists[rig_index.n_lists++];
        links->list = WISP_NEW_ARRAY(&rig.arena, struct wisp_app_observed_link, RIG_LINKS);
        wisp_map_add(&rig_index.links, link->source, links);
    }
    links->list[links->n++] = *link;
}

static inline void rig_index_reset(void)
{
    wisp_app_units_deinit(&rig_index.units);
    wisp_app_wants_deinit(&rig_index.wants);
    wisp_map_deinit(&rig_index.links);
    memset(&rig_index, 0, sizeof rig_index);
}

static inline void rig_index_all(void)
{
    rig_index_reset();
    for (size_t i = 0; i < rig.n_hosts; i++) rig_index_host(&rig.hosts[i], i);
    for (size_t i = 0; i < rig.n_links; i++) rig_index_link(&rig.links[i]);
    for (int again = 0; again < 2; again++) /* until ids of shared components are known */
        for (size_t i = 0; i < rig.n_apps; i++) {
            if (again) wisp_app_wants_remove(&rig_index.wants, &rig.apps[i]);
            wisp_app_wants_add(&rig_index.wants, &rig.apps[i]);
        }
    rig_list_names();
}

static inline void rig_make_plan(const struct wisp_str *names, size_t n_names, struct wisp_app_plan *ret_plan)
{
    struct wisp_app_observed observed = {.hosts = rig_index.hosts,
                                         .n_hosts = rig.n_hosts,
                                         .units = &rig_index.units,
                                         .links = &rig_index.links,
                                         .configs = &rig.configs,
                                         .is_complete = rig.is_complete,
                                         .is_connected = rig.is_connected};
    struct wisp_app_wishes wishes = {.wants = &rig_index.wants,
                                     .names = names,
                                     .n_names = n_names,
                                     .held = rig.held,
                                     .n_held = rig.n_held,
                                     .updates_max = 1};
    wisp_app_plan_make(ret_plan, &wishes, &observed);
}

/* For all. */
static inline const struct wisp_app_plan *rig_plan(void)
{
    wisp_app_plan_deinit(&rig.plan);
    rig_index_all();
    rig_make_plan(rig_index.names, rig_index.n_names, &rig.plan);
    return &rig.plan;
}

/* Plans and does until there is nothing to do; the number of plans that had commands. */
static inline int rig_converge(void)
{
    for (int i = 0; i < 100; i++) {
        const struct wisp_app_plan *plan = rig_plan();
        if (!plan->n_commands) return i;
        for (size_t k = 0; k < plan->n_commands; k++) rig_do(&plan->commands[k]);
    }
    wisp_test_fail(__FILE__, __LINE__, "it does not converge");
}

static inline uint32_t rig_count(const char *host, const char *id)
{
    struct rig_host *at = rig_host(wisp_str_from(host));
    const struct wisp_app_instance *unit = rig_unit(at->components, at->n_components, wisp_str_from(id));
    return unit ? unit->count : 0;
}

static inline const struct wisp_app_instance *rig_provider_at(const char *host, const char *id)
{
    struct rig_host *at = rig_host(wisp_str_from(host));
    return rig_unit(at->providers, at->n_providers, wisp_str_from(id));
}

/* Of the last plan, by kind and name. */
static inline const struct wisp_app_scaler_status *rig_status(const char *kind, const char *name)
{
    for (size_t i = 0; i < rig.plan.n_apps; i++)
        for (size_t k = 0; k < rig.plan.apps[i].n_scalers; k++) {
            const struct wisp_app_scaler_status *status = &rig.plan.apps[i].scalers[k];
            if (wisp_str_is(status->kind, kind) && wisp_str_is(status->name, name)) return status;
        }
    wisp_test_fail(__FILE__, __LINE__, "no status of %s %s", kind, name);
}
