/* SPDX-License-Identifier: Apache-2.0 */
#include "wrpc/stream_priv.h"

#include "wrpc/wire.h"

#include <stdio.h>
#include <stdlib.h>

/* --- the pipe --- */

static struct wisp_wrpc_pipe *pipe_new(const struct wisp_type *type)
{
    struct wisp_wrpc_pipe *pipe = wisp_mem_calloc(1, sizeof *pipe);
    pipe->type = type;
    pipe->room = WISP_WRPC_PIPE_ROOM;
    wisp_ring_init(&pipe->nested);
    return pipe;
}

void wisp_wrpc_nested_free(struct wisp_wrpc_nested *nested)
{
    wisp_ring_remove(&nested->link);
    free(nested->path);
    free(nested);
}

static void on_idle_closed(uv_handle_t *handle) { free(WISP_OWNER(handle, struct wisp_wrpc_pipe, idle)); }

/* Of what is in it, nobody will read anything any more. */
static void empty(struct wisp_wrpc_pipe *pipe)
{
    wisp_buf_deinit(&pipe->front);
    wisp_buf_deinit(&pipe->back);
    pipe->read = 0;
    while (!wisp_ring_is_empty(&pipe->nested)) {
        struct wisp_wrpc_nested *nested = WISP_OWNER(pipe->nested.next, struct wisp_wrpc_nested, link);
        wisp_wrpc_reader_close(&nested->pipe->reader);
        wisp_wrpc_nested_free(nested);
    }
}

static void free_when_left(struct wisp_wrpc_pipe *pipe)
{
    bool is_read = pipe->reader.is_taken && !pipe->reader.is_closed;
    if (!pipe->writer.is_gone || is_read) return;
    empty(pipe);
    free(WISP_TAKE(pipe->failure_text));
    if (pipe->has_loop)
        uv_close((uv_handle_t *)&pipe->idle, on_idle_closed);
    else
        free(pipe);
}

struct wisp_wrpc_pipe *wisp_wrpc_pipe_take(const struct wisp_type *type, struct wisp_wrpc_writer *writer)
{
    struct wisp_wrpc_pipe *pipe = writer ? wisp_wrpc_pipe_of_writer(writer) : NULL;
    if (!pipe || pipe->reader.is_taken) return wisp_wrpc_pipe_made(type, NULL);
    pipe->reader.is_taken = true;
    return pipe;
}

struct wisp_wrpc_pipe *wisp_wrpc_pipe_made(const struct wisp_type *type, const struct wisp_wrpc_slot *slot)
{
    struct wisp_wrpc_pipe *pipe = pipe_new(type);
    pipe->reader.is_taken = pipe->writer.is_gone = true;
    if (!slot) {
        wisp_wrpc_pipe_fail(pipe, WISP_ERR_INTERNAL, "nobody writes to it");
        return pipe;
    }
    wisp_wrpc_pipe_feed(pipe, slot->bytes, type->kind == WISP_TYPE_FUTURE);
    if (type->kind == WISP_TYPE_STREAM) wisp_wrpc_pipe_feed(pipe, (struct wisp_str){"", 1}, true);
    return pipe;
}

/* --- telling --- */

static void on_idle(uv_idle_t *idle)
{
    struct wisp_wrpc_pipe *pipe = WISP_OWNER(idle, struct wisp_wrpc_pipe, idle);
    bool tell_reader = pipe->tell_reader, tell_writer = pipe->tell_writer;
    uv_idle_stop(idle);
    pipe->tell_reader = pipe->tell_writer = false;
    if (tell_reader && pipe->reader.on_ready && !pipe->reader.is_closed)
        pipe->reader.on_ready(&pipe->reader, pipe->reader.env);
    /* Closed by that, it still stays until the loop's next turn. */
    if (tell_writer && pipe->writer.on_room && !pipe->writer.is_gone)
        pipe->writer.on_room(&pipe->writer, pipe->writer.env);
}

static void wake(struct wisp_wrpc_pipe *pipe)
{
    bool has_news = (pipe->tell_reader && pipe->reader.on_ready) || (pipe->tell_writer && pipe->writer.on_room);
    if (has_news && pipe->has_loop && !uv_is_closing((uv_handle_t *)&pipe->idle)) uv_idle_start(&pipe->idle, on_idle);
}

static void tell_reader(struct wisp_wrpc_pipe *pipe)
{
    pipe->tell_reader = true;
    wake(pipe);
}

static void tell_writer(struct wisp_wrpc_pipe *pipe)
{
    pipe->writer.is_waiting = false;
    pipe->tell_writer = true;
    wake(pipe);
}

void wisp_wrpc_pipe_connect(struct wisp_wrpc_pipe *pipe, uv_loop_t *loop)
{
    if (pipe->has_loop) return;
    pipe->has_loop = true;
    uv_idle_init(loop, &pipe->idle);
    wake(pipe);
}

/* --- bytes --- */

/* Moves on to what was added since, when all of the front is read. */
static void turn_over(struct wisp_wrpc_pipe *pipe)
{
    if (pipe->read < pipe->front.len) return;
    struct wisp_buf emptied = pipe->front;
    emptied.len = pipe->read = 0;
    pipe->front = pipe->back;
    pipe->back = emptied;
}

/* Puts the rest of the front and what follows it together. Nobody may be looking at it. */
static bool join(struct wisp_wrpc_pipe *pipe)
{
    if (pipe->back.len == 0) return false;
    size_t left = pipe->front.len - pipe->read;
    if (left > 0) memmove(pipe->front.data, pipe->front.data + pipe->read, left);
    pipe->front.len = left;
    pipe->read = 0;
    wisp_buf_append_str(&pipe->front, wisp_buf_str(&pipe->back));
    pipe->back.len = 0;
    return true;
}

struct wisp_str wisp_wrpc_pipe_bytes(struct wisp_wrpc_pipe *pipe)
{
    turn_over(pipe);
    if (pipe->read == pipe->front.len) return (struct wisp_str){NULL, 0};
    return (struct wisp_str){pipe->front.data + pipe->read, pipe->front.len - pipe->read};
}

void wisp_wrpc_pipe_drop(struct wisp_wrpc_pipe *pipe, size_t n)
{
    assert(n <= pipe->front.len - pipe->read);
    pipe->read += n;
    if (pipe->writer.is_waiting && wisp_wrpc_pipe_waiting(pipe) <= pipe->room / 2) tell_writer(pipe);
}

void wisp_wrpc_pipe_feed(struct wisp_wrpc_pipe *pipe, struct wisp_str bytes, bool is_whole)
{
    if (pipe->is_whole || pipe->is_over || pipe->failure) return;
    if (!pipe->reader.is_closed) wisp_buf_append_str(&pipe->back, bytes);
    pipe->is_whole = is_whole;
    pipe->is_hungry = false;
    tell_reader(pipe);
}

void wisp_wrpc_pipe_fail(struct wisp_wrpc_pipe *pipe, enum wisp_err_kind kind, const char *text)
{
    if (pipe->is_whole || pipe->failure) return;
    pipe->failure = kind;
    pipe->failure_text = wisp_mem_dup(wisp_str_from(text));
    tell_reader(pipe);
}

void wisp_wrpc_pipe_leave(struct wisp_wrpc_pipe *pipe)
{
    pipe->writer.is_gone = true;
    free_when_left(pipe);
}

void wisp_wrpc_pipe_await_room(struct wisp_wrpc_pipe *pipe)
{
    pipe->writer.is_waiting = true;
    if (pipe->reader.is_closed) tell_writer(pipe);
}

/* --- writing --- */

struct wisp_wrpc_writer *wisp_wrpc_writer_new(const struct wisp_type *type) { return &pipe_new(type)->writer; }

void wisp_wrpc_writer_on_room(struct wisp_wrpc_writer *writer,
                              void (*on_room)(struct wisp_wrpc_writer *writer, void *env), void *env)
{
    writer->on_room = on_room;
    writer->env = env;
    wake(wisp_wrpc_pipe_of_writer(writer));
}

static const struct wisp_wrpc_pipe *const_pipe_of(const struct wisp_wrpc_writer *writer)
{
    return (const void *)((const char *)writer - offsetof(struct wisp_wrpc_pipe, writer));
}

size_t wisp_wrpc_writer_room(const struct wisp_wrpc_writer *writer)
{
    const struct wisp_wrpc_pipe *pipe = const_pipe_of(writer);
    size_t waiting = wisp_wrpc_pipe_waiting(pipe);
    return waiting < pipe->room ? pipe->room - waiting : 0;
}

bool wisp_wrpc_writer_is_closed(const struct wisp_wrpc_writer *writer)
{
    return const_pipe_of(writer)->reader.is_closed;
}

static void written(struct wisp_wrpc_pipe *pipe)
{
    pipe->is_hungry = false;
    pipe->writer.is_waiting |= wisp_wrpc_pipe_waiting(pipe) >= pipe->room;
    tell_reader(pipe);
}

static int refuse_size(struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d MiB wait in a stream to be read",
                        WISP_WRPC_PIPE_BYTES_MAX >> 20);
}

int wisp_wrpc_writer_write(struct wisp_wrpc_writer *writer, struct wisp_str bytes, struct wisp_err *err)
{
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_of_writer(writer);
    assert(pipe->type->kind == WISP_TYPE_STREAM && pipe->type->element->kind == WISP_TYPE_U8);
    if (bytes.len == 0 || pipe->reader.is_closed) return 0;
    if (bytes.len > WISP_WRPC_PIPE_BYTES_MAX - wisp_wrpc_pipe_waiting(pipe)) return refuse_size(err);
    wisp_wrpc_put_bytes(&pipe->back, bytes);
    written(pipe);
    return 0;
}

/* What was found in an element goes along with it. */
static void add_nested(struct wisp_wrpc_pipe *pipe, const struct wisp_wrpc_slot *slot)
{
    struct wisp_wrpc_nested *nested = wisp_mem_calloc(1, sizeof *nested);
    struct wisp_wrpc_writer *writer;
    memcpy(&writer, slot->from, sizeof writer);
    nested->pipe = wisp_wrpc_pipe_take(slot->type, writer);
    nested->path = wisp_mem_dup(wisp_str_from(slot->path));
    wisp_ring_append(&pipe->nested, &nested->link);
}

static void name_element(char prefix[24], const struct wisp_wrpc_pipe *pipe, uint64_t index)
{
    snprintf(prefix, 24, "%llu", pipe->type->kind == WISP_TYPE_FUTURE ? 0 : (unsigned long long)index);
}

int wisp_wrpc_writer_put(struct wisp_wrpc_writer *writer, const void *value, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_of_writer(writer);
    bool is_future = pipe->type->kind == WISP_TYPE_FUTURE;
    size_t before = pipe->back.len, waiting = wisp_wrpc_pipe_waiting(pipe);
    char prefix[24];
    struct wisp_wrpc_slots slots = {.arena = &arena, .prefix = prefix};
    assert(!is_future || pipe->n_written == 0);
    if (waiting >= WISP_WRPC_PIPE_BYTES_MAX) return refuse_size(err);
    name_element(prefix, pipe, pipe->n_written);
    if (!is_future) wisp_buf_append_char(&pipe->back, 1);
    int r = wisp_wrpc_value_encode_with(pipe->type->element, value, WISP_WRPC_PIPE_BYTES_MAX - waiting, &slots,
                                        &pipe->back, err);
    if (r < 0 || pipe->reader.is_closed) pipe->back.len = before;
    if (r < 0) return r;
    pipe->n_written++;
    for (uint32_t i = 0; i < slots.n; i++) add_nested(pipe, &slots.items[i]);
    if (pipe->reader.is_closed) empty(pipe);
    written(pipe);
    return 0;
}

void wisp_wrpc_writer_end(struct wisp_wrpc_writer *writer)
{
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_of_writer(writer);
    writer->is_gone = true;
    if (pipe->type->kind == WISP_TYPE_STREAM)
        wisp_wrpc_pipe_feed(pipe, (struct wisp_str){"", 1}, true);
    else if (pipe->n_written > 0)
        wisp_wrpc_pipe_feed(pipe, WISP_STR(""), true);
    else
        wisp_wrpc_pipe_fail(pipe, WISP_ERR_INTERNAL, "it ended without a value");
    if (pipe->reader.is_closed) free_when_left(pipe);
}

void wisp_wrpc_writer_abort(struct wisp_wrpc_writer *writer)
{
    if (!writer) return;
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_of_writer(writer);
    writer->is_gone = true;
    wisp_wrpc_pipe_fail(pipe, WISP_ERR_UNAVAILABLE, "it was broken off by who wrote it");
    free_when_left(pipe);
}

/* --- reading --- */

void wisp_wrpc_reader_on_ready(struct wisp_wrpc_reader *reader,
                               void (*on_ready)(struct wisp_wrpc_reader *reader, void *env), void *env)
{
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_of_reader(reader);
    reader->on_ready = on_ready;
    reader->env = env;
    if (wisp_wrpc_pipe_waiting(pipe) > 0 || pipe->is_whole || pipe->failure) pipe->tell_reader = true;
    wake(pipe);
}

void wisp_wrpc_reader_close(struct wisp_wrpc_reader *reader)
{
    if (!reader) return;
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_of_reader(reader);
    reader->is_closed = true;
    empty(pipe);
    if (pipe->writer.is_gone)
        free_when_left(pipe);
    else
        tell_writer(pipe);
}

/* With what is there, nothing more can be read. */
static enum wisp_wrpc_reading nothing_more(struct wisp_wrpc_pipe *pipe, struct wisp_err *err)
{
    const char *what = pipe->type->kind == WISP_TYPE_FUTURE ? "future" : "stream";
    if (pipe->is_over) return WISP_WRPC_READING_END;
    if (pipe->failure)
        wisp_err_set(err, pipe->failure, "a %s: %s", what, pipe->failure_text);
    else if (pipe->is_whole)
        wisp_err_set(err, WISP_ERR_UNAVAILABLE, "a %s was broken off", what);
    if (pipe->failure || pipe->is_whole) return WISP_WRPC_READING_FAILED;
    pipe->is_hungry = true;
    if (pipe->writer.is_waiting) tell_writer(pipe);
    return WISP_WRPC_READING_WAIT;
}

/* It can't be read any further. */
static enum wisp_wrpc_reading malformed(struct wisp_wrpc_pipe *pipe, enum wisp_err_kind kind, const char *text,
                                        struct wisp_err *err)
{
    empty(pipe);
    free(WISP_TAKE(pipe->failure_text));
    pipe->is_whole = false;
    pipe->failure = WISP_ERR_NONE;
    wisp_wrpc_pipe_fail(pipe, kind, text);
    return nothing_more(pipe, err);
}

/* Reads the number before a chunk, if that comes next. ITEM: there is a chunk. */
static enum wisp_wrpc_reading begin_chunk(struct wisp_wrpc_pipe *pipe, struct wisp_err *err)
{
    while (pipe->chunk_left == 0 && !pipe->is_over) {
        struct wisp_wrpc_input input = wisp_wrpc_input(wisp_wrpc_pipe_bytes(pipe));
        const char *start = input.at;
        uint32_t number = (uint32_t)wisp_wrpc_read_unsigned(&input, 32);
        if (input.state == WISP_WRPC_READ_BAD) return malformed(pipe, WISP_ERR_INVALID, input.fault, err);
        if (input.state == WISP_WRPC_READ_MORE) {
            if (join(pipe)) continue;
            return nothing_more(pipe, err);
        }
        wisp_wrpc_pipe_drop(pipe, (size_t)(input.at - start));
        pipe->chunk_left = number;
        if (number == 0) pipe->is_over = true;
    }
    return pipe->is_over ? WISP_WRPC_READING_END : WISP_WRPC_READING_ITEM;
}

enum wisp_wrpc_reading wisp_wrpc_reader_peek(struct wisp_wrpc_reader *reader, struct wisp_str *ret_bytes,
                                             struct wisp_err *err)
{
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_of_reader(reader);
    assert(pipe->type->kind == WISP_TYPE_STREAM && pipe->type->element->kind == WISP_TYPE_U8);
    enum wisp_wrpc_reading state = begin_chunk(pipe, err);
    if (state != WISP_WRPC_READING_ITEM) return state;
    struct wisp_str bytes = wisp_wrpc_pipe_bytes(pipe);
    if (bytes.len == 0) return nothing_more(pipe, err);
    if (bytes.len > pipe->chunk_left) bytes.len = pipe->chunk_left;
    *ret_bytes = bytes;
    return WISP_WRPC_READING_ITEM;
}

void wisp_wrpc_reader_consume(struct wisp_wrpc_reader *reader, size_t n)
{
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_of_reader(reader);
    assert(n <= pipe->chunk_left);
    pipe->chunk_left -= (uint32_t)n;
    wisp_wrpc_pipe_drop(pipe, n);
}

/* Streams within an element that was read. */
static void fill_slot(struct wisp_wrpc_pipe *pipe, const struct wisp_wrpc_slot *slot)
{
    struct wisp_wrpc_pipe *made;
    if (slot->is_inline) {
        made = wisp_wrpc_pipe_made(slot->type, slot);
    } else if (pipe->make_reader) {
        made = pipe->make_reader(pipe, slot);
    } else if (!wisp_ring_is_empty(&pipe->nested)) {
        struct wisp_wrpc_nested *nested = WISP_OWNER(pipe->nested.next, struct wisp_wrpc_nested, link);
        made = nested->pipe;
        wisp_wrpc_nested_free(nested);
    } else {
        made = wisp_wrpc_pipe_made(slot->type, NULL);
    }
    if (pipe->has_loop) wisp_wrpc_pipe_connect(made, pipe->idle.loop);
    struct wisp_wrpc_reader *reader = &made->reader;
    memcpy(slot->at, &reader, sizeof reader);
}

static int try_to_decode(struct wisp_wrpc_pipe *pipe, struct wisp_arena *arena, void *value, struct wisp_err *err)
{
    const struct wisp_type *element = pipe->type->element;
    struct wisp_str bytes = wisp_wrpc_pipe_bytes(pipe);
    char prefix[24];
    struct wisp_wrpc_slots slots = {.arena = arena, .prefix = prefix};
    size_t used;
    name_element(prefix, pipe, pipe->n_read);
    int r = wisp_wrpc_value_decode_with(element, bytes, arena, value, &slots, &used, err);
    if (r == 0 && element->has_pointers) {
        /* Once more, now that it is known how much belongs to it, for it may point to what it is decoded from. */
        slots.n = 0;
        bytes.len = used;
        r = wisp_wrpc_value_decode_with(element, wisp_arena_str(arena, bytes), arena, value, &slots, &used, err);
    }
    if (r != 0) return r;
    for (uint32_t i = 0; i < slots.n; i++) fill_slot(pipe, &slots.items[i]);
    wisp_wrpc_pipe_drop(pipe, used);
    return 0;
}

enum wisp_wrpc_reading wisp_wrpc_reader_next(struct wisp_wrpc_reader *reader, struct wisp_arena *arena, void *value,
                                             struct wisp_err *err)
{
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_of_reader(reader);
    bool is_future = pipe->type->kind == WISP_TYPE_FUTURE;
    struct wisp_err own = {0};
    int r = WISP_WRPC_MORE;
    enum wisp_wrpc_reading state = WISP_WRPC_READING_ITEM;
    if (is_future && pipe->is_over) return WISP_WRPC_READING_END;
    if (!is_future) state = begin_chunk(pipe, err);
    if (state != WISP_WRPC_READING_ITEM) return state;
    if (!pipe->is_whole && wisp_wrpc_pipe_waiting(pipe) < pipe->next_try) return nothing_more(pipe, err);
    do r = try_to_decode(pipe, arena, value, &own);
    while (r == WISP_WRPC_MORE && join(pipe));
    if (r < 0) return malformed(pipe, own.kind, own.text, err);
    pipe->next_try = r == WISP_WRPC_MORE ? 2 * wisp_wrpc_pipe_waiting(pipe) : 0;
    if (r == WISP_WRPC_MORE) return nothing_more(pipe, err);
    pipe->n_read++;
    if (is_future)
        pipe->is_over = true;
    else
        pipe->chunk_left--;
    return WISP_WRPC_READING_ITEM;
}

/* --- streams within values --- */

/* Streams are those of their type; handles in the value are no business of ours. */
static bool is_stream(const struct wisp_type *type)
{
    return type->kind == WISP_TYPE_STREAM || type->kind == WISP_TYPE_FUTURE;
}

static void visit_params(const struct wisp_func_type *type, const void *args, wisp_value_visitor *visitor, void *env)
{
    for (uint32_t i = 0; type->has_streams && i < type->n_params; i++)
        wisp_value_visit(type->params[i].type, (const char *)args + type->params[i].native_offset, visitor, env);
}

/* Those who ask for the value to be changed gave one that may be. */
static void put_reader(const void *slot, struct wisp_wrpc_reader *reader)
{
    void *at;
    memcpy(&at, &slot, sizeof at);
    memcpy(at, &reader, sizeof reader);
}

static struct wisp_wrpc_reader *take_reader(const struct wisp_type *type, const void *slot, uv_loop_t *loop)
{
    struct wisp_wrpc_writer *writer;
    memcpy(&writer, slot, sizeof writer);
    struct wisp_wrpc_pipe *pipe = wisp_wrpc_pipe_take(type, writer);
    wisp_wrpc_pipe_connect(pipe, loop);
    return &pipe->reader;
}

static void pipe_one(const struct wisp_type *type, const void *slot, void *env)
{
    if (is_stream(type)) put_reader(slot, take_reader(type, slot, env));
}

static void discard_one(const struct wisp_type *type, const void *slot, void *env)
{
    if (is_stream(type)) wisp_wrpc_reader_close(take_reader(type, slot, env));
}

static void close_one(const struct wisp_type *type, const void *slot, void *env)
{
    struct wisp_wrpc_reader *reader;
    (void)env;
    if (!is_stream(type)) return;
    memcpy(&reader, slot, sizeof reader);
    wisp_wrpc_reader_close(reader);
    put_reader(slot, NULL);
}

void wisp_wrpc_value_pipe(const struct wisp_type *type, void *value, uv_loop_t *loop)
{
    wisp_value_visit(type, value, pipe_one, loop);
}

void wisp_wrpc_params_pipe(const struct wisp_func_type *type, void *args, uv_loop_t *loop)
{
    visit_params(type, args, pipe_one, loop);
}

void wisp_wrpc_value_discard(const struct wisp_type *type, const void *value, uv_loop_t *loop)
{
    wisp_value_visit(type, value, discard_one, loop);
}

void wisp_wrpc_params_discard(const struct wisp_func_type *type, const void *args, uv_loop_t *loop)
{
    visit_params(type, args, discard_one, loop);
}

void wisp_wrpc_value_close(const struct wisp_type *type, void *value)
{
    wisp_value_visit(type, value, close_one, NULL);
}

void wisp_wrpc_params_close(const struct wisp_func_type *type, void *args)
{
    visit_params(type, args, close_one, NULL);
}
