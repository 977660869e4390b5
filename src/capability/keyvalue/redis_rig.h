/* SPDX-License-Identifier: Apache-2.0 */
/* A real redis-server as a child. */
#pragma once

#include "bus/client_rig.h"

struct redis_server {
    pid_t pid; /* 0: not running */
    uint16_t port;
    char dir[64];
    char url[64];
};

static inline void redis_init(struct redis_server *server)
{
    if (!run_program("command -v redis-server > /dev/null")) wisp_test_skip("redis-server is not installed");
    *server = (struct redis_server){.port = free_port()};
    make_dir(server->dir);
    snprintf(server->url, sizeof server->url, "redis://127.0.0.1:%u", server->port);
}

/* Returns when it accepts connections. What was written is kept over a kill. */
static inline void redis_start(struct redis_server *server, const char *more_config)
{
    char text[1024], path[128];
    snprintf(text, sizeof text,
             "bind 127.0.0.1\nport %u\ndir %s\nsave \"\"\nappendonly yes\nappendfsync always\nlogfile %s/log\n%s\n",
             server->port, server->dir, server->dir, more_config);
    write_text_file(server->dir, "redis.conf", text);
    snprintf(path, sizeof path, "%s/redis.conf", server->dir);
    pid_t parent = getpid();
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        execlp("redis-server", "redis-server", path, (char *)NULL);
        _exit(127);
    }
    while (!port_answers(server->port)) {
        int status;
        if (waitpid(server->pid, &status, WNOHANG) == server->pid)
            wisp_test_fail(__FILE__, __LINE__, "redis-server ended, see %s/log", server->dir);
        usleep(5000);
    }
}

static inline void redis_kill(struct redis_server *server)
{
    if (!server->pid) return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

static inline void redis_deinit(struct redis_server *server)
{
    redis_kill(server);
    remove_tree(server->dir);
}
