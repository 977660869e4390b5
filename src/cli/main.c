/* SPDX-License-Identifier: Apache-2.0 */
/* wisp: finds the verb, parses its arguments, runs it, prints its error. */
#include "cli/output.h"
#include "cli/verbs.h"

#include <fcntl.h>
#include <unistd.h>

/* `group` NULL: the first word is none. */
static int unknown_verb(const struct wisp_verb *group, const char *word, struct wisp_err *err)
{
    if (*word == '-')
        return wisp_err_set(err, WISP_ERR_USAGE, "flags come after the verb: wisp %s%sVERB %s",
                            group ? group->name : "", group ? " " : "", word);
    const char *nearest = wisp_verb_nearest(group, word), *blank = group ? " " : "", *name = group ? group->name : "";
    if (nearest)
        return wisp_err_set(err, WISP_ERR_USAGE,
                            "there is no verb `%s%s%s`; did you mean `wisp %s`? (`wisp help%s%s` lists all)", name,
                            blank, word, nearest, blank, name);
    if (!group && access(word, F_OK) == 0)
        return wisp_err_set(err, WISP_ERR_USAGE, "there is no verb `%s`; to run that file: wisp run %s", word, word);
    return wisp_err_set(err, WISP_ERR_USAGE, "there is no verb `%s%s%s`; `wisp help%s%s` lists what there is", name,
                        blank, word, blank, name);
}

/* Flags in front of a verb: only those that stand for a verb. */
static char *verb_of_flag(char *flag)
{
    static char help[] = "help", version[] = "version";
    if (strcmp(flag, "--help") == 0 || strcmp(flag, "-h") == 0) return help;
    if (strcmp(flag, "--version") == 0 || strcmp(flag, "-V") == 0) return version;
    return flag;
}

/* Errors are JSON when results are: by what the arguments say, since they may be what is wrong. */
static void choose_error_format(const struct wisp_verb *verb, int argc, char **argv)
{
    bool has_output = false;
    const struct wisp_arg_option *option;
    for (size_t i = 0; (option = wisp_verb_option(verb, i)); i++) has_output |= option->letter == 'o';
    for (int i = 0; has_output && i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "", *value = NULL;
        if (strcmp(argv[i], "--output") == 0 || strcmp(argv[i], "-o") == 0)
            value = next;
        else if (strncmp(argv[i], "--output=", 9) == 0)
            value = argv[i] + 9;
        else if (strncmp(argv[i], "-o", 2) == 0)
            value = argv[i] + 2 + (argv[i][2] == '=');
        if (value) wisp_output_errors_are_json = strcmp(value, "json") == 0;
    }
}

static int run_group(const struct wisp_verb *group, int argc, char **argv, struct wisp_err *err)
{
    bool wants_help = argc && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0);
    if (argc && !wants_help) return unknown_verb(group, argv[0], err);
    wisp_help_verb(wants_help ? stdout : stderr, group);
    return wants_help ? 0 : wisp_err_exit_code(WISP_ERR_USAGE);
}

static int run_verb(const struct wisp_verb *verb, int argc, char **argv, struct wisp_err *err)
{
    if (verb->verbs) return run_group(verb, argc, argv, err);
    choose_error_format(verb, argc, argv);
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    void *values = wisp_arena_calloc(&arena, 1, verb->values_size);
    bool wants_help = false;
    int r = wisp_args_parse(verb, argc, argv, &arena, values, &wants_help, err);
    if (r < 0) return r;
    if (!wants_help) return verb->run(values, err);
    wisp_help_verb(stdout, verb);
    return 0;
}

/* A full disk or a closed pipe behind standard output must not look like success. */
static int flush_output(struct wisp_err *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
    return wisp_err_set(err, WISP_ERR_OS, "could not write all output");
}

/* A program may be started with its standard descriptors closed. The first files it opens would then take their
 * numbers, and its messages would end up in them. */
static void keep_standard_descriptors(void)
{
    int fd;
    do fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

int main(int argc, char **argv)
{
    keep_standard_descriptors();
    if (argc < 2) {
        wisp_help_overview(stderr);
        return wisp_err_exit_code(WISP_ERR_USAGE);
    }
    struct wisp_err err = {0};
    argv[1] = verb_of_flag(argv[1]);
    int n_words;
    const struct wisp_verb *verb = wisp_verb_find(argc - 1, (const char *const *)argv + 1, &n_words);
    int r = verb ? run_verb(verb, argc - 1 - n_words, argv + 1 + n_words, &err) : unknown_verb(NULL, argv[1], &err);
    if (r == 0) r = flush_output(&err);
    return r < 0 ? wisp_output_error(&err) : r;
}
