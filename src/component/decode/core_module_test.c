/* SPDX-License-Identifier: Apache-2.0 */
#include "component/decode/core_module.h"

#include "component/decode/decode_sample.h"

struct fixture {
    struct wisp_arena arena;
    struct wisp_err err;
    struct wisp_producers producers;
    struct wisp_buf bytes;
    struct wisp_core_info *info;
};

static void start(struct fixture *f)
{
    *f = (struct fixture){0};
    f->producers.arena = &f->arena;
    wisp_buf_append_str(&f->bytes, SAMPLE_MODULE);
}

static int read(struct fixture *f)
{
    struct wisp_reader reader;
    wisp_reader_init(&reader, wisp_buf_str(&f->bytes), &f->err);
    f->info = wisp_core_module_read(&reader, &f->arena, &f->producers);
    return reader.failed;
}

static void finish(struct fixture *f)
{
    wisp_arena_deinit(&f->arena);
    wisp_buf_deinit(&f->bytes);
}

/* (type (func (param i32 i64) (result f32))) (type (func)) */
#define TYPES "\x02\x60\x02\x7f\x7e\x01\x7d\x60\x00\x00"

TEST(imports_and_exports_have_types)
{
    struct fixture f;
    start(&f);
    SAMPLE_SECTION(&f.bytes, 1, TYPES);
    SAMPLE_SECTION(&f.bytes, 2,
                   "\x03\x01m\x01"
                   "f\x00\x00\x01m\x01t\x01\x70\x01\x02\x05\x01m\x01g\x03\x7f\x01");
    SAMPLE_SECTION(&f.bytes, 3, "\x01\x01");
    SAMPLE_SECTION(&f.bytes, 5, "\x01\x01\x02\x08");
    SAMPLE_SECTION(&f.bytes, 6, "\x01\x7e\x00\x42\xff\x00\x0b");
    SAMPLE_SECTION(&f.bytes, 7,
                   "\x05\x01"
                   "f\x00\x00\x01k\x00\x01\x03mem\x02\x00\x01t\x01\x00\x01h\x03\x01");
    SAMPLE_SECTION(&f.bytes, 8, "\x01");
    CHECK_OK(read(&f), &f.err);
    CHECK_INT(f.info->n_imports, 3);
    CHECK_INT(f.info->n_exports, 5);
    CHECK(f.info->plan.has_start);
    CHECK_INT(f.info->plan.n_memories, 1);
    CHECK_INT(f.info->plan.memory_pages_min, 2);
    CHECK_INT(f.info->plan.memory_pages_max, 8);
    CHECK_TEXT(wisp_core_extern_text(&f.arena, &f.info->imports[0].type), "(func (param i32 i64) (result f32))");
    CHECK_TEXT(wisp_core_extern_text(&f.arena, &f.info->imports[1].type), "(table 2 5 funcref)");
    CHECK_TEXT(wisp_core_extern_text(&f.arena, &f.info->imports[2].type), "(global (mut i32))");
    CHECK_TEXT(wisp_core_extern_text(&f.arena, &wisp_core_find_export(f.info, WISP_STR("k"))->type), "(func)");
    CHECK_TEXT(wisp_core_extern_text(&f.arena, &wisp_core_find_export(f.info, WISP_STR("mem"))->type), "(memory 2 8)");
    CHECK_TEXT(wisp_core_extern_text(&f.arena, &wisp_core_find_export(f.info, WISP_STR("h"))->type), "(global i64)");
    CHECK(!wisp_core_find_export(f.info, WISP_STR("x")));
    CHECK(wisp_core_find_import(f.info, WISP_STR("m"), WISP_STR("t")) == &f.info->imports[1]);
    CHECK(!wisp_core_find_import(f.info, WISP_STR(""), WISP_STR("t")));
    finish(&f);
}

TEST(gc_types_are_passed_over)
{
    struct fixture f;
    start(&f);
    /* (rec (type (sub (struct (field i8) (field (mut (ref null 0))))))) (type (array i64)) (type (func (param (ref
     * 1)))) */
    SAMPLE_SECTION(&f.bytes, 1, "\x03\x4e\x01\x50\x00\x5f\x02\x78\x00\x63\x00\x01\x5e\x7e\x00\x60\x01\x64\x01\x00");
    SAMPLE_SECTION(&f.bytes, 2, "\x01\x00\x00\x00\x02");
    CHECK_OK(read(&f), &f.err);
    CHECK_TEXT(wisp_core_extern_text(&f.arena, &f.info->imports[0].type), "(func (param ref))");
    finish(&f);
}

TEST(broken_modules_are_refused_with_the_place)
{
    static const struct {
        uint8_t id;
        struct wisp_str contents;
        const char *text;
    } cases[] = {
        {1, WISP_STR_INIT("\x01\x60\x01\x00\x00"), "at 0xd: malformed value type 0x0"},
        {1, WISP_STR_INIT("\x7f\x60"), "at 0xa: unexpected end: 127 items announced"},
        {2, WISP_STR_INIT("\x01\x00\x00\x00\x00"), "type index out of bounds: 0 of 0"},
        {2, WISP_STR_INIT("\x01\x00\x00\x07\x00"), "malformed import kind 0x7"},
        {2, WISP_STR_INIT("\x02\x00\x00\x03\x7f\x00\x00\x00\x03\x7f\x00"), "two imports or exports"},
        {4, WISP_STR_INIT("\x01\x7f\x00\x00"), "a table's elements must be references"},
        {5, WISP_STR_INIT("\x01\x01\x02\x01"), "the minimum size is larger than the maximum"},
        {5, WISP_STR_INIT("\x01\x03\x02"), "unexpected end"},
        {5, WISP_STR_INIT("\x01\x00\x81\x80\x04"), "at most 65536 pages"},
        {6, WISP_STR_INIT("\x01\x7f\x00\x00\x0b"), "constant expression required"},
        {7,
         WISP_STR_INIT("\x01\x01"
                       "f\x00\x00"),
         "func index out of bounds"},
        {8, WISP_STR_INIT("\x00"), "start function index out of bounds"},
        {14, WISP_STR_INIT(""), "malformed section id 14"},
        {1, WISP_STR_INIT("\x00\x00"), "1 bytes left over"},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct fixture f;
        start(&f);
        sample_section(&f.bytes, cases[i].id, cases[i].contents);
        CHECK_FAILS(read(&f), INVALID);
        CHECK_HAS(f.err.text, cases[i].text);
        finish(&f);
    }
}

TEST(sections_have_an_order)
{
    struct fixture f;
    start(&f);
    SAMPLE_SECTION(&f.bytes, 6, "\x00");
    SAMPLE_SECTION(&f.bytes, 13, "\x00");
    CHECK_FAILS(read(&f), INVALID);
    CHECK_HAS(f.err.text, "at 0xb: section 13 out of order");
    finish(&f);
}

TEST(producers_are_collected_once_and_broken_ones_ignored)
{
    struct fixture f;
    start(&f);
    SAMPLE_SECTION(&f.bytes, 0, "\x09producers\x01\x08language\x02\x04Rust\x00\x04Rust\x00");
    SAMPLE_SECTION(&f.bytes, 0,
                   "\x09producers\x01\x08language\x02\x01"
                   "C\x02"
                   "11\x09");
    CHECK_OK(read(&f), &f.err);
    CHECK_INT(f.producers.n, 2);
    CHECK_STR(f.producers.items[0].name, "Rust");
    CHECK_STR(f.producers.items[1].version, "11");
    finish(&f);
}

static struct wisp_core_extern memory(uint64_t min, uint64_t max, bool has_max)
{
    return (struct wisp_core_extern){
        .sort = WISP_CORE_MEMORY, .min = min, .max = max, .has_max = has_max, .page_size_log2 = 16};
}

TEST(limits_match_as_the_specification_says)
{
    struct wisp_core_extern want = memory(1, 4, true), have = memory(2, 3, true);
    CHECK(wisp_core_matches(&have, &want));
    CHECK(!wisp_core_matches(&want, &have));
    have = memory(2, 0, false);
    CHECK(!wisp_core_matches(&have, &want));
    want = memory(1, 0, false);
    CHECK(wisp_core_matches(&have, &want));
    have.is_shared = true;
    CHECK(!wisp_core_matches(&have, &want));
}
