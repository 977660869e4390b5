/* SPDX-License-Identifier: Apache-2.0 */
/* Columns, from the binary format of PostgreSQL's send functions (src/backend/utils/adt of its source). What a server
 * sends is checked as any peer's: counts and lengths against what is there, text against UTF-8. */
#include "capability/postgres/value_priv.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>

enum {
    DAY_SECONDS = 24 * 3600,
    EPOCH_DAYS = 10957, /* 2000-01-01, from 1970-01-01 */
    TSQUERY_DEPTH_MAX = 64,
};
#define DAY_MICROS (DAY_SECONDS * INT64_C(1000000))

struct input {
    struct wisp_str rest;
    struct wisp_arena *arena;
    size_t *budget; /* bytes that values may still take */
    int money_digits;
};

static int refuse(struct wisp_err *err, const char *why) { return wisp_err_set(err, WISP_ERR_INVALID, "%s", why); }
static int refuse_short(struct wisp_err *err) { return refuse(err, "it is shorter than it says"); }

/* Big-endian, `n` bytes. */
static int get(struct input *in, unsigned n, uint64_t *ret_value, struct wisp_err *err)
{
    if (in->rest.len < n) return refuse_short(err);
    *ret_value = 0;
    for (unsigned i = 0; i < n; i++) *ret_value = *ret_value << 8 | (uint8_t)in->rest.ptr[i];
    in->rest = (struct wisp_str){in->rest.ptr + n, in->rest.len - n};
    return 0;
}

/* A signed number of elements, each of which takes `size_min` bytes. */
static int get_count(struct input *in, unsigned n, size_t size_min, size_t *ret_count, struct wisp_err *err)
{
    uint64_t count;
    if (get(in, n, &count, err) < 0) return -WISP_ERR_INVALID;
    if (count > in->rest.len / size_min) return refuse_short(err);
    *ret_count = (size_t)count;
    return 0;
}

static int get_bytes(struct input *in, size_t n, struct wisp_str *ret_bytes, struct wisp_err *err)
{
    if (in->rest.len < n) return refuse_short(err);
    *ret_bytes = (struct wisp_str){in->rest.ptr, n};
    in->rest = (struct wisp_str){in->rest.ptr + n, in->rest.len - n};
    return 0;
}

static struct wisp_str take_all(struct input *in)
{
    struct wisp_str all = in->rest;
    in->rest = (struct wisp_str){all.ptr + all.len, 0};
    return all;
}

/* Zeroed memory for what was read; NULL when the result becomes too large. */
static void *reserve(struct input *in, size_t count, size_t size, struct wisp_err *err)
{
    if (count > *in->budget / size) {
        wisp_err_set(err, WISP_ERR_LIMIT, "the result is too large");
        return NULL;
    }
    *in->budget -= count * size;
    return wisp_arena_calloc(in->arena, count, size);
}

static int charge(struct input *in, size_t size, struct wisp_err *err)
{
    if (size > *in->budget) return wisp_err_set(err, WISP_ERR_LIMIT, "the result is too large");
    *in->budget -= size;
    return 0;
}

static int keep_text(struct input *in, struct wisp_str text, struct wisp_str *value, struct wisp_err *err)
{
    if (!wisp_str_is_utf8(text)) return refuse(err, "it is a text that is no UTF-8");
    if (charge(in, text.len, err) < 0) return -WISP_ERR_LIMIT;
    *value = wisp_arena_str(in->arena, text);
    return 0;
}

/* Up to a zero byte. */
static int get_cstr(struct input *in, struct wisp_str *ret_text, struct wisp_err *err)
{
    const char *end = in->rest.len ? memchr(in->rest.ptr, 0, in->rest.len) : NULL;
    if (!end) return refuse_short(err);
    *ret_text = (struct wisp_str){in->rest.ptr, (size_t)(end - in->rest.ptr)};
    in->rest = (struct wisp_str){end + 1, in->rest.len - ret_text->len - 1};
    return 0;
}

static int keep_bytes(struct input *in, struct wisp_str bytes, struct wisp_bytes *value, struct wisp_err *err)
{
    if (charge(in, bytes.len, err) < 0) return -WISP_ERR_LIMIT;
    bytes = wisp_arena_str(in->arena, bytes);
    *value = (struct wisp_bytes){(const uint8_t *)bytes.ptr, bytes.len};
    return 0;
}

/* --- numbers --- */

#define READ(name, type) static int read_##name(struct input *in, type *value, struct wisp_err *err)
#define READ_NUMBER(name, type)                                                                                        \
    READ(name, type)                                                                                                   \
    {                                                                                                                  \
        uint64_t bits;                                                                                                 \
        if (get(in, sizeof(type), &bits, err) < 0) return -WISP_ERR_INVALID;                                           \
        *value = (type)bits;                                                                                           \
        return 0;                                                                                                      \
    }
READ_NUMBER(s64, int64_t)
READ_NUMBER(s32, int32_t)
READ_NUMBER(u32, uint32_t)
READ_NUMBER(s16, int16_t)
READ_NUMBER(lsn, uint64_t)

/* An int8 of the column's own width: `oid` has four bytes. */
static int read_int(struct input *in, int64_t *value, struct wisp_err *err)
{
    uint32_t small;
    if (in->rest.len != 4) return read_s64(in, value, err);
    int r = read_u32(in, &small, err);
    *value = small;
    return r;
}

READ(bool, bool)
{
    uint64_t byte;
    if (get(in, 1, &byte, err) < 0) return -WISP_ERR_INVALID;
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

READ(f64, struct wisp_pg_float)
{
    uint64_t bits;
    if (get(in, 8, &bits, err) < 0) return -WISP_ERR_INVALID;
    *value = float_of(bits, 52, 11);
    return 0;
}

READ(f32, struct wisp_pg_float)
{
    uint64_t bits;
    if (get(in, 4, &bits, err) < 0) return -WISP_ERR_INVALID;
    *value = float_of(bits, 23, 8);
    return 0;
}

static int read_double(struct input *in, double *ret_value, struct wisp_err *err)
{
    uint64_t bits;
    if (get(in, 8, &bits, err) < 0) return -WISP_ERR_INVALID;
    memcpy(ret_value, &bits, sizeof bits);
    return 0;
}

/* The digits of a numeric: groups of four, the first of which counts 10000^weight. */
static int append_digits(struct wisp_buf *out, const int16_t *groups, size_t n, int weight, unsigned scale,
                         struct wisp_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (groups[i] < 0 || groups[i] > 9999) return refuse(err, "it is a numeric with a digit beyond 9999");
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

READ(numeric, struct wisp_str)
{
    uint64_t n, weight, sign, scale;
    if (get(in, 2, &n, err) < 0 || get(in, 2, &weight, err) < 0 || get(in, 2, &sign, err) < 0 ||
        get(in, 2, &scale, err) < 0)
        return -WISP_ERR_INVALID;
    if (sign == 0xc000) return keep_text(in, WISP_STR("NaN"), value, err);
    if (sign == 0xd000) return keep_text(in, WISP_STR("Infinity"), value, err);
    if (sign == 0xf000) return keep_text(in, WISP_STR("-Infinity"), value, err);
    if (sign != 0 && sign != 0x4000) return refuse(err, "it is a numeric with an unknown sign");
    if (n > in->rest.len / 2) return refuse_short(err);
    int16_t *groups = reserve(in, (size_t)n, sizeof *groups, err);
    if (!groups) return -WISP_ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        if (read_s16(in, &groups[i], err) < 0) return -WISP_ERR_INVALID;
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    if (sign) wisp_buf_append_char(&out, '-');
    int r = append_digits(&out, groups, n, (int16_t)weight, scale & 0x3fff, err);
    return r < 0 ? r : keep_text(in, wisp_buf_str(&out), value, err);
}

READ(money, struct wisp_str)
{
    int64_t amount;
    if (read_s64(in, &amount, err) < 0) return -WISP_ERR_INVALID;
    if (in->money_digits < 0 || in->money_digits > 9)
        return refuse(err, "its number of digits behind the point is not known");
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

READ(text, struct wisp_str) { return keep_text(in, take_all(in), value, err); }

READ(jsonb, struct wisp_str)
{
    uint64_t version;
    if (get(in, 1, &version, err) < 0) return -WISP_ERR_INVALID;
    if (version != 1) return refuse(err, "it is jsonb of an unknown version");
    return keep_text(in, take_all(in), value, err);
}

READ(bytes, struct wisp_bytes) { return keep_bytes(in, take_all(in), value, err); }

READ(chars, struct wisp_pg_sized)
{
    value->size = (uint32_t)in->rest.len;
    return keep_bytes(in, take_all(in), &value->bytes, err);
}

READ(varchars, struct wisp_pg_varying)
{
    value->size.is_some = 0;
    return keep_bytes(in, take_all(in), &value->bytes, err);
}

READ(bits, struct wisp_pg_sized)
{
    struct wisp_str bytes;
    if (read_u32(in, &value->size, err) < 0 ||
        get_bytes(in, (size_t)(((uint64_t)value->size + 7) / 8), &bytes, err) < 0)
        return -WISP_ERR_INVALID;
    return keep_bytes(in, bytes, &value->bytes, err);
}

READ(varbits, struct wisp_pg_varying)
{
    struct wisp_pg_sized bits;
    if (read_bits(in, &bits, err) < 0) return -WISP_ERR_INVALID;
    *value = (struct wisp_pg_varying){.size = {1, bits.size}, .bytes = bits.bytes};
    return 0;
}

static int read_octets(struct input *in, uint8_t *value, size_t n, struct wisp_err *err)
{
    struct wisp_str bytes;
    if (get_bytes(in, n, &bytes, err) < 0) return -WISP_ERR_INVALID;
    memcpy(value, bytes.ptr, n);
    return 0;
}
static int read_mac6(struct input *in, uint8_t (*value)[6], struct wisp_err *err)
{
    return read_octets(in, *value, 6, err);
}
static int read_mac8(struct input *in, uint8_t (*value)[8], struct wisp_err *err)
{
    return read_octets(in, *value, 8, err);
}

READ(uuid, struct wisp_str)
{
    uint8_t id[16];
    if (read_octets(in, id, sizeof id, err) < 0) return -WISP_ERR_INVALID;
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    for (int i = 0; i < 16; i++) wisp_buf_printf(&out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
    *value = wisp_arena_str(in->arena, wisp_buf_str(&out));
    return 0;
}

/* Also cidr. */
READ(inet, struct wisp_str)
{
    uint64_t family, bits, is_cidr, n;
    if (get(in, 1, &family, err) < 0 || get(in, 1, &bits, err) < 0 || get(in, 1, &is_cidr, err) < 0 ||
        get(in, 1, &n, err) < 0)
        return -WISP_ERR_INVALID;
    bool is_v6 = family == 3;
    uint8_t address[16];
    if ((family != 2 && !is_v6) || n != (is_v6 ? 16 : 4) || bits > n * 8)
        return refuse(err, "it is an address of an unknown kind");
    if (read_octets(in, address, (size_t)n, err) < 0) return -WISP_ERR_INVALID;
    char text[INET6_ADDRSTRLEN];
    inet_ntop(is_v6 ? AF_INET6 : AF_INET, address, text, sizeof text);
    *value = wisp_str_from(is_cidr || bits != n * 8 ? wisp_arena_printf(in->arena, "%s/%u", text, (unsigned)bits)
                                                    : wisp_arena_printf(in->arena, "%s", text));
    return 0;
}

/* --- shapes --- */

READ(point, struct wisp_pg_point)
{
    return read_f64(in, &value->x, err) < 0 || read_f64(in, &value->y, err) < 0 ? -WISP_ERR_INVALID : 0;
}

READ(segment, struct wisp_pg_pair)
{
    return read_point(in, &value->a, err) < 0 || read_point(in, &value->b, err) < 0 ? -WISP_ERR_INVALID : 0;
}

/* The upper right corner comes first. */
READ(box, struct wisp_pg_pair)
{
    return read_point(in, &value->b, err) < 0 || read_point(in, &value->a, err) < 0 ? -WISP_ERR_INVALID : 0;
}

static struct wisp_pg_float float_from(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return float_of(bits, 52, 11);
}

/* Two points of { ax + by + c = 0 }. */
READ(line, struct wisp_pg_pair)
{
    double a, b, c;
    if (read_double(in, &a, err) < 0 || read_double(in, &b, err) < 0 || read_double(in, &c, err) < 0)
        return -WISP_ERR_INVALID;
    if (a == 0 && b == 0) return refuse(err, "it is a line without direction");
    bool is_steep = fabs(b) < fabs(a);
    for (int i = 0; i < 2; i++) {
        double other = is_steep ? (-c - b * i) / a : (-c - a * i) / b;
        struct wisp_pg_point *point = i ? &value->b : &value->a;
        point->x = float_from(is_steep ? other : i);
        point->y = float_from(is_steep ? i : other);
    }
    return 0;
}

READ(circle, struct wisp_pg_circle)
{
    return read_point(in, &value->center, err) < 0 || read_f64(in, &value->radius, err) < 0 ? -WISP_ERR_INVALID : 0;
}

READ(polygon, struct wisp_pg_points)
{
    size_t n;
    if (get_count(in, 4, 16, &n, err) < 0) return -WISP_ERR_INVALID;
    *value = (struct wisp_pg_points){reserve(in, n, sizeof *value->ptr, err), n};
    if (!value->ptr) return -WISP_ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        if (read_point(in, &value->ptr[i], err) < 0) return -WISP_ERR_INVALID;
    return 0;
}

/* The first byte says whether its ends are joined, which the world has no word for. */
READ(path, struct wisp_pg_points)
{
    uint64_t is_closed;
    return get(in, 1, &is_closed, err) < 0 ? -WISP_ERR_INVALID : read_polygon(in, value, err);
}

/* --- time --- */

/* Days since 1970-01-01 in the calendar of today (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static struct wisp_pg_date date_of(int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct wisp_pg_date){WISP_PG_DATE_YMD,
                                 {.year = (int32_t)(year_of_era + era * 400 + (month <= 2)),
                                  .month = (uint32_t)month,
                                  .day = (uint32_t)(day_of_year - (153 * month_from_march + 2) / 5 + 1)}};
}

READ(date, struct wisp_pg_date)
{
    int32_t days;
    if (read_s32(in, &days, err) < 0) return -WISP_ERR_INVALID;
    if (days == INT32_MAX)
        *value = (struct wisp_pg_date){.tag = WISP_PG_DATE_LAST};
    else if (days == INT32_MIN)
        *value = (struct wisp_pg_date){.tag = WISP_PG_DATE_FIRST};
    else
        *value = date_of((int64_t)days + EPOCH_DAYS);
    return 0;
}

static struct wisp_pg_time time_of(int64_t micros)
{
    int64_t seconds = micros / 1000000;
    return (struct wisp_pg_time){(uint32_t)(seconds / 3600), (uint32_t)(seconds / 60 % 60), (uint32_t)(seconds % 60),
                                 (uint32_t)(micros % 1000000)};
}

READ(time, struct wisp_pg_time)
{
    int64_t micros;
    if (read_s64(in, &micros, err) < 0) return -WISP_ERR_INVALID;
    if (micros < 0 || micros > DAY_MICROS) return refuse(err, "it is a time beyond the day");
    *value = time_of(micros);
    return 0;
}

READ(time_tz, struct wisp_pg_time_tz)
{
    int32_t west;
    if (read_time(in, &value->time, err) < 0 || read_s32(in, &west, err) < 0) return -WISP_ERR_INVALID;
    if (west <= -DAY_SECONDS || west >= DAY_SECONDS) return refuse(err, "it is a time with an offset of a day or more");
    unsigned size = (unsigned)(west < 0 ? -west : west);
    char *text = wisp_arena_printf(in->arena, "%c%02u:%02u", west > 0 ? '-' : '+', size / 3600, size / 60 % 60);
    value->zone = wisp_str_from(size % 60 ? wisp_arena_printf(in->arena, "%s:%02u", text, size % 60) : text);
    return 0;
}

READ(timestamp, struct wisp_pg_timestamp)
{
    int64_t micros;
    if (read_s64(in, &micros, err) < 0) return -WISP_ERR_INVALID;
    *value = (struct wisp_pg_timestamp){.date.tag = micros == INT64_MAX ? WISP_PG_DATE_LAST : WISP_PG_DATE_FIRST};
    if (micros == INT64_MAX || micros == INT64_MIN) return 0;
    int64_t days = micros / DAY_MICROS, rest = micros % DAY_MICROS;
    *value = (struct wisp_pg_timestamp){date_of(days - (rest < 0) + EPOCH_DAYS),
                                        time_of(rest < 0 ? rest + DAY_MICROS : rest)};
    return 0;
}

READ(timestamp_tz, struct wisp_pg_timestamp_tz)
{
    value->offset.is_western = true; /* by nothing: as wasmCloud's provider says UTC */
    value->offset.seconds = 0;
    return read_timestamp(in, &value->timestamp, err);
}

/* One end of a range. An end that is open to all sides is infinity. */
static int read_bound(struct input *in, bool is_infinite, struct wisp_pg_date *date, struct wisp_err *err)
{
    uint64_t size;
    if (is_infinite) return 0;
    if (get(in, 4, &size, err) < 0) return -WISP_ERR_INVALID;
    if (size != 4) return refuse(err, "it is a range whose ends are no dates");
    return read_date(in, date, err);
}

/* A daterange. */
READ(interval, struct wisp_pg_interval)
{
    enum { EMPTY = 1, LOWER_INCLUSIVE = 2, UPPER_INCLUSIVE = 4, LOWER_INFINITE = 8, UPPER_INFINITE = 16 };
    uint64_t flags;
    if (get(in, 1, &flags, err) < 0) return -WISP_ERR_INVALID;
    if (flags & EMPTY) return refuse(err, "it is an empty range, which has no ends");
    *value = (struct wisp_pg_interval){.start.tag = WISP_PG_DATE_FIRST,
                                       .start_inclusive = (flags & LOWER_INCLUSIVE) != 0,
                                       .end.tag = WISP_PG_DATE_LAST,
                                       .end_inclusive = (flags & UPPER_INCLUSIVE) != 0};
    return read_bound(in, (flags & LOWER_INFINITE) != 0, &value->start, err) < 0 ||
                   read_bound(in, (flags & UPPER_INFINITE) != 0, &value->end, err) < 0
               ? -WISP_ERR_INVALID
               : 0;
}

/* --- lists that are no arrays --- */

READ(snapshot, struct wisp_pg_snapshot)
{
    uint64_t n;
    if (get(in, 4, &n, err) < 0 || read_s64(in, &value->xmin, err) < 0 || read_s64(in, &value->xmax, err) < 0)
        return -WISP_ERR_INVALID;
    if (n > in->rest.len / 8) return refuse_short(err);
    value->running.ptr = reserve(in, (size_t)n, sizeof(int64_t), err);
    if (!value->running.ptr) return -WISP_ERR_LIMIT;
    value->running.len = (size_t)n;
    for (size_t i = 0; i < n; i++)
        if (read_s64(in, &value->running.ptr[i], err) < 0) return -WISP_ERR_INVALID;
    return 0;
}

/* One lexeme of the server is one of ours for each place where it stands, or one without a place. */
READ(tsvector, struct wisp_pg_list)
{
    size_t n, n_lexemes = 0;
    if (get_count(in, 4, 3, &n, err) < 0) return -WISP_ERR_INVALID;
    size_t max = n + in->rest.len / 2;
    struct wisp_pg_lexeme *lexemes = reserve(in, max, sizeof *lexemes, err);
    if (!lexemes) return -WISP_ERR_LIMIT;
    for (size_t i = 0; i < n; i++) {
        struct wisp_str text, data;
        size_t n_places;
        if (get_cstr(in, &text, err) < 0 || keep_text(in, text, &data, err) < 0 ||
            get_count(in, 2, 2, &n_places, err) < 0)
            return -WISP_ERR_INVALID;
        if (!n_places) lexemes[n_lexemes++].data = data;
        for (size_t j = 0; j < n_places; j++) {
            uint64_t place;
            if (get(in, 2, &place, err) < 0) return -WISP_ERR_INVALID;
            lexemes[n_lexemes++] = (struct wisp_pg_lexeme){
                .position = {1, place & 0x3fff}, .weight = {1, 3 - (uint32_t)(place >> 14)}, .data = data};
        }
    }
    *value = (struct wisp_pg_list){lexemes, n_lexemes};
    return 0;
}

READ(hstore, struct wisp_pg_list)
{
    size_t n;
    if (get_count(in, 4, 8, &n, err) < 0) return -WISP_ERR_INVALID;
    struct wisp_pg_entry *entries = reserve(in, n, sizeof *entries, err);
    if (!entries) return -WISP_ERR_LIMIT;
    for (size_t i = 0; i < n; i++) {
        uint64_t size;
        struct wisp_str text;
        if (get(in, 4, &size, err) < 0 || get_bytes(in, (size_t)size, &text, err) < 0 ||
            keep_text(in, text, &entries[i].key, err) < 0 || get(in, 4, &size, err) < 0)
            return -WISP_ERR_INVALID;
        if (size == UINT32_MAX) continue;
        entries[i].value.is_some = 1;
        if (get_bytes(in, (size_t)size, &text, err) < 0 || keep_text(in, text, &entries[i].value.text, err) < 0)
            return -WISP_ERR_INVALID;
    }
    *value = (struct wisp_pg_list){entries, n};
    return 0;
}

/* A tsquery in Polish notation: an operator, its right operand, its left one. */
static int append_query(struct input *in, struct wisp_buf *out, unsigned depth, struct wisp_err *err);

static int append_query_word(struct input *in, struct wisp_buf *out, struct wisp_err *err)
{
    uint64_t weights, is_prefix;
    struct wisp_str word;
    if (get(in, 1, &weights, err) < 0 || get(in, 1, &is_prefix, err) < 0 || get_cstr(in, &word, err) < 0)
        return -WISP_ERR_INVALID;
    wisp_buf_append_char(out, '\'');
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '\'' || word.ptr[i] == '\\') wisp_buf_append_char(out, word.ptr[i]);
        wisp_buf_append_char(out, word.ptr[i]);
    }
    wisp_buf_append_char(out, '\'');
    if (weights || is_prefix) wisp_buf_append_char(out, ':');
    if (is_prefix) wisp_buf_append_char(out, '*');
    for (int i = 0; i < 4; i++)
        if (weights & (8u >> i)) wisp_buf_append_char(out, "ABCD"[i]);
    return 0;
}

static int append_query_operator(struct input *in, struct wisp_buf *out, unsigned depth, struct wisp_err *err)
{
    enum { NOT = 1, AND, OR, PHRASE };
    uint64_t operator, distance = 0;
    if (get(in, 1, &operator, err) < 0) return -WISP_ERR_INVALID;
    if (operator== PHRASE && get(in, 2, &distance, err) < 0) return -WISP_ERR_INVALID;
    if (operator== NOT) {
        wisp_buf_append_str(out, WISP_STR("!"));
        return append_query(in, out, depth + 1, err);
    }
    if (operator<AND || operator> PHRASE) return refuse(err, "it is a tsquery with an unknown operator");
    WISP_CLEANUP_BUF struct wisp_buf right = {0};
    wisp_buf_append_str(out, WISP_STR("( "));
    if (append_query(in, &right, depth + 1, err) < 0 || append_query(in, out, depth + 1, err) < 0)
        return -WISP_ERR_INVALID;
    if (operator== PHRASE && distance != 1)
        wisp_buf_printf(out, " <%u> ", (unsigned)distance);
    else
        wisp_buf_append_str(out, operator== AND  ? WISP_STR(" & ")
                                 : operator== OR ? WISP_STR(" | ")
                                                 : WISP_STR(" <-> "));
    wisp_buf_append_str(out, wisp_buf_str(&right));
    wisp_buf_append_str(out, WISP_STR(" )"));
    return 0;
}

static int append_query(struct input *in, struct wisp_buf *out, unsigned depth, struct wisp_err *err)
{
    uint64_t kind;
    if (depth > TSQUERY_DEPTH_MAX) return refuse(err, "it is a tsquery that nests too deep");
    if (get(in, 1, &kind, err) < 0) return -WISP_ERR_INVALID;
    if (kind == 1) return append_query_word(in, out, err);
    if (kind == 2) return append_query_operator(in, out, depth, err);
    return refuse(err, "it is a tsquery with an unknown part");
}

READ(tsquery, struct wisp_str)
{
    uint64_t n;
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    if (get(in, 4, &n, err) < 0 || (n && append_query(in, &out, 0, err) < 0)) return -WISP_ERR_INVALID;
    return keep_text(in, wisp_buf_str(&out), value, err);
}

/* --- arrays --- */

/* The head of an array; 0 elements when it is empty. */
static int read_array_head(struct input *in, size_t *ret_n, struct wisp_err *err)
{
    uint64_t n_dimensions, flags, type, n = 0, lower;
    if (get(in, 4, &n_dimensions, err) < 0 || get(in, 4, &flags, err) < 0 || get(in, 4, &type, err) < 0)
        return -WISP_ERR_INVALID;
    if (n_dimensions > 1) return refuse(err, "it is an array of several dimensions");
    if (n_dimensions && (get(in, 4, &n, err) < 0 || get(in, 4, &lower, err) < 0)) return -WISP_ERR_INVALID;
    if (n > in->rest.len / 4) return refuse_short(err);
    *ret_n = (size_t)n;
    return 0;
}

static int read_elements(struct input *in, enum wisp_pg_form form, struct wisp_pg_list *value, struct wisp_err *err);

/* An int2vector is an array in disguise. */
READ(vector, struct wisp_pg_list) { return read_elements(in, WISP_PG_FORM_S16, value, err); }

static int read_one(enum wisp_pg_form form, struct input *in, void *value, struct wisp_err *err)
{
    int r = 0;
    switch (form) {
#define X(name, type, writer, reader)                                                                                  \
    case WISP_PG_FORM_##name:                                                                                          \
        r = read_##reader(in, value, err);                                                                             \
        break;
        WISP_PG_FORMS(X)
#undef X
    case WISP_PG_FORM_NOTHING:
        take_all(in);
        break;
    }
    if (r == 0 && in->rest.len) return refuse(err, "it is longer than it says");
    return r;
}

static int read_elements(struct input *in, enum wisp_pg_form form, struct wisp_pg_list *value, struct wisp_err *err)
{
    size_t n, size = wisp_pg_form_size(form);
    if (read_array_head(in, &n, err) < 0) return -WISP_ERR_INVALID;
    char *elements = reserve(in, n, size, err);
    if (!elements) return -WISP_ERR_LIMIT;
    for (size_t i = 0; i < n; i++) {
        uint64_t length;
        struct input element = *in;
        if (get(in, 4, &length, err) < 0) return -WISP_ERR_INVALID;
        if (length == UINT32_MAX) return refuse(err, "it is an array with a null, which lists have no place for");
        if (get_bytes(in, (size_t)length, &element.rest, err) < 0) return -WISP_ERR_INVALID;
        if (read_one(form, &element, elements + i * size, err) < 0) return wisp_err_wrap(err, "element %zu", i);
    }
    *value = (struct wisp_pg_list){elements, n};
    return 0;
}

int wisp_pg_value_read(const struct wisp_pg_type *type, struct wisp_str bytes, size_t *budget, struct wisp_arena *arena,
                       struct wisp_pg_value *ret_value, struct wisp_err *err)
{
    struct input in = {.rest = bytes, .arena = arena, .budget = budget, .money_digits = type->money_digits};
    struct wisp_pg_case_shape shape = wisp_pg_shapes[type->tag];
    *ret_value = (struct wisp_pg_value){.tag = type->tag};
    if (type->tag == WISP_PG_INT8) return read_int(&in, &ret_value->as.s64, err);
    int r = shape.is_list ? read_elements(&in, shape.form, &ret_value->as.list, err)
                          : read_one(shape.form, &in, &ret_value->as, err);
    if (r == 0 && in.rest.len) return refuse(err, "it is longer than it says");
    return r;
}
