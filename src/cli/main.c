/* SPDX-License-Identifier: Apache-2.0 */
/* wisp: finds the verb, parses its arguments, runs it, prints its error. */
#include "cli/output.h"
#include "cli/verbs.h"

#include <fcntl.h>
#include <unistd.h>

static int unknown_verb(const char *name, struct wisp_err *err)
{
    const char *nearest = wisp_args_nearest(wisp_str_from(name), wisp_verb_names);
    if (nearest)
        return wisp_err_set(err, WISP_ERR_USAGE,
                            "there is no verb `%s`; did you mean `wisp %s`? (`wisp help` lists all)", name, nearest);
    if (access(name, F_OK) == 0)
        return wisp_err_set(err, WISP_ERR_USAGE, "there is no verb `%s`; to run that file: wisp run %s", name, name);
    return wisp_err_set(err, WISP_ERR_USAGE, "there is no verb `%s`; `wisp help` lists what there is", name);
}

/* Flags in front of a verb: only those that stand for a verb. */
static const char *verb_of_flag(const char *flag)
{
    if (strcmp(flag, "--help") == 0 || strcmp(flag, "-h") == 0) return "help";
    if (strcmp(flag, "--version") == 0 || strcmp(flag, "-V") == 0) return "version";
    return flag;
}

static int run_verb(const struct wisp_verb *verb, int argc, char **argv, struct wisp_err *err)
{
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
    const char *name = verb_of_flag(argv[1]);
    const struct wisp_verb *verb = wisp_verb_find(name);
    int r = verb ? run_verb(verb, argc - 2, argv + 2, &err) : unknown_verb(name, &err);
    if (r == 0) r = flush_output(&err);
    return r < 0 ? wisp_output_error(&err) : r;
}
