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

/* Option i of a verb; --help, which all have, is the last. */
static const struct wisp_arg_option *option_at(const struct wisp_verb *verb, size_t i)
{
    return i < verb->n_options ? &verb->options[i] : &help_option;
}

static void print_words(const char *const *words)
{
    for (size_t i = 0; words[i]; i++) printf("%s%s", i ? " " : "", words[i]);
}

/* What an operand may be: its choices, verbs for help, else nothing. */
static void print_operand_words(const struct wisp_arg_operand *operand)
{
    if (operand->choices) print_words(operand->choices);
    if (operand->completion != WISP_COMPLETE_TOPICS) return;
    print_words(wisp_verb_names);
    printf(" exit-codes");
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

static void bash_values(const struct wisp_verb *verb, const struct wisp_arg_option *option)
{
    if (option->kind == WISP_ARG_FLAG) return;
    printf("    %s:--%s", verb->name, option->name);
    if (option->letter) printf("|%s:-%c", verb->name, option->letter);
    printf(") ");
    if (option->choices) {
        printf("COMPREPLY=($(compgen -W '");
        print_words(option->choices);
        printf("' -- \"$word\"))");
    } else if (option->completion == WISP_COMPLETE_DIRS) {
        printf("COMPREPLY=($(compgen -d -- \"$word\"))");
    } else {
        printf("COMPREPLY=()");
    }
    printf("; return ;;\n");
}

static void bash_verb(const struct wisp_verb *verb)
{
    printf("    %s) flags='", verb->name);
    for (size_t i = 0; i <= verb->n_options; i++) printf("%s--%s", i ? " " : "", option_at(verb, i)->name);
    printf("' words='");
    for (size_t i = 0; i < verb->n_operands; i++) print_operand_words(&verb->operands[i]);
    bool has_files = verb->n_operands && verb->operands[0].completion == WISP_COMPLETE_FILES;
    printf("' files='%s' ;;\n", has_files ? "yes" : "");
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
    print_words(wisp_verb_names);
    printf(" --help --version' -- \"$word\"))\n    return\n  fi\n  case \"$verb:$before\" in\n");
    for (const struct wisp_verb *const *verb = wisp_verbs; *verb; verb++)
        for (size_t i = 0; !(*verb)->is_hidden && i < (*verb)->n_options; i++) bash_values(*verb, option_at(*verb, i));
    printf("  esac\n  case \"$verb\" in\n");
    for (const struct wisp_verb *const *verb = wisp_verbs; *verb; verb++)
        if (!(*verb)->is_hidden) bash_verb(*verb);
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
    }
}

static void zsh_option(const struct wisp_arg_option *option)
{
    printf(" \\\n        '%s--%s%s[", option->kind == WISP_ARG_LIST ? "*" : "", option->name, option->value ? "=" : "");
    print_quoted(option->help, "[]:");
    printf("]");
    if (option->value) {
        printf(":");
        print_quoted(option->value, "[]:");
        printf(":");
        zsh_action(option);
    }
    printf("'");
}

static void zsh_verb(const struct wisp_verb *verb)
{
    printf("    %s)\n      _arguments", verb->name);
    for (size_t i = 0; i <= verb->n_options; i++) zsh_option(option_at(verb, i));
    for (size_t i = 0; i < verb->n_operands; i++) {
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

static void print_zsh(void)
{
    printf("#compdef wisp\n"
           "# wisp completions for zsh: wisp completions zsh > a folder of $fpath/_wisp\n"
           "_wisp() {\n"
           "  local -a verbs\n"
           "  verbs=(\n");
    for (const struct wisp_verb *const *verb = wisp_verbs; *verb; verb++) {
        if ((*verb)->is_hidden) continue;
        printf("    '%s:", (*verb)->name);
        print_quoted((*verb)->summary, ":");
        printf("'\n");
    }
    printf("  )\n"
           "  if (( CURRENT == 2 )); then\n"
           "    _describe verb verbs\n"
           "    return\n"
           "  fi\n"
           "  local verb=$words[2]\n"
           "  shift words\n"
           "  (( CURRENT-- ))\n"
           "  case $verb in\n");
    for (const struct wisp_verb *const *verb = wisp_verbs; *verb; verb++)
        if (!(*verb)->is_hidden) zsh_verb(*verb);
    printf("  esac\n"
           "}\n"
           "_wisp \"$@\"\n");
}

/* --- fish --- */

static void fish_option(const struct wisp_verb *verb, const struct wisp_arg_option *option)
{
    printf("complete -c wisp -n '__fish_seen_subcommand_from %s' -l %s", verb->name, option->name);
    if (option->letter) printf(" -s %c", option->letter);
    if (option->choices) {
        printf(" -x -a '");
        print_words(option->choices);
        printf("'");
    } else if (option->completion == WISP_COMPLETE_DIRS) {
        printf(" -x -a '(__fish_complete_directories)'");
    } else if (option->value) {
        printf(" -x");
    }
    printf(" -d '");
    print_quoted(option->help, "\\");
    printf("'\n");
}

static void fish_verb(const struct wisp_verb *verb)
{
    printf("complete -c wisp -n __fish_use_subcommand -a %s -d '", verb->name);
    print_quoted(verb->summary, "\\");
    printf("'\n");
    for (size_t i = 0; i <= verb->n_options; i++) fish_option(verb, option_at(verb, i));
    for (size_t i = 0; i < verb->n_operands; i++) {
        printf("complete -c wisp -n '__fish_seen_subcommand_from %s' ", verb->name);
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
           "complete -c wisp -f\n");
    for (const struct wisp_verb *const *verb = wisp_verbs; *verb; verb++)
        if (!(*verb)->is_hidden) fish_verb(*verb);
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
