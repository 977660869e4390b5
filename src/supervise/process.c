/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise/process.h"

#include "base/mem.h"
#include "supervise/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Takes what is there. False at the end of the stream. */
static bool read_some(struct line_reader *reader)
{
    for (;;) {
        ssize_t n = read(reader->fd, reader->bytes + reader->used, sizeof reader->bytes - reader->used);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == EAGAIN;
        if (n == 0) return false;
        reader->used += (size_t)n;
        hand_over_lines(reader);
    }
}

static void finish_reader(struct line_reader *reader)
{
    if (reader->fd < 0) return;
    read_some(reader);
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
    if (status < 0 || !read_some(reader)) uv_poll_stop(poll);
}

static void on_gone(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct wisp_process *process = poll->data;
    /* What it forked belongs to it. The group can't be somebody else's yet: its leader has not been reaped. */
    kill(-process->pid, SIGKILL);
    int wait_status;
    pid_t reaped;
    do reaped = waitpid(process->pid, &wait_status, WNOHANG);
    while (reaped < 0 && errno == EINTR);
    if (reaped == 0) return;
    if (reaped < 0) wait_status = 0; /* only if somebody else reaped it: we know no more than that it is gone */
    process->has_exited = true;
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
    kill(-process->pid, SIGKILL);
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) continue;
    close_reader(&process->control);
    close_reader(&process->output);
    wisp_fd_closep(&process->pidfd);
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

int wisp_process_new(struct wisp_process **ret_process, uv_loop_t *loop, const struct wisp_process_spec *spec,
                     const struct wisp_process_handler *handler, void *env, struct wisp_err *err)
{
    struct wisp_spawned spawned;
    int r = wisp_spawn(&spawned, spec, err);
    if (r < 0) return r;
    struct wisp_process *process = wisp_mem_calloc(1, sizeof *process);
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
        kill(-process->pid, SIGKILL);
    else
        kill(process->pid, signal_number);
}
