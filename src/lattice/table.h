/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of things found by a name that strangers choose: keyed hashing, members removed at will, walked in the order
 * in which they came. Members hold their entry as first field. */
#pragma once

#include "base/mem.h"
#include "base/ring.h"
#include "base/str.h"

struct wisp_table_entry {
    struct wisp_link order; /* in the table's; out of any table: next is NULL */
    struct wisp_table_entry *next;
    uint64_t hash;
    struct wisp_str key; /* owned by the entry */
};

struct wisp_table {
    struct wisp_table_entry **buckets;
    size_t count, capacity;
    struct wisp_link order;
    uint8_t seed[16];
};

void wisp_table_init(struct wisp_table *table, uint64_t seed);
/* The members were removed before. */
void wisp_table_deinit(struct wisp_table *table);
/* NULL when absent. */
void *wisp_table_get(const struct wisp_table *table, struct wisp_str key);
/* The key is copied; it is not there yet. */
void wisp_table_add(struct wisp_table *table, struct wisp_str key, struct wisp_table_entry *entry);
/* An entry that is in no table is left alone. */
void wisp_table_remove(struct wisp_table *table, struct wisp_table_entry *entry);

/* The first in order, NULL when empty. */
static inline void *wisp_table_first(const struct wisp_table *table)
{
    return table->count ? WISP_OWNER(table->order.next, struct wisp_table_entry, order) : NULL;
}
/* The one after `member`, NULL at the end. */
static inline void *wisp_table_next(const struct wisp_table *table, const void *member)
{
    const struct wisp_table_entry *entry = member;
    return entry->order.next == &table->order ? NULL : WISP_OWNER(entry->order.next, struct wisp_table_entry, order);
}
