/* SPDX-License-Identifier: Apache-2.0 */
/* What this host runs, to be saved and to be started again. What can't be started again at once (its registry or its
 * secrets are away) stays in the list and is tried again until it runs or somebody commands otherwise.
 *
 *     {"components": [{component_id, component_ref, count, config, annotations}],
 *      "providers": [{provider_id, provider_ref, config, annotations}],
 *      "labels": {key: text, or null where it was deleted}}
 *
 * The entries are requests as the control subjects take them. Labels are those that commands changed; they outlive a
 * host.stop, as the host's key does. */
#include "lattice/lattice_priv.h"

#include "base/log.h"

/* A host with many units doesn't write all of them for each change; one with few loses nothing that it said to be done. */
enum { PAUSE_MAX_MS = 50, UNITS_PER_PAUSE_MS = 16, AGAIN_FIRST_MS = 2000, AGAIN_MAX_MS = 60000 };

/* --- saving --- */

static json_t *request_of(const struct wisp_lattice_unit *unit)
{
    bool is_component = unit->kind == WISP_LATTICE_COMPONENT;
    json_t *request = json_object();
    json_object_set_new(request, is_component ? "component_id" : "provider_id",
                        wisp_json_text(wisp_lattice_unit_id(unit)));
    json_object_set_new(request, is_component ? "component_ref" : "provider_ref",
                        wisp_json_text(wisp_str_from(unit->reference)));
    if (is_component) json_object_set_new(request, "count", json_integer(unit->instances_max));
    json_object_set(request, "config", unit->config_names);
    json_object_set(request, "annotations", unit->annotations);
    return request;
}

static json_t *requests_of(const struct wisp_table *table, json_t *waiting)
{
    json_t *requests = json_array(), *request;
    const char *id;
    for (const struct wisp_lattice_unit *unit = wisp_table_first(table); unit; unit = wisp_table_next(table, unit))
        if (unit->is_running) json_array_append_new(requests, request_of(unit));
    json_object_foreach(waiting, id, request) json_array_append(requests, request);
    return requests;
}

static void emit(struct wisp_lattice *lattice, json_t *components_take, json_t *providers_take)
{
    WISP_CLEANUP_JSON json_t *saved = json_object();
    json_object_set_new(saved, "components", components_take);
    json_object_set_new(saved, "providers", providers_take);
    if (json_object_size(lattice->label_edits)) json_object_set(saved, "labels", lattice->label_edits);
    wisp_lattice_emit(lattice, WISP_LATTICE_SAVE)->payload = wisp_lattice_keep_json(lattice, saved);
}

static void save_due(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    struct wisp_lattice *lattice = env;
    size_t pause_ms = (lattice->components.count + lattice->providers.count) / UNITS_PER_PAUSE_MS;
    lattice->save_due_ms = lattice->now.now_ms + (pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS);
    emit(lattice, requests_of(&lattice->components, lattice->waiting_components),
         requests_of(&lattice->providers, lattice->waiting_providers));
}

void wisp_lattice_save_touch(struct wisp_lattice *lattice)
{
    uint64_t now_ms = lattice->now.now_ms;
    if (lattice->save.slot || lattice->is_stopping) return;
    wisp_lattice_timer_arm(lattice, &lattice->save, lattice->save_due_ms > now_ms ? lattice->save_due_ms - now_ms : 0,
                           save_due, lattice);
}

void wisp_lattice_save_pending(struct wisp_lattice *lattice)
{
    if (!lattice->save.slot || lattice->save_due_ms > lattice->now.now_ms) return;
    wisp_lattice_timer_disarm(lattice, &lattice->save);
    save_due(&lattice->save, lattice);
}

void wisp_lattice_save_nothing(struct wisp_lattice *lattice)
{
    wisp_lattice_timer_disarm(lattice, &lattice->save);
    emit(lattice, json_array(), json_array());
}

/* --- restoring --- */

static void take_entries(json_t *waiting, const json_t *list, const char *id_key)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *request = json_array_get(list, i);
        struct wisp_str id = wisp_json_str(request, id_key);
        if (wisp_lattice_is_id(id)) json_object_setn_nocheck(waiting, id.ptr, id.len, request);
    }
}

int wisp_lattice_restore(struct wisp_lattice *lattice, struct wisp_str saved, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *json = NULL;
    int r = wisp_json_parse(saved, &json, err);
    if (r < 0) return r;
    const json_t *components = json_object_get(json, "components"), *providers = json_object_get(json, "providers");
    if (!json_is_array(components) || !json_is_array(providers))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a list of components and one of providers");
    if ((r = wisp_lattice_labels_restore(lattice, json_object_get(json, "labels"), err)) < 0) return r;
    take_entries(lattice->waiting_components, components, "component_id");
    take_entries(lattice->waiting_providers, providers, "provider_id");
    return 0;
}

void wisp_lattice_restored(struct wisp_lattice_unit *unit)
{
    struct wisp_lattice *lattice = unit->lattice;
    struct wisp_str id = wisp_lattice_unit_id(unit);
    bool is_component = unit->kind == WISP_LATTICE_COMPONENT;
    json_object_deln(is_component ? lattice->waiting_components : lattice->waiting_providers, id.ptr, id.len);
}

static void try_due(struct wisp_lattice_timer *timer, void *env);

void wisp_lattice_restore_begin(struct wisp_lattice *lattice)
{
    WISP_CLEANUP_JSON json_t *components = json_copy(lattice->waiting_components);
    WISP_CLEANUP_JSON json_t *providers = json_copy(lattice->waiting_providers);
    struct wisp_err err = {0};
    const char *id;
    json_t *request;
    json_object_foreach(providers, id, request) if (!wisp_lattice_provider_find(lattice, wisp_str_from(id)) &&
                                                    wisp_lattice_provider_begin(lattice, request, NULL, &err) < 0)
        wisp_lattice_log(lattice, WISP_LOG_ERROR, "provider `%s` can't be started again: %s", id, err.text);
    json_object_foreach(components, id, request) if (!wisp_lattice_component_find(lattice, wisp_str_from(id)) &&
                                                     wisp_lattice_component_begin(lattice, request, NULL, &err) < 0)
        wisp_lattice_log(lattice, WISP_LOG_ERROR, "component `%s` can't be started again: %s", id, err.text);
    if (!json_object_size(lattice->waiting_components) && !json_object_size(lattice->waiting_providers)) return;
    uint64_t pause = wisp_lattice_backoff_ms(lattice, ++lattice->restore_tries, AGAIN_FIRST_MS, AGAIN_MAX_MS);
    wisp_lattice_timer_arm(lattice, &lattice->restore, pause, try_due, lattice);
}

static void try_due(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    wisp_lattice_restore_begin(env);
}
