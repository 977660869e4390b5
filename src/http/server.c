/* SPDX-License-Identifier: Apache-2.0 */
/* A server: its listeners, its sense of time, what is to be done before the loop sleeps, and its end. */
#include "http/server.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    TICK_MS_MAX = 1000,
    KEPT_SOCKETS = 1024,
    BACKLOG = 1024,
    NEWCOMER_GRACE_MS = 500, /* for the first request of a connection that is made when the server stops */
};

/* --- time --- */

void wisp_http_server_look_at_clock(struct wisp_http_server *server)
{
    uint64_t now = uv_now(server->loop);
    server->shared.now_ms = now;
    if (now - server->date_ms < 1000) return;
    server->date_ms = now;
    wisp_http_shared_set_date(&server->shared, time(NULL));
}

static uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t tick_of(const struct wisp_http_options *options)
{
    uint64_t shortest = min_u64(min_u64(options->head_timeout_ms, options->idle_timeout_ms),
                                min_u64(options->body_timeout_ms, options->write_timeout_ms));
    uint64_t tick = min_u64(shortest / 4, TICK_MS_MAX);
    return tick > 0 ? tick : 1;
}

static void end_if_empty(struct wisp_http_server *server);
static void close_listeners(struct wisp_http_server *server);

/* A client that has just connected, and whose request is on its way, is no idle one. */
static bool is_newcomer(const struct wisp_http_server *server, const struct wisp_http_socket *socket)
{
    return !socket->conn.has_served && server->shared.now_ms < server->stop_began_ms + NEWCOMER_GRACE_MS;
}

static void on_timer(uv_timer_t *timer)
{
    struct wisp_http_server *server = timer->data;
    wisp_http_server_look_at_clock(server);
    uint64_t now = server->shared.now_ms;
    bool was_held_up = now - server->ticked_at_ms > 2 * server->tick_ms + TICK_MS_MAX;
    server->ticked_at_ms = now;
    /* The loop did not come by for long: what clients sent in time may still be unread. */
    if (was_held_up) return;
    bool is_stopping = server->shared.is_stopping;
    if (is_stopping && !server->has_looked) {
        /* Timers may be due before the loop has looked at its sockets: the next one comes after that. */
        server->has_looked = true;
        uv_timer_start(&server->timer, on_timer, 1, server->tick_ms);
        return;
    }
    bool is_late = is_stopping && now >= server->stop_deadline_ms;
    /* The loop has looked at them since the stop: whoever waited in their queues was accepted. */
    if (is_stopping) close_listeners(server);
    /* Closing is asynchronous: no socket leaves the list within this loop. */
    for (struct wisp_http_socket *socket = server->sockets; socket; socket = socket->next) {
        if (is_late) {
            wisp_http_socket_reset(socket, WISP_HTTP_STOPPED);
        } else {
            if (is_stopping && !is_newcomer(server, socket)) wisp_http_socket_stop(socket);
            wisp_http_socket_tick(socket);
        }
    }
    if (is_stopping) end_if_empty(server);
}

/* --- before the loop sleeps --- */

static void do_nothing(uv_idle_t *idle) { (void)idle; }

void wisp_http_server_schedule(struct wisp_http_socket *socket)
{
    struct wisp_http_server *server = socket->server;
    if (socket->is_scheduled || socket->is_closing) return;
    if (!server->scheduled) uv_idle_start(&server->stay_awake, do_nothing);
    socket->is_scheduled = true;
    socket->next_scheduled = server->scheduled;
    server->scheduled = socket;
}

static void before_sleep(uv_prepare_t *prepare)
{
    struct wisp_http_server *server = prepare->data;
    if (!server->scheduled) return;
    wisp_http_server_look_at_clock(server);
    /* What gets scheduled meanwhile has its turn when the loop comes by again, so that one connection whose client
     * takes everything at once can't keep the others waiting. */
    struct wisp_http_socket *list = WISP_TAKE(server->scheduled);
    uv_idle_stop(&server->stay_awake);
    while (list) {
        struct wisp_http_socket *socket = list;
        list = socket->next_scheduled;
        socket->is_scheduled = false;
        if (socket->is_closing) continue;
        wisp_http_conn_run(&socket->conn);
        if (socket->tls) wisp_http_socket_decrypt(socket);
        wisp_http_socket_settle(socket);
    }
}

static void unschedule(struct wisp_http_server *server, struct wisp_http_socket *socket)
{
    if (!socket->is_scheduled) return;
    struct wisp_http_socket **at = &server->scheduled;
    while (*at != socket) at = &(*at)->next_scheduled;
    *at = socket->next_scheduled;
    if (!server->scheduled) uv_idle_stop(&server->stay_awake);
}

/* --- sockets come and go --- */

void wisp_http_server_add(struct wisp_http_server *server, struct wisp_http_socket *socket)
{
    wisp_http_server_look_at_clock(server);
    if (!server->sockets) {
        server->ticked_at_ms = server->shared.now_ms;
        uv_prepare_start(&server->before_sleep, before_sleep);
        if (!server->shared.is_stopping) uv_timer_start(&server->timer, on_timer, server->tick_ms, server->tick_ms);
    }
    socket->next = server->sockets;
    if (socket->next) socket->next->previous = socket;
    server->sockets = socket;
    server->shared.stats.accepted++;
    server->shared.stats.connections++;
}

static void accept_waiting(struct wisp_http_server *server)
{
    for (struct wisp_http_listener *listener = server->listeners; listener; listener = listener->next) {
        if (!listener->is_waiting) continue;
        listener->is_waiting = false;
        wisp_http_socket_accept(listener);
        return;
    }
}

void wisp_http_server_remove(struct wisp_http_server *server, struct wisp_http_socket *socket)
{
    unschedule(server, socket);
    if (socket->next) socket->next->previous = socket->previous;
    if (socket->previous)
        socket->previous->next = socket->next;
    else
        server->sockets = socket->next;
    wisp_http_recycler_put(&server->spare_sockets, socket);
    server->shared.stats.connections--;
    if (server->shared.is_stopping)
        end_if_empty(server);
    else
        accept_waiting(server);
    if (!server->sockets && !server->shared.is_stopping) {
        uv_timer_stop(&server->timer);
        uv_prepare_stop(&server->before_sleep);
    }
}

/* --- listeners --- */

static void on_connection(uv_stream_t *stream, int status)
{
    struct wisp_http_listener *listener = stream->data;
    struct wisp_http_server *server = listener->server;
    if (status < 0) return;
    /* libuv leaves the listener alone until the connection has been taken. */
    if (server->shared.stats.connections >= server->shared.options.connections_max)
        listener->is_waiting = true;
    else
        wisp_http_socket_accept(listener);
}

static void free_listener(uv_handle_t *handle) { free(handle->data); }

static void open_handles(struct wisp_http_server *server)
{
    if (server->n_handles > 0) return;
    server->n_handles = 3;
    uv_timer_init(server->loop, &server->timer);
    uv_prepare_init(server->loop, &server->before_sleep);
    uv_idle_init(server->loop, &server->stay_awake);
    server->timer.data = server->before_sleep.data = server->stay_awake.data = server;
    uv_unref((uv_handle_t *)&server->timer);
    uv_unref((uv_handle_t *)&server->before_sleep);
}

/* Lets a bound socket accept. The listener is the server's on success, and on its way out otherwise. */
static int begin_listening(struct wisp_http_server *server, struct wisp_http_listener *listener, int backlog)
{
    /* Accepted sockets inherit it, which saves a system call for each. */
    (void)uv_tcp_nodelay(&listener->tcp, 1);
    int result = uv_listen((uv_stream_t *)&listener->tcp, backlog > 0 ? backlog : BACKLOG, on_connection);
    if (result < 0) return result;
    open_handles(server);
    listener->next = server->listeners;
    server->listeners = listener;
    server->n_handles++;
    return 0;
}

static struct wisp_http_listener *listener_new(struct wisp_http_server *server, unsigned family, int *ret_result)
{
    struct wisp_http_listener *listener = wisp_mem_calloc(1, sizeof *listener);
    listener->server = server;
    *ret_result = uv_tcp_init_ex(server->loop, &listener->tcp, family);
    if (*ret_result < 0) {
        free(listener);
        return NULL;
    }
    listener->tcp.data = listener;
    return listener;
}

static int share_port(struct wisp_http_listener *listener)
{
    uv_os_fd_t fd;
    int result = uv_fileno((uv_handle_t *)&listener->tcp, &fd);
    if (result < 0) return result;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)) < 0 ? -errno : 0;
}

static uint16_t port_of(struct wisp_http_listener *listener)
{
    struct sockaddr_storage storage;
    int size = sizeof storage;
    if (uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)(void *)&storage, &size) < 0) return 0;
    return storage.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)(void *)&storage)->sin6_port)
                                         : ntohs(((struct sockaddr_in *)(void *)&storage)->sin_port);
}

static int listen_on(struct wisp_http_server *server, const struct wisp_http_address *address,
                     const struct addrinfo *info, uint16_t *ret_port)
{
    int result;
    struct wisp_http_listener *listener = listener_new(server, (unsigned)info->ai_family, &result);
    if (!listener) return result;
    if (address->reuse_port) result = share_port(listener);
    if (result == 0) result = uv_tcp_bind(&listener->tcp, info->ai_addr, 0);
    if (result == 0) result = begin_listening(server, listener, address->backlog);
    if (result < 0) {
        uv_close((uv_handle_t *)&listener->tcp, free_listener);
        return result;
    }
    if (ret_port) *ret_port = port_of(listener);
    return 0;
}

int wisp_http_server_listen(struct wisp_http_server *server, const struct wisp_http_address *address,
                            uint16_t *ret_port, struct wisp_err *err)
{
    char port[8];
    snprintf(port, sizeof port, "%u", address->port);
    struct addrinfo *info, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int result = getaddrinfo(address->host, port, &hints, &info);
    if (result != 0)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "listen on `%s`: %s", address->host, gai_strerror(result));
    result = listen_on(server, address, info, ret_port);
    freeaddrinfo(info);
    if (result < 0) return wisp_err_os(err, -result, "listen on `%s` port %u", address->host, address->port);
    return 0;
}

int wisp_http_server_listen_fd_take(struct wisp_http_server *server, int fd, struct wisp_err *err)
{
    int is_listening = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &(socklen_t){sizeof is_listening}) < 0)
        return wisp_err_os(err, errno, "listen on descriptor %d", fd);
    if (!is_listening) return wisp_err_set(err, WISP_ERR_INVALID, "descriptor %d is no listening socket", fd);
    /* Whoever had it before may have turned clients away. */
    (void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &is_listening, sizeof is_listening);
    /* libuv closes its descriptor when it fails, but the caller's is the caller's until we succeed. */
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return wisp_err_os(err, errno, "listen on descriptor %d", fd);
    int result;
    struct wisp_http_listener *listener = listener_new(server, AF_UNSPEC, &result);
    if (listener) result = uv_tcp_open(&listener->tcp, copy);
    if (result < 0) close(copy);
    if (listener && result == 0) result = begin_listening(server, listener, 0);
    if (result == 0) {
        close(fd);
        return 0;
    }
    if (listener) uv_close((uv_handle_t *)&listener->tcp, free_listener);
    return wisp_err_os(err, -result, "listen on descriptor %d", fd);
}

/* --- beginning and end --- */

/* Writing to a connection that the client has closed would end the whole program. */
static void ignore_sigpipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
        action.sa_handler = SIG_IGN;
        (void)sigaction(SIGPIPE, &action, NULL);
    }
}

int wisp_http_server_new(struct wisp_http_server **ret_server, uv_loop_t *loop, const struct wisp_http_options *options,
                         struct wisp_err *err)
{
    if (!options->handler.on_request) return wisp_err_set(err, WISP_ERR_INTERNAL, "an HTTP server without on_request");
    ignore_sigpipe();
    struct wisp_http_server *server = wisp_mem_calloc(1, sizeof *server);
    server->loop = loop;
    wisp_http_shared_init(&server->shared, options, &wisp_http_socket_transport);
    server->spare_sockets =
        (struct wisp_http_recycler){.item_size = sizeof(struct wisp_http_socket), .kept_max = KEPT_SOCKETS};
    server->tick_ms = tick_of(&server->shared.options);
    server->shared.now_ms = server->date_ms = uv_now(loop);
    wisp_http_shared_set_date(&server->shared, time(NULL));
    *ret_server = server;
    return 0;
}

void wisp_http_server_free(struct wisp_http_server *server)
{
    if (!server) return;
    assert(server->n_handles == 0 && !server->sockets);
    wisp_http_shared_deinit(&server->shared);
    wisp_http_recycler_deinit(&server->spare_sockets);
    wisp_http_tls_unref(server->tls);
    free(server->cipher_space);
    free(server);
}

static void count_closed_handle(struct wisp_http_server *server)
{
    if (--server->n_handles == 0) server->on_stopped(server->on_stopped_env);
}

static void on_handle_closed(uv_handle_t *handle) { count_closed_handle(handle->data); }

static void on_listener_closed(uv_handle_t *handle)
{
    struct wisp_http_listener *listener = handle->data;
    struct wisp_http_server *server = listener->server;
    free(listener);
    count_closed_handle(server);
}

static void end_if_empty(struct wisp_http_server *server)
{
    if (server->sockets || server->listeners || server->is_ending) return;
    server->is_ending = true;
    uv_close((uv_handle_t *)&server->timer, on_handle_closed);
    uv_close((uv_handle_t *)&server->before_sleep, on_handle_closed);
    uv_close((uv_handle_t *)&server->stay_awake, on_handle_closed);
}

static void close_listeners(struct wisp_http_server *server)
{
    while (server->listeners) {
        struct wisp_http_listener *listener = server->listeners;
        server->listeners = listener->next;
        uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
    }
}

/* A filter that takes no SYN: the kernel drops what would make new connections. Their clients try again a little later,
 * and find nobody. Those that are being made already go on: their clients take them for made. */
void wisp_http_server_turn_away(struct wisp_http_server *server)
{
    enum { FLAGS_AT = 13, SYN = 2 }; /* in the header of TCP, where the filter's view begins */
    struct sock_filter lines[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),
                                  BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
                                  BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    const struct sock_fprog program = {WISP_COUNT(lines), lines};
    for (struct wisp_http_listener *listener = server->listeners; listener; listener = listener->next) {
        int fd;
        if (uv_fileno((uv_handle_t *)&listener->tcp, &fd) == 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    }
}

void wisp_http_server_stop(struct wisp_http_server *server, uint64_t grace_ms, void (*on_stopped)(void *env), void *env)
{
    assert(!server->shared.is_stopping);
    open_handles(server);
    wisp_http_server_look_at_clock(server);
    server->shared.is_stopping = true;
    server->on_stopped = on_stopped;
    server->on_stopped_env = env;
    server->stop_began_ms = server->shared.now_ms;
    server->stop_deadline_ms = wisp_http_after(&server->shared, grace_ms);
    if (!grace_ms) close_listeners(server);
    /* Idle connections are closed by the timer, after the loop has looked for input once more: a request that is here
     * already is still answered. */
    server->tick_ms = min_u64(min_u64(server->tick_ms, grace_ms / 4 + 1), NEWCOMER_GRACE_MS / 4);
    server->ticked_at_ms = server->shared.now_ms;
    uv_timer_start(&server->timer, on_timer, 1, server->tick_ms);
    uv_ref((uv_handle_t *)&server->timer);
    end_if_empty(server);
}

const struct wisp_http_stats *wisp_http_server_stats(const struct wisp_http_server *server)
{
    return &server->shared.stats;
}
