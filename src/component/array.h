/* SPDX-License-Identifier: Apache-2.0 */
/* Growing arrays in an arena. */
#pragma once

#include "base/arena.h"

/* Room for one more item after `n`: the same array, or a copy with twice the capacity whose rest is zero. */
static inline void *wisp_array_grow(struct wisp_arena *arena, void *items, uint32_t n, uint32_t *capacity,
                                    size_t item_size)
{
    if (n < *capacity) return items;
    *capacity = *capacity ? *capacity * 2 : 8;
    void *bigger = wisp_arena_calloc(arena, *capacity, item_size);
    if (n) memcpy(bigger, items, n * item_size);
    return bigger;
}

/* WISP_PUSH(arena, list, n, capacity) gives a pointer to a new, zeroed item at the end. */
#define WISP_PUSH(arena, items, n, capacity)                                                                           \
    ((items) = wisp_array_grow((arena), (items), (n), &(capacity), sizeof *(items)), &(items)[(n)++])
