/* SPDX-License-Identifier: Apache-2.0 */
/* Which applications are to be planned again, each once: first those for which something has happened, then those for
 * which it may have; each in the order in which they were touched. */
#include "app/app_priv.h"
#include "app/store_priv.h"
#include "app/touch_priv.h"

#include <stdlib.h>

struct touched {
    char *name;
    bool is_urgent;
    struct wisp_link order;
};

static struct touched *touched_need(struct wisp_app *app, struct wisp_str name, struct wisp_link *ring)
{
    bool can_be_name = name.len && !memchr(name.ptr, 0, name.len);
    if (!app->lease.is_held || !can_be_name) return NULL;
    struct touched *touched = wisp_map_get(&app->touched, name);
    if (touched) return touched;
    touched = wisp_mem_alloc(sizeof *touched);
    touched->name = wisp_mem_dup(name);
    touched->is_urgent = false;
    wisp_map_add(&app->touched, (struct wisp_str){touched->name, name.len}, touched);
    wisp_ring_append(ring, &touched->order);
    return touched;
}

void wisp_app_touch(struct wisp_app *app, struct wisp_str name)
{
    struct touched *touched = touched_need(app, name, &app->touched_first);
    if (!touched || touched->is_urgent) return;
    touched->is_urgent = true;
    wisp_ring_remove(&touched->order);
    wisp_ring_append(&app->touched_first, &touched->order);
}

void wisp_app_touch_later(struct wisp_app *app, struct wisp_str name) { touched_need(app, name, &app->touched_then); }

void wisp_app_touch_mentions(struct wisp_app *app, enum wisp_app_mentioned what, struct wisp_str text)
{
    struct wisp_link *mentions = wisp_app_wants_mentions(&app->wants, what, text);
    WISP_RING_EACH(at, mentions)
    wisp_app_touch(app, WISP_OWNER(at, struct wisp_app_mention, with_text)->desired->manifest->name);
}

void wisp_app_touch_instance(struct wisp_app *app, const struct wisp_app_instance *instance)
{
    if (instance->app.len) wisp_app_touch(app, instance->app);
    wisp_app_touch_mentions(app, WISP_APP_MENTIONED_ID, instance->id);
}

void wisp_app_touch_strays(struct wisp_app *app)
{
    const struct wisp_map *apps = &app->units.apps;
    for (size_t i = 0; i < apps->capacity; i++)
        if (apps->slots[i].value && !wisp_map_get(&app->records, apps->slots[i].key))
            wisp_app_touch_later(app, apps->slots[i].key);
}

void wisp_app_touch_all(struct wisp_app *app)
{
    for (const struct wisp_app_record *record = app->first_record; record; record = record->next)
        wisp_app_touch_later(app, wisp_str_from(record->name));
    wisp_app_touch_strays(app);
}

char *wisp_app_touched_take(struct wisp_app *app)
{
    struct wisp_link *ring = wisp_ring_is_empty(&app->touched_first) ? &app->touched_then : &app->touched_first;
    if (wisp_ring_is_empty(ring)) return NULL;
    struct touched *first = WISP_OWNER(ring->next, struct touched, order);
    char *name = first->name;
    wisp_map_remove(&app->touched, wisp_str_from(name));
    wisp_ring_remove(&first->order);
    free(first);
    return name;
}

void wisp_app_touched_clear(struct wisp_app *app)
{
    for (char *name; (name = wisp_app_touched_take(app));) free(name);
}
