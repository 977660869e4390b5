/* SPDX-License-Identifier: Apache-2.0 */
/* The address that a service listens on. Every worker has a listening socket of its own, and the kernel spreads
 * connections over them (SO_REUSEPORT). That option has a trap: a server somebody forgot on the same address would
 * silently keep its share. So the first socket is bound without it, which fails if anybody is there. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <sys/socket.h>

/* A value. */
struct wisp_listen_address {
    struct sockaddr_storage socket_address;
    socklen_t size;
};

enum { WISP_LISTEN_TEXT_MAX = 80, WISP_LISTEN_BACKLOG = 1024 };

/* "127.0.0.1:8000", "[::1]:8000", "localhost:8000", ":8000" (all IPv4 addresses), "8000" (127.0.0.1). A name is
 * looked up right here. */
int wisp_listen_address_parse(struct wisp_str text, struct wisp_listen_address *ret_address, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* As a client would write it: "127.0.0.1:8000", "[::1]:8000". */
void wisp_listen_address_format(const struct wisp_listen_address *address, char text[WISP_LISTEN_TEXT_MAX]);

/* Binds and listens, making sure that nobody else does: EXISTS when the address is in use. Port 0 becomes the port
 * that the kernel picked. The socket is the first of those that share the address. */
int wisp_listen_claim(struct wisp_listen_address *address, int *ret_fd, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* One more socket on an address that was claimed. It is bound and does not listen yet: it gets its share of the
 * connections from when whoever it is given to calls listen(2). */
int wisp_listen_share(const struct wisp_listen_address *address, int *ret_fd, struct wisp_err *err)
    __attribute__((warn_unused_result));

struct wisp_child;
/* Whether connections may wait in the listening socket of a child's place: it runs and is not on its way out, or is back
 * within a second. Otherwise they should go to others. */
bool wisp_listen_is_held_for(const struct wisp_child *child);
