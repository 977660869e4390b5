/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to a NATS that a link names, for the kinds that keep things there: the settings `cluster_uri` (several by
 * commas), `client_jwt`, `client_seed`, `tls_ca` (PEM text), `tls_ca_file`. */
#pragma once

#include "bus/client.h"
#include "provider/settings.h"

struct wisp_nats_connection {
    struct wisp_bus_client *bus;
    int ca_fd; /* `tls_ca` as a file; -1: none */
};
/* Of one that was never made. */
#define WISP_NATS_NO_CONNECTION ((struct wisp_nats_connection){.ca_fd = -1})

/* Begins to connect, and goes on trying. `name` is told to the server. To be closed also when it failed. */
int wisp_nats_connect(struct wisp_nats_connection *connection, uv_loop_t *loop, const struct wisp_settings *settings,
                      const char *name, struct wisp_err *err) __attribute__((warn_unused_result));
/* At once, without callbacks. */
void wisp_nats_disconnect(struct wisp_nats_connection *connection);

/* Of a bucket or a domain: one token of a subject, of letters, digits, '-' and '_'. */
bool wisp_nats_is_name(struct wisp_str name);
