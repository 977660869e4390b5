/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of what speaks to a bus: real nats-servers as children, and a loop that runs until something is so. */
#pragma once

#include "base/mem.h"
#include "bus/client.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs the loop until the condition holds. The test's own time limit ends what never does. */
#define AWAIT(loop, condition)                                                                                         \
    do {                                                                                                               \
        while (!(condition))                                                                                           \
            if (!uv_run((loop), UV_RUN_ONCE) && !(condition))                                                          \
                wisp_test_fail(__FILE__, __LINE__, "the loop has nothing to do, and still not: %s", #condition);       \
    } while (0)

struct nats {
    pid_t pid; /* 0: not running */
    uint16_t port, cluster_port;
    char dir[64]; /* its files; made by nats_init */
    char url[64];
    char log[128];
};

static inline uint16_t free_port(void)
{
    for (int i = 0; i < 200; i++) {
        uint16_t port = 0;
        CHECK_INT(getrandom(&port, sizeof port, 0), sizeof port);
        port = (uint16_t)(14000 + port % 6000);
        struct sockaddr_in address = {
            .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        bool is_free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (is_free) return port;
    }
    wisp_test_fail(__FILE__, __LINE__, "no free port");
}

static inline void make_dir(char path[64])
{
    strcpy(path, "/tmp/wisp-test-XXXXXX");
    CHECK(mkdtemp(path));
}

static inline void remove_tree(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

/* Runs a program to its end; true when it exits with 0. */
static inline bool run_program(const char *script)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(127);
    }
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static inline void write_text_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    CHECK(file);
    CHECK(fputs(text, file) >= 0);
    CHECK_INT(fclose(file), 0);
}

/* ca.pem, server.pem for localhost, client.pem, and their .key files. */
static inline void make_certificates(const char *dir)
{
    char script[2048];
    snprintf(
        script, sizeof script,
        "cd %s && exec >/dev/null 2>&1 &&"
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out "
        "ca.pem &&"
        "for who in server client; do"
        " openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$who -keyout $who.key -out $who.csr "
        "&&"
        " printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > ext &&"
        " openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $who.pem"
        " || exit 1; done",
        dir);
    CHECK(run_program(script));
}

static inline bool port_answers(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return answers;
}

static inline void nats_init(struct nats *nats)
{
    if (access("/usr/sbin/nats-server", X_OK) != 0 && !run_program("command -v nats-server > /dev/null"))
        wisp_test_skip("nats-server is not installed");
    *nats = (struct nats){.port = free_port()};
    do nats->cluster_port = free_port();
    while (nats->cluster_port == nats->port);
    make_dir(nats->dir);
    snprintf(nats->url, sizeof nats->url, "nats://127.0.0.1:%u", nats->port);
    snprintf(nats->log, sizeof nats->log, "%s/log", nats->dir);
}

/* Starts it, or starts it again, with these lines in its configuration; returns when it accepts connections. */
static inline void nats_start(struct nats *nats, const char *config)
{
    char text[8192], path[128];
    snprintf(text, sizeof text, "listen: \"127.0.0.1:%u\"\nlog_file: \"%s\"\n%s\n", nats->port, nats->log, config);
    write_text_file(nats->dir, "nats.conf", text);
    snprintf(path, sizeof path, "%s/nats.conf", nats->dir);
    pid_t parent = getpid();
    nats->pid = fork();
    if (nats->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        execlp("nats-server", "nats-server", "-c", path, (char *)NULL);
        execl("/usr/sbin/nats-server", "nats-server", "-c", path, (char *)NULL);
        _exit(127);
    }
    while (!port_answers(nats->port)) {
        int status;
        if (waitpid(nats->pid, &status, WNOHANG) == nats->pid)
            wisp_test_fail(__FILE__, __LINE__, "nats-server ended, see %s", nats->log);
        usleep(10000);
    }
}

static inline void nats_kill(struct nats *nats)
{
    if (!nats->pid) return;
    kill(nats->pid, SIGKILL);
    waitpid(nats->pid, NULL, 0);
    nats->pid = 0;
}

static inline void nats_deinit(struct nats *nats)
{
    nats_kill(nats);
    remove_tree(nats->dir);
}

/* --- a client and what it told --- */

struct told {
    uv_loop_t *loop;
    struct wisp_bus_client *client;
    unsigned n_connected, n_lost;
    bool is_closed;
    struct wisp_err reason;
};

static inline void on_told_state(enum wisp_bus_state state, const struct wisp_err *reason, void *env)
{
    struct told *told = env;
    if (state == WISP_BUS_CONNECTED) told->n_connected++;
    if (state == WISP_BUS_RECONNECTING) told->n_lost++;
    if (state == WISP_BUS_CLOSED) told->is_closed = true;
    if (state != WISP_BUS_CONNECTED) told->reason = *reason;
}

static inline void connect_with(struct told *told, uv_loop_t *loop, struct wisp_bus_client_options options)
{
    struct wisp_err err = {0};
    *told = (struct told){.loop = loop};
    options.on_state = on_told_state;
    options.env = told;
    CHECK_OK(wisp_bus_client_new(&told->client, loop, &options, &err), &err);
}

static inline void connect_to(struct told *told, uv_loop_t *loop, const char *url)
{
    connect_with(told, loop, (struct wisp_bus_client_options){.urls = &url, .n_urls = 1});
    AWAIT(loop, told->n_connected == 1);
}

static inline void end_loop(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(loop), 0);
}
