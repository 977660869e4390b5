/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:filesystem/types: reading directories. */
#include "wasi/filesystem/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct wisp_fs_entries {
    struct wisp_wasi *wasi;
    DIR *directory;
};

/* Opened anew: the position in a directory belongs to the open file, and each stream has its own. */
static int open_entries(const struct wisp_fs_descriptor *descriptor, struct wisp_fs_entries **ret_entries)
{
    if (descriptor->type != WISP_FS_TYPE_DIRECTORY) return ENOTDIR;
    int error = wisp_fs_check_room(descriptor->wasi);
    if (error) return error;
    int fd = openat(descriptor->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    DIR *directory = fdopendir(fd);
    if (!directory) {
        error = errno;
        close(fd);
        return error;
    }
    struct wisp_fs_entries *entries = wisp_mem_alloc(sizeof *entries);
    *entries = (struct wisp_fs_entries){descriptor->wasi, directory};
    descriptor->wasi->n_descriptors++;
    *ret_entries = entries;
    return 0;
}

void wisp_fs_entries_free(struct wisp_fs_entries *entries)
{
    entries->wasi->n_descriptors--;
    closedir(entries->directory);
    free(entries);
}

int wisp_fs_read_directory(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_fs_handle_result *r = result;
    struct wisp_fs_entries *entries = NULL;
    int error = open_entries(((const struct wisp_fs_self_args *)args)->self, &entries);
    if (!error) r->ok = entries;
    return WISP_FS_ANSWER(r, error);
}

static enum wisp_fs_type type_of(DIR *directory, const struct dirent *entry)
{
    if (entry->d_type != DT_UNKNOWN) return wisp_fs_type_of(DTTOIF(entry->d_type));
    struct stat st;
    if (fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) return WISP_FS_TYPE_UNKNOWN;
    return wisp_fs_type_of(st.st_mode);
}

/* NULL at the end, or with *ret_errno set. */
static const struct dirent *next_entry(DIR *directory, int *ret_errno)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        *ret_errno = entry ? 0 : errno;
        if (!entry || (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)) return entry;
    }
}

int wisp_fs_read_directory_entry(struct wisp_call *call, const void *args, void *result)
{
    DIR *directory = ((const struct wisp_fs_entries_args *)args)->self->directory;
    struct wisp_fs_entry_result *r = result;
    int error;
    const struct dirent *entry = next_entry(directory, &error);
    r->ok = (struct wisp_fs_optional_entry){0};
    if (!entry) return WISP_FS_ANSWER(r, error);
    struct wisp_str name = wisp_arena_str(call->arena, wisp_str_from(entry->d_name));
    /* The guest learns that there is something without a name it could use; the next call goes on behind it. */
    if (!wisp_str_is_utf8(name)) return WISP_FS_ANSWER(r, EILSEQ);
    r->ok = (struct wisp_fs_optional_entry){1, {type_of(directory, entry), name}};
    return WISP_FS_ANSWER(r, 0);
}
