/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/blobstore/xml.h"

enum { NAME_BYTES_MAX = 128, ENTITY_BYTES_MAX = 12 };

struct reader {
    struct wisp_str all, rest;
    struct wisp_arena *arena;
    struct wisp_str path[WISP_XML_DEPTH_MAX];
    size_t depth, n_elements;
    bool has_elements; /* the last thing closed was inside of the element we are in */
    struct wisp_buf text;
    void (*on_element)(const struct wisp_xml_element *element, void *env);
    void *env;
    struct wisp_err *err;
};

static int malformed(const struct reader *reader, const char *what)
{
    return wisp_err_set(reader->err, WISP_ERR_INVALID, "XML, byte %zu: %s",
                        (size_t)(reader->all.len - reader->rest.len), what);
}

static void skip(struct reader *reader, size_t n)
{
    reader->rest.ptr += n;
    reader->rest.len -= n;
}

static bool take(struct reader *reader, struct wisp_str words)
{
    if (!wisp_str_starts_with(reader->rest, words)) return false;
    skip(reader, words.len);
    return true;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static void skip_blanks(struct reader *reader)
{
    while (reader->rest.len && is_blank(reader->rest.ptr[0])) skip(reader, 1);
}

static bool skip_past(struct reader *reader, struct wisp_str words)
{
    const char *at = reader->rest.len ? memmem(reader->rest.ptr, reader->rest.len, words.ptr, words.len) : NULL;
    if (!at) return false;
    skip(reader, (size_t)(at - reader->rest.ptr) + words.len);
    return true;
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.' || c == ':';
}

static int take_name(struct reader *reader, struct wisp_str *ret_name)
{
    size_t n = 0;
    while (n < reader->rest.len && is_name(reader->rest.ptr[n])) n++;
    if (n == 0 || n > NAME_BYTES_MAX) return malformed(reader, "a name is expected");
    *ret_name = (struct wisp_str){reader->rest.ptr, n};
    skip(reader, n);
    return 0;
}

/* --- text --- */

static void append_utf8(struct wisp_buf *out, uint32_t c)
{
    char bytes[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6) bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
    wisp_buf_append(out, bytes, n);
}

static int numeric(struct reader *reader, struct wisp_str digits)
{
    uint32_t base = 10, value = 0;
    if (digits.len && digits.ptr[0] == 'x') base = 16, digits.ptr++, digits.len--;
    if (digits.len == 0) return malformed(reader, "an empty character reference");
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.ptr[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 99;
        value = value * base + digit;
        if (digit >= base || value > 0x10ffff) return malformed(reader, "no character has this number");
    }
    if (value == 0 || (value >= 0xd800 && value < 0xe000)) return malformed(reader, "no character has this number");
    append_utf8(&reader->text, value);
    return 0;
}

/* After the ampersand. */
static int entity(struct reader *reader)
{
    static const struct {
        struct wisp_str name;
        char c;
    } known[] = {{WISP_STR_INIT("amp"), '&'},
                 {WISP_STR_INIT("lt"), '<'},
                 {WISP_STR_INIT("gt"), '>'},
                 {WISP_STR_INIT("quot"), '"'},
                 {WISP_STR_INIT("apos"), '\''}};
    struct wisp_str name, rest;
    if (!wisp_str_split(reader->rest, ';', &name, &rest) || name.len > ENTITY_BYTES_MAX)
        return malformed(reader, "an unfinished reference");
    if (name.len && name.ptr[0] == '#') {
        int r = numeric(reader, (struct wisp_str){name.ptr + 1, name.len - 1});
        reader->rest = rest;
        return r;
    }
    for (size_t i = 0; i < WISP_COUNT(known); i++) {
        if (!wisp_str_equal(name, known[i].name)) continue;
        wisp_buf_append_char(&reader->text, known[i].c);
        reader->rest = rest;
        return 0;
    }
    return malformed(reader, "an unknown reference");
}

/* Up to the next `<`. */
static int take_text(struct reader *reader)
{
    while (reader->rest.len && reader->rest.ptr[0] != '<') {
        size_t n = 0;
        while (n < reader->rest.len && reader->rest.ptr[n] != '<' && reader->rest.ptr[n] != '&') n++;
        if (n) wisp_buf_append(&reader->text, reader->rest.ptr, n);
        skip(reader, n);
        if (!take(reader, WISP_STR("&"))) continue;
        int r = entity(reader);
        if (r < 0) return r;
    }
    return 0;
}

/* --- elements --- */

static int skip_attribute(struct reader *reader)
{
    struct wisp_str name;
    int r = take_name(reader, &name);
    if (r < 0) return r;
    skip_blanks(reader);
    if (!take(reader, WISP_STR("="))) return malformed(reader, "`=` is expected");
    skip_blanks(reader);
    bool is_single = take(reader, WISP_STR("'"));
    if (!is_single && !take(reader, WISP_STR("\""))) return malformed(reader, "a quoted value is expected");
    if (!skip_past(reader, is_single ? WISP_STR("'") : WISP_STR("\"")))
        return malformed(reader, "an unfinished attribute");
    return 0;
}

static int close_element(struct reader *reader)
{
    struct wisp_xml_element element = {.path = reader->path, .depth = reader->depth};
    struct wisp_str text = wisp_buf_str(&reader->text);
    if (!reader->has_elements && !wisp_str_is_utf8(text)) return malformed(reader, "text that is no UTF-8");
    if (!reader->has_elements) element.text = wisp_arena_str(reader->arena, text);
    reader->on_element(&element, reader->env);
    reader->depth--;
    reader->has_elements = true;
    reader->text.len = 0;
    return 0;
}

static int open_element(struct reader *reader)
{
    struct wisp_str name;
    if (reader->depth == WISP_XML_DEPTH_MAX || ++reader->n_elements > WISP_XML_ELEMENTS_MAX)
        return wisp_err_set(reader->err, WISP_ERR_LIMIT, "XML: too many elements");
    int r = take_name(reader, &name);
    if (r < 0) return r;
    reader->path[reader->depth++] = name;
    reader->has_elements = false;
    reader->text.len = 0;
    for (;;) {
        skip_blanks(reader);
        if (take(reader, WISP_STR("/>"))) return close_element(reader);
        if (take(reader, WISP_STR(">"))) return 0;
        r = skip_attribute(reader);
        if (r < 0) return r;
    }
}

static int end_element(struct reader *reader)
{
    struct wisp_str name;
    int r = take_name(reader, &name);
    if (r < 0) return r;
    if (!wisp_str_equal(name, reader->path[reader->depth - 1])) return malformed(reader, "another element's end");
    skip_blanks(reader);
    if (!take(reader, WISP_STR(">"))) return malformed(reader, "`>` is expected");
    return close_element(reader);
}

static int skip_comments(struct reader *reader)
{
    for (;;) {
        skip_blanks(reader);
        if (!take(reader, WISP_STR("<!--"))) return 0;
        if (!skip_past(reader, WISP_STR("-->"))) return malformed(reader, "an unfinished comment");
    }
}

static int read_content(struct reader *reader)
{
    while (reader->depth > 0) {
        int r = take_text(reader);
        if (r < 0) return r;
        if (take(reader, WISP_STR("<!--"))) {
            if (!skip_past(reader, WISP_STR("-->"))) return malformed(reader, "an unfinished comment");
        } else if (take(reader, WISP_STR("</"))) {
            r = end_element(reader);
        } else if (take(reader, WISP_STR("<"))) {
            r = open_element(reader);
        } else {
            r = malformed(reader, "an element has no end");
        }
        if (r < 0) return r;
    }
    return 0;
}

static int read_document(struct reader *reader)
{
    take(reader, WISP_STR("\xef\xbb\xbf"));
    if (take(reader, WISP_STR("<?xml")) && !skip_past(reader, WISP_STR("?>")))
        return malformed(reader, "an unfinished declaration");
    int r = skip_comments(reader);
    if (r < 0) return r;
    if (!take(reader, WISP_STR("<"))) return malformed(reader, "an element is expected");
    r = open_element(reader);
    if (r == 0) r = read_content(reader);
    if (r == 0) r = skip_comments(reader);
    if (r == 0 && reader->rest.len) r = malformed(reader, "something follows");
    return r;
}

int wisp_xml_read(struct wisp_str document, struct wisp_arena *arena,
                  void (*on_element)(const struct wisp_xml_element *element, void *env), void *env,
                  struct wisp_err *err)
{
    struct reader reader = {
        .all = document, .rest = document, .arena = arena, .on_element = on_element, .env = env, .err = err};
    int r = read_document(&reader);
    wisp_buf_deinit(&reader.text);
    return r;
}

bool wisp_xml_is(const struct wisp_xml_element *element, const char *outer, const char *inner)
{
    size_t depth = element->depth;
    return depth >= 2 && wisp_str_is(element->path[depth - 1], inner) && wisp_str_is(element->path[depth - 2], outer);
}

/* --- writing --- */

bool wisp_xml_append(struct wisp_buf *out, struct wisp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 && c != '\t' && c != '\n' && c != '\r') return false;
        if (c < 0x20 || strchr("&<>\"'", c))
            wisp_buf_printf(out, "&#%u;", c);
        else
            wisp_buf_append_char(out, (char)c);
    }
    return true;
}
