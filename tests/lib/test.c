/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIME_LIMIT_S = 60, EXIT_SKIPPED = 77 };

extern const struct wisp_test *const __start_wisp_tests[];
extern const struct wisp_test *const __stop_wisp_tests[];

void wisp_test_fail(const char *file, int line, const char *format, ...)
{
    fprintf(stderr, "%s:%d: ", file, line);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(NULL);
    _exit(1);
}

void wisp_test_skip(const char *reason)
{
    fprintf(stderr, "skipped: %s\n", reason);
    fflush(NULL);
    _exit(EXIT_SKIPPED);
}

static int run_one(const struct wisp_test *test)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0) {
        alarm(TIME_LIMIT_S);
        test->run();
        exit(0); /* exit, not _exit: the leak checker runs at exit */
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) exit(1);
    if (WIFSIGNALED(status)) {
        int signal_number = WTERMSIG(status);
        printf("FAIL %s (%s)\n", test->name, signal_number == SIGALRM ? "time limit" : strsignal(signal_number));
        return 1;
    }
    int code = WEXITSTATUS(status);
    printf("%s %s\n", code == 0 ? "ok  " : code == EXIT_SKIPPED ? "skip" : "FAIL", test->name);
    return code != 0 && code != EXIT_SKIPPED;
}

static bool is_wanted(const struct wisp_test *test, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strstr(test->name, argv[i])) return true;
    return argc <= 1;
}

int main(int argc, char **argv)
{
    int n_run = 0, n_failed = 0;
    for (const struct wisp_test *const *test = __start_wisp_tests; test < __stop_wisp_tests; test++) {
        if (!is_wanted(*test, argc, argv)) continue;
        n_run++;
        n_failed += run_one(*test);
    }
    printf("%d passed, %d failed\n", n_run - n_failed, n_failed);
    return n_failed || !n_run;
}
