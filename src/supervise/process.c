/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise/process.h"

#include "base/log.h"
#include "base/mem.h"
#include "supervise/cgroup.h"
#include "supervise/confine.h"
#include "supervise/spawner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READS_PER_TURN = 16, /* of one child that writes faster than we read: the others have their turn too */
    LAST_READS = 64,     /* what a pipe may still hold when its writer is gone, and some more */
    SWEEPS_MAX = 8,      /* through all processes of the machine, for those of one child */
    REST_MS = 2000,      /* for what it forked to end, once killed */
};

/* A contained child that has no control group is marked twice, and so is all that it forks: in its environment, and by
 * its RLIMIT_LOCKS. The kernel has had no use for that limit since 2.4, it is inherited, and nobody who leaves his
 * session and clears his environment thinks of it. */
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
    uv_loop_t *loop;
    struct wisp_spawn_job job; /* spawn NULL: it is done */
    int early_signal;          /* sent before it was started; 0: none */
    pid_t pid;
    int pidfd;
    uv_poll_t exit_poll;
    struct line_reader control, output;
    bool has_exited;
    struct wisp_cgroup *cgroup;
    uint64_t memory_bytes; /* its group's limit; 0: none */
    uv_poll_t rest_poll;   /* while others are in its group and it is not */
    uv_timer_t rest_timer;
    char marker[64];         /* empty: what it forks can't be found by it */
    uint64_t mark;           /* its limit; 0: none */
    uint64_t data_bytes;     /* limit of each process for itself; 0: none */
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

static bool has_mark(pid_t pid, uint64_t mark)
{
    struct rlimit limit;
    return mark && prlimit(pid, RLIMIT_LOCKS, NULL, &limit) == 0 && limit.rlim_max == mark;
}

/* One that has ended is there until it is reaped: by us, or by who adopted it. */
static bool is_zombie(const char *pid_text)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid_text);
    WISP_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0) return true;
    text[n] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end && strchr("ZX", name_end[name_end[1] ? 2 : 0]);
}

/* Returns how many there were. */
static unsigned kill_marked_once(const struct wisp_process *process)
{
    DIR *dir = opendir("/proc");
    unsigned n = 0;
    if (!dir) return 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 1 || !(has_mark(pid, process->mark) || has_marker(entry->d_name, process->marker))) continue;
        if (is_zombie(entry->d_name)) continue;
        n++;
        kill(pid, SIGKILL);
    }
    closedir(dir);
    return n;
}

/* Those that fork meanwhile are found the next time. */
static void kill_marked(const struct wisp_process *process)
{
    for (int i = 0; i < SWEEPS_MAX && kill_marked_once(process); i++) continue;
}

/* The group can't be somebody else's yet: its leader has not been reaped. */
static void kill_family(struct wisp_process *process)
{
    kill(-process->pid, SIGKILL);
    if (process->cgroup) wisp_cgroup_kill(process->cgroup);
    if (process->marker[0]) kill_marked(process);
}

/* --- it ends --- */

/* A zombie holds its number: until it is reaped nobody else has it. */
static bool is_gone(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid;
}

static void reap(struct wisp_process *process)
{
    int wait_status;
    pid_t reaped;
    do reaped = waitpid(process->pid, &wait_status, WNOHANG);
    while (reaped < 0 && errno == EINTR);
    if (reaped <= 0) wait_status = 0; /* only if somebody else reaped it: we know no more than that it is gone */
    process->has_exited = true;
    bool ran_out = process->memory_bytes && WIFSIGNALED(wait_status) && wisp_cgroup_ran_out(process->cgroup);
    wisp_cgroup_free(WISP_TAKE(process->cgroup));
    finish_reader(&process->output);
    finish_reader(&process->control);
    uv_close((uv_handle_t *)&process->exit_poll, on_handle_closed);
    wisp_fd_closep(&process->pidfd);
    if (ran_out && process->handler.on_out_of_memory)
        process->handler.on_out_of_memory(process->env, process->memory_bytes);
    process->handler.on_exit(process->env, wait_status);
}

static void end_rest(struct wisp_process *process)
{
    uv_close((uv_handle_t *)&process->rest_poll, on_handle_closed);
    uv_close((uv_handle_t *)&process->rest_timer, on_handle_closed);
    reap(process);
}

static void on_rest(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct wisp_process *process = poll->data;
    if (status < 0 || wisp_cgroup_is_empty(process->cgroup)) end_rest(process);
}

static void on_rest_late(uv_timer_t *timer)
{
    struct wisp_process *process = timer->data;
    WISP_LOG(WARN, "supervise", "what a child forked was killed and does not end", WISP_INT("pid", process->pid));
    end_rest(process);
}

/* What was killed lets go of its ports and files when it is gone, and not before: the next one may need them. */
static bool wait_for_rest(struct wisp_process *process)
{
    if (!process->cgroup || wisp_cgroup_is_empty(process->cgroup)) return false;
    if (uv_poll_init(process->loop, &process->rest_poll, wisp_cgroup_changes(process->cgroup)) < 0) return false;
    uv_timer_init(process->loop, &process->rest_timer);
    process->rest_poll.data = process->rest_timer.data = process;
    process->n_open_handles += 2;
    uv_poll_stop(&process->exit_poll);
    uv_poll_start(&process->rest_poll, UV_PRIORITIZED, on_rest);
    uv_timer_start(&process->rest_timer, on_rest_late, REST_MS, 0);
    return true;
}

static void on_gone(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct wisp_process *process = poll->data;
    if (!is_gone(process->pid)) return;
    kill_family(process); /* what it forked belongs to it */
    if (!wait_for_rest(process)) reap(process);
}

/* --- it is watched --- */

static int watch(struct wisp_process *process, uv_poll_t *poll, int fd, uv_poll_cb callback, struct wisp_err *err)
{
    int r = uv_poll_init(process->loop, poll, fd);
    if (r < 0) return wisp_err_os(err, -r, "watch a child process");
    poll->data = process;
    process->n_open_handles++;
    r = uv_poll_start(poll, UV_READABLE, callback);
    assert(r == 0); /* it only fails on closing handles */
    return 0;
}

static int watch_reader(struct line_reader *reader, struct wisp_err *err)
{
    if (reader->fd < 0) return 0;
    int r = watch(reader->process, &reader->poll, reader->fd, on_readable, err);
    reader->is_polled = r == 0;
    return r;
}

static int watch_all(struct wisp_process *process, struct wisp_err *err)
{
    process->pidfd = pidfd_open(process->pid, 0);
    if (process->pidfd < 0) return wisp_err_os(err, errno, "pidfd_open");
    int r = watch_reader(&process->control, err);
    if (r == 0) r = watch_reader(&process->output, err);
    if (r == 0) r = watch(process, &process->exit_poll, process->pidfd, on_gone, err);
    return r;
}

/* --- it begins --- */

/* A number that no other host gives, in other containers neither. 0: none. */
static uint64_t next_mark(void)
{
    static uint64_t last; /* the loop's thread alone makes processes */
    if (!last && getrandom(&last, sizeof last, GRND_NONBLOCK) != sizeof last) return last = 0;
    return last = ((last >> 22) << 22 | ((last + 1) & ((1u << 22) - 1))) & INT64_MAX;
}

static void mark(struct wisp_process *process)
{
    static unsigned counter;
    snprintf(process->marker, sizeof process->marker, MARKER "%d-%u", (int)getpid(), ++counter);
    process->mark = next_mark();
}

/* Where no control group can limit memory, each process is limited for itself; for CPU there is nothing like it. Where
 * none can be had at all, marks have to do. */
static int contain(struct wisp_process *process, const struct wisp_process_spec *spec, struct wisp_err *err)
{
    struct wisp_err own = {0};
    struct wisp_cgroup_limits limits = {wisp_confine_memory_bytes(spec->confine), wisp_confine_cpu_us(spec->confine)};
    if (!spec->is_contained && !limits.memory_bytes && !limits.cpu_us) return 0;
    int r = wisp_cgroup_new(&process->cgroup, &limits, &own);
    if (r == 0) process->memory_bytes = limits.memory_bytes;
    if (r < 0 && limits.cpu_us) {
        if (err) *err = own;
        return wisp_err_wrap(err, "wisp.confine.memory, .cpu");
    }
    if (r < 0 && limits.memory_bytes) {
        WISP_LOG(WARN, "supervise", "memory is limited for each process by itself (RLIMIT_DATA), not for all together",
                 WISP_TEXT("running", spec->path ? spec->path : spec->argv[0]), WISP_INT("bytes", limits.memory_bytes),
                 WISP_TEXT("cause", own.text));
        process->data_bytes = limits.memory_bytes;
        r = wisp_cgroup_new(&process->cgroup, &(struct wisp_cgroup_limits){0}, &own);
    }
    if (r < 0) mark(process);
    return 0;
}

/* What there is of it before there is a process, and of one that never was. */
static void discard(struct wisp_process *process)
{
    wisp_spawn_free(process->job.spawn);
    close_reader(&process->control);
    close_reader(&process->output);
    wisp_fd_closep(&process->pidfd);
    wisp_cgroup_free(WISP_TAKE(process->cgroup));
    if (!process->n_open_handles) free(process);
}

static int new_process(struct wisp_process **ret_process, uv_loop_t *loop, const struct wisp_process_spec *spec,
                       const struct wisp_process_handler *handler, void *env, struct wisp_err *err)
{
    struct wisp_process *process = wisp_mem_calloc(1, sizeof *process);
    process->handler = *handler;
    process->env = env;
    process->loop = loop;
    process->pidfd = -1;
    process->control = (struct line_reader){.process = process, .fd = -1, .is_control = true};
    process->output = (struct line_reader){.process = process, .fd = -1};
    int r = contain(process, spec, err);
    if (r == 0)
        r = wisp_spawn_new(
            &process->job.spawn, spec,
            &(struct wisp_spawn_bounds){.group_fd = process->cgroup ? wisp_cgroup_entrance(process->cgroup) : -1,
                                        .marker = process->marker[0] ? process->marker : NULL,
                                        .mark = process->mark,
                                        .data_bytes = process->data_bytes},
            err);
    if (r < 0) {
        discard(process);
        return r;
    }
    process->control.fd = wisp_spawn_take_control(process->job.spawn);
    process->output.fd = wisp_spawn_take_output(process->job.spawn);
    *ret_process = process;
    return 0;
}

/* The program runs, or not (a negative number). On failure there is no process any more. */
static int begin(struct wisp_process *process, int pid, struct wisp_err *err)
{
    int r = pid;
    wisp_spawn_free(WISP_TAKE(process->job.spawn));
    if (pid > 0) {
        process->pid = pid;
        r = watch_all(process, err);
        if (r == 0) return 0;
        /* It exists but can't be watched: it ends, as if it had never been. */
        kill_family(process);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    }
    discard(process);
    return r;
}

int wisp_process_new(struct wisp_process **ret_process, uv_loop_t *loop, const struct wisp_process_spec *spec,
                     const struct wisp_process_handler *handler, void *env, struct wisp_err *err)
{
    struct wisp_process *process;
    int r = new_process(&process, loop, spec, handler, env, err);
    if (r == 0) r = begin(process, wisp_spawn_run(process->job.spawn, err), err);
    if (r == 0) *ret_process = process;
    return r;
}

static void on_spawned(struct wisp_spawn_job *job, int pid, const struct wisp_err *spawn_err)
{
    struct wisp_process *process = WISP_OWNER(job, struct wisp_process, job);
    const struct wisp_process_handler handler = process->handler;
    void *env = process->env;
    struct wisp_err err = *spawn_err;
    if (begin(process, pid, &err) < 0) {
        handler.on_failed(env, &err);
        return;
    }
    handler.on_started(env, pid);
    if (process->early_signal) wisp_process_signal(process, process->early_signal);
}

int wisp_process_start(struct wisp_process **ret_process, struct wisp_spawner *spawner, uv_loop_t *loop,
                       const struct wisp_process_spec *spec, const struct wisp_process_handler *handler, void *env,
                       struct wisp_err *err)
{
    int r = new_process(ret_process, loop, spec, handler, env, err);
    if (r < 0) return r;
    (*ret_process)->job.on_done = on_spawned;
    wisp_spawner_add(spawner, &(*ret_process)->job);
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
    if (!process->pid) {
        bool is_end = signal_number == SIGKILL || signal_number == SIGTERM;
        if (is_end) atomic_store(&process->job.is_cancelled, true);
        if (process->early_signal != SIGKILL) process->early_signal = signal_number;
        return;
    }
    if (signal_number == SIGKILL)
        kill_family(process);
    else
        kill(process->pid, signal_number);
}
