/* SPDX-License-Identifier: Apache-2.0 */
#include "http/chars.h"

/* One row for each high half-byte; head_test.c compares every entry with the grammar in words. */
const unsigned char wisp_http_chars[256] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  8,  0,  0,  0,  0,  0,  0,  /* 00 */
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  /* 10 */
    8,  15, 10, 9,  15, 15, 15, 15, 14, 14, 15, 15, 14, 15, 15, 10, /* 20 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14, 14, 10, 14, 10, 10, /* 30 */
    10, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 40 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14, 10, 14, 11, 15, /* 50 */
    11, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 60 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 10, 11, 10, 15, 0,  /* 70 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* 80 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* 90 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* a0 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* b0 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* c0 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* d0 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* e0 */
    8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  /* f0 */
};

bool wisp_http_is_all(struct wisp_str s, enum wisp_http_chars kind)
{
    unsigned char all = (unsigned char)kind;
    for (size_t i = 0; i < s.len; i++) all &= wisp_http_chars[(unsigned char)s.ptr[i]];
    return all != 0;
}

void wisp_http_to_lower(char *text, size_t size)
{
    const uint64_t ones = 0x0101010101010101u;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, 8);
        /* In the top bit of each byte: whether its lower seven bits reach 'A', and whether they pass 'Z'. */
        uint64_t seven = word & 0x7f * ones;
        uint64_t reaches_a = seven + (0x80 - 'A') * ones, passes_z = seven + (0x7f - 'Z') * ones;
        uint64_t is_upper = (reaches_a ^ passes_z) & ~word & 0x80 * ones;
        word |= is_upper >> 2;
        memcpy(text + i, &word, 8);
    }
    for (; i < size; i++)
        if (text[i] >= 'A' && text[i] <= 'Z') text[i] = (char)(text[i] | 0x20);
}
