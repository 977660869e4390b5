/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/server_priv.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static uv_loop_t loop;
static struct wisp_bus_server *server;
static struct wisp_err err;

static void start(const struct wisp_bus_server_options *options)
{
    uv_loop_init(&loop);
    CHECK_OK(wisp_bus_server_new(&server, &loop, options, &err), &err);
}

static void stop(void)
{
    wisp_bus_server_free(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&loop), 0);
}

static int dial(int family, const char *address)
{
    struct sockaddr_storage to = {.ss_family = (sa_family_t)family};
    struct sockaddr_in *in = (void *)&to;
    struct sockaddr_in6 *in6 = (void *)&to;
    in->sin_port = htons(wisp_bus_server_port(server));
    CHECK_INT(inet_pton(family, address, family == AF_INET ? (void *)&in->sin_addr : (void *)&in6->sin6_addr), 1);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, family == AF_INET ? sizeof *in : sizeof *in6) == 0) return fd;
    close(fd);
    return -1;
}

static int dial_unix(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void turn(int fd)
{
    uv_run(&loop, UV_RUN_NOWAIT);
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    (void)poll(&pollfd, 1, 1);
}

static void say(int fd, const char *text) { CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text)); }

/* Runs the loop until the connection has shown these words last, or has ended with them. */
static void expect(int fd, const char *words)
{
    static char text[1 << 16];
    size_t len = 0;
    for (;;) {
        turn(fd);
        ssize_t n = recv(fd, text + len, sizeof text - 1 - len, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) continue;
        if (n > 0) len += (size_t)n;
        text[len] = '\0';
        if (wisp_str_ends_with((struct wisp_str){text, len}, wisp_str_from(words))) return;
        if (n <= 0) wisp_test_fail(__FILE__, __LINE__, "it ended with `%s` instead of `%s`", text, words);
    }
}

static void expect_end(int fd)
{
    char byte;
    ssize_t n;
    do {
        turn(fd);
        n = recv(fd, &byte, 1, MSG_DONTWAIT);
    } while (n < 0 && errno == EAGAIN);
    CHECK(n <= 0);
}

static void check_talk(int fd)
{
    expect(fd, "}\r\n");
    say(fd, "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\nPING\r\n");
    expect(fd, "MSG a 1 2\r\nhi\r\nPONG\r\n");
}

static char *temporary(const char *name)
{
    static char folder[] = "/tmp/wisp-bus-XXXXXX", path[64];
    if (strstr(folder, "XXXXXX")) CHECK(mkdtemp(folder));
    (void)chmod(folder, 0755);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void remove_temporary(const char *path)
{
    char folder[64];
    (void)unlink(path);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    CHECK_INT(rmdir(folder), 0);
}

TEST(tcp)
{
    start(&(struct wisp_bus_server_options){.host = "127.0.0.1"});
    int fds[] = {dial(AF_INET, "127.0.0.1"), dial(AF_INET6, "::ffff:127.0.0.1")};
    for (size_t i = 0; i < WISP_COUNT(fds); i++) check_talk(fds[i]);
    CHECK_INT(wisp_bus_server_stats(server)->connections, 2);
    CHECK_INT(wisp_bus_server_stats(server)->subscriptions, 2);
    close(fds[0]);
    while (wisp_bus_server_stats(server)->connections == 2) uv_run(&loop, UV_RUN_ONCE);
    CHECK_INT(wisp_bus_server_stats(server)->subscriptions, 1);
    struct wisp_bus_server *other;
    struct wisp_bus_server_options taken = {.host = "127.0.0.1", .port = wisp_bus_server_port(server)};
    CHECK_FAILS(wisp_bus_server_new(&other, &loop, &taken, &err), EXISTS);
    say(fds[1], "PUB a 3\r\nbye\r\n");
    stop();
    close(fds[1]);
}

TEST(tcp6)
{
    struct wisp_bus_server_options options = {.host = "::1"};
    uv_loop_init(&loop);
    if (wisp_bus_server_new(&server, &loop, &options, &err) < 0) wisp_test_skip("no IPv6 here");
    int fd = dial(AF_INET6, "::1");
    check_talk(fd);
    close(fd);
    stop();
}

TEST(unix_socket)
{
    const char *path = temporary("bus");
    struct wisp_bus_server_options options = {.unix_path = path, .token = "not asked for here"};
    start(&options);
    struct stat st;
    CHECK_INT(lstat(path, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    int fd = dial_unix(path);
    check_talk(fd);
    struct wisp_bus_server *other;
    CHECK_FAILS(wisp_bus_server_new(&other, &loop, &options, &err), EXISTS);
    CHECK_HAS(err.text, "in use");
    stop();
    close(fd);
    CHECK_INT(lstat(path, &st), -1);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    CHECK_INT(bind(stale, (struct sockaddr *)&address, sizeof address), 0);
    close(stale);
    start(&options);
    fd = dial_unix(path);
    check_talk(fd);
    close(fd);
    stop();
    FILE *file = fopen(path, "w");
    fclose(file);
    uv_loop_init(&loop);
    CHECK_FAILS(wisp_bus_server_new(&other, &loop, &options, &err), EXISTS);
    uv_run(&loop, UV_RUN_DEFAULT);
    remove_temporary(path);
}

TEST(socket_pair)
{
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    start(&(struct wisp_bus_server_options){.token = "not asked for here"});
    CHECK_OK(wisp_bus_server_add_fd_take(server, fds[1], &err), &err);
    check_talk(fds[0]);
    close(fds[0]);
    int pipe_fds[2];
    CHECK_INT(pipe(pipe_fds), 0);
    CHECK(wisp_bus_server_add_fd_take(server, pipe_fds[0], &err) < 0);
    close(pipe_fds[1]);
    stop();
}

TEST(options)
{
    const struct {
        struct wisp_bus_server_options options;
        enum wisp_err_kind kind;
    } cases[] = {
        {{.host = "0.0.0.0"}, WISP_ERR_DENIED},
        {{.host = "::"}, WISP_ERR_DENIED},
        {{.host = "127.0.0.1", .token = ""}, WISP_ERR_INVALID},
        {{.host = "127.0.0.1", .tls = {.cert_path = "x"}}, WISP_ERR_INVALID},
        {{.host = "0.0.0.0", .tls = {.client_ca_path = "x"}}, WISP_ERR_INVALID},
        {{.host = "127.0.0.1", .tls = {.cert_path = "/none", .key_path = "/none"}}, WISP_ERR_INVALID},
        {{.host = "no.such.host.invalid"}, WISP_ERR_NOT_FOUND},
        {{.unix_path = "/no/such/folder/bus"}, WISP_ERR_NOT_FOUND},
        {{.nkeys = (const char *const[]){"nonsense"}, .n_nkeys = 1}, WISP_ERR_INVALID},
    };
    uv_loop_init(&loop);
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        int result = wisp_bus_server_new(&server, &loop, &cases[i].options, &err);
        if (result != -(int)cases[i].kind)
            wisp_test_fail(__FILE__, __LINE__, "case %zu gives %d (%s)", i, result, err.text);
    }
    CHECK_INT(uv_loop_close(&loop), 0);
    start(&(struct wisp_bus_server_options){.host = "0.0.0.0", .token = "secret"});
    int fd = dial(AF_INET, "127.0.0.1");
    expect(fd, "}\r\n");
    say(fd, "CONNECT {\"auth_token\":\"secret\"}\r\n");
    expect(fd, "+OK\r\n");
    close(fd);
    fd = dial(AF_INET, "127.0.0.1");
    say(fd, "SUB a 1\r\n");
    expect(fd, "-ERR 'Authorization Violation'\r\n");
    expect_end(fd);
    close(fd);
    stop();
}

/* --- who is at the other end --- */

static void check_owner(int family, const char *address)
{
    int diag_fd, fd = dial(family, address);
    struct sockaddr_storage ours = {0}, theirs = {0};
    socklen_t size = sizeof ours;
    CHECK_INT(getsockname(fd, (struct sockaddr *)&theirs, &size), 0);
    size = sizeof ours;
    CHECK_INT(getpeername(fd, (struct sockaddr *)&ours, &size), 0);
    CHECK_OK(wisp_bus_diag_open(&diag_fd, &err), &err);
    uid_t uid = 12345;
    CHECK_OK(wisp_bus_diag_owner(diag_fd, &theirs, &ours, &uid, &err), &err);
    CHECK_INT(uid, geteuid());
    /* Nobody's any more. */
    close(fd);
    CHECK_FAILS(wisp_bus_diag_owner(diag_fd, &theirs, &ours, &uid, &err), NOT_FOUND);
    ((struct sockaddr_in *)&theirs)->sin_port = 1;
    CHECK_FAILS(wisp_bus_diag_owner(diag_fd, &theirs, &ours, &uid, &err), NOT_FOUND);
    close(diag_fd);
}

TEST(owner_of_the_other_end)
{
    start(&(struct wisp_bus_server_options){.host = "127.0.0.1"});
    check_owner(AF_INET, "127.0.0.1");
    check_owner(AF_INET6, "::ffff:127.0.0.1");
    stop();
}

/* Connects as another user and either waits for what comes, which its exit status tells, or says `text` and is gone. */
static pid_t be_somebody_else(const char *unix_path, const char *text, bool waits)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    if (setgid(65534) < 0 || setuid(65534) < 0) _exit(2);
    int fd = unix_path ? dial_unix(unix_path) : dial(AF_INET, "127.0.0.1");
    char answer[256] = {0};
    if (fd < 0) _exit(3);
    if (!waits) _exit(send(fd, text, strlen(text), MSG_NOSIGNAL) > 0 ? 0 : 3);
    size_t len = 0;
    for (ssize_t n; len < sizeof answer - 1 && (n = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0;)
        len += (size_t)n;
    _exit(strstr(answer, "Authorization Violation") && !strstr(answer, "INFO") ? 0 : 4);
}

static void check_refused(const char *unix_path, bool waits)
{
    int status = -1;
    uint64_t refused = wisp_bus_server_stats(server)->refused;
    pid_t pid = be_somebody_else(unix_path, "PUB secret 1\r\nx\r\n", waits);
    if (!waits) CHECK_INT(waitpid(pid, &status, 0), pid);
    while (wisp_bus_server_stats(server)->refused == refused) uv_run(&loop, UV_RUN_ONCE);
    if (waits)
        while (waitpid(pid, &status, WNOHANG) == 0) uv_run(&loop, UV_RUN_NOWAIT);
    CHECK_INT(WEXITSTATUS(status), 0);
    CHECK_INT(wisp_bus_server_stats(server)->in_messages, 0);
    CHECK_INT(wisp_bus_server_stats(server)->connections_total, 0);
}

TEST(other_users_are_refused)
{
    if (geteuid() != 0) wisp_test_skip("only root can be somebody else");
    const char *path = temporary("bus");
    start(&(struct wisp_bus_server_options){.host = "127.0.0.1", .unix_path = path});
    check_refused(NULL, true);
    check_refused(NULL, false); /* gone before it is accepted */
    CHECK_INT(chmod(path, 0666), 0);
    check_refused(path, true);
    stop();
    remove_temporary(path);
}

/* --- who does not read --- */

TEST(slow_consumer_is_told)
{
    enum { SIZE = 100000 };
    start(&(struct wisp_bus_server_options){.host = "127.0.0.1", .pending_bytes_max = 1 << 20});
    int slow = dial(AF_INET, "127.0.0.1"), fast = dial(AF_INET, "127.0.0.1");
    say(slow, "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPING\r\n");
    expect(slow, "PONG\r\n");
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_append_str(&text, WISP_STR("CONNECT {\"verbose\":false}\r\n"));
    for (int i = 0; i < 4; i++) {
        wisp_buf_printf(&text, "PUB a %d\r\n", SIZE);
        memset(wisp_buf_reserve(&text, SIZE), 'x', SIZE);
        text.len += SIZE;
        wisp_buf_append(&text, "\r\n", 2);
    }
    size_t begin = strlen("CONNECT {\"verbose\":false}\r\n"), sent = 0;
    while (wisp_bus_server_stats(server)->slow_consumers == 0) {
        ssize_t n = send(fast, text.data + sent, text.len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) sent += (size_t)n;
        if (sent == text.len) sent = begin;
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    /* What was on its way comes whole, then the reason. */
    static char got[1 << 16];
    size_t kept = 0;
    for (ssize_t n = 1; n != 0;) {
        turn(slow);
        if (kept > sizeof got / 2) {
            memmove(got, got + kept - 100, 100);
            kept = 100;
        }
        n = recv(slow, got + kept, sizeof got - kept, MSG_DONTWAIT);
        CHECK(n >= 0 || errno == EAGAIN);
        if (n > 0) kept += (size_t)n;
    }
    CHECK(wisp_str_ends_with((struct wisp_str){got, kept}, WISP_STR("x\r\n-ERR 'Slow Consumer'\r\n")));
    close(slow);
    while (wisp_bus_server_stats(server)->connections > 1) uv_run(&loop, UV_RUN_ONCE);
    close(fast);
    stop();
}

TEST(a_reason_survives_unread_input)
{
    start(&(struct wisp_bus_server_options){.host = "127.0.0.1", .payload_bytes_max = 1000});
    int fd = dial(AF_INET, "127.0.0.1");
    static char payload[200000];
    memset(payload, 'x', sizeof payload - 1);
    say(fd, "PUB a 199999\r\n");
    say(fd, payload);
    expect(fd, "-ERR 'Maximum Payload Violation'\r\n");
    expect_end(fd);
    close(fd);
    while (wisp_bus_server_stats(server)->connections > 0) uv_run(&loop, UV_RUN_ONCE);
    stop();
}

TEST(idle_clients_are_pinged)
{
    start(&(struct wisp_bus_server_options){.host = "127.0.0.1", .ping_interval_ms = 10});
    int fd = dial(AF_INET, "127.0.0.1");
    expect(fd, "PING\r\n");
    expect(fd, "-ERR 'Stale Connection'\r\n");
    expect_end(fd);
    close(fd);
    stop();
}
