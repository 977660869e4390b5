/* SPDX-License-Identifier: Apache-2.0 */
/* Columns as a hostile server sends them. The first four bytes are the type's number, the next how many digits money
 * has; what is read must be fit for a parameter again, and must stay within its budget. */
#include "capability/postgres/value.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Texts in a value are UTF-8, for guests rely on it; where the case has one, this looks. */
static void check_text(const struct wisp_pg_value *value)
{
    switch (value->tag) {
    case WISP_PG_TEXT:
    case WISP_PG_NAME:
    case WISP_PG_XML:
    case WISP_PG_JSON:
    case WISP_PG_JSONB:
    case WISP_PG_NUMERIC:
    case WISP_PG_TS_QUERY:
        if (!wisp_str_is_utf8(value->as.text)) abort();
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_pg_type type;
    struct wisp_pg_value value;
    struct wisp_pg_param param;
    struct wisp_err err;
    size_t budget = 1 << 20;
    if (size < 5) return 0;
    uint32_t oid = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
    if (!wisp_pg_type_find(oid, &type)) type = (struct wisp_pg_type){oid, WISP_PG_HSTORE, 0};
    type.money_digits = (int8_t)data[4];
    struct wisp_str bytes = {(const char *)data + 5, size - 5};
    if (wisp_pg_value_read(&type, bytes, &budget, &arena, &value, &err) < 0) return 0;
    if (value.tag != type.tag) abort();
    check_text(&value);
    /* A parameter may be refused (a zero byte in a text, a path without points), but nothing else may happen. */
    (void)!wisp_pg_param_write(&value, true, &param, &arena, &err);
    return 0;
}
