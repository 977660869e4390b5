/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/sqlite.h"

#include "base/log.h"
#include "base/ring.h"

#include <inttypes.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    OPEN_WAIT_MS = 5000, /* for other processes that are opening it too */
    OPEN_RETRY_MS = 2,
    SPINS_MAX = 50, /* another's write takes microseconds: worth a few turns before the loop's timer */
    RETRY_MS = 1,
    CHECKPOINT_PAGES = 1000, /* of the write-ahead log */
};

enum statement { BEGIN_READ, BEGIN_WRITE, COMMIT, ROLLBACK, GET, SET, DELETE, LIST, INCREMENT, STATEMENT_COUNT };

static const char schema[] = "CREATE TABLE IF NOT EXISTS entry ("
                             " id INTEGER PRIMARY KEY AUTOINCREMENT,"
                             " bucket TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,"
                             " UNIQUE (bucket, key));"
                             "CREATE INDEX IF NOT EXISTS entry_by_bucket ON entry (bucket);";

static const char *const statements[STATEMENT_COUNT] = {
    [BEGIN_READ] = "BEGIN",
    [BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [GET] = "SELECT value FROM entry WHERE bucket = ?1 AND key = ?2",
    [SET] = "INSERT INTO entry (bucket, key, value) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (bucket, key) DO UPDATE SET value = excluded.value",
    [DELETE] = "DELETE FROM entry WHERE bucket = ?1 AND key = ?2",
    [LIST] = "SELECT id, key FROM entry WHERE bucket = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    [INCREMENT] = "INSERT INTO entry (bucket, key, value) VALUES (?1, ?2, ?3)"
                  " ON CONFLICT (bucket, key) DO UPDATE SET value = wisp_add(value, ?3) RETURNING value",
};

/* A call that waits for another process's write. */
struct waiting {
    struct wisp_link link; /* in the store's ring */
    struct wisp_keyvalue_sqlite *store;
    struct wisp_provider_call *call;
    enum wisp_keyvalue_verb verb;
    const void *args;
    uint64_t deadline_ms;
};

struct wisp_keyvalue_sqlite {
    uv_loop_t *loop;
    char *path;                 /* NULL: in memory */
    sqlite3 *db, *checkpointer; /* checkpointer: NULL in memory */
    sqlite3_stmt *statements[STATEMENT_COUNT];
    struct wisp_link waiting; /* in the order they came */
    uv_timer_t timer;
    uv_work_t work; /* moving the write-ahead log into the file waits for the disk: not in the loop */
    bool is_checkpointing, is_closed, is_timer_closed;
};

/* --- one operation: SQLITE_OK when the call is answered, SQLITE_BUSY when it is to be tried again, or an error --- */

static sqlite3_stmt *prepare(struct wisp_keyvalue_sqlite *store, enum statement which, struct wisp_str bucket,
                             struct wisp_str key)
{
    sqlite3_stmt *statement = store->statements[which];
    sqlite3_bind_text(statement, 1, bucket.len ? bucket.ptr : "", (int)bucket.len, SQLITE_STATIC);
    if (key.ptr) sqlite3_bind_text(statement, 2, key.ptr, (int)key.len, SQLITE_STATIC);
    return statement;
}

/* Runs it to its end. */
static int finish(sqlite3_stmt *statement)
{
    int r;
    while ((r = sqlite3_step(statement)) == SQLITE_ROW) {
    }
    sqlite3_reset(statement);
    return r == SQLITE_DONE ? SQLITE_OK : r;
}

/* ptr NULL when there is none. Copied: an answer may make the next call before it returns. */
static int read_value(struct wisp_keyvalue_sqlite *store, struct wisp_str bucket, struct wisp_str key,
                      struct wisp_arena *arena, struct wisp_bytes *ret_value)
{
    sqlite3_stmt *statement = prepare(store, GET, bucket, key);
    int r = sqlite3_step(statement);
    if (r == SQLITE_ROW) {
        const void *bytes = sqlite3_column_blob(statement, 0);
        size_t n = (size_t)sqlite3_column_bytes(statement, 0);
        uint8_t *copy = wisp_arena_alloc(arena, n);
        if (n) memcpy(copy, bytes, n);
        *ret_value = (struct wisp_bytes){copy, n};
    }
    sqlite3_reset(statement);
    return r == SQLITE_ROW || r == SQLITE_DONE ? SQLITE_OK : r;
}

static int write_value(struct wisp_keyvalue_sqlite *store, struct wisp_str bucket, struct wisp_str key,
                       struct wisp_bytes value)
{
    sqlite3_stmt *statement = prepare(store, SET, bucket, key);
    sqlite3_bind_blob(statement, 3, value.len ? (const void *)value.ptr : "", (int)value.len, SQLITE_STATIC);
    return finish(statement);
}

static int get(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call, enum wisp_keyvalue_verb verb,
               const struct wisp_keyvalue_key_args *args)
{
    struct wisp_bytes value = {0};
    int r = read_value(store, args->bucket, args->key, call->arena, &value);
    if (r != SQLITE_OK) return r;
    if (verb == WISP_KEYVALUE_EXISTS)
        wisp_keyvalue_return_exists(call, value.ptr != NULL);
    else
        wisp_keyvalue_return_value(call, value);
    return SQLITE_OK;
}

static int done(struct wisp_provider_call *call, int r)
{
    if (r == SQLITE_OK) wisp_keyvalue_return_done(call);
    return r;
}

static int set(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call,
               const struct wisp_keyvalue_set_args *args)
{
    return done(call, write_value(store, args->bucket, args->key, args->value));
}

static int delete(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call,
                  const struct wisp_keyvalue_key_args *args)
{
    return done(call, finish(prepare(store, DELETE, args->bucket, args->key)));
}

static int list_keys(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call,
                     const struct wisp_keyvalue_list_args *args)
{
    struct wisp_str *keys = WISP_NEW_ARRAY(call->arena, struct wisp_str, WISP_KEYVALUE_PAGE_KEYS);
    sqlite3_stmt *statement = prepare(store, LIST, args->bucket, (struct wisp_str){0});
    int64_t last = args->has_cursor ? (int64_t)(args->cursor > INT64_MAX ? INT64_MAX : args->cursor) : 0;
    sqlite3_bind_int64(statement, 2, last);
    sqlite3_bind_int(statement, 3, WISP_KEYVALUE_PAGE_KEYS + 1);
    size_t n = 0;
    int r;
    while ((r = sqlite3_step(statement)) == SQLITE_ROW && n < WISP_KEYVALUE_PAGE_KEYS) {
        last = sqlite3_column_int64(statement, 0);
        const char *text = (const char *)sqlite3_column_text(statement, 1);
        keys[n++] = wisp_arena_str(call->arena, (struct wisp_str){text, (size_t)sqlite3_column_bytes(statement, 1)});
    }
    sqlite3_reset(statement);
    if (r != SQLITE_DONE && r != SQLITE_ROW) return r;
    wisp_keyvalue_return_keys(call, keys, n, r == SQLITE_ROW ? (uint64_t)last : 0);
    return SQLITE_OK;
}

static int increment(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call,
                     const struct wisp_keyvalue_increment_args *args)
{
    char delta[24];
    int n = snprintf(delta, sizeof delta, "%" PRIu64, args->delta);
    sqlite3_stmt *statement = prepare(store, INCREMENT, args->bucket, args->key);
    sqlite3_bind_blob(statement, 3, delta, n, SQLITE_STATIC);
    uint64_t sum = 0;
    int r = sqlite3_step(statement);
    if (r == SQLITE_ROW) {
        struct wisp_str text = {sqlite3_column_blob(statement, 0), (size_t)sqlite3_column_bytes(statement, 0)};
        if (wisp_keyvalue_add(text, 0, &sum, NULL) < 0) r = SQLITE_CORRUPT;
    }
    if (r == SQLITE_ROW) r = sqlite3_step(statement);
    sqlite3_reset(statement);
    if (r != SQLITE_DONE) return r;
    wisp_keyvalue_return_number(call, sum);
    return SQLITE_OK;
}

/* --- several keys: all of them in one transaction --- */

static int end_transaction(struct wisp_keyvalue_sqlite *store, int r)
{
    if (r == SQLITE_OK) r = finish(store->statements[COMMIT]);
    if (r == SQLITE_OK) return r;
    if (!sqlite3_get_autocommit(store->db)) finish(store->statements[ROLLBACK]);
    return r;
}

static int get_many(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call,
                    const struct wisp_keyvalue_keys_args *args)
{
    struct wisp_keyvalue_maybe_pair *pairs = WISP_NEW_ARRAY(call->arena, struct wisp_keyvalue_maybe_pair, args->n);
    size_t size = 0;
    int r = finish(store->statements[BEGIN_READ]);
    for (size_t i = 0; i < args->n && r == SQLITE_OK; i++) {
        struct wisp_keyvalue_pair *pair = &pairs[i].pair;
        pair->key = args->keys[i];
        r = read_value(store, args->bucket, pair->key, call->arena, &pair->value);
        pairs[i].is_some = pair->value.ptr != NULL;
        size += pair->value.len;
        if (size > WISP_KEYVALUE_ANSWER_MAX) r = SQLITE_TOOBIG;
    }
    r = end_transaction(store, r);
    if (r == SQLITE_OK) wisp_keyvalue_return_values(call, pairs, args->n);
    return r;
}

static int set_many(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call,
                    const struct wisp_keyvalue_pairs_args *args)
{
    int r = finish(store->statements[BEGIN_WRITE]);
    for (size_t i = 0; i < args->n && r == SQLITE_OK; i++)
        r = write_value(store, args->bucket, args->pairs[i].key, args->pairs[i].value);
    return done(call, end_transaction(store, r));
}

static int delete_many(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call,
                       const struct wisp_keyvalue_keys_args *args)
{
    int r = finish(store->statements[BEGIN_WRITE]);
    for (size_t i = 0; i < args->n && r == SQLITE_OK; i++)
        r = finish(prepare(store, DELETE, args->bucket, args->keys[i]));
    return done(call, end_transaction(store, r));
}

static int attempt(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call, enum wisp_keyvalue_verb verb,
                   const void *args)
{
    switch (verb) {
    case WISP_KEYVALUE_GET:
    case WISP_KEYVALUE_EXISTS:
        return get(store, call, verb, args);
    case WISP_KEYVALUE_SET:
        return set(store, call, args);
    case WISP_KEYVALUE_DELETE:
        return delete (store, call, args);
    case WISP_KEYVALUE_LIST_KEYS:
        return list_keys(store, call, args);
    case WISP_KEYVALUE_INCREMENT:
        return increment(store, call, args);
    case WISP_KEYVALUE_GET_MANY:
        return get_many(store, call, args);
    case WISP_KEYVALUE_SET_MANY:
        return set_many(store, call, args);
    default:
        return delete_many(store, call, args);
    }
}

/* --- when another process writes --- */

static void end_waiting(struct waiting *waiting)
{
    struct wisp_keyvalue_sqlite *store = waiting->store;
    wisp_ring_remove(&waiting->link);
    if (wisp_ring_is_empty(&store->waiting)) uv_timer_stop(&store->timer);
    free(waiting);
}

static void on_cancel(struct wisp_provider_call *call)
{
    end_waiting(call->user);
    wisp_keyvalue_fail_cancelled(call);
}

static void fail(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call, int r)
{
    if (r == SQLITE_BUSY)
        wisp_keyvalue_fail(call, WISP_KEYVALUE_OTHER, "the store was locked for %d ms", WISP_KEYVALUE_WAIT_MS);
    else if (r == SQLITE_TOOBIG)
        wisp_keyvalue_fail(call, WISP_KEYVALUE_OTHER, "the values are too large for one answer");
    else
        wisp_keyvalue_fail(call, WISP_KEYVALUE_OTHER, "%s",
                           sqlite3_errcode(store->db) ? sqlite3_errmsg(store->db) : sqlite3_errstr(r));
}

static void on_retry(uv_timer_t *timer)
{
    struct wisp_keyvalue_sqlite *store = timer->data;
    /* An answer may begin new calls or cancel others: the first one of the ring, again and again. */
    while (!wisp_ring_is_empty(&store->waiting)) {
        struct waiting *waiting = WISP_OWNER(store->waiting.next, struct waiting, link);
        struct wisp_provider_call *call = waiting->call;
        call->on_cancel = NULL;
        int r = attempt(store, call, waiting->verb, waiting->args);
        if (r == SQLITE_BUSY && uv_now(store->loop) < waiting->deadline_ms) {
            call->on_cancel = on_cancel;
            return; /* the others would meet the same writer */
        }
        end_waiting(waiting);
        if (r != SQLITE_OK) fail(store, call, r);
    }
}

void wisp_keyvalue_sqlite_run(struct wisp_keyvalue_sqlite *store, struct wisp_provider_call *call,
                              enum wisp_keyvalue_verb verb, const void *args)
{
    int r = attempt(store, call, verb, args);
    if (r == SQLITE_OK) return;
    if (r != SQLITE_BUSY) {
        fail(store, call, r);
        return;
    }
    struct waiting *waiting = wisp_mem_alloc(sizeof *waiting);
    *waiting = (struct waiting){.store = store,
                                .call = call,
                                .verb = verb,
                                .args = args,
                                .deadline_ms = uv_now(store->loop) + WISP_KEYVALUE_WAIT_MS};
    if (wisp_ring_is_empty(&store->waiting)) uv_timer_start(&store->timer, on_retry, RETRY_MS, RETRY_MS);
    wisp_ring_append(&store->waiting, &waiting->link);
    call->user = waiting;
    call->on_cancel = on_cancel;
}

static int on_busy(void *env, int n_tries)
{
    (void)env;
    sched_yield();
    return n_tries < SPINS_MAX;
}

/* --- the write-ahead log --- */

static void checkpoint(uv_work_t *work)
{
    struct wisp_keyvalue_sqlite *store = work->data;
    sqlite3_wal_checkpoint_v2(store->checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void free_when_closed(struct wisp_keyvalue_sqlite *store)
{
    if (!store->is_closed || !store->is_timer_closed || store->is_checkpointing) return;
    for (int i = 0; i < STATEMENT_COUNT; i++) sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->checkpointer);
    sqlite3_close(store->db);
    free(store->path);
    free(store);
}

static void on_checkpointed(uv_work_t *work, int status)
{
    (void)status;
    struct wisp_keyvalue_sqlite *store = work->data;
    store->is_checkpointing = false;
    free_when_closed(store);
}

static int on_commit(void *env, sqlite3 *db, const char *name, int n_pages)
{
    (void)db, (void)name;
    struct wisp_keyvalue_sqlite *store = env;
    if (n_pages < CHECKPOINT_PAGES || store->is_checkpointing || store->is_closed) return SQLITE_OK;
    store->work.data = store;
    store->is_checkpointing = uv_queue_work(store->loop, &store->work, checkpoint, on_checkpointed) == 0;
    return SQLITE_OK;
}

/* --- life --- */

/* wisp_add(value, delta), both decimal text. */
static void add(sqlite3_context *context, int n, sqlite3_value **values)
{
    (void)n;
    uint64_t delta, sum;
    struct wisp_err err = {0};
    struct wisp_str value = {sqlite3_value_blob(values[0]), (size_t)sqlite3_value_bytes(values[0])};
    struct wisp_str more = {sqlite3_value_blob(values[1]), (size_t)sqlite3_value_bytes(values[1])};
    char text[24];
    if (wisp_keyvalue_add(more, 0, &delta, &err) < 0 || wisp_keyvalue_add(value, delta, &sum, &err) < 0)
        sqlite3_result_error(context, err.text, -1);
    else
        sqlite3_result_blob(context, text, snprintf(text, sizeof text, "%" PRIu64, sum), SQLITE_TRANSIENT);
}

static int open_file(const char *path, sqlite3 **ret_db)
{
    int r = sqlite3_open_v2(path, ret_db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (r == SQLITE_OK) r = sqlite3_busy_timeout(*ret_db, OPEN_WAIT_MS);
    return r;
}

/* Only the first one ever changes anything. SQLite does not wait when two do it at once, lest they wait for each other.
 */
static int use_wal(sqlite3 *db)
{
    int r = SQLITE_BUSY;
    for (int waited_ms = 0; waited_ms < OPEN_WAIT_MS; waited_ms += OPEN_RETRY_MS) {
        r = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (r != SQLITE_BUSY) break;
        usleep(OPEN_RETRY_MS * 1000);
    }
    return r;
}

static int open_all(struct wisp_keyvalue_sqlite *store, const char *path)
{
    int r = open_file(path ? path : ":memory:", &store->db);
    if (r == SQLITE_OK && path) r = use_wal(store->db);
    if (r == SQLITE_OK) r = sqlite3_exec(store->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
    if (r == SQLITE_OK) r = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (r == SQLITE_OK) r = sqlite3_exec(store->db, schema, NULL, NULL, NULL);
    if (r == SQLITE_OK) r = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_create_function(store->db, "wisp_add", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
                                    NULL, add, NULL, NULL);
    for (int i = 0; i < STATEMENT_COUNT && r == SQLITE_OK; i++)
        r = sqlite3_prepare_v3(store->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);
    if (r != SQLITE_OK) return r;
    sqlite3_busy_handler(store->db, on_busy, NULL);
    if (!path) return SQLITE_OK;
    sqlite3_wal_hook(store->db, on_commit, store);
    return open_file(path, &store->checkpointer);
}

const char *wisp_keyvalue_sqlite_path(const struct wisp_keyvalue_sqlite *store) { return store->path; }

static void on_timer_closed(uv_handle_t *handle)
{
    struct wisp_keyvalue_sqlite *store = handle->data;
    store->is_timer_closed = true;
    free_when_closed(store);
}

void wisp_keyvalue_sqlite_close(struct wisp_keyvalue_sqlite *store)
{
    if (!store) return;
    store->is_closed = true;
    uv_close((uv_handle_t *)&store->timer, on_timer_closed);
}

int wisp_keyvalue_sqlite_open(struct wisp_keyvalue_sqlite **ret_store, uv_loop_t *loop, const char *path,
                              struct wisp_err *err)
{
    struct wisp_keyvalue_sqlite *store = wisp_mem_calloc(1, sizeof *store);
    store->loop = loop;
    store->path = path ? wisp_mem_dup(wisp_str_from(path)) : NULL;
    wisp_ring_init(&store->waiting);
    uv_timer_init(loop, &store->timer);
    store->timer.data = store;
    int r = open_all(store, path);
    if (r != SQLITE_OK) {
        wisp_err_set(err, r == SQLITE_BUSY ? WISP_ERR_UNAVAILABLE : WISP_ERR_OS, "store `%s`: %s",
                     path ? path : ":memory:", store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(r));
        wisp_keyvalue_sqlite_close(store);
        return -(int)(r == SQLITE_BUSY ? WISP_ERR_UNAVAILABLE : WISP_ERR_OS);
    }
    *ret_store = store;
    return 0;
}

int wisp_keyvalue_sqlite_open_default(struct wisp_keyvalue_sqlite **ret_store, const struct wisp_provider *provider,
                                      const char *file, struct wisp_err *err)
{
    if (provider->data_path) {
        WISP_CLEANUP_BUF struct wisp_buf path = {0};
        wisp_buf_printf(&path, "%s/%s", provider->data_path, file);
        wisp_buf_append_char(&path, '\0');
        return wisp_keyvalue_sqlite_open(ret_store, provider->loop, path.data, err);
    }
    WISP_LOG(WARN, "keyvalue", "no directory for data: keys and values are in the memory of this process only",
             WISP_BYTES("provider", provider->id));
    return wisp_keyvalue_sqlite_open(ret_store, provider->loop, NULL, err);
}
