/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes may stand where in a message. */
#pragma once

#include "base/str.h"

enum wisp_http_chars {
    WISP_HTTP_TOKEN = 1,     /* methods and header names */
    WISP_HTTP_TARGET = 2,    /* visible ASCII without '#': a fragment is never sent */
    WISP_HTTP_AUTHORITY = 4, /* host and port; no '@': no user information */
    WISP_HTTP_VALUE = 8,     /* header values: no control characters but tab */
};

/* The kinds that each byte belongs to, or-ed. */
extern const unsigned char wisp_http_chars[256];
/* True for an empty string. */
bool wisp_http_is_all(struct wisp_str s, enum wisp_http_chars kind);
/* ASCII letters in place; other bytes stay. */
void wisp_http_to_lower(char *text, size_t size);
