/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/model.h"

/* Maps have byte strings as keys: the bytes of a pointer. */
static struct wisp_str identity_key(const void *const *slot)
{
    return (struct wisp_str){(const char *)slot, sizeof *slot};
}

static const struct wisp_wit_type *find(const struct wisp_map *identities, const void *identity)
{
    return wisp_map_get(identities, identity_key(&identity));
}

void wisp_wit_identify(struct wisp_arena *arena, struct wisp_map *identities, const void *identity,
                       struct wisp_wit_type *type)
{
    const void **slot = WISP_NEW(arena, const void *);
    *slot = identity;
    wisp_map_add(identities, identity_key(slot), type);
}

/* --- uses --- */

static bool has_local(const struct wisp_wit_scope *scope, struct wisp_str name)
{
    return wisp_map_get(&scope->types_by_name, name) || wisp_map_get(&scope->funcs_by_name, name);
}

static void add_use(struct wisp_arena *arena, struct wisp_wit_scope *scope, const struct wisp_wit_type *type,
                    struct wisp_str local)
{
    struct wisp_wit_use *use = scope->last_use;
    if (!use || use->from != type->scope) {
        use = WISP_NEW(arena, struct wisp_wit_use);
        use->from = type->scope;
        if (scope->last_use)
            scope->last_use->next = use;
        else
            scope->uses = use;
        scope->last_use = use;
    }
    struct wisp_wit_used *used = WISP_NEW(arena, struct wisp_wit_used);
    *used = (struct wisp_wit_used){.name = type->name, .local = local};
    if (use->last)
        use->last->next = used;
    else
        use->first = used;
    use->last = used;
}

/* A type that the binary refers to across interfaces without giving it a name in this one: WIT needs one. */
static const struct wisp_wit_type *borrow_type(struct wisp_wit_model *model, struct wisp_wit_scope *scope,
                                               const struct wisp_wit_type *type, const void *identity)
{
    struct wisp_str local = type->name;
    while (has_local(scope, local))
        local = wisp_str_from(wisp_arena_printf(&model->arena, "%.*s%u", WISP_STR_ARG(type->name), scope->n_renamed++));
    struct wisp_wit_type *borrowed = WISP_NEW(&model->arena, struct wisp_wit_type);
    *borrowed = (struct wisp_wit_type){.name = local, .item = type->item, .scope = scope, .origin = type};
    wisp_map_add(&scope->types_by_name, local, borrowed);
    wisp_wit_identify(&model->arena, &scope->identities, identity, borrowed);
    add_use(&model->arena, scope, type, local);
    return borrowed;
}

/* --- origins --- */

/* Does another scope have a type that this one may `use`? Only interfaces that are in a package can be named. */
static bool is_usable(const struct wisp_wit_type *type, const struct wisp_wit_scope *scope)
{
    return type && type->scope != scope && type->scope->package;
}

/* The resource is declared elsewhere, but no chain of names says so: two exports of one definition, say. */
static int find_resource_origin(struct wisp_wit_model *model, struct wisp_wit_type *type, struct wisp_err *err)
{
    const struct wisp_wit_type *local = find(&type->scope->identities, type->item->resource);
    const struct wisp_wit_type *other = find(&model->identities, type->item->resource);
    if (local != type)
        type->origin = local;
    else if (is_usable(other, type->scope))
        type->origin = other;
    else if (other != type)
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED,
                            "the resource `%.*s` of `%.*s` is used as `%.*s` in `%.*s`, which WIT cannot say",
                            WISP_STR_ARG(other->name), WISP_STR_ARG(other->scope->name), WISP_STR_ARG(type->name),
                            WISP_STR_ARG(type->scope->name));
    return 0;
}

/* Sets the origin of a type and returns the identity by which it was found, or NULL. */
static const void *find_origin(const struct wisp_wit_model *model, struct wisp_wit_type *type)
{
    for (const struct wisp_type_name *name = type->item->type_name; name; name = name->alias_of) {
        const struct wisp_wit_type *local = find(&type->scope->identities, name);
        const struct wisp_wit_type *other = find(&model->identities, name);
        bool is_local = local && local != type;
        if (!is_local && !is_usable(other, type->scope)) continue;
        type->origin = is_local ? local : other;
        return name;
    }
    return NULL;
}

int wisp_wit_plan_scope(struct wisp_wit_model *model, struct wisp_wit_scope *scope, struct wisp_err *err)
{
    /* Identities of other scopes are entered after all origins are known: a name that stands for one of them must not
     * pass for the origin of its neighbour. */
    const void **found = WISP_NEW_ARRAY(&model->arena, const void *, scope->types_by_name.count);
    size_t n = 0;
    for (struct wisp_wit_type *type = scope->types; type; type = type->next) {
        const void *identity = find_origin(model, type);
        if (!identity && type->item->resource && find_resource_origin(model, type, err) < 0) return -(int)err->kind;
        found[n++] = identity;
        if (type->origin && type->origin->scope != scope) add_use(&model->arena, scope, type->origin, type->name);
    }
    n = 0;
    for (struct wisp_wit_type *type = scope->types; type; type = type->next, n++)
        if (found[n]) wisp_wit_identify(&model->arena, &scope->identities, found[n], type);
    return 0;
}

/* --- references --- */

static const struct wisp_wit_type *refer_by(struct wisp_wit_model *model, struct wisp_wit_scope *scope,
                                            const void *identity)
{
    const struct wisp_wit_type *local = find(&scope->identities, identity);
    if (local) return local;
    const struct wisp_wit_type *other = find(&model->identities, identity);
    return is_usable(other, scope) ? borrow_type(model, scope, other, identity) : NULL;
}

const struct wisp_wit_type *wisp_wit_refer(struct wisp_wit_model *model, struct wisp_wit_scope *scope,
                                           const struct wisp_type *type)
{
    for (const struct wisp_type_name *name = type->named; name; name = name->alias_of) {
        const struct wisp_wit_type *found = refer_by(model, scope, name);
        if (found) return found;
    }
    return type->resource ? wisp_wit_refer_resource(model, scope, type->resource) : NULL;
}

const struct wisp_wit_type *wisp_wit_refer_resource(struct wisp_wit_model *model, struct wisp_wit_scope *scope,
                                                    const struct wisp_resource *resource)
{
    return refer_by(model, scope, resource);
}
