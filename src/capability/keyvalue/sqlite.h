/* SPDX-License-Identifier: Apache-2.0 */
/* A store in an SQLite file, for the kinds that keep one. Several processes may have the same file open: each operation
 * is one transaction, increments included.
 *
 * Cursors of list-keys are row numbers: a key keeps its row as long as it exists, and new ones get higher numbers, so
 * that a key that is there from the first page to the last is listed exactly once. */
#pragma once

#include "capability/keyvalue/keyvalue.h"

struct wisp_keyvalue_sqlite;

/* `path` NULL: in memory, for this process alone. */
int wisp_keyvalue_sqlite_open(struct wisp_keyvalue_sqlite **ret_store, uv_loop_t *loop, const char *path,
                              struct wisp_err *err) __attribute__((warn_unused_result));
/* `file` in provider->data_path, or in memory, which is said in the log. */
int wisp_keyvalue_sqlite_open_default(struct wisp_keyvalue_sqlite **ret_store, const struct wisp_provider *provider,
                                      const char *file, struct wisp_err *err) __attribute__((warn_unused_result));
/* Where its file is; NULL: in memory. */
const char *wisp_keyvalue_sqlite_path(const struct wisp_keyvalue_sqlite *store);
/* There are no calls. Its handles close in the loop's next turns. NULL is fine. */
void wisp_keyvalue_sqlite_close(struct wisp_keyvalue_sqlite *store);
/* Ends the call, at once unless another process is writing just now. */
void wisp_keyvalue_sqlite_run(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call,
                              enum wisp_keyvalue_verb verb, const void *args);
