/* SPDX-License-Identifier: Apache-2.0 */
#include "component/decode/decode.h"
#include "test.h"

static bool is_label(const char *text) { return wisp_name_is_label(wisp_str_from(text)); }
static bool is_semver(const char *text) { return wisp_name_is_semver(wisp_str_from(text)); }

/* Kind of the name, or -1. */
static int kind(const char *text)
{
    struct wisp_extern_name name;
    return wisp_name_parse(wisp_str_from(text), &name) ? (int)name.kind : -1;
}

TEST(labels_are_kebab_case)
{
    static const char *const good[] = {"a", "a1", "a-1", "foo-bar", "A", "URL", "get-URL2", "a-1-b", "x-509"};
    static const char *const bad[] = {"",   "-",  "a-",  "-a",  "a--b", "1a",      "1",
                                      "aB", "Ab", "a_b", "a.b", "a b",  "\xc3\xa4"};
    for (size_t i = 0; i < WISP_COUNT(good); i++) CHECK(is_label(good[i]));
    for (size_t i = 0; i < WISP_COUNT(bad); i++) CHECK(!is_label(bad[i]));
}

TEST(semantic_versions)
{
    static const char *const good[] = {"0.0.0",       "1.2.3",     "10.20.30",     "1.0.0-a",
                                       "1.0.0-0.x.7", "1.0.0+007", "1.0.0-a-b+c-d"};
    static const char *const bad[] = {"",       "1",        "1.2",    "1.2.3.4",    "01.2.3",    "1.2.x",
                                      "1.2.3-", "1.2.3-01", "1.2.3+", "1.2.3-a..b", "1.2.3-a_b", " 1.2.3"};
    for (size_t i = 0; i < WISP_COUNT(good); i++) CHECK(is_semver(good[i]));
    for (size_t i = 0; i < WISP_COUNT(bad); i++) CHECK(!is_semver(bad[i]));
}

TEST(kinds_of_names)
{
    CHECK_INT(kind("run"), WISP_NAME_LABEL);
    CHECK_INT(kind("wasi:http/types"), WISP_NAME_INTERFACE);
    CHECK_INT(kind("wasi:http/types@0.2.2"), WISP_NAME_INTERFACE);
    CHECK_INT(kind("wasi:http/types@0.2"), WISP_NAME_INTERFACE);
    CHECK_INT(kind("[constructor]fields"), WISP_NAME_CONSTRUCTOR);
    CHECK_INT(kind("[method]fields.append"), WISP_NAME_METHOD);
    CHECK_INT(kind("[static]fields.from-list"), WISP_NAME_STATIC);
    static const char *const bad[] = {"",
                                      "wasi:http",
                                      "wasi:http/",
                                      ":http/types",
                                      "wasi:http/types@",
                                      "wasi:http/types@0",
                                      "Wasi:http/types",
                                      "a:b:c/d",
                                      "a:b/c/d",
                                      "[method]fields",
                                      "[method].append",
                                      "[method]a.b.c",
                                      "[constructor]",
                                      "[other]a",
                                      "a/b"};
    for (size_t i = 0; i < WISP_COUNT(bad); i++) CHECK_INT(kind(bad[i]), -1);
}

TEST(parts_of_annotated_names)
{
    struct wisp_extern_name name;
    CHECK(wisp_name_parse(WISP_STR("[method]fields.append"), &name));
    CHECK_STR(name.resource, "fields");
    CHECK_STR(name.label, "append");
    CHECK(wisp_name_parse(WISP_STR("[constructor]fields"), &name));
    CHECK_STR(name.resource, "fields");
}

static bool conflict(const char *a, const char *b)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_extern_name x, y;
    CHECK(wisp_name_parse(wisp_str_from(a), &x) && wisp_name_parse(wisp_str_from(b), &y));
    return wisp_str_equal(wisp_name_canonical(&arena, &x), wisp_name_canonical(&arena, &y));
}

TEST(strong_uniqueness)
{
    CHECK(conflict("foo-bar", "foo-BAR"));
    CHECK(conflict("[method]foo.bar", "[static]foo.BAR"));
    CHECK(conflict("foo", "[method]foo.foo"));
    CHECK(conflict("[constructor]foo", "[constructor]FOO"));
    CHECK(conflict("foo:bar/baz", "foo:bar/BAZ"));
    CHECK(!conflict("foo", "[constructor]foo"));
    CHECK(!conflict("foo", "[method]foo.bar"));
    CHECK(!conflict("a:b/c@1.0.0", "a:b/c@2.0.0"));
}
