/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded reading of WebAssembly binaries. The first failure sticks: it fills the error (with the byte offset), and
 * from then on the reader is at its end and gives zeros, so that a decoder checks `failed` once per item and not once
 * per byte. */
#pragma once

#include "base/err.h"
#include "base/str.h"

enum {
    WISP_READER_NAME_MAX = 100000,  /* bytes of a name */
    WISP_READER_ITEMS_MAX = 100000, /* of a vector */
};

struct wisp_reader {
    const uint8_t *base; /* offset 0 of messages: the start of the file */
    const uint8_t *at, *end;
    struct wisp_err *err;
    int failed; /* 0, or the negative kind */
};

void wisp_reader_init(struct wisp_reader *reader, struct wisp_str bytes, struct wisp_err *err);
static inline uint32_t wisp_reader_offset(const struct wisp_reader *reader)
{
    return (uint32_t)(reader->at - reader->base);
}
static inline bool wisp_reader_at_end(const struct wisp_reader *reader) { return reader->at == reader->end; }

/* "at 0x1a3: ..."; the offset is that of the next byte, or the given one. Returns `failed`. */
int wisp_reader_fail(struct wisp_reader *reader, enum wisp_err_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int wisp_reader_fail_at(struct wisp_reader *reader, uint32_t offset, enum wisp_err_kind kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The byte just read stands for nothing here. */
void wisp_reader_bad_byte(struct wisp_reader *reader, uint8_t byte, const char *what);

uint8_t wisp_read_byte(struct wisp_reader *reader);
/* Unsigned LEB128 of at most 32 and 64 bits. */
uint32_t wisp_read_u32(struct wisp_reader *reader);
uint64_t wisp_read_u64(struct wisp_reader *reader);
/* Signed LEB128 of 33 bits: value types and heap types. */
int64_t wisp_read_s33(struct wisp_reader *reader);
/* Skips a signed or unsigned LEB128 of at most `bits` bits. */
void wisp_skip_leb(struct wisp_reader *reader, unsigned bits);
/* `size` raw bytes, borrowed. */
struct wisp_str wisp_read_bytes(struct wisp_reader *reader, uint32_t size);
/* A length and UTF-8. */
struct wisp_str wisp_read_name(struct wisp_reader *reader);
/* The number of items of a vector, of which every one takes at least one byte. */
uint32_t wisp_read_count(struct wisp_reader *reader);
/* A reader of the next `size` bytes, which are skipped in this one. */
struct wisp_reader wisp_reader_part(struct wisp_reader *reader, uint32_t size);
/* The part must be used up; its failure becomes this reader's. */
void wisp_reader_finish_part(struct wisp_reader *reader, struct wisp_reader *part, const char *what);
