/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise/process.h"

#include "base/mem.h"
#include "supervise/cgroup.h"
#include "supervise/confine.h"
#include "supervise/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    READS_PER_TURN = 16, /* of one child that writes faster than we read: the others have their turn too */
    LAST_READS = 64,     /* what a pipe may still hold when its writer is gone, and some more */
};

/* In the environment of a contained child that has no control group. */
#define MARKER "WISP_CHILD="

/* A descriptor of ours that the child writes lines to. */
struct line_reader {
    struct wisp_process *process;
    uv_poll_t poll;
    int fd; /* -1: none, or at its end */
    bool is_polled;
    bool is_control;
    size_t used;
    char bytes[WISP_PROCESS_LINE_MAX];
};

struct wisp_process {
    struct wisp_process_handler handler;
    void *env;
    pid_t pid;
    int pidfd;
    uv_poll_t exit_poll;
    struct line_reader control, output;
    bool has_exited;
    struct wisp_cgroup *cgroup;
    char marker[64];         /* empty: what it forks can't be found by it */
    unsigned n_open_handles; /* uv handles whose close callback is still to come: the last one frees */
};

static void hand_over(struct line_reader *reader, struct wisp_str line)
{
    struct wisp_process *process = reader->process;
    void (*handler)(void *, struct wisp_str) =
        reader->is_control ? process->handler.on_line : process->handler.on_output;
    if (handler) handler(process->env, line);
}

static void hand_over_lines(struct line_reader *reader)
{
    struct wisp_str rest = {reader->bytes, reader->used}, line;
    while (wisp_str_split(rest, '\n', &line, &rest)) hand_over(reader, line);
    if (rest.len == sizeof reader->bytes) {
        hand_over(reader, rest);
        rest.len = 0;
    }
    if (rest.len) memmove(reader->bytes, rest.ptr, rest.len);
    reader->used = rest.len;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct wisp_process *process = handle->data;
    if (--process->n_open_handles == 0) free(process);
}

static void close_reader(struct line_reader *reader)
{
    if (reader->fd < 0) return;
    if (reader->is_polled) uv_close((uv_handle_t *)&reader->poll, on_handle_closed);
    wisp_fd_closep(&reader->fd);
}

/* Takes what is there, within limits. False at the end of the stream. */
static bool read_some(struct line_reader *reader, int reads_max)
{
    for (int i = 0; i < reads_max; i++) {
        ssize_t n = read(reader->fd, reader->bytes + reader->used, sizeof reader->bytes - reader->used);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == EAGAIN;
        if (n == 0) return false;
        reader->used += (size_t)n;
        hand_over_lines(reader);
    }
    return true;
}

static void finish_reader(struct line_reader *reader)
{
    if (reader->fd < 0) return;
    read_some(reader, LAST_READS);
    if (reader->used) hand_over(reader, (struct wisp_str){reader->bytes, reader->used});
    reader->used = 0;
    close_reader(reader);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct wisp_process *process = poll->data;
    struct line_reader *reader = poll == &process->control.poll ? &process->control : &process->output;
    /* At the end of the control channel its descriptor stays: a child may stop talking and still listen. */
    if (status < 0 || !read_some(reader, READS_PER_TURN)) uv_poll_stop(poll);
}

/* --- what it forked --- */

static bool has_marker(const char *pid_text, const char *marker)
{
    char path[64], bytes[16384];
    snprintf(path, sizeof path, "/proc/%.20s/environ", pid_text);
    WISP_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    return n > 0 && memmem(bytes, (size_t)n, marker, strlen(marker) + 1);
}

static void kill_marked(const char *marker)
{
    DIR *dir = opendir("/proc");
    if (!dir) return;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid > 1 && has_marker(entry->d_name, marker)) kill((pid_t)pid, SIGKILL);
    }
    closedir(dir);
}

/* The group can't be somebody else's yet: its leader has not been reaped. */
static void kill_family(struct wisp_process *process)
{
    kill(-process->pid, SIGKILL);
    if (process->cgroup) wisp_cgroup_kill(process->cgroup);
    if (process->marker[0]) kill_marked(process->marker);
}

static void on_gone(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct wisp_process *process = poll->data;
    kill_family(process); /* what it forked belongs to it */
    int wait_status;
    pid_t reaped;
    do reaped = waitpid(process->pid, &wait_status, WNOHANG);
    while (reaped < 0 && errno == EINTR);
    if (reaped == 0) return;
    if (reaped < 0) wait_status = 0; /* only if somebody else reaped it: we know no more than that it is gone */
    process->has_exited = true;
    wisp_cgroup_free(WISP_TAKE(process->cgroup));
    finish_reader(&process->output);
    finish_reader(&process->control);
    uv_close((uv_handle_t *)&process->exit_poll, on_handle_closed);
    wisp_fd_closep(&process->pidfd);
    process->handler.on_exit(process->env, wait_status);
}

static int watch(struct wisp_process *process, uv_loop_t *loop, uv_poll_t *poll, int fd, uv_poll_cb callback,
                 struct wisp_err *err)
{
    int r = uv_poll_init(loop, poll, fd);
    if (r < 0) return wisp_err_os(err, -r, "watch a child process");
    poll->data = process;
    process->n_open_handles++;
    r = uv_poll_start(poll, UV_READABLE, callback);
    assert(r == 0); /* it only fails on closing handles */
    return 0;
}

static int watch_reader(struct line_reader *reader, uv_loop_t *loop, struct wisp_err *err)
{
    if (reader->fd < 0) return 0;
    int r = watch(reader->process, loop, &reader->poll, reader->fd, on_readable, err);
    reader->is_polled = r == 0;
    return r;
}

/* The process exists but can't be watched: end it, as if it had never been. */
static void undo(struct wisp_process *process)
{
    kill_family(process);
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) continue;
    close_reader(&process->control);
    close_reader(&process->output);
    wisp_fd_closep(&process->pidfd);
    wisp_cgroup_free(WISP_TAKE(process->cgroup));
    if (!process->n_open_handles) free(process);
}

static int watch_all(struct wisp_process *process, uv_loop_t *loop, struct wisp_err *err)
{
    process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (process->pidfd < 0) return wisp_err_os(err, errno, "pidfd_open");
    int r = watch_reader(&process->control, loop, err);
    if (r == 0) r = watch_reader(&process->output, loop, err);
    if (r == 0) r = watch(process, loop, &process->exit_poll, process->pidfd, on_gone, err);
    return r;
}

/* Where no control group can be had, unless limits need one, a variable in the environment has to do. */
static int contain(struct wisp_process *process, const struct wisp_process_spec *spec, struct wisp_err *err)
{
    static unsigned counter; /* the loop's thread alone makes processes */
    const struct wisp_cgroup_limits limits = {wisp_confine_memory_bytes(spec->confine),
                                              wisp_confine_cpu_us(spec->confine)};
    if (!spec->is_contained && !limits.memory_bytes && !limits.cpu_us) return 0;
    int r = wisp_cgroup_new(&process->cgroup, &limits, err);
    if (r == 0) return 0;
    if (limits.memory_bytes || limits.cpu_us) return wisp_err_wrap(err, "wisp.confine.memory, .cpu");
    snprintf(process->marker, sizeof process->marker, MARKER "%d-%u", (int)getpid(), ++counter);
    return 0;
}

static const char **add_marker(const char *const *env, const char *marker)
{
    size_t n = 0;
    while (env[n]) n++;
    const char **all = wisp_mem_calloc(n + 2, sizeof *all);
    memcpy(all, env, n * sizeof *all);
    all[n] = marker;
    return all;
}

static int spawn(struct wisp_process *process, const struct wisp_process_spec *spec, struct wisp_spawned *ret_spawned,
                 struct wisp_err *err)
{
    struct wisp_process_spec marked = *spec;
    const char *const *inherited;
    memcpy(&inherited, &environ, sizeof inherited);
    WISP_CLEANUP_FREE const char **env =
        process->marker[0] ? add_marker(spec->env ? spec->env : inherited, process->marker) : NULL;
    if (env) marked.env = env;
    return wisp_spawn(ret_spawned, &marked, process->cgroup ? wisp_cgroup_entrance(process->cgroup) : -1, err);
}

int wisp_process_new(struct wisp_process **ret_process, uv_loop_t *loop, const struct wisp_process_spec *spec,
                     const struct wisp_process_handler *handler, void *env, struct wisp_err *err)
{
    struct wisp_spawned spawned;
    struct wisp_process *process = wisp_mem_calloc(1, sizeof *process);
    int r = contain(process, spec, err);
    if (r == 0) r = spawn(process, spec, &spawned, err);
    if (r < 0) {
        wisp_cgroup_free(process->cgroup);
        free(process);
        return r;
    }
    process->handler = *handler;
    process->env = env;
    process->pid = spawned.pid;
    process->pidfd = -1;
    process->control = (struct line_reader){.process = process, .fd = spawned.control_fd, .is_control = true};
    process->output = (struct line_reader){.process = process, .fd = spawned.output_fd};
    r = watch_all(process, loop, err);
    if (r < 0) {
        undo(process);
        return wisp_err_wrap(err, "run `%s`", spec->argv[0]);
    }
    *ret_process = process;
    return 0;
}

pid_t wisp_process_pid(const struct wisp_process *process) { return process->pid; }

bool wisp_process_has_control(const struct wisp_process *process) { return process->control.fd >= 0; }

void wisp_process_tell(struct wisp_process *process, const char *line)
{
    if (process->control.fd < 0) return;
    char bytes[WISP_PROCESS_LINE_MAX];
    int n = snprintf(bytes, sizeof bytes, "%s\n", line);
    assert(n > 0 && (size_t)n < sizeof bytes);
    /* A channel that is full belongs to a child that doesn't read: whoever waits for an effect has a timeout. */
    ssize_t sent = send(process->control.fd, bytes, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
}

void wisp_process_signal(struct wisp_process *process, int signal_number)
{
    if (process->has_exited) return;
    if (signal_number == SIGKILL)
        kill_family(process);
    else
        kill(process->pid, signal_number);
}
