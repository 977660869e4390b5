/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/reference.h"

#include "test.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UPPER "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"

static const char *parsed(const char *text)
{
    static struct wisp_arena arena;
    struct wisp_oci_reference reference;
    struct wisp_err err = {0};
    wisp_arena_deinit(&arena);
    if (wisp_oci_reference_parse(&arena, wisp_str_from(text), &reference, &err) < 0)
        return wisp_arena_printf(&arena, "%s: %s", wisp_err_name(err.kind), err.text);
    if (reference.path) return wisp_arena_printf(&arena, "path %s", reference.path);
    return wisp_arena_printf(&arena, "%s | %s | %s | %s", reference.registry, reference.repository,
                             reference.tag ? reference.tag : "-", reference.digest ? "pinned" : "-");
}

TEST(registries)
{
    CHECK_TEXT(parsed("ghcr.io/wasmcloud/echo:0.1.0"), "ghcr.io | wasmcloud/echo | 0.1.0 | -");
    CHECK_TEXT(parsed("oci://GHCR.io/X/Echo:RC1"), "ghcr.io | x/echo | RC1 | -");
    CHECK_TEXT(parsed("https://localhost:5000/a"), "localhost:5000 | a | latest | -");
    CHECK_TEXT(parsed("http://localhost/a:1"), "localhost | a | 1 | -");
    CHECK_TEXT(parsed("[::1]:5000/a:1"), "[::1]:5000 | a | 1 | -");
    CHECK_TEXT(parsed("a.b/c@sha256:" HEX), "a.b | c | - | pinned");
    CHECK_TEXT(parsed("a.b/c:1@SHA256:" UPPER), "a.b | c | 1 | pinned");
    CHECK_TEXT(parsed("wasmcloud/echo:1"), "docker.io | wasmcloud/echo | 1 | -");
    CHECK_TEXT(parsed("echo:1"), "docker.io | library/echo | 1 | -");
    CHECK_TEXT(parsed("a.b/c__d--e.f/g:1"), "a.b | c__d--e.f/g | 1 | -");
}

TEST(files)
{
    CHECK_TEXT(parsed("file:///a/B%20c.wasm"), "path /a/B c.wasm");
    CHECK_TEXT(parsed("FILE://localhost/a"), "path /a");
    CHECK_TEXT(parsed("/a/b%20c"), "path /a/b%20c");
    CHECK_TEXT(parsed("file:///a/100%"), "path /a/100%");
    CHECK_HAS(parsed("file://a/b"), "invalid: path is not absolute");
    CHECK_HAS(parsed("file:///a%00b"), "invalid: not a path");
}

TEST(wrong)
{
    static const char *const wrong[] = {
        "",
        "a.b/",
        "a.b//c",
        "a.b/../c",
        "a.b/c:",
        "a.b/c:-x",
        "a.b/c:x y",
        "a.b:0/c",
        "a.b:99999/c",
        "a.b:/c",
        "a.b/c?d=e",
        "a.b/c#d",
        "user@a.b/c",
        "a.b/c@sha256:00",
        "ftp://a.b/c",
        "[::1/c",
        "a.b/c.",
        "a.b/c._d",
        "a.b/-c",
        "a.b/c\nd:1",
        "a_b.c/d",
        "a.b/c%2e",
        "wasmcloud+builtin://http-server",
        "a.b/c@",
        "a.b/c@md5:" HEX,
    };
    for (size_t i = 0; i < WISP_COUNT(wrong); i++)
        if (strncmp(parsed(wrong[i]), "invalid: ", 9))
            wisp_test_fail(__FILE__, __LINE__, "%s: %s", wrong[i], parsed(wrong[i]));
    CHECK_HAS(parsed("a.b/c@sha512:00"), "unsupported: ");
}

TEST(spellings_have_one_text)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_oci_reference a, b;
    struct wisp_err err = {0};
    CHECK_OK(wisp_oci_reference_parse(&arena, WISP_STR("oci://Reg.io/X"), &a, &err), &err);
    CHECK_OK(wisp_oci_reference_parse(&arena, WISP_STR("reg.io/x:latest"), &b, &err), &err);
    CHECK_TEXT(a.text, b.text);
    CHECK_TEXT(a.text, "reg.io/x:latest");
}

static void check_plain(const char *text, const char *expected)
{
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    wisp_oci_reference_plain(wisp_str_from(text), &out);
    CHECK_STR(wisp_buf_str(&out), expected);
}

TEST(plain)
{
    check_plain("oci://ghcr.io/X/echo:1", "ghcr.io/x/echo:1");
    check_plain("GHCR.io/x", "ghcr.io/x");
    check_plain("https://a.b/C", "a.b/c");
    check_plain("file:///A/b", "/A/b");
    check_plain("/A/b", "/A/b");
    check_plain("wasmcloud+builtin://http-server", "http-server");
    check_plain("", "");
}
