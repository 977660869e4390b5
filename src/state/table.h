/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of both buckets, found by name and walked in the order of their last writes. */
#pragma once

#include "base/mem.h"
#include "state/state.h"

enum { WISP_STATE_KEYS_MAX = 1 << 20 };

struct wisp_state_write;

struct wisp_state_entry {
    struct wisp_state_entry *chain;
    struct wisp_state_entry *prev, *next; /* by time of the last touch */
    struct wisp_state_write *staged;      /* local: the last write of the batch that is being committed */
    struct wisp_str key;                  /* behind the struct */
    struct wisp_buf value;                /* local only */
    uint64_t revision;                    /* 0: not there (yet) */
    uint64_t digest;                      /* of the value that was told */
    uint32_t round;                       /* of loading, in which it was seen last */
    enum wisp_state_bucket bucket;
};

/* Zeroed is a valid empty table. One thread. */
struct wisp_state_table {
    struct wisp_state_entry **slots;
    size_t count, capacity;
    struct wisp_state_entry *first, *last;
};

void wisp_state_table_deinit(struct wisp_state_table *table);
struct wisp_state_entry *wisp_state_table_find(const struct wisp_state_table *table, enum wisp_state_bucket bucket,
                                               struct wisp_str key);
/* Found or made; NULL when there are WISP_STATE_KEYS_MAX. */
struct wisp_state_entry *wisp_state_table_add(struct wisp_state_table *table, enum wisp_state_bucket bucket,
                                              struct wisp_str key);
/* Becomes the last one. */
void wisp_state_table_touch(struct wisp_state_table *table, struct wisp_state_entry *entry);
void wisp_state_table_remove(struct wisp_state_table *table, struct wisp_state_entry *entry);
