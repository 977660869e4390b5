/* SPDX-License-Identifier: Apache-2.0 */
#include "wrpc/value_rig.h"

#include "wrpc/wire.h"

#include <stdio.h>

struct bed {
    struct wisp_arena arena;
    struct wisp_buf out;
    struct wisp_err err;
};

static void bed_deinit(struct bed *bed)
{
    wisp_arena_deinit(&bed->arena);
    wisp_buf_deinit(&bed->out);
}
#define BED __attribute__((cleanup(bed_deinit))) struct bed bed = {0}

static struct wisp_str unhex(struct bed *bed, const char *hex)
{
    char *bytes = wisp_arena_alloc(&bed->arena, strlen(hex)), *at = bytes;
    for (; *hex; hex++) {
        if (*hex == ' ') continue;
        char pair[3] = {hex[0], hex[1], '\0'};
        *at++ = (char)strtoul(pair, NULL, 16);
        hex++;
    }
    return (struct wisp_str){bytes, (size_t)(at - bytes)};
}

static const char *hex_of(struct bed *bed, struct wisp_str bytes)
{
    char *hex = wisp_arena_calloc(&bed->arena, bytes.len + 1, 3);
    for (size_t i = 0; i < bytes.len; i++)
        sprintf(hex + 3 * i, i + 1 < bytes.len ? "%02x " : "%02x", (uint8_t)bytes.ptr[i]);
    return hex;
}

/* The value is these bytes, these bytes are the value, and no part of them is enough. */
static void check_both_ways(struct bed *bed, const char *text, const void *value, const char *hex)
{
    const struct wisp_type *type = type_of(&bed->arena, text);
    struct wisp_str bytes = unhex(bed, hex);
    size_t used;
    bed->out.len = 0;
    CHECK_OK(wisp_wrpc_value_encode(type, value, 1 << 20, &bed->out, &bed->err), &bed->err);
    CHECK_TEXT(hex_of(bed, wisp_buf_str(&bed->out)), hex);
    void *copy = wisp_arena_alloc(&bed->arena, type->native_size);
    for (size_t n = 0; n < bytes.len; n++) {
        /* A copy of its own, so that reading past it is seen. */
        char *part = malloc(n ? n : 1);
        memcpy(part, bytes.ptr, n);
        CHECK_INT(wisp_wrpc_value_decode(type, (struct wisp_str){part, n}, &bed->arena, copy, &used, &bed->err),
                  WISP_WRPC_MORE);
        free(part);
    }
    CHECK_OK(wisp_wrpc_value_decode(type, bytes, &bed->arena, copy, &used, &bed->err), &bed->err);
    CHECK_INT(used, bytes.len);
    bed->out.len = 0;
    CHECK_OK(wisp_wrpc_value_encode(type, copy, 1 << 20, &bed->out, &bed->err), &bed->err);
    CHECK_TEXT(hex_of(bed, wisp_buf_str(&bed->out)), hex);
}

static void check_refused(struct bed *bed, const char *text, const char *hex, const char *why)
{
    const struct wisp_type *type = type_of(&bed->arena, text);
    void *value = wisp_arena_alloc(&bed->arena, type->native_size);
    size_t used;
    int r = wisp_wrpc_value_decode(type, unhex(bed, hex), &bed->arena, value, &used, &bed->err);
    if (r != -WISP_ERR_INVALID) wisp_test_fail(__FILE__, __LINE__, "%s of %s: %d", hex, text, r);
    CHECK_HAS(bed->err.text, why);
}

#define BOTH_WAYS(text, c_type, value, hex) check_both_ways(&bed, text, &(c_type){value}, hex)

TEST(numbers)
{
    BED;
    BOTH_WAYS("bool", bool, true, "01");
    BOTH_WAYS("u8", uint8_t, 0xff, "ff");
    BOTH_WAYS("s8", int8_t, -1, "ff");
    BOTH_WAYS("u16", uint16_t, 0xffff, "ff ff 03");
    BOTH_WAYS("s16", int16_t, INT16_MIN, "80 80 7e");
    BOTH_WAYS("s16", int16_t, INT16_MAX, "ff ff 01");
    BOTH_WAYS("u32", uint32_t, 0, "00");
    BOTH_WAYS("u32", uint32_t, 127, "7f");
    BOTH_WAYS("u32", uint32_t, 128, "80 01");
    BOTH_WAYS("u32", uint32_t, 624485, "e5 8e 26");
    BOTH_WAYS("u32", uint32_t, UINT32_MAX, "ff ff ff ff 0f");
    BOTH_WAYS("s32", int32_t, -123456, "c0 bb 78");
    BOTH_WAYS("s32", int32_t, 64, "c0 00");
    BOTH_WAYS("s32", int32_t, -64, "40");
    BOTH_WAYS("s32", int32_t, INT32_MIN, "80 80 80 80 78");
    BOTH_WAYS("u64", uint64_t, UINT64_MAX, "ff ff ff ff ff ff ff ff ff 01");
    BOTH_WAYS("s64", int64_t, INT64_MIN, "80 80 80 80 80 80 80 80 80 7f");
    BOTH_WAYS("s64", int64_t, INT64_MAX, "ff ff ff ff ff ff ff ff ff 00");
    BOTH_WAYS("f32", float, 1.5f, "00 00 c0 3f");
    BOTH_WAYS("f64", double, -2.0, "00 00 00 00 00 00 00 c0");
    BOTH_WAYS("char", uint32_t, 'A', "41");
    BOTH_WAYS("char", uint32_t, 0xe4, "c3 a4");
    BOTH_WAYS("char", uint32_t, 0x20ac, "e2 82 ac");
    BOTH_WAYS("char", uint32_t, 0x1f600, "f0 9f 98 80");
}

TEST(numbers_that_are_refused)
{
    BED;
    check_refused(&bed, "bool", "02", "bool");
    check_refused(&bed, "u16", "ff ff 04", "too large");
    check_refused(&bed, "u16", "80 80 80", "too long");
    check_refused(&bed, "u32", "80 00", "longer than needed");
    check_refused(&bed, "u32", "ff ff ff ff 10", "too large");
    check_refused(&bed, "u32", "ff ff ff ff 8f", "too long");
    check_refused(&bed, "s16", "ff ff 02", "too large");
    check_refused(&bed, "s16", "80 80 7d", "too large");
    check_refused(&bed, "s32", "ff 7f", "longer than needed");
    check_refused(&bed, "s32", "80 80 80 80 68", "too large");
    check_refused(&bed, "s32", "80 80 80 80 f8", "too large");
    check_refused(&bed, "u64", "ff ff ff ff ff ff ff ff ff 02", "too large");
    check_refused(&bed, "s64", "ff ff ff ff ff ff ff ff ff 01", "too large");
    check_refused(&bed, "char", "c0", "UTF-8");
    check_refused(&bed, "char", "ed a0 80", "UTF-8");
    check_refused(&bed, "char", "f5", "UTF-8");
}

struct list {
    const void *ptr;
    size_t len;
};

TEST(compounds)
{
    BED;
    check_both_ways(&bed, "string", &WISP_STR("h\xc3\xa4"), "03 68 c3 a4");
    check_both_ways(&bed, "string", &WISP_STR(""), "00");
    check_both_ways(&bed, "list<u8>", &(struct list){"\1\2\3", 3}, "03 01 02 03");
    check_both_ways(&bed, "list<u32>", &(struct list){(uint32_t[]){1, 300}, 2}, "02 01 ac 02");
    check_both_ways(&bed, "list<f32>", &(struct list){(float[]){1.0f}, 1}, "01 00 00 80 3f");
    struct {
        uint8_t a;
        struct wisp_str b;
    } pair = {7, WISP_STR("x")};
    check_both_ways(&bed, "tuple<u8, string>", &pair, "07 01 78");
    check_both_ways(&bed, "record{u8, string}", &pair, "07 01 78");
    check_both_ways(&bed, "list<tuple<u8, string>>", &(struct list){&pair, 1}, "01 07 01 78");
    struct {
        uint32_t tag;
        uint16_t value;
    } tagged = {1, 300};
    check_both_ways(&bed, "option<u16>", &tagged, "01 ac 02");
    check_both_ways(&bed, "variant{_, u16}", &tagged, "01 ac 02");
    check_both_ways(&bed, "result<_, u16>", &tagged, "01 ac 02");
    tagged.tag = 0;
    check_both_ways(&bed, "option<u16>", &tagged, "00");
    check_both_ways(&bed, "result<u16>", &tagged, "00 ac 02");
    BOTH_WAYS("result", uint32_t, 1, "01");
    BOTH_WAYS("enum(300)", uint32_t, 299, "ab 02");
    BOTH_WAYS("flags(8)", uint32_t, 0x81, "81");
    BOTH_WAYS("flags(9)", uint32_t, 0x101, "01 01");
    BOTH_WAYS("flags(17)", uint32_t, 0x10002, "02 00 01");
    BOTH_WAYS("flags(32)", uint32_t, 0x80000001, "01 00 00 80");
}

TEST(compounds_that_are_refused)
{
    BED;
    check_refused(&bed, "string", "02 c3 28", "UTF-8");
    check_refused(&bed, "option<u8>", "02", "case");
    check_refused(&bed, "enum(3)", "03", "case");
    check_refused(&bed, "variant{_, u8}", "02", "case");
    check_refused(&bed, "result", "80 00", "longer than needed");
    check_refused(&bed, "list<bool>", "02 01 05", "byte 3");
}

TEST(reserved_flags_are_dropped)
{
    BED;
    uint32_t flags;
    size_t used;
    CHECK_OK(
        wisp_wrpc_value_decode(type_of(&bed.arena, "flags(3)"), WISP_STR("\xff"), &bed.arena, &flags, &used, &bed.err),
        &bed.err);
    CHECK_INT(flags, 7);
}

TEST(values_that_cannot_be_sent)
{
    BED;
    CHECK_FAILS(wisp_wrpc_type_check(type_of(&bed.arena, "list<option<own<thing>>>"), &bed.err), UNSUPPORTED);
    CHECK_HAS(bed.err.text, "own<thing>");
    CHECK_FAILS(wisp_wrpc_func_check(func_of(&bed.arena, "(u8, borrow<thing>)"), &bed.err), UNSUPPORTED);
    CHECK_HAS(bed.err.text, "parameter");
    CHECK_FAILS(wisp_wrpc_func_check(func_of(&bed.arena, "() -> own<thing>"), &bed.err), UNSUPPORTED);
    CHECK_OK(wisp_wrpc_func_check(func_of(&bed.arena, "(list<u8>) -> result<string>"), &bed.err), &bed.err);
    CHECK_FAILS(wisp_wrpc_value_encode(type_of(&bed.arena, "enum(2)"), &(uint32_t){2}, 100, &bed.out, &bed.err),
                INVALID);
    CHECK_FAILS(wisp_wrpc_value_encode(type_of(&bed.arena, "char"), &(uint32_t){0xd800}, 100, &bed.out, &bed.err),
                INVALID);
}

TEST(streams_leave_their_place)
{
    BED;
    const struct wisp_type *type = type_of(&bed.arena, "record{u8, option<stream<u8>>, list<future<string>>}");
    struct value {
        uint8_t number;
        struct {
            uint32_t is_some;
            void *stream;
        } some;
        struct {
            void **ptr;
            size_t len;
        } futures;
    } value = {7, {1, NULL}, {(void *[]){NULL, NULL}, 2}}, copy;
    struct wisp_wrpc_slots slots = {.arena = &bed.arena, .prefix = "0"};
    size_t used;
    CHECK_OK(wisp_wrpc_value_encode_with(type, &value, 100, &slots, &bed.out, &bed.err), &bed.err);
    CHECK_TEXT(hex_of(&bed, wisp_buf_str(&bed.out)), "07 01 00 02 00 00");
    CHECK_INT(slots.n, 3);
    CHECK_TEXT(slots.items[0].path, "0.1");
    CHECK(slots.items[0].from == &value.some.stream);
    CHECK_TEXT(slots.items[2].path, "0.2.1");
    slots.n = 0;
    CHECK_OK(wisp_wrpc_value_decode_with(type, unhex(&bed, "07 01 02 68 69 02 00 01 01 78"), &bed.arena, &copy, &slots,
                                         &used, &bed.err),
             &bed.err);
    CHECK_INT(used, 10);
    CHECK_INT(slots.n, 3);
    CHECK(slots.items[0].is_inline && slots.items[0].at == &copy.some.stream);
    CHECK_TEXT(hex_of(&bed, slots.items[0].bytes), "02 68 69");
    CHECK(!slots.items[1].is_inline && slots.items[2].at == &copy.futures.ptr[1]);
    CHECK_TEXT(hex_of(&bed, slots.items[2].bytes), "01 78");
    CHECK_INT(wisp_wrpc_value_decode_with(type, unhex(&bed, "07 01 02 68"), &bed.arena, &copy, &slots, &used, &bed.err),
              WISP_WRPC_MORE);
    CHECK_FAILS(wisp_wrpc_value_decode(type, wisp_buf_str(&bed.out), &bed.arena, &copy, &used, &bed.err), INVALID);
    CHECK_FAILS(wisp_wrpc_value_encode(type, &value, 100, &bed.out, &bed.err), UNSUPPORTED);
    CHECK_FAILS(wisp_wrpc_type_check(type_of(&bed.arena, "stream<own<remote>>"), &bed.err), UNSUPPORTED);
}

TEST(handles_of_what_lives_elsewhere_are_bytes)
{
    BED;
    const struct wisp_type *type = type_of(&bed.arena, "list<own<remote>>");
    struct wisp_opaque *opaque = wisp_opaque_new(WISP_STR("id")), *got[2] = {0};
    struct wisp_wrpc_slots slots = {.arena = &bed.arena};
    struct list list = {&opaque, 1}, copy;
    size_t used;
    CHECK_OK(wisp_wrpc_type_check(type, &bed.err), &bed.err);
    CHECK_OK(wisp_wrpc_value_encode(type, &list, 100, &bed.out, &bed.err), &bed.err);
    CHECK_TEXT(hex_of(&bed, wisp_buf_str(&bed.out)), "01 02 69 64");
    CHECK_OK(wisp_wrpc_value_decode_with(type, unhex(&bed, "02 00 01 ff"), &bed.arena, &copy, &slots, &used, &bed.err),
             &bed.err);
    CHECK_INT(slots.n, 2);
    CHECK_INT(slots.items[0].bytes.len, 0);
    CHECK_TEXT(hex_of(&bed, slots.items[1].bytes), "ff");
    memcpy(got, copy.ptr, sizeof got);
    CHECK(!got[0] && !got[1]);
    wisp_opaque_value_free(type, &list);
}

TEST(sizes_are_bounded)
{
    BED;
    static const char bytes[100];
    CHECK_FAILS(
        wisp_wrpc_value_encode(type_of(&bed.arena, "list<u8>"), &(struct list){bytes, 100}, 100, &bed.out, &bed.err),
        LIMIT);
    /* Each byte of the message would be 4 KiB here. */
    const struct wisp_type *wide = type_of(&bed.arena, "u64");
    for (int i = 0; i < 3; i++) {
        struct wisp_type_field *fields = WISP_NEW_ARRAY(&bed.arena, struct wisp_type_field, 8);
        for (int j = 0; j < 8; j++) fields[j].type = wide;
        CHECK_OK(wisp_type_compound(&bed.arena, WISP_TYPE_TUPLE, fields, 8, &wide, &bed.err), &bed.err);
    }
    CHECK_OK(wisp_type_option(&bed.arena, wide, &wide, &bed.err), &bed.err);
    CHECK_OK(wisp_type_list(&bed.arena, wide, &wide, &bed.err), &bed.err);
    size_t n = 64 << 10, used;
    bed.out.len = 0;
    wisp_wrpc_put_unsigned(&bed.out, n);
    memset(wisp_buf_reserve(&bed.out, n), 0, n);
    bed.out.len += n;
    struct list list;
    CHECK_FAILS(wisp_wrpc_value_decode(wide, wisp_buf_str(&bed.out), &bed.arena, &list, &used, &bed.err), LIMIT);
}

TEST(parameters_are_a_tuple)
{
    BED;
    const struct wisp_func_type *type = func_of(&bed.arena, "(string, option<u64>, list<u8>)");
    struct {
        struct wisp_str bucket;
        struct {
            uint32_t is_some;
            uint64_t value;
        } cursor;
        struct list bytes;
    } args = {WISP_STR("b"), {1, 5}, {"\xff", 1}}, copy;
    size_t used;
    CHECK_INT(type->native_params_size, sizeof args);
    CHECK_OK(wisp_wrpc_params_encode(type, &args, 100, NULL, &bed.out, &bed.err), &bed.err);
    CHECK_TEXT(hex_of(&bed, wisp_buf_str(&bed.out)), "01 62 01 05 01 ff");
    CHECK_OK(wisp_wrpc_params_decode(type, wisp_buf_str(&bed.out), &bed.arena, &copy, NULL, &used, &bed.err), &bed.err);
    CHECK_STR(copy.bucket, "b");
    CHECK_INT(copy.cursor.value, 5);
    CHECK_INT(copy.bytes.len, 1);
    const struct wisp_func_type *none = func_of(&bed.arena, "()");
    CHECK_OK(wisp_wrpc_params_decode(none, WISP_STR(""), &bed.arena, NULL, NULL, &used, &bed.err), &bed.err);
    CHECK_INT(used, 0);
}
