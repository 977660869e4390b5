/* SPDX-License-Identifier: Apache-2.0 */
/* Protocol Buffers, writing only: appends one field after the other.
 * https://protobuf.dev/programming-guides/encoding/ */
#pragma once

#include "base/mem.h"

/* int32, int64 (as two's complement), uint64, bool, enum */
void wisp_protobuf_varint(struct wisp_buf *out, uint32_t field, uint64_t value);
void wisp_protobuf_fixed32(struct wisp_buf *out, uint32_t field, uint32_t value);
/* fixed64, sfixed64 */
void wisp_protobuf_fixed64(struct wisp_buf *out, uint32_t field, uint64_t value);
void wisp_protobuf_double(struct wisp_buf *out, uint32_t field, double value);
void wisp_protobuf_bytes(struct wisp_buf *out, uint32_t field, struct wisp_str bytes);
/* A string: what is not UTF-8 would make readers refuse the whole message, so it becomes `?`. */
void wisp_protobuf_text(struct wisp_buf *out, uint32_t field, struct wisp_str text);

/* A message, or packed numbers: what is appended between begin and end. */
size_t wisp_protobuf_begin(struct wisp_buf *out, uint32_t field);
void wisp_protobuf_end(struct wisp_buf *out, size_t begun);
/* Numbers of a packed field. */
void wisp_protobuf_packed_fixed64(struct wisp_buf *out, uint64_t value);
void wisp_protobuf_packed_double(struct wisp_buf *out, double value);
