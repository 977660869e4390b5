/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/sqlite_watch.h"

#include "base/log.h"

#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdlib.h>

enum {
    TICK_MS = 50,
    DIGEST_LEN = 32,
};

struct seen {
    bool exists;
    uint8_t digest[DIGEST_LEN];
};

struct wisp_sqlite_watch {
    struct wisp_keyvalue_watch *watch;
    sqlite3 *db; /* of its own: for the version, the store's writes are others' as well */
    sqlite3_stmt *version, *get;
    char *bucket;
    struct seen *seen; /* of each key */
    int64_t last_version;
    uv_timer_t *timer;
    bool is_failing;
};

/* 0 when it could not be read. */
static int64_t version_of(struct wisp_sqlite_watch *watch)
{
    int64_t version = sqlite3_step(watch->version) == SQLITE_ROW ? sqlite3_column_int64(watch->version, 0) : 0;
    sqlite3_reset(watch->version);
    return version;
}

static void tell(struct wisp_sqlite_watch *watch, struct wisp_str key, const struct seen *now, const void *bytes, int n)
{
    if (!now->exists) {
        wisp_keyvalue_watch_deleted(watch->watch, key);
        return;
    }
    struct wisp_keyvalue_change *change = wisp_keyvalue_watch_set(watch->watch, key);
    if (change) wisp_keyvalue_change_end(change, (struct wisp_bytes){n ? bytes : (const uint8_t *)"", (size_t)n});
}

/* SQLITE_OK, or an error: then it is to be looked at again. */
static int look_at(struct wisp_sqlite_watch *watch, struct wisp_str key, struct seen *seen, bool is_silent)
{
    struct seen now = {0};
    sqlite3_bind_text(watch->get, 1, watch->bucket, -1, SQLITE_STATIC);
    sqlite3_bind_text(watch->get, 2, key.ptr, (int)key.len, SQLITE_STATIC);
    int r = sqlite3_step(watch->get), n = 0;
    const void *bytes = NULL;
    if (r == SQLITE_ROW) {
        bytes = sqlite3_column_blob(watch->get, 0);
        n = sqlite3_column_bytes(watch->get, 0);
        now.exists = true;
        if (!EVP_Digest(n ? bytes : "", (size_t)n, now.digest, NULL, EVP_sha256(), NULL)) wisp_mem_out(0);
    }
    bool is_read = r == SQLITE_ROW || r == SQLITE_DONE;
    bool is_other = now.exists != seen->exists || memcmp(now.digest, seen->digest, DIGEST_LEN) != 0;
    if (is_read && is_other) *seen = now;
    if (is_read && is_other && !is_silent) tell(watch, key, &now, bytes, n);
    sqlite3_reset(watch->get);
    return is_read ? SQLITE_OK : r;
}

static int look(struct wisp_sqlite_watch *watch, bool is_silent)
{
    size_t n;
    const struct wisp_keyvalue_watched *keys = wisp_keyvalue_watch_keys(watch->watch, &n);
    int r = SQLITE_OK;
    for (size_t i = 0; i < n && r == SQLITE_OK; i++) r = look_at(watch, keys[i].key, &watch->seen[i], is_silent);
    return r;
}

static void on_tick(uv_timer_t *timer)
{
    struct wisp_sqlite_watch *watch = timer->data;
    int64_t version = version_of(watch);
    if (version && version == watch->last_version) return;
    int r = version ? look(watch, false) : sqlite3_errcode(watch->db);
    if (r == SQLITE_OK) watch->last_version = version;
    bool is_failing = r != SQLITE_OK && r != SQLITE_BUSY;
    if (is_failing && !watch->is_failing)
        WISP_LOG(WARN, "keyvalue", "keys can't be watched", WISP_TEXT("error", sqlite3_errstr(r)));
    watch->is_failing = is_failing;
}

static int open_all(struct wisp_sqlite_watch *watch, const char *path)
{
    int r = sqlite3_open_v2(path, &watch->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (r == SQLITE_OK) r = sqlite3_prepare_v2(watch->db, "PRAGMA data_version", -1, &watch->version, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_prepare_v2(watch->db, "SELECT value FROM entry WHERE bucket = ?1 AND key = ?2", -1, &watch->get,
                               NULL);
    if (r != SQLITE_OK) return r;
    watch->last_version = version_of(watch);
    return look(watch, true);
}

int wisp_sqlite_watch_new(struct wisp_sqlite_watch **ret_watch, const struct wisp_provider_link *link,
                          const struct wisp_keyvalue_sqlite *store, struct wisp_err *err)
{
    const char *path = wisp_keyvalue_sqlite_path(store);
    struct wisp_str bucket = wisp_settings_get(&link->settings, "bucket");
    size_t n;
    if (!path) return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "keys of a store in memory can't be watched");
    if (!bucket.len) bucket = WISP_STR("default");
    struct wisp_sqlite_watch *watch = wisp_mem_calloc(1, sizeof *watch);
    watch->timer = wisp_mem_calloc(1, sizeof *watch->timer);
    uv_timer_init(link->provider->loop, watch->timer);
    watch->timer->data = watch;
    watch->bucket = wisp_mem_dup(bucket);
    int r = wisp_keyvalue_watch_new(&watch->watch, link, bucket, err);
    if (r == 0) {
        wisp_keyvalue_watch_keys(watch->watch, &n);
        watch->seen = wisp_mem_calloc(n, sizeof *watch->seen);
        int code = open_all(watch, path);
        if (code != SQLITE_OK) r = wisp_err_set(err, WISP_ERR_OS, "store `%s`: %s", path, sqlite3_errstr(code));
    }
    if (r < 0) {
        wisp_sqlite_watch_free(watch);
        return r;
    }
    uv_timer_start(watch->timer, on_tick, TICK_MS, TICK_MS);
    *ret_watch = watch;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle) { free(handle); }

void wisp_sqlite_watch_free(struct wisp_sqlite_watch *watch)
{
    if (!watch) return;
    uv_close((uv_handle_t *)watch->timer, on_timer_closed);
    sqlite3_finalize(watch->version);
    sqlite3_finalize(watch->get);
    sqlite3_close(watch->db);
    wisp_keyvalue_watch_free(watch->watch);
    free(watch->bucket);
    free(watch->seen);
    free(watch);
}
