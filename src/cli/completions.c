/* SPDX-License-Identifier: Apache-2.0 */
/* Shell completions, written from the same tables that parse and help. */
#include "cli/output.h"
#include "cli/verbs.h"

struct values {
    const char *shell;
};

static const char *const shells[] = {"bash", "zsh", "fish", NULL};

static const struct wisp_arg_operand operands[] = {
    {.name = "SHELL",
     .help = "bash, zsh or fish",
     .is_required = true,
     .offset = offsetof(struct values, shell),
     .choices = shells},
};

static const struct wisp_arg_option help_option = {.name = "help", .letter = 'h', .help = "how to use this verb"};

/* Option i of a verb; --help, which all have, is the last; NULL behind it. */
static const struct wisp_arg_option *option_at(const struct wisp_verb *verb, size_t i)
{
    const struct wisp_arg_option *option;
    size_t n_shown = 0;
    for (size_t j = 0; (option = wisp_verb_option(verb, j)); j++)
        if (!option->unused && n_shown++ == i) return option;
    return n_shown == i ? &help_option : NULL;
}

static void print_words(const char *const *words)
{
    for (size_t i = 0; words[i]; i++) printf("%s%s", i ? " " : "", words[i]);
}

static void print_verb_words(const struct wisp_verb *const *verbs)
{
    for (const char *blank = ""; *verbs; verbs++) {
        if ((*verbs)->is_hidden) continue;
        printf("%s%s", blank, wisp_verb_word(*verbs));
        blank = " ";
    }
}

static void each_group(void (*on_group)(const struct wisp_verb *group))
{
    for (const struct wisp_verb *const *verb = wisp_verbs; *verb; verb++)
        if ((*verb)->verbs) on_group(*verb);
}

/* What an operand may be: its choices, verbs for help, else nothing. */
static void print_operand_words(const struct wisp_arg_operand *operand)
{
    if (operand->choices) print_words(operand->choices);
    if (operand->completion != WISP_COMPLETE_TOPICS) return;
    print_verb_words(wisp_verbs);
    printf(" exit-codes connection");
}

/* In single quotes of a shell; zsh wants its own specials escaped as well. */
static void print_quoted(const char *text, const char *escaped)
{
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else
            printf("%s%c", strchr(escaped, *text) ? "\\" : "", *text);
    }
}

/* --- bash --- */

static void bash_option(const struct wisp_verb *verb, const struct wisp_arg_option *option)
{
    if (option->kind == WISP_ARG_FLAG || option->implied) return;
    printf("    '%s:--%s'", verb->name, option->name);
    if (option->letter) printf("|'%s:-%c'", verb->name, option->letter);
    printf(") ");
    if (option->choices) {
        printf("COMPREPLY=($(compgen -W '");
        print_words(option->choices);
        printf("' -- \"$word\"))");
    } else if (option->completion == WISP_COMPLETE_DIRS) {
        printf("COMPREPLY=($(compgen -d -- \"$word\"))");
    } else if (option->completion == WISP_COMPLETE_FILES) {
        printf("COMPREPLY=($(compgen -f -- \"$word\"))");
    } else {
        printf("COMPREPLY=()");
    }
    printf("; return ;;\n");
}

static void bash_options(const struct wisp_verb *verb)
{
    const struct wisp_arg_option *option;
    for (size_t i = 0; (option = option_at(verb, i)); i++) bash_option(verb, option);
}

static void bash_verb(const struct wisp_verb *verb)
{
    const struct wisp_arg_option *option;
    printf("    '%s') flags='", verb->name);
    for (size_t i = 0; (option = option_at(verb, i)); i++) printf("%s--%s", i ? " " : "", option->name);
    printf("' words='");
    for (size_t i = 0; i < verb->n_operands; i++) print_operand_words(&verb->operands[i]);
    bool has_files = verb->n_operands && verb->operands[0].completion == WISP_COMPLETE_FILES;
    printf("' files='%s' ;;\n", has_files ? "yes" : "");
}

static void bash_group(const struct wisp_verb *group)
{
    printf("    '%s') flags='--help' words='", group->name);
    print_verb_words(group->verbs);
    printf("' files='' ;;\n");
}

static void bash_group_pattern(const struct wisp_verb *group) { printf("%s|", group->name); }

/* Other names of a verb become its name; for bash and zsh. */
static void print_aliases(const struct wisp_verb *verb)
{
    const char *words = verb->aliases;
    int group_size = (int)(wisp_verb_word(verb) - verb->name);
    for (struct wisp_str word; (word = wisp_args_next_word(&words)).len;)
        printf("    '%.*s%.*s') verb='%s' ;;\n", group_size, verb->name, WISP_STR_ARG(word), verb->name);
}

static void print_bash(void)
{
    printf(
        "# wisp completions for bash: source <(wisp completions bash)\n"
        "_wisp() {\n"
        "  local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\" verb=\"${COMP_WORDS[1]}\"\n"
        "  local flags='' words='' files=''\n"
        "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
        "    COMPREPLY=($(compgen -W '");
    print_verb_words(wisp_verbs);
    printf(" --help --version' -- \"$word\"))\n    return\n  fi\n  case \"$verb\" in\n    ");
    each_group(bash_group_pattern);
    printf("'') [ \"$COMP_CWORD\" -gt 2 ] && verb=\"$verb ${COMP_WORDS[2]}\" ;;\n  esac\n  case \"$verb\" in\n");
    wisp_verb_each(print_aliases);
    printf("  esac\n  case \"$verb:$before\" in\n");
    wisp_verb_each(bash_options);
    printf("  esac\n  case \"$verb\" in\n");
    each_group(bash_group);
    wisp_verb_each(bash_verb);
    printf("  esac\n"
           "  case \"$word\" in\n"
           "    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n"
           "    *) COMPREPLY=($(compgen -W \"$words\" ${files:+-f} -- \"$word\")) ;;\n"
           "  esac\n"
           "}\n"
           "complete -o filenames -F _wisp wisp\n");
}

/* --- zsh --- */

static void zsh_action(const struct wisp_arg_option *option)
{
    if (option->choices) {
        printf("(");
        print_words(option->choices);
        printf(")");
    } else if (option->completion == WISP_COMPLETE_DIRS) {
        printf("_files -/");
    } else if (option->completion == WISP_COMPLETE_FILES) {
        printf("_files");
    }
}

static void zsh_option(const struct wisp_arg_option *option)
{
    const char *takes = !option->value ? "" : option->implied ? "=-" : "=";
    const char *letter_takes = !option->value ? "" : option->implied ? "-" : "+";
    bool is_list = option->kind == WISP_ARG_LIST;
    if (!option->letter)
        printf(" \\\n        '%s--%s%s[", is_list ? "*" : "", option->name, takes);
    else if (is_list)
        printf(" \\\n        '*'{-%c%s,--%s%s}'[", option->letter, letter_takes, option->name, takes);
    else
        printf(" \\\n        '(-%c --%s)'{-%c%s,--%s%s}'[", option->letter, option->name, option->letter, letter_takes,
               option->name, takes);
    print_quoted(option->help, "[]:");
    printf("]");
    if (option->value) {
        printf(option->implied ? "::" : ":");
        print_quoted(option->value, "[]:");
        printf(":");
        zsh_action(option);
    }
    printf("'");
}

static void zsh_verb(const struct wisp_verb *verb)
{
    const struct wisp_arg_option *option;
    printf("    '%s')\n      _arguments", verb->name);
    for (size_t i = 0; (option = option_at(verb, i)); i++) zsh_option(option);
    for (size_t i = 0; i < verb->n_operands; i++) {
        if (verb->operands[i].is_list)
            printf(" \\\n        '*:%s:", verb->operands[i].name);
        else
            printf(" \\\n        '%zu:%s:", i + 1, verb->operands[i].name);
        if (verb->operands[i].completion == WISP_COMPLETE_FILES) {
            printf("_files");
        } else {
            printf("(");
            print_operand_words(&verb->operands[i]);
            printf(")");
        }
        printf("'");
    }
    printf(" ;;\n");
}

static void zsh_descriptions(const struct wisp_verb *const *verbs)
{
    printf("  verbs=(\n");
    for (; *verbs; verbs++) {
        if ((*verbs)->is_hidden) continue;
        printf("    '%s:", wisp_verb_word(*verbs));
        print_quoted((*verbs)->summary, ":");
        printf("'\n");
    }
    printf("  )\n");
}

static void zsh_group(const struct wisp_verb *group)
{
    printf("    %s)\n", group->name);
    zsh_descriptions(group->verbs);
    printf("  if (( CURRENT == 2 )); then\n"
           "    _describe verb verbs\n"
           "    return\n"
           "  fi\n"
           "  verb=\"$verb $words[2]\"\n"
           "  shift words\n"
           "  (( CURRENT-- )) ;;\n");
}

static void print_zsh(void)
{
    printf("#compdef wisp\n"
           "# wisp completions for zsh: wisp completions zsh > a folder of $fpath/_wisp\n"
           "_wisp() {\n"
           "  local -a verbs\n");
    zsh_descriptions(wisp_verbs);
    printf("  if (( CURRENT == 2 )); then\n"
           "    _describe verb verbs\n"
           "    return\n"
           "  fi\n"
           "  local verb=$words[2]\n"
           "  shift words\n"
           "  (( CURRENT-- ))\n"
           "  case $verb in\n");
    each_group(zsh_group);
    printf("  esac\n  case $verb in\n");
    wisp_verb_each(print_aliases);
    printf("  esac\n  case $verb in\n");
    wisp_verb_each(zsh_verb);
    printf("  esac\n"
           "}\n"
           "_wisp \"$@\"\n");
}

/* --- fish --- */

static void fish_option(const struct wisp_verb *verb, const struct wisp_arg_option *option)
{
    printf("complete -c wisp -n '__wisp_at %s' -l %s", verb->name, option->name);
    if (option->letter) printf(" -s %c", option->letter);
    if (option->choices) {
        printf(" -x -a '");
        print_words(option->choices);
        printf("'");
    } else if (option->completion == WISP_COMPLETE_DIRS) {
        printf(" -x -a '(__fish_complete_directories)'");
    } else if (option->completion == WISP_COMPLETE_FILES) {
        printf(" -r -F");
    } else if (option->value && !option->implied) {
        printf(" -x");
    }
    printf(" -d '");
    print_quoted(option->help, "\\");
    printf("'\n");
}

static void fish_name(const struct wisp_verb *verb)
{
    int group_size = (int)(wisp_verb_word(verb) - verb->name);
    if (group_size)
        printf("complete -c wisp -n '__wisp_in %.*s' -a %s -d '", group_size - 1, verb->name, wisp_verb_word(verb));
    else
        printf("complete -c wisp -n __fish_use_subcommand -a %s -d '", verb->name);
    print_quoted(verb->summary, "\\");
    printf("'\n");
}

static void fish_verb(const struct wisp_verb *verb)
{
    const struct wisp_arg_option *option;
    fish_name(verb);
    for (size_t i = 0; (option = option_at(verb, i)); i++) fish_option(verb, option);
    for (size_t i = 0; i < verb->n_operands; i++) {
        printf("complete -c wisp -n '__wisp_at %s' ", verb->name);
        if (verb->operands[i].completion == WISP_COMPLETE_FILES) {
            printf("-F\n");
        } else {
            printf("-a '");
            print_operand_words(&verb->operands[i]);
            printf("'\n");
        }
    }
}

static void print_fish(void)
{
    printf("# wisp completions for fish: wisp completions fish > ~/.config/fish/completions/wisp.fish\n"
           "complete -c wisp -f\n"
           "function __wisp_at\n"
           "    set -l words (commandline -opc)\n"
           "    set -e words[1]\n"
           "    set -l n (count $argv)\n"
           "    test (count $words) -ge $n; and test \"$words[1..$n]\" = \"$argv\"\n"
           "end\n"
           "function __wisp_in\n"
           "    set -l words (commandline -opc)\n"
           "    test (count $words) -eq 2 -a \"$words[2]\" = \"$argv[1]\"\n"
           "end\n");
    each_group(fish_name);
    wisp_verb_each(fish_verb);
}

/* --- the verb --- */

static int run(const void *values, struct wisp_err *err)
{
    (void)err;
    const char *shell = ((const struct values *)values)->shell;
    if (strcmp(shell, "bash") == 0)
        print_bash();
    else if (strcmp(shell, "zsh") == 0)
        print_zsh();
    else
        print_fish();
    return 0;
}

static const struct values defaults;

const struct wisp_verb wisp_verb_completions = {
    .name = "completions",
    .summary = "completions for a shell",
    .text = "Prints a script that teaches the shell wisp's verbs and flags.",
    .example = "source <(wisp completions bash)\n"
               "wisp completions zsh > ~/.zfunc/_wisp\n"
               "wisp completions fish > ~/.config/fish/completions/wisp.fish",
    .operands = operands,
    .n_operands = WISP_COUNT(operands),
    .defaults = &defaults,
    .values_size = sizeof(struct values),
    .run = run,
};
