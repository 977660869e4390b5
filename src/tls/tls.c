/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/tls.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdlib.h>

/* --- either side --- */

struct wisp_tls *wisp_tls_new(SSL_CTX *context)
{
    struct wisp_tls *tls = wisp_mem_calloc(1, sizeof *tls);
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

void wisp_tls_free(struct wisp_tls *tls)
{
    if (!tls) return;
    SSL_free(tls->ssl);
    free(tls);
}

void wisp_tls_feed(struct wisp_tls *tls, struct wisp_str bytes)
{
    size_t written;
    if (bytes.len > 0 && BIO_write_ex(tls->from_peer, bytes.ptr, bytes.len, &written) != 1) wisp_mem_out(bytes.len);
}

bool wisp_tls_is_open(const struct wisp_tls *tls) { return SSL_is_init_finished(tls->ssl); }

void wisp_tls_take(struct wisp_tls *tls, struct wisp_buf *out)
{
    size_t size = BIO_ctrl_pending(tls->to_peer), n = 0;
    if (size == 0) return;
    if (BIO_read_ex(tls->to_peer, wisp_buf_reserve(out, size), size, &n) == 1) out->len += n;
}

/* --- servers --- */

static int tls_error(struct wisp_err *err, enum wisp_err_kind kind, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return wisp_err_set(err, kind, "%s: %s", what, reason ? reason : "TLS failed");
}

static int load(SSL_CTX *context, const char *cert_path, const char *key_path, const char *client_ca_path,
                struct wisp_err *err)
{
    if (SSL_CTX_use_certificate_chain_file(context, cert_path) != 1) return tls_error(err, WISP_ERR_INVALID, cert_path);
    if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return tls_error(err, WISP_ERR_INVALID, key_path);
    if (!client_ca_path) return 0;
    if (SSL_CTX_load_verify_file(context, client_ca_path) != 1) return tls_error(err, WISP_ERR_INVALID, client_ca_path);
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca_path);
    if (names) SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return 0;
}

int wisp_tls_server_context(SSL_CTX **ret_context, const char *cert_path, const char *key_path,
                            const char *client_ca_path, struct wisp_err *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context) return tls_error(err, WISP_ERR_INTERNAL, "TLS");
    ERR_clear_error();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    int result = load(context, cert_path, key_path, client_ca_path, err);
    if (result < 0) {
        SSL_CTX_free(context);
        return result;
    }
    *ret_context = context;
    return 0;
}

/* What an operation that gave `result` (1: done) means: 1, 0: not now, <0: over. */
static int judge(struct wisp_tls *tls, int result, struct wisp_err *err)
{
    if (result == 1) return 1;
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return wisp_err_set(err, WISP_ERR_CANCELLED, "the client has ended TLS");
    default:
        return tls_error(err, WISP_ERR_INVALID, "TLS");
    }
}

int wisp_tls_read(struct wisp_tls *tls, char *at, size_t size, struct wisp_err *err)
{
    size_t n = 0;
    ERR_clear_error();
    int result = judge(tls, SSL_read_ex(tls->ssl, at, size < INT_MAX ? size : INT_MAX, &n), err);
    return result < 0 ? result : (int)n;
}

int wisp_tls_write(struct wisp_tls *tls, struct wisp_str plain, struct wisp_err *err)
{
    size_t n = 0;
    ERR_clear_error();
    int result = judge(tls, SSL_write_ex(tls->ssl, plain.ptr, plain.len, &n), err);
    if (result < 0) return result;
    /* Memory takes everything at once. */
    return n == plain.len ? 0 : wisp_err_set(err, WISP_ERR_INTERNAL, "TLS took %zu of %zu bytes", n, plain.len);
}

void wisp_tls_end(struct wisp_tls *tls)
{
    ERR_clear_error();
    if (wisp_tls_is_open(tls)) (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}
