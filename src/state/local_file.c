/* SPDX-License-Identifier: Apache-2.0 */
#include "state/local_priv.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { COPY_SIZE = 64 << 10 };

/* Exclusive: no other process has it open, and the index of the log needs no file. A commit is on disk when it returns.
 */
static const char setup_sql[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                "CREATE TABLE IF NOT EXISTS entry(bucket INTEGER NOT NULL, key TEXT NOT NULL,"
                                " value BLOB, revision INTEGER NOT NULL, PRIMARY KEY(bucket, key)) WITHOUT ROWID;";
/* A row without a value is a deleted key: the newest one keeps the count of revisions from going back. */
static const char forget_sql[] = "DELETE FROM entry WHERE value IS NULL AND revision <"
                                 " (SELECT max(revision) FROM entry)";
static const char put_sql[] = "INSERT INTO entry(bucket, key, value, revision) VALUES(?1, ?2, ?3, ?4)"
                              " ON CONFLICT DO UPDATE SET value = ?3, revision = ?4";
static const char all_sql[] = "SELECT bucket, key, value, revision FROM entry ORDER BY revision";

static bool is_damage(int code)
{
    code &= 0xff;
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_FORMAT || code == SQLITE_SCHEMA;
}

static int fail(struct wisp_state_file *file, struct wisp_err *err)
{
    int code = file->db ? sqlite3_extended_errcode(file->db) : SQLITE_NOMEM;
    int cause = file->db ? sqlite3_system_errno(file->db) : 0;
    file->last_code = code & 0xff;
    bool shows_cause = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
    if (cause && shows_cause) {
        wisp_err_os(err, cause, "state file `%s`", file->path);
        if (err) err->kind = WISP_ERR_OS;
        return -WISP_ERR_OS;
    }
    return wisp_err_set(err, is_damage(code) ? WISP_ERR_INVALID : WISP_ERR_OS, "state file `%s`: %s", file->path,
                        file->db ? sqlite3_errmsg(file->db) : "out of memory");
}

static void close_db(struct wisp_state_file *file)
{
    sqlite3_finalize(WISP_TAKE(file->put));
    sqlite3_close(WISP_TAKE(file->db));
}

static int run(struct wisp_state_file *file, const char *sql, struct wisp_err *err)
{
    return sqlite3_exec(file->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(file, err);
}

static int check(struct wisp_state_file *file, struct wisp_err *err)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(file->db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK)
        return fail(file, err);
    int r = 0, code = sqlite3_step(statement);
    const char *verdict = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        r = fail(file, err);
    else if (verdict && strcmp(verdict, "ok") != 0)
        r = wisp_err_set(err, WISP_ERR_INVALID, "state file `%s`: %s", file->path, verdict);
    sqlite3_finalize(statement);
    return r;
}

static int open_db(struct wisp_state_file *file, struct wisp_err *err)
{
    /* Made here so that nobody else may read it; SQLite gives its log the same mode. */
    int fd = open(file->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        wisp_err_os(err, errno, "open `%s`", file->path);
        if (err) err->kind = WISP_ERR_OS;
        return -WISP_ERR_OS;
    }
    close(fd);
    int r = 0;
    if (sqlite3_open_v2(file->path, &file->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        r = fail(file, err);
    if (r == 0) r = run(file, setup_sql, err);
    if (r == 0 && sqlite3_prepare_v3(file->db, put_sql, -1, SQLITE_PREPARE_PERSISTENT, &file->put, NULL) != SQLITE_OK)
        r = fail(file, err);
    if (r < 0) close_db(file);
    return r;
}

/* --- reading --- */

static bool take_row(sqlite3_stmt *statement, struct wisp_state_table *table, uint64_t *revision)
{
    struct wisp_str key = {(const char *)sqlite3_column_text(statement, 1), (size_t)sqlite3_column_bytes(statement, 1)};
    const void *bytes = sqlite3_column_blob(statement, 2);
    size_t size = (size_t)sqlite3_column_bytes(statement, 2);
    int64_t bucket = sqlite3_column_int64(statement, 0), number = sqlite3_column_int64(statement, 3);
    if (number > 0 && (uint64_t)number > *revision) *revision = (uint64_t)number;
    if (sqlite3_column_type(statement, 2) == SQLITE_NULL) return true;
    if (bucket < 0 || bucket >= WISP_STATE_BUCKET_COUNT || number <= 0 || size > WISP_STATE_VALUE_MAX ||
        !wisp_state_key_is_valid(key))
        return false;
    struct wisp_state_entry *entry = wisp_state_table_add(table, (enum wisp_state_bucket)bucket, key);
    if (!entry) return false;
    wisp_buf_append(&entry->value, bytes, size);
    entry->revision = (uint64_t)number;
    return true;
}

static int read_all(struct wisp_state_file *file, struct wisp_state_table *table, uint64_t *revision,
                    struct wisp_err *err)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(file->db, all_sql, -1, &statement, NULL) != SQLITE_OK) return fail(file, err);
    int code, r = 0;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && r == 0)
        if (!take_row(statement, table, revision))
            r = wisp_err_set(err, WISP_ERR_INVALID, "state file `%s`: a row makes no sense", file->path);
    if (r == 0 && code != SQLITE_DONE) r = fail(file, err);
    sqlite3_finalize(statement);
    return r;
}

static int open_and_read(struct wisp_state_file *file, struct wisp_state_table *table, uint64_t *revision,
                         struct wisp_err *err)
{
    int r = open_db(file, err);
    if (r == 0) r = check(file, err);
    if (r == 0) r = read_all(file, table, revision, err);
    if (r < 0) {
        close_db(file);
        wisp_state_table_deinit(table);
        *revision = 0;
    }
    return r;
}

/* --- damage --- */

static bool rename_to(const char *path, const char *suffix, const char *stamp)
{
    WISP_CLEANUP_BUF struct wisp_buf from = {0}, to = {0};
    wisp_buf_printf(&from, "%s%s", path, suffix);
    wisp_buf_printf(&to, "%s.damaged-%s%s", path, stamp, suffix);
    wisp_buf_append_char(&from, '\0');
    wisp_buf_append_char(&to, '\0');
    return rename(from.data, to.data) == 0;
}

static void set_aside(struct wisp_state_file *file, const struct wisp_err *reason)
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm parts;
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &parts));
    close_db(file);
    rename_to(file->path, "-wal", stamp);
    rename_to(file->path, "-journal", stamp);
    bool is_moved = rename_to(file->path, "", stamp);
    WISP_LOG(ERROR, "state",
             is_moved ? "the state file is damaged; it was set aside and a new one is begun"
                      : "the state file is damaged and can't be set aside",
             WISP_TEXT("file", file->path), WISP_TEXT("suffix", stamp), WISP_TEXT("reason", reason->text));
}

/* Later than any revision the lost file can have had. */
static uint64_t first_revision_after_damage(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000;
}

/* --- a directory that can't be written to --- */

static bool copy_file(const char *from, const char *to)
{
    WISP_CLEANUP_FD int in = open(from, O_RDONLY | O_CLOEXEC);
    WISP_CLEANUP_FD int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    WISP_CLEANUP_FREE char *bytes = wisp_mem_alloc(COPY_SIZE);
    if (in < 0 || out < 0) return false;
    for (;;) {
        ssize_t n = read(in, bytes, COPY_SIZE);
        if (n <= 0) return n == 0;
        if (write(out, bytes, (size_t)n) != n) return false;
    }
}

/* SQLite needs to write to read what is in the log, so it works on a copy. */
static void read_copy(struct wisp_state_file *file, struct wisp_state_table *table, uint64_t *revision)
{
    char directory[] = "/tmp/wisp-state-XXXXXX";
    if (!mkdtemp(directory)) return;
    struct wisp_state_file copy = {.lock_fd = -1};
    WISP_CLEANUP_BUF struct wisp_buf log_from = {0}, log_to = {0}, to = {0};
    wisp_buf_printf(&to, "%s/state.db%c", directory, 0);
    wisp_buf_printf(&log_to, "%s/state.db-wal%c", directory, 0);
    wisp_buf_printf(&log_from, "%s-wal%c", file->path, 0);
    copy.path = to.data;
    bool has_copy =
        copy_file(file->path, to.data) && (access(log_from.data, F_OK) != 0 || copy_file(log_from.data, log_to.data));
    struct wisp_err err = {0};
    if (has_copy && open_and_read(&copy, table, revision, &err) < 0)
        WISP_LOG(ERROR, "state", "the state file can't be read", WISP_TEXT("reason", err.text));
    close_db(&copy);
    unlink(log_to.data);
    unlink(to.data);
    rmdir(directory);
}

/* --- life --- */

static int make_directory(const char *directory)
{
    WISP_CLEANUP_FREE char *path = wisp_mem_dup(wisp_str_from(directory));
    for (char *at = path + 1; *at; at++) {
        if (*at != '/') continue;
        *at = '\0';
        mkdir(path, 0755); /* what is wrong shows at the last one */
        *at = '/';
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

/* 0 with or without a lock; without: the directory can't be written to, `cause` says why. */
static int take_lock(struct wisp_state_file *file, struct wisp_err *cause, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf path = {0};
    int r = make_directory(file->directory);
    if (r < 0) {
        wisp_err_os(cause, -r, "make directory `%s`", file->directory);
        return 0;
    }
    wisp_buf_printf(&path, "%s/state.lock%c", file->directory, 0);
    file->lock_fd = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file->lock_fd < 0) {
        wisp_err_os(cause, errno, "open `%s`", path.data);
        return 0;
    }
    if (flock(file->lock_fd, LOCK_EX | LOCK_NB) == 0) return 0;
    r = errno == EWOULDBLOCK
            ? wisp_err_set(err, WISP_ERR_EXISTS, "the state in `%s` is in use by another process", file->directory)
            : wisp_err_os(err, errno, "lock `%s`", path.data);
    wisp_fd_closep(&file->lock_fd);
    return r;
}

static void go_on_in_memory(const struct wisp_state_file *file, const struct wisp_err *cause)
{
    WISP_LOG(ERROR, "state", "the state file can't be written; writes to the lattice's state will fail",
             WISP_TEXT("file", file->path), WISP_TEXT("reason", cause->text));
}

int wisp_state_file_open(struct wisp_state_file *file, const char *directory, struct wisp_state_table *table,
                         uint64_t *ret_revision, struct wisp_err *err)
{
    struct wisp_err cause = {0};
    struct wisp_buf path = {0};
    wisp_buf_printf(&path, "%s/state.db%c", directory, 0);
    *file =
        (struct wisp_state_file){.directory = wisp_mem_dup(wisp_str_from(directory)), .path = path.data, .lock_fd = -1};
    *ret_revision = 0;
    int r = take_lock(file, &cause, err);
    if (r < 0) return r;
    if (file->lock_fd < 0) {
        read_copy(file, table, ret_revision);
        go_on_in_memory(file, &cause);
        return 0;
    }
    r = open_and_read(file, table, ret_revision, &cause);
    if (r == -WISP_ERR_INVALID) {
        set_aside(file, &cause);
        *ret_revision = first_revision_after_damage();
        file->is_behind = true;
        r = open_db(file, &cause);
    } else if (r < 0) {
        read_copy(file, table, ret_revision);
    }
    if (r < 0) go_on_in_memory(file, &cause);
    if (r == 0) r = run(file, forget_sql, &cause); /* only saves room */
    return 0;
}

void wisp_state_file_close(struct wisp_state_file *file)
{
    close_db(file);
    wisp_fd_closep(&file->lock_fd); /* gives the lock up */
    free(file->directory);
    free(file->path);
    file->directory = file->path = NULL;
}

/* --- writing --- */

/* A deleted key that nobody has had. */
int wisp_state_file_keep_revision(struct wisp_state_file *file, uint64_t revision, struct wisp_err *err)
{
    return wisp_state_file_put(file, WISP_STATE_LATTICE, WISP_STR("-"), NULL, revision, err);
}

static int rewrite(struct wisp_state_file *file, const struct wisp_state_table *table, uint64_t revision,
                   struct wisp_err *err)
{
    int r = run(file, "DELETE FROM entry", err);
    for (struct wisp_state_entry *entry = table->first; r == 0 && entry; entry = entry->next) {
        struct wisp_str value = wisp_buf_str(&entry->value);
        if (entry->revision) r = wisp_state_file_put(file, entry->bucket, entry->key, &value, entry->revision, err);
    }
    if (r == 0 && revision) r = wisp_state_file_keep_revision(file, revision, err);
    return r;
}

static int try_begin(struct wisp_state_file *file, const struct wisp_state_table *table, uint64_t revision,
                     struct wisp_err *err)
{
    if (file->lock_fd < 0) {
        struct wisp_err cause = {0};
        if (take_lock(file, &cause, &cause) < 0 || file->lock_fd < 0)
            return wisp_err_set(err, WISP_ERR_OS, "%s", cause.text);
    }
    if (!file->db) {
        file->is_behind = true;
        int r = open_db(file, err);
        if (r < 0) return r;
    }
    int r = run(file, "BEGIN IMMEDIATE", err);
    if (r == 0 && file->is_behind) r = rewrite(file, table, revision, err);
    return r;
}

int wisp_state_file_begin(struct wisp_state_file *file, const struct wisp_state_table *table, uint64_t revision,
                          struct wisp_err *err)
{
    int r = try_begin(file, table, revision, err);
    if (r != -WISP_ERR_INVALID) return r;
    wisp_state_file_rollback(file);
    return try_begin(file, table, revision, err);
}

int wisp_state_file_put(struct wisp_state_file *file, enum wisp_state_bucket bucket, struct wisp_str key,
                        const struct wisp_str *value, uint64_t revision, struct wisp_err *err)
{
    sqlite3_stmt *put = file->put;
    sqlite3_bind_int(put, 1, (int)bucket);
    sqlite3_bind_text(put, 2, key.ptr, (int)key.len, SQLITE_STATIC);
    if (value)
        sqlite3_bind_blob(put, 3, value->len ? value->ptr : "", (int)value->len, SQLITE_STATIC);
    else
        sqlite3_bind_null(put, 3);
    sqlite3_bind_int64(put, 4, (int64_t)revision);
    int r = sqlite3_step(put) == SQLITE_DONE ? 0 : fail(file, err);
    sqlite3_reset(put);
    sqlite3_clear_bindings(put);
    return r;
}

int wisp_state_file_commit(struct wisp_state_file *file, struct wisp_err *err)
{
    int r = run(file, "COMMIT", err);
    if (r == 0) {
        file->is_behind = false;
        return 0;
    }
    /* Nobody knows what is on disk now. */
    wisp_state_file_rollback(file);
    return r;
}

void wisp_state_file_rollback(struct wisp_state_file *file)
{
    struct wisp_err reason = {0};
    if (!file->db) return;
    int code = file->last_code;
    wisp_err_set(&reason, WISP_ERR_INVALID, "%s", sqlite3_errmsg(file->db));
    sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
    file->is_behind = true;
    if (is_damage(code))
        set_aside(file, &reason);
    else if (code == SQLITE_IOERR || code == SQLITE_CANTOPEN)
        close_db(file); /* opened anew, and so looked through, with the next batch */
}
