/* SPDX-License-Identifier: Apache-2.0 */
/* Streams on descriptors that the host was given: pipes, terminals, sockets and files as standard streams. Their
 * flags stay as they are, so not to wait is asked for call by call. */
#include "wasi/wasi_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    OUTPUT_ROOM = 64 << 10, /* bytes taken at once, and at most held back */
    SCRATCH_SIZE = 4096,
    BLOCKING_PIECE = 1024, /* for descriptors that only know waiting calls: what a ready one should take */
};

static enum wisp_stream_status fail(struct wisp_io_error *ret_error, const char *what, int error)
{
    *ret_error = (struct wisp_io_error){.origin = WISP_IO_ERROR_OTHER, .code = 0};
    snprintf(ret_error->text, sizeof ret_error->text, "%s: %s", what, strerror(error));
    return WISP_STREAM_FAILED;
}

static bool would_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

/* --- input --- */

struct fd_input {
    struct wisp_input_stream base;
    int fd;
    struct wisp_fd_watch *watch;
};

/* Between asking whether there is something and reading it, another reader may take it: where the kernel can promise
 * not to wait, it shall. */
static ssize_t read_now(int fd, void *buffer, size_t size)
{
    struct iovec part = {buffer, size};
    ssize_t n = preadv2(fd, &part, 1, -1, RWF_NOWAIT);
    if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EAGAIN)) return n;
    /* A file of which nothing is in memory says EAGAIN too, and is not worth waiting for elsewhere. */
    struct stat st;
    if (errno == EAGAIN && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        errno = EAGAIN;
        return -1;
    }
    return read(fd, buffer, size);
}

static enum wisp_stream_status input_read(struct wisp_input_stream *base, void *buffer, size_t max, size_t *ret_n,
                                          struct wisp_io_error *ret_error)
{
    struct fd_input *input = (struct fd_input *)base;
    char scratch[SCRATCH_SIZE];
    *ret_n = 0;
    if (input->fd < 0) return WISP_STREAM_CLOSED;
    if (max == 0 || !wisp_fd_is_ready(input->fd, POLLIN)) return WISP_STREAM_OK;
    if (!buffer && max > sizeof scratch) max = sizeof scratch;
    ssize_t n = read_now(input->fd, buffer ? buffer : scratch, max);
    if (n < 0) return would_wait(errno) ? WISP_STREAM_OK : fail(ret_error, "read", errno);
    *ret_n = (size_t)n;
    return n == 0 ? WISP_STREAM_CLOSED : WISP_STREAM_OK;
}

static bool input_is_ready(struct wisp_input_stream *base)
{
    struct fd_input *input = (struct fd_input *)base;
    return input->fd < 0 || wisp_fd_is_ready(input->fd, POLLIN);
}

static void input_arm(struct wisp_input_stream *base)
{
    struct fd_input *input = (struct fd_input *)base;
    wisp_fd_watch_arm(&input->watch, base->wasi, input->fd, POLLIN);
}

static void input_drop(struct wisp_input_stream *base)
{
    wisp_fd_watch_close(&((struct fd_input *)base)->watch);
    free(base);
}

struct wisp_input_stream *wisp_fd_input_new(struct wisp_wasi *wasi, int fd)
{
    static const struct wisp_input_stream_ops ops = {input_read, input_is_ready, input_arm, input_drop};
    struct fd_input *input = wisp_mem_calloc(1, sizeof *input);
    input->base.ops = &ops;
    input->base.wasi = wasi;
    input->fd = fd;
    return &input->base;
}

/* --- output --- */

struct fd_output {
    struct wisp_output_stream base;
    int fd;
    bool is_file;         /* writing never waits for a reader */
    int error;            /* errno that ended the stream; EPIPE: nobody reads */
    struct wisp_buf held; /* taken, but not yet written; the first held_at bytes of it are */
    size_t held_at;
    struct wisp_fd_watch *watch;
};

static ssize_t write_now(const struct fd_output *output, const void *bytes, size_t size)
{
    if (output->is_file) return write(output->fd, bytes, size);
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    ssize_t n = pwritev2(output->fd, &part, 1, -1, RWF_NOWAIT);
    if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return n;
    /* A terminal: it takes a little without waiting once it says that it is ready. */
    if (!wisp_fd_is_ready(output->fd, POLLOUT)) {
        errno = EAGAIN;
        return -1;
    }
    return write(output->fd, bytes, size < BLOCKING_PIECE ? size : BLOCKING_PIECE);
}

/* Writes as much as goes without waiting. */
static size_t write_some(struct fd_output *output, const char *bytes, size_t size)
{
    size_t done = 0;
    while (done < size && !output->error) {
        ssize_t n = write_now(output, bytes + done, size - done);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n == 0 || would_wait(errno))
            break;
        else
            output->error = errno;
    }
    return done;
}

static void write_held(struct fd_output *output)
{
    if (!output->held.len) return;
    output->held_at += write_some(output, output->held.data + output->held_at, output->held.len - output->held_at);
    if (output->held_at == output->held.len) output->held.len = output->held_at = 0;
}

static enum wisp_stream_status output_status(const struct fd_output *output, struct wisp_io_error *ret_error)
{
    if (!output->error) return WISP_STREAM_OK;
    return output->error == EPIPE ? WISP_STREAM_CLOSED : fail(ret_error, "write", output->error);
}

static enum wisp_stream_status output_check_write(struct wisp_output_stream *base, size_t *ret_room,
                                                  struct wisp_io_error *ret_error)
{
    struct fd_output *output = (struct fd_output *)base;
    write_held(output);
    *ret_room = output->held.len ? 0 : OUTPUT_ROOM;
    return output_status(output, ret_error);
}

static enum wisp_stream_status output_write(struct wisp_output_stream *base, const void *bytes, size_t size,
                                            struct wisp_io_error *ret_error)
{
    static const char zeroes[SCRATCH_SIZE];
    struct fd_output *output = (struct fd_output *)base;
    if (output->fd < 0) return WISP_STREAM_OK;
    const char *from = bytes;
    while (size) {
        size_t n = from || size < sizeof zeroes ? size : sizeof zeroes;
        const char *piece = from ? from : zeroes;
        /* What is held goes first. */
        size_t done = output->held.len ? 0 : write_some(output, piece, n);
        if (!output->error) wisp_buf_append(&output->held, piece + done, n - done);
        if (from) from += n;
        size -= n;
    }
    return output_status(output, ret_error);
}

static enum wisp_stream_status output_flush(struct wisp_output_stream *base, bool *ret_done,
                                            struct wisp_io_error *ret_error)
{
    struct fd_output *output = (struct fd_output *)base;
    write_held(output);
    *ret_done = output->held.len == 0;
    return output_status(output, ret_error);
}

static bool output_is_ready(struct wisp_output_stream *base)
{
    struct fd_output *output = (struct fd_output *)base;
    write_held(output);
    return output->held.len == 0 || output->error;
}

static void output_arm(struct wisp_output_stream *base)
{
    struct fd_output *output = (struct fd_output *)base;
    wisp_fd_watch_arm(&output->watch, base->wasi, output->fd, POLLOUT);
}

static void output_drop(struct wisp_output_stream *base)
{
    struct fd_output *output = (struct fd_output *)base;
    write_held(output);
    wisp_fd_watch_close(&output->watch);
    wisp_buf_deinit(&output->held);
    free(output);
}

struct wisp_output_stream *wisp_fd_output_new(struct wisp_wasi *wasi, int fd)
{
    static const struct wisp_output_stream_ops ops = {output_check_write, output_write, output_flush,
                                                      output_is_ready,    output_arm,   output_drop};
    struct stat st;
    struct fd_output *output = wisp_mem_calloc(1, sizeof *output);
    output->base.ops = &ops;
    output->base.wasi = wasi;
    output->fd = fd;
    output->is_file = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    return &output->base;
}
