/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

/* jansson recurses; its own limit (2048) is deeper than anybody's message and than what later walks should face. */
static bool is_too_deep(struct wisp_str text)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > WISP_JSON_DEPTH_MAX) return true;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return false;
}

int wisp_json_parse(struct wisp_str text, json_t **ret_value, struct wisp_err *err)
{
    *ret_value = NULL;
    if (text.len > WISP_JSON_SIZE_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "JSON of %zu bytes is larger than %d", text.len, WISP_JSON_SIZE_MAX);
    if (is_too_deep(text))
        return wisp_err_set(err, WISP_ERR_LIMIT, "JSON is nested deeper than %d", WISP_JSON_DEPTH_MAX);
    json_error_t where;
    *ret_value = json_loadb(text.len ? text.ptr : "", text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
    if (*ret_value) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "not valid JSON, line %d column %d: %s", where.line, where.column,
                        where.text);
}

static int append(const char *bytes, size_t size, void *out)
{
    wisp_buf_append(out, bytes, size);
    return 0;
}

void wisp_json_print(const json_t *value, struct wisp_buf *out)
{
    json_dump_callback(value, append, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

void wisp_json_freep(json_t **value)
{
    json_decref(*value);
    *value = NULL;
}

json_t *wisp_json_text(struct wisp_str text)
{
    if (wisp_str_is_utf8(text)) return json_stringn_nocheck(text.len ? text.ptr : "", text.len);
    WISP_CLEANUP_BUF struct wisp_buf clean = {0};
    for (size_t i = 0; i < text.len;) {
        size_t n = text.len - i < 4 ? text.len - i : 4;
        while (n && !wisp_str_is_utf8((struct wisp_str){text.ptr + i, n})) n--;
        if (n)
            wisp_buf_append(&clean, text.ptr + i, n);
        else
            wisp_buf_append(&clean, "\xef\xbf\xbd", 3);
        i += n ? n : 1;
    }
    return json_stringn_nocheck(clean.data, clean.len);
}

struct wisp_str wisp_json_str(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return (struct wisp_str){json_string_value(value), json_string_length(value)};
}

uint64_t wisp_json_u64(const json_t *object, const char *key, uint64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) && json_integer_value(value) >= 0 ? (uint64_t)json_integer_value(value) : fallback;
}

bool wisp_json_bool(const json_t *object, const char *key, bool fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}
