/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of HTTPS, and connections that speak TLS with them. */
#include "http/server.h"

#include "base/log.h"

#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
    LOOK_AGAIN_MS = 1000, /* at the files */
    CIPHER_BYTES = 32 * 1024,
};

/* What tells one version of a file from another. */
struct file_mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct wisp_http_tls {
    uint32_t n_refs;
    char *cert_path, *key_path;
    SSL_CTX *context;
    struct file_mark cert_mark, key_mark;
    uint64_t looked_at_ms;
};

/* --- certificates --- */

static struct file_mark mark_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) return (struct file_mark){0};
    return (struct file_mark){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

static bool is_same(const struct file_mark *a, const struct file_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static int select_protocol(SSL *ssl, const unsigned char **ret_protocol, unsigned char *ret_size,
                           const unsigned char *offered, unsigned offered_size, void *env)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *selected;
    (void)ssl, (void)env;
    int r = SSL_select_next_proto(&selected, ret_size, ours, sizeof ours - 1, offered, offered_size);
    *ret_protocol = selected;
    return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int load(struct wisp_http_tls *tls, struct wisp_err *err)
{
    SSL_CTX *context;
    /* Marked before they are read: a change in between is seen next time. */
    tls->cert_mark = mark_of(tls->cert_path);
    tls->key_mark = mark_of(tls->key_path);
    int r = wisp_tls_server_context(&context, tls->cert_path, tls->key_path, NULL, err);
    if (r < 0) return r;
    /* Of TLS 1.2 only what keeps its secrets when the key gets known later; 1.3 has nothing else. */
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
    SSL_CTX_free(tls->context);
    tls->context = context;
    return 0;
}

int wisp_http_tls_new(struct wisp_http_tls **ret_tls, const char *cert_path, const char *key_path, struct wisp_err *err)
{
    struct wisp_http_tls *tls = wisp_mem_calloc(1, sizeof *tls);
    tls->n_refs = 1;
    tls->cert_path = wisp_mem_dup(wisp_str_from(cert_path));
    tls->key_path = wisp_mem_dup(wisp_str_from(key_path));
    int r = load(tls, err);
    if (r < 0)
        wisp_http_tls_unref(tls);
    else
        *ret_tls = tls;
    return r;
}

struct wisp_http_tls *wisp_http_tls_ref(struct wisp_http_tls *tls)
{
    if (tls) tls->n_refs++;
    return tls;
}

void wisp_http_tls_unref(struct wisp_http_tls *tls)
{
    if (!tls || --tls->n_refs) return;
    SSL_CTX_free(tls->context);
    free(tls->cert_path);
    free(tls->key_path);
    free(tls);
}

/* Certificates are renewed while we run. The two files don't change in the same moment: until they fit, and can be
 * read, the old ones go on. */
static void look_for_changes(struct wisp_http_tls *tls, uint64_t now_ms)
{
    if (now_ms < tls->looked_at_ms + LOOK_AGAIN_MS) return;
    tls->looked_at_ms = now_ms;
    struct file_mark cert = mark_of(tls->cert_path), key = mark_of(tls->key_path);
    if (is_same(&cert, &tls->cert_mark) && is_same(&key, &tls->key_mark)) return;
    struct wisp_err err = {0};
    if (load(tls, &err) < 0)
        WISP_LOG(WARN, "http", "changed certificate or key can't be used; the old ones are",
                 WISP_TEXT("cause", err.text));
    else
        WISP_LOG(INFO, "http", "certificate read again", WISP_TEXT("file", tls->cert_path));
}

void wisp_http_server_set_tls(struct wisp_http_server *server, struct wisp_http_tls *tls)
{
    wisp_http_tls_ref(tls);
    wisp_http_tls_unref(server->tls);
    server->tls = tls;
    if (tls && !server->cipher_space) server->cipher_space = wisp_mem_alloc(CIPHER_BYTES);
}

/* --- a connection's bytes --- */

void wisp_http_socket_begin_tls(struct wisp_http_socket *socket)
{
    struct wisp_http_server *server = socket->server;
    look_for_changes(server->tls, server->shared.now_ms);
    socket->tls = wisp_tls_new(server->tls->context);
    socket->conn.is_secure = true;
}

/* One space serves all: what is read is fed to TLS before the next socket is read. */
void wisp_http_socket_on_cipher_space(uv_handle_t *handle, size_t suggested_size, uv_buf_t *ret_buffer)
{
    (void)suggested_size;
    const struct wisp_http_socket *socket = handle->data;
    *ret_buffer = (uv_buf_t){.base = socket->server->cipher_space, .len = CIPHER_BYTES};
}

void wisp_http_socket_on_cipher(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct wisp_http_socket *socket = stream->data;
    wisp_http_server_look_at_clock(socket->server);
    if (n > 0) wisp_tls_feed(socket->tls, (struct wisp_str){buffer->base, (size_t)n});
    if (n < 0 && n != UV_EOF) wisp_http_conn_lost(&socket->conn, WISP_HTTP_CLIENT_GONE);
    socket->has_cipher |= n != 0;
    socket->is_cut |= n == UV_EOF;
    wisp_http_socket_decrypt(socket);
    wisp_http_socket_settle(socket);
}

/* What is left of TLS to be said, if the kernel takes it. */
static void send_last_words(struct wisp_http_socket *socket)
{
    WISP_CLEANUP_BUF struct wisp_buf cipher = {0};
    uv_os_fd_t fd;
    wisp_tls_take(socket->tls, &cipher);
    if (cipher.len && !socket->is_writing && uv_fileno((uv_handle_t *)&socket->tcp, &fd) == 0)
        (void)send(fd, cipher.data, cipher.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* How many bytes went to `space`, or what a socket would say instead. */
static ssize_t read_plain(struct wisp_http_socket *socket, const uv_buf_t *space)
{
    struct wisp_err err = {0};
    int n = wisp_tls_read(socket->tls, space->base, space->len, &err);
    if (n > 0) return n;
    if (n < 0 && err.kind != WISP_ERR_CANCELLED) {
        send_last_words(socket);
        return UV_ECONNRESET;
    }
    return n < 0 || socket->is_cut ? UV_EOF : 0;
}

void wisp_http_socket_decrypt(struct wisp_http_socket *socket)
{
    while (socket->has_cipher && !socket->is_closing && wisp_http_conn_wants_input(&socket->conn)) {
        uv_buf_t space;
        wisp_http_socket_on_space((uv_handle_t *)&socket->tcp, 0, &space);
        ssize_t n = read_plain(socket, &space);
        socket->has_cipher = n > 0;
        wisp_http_socket_on_read((uv_stream_t *)&socket->tcp, n, &space);
    }
}

bool wisp_http_socket_encrypt(struct wisp_http_socket *socket, struct wisp_str output, struct wisp_str *ret_bytes)
{
    /* Before the handshake is over there is nothing to say but that it took too long, and no way to say it. */
    if (output.len && (!wisp_tls_is_open(socket->tls) || wisp_tls_write(socket->tls, output, NULL) < 0)) return false;
    wisp_buf_deinit(&socket->cipher); /* what libuv has written */
    wisp_tls_take(socket->tls, &socket->cipher);
    *ret_bytes = wisp_buf_str(&socket->cipher);
    return true;
}

void wisp_http_socket_end_tls(struct wisp_http_socket *socket)
{
    wisp_tls_end(socket->tls);
    send_last_words(socket);
}

bool wisp_http_socket_wants_cipher(const struct wisp_http_socket *socket)
{
    /* An endless stream of messages that want an answer, from a client that takes none, is not read. */
    bool is_behind = socket->is_writing && BIO_ctrl_pending(socket->tls->to_peer) > CIPHER_BYTES;
    return !socket->has_cipher && !is_behind;
}
