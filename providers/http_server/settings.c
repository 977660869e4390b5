/* SPDX-License-Identifier: Apache-2.0 */
#include "http_server.h"

#include "base/json.h"
#include "base/parse.h"
#include "nkeys/nkeys.h"

/* As texts, but for the objects that site.h takes. */
static json_t *flatten(const json_t *object)
{
    json_t *flat = json_object(), *value;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        WISP_CLEANUP_BUF struct wisp_buf text = {0};
        if (json_is_string(value) || json_is_object(value)) {
            json_object_set(flat, key, value);
        } else if (!json_is_null(value)) {
            wisp_json_print(value, &text);
            json_object_set_new(flat, key, wisp_json_text(wisp_buf_str(&text)));
        }
    }
    return flat;
}

static int read_whole(struct wisp_str text, const char *key, json_t **ret_object, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *json = NULL;
    if (wisp_json_parse(text, &json, NULL) < 0 || !json_is_object(json))
        return wisp_err_set(err, WISP_ERR_INVALID, "`%s` is no object in JSON", key);
    *ret_object = flatten(json);
    return 0;
}

static int read_base64(struct wisp_str text, json_t **ret_object, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf padded = {0}, bytes = {0};
    while (text.len > 0 && text.ptr[text.len - 1] == '=') text.len--;
    wisp_buf_append_str(&padded, text);
    while (padded.len % 4 != 0) wisp_buf_append_char(&padded, '=');
    if (wisp_base64_decode(wisp_buf_str(&padded), &bytes, NULL) < 0)
        return wisp_err_set(err, WISP_ERR_INVALID, "`config_b64` is no base64");
    return read_whole(wisp_buf_str(&bytes), "config_b64", ret_object, err);
}

int wisp_http_settings_read(const struct wisp_settings *settings, json_t **ret_object, struct wisp_err *err)
{
    struct wisp_str whole = wisp_settings_get(settings, "config_json");
    if (whole.len > 0) return read_whole(whole, "config_json", ret_object, err);
    whole = wisp_settings_get(settings, "config_b64");
    if (whole.len > 0) return read_base64(whole, ret_object, err);
    json_t *object = json_object();
    for (size_t i = settings->n; i-- > 0;) { /* of several the first one counts */
        WISP_CLEANUP_FREE char *key = wisp_mem_dup(settings->list[i].key);
        for (char *c = key; *c; c++)
            if (*c >= 'A' && *c <= 'Z') *c = (char)(*c + 'a' - 'A');
        json_object_set_new(object, key, wisp_json_text(settings->list[i].value));
    }
    *ret_object = object;
    return 0;
}

int wisp_http_route_read(struct wisp_http_route *route, const json_t *settings, struct wisp_err *err)
{
    int r = wisp_http_site_read(&route->site, settings, &route->arena, err);
    if (r < 0 || !route->site.tls_cert_path) return r;
    return wisp_http_tls_new(&route->tls, route->site.tls_cert_path, route->site.tls_key_path, err);
}

int wisp_http_address_parse(struct wisp_str text, char *ret_host, size_t host_size, uint16_t *ret_port,
                            struct wisp_err *err)
{
    const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
    uint64_t port;
    if (!colon) return wisp_err_set(err, WISP_ERR_INVALID, "address `%.*s` is not HOST:PORT", WISP_STR_ARG(text));
    struct wisp_str host = {text.ptr, (size_t)(colon - text.ptr)};
    struct wisp_str number = {colon + 1, text.len - host.len - 1};
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = (struct wisp_str){host.ptr + 1, host.len - 2};
    if (host.len == 0 || host.len >= host_size || memchr(host.ptr, '\0', host.len) ||
        wisp_parse_u64(number, UINT16_MAX, &port, NULL) < 0)
        return wisp_err_set(err, WISP_ERR_INVALID, "address `%.*s` is not HOST:PORT", WISP_STR_ARG(text));
    memcpy(ret_host, host.ptr, host.len);
    ret_host[host.len] = '\0';
    *ret_port = (uint16_t)port;
    return 0;
}
