/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"
#include "cli/args.h"

#include "test.h"

#include <stdlib.h>

struct values {
    bool is_loud;
    const char *name, *file;
    uint32_t count;
    uint64_t size, time_ms;
    int colour, sure;
    struct wisp_arg_list tags, rest, words;
    const char *host;
    uint64_t watch_ms, patience_ms;
};

static const char *const colours[] = {"red", "green", NULL}, *const answers[] = {"no", "yes", NULL};

#define FIELD(field) .offset = offsetof(struct values, field)
static const struct wisp_arg_option options[] = {
    {.name = "loud", .letter = 'l', .kind = WISP_ARG_FLAG, .help = "shout", FIELD(is_loud)},
    {.name = "name", .letter = 'n', .kind = WISP_ARG_TEXT, .value = "NAME", .help = "who", FIELD(name)},
    {.name = "count",
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     .help = "how many",
     FIELD(count),
     .max = 10,
     .is_positive = true},
    {.name = "size", .kind = WISP_ARG_SIZE, .value = "SIZE", .help = "how big", FIELD(size)},
    {.name = "time", .kind = WISP_ARG_DURATION, .value = "TIME", .help = "how long", FIELD(time_ms)},
    {.name = "colour",
     .kind = WISP_ARG_CHOICE,
     .value = "COLOUR",
     .help = "which",
     FIELD(colour),
     .choices = colours,
     .env = "WISP_TEST_COLOUR"},
    {.name = "watch",
     .letter = 'w',
     .kind = WISP_ARG_MILLISECONDS,
     .value = "TIME",
     .implied = "5s",
     .help = "again",
     FIELD(watch_ms)},
    {.name = "patience",
     .aliases = "wait wait-ms",
     .kind = WISP_ARG_MILLISECONDS,
     .value = "TIME",
     .help = "how long",
     .env = "WISP_TEST_FIRST WISP_TEST_SECOND",
     FIELD(patience_ms)},
    {.name = "sure",
     .kind = WISP_ARG_CHOICE,
     .value = "BOOL",
     .implied = "yes",
     .choices = answers,
     .help = "or not",
     FIELD(sure)},
    {.name = "old-file", .kind = WISP_ARG_TEXT, .value = "FILE", .env = "WISP_TEST_OLD", .unused = "files are new"},
    {.name = "old", .kind = WISP_ARG_FLAG, .unused = "nothing is old"},
    {.name = "tag", .kind = WISP_ARG_LIST, .value = "TAG", .help = "what", FIELD(tags)},
};
static const struct wisp_arg_operand operands[] = {
    {.name = "FILE", .help = "a file", .is_required = true, FIELD(file)},
};
static const struct values defaults = {.count = 7, .name = "nobody"};
static const struct wisp_arg_option shared_options[] = {
    {.name = "host", .letter = 'r', .kind = WISP_ARG_TEXT, .value = "HOST", .help = "where", FIELD(host)},
};
static const struct wisp_arg_shared shared = {.heading = "more", .options = shared_options, .n_options = 1};
static const struct wisp_verb verb = {
    .name = "test",
    .example = "wisp test x.wasm\nwisp test y.wasm",
    .options = options,
    .n_options = WISP_COUNT(options),
    .shared = &shared,
    .operands = operands,
    .n_operands = WISP_COUNT(operands),
    .rest = "ARGS",
    .rest_offset = offsetof(struct values, rest),
    .defaults = &defaults,
    .values_size = sizeof(struct values),
};

/* Without "--", and any number of operands. */
static const struct wisp_arg_operand list_operands[] = {
    {.name = "FILE", .help = "a file", .is_required = true, FIELD(file)},
    {.name = "WORD", .help = "words", .is_required = true, .is_list = true, FIELD(words)},
};
static const struct wisp_verb list_verb = {
    .name = "group list",
    .example = "wisp group list x y z",
    WISP_VERB_TABLES(options, list_operands, defaults),
};

struct parsed {
    struct wisp_arena arena;
    struct values values;
    struct wisp_err err;
    bool wants_help;
    int result;
};

static void parsed_deinit(struct parsed *parsed) { wisp_arena_deinit(&parsed->arena); }
#define PARSED __attribute__((cleanup(parsed_deinit))) struct parsed

/* Arguments are separated by blanks. */
static struct parsed parse_for(const struct wisp_verb *wanted, const char *line)
{
    static char text[512];
    static char *argv[32];
    int argc = 0;
    strncpy(text, line, sizeof text - 1);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    struct parsed parsed = {0};
    parsed.result = wisp_args_parse(wanted, argc, argv, &parsed.arena, &parsed.values, &parsed.wants_help, &parsed.err);
    return parsed;
}

static struct parsed parse(const char *line) { return parse_for(&verb, line); }

static void check_refused(const char *line, const char *words)
{
    PARSED parsed = parse(line);
    CHECK_INT(parsed.result, -(int)WISP_ERR_USAGE);
    CHECK_HAS(parsed.err.text, words);
}

TEST(defaults_hold)
{
    PARSED parsed = parse("x.wasm");
    CHECK_OK(parsed.result, &parsed.err);
    CHECK_TEXT(parsed.values.file, "x.wasm");
    CHECK_TEXT(parsed.values.name, "nobody");
    CHECK_INT(parsed.values.count, 7);
    CHECK(!parsed.values.is_loud && !parsed.values.tags.count && !parsed.values.rest.count);
}

TEST(every_kind_in_every_spelling)
{
    PARSED parsed = parse("--loud -n me x.wasm --count=3 --size 2M --time=500ms --colour green --tag a --tag=b=c");
    CHECK_OK(parsed.result, &parsed.err);
    CHECK(parsed.values.is_loud);
    CHECK_TEXT(parsed.values.name, "me");
    CHECK_INT(parsed.values.count, 3);
    CHECK_INT(parsed.values.size, 2 << 20);
    CHECK_INT(parsed.values.time_ms, 500);
    CHECK_INT(parsed.values.colour, 1);
    CHECK_INT(parsed.values.tags.count, 2);
    CHECK_TEXT(parsed.values.tags.items[1], "b=c");
}

TEST(letters_take_attached_values)
{
    PARSED parsed = parse("x.wasm -nme -l");
    CHECK_OK(parsed.result, &parsed.err);
    CHECK_TEXT(parsed.values.name, "me");
    CHECK(parsed.values.is_loud);
    PARSED with_equals = parse("x.wasm -n=you");
    CHECK_TEXT(with_equals.values.name, "you");
}

TEST(what_means_nothing_here_is_passed_over)
{
    PARSED parsed = parse("--old --old-file a.conf x.wasm --old-file=b.conf");
    CHECK_OK(parsed.result, &parsed.err);
    CHECK_TEXT(parsed.values.file, "x.wasm");
    check_refused("x.wasm --old-file", "needs a value");
    setenv("WISP_TEST_OLD", "c.conf", 1);
    PARSED again = parse("x.wasm");
    unsetenv("WISP_TEST_OLD");
    CHECK_OK(again.result, &again.err);
}

TEST(a_choice_may_stand_alone)
{
    static const char *const lines[] = {"--sure x.wasm", "--sure yes x.wasm", "--sure=yes x.wasm"};
    for (size_t i = 0; i < WISP_COUNT(lines); i++) {
        PARSED parsed = parse(lines[i]);
        CHECK_OK(parsed.result, &parsed.err);
        CHECK_INT(parsed.values.sure, 1);
        CHECK_TEXT(parsed.values.file, "x.wasm");
    }
    PARSED parsed = parse("--sure no x.wasm");
    CHECK_INT(parsed.values.sure, 0);
    check_refused("--sure=maybe x.wasm", "none of no, yes");
}

TEST(rest_is_not_ours)
{
    PARSED parsed = parse("x.wasm -- --loud -- -x y");
    CHECK_OK(parsed.result, &parsed.err);
    CHECK(!parsed.values.is_loud);
    CHECK_INT(parsed.values.rest.count, 4);
    CHECK_TEXT(parsed.values.rest.items[0], "--loud");
    CHECK_TEXT(parsed.values.rest.items[1], "--");
}

TEST(help_needs_nothing_else)
{
    PARSED parsed = parse("--help");
    CHECK_OK(parsed.result, &parsed.err);
    CHECK(parsed.wants_help);
    PARSED letter = parse("-h --nonsense");
    CHECK(letter.wants_help);
}

TEST(environment_comes_before_flags)
{
    setenv("WISP_TEST_COLOUR", "green", 1);
    PARSED parsed = parse("x.wasm");
    CHECK_INT(parsed.values.colour, 1);
    PARSED flag = parse("x.wasm --colour red");
    CHECK_INT(flag.values.colour, 0);
    setenv("WISP_TEST_COLOUR", "mauve", 1);
    check_refused("x.wasm", "environment variable WISP_TEST_COLOUR: `mauve` is none of red, green");
}

TEST(mistakes_are_named)
{
    check_refused("", "`wisp test` needs FILE, a file; for example: wisp test x.wasm");
    check_refused("x.wasm --cuont 3", "no flag `--cuont`; did you mean `--count`?");
    check_refused("x.wasm --cou=3", "did you mean `--count`?");
    check_refused("x.wasm --zzz", "no flag `--zzz`; `wisp help test` lists them");
    check_refused("x.wasm -z", "no flag `-z`");
    check_refused("x.wasm --count", "flag `--count` needs a value: --count N");
    check_refused("x.wasm --count 11", "flag `--count`: `11` is not a whole number from 0 to 10");
    check_refused("x.wasm --count 0", "flag `--count`: it must be more than 0");
    check_refused("x.wasm --count -1", "flag `--count`: `-1` is not a whole number");
    check_refused("x.wasm --size big", "flag `--size`: `big` is not a size");
    check_refused("x.wasm --time soon", "flag `--time`: `soon` is not a duration");
    check_refused("x.wasm --colour blue", "flag `--colour`: `blue` is none of red, green");
    check_refused("x.wasm --loud=yes", "flag `--loud`: `yes` is neither `true` nor `false`");
    check_refused("x.wasm y", "goes after `--`: wisp test FILE -- y");
}

TEST(nearest_word)
{
    static const char *const words[] = {"run", "inspect", "compile", "completions", "help", "version", NULL};
    CHECK_TEXT(wisp_nearest(WISP_STR("rnu"), words), "run");
    CHECK_TEXT(wisp_nearest(WISP_STR("serve"), words) ? "something" : "nothing", "nothing");
    CHECK_TEXT(wisp_nearest(WISP_STR("inspcet"), words), "inspect");
    CHECK_TEXT(wisp_nearest(WISP_STR("comp"), words), "compile");
    CHECK_TEXT(wisp_nearest(WISP_STR("verison"), words), "version");
    CHECK(!wisp_nearest(WISP_STR(""), words));
    CHECK(!wisp_nearest(WISP_STR("a-very-long-word-that-is-far-longer-than-any-verb-could-ever-be"), words));
}

TEST(other_names_of_flags)
{
    PARSED parsed = parse("x.wasm --wait 20 --tag=a --wait-ms=3s");
    CHECK_OK(parsed.result, &parsed.err);
    CHECK_INT(parsed.values.patience_ms, 3000);
    check_refused("x.wasm --wa 3", "no flag `--wa`");
}

TEST(milliseconds_need_no_unit)
{
    PARSED parsed = parse("x.wasm --patience 20 --time 20");
    CHECK_INT(parsed.values.patience_ms, 20);
    CHECK_INT(parsed.values.time_ms, 20000);
}

TEST(flags_whose_value_is_optional)
{
    PARSED alone = parse("--watch x.wasm");
    CHECK_INT(alone.values.watch_ms, 5000);
    CHECK_TEXT(alone.values.file, "x.wasm");
    PARSED attached = parse("x.wasm --watch=2s"), next = parse("-w 250 x.wasm"), last = parse("x.wasm -w");
    CHECK_INT(attached.values.watch_ms, 2000);
    CHECK_INT(next.values.watch_ms, 250);
    CHECK_INT(last.values.watch_ms, 5000);
}

TEST(first_variable_that_is_set_counts)
{
    setenv("WISP_TEST_SECOND", "2", 1);
    PARSED second = parse("x.wasm");
    CHECK_INT(second.values.patience_ms, 2);
    setenv("WISP_TEST_FIRST", "1", 1);
    PARSED first = parse("x.wasm");
    CHECK_INT(first.values.patience_ms, 1);
    setenv("WISP_TEST_FIRST", "", 1);
    PARSED empty = parse("x.wasm");
    CHECK_INT(empty.values.patience_ms, 2);
    setenv("WISP_TEST_FIRST", "x", 1);
    check_refused("x.wasm", "environment variable WISP_TEST_FIRST");
}

TEST(shared_flags)
{
    PARSED parsed = parse("x.wasm -r there");
    CHECK_TEXT(parsed.values.host, "there");
    check_refused("x.wasm --hots a", "did you mean `--host`?");
}

TEST(any_number_of_operands)
{
    PARSED parsed = parse_for(&list_verb, "f a=b --loud -5 -- --tag c");
    CHECK_OK(parsed.result, &parsed.err);
    CHECK_TEXT(parsed.values.file, "f");
    CHECK(parsed.values.is_loud);
    CHECK_INT(parsed.values.words.count, 4);
    CHECK_TEXT(parsed.values.words.items[1], "-5");
    CHECK_TEXT(parsed.values.words.items[2], "--tag");
    PARSED missing = parse_for(&list_verb, "f");
    CHECK_HAS(missing.err.text, "`wisp group list` needs WORD, words; for example: wisp group list x y z");
}

TEST(names_of_verbs)
{
    CHECK_TEXT(wisp_verb_word(&list_verb), "list");
    CHECK_TEXT(wisp_verb_word(&verb), "test");
    CHECK(wisp_args_has_word("a bc d", WISP_STR("bc")) && wisp_args_has_word("a bc d", WISP_STR("d")));
    CHECK(!wisp_args_has_word("a bc d", WISP_STR("b")) && !wisp_args_has_word(NULL, WISP_STR("b")));
}
