/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/mem.h"

#include <stdlib.h>

void wisp_map_deinit(struct wisp_map *map)
{
    free(map->slots);
    *map = (struct wisp_map){0};
}

static struct wisp_map_slot *find(const struct wisp_map *map, struct wisp_str key)
{
    size_t mask = map->capacity - 1;
    for (size_t i = (size_t)wisp_str_hash(key) & mask;; i = (i + 1) & mask) {
        struct wisp_map_slot *slot = &map->slots[i];
        if (!slot->value || wisp_str_equal(slot->key, key)) return slot;
    }
}

void *wisp_map_get(const struct wisp_map *map, struct wisp_str key)
{
    return map->capacity ? find(map, key)->value : NULL;
}

static void grow(struct wisp_map *map)
{
    struct wisp_map bigger = {.capacity = map->capacity ? map->capacity * 2 : 16, .count = map->count};
    bigger.slots = wisp_mem_calloc(bigger.capacity, sizeof *bigger.slots);
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].value) *find(&bigger, map->slots[i].key) = map->slots[i];
    free(map->slots);
    *map = bigger;
}

bool wisp_map_add(struct wisp_map *map, struct wisp_str key, void *value)
{
    assert(value);
    if (map->count * 2 >= map->capacity) grow(map);
    struct wisp_map_slot *slot = find(map, key);
    if (slot->value) return false;
    *slot = (struct wisp_map_slot){key, value};
    map->count++;
    return true;
}

/* What follows in the same run of slots may belong further up: moved back, so that no run has a gap. */
void *wisp_map_remove(struct wisp_map *map, struct wisp_str key)
{
    struct wisp_map_slot *slot = map->capacity ? find(map, key) : NULL;
    if (!slot || !slot->value) return NULL;
    void *value = slot->value;
    size_t mask = map->capacity - 1, hole = (size_t)(slot - map->slots);
    for (size_t i = (hole + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
        size_t home = (size_t)wisp_str_hash(map->slots[i].key) & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        map->slots[hole] = map->slots[i];
        hole = i;
    }
    map->slots[hole] = (struct wisp_map_slot){0};
    map->count--;
    return value;
}
