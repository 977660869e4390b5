/* SPDX-License-Identifier: Apache-2.0 */
/* Forms: values of one C struct and one way of writing and reading. */
#pragma once

#include "capability/postgres/value.h"

/* Form, C type, who writes it, who reads it. */
#define WISP_PG_FORMS(X)                                                                                               \
    X(S64, int64_t, s64, s64)                                                                                          \
    X(BOOL, bool, bool, bool)                                                                                          \
    X(F64, struct wisp_pg_float, f64, f64)                                                                             \
    X(F32, struct wisp_pg_float, f32, f32)                                                                             \
    X(S32, int32_t, s32, s32)                                                                                          \
    X(U32, uint32_t, u32, u32)                                                                                         \
    X(S16, int16_t, s16, s16)                                                                                          \
    X(NUMERIC, struct wisp_str, text, numeric)                                                                         \
    X(VECTOR, struct wisp_pg_list, vector, vector)                                                                     \
    X(BITS, struct wisp_pg_sized, bits, bits)                                                                          \
    X(VARBITS, struct wisp_pg_varying, varbits, varbits)                                                               \
    X(BYTES, struct wisp_bytes, bytes, bytes)                                                                          \
    X(CHARS, struct wisp_pg_sized, chars, chars)                                                                       \
    X(VARCHARS, struct wisp_pg_varying, varchars, varchars)                                                            \
    X(INET, struct wisp_str, text, inet)                                                                               \
    X(MAC6, uint8_t[6], mac6, mac6)                                                                                    \
    X(MAC8, uint8_t[8], mac8, mac8)                                                                                    \
    X(BOX, struct wisp_pg_pair, box, box)                                                                              \
    X(CIRCLE, struct wisp_pg_circle, circle, circle)                                                                   \
    X(LINE, struct wisp_pg_pair, segment, line)                                                                        \
    X(LSEG, struct wisp_pg_pair, segment, segment)                                                                     \
    X(PATH, struct wisp_pg_points, path, path)                                                                         \
    X(POINT, struct wisp_pg_point, point, point)                                                                       \
    X(POLYGON, struct wisp_pg_points, polygon, polygon)                                                                \
    X(DATE, struct wisp_pg_date, date, date)                                                                           \
    X(INTERVAL, struct wisp_pg_interval, interval, interval)                                                           \
    X(TIME, struct wisp_pg_time, time, time)                                                                           \
    X(TIME_TZ, struct wisp_pg_time_tz, time_tz, time_tz)                                                               \
    X(TIMESTAMP, struct wisp_pg_timestamp, timestamp, timestamp)                                                       \
    X(TIMESTAMP_TZ, struct wisp_pg_timestamp_tz, timestamp_tz, timestamp_tz)                                           \
    X(TEXT, struct wisp_str, text, text)                                                                               \
    X(JSONB, struct wisp_str, text, jsonb)                                                                             \
    X(MONEY, struct wisp_str, text, money)                                                                             \
    X(LSN, uint64_t, lsn, lsn)                                                                                         \
    X(SNAPSHOT, struct wisp_pg_snapshot, snapshot, snapshot)                                                           \
    X(TSQUERY, struct wisp_str, text, tsquery)                                                                         \
    X(TSVECTOR, struct wisp_pg_list, tsvector, tsvector)                                                               \
    X(UUID, struct wisp_str, text, uuid)                                                                               \
    X(HSTORE, struct wisp_pg_list, hstore, hstore)

enum wisp_pg_form {
    WISP_PG_FORM_NOTHING,
#define X(name, ...) WISP_PG_FORM_##name,
    WISP_PG_FORMS(X)
#undef X
};

struct wisp_pg_case_shape {
    enum wisp_pg_form form;
    bool is_list;
};
extern const struct wisp_pg_case_shape wisp_pg_shapes[WISP_PG_CASE_COUNT];
size_t wisp_pg_form_size(enum wisp_pg_form form);
