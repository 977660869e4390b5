/* SPDX-License-Identifier: Apache-2.0 */
/* The local backend: what is there is in memory; the file says it again, first.
 *
 *     local.c        the calls of state.h, batches, what others are told
 *     local_file.c   the SQLite file
 *     local_serve.c  the service on the bus (wire.h) */
#pragma once

#include "state/state_priv.h"
#include "state/wire.h"

#include <sqlite3.h>

/* --- the file --- */

struct wisp_state_file {
    char *directory, *path;
    int lock_fd; /* -1: the directory can't be written to */
    sqlite3 *db; /* NULL: not to be had now; tried again with the next batch */
    sqlite3_stmt *put;
    int last_code;  /* SQLite's, of the last failure */
    bool is_behind; /* it may differ from memory: all of it is written with the next batch */
};

/* Fills the table and the highest revision. EXISTS when another process has it open; what else is wrong with it is said
 * in the log, and the table holds what could be read. */
int wisp_state_file_open(struct wisp_state_file *file, const char *directory, struct wisp_state_table *table,
                         uint64_t *ret_revision, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_state_file_close(struct wisp_state_file *file);
/* One batch. After a failure of begin or put comes rollback; after one of commit nothing. `table` is what memory has
 * before the batch, `revision` its highest. */
int wisp_state_file_begin(struct wisp_state_file *file, const struct wisp_state_table *table, uint64_t revision,
                          struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_state_file_put(struct wisp_state_file *file, enum wisp_state_bucket bucket, struct wisp_str key,
                        const struct wisp_str *value, uint64_t revision, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* The count of revisions goes on from there when the file is opened again. */
int wisp_state_file_keep_revision(struct wisp_state_file *file, uint64_t revision, struct wisp_err *err)
    __attribute__((warn_unused_result));
int wisp_state_file_commit(struct wisp_state_file *file, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_state_file_rollback(struct wisp_state_file *file);

/* --- the state --- */

enum {
    WISP_STATE_QUEUE_MAX = 1 << 20, /* writes that wait for one commit */
    WISP_STATE_QUEUE_BYTES_MAX = 256 << 20,
    WISP_STATE_BYTES_MAX = 1 << 30, /* all keys and values */
    WISP_STATE_RENEWALS_MAX = 4096, /* that the file does not know of */
};

/* One write on its way to the file; the caller is here, or at the other end of the bus. */
struct wisp_state_write {
    struct wisp_state_write *next;
    enum wisp_state_bucket bucket;
    struct wisp_str key, value, reply; /* behind the struct */
    bool has_value;
    bool is_renewal; /* the value is the one that was there */
    int64_t expected;
    wisp_state_on_written *on_written;
    void *env;
    struct wisp_state_entry *entry; /* once accepted, unless nothing is to be done */
    uint64_t revision;
    struct wisp_err err;
};

struct wisp_state_service {
    struct wisp_bus_subscription *hello, *read, *write;
    char changed[WISP_STATE_SUBJECT_MAX];
    struct wisp_buf page; /* scratch */
};

struct wisp_state_local {
    struct wisp_state state;
    struct wisp_state_file file;
    struct wisp_state_table table;
    uint64_t revision;      /* the highest that is committed */
    uint64_t revision_kept; /* the file will not begin below it */
    size_t bytes;           /* of all keys and values */
    struct wisp_state_write *queue, **queue_end;
    size_t queue_count, queue_bytes;
    bool is_loaded; /* told so */
    char owner[WISP_STATE_OWNER_LEN + 1];
    struct wisp_state_service service;
};

/* Puts it into the queue, or answers at once that it can't be. */
void wisp_state_local_enqueue(struct wisp_state_local *local, const struct wisp_state_record *record, int64_t expected,
                              struct wisp_str reply, wisp_state_on_written *on_written, void *env);

int wisp_state_service_start(struct wisp_state_local *local, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_state_service_stop(struct wisp_state_local *local);
/* `value` NULL: deleted. */
void wisp_state_service_publish(struct wisp_state_local *local, const struct wisp_state_record *record);
/* Here I am. */
void wisp_state_service_announce(struct wisp_state_local *local);
void wisp_state_service_answer(struct wisp_state_local *local, struct wisp_str reply, uint64_t revision,
                               const struct wisp_err *err);
