/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/http/allowed_hosts.h"

enum { ENTRIES_MAX = 1000 };

/* --- names --- */

static bool is_alnum(char c)
{
    char lower = (char)(c | 0x20);
    return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z');
}

static bool is_name(struct wisp_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.ptr[i]) && (text.ptr[i] == '\0' || !strchr("-._", text.ptr[i]))) return false;
    return text.len > 0 && text.ptr[0] != '.';
}

static bool is_ip6(struct wisp_str text)
{
    if (text.len < 4 || text.ptr[0] != '[' || text.ptr[text.len - 1] != ']') return false;
    for (size_t i = 1; i + 1 < text.len; i++) {
        char lower = (char)(text.ptr[i] | 0x20);
        bool is_hex = (text.ptr[i] >= '0' && text.ptr[i] <= '9') || (lower >= 'a' && lower <= 'f');
        if (!is_hex && text.ptr[i] != ':' && text.ptr[i] != '.') return false;
    }
    return true;
}

static bool parse_port(struct wisp_str digits, uint16_t *ret_port)
{
    uint32_t port = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9') return false;
        port = port * 10 + (uint32_t)(digits.ptr[i] - '0');
        if (port > UINT16_MAX) return false;
    }
    *ret_port = (uint16_t)port;
    return port > 0;
}

bool wisp_http_host_parse(struct wisp_str authority, struct wisp_http_host *ret_host)
{
    struct wisp_str name = authority;
    *ret_host = (struct wisp_http_host){0};
    const char *colon = authority.len ? memrchr(authority.ptr, ':', authority.len) : NULL;
    const char *bracket = authority.len ? memrchr(authority.ptr, ']', authority.len) : NULL;
    if (colon && (!bracket || colon > bracket)) {
        name.len = (size_t)(colon - authority.ptr);
        if (!parse_port((struct wisp_str){colon + 1, authority.len - name.len - 1}, &ret_host->port)) return false;
    }
    if (!is_ip6(name) && name.len > 1 && name.ptr[name.len - 1] == '.') name.len--;
    ret_host->name = name;
    return is_name(name) || is_ip6(name);
}

/* --- lists --- */

static struct wisp_str trimmed(struct wisp_str text)
{
    while (text.len && strchr(" \t\n", text.ptr[0])) text = (struct wisp_str){text.ptr + 1, text.len - 1};
    while (text.len && strchr(" \t\n", text.ptr[text.len - 1])) text.len--;
    return text;
}

/* Of a pattern with a star, its name keeps it. */
static bool parse_pattern(struct wisp_str text, struct wisp_http_host *ret_host)
{
    if (wisp_str_is(text, "*")) {
        *ret_host = (struct wisp_http_host){.name = text};
        return true;
    }
    if (!wisp_str_starts_with(text, WISP_STR("*."))) return wisp_http_host_parse(text, ret_host);
    if (!wisp_http_host_parse((struct wisp_str){text.ptr + 2, text.len - 2}, ret_host)) return false;
    ret_host->name = (struct wisp_str){text.ptr, ret_host->name.len + 2};
    return true;
}

int wisp_http_allowed_hosts_read(struct wisp_http_allowed_hosts *ret_allowed, struct wisp_str text,
                                 struct wisp_arena *arena, struct wisp_err *err)
{
    struct wisp_str rest = wisp_arena_str(arena, text), entry;
    size_t n = 1;
    for (size_t i = 0; i < rest.len; i++) n += rest.ptr[i] == ',';
    if (n > ENTRIES_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d allowed hosts", ENTRIES_MAX);
    struct wisp_http_host *list = WISP_NEW_ARRAY(arena, struct wisp_http_host, n);
    *ret_allowed = (struct wisp_http_allowed_hosts){.list = list};
    for (bool is_more = true; is_more;) {
        is_more = wisp_str_split(rest, ',', &entry, &rest);
        entry = trimmed(is_more ? entry : rest);
        if (!entry.len) continue;
        if (!parse_pattern(entry, &list[ret_allowed->n++]))
            return wisp_err_set(err, WISP_ERR_INVALID, "`%.*s` is no host", WISP_STR_ARG(entry));
    }
    return 0;
}

static bool fits_name(struct wisp_str pattern, struct wisp_str name)
{
    if (wisp_str_is(pattern, "*")) return true;
    if (pattern.ptr[0] != '*') return wisp_str_equal_nocase(pattern, name);
    struct wisp_str end = {pattern.ptr + 1, pattern.len - 1}; /* with its dot */
    if (name.len <= end.len) return false;
    return wisp_str_equal_nocase(end, (struct wisp_str){name.ptr + name.len - end.len, end.len});
}

bool wisp_http_is_allowed_host(const struct wisp_http_allowed_hosts *allowed, const struct wisp_http_host *host)
{
    for (size_t i = 0; i < allowed->n; i++) {
        const struct wisp_http_host *pattern = &allowed->list[i];
        if ((!pattern->port || pattern->port == host->port) && fits_name(pattern->name, host->name)) return true;
    }
    return allowed->n == 0;
}
