/* SPDX-License-Identifier: Apache-2.0 */
#include "state/local_priv.h"

#include <stdlib.h>
#include <sys/random.h>

/* --- the queue --- */

static struct wisp_state_write *write_new(const struct wisp_state_record *record, struct wisp_str reply)
{
    struct wisp_state_write *write =
        wisp_mem_calloc(1, sizeof *write + record->key.len + record->value.len + reply.len);
    char *at = (char *)(write + 1);
    struct wisp_str *to[] = {&write->key, &write->value, &write->reply};
    struct wisp_str from[] = {record->key, record->value, reply};
    for (size_t i = 0; i < WISP_COUNT(from); i++) {
        if (from[i].len) memcpy(at, from[i].ptr, from[i].len);
        *to[i] = (struct wisp_str){at, from[i].len};
        at += from[i].len;
    }
    write->bucket = record->bucket;
    write->has_value = record->has_value;
    return write;
}

static size_t write_size(const struct wisp_state_write *write) { return write->key.len + write->value.len; }

static size_t value_max(const struct wisp_state_local *local)
{
    size_t max = WISP_STATE_VALUE_MAX;
    if (!local->state.bus) return max;
    size_t payload_max = wisp_bus_client_payload_max(local->state.bus);
    if (payload_max < WISP_STATE_MESSAGE_OVERHEAD) return 0;
    return payload_max - WISP_STATE_MESSAGE_OVERHEAD < max ? payload_max - WISP_STATE_MESSAGE_OVERHEAD : max;
}

static int check_limits(const struct wisp_state_local *local, const struct wisp_state_record *record,
                        struct wisp_err *err)
{
    if (record->value.len > value_max(local))
        return wisp_err_set(err, WISP_ERR_LIMIT, "the value of `%.*s` has %zu bytes, more than the bus carries (%zu)",
                            WISP_STR_ARG(record->key), record->value.len, value_max(local));
    if (local->queue_count >= WISP_STATE_QUEUE_MAX ||
        local->queue_bytes + record->key.len + record->value.len > WISP_STATE_QUEUE_BYTES_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "%zu writes to the lattice's state wait already", local->queue_count);
    return 0;
}

void wisp_state_local_enqueue(struct wisp_state_local *local, const struct wisp_state_record *record, int64_t expected,
                              struct wisp_str reply, wisp_state_on_written *on_written, void *env)
{
    struct wisp_err err = {0};
    if (check_limits(local, record, &err) < 0) {
        if (on_written) wisp_state_defer(&local->state, on_written, env, 0, &err);
        wisp_state_service_answer(local, reply, 0, &err);
        return;
    }
    struct wisp_state_write *write = write_new(record, reply);
    write->expected = expected;
    write->on_written = on_written;
    write->env = env;
    *local->queue_end = write;
    local->queue_end = &write->next;
    local->queue_count++;
    local->queue_bytes += write_size(write);
    wisp_state_wake(&local->state);
}

static void local_write(struct wisp_state *state, enum wisp_state_bucket bucket, struct wisp_str key,
                        const struct wisp_str *value, int64_t expected, wisp_state_on_written *on_written, void *env)
{
    struct wisp_state_record record = {.bucket = bucket, .key = key, .has_value = value};
    if (value) record.value = *value;
    wisp_state_local_enqueue((struct wisp_state_local *)state, &record, expected, (struct wisp_str){0}, on_written,
                             env);
}

/* --- a batch --- */

/* What the key's revision will be when the batch's writes so far are done. */
static uint64_t revision_of(const struct wisp_state_entry *entry)
{
    if (!entry) return 0;
    if (!entry->staged) return entry->revision;
    return entry->staged->has_value ? entry->staged->revision : 0;
}

static bool reject(struct wisp_state_write *write, enum wisp_err_kind kind, const char *what)
{
    wisp_err_set(&write->err, kind, "`%.*s` %s", WISP_STR_ARG(write->key), what);
    return false;
}

/* Compare and swap. True when the write has something to write: then entry and revision are set. */
static bool stage(struct wisp_state_local *local, struct wisp_state_write *write, uint64_t *revision)
{
    struct wisp_state_entry *entry = wisp_state_table_find(&local->table, write->bucket, write->key);
    uint64_t now = revision_of(entry);
    if (write->expected != WISP_STATE_ANY_REVISION && (uint64_t)write->expected != now)
        return reject(write, WISP_ERR_EXISTS, "was changed by somebody else");
    if (!write->has_value && !now) {
        write->revision = *revision;
        return false;
    }
    if (write->has_value && local->bytes + write_size(write) > WISP_STATE_BYTES_MAX)
        return reject(write, WISP_ERR_LIMIT, "has no room in the lattice's state");
    if (!entry) entry = wisp_state_table_add(&local->table, write->bucket, write->key);
    if (!entry) return reject(write, WISP_ERR_LIMIT, "is one key too many");
    write->is_renewal =
        write->has_value && now && !entry->staged && wisp_str_equal(wisp_buf_str(&entry->value), write->value);
    write->entry = entry;
    write->revision = ++*revision;
    entry->staged = write;
    return true;
}

/* True: the file has to know. What has the same value as before is new only by its revision, and that may be lost, as
 * long as it can't be given a second time. So who says every second that he is there, costs no disk. */
static bool stage_all(struct wisp_state_local *local, struct wisp_state_write *batch, uint64_t *revision)
{
    bool is_news = false;
    for (struct wisp_state_write *write = batch; write; write = write->next)
        is_news |= stage(local, write, revision) && !write->is_renewal;
    return is_news || *revision > local->revision_kept;
}

static int put_all(struct wisp_state_local *local, struct wisp_state_write *batch, struct wisp_err *err)
{
    for (struct wisp_state_write *write = batch; write; write = write->next) {
        if (!write->entry) continue;
        int r = wisp_state_file_put(&local->file, write->bucket, write->key, write->has_value ? &write->value : NULL,
                                    write->revision, err);
        if (r < 0) return r;
    }
    return 0;
}

/* Revisions for renewals to come, so that the count does not go back when they are lost. */
static int keep_revisions(struct wisp_state_local *local, uint64_t revision, struct wisp_err *err)
{
    if (revision <= local->revision_kept) return 0;
    return wisp_state_file_keep_revision(&local->file, revision + WISP_STATE_RENEWALS_MAX, err);
}

static bool has_renewals(const struct wisp_state_write *batch)
{
    for (; batch; batch = batch->next)
        if (batch->is_renewal) return true;
    return false;
}

static int commit(struct wisp_state_local *local, struct wisp_state_write *batch, uint64_t *revision,
                  struct wisp_err *err)
{
    if (!stage_all(local, batch, revision)) return 0;
    uint64_t kept = local->revision_kept > local->revision ? local->revision_kept : local->revision;
    bool keeps = has_renewals(batch);
    int r = wisp_state_file_begin(&local->file, &local->table, kept, err);
    if (r == 0) r = put_all(local, batch, err);
    if (r == 0 && keeps) r = keep_revisions(local, *revision, err);
    if (r < 0) {
        wisp_state_file_rollback(&local->file);
        return r;
    }
    r = wisp_state_file_commit(&local->file, err);
    if (r == 0 && *revision > local->revision_kept)
        local->revision_kept = *revision + (keeps ? WISP_STATE_RENEWALS_MAX : 0);
    return r;
}

/* The file failed: nothing of it has happened. */
static void undo(struct wisp_state_local *local, struct wisp_state_write *batch, const struct wisp_err *err)
{
    for (struct wisp_state_write *write = batch; write; write = write->next) {
        struct wisp_state_entry *entry = WISP_TAKE(write->entry);
        if (!write->err.kind) write->err = *err;
        if (!entry || entry->staged != write) continue; /* the last one of an entry looks after it */
        entry->staged = NULL;
        if (!entry->revision) wisp_state_table_remove(&local->table, entry);
    }
}

static void set_value(struct wisp_state_local *local, struct wisp_state_entry *entry, struct wisp_str value,
                      uint64_t revision)
{
    local->bytes += (entry->revision ? 0 : entry->key.len) + value.len;
    local->bytes -= entry->value.len;
    if (entry->value.capacity > value.len * 2 + 256) wisp_buf_deinit(&entry->value);
    entry->value.len = 0;
    wisp_buf_append_str(&entry->value, value);
    entry->revision = revision;
    wisp_state_table_touch(&local->table, entry);
}

static void apply(struct wisp_state_local *local, struct wisp_state_write *write)
{
    struct wisp_state_entry *entry = WISP_TAKE(write->entry);
    bool is_last = entry->staged == write;
    if (is_last) entry->staged = NULL;
    local->revision = write->revision;
    if (write->has_value) {
        set_value(local, entry, write->value, write->revision);
    } else {
        local->bytes -= entry->key.len + entry->value.len;
        entry->value.len = 0;
        entry->revision = 0;
        if (is_last) wisp_state_table_remove(&local->table, entry);
    }
    struct wisp_state_record record = {write->bucket, write->key, write->value, write->has_value, write->revision};
    wisp_state_service_publish(local, &record);
    wisp_state_tell_change(&local->state, write->bucket, write->key, write->has_value ? &write->value : NULL,
                           write->revision);
}

static void finish(struct wisp_state_local *local, struct wisp_state_write *batch)
{
    for (struct wisp_state_write *write = batch, *next; write; write = next) {
        const struct wisp_err *err = write->err.kind ? &write->err : NULL;
        next = write->next;
        if (write->entry) apply(local, write);
        wisp_state_service_answer(local, write->reply, write->revision, err);
        wisp_state_tell_written(&local->state, write->on_written, write->env, write->revision, err);
        free(write);
    }
}

static void commit_queue(struct wisp_state_local *local)
{
    struct wisp_state_write *batch = WISP_TAKE(local->queue);
    struct wisp_err err = {0};
    uint64_t revision = local->revision;
    if (!batch) return;
    local->queue_end = &local->queue;
    local->queue_count = local->queue_bytes = 0;
    if (commit(local, batch, &revision, &err) < 0) undo(local, batch, &err);
    finish(local, batch);
}

/* --- life --- */

static void tell_all(struct wisp_state_local *local)
{
    local->is_loaded = true;
    wisp_state_tell_reachable(&local->state, true, NULL);
    for (struct wisp_state_entry *entry = local->table.first; entry; entry = entry->next) {
        struct wisp_str value = wisp_buf_str(&entry->value);
        wisp_state_tell_change(&local->state, entry->bucket, entry->key, &value, entry->revision);
    }
    wisp_state_tell_loaded(&local->state);
}

static void local_on_turn(struct wisp_state *state)
{
    struct wisp_state_local *local = (struct wisp_state_local *)state;
    if (!local->is_loaded) tell_all(local);
    if (!state->is_closed) commit_queue(local);
}

static void local_stop(struct wisp_state *state)
{
    struct wisp_state_local *local = (struct wisp_state_local *)state;
    wisp_state_service_stop(local);
    wisp_state_file_close(&local->file);
}

static void local_free(struct wisp_state *state)
{
    struct wisp_state_local *local = (struct wisp_state_local *)state;
    for (struct wisp_state_write *write; (write = local->queue);) {
        local->queue = write->next;
        free(write);
    }
    wisp_buf_deinit(&local->service.page);
    wisp_state_table_deinit(&local->table);
    free(local);
}

static const struct wisp_state_ops ops = {local_write, local_on_turn, local_stop, local_free};

static void make_owner(char owner[WISP_STATE_OWNER_LEN + 1])
{
    uint8_t bytes[WISP_STATE_OWNER_LEN];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) abort();
    for (int i = 0; i < WISP_STATE_OWNER_LEN; i++) owner[i] = "0123456789abcdefghijklmnopqrstuv"[bytes[i] % 32];
    owner[WISP_STATE_OWNER_LEN] = '\0';
}

static void count_bytes(struct wisp_state_local *local)
{
    for (struct wisp_state_entry *entry = local->table.first; entry; entry = entry->next)
        local->bytes += entry->key.len + entry->value.len;
}

int wisp_state_open_local(struct wisp_state **ret_state, uv_loop_t *loop, const char *directory,
                          struct wisp_bus_client *bus, const struct wisp_state_options *options, struct wisp_err *err)
{
    struct wisp_state_local *local = wisp_mem_calloc(1, sizeof *local);
    local->queue_end = &local->queue;
    local->file.lock_fd = -1;
    make_owner(local->owner);
    int r = wisp_state_init(&local->state, &ops, loop, bus, options, err);
    if (r < 0) {
        free(local);
        return r;
    }
    r = wisp_state_file_open(&local->file, directory, &local->table, &local->revision, err);
    if (r == 0 && bus) r = wisp_state_service_start(local, err);
    if (r < 0) {
        wisp_state_abandon(&local->state);
        return r;
    }
    local->revision_kept = local->revision;
    count_bytes(local);
    wisp_state_wake(&local->state);
    *ret_state = &local->state;
    return 0;
}
