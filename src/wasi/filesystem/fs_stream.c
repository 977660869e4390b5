/* SPDX-License-Identifier: Apache-2.0 */
/* Streams on open files: each has a position of its own, and is always ready. */
#include "wasi/filesystem/fs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ROOM = 64 << 10, SCRATCH_SIZE = 4096 };

/* --- input --- */

struct file_input {
    struct wisp_input_stream base;
    struct wisp_fs_descriptor *descriptor;
    uint64_t offset;
};

/* Bytes between the position and the end of a regular file, at most `max`; other files are read for it. */
static ssize_t skip_at(const struct file_input *input, size_t max)
{
    struct stat st;
    if (fstat(input->descriptor->fd, &st) < 0) return -1;
    if (!S_ISREG(st.st_mode)) {
        char scratch[SCRATCH_SIZE];
        return wisp_fs_read_at(input->descriptor, scratch, max < sizeof scratch ? max : sizeof scratch, input->offset);
    }
    uint64_t size = (uint64_t)st.st_size, left = size > input->offset ? size - input->offset : 0;
    return (ssize_t)(left < max ? left : max);
}

static enum wisp_stream_status input_read(struct wisp_input_stream *base, void *buffer, size_t max, size_t *ret_n,
                                          struct wisp_io_error *ret_error)
{
    struct file_input *input = (struct file_input *)base;
    *ret_n = 0;
    if (max == 0) return WISP_STREAM_OK;
    ssize_t n = buffer ? wisp_fs_read_at(input->descriptor, buffer, max, input->offset) : skip_at(input, max);
    if (n == 0) return WISP_STREAM_CLOSED;
    if (n < 0) {
        wisp_fs_io_error(ret_error, "read", errno);
        return WISP_STREAM_FAILED;
    }
    input->offset += (uint64_t)n;
    *ret_n = (size_t)n;
    return WISP_STREAM_OK;
}

static bool input_is_ready(struct wisp_input_stream *base)
{
    (void)base;
    return true;
}

static void input_drop(struct wisp_input_stream *base)
{
    wisp_fs_descriptor_unref(((struct file_input *)base)->descriptor);
    free(base);
}

struct wisp_input_stream *wisp_fs_input_new(struct wisp_fs_descriptor *descriptor, uint64_t offset)
{
    static const struct wisp_input_stream_ops ops = {
        .read = input_read, .is_ready = input_is_ready, .drop = input_drop};
    struct file_input *input = wisp_mem_calloc(1, sizeof *input);
    input->base.ops = &ops;
    input->base.wasi = descriptor->wasi;
    input->descriptor = wisp_fs_descriptor_ref(descriptor);
    input->offset = offset;
    return &input->base;
}

/* --- output --- */

struct file_output {
    struct wisp_output_stream base;
    struct wisp_fs_descriptor *descriptor;
    bool is_append;
    uint64_t offset;
};

/* Where RWF_APPEND isn't known, another writer may come between; nothing but this program writes then, most likely. */
static ssize_t append(int fd, const struct iovec *part)
{
    ssize_t n = pwritev2(fd, part, 1, 0, RWF_APPEND);
    if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return n;
    struct stat st;
    if (fstat(fd, &st) < 0) return -1;
    return pwrite(fd, part->iov_base, part->iov_len, st.st_size);
}

static ssize_t write_some(struct file_output *output, const void *bytes, size_t size)
{
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    if (output->is_append) return append(output->descriptor->fd, &part);
    if (output->offset <= INT64_MAX && size > INT64_MAX - output->offset) {
        errno = EFBIG;
        return -1;
    }
    ssize_t n = pwrite(output->descriptor->fd, bytes, size, (off_t)output->offset);
    if (n > 0) output->offset += (uint64_t)n;
    return n;
}

static enum wisp_stream_status output_check_write(struct wisp_output_stream *base, size_t *ret_room,
                                                  struct wisp_io_error *ret_error)
{
    (void)base;
    (void)ret_error;
    *ret_room = ROOM;
    return WISP_STREAM_OK;
}

static enum wisp_stream_status output_write(struct wisp_output_stream *base, const void *bytes, size_t size,
                                            struct wisp_io_error *ret_error)
{
    static const char zeroes[SCRATCH_SIZE];
    const char *from = bytes;
    while (size) {
        size_t n = from || size < sizeof zeroes ? size : sizeof zeroes;
        ssize_t done = write_some((struct file_output *)base, from ? from : zeroes, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) {
            wisp_fs_io_error(ret_error, "write", done == 0 ? EIO : errno);
            return WISP_STREAM_FAILED;
        }
        if (from) from += done;
        size -= (size_t)done;
    }
    return WISP_STREAM_OK;
}

/* The kernel has it; bringing it to the disk is what sync is for. */
static enum wisp_stream_status output_flush(struct wisp_output_stream *base, bool *ret_done,
                                            struct wisp_io_error *ret_error)
{
    (void)base;
    (void)ret_error;
    *ret_done = true;
    return WISP_STREAM_OK;
}

static bool output_is_ready(struct wisp_output_stream *base)
{
    (void)base;
    return true;
}

static void output_drop(struct wisp_output_stream *base)
{
    wisp_fs_descriptor_unref(((struct file_output *)base)->descriptor);
    free(base);
}

static struct file_output *new_output(struct wisp_fs_descriptor *descriptor)
{
    static const struct wisp_output_stream_ops ops = {.check_write = output_check_write,
                                                      .write = output_write,
                                                      .flush = output_flush,
                                                      .is_ready = output_is_ready,
                                                      .drop = output_drop};
    struct file_output *output = wisp_mem_calloc(1, sizeof *output);
    output->base.ops = &ops;
    output->base.wasi = descriptor->wasi;
    output->descriptor = wisp_fs_descriptor_ref(descriptor);
    return output;
}

struct wisp_output_stream *wisp_fs_output_new(struct wisp_fs_descriptor *descriptor, uint64_t offset)
{
    struct file_output *output = new_output(descriptor);
    output->offset = offset;
    return &output->base;
}

struct wisp_output_stream *wisp_fs_append_new(struct wisp_fs_descriptor *descriptor)
{
    struct file_output *output = new_output(descriptor);
    output->is_append = true;
    return &output->base;
}
