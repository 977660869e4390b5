/* SPDX-License-Identifier: Apache-2.0 */
/* Linking a plan with an engine and a host: everything that can be looked up once is looked up here. */
#include "component/run/instance_priv.h"

#include "base/mem.h"

#include <stdlib.h>

/* The position of this export in every instance's table, made when it is asked for first. */
static int slot_of(struct wisp_linked *linked, const struct wisp_core_ref *ref, uint32_t *ret_slot,
                   struct wisp_err *err)
{
    if (ref->instance < 0) {
        *ret_slot = NO_SLOT;
        return 0;
    }
    for (uint32_t i = 0; i < linked->n_slots; i++) {
        struct slot *slot = &linked->slots[i];
        if (slot->step != (uint32_t)ref->instance || !wisp_str_equal(slot->name, ref->name)) continue;
        *ret_slot = i;
        return 0;
    }
    struct wisp_wasm_module *module = linked->steps[ref->instance].module;
    struct wisp_wasm_export *export_ = module ? wisp_wasm_export_new(module, ref->name) : NULL;
    if (!export_)
        return wisp_err_set(err, WISP_ERR_INTERNAL, "core instance %d has no export `%.*s`", ref->instance,
                            WISP_STR_ARG(ref->name));
    if (linked->n_slots == linked->slots_capacity) {
        linked->slots_capacity = linked->slots_capacity ? 2 * linked->slots_capacity : 16;
        linked->slots = wisp_mem_realloc(linked->slots, linked->slots_capacity * sizeof *linked->slots);
    }
    linked->slots[linked->n_slots] = (struct slot){(uint32_t)ref->instance, export_, ref->name};
    *ret_slot = linked->n_slots++;
    return 0;
}

static int option_slots(struct wisp_linked *linked, const struct wisp_canon_options *options,
                        struct option_slots *ret_slots, struct wisp_err *err)
{
    int r = slot_of(linked, &options->memory, &ret_slots->memory, err);
    if (r == 0) r = slot_of(linked, &options->realloc, &ret_slots->realloc, err);
    if (r == 0) r = slot_of(linked, &options->post_return, &ret_slots->post_return, err);
    return r;
}

static void bind_trampoline(struct wisp_linked *linked, const struct wisp_trampoline *plan,
                            const struct wisp_host_func *const *funcs)
{
    static wisp_wasm_host_fn *const entries[] = {
        [WISP_TRAMPOLINE_HOST] = wisp_instance_enter_host,
        [WISP_TRAMPOLINE_GUEST] = wisp_instance_enter_guest,
        [WISP_TRAMPOLINE_RESOURCE_NEW] = wisp_instance_resource_new,
        [WISP_TRAMPOLINE_RESOURCE_REP] = wisp_instance_resource_rep,
        [WISP_TRAMPOLINE_RESOURCE_DROP] = wisp_instance_resource_drop,
    };
    struct trampoline *trampoline = &linked->trampolines[plan->index];
    trampoline->plan = plan;
    trampoline->linked = linked;
    trampoline->core.fn = entries[plan->kind];
    trampoline->core.env = trampoline;
    struct wisp_wasm_func_type *type = &trampoline->core.type;
    type->n_params = plan->core.n_params;
    type->n_results = plan->core.n_results;
    memcpy(type->params, plan->core.params, sizeof type->params);
    memcpy(type->results, plan->core.results, sizeof type->results);
    trampoline->slots = (struct option_slots){NO_SLOT, NO_SLOT, NO_SLOT};
    if (plan->kind == WISP_TRAMPOLINE_HOST) {
        const struct wisp_import_func *import = &linked->component->import_funcs[plan->import];
        trampoline->import = import;
        trampoline->func = funcs[plan->import];
        trampoline->interface = wisp_arena_cstr(&linked->arena, import->interface);
        trampoline->name = wisp_arena_cstr(&linked->arena, import->name);
    }
    if (plan->kind == WISP_TRAMPOLINE_GUEST) trampoline->callee = &linked->lifted[plan->lifted];
}

static_assert(sizeof((struct wisp_wasm_func_type){0}.params) == sizeof((struct wisp_core_func_type){0}.params), "same");
static_assert(sizeof((struct wisp_wasm_func_type){0}.results) == sizeof((struct wisp_core_func_type){0}.results),
              "same");

static void bind_trampolines(struct wisp_linked *linked, const struct wisp_host_func *const *funcs)
{
    const struct wisp_component *component = linked->component;
    linked->trampolines = WISP_NEW_ARRAY(&linked->arena, struct trampoline, component->n_trampolines);
    linked->lifted = WISP_NEW_ARRAY(&linked->arena, struct wisp_linked_export, component->n_lifted_funcs);
    for (uint32_t i = 0; i < component->n_trampolines; i++) bind_trampoline(linked, &component->trampolines[i], funcs);
}

static int compile_modules(struct wisp_linked *linked, struct wisp_err *err)
{
    const struct wisp_component *component = linked->component;
    linked->modules = WISP_NEW_ARRAY(&linked->arena, struct wisp_wasm_module *, component->n_modules);
    linked->steps = WISP_NEW_ARRAY(&linked->arena, struct step, component->n_steps);
    for (uint32_t i = 0; i < component->n_steps; i++) {
        uint32_t module = component->steps[i].module;
        if (!linked->modules[module]) {
            int r = wisp_wasm_module_new(&linked->modules[module], linked->engine, component->modules[module].bytes,
                                         NULL, err);
            if (r < 0) return wisp_err_wrap(err, "core module %u", module);
        }
        linked->steps[i].module = linked->modules[module];
        linked->steps[i].has_start = component->modules[module].has_start;
    }
    return 0;
}

static int prelink_step(struct wisp_linked *linked, uint32_t index, struct wisp_err *err)
{
    const struct wisp_plan_step *plan = &linked->component->steps[index];
    struct step *step = &linked->steps[index];
    WISP_CLEANUP_FREE struct wisp_wasm_named_host *imports = wisp_mem_calloc(plan->n_imports, sizeof *imports);
    for (uint32_t i = 0; i < plan->n_imports; i++) {
        const struct wisp_plan_import *import = &plan->imports[i];
        imports[i] =
            (struct wisp_wasm_named_host){import->module, import->name, &linked->trampolines[import->trampoline].core};
    }
    return wisp_wasm_prelinked_new(&step->prelinked, linked->engine, step->module, imports, plan->n_imports, err);
}

/* `guest_ran`: an earlier step has a start function, and from then on instantiating happens on the fiber. */
static int link_step(struct wisp_linked *linked, uint32_t index, bool guest_ran, struct wisp_err *err)
{
    const struct wisp_plan_step *plan = &linked->component->steps[index];
    struct step *step = &linked->steps[index];
    bool all_host = !guest_ran && !step->has_start;
    for (uint32_t i = 0; i < plan->n_imports; i++) all_host &= plan->imports[i].is_trampoline;
    if (all_host) return prelink_step(linked, index, err);
    step->n_imports = plan->n_imports;
    step->imports = WISP_NEW_ARRAY(&linked->arena, struct step_import, plan->n_imports);
    for (uint32_t i = 0; i < plan->n_imports; i++) {
        const struct wisp_plan_import *import = &plan->imports[i];
        step->imports[i] = (struct step_import){import->is_trampoline, import->trampoline};
        if (import->is_trampoline) continue;
        int r = slot_of(linked, &import->ref, &step->imports[i].index, err);
        if (r < 0)
            return wisp_err_wrap(err, "import `%.*s`.`%.*s`", WISP_STR_ARG(import->module), WISP_STR_ARG(import->name));
    }
    return 0;
}

static int link_steps(struct wisp_linked *linked, struct wisp_err *err)
{
    const struct wisp_component *component = linked->component;
    bool needs_hosts = false, guest_ran = false;
    for (uint32_t i = 0; i < component->n_steps; i++) {
        int r = link_step(linked, i, guest_ran, err);
        if (r < 0) return wisp_err_wrap(err, "instance %u", i);
        guest_ran |= linked->steps[i].has_start;
        needs_hosts |= !linked->steps[i].prelinked;
    }
    if (!needs_hosts) return 0;
    WISP_CLEANUP_FREE const struct wisp_wasm_host_func **funcs =
        wisp_mem_calloc(component->n_trampolines, sizeof *funcs);
    for (uint32_t i = 0; i < component->n_trampolines; i++) funcs[i] = &linked->trampolines[i].core;
    return wisp_wasm_hosts_new(&linked->hosts, linked->engine, funcs, component->n_trampolines, err);
}

/* A start function may call an import before the instance is there whose memory the import uses. */
static uint32_t steps_needed(const struct wisp_linked *linked, const uint32_t *slots, size_t n)
{
    uint32_t needed = 0;
    for (size_t i = 0; i < n; i++)
        if (slots[i] != NO_SLOT && linked->slots[slots[i]].step >= needed) needed = linked->slots[slots[i]].step + 1;
    return needed;
}

static void name_exports(struct wisp_linked *linked)
{
    const struct wisp_component *component = linked->component;
    for (uint32_t i = 0; i < component->n_lifted_funcs; i++) linked->lifted[i].name = "of a component within this one";
    for (uint32_t i = 0; i < component->n_export_funcs; i++) {
        const struct wisp_export_func *func = &component->export_funcs[i];
        if (func->lifted == UINT32_MAX) continue;
        linked->lifted[func->lifted].name =
            wisp_arena_printf(&linked->arena, "%.*s%s%.*s", WISP_STR_ARG(func->interface),
                              func->interface.len ? "#" : "", WISP_STR_ARG(func->name));
    }
}

static bool is_plain(const struct wisp_linked *linked, const struct wisp_linked_export *lifted)
{
    const struct wisp_core_func_type *core = &lifted->lifted->type->lift;
    return core->n_params <= WISP_WASM_CALL_VALUES && core->n_results <= 1 && linked->start == NO_SLOT &&
           lifted->slots.realloc == NO_SLOT && lifted->slots.post_return == NO_SLOT;
}

static int link_lifted(struct wisp_linked *linked, struct wisp_err *err)
{
    name_exports(linked);
    for (uint32_t i = 0; i < linked->component->n_lifted_funcs; i++) {
        struct wisp_linked_export *lifted = &linked->lifted[i];
        lifted->lifted = &linked->component->lifted_funcs[i];
        int r = option_slots(linked, &lifted->lifted->options, &lifted->slots, err);
        if (r == 0) r = slot_of(linked, &lifted->lifted->core, &lifted->core, err);
        if (r < 0) return wisp_err_wrap(err, "function `%s`", lifted->name);
        lifted->is_plain = is_plain(linked, lifted);
    }
    return 0;
}

static int link_destructors(struct wisp_linked *linked, struct wisp_err *err)
{
    const struct wisp_component *component = linked->component;
    linked->destructors = WISP_NEW_ARRAY(&linked->arena, uint32_t, component->n_destructors);
    for (uint32_t i = 0; i < component->n_destructors; i++) {
        int r = slot_of(linked, &component->destructors[i], &linked->destructors[i], err);
        if (r < 0) return r;
    }
    return 0;
}

/* Is `inner` the component instance `outer`, or somewhere within it? */
static bool is_within(const struct wisp_component *component, uint32_t inner, uint32_t outer)
{
    while (inner != outer && inner != UINT32_MAX) inner = component->instance_parents[inner];
    return inner == outer;
}

/* The specification forbids calls between component instances of which one is within the other: both may be in the
 * middle of something then. */
static bool is_recursive(const struct wisp_component *component, uint32_t caller, uint32_t callee)
{
    return is_within(component, caller, callee) || is_within(component, callee, caller);
}

static int link_trampoline(struct wisp_linked *linked, struct trampoline *trampoline, struct wisp_err *err)
{
    const struct wisp_trampoline *plan = trampoline->plan;
    uint32_t needed[6], n = 0;
    if (plan->kind == WISP_TRAMPOLINE_HOST || plan->kind == WISP_TRAMPOLINE_GUEST) {
        int r = option_slots(linked, &plan->options, &trampoline->slots, err);
        if (r < 0) return r;
        needed[n++] = trampoline->slots.memory;
        needed[n++] = trampoline->slots.realloc;
    }
    if (plan->kind == WISP_TRAMPOLINE_GUEST) {
        needed[n++] = trampoline->callee->slots.memory;
        needed[n++] = trampoline->callee->slots.realloc;
        needed[n++] = trampoline->callee->slots.post_return;
        needed[n++] = trampoline->callee->core;
        trampoline->is_recursive =
            is_recursive(linked->component, plan->options.instance, trampoline->callee->lifted->options.instance);
    }
    if (plan->kind == WISP_TRAMPOLINE_RESOURCE_DROP && !plan->resource->is_imported)
        trampoline->is_recursive = plan->options.instance != plan->resource->instance &&
                                   is_recursive(linked->component, plan->options.instance, plan->resource->instance);
    if (plan->kind == WISP_TRAMPOLINE_RESOURCE_DROP && plan->resource->destructor >= 0)
        needed[n++] = linked->destructors[plan->resource->destructor];
    trampoline->n_steps_needed = steps_needed(linked, needed, n);
    return 0;
}

/* Slots of everything that calls need at run time. After the steps, whose imports come first. */
static int link_options(struct wisp_linked *linked, struct wisp_err *err)
{
    int r = slot_of(linked, &linked->component->start, &linked->start, err);
    if (r == 0) r = link_lifted(linked, err);
    if (r == 0) r = link_destructors(linked, err);
    linked->memory = NO_SLOT;
    for (uint32_t i = 0; i < linked->component->n_trampolines && r == 0; i++) {
        r = link_trampoline(linked, &linked->trampolines[i], err);
        if (linked->memory == NO_SLOT) linked->memory = linked->trampolines[i].slots.memory;
    }
    return r;
}

static void find_originals(struct wisp_linked *linked)
{
    linked->can_put_back = true;
    for (uint32_t i = 0; i < linked->component->n_steps; i++) {
        struct step *step = &linked->steps[i];
        step->original = wisp_wasm_original_new(step->module);
        if (step->original)
            linked->n_originals += wisp_wasm_original_externs(step->original);
        else
            linked->can_put_back = false;
    }
}

int wisp_linked_new(struct wisp_linked **ret_linked, struct wisp_wasm_engine *engine, struct wisp_component *component,
                    const struct wisp_host *host, struct wisp_err *err)
{
    struct wisp_linked *linked = wisp_mem_calloc(1, sizeof *linked);
    linked->engine = engine;
    linked->component = component;
    wisp_ring_init(&linked->idle);
    linked->fallback = wisp_host_get_fallback(host);
    WISP_CLEANUP_FREE const struct wisp_host_func **funcs = wisp_mem_calloc(component->n_import_funcs, sizeof *funcs);
    int r = wisp_host_bind(host, component, funcs, err);
    if (r == 0) r = compile_modules(linked, err);
    if (r == 0) bind_trampolines(linked, funcs);
    if (r == 0) r = link_steps(linked, err);
    if (r == 0) r = link_options(linked, err);
    if (r == 0) find_originals(linked);
    if (r < 0) {
        wisp_linked_free(linked);
        return r;
    }
    *ret_linked = linked;
    return 0;
}

void wisp_linked_free(struct wisp_linked *linked)
{
    if (!linked) return;
    wisp_instances_free_idle(linked);
    for (uint32_t i = 0; linked->steps && i < linked->component->n_steps; i++)
        wisp_wasm_original_free(linked->steps[i].original);
    for (uint32_t i = 0; i < linked->n_slots; i++) wisp_wasm_export_free(linked->slots[i].export_);
    for (uint32_t i = 0; linked->steps && i < linked->component->n_steps; i++)
        wisp_wasm_prelinked_free(linked->steps[i].prelinked);
    for (uint32_t i = 0; linked->modules && i < linked->component->n_modules; i++)
        wisp_wasm_module_free(linked->modules[i]);
    wisp_wasm_hosts_free(linked->hosts);
    free(linked->slots);
    wisp_arena_deinit(&linked->arena);
    free(linked);
}

void wisp_linked_freep(struct wisp_linked **linked)
{
    wisp_linked_free(*linked);
    *linked = NULL;
}

const struct wisp_linked_export *wisp_linked_export_find(struct wisp_linked *linked, const char *interface,
                                                         const char *name)
{
    const struct wisp_export_func *func = wisp_component_export(linked->component, interface, name);
    return func ? wisp_linked_export_of(linked, func) : NULL;
}

const struct wisp_linked_export *wisp_linked_export_of(const struct wisp_linked *linked,
                                                       const struct wisp_export_func *func)
{
    return func->lifted == UINT32_MAX ? NULL : &linked->lifted[func->lifted];
}

void wisp_component_pool_needs(const struct wisp_component *component, struct wisp_wasm_engine_options *options)
{
    options->modules = component->n_steps;
    options->memories = options->tables = 0;
    uint64_t elements = 0;
    for (uint32_t i = 0; i < component->n_steps; i++) {
        const struct wisp_core_module *module = &component->modules[component->steps[i].module];
        options->memories += module->n_memories;
        options->tables += module->n_tables;
        if (module->table_elements_min > elements) elements = module->table_elements_min;
    }
    /* Tables grow little after they are made: room for as much again. */
    options->table_elements_max = elements < 10000 ? 20000 : 2 * elements;
}
