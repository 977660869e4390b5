/* SPDX-License-Identifier: Apache-2.0 */
#include "component/value/value_json.h"

#include "component/value/value_priv.h"
#include "component/value/wave.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* --- to JSON --- */

static int write(const struct wisp_type *type, const char *native, json_t **ret_json, struct wisp_err *err);

static json_t *text_json(const char *text) { return wisp_json_text(wisp_str_from(text)); }

static json_t *write_integer(const struct wisp_type *type, const void *native)
{
    uint64_t bits = 0;
    memcpy(&bits, native, type->native_size);
    switch (type->kind) {
    case WISP_TYPE_S8:
        return json_integer((int8_t)bits);
    case WISP_TYPE_S16:
        return json_integer((int16_t)bits);
    case WISP_TYPE_S32:
        return json_integer((int32_t)bits);
    default:
        break;
    }
    if (type->kind != WISP_TYPE_U64 || bits <= INT64_MAX) return json_integer((json_int_t)bits);
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "%" PRIu64, bits);
    return wisp_json_text(wisp_buf_str(&text));
}

static json_t *write_float(const struct wisp_type *type, const void *native)
{
    double number;
    float narrow;
    memcpy(type->kind == WISP_TYPE_F32 ? (void *)&narrow : &number, native, type->native_size);
    if (type->kind == WISP_TYPE_F32) number = isfinite(narrow) ? wisp_value_widen(narrow) : (double)narrow;
    if (isnan(number)) return text_json("nan");
    if (isinf(number)) return text_json(number < 0 ? "-inf" : "inf");
    return json_real(number);
}

static int write_list(const struct wisp_type *element, const char *native, json_t *array, struct wisp_err *err)
{
    struct value_list list;
    memcpy(&list, native, sizeof list);
    for (size_t i = 0; i < list.len; i++) {
        json_t *item;
        int r = write(element, (const char *)list.ptr + i * element->native_size, &item, err);
        if (r < 0) return r;
        json_array_append_new(array, item);
    }
    return 0;
}

static void put_named(json_t *object, struct wisp_str name, json_t *value)
{
    json_object_setn_new(object, name.len ? name.ptr : "", name.len, value);
}

static int write_fields(const struct wisp_type *type, const char *native, json_t *into, struct wisp_err *err)
{
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct wisp_type_field *field = &type->fields[i];
        json_t *item;
        int r = write(field->type, native + field->native_offset, &item, err);
        if (r < 0) return r;
        if (type->kind == WISP_TYPE_RECORD)
            put_named(into, field->name, item);
        else
            json_array_append_new(into, item);
    }
    return 0;
}

static void write_flags(const struct wisp_type *type, uint32_t bits, json_t *array)
{
    for (uint32_t i = 0; i < type->n_fields; i++)
        if (bits >> i & 1) json_array_append_new(array, wisp_json_text(type->fields[i].name));
}

/* {"name": payload} */
static int write_case(const struct wisp_type_field *chosen, struct wisp_str name, const char *native, json_t *object,
                      struct wisp_err *err)
{
    json_t *payload = NULL;
    int r = chosen->type ? write(chosen->type, native + chosen->native_offset, &payload, err) : 0;
    if (r < 0) return r;
    put_named(object, name, payload ? payload : json_null());
    return 0;
}

static bool is_nested_option(const struct wisp_type *type)
{
    return type->kind == WISP_TYPE_OPTION && value_is_option(type->fields[1].type);
}

static int write_variant(const struct wisp_type *type, const char *native, json_t **ret_json, struct wisp_err *err)
{
    uint32_t tag = value_u32(native);
    if (tag >= type->n_fields) return wisp_value_refuse_case(type, tag, err);
    const struct wisp_type_field *chosen = &type->fields[tag];
    struct wisp_str name = chosen->name;
    if (type->kind == WISP_TYPE_RESULT) {
        name = tag ? WISP_STR("err") : WISP_STR("ok");
    } else if (!chosen->type) {
        *ret_json = type->kind == WISP_TYPE_OPTION ? json_null() : wisp_json_text(name);
        return 0;
    } else if (type->kind == WISP_TYPE_OPTION && !is_nested_option(type)) {
        return write(chosen->type, native + chosen->native_offset, ret_json, err);
    }
    WISP_CLEANUP_JSON json_t *object = json_object();
    int r = write_case(chosen, name, native, object, err);
    if (r == 0) *ret_json = WISP_TAKE(object);
    return r;
}

static int write_compound(const struct wisp_type *type, const char *native, json_t **ret_json, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *json = type->kind == WISP_TYPE_RECORD ? json_object() : json_array();
    int r = 0;
    if (type->kind == WISP_TYPE_LIST)
        r = write_list(type->element, native, json, err);
    else if (type->kind == WISP_TYPE_FLAGS)
        write_flags(type, value_u32(native), json);
    else
        r = write_fields(type, native, json, err);
    if (r == 0) *ret_json = WISP_TAKE(json);
    return r;
}

static int write(const struct wisp_type *type, const char *native, json_t **ret_json, struct wisp_err *err)
{
    struct wisp_str string;
    char utf8[4];
    switch (type->kind) {
    case WISP_TYPE_BOOL:
        *ret_json = json_boolean(*(const bool *)native);
        return 0;
    case WISP_TYPE_F32:
    case WISP_TYPE_F64:
        *ret_json = write_float(type, native);
        return 0;
    case WISP_TYPE_CHAR:
        *ret_json = wisp_json_text((struct wisp_str){utf8, wisp_value_utf8(value_u32(native), utf8)});
        return 0;
    case WISP_TYPE_STRING:
        memcpy(&string, native, sizeof string);
        *ret_json = wisp_json_text(string);
        return 0;
    case WISP_TYPE_LIST:
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
    case WISP_TYPE_FLAGS:
        return write_compound(type, native, ret_json, err);
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        return write_variant(type, native, ret_json, err);
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
        return wisp_value_refuse_handle(err);
    default:
        *ret_json = write_integer(type, native);
        return 0;
    }
}

int wisp_value_to_json(const struct wisp_type *type, const void *native, json_t **ret_json, struct wisp_err *err)
{
    return write(type, native, ret_json, err);
}

/* --- from JSON --- */

struct reader {
    struct wisp_arena *arena;
    size_t left; /* bytes that elements of lists may still take */
    struct wisp_err *err;
};

static int read(struct reader *reader, const struct wisp_type *type, const json_t *json, char *native);

static int expect(struct reader *reader, const char *what)
{
    return wisp_err_set(reader->err, WISP_ERR_INVALID, "expected %s", what);
}

static int expect_type(struct reader *reader, const struct wisp_type *type)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    return wisp_err_set(reader->err, WISP_ERR_INVALID, "expected a value of type `%s`", wisp_type_text(&arena, type));
}

static struct wisp_str text_of(const json_t *json)
{
    if (!json_is_string(json)) return (struct wisp_str){0};
    return (struct wisp_str){json_string_value(json), json_string_length(json)};
}

static int read_integer(struct reader *reader, const struct wisp_type *type, const json_t *json, char *native)
{
    struct wisp_str digits = text_of(json);
    bool is_negative = false;
    uint64_t magnitude = 0;
    if (json_is_integer(json)) {
        is_negative = json_integer_value(json) < 0;
        magnitude = is_negative ? -(uint64_t)json_integer_value(json) : (uint64_t)json_integer_value(json);
    } else if (digits.len && type->native_size == 8) {
        return wisp_wave_parse(reader->arena, type, digits, native, reader->err);
    } else {
        return expect_type(reader, type);
    }
    return wisp_value_put_integer(type->kind, is_negative, magnitude, native) ? 0 : expect_type(reader, type);
}

static int read_float(struct reader *reader, const struct wisp_type *type, const json_t *json, char *native)
{
    struct wisp_str word = text_of(json);
    if (word.len) return wisp_wave_parse(reader->arena, type, word, native, reader->err);
    if (!json_is_number(json)) return expect_type(reader, type);
    double number = json_number_value(json);
    float narrow = (float)number;
    if (type->kind == WISP_TYPE_F32 && !isfinite(narrow)) return expect_type(reader, type);
    memcpy(native, type->kind == WISP_TYPE_F32 ? (void *)&narrow : &number, type->native_size);
    return 0;
}

static int read_string(struct reader *reader, const json_t *json, char *native)
{
    if (!json_is_string(json)) return expect(reader, "a string");
    struct wisp_str string = wisp_arena_str(reader->arena, text_of(json));
    memcpy(native, &string, sizeof string);
    return 0;
}

static int read_char(struct reader *reader, const json_t *json, char *native)
{
    struct wisp_str text = text_of(json);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) n += ((uint8_t)text.ptr[i] & 0xc0) != 0x80;
    if (n != 1) return expect(reader, "a string of one character");
    uint8_t first = (uint8_t)text.ptr[0];
    uint32_t c = text.len == 1 ? first : first & (0x7fu >> text.len);
    for (size_t i = 1; i < text.len; i++) c = c << 6 | ((uint8_t)text.ptr[i] & 0x3f);
    memcpy(native, &c, sizeof c);
    return 0;
}

static int read_list(struct reader *reader, const struct wisp_type *element, const json_t *json, char *native)
{
    WISP_CLEANUP_BUF struct wisp_buf elements = {0};
    if (!json_is_array(json)) return expect(reader, "an array");
    size_t len = json_array_size(json);
    for (size_t i = 0; i < len; i++) {
        char *to = wisp_value_add(&elements, element->native_size, &reader->left);
        if (!to) return wisp_value_refuse_size(reader->err);
        int r = read(reader, element, json_array_get(json, i), to);
        if (r < 0) return wisp_err_wrap(reader->err, "element %zu", i);
    }
    wisp_value_put_list(reader->arena, &elements, len, native);
    return 0;
}

static int read_tuple(struct reader *reader, const struct wisp_type *type, const json_t *json, char *native)
{
    if (!json_is_array(json) || json_array_size(json) != type->n_fields)
        return wisp_err_set(reader->err, WISP_ERR_INVALID, "expected an array of %u elements", type->n_fields);
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct wisp_type_field *field = &type->fields[i];
        int r = read(reader, field->type, json_array_get(json, i), native + field->native_offset);
        if (r < 0) return wisp_err_wrap(reader->err, "element %u", i);
    }
    return 0;
}

static json_t *get_named(const json_t *object, struct wisp_str name)
{
    return json_object_getn(object, name.len ? name.ptr : "", name.len);
}

static int read_record(struct reader *reader, const struct wisp_type *type, const json_t *json, char *native)
{
    if (!json_is_object(json)) return expect(reader, "an object");
    size_t n_given = 0;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct wisp_type_field *field = &type->fields[i];
        const json_t *value = get_named(json, field->name);
        n_given += value != NULL;
        if (!value && value_is_option(field->type)) continue;
        int r =
            value ? read(reader, field->type, value, native + field->native_offset) : expect_type(reader, field->type);
        if (r < 0) return wisp_err_wrap(reader->err, "field `%.*s`", WISP_STR_ARG(field->name));
    }
    return n_given == json_object_size(json) ? 0 : expect_type(reader, type);
}

static int read_flags(struct reader *reader, const struct wisp_type *type, const json_t *json, char *native)
{
    uint32_t bits = 0;
    if (!json_is_array(json)) return expect(reader, "an array of names of flags");
    for (size_t i = 0; i < json_array_size(json); i++) {
        uint32_t flag = wisp_value_field(type, text_of(json_array_get(json, i)), (uint32_t)i);
        if (flag == UINT32_MAX) return expect_type(reader, type);
        bits |= 1u << flag;
    }
    memcpy(native, &bits, sizeof bits);
    return 0;
}

/* `json` is the payload, NULL without one. */
static int read_case(struct reader *reader, const struct wisp_type *type, uint32_t tag, const json_t *json,
                     char *native)
{
    const struct wisp_type_field *chosen = &type->fields[tag];
    bool has_payload = json && !(json_is_null(json) && !chosen->type);
    if (has_payload != (chosen->type != NULL)) return expect_type(reader, type);
    memcpy(native, &tag, sizeof tag);
    if (!chosen->type) return 0;
    int r = read(reader, chosen->type, json, native + chosen->native_offset);
    return r < 0 ? wisp_err_wrap(reader->err, "`%.*s`", WISP_STR_ARG(chosen->name)) : 0;
}

static int read_variant(struct reader *reader, const struct wisp_type *type, const json_t *json, char *native)
{
    if (type->kind == WISP_TYPE_OPTION && json_is_null(json)) return read_case(reader, type, 0, NULL, native);
    if (type->kind == WISP_TYPE_OPTION && !is_nested_option(type)) return read_case(reader, type, 1, json, native);
    struct wisp_str name = text_of(json);
    const json_t *payload = NULL;
    if (json_is_object(json) && json_object_size(json) == 1) {
        void *item = json_object_iter((json_t *)(uintptr_t)json);
        name = (struct wisp_str){json_object_iter_key(item), json_object_iter_key_len(item)};
        payload = json_object_iter_value(item);
    }
    if (type->kind == WISP_TYPE_RESULT && wisp_str_is(name, "err")) name = type->fields[1].name;
    uint32_t tag = wisp_value_field(type, name, UINT32_MAX);
    return tag == UINT32_MAX ? expect_type(reader, type) : read_case(reader, type, tag, payload, native);
}

/* `native` is zeroed. */
static int read(struct reader *reader, const struct wisp_type *type, const json_t *json, char *native)
{
    switch (type->kind) {
    case WISP_TYPE_BOOL:
        if (!json_is_boolean(json)) return expect(reader, "true or false");
        *(bool *)native = json_is_true(json);
        return 0;
    case WISP_TYPE_F32:
    case WISP_TYPE_F64:
        return read_float(reader, type, json, native);
    case WISP_TYPE_CHAR:
        return read_char(reader, json, native);
    case WISP_TYPE_STRING:
        return read_string(reader, json, native);
    case WISP_TYPE_LIST:
        return read_list(reader, type->element, json, native);
    case WISP_TYPE_RECORD:
        return read_record(reader, type, json, native);
    case WISP_TYPE_TUPLE:
        return read_tuple(reader, type, json, native);
    case WISP_TYPE_FLAGS:
        return read_flags(reader, type, json, native);
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        return read_variant(reader, type, json, native);
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
        return wisp_value_refuse_handle(reader->err);
    default:
        return read_integer(reader, type, json, native);
    }
}

int wisp_value_from_json(struct wisp_arena *arena, const struct wisp_type *type, const json_t *json, void *native,
                         struct wisp_err *err)
{
    struct reader reader = {.arena = arena, .left = WISP_VALUE_BYTES_MAX, .err = err};
    memset(native, 0, type->native_size);
    return read(&reader, type, json, native);
}
