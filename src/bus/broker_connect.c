/* SPDX-License-Identifier: Apache-2.0 */
/* INFO and CONNECT: what server and client tell each other, and whether the client may stay. */
#include "base/json.h"
#include "bus/broker.h"
#include "nkeys/nkeys.h"

#include <openssl/crypto.h>

/* Clients look at it to know what they may use; this is what servers of that version do without JetStream. */
#define COMPATIBLE_VERSION "2.10.0"

enum { PROTOCOL = 1 };

static bool wants_credentials(const struct wisp_bus_conn *conn)
{
    const struct wisp_bus_broker_options *options = &conn->broker->options;
    return !conn->peer.is_trusted && (options->token || options->keys.count > 0);
}

static void set_text(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, wisp_json_text(wisp_str_from(value)));
}

static json_t *info(const struct wisp_bus_conn *conn)
{
    const struct wisp_bus_broker_options *options = &conn->broker->options;
    json_t *object = json_object();
    set_text(object, "server_id", options->server_id);
    set_text(object, "server_name", options->server_name);
    set_text(object, "version", COMPATIBLE_VERSION);
    json_object_set_new(object, "proto", json_integer(PROTOCOL));
    set_text(object, "host", options->host);
    json_object_set_new(object, "port", json_integer(options->port));
    json_object_set_new(object, "headers", json_true());
    if (wants_credentials(conn)) json_object_set_new(object, "auth_required", json_true());
    if (conn->peer.uses_tls) {
        json_object_set_new(object, "tls_required", json_true());
        json_object_set_new(object, "tls_available", json_true());
    }
    json_object_set_new(object, "max_payload", json_integer((json_int_t)options->payload_bytes_max));
    json_object_set_new(object, "client_id", json_integer((json_int_t)conn->id));
    if (conn->peer.address[0]) set_text(object, "client_ip", conn->peer.address);
    if (conn->peer.nonce[0]) set_text(object, "nonce", conn->peer.nonce);
    return object;
}

void wisp_bus_conn_greet(struct wisp_bus_conn *conn)
{
    WISP_CLEANUP_JSON json_t *object = info(conn);
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(object, &text);
    wisp_bus_encode_info(&conn->out, wisp_buf_str(&text));
    wisp_bus_conn_wrote(conn);
}

/* --- credentials --- */

static bool is_same_secret(struct wisp_str a, struct wisp_str b)
{
    return a.len == b.len && CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}

static bool shows_token(const struct wisp_bus_conn *conn, const json_t *object)
{
    if (!conn->broker->options.token) return false;
    struct wisp_str wanted = wisp_str_from(conn->broker->options.token);
    if (is_same_secret(wisp_json_str(object, "auth_token"), wanted)) return true;
    /* "nats://TOKEN@HOST" comes as a user without a password from some. */
    return wisp_json_str(object, "pass").len == 0 && is_same_secret(wisp_json_str(object, "user"), wanted);
}

static const uint8_t *known_key(const struct wisp_bus_conn *conn, struct wisp_str text)
{
    const struct wisp_bus_keys *keys = &conn->broker->options.keys;
    enum wisp_nkey_kind kind;
    uint8_t key[32];
    if (wisp_nkey_parse_public(text, &kind, key, NULL) < 0 || kind != WISP_NKEY_USER) return NULL;
    for (size_t i = 0; i < keys->count; i++)
        if (memcmp(keys->at[i], key, sizeof key) == 0) return keys->at[i];
    return NULL;
}

static bool shows_key(const struct wisp_bus_conn *conn, const json_t *object)
{
    WISP_CLEANUP_BUF struct wisp_buf signature = {0};
    struct wisp_str text = wisp_json_str(object, "sig");
    const uint8_t *key = known_key(conn, wisp_json_str(object, "nkey"));
    if (!key || !conn->peer.nonce[0]) return false;
    if (wisp_base64url_decode(text, &signature, NULL) < 0) {
        signature.len = 0;
        if (wisp_base64_decode(text, &signature, NULL) < 0) return false;
    }
    if (signature.len != WISP_NKEY_SIGNATURE_SIZE) return false;
    return wisp_nkey_verify(key, wisp_str_from(conn->peer.nonce), (const uint8_t *)signature.data);
}

/* --- CONNECT --- */

/* Cut to fit, for the log. */
static void copy_name(char *out, size_t size, struct wisp_str text)
{
    size_t n = text.len < size ? text.len : size - 1;
    for (size_t i = 0; i < n; i++) out[i] = text.ptr[i] >= ' ' && text.ptr[i] <= '~' ? text.ptr[i] : '?';
    out[n] = '\0';
}

static void take_options(struct wisp_bus_conn *conn, const json_t *object)
{
    conn->is_verbose = wisp_json_bool(object, "verbose", true);
    conn->is_pedantic = wisp_json_bool(object, "pedantic", true);
    conn->has_echo = wisp_json_bool(object, "echo", true);
    conn->has_headers = wisp_json_bool(object, "headers", false);
    conn->wants_no_responders = wisp_json_bool(object, "no_responders", false);
    copy_name(conn->name, sizeof conn->name, wisp_json_str(object, "name"));
    copy_name(conn->language, sizeof conn->language, wisp_json_str(object, "lang"));
}

void wisp_bus_conn_on_connect(struct wisp_bus_conn *conn, struct wisp_str json)
{
    WISP_CLEANUP_JSON json_t *object = NULL;
    if (wisp_json_parse(json, &object, NULL) < 0 || !json_is_object(object)) {
        wisp_bus_conn_lost(conn, "malformed CONNECT");
        return;
    }
    take_options(conn, object);
    if (conn->owes_credentials && !shows_token(conn, object) && !shows_key(conn, object)) {
        conn->broker->stats.refused++;
        wisp_bus_conn_cut(conn, "Authorization Violation");
        return;
    }
    if (wisp_json_u64(object, "protocol", 0) > PROTOCOL) {
        wisp_bus_conn_cut(conn, "invalid client protocol");
        return;
    }
    if (conn->wants_no_responders && !conn->has_headers) {
        wisp_bus_conn_cut(conn, "no responders requires headers support");
        return;
    }
    conn->owes_credentials = false;
    conn->parser.payload_bytes_max = conn->broker->options.payload_bytes_max;
    if (!conn->is_verbose) return;
    wisp_buf_append_str(&conn->out, WISP_BUS_OK_LINE);
    wisp_bus_conn_wrote(conn);
}
