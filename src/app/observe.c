/* SPDX-License-Identifier: Apache-2.0 */
/* What is and what should be, as the planner wants it. */
#include "app/app_priv.h"

#include <stdlib.h>

/* --- hosts --- */

static int by_id(const void *a, const void *b)
{
    return wisp_str_compare(((const struct wisp_app_host *)a)->id, ((const struct wisp_app_host *)b)->id);
}

/* What was commanded and is not there yet: it counts for placement. */
struct coming {
    const struct wisp_app_item *item;
    struct coming *next;
};

static void find_coming(const struct wisp_app *app, struct wisp_arena *arena, struct wisp_map *coming)
{
    for (const struct wisp_app_item *item = app->first_item; item; item = item->next) {
        bool is_start = item->kind == WISP_APP_START_PROVIDER ||
                        (item->kind == WISP_APP_SCALE && wisp_json_u64(item->payload, "count", 0));
        if (!is_start || !item->host || !wisp_app_item_is_under_way(item)) continue;
        struct coming *entry = WISP_NEW(arena, struct coming);
        *entry = (struct coming){item, wisp_map_remove(coming, wisp_str_from(item->host))};
        wisp_map_add(coming, wisp_str_from(item->host), entry);
    }
}

static size_t count_coming(const struct coming *coming)
{
    size_t n = 0;
    for (; coming; coming = coming->next) n++;
    return n;
}

/* Adds those that are not in the map. */
static size_t add_coming(struct wisp_app_instance *list, size_t n, const struct coming *coming, const json_t *map,
                         enum wisp_app_command_kind kind)
{
    for (; coming; coming = coming->next) {
        const json_t *payload = coming->item->payload;
        bool is_component = kind == WISP_APP_SCALE;
        struct wisp_str id = wisp_json_str(payload, is_component ? "component_id" : "provider_id");
        if (coming->item->kind != kind || json_object_getn(map, id.ptr, id.len)) continue;
        list[n++] = (struct wisp_app_instance){
            .id = id,
            .reference = wisp_json_str(payload, is_component ? "component_ref" : "provider_ref"),
            .annotations = json_object_get(payload, "annotations"),
            .count = (uint32_t)wisp_json_u64(payload, "count", 1),
            .is_coming = true};
    }
    return n;
}

static void read_health(const json_t *unit, struct wisp_app_instance *instance)
{
    uint64_t health = wisp_json_u64(unit, "health", WISP_APP_PENDING);
    if (health == WISP_APP_HEALTHY) instance->health = WISP_APP_HEALTHY;
    if (health == WISP_APP_UNHEALTHY) instance->health = WISP_APP_UNHEALTHY;
    if (health == WISP_APP_FAILED) instance->health = WISP_APP_FAILED;
    instance->trouble = wisp_json_str(unit, "trouble");
}

static size_t list_units(struct wisp_arena *arena, const json_t *map, const struct coming *coming,
                         enum wisp_app_command_kind kind, const struct wisp_app_instance **ret_list)
{
    struct wisp_app_instance *list =
        WISP_NEW_ARRAY(arena, struct wisp_app_instance, json_object_size(map) + count_coming(coming));
    size_t n = 0;
    const char *id;
    json_t *unit;
    json_object_foreach((json_t *)(uintptr_t)map, id, unit)
    {
        list[n] = (struct wisp_app_instance){.id = wisp_str_from(id),
                                             .reference = wisp_json_str(unit, "reference"),
                                             .annotations = json_object_get(unit, "annotations"),
                                             .count = (uint32_t)wisp_json_u64(unit, "count", 1)};
        if (kind == WISP_APP_START_PROVIDER) read_health(unit, &list[n]);
        n++;
    }
    *ret_list = list;
    return add_coming(list, n, coming, map, kind);
}

/* True: of all that are not silent it is known what they run. */
static bool list_hosts(struct wisp_app *app, struct wisp_arena *arena, struct wisp_app_observed *observed)
{
    WISP_CLEANUP_MAP struct wisp_map coming = {0};
    struct wisp_app_host *hosts = WISP_NEW_ARRAY(arena, struct wisp_app_host, app->hosts.count);
    bool all_known = true;
    size_t n = 0;
    find_coming(app, arena, &coming);
    for (const struct wisp_app_known_host *known = app->first_host; known; known = known->next) {
        all_known &= known->has_inventory || known->is_unknown;
        if (!known->has_inventory) continue; /* nothing is put where it is not known what runs */
        const struct coming *here = wisp_map_get(&coming, known->id);
        struct wisp_app_host *host = &hosts[n++];
        *host = (struct wisp_app_host){.id = known->id,
                                       .friendly_name = wisp_str_from(known->friendly_name),
                                       .labels = known->labels,
                                       .is_unknown = known->is_unknown,
                                       .is_draining = known->is_draining};
        host->n_components = list_units(arena, known->components, here, WISP_APP_SCALE, &host->components);
        host->n_providers = list_units(arena, known->providers, here, WISP_APP_START_PROVIDER, &host->providers);
    }
    if (n) qsort(hosts, n, sizeof *hosts, by_id);
    observed->hosts = hosts;
    observed->n_hosts = n;
    return all_known;
}

/* --- links --- */

static struct wisp_app_observed_link read_link(const json_t *link)
{
    struct wisp_str name = wisp_json_str(link, "name");
    return (struct wisp_app_observed_link){.source = wisp_json_str(link, "source_id"),
                                           .target = wisp_json_str(link, "target"),
                                           .name = name.len ? name : WISP_STR("default"),
                                           .wit_namespace = wisp_json_str(link, "wit_namespace"),
                                           .wit_package = wisp_json_str(link, "wit_package"),
                                           .interfaces = json_object_get(link, "interfaces"),
                                           .source_config = json_object_get(link, "source_config"),
                                           .target_config = json_object_get(link, "target_config")};
}

static void list_links(const struct wisp_app *app, struct wisp_arena *arena, struct wisp_app_observed *observed)
{
    size_t n = 0, most = 0;
    const struct wisp_map_slot *slots = app->specs.slots;
    for (size_t i = 0; i < app->specs.capacity; i++)
        if (slots[i].value) most += json_array_size(slots[i].value);
    struct wisp_app_observed_link *links = WISP_NEW_ARRAY(arena, struct wisp_app_observed_link, most);
    for (size_t i = 0; i < app->specs.capacity; i++)
        for (size_t k = 0; slots[i].value && k < json_array_size(slots[i].value); k++)
            links[n++] = read_link(json_array_get(slots[i].value, k));
    observed->links = links;
    observed->n_links = n;
}

/* --- what should be --- */

static size_t count(const struct wisp_app_version *list)
{
    size_t n = 0;
    for (; list; list = list->next) n++;
    return n;
}

struct wisp_app_desired wisp_app_desire(struct wisp_arena *arena, const struct wisp_app_record *record)
{
    const struct wisp_app_version *main = record->deployed ? record->deployed : record->last_deployed;
    if (!main) main = record->versions ? record->versions : record->removed;
    struct wisp_app_desired desired = {.manifest = &main->manifest, .is_deployed = record->deployed != NULL};
    const struct wisp_app_manifest **others =
        WISP_NEW_ARRAY(arena, const struct wisp_app_manifest *, count(record->versions) + count(record->removed));
    const struct wisp_app_version *const lists[] = {record->versions, record->removed};
    for (size_t i = 0; i < WISP_COUNT(lists); i++)
        for (const struct wisp_app_version *at = lists[i]; at; at = at->next)
            if (at != main) others[desired.n_others++] = &at->manifest;
    desired.others = others;
    return desired;
}

static int by_name(const void *a, const void *b)
{
    return wisp_str_compare(((const struct wisp_app_desired *)a)->manifest->name,
                            ((const struct wisp_app_desired *)b)->manifest->name);
}

static char present; /* what sets hold */

static void list_apps(const struct wisp_app *app, struct wisp_arena *arena, const struct wisp_app_desired *changed,
                      struct wisp_map *spared, struct wisp_app_wishes *wishes)
{
    struct wisp_app_desired *apps = WISP_NEW_ARRAY(arena, struct wisp_app_desired, app->records.count + 1);
    size_t n = 0;
    for (const struct wisp_app_record *record = app->first_record; record; record = record->next) {
        bool is_changed = changed && wisp_str_is(changed->manifest->name, record->name);
        if (!record->is_ours || is_changed) continue;
        if (record->trouble || (!record->versions && !record->removed))
            wisp_map_add(spared, wisp_str_from(record->name), &present);
        else
            apps[n++] = wisp_app_desire(arena, record);
    }
    if (changed) apps[n++] = *changed;
    qsort(apps, n, sizeof *apps, by_name);
    wishes->apps = apps;
    wishes->n_apps = n;
    wishes->spared = spared;
    wishes->spares_unknown = wisp_app_lease_is_young(app);
}

static void list_held(const struct wisp_app *app, struct wisp_arena *arena, struct wisp_app_wishes *wishes)
{
    struct wisp_app_held *held = WISP_NEW_ARRAY(arena, struct wisp_app_held, app->items.count);
    size_t n = 0;
    for (const struct wisp_app_item *item = app->first_item; item; item = item->next)
        if (item->cause)
            held[n++] = (struct wisp_app_held){.key = wisp_str_from(item->key),
                                               .payload = item->payload,
                                               .cause = wisp_str_from(item->cause),
                                               .tries = item->tries,
                                               .is_under_way = item->state != WISP_APP_ITEM_HELD ||
                                                               item->due_ms <= app->now.now_ms};
    wishes->held = held;
    wishes->n_held = n;
}

void wisp_app_make_plan(struct wisp_app *app, const struct wisp_app_desired *changed, struct wisp_app_plan *ret_plan)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_MAP struct wisp_map spared = {0};
    struct wisp_app_observed observed = {.configs = &app->configs, .is_connected = app->is_connected};
    struct wisp_app_wishes wishes = {.updates_max = 1};
    bool all_known = list_hosts(app, &arena, &observed);
    observed.is_complete = all_known && app->is_current && app->now.now_ms >= app->settled_ms;
    list_links(app, &arena, &observed);
    list_apps(app, &arena, changed, &spared, &wishes);
    list_held(app, &arena, &wishes);
    wisp_app_plan_make(ret_plan, &wishes, &observed);
}
