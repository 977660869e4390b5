/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map.h"
#include "capability/postgres/pool.h"

#include <libpq-fe.h>

enum {
    WISP_PG_CONNECT_MS = 5000,
    WISP_PG_IDLE_MS = 60000, /* then a connection is closed */
    WISP_PG_RETRY_MIN_MS = 100,
    WISP_PG_RETRY_MAX_MS = 4000,
    WISP_PG_STATEMENTS_MAX = 256,           /* prepared on one connection */
    WISP_PG_STATEMENTS_BYTES_MAX = 4 << 20, /* of their text; more: all are forgotten first */
    WISP_PG_TYPES_MAX = 4096,               /* remembered */
    WISP_PG_ADDRESSES_MAX = 8,              /* of a host, tried in order */
};

/* A type that this database alone has, or a built-in one that no pg-value is made for. */
struct wisp_pg_own_type {
    struct wisp_pg_type type;
    bool is_known; /* type.tag says how it is read */
    char name[64];
};

struct wisp_pg_pool {
    uv_loop_t *loop;
    struct wisp_arena texts; /* of the options */
    struct wisp_pg_options options;
    char *password;
    struct wisp_link waiting; /* jobs */
    struct wisp_link idle;    /* connections, the least recently used first */
    struct wisp_link busy;    /* others: connecting, or at work */
    size_t n_waiting, n_connecting;
    unsigned n_conns;
    uv_timer_t *timer;
    uint64_t retry_ms, retry_at_ms; /* not before it */
    struct wisp_err trouble;
    struct wisp_pg_own_type *types;
    size_t n_types;
    int money_digits;
    bool is_dispatching;
};

struct wisp_pg_statement {
    char *sql;
    unsigned number; /* its name is "w" and this */
};

struct wisp_pg_conn {
    struct wisp_link link;
    struct wisp_pg_pool *pool;
    enum wisp_pg_step {
        WISP_PG_STEP_RESOLVE,
        WISP_PG_STEP_CONNECT,
        WISP_PG_STEP_IDLE,
        WISP_PG_STEP_FORGET, /* all prepared statements */
        WISP_PG_STEP_PREPARE,
        WISP_PG_STEP_MAIN,
        WISP_PG_STEP_TYPES,
        WISP_PG_STEP_ROLLBACK, /* nobody may leave a transaction to the next */
    } step;
    uint64_t since_ms; /* of idle, connect */
    struct wisp_pg_resolution *resolution;
    PGconn *pq;
    uv_poll_t *poll;
    struct wisp_pg_job *job;
    struct wisp_map statements; /* by their text */
    size_t statements_bytes;
    unsigned next_statement;
    bool is_stale; /* its statements are to be forgotten */
};

/* conn.c */
void wisp_pg_conn_open(struct wisp_pg_pool *pool);
/* Closes it; its job ends with the error. */
void wisp_pg_conn_drop(struct wisp_pg_conn *conn, const struct wisp_err *err);
/* An idle one. */
void wisp_pg_conn_start(struct wisp_pg_conn *conn, struct wisp_pg_job *job);
/* Tells the server to stop what this connection does, from a thread of libuv's. */
void wisp_pg_conn_interrupt(struct wisp_pg_conn *conn);

/* pool.c */
void wisp_pg_pool_dispatch(struct wisp_pg_pool *pool);
void wisp_pg_pool_connected(struct wisp_pg_pool *pool);
/* is_refused: the server was reached and does not want us; it makes no sense to wait. */
void wisp_pg_pool_connect_failed(struct wisp_pg_pool *pool, const struct wisp_err *err, bool is_refused);
/* on_end, with the error that the job carries when `err` is NULL. */
void wisp_pg_job_end(struct wisp_pg_job *job, const struct wisp_err *err);

/* result.c */
void wisp_pg_job_fail(struct wisp_pg_job *job, enum wisp_pg_fault fault, enum wisp_err_kind kind, const char *format,
                      ...) __attribute__((format(printf, 4, 5)));
/* The server's error. */
void wisp_pg_job_fail_with(struct wisp_pg_job *job, const PGresult *result);
/* Takes the result, one row. */
void wisp_pg_job_add_take(struct wisp_pg_job *job, struct wisp_pg_pool *pool, PGresult *result);
/* Asks for the types that the job's results need. */
int wisp_pg_types_send(struct wisp_pg_conn *conn);
void wisp_pg_types_receive(struct wisp_pg_pool *pool, const PGresult *result);
/* Reads the held results, with the types that are known now. */
void wisp_pg_job_read_held(struct wisp_pg_job *job, struct wisp_pg_pool *pool);
void wisp_pg_job_drop_held(struct wisp_pg_job *job);
