/* SPDX-License-Identifier: Apache-2.0 */
/* What is and what should be, as the planner wants it. */
#include "app/app_priv.h"
#include "app/hosts_priv.h"
#include "app/items_priv.h"
#include "app/run_priv.h"

bool wisp_app_is_complete(const struct wisp_app *app)
{
    return wisp_app_hosts_are_known(app) && app->is_current && app->now.now_ms >= app->settled_ms;
}

static size_t count_items(const struct wisp_app *app, struct wisp_str name)
{
    struct wisp_link *items = wisp_app_items_of(app, name);
    size_t n = 0;
    WISP_RING_EACH(at, items) n++;
    return n;
}

static void list_held(const struct wisp_app *app, struct wisp_arena *arena, struct wisp_app_wishes *wishes)
{
    size_t n = 0, most = 0;
    for (size_t i = 0; i < wishes->n_names; i++) most += count_items(app, wishes->names[i]);
    struct wisp_app_held *held = WISP_NEW_ARRAY(arena, struct wisp_app_held, most);
    for (size_t i = 0; i < wishes->n_names; i++) {
        struct wisp_link *items = wisp_app_items_of(app, wishes->names[i]);
        WISP_RING_EACH(at, items)
        {
            const struct wisp_app_item *item = WISP_OWNER(at, struct wisp_app_item, of_app);
            bool is_held = item->state == WISP_APP_ITEM_HELD && item->due_ms > app->now.now_ms;
            if (item->cause)
                held[n++] = (struct wisp_app_held){.key = wisp_str_from(item->key),
                                                   .payload = item->payload,
                                                   .cause = wisp_str_from(item->cause),
                                                   .tries = item->tries,
                                                   .is_under_way = !is_held};
        }
    }
    wishes->held = held;
    wishes->n_held = n;
}

void wisp_app_make_plan(struct wisp_app *app, const struct wisp_str *names, size_t n_names,
                        const struct wisp_app_desired *changed, struct wisp_app_plan *ret_plan)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_app_observed observed = {.units = &app->units,
                                         .links = &app->specs,
                                         .configs = &app->configs,
                                         .is_complete = wisp_app_is_complete(app),
                                         .is_connected = app->is_connected};
    struct wisp_app_wishes wishes = {
        .wants = &app->wants, .names = names, .n_names = n_names, .changed = changed, .updates_max = 1};
    observed.hosts = wisp_app_hosts_list(app, &observed.n_hosts);
    list_held(app, &arena, &wishes);
    wisp_app_plan_make(ret_plan, &wishes, &observed);
}
