/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/handover.h"

#include "base/mem.h"
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMEOUT_MS = 10000 };

static char dir[] = "/tmp/wisp-handover-XXXXXX";
static char path[100];

/* --- a worker, in a process of its own --- */

struct worker {
    uv_loop_t loop;
    struct wisp_handover *handover;
    int fds[2];
};

static void on_handover(struct wisp_handover *handover, void *env)
{
    struct worker *worker = env;
    wisp_handover_give(handover, "127.0.0.1:8000", worker->fds[0]);
    wisp_handover_give(handover, "127.0.0.1:8001", worker->fds[1]);
}

static void on_drain(void *env)
{
    struct worker *worker = env;
    wisp_handover_free(worker->handover);
}

static void run_worker(int ready_fd)
{
    struct worker worker = {0};
    struct wisp_err err = {0};
    alarm(50);
    uv_loop_init(&worker.loop);
    CHECK_INT(pipe2(worker.fds, O_CLOEXEC), 0);
    static const struct wisp_handover_handler handler = {on_handover, on_drain};
    CHECK_OK(wisp_handover_new(&worker.handover, &worker.loop, dir, &handler, &worker, &err), &err);
    CHECK_INT(write(ready_fd, "r", 1), 1);
    uv_run(&worker.loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&worker.loop), 0);
    exit(0);
}

static pid_t start_worker(void)
{
    int pipes[2];
    char byte;
    CHECK(mkdtemp(dir));
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) run_worker(pipes[1]);
    close(pipes[1]);
    CHECK_INT(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
    snprintf(path, sizeof path, "%s/worker-%d.sock", dir, (int)pid);
    return pid;
}

static void check_end(pid_t pid)
{
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    CHECK(access(path, F_OK) < 0);
    CHECK_INT(rmdir(dir), 0);
}

TEST(listeners_are_taken_and_the_worker_drained)
{
    struct wisp_err err = {0};
    struct wisp_handover_taken first, second;
    pid_t pid = start_worker();
    struct stat status;
    CHECK_INT(stat(path, &status), 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    CHECK_OK(wisp_handover_take(&first, path, TIMEOUT_MS, &err), &err);
    wisp_handover_taken_deinit(&first); /* one that changes its mind */
    CHECK_OK(wisp_handover_take(&second, path, TIMEOUT_MS, &err), &err);
    CHECK_INT(second.n_listeners, 2);
    CHECK_TEXT(second.listeners[0].address, "127.0.0.1:8000");
    CHECK_TEXT(second.listeners[1].address, "127.0.0.1:8001");
    CHECK_INT(write(second.listeners[1].fd, "x", 1), 1);
    char byte;
    CHECK_INT(read(second.listeners[0].fd, &byte, 1), 1);
    wisp_handover_drain(&second);
    wisp_handover_taken_deinit(&second);
    check_end(pid);
}

TEST(nobody_there)
{
    struct wisp_handover_taken taken;
    CHECK_FAILS(wisp_handover_take(&taken, "/tmp/wisp-no-such.sock", TIMEOUT_MS, NULL), UNAVAILABLE);
    char long_path[200];
    memset(long_path, 'x', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    CHECK_FAILS(wisp_handover_take(&taken, long_path, TIMEOUT_MS, NULL), INVALID);
}

TEST(a_killed_worker_leaves_a_socket_to_be_removed)
{
    struct stat status;
    pid_t pid = start_worker();
    CHECK_INT(kill(pid, SIGKILL), 0);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    CHECK_INT(stat(path, &status), 0);
    wisp_handover_forget(dir, pid);
    CHECK(stat(path, &status) < 0);
    wisp_handover_forget(dir, pid);
    CHECK_INT(rmdir(dir), 0);
}

TEST(silent_worker_times_out)
{
    struct wisp_handover_taken taken;
    char silent[] = "/tmp/wisp-handover-silent-XXXXXX";
    CHECK(mkdtemp(silent));
    snprintf(path, sizeof path, "%s/s", silent);
    WISP_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    CHECK_INT(bind(fd, (const struct sockaddr *)(const void *)&address, sizeof address), 0);
    CHECK_INT(listen(fd, 1), 0);
    CHECK_FAILS(wisp_handover_take(&taken, path, 50, NULL), TIMEOUT);
    unlink(path);
    rmdir(silent);
}
