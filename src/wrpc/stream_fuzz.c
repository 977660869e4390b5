/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a stream's or future's path, of a type that the first byte chooses: what is read does not depend on the
 * pieces in which they come, and ends or fails for good. */
#include "component/host/host_signature.h"
#include "wrpc/stream_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[] = {"stream<u8>",
                                    "stream<string>",
                                    "stream<tuple<u16, option<char>>>",
                                    "stream<list<u32>>",
                                    "future<result<string, u8>>",
                                    "future<u64>",
                                    "stream<stream<u8>>"};

struct outcome {
    struct wisp_buf items; /* encoded again */
    unsigned n;
    enum wisp_wrpc_reading state;
};

static const struct wisp_type *type_of(struct wisp_arena *arena, const char *text)
{
    struct wisp_map none = {0};
    struct wisp_signature_names names = {.arena = arena, .resources = &none};
    const struct wisp_func_type *func;
    if (wisp_signature_parse(&names, wisp_str_from(wisp_arena_printf(arena, "(%s)", text)), &func, NULL) < 0) abort();
    wisp_map_deinit(&names.types);
    return func->params[0].type;
}

static void take_bytes(struct wisp_wrpc_reader *reader, struct outcome *outcome)
{
    struct wisp_str bytes;
    struct wisp_err err;
    while ((outcome->state = wisp_wrpc_reader_peek(reader, &bytes, &err)) == WISP_WRPC_READING_ITEM) {
        assert(bytes.len > 0);
        wisp_buf_append_str(&outcome->items, bytes);
        wisp_wrpc_reader_consume(reader, bytes.len);
    }
}

static void take_items(const struct wisp_type *type, struct wisp_wrpc_reader *reader, struct outcome *outcome)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_wrpc_slots slots = {.arena = &arena};
    struct wisp_err err;
    void *value = wisp_arena_alloc(&arena, type->element->native_size);
    while ((outcome->state = wisp_wrpc_reader_next(reader, &arena, value, &err)) == WISP_WRPC_READING_ITEM) {
        int r = wisp_wrpc_value_encode_with(type->element, value, SIZE_MAX / 2, &slots, &outcome->items, &err);
        assert(r == 0);
        wisp_wrpc_value_close(type->element, value);
        outcome->n++;
    }
}

static void run(const struct wisp_type *type, struct wisp_str bytes, size_t piece, struct outcome *outcome)
{
    struct wisp_wrpc_writer *writer = wisp_wrpc_writer_new(type);
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_take(type, writer);
    bool is_bytes = type->kind == WISP_TYPE_STREAM && type->element->kind == WISP_TYPE_U8;
    for (size_t at = 0; at <= bytes.len; at += piece) {
        bool is_last = bytes.len - at < piece;
        wisp_wrpc_pipe_feed(pipe, (struct wisp_str){bytes.ptr + at, is_last ? bytes.len - at : piece}, is_last);
        if (is_bytes)
            take_bytes(&pipe->reader, outcome);
        else
            take_items(type, &pipe->reader, outcome);
        assert((outcome->state == WISP_WRPC_READING_WAIT) <= !is_last);
    }
    wisp_wrpc_reader_close(&pipe->reader);
    wisp_wrpc_pipe_leave(pipe);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct outcome whole = {0}, pieces = {0};
    if (size < 2) return 0;
    const struct wisp_type *type = type_of(&arena, types[data[0] % WISP_COUNT(types)]);
    struct wisp_str bytes = {(const char *)data + 2, size - 2};
    run(type, bytes, size, &whole);
    run(type, bytes, 1 + data[1] % 16, &pieces);
    assert(whole.n == pieces.n && whole.state == pieces.state && whole.items.len == pieces.items.len);
    if (whole.items.len > 0) assert(memcmp(whole.items.data, pieces.items.data, whole.items.len) == 0);
    wisp_buf_deinit(&whole.items);
    wisp_buf_deinit(&pieces.items);
    return 0;
}
