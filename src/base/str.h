/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed byte strings: a pointer and a length, no terminator, no ownership. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wisp_str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;
};

#define WISP_STR(literal) ((struct wisp_str){"" literal "", sizeof(literal) - 1})
#define WISP_STR_INIT(literal) {"" literal "", sizeof(literal) - 1}
/* For "%.*s". */
#define WISP_STR_ARG(s) ((s).len > 0x7fffffff ? 0x7fffffff : (int)(s).len), ((s).len ? (s).ptr : "")

#define WISP_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline struct wisp_str wisp_str_from(const char *text)
{
    return (struct wisp_str){text, text ? strlen(text) : 0};
}

static inline bool wisp_str_equal(struct wisp_str a, struct wisp_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool wisp_str_is(struct wisp_str a, const char *text) { return wisp_str_equal(a, wisp_str_from(text)); }

static inline bool wisp_str_starts_with(struct wisp_str s, struct wisp_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool wisp_str_ends_with(struct wisp_str s, struct wisp_str suffix)
{
    return s.len >= suffix.len && (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* Without the blanks and line ends around it. */
static inline struct wisp_str wisp_str_trim(struct wisp_str s)
{
    while (s.len && memchr(" \t\r\n", s.ptr[s.len - 1], 4)) s.len--;
    while (s.len && memchr(" \t\r\n", s.ptr[0], 4)) s = (struct wisp_str){s.ptr + 1, s.len - 1};
    return s;
}

/* The part before the first `c` goes to *ret_head, the part after it to *ret_tail; false when there is no `c`. */
static inline bool wisp_str_split(struct wisp_str s, char c, struct wisp_str *ret_head, struct wisp_str *ret_tail)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    if (!at) return false;
    size_t head_size = (size_t)(at - s.ptr);
    *ret_head = (struct wisp_str){s.ptr, head_size};
    *ret_tail = (struct wisp_str){at + 1, s.len - head_size - 1};
    return true;
}

/* Byte order; <0, 0, >0. */
int wisp_str_compare(struct wisp_str a, struct wisp_str b);
bool wisp_str_same_letters(const char *a, const char *b, size_t n);
/* ASCII letters match in either case. */
static inline bool wisp_str_equal_nocase(struct wisp_str a, struct wisp_str b)
{
    return a.len == b.len && wisp_str_same_letters(a.ptr, b.ptr, a.len);
}
/* Well-formed UTF-8 (no surrogates, no overlong forms, nothing past U+10FFFF). */
bool wisp_str_is_utf8(struct wisp_str s);
/* FNV-1a with a final mix; not for hostile keys. */
uint64_t wisp_str_hash(struct wisp_str s);
