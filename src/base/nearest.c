/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

enum { WORD_MAX = 40 };

/* Number of letters to insert, drop, replace, or swap with their neighbour. */
static size_t distance(struct wisp_str a, struct wisp_str b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t k = 0; k <= b.len; k++) above[k] = k;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            size_t best = above[k - 1] + (a.ptr[i - 1] != b.ptr[k - 1]);
            if (above[k] + 1 < best) best = above[k] + 1;
            if (row[k - 1] + 1 < best) best = row[k - 1] + 1;
            bool is_swap = i > 1 && k > 1 && a.ptr[i - 1] == b.ptr[k - 2] && a.ptr[i - 2] == b.ptr[k - 1];
            if (is_swap && before[k - 2] + 1 < best) best = before[k - 2] + 1;
            row[k] = best;
        }
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.len];
}

const char *wisp_nearest(struct wisp_str word, const char *const *words)
{
    const char *best = NULL;
    size_t best_distance = word.len / 3 + 1;
    if (!word.len || word.len > WORD_MAX) return NULL;
    for (; *words; words++) {
        struct wisp_str candidate = wisp_str_from(*words);
        if (candidate.len > WORD_MAX) continue;
        if (word.len > 2 && wisp_str_starts_with(candidate, word)) return *words;
        size_t d = distance(word, candidate);
        if (d > best_distance || (best && d == best_distance)) continue;
        best = *words;
        best_distance = d;
    }
    return best;
}
