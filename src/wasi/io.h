/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:io resources as other WASI interfaces make them: pollables, streams and errors behind small vtables.
 *
 * How waiting works: a host function that must wait asks `is_ready`; if not, it calls `arm`, which makes sure that
 * wisp_instance_wake is called once the answer may have changed, and suspends the invocation; then asks again. One
 * invocation waits for one thing or one list of things at a time, so nothing keeps lists of waiters. */
#pragma once

#include "wasi/wasi.h"

/* --- wasi:io/poll --- */

struct wisp_pollable;
struct wisp_pollable_ops {
    bool (*is_ready)(struct wisp_pollable *pollable);
    void (*arm)(struct wisp_pollable *pollable);  /* NULL: whatever makes it ready wakes the invocation by itself */
    void (*drop)(struct wisp_pollable *pollable); /* frees it */
};
/* First member of each kind of pollable. */
struct wisp_pollable {
    const struct wisp_pollable_ops *ops;
    struct wisp_wasi *wasi;
};

/* A pollable that is always ready. */
struct wisp_pollable *wisp_pollable_ready_new(struct wisp_wasi *wasi);
/* Ready once uv_hrtime() has reached this. */
struct wisp_pollable *wisp_pollable_at_new(struct wisp_wasi *wasi, uint64_t deadline_ns);
/* Suspends until one of them is ready; negative when cancelled. */
int wisp_pollable_wait(struct wisp_call *call, struct wisp_pollable *const *pollables, size_t n)
    __attribute__((warn_unused_result));

/* --- wasi:io/error --- */

struct wisp_io_error {
    char text[160];
    /* For the downcasts of wasi:http/types (http-error-code) and wasi:filesystem (filesystem-error-code): which
     * interface made it, and its code; http: index of the case of error-code. */
    enum { WISP_IO_ERROR_OTHER, WISP_IO_ERROR_FILESYSTEM, WISP_IO_ERROR_HTTP } origin;
    uint32_t code;
};

/* --- wasi:io/streams --- */

enum wisp_stream_status {
    WISP_STREAM_OK,      /* some bytes moved, or none are possible right now (then *n is 0) */
    WISP_STREAM_CLOSED,  /* end of input; or the reader of our output is gone */
    WISP_STREAM_FAILED,  /* *ret_error is filled */
};

struct wisp_input_stream;
struct wisp_input_stream_ops {
    /* Up to `max` bytes into `buffer`, or with buffer NULL skips them. Never waits. */
    enum wisp_stream_status (*read)(struct wisp_input_stream *stream, void *buffer, size_t max, size_t *ret_n,
                                    struct wisp_io_error *ret_error);
    bool (*is_ready)(struct wisp_input_stream *stream); /* read would give bytes, the end or a failure */
    void (*arm)(struct wisp_input_stream *stream);      /* as in wisp_pollable_ops */
    void (*drop)(struct wisp_input_stream *stream);
};
/* First member of each kind of input stream; the maker fills ops and wasi and zeroes the rest, which belongs to
 * streams.c. */
struct wisp_input_stream {
    const struct wisp_input_stream_ops *ops;
    struct wisp_wasi *wasi;
    uint32_t n_pollables; /* children alive: a guest that drops the stream before them traps */
    bool is_closed;       /* an operation failed: all later ones answer `closed` */
    bool is_dropped;      /* the handle is gone; ops->drop comes with the last pollable */
};

struct wisp_output_stream;
struct wisp_output_stream_ops {
    /* How many bytes write takes now; 0: wait. */
    enum wisp_stream_status (*check_write)(struct wisp_output_stream *stream, size_t *ret_room,
                                           struct wisp_io_error *ret_error);
    /* Takes all of `size` bytes. Writes after one check_write are in sum at most what it allowed. `bytes` NULL: zeroes. */
    enum wisp_stream_status (*write)(struct wisp_output_stream *stream, const void *bytes, size_t size,
                                     struct wisp_io_error *ret_error);
    /* Starts flushing; *ret_done false: wait until is_ready and call it again, which then says done, or how it went
     * wrong. */
    enum wisp_stream_status (*flush)(struct wisp_output_stream *stream, bool *ret_done,
                                     struct wisp_io_error *ret_error);
    bool (*is_ready)(struct wisp_output_stream *stream); /* check_write would give room or an error, flush is over */
    void (*arm)(struct wisp_output_stream *stream);
    void (*drop)(struct wisp_output_stream *stream);
};
/* As struct wisp_input_stream. */
struct wisp_output_stream {
    const struct wisp_output_stream_ops *ops;
    struct wisp_wasi *wasi;
    uint32_t n_pollables;
    bool is_closed, is_dropped;
    size_t permit; /* bytes that may be written before the next check-write; writing more traps */
};
