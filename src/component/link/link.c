/* SPDX-License-Identifier: Apache-2.0 */
#include "component/link/link.h"

#include "component/link/link_priv.h"

enum { OUTER_SHOWN = 2 }; /* levels of instantiation that an error's text tells */

/* --- aliases --- */

static int alias_export(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def)
{
    struct wisp_link_value value;
    int r = wisp_link_get(l, env, WISP_SORT_INSTANCE, def->alias.instance, &value);
    if (r < 0) return r;
    const struct wisp_link_member *member = wisp_link_find(value.instance, def->alias.name);
    if (!member)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "instance %u has no export named `%.*s`", def->alias.instance,
                            WISP_STR_ARG(def->alias.name));
    if (member->value.sort != def->alias.sort)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "export `%.*s` of instance %u is of sort %s, not %s",
                            WISP_STR_ARG(def->alias.name), def->alias.instance, wisp_sort_name(member->value.sort),
                            wisp_sort_name(def->alias.sort));
    wisp_link_add(env, member->value);
    return 0;
}

/* A type from outside. Components must be closed but for what can be copied, and resources cannot; types within types
 * may refer to them, which whoever takes such a type across a component's boundary must know. */
static int alias_outer_type(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_link_env *target,
                            const struct wisp_link_type *type)
{
    if (!type->has_resources) return 0;
    for (struct wisp_link_env *scope = env; scope != target; scope = scope->outer) {
        if (scope->body->kind == WISP_AST_BODY_COMPONENT)
            return wisp_err_set(l->err, WISP_ERR_INVALID,
                                "an outer alias transitively refers to resources, which must "
                                "not be defined outside of the component");
        scope->captures_resources = true;
    }
    return 0;
}

static int alias_outer(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def)
{
    struct wisp_link_env *target = env;
    for (uint32_t i = 0; target && i < def->alias.outer; i++) target = target->outer;
    if (!target) return wisp_err_set(l->err, WISP_ERR_INVALID, "invalid outer alias count of %u", def->alias.outer);
    if (def->alias.sort == WISP_SORT_CORE_TYPE) {
        if (def->alias.index >= target->n[WISP_SORT_CORE_TYPE])
            return wisp_err_set(l->err, WISP_ERR_INVALID, "core type index out of bounds: %u, and there are %u",
                                def->alias.index, target->n[WISP_SORT_CORE_TYPE]);
        env->core_types[env->n[WISP_SORT_CORE_TYPE]++] = target->core_types[def->alias.index];
        return 0;
    }
    struct wisp_link_value value;
    int r = wisp_link_get(l, target, def->alias.sort, def->alias.index, &value);
    if (r == 0 && value.sort == WISP_SORT_TYPE) r = alias_outer_type(l, env, target, value.type);
    if (r == 0) wisp_link_add(env, value);
    return r;
}

/* --- components and instances --- */

static int define_component(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def)
{
    struct wisp_link_component *component = WISP_NEW(l->scratch, struct wisp_link_component);
    *component = (struct wisp_link_component){.body = def->component, .outer = env};
    int r = 0;
    if (env->checks) {
        struct wisp_link_instance *exports;
        l->dry++;
        r = wisp_link_eval(l, &(struct wisp_link_eval){.body = def->component, .outer = env, .checks = true}, &exports);
        l->dry--;
    }
    wisp_link_add(env, (struct wisp_link_value){.sort = WISP_SORT_COMPONENT, .component = component});
    return r;
}

static int collect_args(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_def *def,
                        struct wisp_link_instance *args)
{
    int r = wisp_link_charge(l, def->instance.n_args);
    if (r < 0) return r;
    for (uint32_t i = 0; i < def->instance.n_args; i++) {
        const struct wisp_ast_arg *arg = &def->instance.args[i];
        /* Core items cannot be arguments, except modules. */
        struct wisp_link_member member = {.name = arg->name.text, .parsed = &arg->name};
        r = wisp_link_get(l, env, arg->ref.sort, arg->ref.index, &member.value);
        if (r < 0) return wisp_err_wrap(l->err, "`%.*s`", WISP_STR_ARG(arg->name.text));
        wisp_link_put(l, args, member);
    }
    const struct wisp_link_member *duplicate;
    wisp_link_seal(l, args, &duplicate);
    if (duplicate)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "name `%.*s` conflicts with previous name `%.*s`",
                            WISP_STR_ARG(duplicate->name), WISP_STR_ARG(duplicate->name));
    return 0;
}

/* An instance put together from definitions. It introduces no type indices of its own, so nothing in it can be the
 * resource that an annotated name speaks of. */
static int check_bag(struct wisp_linker *l, const struct wisp_link_instance *bag)
{
    for (uint32_t i = 0; i < bag->n; i++) {
        const struct wisp_extern_name *name = bag->members[i].parsed;
        if (name->kind != WISP_NAME_LABEL && name->kind != WISP_NAME_INTERFACE)
            return wisp_err_set(l->err, WISP_ERR_INVALID,
                                "export `%.*s`: its resource does not have a name in this context",
                                WISP_STR_ARG(name->text));
    }
    return wisp_link_check_unique(l, bag, "export");
}

static uint32_t add_instance(struct wisp_linker *l, uint32_t parent)
{
    struct wisp_component *component = l->component;
    *WISP_PUSH(l->scratch, component->instance_parents, component->n_instances, l->capacity.instances) = parent;
    return component->n_instances - 1;
}

int wisp_link_instantiate(struct wisp_linker *l, const struct wisp_link_component *component, uint32_t parent,
                          const struct wisp_link_instance *args, struct wisp_link_instance **ret_instance)
{
    struct wisp_link_eval eval = {.body = component->body, .outer = component->outer, .args = args};
    if (component->actual) {
        /* Through the type that it was asked for, so that nothing else of it shows. */
        int r = wisp_link_instantiate(l, component->actual, parent, args, ret_instance);
        if (r < 0) return r;
        eval.source = *ret_instance;
    } else if (component->body->kind == WISP_AST_BODY_COMPONENT_TYPE && !l->dry) {
        return wisp_err_set(l->err, WISP_ERR_UNSUPPORTED, "instantiating an imported component");
    }
    if (component->body->kind == WISP_AST_BODY_COMPONENT && !l->dry) eval.instance = add_instance(l, parent);
    return wisp_link_eval(l, &eval, ret_instance);
}

static int define_instance(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def)
{
    struct wisp_link_instance *members = WISP_NEW(l->scratch, struct wisp_link_instance), *instance = members;
    int r = collect_args(l, env, def, members);
    if (r < 0) return r;
    if (def->instance.is_instantiate) {
        struct wisp_link_value component;
        r = wisp_link_get(l, env, WISP_SORT_COMPONENT, def->instance.index, &component);
        if (r == 0) r = wisp_link_instantiate(l, component.component, env->instance, members, &instance);
        if (r < 0 && l->depth <= OUTER_SHOWN) wisp_err_wrap(l->err, "instance of component %u", def->instance.index);
        if (r < 0) return r;
    } else if (env->checks) {
        r = check_bag(l, members);
    }
    if (r == 0) wisp_link_add(env, (struct wisp_link_value){.sort = WISP_SORT_INSTANCE, .instance = instance});
    return r;
}

/* --- imports and exports --- */

static int add_external(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def,
                        struct wisp_link_value value)
{
    bool is_import = def->kind == WISP_AST_DEF_IMPORT;
    const struct wisp_extern_name *name = def->external.name;
    struct wisp_link_member member = {.name = name->text, .parsed = name, .value = value};
    int r = env->checks ? wisp_link_check_external(l, env, is_import, &member) : 0;
    if (r < 0) return r;
    wisp_link_put(l, is_import ? &env->imports : &env->exports, member);
    wisp_link_add(env, value);
    return 0;
}

/* An import, or an export of a type: the value is in `from`, or made up. */
static int bind_external(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def,
                         const struct wisp_link_instance *from, const struct wisp_link_eval *eval)
{
    const struct wisp_extern_name *name = def->external.name;
    struct wisp_link_binding binding = {.name = name->text,
                                        .owner = eval->owner,
                                        .is_root_import = eval->is_root_import,
                                        .is_nested =
                                            eval->is_root_import && eval->body->kind != WISP_AST_BODY_COMPONENT,
                                        .is_ascription = eval->is_ascription};
    if (from) {
        const struct wisp_link_member *member = wisp_link_find(from, name->text);
        if (!member)
            return wisp_err_set(l->err, WISP_ERR_INVALID, "missing %s",
                                def->kind == WISP_AST_DEF_IMPORT ? "argument for this import" : "expected export");
        binding.given = &member->value;
    }
    struct wisp_link_value value;
    int r = wisp_link_bind(l, env, &def->external.type, &binding, &value);
    return r < 0 ? r : add_external(l, env, def, value);
}

static int define_export(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def)
{
    const struct wisp_extern_name *name = def->external.name;
    struct wisp_link_value value;
    int r = wisp_link_get(l, env, def->external.ref.sort, def->external.ref.index, &value);
    if (r < 0) return r;
    if (def->external.has_type) {
        struct wisp_link_value given = value;
        r = wisp_link_bind(l, env, &def->external.type,
                           &(struct wisp_link_binding){.given = &given, .name = name->text, .is_ascription = true},
                           &value);
        if (r < 0) return wisp_err_wrap(l->err, "ascribed type of export is not compatible");
    }
    if (value.sort == WISP_SORT_TYPE) value.type = wisp_link_name_type(l, value.type, name->text, (struct wisp_str){0});
    return add_external(l, env, def, value);
}

/* --- evaluation --- */

static int define_type(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def)
{
    struct wisp_link_value value = {.sort = WISP_SORT_TYPE};
    int r = wisp_link_type(l, env, def->type, &value.type);
    if (r == 0) wisp_link_add(env, value);
    return r;
}

static int define_module(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def)
{
    struct wisp_link_module *module = WISP_NEW(l->scratch, struct wisp_link_module);
    module->info = def->module;
    wisp_link_add(env, (struct wisp_link_value){.sort = WISP_SORT_CORE_MODULE, .module = module});
    return 0;
}

static int define(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def,
                  const struct wisp_link_eval *eval)
{
    switch (def->kind) {
    case WISP_AST_DEF_CORE_MODULE:
        return define_module(l, env, def);
    case WISP_AST_DEF_CORE_INSTANCE:
        return wisp_link_core_instance(l, env, def);
    case WISP_AST_DEF_CORE_TYPE: {
        struct wisp_link_core_type *type = &env->core_types[env->n[WISP_SORT_CORE_TYPE]];
        int r = wisp_link_core_type(l, env, def->core_type, type);
        env->n[WISP_SORT_CORE_TYPE]++;
        return r;
    }
    case WISP_AST_DEF_COMPONENT:
        return define_component(l, env, def);
    case WISP_AST_DEF_INSTANCE:
        return define_instance(l, env, def);
    case WISP_AST_DEF_ALIAS_EXPORT:
        return alias_export(l, env, def);
    case WISP_AST_DEF_ALIAS_CORE_EXPORT:
        return wisp_link_alias_core(l, env, def);
    case WISP_AST_DEF_ALIAS_OUTER:
        return alias_outer(l, env, def);
    case WISP_AST_DEF_TYPE:
        return define_type(l, env, def);
    case WISP_AST_DEF_CANON:
        return wisp_link_canon(l, env, def->canon);
    case WISP_AST_DEF_IMPORT:
        return bind_external(l, env, def, eval->args, eval);
    case WISP_AST_DEF_EXPORT:
        return define_export(l, env, def);
    default: /* WISP_AST_DEF_EXPORT_DECL */
        return bind_external(l, env, def, eval->source, eval);
    }
}

/* Puts in front where the failure happened: the innermost definition, and the outermost ones that led there. All of
 * them could fill the error's text and leave no room for the cause. */
static int locate(struct wisp_linker *l, const struct wisp_ast_def *def, int r)
{
    if (l->is_located && l->depth > OUTER_SHOWN) return r;
    l->is_located = true;
    switch (def->kind) {
    case WISP_AST_DEF_IMPORT:
        wisp_err_wrap(l->err, "import `%.*s`", WISP_STR_ARG(def->external.name->text));
        break;
    case WISP_AST_DEF_EXPORT:
    case WISP_AST_DEF_EXPORT_DECL:
        wisp_err_wrap(l->err, "export `%.*s`", WISP_STR_ARG(def->external.name->text));
        break;
    default:
        break;
    }
    return wisp_err_wrap(l->err, "at 0x%x", def->offset);
}

static int finish(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_link_eval *eval)
{
    const struct wisp_link_member *ignored; /* checked as part of strong uniqueness */
    wisp_link_seal(l, &env->imports, &ignored);
    wisp_link_seal(l, &env->exports, &ignored);
    if (eval->ret_imports) *eval->ret_imports = env->imports;
    if (eval->ret_captures_resources) *eval->ret_captures_resources = env->captures_resources;
    if (!env->checks) return 0;
    int r = wisp_link_check_unique(l, &env->imports, "import");
    if (r == 0) r = wisp_link_check_unique(l, &env->exports, "export");
    return r < 0 ? wisp_err_wrap(l->err, "at 0x%x", env->body->offset) : 0;
}

int wisp_link_eval(struct wisp_linker *l, const struct wisp_link_eval *eval, struct wisp_link_instance **ret_exports)
{
    if (l->depth >= WISP_LINK_DEPTH_MAX)
        return wisp_err_set(l->err, WISP_ERR_LIMIT, "instances or types are nested more than %d deep",
                            WISP_LINK_DEPTH_MAX);
    struct wisp_link_env *env;
    int r = wisp_link_charge(l, WISP_LINK_EVAL_WORK + eval->body->n_defs);
    if (r == 0) r = wisp_link_env_new(l, eval, &env);
    if (r < 0) return r;
    l->depth++;
    for (uint32_t i = 0; i < eval->body->n_defs && r == 0; i++) {
        r = define(l, env, &eval->body->defs[i], eval);
        if (r < 0) r = locate(l, &eval->body->defs[i], r);
    }
    l->depth--;
    if (r == 0) r = finish(l, env, eval);
    if (r == 0) *ret_exports = &env->exports;
    return r;
}

#define SETTLE(arena, items, n) ((items) = settle((arena), (items), (n) * sizeof *(items)))

static void *settle(struct wisp_arena *arena, const void *items, size_t size)
{
    void *copy = wisp_arena_alloc(arena, size);
    if (size) memcpy(copy, items, size);
    return copy;
}

/* Lists grow in the scratch arena and stay at their final size: a host has many components. */
static void settle_lists(struct wisp_component *component)
{
    struct wisp_arena *arena = &component->arena;
    SETTLE(arena, component->resources, component->n_resources);
    SETTLE(arena, component->import_funcs, component->n_import_funcs);
    SETTLE(arena, component->export_funcs, component->n_export_funcs);
    SETTLE(arena, component->lifted_funcs, component->n_lifted_funcs);
    SETTLE(arena, component->modules, component->n_modules);
    SETTLE(arena, component->trampolines, component->n_trampolines);
    SETTLE(arena, component->steps, component->n_steps);
    SETTLE(arena, component->destructors, component->n_destructors);
    SETTLE(arena, component->instance_parents, component->n_instances);
}

int wisp_component_link(struct wisp_component *component, const struct wisp_ast *ast, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena scratch = {0};
    struct wisp_linker l = {.component = component, .scratch = &scratch, .err = err, .work_left = WISP_LINK_WORK_MAX};
    l.plan_modules = WISP_NEW_ARRAY(&scratch, int32_t, ast->n_modules);
    for (uint32_t i = 0; i < ast->n_modules; i++) l.plan_modules[i] = -1;
    (void)add_instance(&l, UINT32_MAX);
    component->producers = ast->producers.items;
    component->n_producers = ast->producers.n;
    struct wisp_link_instance imports, *exports;
    struct wisp_link_eval eval = {.body = ast->root, .checks = true, .is_root_import = true, .ret_imports = &imports};
    l.dry = 1;
    int r = wisp_link_eval(&l, &eval, &exports);
    l.dry = 0;
    eval.checks = false;
    if (r == 0) r = wisp_link_eval(&l, &eval, &exports);
    if (r == 0) r = wisp_link_world(&l, &imports, exports);
    if (r == 0) settle_lists(component);
    return r;
}
