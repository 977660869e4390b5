/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/protocol.h"

enum {
    OPERATION_MAX = 7, /* "CONNECT" */
    BLANKS_MAX = 16,   /* around the arguments of a line that is as long as it may be */
    DIGITS_MAX = 9,    /* of a size */
    TOKENS_MAX = 5,
};

/* Operation names as numbers: letters in lower case, last one lowest. */
#define NAME3(a, b, c) ((uint64_t)(a) << 16 | (uint64_t)(b) << 8 | (uint64_t)(c))
#define NAME4(a, b, c, d) (NAME3(a, b, c) << 8 | (uint64_t)(d))
#define NAME5(a, b, c, d, e) (NAME4(a, b, c, d) << 8 | (uint64_t)(e))
#define NAME7(a, b, c, d, e, f, g) (NAME5(a, b, c, d, e) << 16 | (uint64_t)(f) << 8 | (uint64_t)(g))

enum name {
    NAME_NONE,
    NAME_CONNECT,
    NAME_PUB,
    NAME_HPUB,
    NAME_SUB,
    NAME_UNSUB,
    NAME_INFO,
    NAME_MSG,
    NAME_HMSG,
    NAME_OK,
    NAME_ERR,
    NAME_PING,
    NAME_PONG,
};

struct tokens {
    struct wisp_str at[TOKENS_MAX];
    size_t count; /* TOKENS_MAX + 1: more, or not well-formed */
};

void wisp_bus_parser_init(struct wisp_bus_parser *parser, enum wisp_bus_side side)
{
    bool is_server = side == WISP_BUS_SIDE_SERVER;
    *parser = (struct wisp_bus_parser){
        .side = side,
        .line_bytes_max = is_server ? WISP_BUS_LINE_MAX : WISP_BUS_INFO_LINE_MAX,
        .payload_bytes_max = is_server ? WISP_BUS_PAYLOAD_MAX : WISP_BUS_SIDE_PAYLOAD_MAX,
    };
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }
static bool ends_name(char c) { return is_blank(c) || c == '\r' || c == '\n'; }

static enum name server_name_of(uint64_t letters)
{
    switch (letters) {
    case NAME3('p', 'u', 'b'):
        return NAME_PUB;
    case NAME4('h', 'p', 'u', 'b'):
        return NAME_HPUB;
    case NAME3('s', 'u', 'b'):
        return NAME_SUB;
    case NAME5('u', 'n', 's', 'u', 'b'):
        return NAME_UNSUB;
    case NAME4('p', 'i', 'n', 'g'):
        return NAME_PING;
    case NAME4('p', 'o', 'n', 'g'):
        return NAME_PONG;
    case NAME7('c', 'o', 'n', 'n', 'e', 'c', 't'):
        return NAME_CONNECT;
    default:
        return NAME_NONE;
    }
}

static enum name client_name_of(uint64_t letters)
{
    switch (letters) {
    case NAME3('m', 's', 'g'):
        return NAME_MSG;
    case NAME4('h', 'm', 's', 'g'):
        return NAME_HMSG;
    case NAME4('p', 'i', 'n', 'g'):
        return NAME_PING;
    case NAME4('p', 'o', 'n', 'g'):
        return NAME_PONG;
    case NAME4('i', 'n', 'f', 'o'):
        return NAME_INFO;
    case NAME3('+', 'o', 'k'):
        return NAME_OK;
    case NAME4('-', 'e', 'r', 'r'):
        return NAME_ERR;
    default:
        return NAME_NONE;
    }
}

static enum wisp_bus_parsed want(struct wisp_bus_parser *parser, size_t needed)
{
    parser->needed = needed;
    return WISP_BUS_PARSED_MORE;
}

/* FRAME: *ret_name is the operation and *ret_size how long its name is. */
static enum wisp_bus_parsed find_name(struct wisp_bus_parser *parser, struct wisp_str bytes, enum name *ret_name,
                                      size_t *ret_size)
{
    uint64_t letters = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        if (ends_name(bytes.ptr[i])) {
            *ret_name = parser->side == WISP_BUS_SIDE_SERVER ? server_name_of(letters) : client_name_of(letters);
            *ret_size = i;
            return *ret_name ? WISP_BUS_PARSED_FRAME : WISP_BUS_PARSED_UNKNOWN_OPERATION;
        }
        if (i == OPERATION_MAX) return WISP_BUS_PARSED_UNKNOWN_OPERATION;
        letters = letters << 8 | ((unsigned char)bytes.ptr[i] | 0x20);
    }
    return want(parser, bytes.len + 1);
}

/* FRAME: *ret_size is how long the line is, with its end. */
static enum wisp_bus_parsed find_line_end(struct wisp_bus_parser *parser, struct wisp_str bytes, size_t *ret_size)
{
    size_t max = OPERATION_MAX + parser->line_bytes_max + BLANKS_MAX;
    size_t end = bytes.len < max ? bytes.len : max;
    const char *at = memchr(bytes.ptr + parser->scanned, '\n', end - parser->scanned);
    if (at) {
        *ret_size = (size_t)(at - bytes.ptr) + 1;
        return WISP_BUS_PARSED_FRAME;
    }
    if (end == max) return WISP_BUS_PARSED_LINE_TOO_LONG;
    parser->scanned = end;
    return want(parser, end + 1);
}

static struct wisp_str trim(struct wisp_str s)
{
    while (s.len > 0 && ends_name(s.ptr[s.len - 1])) s.len--;
    while (s.len > 0 && is_blank(s.ptr[0])) s = (struct wisp_str){s.ptr + 1, s.len - 1};
    return s;
}

static void split(struct wisp_str arguments, struct tokens *tokens)
{
    const char *at = arguments.ptr, *end = at + arguments.len;
    tokens->count = 0;
    while (at < end) {
        const char *start = at;
        while (at < end && !ends_name(*at)) at++;
        /* A CR of its own would end the line for some of those it is passed on to. */
        if (tokens->count == TOKENS_MAX || (at < end && *at == '\r')) {
            tokens->count = TOKENS_MAX + 1;
            return;
        }
        tokens->at[tokens->count++] = (struct wisp_str){start, (size_t)(at - start)};
        while (at < end && is_blank(*at)) at++;
    }
}

static bool parse_number(struct wisp_str text, size_t digits_max, uint64_t *ret_number)
{
    if (text.len == 0 || text.len > digits_max) return false;
    *ret_number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        *ret_number = *ret_number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return true;
}

/* The message behind a line of `line_size` bytes; `sizes` are the one or two last tokens of the line. */
static enum wisp_bus_parsed parse_body(struct wisp_bus_parser *parser, struct wisp_str bytes, size_t line_size,
                                       const struct wisp_str *sizes, bool has_headers, struct wisp_bus_frame *ret_frame,
                                       size_t *ret_used)
{
    uint64_t headers = 0, total;
    if (has_headers && !parse_number(*sizes++, DIGITS_MAX, &headers)) return WISP_BUS_PARSED_BAD_ARGUMENTS;
    if (!parse_number(*sizes, DIGITS_MAX, &total) || headers > total) return WISP_BUS_PARSED_BAD_ARGUMENTS;
    if (total > parser->payload_bytes_max) return WISP_BUS_PARSED_PAYLOAD_TOO_LARGE;
    size_t end = line_size + (size_t)total;
    if (bytes.len > end && bytes.ptr[end] != '\r') return WISP_BUS_PARSED_UNKNOWN_OPERATION;
    if (bytes.len < end + 2) {
        parser->scanned = line_size - 1;
        return want(parser, bytes.len <= end ? end + 1 : end + 2);
    }
    if (bytes.ptr[end + 1] != '\n') return WISP_BUS_PARSED_UNKNOWN_OPERATION;
    ret_frame->headers = (struct wisp_str){bytes.ptr + line_size, (size_t)headers};
    ret_frame->payload = (struct wisp_str){bytes.ptr + line_size + headers, (size_t)(total - headers)};
    *ret_used = end + 2;
    return WISP_BUS_PARSED_FRAME;
}

/* PUB subject [reply] [headers] total; MSG has the sid behind the subject. */
static enum wisp_bus_parsed parse_message(struct wisp_bus_parser *parser, struct wisp_str bytes, size_t line_size,
                                          const struct tokens *tokens, enum name name, struct wisp_bus_frame *ret_frame,
                                          size_t *ret_used)
{
    bool is_msg = name == NAME_MSG || name == NAME_HMSG, has_headers = name == NAME_HPUB || name == NAME_HMSG;
    size_t least = 2 + is_msg + has_headers, n = tokens->count;
    if (n < least || n > least + 1) return WISP_BUS_PARSED_BAD_ARGUMENTS;
    ret_frame->op = is_msg ? WISP_BUS_OP_MSG : WISP_BUS_OP_PUB;
    ret_frame->subject = tokens->at[0];
    if (is_msg) ret_frame->sid = tokens->at[1];
    if (n > least) ret_frame->reply = tokens->at[1 + is_msg];
    return parse_body(parser, bytes, line_size, &tokens->at[n - 1 - has_headers], has_headers, ret_frame, ret_used);
}

static enum wisp_bus_parsed parse_sub(const struct tokens *tokens, struct wisp_bus_frame *ret_frame)
{
    if (tokens->count < 2 || tokens->count > 3) return WISP_BUS_PARSED_BAD_ARGUMENTS;
    ret_frame->op = WISP_BUS_OP_SUB;
    ret_frame->subject = tokens->at[0];
    if (tokens->count == 3) ret_frame->queue = tokens->at[1];
    ret_frame->sid = tokens->at[tokens->count - 1];
    return WISP_BUS_PARSED_FRAME;
}

static enum wisp_bus_parsed parse_unsub(const struct tokens *tokens, struct wisp_bus_frame *ret_frame)
{
    if (tokens->count < 1 || tokens->count > 2) return WISP_BUS_PARSED_BAD_ARGUMENTS;
    ret_frame->op = WISP_BUS_OP_UNSUB;
    ret_frame->sid = tokens->at[0];
    if (tokens->count == 2 && !parse_number(tokens->at[1], 2 * DIGITS_MAX, &ret_frame->max))
        return WISP_BUS_PARSED_BAD_ARGUMENTS;
    return WISP_BUS_PARSED_FRAME;
}

/* "'text'" without its quotes. */
static struct wisp_str unquote(struct wisp_str text)
{
    if (text.len >= 2 && text.ptr[0] == '\'' && text.ptr[text.len - 1] == '\'')
        return (struct wisp_str){text.ptr + 1, text.len - 2};
    return text;
}

static enum wisp_bus_parsed parse_text(enum name name, struct wisp_str arguments, struct wisp_bus_frame *ret_frame)
{
    if (name != NAME_ERR && arguments.len == 0) return WISP_BUS_PARSED_BAD_ARGUMENTS;
    ret_frame->op = name == NAME_CONNECT ? WISP_BUS_OP_CONNECT : name == NAME_INFO ? WISP_BUS_OP_INFO : WISP_BUS_OP_ERR;
    ret_frame->text = name == NAME_ERR ? unquote(arguments) : arguments;
    return WISP_BUS_PARSED_FRAME;
}

/* Whatever else stands on the line is ignored, as by every server. */
static enum wisp_bus_parsed parse_plain(enum wisp_bus_op op, struct wisp_bus_frame *ret_frame)
{
    ret_frame->op = op;
    return WISP_BUS_PARSED_FRAME;
}

static enum wisp_bus_parsed parse_arguments(struct wisp_bus_parser *parser, struct wisp_str bytes, size_t line_size,
                                            enum name name, struct wisp_str arguments, struct wisp_bus_frame *ret_frame,
                                            size_t *ret_used)
{
    struct tokens tokens;
    switch (name) {
    case NAME_PUB:
    case NAME_HPUB:
    case NAME_MSG:
    case NAME_HMSG:
        split(arguments, &tokens);
        return parse_message(parser, bytes, line_size, &tokens, name, ret_frame, ret_used);
    case NAME_SUB:
        split(arguments, &tokens);
        return parse_sub(&tokens, ret_frame);
    case NAME_UNSUB:
        split(arguments, &tokens);
        return parse_unsub(&tokens, ret_frame);
    case NAME_PING:
        return parse_plain(WISP_BUS_OP_PING, ret_frame);
    case NAME_PONG:
        return parse_plain(WISP_BUS_OP_PONG, ret_frame);
    case NAME_OK:
        return parse_plain(WISP_BUS_OP_OK, ret_frame);
    default:
        return parse_text(name, arguments, ret_frame);
    }
}

enum wisp_bus_parsed wisp_bus_parse(struct wisp_bus_parser *parser, struct wisp_str bytes,
                                    struct wisp_bus_frame *ret_frame, size_t *ret_used)
{
    if (bytes.len < parser->needed || bytes.len == 0) return WISP_BUS_PARSED_MORE;
    enum name name;
    size_t name_size, line_size;
    enum wisp_bus_parsed result = find_name(parser, bytes, &name, &name_size);
    if (result == WISP_BUS_PARSED_FRAME) result = find_line_end(parser, bytes, &line_size);
    if (result != WISP_BUS_PARSED_FRAME) return result;
    struct wisp_str arguments = trim((struct wisp_str){bytes.ptr + name_size, line_size - name_size});
    if (arguments.len > parser->line_bytes_max) return WISP_BUS_PARSED_LINE_TOO_LONG;
    memset(ret_frame, 0, sizeof *ret_frame);
    *ret_used = line_size;
    result = parse_arguments(parser, bytes, line_size, name, arguments, ret_frame, ret_used);
    if (result == WISP_BUS_PARSED_FRAME) parser->scanned = parser->needed = 0;
    return result;
}

const char *wisp_bus_fault_text(enum wisp_bus_parsed fault)
{
    switch (fault) {
    case WISP_BUS_PARSED_BAD_ARGUMENTS:
        return "Invalid Arguments";
    case WISP_BUS_PARSED_LINE_TOO_LONG:
        return "maximum control line exceeded";
    case WISP_BUS_PARSED_PAYLOAD_TOO_LARGE:
        return "Maximum Payload Violation";
    default:
        return "Unknown Protocol Operation";
    }
}

uint64_t wisp_bus_sid_number(struct wisp_str sid)
{
    uint64_t number;
    return parse_number(sid, 2 * DIGITS_MAX + 1, &number) ? number : 0;
}

/* --- encoding --- */

enum { NUMBER_MAX = 20 };

static char *put(char *at, struct wisp_str s)
{
    if (s.len) memcpy(at, s.ptr, s.len);
    return at + s.len;
}

char *wisp_bus_put_number(char *at, uint64_t number)
{
    char digits[NUMBER_MAX];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (n > 0) *at++ = digits[--n];
    return at;
}

static char *put_word(char *at, struct wisp_str s)
{
    at = put(at, s);
    *at++ = ' ';
    return at;
}

/* `names`: without and with headers. `sid` is empty for PUB. */
static void encode_message(struct wisp_buf *out, const struct wisp_str names[2], struct wisp_str subject,
                           struct wisp_str sid, struct wisp_str reply, struct wisp_str headers, struct wisp_str payload)
{
    size_t size = 16 + subject.len + sid.len + reply.len + 2 * NUMBER_MAX + headers.len + payload.len;
    char *start = wisp_buf_reserve(out, size), *at = start;
    at = put_word(at, names[headers.len > 0]);
    at = put_word(at, subject);
    if (sid.len) at = put_word(at, sid);
    if (reply.len) at = put_word(at, reply);
    if (headers.len) {
        at = wisp_bus_put_number(at, headers.len);
        *at++ = ' ';
    }
    at = wisp_bus_put_number(at, headers.len + payload.len);
    at = put(at, WISP_STR("\r\n"));
    at = put(at, headers);
    at = put(at, payload);
    at = put(at, WISP_STR("\r\n"));
    out->len += (size_t)(at - start);
}

void wisp_bus_encode_pub(struct wisp_buf *out, struct wisp_str subject, struct wisp_str reply, struct wisp_str headers,
                         struct wisp_str payload)
{
    static const struct wisp_str names[2] = {WISP_STR_INIT("PUB"), WISP_STR_INIT("HPUB")};
    encode_message(out, names, subject, (struct wisp_str){0}, reply, headers, payload);
}

void wisp_bus_encode_msg(struct wisp_buf *out, struct wisp_str subject, struct wisp_str sid, struct wisp_str reply,
                         struct wisp_str headers, struct wisp_str payload)
{
    static const struct wisp_str names[2] = {WISP_STR_INIT("MSG"), WISP_STR_INIT("HMSG")};
    encode_message(out, names, subject, sid, reply, headers, payload);
}

void wisp_bus_encode_sub(struct wisp_buf *out, struct wisp_str subject, struct wisp_str queue, uint64_t sid)
{
    char *start = wisp_buf_reserve(out, 16 + subject.len + queue.len + NUMBER_MAX), *at = start;
    at = put_word(at, WISP_STR("SUB"));
    at = put_word(at, subject);
    if (queue.len) at = put_word(at, queue);
    at = wisp_bus_put_number(at, sid);
    at = put(at, WISP_STR("\r\n"));
    out->len += (size_t)(at - start);
}

void wisp_bus_encode_unsub(struct wisp_buf *out, uint64_t sid, uint64_t max)
{
    char *start = wisp_buf_reserve(out, 16 + 2 * NUMBER_MAX), *at = start;
    at = put_word(at, WISP_STR("UNSUB"));
    at = wisp_bus_put_number(at, sid);
    if (max > 0) {
        *at++ = ' ';
        at = wisp_bus_put_number(at, max);
    }
    at = put(at, WISP_STR("\r\n"));
    out->len += (size_t)(at - start);
}

static void encode_text(struct wisp_buf *out, struct wisp_str name, struct wisp_str text)
{
    wisp_buf_append_str(out, name);
    wisp_buf_append_str(out, text);
    wisp_buf_append_str(out, WISP_STR("\r\n"));
}

void wisp_bus_encode_connect(struct wisp_buf *out, struct wisp_str json)
{
    encode_text(out, WISP_STR("CONNECT "), json);
}

void wisp_bus_encode_info(struct wisp_buf *out, struct wisp_str json) { encode_text(out, WISP_STR("INFO "), json); }

void wisp_bus_encode_err(struct wisp_buf *out, const char *text) { wisp_buf_printf(out, "-ERR '%s'\r\n", text); }
