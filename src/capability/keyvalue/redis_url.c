/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/redis_url.h"

#include "base/parse.h"

#include <stdlib.h>

enum { URL_MAX = 4096, DEFAULT_PORT = 6379 };

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f') return (c | 32) - 'a' + 10;
    return -1;
}

/* NULL when it is malformed or holds a NUL. */
static char *decode(struct wisp_str text)
{
    char *out = wisp_mem_alloc(text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int byte = (unsigned char)text.ptr[i];
        if (byte == '%') {
            bool is_whole = text.len - i > 2;
            int high = is_whole ? hex(text.ptr[i + 1]) : -1, low = is_whole ? hex(text.ptr[i + 2]) : -1;
            byte = high >= 0 && low >= 0 ? high * 16 + low : 0;
            i += 2;
        }
        if (byte == 0) {
            free(out);
            return NULL;
        }
        out[n++] = (char)byte;
    }
    out[n] = '\0';
    return out;
}

static int malformed(struct wisp_err *err, const char *what)
{
    return wisp_err_set(err, WISP_ERR_INVALID,
                        "%s is malformed; expected redis[s]://[USER[:PASSWORD]@]HOST[:PORT][/DB]", what);
}

static int parse_credentials(struct wisp_str text, struct wisp_redis_address *address, struct wisp_err *err)
{
    struct wisp_str user = text, password;
    if (wisp_str_split(text, ':', &user, &password) && !(address->password = decode(password)))
        return malformed(err, "the password of the URL");
    if (user.len && !(address->user = decode(user))) return malformed(err, "the user of the URL");
    return 0;
}

static int parse_host(struct wisp_str text, struct wisp_redis_address *address, struct wisp_err *err)
{
    struct wisp_str host = text, port = {0};
    if (text.len && text.ptr[0] == '[') {
        struct wisp_str rest;
        if (!wisp_str_split((struct wisp_str){text.ptr + 1, text.len - 1}, ']', &host, &rest) ||
            (rest.len && rest.ptr[0] != ':'))
            return malformed(err, "the host of the URL");
        if (rest.len) port = (struct wisp_str){rest.ptr + 1, rest.len - 1};
    } else {
        wisp_str_split(text, ':', &host, &port);
    }
    uint64_t number = DEFAULT_PORT;
    if (port.len && (wisp_parse_u64(port, UINT16_MAX, &number, NULL) < 0 || number == 0))
        return malformed(err, "the port of the URL");
    address->port = (uint16_t)number;
    address->host = host.len ? decode(host) : NULL;
    return address->host ? 0 : malformed(err, "the host of the URL");
}

int wisp_redis_address_parse(struct wisp_str url, struct wisp_redis_address *ret_address, struct wisp_err *err)
{
    *ret_address = (struct wisp_redis_address){0};
    struct wisp_str scheme, rest, authority, path = {0}, credentials;
    if (url.len > URL_MAX || !wisp_str_split(url, ':', &scheme, &rest) || !wisp_str_starts_with(rest, WISP_STR("//")))
        return malformed(err, "the URL");
    ret_address->is_tls = wisp_str_is(scheme, "rediss");
    if (!ret_address->is_tls && !wisp_str_is(scheme, "redis")) return malformed(err, "the scheme of the URL");
    authority = rest = (struct wisp_str){rest.ptr + 2, rest.len - 2};
    wisp_str_split(rest, '/', &authority, &path);
    uint64_t db = 0;
    if (path.len && wisp_parse_u64(path, INT32_MAX, &db, NULL) < 0) return malformed(err, "the database of the URL");
    ret_address->db = (uint32_t)db;
    /* The last `@`: passwords that somebody forgot to encode may hold one. */
    const char *at = authority.len ? memrchr(authority.ptr, '@', authority.len) : NULL;
    if (at) {
        credentials = (struct wisp_str){authority.ptr, (size_t)(at - authority.ptr)};
        authority = (struct wisp_str){at + 1, authority.len - credentials.len - 1};
        int r = parse_credentials(credentials, ret_address, err);
        if (r < 0) return r;
    }
    return parse_host(authority, ret_address, err);
}

void wisp_redis_address_deinit(struct wisp_redis_address *address)
{
    free(address->host);
    free(address->user);
    wisp_mem_wipe(address->password);
    *address = (struct wisp_redis_address){0};
}
