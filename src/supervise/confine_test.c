/* SPDX-License-Identifier: Apache-2.0 */
/* What confined children can and can't do, as /bin/sh tells it. */
#include "supervise/confine.h"

#include "base/mem.h"
#include "supervise/process.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct outcome {
    struct wisp_buf output;
    int status;
};

static void on_output(void *env, struct wisp_str line)
{
    struct outcome *outcome = env;
    wisp_buf_append_str(&outcome->output, line);
    wisp_buf_append_char(&outcome->output, '\n');
}

static void on_exit_status(void *env, int wait_status) { ((struct outcome *)env)->status = wait_status; }

static const struct wisp_process_handler handler = {.on_output = on_output, .on_exit = on_exit_status};

static struct wisp_confine *confine_of(const char *key, const char *value)
{
    struct wisp_confine *confine;
    struct wisp_err err = {0};
    const struct wisp_confine_setting setting = {wisp_str_from(key), wisp_str_from(value)};
    CHECK_OK(wisp_confine_new(&confine, &setting, 1, &err), &err);
    CHECK(confine != NULL);
    return confine;
}

/* What the script prints; free it. */
static char *run(const char *key, const char *value, const char *script, struct wisp_err *err)
{
    WISP_CLEANUP_CONFINE struct wisp_confine *confine = confine_of(key, value);
    const char *argv[] = {"sh", "-c", script, NULL};
    struct outcome outcome = {0};
    struct wisp_process *process;
    uv_loop_t loop;
    CHECK_INT(uv_loop_init(&loop), 0);
    const struct wisp_process_spec spec = {
        .path = "/bin/sh", .argv = argv, .capture_output = true, .is_contained = true, .confine = confine};
    int r = wisp_process_new(&process, &loop, &spec, &handler, &outcome, err);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&loop), 0);
    wisp_buf_append_char(&outcome.output, '\0');
    if (r == 0) return outcome.output.data;
    wisp_buf_deinit(&outcome.output);
    return NULL;
}

TEST(settings_that_cannot_be_are_named)
{
    static const struct {
        const char *key, *value, *text;
    } cases[] = {
        {"memory", "much", "wisp.confine.memory"},  {"memory", "0", "wisp.confine.memory"},
        {"cpu", "0", "wisp.confine.cpu"},           {"cpu", "1.2345678", "wisp.confine.cpu"},
        {"cpu", "-1", "wisp.confine.cpu"},          {"paths", "usr", "not an absolute path"},
        {"seccomp", "strict", "default, none"},     {"user", "nobody-of-this-name", "there is no user"},
        {"user", "12:x", "wisp.confine.user"},      {"user", "4294967295", "wisp.confine.user"},
        {"network", "off", "wisp.confine.network"},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct wisp_confine *confine;
        struct wisp_err err = {0};
        const struct wisp_confine_setting setting = {wisp_str_from(cases[i].key), wisp_str_from(cases[i].value)};
        CHECK(wisp_confine_new(&confine, &setting, 1, &err) < 0);
        CHECK_HAS(err.text, cases[i].text);
    }
}

TEST(limits_are_read)
{
    WISP_CLEANUP_CONFINE struct wisp_confine *memory = confine_of("memory", "64M");
    WISP_CLEANUP_CONFINE struct wisp_confine *half = confine_of("cpu", "0.5");
    WISP_CLEANUP_CONFINE struct wisp_confine *two = confine_of("cpu", "2");
    CHECK_INT(wisp_confine_memory_bytes(memory), 64 << 20);
    CHECK_INT(wisp_confine_cpu_us(half), 50000);
    CHECK_INT(wisp_confine_cpu_us(two), 200000);
}

TEST(environment_is_an_allow_list)
{
    WISP_CLEANUP_CONFINE struct wisp_confine *confine = confine_of("env", "PATH, AWS_*");
    CHECK(wisp_confine_passes(confine, "PATH=/bin"));
    CHECK(wisp_confine_passes(confine, "AWS_REGION=x"));
    CHECK(!wisp_confine_passes(confine, "PATHS=/bin"));
    CHECK(!wisp_confine_passes(confine, "HOME=/"));
    CHECK(!wisp_confine_passes(NULL, "HOME=/"));
}

TEST(seccomp_denies_what_looks_into_the_machine)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_FREE char *output =
        run("seccomp", "default",
            "unshare -r true 2>/dev/null && echo unshared; mount -t tmpfs x /mnt 2>/dev/null && "
            "echo mounted; echo alive; grep Seccomp: /proc/self/status | tr -d '\\t'",
            &err);
    CHECK_TEXT(output, "alive\nSeccomp:2\n");
}

TEST(paths_are_all_that_can_be_reached)
{
    struct wisp_err err = {0};
    if (syscall(444, NULL, 0, 1) < 1) {
        WISP_CLEANUP_FREE char *none = run("paths", "/usr", "true", &err);
        CHECK(!none);
        CHECK_HAS(err.text, "no Landlock");
        return;
    }
    char folder[] = "/tmp/wisp-confine-test-XXXXXX", paths[200], script[600];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(paths, sizeof paths, "/usr,/lib,/lib64,/bin,/etc/ld.so.cache,/dev/null:rw,%s:rw", folder);
    if (access("/lib64", F_OK) < 0) snprintf(paths, sizeof paths, "/usr,/lib,/bin,/dev/null:rw,%s:rw", folder);
    snprintf(script, sizeof script,
             "cat /etc/passwd 2>/dev/null && echo read; { echo x > /tmp/wisp-confine-no; } 2>/dev/null; "
             "test -e /tmp/wisp-confine-no && echo written; echo inside > %s/a; cat %s/a; rm %s/a",
             folder, folder, folder);
    WISP_CLEANUP_FREE char *output = run("paths", paths, script, &err);
    if (!output) wisp_test_fail(__FILE__, __LINE__, "%s", err.text);
    CHECK_TEXT(output, "inside\n");
    rmdir(folder);
    WISP_CLEANUP_FREE char *absent = run("paths", "/nowhere/at/all", "true", &err);
    CHECK(!absent);
    CHECK_HAS(err.text, "/nowhere/at/all");
}

TEST(user_is_another_or_an_error)
{
    struct wisp_err err = {0};
    int dumpable = prctl(PR_GET_DUMPABLE);
    WISP_CLEANUP_FREE char *output = run("user", "12345:23456", "id -u; id -g; id -G", &err);
    CHECK_INT(prctl(PR_GET_DUMPABLE), dumpable); /* the child has left nothing behind in our memory */
    if (geteuid() == 0) {
        if (!output) wisp_test_fail(__FILE__, __LINE__, "%s", err.text);
        CHECK_TEXT(output, "12345\n23456\n23456\n");
    } else {
        CHECK(!output);
        CHECK_HAS(err.text, "wisp.confine.user");
    }
}

/* By a control group that is ours to divide, or else each process for itself. */
TEST(memory_is_limited)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_FREE char *output = run(
        "memory", "64M",
        "cat /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/memory.max 2>/dev/null | grep 67108864 || "
        "ulimit -d; head -c 200M /dev/zero | dd bs=200M count=1 iflag=fullblock of=/dev/null 2>/dev/null && echo much; "
        "dd if=/dev/zero bs=10M count=1 of=/dev/null 2>/dev/null && echo little",
        &err);
    CHECK_OK(output ? 0 : -1, &err);
    if (strcmp(output, "67108864\n") == 0) return; /* the kernel has ended all of them */
    CHECK_TEXT(output, "65536\nlittle\n");
}

TEST(cpu_is_limited_or_an_error)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_FREE char *output =
        run("cpu", "0.5", "cat /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/cpu.max", &err);
    if (output)
        CHECK_TEXT(output, "50000 100000\n");
    else
        CHECK_HAS(err.text, "wisp.confine.");
}
