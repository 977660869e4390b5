/* SPDX-License-Identifier: Apache-2.0 */
#include "component/decode/decode_priv.h"

/* Built-ins that exist but are not implemented, by their byte. */
static const char *const unsupported[] = {
    [0x05] = "task.cancel",
    [0x06] = "subtask.cancel",
    [0x09] = "task.return",
    [0x0a] = "context.get",
    [0x0b] = "context.set",
    [0x0c] = "thread.yield",
    [0x0d] = "subtask.drop",
    [0x0e] = "stream.new",
    [0x0f] = "stream.read",
    [0x10] = "stream.write",
    [0x11] = "stream.cancel-read",
    [0x12] = "stream.cancel-write",
    [0x13] = "stream.drop-readable",
    [0x14] = "stream.drop-writable",
    [0x15] = "future.new",
    [0x16] = "future.read",
    [0x17] = "future.write",
    [0x18] = "future.cancel-read",
    [0x19] = "future.cancel-write",
    [0x1a] = "future.drop-readable",
    [0x1b] = "future.drop-writable",
    [0x1c] = "error-context.new",
    [0x1d] = "error-context.debug-message",
    [0x1e] = "error-context.drop",
    [0x1f] = "waitable-set.new",
    [0x20] = "waitable-set.wait",
    [0x21] = "waitable-set.poll",
    [0x22] = "waitable-set.drop",
    [0x23] = "waitable.join",
    [0x24] = "backpressure.inc",
    [0x25] = "backpressure.dec",
    [0x26] = "thread.index",
    [0x27] = "thread.new-indirect",
    [0x28] = "thread.resume-later",
    [0x29] = "thread.suspend",
    [0x2a] = "thread.suspend-then-resume",
    [0x2b] = "thread.yield-then-resume",
    [0x2c] = "thread.suspend-then-promote",
    [0x2d] = "thread.yield-then-promote",
    [0x40] = "thread.spawn-ref",
    [0x41] = "thread.spawn-indirect",
    [0x42] = "thread.available-parallelism",
};

static void read_encoding(struct wisp_reader *reader, uint8_t code, bool *seen, struct wisp_ast_canon *canon)
{
    if (*seen)
        wisp_reader_fail(reader, WISP_ERR_INVALID, "canonical option `string-encoding` conflicts with an earlier one");
    *seen = true;
    canon->encoding = code == 0 ? WISP_UTF8 : code == 1 ? WISP_UTF16 : WISP_LATIN1_UTF16;
}

static void read_index(struct wisp_reader *reader, const char *option, bool *has, uint32_t *ret_index)
{
    if (*has) wisp_reader_fail(reader, WISP_ERR_INVALID, "canonical option `%s` is specified more than once", option);
    *has = true;
    *ret_index = wisp_read_u32(reader);
}

static void read_options(struct wisp_decoder *decoder, struct wisp_reader *reader, struct wisp_ast_canon *canon)
{
    bool has_encoding = false;
    for (uint32_t n = wisp_decode_count(decoder, reader); n > 0 && !reader->failed; n--) {
        uint8_t code = wisp_read_byte(reader);
        switch (code) {
        case 0x00:
        case 0x01:
        case 0x02:
            read_encoding(reader, code, &has_encoding, canon);
            break;
        case 0x03:
            read_index(reader, "memory", &canon->has_memory, &canon->memory);
            break;
        case 0x04:
            read_index(reader, "realloc", &canon->has_realloc, &canon->realloc);
            break;
        case 0x05:
            read_index(reader, "post-return", &canon->has_post_return, &canon->post_return);
            break;
        case 0x06:
        case 0x07:
            wisp_reader_fail(reader, WISP_ERR_UNSUPPORTED, "canonical option `%s` (WASI Preview 3)",
                             code == 6 ? "async" : "callback");
            break;
        default:
            wisp_reader_bad_byte(reader, code, "canonical option");
        }
    }
    if (canon->has_realloc && !canon->has_memory)
        wisp_reader_fail(reader, WISP_ERR_INVALID, "canonical option `realloc` requires `memory` to also be specified");
    if (canon->has_post_return && canon->kind == WISP_AST_LOWER)
        wisp_reader_fail(reader, WISP_ERR_INVALID, "canonical option `post-return` cannot be specified for lowerings");
}

static void read_func_sort(struct wisp_reader *reader, const char *what)
{
    uint8_t sort = wisp_read_byte(reader);
    if (sort) wisp_reader_bad_byte(reader, sort, what);
}

struct wisp_ast_canon *wisp_decode_canon(struct wisp_decoder *decoder, struct wisp_reader *reader)
{
    struct wisp_ast_canon *canon = WISP_NEW(decoder->arena, struct wisp_ast_canon);
    uint8_t code = wisp_read_byte(reader);
    if (reader->failed) return canon;
    switch (code) {
    case 0x00:
        canon->kind = WISP_AST_LIFT;
        read_func_sort(reader, "canonical function lift");
        canon->index = wisp_read_u32(reader);
        read_options(decoder, reader, canon);
        canon->type = wisp_read_u32(reader);
        break;
    case 0x01:
        canon->kind = WISP_AST_LOWER;
        read_func_sort(reader, "canonical function lower");
        canon->index = wisp_read_u32(reader);
        read_options(decoder, reader, canon);
        break;
    case 0x02:
        canon->kind = WISP_AST_RESOURCE_NEW;
        canon->index = wisp_read_u32(reader);
        break;
    case 0x03:
        canon->kind = WISP_AST_RESOURCE_DROP;
        canon->index = wisp_read_u32(reader);
        break;
    case 0x04:
        canon->kind = WISP_AST_RESOURCE_REP;
        canon->index = wisp_read_u32(reader);
        break;
    default:
        if (code < WISP_COUNT(unsupported) && unsupported[code])
            wisp_reader_fail(reader, WISP_ERR_UNSUPPORTED, "canonical built-in `%s` (WASI Preview 3)",
                             unsupported[code]);
        else
            wisp_reader_bad_byte(reader, code, "canonical function");
    }
    return canon;
}
