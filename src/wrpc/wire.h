/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces that values are encoded with: LEB128 numbers, strings, tags.
 *
 * An input works on a view of bytes and is sticky: what fails once leaves it failed, and everything read after that is
 * zero or empty; so a sequence is read first and judged once. It tells "more bytes could make it whole" from "no bytes
 * could". Numbers are read strictly: not longer than needed, not larger than the type. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct wisp_wrpc_input {
    const char *at, *end;
    enum { WISP_WRPC_READ_OK, WISP_WRPC_READ_MORE, WISP_WRPC_READ_BAD } state;
    const char *fault; /* for BAD: "a bool that is neither 0 nor 1" */
};

static inline struct wisp_wrpc_input wisp_wrpc_input(struct wisp_str bytes)
{
    return (struct wisp_wrpc_input){.at = bytes.ptr, .end = bytes.len ? bytes.ptr + bytes.len : bytes.ptr};
}
static inline size_t wisp_wrpc_input_left(const struct wisp_wrpc_input *input)
{
    return (size_t)(input->end - input->at);
}
/* Fails it; the first cause stays. */
void wisp_wrpc_input_fail(struct wisp_wrpc_input *input, const char *fault);

uint8_t wisp_wrpc_read_byte(struct wisp_wrpc_input *input);
/* LEB128 of a type with `bits` 16, 32 or 64. */
uint64_t wisp_wrpc_read_unsigned(struct wisp_wrpc_input *input, unsigned bits);
int64_t wisp_wrpc_read_signed(struct wisp_wrpc_input *input, unsigned bits);
/* A view of the next `size` bytes. */
struct wisp_str wisp_wrpc_read_raw(struct wisp_wrpc_input *input, size_t size);
/* Length and bytes, as of list<u8>; views. */
struct wisp_str wisp_wrpc_read_bytes(struct wisp_wrpc_input *input);
/* As read_bytes, but UTF-8. */
struct wisp_str wisp_wrpc_read_string(struct wisp_wrpc_input *input);
uint32_t wisp_wrpc_read_char(struct wisp_wrpc_input *input);
/* Below `count`. */
uint32_t wisp_wrpc_read_case(struct wisp_wrpc_input *input, uint32_t count);
/* 00 or 01, as of bool, option, result. */
bool wisp_wrpc_read_flag(struct wisp_wrpc_input *input, const char *fault);

void wisp_wrpc_put_unsigned(struct wisp_buf *out, uint64_t value);
void wisp_wrpc_put_signed(struct wisp_buf *out, int64_t value);
void wisp_wrpc_put_bytes(struct wisp_buf *out, struct wisp_str bytes); /* length and bytes: string, list<u8> */
void wisp_wrpc_put_char(struct wisp_buf *out, uint32_t scalar);
