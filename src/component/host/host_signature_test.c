/* SPDX-License-Identifier: Apache-2.0 */
#include "component/host/host_signature.h"
#include "test.h"

#include <stdio.h>

struct fixture {
    struct wisp_arena arena;
    struct wisp_map resources;
    struct wisp_signature_names names;
    struct wisp_err err;
    struct wisp_resource fields;
};

static struct fixture f;

static void start(void)
{
    f = (struct fixture){.fields.name = WISP_STR("fields")};
    wisp_map_add(&f.resources, f.fields.name, &f.fields);
    f.names = (struct wisp_signature_names){.arena = &f.arena, .resources = &f.resources};
}

static void end(void)
{
    wisp_map_deinit(&f.resources);
    wisp_map_deinit(&f.names.types);
    wisp_arena_deinit(&f.arena);
}

static const struct wisp_func_type *parse(const char *text)
{
    const struct wisp_func_type *type = NULL;
    CHECK_OK(wisp_signature_parse(&f.names, wisp_str_from(text), &type, &f.err), &f.err);
    return type;
}

static void check_type(const char *text, const char *printed)
{
    start();
    char signature[200];
    snprintf(signature, sizeof signature, "() -> %s", text);
    CHECK_TEXT(wisp_type_text(&f.arena, parse(signature)->result), printed);
    end();
}

TEST(every_type_parses)
{
    static const char *const words[] = {"bool",
                                        "s8",
                                        "u8",
                                        "s16",
                                        "u16",
                                        "s32",
                                        "u32",
                                        "s64",
                                        "u64",
                                        "f32",
                                        "f64",
                                        "char",
                                        "string",
                                        "list<u8>",
                                        "option<string>",
                                        "tuple<u8, string>",
                                        "result",
                                        "result<u8>",
                                        "result<_, string>",
                                        "result<u8, string>",
                                        "own<fields>",
                                        "borrow<fields>",
                                        "stream<u8>",
                                        "tuple<stream<string>, future<result<_, string>>>",
                                        "list<option<tuple<list<u8>>>>"};
    for (size_t i = 0; i < WISP_COUNT(words); i++) check_type(words[i], words[i]);
    check_type("fields", "own<fields>");
    check_type("record{u8, string}", "record{0: u8, 1: string}");
    check_type("variant{_, u8}", "variant{0, 1(u8)}");
    check_type("enum(3)", "enum{0, 1, 2}");
    check_type("flags(2)", "flags{0, 1}");
    check_type("  result  <  _ ,  u8 > ", "result<_, u8>");
    check_type("result<_>", "result");
}

TEST(functions_are_laid_out_like_c_structs)
{
    start();
    const struct wisp_func_type *type = parse("(borrow<fields>, string, list<u8>) -> result<_, enum(3)>");
    struct {
        void *self;
        struct wisp_str name, value;
    } args;
    CHECK_INT(type->n_params, 3);
    CHECK_INT(type->native_params_size, sizeof args);
    CHECK_INT(type->result->native_size, 8);
    CHECK(type->params[0].type->resource == &f.fields);
    CHECK_INT(parse("()")->n_params, 0);
    CHECK(!parse("()")->result);
    end();
}

TEST(names_are_defined_once_and_then_used)
{
    start();
    CHECK_OK(wisp_signature_define(&f.names, WISP_STR("header-error = variant{_, _, _}"), &f.err), &f.err);
    CHECK_OK(wisp_signature_define(&f.names, WISP_STR("headers=result<list<u8>, header-error>"), &f.err), &f.err);
    const struct wisp_func_type *type = parse("(headers) -> header-error");
    CHECK_TEXT(wisp_type_text(&f.arena, type->params[0].type), "headers");
    CHECK_INT(type->params[0].type->fields[1].type->n_fields, 3);
    CHECK_FAILS(wisp_signature_define(&f.names, WISP_STR("headers = u8"), &f.err), INVALID);
    CHECK_TEXT(f.err.text, "`headers` is defined already");
    CHECK_FAILS(wisp_signature_define(&f.names, WISP_STR("fields = u8"), &f.err), INVALID);
    CHECK_FAILS(wisp_signature_define(&f.names, WISP_STR("u8 = u16"), &f.err), INVALID);
    CHECK_FAILS(wisp_signature_define(&f.names, WISP_STR("= u16"), &f.err), INVALID);
    CHECK_FAILS(wisp_signature_define(&f.names, WISP_STR("a u16"), &f.err), INVALID);
    CHECK_FAILS(wisp_signature_define(&f.names, WISP_STR("a = u16 u8"), &f.err), INVALID);
    end();
}

TEST(mistakes_are_told_with_their_place)
{
    static const char *const rows[][2] = {
        {"", "expected `(` at column 1, where there is the end"},
        {"u8", "expected `(` at column 1, where there is `u8`"},
        {"(u8", "expected `,` at column 4, where there is the end"},
        {"(u8,)", "expected a type at column 5, where there is `)`"},
        {"(u9)", "expected a type at column 2, where there is `u9)`"},
        {"(list<u8)", "expected `>` at column 9, where there is `)`"},
        {"(list)", "expected `<` at column 6"},
        {"(own<field>)", "expected the name of a resource at column 6, where there is `field>)`"},
        {"(borrow<u8>)", "expected the name of a resource at column 9"},
        {"(_)", "expected a type at column 2"},
        {"(record{_})", "expected a type at column 9"},
        {"(record{})", "expected at least one part"},
        {"(tuple<>)", "expected at least one part"},
        {"(variant{})", "expected at least one part"},
        {"(enum(0))", "expected a number from 1 to 4096"},
        {"(enum(99999999999999999999))", "expected a number from 1 to 4096"},
        {"(enum(x))", "expected a number"},
        {"(flags(33))", "flags"},
        {"(result<>)", "expected a type at column 9"},
        {"(result<u8, _>)", "expected a type at column 13"},
        {"() -> ", "expected a type at column 7, where there is the end"},
        {"() - u8", "expected the end at column 4, where there is `- u8`"},
        {"() -> u8 u8", "expected the end at column 10"},
    };
    for (size_t i = 0; i < WISP_COUNT(rows); i++) {
        start();
        const struct wisp_func_type *type;
        CHECK_FAILS(wisp_signature_parse(&f.names, wisp_str_from(rows[i][0]), &type, &f.err), INVALID);
        CHECK_HAS(f.err.text, rows[i][1]);
        end();
    }
}

TEST(nesting_and_size_are_limited)
{
    start();
    char text[6 * 100 + 10] = "(";
    for (int i = 0; i < 100; i++) strcat(text, "list<");
    const struct wisp_func_type *type;
    CHECK_FAILS(wisp_signature_parse(&f.names, wisp_str_from(text), &type, &f.err), INVALID);
    CHECK_HAS(f.err.text, "no deeper nesting");
    static char large[WISP_SIGNATURE_SIZE_MAX + 1];
    memset(large, ' ', sizeof large);
    CHECK_FAILS(wisp_signature_parse(&f.names, (struct wisp_str){large, sizeof large}, &type, &f.err), INVALID);
    end();
}
