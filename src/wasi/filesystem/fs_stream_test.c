/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/filesystem/fs_test_tree.h"

#include <sys/resource.h>

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

static void *open_stream(const char *name, struct wisp_fs_descriptor *file, uint64_t offset)
{
    struct wisp_fs_handle_result result;
    CHECK_INT(INVOKE(wisp_wasi_filesystem_types, name, (&(struct wisp_fs_size_args){file, offset}), &result), 0);
    CHECK_INT(FS_CODE(result), OK);
    return result.ok;
}
#define READ_STREAM "[method]descriptor.read-via-stream"
#define WRITE_STREAM "[method]descriptor.write-via-stream"

static void *open_append(struct wisp_fs_descriptor *file)
{
    struct wisp_fs_handle_result result;
    CHECK_INT(FS_INVOKE("append-via-stream", &(struct wisp_fs_self_args){file}, &result), 0);
    CHECK_INT(FS_CODE(result), OK);
    return result.ok;
}

static struct result call_size(const char *name, void *self, uint64_t len)
{
    struct {
        void *self;
        uint64_t len;
    } args = {self, len};
    struct result result;
    CHECK_INT(INVOKE(wisp_wasi_io_streams, name, &args, &result), 0);
    return result;
}

static struct result write_text(void *self, const char *text)
{
    struct {
        void *self;
        struct wisp_bytes bytes;
    } args = {self, {(const uint8_t *)text, strlen(text)}};
    struct result result;
    CHECK_INT(INVOKE(wisp_wasi_io_streams, "[method]output-stream.blocking-write-and-flush", &args, &result), 0);
    return result;
}

#define READ "[method]input-stream.read"
#define BLOCKING_READ "[method]input-stream.blocking-read"
#define SKIP "[method]input-stream.skip"

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

static void drop_input(void *stream) { CHECK(!fake_drop(&wisp_wasi_io_streams, "input-stream", stream)); }
static void drop_output(void *stream) { CHECK(!fake_drop(&wisp_wasi_io_streams, "output-stream", stream)); }

TEST(input_streams_have_positions_of_their_own)
{
    start_tree();
    struct wisp_fs_descriptor *file = fs_must_open(tree.base, "file", 0, WISP_FS_READ);
    void *one = open_stream(READ_STREAM, file, 0), *two = open_stream(READ_STREAM, file, 6);
    drop_descriptor(file); /* the streams keep it open */
    check_read(call_size(READ, one, 5), "hello");
    check_read(call_size(BLOCKING_READ, two, 3), "wor");
    CHECK_INT(call_size(SKIP, one, 1).size, 1);
    check_read(call_size(BLOCKING_READ, one, 100), "world");
    check_closed(call_size(BLOCKING_READ, one, 100));
    check_closed(call_size(READ, one, 100));
    CHECK_INT(call_size(SKIP, two, 100).size, 2);
    check_closed(call_size(SKIP, two, 100));
    CHECK_INT(fake.n_suspensions, 0);
    CHECK_INT(fake.wasi.n_descriptors, 3);
    drop_input(one);
    drop_input(two);
    CHECK_INT(fake.wasi.n_descriptors, 2);
    stop_tree();
}

TEST(reading_beyond_the_end_is_closed_until_the_file_grows)
{
    start_tree();
    struct wisp_fs_descriptor *file = fs_must_open(tree.base, "file", 0, WISP_FS_READ);
    void *far = open_stream(READ_STREAM, file, INT64_MAX), *near = open_stream(READ_STREAM, file, 11);
    check_closed(call_size(READ, far, 1));
    check_closed(call_size(SKIP, far, 1));
    check_closed(call_size(READ, near, 1));
    make_file(tree.root, "file", "hello world!");
    check_read(call_size(READ, near, 100), "!");
    drop_input(far);
    drop_input(near);
    drop_descriptor(file);
    stop_tree();
}

TEST(output_streams_write_where_they_are)
{
    start_tree();
    struct wisp_fs_descriptor *file = fs_must_open(tree.base, "file", 0, WISP_FS_WRITE);
    void *start = open_stream(WRITE_STREAM, file, 0), *end = open_append(file);
    drop_descriptor(file);
    CHECK_INT(write_text(start, "HE").is_error, 0);
    CHECK_INT(write_text(end, "!").is_error, 0);
    CHECK_INT(write_text(start, "LLO").is_error, 0);
    CHECK_INT(write_text(end, "!").is_error, 0);
    CHECK_TEXT(text_of(tree.root, "file"), "HELLO world!!");
    CHECK_INT(call_size("[method]output-stream.blocking-write-zeroes-and-flush", start, 3).is_error, 0);
    CHECK_INT(memcmp(text_of(tree.root, "file"), "HELLO\0\0\0rld!!", 14), 0);
    CHECK_INT(call_size("[method]output-stream.blocking-write-zeroes-and-flush", end, 4096).is_error, 0);
    struct stat st;
    CHECK_INT(fstatat(tree.root, "file", &st, 0), 0);
    CHECK_INT(st.st_size, 13 + 4096);
    drop_output(start);
    drop_output(end);
    stop_tree();
}

TEST(splice_copies_a_file)
{
    start_tree();
    struct wisp_fs_descriptor *from = fs_must_open(tree.base, "file", 0, WISP_FS_READ);
    struct wisp_fs_descriptor *to = fs_must_open(tree.base, "copy", WISP_FS_CREATE, WISP_FS_WRITE);
    struct {
        void *self, *src;
        uint64_t len;
    } args = {open_stream(WRITE_STREAM, to, 0), open_stream(READ_STREAM, from, 0), UINT64_MAX};
    struct result result;
    CHECK_INT(INVOKE(wisp_wasi_io_streams, "[method]output-stream.blocking-splice", &args, &result), 0);
    CHECK_INT(result.size, 11);
    CHECK_INT(INVOKE(wisp_wasi_io_streams, "[method]output-stream.blocking-splice", &args, &result), 0);
    check_closed(result);
    CHECK_TEXT(text_of(tree.root, "copy"), "hello world");
    drop_output(args.self);
    drop_input(args.src);
    drop_descriptor(from);
    drop_descriptor(to);
    stop_tree();
}

static int code_of(struct wisp_io_error *error)
{
    struct {
        uint32_t is_some, code;
    } code;
    CHECK_INT(INVOKE(wisp_wasi_filesystem_types, "filesystem-error-code", &error, &code), 0);
    return code.is_some ? (int)code.code : OK;
}

TEST(failures_can_be_asked_for_their_code)
{
    start_tree();
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {4, 4};
    struct wisp_fs_descriptor *file = fs_must_open(tree.base, "file", 0, WISP_FS_WRITE);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
    void *streams[] = {open_stream(WRITE_STREAM, file, INT64_MAX), open_stream(WRITE_STREAM, file, 4)};
    for (int i = 0; i < 2; i++) {
        struct result result = write_text(streams[i], "x");
        CHECK_INT(result.is_error, 1);
        CHECK_INT(result.tag, FAILED);
        CHECK_HAS(result.error->text, "write: File too large");
        CHECK_INT(code_of(result.error), WISP_FS_FILE_TOO_LARGE);
        CHECK(!fake_drop(&wisp_wasi_io_error, "error", result.error));
        check_closed(write_text(streams[i], "x"));
        drop_output(streams[i]);
    }
    struct wisp_io_error other = {.text = "other", .origin = WISP_IO_ERROR_HTTP, .code = 3};
    CHECK_INT(code_of(&other), OK);
    drop_descriptor(file);
    stop_tree();
}

TEST(end_of_invocation_closes_all_in_any_order)
{
    start_tree();
    struct wisp_fs_descriptor *file = fs_must_open(tree.base, "file", 0, WISP_FS_READ);
    int fd = file->fd;
    void *stream = open_stream(READ_STREAM, file, 0);
    struct wisp_pollable *pollable;
    CHECK_INT(INVOKE(wisp_wasi_io_streams, "[method]input-stream.subscribe", &stream, &pollable), 0);
    drop_descriptor(file);
    wisp_wasi_io_streams.resources[0].drop(stream, &fake.wasi);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    CHECK(pollable->ops->is_ready(pollable));
    CHECK(!fake_drop(&wisp_wasi_io_poll, "pollable", pollable));
    CHECK(fcntl(fd, F_GETFD) < 0);
    stop_tree();
}
