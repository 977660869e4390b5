/* SPDX-License-Identifier: Apache-2.0 */
/* What the backends share: the table of `state.h`'s calls, results that are told later, and the view of what was told.
 */
#pragma once

#include "base/mem.h"
#include "bus/client.h"
#include "state/state.h"
#include "state/table.h"

struct wisp_state_ops {
    /* Arguments are checked. Takes nothing over. */
    void (*write)(struct wisp_state *state, enum wisp_state_bucket bucket, struct wisp_str key,
                  const struct wisp_str *value, int64_t expected, wisp_state_on_written *on_written, void *env);
    /* In the loop, once after wisp_state_wake. May be NULL. */
    void (*on_turn)(struct wisp_state *state);
    /* Stops all that could call back and closes the backend's handles by wisp_state_close_handle. */
    void (*stop)(struct wisp_state *state);
    /* Everything is closed; frees what the backend has. */
    void (*free)(struct wisp_state *state);
};

struct wisp_state_deferred;

/* First member of each backend's struct. */
struct wisp_state {
    const struct wisp_state_ops *ops;
    uv_loop_t *loop;
    struct wisp_bus_client *bus; /* NULL: a local state that serves nobody */
    struct wisp_state_handler handler;
    void *env;
    char *lattice;
    uv_idle_t turn;
    unsigned n_open_handles; /* those whose close callback is still to come; the last one frees */
    bool is_closed;
    bool is_reachable, was_told; /* what on_reachable said last, if anything */
    struct wisp_state_deferred *deferred, **deferred_end;
};

/* INVALID for a lattice's name that is no token. */
int wisp_state_init(struct wisp_state *state, const struct wisp_state_ops *ops, uv_loop_t *loop,
                    struct wisp_bus_client *bus, const struct wisp_state_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Of one that was never given out. */
void wisp_state_abandon(struct wisp_state *state);
void wisp_state_close_handle(struct wisp_state *state, uv_handle_t *handle);
void wisp_state_wake(struct wisp_state *state);
/* The result of a write, told in the loop's next turn. */
void wisp_state_defer(struct wisp_state *state, wisp_state_on_written *on_written, void *env, uint64_t revision,
                      const struct wisp_err *err);

/* These do nothing once the state is closed. */
void wisp_state_tell_change(struct wisp_state *state, enum wisp_state_bucket bucket, struct wisp_str key,
                            const struct wisp_str *value, uint64_t revision);
void wisp_state_tell_loaded(struct wisp_state *state);
/* Only when it is news. */
void wisp_state_tell_reachable(struct wisp_state *state, bool is_reachable, const struct wisp_err *reason);
void wisp_state_tell_written(struct wisp_state *state, wisp_state_on_written *on_written, void *env, uint64_t revision,
                             const struct wisp_err *err);

/* --- what a backend that keeps no values has told --- */

struct wisp_state_view {
    struct wisp_state *state;
    struct wisp_state_table table;
    uint32_t round[WISP_STATE_BUCKET_COUNT];
    bool is_loading[WISP_STATE_BUCKET_COUNT];
};

/* All that is there is going to come. */
void wisp_state_view_begin(struct wisp_state_view *view, enum wisp_state_bucket bucket);
/* It has come: what did not is gone, and is told so. */
void wisp_state_view_end(struct wisp_state_view *view, enum wisp_state_bucket bucket);
/* LIMIT when there are too many keys. */
int wisp_state_view_put(struct wisp_state_view *view, enum wisp_state_bucket bucket, struct wisp_str key,
                        struct wisp_str value, uint64_t revision, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_state_view_delete(struct wisp_state_view *view, enum wisp_state_bucket bucket, struct wisp_str key,
                            uint64_t revision);
