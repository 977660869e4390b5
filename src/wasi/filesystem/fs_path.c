/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/filesystem/fs_path.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel gives EAGAIN when something was renamed while it looked at a `..`. */
enum { RACE_RETRIES = 128 };

static int open_once(int base, const char *path, int flags, mode_t mode, int *ret_fd)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, base, path, &how, sizeof how);
    if (fd < 0) return errno;
    *ret_fd = (int)fd;
    return 0;
}

static int check_path(struct wisp_str path)
{
    if (path.len == 0) return ENOENT;
    if (path.ptr[0] == '/') return EPERM;
    if (path.len >= PATH_MAX) return ENAMETOOLONG;
    return memchr(path.ptr, '\0', path.len) ? EINVAL : 0;
}

static int open_checked(struct wisp_arena *arena, int base, const char *path, int flags, mode_t mode, int *ret_fd)
{
    int error = EAGAIN;
    for (int i = 0; i < RACE_RETRIES && (error == EAGAIN || error == EINTR); i++)
        error = open_once(base, path, flags, mode, ret_fd);
    if (error == ENOSYS) error = wisp_fs_walk_beneath(arena, base, path, flags, mode, ret_fd);
    return error == EXDEV ? EPERM : error;
}

int wisp_fs_open_beneath(struct wisp_arena *arena, int base, struct wisp_str path, int flags, mode_t mode, int *ret_fd)
{
    int error = check_path(path);
    if (error) return error;
    return open_checked(arena, base, wisp_arena_cstr(arena, path), flags, mode, ret_fd);
}

/* --- places --- */

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

/* Such a path names no entry that could be made or removed, but the caller learns first whether it leads anywhere. */
static int locate_dots(struct wisp_arena *arena, int base, const char *path, int dots_errno)
{
    WISP_CLEANUP_FD int fd = -1;
    int error = open_checked(arena, base, path, O_PATH | O_DIRECTORY, 0, &fd);
    return error ? error : dots_errno;
}

int wisp_fs_locate(struct wisp_arena *arena, int base, struct wisp_str path, int dots_errno,
                   struct wisp_fs_place *ret_place)
{
    int error = check_path(path);
    if (error) return error;
    size_t end = path.len;
    while (path.ptr[end - 1] == '/') end--; /* ends: the first byte is none */
    char *whole = wisp_arena_cstr(arena, (struct wisp_str){path.ptr, end});
    char *slash = strrchr(whole, '/');
    const char *last = slash ? slash + 1 : whole;
    if (is_dots(last)) return locate_dots(arena, base, whole, dots_errno);
    bool has_slash = end < path.len;
    struct wisp_fs_place place = {.directory = base, .has_slash = has_slash, .name = last, .bare = last};
    if (has_slash) place.name = wisp_arena_printf(arena, "%s/", last);
    if (slash) {
        *slash = '\0'; /* `last` stays whole behind it */
        error = open_checked(arena, base, whole, O_PATH | O_DIRECTORY, 0, &place.directory);
        if (error) return error;
        place.owns_directory = true;
    }
    *ret_place = place;
    return 0;
}

void wisp_fs_place_deinit(struct wisp_fs_place *place)
{
    if (place->owns_directory) close(place->directory);
    *place = (struct wisp_fs_place){.directory = -1};
}
