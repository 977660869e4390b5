/* SPDX-License-Identifier: Apache-2.0 */
/* Streams and futures among the parameters and results of calls. As a native C value, a `stream<T>` or `future<T>` is a
 * `void *`: a writer in what is given away, a reader in what was received.
 *
 *     struct get_result { uint32_t is_err; union { struct { void *data, *status; } ok; struct wisp_str error; }; };
 *
 * A writer is made by whoever sends, is put into the value, and comes to life when the call that carries the value
 * does. What it is given goes to the other side at the other side's pace (wrpc.h has the wire and its windows). Both
 * ends in one process are connected through memory by wisp_wrpc_value_pipe.
 *
 * One loop, one thread. Handlers are called from the loop only, never from within a call of these functions; they may
 * call everything here. */
#pragma once

#include "component/types.h"
#include "wrpc/wrpc.h"

/* --- reading --- */

struct wisp_wrpc_reader;

enum wisp_wrpc_reading {
    WISP_WRPC_READING_WAIT,   /* nothing yet; on_ready will be called */
    WISP_WRPC_READING_ITEM,   /* bytes, an element, or the future's value */
    WISP_WRPC_READING_END,    /* of a stream; for a future: after its value */
    WISP_WRPC_READING_FAILED, /* broken off, malformed, timed out; `err` says how. Stays so */
};

/* There is something other than WAIT. NULL: nobody wants to know for now. */
void wisp_wrpc_reader_on_ready(struct wisp_wrpc_reader *reader,
                               void (*on_ready)(struct wisp_wrpc_reader *reader, void *env), void *env);
/* stream<u8>: what has arrived and was not consumed, at least one byte for ITEM. Valid until all of it
 * is consumed or it is closed. */
enum wisp_wrpc_reading wisp_wrpc_reader_peek(struct wisp_wrpc_reader *reader, struct wisp_str *ret_bytes,
                                             struct wisp_err *err);
void wisp_wrpc_reader_consume(struct wisp_wrpc_reader *reader, size_t n);
/* Other streams and futures: fills `value` (element type, native size); what it points to goes to the arena. */
enum wisp_wrpc_reading wisp_wrpc_reader_next(struct wisp_wrpc_reader *reader, struct wisp_arena *arena, void *value,
                                             struct wisp_err *err);
/* Owed for every reader that was received, at its end or earlier; the sender may be told to stop. NULL is fine. */
void wisp_wrpc_reader_close(struct wisp_wrpc_reader *reader);

/* --- writing --- */

struct wisp_wrpc_writer;

/* `type` is the stream's or future's, borrowed for the life of both ends. Whoever makes it owes it end or abort,
 * whatever becomes of the call. What is written before it is connected is kept, up to a limit. It may even be ended
 * before the value that it is in is given away, which then must happen; one that was aborted before may not be in it
 * any more. The value that carries it takes its other end, successfully or not: a call that can't be made, a result
 * that can't be sent. In two values it is the first one's; NULL in a value is a stream that was broken off. */
struct wisp_wrpc_writer *wisp_wrpc_writer_new(const struct wisp_type *type) __attribute__((returns_nonnull));
/* There is room again after room said 0, or nobody reads any more. */
void wisp_wrpc_writer_on_room(struct wisp_wrpc_writer *writer,
                              void (*on_room)(struct wisp_wrpc_writer *writer, void *env), void *env);
/* Bytes (of stream<u8>, else encoded) that should be written now, at most 256 KiB; 0: wait for on_room. */
size_t wisp_wrpc_writer_room(const struct wisp_wrpc_writer *writer);
/* The reader is closed or gone, or the call that was to carry it failed: what is written goes nowhere. */
bool wisp_wrpc_writer_is_closed(const struct wisp_wrpc_writer *writer);
/* stream<u8>. Copied before it returns. More than there is room for is taken all the same, up to 16 MiB: LIMIT beyond.
 * Harmless when closed. */
int wisp_wrpc_writer_write(struct wisp_wrpc_writer *writer, struct wisp_str bytes, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* An element of another stream, or the (one) value of a future; writers in it are carried along. Errors are those of
 * wisp_wrpc_value_encode, and the element is not sent then. */
int wisp_wrpc_writer_put(struct wisp_wrpc_writer *writer, const void *value, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* What was written is all of it. The writer is gone. A future that was given no value is broken off. */
void wisp_wrpc_writer_end(struct wisp_wrpc_writer *writer);
/* Breaks it off, so that the reader fails after what was written. The writer is gone. NULL is fine. */
void wisp_wrpc_writer_abort(struct wisp_wrpc_writer *writer);

/* --- both ends in one process --- */

/* Replaces each writer in the value (that of its type) by a reader at the other end of it, in lists too, whose elements
 * are written to. The readers are owned by whoever gets the value. `loop` delivers. */
void wisp_wrpc_value_pipe(const struct wisp_type *type, void *value, uv_loop_t *loop);
void wisp_wrpc_params_pipe(const struct wisp_func_type *type, void *args, uv_loop_t *loop);
/* For a value that can't be given away: its writers are closed. A writer must be taken by one of these or by a call,
 * else wisp_wrpc_writer_end keeps what was written for ever. */
void wisp_wrpc_value_discard(const struct wisp_type *type, const void *value, uv_loop_t *loop);
void wisp_wrpc_params_discard(const struct wisp_func_type *type, const void *args, uv_loop_t *loop);
/* For a received value that nobody wants: closes its readers. */
void wisp_wrpc_value_close(const struct wisp_type *type, void *value);
void wisp_wrpc_params_close(const struct wisp_func_type *type, void *args);
