/* SPDX-License-Identifier: Apache-2.0 */
#include "host/listener.h"

#include "base/mem.h"
#include "base/parse.h"
#include "supervise/supervisor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

enum { HOST_MAX = 255, HOLD_MS = 1000 };

static int bad_address(struct wisp_str text, struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_USAGE,
                        "`%.*s` is not an address; write HOST:PORT, for example 127.0.0.1:8000 or [::1]:8000",
                        WISP_STR_ARG(text));
}

/* Splits at the last colon: IPv6 addresses have others, and are in brackets. */
static int split(struct wisp_str text, struct wisp_str *ret_host, struct wisp_str *ret_port, struct wisp_err *err)
{
    const char *colon = text.len ? memrchr(text.ptr, ':', text.len) : NULL;
    if (!colon) {
        *ret_host = WISP_STR("127.0.0.1");
        *ret_port = text;
        return 0;
    }
    struct wisp_str host = {text.ptr, (size_t)(colon - text.ptr)};
    *ret_port = (struct wisp_str){colon + 1, text.len - host.len - 1};
    if (!host.len) {
        host = WISP_STR("0.0.0.0");
    } else if (host.ptr[0] == '[') {
        if (host.len < 3 || host.ptr[host.len - 1] != ']') return bad_address(text, err);
        host = (struct wisp_str){host.ptr + 1, host.len - 2};
    } else if (memchr(host.ptr, ':', host.len)) {
        return bad_address(text, err);
    }
    *ret_host = host;
    return 0;
}

static int look_up(struct wisp_str host, uint16_t port, struct wisp_listen_address *ret_address, struct wisp_err *err)
{
    char name[HOST_MAX + 1], service[8];
    if (host.len > HOST_MAX) return wisp_err_set(err, WISP_ERR_USAGE, "the host name of the address is too long");
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';
    snprintf(service, sizeof service, "%u", port);
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_family = AF_UNSPEC};
    struct addrinfo *found;
    int r = getaddrinfo(name, service, &hints, &found);
    if (r != 0)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "look up `%s`: %s", name,
                            r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
    ret_address->size = found->ai_addrlen;
    memcpy(&ret_address->socket_address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

int wisp_listen_address_parse(struct wisp_str text, struct wisp_listen_address *ret_address, struct wisp_err *err)
{
    struct wisp_str host = {0}, port_text = {0};
    int r = split(text, &host, &port_text, err);
    if (r < 0) return r;
    uint64_t port;
    if (wisp_parse_u64(port_text, UINT16_MAX, &port, NULL) < 0) return bad_address(text, err);
    *ret_address = (struct wisp_listen_address){0};
    return look_up(host, (uint16_t)port, ret_address, err);
}

void wisp_listen_address_format(const struct wisp_listen_address *address, char text[WISP_LISTEN_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->socket_address.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &address->socket_address, sizeof in6);
        inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
        snprintf(text, WISP_LISTEN_TEXT_MAX, "[%s]:%u", host, ntohs(in6.sin6_port));
    } else {
        struct sockaddr_in in;
        memcpy(&in, &address->socket_address, sizeof in);
        inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
        snprintf(text, WISP_LISTEN_TEXT_MAX, "%s:%u", host, ntohs(in.sin_port));
    }
}

static int cannot_listen(const struct wisp_listen_address *address, struct wisp_err *err)
{
    int os_errno = errno;
    char text[WISP_LISTEN_TEXT_MAX];
    wisp_listen_address_format(address, text);
    if (os_errno == EADDRINUSE)
        return wisp_err_set(err, WISP_ERR_EXISTS,
                            "%s is in use by another program; stop that one (`ss -ltnp` shows it) or choose another "
                            "address with --addr, for example --addr 127.0.0.1:0 for any free port",
                            text);
    return wisp_err_os(err, os_errno, "listen on %s", text);
}

static int set_option(int fd, int option, struct wisp_err *err)
{
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, option, &on, sizeof on) < 0) return wisp_err_os(err, errno, "set a socket option");
    return 0;
}

/* SO_REUSEPORT decides about sharing at two times: at bind, whether others may be there already; at listen, whether the
 * socket becomes one of those that share. A claim sets it between the two. */
static int bind_socket(const struct wisp_listen_address *address, bool is_claim, int *ret_fd, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = socket(address->socket_address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return cannot_listen(address, err);
    int r = set_option(fd, SO_REUSEADDR, err);
    if (r == 0 && !is_claim) r = set_option(fd, SO_REUSEPORT, err);
    if (r < 0) return r;
    if (bind(fd, (const struct sockaddr *)&address->socket_address, address->size) < 0)
        return cannot_listen(address, err);
    if (is_claim) r = set_option(fd, SO_REUSEPORT, err);
    if (r < 0) return r;
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

int wisp_listen_claim(struct wisp_listen_address *address, int *ret_fd, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = -1;
    int r = bind_socket(address, true, &fd, err);
    if (r < 0) return r;
    if (listen(fd, WISP_LISTEN_BACKLOG) < 0) return cannot_listen(address, err);
    struct wisp_listen_address actual = {.size = sizeof actual.socket_address};
    if (getsockname(fd, (struct sockaddr *)&actual.socket_address, &actual.size) < 0)
        return wisp_err_os(err, errno, "ask a socket for its address");
    *address = actual;
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

int wisp_listen_share(const struct wisp_listen_address *address, int *ret_fd, struct wisp_err *err)
{
    return bind_socket(address, false, ret_fd, err);
}

bool wisp_listen_is_held_for(const struct wisp_child *child)
{
    enum wisp_lifecycle_state state = wisp_child_state(child);
    if (state == WISP_CHILD_BACKOFF) return wisp_child_pause_ms(child) <= HOLD_MS;
    return state == WISP_CHILD_STARTING || state == WISP_CHILD_READY;
}
