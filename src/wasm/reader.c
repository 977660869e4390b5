/* SPDX-License-Identifier: Apache-2.0 */
#include "wasm/reader.h"

#include <stdarg.h>
#include <stdio.h>

void wisp_reader_init(struct wisp_reader *reader, struct wisp_str bytes, struct wisp_err *err)
{
    const uint8_t *start = (const uint8_t *)(bytes.len ? bytes.ptr : "");
    *reader = (struct wisp_reader){.base = start, .at = start, .end = start + bytes.len, .err = err};
}

__attribute__((format(printf, 4, 0))) static int fail(struct wisp_reader *reader, uint32_t offset,
                                                      enum wisp_err_kind kind, const char *format, va_list args)
{
    if (reader->failed) return reader->failed;
    char text[WISP_ERR_TEXT_MAX];
    vsnprintf(text, sizeof text, format, args);
    reader->failed = wisp_err_set(reader->err, kind, "at 0x%x: %s", offset, text);
    reader->at = reader->end;
    return reader->failed;
}

int wisp_reader_fail(struct wisp_reader *reader, enum wisp_err_kind kind, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = fail(reader, wisp_reader_offset(reader), kind, format, args);
    va_end(args);
    return r;
}

int wisp_reader_fail_at(struct wisp_reader *reader, uint32_t offset, enum wisp_err_kind kind, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = fail(reader, offset, kind, format, args);
    va_end(args);
    return r;
}

void wisp_reader_bad_byte(struct wisp_reader *reader, uint8_t byte, const char *what)
{
    uint32_t offset = wisp_reader_offset(reader);
    wisp_reader_fail_at(reader, offset ? offset - 1 : 0, WISP_ERR_INVALID, "invalid leading byte 0x%x for %s", byte,
                        what);
}

uint8_t wisp_read_byte(struct wisp_reader *reader)
{
    if (reader->at == reader->end) {
        wisp_reader_fail(reader, WISP_ERR_INVALID, "unexpected end");
        return 0;
    }
    return *reader->at++;
}

/* Padding with continuation bytes is allowed up to the width's full length; bits beyond the width are not. */
static uint64_t read_unsigned(struct wisp_reader *reader, unsigned bits)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t byte = wisp_read_byte(reader);
        if (reader->failed) return 0;
        unsigned room = bits - shift;
        if (room < 7 && (byte & 0x7f) >> room) {
            wisp_reader_fail(reader, WISP_ERR_INVALID, "integer too large");
            return 0;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return value;
    }
    wisp_reader_fail(reader, WISP_ERR_INVALID, "integer representation too long");
    return 0;
}

uint32_t wisp_read_u32(struct wisp_reader *reader) { return (uint32_t)read_unsigned(reader, 32); }
uint64_t wisp_read_u64(struct wisp_reader *reader) { return read_unsigned(reader, 64); }

static int64_t read_signed(struct wisp_reader *reader, unsigned bits)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t byte = wisp_read_byte(reader);
        if (reader->failed) return 0;
        unsigned room = bits - shift;
        if (room < 7) {
            /* The bits past the width must repeat the sign. */
            uint8_t sign_and_rest = (uint8_t)((byte & 0x7f) >> (room - 1));
            if (sign_and_rest != 0 && sign_and_rest != 0x7f >> (room - 1)) {
                wisp_reader_fail(reader, WISP_ERR_INVALID, "integer too large");
                return 0;
            }
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80) continue;
        if (byte & 0x40 && shift + 7 < 64) value |= ~UINT64_C(0) << (shift + 7);
        return (int64_t)value;
    }
    wisp_reader_fail(reader, WISP_ERR_INVALID, "integer representation too long");
    return 0;
}

int64_t wisp_read_s33(struct wisp_reader *reader) { return read_signed(reader, 33); }

void wisp_skip_leb(struct wisp_reader *reader, unsigned bits) { read_signed(reader, bits); }

struct wisp_str wisp_read_bytes(struct wisp_reader *reader, uint32_t size)
{
    if ((size_t)(reader->end - reader->at) < size) {
        wisp_reader_fail(reader, WISP_ERR_INVALID, "unexpected end: %u bytes announced, %zu left", size,
                         (size_t)(reader->end - reader->at));
        return (struct wisp_str){0};
    }
    struct wisp_str bytes = {(const char *)reader->at, size};
    reader->at += size;
    return bytes;
}

struct wisp_str wisp_read_name(struct wisp_reader *reader)
{
    uint32_t offset = wisp_reader_offset(reader);
    struct wisp_str name = wisp_read_bytes(reader, wisp_read_u32(reader));
    if (reader->failed) return (struct wisp_str){0};
    if (name.len > WISP_READER_NAME_MAX)
        wisp_reader_fail_at(reader, offset, WISP_ERR_LIMIT, "a name of %zu bytes", name.len);
    else if (!wisp_str_is_utf8(name))
        wisp_reader_fail_at(reader, offset, WISP_ERR_INVALID, "a name is not UTF-8");
    return reader->failed ? (struct wisp_str){0} : name;
}

uint32_t wisp_read_count(struct wisp_reader *reader)
{
    uint32_t offset = wisp_reader_offset(reader), count = wisp_read_u32(reader);
    if (count > (size_t)(reader->end - reader->at))
        wisp_reader_fail_at(reader, offset, WISP_ERR_INVALID, "unexpected end: %u items announced, %zu bytes left",
                            count, (size_t)(reader->end - reader->at));
    else if (count > WISP_READER_ITEMS_MAX)
        wisp_reader_fail_at(reader, offset, WISP_ERR_LIMIT, "%u items, at most %d are supported", count,
                            WISP_READER_ITEMS_MAX);
    return reader->failed ? 0 : count;
}

struct wisp_reader wisp_reader_part(struct wisp_reader *reader, uint32_t size)
{
    struct wisp_str bytes = wisp_read_bytes(reader, size);
    struct wisp_reader part = *reader;
    part.end = part.at;
    part.at = part.end - bytes.len;
    return part;
}

void wisp_reader_finish_part(struct wisp_reader *reader, struct wisp_reader *part, const char *what)
{
    if (reader->failed) return; /* the first failure counts */
    if (!part->failed && part->at != part->end)
        wisp_reader_fail(part, WISP_ERR_INVALID, "%s: %zu bytes left over", what, (size_t)(part->end - part->at));
    if (part->failed) {
        reader->failed = part->failed;
        reader->at = reader->end;
    }
}
