/* SPDX-License-Identifier: Apache-2.0 */
/* HashiCorp Vault, secrets engine KV version 2: a bucket is the path of a secret, a key one of its fields, a value its
 * text in base64 without padding. Changing a field means writing the whole secret again; check-and-set keeps others'
 * changes. */
#include "base/json.h"
#include "base/log.h"
#include "capability/keyvalue/keyvalue.h"
#include "capability/keyvalue/vault_wire.h"
#include "capability/kinds.h"
#include "nkeys/nkeys.h"
#include "web/web.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BODY_MAX = 4 << 20, /* Vault takes half a megabyte by default */
    SWAPS_MAX = 100,    /* each failure is another writer's success */
    CERTIFICATES_MAX = 16,
    RENEWAL_RETRY_MS = 60 * 1000,
    REFRESH_INTERVAL_S = 43200,
};

struct link_state {
    struct wisp_provider *provider;
    struct wisp_web *web;
    char *addr, *mount, *token, *increment;
    uint64_t refresh_ms;
    uv_timer_t timer;
    struct wisp_web_request *renewal;
};

/* A call. In its arena, but for the body. */
struct op {
    struct link_state *link;
    struct wisp_provider_call *call;
    enum wisp_keyvalue_verb verb;
    const struct wisp_keyvalue_key_args *args; /* of set and list-keys: the beginning of theirs */
    char *url;
    struct wisp_web_request *request;
    struct wisp_buf sent, received;
    unsigned n_swaps;
};

/* --- the end --- */

static struct wisp_provider_call *stop(struct op *op)
{
    wisp_web_cancel(WISP_TAKE(op->request));
    wisp_buf_deinit(&op->sent);
    wisp_buf_deinit(&op->received);
    op->call->on_cancel = NULL;
    return op->call;
}

static void on_cancel(struct wisp_provider_call *call)
{
    stop(call->user);
    wisp_keyvalue_fail_cancelled(call);
}

static void fail(struct op *op, const struct wisp_err *err) { wisp_keyvalue_fail_with(stop(op), err); }

/* --- requests --- */

static int on_body(const struct wisp_web_response *response, struct wisp_str bytes, void *env, struct wisp_err *err)
{
    struct op *op = env;
    (void)response;
    if (op->received.len + bytes.len > BODY_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "answer of Vault: too large");
    wisp_buf_append_str(&op->received, bytes);
    return 0;
}

typedef void on_done_fn(const struct wisp_web_response *response, const struct wisp_err *err, void *env);

/* A GET, or a POST of what is in op->sent. */
static void ask(struct op *op, const char *method, on_done_fn *on_done)
{
    struct wisp_web_header header = {"X-Vault-Token", op->link->token};
    struct wisp_web_ask ask = {
        .url = op->url,
        .method = method,
        .accept = "application/json",
        .timeout_ms = WISP_KEYVALUE_WAIT_MS,
        .content_type = op->sent.len ? "application/json" : NULL,
        .body = wisp_buf_str(&op->sent),
        .headers = &header,
        .n_headers = 1,
        .on_body = on_body,
        .on_done = on_done,
        .env = op,
    };
    op->received.len = 0;
    op->request = wisp_web_start(op->link->web, &ask);
}

/* --- values --- */

static void encode(struct wisp_bytes value, struct wisp_buf *out)
{
    wisp_base64_encode((struct wisp_str){(const char *)value.ptr, value.len}, out);
    while (out->len && out->data[out->len - 1] == '=') out->len--;
}

/* With or without padding. */
static int decode(struct wisp_str text, struct wisp_buf *out, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf padded = {0};
    while (text.len && text.ptr[text.len - 1] == '=') text.len--;
    wisp_buf_append_str(&padded, text);
    while (padded.len % 4) wisp_buf_append_char(&padded, '=');
    return wisp_base64_decode(wisp_buf_str(&padded), out, err);
}

static void return_value(struct op *op, const json_t *fields)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_BUF struct wisp_buf value = {0};
    const json_t *field = json_object_getn(fields, op->args->key.ptr, op->args->key.len);
    if (!field) {
        wisp_keyvalue_return_value(stop(op), (struct wisp_bytes){0});
        return;
    }
    struct wisp_str text = {json_string_value(field), json_string_length(field)};
    if (!json_is_string(field)) wisp_err_set(&err, WISP_ERR_INVALID, "the field is no text");
    if (err.kind == WISP_ERR_NONE && decode(text, &value, &err) == 0)
        wisp_keyvalue_return_value(stop(op),
                                   (struct wisp_bytes){(const uint8_t *)(value.len ? value.data : ""), value.len});
    else
        fail(op, &err);
}

static void return_keys(struct op *op, const json_t *fields)
{
    struct wisp_str *keys = WISP_NEW_ARRAY(op->call->arena, struct wisp_str, json_object_size(fields));
    size_t n = 0;
    for (void *at = json_object_iter((json_t *)(uintptr_t)fields); at;
         at = json_object_iter_next((json_t *)(uintptr_t)fields, at))
        keys[n++] = (struct wisp_str){json_object_iter_key(at), json_object_iter_key_len(at)};
    wisp_keyvalue_return_keys(stop(op), keys, n, 0);
}

/* --- changing --- */

static void on_read(const struct wisp_web_response *response, const struct wisp_err *err, void *env);

static void on_written(const struct wisp_web_response *response, const struct wisp_err *failure, void *env)
{
    struct op *op = env;
    struct wisp_err err = {0};
    struct wisp_str body = wisp_buf_str(&op->received);
    static const char lost[] = "check-and-set";
    op->request = NULL;
    if (failure) {
        fail(op, failure);
    } else if (response->status == 200) {
        wisp_keyvalue_return_done(stop(op));
    } else if (response->status == 204) {
        wisp_vault_wrong_version(response->status, &err);
        fail(op, &err);
    } else if (response->status == 400 && body.len && memmem(body.ptr, body.len, lost, strlen(lost)) &&
               op->n_swaps++ < SWAPS_MAX) {
        op->sent.len = 0;
        ask(op, "GET", on_read);
    } else {
        wisp_vault_error(response->status, body, &err);
        fail(op, &err);
    }
}

static void write_fields(struct op *op, json_t *fields, uint64_t version)
{
    struct wisp_str key = op->args->key;
    if (op->verb == WISP_KEYVALUE_SET) {
        WISP_CLEANUP_BUF struct wisp_buf text = {0};
        encode(((const struct wisp_keyvalue_set_args *)op->args)->value, &text);
        json_object_setn_new(fields, key.ptr, key.len, wisp_json_text(wisp_buf_str(&text)));
    } else if (json_object_deln(fields, key.ptr, key.len) < 0) {
        wisp_keyvalue_return_done(stop(op)); /* it was not there */
        return;
    }
    WISP_CLEANUP_JSON json_t *secret =
        json_pack("{s:{s:I}, s:O}", "options", "cas", (json_int_t)version, "data", fields);
    op->sent.len = 0;
    wisp_json_print(secret, &op->sent);
    ask(op, "POST", on_written);
}

static void on_read(const struct wisp_web_response *response, const struct wisp_err *failure, void *env)
{
    struct op *op = env;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *fields = NULL;
    uint64_t version;
    op->request = NULL;
    if (failure) err = *failure;
    if (failure || wisp_vault_read(response->status, wisp_buf_str(&op->received), &fields, &version, &err) < 0)
        fail(op, &err);
    else if (op->verb == WISP_KEYVALUE_GET)
        return_value(op, fields);
    else if (op->verb == WISP_KEYVALUE_EXISTS)
        wisp_keyvalue_return_exists(stop(op), json_object_getn(fields, op->args->key.ptr, op->args->key.len));
    else if (op->verb == WISP_KEYVALUE_LIST_KEYS)
        return_keys(op, fields);
    else
        write_fields(op, fields, version);
}

static void run(struct wisp_provider_call *call, enum wisp_keyvalue_verb verb, const void *args)
{
    struct link_state *link = call->link->state;
    struct op *op = WISP_NEW(call->arena, struct op);
    WISP_CLEANUP_BUF struct wisp_buf url = {0};
    *op = (struct op){.link = link, .call = call, .verb = verb, .args = args};
    wisp_buf_printf(&url, "%s/v1/%s/data/", link->addr, link->mount);
    if (!wisp_vault_append_path(op->args->bucket.len ? op->args->bucket : WISP_STR("default"), &url)) {
        wisp_keyvalue_fail(call, WISP_KEYVALUE_NO_SUCH_STORE, "no path");
        return;
    }
    op->url = wisp_arena_cstr(call->arena, wisp_buf_str(&url));
    call->user = op;
    call->on_cancel = on_cancel;
    ask(op, "GET", on_read);
}

/* --- keeping the token --- */

static void renew(uv_timer_t *timer);

static void on_renewed(const struct wisp_web_response *response, const struct wisp_err *failure, void *env)
{
    struct link_state *link = env;
    struct wisp_err err = {0};
    link->renewal = NULL;
    if (failure)
        err = *failure;
    else if (response->status != 200)
        wisp_vault_error(response->status, WISP_STR(""), &err);
    if (err.kind != WISP_ERR_NONE)
        WISP_LOG(WARN, "keyvalue", "Vault's token was not renewed", WISP_BYTES("provider", link->provider->id),
                 WISP_TEXT("error", err.text));
    /* What Vault refuses, such as a token that is not to be renewed, it will refuse again. */
    bool is_soon = (failure || response->status >= 500) && link->refresh_ms > RENEWAL_RETRY_MS;
    uv_timer_start(&link->timer, renew, is_soon ? RENEWAL_RETRY_MS : link->refresh_ms, 0);
}

static void renew(uv_timer_t *timer)
{
    struct link_state *link = timer->data;
    WISP_CLEANUP_BUF struct wisp_buf url = {0};
    struct wisp_web_header header = {"X-Vault-Token", link->token};
    wisp_buf_printf(&url, "%s/v1/auth/token/renew-self", link->addr);
    wisp_buf_append_char(&url, '\0');
    struct wisp_web_ask ask = {
        .url = url.data,
        .method = "POST",
        .timeout_ms = WISP_KEYVALUE_WAIT_MS,
        .content_type = "application/json",
        .body = wisp_str_from(link->increment),
        .headers = &header,
        .n_headers = 1,
        .on_done = on_renewed,
        .env = link,
    };
    link->renewal = wisp_web_start(link->web, &ask);
}

/* --- links --- */

static void on_timer_closed(uv_handle_t *handle) { free(handle->data); }

static void free_link(struct link_state *link)
{
    wisp_web_cancel(link->renewal);
    wisp_web_free(link->web);
    free(link->addr);
    free(link->mount);
    free(link->increment);
    wisp_mem_wipe(link->token);
    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}

static char *text_of(const struct wisp_settings *settings, const char *key, const char *otherwise)
{
    struct wisp_str value = wisp_settings_get(settings, key);
    return wisp_mem_dup(value.len ? value : wisp_str_from(otherwise));
}

static int read_settings(struct link_state *link, const struct wisp_settings *settings, struct wisp_err *err)
{
    link->addr = text_of(settings, "addr", "http://127.0.0.1:8200");
    link->mount = text_of(settings, "mount", "secret");
    link->token = text_of(settings, "token", "");
    WISP_CLEANUP_FREE char *ttl = text_of(settings, "token_increment_ttl", "72h");
    for (size_t n = strlen(link->addr); n && link->addr[n - 1] == '/'; n--) link->addr[n - 1] = '\0';
    if (strncmp(link->addr, "http://", 7) != 0 && strncmp(link->addr, "https://", 8) != 0)
        return wisp_err_set(err, WISP_ERR_INVALID, "`addr` is no URL of http or https");
    if (!*link->token) return wisp_err_set(err, WISP_ERR_INVALID, "`token` is missing");
    if (!wisp_vault_is_plain(link->addr) || !wisp_vault_is_plain(link->mount) || !wisp_vault_is_plain(link->token) ||
        !wisp_vault_is_plain(ttl))
        return wisp_err_set(err, WISP_ERR_INVALID,
                            "one of `addr`, `mount`, `token`, `token_increment_ttl` has characters that can't be");
    WISP_CLEANUP_BUF struct wisp_buf increment = {0};
    wisp_buf_printf(&increment, "{\"increment\":\"%s\"}", ttl);
    link->increment = wisp_mem_dup(wisp_buf_str(&increment));
    uint64_t seconds;
    int r = wisp_settings_uint(settings, "token_refresh_interval", REFRESH_INTERVAL_S, &seconds, err);
    if (r == 0 && (seconds == 0 || seconds > UINT32_MAX))
        r = wisp_err_set(err, WISP_ERR_INVALID, "`token_refresh_interval` must be from 1 to %u seconds", UINT32_MAX);
    link->refresh_ms = r == 0 ? seconds * 1000 : 0;
    return r;
}

static int open_web(struct link_state *link, struct wisp_str certificates, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const char *paths[CERTIFICATES_MAX];
    struct wisp_web_options options = {.ca_paths = paths, .stall_timeout_ms = WISP_KEYVALUE_WAIT_MS};
    for (bool is_more = certificates.len > 0; is_more && options.n_ca_paths < CERTIFICATES_MAX;) {
        struct wisp_str path = certificates, rest = {0};
        is_more = wisp_str_split(certificates, ',', &path, &rest);
        certificates = rest;
        if (path.len) paths[options.n_ca_paths++] = wisp_arena_cstr(&arena, path);
    }
    return wisp_web_new(&link->web, link->provider->loop, &options, err);
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    int r = wisp_keyvalue_check_link(link, err);
    if (r < 0) return r;
    struct link_state *state = wisp_mem_calloc(1, sizeof *state);
    state->provider = provider;
    uv_timer_init(provider->loop, &state->timer);
    state->timer.data = state;
    r = read_settings(state, &link->settings, err);
    if (r == 0) r = open_web(state, wisp_settings_get(&link->settings, "certs"), err);
    if (r < 0) {
        free_link(state);
        return r;
    }
    uv_timer_start(&state->timer, renew, 0, 0);
    link->state = state;
    return 0;
}

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    (void)provider;
    free_link(WISP_TAKE(link->state));
}

/* --- life --- */

static int open_kind(struct wisp_provider *provider, struct wisp_err *err)
{
    (void)err;
    struct wisp_keyvalue_kind *kind = wisp_mem_calloc(1, sizeof *kind);
    kind->run = run;
    provider->state = kind;
    return 0;
}

static void close_kind(struct wisp_provider *provider) { free(WISP_TAKE(provider->state)); }

const struct wisp_provider_kind wisp_keyvalue_vault = {
    .name = "keyvalue-vault",
    .about = "HashiCorp Vault: a bucket is a secret of KV version 2, a key one of its fields",
    .exports = wisp_keyvalue_exports,
    .n_exports = 1, /* the store alone */
    .open = open_kind,
    .close = close_kind,
    .put_link = put_link,
    .del_link = del_link,
};
