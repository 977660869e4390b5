/* SPDX-License-Identifier: Apache-2.0 */
/* Commands written as text, each run in a process of its own whose standard streams are pipes. */
#include "worker/worker.h"

#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Imports that the guests below may use, and memory for them. */
#define PRELUDE                                                                                                        \
    "(component\n"                                                                                                     \
    "  (import \"wasi:cli/exit@0.2.0\" (instance $exit\n"                                                              \
    "    (export \"exit\" (func (param \"status\" (result))))\n"                                                       \
    "    (export \"exit-with-code\" (func (param \"status-code\" u8)))))\n"                                            \
    "  (import \"wasi:cli/environment@0.2.0\" (instance $environment\n"                                                \
    "    (export \"get-arguments\" (func (result (list string))))))\n"                                                 \
    "  (import \"wasi:io/poll@0.2.0\" (instance $poll\n"                                                               \
    "    (export \"pollable\" (type $pollable (sub resource)))\n"                                                      \
    "    (export \"[method]pollable.block\" (func (param \"self\" (borrow $pollable))))))\n"                           \
    "  (alias export $poll \"pollable\" (type $pollable))\n"                                                           \
    "  (import \"wasi:clocks/monotonic-clock@0.2.0\" (instance $clock\n"                                               \
    "    (alias outer 1 $pollable (type $p))\n"                                                                        \
    "    (export \"pollable\" (type $pollable (eq $p)))\n"                                                             \
    "    (export \"subscribe-duration\" (func (param \"when\" u64) (result (own $pollable))))))\n"                     \
    "  (import \"wasi:http/types@0.2.0\" (instance $http\n"                                                            \
    "    (export \"fields\" (type $fields (sub resource)))\n"                                                          \
    "    (export \"[constructor]fields\" (func (result (own $fields))))))\n"                                           \
    "  (core module $memory (memory (export \"memory\") 1) (global $at (mut i32) (i32.const 4096))\n"                  \
    "    (func (export \"realloc\") (param i32 i32 i32 i32) (result i32)\n"                                            \
    "      global.get $at (global.set $at (i32.add (global.get $at) (i32.and (i32.add (local.get 3) (i32.const 7))\n"  \
    "        (i32.const -8))))))\n"                                                                                    \
    "  (core instance $memory (instantiate $memory))\n"                                                                \
    "  (alias core export $memory \"memory\" (core memory $m))\n"                                                      \
    "  (alias core export $memory \"realloc\" (core func $realloc))\n"                                                 \
    "  (core func $exit (canon lower (func $exit \"exit\")))\n"                                                        \
    "  (core func $exit-with-code (canon lower (func $exit \"exit-with-code\")))\n"                                    \
    "  (core func $arguments (canon lower (func $environment \"get-arguments\") (memory $m) (realloc $realloc)))\n"    \
    "  (core func $subscribe (canon lower (func $clock \"subscribe-duration\")))\n"                                    \
    "  (core func $block (canon lower (func $poll \"[method]pollable.block\")))\n"                                     \
    "  (core func $new-fields (canon lower (func $http \"[constructor]fields\")))\n"                                   \
    "  (core module $main\n"                                                                                           \
    "    (import \"h\" \"memory\" (memory 1))\n"                                                                       \
    "    (import \"h\" \"exit\" (func $exit (param i32)))\n"                                                           \
    "    (import \"h\" \"exit-with-code\" (func $exit-with-code (param i32)))\n"                                       \
    "    (import \"h\" \"arguments\" (func $arguments (param i32)))\n"                                                 \
    "    (import \"h\" \"subscribe\" (func $subscribe (param i64) (result i32)))\n"                                    \
    "    (import \"h\" \"block\" (func $block (param i32)))\n"                                                         \
    "    (import \"h\" \"new-fields\" (func $new-fields (result i32)))\n"                                              \
    "    (func (export \"run\") (result i32) "
#define POSTLUDE                                                                                                       \
    "))\n"                                                                                                             \
    "  (core instance $main (instantiate $main (with \"h\" (instance\n"                                                \
    "    (export \"memory\" (memory $m)) (export \"exit\" (func $exit))\n"                                             \
    "    (export \"exit-with-code\" (func $exit-with-code)) (export \"arguments\" (func $arguments))\n"                \
    "    (export \"subscribe\" (func $subscribe)) (export \"block\" (func $block))\n"                                  \
    "    (export \"new-fields\" (func $new-fields))))))\n"                                                             \
    "  (func $run (result (result)) (canon lift (core func $main \"run\")))\n"                                         \
    "  (instance $cli (export \"run\" (func $run)))\n"                                                                 \
    "  (export \"wasi:cli/run@0.2.0\" (instance $cli)))\n"

static char stderr_text[8192];

/* The exit code; 100 and the error's kind when the component can't be run. */
static int run_text(const char *text, const struct wisp_worker_component *more)
{
    char path[] = "/tmp/wisp-command-test-XXXXXX";
    int fd = mkstemp(path), pipes[2], status;
    CHECK_INT(write(fd, text, strlen(text)), strlen(text));
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(30);
        dup2(pipes[1], STDERR_FILENO);
        struct wisp_worker_component component = *more;
        component.name = "guest";
        component.path = path;
        struct wisp_err err = {0};
        int code;
        if (wisp_worker_command_run(&component, "", &code, &err) < 0) {
            fprintf(stderr, "%s", err.text);
            code = 100 + (int)err.kind;
        }
        exit(code);
    }
    close(pipes[1]);
    size_t size = 0;
    for (ssize_t n; (n = read(pipes[0], stderr_text + size, sizeof stderr_text - 1 - size)) > 0;) size += (size_t)n;
    stderr_text[size] = '\0';
    close(pipes[0]);
    close(fd);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    unlink(path);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define RUN(body, ...) run_text(PRELUDE body POSTLUDE, &(struct wisp_worker_component){__VA_ARGS__})

TEST(results_become_exit_codes)
{
    CHECK_INT(RUN("i32.const 0"), 0);
    CHECK_INT(RUN("i32.const 1"), 1);
    CHECK_TEXT(stderr_text, "");
}

TEST(exit_ends_the_command)
{
    CHECK_INT(RUN("(call $exit (i32.const 0)) i32.const 1"), 0);
    CHECK_INT(RUN("(call $exit (i32.const 1)) i32.const 0"), 1);
    CHECK_INT(RUN("(call $exit-with-code (i32.const 42)) unreachable"), 42);
    CHECK_TEXT(stderr_text, "");
}

TEST(trap_says_why)
{
    CHECK_INT(RUN("unreachable"), WISP_WORKER_EXIT_TRAP);
    CHECK_HAS(stderr_text, "wisp: `guest` trapped: ");
    CHECK_HAS(stderr_text, "unreachable");
    CHECK_INT(RUN("i32.const 2"), WISP_WORKER_EXIT_TRAP); /* no result has that discriminant */
}

TEST(time_can_be_limited)
{
    CHECK_INT(RUN("(loop $l (br $l)) i32.const 0", .limits.timeout_ms = 200), WISP_WORKER_EXIT_TIMEOUT);
    CHECK_HAS(stderr_text, "not done within 200 ms");
    CHECK_INT(RUN("(call $block (call $subscribe (i64.const 10000000000))) i32.const 0", .limits.timeout_ms = 200),
              WISP_WORKER_EXIT_TIMEOUT);
    CHECK_INT(RUN("(call $block (call $subscribe (i64.const 50000000))) i32.const 0", .limits.timeout_ms = 5000), 0);
}

TEST(arguments_follow_the_name)
{
    static const char *const args[] = {"a", "bc"};
    /* The result is at 0: pointer and length of the list. */
    CHECK_INT(RUN("(call $arguments (i32.const 0)) (call $exit-with-code (i32.load (i32.const 4))) i32.const 0",
                  .args = args, .n_args = 2),
              3);
}

TEST(http_types_can_be_used_without_a_request)
{
    CHECK_INT(RUN("(drop (call $new-fields)) (drop (call $new-fields)) i32.const 0"), 0);
    CHECK_INT(RUN("(loop $l (drop (call $new-fields)) (br $l)) i32.const 0"), WISP_WORKER_EXIT_TRAP);
    CHECK_HAS(stderr_text, "more than 10000 wasi:http resources alive");
}

TEST(memory_can_be_limited)
{
    static const char grow[] =
        PRELUDE "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))"
                "(call $exit-with-code (i32.div_u (memory.size) (i32.const 16))) i32.const 0" POSTLUDE;
    CHECK_INT(run_text(grow, &(struct wisp_worker_component){.limits.memory_bytes_max = 8 << 20}), 7);
    CHECK_INT(RUN("i32.const 0", .limits.memory_bytes_max = 4096), 100 + WISP_ERR_LIMIT);
    CHECK_HAS(stderr_text, "starts with 64 KiB of memory, the limit is 4 KiB");
}

TEST(what_is_no_command_is_refused)
{
    const struct wisp_worker_component none = {0};
    CHECK_INT(run_text("(component)", &none), 100 + WISP_ERR_INVALID);
    CHECK_HAS(stderr_text, "does not export wasi:cli/run");
    CHECK_INT(run_text("(module)", &none), 100 + WISP_ERR_INVALID);
    CHECK_INT(run_text(" ", &none), 100 + WISP_ERR_INVALID);
}

TEST(directories_must_be_there)
{
    static const struct wisp_worker_preopen preopens[] = {{"/nowhere/at/all", "/data", true}};
    CHECK_INT(RUN("i32.const 0", .preopens = preopens, .n_preopens = 1), 100 + WISP_ERR_NOT_FOUND);
    CHECK_HAS(stderr_text, "open directory `/nowhere/at/all`");
}
