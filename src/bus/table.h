/* SPDX-License-Identifier: Apache-2.0 */
/* Hash table of entries that its user embeds in what it stores, with keys that peers choose: hashes depend on a secret.
 * Zeroed is a valid empty table. */
#pragma once

#include "base/mem.h"
#include "base/ring.h"
#include "base/str.h"

struct wisp_bus_entry {
    struct wisp_bus_entry *next; /* in the same bucket */
    uint64_t hash;
};

struct wisp_bus_table {
    struct wisp_bus_entry **buckets;
    size_t count, capacity; /* capacity: 0 or a power of two */
};

/* Frees the table, not the entries. */
void wisp_bus_table_deinit(struct wisp_bus_table *table);
/* entry->hash is set. Does not look whether it is there. */
void wisp_bus_table_add(struct wisp_bus_table *table, struct wisp_bus_entry *entry);
void wisp_bus_table_remove(struct wisp_bus_table *table, struct wisp_bus_entry *entry);

/* The first entry with that hash, and the one after an entry with the same hash; NULL when there is none. The user
 * compares keys. */
static inline struct wisp_bus_entry *wisp_bus_entry_skip(struct wisp_bus_entry *entry, uint64_t hash)
{
    while (entry && entry->hash != hash) entry = entry->next;
    return entry;
}
static inline struct wisp_bus_entry *wisp_bus_table_first(const struct wisp_bus_table *table, uint64_t hash)
{
    if (!table->capacity) return NULL;
    return wisp_bus_entry_skip(table->buckets[hash & (table->capacity - 1)], hash);
}
static inline struct wisp_bus_entry *wisp_bus_entry_next(const struct wisp_bus_entry *entry)
{
    return wisp_bus_entry_skip(entry->next, entry->hash);
}

/* Hash of a key that belongs to `owner`. */
uint64_t wisp_bus_hash(uint64_t secret, uint64_t owner, struct wisp_str key);
