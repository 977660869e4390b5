/* SPDX-License-Identifier: Apache-2.0 */
#include "component/value/value_priv.h"

#include "component/value/wave.h"

#include <stdio.h>
#include <stdlib.h>

/* --- numbers --- */

double wisp_value_widen(float number)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, (double)number);
        if (strtof(text, NULL) == number) break;
    }
    return strtod(text, NULL);
}

void wisp_value_print_number(struct wisp_buf *out, double number)
{
    enum { PLAIN_MIN = -5, PLAIN_MAX = 17 }; /* exponents of numbers that are written without one */
    char text[32];
    int digits = 0;
    do snprintf(text, sizeof text, "%.*e", digits, number);
    while (strtod(text, NULL) != number && ++digits < 17);
    char *exponent_text = strchr(text, 'e');
    int exponent = (int)strtol(exponent_text + 1, NULL, 10);
    if (exponent >= PLAIN_MIN && exponent < PLAIN_MAX) {
        wisp_buf_printf(out, "%.*f", digits > exponent ? digits - exponent : 0, number);
        return;
    }
    *exponent_text = '\0';
    wisp_buf_printf(out, "%se%+d", text, exponent);
}

struct range {
    uint64_t most, least; /* least: as magnitude below zero */
    uint8_t size;
};

static const struct range ranges[] = {
    [WISP_TYPE_S8] = {INT8_MAX, 1ull << 7, 1},    [WISP_TYPE_U8] = {UINT8_MAX, 0, 1},
    [WISP_TYPE_S16] = {INT16_MAX, 1ull << 15, 2}, [WISP_TYPE_U16] = {UINT16_MAX, 0, 2},
    [WISP_TYPE_S32] = {INT32_MAX, 1ull << 31, 4}, [WISP_TYPE_U32] = {UINT32_MAX, 0, 4},
    [WISP_TYPE_S64] = {INT64_MAX, 1ull << 63, 8}, [WISP_TYPE_U64] = {UINT64_MAX, 0, 8},
};

bool wisp_value_put_integer(enum wisp_type_kind kind, bool is_negative, uint64_t magnitude, void *native)
{
    const struct range *range = &ranges[kind];
    if (magnitude > (is_negative ? range->least : range->most)) return false;
    uint64_t bits = is_negative ? -magnitude : magnitude;
    memcpy(native, &bits, range->size); /* little-endian, as all of the canonical ABI */
    return true;
}

/* --- parts --- */

size_t wisp_value_utf8(uint32_t c, char utf8[4])
{
    static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    utf8[0] = (char)(marks[size] | c >> (6 * (size - 1)));
    for (size_t i = 1; i < size; i++) utf8[i] = (char)(0x80 | (c >> (6 * (size - 1 - i)) & 0x3f));
    return size;
}

uint32_t wisp_value_field(const struct wisp_type *type, struct wisp_str name, uint32_t guess)
{
    if (guess < type->n_fields && wisp_str_equal(type->fields[guess].name, name)) return guess;
    for (uint32_t i = 0; i < type->n_fields; i++)
        if (wisp_str_equal(type->fields[i].name, name)) return i;
    return UINT32_MAX;
}

void *wisp_value_add(struct wisp_buf *elements, size_t size, size_t *left)
{
    /* An element costs something even when it has no size. */
    if (size + 1 > *left) return NULL;
    *left -= size + 1;
    void *element = memset(wisp_buf_reserve(elements, size + 1), 0, size);
    elements->len += size;
    return element;
}

void wisp_value_put_list(struct wisp_arena *arena, const struct wisp_buf *elements, size_t len, void *native)
{
    struct value_list list = {wisp_arena_alloc(arena, elements->len), len};
    if (elements->len) memcpy(list.ptr, elements->data, elements->len);
    memcpy(native, &list, sizeof list);
}

/* --- refusals --- */

int wisp_value_refuse_handle(struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "resource handles, streams and futures have no textual form");
}

int wisp_value_refuse_size(struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_LIMIT, "the value takes more than %d MiB", WISP_VALUE_BYTES_MAX >> 20);
}

int wisp_value_refuse_case(const struct wisp_type *type, uint32_t tag, struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_INTERNAL, "a value has case %u of `%.*s`, which has %u", tag,
                        WISP_STR_ARG(type->name), type->n_fields);
}
