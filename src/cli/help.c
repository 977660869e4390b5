/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"
#include "cli/verbs.h"
#include "worker/worker.h"

struct values {
    const char *topic;
};

static const struct wisp_arg_operand operands[] = {
    {.name = "TOPIC",
     .help = "a verb, or exit-codes",
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

void wisp_help_overview(FILE *stream)
{
    fprintf(stream, "%swisp%s runs WebAssembly components as services\n", bold(stream), plain(stream));
    heading(stream, "verbs");
    WISP_CLEANUP_TABLE struct wisp_table table;
    wisp_table_init(&table, 2);
    for (const struct wisp_verb *const *verb = wisp_verbs; *verb; verb++) {
        if ((*verb)->is_hidden) continue;
        wisp_table_add(&table, wisp_str_from((*verb)->name));
        wisp_table_add(&table, wisp_str_from((*verb)->summary));
    }
    wisp_table_print(&table, stream, 2);
    heading(stream, "example");
    lines(stream, "wisp run hello.wasm          # then: curl http://127.0.0.1:8000/");
    heading(stream, "more");
    lines(stream, "wisp help VERB               # flags of a verb, with an example\n"
                  "wisp help exit-codes         # what the program's exit code means");
}

static void print_usage(FILE *stream, const struct wisp_verb *verb)
{
    fprintf(stream, "  wisp %s", verb->name);
    for (size_t i = 0; i < verb->n_operands; i++)
        fprintf(stream, verb->operands[i].is_required ? " %s" : " [%s]", verb->operands[i].name);
    if (verb->n_options) fprintf(stream, " [FLAGS]");
    if (verb->rest) fprintf(stream, " [-- %s]", verb->rest);
    fputc('\n', stream);
}

static void add_option(struct wisp_table *table, const struct wisp_arg_option *option)
{
    char letter[8] = "    ";
    if (option->letter) snprintf(letter, sizeof letter, "-%c, ", option->letter);
    wisp_table_printf(table, "%s--%s%s%s", letter, option->name, option->value ? " " : "",
                      option->value ? option->value : "");
    wisp_table_printf(table, "%s%s%s%s%s", option->help, option->kind == WISP_ARG_LIST ? "; may be repeated" : "",
                      option->env ? " (also $" : "", option->env ? option->env : "", option->env ? ")" : "");
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
    if (verb->n_operands) {
        WISP_CLEANUP_TABLE struct wisp_table table;
        wisp_table_init(&table, 2);
        for (size_t i = 0; i < verb->n_operands; i++) {
            wisp_table_add(&table, wisp_str_from(verb->operands[i].name));
            wisp_table_add(&table, wisp_str_from(verb->operands[i].help));
        }
        heading(stream, "operands");
        wisp_table_print(&table, stream, 2);
    }
    WISP_CLEANUP_TABLE struct wisp_table table;
    wisp_table_init(&table, 2);
    for (size_t i = 0; i < verb->n_options; i++) add_option(&table, &verb->options[i]);
    add_option(&table, &(struct wisp_arg_option){.name = "help", .letter = 'h', .help = "this text"});
    heading(stream, "flags");
    wisp_table_print(&table, stream, 2);
    heading(stream, "example");
    lines(stream, verb->example);
}

static void print_exit_codes(void)
{
    printf("%sexit codes of wisp%s\n\n", bold(stdout), plain(stdout));
    WISP_CLEANUP_TABLE struct wisp_table table;
    wisp_table_init(&table, 3);
    wisp_table_printf(&table, "0");
    wisp_table_printf(&table, "done");
    wisp_table_printf(&table, "it did what it was asked to");
#define X(kind, name, status, code, meaning)                                                                           \
    wisp_table_printf(&table, "%d", code);                                                                             \
    wisp_table_printf(&table, "%s", name);                                                                             \
    wisp_table_printf(&table, "%s", meaning);
    WISP_ERR_KINDS(X)
#undef X
    wisp_table_print(&table, stdout, 2);
    printf("\nA component that `wisp run` runs as a command gives its own exit code instead; %d when it trapped,\n"
           "%d when it ran into --timeout.\n",
           WISP_WORKER_EXIT_TRAP, WISP_WORKER_EXIT_TIMEOUT);
}

static int unknown_topic(const char *topic, struct wisp_err *err)
{
    const char *nearest = wisp_args_nearest(wisp_str_from(topic), wisp_verb_names);
    if (nearest)
        return wisp_err_set(err, WISP_ERR_USAGE, "there is no verb `%s`; did you mean `wisp help %s`?", topic, nearest);
    return wisp_err_set(err, WISP_ERR_USAGE, "there is no help on `%s`; `wisp help` lists the verbs", topic);
}

static int run(const void *values, struct wisp_err *err)
{
    const char *topic = ((const struct values *)values)->topic;
    if (!topic) {
        wisp_help_overview(stdout);
        return 0;
    }
    if (strcmp(topic, "exit-codes") == 0) {
        print_exit_codes();
        return 0;
    }
    const struct wisp_verb *verb = wisp_verb_find(topic);
    if (!verb) return unknown_topic(topic, err);
    wisp_help_verb(stdout, verb);
    return 0;
}

static const struct values defaults;

const struct wisp_verb wisp_verb_help = {
    .name = "help",
    .summary = "how to use a verb; what exit codes mean",
    .text = "The same as `wisp VERB --help`.",
    .example = "wisp help run\nwisp help exit-codes",
    .operands = operands,
    .n_operands = WISP_COUNT(operands),
    .defaults = &defaults,
    .values_size = sizeof(struct values),
    .run = run,
};
