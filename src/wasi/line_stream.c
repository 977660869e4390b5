/* SPDX-License-Identifier: Apache-2.0 */
/* Standard output and error as whole lines for config->on_output. A begun line belongs to the invocation, not to the
 * stream: guests get a new stream for every print. */
#include "wasi/wasi_priv.h"

#include <stdlib.h>

enum { ROOM = 64 << 10 };

struct line_output {
    struct wisp_output_stream base;
    bool is_stderr;
};

static struct wisp_buf *begun_line(struct wisp_wasi *wasi, bool is_stderr)
{
    return is_stderr ? &wasi->stderr_line : &wasi->stdout_line;
}

static void give(struct wisp_wasi *wasi, bool is_stderr, struct wisp_str line)
{
    wasi->config->on_output(line, is_stderr, wasi->config->on_output_env);
}

/* A part of a line, without its newline. */
static void add(struct wisp_wasi *wasi, bool is_stderr, struct wisp_str part)
{
    struct wisp_buf *begun = begun_line(wasi, is_stderr);
    while (begun->len + part.len > WISP_WASI_OUTPUT_LINE_MAX) {
        size_t n = WISP_WASI_OUTPUT_LINE_MAX - begun->len;
        wisp_buf_append(begun, part.ptr, n);
        give(wasi, is_stderr, wisp_buf_str(begun));
        begun->len = 0;
        part = (struct wisp_str){part.ptr + n, part.len - n};
    }
    wisp_buf_append(begun, part.ptr, part.len);
}

static void add_text(struct wisp_wasi *wasi, bool is_stderr, struct wisp_str text)
{
    struct wisp_buf *begun = begun_line(wasi, is_stderr);
    struct wisp_str line;
    while (wisp_str_split(text, '\n', &line, &text)) {
        if (begun->len || line.len > WISP_WASI_OUTPUT_LINE_MAX) {
            add(wasi, is_stderr, line);
            line = wisp_buf_str(begun);
            begun->len = 0;
        }
        give(wasi, is_stderr, line);
    }
    add(wasi, is_stderr, text);
}

static enum wisp_stream_status check_write(struct wisp_output_stream *base, size_t *ret_room,
                                           struct wisp_io_error *ret_error)
{
    (void)base;
    (void)ret_error;
    *ret_room = ROOM;
    return WISP_STREAM_OK;
}

static enum wisp_stream_status write_lines(struct wisp_output_stream *base, const void *bytes, size_t size,
                                           struct wisp_io_error *ret_error)
{
    static const char zeroes[256];
    (void)ret_error;
    bool is_stderr = ((struct line_output *)base)->is_stderr;
    if (bytes) {
        add_text(base->wasi, is_stderr, (struct wisp_str){bytes, size});
        return WISP_STREAM_OK;
    }
    for (size_t n; size; size -= n) {
        n = size < sizeof zeroes ? size : sizeof zeroes;
        add(base->wasi, is_stderr, (struct wisp_str){zeroes, n});
    }
    return WISP_STREAM_OK;
}

static enum wisp_stream_status flush(struct wisp_output_stream *base, bool *ret_done, struct wisp_io_error *ret_error)
{
    (void)base;
    (void)ret_error;
    *ret_done = true;
    return WISP_STREAM_OK;
}

static bool is_ready(struct wisp_output_stream *base)
{
    (void)base;
    return true;
}

static void drop(struct wisp_output_stream *base) { free(base); }

struct wisp_output_stream *wisp_line_output_new(struct wisp_wasi *wasi, bool is_stderr)
{
    static const struct wisp_output_stream_ops ops = {
        .check_write = check_write, .write = write_lines, .flush = flush, .is_ready = is_ready, .drop = drop};
    struct line_output *output = wisp_mem_calloc(1, sizeof *output);
    output->base.ops = &ops;
    output->base.wasi = wasi;
    output->is_stderr = is_stderr;
    return &output->base;
}

void wisp_line_output_finish(struct wisp_wasi *wasi)
{
    for (int is_stderr = 0; is_stderr <= 1; is_stderr++) {
        struct wisp_buf *begun = begun_line(wasi, is_stderr);
        if (begun->len) give(wasi, is_stderr, wisp_buf_str(begun));
        wisp_buf_deinit(begun);
    }
}
