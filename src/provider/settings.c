/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/settings.h"

#include "base/json.h"
#include "base/parse.h"
#include "nkeys/nkeys.h"

#include <stdlib.h>

/* --- reading --- */

static int refuse(struct wisp_err *err, const char *key, const char *what)
{
    return wisp_err_set(err, WISP_ERR_INVALID, "`%s` %s", key, what);
}

static int read_base64(struct wisp_str text, const char *key, struct wisp_arena *arena, struct wisp_str *ret_value,
                       struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    if (wisp_base64_decode(text, &bytes, NULL) < 0) return refuse(err, key, "has bytes that are no base64");
    *ret_value = wisp_arena_str(arena, wisp_buf_str(&bytes));
    return 0;
}

static int read_numbers(const json_t *numbers, const char *key, struct wisp_arena *arena, struct wisp_str *ret_value,
                        struct wisp_err *err)
{
    size_t n = json_array_size(numbers);
    char *bytes = wisp_arena_alloc(arena, n + 1);
    for (size_t i = 0; i < n; i++) {
        const json_t *number = json_array_get(numbers, i);
        json_int_t value = json_integer_value(number);
        if (!json_is_integer(number) || value < 0 || value > 255) return refuse(err, key, "has bytes that are none");
        bytes[i] = (char)value;
    }
    bytes[n] = '\0';
    *ret_value = (struct wisp_str){bytes, n};
    return 0;
}

static int read_value(const json_t *value, bool is_secret, const char *key, struct wisp_arena *arena,
                      struct wisp_str *ret_value, struct wisp_err *err)
{
    if (is_secret && json_is_object(value)) {
        const json_t *bytes = json_object_get(value, "bytes");
        if (json_is_string(bytes)) return read_base64(wisp_json_str(value, "bytes"), key, arena, ret_value, err);
        value = json_object_get(value, "value");
        if (json_is_array(value)) return read_numbers(value, key, arena, ret_value, err);
    }
    if (!json_is_string(value)) return refuse(err, key, "is no text");
    struct wisp_str text = {json_string_value(value), json_string_length(value)};
    *ret_value = wisp_arena_str(arena, text);
    return 0;
}

static int compare(const void *a, const void *b)
{
    return wisp_str_compare(((const struct wisp_setting *)a)->key, ((const struct wisp_setting *)b)->key);
}

/* In the order of their keys, so that equal settings are equal lists. */
static int read_object(const json_t *object, bool is_secret, struct wisp_arena *arena, struct wisp_setting *list,
                       struct wisp_err *err)
{
    const char *key;
    json_t *value;
    size_t n = 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        struct wisp_setting *setting = &list[n++];
        *setting = (struct wisp_setting){.key = wisp_arena_str(arena, wisp_str_from(key)), .is_secret = is_secret};
        int r = read_value(value, is_secret, key, arena, &setting->value, err);
        if (r < 0) return wisp_err_wrap(err, "%s", is_secret ? "secrets" : "configuration");
    }
    if (n > 0) qsort(list, n, sizeof *list, compare);
    return 0;
}

int wisp_settings_read(struct wisp_settings *ret_settings, const json_t *config, const json_t *secrets,
                       struct wisp_arena *arena, struct wisp_err *err)
{
    if (config && !json_is_object(config) && !json_is_null(config))
        return wisp_err_set(err, WISP_ERR_INVALID, "the configuration is no object");
    if (secrets && !json_is_object(secrets) && !json_is_null(secrets))
        return wisp_err_set(err, WISP_ERR_INVALID, "the secrets are no object");
    size_t n_secrets = json_object_size(secrets), n = n_secrets + json_object_size(config);
    struct wisp_setting *list = WISP_NEW_ARRAY(arena, struct wisp_setting, n);
    int r = read_object(secrets, true, arena, list, err);
    if (r == 0) r = read_object(config, false, arena, list + n_secrets, err);
    if (r < 0) return r;
    *ret_settings = (struct wisp_settings){list, n};
    return 0;
}

/* --- using --- */

struct wisp_str wisp_settings_get(const struct wisp_settings *settings, const char *key)
{
    struct wisp_str wanted = wisp_str_from(key);
    for (size_t i = 0; i < settings->n; i++)
        if (wisp_str_equal_nocase(settings->list[i].key, wanted)) return settings->list[i].value;
    return (struct wisp_str){0};
}

bool wisp_settings_equal(const struct wisp_settings *a, const struct wisp_settings *b)
{
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct wisp_setting *x = &a->list[i], *y = &b->list[i];
        if (x->is_secret != y->is_secret || !wisp_str_equal(x->key, y->key) || !wisp_str_equal(x->value, y->value))
            return false;
    }
    return true;
}

int wisp_settings_bool(const struct wisp_settings *settings, const char *key, bool otherwise, bool *ret_value,
                       struct wisp_err *err)
{
    static const struct {
        struct wisp_str text;
        bool value;
    } words[] = {{WISP_STR_INIT("true"), true}, {WISP_STR_INIT("false"), false}, {WISP_STR_INIT("yes"), true},
                 {WISP_STR_INIT("no"), false},  {WISP_STR_INIT("1"), true},      {WISP_STR_INIT("0"), false}};
    struct wisp_str text = wisp_settings_get(settings, key);
    if (!text.ptr) {
        *ret_value = otherwise;
        return 0;
    }
    for (size_t i = 0; i < WISP_COUNT(words); i++) {
        if (!wisp_str_equal_nocase(text, words[i].text)) continue;
        *ret_value = words[i].value;
        return 0;
    }
    return refuse(err, key, "is neither true nor false");
}

int wisp_settings_uint(const struct wisp_settings *settings, const char *key, uint64_t otherwise, uint64_t *ret_value,
                       struct wisp_err *err)
{
    struct wisp_str text = wisp_settings_get(settings, key);
    if (!text.ptr) {
        *ret_value = otherwise;
        return 0;
    }
    return wisp_parse_u64(text, UINT64_MAX, ret_value, NULL) < 0 ? refuse(err, key, "is no number") : 0;
}
