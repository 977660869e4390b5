/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of the wire interface: parameters to an operation of the link's store, its outcome to a result. */
#include "capability/blobstore/store.h"

#include <stdlib.h>

enum { NAMES_MAX = 100 * 1000 }; /* of one call */

/* --- results --- */

static void answer_error(struct wisp_provider_call *call, const char *text)
{
    /* All results begin alike, and every one has a text as error. */
    union {
        struct wisp_blobstore_result plain;
        struct wisp_blobstore_object_result object;
        struct wisp_blobstore_stream_result stream;
    } result = {0};
    result.plain = (struct wisp_blobstore_result){1, wisp_str_from(text)};
    wisp_provider_return(call, &result);
}
_Static_assert(
    offsetof(struct wisp_blobstore_result, error) == offsetof(struct wisp_blobstore_object_result, error) &&
        offsetof(struct wisp_blobstore_result, error) == offsetof(struct wisp_blobstore_stream_result, error) &&
        offsetof(struct wisp_blobstore_result, error) == offsetof(struct wisp_blobstore_bool_result, error) &&
        offsetof(struct wisp_blobstore_result, error) == offsetof(struct wisp_blobstore_container_result, error) &&
        offsetof(struct wisp_blobstore_result, error) == offsetof(struct wisp_blobstore_write_result, error),
    "errors are at the same place");

/* Of version 0.1.0. */
static bool is_old(const struct wisp_provider_call *call)
{
    const struct wisp_provider_func *old = wisp_blobstore_interface_1.funcs;
    return call->func >= old && call->func < old + WISP_BLOBSTORE_N_FUNCS;
}

enum wisp_blobstore_func wisp_blobstore_func_of(const struct wisp_provider_call *call)
{
    const struct wisp_provider_interface *interface =
        is_old(call) ? &wisp_blobstore_interface_1 : &wisp_blobstore_interface;
    return (enum wisp_blobstore_func)(call->func - interface->funcs);
}

static void answer(struct wisp_blobstore_op *op)
{
    switch (wisp_blobstore_func_of(op->call)) {
    case WISP_BLOBSTORE_CONTAINER_EXISTS:
    case WISP_BLOBSTORE_HAS_OBJECT:
        wisp_provider_return(op->call, &(struct wisp_blobstore_bool_result){.ok = op->exists});
        return;
    case WISP_BLOBSTORE_GET_CONTAINER_INFO:
        wisp_provider_return(op->call, &(struct wisp_blobstore_container_result){.created_at = op->created_at});
        return;
    case WISP_BLOBSTORE_GET_OBJECT_INFO:
        wisp_provider_return(op->call, &(struct wisp_blobstore_object_result){.ok = {op->created_at, op->size}});
        return;
    default:
        wisp_provider_return(op->call, &(struct wisp_blobstore_result){0});
    }
}

static void op_free(struct wisp_blobstore_op *op)
{
    wisp_wrpc_reader_close(op->data);
    wisp_arena_deinit(&op->arena);
    free(op);
}

void wisp_blobstore_done(struct wisp_blobstore_op *op, const struct wisp_err *err)
{
    op->call->on_cancel = NULL;
    if (err)
        answer_error(op->call, err->text);
    else
        answer(op);
    op_free(op);
}

/* --- streams --- */

static const struct wisp_type *ok_type(const struct wisp_blobstore_op *op)
{
    return op->call->type->result->fields[0].type;
}

struct wisp_blobstore_download *wisp_blobstore_download_new(struct wisp_blobstore_op *op)
{
    struct wisp_blobstore_download *download = wisp_mem_calloc(1, sizeof *download);
    const struct wisp_type *ok = ok_type(op);
    wisp_ring_append(&op->store->downloads, &download->link);
    op->call->on_cancel = NULL;
    if (is_old(op->call)) {
        download->data = wisp_wrpc_writer_new(ok);
        struct wisp_blobstore_stream_1_result result = {.data = download->data};
        wisp_provider_return(op->call, &result);
    } else {
        download->data = wisp_wrpc_writer_new(ok->fields[0].type);
        download->status = wisp_wrpc_writer_new(ok->fields[1].type);
        struct wisp_blobstore_stream_result result = {.ok = {download->data, download->status}};
        wisp_provider_return(op->call, &result);
    }
    op_free(op);
    return download;
}

size_t wisp_blobstore_download_room(const struct wisp_blobstore_download *download)
{
    return wisp_wrpc_writer_room(download->data);
}

bool wisp_blobstore_download_is_unwanted(const struct wisp_blobstore_download *download)
{
    return wisp_wrpc_writer_is_closed(download->data);
}

static void on_room(struct wisp_wrpc_writer *writer, void *env)
{
    struct wisp_blobstore_download *download = env;
    (void)writer;
    download->on_room(download);
}

void wisp_blobstore_download_start(struct wisp_blobstore_download *download)
{
    wisp_wrpc_writer_on_room(download->data, on_room, download);
}

static void put_status(struct wisp_wrpc_writer *status, const struct wisp_err *err)
{
    struct wisp_blobstore_result result = {0};
    struct wisp_err ignored;
    if (err) result = (struct wisp_blobstore_result){1, wisp_str_from(err->text)};
    if (wisp_wrpc_writer_put(status, &result, &ignored) < 0)
        wisp_wrpc_writer_abort(status);
    else
        wisp_wrpc_writer_end(status);
}

void wisp_blobstore_download_end(struct wisp_blobstore_download *download, const struct wisp_err *err)
{
    wisp_ring_remove(&download->link);
    if (err)
        wisp_wrpc_writer_abort(download->data);
    else
        wisp_wrpc_writer_end(download->data);
    if (download->status) put_status(download->status, err);
    free(download);
}

static int check_written(struct wisp_blobstore_download *download, int r, const struct wisp_err *err)
{
    if (r < 0) wisp_blobstore_download_end(download, err);
    return r;
}

int wisp_blobstore_download_write(struct wisp_blobstore_download *download, struct wisp_str bytes)
{
    struct wisp_err err = {0};
    return check_written(download, wisp_wrpc_writer_write(download->data, bytes, &err), &err);
}

int wisp_blobstore_download_put(struct wisp_blobstore_download *download, struct wisp_str name)
{
    struct wisp_err err = {0};
    return check_written(download, wisp_wrpc_writer_put(download->data, &name, &err), &err);
}

static void on_ready(struct wisp_wrpc_reader *reader, void *env)
{
    struct wisp_blobstore_upload *upload = env;
    (void)reader;
    upload->on_ready(upload);
}

/* Nobody waits for the answer any more: the upload breaks off. */
static void on_upload_cancel(struct wisp_provider_call *call)
{
    struct wisp_blobstore_upload *upload = call->user;
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_CANCELLED, "the call was cancelled");
    upload->on_abort(upload);
    wisp_blobstore_upload_end(upload, &err);
}

struct wisp_blobstore_upload *wisp_blobstore_upload_new(struct wisp_blobstore_op *op)
{
    struct wisp_blobstore_upload *upload = wisp_mem_calloc(1, sizeof *upload);
    upload->data = WISP_TAKE(op->data);
    wisp_ring_append(&op->store->uploads, &upload->link);
    if (is_old(op->call)) {
        upload->call = op->call;
        upload->call->user = upload;
        upload->call->on_cancel = on_upload_cancel;
        op_free(op);
        return upload;
    }
    upload->status = wisp_wrpc_writer_new(ok_type(op));
    struct wisp_blobstore_write_result result = {.status = upload->status};
    op->call->on_cancel = NULL;
    wisp_provider_return(op->call, &result);
    op_free(op);
    return upload;
}

void wisp_blobstore_upload_start(struct wisp_blobstore_upload *upload)
{
    wisp_wrpc_reader_on_ready(upload->data, on_ready, upload);
}

void wisp_blobstore_upload_end(struct wisp_blobstore_upload *upload, const struct wisp_err *err)
{
    wisp_ring_remove(&upload->link);
    wisp_wrpc_reader_close(upload->data);
    if (upload->status) {
        put_status(upload->status, err);
    } else {
        struct wisp_blobstore_result result = {0};
        if (err) result = (struct wisp_blobstore_result){1, wisp_str_from(err->text)};
        upload->call->on_cancel = NULL;
        wisp_provider_return(upload->call, &result);
    }
    free(upload);
}

/* --- a store --- */

void wisp_blobstore_store_init(struct wisp_blobstore_store *store, const struct wisp_blobstore_ops *ops)
{
    store->ops = ops;
    wisp_ring_init(&store->downloads);
    wisp_ring_init(&store->uploads);
}

void wisp_blobstore_store_abort(struct wisp_blobstore_store *store, const char *text)
{
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "%s", text);
    WISP_RING_EACH(at, &store->downloads)
    {
        struct wisp_blobstore_download *download = WISP_OWNER(at, struct wisp_blobstore_download, link);
        download->on_abort(download);
        wisp_blobstore_download_end(download, &err);
    }
    WISP_RING_EACH(at, &store->uploads)
    {
        struct wisp_blobstore_upload *upload = WISP_OWNER(at, struct wisp_blobstore_upload, link);
        upload->on_abort(upload);
        wisp_blobstore_upload_end(upload, &err);
    }
}

/* --- calls --- */

static void on_cancel(struct wisp_provider_call *call)
{
    struct wisp_blobstore_op *op = call->user;
    if (op->on_cancel) op->on_cancel(op);
}

static struct wisp_blobstore_op *op_new(struct wisp_provider_call *call)
{
    struct wisp_blobstore_op *op = wisp_mem_calloc(1, sizeof *op);
    op->call = call;
    call->user = op;
    call->on_cancel = on_cancel;
    return op;
}

static void start(struct wisp_blobstore_op *op)
{
    struct wisp_provider_call *call = op->call;
    struct wisp_err err = {0};
    if (call->link) {
        op->store = call->link->state;
        op->store->ops->run[wisp_blobstore_func_of(call)](op);
        return;
    }
    wisp_err_set(&err, WISP_ERR_NOT_FOUND, "there is no link `%.*s` from `%.*s`", WISP_STR_ARG(call->link_name),
                 WISP_STR_ARG(call->source_id));
    wisp_blobstore_done(op, &err);
}

static void refuse(struct wisp_blobstore_op *op, const char *text)
{
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_INVALID, "%s", text);
    wisp_blobstore_done(op, &err);
}

static struct wisp_blobstore_id copy_id(struct wisp_blobstore_op *op, struct wisp_blobstore_id id)
{
    return (struct wisp_blobstore_id){wisp_arena_str(&op->arena, id.container), wisp_arena_str(&op->arena, id.object)};
}

static void call_name(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_blobstore_name_args *a = args;
    struct wisp_blobstore_op *op = op_new(call);
    op->id.container = wisp_arena_str(&op->arena, a->name);
    start(op);
}

static void call_list(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_blobstore_list_args *a = args;
    struct wisp_blobstore_op *op = op_new(call);
    op->id.container = wisp_arena_str(&op->arena, a->name);
    op->start = a->offset.is_some ? a->offset.value : 0;
    uint64_t limit = a->limit.is_some ? a->limit.value : UINT64_MAX;
    op->end = limit > UINT64_MAX - op->start ? UINT64_MAX : op->start + limit;
    start(op);
}

static void call_ids(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_blobstore_ids_args *a = args;
    struct wisp_blobstore_op *op = op_new(call);
    op->id = copy_id(op, a->source);
    op->target = copy_id(op, a->target);
    start(op);
}

static void call_id(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_blobstore_id_args *a = args;
    struct wisp_blobstore_op *op = op_new(call);
    op->id = copy_id(op, a->id);
    start(op);
}

static void call_objects(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_blobstore_objects_args *a = args;
    struct wisp_blobstore_op *op = op_new(call);
    if (a->objects.len > NAMES_MAX) {
        refuse(op, "too many objects in one call");
        return;
    }
    struct wisp_str *names = WISP_NEW_ARRAY(&op->arena, struct wisp_str, a->objects.len);
    for (size_t i = 0; i < a->objects.len; i++) names[i] = wisp_arena_str(&op->arena, a->objects.ptr[i]);
    op->id.container = wisp_arena_str(&op->arena, a->container);
    op->objects = (struct wisp_blobstore_names){names, a->objects.len};
    start(op);
}

static void call_data(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_blobstore_data_args *a = args;
    struct wisp_blobstore_op *op = op_new(call);
    op->id = copy_id(op, a->id);
    op->start = a->start;
    op->end = a->end;
    if (a->end < a->start)
        refuse(op, "the range ends before it starts");
    else
        start(op);
}

static void call_write(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_blobstore_write_args *a = args;
    struct wisp_blobstore_op *op = op_new(call);
    op->id = copy_id(op, a->id);
    op->data = a->data;
    start(op);
}

/* --- the interface --- */

#define NAME "(string) -> "
#define ID "(object-id) -> "
#define SIZES(args, result) WISP_HOST_SIZES(struct wisp_blobstore_##args, struct wisp_blobstore_##result)

/* All of them but the three with streams are the same in both versions. */
#define FUNCS(list_type, list_size, data_type, data_size, write_type, write_size)                                      \
    {                                                                                                                  \
        [WISP_BLOBSTORE_CLEAR_CONTAINER] = {"clear-container", NAME "result<_, string>", call_name,                    \
                                            SIZES(name_args, result)},                                                 \
        [WISP_BLOBSTORE_CONTAINER_EXISTS] = {"container-exists", NAME "result<bool, string>", call_name,               \
                                             SIZES(name_args, bool_result)},                                           \
        [WISP_BLOBSTORE_CREATE_CONTAINER] = {"create-container", NAME "result<_, string>", call_name,                  \
                                             SIZES(name_args, result)},                                                \
        [WISP_BLOBSTORE_DELETE_CONTAINER] = {"delete-container", NAME "result<_, string>", call_name,                  \
                                             SIZES(name_args, result)},                                                \
        [WISP_BLOBSTORE_GET_CONTAINER_INFO] = {"get-container-info", NAME "result<container-metadata, string>",        \
                                               call_name, SIZES(name_args, container_result)},                         \
        [WISP_BLOBSTORE_LIST_CONTAINER_OBJECTS] = {"list-container-objects",                                           \
                                                   "(string, option<u64>, option<u64>) -> result<" list_type           \
                                                   ", string>",                                                        \
                                                   call_list, SIZES(list_args, list_size)},                            \
        [WISP_BLOBSTORE_COPY_OBJECT] = {"copy-object", "(object-id, object-id) -> result<_, string>", call_ids,        \
                                        SIZES(ids_args, result)},                                                      \
        [WISP_BLOBSTORE_DELETE_OBJECT] = {"delete-object", ID "result<_, string>", call_id, SIZES(id_args, result)},   \
        [WISP_BLOBSTORE_DELETE_OBJECTS] = {"delete-objects", "(string, list<string>) -> result<_, string>",            \
                                           call_objects, SIZES(objects_args, result)},                                 \
        [WISP_BLOBSTORE_GET_CONTAINER_DATA] = {"get-container-data",                                                   \
                                               "(object-id, u64, u64) -> result<" data_type ", string>", call_data,    \
                                               SIZES(data_args, data_size)},                                           \
        [WISP_BLOBSTORE_GET_OBJECT_INFO] = {"get-object-info", ID "result<object-metadata, string>", call_id,          \
                                            SIZES(id_args, object_result)},                                            \
        [WISP_BLOBSTORE_HAS_OBJECT] = {"has-object", ID "result<bool, string>", call_id, SIZES(id_args, bool_result)}, \
        [WISP_BLOBSTORE_MOVE_OBJECT] = {"move-object", "(object-id, object-id) -> result<_, string>", call_ids,        \
                                        SIZES(ids_args, result)},                                                      \
        [WISP_BLOBSTORE_WRITE_CONTAINER_DATA] = {"write-container-data",                                               \
                                                 "(object-id, stream<u8>) -> result<" write_type ", string>",          \
                                                 call_write, SIZES(write_args, write_size)},                           \
    }

static const struct wisp_provider_func funcs[] =
    FUNCS("tuple<stream<string>, future<result<_, string>>>", stream_result,
          "tuple<stream<u8>, future<result<_, string>>>", stream_result, "future<result<_, string>>", write_result);
static const struct wisp_provider_func funcs_1[] =
    FUNCS("stream<string>", stream_1_result, "stream<u8>", stream_1_result, "_", result);

static const char *const types[] = {
    "object-id = record{string, string}",
    "container-metadata = record{u64}",
    "object-metadata = record{u64, u64}",
    NULL,
};

const struct wisp_provider_interface wisp_blobstore_interface = {
    .name = "wrpc:blobstore/blobstore@0.2.0",
    .link_interface = "wasi:blobstore/blobstore",
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .types = types,
};

const struct wisp_provider_interface wisp_blobstore_interface_1 = {
    .name = "wrpc:blobstore/blobstore@0.1.0",
    .link_interface = "wasi:blobstore/blobstore",
    .funcs = funcs_1,
    .n_funcs = WISP_COUNT(funcs_1),
    .types = types,
};

const struct wisp_provider_interface *const wisp_blobstore_exports[] = {&wisp_blobstore_interface,
                                                                        &wisp_blobstore_interface_1};
_Static_assert(WISP_COUNT(wisp_blobstore_exports) == WISP_BLOBSTORE_EXPORT_COUNT, "all of them");
