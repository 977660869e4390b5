/* SPDX-License-Identifier: Apache-2.0 */
/* Giving a value to an import or export of known type: made up, or given and then checked to have that type. */
#include "base/mem.h"
#include "component/link/link_priv.h"

/* --- functions --- */

static void write_func(struct wisp_arena *arena, struct wisp_buf *buf, const struct wisp_func_type *type)
{
    enum { SHOWN_MAX = 20 };
    wisp_buf_append_char(buf, '(');
    for (uint32_t i = 0; i < type->n_params && i < SHOWN_MAX; i++)
        wisp_buf_printf(buf, "%s%.*s: %s", i ? ", " : "", WISP_STR_ARG(type->params[i].name),
                        wisp_type_text(arena, type->params[i].type));
    wisp_buf_append_str(buf, type->n_params > SHOWN_MAX ? WISP_STR(", ...)") : WISP_STR(")"));
    if (type->result) wisp_buf_printf(buf, " -> %s", wisp_type_text(arena, type->result));
}

static int func_mismatch(struct wisp_linker *l, const struct wisp_func_type *have, const struct wisp_func_type *want)
{
    WISP_CLEANUP_BUF struct wisp_buf have_text = {0}, want_text = {0};
    write_func(l->scratch, &have_text, have);
    write_func(l->scratch, &want_text, want);
    return wisp_err_set(l->err, WISP_ERR_INVALID, "expected the function type `%.*s`, found `%.*s`%s",
                        WISP_STR_ARG(wisp_buf_str(&want_text)), WISP_STR_ARG(wisp_buf_str(&have_text)),
                        wisp_str_equal(wisp_buf_str(&have_text), wisp_buf_str(&want_text))
                            ? " (the types of these names, or the resources, are not the same)"
                            : "");
}

static int types_equal(struct wisp_linker *l, const struct wisp_type *a, const struct wisp_type *b, bool *ret_equal)
{
    int r = wisp_link_charge(l, a->weight < b->weight ? a->weight : b->weight);
    if (r == 0) *ret_equal = wisp_type_equal(a, b);
    return r;
}

static int match_func(struct wisp_linker *l, const struct wisp_func_type *have, const struct wisp_func_type *want)
{
    bool equal = have->n_params == want->n_params && !have->result == !want->result;
    for (uint32_t i = 0; equal && i < want->n_params; i++) {
        int r = types_equal(l, have->params[i].type, want->params[i].type, &equal);
        if (r < 0) return r;
        equal &= wisp_str_equal(have->params[i].name, want->params[i].name);
    }
    if (equal && want->result) {
        int r = types_equal(l, have->result, want->result, &equal);
        if (r < 0) return r;
    }
    return equal ? 0 : func_mismatch(l, have, want);
}

/* Registers an import of the root, or of an instance that the root imports. */
static int import_func(struct wisp_linker *l, const struct wisp_link_binding *binding, struct wisp_link_func *func)
{
    struct wisp_component *component = l->component;
    if (binding->is_nested && !binding->owner.len)
        return wisp_err_set(l->err, WISP_ERR_UNSUPPORTED, "importing functions of instances within instances");
    func->origin = WISP_LINK_IMPORTED;
    func->index = component->n_import_funcs;
    *WISP_PUSH(l->scratch, component->import_funcs, component->n_import_funcs, l->capacity.import_funcs) =
        (struct wisp_import_func){binding->owner, binding->name, func->type};
    return 0;
}

static int bind_func(struct wisp_linker *l, struct wisp_link_env *env, uint32_t index,
                     const struct wisp_link_binding *binding, struct wisp_link_func **ret_func)
{
    struct wisp_link_type *type;
    int r = wisp_link_get_type(l, env, index, WISP_LINK_FUNC, &type);
    if (r < 0) return r;
    struct wisp_link_func *func = *ret_func = WISP_NEW(l->scratch, struct wisp_link_func);
    func->type = type->func;
    if (!binding->given) return binding->is_root_import && !l->dry ? import_func(l, binding, func) : 0;
    func->origin = binding->given->func->origin;
    func->index = binding->given->func->index;
    return match_func(l, binding->given->func->type, type->func);
}

/* --- instances and components --- */

static int bind_instance(struct wisp_linker *l, const struct wisp_link_type *type,
                         const struct wisp_link_binding *binding, struct wisp_link_instance **ret_instance)
{
    /* Instances within an imported instance have no name that a flat list of imports could give. */
    struct wisp_str owner = binding->is_nested ? (struct wisp_str){0} : binding->name;
    return wisp_link_eval(l,
                          &(struct wisp_link_eval){.body = type->body,
                                                   .outer = type->outer,
                                                   .source = binding->given ? binding->given->instance : NULL,
                                                   .owner = owner,
                                                   .is_root_import = binding->is_root_import,
                                                   .is_ascription = binding->is_ascription},
                          ret_instance);
}

/* A component has a type when, instantiated with what the type imports, it gives what the type exports. */
static int match_component(struct wisp_linker *l, const struct wisp_link_component *have,
                           const struct wisp_link_type *want)
{
    struct wisp_link_instance imports = {0}, *exports;
    struct wisp_link_eval eval = {.body = want->body, .outer = want->outer, .ret_imports = &imports};
    int r = wisp_link_eval(l, &eval, &exports);
    if (r == 0) r = wisp_link_instantiate(l, have, 0, &imports, &exports);
    if (r < 0) return r;
    eval.args = &imports;
    eval.source = exports;
    eval.ret_imports = NULL;
    return wisp_link_eval(l, &eval, &exports);
}

static int bind_component(struct wisp_linker *l, const struct wisp_link_type *type,
                          const struct wisp_link_binding *binding, struct wisp_link_component **ret_component)
{
    struct wisp_link_component *component = *ret_component = WISP_NEW(l->scratch, struct wisp_link_component);
    component->body = type->body;
    component->outer = type->outer;
    if (!binding->given) return 0;
    component->actual = binding->given->component;
    l->dry++;
    int r = match_component(l, binding->given->component, type);
    l->dry--;
    return r;
}

/* --- types --- */

static int match_type(struct wisp_linker *l, const struct wisp_link_type *have, const struct wisp_link_type *want);

/* Types of instances and components are equal when each is a subtype of the other. */
static int match_closures(struct wisp_linker *l, const struct wisp_link_type *have, const struct wisp_link_type *want)
{
    if (have->kind == WISP_LINK_COMPONENT) {
        struct wisp_link_component component = {.body = have->body, .outer = have->outer};
        return match_component(l, &component, want);
    }
    struct wisp_link_instance *instance, *ignored;
    int r = bind_instance(l, have, &(struct wisp_link_binding){0}, &instance);
    if (r < 0) return r;
    struct wisp_link_value given = {.sort = WISP_SORT_INSTANCE, .instance = instance};
    return bind_instance(l, want, &(struct wisp_link_binding){.given = &given}, &ignored);
}

static int match_type(struct wisp_linker *l, const struct wisp_link_type *have, const struct wisp_link_type *want)
{
    static const char *const names[] = {[WISP_LINK_VALUE] = "a defined type",
                                        [WISP_LINK_FUNC] = "a function type",
                                        [WISP_LINK_RESOURCE] = "a resource",
                                        [WISP_LINK_COMPONENT] = "a component type",
                                        [WISP_LINK_INSTANCE] = "an instance type"};
    if (have->kind != want->kind)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "expected %s, found %s", names[want->kind], names[have->kind]);
    bool equal = true;
    int r = 0;
    switch (want->kind) {
    case WISP_LINK_VALUE:
        r = types_equal(l, have->value, want->value, &equal);
        if (r < 0 || equal) return r;
        return wisp_err_set(l->err, WISP_ERR_INVALID, "expected the type `%s`, found `%s`",
                            wisp_type_text(l->scratch, want->value), wisp_type_text(l->scratch, have->value));
    case WISP_LINK_FUNC:
        return match_func(l, have->func, want->func);
    case WISP_LINK_RESOURCE:
        if (have->resource == want->resource) return 0;
        return wisp_err_set(l->err, WISP_ERR_INVALID, "resource types are not the same: expected `%.*s`, found `%.*s`",
                            WISP_STR_ARG(want->resource->name), WISP_STR_ARG(have->resource->name));
    default:
        l->dry++;
        r = match_closures(l, have, want);
        if (r == 0) r = match_closures(l, want, have);
        l->dry--;
        return r;
    }
}

static int bind_resource(struct wisp_linker *l, const struct wisp_link_binding *binding,
                         struct wisp_link_type **ret_type)
{
    if (!binding->given) {
        *ret_type = wisp_link_resource(l, NULL, binding->name, binding->owner);
        return 0;
    }
    *ret_type = binding->given->type;
    if ((*ret_type)->kind != WISP_LINK_RESOURCE)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "expected a resource, found another type");
    if (!binding->is_ascription) return 0;
    /* Outside, it is another resource than the one it is inside. For checking, that can be made up. */
    if (!l->dry) return wisp_err_set(l->err, WISP_ERR_UNSUPPORTED, "exporting a type as an opaque resource");
    *ret_type = wisp_link_resource(l, NULL, binding->name, binding->owner);
    return 0;
}

static int bind_type(struct wisp_linker *l, struct wisp_link_env *env, uint32_t index,
                     const struct wisp_link_binding *binding, struct wisp_link_type **ret_type)
{
    struct wisp_link_value bound;
    int r = wisp_link_get(l, env, WISP_SORT_TYPE, index, &bound);
    if (r < 0) return r;
    if (!binding->given) {
        *ret_type = wisp_link_name_type(l, bound.type, binding->name, binding->owner);
        return 0;
    }
    /* An argument keeps its identity: that is the substitution. An ascribed export takes that of the ascription. */
    *ret_type = binding->is_ascription ? bound.type : binding->given->type;
    return match_type(l, binding->given->type, bound.type);
}

/* --- modules --- */

static int bind_module(struct wisp_linker *l, struct wisp_link_env *env, uint32_t index,
                       const struct wisp_link_binding *binding, struct wisp_link_module **ret_module)
{
    if (index >= env->n[WISP_SORT_CORE_TYPE])
        return wisp_err_set(l->err, WISP_ERR_INVALID, "core type index out of bounds: %u, and there are %u", index,
                            env->n[WISP_SORT_CORE_TYPE]);
    const struct wisp_core_info *info = env->core_types[index].module;
    if (!info) return wisp_err_set(l->err, WISP_ERR_INVALID, "core type index %u is not a module type", index);
    if (!binding->given) {
        *ret_module = WISP_NEW(l->scratch, struct wisp_link_module);
        **ret_module = (struct wisp_link_module){.info = info, .is_type = true};
        return 0;
    }
    *ret_module = binding->given->module;
    return wisp_link_match_module(l, (*ret_module)->info, info);
}

int wisp_link_bind(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_extern *type,
                   const struct wisp_link_binding *binding, struct wisp_link_value *ret_value)
{
    int r = wisp_link_charge(l, 1);
    if (r < 0) return r;
    if (binding->given && binding->given->sort != type->sort)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "expected %s, found %s", wisp_sort_name(type->sort),
                            wisp_sort_name(binding->given->sort));
    ret_value->sort = type->sort;
    struct wisp_link_type *closure;
    switch (type->sort) {
    case WISP_SORT_FUNC:
        return bind_func(l, env, type->index, binding, &ret_value->func);
    case WISP_SORT_TYPE:
        if (type->is_sub_resource) return bind_resource(l, binding, &ret_value->type);
        return bind_type(l, env, type->index, binding, &ret_value->type);
    case WISP_SORT_INSTANCE:
        r = wisp_link_get_type(l, env, type->index, WISP_LINK_INSTANCE, &closure);
        return r < 0 ? r : bind_instance(l, closure, binding, &ret_value->instance);
    case WISP_SORT_COMPONENT:
        r = wisp_link_get_type(l, env, type->index, WISP_LINK_COMPONENT, &closure);
        return r < 0 ? r : bind_component(l, closure, binding, &ret_value->component);
    default:
        return bind_module(l, env, type->index, binding, &ret_value->module);
    }
}
