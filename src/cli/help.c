/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/connection.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "worker/worker.h"

struct values {
    struct wisp_arg_list topic;
};

static const struct wisp_arg_operand operands[] = {
    {.name = "TOPIC",
     .help = "a verb, exit-codes, or connection",
     .is_list = true,
     .offset = offsetof(struct values, topic),
     .completion = WISP_COMPLETE_TOPICS},
};

static const char *bold(FILE *stream) { return wisp_output_style(stream, "1"); }
static const char *plain(FILE *stream) { return wisp_output_style(stream, "0"); }

static void heading(FILE *stream, const char *text)
{
    fprintf(stream, "\n%s%s%s\n", bold(stream), text, plain(stream));
}

static void lines(FILE *stream, const char *text)
{
    while (*text) {
        size_t size = strcspn(text, "\n");
        fprintf(stream, "%s%.*s\n", size ? "  " : "", (int)size, text);
        text += size + (text[size] == '\n');
    }
}

/* In one column wide enough for all verbs, so that the sections line up. */
static void print_verbs(FILE *stream, const struct wisp_verb *const *verbs)
{
    enum { COLUMN = 11 };
    for (; *verbs; verbs++) {
        if ((*verbs)->is_hidden) continue;
        fprintf(stream, "  %-*s  %s", COLUMN, wisp_verb_word(*verbs), (*verbs)->summary);
        for (const struct wisp_verb *const *each = (*verbs)->verbs; each && *each; each++)
            if (!(*each)->is_hidden)
                fprintf(stream, "%s%s", each == (*verbs)->verbs ? ": " : ", ", wisp_verb_word(*each));
        fputc('\n', stream);
    }
}

void wisp_help_overview(FILE *stream)
{
    fprintf(stream, "%swisp%s runs WebAssembly components as services\n", bold(stream), plain(stream));
    for (const struct wisp_verb_section *section = wisp_verb_sections; section->heading; section++) {
        heading(stream, section->heading);
        print_verbs(stream, section->verbs);
    }
    heading(stream, "example");
    lines(stream, "wisp run hello.wasm          # then: curl http://127.0.0.1:8000/");
    heading(stream, "more");
    lines(stream, "wisp help VERB               # flags of a verb, with an example\n"
                  "wisp help connection         # how verbs reach a lattice\n"
                  "wisp help exit-codes         # what the program's exit code means");
}

static void print_usage(FILE *stream, const struct wisp_verb *verb)
{
    fprintf(stream, "  wisp %s", verb->name);
    for (size_t i = 0; i < verb->n_operands; i++)
        fprintf(stream, verb->operands[i].is_required ? " %s%s" : " [%s%s]", verb->operands[i].name,
                verb->operands[i].is_list ? "..." : "");
    if (verb->verbs) fprintf(stream, " VERB");
    if (wisp_verb_option(verb, 0)) fprintf(stream, " [FLAGS]");
    if (verb->rest) fprintf(stream, " [-- %s]", verb->rest);
    fputc('\n', stream);
}

/* "; also --x, --y, $X" */
static void append_others(struct wisp_buf *text, const char *words, const char *prefix)
{
    for (struct wisp_str word; (word = wisp_args_next_word(&words)).len;)
        wisp_buf_printf(text, "%s%s%.*s", text->len ? ", " : "", prefix, WISP_STR_ARG(word));
}

static void add_option(struct wisp_output_table *table, const struct wisp_arg_option *option, bool has_variables)
{
    char letter[8] = "    ";
    if (option->letter) snprintf(letter, sizeof letter, "-%c, ", option->letter);
    wisp_output_table_printf(table, "%s--%s%s%s%s", letter, option->name,
                             !option->value    ? ""
                             : option->implied ? "[="
                                               : " ",
                             option->value ? option->value : "", option->implied ? "]" : "");
    WISP_CLEANUP_BUF struct wisp_buf others = {0};
    append_others(&others, option->aliases, "--");
    if (has_variables) append_others(&others, option->env, "$");
    wisp_output_table_printf(table, "%s%s%s%.*s%s", option->help,
                             option->kind == WISP_ARG_LIST ? "; may be repeated" : "", others.len ? " (also " : "",
                             WISP_STR_ARG(wisp_buf_str(&others)), others.len ? ")" : "");
}

static void print_flags(FILE *stream, const struct wisp_verb *verb)
{
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 2);
    for (size_t i = 0; i < verb->n_options; i++) add_option(&table, &verb->options[i], true);
    add_option(&table, &(struct wisp_arg_option){.name = "help", .letter = 'h', .help = "this text"}, false);
    heading(stream, "flags");
    wisp_output_table_print(&table, stream, 2);
}

/* Those of the connection are many verbs', so their variables are told once, in a topic of their own. */
static void print_shared(FILE *stream, const struct wisp_arg_shared *shared, bool has_variables)
{
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 2);
    WISP_CLEANUP_BUF struct wisp_buf unused = {0};
    for (size_t i = 0; i < shared->n_options; i++) {
        const struct wisp_arg_option *option = &shared->options[i];
        if (option->unused)
            wisp_buf_printf(&unused, " --%s", option->name);
        else
            add_option(&table, option, has_variables);
    }
    heading(stream, shared->heading);
    wisp_output_table_print(&table, stream, 2);
    if (unused.len)
        fprintf(stream, "\n  Accepted, but without meaning here:%.*s\n", WISP_STR_ARG(wisp_buf_str(&unused)));
}

static void print_operands(FILE *stream, const struct wisp_verb *verb)
{
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 2);
    for (size_t i = 0; i < verb->n_operands; i++) {
        wisp_output_table_add(&table, wisp_str_from(verb->operands[i].name));
        wisp_output_table_add(&table, wisp_str_from(verb->operands[i].help));
    }
    heading(stream, "operands");
    wisp_output_table_print(&table, stream, 2);
}

static void print_aliases(FILE *stream, const struct wisp_verb *verb)
{
    WISP_CLEANUP_BUF struct wisp_buf words = {0};
    append_others(&words, verb->aliases, "");
    if (words.len) fprintf(stream, "\n  Also as: %.*s\n", WISP_STR_ARG(wisp_buf_str(&words)));
}

void wisp_help_verb(FILE *stream, const struct wisp_verb *verb)
{
    fprintf(stream, "%swisp %s%s: %s\n", bold(stream), verb->name, plain(stream), verb->summary);
    heading(stream, "usage");
    print_usage(stream, verb);
    if (verb->text) {
        fputc('\n', stream);
        lines(stream, verb->text);
    }
    print_aliases(stream, verb);
    if (verb->verbs) {
        heading(stream, "verbs");
        print_verbs(stream, verb->verbs);
    } else {
        if (verb->n_operands) print_operands(stream, verb);
        print_flags(stream, verb);
        if (verb->shared) print_shared(stream, verb->shared, verb->shared != &wisp_connection_options);
    }
    heading(stream, "example");
    lines(stream, verb->example);
}

static void print_exit_codes(void)
{
    printf("%sexit codes of wisp%s\n\n", bold(stdout), plain(stdout));
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 3);
    wisp_output_table_printf(&table, "0");
    wisp_output_table_printf(&table, "done");
    wisp_output_table_printf(&table, "it did what it was asked to");
#define X(kind, name, status, code, meaning)                                                                           \
    wisp_output_table_printf(&table, "%d", code);                                                                      \
    wisp_output_table_printf(&table, "%s", name);                                                                      \
    wisp_output_table_printf(&table, "%s", meaning);
    WISP_ERR_KINDS(X)
#undef X
    wisp_output_table_print(&table, stdout, 2);
    printf("\nA component that `wisp run` runs as a command gives its own exit code instead; %d when it trapped,\n"
           "%d when it ran into --timeout.\n",
           WISP_WORKER_EXIT_TRAP, WISP_WORKER_EXIT_TIMEOUT);
}

static void print_connection(void)
{
    printf("%show wisp reaches a lattice%s\n\n", bold(stdout), plain(stdout));
    lines(stdout,
          "Each setting is what its flag says, else its variable, else the context (`wisp help ctx`), else what is\n"
          "in brackets. Without any word on host and port, the bus of the host that runs on this machine is used\n"
          "(its Unix socket), else 127.0.0.1:4222.");
    print_shared(stdout, &wisp_connection_options, true);
}

static int unknown_topic(const struct wisp_verb *group, const char *topic, struct wisp_err *err)
{
    const char *nearest = wisp_verb_nearest(group, topic), *name = group ? group->name : "", *blank = group ? " " : "";
    if (nearest)
        return wisp_err_set(err, WISP_ERR_USAGE, "there is no verb `%s%s%s`; did you mean `wisp help %s`?", name, blank,
                            topic, nearest);
    return wisp_err_set(err, WISP_ERR_USAGE, "there is no help on `%s%s%s`; `wisp help%s%s` lists the verbs", name,
                        blank, topic, blank, name);
}

static int run(const void *values, struct wisp_err *err)
{
    const struct wisp_arg_list *topic = &((const struct values *)values)->topic;
    if (!topic->count) {
        wisp_help_overview(stdout);
        return 0;
    }
    if (topic->count == 1 && strcmp(topic->items[0], "exit-codes") == 0) {
        print_exit_codes();
        return 0;
    }
    if (topic->count == 1 && strcmp(topic->items[0], "connection") == 0) {
        print_connection();
        return 0;
    }
    int used;
    const struct wisp_verb *verb = wisp_verb_find((int)topic->count, topic->items, &used);
    if ((size_t)used < topic->count) {
        if (!verb || verb->verbs) return unknown_topic(verb, topic->items[used], err);
        return wisp_err_set(err, WISP_ERR_USAGE, "`%s` is no group of verbs; try `wisp help %s`", verb->name,
                            verb->name);
    }
    wisp_help_verb(stdout, verb);
    return 0;
}

static const struct values defaults;

const struct wisp_verb wisp_verb_help = {
    .name = "help",
    .summary = "how to use a verb; what exit codes mean",
    .text = "The same as `wisp VERB --help`.",
    .example = "wisp help run\nwisp help link put\nwisp help exit-codes",
    .operands = operands,
    .n_operands = WISP_COUNT(operands),
    .defaults = &defaults,
    .values_size = sizeof(struct values),
    .run = run,
};
