/* SPDX-License-Identifier: Apache-2.0 */
/* Recursion follows the type, whose depth is bounded where it is made (WISP_TYPE_DEPTH_MAX). */
#include "wrpc/value.h"

#include "wrpc/wire.h"

#include <assert.h>

/* The layout of list<T> and string. */
struct native_list {
    const void *ptr;
    size_t len;
};

static bool is_byte(const struct wisp_type *type) { return type->kind == WISP_TYPE_U8 || type->kind == WISP_TYPE_S8; }

/* Native and encoded elements are the same bytes (on the little-endian machines that we run on). */
static bool is_raw(const struct wisp_type *type)
{
    return is_byte(type) || type->kind == WISP_TYPE_F32 || type->kind == WISP_TYPE_F64;
}

/* --- what can be sent --- */

int wisp_wrpc_type_check(const struct wisp_type *type, struct wisp_err *err)
{
    if (type->kind == WISP_TYPE_OWN || type->kind == WISP_TYPE_BORROW) {
        struct wisp_str name = type->resource->name;
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "`%s<%.*s>`: handles of resources can't be sent to another host",
                            type->kind == WISP_TYPE_OWN ? "own" : "borrow", WISP_STR_ARG(name));
    }
    if (type->kind == WISP_TYPE_LIST) {
        if (type->element->native_size == 0)
            return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "lists of empty values can't be sent");
        return wisp_wrpc_type_check(type->element, err);
    }
    for (uint32_t i = 0; i < type->n_fields; i++) {
        int r = type->fields[i].type ? wisp_wrpc_type_check(type->fields[i].type, err) : 0;
        if (r < 0) return r;
    }
    return 0;
}

int wisp_wrpc_func_check(const struct wisp_func_type *type, struct wisp_err *err)
{
    for (uint32_t i = 0; i < type->n_params; i++)
        if (wisp_wrpc_type_check(type->params[i].type, err) < 0)
            return wisp_err_wrap(err, "parameter `%.*s`", WISP_STR_ARG(type->params[i].name));
    if (type->result && wisp_wrpc_type_check(type->result, err) < 0) return wisp_err_wrap(err, "result");
    return 0;
}

/* --- encoding --- */

struct encoder {
    struct wisp_buf *out;
    size_t start, bytes_max;
    struct wisp_err *err;
};

static int check_size(const struct encoder *encoder, size_t more)
{
    size_t used = encoder->out->len - encoder->start;
    if (used <= encoder->bytes_max && more <= encoder->bytes_max - used) return 0;
    return wisp_err_set(encoder->err, WISP_ERR_LIMIT, "a value of more than %zu bytes can't be sent",
                        encoder->bytes_max);
}

static int encode(struct encoder *encoder, const struct wisp_type *type, const char *value);

static int encode_list(struct encoder *encoder, const struct wisp_type *element, const char *value)
{
    struct native_list list;
    memcpy(&list, value, sizeof list);
    int r = check_size(encoder, list.len);
    if (r < 0) return r;
    wisp_wrpc_put_unsigned(encoder->out, list.len);
    if (is_raw(element)) {
        r = check_size(encoder, list.len * element->native_size);
        if (r == 0) wisp_buf_append(encoder->out, list.ptr, list.len * element->native_size);
        return r;
    }
    const char *at = list.ptr;
    for (size_t i = 0; r == 0 && i < list.len; i++, at += element->native_size) r = encode(encoder, element, at);
    return r;
}

static int encode_case(struct encoder *encoder, const struct wisp_type *type, const char *value)
{
    uint32_t tag;
    memcpy(&tag, value, sizeof tag);
    if (tag >= type->n_fields)
        return wisp_err_set(encoder->err, WISP_ERR_INVALID, "a value has case %u of %u", tag, type->n_fields);
    wisp_wrpc_put_unsigned(encoder->out, tag);
    const struct wisp_type_field *field = &type->fields[tag];
    return field->type ? encode(encoder, field->type, value + field->native_offset) : 0;
}

static int encode_char(struct encoder *encoder, const char *value)
{
    uint32_t scalar;
    memcpy(&scalar, value, sizeof scalar);
    if (scalar > 0x10ffff || (scalar >= 0xd800 && scalar < 0xe000))
        return wisp_err_set(encoder->err, WISP_ERR_INVALID, "U+%04X is no character", scalar);
    wisp_wrpc_put_char(encoder->out, scalar);
    return 0;
}

static void encode_flags(struct encoder *encoder, const struct wisp_type *type, const char *value)
{
    uint32_t flags;
    memcpy(&flags, value, sizeof flags);
    if (type->n_fields < 32) flags &= (1u << type->n_fields) - 1;
    for (uint32_t i = 0; i < type->n_fields; i += 8) wisp_buf_append_char(encoder->out, (char)(flags >> i));
}

static void encode_number(struct encoder *encoder, const struct wisp_type *type, const char *value)
{
    union {
        uint16_t u16;
        int16_t s16;
        uint32_t u32;
        int32_t s32;
        uint64_t u64;
        int64_t s64;
    } number;
    memcpy(&number, value, type->native_size);
    switch (type->kind) {
    case WISP_TYPE_U16:
        wisp_wrpc_put_unsigned(encoder->out, number.u16);
        return;
    case WISP_TYPE_S16:
        wisp_wrpc_put_signed(encoder->out, number.s16);
        return;
    case WISP_TYPE_U32:
        wisp_wrpc_put_unsigned(encoder->out, number.u32);
        return;
    case WISP_TYPE_S32:
        wisp_wrpc_put_signed(encoder->out, number.s32);
        return;
    case WISP_TYPE_U64:
        wisp_wrpc_put_unsigned(encoder->out, number.u64);
        return;
    default:
        wisp_wrpc_put_signed(encoder->out, number.s64);
        return;
    }
}

static int encode(struct encoder *encoder, const struct wisp_type *type, const char *value)
{
    int r = check_size(encoder, 0);
    if (r < 0) return r;
    switch (type->kind) {
    case WISP_TYPE_BOOL:
    case WISP_TYPE_U8:
    case WISP_TYPE_S8:
    case WISP_TYPE_F32:
    case WISP_TYPE_F64:
        wisp_buf_append(encoder->out, value, type->native_size);
        return 0;
    case WISP_TYPE_CHAR:
        return encode_char(encoder, value);
    case WISP_TYPE_STRING:
        return encode_list(encoder, wisp_type_primitive(WISP_TYPE_U8), value);
    case WISP_TYPE_LIST:
        return encode_list(encoder, type->element, value);
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        for (uint32_t i = 0; r == 0 && i < type->n_fields; i++)
            r = encode(encoder, type->fields[i].type, value + type->fields[i].native_offset);
        return r;
    case WISP_TYPE_FLAGS:
        encode_flags(encoder, type, value);
        return 0;
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        return encode_case(encoder, type, value);
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
    case WISP_TYPE_COUNT:
        return wisp_wrpc_type_check(type, encoder->err);
    default:
        encode_number(encoder, type, value);
        return 0;
    }
}

int wisp_wrpc_value_encode(const struct wisp_type *type, const void *value, size_t bytes_max, struct wisp_buf *out,
                           struct wisp_err *err)
{
    struct encoder encoder = {out, out->len, bytes_max, err};
    int r = encode(&encoder, type, value);
    return r < 0 ? r : check_size(&encoder, 0);
}

int wisp_wrpc_params_encode(const struct wisp_func_type *type, const void *args, size_t bytes_max, struct wisp_buf *out,
                            struct wisp_err *err)
{
    struct encoder encoder = {out, out->len, bytes_max, err};
    for (uint32_t i = 0; i < type->n_params; i++) {
        const struct wisp_type_field *param = &type->params[i];
        if (encode(&encoder, param->type, (const char *)args + param->native_offset) < 0)
            return wisp_err_wrap(err, "parameter `%.*s`", WISP_STR_ARG(param->name));
    }
    return check_size(&encoder, 0);
}

/* --- decoding --- */

struct decoder {
    struct wisp_wrpc_reader reader;
    struct wisp_arena *arena;
    size_t native_left; /* bytes that lists may still take in the arena */
    bool is_too_large;
};

static bool is_ok(const struct decoder *decoder) { return decoder->reader.state == WISP_WRPC_READ_OK; }

static void decode(struct decoder *decoder, const struct wisp_type *type, char *value);

/* Of a checked count, for each element takes a byte at least. */
static char *make_list(struct decoder *decoder, const struct wisp_type *element, size_t count)
{
    if (count > decoder->native_left / element->native_size) {
        decoder->is_too_large = true;
        wisp_wrpc_reader_fail(&decoder->reader, "a list that is too large");
        return NULL;
    }
    decoder->native_left -= count * element->native_size;
    return wisp_arena_calloc(decoder->arena, count, element->native_size);
}

static void decode_list(struct decoder *decoder, const struct wisp_type *element, char *value)
{
    struct native_list list = {NULL, (size_t)wisp_wrpc_read_unsigned(&decoder->reader, 32)};
    bool is_raw_list = is_raw(element);
    size_t bytes_min = list.len * (is_raw_list ? element->native_size : 1);
    if (!is_ok(decoder)) return;
    if (bytes_min > wisp_wrpc_reader_left(&decoder->reader)) {
        decoder->reader.state = WISP_WRPC_READ_MORE;
        return;
    }
    if (is_byte(element)) {
        list.ptr = wisp_wrpc_read_raw(&decoder->reader, list.len).ptr;
    } else if (list.len > 0) {
        char *items = make_list(decoder, element, list.len);
        if (!items) return;
        if (is_raw_list)
            memcpy(items, wisp_wrpc_read_raw(&decoder->reader, bytes_min).ptr, bytes_min);
        else
            for (size_t i = 0; i < list.len && is_ok(decoder); i++)
                decode(decoder, element, items + i * element->native_size);
        list.ptr = items;
    }
    memcpy(value, &list, sizeof list);
}

static void decode_case(struct decoder *decoder, const struct wisp_type *type, char *value)
{
    uint32_t tag = wisp_wrpc_read_case(&decoder->reader, type->n_fields);
    memcpy(value, &tag, sizeof tag);
    const struct wisp_type_field *field = &type->fields[tag];
    if (is_ok(decoder) && field->type) decode(decoder, field->type, value + field->native_offset);
}

static void decode_flags(struct decoder *decoder, const struct wisp_type *type, char *value)
{
    uint32_t flags = 0;
    for (uint32_t i = 0; i < type->n_fields; i += 8) flags |= (uint32_t)wisp_wrpc_read_byte(&decoder->reader) << i;
    /* Reserved bits mean nothing. */
    if (type->n_fields < 32) flags &= (1u << type->n_fields) - 1;
    memcpy(value, &flags, sizeof flags);
}

static void decode_number(struct decoder *decoder, const struct wisp_type *type, char *value)
{
    unsigned bits = type->native_size * 8;
    bool is_signed = type->kind == WISP_TYPE_S16 || type->kind == WISP_TYPE_S32 || type->kind == WISP_TYPE_S64;
    uint64_t number = is_signed ? (uint64_t)wisp_wrpc_read_signed(&decoder->reader, bits)
                                : wisp_wrpc_read_unsigned(&decoder->reader, bits);
    memcpy(value, &number, type->native_size);
}

/* `value` is zeroed. */
static void decode(struct decoder *decoder, const struct wisp_type *type, char *value)
{
    struct wisp_str bytes;
    uint32_t scalar;
    switch (type->kind) {
    case WISP_TYPE_BOOL:
        *value = (char)wisp_wrpc_read_flag(&decoder->reader, "a bool that is neither 0 nor 1");
        return;
    case WISP_TYPE_U8:
    case WISP_TYPE_S8:
    case WISP_TYPE_F32:
    case WISP_TYPE_F64:
        bytes = wisp_wrpc_read_raw(&decoder->reader, type->native_size);
        if (bytes.len > 0) memcpy(value, bytes.ptr, bytes.len);
        return;
    case WISP_TYPE_CHAR:
        scalar = wisp_wrpc_read_char(&decoder->reader);
        memcpy(value, &scalar, sizeof scalar);
        return;
    case WISP_TYPE_STRING:
        bytes = wisp_wrpc_read_string(&decoder->reader);
        memcpy(value, &bytes, sizeof bytes);
        return;
    case WISP_TYPE_LIST:
        decode_list(decoder, type->element, value);
        return;
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        for (uint32_t i = 0; i < type->n_fields && is_ok(decoder); i++)
            decode(decoder, type->fields[i].type, value + type->fields[i].native_offset);
        return;
    case WISP_TYPE_FLAGS:
        decode_flags(decoder, type, value);
        return;
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        decode_case(decoder, type, value);
        return;
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
    case WISP_TYPE_COUNT:
        wisp_wrpc_reader_fail(&decoder->reader, "a handle");
        return;
    default:
        decode_number(decoder, type, value);
        return;
    }
}

static int judge(const struct decoder *decoder, struct wisp_str bytes, size_t *ret_used, struct wisp_err *err)
{
    const struct wisp_wrpc_reader *reader = &decoder->reader;
    *ret_used = bytes.len - wisp_wrpc_reader_left(reader);
    if (reader->state == WISP_WRPC_READ_OK) return 0;
    if (reader->state == WISP_WRPC_READ_MORE) return WISP_WRPC_MORE;
    return wisp_err_set(err, decoder->is_too_large ? WISP_ERR_LIMIT : WISP_ERR_INVALID, "%s before byte %zu",
                        reader->fault, *ret_used);
}

int wisp_wrpc_value_decode(const struct wisp_type *type, struct wisp_str bytes, struct wisp_arena *arena, void *value,
                           size_t *ret_used, struct wisp_err *err)
{
    struct decoder decoder = {wisp_wrpc_reader(bytes), arena, WISP_WRPC_NATIVE_BYTES_MAX, false};
    memset(value, 0, type->native_size);
    decode(&decoder, type, value);
    return judge(&decoder, bytes, ret_used, err);
}

int wisp_wrpc_params_decode(const struct wisp_func_type *type, struct wisp_str bytes, struct wisp_arena *arena,
                            void *args, size_t *ret_used, struct wisp_err *err)
{
    struct decoder decoder = {wisp_wrpc_reader(bytes), arena, WISP_WRPC_NATIVE_BYTES_MAX, false};
    if (type->native_params_size > 0) memset(args, 0, type->native_params_size);
    for (uint32_t i = 0; i < type->n_params && is_ok(&decoder); i++)
        decode(&decoder, type->params[i].type, (char *)args + type->params[i].native_offset);
    return judge(&decoder, bytes, ret_used, err);
}
