/* SPDX-License-Identifier: Apache-2.0 */
/* Whose process is at the other end of a connection, as the kernel says. */
#include "bus/server_priv.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <unistd.h>

enum { TCP_STATES_ALL = -1, STALE_REPLIES_MAX = 8 };

bool wisp_bus_owner_is_trusted(uid_t uid) { return uid == geteuid() || uid == 0; }

int wisp_bus_unix_owner(int fd, uid_t *ret_uid, struct wisp_err *err)
{
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
        return wisp_err_os(err, errno, "who is at the other end of the socket");
    *ret_uid = credentials.uid;
    return 0;
}

/* --- addresses --- */

struct endpoint {
    uint8_t family;
    uint16_t port;       /* network order, as in what follows */
    uint32_t address[4]; /* IPv4: the first */
};

/* IPv4 addresses in IPv6 clothes become plain ones: that is how the kernel looks for their sockets. */
static bool endpoint_of(const struct sockaddr_storage *from, struct endpoint *to)
{
    memset(to, 0, sizeof *to);
    to->family = (uint8_t)from->ss_family;
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)from;
        to->port = in->sin_port;
        to->address[0] = in->sin_addr.s_addr;
        return true;
    }
    if (from->ss_family != AF_INET6) return false;
    const struct sockaddr_in6 *in6 = (const void *)from;
    to->port = in6->sin6_port;
    memcpy(to->address, &in6->sin6_addr, sizeof to->address);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        to->family = AF_INET;
        to->address[0] = to->address[3];
        to->address[1] = to->address[2] = to->address[3] = 0;
    }
    return true;
}

bool wisp_bus_is_loopback(const struct sockaddr_storage *address)
{
    struct endpoint end;
    if (!endpoint_of(address, &end)) return false;
    if (end.family == AF_INET) return ntohl(end.address[0]) >> 24 == 127;
    const struct sockaddr_in6 *in6 = (const void *)address;
    return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* --- socket diagnostics --- */

int wisp_bus_diag_open(int *ret_fd, struct wisp_err *err)
{
    *ret_fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    if (*ret_fd >= 0) return 0;
    int os_errno = errno;
    return wisp_err_set(err, WISP_ERR_UNSUPPORTED,
                        "the kernel can't be asked who connects over TCP (socket diagnostics: %s); ask for a token, "
                        "or use the Unix socket only",
                        strerror(os_errno));
}

struct request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 body;
};

/* Asks for the one socket whose own address is that of our peer, and whose peer is us. */
static int ask(int diag_fd, uint32_t sequence, const struct endpoint *peer, const struct endpoint *local,
               struct wisp_err *err)
{
    struct request request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST,
                   .nlmsg_seq = sequence},
        .body = {.sdiag_family = peer->family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = (uint32_t)TCP_STATES_ALL,
                 .id = {.idiag_sport = peer->port,
                        .idiag_dport = local->port,
                        .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
    };
    memcpy(request.body.id.idiag_src, peer->address, sizeof peer->address);
    memcpy(request.body.id.idiag_dst, local->address, sizeof local->address);
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (sendto(diag_fd, &request, sizeof request, 0, (struct sockaddr *)(void *)&kernel, sizeof kernel) < 0)
        return wisp_err_os(err, errno, "socket diagnostics");
    return 0;
}

struct reply {
    struct nlmsghdr header;
    union {
        struct inet_diag_msg found;
        struct nlmsgerr error;
        char room[1024]; /* attributes, which nobody asked for */
    } body;
};

/* The kernel answers while it is being asked: what isn't there now won't come. */
static int receive(int diag_fd, uint32_t sequence, struct reply *reply, struct wisp_err *err)
{
    for (int i = 0; i < STALE_REPLIES_MAX; i++) {
        ssize_t n = recv(diag_fd, reply, sizeof *reply, MSG_DONTWAIT);
        if (n < 0) return wisp_err_os(err, errno, "socket diagnostics");
        if ((size_t)n < sizeof reply->header || reply->header.nlmsg_seq != sequence) continue;
        if (reply->header.nlmsg_type == NLMSG_ERROR && (size_t)n >= NLMSG_LENGTH(sizeof reply->body.error))
            return wisp_err_os(err, -reply->body.error.error, "socket diagnostics");
        if (reply->header.nlmsg_type == SOCK_DIAG_BY_FAMILY && (size_t)n >= NLMSG_LENGTH(sizeof reply->body.found))
            return 0;
    }
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "socket diagnostics: no answer");
}

int wisp_bus_diag_owner(int diag_fd, const struct sockaddr_storage *peer, const struct sockaddr_storage *local,
                        uid_t *ret_uid, struct wisp_err *err)
{
    static uint32_t sequence;
    struct endpoint theirs, ours;
    if (!endpoint_of(peer, &theirs) || !endpoint_of(local, &ours) || theirs.family != ours.family)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "socket diagnostics: no internet addresses");
    struct reply reply;
    uint32_t number = ++sequence;
    int result = ask(diag_fd, number, &theirs, &ours, err);
    if (result == 0) result = receive(diag_fd, number, &reply, err);
    if (result < 0) return result;
    const struct inet_diag_msg *found = &reply.body.found;
    if (found->id.idiag_sport != theirs.port || found->id.idiag_dport != ours.port)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "socket diagnostics: the answer is about another socket");
    /* A socket without a file is nobody's any more, and would pass for root's. */
    if (found->idiag_inode == 0)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "socket diagnostics: the other end is closed already");
    *ret_uid = found->idiag_uid;
    return 0;
}
