/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of an HTTP server as links have them: lines KEY=VALUE, or a JSON object. Whatever is accepted can be put
 * into the headers of a response. */
#include "http/site.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header_value(struct wisp_str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.ptr[i] < 0x20 && value.ptr[i] != '\t') || value.ptr[i] == 0x7f) abort();
}

static json_t *settings_of(struct wisp_str text)
{
    json_t *settings = NULL;
    struct wisp_str line, key, value;
    if (wisp_json_parse(text, &settings, NULL) == 0 && json_is_object(settings)) return settings;
    json_decref(settings);
    settings = json_object();
    for (bool more = true; more;) {
        more = wisp_str_split(text, '\n', &line, &text);
        if (!more) line = text;
        if (wisp_str_split(line, '=', &key, &value))
            json_object_setn_new(settings, key.ptr, key.len, wisp_json_text(value));
    }
    return settings;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_JSON json_t *settings = settings_of((struct wisp_str){(const char *)data, size});
    struct wisp_http_site site;
    struct wisp_err err = {0};
    int r = wisp_http_site_read(&site, settings, &arena, &err);
    if (r < 0 && (!err.kind || !err.text[0])) abort();
    if (r < 0) return 0;
    check_header_value(site.cache_control);
    check_header_value(site.cors.allow_headers);
    check_header_value(site.cors.allow_methods);
    check_header_value(site.cors.expose_headers);
    check_header_value(site.cors.max_age);
    if (site.cors.n_origins > WISP_HTTP_SITE_LIST_MAX) abort();
    for (size_t i = 0; i < site.cors.n_origins; i++)
        if (site.cors.origins[i].len == 0) abort();
    if (!site.tls_cert_path != !site.tls_key_path) abort();
    return 0;
}
