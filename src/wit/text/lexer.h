/* SPDX-License-Identifier: Apache-2.0 */
/* Words and signs of WIT text. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

enum wisp_wit_token_kind {
    WISP_WIT_TOKEN_END,
    WISP_WIT_TOKEN_NAME, /* an identifier or a keyword; without its % */
    WISP_WIT_TOKEN_SIGN, /* "{", "->", ... */
};

struct wisp_wit_token {
    enum wisp_wit_token_kind kind;
    struct wisp_str text;
    bool is_escaped; /* had a %: it is no keyword */
    uint32_t line, column;
};

/* The token that is next is always known. */
struct wisp_wit_lexer {
    const char *file;
    struct wisp_str text;
    size_t at;
    uint32_t line;
    size_t line_start;
    struct wisp_str docs; /* comments right before `next`: from the first of them to the end of the last */
    struct wisp_wit_token next;
    struct wisp_err *err;
};

/* All of these return 0, or negative with lexer->err filled. */
int wisp_wit_lexer_init(struct wisp_wit_lexer *lexer, const char *file, struct wisp_str text, struct wisp_err *err);
int wisp_wit_lexer_advance(struct wisp_wit_lexer *lexer);
/* What stands after an `@` sign that was just taken: "0.2.0-draft". The token that is next is part of it. */
int wisp_wit_lexer_version(struct wisp_wit_lexer *lexer, struct wisp_str *ret_version);
/* INVALID at a token. */
int wisp_wit_lexer_fail(struct wisp_wit_lexer *lexer, const char *expected);

bool wisp_wit_token_is(const struct wisp_wit_token *token, const char *word_or_sign);
/* The text of documentation comments, without their signs. */
struct wisp_str wisp_wit_docs_text(struct wisp_arena *arena, struct wisp_str docs);
