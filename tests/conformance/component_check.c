/* SPDX-License-Identifier: Apache-2.0 */
/* Loads components and says what became of each, one line a file:
 *
 *     component_check [--plan] [--keep-shims] FILE ...
 *     FILE: ok
 *     FILE: invalid: at 0x1a3: ...
 *
 * With --plan the world and the plan follow. Exits 0 even when files are refused; the lines are the result. */
#include "base/mem.h"
#include "component/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_ref(const char *word, struct wisp_core_ref ref)
{
    if (ref.instance >= 0) printf(" %s=%d.`%.*s`", word, ref.instance, WISP_STR_ARG(ref.name));
}

static void print_func(struct wisp_arena *arena, const struct wisp_func_type *type)
{
    printf("(");
    for (uint32_t i = 0; i < type->n_params; i++)
        printf("%s%.*s: %s", i ? ", " : "", WISP_STR_ARG(type->params[i].name),
               wisp_type_text(arena, type->params[i].type));
    printf(")");
    if (type->result) printf(" -> %s", wisp_type_text(arena, type->result));
}

static void print_items(struct wisp_arena *arena, const char *word, const struct wisp_item *items, uint32_t n,
                        int depth)
{
    for (uint32_t i = 0; i < n; i++) {
        printf("%*s%s %.*s", depth * 2, "", word, WISP_STR_ARG(items[i].name));
        if (items[i].func) print_func(arena, items[i].func);
        if (items[i].resource)
            printf(" resource %u of `%.*s`", items[i].resource->index, WISP_STR_ARG(items[i].resource->owner));
        if (items[i].type)
            printf(" = %s of `%.*s`", wisp_type_text(arena, items[i].type), WISP_STR_ARG(items[i].type->owner));
        printf("\n");
        if (items[i].interface)
            print_items(arena, "-", items[i].interface->items, items[i].interface->n_items, depth + 1);
    }
}

static void print_trampolines(struct wisp_arena *arena, const struct wisp_component *component)
{
    static const char *const kinds[] = {"host", "guest", "resource.new", "resource.rep", "resource.drop"};
    for (uint32_t i = 0; i < component->n_trampolines; i++) {
        const struct wisp_trampoline *t = &component->trampolines[i];
        printf("trampoline %u %s", i, kinds[t->kind]);
        if (t->kind == WISP_TRAMPOLINE_HOST)
            printf(" %.*s %.*s", WISP_STR_ARG(component->import_funcs[t->import].interface),
                   WISP_STR_ARG(component->import_funcs[t->import].name));
        if (t->kind == WISP_TRAMPOLINE_GUEST) printf(" lifted %u", t->lifted);
        if (t->type) print_func(arena, t->type);
        if (t->resource) printf(" %.*s", WISP_STR_ARG(t->resource->name));
        print_ref("memory", t->options.memory);
        print_ref("realloc", t->options.realloc);
        printf(" in %u\n", t->options.instance);
    }
}

static void print_steps(const struct wisp_component *component)
{
    for (uint32_t i = 0; i < component->n_steps; i++) {
        const struct wisp_plan_step *step = &component->steps[i];
        const struct wisp_core_module *module = &component->modules[step->module];
        printf("step %u module %u (%zu bytes, %u memories, %u tables%s)\n", i, step->module, module->bytes.len,
               module->n_memories, module->n_tables, module->has_start ? ", start" : "");
        for (uint32_t k = 0; k < step->n_imports; k++) {
            const struct wisp_plan_import *import = &step->imports[k];
            printf("  `%.*s` `%.*s`", WISP_STR_ARG(import->module), WISP_STR_ARG(import->name));
            if (import->is_trampoline)
                printf(" trampoline %u", import->trampoline);
            else
                print_ref("from", import->ref);
            printf("\n");
        }
    }
}

static void print_plan(const struct wisp_component *component)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    print_items(&arena, "import", component->imports, component->n_imports, 0);
    print_items(&arena, "export", component->exports, component->n_exports, 0);
    for (uint32_t i = 0; i < component->n_producers; i++)
        printf("producer %.*s: %.*s %.*s\n", WISP_STR_ARG(component->producers[i].field),
               WISP_STR_ARG(component->producers[i].name), WISP_STR_ARG(component->producers[i].version));
    for (uint32_t i = 0; i < component->n_resources; i++) {
        const struct wisp_resource *resource = component->resources[i];
        printf("resource %u %.*s %.*s%s", i, WISP_STR_ARG(resource->owner), WISP_STR_ARG(resource->name),
               resource->is_imported ? " imported" : "");
        if (resource->destructor >= 0) print_ref("destructor", component->destructors[resource->destructor]);
        printf("\n");
    }
    print_trampolines(&arena, component);
    print_steps(component);
    for (uint32_t i = 0; i < component->n_lifted_funcs; i++) {
        const struct wisp_lifted_func *lifted = &component->lifted_funcs[i];
        printf("lifted %u", i);
        print_func(&arena, lifted->type);
        print_ref("core", lifted->core);
        print_ref("memory", lifted->options.memory);
        print_ref("realloc", lifted->options.realloc);
        print_ref("post-return", lifted->options.post_return);
        printf(" in %u\n", lifted->options.instance);
    }
    for (uint32_t i = 0; i < component->n_export_funcs; i++)
        printf("export func %.*s %.*s = lifted %d\n", WISP_STR_ARG(component->export_funcs[i].interface),
               WISP_STR_ARG(component->export_funcs[i].name), (int)component->export_funcs[i].lifted);
}

static bool read_file(const char *path, struct wisp_buf *buf)
{
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    size_t n;
    while ((n = fread(wisp_buf_reserve(buf, 65536), 1, 65536, file)) > 0) buf->len += n;
    bool is_fine = !ferror(file);
    fclose(file);
    return is_fine;
}

int main(int argc, char **argv)
{
    struct wisp_component_options options = {0};
    bool plan = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--plan") == 0) {
            plan = true;
            continue;
        }
        if (strcmp(argv[i], "--keep-shims") == 0) {
            options.keep_shims = true;
            continue;
        }
        WISP_CLEANUP_BUF struct wisp_buf buf = {0};
        WISP_CLEANUP_COMPONENT struct wisp_component *component = NULL;
        struct wisp_err err = {0};
        if (!read_file(argv[i], &buf)) {
            perror(argv[i]);
            return 1;
        }
        if (wisp_component_new(&component, wisp_buf_str(&buf), &options, &err) < 0) {
            printf("%s: %s: %s\n", argv[i], wisp_err_name(err.kind), err.text);
            continue;
        }
        printf("%s: ok\n", argv[i]);
        if (plan) print_plan(component);
    }
    return 0;
}
