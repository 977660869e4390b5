/* SPDX-License-Identifier: Apache-2.0 */
/* Recursion follows the type, whose depth is bounded where it is made (WISP_TYPE_DEPTH_MAX). */
#include "wrpc/value.h"

#include "component/host/opaque.h"
#include "wrpc/wire.h"

#include <assert.h>
#include <stdio.h>

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
    if (wisp_opaque_is(type)) return 0;
    if (type->kind == WISP_TYPE_OWN || type->kind == WISP_TYPE_BORROW) {
        struct wisp_str name = type->resource->name;
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "`%s<%.*s>`: handles of resources can't be sent to another host",
                            type->kind == WISP_TYPE_OWN ? "own" : "borrow", WISP_STR_ARG(name));
    }
    if (type->element) {
        if (type->element->native_size == 0)
            return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "lists and streams of empty values can't be sent");
        if (type->kind != WISP_TYPE_LIST && type->has_handles)
            return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "streams of handles can't be sent");
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

/* --- streams and futures --- */

/* Where in the value one is. Kept up to date only within types that have streams. */
struct path {
    char text[WISP_WRPC_PATH_MAX];
    size_t len; /* beyond the text: it is too long, which only matters to what is there */
};

static size_t enter(struct path *path, uint32_t index)
{
    size_t before = path->len;
    if (before < sizeof path->text)
        path->len +=
            (size_t)snprintf(path->text + before, sizeof path->text - before, "%s%u", before ? "." : "", index);
    return before;
}

static void leave(struct path *path, size_t before)
{
    path->len = before;
    if (before < sizeof path->text) path->text[before] = '\0';
}

static void begin_path(struct path *path, const struct wisp_wrpc_slots *slots)
{
    path->len = slots && slots->prefix ? strlen(slots->prefix) : 0;
    assert(path->len < sizeof path->text);
    if (path->len > 0) memcpy(path->text, slots->prefix, path->len);
    path->text[path->len] = '\0';
}

/* NULL: there are too many, or it is too deep. */
static struct wisp_wrpc_slot *add_slot(struct wisp_wrpc_slots *slots, const struct wisp_type *type,
                                       const struct path *path)
{
    if (slots->n == WISP_WRPC_SLOTS_MAX || path->len >= sizeof path->text) return NULL;
    if (slots->n == slots->capacity) {
        slots->capacity = slots->capacity ? 4 * slots->capacity : 4;
        struct wisp_wrpc_slot *items = WISP_NEW_ARRAY(slots->arena, struct wisp_wrpc_slot, slots->capacity);
        if (slots->n > 0) memcpy(items, slots->items, slots->n * sizeof *items);
        slots->items = items;
    }
    struct wisp_wrpc_slot *slot = &slots->items[slots->n++];
    *slot = (struct wisp_wrpc_slot){.type = type, .path = wisp_arena_cstr(slots->arena, wisp_str_from(path->text))};
    return slot;
}

/* --- encoding --- */

struct encoder {
    struct wisp_buf *out;
    size_t start, bytes_max;
    struct wisp_wrpc_slots *slots;
    struct path path;
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

/* A field, element or parameter. */
static int encode_part(struct encoder *encoder, const struct wisp_type *type, uint32_t index, const char *value)
{
    if (!type->has_streams) return encode(encoder, type, value);
    size_t before = enter(&encoder->path, index);
    int r = encode(encoder, type, value);
    leave(&encoder->path, before);
    return r;
}

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
    for (size_t i = 0; r == 0 && i < list.len; i++, at += element->native_size)
        r = encode_part(encoder, element, (uint32_t)i, at);
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

static int encode_handle(struct encoder *encoder, const struct wisp_type *type, const char *value)
{
    const struct wisp_opaque *opaque;
    int r = wisp_wrpc_type_check(type, encoder->err);
    if (r < 0) return r;
    memcpy(&opaque, value, sizeof opaque);
    wisp_wrpc_put_bytes(encoder->out, (struct wisp_str){opaque->bytes, opaque->size});
    return 0;
}

/* Sent as "later", always. */
static int encode_stream(struct encoder *encoder, const struct wisp_type *type, const char *value)
{
    if (!encoder->slots)
        return wisp_err_set(encoder->err, WISP_ERR_UNSUPPORTED, "streams and futures can't be sent here");
    struct wisp_wrpc_slot *slot = add_slot(encoder->slots, type, &encoder->path);
    if (!slot)
        return wisp_err_set(encoder->err, WISP_ERR_LIMIT, "more than %d streams, or one too deep in a value",
                            WISP_WRPC_SLOTS_MAX);
    slot->from = value;
    wisp_buf_append_char(encoder->out, 0);
    return 0;
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
            r = encode_part(encoder, type->fields[i].type, i, value + type->fields[i].native_offset);
        return r;
    case WISP_TYPE_FLAGS:
        encode_flags(encoder, type, value);
        return 0;
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        return encode_case(encoder, type, value);
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
        return encode_stream(encoder, type, value);
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
    case WISP_TYPE_COUNT:
        return encode_handle(encoder, type, value);
    default:
        encode_number(encoder, type, value);
        return 0;
    }
}

static void begin_encoding(struct encoder *encoder, struct wisp_buf *out, size_t bytes_max,
                           struct wisp_wrpc_slots *slots, struct wisp_err *err)
{
    encoder->out = out;
    encoder->start = out->len;
    encoder->bytes_max = bytes_max;
    encoder->slots = slots;
    encoder->err = err;
    begin_path(&encoder->path, slots);
}

int wisp_wrpc_value_encode_with(const struct wisp_type *type, const void *value, size_t bytes_max,
                                struct wisp_wrpc_slots *slots, struct wisp_buf *out, struct wisp_err *err)
{
    struct encoder encoder;
    begin_encoding(&encoder, out, bytes_max, slots, err);
    int r = encode(&encoder, type, value);
    return r < 0 ? r : check_size(&encoder, 0);
}

int wisp_wrpc_value_encode(const struct wisp_type *type, const void *value, size_t bytes_max, struct wisp_buf *out,
                           struct wisp_err *err)
{
    return wisp_wrpc_value_encode_with(type, value, bytes_max, NULL, out, err);
}

int wisp_wrpc_params_encode(const struct wisp_func_type *type, const void *args, size_t bytes_max,
                            struct wisp_wrpc_slots *slots, struct wisp_buf *out, struct wisp_err *err)
{
    struct encoder encoder;
    begin_encoding(&encoder, out, bytes_max, slots, err);
    for (uint32_t i = 0; i < type->n_params; i++) {
        const struct wisp_type_field *param = &type->params[i];
        if (encode_part(&encoder, param->type, i, (const char *)args + param->native_offset) < 0)
            return wisp_err_wrap(err, "parameter `%.*s`", WISP_STR_ARG(param->name));
    }
    return check_size(&encoder, 0);
}

/* --- decoding --- */

struct decoder {
    struct wisp_wrpc_input input;
    struct wisp_arena *arena;
    size_t native_left; /* bytes that lists may still take in the arena */
    bool is_too_large;
    bool is_skipping; /* what is decoded now is decoded again later, by those who read the stream */
    struct wisp_wrpc_slots *slots;
    struct path path;
};

static bool is_ok(const struct decoder *decoder) { return decoder->input.state == WISP_WRPC_READ_OK; }

static void decode(struct decoder *decoder, const struct wisp_type *type, char *value);

/* Of a checked count, for each element takes a byte at least. */
static char *make_list(struct decoder *decoder, const struct wisp_type *element, size_t count)
{
    if (count > decoder->native_left / element->native_size) {
        decoder->is_too_large = true;
        wisp_wrpc_input_fail(&decoder->input, "a list that is too large");
        return NULL;
    }
    decoder->native_left -= count * element->native_size;
    return wisp_arena_calloc(decoder->arena, count, element->native_size);
}

static void decode_part(struct decoder *decoder, const struct wisp_type *type, uint32_t index, char *value)
{
    if (!type->has_streams) {
        decode(decoder, type, value);
        return;
    }
    size_t before = enter(&decoder->path, index);
    decode(decoder, type, value);
    leave(&decoder->path, before);
}

static void decode_list(struct decoder *decoder, const struct wisp_type *element, char *value)
{
    struct native_list list = {NULL, (size_t)wisp_wrpc_read_unsigned(&decoder->input, 32)};
    bool is_raw_list = is_raw(element);
    size_t bytes_min = list.len * (is_raw_list ? element->native_size : 1);
    if (!is_ok(decoder)) return;
    if (bytes_min > wisp_wrpc_input_left(&decoder->input)) {
        decoder->input.state = WISP_WRPC_READ_MORE;
        return;
    }
    if (is_byte(element)) {
        list.ptr = wisp_wrpc_read_raw(&decoder->input, list.len).ptr;
    } else if (list.len > 0) {
        char *items = make_list(decoder, element, list.len);
        if (!items) return;
        if (is_raw_list)
            memcpy(items, wisp_wrpc_read_raw(&decoder->input, bytes_min).ptr, bytes_min);
        else
            for (size_t i = 0; i < list.len && is_ok(decoder); i++)
                decode_part(decoder, element, (uint32_t)i, items + i * element->native_size);
        list.ptr = items;
    }
    memcpy(value, &list, sizeof list);
}

static void decode_case(struct decoder *decoder, const struct wisp_type *type, char *value)
{
    uint32_t tag = wisp_wrpc_read_case(&decoder->input, type->n_fields);
    memcpy(value, &tag, sizeof tag);
    const struct wisp_type_field *field = &type->fields[tag];
    if (is_ok(decoder) && field->type) decode(decoder, field->type, value + field->native_offset);
}

static void decode_flags(struct decoder *decoder, const struct wisp_type *type, char *value)
{
    uint32_t flags = 0;
    for (uint32_t i = 0; i < type->n_fields; i += 8) flags |= (uint32_t)wisp_wrpc_read_byte(&decoder->input) << i;
    /* Reserved bits mean nothing. */
    if (type->n_fields < 32) flags &= (1u << type->n_fields) - 1;
    memcpy(value, &flags, sizeof flags);
}

static void decode_number(struct decoder *decoder, const struct wisp_type *type, char *value)
{
    unsigned bits = type->native_size * 8;
    bool is_signed = type->kind == WISP_TYPE_S16 || type->kind == WISP_TYPE_S32 || type->kind == WISP_TYPE_S64;
    uint64_t number = is_signed ? (uint64_t)wisp_wrpc_read_signed(&decoder->input, bits)
                                : wisp_wrpc_read_unsigned(&decoder->input, bits);
    memcpy(value, &number, type->native_size);
}

/* To see where they end. */
static void skip_elements(struct decoder *decoder, const struct wisp_type *element, uint32_t count)
{
    bool was_skipping = decoder->is_skipping;
    if (is_raw(element)) {
        wisp_wrpc_read_raw(&decoder->input, (size_t)count * element->native_size);
        return;
    }
    char *scratch = make_list(decoder, element, 1);
    decoder->is_skipping = true;
    for (uint32_t i = 0; scratch && i < count && is_ok(decoder); i++) {
        memset(scratch, 0, element->native_size);
        decode(decoder, element, scratch);
    }
    decoder->is_skipping = was_skipping;
}

/* "Later", or all of it. */
static void decode_stream(struct decoder *decoder, const struct wisp_type *type, char *value)
{
    const char *start = decoder->input.at;
    uint32_t count;
    if (type->kind == WISP_TYPE_FUTURE) {
        count = wisp_wrpc_read_flag(&decoder->input, "a future that is neither 0 nor 1");
        start = decoder->input.at;
    } else {
        count = (uint32_t)wisp_wrpc_read_unsigned(&decoder->input, 32);
    }
    skip_elements(decoder, type->element, count);
    if (!is_ok(decoder) || decoder->is_skipping) return;
    struct wisp_wrpc_slot *slot = decoder->slots ? add_slot(decoder->slots, type, &decoder->path) : NULL;
    if (!slot) {
        decoder->is_too_large = decoder->slots;
        wisp_wrpc_input_fail(&decoder->input, "more streams than are taken here");
        return;
    }
    slot->at = value;
    slot->is_inline = count > 0;
    slot->bytes = (struct wisp_str){start, slot->is_inline ? (size_t)(decoder->input.at - start) : 0};
}

static void decode_handle(struct decoder *decoder, const struct wisp_type *type, char *value)
{
    struct wisp_str bytes = wisp_wrpc_read_bytes(&decoder->input);
    if (!is_ok(decoder)) return;
    struct wisp_wrpc_slot *slot = decoder->slots ? add_slot(decoder->slots, type, &decoder->path) : NULL;
    if (!slot) {
        decoder->is_too_large = decoder->slots;
        wisp_wrpc_input_fail(&decoder->input, "more handles than are taken here");
        return;
    }
    slot->at = value;
    slot->bytes = bytes;
}

static void decode_raw(struct decoder *decoder, const struct wisp_type *type, char *value)
{
    struct wisp_str bytes = wisp_wrpc_read_raw(&decoder->input, type->native_size);
    if (bytes.len > 0) memcpy(value, bytes.ptr, bytes.len);
}

/* `value` is zeroed. */
static void decode(struct decoder *decoder, const struct wisp_type *type, char *value)
{
    struct wisp_str text;
    uint32_t scalar;
    switch (type->kind) {
    case WISP_TYPE_BOOL:
        *value = (char)wisp_wrpc_read_flag(&decoder->input, "a bool that is neither 0 nor 1");
        return;
    case WISP_TYPE_U8:
    case WISP_TYPE_S8:
    case WISP_TYPE_F32:
    case WISP_TYPE_F64:
        decode_raw(decoder, type, value);
        return;
    case WISP_TYPE_CHAR:
        scalar = wisp_wrpc_read_char(&decoder->input);
        memcpy(value, &scalar, sizeof scalar);
        return;
    case WISP_TYPE_STRING:
        text = wisp_wrpc_read_string(&decoder->input);
        memcpy(value, &text, sizeof text);
        return;
    case WISP_TYPE_LIST:
        decode_list(decoder, type->element, value);
        return;
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        for (uint32_t i = 0; i < type->n_fields && is_ok(decoder); i++)
            decode_part(decoder, type->fields[i].type, i, value + type->fields[i].native_offset);
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
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
        decode_stream(decoder, type, value);
        return;
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
    case WISP_TYPE_COUNT:
        decode_handle(decoder, type, value);
        return;
    default:
        decode_number(decoder, type, value);
        return;
    }
}

static int judge(const struct decoder *decoder, struct wisp_str bytes, size_t *ret_used, struct wisp_err *err)
{
    const struct wisp_wrpc_input *input = &decoder->input;
    *ret_used = bytes.len - wisp_wrpc_input_left(input);
    if (input->state == WISP_WRPC_READ_OK) return 0;
    if (input->state == WISP_WRPC_READ_MORE) return WISP_WRPC_MORE;
    return wisp_err_set(err, decoder->is_too_large ? WISP_ERR_LIMIT : WISP_ERR_INVALID, "%s before byte %zu",
                        input->fault, *ret_used);
}

static void begin_decoding(struct decoder *decoder, struct wisp_str bytes, struct wisp_arena *arena,
                           struct wisp_wrpc_slots *slots)
{
    decoder->input = wisp_wrpc_input(bytes);
    decoder->arena = arena;
    decoder->native_left = WISP_WRPC_NATIVE_BYTES_MAX;
    decoder->is_too_large = decoder->is_skipping = false;
    decoder->slots = slots;
    begin_path(&decoder->path, slots);
}

int wisp_wrpc_value_decode_with(const struct wisp_type *type, struct wisp_str bytes, struct wisp_arena *arena,
                                void *value, struct wisp_wrpc_slots *slots, size_t *ret_used, struct wisp_err *err)
{
    struct decoder decoder;
    begin_decoding(&decoder, bytes, arena, slots);
    memset(value, 0, type->native_size);
    decode(&decoder, type, value);
    return judge(&decoder, bytes, ret_used, err);
}

int wisp_wrpc_value_decode(const struct wisp_type *type, struct wisp_str bytes, struct wisp_arena *arena, void *value,
                           size_t *ret_used, struct wisp_err *err)
{
    return wisp_wrpc_value_decode_with(type, bytes, arena, value, NULL, ret_used, err);
}

int wisp_wrpc_params_decode(const struct wisp_func_type *type, struct wisp_str bytes, struct wisp_arena *arena,
                            void *args, struct wisp_wrpc_slots *slots, size_t *ret_used, struct wisp_err *err)
{
    struct decoder decoder;
    begin_decoding(&decoder, bytes, arena, slots);
    if (type->native_params_size > 0) memset(args, 0, type->native_params_size);
    for (uint32_t i = 0; i < type->n_params && is_ok(&decoder); i++)
        decode_part(&decoder, type->params[i].type, i, (char *)args + type->params[i].native_offset);
    return judge(&decoder, bytes, ret_used, err);
}
