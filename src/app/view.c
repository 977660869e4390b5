/* SPDX-License-Identifier: Apache-2.0 */
/* Links and configs of the lattice, as its state has them. */
#include "app/app_priv.h"
#include "app/hosts_priv.h"
#include "app/touch_priv.h"

#include <stdlib.h>

/* `keys` holds copies of the keys, under themselves. What was there before. */
static void *set(struct wisp_map *map, struct wisp_map *keys, struct wisp_str key, void *value)
{
    void *before = wisp_map_remove(map, key);
    char *own = wisp_map_get(keys, key);
    if (!value) {
        free(wisp_map_remove(keys, key));
        return before;
    }
    if (!own) {
        own = wisp_mem_dup(key);
        wisp_map_add(keys, (struct wisp_str){own, key.len}, own);
    }
    wisp_map_add(map, (struct wisp_str){own, key.len}, value);
    return before;
}

static void clear_keys(struct wisp_map *keys)
{
    for (size_t i = 0; i < keys->capacity; i++) free(keys->slots[i].value);
    wisp_map_deinit(keys);
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

static struct wisp_app_observed_links *links_new(json_t *list)
{
    struct wisp_app_observed_links *links = wisp_mem_calloc(1, sizeof *links);
    links->kept = json_incref(list);
    links->n = json_array_size(list);
    links->list = wisp_mem_calloc(links->n + 1, sizeof *links->list);
    for (size_t i = 0; i < links->n; i++) links->list[i] = read_link(json_array_get(list, i));
    return links;
}

static void links_free(struct wisp_app_observed_links *links)
{
    if (!links) return;
    json_decref(links->kept);
    free(links->list);
    free(links);
}

static void take_links(struct wisp_app *app, struct wisp_str source, json_t *list)
{
    const struct wisp_app_observed_links *before = wisp_map_get(&app->specs, source);
    bool has_room = before || app->specs.count < WISP_APP_LINKS_MAX;
    if (!list ? !before : (before && json_equal(before->kept, list)) || !has_room) return;
    links_free(set(&app->specs, &app->spec_keys, source, list ? links_new(list) : NULL));
    wisp_app_touch_mentions(app, WISP_APP_MENTIONED_SOURCE, source);
}

/* --- configs --- */

static void take_config(struct wisp_app *app, struct wisp_str name, json_t *config)
{
    const json_t *before = wisp_map_get(&app->configs, name);
    bool has_room = before || app->configs.count < WISP_APP_CONFIGS_MAX;
    if (!config ? !before : (before && json_equal(before, config)) || !has_room) return;
    json_decref(set(&app->configs, &app->config_keys, name, json_incref(config)));
    wisp_app_touch_mentions(app, WISP_APP_MENTIONED_CONFIG, name);
}

void wisp_app_view_on_state(struct wisp_app *app, int bucket, struct wisp_str key, const struct wisp_str *value)
{
    struct wisp_str prefix = WISP_STR("COMPONENT_");
    WISP_CLEANUP_JSON json_t *json = NULL;
    if (value && wisp_json_parse(*value, &json, NULL) < 0) json = NULL;
    if (bucket)
        take_config(app, key, json);
    else if (wisp_str_starts_with(key, prefix))
        take_links(app, (struct wisp_str){key.ptr + prefix.len, key.len - prefix.len}, json_object_get(json, "links"));
}

void wisp_app_view_clear(struct wisp_app *app)
{
    for (size_t i = 0; i < app->specs.capacity; i++) links_free(app->specs.slots[i].value);
    for (size_t i = 0; i < app->configs.capacity; i++)
        if (app->configs.slots[i].value) json_decref(app->configs.slots[i].value);
    wisp_map_deinit(&app->specs);
    wisp_map_deinit(&app->configs);
    clear_keys(&app->spec_keys);
    clear_keys(&app->config_keys);
}
