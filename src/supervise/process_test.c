/* SPDX-License-Identifier: Apache-2.0 */
/* Real processes: /bin/sh is the child. */
#include "supervise/process.h"

#include "base/mem.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct watched {
    uv_loop_t loop;
    struct wisp_process *process;
    struct wisp_buf lines, output; /* each line ended by '\n' */
    size_t longest;
    bool has_exited;
    int wait_status;
    const char *answer; /* told to the child after its first line */
};

static void on_line(void *env, struct wisp_str line)
{
    struct watched *watched = env;
    wisp_buf_append_str(&watched->lines, line);
    wisp_buf_append_char(&watched->lines, '\n');
    if (watched->answer) wisp_process_tell(watched->process, watched->answer);
    watched->answer = NULL;
}

static void on_output(void *env, struct wisp_str line)
{
    struct watched *watched = env;
    if (line.len > watched->longest) watched->longest = line.len;
    wisp_buf_append_str(&watched->output, line);
    wisp_buf_append_char(&watched->output, '\n');
}

static void on_exit_status(void *env, int wait_status)
{
    struct watched *watched = env;
    CHECK(!watched->has_exited);
    watched->has_exited = true;
    watched->wait_status = wait_status;
}

static const struct wisp_process_handler handler = {
    .on_line = on_line, .on_output = on_output, .on_exit = on_exit_status};

static int try_start(struct watched *watched, const struct wisp_process_spec *spec, struct wisp_err *err)
{
    *watched = (struct watched){0};
    CHECK_INT(uv_loop_init(&watched->loop), 0);
    return wisp_process_new(&watched->process, &watched->loop, spec, &handler, watched, err);
}

static void start_shell(struct watched *watched, const char *script, struct wisp_process_spec spec)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct wisp_err err = {0};
    spec.path = "/bin/sh";
    spec.argv = argv;
    CHECK_OK(try_start(watched, &spec, &err), &err);
}

/* Runs the loop to the end of the child; lines and output are C strings afterwards. */
static void finish(struct watched *watched)
{
    uv_run(&watched->loop, UV_RUN_DEFAULT);
    CHECK(watched->has_exited);
    CHECK_INT(uv_loop_close(&watched->loop), 0);
    wisp_buf_append_char(&watched->lines, '\0');
    wisp_buf_append_char(&watched->output, '\0');
}

static void watched_deinit(struct watched *watched)
{
    wisp_buf_deinit(&watched->lines);
    wisp_buf_deinit(&watched->output);
}
#define WATCHED __attribute__((cleanup(watched_deinit))) struct watched

TEST(exit_code_is_told)
{
    WATCHED watched;
    start_shell(&watched, "exit 42", (struct wisp_process_spec){0});
    finish(&watched);
    CHECK(WIFEXITED(watched.wait_status));
    CHECK_INT(WEXITSTATUS(watched.wait_status), 42);
}

TEST(signal_is_told)
{
    WATCHED watched;
    start_shell(&watched, "kill -SEGV $$", (struct wisp_process_spec){0});
    finish(&watched);
    CHECK(WIFSIGNALED(watched.wait_status));
    CHECK_INT(WTERMSIG(watched.wait_status), SIGSEGV);
}

TEST(program_that_cannot_run_is_an_error_at_once)
{
    struct watched watched;
    struct wisp_err err = {0};
    const char *argv[] = {"x", NULL};
    struct wisp_process_spec spec = {.path = "/nonexistent/x", .argv = argv};
    CHECK_FAILS(try_start(&watched, &spec, &err), NOT_FOUND);
    CHECK_HAS(err.text, "/nonexistent/x");
    CHECK_INT(uv_loop_close(&watched.loop), 0);
    spec.path = "/etc/passwd";
    CHECK_FAILS(try_start(&watched, &spec, &err), DENIED);
    CHECK_INT(uv_loop_close(&watched.loop), 0);
}

TEST(control_channel_carries_lines_both_ways)
{
    WATCHED watched;
    start_shell(&watched, "echo ready >&7; read word <&7; echo got $word >&7; printf 'without end' >&7",
                (struct wisp_process_spec){.control_as = 7});
    watched.answer = "drain";
    finish(&watched);
    CHECK_TEXT(watched.lines.data, "ready\ngot drain\nwithout end\n");
    CHECK_INT(watched.wait_status, 0);
}

TEST(closed_control_channel_leaves_the_process_alone)
{
    WATCHED watched;
    start_shell(&watched, "exec 7>&-; sleep 0.1; exit 5", (struct wisp_process_spec){.control_as = 7});
    wisp_process_tell(watched.process, "drain");
    finish(&watched);
    CHECK_INT(WEXITSTATUS(watched.wait_status), 5);
}

TEST(output_is_captured_to_its_last_line)
{
    WATCHED watched;
    start_shell(&watched, "echo one; echo two >&2; printf three; kill -9 $$",
                (struct wisp_process_spec){.capture_output = true});
    finish(&watched);
    CHECK_TEXT(watched.output.data, "one\ntwo\nthree\n");
    CHECK_INT(WTERMSIG(watched.wait_status), SIGKILL);
}

TEST(long_lines_come_in_pieces)
{
    WATCHED watched;
    start_shell(&watched, "head -c 10000 /dev/zero | tr '\\0' x", (struct wisp_process_spec){.capture_output = true});
    finish(&watched);
    CHECK_INT(watched.longest, WISP_PROCESS_LINE_MAX);
    CHECK_INT(strlen(watched.output.data), 10000 + 3);
}

TEST(descriptors_arrive_where_they_should_and_no_others)
{
    /* Sources and targets overlap on purpose, and one descriptor is left inheritable by mistake. */
    int pipe_a[2], pipe_b[2];
    CHECK(pipe2(pipe_a, O_CLOEXEC) == 0 && pipe2(pipe_b, O_CLOEXEC) == 0);
    int leak = dup(0);
    CHECK(leak >= 0);
    const struct wisp_process_fd fds[] = {{pipe_a[1], pipe_b[1]}, {pipe_b[1], pipe_a[1]}};
    char script[200];
    snprintf(script, sizeof script, "echo a >&%d; echo b >&%d; ls /proc/self/fd | tr '\\n' ' '", pipe_b[1], pipe_a[1]);
    WATCHED watched;
    start_shell(&watched, script, (struct wisp_process_spec){.fds = fds, .n_fds = 2, .capture_output = true});
    finish(&watched);
    char got[3] = {0};
    CHECK_INT(read(pipe_a[0], got, 2), 2);
    CHECK_TEXT(got, "a\n");
    CHECK_INT(read(pipe_b[0], got, 2), 2);
    CHECK_TEXT(got, "b\n");
    /* ls has one more than the shell: the directory that it reads. */
    char expected[100];
    int spare = 3;
    while (spare == pipe_a[1] || spare == pipe_b[1]) spare++;
    int numbers[] = {spare, pipe_a[1], pipe_b[1]};
    for (int i = 0; i < 3; i++)
        for (int k = i + 1; k < 3; k++)
            if (numbers[k] < numbers[i]) {
                int swapped = numbers[i];
                numbers[i] = numbers[k];
                numbers[k] = swapped;
            }
    snprintf(expected, sizeof expected, "0 1 2 %d %d %d \n", numbers[0], numbers[1], numbers[2]);
    CHECK_TEXT(watched.output.data, expected);
}

TEST(standard_input_can_be_given)
{
    WATCHED watched;
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0 && write(ends[1], "fed\n", 4) == 4);
    close(ends[1]);
    const struct wisp_process_fd fd = {ends[0], 0};
    start_shell(&watched, "cat", (struct wisp_process_spec){.fds = &fd, .n_fds = 1, .capture_output = true});
    close(ends[0]);
    finish(&watched);
    CHECK_TEXT(watched.output.data, "fed\n");
    watched_deinit(&watched);
    start_shell(&watched, "cat; echo none", (struct wisp_process_spec){.capture_output = true});
    finish(&watched);
    CHECK_TEXT(watched.output.data, "none\n");
}

TEST(child_has_its_own_group_and_default_signals)
{
    signal(SIGPIPE, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    WATCHED watched;
    start_shell(&watched, "cut -d' ' -f5 /proc/$$/stat; echo $$; grep -E 'Sig(Ign|Blk)' /proc/$$/status | cut -f2",
                (struct wisp_process_spec){.capture_output = true});
    pid_t pid = wisp_process_pid(watched.process);
    finish(&watched);
    char expected[100];
    snprintf(expected, sizeof expected, "%d\n%d\n0000000000000000\n0000000000000000\n", (int)pid, (int)pid);
    CHECK_TEXT(watched.output.data, expected);
}

TEST(environment_can_be_given)
{
    const char *env[] = {"ONLY=this", NULL};
    WATCHED watched;
    start_shell(&watched, "/usr/bin/env | grep -E '^(ONLY|HOME)'",
                (struct wisp_process_spec){.env = env, .capture_output = true});
    finish(&watched);
    CHECK_TEXT(watched.output.data, "ONLY=this\n");
}

static bool is_alive(pid_t pid)
{
    /* A zombie that nobody reaps is dead enough. */
    char path[64], text[512] = {0};
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    const char *state = n > 0 ? strrchr(text, ')') : NULL;
    return state && state[2] != 'Z' && state[2] != 'X';
}

static bool dies_soon(pid_t pid)
{
    for (int i = 0; i < 1000 && is_alive(pid); i++) usleep(10000);
    return !is_alive(pid);
}

TEST(what_the_child_forked_dies_with_it)
{
    WATCHED watched;
    start_shell(&watched, "sleep 1000 & echo $!", (struct wisp_process_spec){.capture_output = true});
    finish(&watched);
    pid_t grandchild = (pid_t)atoi(watched.output.data);
    CHECK(grandchild > 1);
    CHECK(dies_soon(grandchild));
}

static void check_session_dies(bool is_contained)
{
    WATCHED watched;
    start_shell(&watched, "setsid env -i sh -c 'echo $$; exec sleep 1000' & sleep 0.3",
                (struct wisp_process_spec){.capture_output = true, .is_contained = is_contained});
    finish(&watched);
    pid_t grandchild = (pid_t)atoi(watched.output.data);
    CHECK(grandchild > 1);
    CHECK_INT(is_contained ? dies_soon(grandchild) : is_alive(grandchild), 1);
    kill(grandchild, SIGKILL);
}

TEST(what_a_contained_child_forked_dies_in_sessions_of_its_own)
{
    check_session_dies(false);
    check_session_dies(true);
}

/* Where no control group can be made: as nobody. Its environment is empty, it is in a session of its own, and its
 * parent is gone. */
TEST(what_a_contained_child_forked_is_found_without_a_control_group_too)
{
    if (geteuid() != 0) return; /* then the test before was that one */
    pid_t pid = fork();
    if (pid == 0) {
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0) _exit(3);
        check_session_dies(true);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
}

static int n_lines(const struct wisp_buf *text)
{
    int n = 0;
    for (size_t i = 0; i < text->len; i++) n += text->data[i] == '\n';
    return n;
}

/* It says where it is, and starts three that need a moment to be gone, for they have much memory. */
TEST(control_group_of_a_child_is_empty_and_gone_when_the_child_is)
{
    WATCHED watched;
    start_shell(&watched,
                "sed -n s/^0:://p /proc/self/cgroup; for i in 1 2 3; do "
                "setsid sh -c 'echo $$; exec dd bs=30M if=/dev/zero of=/dev/null' & done; sleep 1000",
                (struct wisp_process_spec){.capture_output = true, .is_contained = true});
    while (n_lines(&watched.output) < 4) uv_run(&watched.loop, UV_RUN_ONCE);
    wisp_process_signal(watched.process, SIGKILL);
    finish(&watched);
    WISP_CLEANUP_FREE char *group =
        wisp_mem_dup((struct wisp_str){watched.output.data, strcspn(watched.output.data, "\n")});
    if (!strstr(group, "/wisp-child-")) wisp_test_skip("control groups can't be made here");
    const char *line = watched.output.data;
    for (int i = 0; i < 3; i++) {
        line = strchr(line, '\n') + 1;
        CHECK(!is_alive((pid_t)atoi(line)));
    }
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    for (size_t i = 0; i < WISP_COUNT(mounts); i++) {
        char path[600];
        snprintf(path, sizeof path, "%s%s", mounts[i], group);
        CHECK(access(path, F_OK) < 0);
    }
}

TEST(a_writer_without_end_does_not_hold_up_the_loop)
{
    WATCHED watched;
    start_shell(&watched, "setsid yes & yes", (struct wisp_process_spec){.capture_output = true, .is_contained = true});
    for (int i = 0; i < 50; i++) {
        uv_run(&watched.loop, UV_RUN_ONCE);
        watched.output.len = 0;
    }
    wisp_process_signal(watched.process, SIGKILL);
    finish(&watched);
    CHECK_INT(WTERMSIG(watched.wait_status), SIGKILL);
}

TEST(kill_reaches_the_group_and_term_the_process)
{
    WATCHED watched;
    start_shell(&watched, "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done",
                (struct wisp_process_spec){.capture_output = true});
    while (!watched.output.len) uv_run(&watched.loop, UV_RUN_ONCE);
    wisp_process_signal(watched.process, SIGTERM);
    finish(&watched);
    CHECK_INT(WEXITSTATUS(watched.wait_status), 9);
}

/* In a process of its own: spawns, tells the child's pid, waits to be killed. */
static void spawn_and_wait(int pid_fd, bool outlives_parent)
{
    struct watched watched;
    start_shell(&watched, "exec sleep 1000", (struct wisp_process_spec){.outlives_parent = outlives_parent});
    pid_t pid = wisp_process_pid(watched.process);
    CHECK(write(pid_fd, &pid, sizeof pid) == sizeof pid);
    for (;;) pause();
}

/* The child of a parent that was killed. */
static pid_t orphan(bool outlives_parent)
{
    int fds[2];
    CHECK(pipe(fds) == 0);
    pid_t parent = fork();
    CHECK(parent >= 0);
    if (parent == 0) spawn_and_wait(fds[1], outlives_parent);
    pid_t child;
    CHECK(read(fds[0], &child, sizeof child) == sizeof child);
    CHECK(is_alive(child));
    kill(parent, SIGKILL);
    CHECK(waitpid(parent, NULL, 0) == parent);
    return child;
}

TEST(child_dies_with_its_parent) { CHECK(dies_soon(orphan(false))); }

TEST(child_outlives_its_parent_when_it_may)
{
    pid_t child = orphan(true);
    usleep(200000);
    CHECK(is_alive(child));
    kill(child, SIGKILL);
    CHECK(dies_soon(child));
}

TEST(many_at_once)
{
    enum { N = 50 };
    static struct watched watched[N];
    uv_loop_t loop;
    CHECK_INT(uv_loop_init(&loop), 0);
    for (int i = 0; i < N; i++) {
        char script[32];
        snprintf(script, sizeof script, "exit %d", i);
        const char *argv[] = {"sh", "-c", script, NULL};
        struct wisp_process *process;
        struct wisp_err err = {0};
        CHECK_OK(wisp_process_new(&process, &loop, &(struct wisp_process_spec){.path = "/bin/sh", .argv = argv},
                                  &handler, &watched[i], &err),
                 &err);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&loop), 0);
    for (int i = 0; i < N; i++) CHECK_INT(WEXITSTATUS(watched[i].wait_status), i);
}
