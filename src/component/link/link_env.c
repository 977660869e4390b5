/* SPDX-License-Identifier: Apache-2.0 */
#include "component/link/link_priv.h"

#include <stdlib.h>

int wisp_link_charge(struct wisp_linker *l, uint32_t work)
{
    if (work > l->work_left)
        return wisp_err_set(l->err, WISP_ERR_LIMIT, "the component is too complex: linking it takes more than %d steps",
                            WISP_LINK_WORK_MAX);
    l->work_left -= work;
    return 0;
}

struct wisp_arena *wisp_link_types(struct wisp_linker *l) { return l->dry ? l->scratch : &l->component->arena; }

/* --- index spaces --- */

int wisp_link_env_new(struct wisp_linker *l, const struct wisp_link_eval *eval, struct wisp_link_env **ret_env)
{
    const struct wisp_ast_body *body = eval->body;
    for (int sort = 0; sort < WISP_SORT_COUNT; sort++) {
        int r = wisp_link_charge(l, body->counts[sort]);
        if (r < 0) return r;
    }
    struct wisp_link_env *env = WISP_NEW(l->scratch, struct wisp_link_env);
    env->outer = eval->outer;
    env->body = body;
    env->checks = eval->checks;
    env->instance = eval->instance;
    env->owner = eval->owner;
    for (int sort = 0; sort < WISP_CORE_SORT_COUNT; sort++)
        env->core_items[sort] = WISP_NEW_ARRAY(l->scratch, struct wisp_link_core_item, body->counts[sort]);
    env->core_types = WISP_NEW_ARRAY(l->scratch, struct wisp_link_core_type, body->counts[WISP_SORT_CORE_TYPE]);
    env->core_instances =
        WISP_NEW_ARRAY(l->scratch, struct wisp_link_core_instance *, body->counts[WISP_SORT_CORE_INSTANCE]);
    static const enum wisp_sort sorts[] = {WISP_SORT_CORE_MODULE, WISP_SORT_FUNC, WISP_SORT_TYPE, WISP_SORT_COMPONENT,
                                           WISP_SORT_INSTANCE};
    for (size_t i = 0; i < WISP_COUNT(sorts); i++)
        env->values[sorts[i]] = WISP_NEW_ARRAY(l->scratch, struct wisp_link_value, body->counts[sorts[i]]);
    *ret_env = env;
    return 0;
}

static int out_of_bounds(struct wisp_linker *l, const struct wisp_link_env *env, enum wisp_sort sort, uint32_t index)
{
    return wisp_err_set(l->err, WISP_ERR_INVALID, "%s index out of bounds: %u, and there are %u", wisp_sort_name(sort),
                        index, env->n[sort]);
}

int wisp_link_get(struct wisp_linker *l, const struct wisp_link_env *env, enum wisp_sort sort, uint32_t index,
                  struct wisp_link_value *ret_value)
{
    if (!env->values[sort])
        return wisp_err_set(l->err, WISP_ERR_INVALID, "an item of sort %s cannot be used here", wisp_sort_name(sort));
    if (index >= env->n[sort]) return out_of_bounds(l, env, sort, index);
    *ret_value = env->values[sort][index];
    return 0;
}

int wisp_link_get_type(struct wisp_linker *l, const struct wisp_link_env *env, uint32_t index,
                       enum wisp_link_type_kind kind, struct wisp_link_type **ret_type)
{
    static const char *const names[] = {[WISP_LINK_VALUE] = "a defined type",
                                        [WISP_LINK_FUNC] = "a function type",
                                        [WISP_LINK_RESOURCE] = "a resource type",
                                        [WISP_LINK_COMPONENT] = "a component type",
                                        [WISP_LINK_INSTANCE] = "an instance type"};
    struct wisp_link_value value;
    int r = wisp_link_get(l, env, WISP_SORT_TYPE, index, &value);
    if (r < 0) return r;
    if (value.type->kind != kind)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "type index %u is not %s", index, names[kind]);
    *ret_type = value.type;
    return 0;
}

int wisp_link_get_core(struct wisp_linker *l, const struct wisp_link_env *env, enum wisp_sort sort, uint32_t index,
                       struct wisp_link_core_item *ret_item)
{
    if (index >= env->n[sort]) return out_of_bounds(l, env, sort, index);
    *ret_item = env->core_items[sort][index];
    return 0;
}

void wisp_link_add(struct wisp_link_env *env, struct wisp_link_value value)
{
    env->values[value.sort][env->n[value.sort]++] = value;
}

void wisp_link_add_core(struct wisp_link_env *env, struct wisp_link_core_item item)
{
    enum wisp_core_sort sort = item.type->sort;
    env->core_items[sort][env->n[sort]++] = item;
}

/* --- named values --- */

void wisp_link_put(struct wisp_linker *l, struct wisp_link_instance *instance, struct wisp_link_member member)
{
    *WISP_PUSH(l->scratch, instance->members, instance->n, instance->capacity) = member;
}

static int compare_members(const void *a, const void *b, void *members)
{
    const struct wisp_link_member *list = members;
    return wisp_str_compare(list[*(const uint32_t *)a].name, list[*(const uint32_t *)b].name);
}

void wisp_link_seal(struct wisp_linker *l, struct wisp_link_instance *instance,
                    const struct wisp_link_member **ret_duplicate)
{
    uint32_t *by_name = instance->by_name = WISP_NEW_ARRAY(l->scratch, uint32_t, instance->n);
    for (uint32_t i = 0; i < instance->n; i++) by_name[i] = i;
    if (instance->n) qsort_r(by_name, instance->n, sizeof *by_name, compare_members, instance->members);
    *ret_duplicate = NULL;
    for (uint32_t i = 1; i < instance->n; i++)
        if (compare_members(&by_name[i - 1], &by_name[i], instance->members) == 0)
            *ret_duplicate = &instance->members[by_name[i]];
}

const struct wisp_link_member *wisp_link_find(const struct wisp_link_instance *instance, struct wisp_str name)
{
    uint32_t low = 0, high = instance->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct wisp_link_member *member = &instance->members[instance->by_name[middle]];
        int order = wisp_str_compare(name, member->name);
        if (order == 0) return member;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* --- sets of addresses --- */

static uint32_t slot_of(const struct wisp_link_set *set, const void *address)
{
    uint64_t hash = (uint64_t)(uintptr_t)address * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t i = (uint32_t)(hash >> 32) & (set->capacity - 1);
    while (set->slots[i] && set->slots[i] != address) i = (i + 1) & (set->capacity - 1);
    return i;
}

bool wisp_link_set_has(const struct wisp_link_set *set, const void *address)
{
    return set->capacity && set->slots[slot_of(set, address)];
}

void wisp_link_set_add(struct wisp_linker *l, struct wisp_link_set *set, const void *address)
{
    if (set->n * 2 >= set->capacity) {
        struct wisp_link_set bigger = {.n = set->n, .capacity = set->capacity ? set->capacity * 2 : 16};
        bigger.slots = WISP_NEW_ARRAY(l->scratch, const void *, bigger.capacity);
        for (uint32_t i = 0; i < set->capacity; i++)
            if (set->slots[i]) bigger.slots[slot_of(&bigger, set->slots[i])] = set->slots[i];
        *set = bigger;
    }
    uint32_t i = slot_of(set, address);
    if (!set->slots[i]) set->n++;
    set->slots[i] = address;
}
