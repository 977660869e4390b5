/* SPDX-License-Identifier: Apache-2.0 */
/* Names in the lattice of what a manifest names. */
#include "app/manifest.h"

#include "base/json.h"

#include <stdlib.h>

static void append_word(struct wisp_buf *out, struct wisp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        bool stays = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if ((unsigned char)c >= 0x80 && (unsigned char)c < 0xc0) continue; /* the rest of a character */
        wisp_buf_append_char(out, stays ? c : '_');
    }
}

struct wisp_str wisp_app_make_id(struct wisp_arena *arena, struct wisp_str app, struct wisp_str component)
{
    WISP_CLEANUP_BUF struct wisp_buf id = {0};
    append_word(&id, app);
    wisp_buf_append_char(&id, '-');
    append_word(&id, component);
    return wisp_arena_str(arena, wisp_buf_str(&id));
}

struct wisp_str wisp_app_config_name(struct wisp_arena *arena, struct wisp_str app,
                                     const struct wisp_app_config *config)
{
    return config->properties ? wisp_app_make_id(arena, app, config->name) : config->name;
}

struct wisp_str wisp_app_secret_name(struct wisp_arena *arena, struct wisp_str app,
                                     const struct wisp_app_secret *secret)
{
    struct wisp_str id = wisp_app_make_id(arena, app, secret->name);
    return wisp_str_from(wisp_arena_printf(arena, "SECRET_%.*s", WISP_STR_ARG(id)));
}

/* The policy goes along as a text of JSON. */
static json_t *policy_text(const struct wisp_app_policy *policy)
{
    WISP_CLEANUP_JSON json_t *whole = json_object();
    json_t *properties = json_copy(policy->properties);
    json_object_del(properties, "backend");
    json_object_set_new(whole, "type", json_string("properties.secret.wasmcloud.dev/v1alpha1"));
    json_object_set_new(whole, "properties", properties);
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(whole, &text);
    return json_stringn(text.data, text.len);
}

json_t *wisp_app_secret_config(const struct wisp_app_manifest *manifest, const struct wisp_app_secret *secret)
{
    const struct wisp_app_policy *policy = NULL;
    for (size_t i = 0; i < manifest->n_policies; i++)
        if (wisp_str_equal(manifest->policies[i].name, secret->policy)) policy = &manifest->policies[i];
    if (!policy) return NULL;
    json_t *config = json_object();
    json_object_set_new(config, "name", wisp_json_text(secret->name));
    json_object_set_new(config, "type", json_string("secret.wasmcloud.dev/v1alpha1"));
    json_object_set_new(config, "backend", wisp_json_text(wisp_json_str(policy->properties, "backend")));
    json_object_set_new(config, "key", wisp_json_text(secret->key));
    if (secret->field.len) json_object_set_new(config, "field", wisp_json_text(secret->field));
    if (secret->version.len) json_object_set_new(config, "version", wisp_json_text(secret->version));
    json_object_set_new(config, "policy", policy_text(policy));
    return config;
}
