/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/client_priv.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

static int fail(struct wisp_err *err, enum wisp_err_kind kind, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return wisp_err_set(err, kind, "%s: %s", what, reason ? reason : "unknown reason");
}

static int load_files(SSL_CTX *context, const struct wisp_bus_client_tls_options *options, struct wisp_err *err)
{
    if (options->ca_path) {
        if (SSL_CTX_load_verify_file(context, options->ca_path) != 1)
            return wisp_err_wrap((fail(err, WISP_ERR_INVALID, "certificates"), err), "CA file `%s`", options->ca_path);
    } else if (SSL_CTX_set_default_verify_paths(context) != 1) {
        return fail(err, WISP_ERR_OS, "the system's CA certificates");
    }
    if (options->cert_path && SSL_CTX_use_certificate_chain_file(context, options->cert_path) != 1)
        return wisp_err_wrap((fail(err, WISP_ERR_INVALID, "certificate"), err), "file `%s`", options->cert_path);
    if (options->key_path && (SSL_CTX_use_PrivateKey_file(context, options->key_path, SSL_FILETYPE_PEM) != 1 ||
                              (options->cert_path && SSL_CTX_check_private_key(context) != 1)))
        return wisp_err_wrap((fail(err, WISP_ERR_INVALID, "private key"), err), "file `%s`", options->key_path);
    return 0;
}

static bool name_the_peer(SSL *ssl, const char *host)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

int wisp_bus_client_tls_new(struct wisp_tls **ret_tls, const struct wisp_bus_client_tls_options *options,
                            const char *host, struct wisp_err *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) wisp_mem_out(0);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    ERR_clear_error();
    int r = load_files(context, options, err);
    struct wisp_tls *tls = r == 0 ? wisp_tls_new(context) : NULL;
    if (r == 0 && !name_the_peer(tls->ssl, host)) r = fail(err, WISP_ERR_INVALID, "TLS server name");
    SSL_CTX_free(context); /* the SSL holds it */
    if (r < 0)
        wisp_tls_free(tls);
    else
        *ret_tls = tls;
    return r;
}

/* The result of an SSL call that was not positive: 0 to go on later, 1 at the end, or an error. */
static int judge(struct wisp_tls *tls, int result, const char *what, struct wisp_err *err)
{
    int code = SSL_get_error(tls->ssl, result);
    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) return 0;
    if (code == SSL_ERROR_ZERO_RETURN) return 1;
    long verdict = SSL_get_verify_result(tls->ssl);
    if (verdict != X509_V_OK && !SSL_is_init_finished(tls->ssl)) {
        ERR_clear_error();
        return wisp_err_set(err, WISP_ERR_DENIED, "the server's certificate is not trusted: %s",
                            X509_verify_cert_error_string(verdict));
    }
    return fail(err, WISP_ERR_UNAVAILABLE, what);
}

int wisp_bus_client_tls_receive(struct wisp_tls *tls, const void *bytes, size_t size, struct wisp_buf *plain,
                                struct wisp_err *err)
{
    ERR_clear_error();
    wisp_tls_feed(tls, (struct wisp_str){bytes, size});
    if (!wisp_tls_is_open(tls)) {
        int result = SSL_do_handshake(tls->ssl);
        if (result != 1) return judge(tls, result, "TLS handshake", err);
    }
    for (;;) {
        int n = SSL_read(tls->ssl, wisp_buf_reserve(plain, 16384), 16384);
        if (n <= 0) return judge(tls, n, "TLS", err);
        plain->len += (size_t)n;
    }
}

int wisp_bus_client_tls_send(struct wisp_tls *tls, struct wisp_str plain, struct wisp_err *err)
{
    ERR_clear_error();
    while (plain.len) {
        int n = SSL_write(tls->ssl, plain.ptr, plain.len > 1 << 30 ? 1 << 30 : (int)plain.len);
        if (n <= 0) return fail(err, WISP_ERR_UNAVAILABLE, "TLS");
        plain = (struct wisp_str){plain.ptr + n, plain.len - (size_t)n};
    }
    return 0;
}
