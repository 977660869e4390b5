/* SPDX-License-Identifier: Apache-2.0 */
/* `config_json` or `config_b64` (the same in base64), `BUCKET_REGION`, `alias_NAME`. */
#include "base/json.h"
#include "capability/blobstore/s3_priv.h"
#include "nkeys/nkeys.h"

#include <stdlib.h>

enum { ATTEMPTS = 3, ATTEMPTS_MAX = 20 };

static char *text_of(const json_t *json, const char *key, struct wisp_arena *arena)
{
    struct wisp_str text = wisp_json_str(json, key);
    return text.len ? wisp_arena_cstr(arena, text) : NULL;
}

/* NULL when there is none; the object is the caller's. */
static int read_json(const struct wisp_settings *settings, json_t **ret_json, struct wisp_err *err)
{
    struct wisp_buf decoded = {0};
    struct wisp_str text = wisp_settings_get(settings, "config_json"), coded;
    const char *key = "config_json";
    int r = 0;
    *ret_json = NULL;
    if (!text.ptr && (coded = wisp_settings_get(settings, "config_b64")).ptr) {
        key = "config_b64";
        if (wisp_base64_decode(coded, &decoded, NULL) < 0)
            r = wisp_err_set(err, WISP_ERR_INVALID, "`config_b64` is no base64");
        text = wisp_buf_str(&decoded);
    }
    if (r == 0 && text.len && wisp_json_parse(text, ret_json, NULL) < 0)
        r = wisp_err_set(err, WISP_ERR_INVALID, "`%s` is no JSON", key);
    if (r == 0 && *ret_json && !json_is_object(*ret_json))
        r = wisp_err_set(err, WISP_ERR_INVALID, "`%s` is no object", key);
    wisp_buf_wipe(&decoded);
    return r;
}

/* --- aliases --- */

static size_t count_aliases(const struct wisp_settings *settings, const json_t *aliases)
{
    return settings->n + json_object_size(aliases);
}

/* Settings count before those of the JSON. */
static void read_aliases(const struct wisp_settings *settings, json_t *aliases, struct wisp_arena *arena,
                         struct wisp_s3_config *config)
{
    struct wisp_s3_alias *list = WISP_NEW_ARRAY(arena, struct wisp_s3_alias, count_aliases(settings, aliases));
    struct wisp_str prefix = WISP_STR("alias_");
    const char *key;
    json_t *value;
    size_t n = 0;
    for (size_t i = 0; i < settings->n; i++) {
        struct wisp_str name = settings->list[i].key;
        if (name.len <= prefix.len || !wisp_str_same_letters(name.ptr, prefix.ptr, prefix.len)) continue;
        struct wisp_str alias = {name.ptr + prefix.len, name.len - prefix.len};
        list[n++] =
            (struct wisp_s3_alias){wisp_arena_str(arena, alias), wisp_arena_str(arena, settings->list[i].value)};
    }
    json_object_foreach(aliases, key, value)
    {
        if (!json_is_string(value)) continue;
        list[n++] = (struct wisp_s3_alias){wisp_arena_str(arena, wisp_str_from(key)),
                                           wisp_arena_str(arena, wisp_str_from(json_string_value(value)))};
    }
    config->aliases = list;
    config->n_aliases = n;
}

static const struct wisp_s3_alias *find_alias(const struct wisp_s3_config *config, struct wisp_str name)
{
    for (size_t i = 0; i < config->n_aliases; i++)
        if (wisp_str_equal(config->aliases[i].name, name)) return &config->aliases[i];
    return NULL;
}

struct wisp_str wisp_s3_bucket(const struct wisp_s3_config *config, struct wisp_str container)
{
    struct wisp_str prefix = WISP_STR("alias_");
    const struct wisp_s3_alias *alias = find_alias(config, container);
    if (!alias && wisp_str_starts_with(container, prefix))
        alias = find_alias(config, (struct wisp_str){container.ptr + prefix.len, container.len - prefix.len});
    return alias ? alias->bucket : container;
}

/* --- all of it --- */

static const char *first(const char *a, const char *b) { return a ? a : b; }

static char *setting(const struct wisp_settings *settings, const char *key, struct wisp_arena *arena)
{
    struct wisp_str value = wisp_settings_get(settings, key);
    return value.len ? wisp_arena_cstr(arena, value) : NULL;
}

static bool is_word(const char *text)
{
    for (; text && *text; text++)
        if ((unsigned char)*text <= ' ' || (unsigned char)*text > '~') return false;
    return true;
}

static int read_keys(const json_t *json, struct wisp_arena *arena, struct wisp_s3_config *config, struct wisp_err *err)
{
    if (json_is_object(json_object_get(json, "sts_config")))
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "`sts_config`: roles can't be assumed");
    config->access_key = text_of(json, "access_key_id", arena);
    config->secret_key = text_of(json, "secret_access_key", arena);
    config->session_token = text_of(json, "session_token", arena);
    if (!config->access_key || !config->secret_key)
        return wisp_err_set(err, WISP_ERR_INVALID, "`config_json` needs `access_key_id` and `secret_access_key`");
    if (!is_word(config->access_key) || !is_word(config->session_token))
        return wisp_err_set(err, WISP_ERR_INVALID, "`access_key_id` or `session_token` can't be sent");
    return 0;
}

int wisp_s3_config_read(const struct wisp_settings *settings, struct wisp_arena *arena,
                        struct wisp_s3_config *ret_config, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *json = NULL;
    struct wisp_s3_config config = {0};
    int r = read_json(settings, &json, err);
    if (r == 0) r = read_keys(json, arena, &config, err);
    if (r < 0) return r;
    config.region = first(text_of(json, "region", arena), "us-east-1");
    config.bucket_region = first(setting(settings, "bucket_region", arena), text_of(json, "bucket_region", arena));
    if (!is_word(config.region) || !is_word(config.bucket_region) || strpbrk(config.region, "/,<&"))
        return wisp_err_set(err, WISP_ERR_INVALID, "`region` or `bucket_region` is none");
    uint64_t attempts = wisp_json_u64(json, "max_attempts", ATTEMPTS);
    config.n_attempts_max = attempts < 1 ? 1 : attempts > ATTEMPTS_MAX ? ATTEMPTS_MAX : (unsigned)attempts;
    read_aliases(settings, json_object_get(json, "aliases"), arena, &config);
    const char *endpoint = text_of(json, "endpoint", arena);
    if (!endpoint) endpoint = wisp_arena_printf(arena, "https://s3.%s.amazonaws.com", config.region);
    r = wisp_rest_endpoint_read(endpoint, "endpoint", arena, &config.endpoint, err);
    if (r == 0) *ret_config = config;
    return r;
}
