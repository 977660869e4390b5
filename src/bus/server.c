/* SPDX-License-Identifier: Apache-2.0 */
/* The server: where it listens, its sense of time, what is to be done before the loop sleeps, and its end. */
#include "bus/server_priv.h"
#include "nkeys/nkeys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    TICK_MS_MAX = 1000,
    STALL_MS = 5,
    NONCE_BYTES = 11,
    PENDING_BYTES_MAX = 64 << 20,
    CONNECTIONS_MAX = 65536,
    SUBSCRIPTIONS_MAX = 1000000,
    PING_INTERVAL_MS = 120000,
    WRITE_TIMEOUT_MS = 10000,
    AUTH_TIMEOUT_MS = 2000,
};

/* --- listening sockets --- */

static struct addrinfo *first_of(struct addrinfo *list)
{
    for (struct addrinfo *at = list; at; at = at->ai_next)
        if (at->ai_family == AF_INET) return at;
    return list;
}

static int resolve(const char *host, uint16_t port, struct sockaddr_storage *ret_address, socklen_t *ret_size,
                   struct wisp_err *err)
{
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list = NULL;
    snprintf(service, sizeof service, "%u", port);
    int result = getaddrinfo(host, service, &hints, &list);
    if (result != 0) return wisp_err_set(err, WISP_ERR_NOT_FOUND, "address `%s`: %s", host, gai_strerror(result));
    const struct addrinfo *address = first_of(list);
    memcpy(ret_address, address->ai_addr, address->ai_addrlen);
    *ret_size = address->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}

static bool asks_for_credentials(const struct wisp_bus_server_options *options)
{
    return options->token || options->n_nkeys > 0 || options->tls.client_ca_path;
}

static int listen_tcp(const struct wisp_bus_server_options *options, int *ret_fd, uint16_t *ret_port,
                      struct wisp_err *err)
{
    struct sockaddr_storage address = {0};
    socklen_t size;
    int result = resolve(options->host, options->port, &address, &size, err);
    if (result < 0) return result;
    if (!wisp_bus_is_loopback(&address) && !asks_for_credentials(options))
        return wisp_err_set(err, WISP_ERR_DENIED,
                            "the bus on %s would be open to everyone who can reach it: ask for a token, an nkey or "
                            "client certificates, or listen on 127.0.0.1",
                            options->host);
    WISP_CLEANUP_FD int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return wisp_err_os(err, errno, "socket");
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)(void *)&address, size) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)(void *)&address, &size) < 0)
        return wisp_err_os(err, errno, "listen on %s port %u", options->host, options->port);
    /* The port is at the same place in both families. */
    *ret_port = ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

/* Removes a socket that nobody listens at any more. */
static int clear_path(const struct sockaddr_un *address, struct wisp_err *err)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : wisp_err_os(err, errno, "`%s`", address->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return wisp_err_set(err, WISP_ERR_EXISTS, "`%s` is there and is no socket", address->sun_path);
    WISP_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return wisp_err_os(err, errno, "socket");
    if (connect(fd, (const struct sockaddr *)(const void *)address, sizeof *address) == 0 || errno != ECONNREFUSED)
        return wisp_err_set(err, WISP_ERR_EXISTS, "`%s` is in use by another process", address->sun_path);
    if (unlink(address->sun_path) < 0) return wisp_err_os(err, errno, "remove `%s`", address->sun_path);
    return 0;
}

/* So that of two servers that find the same stale socket only one replaces it. NOT_FOUND: no such folder. */
static int lock_folder(const char *path, int *ret_fd, struct wisp_err *err)
{
    WISP_CLEANUP_FREE char *folder = wisp_mem_dup(wisp_str_from(path));
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = '\0';
    WISP_CLEANUP_FD int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) return wisp_err_os(err, errno, "folder of `%s`", path);
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

static int listen_unix(const char *path, int *ret_fd, struct stat *ret_identity, struct wisp_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return wisp_err_set(err, WISP_ERR_INVALID, "socket path `%s` has more than %zu bytes", path,
                            sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path));
    WISP_CLEANUP_FD int lock = -1;
    int result = lock_folder(path, &lock, err);
    if (result == 0) result = clear_path(&address, err);
    if (result < 0) return result;
    WISP_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return wisp_err_os(err, errno, "socket");
    /* The file is made with the mode of the socket: there is no moment at which others may connect. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) < 0 || bind(fd, (struct sockaddr *)(void *)&address, sizeof address) < 0 ||
        listen(fd, BACKLOG) < 0 || lstat(path, ret_identity) < 0)
        return wisp_err_os(err, errno, "listen at `%s`", path);
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

static void remove_path(const struct wisp_bus_server *server)
{
    struct stat st;
    if (!server->unix_path || lstat(server->unix_path, &st) < 0) return;
    if (st.st_dev == server->unix_device && st.st_ino == server->unix_inode) (void)unlink(server->unix_path);
}

/* --- time --- */

void wisp_bus_server_look_at_clock(struct wisp_bus_server *server) { server->broker.now_ms = uv_now(server->loop); }

static struct wisp_bus_socket *socket_at(struct wisp_link *link)
{
    return WISP_OWNER(link, struct wisp_bus_socket, link);
}

static void on_timer(uv_timer_t *timer)
{
    struct wisp_bus_server *server = timer->data;
    wisp_bus_server_look_at_clock(server);
    for (struct wisp_link *at = server->sockets.next; at != &server->sockets; at = at->next)
        wisp_bus_socket_tick(socket_at(at));
    wisp_bus_broker_tick(&server->broker);
}

static void on_stall_timer(uv_timer_t *timer)
{
    struct wisp_bus_server *server = timer->data;
    wisp_bus_server_look_at_clock(server);
    /* Those that are stalled again go into the new ring. */
    struct wisp_link ring;
    wisp_ring_init(&ring);
    wisp_ring_move(&server->stalled, &ring);
    while (!wisp_ring_is_empty(&ring)) {
        struct wisp_bus_socket *socket = WISP_OWNER(ring.next, struct wisp_bus_socket, stalled);
        wisp_ring_remove(&socket->stalled);
        wisp_ring_init(&socket->stalled);
        wisp_bus_socket_resume(socket);
    }
}

void wisp_bus_server_stall(struct wisp_bus_socket *socket)
{
    struct wisp_bus_server *server = socket->server;
    if (!wisp_ring_is_empty(&socket->stalled)) return;
    wisp_ring_append(&server->stalled, &socket->stalled);
    if (!uv_is_active((uv_handle_t *)&server->stall_timer))
        (void)uv_timer_start(&server->stall_timer, on_stall_timer, STALL_MS, 0);
}

static void before_sleep(uv_prepare_t *prepare)
{
    struct wisp_bus_server *server = prepare->data;
    if (wisp_ring_is_empty(&server->scheduled)) return;
    wisp_bus_server_look_at_clock(server);
    while (!wisp_ring_is_empty(&server->scheduled))
        wisp_bus_socket_settle(WISP_OWNER(server->scheduled.next, struct wisp_bus_socket, scheduled));
}

static uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t tick_of(const struct wisp_bus_broker_options *options)
{
    uint64_t shortest =
        min_u64(options->ping_interval_ms, min_u64(options->write_timeout_ms, options->auth_timeout_ms));
    uint64_t tick = min_u64(shortest / 4, TICK_MS_MAX);
    return tick > 0 ? tick : 1;
}

/* --- beginning --- */

void wisp_bus_server_nonce(char nonce[WISP_BUS_NONCE_MAX])
{
    char bytes[NONCE_BYTES];
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) abort();
    wisp_base64url_encode((struct wisp_str){bytes, sizeof bytes}, &text);
    assert(text.len < WISP_BUS_NONCE_MAX);
    memcpy(nonce, text.data, text.len);
    nonce[text.len] = '\0';
}

static char *new_server_id(void)
{
    struct wisp_nkey key;
    char text[WISP_NKEY_PUBLIC_LEN + 1];
    wisp_nkey_generate(&key, WISP_NKEY_SERVER);
    wisp_nkey_public_text(&key, text);
    wisp_nkey_wipe(&key);
    return wisp_mem_dup(wisp_str_from(text));
}

static int parse_keys(const struct wisp_bus_server_options *options, struct wisp_bus_keys *keys, struct wisp_err *err)
{
    keys->at = wisp_mem_calloc(options->n_nkeys, sizeof *keys->at);
    for (; keys->count < options->n_nkeys; keys->count++) {
        enum wisp_nkey_kind kind;
        const char *text = options->nkeys[keys->count];
        int result = wisp_nkey_parse_public(wisp_str_from(text), &kind, keys->at[keys->count], err);
        if (result < 0) return wisp_err_wrap(err, "nkey %zu", keys->count + 1);
        if (kind != WISP_NKEY_USER)
            return wisp_err_set(err, WISP_ERR_INVALID, "nkey %zu is not a user's public key", keys->count + 1);
    }
    return 0;
}

static uint64_t or_default(uint64_t value, uint64_t otherwise) { return value ? value : otherwise; }

static char *dup_or_null(const char *text) { return text ? wisp_mem_dup(wisp_str_from(text)) : NULL; }

static struct wisp_bus_broker_options broker_options(const struct wisp_bus_server_options *options,
                                                     const struct wisp_bus_keys *keys, uint16_t port)
{
    struct wisp_bus_broker_options broker = {
        .transport = &wisp_bus_socket_transport,
        .server_id = new_server_id(),
        .server_name = wisp_mem_dup(wisp_str_from(options->server_name ? options->server_name : "wisp")),
        .host = wisp_mem_dup(wisp_str_from(options->host ? options->host : "")),
        .port = port,
        .token = dup_or_null(options->token),
        .keys = *keys,
        .payload_bytes_max = or_default(options->payload_bytes_max, WISP_BUS_PAYLOAD_MAX),
        .pending_bytes_max = or_default(options->pending_bytes_max, PENDING_BYTES_MAX),
        .connections_max = (uint32_t)or_default(options->connections_max, CONNECTIONS_MAX),
        .subscriptions_max = (uint32_t)or_default(options->subscriptions_max, SUBSCRIPTIONS_MAX),
        .ping_interval_ms = or_default(options->ping_interval_ms, PING_INTERVAL_MS),
        .write_timeout_ms = or_default(options->write_timeout_ms, WRITE_TIMEOUT_MS),
        .auth_timeout_ms = or_default(options->auth_timeout_ms, AUTH_TIMEOUT_MS),
    };
    if (getrandom(&broker.secret, sizeof broker.secret, 0) != sizeof broker.secret) abort();
    return broker;
}

/* What can fail and is not libuv's. On failure the parts are still to be released. */
struct parts {
    struct wisp_bus_keys keys;
    SSL_CTX *tls;
    int diag_fd, tcp_fd, unix_fd;
    struct stat identity;
    uint16_t port;
};

static int check_options(const struct wisp_bus_server_options *options, struct wisp_err *err)
{
    if (options->token && !options->token[0]) return wisp_err_set(err, WISP_ERR_INVALID, "the bus's token is empty");
    if (!options->tls.cert_path != !options->tls.key_path)
        return wisp_err_set(err, WISP_ERR_INVALID, "TLS needs a certificate and its key");
    if ((options->tls.client_ca_path || options->tls.is_first) && !options->tls.cert_path)
        return wisp_err_set(err, WISP_ERR_INVALID, "%s TLS: a certificate and its key",
                            options->tls.is_first ? "TLS before all else needs" : "client certificates need");
    if (options->payload_bytes_max > WISP_BUS_SIDE_PAYLOAD_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "messages may have %d bytes at most", WISP_BUS_SIDE_PAYLOAD_MAX);
    return 0;
}

static int make_parts(struct parts *parts, const struct wisp_bus_server_options *options, struct wisp_err *err)
{
    int result = check_options(options, err);
    if (result == 0) result = parse_keys(options, &parts->keys, err);
    if (result == 0 && options->tls.cert_path)
        result = wisp_tls_server_context(&parts->tls, options->tls.cert_path, options->tls.key_path,
                                         options->tls.client_ca_path, err);
    if (result == 0 && options->host) result = listen_tcp(options, &parts->tcp_fd, &parts->port, err);
    if (result == 0 && options->host && !asks_for_credentials(options))
        result = wisp_bus_diag_open(&parts->diag_fd, err);
    if (result == 0 && options->unix_path)
        result = listen_unix(options->unix_path, &parts->unix_fd, &parts->identity, err);
    return result;
}

static void release_parts(struct parts *parts)
{
    free(parts->keys.at);
    SSL_CTX_free(parts->tls);
    wisp_fd_closep(&parts->diag_fd);
    wisp_fd_closep(&parts->tcp_fd);
    wisp_fd_closep(&parts->unix_fd);
}

static void on_tcp(uv_stream_t *listener, int status)
{
    if (status == 0) wisp_bus_socket_accept(listener->data, listener, false);
}

static void on_unix(uv_stream_t *listener, int status)
{
    if (status == 0) wisp_bus_socket_accept(listener->data, listener, true);
}

/* The descriptors belong to the handles from here on. */
static int start_listening(struct wisp_bus_server *server, struct parts *parts, struct wisp_err *err)
{
    int result = 0;
    if (parts->tcp_fd >= 0) {
        (void)uv_tcp_init(server->loop, &server->tcp);
        server->has_tcp = true;
        server->n_handles++;
        server->tcp.data = server;
        result = uv_tcp_open(&server->tcp, WISP_TAKE_FD(parts->tcp_fd));
        if (result == 0) result = uv_listen((uv_stream_t *)&server->tcp, BACKLOG, on_tcp);
    }
    if (parts->unix_fd >= 0 && result == 0) {
        (void)uv_pipe_init(server->loop, &server->pipe, 0);
        server->has_pipe = true;
        server->n_handles++;
        server->pipe.data = server;
        result = uv_pipe_open(&server->pipe, WISP_TAKE_FD(parts->unix_fd));
        if (result == 0) result = uv_listen((uv_stream_t *)&server->pipe, BACKLOG, on_unix);
    }
    return result < 0 ? wisp_err_os(err, -result, "listen") : 0;
}

static struct wisp_bus_server *new_server(uv_loop_t *loop, const struct wisp_bus_server_options *options,
                                          struct parts *parts)
{
    struct wisp_bus_server *server = wisp_mem_calloc(1, sizeof *server);
    struct wisp_bus_broker_options broker = broker_options(options, &parts->keys, parts->port);
    wisp_bus_broker_init(&server->broker, &broker);
    server->has_nkeys = parts->keys.count > 0;
    parts->keys = (struct wisp_bus_keys){0};
    server->loop = loop;
    server->port = parts->port;
    server->tls = WISP_TAKE(parts->tls);
    server->is_tls_first = options->tls.is_first;
    server->diag_fd = WISP_TAKE_FD(parts->diag_fd);
    server->checks_owner = server->diag_fd >= 0;
    server->unix_path = dup_or_null(options->unix_path);
    server->unix_device = parts->identity.st_dev;
    server->unix_inode = parts->identity.st_ino;
    wisp_ring_init(&server->sockets);
    wisp_ring_init(&server->scheduled);
    wisp_ring_init(&server->stalled);
    wisp_bus_server_look_at_clock(server);
    return server;
}

static void start_timers(struct wisp_bus_server *server)
{
    uint64_t tick_ms = tick_of(&server->broker.options);
    (void)uv_timer_init(server->loop, &server->timer);
    (void)uv_timer_init(server->loop, &server->stall_timer);
    (void)uv_prepare_init(server->loop, &server->before_sleep);
    server->timer.data = server->stall_timer.data = server->before_sleep.data = server;
    server->n_handles += 3;
    (void)uv_timer_start(&server->timer, on_timer, tick_ms, tick_ms);
    (void)uv_prepare_start(&server->before_sleep, before_sleep);
}

/* A client that is gone while it is being written to must not end the program. */
static void ignore_sigpipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) < 0 || action.sa_handler != SIG_DFL) return;
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
}

int wisp_bus_server_new(struct wisp_bus_server **ret_server, uv_loop_t *loop,
                        const struct wisp_bus_server_options *options, struct wisp_err *err)
{
    struct parts parts = {.diag_fd = -1, .tcp_fd = -1, .unix_fd = -1};
    ignore_sigpipe();
    int result = make_parts(&parts, options, err);
    if (result == 0) {
        struct wisp_bus_server *server = new_server(loop, options, &parts);
        start_timers(server);
        result = start_listening(server, &parts, err);
        if (result < 0)
            wisp_bus_server_free(server);
        else
            *ret_server = server;
    }
    release_parts(&parts);
    return result < 0 ? wisp_err_wrap(err, "bus") : 0;
}

/* --- the end --- */

void wisp_bus_server_handle_closed(struct wisp_bus_server *server)
{
    if (--server->n_handles > 0 || !server->is_ending) return;
    wisp_bus_broker_deinit(&server->broker);
    SSL_CTX_free(server->tls);
    wisp_fd_closep(&server->diag_fd);
    free(server->unix_path);
    free(server);
}

static void on_closed(uv_handle_t *handle) { wisp_bus_server_handle_closed(handle->data); }

void wisp_bus_server_free(struct wisp_bus_server *server)
{
    if (!server) return;
    server->is_ending = true;
    wisp_bus_server_look_at_clock(server);
    while (!wisp_ring_is_empty(&server->sockets)) wisp_bus_socket_end(socket_at(server->sockets.next));
    remove_path(server);
    if (server->has_tcp) uv_close((uv_handle_t *)&server->tcp, on_closed);
    if (server->has_pipe) uv_close((uv_handle_t *)&server->pipe, on_closed);
    uv_close((uv_handle_t *)&server->timer, on_closed);
    uv_close((uv_handle_t *)&server->stall_timer, on_closed);
    uv_close((uv_handle_t *)&server->before_sleep, on_closed);
}

uint16_t wisp_bus_server_port(const struct wisp_bus_server *server) { return server->port; }

int wisp_bus_server_add_fd_take(struct wisp_bus_server *server, int fd, struct wisp_err *err)
{
    return wisp_bus_socket_open(server, fd, err);
}

const struct wisp_bus_server_stats *wisp_bus_server_stats(const struct wisp_bus_server *server)
{
    return &server->broker.stats;
}
