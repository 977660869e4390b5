/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/test_double.h"

#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <unistd.h>

enum { FAILED, CLOSED };

struct result {
    uint32_t is_error;
    union {
        struct wisp_bytes bytes;
        uint64_t size;
        struct {
            uint32_t tag;
            struct wisp_io_error *error;
        };
    };
};
struct size_args {
    void *self;
    uint64_t len;
};
struct bytes_args {
    void *self;
    struct wisp_bytes bytes;
};

static void *get(const struct wisp_host_interface *interface, const char *name)
{
    void *stream;
    CHECK_INT(fake_invoke(interface, name, NULL, 0, &stream, sizeof stream), 0);
    return stream;
}

static struct result call_size(const char *name, void *self, uint64_t len)
{
    struct result result;
    CHECK_INT(INVOKE(wisp_wasi_io_streams, name, (&(struct size_args){self, len}), &result), 0);
    return result;
}

static struct result call_self(const char *name, void *self)
{
    struct result result;
    CHECK_INT(INVOKE(wisp_wasi_io_streams, name, &self, &result), 0);
    return result;
}

static struct result call_bytes(const char *name, void *self, const char *bytes, size_t size)
{
    struct result result;
    struct bytes_args args = {self, {(const uint8_t *)bytes, size}};
    CHECK_INT(INVOKE(wisp_wasi_io_streams, name, &args, &result), 0);
    return result;
}

static void check_read(struct result result, const char *text)
{
    CHECK_INT(result.is_error, 0);
    CHECK_STR(((struct wisp_str){(const char *)result.bytes.ptr, result.bytes.len}), text);
}

static void check_closed(struct result result)
{
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.tag, CLOSED);
}

#define READ "[method]input-stream.read"
#define BLOCKING_READ "[method]input-stream.blocking-read"
#define BLOCKING_SKIP "[method]input-stream.blocking-skip"
#define CHECK_WRITE "[method]output-stream.check-write"
#define WRITE "[method]output-stream.write"
#define BLOCKING_WRITE "[method]output-stream.blocking-write-and-flush"
#define BLOCKING_FLUSH "[method]output-stream.blocking-flush"

static void drop_input(void *stream) { CHECK(!fake_drop(&wisp_wasi_io_streams, "input-stream", stream)); }
static void drop_output(void *stream) { CHECK(!fake_drop(&wisp_wasi_io_streams, "output-stream", stream)); }

static void start_with(int stdin_fd, int stdout_fd)
{
    fake.config = (struct wisp_wasi_config){.stdin_fd = stdin_fd, .stdout_fd = stdout_fd, .stderr_fd = -1};
    fake_start();
}

static void check_is_blocking(int fd) { CHECK_INT(fcntl(fd, F_GETFL) & O_NONBLOCK, 0); }

/* --- stdin --- */

static int pipe_ends[2];

static void open_pipe(void) { CHECK_INT(pipe2(pipe_ends, O_CLOEXEC), 0); }

static void type(const char *text) { CHECK_INT(write(pipe_ends[1], text, strlen(text)), strlen(text)); }

static void type_later(uv_timer_t *timer)
{
    type(timer->data);
    uv_close((uv_handle_t *)timer, NULL);
}

static void hang_up_later(uv_timer_t *timer)
{
    close(pipe_ends[1]);
    uv_close((uv_handle_t *)timer, NULL);
}

static uv_timer_t later;

static void do_later(uv_timer_cb callback, const char *text)
{
    uv_timer_init(&fake.loop, &later);
    later.data = (void *)(uintptr_t)text;
    uv_timer_start(&later, callback, 20, 0);
}

TEST(stdin_from_a_pipe_waits_for_text_and_end)
{
    open_pipe();
    start_with(pipe_ends[0], -1);
    void *stream = get(&wisp_wasi_cli_stdin, "get-stdin");
    check_read(call_size(READ, stream, 10), "");
    do_later(type_later, "hello");
    check_read(call_size(BLOCKING_READ, stream, 3), "hel");
    CHECK_INT(fake.n_suspensions, 1);
    check_read(call_size(BLOCKING_READ, stream, 30), "lo");
    CHECK_INT(fake.n_suspensions, 1);
    do_later(hang_up_later, NULL);
    check_closed(call_size(BLOCKING_READ, stream, 30));
    check_closed(call_size(READ, stream, 30));
    check_is_blocking(pipe_ends[0]);
    drop_input(stream);
    fake_stop();
}

TEST(streams_of_one_stdin_share_what_comes)
{
    open_pipe();
    start_with(pipe_ends[0], -1);
    void *one = get(&wisp_wasi_cli_stdin, "get-stdin"), *two = get(&wisp_wasi_cli_stdin, "get-stdin");
    do_later(type_later, "abc");
    check_read(call_size(BLOCKING_READ, one, 1), "a");
    check_read(call_size(BLOCKING_READ, two, 1), "b");
    do_later(type_later, "d");
    CHECK_INT(call_size(BLOCKING_SKIP, two, 1).size, 1);
    CHECK_INT(call_size(BLOCKING_SKIP, two, 1).size, 1);
    do_later(hang_up_later, NULL);
    check_closed(call_size(BLOCKING_READ, two, 1));
    drop_input(one);
    drop_input(two);
    fake_stop();
}

TEST(pollable_of_stdin_beside_a_timer)
{
    open_pipe();
    start_with(pipe_ends[0], -1);
    void *stream = get(&wisp_wasi_cli_stdin, "get-stdin");
    struct wisp_pollable *on_input, *on_time = wisp_pollable_at_new(&fake.wasi, uv_hrtime() + 60000000000);
    CHECK_INT(INVOKE(wisp_wasi_io_streams, "[method]input-stream.subscribe", &stream, &on_input), 0);
    do_later(type_later, "x");
    struct wisp_pollable *both[] = {on_time, on_input};
    CHECK_INT(wisp_pollable_wait(&fake.call, both, 2), 0);
    CHECK(on_input->ops->is_ready(on_input));
    CHECK(!on_time->ops->is_ready(on_time));
    CHECK(!fake_drop(&wisp_wasi_io_poll, "pollable", on_input));
    CHECK(!fake_drop(&wisp_wasi_io_poll, "pollable", on_time));
    drop_input(stream);
    fake_stop();
}

TEST(stdin_from_a_file_never_waits)
{
    FILE *file = tmpfile();
    fputs("text of the file", file);
    rewind(file);
    start_with(fileno(file), -1);
    void *stream = get(&wisp_wasi_cli_stdin, "get-stdin");
    check_read(call_size(READ, stream, 4), "text");
    check_read(call_size(BLOCKING_READ, stream, 400), " of the file");
    check_closed(call_size(BLOCKING_READ, stream, 400));
    CHECK_INT(fake.n_suspensions, 0);
    drop_input(stream);
    fake_stop();
    fclose(file);
}

TEST(no_stdin_is_at_its_end)
{
    start_with(-1, -1);
    void *stream = get(&wisp_wasi_cli_stdin, "get-stdin");
    check_closed(call_size(BLOCKING_READ, stream, 1));
    check_closed(call_size(READ, stream, 0));
    drop_input(stream);
    fake_stop();
}

TEST(dev_null_is_at_its_end_and_takes_all)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    start_with(fd, fd);
    void *input = get(&wisp_wasi_cli_stdin, "get-stdin"), *output = get(&wisp_wasi_cli_stdout, "get-stdout");
    check_closed(call_size(BLOCKING_READ, input, 1));
    for (int i = 0; i < 100; i++) CHECK_INT(call_bytes(BLOCKING_WRITE, output, "text", 4).is_error, 0);
    CHECK_INT(fake.n_suspensions, 0);
    drop_input(input);
    drop_output(output);
    fake_stop();
}

TEST(unreadable_stdin_fails)
{
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    start_with(fd, -1);
    void *stream = get(&wisp_wasi_cli_stdin, "get-stdin");
    struct result result = call_size(BLOCKING_READ, stream, 1);
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.tag, FAILED);
    CHECK_HAS(result.error->text, "read: Is a directory");
    CHECK(!fake_drop(&wisp_wasi_io_error, "error", result.error));
    drop_input(stream);
    fake_stop();
}

/* --- stdout --- */

static size_t drain(void)
{
    char bytes[65536];
    ssize_t n = read(pipe_ends[0], bytes, sizeof bytes);
    CHECK(n > 0);
    for (ssize_t i = 0; i < n; i++) CHECK_INT(bytes[i], 'x');
    return (size_t)n;
}

static size_t n_drained;

static void drain_later(uv_timer_t *timer)
{
    n_drained += drain();
    (void)timer;
}

TEST(full_pipe_suspends_the_writer)
{
    open_pipe();
    start_with(-1, pipe_ends[1]);
    void *stream = get(&wisp_wasi_cli_stdout, "get-stdout");
    CHECK_INT(fcntl(pipe_ends[1], F_SETPIPE_SZ, 4096), 4096);
    uv_timer_init(&fake.loop, &later);
    uv_timer_start(&later, drain_later, 5, 5);
    char text[3000];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 10; i++) CHECK_INT(call_bytes(BLOCKING_WRITE, stream, text, sizeof text).is_error, 0);
    CHECK(fake.n_suspensions > 0);
    check_is_blocking(pipe_ends[1]);
    uv_close((uv_handle_t *)&later, NULL);
    drop_output(stream);
    fake_stop();
    while (n_drained < 30000) n_drained += drain();
    CHECK_INT(n_drained, 30000);
}

TEST(what_is_held_takes_away_the_room)
{
    open_pipe();
    start_with(-1, pipe_ends[1]);
    CHECK_INT(fcntl(pipe_ends[1], F_SETPIPE_SZ, 4096), 4096);
    void *stream = get(&wisp_wasi_cli_stdout, "get-stdout");
    uint64_t room = call_self(CHECK_WRITE, stream).size;
    CHECK(room >= 4096);
    char *text = malloc(room);
    memset(text, 'x', room);
    CHECK_INT(call_bytes(WRITE, stream, text, room).is_error, 0);
    CHECK_INT(call_self(CHECK_WRITE, stream).size, 0);
    uint64_t n = 0;
    while (n < room) {
        n += drain();
        CHECK_INT(call_self(CHECK_WRITE, stream).is_error, 0);
    }
    CHECK_INT(n, room);
    CHECK_INT(call_self(CHECK_WRITE, stream).size, room);
    CHECK_INT(fake.n_suspensions, 0);
    free(text);
    drop_output(stream);
    fake_stop();
}

TEST(reader_gone_closes_stdout)
{
    open_pipe();
    start_with(-1, pipe_ends[1]);
    void *stream = get(&wisp_wasi_cli_stdout, "get-stdout");
    CHECK_INT(call_bytes(BLOCKING_WRITE, stream, "x", 1).is_error, 0);
    close(pipe_ends[0]);
    check_closed(call_bytes(BLOCKING_WRITE, stream, "x", 1));
    check_closed(call_self(CHECK_WRITE, stream));
    drop_output(stream);
    fake_stop();
}

TEST(full_device_fails)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    start_with(-1, fd);
    void *stream = get(&wisp_wasi_cli_stdout, "get-stdout");
    struct result result = call_bytes(BLOCKING_WRITE, stream, "x", 1);
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.tag, FAILED);
    CHECK_HAS(result.error->text, "No space left");
    CHECK(!fake_drop(&wisp_wasi_io_error, "error", result.error));
    check_closed(call_self(CHECK_WRITE, stream));
    drop_output(stream);
    fake_stop();
}

TEST(no_stdout_discards)
{
    start_with(-1, -1);
    void *stream = get(&wisp_wasi_cli_stdout, "get-stdout");
    CHECK_INT(call_bytes(BLOCKING_WRITE, stream, "x", 1).is_error, 0);
    CHECK_INT(call_self(BLOCKING_FLUSH, stream).is_error, 0);
    drop_output(stream);
    fake_stop();
}

/* --- terminals --- */

static bool has_terminal(const struct wisp_host_interface *interface, const char *name)
{
    struct {
        uint32_t is_some;
        void *rep;
    } result;
    CHECK_INT(fake_invoke(interface, name, NULL, 0, &result, sizeof result), 0);
    return result.is_some;
}

TEST(terminal_is_told_from_a_pipe)
{
    int outer, inner;
    CHECK_INT(openpty(&outer, &inner, NULL, NULL, NULL), 0);
    open_pipe();
    start_with(inner, pipe_ends[1]);
    CHECK(has_terminal(&wisp_wasi_cli_terminal_stdin, "get-terminal-stdin"));
    CHECK(!has_terminal(&wisp_wasi_cli_terminal_stdout, "get-terminal-stdout"));
    CHECK(!has_terminal(&wisp_wasi_cli_terminal_stderr, "get-terminal-stderr"));
    fake.config.stderr_fd = inner;
    CHECK(has_terminal(&wisp_wasi_cli_terminal_stderr, "get-terminal-stderr"));
    fake_stop();
}

static int outer_end;

static void type_on_terminal(uv_timer_t *timer)
{
    CHECK_INT(write(outer_end, "line\n", 5), 5);
    uv_close((uv_handle_t *)timer, NULL);
}

TEST(terminal_reads_and_writes)
{
    int inner;
    CHECK_INT(openpty(&outer_end, &inner, NULL, NULL, NULL), 0);
    start_with(inner, inner);
    void *input = get(&wisp_wasi_cli_stdin, "get-stdin"), *output = get(&wisp_wasi_cli_stdout, "get-stdout");
    CHECK_INT(call_bytes(BLOCKING_WRITE, output, "? ", 2).is_error, 0);
    do_later(type_on_terminal, NULL);
    check_read(call_size(BLOCKING_READ, input, 100), "line\n");
    CHECK_INT(fake.n_suspensions, 1);
    char seen[100] = {0};
    CHECK(read(outer_end, seen, sizeof seen - 1) > 0);
    CHECK_HAS(seen, "? ");
    check_is_blocking(inner);
    drop_input(input);
    drop_output(output);
    fake_stop();
}

/* --- lines --- */

static struct wisp_buf lines;
static size_t longest;

static void collect(struct wisp_str line, bool is_stderr, void *env)
{
    CHECK(env == &lines);
    if (line.len > longest) longest = line.len;
    wisp_buf_printf(&lines, "%s[%.*s]", is_stderr ? "err" : "out", line.len > 100 ? 3 : (int)line.len, line.ptr);
}

TEST(output_comes_in_whole_lines)
{
    fake.config = (struct wisp_wasi_config){.on_output = collect, .on_output_env = &lines};
    fake_start();
    void *out = get(&wisp_wasi_cli_stdout, "get-stdout"), *err = get(&wisp_wasi_cli_stderr, "get-stderr");
    call_bytes(BLOCKING_WRITE, out, "one\ntw", 6);
    call_bytes(BLOCKING_WRITE, err, "bad\n", 4);
    drop_output(out);
    out = get(&wisp_wasi_cli_stdout, "get-stdout");
    call_bytes(BLOCKING_WRITE, out, "o\n\nthree", 8);
    call_bytes(BLOCKING_WRITE, out, NULL, 0);
    CHECK(!has_terminal(&wisp_wasi_cli_terminal_stdout, "get-terminal-stdout"));
    CHECK_STR(wisp_buf_str(&lines), "out[one]err[bad]out[two]out[]");
    drop_output(out);
    drop_output(err);
    fake_stop();
    CHECK_STR(wisp_buf_str(&lines), "out[one]err[bad]out[two]out[]out[three]");
    wisp_buf_deinit(&lines);
}

TEST(long_lines_are_cut)
{
    fake.config = (struct wisp_wasi_config){.on_output = collect, .on_output_env = &lines};
    fake_start();
    void *out = get(&wisp_wasi_cli_stdout, "get-stdout");
    char text[20000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\n';
    CHECK(call_self(CHECK_WRITE, out).size >= sizeof text);
    CHECK_INT(call_bytes(WRITE, out, text, sizeof text).is_error, 0);
    CHECK_STR(wisp_buf_str(&lines), "out[xxx]out[xxx]out[xxx]");
    CHECK_INT(longest, WISP_WASI_OUTPUT_LINE_MAX);
    CHECK_INT(call_size("[method]output-stream.write-zeroes", out, 9000).is_error, 0);
    CHECK(fake.wasi.stdout_line.len < 9000);
    drop_output(out);
    fake_stop();
    wisp_buf_deinit(&lines);
}
