/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/tls.h"

#include <openssl/bio.h>
#include <stdlib.h>

struct wisp_bus_tls *wisp_bus_tls_new(SSL_CTX *context)
{
    struct wisp_bus_tls *tls = wisp_mem_calloc(1, sizeof *tls);
    tls->ssl = SSL_new(context);
    tls->from_peer = BIO_new(BIO_s_mem());
    tls->to_peer = BIO_new(BIO_s_mem());
    if (!tls->ssl || !tls->from_peer || !tls->to_peer) wisp_mem_out(sizeof *tls);
    SSL_set_bio(tls->ssl, tls->from_peer, tls->to_peer);
    if (SSL_is_server(tls->ssl))
        SSL_set_accept_state(tls->ssl);
    else
        SSL_set_connect_state(tls->ssl);
    return tls;
}

void wisp_bus_tls_free(struct wisp_bus_tls *tls)
{
    if (!tls) return;
    SSL_free(tls->ssl);
    free(tls);
}

void wisp_bus_tls_feed(struct wisp_bus_tls *tls, struct wisp_str bytes)
{
    size_t written;
    if (bytes.len > 0 && BIO_write_ex(tls->from_peer, bytes.ptr, bytes.len, &written) != 1) wisp_mem_out(bytes.len);
}

bool wisp_bus_tls_is_open(const struct wisp_bus_tls *tls) { return SSL_is_init_finished(tls->ssl); }

void wisp_bus_tls_take(struct wisp_bus_tls *tls, struct wisp_buf *out)
{
    size_t size = BIO_ctrl_pending(tls->to_peer), n = 0;
    if (size == 0) return;
    if (BIO_read_ex(tls->to_peer, wisp_buf_reserve(out, size), size, &n) == 1) out->len += n;
}
