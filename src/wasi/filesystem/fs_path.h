/* SPDX-License-Identifier: Apache-2.0 */
/* Paths that a guest gives, resolved so that they can't leave a directory: not by `..`, an absolute path, a symbolic
 * link or a link of /proc, whatever others do to the tree meanwhile.
 *
 * All return an errno: ENOENT for an empty path, EINVAL for one with a NUL, EPERM for one that leaves the directory. */
#pragma once

#include "base/arena.h"

#include <sys/types.h>

/* openat(base, path, flags, mode) beneath `base`, close-on-exec. */
int wisp_fs_open_beneath(struct wisp_arena *arena, int base, struct wisp_str path, int flags, mode_t mode, int *ret_fd)
    __attribute__((warn_unused_result));
/* The same by walking the path ourselves, for kernels before 5.6 and sandboxes without openat2. */
int wisp_fs_walk_beneath(struct wisp_arena *arena, int base, const char *path, int flags, mode_t mode, int *ret_fd)
    __attribute__((warn_unused_result));

/* Where a name is made, removed or renamed: its directory and the name in it. A system call that gets both, and isn't
 * told to follow links, touches nothing else. */
struct wisp_fs_place {
    int directory;
    bool owns_directory;
    bool has_slash;   /* the path ends with one: only a directory will do */
    const char *name; /* in the arena; has_slash: with the slash */
    const char *bare; /* without it */
};
/* `dots_errno` is the outcome for a path that ends with `.` or `..` and leads to something. */
int wisp_fs_locate(struct wisp_arena *arena, int base, struct wisp_str path, int dots_errno,
                   struct wisp_fs_place *ret_place) __attribute__((warn_unused_result));
void wisp_fs_place_deinit(struct wisp_fs_place *place);
#define WISP_CLEANUP_PLACE __attribute__((cleanup(wisp_fs_place_deinit)))
