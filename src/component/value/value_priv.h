/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the textual forms of values. */
#pragma once

#include "component/types.h"

#include "base/mem.h"

/* A native list, of whatever element. */
struct value_list {
    void *ptr;
    size_t len;
};

/* The float itself, by the shortest decimal number that stands for it: 0.1, not 0.10000000149011612. */
double wisp_value_widen(float number);
/* The shortest decimal number that stands for a finite one. */
void wisp_value_print_number(struct wisp_buf *out, double number);

/* One code point; the number of bytes. */
size_t wisp_value_utf8(uint32_t c, char utf8[4]);

/* Position of the field, case or label; `guess` is tried first. UINT32_MAX when there is none. */
uint32_t wisp_value_field(const struct wisp_type *type, struct wisp_str name, uint32_t guess);

/* Writes an integer of this kind; false when it doesn't fit. */
bool wisp_value_put_integer(enum wisp_type_kind kind, bool is_negative, uint64_t magnitude, void *native);

/* Elements of a list until their number is known: `size` bytes of zeros more, or NULL when *left runs out. */
void *wisp_value_add(struct wisp_buf *elements, size_t size, size_t *left);
/* Moves them to the arena and writes the native list. */
void wisp_value_put_list(struct wisp_arena *arena, const struct wisp_buf *elements, size_t len, void *native);

int wisp_value_refuse_handle(struct wisp_err *err);
int wisp_value_refuse_size(struct wisp_err *err);
int wisp_value_refuse_case(const struct wisp_type *type, uint32_t tag, struct wisp_err *err);

static inline uint32_t value_u32(const void *native)
{
    uint32_t value;
    memcpy(&value, native, sizeof value);
    return value;
}

static inline bool value_is_option(const struct wisp_type *type) { return type && type->kind == WISP_TYPE_OPTION; }
