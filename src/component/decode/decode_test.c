/* SPDX-License-Identifier: Apache-2.0 */
#include "component/decode/decode.h"

#include "component/decode/decode_sample.h"

static int load(struct wisp_buf *bytes, struct wisp_err *err)
{
    struct wisp_component *component = NULL;
    *err = (struct wisp_err){0};
    int r = wisp_component_new(&component, wisp_buf_str(bytes), NULL, err);
    wisp_component_free(component);
    return r;
}

/* A component of one section. */
static int load_section(uint8_t id, struct wisp_str contents, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    wisp_buf_append_str(&bytes, SAMPLE_COMPONENT);
    sample_section(&bytes, id, contents);
    return load(&bytes, err);
}

TEST(empty_component)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    struct wisp_err err;
    wisp_buf_append_str(&bytes, SAMPLE_COMPONENT);
    CHECK_OK(load(&bytes, &err), &err);
}

TEST(core_module_gets_advice)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    struct wisp_err err;
    wisp_buf_append_str(&bytes, SAMPLE_MODULE);
    CHECK_FAILS(load(&bytes, &err), INVALID);
    CHECK_HAS(err.text, "this is a core module, not a component");
    CHECK_HAS(err.text, "wasm-tools component new");
}

TEST(other_files_are_named)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    struct wisp_err err;
    wisp_buf_printf(&bytes, "#!/bin/sh\n");
    CHECK_FAILS(load(&bytes, &err), INVALID);
    CHECK_HAS(err.text, "not WebAssembly");
    bytes.len = 3;
    CHECK_FAILS(load(&bytes, &err), INVALID);
}

TEST(failures_tell_the_place)
{
    static const struct {
        uint8_t id;
        struct wisp_str contents;
        const char *text;
    } cases[] = {
        {7, WISP_STR_INIT("\x01\x62"), "at 0xb: invalid leading byte 0x62 for component defined type"},
        {7, WISP_STR_INIT("\x01\x70\x05"), "at 0xb: type index out of bounds: 5, and there are 0"},
        {7, WISP_STR_INIT("\x01\x72\x00"), "without members"},
        {7,
         WISP_STR_INIT("\x01\x6d\x01\x02"
                       "aB"),
         "at 0xd: name `aB` is not in kebab case"},
        {7,
         WISP_STR_INIT("\x01\x6d\x02\x01"
                       "a\x01"
                       "A"),
         "conflicts with previous name"},
        {7, WISP_STR_INIT("\x01\x6d\x01\x02\xff\xfe"), "at 0xd: a name is not UTF-8"},
        {7, WISP_STR_INIT("\x02\x73\x69\x00"), "at 0xc: type index 0 is not a resource type"},
        {7, WISP_STR_INIT("\xff\xff\xff\xff\x1f"), "integer too large"},
        {7, WISP_STR_INIT("\x80\x80\x80\x80\x80\x00"), "integer representation too long"},
        {8, WISP_STR_INIT("\x01\x07"), "invalid leading byte 0x7 for canonical function"},
        {8, WISP_STR_INIT("\x01\x01\x00\x00\x00"), "at 0xb: func index out of bounds: 0, and there are 0"},
        {10,
         WISP_STR_INIT("\x01\x00\x01"
                       "f\x01\x00"),
         "at 0xb: import `f`: type index out of bounds"},
        {11,
         WISP_STR_INIT("\x01\x00\x01"
                       "f\x01\x00\x00"),
         "at 0xb: export `f`: func index out of bounds"},
        {6, WISP_STR_INIT("\x01\x01\x02\x00\x00"), "items of sort func cannot be aliased like this"},
        {13, WISP_STR_INIT(""), "malformed section id"},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct wisp_err err;
        CHECK_FAILS(load_section(cases[i].id, cases[i].contents, &err), INVALID);
        CHECK_HAS(err.text, cases[i].text);
    }
}

TEST(what_is_not_implemented_is_named)
{
    static const struct {
        uint8_t id;
        struct wisp_str contents;
        const char *text;
    } cases[] = {
        {7, WISP_STR_INIT("\x01\x66\x01\x7d"), "stream"},
        {7, WISP_STR_INIT("\x01\x65\x00"), "future"},
        {7, WISP_STR_INIT("\x01\x64"), "error-context"},
        {7, WISP_STR_INIT("\x01\x63\x73\x79"), "map"},
        {7, WISP_STR_INIT("\x01\x67\x7d\x03"), "lists of fixed length"},
        {7, WISP_STR_INIT("\x01\x43\x00\x01\x00"), "async function types"},
        {8, WISP_STR_INIT("\x01\x09\x01\x00\x00"), "`task.return`"},
        {8, WISP_STR_INIT("\x01\x01\x00\x00\x01\x06"), "`async`"},
        {8, WISP_STR_INIT("\x01\x00\x00\x00\x01\x07\x00\x00"), "`callback`"},
        {9, WISP_STR_INIT("\x00"), "start functions"},
        {12, WISP_STR_INIT("\x00"), "component values"},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct wisp_err err;
        CHECK_FAILS(load_section(cases[i].id, cases[i].contents, &err), UNSUPPORTED);
        CHECK_HAS(err.text, cases[i].text);
    }
}

/* Every prefix of a good component is refused, or is a whole number of sections. */
TEST(truncation_never_reads_past_the_end)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_str whole = sample_read(&arena, "shared");
    for (size_t size = 0; size < whole.len; size++) {
        WISP_CLEANUP_FREE char *exact = wisp_mem_alloc(size ? size : 1);
        WISP_CLEANUP_COMPONENT struct wisp_component *component = NULL;
        struct wisp_err err = {0};
        memcpy(exact, whole.ptr, size);
        if (wisp_component_new(&component, (struct wisp_str){exact, size}, NULL, &err) < 0) CHECK(err.text[0]);
    }
}

TEST(nesting_has_a_limit)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    struct wisp_err err;
    /* (type (component (type (component ...)))) */
    enum { DEPTH = 100 };
    wisp_buf_append_str(&bytes, SAMPLE_COMPONENT);
    wisp_buf_printf(&bytes, "%c%c%c%c", 7, (char)0x80 | (char)((DEPTH * 3 + 3) & 0x7f), (DEPTH * 3 + 3) >> 7, 1);
    for (int i = 0; i < DEPTH; i++) wisp_buf_append_str(&bytes, WISP_STR("\x41\x01\x01"));
    wisp_buf_append_str(&bytes, WISP_STR("\x41\x00"));
    CHECK_FAILS(load(&bytes, &err), LIMIT);
    CHECK_HAS(err.text, "nested more than 32 deep");
}
