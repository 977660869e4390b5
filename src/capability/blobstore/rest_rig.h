/* SPDX-License-Identifier: Apache-2.0 */
/* A server that is told what to answer, in a thread; and a link to it. */
#pragma once

#include "capability/blobstore/blobstore_rig.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct server {
    int listener;
    pthread_t thread;
    void (*script)(struct server *server);
    const char *authorization; /* in every request */
    bool is_over, has_heard;
    int connection; /* kept */
    char *heard;    /* the last request's head and what came with it */
    struct rig rig;
};

static inline void accept_next(struct server *server)
{
    server->connection = accept(server->listener, NULL, NULL);
    CHECK(server->connection >= 0);
    setsockopt(server->connection, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 20}, sizeof(struct timeval));
}

static inline void hang_up(struct server *server)
{
    close(server->connection);
    server->connection = -1;
}

/* The next request, all of it. False: the client has gone. */
static inline bool hear(struct server *server)
{
    struct wisp_buf buf = {0};
    size_t expected = SIZE_MAX;
    if (server->connection < 0) accept_next(server);
    free(WISP_TAKE(server->heard));
    while (buf.len < expected) {
        ssize_t n = recv(server->connection, wisp_buf_reserve(&buf, 65536), 65535, 0);
        if (n <= 0) {
            wisp_buf_deinit(&buf);
            return false;
        }
        buf.len += (size_t)n;
        buf.data[buf.len] = '\0';
        char *body = expected == SIZE_MAX ? strstr(buf.data, "\r\n\r\n") : NULL;
        if (!body) continue;
        char *length = strcasestr(buf.data, "\r\ncontent-length: ");
        expected = (size_t)(body + 4 - buf.data) + (length && length < body ? strtoul(length + 18, NULL, 10) : 0);
    }
    server->heard = buf.data;
    return true;
}

static inline void say(struct server *server, const char *text)
{
    CHECK(send(server->connection, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

static inline void answer(struct server *server, const char *words, const char *status, const char *body)
{
    char text[2048];
    CHECK(hear(server));
    CHECK_HAS(server->heard, words);
    CHECK_HAS(server->heard, server->authorization);
    snprintf(text, sizeof text, "HTTP/1.1 %s\r\nETag: \"tag\"\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body),
             body);
    say(server, text);
}

static inline void *serve(void *env)
{
    struct server *server = env;
    server->script(server);
    __atomic_store_n(&server->is_over, true, __ATOMIC_RELEASE);
    return NULL;
}

/* `config` of the link from `app`: what comes before the server's port, and what after it. */
static inline void server_start(struct server *server, const struct wisp_provider_kind *kind, const char *authorization,
                                const char *const config[2], void (*script)(struct server *server))
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    char text[400];
    *server = (struct server){.connection = -1, .script = script, .authorization = authorization};
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(server->listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(server->listener, 8) == 0);
    CHECK(getsockname(server->listener, (struct sockaddr *)&address, &size) == 0);
    rig_open(&server->rig, kind, NULL);
    snprintf(text, sizeof text, "%s%u%s", config[0], ntohs(address.sin_port), config[1]);
    rig_link(&server->rig, "app", text, 0);
    pthread_create(&server->thread, NULL, serve, server);
}

static inline void server_close(struct server *server)
{
    /* What nobody waits for may still be on its way. */
    while (!__atomic_load_n(&server->is_over, __ATOMIC_ACQUIRE)) {
        uv_run(&server->rig.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    pthread_join(server->thread, NULL);
    rig_close(&server->rig);
    if (server->connection >= 0) close(server->connection);
    close(server->listener);
    free(server->heard);
}

/* For tests of what large objects need. */
static inline long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}
