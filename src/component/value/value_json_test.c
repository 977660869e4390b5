/* SPDX-License-Identifier: Apache-2.0 */
#include "component/value/value_json.h"

#include "component/value/value_sample.h"
#include "component/value/wave.h"
#include "test.h"

static struct wisp_err err;

/* A value in WAVE is this in JSON, and back. */
static void check(const struct wisp_type *type, const char *wave, const char *expected)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf text = {0}, again = {0};
    WISP_CLEANUP_JSON json_t *json = NULL, *parsed = NULL;
    void *native = wisp_arena_alloc(&arena, type->native_size);
    CHECK_OK(wisp_wave_parse(&arena, type, wisp_str_from(wave), native, &err), &err);
    CHECK_OK(wisp_value_to_json(type, native, &json, &err), &err);
    wisp_json_print(json, &text);
    CHECK_STR(wisp_buf_str(&text), expected);
    CHECK_OK(wisp_json_parse(wisp_buf_str(&text), &parsed, &err), &err);
    CHECK_OK(wisp_value_from_json(&arena, type, parsed, native, &err), &err);
    CHECK_OK(wisp_wave_print(&again, type, native, &err), &err);
    CHECK_STR(wisp_buf_str(&again), wave);
}

static void check_refused(const struct wisp_type *type, const char *text, const char *words)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_JSON json_t *json = NULL;
    void *native = wisp_arena_alloc(&arena, type->native_size);
    CHECK_OK(wisp_json_parse(wisp_str_from(text), &json, &err), &err);
    if (wisp_value_from_json(&arena, type, json, native, &err) != -WISP_ERR_INVALID)
        wisp_test_fail(__FILE__, __LINE__, "`%s` was accepted", text);
    CHECK_HAS(err.text, words);
}

TEST(scalars)
{
    check(PRIMITIVE(BOOL), "true", "true");
    check(PRIMITIVE(S8), "-128", "-128");
    check(PRIMITIVE(U32), "4294967295", "4294967295");
    check(PRIMITIVE(S64), "-9223372036854775808", "-9223372036854775808");
    check(PRIMITIVE(U64), "9223372036854775807", "9223372036854775807");
    check(PRIMITIVE(U64), "18446744073709551615", "\"18446744073709551615\"");
    check(PRIMITIVE(F64), "1.5", "1.5");
    check(PRIMITIVE(F32), "0.5", "0.5");
    check(PRIMITIVE(F32), "nan", "\"nan\"");
    check(PRIMITIVE(F64), "-inf", "\"-inf\"");
    check(PRIMITIVE(CHAR), "'\xf0\x9f\x8c\x8a'", "\"\xf0\x9f\x8c\x8a\"");
    check(PRIMITIVE(STRING), "\"a\\u{0}b\"", "\"a\\u0000b\"");
    check_refused(PRIMITIVE(BOOL), "1", "true or false");
    check_refused(PRIMITIVE(U8), "256", "`u8`");
    check_refused(PRIMITIVE(U8), "-1", "`u8`");
    check_refused(PRIMITIVE(U8), "\"1\"", "`u8`");
    check_refused(PRIMITIVE(U8), "1.0", "`u8`");
    check_refused(PRIMITIVE(F32), "1e300", "`f32`");
    check_refused(PRIMITIVE(F64), "null", "`f64`");
    check_refused(PRIMITIVE(CHAR), "\"ab\"", "one character");
    check_refused(PRIMITIVE(CHAR), "\"\"", "one character");
    check_refused(PRIMITIVE(STRING), "1", "a string");
}

TEST(compounds)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_type *flags = sample_type(&arena, 14), *options = sample_type(&arena, 15),
                           *tuple = sample_type(&arena, 16), *list = sample_type(&arena, 23);
    check(flags, "{read, err}", "[\"read\",\"err\"]");
    check(options, "{b: some(\"x\")}", "{\"a\":null,\"b\":\"x\"}");
    check(tuple, "(\"abc\", -1, 'c')", "[\"abc\",-1,\"c\"]");
    check(list, "[{must-have: 1.5, maybe: some(W), rest: []}]", "[{\"must-have\":1.5,\"maybe\":\"W\",\"rest\":[]}]");
    check(sample_type(&arena, 22), "[[], [none, some(\"x\")]]", "[[],[null,\"x\"]]");
    check_refused(flags, "[\"exec\"]", "`flags{read, write, err}`");
    check_refused(flags, "{}", "an array");
    check_refused(options, "{\"c\":1}", "expected a value of type");
    check_refused(options, "[]", "an object");
    check_refused(tuple, "[1]", "an array of 3 elements");
    check_refused(list, "[{\"rest\":[]}]", "element 0: field `must-have`: expected a value of type `f64`");
    check_refused(list, "3", "an array");
}

TEST(cases)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_type *direction = sample_type(&arena, 13), *variant = sample_type(&arena, 17),
                           *deep = sample_type(&arena, 19), *result = sample_type(&arena, 20),
                           *nothing = sample_type(&arena, 21);
    check(direction, "%none", "\"none\"");
    check(variant, "empty", "\"empty\"");
    check(variant, "days(30)", "{\"days\":30}");
    check(sample_type(&arena, 18), "some(%none)", "\"none\"");
    check(sample_type(&arena, 18), "none", "null");
    check(deep, "none", "null");
    check(deep, "some(none)", "{\"some\":null}");
    check(deep, "some(some(ok(1.5)))", "{\"some\":{\"ok\":1.5}}");
    check(deep, "some(some(err))", "{\"some\":{\"err\":null}}");
    check(result, "ok(\"fine\")", "{\"ok\":\"fine\"}");
    check(result, "err(7)", "{\"err\":7}");
    check(nothing, "ok", "{\"ok\":null}");
    check_refused(direction, "\"north\"", "expected a value of type");
    check_refused(direction, "{\"south\":1}", "expected a value of type");
    check_refused(variant, "\"days\"", "expected a value of type");
    check_refused(variant, "{\"days\":1,\"empty\":null}", "expected a value of type");
    check_refused(result, "{\"ok\":7}", "`ok`: expected a string");
}

TEST(handles_have_no_json)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_resource resource = {.name = WISP_STR("stream")};
    const struct wisp_type *list = sample_list(&arena, wisp_type_handle(&arena, WISP_TYPE_OWN, &resource));
    void *handle = NULL;
    struct {
        void *ptr;
        size_t len;
    } native = {&handle, 1};
    json_t *json = NULL;
    CHECK_FAILS(wisp_value_to_json(list, &native, &json, &err), UNSUPPORTED);
}
