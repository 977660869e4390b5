/* SPDX-License-Identifier: Apache-2.0 */
/* Strings in the three encodings that a component may choose. Native strings are always UTF-8. */
#include "component/canon/canon_priv.h"

/* In latin1+utf16 the top bit of the length tells UTF-16 from Latin-1. */
#define UTF16_TAG 0x80000000u

static uint32_t get_u16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static void put_u16(uint8_t *at, uint32_t value)
{
    uint16_t narrow = (uint16_t)value;
    memcpy(at, &narrow, sizeof narrow);
}

static bool is_high_surrogate(uint32_t unit) { return (unit & 0xfc00) == 0xd800; }
static bool is_low_surrogate(uint32_t unit) { return (unit & 0xfc00) == 0xdc00; }

static size_t utf8_size(uint32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

static char *utf8_put(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    size_t n = utf8_size(c);
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6) to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(lead[n] | c);
    return to + n;
}

/* Of well-formed UTF-8; *at is moved on. */
static uint32_t utf8_next(const uint8_t **at)
{
    const uint8_t *p = *at;
    uint32_t c = p[0];
    if (c < 0x80) {
        *at += 1;
        return c;
    }
    uint32_t n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    c &= 0x7fu >> n;
    for (uint32_t i = 1; i < n; i++) c = c << 6 | (p[i] & 0x3f);
    *at += n;
    return c;
}

/* --- guest to native --- */

static int lift_utf8(struct wisp_canon *canon, uint32_t pointer, uint32_t size, struct wisp_str *ret_string)
{
    if (size > WISP_CANON_BYTES_MAX || !in_memory(canon, pointer, 1, size))
        return wisp_canon_refuse_range(canon, "string", pointer, 1, size);
    if (!may_lift(canon, size)) return wisp_canon_refuse_size(canon);
    struct wisp_str view = {(const char *)canon->memory + pointer, size};
    if (!wisp_str_is_utf8(view))
        return wisp_err_set(canon->err, WISP_ERR_GUEST, "invalid utf-8 in a string (%u bytes at %#x)", size, pointer);
    *ret_string = canon->copy ? wisp_arena_str(canon->arena, view) : view;
    return 0;
}

/* Bytes that n UTF-16 units take in UTF-8; false when a surrogate stands alone. */
static bool utf16_measure(const uint8_t *from, uint32_t n, size_t *ret_size)
{
    size_t size = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t unit = get_u16(from + 2 * (size_t)i);
        if (is_low_surrogate(unit)) return false;
        if (is_high_surrogate(unit)) {
            if (++i == n || !is_low_surrogate(get_u16(from + 2 * (size_t)i))) return false;
            size += 4;
        } else {
            size += utf8_size(unit);
        }
    }
    *ret_size = size;
    return true;
}

static int lift_utf16(struct wisp_canon *canon, uint32_t pointer, uint32_t units, struct wisp_str *ret_string)
{
    uint64_t bytes = 2 * (uint64_t)units;
    if (bytes > WISP_CANON_BYTES_MAX || !in_memory(canon, pointer, 2, bytes))
        return wisp_canon_refuse_range(canon, "string", pointer, 2, bytes);
    if (!may_lift(canon, 3 * (uint64_t)units)) return wisp_canon_refuse_size(canon);
    const uint8_t *from = canon->memory + pointer;
    size_t size;
    if (!utf16_measure(from, units, &size))
        return wisp_err_set(canon->err, WISP_ERR_GUEST,
                            "invalid utf-16 in a string: surrogate without its pair "
                            "(%u units at %#x)",
                            units, pointer);
    char *text = wisp_arena_alloc(canon->arena, size), *to = text;
    for (uint32_t i = 0; i < units; i++) {
        uint32_t c = get_u16(from + 2 * (size_t)i);
        if (is_high_surrogate(c)) c = 0x10000 + ((c & 0x3ff) << 10 | (get_u16(from + 2 * (size_t)++i) & 0x3ff));
        to = utf8_put(to, c);
    }
    *ret_string = (struct wisp_str){text, size};
    return 0;
}

static int lift_latin1(struct wisp_canon *canon, uint32_t pointer, uint32_t units, struct wisp_str *ret_string)
{
    /* The alignment is that of UTF-16 for both forms. */
    if (units > WISP_CANON_BYTES_MAX || !in_memory(canon, pointer, 2, units))
        return wisp_canon_refuse_range(canon, "string", pointer, 2, units);
    if (!may_lift(canon, 2 * (uint64_t)units)) return wisp_canon_refuse_size(canon);
    const uint8_t *from = canon->memory + pointer;
    size_t size = units;
    for (uint32_t i = 0; i < units; i++) size += from[i] >> 7;
    if (size == units && !canon->copy) {
        *ret_string = (struct wisp_str){(const char *)from, units};
        return 0;
    }
    char *text = wisp_arena_alloc(canon->arena, size), *to = text;
    for (uint32_t i = 0; i < units; i++) to = utf8_put(to, from[i]);
    *ret_string = (struct wisp_str){text, size};
    return 0;
}

int wisp_canon_lift_string(struct wisp_canon *canon, uint32_t pointer, uint32_t units, struct wisp_str *ret_string)
{
    switch (canon->options->encoding) {
    case WISP_UTF8:
        return lift_utf8(canon, pointer, units, ret_string);
    case WISP_UTF16:
        return lift_utf16(canon, pointer, units, ret_string);
    case WISP_LATIN1_UTF16:
        if (units & UTF16_TAG) return lift_utf16(canon, pointer, units ^ UTF16_TAG, ret_string);
        return lift_latin1(canon, pointer, units, ret_string);
    }
    __builtin_unreachable();
}

/* --- native to guest --- */

/* Code points, UTF-16 units, and whether Latin-1 can hold them all. */
struct census {
    uint32_t points, units16;
    bool latin1;
};

static struct census census(struct wisp_str s)
{
    struct census result = {.latin1 = true};
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = (uint8_t)s.ptr[i];
        bool starts = (c & 0xc0) != 0x80;
        result.points += starts;
        result.units16 += starts + (c >= 0xf0);
        if (c > 0xc3) result.latin1 = false;
    }
    return result;
}

static int lower_utf8(struct wisp_canon *canon, struct wisp_str s, uint32_t *ret_pointer, uint32_t *ret_units)
{
    int r = wisp_canon_alloc(canon, 1, s.len, ret_pointer);
    if (r < 0) return r;
    if (s.len) memcpy(canon->memory + *ret_pointer, s.ptr, s.len);
    *ret_units = (uint32_t)s.len;
    return 0;
}

static int lower_utf16(struct wisp_canon *canon, struct wisp_str s, uint32_t units, uint32_t *ret_pointer)
{
    int r = wisp_canon_alloc(canon, 2, 2 * (uint64_t)units, ret_pointer);
    if (r < 0) return r;
    uint8_t *to = canon->memory + *ret_pointer;
    const uint8_t *from = (const uint8_t *)s.ptr, *end = from + s.len;
    while (from < end) {
        uint32_t c = utf8_next(&from);
        if (c >= 0x10000) {
            put_u16(to, 0xd800 + ((c - 0x10000) >> 10));
            to += 2;
            c = 0xdc00 + (c & 0x3ff);
        }
        put_u16(to, c);
        to += 2;
    }
    return 0;
}

static int lower_latin1(struct wisp_canon *canon, struct wisp_str s, uint32_t units, uint32_t *ret_pointer)
{
    int r = wisp_canon_alloc(canon, 2, units, ret_pointer);
    if (r < 0) return r;
    uint8_t *to = canon->memory + *ret_pointer;
    const uint8_t *from = (const uint8_t *)s.ptr, *end = from + s.len;
    while (from < end) *to++ = (uint8_t)utf8_next(&from);
    return 0;
}

int wisp_canon_lower_string(struct wisp_canon *canon, struct wisp_str s, uint32_t *ret_pointer, uint32_t *ret_units)
{
    if (s.len > WISP_CANON_BYTES_MAX)
        return wisp_err_set(canon->err, WISP_ERR_LIMIT, "a string of %zu bytes is too long for a component", s.len);
    if (canon->options->encoding == WISP_UTF8) return lower_utf8(canon, s, ret_pointer, ret_units);
    /* The sizes below are counted and then written by two loops, which agree on valid UTF-8 only. */
    if (!wisp_str_is_utf8(s)) return wisp_err_set(canon->err, WISP_ERR_INTERNAL, "the host's string is not UTF-8");
    struct census n = census(s);
    if (canon->options->encoding == WISP_LATIN1_UTF16 && n.latin1) {
        *ret_units = n.points;
        return lower_latin1(canon, s, n.points, ret_pointer);
    }
    *ret_units = canon->options->encoding == WISP_UTF16 ? n.units16 : n.units16 | UTF16_TAG;
    return lower_utf16(canon, s, n.units16, ret_pointer);
}
