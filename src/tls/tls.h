/* SPDX-License-Identifier: Apache-2.0 */
/* One side of a TLS connection as a transformation of bytes: OpenSSL reads from and writes to memory, and the owner of
 * the socket moves what it wrote. Servers use all of this; the bus's client reads, writes and judges errors its own way
 * (bus/client_tls.c). */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <openssl/ssl.h>

/* --- either side --- */

struct wisp_tls {
    SSL *ssl;
    BIO *from_peer, *to_peer; /* the SSL's own */
};

/* Server or client, as the context's method is. The context may be freed. */
struct wisp_tls *wisp_tls_new(SSL_CTX *context);
void wisp_tls_free(struct wisp_tls *tls); /* NULL is fine */
/* Bytes from the peer, all of them taken. */
void wisp_tls_feed(struct wisp_tls *tls, struct wisp_str bytes);
/* The handshake is done. */
bool wisp_tls_is_open(const struct wisp_tls *tls);
/* Appends what is to be sent to the peer. */
void wisp_tls_take(struct wisp_tls *tls, struct wisp_buf *out);

/* --- servers --- */

/* TLS 1.2 and newer. PEM files; client_ca_path NULL: clients need no certificate, else one of this CA. INVALID names
 * the file that can't be used. */
int wisp_tls_server_context(SSL_CTX **ret_context, const char *cert_path, const char *key_path,
                            const char *client_ca_path, struct wisp_err *err) __attribute__((warn_unused_result));
/* Decrypts up to `size` bytes of what was fed to `at`; makes the handshake first. How many; 0 for none now; CANCELLED
 * when the client has ended it properly, INVALID when it can't go on. */
int wisp_tls_read(struct wisp_tls *tls, char *at, size_t size, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Encrypts all of it. Only when it is open. */
int wisp_tls_write(struct wisp_tls *tls, struct wisp_str plain, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Says goodbye, if it is open. */
void wisp_tls_end(struct wisp_tls *tls);
