/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/model.h"

/* Lists here keep the order of the binary: { first, last } of nodes with a `next`. */
#define APPEND(first, last, node)                                                                                      \
    do {                                                                                                               \
        __typeof__(node) node_ = (node);                                                                               \
        if (last)                                                                                                      \
            (last)->next = node_;                                                                                      \
        else                                                                                                           \
            (first) = node_;                                                                                           \
        (last) = node_;                                                                                                \
    } while (0)

void wisp_wit_model_deinit(struct wisp_wit_model *model)
{
    for (struct wisp_wit_scope *scope = model->made; scope; scope = scope->next_made) {
        wisp_map_deinit(&scope->types_by_name);
        wisp_map_deinit(&scope->funcs_by_name);
        wisp_map_deinit(&scope->identities);
    }
    wisp_map_deinit(&model->packages_by_name);
    wisp_map_deinit(&model->scopes_by_name);
    wisp_map_deinit(&model->identities);
    wisp_arena_deinit(&model->arena);
    *model = (struct wisp_wit_model){0};
}

/* --- packages and interfaces --- */

static struct wisp_wit_scope *scope_new(struct wisp_wit_model *model, struct wisp_str name)
{
    struct wisp_wit_scope *scope = WISP_NEW(&model->arena, struct wisp_wit_scope);
    *scope = (struct wisp_wit_scope){.name = name, .next_made = model->made};
    model->made = scope;
    return scope;
}

static struct wisp_wit_package *get_package(struct wisp_wit_model *model, const struct wisp_wit_id *id)
{
    if (!id->version.len && wisp_str_equal(id->package, model->root.name)) return &model->root;
    struct wisp_str key = wisp_str_from(
        wisp_arena_printf(&model->arena, "%.*s@%.*s", WISP_STR_ARG(id->package), WISP_STR_ARG(id->version)));
    struct wisp_wit_package *package = wisp_map_get(&model->packages_by_name, key);
    if (package) return package;
    package = WISP_NEW(&model->arena, struct wisp_wit_package);
    *package = (struct wisp_wit_package){.name = id->package, .version = id->version};
    wisp_map_add(&model->packages_by_name, key, package);
    APPEND(model->packages, model->last_package, package);
    return package;
}

/* The scope of an imported or exported interface: that of its package, or a new one when it is inline. */
static struct wisp_wit_scope *get_scope(struct wisp_wit_model *model, struct wisp_str name)
{
    struct wisp_wit_id id;
    if (!wisp_wit_id_parse(name, &id)) return scope_new(model, name);
    struct wisp_wit_scope *scope = wisp_map_get(&model->scopes_by_name, name);
    if (scope) return scope;
    scope = scope_new(model, id.interface);
    scope->package = get_package(model, &id);
    wisp_map_add(&model->scopes_by_name, name, scope);
    APPEND(scope->package->first, scope->package->last, scope);
    return scope;
}

/* --- members --- */

static void add_type(struct wisp_wit_model *model, struct wisp_wit_scope *scope, const struct wisp_item *item)
{
    struct wisp_wit_type *type = wisp_map_get(&scope->types_by_name, item->name);
    if (!type) {
        type = WISP_NEW(&model->arena, struct wisp_wit_type);
        *type = (struct wisp_wit_type){.name = item->name, .item = item, .scope = scope};
        wisp_map_add(&scope->types_by_name, item->name, type);
        APPEND(scope->types, scope->last_type, type);
    }
    const void *const identities[] = {item->type_name, item->resource};
    for (size_t i = 0; i < WISP_COUNT(identities); i++) {
        if (!identities[i]) continue;
        wisp_wit_identify(&model->arena, &scope->identities, identities[i], type);
        wisp_wit_identify(&model->arena, &model->identities, identities[i], type);
    }
}

static int refuse(const struct wisp_item *item, struct wisp_err *err)
{
    static const char *const kinds[] = {[WISP_ITEM_FUNC] = "function",
                                        [WISP_ITEM_INTERFACE] = "instance",
                                        [WISP_ITEM_TYPE] = "type",
                                        [WISP_ITEM_MODULE] = "core module",
                                        [WISP_ITEM_COMPONENT] = "component"};
    return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "WIT has no words for the %s `%.*s` here", kinds[item->kind],
                        WISP_STR_ARG(item->name));
}

/* Binaries may call anything by the name of an interface; WIT only interfaces. */
static bool is_interface_name(struct wisp_str name)
{
    struct wisp_wit_id id;
    return wisp_wit_id_parse(name, &id);
}

static void append_func(struct wisp_wit_model *model, struct wisp_wit_funcs *funcs, const struct wisp_item *item)
{
    struct wisp_wit_func *func = WISP_NEW(&model->arena, struct wisp_wit_func);
    *func = (struct wisp_wit_func){.name = wisp_wit_func_name_parse(item->name), .type = item->func};
    APPEND(funcs->first, funcs->last, func);
}

static int add_func(struct wisp_wit_model *model, struct wisp_wit_scope *scope, const struct wisp_item *item,
                    struct wisp_err *err)
{
    struct wisp_wit_func_name name = wisp_wit_func_name_parse(item->name);
    struct wisp_wit_funcs *funcs = &scope->funcs;
    if (name.role != WISP_WIT_FREE) {
        struct wisp_wit_type *resource = wisp_map_get(&scope->types_by_name, name.resource);
        if (!resource || !resource->item->resource)
            return wisp_err_set(err, WISP_ERR_INVALID, "the function `%.*s` belongs to no resource here",
                                WISP_STR_ARG(item->name));
        funcs = &resource->funcs;
    }
    /* The value only has to differ from NULL: the function is there already when both sides have it. */
    if (wisp_map_add(&scope->funcs_by_name, item->name, scope)) append_func(model, funcs, item);
    return 0;
}

static int add_member(struct wisp_wit_model *model, struct wisp_wit_scope *scope, const struct wisp_item *item,
                      struct wisp_err *err)
{
    if (is_interface_name(item->name)) return refuse(item, err);
    switch (item->kind) {
    case WISP_ITEM_FUNC:
        return add_func(model, scope, item, err);
    case WISP_ITEM_TYPE:
        if (!item->type && !item->resource) return refuse(item, err); /* of a function, an instance, ... */
        add_type(model, scope, item);
        return 0;
    default:
        return refuse(item, err);
    }
}

/* --- the world --- */

static int add_port(struct wisp_wit_model *model, struct wisp_wit_ports *ports, const struct wisp_item *item,
                    struct wisp_err *err)
{
    struct wisp_wit_port *port = WISP_NEW(&model->arena, struct wisp_wit_port);
    *port = (struct wisp_wit_port){.name = item->name, .scope = get_scope(model, item->name)};
    APPEND(ports->first, ports->last, port);
    for (uint32_t i = 0; i < item->interface->n_items; i++)
        if (add_member(model, port->scope, &item->interface->items[i], err) < 0)
            return wisp_err_wrap(err, "interface `%.*s`", WISP_STR_ARG(item->name));
    return 0;
}

static int add_import(struct wisp_wit_model *model, const struct wisp_item *item, struct wisp_err *err)
{
    if (item->kind == WISP_ITEM_INTERFACE) return add_port(model, &model->imported, item, err);
    return add_member(model, model->world, item, err);
}

static int add_export(struct wisp_wit_model *model, const struct wisp_item *item, struct wisp_err *err)
{
    if (item->kind == WISP_ITEM_INTERFACE) return add_port(model, &model->exported, item, err);
    if (item->kind != WISP_ITEM_FUNC || is_interface_name(item->name)) return refuse(item, err);
    append_func(model, &model->exports, item);
    return 0;
}

int wisp_wit_model_build(struct wisp_wit_model *model, const struct wisp_component *component, struct wisp_err *err)
{
    model->root.name = WISP_STR("root:component");
    model->world = scope_new(model, WISP_STR("root"));
    for (uint32_t i = 0; i < component->n_imports; i++)
        if (add_import(model, &component->imports[i], err) < 0) return wisp_err_wrap(err, "imports");
    for (uint32_t i = 0; i < component->n_exports; i++)
        if (add_export(model, &component->exports[i], err) < 0) return wisp_err_wrap(err, "exports");
    return 0;
}
