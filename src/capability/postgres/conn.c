/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: libpq's non-blocking calls on a uv_poll. A job goes through steps, each of which sends something and
 * ends when the server has nothing more to say to it:
 *
 *     query, batch          main [types] [rollback]
 *     prepare               [forget] [prepare]
 *     exec                  [forget] [prepare] main [rollback]      and once more when the server has lost a statement
 */
#include "base/log.h"
#include "capability/postgres/pool_priv.h"

#include <netdb.h>
#include <stdlib.h>

static void on_ready(uv_poll_t *poll, int status, int events);
static void fail_connect(struct wisp_pg_conn *conn, const struct wisp_err *err, bool is_refused);

static int set_libpq(struct wisp_err *err, const char *what, PGconn *pq)
{
    const char *text = pq ? PQerrorMessage(pq) : "";
    size_t len = strlen(text);
    while (len && (text[len - 1] == '\n' || text[len - 1] == ' ')) len--;
    return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "%s%s%.*s", what, len ? ": " : "", (int)len, text);
}

/* --- its socket --- */

static void on_poll_closed(uv_handle_t *poll) { free(poll); }

static void unwatch(struct wisp_pg_conn *conn)
{
    if (!conn->poll) return;
    conn->poll->data = NULL;
    uv_poll_stop(conn->poll);
    uv_close((uv_handle_t *)WISP_TAKE(conn->poll), on_poll_closed);
}

static int watch(struct wisp_pg_conn *conn, int events, struct wisp_err *err)
{
    int r = 0;
    if (!conn->poll) {
        uv_poll_t *poll = wisp_mem_alloc(sizeof *poll);
        r = uv_poll_init(conn->pool->loop, poll, PQsocket(conn->pq));
        if (r < 0) {
            free(poll);
            return wisp_err_set(err, WISP_ERR_OS, "watching a connection: %s", uv_strerror(r));
        }
        poll->data = conn;
        conn->poll = poll;
    }
    r = uv_poll_start(conn->poll, events, on_ready);
    return r < 0 ? wisp_err_set(err, WISP_ERR_OS, "watching a connection: %s", uv_strerror(r)) : 0;
}

/* --- prepared statements --- */

static void forget_statements(struct wisp_pg_conn *conn)
{
    for (size_t i = 0; i < conn->statements.capacity; i++) {
        struct wisp_pg_statement *statement = conn->statements.slots[i].value;
        if (!statement) continue;
        free(statement->sql);
        free(statement);
    }
    wisp_map_deinit(&conn->statements);
    conn->statements_bytes = 0;
    conn->is_stale = false;
}

static void remember_statement(struct wisp_pg_conn *conn, const char *sql, unsigned number)
{
    struct wisp_pg_statement *statement = wisp_mem_alloc(sizeof *statement);
    *statement = (struct wisp_pg_statement){wisp_mem_dup(wisp_str_from(sql)), number};
    conn->statements_bytes += strlen(sql);
    bool is_new = wisp_map_add(&conn->statements, wisp_str_from(statement->sql), statement);
    assert(is_new); /* else it would not have been prepared */
    (void)is_new;
}

/* --- connecting --- */

/* Outlives its connection when that is dropped meanwhile. */
struct wisp_pg_resolution {
    uv_getaddrinfo_t request;
    struct wisp_pg_conn *conn;
};

struct parameters {
    const char *names[20], *values[20];
    unsigned n;
};
static void add(struct parameters *to, const char *name, const char *value)
{
    to->names[to->n] = name;
    to->values[to->n++] = value;
}

/* "h,h" for libpq, which wants as many names and ports as addresses. */
static void append_times(struct wisp_buf *out, const char *text, unsigned n)
{
    for (unsigned i = 0; i < n; i++) wisp_buf_printf(out, i ? ",%s" : "%s", text);
    wisp_buf_append_char(out, 0);
}

static void ignore_notice(void *env, const PGresult *notice)
{
    (void)env;
    (void)notice;
}

/* `addresses`: "A,B", n of them; NULL: the host is a folder. */
static void begin_connect(struct wisp_pg_conn *conn, const char *addresses, unsigned n)
{
    const struct wisp_pg_options *options = &conn->pool->options;
    WISP_CLEANUP_BUF struct wisp_buf hosts = {0}, ports = {0};
    struct parameters with = {.n = 0};
    char port[8];
    snprintf(port, sizeof port, "%u", options->port);
    append_times(&hosts, options->host, n);
    append_times(&ports, port, n);
    add(&with, "host", hosts.data);
    add(&with, "port", ports.data);
    if (addresses) add(&with, "hostaddr", addresses);
    add(&with, "user", options->user);
    add(&with, "password", options->password);
    add(&with, "dbname", options->database);
    add(&with, "client_encoding", "UTF8");
    add(&with, "application_name", "wisp");
    add(&with, "gssencmode", "disable");
    add(&with, "passfile", "/dev/null/none");
    add(&with, "sslmode", options->tls_ca_path ? "verify-full" : options->is_tls_required ? "require" : "prefer");
    if (options->tls_ca_path) add(&with, "sslrootcert", options->tls_ca_path);
    conn->step = WISP_PG_STEP_CONNECT;
    conn->pq = PQconnectStartParams(with.names, with.values, 0);
    if (conn->pq) PQsetNoticeReceiver(conn->pq, ignore_notice, NULL);
    struct wisp_err err;
    if (!conn->pq || PQstatus(conn->pq) == CONNECTION_BAD) {
        set_libpq(&err, "connecting", conn->pq);
        fail_connect(conn, &err, false);
    } else if (watch(conn, UV_WRITABLE, &err) < 0) {
        fail_connect(conn, &err, false);
    }
}

static void fail_connect(struct wisp_pg_conn *conn, const struct wisp_err *err, bool is_refused)
{
    struct wisp_pg_pool *pool = conn->pool;
    wisp_pg_conn_drop(conn, NULL);
    wisp_pg_pool_connect_failed(pool, err, is_refused);
    wisp_pg_pool_dispatch(pool);
}

static unsigned append_addresses(struct wisp_buf *out, const struct addrinfo *list)
{
    unsigned n = 0;
    for (; list && n < WISP_PG_ADDRESSES_MAX; list = list->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST)) continue;
        wisp_buf_printf(out, n++ ? ",%s" : "%s", text);
    }
    wisp_buf_append_char(out, 0);
    return n;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct wisp_pg_resolution *resolution = WISP_OWNER(request, struct wisp_pg_resolution, request);
    struct wisp_pg_conn *conn = resolution->conn;
    WISP_CLEANUP_BUF struct wisp_buf addresses = {0};
    unsigned n = status < 0 ? 0 : append_addresses(&addresses, list);
    if (conn) {
        conn->resolution = NULL;
        if (n) {
            begin_connect(conn, addresses.data, n);
        } else {
            struct wisp_err err;
            wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "host `%s`: %s", conn->pool->options.host,
                         status < 0 ? uv_strerror(status) : "it has no address");
            fail_connect(conn, &err, false);
        }
    }
    if (list) uv_freeaddrinfo(list);
    free(resolution);
}

void wisp_pg_conn_open(struct wisp_pg_pool *pool)
{
    struct wisp_pg_conn *conn = wisp_mem_calloc(1, sizeof *conn);
    conn->pool = pool;
    conn->since_ms = uv_now(pool->loop);
    wisp_ring_append(&pool->busy, &conn->link);
    pool->n_conns++;
    pool->n_connecting++;
    const char *host = pool->options.host;
    if (host[0] == '/' || host[0] == '@') {
        begin_connect(conn, NULL, 1);
        return;
    }
    struct wisp_pg_resolution *resolution = wisp_mem_alloc(sizeof *resolution);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int r = uv_getaddrinfo(pool->loop, &resolution->request, on_resolved, host, NULL, &hints);
    if (r < 0) {
        struct wisp_err err;
        free(resolution);
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "host `%s`: %s", host, uv_strerror(r));
        fail_connect(conn, &err, false);
        return;
    }
    resolution->conn = conn;
    conn->resolution = resolution;
}

static void become_idle(struct wisp_pg_conn *conn)
{
    struct wisp_err err;
    conn->step = WISP_PG_STEP_IDLE;
    conn->since_ms = uv_now(conn->pool->loop);
    wisp_ring_remove(&conn->link);
    wisp_ring_append(&conn->pool->idle, &conn->link);
    if (watch(conn, UV_READABLE, &err) < 0) wisp_pg_conn_drop(conn, &err);
}

/* A server that starts, stops or is full will want us again. Its words may be translated; then they count as a no. */
static bool is_passing(const char *text)
{
    static const char *const words[] = {"starting up",          "shutting down", "recovery",         "too many",
                                        "remaining connection", "unexpectedly",  "not yet accepting"};
    for (size_t i = 0; i < WISP_COUNT(words); i++)
        if (strstr(text, words[i])) return true;
    return false;
}

static void go_on_connecting(struct wisp_pg_conn *conn)
{
    struct wisp_err err;
    bool was_reached = PQstatus(conn->pq) >= CONNECTION_AWAITING_RESPONSE;
    unwatch(conn); /* libpq may close the socket and open another */
    switch (PQconnectPoll(conn->pq)) {
    case PGRES_POLLING_READING:
        if (watch(conn, UV_READABLE, &err) < 0) fail_connect(conn, &err, false);
        return;
    case PGRES_POLLING_WRITING:
        if (watch(conn, UV_WRITABLE, &err) < 0) fail_connect(conn, &err, false);
        return;
    case PGRES_POLLING_OK:
        PQsetnonblocking(conn->pq, 1);
        conn->pool->n_connecting--;
        wisp_pg_pool_connected(conn->pool);
        become_idle(conn);
        wisp_pg_pool_dispatch(conn->pool);
        return;
    default:
        set_libpq(&err, "connecting", conn->pq);
        fail_connect(conn, &err, was_reached && !is_passing(err.text));
    }
}

void wisp_pg_conn_drop(struct wisp_pg_conn *conn, const struct wisp_err *err)
{
    struct wisp_pg_pool *pool = conn->pool;
    struct wisp_pg_job *job = WISP_TAKE(conn->job);
    if (conn->step <= WISP_PG_STEP_CONNECT) pool->n_connecting--;
    pool->n_conns--;
    wisp_ring_remove(&conn->link);
    unwatch(conn);
    if (conn->resolution) conn->resolution->conn = NULL;
    PQfinish(conn->pq);
    forget_statements(conn);
    free(conn);
    if (!job) return;
    if (!job->is_failed) job->fault = WISP_PG_FAULT_OTHER;
    wisp_pg_job_end(job, job->is_failed ? NULL : err);
}

/* --- cancelling --- */

struct interruption {
    uv_work_t work;
    PGcancel *cancel;
};

static void interrupt(uv_work_t *work)
{
    char text[256];
    PQcancel(((struct interruption *)work)->cancel, text, sizeof text);
}

static void on_interrupted(uv_work_t *work, int status)
{
    (void)status;
    PQfreeCancel(((struct interruption *)work)->cancel);
    free(work);
}

void wisp_pg_conn_interrupt(struct wisp_pg_conn *conn)
{
    struct interruption *interruption = wisp_mem_calloc(1, sizeof *interruption);
    interruption->cancel = PQgetCancel(conn->pq);
    if (interruption->cancel && uv_queue_work(conn->pool->loop, &interruption->work, interrupt, on_interrupted) == 0)
        return;
    PQfreeCancel(interruption->cancel);
    free(interruption);
}

/* --- steps --- */

static void break_off(struct wisp_pg_conn *conn)
{
    struct wisp_err err;
    struct wisp_pg_pool *pool = conn->pool;
    set_libpq(&err, "the connection to the database is lost", conn->pq);
    wisp_pg_conn_drop(conn, &err);
    wisp_pg_pool_dispatch(pool);
}

/* What libpq holds goes out as far as the socket takes it. */
static int flush(struct wisp_pg_conn *conn, struct wisp_err *err)
{
    int r = PQflush(conn->pq);
    if (r < 0) return set_libpq(err, "the connection to the database is lost", conn->pq);
    return watch(conn, r ? UV_READABLE | UV_WRITABLE : UV_READABLE, err);
}

static int send_prepared(struct wisp_pg_conn *conn, const struct wisp_pg_job *job, const char *const *values,
                         const int *sizes, const int *formats)
{
    const struct wisp_pg_statement *statement = wisp_map_get(&conn->statements, wisp_str_from(job->sql));
    char name[16];
    snprintf(name, sizeof name, "w%u", statement->number);
    return PQsendQueryPrepared(conn->pq, name, job->n_params, values, sizes, formats, 1);
}

static int send_main(struct wisp_pg_conn *conn)
{
    struct wisp_pg_job *job = conn->job;
    size_t n = (size_t)job->n_params;
    const char **values = WISP_NEW_ARRAY(job->arena, const char *, n);
    int *sizes = WISP_NEW_ARRAY(job->arena, int, n), *formats = WISP_NEW_ARRAY(job->arena, int, n);
    Oid *types = WISP_NEW_ARRAY(job->arena, Oid, n);
    for (size_t i = 0; i < n; i++) {
        values[i] = job->params[i].bytes;
        sizes[i] = job->params[i].size;
        formats[i] = job->params[i].is_binary;
        types[i] = job->params[i].type;
    }
    int is_sent = job->kind == WISP_PG_JOB_BATCH ? PQsendQuery(conn->pq, job->sql)
                  : job->kind == WISP_PG_JOB_EXEC
                      ? send_prepared(conn, job, values, sizes, formats)
                      : PQsendQueryParams(conn->pq, job->sql, job->n_params, types, values, sizes, formats, 1);
    return is_sent && PQsetSingleRowMode(conn->pq);
}

static int send_prepare(struct wisp_pg_conn *conn)
{
    char name[16];
    snprintf(name, sizeof name, "w%u", conn->next_statement);
    return PQsendPrepare(conn->pq, name, conn->job->sql, 0, NULL);
}

static void enter(struct wisp_pg_conn *conn, enum wisp_pg_step step)
{
    struct wisp_err err;
    struct wisp_pg_pool *pool = conn->pool;
    int is_sent = 0;
    conn->step = step;
    switch (step) {
    case WISP_PG_STEP_FORGET:
        is_sent = PQsendQuery(conn->pq, "DEALLOCATE ALL");
        break;
    case WISP_PG_STEP_PREPARE:
        is_sent = send_prepare(conn);
        break;
    case WISP_PG_STEP_MAIN:
        is_sent = send_main(conn);
        break;
    case WISP_PG_STEP_TYPES:
        is_sent = wisp_pg_types_send(conn);
        break;
    case WISP_PG_STEP_ROLLBACK:
        is_sent = PQsendQuery(conn->pq, "ROLLBACK");
        break;
    default:
        break;
    }
    if (is_sent && flush(conn, &err) == 0) return;
    if (!is_sent) set_libpq(&err, "sending a query", conn->pq);
    wisp_pg_conn_drop(conn, &err);
    wisp_pg_pool_dispatch(pool);
}

static void finish(struct wisp_pg_conn *conn);

static void begin_job(struct wisp_pg_conn *conn)
{
    const struct wisp_pg_job *job = conn->job;
    bool is_prepared = job->kind == WISP_PG_JOB_EXEC || job->kind == WISP_PG_JOB_PREPARE;
    if (!is_prepared) {
        enter(conn, WISP_PG_STEP_MAIN);
    } else if (conn->is_stale || conn->statements.count >= WISP_PG_STATEMENTS_MAX ||
               conn->statements_bytes >= WISP_PG_STATEMENTS_BYTES_MAX) {
        enter(conn, WISP_PG_STEP_FORGET);
    } else if (!wisp_map_get(&conn->statements, wisp_str_from(job->sql))) {
        enter(conn, WISP_PG_STEP_PREPARE);
    } else if (job->kind == WISP_PG_JOB_EXEC) {
        enter(conn, WISP_PG_STEP_MAIN);
    } else {
        finish(conn); /* it was tried before */
    }
}

void wisp_pg_conn_start(struct wisp_pg_conn *conn, struct wisp_pg_job *job)
{
    wisp_ring_remove(&conn->link);
    wisp_ring_append(&conn->pool->busy, &conn->link);
    conn->job = job;
    job->conn = conn;
    begin_job(conn);
}

/* The connection is free again, or cleans up first; the job, if there still is one, ends. */
static void finish(struct wisp_pg_conn *conn)
{
    struct wisp_pg_pool *pool = conn->pool;
    struct wisp_pg_job *job = WISP_TAKE(conn->job);
    if (PQtransactionStatus(conn->pq) == PQTRANS_IDLE)
        become_idle(conn);
    else if (conn->step == WISP_PG_STEP_ROLLBACK)
        wisp_pg_conn_drop(conn, NULL);
    else
        enter(conn, WISP_PG_STEP_ROLLBACK);
    if (job) wisp_pg_job_end(job, NULL);
    wisp_pg_pool_dispatch(pool);
}

/* The server has lost a prepared statement, or can't use it any more. */
static bool is_worth_retrying(const struct wisp_pg_conn *conn, const PGresult *result)
{
    const struct wisp_pg_job *job = conn->job;
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return job && job->kind == WISP_PG_JOB_EXEC && conn->step == WISP_PG_STEP_MAIN && !job->is_retried && state &&
           (strcmp(state, "26000") == 0 || strcmp(state, "0A000") == 0);
}

/* All results of a step have come. */
static void end_step(struct wisp_pg_conn *conn)
{
    struct wisp_pg_job *job = conn->job;
    if (!job || conn->step == WISP_PG_STEP_ROLLBACK) {
        finish(conn);
    } else if (conn->is_stale && conn->step == WISP_PG_STEP_MAIN) {
        begin_job(conn);
    } else if (job->is_failed) {
        finish(conn);
    } else if (conn->step == WISP_PG_STEP_FORGET) {
        forget_statements(conn);
        begin_job(conn);
    } else if (conn->step == WISP_PG_STEP_PREPARE) {
        remember_statement(conn, job->sql, conn->next_statement++);
        if (job->kind == WISP_PG_JOB_EXEC)
            enter(conn, WISP_PG_STEP_MAIN);
        else
            finish(conn);
    } else if (conn->step == WISP_PG_STEP_MAIN && job->held.len) {
        enter(conn, WISP_PG_STEP_TYPES);
    } else {
        if (conn->step == WISP_PG_STEP_TYPES) wisp_pg_job_read_held(job, conn->pool);
        finish(conn);
    }
}

/* False: it can't go on with this connection. */
static bool receive(struct wisp_pg_conn *conn, PGresult *result)
{
    struct wisp_pg_job *job = conn->job;
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
        if (job && job->kind == WISP_PG_JOB_QUERY && conn->step == WISP_PG_STEP_MAIN && !job->is_failed) {
            wisp_pg_job_add_take(job, conn->pool, result);
            return !(job->is_failed && job->err.kind == WISP_ERR_LIMIT);
        }
        break;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        if (conn->step == WISP_PG_STEP_TYPES) wisp_pg_types_receive(conn->pool, result);
        if (job && conn->step == WISP_PG_STEP_MAIN) job->n_affected = strtoull(PQcmdTuples(result), NULL, 10);
        break;
    case PGRES_EMPTY_QUERY:
        break;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        if (job)
            wisp_pg_job_fail(job, WISP_PG_FAULT_QUERY, WISP_ERR_UNSUPPORTED,
                             "COPY from or to the client is not possible here");
        PQclear(result);
        return false;
    default:
        if (is_worth_retrying(conn, result))
            job->is_retried = conn->is_stale = true;
        else if (job && conn->step != WISP_PG_STEP_ROLLBACK)
            wisp_pg_job_fail_with(job, result);
        break;
    }
    PQclear(result);
    return true;
}

static void read_results(struct wisp_pg_conn *conn)
{
    PGnotify *note;
    while ((note = PQnotifies(conn->pq))) PQfreemem(note);
    while (!PQisBusy(conn->pq)) {
        PGresult *result = PQgetResult(conn->pq);
        if (!result) {
            if (PQstatus(conn->pq) == CONNECTION_BAD)
                break_off(conn);
            else if (conn->step != WISP_PG_STEP_IDLE)
                end_step(conn);
            return;
        }
        if (receive(conn, result)) continue;
        struct wisp_pg_pool *pool = conn->pool;
        wisp_pg_conn_interrupt(conn);
        wisp_pg_conn_drop(conn, NULL);
        wisp_pg_pool_dispatch(pool);
        return;
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct wisp_pg_conn *conn = poll->data;
    struct wisp_err err;
    if (!conn) return;
    if (conn->step == WISP_PG_STEP_CONNECT) {
        go_on_connecting(conn);
        return;
    }
    if (status == 0 && (events & UV_WRITABLE) && flush(conn, &err) < 0) {
        break_off(conn);
        return;
    }
    if (status == 0 && !(events & UV_READABLE)) return;
    if (PQconsumeInput(conn->pq) && status == 0) { /* an error of the socket's stops the poll for good */
        read_results(conn);
        return;
    }
    /* The server may have said why, before it closed. */
    PGresult *result = conn->job && !PQisBusy(conn->pq) ? PQgetResult(conn->pq) : NULL;
    if (result && PQresultErrorField(result, PG_DIAG_SQLSTATE)) wisp_pg_job_fail_with(conn->job, result);
    PQclear(result);
    break_off(conn);
}
