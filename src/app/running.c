/* SPDX-License-Identifier: Apache-2.0 */
/* What runs on a host. Whatever changes touches the applications that it is part of. */
#include "app/app_priv.h"
#include "app/hosts_priv.h"
#include "app/touch_priv.h"

#include <stdlib.h>

struct wisp_app_known_host *wisp_app_host_find(const struct wisp_app *app, struct wisp_str id)
{
    return wisp_map_get(&app->hosts, id);
}

struct wisp_app_unit *wisp_app_unit_find(const struct wisp_app_known_host *host, bool is_provider, struct wisp_str id)
{
    return wisp_map_get(&host->units[is_provider], id);
}

static bool is_same(const struct wisp_app_instance *a, const struct wisp_app_instance *b)
{
    return a->count == b->count && wisp_str_equal(a->reference, b->reference) &&
           (a->annotations == b->annotations ||
            (a->annotations && b->annotations && json_equal(a->annotations, b->annotations)));
}

static struct wisp_app_unit *unit_new(struct wisp_app_known_host *host, bool is_provider, struct wisp_str id)
{
    struct wisp_map *units = &host->units[is_provider];
    if (units->count >= WISP_APP_UNITS_MAX) return NULL;
    struct wisp_app_unit *unit = wisp_mem_calloc(1, sizeof *unit);
    unit->id = wisp_mem_dup(id);
    unit->instance = (struct wisp_app_instance){
        .host = &host->host, .is_provider = is_provider, .id = {unit->id, id.len}, .health = WISP_APP_PENDING};
    wisp_map_add(units, unit->instance.id, unit);
    wisp_ring_append(&host->all_units, &unit->of_host);
    return unit;
}

struct wisp_app_unit *wisp_app_unit_put(struct wisp_app *app, struct wisp_app_known_host *host,
                                        const struct wisp_app_instance *now)
{
    struct wisp_app_unit *unit = wisp_app_unit_find(host, now->is_provider, now->id);
    if (unit && is_same(&unit->instance, now)) return unit;
    if (!unit && !(unit = unit_new(host, now->is_provider, now->id))) return NULL;
    struct wisp_app_instance *instance = &unit->instance;
    host->digest = 0;
    if (unit->reference) wisp_app_touch_instance(app, instance);
    wisp_app_units_remove(&app->units, instance);
    json_t *annotations = json_incref(now->annotations);
    json_decref(instance->annotations);
    instance->annotations = annotations;
    char *reference = wisp_mem_dup(now->reference);
    free(unit->reference);
    unit->reference = reference;
    instance->reference = (struct wisp_str){reference, now->reference.len};
    instance->count = now->count;
    wisp_app_units_add(&app->units, instance);
    wisp_app_touch_instance(app, instance);
    return unit;
}

void wisp_app_unit_set_health(struct wisp_app *app, struct wisp_app_known_host *host, struct wisp_app_unit *unit,
                              int health, struct wisp_str trouble)
{
    struct wisp_app_instance *instance = &unit->instance;
    if ((int)instance->health == health && wisp_str_equal(instance->trouble, trouble)) return;
    host->digest = 0;
    char *text = wisp_mem_dup(trouble);
    free(unit->trouble);
    unit->trouble = text;
    instance->trouble = (struct wisp_str){text, trouble.len};
    instance->health = health;
    wisp_app_touch_instance(app, instance);
}

void wisp_app_unit_remove(struct wisp_app *app, struct wisp_app_known_host *host, struct wisp_app_unit *unit)
{
    host->digest = 0;
    wisp_app_touch_instance(app, &unit->instance);
    wisp_app_units_remove(&app->units, &unit->instance);
    wisp_map_remove(&host->units[unit->instance.is_provider], unit->instance.id);
    wisp_ring_remove(&unit->of_host);
    json_decref(unit->instance.annotations);
    free(unit->id);
    free(unit->reference);
    free(unit->trouble);
    free(unit);
}

void wisp_app_units_clear(struct wisp_app *app, struct wisp_app_known_host *host)
{
    WISP_RING_EACH(at, &host->all_units)
    wisp_app_unit_remove(app, host, WISP_OWNER(at, struct wisp_app_unit, of_host));
}
