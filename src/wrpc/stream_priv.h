/* SPDX-License-Identifier: Apache-2.0 */
/* A pipe: a writer at one end, a reader at the other, and between them what was written and not read yet, in the form
 * that it has on a path: chunks of elements up to an empty one, or the value of a future. Whoever carries streams over
 * the bus holds one of the ends, and works on the bytes. */
#pragma once

#include "base/ring.h"
#include "wrpc/stream.h"
#include "wrpc/value.h"

enum {
    WISP_WRPC_PIPE_ROOM = 256 << 10,     /* so much a writer should write ahead */
    WISP_WRPC_PIPE_BYTES_MAX = 16 << 20, /* more is refused */
};

struct wisp_wrpc_reader {
    void (*on_ready)(struct wisp_wrpc_reader *reader, void *env);
    void *env;
    bool is_taken;  /* somebody has this end, or had it */
    bool is_closed; /* by who had it */
};

struct wisp_wrpc_writer {
    void (*on_room)(struct wisp_wrpc_writer *writer, void *env);
    void *env;
    bool is_gone;
    bool is_waiting; /* wants to know of room */
};

/* Makes the reader of a stream within an element of this one. */
struct wisp_wrpc_pipe;
typedef struct wisp_wrpc_pipe *wisp_wrpc_make_reader(struct wisp_wrpc_pipe *parent, const struct wisp_wrpc_slot *slot);

struct wisp_wrpc_pipe {
    const struct wisp_type *type;
    struct wisp_wrpc_reader reader;
    struct wisp_wrpc_writer writer;

    /* Bytes are added to `back`, and read from `front`, which stays where it is while somebody looks at it. */
    struct wisp_buf front, back;
    size_t read;                /* of front */
    bool is_whole;              /* no more bytes come */
    enum wisp_err_kind failure; /* after the bytes there are; NONE: none */
    char *failure_text;

    uint64_t n_written; /* elements */
    uint64_t n_read;
    uint32_t chunk_left; /* elements of the chunk that is being read */
    bool is_over;        /* the reader has met the end */
    bool is_hungry;      /* the reader needs more than there is */
    size_t next_try;     /* decoding is worth it when there are so many bytes */

    struct wisp_link nested; /* struct wisp_wrpc_nested, in the order in which they were written */
    /* For streams that are not inline; NULL: the next of `nested`. */
    wisp_wrpc_make_reader *make_reader;
    void *carrier; /* its */
    size_t room;   /* so much may be written ahead */

    bool has_loop;
    uv_idle_t idle; /* active while there is something to tell */
    bool tell_reader, tell_writer;
};

/* A stream within an element, until its element is read. */
struct wisp_wrpc_nested {
    struct wisp_link link;
    struct wisp_wrpc_pipe *pipe;
    char *path; /* below that of the stream it is in: "17.0" */
};

static inline struct wisp_wrpc_pipe *wisp_wrpc_pipe_of_reader(struct wisp_wrpc_reader *reader)
{
    return WISP_OWNER(reader, struct wisp_wrpc_pipe, reader);
}
static inline struct wisp_wrpc_pipe *wisp_wrpc_pipe_of_writer(struct wisp_wrpc_writer *writer)
{
    return WISP_OWNER(writer, struct wisp_wrpc_pipe, writer);
}

/* The other end of a writer that is found in a value: nobody else gets it. NULL, or one that is taken already, gives a
 * stream that was broken off. Owed wisp_wrpc_reader_close(&pipe->reader). */
struct wisp_wrpc_pipe *wisp_wrpc_pipe_take(const struct wisp_type *type, struct wisp_wrpc_writer *writer);
/* One with all that there will be: of a slot that came inline, or broken off (NULL). */
struct wisp_wrpc_pipe *wisp_wrpc_pipe_made(const struct wisp_type *type, const struct wisp_wrpc_slot *slot);
/* From now on the handlers of both ends are called. */
void wisp_wrpc_pipe_connect(struct wisp_wrpc_pipe *pipe, uv_loop_t *loop);

static inline size_t wisp_wrpc_pipe_waiting(const struct wisp_wrpc_pipe *pipe)
{
    return pipe->front.len - pipe->read + pipe->back.len;
}
/* The first of the bytes that wait; empty when there are none. Valid until some are dropped. */
struct wisp_str wisp_wrpc_pipe_bytes(struct wisp_wrpc_pipe *pipe);
void wisp_wrpc_pipe_drop(struct wisp_wrpc_pipe *pipe, size_t n);
/* Adds bytes as they came on a path; is_whole: its end. */
void wisp_wrpc_pipe_feed(struct wisp_wrpc_pipe *pipe, struct wisp_str bytes, bool is_whole);
/* After what is there, the reader fails. Not when it was whole. */
void wisp_wrpc_pipe_fail(struct wisp_wrpc_pipe *pipe, enum wisp_err_kind kind, const char *text);
/* The writer's end is done with, and says no more than it did. */
void wisp_wrpc_pipe_leave(struct wisp_wrpc_pipe *pipe);
void wisp_wrpc_nested_free(struct wisp_wrpc_nested *nested);
/* The writer's handler is called once there is room, or the reader wants more than there is, or closes. */
void wisp_wrpc_pipe_await_room(struct wisp_wrpc_pipe *pipe);
