/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:io/streams: the rules that hold for every stream, over the operations of each kind. */
#include "wasi/wasi_priv.h"

#include <stdlib.h>

enum {
    READ_MAX = 64 << 10, /* bytes moved by one call; asking for more gives this much */
    SKIP_MAX = 1 << 20,
    BLOCKING_WRITE_MAX = 4096, /* as the specification says */
};

/* --- results --- */

enum { LAST_OPERATION_FAILED, CLOSED };

struct stream_error {
    uint32_t tag;
    struct wisp_io_error *error;
};
/* result<list<u8>, stream-error>, result<u64, stream-error> and result<_, stream-error> have one layout. */
struct stream_result {
    uint32_t is_error;
    union {
        struct wisp_bytes bytes;
        uint64_t size;
        struct stream_error error;
    };
};

/* Answers with an error when the status is one: true when it was; otherwise the answer is empty so far. */
static bool answer_error(struct stream_result *result, bool *is_closed, enum wisp_stream_status status,
                         const struct wisp_io_error *error)
{
    *result = (struct stream_result){0};
    if (status == WISP_STREAM_OK) return false;
    result->is_error = 1;
    result->error = (struct stream_error){CLOSED, NULL};
    if (status == WISP_STREAM_FAILED) {
        *is_closed = true;
        struct wisp_io_error *copy = wisp_mem_alloc(sizeof *copy);
        *copy = *error;
        result->error = (struct stream_error){LAST_OPERATION_FAILED, copy};
    }
    return true;
}

/* --- waiting --- */

static bool input_is_ready(struct wisp_input_stream *stream)
{
    return stream->is_closed || stream->ops->is_ready(stream);
}

static bool output_is_ready(struct wisp_output_stream *stream)
{
    return stream->is_closed || stream->ops->is_ready(stream);
}

static int wait_input(struct wisp_call *call, struct wisp_input_stream *stream)
{
    while (!input_is_ready(stream)) {
        if (stream->ops->arm) stream->ops->arm(stream);
        int r = wisp_wasi_suspend(call);
        if (r < 0) return r;
    }
    return 0;
}

static int wait_output(struct wisp_call *call, struct wisp_output_stream *stream)
{
    while (!output_is_ready(stream)) {
        if (stream->ops->arm) stream->ops->arm(stream);
        int r = wisp_wasi_suspend(call);
        if (r < 0) return r;
    }
    return 0;
}

/* --- streams and their pollables: guests must drop the pollables first. The end of an invocation drops in any order,
 * so a stream lives until its handle and all its pollables are gone. --- */

static void release_input(struct wisp_input_stream *stream)
{
    if (stream->is_dropped && stream->n_pollables == 0) stream->ops->drop(stream);
}

static void release_output(struct wisp_output_stream *stream)
{
    if (stream->is_dropped && stream->n_pollables == 0) stream->ops->drop(stream);
}

struct stream_pollable {
    struct wisp_pollable base;
    struct wisp_input_stream *input; /* one of the two */
    struct wisp_output_stream *output;
};

static bool stream_pollable_is_ready(struct wisp_pollable *base)
{
    struct stream_pollable *pollable = (struct stream_pollable *)base;
    return pollable->input ? input_is_ready(pollable->input) : output_is_ready(pollable->output);
}

static void stream_pollable_arm(struct wisp_pollable *base)
{
    struct stream_pollable *pollable = (struct stream_pollable *)base;
    if (pollable->input && pollable->input->ops->arm) pollable->input->ops->arm(pollable->input);
    if (pollable->output && pollable->output->ops->arm) pollable->output->ops->arm(pollable->output);
}

static void stream_pollable_drop(struct wisp_pollable *base)
{
    struct stream_pollable *pollable = (struct stream_pollable *)base;
    if (pollable->input) {
        pollable->input->n_pollables--;
        release_input(pollable->input);
    } else {
        pollable->output->n_pollables--;
        release_output(pollable->output);
    }
    free(pollable);
}

static struct wisp_pollable *stream_pollable_new(struct wisp_wasi *wasi, struct wisp_input_stream *input,
                                                 struct wisp_output_stream *output)
{
    static const struct wisp_pollable_ops ops = {stream_pollable_is_ready, stream_pollable_arm, stream_pollable_drop};
    struct stream_pollable *pollable = wisp_mem_alloc(sizeof *pollable);
    *pollable = (struct stream_pollable){{&ops, wasi}, input, output};
    return &pollable->base;
}

static const char *refuse_for(uint32_t n_pollables)
{
    return n_pollables ? "a pollable of the stream is still there" : NULL;
}

static const char *input_refuse_drop(const void *rep)
{
    return refuse_for(((const struct wisp_input_stream *)rep)->n_pollables);
}

static const char *output_refuse_drop(const void *rep)
{
    return refuse_for(((const struct wisp_output_stream *)rep)->n_pollables);
}

static void input_drop(void *rep, void *context)
{
    (void)context;
    struct wisp_input_stream *stream = rep;
    stream->is_dropped = true;
    release_input(stream);
}

static void output_drop(void *rep, void *context)
{
    (void)context;
    struct wisp_output_stream *stream = rep;
    stream->is_dropped = true;
    release_output(stream);
}

/* --- input --- */

struct input_args {
    struct wisp_input_stream *self;
    uint64_t len;
};

static enum wisp_stream_status read_some(struct wisp_input_stream *stream, void *buffer, size_t max, size_t *ret_n,
                                         struct wisp_io_error *ret_error)
{
    *ret_n = 0;
    if (stream->is_closed) return WISP_STREAM_CLOSED;
    return stream->ops->read(stream, buffer, max, ret_n, ret_error);
}

static int read_bytes(struct wisp_call *call, const struct input_args *a, struct stream_result *result)
{
    struct wisp_io_error error;
    size_t max = a->len < READ_MAX ? (size_t)a->len : READ_MAX, n;
    uint8_t *buffer = wisp_arena_alloc(call->arena, max);
    enum wisp_stream_status status = read_some(a->self, buffer, max, &n, &error);
    if (!answer_error(result, &a->self->is_closed, status, &error)) result->bytes = (struct wisp_bytes){buffer, n};
    return 0;
}

static int input_read(struct wisp_call *call, const void *args, void *result)
{
    const struct input_args *a = args;
    if (a->len && !input_is_ready(a->self)) {
        *(struct stream_result *)result = (struct stream_result){0}; /* spares the buffer */
        return 0;
    }
    return read_bytes(call, a, result);
}

static int input_blocking_read(struct wisp_call *call, const void *args, void *result)
{
    const struct input_args *a = args;
    struct stream_result *read = result;
    do {
        int r = a->len ? wait_input(call, a->self) : 0;
        if (r < 0) return r;
        r = read_bytes(call, a, read);
        if (r < 0) return r;
    } while (a->len && !read->is_error && read->bytes.len == 0);
    return 0;
}

static int input_skip(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct input_args *a = args;
    struct stream_result *skipped = result;
    struct wisp_io_error error;
    size_t n;
    enum wisp_stream_status status =
        read_some(a->self, NULL, a->len < SKIP_MAX ? (size_t)a->len : SKIP_MAX, &n, &error);
    if (!answer_error(result, &a->self->is_closed, status, &error)) skipped->size = n;
    return 0;
}

static int input_blocking_skip(struct wisp_call *call, const void *args, void *result)
{
    const struct input_args *a = args;
    struct stream_result *skipped = result;
    do {
        int r = a->len ? wait_input(call, a->self) : 0;
        if (r < 0) return r;
        r = input_skip(call, args, result);
        if (r < 0) return r;
    } while (a->len && !skipped->is_error && skipped->size == 0);
    return 0;
}

struct input_self_args {
    struct wisp_input_stream *self;
};

static int input_subscribe(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_input_stream *stream = ((const struct input_self_args *)args)->self;
    stream->n_pollables++;
    *(struct wisp_pollable **)result = stream_pollable_new(call->context, stream, NULL);
    return 0;
}

/* --- output --- */

struct output_self_args {
    struct wisp_output_stream *self;
};
struct output_bytes_args {
    struct wisp_output_stream *self;
    struct wisp_bytes contents;
};
struct output_size_args {
    struct wisp_output_stream *self;
    uint64_t len;
};

static enum wisp_stream_status ask_room(struct wisp_output_stream *stream, size_t *ret_room,
                                        struct wisp_io_error *ret_error)
{
    *ret_room = 0;
    if (stream->is_closed) return WISP_STREAM_CLOSED;
    return stream->ops->check_write(stream, ret_room, ret_error);
}

static int output_check_write(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_output_stream *stream = ((const struct output_self_args *)args)->self;
    struct wisp_io_error error;
    size_t room;
    enum wisp_stream_status status = ask_room(stream, &room, &error);
    stream->permit = room;
    if (!answer_error(result, &stream->is_closed, status, &error)) ((struct stream_result *)result)->size = room;
    return 0;
}

/* `bytes` NULL: zeroes. */
static int write_permitted(struct wisp_call *call, struct wisp_output_stream *stream, const void *bytes, uint64_t size,
                           struct stream_result *result)
{
    if (size > stream->permit)
        return wisp_call_trap(call, "%llu bytes written where check-write permitted %zu", (unsigned long long)size,
                              stream->permit);
    stream->permit -= (size_t)size;
    struct wisp_io_error error;
    enum wisp_stream_status status = WISP_STREAM_CLOSED;
    if (!stream->is_closed) status = stream->ops->write(stream, bytes, (size_t)size, &error);
    answer_error(result, &stream->is_closed, status, &error);
    return 0;
}

/* An empty list has no address worth passing on, and NULL would mean zeroes. */
static const void *bytes_of(const struct output_bytes_args *a)
{
    return a->contents.len ? a->contents.ptr : (const void *)"";
}

static int output_write(struct wisp_call *call, const void *args, void *result)
{
    const struct output_bytes_args *a = args;
    return write_permitted(call, a->self, bytes_of(a), a->contents.len, result);
}

static int output_write_zeroes(struct wisp_call *call, const void *args, void *result)
{
    const struct output_size_args *a = args;
    return write_permitted(call, a->self, NULL, a->len, result);
}

static enum wisp_stream_status start_flush(struct wisp_output_stream *stream, bool *ret_done,
                                           struct wisp_io_error *ret_error)
{
    stream->permit = 0;
    *ret_done = true;
    if (stream->is_closed) return WISP_STREAM_CLOSED;
    return stream->ops->flush(stream, ret_done, ret_error);
}

static int output_flush(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_output_stream *stream = ((const struct output_self_args *)args)->self;
    struct wisp_io_error error;
    bool done;
    answer_error(result, &stream->is_closed, start_flush(stream, &done, &error), &error);
    return 0;
}

static int flush_blocking(struct wisp_call *call, struct wisp_output_stream *stream, struct stream_result *result)
{
    for (;;) {
        struct wisp_io_error error;
        bool done;
        enum wisp_stream_status status = start_flush(stream, &done, &error);
        if (answer_error(result, &stream->is_closed, status, &error) || done) return 0;
        int r = wait_output(call, stream);
        if (r < 0) return r;
    }
}

static int output_blocking_flush(struct wisp_call *call, const void *args, void *result)
{
    return flush_blocking(call, ((const struct output_self_args *)args)->self, result);
}

/* The way of most responses: with room for all of it, three calls of the stream and nothing else. */
static int write_blocking(struct wisp_call *call, struct wisp_output_stream *stream, const char *bytes, size_t size,
                          struct stream_result *result)
{
    bool is_copied = !bytes;
    while (size) {
        struct wisp_io_error error;
        size_t room;
        enum wisp_stream_status status = ask_room(stream, &room, &error);
        if (answer_error(result, &stream->is_closed, status, &error)) return 0;
        if (room == 0) {
            /* Guest memory is not ours to read after a suspension. */
            if (!is_copied) bytes = wisp_arena_str(call->arena, (struct wisp_str){bytes, size}).ptr;
            is_copied = true;
            int r = wait_output(call, stream);
            if (r < 0) return r;
            continue;
        }
        size_t n = size < room ? size : room;
        status = stream->ops->write(stream, bytes, n, &error);
        if (answer_error(result, &stream->is_closed, status, &error)) return 0;
        if (bytes) bytes += n;
        size -= n;
    }
    return flush_blocking(call, stream, result);
}

static int check_blocking_size(struct wisp_call *call, uint64_t size)
{
    if (size <= BLOCKING_WRITE_MAX) return 0;
    return wisp_call_trap(call, "%llu bytes in a blocking write, where %d are allowed", (unsigned long long)size,
                          BLOCKING_WRITE_MAX);
}

static int output_blocking_write_and_flush(struct wisp_call *call, const void *args, void *result)
{
    const struct output_bytes_args *a = args;
    int r = check_blocking_size(call, a->contents.len);
    return r < 0 ? r : write_blocking(call, a->self, bytes_of(a), a->contents.len, result);
}

static int output_blocking_write_zeroes_and_flush(struct wisp_call *call, const void *args, void *result)
{
    const struct output_size_args *a = args;
    int r = check_blocking_size(call, a->len);
    return r < 0 ? r : write_blocking(call, a->self, NULL, (size_t)a->len, result);
}

static int output_subscribe(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_output_stream *stream = ((const struct output_self_args *)args)->self;
    stream->n_pollables++;
    *(struct wisp_pollable **)result = stream_pollable_new(call->context, NULL, stream);
    return 0;
}

/* --- splice --- */

struct splice_args {
    struct wisp_output_stream *self;
    struct wisp_input_stream *src;
    uint64_t len;
};

static int output_splice(struct wisp_call *call, const void *args, void *result)
{
    const struct splice_args *a = args;
    struct stream_result *spliced = result;
    struct wisp_io_error error;
    size_t max = a->len < READ_MAX ? (size_t)a->len : READ_MAX, room, n;
    enum wisp_stream_status status = ask_room(a->self, &room, &error);
    a->self->permit = 0;
    if (answer_error(result, &a->self->is_closed, status, &error)) return 0;
    if (max > room) max = room;
    /* Without room an input at its end isn't asked, for a read of no bytes may not tell. */
    if (a->len && max == 0) return 0;
    char *buffer = wisp_arena_alloc(call->arena, max);
    status = read_some(a->src, buffer, max, &n, &error);
    if (answer_error(result, &a->src->is_closed, status, &error)) return 0;
    status = n ? a->self->ops->write(a->self, buffer, n, &error) : WISP_STREAM_OK;
    if (!answer_error(result, &a->self->is_closed, status, &error)) spliced->size = n;
    return 0;
}

static int output_blocking_splice(struct wisp_call *call, const void *args, void *result)
{
    const struct splice_args *a = args;
    struct stream_result *spliced = result;
    do {
        int r = a->len ? wait_output(call, a->self) : 0;
        if (r == 0 && a->len) r = wait_input(call, a->src);
        if (r < 0) return r;
        r = output_splice(call, args, result);
        if (r < 0) return r;
    } while (a->len && !spliced->is_error && spliced->size == 0);
    return 0;
}

/* --- the interface --- */

#define INPUT "[method]input-stream."
#define OUTPUT "[method]output-stream."

static const struct wisp_host_func funcs[] = {
    {INPUT "read", "(borrow<input-stream>, u64) -> result<list<u8>, stream-error>", input_read,
     WISP_HOST_SIZES(struct input_args, struct stream_result)},
    {INPUT "blocking-read", "(borrow<input-stream>, u64) -> result<list<u8>, stream-error>", input_blocking_read,
     WISP_HOST_SIZES(struct input_args, struct stream_result)},
    {INPUT "skip", "(borrow<input-stream>, u64) -> result<u64, stream-error>", input_skip,
     WISP_HOST_SIZES(struct input_args, struct stream_result)},
    {INPUT "blocking-skip", "(borrow<input-stream>, u64) -> result<u64, stream-error>", input_blocking_skip,
     WISP_HOST_SIZES(struct input_args, struct stream_result)},
    {INPUT "subscribe", "(borrow<input-stream>) -> own<pollable>", input_subscribe,
     WISP_HOST_SIZES(struct input_self_args, struct wisp_pollable *)},
    {OUTPUT "check-write", "(borrow<output-stream>) -> result<u64, stream-error>", output_check_write,
     WISP_HOST_SIZES(struct output_self_args, struct stream_result)},
    {OUTPUT "write", "(borrow<output-stream>, list<u8>) -> result<_, stream-error>", output_write,
     WISP_HOST_SIZES(struct output_bytes_args, struct stream_result)},
    {OUTPUT "blocking-write-and-flush", "(borrow<output-stream>, list<u8>) -> result<_, stream-error>",
     output_blocking_write_and_flush, WISP_HOST_SIZES(struct output_bytes_args, struct stream_result)},
    {OUTPUT "flush", "(borrow<output-stream>) -> result<_, stream-error>", output_flush,
     WISP_HOST_SIZES(struct output_self_args, struct stream_result)},
    {OUTPUT "blocking-flush", "(borrow<output-stream>) -> result<_, stream-error>", output_blocking_flush,
     WISP_HOST_SIZES(struct output_self_args, struct stream_result)},
    {OUTPUT "subscribe", "(borrow<output-stream>) -> own<pollable>", output_subscribe,
     WISP_HOST_SIZES(struct output_self_args, struct wisp_pollable *)},
    {OUTPUT "write-zeroes", "(borrow<output-stream>, u64) -> result<_, stream-error>", output_write_zeroes,
     WISP_HOST_SIZES(struct output_size_args, struct stream_result)},
    {OUTPUT "blocking-write-zeroes-and-flush", "(borrow<output-stream>, u64) -> result<_, stream-error>",
     output_blocking_write_zeroes_and_flush, WISP_HOST_SIZES(struct output_size_args, struct stream_result)},
    {OUTPUT "splice", "(borrow<output-stream>, borrow<input-stream>, u64) -> result<u64, stream-error>", output_splice,
     WISP_HOST_SIZES(struct splice_args, struct stream_result)},
    {OUTPUT "blocking-splice", "(borrow<output-stream>, borrow<input-stream>, u64) -> result<u64, stream-error>",
     output_blocking_splice, WISP_HOST_SIZES(struct splice_args, struct stream_result)},
};

static const struct wisp_host_resource resources[] = {
    {"input-stream", input_drop, input_refuse_drop},
    {"output-stream", output_drop, output_refuse_drop},
};
static const char *const types[] = {"stream-error = variant{own<error>, _}", NULL};

const struct wisp_host_interface wisp_wasi_io_streams = {
    .name = "wasi:io/streams",
    .version = WISP_WASI_VERSION,
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
    .types = types,
};
