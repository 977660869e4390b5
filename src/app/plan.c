/* SPDX-License-Identifier: Apache-2.0 */
#include "app/plan_priv.h"

#include "base/json.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* --- small things --- */

struct wisp_str wisp_app_printf(struct wisp_app_planner *planner, const char *format, ...)
{
    WISP_CLEANUP_FREE char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) wisp_mem_out(0);
    return wisp_arena_str(&planner->plan->arena, (struct wisp_str){text, (size_t)n});
}

struct wisp_str wisp_app_scaler_id(struct wisp_arena *arena, const struct wisp_str *parts, size_t n)
{
    crypto_hash_sha256_state state;
    unsigned char digest[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof digest + 1];
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < n; i++) crypto_hash_sha256_update(&state, (const unsigned char *)parts[i].ptr, parts[i].len);
    crypto_hash_sha256_final(&state, digest);
    sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    return wisp_arena_str(arena, wisp_str_from(hex));
}

static const struct {
    const char *name;
    int rank; /* the highest decides for an application */
} states[] = {
    [WISP_APP_UNDEPLOYED] = {"undeployed", 5},     [WISP_APP_WAITING] = {"waiting", 4},
    [WISP_APP_RECONCILING] = {"reconciling", 3},   [WISP_APP_DEPLOYED] = {"deployed", 1},
    [WISP_APP_UNHEALTHY_STATE] = {"unhealthy", 2}, [WISP_APP_FAILED_STATE] = {"failed", 6},
};

const char *wisp_app_state_name(enum wisp_app_state state) { return states[state].name; }

enum wisp_app_state wisp_app_state_of(const struct wisp_app_scaler_status *scalers, size_t n)
{
    enum wisp_app_state worst = n ? scalers[0].state : WISP_APP_UNDEPLOYED;
    for (size_t i = 1; i < n; i++)
        if (states[scalers[i].state].rank > states[worst].rank) worst = scalers[i].state;
    return worst;
}

/* --- what the planner's files share --- */

struct wisp_app_scaler_status *wisp_app_status_add(struct wisp_app_planner *planner, struct wisp_str app,
                                                   struct wisp_str id, const char *kind, struct wisp_str name)
{
    if (planner->n_scalers == planner->scalers_capacity) {
        uint32_t capacity = planner->scalers_capacity ? planner->scalers_capacity * 2 : 64;
        struct wisp_app_scaler_status *more =
            WISP_NEW_ARRAY(&planner->plan->arena, struct wisp_app_scaler_status, capacity);
        if (planner->n_scalers) memcpy(more, planner->scalers, planner->n_scalers * sizeof *more);
        planner->scalers = more;
        planner->scalers_capacity = capacity;
    }
    struct wisp_app_scaler_status *status = &planner->scalers[planner->n_scalers++];
    *status = (struct wisp_app_scaler_status){
        .app = app, .id = id, .kind = wisp_str_from(kind), .name = name, .state = WISP_APP_DEPLOYED};
    return status;
}

void wisp_app_status_set(struct wisp_app_planner *planner, struct wisp_app_scaler_status *status,
                         enum wisp_app_state state, const char *format, ...)
{
    char text[1024];
    va_list args;
    if (states[state].rank < states[status->state].rank) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool is_more = state == status->state && status->message.len;
    struct wisp_str before = is_more ? status->message : WISP_STR("");
    status->message = wisp_app_printf(planner, "%.*s%s%s", WISP_STR_ARG(before), is_more ? "; " : "", text);
    status->state = state;
}

void wisp_app_is_moving(struct wisp_app_planner *planner)
{
    planner->is_moving = planner->planned->is_unsettled = true;
}

static bool is_same(const json_t *a, const json_t *b) { return a == b || (a && b && json_equal(a, b)); }

bool wisp_app_command_add(struct wisp_app_planner *planner, enum wisp_app_phase phase,
                          const struct wisp_app_command *command, json_t *payload_taken,
                          struct wisp_app_scaler_status *status)
{
    const struct wisp_app_held *held = wisp_map_get(&planner->held, command->key);
    if (held && !is_same(held->payload, payload_taken)) held = NULL;
    planner->planned->is_unsettled = true;
    if (command->kind >= WISP_APP_SCALE) wisp_app_is_moving(planner);
    if (held && status)
        wisp_app_status_set(planner, status, WISP_APP_FAILED_STATE, "%.*s (tried %u times)", WISP_STR_ARG(held->cause),
                            held->tries);
    if ((held && !held->is_under_way) || !planner->observed->is_connected) {
        json_decref(payload_taken);
        return false;
    }
    struct wisp_app_list *list = &planner->phases[phase];
    if (list->n == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 16;
        struct wisp_app_command *more = WISP_NEW_ARRAY(&planner->plan->arena, struct wisp_app_command, list->capacity);
        if (list->n) memcpy(more, list->commands, list->n * sizeof *more);
        list->commands = more;
    }
    struct wisp_app_command *added = &list->commands[list->n++];
    *added = *command;
    added->payload = payload_taken;
    /* A plan outlives what was observed. */
    struct wisp_str *texts[] = {&added->app, &added->scaler_id, &added->host, &added->name};
    for (size_t i = 0; i < WISP_COUNT(texts); i++) *texts[i] = wisp_arena_str(&planner->plan->arena, *texts[i]);
    if (payload_taken) json_array_append_new(planner->plan->kept, payload_taken);
    return true;
}

json_t *wisp_app_names(struct wisp_app_planner *planner, const struct wisp_app_manifest *manifest,
                       const struct wisp_app_config *configs, size_t n_configs, const struct wisp_app_secret *secrets,
                       size_t n_secrets)
{
    struct wisp_arena *arena = &planner->plan->arena;
    json_t *names = json_array();
    for (size_t i = 0; i < n_configs; i++)
        json_array_append_new(names, wisp_json_text(wisp_app_config_name(arena, manifest->name, &configs[i])));
    for (size_t i = 0; i < n_secrets; i++)
        json_array_append_new(names, wisp_json_text(wisp_app_secret_name(arena, manifest->name, &secrets[i])));
    return names;
}

const struct wisp_app_desired *wisp_app_desired_find(const struct wisp_app_planner *planner, struct wisp_str name)
{
    const struct wisp_app_desired *changed = planner->wishes->changed;
    bool is_changed = changed && wisp_str_equal(changed->manifest->name, name);
    return is_changed ? changed : wisp_map_get(&planner->wishes->wants->apps, name);
}

struct wisp_str wisp_app_id_of(struct wisp_app_planner *planner, const struct wisp_app_component *component,
                               const char **ret_problem)
{
    if (!component->shared_app.len) return component->id;
    const struct wisp_app_desired *shared = wisp_app_desired_find(planner, component->shared_app);
    const struct wisp_app_component *other = NULL;
    for (size_t i = 0; shared && i < shared->manifest->n_components; i++)
        if (wisp_str_equal(shared->manifest->components[i].name, component->shared_component))
            other = &shared->manifest->components[i];
    if (!shared || !shared->is_deployed)
        *ret_problem = wisp_app_printf(planner, "application `%.*s`, whose component `%.*s` is shared, is not deployed",
                                       WISP_STR_ARG(component->shared_app), WISP_STR_ARG(component->shared_component))
                           .ptr;
    else if (!shared->manifest->is_shared)
        *ret_problem = wisp_app_printf(planner, "application `%.*s` does not share its components",
                                       WISP_STR_ARG(component->shared_app))
                           .ptr;
    else if (!other || other->is_provider != component->is_provider)
        *ret_problem =
            wisp_app_printf(planner, "application `%.*s` has no %s `%.*s`", WISP_STR_ARG(component->shared_app),
                            component->is_provider ? "capability" : "component",
                            WISP_STR_ARG(component->shared_component))
                .ptr;
    return other ? other->id : component->id;
}

/* --- the plan --- */

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
