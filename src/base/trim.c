/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trim.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STAYS_S = 24 * 3600, NOTED_S = 3600, BLOCK = 512 };
static const uint64_t DEFAULT_LIMIT = 4ull << 30;

struct file {
    char *name;
    int folder_fd;
    int64_t used_s;
    uint64_t bytes; /* on disk */
};

struct files {
    struct file *list;
    size_t n, capacity;
    uint64_t bytes;
};

uint64_t wisp_trim_limit(void)
{
    const char *text = getenv("WISP_CACHE_MAX");
    uint64_t limit;
    if (!text || !*text) return DEFAULT_LIMIT;
    if (wisp_parse_size(wisp_str_from(text), &limit, NULL) == 0) return limit;
    WISP_LOG(WARN, "cache", "WISP_CACHE_MAX is not a size, such as 2G; the caches may grow to 4G each",
             WISP_TEXT("value", text));
    return DEFAULT_LIMIT;
}

void wisp_trim_note_use(int fd, const char *path)
{
    static const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    struct stat st;
    if ((path ? stat(path, &st) : fstat(fd, &st)) < 0 || time(NULL) - st.st_atime < NOTED_S) return;
    if (path)
        (void)utimensat(AT_FDCWD, path, now, 0);
    else
        (void)futimens(fd, now);
}

/* --- what there is --- */

static void add(struct files *files, int folder_fd, const char *name)
{
    struct stat st;
    if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) return;
    if (files->n == files->capacity) {
        files->capacity = files->capacity ? files->capacity * 2 : 256;
        files->list = wisp_mem_realloc(files->list, files->capacity * sizeof *files->list);
    }
    int64_t used_s = st.st_atime > st.st_mtime ? st.st_atime : st.st_mtime;
    uint64_t bytes = (uint64_t)st.st_blocks * BLOCK;
    files->list[files->n++] = (struct file){wisp_mem_dup(wisp_str_from(name)), folder_fd, used_s, bytes};
    files->bytes += bytes;
}

static void read_folder(struct files *files, int folder_fd)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        if (fd >= 0) close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) add(files, folder_fd, entry->d_name);
    closedir(folder);
}

/* --- removing --- */

static int by_use(const void *a, const void *b)
{
    const struct file *first = a, *second = b;
    if (first->used_s != second->used_s) return first->used_s < second->used_s ? -1 : 1;
    return strcmp(first->name, second->name);
}

/* Unless somebody has used it since it was looked at. */
static bool remove_file(const struct file *file, int64_t now_s)
{
    struct stat st;
    if (fstatat(file->folder_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || now_s - st.st_atime < STAYS_S)
        return false;
    if (unlinkat(file->folder_fd, file->name, 0) < 0) return false;
    WISP_LOG(DEBUG, "cache", "removed, to stay within the cache's size", WISP_TEXT("file", file->name),
             WISP_INT("bytes", file->bytes), WISP_INT("unused_h", (now_s - file->used_s) / 3600));
    return true;
}

static struct wisp_trimmed remove_oldest(const struct files *files, uint64_t limit_bytes)
{
    struct wisp_trimmed trimmed = {.left_bytes = files->bytes};
    int64_t now_s = time(NULL);
    for (size_t i = 0; i < files->n && trimmed.left_bytes > limit_bytes; i++) {
        const struct file *file = &files->list[i];
        if (now_s - file->used_s < STAYS_S) break; /* nor is any of the others old enough */
        if (!remove_file(file, now_s)) continue;
        trimmed.n_files++;
        trimmed.bytes += file->bytes;
        trimmed.left_bytes -= file->bytes;
    }
    return trimmed;
}

struct wisp_trimmed wisp_trim(const int *folder_fds, size_t n_folders, uint64_t limit_bytes)
{
    struct files files = {0};
    struct wisp_trimmed trimmed = {0};
    if (!limit_bytes) return trimmed;
    for (size_t i = 0; i < n_folders; i++) read_folder(&files, folder_fds[i]);
    trimmed.left_bytes = files.bytes;
    if (files.bytes > limit_bytes) {
        qsort(files.list, files.n, sizeof *files.list, by_use);
        trimmed = remove_oldest(&files, limit_bytes / 10 * 9);
    }
    for (size_t i = 0; i < files.n; i++) free(files.list[i].name);
    free(files.list);
    return trimmed;
}
