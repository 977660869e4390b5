/* SPDX-License-Identifier: Apache-2.0 */
#include "state/wire.h"

#include "base/parse.h"

#include <stdio.h>

enum { HAS_VALUE = 0x80 };

static void put_number(struct wisp_buf *out, uint64_t number, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) wisp_buf_append_char(out, (char)(number >> (8 * i)));
}

static uint64_t take_number(struct wisp_str *rest, int n_bytes)
{
    uint64_t number = 0;
    for (int i = 0; i < n_bytes; i++) number |= (uint64_t)(unsigned char)rest->ptr[i] << (8 * i);
    *rest = (struct wisp_str){rest->ptr + n_bytes, rest->len - (size_t)n_bytes};
    return number;
}

static struct wisp_str take_bytes(struct wisp_str *rest, size_t size)
{
    struct wisp_str taken = {rest->ptr, size};
    *rest = (struct wisp_str){rest->ptr + size, rest->len - size};
    return taken;
}

void wisp_state_record_encode(const struct wisp_state_record *record, struct wisp_buf *out)
{
    put_number(out, (uint64_t)record->bucket | (record->has_value ? HAS_VALUE : 0), 1);
    put_number(out, record->key.len, 2);
    put_number(out, record->value.len, 4);
    put_number(out, record->revision, 8);
    wisp_buf_append_str(out, record->key);
    wisp_buf_append_str(out, record->value);
}

int wisp_state_record_decode(struct wisp_str *rest, struct wisp_state_record *ret_record, struct wisp_err *err)
{
    if (rest->len < WISP_STATE_RECORD_OVERHEAD) return wisp_err_set(err, WISP_ERR_INVALID, "record is cut off");
    struct wisp_str at = *rest;
    uint64_t kind = take_number(&at, 1), key_len = take_number(&at, 2), value_len = take_number(&at, 4);
    struct wisp_state_record record = {.has_value = kind & HAS_VALUE, .revision = take_number(&at, 8)};
    kind &= HAS_VALUE - 1;
    if (kind >= WISP_STATE_BUCKET_COUNT || value_len > WISP_STATE_VALUE_MAX || (!record.has_value && value_len))
        return wisp_err_set(err, WISP_ERR_INVALID, "record of no known kind");
    if (key_len + value_len > at.len) return wisp_err_set(err, WISP_ERR_INVALID, "record is cut off");
    record.bucket = (enum wisp_state_bucket)kind;
    record.key = take_bytes(&at, (size_t)key_len);
    record.value = take_bytes(&at, (size_t)value_len);
    if (!wisp_state_key_is_valid(record.key)) return wisp_err_set(err, WISP_ERR_INVALID, "record without a proper key");
    *rest = at;
    *ret_record = record;
    return 0;
}

struct wisp_str wisp_state_subject(char buf[WISP_STATE_SUBJECT_MAX], const char *lattice, const char *word)
{
    int n = snprintf(buf, WISP_STATE_SUBJECT_MAX, "$WISP.STATE.%s.%s", lattice, word);
    assert(n > 0 && n < WISP_STATE_SUBJECT_MAX);
    return (struct wisp_str){buf, (size_t)n};
}

int wisp_state_header_u64(const struct wisp_bus_message *message, const char *name, uint64_t *ret_value,
                          struct wisp_err *err)
{
    struct wisp_str text = wisp_bus_header_get(message, name);
    if (wisp_parse_u64(text, INT64_MAX, ret_value, NULL) == 0) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "header %s is no number: `%.*s`", name, WISP_STR_ARG(text));
}

int wisp_state_header_expected(const struct wisp_bus_message *message, int64_t *ret_expected, struct wisp_err *err)
{
    uint64_t number = 0;
    *ret_expected = WISP_STATE_ANY_REVISION;
    if (wisp_str_is(wisp_bus_header_get(message, WISP_STATE_EXPECTED_HEADER), "-1")) return 0;
    int r = wisp_state_header_u64(message, WISP_STATE_EXPECTED_HEADER, &number, err);
    *ret_expected = (int64_t)number;
    return r;
}

int wisp_state_header_error(const struct wisp_bus_message *message, struct wisp_err *err)
{
    struct wisp_str name = wisp_bus_header_get(message, WISP_STATE_ERROR_HEADER);
    if (!name.len) return 0;
    for (int kind = 1; kind < WISP_ERR_COUNT; kind++)
        if (wisp_str_is(name, wisp_err_name((enum wisp_err_kind)kind)))
            return wisp_err_set(err, (enum wisp_err_kind)kind, "%.*s", WISP_STR_ARG(message->payload));
    return wisp_err_set(err, WISP_ERR_INTERNAL, "%.*s", WISP_STR_ARG(message->payload));
}
