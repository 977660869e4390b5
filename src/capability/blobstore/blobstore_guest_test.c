/* SPDX-License-Identifier: Apache-2.0 */
/* What guests call, through to a store of files. */
#include "capability/blobstore/blobstore_rig.h"
#include "capability/capability.h"
#include "provider/outside.h"
#include "wasi/test_double.h"

static struct rig rig;
static char root[64];
static struct {
    struct wisp_err failure; /* instead of asking the provider */
    int ends_with;           /* likewise: the guest is being ended */
} outside_says;

/* As whoever runs guests does it, but for the links: the provider has the invocation's loop. */
struct asking {
    struct wisp_call *call;
    const struct wisp_provider_export *export_;
    void *result;
    struct wisp_err *err;
    bool is_done, has_failed;
};

static void on_return(const void *result, const struct wisp_err *err, void *env)
{
    struct asking *asking = env;
    asking->is_done = true;
    asking->has_failed = err != NULL;
    if (err)
        *asking->err = *err;
    else
        wisp_value_copy(asking->call->arena, asking->export_->type->result, result, asking->result);
}

static int ask_provider(struct wisp_call *call, const struct wisp_provider_interface *interface,
                        const struct wisp_provider_func *func, const void *args, void *result, struct wisp_err *ret_err)
{
    char copy[256];
    struct wisp_provider_caller caller = {WISP_STR("app"), WISP_STR("default"), WISP_STR("")};
    struct asking asking = {.call = call, .result = result, .err = ret_err};
    if (outside_says.ends_with) return outside_says.ends_with;
    if (outside_says.failure.kind) {
        *ret_err = outside_says.failure;
        return WISP_OUTSIDE_FAILED;
    }
    CHECK_TEXT(interface->link_interface, "wasi:blobstore/blobstore");
    asking.export_ = wisp_provider_find(rig.provider, wisp_str_from(interface->name), wisp_str_from(func->name));
    CHECK(asking.export_ && func->args_size <= sizeof copy);
    memcpy(copy, args, func->args_size);
    wisp_provider_call_start(rig.provider, asking.export_, &caller, copy, on_return, &asking);
    while (!asking.is_done) uv_run(&fake.loop, UV_RUN_ONCE);
    return asking.has_failed ? WISP_OUTSIDE_FAILED : 0;
}

static const struct wisp_outside outside = {.call = ask_provider};

static void begin(void)
{
    char config[128];
    strcpy(root, "/tmp/wisp-guest-XXXXXX");
    CHECK(mkdtemp(root));
    fake_start();
    fake.wasi.outside = &outside;
    struct wisp_provider_options options = {
        .kind = &wisp_blobstore_fs, .id = "store", .lattice = "default", .host_id = "NHOST", .loop = &fake.loop};
    CHECK_OK(wisp_provider_new(&rig.provider, &options, &rig.err), &rig.err);
    snprintf(config, sizeof config, "{\"root\": \"%s\"}", root);
    rig_link(&rig, "app", config, 0);
}

static void end(void)
{
    char command[128];
    wisp_provider_close(rig.provider, rig_on_closed, &rig.is_closed);
    while (!rig.is_closed) uv_run(&fake.loop, UV_RUN_ONCE);
    fake_stop();
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    CHECK_INT(system(command), 0);
}

/* --- the guest's side --- */

struct any_result {
    uint32_t is_err;
    union {
        void *ok;
        bool yes;
        struct wisp_str error;
        struct wisp_bytes bytes;
        uint64_t size;
    };
};
struct small_result {
    uint32_t is_err;
    void *ok;
};
struct object_args {
    void *self;
    struct wisp_str name;
};

static const char *error_of(uint32_t is_err, struct wisp_str error)
{
    static char text[256];
    snprintf(text, sizeof text, "%.*s", is_err ? (int)error.len : 0, is_err ? error.ptr : "");
    return text;
}

static void *open_container(const char *func, const char *name)
{
    struct any_result opened;
    struct wisp_str text = wisp_str_from(name);
    CHECK_INT(INVOKE(wisp_blobstore_guest_blobstore, func, &text, &opened), 0);
    CHECK_TEXT(error_of(opened.is_err, opened.error), "");
    return opened.ok;
}

static void *new_value(void)
{
    void *value;
    const struct wisp_host_func *func =
        fake_func(&wisp_blobstore_guest_types, "[static]outgoing-value.new-outgoing-value");
    CHECK_INT(func->fn(&fake.call, NULL, &value), 0);
    return value;
}

static struct wisp_output_stream *body_of(void *value)
{
    struct small_result body;
    CHECK_INT(INVOKE(wisp_blobstore_guest_types, "[method]outgoing-value.outgoing-value-write-body", &value, &body), 0);
    CHECK_INT(body.is_err, 0);
    return body.ok;
}

static const char *give(void *container, const char *name, void *value)
{
    struct {
        void *self;
        struct wisp_str name;
        void *data;
    } args = {container, wisp_str_from(name), value};
    struct wisp_blobstore_result result;
    CHECK_INT(INVOKE(wisp_blobstore_guest_container, "[method]container.write-data", &args, &result), 0);
    return error_of(result.is_err, result.error);
}

static const char *finish(void *value)
{
    struct wisp_blobstore_result result;
    CHECK_INT(INVOKE(wisp_blobstore_guest_types, "[static]outgoing-value.finish", &value, &result), 0);
    return error_of(result.is_err, result.error);
}

static void push(struct wisp_output_stream *body, const char *bytes, size_t size)
{
    struct {
        void *self;
        struct wisp_bytes bytes;
    } args = {body, {(const uint8_t *)bytes, size}};
    struct any_result result;
    CHECK_INT(INVOKE(wisp_wasi_io_streams, "[method]output-stream.blocking-write-and-flush", &args, &result), 0);
    CHECK_INT(result.is_err, 0);
}

static void drop_body(struct wisp_output_stream *body)
{
    CHECK(!fake_drop(&wisp_wasi_io_streams, "output-stream", body));
}

static void drop_container(void *container)
{
    CHECK(!fake_drop(&wisp_blobstore_guest_container, "container", container));
}

static void *get(void *container, const char *name, uint64_t start, uint64_t end_, const char **ret_error)
{
    struct {
        void *self;
        struct wisp_str name;
        uint64_t start, end;
    } args = {container, wisp_str_from(name), start, end_};
    struct any_result result;
    CHECK_INT(INVOKE(wisp_blobstore_guest_container, "[method]container.get-data", &args, &result), 0);
    *ret_error = error_of(result.is_err, result.error);
    return result.is_err ? NULL : result.ok;
}

static const char *get_whole(void *container, const char *name)
{
    static char text[256];
    const char *error;
    struct any_result result;
    void *value = get(container, name, 0, UINT64_MAX, &error);
    if (!value) return error;
    CHECK_INT(INVOKE(wisp_blobstore_guest_types, "[static]incoming-value.incoming-value-consume-sync", &value, &result),
              0);
    snprintf(text, sizeof text, "%.*s", (int)result.bytes.len, (const char *)result.bytes.ptr);
    return text;
}

static void store(void *container, const char *name, const char *text)
{
    void *value = new_value();
    struct wisp_output_stream *body = body_of(value);
    CHECK_TEXT(give(container, name, value), "");
    push(body, text, strlen(text));
    drop_body(body);
    CHECK_TEXT(finish(value), "");
}

/* --- containers and objects --- */

TEST(a_container_and_its_objects)
{
    begin();
    void *container = open_container("create-container", "c");
    struct any_result result;
    CHECK_INT(INVOKE(wisp_blobstore_guest_container, "[method]container.name", &container, &result), 0);
    CHECK_STR(result.error, "c");
    store(container, "a", "hello");
    CHECK_TEXT(get_whole(container, "a"), "hello");
    struct object_args object = {container, WISP_STR("a")};
    CHECK_INT(INVOKE(wisp_blobstore_guest_container, "[method]container.has-object", &object, &result), 0);
    CHECK(!result.is_err && result.yes);
    struct {
        uint32_t is_err;
        struct wisp_str name, container;
        uint64_t created_at, size;
    } info;
    CHECK_INT(INVOKE(wisp_blobstore_guest_container, "[method]container.object-info", &object, &info), 0);
    CHECK_STR(info.name, "a");
    CHECK_STR(info.container, "c");
    CHECK_INT(info.size, 5);
    CHECK_INT(INVOKE(wisp_blobstore_guest_container, "[method]container.delete-object", &object, &result), 0);
    CHECK_TEXT(get_whole(container, "a"), "object `a` does not exist in container `c`");
    drop_container(container);
    drop_container(open_container("get-container", "c"));
    end();
}

TEST(what_is_not_there)
{
    begin();
    struct any_result opened;
    struct wisp_str name = WISP_STR("none");
    CHECK_INT(INVOKE(wisp_blobstore_guest_blobstore, "get-container", &name, &opened), 0);
    CHECK_TEXT(error_of(opened.is_err, opened.error), "container does not exist");
    end();
}

TEST(a_list_bit_by_bit)
{
    begin();
    void *container = open_container("create-container", "c");
    const char *const names[] = {"1", "2", "3", "4", "5"};
    for (size_t i = 0; i < WISP_COUNT(names); i++) store(container, names[i], "x");
    struct any_result opened;
    CHECK_INT(INVOKE(wisp_blobstore_guest_container, "[method]container.list-objects", &container, &opened), 0);
    CHECK(!opened.is_err);
    struct {
        void *self;
        uint64_t len;
    } args = {opened.ok, 2};
    struct {
        uint32_t is_err;
        struct wisp_blobstore_names names;
        bool is_over;
    } read;
    struct {
        uint32_t is_err;
        uint64_t n;
        bool is_over;
    } skipped;
    CHECK_INT(
        INVOKE(wisp_blobstore_guest_container, "[method]stream-object-names.read-stream-object-names", &args, &read),
        0);
    CHECK(!read.is_err && read.names.len == 2 && !read.is_over);
    CHECK_STR(read.names.ptr[1], "2");
    CHECK_INT(
        INVOKE(wisp_blobstore_guest_container, "[method]stream-object-names.skip-stream-object-names", &args, &skipped),
        0);
    CHECK(!skipped.is_err && skipped.n == 2 && !skipped.is_over);
    args.len = UINT64_MAX;
    CHECK_INT(
        INVOKE(wisp_blobstore_guest_container, "[method]stream-object-names.read-stream-object-names", &args, &read),
        0);
    CHECK(!read.is_err && read.names.len == 1 && read.is_over);
    CHECK_STR(read.names.ptr[0], "5");
    CHECK(!fake_drop(&wisp_blobstore_guest_container, "stream-object-names", args.self));
    drop_container(container);
    end();
}

/* --- values --- */

TEST(a_value_may_be_written_first)
{
    begin();
    void *container = open_container("create-container", "c"), *value = new_value();
    struct wisp_output_stream *body = body_of(value);
    struct small_result again;
    CHECK_INT(INVOKE(wisp_blobstore_guest_types, "[method]outgoing-value.outgoing-value-write-body", &value, &again),
              0);
    CHECK_INT(again.is_err, 1);
    push(body, "early ", 6);
    CHECK_TEXT(give(container, "a", value), "");
    CHECK_TEXT(give(container, "b", value), "the value was given away before");
    push(body, "late", 4);
    drop_body(body);
    CHECK_TEXT(finish(value), "");
    CHECK_TEXT(get_whole(container, "a"), "early late");
    drop_container(container);
    end();
}

TEST(values_that_are_not_finished)
{
    begin();
    void *container = open_container("create-container", "c"), *value = new_value();
    struct wisp_output_stream *body = body_of(value);
    struct wisp_blobstore_result result;
    CHECK_TEXT(finish(new_value()), "no container was given the value");
    CHECK_TEXT(give(container, "a", value), "");
    push(body, "half", 4);
    CHECK_HAS(fake_drop(&wisp_blobstore_guest_types, "outgoing-value", value), "stream of its body");
    drop_body(body);
    CHECK(!fake_drop(&wisp_blobstore_guest_types, "outgoing-value", value));
    CHECK_TEXT(get_whole(container, "a"), "object `a` does not exist in container `c`");

    /* At the end of an invocation handles go in any order; a trap leaves nothing either. */
    value = new_value();
    body = body_of(value);
    CHECK(INVOKE(wisp_blobstore_guest_types, "[static]outgoing-value.finish", &value, &result) < 0);
    CHECK_HAS(fake.trap, "before the stream of its body was dropped");
    drop_body(body);
    drop_container(container);
    end();
}

TEST(large_values_as_streams)
{
    enum { PIECE = 4096, PIECES = 2048 };
    static char bytes[PIECE];
    begin();
    void *container = open_container("create-container", "c"), *value = new_value();
    struct wisp_output_stream *body = body_of(value);
    const char *error;
    CHECK_TEXT(give(container, "a", value), "");
    for (uint64_t i = 0; i < PIECES; i++) {
        fill(bytes, i * PIECE, PIECE);
        push(body, bytes, PIECE);
    }
    CHECK(fake.n_suspensions > 0); /* held back by the disk's pace */
    drop_body(body);
    CHECK_TEXT(finish(value), "");

    struct any_result result;
    uint64_t size;
    value = get(container, "a", 10, UINT64_MAX, &error);
    CHECK(value);
    CHECK_INT(INVOKE(wisp_blobstore_guest_types, "[method]incoming-value.size", &value, &size), 0);
    CHECK_INT(size, PIECE * PIECES - 10);
    CHECK_INT(
        INVOKE(wisp_blobstore_guest_types, "[static]incoming-value.incoming-value-consume-async", &value, &result), 0);
    struct {
        void *self;
        uint64_t len;
    } args = {result.ok, PIECE};
    uint64_t at = 10;
    for (;;) {
        CHECK_INT(INVOKE(wisp_wasi_io_streams, "[method]input-stream.blocking-read", &args, &result), 0);
        if (result.is_err) break;
        fill(bytes, at, result.bytes.len);
        CHECK(memcmp(bytes, result.bytes.ptr, result.bytes.len) == 0);
        at += result.bytes.len;
        wisp_arena_reset(&fake.arena);
    }
    CHECK_INT(at, PIECE * PIECES);
    CHECK(!fake_drop(&wisp_wasi_io_streams, "input-stream", args.self));
    drop_container(container);
    end();
}

TEST(a_store_that_goes_away)
{
    begin();
    void *container = open_container("create-container", "c"), *value = new_value();
    struct wisp_output_stream *body = body_of(value);
    const char *error;
    store(container, "old", "text");
    void *reading = get(container, "old", 0, 2, &error);
    CHECK(reading);
    CHECK_TEXT(give(container, "a", value), "");
    push(body, "half", 4);
    json_t *none = json_array();
    wisp_provider_set_links(rig.provider, none);
    json_decref(none);
    for (int i = 0; i < 10; i++) uv_run(&fake.loop, UV_RUN_NOWAIT);
    drop_body(body);
    CHECK_TEXT(finish(value), "the link is gone");
    CHECK(!fake_drop(&wisp_blobstore_guest_types, "incoming-value", reading));
    outside_says.failure = (struct wisp_err){.kind = WISP_ERR_UNAVAILABLE, .text = "nobody is there"};
    CHECK_TEXT(get_whole(container, "old"), "nobody is there");
    outside_says.failure = (struct wisp_err){.kind = WISP_ERR_UNAVAILABLE, .text = "\xff"};
    CHECK_TEXT(get_whole(container, "old"), "the blobstore failed");
    outside_says.ends_with = -(int)WISP_ERR_CANCELLED;
    struct any_result result;
    struct object_args object = {container, WISP_STR("a")};
    CHECK_FAILS(INVOKE(wisp_blobstore_guest_container, "[method]container.has-object", &object, &result), CANCELLED);
    drop_container(container);
    end();
}
