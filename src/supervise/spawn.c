/* SPDX-License-Identifier: Apache-2.0 */
/* Between fork and execve the child is a copy of a process that may have other threads: it calls nothing there but
 * system calls, on data that the parent laid out before. What goes wrong comes back over a pipe that execve closes, so
 * the parent knows whether the program runs before it goes on. */
#include "supervise/spawn.h"

#include "base/mem.h"
#include "supervise/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
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

/* Both ends of everything that parent and child share; closed unless taken. */
struct channels {
    int null_fd;
    int control_parent, control_child;
    int output_read, output_write;
    int error_read, error_write;
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
    *channels = (struct channels){-1, -1, -1, -1, -1, -1, -1};
    channels->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (channels->null_fd < 0) return wisp_err_os(err, errno, "open /dev/null");
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) < 0) return wisp_err_os(err, errno, "make a pipe");
    channels->error_read = pair[0];
    channels->error_write = pair[1];
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

static void plan_add(struct plan *plan, int fd, int as)
{
    assert(plan->n_fds < WISP_COUNT(plan->fds) && fd >= 0 && as >= 0);
    plan->fds[plan->n_fds++] = (struct wisp_process_fd){fd, as};
}

static void plan_deinit(struct plan *plan)
{
    wisp_confined_deinit(&plan->confined);
    wisp_fd_closep(&plan->program_fd);
}

static int plan_confine(struct plan *plan, const struct wisp_process_spec *spec, struct wisp_err *err)
{
    int r = wisp_confine_prepare(spec->confine, plan->path, &plan->confined, err);
    if (r < 0 || !plan->confined.has_user) return r;
    plan->program_fd = open(plan->path, O_PATH | O_CLOEXEC);
    return plan->program_fd < 0 ? wisp_err_os(err, errno, "open the program") : 0;
}

static void plan_init(struct plan *plan, const struct wisp_process_spec *spec, const struct channels *channels,
                      int group_fd)
{
    assert(spec->n_fds <= WISP_PROCESS_FDS_MAX);
    *plan = (struct plan){.path = spec->path ? spec->path : "/proc/self/exe",
                          .error_fd = channels->error_write,
                          .group_fd = group_fd,
                          .program_fd = -1,
                          .confined = {.ruleset_fd = -1}};
    /* execve takes the arrays without const for reasons of history; it changes nothing in them. */
    memcpy(&plan->argv, &spec->argv, sizeof plan->argv);
    if (spec->env)
        memcpy(&plan->env, &spec->env, sizeof plan->env);
    else
        plan->env = environ;
    plan->parent = getpid();
    plan->outlives_parent = spec->outlives_parent;
    plan_add(plan, channels->null_fd, STDIN_FILENO);
    plan_add(plan, spec->capture_output ? channels->output_write : STDOUT_FILENO, STDOUT_FILENO);
    plan_add(plan, spec->capture_output ? channels->output_write : STDERR_FILENO, STDERR_FILENO);
    if (spec->control_as) plan_add(plan, channels->control_child, spec->control_as);
    for (size_t i = 0; i < spec->n_fds; i++) plan_add(plan, spec->fds[i].fd, spec->fds[i].as);
}

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

/* A change of the user clears it, so this comes after. */
static void child_die_with_parent(const struct plan *plan)
{
    if (plan->outlives_parent) return;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) child_fail(plan, "be killed with its parent");
    /* The parent may have died before the kernel was told: in that case it is not our parent now. */
    if (getppid() != plan->parent) _exit(127);
}

__attribute__((noreturn)) static void child_run(struct plan *plan)
{
    setpgid(0, 0);
    if (plan->group_fd >= 0 && write(plan->group_fd, "0", 1) < 0) child_fail(plan, "enter its control group");
    child_place_fds(plan);
    child_reset_signals();
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

/* False when the program runs. */
static bool wait_for_exec(int error_fd, struct failure *ret_failure)
{
    ssize_t n;
    do n = read(error_fd, ret_failure, sizeof *ret_failure);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *ret_failure;
}

/* All signals are held back around fork, so that no handler of ours runs in the child. */
static pid_t fork_quietly(struct plan *plan)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) child_run(plan);
    int fork_errno = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = fork_errno;
    return pid;
}

int wisp_spawn(struct wisp_spawned *ret_spawned, const struct wisp_process_spec *spec, int group_fd,
               struct wisp_err *err)
{
    __attribute__((cleanup(channels_close))) struct channels channels;
    int r = channels_open(&channels, spec, err);
    if (r < 0) return wisp_err_wrap(err, "run `%s`", spec->argv[0]);
    __attribute__((cleanup(plan_deinit))) struct plan plan;
    plan_init(&plan, spec, &channels, group_fd);
    r = plan_confine(&plan, spec, err);
    if (r < 0) return wisp_err_wrap(err, "run `%s`", plan.path);
    pid_t pid = fork_quietly(&plan);
    if (pid < 0) return wisp_err_os(err, errno, "run `%s`: fork", spec->argv[0]);
    /* Done by both sides: whoever comes first, a signal to the group reaches it from now on. */
    setpgid(pid, pid);
    wisp_fd_closep(&channels.error_write);
    struct failure failure;
    if (wait_for_exec(channels.error_read, &failure)) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
        const char *path = spec->path ? spec->path : spec->argv[0];
        return failure.what ? wisp_err_os(err, failure.number, "run `%s`: %s", path, failure.what)
                            : wisp_err_os(err, failure.number, "run `%s`", path);
    }
    *ret_spawned = (struct wisp_spawned){
        .pid = pid,
        .control_fd = WISP_TAKE_FD(channels.control_parent),
        .output_fd = WISP_TAKE_FD(channels.output_read),
    };
    return 0;
}
