/* SPDX-License-Identifier: Apache-2.0 */
/* Streams among the parameters and results of a kind's functions, in this process and over the bus. */
#include "provider/runtime.h"
#include "wrpc/call.h"
#include "wrpc/wrpc_rig.h"

/* Sends back what it reads, in capitals. */
struct echo {
    struct wisp_wrpc_reader *reader;
    struct wisp_wrpc_writer *writer;
};
static unsigned n_echos, n_cancelled;
static struct wisp_provider_call *kept;

static void echo_end(struct echo *echo, bool is_whole)
{
    wisp_wrpc_reader_close(echo->reader);
    if (is_whole)
        wisp_wrpc_writer_end(echo->writer);
    else
        wisp_wrpc_writer_abort(echo->writer);
    free(echo);
    n_echos--;
}

static void echo_go_on(struct echo *echo)
{
    struct wisp_str bytes;
    struct wisp_err err;
    for (size_t room; (room = wisp_wrpc_writer_room(echo->writer)) > 0;) {
        enum wisp_wrpc_reading reading = wisp_wrpc_reader_peek(echo->reader, &bytes, &err);
        if (reading == WISP_WRPC_READING_WAIT) return;
        if (reading != WISP_WRPC_READING_ITEM) {
            echo_end(echo, reading == WISP_WRPC_READING_END);
            return;
        }
        if (bytes.len > room) bytes.len = room;
        char upper[4096];
        if (bytes.len > sizeof upper) bytes.len = sizeof upper;
        for (size_t i = 0; i < bytes.len; i++)
            upper[i] = (char)(bytes.ptr[i] >= 'a' && bytes.ptr[i] <= 'z' ? bytes.ptr[i] - 32 : bytes.ptr[i]);
        CHECK_OK(wisp_wrpc_writer_write(echo->writer, (struct wisp_str){upper, bytes.len}, &err), &err);
        wisp_wrpc_reader_consume(echo->reader, bytes.len);
    }
}

static void on_readable(struct wisp_wrpc_reader *reader, void *env)
{
    (void)reader;
    echo_go_on(env);
}

static void on_room(struct wisp_wrpc_writer *writer, void *env)
{
    struct echo *echo = env;
    if (wisp_wrpc_writer_is_closed(writer))
        echo_end(echo, false);
    else
        echo_go_on(echo);
}

static void *echo_start(const struct wisp_func_type *type, void *reader)
{
    struct echo *echo = calloc(1, sizeof *echo);
    echo->reader = reader;
    echo->writer = wisp_wrpc_writer_new(type->result);
    wisp_wrpc_reader_on_ready(echo->reader, on_readable, echo);
    wisp_wrpc_writer_on_room(echo->writer, on_room, echo);
    n_echos++;
    return echo->writer;
}

static void shout(struct wisp_provider_call *call, const void *args)
{
    void *writer = echo_start(call->type, *(void *const *)args);
    wisp_provider_return(call, &writer);
}

static void on_cancel(struct wisp_provider_call *call)
{
    (void)call;
    n_cancelled++;
}

/* Begins when the test says so. */
static void shout_later(struct wisp_provider_call *call, const void *args)
{
    call->user = *(void *const *)args;
    call->on_cancel = on_cancel;
    kept = call;
}

static void begin_kept(void)
{
    void *writer = echo_start(kept->type, kept->user);
    wisp_provider_return(kept, &writer);
}

static const struct wisp_provider_func funcs[] = {
    {"shout", "(stream<u8>) -> stream<u8>", shout, WISP_HOST_SIZES(void *, void *)},
    {"shout-later", "(stream<u8>) -> stream<u8>", shout_later, WISP_HOST_SIZES(void *, void *)},
};
static const struct wisp_provider_interface interface = {
    .name = "acme:echo/echo@1.0.0", .funcs = funcs, .n_funcs = WISP_COUNT(funcs)};
static const struct wisp_provider_interface *const exports[] = {&interface};

static int refuse_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    (void)provider, (void)link;
    return wisp_err_set(err, WISP_ERR_INVALID, "no links here");
}
static const struct wisp_provider_kind kind = {
    .name = "echo", .exports = exports, .n_exports = WISP_COUNT(exports), .put_link = refuse_link};

static struct wisp_provider *provider_new(uv_loop_t *loop, struct side *side)
{
    struct wisp_provider *provider;
    struct wisp_err err;
    struct wisp_provider_options options = {.kind = &kind,
                                            .id = "echo",
                                            .lattice = "default",
                                            .host_id = "N",
                                            .loop = loop,
                                            .bus = side ? side->bus.client : NULL,
                                            .wrpc = side ? side->wrpc : NULL};
    CHECK_OK(wisp_provider_new(&provider, &options, &err), &err);
    return provider;
}

static void set_true(void *env) { *(bool *)env = true; }

static void provider_end(struct wisp_provider *provider, uv_loop_t *loop)
{
    bool is_closed = false;
    wisp_provider_close(provider, set_true, &is_closed);
    AWAIT(loop, is_closed);
}

/* --- the caller --- */

enum { SIZE = 1 << 20 };

struct caller {
    struct wisp_wrpc_writer *writer;
    struct wisp_wrpc_reader *reader;
    size_t n_written, n_read;
    unsigned n_returns;
    struct wisp_err err;
};

static void write_more(struct wisp_wrpc_writer *writer, void *env)
{
    struct caller *caller = env;
    struct wisp_err err;
    char bytes[1000];
    memset(bytes, 'a', sizeof bytes);
    while (caller->writer && wisp_wrpc_writer_room(writer) > 0 && !wisp_wrpc_writer_is_closed(writer)) {
        CHECK_OK(wisp_wrpc_writer_write(writer, (struct wisp_str){bytes, sizeof bytes}, &err), &err);
        caller->n_written += sizeof bytes;
        if (caller->n_written >= SIZE) wisp_wrpc_writer_end(WISP_TAKE(caller->writer));
    }
}

static void read_more(struct wisp_wrpc_reader *reader, void *env)
{
    struct caller *caller = env;
    struct wisp_str bytes;
    enum wisp_wrpc_reading reading;
    while ((reading = wisp_wrpc_reader_peek(reader, &bytes, &caller->err)) == WISP_WRPC_READING_ITEM) {
        for (size_t i = 0; i < bytes.len; i++) CHECK_INT(bytes.ptr[i], 'A');
        caller->n_read += bytes.len;
        wisp_wrpc_reader_consume(reader, bytes.len);
    }
    if (reading != WISP_WRPC_READING_WAIT) wisp_wrpc_reader_close(WISP_TAKE(caller->reader));
}

static void on_return(const void *result, const struct wisp_err *err, void *env)
{
    struct caller *caller = env;
    caller->n_returns++;
    if (err) caller->err = *err;
    if (!result) return;
    caller->reader = *(void *const *)result;
    wisp_wrpc_reader_on_ready(caller->reader, read_more, caller);
}

static const struct wisp_provider_export *find(struct wisp_provider *provider, const char *name)
{
    return wisp_provider_find(provider, wisp_str_from(interface.name), wisp_str_from(name));
}

static void *writer_for(struct caller *caller, const struct wisp_provider_export *export_)
{
    caller->writer = wisp_wrpc_writer_new(export_->type->params[0].type);
    wisp_wrpc_writer_on_room(caller->writer, write_more, caller);
    return caller->writer;
}

static struct wisp_provider_call *start(struct wisp_provider *provider, const char *name, struct caller *caller,
                                        void **args)
{
    struct wisp_provider_caller from = {.source_id = WISP_STR("app")};
    *args = writer_for(caller, find(provider, name));
    return wisp_provider_call_start(provider, find(provider, name), &from, args, on_return, caller);
}

TEST(through_memory)
{
    uv_loop_t loop;
    struct caller caller = {0};
    void *args;
    uv_loop_init(&loop);
    struct wisp_provider *provider = provider_new(&loop, NULL);
    CHECK(!start(provider, "shout", &caller, &args));
    write_more(caller.writer, &caller);
    AWAIT(&loop, !caller.reader);
    CHECK_INT(caller.n_read, caller.n_written);
    CHECK(caller.n_read >= SIZE);
    AWAIT(&loop, n_echos == 0);
    provider_end(provider, &loop);
    CHECK_INT(uv_loop_close(&loop), 0);
}

TEST(refused_and_cancelled)
{
    uv_loop_t loop;
    struct caller refused = {0}, cancelled = {0};
    struct wisp_err err;
    void *args[2];
    uv_loop_init(&loop);
    struct wisp_provider *provider = provider_new(&loop, NULL);
    struct wisp_provider_call *call = start(provider, "shout-later", &cancelled, &args[0]);
    CHECK(call);
    wisp_provider_call_cancel(call);
    CHECK_INT(n_cancelled, 1);
    wisp_wrpc_writer_abort(WISP_TAKE(cancelled.writer));
    begin_kept(); /* all the same; nobody gets it */
    AWAIT(&loop, n_echos == 0);
    CHECK_INT(cancelled.n_returns, 0);

    json_t *link = json_pack("{s:s, s:s, s:s, s:s}", "source_id", "app", "target", "echo", "wit_namespace", "acme",
                             "wit_package", "echo");
    CHECK_FAILS(wisp_provider_put_link(provider, link, &err), INVALID);
    json_decref(link);
    CHECK(!start(provider, "shout", &refused, &args[1]));
    CHECK_INT(refused.n_returns, 1);
    AWAIT(&loop, wisp_wrpc_writer_is_closed(refused.writer));
    wisp_wrpc_writer_abort(refused.writer);
    provider_end(provider, &loop);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&loop), 0);
}

TEST(over_the_bus)
{
    struct rig rig;
    struct caller caller = {0};
    struct wisp_wrpc_service *service;
    rig_init(&rig);
    struct wisp_provider *provider = provider_new(&rig.loop, &rig.callee);
    CHECK_OK(wisp_wrpc_service_new(&service, rig.callee.wrpc, WISP_STR("echo"), &rig.err), &rig.err);
    CHECK_OK(wisp_provider_serve(provider, service, &rig.err), &rig.err);
    settle(&rig, &rig.callee.bus);
    const struct wisp_provider_export *export_ = find(provider, "shout");
    struct wisp_wrpc_target target = {.id = WISP_STR("echo"),
                                      .function = {wisp_str_from(interface.name), WISP_STR("shout")}};
    struct wisp_wrpc_call *call;
    void *args = writer_for(&caller, export_);
    CHECK_OK(wisp_wrpc_call_start(rig.caller.wrpc, &target, export_->type, &args, &rig.arena, on_return, &caller, &call,
                                  &rig.err),
             &rig.err);
    write_more(caller.writer, &caller);
    AWAIT(&rig.loop, caller.n_returns && !caller.reader);
    CHECK_INT(caller.n_read, caller.n_written);
    CHECK(caller.n_read >= SIZE);
    AWAIT(&rig.loop, n_echos == 0);
    wisp_wrpc_service_free(service);
    provider_end(provider, &rig.loop);
    rig_deinit(&rig);
}
