/* SPDX-License-Identifier: Apache-2.0 */
#include "state/state_priv.h"

#include <stdlib.h>

struct wisp_state_deferred {
    struct wisp_state_deferred *next;
    wisp_state_on_written *on_written;
    void *env;
    uint64_t revision;
    struct wisp_err err;
};

bool wisp_state_key_is_valid(struct wisp_str key)
{
    if (!key.len || key.len > WISP_STATE_KEY_MAX || key.ptr[0] == '.' || key.ptr[key.len - 1] == '.') return false;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i], lower = (char)(c | 0x20);
        bool is_plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!is_plain && (!c || !strchr("-/_=.", c))) return false;
        if (c == '.' && key.ptr[i + 1] == '.') return false; /* no subject has an empty token */
    }
    return true;
}

static void on_turn(uv_idle_t *idle)
{
    struct wisp_state *state = idle->data;
    struct wisp_state_deferred *deferred = WISP_TAKE(state->deferred);
    state->deferred_end = &state->deferred;
    uv_idle_stop(idle);
    for (struct wisp_state_deferred *next; deferred; deferred = next) {
        next = deferred->next;
        wisp_state_tell_written(state, deferred->on_written, deferred->env, deferred->revision,
                                deferred->err.kind ? &deferred->err : NULL);
        free(deferred);
    }
    if (!state->is_closed && state->ops->on_turn) state->ops->on_turn(state);
}

int wisp_state_init(struct wisp_state *state, const struct wisp_state_ops *ops, uv_loop_t *loop,
                    struct wisp_bus_client *bus, const struct wisp_state_options *options, struct wisp_err *err)
{
    struct wisp_str lattice = wisp_str_from(options->lattice);
    if (lattice.len > 128 || !wisp_bus_subject_is_valid(lattice) || memchr(lattice.ptr, '.', lattice.len))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a name for a lattice: `%.*s`", WISP_STR_ARG(lattice));
    state->ops = ops;
    state->loop = loop;
    state->bus = bus;
    state->handler = options->handler;
    state->env = options->env;
    state->lattice = wisp_mem_dup(lattice);
    state->deferred_end = &state->deferred;
    state->n_open_handles = 1;
    uv_idle_init(loop, &state->turn);
    state->turn.data = state;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct wisp_state *state = handle->data;
    if (--state->n_open_handles) return;
    for (struct wisp_state_deferred *deferred; (deferred = state->deferred);) {
        state->deferred = deferred->next;
        free(deferred);
    }
    free(state->lattice);
    state->ops->free(state);
}

void wisp_state_close_handle(struct wisp_state *state, uv_handle_t *handle)
{
    assert(handle->data == state);
    (void)state;
    uv_close(handle, on_closed);
}

void wisp_state_abandon(struct wisp_state *state)
{
    state->is_closed = true;
    state->ops->stop(state);
    wisp_state_close_handle(state, (uv_handle_t *)&state->turn);
}

void wisp_state_close(struct wisp_state *state)
{
    if (state && !state->is_closed) wisp_state_abandon(state);
}

void wisp_state_wake(struct wisp_state *state)
{
    if (!state->is_closed) uv_idle_start(&state->turn, on_turn);
}

void wisp_state_defer(struct wisp_state *state, wisp_state_on_written *on_written, void *env, uint64_t revision,
                      const struct wisp_err *err)
{
    struct wisp_state_deferred *deferred = wisp_mem_calloc(1, sizeof *deferred);
    deferred->on_written = on_written;
    deferred->env = env;
    deferred->revision = revision;
    if (err) deferred->err = *err;
    *state->deferred_end = deferred;
    state->deferred_end = &deferred->next;
    wisp_state_wake(state);
}

void wisp_state_tell_change(struct wisp_state *state, enum wisp_state_bucket bucket, struct wisp_str key,
                            const struct wisp_str *value, uint64_t revision)
{
    if (!state->is_closed && state->handler.on_change)
        state->handler.on_change(bucket, key, value, revision, state->env);
}

void wisp_state_tell_loaded(struct wisp_state *state)
{
    if (!state->is_closed && state->handler.on_loaded) state->handler.on_loaded(state->env);
}

void wisp_state_tell_reachable(struct wisp_state *state, bool is_reachable, const struct wisp_err *reason)
{
    if (state->is_closed || (state->was_told && state->is_reachable == is_reachable)) return;
    state->was_told = true;
    state->is_reachable = is_reachable;
    if (state->handler.on_reachable) state->handler.on_reachable(is_reachable, reason, state->env);
}

void wisp_state_tell_written(struct wisp_state *state, wisp_state_on_written *on_written, void *env, uint64_t revision,
                             const struct wisp_err *err)
{
    if (!state->is_closed && on_written) on_written(err ? 0 : revision, err, env);
}

void wisp_state_write(struct wisp_state *state, enum wisp_state_bucket bucket, struct wisp_str key,
                      const struct wisp_str *value, int64_t expected, wisp_state_on_written *on_written, void *env)
{
    struct wisp_err err = {0};
    if ((unsigned)bucket >= WISP_STATE_BUCKET_COUNT || !wisp_state_key_is_valid(key))
        wisp_err_set(&err, WISP_ERR_INVALID, "not a key of the lattice's state: `%.*s`", WISP_STR_ARG(key));
    else if (value && value->len > WISP_STATE_VALUE_MAX)
        wisp_err_set(&err, WISP_ERR_LIMIT, "the value of `%.*s` has %zu bytes, more than %d", WISP_STR_ARG(key),
                     value->len, WISP_STATE_VALUE_MAX);
    if (err.kind)
        wisp_state_defer(state, on_written, env, 0, &err);
    else
        state->ops->write(state, bucket, key, value, expected, on_written, env);
}
