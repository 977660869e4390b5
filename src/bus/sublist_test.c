/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus.h"
#include "bus/sublist.h"
#include "test.h"

#include <stdio.h>

#define S(text) wisp_str_from(text)

static size_t plain(struct wisp_bus_sublist *list, const char *subject)
{
    return wisp_bus_sublist_match(list, S(subject))->n_plain;
}

TEST(wildcards)
{
    struct wisp_bus_sublist list;
    wisp_bus_sublist_init(&list, 1);
    const char *patterns[] = {"a.b", "a.*", "a.>", ">", "*.b", "a.b.c", "*"};
    struct wisp_bus_sub_link subs[WISP_COUNT(patterns)];
    for (size_t i = 0; i < WISP_COUNT(patterns); i++) wisp_bus_sublist_add(&list, &subs[i], S(patterns[i]), S(""));
    CHECK_INT(plain(&list, "a.b"), 5);
    CHECK_INT(plain(&list, "a.b"), 5);
    CHECK_INT(plain(&list, "a"), 2);
    CHECK_INT(plain(&list, "a.b.c"), 3);
    CHECK_INT(plain(&list, "x.y.z.z"), 1);
    CHECK_INT(plain(&list, "a..b"), 0);
    CHECK_INT(plain(&list, "a."), 0);
    CHECK_INT(plain(&list, ".a"), 0);
    CHECK_INT(plain(&list, ""), 0);
    CHECK_INT(plain(&list, "a.*"), 3);
    wisp_bus_sublist_remove(&list, &subs[2]);
    CHECK_INT(plain(&list, "a.b"), 4);
    for (size_t i = 0; i < WISP_COUNT(patterns); i++)
        if (i != 2) wisp_bus_sublist_remove(&list, &subs[i]);
    CHECK_INT(plain(&list, "a.b"), 0);
    wisp_bus_sublist_deinit(&list);
}

TEST(groups_of_different_patterns_are_one)
{
    struct wisp_bus_sublist list;
    struct wisp_bus_sub_link subs[5];
    wisp_bus_sublist_init(&list, 1);
    wisp_bus_sublist_add(&list, &subs[0], S("a.b"), S("q"));
    wisp_bus_sublist_add(&list, &subs[1], S("a.*"), S("q"));
    wisp_bus_sublist_add(&list, &subs[2], S("a.b"), S("other"));
    wisp_bus_sublist_add(&list, &subs[3], S("a.b"), S(""));
    wisp_bus_sublist_add(&list, &subs[4], S("a.b"), S("q"));
    const struct wisp_bus_match *match = wisp_bus_sublist_match(&list, S("a.b"));
    CHECK_INT(match->n_plain, 1);
    CHECK_INT(match->n_groups, 2);
    CHECK_INT(match->n_subs, 5);
    CHECK_INT(match->groups[0].count + match->groups[1].count, 4);
    match = wisp_bus_sublist_match(&list, S("a.x"));
    CHECK_INT(match->n_groups, 1);
    CHECK(match->subs[match->groups[0].start] == &subs[1]);
    for (size_t i = 0; i < WISP_COUNT(subs); i++) wisp_bus_sublist_remove(&list, &subs[i]);
    wisp_bus_sublist_deinit(&list);
}

/* --- against the definition --- */

enum { PATTERNS = 400, STEPS = 6000 };

struct entry {
    struct wisp_bus_sub_link place;
    char pattern[16];
    int queue; /* 0: none */
    bool is_there;
};

static unsigned dice = 1;
static unsigned throw_dice(unsigned n)
{
    dice = dice * 1103515245u + 12345u;
    return (dice >> 16) % n;
}

static void random_subject(char out[16], bool with_wildcards)
{
    static const char *tokens[] = {"a", "b", "cc", "*"};
    size_t n = 1 + throw_dice(4), len = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_tail = with_wildcards && i == n - 1 && throw_dice(5) == 0;
        const char *token = is_tail ? ">" : tokens[throw_dice(with_wildcards ? 4 : 3)];
        len += (size_t)snprintf(out + len, 16 - len, "%s%s", i ? "." : "", token);
    }
}

static void compare(struct wisp_bus_sublist *list, const struct entry *entries, const char *subject)
{
    size_t n_plain = 0, n_queue[3] = {0}, n_groups = 0;
    for (size_t i = 0; i < PATTERNS; i++) {
        if (!entries[i].is_there || !wisp_bus_pattern_matches(S(entries[i].pattern), S(subject))) continue;
        if (entries[i].queue)
            n_groups += n_queue[entries[i].queue]++ == 0;
        else
            n_plain++;
    }
    const struct wisp_bus_match *match = wisp_bus_sublist_match(list, S(subject));
    CHECK_INT(match->n_plain, n_plain);
    CHECK_INT(match->n_groups, n_groups);
    CHECK_INT(match->n_subs, n_plain + n_queue[1] + n_queue[2]);
    for (size_t i = 0; i < match->n_subs; i++) {
        const struct entry *entry = WISP_OWNER(match->subs[i], struct entry, place);
        CHECK(entry->is_there && wisp_bus_pattern_matches(S(entry->pattern), S(subject)));
        CHECK((entry->queue != 0) == (i >= n_plain));
    }
}

TEST(as_defined)
{
    static struct entry entries[PATTERNS];
    static const char *queues[] = {"", "q", "r"};
    struct wisp_bus_sublist list;
    wisp_bus_sublist_init(&list, 42);
    for (size_t step = 0; step < STEPS; step++) {
        struct entry *entry = &entries[throw_dice(PATTERNS)];
        char subject[16];
        if (entry->is_there) {
            wisp_bus_sublist_remove(&list, &entry->place);
        } else {
            random_subject(entry->pattern, true);
            entry->queue = (int)throw_dice(3);
            wisp_bus_sublist_add(&list, &entry->place, S(entry->pattern), S(queues[entry->queue]));
        }
        entry->is_there = !entry->is_there;
        random_subject(subject, false);
        compare(&list, entries, subject);
        compare(&list, entries, subject);
    }
    for (size_t i = 0; i < PATTERNS; i++)
        if (entries[i].is_there) wisp_bus_sublist_remove(&list, &entries[i].place);
    CHECK_INT(list.table.count, 0);
    wisp_bus_sublist_deinit(&list);
}

TEST(more_subjects_than_the_cache_holds)
{
    struct wisp_bus_sublist list;
    struct wisp_bus_sub_link sub;
    wisp_bus_sublist_init(&list, 3);
    wisp_bus_sublist_add(&list, &sub, S("s.*"), S(""));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 10000; i++) {
            char subject[32];
            snprintf(subject, sizeof subject, "s.%d", i);
            CHECK_INT(plain(&list, subject), 1);
        }
    }
    static char large[3000];
    memset(large, 'x', sizeof large - 1);
    memcpy(large, "s.", 2);
    CHECK_INT(plain(&list, large), 1);
    wisp_bus_sublist_remove(&list, &sub);
    CHECK_INT(plain(&list, large), 0);
    wisp_bus_sublist_deinit(&list);
}
