/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL's types by their numbers (src/include/catalog/pg_type.dat of its source) and names. */
#include "capability/postgres/value.h"

#include <stdlib.h>

/* In the order of the numbers. */
static const struct {
    uint32_t oid;
    enum wisp_pg_case tag;
} builtin[] = {
    {16, WISP_PG_BOOL},
    {17, WISP_PG_BYTEA},
    {18, WISP_PG_CHAR},
    {19, WISP_PG_NAME},
    {20, WISP_PG_INT8},
    {21, WISP_PG_INT2},
    {22, WISP_PG_INT2_VECTOR},
    {23, WISP_PG_INT4},
    {25, WISP_PG_TEXT},
    {26, WISP_PG_INT8}, /* oid */
    {114, WISP_PG_JSON},
    {142, WISP_PG_XML},
    {143, WISP_PG_XML_ARRAY},
    {199, WISP_PG_JSON_ARRAY},
    {600, WISP_PG_POINT},
    {601, WISP_PG_LSEG},
    {602, WISP_PG_PATH},
    {603, WISP_PG_BOX},
    {604, WISP_PG_POLYGON},
    {628, WISP_PG_LINE},
    {629, WISP_PG_LINE_ARRAY},
    {650, WISP_PG_CIDR},
    {651, WISP_PG_CIDR_ARRAY},
    {700, WISP_PG_FLOAT4},
    {701, WISP_PG_FLOAT8},
    {705, WISP_PG_TEXT}, /* unknown */
    {718, WISP_PG_CIRCLE},
    {719, WISP_PG_CIRCLE_ARRAY},
    {774, WISP_PG_MACADDR8},
    {775, WISP_PG_MACADDR8_ARRAY},
    {790, WISP_PG_MONEY},
    {791, WISP_PG_MONEY_ARRAY},
    {829, WISP_PG_MACADDR},
    {869, WISP_PG_INET},
    {1000, WISP_PG_BOOL_ARRAY},
    {1001, WISP_PG_BYTEA_ARRAY},
    {1002, WISP_PG_CHAR_ARRAY},
    {1003, WISP_PG_NAME_ARRAY},
    {1005, WISP_PG_INT2_ARRAY},
    {1006, WISP_PG_INT2_VECTOR_ARRAY},
    {1007, WISP_PG_INT4_ARRAY},
    {1009, WISP_PG_TEXT_ARRAY},
    {1014, WISP_PG_CHAR_ARRAY}, /* bpchar[] */
    {1015, WISP_PG_VARCHAR_ARRAY},
    {1016, WISP_PG_INT8_ARRAY},
    {1017, WISP_PG_POINT_ARRAY},
    {1018, WISP_PG_LSEG_ARRAY},
    {1019, WISP_PG_PATH_ARRAY},
    {1020, WISP_PG_BOX_ARRAY},
    {1021, WISP_PG_FLOAT4_ARRAY},
    {1022, WISP_PG_FLOAT8_ARRAY},
    {1027, WISP_PG_POLYGON_ARRAY},
    {1040, WISP_PG_MACADDR_ARRAY},
    {1041, WISP_PG_INET_ARRAY},
    {1042, WISP_PG_CHAR}, /* bpchar */
    {1043, WISP_PG_VARCHAR},
    {1082, WISP_PG_DATE},
    {1083, WISP_PG_TIME},
    {1114, WISP_PG_TIMESTAMP},
    {1115, WISP_PG_TIMESTAMP_ARRAY},
    {1182, WISP_PG_DATE_ARRAY},
    {1183, WISP_PG_TIME_ARRAY},
    {1184, WISP_PG_TIMESTAMP_TZ},
    {1185, WISP_PG_TIMESTAMP_TZ_ARRAY},
    {1231, WISP_PG_NUMERIC_ARRAY},
    {1266, WISP_PG_TIME_TZ},
    {1270, WISP_PG_TIME_TZ_ARRAY},
    {1560, WISP_PG_BIT},
    {1561, WISP_PG_BIT_ARRAY},
    {1562, WISP_PG_VARBIT},
    {1563, WISP_PG_VARBIT_ARRAY},
    {1700, WISP_PG_NUMERIC},
    {2278, WISP_PG_NULL}, /* void */
    {2950, WISP_PG_UUID},
    {2951, WISP_PG_UUID_ARRAY},
    {2970, WISP_PG_PG_SNAPSHOT}, /* txid_snapshot */
    {3220, WISP_PG_PG_LSN},
    {3221, WISP_PG_PG_LSN_ARRAY},
    {3614, WISP_PG_TS_VECTOR},
    {3615, WISP_PG_TS_QUERY},
    {3802, WISP_PG_JSONB},
    {3807, WISP_PG_JSONB_ARRAY},
    {3912, WISP_PG_INTERVAL}, /* daterange */
    {3913, WISP_PG_INTERVAL_ARRAY},
    {5038, WISP_PG_PG_SNAPSHOT},
};

bool wisp_pg_type_find(uint32_t oid, struct wisp_pg_type *ret_type)
{
    size_t low = 0, high = WISP_COUNT(builtin);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (builtin[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == WISP_COUNT(builtin) || builtin[low].oid != oid) return false;
    *ret_type = (struct wisp_pg_type){oid, builtin[low].tag, WISP_PG_MONEY_UNKNOWN};
    return true;
}

/* Texts in all but name. */
static bool is_textual(struct wisp_str name, char kind) { return kind == 'e' || wisp_str_is(name, "citext"); }

bool wisp_pg_type_named(struct wisp_str name, char kind, struct wisp_str element_name, char element_kind,
                        enum wisp_pg_case *ret_tag)
{
    if (wisp_str_is(name, "hstore"))
        *ret_tag = WISP_PG_HSTORE;
    else if (is_textual(name, kind))
        *ret_tag = WISP_PG_TEXT;
    else if (element_kind && is_textual(element_name, element_kind))
        *ret_tag = WISP_PG_TEXT_ARRAY;
    else
        return false;
    return true;
}
