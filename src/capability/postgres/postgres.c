/* SPDX-License-Identifier: Apache-2.0 */
/* `wisp://sqldb-postgres`: wasmcloud:postgres@0.1.1-draft over libpq. Each link has a pool of connections of its own,
 * or shares that of the links with the same settings when POSTGRES_SHARE_CONNECTIONS_BY_URL says so.
 *
 * The token of a prepared statement is its text: so it is good on every connection, in every worker of the host, and
 * after a restart; a connection prepares the statement when it first gets it. It gives no rights that `query` would
 * not. */
#include "capability/postgres/postgres.h"
#include "base/log.h"
#include "capability/kinds.h"
#include "nkeys/nkeys.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEFAULT_PORT = 5432, DEFAULT_CONNECTIONS = 10, CONNECTIONS_MAX = 1000, DEFAULT_WAIT_MS = 10000 };

struct shared_pool {
    struct wisp_link link;
    struct wisp_pg_pool *pool;
    char *key; /* the settings; NULL: it isn't shared */
    size_t n_links;
};

struct state {
    struct wisp_link pools;
};

struct query_call {
    struct wisp_pg_job job;
    struct wisp_provider_call *call;
    struct wisp_pg_pool *pool;
    char *token; /* of prepare */
};

/* --- ends of calls --- */

/* Texts of servers, cut or in other encodings, as guests may see them. */
static struct wisp_str clean(struct wisp_arena *arena, const char *text)
{
    char *copy = wisp_arena_cstr(arena, wisp_str_from(text));
    struct wisp_str all = wisp_str_from(copy);
    if (wisp_str_is_utf8(all)) return all;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    return all;
}

static void give_query(struct query_call *query, const struct wisp_err *err)
{
    struct wisp_pg_query_result result = {.is_err = err != NULL};
    if (err)
        result.error = (struct wisp_pg_query_error){query->job.fault, clean(query->call->arena, err->text)};
    else
        result.rows.ptr = query->job.rows, result.rows.len = query->job.n_rows;
    wisp_provider_return(query->call, &result);
}

static void give_batch(struct query_call *query, const struct wisp_err *err)
{
    struct wisp_pg_batch_result result = {.is_err = err != NULL};
    if (err) result.error = (struct wisp_pg_query_error){query->job.fault, clean(query->call->arena, err->text)};
    wisp_provider_return(query->call, &result);
}

static void give_prepare(struct query_call *query, const struct wisp_err *err)
{
    struct wisp_pg_prepare_result result = {.is_err = err != NULL};
    if (err)
        result.error.text = clean(query->call->arena, err->text);
    else
        result.token = wisp_str_from(query->token);
    wisp_provider_return(query->call, &result);
}

static void give_exec(struct query_call *query, const struct wisp_err *err)
{
    struct wisp_pg_exec_result result = {.is_err = err != NULL};
    if (!err) {
        result.n_affected = query->job.n_affected;
    } else if (query->job.fault == WISP_PG_FAULT_OTHER) {
        result.error.tag = WISP_PG_EXEC_UNEXPECTED;
        result.error.text = clean(query->call->arena, err->text);
    } else {
        result.error.tag = WISP_PG_EXEC_QUERY_ERROR;
        result.error.query = (struct wisp_pg_query_error){query->job.fault, clean(query->call->arena, err->text)};
    }
    wisp_provider_return(query->call, &result);
}

static void give(struct query_call *query, const struct wisp_err *err)
{
    static void (*const givers[])(struct query_call *, const struct wisp_err *) = {
        [WISP_PG_JOB_QUERY] = give_query,
        [WISP_PG_JOB_BATCH] = give_batch,
        [WISP_PG_JOB_PREPARE] = give_prepare,
        [WISP_PG_JOB_EXEC] = give_exec,
    };
    givers[query->job.kind](query, err);
}

static void on_job_end(struct wisp_pg_job *job, const struct wisp_err *err)
{
    give(WISP_OWNER(job, struct query_call, job), err);
}

static void on_cancel(struct wisp_provider_call *call)
{
    struct query_call *query = call->user;
    struct wisp_err err;
    wisp_pg_pool_cancel(query->pool, &query->job);
    wisp_err_set(&err, WISP_ERR_CANCELLED, "the query was given up");
    wisp_provider_fail(call, &err);
}

/* --- calls --- */

static void give_fault(struct query_call *query, enum wisp_pg_fault fault, const struct wisp_err *err)
{
    query->job.fault = fault;
    give(query, err);
}

static int write_params(struct query_call *query, struct wisp_pg_params params, struct wisp_err *err)
{
    struct wisp_arena *arena = query->call->arena;
    bool is_prepared = query->job.kind == WISP_PG_JOB_EXEC;
    if (params.len > UINT16_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "%zu parameters", params.len);
    struct wisp_pg_param *list = WISP_NEW_ARRAY(arena, struct wisp_pg_param, params.len);
    for (size_t i = 0; i < params.len; i++)
        if (wisp_pg_param_write(&params.ptr[i], is_prepared, &list[i], arena, err) < 0)
            return wisp_err_wrap(err, "parameter $%zu", i + 1);
    query->job.params = list;
    query->job.n_params = (int)params.len;
    return 0;
}

static void run(struct wisp_provider_call *call, enum wisp_pg_job_kind kind, struct wisp_str sql,
                struct wisp_pg_params params)
{
    struct wisp_err err;
    const struct shared_pool *shared = call->link ? call->link->state : NULL;
    struct query_call *query = WISP_NEW(call->arena, struct query_call);
    *query = (struct query_call){.call = call};
    query->job.kind = kind;
    query->job.arena = call->arena;
    query->job.on_end = on_job_end;
    if (!shared) {
        wisp_err_set(&err, WISP_ERR_NOT_FOUND, "`%.*s` has no link `%.*s` to this provider",
                     WISP_STR_ARG(call->source_id), WISP_STR_ARG(call->link_name));
        give_fault(query, WISP_PG_FAULT_OTHER, &err);
        return;
    }
    query->pool = shared->pool;
    if (sql.len && memchr(sql.ptr, 0, sql.len)) {
        wisp_err_set(&err, WISP_ERR_INVALID, "a statement with a zero byte");
        give_fault(query, WISP_PG_FAULT_QUERY, &err);
        return;
    }
    query->job.sql = wisp_arena_cstr(call->arena, sql);
    if (write_params(query, params, &err) < 0) {
        give_fault(query, WISP_PG_FAULT_PARAMS, &err);
        return;
    }
    if (kind == WISP_PG_JOB_PREPARE) {
        WISP_CLEANUP_BUF struct wisp_buf token = {0};
        wisp_buf_append_str(&token, WISP_STR("prepared-statement-"));
        wisp_base64url_encode(sql, &token);
        query->token = wisp_arena_cstr(call->arena, wisp_buf_str(&token));
    }
    call->user = query;
    call->on_cancel = on_cancel;
    if (wisp_pg_pool_run(query->pool, &query->job, &err) < 0) give_fault(query, WISP_PG_FAULT_OTHER, &err);
}

static void query(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_pg_query_args *query_args = args;
    run(call, WISP_PG_JOB_QUERY, query_args->sql, query_args->params);
}

static void query_batch(struct wisp_provider_call *call, const void *args)
{
    run(call, WISP_PG_JOB_BATCH, *(const struct wisp_str *)args, (struct wisp_pg_params){0});
}

static void prepare(struct wisp_provider_call *call, const void *args)
{
    run(call, WISP_PG_JOB_PREPARE, *(const struct wisp_str *)args, (struct wisp_pg_params){0});
}

static void exec(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_pg_exec_args *exec_args = args;
    const struct wisp_str prefix = WISP_STR("prepared-statement-"), token = exec_args->token;
    WISP_CLEANUP_BUF struct wisp_buf sql = {0};
    struct wisp_err err;
    if (!wisp_str_starts_with(token, prefix) ||
        wisp_base64url_decode((struct wisp_str){token.ptr + prefix.len, token.len - prefix.len}, &sql, &err) < 0) {
        struct wisp_pg_exec_result result = {.is_err = 1, .error.tag = WISP_PG_EXEC_UNKNOWN_QUERY};
        wisp_provider_return(call, &result);
        return;
    }
    run(call, WISP_PG_JOB_EXEC, wisp_buf_str(&sql), exec_args->params);
}

/* --- links --- */

static int require(const struct wisp_settings *settings, const char *key, struct wisp_arena *arena,
                   const char **ret_text, struct wisp_err *err)
{
    struct wisp_str value = wisp_settings_get(settings, key);
    if (!value.len) return wisp_err_set(err, WISP_ERR_INVALID, "`%s` is missing", key);
    if (memchr(value.ptr, 0, value.len)) return wisp_err_set(err, WISP_ERR_INVALID, "`%s` has a zero byte", key);
    *ret_text = wisp_arena_cstr(arena, value);
    return 0;
}

static int read_port(const struct wisp_settings *settings, struct wisp_pg_options *options, struct wisp_err *err)
{
    uint64_t port;
    if (!wisp_settings_get(settings, "POSTGRES_PORT").len)
        return wisp_err_set(err, WISP_ERR_INVALID, "`POSTGRES_PORT` is missing");
    if (wisp_settings_uint(settings, "POSTGRES_PORT", DEFAULT_PORT, &port, err) < 0 || port == 0 || port > UINT16_MAX) {
        WISP_LOG(WARN, "postgres", "POSTGRES_PORT is no port; taking 5432");
        port = DEFAULT_PORT;
    }
    options->port = (uint16_t)port;
    return 0;
}

static int read_options(const struct wisp_settings *settings, struct wisp_arena *arena, struct wisp_pg_options *options,
                        struct wisp_err *err)
{
    uint64_t connections;
    if (require(settings, "POSTGRES_HOST", arena, &options->host, err) < 0 || read_port(settings, options, err) < 0 ||
        require(settings, "POSTGRES_USERNAME", arena, &options->user, err) < 0 ||
        require(settings, "POSTGRES_DATABASE", arena, &options->database, err) < 0)
        return -WISP_ERR_INVALID;
    struct wisp_str password = wisp_settings_get(settings, "POSTGRES_PASSWORD");
    if (password.len) options->password = wisp_arena_cstr(arena, password);
    struct wisp_str ca_path = wisp_settings_get(settings, "POSTGRES_TLS_CA_FILE");
    if (ca_path.len) options->tls_ca_path = wisp_arena_cstr(arena, ca_path);
    if (wisp_settings_bool(settings, "POSTGRES_TLS_REQUIRED", false, &options->is_tls_required, err) < 0 ||
        wisp_settings_uint(settings, "POSTGRES_POOL_SIZE", DEFAULT_CONNECTIONS, &connections, err) < 0 ||
        wisp_settings_uint(settings, "POSTGRES_WAIT_MS", DEFAULT_WAIT_MS, &options->wait_ms, err) < 0)
        return -WISP_ERR_INVALID;
    if (connections == 0 || connections > CONNECTIONS_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "`POSTGRES_POOL_SIZE` is not from 1 to %d", CONNECTIONS_MAX);
    options->connections_max = (unsigned)connections;
    return 0;
}

/* All that makes two pools the same. */
static char *key_of(const struct wisp_pg_options *options)
{
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    wisp_buf_printf(&key, "%s\n%u\n%s\n%s\n%s\n%d\n%s\n%u", options->host, options->port, options->user,
                    options->password ? options->password : "", options->database, options->is_tls_required,
                    options->tls_ca_path ? options->tls_ca_path : "", options->connections_max);
    return wisp_mem_dup(wisp_buf_str(&key));
}

static struct shared_pool *find_pool(struct state *state, const char *key)
{
    WISP_RING_EACH(at, &state->pools)
    {
        struct shared_pool *shared = WISP_OWNER(at, struct shared_pool, link);
        if (shared->key && strcmp(shared->key, key) == 0) return shared;
    }
    return NULL;
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_pg_options options = {0};
    struct shared_pool *shared = NULL;
    bool is_shared;
    char *key = NULL;
    if (link->is_source) return 0; /* nothing is called at components */
    if (read_options(&link->settings, &arena, &options, err) < 0 ||
        wisp_settings_bool(&link->settings, "POSTGRES_SHARE_CONNECTIONS_BY_URL", false, &is_shared, err) < 0)
        return -(int)WISP_ERR_INVALID;
    if (is_shared) shared = find_pool(provider->state, key = key_of(&options));
    if (shared) {
        wisp_mem_wipe(key);
    } else {
        struct state *state = provider->state;
        shared = wisp_mem_calloc(1, sizeof *shared);
        shared->pool = wisp_pg_pool_new(provider->loop, &options);
        shared->key = key;
        wisp_ring_append(&state->pools, &shared->link);
    }
    shared->n_links++;
    link->state = shared;
    return 0;
}

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    struct shared_pool *shared = WISP_TAKE(link->state);
    (void)provider;
    if (!shared || --shared->n_links) return;
    wisp_ring_remove(&shared->link);
    wisp_pg_pool_free(shared->pool);
    wisp_mem_wipe(shared->key);
    free(shared);
}

/* --- the provider --- */

static int open_provider(struct wisp_provider *provider, struct wisp_err *err)
{
    struct state *state = wisp_mem_alloc(sizeof *state);
    (void)err;
    wisp_ring_init(&state->pools);
    provider->state = state;
    return 0;
}

static void close_provider(struct wisp_provider *provider) { free(provider->state); }

static const struct wisp_provider_func query_funcs[] = {
    {"query", "(string, list<pg-value>) -> result<list<row>, query-error>", query,
     WISP_HOST_SIZES(struct wisp_pg_query_args, struct wisp_pg_query_result)},
    {"query-batch", "(string) -> result<_, query-error>", query_batch,
     WISP_HOST_SIZES(struct wisp_str, struct wisp_pg_batch_result)},
};
static const struct wisp_provider_func prepared_funcs[] = {
    {"prepare", "(string) -> result<string, prepare-error>", prepare,
     WISP_HOST_SIZES(struct wisp_str, struct wisp_pg_prepare_result)},
    {"exec", "(string, list<pg-value>) -> result<u64, exec-error>", exec,
     WISP_HOST_SIZES(struct wisp_pg_exec_args, struct wisp_pg_exec_result)},
};
/* The first draft differs in that it has no query-batch. */
static const struct wisp_provider_interface query_interface = {.name = "wasmcloud:postgres/query@0.1.1-draft",
                                                               .funcs = query_funcs,
                                                               .n_funcs = WISP_COUNT(query_funcs),
                                                               .types = wisp_pg_value_types},
                                            old_query_interface = {.name = "wasmcloud:postgres/query@0.1.0-draft",
                                                                   .funcs = query_funcs,
                                                                   .n_funcs = 1,
                                                                   .types = wisp_pg_value_types},
                                            prepared_interface = {.name = "wasmcloud:postgres/prepared@0.1.1-draft",
                                                                  .funcs = prepared_funcs,
                                                                  .n_funcs = WISP_COUNT(prepared_funcs),
                                                                  .types = wisp_pg_value_types},
                                            old_prepared_interface = {.name = "wasmcloud:postgres/prepared@0.1.0-draft",
                                                                      .funcs = prepared_funcs,
                                                                      .n_funcs = WISP_COUNT(prepared_funcs),
                                                                      .types = wisp_pg_value_types};

static const struct wisp_provider_interface *const exports[] = {&query_interface, &prepared_interface,
                                                                &old_query_interface, &old_prepared_interface};

const struct wisp_provider_kind wisp_sqldb_postgres = {
    .name = "sqldb-postgres",
    .about = "PostgreSQL: queries, batches and prepared statements over pooled connections",
    .exports = exports,
    .n_exports = WISP_COUNT(exports),
    .open = open_provider,
    .close = close_provider,
    .put_link = put_link,
    .del_link = del_link,
};
