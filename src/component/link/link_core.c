/* SPDX-License-Identifier: Apache-2.0 */
#include "component/link/link_priv.h"

#include <stdlib.h>

/* --- names of arguments and members --- */

static int compare_args(const void *a, const void *b, void *args)
{
    const struct wisp_ast_arg *list = args;
    return wisp_str_compare(list[*(const uint32_t *)a].name.text, list[*(const uint32_t *)b].name.text);
}

static int index_args(struct wisp_linker *l, struct wisp_ast_arg *args, uint32_t n, uint32_t **ret_by_name)
{
    int r = wisp_link_charge(l, n);
    if (r < 0) return r;
    uint32_t *by_name = *ret_by_name = WISP_NEW_ARRAY(l->scratch, uint32_t, n);
    for (uint32_t i = 0; i < n; i++) by_name[i] = i;
    if (n) qsort_r(by_name, n, sizeof *by_name, compare_args, args);
    for (uint32_t i = 1; i < n; i++)
        if (compare_args(&by_name[i - 1], &by_name[i], args) == 0)
            return wisp_err_set(l->err, WISP_ERR_INVALID, "the name `%.*s` is given twice",
                                WISP_STR_ARG(args[by_name[i]].name.text));
    return 0;
}

/* Position of the name, or -1. */
static int64_t find_arg(const struct wisp_ast_arg *args, const uint32_t *by_name, uint32_t n, struct wisp_str name)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = wisp_str_compare(name, args[by_name[middle]].name.text);
        if (order == 0) return by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

static bool find_export(const struct wisp_link_core_instance *instance, struct wisp_str name,
                        struct wisp_link_core_item *ret_item)
{
    if (instance->info) {
        const struct wisp_core_item *item = wisp_core_find_export(instance->info, name);
        if (!item) return false;
        *ret_item = (struct wisp_link_core_item){.type = &item->type, .ref = {instance->step, item->name}};
        return true;
    }
    int64_t i = find_arg(instance->names, instance->by_name, instance->n, name);
    if (i >= 0) *ret_item = instance->items[i];
    return i >= 0;
}

static int get_instance(struct wisp_linker *l, const struct wisp_link_env *env, uint32_t index,
                        const struct wisp_link_core_instance **ret_instance)
{
    if (index >= env->n[WISP_SORT_CORE_INSTANCE])
        return wisp_err_set(l->err, WISP_ERR_INVALID, "core instance index out of bounds: %u, and there are %u", index,
                            env->n[WISP_SORT_CORE_INSTANCE]);
    *ret_instance = env->core_instances[index];
    return 0;
}

int wisp_link_alias_core(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def)
{
    const struct wisp_link_core_instance *instance;
    struct wisp_link_core_item item;
    int r = get_instance(l, env, def->alias.instance, &instance);
    if (r < 0) return r;
    if (!find_export(instance, def->alias.name, &item))
        return wisp_err_set(l->err, WISP_ERR_INVALID, "core instance %u has no export named `%.*s`",
                            def->alias.instance, WISP_STR_ARG(def->alias.name));
    if ((int)item.type->sort != (int)def->alias.sort)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "export `%.*s` of core instance %u is of sort %s, not %s",
                            WISP_STR_ARG(def->alias.name), def->alias.instance, wisp_core_sort_name(item.type->sort),
                            wisp_sort_name(def->alias.sort));
    wisp_link_add_core(env, item);
    return 0;
}

/* --- instances --- */

/* Position of a module in the plan, which it enters when it is first instantiated. */
static int plan_module(struct wisp_linker *l, const struct wisp_link_module *module, uint32_t *ret_module)
{
    if (module->is_type) return wisp_err_set(l->err, WISP_ERR_UNSUPPORTED, "instantiating an imported core module");
    struct wisp_component *component = l->component;
    int32_t *position = &l->plan_modules[module->info->ordinal];
    if (*position < 0) {
        *position = (int32_t)component->n_modules;
        *WISP_PUSH(l->scratch, component->modules, component->n_modules, l->capacity.modules) = module->info->plan;
    }
    *ret_module = (uint32_t)*position;
    return 0;
}

static int add_step(struct wisp_linker *l, const struct wisp_link_module *module, struct wisp_plan_import *imports,
                    int32_t *ret_step)
{
    *ret_step = 0;
    if (l->dry) return 0;
    struct wisp_component *component = l->component;
    if (component->n_steps == WISP_PLAN_STEPS_MAX)
        return wisp_err_set(l->err, WISP_ERR_LIMIT, "more than %d core instances", WISP_PLAN_STEPS_MAX);
    struct wisp_plan_step step = {.imports = imports, .n_imports = module->info->n_imports};
    int r = plan_module(l, module, &step.module);
    if (r < 0) return r;
    *ret_step = (int32_t)component->n_steps;
    *WISP_PUSH(l->scratch, component->steps, component->n_steps, l->capacity.steps) = step;
    return 0;
}

static int resolve_import(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_def *def,
                          const uint32_t *by_name, const struct wisp_core_item *import,
                          struct wisp_link_core_item *ret_item)
{
    int64_t arg = find_arg(def->instance.args, by_name, def->instance.n_args, import->module);
    if (arg < 0) return wisp_err_set(l->err, WISP_ERR_INVALID, "missing module instantiation argument");
    const struct wisp_link_core_instance *instance;
    int r = get_instance(l, env, def->instance.args[arg].ref.index, &instance);
    if (r < 0) return r;
    if (!find_export(instance, import->name, ret_item))
        return wisp_err_set(l->err, WISP_ERR_INVALID, "the instance given does not export an item named `%.*s`",
                            WISP_STR_ARG(import->name));
    if (!wisp_core_matches(ret_item->type, &import->type))
        return wisp_err_set(l->err, WISP_ERR_INVALID, "expected %s, found %s",
                            wisp_core_extern_text(l->scratch, &import->type),
                            wisp_core_extern_text(l->scratch, ret_item->type));
    return 0;
}

static int instantiate(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def,
                       struct wisp_link_core_instance *instance)
{
    struct wisp_link_value module;
    uint32_t *by_name;
    int r = wisp_link_get(l, env, WISP_SORT_CORE_MODULE, def->instance.index, &module);
    if (r == 0) r = index_args(l, def->instance.args, def->instance.n_args, &by_name);
    if (r < 0) return r;
    const struct wisp_link_core_instance *ignored;
    for (uint32_t i = 0; i < def->instance.n_args && r == 0; i++)
        r = get_instance(l, env, def->instance.args[i].ref.index, &ignored);
    const struct wisp_core_info *info = instance->info = module.module->info;
    if (r == 0) r = wisp_link_charge(l, info->n_imports);
    if (r < 0) return r;
    struct wisp_plan_import *imports = WISP_NEW_ARRAY(wisp_link_types(l), struct wisp_plan_import, info->n_imports);
    for (uint32_t i = 0; i < info->n_imports; i++) {
        const struct wisp_core_item *import = &info->imports[i];
        struct wisp_link_core_item item;
        r = resolve_import(l, env, def, by_name, import, &item);
        if (r < 0)
            return wisp_err_wrap(l->err, "core module %u: import `%.*s` `%.*s`", def->instance.index,
                                 WISP_STR_ARG(import->module), WISP_STR_ARG(import->name));
        imports[i] = (struct wisp_plan_import){import->module, import->name, item.is_trampoline, item.trampoline,
                                               item.is_trampoline ? (struct wisp_core_ref){.instance = -1} : item.ref};
    }
    return add_step(l, module.module, imports, &instance->step);
}

/* From items of the index spaces. */
static int put_together(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_def *def,
                        struct wisp_link_core_instance *instance)
{
    instance->names = def->instance.args;
    instance->n = def->instance.n_args;
    int r = index_args(l, def->instance.args, instance->n, &instance->by_name);
    if (r < 0) return r;
    instance->items = WISP_NEW_ARRAY(l->scratch, struct wisp_link_core_item, instance->n);
    for (uint32_t i = 0; i < instance->n && r == 0; i++) {
        const struct wisp_ast_ref *ref = &def->instance.args[i].ref;
        r = wisp_link_get_core(l, env, ref->sort, ref->index, &instance->items[i]);
    }
    return r;
}

int wisp_link_core_instance(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def)
{
    struct wisp_link_core_instance *instance = WISP_NEW(l->scratch, struct wisp_link_core_instance);
    int r = def->instance.is_instantiate ? instantiate(l, env, def, instance) : put_together(l, env, def, instance);
    env->core_instances[env->n[WISP_SORT_CORE_INSTANCE]++] = instance;
    return r;
}

/* --- module types --- */

static int mismatch(struct wisp_linker *l, const char *what, const struct wisp_core_item *have,
                    const struct wisp_core_item *want)
{
    return wisp_err_set(l->err, WISP_ERR_INVALID, "type mismatch in %s `%.*s` `%.*s`: expected %s, found %s", what,
                        WISP_STR_ARG(want->module), WISP_STR_ARG(want->name),
                        wisp_core_extern_text(l->scratch, &want->type), wisp_core_extern_text(l->scratch, &have->type));
}

int wisp_link_match_module(struct wisp_linker *l, const struct wisp_core_info *have, const struct wisp_core_info *want)
{
    int r = wisp_link_charge(l, have->n_imports + want->n_exports);
    if (r < 0) return r;
    for (uint32_t i = 0; i < have->n_imports; i++) {
        const struct wisp_core_item *needed = &have->imports[i];
        const struct wisp_core_item *promised = wisp_core_find_import(want, needed->module, needed->name);
        if (!promised)
            return wisp_err_set(l->err, WISP_ERR_INVALID, "missing expected import `%.*s` `%.*s`",
                                WISP_STR_ARG(needed->module), WISP_STR_ARG(needed->name));
        if (!wisp_core_matches(&promised->type, &needed->type)) return mismatch(l, "import", promised, needed);
    }
    for (uint32_t i = 0; i < want->n_exports; i++) {
        const struct wisp_core_item *wanted = &want->exports[i];
        const struct wisp_core_item *found = wisp_core_find_export(have, wanted->name);
        if (!found)
            return wisp_err_set(l->err, WISP_ERR_INVALID, "missing expected export `%.*s`", WISP_STR_ARG(wanted->name));
        if (!wisp_core_matches(&found->type, &wanted->type)) return mismatch(l, "export", found, wanted);
    }
    return 0;
}
