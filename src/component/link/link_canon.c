/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical definitions: functions lifted, lowered, and the built-ins of resources. */
#include "component/link/link_priv.h"

#define I32 WISP_FLAT_I32

/* --- options --- */

static int bad_signature(struct wisp_linker *l, const char *option, const struct wisp_core_extern *type)
{
    return wisp_err_set(l->err, WISP_ERR_INVALID,
                        "canonical option `%s` uses a core function with an incorrect signature: %s", option,
                        wisp_core_extern_text(l->scratch, type));
}

/* The plan refers to functions of core modules only. A function that the canonical ABI made would have to be called
 * through a module of its own; no tool emits that. */
static int module_func(struct wisp_linker *l, const struct wisp_link_core_item *item, const char *what,
                       struct wisp_core_ref *ret_ref)
{
    if (item->is_trampoline && !l->dry)
        return wisp_err_set(l->err, WISP_ERR_UNSUPPORTED, "%s that is not a core module's function", what);
    *ret_ref = item->ref;
    return 0;
}

static int option_func(struct wisp_linker *l, const struct wisp_link_env *env, uint32_t index, const char *option,
                       const struct wisp_core_func_type *signature, struct wisp_core_ref *ret_ref)
{
    struct wisp_link_core_item item;
    int r = wisp_link_get_core(l, env, WISP_SORT_CORE_FUNC, index, &item);
    if (r < 0) return r;
    if (!wisp_core_sig_is(item.type->sig, signature)) return bad_signature(l, option, item.type);
    return module_func(l, &item, option, ret_ref);
}

static int option_memory(struct wisp_linker *l, const struct wisp_link_env *env, uint32_t index,
                         struct wisp_core_ref *ret_ref)
{
    struct wisp_link_core_item item;
    int r = wisp_link_get_core(l, env, WISP_SORT_CORE_MEMORY, index, &item);
    if (r < 0) return r;
    if (item.type->is_64 || item.type->page_size_log2 != 16)
        return wisp_err_set(l->err, WISP_ERR_UNSUPPORTED, "memories with 64-bit addresses or pages of their own size");
    *ret_ref = item.ref;
    return 0;
}

static int make_options(struct wisp_linker *l, const struct wisp_link_env *env, const struct wisp_ast_canon *canon,
                        const struct wisp_core_func_type *post_return, struct wisp_canon_options *options)
{
    static const struct wisp_core_func_type realloc_type = {4, 1, {I32, I32, I32, I32}, {I32}};
    static const struct wisp_core_ref none = {.instance = -1};
    *options = (struct wisp_canon_options){canon->encoding, none, none, none, env->instance};
    int r = canon->has_memory ? option_memory(l, env, canon->memory, &options->memory) : 0;
    if (r == 0 && canon->has_realloc)
        r = option_func(l, env, canon->realloc, "realloc", &realloc_type, &options->realloc);
    if (r == 0 && canon->has_post_return)
        r = option_func(l, env, canon->post_return, "post-return", post_return, &options->post_return);
    return r;
}

static bool params_have_pointers(const struct wisp_func_type *type)
{
    bool has = false;
    for (uint32_t i = 0; i < type->n_params; i++) has |= type->params[i].type->has_pointers;
    return has;
}

static int check_needed(struct wisp_linker *l, const struct wisp_ast_canon *canon, const struct wisp_func_type *type)
{
    bool result_has_pointers = type->result && type->result->has_pointers;
    bool params_in_memory = type->params_in_memory || params_have_pointers(type);
    bool needs_memory = params_in_memory || type->result_in_memory || result_has_pointers;
    bool needs_realloc = canon->kind == WISP_AST_LIFT ? params_in_memory : result_has_pointers;
    if ((needs_memory && !canon->has_memory) || (needs_realloc && !canon->has_realloc))
        return wisp_err_set(l->err, WISP_ERR_INVALID, "canonical option `%s` is required",
                            canon->has_memory ? "realloc" : "memory");
    return 0;
}

/* --- lift --- */

static int lift(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_canon *canon)
{
    struct wisp_link_type *type;
    struct wisp_link_core_item core;
    int r = wisp_link_get_type(l, env, canon->type, WISP_LINK_FUNC, &type);
    if (r == 0) r = wisp_link_get_core(l, env, WISP_SORT_CORE_FUNC, canon->index, &core);
    if (r < 0) return r;
    const struct wisp_core_func_type *flat = &type->func->lift;
    if (!wisp_core_sig_is(core.type->sig, flat))
        return wisp_err_set(l->err, WISP_ERR_INVALID,
                            "the core function %s does not have the signature of the lifted one",
                            wisp_core_extern_text(l->scratch, core.type));
    struct wisp_core_func_type post_return = {.n_params = flat->n_results};
    memcpy(post_return.params, flat->results, sizeof flat->results);
    struct wisp_lifted_func lifted = {.type = type->func};
    r = make_options(l, env, canon, &post_return, &lifted.options);
    if (r == 0) r = check_needed(l, canon, type->func);
    if (r == 0) r = module_func(l, &core, "lifting a function", &lifted.core);
    if (r < 0) return r;
    struct wisp_link_func *func = WISP_NEW(l->scratch, struct wisp_link_func);
    *func = (struct wisp_link_func){.type = type->func, .origin = WISP_LINK_ABSTRACT};
    if (!l->dry) {
        struct wisp_component *component = l->component;
        func->origin = WISP_LINK_LIFTED;
        func->index = component->n_lifted_funcs;
        *WISP_PUSH(l->scratch, component->lifted_funcs, component->n_lifted_funcs, l->capacity.lifted_funcs) = lifted;
    }
    wisp_link_add(env, (struct wisp_link_value){.sort = WISP_SORT_FUNC, .func = func});
    return 0;
}

/* --- core functions made by the canonical ABI --- */

static void add_trampoline(struct wisp_linker *l, struct wisp_link_env *env, struct wisp_trampoline trampoline)
{
    const struct wisp_core_func_type *flat = &trampoline.core;
    wisp_core_type *types = WISP_NEW_ARRAY(l->scratch, wisp_core_type, flat->n_params + flat->n_results);
    for (uint8_t i = 0; i < flat->n_params; i++) types[i] = flat->params[i];
    for (uint8_t i = 0; i < flat->n_results; i++) types[flat->n_params + i] = flat->results[i];
    struct wisp_core_sig *sig = WISP_NEW(l->scratch, struct wisp_core_sig);
    *sig = (struct wisp_core_sig){flat->n_params, flat->n_results, types};
    struct wisp_core_extern *type = WISP_NEW(l->scratch, struct wisp_core_extern);
    *type = (struct wisp_core_extern){.sort = WISP_CORE_FUNC, .sig = sig};
    struct wisp_component *component = l->component;
    trampoline.index = component->n_trampolines;
    if (!l->dry)
        *WISP_PUSH(l->scratch, component->trampolines, component->n_trampolines, l->capacity.trampolines) = trampoline;
    wisp_link_add_core(
        env, (struct wisp_link_core_item){.type = type, .is_trampoline = true, .trampoline = trampoline.index});
}

static int lower(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_canon *canon)
{
    struct wisp_link_value value;
    int r = wisp_link_get(l, env, WISP_SORT_FUNC, canon->index, &value);
    if (r < 0) return r;
    const struct wisp_link_func *func = value.func;
    struct wisp_trampoline trampoline = {.kind = WISP_TRAMPOLINE_HOST, .type = func->type, .core = func->type->lower};
    r = make_options(l, env, canon, NULL, &trampoline.options);
    if (r == 0) r = check_needed(l, canon, func->type);
    if (r < 0) return r;
    if (!l->dry && func->origin == WISP_LINK_ABSTRACT)
        return wisp_err_set(l->err, WISP_ERR_INTERNAL, "a function of the plan without an origin");
    if (func->origin == WISP_LINK_LIFTED) {
        trampoline.kind = WISP_TRAMPOLINE_GUEST;
        trampoline.lifted = func->index;
    } else {
        trampoline.import = func->index;
    }
    add_trampoline(l, env, trampoline);
    return 0;
}

static int resource_builtin(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_canon *canon)
{
    struct wisp_link_type *type;
    int r = wisp_link_get_type(l, env, canon->index, WISP_LINK_RESOURCE, &type);
    if (r < 0) return r;
    if (canon->kind != WISP_AST_RESOURCE_DROP && type->definer != env)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "type index %u is not a local resource", canon->index);
    static const enum wisp_trampoline_kind kinds[] = {[WISP_AST_RESOURCE_NEW] = WISP_TRAMPOLINE_RESOURCE_NEW,
                                                      [WISP_AST_RESOURCE_DROP] = WISP_TRAMPOLINE_RESOURCE_DROP,
                                                      [WISP_AST_RESOURCE_REP] = WISP_TRAMPOLINE_RESOURCE_REP};
    bool has_result = canon->kind != WISP_AST_RESOURCE_DROP;
    static const struct wisp_core_ref none = {.instance = -1};
    add_trampoline(l, env,
                   (struct wisp_trampoline){.kind = kinds[canon->kind],
                                            .resource = type->resource,
                                            .options = {WISP_UTF8, none, none, none, env->instance},
                                            .core = {1, has_result, {I32}, {I32}}});
    return 0;
}

int wisp_link_canon(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_canon *canon)
{
    switch (canon->kind) {
    case WISP_AST_LIFT:
        return lift(l, env, canon);
    case WISP_AST_LOWER:
        return lower(l, env, canon);
    default:
        return resource_builtin(l, env, canon);
    }
}

int wisp_link_destructor(struct wisp_linker *l, const struct wisp_link_env *env, uint32_t core_func,
                         struct wisp_resource *resource)
{
    static const struct wisp_core_func_type destructor_type = {.n_params = 1, .params = {I32}};
    struct wisp_link_core_item item;
    struct wisp_core_ref ref;
    int r = wisp_link_get_core(l, env, WISP_SORT_CORE_FUNC, core_func, &item);
    if (r < 0) return r;
    if (!wisp_core_sig_is(item.type->sig, &destructor_type))
        return wisp_err_set(l->err, WISP_ERR_INVALID, "wrong signature for a destructor: %s",
                            wisp_core_extern_text(l->scratch, item.type));
    r = module_func(l, &item, "a destructor", &ref);
    if (r < 0 || l->dry) return r;
    struct wisp_component *component = l->component;
    resource->destructor = (int32_t)component->n_destructors;
    *WISP_PUSH(l->scratch, component->destructors, component->n_destructors, l->capacity.destructors) = ref;
    return 0;
}
