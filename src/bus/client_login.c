/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/client_priv.h"

#include "base/json.h"
#include "nkeys/nkeys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { CREDS_SIZE_MAX = 256 << 10 };

static void put(json_t *object, const char *key, const char *value)
{
    if (value) json_object_set_new(object, key, wisp_json_text(wisp_str_from(value)));
}

/* JWT or public key, and the nonce signed. A server that sent no nonce asks for no proof. */
static int put_proof(json_t *object, struct wisp_str jwt, struct wisp_str seed, struct wisp_str nonce,
                     struct wisp_err *err)
{
    WISP_CLEANUP_NKEY struct wisp_nkey key = {0};
    if (jwt.len) json_object_set_new(object, "jwt", wisp_json_text(jwt));
    if (!seed.len) return 0;
    if (wisp_nkey_from_seed(seed, &key, err) < 0) return wisp_err_wrap(err, "credentials for the bus");
    if (!jwt.len) {
        char text[WISP_NKEY_PUBLIC_LEN + 1];
        wisp_nkey_public_text(&key, text);
        put(object, "nkey", text);
    }
    if (!nonce.len) return 0;
    uint8_t signature[WISP_NKEY_SIGNATURE_SIZE];
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_nkey_sign(&key, nonce, signature);
    wisp_base64url_encode((struct wisp_str){(const char *)signature, sizeof signature}, &text);
    json_object_set_new(object, "sig", wisp_json_text(wisp_buf_str(&text)));
    return 0;
}

static int read_creds(const char *path, struct wisp_buf *out, struct wisp_err *err)
{
    FILE *file = fopen(path, "re");
    if (!file) return wisp_err_os(err, errno, "open `%s`", path);
    out->len = fread(wisp_buf_reserve(out, CREDS_SIZE_MAX + 1), 1, CREDS_SIZE_MAX + 1, file);
    bool is_broken = ferror(file);
    fclose(file);
    if (is_broken) return wisp_err_os(err, EIO, "read `%s`", path);
    if (out->len > CREDS_SIZE_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "`%s` is larger than %d bytes", path, CREDS_SIZE_MAX);
    return 0;
}

static int put_creds(json_t *object, const char *path, struct wisp_str nonce, struct wisp_err *err)
{
    WISP_CLEANUP_WIPE struct wisp_buf text = {0};
    struct wisp_str jwt, seed;
    int r = read_creds(path, &text, err);
    if (r == 0 && (r = wisp_creds_parse(wisp_buf_str(&text), &jwt, &seed, err)) < 0)
        r = wisp_err_wrap(err, "credentials `%s`", path);
    if (r == 0) r = put_proof(object, jwt, seed, nonce, err);
    return r;
}

static int put_credentials(json_t *object, const struct wisp_bus_credentials *credentials,
                           const struct wisp_bus_server_url *server, struct wisp_str nonce, struct wisp_err *err)
{
    if (server->token || server->user) {
        put(object, "auth_token", server->token);
        put(object, "user", server->user);
        put(object, "pass", server->password);
    } else {
        put(object, "auth_token", credentials->token);
        put(object, "user", credentials->user);
        put(object, "pass", credentials->password);
    }
    if (credentials->creds_path) return put_creds(object, credentials->creds_path, nonce, err);
    return put_proof(object, wisp_str_from(credentials->jwt), wisp_str_from(credentials->seed), nonce, err);
}

int wisp_bus_login_encode(const struct wisp_bus_credentials *credentials, const struct wisp_bus_server_url *server,
                          const char *name, struct wisp_str nonce, bool is_tls, struct wisp_buf *out,
                          struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *object =
        json_pack("{s:b, s:b, s:b, s:i, s:b, s:b, s:b, s:s, s:s}", "verbose", 0, "pedantic", 0, "tls_required", is_tls,
                  "protocol", 1, "echo", 1, "headers", 1, "no_responders", 1, "lang", "c", "version", "wisp");
    put(object, "name", name);
    int r = put_credentials(object, credentials, server, nonce, err);
    if (r == 0) wisp_json_print(object, out);
    return r;
}
