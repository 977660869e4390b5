/* SPDX-License-Identifier: Apache-2.0 */
/* Paths are resolved beneath the root, and an object's beneath its container, by the kernel (fs_path.h), so that
 * neither
 * `..` nor a link that someone put there leads out. */
#include "capability/blobstore/fs_priv.h"
#include "wasi/filesystem/fs_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    OBJECT_NAME_MAX = 1024,
    OBJECT_PARTS_MAX = 64, /* directories that a name may stand for */
    DEPTH_MAX = 128,       /* of directories that are removed */
    LIST_MAX = 1000 * 1000,
    COPY_PIECE = 16 << 20,
    COPY_BUFFER = 128 * 1024,
    STALE_AFTER_S = 24 * 60 * 60,
};

/* --- names --- */

static int invalid(struct wisp_err *err, const char *what, struct wisp_str name, const char *why)
{
    return wisp_err_set(err, WISP_ERR_INVALID, "%s `%.*s` %s", what, WISP_STR_ARG(name), why);
}

static bool is_plain(struct wisp_str part)
{
    return part.len > 0 && part.len <= NAME_MAX && !wisp_str_is(part, ".") && !wisp_str_is(part, "..");
}

static int check_container(struct wisp_str name, struct wisp_err *err)
{
    if (name.len == 0) return wisp_err_set(err, WISP_ERR_INVALID, "a container needs a name");
    if (memchr(name.ptr, '\0', name.len) || memchr(name.ptr, '/', name.len) || !is_plain(name) ||
        wisp_str_is(name, WISP_BLOBSTORE_FS_UPLOADS))
        return invalid(err, "container", name, "can't have this name");
    return 0;
}

int wisp_blobstore_fs_check_object(struct wisp_str name, struct wisp_err *err)
{
    struct wisp_str rest = name, part;
    size_t n = 0;
    if (name.len == 0) return wisp_err_set(err, WISP_ERR_INVALID, "an object needs a name");
    if (name.len > OBJECT_NAME_MAX) return wisp_err_set(err, WISP_ERR_INVALID, "an object's name is too long");
    if (memchr(name.ptr, '\0', name.len)) return wisp_err_set(err, WISP_ERR_INVALID, "an object's name has a NUL");
    while (wisp_str_split(rest, '/', &part, &rest))
        if (!is_plain(part) || ++n == OBJECT_PARTS_MAX) return invalid(err, "object", name, "can't have this name");
    return is_plain(rest) ? 0 : invalid(err, "object", name, "can't have this name");
}

static int container_failed(struct wisp_err *err, struct wisp_str name, int error)
{
    if (error == ENOENT || error == ENOTDIR)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "container `%.*s` does not exist", WISP_STR_ARG(name));
    if (error == EPERM || error == EXDEV || error == ELOOP)
        return wisp_err_set(err, WISP_ERR_DENIED, "container `%.*s` leads out of the store", WISP_STR_ARG(name));
    return wisp_err_os(err, error, "container `%.*s`", WISP_STR_ARG(name));
}

static int object_failed(struct wisp_err *err, const struct wisp_blobstore_id *id, int error)
{
    if (error == ENOENT || error == ENOTDIR)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "object `%.*s` does not exist in container `%.*s`",
                            WISP_STR_ARG(id->object), WISP_STR_ARG(id->container));
    if (error == EPERM || error == EXDEV || error == ELOOP)
        return wisp_err_set(err, WISP_ERR_DENIED, "object `%.*s` leads out of container `%.*s`",
                            WISP_STR_ARG(id->object), WISP_STR_ARG(id->container));
    return wisp_err_os(err, error, "object `%.*s` in container `%.*s`", WISP_STR_ARG(id->object),
                       WISP_STR_ARG(id->container));
}

/* --- opening --- */

int wisp_blobstore_fs_open_container(const struct wisp_blobstore_fs *fs, struct wisp_str name, int *ret_fd,
                                     struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    int r = check_container(name, err);
    if (r < 0) return r;
    int error = wisp_fs_open_beneath(&arena, fs->root, name, O_RDONLY | O_DIRECTORY, 0, ret_fd);
    return error ? container_failed(err, name, error) : 0;
}

static int stat_file(int fd, uint64_t *ret_created_at, uint64_t *ret_size, bool *ret_is_regular)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME | STATX_SIZE | STATX_TYPE, &st) < 0) return errno;
    *ret_created_at = st.stx_mask & STATX_BTIME && st.stx_btime.tv_sec > 0 ? (uint64_t)st.stx_btime.tv_sec : 0;
    *ret_size = st.stx_size;
    *ret_is_regular = S_ISREG(st.stx_mode);
    return 0;
}

/* O_NONBLOCK: what is no regular file is found to be none without waiting for it. */
static int open_file(int container, const struct wisp_blobstore_id *id, int *ret_fd, uint64_t *ret_created_at,
                     uint64_t *ret_size, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_FD int fd = -1;
    bool is_regular = false;
    int r = wisp_blobstore_fs_check_object(id->object, err);
    if (r < 0) return r;
    int error = wisp_fs_open_beneath(&arena, container, id->object, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd);
    if (!error) error = stat_file(fd, ret_created_at, ret_size, &is_regular);
    if (!error && !is_regular) error = ENOENT;
    if (error) return object_failed(err, id, error);
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

int wisp_blobstore_fs_open_object(const struct wisp_blobstore_fs *fs, const struct wisp_blobstore_id *id, int *ret_fd,
                                  uint64_t *ret_created_at, uint64_t *ret_size, struct wisp_err *err)
{
    WISP_CLEANUP_FD int container = -1;
    int r = wisp_blobstore_fs_open_container(fs, id->container, &container, err);
    return r < 0 ? r : open_file(container, id, ret_fd, ret_created_at, ret_size, err);
}

/* --- writing --- */

int wisp_blobstore_fs_new_temporary(const struct wisp_blobstore_fs *fs, char *name, int *ret_fd, struct wisp_err *err)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != sizeof random) return wisp_err_os(err, errno, "a random name");
    snprintf(name, WISP_BLOBSTORE_FS_TEMPORARY_MAX, "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
    *ret_fd = openat(fs->uploads, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    return *ret_fd < 0 ? wisp_err_os(err, errno, "a file for the upload") : 0;
}

/* "a/b/c": a and a/b. */
static int make_parents(struct wisp_arena *arena, int container, struct wisp_str object)
{
    for (size_t i = 0; i < object.len; i++) {
        WISP_CLEANUP_PLACE struct wisp_fs_place place = {0};
        if (object.ptr[i] != '/') continue;
        int error = wisp_fs_locate(arena, container, (struct wisp_str){object.ptr, i}, EINVAL, &place);
        if (!error && mkdirat(place.directory, place.name, 0777) < 0 && errno != EEXIST) error = errno;
        if (error) return error;
    }
    return 0;
}

/* `from_name` in `from` becomes the object. */
static int rename_to(int from, const char *from_name, int container, struct wisp_str object)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_PLACE struct wisp_fs_place place = {0};
    int error = make_parents(&arena, container, object);
    if (!error) error = wisp_fs_locate(&arena, container, object, EISDIR, &place);
    if (!error && renameat(from, from_name, place.directory, place.name) < 0) error = errno;
    return error;
}

int wisp_blobstore_fs_commit(const struct wisp_blobstore_fs *fs, int fd, const char *temporary,
                             const struct wisp_blobstore_id *id, struct wisp_err *err)
{
    WISP_CLEANUP_FD int container = -1;
    int r = wisp_blobstore_fs_open_container(fs, id->container, &container, err);
    if (r == 0 && fdatasync(fd) < 0) r = object_failed(err, id, errno);
    if (r < 0) return r;
    int error = rename_to(fs->uploads, temporary, container, id->object);
    return error ? object_failed(err, id, error) : 0;
}

/* --- containers --- */

int wisp_blobstore_fs_container_exists(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op,
                                       struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = -1;
    int r = wisp_blobstore_fs_open_container(fs, op->id.container, &fd, err);
    op->exists = r == 0;
    return r == -WISP_ERR_NOT_FOUND ? 0 : r;
}

int wisp_blobstore_fs_create(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    int r = check_container(op->id.container, err);
    if (r < 0) return r;
    if (mkdirat(fs->root, wisp_arena_cstr(&arena, op->id.container), 0777) == 0 || errno == EEXIST) return 0;
    return container_failed(err, op->id.container, errno);
}

int wisp_blobstore_fs_container_info(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op,
                                     struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = -1;
    uint64_t size;
    bool is_regular;
    int r = wisp_blobstore_fs_open_container(fs, op->id.container, &fd, err);
    if (r < 0) return r;
    int error = stat_file(fd, &op->created_at, &size, &is_regular);
    return error ? container_failed(err, op->id.container, error) : 0;
}

static int remove_contents(int directory, int depth);

/* 0 or an errno. */
static int remove_entry(int directory, const char *name, int depth)
{
    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR && errno != EPERM) return errno;
    if (depth == DEPTH_MAX) return ENAMETOOLONG;
    int inner = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner < 0) return errno;
    int error = remove_contents(inner, depth + 1);
    if (!error && unlinkat(directory, name, AT_REMOVEDIR) < 0 && errno != ENOENT) error = errno;
    return error;
}

/* Takes the descriptor. */
static int remove_contents(int directory, int depth)
{
    DIR *dir = fdopendir(directory);
    int error = 0;
    if (!dir) {
        error = errno;
        close(directory);
        return error;
    }
    for (struct dirent *entry; !error && (errno = 0, entry = readdir(dir));)
        if (is_plain(wisp_str_from(entry->d_name))) error = remove_entry(dirfd(dir), entry->d_name, depth);
    if (!error) error = errno;
    closedir(dir);
    return error;
}

int wisp_blobstore_fs_clear(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op, struct wisp_err *err)
{
    int fd;
    int r = wisp_blobstore_fs_open_container(fs, op->id.container, &fd, err);
    if (r < 0) return r;
    int error = remove_contents(fd, 0);
    return error ? container_failed(err, op->id.container, error) : 0;
}

int wisp_blobstore_fs_delete_container(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op,
                                       struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    int r = wisp_blobstore_fs_clear(fs, op, err);
    if (r < 0) return r;
    if (unlinkat(fs->root, wisp_arena_cstr(&arena, op->id.container), AT_REMOVEDIR) == 0) return 0;
    return container_failed(err, op->id.container, errno);
}

/* --- objects --- */

int wisp_blobstore_fs_object_info(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op,
                                  struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = -1;
    return wisp_blobstore_fs_open_object(fs, &op->id, &fd, &op->created_at, &op->size, err);
}

int wisp_blobstore_fs_has_object(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op, struct wisp_err *err)
{
    WISP_CLEANUP_FD int container = -1, fd = -1;
    int r = wisp_blobstore_fs_open_container(fs, op->id.container, &container, err);
    if (r < 0) return r;
    r = open_file(container, &op->id, &fd, &op->created_at, &op->size, err);
    op->exists = r == 0;
    return r == -WISP_ERR_NOT_FOUND ? 0 : r;
}

static int delete_file(int container, const struct wisp_blobstore_id *id, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_PLACE struct wisp_fs_place place = {0};
    int r = wisp_blobstore_fs_check_object(id->object, err);
    if (r < 0) return r;
    int error = wisp_fs_locate(&arena, container, id->object, EISDIR, &place);
    if (!error && unlinkat(place.directory, place.name, 0) < 0) error = errno;
    bool is_gone = !error || error == ENOENT || error == ENOTDIR || error == EISDIR;
    return is_gone ? 0 : object_failed(err, id, error);
}

int wisp_blobstore_fs_delete_object(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op,
                                    struct wisp_err *err)
{
    op->objects = (struct wisp_blobstore_names){&op->id.object, 1};
    return wisp_blobstore_fs_delete_objects(fs, op, err);
}

int wisp_blobstore_fs_delete_objects(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op,
                                     struct wisp_err *err)
{
    WISP_CLEANUP_FD int container = -1;
    int r = wisp_blobstore_fs_open_container(fs, op->id.container, &container, err);
    for (size_t i = 0; i < op->objects.len && r == 0; i++) {
        struct wisp_blobstore_id id = {op->id.container, op->objects.ptr[i]};
        r = delete_file(container, &id, err);
    }
    return r;
}

int wisp_blobstore_fs_move(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_PLACE struct wisp_fs_place place = {0};
    WISP_CLEANUP_FD int container = -1, target = -1, fd = -1;
    int r = wisp_blobstore_fs_open_container(fs, op->id.container, &container, err);
    if (r == 0) r = wisp_blobstore_fs_open_container(fs, op->target.container, &target, err);
    if (r == 0) r = wisp_blobstore_fs_check_object(op->target.object, err);
    if (r == 0) r = open_file(container, &op->id, &fd, &op->created_at, &op->size, err);
    if (r < 0) return r;
    int error = wisp_fs_locate(&arena, container, op->id.object, EISDIR, &place);
    if (error) return object_failed(err, &op->id, error);
    error = rename_to(place.directory, place.name, target, op->target.object);
    return error ? object_failed(err, &op->target, error) : 0;
}

/* --- copying --- */

static int copy_by_hand(int from, int to)
{
    WISP_CLEANUP_FREE char *buffer = wisp_mem_alloc(COPY_BUFFER);
    for (;;) {
        ssize_t n = read(from, buffer, COPY_BUFFER);
        if (n <= 0) return n < 0 ? errno : 0;
        for (ssize_t at = 0, written; at < n; at += written)
            if ((written = write(to, buffer + at, (size_t)(n - at))) < 0) return errno;
    }
}

static int copy_bytes(int from, int to)
{
    for (;;) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, COPY_PIECE, 0);
        if (n == 0) return 0;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EXDEV || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
            return copy_by_hand(from, to);
        if (n < 0) return errno;
    }
}

int wisp_blobstore_fs_copy(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op, struct wisp_err *err)
{
    WISP_CLEANUP_FD int from = -1, to = -1;
    char temporary[WISP_BLOBSTORE_FS_TEMPORARY_MAX];
    int r = wisp_blobstore_fs_open_object(fs, &op->id, &from, &op->created_at, &op->size, err);
    if (r == 0) r = wisp_blobstore_fs_check_object(op->target.object, err);
    if (r == 0) r = wisp_blobstore_fs_new_temporary(fs, temporary, &to, err);
    if (r < 0) return r;
    int error = copy_bytes(from, to);
    r = error ? object_failed(err, &op->target, error) : wisp_blobstore_fs_commit(fs, to, temporary, &op->target, err);
    if (r < 0) unlinkat(fs->uploads, temporary, 0);
    return r;
}

/* --- lists --- */

static bool is_object(int directory, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN) return entry->d_type == DT_REG;
    return fstatat(directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static int collect(DIR *dir, struct wisp_blobstore_listing *listing, struct wisp_err *err)
{
    for (struct dirent *entry; (errno = 0, entry = readdir(dir));) {
        struct wisp_str name = wisp_str_from(entry->d_name);
        if (!is_object(dirfd(dir), entry) || !wisp_str_is_utf8(name)) continue;
        if (listing->n == LIST_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d objects", LIST_MAX);
        wisp_blobstore_listing_add(listing, name);
    }
    return errno ? wisp_err_os(err, errno, "reading the container") : 0;
}

int wisp_blobstore_fs_list(const struct wisp_blobstore_fs *fs, struct wisp_str container,
                           struct wisp_blobstore_listing *listing, struct wisp_err *err)
{
    int fd;
    int r = wisp_blobstore_fs_open_container(fs, container, &fd, err);
    if (r < 0) return r;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return container_failed(err, container, ENOENT);
    }
    r = collect(dir, listing, err);
    closedir(dir);
    wisp_blobstore_listing_sort(listing);
    return r;
}

/* --- what was left behind --- */

void wisp_blobstore_fs_sweep(const struct wisp_blobstore_fs *fs)
{
    int fd = openat(fs->uploads, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;
    if (!dir) {
        if (fd >= 0) close(fd);
        return;
    }
    time_t stale = time(NULL) - STALE_AFTER_S;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_mtime < stale)
            unlinkat(fd, entry->d_name, 0);
    closedir(dir);
}
