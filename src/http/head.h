/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a request: where it ends, what it says, how its body is framed. Pure functions over bytes.
 *
 * Reading happens in two passes. The scan looks only at line ends and finds the end of the head however the bytes
 * trickle in; it refuses what other readers might take for a line end (bare LF) and folded lines. The parse then sees
 * the whole head at once, in one piece of memory: the request line is read here (llhttp knows only its own list of
 * methods and is lenient about blanks and versions), the header fields by llhttp in strict mode. Both must agree on
 * where the head ends, so a request that two readers could see differently is refused. */
#pragma once

#include "http/http.h"

#include <llhttp.h>

/* --- scan --- */

/* Zeroed at the beginning of a head. Offsets are relative to the first byte of the head. */
struct wisp_http_scan {
    size_t line_start; /* of the line that is incomplete yet */
    size_t seen;       /* bytes after line_start known to hold no LF */
};

enum wisp_http_scan_result { WISP_HTTP_SCAN_MORE, WISP_HTTP_SCAN_DONE, WISP_HTTP_SCAN_BAD };

/* Looks for the empty line that ends a head (or trailers) in bytes[0..size), which begin with the bytes of the earlier
 * calls for the same head. DONE: scan->line_start is the size of the head including its empty line. */
enum wisp_http_scan_result wisp_http_scan(struct wisp_http_scan *scan, const char *bytes, size_t size);

/* --- parse --- */

/* llhttp in the two states from which its work here begins. Copied for each use, which costs less than parsing a
 * made-up request line. */
struct wisp_http_parsers {
    llhttp_settings_t field_settings, chunk_settings;
    llhttp_t at_fields; /* just behind a request line */
    llhttp_t at_chunks; /* at the first chunk of a body */
};
/* The struct refers to itself: it stays where it was initialised. */
void wisp_http_parsers_init(struct wisp_http_parsers *parsers);

struct wisp_http_head_limits {
    size_t target_bytes_max, headers_max;
};

enum wisp_http_framing { WISP_HTTP_NO_BODY, WISP_HTTP_SIZED, WISP_HTTP_CHUNKED };

struct wisp_http_head {
    struct wisp_str method, target, authority;
    uint8_t version_minor;
    enum wisp_http_framing framing;
    uint64_t content_length; /* 0 unless SIZED */
    bool keep_alive;
    bool expects_continue;
    size_t n_headers;
};

/* Parses a head that the scan found complete: `size` bytes including the empty line. Names are lowered in place and the
 * results are views of `bytes`. `headers` has room for limits->headers_max. Returns 0, or the status of the error
 * response: 400, 414, 417, 431, 501 or 505. */
int wisp_http_head_parse(const struct wisp_http_parsers *parsers, const struct wisp_http_head_limits *limits,
                         char *bytes, size_t size, struct wisp_http_header *headers, struct wisp_http_head *ret_head);

/* The same for the fields after the last chunk; those that belong to a head (framing, host) are refused. */
int wisp_http_trailers_parse(const struct wisp_http_parsers *parsers, const struct wisp_http_head_limits *limits,
                             char *bytes, size_t size, struct wisp_http_header *trailers, size_t *ret_n);
