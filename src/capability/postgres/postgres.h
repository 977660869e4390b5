/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters and results of wasmcloud:postgres as C values. */
#pragma once

#include "capability/postgres/pool.h"

struct wisp_pg_params {
    const struct wisp_pg_value *ptr;
    size_t len;
};
struct wisp_pg_query_args {
    struct wisp_str sql;
    struct wisp_pg_params params;
};
struct wisp_pg_exec_args {
    struct wisp_str token;
    struct wisp_pg_params params;
};
struct wisp_pg_query_error {
    uint32_t fault; /* enum wisp_pg_fault, which has their order */
    struct wisp_str text;
};
struct wisp_pg_query_result {
    uint32_t is_err;
    union {
        struct {
            struct wisp_pg_row *ptr;
            size_t len;
        } rows;
        struct wisp_pg_query_error error;
    };
};
struct wisp_pg_batch_result {
    uint32_t is_err;
    struct wisp_pg_query_error error;
};
struct wisp_pg_prepare_result {
    uint32_t is_err;
    union {
        struct wisp_str token;
        struct {
            uint32_t tag;
            struct wisp_str text;
        } error;
    };
};
enum { WISP_PG_EXEC_UNKNOWN_QUERY, WISP_PG_EXEC_QUERY_ERROR, WISP_PG_EXEC_UNEXPECTED };
struct wisp_pg_exec_result {
    uint32_t is_err;
    union {
        uint64_t n_affected;
        struct {
            uint32_t tag;
            union {
                struct wisp_pg_query_error query;
                struct wisp_str text;
            };
        } error;
    };
};
