/* SPDX-License-Identifier: Apache-2.0 */
#include "http/chunked.h"

#include <string.h>

/* Between two pieces of data: a size of 16 digits, extensions that somebody may really use, line ends. Without a limit
 * a client could send for ever and never be counted as sending a body. */
enum { OVERHEAD_BYTES_MAX = 512 };

static struct wisp_http_chunked *chunked_of(llhttp_t *parser) { return parser->data; }

/* Counts the framing up to `at`; false when there is too much of it. */
static bool count_overhead(struct wisp_http_chunked *chunked, const char *at)
{
    chunked->overhead += (size_t)(at - chunked->mark);
    chunked->mark = at;
    return chunked->overhead <= OVERHEAD_BYTES_MAX;
}

static int on_data(llhttp_t *parser, const char *at, size_t size)
{
    struct wisp_http_chunked *chunked = chunked_of(parser);
    if (!count_overhead(chunked, at)) return HPE_USER;
    if (chunked->out != at) memmove(chunked->out, at, size);
    chunked->out += size;
    chunked->mark = at + size;
    chunked->overhead = 0;
    return 0;
}

/* Trailers are read like a head (see http/head.h), so llhttp stops before them. */
static int on_chunk_line(llhttp_t *parser) { return parser->content_length == 0 ? HPE_PAUSED : 0; }

void wisp_http_chunked_settings(llhttp_settings_t *settings)
{
    llhttp_settings_init(settings);
    settings->on_body = on_data;
    settings->on_chunk_header = on_chunk_line;
}

void wisp_http_chunked_init(struct wisp_http_chunked *chunked, const struct wisp_http_parsers *parsers)
{
    chunked->parser = parsers->at_chunks;
    chunked->overhead = 0;
}

enum wisp_http_chunked_result wisp_http_chunked_decode(struct wisp_http_chunked *chunked, char *out, char *input,
                                                       size_t size, char **ret_out, size_t *ret_used)
{
    chunked->parser.data = chunked;
    chunked->out = out;
    chunked->mark = input;
    llhttp_errno_t error = llhttp_execute(&chunked->parser, input, size);
    *ret_out = chunked->out;
    *ret_used = size;
    if (error == HPE_OK) return count_overhead(chunked, input + size) ? WISP_HTTP_CHUNKED_MORE : WISP_HTTP_CHUNKED_BAD;
    if (error != HPE_PAUSED) return WISP_HTTP_CHUNKED_BAD;
    const char *trailers = llhttp_get_error_pos(&chunked->parser);
    *ret_used = (size_t)(trailers - input);
    return count_overhead(chunked, trailers) ? WISP_HTTP_CHUNKED_LAST : WISP_HTTP_CHUNKED_BAD;
}
