/* SPDX-License-Identifier: Apache-2.0 */
/* The world of a linked component: its imports and exports with names, for printing and for calling. */
#include "component/link/link_priv.h"

/* Instances may contain the same instance many times, so that a small binary can name a very large world. */
static int make_items(struct wisp_linker *l, const struct wisp_link_instance *instance, struct wisp_item **ret_items);

static int make_item(struct wisp_linker *l, const struct wisp_link_member *member, struct wisp_item *ret_item)
{
    struct wisp_item item = {.name = member->name};
    int r = 0;
    switch (member->value.sort) {
    case WISP_SORT_FUNC:
        item.kind = WISP_ITEM_FUNC;
        item.func = member->value.func->type;
        break;
    case WISP_SORT_TYPE:
        item.kind = WISP_ITEM_TYPE;
        item.type = member->value.type->value;
        item.type_name = member->value.type->type_name;
        item.resource = member->value.type->resource;
        item.func = member->value.type->func;
        break;
    case WISP_SORT_INSTANCE: {
        struct wisp_interface *interface = WISP_NEW(&l->component->arena, struct wisp_interface);
        item.kind = WISP_ITEM_INTERFACE;
        item.interface = interface;
        interface->n_items = member->value.instance->n;
        r = make_items(l, member->value.instance, &interface->items);
        break;
    }
    case WISP_SORT_COMPONENT:
        item.kind = WISP_ITEM_COMPONENT;
        break;
    default:
        item.kind = WISP_ITEM_MODULE;
        break;
    }
    *ret_item = item;
    return r;
}

static int make_items(struct wisp_linker *l, const struct wisp_link_instance *instance, struct wisp_item **ret_items)
{
    int r = wisp_link_charge(l, instance->n);
    if (r < 0) return r;
    *ret_items = WISP_NEW_ARRAY(&l->component->arena, struct wisp_item, instance->n);
    for (uint32_t i = 0; i < instance->n && r == 0; i++) r = make_item(l, &instance->members[i], &(*ret_items)[i]);
    return r;
}

/* Types of an exported interface were named by the component that implements it, which does not know under what name
 * the interface would be exported. */
static void own_types(const struct wisp_link_member *interface)
{
    for (uint32_t i = 0; i < interface->value.instance->n; i++) {
        const struct wisp_link_value *value = &interface->value.instance->members[i].value;
        if (value->sort != WISP_SORT_TYPE) continue;
        struct wisp_type *named = value->type->named;
        struct wisp_resource *resource = value->type->resource;
        if (named && !named->owner.len) named->owner = interface->name;
        if (resource && !resource->is_imported && !resource->owner.len) resource->owner = interface->name;
    }
}

static void export_func(struct wisp_linker *l, struct wisp_str interface, const struct wisp_link_member *member)
{
    struct wisp_component *component = l->component;
    const struct wisp_link_func *func = member->value.func;
    *WISP_PUSH(l->scratch, component->export_funcs, component->n_export_funcs, l->capacity.export_funcs) =
        (struct wisp_export_func){interface, member->name, func->origin == WISP_LINK_LIFTED ? func->index : UINT32_MAX,
                                  func->type};
}

int wisp_link_world(struct wisp_linker *l, const struct wisp_link_instance *imports,
                    const struct wisp_link_instance *exports)
{
    struct wisp_component *component = l->component;
    for (uint32_t i = 0; i < exports->n; i++) {
        const struct wisp_link_member *member = &exports->members[i];
        if (member->value.sort == WISP_SORT_FUNC) export_func(l, (struct wisp_str){0}, member);
        if (member->value.sort != WISP_SORT_INSTANCE) continue;
        own_types(member);
        for (uint32_t k = 0; k < member->value.instance->n; k++)
            if (member->value.instance->members[k].value.sort == WISP_SORT_FUNC)
                export_func(l, member->name, &member->value.instance->members[k]);
    }
    component->n_imports = imports->n;
    component->n_exports = exports->n;
    int r = make_items(l, imports, &component->imports);
    return r < 0 ? r : make_items(l, exports, &component->exports);
}
