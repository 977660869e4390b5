/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include "base/nearest.h"

#include "base/mem.h"
#include "base/parse.h"

#include <stdio.h>
#include <stdlib.h>

const struct wisp_arg_option *wisp_verb_option(const struct wisp_verb *verb, size_t i)
{
    if (i < verb->n_options) return &verb->options[i];
    i -= verb->n_options;
    return verb->shared && i < verb->shared->n_options ? &verb->shared->options[i] : NULL;
}

const char *wisp_verb_word(const struct wisp_verb *verb)
{
    const char *blank = strrchr(verb->name, ' ');
    return blank ? blank + 1 : verb->name;
}

struct wisp_str wisp_args_next_word(const char **text)
{
    const char *begin = *text ? *text + strspn(*text, " ") : "";
    size_t size = strcspn(begin, " ");
    *text = begin + size;
    return (struct wisp_str){begin, size};
}

bool wisp_args_has_word(const char *words, struct wisp_str word)
{
    for (struct wisp_str each; (each = wisp_args_next_word(&words)).len;)
        if (wisp_str_equal(each, word)) return true;
    return false;
}

struct parser {
    const struct wisp_verb *verb;
    struct wisp_arena *arena;
    char *values;
    int argc, at;
    char **argv;
    size_t n_operands;
    bool wants_help;
    struct wisp_err *err;
};

/* --- values --- */

static void append(struct parser *parser, struct wisp_arg_list *list, const char *item)
{
    /* The list can't have more items than there are arguments. */
    if (!list->items) list->items = WISP_NEW_ARRAY(parser->arena, const char *, (size_t)parser->argc + 1);
    list->items[list->count++] = item;
}

static int store_choice(const struct wisp_arg_option *option, const char *text, int *field, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf all = {0};
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *field = i;
            return 0;
        }
        wisp_buf_printf(&all, "%s%s", i ? ", " : "", option->choices[i]);
    }
    return wisp_err_set(err, WISP_ERR_USAGE, "`%s` is none of %.*s", text, WISP_STR_ARG(wisp_buf_str(&all)));
}

/* NUMBER, SIZE, DURATION, MILLISECONDS. `text` ends with a NUL. */
static int store_number(const struct wisp_arg_option *option, struct wisp_str text, void *field, struct wisp_err *err)
{
    uint64_t value;
    bool is_bare = strspn(text.ptr, "0123456789") == text.len;
    int r;
    if (option->kind == WISP_ARG_SIZE)
        r = wisp_parse_size(text, &value, err);
    else if (option->kind == WISP_ARG_DURATION || (option->kind == WISP_ARG_MILLISECONDS && !is_bare))
        r = wisp_parse_duration(text, &value, err);
    else
        r = wisp_parse_u64(text, option->max ? option->max : UINT32_MAX, &value, err);
    if (r < 0) return r;
    if (option->is_positive && !value) return wisp_err_set(err, WISP_ERR_USAGE, "it must be more than 0");
    if (option->kind == WISP_ARG_NUMBER)
        *(uint32_t *)field = (uint32_t)value;
    else
        *(uint64_t *)field = value;
    return 0;
}

/* A flag given as such has no text; a variable says which. */
static int store_flag(bool *field, const char *text, struct wisp_err *err)
{
    bool is_true = !text || strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    if (!is_true && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
        return wisp_err_set(err, WISP_ERR_USAGE, "`%s` is neither `true` nor `false`", text);
    *field = is_true;
    return 0;
}

/* `name` is what it was given by. */
static int store(struct parser *parser, const struct wisp_arg_option *option, const char *name, const char *text)
{
    void *field = parser->values + option->offset;
    if (option->unused) {
        fprintf(stderr, "wisp: note: %s means nothing here: %s\n", name, option->unused);
        return 0;
    }
    switch (option->kind) {
    case WISP_ARG_FLAG:
        return store_flag(field, text, parser->err);
    case WISP_ARG_TEXT:
        *(const char **)field = text;
        return 0;
    case WISP_ARG_LIST:
        append(parser, field, text);
        return 0;
    case WISP_ARG_NUMBER:
    case WISP_ARG_SIZE:
    case WISP_ARG_DURATION:
    case WISP_ARG_MILLISECONDS:
        return store_number(option, wisp_str_from(text), field, parser->err);
    case WISP_ARG_CHOICE:
        return store_choice(option, text, field, parser->err);
    }
    return wisp_err_set(parser->err, WISP_ERR_INTERNAL, "option `--%s` has no kind", option->name);
}

static int store_environment(struct parser *parser)
{
    const struct wisp_arg_option *option;
    for (size_t i = 0; (option = wisp_verb_option(parser->verb, i)); i++) {
        const char *names = option->env;
        for (struct wisp_str each; (each = wisp_args_next_word(&names)).len;) {
            const char *name = wisp_arena_cstr(parser->arena, each), *text = getenv(name);
            if (!text || !*text) continue;
            if (store(parser, option, name, text) < 0)
                return wisp_err_wrap(parser->err, "environment variable %s", name);
            break;
        }
    }
    return 0;
}

/* --- flags --- */

static int unknown_flag(struct parser *parser, struct wisp_str flag)
{
    const char *names[64];
    size_t n = 0;
    const struct wisp_arg_option *option;
    for (size_t i = 0; (option = wisp_verb_option(parser->verb, i)) && n < WISP_COUNT(names) - 2; i++)
        names[n++] = option->name;
    names[n++] = "help";
    names[n] = NULL;
    struct wisp_str word = flag;
    while (word.len && word.ptr[0] == '-') word.ptr++, word.len--;
    const char *nearest = wisp_nearest(word, names);
    if (nearest)
        return wisp_err_set(parser->err, WISP_ERR_USAGE,
                            "`wisp %s` has no flag `%.*s`; did you mean `--%s`? (`wisp help %s` lists them)",
                            parser->verb->name, WISP_STR_ARG(flag), nearest, parser->verb->name);
    return wisp_err_set(parser->err, WISP_ERR_USAGE, "`wisp %s` has no flag `%.*s`; `wisp help %s` lists them",
                        parser->verb->name, WISP_STR_ARG(flag), parser->verb->name);
}

static const struct wisp_arg_option *find_option(const struct wisp_verb *verb, struct wisp_str name, char letter)
{
    const struct wisp_arg_option *option;
    for (size_t i = 0; (option = wisp_verb_option(verb, i)); i++) {
        if (letter ? option->letter == letter : wisp_str_is(name, option->name)) return option;
        if (!letter && wisp_args_has_word(option->aliases, name)) return option;
    }
    return NULL;
}

static bool begins_with_digit(const char *text) { return *text >= '0' && *text <= '9'; }

/* Of an option that needs none. */
static bool is_value(const struct wisp_arg_option *option, const char *text)
{
    for (size_t i = 0; option->choices && option->choices[i]; i++)
        if (strcmp(option->choices[i], text) == 0) return true;
    return !option->choices && begins_with_digit(text);
}

/* `attached` is what follows "=" or the letter; NULL: the value, if it takes one, is the next argument. */
static int take_option(struct parser *parser, const struct wisp_arg_option *option, const char *attached)
{
    const char *text = attached;
    if (option->kind == WISP_ARG_FLAG) {
        /* --flag, or --flag=false */
    } else if (!text && option->implied &&
               (parser->at >= parser->argc || !is_value(option, parser->argv[parser->at]))) {
        text = option->implied;
    } else if (!text) {
        if (parser->at >= parser->argc)
            return wisp_err_set(parser->err, WISP_ERR_USAGE, "flag `--%s` needs a value: --%s %s", option->name,
                                option->name, option->value);
        text = parser->argv[parser->at++];
    }
    char name[80];
    snprintf(name, sizeof name, "--%s", option->name);
    if (store(parser, option, name, text) < 0) return wisp_err_wrap(parser->err, "flag `%s`", name);
    return 0;
}

static int take_flag(struct parser *parser, const char *argument)
{
    struct wisp_str whole = wisp_str_from(argument), name = whole;
    const char *attached = NULL;
    char letter = 0;
    if (argument[1] == '-') {
        name.ptr += 2;
        name.len -= 2;
        const char *equals = strchr(argument, '=');
        if (equals) {
            attached = equals + 1;
            name.len = (size_t)(equals - name.ptr);
        }
    } else {
        letter = argument[1];
        if (whole.len > 2) attached = argument + 2 + (argument[2] == '=');
    }
    if (letter == 'h' || wisp_str_is(name, "help")) {
        parser->wants_help = true;
        return 0;
    }
    const struct wisp_arg_option *option = find_option(parser->verb, name, letter);
    struct wisp_str flag = {argument, letter ? whole.len : name.len + 2};
    return option ? take_option(parser, option, attached) : unknown_flag(parser, flag);
}

/* --- operands --- */

static int check_choice(struct parser *parser, const struct wisp_arg_operand *operand, const char *text)
{
    if (!operand->choices) return 0;
    WISP_CLEANUP_BUF struct wisp_buf all = {0};
    for (size_t i = 0; operand->choices[i]; i++) {
        if (strcmp(operand->choices[i], text) == 0) return 0;
        wisp_buf_printf(&all, "%s%s", i ? ", " : "", operand->choices[i]);
    }
    return wisp_err_set(parser->err, WISP_ERR_USAGE, "%s `%s` is none of %.*s", operand->name, text,
                        WISP_STR_ARG(wisp_buf_str(&all)));
}

static int refuse_operand(struct parser *parser, const char *text)
{
    const struct wisp_verb *verb = parser->verb;
    if (verb->rest)
        return wisp_err_set(parser->err, WISP_ERR_USAGE,
                            "unexpected `%s`; what is meant for the component goes after `--`: wisp %s %s -- %s", text,
                            verb->name, verb->n_operands ? verb->operands[0].name : "", text);
    return wisp_err_set(parser->err, WISP_ERR_USAGE, "unexpected `%s`; `wisp help %s` tells what it takes", text,
                        verb->name);
}

/* The operand that takes any number, if the verb has one. */
static const struct wisp_arg_operand *list_operand(const struct wisp_verb *verb)
{
    return verb->n_operands && verb->operands[verb->n_operands - 1].is_list ? &verb->operands[verb->n_operands - 1]
                                                                            : NULL;
}

static int take_operand(struct parser *parser, const char *text)
{
    const struct wisp_verb *verb = parser->verb;
    const struct wisp_arg_operand *operand =
        parser->n_operands < verb->n_operands ? &verb->operands[parser->n_operands++] : list_operand(verb);
    if (!operand) return refuse_operand(parser, text);
    if (operand->is_list)
        append(parser, (void *)(parser->values + operand->offset), text);
    else
        *(const char **)(void *)(parser->values + operand->offset) = text;
    return check_choice(parser, operand, text);
}

static int take_rest(struct parser *parser)
{
    const struct wisp_verb *verb = parser->verb;
    if (list_operand(verb)) {
        int r = 0;
        while (r == 0 && parser->at < parser->argc) r = take_operand(parser, parser->argv[parser->at++]);
        return r;
    }
    if (!verb->rest && parser->at < parser->argc)
        return wisp_err_set(parser->err, WISP_ERR_USAGE, "`wisp %s` takes nothing after `--`", verb->name);
    while (parser->at < parser->argc)
        append(parser, (void *)(parser->values + verb->rest_offset), parser->argv[parser->at++]);
    return 0;
}

static int check_complete(struct parser *parser)
{
    const struct wisp_verb *verb = parser->verb;
    if (parser->n_operands >= verb->n_operands || !verb->operands[parser->n_operands].is_required) return 0;
    const struct wisp_arg_operand *missing = &verb->operands[parser->n_operands];
    return wisp_err_set(parser->err, WISP_ERR_USAGE, "`wisp %s` needs %s, %s; for example: %.*s", verb->name,
                        missing->name, missing->help, (int)strcspn(verb->example, "\n"), verb->example);
}

int wisp_args_parse(const struct wisp_verb *verb, int argc, char **argv, struct wisp_arena *arena, void *values,
                    bool *ret_wants_help, struct wisp_err *err)
{
    struct parser parser = {.verb = verb, .arena = arena, .values = values, .argc = argc, .argv = argv, .err = err};
    if (verb->values_size) memcpy(values, verb->defaults, verb->values_size);
    int r = store_environment(&parser);
    while (r == 0 && parser.at < argc && !parser.wants_help) {
        const char *argument = argv[parser.at++];
        if (strcmp(argument, "--") == 0)
            r = take_rest(&parser);
        else if (argument[0] == '-' && argument[1] && !begins_with_digit(argument + 1)) /* numbers are operands */
            r = take_flag(&parser, argument);
        else
            r = take_operand(&parser, argument);
    }
    if (r == 0 && !parser.wants_help) r = check_complete(&parser);
    if (r == 0) *ret_wants_help = parser.wants_help;
    return r;
}
