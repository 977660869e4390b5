/* SPDX-License-Identifier: Apache-2.0 */
#include "wrpc_blobs.h"

#include "component/host/host_signature.h"

#include <stdio.h>
#include <stdlib.h>

#define INTERFACE "wrpc:blobstore/blobstore@0.2.0"

enum { WRITE, LIST, GET };
static const struct {
    const char *name, *type;
} funcs[] = {
    [WRITE] = {"write-container-data",
               "(record{string, string}, stream<u8>) -> result<future<result<_, string>>, string>"},
    [LIST] = {"list-container-objects", "(string, option<u64>, option<u64>) -> "
                                        "result<tuple<stream<string>, future<result<_, string>>>, string>"},
    [GET] = {"get-container-data", "(record{string, string}, u64, u64) -> "
                                   "result<tuple<stream<u8>, future<result<_, string>>>, string>"},
};

struct object {
    struct wisp_str container, name;
};
struct write_args {
    struct object id;
    void *data;
};
struct option_u64 {
    uint32_t is_some;
    uint64_t value;
};
struct list_args {
    struct wisp_str container;
    struct option_u64 limit, offset;
};
struct get_args {
    struct object id;
    uint64_t start, end;
};
struct status {
    uint32_t is_error;
    struct wisp_str text;
};
struct result {
    uint32_t is_error;
    union {
        struct {
            void *stream, *status;
        } ok;
        void *status; /* of WRITE */
        struct wisp_str error;
    };
};

struct blobs {
    struct wisp_wrpc *wrpc;
    uv_loop_t *loop;
    struct wisp_arena arena;
    const struct wisp_func_type *types[WISP_COUNT(funcs)];
};

static void must(int result, const struct wisp_err *err)
{
    if (result == 0) return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

struct blobs *blobs_new(struct wisp_wrpc *wrpc, uv_loop_t *loop)
{
    struct blobs *blobs = wisp_mem_calloc(1, sizeof *blobs);
    struct wisp_map resources = {0};
    struct wisp_signature_names names = {.arena = &blobs->arena, .resources = &resources};
    struct wisp_err err;
    blobs->wrpc = wrpc;
    blobs->loop = loop;
    for (size_t i = 0; i < WISP_COUNT(funcs); i++)
        must(wisp_signature_parse(&names, wisp_str_from(funcs[i].type), &blobs->types[i], &err), &err);
    if (blobs->types[LIST]->result->native_size != sizeof(struct result)) abort();
    return blobs;
}

static const struct wisp_type *ok_part(const struct blobs *blobs, unsigned func, unsigned part)
{
    const struct wisp_type *ok = blobs->types[func]->result->fields[0].type;
    return func == WRITE ? ok : ok->fields[part].type;
}

/* --- bytes: sent as the other side takes them, and counted --- */

struct sender {
    struct wisp_wrpc_writer *writer;
    uint64_t left;
};

static void send_more(struct wisp_wrpc_writer *writer, void *env)
{
    struct sender *sender = env;
    char bytes[50000];
    struct wisp_err err;
    memset(bytes, 'r', sizeof bytes);
    while (sender->left > 0 && wisp_wrpc_writer_room(writer) > 0) {
        struct wisp_str piece = {bytes, sender->left < sizeof bytes ? (size_t)sender->left : sizeof bytes};
        must(wisp_wrpc_writer_write(writer, piece, &err), &err);
        sender->left -= piece.len;
    }
    if (sender->left > 0) return;
    wisp_wrpc_writer_end(writer);
    free(sender);
}

static void *send_bytes(const struct wisp_type *type, uint64_t size)
{
    struct sender *sender = wisp_mem_calloc(1, sizeof *sender);
    struct wisp_wrpc_writer *writer = wisp_wrpc_writer_new(type);
    sender->left = size;
    wisp_wrpc_writer_on_room(writer, send_more, sender);
    send_more(writer, sender);
    return writer;
}

/* False: there will be more. */
static bool count_bytes(struct wisp_wrpc_reader *reader, uint64_t *size)
{
    struct wisp_str bytes;
    struct wisp_err err;
    enum wisp_wrpc_reading state;
    while ((state = wisp_wrpc_reader_peek(reader, &bytes, &err)) == WISP_WRPC_READING_ITEM) {
        for (size_t i = 0; i < bytes.len; i++) *size += bytes.ptr[i] == 'r';
        wisp_wrpc_reader_consume(reader, bytes.len);
    }
    must(state == WISP_WRPC_READING_FAILED ? -1 : 0, &err);
    return state == WISP_WRPC_READING_END;
}

static void *resolved(const struct wisp_type *type, const struct status *status)
{
    struct wisp_wrpc_writer *writer = wisp_wrpc_writer_new(type);
    struct wisp_err err;
    must(wisp_wrpc_writer_put(writer, status, &err), &err);
    wisp_wrpc_writer_end(writer);
    return writer;
}

/* --- serving --- */

struct upload {
    struct wisp_wrpc_writer *status;
    uint64_t size;
};

static void on_data(struct wisp_wrpc_reader *reader, void *env)
{
    struct upload *upload = env;
    struct wisp_err err;
    char text[24];
    if (!count_bytes(reader, &upload->size)) return;
    wisp_wrpc_reader_close(reader);
    snprintf(text, sizeof text, "%llu", (unsigned long long)upload->size);
    struct status status = {1, wisp_str_from(text)};
    must(wisp_wrpc_writer_put(upload->status, &status, &err), &err);
    wisp_wrpc_writer_end(upload->status);
    free(upload);
}

static void on_write(struct wisp_wrpc_incoming *call, const void *args, void *env)
{
    const struct blobs *blobs = env;
    struct upload *upload = wisp_mem_calloc(1, sizeof *upload);
    struct wisp_err err;
    upload->status = wisp_wrpc_writer_new(ok_part(blobs, WRITE, 0));
    wisp_wrpc_reader_on_ready(((const struct write_args *)args)->data, on_data, upload);
    must(wisp_wrpc_incoming_finish(call, &(struct result){.status = upload->status}, &err), &err);
}

static void on_list(struct wisp_wrpc_incoming *call, const void *args, void *env)
{
    const struct blobs *blobs = env;
    const struct list_args *list = args;
    struct wisp_wrpc_writer *names = wisp_wrpc_writer_new(ok_part(blobs, LIST, 0));
    struct result result = {.ok = {names, resolved(ok_part(blobs, LIST, 1), &(struct status){0})}};
    struct wisp_err err;
    for (uint64_t i = 0; i < list->limit.value; i++) {
        char text[24];
        snprintf(text, sizeof text, "n%llu", (unsigned long long)i);
        must(wisp_wrpc_writer_put(names, &(struct wisp_str){text, strlen(text)}, &err), &err);
    }
    wisp_wrpc_writer_end(names);
    must(wisp_wrpc_incoming_finish(call, &result, &err), &err);
}

static void on_get(struct wisp_wrpc_incoming *call, const void *args, void *env)
{
    const struct blobs *blobs = env;
    const struct get_args *get = args;
    struct result result = {0};
    struct wisp_err err;
    if (wisp_str_is(get->id.name, "missing")) {
        result.is_error = 1;
        result.error = WISP_STR("no such object");
    } else {
        result.ok.stream = send_bytes(ok_part(blobs, GET, 0), get->end - get->start);
        result.ok.status = resolved(ok_part(blobs, GET, 1), &(struct status){0});
    }
    must(wisp_wrpc_incoming_finish(call, &result, &err), &err);
}

void blobs_serve(struct blobs *blobs, struct wisp_wrpc_service *service)
{
    wisp_wrpc_on_call *const handlers[] = {on_write, on_list, on_get};
    struct wisp_err err;
    for (size_t i = 0; i < WISP_COUNT(funcs); i++) {
        struct wisp_wrpc_function function = {WISP_STR(INTERFACE), wisp_str_from(funcs[i].name)};
        must(wisp_wrpc_service_add(service, &function, blobs->types[i], handlers[i], blobs, &err), &err);
    }
}

/* --- calling --- */

struct answer {
    struct result result;
    size_t size; /* of the result's type */
    bool is_here;
};

static void on_result(const void *result, const struct wisp_err *err, void *env)
{
    struct answer *answer = env;
    must(err ? -1 : 0, err);
    memcpy(&answer->result, result, answer->size);
    answer->is_here = true;
}

static struct result call(struct blobs *blobs, struct wisp_str id, unsigned func, const void *args)
{
    struct wisp_wrpc_call *started;
    struct answer answer = {.size = blobs->types[func]->result->native_size};
    struct wisp_err err;
    struct wisp_wrpc_target target = {
        .id = id, .function = {WISP_STR(INTERFACE), wisp_str_from(funcs[func].name)}, .timeout_ms = 10000};
    must(wisp_wrpc_call_start(blobs->wrpc, &target, blobs->types[func], args, &blobs->arena, on_result, &answer,
                              &started, &err),
         &err);
    while (!answer.is_here) uv_run(blobs->loop, UV_RUN_ONCE);
    return answer.result;
}

static enum wisp_wrpc_reading next(struct blobs *blobs, struct wisp_wrpc_reader *reader, void *value)
{
    enum wisp_wrpc_reading state;
    struct wisp_err err;
    while ((state = wisp_wrpc_reader_next(reader, &blobs->arena, value, &err)) == WISP_WRPC_READING_WAIT)
        uv_run(blobs->loop, UV_RUN_ONCE);
    must(state == WISP_WRPC_READING_FAILED ? -1 : 0, &err);
    return state;
}

static const char *status_text(struct blobs *blobs, struct wisp_wrpc_reader *reader)
{
    struct status status;
    if (next(blobs, reader, &status) != WISP_WRPC_READING_ITEM) exit(1);
    wisp_wrpc_reader_close(reader);
    return status.is_error ? wisp_arena_cstr(&blobs->arena, status.text) : "ok";
}

static void call_list(struct blobs *blobs, struct wisp_str id, uint64_t limit)
{
    struct list_args args = {WISP_STR("c"), {1, limit}, {0, 0}};
    struct result result = call(blobs, id, LIST, &args);
    struct wisp_str name = WISP_STR("nothing");
    unsigned n = 0;
    while (next(blobs, result.ok.stream, &name) == WISP_WRPC_READING_ITEM) n++;
    wisp_wrpc_reader_close(result.ok.stream);
    printf("listed %u to %.*s, %s\n", n, WISP_STR_ARG(name), status_text(blobs, result.ok.status));
}

static void call_get(struct blobs *blobs, struct wisp_str id, uint64_t size)
{
    struct get_args args = {{WISP_STR("c"), WISP_STR("o")}, 1, 1 + size};
    struct result result = call(blobs, id, GET, &args);
    uint64_t got = 0;
    while (!count_bytes(result.ok.stream, &got)) uv_run(blobs->loop, UV_RUN_ONCE);
    wisp_wrpc_reader_close(result.ok.stream);
    printf("got %llu, %s\n", (unsigned long long)got, status_text(blobs, result.ok.status));
}

void blobs_call(struct blobs *blobs, struct wisp_str id)
{
    static const uint64_t sizes[] = {0, 5, 3000000};
    for (size_t i = 0; i < WISP_COUNT(sizes); i++) {
        const struct wisp_type *type = blobs->types[WRITE]->params[1].type;
        struct write_args args = {{WISP_STR("c"), WISP_STR("o")}, send_bytes(type, sizes[i])};
        struct result result = call(blobs, id, WRITE, &args);
        printf("wrote %s\n", status_text(blobs, result.status));
    }
    call_list(blobs, id, 0);
    call_list(blobs, id, 1000);
    call_get(blobs, id, 0);
    call_get(blobs, id, 3000000);
    struct get_args missing = {{WISP_STR("c"), WISP_STR("missing")}, 0, 1};
    struct result result = call(blobs, id, GET, &missing);
    printf("missing: %.*s\n", WISP_STR_ARG(result.error));
}
