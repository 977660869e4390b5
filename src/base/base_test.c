/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/parse.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

TEST(err_carries_context_in_front)
{
    struct wisp_err err = {0};
    int r = wisp_err_os(&err, ENOENT, "open `%s`", "/x");
    CHECK_INT(r, -WISP_ERR_NOT_FOUND);
    r = wisp_err_wrap(&err, "load component `%s`", "hello");
    CHECK_INT(r, -WISP_ERR_NOT_FOUND);
    CHECK_TEXT(err.text, "load component `hello`: open `/x`: No such file or directory");
    CHECK_INT(err.os_errno, ENOENT);
}

TEST(err_cuts_what_does_not_fit)
{
    struct wisp_err err = {0};
    char big[3 * WISP_ERR_TEXT_MAX];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    (void)wisp_err_set(&err, WISP_ERR_INVALID, "%s", big);
    CHECK_INT(strlen(err.text), WISP_ERR_TEXT_MAX - 1);
    CHECK_INT(wisp_err_wrap(&err, "%s", big), -WISP_ERR_INVALID);
    CHECK_INT(wisp_err_wrap(&err, "short"), -WISP_ERR_INVALID);
    CHECK_HAS(err.text, "short: aaa");
    CHECK(strlen(err.text) < WISP_ERR_TEXT_MAX);
}

TEST(blanks_and_line_ends_around_a_text_go)
{
    CHECK(wisp_str_is(wisp_str_trim(WISP_STR(" \t\r\n a b\tc \r\n")), "a b\tc"));
    CHECK(wisp_str_is(wisp_str_trim(WISP_STR("x")), "x"));
    CHECK_INT(wisp_str_trim(WISP_STR(" \n")).len, 0);
    CHECK_INT(wisp_str_trim((struct wisp_str){0}).len, 0);
    CHECK_INT(wisp_str_trim((struct wisp_str){"\0a\0", 3}).len, 3);
}

/* What is left in memory that was freed, past the bytes that allocators write there. */
static void read_freed(uintptr_t place, char *out, size_t size)
{
    FILE *memory = fopen("/proc/self/mem", "rb");
    CHECK(memory);
    CHECK_INT(fseeko(memory, (off_t)place, SEEK_SET), 0);
    CHECK_INT(fread(out, 1, size, memory), size);
    fclose(memory);
}

TEST(what_was_secret_is_overwritten)
{
    enum { BEFORE = 64, SIZE = 16 };
    char left[SIZE], none[SIZE] = {0}, filler[BEFORE + SIZE + 1] = {0};
    memset(filler, 's', sizeof filler - 1);

    struct wisp_buf buf = {0};
    wisp_buf_append(&buf, filler, sizeof filler - 1);
    uintptr_t place = (uintptr_t)buf.data + BEFORE;
    wisp_buf_wipe(&buf);
    CHECK(!buf.data && buf.len == 0 && buf.capacity == 0);
    read_freed(place, left, SIZE);
    CHECK(memcmp(left, none, SIZE) == 0);

    char *text = wisp_mem_dup(wisp_str_from(filler));
    place = (uintptr_t)text + BEFORE;
    wisp_mem_wipe(text);
    read_freed(place, left, SIZE);
    CHECK(memcmp(left, none, SIZE) == 0);
    wisp_mem_wipe(NULL);

    /* What is only freed can still be read: the checks above can fail. */
    text = wisp_mem_dup(wisp_str_from(filler));
    place = (uintptr_t)text + BEFORE;
    free(text);
    read_freed(place, left, SIZE);
    CHECK(memcmp(left, filler, SIZE) == 0);
}

TEST(arena_pieces_are_aligned_and_apart)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    char *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        size_t size = i * 37 % 6000;
        pieces[i] = wisp_arena_alloc(&arena, size);
        CHECK_INT((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, size);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i * 37 % 6000; k++) CHECK_INT((unsigned char)pieces[i][k], i);
    wisp_arena_reset(&arena);
    CHECK_TEXT(wisp_arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
}

TEST(map_keeps_what_was_added)
{
    WISP_CLEANUP_MAP struct wisp_map map = {0};
    static char keys[500][8];
    CHECK(!wisp_map_get(&map, WISP_STR("0")));
    for (size_t i = 0; i < 500; i++) {
        snprintf(keys[i], sizeof keys[i], "%zu", i);
        CHECK(wisp_map_add(&map, wisp_str_from(keys[i]), keys[i]));
    }
    CHECK(!wisp_map_add(&map, WISP_STR("499"), keys[0]));
    for (size_t i = 0; i < 500; i++) CHECK(wisp_map_get(&map, wisp_str_from(keys[i])) == keys[i]);
    CHECK(!wisp_map_get(&map, WISP_STR("500")));
}

TEST(utf8_is_judged_as_unicode_says)
{
    CHECK(wisp_str_is_utf8(WISP_STR("")));
    CHECK(wisp_str_is_utf8(WISP_STR("plain ascii longer than eight")));
    CHECK(wisp_str_is_utf8(WISP_STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    CHECK(!wisp_str_is_utf8(WISP_STR("\xc0\x80")));
    CHECK(!wisp_str_is_utf8(WISP_STR("\xed\xa0\x80")));
    CHECK(!wisp_str_is_utf8(WISP_STR("\xf4\x90\x80\x80")));
    CHECK(!wisp_str_is_utf8(WISP_STR("12345678\xe2\x82")));
}

TEST(sizes_and_durations)
{
    struct wisp_err err = {0};
    uint64_t value = 0;
    CHECK_OK(wisp_parse_size(WISP_STR("64M"), &value, &err), &err);
    CHECK_INT(value, 64 << 20);
    CHECK_OK(wisp_parse_size(WISP_STR("3kib"), &value, &err), &err);
    CHECK_INT(value, 3072);
    CHECK_OK(wisp_parse_duration(WISP_STR("1500ms"), &value, &err), &err);
    CHECK_INT(value, 1500);
    CHECK_OK(wisp_parse_duration(WISP_STR("2"), &value, &err), &err);
    CHECK_INT(value, 2000);
    CHECK_FAILS(wisp_parse_size(WISP_STR(""), &value, &err), USAGE);
    CHECK_FAILS(wisp_parse_size(WISP_STR("M"), &value, &err), USAGE);
    CHECK_FAILS(wisp_parse_size(WISP_STR("99999999999T"), &value, &err), USAGE);
    CHECK_FAILS(wisp_parse_duration(WISP_STR("5 s"), &value, &err), USAGE);
    CHECK_HAS(err.text, "`5 s` is not a duration");
}

TEST(buffer_grows)
{
    WISP_CLEANUP_BUF struct wisp_buf buf = {0};
    for (int i = 0; i < 1000; i++) wisp_buf_printf(&buf, "%d,", i);
    CHECK(wisp_str_starts_with(wisp_buf_str(&buf), WISP_STR("0,1,2,")));
    CHECK(wisp_str_ends_with(wisp_buf_str(&buf), WISP_STR("998,999,")));
}

TEST(map_forgets_what_was_removed_and_nothing_else)
{
    enum { N = 500 };
    char names[N][12];
    WISP_CLEANUP_MAP struct wisp_map map = {0};
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        CHECK(wisp_map_add(&map, wisp_str_from(names[i]), names[i]));
    }
    for (int i = 0; i < N; i += 3) CHECK(wisp_map_remove(&map, wisp_str_from(names[i])) == names[i]);
    CHECK(!wisp_map_remove(&map, WISP_STR("0")));
    for (int i = 0; i < N; i++) {
        void *found = wisp_map_get(&map, wisp_str_from(names[i]));
        CHECK(i % 3 ? found == (void *)names[i] : !found);
    }
    CHECK_INT(map.count, N - (N + 2) / 3);
}
