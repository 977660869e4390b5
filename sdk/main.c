/* SPDX-License-Identifier: Apache-2.0 */
#include "sdk_priv.h"
#include "wisp/provider.h"

#include <stdio.h>
#include <unistd.h>

static void print_help(const struct wisp_provider_kind *kind)
{
    printf("%s: %s\n\n"
           "A capability provider: a host starts it and tells it on standard input who it is.\n"
           "    wisp start provider file:///PATH/OF/THIS ID\n\n"
           "    --describe  what it offers and calls, as JSON\n"
           "    --version   this version\n"
           "    --help      this text\n",
           kind->name, kind->about ? kind->about : "");
}

/* Negative: go on. */
static int take_args(const struct wisp_provider_kind *kind, int argc, char **argv)
{
    if (argc < 2) return -1;
    struct wisp_str arg = wisp_str_from(argv[1]);
    if (argc == 2 && wisp_str_is(arg, "--help"))
        print_help(kind);
    else if (argc == 2 && wisp_str_is(arg, "--version"))
        printf("%s (wisp %s)\n", kind->name, WISP_VERSION);
    else if (argc == 2 && wisp_str_is(arg, "--describe"))
        wisp_sdk_describe(kind);
    else
        return fprintf(stderr, "%s: `%s` is no option; see --help\n", kind->name, argv[argc - 1]), 2;
    return 0;
}

static int refuse(const struct wisp_provider_kind *kind, const struct wisp_err *err)
{
    fprintf(stderr, "%s: %s\n", kind->name, err->text);
    return wisp_err_exit_code(err->kind);
}

int wisp_provider_main(const struct wisp_provider_kind *kind, int argc, char **argv)
{
    int status = take_args(kind, argc, argv);
    if (status >= 0) return status;
    if (isatty(STDIN_FILENO)) {
        fprintf(stderr,
                "%s is a capability provider: a host starts it (wisp start provider) and tells it on standard input "
                "who it is. See --help.\n",
                kind->name);
        return 2;
    }
    WISP_CLEANUP_BUF struct wisp_buf line = {0};
    WISP_CLEANUP_HOST_DATA struct wisp_host_data data = {0};
    struct wisp_err err = {0};
    int r = wisp_host_data_read(STDIN_FILENO, &line, &err);
    if (r == 0) r = wisp_host_data_parse(wisp_buf_str(&line), &data, &err);
    wisp_buf_wipe(&line);
    if (r < 0) return refuse(kind, &err);
    wisp_log_configure(data.log_level, data.is_log_structured ? WISP_LOG_JSON : WISP_LOG_AUTO);
    return wisp_sdk_run(kind, &data);
}
