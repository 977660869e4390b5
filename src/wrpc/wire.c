/* SPDX-License-Identifier: Apache-2.0 */
#include "wrpc/wire.h"

void wisp_wrpc_input_fail(struct wisp_wrpc_input *input, const char *fault)
{
    if (input->state != WISP_WRPC_READ_OK) return;
    input->state = WISP_WRPC_READ_BAD;
    input->fault = fault;
}

uint8_t wisp_wrpc_read_byte(struct wisp_wrpc_input *input)
{
    if (input->state != WISP_WRPC_READ_OK) return 0;
    if (input->at == input->end) {
        input->state = WISP_WRPC_READ_MORE;
        return 0;
    }
    return (uint8_t)*input->at++;
}

uint64_t wisp_wrpc_read_unsigned(struct wisp_wrpc_input *input, unsigned bits)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = wisp_wrpc_read_byte(input);
        if (input->state != WISP_WRPC_READ_OK) return 0;
        uint64_t part = byte & 0x7f;
        if (shift + 7 > bits && part >> (bits - shift) != 0) {
            wisp_wrpc_input_fail(input, "a number that is too large for its type");
            return 0;
        }
        value |= part << shift;
        if (!(byte & 0x80)) {
            if (byte == 0 && shift > 0) wisp_wrpc_input_fail(input, "a number that is longer than needed");
            return value;
        }
        if (shift + 7 >= bits) {
            wisp_wrpc_input_fail(input, "a number that is too long for its type");
            return 0;
        }
    }
}

int64_t wisp_wrpc_read_signed(struct wisp_wrpc_input *input, unsigned bits)
{
    uint64_t value = 0;
    uint8_t previous = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = wisp_wrpc_read_byte(input);
        if (input->state != WISP_WRPC_READ_OK) return 0;
        bool is_last = !(byte & 0x80), is_negative = byte & 0x40;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (shift + 7 >= bits) {
            /* What is above the type's sign bit must repeat it. */
            unsigned used = bits - shift;
            uint8_t top = (uint8_t)((byte & 0x7f) >> (used - 1)), all_ones = (uint8_t)(0x7f >> (used - 1));
            if (!is_last || (top != 0 && top != all_ones)) {
                wisp_wrpc_input_fail(input, "a number that is too large for its type");
                return 0;
            }
        }
        if (is_last) {
            if (shift > 0 && byte == (previous & 0x40 ? 0x7f : 0))
                wisp_wrpc_input_fail(input, "a number that is longer than needed");
            if (is_negative && shift + 7 < 64) value |= UINT64_MAX << (shift + 7);
            return (int64_t)value;
        }
        previous = byte;
    }
}

struct wisp_str wisp_wrpc_read_raw(struct wisp_wrpc_input *input, size_t size)
{
    struct wisp_str raw = {input->at, size};
    if (input->state == WISP_WRPC_READ_OK && size > wisp_wrpc_input_left(input)) input->state = WISP_WRPC_READ_MORE;
    if (input->state != WISP_WRPC_READ_OK) return (struct wisp_str){NULL, 0};
    if (size > 0) input->at += size;
    return raw;
}

struct wisp_str wisp_wrpc_read_bytes(struct wisp_wrpc_input *input)
{
    return wisp_wrpc_read_raw(input, (size_t)wisp_wrpc_read_unsigned(input, 32));
}

struct wisp_str wisp_wrpc_read_string(struct wisp_wrpc_input *input)
{
    struct wisp_str text = wisp_wrpc_read_bytes(input);
    if (text.len == 0 || wisp_str_is_utf8(text)) return text;
    wisp_wrpc_input_fail(input, "a string that is not UTF-8");
    return (struct wisp_str){NULL, 0};
}

uint32_t wisp_wrpc_read_char(struct wisp_wrpc_input *input)
{
    static const char fault[] = "a char that is not UTF-8";
    struct wisp_str all = {input->at, 1};
    uint8_t first = wisp_wrpc_read_byte(input);
    if (input->state != WISP_WRPC_READ_OK || first < 0x80) return first;
    if (first < 0xc2 || first > 0xf4) {
        wisp_wrpc_input_fail(input, fault);
        return 0;
    }
    size_t n_rest = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    struct wisp_str rest = wisp_wrpc_read_raw(input, n_rest);
    if (input->state != WISP_WRPC_READ_OK) return 0;
    all.len += n_rest;
    if (!wisp_str_is_utf8(all)) {
        wisp_wrpc_input_fail(input, fault);
        return 0;
    }
    uint32_t scalar = first & (0x3fu >> n_rest);
    for (size_t i = 0; i < n_rest; i++) scalar = scalar << 6 | (rest.ptr[i] & 0x3f);
    return scalar;
}

uint32_t wisp_wrpc_read_case(struct wisp_wrpc_input *input, uint32_t count)
{
    uint32_t index = (uint32_t)wisp_wrpc_read_unsigned(input, 32);
    if (input->state == WISP_WRPC_READ_OK && index >= count) wisp_wrpc_input_fail(input, "a case that does not exist");
    return input->state == WISP_WRPC_READ_OK ? index : 0;
}

bool wisp_wrpc_read_flag(struct wisp_wrpc_input *input, const char *fault)
{
    uint8_t byte = wisp_wrpc_read_byte(input);
    if (byte > 1) wisp_wrpc_input_fail(input, fault);
    return byte == 1;
}

void wisp_wrpc_put_unsigned(struct wisp_buf *out, uint64_t value)
{
    char *at = wisp_buf_reserve(out, 10);
    for (; value >= 0x80; value >>= 7, out->len++) *at++ = (char)(value | 0x80);
    *at = (char)value;
    out->len++;
}

void wisp_wrpc_put_signed(struct wisp_buf *out, int64_t value)
{
    char *at = wisp_buf_reserve(out, 10);
    for (; value < -64 || value > 63; value >>= 7, out->len++) *at++ = (char)(value | 0x80);
    *at = (char)(value & 0x7f);
    out->len++;
}

void wisp_wrpc_put_bytes(struct wisp_buf *out, struct wisp_str bytes)
{
    wisp_wrpc_put_unsigned(out, bytes.len);
    wisp_buf_append_str(out, bytes);
}

void wisp_wrpc_put_char(struct wisp_buf *out, uint32_t scalar)
{
    char utf8[4];
    size_t n = scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; scalar >>= 6) utf8[i] = (char)(0x80 | (scalar & 0x3f));
    static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    utf8[0] = (char)(marks[n] | scalar);
    wisp_buf_append(out, utf8, n);
}
