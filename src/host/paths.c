/* SPDX-License-Identifier: Apache-2.0 */
#include "host/paths.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    FILE_SIZE_MAX = 16 << 20,
    SOCKET_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
    SOCKET_NAME_MAX = sizeof "/host-00/worker-0000000000.sock" - 1, /* the longest below STATE */
};

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* $XDG/wisp or ~/FALLBACK/wisp. The specification wants relative values ignored. */
static int base_directory(const char *xdg, const char *fallback, char *out, struct wisp_err *err)
{
    const char *base = variable(xdg), *home = variable("HOME");
    int n;
    if (base && *base == '/')
        n = snprintf(out, WISP_PATH_MAX, "%s/wisp", base);
    else if (home)
        n = snprintf(out, WISP_PATH_MAX, "%s/%s/wisp", home, fallback);
    else
        return wisp_err_set(err, WISP_ERR_INVALID, "neither %s nor HOME is set; give a directory with --state", xdg);
    if (n >= WISP_PATH_MAX) return wisp_err_set(err, WISP_ERR_INVALID, "the path in %s is too long", xdg);
    return 0;
}

/* `--state` or the variable, made absolute, else the user's. */
static int state_root(const char *state, char out[WISP_PATH_MAX], struct wisp_err *err)
{
    if (!state) state = variable("WISP_STATE");
    if (!state) return base_directory("XDG_STATE_HOME", ".local/state", out, err);
    char cwd[WISP_PATH_MAX] = "";
    if (*state != '/' && !getcwd(cwd, sizeof cwd)) return wisp_err_os(err, errno, "current directory");
    int n = snprintf(out, WISP_PATH_MAX, "%s%s%s", cwd, *cwd ? "/" : "", state);
    return n < WISP_PATH_MAX ? 0 : wisp_err_set(err, WISP_ERR_INVALID, "the path is too long");
}

static int state_directory(struct wisp_paths *paths, const char *state, const char *lattice, struct wisp_err *err)
{
    char root[WISP_PATH_MAX];
    int r = state_root(state, root, err);
    if (r < 0) return r;
    if (!*lattice || *lattice == '.' || strchr(lattice, '/'))
        return wisp_err_set(err, WISP_ERR_INVALID, "`%s` can't be the name of a lattice", lattice);
    int n = snprintf(paths->state, sizeof paths->state, "%s/%s", root, lattice);
    return n < (int)sizeof paths->state ? 0 : wisp_err_set(err, WISP_ERR_INVALID, "the path is too long");
}

static void join(char out[WISP_PATH_MAX], const char *directory, const char *name)
{
    int n = snprintf(out, WISP_PATH_MAX, "%s/%s", directory, name);
    assert(n < WISP_PATH_MAX); /* STATE is bounded by the limit for sockets */
    (void)n;
}

int wisp_paths_init(struct wisp_paths *paths, const char *state, const char *lattice, struct wisp_err *err)
{
    *paths = (struct wisp_paths){.lock_fd = -1};
    int r = state_directory(paths, state, lattice, err);
    if (r < 0) return wisp_err_wrap(err, "state directory");
    if (strlen(paths->state) + SOCKET_NAME_MAX > SOCKET_PATH_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID,
                            "state directory `%s`: Unix sockets in it would have names of more than %d bytes; give a "
                            "shorter one with --state",
                            paths->state, SOCKET_PATH_MAX);
    join(paths->socket, paths->state, "bus.sock");
    wisp_paths_select_host(paths, 0);
    char cache[WISP_PATH_MAX];
    if ((r = base_directory("XDG_CACHE_HOME", ".cache", cache, err)) < 0) return wisp_err_wrap(err, "cache directory");
    int n = snprintf(paths->cache, sizeof paths->cache, "%s/artifacts", cache);
    if (n >= (int)sizeof paths->cache) return wisp_err_set(err, WISP_ERR_INVALID, "cache directory: path too long");
    return 0;
}

void wisp_paths_select_host(struct wisp_paths *paths, uint32_t number)
{
    char name[32];
    paths->host_number = number;
    snprintf(name, sizeof name, "host-%u", number);
    join(paths->host, paths->state, name);
    join(paths->log, paths->host, "wisp.log");
}

/* --- directories --- */

static int make_directories(const char *path, struct wisp_err *err)
{
    char part[WISP_PATH_MAX];
    size_t len = strlen(path);
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST) return wisp_err_os(err, errno, "make directory `%s`", part);
        part[i] = path[i];
    }
    struct stat status;
    if (stat(path, &status) < 0) return wisp_err_os(err, errno, "directory `%s`", path);
    if (!S_ISDIR(status.st_mode)) return wisp_err_set(err, WISP_ERR_INVALID, "`%s` is no directory", path);
    if (status.st_uid != geteuid() || status.st_mode & (S_IWGRP | S_IWOTH))
        return wisp_err_set(err, WISP_ERR_DENIED, "directory `%s` could be changed by other users", path);
    return 0;
}

/* EXISTS: another process has it. */
static int lock_host(const char *directory, int *ret_fd, struct wisp_err *err)
{
    char path[WISP_PATH_MAX];
    join(path, directory, "lock");
    WISP_CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return wisp_err_os(err, errno, "open `%s`", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK) return wisp_err_set(err, WISP_ERR_EXISTS, "`%s` is taken", directory);
        return wisp_err_os(err, errno, "lock `%s`", path);
    }
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

int wisp_paths_claim_host(struct wisp_paths *paths, struct wisp_err *err)
{
    for (uint32_t number = 0; number < WISP_PATHS_HOSTS_MAX; number++) {
        wisp_paths_select_host(paths, number);
        int r = make_directories(paths->host, err);
        if (r == 0) r = lock_host(paths->host, &paths->lock_fd, err);
        if (r != -WISP_ERR_EXISTS) return r;
    }
    return wisp_err_set(err, WISP_ERR_LIMIT, "%d hosts of this lattice run on this machine already",
                        WISP_PATHS_HOSTS_MAX);
}

void wisp_paths_deinit(struct wisp_paths *paths) { wisp_fd_closep(&paths->lock_fd); }

int wisp_paths_running_pid(const struct wisp_paths *paths, uint32_t number)
{
    struct wisp_paths other = *paths;
    wisp_paths_select_host(&other, number);
    if (access(other.host, F_OK) < 0) return 0;
    WISP_CLEANUP_FD int fd = -1;
    if (lock_host(other.host, &fd, NULL) != -WISP_ERR_EXISTS) return 0;
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    if (wisp_paths_read(other.host, "pid", &text, NULL) < 0) return 0;
    wisp_buf_append_char(&text, '\0');
    int pid = atoi(text.data);
    return pid > 1 ? pid : 0;
}

/* --- files --- */

int wisp_paths_read(const char *directory, const char *name, struct wisp_buf *out, struct wisp_err *err)
{
    char path[WISP_PATH_MAX];
    join(path, directory, name);
    WISP_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return wisp_err_os(err, errno, "open `%s`", path);
    for (;;) {
        ssize_t n = read(fd, wisp_buf_reserve(out, 4096), 4096);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wisp_err_os(err, errno, "read `%s`", path);
        if (n == 0) return 0;
        out->len += (size_t)n;
        if (out->len > FILE_SIZE_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "`%s` is too large", path);
    }
}

static int write_all(int fd, struct wisp_str bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        bytes.ptr += n;
        bytes.len -= (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

int wisp_paths_write(const char *directory, const char *name, struct wisp_str bytes, struct wisp_err *err)
{
    char path[WISP_PATH_MAX], fresh[WISP_PATH_MAX];
    join(path, directory, name);
    snprintf(fresh, sizeof fresh, "%.*s.new", WISP_PATH_MAX - 5, path);
    WISP_CLEANUP_FD int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return wisp_err_os(err, errno, "write `%s`", path);
    int r = write_all(fd, bytes);
    if (r == 0 && rename(fresh, path) < 0) r = -errno;
    if (r == 0) return 0;
    unlink(fresh);
    return wisp_err_os(err, -r, "write `%s`", path);
}
