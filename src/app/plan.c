/* SPDX-License-Identifier: Apache-2.0 */
#include "app/plan_priv.h"

#include "base/json.h"

static struct wisp_str make_scaler_id(struct wisp_app_planner *planner, const struct wisp_app_subject *subject)
{
    const struct wisp_app_component *component = subject->component;
    json_t *names = wisp_app_names(planner, subject->manifest, component->configs, component->n_configs,
                                   component->secrets, component->n_secrets);
    size_t n = 5;
    struct wisp_str *parts = WISP_NEW_ARRAY(&planner->plan->arena, struct wisp_str, n + json_array_size(names));
    const struct wisp_str first[] = {wisp_str_from(subject->scaler->is_daemon ? "DaemonScaler" : "SpreadScaler"),
                                     subject->manifest->name, component->name, component->id, component->image};
    memcpy(parts, first, sizeof first);
    for (size_t i = 0; i < json_array_size(names); i++)
        parts[n++] = wisp_str_from(json_string_value(json_array_get(names, i)));
    struct wisp_str id = wisp_app_scaler_id(&planner->plan->arena, parts, n);
    json_decref(names);
    return id;
}

static bool has_what_it_needs(struct wisp_app_planner *planner, const struct wisp_app_subject *subject)
{
    const struct wisp_app_component *component = subject->component;
    WISP_CLEANUP_JSON json_t *names = wisp_app_names(planner, subject->manifest, component->configs,
                                                     component->n_configs, component->secrets, component->n_secrets);
    if (wisp_app_has_configs(planner, names)) return true;
    wisp_app_status_set(planner, subject->status, WISP_APP_FAILED_STATE, "a config that it needs is missing");
    return false;
}

static void plan_scalers(struct wisp_app_planner *planner, const struct wisp_app_manifest *manifest)
{
    for (size_t i = 0; i < manifest->n_components; i++) {
        const struct wisp_app_component *component = &manifest->components[i];
        for (size_t k = 0; k < component->n_scalers && !component->shared_app.len; k++) {
            struct wisp_app_subject subject = {
                .manifest = manifest, .component = component, .scaler = &component->scalers[k]};
            subject.id = make_scaler_id(planner, &subject);
            subject.status =
                wisp_app_status_add(planner, manifest->name, subject.id,
                                    subject.scaler->is_daemon ? "DaemonScaler" : "SpreadScaler", component->id);
            if (!has_what_it_needs(planner, &subject)) continue;
            if (component->is_provider)
                wisp_app_plan_provider(planner, &subject);
            else
                wisp_app_plan_component(planner, &subject);
        }
    }
}

static void plan_one(struct wisp_app_planner *planner, struct wisp_str name)
{
    const struct wisp_app_desired *desired = planner->desired;
    if (desired && desired->is_deployed) {
        wisp_app_plan_configs(planner, desired);
        plan_scalers(planner, desired->manifest);
        wisp_app_plan_links(planner, desired);
    }
    wisp_app_plan_garbage(planner, name);
    /* While anything of it starts or stops, what that needs stays. */
    if (!desired || planner->is_moving) return;
    wisp_app_plan_unlink(planner, desired);
    wisp_app_plan_forget(planner, desired);
}

static void plan_all(struct wisp_app_planner *planner, struct wisp_app_planned *planned)
{
    for (size_t i = 0; i < planner->wishes->n_names; i++) {
        struct wisp_str name = wisp_arena_str(&planner->plan->arena, planner->wishes->names[i]);
        uint32_t n_before = planner->n_scalers;
        planned[i].name = name;
        planner->planned = &planned[i];
        planner->desired = wisp_app_desired_find(planner, name);
        planner->is_moving = false;
        plan_one(planner, name);
        planned[i].n_scalers = planner->n_scalers - n_before;
        struct wisp_map *maps[] = {&planner->wanted_links, &planner->wanted_configs, &planner->coming_configs,
                                   &planner->wanted_ids};
        for (size_t k = 0; k < WISP_COUNT(maps); k++) {
            wisp_map_deinit(maps[k]);
            *maps[k] = (struct wisp_map){0};
        }
    }
}

static void join(struct wisp_app_planner *planner, struct wisp_app_planned *planned)
{
    size_t n = 0;
    for (int i = 0; i < WISP_APP_PHASE_COUNT; i++) n += planner->phases[i].n;
    struct wisp_app_command *commands = WISP_NEW_ARRAY(&planner->plan->arena, struct wisp_app_command, n);
    planner->plan->commands = commands;
    planner->plan->n_commands = n;
    for (int i = 0; i < WISP_APP_PHASE_COUNT; i++) {
        struct wisp_app_list *list = &planner->phases[i];
        if (list->n) memcpy(commands, list->commands, list->n * sizeof *commands);
        commands += list->n;
    }
    const struct wisp_app_scaler_status *scalers = planner->scalers;
    for (size_t i = 0; i < planner->wishes->n_names; i++) {
        planned[i].scalers = scalers;
        if (planned[i].n_scalers) scalers += planned[i].n_scalers;
    }
    planner->plan->apps = planned;
    planner->plan->n_apps = planner->wishes->n_names;
}

void wisp_app_plan_make(struct wisp_app_plan *ret_plan, const struct wisp_app_wishes *wishes,
                        const struct wisp_app_observed *observed)
{
    *ret_plan = (struct wisp_app_plan){.kept = json_array(), .is_complete = observed->is_complete};
    struct wisp_app_planner planner = {.plan = ret_plan, .wishes = wishes, .observed = observed};
    struct wisp_app_planned *planned = WISP_NEW_ARRAY(&ret_plan->arena, struct wisp_app_planned, wishes->n_names);
    for (size_t i = 0; i < wishes->n_held; i++)
        wisp_map_add(&planner.held, wishes->held[i].key, (void *)(uintptr_t)&wishes->held[i]);
    plan_all(&planner, planned);
    join(&planner, planned);
    wisp_map_deinit(&planner.held);
}

void wisp_app_plan_deinit(struct wisp_app_plan *plan)
{
    wisp_arena_deinit(&plan->arena);
    json_decref(plan->kept);
    *plan = (struct wisp_app_plan){0};
}
