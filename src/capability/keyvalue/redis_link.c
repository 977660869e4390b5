/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/redis_link.h"

#include "tls/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { READ_SIZE = 64 << 10, KEEP_SIZE = 1 << 20, KEEPALIVE_S = 30, CONNECT_TIMEOUT_MS = 3000 };

struct wisp_redis_link {
    uv_loop_t *loop;
    const struct wisp_redis_address *server;
    const struct wisp_redis_link_events *events; /* NULL: closed */
    void *env;
    uv_tcp_t tcp;
    uv_timer_t timer; /* until it is open */
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    struct addrinfo *addresses, *address; /* found; the one being tried */
    unsigned n_handles;
    bool has_tcp, is_resolving, is_writing, is_open;
    struct wisp_tls *tls;
    struct wisp_buf in, plain;
    struct wisp_buf sending; /* in the hands of the loop */
    struct wisp_buf sealed;  /* TLS records behind it */
};

/* --- life --- */

static void release(struct wisp_redis_link *link)
{
    if (link->events || link->n_handles || link->is_resolving) return;
    wisp_tls_free(link->tls);
    if (link->addresses) uv_freeaddrinfo(link->addresses);
    wisp_buf_deinit(&link->in);
    wisp_buf_deinit(&link->plain);
    wisp_buf_deinit(&link->sending);
    wisp_buf_deinit(&link->sealed);
    free(link);
}

static void on_closed(uv_handle_t *handle)
{
    struct wisp_redis_link *link = handle->data;
    link->n_handles--;
    release(link);
}

void wisp_redis_link_close(struct wisp_redis_link *link)
{
    if (!link) return;
    link->events = NULL;
    if (link->is_resolving) uv_cancel((uv_req_t *)&link->resolve);
    uv_close((uv_handle_t *)&link->timer, on_closed);
    if (link->has_tcp && !uv_is_closing((uv_handle_t *)&link->tcp)) uv_close((uv_handle_t *)&link->tcp, on_closed);
}

static void lose(struct wisp_redis_link *link, struct wisp_err *err)
{
    uv_timer_stop(&link->timer);
    if (link->events) link->events->on_lost(err, link->env);
}

static void lose_uv(struct wisp_redis_link *link, int status, const char *what)
{
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "%s: %s", what, uv_strerror(status));
    lose(link, &err);
}

static void on_timeout(uv_timer_t *timer) { lose_uv(timer->data, UV_ETIMEDOUT, "connect"); }

/* --- writing --- */

static int flush_sealed(struct wisp_redis_link *link, struct wisp_err *err);

static void on_written(uv_write_t *write, int status)
{
    struct wisp_redis_link *link = write->data;
    struct wisp_err err = {0};
    link->is_writing = false;
    link->sending.len = 0;
    if (link->sending.capacity > KEEP_SIZE) wisp_buf_deinit(&link->sending);
    if (!link->events) return;
    if (status < 0)
        lose_uv(link, status, "write");
    else if (link->tls && flush_sealed(link, &err) < 0)
        lose(link, &err);
    else if (!link->is_writing)
        link->events->on_writable(link->env);
}

/* What the kernel doesn't take at once goes to the loop, in a buffer that `bytes` is exchanged for. */
static int write_out(struct wisp_redis_link *link, struct wisp_buf *bytes, struct wisp_err *err)
{
    uv_buf_t buf = uv_buf_init(bytes->data, (unsigned)bytes->len);
    int n = uv_try_write((uv_stream_t *)&link->tcp, &buf, 1);
    if (n < 0 && n != UV_EAGAIN) return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "write: %s", uv_strerror(n));
    if (n < 0) n = 0;
    if ((size_t)n == bytes->len) {
        bytes->len = 0;
        if (bytes->capacity > KEEP_SIZE) wisp_buf_deinit(bytes);
        return 0;
    }
    struct wisp_buf emptied = link->sending;
    link->sending = *bytes;
    *bytes = emptied;
    bytes->len = 0;
    buf = uv_buf_init(link->sending.data + n, (unsigned)(link->sending.len - (size_t)n));
    int r = uv_write(&link->write, (uv_stream_t *)&link->tcp, &buf, 1, on_written);
    if (r < 0) return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "write: %s", uv_strerror(r));
    link->is_writing = true;
    return 0;
}

static int flush_sealed(struct wisp_redis_link *link, struct wisp_err *err)
{
    wisp_tls_take(link->tls, &link->sealed);
    return link->is_writing || !link->sealed.len ? 0 : write_out(link, &link->sealed, err);
}

int wisp_redis_link_send(struct wisp_redis_link *link, struct wisp_buf *out, struct wisp_err *err)
{
    if (link->is_writing || !link->is_open || !out->len) return 0;
    if (!link->tls) return write_out(link, out, err);
    int r = wisp_tls_write(link->tls, wisp_buf_str(out), err);
    out->len = 0;
    return r < 0 ? r : flush_sealed(link, err);
}

/* --- TLS --- */

static bool name_the_peer(SSL *ssl, const char *host)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int start_tls(struct wisp_redis_link *link, struct wisp_err *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) wisp_mem_out(0);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_verify_paths(context);
    link->tls = wisp_tls_new(context);
    SSL_CTX_free(context);
    if (!name_the_peer(link->tls->ssl, link->server->host))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a name for TLS");
    ERR_clear_error();
    SSL_do_handshake(link->tls->ssl); /* wants to read: the first record is there */
    return flush_sealed(link, err);
}

static void open_now(struct wisp_redis_link *link)
{
    uv_timer_stop(&link->timer);
    link->is_open = true;
    link->events->on_open(link->env);
}

static int judge(struct wisp_redis_link *link, struct wisp_err *err)
{
    long verdict = SSL_get_verify_result(link->tls->ssl);
    if (verdict == X509_V_OK || wisp_tls_is_open(link->tls)) return -(int)err->kind;
    return wisp_err_set(err, WISP_ERR_DENIED, "the server's certificate is not trusted: %s",
                        X509_verify_cert_error_string(verdict));
}

static void take_sealed(struct wisp_redis_link *link, struct wisp_str bytes)
{
    struct wisp_err err = {0};
    wisp_tls_feed(link->tls, bytes);
    int n;
    while ((n = wisp_tls_read(link->tls, wisp_buf_reserve(&link->plain, READ_SIZE), READ_SIZE, &err)) > 0)
        link->plain.len += (size_t)n;
    int r = n < 0 ? judge(link, &err) : flush_sealed(link, &err);
    if (!link->is_open && wisp_tls_is_open(link->tls)) open_now(link);
    struct wisp_str plain = wisp_buf_str(&link->plain);
    link->plain.len = 0;
    if (link->events && plain.len) link->events->on_bytes(plain, link->env);
    if (r < 0) lose(link, &err);
}

/* --- reading --- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    struct wisp_redis_link *link = handle->data;
    *ret_buf = uv_buf_init(wisp_buf_reserve(&link->in, READ_SIZE), READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct wisp_redis_link *link = stream->data;
    struct wisp_str bytes = {buf->base, n > 0 ? (size_t)n : 0};
    if (n == 0 || !link->events) return;
    if (n < 0)
        lose_uv(link, (int)n, "read");
    else if (link->tls)
        take_sealed(link, bytes);
    else
        link->events->on_bytes(bytes, link->env);
}

/* --- connecting --- */

static void try_address(struct wisp_redis_link *link);

static void on_attempt_closed(uv_handle_t *handle)
{
    struct wisp_redis_link *link = handle->data;
    link->n_handles--;
    link->has_tcp = false;
    if (link->events)
        try_address(link);
    else
        release(link);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct wisp_redis_link *link = connect->data;
    struct wisp_err err = {0};
    if (!link->events) return;
    if (status < 0 && link->address->ai_next) {
        link->address = link->address->ai_next;
        uv_close((uv_handle_t *)&link->tcp, on_attempt_closed);
        return;
    }
    if (status < 0) {
        lose_uv(link, status, "connect");
        return;
    }
    uv_tcp_nodelay(&link->tcp, 1);
    uv_tcp_keepalive(&link->tcp, 1, KEEPALIVE_S);
    uv_read_start((uv_stream_t *)&link->tcp, on_alloc, on_read);
    if (!link->server->is_tls)
        open_now(link);
    else if (start_tls(link, &err) < 0)
        lose(link, &err);
}

static void try_address(struct wisp_redis_link *link)
{
    uv_tcp_init(link->loop, &link->tcp);
    link->tcp.data = link;
    link->n_handles++;
    link->has_tcp = true;
    int r = uv_tcp_connect(&link->connect, &link->tcp, link->address->ai_addr, on_connected);
    if (r < 0) lose_uv(link, r, "connect");
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *addresses)
{
    struct wisp_redis_link *link = resolve->data;
    link->is_resolving = false;
    link->addresses = link->address = addresses;
    if (!link->events)
        release(link);
    else if (status < 0 || !addresses)
        lose_uv(link, status < 0 ? status : UV_EAI_NONAME, "resolve");
    else
        try_address(link);
}

struct wisp_redis_link *wisp_redis_link_new(uv_loop_t *loop, const struct wisp_redis_address *address,
                                            const struct wisp_redis_link_events *events, void *env)
{
    struct wisp_redis_link *link = wisp_mem_calloc(1, sizeof *link);
    link->loop = loop;
    link->server = address;
    link->events = events;
    link->env = env;
    link->resolve.data = link->connect.data = link->write.data = link->timer.data = link;
    uv_timer_init(loop, &link->timer);
    link->n_handles++;
    char port[8];
    snprintf(port, sizeof port, "%u", address->port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    link->is_resolving = uv_getaddrinfo(loop, &link->resolve, on_resolved, address->host, port, &hints) == 0;
    /* For a name that can't be one the answer comes at once, from the loop all the same. */
    uv_timer_start(&link->timer, on_timeout, link->is_resolving ? CONNECT_TIMEOUT_MS : 0, 0);
    return link;
}
