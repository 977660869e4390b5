/* SPDX-License-Identifier: Apache-2.0 */
/* Resolving a path name by name where the kernel can't be told to stay beneath a directory. Every directory passed is
 * held open, so `..` goes back to one that was beneath the base when it was entered, never to where the kernel would
 * now say that its parent is. The kernel is given single names only and follows no link. */
#include "base/mem.h"
#include "wasi/filesystem/fs_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 128, LINKS_MAX = 40 };

struct walk {
    struct wisp_arena *arena;
    int held[DEPTH_MAX]; /* held[0] is the base, not ours */
    int depth;           /* of the directory we are in; 0: the base */
    int n_links;
    const char *rest; /* what is still to go */
};

static void leave(struct walk *walk) { close(walk->held[walk->depth--]); }

static int go_up(struct walk *walk)
{
    if (walk->depth == 0) return EXDEV;
    leave(walk);
    return 0;
}

/* The next name of the rest; empty at the end. */
static char *next_name(struct walk *walk, bool *ret_is_last, bool *ret_has_slash)
{
    walk->rest += strspn(walk->rest, "/");
    size_t size = strcspn(walk->rest, "/");
    char *name = wisp_arena_cstr(walk->arena, (struct wisp_str){walk->rest, size});
    *ret_has_slash = walk->rest[size] == '/';
    walk->rest += size;
    *ret_is_last = walk->rest[strspn(walk->rest, "/")] == '\0';
    return name;
}

/* 0: `name` was a link and its target is now in front of the rest. EINVAL: it is none. */
static int expand_link(struct walk *walk, const char *name)
{
    char *target = wisp_arena_alloc(walk->arena, PATH_MAX);
    ssize_t size = readlinkat(walk->held[walk->depth], name, target, PATH_MAX);
    if (size < 0) return errno;
    if (size == 0) return ENOENT;
    if (size == PATH_MAX) return ENAMETOOLONG;
    if (target[0] == '/') return EXDEV;
    if (++walk->n_links > LINKS_MAX) return ELOOP;
    walk->rest = wisp_arena_printf(walk->arena, "%.*s%s", (int)size, target, walk->rest);
    return strlen(walk->rest) < PATH_MAX ? 0 : ENAMETOOLONG;
}

static int enter(struct walk *walk, const char *name)
{
    int error = expand_link(walk, name);
    if (error != EINVAL) return error;
    if (walk->depth + 1 == DEPTH_MAX) return ENAMETOOLONG;
    /* Should it have become a link just now, this refuses it. */
    int fd = openat(walk->held[walk->depth], name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    walk->held[++walk->depth] = fd;
    return 0;
}

/* *ret_fd stays negative when it was a link to follow. */
static int open_last(struct walk *walk, const char *name, bool has_slash, int flags, mode_t mode, int *ret_fd)
{
    if (has_slash && flags & O_CREAT) return EISDIR;
    if (has_slash) flags |= O_DIRECTORY;
    if (has_slash || !(flags & O_NOFOLLOW)) {
        int error = expand_link(walk, name);
        if (error == 0 && flags & O_CREAT && flags & O_EXCL) return EEXIST;
        if (error == 0) return 0;
        if (error != EINVAL && error != ENOENT) return error;
    }
    *ret_fd = openat(walk->held[walk->depth], name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    return *ret_fd < 0 ? errno : 0;
}

static int step(struct walk *walk, int flags, mode_t mode, int *ret_fd)
{
    bool is_last, has_slash;
    char *name = next_name(walk, &is_last, &has_slash);
    bool is_up = strcmp(name, "..") == 0;
    int error = is_up ? go_up(walk) : 0;
    if (error) return error;
    if (is_last && (is_up || !*name)) name = strcpy(wisp_arena_alloc(walk->arena, 2), ".");
    if (is_last) return open_last(walk, name, has_slash && strcmp(name, ".") != 0, flags, mode, ret_fd);
    return is_up || strcmp(name, ".") == 0 ? 0 : enter(walk, name);
}

int wisp_fs_walk_beneath(struct wisp_arena *arena, int base, const char *path, int flags, mode_t mode, int *ret_fd)
{
    struct walk walk = {.arena = arena, .held = {base}, .rest = path};
    int fd = -1, error = path[0] == '/' ? EXDEV : 0;
    while (!error && fd < 0) error = step(&walk, flags, mode, &fd);
    while (walk.depth > 0) leave(&walk);
    if (!error) *ret_fd = fd;
    return error;
}
