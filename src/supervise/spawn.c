/* SPDX-License-Identifier: Apache-2.0 */
/* Between vfork and execve the child runs in the memory of its parent, of which one thread waits for it while others go
 * on: it calls nothing there but system calls, on data that was laid out before, and changes nothing but what is its
 * own. (A copy of the memory would cost more the more the parent has.) What goes wrong comes back over a pipe that
 * execve closes, so the parent knows whether the program runs before it goes on. */
#include "supervise/spawn.h"

#include "base/arena.h"
#include "base/mem.h"
#include "supervise/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif

/* What the child does, all of it prepared. */
struct plan {
    const char *path;
    char *const *argv, *const *env;
    struct wisp_process_fd fds[WISP_PROCESS_FDS_MAX + 4];
    size_t n_fds;
    uint64_t mark, data_bytes, n_descriptors; /* limits; 0: as ours */
    int error_fd, group_fd, program_fd; /* program_fd: -1, or the program, which its user could not open by name */
    pid_t parent;
    bool outlives_parent;
    struct wisp_confined confined;
};

/* From the child: what could not be done (a text of the program, which both have), and why. */
struct failure {
    const char *what; /* NULL: the program could not be run */
    int number;
};

static uint64_t descriptors_before; /* our limit, before it was raised; 0: it wasn't */

/* Both ends of everything that parent and child share; closed unless taken. */
struct channels {
    int null_fd;
    int control_parent, control_child;
    int output_read, output_write;
    int error_read, error_write;
};

struct wisp_spawn {
    struct wisp_arena arena; /* what the plan's pointers point to */
    struct channels channels;
    int given_fds[WISP_PROCESS_FDS_MAX]; /* duplicates of the spec's */
    size_t n_given_fds;
    struct plan plan;
};

static void channels_close(struct channels *channels)
{
    wisp_fd_closep(&channels->null_fd);
    wisp_fd_closep(&channels->control_parent);
    wisp_fd_closep(&channels->control_child);
    wisp_fd_closep(&channels->output_read);
    wisp_fd_closep(&channels->output_write);
    wisp_fd_closep(&channels->error_read);
    wisp_fd_closep(&channels->error_write);
}

static int set_nonblocking(int fd, struct wisp_err *err)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) return wisp_err_os(err, errno, "set a descriptor non-blocking");
    return 0;
}

static int channels_open(struct channels *channels, const struct wisp_process_spec *spec, struct wisp_err *err)
{
    int pair[2];
    if (spec->control_as) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
            return wisp_err_os(err, errno, "make a socket pair");
        channels->control_parent = pair[0];
        channels->control_child = pair[1];
        int r = set_nonblocking(channels->control_parent, err);
        if (r < 0) return r;
    }
    if (spec->capture_output) {
        if (pipe2(pair, O_CLOEXEC) < 0) return wisp_err_os(err, errno, "make a pipe");
        channels->output_read = pair[0];
        channels->output_write = pair[1];
        return set_nonblocking(channels->output_read, err);
    }
    return 0;
}

/* Those that are needed for a moment only: many that wait to be run have none of them. */
static int channels_open_late(struct channels *channels, struct wisp_err *err)
{
    int pair[2];
    channels->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (channels->null_fd < 0) return wisp_err_os(err, errno, "open /dev/null");
    if (pipe2(pair, O_CLOEXEC) < 0) return wisp_err_os(err, errno, "make a pipe");
    channels->error_read = pair[0];
    channels->error_write = pair[1];
    return 0;
}

static void plan_add(struct plan *plan, int fd, int as)
{
    assert(plan->n_fds < WISP_COUNT(plan->fds) && fd >= 0 && as >= 0);
    plan->fds[plan->n_fds++] = (struct wisp_process_fd){fd, as};
}

static int plan_confine(struct plan *plan, const struct wisp_process_spec *spec, struct wisp_err *err)
{
    int r = wisp_confine_prepare(spec->confine, plan->path, &plan->confined, err);
    if (r < 0 || !plan->confined.has_user) return r;
    plan->program_fd = open(plan->path, O_PATH | O_CLOEXEC);
    return plan->program_fd < 0 ? wisp_err_os(err, errno, "open the program") : 0;
}

/* A list of texts that ends with NULL, copied, with one more. */
static char *const *copy_texts(struct wisp_arena *arena, const char *const *texts, const char *more)
{
    size_t n = 0;
    while (texts[n]) n++;
    char **copies = WISP_NEW_ARRAY(arena, char *, n + 2);
    for (size_t i = 0; i < n; i++) copies[i] = wisp_arena_cstr(arena, wisp_str_from(texts[i]));
    if (more) copies[n] = wisp_arena_cstr(arena, wisp_str_from(more));
    return copies;
}

static int copy_fds(struct wisp_spawn *spawn, const struct wisp_process_spec *spec, struct wisp_err *err)
{
    assert(spec->n_fds <= WISP_PROCESS_FDS_MAX);
    for (size_t i = 0; i < spec->n_fds; i++) {
        int fd = fcntl(spec->fds[i].fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (fd < 0) return wisp_err_os(err, errno, "duplicate a descriptor");
        spawn->given_fds[spawn->n_given_fds++] = fd;
        plan_add(&spawn->plan, fd, spec->fds[i].as);
    }
    return 0;
}

static int plan_init(struct wisp_spawn *spawn, const struct wisp_process_spec *spec,
                     const struct wisp_spawn_bounds *bounds, struct wisp_err *err)
{
    struct plan *plan = &spawn->plan;
    const struct channels *channels = &spawn->channels;
    const char *const *env = spec->env;
    if (!env) memcpy(&env, &environ, sizeof env);
    plan->path = wisp_arena_cstr(&spawn->arena, wisp_str_from(spec->path ? spec->path : "/proc/self/exe"));
    plan->argv = copy_texts(&spawn->arena, spec->argv, NULL);
    plan->env = copy_texts(&spawn->arena, env, bounds->marker);
    plan->group_fd = bounds->group_fd;
    plan->mark = bounds->mark;
    plan->data_bytes = bounds->data_bytes;
    if (spec->path) plan->n_descriptors = descriptors_before;
    plan->parent = getpid();
    plan->outlives_parent = spec->outlives_parent;
    plan->fds[plan->n_fds++].as = STDIN_FILENO; /* the null device, or what the spec has for it: later ones win */
    plan_add(plan, spec->capture_output ? channels->output_write : STDOUT_FILENO, STDOUT_FILENO);
    plan_add(plan, spec->capture_output ? channels->output_write : STDERR_FILENO, STDERR_FILENO);
    if (spec->control_as) plan_add(plan, channels->control_child, spec->control_as);
    int r = copy_fds(spawn, spec, err);
    return r < 0 ? r : plan_confine(plan, spec, err);
}

int wisp_spawn_new(struct wisp_spawn **ret_spawn, const struct wisp_process_spec *spec,
                   const struct wisp_spawn_bounds *bounds, struct wisp_err *err)
{
    struct wisp_spawn *spawn = wisp_mem_calloc(1, sizeof *spawn);
    spawn->plan.program_fd = spawn->plan.confined.ruleset_fd = -1;
    spawn->channels = (struct channels){-1, -1, -1, -1, -1, -1, -1};
    int r = channels_open(&spawn->channels, spec, err);
    if (r == 0) r = plan_init(spawn, spec, bounds, err);
    if (r < 0) {
        wisp_spawn_free(spawn);
        return wisp_err_wrap(err, "run `%s`", spec->path ? spec->path : spec->argv[0]);
    }
    *ret_spawn = spawn;
    return 0;
}

void wisp_spawn_free(struct wisp_spawn *spawn)
{
    if (!spawn) return;
    channels_close(&spawn->channels);
    for (size_t i = 0; i < spawn->n_given_fds; i++) wisp_fd_closep(&spawn->given_fds[i]);
    wisp_confined_deinit(&spawn->plan.confined);
    wisp_fd_closep(&spawn->plan.program_fd);
    wisp_arena_deinit(&spawn->arena);
    free(spawn);
}

int wisp_spawn_take_control(struct wisp_spawn *spawn) { return WISP_TAKE_FD(spawn->channels.control_parent); }
int wisp_spawn_take_output(struct wisp_spawn *spawn) { return WISP_TAKE_FD(spawn->channels.output_read); }

/* --- in the child --- */

__attribute__((noreturn)) static void child_fail(const struct plan *plan, const char *what)
{
    const struct failure failure = {what, errno};
    ssize_t written = write(plan->error_fd, &failure, sizeof failure);
    (void)written;
    _exit(127);
}

/* A descriptor that the child needs before it is another program, out of the way; closed by execve unless it `stays`.
 */
static void child_move_fd(const struct plan *plan, int *fd, int above, bool stays)
{
    if (*fd < 0) return;
    *fd = fcntl(*fd, stays ? F_DUPFD : F_DUPFD_CLOEXEC, above + 1);
    if (*fd < 0) child_fail(plan, "place descriptors");
}

/* First all sources out of the way of all targets, then each to its target: dup2 clears close-on-exec, and everything
 * else has it. */
static void child_place_fds(struct plan *plan)
{
    int highest = STDERR_FILENO;
    for (size_t i = 0; i < plan->n_fds; i++)
        if (plan->fds[i].as > highest) highest = plan->fds[i].as;
    plan->error_fd = fcntl(plan->error_fd, F_DUPFD_CLOEXEC, highest + 1);
    if (plan->error_fd < 0) _exit(127);
    child_move_fd(plan, &plan->confined.ruleset_fd, highest, false);
    for (size_t i = 0; i < plan->n_fds; i++) {
        int moved = fcntl(plan->fds[i].fd, F_DUPFD_CLOEXEC, highest + 1);
        /* A parent without standard output or error has a child without: nothing to complain about. */
        if (moved < 0 && !(errno == EBADF && plan->fds[i].as <= STDERR_FILENO)) child_fail(plan, "place descriptors");
        plan->fds[i].fd = moved;
    }
    /* Ours are close-on-exec from birth; this is for those that we ourselves inherited. Old kernels don't have it. */
    syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
    /* An interpreter opens its script again, by the descriptor. */
    child_move_fd(plan, &plan->program_fd, highest, true);
    for (size_t i = 0; i < plan->n_fds; i++)
        if (plan->fds[i].fd >= 0 && dup2(plan->fds[i].fd, plan->fds[i].as) < 0) child_fail(plan, "place descriptors");
}

static void child_reset_signals(void)
{
    /* By the system call, for the C library refuses to touch the two that it keeps for itself, and some launcher above
     * us may have had them ignored. All zeroes is the kernel's form of SIG_DFL. */
    static const unsigned long default_action[8];
    for (int number = 1; number < NSIG; number++)
        syscall(SYS_rt_sigaction, number, default_action, NULL, sizeof(unsigned long));
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int child_limit(int resource, uint64_t value)
{
    const struct rlimit64 limit = {value, value};
    return (int)syscall(SYS_prlimit64, 0, resource, &limit, NULL);
}

/* It may raise it again itself. */
static void child_restore_descriptors(uint64_t n)
{
    struct rlimit64 limit;
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0) return;
    limit.rlim_cur = n;
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

/* A change of the user clears it, so this comes after. */
static void child_die_with_parent(const struct plan *plan)
{
    if (plan->outlives_parent) return;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) child_fail(plan, "be killed with its parent");
    /* The parent may have died before the kernel was told: in that case it is not our parent now. */
    if (getppid() != plan->parent) _exit(127);
}

/* On its own copy of the plan. */
__attribute__((noreturn, noinline)) static void child_run(const struct plan *shared)
{
    struct plan copy = *shared, *plan = &copy;
    setpgid(0, 0);
    if (plan->group_fd >= 0 && write(plan->group_fd, "0", 1) < 0) child_fail(plan, "enter its control group");
    child_place_fds(plan);
    child_reset_signals();
    if (plan->n_descriptors) child_restore_descriptors(plan->n_descriptors);
    if (plan->mark) child_limit(RLIMIT_LOCKS, plan->mark);
    if (plan->data_bytes && child_limit(RLIMIT_DATA, plan->data_bytes) < 0)
        child_fail(plan, "wisp.confine.memory: limit its data");
    const char *failed = wisp_confined_apply_user(&plan->confined);
    if (failed) child_fail(plan, failed);
    child_die_with_parent(plan);
    failed = wisp_confined_apply(&plan->confined);
    if (failed) child_fail(plan, failed);
    if (plan->program_fd >= 0)
        syscall(SYS_execveat, plan->program_fd, "", plan->argv, plan->env, AT_EMPTY_PATH);
    else
        execve(plan->path, plan->argv, plan->env);
    child_fail(plan, NULL);
}

/* --- in the parent --- */

void wisp_spawn_take_all_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max) return;
    uint64_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) descriptors_before = before;
}

/* False when the program runs. */
static bool wait_for_exec(int error_fd, struct failure *ret_failure)
{
    ssize_t n;
    do n = read(error_fd, ret_failure, sizeof *ret_failure);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *ret_failure;
}

/* All signals are held back around it, so that no handler of ours runs in the child. A child that becomes another user
 * makes the memory that it has in common with us undumpable, which keeps that user from looking into it; afterwards it
 * is ours alone again. */
static pid_t fork_quietly(const struct plan *plan)
{
    sigset_t all, before;
    int dumpable = prctl(PR_GET_DUMPABLE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork();
    if (pid == 0) child_run(plan);
    int fork_errno = errno;
    if (plan->confined.has_user && dumpable == 1) prctl(PR_SET_DUMPABLE, 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = fork_errno;
    return pid;
}

int wisp_spawn_run(struct wisp_spawn *spawn, struct wisp_err *err)
{
    struct plan *plan = &spawn->plan;
    const char *name = strcmp(plan->path, "/proc/self/exe") == 0 ? plan->argv[0] : plan->path;
    struct failure failure;
    int r = channels_open_late(&spawn->channels, err);
    if (r < 0) return wisp_err_wrap(err, "run `%s`", name);
    plan->fds[0].fd = spawn->channels.null_fd;
    plan->error_fd = spawn->channels.error_write;
    pid_t pid = fork_quietly(plan);
    if (pid < 0) return wisp_err_os(err, errno, "run `%s`: fork", name);
    /* Done by both sides: whoever comes first, a signal to the group reaches it from now on. */
    setpgid(pid, pid);
    wisp_fd_closep(&spawn->channels.error_write);
    if (!wait_for_exec(spawn->channels.error_read, &failure)) return pid;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    return failure.what ? wisp_err_os(err, failure.number, "run `%s`: %s", name, failure.what)
                        : wisp_err_os(err, failure.number, "run `%s`", name);
}
