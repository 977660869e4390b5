/* SPDX-License-Identifier: Apache-2.0 */
/* Days, times of day and spans of time. */
#include "capability/postgres/value_read_priv.h"

enum {
    DAY_SECONDS = 24 * 3600,
    EPOCH_DAYS = 10957, /* 2000-01-01, from 1970-01-01 */
};
#define DAY_MICROS (DAY_SECONDS * INT64_C(1000000))

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

WISP_PG_READ(date, struct wisp_pg_date)
{
    int32_t days;
    if (wisp_pg_read_s32(in, &days, err) < 0) return -WISP_ERR_INVALID;
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

WISP_PG_READ(time, struct wisp_pg_time)
{
    int64_t micros;
    if (wisp_pg_read_s64(in, &micros, err) < 0) return -WISP_ERR_INVALID;
    if (micros < 0 || micros > DAY_MICROS) return wisp_pg_refuse(err, "it is a time beyond the day");
    *value = time_of(micros);
    return 0;
}

WISP_PG_READ(time_tz, struct wisp_pg_time_tz)
{
    int32_t west;
    if (wisp_pg_read_time(in, &value->time, err) < 0 || wisp_pg_read_s32(in, &west, err) < 0) return -WISP_ERR_INVALID;
    if (west <= -DAY_SECONDS || west >= DAY_SECONDS)
        return wisp_pg_refuse(err, "it is a time with an offset of a day or more");
    unsigned size = (unsigned)(west < 0 ? -west : west);
    char *text = wisp_arena_printf(in->arena, "%c%02u:%02u", west > 0 ? '-' : '+', size / 3600, size / 60 % 60);
    value->zone = wisp_str_from(size % 60 ? wisp_arena_printf(in->arena, "%s:%02u", text, size % 60) : text);
    return 0;
}

WISP_PG_READ(timestamp, struct wisp_pg_timestamp)
{
    int64_t micros;
    if (wisp_pg_read_s64(in, &micros, err) < 0) return -WISP_ERR_INVALID;
    *value = (struct wisp_pg_timestamp){.date.tag = micros == INT64_MAX ? WISP_PG_DATE_LAST : WISP_PG_DATE_FIRST};
    if (micros == INT64_MAX || micros == INT64_MIN) return 0;
    int64_t days = micros / DAY_MICROS, rest = micros % DAY_MICROS;
    *value = (struct wisp_pg_timestamp){date_of(days - (rest < 0) + EPOCH_DAYS),
                                        time_of(rest < 0 ? rest + DAY_MICROS : rest)};
    return 0;
}

WISP_PG_READ(timestamp_tz, struct wisp_pg_timestamp_tz)
{
    value->offset.is_western = true; /* by nothing: as wasmCloud's provider says UTC */
    value->offset.seconds = 0;
    return wisp_pg_read_timestamp(in, &value->timestamp, err);
}

/* One end of a range. An end that is open to all sides is infinity. */
static int read_bound(struct wisp_pg_input *in, bool is_infinite, struct wisp_pg_date *date, struct wisp_err *err)
{
    uint64_t size;
    if (is_infinite) return 0;
    if (wisp_pg_get(in, 4, &size, err) < 0) return -WISP_ERR_INVALID;
    if (size != 4) return wisp_pg_refuse(err, "it is a range whose ends are no dates");
    return wisp_pg_read_date(in, date, err);
}

/* A daterange. */
WISP_PG_READ(interval, struct wisp_pg_interval)
{
    enum { EMPTY = 1, LOWER_INCLUSIVE = 2, UPPER_INCLUSIVE = 4, LOWER_INFINITE = 8, UPPER_INFINITE = 16 };
    uint64_t flags;
    if (wisp_pg_get(in, 1, &flags, err) < 0) return -WISP_ERR_INVALID;
    if (flags & EMPTY) return wisp_pg_refuse(err, "it is an empty range, which has no ends");
    *value = (struct wisp_pg_interval){.start.tag = WISP_PG_DATE_FIRST,
                                       .start_inclusive = (flags & LOWER_INCLUSIVE) != 0,
                                       .end.tag = WISP_PG_DATE_LAST,
                                       .end_inclusive = (flags & UPPER_INCLUSIVE) != 0};
    return read_bound(in, (flags & LOWER_INFINITE) != 0, &value->start, err) < 0 ||
                   read_bound(in, (flags & UPPER_INFINITE) != 0, &value->end, err) < 0
               ? -WISP_ERR_INVALID
               : 0;
}
