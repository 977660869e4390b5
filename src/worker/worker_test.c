/* SPDX-License-Identifier: Apache-2.0 */
/* A worker in a process of its own, with the guest of test_guest.wat, and clients that are plain sockets. */
#include "worker/worker.h"

#include "base/log.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 20000, DRAIN_MS = 2000, TEXT_MAX = 1 << 16 };

/* --- the worker's process --- */

static struct {
    pid_t pid, test_pid;
    int control; /* our end */
    int log_fd;  /* its standard error */
    uint16_t port;
    char log[TEXT_MAX];
    size_t log_size;
} worker;

static const char *guest_path(void)
{
    static char path[1024];
    const char *slash = strrchr(__FILE__, '/');
    snprintf(path, sizeof path, "%.*s/test_guest.wat", (int)(slash - __FILE__), __FILE__);
    return path;
}

static int listening_socket(uint16_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    CHECK_INT(bind(fd, (struct sockaddr *)&address, size), 0);
    CHECK_INT(listen(fd, 128), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* At the end of the test's own process; its worker, being forked, has the handler too. */
static void kill_worker(void)
{
    if (worker.test_pid == getpid() && worker.pid > 0) kill(worker.pid, SIGKILL);
}

static void spawn_worker(const char *path, const struct wisp_worker_limits *limits)
{
    int listener = listening_socket(&worker.port), sockets[2], pipes[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    fflush(NULL);
    worker.test_pid = getpid();
    worker.pid = fork();
    CHECK(worker.pid >= 0);
    if (worker.pid == 0) {
        alarm(50);
        close(sockets[0]);
        dup2(pipes[1], STDERR_FILENO);
        wisp_log_configure(WISP_LOG_DEBUG, WISP_LOG_LOGFMT);
        const struct wisp_worker_options options = {
            .component = {.name = "guest", .path = path, .limits = *limits},
            .listen_fds = &listener,
            .n_listen_fds = 1,
            .control_fd = sockets[1],
            .drain_ms = DRAIN_MS,
            .cache_dir = "",
        };
        struct wisp_err err = {0};
        exit(wisp_worker_run(&options, &err) < 0 ? 100 + (int)err.kind : 0);
    }
    close(listener);
    close(sockets[1]);
    close(pipes[1]);
    worker.control = sockets[0];
    worker.log_fd = pipes[0];
    atexit(kill_worker);
}

static bool is_readable(int fd, int wait_ms)
{
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    return poll(&watch, 1, wait_ms) == 1;
}

/* A line from the control channel, with its newline; "" at the end of it. */
static const char *control_line(void)
{
    static char line[2048];
    size_t size = 0;
    while (size + 1 < sizeof line) {
        if (!is_readable(worker.control, WAIT_MS)) wisp_test_fail(__FILE__, __LINE__, "nothing from the worker");
        if (read(worker.control, line + size, 1) != 1) break;
        if (line[size++] == '\n') break;
    }
    line[size] = '\0';
    return line;
}

static void start_worker(struct wisp_worker_limits limits)
{
    spawn_worker(guest_path(), &limits);
    CHECK_TEXT(control_line(), "ready\n");
}

static const char *log_so_far(void)
{
    while (worker.log_size < TEXT_MAX - 1 && is_readable(worker.log_fd, 50)) {
        ssize_t n = read(worker.log_fd, worker.log + worker.log_size, TEXT_MAX - 1 - worker.log_size);
        if (n <= 0) break;
        worker.log_size += (size_t)n;
    }
    worker.log[worker.log_size] = '\0';
    return worker.log;
}

static int wait_for_exit(void)
{
    int status;
    CHECK_INT(waitpid(worker.pid, &status, 0), worker.pid);
    worker.pid = 0;
    if (WIFSIGNALED(status))
        wisp_test_fail(__FILE__, __LINE__, "the worker died: %s\n%s", strsignal(WTERMSIG(status)), log_so_far());
    return WEXITSTATUS(status);
}

static void stop_worker(void)
{
    CHECK_INT(write(worker.control, "drain\n", 6), 6);
    int code = wait_for_exit();
    if (code != 0) wisp_test_fail(__FILE__, __LINE__, "the worker's exit code is %d\n%s", code, log_so_far());
}

/* --- clients --- */

static int client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(worker.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_text(int fd, const char *text) { CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text)); }

static int ask(char command)
{
    int fd = client();
    char request[128];
    snprintf(request, sizeof request,
             "POST /p?secret HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1\r\n\r\n%c", command);
    send_text(fd, request);
    return fd;
}

/* All until the connection's end. */
static const char *answer(int fd)
{
    static char text[TEXT_MAX];
    size_t size = 0;
    for (;;) {
        if (!is_readable(fd, WAIT_MS)) wisp_test_fail(__FILE__, __LINE__, "no answer; log:\n%s", log_so_far());
        ssize_t n = read(fd, text + size, sizeof text - 1 - size);
        if (n <= 0) break;
        size += (size_t)n;
    }
    text[size] = '\0';
    close(fd);
    return text;
}

static void check_hello(void)
{
    const char *text = answer(ask('h'));
    CHECK_HAS(text, "HTTP/1.1 200 OK\r\n");
    CHECK_HAS(text, "content-length: 21\r\n");
    CHECK_HAS(text, "\r\n\r\nhello from the guest\n");
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- answers and failures --- */

TEST(hello)
{
    start_worker((struct wisp_worker_limits){0});
    check_hello();
    /* Two requests in one packet on one connection. */
    int fd = client();
    send_text(fd, "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    const char *text = answer(fd), *second = strstr(text + 1, "HTTP/1.1 200");
    CHECK_HAS(second, "hello");
    stop_worker();
}

TEST(failures_end_only_their_request)
{
    static const struct {
        char command;
        const char *answer, *log;
    } cases[] = {
        {'t', "HTTP/1.1 500 ", "unreachable"},
        {'y', "HTTP/1.1 500 ", "unreachable"},
        {'n', "HTTP/1.1 500 ", "returned without setting one"},
        {'r', "HTTP/1.1 500 ", "stack"},
        {'o', "HTTP/1.1 500 ", "its stream is still there"},
        {'2', "HTTP/1.1 200 ", "handle"},
        {'e', "HTTP/1.1 403 ", "HTTP-request-denied"},
        {'\xff', "HTTP/1.1 500 ", "returned without setting one"},
    };
    start_worker((struct wisp_worker_limits){0});
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        const char *text = answer(ask(cases[i].command));
        CHECK_HAS(text, cases[i].answer);
        CHECK(!strstr(text, "unreachable") && !strstr(text, "stack") && !strstr(text, "handle"));
        CHECK_HAS(log_so_far(), cases[i].log);
        worker.log_size = 0;
        check_hello();
    }
    CHECK(!strstr(log_so_far(), "secret"));
    stop_worker();
}

TEST(repeated_failures_do_not_flood_the_log)
{
    start_worker((struct wisp_worker_limits){0});
    for (int i = 0; i < 60; i++) CHECK_HAS(answer(ask('n')), "HTTP/1.1 500 ");
    stop_worker();
    const char *log = log_so_far();
    int lines = 0;
    for (const char *at = log; (at = strstr(at, "gave no response")); at++) lines++;
    CHECK(lines >= 20 && lines < 60);
    CHECK_HAS(log, "more requests failed in the same second");
}

TEST(abandoned_body_breaks_the_connection)
{
    start_worker((struct wisp_worker_limits){0});
    const char *text = answer(ask('a'));
    CHECK_HAS(text, "transfer-encoding: chunked\r\n");
    CHECK(!strstr(text, "\r\n0\r\n"));
    CHECK_HAS(log_so_far(), "dropped the body");
    check_hello();
    stop_worker();
}

TEST(memory_is_limited)
{
    start_worker((struct wisp_worker_limits){.memory_bytes_max = 8 << 20});
    CHECK_HAS(answer(ask('g')), "hello");
    stop_worker();
}

/* --- time --- */

TEST(busy_guest_is_preempted_and_ended)
{
    start_worker((struct wisp_worker_limits){.timeout_ms = 1500});
    uint64_t start_ms = now_ms();
    int busy = ask('l');
    for (int i = 0; i < 5; i++) check_hello();
    CHECK(now_ms() - start_ms < 1500);
    CHECK_HAS(answer(busy), "HTTP/1.1 504 ");
    CHECK_HAS(log_so_far(), "no answer within 1500 ms");
    stop_worker();
}

TEST(deadline_after_the_head_breaks_the_connection)
{
    start_worker((struct wisp_worker_limits){.timeout_ms = 500});
    const char *text = answer(ask('x'));
    CHECK_HAS(text, "HTTP/1.1 200 OK\r\n");
    CHECK(!strstr(text, "\r\n0\r\n"));
    check_hello();
    stop_worker();
}

TEST(complete_response_outlives_its_guest)
{
    start_worker((struct wisp_worker_limits){.timeout_ms = 500});
    uint64_t start_ms = now_ms();
    CHECK_HAS(answer(ask('f')), "hello");
    CHECK(now_ms() - start_ms < 450);
    usleep(700 * 1000);
    CHECK_HAS(log_so_far(), "took too long");
    stop_worker();
}

TEST(sleeping_guests_share_the_loop)
{
    start_worker((struct wisp_worker_limits){0});
    int sleepers[50];
    uint64_t start_ms = now_ms();
    for (size_t i = 0; i < WISP_COUNT(sleepers); i++) sleepers[i] = ask('s');
    for (size_t i = 0; i < WISP_COUNT(sleepers); i++) CHECK_HAS(answer(sleepers[i]), "hello");
    CHECK(now_ms() - start_ms < 50 * 100);
    stop_worker();
}

TEST(client_that_leaves_ends_its_invocation)
{
    start_worker((struct wisp_worker_limits){.instances_max = 1, .queue_max = UINT32_MAX});
    static const char commands[] = "zlxw";
    for (const char *c = commands; *c; c++) {
        int fd = ask(*c);
        usleep(100 * 1000);
        close(fd);
        usleep(100 * 1000);
        CHECK_HAS(log_so_far(), "the client left");
        worker.log_size = 0;
        check_hello(); /* the only instance is free again */
    }
    stop_worker();
}

/* --- admission --- */

TEST(full_queue_is_refused)
{
    start_worker((struct wisp_worker_limits){.instances_max = 1, .queue_max = 1});
    int running = ask('s');
    usleep(30 * 1000);
    int waiting = ask('h');
    usleep(30 * 1000);
    const char *refused = answer(ask('h'));
    CHECK_HAS(refused, "HTTP/1.1 503 Service Unavailable\r\n");
    CHECK_HAS(refused, "retry-after: 1\r\n");
    CHECK_HAS(refused, "Service Unavailable: all instances are busy and the queue is full\n");
    CHECK_HAS(answer(running), "hello");
    CHECK_HAS(answer(waiting), "hello");
    check_hello();
    stop_worker();
}

TEST(waiting_in_the_queue_ends_too)
{
    start_worker((struct wisp_worker_limits){.instances_max = 1, .queue_max = 5, .timeout_ms = 600});
    int running = ask('z');
    usleep(30 * 1000);
    int waiting = ask('h'), leaving = ask('h');
    close(leaving);
    CHECK_HAS(answer(running), "HTTP/1.1 504 ");
    const char *text = answer(waiting);
    CHECK(strstr(text, "Service Unavailable: it waited too long: all instances were busy\n") || strstr(text, "hello"));
    check_hello();
    stop_worker();
}

TEST(large_bodies_are_refused)
{
    start_worker((struct wisp_worker_limits){.body_bytes_max = 10});
    int fd = client();
    send_text(fd, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\nhhhhhhhhhhh");
    CHECK_HAS(answer(fd), "HTTP/1.1 413 ");
    stop_worker();
}

TEST(request_that_is_no_text_is_refused)
{
    start_worker((struct wisp_worker_limits){0});
    int fd = client();
    send_text(fd, "GET /\xff HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    CHECK_HAS(answer(fd), "HTTP/1.1 400 ");
    check_hello();
    stop_worker();
}

/* --- life of the worker --- */

TEST(drain_finishes_what_is_in_flight)
{
    start_worker((struct wisp_worker_limits){0});
    int fd = ask('s');
    usleep(30 * 1000);
    CHECK_INT(write(worker.control, "drain\n", 6), 6);
    CHECK_HAS(answer(fd), "hello");
    CHECK_INT(wait_for_exit(), 0);
}

TEST(sigterm_drains_and_a_second_one_does_not_wait)
{
    start_worker((struct wisp_worker_limits){0});
    int fd = ask('z');
    usleep(50 * 1000);
    kill(worker.pid, SIGINT); /* the parent's business */
    kill(worker.pid, SIGTERM);
    usleep(300 * 1000);
    CHECK_INT(waitpid(worker.pid, NULL, WNOHANG), 0);
    kill(worker.pid, SIGTERM);
    CHECK_INT(wait_for_exit(), 0);
    close(fd);
}

TEST(slow_client_does_not_delay_a_hard_end)
{
    start_worker((struct wisp_worker_limits){0});
    int fd = ask('w'); /* fills all buffers on the way, for we don't read */
    usleep(300 * 1000);
    uint64_t start_ms = now_ms();
    kill(worker.pid, SIGTERM);
    usleep(100 * 1000);
    kill(worker.pid, SIGTERM);
    CHECK_INT(wait_for_exit(), 0);
    CHECK(now_ms() - start_ms < DRAIN_MS);
    close(fd);
}

TEST(drain_does_not_wait_for_ever_for_a_guest_without_a_client)
{
    start_worker((struct wisp_worker_limits){0});
    CHECK_HAS(answer(ask('f')), "hello");
    uint64_t start_ms = now_ms();
    stop_worker();
    CHECK(now_ms() - start_ms >= DRAIN_MS - 100 && now_ms() - start_ms < DRAIN_MS + 3000);
}

TEST(parent_that_is_gone_ends_the_worker)
{
    start_worker((struct wisp_worker_limits){0});
    int fd = ask('z');
    usleep(50 * 1000);
    close(worker.control);
    uint64_t start_ms = now_ms();
    CHECK_INT(wait_for_exit(), 0);
    CHECK(now_ms() - start_ms < 3000);
    close(fd);
}

TEST(component_that_cannot_be_served_is_reported)
{
    char path[] = "/tmp/wisp-worker-test-XXXXXX";
    int fd = mkstemp(path);
    static const struct {
        const char *text, *failure;
    } cases[] = {
        {"(component)", "failed invalid component `guest`: the component does not export wasi:http/incoming-handler"},
        {"(component (import \"a:b/c\" (instance)))", "failed "},
        {"(component (import \"a:b/c\" (instance (export \"f\" (func)))))", "failed not-found component `guest`: "},
        {"(module)", "failed invalid component `guest`: "},
        {"rubbish", "failed invalid component `guest`: "},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        CHECK_INT(ftruncate(fd, 0), 0);
        CHECK_INT(pwrite(fd, cases[i].text, strlen(cases[i].text), 0), strlen(cases[i].text));
        spawn_worker(path, &(struct wisp_worker_limits){0});
        CHECK_HAS(control_line(), cases[i].failure);
        CHECK_TEXT(control_line(), "");
        CHECK(wait_for_exit() > 100);
        close(worker.control);
    }
    unlink(path);
    spawn_worker(path, &(struct wisp_worker_limits){0});
    CHECK_HAS(control_line(), "failed not-found component `guest`: open");
    wait_for_exit();
}

/* The entry's type is the component's word. */
TEST(entry_of_another_type_is_refused)
{
    char path[] = "/tmp/wisp-worker-test-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "(component (core module $m (func (export \"f\") (param i32)))"
                               "(core instance $i (instantiate $m))"
                               "(func $f (param \"x\" u32) (canon lift (core func $i \"f\")))"
                               "(instance $h (export \"handle\" (func $f)))"
                               "(export \"wasi:http/incoming-handler@0.2.0\" (instance $h)))";
    CHECK_INT(write(fd, text, sizeof text - 1), sizeof text - 1);
    spawn_worker(path, &(struct wisp_worker_limits){0});
    CHECK_HAS(control_line(), "`handle` of another type");
    wait_for_exit();
    unlink(path);
}
