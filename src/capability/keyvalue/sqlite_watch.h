/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of a store's file for a link that watches them. SQLite says that somebody wrote, not what: then they are
 * compared with what they were. So a value that was replaced before that is told as the newer one, and one that was
 * written again as it was is not told. */
#pragma once

#include "capability/keyvalue/sqlite.h"
#include "capability/keyvalue/watch.h"

struct wisp_sqlite_watch;
/* `bucket` of the link's settings, or "default". UNSUPPORTED for a store in memory; INVALID for settings that can't be.
 */
int wisp_sqlite_watch_new(struct wisp_sqlite_watch **ret_watch, const struct wisp_provider_link *link,
                          const struct wisp_keyvalue_sqlite *store, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* NULL is fine. */
void wisp_sqlite_watch_free(struct wisp_sqlite_watch *watch);
