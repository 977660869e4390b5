/* SPDX-License-Identifier: Apache-2.0 */
#include "component/plan.h"

/* "0.2.8-rc.1+build": numbers as text; absent ones are empty. */
struct version {
    struct wisp_str numbers[3];
    struct wisp_str prerelease;
};

static struct version split_version(struct wisp_str text)
{
    struct version version = {0};
    struct wisp_str rest;
    wisp_str_split(text, '+', &text, &rest);
    if (wisp_str_split(text, '-', &text, &rest)) version.prerelease = rest;
    for (int i = 0; i < 3; i++) {
        struct wisp_str tail = {0};
        version.numbers[i] = text;
        wisp_str_split(text, '.', &version.numbers[i], &tail);
        text = tail;
    }
    return version;
}

/* Numbers that count: up to the first that is not zero. */
static bool is_compatible(const struct version *a, const struct version *b)
{
    for (int i = 0; i < 3; i++) {
        /* A version cut off after what counts ("0.2") says no more than that. */
        if (!a->numbers[i].len || !b->numbers[i].len) return true;
        if (!wisp_str_equal(a->numbers[i], b->numbers[i])) return false;
        if (!wisp_str_is(a->numbers[i], "0")) return true;
    }
    return true;
}

bool wisp_version_matches(struct wisp_str want, struct wisp_str have_name, struct wisp_str have_version)
{
    struct wisp_str want_name = want, want_version = {0};
    wisp_str_split(want, '@', &want_name, &want_version);
    if (!wisp_str_equal(want_name, have_name)) return false;
    /* Nothing asked, nothing to contradict; and without a version of ours there is nothing to compare. */
    if (!want_version.len || !have_version.len) return want_version.len == 0;
    if (wisp_str_equal(want_version, have_version)) return true;
    struct version wanted = split_version(want_version), have = split_version(have_version);
    /* A pre-release is compatible with nothing but itself. */
    if (wanted.prerelease.len || have.prerelease.len) return false;
    return is_compatible(&wanted, &have);
}
