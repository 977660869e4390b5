/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/protobuf.h"

enum wire { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32 = 5 };

static size_t encode_varint(char bytes[10], uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) bytes[n++] = (char)(value | 0x80);
    bytes[n++] = (char)value;
    return n;
}

static void append_varint(struct wisp_buf *out, uint64_t value)
{
    char bytes[10];
    wisp_buf_append(out, bytes, encode_varint(bytes, value));
}

static void append_little_endian(struct wisp_buf *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) wisp_buf_append_char(out, (char)(value >> (8 * i)));
}

static void append_tag(struct wisp_buf *out, uint32_t field, enum wire wire)
{
    append_varint(out, (uint64_t)field << 3 | wire);
}

void wisp_protobuf_varint(struct wisp_buf *out, uint32_t field, uint64_t value)
{
    append_tag(out, field, WIRE_VARINT);
    append_varint(out, value);
}

void wisp_protobuf_fixed32(struct wisp_buf *out, uint32_t field, uint32_t value)
{
    append_tag(out, field, WIRE_32);
    append_little_endian(out, value, 4);
}

void wisp_protobuf_fixed64(struct wisp_buf *out, uint32_t field, uint64_t value)
{
    append_tag(out, field, WIRE_64);
    append_little_endian(out, value, 8);
}

void wisp_protobuf_double(struct wisp_buf *out, uint32_t field, double value)
{
    append_tag(out, field, WIRE_64);
    wisp_protobuf_packed_double(out, value);
}

void wisp_protobuf_bytes(struct wisp_buf *out, uint32_t field, struct wisp_str bytes)
{
    append_tag(out, field, WIRE_BYTES);
    append_varint(out, bytes.len);
    wisp_buf_append_str(out, bytes);
}

void wisp_protobuf_text(struct wisp_buf *out, uint32_t field, struct wisp_str text)
{
    wisp_protobuf_bytes(out, field, text);
    if (wisp_str_is_utf8(text)) return;
    for (char *c = out->data + out->len - text.len; c < out->data + out->len; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
}

/* Most messages are shorter than 128 bytes: room for a length of one byte, and longer ones are moved. */
size_t wisp_protobuf_begin(struct wisp_buf *out, uint32_t field)
{
    append_tag(out, field, WIRE_BYTES);
    wisp_buf_append_char(out, 0);
    return out->len;
}

void wisp_protobuf_end(struct wisp_buf *out, size_t begun)
{
    char bytes[10];
    size_t size = out->len - begun, n = encode_varint(bytes, size);
    if (n > 1) {
        wisp_buf_reserve(out, n - 1);
        memmove(out->data + begun + n - 1, out->data + begun, size);
        out->len += n - 1;
    }
    memcpy(out->data + begun - 1, bytes, n);
}

void wisp_protobuf_packed_fixed64(struct wisp_buf *out, uint64_t value) { append_little_endian(out, value, 8); }

void wisp_protobuf_packed_double(struct wisp_buf *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    append_little_endian(out, bits, 8);
}
