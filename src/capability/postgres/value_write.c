/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters, as PostgreSQL's input functions read them. */
#include "capability/postgres/value_priv.h"

#include <inttypes.h>
#include <math.h>

enum { OID_BYTEA = 17 };

static int refuse(struct wisp_err *err, const char *why) { return wisp_err_set(err, WISP_ERR_INVALID, "%s", why); }

static int append_text(struct wisp_buf *out, const void *bytes, size_t size, struct wisp_err *err)
{
    if (size && memchr(bytes, 0, size))
        return refuse(err, "a text with a zero byte, which PostgreSQL has no place for");
    wisp_buf_append(out, bytes, size);
    return 0;
}

/* In double quotes, for arrays and hstore. */
static void append_quoted(struct wisp_buf *out, struct wisp_str text)
{
    wisp_buf_append_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\') wisp_buf_append_char(out, '\\');
        wisp_buf_append_char(out, text.ptr[i]);
    }
    wisp_buf_append_char(out, '"');
}

/* --- numbers --- */

#define WRITE(name, type) static int write_##name(const type *value, struct wisp_buf *out, struct wisp_err *err)
#define WRITE_NUMBER(name, type, format)                                                                               \
    WRITE(name, type)                                                                                                  \
    {                                                                                                                  \
        (void)err;                                                                                                     \
        wisp_buf_printf(out, format, *value);                                                                          \
        return 0;                                                                                                      \
    }
WRITE_NUMBER(s64, int64_t, "%" PRId64)
WRITE_NUMBER(s32, int32_t, "%" PRId32)
WRITE_NUMBER(u32, uint32_t, "%" PRIu32)
WRITE_NUMBER(s16, int16_t, "%" PRId16)

WRITE(bool, bool)
{
    (void)err;
    wisp_buf_append_char(out, *value ? 't' : 'f');
    return 0;
}

/* A float of this many bits of mantissa whose largest exponent stands for infinity and, with a mantissa that is no
 * power of two, for what is not a number. */
static void append_float(const struct wisp_pg_float *value, unsigned mantissa_bits, int exponent_max, int digits,
                         struct wisp_buf *out)
{
    uint64_t hidden = 1ull << mantissa_bits;
    if (value->exponent == exponent_max && value->mantissa > hidden && value->mantissa < hidden << 1) {
        wisp_buf_append_str(out, WISP_STR("NaN"));
        return;
    }
    double number = ldexp((double)value->mantissa, value->exponent);
    if (digits == 9) number = (double)(float)number;
    number *= value->sign;
    if (isinf(number))
        wisp_buf_append_str(out, number < 0 ? WISP_STR("-Infinity") : WISP_STR("Infinity"));
    else if (isnan(number))
        wisp_buf_append_str(out, WISP_STR("NaN")); /* zero times infinity */
    else
        wisp_buf_printf(out, "%.*g", digits, number);
}

WRITE(f64, struct wisp_pg_float)
{
    (void)err;
    append_float(value, 52, 972, 17, out);
    return 0;
}

WRITE(f32, struct wisp_pg_float)
{
    (void)err;
    append_float(value, 23, 105, 9, out);
    return 0;
}

WRITE(lsn, uint64_t)
{
    (void)err;
    wisp_buf_printf(out, "%" PRIX32 "/%" PRIX32, (uint32_t)(*value >> 32), (uint32_t)*value);
    return 0;
}

/* --- bytes and characters --- */

WRITE(text, struct wisp_str) { return append_text(out, value->ptr, value->len, err); }

WRITE(bytes, struct wisp_bytes)
{
    (void)err;
    static const char digits[] = "0123456789abcdef";
    char *to = wisp_buf_reserve(out, 2 + 2 * value->len);
    *to++ = '\\';
    *to++ = 'x';
    for (size_t i = 0; i < value->len; i++) {
        *to++ = digits[value->ptr[i] >> 4];
        *to++ = digits[value->ptr[i] & 15];
    }
    out->len += 2 + 2 * value->len;
    return 0;
}

WRITE(chars, struct wisp_pg_sized)
{
    if (value->bytes.len != value->size) return refuse(err, "a char whose size is not that of its bytes");
    return append_text(out, value->bytes.ptr, value->bytes.len, err);
}

WRITE(varchars, struct wisp_pg_varying)
{
    if (value->size.is_some && value->bytes.len > value->size.value)
        return refuse(err, "a varchar longer than its limit");
    return append_text(out, value->bytes.ptr, value->bytes.len, err);
}

static int append_bits(const struct wisp_bytes *bytes, uint64_t n_bits, struct wisp_buf *out, struct wisp_err *err)
{
    if (bytes->len != (n_bits + 7) / 8) return refuse(err, "a bit string whose number of bits does not fit its bytes");
    for (uint64_t i = 0; i < n_bits; i++) wisp_buf_append_char(out, bytes->ptr[i / 8] >> (7 - i % 8) & 1 ? '1' : '0');
    return 0;
}

WRITE(bits, struct wisp_pg_sized) { return append_bits(&value->bytes, value->size, out, err); }

WRITE(varbits, struct wisp_pg_varying)
{
    return append_bits(&value->bytes, value->size.is_some ? value->size.value : 8ull * value->bytes.len, out, err);
}

static int append_mac(const uint8_t *bytes, size_t n, struct wisp_buf *out)
{
    for (size_t i = 0; i < n; i++) wisp_buf_printf(out, i ? ":%02x" : "%02x", bytes[i]);
    return 0;
}
static int write_mac6(const uint8_t (*value)[6], struct wisp_buf *out, struct wisp_err *err)
{
    (void)err;
    return append_mac(*value, 6, out);
}
static int write_mac8(const uint8_t (*value)[8], struct wisp_buf *out, struct wisp_err *err)
{
    (void)err;
    return append_mac(*value, 8, out);
}

/* --- shapes --- */

WRITE(point, struct wisp_pg_point)
{
    wisp_buf_append_char(out, '(');
    write_f64(&value->x, out, err);
    wisp_buf_append_char(out, ',');
    write_f64(&value->y, out, err);
    wisp_buf_append_char(out, ')');
    return 0;
}

WRITE(box, struct wisp_pg_pair)
{
    write_point(&value->a, out, err);
    wisp_buf_append_char(out, ',');
    return write_point(&value->b, out, err);
}

WRITE(segment, struct wisp_pg_pair)
{
    wisp_buf_append_char(out, '[');
    write_box(value, out, err);
    wisp_buf_append_char(out, ']');
    return 0;
}

WRITE(circle, struct wisp_pg_circle)
{
    wisp_buf_append_char(out, '<');
    write_point(&value->center, out, err);
    wisp_buf_append_char(out, ',');
    write_f64(&value->radius, out, err);
    wisp_buf_append_char(out, '>');
    return 0;
}

static int append_points(const struct wisp_pg_points *points, const char *brackets, struct wisp_buf *out,
                         struct wisp_err *err)
{
    if (!points->len) return refuse(err, "a path or polygon without points");
    for (size_t i = 0; i < points->len; i++) {
        wisp_buf_append_char(out, i ? ',' : brackets[0]);
        write_point(&points->ptr[i], out, err);
    }
    wisp_buf_append_char(out, brackets[1]);
    return 0;
}
WRITE(path, struct wisp_pg_points) { return append_points(value, "[]", out, err); }
WRITE(polygon, struct wisp_pg_points) { return append_points(value, "()", out, err); }

/* --- time --- */

/* Without " BC", which goes to the end of a timestamp. */
static void append_day(const struct wisp_pg_date *date, struct wisp_buf *out)
{
    int64_t year = date->ymd.year > 0 ? date->ymd.year : 1 - (int64_t)date->ymd.year;
    wisp_buf_printf(out, "%04" PRId64 "-%02" PRIu32 "-%02" PRIu32, year, date->ymd.month, date->ymd.day);
}
static void append_era(const struct wisp_pg_date *date, struct wisp_buf *out)
{
    if (date->ymd.year <= 0) wisp_buf_append_str(out, WISP_STR(" BC"));
}
static bool append_infinity(const struct wisp_pg_date *date, struct wisp_buf *out)
{
    if (date->tag == WISP_PG_DATE_YMD) return false;
    wisp_buf_append_str(out, date->tag == WISP_PG_DATE_FIRST ? WISP_STR("-infinity") : WISP_STR("infinity"));
    return true;
}

WRITE(date, struct wisp_pg_date)
{
    (void)err;
    if (append_infinity(value, out)) return 0;
    append_day(value, out);
    append_era(value, out);
    return 0;
}

WRITE(time, struct wisp_pg_time)
{
    if (value->hour > 24 || value->min > 59 || value->sec > 60 || value->micro > 999999)
        return refuse(err, "a time of day that no clock shows");
    wisp_buf_printf(out, "%02" PRIu32 ":%02" PRIu32 ":%02" PRIu32 ".%06" PRIu32, value->hour, value->min, value->sec,
                    value->micro);
    return 0;
}

WRITE(time_tz, struct wisp_pg_time_tz)
{
    if (write_time(&value->time, out, err) < 0) return -WISP_ERR_INVALID;
    if (value->zone.len && value->zone.ptr[0] != '+' && value->zone.ptr[0] != '-') wisp_buf_append_char(out, ' ');
    return append_text(out, value->zone.ptr, value->zone.len, err);
}

WRITE(timestamp, struct wisp_pg_timestamp)
{
    if (append_infinity(&value->date, out)) return 0;
    append_day(&value->date, out);
    wisp_buf_append_char(out, ' ');
    if (write_time(&value->time, out, err) < 0) return -WISP_ERR_INVALID;
    append_era(&value->date, out);
    return 0;
}

WRITE(timestamp_tz, struct wisp_pg_timestamp_tz)
{
    const struct wisp_pg_timestamp *timestamp = &value->timestamp;
    if (append_infinity(&timestamp->date, out)) return 0;
    int64_t east = value->offset.is_western ? -(int64_t)value->offset.seconds : value->offset.seconds;
    uint64_t size = (uint64_t)(east < 0 ? -east : east);
    if (size >= 24 * 3600) return refuse(err, "an offset from UTC of a day or more");
    append_day(&timestamp->date, out);
    wisp_buf_append_char(out, ' ');
    if (write_time(&timestamp->time, out, err) < 0) return -WISP_ERR_INVALID;
    wisp_buf_printf(out, "%c%02u:%02u:%02u", east < 0 ? '-' : '+', (unsigned)(size / 3600), (unsigned)(size / 60 % 60),
                    (unsigned)(size % 60));
    append_era(&timestamp->date, out);
    return 0;
}

WRITE(interval, struct wisp_pg_interval)
{
    wisp_buf_append_char(out, value->start_inclusive ? '[' : '(');
    if (write_date(&value->start, out, err) < 0) return -WISP_ERR_INVALID;
    wisp_buf_append_char(out, ',');
    if (write_date(&value->end, out, err) < 0) return -WISP_ERR_INVALID;
    wisp_buf_append_char(out, value->end_inclusive ? ']' : ')');
    return 0;
}

/* --- lists that are no arrays --- */

WRITE(vector, struct wisp_pg_list)
{
    (void)err;
    const int16_t *numbers = value->ptr;
    for (size_t i = 0; i < value->len; i++) wisp_buf_printf(out, i ? " %d" : "%d", numbers[i]);
    return 0;
}

WRITE(snapshot, struct wisp_pg_snapshot)
{
    (void)err;
    wisp_buf_printf(out, "%" PRId64 ":%" PRId64 ":", value->xmin, value->xmax);
    for (size_t i = 0; i < value->running.len; i++)
        wisp_buf_printf(out, i ? ",%" PRId64 : "%" PRId64, value->running.ptr[i]);
    return 0;
}

WRITE(tsvector, struct wisp_pg_list)
{
    const struct wisp_pg_lexeme *lexemes = value->ptr;
    for (size_t i = 0; i < value->len; i++) {
        const struct wisp_pg_lexeme *lexeme = &lexemes[i];
        if (lexeme->weight.is_some && !lexeme->position.is_some) return refuse(err, "a weight without a position");
        wisp_buf_append_str(out, i ? WISP_STR(" '") : WISP_STR("'"));
        for (size_t j = 0; j < lexeme->data.len; j++) {
            char c = lexeme->data.ptr[j];
            if (!c) return refuse(err, "a lexeme with a zero byte");
            if (c == '\'' || c == '\\') wisp_buf_append_char(out, c);
            wisp_buf_append_char(out, c);
        }
        wisp_buf_append_char(out, '\'');
        if (lexeme->position.is_some) wisp_buf_printf(out, ":%u", lexeme->position.value);
        if (lexeme->weight.is_some) wisp_buf_append_char(out, "ABCD"[lexeme->weight.value & 3]);
    }
    return 0;
}

WRITE(hstore, struct wisp_pg_list)
{
    const struct wisp_pg_entry *entries = value->ptr;
    for (size_t i = 0; i < value->len; i++) {
        const struct wisp_pg_entry *entry = &entries[i];
        if ((entry->key.len && memchr(entry->key.ptr, 0, entry->key.len)) ||
            (entry->value.is_some && entry->value.text.len && memchr(entry->value.text.ptr, 0, entry->value.text.len)))
            return refuse(err, "a text with a zero byte, which PostgreSQL has no place for");
        if (i) wisp_buf_append_char(out, ',');
        append_quoted(out, entry->key);
        wisp_buf_append_str(out, WISP_STR("=>"));
        if (entry->value.is_some)
            append_quoted(out, entry->value.text);
        else
            wisp_buf_append_str(out, WISP_STR("NULL"));
    }
    return 0;
}

/* --- all of them --- */

static int write_one(enum wisp_pg_form form, const void *value, struct wisp_buf *out, struct wisp_err *err)
{
    switch (form) {
#define X(name, type, writer, reader)                                                                                  \
    case WISP_PG_FORM_##name:                                                                                          \
        return write_##writer(value, out, err);
        WISP_PG_FORMS(X)
#undef X
    case WISP_PG_FORM_NOTHING:
        break;
    }
    return refuse(err, "no value of PostgreSQL");
}

static int write_array(enum wisp_pg_form form, const struct wisp_pg_list *list, struct wisp_buf *out,
                       struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf element = {0};
    size_t size = wisp_pg_form_size(form);
    wisp_buf_append_char(out, '{');
    for (size_t i = 0; i < list->len; i++) {
        element.len = 0;
        if (write_one(form, (const char *)list->ptr + i * size, &element, err) < 0)
            return wisp_err_wrap(err, "element %zu", i);
        if (i) wisp_buf_append_char(out, form == WISP_PG_FORM_BOX ? ';' : ',');
        append_quoted(out, wisp_buf_str(&element));
    }
    wisp_buf_append_char(out, '}');
    return 0;
}

int wisp_pg_param_write(const struct wisp_pg_value *value, bool is_text, struct wisp_pg_param *ret_param,
                        struct wisp_arena *arena, struct wisp_err *err)
{
    *ret_param = (struct wisp_pg_param){0};
    if (value->tag == WISP_PG_NULL) return 0;
    if (value->tag == WISP_PG_TXID_SNAPSHOT) return refuse(err, "a txid-snapshot, which is no number in PostgreSQL");
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    if (value->tag == WISP_PG_BYTEA && !is_text) {
        ret_param->is_binary = true;
        ret_param->type = OID_BYTEA;
        wisp_buf_append(&out, value->as.bytes.ptr, value->as.bytes.len);
    } else {
        assert(value->tag < WISP_PG_CASE_COUNT);
        struct wisp_pg_case_shape shape = wisp_pg_shapes[value->tag];
        int r = shape.is_list ? write_array(shape.form, &value->as.list, &out, err)
                              : write_one(shape.form, &value->as, &out, err);
        if (r < 0) return r;
    }
    if (out.len > INT32_MAX / 2) return wisp_err_set(err, WISP_ERR_LIMIT, "a value of %zu bytes", out.len);
    ret_param->size = (int)out.len;
    ret_param->bytes = wisp_arena_cstr(arena, wisp_buf_str(&out));
    return 0;
}
