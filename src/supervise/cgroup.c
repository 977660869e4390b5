/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise/cgroup.h"

#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <uv.h>

/* Groups are named after who made them: wisp-child-PID-N. */
#define PREFIX "wisp-child-"
#define HOST_LEAF "/wisp-host"

enum {
    PATH_SIZE = 1024,
    FULL_SIZE = PATH_SIZE + 64,
    NAME_SIZE = 64,
    DEPTH_MAX = 32, /* of groups that a child has made below its own */
    SWEEP_MS = 1000,
};

struct wisp_cgroup {
    int base_fd, fd, procs_fd, events_fd;
    char name[NAME_SIZE];
};

/* --- where we are --- */

/* Our group's path within the hierarchy, from "0::/path". */
static int own_path(char path[PATH_SIZE], struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    char text[4 * PATH_SIZE];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0) return wisp_err_os(err, errno, "read /proc/self/cgroup");
    struct wisp_str rest = {text, (size_t)n}, line;
    while (wisp_str_split(rest, '\n', &line, &rest)) {
        if (!wisp_str_starts_with(line, WISP_STR("0::/")) || line.len >= PATH_SIZE) continue;
        snprintf(path, PATH_SIZE, "%.*s", (int)line.len - 3, line.ptr + 3);
        size_t len = strlen(path), leaf = strlen(HOST_LEAF);
        if (len >= leaf && strcmp(path + len - leaf, HOST_LEAF) == 0) path[len - leaf] = '\0';
        return 0;
    }
    return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "this system has no cgroup v2");
}

static int open_base(char full[FULL_SIZE], struct wisp_err *err)
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    char path[PATH_SIZE];
    int r = own_path(path, err);
    if (r < 0) return r;
    for (size_t i = 0; i < WISP_COUNT(mounts); i++) {
        struct statfs status;
        if (statfs(mounts[i], &status) < 0 || status.f_type != CGROUP2_SUPER_MAGIC) continue;
        snprintf(full, FULL_SIZE, "%s%s", mounts[i], path);
        int fd = open(full, O_DIRECTORY | O_CLOEXEC | O_RDONLY);
        return fd >= 0 ? fd : wisp_err_os(err, errno, "open control group `%s`", full);
    }
    return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "cgroup v2 is not mounted");
}

static int write_file(int dir_fd, const char *name, const char *text, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) return wisp_err_os(err, errno, "write %s", name);
    return 0;
}

/* --- limits --- */

static bool has_word(int dir_fd, const char *name, const char *word)
{
    char text[512];
    WISP_CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0) return false;
    text[n] = '\0';
    for (char *rest = text, *each; (each = strsep(&rest, " \n"));)
        if (strcmp(each, word) == 0) return true;
    return false;
}

/* Of the root only, the kernel divides what has processes of its own. For some controllers it takes the order all the
 * same, and then lets nobody into the groups below: so this is looked at before. */
static bool is_occupied(int base_fd)
{
    char byte;
    if (faccessat(base_fd, "cgroup.type", F_OK, 0) < 0) return false; /* the root */
    WISP_CLEANUP_FD int fd = openat(base_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, &byte, 1) == 1;
}

static int enable(int base_fd, const char *controller, struct wisp_err *err)
{
    char order[32];
    if (has_word(base_fd, "cgroup.subtree_control", controller)) return 0;
    if (!has_word(base_fd, "cgroup.controllers", controller))
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "it has no controller `%s` (version 2)", controller);
    if (is_occupied(base_fd))
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED,
                            "processes are in it: run the host in a group `wisp-host` below it (systemd: Delegate=yes, "
                            "DelegateSubgroup=wisp-host)");
    snprintf(order, sizeof order, "+%s", controller);
    return write_file(base_fd, "cgroup.subtree_control", order, err);
}

static int set_limits(const struct wisp_cgroup *cgroup, const struct wisp_cgroup_limits *limits, struct wisp_err *err)
{
    char text[64];
    int r = 0;
    if (limits->memory_bytes) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)limits->memory_bytes);
        r = write_file(cgroup->fd, "memory.max", text, err);
        if (r == 0) r = write_file(cgroup->fd, "memory.oom.group", "1", err);
        if (r == 0) (void)write_file(cgroup->fd, "memory.swap.max", "0", NULL); /* absent without swap */
    }
    if (r == 0 && limits->cpu_us) {
        snprintf(text, sizeof text, "%llu 100000", (unsigned long long)limits->cpu_us);
        r = write_file(cgroup->fd, "cpu.max", text, err);
    }
    return r;
}

static int enable_all(int base_fd, const struct wisp_cgroup_limits *limits, struct wisp_err *err)
{
    struct wisp_err own = {0};
    int r = limits->memory_bytes ? enable(base_fd, "memory", &own) : 0;
    if (r == 0 && limits->cpu_us) r = enable(base_fd, "cpu", &own);
    if (r < 0 && err) *err = own;
    return r;
}

/* --- what happens in it --- */

/* The number after a word in a file of such lines; 0 when there is none. */
static uint64_t count(int dir_fd, const char *name, const char *word)
{
    char text[1024];
    WISP_CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0) return 0;
    struct wisp_str rest = {text, (size_t)n}, line, key, value;
    uint64_t number;
    while (wisp_str_split(rest, '\n', &line, &rest))
        if (wisp_str_split(line, ' ', &key, &value) && wisp_str_is(key, word) &&
            wisp_parse_u64(value, UINT64_MAX, &number, NULL) == 0)
            return number;
    return 0;
}

/* Those that the kernel has killed may be in groups below it; the limit is its own. */
bool wisp_cgroup_ran_out(const struct wisp_cgroup *cgroup)
{
    return count(cgroup->fd, "memory.events", "oom_kill") > 0 && count(cgroup->fd, "memory.events.local", "oom") > 0;
}

static bool is_empty(int events_fd)
{
    char text[256];
    ssize_t n = pread(events_fd, text, sizeof text, 0);
    return n < 0 || !memmem(text, (size_t)n, "populated 1", strlen("populated 1"));
}

int wisp_cgroup_changes(struct wisp_cgroup *cgroup)
{
    if (cgroup->events_fd < 0) cgroup->events_fd = openat(cgroup->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    return cgroup->events_fd;
}

bool wisp_cgroup_is_empty(struct wisp_cgroup *cgroup)
{
    int fd = wisp_cgroup_changes(cgroup);
    return fd < 0 || is_empty(fd);
}

/* Kernels before 5.14 have no cgroup.kill. */
static void kill_one_by_one(int fd)
{
    WISP_CLEANUP_FD int procs_fd = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *file = procs_fd < 0 ? NULL : fdopen(procs_fd, "r");
    if (!file) return;
    procs_fd = -1;
    for (long pid; fscanf(file, "%ld", &pid) == 1;)
        if (pid > 1) kill((pid_t)pid, SIGKILL);
    fclose(file);
}

static void kill_all(int fd)
{
    if (write_file(fd, "cgroup.kill", "1", NULL) < 0) kill_one_by_one(fd);
}

void wisp_cgroup_kill(struct wisp_cgroup *cgroup) { kill_all(cgroup->fd); }

/* --- life --- */

static unsigned n_made;        /* names of one process; its loop's thread alone makes groups */
static unsigned n_left_behind; /* groups of ours whose last process was not quite gone; to be removed later */

static DIR *open_dir(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) wisp_fd_closep(&fd);
    return dir;
}

/* With what a child has made below it. False: processes are in it. */
static bool remove_tree(int dir_fd, const char *name, int depth)
{
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    DIR *dir = depth < DEPTH_MAX ? open_dir(dir_fd, name) : NULL;
    if (!dir) return false;
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') remove_tree(dirfd(dir), entry->d_name, depth + 1);
    closedir(dir);
    return unlinkat(dir_fd, name, AT_REMOVEDIR) == 0;
}

static long maker_of(const char *name) { return strtol(name + sizeof PREFIX - 1, NULL, 10); }

static void remove_left_behind(int base_fd)
{
    DIR *dir = n_left_behind > 0 ? open_dir(base_fd, ".") : NULL;
    n_left_behind = 0; /* what still can't be removed was not left behind: it is in use, or a sweep finds it */
    if (!dir) return;
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (wisp_str_starts_with(wisp_str_from(entry->d_name), WISP_STR(PREFIX)) && maker_of(entry->d_name) == getpid())
            remove_tree(base_fd, entry->d_name, 0);
    closedir(dir);
}

static int make_directory(struct wisp_cgroup *cgroup, struct wisp_err *err)
{
    int r;
    do {
        snprintf(cgroup->name, sizeof cgroup->name, PREFIX "%d-%u", (int)getpid(), ++n_made);
        r = mkdirat(cgroup->base_fd, cgroup->name, 0755);
    } while (r < 0 && errno == EEXIST);
    if (r < 0) return wisp_err_os(err, errno, "make one below it");
    cgroup->fd = openat(cgroup->base_fd, cgroup->name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    if (cgroup->fd < 0) return wisp_err_os(err, errno, "open the one below it");
    if (has_word(cgroup->fd, "cgroup.type", "invalid"))
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED,
                            "no process may enter a group below it, since it is divided and has processes too");
    return 0;
}

int wisp_cgroup_new(struct wisp_cgroup **ret_cgroup, const struct wisp_cgroup_limits *limits, struct wisp_err *err)
{
    char path[FULL_SIZE];
    int base_fd = open_base(path, err);
    if (base_fd < 0) return base_fd;
    struct wisp_cgroup *cgroup = wisp_mem_calloc(1, sizeof *cgroup);
    *cgroup = (struct wisp_cgroup){.base_fd = base_fd, .fd = -1, .procs_fd = -1, .events_fd = -1};
    remove_left_behind(base_fd);
    int r = enable_all(base_fd, limits, err);
    if (r == 0) r = make_directory(cgroup, err);
    if (r == 0) r = set_limits(cgroup, limits, err);
    if (r == 0 && (cgroup->procs_fd = openat(cgroup->fd, "cgroup.procs", O_RDWR | O_CLOEXEC)) < 0)
        r = wisp_err_os(err, errno, "open cgroup.procs");
    if (r < 0) {
        wisp_cgroup_free(cgroup);
        return wisp_err_wrap(err, "divide control group `%s`", path);
    }
    *ret_cgroup = cgroup;
    return 0;
}

int wisp_cgroup_entrance(const struct wisp_cgroup *cgroup) { return cgroup->procs_fd; }

void wisp_cgroup_free(struct wisp_cgroup *cgroup)
{
    if (!cgroup) return;
    if (cgroup->fd >= 0 && !remove_tree(cgroup->base_fd, cgroup->name, 0)) n_left_behind++;
    wisp_fd_closep(&cgroup->events_fd);
    wisp_fd_closep(&cgroup->procs_fd);
    wisp_fd_closep(&cgroup->fd);
    wisp_fd_closep(&cgroup->base_fd);
    free(cgroup);
}

/* --- what was left behind --- */

static uint64_t now_ms(void) { return uv_hrtime() / 1000000; }

static void wait_until_empty(int fd, uint64_t until_ms)
{
    WISP_CLEANUP_FD int events_fd = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    struct pollfd change = {.fd = events_fd, .events = POLLPRI};
    for (uint64_t now; events_fd >= 0 && !is_empty(events_fd) && (now = now_ms()) < until_ms;)
        if (poll(&change, 1, (int)(until_ms - now)) < 0 && errno != EINTR) return;
}

/* A number may have been given again: to us, who have not made any yet. */
static bool is_stale(const char *name)
{
    long maker = maker_of(name);
    if (maker == getpid()) return n_made == 0;
    return maker > 1 && kill((pid_t)maker, 0) < 0 && errno == ESRCH;
}

static void sweep_one(int base_fd, const char *name, uint64_t until_ms)
{
    WISP_CLEANUP_FD int fd = openat(base_fd, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    kill_all(fd);
    wait_until_empty(fd, until_ms);
    remove_tree(base_fd, name, 0);
}

void wisp_cgroup_sweep(void)
{
    char path[FULL_SIZE];
    WISP_CLEANUP_FD int base_fd = open_base(path, NULL);
    DIR *dir = base_fd < 0 ? NULL : open_dir(base_fd, ".");
    if (!dir) return;
    uint64_t until_ms = now_ms() + SWEEP_MS;
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (wisp_str_starts_with(wisp_str_from(entry->d_name), WISP_STR(PREFIX)) && is_stale(entry->d_name))
            sweep_one(base_fd, entry->d_name, until_ms);
    closedir(dir);
}
