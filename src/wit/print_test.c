/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/sample.h"
#include "wit/wit.h"

static int print(struct items *imports, struct items *exports, struct wisp_buf *out, struct wisp_err *err)
{
    struct wisp_component component = {
        .imports = imports->list, .n_imports = imports->n, .exports = exports->list, .n_exports = exports->n};
    return wisp_wit_print(&component, out, err);
}

static void check_text(struct items *imports, struct items *exports, const char *expected)
{
    struct wisp_err err;
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    CHECK_OK(print(imports, exports, &out, &err), &err);
    CHECK_STR(wisp_buf_str(&out), expected);
}

/* Fails as UNSUPPORTED or INVALID with these words, and leaves the text alone. */
static void check_refused(struct items *imports, struct items *exports, enum wisp_err_kind kind, const char *words)
{
    struct wisp_err err;
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    wisp_buf_append_str(&out, WISP_STR("before"));
    CHECK_INT(print(imports, exports, &out, &err), -(int)kind);
    CHECK_HAS(err.text, words);
    CHECK_STR(wisp_buf_str(&out), "before");
    CHECK_INT(print(imports, exports, &out, NULL), -(int)kind);
}

#define EMPTY (&(struct items){0})

/* --- documents --- */

TEST(empty_world) { check_text(EMPTY, EMPTY, "package root:component;\n\nworld root {\n}\n"); }

TEST(every_type)
{
    struct items members = {0}, imports = {0};
    const struct wisp_type *point =
        add_type(&members, "point", COMPOUND(RECORD, {"x", prim(WISP_TYPE_S32)}, {"y", U8}));
    const struct wisp_type *shape =
        add_type(&members, "shape", COMPOUND(VARIANT, {"none", NULL}, {"at", point}, {"all", make_list(point)}));
    add_type(&members, "color", COMPOUND(ENUM, {"red", NULL}, {"dark-red", NULL}));
    add_type(&members, "access", COMPOUND(FLAGS, {"read", NULL}, {"write", NULL}));
    const struct wisp_type *size = add_type(&members, "size", prim(WISP_TYPE_U64));
    const struct wisp_type *length = add_type(&members, "length", size);
    add_type(&members, "pair", COMPOUND(TUPLE, {"", STRING}, {"", make_option(length)}));
    add_type(&members, "outcome", make_result(NULL, NULL));
    ADD_FUNC(&members, "draw", make_result(NULL, STRING), {"shape", shape}, {"size", size});
    ADD_FUNC(&members, "grow", make_result(length, NULL), {"by", prim(WISP_TYPE_U64)});
    ADD_FUNC(&members, "try", make_result(point, shape), {"a", prim(WISP_TYPE_BOOL)}, {"b", prim(WISP_TYPE_CHAR)},
             {"c", prim(WISP_TYPE_F32)}, {"d", prim(WISP_TYPE_F64)}, {"e", prim(WISP_TYPE_S8)},
             {"f", prim(WISP_TYPE_S16)}, {"g", prim(WISP_TYPE_U16)}, {"h", prim(WISP_TYPE_U32)},
             {"i", prim(WISP_TYPE_S64)});
    add_interface(&imports, "my:shapes/types@1.0.0-rc.1+b5", &members);
    check_text(&imports, EMPTY,
               "package root:component;\n"
               "\n"
               "world root {\n"
               "  import my:shapes/types@1.0.0-rc.1+b5;\n"
               "}\n"
               "package my:shapes@1.0.0-rc.1+b5 {\n"
               "  interface types {\n"
               "    record point {\n"
               "      x: s32,\n"
               "      y: u8,\n"
               "    }\n"
               "\n"
               "    variant shape {\n"
               "      none,\n"
               "      at(point),\n"
               "      all(list<point>),\n"
               "    }\n"
               "\n"
               "    enum color {\n"
               "      red,\n"
               "      dark-red,\n"
               "    }\n"
               "\n"
               "    flags access {\n"
               "      read,\n"
               "      write,\n"
               "    }\n"
               "\n"
               "    type size = u64;\n"
               "\n"
               "    type length = size;\n"
               "\n"
               "    type pair = tuple<string, option<length>>;\n"
               "\n"
               "    type outcome = result;\n"
               "\n"
               "    draw: func(shape: shape, size: size) -> result<_, string>;\n"
               "\n"
               "    grow: func(by: u64) -> result<length>;\n"
               "\n"
               "    try: func(a: bool, b: char, c: f32, d: f64, e: s8, f: s16, g: u16, h: u32, i: s64) -> "
               "result<point, shape>;\n"
               "  }\n"
               "}\n");
}

TEST(resources)
{
    struct items members = {0}, imports = {0};
    struct resource fields = add_resource(&members, "fields");
    struct resource headers = add_alias(&members, "headers", fields);
    struct resource token = add_resource(&members, "token");
    struct resource parser = add_resource(&members, "parser");
    const struct wisp_type *view = add_type(&members, "view", borrow(fields));
    add_type(&members, "whole", own(headers));
    ADD_FUNC(&members, "[constructor]fields", own(fields), {"from", own(headers)});
    ADD_FUNC(&members, "[method]fields.get", make_list(U8), {"self", borrow(fields)}, {"name", STRING});
    ADD_FUNC(&members, "[static]fields.join", own(fields), {"a", view}, {"b", borrow(headers)});
    ADD_FUNC(&members, "[constructor]parser", make_result(own(parser), STRING), {"text", STRING});
    ADD_FUNC(&members, "spend", make_option(own(headers)), {"token", own(token)});
    add_interface(&imports, "my:http/types", &members);
    check_text(&imports, EMPTY,
               "package root:component;\n"
               "\n"
               "world root {\n"
               "  import my:http/types;\n"
               "}\n"
               "package my:http {\n"
               "  interface types {\n"
               "    resource fields {\n"
               "      constructor(%from: headers);\n"
               "      get: func(name: string) -> list<u8>;\n"
               "      join: static func(a: view, b: borrow<headers>) -> fields;\n"
               "    }\n"
               "\n"
               "    type headers = fields;\n"
               "\n"
               "    resource token;\n"
               "\n"
               "    resource parser {\n"
               "      constructor(text: string) -> result<parser, string>;\n"
               "    }\n"
               "\n"
               "    type view = borrow<fields>;\n"
               "\n"
               "    type whole = own<fields>;\n"
               "\n"
               "    spend: func(token: token) -> option<headers>;\n"
               "  }\n"
               "}\n");
}

TEST(uses)
{
    struct items types = {0}, api = {0}, near = {0}, imports = {0}, exports = {0};
    const struct wisp_type *point = add_type(&types, "point", COMPOUND(RECORD, {"x", U8}));
    const struct wisp_type *place = add_type(&types, "place", point);
    struct resource map = add_resource(&types, "atlas");
    add_interface(&imports, "my:app/types@1.2.3", &types);

    /* Another package: with version; two names of one type, and a name of its own for the resource. */
    const struct wisp_type *api_place = add_type(&api, "place", place);
    const struct wisp_type *api_point = add_type(&api, "dot", point);
    struct resource chart = add_alias(&api, "chart", map);
    ADD_FUNC(&api, "find", own(chart), {"at", api_place}, {"of", api_point});
    add_interface(&exports, "my:other/api", &api);

    /* The same package, by way of the interface that uses it. */
    const struct wisp_type *near_dot = add_type(&near, "dot", api_point);
    add_alias(&near, "atlas", map);
    ADD_FUNC(&near, "move", NULL, {"to", near_dot});
    add_interface(&exports, "my:other/near", &near);
    check_text(&imports, &exports,
               "package root:component;\n"
               "\n"
               "world root {\n"
               "  import my:app/types@1.2.3;\n"
               "\n"
               "  export my:other/api;\n"
               "  export my:other/near;\n"
               "}\n"
               "package my:app@1.2.3 {\n"
               "  interface types {\n"
               "    record point {\n"
               "      x: u8,\n"
               "    }\n"
               "\n"
               "    type place = point;\n"
               "\n"
               "    resource atlas;\n"
               "  }\n"
               "}\n"
               "\n"
               "\n"
               "package my:other {\n"
               "  interface api {\n"
               "    use my:app/types@1.2.3.{place, point as dot, atlas as chart};\n"
               "\n"
               "    find: func(at: place, of: dot) -> chart;\n"
               "  }\n"
               "  interface near {\n"
               "    use api.{dot};\n"
               "    use my:app/types@1.2.3.{atlas};\n"
               "\n"
               "    move: func(to: dot);\n"
               "  }\n"
               "}\n");
}

TEST(world_items)
{
    struct items types = {0}, inner = {0}, outer = {0}, imports = {0}, exports = {0};
    const struct wisp_type *point = add_type(&types, "point", COMPOUND(RECORD, {"x", U8}));
    add_interface(&imports, "my:app/types", &types);
    const struct wisp_type *world_point = add_type(&imports, "dot", point);
    const struct wisp_type *line = add_type(&imports, "line", COMPOUND(RECORD, {"from", world_point}));
    struct resource pen = add_resource(&imports, "pen");
    ADD_FUNC(&imports, "draw", own(pen), {"line", line});
    ADD_FUNC(&imports, "[method]pen.lift", NULL, {"self", borrow(pen)});
    const struct wisp_type *inner_point = add_type(&inner, "point", point);
    ADD_FUNC(&inner, "go", NULL, {"to", inner_point});
    add_interface(&imports, "mover", &inner);

    const struct wisp_type *ink = add_type(&outer, "ink", COMPOUND(FLAGS, {"red", NULL}));
    ADD_FUNC(&outer, "fill", ink, {"at", make_list(ink)});
    add_interface(&exports, "filler", &outer);
    ADD_FUNC(&exports, "run", world_point, {"pen", own(pen)});
    check_text(&imports, &exports,
               "package root:component;\n"
               "\n"
               "world root {\n"
               "  import my:app/types;\n"
               "  import mover: interface {\n"
               "    use my:app/types.{point};\n"
               "\n"
               "    go: func(to: point);\n"
               "  }\n"
               "  use my:app/types.{point as dot};\n"
               "\n"
               "  record line {\n"
               "    %from: dot,\n"
               "  }\n"
               "\n"
               "  resource pen {\n"
               "    lift: func();\n"
               "  }\n"
               "  import draw: func(line: line) -> pen;\n"
               "\n"
               "  export run: func(pen: pen) -> dot;\n"
               "  export filler: interface {\n"
               "    flags ink {\n"
               "      red,\n"
               "    }\n"
               "\n"
               "    fill: func(at: list<ink>) -> ink;\n"
               "  }\n"
               "}\n"
               "package my:app {\n"
               "  interface types {\n"
               "    record point {\n"
               "      x: u8,\n"
               "    }\n"
               "  }\n"
               "}\n");
}

TEST(words_of_the_language)
{
    struct items members = {0}, user = {0}, imports = {0}, exports = {0};
    const struct wisp_type *record = add_type(&members, "record", COMPOUND(RECORD, {"type", U8}, {"types", U8}));
    add_type(&members, "enum", COMPOUND(ENUM, {"list", NULL}));
    ADD_FUNC(&members, "func", record, {"use", record});
    add_interface(&imports, "my:package/interface@0.1.0", &members);
    add_type(&user, "world", record);
    add_interface(&imports, "with:package/include", &user);
    ADD_PLAIN_FUNC(&exports, "export");
    add_interface(&exports, "import", EMPTY);
    check_text(&imports, &exports,
               "package root:component;\n"
               "\n"
               "world root {\n"
               "  import my:%package/%interface@0.1.0;\n"
               "  import %with:%package/%include;\n"
               "\n"
               "  export %export: func();\n"
               "  export %import: interface {\n"
               "  }\n"
               "}\n"
               "package my:%package@0.1.0 {\n"
               "  interface %interface {\n"
               "    record %record {\n"
               "      %type: u8,\n"
               "      types: u8,\n"
               "    }\n"
               "\n"
               "    enum %enum {\n"
               "      %list,\n"
               "    }\n"
               "\n"
               "    %func: func(%use: %record) -> %record;\n"
               "  }\n"
               "}\n"
               "\n"
               "\n"
               "package %with:%package {\n"
               "  interface %include {\n"
               "    use my:%package/%interface@0.1.0.{%record as %world};\n"
               "  }\n"
               "}\n");
}

TEST(imported_and_exported)
{
    struct items in = {0}, out = {0}, imports = {0}, exports = {0};
    struct resource stream = add_resource(&in, "pipe");
    ADD_FUNC(&in, "[method]pipe.read", NULL, {"self", borrow(stream)});
    ADD_PLAIN_FUNC(&in, "flush");
    add_interface(&imports, "my:io/pipes", &in);
    struct resource again = add_resource(&out, "pipe");
    const struct wisp_type *mode = add_type(&out, "mode", COMPOUND(ENUM, {"in", NULL}));
    ADD_FUNC(&out, "[method]pipe.read", NULL, {"self", borrow(again)});
    ADD_FUNC(&out, "[method]pipe.write", NULL, {"self", borrow(again)}, {"mode", mode});
    ADD_PLAIN_FUNC(&out, "flush");
    ADD_FUNC(&out, "open", own(again), {"mode", mode});
    add_interface(&exports, "my:io/pipes", &out);
    check_text(&imports, &exports,
               "package root:component;\n"
               "\n"
               "world root {\n"
               "  import my:io/pipes;\n"
               "\n"
               "  export my:io/pipes;\n"
               "}\n"
               "package my:io {\n"
               "  interface pipes {\n"
               "    resource pipe {\n"
               "      read: func();\n"
               "      write: func(mode: mode);\n"
               "    }\n"
               "\n"
               "    enum mode {\n"
               "      in,\n"
               "    }\n"
               "\n"
               "    flush: func();\n"
               "\n"
               "    open: func(mode: mode) -> pipe;\n"
               "  }\n"
               "}\n");
}

/* Binaries may refer to a type of another interface without naming it; WIT may not. */
TEST(names_that_the_binary_left_out)
{
    struct items types = {0}, api = {0}, twin = {0}, imports = {0}, exports = {0};
    const struct wisp_type *point = add_type(&types, "point", COMPOUND(RECORD, {"x", U8}));
    struct resource map = add_resource(&types, "atlas");
    add_interface(&imports, "my:app/types", &types);
    ADD_PLAIN_FUNC(&api, "atlas");
    ADD_FUNC(&api, "find", point, {"in", borrow(map)}, {"near", point});
    add_interface(&imports, "my:app/api", &api);
    /* The same resource under a name that no chain leads from. */
    add_alias(&twin, "atlas", (struct resource){map.resource, NULL});
    add_alias(&twin, "folio", (struct resource){map.resource, NULL});
    add_interface(&exports, "my:app/twin", &twin);
    ADD_FUNC(&exports, "run", NULL, {"to", point});
    check_text(&imports, &exports,
               "package root:component;\n"
               "\n"
               "world root {\n"
               "  import my:app/types;\n"
               "  import my:app/api;\n"
               "  use my:app/types.{point};\n"
               "\n"
               "  export run: func(to: point);\n"
               "  export my:app/twin;\n"
               "}\n"
               "package my:app {\n"
               "  interface types {\n"
               "    record point {\n"
               "      x: u8,\n"
               "    }\n"
               "\n"
               "    resource atlas;\n"
               "  }\n"
               "  interface api {\n"
               "    use types.{atlas as atlas0, point};\n"
               "\n"
               "    atlas: func();\n"
               "\n"
               "    find: func(in: borrow<atlas0>, near: point) -> point;\n"
               "  }\n"
               "  interface twin {\n"
               "    use types.{atlas};\n"
               "\n"
               "    type folio = atlas;\n"
               "  }\n"
               "}\n");
}

/* `use` of a type that two names lead to must not make one of them an alias of the other. */
TEST(two_uses_of_one_type)
{
    struct items types = {0}, api = {0}, imports = {0};
    const struct wisp_type *a = add_type(&types, "a", COMPOUND(ENUM, {"x", NULL}));
    const struct wisp_type *b = add_type(&types, "b", a);
    add_interface(&imports, "my:app/types", &types);
    const struct wisp_type *c = add_type(&api, "c", b);
    const struct wisp_type *d = add_type(&api, "d", a);
    const struct wisp_type *e = add_type(&api, "e", c);
    ADD_FUNC(&api, "f", a, {"b", b}, {"c", c}, {"d", d}, {"e", e});
    add_interface(&imports, "my:app/api", &api);
    check_text(&imports, EMPTY,
               "package root:component;\n"
               "\n"
               "world root {\n"
               "  import my:app/types;\n"
               "  import my:app/api;\n"
               "}\n"
               "package my:app {\n"
               "  interface types {\n"
               "    enum a {\n"
               "      x,\n"
               "    }\n"
               "\n"
               "    type b = a;\n"
               "  }\n"
               "  interface api {\n"
               "    use types.{b as c, a as d};\n"
               "\n"
               "    type e = c;\n"
               "\n"
               "    f: func(b: c, c: c, d: d, e: e) -> d;\n"
               "  }\n"
               "}\n");
}

/* The package that the document itself is in. */
TEST(interfaces_of_the_root_package)
{
    struct items types = {0}, user = {0}, near = {0}, imports = {0};
    const struct wisp_type *a = add_type(&types, "a", U8);
    add_interface(&imports, "my:app/types", &types);
    const struct wisp_type *b = add_type(&user, "b", a);
    add_interface(&imports, "root:component/user", &user);
    add_type(&near, "c", b);
    add_interface(&imports, "root:component/near", &near);
    add_interface(&imports, "root:component/old@1.0.0", EMPTY);
    check_text(&imports, EMPTY,
               "package root:component;\n"
               "\n"
               "interface user {\n"
               "  use my:app/types.{a as b};\n"
               "}\n"
               "\n"
               "interface near {\n"
               "  use user.{b as c};\n"
               "}\n"
               "\n"
               "world root {\n"
               "  import my:app/types;\n"
               "  import user;\n"
               "  import near;\n"
               "  import root:component/old@1.0.0;\n"
               "}\n"
               "package my:app {\n"
               "  interface types {\n"
               "    type a = u8;\n"
               "  }\n"
               "}\n"
               "\n"
               "\n"
               "package root:component@1.0.0 {\n"
               "  interface old {\n"
               "  }\n"
               "}\n");
}

/* A value type of an inline interface can be written again where it is used; a resource cannot. */
TEST(types_of_inline_interfaces)
{
    struct items inner = {0}, api = {0}, imports = {0};
    const struct wisp_type *point = add_type(&inner, "point", COMPOUND(RECORD, {"x", U8}));
    struct resource map = add_resource(&inner, "atlas");
    add_interface(&imports, "inner", &inner);
    add_type(&api, "point", point);
    add_interface(&imports, "my:app/api", &api);
    check_text(&imports, EMPTY,
               "package root:component;\n"
               "\n"
               "world root {\n"
               "  import inner: interface {\n"
               "    record point {\n"
               "      x: u8,\n"
               "    }\n"
               "\n"
               "    resource atlas;\n"
               "  }\n"
               "  import my:app/api;\n"
               "}\n"
               "package my:app {\n"
               "  interface api {\n"
               "    record point {\n"
               "      x: u8,\n"
               "    }\n"
               "  }\n"
               "}\n");
    struct items user = {0};
    add_alias(&user, "map", map);
    add_interface(&imports, "my:app/user", &user);
    check_refused(&imports, EMPTY, WISP_ERR_UNSUPPORTED, "the resource `atlas` of `inner` is used as `map` in `user`");
}

/* --- refusals --- */

TEST(what_wit_has_no_words_for)
{
    struct items imports = {0}, exports = {0}, members = {0};
    add(&imports, "code", WISP_ITEM_MODULE);
    check_refused(&imports, EMPTY, WISP_ERR_UNSUPPORTED, "imports: WIT has no words for the core module `code`");
    add_type(&exports, "size", U8);
    check_refused(EMPTY, &exports, WISP_ERR_UNSUPPORTED, "exports: WIT has no words for the type `size`");
    imports.n = 0;
    add(&members, "inner", WISP_ITEM_INTERFACE);
    add_interface(&imports, "my:app/api", &members);
    check_refused(&imports, EMPTY, WISP_ERR_UNSUPPORTED, "interface `my:app/api`: WIT has no words for the instance");
    imports.n = 0;
    add(&imports, "callback", WISP_ITEM_TYPE)->func = make_func(NULL, NULL, 0);
    check_refused(&imports, EMPTY, WISP_ERR_UNSUPPORTED, "WIT has no words for the type `callback` here");
    exports.n = 0;
    ADD_PLAIN_FUNC(&exports, "my:app/run");
    check_refused(EMPTY, &exports, WISP_ERR_UNSUPPORTED, "WIT has no words for the function `my:app/run` here");
}

TEST(types_without_a_name)
{
    struct items imports = {0}, hidden = {0};
    ADD_FUNC(&imports, "run", NULL, {"a", COMPOUND(RECORD, {"x", U8})});
    check_refused(&imports, EMPTY, WISP_ERR_UNSUPPORTED, "`run`: the record `` has no name here");
    imports.n = 0;
    ADD_FUNC(&imports, "run", NULL, {"a", borrow(add_resource(&hidden, "gem"))});
    check_refused(&imports, EMPTY, WISP_ERR_UNSUPPORTED, "`run`: the resource `gem` has no name here");
    imports.n = 0;
    ADD_PLAIN_FUNC(&imports, "[method]gem.cut");
    check_refused(&imports, EMPTY, WISP_ERR_INVALID, "the function `[method]gem.cut` belongs to no resource");
}

/* A small binary can hold tuples of tuples of tuples, each part shared. */
TEST(too_much_text)
{
    struct items imports = {0};
    char *name = wisp_arena_calloc(&arena, 3000 + 1, 1);
    memset(name, 'a', 3000);
    const struct wisp_type *type = add_type(&imports, name, U8);
    for (int i = 0; i < 15; i++) type = COMPOUND(TUPLE, {"", type}, {"", type});
    ADD_FUNC(&imports, "run", NULL, {"a", type});
    struct wisp_err err;
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    CHECK_FAILS(print(&imports, EMPTY, &out, &err), LIMIT);
    CHECK_INT(out.len, 0);
}
