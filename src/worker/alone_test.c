/* SPDX-License-Identifier: Apache-2.0 */
/* Commands, which have no links: what they reach all the same, and what they are told of the rest. */
#include "provider/outside.h"
#include "provider/runtime.h"
#include "test.h"
#include "worker/test_kind.h"
#include "worker/worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- adapters --- */

static const struct wisp_provider_func wire_funcs[] = {
    {"add", "(u32, u32) -> u32", NULL, WISP_HOST_SIZES(struct add_args, uint32_t)},
    {"nap", "(u64)", NULL, sizeof(struct nap_args), 0},
};
static const struct wisp_provider_interface linked = {.name = "test:calc/ops@0.1.0",
                                                      .link_interface = "test:calc/ops",
                                                      .funcs = wire_funcs,
                                                      .n_funcs = 2},
                                            client = {.name = "test:calc/ops@0.1.0",
                                                      .link_interface = "wasi:http/outgoing-handler",
                                                      .funcs = wire_funcs,
                                                      .n_funcs = 2};

static int forward(struct wisp_call *call, const struct wisp_provider_interface *interface, int func, const void *args,
                   void *result)
{
    struct wisp_err err = {0};
    int r = wisp_outside_call(call, interface, &wire_funcs[func], args, result, &err);
    if (r != WISP_OUTSIDE_FAILED) return r;
    return wisp_call_trap(call, "%s: %s", wisp_err_name(err.kind), err.text);
}

static int add_by_link(struct wisp_call *call, const void *args, void *result)
{
    return forward(call, &linked, 0, args, result);
}

static int add_by_client(struct wisp_call *call, const void *args, void *result)
{
    return forward(call, &client, 0, args, result);
}

static int nap_by_client(struct wisp_call *call, const void *args, void *result)
{
    return forward(call, &client, 1, args, result);
}

static void on_done(const void *result, const struct wisp_err *err, void *env)
{
    (void)result;
    struct wisp_call *call = env;
    CHECK(!err);
    wisp_instance_wake(call->instance);
}

/* One that ends, and one that is given up. */
static int race_by_client(struct wisp_call *call, const void *args, void *result)
{
    (void)args, (void)result;
    struct nap_args shorter = {10}, longer = {100000};
    struct wisp_outside_pending *given_up = wisp_outside_start(call, &client, &wire_funcs[1], &longer, on_done, call);
    CHECK(given_up);
    CHECK(wisp_outside_start(call, &client, &wire_funcs[1], &shorter, on_done, call));
    int r = wisp_call_suspend(call);
    wisp_outside_cancel(call->context, given_up);
    return r;
}

/* Nobody takes the stream that it is to carry. */
static int stream_by_link(struct wisp_call *call, const void *args, void *result)
{
    (void)args, (void)result;
    static const struct wisp_provider_func funcs[] = {{"send", "(stream<u8>)", NULL, sizeof(void *), 0}};
    static const struct wisp_provider_interface streams = {
        .name = "test:calc/streams@0.1.0", .link_interface = "test:calc/streams", .funcs = funcs, .n_funcs = 1};
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_provider_export send;
    struct wisp_err err = {0};
    CHECK_OK(wisp_provider_interface_types(&streams, &arena, &send, &err), &err);
    struct wisp_wrpc_writer *open = wisp_wrpc_writer_new(send.type->params[0].type);
    struct wisp_wrpc_writer *ended = wisp_wrpc_writer_new(send.type->params[0].type);
    wisp_wrpc_writer_end(ended);
    CHECK_INT(wisp_outside_call(call, &streams, funcs, &ended, NULL, &err), WISP_OUTSIDE_FAILED);
    CHECK_INT(wisp_outside_call(call, &streams, funcs, &open, NULL, &err), WISP_OUTSIDE_FAILED);
    CHECK_INT(err.kind, WISP_ERR_NOT_FOUND);
    CHECK(wisp_wrpc_writer_is_closed(open));
    wisp_wrpc_writer_abort(open);
    return 0;
}

static const struct wisp_host_func adapter_funcs[] = {
    {"add-by-link", "(u32, u32) -> u32", add_by_link, WISP_HOST_SIZES(struct add_args, uint32_t)},
    {"add-by-client", "(u32, u32) -> u32", add_by_client, WISP_HOST_SIZES(struct add_args, uint32_t)},
    {"nap-by-client", "(u64)", nap_by_client, sizeof(struct nap_args), 0},
    {"race-by-client", "()", race_by_client, 0, 0},
    {"stream-by-link", "()", stream_by_link, 0, 0},
};
static const struct wisp_host_interface adapter = {
    .name = "test:calc/adapter", .version = "0.1.0", .funcs = adapter_funcs, .n_funcs = WISP_COUNT(adapter_funcs)};

const struct wisp_host_interface *const wisp_capability_interfaces[] = {&adapter};
const size_t wisp_capability_n_interfaces = 1;

/* --- commands --- */

static char stderr_text[8192];

static void write_command(int fd, const char *body)
{
    dprintf(fd,
            "(component\n"
            "  (import \"test:calc/adapter@0.1.0\" (instance $adapter\n"
            "    (export \"add-by-link\" (func (param \"x\" u32) (param \"y\" u32) (result u32)))\n"
            "    (export \"add-by-client\" (func (param \"x\" u32) (param \"y\" u32) (result u32)))\n"
            "    (export \"nap-by-client\" (func (param \"ms\" u64))) (export \"race-by-client\" (func))\n"
            "    (export \"stream-by-link\" (func))))\n"
            "  (core func $add-by-link (canon lower (func $adapter \"add-by-link\")))\n"
            "  (core func $add-by-client (canon lower (func $adapter \"add-by-client\")))\n"
            "  (core func $nap-by-client (canon lower (func $adapter \"nap-by-client\")))\n"
            "  (core func $race-by-client (canon lower (func $adapter \"race-by-client\")))\n"
            "  (core func $stream-by-link (canon lower (func $adapter \"stream-by-link\")))\n"
            "  (core module $main\n"
            "    (import \"h\" \"add-by-link\" (func $add-by-link (param i32 i32) (result i32)))\n"
            "    (import \"h\" \"add-by-client\" (func $add-by-client (param i32 i32) (result i32)))\n"
            "    (import \"h\" \"nap-by-client\" (func $nap-by-client (param i64)))\n"
            "    (import \"h\" \"race-by-client\" (func $race-by-client))\n"
            "    (import \"h\" \"stream-by-link\" (func $stream-by-link))\n"
            "    (func (export \"run\") (result i32) %s))\n"
            "  (core instance $main (instantiate $main (with \"h\" (instance\n"
            "    (export \"add-by-link\" (func $add-by-link)) (export \"add-by-client\" (func $add-by-client))\n"
            "    (export \"nap-by-client\" (func $nap-by-client))\n"
            "    (export \"race-by-client\" (func $race-by-client))\n"
            "    (export \"stream-by-link\" (func $stream-by-link))))))\n"
            "  (func $run (result (result)) (canon lift (core func $main \"run\")))\n"
            "  (instance $cli (export \"run\" (func $run)))\n"
            "  (export \"wasi:cli/run@0.2.0\" (instance $cli)))\n",
            body);
}

static int run_here(const char *path, uint64_t timeout_ms)
{
    const struct wisp_worker_component component = {.name = "guest", .path = path, .limits.timeout_ms = timeout_ms};
    struct wisp_err err = {0};
    int code;
    alarm(30);
    CHECK_OK(wisp_worker_command_run(&component, "", &code, &err), &err);
    return code;
}

static int run(const char *body, uint64_t timeout_ms)
{
    char path[] = "/tmp/wisp-alone-test-XXXXXX";
    int fd = mkstemp(path), pipes[2], status;
    write_command(fd, body);
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipes[1], STDERR_FILENO);
        exit(run_here(path, timeout_ms));
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

TEST(http_client_is_there)
{
    CHECK_INT(run("(i32.ne (call $add-by-client (i32.const 40) (i32.const 2)) (i32.const 42))", 0), 0);
    CHECK_INT(run("(call $nap-by-client (i64.const 20)) (i32.const 0)", 0), 0);
    CHECK_INT(run("(call $race-by-client) (i32.const 0)", 0), 0);
}

TEST(nothing_else_is)
{
    CHECK_INT(run("(call $stream-by-link) (i32.const 0)", 0), 0);
    CHECK_INT(run("(call $add-by-link (i32.const 40) (i32.const 2))", 0), WISP_WORKER_EXIT_TRAP);
    CHECK_HAS(stderr_text, "not-found: nothing is linked to `test:calc/ops`; `wisp run` has no links, use `wisp up`");
}

TEST(call_ends_with_its_time)
{
    CHECK_INT(run("(call $nap-by-client (i64.const 100000)) (i32.const 0)", 50), WISP_WORKER_EXIT_TIMEOUT);
}
