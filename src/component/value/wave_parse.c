/* SPDX-License-Identifier: Apache-2.0 */
/* By descent over the type, whose depth is limited. */
#include "component/value/wave.h"

#include "component/value/value_priv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FOUND_MAX = 24 }; /* bytes of the text that messages quote */

struct parser {
    struct wisp_str text;
    size_t at;
    size_t left; /* bytes that elements of lists may still take */
    struct wisp_arena *arena;
    struct wisp_err *err;
};

static int parse(struct parser *p, const struct wisp_type *type, char *native);

/* --- failing --- */

static int fail_at(struct parser *p, size_t at, const char *expected)
{
    size_t line = 1, line_start = 0, column = 1;
    for (size_t i = 0; i < at; i++) {
        if (p->text.ptr[i] != '\n') continue;
        line++;
        line_start = i + 1;
    }
    for (size_t i = line_start; i < at; i++) column += ((uint8_t)p->text.ptr[i] & 0xc0) != 0x80;
    struct wisp_str found = {p->text.ptr + at, 0};
    while (at + found.len < p->text.len && (uint8_t)found.ptr[found.len] >= ' ' && found.len < FOUND_MAX) found.len++;
    while (at + found.len < p->text.len && ((uint8_t)found.ptr[found.len] & 0xc0) == 0x80) found.len--;
    const char *quote = found.len ? "`" : at < p->text.len ? "the end of the line" : "the end";
    return wisp_err_set(p->err, WISP_ERR_INVALID, "line %zu, column %zu: expected %s, found %s%.*s%s", line, column,
                        expected, quote, WISP_STR_ARG(found), found.len ? "`" : "");
}

static int fail(struct parser *p, const char *expected) { return fail_at(p, p->at, expected); }

static int fail_type(struct parser *p, size_t at, const struct wisp_type *type)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    return fail_at(p, at, wisp_arena_printf(&arena, "a value of type `%s`", wisp_type_text(&arena, type)));
}

static int fail_name(struct parser *p, size_t at, const char *what, const struct wisp_type *type)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "%s (", what);
    for (uint32_t i = 0; i < type->n_fields && text.len < 300; i++)
        wisp_buf_printf(&text, "%s%.*s", i ? ", " : "", WISP_STR_ARG(type->fields[i].name));
    wisp_buf_append(&text, ")", 2);
    return fail_at(p, at, text.data);
}

/* --- words and signs --- */

static bool is_at(const struct parser *p, struct wisp_str sign)
{
    return wisp_str_starts_with((struct wisp_str){p->text.ptr + p->at, p->text.len - p->at}, sign);
}

static void skip_space(struct parser *p)
{
    for (; p->at < p->text.len; p->at++) {
        char c = p->text.ptr[p->at];
        if (is_at(p, WISP_STR("//"))) {
            const char *end = memchr(p->text.ptr + p->at, '\n', p->text.len - p->at);
            p->at = end ? (size_t)(end - p->text.ptr) : p->text.len - 1;
        } else if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
            return;
        }
    }
}

static bool try_sign(struct parser *p, char sign)
{
    skip_space(p);
    if (p->at == p->text.len || p->text.ptr[p->at] != sign) return false;
    p->at++;
    return true;
}

static int expect_sign(struct parser *p, char sign)
{
    if (try_sign(p, sign)) return 0;
    return fail(p, (const char[]){'`', sign, '`', '\0'});
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

/* Empty when there is no word. */
static struct wisp_str peek_word(struct parser *p)
{
    skip_space(p);
    size_t end = p->at;
    while (end < p->text.len && is_label_char(p->text.ptr[end])) end++;
    return (struct wisp_str){p->text.ptr + p->at, end - p->at};
}

static bool try_keyword(struct parser *p, const char *keyword)
{
    struct wisp_str word = peek_word(p);
    if (!wisp_str_is(word, keyword)) return false;
    p->at += word.len;
    return true;
}

/* A label, which may have a % in front; empty when there is none. */
static struct wisp_str take_label(struct parser *p)
{
    (void)try_sign(p, '%');
    struct wisp_str label = peek_word(p);
    p->at += label.len;
    return label;
}

/* After an element: is there another one before `close`? */
static int next_element(struct parser *p, char close, bool *ret_more)
{
    bool comma = try_sign(p, ',');
    *ret_more = false;
    if (try_sign(p, close)) return 0;
    *ret_more = comma;
    return comma ? 0 : fail(p, (const char[]){'`', ',', '`', ' ', 'o', 'r', ' ', '`', close, '`', '\0'});
}

/* --- numbers --- */

/* Everything that could belong to a number, so that "12ab" is one wrong number. */
static struct wisp_str peek_number(struct parser *p)
{
    skip_space(p);
    size_t end = p->at;
    while (end < p->text.len && (is_label_char(p->text.ptr[end]) || p->text.ptr[end] == '.' || p->text.ptr[end] == '+'))
        end++;
    return (struct wisp_str){p->text.ptr + p->at, end - p->at};
}

static size_t count_digits(struct wisp_str s, size_t from)
{
    size_t end = from;
    while (end < s.len && s.ptr[end] >= '0' && s.ptr[end] <= '9') end++;
    return end - from;
}

/* How much of it is "-"? ("0" | nonzero digits). */
static size_t integer_part(struct wisp_str s)
{
    size_t at = s.len && s.ptr[0] == '-', n = count_digits(s, at);
    return n == 0 || (n > 1 && s.ptr[at] == '0') ? 0 : at + n;
}

static bool is_float(struct wisp_str s)
{
    size_t at = integer_part(s), n;
    if (!at) return false;
    if (at < s.len && s.ptr[at] == '.') {
        if ((n = count_digits(s, at + 1)) == 0) return false;
        at += 1 + n;
    }
    if (at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
        at++;
        at += at < s.len && (s.ptr[at] == '+' || s.ptr[at] == '-');
        if ((n = count_digits(s, at)) == 0) return false;
        at += n;
    }
    return at == s.len;
}

static int parse_integer(struct parser *p, const struct wisp_type *type, void *native)
{
    struct wisp_str word = peek_number(p);
    if (!word.len || integer_part(word) != word.len) return fail_type(p, p->at, type);
    bool is_negative = word.ptr[0] == '-', fits = true;
    uint64_t magnitude = 0;
    for (size_t i = is_negative; i < word.len && fits; i++)
        fits = !__builtin_mul_overflow(magnitude, 10, &magnitude) &&
               !__builtin_add_overflow(magnitude, (uint64_t)(word.ptr[i] - '0'), &magnitude);
    if (!fits || !wisp_value_put_integer(type->kind, is_negative, magnitude, native)) return fail_type(p, p->at, type);
    p->at += word.len;
    return 0;
}

static bool read_float(struct wisp_str word, bool is_narrow, double *ret_number)
{
    char text[1100]; /* more digits than any double has */
    *ret_number = wisp_str_is(word, "nan") ? (double)NAN : wisp_str_is(word, "-inf") ? -INFINITY : INFINITY;
    if (wisp_str_is(word, "nan") || wisp_str_is(word, "inf") || wisp_str_is(word, "-inf")) return true;
    if (!is_float(word) || word.len >= sizeof text) return false;
    memcpy(text, word.ptr, word.len);
    text[word.len] = '\0';
    *ret_number = is_narrow ? (double)strtof(text, NULL) : strtod(text, NULL);
    return isfinite(*ret_number);
}

static int parse_float(struct parser *p, const struct wisp_type *type, void *native)
{
    struct wisp_str word = peek_number(p);
    double number;
    if (!read_float(word, type->kind == WISP_TYPE_F32, &number)) return fail_type(p, p->at, type);
    p->at += word.len;
    float narrow = (float)number;
    if (type->kind == WISP_TYPE_F32)
        memcpy(native, &narrow, sizeof narrow);
    else
        memcpy(native, &number, sizeof number);
    return 0;
}

/* --- characters --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* After "\u". */
static int parse_code_point(struct parser *p, size_t end, struct wisp_buf *out)
{
    static const char expected[] = "a code point such as `{2603}`";
    size_t start = p->at;
    uint32_t c = 0;
    if (p->at == end || p->text.ptr[p->at] != '{') return fail_at(p, start, expected);
    for (p->at++; p->at < end && hex_digit(p->text.ptr[p->at]) >= 0 && c <= 0x10ffff; p->at++)
        c = c << 4 | (uint32_t)hex_digit(p->text.ptr[p->at]);
    bool is_closed = p->at < end && p->text.ptr[p->at] == '}' && p->at > start + 1;
    if (!is_closed || c > 0x10ffff || (c & 0xfffff800) == 0xd800) return fail_at(p, start, expected);
    p->at++;
    char utf8[4];
    wisp_buf_append(out, utf8, wisp_value_utf8(c, utf8));
    return 0;
}

/* One character or escape before `end`, as UTF-8. */
static int parse_char_into(struct parser *p, size_t end, struct wisp_buf *out)
{
    static const char escapes[] = "'\"tnr\\", meanings[] = "'\"\t\n\r\\";
    char c = p->text.ptr[p->at++];
    if (c != '\\') {
        wisp_buf_append_char(out, c);
        while (p->at < end && ((uint8_t)p->text.ptr[p->at] & 0xc0) == 0x80)
            wisp_buf_append_char(out, p->text.ptr[p->at++]);
        return 0;
    }
    if (p->at == end) return fail(p, "an escape");
    c = p->text.ptr[p->at++];
    if (c == 'u') return parse_code_point(p, end, out);
    const char *escape = c ? strchr(escapes, c) : NULL;
    if (!escape) return fail_at(p, p->at - 2, "an escape: one of \\' \\\" \\\\ \\t \\n \\r \\u{2603}");
    wisp_buf_append_char(out, meanings[escape - escapes]);
    return 0;
}

static int parse_char(struct parser *p, void *native)
{
    WISP_CLEANUP_BUF struct wisp_buf utf8 = {0};
    if (!try_sign(p, '\'')) return fail(p, "a character in single quotes");
    if (p->at == p->text.len || p->text.ptr[p->at] == '\'' || p->text.ptr[p->at] == '\n') return fail(p, "a character");
    int r = parse_char_into(p, p->text.len, &utf8);
    if (r < 0) return r;
    if (p->at == p->text.len || p->text.ptr[p->at] != '\'') return fail(p, "a closing `'`");
    p->at++;
    uint8_t first = (uint8_t)utf8.data[0];
    uint32_t c = utf8.len == 1 ? first : first & (0x7fu >> utf8.len);
    for (size_t i = 1; i < utf8.len; i++) c = c << 6 | ((uint8_t)utf8.data[i] & 0x3f);
    memcpy(native, &c, sizeof c);
    return 0;
}

/* --- strings --- */

static int parse_line(struct parser *p, struct wisp_buf *out)
{
    for (;;) {
        if (p->at == p->text.len || p->text.ptr[p->at] == '\n') return fail(p, "a closing `\"`");
        if (p->text.ptr[p->at] == '"') break;
        int r = parse_char_into(p, p->text.len, out);
        if (r < 0) return r;
    }
    p->at++;
    return 0;
}

/* A line break at `at`: its size, or 0. */
static size_t line_break(const struct parser *p, size_t at, size_t end)
{
    if (at < end && p->text.ptr[at] == '\n') return 1;
    return at + 1 < end && p->text.ptr[at] == '\r' && p->text.ptr[at + 1] == '\n' ? 2 : 0;
}

/* Where the closing quotes are, and how far they are indented; p->at is behind the opening ones' line break. */
static int find_close(struct parser *p, size_t *ret_close, size_t *ret_indent)
{
    struct wisp_str text = p->text;
    const char *close = text.len > p->at ? memmem(text.ptr + p->at, text.len - p->at, "\"\"\"", 3) : NULL;
    if (!close) return fail_at(p, text.len, "closing `\"\"\"`");
    size_t at = (size_t)(close - text.ptr), spaces = 0;
    while (at - spaces > 0 && text.ptr[at - spaces - 1] == ' ') spaces++;
    if (text.ptr[at - spaces - 1] != '\n') return fail_at(p, at, "`\"\"\"` on a line of its own");
    *ret_close = at;
    *ret_indent = spaces;
    return 0;
}

/* After the opening quotes. */
static int parse_lines(struct parser *p, struct wisp_buf *out)
{
    size_t size = line_break(p, p->at, p->text.len), close, indent;
    if (!size) return fail(p, "a line break after `\"\"\"`");
    p->at += size;
    int r = find_close(p, &close, &indent);
    if (r < 0) return r;
    size_t end = close - indent; /* behind the last line break */
    for (bool is_first = true; p->at < end; is_first = false) {
        if (!is_first) wisp_buf_append_char(out, '\n');
        for (size_t i = 0; i < indent; i++)
            if (p->at == end || p->text.ptr[p->at++] != ' ')
                return fail_at(p, p->at - 1, "a line indented like the closing `\"\"\"`");
        while (!(size = line_break(p, p->at, end)))
            if ((r = parse_char_into(p, end, out)) < 0) return r;
        p->at += size;
    }
    p->at = close + 3;
    return 0;
}

static int parse_string(struct parser *p, void *native)
{
    WISP_CLEANUP_BUF struct wisp_buf utf8 = {0};
    skip_space(p);
    bool has_lines = is_at(p, WISP_STR("\"\"\""));
    if (!try_sign(p, '"')) return fail(p, "a string in double quotes");
    if (has_lines) p->at += 2;
    int r = has_lines ? parse_lines(p, &utf8) : parse_line(p, &utf8);
    if (r < 0) return r;
    struct wisp_str string = wisp_arena_str(p->arena, wisp_buf_str(&utf8));
    memcpy(native, &string, sizeof string);
    return 0;
}

/* --- compounds --- */

static int parse_list(struct parser *p, const struct wisp_type *element, void *native)
{
    WISP_CLEANUP_BUF struct wisp_buf elements = {0};
    size_t len = 0;
    int r = expect_sign(p, '[');
    if (r < 0) return r;
    for (bool more = !try_sign(p, ']'); more; len++) {
        char *to = wisp_value_add(&elements, element->native_size, &p->left);
        if (!to) return wisp_value_refuse_size(p->err);
        if ((r = parse(p, element, to)) < 0) return r;
        if ((r = next_element(p, ']', &more)) < 0) return r;
    }
    wisp_value_put_list(p->arena, &elements, len, native);
    return 0;
}

static int parse_tuple(struct parser *p, const struct wisp_type *type, char *native)
{
    int r = expect_sign(p, '(');
    if (r < 0) return r;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        if (i && (r = expect_sign(p, ',')) < 0) return r;
        if ((r = parse(p, type->fields[i].type, native + type->fields[i].native_offset)) < 0) return r;
    }
    if (type->n_fields) (void)try_sign(p, ',');
    return expect_sign(p, ')');
}

/* What was not given must be an option, and is none: zero already. */
static int check_given(struct parser *p, const struct wisp_type *type, const bool *is_given, size_t at)
{
    for (uint32_t i = 0; i < type->n_fields; i++) {
        if (is_given[i] || value_is_option(type->fields[i].type)) continue;
        char expected[128];
        snprintf(expected, sizeof expected, "field `%.*s` too", WISP_STR_ARG(type->fields[i].name));
        return fail_at(p, at, expected);
    }
    return 0;
}

static int parse_field(struct parser *p, const struct wisp_type *type, uint32_t guess, char *native, bool *is_given)
{
    skip_space(p);
    size_t start = p->at;
    uint32_t i = wisp_value_field(type, take_label(p), guess);
    if (i == UINT32_MAX) return fail_name(p, start, "a field", type);
    if (is_given[i]) return fail_at(p, start, "each field once");
    is_given[i] = true;
    int r = expect_sign(p, ':');
    return r < 0 ? r : parse(p, type->fields[i].type, native + type->fields[i].native_offset);
}

static int parse_record(struct parser *p, const struct wisp_type *type, char *native)
{
    WISP_CLEANUP_FREE bool *is_given = wisp_mem_calloc(type->n_fields + 1, sizeof *is_given);
    int r = expect_sign(p, '{');
    if (r < 0) return r;
    bool more = !try_sign(p, ':');
    if (!more && (r = expect_sign(p, '}')) < 0) return r;
    for (uint32_t i = 0; more; i++) {
        if ((r = parse_field(p, type, i, native, is_given)) < 0) return r;
        if ((r = next_element(p, '}', &more)) < 0) return r;
    }
    return check_given(p, type, is_given, p->at - 1);
}

static int parse_flags(struct parser *p, const struct wisp_type *type, void *native)
{
    uint32_t bits = 0, next = 0;
    int r = expect_sign(p, '{');
    if (r < 0) return r;
    for (bool more = !try_sign(p, '}'); more; next++) {
        skip_space(p);
        size_t start = p->at;
        uint32_t i = wisp_value_field(type, take_label(p), next);
        if (i == UINT32_MAX) return fail_name(p, start, "a flag", type);
        if (bits >> i & 1) return fail_at(p, start, "each flag once");
        bits |= 1u << i;
        if ((r = next_element(p, '}', &more)) < 0) return r;
    }
    memcpy(native, &bits, sizeof bits);
    return 0;
}

/* After its name. */
static int parse_payload(struct parser *p, const struct wisp_type *type, uint32_t tag, char *native)
{
    memcpy(native, &tag, sizeof tag);
    const struct wisp_type_field *chosen = &type->fields[tag];
    if (!chosen->type) return 0;
    int r = expect_sign(p, '(');
    if (r == 0) r = parse(p, chosen->type, native + chosen->native_offset);
    return r < 0 ? r : expect_sign(p, ')');
}

static int parse_variant(struct parser *p, const struct wisp_type *type, char *native)
{
    skip_space(p);
    size_t start = p->at;
    uint32_t tag = wisp_value_field(type, take_label(p), UINT32_MAX);
    return tag == UINT32_MAX ? fail_name(p, start, "a case", type) : parse_payload(p, type, tag, native);
}

/* Option or result: the payload of case `tag` may stand for itself. */
static int parse_flat(struct parser *p, const struct wisp_type *type, uint32_t tag, char *native)
{
    const struct wisp_type_field *chosen = &type->fields[tag];
    if (!chosen->type || chosen->type->kind == WISP_TYPE_OPTION || chosen->type->kind == WISP_TYPE_RESULT)
        return fail(p, type->kind == WISP_TYPE_OPTION ? "`some(..)` or `none`" : "`ok` or `err`");
    memcpy(native, &tag, sizeof tag);
    return parse(p, chosen->type, native + chosen->native_offset);
}

static int parse_option(struct parser *p, const struct wisp_type *type, char *native)
{
    if (try_keyword(p, "none")) return parse_payload(p, type, 0, native);
    if (try_keyword(p, "some")) return parse_payload(p, type, 1, native);
    return parse_flat(p, type, 1, native);
}

static int parse_result(struct parser *p, const struct wisp_type *type, char *native)
{
    if (try_keyword(p, "ok")) return parse_payload(p, type, 0, native);
    if (try_keyword(p, "err")) return parse_payload(p, type, 1, native);
    return parse_flat(p, type, 0, native);
}

static int parse_bool(struct parser *p, void *native)
{
    bool value = try_keyword(p, "true");
    if (!value && !try_keyword(p, "false")) return fail(p, "`true` or `false`");
    *(bool *)native = value;
    return 0;
}

/* `native` is zeroed. */
static int parse(struct parser *p, const struct wisp_type *type, char *native)
{
    switch (type->kind) {
    case WISP_TYPE_BOOL:
        return parse_bool(p, native);
    case WISP_TYPE_F32:
    case WISP_TYPE_F64:
        return parse_float(p, type, native);
    case WISP_TYPE_CHAR:
        return parse_char(p, native);
    case WISP_TYPE_STRING:
        return parse_string(p, native);
    case WISP_TYPE_LIST:
        return parse_list(p, type->element, native);
    case WISP_TYPE_RECORD:
        return parse_record(p, type, native);
    case WISP_TYPE_TUPLE:
        return parse_tuple(p, type, native);
    case WISP_TYPE_FLAGS:
        return parse_flags(p, type, native);
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
        return parse_variant(p, type, native);
    case WISP_TYPE_OPTION:
        return parse_option(p, type, native);
    case WISP_TYPE_RESULT:
        return parse_result(p, type, native);
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
        return wisp_value_refuse_handle(p->err);
    default:
        return parse_integer(p, type, native);
    }
}

int wisp_wave_parse(struct wisp_arena *arena, const struct wisp_type *type, struct wisp_str text, void *native,
                    struct wisp_err *err)
{
    if (text.len > WISP_WAVE_TEXT_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "the text has more than %d MiB", WISP_WAVE_TEXT_MAX >> 20);
    if (!wisp_str_is_utf8(text)) return wisp_err_set(err, WISP_ERR_INVALID, "the text is not UTF-8");
    if (!text.len) text.ptr = "";
    struct parser p = {.text = text, .left = WISP_VALUE_BYTES_MAX, .arena = arena, .err = err};
    memset(native, 0, type->native_size);
    int r = parse(&p, type, native);
    if (r < 0) return r;
    skip_space(&p);
    return p.at == text.len ? 0 : fail(&p, "the end");
}
