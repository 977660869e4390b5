/* SPDX-License-Identifier: Apache-2.0 */
/* Links and configs of the lattice, as its state has them. */
#include "app/app_priv.h"

#include <stdlib.h>

/* `keys` holds copies of the keys, under themselves. */
static void set(struct wisp_map *map, struct wisp_map *keys, struct wisp_str key, json_t *value_taken, uint32_t max)
{
    json_decref(wisp_map_remove(map, key));
    char *own = wisp_map_get(keys, key);
    if (value_taken && !own && map->count < max) {
        own = wisp_mem_dup(key);
        wisp_map_add(keys, (struct wisp_str){own, key.len}, own);
    }
    if (value_taken && own) {
        wisp_map_add(map, (struct wisp_str){own, key.len}, value_taken);
        return;
    }
    json_decref(value_taken);
    free(wisp_map_remove(keys, key));
}

static void clear(struct wisp_map *map, struct wisp_map *keys)
{
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].value) json_decref(map->slots[i].value);
    for (size_t i = 0; i < keys->capacity; i++) free(keys->slots[i].value);
    wisp_map_deinit(map);
    wisp_map_deinit(keys);
    *map = *keys = (struct wisp_map){0};
}

void wisp_app_view_on_state(struct wisp_app *app, int bucket, struct wisp_str key, const struct wisp_str *value)
{
    struct wisp_str prefix = WISP_STR("COMPONENT_");
    json_t *json = NULL;
    bool is_spec = bucket == 0;
    if (is_spec && !wisp_str_starts_with(key, prefix)) return;
    if (is_spec) key = (struct wisp_str){key.ptr + prefix.len, key.len - prefix.len};
    if (value && wisp_json_parse(*value, &json, NULL) < 0) json = NULL;
    if (json && is_spec) {
        json_t *links = json_incref(json_object_get(json, "links"));
        json_decref(json);
        json = links;
    }
    struct wisp_map *map = is_spec ? &app->specs : &app->configs, *keys = is_spec ? &app->spec_keys : &app->config_keys;
    const json_t *before = wisp_map_get(map, key);
    bool is_same = before && json && json_equal(before, json);
    if (is_same)
        json_decref(json);
    else
        set(map, keys, key, json, is_spec ? WISP_APP_LINKS_MAX : WISP_APP_CONFIGS_MAX);
    if (!is_same) wisp_app_touch(app);
}

void wisp_app_view_clear(struct wisp_app *app)
{
    clear(&app->specs, &app->spec_keys);
    clear(&app->configs, &app->config_keys);
}
