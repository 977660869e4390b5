/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs and their options as data. One table per verb drives parsing, help and shell completions, so none of the three
 * can know a flag that the others don't. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* What a value is, and the C type of the field it is stored in. */
enum wisp_arg_kind {
    WISP_ARG_FLAG,         /* bool; takes no value */
    WISP_ARG_TEXT,         /* const char * */
    WISP_ARG_NUMBER,       /* uint32_t, at most .max */
    WISP_ARG_SIZE,         /* uint64_t, bytes */
    WISP_ARG_DURATION,     /* uint64_t, milliseconds */
    WISP_ARG_MILLISECONDS, /* the same, but a bare number is milliseconds, not seconds */
    WISP_ARG_CHOICE,       /* int, index into .choices */
    WISP_ARG_LIST,         /* struct wisp_arg_list; may be given several times */
};

struct wisp_arg_list {
    const char **items;
    size_t count;
};

/* Names what the shell should offer; for text and operands. */
enum wisp_arg_completion { WISP_COMPLETE_NOTHING, WISP_COMPLETE_FILES, WISP_COMPLETE_DIRS, WISP_COMPLETE_TOPICS };

struct wisp_arg_option {
    const char *name;    /* "addr" for --addr */
    const char *aliases; /* other names, separated by blanks; may be NULL */
    char letter;         /* 'o' for -o; 0: none */
    enum wisp_arg_kind kind;
    const char *value;          /* what to call the value: "ADDRESS"; NULL for flags */
    const char *help;           /* one line, with the default in brackets */
    size_t offset;              /* of its field in the verb's struct of values */
    const char *env;            /* variables, separated by blanks; the first that is set gives the value when the flag
                                 * doesn't; may be NULL */
    const char *implied;        /* what the flag means without a value: "--watch", "--watch=2s". A value that is an
                                 * argument of its own begins with a digit, or is one of the choices. NULL: needs its
                                 * value */
    const char *unused;         /* why it means nothing here: FLAG or TEXT that others' scripts give. Accepted with a
                                 * note, has no field and no help. NULL: it means something */
    uint32_t max;               /* NUMBER; 0: none */
    bool is_positive;           /* NUMBER, SIZE, DURATION: zero is refused */
    const char *const *choices; /* CHOICE; ends with NULL */
    enum wisp_arg_completion completion;
};

struct wisp_arg_operand {
    const char *name, *help;
    bool is_required;
    bool is_list;               /* the last one: any number of arguments */
    size_t offset;              /* const char *, or struct wisp_arg_list */
    const char *const *choices; /* for completion and refusal; may be NULL */
    enum wisp_arg_completion completion;
};

/* Options that several verbs have. Their fields are in a struct that is the first member of the verb's values. */
struct wisp_arg_shared {
    const char *heading; /* in help */
    const struct wisp_arg_option *options;
    size_t n_options;
};

/* A verb, or a group of verbs: `wisp get hosts` is the verb "get hosts" in the group "get". */
struct wisp_verb {
    const char *name;    /* with that of its group */
    const char *aliases; /* other words for the last word of the name, separated by blanks; may be NULL */
    const struct wisp_verb *const
        *verbs;          /* of a group, ends with NULL; a group has nothing of what follows `example` */
    const char *summary; /* half a line */
    const char *text;    /* paragraphs, lines already broken */
    const char *example; /* lines */
    const struct wisp_arg_option *options;
    size_t n_options;
    const struct wisp_arg_shared *shared; /* may be NULL */
    const struct wisp_arg_operand *operands;
    size_t n_operands;
    const char *rest;     /* name of what comes after "--"; NULL: nothing may */
    size_t rest_offset;   /* struct wisp_arg_list */
    const void *defaults; /* of the struct of values */
    size_t values_size;
    bool is_hidden;
    /* `values` is the verb's own struct. The exit code of the program, or negative with `err` filled. */
    int (*run)(const void *values, struct wisp_err *err);
};

/* What most verbs' tables say about their tables. */
#define WISP_VERB_TABLES(options_, operands_, defaults_)                                                               \
    .options = (options_), .n_options = WISP_COUNT(options_), .operands = (operands_),                                 \
    .n_operands = WISP_COUNT(operands_), .defaults = &(defaults_), .values_size = sizeof(defaults_)

/* Options of the verb, then shared ones; NULL behind the last. */
const struct wisp_arg_option *wisp_verb_option(const struct wisp_verb *verb, size_t i);
/* The verb's name without that of its group. */
const char *wisp_verb_word(const struct wisp_verb *verb);

/* One word of a text of words separated by blanks, from *text on, which moves behind it; empty at the end. */
struct wisp_str wisp_args_next_word(const char **text);
/* `words` as above; may be NULL. */
bool wisp_args_has_word(const char *words, struct wisp_str word);

/* Fills `values` (verb->values_size bytes) from defaults, environment and arguments, in this order. `argv` are the
 * arguments after the verb. USAGE names what is wrong and what was probably meant. Help was asked for: returns 0 with
 * *ret_wants_help set and does not complain about what else is missing. */
int wisp_args_parse(const struct wisp_verb *verb, int argc, char **argv, struct wisp_arena *arena, void *values,
                    bool *ret_wants_help, struct wisp_err *err) __attribute__((warn_unused_result));
