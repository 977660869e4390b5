/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and errors of the server, and asking it about types. */
#include "capability/postgres/pool_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct wisp_pg_column {
    struct wisp_str name;
    uint32_t oid;
    const char *why_not; /* its type is unknown: NULL; known, but no pg-value: its name */
    struct wisp_pg_type type;
    bool is_known;
};

/* --- errors --- */

void wisp_pg_job_fail(struct wisp_pg_job *job, enum wisp_pg_fault fault, enum wisp_err_kind kind, const char *format,
                      ...)
{
    va_list args;
    char text[WISP_ERR_TEXT_MAX];
    if (job->is_failed) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    job->is_failed = true;
    job->fault = fault;
    wisp_err_set(&job->err, kind, "%s", text);
}

/* Appendix A of PostgreSQL's manual. */
static enum wisp_pg_fault fault_of(const char *state)
{
    if (strncmp(state, "22", 2) == 0 || strcmp(state, "08P01") == 0) return WISP_PG_FAULT_PARAMS;
    if (strncmp(state, "42", 2) == 0 || strncmp(state, "0A", 2) == 0) return WISP_PG_FAULT_QUERY;
    return WISP_PG_FAULT_OTHER;
}

void wisp_pg_job_fail_with(struct wisp_pg_job *job, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    if (!text) text = PQresultErrorMessage(result);
    enum wisp_pg_fault fault = state ? fault_of(state) : WISP_PG_FAULT_OTHER;
    wisp_pg_job_fail(job, fault, WISP_ERR_INVALID, "%s%s%s (SQLSTATE %s)", text, detail ? ": " : "",
                     detail ? detail : "", state ? state : "unknown");
}

/* --- types --- */

static const struct wisp_pg_own_type *find_own(const struct wisp_pg_pool *pool, uint32_t oid)
{
    for (size_t i = 0; i < pool->n_types; i++)
        if (pool->types[i].type.oid == oid) return &pool->types[i];
    return NULL;
}

static void find_type(struct wisp_pg_column *column, const struct wisp_pg_pool *pool, struct wisp_arena *arena)
{
    column->is_known = wisp_pg_type_find(column->oid, &column->type);
    column->type.money_digits = (int8_t)pool->money_digits;
    if (column->is_known) {
        bool is_money = column->type.tag == WISP_PG_MONEY || column->type.tag == WISP_PG_MONEY_ARRAY;
        column->is_known = !is_money || pool->money_digits != WISP_PG_MONEY_UNKNOWN;
        return;
    }
    const struct wisp_pg_own_type *own = find_own(pool, column->oid);
    if (!own) return;
    column->type = own->type;
    column->is_known = own->is_known;
    column->why_not = own->is_known ? NULL : wisp_arena_cstr(arena, wisp_str_from(own->name));
}

/* One row for each type, and how many digits money has here. */
#define TYPES_QUERY                                                                                                    \
    "SELECT t.oid, t.typname::text, t.typtype, coalesce(e.typname::text, ''), coalesce(e.typtype, ' '), '1'::money "   \
    "FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON t.typcategory = 'A' AND e.oid = t.typelem "           \
    "WHERE t.oid = ANY($1::text::oid[])"

int wisp_pg_types_send(struct wisp_pg_conn *conn)
{
    const struct wisp_pg_job *job = conn->job;
    WISP_CLEANUP_BUF struct wisp_buf list = {0};
    for (int i = 0; i < job->n_columns; i++)
        if (!job->columns[i].is_known) wisp_buf_printf(&list, list.len ? ",%u" : "{%u", job->columns[i].oid);
    wisp_buf_append(&list, "}", sizeof "}");
    const char *values[] = {list.data};
    return PQsendQueryParams(conn->pq, TYPES_QUERY, 1, NULL, values, NULL, NULL, 1);
}

static struct wisp_str cell(const PGresult *result, int row, int column)
{
    return (struct wisp_str){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

static uint64_t number_of(struct wisp_str bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes.len; i++) number = number << 8 | (uint8_t)bytes.ptr[i];
    return number;
}

/* '1'::money is a unit of the currency in its smallest pieces. */
static int money_digits_of(uint64_t unit)
{
    int digits = 0;
    for (; unit >= 10 && unit % 10 == 0 && digits < 9; digits++) unit /= 10;
    return unit == 1 ? digits : WISP_PG_MONEY_UNKNOWN;
}

static char first_of(struct wisp_str text) { return text.len ? text.ptr[0] : 0; }

static void remember_type(struct wisp_pg_pool *pool, const PGresult *result, int row)
{
    struct wisp_pg_own_type own = {.type.oid = (uint32_t)number_of(cell(result, row, 0)),
                                   .type.money_digits = WISP_PG_MONEY_UNKNOWN};
    struct wisp_str name = cell(result, row, 1), element = cell(result, row, 3);
    enum wisp_pg_case tag = WISP_PG_NULL;
    char element_kind = element.len ? first_of(cell(result, row, 4)) : 0;
    if (find_own(pool, own.type.oid)) return;
    own.is_known = wisp_pg_type_named(name, first_of(cell(result, row, 2)), element, element_kind, &tag);
    own.type.tag = tag;
    snprintf(own.name, sizeof own.name, "%.*s", WISP_STR_ARG(name));
    if (pool->n_types == WISP_PG_TYPES_MAX) pool->n_types = 0;
    pool->types = wisp_mem_realloc(pool->types, (pool->n_types + 1) * sizeof *pool->types);
    pool->types[pool->n_types++] = own;
}

void wisp_pg_types_receive(struct wisp_pg_pool *pool, const PGresult *result)
{
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQnfields(result) != 6) return;
    for (int row = 0; row < PQntuples(result); row++) {
        pool->money_digits = money_digits_of(number_of(cell(result, row, 5)));
        remember_type(pool, result, row);
    }
}

/* --- rows --- */

static bool charge(struct wisp_pg_job *job, size_t size)
{
    if (size > job->budget) {
        wisp_pg_job_fail(job, WISP_PG_FAULT_OTHER, WISP_ERR_LIMIT, "the result takes more than %d MiB",
                         WISP_PG_RESULT_BYTES_MAX >> 20);
        return false;
    }
    job->budget -= size;
    return true;
}

static bool take_columns(struct wisp_pg_job *job, const struct wisp_pg_pool *pool, const PGresult *result)
{
    job->n_columns = PQnfields(result);
    job->columns = WISP_NEW_ARRAY(job->arena, struct wisp_pg_column, (size_t)job->n_columns);
    for (int i = 0; i < job->n_columns; i++) {
        struct wisp_pg_column *column = &job->columns[i];
        column->name = wisp_arena_str(job->arena, wisp_str_from(PQfname(result, i)));
        column->oid = PQftype(result, i);
        if (!wisp_str_is_utf8(column->name)) {
            wisp_pg_job_fail(job, WISP_PG_FAULT_OTHER, WISP_ERR_INVALID, "the name of column %d is no UTF-8", i + 1);
            return false;
        }
        find_type(column, pool, job->arena);
    }
    return true;
}

static void refuse_column(struct wisp_pg_job *job, const struct wisp_pg_column *column)
{
    char number[32];
    snprintf(number, sizeof number, "number %u", column->oid);
    wisp_pg_job_fail(job, WISP_PG_FAULT_QUERY, WISP_ERR_UNSUPPORTED,
                     "column `%.*s` is of type %s, which a pg-value can't tell; cast it, for example to text",
                     WISP_STR_ARG(column->name), column->why_not ? column->why_not : number);
}

static void read_cell(struct wisp_pg_job *job, const struct wisp_pg_column *column, struct wisp_str bytes,
                      struct wisp_pg_value *value)
{
    struct wisp_err err;
    if (!column->is_known) {
        refuse_column(job, column);
    } else if (wisp_pg_value_read(&column->type, bytes, &job->budget, job->arena, value, &err) < 0) {
        if (err.kind == WISP_ERR_LIMIT) charge(job, SIZE_MAX);
        wisp_pg_job_fail(job, WISP_PG_FAULT_OTHER, err.kind, "row %zu, column `%.*s`: %s", job->n_rows,
                         WISP_STR_ARG(column->name), err.text);
    }
}

static void read_row(struct wisp_pg_job *job, const PGresult *result)
{
    size_t n = (size_t)job->n_columns;
    if (!charge(job, n * sizeof(struct wisp_pg_entry_of_row) + 2 * sizeof(struct wisp_pg_row))) return;
    if (job->n_rows == job->rows_capacity) {
        size_t capacity = job->rows_capacity ? job->rows_capacity * 2 : 16;
        struct wisp_pg_row *rows = wisp_arena_alloc(job->arena, capacity * sizeof *rows);
        if (job->n_rows) memcpy(rows, job->rows, job->n_rows * sizeof *rows);
        job->rows = rows;
        job->rows_capacity = capacity;
    }
    struct wisp_pg_row *row = &job->rows[job->n_rows++];
    *row = (struct wisp_pg_row){WISP_NEW_ARRAY(job->arena, struct wisp_pg_entry_of_row, n), n};
    for (int i = 0; i < job->n_columns && !job->is_failed; i++) {
        row->entries[i].name = job->columns[i].name;
        if (!PQgetisnull(result, 0, i)) read_cell(job, &job->columns[i], cell(result, 0, i), &row->entries[i].value);
    }
}

static bool knows_types(const struct wisp_pg_job *job)
{
    for (int i = 0; i < job->n_columns; i++)
        if (!job->columns[i].is_known && !job->columns[i].why_not) return false;
    return true;
}

void wisp_pg_job_add_take(struct wisp_pg_job *job, struct wisp_pg_pool *pool, PGresult *result)
{
    if (!job->columns && !take_columns(job, pool, result)) {
        PQclear(result);
    } else if (PQnfields(result) != job->n_columns) {
        wisp_pg_job_fail(job, WISP_PG_FAULT_OTHER, WISP_ERR_INVALID, "rows of %d and of %d columns", job->n_columns,
                         PQnfields(result));
        PQclear(result);
    } else if (knows_types(job)) {
        read_row(job, result);
        PQclear(result);
    } else if (charge(job, PQresultMemorySize(result))) {
        wisp_buf_append(&job->held, &result, sizeof result);
    } else {
        PQclear(result);
    }
}

void wisp_pg_job_drop_held(struct wisp_pg_job *job)
{
    PGresult **held = (PGresult **)(void *)job->held.data;
    for (size_t i = 0; i < job->held.len / sizeof *held; i++) PQclear(held[i]);
    wisp_buf_deinit(&job->held);
    job->held = (struct wisp_buf){0};
}

void wisp_pg_job_read_held(struct wisp_pg_job *job, struct wisp_pg_pool *pool)
{
    PGresult **held = (PGresult **)(void *)job->held.data;
    job->budget = WISP_PG_RESULT_BYTES_MAX;
    for (int i = 0; i < job->n_columns; i++) find_type(&job->columns[i], pool, job->arena);
    for (size_t i = 0; i < job->held.len / sizeof *held && !job->is_failed; i++) read_row(job, held[i]);
    wisp_pg_job_drop_held(job);
}
