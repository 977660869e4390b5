/* SPDX-License-Identifier: Apache-2.0 */
/* A line with a list of hosts, then authorities that guests ask for. What is allowed is a name and a port and nothing
 * that libcurl could read in another way, and is allowed in capitals and with a dot behind it too. */
#include "capability/http/allowed_hosts.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The host in a URL with this authority is the one that was judged. */
static void check_url(struct wisp_str authority, const struct wisp_http_host *host)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    CURLU *url = curl_url();
    char *name = NULL;
    const char *text = wisp_arena_printf(&arena, "http://%.*s/", WISP_STR_ARG(authority));
    if (!url) abort();
    if (curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_HOST, &name, 0) == CURLUE_OK) {
        struct wisp_str found = wisp_str_from(name);
        if (found.len && found.ptr[found.len - 1] == '.') found.len--;
        if (host->name.ptr[0] != '[' && !wisp_str_equal_nocase(found, host->name)) {
            unsigned a, b, c, d; /* libcurl writes all forms of an IPv4 address in one */
            char rest;
            if (sscanf(name, "%u.%u.%u.%u%c", &a, &b, &c, &d, &rest) != 4) abort();
        }
    }
    curl_free(name);
    curl_url_cleanup(url);
}

static void check(const struct wisp_http_allowed_hosts *allowed, struct wisp_str authority)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_http_host host, same;
    if (!wisp_http_host_parse(authority, &host)) return;
    if (host.name.len == 0 || memchr(host.name.ptr, '\0', host.name.len)) abort();
    check_url(authority, &host);
    bool is_allowed = wisp_http_is_allowed_host(allowed, &host);
    char *capitals = wisp_arena_cstr(&arena, authority);
    for (char *c = capitals; *c; c++)
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
    if (!wisp_http_host_parse(wisp_str_from(capitals), &same) ||
        wisp_http_is_allowed_host(allowed, &same) != is_allowed)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_str text = {(const char *)data, size}, line, rest;
    struct wisp_http_allowed_hosts allowed;
    struct wisp_err err = {0};
    if (!wisp_str_split(text, '\n', &line, &rest)) return 0;
    if (wisp_http_allowed_hosts_read(&allowed, line, &arena, &err) < 0) {
        if (err.kind != WISP_ERR_INVALID) abort();
        return 0;
    }
    while (wisp_str_split(rest, '\n', &line, &rest)) check(&allowed, line);
    check(&allowed, rest);
    return 0;
}
