/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what a server sends: what is left of a column, and a reader of each form. INVALID: it is not what it should
 * be; LIMIT: the result becomes too large. */
#pragma once

#include "capability/postgres/value_priv.h"

struct wisp_pg_input {
    struct wisp_str rest;
    struct wisp_arena *arena;
    size_t *budget; /* bytes that values may still take */
    int money_digits;
};

static inline int wisp_pg_refuse(struct wisp_err *err, const char *why)
{
    return wisp_err_set(err, WISP_ERR_INVALID, "%s", why);
}
static inline int wisp_pg_refuse_short(struct wisp_err *err)
{
    return wisp_pg_refuse(err, "it is shorter than it says");
}

/* Big-endian, `n` bytes. */
static inline int wisp_pg_get(struct wisp_pg_input *in, unsigned n, uint64_t *ret_value, struct wisp_err *err)
{
    if (in->rest.len < n) return wisp_pg_refuse_short(err);
    *ret_value = 0;
    for (unsigned i = 0; i < n; i++) *ret_value = *ret_value << 8 | (uint8_t)in->rest.ptr[i];
    in->rest = (struct wisp_str){in->rest.ptr + n, in->rest.len - n};
    return 0;
}

/* A signed number of elements, each of which takes `size_min` bytes. */
static inline int wisp_pg_get_count(struct wisp_pg_input *in, unsigned n, size_t size_min, size_t *ret_count,
                                    struct wisp_err *err)
{
    uint64_t count;
    if (wisp_pg_get(in, n, &count, err) < 0) return -WISP_ERR_INVALID;
    if (count > in->rest.len / size_min) return wisp_pg_refuse_short(err);
    *ret_count = (size_t)count;
    return 0;
}

static inline int wisp_pg_get_bytes(struct wisp_pg_input *in, size_t n, struct wisp_str *ret_bytes,
                                    struct wisp_err *err)
{
    if (in->rest.len < n) return wisp_pg_refuse_short(err);
    *ret_bytes = (struct wisp_str){in->rest.ptr, n};
    in->rest = (struct wisp_str){in->rest.ptr + n, in->rest.len - n};
    return 0;
}

static inline struct wisp_str wisp_pg_take_all(struct wisp_pg_input *in)
{
    struct wisp_str all = in->rest;
    in->rest = (struct wisp_str){all.ptr + all.len, 0};
    return all;
}

/* Zeroed memory for what was read; NULL when the result becomes too large. */
static inline void *wisp_pg_reserve(struct wisp_pg_input *in, size_t count, size_t size, struct wisp_err *err)
{
    if (count > *in->budget / size) {
        wisp_err_set(err, WISP_ERR_LIMIT, "the result is too large");
        return NULL;
    }
    *in->budget -= count * size;
    return wisp_arena_calloc(in->arena, count, size);
}

static inline int wisp_pg_charge(struct wisp_pg_input *in, size_t size, struct wisp_err *err)
{
    if (size > *in->budget) return wisp_err_set(err, WISP_ERR_LIMIT, "the result is too large");
    *in->budget -= size;
    return 0;
}

static inline int wisp_pg_keep_text(struct wisp_pg_input *in, struct wisp_str text, struct wisp_str *value,
                                    struct wisp_err *err)
{
    if (!wisp_str_is_utf8(text)) return wisp_pg_refuse(err, "it is a text that is no UTF-8");
    if (wisp_pg_charge(in, text.len, err) < 0) return -WISP_ERR_LIMIT;
    *value = wisp_arena_str(in->arena, text);
    return 0;
}

/* Up to a zero byte. */
static inline int wisp_pg_get_cstr(struct wisp_pg_input *in, struct wisp_str *ret_text, struct wisp_err *err)
{
    const char *end = in->rest.len ? memchr(in->rest.ptr, 0, in->rest.len) : NULL;
    if (!end) return wisp_pg_refuse_short(err);
    *ret_text = (struct wisp_str){in->rest.ptr, (size_t)(end - in->rest.ptr)};
    in->rest = (struct wisp_str){end + 1, in->rest.len - ret_text->len - 1};
    return 0;
}

static inline int wisp_pg_keep_bytes(struct wisp_pg_input *in, struct wisp_str bytes, struct wisp_bytes *value,
                                     struct wisp_err *err)
{
    if (wisp_pg_charge(in, bytes.len, err) < 0) return -WISP_ERR_LIMIT;
    bytes = wisp_arena_str(in->arena, bytes);
    *value = (struct wisp_bytes){(const uint8_t *)bytes.ptr, bytes.len};
    return 0;
}

/* Takes what it needs; what is left over is for the caller to complain about. */
#define WISP_PG_READ(name, type)                                                                                       \
    int wisp_pg_read_##name(struct wisp_pg_input *in, __typeof__(type) *value, struct wisp_err *err)
#define X(name, type, writer, reader)                                                                                  \
    int wisp_pg_read_##reader(struct wisp_pg_input *in, __typeof__(type) *value, struct wisp_err *err);
WISP_PG_FORMS(X)
#undef X
