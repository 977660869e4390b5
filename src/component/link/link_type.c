/* SPDX-License-Identifier: Apache-2.0 */
#include "component/link/link_priv.h"

static struct wisp_link_type *new_type(struct wisp_linker *l, enum wisp_link_type_kind kind)
{
    struct wisp_link_type *type = WISP_NEW(l->scratch, struct wisp_link_type);
    type->kind = kind;
    return type;
}

/* --- value types --- */

/* NULL for an absent one. */
static int get_valtype(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_valtype *ast,
                       const struct wisp_type **ret_type)
{
    *ret_type = NULL;
    if (!ast->is_present) return 0;
    if (!ast->is_index) {
        *ret_type = wisp_type_primitive((enum wisp_type_kind)ast->index);
        return 0;
    }
    struct wisp_link_type *type;
    int r = wisp_link_get_type(l, env, ast->index, WISP_LINK_VALUE, &type);
    if (r < 0) return r;
    *ret_type = type->value;
    return 0;
}

static int make_fields(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_type *ast,
                       struct wisp_type_field **ret_fields)
{
    int r = wisp_link_charge(l, ast->n_fields);
    if (r < 0) return r;
    struct wisp_type_field *fields = WISP_NEW_ARRAY(wisp_link_types(l), struct wisp_type_field, ast->n_fields);
    for (uint32_t i = 0; i < ast->n_fields; i++) {
        fields[i].name = ast->fields[i].name;
        r = get_valtype(l, env, &ast->fields[i].type, &fields[i].type);
        if (r < 0) return r;
    }
    *ret_fields = fields;
    return 0;
}

static int make_compound(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_type *ast,
                         const struct wisp_type **ret_value)
{
    struct wisp_type_field *fields;
    int r = make_fields(l, env, ast, &fields);
    if (r < 0) return r;
    return wisp_type_compound(wisp_link_types(l), ast->value_kind, fields, ast->n_fields, ret_value, l->err);
}

static int make_with_parts(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_type *ast,
                           const struct wisp_type **ret_value)
{
    const struct wisp_type *first, *second;
    int r = get_valtype(l, env, &ast->fields[0].type, &first);
    if (r == 0) r = get_valtype(l, env, &ast->fields[1].type, &second);
    if (r < 0) return r;
    struct wisp_arena *arena = wisp_link_types(l);
    if (ast->value_kind == WISP_TYPE_LIST) return wisp_type_list(arena, first, ret_value, l->err);
    if (ast->value_kind == WISP_TYPE_OPTION) return wisp_type_option(arena, first, ret_value, l->err);
    return wisp_type_result(arena, first, second, ret_value, l->err);
}

static int make_handle(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_type *ast,
                       const struct wisp_type **ret_value)
{
    struct wisp_link_type *resource;
    int r = wisp_link_get_type(l, env, ast->index, WISP_LINK_RESOURCE, &resource);
    if (r < 0) return r;
    *ret_value = ast->value_kind == WISP_TYPE_OWN ? resource->own : resource->borrow;
    return 0;
}

static int make_value(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_type *ast,
                      struct wisp_link_type **ret_type)
{
    struct wisp_link_type *type = new_type(l, WISP_LINK_VALUE);
    int r = 0;
    switch (ast->value_kind) {
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
    case WISP_TYPE_FLAGS:
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
        r = make_compound(l, env, ast, &type->value);
        break;
    case WISP_TYPE_LIST:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        r = make_with_parts(l, env, ast, &type->value);
        break;
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
        r = make_handle(l, env, ast, &type->value);
        break;
    default:
        type->value = wisp_type_primitive(ast->value_kind);
    }
    if (r < 0) return r;
    type->has_resources = type->value->has_handles;
    *ret_type = type;
    return 0;
}

/* --- function types --- */

static int has_borrow(struct wisp_linker *l, const struct wisp_type *type, bool *ret_has)
{
    if (!type || !type->has_handles || *ret_has) return 0;
    int r = wisp_link_charge(l, 1);
    if (type->kind == WISP_TYPE_BORROW) *ret_has = true;
    if (r == 0) r = has_borrow(l, type->element, ret_has);
    for (uint32_t i = 0; i < type->n_fields && r == 0; i++) r = has_borrow(l, type->fields[i].type, ret_has);
    return r;
}

static int make_func(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_type *ast,
                     struct wisp_link_type **ret_type)
{
    struct wisp_type_field *params;
    const struct wisp_type *result;
    int r = make_fields(l, env, ast, &params);
    if (r == 0) r = get_valtype(l, env, &ast->fields[ast->n_fields].type, &result);
    if (r < 0) return r;
    bool result_has_borrow = false;
    r = has_borrow(l, result, &result_has_borrow);
    if (r < 0) return r;
    if (result_has_borrow)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "function result cannot contain a `borrow` type");
    struct wisp_link_type *type = new_type(l, WISP_LINK_FUNC);
    type->has_resources = result && result->has_handles;
    for (uint32_t i = 0; i < ast->n_fields; i++) type->has_resources |= params[i].type->has_handles;
    *ret_type = type;
    return wisp_type_func(wisp_link_types(l), params, ast->n_fields, result, &type->func, l->err);
}

/* --- resources --- */

static void add_handles(struct wisp_linker *l, struct wisp_link_type *type)
{
    type->has_resources = true;
    struct wisp_type *own = wisp_type_handle(wisp_link_types(l), WISP_TYPE_OWN, type->resource);
    struct wisp_type *borrow = wisp_type_handle(wisp_link_types(l), WISP_TYPE_BORROW, type->resource);
    own->named = borrow->named = type->type_name;
    type->own = own;
    type->borrow = borrow;
}

static const struct wisp_type_name *make_name(struct wisp_linker *l, struct wisp_str name,
                                              const struct wisp_type_name *alias_of)
{
    struct wisp_type_name *made = WISP_NEW(wisp_link_types(l), struct wisp_type_name);
    *made = (struct wisp_type_name){name, alias_of};
    return made;
}

struct wisp_link_type *wisp_link_resource(struct wisp_linker *l, const struct wisp_link_env *definer,
                                          struct wisp_str name, struct wisp_str owner)
{
    struct wisp_component *component = l->component;
    struct wisp_resource *resource = WISP_NEW(wisp_link_types(l), struct wisp_resource);
    *resource = (struct wisp_resource){.name = name,
                                       .owner = owner,
                                       .index = component->n_resources,
                                       .is_imported = !definer,
                                       .destructor = -1,
                                       .instance = definer ? definer->instance : 0};
    if (!l->dry) *WISP_PUSH(l->scratch, component->resources, component->n_resources, l->capacity.resources) = resource;
    struct wisp_link_type *type = new_type(l, WISP_LINK_RESOURCE);
    type->resource = resource;
    type->definer = definer;
    if (name.len) type->type_name = make_name(l, name, NULL);
    add_handles(l, type);
    return type;
}

static int make_resource(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_type *ast,
                         struct wisp_link_type **ret_type)
{
    *ret_type = wisp_link_resource(l, env, (struct wisp_str){0}, (struct wisp_str){0});
    return ast->has_destructor ? wisp_link_destructor(l, env, ast->index, (*ret_type)->resource) : 0;
}

/* --- component and instance types --- */

/* A closure. Where definitions are checked it is evaluated once with made-up values. */
static int make_closure(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_type *ast,
                        struct wisp_link_type **ret_type)
{
    struct wisp_link_type *type =
        new_type(l, ast->kind == WISP_AST_COMPONENT ? WISP_LINK_COMPONENT : WISP_LINK_INSTANCE);
    type->body = ast->body;
    type->outer = env;
    *ret_type = type;
    if (!env->checks) return 0;
    struct wisp_link_instance *exports;
    l->dry++;
    int r = wisp_link_eval(
        l,
        &(struct wisp_link_eval){
            .body = ast->body, .outer = env, .checks = true, .ret_captures_resources = &type->has_resources},
        &exports);
    l->dry--;
    return r;
}

int wisp_link_type(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_type *ast,
                   struct wisp_link_type **ret_type)
{
    switch (ast->kind) {
    case WISP_AST_VALUE:
        return make_value(l, env, ast, ret_type);
    case WISP_AST_FUNC:
        return make_func(l, env, ast, ret_type);
    case WISP_AST_RESOURCE:
        return make_resource(l, env, ast, ret_type);
    default:
        return make_closure(l, env, ast, ret_type);
    }
}

struct wisp_link_type *wisp_link_name_type(struct wisp_linker *l, const struct wisp_link_type *type,
                                           struct wisp_str name, struct wisp_str owner)
{
    struct wisp_link_type *copy = WISP_NEW(l->scratch, struct wisp_link_type);
    *copy = *type;
    copy->type_name = make_name(l, name, type->type_name);
    if (type->kind == WISP_LINK_RESOURCE) {
        /* A dry evaluation may see a resource of the plan, which it must not touch. */
        if (!l->dry && !type->resource->name.len) {
            type->resource->name = name;
            type->resource->owner = owner;
        }
        add_handles(l, copy);
    }
    if (type->kind != WISP_LINK_VALUE) return copy;
    bool is_handle = type->value->kind == WISP_TYPE_OWN || type->value->kind == WISP_TYPE_BORROW;
    if (is_handle && !copy->handle) copy->handle = type->value;
    copy->named = WISP_NEW(wisp_link_types(l), struct wisp_type);
    *copy->named = *type->value;
    copy->named->named = copy->type_name;
    if (!copy->named->name.len) {
        copy->named->name = name;
        copy->named->owner = owner;
    }
    copy->value = copy->named;
    return copy;
}

/* --- core types --- */

static int resolve_sig(struct wisp_linker *l, const struct wisp_core_sig **sigs, uint32_t n,
                       struct wisp_core_extern *type)
{
    if (type->sort != WISP_CORE_FUNC && type->sort != WISP_CORE_TAG) return 0;
    if (type->type_index >= n)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "core type index out of bounds: %u, and there are %u",
                            type->type_index, n);
    type->sig = sigs[type->type_index];
    return 0;
}

static int outer_core_type(struct wisp_linker *l, const struct wisp_link_env *env,
                           const struct wisp_ast_module_decl *decl, const struct wisp_core_sig **ret_sig)
{
    /* The module type itself is scope 0, and has only types that it could name without an alias. */
    for (uint32_t i = 1; env && i < decl->outer; i++) env = env->outer;
    if (!env || decl->outer == 0)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "invalid outer alias count of %u", decl->outer);
    if (decl->index >= env->n[WISP_SORT_CORE_TYPE])
        return wisp_err_set(l->err, WISP_ERR_INVALID, "core type index out of bounds: %u, and there are %u",
                            decl->index, env->n[WISP_SORT_CORE_TYPE]);
    *ret_sig = env->core_types[decl->index].sig;
    if (!*ret_sig)
        return wisp_err_set(l->err, WISP_ERR_INVALID,
                            "core type index %u is a module type, which cannot be aliased here", decl->index);
    return 0;
}

static int make_module_type(struct wisp_linker *l, const struct wisp_link_env *env,
                            const struct wisp_ast_core_type *ast, struct wisp_core_info *info)
{
    const struct wisp_core_sig **sigs = WISP_NEW_ARRAY(l->scratch, const struct wisp_core_sig *, ast->n_decls);
    uint32_t n_sigs = 0;
    info->imports = WISP_NEW_ARRAY(l->scratch, struct wisp_core_item, ast->n_decls);
    info->exports = WISP_NEW_ARRAY(l->scratch, struct wisp_core_item, ast->n_decls);
    for (uint32_t i = 0; i < ast->n_decls; i++) {
        const struct wisp_ast_module_decl *decl = &ast->decls[i];
        struct wisp_core_item item = decl->item;
        int r = 0;
        if (decl->kind == WISP_AST_MODULE_TYPE)
            sigs[n_sigs++] = decl->sig;
        else if (decl->kind == WISP_AST_MODULE_ALIAS)
            r = outer_core_type(l, env, decl, &sigs[n_sigs++]);
        else
            r = resolve_sig(l, sigs, n_sigs, &item.type);
        if (r < 0) return r;
        if (decl->kind == WISP_AST_MODULE_IMPORT) info->imports[info->n_imports++] = item;
        if (decl->kind == WISP_AST_MODULE_EXPORT) info->exports[info->n_exports++] = item;
    }
    const struct wisp_core_item *duplicate;
    if (!wisp_core_index(info, l->scratch, &duplicate))
        return wisp_err_set(l->err, WISP_ERR_INVALID, "a module type has two imports or exports `%.*s` `%.*s`",
                            WISP_STR_ARG(duplicate->module), WISP_STR_ARG(duplicate->name));
    return 0;
}

int wisp_link_core_type(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_core_type *ast,
                        struct wisp_link_core_type *ret_type)
{
    *ret_type = (struct wisp_link_core_type){.sig = ast->sig};
    if (ast->sig) return 0;
    int r = wisp_link_charge(l, ast->n_decls);
    if (r < 0) return r;
    struct wisp_core_info *info = WISP_NEW(l->scratch, struct wisp_core_info);
    ret_type->module = info;
    return make_module_type(l, env, ast, info);
}
