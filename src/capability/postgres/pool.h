/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to one PostgreSQL database that jobs share, each for as long as it takes. Made when they are needed, up
 * to a number; made again after they are lost, with growing pauses; closed when nobody needs them for a while.
 *
 * One loop, one thread; nothing blocks. */
#pragma once

#include "base/ring.h"
#include "capability/postgres/value.h"

#include <uv.h>

enum {
    WISP_PG_WAITING_MAX = 10000,         /* jobs that wait for a connection */
    WISP_PG_RESULT_BYTES_MAX = 64 << 20, /* what one query may answer, as it is in memory */
};

/* Texts are copied. */
struct wisp_pg_options {
    const char *host; /* a name, an address, or the folder of a Unix socket ("/run/postgresql") */
    uint16_t port;
    const char *user, *password, *database; /* password: may be empty */
    bool is_tls_required;
    const char *tls_ca_path; /* NULL: the server's certificate is not checked */
    unsigned connections_max;
    uint64_t wait_ms; /* that a job may wait for a connection */
};

struct wisp_pg_entry_of_row {
    struct wisp_str name;
    struct wisp_pg_value value;
};
struct wisp_pg_row {
    struct wisp_pg_entry_of_row *entries;
    size_t n;
};

enum wisp_pg_fault {
    WISP_PG_FAULT_PARAMS, /* a parameter's value */
    WISP_PG_FAULT_QUERY,  /* the statement */
    WISP_PG_FAULT_OTHER,
};

/* Something to do on a connection. The caller's, from run until on_end or cancel. */
struct wisp_pg_job {
    enum wisp_pg_job_kind {
        WISP_PG_JOB_QUERY,   /* one statement with parameters; gives rows */
        WISP_PG_JOB_BATCH,   /* statements; gives nothing */
        WISP_PG_JOB_PREPARE, /* tries a statement; gives nothing */
        WISP_PG_JOB_EXEC,    /* one statement that is prepared where it isn't; gives a number */
    } kind;
    const char *sql;
    const struct wisp_pg_param *params;
    int n_params;
    struct wisp_arena *arena; /* for what it gives */

    struct wisp_pg_row *rows;
    size_t n_rows;
    uint64_t n_affected;
    enum wisp_pg_fault fault; /* with an error */
    void (*on_end)(struct wisp_pg_job *job, const struct wisp_err *err);

    /* --- the pool's --- */
    struct wisp_link link;
    uint64_t deadline_ms;
    struct wisp_pg_conn *conn; /* NULL: it waits */
    size_t budget, rows_capacity;
    struct wisp_pg_column *columns;
    int n_columns;
    struct wisp_buf held; /* results whose types must be asked for: pg_result *[] */
    bool is_retried, is_failed;
    struct wisp_err err; /* of is_failed */
};

struct wisp_pg_pool;
struct wisp_pg_pool *wisp_pg_pool_new(uv_loop_t *loop, const struct wisp_pg_options *options)
    __attribute__((returns_nonnull));
/* There are no jobs any more. Its handles close in the loop's next turns. NULL is fine. */
void wisp_pg_pool_free(struct wisp_pg_pool *pool);
/* on_end comes from the loop, or before this returns. LIMIT, and no on_end, when too many wait. */
int wisp_pg_pool_run(struct wisp_pg_pool *pool, struct wisp_pg_job *job, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* What the server is doing for it is cancelled too; without on_end. */
void wisp_pg_pool_cancel(struct wisp_pg_pool *pool, struct wisp_pg_job *job);
