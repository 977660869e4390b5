/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus.h"

static bool is_subject_byte(char c) { return c != ' ' && c != '\t' && c != '\r' && c != '\n'; }

static bool is_star(struct wisp_str token) { return token.len == 1 && token.ptr[0] == '*'; }
static bool is_tail(struct wisp_str token) { return token.len == 1 && token.ptr[0] == '>'; }

/* The next token of *rest goes to *ret_token; false after the last one. *rest.ptr is NULL when nothing follows. */
static bool next_token(struct wisp_str *rest, struct wisp_str *ret_token)
{
    if (!rest->ptr) return false;
    if (!wisp_str_split(*rest, '.', ret_token, rest)) {
        *ret_token = *rest;
        *rest = (struct wisp_str){0};
    }
    return true;
}

static bool is_valid(struct wisp_str subject, bool with_wildcards)
{
    if (subject.len == 0 || subject.len > WISP_BUS_SUBJECT_MAX) return false;
    for (size_t i = 0; i < subject.len; i++)
        if (!is_subject_byte(subject.ptr[i])) return false;
    struct wisp_str rest = subject, token;
    while (next_token(&rest, &token)) {
        if (token.len == 0) return false;
        if (!with_wildcards && (is_star(token) || is_tail(token))) return false;
        if (is_tail(token) && rest.ptr) return false;
    }
    return true;
}

bool wisp_bus_subject_is_valid(struct wisp_str subject) { return is_valid(subject, false); }
bool wisp_bus_pattern_is_valid(struct wisp_str pattern) { return is_valid(pattern, true); }

bool wisp_bus_pattern_matches(struct wisp_str pattern, struct wisp_str subject)
{
    struct wisp_str wanted, token;
    while (next_token(&pattern, &wanted)) {
        if (!next_token(&subject, &token) || token.len == 0) return false;
        if (is_tail(wanted) && !pattern.ptr) return true;
        if (!is_star(wanted) && !wisp_str_equal(wanted, token)) return false;
    }
    return !subject.ptr;
}

/* --- headers --- */

struct wisp_str wisp_bus_header_get(const struct wisp_bus_message *message, const char *name)
{
    struct wisp_str wanted = wisp_str_from(name);
    for (size_t i = 0; i < message->n_headers; i++)
        if (wisp_str_equal(message->headers[i].name, wanted)) return message->headers[i].value;
    return (struct wisp_str){0};
}

/* A line end inside would let a value make up headers of its own. */
static void append_without_line_ends(struct wisp_buf *out, struct wisp_str text)
{
    char *at = wisp_buf_reserve(out, text.len);
    for (size_t i = 0; i < text.len; i++) at[i] = text.ptr[i] == '\r' || text.ptr[i] == '\n' ? ' ' : text.ptr[i];
    out->len += text.len;
}

void wisp_bus_headers_encode(const struct wisp_bus_header *headers, size_t n_headers, struct wisp_buf *out)
{
    wisp_buf_append_str(out, WISP_STR("NATS/1.0\r\n"));
    for (size_t i = 0; i < n_headers; i++) {
        append_without_line_ends(out, headers[i].name);
        wisp_buf_append_str(out, WISP_STR(": "));
        append_without_line_ends(out, headers[i].value);
        wisp_buf_append_str(out, WISP_STR("\r\n"));
    }
    wisp_buf_append_str(out, WISP_STR("\r\n"));
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static struct wisp_str trim(struct wisp_str s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) s = (struct wisp_str){s.ptr + 1, s.len - 1};
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) s.len--;
    return s;
}

/* The part of *rest before CR LF; false when there is none, or another CR before it. */
static bool next_line(struct wisp_str *rest, struct wisp_str *ret_line)
{
    if (!wisp_str_split(*rest, '\n', ret_line, rest)) return false;
    if (ret_line->len == 0 || ret_line->ptr[ret_line->len - 1] != '\r') return false;
    ret_line->len--;
    return ret_line->len == 0 || !memchr(ret_line->ptr, '\r', ret_line->len);
}

/* What follows "NATS/1.0": nothing, or a blank, three digits, and maybe a blank and a text. */
static int decode_status(struct wisp_str line, uint16_t *ret_status, struct wisp_err *err)
{
    struct wisp_str magic = WISP_STR("NATS/1.0");
    if (!wisp_str_starts_with(line, magic))
        return wisp_err_set(err, WISP_ERR_INVALID, "message headers do not begin with NATS/1.0");
    struct wisp_str rest = {line.ptr + magic.len, line.len - magic.len};
    struct wisp_str text = trim(rest);
    *ret_status = 0;
    if (text.len == 0) return 0;
    if (!is_blank(rest.ptr[0]) || text.len < 3 || (text.len > 3 && !is_blank(text.ptr[3])))
        return wisp_err_set(err, WISP_ERR_INVALID, "message headers have a malformed status");
    for (size_t i = 0; i < 3; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return wisp_err_set(err, WISP_ERR_INVALID, "message headers have a status that is no number");
        *ret_status = (uint16_t)(*ret_status * 10 + (text.ptr[i] - '0'));
    }
    return 0;
}

int wisp_bus_headers_decode(struct wisp_str block, uint16_t *ret_status, struct wisp_bus_header *headers, size_t max,
                            size_t *ret_n, struct wisp_err *err)
{
    struct wisp_str rest = block, line;
    *ret_n = 0;
    if (!next_line(&rest, &line))
        return wisp_err_set(err, WISP_ERR_INVALID, "message headers: the first line does not end in CR LF");
    int result = decode_status(line, ret_status, err);
    if (result < 0) return result;
    for (size_t n = 0;; n++) {
        if (!next_line(&rest, &line))
            return wisp_err_set(err, WISP_ERR_INVALID, "message header %zu does not end in CR LF", n + 1);
        if (line.len == 0) break;
        if (n == max) return wisp_err_set(err, WISP_ERR_LIMIT, "a message has more than %zu headers", max);
        struct wisp_str name, value;
        if (!wisp_str_split(line, ':', &name, &value) || name.len == 0)
            return wisp_err_set(err, WISP_ERR_INVALID, "message header %zu has no name", n + 1);
        headers[n] = (struct wisp_bus_header){name, trim(value)};
        *ret_n = n + 1;
    }
    if (rest.len > 0) return wisp_err_set(err, WISP_ERR_INVALID, "message headers go on after their end");
    return 0;
}
