/* SPDX-License-Identifier: Apache-2.0 */
#include "component/decode/decode_sample.h"

static void check_ref(struct wisp_core_ref ref, int instance, const char *name)
{
    CHECK_INT(ref.instance, instance);
    CHECK_STR(ref.name, name);
}

TEST(tools_component_becomes_one_step)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *kept = sample_load(&arena, "tool", true);
    WISP_CLEANUP_COMPONENT struct wisp_component *elided = sample_load(&arena, "tool", false);
    CHECK_INT(kept->n_steps, 3);
    CHECK_INT(kept->n_modules, 3);
    CHECK_INT(elided->n_steps, 1);
    CHECK_INT(elided->n_modules, 1);
    CHECK(elided->modules[elided->steps[0].module].n_memories == 1);
    for (uint32_t i = 0; i < elided->steps[0].n_imports; i++) CHECK(elided->steps[0].imports[i].is_trampoline);
}

TEST(imports_get_the_function_that_the_shim_would_call)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "tool", false);
    const struct wisp_plan_step *step = &component->steps[0];
    uint32_t n_host = 0;
    for (uint32_t i = 0; i < step->n_imports; i++) {
        const struct wisp_trampoline *trampoline = &component->trampolines[step->imports[i].trampoline];
        if (trampoline->kind != WISP_TRAMPOLINE_HOST) continue;
        CHECK(wisp_str_equal(component->import_funcs[trampoline->import].name, step->imports[i].name));
        if (trampoline->options.memory.instance >= 0) check_ref(trampoline->options.memory, 0, "memory");
        n_host++;
    }
    CHECK_INT(n_host, 7);
}

TEST(references_are_renumbered)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *kept = sample_load(&arena, "tool", true);
    WISP_CLEANUP_COMPONENT struct wisp_component *elided = sample_load(&arena, "tool", false);
    /* The destructor is a function that exists only after the resource type: tools go through the shim. */
    CHECK_INT(kept->n_destructors, 1);
    CHECK_INT(kept->destructors[0].instance, 0);
    check_ref(elided->destructors[0], 0, "test:hello/handler@1.2.3#[dtor]session");
    CHECK_INT(kept->lifted_funcs[0].core.instance, 1);
    check_ref(elided->lifted_funcs[0].core, 0, "run");
    check_ref(elided->lifted_funcs[0].options.realloc, 0, "cabi_realloc");
    CHECK_INT(elided->lifted_funcs[3].options.realloc.instance, -1);
}

TEST(start_function_of_the_fixup_becomes_the_plans)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "tool-start", false);
    CHECK_INT(component->n_steps, 1);
    check_ref(component->start, 0, "_initialize");
    for (uint32_t i = 0; i < component->steps[0].n_imports; i++) CHECK(component->steps[0].imports[i].is_trampoline);
    WISP_CLEANUP_COMPONENT struct wisp_component *kept = sample_load(&arena, "tool-start", true);
    CHECK_INT(kept->n_steps, 3);
    CHECK_INT(kept->start.instance, -1);
    CHECK(kept->modules[kept->steps[2].module].has_start);
}

TEST(functions_of_later_instances_stay_behind_the_shim)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "adapter", false);
    CHECK_INT(component->n_steps, 4);
    const struct wisp_plan_step *main = &component->steps[1], *adapter = &component->steps[2];
    CHECK(main->imports[0].is_trampoline);
    CHECK(!main->imports[1].is_trampoline);
    check_ref(main->imports[1].ref, 0, "1");
    CHECK(adapter->imports[1].is_trampoline);
    CHECK_INT(component->trampolines[adapter->imports[1].trampoline].options.encoding, WISP_UTF16);
}

TEST(other_steps_follow_the_new_numbers)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "split", false);
    CHECK_INT(component->n_steps, 2);
    check_ref(component->steps[1].imports[0].ref, 0, "memory");
    check_ref(component->lifted_funcs[0].core, 1, "run");
    check_ref(component->trampolines[0].options.memory, 0, "memory");
}

TEST(smallest_shim)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "shim", false);
    CHECK_INT(component->n_steps, 1);
    CHECK(component->steps[0].imports[0].is_trampoline);
}

TEST(lookalikes_are_left_alone)
{
    static const char *const names[] = {"extra-code", "other-slot", "locals", "memory",
                                        "table-used", "offset",     "passive"};
    for (size_t i = 0; i < WISP_COUNT(names); i++) {
        WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
        char *name = wisp_arena_printf(&arena, "lookalike-%s", names[i]);
        WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, name, false);
        CHECK_INT(component->n_steps, 3);
        check_ref(component->steps[1].imports[0].ref, 0, "0");
    }
}
