/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:blobstore/types: values on their way, as streams of wasi:io on what goes to the provider and comes from it. */
#include "capability/blobstore/guest.h"

#include "capability/kinds.h"
#include "wasi/io.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    EARLY_MAX = 15 << 20,   /* bytes of a value that no container has been given yet; within what a writer keeps */
    EARLY_ROOM = 64 << 10,  /* of them at once */
    CONSUME_MAX = 64 << 20, /* bytes of a value taken as a whole */
};

/* stream<u8>, for as long as there may be streams of it. */
static const struct wisp_type *the_bytes_type;
static struct wisp_arena the_types;

static void make_bytes_type(void)
{
    struct wisp_err err = {0};
    if (wisp_type_stream(&the_types, WISP_TYPE_STREAM, wisp_type_primitive(WISP_TYPE_U8), &the_bytes_type, &err) < 0)
        abort(); /* it is a constant */
}

static const struct wisp_type *bytes_type(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bytes_type);
    return the_bytes_type;
}

static void fill_error(struct wisp_io_error *error, const char *text)
{
    *error = (struct wisp_io_error){.origin = WISP_IO_ERROR_OTHER};
    snprintf(error->text, sizeof error->text, "%.150s", text);
}

/* --- what goes out --- */

/* The value and the stream of its body hold it: the end of an invocation drops them in any order. */
struct wisp_blobstore_outgoing {
    unsigned n_refs;
    struct wisp_output_stream body;
    bool has_body, is_body_open;
    struct wisp_wrpc_writer *writer; /* NULL: finished, or dropped */
    bool is_given;                   /* to a container */
    size_t n_early;
    struct wisp_wrpc_reader *status; /* once given */
};

static void outgoing_unref(struct wisp_blobstore_outgoing *value)
{
    if (--value->n_refs) return;
    wisp_wrpc_writer_abort(value->writer);
    wisp_wrpc_reader_close(value->status);
    free(value);
}

static void on_room(struct wisp_wrpc_writer *writer, void *env)
{
    (void)writer;
    wisp_instance_wake(env);
}

static int new_outgoing(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_blobstore_outgoing *value = wisp_mem_calloc(1, sizeof *value);
    (void)args;
    value->n_refs = 1;
    value->writer = wisp_wrpc_writer_new(bytes_type());
    wisp_wrpc_writer_on_room(value->writer, on_room, call->instance);
    *(struct wisp_blobstore_outgoing **)result = value;
    return 0;
}

static const char *refuse_drop_outgoing(const void *rep)
{
    return ((const struct wisp_blobstore_outgoing *)rep)->is_body_open ? "the stream of its body is still there" : NULL;
}

/* Dropped without finish: what was written is not the value. */
static void drop_outgoing(void *rep, void *context)
{
    struct wisp_blobstore_outgoing *value = rep;
    (void)context;
    wisp_wrpc_writer_abort(WISP_TAKE(value->writer));
    outgoing_unref(value);
}

/* --- its body --- */

static struct wisp_blobstore_outgoing *outgoing_of(struct wisp_output_stream *stream)
{
    return WISP_OWNER(stream, struct wisp_blobstore_outgoing, body);
}

static enum wisp_stream_status body_check_write(struct wisp_output_stream *stream, size_t *ret_room,
                                                struct wisp_io_error *ret_error)
{
    struct wisp_blobstore_outgoing *value = outgoing_of(stream);
    *ret_room = 0;
    if (!value->writer || wisp_wrpc_writer_is_closed(value->writer)) return WISP_STREAM_CLOSED;
    if (value->is_given) {
        *ret_room = wisp_wrpc_writer_room(value->writer);
        return WISP_STREAM_OK;
    }
    if (value->n_early >= EARLY_MAX) {
        fill_error(ret_error, "too much was written before write-data");
        return WISP_STREAM_FAILED;
    }
    *ret_room = EARLY_ROOM;
    return WISP_STREAM_OK;
}

static enum wisp_stream_status body_write(struct wisp_output_stream *stream, const void *bytes, size_t size,
                                          struct wisp_io_error *ret_error)
{
    struct wisp_blobstore_outgoing *value = outgoing_of(stream);
    WISP_CLEANUP_FREE char *zeroes = bytes ? NULL : wisp_mem_calloc(1, size + 1);
    struct wisp_err err = {0};
    if (!value->writer) return WISP_STREAM_CLOSED;
    if (!value->is_given) value->n_early += size;
    if (wisp_wrpc_writer_write(value->writer, (struct wisp_str){bytes ? bytes : zeroes, size}, &err) == 0)
        return WISP_STREAM_OK;
    fill_error(ret_error, err.text);
    return WISP_STREAM_FAILED;
}

/* That all is stored is what `finish` tells. */
static enum wisp_stream_status body_flush(struct wisp_output_stream *stream, bool *ret_done,
                                          struct wisp_io_error *ret_error)
{
    (void)stream;
    (void)ret_error;
    *ret_done = true;
    return WISP_STREAM_OK;
}

static bool body_is_ready(struct wisp_output_stream *stream)
{
    struct wisp_blobstore_outgoing *value = outgoing_of(stream);
    return !value->writer || !value->is_given || wisp_wrpc_writer_is_closed(value->writer) ||
           wisp_wrpc_writer_room(value->writer) > 0;
}

static void body_drop(struct wisp_output_stream *stream)
{
    struct wisp_blobstore_outgoing *value = outgoing_of(stream);
    value->is_body_open = false;
    outgoing_unref(value);
}

struct body_result {
    uint32_t is_err;
    struct wisp_output_stream *ok;
};

static int write_body(struct wisp_call *call, const void *args, void *result)
{
    static const struct wisp_output_stream_ops ops = {.check_write = body_check_write,
                                                      .write = body_write,
                                                      .flush = body_flush,
                                                      .is_ready = body_is_ready,
                                                      .drop = body_drop};
    struct wisp_blobstore_outgoing *value = *(struct wisp_blobstore_outgoing *const *)args;
    *(struct body_result *)result = (struct body_result){.is_err = value->has_body};
    if (value->has_body) return 0;
    value->has_body = value->is_body_open = true;
    value->n_refs++;
    value->body = (struct wisp_output_stream){.ops = &ops, .wasi = call->context};
    ((struct body_result *)result)->ok = &value->body;
    return 0;
}

/* --- where it goes --- */

int wisp_blobstore_outgoing_give(struct wisp_call *call, struct wisp_blobstore_outgoing *value,
                                 struct wisp_blobstore_id id, struct wisp_blobstore_result *ret_result)
{
    struct wisp_blobstore_write_result written;
    struct wisp_blobstore_write_args args = {id, value->writer};
    *ret_result = (struct wisp_blobstore_result){value->is_given, WISP_STR("the value was given away before")};
    if (value->is_given) return 0;
    value->is_given = true;
    int r = wisp_blobstore_ask(call, WISP_BLOBSTORE_WRITE_CONTAINER_DATA, &args, &written);
    if (r < 0) return r;
    *ret_result = (struct wisp_blobstore_result){written.is_err, written.is_err ? written.error : (struct wisp_str){0}};
    if (!written.is_err) value->status = written.status;
    return 0;
}

static int finish(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_blobstore_outgoing *value = *(struct wisp_blobstore_outgoing *const *)args;
    int r = 0;
    *(struct wisp_blobstore_result *)result =
        (struct wisp_blobstore_result){1, WISP_STR("no container was given the value")};
    if (value->is_body_open) {
        r = wisp_call_trap(call, "an outgoing-value was finished before the stream of its body was dropped");
    } else if (value->status) {
        wisp_wrpc_writer_end(WISP_TAKE(value->writer));
        r = wisp_blobstore_await(call, WISP_TAKE(value->status), result);
    }
    drop_outgoing(value, NULL);
    return r;
}

/* --- what comes in --- */

struct wisp_blobstore_incoming {
    struct wisp_input_stream stream; /* once it is consumed that way */
    struct wisp_wrpc_reader *data, *status;
    struct wisp_arena arena;
    struct wisp_blobstore_data_args args; /* that it came from */
    bool is_over;                         /* with this outcome */
    struct wisp_blobstore_result outcome;
};

struct wisp_blobstore_incoming *wisp_blobstore_incoming_new(struct wisp_call *call,
                                                            const struct wisp_blobstore_data_args *args,
                                                            struct wisp_wrpc_reader *data,
                                                            struct wisp_wrpc_reader *status)
{
    struct wisp_blobstore_incoming *value = wisp_mem_calloc(1, sizeof *value);
    value->data = data;
    value->status = status;
    value->args = *args;
    value->args.id.container = wisp_arena_str(&value->arena, args->id.container);
    value->args.id.object = wisp_arena_str(&value->arena, args->id.object);
    wisp_blobstore_wake_by(call, data);
    wisp_blobstore_wake_by(call, status);
    return value;
}

static void incoming_free(struct wisp_blobstore_incoming *value)
{
    wisp_wrpc_reader_close(value->data);
    wisp_wrpc_reader_close(value->status);
    wisp_arena_deinit(&value->arena);
    free(value);
}

static void drop_incoming(void *rep, void *context)
{
    (void)context;
    incoming_free(rep);
}

/* After the last bytes comes how it went, and only then it is over. */
static enum wisp_wrpc_reading look(struct wisp_blobstore_incoming *value, struct wisp_str *ret_bytes)
{
    struct wisp_err err = {0}, status_err = {0};
    if (value->is_over) return WISP_WRPC_READING_END;
    enum wisp_wrpc_reading reading = wisp_wrpc_reader_peek(value->data, ret_bytes, &err);
    if (reading == WISP_WRPC_READING_WAIT || reading == WISP_WRPC_READING_ITEM) return reading;
    struct wisp_blobstore_result *outcome = &value->outcome;
    enum wisp_wrpc_reading said = wisp_wrpc_reader_next(value->status, &value->arena, outcome, &status_err);
    if (said == WISP_WRPC_READING_WAIT) return WISP_WRPC_READING_WAIT;
    value->is_over = true;
    const char *failure = said != WISP_WRPC_READING_ITEM                            ? status_err.text
                          : reading == WISP_WRPC_READING_FAILED && !outcome->is_err ? err.text
                                                                                    : NULL;
    if (failure) *outcome = (struct wisp_blobstore_result){1, wisp_arena_str(&value->arena, wisp_str_from(failure))};
    return WISP_WRPC_READING_END;
}

struct consume_result {
    uint32_t is_err;
    union {
        struct wisp_bytes bytes;
        struct wisp_input_stream *stream;
        struct wisp_str error;
    };
};

static int take_all(struct wisp_call *call, struct wisp_blobstore_incoming *value, struct wisp_buf *buf,
                    struct wisp_blobstore_result *ret_outcome)
{
    struct wisp_str bytes;
    enum wisp_wrpc_reading reading;
    while ((reading = look(value, &bytes)) != WISP_WRPC_READING_END) {
        if (reading == WISP_WRPC_READING_WAIT) {
            int r = wisp_call_suspend(call);
            if (r < 0) return r;
            continue;
        }
        if (buf->len + bytes.len > CONSUME_MAX) {
            *ret_outcome = (struct wisp_blobstore_result){1, WISP_STR("the value is too large to be taken at once")};
            return 0;
        }
        wisp_buf_append_str(buf, bytes);
        wisp_wrpc_reader_consume(value->data, bytes.len);
    }
    *ret_outcome = value->outcome;
    return 0;
}

static int consume_sync(struct wisp_call *call, const void *args, void *result)
{
    WISP_CLEANUP_BUF struct wisp_buf buf = {0};
    struct wisp_blobstore_incoming *value = *(struct wisp_blobstore_incoming *const *)args;
    struct wisp_blobstore_result outcome;
    struct consume_result *consumed = result;
    int r = take_all(call, value, &buf, &outcome);
    if (r == 0) {
        struct wisp_str text = wisp_arena_str(call->arena, outcome.is_err ? outcome.error : wisp_buf_str(&buf));
        *consumed = (struct consume_result){.is_err = outcome.is_err};
        if (outcome.is_err)
            consumed->error = text;
        else
            consumed->bytes = (struct wisp_bytes){(const uint8_t *)text.ptr, text.len};
    }
    incoming_free(value);
    return r;
}

/* --- as a stream --- */

static struct wisp_blobstore_incoming *incoming_of(struct wisp_input_stream *stream)
{
    return WISP_OWNER(stream, struct wisp_blobstore_incoming, stream);
}

static enum wisp_stream_status stream_read(struct wisp_input_stream *stream, void *buffer, size_t max, size_t *ret_n,
                                           struct wisp_io_error *ret_error)
{
    struct wisp_blobstore_incoming *value = incoming_of(stream);
    struct wisp_str bytes;
    *ret_n = 0;
    enum wisp_wrpc_reading reading = look(value, &bytes);
    if (reading == WISP_WRPC_READING_WAIT) return WISP_STREAM_OK;
    if (reading == WISP_WRPC_READING_END && !value->outcome.is_err) return WISP_STREAM_CLOSED;
    if (reading == WISP_WRPC_READING_END) {
        *ret_error = (struct wisp_io_error){.origin = WISP_IO_ERROR_OTHER};
        snprintf(ret_error->text, sizeof ret_error->text, "%.*s", WISP_STR_ARG(value->outcome.error));
        return WISP_STREAM_FAILED;
    }
    *ret_n = bytes.len < max ? bytes.len : max;
    if (buffer && *ret_n) memcpy(buffer, bytes.ptr, *ret_n);
    wisp_wrpc_reader_consume(value->data, *ret_n);
    return WISP_STREAM_OK;
}

static bool stream_is_ready(struct wisp_input_stream *stream)
{
    struct wisp_str bytes;
    return look(incoming_of(stream), &bytes) != WISP_WRPC_READING_WAIT;
}

static void stream_drop(struct wisp_input_stream *stream) { incoming_free(incoming_of(stream)); }

static int consume_async(struct wisp_call *call, const void *args, void *result)
{
    static const struct wisp_input_stream_ops ops = {
        .read = stream_read, .is_ready = stream_is_ready, .drop = stream_drop};
    struct wisp_blobstore_incoming *value = *(struct wisp_blobstore_incoming *const *)args;
    value->stream = (struct wisp_input_stream){.ops = &ops, .wasi = call->context};
    *(struct consume_result *)result = (struct consume_result){.stream = &value->stream};
    return 0;
}

/* The stream doesn't say, but the object does. */
static int size(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_blobstore_incoming *value = *(struct wisp_blobstore_incoming *const *)args;
    struct wisp_blobstore_id_args id = {value->args.id};
    struct wisp_blobstore_object_result info;
    int r = wisp_blobstore_ask(call, WISP_BLOBSTORE_GET_OBJECT_INFO, &id, &info);
    if (r < 0) return r;
    if (info.is_err) return wisp_call_trap(call, "size: %.*s", WISP_STR_ARG(info.error));
    uint64_t end = value->args.end < info.ok.size ? value->args.end : info.ok.size;
    *(uint64_t *)result = value->args.start < end ? end - value->args.start : 0;
    return 0;
}

/* --- the interface --- */

static const struct wisp_host_func funcs[] = {
    {"[static]outgoing-value.new-outgoing-value", "() -> own<outgoing-value>", new_outgoing, 0,
     sizeof(struct wisp_blobstore_outgoing *)},
    {"[method]outgoing-value.outgoing-value-write-body", "(borrow<outgoing-value>) -> result<own<output-stream>>",
     write_body, WISP_HOST_SIZES(struct wisp_blobstore_outgoing *, struct body_result)},
    {"[static]outgoing-value.finish", "(own<outgoing-value>) -> result<_, string>", finish,
     WISP_HOST_SIZES(struct wisp_blobstore_outgoing *, struct wisp_blobstore_result)},
    {"[static]incoming-value.incoming-value-consume-sync", "(own<incoming-value>) -> result<list<u8>, string>",
     consume_sync, WISP_HOST_SIZES(struct wisp_blobstore_incoming *, struct consume_result)},
    {"[static]incoming-value.incoming-value-consume-async",
     "(own<incoming-value>) -> result<own<input-stream>, string>", consume_async,
     WISP_HOST_SIZES(struct wisp_blobstore_incoming *, struct consume_result)},
    {"[method]incoming-value.size", "(borrow<incoming-value>) -> u64", size,
     WISP_HOST_SIZES(struct wisp_blobstore_incoming *, uint64_t)},
};

static const struct wisp_host_resource resources[] = {
    {.name = "outgoing-value", .drop = drop_outgoing, .refuse_drop = refuse_drop_outgoing},
    {.name = "incoming-value", .drop = drop_incoming},
};

const struct wisp_host_interface wisp_blobstore_guest_types = {
    .name = "wasi:blobstore/types",
    .version = "0.2.0-draft",
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
};
