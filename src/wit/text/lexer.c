/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/text/lexer.h"

#include "base/mem.h"

static struct wisp_str rest(const struct wisp_wit_lexer *lexer)
{
    return (struct wisp_str){lexer->text.ptr + lexer->at, lexer->text.len - lexer->at};
}

static bool starts(const struct wisp_wit_lexer *lexer, const char *sign)
{
    return wisp_str_starts_with(rest(lexer), wisp_str_from(sign));
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static int fail_here(struct wisp_wit_lexer *lexer, const char *what)
{
    return wisp_err_set(lexer->err, WISP_ERR_INVALID, "%s:%u:%zu: %s", lexer->file, lexer->line,
                        lexer->at - lexer->line_start + 1, what);
}

static void skip_char(struct wisp_wit_lexer *lexer)
{
    if (lexer->text.ptr[lexer->at++] != '\n') return;
    lexer->line++;
    lexer->line_start = lexer->at;
}

static void skip_line(struct wisp_wit_lexer *lexer)
{
    while (lexer->at < lexer->text.len && lexer->text.ptr[lexer->at] != '\n') lexer->at++;
}

/* They nest. */
static int skip_block(struct wisp_wit_lexer *lexer)
{
    uint32_t depth = 0;
    do {
        if (lexer->at >= lexer->text.len) return fail_here(lexer, "a comment has no end");
        if (starts(lexer, "/*")) {
            depth++;
            lexer->at += 2;
        } else if (starts(lexer, "*/")) {
            depth--;
            lexer->at += 2;
        } else {
            skip_char(lexer);
        }
    } while (depth);
    return 0;
}

static int skip_comment(struct wisp_wit_lexer *lexer)
{
    bool is_doc = starts(lexer, "///") || (starts(lexer, "/**") && !starts(lexer, "/**/"));
    size_t from = lexer->at;
    if (starts(lexer, "//")) {
        skip_line(lexer);
    } else {
        int r = skip_block(lexer);
        if (r < 0) return r;
    }
    if (!is_doc) return 0;
    if (!lexer->docs.ptr) lexer->docs.ptr = lexer->text.ptr + from;
    lexer->docs.len = (size_t)(lexer->text.ptr + lexer->at - lexer->docs.ptr);
    return 0;
}

static int skip_blank(struct wisp_wit_lexer *lexer)
{
    while (lexer->at < lexer->text.len) {
        char c = lexer->text.ptr[lexer->at];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            skip_char(lexer);
            continue;
        }
        if (!starts(lexer, "//") && !starts(lexer, "/*")) return 0;
        int r = skip_comment(lexer);
        if (r < 0) return r;
    }
    return 0;
}

/* Words of letters and digits with a dash between them, each all lower or all upper case. */
static int check_name(struct wisp_wit_lexer *lexer, struct wisp_str name)
{
    char before = '-';
    bool has_lower = false, has_upper = false;
    for (size_t i = 0; i <= name.len; i++) {
        char c = i < name.len ? name.ptr[i] : '-';
        if (c == '-') {
            if (before == '-' || (has_lower && has_upper)) break;
            has_lower = has_upper = false;
            if (i == name.len) return 0;
        } else if (before == '-' && !is_letter(c)) {
            break;
        }
        has_lower |= c >= 'a' && c <= 'z';
        has_upper |= c >= 'A' && c <= 'Z';
        before = c;
    }
    return wisp_err_set(lexer->err, WISP_ERR_INVALID,
                        "%s:%u:%u: `%.*s` is no name: words of letters and digits with single dashes between",
                        lexer->file, lexer->next.line, lexer->next.column, WISP_STR_ARG(name));
}

static int take_name(struct wisp_wit_lexer *lexer)
{
    lexer->next.is_escaped = lexer->text.ptr[lexer->at] == '%';
    lexer->at += lexer->next.is_escaped;
    size_t from = lexer->at;
    while (lexer->at < lexer->text.len) {
        char c = lexer->text.ptr[lexer->at];
        if (!is_letter(c) && !is_digit(c) && c != '-') break;
        if (c == '-' && starts(lexer, "->")) break;
        lexer->at++;
    }
    lexer->next.kind = WISP_WIT_TOKEN_NAME;
    lexer->next.text = (struct wisp_str){lexer->text.ptr + from, lexer->at - from};
    return check_name(lexer, lexer->next.text);
}

int wisp_wit_lexer_advance(struct wisp_wit_lexer *lexer)
{
    lexer->docs = (struct wisp_str){0};
    int r = skip_blank(lexer);
    if (r < 0) return r;
    lexer->next = (struct wisp_wit_token){.line = lexer->line, .column = (uint32_t)(lexer->at - lexer->line_start + 1)};
    if (lexer->at == lexer->text.len) return 0;
    char c = lexer->text.ptr[lexer->at];
    if (is_letter(c) || c == '%') return take_name(lexer);
    bool is_long = starts(lexer, "->");
    if (!is_long && (c == 0 || !strchr("{}()<>,:;=./@*_", c))) {
        /* A version's digits begin no token of their own. */
        if (!is_digit(c)) return fail_here(lexer, "this character has no meaning in WIT");
    }
    lexer->next.kind = WISP_WIT_TOKEN_SIGN;
    lexer->next.text = (struct wisp_str){lexer->text.ptr + lexer->at, is_long ? 2 : 1};
    lexer->at += lexer->next.text.len;
    return 0;
}

int wisp_wit_lexer_init(struct wisp_wit_lexer *lexer, const char *file, struct wisp_str text, struct wisp_err *err)
{
    *lexer = (struct wisp_wit_lexer){.file = file, .text = text, .line = 1, .err = err};
    if (!wisp_str_is_utf8(text)) return wisp_err_set(err, WISP_ERR_INVALID, "%s: it is not UTF-8", file);
    return wisp_wit_lexer_advance(lexer);
}

int wisp_wit_lexer_version(struct wisp_wit_lexer *lexer, struct wisp_str *ret_version)
{
    size_t from = lexer->next.kind == WISP_WIT_TOKEN_END ? lexer->at : (size_t)(lexer->next.text.ptr - lexer->text.ptr);
    size_t at = from;
    while (at < lexer->text.len) {
        char c = lexer->text.ptr[at];
        bool is_dot = c == '.' && at + 1 < lexer->text.len && lexer->text.ptr[at + 1] != '{';
        if (!is_letter(c) && !is_digit(c) && c != '-' && c != '+' && !is_dot) break;
        at++;
    }
    if (at == from || !is_digit(lexer->text.ptr[from])) return wisp_wit_lexer_fail(lexer, "a version");
    *ret_version = (struct wisp_str){lexer->text.ptr + from, at - from};
    lexer->at = at;
    return wisp_wit_lexer_advance(lexer);
}

int wisp_wit_lexer_fail(struct wisp_wit_lexer *lexer, const char *expected)
{
    const struct wisp_wit_token *token = &lexer->next;
    if (token->kind == WISP_WIT_TOKEN_END)
        return wisp_err_set(lexer->err, WISP_ERR_INVALID, "%s:%u:%u: expected %s, where the file ends", lexer->file,
                            token->line, token->column, expected);
    return wisp_err_set(lexer->err, WISP_ERR_INVALID, "%s:%u:%u: expected %s, where there is `%.*s`", lexer->file,
                        token->line, token->column, expected, WISP_STR_ARG(token->text));
}

bool wisp_wit_token_is(const struct wisp_wit_token *token, const char *word_or_sign)
{
    return token->kind != WISP_WIT_TOKEN_END && !token->is_escaped && wisp_str_is(token->text, word_or_sign);
}

static struct wisp_str trim(struct wisp_str line)
{
    static const char signs[] = " \t\r*/";
    while (line.len && strchr(signs, line.ptr[0])) line = (struct wisp_str){line.ptr + 1, line.len - 1};
    while (line.len && strchr(signs, line.ptr[line.len - 1])) line.len--;
    return line;
}

struct wisp_str wisp_wit_docs_text(struct wisp_arena *arena, struct wisp_str docs)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    while (docs.len) {
        struct wisp_str line = docs, tail = {0};
        wisp_str_split(docs, '\n', &line, &tail);
        docs = tail;
        line = trim(line);
        if (!line.len && !text.len) continue;
        if (text.len) wisp_buf_append_char(&text, '\n');
        wisp_buf_append_str(&text, line);
    }
    while (text.len && text.data[text.len - 1] == '\n') text.len--;
    return wisp_arena_str(arena, wisp_buf_str(&text));
}
