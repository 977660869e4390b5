/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise/cgroup.h"

#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Groups are named after who made them: wisp-child-PID-N. */
#define PREFIX "wisp-child-"
#define HOST_LEAF "/wisp-host"

enum { PATH_SIZE = 1024, NAME_SIZE = 64 };

struct wisp_cgroup {
    int base_fd, fd, procs_fd;
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

static int open_base(struct wisp_err *err)
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    char path[PATH_SIZE], full[2 * PATH_SIZE];
    int r = own_path(path, err);
    if (r < 0) return r;
    for (size_t i = 0; i < WISP_COUNT(mounts); i++) {
        struct statfs status;
        if (statfs(mounts[i], &status) < 0 || status.f_type != CGROUP2_SUPER_MAGIC) continue;
        snprintf(full, sizeof full, "%s%s", mounts[i], path);
        int fd = open(full, O_DIRECTORY | O_CLOEXEC | O_RDONLY);
        return fd >= 0 ? fd : wisp_err_os(err, errno, "open control group `%s`", full);
    }
    return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "cgroup v2 is not mounted");
}

static int write_file(int dir_fd, const char *name, const char *text, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) return wisp_err_os(err, errno, "control group: write %s", name);
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

static int enable(int base_fd, const char *controller, struct wisp_err *err)
{
    char order[32];
    if (has_word(base_fd, "cgroup.subtree_control", controller)) return 0;
    if (!has_word(base_fd, "cgroup.controllers", controller))
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "the host's control group (v2) has no controller `%s`",
                            controller);
    snprintf(order, sizeof order, "+%s", controller);
    int r = write_file(base_fd, "cgroup.subtree_control", order, err);
    if (r < 0 && err && err->os_errno == EBUSY)
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED,
                            "processes are in the host's control group itself: run it in a group `wisp-host` below its "
                            "own (systemd: Delegate=yes, DelegateSubgroup=wisp-host)");
    return r;
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

/* --- life --- */

static void remove_empty(int base_fd);
static unsigned n_left_behind; /* groups of ours whose last process was not quite gone; to be removed later */

int wisp_cgroup_new(struct wisp_cgroup **ret_cgroup, const struct wisp_cgroup_limits *limits, struct wisp_err *err)
{
    static unsigned counter; /* names of one process; its loop's thread alone makes groups */
    int base_fd = open_base(err);
    if (base_fd < 0) return base_fd;
    struct wisp_cgroup *cgroup = wisp_mem_calloc(1, sizeof *cgroup);
    *cgroup = (struct wisp_cgroup){.base_fd = base_fd, .fd = -1, .procs_fd = -1};
    if (n_left_behind > 0) remove_empty(base_fd);
    snprintf(cgroup->name, sizeof cgroup->name, PREFIX "%d-%u", (int)getpid(), ++counter);
    int r = enable_all(base_fd, limits, err);
    if (r == 0 && mkdirat(base_fd, cgroup->name, 0755) < 0)
        r = wisp_err_os(err, errno, "make a control group below the host's");
    if (r == 0 && (cgroup->fd = openat(base_fd, cgroup->name, O_DIRECTORY | O_RDONLY | O_CLOEXEC)) < 0)
        r = wisp_err_os(err, errno, "open a control group");
    if (r == 0) r = set_limits(cgroup, limits, err);
    if (r == 0 && (cgroup->procs_fd = openat(cgroup->fd, "cgroup.procs", O_RDWR | O_CLOEXEC)) < 0)
        r = wisp_err_os(err, errno, "open a control group's cgroup.procs");
    if (r < 0) {
        wisp_cgroup_free(cgroup);
        return r;
    }
    *ret_cgroup = cgroup;
    return 0;
}

int wisp_cgroup_entrance(const struct wisp_cgroup *cgroup) { return cgroup->procs_fd; }

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

void wisp_cgroup_free(struct wisp_cgroup *cgroup)
{
    if (!cgroup) return;
    if (cgroup->fd >= 0 && unlinkat(cgroup->base_fd, cgroup->name, AT_REMOVEDIR) < 0) n_left_behind++;
    wisp_fd_closep(&cgroup->procs_fd);
    wisp_fd_closep(&cgroup->fd);
    wisp_fd_closep(&cgroup->base_fd);
    free(cgroup);
}

/* --- what was left behind --- */

static void each_group(int base_fd, void (*visit)(int base_fd, const char *name))
{
    int fd = openat(base_fd, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        wisp_fd_closep(&fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) == 0) visit(base_fd, entry->d_name);
    closedir(dir);
}

static long maker_of(const char *name) { return strtol(name + sizeof PREFIX - 1, NULL, 10); }

/* One of ours; if it has processes it refuses. */
static void remove_one(int base_fd, const char *name)
{
    if (maker_of(name) == getpid()) unlinkat(base_fd, name, AT_REMOVEDIR);
}

static void remove_empty(int base_fd)
{
    n_left_behind = 0; /* what still can't be removed was not left behind: it is in use, or a sweep finds it */
    each_group(base_fd, remove_one);
}

static void sweep_one(int base_fd, const char *name)
{
    long maker = maker_of(name);
    if (maker <= 1 || kill((pid_t)maker, 0) == 0 || errno != ESRCH) return;
    WISP_CLEANUP_FD int fd = openat(base_fd, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    if (fd >= 0) kill_all(fd);
    unlinkat(base_fd, name, AT_REMOVEDIR);
}

void wisp_cgroup_sweep(void)
{
    WISP_CLEANUP_FD int base_fd = open_base(NULL);
    if (base_fd >= 0) each_group(base_fd, sweep_one);
}
