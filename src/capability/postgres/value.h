/* SPDX-License-Identifier: Apache-2.0 */
/* `pg-value` of wasmcloud:postgres@0.1.1-draft as C values, and its way to and from the server.
 *
 * To the server: text, of a type that the server infers from the statement, as psql's quoted literals are. So a number
 * fits every numeric column and a string every type that has a text form; `bytea` alone goes as bytes, with its type.
 * From the server: its binary format, which no setting of a session changes. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "component/host.h"

/* The value is sign × mantissa × 2^exponent; infinite and not a number as Rust's `integer_decode` has them. */
struct wisp_pg_float {
    uint64_t mantissa;
    int16_t exponent;
    int8_t sign;
};
struct wisp_pg_point {
    struct wisp_pg_float x, y;
};
struct wisp_pg_points {
    struct wisp_pg_point *ptr;
    size_t len;
};
/* The two corners of a box (lower left first), the two ends of a segment, two points of a line. */
struct wisp_pg_pair {
    struct wisp_pg_point a, b;
};
struct wisp_pg_circle {
    struct wisp_pg_point center;
    struct wisp_pg_float radius;
};
/* `bit`, `char`: `size` is how many bits, bytes. */
struct wisp_pg_sized {
    uint32_t size;
    struct wisp_bytes bytes;
};
/* `varbit`: how many bits. `varchar`: the most bytes it may have. */
struct wisp_pg_varying {
    struct {
        uint32_t is_some, value;
    } size;
    struct wisp_bytes bytes;
};
enum wisp_pg_date_tag { WISP_PG_DATE_LAST, WISP_PG_DATE_FIRST, WISP_PG_DATE_YMD };
struct wisp_pg_date {
    uint32_t tag; /* infinity, minus infinity, a day */
    struct {
        int32_t year; /* 0 is 1 BC */
        uint32_t month, day;
    } ymd;
};
/* What the world calls `interval` is a range of dates. */
struct wisp_pg_interval {
    struct wisp_pg_date start;
    bool start_inclusive;
    struct wisp_pg_date end;
    bool end_inclusive;
};
struct wisp_pg_time {
    uint32_t hour, min, sec, micro;
};
struct wisp_pg_time_tz {
    struct wisp_str zone; /* "+02:00" */
    struct wisp_pg_time time;
};
struct wisp_pg_timestamp {
    struct wisp_pg_date date;
    struct wisp_pg_time time;
};
struct wisp_pg_timestamp_tz {
    struct wisp_pg_timestamp timestamp; /* of a clock there */
    struct {
        uint32_t is_western;
        int32_t seconds;
    } offset;
};
struct wisp_pg_snapshot {
    int64_t xmin, xmax;
    struct {
        int64_t *ptr;
        size_t len;
    } running;
};
struct wisp_pg_lexeme {
    struct {
        uint32_t is_some;
        uint16_t value;
    } position;
    struct {
        uint32_t is_some, value; /* A, B, C, D */
    } weight;
    struct wisp_str data;
};
struct wisp_pg_entry {
    struct wisp_str key;
    struct {
        uint32_t is_some;
        struct wisp_str text;
    } value;
};
struct wisp_pg_list {
    void *ptr;
    size_t len;
};

struct wisp_pg_value {
    uint32_t tag; /* enum wisp_pg_case */
    union {
        int64_t s64;
        uint64_t u64;
        int32_t s32;
        uint32_t u32;
        int16_t s16;
        bool is_true;
        uint8_t mac[8];
        struct wisp_pg_float number;
        struct wisp_str text;
        struct wisp_bytes bytes;
        struct wisp_pg_sized sized;
        struct wisp_pg_varying varying;
        struct wisp_pg_point point;
        struct wisp_pg_pair pair;
        struct wisp_pg_circle circle;
        struct wisp_pg_date date;
        struct wisp_pg_interval interval;
        struct wisp_pg_time time;
        struct wisp_pg_time_tz time_tz;
        struct wisp_pg_timestamp timestamp;
        struct wisp_pg_timestamp_tz timestamp_tz;
        struct wisp_pg_snapshot snapshot;
        struct wisp_pg_list list; /* every array; path, polygon, tsvector, hstore */
    } as;
};

/* Case, type in the signature, form (value_priv.h); in the order of the world, where `null` is before them. A case of a
 * list has the form of its elements and LIST. */
#define WISP_PG_CASES(X)                                                                                               \
    X(BIG_INT, "s64", S64, ONE)                                                                                        \
    X(INT8, "s64", S64, ONE)                                                                                           \
    X(INT8_ARRAY, "list<s64>", S64, LIST)                                                                              \
    X(BIG_SERIAL, "s64", S64, ONE)                                                                                     \
    X(SERIAL8, "s64", S64, ONE)                                                                                        \
    X(BOOL, "bool", BOOL, ONE)                                                                                         \
    X(BOOLEAN, "bool", BOOL, ONE)                                                                                      \
    X(BOOL_ARRAY, "list<bool>", BOOL, LIST)                                                                            \
    X(DOUBLE, "float", F64, ONE)                                                                                       \
    X(FLOAT8, "float", F64, ONE)                                                                                       \
    X(FLOAT8_ARRAY, "list<float>", F64, LIST)                                                                          \
    X(REAL, "float", F32, ONE)                                                                                         \
    X(FLOAT4, "float", F32, ONE)                                                                                       \
    X(FLOAT4_ARRAY, "list<float>", F32, LIST)                                                                          \
    X(INTEGER, "s32", S32, ONE)                                                                                        \
    X(INT, "s32", S32, ONE)                                                                                            \
    X(INT4, "s32", S32, ONE)                                                                                           \
    X(INT4_ARRAY, "list<s32>", S32, LIST)                                                                              \
    X(NUMERIC, "string", NUMERIC, ONE)                                                                                 \
    X(DECIMAL, "string", NUMERIC, ONE)                                                                                 \
    X(NUMERIC_ARRAY, "list<string>", NUMERIC, LIST)                                                                    \
    X(SERIAL, "u32", U32, ONE)                                                                                         \
    X(SERIAL4, "u32", U32, ONE)                                                                                        \
    X(SMALL_INT, "s16", S16, ONE)                                                                                      \
    X(INT2, "s16", S16, ONE)                                                                                           \
    X(INT2_ARRAY, "list<s16>", S16, LIST)                                                                              \
    X(INT2_VECTOR, "list<s16>", VECTOR, ONE)                                                                           \
    X(INT2_VECTOR_ARRAY, "list<list<s16>>", VECTOR, LIST)                                                              \
    X(SMALL_SERIAL, "s16", S16, ONE)                                                                                   \
    X(SERIAL2, "s16", S16, ONE)                                                                                        \
    X(BIT, "tuple<u32, list<u8>>", BITS, ONE)                                                                          \
    X(BIT_ARRAY, "list<tuple<u32, list<u8>>>", BITS, LIST)                                                             \
    X(BIT_VARYING, "tuple<option<u32>, list<u8>>", VARBITS, ONE)                                                       \
    X(VARBIT, "tuple<option<u32>, list<u8>>", VARBITS, ONE)                                                            \
    X(VARBIT_ARRAY, "list<tuple<option<u32>, list<u8>>>", VARBITS, LIST)                                               \
    X(BYTEA, "list<u8>", BYTES, ONE)                                                                                   \
    X(BYTEA_ARRAY, "list<list<u8>>", BYTES, LIST)                                                                      \
    X(CHAR, "tuple<u32, list<u8>>", CHARS, ONE)                                                                        \
    X(CHAR_ARRAY, "list<tuple<u32, list<u8>>>", CHARS, LIST)                                                           \
    X(VARCHAR, "tuple<option<u32>, list<u8>>", VARCHARS, ONE)                                                          \
    X(VARCHAR_ARRAY, "list<tuple<option<u32>, list<u8>>>", VARCHARS, LIST)                                             \
    X(CIDR, "string", INET, ONE)                                                                                       \
    X(CIDR_ARRAY, "list<string>", INET, LIST)                                                                          \
    X(INET, "string", INET, ONE)                                                                                       \
    X(INET_ARRAY, "list<string>", INET, LIST)                                                                          \
    X(MACADDR, "mac6", MAC6, ONE)                                                                                      \
    X(MACADDR_ARRAY, "list<mac6>", MAC6, LIST)                                                                         \
    X(MACADDR8, "mac8", MAC8, ONE)                                                                                     \
    X(MACADDR8_ARRAY, "list<mac8>", MAC8, LIST)                                                                        \
    X(BOX, "tuple<point, point>", BOX, ONE)                                                                            \
    X(BOX_ARRAY, "list<tuple<point, point>>", BOX, LIST)                                                               \
    X(CIRCLE, "tuple<point, float>", CIRCLE, ONE)                                                                      \
    X(CIRCLE_ARRAY, "list<tuple<point, float>>", CIRCLE, LIST)                                                         \
    X(LINE, "tuple<point, point>", LINE, ONE)                                                                          \
    X(LINE_ARRAY, "list<tuple<point, point>>", LINE, LIST)                                                             \
    X(LSEG, "tuple<point, point>", LSEG, ONE)                                                                          \
    X(LSEG_ARRAY, "list<tuple<point, point>>", LSEG, LIST)                                                             \
    X(PATH, "list<point>", PATH, ONE)                                                                                  \
    X(PATH_ARRAY, "list<list<point>>", PATH, LIST)                                                                     \
    X(POINT, "point", POINT, ONE)                                                                                      \
    X(POINT_ARRAY, "list<point>", POINT, LIST)                                                                         \
    X(POLYGON, "list<point>", POLYGON, ONE)                                                                            \
    X(POLYGON_ARRAY, "list<list<point>>", POLYGON, LIST)                                                               \
    X(DATE, "date", DATE, ONE)                                                                                         \
    X(DATE_ARRAY, "list<date>", DATE, LIST)                                                                            \
    X(INTERVAL, "interval", INTERVAL, ONE)                                                                             \
    X(INTERVAL_ARRAY, "list<interval>", INTERVAL, LIST)                                                                \
    X(TIME, "time", TIME, ONE)                                                                                         \
    X(TIME_ARRAY, "list<time>", TIME, LIST)                                                                            \
    X(TIME_TZ, "time-tz", TIME_TZ, ONE)                                                                                \
    X(TIME_TZ_ARRAY, "list<time-tz>", TIME_TZ, LIST)                                                                   \
    X(TIMESTAMP, "timestamp", TIMESTAMP, ONE)                                                                          \
    X(TIMESTAMP_ARRAY, "list<timestamp>", TIMESTAMP, LIST)                                                             \
    X(TIMESTAMP_TZ, "timestamp-tz", TIMESTAMP_TZ, ONE)                                                                 \
    X(TIMESTAMP_TZ_ARRAY, "list<timestamp-tz>", TIMESTAMP_TZ, LIST)                                                    \
    X(JSON, "string", TEXT, ONE)                                                                                       \
    X(JSON_ARRAY, "list<string>", TEXT, LIST)                                                                          \
    X(JSONB, "string", JSONB, ONE)                                                                                     \
    X(JSONB_ARRAY, "list<string>", JSONB, LIST)                                                                        \
    X(MONEY, "string", MONEY, ONE)                                                                                     \
    X(MONEY_ARRAY, "list<string>", MONEY, LIST)                                                                        \
    X(PG_LSN, "u64", LSN, ONE)                                                                                         \
    X(PG_LSN_ARRAY, "list<u64>", LSN, LIST)                                                                            \
    X(PG_SNAPSHOT, "tuple<s64, s64, list<s64>>", SNAPSHOT, ONE)                                                        \
    X(TXID_SNAPSHOT, "s64", S64, ONE)                                                                                  \
    X(NAME, "string", TEXT, ONE)                                                                                       \
    X(NAME_ARRAY, "list<string>", TEXT, LIST)                                                                          \
    X(TEXT, "string", TEXT, ONE)                                                                                       \
    X(TEXT_ARRAY, "list<string>", TEXT, LIST)                                                                          \
    X(XML, "string", TEXT, ONE)                                                                                        \
    X(XML_ARRAY, "list<string>", TEXT, LIST)                                                                           \
    X(TS_QUERY, "string", TSQUERY, ONE)                                                                                \
    X(TS_VECTOR, "list<lexeme>", TSVECTOR, ONE)                                                                        \
    X(UUID, "string", UUID, ONE)                                                                                       \
    X(UUID_ARRAY, "list<string>", UUID, LIST)                                                                          \
    X(HSTORE, "list<tuple<string, option<string>>>", HSTORE, ONE)

enum wisp_pg_case {
    WISP_PG_NULL,
#define X(name, ...) WISP_PG_##name,
    WISP_PG_CASES(X)
#undef X
        WISP_PG_CASE_COUNT
};

/* Names of types for signatures: those that WISP_PG_CASES uses, "pg-value" itself, and "row". NULL-terminated. */
extern const char *const wisp_pg_value_types[];

/* --- to the server --- */

/* A parameter of PQsendQueryParams. */
struct wisp_pg_param {
    const char *bytes; /* with a NUL at its end; NULL: null */
    int size;
    bool is_binary;
    uint32_t type; /* 0: the server infers it */
};
/* Everything it points to is the arena's. is_text: `bytea` too, for a statement whose types are settled already.
 * INVALID says what can't be. */
int wisp_pg_param_write(const struct wisp_pg_value *value, bool is_text, struct wisp_pg_param *ret_param,
                        struct wisp_arena *arena, struct wisp_err *err) __attribute__((warn_unused_result));

/* --- from the server --- */

enum { WISP_PG_MONEY_UNKNOWN = -1 };

/* A column's type, as far as it can be a pg-value. */
struct wisp_pg_type {
    uint32_t oid;
    enum wisp_pg_case tag;
    int8_t money_digits; /* of MONEY: behind the point; WISP_PG_MONEY_UNKNOWN: it must be asked for */
};
/* Those that every server has; false: the server must be asked what it is. */
bool wisp_pg_type_find(uint32_t oid, struct wisp_pg_type *ret_type);
/* Types that extensions and people make: `kind` is typtype ('e': enum), `element_kind` that of an array's elements or
 * 0. False: it can't be a pg-value. */
bool wisp_pg_type_named(struct wisp_str name, char kind, struct wisp_str element_name, char element_kind,
                        enum wisp_pg_case *ret_tag);

/* `bytes` are the server's, in binary format. What the value points to is the arena's, and taken from the budget (in
 * bytes). An error when they are malformed, can't be told by a pg-value, or need more than that; the text says what,
 * not where. */
int wisp_pg_value_read(const struct wisp_pg_type *type, struct wisp_str bytes, size_t *budget, struct wisp_arena *arena,
                       struct wisp_pg_value *ret_value, struct wisp_err *err) __attribute__((warn_unused_result));
