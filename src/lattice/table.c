/* SPDX-License-Identifier: Apache-2.0 */
#include "lattice/table.h"

#include "base/mem.h"

#include <sodium.h>
#include <stdlib.h>

static_assert(sizeof((struct wisp_table){0}.seed) == crypto_shorthash_KEYBYTES, "the hash's key");
static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "the hash's result");

void wisp_table_init(struct wisp_table *table, uint64_t seed)
{
    *table = (struct wisp_table){0};
    memcpy(table->seed, &seed, sizeof seed);
    wisp_ring_init(&table->order);
}

void wisp_table_deinit(struct wisp_table *table)
{
    assert(table->count == 0);
    free(table->buckets);
    *table = (struct wisp_table){0};
}

static uint64_t hash_key(const struct wisp_table *table, struct wisp_str key)
{
    uint64_t hash;
    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)(key.len ? key.ptr : ""), key.len, table->seed);
    return hash;
}

void *wisp_table_get(const struct wisp_table *table, struct wisp_str key)
{
    if (!table->count) return NULL;
    uint64_t hash = hash_key(table, key);
    struct wisp_table_entry *entry = table->buckets[hash & (table->capacity - 1)];
    while (entry && (entry->hash != hash || !wisp_str_equal(entry->key, key))) entry = entry->next;
    return entry;
}

static void put_in_bucket(struct wisp_table *table, struct wisp_table_entry *entry)
{
    struct wisp_table_entry **bucket = &table->buckets[entry->hash & (table->capacity - 1)];
    entry->next = *bucket;
    *bucket = entry;
}

static void grow(struct wisp_table *table)
{
    free(table->buckets);
    table->capacity = table->capacity ? table->capacity * 2 : 16;
    table->buckets = wisp_mem_calloc(table->capacity, sizeof(struct wisp_table_entry *));
    WISP_RING_EACH(at, &table->order) put_in_bucket(table, WISP_OWNER(at, struct wisp_table_entry, order));
}

void wisp_table_add(struct wisp_table *table, struct wisp_str key, struct wisp_table_entry *entry)
{
    assert(!entry->order.next);
    if (table->count >= table->capacity) grow(table);
    entry->hash = hash_key(table, key);
    entry->key = (struct wisp_str){wisp_mem_dup(key), key.len};
    put_in_bucket(table, entry);
    wisp_ring_append(&table->order, &entry->order);
    table->count++;
}

void wisp_table_remove(struct wisp_table *table, struct wisp_table_entry *entry)
{
    if (!entry->order.next) return;
    struct wisp_table_entry **at = &table->buckets[entry->hash & (table->capacity - 1)];
    while (*at != entry) at = &(*at)->next;
    *at = entry->next;
    wisp_ring_remove(&entry->order);
    char *key;
    memcpy(&key, &entry->key.ptr, sizeof key);
    free(key);
    entry->key = (struct wisp_str){0};
    table->count--;
}
