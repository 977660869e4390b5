/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration of a link to the HTTP server, {"config": {...}, "secrets": {...}}: what is read are texts, and objects
 * of such where settings may be objects. Or an address, when it is no JSON. */
#include "http_server.h"

#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(struct wisp_str text)
{
    char host[64];
    uint16_t port;
    struct wisp_err err = {0};
    if (wisp_http_address_parse(text, host, sizeof host, &port, &err) < 0 ? !err.kind : !host[0]) abort();
}

static void check_settings(const json_t *json)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0}, site_arena = {0};
    WISP_CLEANUP_JSON json_t *object = NULL;
    struct wisp_settings settings;
    struct wisp_http_site site;
    struct wisp_err err = {0};
    const char *key;
    json_t *value;
    const json_t *config = json_object_get(json, "config"), *secrets = json_object_get(json, "secrets");
    if (wisp_settings_read(&settings, config, secrets, &arena, &err) < 0) return;
    if (wisp_http_settings_read(&settings, &object, &err) < 0) return;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value) && !json_is_object(value)) abort();
    }
    (void)!wisp_http_site_read(&site, object, &site_arena, &err);
    check_address(wisp_json_str(object, "address"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WISP_CLEANUP_JSON json_t *json = NULL;
    struct wisp_str text = {(const char *)data, size};
    if (wisp_json_parse(text, &json, NULL) == 0 && json_is_object(json))
        check_settings(json);
    else
        check_address(text);
    return 0;
}
