/* SPDX-License-Identifier: Apache-2.0 */
/* The lattice's replicated state: buckets of keys and values that every host watches.
 *
 *     backend     kept in                                 when
 *     local       SQLite file in the state directory      this process owns the embedded bus; it also serves the others
 *     remote      the owner's, over the bus               another process owns the embedded bus
 *     jetstream   KV buckets, named below                 a NATS server with JetStream
 *
 * Whoever opens a state gets everything there is, then `on_loaded`, then every change, its own included, in the order
 * of revisions of each key. When the connection was lost and is back, it gets what changed meanwhile (deletions too)
 * and `on_loaded` again. A value is what somebody accepted: writes are compare-and-swap, and a write that was
 * acknowledged is on disk. (Locally, one that leaves a value as it was need not be: after a crash the key may have the
 * revision of an earlier one, but no revision is given twice.)
 *
 * One loop, one thread; callbacks come from the loop only. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <uv.h>

struct wisp_bus_client;
struct wisp_state;

enum wisp_state_bucket {
    WISP_STATE_LATTICE,   /* LATTICEDATA_{lattice} */
    WISP_STATE_CONFIG,    /* CONFIGDATA_{lattice} */
    /* wadm_manifests, which all lattices share: a lattice sees, and may write, `{lattice}` and what begins with
     * `{lattice}-` or `wisp.{lattice}.` */
    WISP_STATE_MANIFESTS,
    WISP_STATE_BUCKET_COUNT
};

enum { WISP_STATE_VALUE_MAX = 1 << 20, WISP_STATE_KEY_MAX = 512 };

/* Keys match [-/_=.a-zA-Z0-9]+, neither begin nor end with a dot, and have no two of them in a row. */
bool wisp_state_key_is_valid(struct wisp_str key);

struct wisp_state_handler {
    /* `value` is NULL for a key that was deleted or purged. */
    void (*on_change)(enum wisp_state_bucket bucket, struct wisp_str key, const struct wisp_str *value,
                      uint64_t revision, void *env);
    /* All that was there has been told. */
    void (*on_loaded)(void *env);
    /* Reachable or not: in between, reads are old and writes fail with UNAVAILABLE. `reason` is NULL when reachable. */
    void (*on_reachable)(bool is_reachable, const struct wisp_err *reason, void *env);
};

struct wisp_state_options {
    const char *lattice;
    struct wisp_state_handler handler;
    void *env;
};

/* The file is `directory`/state.db; the directory is made (0700). Nobody else may have it open: EXISTS. A damaged file
 * is set aside (renamed, said in the log) and a new one begun: all of it can be rebuilt. With `bus`, serves the remote
 * backend of others. Disk full or read-only: the state goes on in memory for readers, writes fail with the cause. */
int wisp_state_open_local(struct wisp_state **ret_state, uv_loop_t *loop, const char *directory,
                          struct wisp_bus_client *bus, const struct wisp_state_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
int wisp_state_open_remote(struct wisp_state **ret_state, uv_loop_t *loop, struct wisp_bus_client *bus,
                           const struct wisp_state_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Makes the buckets when they are absent: now, and again if somebody removes them. `js_domain` may be NULL. */
int wisp_state_open_jetstream(struct wisp_state **ret_state, uv_loop_t *loop, struct wisp_bus_client *bus,
                              const char *js_domain, const struct wisp_state_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* No callback comes after it, also none of writes in progress. */
void wisp_state_close(struct wisp_state *state);

/* `err` is NULL on success; EXISTS when the revision was not the expected one, UNAVAILABLE and TIMEOUT when nobody
 * knows (it may have been written), LIMIT, OS (disk). */
typedef void wisp_state_on_written(uint64_t revision, const struct wisp_err *err, void *env);

enum { WISP_STATE_ANY_REVISION = -1 };
/* Writes when the key's last revision is `expected`: 0 for a key that is not there, WISP_STATE_ANY_REVISION for
 * whatever it is. `value` NULL deletes; a key that is not there is deleted
 * without a change. The callback always comes, once, unless the state is closed before. Values are also limited by what
 * the bus carries in one message, less 1 KiB. */
void wisp_state_write(struct wisp_state *state, enum wisp_state_bucket bucket, struct wisp_str key,
                      const struct wisp_str *value, int64_t expected, wisp_state_on_written *on_written, void *env);

/* Asks the bus whether somebody serves the remote backend for this lattice. */
void wisp_state_probe_remote(struct wisp_bus_client *bus, const char *lattice, uint64_t timeout_ms,
                             void (*on_answer)(bool is_there, void *env), void *env);
