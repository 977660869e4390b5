/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/vault_wire.h"

#include "base/json.h"

#include <string.h>

int wisp_vault_error(long status, struct wisp_str body, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *answer = NULL;
    (void)!wisp_json_parse(body, &answer, NULL);
    const json_t *first = json_array_get(json_object_get(answer, "errors"), 0);
    WISP_CLEANUP_FREE char *text = wisp_mem_dup(wisp_str_from(json_string_value(first)));
    for (size_t n = strlen(text); n; n--) { /* of several lines */
        if ((unsigned char)text[n - 1] < ' ') text[n - 1] = ' ';
        if (text[n - 1] == ' ' && !text[n]) text[n - 1] = '\0';
    }
    enum wisp_err_kind kind = status == 403 ? WISP_ERR_DENIED : status >= 500 ? WISP_ERR_UNAVAILABLE : WISP_ERR_INVALID;
    return wisp_err_set(err, kind, "Vault answered %ld%s%s", status, *text ? ": " : "", text);
}

int wisp_vault_wrong_version(long status, struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_INVALID, "Vault answered %ld: the mount is no KV version 2", status);
}

/* A 404 has texts when something else than the secret is missing. */
static bool is_none(long status, const json_t *answer)
{
    return status == 404 && !json_array_size(json_object_get(answer, "errors"));
}

int wisp_vault_read(long status, struct wisp_str body, json_t **ret_fields, uint64_t *ret_version, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *answer = NULL;
    *ret_fields = NULL;
    *ret_version = 0;
    if (status != 200 && status != 404) return wisp_vault_error(status, body, err);
    if (wisp_json_parse(body, &answer, NULL) < 0) /* whose message might quote what is secret */
        return wisp_err_set(err, WISP_ERR_INVALID, "answer of Vault is not JSON");
    const json_t *data = json_object_get(answer, "data");
    json_t *fields = json_object_get(data, "data");
    if (status == 404 && !is_none(status, answer)) return wisp_vault_error(status, body, err);
    if (status == 200 && !json_is_object(data))
        return wisp_err_set(err, WISP_ERR_INVALID, "answer of Vault is no secret");
    if (status == 200 && !json_is_object(json_object_get(data, "metadata")))
        return wisp_vault_wrong_version(status, err);
    *ret_version = wisp_json_u64(json_object_get(data, "metadata"), "version", 0);
    *ret_fields = status == 200 && json_is_object(fields) ? json_incref(fields) : json_object();
    return 0;
}

bool wisp_vault_append_path(struct wisp_str path, struct wisp_buf *url)
{
    for (size_t i = 0, start = 0; i <= path.len; i++) {
        if (i < path.len && path.ptr[i] != '/') continue;
        struct wisp_str segment = {path.ptr + start, i - start};
        if (!segment.len || wisp_str_is(segment, ".") || wisp_str_is(segment, "..")) return false;
        start = i + 1;
    }
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i], lower = c | 0x20;
        bool is_plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~/", c));
        if (is_plain)
            wisp_buf_append_char(url, (char)c);
        else
            wisp_buf_printf(url, "%%%02X", c);
    }
    return true;
}

bool wisp_vault_is_plain(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~' || strchr("?#\"\\", *text)) return false;
    return true;
}
