/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/cache.h"

#include "base/log.h"
#include "base/trim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum {
    LEFTOVER_AGE_S = 24 * 3600,
    READ_SIZE = 256 * 1024,
    NAME_SIZE = WISP_OCI_DIGEST_LEN + 1,
    NOTE_SIZE = 64 * 1024,
    TRIM_EVERY = 16, /* of the limit is new */
};

static const char *const shelf_names[WISP_OCI_SHELF_COUNT] = {
    [WISP_OCI_BLOBS] = "blobs", [WISP_OCI_EXEC] = "exec", [WISP_OCI_REFS] = "refs"};

/* --- folders --- */

static bool is_ours_alone(int fd, mode_t wanted_type, uint64_t *ret_size)
{
    struct stat st;
    if (fstat(fd, &st) < 0) return false;
    *ret_size = (uint64_t)st.st_size;
    return (st.st_mode & S_IFMT) == wanted_type && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static int open_folder(int parent_fd, const char *path, struct wisp_err *err)
{
    uint64_t size;
    WISP_CLEANUP_FD int fd = openat(parent_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return wisp_err_os(err, errno, "open cache folder `%s`", path);
    if (!is_ours_alone(fd, S_IFDIR, &size))
        return wisp_err_set(err, WISP_ERR_DENIED, "cache folder `%s` is not used: others can write to it", path);
    return WISP_TAKE_FD(fd);
}

static int make_folders(const char *dir, struct wisp_err *err)
{
    WISP_CLEANUP_FREE char *path = wisp_mem_dup(wisp_str_from(dir));
    for (char *p = path + (path[0] == '/');; p++) {
        if (*p != '/' && *p != '\0') continue;
        char kept = *p;
        *p = '\0';
        if (*path && mkdir(path, 0700) < 0 && errno != EEXIST) return wisp_err_os(err, errno, "make folder `%s`", path);
        *p = kept;
        if (!kept) return 0;
    }
}

/* Parts of processes that were killed. Nothing is downloaded for a day. */
static void remove_leftovers(int shelf_fd)
{
    int fd = openat(shelf_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        if (fd >= 0) close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct stat st;
        if (strncmp(entry->d_name, ".part-", 6) || fstatat(shelf_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (time(NULL) - st.st_mtime > LEFTOVER_AGE_S) unlinkat(shelf_fd, entry->d_name, 0);
    }
    closedir(folder);
}

static int open_shelves(struct wisp_oci_cache *cache, struct wisp_err *err)
{
    int r = make_folders(cache->dir, err);
    if (r < 0) return r;
    WISP_CLEANUP_FD int root_fd = open_folder(AT_FDCWD, cache->dir, err);
    if (root_fd < 0) return root_fd;
    for (int i = 0; i < WISP_OCI_SHELF_COUNT; i++) {
        if (mkdirat(root_fd, shelf_names[i], 0700) < 0 && errno != EEXIST)
            return wisp_err_os(err, errno, "make cache folder `%s/%s`", cache->dir, shelf_names[i]);
        cache->shelves[i] = open_folder(root_fd, shelf_names[i], err);
        if (cache->shelves[i] < 0) return wisp_err_wrap(err, "%s", cache->dir);
        remove_leftovers(cache->shelves[i]);
    }
    return 0;
}

int wisp_oci_cache_open(struct wisp_oci_cache **ret_cache, const char *dir, struct wisp_err *err)
{
    struct wisp_oci_cache *cache = wisp_mem_calloc(1, sizeof *cache);
    cache->n_refs = 1;
    cache->limit_bytes = wisp_trim_limit();
    for (int i = 0; i < WISP_OCI_SHELF_COUNT; i++) cache->shelves[i] = -1;
    char *cwd = dir[0] == '/' ? NULL : getcwd(NULL, 0);
    WISP_CLEANUP_BUF struct wisp_buf path = {0};
    wisp_buf_printf(&path, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", dir);
    free(cwd);
    while (path.len > 1 && path.data[path.len - 1] == '/') path.len--;
    cache->dir = wisp_mem_dup(wisp_buf_str(&path));
    int r = open_shelves(cache, err);
    if (r < 0)
        wisp_oci_cache_unref(cache);
    else
        *ret_cache = cache;
    if (r == 0) (void)wisp_trim(cache->shelves, WISP_OCI_SHELF_COUNT, cache->limit_bytes);
    return r;
}

struct wisp_oci_cache *wisp_oci_cache_ref(struct wisp_oci_cache *cache)
{
    cache->n_refs++;
    return cache;
}

void wisp_oci_cache_unref(struct wisp_oci_cache *cache)
{
    if (!cache || --cache->n_refs) return;
    for (int i = 0; i < WISP_OCI_SHELF_COUNT; i++)
        if (cache->shelves[i] >= 0) close(cache->shelves[i]);
    free(cache->dir);
    free(cache);
}

/* --- parts --- */

int wisp_oci_part_start(struct wisp_oci_cache *cache, enum wisp_oci_shelf shelf, struct wisp_oci_part *ret_part,
                        struct wisp_err *err)
{
    uint64_t random;
    if (uv_random(NULL, NULL, &random, sizeof random, 0, NULL) < 0)
        return wisp_err_set(err, WISP_ERR_OS, "no random numbers");
    *ret_part = (struct wisp_oci_part){.fd = -1, .shelf = shelf};
    snprintf(ret_part->name, sizeof ret_part->name, ".part-%d-%016llx", (int)getpid(), (unsigned long long)random);
    ret_part->fd =
        openat(cache->shelves[shelf], ret_part->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return ret_part->fd < 0 ? wisp_err_os(err, errno, "make file in cache `%s`", cache->dir) : 0;
}

int wisp_oci_part_write(struct wisp_oci_part *part, const void *bytes, size_t size, struct wisp_err *err)
{
    while (size) {
        ssize_t n = write(part->fd, bytes, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wisp_err_os(err, errno, "write to the cache");
        bytes = (const char *)bytes + n;
        size -= (size_t)n;
    }
    return 0;
}

static void file_name(const char *digest, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "sha256-%s", wisp_oci_digest_hex(digest));
}

static int part_rename(struct wisp_oci_cache *cache, struct wisp_oci_part *part, const char *name, struct wisp_err *err)
{
    int shelf_fd = cache->shelves[part->shelf];
    if (renameat(shelf_fd, part->name, shelf_fd, name) < 0) {
        int r = wisp_err_os(err, errno, "keep file in cache `%s`", cache->dir);
        wisp_oci_part_discard(cache, part);
        return r;
    }
    close(WISP_TAKE_FD(part->fd));
    return 0;
}

int wisp_oci_part_keep(struct wisp_oci_cache *cache, struct wisp_oci_part *part, const char *digest,
                       struct wisp_err *err)
{
    char name[NAME_SIZE];
    file_name(digest, name);
    if (fsync(part->fd) < 0 || (part->shelf == WISP_OCI_EXEC && fchmod(part->fd, 0755) < 0)) {
        int r = wisp_err_os(err, errno, "keep file in cache `%s`", cache->dir);
        wisp_oci_part_discard(cache, part);
        return r;
    }
    struct stat st;
    uint64_t bytes = fstat(part->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    int r = part_rename(cache, part, name, err);
    if (r == 0 && atomic_fetch_add(&cache->kept_bytes, bytes) + bytes > cache->limit_bytes / TRIM_EVERY) {
        atomic_store(&cache->kept_bytes, 0);
        (void)wisp_trim(cache->shelves, WISP_OCI_SHELF_COUNT, cache->limit_bytes);
    }
    return r;
}

void wisp_oci_part_discard(struct wisp_oci_cache *cache, struct wisp_oci_part *part)
{
    if (part->fd < 0) return;
    close(WISP_TAKE_FD(part->fd));
    unlinkat(cache->shelves[part->shelf], part->name, 0);
}

/* --- files --- */

static int find(const struct wisp_oci_cache *cache, enum wisp_oci_shelf shelf, const char *name, uint64_t *ret_size)
{
    WISP_CLEANUP_FD int fd = openat(cache->shelves[shelf], name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || !is_ours_alone(fd, S_IFREG, ret_size)) return -1;
    wisp_trim_note_use(fd, NULL);
    return WISP_TAKE_FD(fd);
}

int wisp_oci_cache_find(const struct wisp_oci_cache *cache, enum wisp_oci_shelf shelf, const char *digest,
                        uint64_t *ret_size)
{
    char name[NAME_SIZE];
    file_name(digest, name);
    return find(cache, shelf, name, ret_size);
}

void wisp_oci_cache_remove(const struct wisp_oci_cache *cache, enum wisp_oci_shelf shelf, const char *digest)
{
    char name[NAME_SIZE];
    file_name(digest, name);
    unlinkat(cache->shelves[shelf], name, 0);
}

void wisp_oci_cache_path(const struct wisp_oci_cache *cache, enum wisp_oci_shelf shelf, const char *digest,
                         struct wisp_buf *out)
{
    char name[NAME_SIZE];
    file_name(digest, name);
    wisp_buf_printf(out, "%s/%s/%s", cache->dir, shelf_names[shelf], name);
    wisp_buf_append_char(out, '\0');
}

static bool read_small(int fd, uint64_t size, struct wisp_buf *ret_bytes)
{
    char *bytes = wisp_buf_reserve(ret_bytes, size + 1);
    ssize_t n = read(fd, bytes, size + 1);
    if (n < 0 || (uint64_t)n != size) return false;
    ret_bytes->len += size;
    return true;
}

bool wisp_oci_cache_read(const struct wisp_oci_cache *cache, const char *digest, size_t size_max,
                         struct wisp_buf *ret_bytes)
{
    uint64_t size;
    char actual[WISP_OCI_DIGEST_LEN + 1];
    WISP_CLEANUP_FD int fd = wisp_oci_cache_find(cache, WISP_OCI_BLOBS, digest, &size);
    ret_bytes->len = 0;
    if (fd < 0 || size > size_max || !read_small(fd, size, ret_bytes)) return false;
    wisp_oci_digest(wisp_buf_str(ret_bytes), actual);
    return strcmp(actual, digest) == 0;
}

/* The cache is a help only: whoever can't write to it goes on. */
static void write_small(struct wisp_oci_cache *cache, enum wisp_oci_shelf shelf, const char *name,
                        struct wisp_str bytes)
{
    struct wisp_oci_part part;
    struct wisp_err err = {0};
    if (wisp_oci_part_start(cache, shelf, &part, &err) == 0) {
        if (wisp_oci_part_write(&part, bytes.ptr, bytes.len, &err) == 0 && part_rename(cache, &part, name, &err) == 0)
            return;
        wisp_oci_part_discard(cache, &part);
    }
    WISP_LOG(WARN, "oci", "cache can't be written", WISP_TEXT("dir", cache->dir), WISP_TEXT("reason", err.text));
}

void wisp_oci_cache_write(struct wisp_oci_cache *cache, const char *digest, struct wisp_str bytes)
{
    char name[NAME_SIZE];
    file_name(digest, name);
    write_small(cache, WISP_OCI_BLOBS, name, bytes);
}

/* --- references --- */

bool wisp_oci_cache_recall(const struct wisp_oci_cache *cache, const char *reference,
                           char ret_digest[WISP_OCI_DIGEST_LEN + 1])
{
    char key[WISP_OCI_DIGEST_LEN + 1];
    uint64_t size;
    WISP_CLEANUP_BUF struct wisp_buf note = {0};
    struct wisp_str digest, rest;
    wisp_oci_digest(wisp_str_from(reference), key);
    WISP_CLEANUP_FD int fd = find(cache, WISP_OCI_REFS, wisp_oci_digest_hex(key), &size);
    if (fd < 0 || size > NOTE_SIZE || !read_small(fd, size, &note)) return false;
    return wisp_str_split(wisp_buf_str(&note), '\n', &digest, &rest) &&
           wisp_oci_digest_parse(digest, ret_digest, NULL) == 0;
}

void wisp_oci_cache_note(struct wisp_oci_cache *cache, const char *reference, const char *digest)
{
    char key[WISP_OCI_DIGEST_LEN + 1], before[WISP_OCI_DIGEST_LEN + 1];
    if (wisp_oci_cache_recall(cache, reference, before) && strcmp(before, digest) == 0) return;
    WISP_CLEANUP_BUF struct wisp_buf note = {0};
    wisp_buf_printf(&note, "%s\n%s\n", digest, reference);
    wisp_oci_digest(wisp_str_from(reference), key);
    write_small(cache, WISP_OCI_REFS, wisp_oci_digest_hex(key), wisp_buf_str(&note));
}

int wisp_oci_hash_file(int fd, uint64_t size_max, char ret_digest[WISP_OCI_DIGEST_LEN + 1], struct wisp_err *err)
{
    WISP_CLEANUP_HASH struct wisp_oci_hash hash = {0};
    WISP_CLEANUP_FREE char *bytes = wisp_mem_alloc(READ_SIZE);
    wisp_oci_hash_start(&hash);
    for (uint64_t at = 0;;) {
        ssize_t n = pread(fd, bytes, READ_SIZE, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wisp_err_os(err, errno, "read");
        if (n == 0) break;
        at += (uint64_t)n;
        if (at > size_max)
            return wisp_err_set(err, WISP_ERR_LIMIT, "larger than %llu bytes", (unsigned long long)size_max);
        wisp_oci_hash_add(&hash, bytes, (size_t)n);
    }
    wisp_oci_hash_end(&hash, ret_digest);
    return 0;
}
