/* SPDX-License-Identifier: Apache-2.0 */
#include "component/host/host_signature.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct parser {
    const struct wisp_signature_names *names;
    struct wisp_str text;
    size_t at;
    int depth;
    struct wisp_err *err;
    /* Types of the bracketed lists that are open, the innermost last, until their numbers are known; NULL stands
     * for `_`. */
    const struct wisp_type **parts;
    uint32_t n_parts, capacity;
};

static int parse_type(struct parser *p, const struct wisp_type **ret_type);

/* --- words and signs --- */

static void skip_space(struct parser *p)
{
    while (p->at < p->text.len && (p->text.ptr[p->at] == ' ' || p->text.ptr[p->at] == '\n')) p->at++;
}

static int fail(struct parser *p, const char *expected)
{
    struct wisp_str rest = {p->text.ptr + p->at, p->text.len - p->at};
    if (rest.len > 24) rest.len = 24;
    return wisp_err_set(p->err, WISP_ERR_INVALID, "expected %s at column %zu, where there is %s%.*s%s", expected,
                        p->at + 1, rest.len ? "`" : "the end", WISP_STR_ARG(rest), rest.len ? "`" : "");
}

static bool try_sign(struct parser *p, const char *sign)
{
    skip_space(p);
    struct wisp_str rest = {p->text.ptr + p->at, p->text.len - p->at}, wanted = wisp_str_from(sign);
    if (!wisp_str_starts_with(rest, wanted)) return false;
    p->at += wanted.len;
    return true;
}

static int expect_sign(struct parser *p, const char *sign)
{
    if (try_sign(p, sign)) return 0;
    char expected[16];
    snprintf(expected, sizeof expected, "`%s`", sign);
    return fail(p, expected);
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

/* Empty when there is no word. */
static struct wisp_str try_word(struct parser *p)
{
    skip_space(p);
    size_t start = p->at;
    while (p->at < p->text.len && is_word_char(p->text.ptr[p->at])) p->at++;
    return (struct wisp_str){p->text.ptr + start, p->at - start};
}

static int expect_end(struct parser *p)
{
    skip_space(p);
    return p->at == p->text.len ? 0 : fail(p, "the end");
}

/* --- bracketed lists --- */

static void push_part(struct parser *p, const struct wisp_type *type)
{
    if (p->n_parts == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 16;
        p->parts = wisp_mem_realloc(p->parts, p->capacity * sizeof *p->parts);
    }
    p->parts[p->n_parts++] = type;
}

/* After the opening bracket; the types are pushed. */
static int parse_parts(struct parser *p, const char *close, bool may_be_empty)
{
    if (try_sign(p, close)) return 0;
    for (;;) {
        const struct wisp_type *type = NULL;
        int r;
        if (!(may_be_empty && try_sign(p, "_")) && (r = parse_type(p, &type)) < 0) return r;
        push_part(p, type);
        if (try_sign(p, close)) return 0;
        if ((r = expect_sign(p, ",")) < 0) return r;
    }
}

/* Pops the types from `first` on. Numbered: fields without names of their own are called by their number, for
 * messages: "record{0: u8, 1: string}". */
static struct wisp_type_field *pop_fields(struct parser *p, uint32_t first, bool numbered, uint32_t *ret_n)
{
    uint32_t n = p->n_parts - first;
    struct wisp_type_field *fields = WISP_NEW_ARRAY(p->names->arena, struct wisp_type_field, n);
    for (uint32_t i = 0; i < n; i++) {
        if (numbered) fields[i].name = wisp_str_from(wisp_arena_printf(p->names->arena, "%u", i));
        fields[i].type = p->parts[first + i];
    }
    p->n_parts = first;
    *ret_n = n;
    return fields;
}

static int make_compound(struct parser *p, enum wisp_type_kind kind, uint32_t first, const struct wisp_type **ret_type)
{
    uint32_t n;
    struct wisp_type_field *fields = pop_fields(p, first, kind != WISP_TYPE_TUPLE, &n);
    if (n == 0) return fail(p, "at least one part in the type before this");
    return wisp_type_compound(p->names->arena, kind, fields, n, ret_type, p->err);
}

static int parse_fields(struct parser *p, enum wisp_type_kind kind, const char *open, const char *close,
                        const struct wisp_type **ret_type)
{
    uint32_t first = p->n_parts;
    int r = expect_sign(p, open);
    if (r < 0) return r;
    if ((r = parse_parts(p, close, kind == WISP_TYPE_VARIANT)) < 0) return r;
    return make_compound(p, kind, first, ret_type);
}

/* enum(3), flags(3) */
static int parse_count(struct parser *p, enum wisp_type_kind kind, const struct wisp_type **ret_type)
{
    int r = expect_sign(p, "(");
    if (r < 0) return r;
    struct wisp_str word = try_word(p);
    uint32_t n = 0;
    for (size_t i = 0; i < word.len && n <= WISP_SIGNATURE_CASES_MAX; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9') return fail(p, "a number before this");
        n = 10 * n + (uint32_t)(word.ptr[i] - '0');
    }
    if (n == 0 || n > WISP_SIGNATURE_CASES_MAX) return fail(p, "a number from 1 to 4096 before this");
    if ((r = expect_sign(p, ")")) < 0) return r;
    uint32_t first = p->n_parts;
    for (uint32_t i = 0; i < n; i++) push_part(p, NULL);
    return make_compound(p, kind, first, ret_type);
}

/* --- types with parameters --- */

static int parse_with_part(struct parser *p, enum wisp_type_kind kind, const struct wisp_type **ret_type)
{
    const struct wisp_type *part;
    int r = expect_sign(p, "<");
    if (r < 0) return r;
    if ((r = parse_type(p, &part)) < 0) return r;
    if ((r = expect_sign(p, ">")) < 0) return r;
    if (kind == WISP_TYPE_LIST) return wisp_type_list(p->names->arena, part, ret_type, p->err);
    if (kind == WISP_TYPE_OPTION) return wisp_type_option(p->names->arena, part, ret_type, p->err);
    return wisp_type_stream(p->names->arena, kind, part, ret_type, p->err);
}

static int parse_result(struct parser *p, const struct wisp_type **ret_type)
{
    const struct wisp_type *ok = NULL, *error = NULL;
    int r;
    if (try_sign(p, "<")) {
        if (!try_sign(p, "_") && (r = parse_type(p, &ok)) < 0) return r;
        if (try_sign(p, ",") && (r = parse_type(p, &error)) < 0) return r;
        if ((r = expect_sign(p, ">")) < 0) return r;
    }
    return wisp_type_result(p->names->arena, ok, error, ret_type, p->err);
}

static int parse_handle(struct parser *p, enum wisp_type_kind kind, const struct wisp_type **ret_type)
{
    int r = expect_sign(p, "<");
    if (r < 0) return r;
    size_t start = p->at;
    struct wisp_resource *resource = wisp_map_get(p->names->resources, try_word(p));
    if (!resource) {
        p->at = start;
        return fail(p, "the name of a resource");
    }
    if ((r = expect_sign(p, ">")) < 0) return r;
    *ret_type = wisp_type_handle(p->names->arena, kind, resource);
    return 0;
}

static const char *const primitive_names[] = {
    [WISP_TYPE_BOOL] = "bool",    [WISP_TYPE_S8] = "s8",   [WISP_TYPE_U8] = "u8",   [WISP_TYPE_S16] = "s16",
    [WISP_TYPE_U16] = "u16",      [WISP_TYPE_S32] = "s32", [WISP_TYPE_U32] = "u32", [WISP_TYPE_S64] = "s64",
    [WISP_TYPE_U64] = "u64",      [WISP_TYPE_F32] = "f32", [WISP_TYPE_F64] = "f64", [WISP_TYPE_CHAR] = "char",
    [WISP_TYPE_STRING] = "string"};

/* A word that takes no parameters: primitive, defined name, resource. NULL when it is none of them. */
static const struct wisp_type *named_type(struct parser *p, struct wisp_str word)
{
    for (size_t kind = 0; kind < WISP_COUNT(primitive_names); kind++)
        if (wisp_str_is(word, primitive_names[kind])) return wisp_type_primitive((enum wisp_type_kind)kind);
    const struct wisp_type *defined = wisp_map_get(&p->names->types, word);
    if (defined) return defined;
    struct wisp_resource *resource = wisp_map_get(p->names->resources, word);
    return resource ? wisp_type_handle(p->names->arena, WISP_TYPE_OWN, resource) : NULL;
}

static int parse_word_type(struct parser *p, const struct wisp_type **ret_type)
{
    size_t start = p->at;
    struct wisp_str word = try_word(p);
    if (wisp_str_is(word, "list")) return parse_with_part(p, WISP_TYPE_LIST, ret_type);
    if (wisp_str_is(word, "option")) return parse_with_part(p, WISP_TYPE_OPTION, ret_type);
    if (wisp_str_is(word, "stream")) return parse_with_part(p, WISP_TYPE_STREAM, ret_type);
    if (wisp_str_is(word, "future")) return parse_with_part(p, WISP_TYPE_FUTURE, ret_type);
    if (wisp_str_is(word, "tuple")) return parse_fields(p, WISP_TYPE_TUPLE, "<", ">", ret_type);
    if (wisp_str_is(word, "record")) return parse_fields(p, WISP_TYPE_RECORD, "{", "}", ret_type);
    if (wisp_str_is(word, "variant")) return parse_fields(p, WISP_TYPE_VARIANT, "{", "}", ret_type);
    if (wisp_str_is(word, "enum")) return parse_count(p, WISP_TYPE_ENUM, ret_type);
    if (wisp_str_is(word, "flags")) return parse_count(p, WISP_TYPE_FLAGS, ret_type);
    if (wisp_str_is(word, "result")) return parse_result(p, ret_type);
    if (wisp_str_is(word, "own")) return parse_handle(p, WISP_TYPE_OWN, ret_type);
    if (wisp_str_is(word, "borrow")) return parse_handle(p, WISP_TYPE_BORROW, ret_type);
    *ret_type = named_type(p, word);
    if (*ret_type) return 0;
    p->at = start;
    return fail(p, "a type");
}

static int parse_type(struct parser *p, const struct wisp_type **ret_type)
{
    skip_space(p);
    if (p->depth == WISP_SIGNATURE_DEPTH_MAX) return fail(p, "no deeper nesting");
    p->depth++;
    int r = parse_word_type(p, ret_type);
    p->depth--;
    return r;
}

/* --- entry points --- */

static int check_size(struct wisp_str text, struct wisp_err *err)
{
    if (text.len <= WISP_SIGNATURE_SIZE_MAX) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "a signature of %zu bytes", text.len);
}

static int define(struct parser *p, struct wisp_signature_names *names)
{
    struct wisp_str name = try_word(p);
    if (!name.len) return fail(p, "a name");
    if (named_type(p, name))
        return wisp_err_set(p->err, WISP_ERR_INVALID, "`%.*s` is defined already", WISP_STR_ARG(name));
    const struct wisp_type *type;
    int r;
    if ((r = expect_sign(p, "=")) < 0 || (r = parse_type(p, &type)) < 0 || (r = expect_end(p)) < 0) return r;
    struct wisp_type *named = WISP_NEW(names->arena, struct wisp_type);
    *named = *type;
    named->name = wisp_arena_str(names->arena, name);
    wisp_map_add(&names->types, named->name, named);
    return 0;
}

static int parse_signature(struct parser *p, const struct wisp_func_type **ret_type)
{
    const struct wisp_type *result = NULL;
    int r;
    if ((r = expect_sign(p, "(")) < 0 || (r = parse_parts(p, ")", false)) < 0) return r;
    uint32_t n_params;
    struct wisp_type_field *params = pop_fields(p, 0, false, &n_params);
    if (try_sign(p, "->") && (r = parse_type(p, &result)) < 0) return r;
    if ((r = expect_end(p)) < 0) return r;
    return wisp_type_func(p->names->arena, params, n_params, result, ret_type, p->err);
}

int wisp_signature_define(struct wisp_signature_names *names, struct wisp_str definition, struct wisp_err *err)
{
    int r = check_size(definition, err);
    if (r < 0) return r;
    struct parser p = {.names = names, .text = definition, .err = err};
    r = define(&p, names);
    free(p.parts);
    return r;
}

int wisp_signature_parse(const struct wisp_signature_names *names, struct wisp_str signature,
                         const struct wisp_func_type **ret_type, struct wisp_err *err)
{
    int r = check_size(signature, err);
    if (r < 0) return r;
    struct parser p = {.names = names, .text = signature, .err = err};
    r = parse_signature(&p, ret_type);
    free(p.parts);
    return r;
}
