/* SPDX-License-Identifier: Apache-2.0 */
/* One side of a TLS connection as a transformation of bytes: OpenSSL reads from and writes to memory. What is common to
 * server and client; how each reads, writes and judges errors is its own (server_tls.c, client_tls.c). */
#pragma once

#include "base/mem.h"
#include "base/str.h"

#include <openssl/ssl.h>

struct wisp_bus_tls {
    SSL *ssl;
    BIO *from_peer, *to_peer; /* the SSL's own */
};

/* Server or client, as the context's method is. The context may be freed. */
struct wisp_bus_tls *wisp_bus_tls_new(SSL_CTX *context);
void wisp_bus_tls_free(struct wisp_bus_tls *tls); /* NULL is fine */
/* Bytes from the peer, all of them taken. */
void wisp_bus_tls_feed(struct wisp_bus_tls *tls, struct wisp_str bytes);
/* The handshake is done. */
bool wisp_bus_tls_is_open(const struct wisp_bus_tls *tls);
/* Appends what is to be sent to the peer. */
void wisp_bus_tls_take(struct wisp_bus_tls *tls, struct wisp_buf *out);
