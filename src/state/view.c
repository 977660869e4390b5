/* SPDX-License-Identifier: Apache-2.0 */
#include "state/state_priv.h"

void wisp_state_view_begin(struct wisp_state_view *view, enum wisp_state_bucket bucket)
{
    view->round[bucket]++;
    view->is_loading[bucket] = true;
}

static void drop(struct wisp_state_view *view, struct wisp_state_entry *entry, uint64_t revision)
{
    /* The key lives in the entry. */
    WISP_CLEANUP_FREE char *key = wisp_mem_dup(entry->key);
    struct wisp_str text = {key, entry->key.len};
    enum wisp_state_bucket bucket = entry->bucket;
    wisp_state_table_remove(&view->table, entry);
    wisp_state_tell_change(view->state, bucket, text, NULL, revision);
}

void wisp_state_view_end(struct wisp_state_view *view, enum wisp_state_bucket bucket)
{
    view->is_loading[bucket] = false;
    for (struct wisp_state_entry *entry = view->table.first, *next; entry; entry = next) {
        next = entry->next;
        if (entry->bucket == bucket && entry->round != view->round[bucket]) drop(view, entry, entry->revision);
    }
}

int wisp_state_view_put(struct wisp_state_view *view, enum wisp_state_bucket bucket, struct wisp_str key,
                        struct wisp_str value, uint64_t revision, struct wisp_err *err)
{
    struct wisp_state_entry *entry = wisp_state_table_add(&view->table, bucket, key);
    if (!entry) return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d keys", WISP_STATE_KEYS_MAX);
    bool is_confirmed = entry->round == view->round[bucket];
    /* A bucket that was made anew counts from the beginning, so an older round says nothing about the order, and the
     * same revision may be another value. */
    if (is_confirmed && revision <= entry->revision) return 0;
    uint64_t digest = wisp_str_hash(value);
    bool is_told = revision == entry->revision && digest == entry->digest;
    entry->round = view->round[bucket];
    entry->revision = revision;
    entry->digest = digest;
    if (!is_told) wisp_state_tell_change(view->state, bucket, entry->key, &value, revision);
    return 0;
}

void wisp_state_view_delete(struct wisp_state_view *view, enum wisp_state_bucket bucket, struct wisp_str key,
                            uint64_t revision)
{
    struct wisp_state_entry *entry = wisp_state_table_find(&view->table, bucket, key);
    bool is_old = entry && entry->round == view->round[bucket] && revision <= entry->revision;
    if (entry && !is_old) drop(view, entry, revision);
}
