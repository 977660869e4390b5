/* SPDX-License-Identifier: Apache-2.0 */
/* A kind of blobstore in this process, called as the worker does; and what every kind must do. */
#pragma once

#include "capability/blobstore/blobstore.h"
#include "capability/kinds.h"
#include "provider/runtime.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

/* Under ASan freed memory is kept for a while: little of it, so that what a test needs can be told. */
const char *__asan_default_options(void);
__attribute__((used, visibility("default"))) const char *__asan_default_options(void) { return "quarantine_size_mb=4"; }

struct rig {
    uv_loop_t loop;
    struct wisp_provider *provider;
    struct wisp_err err;
    bool is_closed;
};

static inline void rig_link(struct rig *rig, const char *source, const char *config, int expected)
{
    json_t *target_config = json_loads(config, 0, NULL);
    CHECK(target_config);
    json_t *link = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[s], s:{}, s:o}", "source_id", source, "target", "store",
                             "name", "default", "wit_namespace", "wasi", "wit_package", "blobstore", "interfaces",
                             "blobstore", "source_config", "target_config", target_config);
    CHECK(link);
    int r = wisp_provider_put_link(rig->provider, link, &rig->err);
    if (r != expected) wisp_test_fail(__FILE__, __LINE__, "put_link returned %d: %s", r, rig->err.text);
    json_decref(link);
}

static inline void rig_open(struct rig *rig, const struct wisp_provider_kind *kind, const char *data_path)
{
    *rig = (struct rig){0};
    CHECK_INT(uv_loop_init(&rig->loop), 0);
    struct wisp_provider_options options = {.kind = kind,
                                            .id = "store",
                                            .lattice = "default",
                                            .host_id = "NHOST",
                                            .loop = &rig->loop,
                                            .data_path = data_path,
                                            .is_first = true};
    CHECK_OK(wisp_provider_new(&rig->provider, &options, &rig->err), &rig->err);
}

static inline void rig_on_closed(void *env) { *(bool *)env = true; }

static inline void rig_close(struct rig *rig)
{
    wisp_provider_close(rig->provider, rig_on_closed, &rig->is_closed);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    CHECK(rig->is_closed);
    CHECK_INT(uv_loop_close(&rig->loop), 0);
}

/* --- one call --- */

union rig_result {
    struct wisp_blobstore_result plain;
    struct wisp_blobstore_bool_result boolean;
    struct wisp_blobstore_container_result container;
    struct wisp_blobstore_object_result object;
    struct wisp_blobstore_stream_result stream;
    struct wisp_blobstore_write_result write;
};

struct rig_call {
    struct rig *rig;
    const struct wisp_provider_export *export_;
    bool is_done;
    union rig_result result;
    char error[WISP_ERR_TEXT_MAX + 32]; /* of the result or of the transport */
};

static inline void rig_on_return(const void *result, const struct wisp_err *err, void *env)
{
    struct rig_call *call = env;
    call->is_done = true;
    if (err) {
        snprintf(call->error, sizeof call->error, "transport: %s", err->text);
        call->result.plain.is_err = 1;
        return;
    }
    memcpy(&call->result, result, call->export_->func->result_size);
    const struct wisp_blobstore_result *plain = result;
    if (plain->is_err) snprintf(call->error, sizeof call->error, "%.*s", WISP_STR_ARG(plain->error));
}

/* The result's error; "" when there is none. */
static inline const char *rig_call(struct rig *rig, const char *source, enum wisp_blobstore_func func, void *args,
                                   union rig_result *ret_result)
{
    static char error[WISP_ERR_TEXT_MAX + 32];
    struct rig_call call = {.rig = rig};
    struct wisp_provider_caller caller = {wisp_str_from(source), WISP_STR("default"), WISP_STR("")};
    call.export_ = wisp_provider_find(rig->provider, wisp_str_from(wisp_blobstore_interface.name),
                                      wisp_str_from(wisp_blobstore_interface.funcs[func].name));
    CHECK(call.export_);
    wisp_provider_call_start(rig->provider, call.export_, &caller, args, rig_on_return, &call);
    while (!call.is_done) uv_run(&rig->loop, UV_RUN_ONCE);
    *ret_result = call.result;
    memcpy(error, call.error, sizeof error);
    return error;
}

/* --- as programs would write it --- */

static inline const char *container_do(struct rig *rig, enum wisp_blobstore_func func, const char *name)
{
    union rig_result result;
    struct wisp_blobstore_name_args args = {wisp_str_from(name)};
    return rig_call(rig, "app", func, &args, &result);
}

static inline struct wisp_blobstore_id id_of(const char *container, const char *object)
{
    return (struct wisp_blobstore_id){wisp_str_from(container), wisp_str_from(object)};
}

static inline const char *object_do(struct rig *rig, enum wisp_blobstore_func func, const char *container,
                                    const char *object, union rig_result *ret_result)
{
    struct wisp_blobstore_id_args args = {id_of(container, object)};
    return rig_call(rig, "app", func, &args, ret_result);
}

static inline bool exists(struct rig *rig, const char *container, const char *object)
{
    union rig_result result;
    struct wisp_blobstore_name_args name = {wisp_str_from(container)};
    const char *error = object ? object_do(rig, WISP_BLOBSTORE_HAS_OBJECT, container, object, &result)
                               : rig_call(rig, "app", WISP_BLOBSTORE_CONTAINER_EXISTS, &name, &result);
    CHECK_TEXT(error, "");
    return result.boolean.ok;
}

static inline const char *ids_do(struct rig *rig, enum wisp_blobstore_func func, struct wisp_blobstore_id source,
                                 struct wisp_blobstore_id target)
{
    union rig_result result;
    struct wisp_blobstore_ids_args args = {source, target};
    return rig_call(rig, "app", func, &args, &result);
}

/* What a status says; "" when it is good. Closes it. */
static inline const char *status_of(struct rig *rig, struct wisp_wrpc_reader *status)
{
    static char text[WISP_ERR_TEXT_MAX + 32];
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_blobstore_result result;
    struct wisp_err err = {0};
    enum wisp_wrpc_reading reading;
    while ((reading = wisp_wrpc_reader_next(status, &arena, &result, &err)) == WISP_WRPC_READING_WAIT)
        uv_run(&rig->loop, UV_RUN_ONCE);
    text[0] = '\0';
    if (reading != WISP_WRPC_READING_ITEM)
        snprintf(text, sizeof text, "no status: %s", err.text);
    else if (result.is_err)
        snprintf(text, sizeof text, "%.*s", WISP_STR_ARG(result.error));
    wisp_wrpc_reader_close(status);
    return text;
}

static inline const struct wisp_type *data_type(struct rig *rig)
{
    return wisp_provider_find(rig->provider, wisp_str_from(wisp_blobstore_interface.name),
                              WISP_STR("write-container-data"))
        ->type->params[1]
        .type;
}

/* Begins to write; the writer is the caller's, the status NULL when it was refused. */
static inline struct wisp_wrpc_writer *begin_write(struct rig *rig, const char *container, const char *object,
                                                   struct wisp_wrpc_reader **ret_status, const char **ret_error)
{
    union rig_result result;
    struct wisp_wrpc_writer *writer = wisp_wrpc_writer_new(data_type(rig));
    struct wisp_blobstore_write_args args = {id_of(container, object), writer};
    *ret_error = rig_call(rig, "app", WISP_BLOBSTORE_WRITE_CONTAINER_DATA, &args, &result);
    *ret_status = **ret_error ? NULL : result.write.status;
    return writer;
}

/* `size` bytes that are a function of their place. */
static inline void fill(char *bytes, uint64_t at, size_t size)
{
    for (size_t i = 0; i < size; i++) bytes[i] = (char)(((at + i) * 2654435761u) >> 13);
}

static inline bool write_some(struct rig *rig, struct wisp_wrpc_writer *writer, uint64_t from, uint64_t to)
{
    static char bytes[64 * 1024];
    while (from < to) {
        size_t room;
        while ((room = wisp_wrpc_writer_room(writer)) == 0 && !wisp_wrpc_writer_is_closed(writer))
            uv_run(&rig->loop, UV_RUN_ONCE);
        if (wisp_wrpc_writer_is_closed(writer)) return false;
        size_t n = sizeof bytes;
        if (n > room) n = room;
        if (n > to - from) n = (size_t)(to - from);
        fill(bytes, from, n);
        CHECK_OK(wisp_wrpc_writer_write(writer, (struct wisp_str){bytes, n}, &rig->err), &rig->err);
        from += n;
    }
    return true;
}

static inline const char *write_sized(struct rig *rig, const char *container, const char *object, uint64_t size)
{
    struct wisp_wrpc_reader *status;
    const char *error;
    struct wisp_wrpc_writer *writer = begin_write(rig, container, object, &status, &error);
    if (!status) {
        wisp_wrpc_writer_abort(writer);
        return error;
    }
    write_some(rig, writer, 0, size);
    wisp_wrpc_writer_end(writer);
    return status_of(rig, status);
}

static inline const char *write_text(struct rig *rig, const char *container, const char *object, const char *text)
{
    struct wisp_wrpc_reader *status;
    const char *error;
    struct wisp_wrpc_writer *writer = begin_write(rig, container, object, &status, &error);
    if (!status) {
        wisp_wrpc_writer_abort(writer);
        return error;
    }
    CHECK_OK(wisp_wrpc_writer_write(writer, wisp_str_from(text), &rig->err), &rig->err);
    wisp_wrpc_writer_end(writer);
    return status_of(rig, status);
}

static inline const char *begin_get(struct rig *rig, const char *container, const char *object, uint64_t start,
                                    uint64_t end, union rig_result *ret_result)
{
    struct wisp_blobstore_data_args args = {id_of(container, object), start, end};
    return rig_call(rig, "app", WISP_BLOBSTORE_GET_CONTAINER_DATA, &args, ret_result);
}

/* The bytes as text, or the error; valid until the next one. */
static inline const char *get_range(struct rig *rig, const char *container, const char *object, uint64_t start,
                                    uint64_t end)
{
    static struct wisp_buf buf;
    union rig_result result;
    struct wisp_str bytes;
    enum wisp_wrpc_reading reading;
    const char *error = begin_get(rig, container, object, start, end, &result);
    if (*error) return error;
    buf.len = 0;
    while ((reading = wisp_wrpc_reader_peek(result.stream.ok.data, &bytes, &rig->err)) <= WISP_WRPC_READING_ITEM) {
        if (reading == WISP_WRPC_READING_WAIT) {
            uv_run(&rig->loop, UV_RUN_ONCE);
            continue;
        }
        wisp_buf_append_str(&buf, bytes);
        wisp_wrpc_reader_consume(result.stream.ok.data, bytes.len);
    }
    wisp_wrpc_reader_close(result.stream.ok.data);
    wisp_buf_append_char(&buf, '\0');
    error = status_of(rig, result.stream.ok.status);
    if (*error) return error;
    CHECK_INT(reading, WISP_WRPC_READING_END);
    return buf.data;
}

static inline const char *get_text(struct rig *rig, const char *container, const char *object)
{
    return get_range(rig, container, object, 0, UINT64_MAX);
}

/* Reads what write_sized wrote; the number of bytes, all of them right. */
static inline uint64_t get_sized(struct rig *rig, const char *container, const char *object, const char *expected_error)
{
    static char expected[1 << 20];
    union rig_result result;
    struct wisp_str bytes;
    enum wisp_wrpc_reading reading;
    uint64_t at = 0;
    CHECK_TEXT(begin_get(rig, container, object, 0, UINT64_MAX, &result), "");
    while ((reading = wisp_wrpc_reader_peek(result.stream.ok.data, &bytes, &rig->err)) <= WISP_WRPC_READING_ITEM) {
        if (reading == WISP_WRPC_READING_WAIT) {
            uv_run(&rig->loop, UV_RUN_ONCE);
            continue;
        }
        CHECK(bytes.len <= sizeof expected); /* bounded, however slow we are */
        fill(expected, at, bytes.len);
        CHECK(memcmp(expected, bytes.ptr, bytes.len) == 0);
        at += bytes.len;
        wisp_wrpc_reader_consume(result.stream.ok.data, bytes.len);
    }
    wisp_wrpc_reader_close(result.stream.ok.data);
    CHECK_HAS(status_of(rig, result.stream.ok.status), expected_error);
    CHECK_INT(reading, *expected_error ? WISP_WRPC_READING_FAILED : WISP_WRPC_READING_END);
    return at;
}

/* Names joined by blanks, or the error. */
static inline const char *list(struct rig *rig, const char *container, int64_t limit, int64_t offset)
{
    static struct wisp_buf buf;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    union rig_result result;
    struct wisp_str name;
    enum wisp_wrpc_reading reading;
    struct wisp_blobstore_list_args args = {wisp_str_from(container),
                                            {limit >= 0, limit < 0 ? 0 : (uint64_t)limit},
                                            {offset >= 0, offset < 0 ? 0 : (uint64_t)offset}};
    const char *error = rig_call(rig, "app", WISP_BLOBSTORE_LIST_CONTAINER_OBJECTS, &args, &result);
    if (*error) return error;
    buf.len = 0;
    struct wisp_wrpc_reader *names = result.stream.ok.data;
    while ((reading = wisp_wrpc_reader_next(names, &arena, &name, &rig->err)) <= WISP_WRPC_READING_ITEM) {
        if (reading == WISP_WRPC_READING_WAIT) {
            uv_run(&rig->loop, UV_RUN_ONCE);
            continue;
        }
        if (buf.len) wisp_buf_append_char(&buf, ' ');
        wisp_buf_append_str(&buf, name);
    }
    wisp_wrpc_reader_close(names);
    wisp_buf_append_char(&buf, '\0');
    error = status_of(rig, result.stream.ok.status);
    if (*error) return error;
    CHECK_INT(reading, WISP_WRPC_READING_END);
    return buf.data;
}

static inline const char *delete_many(struct rig *rig, const char *container, const struct wisp_str *names, size_t n)
{
    union rig_result result;
    struct wisp_blobstore_objects_args args = {wisp_str_from(container), {names, n}};
    return rig_call(rig, "app", WISP_BLOBSTORE_DELETE_OBJECTS, &args, &result);
}

/* --- what every kind must do, over a link of `app` --- */

static inline void suite_containers(struct rig *rig)
{
    union rig_result result;
    struct wisp_blobstore_name_args one = {WISP_STR("one")};
    CHECK(!exists(rig, "one", NULL));
    CHECK_TEXT(container_do(rig, WISP_BLOBSTORE_CREATE_CONTAINER, "one"), "");
    CHECK_TEXT(container_do(rig, WISP_BLOBSTORE_CREATE_CONTAINER, "one"), "");
    CHECK(exists(rig, "one", NULL));
    CHECK_TEXT(rig_call(rig, "app", WISP_BLOBSTORE_GET_CONTAINER_INFO, &one, &result), "");
    CHECK_HAS(container_do(rig, WISP_BLOBSTORE_GET_CONTAINER_INFO, "nothing"), "`nothing` does not exist");
    CHECK_HAS(container_do(rig, WISP_BLOBSTORE_CLEAR_CONTAINER, "nothing"), "`nothing` does not exist");
    CHECK_HAS(container_do(rig, WISP_BLOBSTORE_DELETE_CONTAINER, "nothing"), "`nothing` does not exist");
    CHECK_HAS(list(rig, "nothing", -1, -1), "`nothing` does not exist");
    CHECK_TEXT(write_text(rig, "one", "x", "1"), "");
    CHECK_TEXT(container_do(rig, WISP_BLOBSTORE_CLEAR_CONTAINER, "one"), "");
    CHECK_TEXT(list(rig, "one", -1, -1), "");
    CHECK_TEXT(write_text(rig, "one", "x", "1"), "");
    CHECK_TEXT(container_do(rig, WISP_BLOBSTORE_DELETE_CONTAINER, "one"), "");
    CHECK(!exists(rig, "one", NULL));
}

static inline void suite_objects(struct rig *rig)
{
    union rig_result result;
    CHECK_TEXT(container_do(rig, WISP_BLOBSTORE_CREATE_CONTAINER, "two"), "");
    CHECK(!exists(rig, "two", "a"));
    CHECK_TEXT(write_text(rig, "two", "a", "hello"), "");
    CHECK_TEXT(write_text(rig, "two", "empty", ""), "");
    CHECK_TEXT(write_text(rig, "two", "deep/er/b c+\xc3\xa4", "nested"), "");
    CHECK(exists(rig, "two", "a") && exists(rig, "two", "deep/er/b c+\xc3\xa4") && !exists(rig, "two", "deep"));
    CHECK_TEXT(get_text(rig, "two", "a"), "hello");
    CHECK_TEXT(get_text(rig, "two", "empty"), "");
    CHECK_TEXT(get_text(rig, "two", "deep/er/b c+\xc3\xa4"), "nested");
    CHECK_TEXT(get_range(rig, "two", "a", 1, 3), "el");
    CHECK_TEXT(get_range(rig, "two", "a", 4, 100), "o");
    CHECK_TEXT(get_range(rig, "two", "a", 2, 2), "");
    CHECK_TEXT(get_range(rig, "two", "a", 5, 6), "");
    CHECK_TEXT(get_range(rig, "two", "a", 50, 60), "");
    CHECK_HAS(get_range(rig, "two", "a", 3, 2), "ends before it starts");
    CHECK_TEXT(object_do(rig, WISP_BLOBSTORE_GET_OBJECT_INFO, "two", "a", &result), "");
    CHECK_INT(result.object.ok.size, 5);
    CHECK_TEXT(write_text(rig, "two", "a", "new"), "");
    CHECK_TEXT(get_text(rig, "two", "a"), "new");
    CHECK_HAS(get_text(rig, "two", "none"), "`none` does not exist");
    CHECK_HAS(object_do(rig, WISP_BLOBSTORE_GET_OBJECT_INFO, "two", "none", &result), "`none` does not exist");
    CHECK_HAS(write_text(rig, "nothing", "a", "x"), "`nothing` does not exist");
    CHECK_TEXT(object_do(rig, WISP_BLOBSTORE_DELETE_OBJECT, "two", "a", &result), "");
    CHECK_TEXT(object_do(rig, WISP_BLOBSTORE_DELETE_OBJECT, "two", "a", &result), "");
    CHECK(!exists(rig, "two", "a"));
}

static inline void suite_copies(struct rig *rig)
{
    CHECK_TEXT(container_do(rig, WISP_BLOBSTORE_CREATE_CONTAINER, "here"), "");
    CHECK_TEXT(container_do(rig, WISP_BLOBSTORE_CREATE_CONTAINER, "there"), "");
    CHECK_TEXT(write_text(rig, "here", "a b", "text"), "");
    CHECK_TEXT(write_text(rig, "there", "b", "old"), "");
    CHECK_TEXT(ids_do(rig, WISP_BLOBSTORE_COPY_OBJECT, id_of("here", "a b"), id_of("there", "b")), "");
    CHECK_TEXT(get_text(rig, "there", "b"), "text");
    CHECK_TEXT(ids_do(rig, WISP_BLOBSTORE_COPY_OBJECT, id_of("here", "a b"), id_of("here", "x/y")), "");
    CHECK_TEXT(get_text(rig, "here", "x/y"), "text");
    CHECK_TEXT(ids_do(rig, WISP_BLOBSTORE_MOVE_OBJECT, id_of("here", "a b"), id_of("there", "c")), "");
    CHECK_TEXT(get_text(rig, "there", "c"), "text");
    CHECK(!exists(rig, "here", "a b"));
    CHECK_HAS(ids_do(rig, WISP_BLOBSTORE_COPY_OBJECT, id_of("here", "none"), id_of("there", "d")), "does not exist");
    CHECK_HAS(ids_do(rig, WISP_BLOBSTORE_MOVE_OBJECT, id_of("here", "none"), id_of("there", "d")), "does not exist");
    CHECK_HAS(ids_do(rig, WISP_BLOBSTORE_COPY_OBJECT, id_of("there", "c"), id_of("nothing", "d")), "does not exist");
}

static inline void suite_lists(struct rig *rig)
{
    struct wisp_str names[3] = {WISP_STR("o1"), WISP_STR("o<&>\""), WISP_STR("not there")};
    CHECK_TEXT(container_do(rig, WISP_BLOBSTORE_CREATE_CONTAINER, "many"), "");
    const char *all[] = {"o3", "o1", "o<&>\"", "o2", "p"};
    for (size_t i = 0; i < WISP_COUNT(all); i++) CHECK_TEXT(write_text(rig, "many", all[i], "x"), "");
    CHECK_TEXT(list(rig, "many", -1, -1), "o1 o2 o3 o<&>\" p");
    CHECK_TEXT(list(rig, "many", 2, -1), "o1 o2");
    CHECK_TEXT(list(rig, "many", 2, 2), "o3 o<&>\"");
    CHECK_TEXT(list(rig, "many", -1, 4), "p");
    CHECK_TEXT(list(rig, "many", 0, -1), "");
    CHECK_TEXT(list(rig, "many", 10, 10), "");
    CHECK_TEXT(delete_many(rig, "many", names, 3), "");
    CHECK_TEXT(list(rig, "many", -1, -1), "o2 o3 p");
    CHECK_TEXT(delete_many(rig, "many", NULL, 0), "");
}

static inline void suite_large(struct rig *rig, uint64_t size)
{
    CHECK_TEXT(container_do(rig, WISP_BLOBSTORE_CREATE_CONTAINER, "large"), "");
    CHECK_TEXT(write_sized(rig, "large", "it", size), "");
    CHECK_INT(get_sized(rig, "large", "it", ""), size);
}

/* Uploads that are broken off leave what was there. */
static inline void suite_broken(struct rig *rig, uint64_t size)
{
    struct wisp_wrpc_reader *status;
    const char *error;
    union rig_result result;
    CHECK_TEXT(container_do(rig, WISP_BLOBSTORE_CREATE_CONTAINER, "broken"), "");
    CHECK_TEXT(write_text(rig, "broken", "it", "before"), "");
    struct wisp_wrpc_writer *writer = begin_write(rig, "broken", "it", &status, &error);
    CHECK(status);
    CHECK(write_some(rig, writer, 0, size));
    wisp_wrpc_writer_abort(writer);
    CHECK(*status_of(rig, status));
    CHECK_TEXT(get_text(rig, "broken", "it"), "before");
    /* A download that nobody wants any more, and a status that nobody reads. */
    CHECK_TEXT(write_sized(rig, "broken", "it", size), "");
    CHECK_TEXT(begin_get(rig, "broken", "it", 0, UINT64_MAX, &result), "");
    wisp_wrpc_reader_close(result.stream.ok.data);
    wisp_wrpc_reader_close(result.stream.ok.status);
}

/* The link goes while streams are on their way. */
static inline void suite_link_gone(struct rig *rig, uint64_t size)
{
    struct wisp_wrpc_reader *status;
    const char *error;
    union rig_result result;
    CHECK_TEXT(container_do(rig, WISP_BLOBSTORE_CREATE_CONTAINER, "gone"), "");
    CHECK_TEXT(write_sized(rig, "gone", "old", size), "");
    struct wisp_wrpc_writer *writer = begin_write(rig, "gone", "new", &status, &error);
    CHECK(status);
    CHECK(write_some(rig, writer, 0, size));
    CHECK_TEXT(begin_get(rig, "gone", "old", 0, UINT64_MAX, &result), "");
    json_t *none = json_array();
    wisp_provider_set_links(rig->provider, none);
    json_decref(none);
    CHECK_HAS(status_of(rig, status), "link is gone");
    CHECK_HAS(status_of(rig, result.stream.ok.status), "link is gone");
    wisp_wrpc_reader_close(result.stream.ok.data);
    while (!wisp_wrpc_writer_is_closed(writer)) uv_run(&rig->loop, UV_RUN_ONCE);
    wisp_wrpc_writer_abort(writer);
    CHECK_HAS(container_do(rig, WISP_BLOBSTORE_CONTAINER_EXISTS, "gone"), "there is no link `default` from `app`");
}
