/* SPDX-License-Identifier: Apache-2.0 */
#include "state/table.h"

#include <stdlib.h>

static void entry_free(struct wisp_state_entry *entry)
{
    wisp_buf_deinit(&entry->value);
    free(entry);
}

void wisp_state_table_deinit(struct wisp_state_table *table)
{
    for (struct wisp_state_entry *entry = table->first, *next; entry; entry = next) {
        next = entry->next;
        entry_free(entry);
    }
    free(table->slots);
    *table = (struct wisp_state_table){0};
}

static struct wisp_state_entry **slot_of(const struct wisp_state_table *table, enum wisp_state_bucket bucket,
                                         struct wisp_str key)
{
    return &table->slots[(wisp_str_hash(key) + (uint64_t)bucket) & (table->capacity - 1)];
}

struct wisp_state_entry *wisp_state_table_find(const struct wisp_state_table *table, enum wisp_state_bucket bucket,
                                               struct wisp_str key)
{
    if (!table->capacity) return NULL;
    struct wisp_state_entry *entry = *slot_of(table, bucket, key);
    while (entry && (entry->bucket != bucket || !wisp_str_equal(entry->key, key))) entry = entry->chain;
    return entry;
}

static void grow(struct wisp_state_table *table)
{
    free(table->slots);
    table->capacity = table->capacity ? table->capacity * 2 : 64;
    table->slots = wisp_mem_calloc(table->capacity, sizeof(struct wisp_state_entry *));
    for (struct wisp_state_entry *entry = table->first; entry; entry = entry->next) {
        struct wisp_state_entry **slot = slot_of(table, entry->bucket, entry->key);
        entry->chain = *slot;
        *slot = entry;
    }
}

static void append(struct wisp_state_table *table, struct wisp_state_entry *entry)
{
    entry->prev = table->last;
    entry->next = NULL;
    if (table->last)
        table->last->next = entry;
    else
        table->first = entry;
    table->last = entry;
}

static void unlink_entry(struct wisp_state_table *table, struct wisp_state_entry *entry)
{
    if (entry->prev)
        entry->prev->next = entry->next;
    else
        table->first = entry->next;
    if (entry->next)
        entry->next->prev = entry->prev;
    else
        table->last = entry->prev;
}

struct wisp_state_entry *wisp_state_table_add(struct wisp_state_table *table, enum wisp_state_bucket bucket,
                                              struct wisp_str key)
{
    struct wisp_state_entry *entry = wisp_state_table_find(table, bucket, key);
    if (entry) return entry;
    if (table->count >= WISP_STATE_KEYS_MAX) return NULL;
    if (table->count >= table->capacity) grow(table);
    entry = wisp_mem_calloc(1, sizeof *entry + key.len);
    memcpy(entry + 1, key.ptr, key.len);
    entry->key = (struct wisp_str){(const char *)(entry + 1), key.len};
    entry->bucket = bucket;
    struct wisp_state_entry **slot = slot_of(table, bucket, key);
    entry->chain = *slot;
    *slot = entry;
    append(table, entry);
    table->count++;
    return entry;
}

void wisp_state_table_touch(struct wisp_state_table *table, struct wisp_state_entry *entry)
{
    unlink_entry(table, entry);
    append(table, entry);
}

void wisp_state_table_remove(struct wisp_state_table *table, struct wisp_state_entry *entry)
{
    struct wisp_state_entry **at = slot_of(table, entry->bucket, entry->key);
    while (*at != entry) at = &(*at)->chain;
    *at = entry->chain;
    unlink_entry(table, entry);
    table->count--;
    entry_free(entry);
}
