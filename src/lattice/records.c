/* SPDX-License-Identifier: Apache-2.0 */
/* The replicated state as this host knows it.
 *
 * Every value here is one of: told by the state; acknowledged by it, its echo still on the way; or owed: known to this
 * host and still to be written. Writes are compare-and-swap against the revision that the change was made from; whoever
 * comes too late waits for the newer value to be told and makes the change again on top of it.
 *
 * What is a wipe, and what did somebody delete? Three facts decide:
 *   - A deletion told while the state was in reach, or with a revision newer than the one known, is somebody's wish.
 *   - A key that is merely missing when the state is told anew was lost. Nothing on the lattice ever deletes a key of
 *     LATTICEDATA: stopping keeps the spec, removing a link rewrites it. So there a missing key is always put back.
 *   - Configs are deleted by users. Where the state keeps no trace of that, one that is missing is put back only when
 *     more is wrong: its whole bucket is empty, revisions began anew, or keys of LATTICEDATA are missing as well.
 * Every host puts back everything that it knew, those that use it first, the others later and only if it is still
 * missing: a host that was away or is new can't know it. Links that somebody else's restored spec lacks are added to
 * it; in doubt a link deleted moments before the wipe comes back, and none is lost. */
#include "lattice/lattice_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    SOON_MS = 200,      /* what this host uses is put back within */
    LATER_MS = 2500,    /* and what others may put back themselves */
    RACE_FIRST_MS = 40, /* pause after a lost race, unless the winner's value is told before */
    RACE_MAX_MS = 320,
    RETRY_FIRST_MS = 400, /* pause after a failed write of what is owed */
    RETRY_MAX_MS = 30000,
};

static const struct wisp_str spec_prefix = WISP_STR_INIT("COMPONENT_"), claims_prefix = WISP_STR_INIT("CLAIMS_");

void wisp_lattice_records_init(struct wisp_lattice *lattice)
{
    for (int i = 0; i < WISP_LATTICE_BUCKET_COUNT; i++)
        wisp_table_init(&lattice->records[i], wisp_lattice_random(lattice));
    wisp_ring_init(&lattice->owed);
    wisp_ring_init(&lattice->in_routes);
}

static void record_free(struct wisp_lattice_record *record)
{
    struct wisp_lattice *lattice = record->lattice;
    wisp_lattice_call_forget(lattice, &record->write);
    wisp_lattice_timer_disarm(lattice, &record->retry);
    wisp_ring_remove(&record->owed);
    wisp_ring_remove(&record->in_routes);
    json_decref(record->written);
    json_decref(record->value);
    wisp_table_remove(&lattice->records[record->bucket], &record->entry);
    free(record);
}

void wisp_lattice_records_deinit(struct wisp_lattice *lattice)
{
    for (int i = 0; i < WISP_LATTICE_BUCKET_COUNT; i++) {
        struct wisp_table *table = &lattice->records[i];
        for (struct wisp_lattice_record *record; (record = wisp_table_first(table));) {
            wisp_lattice_edits_free(&record->edits);
            json_decref(WISP_TAKE(record->value));
            if (record->kind == WISP_LATTICE_SPEC) wisp_lattice_links_changed(record);
            record_free(record);
        }
        wisp_table_deinit(table);
    }
}

/* --- finding --- */

static bool find_kind(int bucket, struct wisp_str key, enum wisp_lattice_record_kind *ret_kind)
{
    if (bucket == WISP_LATTICE_CONFIG) {
        *ret_kind = WISP_LATTICE_ENTRY;
        return key.len > 0;
    }
    bool is_spec = wisp_str_starts_with(key, spec_prefix) && key.len > spec_prefix.len;
    *ret_kind = is_spec ? WISP_LATTICE_SPEC : WISP_LATTICE_CLAIMS;
    return is_spec || (wisp_str_starts_with(key, claims_prefix) && key.len > claims_prefix.len);
}

struct wisp_lattice_record *wisp_lattice_record_find(struct wisp_lattice *lattice, int bucket, struct wisp_str key)
{
    return wisp_table_get(&lattice->records[bucket], key);
}

struct wisp_lattice_record *wisp_lattice_record_need(struct wisp_lattice *lattice, int bucket, struct wisp_str key)
{
    struct wisp_lattice_record *record = wisp_lattice_record_find(lattice, bucket, key);
    enum wisp_lattice_record_kind kind;
    if (record || !find_kind(bucket, key, &kind)) return record;
    uint32_t max = bucket == WISP_LATTICE_CONFIG ? lattice->configs_max : lattice->links_max;
    if (lattice->records[bucket].count >= max) {
        if (!lattice->has_said_records_full)
            wisp_lattice_log(lattice, WISP_LOG_ERROR, "the lattice has more than %u %s: the others are not known here",
                             max, bucket == WISP_LATTICE_CONFIG ? "configs" : "components, providers and claims");
        lattice->has_said_records_full = true;
        return NULL;
    }
    record = wisp_mem_calloc(1, sizeof *record);
    record->lattice = lattice;
    record->bucket = bucket;
    record->kind = kind;
    wisp_ring_init(&record->edits);
    wisp_ring_init(&record->links);
    wisp_ring_init(&record->uses);
    wisp_table_add(&lattice->records[bucket], key, &record->entry);
    return record;
}

static struct wisp_str spec_key(struct wisp_str id, char key[WISP_LATTICE_ID_MAX + 16])
{
    if (id.len > WISP_LATTICE_ID_MAX) return (struct wisp_str){0};
    memcpy(key, spec_prefix.ptr, spec_prefix.len);
    if (id.len) memcpy(key + spec_prefix.len, id.ptr, id.len);
    return (struct wisp_str){key, spec_prefix.len + id.len};
}

struct wisp_lattice_record *wisp_lattice_spec_find(struct wisp_lattice *lattice, struct wisp_str id)
{
    char key[WISP_LATTICE_ID_MAX + 16];
    return wisp_lattice_record_find(lattice, WISP_LATTICE_DATA, spec_key(id, key));
}

struct wisp_lattice_record *wisp_lattice_spec_need(struct wisp_lattice *lattice, struct wisp_str id)
{
    char key[WISP_LATTICE_ID_MAX + 16];
    return wisp_lattice_record_need(lattice, WISP_LATTICE_DATA, spec_key(id, key));
}

struct wisp_str wisp_lattice_spec_id(const struct wisp_lattice_record *record)
{
    return (struct wisp_str){record->entry.key.ptr + spec_prefix.len, record->entry.key.len - spec_prefix.len};
}

void wisp_lattice_record_settle(struct wisp_lattice_record *record)
{
    /* A key whose deletion was acknowledged stays until that is told: values from before may still come. */
    if (record->value || record->is_gone || record->told < record->revision) return;
    if (wisp_lattice_call_is_open(&record->write) || !wisp_ring_is_empty(&record->edits)) return;
    if (!wisp_ring_is_empty(&record->uses) || !wisp_ring_is_empty(&record->links) || record->in_routes.next) return;
    record_free(record);
}

/* --- values --- */

/* Takes the value over. The record may be gone afterwards. */
static void set_value(struct wisp_lattice_record *record, json_t *value, uint64_t revision)
{
    json_t *old = record->value;
    bool is_other = (old != NULL) != (value != NULL) || (value && !json_equal(old, value));
    record->value = value;
    record->revision = revision;
    record->is_gone = false;
    json_decref(old);
    if (is_other && record->kind == WISP_LATTICE_SPEC) wisp_lattice_links_changed(record);
    if (is_other && record->kind == WISP_LATTICE_ENTRY) wisp_lattice_config_changed(record);
    wisp_lattice_record_settle(record);
}

void wisp_lattice_record_accept(struct wisp_lattice *lattice, int bucket, struct wisp_str key, json_t *value,
                                uint64_t revision, uint64_t epoch)
{
    /* If it was told already, so may have been what came after it, and that may be a deletion of which nothing is left
     * here. What was written to a state that has been lost since will be told as lost. */
    if (revision <= lattice->told_most[bucket] || epoch != lattice->epoch) return;
    struct wisp_lattice_record *record =
        value ? wisp_lattice_record_need(lattice, bucket, key) : wisp_lattice_record_find(lattice, bucket, key);
    if (!record || revision < record->revision) return;
    wisp_ring_remove(&record->owed);
    record->accepted_in = record->lattice->epoch;
    set_value(record, json_incref(value), revision);
}

/* --- told --- */

static bool is_value_of(enum wisp_lattice_record_kind kind, json_t *value)
{
    if (kind == WISP_LATTICE_ENTRY) return wisp_lattice_is_map(value);
    const json_t *links = json_object_get(value, "links");
    return json_is_object(value) && (kind == WISP_LATTICE_CLAIMS || !links || json_is_array(links));
}

/* What can't be understood leaves the value as it was; a spec that begins so is an empty one, to be overwritten. */
static json_t *decode(struct wisp_lattice_record *record, struct wisp_str text)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *value = NULL;
    if (wisp_json_parse(text, &value, &err) == 0 && is_value_of(record->kind, value)) return WISP_TAKE(value);
    wisp_lattice_log(record->lattice, WISP_LOG_WARN, "value of `%.*s` can't be understood: %s",
                     WISP_STR_ARG(record->entry.key), err.kind ? err.text : "not the expected object");
    if (record->value) return json_incref(record->value);
    return record->kind == WISP_LATTICE_SPEC ? json_pack("{s:s, s:[]}", "url", "", "links") : NULL;
}

/* An edit or what is owed may go on top of the new value. */
static void wake(struct wisp_lattice_record *record)
{
    if (!record->retry.slot || wisp_lattice_call_is_open(&record->write)) return;
    if (wisp_ring_is_empty(&record->edits)) return;
    wisp_lattice_timer_disarm(record->lattice, &record->retry);
    wisp_lattice_record_push(record);
}

static void told_value(struct wisp_lattice_record *record, struct wisp_str text, uint64_t revision)
{
    bool is_reset = record->is_gone || revision < record->told;
    if (is_reset) {
        record->lattice->was_reset[record->bucket] = true;
        record->lattice->told_most[record->bucket] = revision;
    }
    uint64_t told = record->told;
    record->told = revision;
    /* From before a write of ours that was acknowledged: its own echo is still to come. */
    if (!is_reset && revision < record->revision) return;
    if (!is_reset && revision == told && revision == record->revision) return;
    json_t *value = decode(record, text);
    bool is_owed = record->owed.next != NULL;
    json_t *united = record->kind == WISP_LATTICE_SPEC && (is_reset || is_owed) && value
                         ? wisp_lattice_links_united(value, record->value)
                         : NULL;
    wisp_ring_remove(&record->owed);
    if (united) {
        json_decref(value);
        record->is_gone = false;
        set_value(record, united, revision);
        wisp_lattice_record_owe(record, SOON_MS);
    } else if (value || record->value) {
        bool has_edits = !wisp_ring_is_empty(&record->edits);
        set_value(record, value, revision);
        if (has_edits) wake(record);
    } else {
        record->revision = record->told;
        wisp_lattice_record_settle(record);
    }
}

static void told_gone(struct wisp_lattice_record *record, uint64_t revision)
{
    if (record->lattice->is_uncertain && revision <= record->revision) {
        record->is_gone = true;
        record->revision = record->told = 0;
        return;
    }
    if (revision > record->told) record->told = revision;
    if (revision && revision < record->revision) { /* from before a write of ours */
        wisp_lattice_record_settle(record);
        return;
    }
    wisp_ring_remove(&record->owed);
    record->told = revision;
    bool has_edits = !wisp_ring_is_empty(&record->edits);
    set_value(record, NULL, revision);
    if (has_edits) wake(record);
}

void wisp_lattice_records_told(struct wisp_lattice *lattice, int bucket, struct wisp_str key,
                               const struct wisp_str *value, uint64_t revision)
{
    if (bucket < 0 || bucket >= WISP_LATTICE_BUCKET_COUNT) return;
    struct wisp_lattice_record *record =
        value ? wisp_lattice_record_need(lattice, bucket, key) : wisp_lattice_record_find(lattice, bucket, key);
    /* The revision of a key that is merely missing is an old one, perhaps of a state that is no more. */
    bool is_missing = !value && lattice->is_uncertain && (!record || revision <= record->revision);
    if (!is_missing && revision > lattice->told_most[bucket]) lattice->told_most[bucket] = revision;
    if (!record) return;
    record->told_in = lattice->load;
    if (value)
        told_value(record, *value, revision);
    else
        told_gone(record, revision);
}

/* --- putting back --- */

static bool is_used_here(const struct wisp_lattice_record *record)
{
    if (record->kind == WISP_LATTICE_ENTRY) return !wisp_ring_is_empty(&record->uses) || record->in_routes.next;
    if (record->kind == WISP_LATTICE_CLAIMS) return false;
    struct wisp_str id = wisp_lattice_spec_id(record);
    return wisp_lattice_component_find(record->lattice, id) || wisp_lattice_provider_find(record->lattice, id);
}

/* Keys that are gone, and whether none is left. */
static size_t count_gone(const struct wisp_lattice *lattice, int bucket, bool *ret_none_left)
{
    size_t n_gone = 0, n_left = 0;
    const struct wisp_table *table = &lattice->records[bucket];
    for (struct wisp_lattice_record *record = wisp_table_first(table); record;
         record = wisp_table_next(table, record)) {
        /* Acknowledged before the state was out of reach, and not told since: then it is not there any more. */
        bool has_vanished = record->told < record->revision && record->accepted_in < lattice->epoch;
        bool is_untold = lattice->is_loading && record->told_in != lattice->load && record->revision;
        if (record->value && lattice->is_uncertain && (has_vanished || is_untold)) {
            record->is_gone = true;
            record->revision = record->told = 0;
        }
        n_gone += record->is_gone;
        n_left += record->value && !record->is_gone && record->revision;
    }
    *ret_none_left = n_left == 0;
    return n_gone;
}

static void judge(struct wisp_lattice *lattice, int bucket, bool is_lost)
{
    struct wisp_table *table = &lattice->records[bucket];
    struct wisp_lattice_record *next;
    for (struct wisp_lattice_record *record = wisp_table_first(table); record; record = next) {
        next = wisp_table_next(table, record);
        if (!record->is_gone) {
            record->told = record->value ? record->told : record->revision;
            wisp_lattice_record_settle(record);
            continue;
        }
        record->is_gone = false;
        if (is_lost && record->value)
            wisp_lattice_record_owe(record, is_used_here(record) ? SOON_MS : LATER_MS);
        else
            set_value(record, NULL, 0);
    }
}

void wisp_lattice_records_loaded(struct wisp_lattice *lattice)
{
    bool none_left[WISP_LATTICE_BUCKET_COUNT];
    size_t n_gone[WISP_LATTICE_BUCKET_COUNT];
    for (int i = 0; i < WISP_LATTICE_BUCKET_COUNT; i++) n_gone[i] = count_gone(lattice, i, &none_left[i]);
    lattice->is_loading = false;
    bool is_data_lost = n_gone[WISP_LATTICE_DATA] > 0 || lattice->was_reset[WISP_LATTICE_DATA];
    bool are_configs_lost = is_data_lost || lattice->was_reset[WISP_LATTICE_CONFIG] || none_left[WISP_LATTICE_CONFIG];
    judge(lattice, WISP_LATTICE_DATA, is_data_lost);
    judge(lattice, WISP_LATTICE_CONFIG, are_configs_lost);
    size_t n_lost = n_gone[WISP_LATTICE_DATA] + (are_configs_lost ? n_gone[WISP_LATTICE_CONFIG] : 0);
    if (n_lost)
        wisp_lattice_log(lattice, WISP_LOG_WARN,
                         "the lattice's state has lost %zu keys that nobody deleted; putting them back", n_lost);
    lattice->was_reset[WISP_LATTICE_DATA] = lattice->was_reset[WISP_LATTICE_CONFIG] = false;
}

/* --- writing --- */

static void retry_due(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    wisp_lattice_record_push(env);
}

void wisp_lattice_record_owe(struct wisp_lattice_record *record, uint64_t spread_ms)
{
    if (!record->owed.next) wisp_ring_append(&record->lattice->owed, &record->owed);
    if (!record->retry.slot)
        wisp_lattice_timer_arm(record->lattice, &record->retry,
                               spread_ms ? wisp_lattice_random(record->lattice) % spread_ms : 0, retry_due, record);
}

static void again_after(struct wisp_lattice_record *record, uint64_t first_ms, uint64_t max_ms)
{
    record->tries++;
    wisp_lattice_timer_arm(record->lattice, &record->retry,
                           wisp_lattice_backoff_ms(record->lattice, record->tries, first_ms, max_ms), retry_due,
                           record);
}

static void write_succeeded(struct wisp_lattice_record *record, uint64_t revision)
{
    WISP_CLEANUP_JSON json_t *value = WISP_TAKE(record->written);
    record->tries = 0;
    wisp_ring_remove(&record->owed);
    wisp_lattice_record_accept(record->lattice, record->bucket, record->entry.key, value, revision, record->epoch);
    wisp_lattice_edits_done(record);
    wisp_lattice_record_push(record);
}

static void write_failed(struct wisp_lattice_record *record, const struct wisp_err *err)
{
    json_decref(WISP_TAKE(record->written));
    if (err->kind == WISP_ERR_EXISTS) {
        record->n_in_flight = 0;
        if (record->revision != record->written_at)
            wisp_lattice_record_push(record); /* the winner's value is known already */
        else
            again_after(record, RACE_FIRST_MS, RACE_MAX_MS);
        return;
    }
    wisp_lattice_edits_failed(record, err);
    bool is_hopeless = err->kind == WISP_ERR_LIMIT || err->kind == WISP_ERR_INVALID || err->kind == WISP_ERR_DENIED;
    if (record->owed.next && is_hopeless) {
        wisp_lattice_log(record->lattice, WISP_LOG_ERROR, "`%.*s` can't be put into the lattice's state: %s",
                         WISP_STR_ARG(record->entry.key), err->text);
        wisp_ring_remove(&record->owed);
    }
    if (!wisp_ring_is_empty(&record->edits))
        again_after(record, RACE_FIRST_MS, RACE_MAX_MS); /* somebody waits */
    else if (record->owed.next)
        again_after(record, RETRY_FIRST_MS, RETRY_MAX_MS);
    else
        wisp_lattice_record_settle(record);
}

static void on_written(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_record *record = env;
    if (done->err.kind)
        write_failed(record, &done->err);
    else
        write_succeeded(record, done->revision);
}

void wisp_lattice_record_push(struct wisp_lattice_record *record)
{
    struct wisp_lattice *lattice = record->lattice;
    if (wisp_lattice_call_is_open(&record->write) || record->retry.slot) return;
    bool can_pay = record->owed.next && lattice->is_connected && !lattice->is_uncertain;
    json_t *value = wisp_lattice_edits_apply(record);
    if (!value && can_pay) value = json_incref(record->value);
    if (!value) {
        wisp_lattice_record_settle(record);
        return;
    }
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_STATE_WRITE);
    action->bucket = record->bucket;
    action->key = wisp_lattice_keep(lattice, record->entry.key);
    action->value = wisp_lattice_keep_json(lattice, value);
    action->has_value = true;
    action->expected = record->value ? (int64_t)record->revision : 0;
    record->written_at = record->revision;
    record->written = value;
    record->epoch = lattice->epoch;
    wisp_lattice_call_begin(lattice, &record->write, action, on_written, record);
}
