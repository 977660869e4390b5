/* SPDX-License-Identifier: Apache-2.0 */
/* What runs, by id and by application. */
#include "app/listed.h"
#include "app/plan.h"

#include "base/json.h"

#include <stdlib.h>

struct wisp_app_listed *wisp_app_listed_need(struct wisp_map *map, struct wisp_str text)
{
    struct wisp_app_listed *listed = wisp_map_get(map, text);
    if (listed) return listed;
    listed = wisp_mem_alloc(sizeof *listed);
    listed->text = wisp_mem_dup(text);
    listed->len = text.len;
    wisp_ring_init(&listed->all);
    wisp_map_add(map, (struct wisp_str){listed->text, text.len}, listed);
    return listed;
}

struct wisp_link *wisp_app_listed_in(const struct wisp_map *map, struct wisp_str text)
{
    static struct wisp_link none = {&none, &none};
    struct wisp_app_listed *listed = wisp_map_get(map, text);
    return listed ? &listed->all : &none;
}

static void listed_free(struct wisp_app_listed *listed)
{
    free(listed->text);
    free(listed);
}

void wisp_app_listed_release(struct wisp_map *map, struct wisp_str text)
{
    struct wisp_app_listed *listed = wisp_map_get(map, text);
    if (!listed || !wisp_ring_is_empty(&listed->all)) return;
    wisp_map_remove(map, text);
    listed_free(listed);
}

void wisp_app_listed_deinit(struct wisp_map *map)
{
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].value) listed_free(map->slots[i].value);
    wisp_map_deinit(map);
    *map = (struct wisp_map){0};
}

static struct wisp_map *map_of(struct wisp_app_units *units, const struct wisp_app_instance *instance)
{
    return instance->is_provider ? &units->providers : &units->components;
}

void wisp_app_units_add(struct wisp_app_units *units, struct wisp_app_instance *instance)
{
    const json_t *annotations = instance->annotations;
    const struct wisp_str none = {0};
    bool is_managed = wisp_str_is(wisp_json_str(annotations, "wasmcloud.dev/managed-by"), "wadm");
    instance->app = is_managed ? wisp_json_str(annotations, "wasmcloud.dev/appspec") : none;
    instance->scaler_id = wisp_json_str(annotations, "wasmcloud.dev/scaler");
    instance->spread = wisp_json_str(annotations, "wasmcloud.dev/spread_name");
    wisp_ring_append(&wisp_app_listed_need(map_of(units, instance), instance->id)->all, &instance->with_id);
    if (instance->app.len) wisp_ring_append(&wisp_app_listed_need(&units->apps, instance->app)->all, &instance->of_app);
}

void wisp_app_units_remove(struct wisp_app_units *units, struct wisp_app_instance *instance)
{
    if (!wisp_ring_is_member(&instance->with_id)) return;
    wisp_ring_remove(&instance->with_id);
    wisp_app_listed_release(map_of(units, instance), instance->id);
    if (!instance->app.len) return;
    wisp_ring_remove(&instance->of_app);
    wisp_app_listed_release(&units->apps, instance->app);
}

void wisp_app_units_deinit(struct wisp_app_units *units)
{
    wisp_app_listed_deinit(&units->components);
    wisp_app_listed_deinit(&units->providers);
    wisp_app_listed_deinit(&units->apps);
}
