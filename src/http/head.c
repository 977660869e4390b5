/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include "http/chars.h"
#include "http/chunked.h"

#include <assert.h>
#include <string.h>

/* A method longer than any that exists is refused before anything is done with it. */
enum { METHOD_BYTES_MAX = 64 };

/* --- scan --- */

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

enum wisp_http_scan_result wisp_http_scan(struct wisp_http_scan *scan, const char *bytes, size_t size)
{
    for (;;) {
        const char *line = bytes + scan->line_start;
        size_t left = size - scan->line_start;
        /* A line that begins with a blank continues the one before it in an obsolete syntax. */
        if (left > 0 && is_blank(*line)) return WISP_HTTP_SCAN_BAD;
        const char *lf = left > scan->seen ? memchr(line + scan->seen, '\n', left - scan->seen) : NULL;
        if (!lf) {
            scan->seen = left;
            return WISP_HTTP_SCAN_MORE;
        }
        if (lf == line || lf[-1] != '\r') return WISP_HTTP_SCAN_BAD;
        scan->line_start = (size_t)(lf + 1 - bytes);
        scan->seen = 0;
        if (lf - line == 1) return WISP_HTTP_SCAN_DONE;
    }
}

/* --- request line --- */

static bool is(char c, enum wisp_http_chars kind) { return wisp_http_chars[(unsigned char)c] & kind; }

/* "http://host:port/path?query", as clients send it to a proxy: splits off the authority. The path may be missing;
 * then a slash is put where the bytes of "//" are free. */
static int split_absolute_target(char *target, size_t size, struct wisp_http_head *head)
{
    size_t scheme_size = size >= 8 && wisp_str_equal_nocase((struct wisp_str){target, 8}, WISP_STR("https://"))  ? 8
                         : size >= 7 && wisp_str_equal_nocase((struct wisp_str){target, 7}, WISP_STR("http://")) ? 7
                                                                                                                 : 0;
    if (scheme_size == 0) return 400;
    char *authority = target + scheme_size, *end = target + size;
    size_t authority_size = 0;
    while (authority + authority_size < end && authority[authority_size] != '/' && authority[authority_size] != '?')
        authority_size++;
    if (authority_size == 0) return 400;
    char *path = authority + authority_size;
    if (path == end || *path == '?') {
        memmove(authority - 1, authority, authority_size);
        authority--;
        *--path = '/';
    }
    head->authority = (struct wisp_str){authority, authority_size};
    head->target = (struct wisp_str){path, (size_t)(end - path)};
    return wisp_http_is_all(head->authority, WISP_HTTP_AUTHORITY) ? 0 : 400;
}

static int check_target(char *target, size_t size, struct wisp_http_head *head)
{
    head->target = (struct wisp_str){target, size};
    head->authority = (struct wisp_str){NULL, 0};
    /* A tunnel is not this server's business. */
    if (wisp_str_equal(head->method, WISP_STR("CONNECT"))) return 501;
    if (target[0] == '/') return 0;
    if (size == 1 && target[0] == '*') return wisp_str_equal(head->method, WISP_STR("OPTIONS")) ? 0 : 400;
    return split_absolute_target(target, size, head);
}

static int parse_version(const char *text, size_t size, struct wisp_http_head *head)
{
    if (size != 8 || memcmp(text, "HTTP/", 5) != 0 || text[6] != '.') return 400;
    if (text[5] < '0' || text[5] > '9' || text[7] < '0' || text[7] > '9') return 400;
    if (text[5] != '1' || text[7] > '1') return 505;
    head->version_minor = (uint8_t)(text[7] - '0');
    return 0;
}

/* `line` holds `size` bytes without CR LF. */
static int parse_request_line(char *line, size_t size, size_t target_bytes_max, struct wisp_http_head *head)
{
    size_t i = 0;
    while (i < size && is(line[i], WISP_HTTP_TOKEN)) i++;
    if (i == 0 || i == size || line[i] != ' ') return 400;
    if (i > METHOD_BYTES_MAX) return 501;
    head->method = (struct wisp_str){line, i};

    char *target = line + i + 1, *end = line + size, *p = target;
    while (p < end && is(*p, WISP_HTTP_TARGET)) p++;
    if (p == target || p == end || *p != ' ') return 400;
    int status = parse_version(p + 1, (size_t)(end - p - 1), head);
    if (status != 0) return status;
    size_t target_size = (size_t)(p - target);
    return target_size > target_bytes_max ? 414 : check_target(target, target_size, head);
}

/* --- fields --- */

/* What one run of llhttp over a block of fields collects. */
struct fields {
    struct wisp_http_header *headers;
    size_t n, max;
    int status; /* why a callback stopped the run; 0: llhttp did */
    size_t n_host, n_transfer_encoding, n_expect;
    size_t host, transfer_encoding, expect; /* index of the last one */
};

/* Remembers the headers that the server itself needs. */
static void note_special(struct fields *fields, struct wisp_str name)
{
    switch (name.len) {
    case 4:
        if (memcmp(name.ptr, "host", 4) != 0) return;
        fields->n_host++;
        fields->host = fields->n - 1;
        return;
    case 6:
        if (memcmp(name.ptr, "expect", 6) != 0) return;
        fields->n_expect++;
        fields->expect = fields->n - 1;
        return;
    case 17:
        if (memcmp(name.ptr, "transfer-encoding", 17) != 0) return;
        fields->n_transfer_encoding++;
        fields->transfer_encoding = fields->n - 1;
        return;
    default:
        return;
    }
}

static int stop_with(struct fields *fields, int status)
{
    fields->status = status;
    return HPE_USER;
}

static int on_name(llhttp_t *parser, const char *at, size_t size)
{
    struct fields *fields = parser->data;
    if (size == 0) return stop_with(fields, 400);
    if (fields->n == fields->max) return stop_with(fields, 431);
    /* The block is ours to change (wisp_http_head_parse takes it as char *); only llhttp calls it const. */
    char *name = (char *)(uintptr_t)at;
    wisp_http_to_lower(name, size);
    struct wisp_http_header *header = &fields->headers[fields->n++];
    header->name = (struct wisp_str){name, size};
    header->value = (struct wisp_str){name + size, 0};
    note_special(fields, header->name);
    return 0;
}

/* llhttp has skipped the blanks before the value; those behind it are still there. */
static int on_value(llhttp_t *parser, const char *at, size_t size)
{
    struct fields *fields = parser->data;
    while (size > 0 && is_blank(at[size - 1])) size--;
    fields->headers[fields->n - 1].value = (struct wisp_str){at, size};
    return 0;
}

static int on_fields_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

void wisp_http_parsers_init(struct wisp_http_parsers *parsers)
{
    static const char fields[] = "POST / HTTP/1.1\r\n";
    static const char chunks[] = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    llhttp_settings_init(&parsers->field_settings);
    parsers->field_settings.on_header_field = on_name;
    parsers->field_settings.on_header_value = on_value;
    parsers->field_settings.on_headers_complete = on_fields_complete;
    llhttp_init(&parsers->at_fields, HTTP_REQUEST, &parsers->field_settings);
    wisp_http_chunked_settings(&parsers->chunk_settings);
    llhttp_init(&parsers->at_chunks, HTTP_REQUEST, &parsers->chunk_settings);
    llhttp_errno_t error = llhttp_execute(&parsers->at_fields, fields, sizeof fields - 1);
    assert(error == HPE_OK);
    error = llhttp_execute(&parsers->at_chunks, chunks, sizeof chunks - 1);
    assert(error == HPE_OK);
    (void)error;
}

static int run_fields(const struct wisp_http_parsers *parsers, struct fields *fields, const char *block, size_t size,
                      llhttp_t *ret_parser)
{
    llhttp_t *parser = ret_parser;
    *parser = parsers->at_fields;
    parser->data = fields;
    llhttp_errno_t error = llhttp_execute(parser, block, size);
    if (fields->status != 0) return fields->status;
    /* Paused exactly behind the empty line that the scan found, else the two readings differ. */
    return error == HPE_PAUSED && llhttp_get_error_pos(parser) == block + size ? 0 : 400;
}

/* --- meaning of the head --- */

/* The one coding we speak is exactly "chunked". A list that ends in it names a coding that we lack; of anything else
 * nobody can tell where the body ends. */
static int check_transfer_encoding(struct wisp_str value)
{
    if (wisp_str_equal_nocase(value, WISP_STR("chunked"))) return 0;
    const char *comma = value.len ? memrchr(value.ptr, ',', value.len) : NULL;
    if (!comma) return 400;
    struct wisp_str first = {value.ptr, (size_t)(comma - value.ptr)};
    struct wisp_str last = {comma + 1, value.len - first.len - 1};
    while (last.len > 0 && is_blank(*last.ptr)) last.ptr++, last.len--;
    if (!wisp_str_equal_nocase(last, WISP_STR("chunked"))) return 400;
    for (size_t i = 0; i + 7 <= first.len; i++)
        if (wisp_str_equal_nocase((struct wisp_str){first.ptr + i, 7}, last)) return 400;
    return 501;
}

static int find_framing(const struct fields *fields, const llhttp_t *parser, struct wisp_http_head *head)
{
    head->framing = WISP_HTTP_NO_BODY;
    head->content_length = 0;
    bool has_length = parser->flags & F_CONTENT_LENGTH;
    if (fields->n_transfer_encoding > 0) {
        /* HTTP/1.0 knows no codings: somebody in between did not understand this message. */
        if (has_length || fields->n_transfer_encoding > 1 || head->version_minor == 0) return 400;
        int status = check_transfer_encoding(fields->headers[fields->transfer_encoding].value);
        if (status != 0) return status;
        head->framing = WISP_HTTP_CHUNKED;
    } else if (has_length && parser->content_length > 0) {
        if (parser->content_length > INT64_MAX) return 400;
        head->framing = WISP_HTTP_SIZED;
        head->content_length = parser->content_length;
    }
    return 0;
}

static int find_authority(const struct fields *fields, struct wisp_http_head *head)
{
    if (fields->n_host > 1 || (fields->n_host == 0 && head->version_minor > 0)) return 400;
    if (fields->n_host == 0) return 0;
    struct wisp_str host = fields->headers[fields->host].value;
    if (!wisp_http_is_all(host, WISP_HTTP_AUTHORITY)) return 400;
    /* An authority in the target wins over the header. */
    if (!head->authority.ptr) head->authority = host;
    return 0;
}

static int find_expectation(const struct fields *fields, struct wisp_http_head *head)
{
    head->expects_continue = false;
    if (fields->n_expect == 0 || head->version_minor == 0) return 0;
    if (fields->n_expect > 1 || !wisp_str_equal_nocase(fields->headers[fields->expect].value, WISP_STR("100-continue")))
        return 417;
    head->expects_continue = head->framing != WISP_HTTP_NO_BODY;
    return 0;
}

int wisp_http_head_parse(const struct wisp_http_parsers *parsers, const struct wisp_http_head_limits *limits,
                         char *bytes, size_t size, struct wisp_http_header *headers, struct wisp_http_head *ret_head)
{
    struct wisp_http_head *head = ret_head;
    char *lf = memchr(bytes, '\n', size);
    size_t line_size = (size_t)(lf - bytes) + 1;
    int status = parse_request_line(bytes, line_size - 2, limits->target_bytes_max, head);
    if (status != 0) return status;

    struct fields fields = {.headers = headers, .max = limits->headers_max};
    llhttp_t parser;
    status = run_fields(parsers, &fields, bytes + line_size, size - line_size, &parser);
    if (status == 0) status = find_framing(&fields, &parser, head);
    if (status == 0) status = find_authority(&fields, head);
    if (status == 0) status = find_expectation(&fields, head);
    if (status != 0) return status;

    head->n_headers = fields.n;
    head->keep_alive =
        !(parser.flags & F_CONNECTION_CLOSE) && (head->version_minor > 0 || (parser.flags & F_CONNECTION_KEEP_ALIVE));
    return 0;
}

int wisp_http_trailers_parse(const struct wisp_http_parsers *parsers, const struct wisp_http_head_limits *limits,
                             char *bytes, size_t size, struct wisp_http_header *trailers, size_t *ret_n)
{
    struct fields fields = {.headers = trailers, .max = limits->headers_max};
    llhttp_t parser;
    int status = run_fields(parsers, &fields, bytes, size, &parser);
    if (status != 0) return status;
    if (fields.n_host > 0 || fields.n_transfer_encoding > 0 || (parser.flags & F_CONTENT_LENGTH)) return 400;
    *ret_n = fields.n;
    return 0;
}
