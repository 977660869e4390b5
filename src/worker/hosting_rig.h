/* SPDX-License-Identifier: Apache-2.0 */
/* Workers of a host in processes of their own, driven by orders as a control process would; and HTTP clients. For
 * tests: every step waits for what it caused, and fails the test when it doesn't come. */
#pragma once

#include "base/log.h"
#include "base/mem.h"
#include "bus/server.h"
#include "component/plan.h"
#include "test.h"
#include "wasm/wasm.h"
#include "worker/frame.h"
#include "worker/orders.h"
#include "worker/shared.h"
#include "worker/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RIG_WORKERS = 3, RIG_WAIT_MS = 20000, RIG_TEXT_MAX = 1 << 20, RIG_DRAIN_MS = 3000 };

struct rig_worker {
    pid_t pid;
    int orders, control;
    struct wisp_frame_reader reader;
};

static struct rig {
    pid_t test_pid;
    struct wisp_shared *shared;
    struct rig_worker workers[RIG_WORKERS];
    char dir[64], cache[128], guest[128], front[128], calc[128];
    uint32_t grace_ms, instances_max; /* instances_max 0: 20 */
    uint32_t provider_wait_ms;
    char bus_path[96], bus_url[128]; /* url empty: no bus */
    struct wisp_worker_policy policy;
    pid_t bus_pid;
    int log_read, log_write;
    char *log;
    size_t log_size;
} rig;

/* --- files --- */

static inline char *rig_read_source(const char *name)
{
    char path[1024];
    const char *slash = strrchr(__FILE__, '/');
    snprintf(path, sizeof path, "%.*s/%s", (int)(slash - __FILE__), __FILE__, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    char *text = wisp_mem_calloc(1, RIG_TEXT_MAX);
    ssize_t n = read(fd, text, RIG_TEXT_MAX - 1);
    CHECK(n > 0);
    close(fd);
    return text;
}

static inline void rig_insert(char *text, const char *before, const char *what)
{
    char *at = strstr(text, before);
    CHECK(at);
    memmove(at + strlen(what), at, strlen(at) + 1);
    memcpy(at, what, strlen(what));
}

/* As a binary: what is compiled is known by its bytes. */
static inline void rig_write_component(const char *path, const char *text)
{
    WISP_CLEANUP_BUF struct wisp_buf binary = {0};
    struct wisp_err err = {0};
    CHECK_OK(wisp_wasm_text_to_binary(wisp_str_from(text), &binary, &err), &err);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK_INT(write(fd, binary.data, binary.len), binary.len);
    close(fd);
}

/* The HTTP guest, with commands that call another component: c adds, E echoes, T traps, S spins, N naps, D goes
 * 20 deep, V 100, and B calls 100 times. */
static inline char *rig_front_text(void)
{
    char *text = rig_read_source("test_guest.wat");
    rig_insert(text, "  (core module $memory",
               "  (import \"test:calc/ops@0.1.0\" (instance $calc\n"
               "    (export \"add\" (func (param \"x\" u32) (param \"y\" u32) (result u32)))\n"
               "    (export \"echo\" (func (param \"text\" string) (result string)))\n"
               "    (export \"trap\" (func)) (export \"spin\" (func)) (export \"nap\" (func (param \"ms\" u64)))))\n"
               "  (import \"test:calc/next@0.1.0\" (instance $next\n"
               "    (export \"deep\" (func (param \"n\" u32) (result u32)))))\n");
    rig_insert(text, "  (core func $new-fields",
               "  (core func $add (canon lower (func $calc \"add\")))\n"
               "  (core func $echo (canon lower (func $calc \"echo\") (memory $m) (realloc $realloc)))\n"
               "  (core func $trap (canon lower (func $calc \"trap\"))) (core func $spin (canon lower (func $calc "
               "\"spin\")))\n"
               "  (core func $nap (canon lower (func $calc \"nap\"))) (core func $deep (canon lower (func $next "
               "\"deep\")))\n");
    rig_insert(text, "    (import \"h\" \"block\"",
               "    (import \"h\" \"add\" (func $add (param i32 i32) (result i32)))\n"
               "    (import \"h\" \"echo\" (func $echo (param i32 i32 i32)))\n"
               "    (import \"h\" \"trap\" (func $trap)) (import \"h\" \"spin\" (func $spin))\n"
               "    (import \"h\" \"nap\" (func $nap (param i64)))\n"
               "    (import \"h\" \"deep\" (func $deep (param i32) (result i32)))\n");
    rig_insert(text, "    (export \"block\" (func $block))",
               "    (export \"add\" (func $add))\n"
               "    (export \"echo\" (func $echo)) (export \"trap\" (func $trap)) (export \"spin\" (func $spin))\n"
               "    (export \"nap\" (func $nap)) (export \"deep\" (func $deep))\n");
    rig_insert(text, "      ;; n and all others",
               "      (if (i32.eq (local.get $c) (i32.const 0x63)) (then\n"
               "        (if (i32.ne (call $add (i32.const 40) (i32.const 2)) (i32.const 42)) (then unreachable))\n"
               "        (call $hello (local.get $out)) (return)))\n"
               "      (if (i32.eq (local.get $c) (i32.const 0x45)) (then\n"
               "        (call $begin (local.get $out)) (call $echo (i32.const 1024) (i32.const 5) (i32.const 256))\n"
               "        (call $write (global.get $stream) (i32.load (i32.const 256)) (i32.load (i32.const 260)) "
               "(i32.const 0))\n"
               "        (call $end) (return)))\n"
               "      (if (i32.eq (local.get $c) (i32.const 0x54)) (then (call $trap) (call $hello (local.get $out)) "
               "(return)))\n"
               "      (if (i32.eq (local.get $c) (i32.const 0x53)) (then (call $spin) (call $hello (local.get $out)) "
               "(return)))\n"
               "      (if (i32.eq (local.get $c) (i32.const 0x4e)) (then (call $nap (i64.const 50))\n"
               "        (call $hello (local.get $out)) (return)))\n"
               "      (if (i32.eq (local.get $c) (i32.const 0x44)) (then\n"
               "        (if (i32.ne (call $deep (i32.const 20)) (i32.const 20)) (then unreachable))\n"
               "        (call $hello (local.get $out)) (return)))\n"
               "      (if (i32.eq (local.get $c) (i32.const 0x56)) (then (drop (call $deep (i32.const 100)))\n"
               "        (call $hello (local.get $out)) (return)))\n"
               "      (if (i32.eq (local.get $c) (i32.const 0x42)) (then (local.set $c (i32.const 100))\n"
               "        (loop $again (drop (call $add (i32.const 1) (i32.const 2)))\n"
               "          (br_if $again (local.tee $c (i32.sub (local.get $c) (i32.const 1)))))\n"
               "        (call $hello (local.get $out)) (return)))\n");
    return text;
}

static inline void rig_make_files(void)
{
    snprintf(rig.dir, sizeof rig.dir, "/tmp/wisp-hosting-XXXXXX");
    CHECK(mkdtemp(rig.dir));
    snprintf(rig.cache, sizeof rig.cache, "%s/cache", rig.dir);
    snprintf(rig.guest, sizeof rig.guest, "%s/guest.wasm", rig.dir);
    snprintf(rig.front, sizeof rig.front, "%s/front.wasm", rig.dir);
    snprintf(rig.calc, sizeof rig.calc, "%s/calc.wasm", rig.dir);
    WISP_CLEANUP_FREE char *guest = rig_read_source("test_guest.wat"), *calc = rig_read_source("test_calc.wat"),
                           *front = rig_front_text();
    rig_write_component(rig.guest, guest);
    rig_write_component(rig.calc, calc);
    rig_write_component(rig.front, front);
}

static inline void rig_compile_here(const char *path)
{
    WISP_CLEANUP_FREE char *bytes = wisp_mem_calloc(1, RIG_TEXT_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, bytes, RIG_TEXT_MAX);
    close(fd);
    struct wisp_err err = {0};
    struct wisp_wasm_engine *engine;
    WISP_CLEANUP_COMPONENT struct wisp_component *component = NULL;
    const struct wisp_wasm_engine_options options = {.compile_only = true, .cache_dir = rig.cache};
    CHECK_OK(wisp_wasm_engine_new(&engine, &options, &err), &err);
    CHECK_OK(wisp_component_new(&component, (struct wisp_str){bytes, (size_t)size}, NULL, &err), &err);
    for (uint32_t i = 0; i < component->n_modules; i++) {
        struct wisp_wasm_module *module;
        CHECK_OK(wisp_wasm_module_new(&module, engine, component->modules[i].bytes, NULL, &err), &err);
        wisp_wasm_module_free(module);
    }
    wisp_wasm_engine_free(engine);
}

/* In a process of its own, as a host does it: the engine's threads would not outlive the fork of the next worker. */
static inline void rig_compile(const char *path)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        rig_compile_here(path);
        _exit(0);
    }
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
}

/* --- processes --- */

static inline void rig_kill_all(void)
{
    if (rig.test_pid != getpid()) return;
    for (size_t i = 0; i < RIG_WORKERS; i++)
        if (rig.workers[i].pid > 0) kill(rig.workers[i].pid, SIGKILL);
    if (rig.bus_pid > 0) kill(rig.bus_pid, SIGKILL);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", rig.dir);
    if (rig.dir[0] && system(command) != 0) perror(command);
}

static inline void rig_be_worker(uint32_t index, int orders, int control)
{
    uint32_t n;
    int fds[1 + WISP_SHARED_WORKERS_MAX];
    const int *shared = wisp_shared_fds(rig.shared, &n);
    for (uint32_t i = 0; i < n; i++) fds[i] = fcntl(shared[i], F_DUPFD_CLOEXEC, 0);
    dup2(rig.log_write, STDERR_FILENO);
    wisp_log_configure(WISP_LOG_DEBUG, WISP_LOG_LOGFMT);
    alarm(60);
    const struct wisp_worker_host host = {
        .orders_fd = orders,
        .shared_fds = fds,
        .n_shared_fds = n,
        .index = index,
        .instances_max = rig.instances_max ? rig.instances_max : 20,
        .grace_ms = rig.grace_ms,
        .provider_wait_ms = rig.provider_wait_ms,
        .handover_dir = rig.dir,
        .lattice = "default",
        .host_id = "NTEST",
        .bus = {.urls = (const char *const[]){rig.bus_url}, .n_urls = rig.bus_url[0] ? 1 : 0},
        .policy = rig.policy,
    };
    const struct wisp_worker_options options = {.host = &host,
                                                .control_fd = control,
                                                .drain_ms = RIG_DRAIN_MS,
                                                .cache_dir = rig.cache,
                                                .n_workers = RIG_WORKERS};
    struct wisp_err err = {0};
    exit(wisp_worker_run(&options, &err) < 0 ? 100 + (int)err.kind : 0);
}

/* An embedded bus, in a process of its own. */
static inline void rig_start_bus(void)
{
    int pipes[2];
    char byte;
    snprintf(rig.bus_path, sizeof rig.bus_path, "%s/bus.sock", rig.dir);
    snprintf(rig.bus_url, sizeof rig.bus_url, "unix:%s", rig.bus_path);
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    fflush(NULL);
    rig.bus_pid = fork();
    if (rig.bus_pid == 0) {
        uv_loop_t loop;
        struct wisp_bus_server *server;
        struct wisp_err err = {0};
        alarm(60);
        uv_loop_init(&loop);
        CHECK_OK(
            wisp_bus_server_new(&server, &loop, &(struct wisp_bus_server_options){.unix_path = rig.bus_path}, &err),
            &err);
        CHECK_INT(write(pipes[1], "r", 1), 1);
        uv_run(&loop, UV_RUN_DEFAULT);
        _exit(0);
    }
    close(pipes[1]);
    CHECK_INT(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
}

static inline void rig_stop_bus(void)
{
    kill(rig.bus_pid, SIGKILL);
    CHECK_INT(waitpid(rig.bus_pid, NULL, 0), rig.bus_pid);
    rig.bus_pid = 0;
}

static inline json_t *rig_news(uint32_t index);

static inline void rig_start_worker(uint32_t index)
{
    int orders[2], control[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, orders), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control), 0);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (size_t i = 0; i < RIG_WORKERS; i++) {
            if (rig.workers[i].orders > 0) close(rig.workers[i].orders);
            if (rig.workers[i].control > 0) close(rig.workers[i].control);
        }
        close(orders[0]);
        close(control[0]);
        rig_be_worker(index, orders[1], control[1]);
    }
    close(orders[1]);
    close(control[1]);
    rig.workers[index] = (struct rig_worker){.pid = pid, .orders = orders[0], .control = control[0]};
    json_decref(rig_news(index));
}

static inline void rig_prepare(void)
{
    struct wisp_err err = {0};
    int pipes[2];
    signal(SIGPIPE, SIG_IGN);
    rig.test_pid = getpid();
    rig.log = wisp_mem_calloc(1, RIG_TEXT_MAX);
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    rig.log_read = pipes[0];
    rig.log_write = pipes[1];
    rig_make_files();
    atexit(rig_kill_all);
    CHECK_OK(wisp_shared_new(&rig.shared, RIG_WORKERS, 16, &err), &err);
    for (uint32_t i = 0; i < 16; i++) wisp_shared_component_reset(rig.shared, i);
}

static inline void rig_start(uint32_t n_workers)
{
    rig_prepare();
    for (uint32_t i = 0; i < n_workers; i++) rig_start_worker(i);
}

static inline bool rig_is_readable(int fd, int wait_ms)
{
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    return poll(&watch, 1, wait_ms) == 1;
}

static inline const char *rig_log(void)
{
    while (rig.log_size < RIG_TEXT_MAX - 1 && rig_is_readable(rig.log_read, 50)) {
        ssize_t n = read(rig.log_read, rig.log + rig.log_size, RIG_TEXT_MAX - 1 - rig.log_size);
        if (n <= 0) break;
        rig.log_size += (size_t)n;
    }
    rig.log[rig.log_size] = '\0';
    return rig.log;
}

static inline void rig_wait_for_exit(uint32_t index)
{
    int status;
    CHECK_INT(waitpid(rig.workers[index].pid, &status, 0), rig.workers[index].pid);
    rig.workers[index].pid = 0;
    if (status) wisp_test_fail(__FILE__, __LINE__, "worker %u ended with status %d\n%s", index, status, rig_log());
}

static inline void rig_stop(uint32_t n_workers)
{
    for (uint32_t i = 0; i < n_workers; i++) {
        if (!rig.workers[i].pid) continue;
        CHECK_INT(write(rig.workers[i].control, "drain\n", 6), 6);
        rig_wait_for_exit(i);
        wisp_frame_reader_deinit(&rig.workers[i].reader);
    }
    wisp_shared_free(rig.shared);
    free(rig.log);
}

/* --- orders and news --- */

static inline void rig_order(uint32_t index, json_t *order_taken, int fd)
{
    WISP_CLEANUP_JSON json_t *order = order_taken;
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    CHECK(order);
    wisp_frame_print(order, fd >= 0, &bytes);
    CHECK_INT(wisp_frame_send(rig.workers[index].orders, bytes.data, bytes.len, fd), bytes.len);
}

/* The next frame from the worker. */
static inline json_t *rig_news(uint32_t index)
{
    struct rig_worker *worker = &rig.workers[index];
    json_t *frame;
    int fd;
    struct wisp_err err = {0};
    for (;;) {
        int r = wisp_frame_next(&worker->reader, &frame, &fd, &err);
        if (r > 0) return frame;
        CHECK_OK(r, &err);
        if (!rig_is_readable(worker->orders, RIG_WAIT_MS))
            wisp_test_fail(__FILE__, __LINE__, "no news from the worker\n%s", rig_log());
        if (wisp_frame_receive(&worker->reader, worker->orders) <= 0)
            wisp_test_fail(__FILE__, __LINE__, "the worker is gone\n%s", rig_log());
    }
}

static inline void rig_expect(uint32_t index, const char *what, const char *id)
{
    WISP_CLEANUP_JSON json_t *news = rig_news(index);
    struct wisp_str is = wisp_json_str(news, "is");
    struct wisp_str about = wisp_json_str(news, id && strchr(id, ':') ? "address" : "id");
    if (!wisp_str_is(is, what) || (id && !wisp_str_is(about, id))) {
        WISP_CLEANUP_BUF struct wisp_buf text = {0};
        wisp_json_print(news, &text);
        wisp_test_fail(__FILE__, __LINE__, "expected `%s` of `%s`, got %.*s\n%s", what, id ? id : "",
                       WISP_STR_ARG(wisp_buf_str(&text)), rig_log());
    }
}

/* `more` is part of a JSON object: "\"timeout_ms\":500", or "". */
static inline json_t *rig_component(const char *id, int generation, int slot, const char *path, const char *more)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "{\"do\":\"component\",\"id\":\"%s\",\"generation\":%d,\"slot\":%d,\"path\":\"%s\"%s%s}", id,
                    generation, slot, path, *more ? "," : "", more);
    json_t *order = NULL;
    struct wisp_err err = {0};
    CHECK_OK(wisp_json_parse(wisp_buf_str(&text), &order, &err), &err);
    return order;
}

static inline void rig_run(uint32_t index, const char *id, int generation, int slot, const char *path, const char *more)
{
    rig_order(index, rig_component(id, generation, slot, path, more), -1);
    rig_expect(index, "component-ready", id);
}

static inline void rig_routes(uint32_t index, const char *routes)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "{\"do\":\"routes\",\"routes\":[%s]}", routes);
    json_t *order = NULL;
    struct wisp_err err = {0};
    CHECK_OK(wisp_json_parse(wisp_buf_str(&text), &order, &err), &err);
    rig_order(index, order, -1);
}

/* A bound socket, shared among workers by SO_REUSEPORT when `port` isn't 0. */
static inline int rig_bind(uint16_t port, uint16_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, size), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    if (ret_port) *ret_port = ntohs(address.sin_port);
    return fd;
}

/* The port. */
static inline uint16_t rig_listen(uint32_t index, const char *address)
{
    uint16_t port;
    int fd = rig_bind(0, &port);
    rig_order(index, json_pack("{s:s, s:s}", "do", "listen", "address", address), fd);
    close(fd);
    rig_expect(index, "listening", address);
    return port;
}

/* --- clients --- */

static inline int rig_client(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static inline void rig_send(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void rig_send(int fd, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CHECK_INT(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
}

static inline int rig_ask(uint16_t port, const char *path, char command)
{
    int fd = rig_client(port);
    rig_send(fd, "POST %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1\r\n\r\n%c", path, command);
    return fd;
}

/* All until the connection's end. */
static inline const char *rig_answer(int fd)
{
    static char text[65536];
    size_t size = 0;
    for (;;) {
        if (!rig_is_readable(fd, RIG_WAIT_MS)) wisp_test_fail(__FILE__, __LINE__, "no answer; log:\n%s", rig_log());
        ssize_t n = read(fd, text + size, sizeof text - 1 - size);
        if (n <= 0) break;
        size += (size_t)n;
    }
    text[size] = '\0';
    close(fd);
    return text;
}

#define RIG_CHECK_ANSWER(fd, words)                                                                                    \
    do {                                                                                                               \
        const char *answer_ = rig_answer(fd);                                                                          \
        if (!strstr(answer_, (words)))                                                                                 \
            wisp_test_fail(__FILE__, __LINE__, "%s\nwithout\n  %s\nlog:\n%s", answer_, (words), rig_log());            \
    } while (0)
