/* SPDX-License-Identifier: Apache-2.0 */
/* What the planner's files share: texts, lines of the status, commands, names. */
#include "app/plan_priv.h"

#include "base/json.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>

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

/* --- status and commands --- */

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
