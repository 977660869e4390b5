/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/document.h"

#include "test.h"

static const struct wisp_wit_document_interface *interface_of(const struct wisp_wit_document_world *world, bool exports,
                                                              const char *id)
{
    uint32_t n = exports ? world->n_exports : world->n_imports;
    for (uint32_t i = 0; i < n; i++) {
        const struct wisp_wit_document_interface *interface = (exports ? world->exports : world->imports)[i];
        if (wisp_str_is(interface->id, id)) return interface;
    }
    return NULL;
}

static const struct wisp_func_type *func_of(const struct wisp_wit_document_interface *interface, const char *name)
{
    for (uint32_t i = 0; i < interface->n_funcs; i++)
        if (wisp_str_is(interface->funcs[i].name, name)) return interface->funcs[i].type;
    return NULL;
}

static const char hello[] = "package acme:hello@0.1.0;\n"
                            "/// Greets.\n"
                            "interface greeter {\n"
                            "  use types.{person as guest};\n"
                            "  variant problem { nobody, many(u32) }\n"
                            "  /// Says hello.\n"
                            "  /// Politely.\n"
                            "  greet: func(who: guest, salutation: option<string>) -> result<string, problem>;\n"
                            "}\n"
                            "interface types {\n"
                            "  record person { name: string, tags: list<tag>, }\n"
                            "  type tag = tuple<string, u8>;\n"
                            "}\n"
                            "world provider { export greeter; import log: func(line: string); }\n";

TEST(a_world_has_its_interfaces_with_types)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_WIT_DOCUMENT struct wisp_wit_document *document = wisp_wit_document_new();
    CHECK_OK(wisp_wit_document_add(document, 0, "hello.wit", wisp_str_from(hello), &err), &err);
    const struct wisp_wit_document_world *world;
    CHECK_OK(wisp_wit_document_world(document, 0, WISP_STR(""), &world, &err), &err);
    CHECK(wisp_str_is(world->id, "acme:hello/provider@0.1.0"));
    CHECK_INT(world->n_import_funcs, 1);
    const struct wisp_wit_document_interface *greeter = interface_of(world, true, "acme:hello/greeter@0.1.0");
    CHECK(greeter && wisp_str_is(greeter->docs, "Greets."));
    CHECK_INT(greeter->n_types, 2);
    CHECK(wisp_str_is(greeter->types[0].name, "guest") && greeter->types[0].is_used);
    CHECK(wisp_str_is(greeter->funcs[0].docs, "Says hello.\nPolitely."));
    const struct wisp_func_type *greet = func_of(greeter, "greet");
    CHECK_INT(greet->n_params, 2);
    CHECK_INT(greet->params[0].type->kind, WISP_TYPE_RECORD);
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    CHECK_TEXT(wisp_type_text(&arena, greet->result), "result<string, problem>");
    CHECK_TEXT(wisp_type_text(&arena, greet->params[0].type), "person");
}

TEST(resources_have_methods_with_a_self)
{
    static const char text[] = "package a:b;\n"
                               "interface store {\n"
                               "  resource bucket {\n"
                               "    constructor(name: string);\n"
                               "    get: func(key: string) -> option<list<u8>>;\n"
                               "    open: static func(name: string) -> bucket;\n"
                               "  }\n"
                               "  merge: func(a: bucket, b: borrow<bucket>);\n"
                               "}\n"
                               "world w { import store; }\n";
    struct wisp_err err = {0};
    WISP_CLEANUP_WIT_DOCUMENT struct wisp_wit_document *document = wisp_wit_document_new();
    CHECK_OK(wisp_wit_document_add(document, 3, "a.wit", wisp_str_from(text), &err), &err);
    const struct wisp_wit_document_world *world;
    CHECK_OK(wisp_wit_document_world(document, 3, WISP_STR("w"), &world, &err), &err);
    const struct wisp_wit_document_interface *store = interface_of(world, false, "a:b/store");
    CHECK_INT(func_of(store, "[constructor]bucket")->result->kind, WISP_TYPE_OWN);
    CHECK_INT(func_of(store, "[method]bucket.get")->params[0].type->kind, WISP_TYPE_BORROW);
    CHECK_INT(func_of(store, "[static]bucket.open")->n_params, 1);
    CHECK(func_of(store, "merge")->params[0].type->resource == func_of(store, "merge")->params[1].type->resource);
}

TEST(packages_come_from_folders_and_from_within_files)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_WIT_DOCUMENT struct wisp_wit_document *document = wisp_wit_document_new();
    CHECK_OK(wisp_wit_document_add(document, 0, "world.wit",
                                   WISP_STR("package x:y@1.0.0-draft;\nuse far:away/points@2.1.0 as p;\n"
                                            "world main { include common; export p; }\n"),
                                   &err),
             &err);
    CHECK_OK(wisp_wit_document_add(document, 0, "common.wit",
                                   WISP_STR("@since(version = 1.0.0)\ninterface c { use far:away/points@2.1.0.{point}; "
                                            "@unstable(feature = x) f: func() -> missing; g: func(p: point); }\n"
                                            "world common { import c; }\n"),
                                   &err),
             &err);
    CHECK_OK(wisp_wit_document_add(document, 1, "deps/far.wit",
                                   WISP_STR("package far:away@2.1.0 { interface points { record point { x: s32 } "
                                            "all: func() -> stream<point>; } }"),
                                   &err),
             &err);
    const struct wisp_wit_document_world *world;
    CHECK_OK(wisp_wit_document_world(document, 0, WISP_STR("main"), &world, &err), &err);
    const struct wisp_wit_document_interface *c = interface_of(world, false, "x:y/c@1.0.0-draft");
    CHECK_INT(c->n_funcs, 1);
    CHECK_INT(func_of(interface_of(world, true, "far:away/points@2.1.0"), "all")->result->kind, WISP_TYPE_STREAM);
}

TEST(an_include_gives_other_names)
{
    static const char text[] =
        "package a:b;\n"
        "interface i { g: func(); }\n"
        "world common { import x: interface { f: func(); } export run: func(); import i; }\n"
        "@unstable(feature = z) world later { import i; }\n"
        "world w { include common with { x as y, run as walk, } @unstable(feature = z) include later; }\n";
    struct wisp_err err = {0};
    WISP_CLEANUP_WIT_DOCUMENT struct wisp_wit_document *document = wisp_wit_document_new();
    CHECK_OK(wisp_wit_document_add(document, 0, "a.wit", wisp_str_from(text), &err), &err);
    const struct wisp_wit_document_world *world;
    CHECK_OK(wisp_wit_document_world(document, 0, WISP_STR("w"), &world, &err), &err);
    CHECK(interface_of(world, false, "y") && !interface_of(world, false, "x") && interface_of(world, false, "a:b/i"));
    CHECK(wisp_str_is(world->export_funcs[0].name, "walk"));
    CHECK_OK(wisp_wit_document_world(document, 0, WISP_STR("common"), &world, &err), &err);
    CHECK(interface_of(world, false, "x") != NULL);
    CHECK_INT(wisp_wit_document_world(document, 0, WISP_STR("later"), &world, &err), -WISP_ERR_NOT_FOUND);
}

struct bad {
    const char *text, *message;
};

TEST(what_is_wrong_is_told_with_its_place)
{
    static const struct bad bad[] = {
        {"package a:b;\ninterface i {\n  f: func(x: nope);\n}\nworld w { import i; }\n",
         "bad.wit:3:14: there is no type `nope`"},
        {"package a:b;\ninterface i { record r { a: r } }\nworld w { import i; }\n", "`r` is made of itself"},
        {"package a:b;\ninterface i { type a = b; type b = list<a>; }\nworld w { import i; }\n", "is made of itself"},
        {"package a:b;\nworld w { import missing; }\n", "bad.wit:2:18: there is no interface or world `missing`"},
        {"package a:b;\nworld w { import x:y/z@1.0.0; }\n", "there is no package `x:y@1.0.0` among the files"},
        {"package a:b;\nworld w { include v; }\nworld v { include w; }\n", "the world includes itself"},
        {"package a:b;\ninterface i { record r { a: u8, a: u8 } }\n", "there are two `a`"},
        {"package a:b;\ninterface i { f: func( }\n", "expected a name, where there is `}`"},
        {"package a:b;\ninterface i { F-g: func(); f--g: func(); }\n", "`f--g` is no name"},
        {"package a:b;\n/* no end", "a comment has no end"},
        {"package a:b;\nworld w {", "where the file ends"},
        {"package a:b;\ninterface i { f: func(x: borrow<u8>); }\nworld w { import i; }\n", "`u8` is no resource"},
        {"package a:b;\ninterface i { f: func(x: list<u8, u8>); }\nworld w { import i; }\n",
         "`list` with 2 types in brackets"},
        {"package a:b;\nworld w {}\nworld w {}\n", "there are two worlds `w`"},
        {"package a:b;\nworld v {}\nworld w { include v with { x as y } }\n",
         "bad.wit:3:28: the world has no import or"},
        {"package a:b;\ninterface i { t: func(); type t = u8; }\n", "bad.wit:2:31: there is a function `t` too"},
        {"package a:b;\ninterface i { type t = u8; t: func(); }\n", "bad.wit:2:28: there is a type `t` too"},
        {"interface \x80 {}", "it is not UTF-8"},
    };
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        struct wisp_err err = {0};
        WISP_CLEANUP_WIT_DOCUMENT struct wisp_wit_document *document = wisp_wit_document_new();
        const struct wisp_wit_document_world *world;
        int r = wisp_wit_document_add(document, 0, "bad.wit", wisp_str_from(bad[i].text), &err);
        if (r == 0) r = wisp_wit_document_world(document, 0, WISP_STR("w"), &world, &err);
        CHECK_INT(r, -WISP_ERR_INVALID);
        CHECK_HAS(err.text, bad[i].message);
    }
}

TEST(types_are_nested_only_so_deep)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_append_str(&text, WISP_STR("package a:b; interface i { type t = "));
    for (int i = 0; i < 100000; i++) wisp_buf_append_str(&text, WISP_STR("list<"));
    struct wisp_err err = {0};
    WISP_CLEANUP_WIT_DOCUMENT struct wisp_wit_document *document = wisp_wit_document_new();
    CHECK_INT(wisp_wit_document_add(document, 0, "deep.wit", wisp_buf_str(&text), &err), -WISP_ERR_INVALID);
    CHECK_HAS(err.text, "nested");
}
