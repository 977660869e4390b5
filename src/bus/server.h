/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded bus: a NATS server for one machine's processes, or a few machines'. Core NATS as servers of today speak
 * it: no clusters, no JetStream, no accounts. One loop, one thread.
 *
 * Whoever reaches the bus can start programs. So it listens on loopback for its own user (and root), as the kernel says
 * who is at the other end; anything wider must be asked for and needs a token, an nkey, or a client certificate. */
#pragma once

#include "bus/bus.h"

#include <uv.h>

struct wisp_bus_server;

struct wisp_bus_server_options {
    const char *host;        /* NULL: no TCP. A name or address */
    uint16_t port;           /* 0: the kernel picks one */
    const char *unix_path;   /* NULL: none. Mode 0600; a stale socket is replaced, a live one is EXISTS */
    const char *server_name; /* in INFO */
    /* Any of these given: a client must show one of them (also on loopback; not on the Unix socket). */
    const char *token;
    const char *const *nkeys; /* public user keys that may connect */
    size_t n_nkeys;
    struct {
        const char *cert_path, *key_path; /* NULL: no TLS */
        const char *client_ca_path;       /* clients must have a certificate of this CA */
        bool is_first;                    /* the handshake comes before INFO */
    } tls;
    size_t payload_bytes_max;   /* 0: WISP_BUS_PAYLOAD_MAX */
    size_t pending_bytes_max;   /* of one client; more: cut off as a slow consumer. 0: 64 MiB */
    uint32_t connections_max;   /* 0: 65,536 */
    uint32_t subscriptions_max; /* of one client; 0: 1,000,000 */
    uint64_t ping_interval_ms;  /* 0: 120 s; two unanswered: cut off */
    uint64_t write_timeout_ms;  /* 0: 10 s */
    uint64_t auth_timeout_ms;   /* 0: 2 s, for TLS and CONNECT */
};

/* Listens. Without credentials TCP is for this process's user and root, as the kernel tells by socket diagnostics
 * (UNSUPPORTED where it can't be asked); the Unix socket always is. SIGPIPE is ignored from then on if it was at its
 * default. DENIED when the address is not loopback and no credential is asked for; EXISTS when it is taken. Options
 * are copied. */
int wisp_bus_server_new(struct wisp_bus_server **ret_server, uv_loop_t *loop,
                        const struct wisp_bus_server_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Closes every connection after what is queued for it was tried once; handles close in the loop's next turns. */
void wisp_bus_server_free(struct wisp_bus_server *server);

/* The port it listens on. */
uint16_t wisp_bus_server_port(const struct wisp_bus_server *server);
/* A client over a connected socket that is trusted as it is, such as one end of a socket pair. Taken over. */
int wisp_bus_server_add_fd_take(struct wisp_bus_server *server, int fd, struct wisp_err *err)
    __attribute__((warn_unused_result));

struct wisp_bus_server_stats {
    uint64_t connections, connections_total, subscriptions;
    uint64_t in_messages, in_bytes, out_messages, out_bytes;
    uint64_t slow_consumers, refused; /* cut off; not let in */
};
const struct wisp_bus_server_stats *wisp_bus_server_stats(const struct wisp_bus_server *server);
