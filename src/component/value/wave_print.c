/* SPDX-License-Identifier: Apache-2.0 */
#include "component/value/wave.h"

#include "component/value/value_priv.h"

#include <inttypes.h>
#include <math.h>

struct printer {
    struct wisp_buf *out;
    struct wisp_err *err;
};

static int print(struct printer *p, const struct wisp_type *type, const char *native);

static void put_text(struct printer *p, const char *text) { wisp_buf_append_str(p->out, wisp_str_from(text)); }

/* --- characters --- */

/* Takes one character off; the strings of native values are UTF-8. */
static uint32_t take_char(struct wisp_str *s)
{
    static const uint8_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint8_t first = (uint8_t)*s->ptr;
    size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size > s->len) size = s->len;
    uint32_t c = first & first_bits[size];
    for (size_t i = 1; i < size; i++) c = c << 6 | ((uint8_t)s->ptr[i] & 0x3f);
    s->ptr += size;
    s->len -= size;
    return c;
}

/* Control characters, line separators, and marks that change the direction of what follows. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void put_escape(struct printer *p, uint32_t c)
{
    switch (c) {
    case '\t':
        put_text(p, "\\t");
        return;
    case '\n':
        put_text(p, "\\n");
        return;
    case '\r':
        put_text(p, "\\r");
        return;
    default:
        wisp_buf_printf(p->out, "\\u{%" PRIx32 "}", c);
        return;
    }
}

static void put_quoted(struct printer *p, struct wisp_str s, char quote)
{
    wisp_buf_append_char(p->out, quote);
    while (s.len) {
        const char *at = s.ptr;
        uint32_t c = take_char(&s);
        if (is_hidden(c)) {
            put_escape(p, c);
            continue;
        }
        if (c == (uint8_t)quote || c == '\\') wisp_buf_append_char(p->out, '\\');
        wisp_buf_append(p->out, at, (size_t)(s.ptr - at));
    }
    wisp_buf_append_char(p->out, quote);
}

static void put_char(struct printer *p, uint32_t c)
{
    char utf8[4];
    size_t size = wisp_value_utf8(c, utf8);
    put_quoted(p, (struct wisp_str){utf8, size}, '\'');
}

/* --- numbers --- */

static void put_integer(struct printer *p, const struct wisp_type *type, const void *native)
{
    uint64_t bits = 0;
    memcpy(&bits, native, type->native_size);
    switch (type->kind) {
    case WISP_TYPE_S8:
        wisp_buf_printf(p->out, "%d", (int8_t)bits);
        return;
    case WISP_TYPE_S16:
        wisp_buf_printf(p->out, "%d", (int16_t)bits);
        return;
    case WISP_TYPE_S32:
        wisp_buf_printf(p->out, "%" PRId32, (int32_t)bits);
        return;
    case WISP_TYPE_S64:
        wisp_buf_printf(p->out, "%" PRId64, (int64_t)bits);
        return;
    default:
        wisp_buf_printf(p->out, "%" PRIu64, bits);
        return;
    }
}

static void put_float(struct printer *p, const struct wisp_type *type, const void *native)
{
    double number;
    float narrow;
    if (type->kind == WISP_TYPE_F32) {
        memcpy(&narrow, native, sizeof narrow);
        number = isfinite(narrow) ? wisp_value_widen(narrow) : (double)narrow;
    } else {
        memcpy(&number, native, sizeof number);
    }
    if (isnan(number))
        put_text(p, "nan");
    else if (isinf(number))
        put_text(p, number < 0 ? "-inf" : "inf");
    else
        wisp_value_print_number(p->out, number);
}

/* --- compounds --- */

static int print_list(struct printer *p, const struct wisp_type *element, const char *native)
{
    struct value_list list;
    memcpy(&list, native, sizeof list);
    wisp_buf_append_char(p->out, '[');
    for (size_t i = 0; i < list.len; i++) {
        if (i) put_text(p, ", ");
        int r = print(p, element, (const char *)list.ptr + i * element->native_size);
        if (r < 0) return r;
    }
    wisp_buf_append_char(p->out, ']');
    return 0;
}

static int print_tuple(struct printer *p, const struct wisp_type *type, const char *native)
{
    wisp_buf_append_char(p->out, '(');
    for (uint32_t i = 0; i < type->n_fields; i++) {
        if (i) put_text(p, ", ");
        int r = print(p, type->fields[i].type, native + type->fields[i].native_offset);
        if (r < 0) return r;
    }
    wisp_buf_append_char(p->out, ')');
    return 0;
}

static int print_record(struct printer *p, const struct wisp_type *type, const char *native)
{
    bool is_first = true;
    wisp_buf_append_char(p->out, '{');
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct wisp_type_field *field = &type->fields[i];
        const char *value = native + field->native_offset;
        if (value_is_option(field->type) && value_u32(value) == 0) continue;
        if (!is_first) put_text(p, ", ");
        is_first = false;
        wisp_buf_append_str(p->out, field->name);
        put_text(p, ": ");
        int r = print(p, field->type, value);
        if (r < 0) return r;
    }
    put_text(p, is_first ? ":}" : "}");
    return 0;
}

static void print_flags(struct printer *p, const struct wisp_type *type, uint32_t bits)
{
    bool is_first = true;
    wisp_buf_append_char(p->out, '{');
    for (uint32_t i = 0; i < type->n_fields; i++) {
        if (!(bits >> i & 1)) continue;
        if (!is_first) put_text(p, ", ");
        is_first = false;
        wisp_buf_append_str(p->out, type->fields[i].name);
    }
    wisp_buf_append_char(p->out, '}');
}

static bool is_keyword(struct wisp_str label)
{
    static const char *const keywords[] = {"true", "false", "inf", "nan", "some", "none", "ok", "err"};
    for (size_t i = 0; i < WISP_COUNT(keywords); i++)
        if (wisp_str_is(label, keywords[i])) return true;
    return false;
}

static int print_variant(struct printer *p, const struct wisp_type *type, const char *native)
{
    uint32_t tag = value_u32(native);
    if (tag >= type->n_fields) return wisp_value_refuse_case(type, tag, p->err);
    const struct wisp_type_field *chosen = &type->fields[tag];
    if (type->kind == WISP_TYPE_RESULT) {
        put_text(p, tag ? "err" : "ok");
    } else {
        if (type->kind != WISP_TYPE_OPTION && is_keyword(chosen->name)) wisp_buf_append_char(p->out, '%');
        wisp_buf_append_str(p->out, chosen->name);
    }
    if (!chosen->type) return 0;
    wisp_buf_append_char(p->out, '(');
    int r = print(p, chosen->type, native + chosen->native_offset);
    wisp_buf_append_char(p->out, ')');
    return r;
}

static int print(struct printer *p, const struct wisp_type *type, const char *native)
{
    struct wisp_str string;
    switch (type->kind) {
    case WISP_TYPE_BOOL:
        put_text(p, *(const bool *)native ? "true" : "false");
        return 0;
    case WISP_TYPE_F32:
    case WISP_TYPE_F64:
        put_float(p, type, native);
        return 0;
    case WISP_TYPE_CHAR:
        put_char(p, value_u32(native));
        return 0;
    case WISP_TYPE_STRING:
        memcpy(&string, native, sizeof string);
        put_quoted(p, string, '"');
        return 0;
    case WISP_TYPE_LIST:
        return print_list(p, type->element, native);
    case WISP_TYPE_RECORD:
        return print_record(p, type, native);
    case WISP_TYPE_TUPLE:
        return print_tuple(p, type, native);
    case WISP_TYPE_FLAGS:
        print_flags(p, type, value_u32(native));
        return 0;
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        return print_variant(p, type, native);
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
        return wisp_value_refuse_handle(p->err);
    default:
        put_integer(p, type, native);
        return 0;
    }
}

int wisp_wave_print(struct wisp_buf *out, const struct wisp_type *type, const void *native, struct wisp_err *err)
{
    struct printer p = {out, err};
    return print(&p, type, native);
}
