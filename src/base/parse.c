/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

struct unit {
    const char *suffix;
    uint64_t factor;
};

/* Reads leading digits; returns how many, 0 when there are none or the number does not fit. */
static size_t digits(struct wisp_str text, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
        if (__builtin_mul_overflow(value, 10u, &value)) return 0;
        if (__builtin_add_overflow(value, (uint64_t)(text.ptr[i] - '0'), &value)) return 0;
    }
    *ret_value = value;
    return i;
}

int wisp_parse_u64(struct wisp_str text, uint64_t max, uint64_t *ret_value, struct wisp_err *err)
{
    uint64_t value;
    size_t n = digits(text, &value);
    if (!n || n != text.len || value > max)
        return wisp_err_set(err, WISP_ERR_USAGE, "`%.*s` is not a whole number from 0 to %llu", WISP_STR_ARG(text),
                            (unsigned long long)max);
    *ret_value = value;
    return 0;
}

static int with_unit(struct wisp_str text, const struct unit *units, size_t n_units, const char *expected,
                     uint64_t *ret_value, struct wisp_err *err)
{
    uint64_t value;
    size_t n = digits(text, &value);
    struct wisp_str suffix = {n ? text.ptr + n : text.ptr, text.len - n};
    for (size_t i = 0; n && i < n_units; i++) {
        if (!wisp_str_equal_nocase(suffix, wisp_str_from(units[i].suffix))) continue;
        if (__builtin_mul_overflow(value, units[i].factor, &value)) break;
        *ret_value = value;
        return 0;
    }
    return wisp_err_set(err, WISP_ERR_USAGE, "`%.*s` is not %s", WISP_STR_ARG(text), expected);
}

int wisp_parse_size(struct wisp_str text, uint64_t *ret_bytes, struct wisp_err *err)
{
    static const struct unit units[] = {
        {"", 1},
        {"B", 1},
        {"K", 1ull << 10},
        {"Ki", 1ull << 10},
        {"KiB", 1ull << 10},
        {"KB", 1ull << 10},
        {"M", 1ull << 20},
        {"Mi", 1ull << 20},
        {"MiB", 1ull << 20},
        {"MB", 1ull << 20},
        {"G", 1ull << 30},
        {"Gi", 1ull << 30},
        {"GiB", 1ull << 30},
        {"GB", 1ull << 30},
        {"T", 1ull << 40},
        {"Ti", 1ull << 40},
        {"TiB", 1ull << 40},
        {"TB", 1ull << 40},
    };
    return with_unit(text, units, WISP_COUNT(units), "a size such as 512K, 64M or 1G", ret_bytes, err);
}

int wisp_parse_duration(struct wisp_str text, uint64_t *ret_ms, struct wisp_err *err)
{
    static const struct unit units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    return with_unit(text, units, WISP_COUNT(units), "a duration such as 500ms, 30s or 5m", ret_ms, err);
}
