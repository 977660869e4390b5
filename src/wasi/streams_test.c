/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/test_double.h"

#include <stdlib.h>

/* --- a stream whose other end is the test --- */

static struct {
    /* input */
    const char *text; /* what is there to read */
    bool is_at_end, is_failing;
    /* output */
    char written[65536];
    size_t n_written, room;
    bool is_closed, is_flushing;
    int n_calls, n_drops, n_arms;
    void (*when_armed)(void); /* what happens meanwhile */
} end;

static enum wisp_stream_status fail_with(struct wisp_io_error *error)
{
    *error = (struct wisp_io_error){.text = "the disk is on fire", .origin = WISP_IO_ERROR_OTHER};
    return WISP_STREAM_FAILED;
}

static enum wisp_stream_status end_read(struct wisp_input_stream *stream, void *buffer, size_t max, size_t *ret_n,
                                        struct wisp_io_error *error)
{
    (void)stream;
    end.n_calls++;
    if (end.is_failing) return fail_with(error);
    size_t n = end.text ? strlen(end.text) : 0;
    if (n == 0) return end.is_at_end ? WISP_STREAM_CLOSED : WISP_STREAM_OK;
    *ret_n = n < max ? n : max;
    if (buffer) memcpy(buffer, end.text, *ret_n);
    end.text += *ret_n;
    return WISP_STREAM_OK;
}

static bool end_can_read(struct wisp_input_stream *stream)
{
    (void)stream;
    return end.is_failing || end.is_at_end || (end.text && *end.text);
}

static void wake_with_change(void)
{
    end.n_arms++;
    if (end.when_armed) end.when_armed();
    wisp_instance_wake(fake.wasi.instance);
}

static void end_arm_input(struct wisp_input_stream *stream)
{
    (void)stream;
    wake_with_change();
}

static void end_drop_input(struct wisp_input_stream *stream)
{
    end.n_drops++;
    free(stream);
}

static enum wisp_stream_status end_check_write(struct wisp_output_stream *stream, size_t *ret_room,
                                               struct wisp_io_error *error)
{
    (void)stream;
    end.n_calls++;
    if (end.is_failing) return fail_with(error);
    if (end.is_closed) return WISP_STREAM_CLOSED;
    *ret_room = end.is_flushing ? 0 : end.room;
    return WISP_STREAM_OK;
}

static enum wisp_stream_status end_write(struct wisp_output_stream *stream, const void *bytes, size_t size,
                                         struct wisp_io_error *error)
{
    (void)stream;
    (void)error;
    end.n_calls++;
    if (end.is_closed) return WISP_STREAM_CLOSED;
    CHECK(size <= end.room);
    CHECK(end.n_written + size <= sizeof end.written);
    if (bytes)
        memcpy(end.written + end.n_written, bytes, size);
    else
        memset(end.written + end.n_written, 0, size);
    end.n_written += size;
    end.room -= size;
    return WISP_STREAM_OK;
}

static enum wisp_stream_status end_flush(struct wisp_output_stream *stream, bool *ret_done, struct wisp_io_error *error)
{
    (void)stream;
    end.n_calls++;
    if (end.is_failing) return fail_with(error);
    *ret_done = !end.is_flushing;
    return WISP_STREAM_OK;
}

static bool end_can_write(struct wisp_output_stream *stream)
{
    (void)stream;
    return end.is_failing || end.is_closed || (end.room && !end.is_flushing);
}

static void end_arm_output(struct wisp_output_stream *stream)
{
    (void)stream;
    wake_with_change();
}

static void end_drop_output(struct wisp_output_stream *stream)
{
    end.n_drops++;
    free(stream);
}

static struct wisp_input_stream *new_input(void)
{
    static const struct wisp_input_stream_ops ops = {end_read, end_can_read, end_arm_input, end_drop_input};
    struct wisp_input_stream *stream = wisp_mem_calloc(1, sizeof *stream);
    stream->ops = &ops;
    stream->wasi = &fake.wasi;
    return stream;
}

static struct wisp_output_stream *new_output(void)
{
    static const struct wisp_output_stream_ops ops = {end_check_write, end_write,      end_flush,
                                                      end_can_write,   end_arm_output, end_drop_output};
    struct wisp_output_stream *stream = wisp_mem_calloc(1, sizeof *stream);
    stream->ops = &ops;
    stream->wasi = &fake.wasi;
    return stream;
}

/* --- calls --- */

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
struct self_args {
    void *self;
};
struct size_args {
    void *self;
    uint64_t len;
};
struct bytes_args {
    void *self;
    struct wisp_bytes bytes;
};
struct splice_args {
    void *self, *src;
    uint64_t len;
};

static int call_self(const char *name, void *self, struct result *result)
{
    return INVOKE(wisp_wasi_io_streams, name, &(struct self_args){self}, result);
}

static int call_size(const char *name, void *self, uint64_t len, struct result *result)
{
    return INVOKE(wisp_wasi_io_streams, name, (&(struct size_args){self, len}), result);
}

static int call_bytes(const char *name, void *self, const char *text, size_t len, struct result *result)
{
    struct bytes_args args = {self, {(const uint8_t *)text, len}};
    return INVOKE(wisp_wasi_io_streams, name, &args, result);
}

static int call_splice(const char *name, void *self, void *src, uint64_t len, struct result *result)
{
    return INVOKE(wisp_wasi_io_streams, name, (&(struct splice_args){self, src, len}), result);
}

static void drop_input(void *stream) { CHECK(!fake_drop(&wisp_wasi_io_streams, "input-stream", stream)); }
static void drop_output(void *stream) { CHECK(!fake_drop(&wisp_wasi_io_streams, "output-stream", stream)); }
static void drop_error(struct wisp_io_error *error) { CHECK(!fake_drop(&wisp_wasi_io_error, "error", error)); }

#define READ "[method]input-stream.read"
#define BLOCKING_READ "[method]input-stream.blocking-read"
#define SKIP "[method]input-stream.skip"
#define BLOCKING_SKIP "[method]input-stream.blocking-skip"
#define CHECK_WRITE "[method]output-stream.check-write"
#define WRITE "[method]output-stream.write"
#define WRITE_ZEROES "[method]output-stream.write-zeroes"
#define FLUSH "[method]output-stream.flush"
#define BLOCKING_FLUSH "[method]output-stream.blocking-flush"
#define BLOCKING_WRITE "[method]output-stream.blocking-write-and-flush"
#define BLOCKING_ZEROES "[method]output-stream.blocking-write-zeroes-and-flush"
#define SPLICE "[method]output-stream.splice"
#define BLOCKING_SPLICE "[method]output-stream.blocking-splice"

/* --- input --- */

static void check_read(const struct result *result, const char *text)
{
    CHECK_INT(result->is_error, 0);
    CHECK_STR(((struct wisp_str){(const char *)result->bytes.ptr, result->bytes.len}), text);
}

TEST(read_gives_what_is_there)
{
    fake_start();
    void *stream = new_input();
    struct result result;
    CHECK_INT(call_size(READ, stream, 100, &result), 0);
    check_read(&result, "");
    end.text = "hello world";
    CHECK_INT(call_size(READ, stream, 5, &result), 0);
    check_read(&result, "hello");
    CHECK_INT(call_size(READ, stream, 0, &result), 0);
    check_read(&result, "");
    CHECK_INT(call_size(READ, stream, UINT64_MAX, &result), 0);
    check_read(&result, " world");
    end.is_at_end = true;
    CHECK_INT(call_size(READ, stream, 5, &result), 0);
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.tag, CLOSED);
    CHECK_INT(fake.n_suspensions, 0);
    drop_input(stream);
    fake_stop();
}

static void text_arrives(void) { end.text = end.n_arms == 2 ? "late" : ""; }

TEST(blocking_read_waits)
{
    fake_start();
    void *stream = new_input();
    struct result result;
    end.when_armed = text_arrives;
    CHECK_INT(call_size(BLOCKING_READ, stream, 100, &result), 0);
    check_read(&result, "late");
    CHECK_INT(fake.n_suspensions, 2);
    CHECK_INT(call_size(BLOCKING_READ, stream, 0, &result), 0);
    check_read(&result, "");
    CHECK_INT(fake.n_suspensions, 2);
    drop_input(stream);
    fake_stop();
}

TEST(cancelled_read_returns_at_once)
{
    fake_start();
    void *stream = new_input();
    struct result result;
    fake.is_cancelled = true;
    CHECK_INT(call_size(BLOCKING_READ, stream, 100, &result), -(int)WISP_ERR_CANCELLED);
    CHECK_INT(fake.n_suspensions, 1);
    drop_input(stream);
    fake_stop();
}

TEST(skip_counts)
{
    fake_start();
    void *stream = new_input();
    struct result result;
    CHECK_INT(call_size(SKIP, stream, 3, &result), 0);
    CHECK_INT(result.is_error, 0);
    CHECK_INT(result.size, 0);
    end.text = "abcdef";
    CHECK_INT(call_size(SKIP, stream, 3, &result), 0);
    CHECK_INT(result.size, 3);
    end.when_armed = text_arrives;
    CHECK_INT(call_size(BLOCKING_SKIP, stream, 100, &result), 0);
    CHECK_INT(result.size, 3);
    CHECK_INT(call_size(BLOCKING_SKIP, stream, 100, &result), 0);
    CHECK_INT(result.size, 4);
    drop_input(stream);
    fake_stop();
}

TEST(failure_comes_once_then_closed)
{
    fake_start();
    void *stream = new_input();
    struct result result;
    end.is_failing = true;
    CHECK_INT(call_size(READ, stream, 3, &result), 0);
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.tag, FAILED);
    struct wisp_str text;
    CHECK_INT(INVOKE(wisp_wasi_io_error, "[method]error.to-debug-string", &(struct self_args){result.error}, &text), 0);
    CHECK_STR(text, "the disk is on fire");
    drop_error(result.error);
    end.is_failing = false;
    end.text = "more";
    CHECK_INT(call_size(BLOCKING_READ, stream, 3, &result), 0);
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.tag, CLOSED);
    CHECK_INT(end.n_calls, 1);
    drop_input(stream);
    fake_stop();
}

/* --- output --- */

TEST(write_needs_a_permit)
{
    fake_start();
    void *stream = new_output();
    struct result result;
    end.room = 5;
    CHECK(call_bytes(WRITE, stream, "a", 1, &result) < 0);
    CHECK_TEXT(fake.trap, "1 bytes written where check-write permitted 0");
    CHECK_INT(call_self(CHECK_WRITE, stream, &result), 0);
    CHECK_INT(result.is_error, 0);
    CHECK_INT(result.size, 5);
    CHECK(call_bytes(WRITE, stream, "123456", 6, &result) < 0);
    CHECK_INT(call_bytes(WRITE, stream, "123", 3, &result), 0);
    CHECK_INT(result.is_error, 0);
    CHECK_INT(call_bytes(WRITE, stream, "45", 2, &result), 0);
    CHECK_INT(call_bytes(WRITE, stream, NULL, 0, &result), 0);
    CHECK(call_bytes(WRITE, stream, "6", 1, &result) < 0);
    CHECK_STR(((struct wisp_str){end.written, end.n_written}), "12345");
    end.room = 9;
    CHECK_INT(call_self(CHECK_WRITE, stream, &result), 0);
    CHECK_INT(call_self(FLUSH, stream, &result), 0);
    CHECK(call_bytes(WRITE, stream, "6", 1, &result) < 0);
    drop_output(stream);
    fake_stop();
}

TEST(zeroes_are_written)
{
    fake_start();
    void *stream = new_output();
    struct result result;
    end.room = 8192;
    CHECK_INT(call_self(CHECK_WRITE, stream, &result), 0);
    CHECK(call_size(WRITE_ZEROES, stream, 8193, &result) < 0);
    CHECK_INT(call_size(WRITE_ZEROES, stream, 4000, &result), 0);
    CHECK_INT(result.is_error, 0);
    CHECK_INT(call_size(BLOCKING_ZEROES, stream, 4096, &result), 0);
    CHECK_INT(end.n_written, 8096);
    CHECK(call_size(BLOCKING_ZEROES, stream, 4097, &result) < 0);
    CHECK(call_size(BLOCKING_ZEROES, stream, (UINT64_C(1) << 32) + 1, &result) < 0);
    drop_output(stream);
    fake_stop();
}

TEST(blocking_write_with_room_is_three_calls)
{
    fake_start();
    void *stream = new_output();
    struct result result;
    end.room = 4096;
    char text[4097] = {'x'};
    CHECK_INT(call_bytes(BLOCKING_WRITE, stream, text, 4096, &result), 0);
    CHECK_INT(result.is_error, 0);
    CHECK_INT(end.n_calls, 3);
    CHECK_INT(fake.n_suspensions, 0);
    CHECK(!fake.arena.chunks);
    CHECK(call_bytes(BLOCKING_WRITE, stream, text, 4097, &result) < 0);
    CHECK_HAS(fake.trap, "4097 bytes in a blocking write");
    drop_output(stream);
    fake_stop();
}

static char guest_memory[] = "0123456789";

static void guest_is_gone(void) { memset(guest_memory, '!', sizeof guest_memory); }

static void room_comes(void)
{
    if (end.n_arms % 2 == 0) end.room = 4;
    end.is_flushing = end.n_arms < 8;
    if (!end.is_flushing) end.room = 4;
}

TEST(blocking_write_waits_in_pieces)
{
    fake_start();
    void *stream = new_output();
    struct result result;
    end.room = 2;
    end.is_flushing = false;
    fake.on_suspend = guest_is_gone;
    end.when_armed = room_comes;
    CHECK_INT(call_bytes(BLOCKING_WRITE, stream, guest_memory, 10, &result), 0);
    CHECK_INT(result.is_error, 0);
    CHECK_STR(((struct wisp_str){end.written, end.n_written}), "0123456789");
    CHECK(fake.n_suspensions >= 2);
    drop_output(stream);
    fake_stop();
}

static void flush_ends(void)
{
    end.is_flushing = false;
    end.room = 10;
}

TEST(blocking_flush_waits)
{
    fake_start();
    void *stream = new_output();
    struct result result;
    end.room = 10;
    end.is_flushing = true;
    end.when_armed = flush_ends;
    CHECK_INT(call_self(CHECK_WRITE, stream, &result), 0);
    CHECK_INT(result.size, 0);
    CHECK_INT(call_self(FLUSH, stream, &result), 0);
    CHECK_INT(result.is_error, 0);
    CHECK_INT(fake.n_suspensions, 0);
    CHECK_INT(call_self(BLOCKING_FLUSH, stream, &result), 0);
    CHECK_INT(result.is_error, 0);
    CHECK_INT(fake.n_suspensions, 1);
    end.is_flushing = true;
    fake.is_cancelled = true;
    CHECK_INT(call_self(BLOCKING_FLUSH, stream, &result), -(int)WISP_ERR_CANCELLED);
    drop_output(stream);
    fake_stop();
}

static void reader_leaves(void) { end.is_closed = true; }

TEST(closed_output_says_so)
{
    fake_start();
    void *stream = new_output();
    struct result result;
    end.when_armed = reader_leaves;
    CHECK_INT(call_bytes(BLOCKING_WRITE, stream, "text", 4, &result), 0);
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.tag, CLOSED);
    end.is_closed = false;
    end.room = 10;
    CHECK_INT(call_self(CHECK_WRITE, stream, &result), 0);
    end.is_closed = true;
    CHECK_INT(call_bytes(WRITE, stream, "text", 4, &result), 0);
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.tag, CLOSED);
    drop_output(stream);
    fake_stop();
}

TEST(failed_output_is_closed_afterwards)
{
    fake_start();
    void *stream = new_output();
    struct result result;
    end.is_failing = true;
    CHECK_INT(call_self(CHECK_WRITE, stream, &result), 0);
    CHECK_INT(result.tag, FAILED);
    drop_error(result.error);
    end.is_failing = false;
    end.room = 10;
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {CHECK_WRITE, FLUSH, BLOCKING_FLUSH};
        CHECK_INT(call_self(names[i], stream, &result), 0);
        CHECK_INT(result.is_error, 1);
        CHECK_INT(result.tag, CLOSED);
    }
    CHECK_INT(call_bytes(BLOCKING_WRITE, stream, "text", 4, &result), 0);
    CHECK_INT(result.tag, CLOSED);
    CHECK_INT(end.n_calls, 1);
    drop_output(stream);
    fake_stop();
}

/* --- splice --- */

TEST(splice_moves_what_fits)
{
    fake_start();
    void *input = new_input(), *output = new_output();
    struct result result;
    end.text = "abcdefgh";
    CHECK_INT(call_splice(SPLICE, output, input, 100, &result), 0);
    CHECK_INT(result.is_error, 0);
    CHECK_INT(result.size, 0);
    end.room = 3;
    CHECK_INT(call_splice(SPLICE, output, input, 100, &result), 0);
    CHECK_INT(result.size, 3);
    end.room = 10;
    CHECK_INT(call_splice(SPLICE, output, input, 2, &result), 0);
    CHECK_INT(result.size, 2);
    CHECK_STR(((struct wisp_str){end.written, end.n_written}), "abcde");
    end.text = NULL;
    end.is_at_end = true;
    CHECK_INT(call_splice(BLOCKING_SPLICE, output, input, 2, &result), 0);
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.tag, CLOSED);
    end.is_closed = true;
    end.text = "more";
    CHECK_INT(call_splice(SPLICE, output, input, 2, &result), 0);
    CHECK_INT(result.tag, CLOSED);
    CHECK_TEXT(end.text, "more");
    drop_input(input);
    drop_output(output);
    fake_stop();
}

static void both_move(void)
{
    if (end.n_arms == 1) end.room = 5;
    if (end.n_arms == 2) end.text = "xyz";
}

TEST(blocking_splice_waits_for_both)
{
    fake_start();
    void *input = new_input(), *output = new_output();
    struct result result;
    end.when_armed = both_move;
    CHECK_INT(call_splice(BLOCKING_SPLICE, output, input, 100, &result), 0);
    CHECK_INT(result.size, 3);
    CHECK_INT(fake.n_suspensions, 2);
    CHECK_INT(call_splice(BLOCKING_SPLICE, output, input, 0, &result), 0);
    CHECK_INT(result.size, 0);
    drop_input(input);
    drop_output(output);
    fake_stop();
}

/* --- pollables --- */

static struct wisp_pollable *subscribe(const char *name, void *stream)
{
    struct wisp_pollable *pollable;
    CHECK_INT(INVOKE(wisp_wasi_io_streams, name, &(struct self_args){stream}, &pollable), 0);
    return pollable;
}

static bool is_ready(struct wisp_pollable *pollable)
{
    bool ready;
    CHECK_INT(INVOKE(wisp_wasi_io_poll, "[method]pollable.ready", &(struct self_args){pollable}, &ready), 0);
    return ready;
}

TEST(pollables_tell_and_keep_the_stream)
{
    fake_start();
    void *input = new_input(), *output = new_output();
    struct wisp_pollable *in = subscribe("[method]input-stream.subscribe", input);
    struct wisp_pollable *out = subscribe("[method]output-stream.subscribe", output);
    CHECK(!is_ready(in));
    CHECK(!is_ready(out));
    end.text = "x";
    end.room = 1;
    CHECK(is_ready(in));
    CHECK(is_ready(out));
    CHECK_HAS(fake_drop(&wisp_wasi_io_streams, "input-stream", input), "a pollable of the stream is still there");
    CHECK_HAS(fake_drop(&wisp_wasi_io_streams, "output-stream", output), "a pollable of the stream is still there");
    CHECK(!fake_drop(&wisp_wasi_io_poll, "pollable", in));
    CHECK(!fake_drop(&wisp_wasi_io_poll, "pollable", out));
    CHECK_INT(end.n_drops, 0);
    drop_input(input);
    drop_output(output);
    CHECK_INT(end.n_drops, 2);
    fake_stop();
}

TEST(end_of_invocation_drops_in_any_order)
{
    fake_start();
    void *input = new_input(), *output = new_output();
    struct wisp_pollable *in = subscribe("[method]input-stream.subscribe", input);
    struct wisp_pollable *in2 = subscribe("[method]input-stream.subscribe", input);
    struct wisp_pollable *out = subscribe("[method]output-stream.subscribe", output);
    for (size_t i = 0; i < wisp_wasi_io_streams.n_resources; i++)
        wisp_wasi_io_streams.resources[i].drop(i == 0 ? input : output, &fake.wasi);
    CHECK_INT(end.n_drops, 0);
    CHECK(!fake_drop(&wisp_wasi_io_poll, "pollable", in));
    CHECK(!fake_drop(&wisp_wasi_io_poll, "pollable", out));
    CHECK_INT(end.n_drops, 1);
    CHECK(!fake_drop(&wisp_wasi_io_poll, "pollable", in2));
    CHECK_INT(end.n_drops, 2);
    fake_stop();
}
