/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "capability/postgres/pool_priv.h"

#include <stdlib.h>
#include <sys/random.h>

/* --- jobs --- */

void wisp_pg_job_end(struct wisp_pg_job *job, const struct wisp_err *err)
{
    struct wisp_err own;
    wisp_pg_job_drop_held(job);
    job->conn = NULL;
    if (!err && job->is_failed) {
        own = job->err;
        err = &own;
    }
    job->on_end(job, err);
}

static void take_from_waiting(struct wisp_pg_pool *pool, struct wisp_pg_job *job)
{
    wisp_ring_remove(&job->link);
    pool->n_waiting--;
}

/* All that wait now end with this. */
static void fail_waiting(struct wisp_pg_pool *pool, const struct wisp_err *err)
{
    for (size_t n = pool->n_waiting; n && !wisp_ring_is_empty(&pool->waiting); n--) {
        struct wisp_pg_job *job = WISP_OWNER(pool->waiting.next, struct wisp_pg_job, link);
        take_from_waiting(pool, job);
        job->fault = WISP_PG_FAULT_OTHER;
        wisp_pg_job_end(job, err);
    }
}

static void on_timer(uv_timer_t *timer);

/* --- time --- */

static void arm(struct wisp_pg_pool *pool)
{
    uint64_t due = UINT64_MAX, now = uv_now(pool->loop);
    if (!wisp_ring_is_empty(&pool->waiting)) {
        due = WISP_OWNER(pool->waiting.next, struct wisp_pg_job, link)->deadline_ms;
        if (pool->retry_at_ms > now && pool->retry_at_ms < due) due = pool->retry_at_ms;
    }
    if (!wisp_ring_is_empty(&pool->idle)) {
        uint64_t end = WISP_OWNER(pool->idle.next, struct wisp_pg_conn, link)->since_ms + WISP_PG_IDLE_MS;
        if (end < due) due = end;
    }
    WISP_RING_EACH(at, &pool->busy)
    {
        struct wisp_pg_conn *conn = WISP_OWNER(at, struct wisp_pg_conn, link);
        if (conn->step > WISP_PG_STEP_CONNECT) continue;
        if (conn->since_ms + WISP_PG_CONNECT_MS < due) due = conn->since_ms + WISP_PG_CONNECT_MS;
    }
    if (due == UINT64_MAX)
        uv_timer_stop(pool->timer);
    else
        uv_timer_start(pool->timer, on_timer, due > now ? due - now : 0, 0);
}

static void end_late_jobs(struct wisp_pg_pool *pool, uint64_t now)
{
    while (!wisp_ring_is_empty(&pool->waiting)) {
        struct wisp_pg_job *job = WISP_OWNER(pool->waiting.next, struct wisp_pg_job, link);
        struct wisp_err err;
        if (job->deadline_ms > now) return;
        take_from_waiting(pool, job);
        if (pool->trouble.kind)
            wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "no connection to the database: %s", pool->trouble.text);
        else
            wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "all %u connections to the database are busy for %llu ms",
                         pool->options.connections_max, (unsigned long long)pool->options.wait_ms);
        job->fault = WISP_PG_FAULT_OTHER;
        wisp_pg_job_end(job, &err);
    }
}

static void drop_late_connects(struct wisp_pg_pool *pool, uint64_t now)
{
    struct wisp_err err;
    wisp_err_set(&err, WISP_ERR_TIMEOUT, "connecting takes longer than %d s", WISP_PG_CONNECT_MS / 1000);
    WISP_RING_EACH(at, &pool->busy)
    {
        struct wisp_pg_conn *conn = WISP_OWNER(at, struct wisp_pg_conn, link);
        if (conn->step > WISP_PG_STEP_CONNECT || conn->since_ms + WISP_PG_CONNECT_MS > now) continue;
        wisp_pg_conn_drop(conn, NULL);
        wisp_pg_pool_connect_failed(pool, &err, false);
        return; /* the others in the next turn: the ring has changed */
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct wisp_pg_pool *pool = timer->data;
    uint64_t now = uv_now(pool->loop);
    while (!wisp_ring_is_empty(&pool->idle)) {
        struct wisp_pg_conn *conn = WISP_OWNER(pool->idle.next, struct wisp_pg_conn, link);
        if (conn->since_ms + WISP_PG_IDLE_MS > now) break;
        wisp_pg_conn_drop(conn, NULL);
    }
    drop_late_connects(pool, now);
    end_late_jobs(pool, now);
    wisp_pg_pool_dispatch(pool);
}

/* --- who gets a connection --- */

void wisp_pg_pool_dispatch(struct wisp_pg_pool *pool)
{
    if (pool->is_dispatching) return;
    pool->is_dispatching = true;
    while (!wisp_ring_is_empty(&pool->waiting) && !wisp_ring_is_empty(&pool->idle)) {
        struct wisp_pg_job *job = WISP_OWNER(pool->waiting.next, struct wisp_pg_job, link);
        take_from_waiting(pool, job);
        wisp_pg_conn_start(WISP_OWNER(pool->idle.previous, struct wisp_pg_conn, link), job);
    }
    while (pool->n_connecting < pool->n_waiting && pool->n_conns < pool->options.connections_max &&
           uv_now(pool->loop) >= pool->retry_at_ms)
        wisp_pg_conn_open(pool);
    pool->is_dispatching = false;
    arm(pool);
}

void wisp_pg_pool_connected(struct wisp_pg_pool *pool)
{
    if (pool->trouble.kind)
        WISP_LOG(INFO, "postgres", "connected again", WISP_TEXT("host", pool->options.host),
                 WISP_TEXT("database", pool->options.database));
    pool->trouble.kind = WISP_ERR_NONE;
    pool->retry_ms = pool->retry_at_ms = 0;
}

void wisp_pg_pool_connect_failed(struct wisp_pg_pool *pool, const struct wisp_err *err, bool is_refused)
{
    uint8_t dice = 0;
    if (!pool->trouble.kind)
        WISP_LOG(WARN, "postgres", "cannot connect", WISP_TEXT("host", pool->options.host),
                 WISP_TEXT("database", pool->options.database), WISP_TEXT("error", err->text));
    pool->trouble = *err;
    pool->retry_ms = pool->retry_ms ? pool->retry_ms * 2 : WISP_PG_RETRY_MIN_MS;
    if (pool->retry_ms > WISP_PG_RETRY_MAX_MS) pool->retry_ms = WISP_PG_RETRY_MAX_MS;
    if (getrandom(&dice, 1, GRND_NONBLOCK) < 0) dice = 0;
    pool->retry_at_ms = uv_now(pool->loop) + pool->retry_ms * (512 + dice) / 768;
    if (is_refused && pool->n_conns == pool->n_connecting) fail_waiting(pool, err);
}

/* --- the pool --- */

static char *keep(struct wisp_pg_pool *pool, const char *text)
{
    return text ? wisp_arena_cstr(&pool->texts, wisp_str_from(text)) : NULL;
}

struct wisp_pg_pool *wisp_pg_pool_new(uv_loop_t *loop, const struct wisp_pg_options *options)
{
    struct wisp_pg_pool *pool = wisp_mem_calloc(1, sizeof *pool);
    *pool = (struct wisp_pg_pool){.loop = loop, .options = *options, .money_digits = WISP_PG_MONEY_UNKNOWN};
    pool->options.host = keep(pool, options->host);
    pool->options.user = keep(pool, options->user);
    pool->options.password = pool->password = keep(pool, options->password);
    pool->options.database = keep(pool, options->database);
    pool->options.tls_ca_path = keep(pool, options->tls_ca_path);
    wisp_ring_init(&pool->waiting);
    wisp_ring_init(&pool->idle);
    wisp_ring_init(&pool->busy);
    pool->timer = wisp_mem_alloc(sizeof *pool->timer);
    uv_timer_init(loop, pool->timer);
    pool->timer->data = pool;
    return pool;
}

static void on_timer_closed(uv_handle_t *timer) { free(timer); }

void wisp_pg_pool_free(struct wisp_pg_pool *pool)
{
    if (!pool) return;
    assert(wisp_ring_is_empty(&pool->waiting));
    pool->is_dispatching = true; /* no new ones */
    while (!wisp_ring_is_empty(&pool->idle))
        wisp_pg_conn_drop(WISP_OWNER(pool->idle.next, struct wisp_pg_conn, link), NULL);
    while (!wisp_ring_is_empty(&pool->busy))
        wisp_pg_conn_drop(WISP_OWNER(pool->busy.next, struct wisp_pg_conn, link), NULL);
    uv_close((uv_handle_t *)pool->timer, on_timer_closed);
    if (pool->password) explicit_bzero(pool->password, strlen(pool->password));
    wisp_arena_deinit(&pool->texts);
    free(pool->types);
    free(pool);
}

int wisp_pg_pool_run(struct wisp_pg_pool *pool, struct wisp_pg_job *job, struct wisp_err *err)
{
    if (pool->n_waiting >= WISP_PG_WAITING_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "%d queries wait for a connection to the database already",
                            WISP_PG_WAITING_MAX);
    job->deadline_ms = uv_now(pool->loop) + pool->options.wait_ms;
    job->budget = WISP_PG_RESULT_BYTES_MAX;
    job->conn = NULL;
    wisp_ring_append(&pool->waiting, &job->link);
    pool->n_waiting++;
    wisp_pg_pool_dispatch(pool);
    return 0;
}

void wisp_pg_pool_cancel(struct wisp_pg_pool *pool, struct wisp_pg_job *job)
{
    struct wisp_pg_conn *conn = job->conn;
    wisp_pg_job_drop_held(job);
    if (!conn) {
        take_from_waiting(pool, job);
    } else {
        conn->job = NULL;
        wisp_pg_conn_interrupt(conn);
        wisp_pg_conn_drop(conn, NULL);
    }
    wisp_pg_pool_dispatch(pool);
}
