/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/blobstore/guest.h"

#include "capability/kinds.h"
#include "provider/outside.h"

#include <stdlib.h>

enum { NAMES_AT_ONCE_MAX = 10 * 1000 };

/* --- asking --- */

static struct wisp_str text_of(struct wisp_call *call, const struct wisp_err *err)
{
    struct wisp_str text = wisp_arena_str(call->arena, wisp_str_from(err->text));
    return wisp_str_is_utf8(text) ? text : WISP_STR("the blobstore failed");
}

int wisp_blobstore_ask(struct wisp_call *call, enum wisp_blobstore_func func, const void *args, void *result)
{
    struct wisp_err err = {0};
    const struct wisp_provider_interface *interface = &wisp_blobstore_interface;
    int r = wisp_outside_call(call, interface, &interface->funcs[func], args, result, &err);
    if (r == WISP_OUTSIDE_FAILED)
        *(struct wisp_blobstore_result *)result = (struct wisp_blobstore_result){1, text_of(call, &err)};
    return r == WISP_OUTSIDE_FAILED ? 0 : r;
}

static void on_ready(struct wisp_wrpc_reader *reader, void *env)
{
    (void)reader;
    wisp_instance_wake(env);
}

void wisp_blobstore_wake_by(struct wisp_call *call, struct wisp_wrpc_reader *reader)
{
    wisp_wrpc_reader_on_ready(reader, on_ready, call->instance);
}

int wisp_blobstore_await(struct wisp_call *call, struct wisp_wrpc_reader *status,
                         struct wisp_blobstore_result *ret_result)
{
    struct wisp_err err = {0};
    enum wisp_wrpc_reading reading;
    int r = 0;
    wisp_blobstore_wake_by(call, status);
    while ((reading = wisp_wrpc_reader_next(status, call->arena, ret_result, &err)) == WISP_WRPC_READING_WAIT && r == 0)
        r = wisp_call_suspend(call);
    wisp_wrpc_reader_close(status);
    if (r == 0 && reading != WISP_WRPC_READING_ITEM)
        *ret_result = (struct wisp_blobstore_result){1, text_of(call, &err)};
    return r;
}

/* --- containers --- */

struct container {
    struct wisp_str name; /* behind the struct */
};
struct self_args {
    const struct container *self;
};
struct object_args {
    const struct container *self;
    struct wisp_str name;
};
struct open_result {
    uint32_t is_err;
    union {
        struct container *ok;
        struct wisp_str error;
    };
};

static void drop_container(void *rep, void *context)
{
    (void)context;
    free(rep);
}

static struct container *container_new(struct wisp_str name)
{
    struct container *container = wisp_mem_alloc(sizeof *container + name.len);
    if (name.len) memcpy(container + 1, name.ptr, name.len);
    container->name = (struct wisp_str){(char *)(container + 1), name.len};
    return container;
}

static struct wisp_blobstore_id id_of(const struct object_args *args)
{
    return (struct wisp_blobstore_id){args->self->name, args->name};
}

static int create_container(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_blobstore_result created;
    /* The guest's memory is not ours to read afterwards. */
    struct wisp_blobstore_name_args name = {wisp_arena_str(call->arena, *(const struct wisp_str *)args)};
    int r = wisp_blobstore_ask(call, WISP_BLOBSTORE_CREATE_CONTAINER, &name, &created);
    if (r < 0) return r;
    *(struct open_result *)result = created.is_err ? (struct open_result){.is_err = 1, .error = created.error}
                                                   : (struct open_result){.ok = container_new(name.name)};
    return 0;
}

static int get_container(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_blobstore_bool_result found;
    struct wisp_blobstore_name_args name = {wisp_arena_str(call->arena, *(const struct wisp_str *)args)};
    int r = wisp_blobstore_ask(call, WISP_BLOBSTORE_CONTAINER_EXISTS, &name, &found);
    if (r < 0) return r;
    if (!found.is_err && !found.ok) {
        found.is_err = 1;
        found.error = WISP_STR("container does not exist");
    }
    *(struct open_result *)result = found.is_err ? (struct open_result){.is_err = 1, .error = found.error}
                                                 : (struct open_result){.ok = container_new(name.name)};
    return 0;
}

#define PASS_ON(function, func)                                                                                        \
    static int function(struct wisp_call *call, const void *args, void *result)                                        \
    {                                                                                                                  \
        return wisp_blobstore_ask(call, func, args, result);                                                           \
    }
PASS_ON(delete_container, WISP_BLOBSTORE_DELETE_CONTAINER)
PASS_ON(container_exists, WISP_BLOBSTORE_CONTAINER_EXISTS)
PASS_ON(copy_object, WISP_BLOBSTORE_COPY_OBJECT)
PASS_ON(move_object, WISP_BLOBSTORE_MOVE_OBJECT)

struct name_result {
    uint32_t is_err;
    struct wisp_str text;
};

static int container_name(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    *(struct name_result *)result = (struct name_result){0, ((const struct self_args *)args)->self->name};
    return 0;
}

struct info_result {
    uint32_t is_err;
    union {
        struct {
            struct wisp_str name;
            uint64_t created_at;
        } ok;
        struct wisp_str error;
    };
};

static int container_info(struct wisp_call *call, const void *args, void *result)
{
    const struct container *self = ((const struct self_args *)args)->self;
    struct wisp_blobstore_name_args name = {self->name};
    struct wisp_blobstore_container_result info;
    struct info_result *given = result;
    int r = wisp_blobstore_ask(call, WISP_BLOBSTORE_GET_CONTAINER_INFO, &name, &info);
    if (r < 0) return r;
    *given = (struct info_result){.is_err = info.is_err};
    if (info.is_err)
        given->error = info.error;
    else
        given->ok.name = self->name, given->ok.created_at = info.created_at;
    return 0;
}

static int clear(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_blobstore_name_args name = {((const struct self_args *)args)->self->name};
    return wisp_blobstore_ask(call, WISP_BLOBSTORE_CLEAR_CONTAINER, &name, result);
}

/* --- objects --- */

struct object_info_result {
    uint32_t is_err;
    union {
        struct {
            struct wisp_str name, container;
            uint64_t created_at, size;
        } ok;
        struct wisp_str error;
    };
};

static int object_info(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_blobstore_id_args id = {id_of(args)};
    struct wisp_blobstore_object_result info;
    struct object_info_result *given = result;
    id.id.object = wisp_arena_str(call->arena, id.id.object);
    int r = wisp_blobstore_ask(call, WISP_BLOBSTORE_GET_OBJECT_INFO, &id, &info);
    if (r < 0) return r;
    *given = (struct object_info_result){.is_err = info.is_err};
    if (info.is_err) {
        given->error = info.error;
        return 0;
    }
    given->ok.name = id.id.object;
    given->ok.container = id.id.container;
    given->ok.created_at = info.ok.created_at;
    given->ok.size = info.ok.size;
    return 0;
}

static int has_object(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_blobstore_id_args id = {id_of(args)};
    return wisp_blobstore_ask(call, WISP_BLOBSTORE_HAS_OBJECT, &id, result);
}

static int delete_object(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_blobstore_id_args id = {id_of(args)};
    return wisp_blobstore_ask(call, WISP_BLOBSTORE_DELETE_OBJECT, &id, result);
}

struct objects_args {
    const struct container *self;
    struct wisp_blobstore_names names;
};

static int delete_objects(struct wisp_call *call, const void *args, void *result)
{
    const struct objects_args *given = args;
    struct wisp_blobstore_objects_args wire = {given->self->name, given->names};
    return wisp_blobstore_ask(call, WISP_BLOBSTORE_DELETE_OBJECTS, &wire, result);
}

/* --- data --- */

struct get_args {
    const struct container *self;
    struct wisp_str name;
    uint64_t start, end;
};
struct get_result {
    uint32_t is_err;
    union {
        struct wisp_blobstore_incoming *ok;
        struct wisp_str error;
    };
};

static int get_data(struct wisp_call *call, const void *args, void *result)
{
    const struct get_args *given = args;
    struct get_result *got = result;
    struct wisp_blobstore_stream_result stream;
    struct wisp_blobstore_data_args wire = {
        {given->self->name, wisp_arena_str(call->arena, given->name)}, given->start, given->end};
    int r = wisp_blobstore_ask(call, WISP_BLOBSTORE_GET_CONTAINER_DATA, &wire, &stream);
    if (r < 0) return r;
    *got = (struct get_result){.is_err = stream.is_err};
    if (stream.is_err)
        got->error = stream.error;
    else
        got->ok = wisp_blobstore_incoming_new(call, &wire, stream.ok.data, stream.ok.status);
    return 0;
}

struct write_args {
    const struct container *self;
    struct wisp_str name;
    struct wisp_blobstore_outgoing *data;
};

static int write_data(struct wisp_call *call, const void *args, void *result)
{
    const struct write_args *given = args;
    return wisp_blobstore_outgoing_give(call, given->data, (struct wisp_blobstore_id){given->self->name, given->name},
                                        result);
}

/* --- lists --- */

struct names { /* stream-object-names */
    struct wisp_wrpc_reader *data, *status;
    bool is_over;
};
struct list_result {
    uint32_t is_err;
    union {
        struct names *ok;
        struct wisp_str error;
    };
};

static void drop_names(void *rep, void *context)
{
    struct names *names = rep;
    (void)context;
    wisp_wrpc_reader_close(names->data);
    wisp_wrpc_reader_close(names->status);
    free(names);
}

static int list_objects(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_blobstore_list_args wire = {.name = ((const struct self_args *)args)->self->name};
    struct wisp_blobstore_stream_result stream;
    struct list_result *list = result;
    int r = wisp_blobstore_ask(call, WISP_BLOBSTORE_LIST_CONTAINER_OBJECTS, &wire, &stream);
    if (r < 0) return r;
    *list = (struct list_result){.is_err = stream.is_err};
    if (stream.is_err) {
        list->error = stream.error;
        return 0;
    }
    list->ok = wisp_mem_calloc(1, sizeof *list->ok);
    list->ok->data = stream.ok.data;
    list->ok->status = stream.ok.status;
    wisp_blobstore_wake_by(call, list->ok->data);
    return 0;
}

struct names_args {
    struct names *self;
    uint64_t len;
};

/* `list` NULL: only counts. Up to `max` names, fewer only at the end. */
static int take_names(struct wisp_call *call, struct names *names, struct wisp_str *list, uint64_t max, uint64_t *ret_n,
                      struct wisp_blobstore_result *ret_failure)
{
    WISP_CLEANUP_ARENA struct wisp_arena skipped = {0};
    struct wisp_str name;
    struct wisp_err err = {0};
    *ret_n = 0;
    *ret_failure = (struct wisp_blobstore_result){0};
    while (*ret_n < max && !names->is_over) {
        enum wisp_wrpc_reading reading = wisp_wrpc_reader_next(names->data, list ? call->arena : &skipped, &name, &err);
        int r = 0;
        if (reading == WISP_WRPC_READING_ITEM && list) list[*ret_n] = name;
        if (reading == WISP_WRPC_READING_ITEM && !list) wisp_arena_reset(&skipped);
        if (reading == WISP_WRPC_READING_ITEM) ++*ret_n;
        if (reading == WISP_WRPC_READING_WAIT) r = wisp_call_suspend(call);
        if (reading == WISP_WRPC_READING_END || reading == WISP_WRPC_READING_FAILED) {
            names->is_over = true;
            r = wisp_blobstore_await(call, WISP_TAKE(names->status), ret_failure);
            if (r == 0 && reading == WISP_WRPC_READING_FAILED && !ret_failure->is_err)
                *ret_failure = (struct wisp_blobstore_result){1, text_of(call, &err)};
        }
        if (r < 0) return r;
    }
    return 0;
}

struct read_result {
    uint32_t is_err;
    union {
        struct {
            struct wisp_blobstore_names names;
            bool is_over;
        } ok;
        struct wisp_str error;
    };
};

static int read_names(struct wisp_call *call, const void *args, void *result)
{
    const struct names_args *given = args;
    struct read_result *read = result;
    struct wisp_blobstore_result failure;
    uint64_t max = given->len < NAMES_AT_ONCE_MAX ? given->len : NAMES_AT_ONCE_MAX, n;
    struct wisp_str *list = WISP_NEW_ARRAY(call->arena, struct wisp_str, (size_t)max);
    int r = take_names(call, given->self, list, max, &n, &failure);
    if (r < 0) return r;
    *read = (struct read_result){.is_err = failure.is_err};
    if (failure.is_err) {
        read->error = failure.error;
        return 0;
    }
    read->ok.names = (struct wisp_blobstore_names){list, (size_t)n};
    read->ok.is_over = given->self->is_over;
    return 0;
}

struct skip_result {
    uint32_t is_err;
    union {
        struct {
            uint64_t n;
            bool is_over;
        } ok;
        struct wisp_str error;
    };
};

static int skip_names(struct wisp_call *call, const void *args, void *result)
{
    const struct names_args *given = args;
    struct skip_result *skipped = result;
    struct wisp_blobstore_result failure;
    uint64_t n;
    int r = take_names(call, given->self, NULL, given->len, &n, &failure);
    if (r < 0) return r;
    *skipped = (struct skip_result){.is_err = failure.is_err};
    if (failure.is_err) {
        skipped->error = failure.error;
        return 0;
    }
    skipped->ok.n = n;
    skipped->ok.is_over = given->self->is_over;
    return 0;
}

/* --- the interfaces --- */

#define SELF "(borrow<container>) -> "
#define SELF_NAME "(borrow<container>, string) -> "
#define CONTAINER "[method]container."
#define NAMES "[method]stream-object-names."

static const struct wisp_host_func blobstore_funcs[] = {
    {"create-container", "(string) -> result<own<container>, string>", create_container,
     WISP_HOST_SIZES(struct wisp_blobstore_name_args, struct open_result)},
    {"get-container", "(string) -> result<own<container>, string>", get_container,
     WISP_HOST_SIZES(struct wisp_blobstore_name_args, struct open_result)},
    {"delete-container", "(string) -> result<_, string>", delete_container,
     WISP_HOST_SIZES(struct wisp_blobstore_name_args, struct wisp_blobstore_result)},
    {"container-exists", "(string) -> result<bool, string>", container_exists,
     WISP_HOST_SIZES(struct wisp_blobstore_name_args, struct wisp_blobstore_bool_result)},
    {"copy-object", "(object-id, object-id) -> result<_, string>", copy_object,
     WISP_HOST_SIZES(struct wisp_blobstore_ids_args, struct wisp_blobstore_result)},
    {"move-object", "(object-id, object-id) -> result<_, string>", move_object,
     WISP_HOST_SIZES(struct wisp_blobstore_ids_args, struct wisp_blobstore_result)},
};

static const struct wisp_host_func container_funcs[] = {
    {CONTAINER "name", SELF "result<string, string>", container_name,
     WISP_HOST_SIZES(struct self_args, struct name_result)},
    {CONTAINER "info", SELF "result<container-metadata, string>", container_info,
     WISP_HOST_SIZES(struct self_args, struct info_result)},
    {CONTAINER "get-data", "(borrow<container>, string, u64, u64) -> result<own<incoming-value>, string>", get_data,
     WISP_HOST_SIZES(struct get_args, struct get_result)},
    {CONTAINER "write-data", "(borrow<container>, string, borrow<outgoing-value>) -> result<_, string>", write_data,
     WISP_HOST_SIZES(struct write_args, struct wisp_blobstore_result)},
    {CONTAINER "list-objects", SELF "result<own<stream-object-names>, string>", list_objects,
     WISP_HOST_SIZES(struct self_args, struct list_result)},
    {CONTAINER "delete-object", SELF_NAME "result<_, string>", delete_object,
     WISP_HOST_SIZES(struct object_args, struct wisp_blobstore_result)},
    {CONTAINER "delete-objects", "(borrow<container>, list<string>) -> result<_, string>", delete_objects,
     WISP_HOST_SIZES(struct objects_args, struct wisp_blobstore_result)},
    {CONTAINER "has-object", SELF_NAME "result<bool, string>", has_object,
     WISP_HOST_SIZES(struct object_args, struct wisp_blobstore_bool_result)},
    {CONTAINER "object-info", SELF_NAME "result<object-metadata, string>", object_info,
     WISP_HOST_SIZES(struct object_args, struct object_info_result)},
    {CONTAINER "clear", SELF "result<_, string>", clear,
     WISP_HOST_SIZES(struct self_args, struct wisp_blobstore_result)},
    {NAMES "read-stream-object-names",
     "(borrow<stream-object-names>, u64) -> result<tuple<list<string>, bool>, string>", read_names,
     WISP_HOST_SIZES(struct names_args, struct read_result)},
    {NAMES "skip-stream-object-names", "(borrow<stream-object-names>, u64) -> result<tuple<u64, bool>, string>",
     skip_names, WISP_HOST_SIZES(struct names_args, struct skip_result)},
};

static const char *const types[] = {
    "object-id = record{string, string}",
    "container-metadata = record{string, u64}",
    "object-metadata = record{string, string, u64, u64}",
    NULL,
};
static const struct wisp_host_resource resources[] = {
    {.name = "container", .drop = drop_container},
    {.name = "stream-object-names", .drop = drop_names},
};

const struct wisp_host_interface wisp_blobstore_guest_blobstore = {
    .name = "wasi:blobstore/blobstore",
    .version = "0.2.0-draft",
    .funcs = blobstore_funcs,
    .n_funcs = WISP_COUNT(blobstore_funcs),
    .types = types,
};

const struct wisp_host_interface wisp_blobstore_guest_container = {
    .name = "wasi:blobstore/container",
    .version = "0.2.0-draft",
    .funcs = container_funcs,
    .n_funcs = WISP_COUNT(container_funcs),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
    .types = types,
};
