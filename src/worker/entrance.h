/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses on which HTTP comes in, each with its server and its routes. Sockets and routes come and go one without
 * the other. One thread. */
#pragma once

#include "worker/router.h"

struct wisp_entrance {
    struct wisp_worker *worker;
    struct wisp_entrance *next;
    char *address;
    struct wisp_http_server *server; /* NULL: it doesn't listen */
    int *fds;                        /* copies of its listening sockets, for a hand-over */
    size_t n_fds;
    uint32_t n_stopping; /* servers it had, whose last exchanges are not over */
    struct wisp_router router;
    struct wisp_http_tls *tls; /* NULL: plain HTTP. Of all its routes, for the address is known before the request is */
    char *tls_cert_path, *tls_key_path;
};

enum { WISP_ENTRANCES_MAX = 1000, WISP_ENTRANCE_SOCKETS_MAX = 1000 };

/* The one of this address, new if need be. LIMIT when there are too many. */
int wisp_entrance_get(struct wisp_worker *worker, struct wisp_str address, struct wisp_entrance **ret_entrance,
                      struct wisp_err *err) __attribute__((warn_unused_result));
/* Serves on a bound socket; taken over in any case. */
int wisp_entrance_listen(struct wisp_entrance *entrance, int fd_taken, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Closes its sockets; what is in flight finishes within grace_ms. */
void wisp_entrance_unlisten(struct wisp_entrance *entrance, uint64_t grace_ms);
/* Replaces the routes of all addresses by those of the order. What can't be a route is logged and left out, as are
 * those that want TLS where the routes before them don't, or with other files, or the other way round. */
void wisp_entrances_set_routes(struct wisp_worker *worker, const json_t *routes);
void wisp_entrances_unlisten(struct wisp_worker *worker, uint64_t grace_ms);
/* After all servers have ended. */
void wisp_entrances_deinit(struct wisp_worker *worker);
