/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "component/link/elide.h"
#include "component/link/link.h"

#include <stdlib.h>

void wisp_component_free(struct wisp_component *component)
{
    if (!component) return;
    wisp_arena_deinit(&component->arena);
    free(component);
}

void wisp_component_freep(struct wisp_component **component)
{
    wisp_component_free(*component);
    *component = NULL;
}

static int load(struct wisp_component *component, const struct wisp_component_options *options, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0}; /* of the decoded tree */
    struct wisp_ast ast;
    int r = wisp_component_decode(&ast, &arena, &component->arena, component->binary, err);
    if (r == 0) r = wisp_component_link(component, &ast, err);
    if (r == 0 && !(options && options->keep_shims)) wisp_plan_elide_shims(component);
    return r;
}

int wisp_component_new(struct wisp_component **ret_component, struct wisp_str binary,
                       const struct wisp_component_options *options, struct wisp_err *err)
{
    WISP_CLEANUP_COMPONENT struct wisp_component *component = wisp_mem_calloc(1, sizeof *component);
    component->binary = binary;
    component->start.instance = -1;
    int r = load(component, options, err);
    if (r < 0) return r;
    *ret_component = WISP_TAKE(component);
    return 0;
}

const struct wisp_export_func *wisp_component_export_exact(const struct wisp_component *component,
                                                           struct wisp_str interface, struct wisp_str name)
{
    for (uint32_t i = 0; i < component->n_export_funcs; i++) {
        const struct wisp_export_func *func = &component->export_funcs[i];
        if (wisp_str_equal(func->name, name) && wisp_str_equal(func->interface, interface)) return func;
    }
    return NULL;
}

const struct wisp_export_func *wisp_component_export(const struct wisp_component *component, const char *interface,
                                                     const char *name)
{
    struct wisp_str want = wisp_str_from(interface), func = wisp_str_from(name);
    const struct wisp_export_func *exact = wisp_component_export_exact(component, want, func);
    if (exact) return exact;
    for (uint32_t i = 0; i < component->n_export_funcs; i++) {
        const struct wisp_export_func *export = &component->export_funcs[i];
        struct wisp_str have_name = export->interface, have_version = {0};
        wisp_str_split(export->interface, '@', &have_name, &have_version);
        if (wisp_str_equal(export->name, func) && wisp_version_matches(want, have_name, have_version)) return export;
    }
    return NULL;
}
