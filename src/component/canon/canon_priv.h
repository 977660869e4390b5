/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by canon_lift.c, canon_lower.c and canon_string.c. */
#pragma once

#include "component/canon.h"

#include <assert.h>

/* Linear memory and union wisp_raw are little-endian, and are read and written as the machine's own integers. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian machines only");

/* Native list, for whatever element. */
struct wisp_canon_list {
    const void *ptr;
    size_t len;
};

/* Native values have types of the host's own; bytes are copied, so no rule of C about aliasing is broken. */
static inline void put_u32(void *native, uint32_t value) { memcpy(native, &value, sizeof value); }
static inline void put_pointer(void *native, void *value) { memcpy(native, &value, sizeof value); }

static inline uint32_t get_u32(const void *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline void *get_pointer(const void *native)
{
    void *value;
    memcpy(&value, native, sizeof value);
    return value;
}

/* An integer or float; by constant sizes, so that no call is made. */
static inline void copy_scalar(void *to, const void *from, uint32_t size)
{
    switch (size) {
    case 1:
        memcpy(to, from, 1);
        return;
    case 2:
        memcpy(to, from, 2);
        return;
    case 4:
        memcpy(to, from, 4);
        return;
    default:
        memcpy(to, from, 8);
        return;
    }
}

static inline uint32_t flags_mask(const struct wisp_type *type)
{
    return type->n_fields >= 32 ? UINT32_MAX : (1u << type->n_fields) - 1;
}

/* `pointer` is aligned and `size` bytes from it lie in memory; `what` is "string", "list", ... */
static inline bool in_memory(const struct wisp_canon *canon, uint32_t pointer, uint32_t align, uint64_t size)
{
    return (pointer & (align - 1)) == 0 && size <= canon->memory_size && pointer <= canon->memory_size - size;
}
/* Says which of the two in_memory found wrong: GUEST. */
int wisp_canon_refuse_range(struct wisp_canon *canon, const char *what, uint32_t pointer, uint32_t align,
                            uint64_t size);

/* Takes `size` from what this lift may take in and produce. */
static inline bool may_lift(struct wisp_canon *canon, uint64_t size)
{
    if (size > canon->lift_left) return false;
    canon->lift_left -= size;
    return true;
}
int wisp_canon_refuse_size(struct wisp_canon *canon);

/* The guest's realloc, its answer checked. */
int wisp_canon_alloc(struct wisp_canon *canon, uint32_t align, uint64_t size, uint32_t *ret_pointer)
    __attribute__((warn_unused_result));

/* `units` as the guest gave it: code units, with the tag bit of latin1+utf16. */
int wisp_canon_lift_string(struct wisp_canon *canon, uint32_t pointer, uint32_t units, struct wisp_str *ret_string)
    __attribute__((warn_unused_result));
int wisp_canon_lower_string(struct wisp_canon *canon, struct wisp_str string, uint32_t *ret_pointer,
                            uint32_t *ret_units) __attribute__((warn_unused_result));
