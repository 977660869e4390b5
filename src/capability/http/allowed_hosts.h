/* SPDX-License-Identifier: Apache-2.0 */
/* Which servers may be asked: "api.example.com, *.internal:8443". A name stands for itself, `*.` and a name for all
 * names below it, `*` for all; without a port for all ports. Names are compared in any case. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

/* A server, as "host:port" names it. */
struct wisp_http_host {
    struct wisp_str name; /* "example.com", "127.0.0.1", "[::1]"; no dot at its end */
    uint16_t port;        /* 0: not said */
};
/* False when it is none: nothing but a name, or an address, and a port. What a name could hide in is refused: user
 * information, percent-encoding. */
bool wisp_http_host_parse(struct wisp_str authority, struct wisp_http_host *ret_host);

struct wisp_http_allowed_hosts {
    const struct wisp_http_host *list;
    size_t n; /* 0: all are allowed */
};
/* The texts go to the arena. INVALID names the entry. */
int wisp_http_allowed_hosts_read(struct wisp_http_allowed_hosts *ret_allowed, struct wisp_str text,
                                 struct wisp_arena *arena, struct wisp_err *err) __attribute__((warn_unused_result));
/* `host->port` is known. */
bool wisp_http_is_allowed_host(const struct wisp_http_allowed_hosts *allowed, const struct wisp_http_host *host);
