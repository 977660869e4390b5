/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a component: loading must end in time and leave a plan that refers to what exists, or an error that says
 * something. The plan with shims kept must be as sound. */
#include "base/mem.h"
#include "component/plan.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "unsound plan: %s\n", what);
    abort();
}

static void check_ref(const struct wisp_component *component, struct wisp_core_ref ref)
{
    require(ref.instance >= -1 && ref.instance < (int32_t)component->n_steps, "reference to a step");
}

static void check_options(const struct wisp_component *component, const struct wisp_canon_options *options)
{
    check_ref(component, options->memory);
    check_ref(component, options->realloc);
    check_ref(component, options->post_return);
    require(options->instance < component->n_instances, "component instance");
}

static void check_steps(const struct wisp_component *component)
{
    for (uint32_t i = 0; i < component->n_steps; i++) {
        const struct wisp_plan_step *step = &component->steps[i];
        require(step->module < component->n_modules, "module of a step");
        for (uint32_t k = 0; k < step->n_imports; k++) {
            const struct wisp_plan_import *import = &step->imports[k];
            if (import->is_trampoline)
                require(import->trampoline < component->n_trampolines, "trampoline of an import");
            else
                require(import->ref.instance >= 0 && import->ref.instance < (int32_t)i, "import from a later step");
        }
    }
}

static void check_functions(const struct wisp_component *component)
{
    for (uint32_t i = 0; i < component->n_trampolines; i++) {
        const struct wisp_trampoline *trampoline = &component->trampolines[i];
        check_options(component, &trampoline->options);
        require(trampoline->index == i, "index of a trampoline");
        if (trampoline->kind == WISP_TRAMPOLINE_HOST)
            require(trampoline->import < component->n_import_funcs, "import of a trampoline");
        else if (trampoline->kind == WISP_TRAMPOLINE_GUEST)
            require(trampoline->lifted < component->n_lifted_funcs, "lifted function of a trampoline");
        else
            require(trampoline->resource != NULL, "resource of a trampoline");
    }
    for (uint32_t i = 0; i < component->n_lifted_funcs; i++) {
        check_options(component, &component->lifted_funcs[i].options);
        require(component->lifted_funcs[i].core.instance >= 0, "core function of a lifted one");
        check_ref(component, component->lifted_funcs[i].core);
    }
    for (uint32_t i = 0; i < component->n_export_funcs; i++)
        require(component->export_funcs[i].lifted == UINT32_MAX ||
                    component->export_funcs[i].lifted < component->n_lifted_funcs,
                "lifted function of an export");
}

static void check_resources(const struct wisp_component *component)
{
    for (uint32_t i = 0; i < component->n_resources; i++) {
        const struct wisp_resource *resource = component->resources[i];
        require(resource->index == i, "index of a resource");
        require(resource->instance < component->n_instances, "instance of a resource");
        require(resource->destructor < (int32_t)component->n_destructors, "destructor of a resource");
    }
    for (uint32_t i = 0; i < component->n_instances; i++)
        require(i ? component->instance_parents[i] < i : component->instance_parents[i] == UINT32_MAX, "parent");
    for (uint32_t i = 0; i < component->n_destructors; i++) check_ref(component, component->destructors[i]);
}

static void check_text(const struct wisp_component *component)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    for (uint32_t i = 0; i < component->n_import_funcs; i++)
        if (component->import_funcs[i].type->result) wisp_type_text(&arena, component->import_funcs[i].type->result);
    for (uint32_t i = 0; i < component->n_imports; i++)
        if (component->imports[i].type) wisp_type_text(&arena, component->imports[i].type);
}

static void load(struct wisp_str binary, bool keep_shims)
{
    WISP_CLEANUP_COMPONENT struct wisp_component *component = NULL;
    struct wisp_err err = {0};
    struct wisp_component_options options = {.keep_shims = keep_shims};
    if (wisp_component_new(&component, binary, &options, &err) < 0) {
        require(err.kind == WISP_ERR_INVALID || err.kind == WISP_ERR_UNSUPPORTED || err.kind == WISP_ERR_LIMIT,
                err.text);
        require(err.text[0], "an error without text");
        return;
    }
    check_steps(component);
    check_functions(component);
    check_resources(component);
    check_text(component);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wisp_str binary = {(const char *)data, size};
    load(binary, false);
    load(binary, true);
    return 0;
}
