/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise/confine.h"

#include "base/mem.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CPU_PERIOD_US = 100000, CPU_CORES_MAX = 1024, ENV_NAMES_MAX = 256 };

struct path_rule {
    char *path;
    bool may_write;
};

struct wisp_confine {
    bool has_user;
    uid_t uid;
    gid_t gid, groups[WISP_CONFINE_GROUPS_MAX];
    size_t n_groups;
    uint64_t memory_bytes, cpu_us;
    bool has_paths, has_filter;
    struct path_rule paths[WISP_CONFINE_PATHS_MAX];
    size_t n_paths;
    char *env[ENV_NAMES_MAX];
    size_t n_env;
};

/* --- settings --- */

static struct wisp_str trim(struct wisp_str text)
{
    while (text.len && text.ptr[0] == ' ') text = (struct wisp_str){text.ptr + 1, text.len - 1};
    while (text.len && text.ptr[text.len - 1] == ' ') text.len--;
    return text;
}

/* The next part of a list with commas; false: there is none. */
static bool next_part(struct wisp_str *rest, struct wisp_str *ret_part)
{
    while (rest->len) {
        struct wisp_str part = *rest, tail = {0};
        wisp_str_split(*rest, ',', &part, &tail);
        *rest = tail;
        *ret_part = trim(part);
        if (ret_part->len) return true;
    }
    return false;
}

static int take_numbers(struct wisp_confine *confine, struct wisp_str text, struct wisp_err *err)
{
    struct wisp_str uid_text = text, gid_text = {0};
    uint64_t uid, gid;
    bool has_gid = wisp_str_split(text, ':', &uid_text, &gid_text);
    int r = wisp_parse_u64(uid_text, UINT32_MAX - 1, &uid, err);
    if (r == 0) r = has_gid ? wisp_parse_u64(gid_text, UINT32_MAX - 1, &gid, err) : 0;
    if (r < 0) return r;
    confine->uid = (uid_t)uid;
    confine->gid = has_gid ? (gid_t)gid : (gid_t)uid;
    return 0;
}

static int take_user(struct wisp_confine *confine, struct wisp_str text, struct wisp_err *err)
{
    confine->has_user = true;
    if (text.len && text.ptr[0] >= '0' && text.ptr[0] <= '9') return take_numbers(confine, text, err);
    WISP_CLEANUP_FREE char *name = wisp_mem_dup(text);
    errno = 0;
    const struct passwd *user = getpwnam(name);
    if (!user) return wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no user `%s`", name);
    int n = WISP_CONFINE_GROUPS_MAX;
    confine->uid = user->pw_uid;
    confine->gid = user->pw_gid;
    if (getgrouplist(name, user->pw_gid, confine->groups, &n) < 0)
        return wisp_err_set(err, WISP_ERR_LIMIT, "user `%s` is in more than %d groups", name, WISP_CONFINE_GROUPS_MAX);
    confine->n_groups = (size_t)n;
    return 0;
}

/* "1", "0.25" in cores. */
static int take_cpu(struct wisp_confine *confine, struct wisp_str text, struct wisp_err *err)
{
    struct wisp_str whole_text = text, part_text = {0};
    uint64_t whole = 0, part = 0, unit = CPU_PERIOD_US;
    bool has_part = wisp_str_split(text, '.', &whole_text, &part_text);
    int r = wisp_parse_u64(whole_text, CPU_CORES_MAX, &whole, err);
    if (r == 0 && has_part && part_text.len > 5) r = wisp_err_set(err, WISP_ERR_INVALID, "too many digits");
    if (r == 0 && has_part) r = wisp_parse_u64(part_text, CPU_PERIOD_US, &part, err);
    if (r < 0) return r;
    for (size_t i = 0; i < part_text.len; i++) unit /= 10;
    confine->cpu_us = whole * CPU_PERIOD_US + part * unit;
    if (confine->cpu_us < 1000) return wisp_err_set(err, WISP_ERR_INVALID, "less than 0.01 cores");
    return 0;
}

static int take_memory(struct wisp_confine *confine, struct wisp_str text, struct wisp_err *err)
{
    int r = wisp_parse_size(text, &confine->memory_bytes, err);
    if (r == 0 && !confine->memory_bytes) r = wisp_err_set(err, WISP_ERR_INVALID, "no memory at all");
    return r;
}

static int take_paths(struct wisp_confine *confine, struct wisp_str text, struct wisp_err *err)
{
    struct wisp_str part;
    confine->has_paths = true;
    while (next_part(&text, &part)) {
        bool may_write = part.len > 3 && memcmp(part.ptr + part.len - 3, ":rw", 3) == 0;
        if (may_write) part.len -= 3;
        if (part.ptr[0] != '/')
            return wisp_err_set(err, WISP_ERR_INVALID, "`%.*s` is not an absolute path", WISP_STR_ARG(part));
        if (confine->n_paths == WISP_CONFINE_PATHS_MAX)
            return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d paths", WISP_CONFINE_PATHS_MAX);
        confine->paths[confine->n_paths++] = (struct path_rule){wisp_mem_dup(part), may_write};
    }
    return 0;
}

static int take_seccomp(struct wisp_confine *confine, struct wisp_str text, struct wisp_err *err)
{
    confine->has_filter = wisp_str_is(text, "default");
    if (confine->has_filter || wisp_str_is(text, "none")) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "`%.*s` is none of default, none", WISP_STR_ARG(text));
}

static int take_env(struct wisp_confine *confine, struct wisp_str text, struct wisp_err *err)
{
    struct wisp_str part;
    while (next_part(&text, &part)) {
        if (confine->n_env == ENV_NAMES_MAX)
            return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d variables", ENV_NAMES_MAX);
        confine->env[confine->n_env++] = wisp_mem_dup(part);
    }
    return 0;
}

static const struct {
    const char *key;
    int (*take)(struct wisp_confine *confine, struct wisp_str text, struct wisp_err *err);
} keys[] = {
    {"user", take_user},   {"memory", take_memory},   {"cpu", take_cpu},
    {"paths", take_paths}, {"seccomp", take_seccomp}, {"env", take_env},
};

static int take(struct wisp_confine *confine, const struct wisp_confine_setting *setting, struct wisp_err *err)
{
    struct wisp_str value = trim(setting->value);
    if (value.len && memchr(value.ptr, '\0', value.len)) return wisp_err_set(err, WISP_ERR_INVALID, "it has a NUL");
    for (size_t i = 0; i < WISP_COUNT(keys); i++)
        if (wisp_str_is(setting->key, keys[i].key)) return keys[i].take(confine, value, err);
    return wisp_err_set(err, WISP_ERR_INVALID, "none of user, memory, cpu, paths, seccomp, env");
}

int wisp_confine_new(struct wisp_confine **ret_confine, const struct wisp_confine_setting *settings, size_t n,
                     struct wisp_err *err)
{
    *ret_confine = NULL;
    if (!n) return 0;
    WISP_CLEANUP_CONFINE struct wisp_confine *confine = wisp_mem_calloc(1, sizeof *confine);
    for (size_t i = 0; i < n; i++)
        if (take(confine, &settings[i], err) < 0)
            return wisp_err_wrap(err, "wisp.confine.%.*s", WISP_STR_ARG(settings[i].key));
    *ret_confine = WISP_TAKE(confine);
    return 0;
}

void wisp_confine_free(struct wisp_confine *confine)
{
    if (!confine) return;
    for (size_t i = 0; i < confine->n_paths; i++) free(confine->paths[i].path);
    for (size_t i = 0; i < confine->n_env; i++) free(confine->env[i]);
    free(confine);
}

bool wisp_confine_passes(const struct wisp_confine *confine, const char *variable)
{
    size_t name_len = strcspn(variable, "=");
    for (size_t i = 0; confine && i < confine->n_env; i++) {
        const char *wanted = confine->env[i];
        size_t len = strlen(wanted);
        bool is_prefix = wanted[len - 1] == '*';
        if (is_prefix ? name_len >= len - 1 && strncmp(variable, wanted, len - 1) == 0
                      : name_len == len && strncmp(variable, wanted, len) == 0)
            return true;
    }
    return false;
}

uint64_t wisp_confine_memory_bytes(const struct wisp_confine *confine) { return confine ? confine->memory_bytes : 0; }
uint64_t wisp_confine_cpu_us(const struct wisp_confine *confine) { return confine ? confine->cpu_us : 0; }

/* --- Landlock --- */

/* By number and bit: headers are older than kernels. */
enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD = 445, LANDLOCK_RESTRICT = 446 };
#define ACCESS_EXECUTE (1ull << 0)
#define ACCESS_WRITE_FILE (1ull << 1)
#define ACCESS_READ_FILE (1ull << 2)
#define ACCESS_READ_DIR (1ull << 3)
#define ACCESS_VERSION_1 ((1ull << 13) - 1)
#define ACCESS_REFER (1ull << 13)
#define ACCESS_TRUNCATE (1ull << 14)
#define ACCESS_IOCTL_DEVICE (1ull << 15)
#define ACCESS_READ (ACCESS_EXECUTE | ACCESS_READ_FILE | ACCESS_READ_DIR)
/* What can be said of something that is no directory. */
#define ACCESS_OF_FILE (ACCESS_EXECUTE | ACCESS_WRITE_FILE | ACCESS_READ_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEVICE)

static uint64_t handled_accesses(long version)
{
    uint64_t all = ACCESS_VERSION_1;
    if (version >= 2) all |= ACCESS_REFER;
    if (version >= 3) all |= ACCESS_TRUNCATE;
    if (version >= 5) all |= ACCESS_IOCTL_DEVICE;
    return all;
}

static int allow(int ruleset_fd, const char *path, uint64_t accesses, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0) return wisp_err_os(err, errno, "wisp.confine.paths: `%s`", path);
    if (!S_ISDIR(status.st_mode)) accesses &= ACCESS_OF_FILE;
    const struct landlock_path_beneath_attr rule = {.allowed_access = accesses, .parent_fd = fd};
    if (syscall(LANDLOCK_ADD, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return wisp_err_os(err, errno, "wisp.confine.paths: `%s`", path);
    return 0;
}

static int make_ruleset(const struct wisp_confine *confine, const char *program, int *ret_fd, struct wisp_err *err)
{
    long version = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "wisp.confine.paths: this kernel has no Landlock: %s",
                            strerror(errno));
    uint64_t all = handled_accesses(version);
    struct {
        uint64_t handled;
    } attributes = {all};
    WISP_CLEANUP_FD int fd = (int)syscall(LANDLOCK_CREATE, &attributes, sizeof attributes, 0);
    if (fd < 0) return wisp_err_os(err, errno, "wisp.confine.paths: make a Landlock ruleset");
    int r = allow(fd, program, ACCESS_READ, err);
    for (size_t i = 0; r == 0 && i < confine->n_paths; i++)
        r = allow(fd, confine->paths[i].path, confine->paths[i].may_write ? all : ACCESS_READ & all, err);
    if (r < 0) return r;
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

/* --- seccomp --- */

#if defined __x86_64__
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, what)
/* The system call of this number (just loaded) fails. */
#define DENY(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), ANSWER(SECCOMP_RET_ERRNO | EPERM)

#ifdef THIS_ARCH
static struct sock_filter filter_steps[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
    /* x32: the same calls under other numbers */
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
    ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
    /* of other processes */
    DENY(ptrace),
    DENY(process_vm_readv),
    DENY(process_vm_writev),
    DENY(kcmp),
    DENY(perf_event_open),
    DENY(bpf),
    DENY(userfaultfd),
    /* of the file system as a whole */
    DENY(mount),
    DENY(umount2),
    DENY(pivot_root),
    DENY(chroot),
    DENY(move_mount),
    DENY(open_tree),
    DENY(fsopen),
    DENY(fsconfig),
    DENY(fsmount),
    DENY(fspick),
    DENY(quotactl),
    DENY(open_by_handle_at),
    DENY(swapon),
    DENY(swapoff),
    /* of the machine */
    DENY(kexec_load),
#ifdef SYS_kexec_file_load
    DENY(kexec_file_load),
#endif
    DENY(init_module),
    DENY(finit_module),
    DENY(delete_module),
    DENY(reboot),
    DENY(settimeofday),
    DENY(clock_settime),
    DENY(clock_adjtime),
    DENY(adjtimex),
    DENY(sethostname),
    DENY(setdomainname),
    DENY(acct),
    DENY(syslog),
    DENY(vhangup),
#ifdef SYS_iopl
    DENY(iopl),
    DENY(ioperm),
#endif
    DENY(add_key),
    DENY(request_key),
    DENY(keyctl),
    DENY(io_uring_setup), /* its work is not seen by this filter */
    /* of namespaces */
    DENY(setns),
    DENY(unshare),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1), /* its flags can't be looked at; C libraries have another */
    ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
    LOAD(args[0]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
             CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET,
             0, 1),
    ANSWER(SECCOMP_RET_ERRNO | EPERM),
    ANSWER(SECCOMP_RET_ALLOW),
};
static const struct sock_fprog filter_program = {WISP_COUNT(filter_steps), filter_steps};
#endif

static int choose_filter(const struct sock_fprog **ret_filter, struct wisp_err *err)
{
#ifdef THIS_ARCH
    const uint32_t wanted = SECCOMP_RET_ERRNO;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &wanted) < 0)
        return wisp_err_os(err, errno, "wisp.confine.seccomp: this kernel can't filter system calls");
    *ret_filter = &filter_program;
    return 0;
#else
    (void)ret_filter;
    return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "wisp.confine.seccomp: not on this architecture");
#endif
}

/* --- for spawn.c --- */

int wisp_confine_prepare(const struct wisp_confine *confine, const char *program, struct wisp_confined *ret_confined,
                         struct wisp_err *err)
{
    *ret_confined = (struct wisp_confined){.ruleset_fd = -1};
    if (!confine) return 0;
    if (confine->has_user && geteuid() != 0 && (confine->uid != geteuid() || confine->gid != getegid()))
        return wisp_err_set(err, WISP_ERR_DENIED, "wisp.confine.user: only a host that runs as root can change users");
    ret_confined->has_user = confine->has_user && geteuid() == 0;
    ret_confined->uid = confine->uid;
    ret_confined->gid = confine->gid;
    ret_confined->n_groups = confine->n_groups;
    memcpy(ret_confined->groups, confine->groups, sizeof confine->groups);
    int r = confine->has_filter ? choose_filter(&ret_confined->filter, err) : 0;
    if (r == 0 && confine->has_paths) r = make_ruleset(confine, program, &ret_confined->ruleset_fd, err);
    return r;
}

void wisp_confined_deinit(struct wisp_confined *confined) { wisp_fd_closep(&confined->ruleset_fd); }

const char *wisp_confined_apply_user(const struct wisp_confined *confined)
{
    if (!confined->has_user) return NULL;
    if (syscall(SYS_setgroups, confined->n_groups, confined->groups) < 0) return "wisp.confine.user: set its groups";
    if (syscall(SYS_setresgid, confined->gid, confined->gid, confined->gid) < 0)
        return "wisp.confine.user: set its group";
    if (syscall(SYS_setresuid, confined->uid, confined->uid, confined->uid) < 0) return "wisp.confine.user: become it";
    return NULL;
}

const char *wisp_confined_apply(const struct wisp_confined *confined)
{
    if (!confined->filter && confined->ruleset_fd < 0) return NULL;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return "wisp.confine: give up new privileges";
    if (confined->ruleset_fd >= 0 && syscall(LANDLOCK_RESTRICT, confined->ruleset_fd, 0) < 0)
        return "wisp.confine.paths: apply Landlock";
    if (confined->filter && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, confined->filter) < 0)
        return "wisp.confine.seccomp: apply the filter";
    return NULL;
}
