/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/filesystem/fs.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int wisp_fs_check_room(const struct wisp_wasi *wasi)
{
    return wasi->n_descriptors < WISP_WASI_DESCRIPTORS_MAX ? 0 : ENOMEM;
}

enum wisp_fs_type wisp_fs_type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFBLK:
        return WISP_FS_TYPE_BLOCK_DEVICE;
    case S_IFCHR:
        return WISP_FS_TYPE_CHARACTER_DEVICE;
    case S_IFDIR:
        return WISP_FS_TYPE_DIRECTORY;
    case S_IFIFO:
        return WISP_FS_TYPE_FIFO;
    case S_IFLNK:
        return WISP_FS_TYPE_SYMBOLIC_LINK;
    case S_IFREG:
        return WISP_FS_TYPE_REGULAR_FILE;
    case S_IFSOCK:
        return WISP_FS_TYPE_SOCKET;
    default:
        return WISP_FS_TYPE_UNKNOWN;
    }
}

struct wisp_fs_descriptor *wisp_fs_descriptor_new(struct wisp_wasi *wasi, int fd, mode_t mode)
{
    struct wisp_fs_descriptor *descriptor = wisp_mem_calloc(1, sizeof *descriptor);
    *descriptor = (struct wisp_fs_descriptor){.wasi = wasi, .refs = 1, .fd = fd, .type = wisp_fs_type_of(mode)};
    wasi->n_descriptors++;
    return descriptor;
}

struct wisp_fs_descriptor *wisp_fs_descriptor_ref(struct wisp_fs_descriptor *descriptor)
{
    descriptor->refs++;
    return descriptor;
}

void wisp_fs_descriptor_unref(struct wisp_fs_descriptor *descriptor)
{
    if (--descriptor->refs) return;
    descriptor->wasi->n_descriptors--;
    if (!descriptor->is_preopen) close(descriptor->fd);
    free(descriptor);
}

ssize_t wisp_fs_read_at(const struct wisp_fs_descriptor *descriptor, void *buffer, size_t size, uint64_t offset)
{
    if (offset <= INT64_MAX && size > INT64_MAX - offset) size = (size_t)(INT64_MAX - offset); /* the kernel refuses more */
    ssize_t n;
    do n = pread(descriptor->fd, buffer, size, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n;
}
