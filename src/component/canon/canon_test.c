/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest may give and what it must not, kind by kind. Types are written as host signatures. */
#include "component/canon/canon_sample.h"
#include "component/host/host_signature.h"
#include "test.h"

enum { MEMORY_SIZE = 4096 };

struct fixture {
    struct sample_guest guest;
    struct wisp_map resources;
    struct wisp_signature_names names;
    struct wisp_arena types;
    const struct wisp_func_type *type;
    union wisp_raw flat[WISP_FLAT_PARAMS_MAX + 1];
    _Alignas(16) char native[4096];
};

static struct fixture f;

static void start_encoded(const char *signature, enum wisp_encoding encoding)
{
    sample_guest_init(&f.guest, MEMORY_SIZE, encoding);
    for (int i = 0; i < 3; i++) wisp_map_add(&f.resources, f.guest.resources[i].name, &f.guest.resources[i]);
    f.names = (struct wisp_signature_names){.arena = &f.types, .resources = &f.resources};
    CHECK_OK(wisp_signature_parse(&f.names, wisp_str_from(signature), &f.type, &f.guest.err), &f.guest.err);
    memset(f.flat, 0xcc, sizeof f.flat);
    memset(f.native, 0xcc, sizeof f.native);
}

static void start(const char *signature) { start_encoded(signature, WISP_UTF8); }

static void end(void)
{
    sample_guest_deinit(&f.guest);
    wisp_map_deinit(&f.resources);
    wisp_map_deinit(&f.names.types);
    wisp_arena_deinit(&f.types);
    f = (struct fixture){0};
}

static int lift(void) { return wisp_canon_lift_params(&f.guest.canon, f.type, f.flat, f.native); }
static int lower(void) { return wisp_canon_lower_result(&f.guest.canon, f.type, f.native, f.flat); }

/* Lifts the first parameter from these core values. */
#define LIFT(...) (set_flat((uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)), lift())

static void set_flat(const uint64_t *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        /* The upper half of a 32-bit value is whatever the engine left there. */
        memset(&f.flat[i], 0xcc, sizeof f.flat[i]);
        f.flat[i].u64 = values[i];
    }
}

static void poke(uint32_t address, const void *bytes, size_t size)
{
    memcpy(f.guest.canon.memory + address, bytes, size);
}

static uint32_t native_u32(size_t at)
{
    uint32_t value;
    memcpy(&value, f.native + at, sizeof value);
    return value;
}

static void refuses(int r, const char *words)
{
    CHECK_FAILS(r, GUEST);
    CHECK_HAS(f.guest.err.text, words);
}

/* --- scalars --- */

#define CHECK_SCALAR(signature, core, type, expected)                                                                  \
    do {                                                                                                               \
        start("(" signature ")");                                                                                      \
        CHECK_OK(LIFT(core), &f.guest.err);                                                                            \
        type value_;                                                                                                   \
        memcpy(&value_, f.native, sizeof value_);                                                                      \
        CHECK(value_ == (expected));                                                                                   \
        end();                                                                                                         \
    } while (0)

TEST(integers_are_cut_to_their_width)
{
    CHECK_SCALAR("u8", 0xdeadbeefff00, uint8_t, 0);
    CHECK_SCALAR("u8", 0x1ff, uint8_t, 255);
    CHECK_SCALAR("s8", 0xff, int8_t, -1);
    CHECK_SCALAR("s8", 0xffffff7f, int8_t, 127);
    CHECK_SCALAR("u16", 0x12345, uint16_t, 0x2345);
    CHECK_SCALAR("s16", 0x18000, int16_t, -32768);
    CHECK_SCALAR("u32", 0xabcdef12345678, uint32_t, 0x12345678);
    CHECK_SCALAR("s32", 0xffffffff, int32_t, -1);
    CHECK_SCALAR("u64", UINT64_MAX, uint64_t, UINT64_MAX);
    CHECK_SCALAR("s64", UINT64_MAX, int64_t, -1);
}

TEST(any_nonzero_is_true)
{
    CHECK_SCALAR("bool", 0, bool, false);
    CHECK_SCALAR("bool", 1, bool, true);
    CHECK_SCALAR("bool", 0x100, bool, true);
    CHECK_SCALAR("bool", 0x80000000, bool, true);
    CHECK_SCALAR("bool", 0x100000000, bool, false);
    start("(list<bool>)");
    poke(100, (uint8_t[]){0, 1, 2, 255}, 4);
    CHECK_OK(LIFT(100, 4), &f.guest.err);
    struct sample_list list;
    memcpy(&list, f.native, sizeof list);
    CHECK(memcmp(list.ptr, (bool[]){false, true, true, true}, 4) == 0);
    end();
}

TEST(floats_keep_every_bit)
{
    CHECK_SCALAR("f32", 0x7fa00001, uint32_t, 0x7fa00001);
    CHECK_SCALAR("f64", 0x7ff4000000000001, uint64_t, 0x7ff4000000000001);
}

TEST(chars_are_scalar_values)
{
    CHECK_SCALAR("char", 0xd7ff, uint32_t, 0xd7ff);
    CHECK_SCALAR("char", 0xe000, uint32_t, 0xe000);
    CHECK_SCALAR("char", 0x10ffff, uint32_t, 0x10ffff);
    static const uint32_t bad[] = {0xd800, 0xdbff, 0xdfff, 0x110000, 0xffffffff};
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        start("(u8, char)");
        f.flat[1].u32 = bad[i];
        refuses(lift(), "parameter 2");
        CHECK_HAS(f.guest.err.text, "invalid `char` bit pattern");
        poke(100, &bad[i], 4);
        end();
        start("(list<char>)");
        poke(100, &bad[i], 4);
        refuses(LIFT(100, 1), "element 0: invalid `char` bit pattern");
        end();
    }
}

TEST(unknown_flags_are_masked)
{
    CHECK_SCALAR("flags(3)", 0xffffffff, uint32_t, 7);
    CHECK_SCALAR("flags(32)", 0xffffffff, uint32_t, 0xffffffff);
    CHECK_SCALAR("flags(9)", 0xfffffe01, uint32_t, 1);
    start("(list<flags(9)>)");
    poke(100, (uint8_t[]){0xff, 0xff}, 2);
    CHECK_OK(LIFT(100, 1), &f.guest.err);
    struct sample_list list;
    memcpy(&list, f.native, sizeof list);
    CHECK_INT(*(uint32_t *)list.ptr, 0x1ff);
    end();
}

/* --- variants --- */

TEST(discriminants_are_checked)
{
    start("(enum(3))");
    CHECK_OK(LIFT(2), &f.guest.err);
    CHECK_INT(native_u32(0), 2);
    refuses(LIFT(3), "invalid variant discriminant 3: it has 3 cases");
    refuses(LIFT(0xffffffff), "invalid variant discriminant 4294967295");
    end();
    static const char *const two_cases[] = {"(option<u8>)", "(result)", "(result<u8, string>)", "(variant{_, f64})"};
    for (size_t i = 0; i < WISP_COUNT(two_cases); i++) {
        start(two_cases[i]);
        refuses(LIFT(2, 0, 0), "invalid variant discriminant 2");
        end();
    }
    start("(list<option<u8>>)");
    poke(100, (uint8_t[]){1, 9, 2, 9}, 4);
    refuses(LIFT(100, 2), "element 1: invalid variant discriminant 2");
    end();
    start("(list<enum(300)>)");
    poke(100, (uint8_t[]){0x2b, 1, 0x2c, 1}, 4);
    CHECK_OK(LIFT(100, 1), &f.guest.err);
    refuses(LIFT(102, 1), "invalid variant discriminant 300");
    end();
}

TEST(cases_share_core_values)
{
    /* i32 and f32 travel as i64 beside a u64. */
    start("(variant{u8, f32, u64, f64, s16})");
    CHECK_INT(f.type->lower.n_params, 2);
    CHECK_INT(f.type->lower.params[1], WISP_FLAT_I64);
    CHECK_OK(LIFT(0, 0xffffff0000000004), &f.guest.err);
    CHECK_INT(f.native[8], 4);
    CHECK_OK(LIFT(1, 0xffffffff40490fdb), &f.guest.err);
    CHECK_INT(native_u32(8), 0x40490fdb);
    CHECK_OK(LIFT(2, 0x1122334455667788), &f.guest.err);
    CHECK(memcmp(f.native + 8, (uint64_t[]){0x1122334455667788}, 8) == 0);
    CHECK_OK(LIFT(4, 0xffff8000), &f.guest.err);
    CHECK(memcmp(f.native + 8, (int16_t[]){INT16_MIN}, 2) == 0);
    end();
}

static void lower_case(uint32_t tag, const void *payload, size_t size)
{
    memcpy(f.native, &tag, 4);
    memcpy(f.native + 8, payload, size);
    memset(f.flat, 0xcc, sizeof f.flat);
    CHECK_OK(wisp_canon_lower_params(&f.guest.canon, f.type, f.native, f.flat), &f.guest.err);
}

TEST(narrow_cases_are_lowered_with_zeros)
{
    start("(variant{s8, f32, tuple<u64, u8>, f64})");
    lower_case(0, (int8_t[]){-1}, 1);
    CHECK(f.flat[1].u64 == 0xffffffff);
    CHECK(f.flat[2].u64 == 0);
    lower_case(1, (uint32_t[]){0xff800000}, 4);
    CHECK(f.flat[1].u64 == 0xff800000);
    lower_case(2, (uint64_t[]){UINT64_MAX, 3}, 16);
    CHECK(f.flat[1].u64 == UINT64_MAX);
    CHECK(f.flat[2].u64 == 3);
    lower_case(3, (double[]){-0.0}, 8);
    CHECK(f.flat[1].u64 == 0x8000000000000000);
    CHECK(f.flat[2].u64 == 0);
    end();
}

TEST(a_case_the_host_made_up_is_internal)
{
    start("() -> option<u8>");
    f.flat[0].u32 = 100;
    memcpy(f.native, (uint32_t[]){2}, 4);
    CHECK_FAILS(lower(), INTERNAL);
    CHECK_HAS(f.guest.err.text, "result: the host gave case 2");
    end();
}

/* --- strings --- */

static struct wisp_str lifted_string(void)
{
    struct wisp_str s;
    memcpy(&s, f.native, sizeof s);
    return s;
}

TEST(utf8_is_borrowed_or_copied)
{
    start("(string)");
    poke(100, "h\xc3\xb6\xe2\x98\x83\xf0\x9f\x8d\xb0", 10);
    CHECK_OK(LIFT(100, 10), &f.guest.err);
    CHECK_STR(lifted_string(), "hö☃🍰");
    CHECK(lifted_string().ptr == (char *)f.guest.canon.memory + 100);
    f.guest.canon.copy = true;
    CHECK_OK(LIFT(100, 10), &f.guest.err);
    CHECK(lifted_string().ptr != (char *)f.guest.canon.memory + 100);
    CHECK_STR(lifted_string(), "hö☃🍰");
    refuses(LIFT(100, 9), "parameter 1: invalid utf-8");
    poke(100, "\xed\xa0\x80", 3);
    refuses(LIFT(100, 3), "invalid utf-8");
    end();
}

TEST(strings_lie_in_memory)
{
    for (int encoding = WISP_UTF8; encoding <= WISP_LATIN1_UTF16; encoding++) {
        start_encoded("(string)", (enum wisp_encoding)encoding);
        CHECK_OK(LIFT(MEMORY_SIZE, 0), &f.guest.err);
        CHECK_INT(lifted_string().len, 0);
        CHECK_OK(LIFT(MEMORY_SIZE - 2, 1), &f.guest.err);
        refuses(LIFT(MEMORY_SIZE + 2, 0), "string pointer/length out of bounds of memory");
        refuses(LIFT(MEMORY_SIZE, 1), "out of bounds");
        refuses(LIFT(MEMORY_SIZE - 2, encoding == WISP_UTF16 ? 2 : 3), "out of bounds");
        refuses(LIFT(100, 0x0fffffff), encoding == WISP_UTF16 ? "string of 536870910 bytes" : "out of bounds");
        refuses(LIFT(100, 0x10000000), "longer than 268435455");
        refuses(LIFT(0xfffffffe, 0xffff), "out of bounds");
        end();
    }
}

TEST(utf16_pointers_are_even)
{
    start_encoded("(string)", WISP_UTF8);
    CHECK_OK(LIFT(101, 1), &f.guest.err);
    end();
    start_encoded("(string)", WISP_UTF16);
    refuses(LIFT(101, 0), "unaligned pointer 0x65, not a multiple of 2");
    end();
    start_encoded("(string)", WISP_LATIN1_UTF16);
    refuses(LIFT(101, 0), "unaligned pointer");
    refuses(LIFT(101, 0x80000000), "unaligned pointer");
    end();
}

TEST(utf16_becomes_utf8)
{
    static const uint16_t units[] = {0x68, 0xf6, 0x2603, 0xd83c, 0xdf70};
    start_encoded("(string)", WISP_UTF16);
    poke(100, units, sizeof units);
    CHECK_OK(LIFT(100, 5), &f.guest.err);
    CHECK_STR(lifted_string(), "hö☃🍰");
    refuses(LIFT(100, 4), "invalid utf-16 in a string: surrogate without its pair");
    refuses(LIFT(108, 1), "invalid utf-16");
    poke(100, (uint16_t[]){0xd83c, 0xd83c, 0xdf70}, 6);
    refuses(LIFT(100, 3), "invalid utf-16");
    end();
    start_encoded("(string)", WISP_LATIN1_UTF16);
    poke(100, units, sizeof units);
    CHECK_OK(LIFT(100, 0x80000005), &f.guest.err);
    CHECK_STR(lifted_string(), "hö☃🍰");
    end();
}

TEST(latin1_becomes_utf8)
{
    start_encoded("(string)", WISP_LATIN1_UTF16);
    poke(100, "h\xf6la\xff", 5);
    CHECK_OK(LIFT(100, 5), &f.guest.err);
    CHECK_STR(lifted_string(), "hölaÿ");
    poke(100, "plain", 5);
    CHECK_OK(LIFT(100, 5), &f.guest.err);
    CHECK_STR(lifted_string(), "plain");
    CHECK(lifted_string().ptr == (char *)f.guest.canon.memory + 100);
    f.guest.canon.copy = true;
    CHECK_OK(LIFT(100, 5), &f.guest.err);
    CHECK_STR(lifted_string(), "plain");
    CHECK(lifted_string().ptr != (char *)f.guest.canon.memory + 100);
    end();
}

/* Gives the pointer and the units of the lowered string. */
static uint32_t lower_string(const char *text, uint32_t *ret_units)
{
    struct wisp_str s = wisp_str_from(text);
    memcpy(f.native, &s, sizeof s);
    CHECK_OK(wisp_canon_lower_params(&f.guest.canon, f.type, f.native, f.flat), &f.guest.err);
    *ret_units = f.flat[1].u32;
    return f.flat[0].u32;
}

static void check_lowered(enum wisp_encoding encoding, const char *text, uint32_t units, const char *bytes, size_t size)
{
    start_encoded("(string)", encoding);
    uint32_t got_units, pointer = lower_string(text, &got_units);
    CHECK_INT(got_units, units);
    CHECK(memcmp(f.guest.canon.memory + pointer, bytes, size) == 0);
    CHECK_INT(f.guest.top, pointer + size);
    CHECK_INT(f.guest.n_reallocs, 1);
    if (encoding != WISP_UTF8) CHECK_INT(pointer % 2, 0);
    end();
}

TEST(strings_are_lowered_in_one_allocation)
{
    check_lowered(WISP_UTF8, "", 0, "", 0);
    check_lowered(WISP_UTF8, "hö☃🍰", 10, "hö☃🍰", 10);
    check_lowered(WISP_UTF16, "", 0, "", 0);
    check_lowered(WISP_UTF16, "hö☃🍰", 5, "h\0\xf6\0\x03\x26\x3c\xd8\x70\xdf", 10);
    check_lowered(WISP_LATIN1_UTF16, "", 0, "", 0);
    check_lowered(WISP_LATIN1_UTF16, "hölaÿ", 5, "h\xf6la\xff", 5);
    check_lowered(WISP_LATIN1_UTF16, "hĀ", 0x80000002, "h\0\0\x01", 4);
    check_lowered(WISP_LATIN1_UTF16, "🍰", 0x80000002, "\x3c\xd8\x70\xdf", 4);
}

TEST(only_utf8_is_converted)
{
    start_encoded("(string)", WISP_UTF16);
    struct wisp_str s = WISP_STR("\xf0\x9f");
    memcpy(f.native, &s, sizeof s);
    CHECK_FAILS(wisp_canon_lower_params(&f.guest.canon, f.type, f.native, f.flat), INTERNAL);
    CHECK_HAS(f.guest.err.text, "not UTF-8");
    end();
}

/* --- lists --- */

static struct sample_list lifted_list(void)
{
    struct sample_list list;
    memcpy(&list, f.native, sizeof list);
    return list;
}

TEST(byte_lists_are_borrowed_or_copied)
{
    start("(list<tuple<u32, u8>>)");
    CHECK_OK(LIFT(104, 3), &f.guest.err);
    CHECK(lifted_list().ptr == f.guest.canon.memory + 104);
    CHECK_INT(lifted_list().len, 3);
    CHECK_OK(LIFT(MEMORY_SIZE, 0), &f.guest.err);
    f.guest.canon.copy = true;
    poke(104, "\1\2\3\4\5", 5);
    CHECK_OK(LIFT(104, 3), &f.guest.err);
    CHECK(lifted_list().ptr != f.guest.canon.memory + 104);
    CHECK(memcmp(lifted_list().ptr, "\1\2\3\4\5", 5) == 0);
    end();
}

TEST(lists_lie_aligned_in_memory)
{
    start("(list<u64>)");
    refuses(LIFT(100, 1), "list: unaligned pointer 0x64, not a multiple of 8");
    refuses(LIFT(100, 0), "unaligned pointer");
    refuses(LIFT(MEMORY_SIZE + 8, 0), "list pointer/length out of bounds of memory");
    refuses(LIFT(MEMORY_SIZE - 8, 2), "out of bounds");
    refuses(LIFT(0, 0x1fffffff), "list of 4294967288 bytes, longer than 268435455");
    refuses(LIFT(8, 0x20000001), "list of 4294967304 bytes");
    refuses(LIFT(0xfffffff8, 1), "out of bounds");
    end();
    start("(list<string>)");
    refuses(LIFT(102, 1), "unaligned pointer");
    refuses(LIFT(MEMORY_SIZE - 8, 2), "out of bounds");
    poke(104, (uint32_t[]){200, 1, 200, 5000}, 16);
    refuses(LIFT(104, 2), "parameter 1: element 1: string pointer/length out of bounds");
    end();
}

TEST(overlaps_do_not_multiply)
{
    /* Every outer element is the same inner list. */
    static const char *const signatures[] = {"(list<list<enum(3)>>)", "(list<list<u8>>)", "(list<string>)"};
    for (size_t k = 0; k < WISP_COUNT(signatures); k++) {
        start(signatures[k]);
        for (uint32_t i = 0; i < 100; i++) poke(2000 + 8 * i, (uint32_t[]){0, 2000}, 8);
        CHECK_FAILS(LIFT(2000, 100), LIMIT);
        CHECK_HAS(f.guest.err.text, "stands for more than 4 bytes per byte of memory");
        CHECK_OK(LIFT(2000, 1), &f.guest.err);
        end();
    }
}

TEST(overlapping_strings_do_not_multiply_in_any_encoding)
{
    for (int encoding = WISP_UTF8; encoding <= WISP_LATIN1_UTF16; encoding++) {
        start_encoded("(list<string>)", (enum wisp_encoding)encoding);
        for (uint32_t i = 0; i < 100; i++) poke(2000 + 8 * i, (uint32_t[]){0, 1000}, 8);
        CHECK_OK(LIFT(2000, 2), &f.guest.err);
        CHECK_FAILS(LIFT(2000, 100), LIMIT);
        end();
    }
}

TEST(lists_are_lowered_with_padding_left_alone)
{
    start("(list<tuple<u8, u32>>)");
    char pairs[16];
    memset(pairs, 0xee, sizeof pairs);
    pairs[0] = 1;
    pairs[8] = 3;
    memcpy(pairs + 4, (uint32_t[]){2}, 4);
    memcpy(pairs + 12, (uint32_t[]){4}, 4);
    struct sample_list list = {pairs, 2};
    memcpy(f.native, &list, sizeof list);
    CHECK_OK(wisp_canon_lower_params(&f.guest.canon, f.type, f.native, f.flat), &f.guest.err);
    static const char expected[16] = {1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4};
    CHECK(memcmp(f.guest.canon.memory + f.flat[0].u32, expected, 16) == 0);
    CHECK_INT(f.flat[1].u32, 2);
    end();
}

TEST(an_empty_list_still_calls_realloc)
{
    start("(list<u64>)");
    struct sample_list list = {0};
    memcpy(f.native, &list, sizeof list);
    CHECK_OK(wisp_canon_lower_params(&f.guest.canon, f.type, f.native, f.flat), &f.guest.err);
    CHECK_INT(f.guest.n_reallocs, 1);
    CHECK_INT(f.flat[1].u32, 0);
    end();
}

TEST(lists_too_long_for_the_guest)
{
    start("(list<u64>)");
    struct sample_list list = {NULL, (size_t)1 << 32};
    memcpy(f.native, &list, sizeof list);
    CHECK_FAILS(wisp_canon_lower_params(&f.guest.canon, f.type, f.native, f.flat), LIMIT);
    list.len = 1 << 29;
    memcpy(f.native, &list, sizeof list);
    CHECK_FAILS(wisp_canon_lower_params(&f.guest.canon, f.type, f.native, f.flat), LIMIT);
    end();
}

/* --- realloc --- */

static uint32_t realloc_answer;

static int odd_realloc(struct wisp_canon *canon, uint32_t align, uint32_t size, uint32_t *ret_pointer)
{
    (void)canon;
    (void)align;
    (void)size;
    *ret_pointer = realloc_answer;
    return 0;
}

static void refuses_realloc(const char *signature, uint32_t answer, const char *words)
{
    start(signature);
    f.guest.canon.realloc = odd_realloc;
    realloc_answer = answer;
    static uint32_t numbers[2];
    struct sample_list list = {numbers, 2};
    memcpy(f.native, &list, sizeof list);
    refuses(wisp_canon_lower_params(&f.guest.canon, f.type, f.native, f.flat), words);
    end();
}

TEST(what_realloc_returns_is_checked)
{
    refuses_realloc("(list<u32>)", UINT32_MAX, "realloc return: result not aligned");
    refuses_realloc("(list<u32>)", 0xfffffffc, "realloc return: beyond end of memory");
    refuses_realloc("(list<u32>)", MEMORY_SIZE - 4, "realloc return: beyond end of memory");
    refuses_realloc("(list<u8>)", UINT32_MAX, "realloc return: beyond end of memory");
    refuses_realloc("(string)", MEMORY_SIZE, "realloc return: beyond end of memory");
    const char *many = "(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64)";
    refuses_realloc(many, 4, "realloc return: result not aligned");
    refuses_realloc(many, MEMORY_SIZE - 128, "realloc return: beyond end of memory");
}

/* --- parameters and results in memory --- */

TEST(many_parameters_come_in_memory)
{
    start("(u8, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, string)");
    CHECK(f.type->params_in_memory);
    CHECK_INT(f.type->params_size, 8 + 14 * 8 + 8);
    poke(200, "\7", 1);
    poke(200 + 8 + 14 * 8, (uint32_t[]){400, 2}, 8);
    poke(400, "ok", 2);
    CHECK_OK(LIFT(200), &f.guest.err);
    CHECK_INT(f.native[0], 7);
    struct wisp_str last;
    memcpy(&last, f.native + f.type->params[15].native_offset, sizeof last);
    CHECK_STR(last, "ok");
    refuses(LIFT(204), "parameters: unaligned pointer");
    refuses(LIFT(MEMORY_SIZE - 120), "parameters pointer/length out of bounds of memory");
    poke(400, "\xff", 1);
    refuses(LIFT(200), "parameter 16: invalid utf-8");
    end();
}

TEST(large_results_go_through_the_return_pointer)
{
    start("(u32) -> tuple<u8, u64>");
    memset(f.native, 0, 16);
    f.native[0] = 5;
    f.flat[0].u32 = 3;
    f.flat[1].u32 = 200;
    CHECK_OK(lower(), &f.guest.err);
    CHECK_INT(f.guest.canon.memory[200], 5);
    f.flat[1].u32 = 204;
    refuses(lower(), "result: return: unaligned pointer");
    f.flat[1].u32 = MEMORY_SIZE - 8;
    refuses(lower(), "result: return pointer/length out of bounds of memory");
    f.flat[1].u32 = MEMORY_SIZE - 16;
    CHECK_OK(lower(), &f.guest.err);
    end();
}

TEST(small_results_are_core_values)
{
    start("(u32) -> s8");
    f.native[0] = -3;
    CHECK_OK(lower(), &f.guest.err);
    CHECK_INT(f.flat[0].i32, -3);
    f.flat[0].u32 = 0x1fe;
    CHECK_OK(wisp_canon_lift_result(&f.guest.canon, f.type, f.flat, f.native), &f.guest.err);
    CHECK_INT(f.native[0], -2);
    end();
    start("()");
    CHECK_OK(lower(), &f.guest.err);
    CHECK_OK(lift(), &f.guest.err);
    CHECK_OK(wisp_canon_lift_result(&f.guest.canon, f.type, f.flat, f.native), &f.guest.err);
    end();
}

TEST(results_of_exports_are_checked)
{
    start("() -> string");
    f.flat[0].u32 = 102;
    refuses(wisp_canon_lift_result(&f.guest.canon, f.type, f.flat, f.native), "result: the result: unaligned pointer");
    f.flat[0].u32 = MEMORY_SIZE - 4;
    refuses(wisp_canon_lift_result(&f.guest.canon, f.type, f.flat, f.native), "out of bounds");
    f.flat[0].u32 = 100;
    poke(100, (uint32_t[]){200, 1}, 8);
    poke(200, "\xff", 1);
    refuses(wisp_canon_lift_result(&f.guest.canon, f.type, f.flat, f.native), "result: invalid utf-8");
    end();
}

/* --- handles --- */

static uint32_t add_own(int resource, uintptr_t rep)
{
    uint32_t index;
    CHECK_OK(
        wisp_handles_add(&f.guest.handles, &f.guest.resources[resource], (void *)rep, true, NULL, &index, &f.guest.err),
        &f.guest.err);
    return index;
}

enum { POLLABLE, FIELDS, CART };

TEST(own_leaves_the_table)
{
    start("(own<fields>)");
    uint32_t index = add_own(FIELDS, 77), other = add_own(POLLABLE, 78);
    refuses(LIFT(other), "expected `fields` but found `pollable`");
    CHECK_OK(LIFT(index), &f.guest.err);
    CHECK(*(void **)f.native == (void *)77);
    CHECK_INT(f.guest.handles.n_live, 1);
    refuses(LIFT(index), "parameter 1: unknown handle index 1");
    end();
}

TEST(borrow_lends_until_the_end)
{
    start("(borrow<fields>, borrow<fields>)");
    uint32_t index = add_own(FIELDS, 77);
    CHECK_OK(LIFT(index, index), &f.guest.err);
    CHECK(((void **)f.native)[1] == (void *)77);
    CHECK_INT(f.guest.handles.slots[index].lends, 2);
    wisp_canon_end_borrows(&f.guest.canon);
    CHECK_INT(f.guest.handles.slots[index].lends, 0);
    wisp_canon_end_borrows(&f.guest.canon);
    CHECK_INT(f.guest.handles.slots[index].lends, 0);
    end();
}

TEST(many_borrows_are_given_back)
{
    start("(list<borrow<fields>>)");
    uint32_t indices[50];
    for (uint32_t i = 0; i < 50; i++) indices[i] = add_own(FIELDS, i);
    poke(400, indices, sizeof indices);
    CHECK_OK(LIFT(400, 50), &f.guest.err);
    for (uint32_t i = 0; i < 50; i++) CHECK_INT(f.guest.handles.slots[indices[i]].lends, 1);
    wisp_canon_end_borrows(&f.guest.canon);
    for (uint32_t i = 0; i < 50; i++) CHECK_INT(f.guest.handles.slots[indices[i]].lends, 0);
    end();
}

TEST(what_is_lent_in_a_call_cannot_be_given_away_in_it)
{
    start("(borrow<fields>, own<fields>)");
    uint32_t index = add_own(FIELDS, 77);
    refuses(LIFT(index, index), "parameter 2: handle index 1: cannot remove owned resource while borrowed");
    wisp_canon_end_borrows(&f.guest.canon);
    uint32_t other = add_own(FIELDS, 78);
    CHECK_OK(LIFT(index, other), &f.guest.err);
    wisp_canon_end_borrows(&f.guest.canon);
    end();
    start("(own<fields>, borrow<fields>)");
    index = add_own(FIELDS, 77);
    refuses(LIFT(index, index), "parameter 2: unknown handle index 1");
    CHECK_INT(f.guest.handles.n_live, 1);
    end();
}

TEST(a_borrow_given_to_the_guest_counts)
{
    start("(borrow<fields>)");
    f.guest.options.instance = 7; /* a number that an imported resource's happens to have too */
    *(void **)f.native = (void *)5;
    CHECK_OK(wisp_canon_lower_params(&f.guest.canon, f.type, f.native, f.flat), &f.guest.err);
    CHECK_INT(f.flat[0].u64, 1);
    CHECK_INT(f.guest.scope.n_borrows, 1);
    CHECK(!f.guest.handles.slots[1].is_own);
    /* The guest may lend it on, but neither give it away nor keep it. */
    CHECK_OK(lift(), &f.guest.err);
    CHECK(*(void **)f.native == (void *)5);
    wisp_canon_end_borrows(&f.guest.canon);
    refuses(wisp_borrow_scope_end(&f.guest.scope, &f.guest.err), "borrow handles still remain");
    end();
}

TEST(the_defining_instance_gets_the_representation)
{
    start("(borrow<cart>)");
    f.guest.options.instance = 7;
    *(void **)f.native = (void *)0x1234;
    CHECK_OK(wisp_canon_lower_params(&f.guest.canon, f.type, f.native, f.flat), &f.guest.err);
    CHECK_INT(f.flat[0].u64, 0x1234);
    CHECK_INT(f.guest.scope.n_borrows, 0);
    CHECK_INT(f.guest.handles.n_live, 0);
    f.guest.options.instance = 8;
    CHECK_OK(wisp_canon_lower_params(&f.guest.canon, f.type, f.native, f.flat), &f.guest.err);
    CHECK_INT(f.flat[0].u64, 1);
    CHECK_INT(f.guest.scope.n_borrows, 1);
    end();
    /* It passes on what it owns as a handle, like everyone. */
    start("() -> own<cart>");
    f.guest.options.instance = 7;
    *(void **)f.native = (void *)0x1234;
    CHECK_OK(lower(), &f.guest.err);
    CHECK_INT(f.flat[0].u64, 1);
    CHECK(f.guest.handles.slots[1].is_own);
    end();
}

TEST(own_results_enter_the_table_in_order)
{
    start("() -> tuple<own<fields>, own<pollable>, string>");
    struct {
        void *first, *second;
        struct wisp_str text;
    } result = {(void *)1, (void *)2, WISP_STR("x")};
    memcpy(f.native, &result, sizeof result);
    f.flat[0].u32 = 100;
    CHECK_OK(lower(), &f.guest.err);
    uint32_t words[2];
    memcpy(words, f.guest.canon.memory + 100, 8);
    CHECK_INT(words[0], 1);
    CHECK_INT(words[1], 2);
    /* Refused before anything was lowered: the table owns both all the same. */
    f.flat[0].u32 = 101;
    refuses(lower(), "unaligned");
    CHECK_INT(f.guest.handles.n_live, 4);
    end();
}
