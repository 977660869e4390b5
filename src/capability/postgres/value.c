/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/postgres/value_priv.h"

const struct wisp_pg_case_shape wisp_pg_shapes[WISP_PG_CASE_COUNT] = {
#define ONE false
#define LIST true
#define X(name, type, form, is_list) [WISP_PG_##name] = {WISP_PG_FORM_##form, is_list},
    WISP_PG_CASES(X)
#undef X
#undef ONE
#undef LIST
};

size_t wisp_pg_form_size(enum wisp_pg_form form)
{
    static const size_t sizes[] = {
#define X(name, type, ...) [WISP_PG_FORM_##name] = sizeof(type),
        WISP_PG_FORMS(X)
#undef X
    };
    return sizes[form];
}

const char *const wisp_pg_value_types[] = {
    "float = tuple<u64, s16, s8>",
    "point = tuple<float, float>",
    "mac6 = record{tuple<u8, u8, u8, u8, u8, u8>}",
    "mac8 = record{tuple<u8, u8, u8, u8, u8, u8, u8, u8>}",
    "date = variant{_, _, tuple<s32, u32, u32>}",
    "interval = record{date, bool, date, bool}",
    "time = record{u32, u32, u32, u32}",
    "time-tz = record{string, time}",
    "timestamp = record{date, time}",
    "offset = variant{s32, s32}",
    "timestamp-tz = record{timestamp, offset}",
    "lexeme = record{option<u16>, option<enum(4)>, string}",
    "pg-value = variant{_"
#define X(name, type, form, is_list) ", " type
    WISP_PG_CASES(X)
#undef X
        "}",
    "row = list<record{string, pg-value}>",
    "query-error = variant{string, string, string}",
    "prepare-error = variant{string}",
    "exec-error = variant{_, query-error, string}",
    NULL,
};
