/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the state: parties, each with a bus connection and a state of its own, and what they were told. */
#pragma once

#include "bus/client_rig.h"
#include "state/state.h"
#include "state/table.h"

struct party {
    uv_loop_t *loop;
    struct told told;
    struct wisp_state *state;
    struct wisp_state_table seen; /* what on_change says is there */
    unsigned n_changes, n_deleted, n_loaded;
    bool is_reachable;
    unsigned n_unreachable;
    struct wisp_err reason;
};

static inline void party_on_change(enum wisp_state_bucket bucket, struct wisp_str key, const struct wisp_str *value,
                                   uint64_t revision, void *env)
{
    struct party *party = env;
    struct wisp_state_entry *entry = wisp_state_table_add(&party->seen, bucket, key);
    party->n_changes++;
    if (!value) {
        party->n_deleted++;
        wisp_state_table_remove(&party->seen, entry);
        return;
    }
    CHECK(revision > 0);
    entry->value.len = 0;
    entry->revision = revision;
    wisp_buf_append_str(&entry->value, *value);
}

static inline void party_on_loaded(void *env) { ((struct party *)env)->n_loaded++; }

static inline void party_on_reachable(bool is_reachable, const struct wisp_err *reason, void *env)
{
    struct party *party = env;
    CHECK(is_reachable || reason);
    party->is_reachable = is_reachable;
    if (!is_reachable) party->n_unreachable++;
    if (!is_reachable) party->reason = *reason;
}

static inline struct wisp_state_options party_options(struct party *party)
{
    return (struct wisp_state_options){
        .lattice = "test", .handler = {party_on_change, party_on_loaded, party_on_reachable}, .env = party};
}

static inline void party_connect(struct party *party, uv_loop_t *loop, const char *url)
{
    *party = (struct party){.loop = loop};
    connect_with(&party->told, loop,
                 (struct wisp_bus_client_options){.urls = &url, .n_urls = 1, .reconnect_wait_ms = 20});
    AWAIT(loop, party->told.n_connected);
}

static inline void party_leave(struct party *party)
{
    wisp_state_close(WISP_TAKE(party->state));
    wisp_bus_client_free(WISP_TAKE(party->told.client));
    wisp_state_table_deinit(&party->seen);
}

/* The value that was seen; a literal "(none)" for none. */
static inline struct wisp_str party_value(const struct party *party, enum wisp_state_bucket bucket, const char *key)
{
    const struct wisp_state_entry *entry = wisp_state_table_find(&party->seen, bucket, wisp_str_from(key));
    return entry ? wisp_buf_str(&entry->value) : WISP_STR("(none)");
}

static inline bool party_sees(const struct party *party, const char *key, const char *value)
{
    return wisp_str_is(party_value(party, WISP_STATE_LATTICE, key), value);
}

struct written {
    unsigned n;
    uint64_t revision;
    struct wisp_err err;
};

static inline void on_written(uint64_t revision, const struct wisp_err *err, void *env)
{
    struct written *written = env;
    written->n++;
    written->revision = revision;
    written->err = err ? *err : (struct wisp_err){0};
}

/* Writes and waits for the answer: the revision, or the kind of the error, negative. `value` NULL deletes. */
static inline int64_t party_write(struct party *party, const char *key, const char *value, int64_t expected)
{
    struct written written = {0};
    struct wisp_str text = wisp_str_from(value);
    wisp_state_write(party->state, WISP_STATE_LATTICE, wisp_str_from(key), value ? &text : NULL, expected, on_written,
                     &written);
    CHECK_INT(written.n, 0); /* from the loop only */
    AWAIT(party->loop, written.n);
    return written.err.kind ? -(int64_t)written.err.kind : (int64_t)written.revision;
}
