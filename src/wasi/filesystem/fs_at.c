/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:filesystem/types: what is done with paths. What makes, changes or removes something needs a base that may
 * mutate, on both sides where there are two: a hard link into a writable directory would otherwise open a way to write
 * what lies in a read-only one. */
#include "wasi/filesystem/fs.h"
#include "wasi/filesystem/fs_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int check_mutable(const struct wisp_fs_descriptor *base)
{
    if (base->type != WISP_FS_TYPE_DIRECTORY) return ENOTDIR;
    return base->can_mutate ? 0 : EROFS;
}

static int outcome(int r) { return r < 0 ? errno : 0; }

/* --- open --- */

static int check_open(const struct wisp_fs_open_args *a)
{
    uint32_t changing_opens = WISP_FS_CREATE | WISP_FS_TRUNCATE, changing = WISP_FS_WRITE | WISP_FS_MUTATE_DIRECTORY;
    if (a->self->type != WISP_FS_TYPE_DIRECTORY) return ENOTDIR;
    if (!a->self->can_mutate && (a->open_flags & changing_opens || a->flags & changing)) return EROFS;
    if (a->open_flags & WISP_FS_DIRECTORY && a->open_flags & (changing_opens | WISP_FS_EXCLUSIVE)) return EINVAL;
    return wisp_fs_check_room(a->self->wasi);
}

/* O_NONBLOCK: opening a named pipe would wait for its other end. */
static int open_flags_of(const struct wisp_fs_open_args *a)
{
    int flags = O_NONBLOCK | O_NOCTTY;
    if (a->flags & WISP_FS_WRITE)
        flags |= a->flags & WISP_FS_READ ? O_RDWR : O_WRONLY;
    else
        flags |= O_RDONLY;
    if (a->flags & (WISP_FS_FILE_SYNC | WISP_FS_READ_SYNC)) flags |= O_SYNC;
    if (a->flags & WISP_FS_DATA_SYNC) flags |= O_DSYNC;
    if (a->open_flags & WISP_FS_CREATE) flags |= a->open_flags & WISP_FS_EXCLUSIVE ? O_CREAT | O_EXCL : O_CREAT;
    if (a->open_flags & WISP_FS_DIRECTORY) flags |= O_DIRECTORY;
    if (a->open_flags & WISP_FS_TRUNCATE) flags |= O_TRUNC;
    if (!(a->path_flags & WISP_FS_FOLLOW)) flags |= O_NOFOLLOW;
    return flags;
}

/* A directory's descriptor may mutate if its base may, asked for or not: programs that go through the Preview 1
 * adapter can't ask for it. */
static struct wisp_fs_descriptor *new_descriptor(const struct wisp_fs_open_args *a, int fd, mode_t mode)
{
    struct wisp_fs_descriptor *descriptor = wisp_fs_descriptor_new(a->self->wasi, fd, mode);
    descriptor->can_write = a->flags & WISP_FS_WRITE;
    descriptor->can_read = a->flags & WISP_FS_READ || !descriptor->can_write;
    descriptor->can_mutate = a->self->can_mutate;
    descriptor->sync_flags = a->flags & (WISP_FS_FILE_SYNC | WISP_FS_DATA_SYNC | WISP_FS_READ_SYNC);
    return descriptor;
}

int wisp_fs_open_at(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_fs_open_args *a = args;
    struct wisp_fs_handle_result *r = result;
    WISP_CLEANUP_FD int fd = -1;
    struct stat st;
    int error = check_open(a);
    if (!error) error = wisp_fs_open_beneath(call->arena, a->self->fd, a->path, open_flags_of(a), 0666, &fd);
    if (!error) error = outcome(fstat(fd, &st));
    if (!error) r->ok = new_descriptor(a, WISP_TAKE_FD(fd), st.st_mode);
    return WISP_FS_ANSWER(r, error);
}

/* --- one path --- */

int wisp_fs_create_directory_at(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_fs_path_args *a = args;
    struct wisp_fs_result *r = result;
    WISP_CLEANUP_PLACE struct wisp_fs_place place = {0};
    int error = check_mutable(a->self);
    if (!error) error = wisp_fs_locate(call->arena, a->self->fd, a->path, EEXIST, &place);
    if (!error) error = outcome(mkdirat(place.directory, place.name, 0777));
    return WISP_FS_ANSWER(r, error);
}

int wisp_fs_remove_directory_at(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_fs_path_args *a = args;
    struct wisp_fs_result *r = result;
    WISP_CLEANUP_PLACE struct wisp_fs_place place = {0};
    int error = check_mutable(a->self);
    if (!error) error = wisp_fs_locate(call->arena, a->self->fd, a->path, EINVAL, &place);
    if (!error) error = outcome(unlinkat(place.directory, place.name, AT_REMOVEDIR));
    return WISP_FS_ANSWER(r, error);
}

int wisp_fs_unlink_file_at(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_fs_path_args *a = args;
    struct wisp_fs_result *r = result;
    WISP_CLEANUP_PLACE struct wisp_fs_place place = {0};
    int error = check_mutable(a->self);
    if (!error) error = wisp_fs_locate(call->arena, a->self->fd, a->path, EISDIR, &place);
    if (!error) error = outcome(unlinkat(place.directory, place.name, 0));
    return WISP_FS_ANSWER(r, error);
}

/* --- two paths --- */

/* A slash at the end asks for a directory, and makes the kernel follow a link in some calls. Where no directory will
 * do, this is the outcome for such a path: `if_directory` when it leads to one. */
static int refuse_slash(const struct wisp_fs_place *place, int if_directory)
{
    if (!place->has_slash) return 0;
    struct stat st;
    if (fstatat(place->directory, place->bare, &st, AT_SYMLINK_NOFOLLOW) < 0) return errno;
    return S_ISDIR(st.st_mode) ? if_directory : ENOTDIR;
}

int wisp_fs_rename_at(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_fs_rename_args *a = args;
    struct wisp_fs_result *r = result;
    WISP_CLEANUP_PLACE struct wisp_fs_place from = {0}, to = {0};
    int error = check_mutable(a->self);
    if (!error) error = check_mutable(a->new_descriptor);
    if (!error) error = wisp_fs_locate(call->arena, a->self->fd, a->old_path, EBUSY, &from);
    if (!error) error = wisp_fs_locate(call->arena, a->new_descriptor->fd, a->new_path, EBUSY, &to);
    if (!error) error = outcome(renameat(from.directory, from.name, to.directory, to.name));
    return WISP_FS_ANSWER(r, error);
}

int wisp_fs_link_at(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_fs_link_args *a = args;
    struct wisp_fs_result *r = result;
    WISP_CLEANUP_PLACE struct wisp_fs_place from = {0}, to = {0};
    int error = a->old_path_flags & WISP_FS_FOLLOW ? EINVAL : check_mutable(a->self);
    if (!error) error = check_mutable(a->new_descriptor);
    if (!error) error = wisp_fs_locate(call->arena, a->self->fd, a->old_path, EPERM, &from);
    if (!error) error = wisp_fs_locate(call->arena, a->new_descriptor->fd, a->new_path, EEXIST, &to);
    if (!error) error = refuse_slash(&from, EPERM);
    if (!error) error = refuse_slash(&to, EEXIST);
    if (!error) error = outcome(linkat(from.directory, from.name, to.directory, to.name, 0));
    return WISP_FS_ANSWER(r, error);
}

/* --- symbolic links --- */

int wisp_fs_symlink_at(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_fs_symlink_args *a = args;
    struct wisp_fs_result *r = result;
    WISP_CLEANUP_PLACE struct wisp_fs_place place = {0};
    int error = check_mutable(a->self);
    if (!error && a->old_path.len && a->old_path.ptr[0] == '/') error = EPERM;
    if (!error && a->old_path.len && memchr(a->old_path.ptr, '\0', a->old_path.len)) error = EINVAL;
    if (!error) error = wisp_fs_locate(call->arena, a->self->fd, a->new_path, EEXIST, &place);
    if (!error) error = refuse_slash(&place, EEXIST);
    if (!error) error = outcome(symlinkat(wisp_arena_cstr(call->arena, a->old_path), place.directory, place.name));
    return WISP_FS_ANSWER(r, error);
}

static int read_link(struct wisp_call *call, const struct wisp_fs_place *place, struct wisp_str *ret_text)
{
    char *text = wisp_arena_alloc(call->arena, PATH_MAX);
    ssize_t n = readlinkat(place->directory, place->name, text, PATH_MAX);
    if (n < 0) return errno;
    if (n == PATH_MAX) return ENAMETOOLONG;
    *ret_text = (struct wisp_str){text, (size_t)n};
    if (n > 0 && text[0] == '/') return EPERM;
    return wisp_str_is_utf8(*ret_text) ? 0 : EILSEQ;
}

int wisp_fs_readlink_at(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_fs_path_args *a = args;
    struct wisp_fs_text_result *r = result;
    WISP_CLEANUP_PLACE struct wisp_fs_place place = {0};
    int error = a->self->type == WISP_FS_TYPE_DIRECTORY ? 0 : ENOTDIR;
    if (!error) error = wisp_fs_locate(call->arena, a->self->fd, a->path, EINVAL, &place);
    if (!error) error = refuse_slash(&place, EINVAL);
    if (!error) error = read_link(call, &place, &r->ok);
    return WISP_FS_ANSWER(r, error);
}
