/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:filesystem/types: what is done with an open descriptor's contents. */
#include "wasi/filesystem/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int check_file(const struct wisp_fs_descriptor *descriptor, bool is_allowed)
{
    return descriptor->type != WISP_FS_TYPE_DIRECTORY && is_allowed ? 0 : EBADF;
}

/* --- streams --- */

int wisp_fs_read_via_stream(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_fs_size_args *a = args;
    struct wisp_fs_handle_result *r = result;
    int error = check_file(a->self, a->self->can_read);
    if (!error) r->ok = wisp_fs_input_new(a->self, a->size);
    return WISP_FS_ANSWER(r, error);
}

int wisp_fs_write_via_stream(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_fs_size_args *a = args;
    struct wisp_fs_handle_result *r = result;
    int error = check_file(a->self, a->self->can_write);
    if (!error) r->ok = wisp_fs_output_new(a->self, a->size);
    return WISP_FS_ANSWER(r, error);
}

int wisp_fs_append_via_stream(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_fs_self_args *a = args;
    struct wisp_fs_handle_result *r = result;
    int error = check_file(a->self, a->self->can_write);
    if (!error) r->ok = wisp_fs_append_new(a->self);
    return WISP_FS_ANSWER(r, error);
}

/* --- read, write --- */

int wisp_fs_read(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_fs_read_args *a = args;
    struct wisp_fs_read_result *r = result;
    int error = check_file(a->self, a->self->can_read);
    if (error) return WISP_FS_ANSWER(r, error);
    size_t size = a->length < WISP_FS_READ_MAX ? (size_t)a->length : WISP_FS_READ_MAX;
    uint8_t *bytes = wisp_arena_alloc(call->arena, size);
    ssize_t n = wisp_fs_read_at(a->self, bytes, size, a->offset);
    if (n < 0) return WISP_FS_ANSWER(r, errno);
    r->ok = (struct wisp_fs_read_bytes){{bytes, (size_t)n}, n == 0};
    return WISP_FS_ANSWER(r, 0);
}

int wisp_fs_write(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_fs_write_args *a = args;
    struct wisp_fs_size_result *r = result;
    size_t size = a->buffer.len < WISP_FS_WRITE_MAX ? a->buffer.len : WISP_FS_WRITE_MAX;
    int error = check_file(a->self, a->self->can_write);
    if (!error && a->offset <= INT64_MAX && size > INT64_MAX - a->offset) error = EFBIG;
    if (error) return WISP_FS_ANSWER(r, error);
    ssize_t n;
    do n = pwrite(a->self->fd, a->buffer.ptr, size, (off_t)a->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0) return WISP_FS_ANSWER(r, errno);
    r->ok = (uint64_t)n;
    return WISP_FS_ANSWER(r, 0);
}

/* --- the rest --- */

int wisp_fs_advise(struct wisp_call *call, const void *args, void *result)
{
    static const int advices[] = {POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                                  POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE};
    (void)call;
    const struct wisp_fs_advise_args *a = args;
    struct wisp_fs_result *r = result;
    int error = check_file(a->self, true);
    if (!error && (a->offset > INT64_MAX || a->length > INT64_MAX)) error = EINVAL;
    if (!error) error = posix_fadvise(a->self->fd, (off_t)a->offset, (off_t)a->length, advices[a->advice]);
    return WISP_FS_ANSWER(r, error);
}

static int sync_with(int (*sync_fd)(int fd), const struct wisp_fs_self_args *a, struct wisp_fs_result *result)
{
    bool is_directory = a->self->type == WISP_FS_TYPE_DIRECTORY;
    if (!(is_directory ? a->self->can_mutate : a->self->can_write)) return WISP_FS_ANSWER(result, 0);
    int error = sync_fd(a->self->fd) < 0 ? errno : 0;
    /* What knows no syncing (a device, some directories) has nothing to sync. */
    return WISP_FS_ANSWER(result, error == EINVAL || error == EROFS ? 0 : error);
}

int wisp_fs_sync_data(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    return sync_with(fdatasync, args, result);
}

int wisp_fs_sync(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    return sync_with(fsync, args, result);
}

int wisp_fs_get_flags(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_fs_descriptor *self = ((const struct wisp_fs_self_args *)args)->self;
    struct wisp_fs_u32_result *r = result;
    uint32_t flags = self->sync_flags;
    if (self->can_read) flags |= WISP_FS_READ;
    if (self->can_write) flags |= WISP_FS_WRITE;
    if (self->type == WISP_FS_TYPE_DIRECTORY && self->can_mutate) flags |= WISP_FS_MUTATE_DIRECTORY;
    r->ok = flags;
    return WISP_FS_ANSWER(r, 0);
}

int wisp_fs_get_type(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_fs_u32_result *r = result;
    r->ok = ((const struct wisp_fs_self_args *)args)->self->type;
    return WISP_FS_ANSWER(r, 0);
}

int wisp_fs_set_size(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_fs_size_args *a = args;
    struct wisp_fs_result *r = result;
    int error = check_file(a->self, a->self->can_write);
    if (!error && ftruncate(a->self->fd, (off_t)a->size) < 0) error = errno;
    return WISP_FS_ANSWER(r, error);
}
