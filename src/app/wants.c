/* SPDX-License-Identifier: Apache-2.0 */
/* All applications, and which of them name the same things. */
#include "app/listed.h"
#include "app/plan.h"

#include <stdlib.h>

/* Mentions of one application come one after the other: the last one tells whether this is known. */
static void mention(struct wisp_app_wants *wants, struct wisp_app_desired *desired, enum wisp_app_mentioned what,
                    struct wisp_str text, bool is_own)
{
    struct wisp_app_listed *list = wisp_app_listed_need(&wants->mentioned[what], text);
    struct wisp_app_mention *last =
        wisp_ring_is_empty(&list->all) ? NULL : WISP_OWNER(list->all.previous, struct wisp_app_mention, with_text);
    if (last && last->desired == desired) {
        last->is_own |= is_own;
        return;
    }
    struct wisp_app_mention *made = wisp_mem_calloc(1, sizeof *made);
    *made = (struct wisp_app_mention){.desired = desired, .is_own = is_own, .what = what, .list = list};
    wisp_ring_append(&list->all, &made->with_text);
    wisp_ring_append(&desired->mentions, &made->of_app);
}

static void mention_configs(struct wisp_app_wants *wants, struct wisp_app_desired *desired,
                            const struct wisp_app_config *configs, size_t n_configs,
                            const struct wisp_app_secret *secrets, size_t n_secrets)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_str app = desired->manifest->name;
    for (size_t i = 0; i < n_configs; i++)
        mention(wants, desired, WISP_APP_MENTIONED_CONFIG, wisp_app_config_name(&arena, app, &configs[i]),
                configs[i].properties != NULL);
    for (size_t i = 0; i < n_secrets; i++)
        mention(wants, desired, WISP_APP_MENTIONED_CONFIG, wisp_app_secret_name(&arena, app, &secrets[i]), true);
}

static void mention_side(struct wisp_app_wants *wants, struct wisp_app_desired *desired,
                         const struct wisp_app_link_side *side)
{
    mention_configs(wants, desired, side->configs, side->n_configs, side->secrets, side->n_secrets);
}

static struct wisp_str id_of(const struct wisp_app_wants *wants, const struct wisp_app_component *component)
{
    const struct wisp_app_desired *shared =
        component->shared_app.len ? wisp_map_get(&wants->apps, component->shared_app) : NULL;
    for (size_t i = 0; shared && i < shared->manifest->n_components; i++)
        if (wisp_str_equal(shared->manifest->components[i].name, component->shared_component))
            return shared->manifest->components[i].id;
    return component->id;
}

static void mention_component(struct wisp_app_wants *wants, struct wisp_app_desired *desired,
                              const struct wisp_app_component *component)
{
    if (component->shared_app.len)
        mention(wants, desired, WISP_APP_MENTIONED_SHARED, component->shared_app, false);
    else
        mention(wants, desired, WISP_APP_MENTIONED_ID, component->id, true);
    if (component->n_links) mention(wants, desired, WISP_APP_MENTIONED_SOURCE, id_of(wants, component), false);
    mention_configs(wants, desired, component->configs, component->n_configs, component->secrets, component->n_secrets);
    for (size_t i = 0; i < component->n_links; i++) {
        mention_side(wants, desired, &component->links[i].source_side);
        mention_side(wants, desired, &component->links[i].target_side);
    }
}

static void mention_all(struct wisp_app_wants *wants, struct wisp_app_desired *desired,
                        const struct wisp_app_manifest *manifest)
{
    for (size_t i = 0; i < manifest->n_components; i++) mention_component(wants, desired, &manifest->components[i]);
}

void wisp_app_wants_add(struct wisp_app_wants *wants, struct wisp_app_desired *desired)
{
    wisp_ring_init(&desired->mentions);
    wisp_map_add(&wants->apps, desired->manifest->name, desired);
    mention_all(wants, desired, desired->manifest);
    for (size_t i = 0; i < desired->n_others; i++) mention_all(wants, desired, desired->others[i]);
}

void wisp_app_wants_remove(struct wisp_app_wants *wants, struct wisp_app_desired *desired)
{
    if (!wisp_ring_is_member(&desired->mentions)) return;
    WISP_RING_EACH(at, &desired->mentions)
    {
        struct wisp_app_mention *mention = WISP_OWNER(at, struct wisp_app_mention, of_app);
        struct wisp_str text = {mention->list->text, mention->list->len};
        wisp_ring_remove(&mention->with_text);
        wisp_app_listed_release(&wants->mentioned[mention->what], text);
        free(mention);
    }
    desired->mentions = (struct wisp_link){0};
    wisp_map_remove(&wants->apps, desired->manifest->name);
}

struct wisp_link *wisp_app_wants_mentions(const struct wisp_app_wants *wants, enum wisp_app_mentioned what,
                                          struct wisp_str text)
{
    return wisp_app_listed_in(&wants->mentioned[what], text);
}

void wisp_app_wants_deinit(struct wisp_app_wants *wants)
{
    while (wants->apps.count)
        for (size_t i = 0; i < wants->apps.capacity; i++)
            if (wants->apps.slots[i].value) wisp_app_wants_remove(wants, wants->apps.slots[i].value);
    wisp_map_deinit(&wants->apps);
    for (int i = 0; i < WISP_APP_MENTIONED_COUNT; i++) wisp_map_deinit(&wants->mentioned[i]);
}
