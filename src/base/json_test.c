/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "test.h"

static int parse(const char *text, json_t **ret_value, struct wisp_err *err)
{
    return wisp_json_parse(wisp_str_from(text), ret_value, err);
}

TEST(fields_are_found_and_absent_ones_have_a_fallback)
{
    WISP_CLEANUP_JSON json_t *value = NULL;
    struct wisp_err err = {0};
    CHECK_OK(parse("{\"a\":\"x\",\"n\":7,\"b\":true,\"minus\":-1}", &value, &err), &err);
    CHECK_STR(wisp_json_str(value, "a"), "x");
    CHECK_INT(wisp_json_str(value, "n").len, 0);
    CHECK_INT(wisp_json_str(NULL, "n").len, 0);
    CHECK_INT(wisp_json_u64(value, "n", 1), 7);
    CHECK_INT(wisp_json_u64(value, "minus", 1), 1);
    CHECK_INT(wisp_json_u64(value, "absent", 3), 3);
    CHECK(wisp_json_bool(value, "b", false));
    CHECK(wisp_json_bool(value, "n", true));
}

TEST(what_is_no_json_is_refused_with_its_place)
{
    json_t *value;
    struct wisp_err err = {0};
    CHECK_FAILS(parse("", &value, &err), INVALID);
    CHECK_FAILS(parse("{\n  \"a\": }", &value, &err), INVALID);
    CHECK_HAS(err.text, "line 2");
    CHECK_FAILS(parse("{} {}", &value, &err), INVALID);
    CHECK_FAILS(parse("\"\xff\"", &value, &err), INVALID);
    CHECK(!value);
}

TEST(depth_is_bounded)
{
    char text[2 * WISP_JSON_DEPTH_MAX + 3];
    json_t *value = NULL;
    struct wisp_err err = {0};
    memset(text, '[', WISP_JSON_DEPTH_MAX);
    memset(text + WISP_JSON_DEPTH_MAX, ']', WISP_JSON_DEPTH_MAX);
    text[2 * WISP_JSON_DEPTH_MAX] = '\0';
    CHECK_OK(parse(text, &value, &err), &err);
    json_decref(value);
    memset(text, '[', WISP_JSON_DEPTH_MAX + 1);
    CHECK_FAILS(parse(text, &value, &err), LIMIT);
    CHECK_OK(parse("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"", &value, &err), &err);
    json_decref(value);
}

TEST(text_that_is_no_utf8_is_made_so)
{
    WISP_CLEANUP_JSON json_t *value = wisp_json_text((struct wisp_str){"a\xff\xc3\xa9\xe2\x82", 6});
    CHECK_TEXT(json_string_value(value), "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    WISP_CLEANUP_JSON json_t *object = json_pack("{s:i,s:[i]}", "b", 1, "a", 2);
    wisp_json_print(object, &out);
    CHECK_STR(wisp_buf_str(&out), "{\"b\":1,\"a\":[2]}");
}
