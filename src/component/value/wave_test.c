/* SPDX-License-Identifier: Apache-2.0 */
#include "component/value/wave.h"

#include "component/value/value_sample.h"
#include "test.h"

static struct wisp_err err;

/* Parses and prints again. */
static void check(const struct wisp_type *type, const char *text, const char *expected)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    void *native = wisp_arena_alloc(&arena, type->native_size);
    int r = wisp_wave_parse(&arena, type, wisp_str_from(text), native, &err);
    if (r < 0) wisp_test_fail(__FILE__, __LINE__, "%s: %s", text, err.text);
    CHECK_OK(wisp_wave_print(&out, type, native, &err), &err);
    CHECK_STR(wisp_buf_str(&out), expected);
}

static void check_refused(const struct wisp_type *type, const char *text, const char *words)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    void *native = wisp_arena_alloc(&arena, type->native_size);
    int r = wisp_wave_parse(&arena, type, wisp_str_from(text), native, &err);
    if (r != -WISP_ERR_INVALID) wisp_test_fail(__FILE__, __LINE__, "`%s` was accepted", text);
    CHECK_HAS(err.text, words);
}

TEST(numbers)
{
    check(PRIMITIVE(BOOL), " true // yes", "true");
    check(PRIMITIVE(BOOL), "false", "false");
    check(PRIMITIVE(U8), "255", "255");
    check(PRIMITIVE(S8), "-128", "-128");
    check(PRIMITIVE(S16), "-32768", "-32768");
    check(PRIMITIVE(U16), "65535", "65535");
    check(PRIMITIVE(S32), "-0", "0");
    check(PRIMITIVE(U32), "4294967295", "4294967295");
    check(PRIMITIVE(S64), "-9223372036854775808", "-9223372036854775808");
    check(PRIMITIVE(U64), "18446744073709551615", "18446744073709551615");
    check_refused(PRIMITIVE(U8), "256", "line 1, column 1: expected a value of type `u8`, found `256`");
    check_refused(PRIMITIVE(U8), "-1", "`u8`");
    check_refused(PRIMITIVE(S8), "-129", "`s8`");
    check_refused(PRIMITIVE(U64), "18446744073709551616", "`u64`");
    check_refused(PRIMITIVE(U8), "01", "`u8`");
    check_refused(PRIMITIVE(U8), "1.0", "`u8`");
    check_refused(PRIMITIVE(U8), "", "found the end");
    check_refused(PRIMITIVE(U8), "1 2", "column 3: expected the end");
    check_refused(PRIMITIVE(BOOL), "truest", "`true` or `false`");
}

TEST(floats)
{
    check(PRIMITIVE(F64), "3.14", "3.14");
    check(PRIMITIVE(F64), "6.022e+23", "6.022e+23");
    check(PRIMITIVE(F64), "1E-07", "1e-7");
    check(PRIMITIVE(F64), "100", "100");
    check(PRIMITIVE(F64), "-0.0", "-0");
    check(PRIMITIVE(F64), "0.00012", "0.00012");
    check(PRIMITIVE(F64), "5e-324", "5e-324");
    check(PRIMITIVE(F64), "1.7976931348623157e308", "1.7976931348623157e+308");
    check(PRIMITIVE(F64), "0.1", "0.1");
    check(PRIMITIVE(F32), "0.1", "0.1");
    check(PRIMITIVE(F32), "16777216", "16777216");
    check(PRIMITIVE(F32), "3e10", "30000000000");
    check(PRIMITIVE(F32), "nan", "nan");
    check(PRIMITIVE(F64), "-inf", "-inf");
    check(PRIMITIVE(F32), "inf", "inf");
    static const char *const wrong[] = {"-nan", "NaN", "infinity", "Inf", ".5", "5.", "1e", "00", "1e400", "0x10"};
    for (size_t i = 0; i < WISP_COUNT(wrong); i++) check_refused(PRIMITIVE(F64), wrong[i], "`f64`");
    check_refused(PRIMITIVE(F32), "1e39", "`f32`");
}

TEST(characters)
{
    check(PRIMITIVE(CHAR), "'x'", "'x'");
    check(PRIMITIVE(CHAR), "'\xe2\x98\x83'", "'\xe2\x98\x83'");
    check(PRIMITIVE(CHAR), "'\\u{1F30A}'", "'\xf0\x9f\x8c\x8a'");
    check(PRIMITIVE(CHAR), "'\\''", "'\\''");
    check(PRIMITIVE(CHAR), "'\"'", "'\"'");
    check(PRIMITIVE(CHAR), "'\\u{0}'", "'\\u{0}'");
    check(PRIMITIVE(CHAR), "'\\n'", "'\\n'");
    static const char *const wrong[] = {
        "''",      "'''",  "'ab'", "'", "'\\u{d800}'", "'\\j'", "'\\u{110000}'",      "'\\u{}'",
        "'\\u{1'", "'\\u", "'\\",  "x", "'\\u{-1}'",   "\"x\"", "'\\u{ffffffffffff}'"};
    for (size_t i = 0; i < WISP_COUNT(wrong); i++) check_refused(PRIMITIVE(CHAR), wrong[i], "expected");
}

TEST(strings)
{
    check(PRIMITIVE(STRING), "\"\"", "\"\"");
    check(PRIMITIVE(STRING), "\"WAVE\xf0\x9f\x8c\x8a it's\"", "\"WAVE\xf0\x9f\x8c\x8a it's\"");
    check(PRIMITIVE(STRING), "\"\\\\\\'\\\"\\t\\n\\r\\u{002603}\"", "\"\\\\'\\\"\\t\\n\\r\xe2\x98\x83\"");
    check(PRIMITIVE(STRING), "\"\\u{202e}\\u{9b}\\u{1b}[2J\"", "\"\\u{202e}\\u{9b}\\u{1b}[2J\"");
    check_refused(PRIMITIVE(STRING), "\"\\j\"", "an escape: one of");
    check_refused(PRIMITIVE(STRING), "\"ab\ncd\"", "column 4: expected a closing `\"`, found the end of the line");
    check_refused(PRIMITIVE(STRING), "\"\\\"", "a closing `\"`, found the end");
    check_refused(PRIMITIVE(STRING), "abc", "a string in double quotes, found `abc`");
    check_refused(PRIMITIVE(STRING), "\"\xff\"", "not UTF-8");
}

TEST(strings_of_lines)
{
    check(PRIMITIVE(STRING), "\"\"\"\n\"\"\"", "\"\"");
    check(PRIMITIVE(STRING), "\"\"\"\nA single line\n\"\"\"", "\"A single line\"");
    check(PRIMITIVE(STRING), "\"\"\"\r\n    Two\r\n      lines\r\n  \"\"\"", "\"  Two\\n    lines\"");
    check(PRIMITIVE(STRING), "\"\"\"\n\nempty ones\n\n\"\"\"", "\"\\nempty ones\\n\"");
    check(PRIMITIVE(STRING), "\"\"\"\n \"\"\\\"\" \\r\n \"\"\"", "\"\\\"\\\"\\\"\\\" \\r\"");
    static const char *const wrong[] = {"\"\"\"\"\"\"",
                                        "\"\"\" \"\"\"",
                                        "\"\"\"\"\n\"\"\"",
                                        "\"\"\"\n\"",
                                        "\"\"\"\n\"\"\"\"",
                                        "\"\"\"extra\n\"\"\"",
                                        "\"\"\"\nextra\"\"\"",
                                        "\"\"\"\n  \"\"\"\n  \"\"\"",
                                        "\"\"\"\n a \"\"\" b\n \"\"\"",
                                        "\"\"\"\n\\j\n\"\"\"",
                                        "\"\"\"\n a\nb\n \"\"\"",
                                        "\"\"\"\n\\\n\"\"\"",
                                        "\"\"\"",
                                        "\"\"\"\n \\u{26\n \"\"\""};
    for (size_t i = 0; i < WISP_COUNT(wrong); i++) check_refused(PRIMITIVE(STRING), wrong[i], "expected");
    check_refused(PRIMITIVE(STRING), "\"\"\"\n  a\n b\n  \"\"\"", "line 3, column 2: expected a line indented");
}

TEST(lists_and_tuples)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_type *bytes = sample_list(&arena, PRIMITIVE(U8)), *nested = sample_type(&arena, 22),
                           *tuple = sample_type(&arena, 16);
    check(bytes, "[]", "[]");
    check(bytes, "[ 1,2 ,3, ]", "[1, 2, 3]");
    check(nested, "[[], [\"flat\", none, some(\"x\")]]", "[[], [some(\"flat\"), none, some(\"x\")]]");
    check(tuple, "(\"abc\", // first\n -123, 'c',)", "(\"abc\", -123, 'c')");
    check_refused(bytes, "[1 2]", "column 4: expected `,` or `]`, found `2]`");
    check_refused(bytes, "[1, 300]", "column 5: expected a value of type `u8`");
    check_refused(bytes, "[,]", "`u8`");
    check_refused(bytes, "[1", "`,` or `]`, found the end");
    check_refused(tuple, "(\"abc\", 1)", "expected `,`, found `)`");
    check_refused(tuple, "(\"abc\", 1, 'c', 4)", "expected `)`");
}

TEST(records)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_type *options = sample_type(&arena, 15), *list = sample_type(&arena, 23);
    check(options, "{:}", "{:}");
    check(options, "{ : }", "{:}");
    check(options, "{b: \"x\", %a: 1,}", "{a: some(1), b: some(\"x\")}");
    check(options, "{a: none}", "{:}");
    check(list, "[{must-have: 1, rest: [{:}]}]", "[{must-have: 1, rest: [{:}]}]");
    check(list, "[{rest: [], must-have: 2, maybe: W}]", "[{must-have: 2, maybe: some(W), rest: []}]");
    check_refused(options, "{}", "a field (a, b), found `}`");
    check_refused(options, "{c: 1}", "a field (a, b), found `c: 1}`");
    check_refused(options, "{a: 1, a: 2}", "each field once");
    check_refused(options, "{a 1}", "expected `:`");
    check_refused(list, "[{must-have: 1}]", "column 15: expected field `rest` too, found `}]`");
}

TEST(variants_and_flags)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_type *direction = sample_type(&arena, 13), *flags = sample_type(&arena, 14),
                           *variant = sample_type(&arena, 17);
    check(direction, "south", "south");
    check(direction, "%none", "%none");
    check(direction, "%W", "W");
    check(flags, "{}", "{}");
    check(flags, "{err, %read,}", "{read, err}");
    check(variant, "empty", "empty");
    check(variant, "days( 30 )", "days(30)");
    check(variant, "%some({:})", "%some({:})");
    check_refused(direction, "north", "a case (south, none, ok, W), found `north`");
    check_refused(direction, "south()", "expected the end");
    check_refused(flags, "{read, read}", "each flag once");
    check_refused(flags, "{exec}", "a flag (read, write, err)");
    check_refused(variant, "days", "expected `(`");
    check_refused(variant, "empty(1)", "expected the end");
}

TEST(options_and_results)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_type *direction = sample_type(&arena, 18), *deep = sample_type(&arena, 19),
                           *result = sample_type(&arena, 20), *nothing = sample_type(&arena, 21);
    check(direction, "none", "none");
    check(direction, "%none", "some(%none)");
    check(direction, "W", "some(W)");
    check(direction, "some(%ok)", "some(%ok)");
    check(deep, "none", "none");
    check(deep, "some(none)", "some(none)");
    check(deep, "some(some(ok(1.5)))", "some(some(ok(1.5)))");
    check(deep, "some(some(err))", "some(some(err))");
    check(result, "ok(\"fine\")", "ok(\"fine\")");
    check(result, "\"flat\"", "ok(\"flat\")");
    check(result, "err(7)", "err(7)");
    check(nothing, "ok", "ok");
    check(nothing, "err", "err");
    check_refused(direction, "some", "expected `(`");
    check_refused(direction, "some()", "a case (");
    check_refused(direction, "none()", "expected the end");
    check_refused(direction, "some(some(W))", "a case (");
    check_refused(deep, "ok(1)", "`some(..)` or `none`");
    check_refused(nothing, "1", "`ok` or `err`");
    check_refused(result, "7", "a string in double quotes");
}

TEST(handles_have_no_text)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    struct wisp_resource resource = {.name = WISP_STR("stream")};
    const struct wisp_type *type = wisp_type_handle(&arena, WISP_TYPE_OWN, &resource);
    void *native = NULL;
    CHECK_FAILS(wisp_wave_parse(&arena, type, WISP_STR("1"), &native, &err), UNSUPPORTED);
    CHECK_FAILS(wisp_wave_print(&out, type, &native, &err), UNSUPPORTED);
}

TEST(sizes_have_limits)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    struct wisp_type_field *fields = WISP_NEW_ARRAY(&arena, struct wisp_type_field, 10000);
    for (int i = 0; i < 10000; i++)
        fields[i] = (struct wisp_type_field){.name = wisp_str_from(wisp_arena_printf(&arena, "f%d", i)),
                                             .type = sample_option(&arena, PRIMITIVE(U64))};
    const struct wisp_type *wide = sample_compound(&arena, WISP_TYPE_RECORD, fields, 10000);
    wisp_buf_append_char(&text, '[');
    for (int i = 0; i < 1000; i++) wisp_buf_append(&text, "{:},", 4);
    wisp_buf_append_char(&text, ']');
    uint8_t native[16];
    CHECK_FAILS(wisp_wave_parse(&arena, sample_list(&arena, wide), wisp_buf_str(&text), native, &err), LIMIT);
    char *long_text = wisp_arena_calloc(&arena, 1, WISP_WAVE_TEXT_MAX + 1);
    CHECK_FAILS(
        wisp_wave_parse(&arena, PRIMITIVE(U8), (struct wisp_str){long_text, WISP_WAVE_TEXT_MAX + 1}, native, &err),
        LIMIT);
}
