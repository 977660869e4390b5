/* SPDX-License-Identifier: Apache-2.0 */
/* The kind `http-client`: requests of components go to servers. Settings:
 *
 *     load_native_certs, load_webpki_certs   [true] either: the system's certificates are trusted
 *     ssl_certs_file                         PEM file with more of them
 *     allowed_hosts                          which servers may be asked (allowed_hosts.h) [all] */
#include "capability/http/client.h"
#include "capability/kinds.h"
#include "provider/runtime.h"

#include <stdlib.h>

/* --- the interface --- */

static const char *const types[] = {
    "fields = list<tuple<string, list<list<u8>>>>",
    "method = variant{_, _, _, _, _, _, _, _, _, string}",
    "scheme = variant{_, _, string}",
    "request = record{stream<u8>, future<option<fields>>, method, option<string>, option<scheme>, option<string>, "
    "fields}",
    "request-options = record{option<u64>, option<u64>, option<u64>}",
    "response = record{stream<u8>, future<option<fields>>, u16, fields}",
    "field-size = record{option<string>, option<u32>}",
    WISP_HTTP_ERROR_CODE_TYPE,
    NULL,
};

static const struct wisp_provider_func funcs[] = {
    {"handle", "(request, option<request-options>) -> result<response, error-code>", wisp_http_client_handle,
     WISP_HOST_SIZES(struct wisp_wasi_http_send, struct wisp_wasi_http_answer)},
};

const struct wisp_provider_interface wisp_http_outgoing_handler = {
    .name = "wrpc:http/outgoing-handler@0.1.0",
    .link_interface = "wasi:http/outgoing-handler",
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .types = types,
};

int wisp_http_outgoing_type(const struct wisp_func_type **ret_type, struct wisp_err *err)
{
    static struct wisp_arena arena;
    static struct wisp_provider_export handle;
    if (!handle.type) {
        int r = wisp_provider_interface_types(&wisp_http_outgoing_handler, &arena, &handle, err);
        if (r < 0) return r;
    }
    *ret_type = handle.type;
    return 0;
}

/* --- settings --- */

void wisp_http_backing_unref(struct wisp_http_backing *backing)
{
    if (!backing || --backing->n_refs) return;
    wisp_web_free(backing->web);
    free(backing);
}

static int make_backing(const struct wisp_provider *provider, struct wisp_http_backing **ret_backing,
                        struct wisp_err *err)
{
    const struct wisp_settings *settings = &provider->settings;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    bool is_native = true, is_webpki = true;
    int r = wisp_settings_bool(settings, "load_native_certs", true, &is_native, err);
    if (r == 0) r = wisp_settings_bool(settings, "load_webpki_certs", true, &is_webpki, err);
    if (r < 0) return r;
    struct wisp_str file = wisp_settings_get(settings, "ssl_certs_file");
    const char *path = wisp_arena_cstr(&arena, file);
    const struct wisp_web_options options = {
        .ca_paths = &path,
        .n_ca_paths = file.len > 0,
        .no_system_ca = !is_native && !is_webpki,
    };
    struct wisp_http_backing *backing = wisp_mem_calloc(1, sizeof *backing);
    backing->n_refs = 1;
    r = wisp_web_new(&backing->web, provider->loop, &options, err);
    if (r < 0)
        free(backing);
    else
        *ret_backing = backing;
    return r;
}

/* Takes the provider's settings, or leaves all as it was. */
static int configure(struct wisp_http_client *client, struct wisp_err *err)
{
    struct wisp_http_backing *backing = NULL;
    struct wisp_http_allowed_hosts allowed;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    int r = wisp_http_allowed_hosts_read(&allowed, wisp_settings_get(&client->provider->settings, "allowed_hosts"),
                                         &arena, err);
    if (r < 0) return wisp_err_wrap(err, "setting `allowed_hosts`");
    r = make_backing(client->provider, &backing, err);
    if (r < 0) return r;
    wisp_http_backing_unref(client->backing);
    wisp_arena_deinit(&client->arena);
    client->backing = backing;
    client->allowed = allowed;
    client->arena = arena;
    arena = (struct wisp_arena){0};
    return 0;
}

/* --- life --- */

static int open_client(struct wisp_provider *provider, struct wisp_err *err)
{
    struct wisp_http_client *client = wisp_mem_calloc(1, sizeof *client);
    client->provider = provider;
    wisp_ring_init(&client->transfers);
    int r = wisp_http_outgoing_type(&client->handle, err);
    if (r == 0) r = configure(client, err);
    if (r < 0)
        free(client);
    else
        provider->state = client;
    return r;
}

/* What is left are responses whose head has been given, and whose body is still coming. */
static void close_client(struct wisp_provider *provider)
{
    struct wisp_http_client *client = provider->state;
    while (!wisp_ring_is_empty(&client->transfers)) wisp_http_transfer_stop(client->transfers.next);
    wisp_http_backing_unref(client->backing);
    wisp_arena_deinit(&client->arena);
    free(client);
}

static int config_changed(struct wisp_provider *provider, struct wisp_err *err)
{
    return configure(provider->state, err);
}

static const struct wisp_provider_interface *const exports[] = {&wisp_http_outgoing_handler};

const struct wisp_provider_kind wisp_http_client = {
    .name = "http-client",
    .about = "HTTP and HTTPS requests to any server, or to those of `allowed_hosts`",
    .exports = exports,
    .n_exports = WISP_COUNT(exports),
    .open = open_client,
    .close = close_client,
    .config_changed = config_changed,
};
