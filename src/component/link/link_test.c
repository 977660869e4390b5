/* SPDX-License-Identifier: Apache-2.0 */
#include "component/decode/decode_sample.h"

static const struct wisp_item *find_item(const struct wisp_item *items, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (wisp_str_is(items[i].name, name)) return &items[i];
    wisp_test_fail(__FILE__, __LINE__, "no item `%s`", name);
}

static const struct wisp_item *member(const struct wisp_item *item, const char *name)
{
    return find_item(item->interface->items, item->interface->n_items, name);
}

static void check_ref(struct wisp_core_ref ref, int instance, const char *name)
{
    CHECK_INT(ref.instance, instance);
    CHECK_STR(ref.name, name);
}

/* --- a component made by the usual tools --- */

TEST(world_of_a_tools_component)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "tool", false);
    CHECK_INT(component->n_imports, 2);
    const struct wisp_item *types = find_item(component->imports, component->n_imports, "test:hello/types@1.2.3");
    CHECK_INT(types->kind, WISP_ITEM_INTERFACE);
    const struct wisp_item *blob = member(types, "blob");
    CHECK(blob->resource && blob->resource->is_imported);
    CHECK_STR(blob->resource->owner, "test:hello/types@1.2.3");
    CHECK_TEXT(wisp_type_text(&arena, member(types, "list-entries")->func->result), "list<entry>");
    CHECK_INT(find_item(component->imports, component->n_imports, "log")->kind, WISP_ITEM_FUNC);

    const struct wisp_item *handler = find_item(component->exports, component->n_exports, "test:hello/handler@1.2.3");
    const struct wisp_item *outcome = member(handler, "outcome");
    CHECK_INT(outcome->type->kind, WISP_TYPE_VARIANT);
    CHECK_STR(outcome->type->name, "outcome");
    CHECK_STR(outcome->type->owner, "test:hello/handler@1.2.3");
    CHECK_STR(member(handler, "entry")->type->owner, "test:hello/types@1.2.3");
    const struct wisp_resource *session = member(handler, "session")->resource;
    CHECK(session && !session->is_imported);
    CHECK_STR(session->name, "session");
    CHECK_STR(session->owner, "test:hello/handler@1.2.3");
    CHECK(member(handler, "blob")->resource == blob->resource);
    CHECK_INT(component->n_resources, 2);
}

TEST(functions_of_a_tools_component)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "tool", true);
    CHECK_INT(component->n_import_funcs, 7);
    CHECK_STR(component->import_funcs[0].interface, "test:hello/types@1.2.3");
    CHECK_STR(component->import_funcs[0].name, "[constructor]blob");
    CHECK_STR(component->import_funcs[6].interface, "");
    CHECK_STR(component->import_funcs[6].name, "log");

    const struct wisp_export_func *handle = wisp_component_export(component, "test:hello/handler@1.0.0", "handle");
    CHECK(handle);
    const struct wisp_lifted_func *lifted = &component->lifted_funcs[handle->lifted];
    check_ref(lifted->core, 1, "test:hello/handler@1.2.3#handle");
    check_ref(lifted->options.memory, 1, "memory");
    check_ref(lifted->options.post_return, 1, "cabi_post_test:hello/handler@1.2.3#handle");
    CHECK_INT(lifted->options.realloc.instance, -1);
    CHECK_TEXT(wisp_type_text(&arena, handle->type->result), "outcome");
    CHECK(wisp_component_export(component, "", "run"));
    CHECK(!wisp_component_export(component, "test:hello/handler@2.0.0", "handle"));
    CHECK(!wisp_component_export(component, "", "handle"));
}

/* --- two components in one --- */

TEST(each_instance_has_resources_and_steps_of_its_own)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "shared", false);
    CHECK_INT(component->n_instances, 4);
    CHECK_INT(component->n_steps, 5);
    CHECK_INT(component->n_modules, 3);
    CHECK_INT(component->steps[0].module, component->steps[2].module);
    CHECK_INT(component->n_resources, 2);
    CHECK_INT(component->resources[0]->instance, 1);
    CHECK_INT(component->resources[1]->instance, 2);
    check_ref(component->destructors[component->resources[1]->destructor], 2, "dtor");
    const struct wisp_export_func *a = wisp_component_export(component, "test:a/counters", "make");
    const struct wisp_export_func *b = wisp_component_export(component, "test:b/counters", "make");
    CHECK(a->type->result->resource == component->resources[0]);
    CHECK(b->type->result->resource == component->resources[1]);
    CHECK_STR(component->resources[0]->owner, "test:a/counters");
}

TEST(calls_between_components_are_guest_trampolines)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "shared", false);
    const struct wisp_plan_step *outer = &component->steps[4];
    CHECK_STR(outer->imports[0].name, "make");
    CHECK(outer->imports[0].is_trampoline);
    const struct wisp_trampoline *make = &component->trampolines[outer->imports[0].trampoline];
    CHECK_INT(make->kind, WISP_TRAMPOLINE_GUEST);
    check_ref(component->lifted_funcs[make->lifted].core, 1, "make");
    CHECK_INT(make->options.instance, 3);
    const struct wisp_trampoline *drop = &component->trampolines[outer->imports[1].trampoline];
    CHECK_INT(drop->kind, WISP_TRAMPOLINE_RESOURCE_DROP);
    CHECK(drop->resource == component->resources[0]);
    CHECK_INT(drop->core.n_params, 1);
    CHECK_INT(drop->core.n_results, 0);
}

TEST(nested_components_reach_the_roots_imports)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "shared", false);
    CHECK_INT(component->n_import_funcs, 1);
    const struct wisp_trampoline *log = &component->trampolines[component->steps[3].imports[1].trampoline];
    CHECK_INT(log->kind, WISP_TRAMPOLINE_HOST);
    CHECK_INT(log->import, 0);
    CHECK_INT(log->options.instance, 2);
    CHECK_INT(wisp_component_export(component, "", "log-again")->lifted, UINT32_MAX);
}

TEST(encodings_and_memories_are_those_of_the_definition)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "shared", false);
    const struct wisp_export_func *label = wisp_component_export(component, "test:b/counters", "[method]counter.label");
    const struct wisp_canon_options *options = &component->lifted_funcs[label->lifted].options;
    CHECK_INT(options->encoding, WISP_UTF16);
    check_ref(options->memory, 2, "memory");
}

/* --- types --- */

TEST(every_kind_of_value_type)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "types", false);
    const struct wisp_func_type *all = component->import_funcs[0].type;
    static const char *const texts[] = {"bool",  "u8",     "s16",      "u16",         "s32",
                                        "u32",   "u64",    "string",   "list<point>", "result<shape, color>",
                                        "modes", "own<r>", "borrow<r>"};
    CHECK_INT(all->n_params, WISP_COUNT(texts));
    for (size_t i = 0; i < WISP_COUNT(texts); i++) CHECK_TEXT(wisp_type_text(&arena, all->params[i].type), texts[i]);
    CHECK_TEXT(wisp_type_text(&arena, all->result), "tuple<color, result, result<_, string>>");
    CHECK(all->params_in_memory && all->result_in_memory);
    const struct wisp_type *point = find_item(component->imports, component->n_imports, "point")->type;
    CHECK_INT(point->size, 24);
    CHECK_INT(point->fields[2].offset, 12);
    CHECK(all->params[8].type->element == point);
}

TEST(types_as_arguments_and_components_seen_through_their_type)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = sample_load(&arena, "closures", false);
    CHECK(wisp_component_export(component, "made", "g"));
    CHECK(!wisp_component_export(component, "made", "extra"));
}

/* --- refusals and limits --- */

TEST(refusals_say_why)
{
    static const struct {
        const char *name;
        enum wisp_err_kind kind;
        const char *text;
    } cases[] = {
        {"argument-type", WISP_ERR_INVALID,
         "import `f`: expected the function type `(x: string) -> list<u8>`, found `(x: u32)`"},
        {"core-argument", WISP_ERR_INVALID, "import `a` `f`: expected (func (param i64)), found (func (param i32))"},
        {"hidden-type", WISP_ERR_INVALID,
         "at 0x1a: import `f`: func not valid to be used as import: its type uses `record{x: u8}`"},
        {"imported-component", WISP_ERR_UNSUPPORTED, "instantiating an imported component"},
        {"imported-module", WISP_ERR_UNSUPPORTED, "instantiating an imported core module"},
        {"instance-type", WISP_ERR_INVALID, "export `b`: missing expected export"},
        {"memory64", WISP_ERR_UNSUPPORTED, "64-bit"},
        {"method", WISP_ERR_INVALID, "a method's first parameter should be `self: borrow<a>`"},
        {"missing-argument", WISP_ERR_INVALID, "import `f`: missing argument"},
        {"nested-import", WISP_ERR_UNSUPPORTED, "instances within instances"},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
        WISP_CLEANUP_COMPONENT struct wisp_component *component = NULL;
        struct wisp_err err = {0};
        struct wisp_str binary = sample_read(&arena, wisp_arena_printf(&arena, "refused-%s", cases[i].name));
        CHECK_INT(wisp_component_new(&component, binary, NULL, &err), -(int)cases[i].kind);
        CHECK_HAS(err.text, cases[i].text);
        CHECK_HAS(err.text, "at 0x");
    }
}

TEST(bombs_are_refused_in_time)
{
    static const char *const names[] = {"bomb-type", "bomb-instance", "bomb-world", "bomb-depth"};
    for (size_t i = 0; i < WISP_COUNT(names); i++) {
        WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
        WISP_CLEANUP_COMPONENT struct wisp_component *component = NULL;
        struct wisp_err err = {0};
        CHECK_FAILS(wisp_component_new(&component, sample_read(&arena, names[i]), NULL, &err), LIMIT);
        CHECK_HAS(err.text, "at 0x");
    }
}
