/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:filesystem/types: attributes and identity. */
#include "wasi/filesystem/fs.h"
#include "wasi/filesystem/fs_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* The object itself, whatever it is, without opening it for anything. */
static int open_object(struct wisp_call *call, const struct wisp_fs_descriptor *base, uint32_t path_flags,
                       struct wisp_str path, int *ret_fd)
{
    if (base->type != WISP_FS_TYPE_DIRECTORY) return ENOTDIR;
    int flags = O_PATH | (path_flags & WISP_FS_FOLLOW ? 0 : O_NOFOLLOW);
    return wisp_fs_open_beneath(call->arena, base->fd, path, flags, 0, ret_fd);
}

static int stat_object(struct wisp_call *call, const struct wisp_fs_flags_path_args *a, struct stat *ret_st)
{
    WISP_CLEANUP_FD int fd = -1;
    int error = open_object(call, a->self, a->path_flags, a->path, &fd);
    if (error) return error;
    return fstat(fd, ret_st) < 0 ? errno : 0;
}

/* --- stat --- */

static struct wisp_fs_optional_datetime datetime_of(struct timespec time)
{
    if (time.tv_sec < 0) return (struct wisp_fs_optional_datetime){0}; /* before what a datetime can say */
    return (struct wisp_fs_optional_datetime){1, {(uint64_t)time.tv_sec, (uint32_t)time.tv_nsec}};
}

static struct wisp_fs_stat convert_stat(const struct stat *st)
{
    return (struct wisp_fs_stat){
        .type = wisp_fs_type_of(st->st_mode),
        .link_count = st->st_nlink,
        .size = (uint64_t)st->st_size,
        .accessed = datetime_of(st->st_atim),
        .modified = datetime_of(st->st_mtim),
        .changed = datetime_of(st->st_ctim),
    };
}

int wisp_fs_stat(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_fs_stat_result *r = result;
    struct stat st;
    int error = fstat(((const struct wisp_fs_self_args *)args)->self->fd, &st) < 0 ? errno : 0;
    if (!error) r->ok = convert_stat(&st);
    return WISP_FS_ANSWER(r, error);
}

int wisp_fs_stat_at(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_fs_stat_result *r = result;
    struct stat st;
    int error = stat_object(call, args, &st);
    if (!error) r->ok = convert_stat(&st);
    return WISP_FS_ANSWER(r, error);
}

/* --- times --- */

enum { NO_CHANGE, NOW, TIMESTAMP };

static int timespec_of(const struct wisp_fs_new_timestamp *from, struct timespec *ret_time)
{
    *ret_time = (struct timespec){.tv_nsec = from->tag == NOW ? UTIME_NOW : UTIME_OMIT};
    if (from->tag != TIMESTAMP) return 0;
    if (from->value.seconds > INT64_MAX || from->value.nanoseconds > 999999999) return EINVAL;
    *ret_time = (struct timespec){(time_t)from->value.seconds, (long)from->value.nanoseconds};
    return 0;
}

static int timespecs_of(const struct wisp_fs_new_timestamp *accessed, const struct wisp_fs_new_timestamp *modified,
                        struct timespec ret_times[2])
{
    int error = timespec_of(accessed, &ret_times[0]);
    return error ? error : timespec_of(modified, &ret_times[1]);
}

int wisp_fs_set_times(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_fs_set_times_args *a = args;
    struct wisp_fs_result *r = result;
    struct timespec times[2];
    int error = a->self->can_mutate ? timespecs_of(&a->accessed, &a->modified, times) : EROFS;
    if (!error && futimens(a->self->fd, times) < 0) error = errno;
    return WISP_FS_ANSWER(r, error);
}

/* Of what an O_PATH descriptor stands for, be it a link. Kernels before 5.8 know only the way through /proc. */
static int set_object_times(int fd, const struct timespec times[2])
{
    if (utimensat(fd, "", times, AT_EMPTY_PATH) == 0) return 0;
    if (errno != EINVAL && errno != ENOENT) return errno;
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return utimensat(AT_FDCWD, path, times, 0) < 0 ? errno : 0;
}

int wisp_fs_set_times_at(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_fs_set_times_at_args *a = args;
    struct wisp_fs_result *r = result;
    struct timespec times[2];
    WISP_CLEANUP_FD int fd = -1;
    int error = a->self->can_mutate ? timespecs_of(&a->accessed, &a->modified, times) : EROFS;
    if (!error) error = open_object(call, a->self, a->path_flags, a->path, &fd);
    if (!error) error = set_object_times(fd, times);
    return WISP_FS_ANSWER(r, error);
}

/* --- identity --- */

int wisp_fs_is_same_object(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_fs_same_args *a = args;
    struct stat one, other;
    *(bool *)result = fstat(a->self->fd, &one) == 0 && fstat(a->other->fd, &other) == 0 && one.st_dev == other.st_dev &&
                      one.st_ino == other.st_ino;
    return 0;
}

int wisp_fs_metadata_hash(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_fs_hash_result *r = result;
    struct stat st;
    int error = fstat(((const struct wisp_fs_self_args *)args)->self->fd, &st) < 0 ? errno : 0;
    if (!error) r->ok = wisp_fs_hash(&st);
    return WISP_FS_ANSWER(r, error);
}

int wisp_fs_metadata_hash_at(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_fs_hash_result *r = result;
    struct stat st;
    int error = stat_object(call, args, &st);
    if (!error) r->ok = wisp_fs_hash(&st);
    return WISP_FS_ANSWER(r, error);
}
