/* SPDX-License-Identifier: Apache-2.0 */
/* Columns that are lists, but no arrays: what is seen, words of text searches, pairs. */
#include "capability/postgres/value_read_priv.h"

enum { TSQUERY_DEPTH_MAX = 64 };

WISP_PG_READ(snapshot, struct wisp_pg_snapshot)
{
    uint64_t n;
    if (wisp_pg_get(in, 4, &n, err) < 0 || wisp_pg_read_s64(in, &value->xmin, err) < 0 ||
        wisp_pg_read_s64(in, &value->xmax, err) < 0)
        return -WISP_ERR_INVALID;
    if (n > in->rest.len / 8) return wisp_pg_refuse_short(err);
    value->running.ptr = wisp_pg_reserve(in, (size_t)n, sizeof(int64_t), err);
    if (!value->running.ptr) return -WISP_ERR_LIMIT;
    value->running.len = (size_t)n;
    for (size_t i = 0; i < n; i++)
        if (wisp_pg_read_s64(in, &value->running.ptr[i], err) < 0) return -WISP_ERR_INVALID;
    return 0;
}

/* One lexeme of the server is one of ours for each place where it stands, or one without a place. */
WISP_PG_READ(tsvector, struct wisp_pg_list)
{
    size_t n, n_lexemes = 0;
    if (wisp_pg_get_count(in, 4, 3, &n, err) < 0) return -WISP_ERR_INVALID;
    size_t max = n + in->rest.len / 2;
    struct wisp_pg_lexeme *lexemes = wisp_pg_reserve(in, max, sizeof *lexemes, err);
    if (!lexemes) return -WISP_ERR_LIMIT;
    for (size_t i = 0; i < n; i++) {
        struct wisp_str text, data;
        size_t n_places;
        if (wisp_pg_get_cstr(in, &text, err) < 0 || wisp_pg_keep_text(in, text, &data, err) < 0 ||
            wisp_pg_get_count(in, 2, 2, &n_places, err) < 0)
            return -WISP_ERR_INVALID;
        if (!n_places) lexemes[n_lexemes++].data = data;
        for (size_t j = 0; j < n_places; j++) {
            uint64_t place;
            if (wisp_pg_get(in, 2, &place, err) < 0) return -WISP_ERR_INVALID;
            lexemes[n_lexemes++] = (struct wisp_pg_lexeme){
                .position = {1, place & 0x3fff}, .weight = {1, 3 - (uint32_t)(place >> 14)}, .data = data};
        }
    }
    *value = (struct wisp_pg_list){lexemes, n_lexemes};
    return 0;
}

WISP_PG_READ(hstore, struct wisp_pg_list)
{
    size_t n;
    if (wisp_pg_get_count(in, 4, 8, &n, err) < 0) return -WISP_ERR_INVALID;
    struct wisp_pg_entry *entries = wisp_pg_reserve(in, n, sizeof *entries, err);
    if (!entries) return -WISP_ERR_LIMIT;
    for (size_t i = 0; i < n; i++) {
        uint64_t size;
        struct wisp_str text;
        if (wisp_pg_get(in, 4, &size, err) < 0 || wisp_pg_get_bytes(in, (size_t)size, &text, err) < 0 ||
            wisp_pg_keep_text(in, text, &entries[i].key, err) < 0 || wisp_pg_get(in, 4, &size, err) < 0)
            return -WISP_ERR_INVALID;
        if (size == UINT32_MAX) continue;
        entries[i].value.is_some = 1;
        if (wisp_pg_get_bytes(in, (size_t)size, &text, err) < 0 ||
            wisp_pg_keep_text(in, text, &entries[i].value.text, err) < 0)
            return -WISP_ERR_INVALID;
    }
    *value = (struct wisp_pg_list){entries, n};
    return 0;
}

/* A tsquery in Polish notation: an operator, its right operand, its left one. */
static int append_query(struct wisp_pg_input *in, struct wisp_buf *out, unsigned depth, struct wisp_err *err);

static int append_query_word(struct wisp_pg_input *in, struct wisp_buf *out, struct wisp_err *err)
{
    uint64_t weights, is_prefix;
    struct wisp_str word;
    if (wisp_pg_get(in, 1, &weights, err) < 0 || wisp_pg_get(in, 1, &is_prefix, err) < 0 ||
        wisp_pg_get_cstr(in, &word, err) < 0)
        return -WISP_ERR_INVALID;
    wisp_buf_append_char(out, '\'');
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '\'' || word.ptr[i] == '\\') wisp_buf_append_char(out, word.ptr[i]);
        wisp_buf_append_char(out, word.ptr[i]);
    }
    wisp_buf_append_char(out, '\'');
    if (weights || is_prefix) wisp_buf_append_char(out, ':');
    if (is_prefix) wisp_buf_append_char(out, '*');
    for (int i = 0; i < 4; i++)
        if (weights & (8u >> i)) wisp_buf_append_char(out, "ABCD"[i]);
    return 0;
}

static int append_query_operator(struct wisp_pg_input *in, struct wisp_buf *out, unsigned depth, struct wisp_err *err)
{
    enum { NOT = 1, AND, OR, PHRASE };
    uint64_t operator, distance = 0;
    if (wisp_pg_get(in, 1, &operator, err) < 0) return -WISP_ERR_INVALID;
    if (operator== PHRASE && wisp_pg_get(in, 2, &distance, err) < 0) return -WISP_ERR_INVALID;
    if (operator== NOT) {
        wisp_buf_append_str(out, WISP_STR("!"));
        return append_query(in, out, depth + 1, err);
    }
    if (operator<AND || operator> PHRASE) return wisp_pg_refuse(err, "it is a tsquery with an unknown operator");
    WISP_CLEANUP_BUF struct wisp_buf right = {0};
    wisp_buf_append_str(out, WISP_STR("( "));
    if (append_query(in, &right, depth + 1, err) < 0 || append_query(in, out, depth + 1, err) < 0)
        return -WISP_ERR_INVALID;
    if (operator== PHRASE && distance != 1)
        wisp_buf_printf(out, " <%u> ", (unsigned)distance);
    else
        wisp_buf_append_str(out, operator== AND  ? WISP_STR(" & ")
                                 : operator== OR ? WISP_STR(" | ")
                                                 : WISP_STR(" <-> "));
    wisp_buf_append_str(out, wisp_buf_str(&right));
    wisp_buf_append_str(out, WISP_STR(" )"));
    return 0;
}

static int append_query(struct wisp_pg_input *in, struct wisp_buf *out, unsigned depth, struct wisp_err *err)
{
    uint64_t kind;
    if (depth > TSQUERY_DEPTH_MAX) return wisp_pg_refuse(err, "it is a tsquery that nests too deep");
    if (wisp_pg_get(in, 1, &kind, err) < 0) return -WISP_ERR_INVALID;
    if (kind == 1) return append_query_word(in, out, err);
    if (kind == 2) return append_query_operator(in, out, depth, err);
    return wisp_pg_refuse(err, "it is a tsquery with an unknown part");
}

WISP_PG_READ(tsquery, struct wisp_str)
{
    uint64_t n;
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    if (wisp_pg_get(in, 4, &n, err) < 0 || (n && append_query(in, &out, 0, err) < 0)) return -WISP_ERR_INVALID;
    return wisp_pg_keep_text(in, wisp_buf_str(&out), value, err);
}
