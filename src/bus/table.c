/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/table.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 64 };

void wisp_bus_table_deinit(struct wisp_bus_table *table)
{
    free(table->buckets);
    *table = (struct wisp_bus_table){0};
}

static void insert(struct wisp_bus_table *table, struct wisp_bus_entry *entry)
{
    struct wisp_bus_entry **bucket = &table->buckets[entry->hash & (table->capacity - 1)];
    entry->next = *bucket;
    *bucket = entry;
}

static void resize(struct wisp_bus_table *table, size_t capacity)
{
    struct wisp_bus_table old = *table;
    table->buckets = wisp_mem_calloc(capacity, sizeof(struct wisp_bus_entry *));
    table->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        for (struct wisp_bus_entry *entry = old.buckets[i], *next; entry; entry = next) {
            next = entry->next;
            insert(table, entry);
        }
    }
    free(old.buckets);
}

void wisp_bus_table_add(struct wisp_bus_table *table, struct wisp_bus_entry *entry)
{
    if (table->count == table->capacity) resize(table, table->capacity ? table->capacity * 2 : CAPACITY_MIN);
    insert(table, entry);
    table->count++;
}

void wisp_bus_table_remove(struct wisp_bus_table *table, struct wisp_bus_entry *entry)
{
    struct wisp_bus_entry **at = &table->buckets[entry->hash & (table->capacity - 1)];
    while (*at != entry) at = &(*at)->next;
    *at = entry->next;
    table->count--;
    if (table->capacity > CAPACITY_MIN && table->count < table->capacity / 8) resize(table, table->capacity / 2);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t wisp_bus_hash(uint64_t secret, uint64_t owner, struct wisp_str key)
{
    const uint64_t odd_a = 0xa0761d6478bd642fU, odd_b = 0xe7037ed1a0b428dbU;
    uint64_t hash = mix(secret ^ odd_a, owner ^ odd_b ^ key.len), word;
    const char *at = key.ptr;
    size_t left = key.len;
    for (; left >= sizeof word; left -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = mix(hash ^ word, odd_a ^ secret);
    }
    word = 0;
    if (left > 0) memcpy(&word, at, left);
    return mix(hash ^ word, odd_b ^ secret);
}
