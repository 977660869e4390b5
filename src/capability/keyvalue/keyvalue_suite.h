/* SPDX-License-Identifier: Apache-2.0 */
/* How every key-value kind behaves, whatever it keeps its data in: one table of steps. */
#pragma once

#include "capability/keyvalue/keyvalue_rig.h"

struct step {
    enum wisp_keyvalue_verb verb;
    const char *bucket, *key, *value, *outcome; /* an outcome that ends with "..." begins so */
};

static const struct step store_steps[] = {
    {WISP_KEYVALUE_LIST_KEYS, "b", NULL, NULL, ""},
    {WISP_KEYVALUE_GET, "b", "a", NULL, "none"},
    {WISP_KEYVALUE_EXISTS, "b", "a", NULL, "false"},
    {WISP_KEYVALUE_DELETE, "b", "a", NULL, "done"},
    {WISP_KEYVALUE_SET, "b", "a", "one", "done"},
    {WISP_KEYVALUE_GET, "b", "a", NULL, "some one"},
    {WISP_KEYVALUE_EXISTS, "b", "a", NULL, "true"},
    {WISP_KEYVALUE_SET, "b", "a", "two", "done"},
    {WISP_KEYVALUE_GET, "b", "a", NULL, "some two"},
    {WISP_KEYVALUE_SET, "b", "empty", "", "done"},
    {WISP_KEYVALUE_GET, "b", "empty", NULL, "some "},
    {WISP_KEYVALUE_EXISTS, "b", "empty", NULL, "true"},
    {WISP_KEYVALUE_SET, "b", "with/slash_and=more.of-it", "3", "done"},
    {WISP_KEYVALUE_LIST_KEYS, "b", NULL, NULL, "a empty with/slash_and=more.of-it"},
    {WISP_KEYVALUE_DELETE, "b", "empty", NULL, "done"},
    {WISP_KEYVALUE_DELETE, "b", "empty", NULL, "done"},
    {WISP_KEYVALUE_GET, "b", "empty", NULL, "none"},
    {WISP_KEYVALUE_EXISTS, "b", "empty", NULL, "false"},
    {WISP_KEYVALUE_DELETE, "b", "with/slash_and=more.of-it", NULL, "done"},
    {WISP_KEYVALUE_LIST_KEYS, "b", NULL, NULL, "a"},
    {WISP_KEYVALUE_SET, "b", "", "x", "other: a key may not be empty"},
    {WISP_KEYVALUE_DELETE, "b", "a", NULL, "done"},
    {WISP_KEYVALUE_LIST_KEYS, "b", NULL, NULL, ""},
};

static const struct step bucket_steps[] = {
    {WISP_KEYVALUE_SET, "b", "same", "in b", "done"},    {WISP_KEYVALUE_GET, "c", "same", NULL, "none"},
    {WISP_KEYVALUE_SET, "c", "same", "in c", "done"},    {WISP_KEYVALUE_GET, "b", "same", NULL, "some in b"},
    {WISP_KEYVALUE_GET, "c", "same", NULL, "some in c"}, {WISP_KEYVALUE_LIST_KEYS, "c", NULL, NULL, "same"},
    {WISP_KEYVALUE_DELETE, "c", "same", NULL, "done"},   {WISP_KEYVALUE_GET, "b", "same", NULL, "some in b"},
    {WISP_KEYVALUE_DELETE, "b", "same", NULL, "done"},
};

static const struct step more_steps[] = {
    {WISP_KEYVALUE_INCREMENT, "b", "n", "5", "5"},
    {WISP_KEYVALUE_INCREMENT, "b", "n", "2", "7"},
    {WISP_KEYVALUE_INCREMENT, "b", "n", "0", "7"},
    {WISP_KEYVALUE_GET, "b", "n", NULL, "some 7"},
    {WISP_KEYVALUE_SET, "b", "n", "40", "done"},
    {WISP_KEYVALUE_INCREMENT, "b", "n", "2", "42"},
    {WISP_KEYVALUE_DELETE, "b", "n", NULL, "done"},
    {WISP_KEYVALUE_INCREMENT, "b", "n", "1", "1"},
    {WISP_KEYVALUE_SET, "b", "word", "many", "done"},
    {WISP_KEYVALUE_INCREMENT, "b", "word", "1", "other: ..."},
    {WISP_KEYVALUE_GET, "b", "word", NULL, "some many"},
    {WISP_KEYVALUE_INCREMENT, "b", "huge", "9223372036854775807", "9223372036854775807"},
    {WISP_KEYVALUE_INCREMENT, "b", "huge", "18446744073709551615", "other: ..."},
    {WISP_KEYVALUE_GET, "b", "huge", NULL, "some 9223372036854775807"},
    {WISP_KEYVALUE_DELETE_MANY, "b", "n word huge", NULL, "done"},
    {WISP_KEYVALUE_LIST_KEYS, "b", NULL, NULL, ""},

    {WISP_KEYVALUE_SET_MANY, "b", "x y z", "1 2 3", "done"},
    {WISP_KEYVALUE_GET_MANY, "b", "z none x z", NULL, "z=3 none x=1 z=3"},
    {WISP_KEYVALUE_DELETE_MANY, "b", "x none z", NULL, "done"},
    {WISP_KEYVALUE_GET_MANY, "b", "x y z", NULL, "none y=2 none"},
    {WISP_KEYVALUE_GET_MANY, "b", "", NULL, ""},
    {WISP_KEYVALUE_SET_MANY, "b", "", "", "done"},
    {WISP_KEYVALUE_DELETE_MANY, "b", "", NULL, "done"},
    {WISP_KEYVALUE_DELETE, "b", "y", NULL, "done"},
};

static inline void check_steps(struct world *world, const struct step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct step *step = &steps[i];
        const char *outcome = say(world, step->verb, step->bucket, step->key, step->value);
        struct wisp_str expected = wisp_str_from(step->outcome);
        bool is_as_expected = wisp_str_ends_with(expected, WISP_STR("..."))
                                  ? strncmp(outcome, expected.ptr, expected.len - 3) == 0
                                  : strcmp(outcome, expected.ptr) == 0;
        if (!is_as_expected)
            wisp_test_fail(__FILE__, __LINE__, "step %zu, %s of `%s`: \"%s\", expected \"%s\"", i,
                           wisp_keyvalue_funcs[step->verb].name, step->key ? step->key : "", outcome, expected.ptr);
    }
}

/* 300 kB of every byte. */
static inline void check_large_value(struct world *world)
{
    enum { SIZE = 300000 };
    WISP_CLEANUP_FREE uint8_t *bytes = wisp_mem_alloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (uint8_t)(i * 31 + i / 256);
    struct wisp_keyvalue_set_args set = {WISP_STR("b"), WISP_STR("large"), {bytes, SIZE}};
    CHECK_TEXT(call_over(world, "default", WISP_KEYVALUE_SET, &set).text, "done");
    struct wisp_keyvalue_key_args get = {WISP_STR("b"), WISP_STR("large")};
    struct outcome got = call_over(world, "default", WISP_KEYVALUE_GET, &get);
    CHECK(got.result.value.is_some);
    CHECK_INT(got.result.value.value.len, SIZE);
    CHECK(memcmp(got.result.value.value.ptr, bytes, SIZE) == 0);
    CHECK_TEXT(say(world, WISP_KEYVALUE_DELETE, "b", "large", NULL), "done");
}

/* All keys, by pages, each exactly once. */
static inline void check_pages(struct world *world, size_t n_keys)
{
    WISP_CLEANUP_FREE bool *seen = wisp_mem_calloc(n_keys, sizeof *seen);
    WISP_CLEANUP_FREE struct wisp_keyvalue_pair *pairs = wisp_mem_calloc(n_keys, sizeof *pairs);
    for (size_t i = 0; i < n_keys; i++) {
        pairs[i].key = wisp_str_from(wisp_arena_printf(&world->arena, "key-%zu", i));
        pairs[i].value = (struct wisp_bytes){(const uint8_t *)"v", 1};
    }
    struct wisp_keyvalue_pairs_args set = {WISP_STR("b"), pairs, n_keys};
    CHECK_TEXT(call_over(world, "default", WISP_KEYVALUE_SET_MANY, &set).text, "done");
    struct wisp_keyvalue_list_args list = {.bucket = WISP_STR("b")};
    size_t n = 0;
    do {
        struct outcome page = call_over(world, "default", WISP_KEYVALUE_LIST_KEYS, &list);
        CHECK_INT(page.result.keys.is_err, 0);
        for (size_t i = 0; i < page.result.keys.n; i++) {
            size_t number = strtoull(page.result.keys.keys[i].ptr + 4, NULL, 10);
            CHECK(number < n_keys && !seen[number]);
            seen[number] = true;
            n++;
        }
        list.has_cursor = page.result.keys.has_cursor;
        list.cursor = page.result.keys.cursor;
    } while (list.has_cursor);
    CHECK_INT(n, n_keys);
}

static inline void check_all(struct world *world, bool has_buckets, bool has_all)
{
    check_steps(world, store_steps, WISP_COUNT(store_steps));
    if (has_buckets) check_steps(world, bucket_steps, WISP_COUNT(bucket_steps));
    check_large_value(world);
    if (!has_all) return;
    check_steps(world, more_steps, WISP_COUNT(more_steps));
    check_pages(world, 2500);
}
