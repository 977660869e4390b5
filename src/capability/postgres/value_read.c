/* SPDX-License-Identifier: Apache-2.0 */
/* Columns, from the binary format of PostgreSQL's send functions (src/backend/utils/adt of its source). What a server
 * sends is checked as any peer's: counts and lengths against what is there, text against UTF-8. */
#include "capability/postgres/value_read_priv.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>

/* --- numbers --- */

#define READ_NUMBER(name, type)                                                                                        \
    WISP_PG_READ(name, type)                                                                                           \
    {                                                                                                                  \
        uint64_t bits;                                                                                                 \
        if (wisp_pg_get(in, sizeof(type), &bits, err) < 0) return -WISP_ERR_INVALID;                                   \
        *value = (type)bits;                                                                                           \
        return 0;                                                                                                      \
    }
READ_NUMBER(s64, int64_t)
READ_NUMBER(s32, int32_t)
READ_NUMBER(u32, uint32_t)
READ_NUMBER(s16, int16_t)
READ_NUMBER(lsn, uint64_t)

/* An int8 of the column's own width: `oid` has four bytes. */
static int read_int(struct wisp_pg_input *in, int64_t *value, struct wisp_err *err)
{
    uint32_t small;
    if (in->rest.len != 4) return wisp_pg_read_s64(in, value, err);
    int r = wisp_pg_read_u32(in, &small, err);
    *value = small;
    return r;
}

WISP_PG_READ(bool, bool)
{
    uint64_t byte;
    if (wisp_pg_get(in, 1, &byte, err) < 0) return -WISP_ERR_INVALID;
    *value = byte != 0;
    return 0;
}

static struct wisp_pg_float float_of(uint64_t bits, unsigned mantissa_bits, unsigned exponent_bits)
{
    uint64_t hidden = 1ull << mantissa_bits, mantissa = bits & (hidden - 1);
    int exponent = (int)(bits >> mantissa_bits & ((1u << exponent_bits) - 1));
    mantissa = exponent ? mantissa | hidden : mantissa << 1;
    return (struct wisp_pg_float){.mantissa = mantissa,
                                  .exponent = (int16_t)(exponent - (1 << (exponent_bits - 1)) + 1 - (int)mantissa_bits),
                                  .sign = bits >> (mantissa_bits + exponent_bits) & 1 ? -1 : 1};
}

WISP_PG_READ(f64, struct wisp_pg_float)
{
    uint64_t bits;
    if (wisp_pg_get(in, 8, &bits, err) < 0) return -WISP_ERR_INVALID;
    *value = float_of(bits, 52, 11);
    return 0;
}

WISP_PG_READ(f32, struct wisp_pg_float)
{
    uint64_t bits;
    if (wisp_pg_get(in, 4, &bits, err) < 0) return -WISP_ERR_INVALID;
    *value = float_of(bits, 23, 8);
    return 0;
}

static int read_double(struct wisp_pg_input *in, double *ret_value, struct wisp_err *err)
{
    uint64_t bits;
    if (wisp_pg_get(in, 8, &bits, err) < 0) return -WISP_ERR_INVALID;
    memcpy(ret_value, &bits, sizeof bits);
    return 0;
}

/* The digits of a numeric: groups of four, the first of which counts 10000^weight. */
static int append_digits(struct wisp_buf *out, const int16_t *groups, size_t n, int weight, unsigned scale,
                         struct wisp_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (groups[i] < 0 || groups[i] > 9999) return wisp_pg_refuse(err, "it is a numeric with a digit beyond 9999");
    if (weight < 0) wisp_buf_append_char(out, '0');
    for (int i = 0; i <= weight; i++) wisp_buf_printf(out, i ? "%04d" : "%d", (size_t)i < n ? groups[i] : 0);
    if (!scale) return 0;
    wisp_buf_append_char(out, '.');
    size_t start = out->len;
    for (int i = weight + 1; out->len - start < scale; i++)
        wisp_buf_printf(out, "%04d", i >= 0 && (size_t)i < n ? groups[i] : 0);
    out->len = start + scale;
    return 0;
}

WISP_PG_READ(numeric, struct wisp_str)
{
    uint64_t n, weight, sign, scale;
    if (wisp_pg_get(in, 2, &n, err) < 0 || wisp_pg_get(in, 2, &weight, err) < 0 || wisp_pg_get(in, 2, &sign, err) < 0 ||
        wisp_pg_get(in, 2, &scale, err) < 0)
        return -WISP_ERR_INVALID;
    if (sign == 0xc000) return wisp_pg_keep_text(in, WISP_STR("NaN"), value, err);
    if (sign == 0xd000) return wisp_pg_keep_text(in, WISP_STR("Infinity"), value, err);
    if (sign == 0xf000) return wisp_pg_keep_text(in, WISP_STR("-Infinity"), value, err);
    if (sign != 0 && sign != 0x4000) return wisp_pg_refuse(err, "it is a numeric with an unknown sign");
    if (n > in->rest.len / 2) return wisp_pg_refuse_short(err);
    int16_t *groups = wisp_pg_reserve(in, (size_t)n, sizeof *groups, err);
    if (!groups) return -WISP_ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        if (wisp_pg_read_s16(in, &groups[i], err) < 0) return -WISP_ERR_INVALID;
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    if (sign) wisp_buf_append_char(&out, '-');
    int r = append_digits(&out, groups, n, (int16_t)weight, scale & 0x3fff, err);
    return r < 0 ? r : wisp_pg_keep_text(in, wisp_buf_str(&out), value, err);
}

WISP_PG_READ(money, struct wisp_str)
{
    int64_t amount;
    if (wisp_pg_read_s64(in, &amount, err) < 0) return -WISP_ERR_INVALID;
    if (in->money_digits < 0 || in->money_digits > 9)
        return wisp_pg_refuse(err, "its number of digits behind the point is not known");
    uint64_t size = amount < 0 ? 0 - (uint64_t)amount : (uint64_t)amount, unit = 1;
    for (int i = 0; i < in->money_digits; i++) unit *= 10;
    const char *sign = amount < 0 ? "-" : "";
    char *text = in->money_digits ? wisp_arena_printf(in->arena, "%s%" PRIu64 ".%0*" PRIu64, sign, size / unit,
                                                      in->money_digits, size % unit)
                                  : wisp_arena_printf(in->arena, "%s%" PRIu64, sign, size);
    *value = wisp_str_from(text);
    return 0;
}

/* --- bytes and characters --- */

WISP_PG_READ(text, struct wisp_str) { return wisp_pg_keep_text(in, wisp_pg_take_all(in), value, err); }

WISP_PG_READ(jsonb, struct wisp_str)
{
    uint64_t version;
    if (wisp_pg_get(in, 1, &version, err) < 0) return -WISP_ERR_INVALID;
    if (version != 1) return wisp_pg_refuse(err, "it is jsonb of an unknown version");
    return wisp_pg_keep_text(in, wisp_pg_take_all(in), value, err);
}

WISP_PG_READ(bytes, struct wisp_bytes) { return wisp_pg_keep_bytes(in, wisp_pg_take_all(in), value, err); }

WISP_PG_READ(chars, struct wisp_pg_sized)
{
    value->size = (uint32_t)in->rest.len;
    return wisp_pg_keep_bytes(in, wisp_pg_take_all(in), &value->bytes, err);
}

WISP_PG_READ(varchars, struct wisp_pg_varying)
{
    value->size.is_some = 0;
    return wisp_pg_keep_bytes(in, wisp_pg_take_all(in), &value->bytes, err);
}

WISP_PG_READ(bits, struct wisp_pg_sized)
{
    struct wisp_str bytes;
    if (wisp_pg_read_u32(in, &value->size, err) < 0 ||
        wisp_pg_get_bytes(in, (size_t)(((uint64_t)value->size + 7) / 8), &bytes, err) < 0)
        return -WISP_ERR_INVALID;
    return wisp_pg_keep_bytes(in, bytes, &value->bytes, err);
}

WISP_PG_READ(varbits, struct wisp_pg_varying)
{
    struct wisp_pg_sized bits;
    if (wisp_pg_read_bits(in, &bits, err) < 0) return -WISP_ERR_INVALID;
    *value = (struct wisp_pg_varying){.size = {1, bits.size}, .bytes = bits.bytes};
    return 0;
}

static int read_octets(struct wisp_pg_input *in, uint8_t *value, size_t n, struct wisp_err *err)
{
    struct wisp_str bytes;
    if (wisp_pg_get_bytes(in, n, &bytes, err) < 0) return -WISP_ERR_INVALID;
    memcpy(value, bytes.ptr, n);
    return 0;
}
int wisp_pg_read_mac6(struct wisp_pg_input *in, uint8_t (*value)[6], struct wisp_err *err)
{
    return read_octets(in, *value, 6, err);
}
int wisp_pg_read_mac8(struct wisp_pg_input *in, uint8_t (*value)[8], struct wisp_err *err)
{
    return read_octets(in, *value, 8, err);
}

WISP_PG_READ(uuid, struct wisp_str)
{
    uint8_t id[16];
    if (read_octets(in, id, sizeof id, err) < 0) return -WISP_ERR_INVALID;
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    for (int i = 0; i < 16; i++) wisp_buf_printf(&out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
    *value = wisp_arena_str(in->arena, wisp_buf_str(&out));
    return 0;
}

/* Also cidr. */
WISP_PG_READ(inet, struct wisp_str)
{
    uint64_t family, bits, is_cidr, n;
    if (wisp_pg_get(in, 1, &family, err) < 0 || wisp_pg_get(in, 1, &bits, err) < 0 ||
        wisp_pg_get(in, 1, &is_cidr, err) < 0 || wisp_pg_get(in, 1, &n, err) < 0)
        return -WISP_ERR_INVALID;
    bool is_v6 = family == 3;
    uint8_t address[16];
    if ((family != 2 && !is_v6) || n != (is_v6 ? 16 : 4) || bits > n * 8)
        return wisp_pg_refuse(err, "it is an address of an unknown kind");
    if (read_octets(in, address, (size_t)n, err) < 0) return -WISP_ERR_INVALID;
    char text[INET6_ADDRSTRLEN];
    inet_ntop(is_v6 ? AF_INET6 : AF_INET, address, text, sizeof text);
    *value = wisp_str_from(is_cidr || bits != n * 8 ? wisp_arena_printf(in->arena, "%s/%u", text, (unsigned)bits)
                                                    : wisp_arena_printf(in->arena, "%s", text));
    return 0;
}

/* --- shapes --- */

WISP_PG_READ(point, struct wisp_pg_point)
{
    return wisp_pg_read_f64(in, &value->x, err) < 0 || wisp_pg_read_f64(in, &value->y, err) < 0 ? -WISP_ERR_INVALID : 0;
}

WISP_PG_READ(segment, struct wisp_pg_pair)
{
    return wisp_pg_read_point(in, &value->a, err) < 0 || wisp_pg_read_point(in, &value->b, err) < 0 ? -WISP_ERR_INVALID
                                                                                                    : 0;
}

/* The upper right corner comes first. */
WISP_PG_READ(box, struct wisp_pg_pair)
{
    return wisp_pg_read_point(in, &value->b, err) < 0 || wisp_pg_read_point(in, &value->a, err) < 0 ? -WISP_ERR_INVALID
                                                                                                    : 0;
}

static struct wisp_pg_float float_from(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return float_of(bits, 52, 11);
}

/* Two points of { ax + by + c = 0 }. */
WISP_PG_READ(line, struct wisp_pg_pair)
{
    double a, b, c;
    if (read_double(in, &a, err) < 0 || read_double(in, &b, err) < 0 || read_double(in, &c, err) < 0)
        return -WISP_ERR_INVALID;
    if (a == 0 && b == 0) return wisp_pg_refuse(err, "it is a line without direction");
    bool is_steep = fabs(b) < fabs(a);
    for (int i = 0; i < 2; i++) {
        double other = is_steep ? (-c - b * i) / a : (-c - a * i) / b;
        struct wisp_pg_point *point = i ? &value->b : &value->a;
        point->x = float_from(is_steep ? other : i);
        point->y = float_from(is_steep ? i : other);
    }
    return 0;
}

WISP_PG_READ(circle, struct wisp_pg_circle)
{
    return wisp_pg_read_point(in, &value->center, err) < 0 || wisp_pg_read_f64(in, &value->radius, err) < 0
               ? -WISP_ERR_INVALID
               : 0;
}

WISP_PG_READ(polygon, struct wisp_pg_points)
{
    size_t n;
    if (wisp_pg_get_count(in, 4, 16, &n, err) < 0) return -WISP_ERR_INVALID;
    *value = (struct wisp_pg_points){wisp_pg_reserve(in, n, sizeof *value->ptr, err), n};
    if (!value->ptr) return -WISP_ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        if (wisp_pg_read_point(in, &value->ptr[i], err) < 0) return -WISP_ERR_INVALID;
    return 0;
}

/* The first byte says whether its ends are joined, which the world has no word for. */
WISP_PG_READ(path, struct wisp_pg_points)
{
    uint64_t is_closed;
    return wisp_pg_get(in, 1, &is_closed, err) < 0 ? -WISP_ERR_INVALID : wisp_pg_read_polygon(in, value, err);
}

/* --- arrays --- */

/* The head of an array; 0 elements when it is empty. */
static int read_array_head(struct wisp_pg_input *in, size_t *ret_n, struct wisp_err *err)
{
    uint64_t n_dimensions, flags, type, n = 0, lower;
    if (wisp_pg_get(in, 4, &n_dimensions, err) < 0 || wisp_pg_get(in, 4, &flags, err) < 0 ||
        wisp_pg_get(in, 4, &type, err) < 0)
        return -WISP_ERR_INVALID;
    if (n_dimensions > 1) return wisp_pg_refuse(err, "it is an array of several dimensions");
    if (n_dimensions && (wisp_pg_get(in, 4, &n, err) < 0 || wisp_pg_get(in, 4, &lower, err) < 0))
        return -WISP_ERR_INVALID;
    if (n > in->rest.len / 4) return wisp_pg_refuse_short(err);
    *ret_n = (size_t)n;
    return 0;
}

static int read_elements(struct wisp_pg_input *in, enum wisp_pg_form form, struct wisp_pg_list *value,
                         struct wisp_err *err);

/* An int2vector is an array in disguise. */
WISP_PG_READ(vector, struct wisp_pg_list) { return read_elements(in, WISP_PG_FORM_S16, value, err); }

static int read_one(enum wisp_pg_form form, struct wisp_pg_input *in, void *value, struct wisp_err *err)
{
    int r = 0;
    switch (form) {
#define X(name, type, writer, reader)                                                                                  \
    case WISP_PG_FORM_##name:                                                                                          \
        r = wisp_pg_read_##reader(in, value, err);                                                                     \
        break;
        WISP_PG_FORMS(X)
#undef X
    case WISP_PG_FORM_NOTHING:
        wisp_pg_take_all(in);
        break;
    }
    if (r == 0 && in->rest.len) return wisp_pg_refuse(err, "it is longer than it says");
    return r;
}

static int read_elements(struct wisp_pg_input *in, enum wisp_pg_form form, struct wisp_pg_list *value,
                         struct wisp_err *err)
{
    size_t n, size = wisp_pg_form_size(form);
    if (read_array_head(in, &n, err) < 0) return -WISP_ERR_INVALID;
    char *elements = wisp_pg_reserve(in, n, size, err);
    if (!elements) return -WISP_ERR_LIMIT;
    for (size_t i = 0; i < n; i++) {
        uint64_t length;
        struct wisp_pg_input element = *in;
        if (wisp_pg_get(in, 4, &length, err) < 0) return -WISP_ERR_INVALID;
        if (length == UINT32_MAX)
            return wisp_pg_refuse(err, "it is an array with a null, which lists have no place for");
        if (wisp_pg_get_bytes(in, (size_t)length, &element.rest, err) < 0) return -WISP_ERR_INVALID;
        if (read_one(form, &element, elements + i * size, err) < 0) return wisp_err_wrap(err, "element %zu", i);
    }
    *value = (struct wisp_pg_list){elements, n};
    return 0;
}

int wisp_pg_value_read(const struct wisp_pg_type *type, struct wisp_str bytes, size_t *budget, struct wisp_arena *arena,
                       struct wisp_pg_value *ret_value, struct wisp_err *err)
{
    struct wisp_pg_input in = {.rest = bytes, .arena = arena, .budget = budget, .money_digits = type->money_digits};
    struct wisp_pg_case_shape shape = wisp_pg_shapes[type->tag];
    *ret_value = (struct wisp_pg_value){.tag = type->tag};
    if (type->tag == WISP_PG_INT8) return read_int(&in, &ret_value->as.s64, err);
    int r = shape.is_list ? read_elements(&in, shape.form, &ret_value->as.list, err)
                          : read_one(shape.form, &in, &ret_value->as, err);
    if (r == 0 && in.rest.len) return wisp_pg_refuse(err, "it is longer than it says");
    return r;
}
