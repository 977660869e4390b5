/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verbs.h"

#include "test.h"

static void check_help(const struct wisp_verb *verb)
{
    CHECK(verb->name && verb->summary && verb->example && verb->run);
    CHECK_HAS(verb->example, verb->name);
    for (size_t i = 0; i < verb->n_operands; i++) {
        CHECK(verb->operands[i].name && verb->operands[i].help);
        CHECK(!verb->operands[i].is_list || i + 1 == verb->n_operands);
    }
}

/* Names, other names and letters stand for one option each, and "help" for none of them. */
static void check_options(const struct wisp_verb *verb)
{
    const struct wisp_arg_option *option, *other;
    for (size_t i = 0; (option = wisp_verb_option(verb, i)); i++) {
        struct wisp_str name = wisp_str_from(option->name);
        CHECK(!option->help == !!option->unused && !option->value == (option->kind == WISP_ARG_FLAG));
        CHECK((option->kind == WISP_ARG_CHOICE) == !!option->choices);
        CHECK(option->letter != 'h' && strcmp(option->name, "help") != 0);
        CHECK(!wisp_args_has_word(option->aliases, name));
        for (size_t k = 0; (other = wisp_verb_option(verb, k)) && k < i; k++) {
            bool is_same =
                strcmp(option->name, other->name) == 0 || (option->letter && option->letter == other->letter);
            bool is_alias = wisp_args_has_word(other->aliases, name) ||
                            wisp_args_has_word(option->aliases, wisp_str_from(other->name));
            if (is_same || is_alias)
                wisp_test_fail(__FILE__, __LINE__, "%s: --%s and --%s", verb->name, option->name, other->name);
        }
    }
}

TEST(every_verb_is_complete) { wisp_verb_each(check_help); }
TEST(options_are_told_apart) { wisp_verb_each(check_options); }

TEST(verbs_are_found)
{
    static const char *const words[] = {"get", "inventories", "x"};
    int used;
    CHECK_TEXT(wisp_verb_find(3, words, &used)->name, "get inventory");
    CHECK_INT(used, 2);
    CHECK_TEXT(wisp_verb_find(1, words, &used)->name, "get");
    CHECK_INT(used, 1);
    CHECK(!wisp_verb_find(1, words + 2, &used));
    CHECK_INT(used, 0);
    static const char *const tag[] = {"tag"};
    CHECK_TEXT(wisp_verb_find(1, tag, &used)->name, "label");
}

TEST(misspelt_verbs)
{
    int used;
    static const char *const get[] = {"get"};
    CHECK_TEXT(wisp_verb_nearest(NULL, "evnets"), "events");
    CHECK_TEXT(wisp_verb_nearest(wisp_verb_find(1, get, &used), "host"), "get hosts");
    CHECK(!wisp_verb_nearest(NULL, "worker"));
}
