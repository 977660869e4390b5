/* SPDX-License-Identifier: Apache-2.0 */
/* Map from byte strings to pointers. Keys are borrowed: they must outlive the map. Not for hostile keys without a
 * limit on their number. One thread. */
#pragma once

#include "base/str.h"

struct wisp_map_slot {
    struct wisp_str key;
    void *value; /* NULL: empty slot */
};

/* Zeroed is a valid empty map. */
struct wisp_map {
    struct wisp_map_slot *slots;
    size_t count, capacity; /* capacity: 0 or a power of two */
};

void wisp_map_deinit(struct wisp_map *map);
#define WISP_CLEANUP_MAP __attribute__((cleanup(wisp_map_deinit)))
/* NULL when absent. */
void *wisp_map_get(const struct wisp_map *map, struct wisp_str key);
/* `value` is not NULL. False, and nothing changed, when the key is there already. */
bool wisp_map_add(struct wisp_map *map, struct wisp_str key, void *value);
/* Takes the key out; its value, or NULL when it wasn't there. */
void *wisp_map_remove(struct wisp_map *map, struct wisp_str key);
