/* SPDX-License-Identifier: Apache-2.0 */
/* Providers: on which hosts, in which version; and what nobody wants any more. */
#include "app/plan_priv.h"

#include "base/json.h"

#include <stdlib.h>

/* With a `replacement` a host of our kind makes sure of that image first; those of the original don't know the word. */
static bool stop(struct wisp_app_planner *planner, struct wisp_str app, struct wisp_str scaler_id,
                 const struct wisp_app_host *host, struct wisp_str id, struct wisp_str replacement, const char *reason,
                 struct wisp_app_scaler_status *status)
{
    json_t *payload = json_pack("{s:o, s:o}", "host_id", wisp_json_text(host->id), "provider_id", wisp_json_text(id));
    if (replacement.len) json_object_set_new(payload, "replacement", wisp_json_text(replacement));
    struct wisp_app_command command = {
        .kind = WISP_APP_STOP_PROVIDER,
        .key = wisp_app_printf(planner, "stop/%.*s/%.*s", WISP_STR_ARG(host->id), WISP_STR_ARG(id)),
        .app = app,
        .scaler_id = scaler_id,
        .host = host->id,
        .reason = reason,
    };
    return wisp_app_command_add(planner, WISP_APP_PHASE_DOWN, &command, payload, status);
}

/* Inventories have references without their scheme. */
static struct wisp_str without_scheme(struct wisp_str reference)
{
    struct wisp_str scheme, rest;
    if (!wisp_str_split(reference, ':', &scheme, &rest) || !wisp_str_starts_with(rest, WISP_STR("//")))
        return reference;
    return (struct wisp_str){rest.ptr + 2, rest.len - 2};
}

/* The id of the scaler that started it is made of the image too; hosts may show references in another form. */
static bool is_current(const struct wisp_app_target *target, const struct wisp_app_subject *subject)
{
    if (wisp_str_equal(target->instance->scaler_id, subject->id)) return true;
    return wisp_str_equal(without_scheme(target->instance->reference), without_scheme(subject->component->image));
}

static bool start(struct wisp_app_planner *planner, const struct wisp_app_subject *subject,
                  const struct wisp_app_target *target)
{
    const struct wisp_app_component *component = subject->component;
    json_t *payload =
        json_pack("{s:o, s:o, s:o, s:o, s:o}", "provider_id", wisp_json_text(component->id), "provider_ref",
                  wisp_json_text(component->image), "host_id", wisp_json_text(target->host->id), "annotations",
                  wisp_app_annotations(subject, target->spread->name), "config",
                  wisp_app_names(planner, subject->manifest, component->configs, component->n_configs,
                                 component->secrets, component->n_secrets));
    struct wisp_app_command command = {
        .kind = WISP_APP_START_PROVIDER,
        .key = wisp_app_printf(planner, "start/%.*s/%.*s", WISP_STR_ARG(target->host->id), WISP_STR_ARG(component->id)),
        .app = subject->manifest->name,
        .scaler_id = subject->id,
        .host = target->host->id,
        .reason =
            wisp_app_printf(planner, "spread `%.*s` wants it on this host", WISP_STR_ARG(target->spread->name)).ptr,
    };
    return wisp_app_command_add(planner, WISP_APP_PHASE_PROVIDER, &command, payload, subject->status);
}

static void tell_health(struct wisp_app_planner *planner, const struct wisp_app_subject *subject,
                        const struct wisp_app_target *target)
{
    const struct wisp_app_instance *instance = target->instance;
    if (instance->health == WISP_APP_FAILED)
        wisp_app_status_set(planner, subject->status, WISP_APP_FAILED_STATE,
                            "host %.*s: it fails again and again%s%.*s", WISP_STR_ARG(target->host->id),
                            instance->trouble.len ? ": " : "", WISP_STR_ARG(instance->trouble));
    else if (instance->health == WISP_APP_UNHEALTHY)
        wisp_app_status_set(planner, subject->status, WISP_APP_UNHEALTHY_STATE, "host %.*s: it is not healthy%s%.*s",
                            WISP_STR_ARG(target->host->id), instance->trouble.len ? ": " : "",
                            WISP_STR_ARG(instance->trouble));
}

/* A host runs one process of an id: the old version goes when the new one can be had, then that comes. */
static void replace(struct wisp_app_planner *planner, const struct wisp_app_subject *subject,
                    const struct wisp_app_target *target)
{
    const struct wisp_app_component *component = subject->component;
    struct wisp_str old = target->instance->reference;
    stop(planner, subject->manifest->name, subject->id, target->host, component->id, component->image,
         wisp_app_printf(planner, "another version: `%.*s` is there", WISP_STR_ARG(old)).ptr, subject->status);
    if (subject->status->state == WISP_APP_FAILED_STATE)
        wisp_app_status_set(planner, subject->status, WISP_APP_FAILED_STATE,
                            "host %.*s: `%.*s` runs on until `%.*s` can be had", WISP_STR_ARG(target->host->id),
                            WISP_STR_ARG(old), WISP_STR_ARG(component->image));
}

/* True: something is still to come. */
static bool raise(struct wisp_app_planner *planner, const struct wisp_app_subject *subject,
                  const struct wisp_app_target *target, uint32_t *updates_left)
{
    const struct wisp_app_instance *instance = target->instance;
    if (!target->wanted || target->host->is_unknown) return false;
    if (!instance || instance->is_coming) {
        start(planner, subject, target);
        return true;
    }
    if (!target->is_mine || is_current(target, subject)) return false;
    if (!*updates_left || !planner->observed->is_complete) return true;
    --*updates_left;
    replace(planner, subject, target);
    return true;
}

void wisp_app_plan_provider(struct wisp_app_planner *planner, const struct wisp_app_subject *subject)
{
    struct wisp_app_scaler_status *status = subject->status;
    size_t n = planner->observed->n_hosts;
    struct wisp_app_target *targets = wisp_app_place_instances(planner, subject);
    uint32_t updates_left = planner->wishes->updates_max ? planner->wishes->updates_max : 1;
    bool is_waiting = false;
    const struct wisp_str none = {0};
    for (size_t i = 0; i < n; i++) {
        const struct wisp_app_target *target = &targets[i];
        status->wanted += subject->scaler->is_daemon ? target->wanted : 0;
        if (target->wanted && target->instance && !target->instance->is_coming) {
            bool is_old = target->is_mine && !is_current(target, subject);
            status->found += !is_old;
            tell_health(planner, subject, target);
        }
        is_waiting |= raise(planner, subject, target, &updates_left);
    }
    if (!subject->scaler->is_daemon) status->wanted = subject->scaler->instances;
    if (is_waiting) {
        wisp_app_status_set(planner, status, WISP_APP_RECONCILING, "it runs on %u of %u hosts", status->found,
                            status->wanted);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const struct wisp_app_target *target = &targets[i];
        bool is_spare = target->instance && !target->wanted && !target->host->is_unknown;
        if (is_spare && planner->observed->is_complete && target->is_mine)
            stop(planner, subject->manifest->name, subject->id, target->host, subject->component->id, none,
                 "no spread wants it on this host", status);
    }
}

/* --- what is left over --- */

static void drop_component(struct wisp_app_planner *planner, const struct wisp_app_host *host,
                           const struct wisp_app_instance *instance, struct wisp_str app)
{
    json_t *payload =
        json_pack("{s:o, s:o, s:O, s:i, s:o, s:[], s:b}", "component_ref", wisp_json_text(instance->reference),
                  "component_id", wisp_json_text(instance->id), "annotations", instance->annotations, "count", 0,
                  "host_id", wisp_json_text(host->id), "config", "allow_update", 0);
    struct wisp_app_command command = {
        .kind = WISP_APP_SCALE,
        .key = wisp_app_printf(planner, "scale/%.*s/%.*s", WISP_STR_ARG(host->id), WISP_STR_ARG(instance->id)),
        .app = app,
        .scaler_id = instance->scaler_id,
        .host = host->id,
        .reason = "its application does not want it",
    };
    wisp_app_command_add(planner, WISP_APP_PHASE_DOWN, &command, payload, NULL);
}

static char present; /* what sets hold */

/* What others use stays, whatever becomes of the application that shares it. */
static void want_ids_of_users(struct wisp_app_planner *planner, struct wisp_str app)
{
    struct wisp_link *mentions = wisp_app_wants_mentions(planner->wishes->wants, WISP_APP_MENTIONED_SHARED, app);
    WISP_RING_EACH(at, mentions)
    {
        const struct wisp_app_desired *user = WISP_OWNER(at, struct wisp_app_mention, with_text)->desired;
        const struct wisp_app_manifest *manifest = user->manifest;
        for (size_t i = 0; user->is_deployed && i < manifest->n_components; i++) {
            const char *problem = NULL;
            if (wisp_str_equal(manifest->components[i].shared_app, app))
                wisp_map_add(&planner->wanted_ids, wisp_app_id_of(planner, &manifest->components[i], &problem),
                             &present);
        }
    }
}

static void want_ids(struct wisp_app_planner *planner, struct wisp_str app)
{
    const struct wisp_app_desired *desired = planner->desired;
    for (size_t i = 0; desired && desired->is_deployed && i < desired->manifest->n_components; i++) {
        const struct wisp_app_component *component = &desired->manifest->components[i];
        if (!component->shared_app.len && component->n_scalers)
            wisp_map_add(&planner->wanted_ids, component->id, &present);
    }
    want_ids_of_users(planner, app);
}

/* What is on its way counts only where nothing of that id is. */
static bool is_shadowed(const struct wisp_app_planner *planner, const struct wisp_app_instance *instance)
{
    const struct wisp_app_units *units = planner->observed->units;
    if (!instance->is_coming) return false;
    const struct wisp_app_listed *listed =
        wisp_map_get(instance->is_provider ? &units->providers : &units->components, instance->id);
    WISP_RING_EACH(at, &listed->all)
    {
        const struct wisp_app_instance *other = WISP_OWNER(at, struct wisp_app_instance, with_id);
        if (other->host == instance->host && !other->is_coming) return true;
    }
    return false;
}

static bool is_garbage(const struct wisp_app_planner *planner, const struct wisp_app_instance *instance)
{
    return instance->count && instance->host->position < planner->observed->n_hosts &&
           !wisp_map_get(&planner->wanted_ids, instance->id) && !is_shadowed(planner, instance);
}

static int by_host(const void *a_, const void *b_)
{
    const struct wisp_app_instance *a = *(const struct wisp_app_instance *const *)a_,
                                   *b = *(const struct wisp_app_instance *const *)b_;
    int order = wisp_str_compare(a->host->id, b->host->id);
    if (!order) order = wisp_str_compare(a->id, b->id);
    return order ? order : (int)a->is_provider - (int)b->is_provider;
}

static void clear_away(struct wisp_app_planner *planner, const struct wisp_app_instance *instance, struct wisp_str app)
{
    const struct wisp_str none = {0};
    if (instance->host->is_unknown)
        wisp_app_is_moving(planner);
    else if (instance->is_provider)
        stop(planner, app, instance->scaler_id, instance->host, instance->id, none, "its application does not want it",
             NULL);
    else
        drop_component(planner, instance->host, instance, app);
}

void wisp_app_plan_garbage(struct wisp_app_planner *planner, struct wisp_str app)
{
    const struct wisp_app_listed *units = wisp_map_get(&planner->observed->units->apps, app);
    size_t n = 0, n_units = 0;
    if (!units || !planner->observed->is_complete) return;
    want_ids(planner, app);
    WISP_RING_EACH(at, &units->all) n_units += is_garbage(planner, WISP_OWNER(at, struct wisp_app_instance, of_app));
    if (!n_units) return;
    const struct wisp_app_instance **found =
        WISP_NEW_ARRAY(&planner->plan->arena, const struct wisp_app_instance *, n_units);
    WISP_RING_EACH(at, &units->all)
    {
        const struct wisp_app_instance *instance = WISP_OWNER(at, struct wisp_app_instance, of_app);
        if (is_garbage(planner, instance)) found[n++] = instance;
    }
    qsort(found, n, sizeof *found, by_host);
    for (size_t i = 0; i < n; i++) clear_away(planner, found[i], app);
}
