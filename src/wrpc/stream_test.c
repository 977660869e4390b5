/* SPDX-License-Identifier: Apache-2.0 */
/* Streams and futures with both ends in this process. */
#include "wrpc/stream_priv.h"
#include "wrpc/value_rig.h"

struct bed {
    uv_loop_t loop;
    struct wisp_arena arena;
    struct wisp_err err;
    unsigned n_ready, n_room;
};

static void bed_init(struct bed *bed)
{
    memset(bed, 0, sizeof *bed);
    CHECK_INT(uv_loop_init(&bed->loop), 0);
}

static void bed_deinit(struct bed *bed)
{
    CHECK_INT(uv_run(&bed->loop, UV_RUN_DEFAULT), 0);
    CHECK_INT(uv_loop_close(&bed->loop), 0);
    wisp_arena_deinit(&bed->arena);
}
#define BED                                                                                                            \
    __attribute__((cleanup(bed_deinit))) struct bed bed;                                                               \
    bed_init(&bed)

struct ends {
    const struct wisp_type *type;
    struct wisp_wrpc_writer *writer;
    struct wisp_wrpc_reader *reader;
};

static struct ends make(struct bed *bed, const char *text)
{
    struct ends ends = {.type = type_of(&bed->arena, text)};
    void *value = ends.writer = wisp_wrpc_writer_new(ends.type);
    wisp_wrpc_value_pipe(ends.type, &value, &bed->loop);
    ends.reader = value;
    return ends;
}

static void turn(struct bed *bed)
{
    for (int i = 0; i < 3; i++) uv_run(&bed->loop, UV_RUN_NOWAIT);
}

static void on_ready(struct wisp_wrpc_reader *reader, void *env)
{
    (void)reader;
    ((struct bed *)env)->n_ready++;
}

static void on_room(struct wisp_wrpc_writer *writer, void *env)
{
    (void)writer;
    ((struct bed *)env)->n_room++;
}

#define CHECK_STATE(state, what) CHECK_INT(state, WISP_WRPC_READING_##what)

static void check_bytes(struct bed *bed, struct ends *ends, const char *expected)
{
    struct wisp_str bytes;
    CHECK_STATE(wisp_wrpc_reader_peek(ends->reader, &bytes, &bed->err), ITEM);
    CHECK_STR(bytes, expected);
    wisp_wrpc_reader_consume(ends->reader, bytes.len);
}

TEST(bytes_go_through)
{
    BED;
    struct ends ends = make(&bed, "stream<u8>");
    struct wisp_str bytes;
    wisp_wrpc_reader_on_ready(ends.reader, on_ready, &bed);
    CHECK_STATE(wisp_wrpc_reader_peek(ends.reader, &bytes, &bed.err), WAIT);
    CHECK_OK(wisp_wrpc_writer_write(ends.writer, WISP_STR("hello"), &bed.err), &bed.err);
    CHECK_INT(bed.n_ready, 0); /* only from the loop */
    turn(&bed);
    CHECK_INT(bed.n_ready, 1);
    CHECK_STATE(wisp_wrpc_reader_peek(ends.reader, &bytes, &bed.err), ITEM);
    /* What is looked at stays where it is, whatever comes. */
    static char large[100000];
    CHECK_OK(wisp_wrpc_writer_write(ends.writer, (struct wisp_str){large, sizeof large}, &bed.err), &bed.err);
    wisp_wrpc_writer_end(ends.writer);
    CHECK_STR(bytes, "hello");
    wisp_wrpc_reader_consume(ends.reader, 2);
    check_bytes(&bed, &ends, "llo");
    size_t n = 0;
    while (wisp_wrpc_reader_peek(ends.reader, &bytes, &bed.err) == WISP_WRPC_READING_ITEM) {
        n += bytes.len;
        wisp_wrpc_reader_consume(ends.reader, bytes.len);
    }
    CHECK_INT(n, sizeof large);
    CHECK_STATE(wisp_wrpc_reader_peek(ends.reader, &bytes, &bed.err), END);
    CHECK_STATE(wisp_wrpc_reader_peek(ends.reader, &bytes, &bed.err), END);
    wisp_wrpc_reader_close(ends.reader);
}

TEST(what_is_written_before_it_is_connected_is_kept)
{
    BED;
    const struct wisp_func_type *type = func_of(&bed.arena, "(string, option<stream<u8>>)");
    struct {
        struct wisp_str name;
        uint32_t is_some;
        void *stream;
    } args = {WISP_STR("x"), 1, wisp_wrpc_writer_new(type->params[1].type->fields[1].type)};
    struct ends ends = {.writer = args.stream};
    CHECK_OK(wisp_wrpc_writer_write(ends.writer, WISP_STR("early"), &bed.err), &bed.err);
    wisp_wrpc_writer_end(ends.writer);
    wisp_wrpc_params_pipe(type, &args, &bed.loop);
    ends.reader = args.stream;
    wisp_wrpc_reader_on_ready(ends.reader, on_ready, &bed);
    turn(&bed);
    CHECK_INT(bed.n_ready, 1);
    check_bytes(&bed, &ends, "early");
    wisp_wrpc_params_close(type, &args);
    CHECK(!args.stream);
}

TEST(elements_go_through)
{
    BED;
    struct ends ends = make(&bed, "stream<tuple<string, u32>>");
    struct {
        struct wisp_str name;
        uint32_t size;
    } item = {WISP_STR("a"), 1}, got = {0};
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &got, &bed.err), WAIT);
    CHECK_OK(wisp_wrpc_writer_put(ends.writer, &item, &bed.err), &bed.err);
    item.size = 70000;
    item.name = WISP_STR("second");
    CHECK_OK(wisp_wrpc_writer_put(ends.writer, &item, &bed.err), &bed.err);
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &got, &bed.err), ITEM);
    CHECK_STR(got.name, "a");
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &got, &bed.err), ITEM);
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &got, &bed.err), WAIT);
    wisp_wrpc_writer_end(ends.writer);
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &got, &bed.err), END);
    wisp_wrpc_reader_close(ends.reader);
    CHECK_STR(got.name, "second");
    CHECK_INT(got.size, 70000);
}

TEST(a_future_has_one_value)
{
    BED;
    struct ends ends = make(&bed, "future<result<_, string>>");
    struct {
        uint32_t is_err;
        struct wisp_str text;
    } value = {1, WISP_STR("no")}, got = {0};
    wisp_wrpc_reader_on_ready(ends.reader, on_ready, &bed);
    turn(&bed);
    CHECK_INT(bed.n_ready, 0);
    CHECK_OK(wisp_wrpc_writer_put(ends.writer, &value, &bed.err), &bed.err);
    wisp_wrpc_writer_end(ends.writer);
    turn(&bed);
    CHECK_INT(bed.n_ready, 1);
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &got, &bed.err), ITEM);
    CHECK_INT(got.is_err, 1);
    CHECK_STR(got.text, "no");
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &got, &bed.err), END);
    wisp_wrpc_reader_close(ends.reader);
}

TEST(a_writer_waits_for_room)
{
    BED;
    static char large[WISP_WRPC_PIPE_ROOM];
    struct ends ends = make(&bed, "stream<u8>");
    struct wisp_str bytes;
    wisp_wrpc_writer_on_room(ends.writer, on_room, &bed);
    CHECK_INT(wisp_wrpc_writer_room(ends.writer), sizeof large);
    CHECK_OK(wisp_wrpc_writer_write(ends.writer, (struct wisp_str){large, sizeof large}, &bed.err), &bed.err);
    CHECK_INT(wisp_wrpc_writer_room(ends.writer), 0);
    turn(&bed);
    CHECK_INT(bed.n_room, 0);
    CHECK_STATE(wisp_wrpc_reader_peek(ends.reader, &bytes, &bed.err), ITEM);
    wisp_wrpc_reader_consume(ends.reader, bytes.len - 10);
    CHECK_INT(bed.n_room, 0); /* only from the loop */
    turn(&bed);
    CHECK_INT(bed.n_room, 1);
    CHECK_INT(wisp_wrpc_writer_room(ends.writer), sizeof large - 10);
    /* More than there is room for is taken, but not any amount. */
    int r = 0, n = 0;
    while ((r = wisp_wrpc_writer_write(ends.writer, (struct wisp_str){large, sizeof large}, &bed.err)) == 0) n++;
    CHECK_INT(r, -WISP_ERR_LIMIT);
    CHECK(n > 10 && n <= 64);
    wisp_wrpc_reader_close(ends.reader);
    CHECK(wisp_wrpc_writer_is_closed(ends.writer));
    turn(&bed);
    CHECK_INT(bed.n_room, 2);
    CHECK_OK(wisp_wrpc_writer_write(ends.writer, WISP_STR("nobody"), &bed.err), &bed.err);
    wisp_wrpc_writer_end(ends.writer);
}

TEST(what_is_broken_off_fails)
{
    BED;
    struct ends ends = make(&bed, "stream<u8>"), value = make(&bed, "future<u8>"), none = make(&bed, "future<u8>");
    struct wisp_str bytes;
    uint8_t byte;
    CHECK_OK(wisp_wrpc_writer_write(ends.writer, WISP_STR("part"), &bed.err), &bed.err);
    wisp_wrpc_reader_on_ready(ends.reader, on_ready, &bed);
    turn(&bed);
    wisp_wrpc_writer_abort(ends.writer);
    turn(&bed);
    CHECK_INT(bed.n_ready, 2);
    check_bytes(&bed, &ends, "part");
    CHECK_STATE(wisp_wrpc_reader_peek(ends.reader, &bytes, &bed.err), FAILED);
    CHECK_HAS(bed.err.text, "broken off");
    CHECK_STATE(wisp_wrpc_reader_peek(ends.reader, &bytes, &bed.err), FAILED);
    wisp_wrpc_reader_close(ends.reader);
    wisp_wrpc_writer_abort(value.writer);
    CHECK_STATE(wisp_wrpc_reader_next(value.reader, &bed.arena, &byte, &bed.err), FAILED);
    wisp_wrpc_reader_close(value.reader);
    wisp_wrpc_writer_end(none.writer);
    CHECK_STATE(wisp_wrpc_reader_next(none.reader, &bed.arena, &byte, &bed.err), FAILED);
    wisp_wrpc_reader_close(none.reader);
}

TEST(a_writer_that_nobody_carries_is_broken_off)
{
    BED;
    const struct wisp_type *type = type_of(&bed.arena, "stream<u8>");
    struct wisp_wrpc_writer *writer = wisp_wrpc_writer_new(type);
    CHECK_OK(wisp_wrpc_writer_write(writer, WISP_STR("x"), &bed.err), &bed.err);
    wisp_wrpc_writer_abort(writer);
    wisp_wrpc_writer_abort(NULL);
    wisp_wrpc_reader_close(NULL);
    /* One in two values is the first one's. */
    void *first = writer = wisp_wrpc_writer_new(type), *second = writer, *none = NULL;
    struct wisp_str bytes;
    wisp_wrpc_value_pipe(type, &first, &bed.loop);
    wisp_wrpc_value_pipe(type, &second, &bed.loop);
    wisp_wrpc_value_pipe(type, &none, &bed.loop);
    CHECK_STATE(wisp_wrpc_reader_peek(first, &bytes, &bed.err), WAIT);
    CHECK_STATE(wisp_wrpc_reader_peek(second, &bytes, &bed.err), FAILED);
    CHECK_STATE(wisp_wrpc_reader_peek(none, &bytes, &bed.err), FAILED);
    wisp_wrpc_writer_end(writer);
    CHECK_STATE(wisp_wrpc_reader_peek(first, &bytes, &bed.err), END);
    wisp_wrpc_reader_close(first);
    wisp_wrpc_reader_close(second);
    wisp_wrpc_reader_close(none);
}

static void close_reader(struct wisp_wrpc_reader *reader, void *env)
{
    ((struct bed *)env)->n_ready++;
    wisp_wrpc_reader_close(reader);
}

TEST(both_ends_may_go_within_their_handlers)
{
    BED;
    struct ends ends = make(&bed, "stream<u8>");
    wisp_wrpc_writer_on_room(ends.writer, on_room, &bed);
    wisp_wrpc_reader_on_ready(ends.reader, close_reader, &bed);
    CHECK_OK(wisp_wrpc_writer_write(ends.writer, WISP_STR("x"), &bed.err), &bed.err);
    wisp_wrpc_writer_end(ends.writer);
    turn(&bed);
    CHECK_INT(bed.n_ready, 1);
    CHECK_INT(bed.n_room, 0);
}

TEST(streams_within_elements)
{
    BED;
    struct ends outer = make(&bed, "stream<record{string, list<stream<u8>>}>");
    const struct wisp_type *inner_type = outer.type->element->fields[1].type->element;
    void *writers[2] = {wisp_wrpc_writer_new(inner_type), wisp_wrpc_writer_new(inner_type)}, **readers;
    struct element {
        struct wisp_str name;
        struct {
            void **ptr;
            size_t len;
        } streams;
    } element = {WISP_STR("two"), {writers, 2}}, got, unread;
    CHECK_OK(wisp_wrpc_writer_put(outer.writer, &element, &bed.err), &bed.err);
    CHECK_OK(wisp_wrpc_writer_write(writers[1], WISP_STR("second"), &bed.err), &bed.err);
    CHECK_STATE(wisp_wrpc_reader_next(outer.reader, &bed.arena, &got, &bed.err), ITEM);
    CHECK_INT(got.streams.len, 2);
    readers = got.streams.ptr;
    check_bytes(&bed, &(struct ends){.reader = readers[1]}, "second");
    CHECK_STATE(wisp_wrpc_reader_next(outer.reader, &bed.arena, &unread, &bed.err), WAIT);
    wisp_wrpc_writer_on_room(writers[0], on_room, &bed);
    wisp_wrpc_value_close(outer.type->element, &got);
    turn(&bed);
    CHECK_INT(bed.n_room, 1);
    wisp_wrpc_writer_end(writers[0]);
    wisp_wrpc_writer_end(writers[1]);
    /* One that is never read is closed with what it is in. */
    void *lost = wisp_wrpc_writer_new(inner_type);
    element.streams.ptr = &lost;
    element.streams.len = 1;
    CHECK_OK(wisp_wrpc_writer_put(outer.writer, &element, &bed.err), &bed.err);
    wisp_wrpc_reader_close(outer.reader);
    CHECK(wisp_wrpc_writer_is_closed(lost));
    wisp_wrpc_writer_end(lost);
    wisp_wrpc_writer_end(outer.writer);
}

static void feed(struct bed *bed, struct wisp_wrpc_pipe *pipe, const char *hex, bool is_whole)
{
    struct wisp_buf bytes = {0};
    for (; *hex; hex += 2) {
        char pair[3] = {hex[0], hex[1], '\0'};
        wisp_buf_append_char(&bytes, (char)strtoul(pair, NULL, 16));
    }
    (void)bed;
    wisp_wrpc_pipe_feed(pipe, wisp_buf_str(&bytes), is_whole);
    wisp_buf_deinit(&bytes);
}

TEST(chunks_in_pieces)
{
    BED;
    struct ends ends = make(&bed, "stream<string>");
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_of_writer(ends.writer);
    static const char *const pieces[] = {"82", "00", "026869"};
    struct wisp_str text;
    feed(&bed, pipe, "02", false);
    feed(&bed, pipe, "0568656c", false);
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &text, &bed.err), WAIT);
    feed(&bed, pipe, "6c6f0161", false);
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &text, &bed.err), ITEM);
    CHECK_STR(text, "hello");
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &text, &bed.err), ITEM);
    CHECK_STR(text, "a");
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &text, &bed.err), WAIT);
    for (size_t i = 0; i < WISP_COUNT(pieces); i++) feed(&bed, pipe, pieces[i], false);
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &text, &bed.err), FAILED);
    CHECK_HAS(bed.err.text, "longer than needed");
    CHECK_STATE(wisp_wrpc_reader_next(ends.reader, &bed.arena, &text, &bed.err), FAILED);
    wisp_wrpc_reader_close(ends.reader);
    wisp_wrpc_writer_end(ends.writer);
}

TEST(an_end_without_the_empty_chunk_is_a_failure)
{
    BED;
    struct ends ends = make(&bed, "stream<u8>");
    struct wisp_str bytes;
    feed(&bed, wisp_wrpc_pipe_of_writer(ends.writer), "0561", true);
    check_bytes(&bed, &ends, "a");
    CHECK_STATE(wisp_wrpc_reader_peek(ends.reader, &bytes, &bed.err), FAILED);
    wisp_wrpc_reader_close(ends.reader);
    wisp_wrpc_writer_end(ends.writer);
}
