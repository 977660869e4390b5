/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the chunked coding off a body, in place and in pieces as they come, up to where the trailers begin. */
#pragma once

#include "http/head.h"

struct wisp_http_chunked {
    llhttp_t parser;
    char *out; /* where the next decoded byte goes; within the run that is being decoded, at or before its input */
    const char *mark; /* end of the data seen last in this run */
    size_t overhead;  /* bytes of framing since the last data */
};

void wisp_http_chunked_init(struct wisp_http_chunked *chunked, const struct wisp_http_parsers *parsers);

enum wisp_http_chunked_result {
    WISP_HTTP_CHUNKED_MORE, /* all input was used */
    WISP_HTTP_CHUNKED_LAST, /* the last chunk's line was read; *ret_used tells where the trailers begin */
    WISP_HTTP_CHUNKED_BAD,  /* malformed, or a chunk with an oversized line */
};

/* Decodes input[0..size), moving data down to `out` <= input; *ret_out is the end of the data there then. */
enum wisp_http_chunked_result wisp_http_chunked_decode(struct wisp_http_chunked *chunked, char *out, char *input,
                                                       size_t size, char **ret_out, size_t *ret_used);

/* Callbacks for wisp_http_parsers.chunk_settings. */
void wisp_http_chunked_settings(llhttp_settings_t *settings);
