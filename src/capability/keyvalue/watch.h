/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of keys on their way to a component that exports wasi:keyvalue/watcher: links with the provider as source and
 * the interface `watcher`. On the wire it is wrpc:keyvalue/watcher@0.2.0-draft. */
#pragma once

#include "base/ring.h"
#include "capability/keyvalue/keyvalue.h"

enum {
    WISP_KEYVALUE_WATCH_KEYS_MAX = 1000, /* of a link */
};

extern const struct wisp_provider_interface wisp_keyvalue_watcher; /* what providers call */
struct wisp_keyvalue_on_set_args {
    struct wisp_str bucket, key;
    struct wisp_bytes value;
};
struct wisp_keyvalue_on_delete_args {
    struct wisp_str bucket, key;
};
enum { WISP_KEYVALUE_ON_SET, WISP_KEYVALUE_ON_DELETE };
extern const struct wisp_provider_func wisp_keyvalue_watcher_funcs[];

/* The setting `watch`: a comma list of SET@KEY and DEL@KEY. */
struct wisp_keyvalue_watched {
    struct wisp_str key;
    bool on_set, on_delete;
};
/* Each key once. INVALID for entries that are none, or none at all. */
int wisp_keyvalue_watch_read(struct wisp_str setting, struct wisp_arena *arena,
                             const struct wisp_keyvalue_watched **ret_keys, size_t *ret_n, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* Calls the link's component, one change at a time in the order in which they began. When too many wait, new ones are
 * dropped, counted and logged. */
struct wisp_keyvalue_watch;
int wisp_keyvalue_watch_new(struct wisp_keyvalue_watch **ret_watch, const struct wisp_provider_link *link,
                            struct wisp_str bucket, struct wisp_err *err) __attribute__((warn_unused_result));
/* Gives up what is on its way. NULL is fine. */
void wisp_keyvalue_watch_free(struct wisp_keyvalue_watch *watch);
/* Valid for its life. */
const struct wisp_keyvalue_watched *wisp_keyvalue_watch_keys(const struct wisp_keyvalue_watch *watch, size_t *ret_n);

/* The key is gone; or it has a new value, which wisp_keyvalue_change_end tells. NULL: nobody wants to know, or too many
 * wait. */
void wisp_keyvalue_watch_deleted(struct wisp_keyvalue_watch *watch, struct wisp_str key);
struct wisp_keyvalue_change *wisp_keyvalue_watch_set(struct wisp_keyvalue_watch *watch, struct wisp_str key);
/* `ptr` NULL: there is none (any more). */
void wisp_keyvalue_change_end(struct wisp_keyvalue_change *change, struct wisp_bytes value);
