/* SPDX-License-Identifier: Apache-2.0 */
/* Streams among parameters and results, over a real nats-server: our two sides against each other, and each against
 * messages written by hand. */
#include "wrpc/call.h"
#include "wrpc/serve.h"
#include "wrpc/wrpc_rig.h"

static const struct wisp_wrpc_function copy = {WISP_STR_INIT("test:store/store@1.0.0"), WISP_STR_INIT("copy")};
#define SUBJECT "default.store.wrpc.0.0.1.test:store/store@1.0.0.copy"
#define TYPE "(string, stream<u8>) -> result<tuple<stream<string>, future<result<_, string>>>, string>"

struct copy_args {
    struct wisp_str name;
    void *data;
};
struct status {
    uint32_t is_err;
    struct wisp_str text;
};
struct copy_result {
    uint32_t is_err;
    union {
        struct {
            void *names, *status;
        } ok;
        struct wisp_str error;
    };
};

/* --- the one who serves: reads what it is given, after it has answered --- */

struct store {
    struct rig *rig;
    struct wisp_wrpc_service *service;
    const struct wisp_func_type *type;
    unsigned n_calls;
    bool keeps;
    struct wisp_wrpc_incoming *kept;
    struct wisp_wrpc_reader *data;
    struct wisp_wrpc_writer *names, *status;
    uint64_t n_bytes, sum;
    enum wisp_wrpc_reading state;
    struct wisp_err err;
};

static const struct wisp_type *names_type(const struct wisp_func_type *type)
{
    return type->result->fields[0].type->fields[0].type;
}

static const struct wisp_type *status_type(const struct wisp_func_type *type)
{
    return type->result->fields[0].type->fields[1].type;
}

static void on_data(struct wisp_wrpc_reader *reader, void *env)
{
    struct store *store = env;
    struct wisp_str bytes;
    while ((store->state = wisp_wrpc_reader_peek(reader, &bytes, &store->err)) == WISP_WRPC_READING_ITEM) {
        for (size_t i = 0; i < bytes.len; i++) store->sum += (uint8_t)bytes.ptr[i];
        store->n_bytes += bytes.len;
        wisp_wrpc_reader_consume(reader, bytes.len);
    }
    if (store->state == WISP_WRPC_READING_WAIT) return;
    wisp_wrpc_reader_close(WISP_TAKE(store->data));
    struct status status = {store->state == WISP_WRPC_READING_FAILED, WISP_STR("it was not whole")};
    if (!store->status) return;
    CHECK_OK(wisp_wrpc_writer_put(store->status, &status, &store->rig->err), &store->rig->err);
    wisp_wrpc_writer_end(WISP_TAKE(store->status));
}

static void finish(struct store *store, struct wisp_wrpc_incoming *incoming)
{
    store->names = wisp_wrpc_writer_new(names_type(store->type));
    store->status = wisp_wrpc_writer_new(status_type(store->type));
    struct copy_result result = {.ok = {store->names, store->status}};
    CHECK_OK(wisp_wrpc_incoming_finish(incoming, &result, &store->rig->err), &store->rig->err);
}

static void on_copy(struct wisp_wrpc_incoming *incoming, const void *args, void *env)
{
    struct store *store = env;
    store->data = ((const struct copy_args *)args)->data;
    store->n_calls++;
    if (store->keeps) {
        store->kept = incoming;
        return;
    }
    wisp_wrpc_reader_on_ready(store->data, on_data, store);
    finish(store, incoming);
}

static void store_init(struct store *store, struct rig *rig, const char *type)
{
    *store = (struct store){.rig = rig, .type = func_of(&rig->arena, type)};
    CHECK_OK(wisp_wrpc_service_new(&store->service, rig->callee.wrpc, WISP_STR("store"), &rig->err), &rig->err);
    CHECK_OK(wisp_wrpc_service_add(store->service, &copy, store->type, on_copy, store, &rig->err), &rig->err);
    settle(rig, &rig->callee.bus);
}

/* --- the one who calls --- */

struct client {
    struct rig *rig;
    const struct wisp_func_type *type;
    struct wisp_wrpc_call *call;
    unsigned n;
    struct copy_result result;
    struct wisp_err err;
    struct wisp_wrpc_writer *data;
    uint64_t left;
    unsigned n_room;
};

static void on_result(const void *result, const struct wisp_err *err, void *env)
{
    struct client *client = env;
    client->n++;
    if (result) client->result = *(const struct copy_result *)result;
    if (err) client->err = *err;
}

static void start(struct client *client, struct rig *rig, uint64_t timeout_ms)
{
    *client = (struct client){.rig = rig, .type = func_of(&rig->arena, TYPE)};
    client->data = wisp_wrpc_writer_new(client->type->params[1].type);
    struct copy_args args = {WISP_STR("x"), client->data};
    struct wisp_wrpc_target target = {.id = WISP_STR("store"), .function = copy, .timeout_ms = timeout_ms};
    CHECK_OK(wisp_wrpc_call_start(rig->caller.wrpc, &target, client->type, &args, &rig->arena, on_result, client,
                                  &client->call, &rig->err),
             &rig->err);
}

static void write_more(struct wisp_wrpc_writer *writer, void *env)
{
    struct client *client = env;
    static char ones[64 << 10];
    size_t room;
    memset(ones, 1, sizeof ones);
    client->n_room++;
    if (wisp_wrpc_writer_is_closed(writer)) client->left = 0;
    while (client->left > 0 && (room = wisp_wrpc_writer_room(writer)) > 0) {
        struct wisp_str bytes = {ones, room < sizeof ones ? room : sizeof ones};
        if (bytes.len > client->left) bytes.len = (size_t)client->left;
        CHECK_OK(wisp_wrpc_writer_write(writer, bytes, &client->rig->err), &client->rig->err);
        client->left -= bytes.len;
    }
    if (client->left == 0) wisp_wrpc_writer_end(WISP_TAKE(client->data));
}

static void write_all(struct client *client, uint64_t size)
{
    client->left = size;
    wisp_wrpc_writer_on_room(client->data, write_more, client);
    write_more(client->data, client);
}

static enum wisp_wrpc_reading next(struct rig *rig, struct wisp_wrpc_reader *reader, void *value)
{
    enum wisp_wrpc_reading state;
    AWAIT(&rig->loop, (state = wisp_wrpc_reader_next(reader, &rig->arena, value, &rig->err)) != WISP_WRPC_READING_WAIT);
    return state;
}
#define CHECK_NEXT(rig, reader, value, what) CHECK_INT(next(rig, reader, value), WISP_WRPC_READING_##what)

#define SETUP                                                                                                          \
    struct rig rig;                                                                                                    \
    rig_init(&rig)

TEST(streams_go_on_after_the_result)
{
    SETUP;
    struct store store;
    struct client client;
    struct wisp_str name;
    struct status status;
    enum { SIZE = 5000000 };
    store_init(&store, &rig, TYPE);
    start(&client, &rig, 5000);
    write_all(&client, SIZE);
    CHECK(client.data); /* not all of it at once */
    AWAIT(&rig.loop, client.n);
    CHECK_INT(client.err.kind, 0);
    CHECK_INT(client.result.is_err, 0);
    CHECK_INT(wisp_wrpc_service_in_flight(store.service), 1);
    CHECK_OK(wisp_wrpc_writer_put(store.names, &WISP_STR("one"), &rig.err), &rig.err);
    CHECK_NEXT(&rig, client.result.ok.names, &name, ITEM);
    CHECK_STR(name, "one");
    CHECK_OK(wisp_wrpc_writer_put(store.names, &WISP_STR("two"), &rig.err), &rig.err);
    wisp_wrpc_writer_end(store.names);
    CHECK_NEXT(&rig, client.result.ok.names, &name, ITEM);
    CHECK_STR(name, "two");
    CHECK_NEXT(&rig, client.result.ok.names, &name, END);
    wisp_wrpc_reader_close(client.result.ok.names);
    CHECK_NEXT(&rig, client.result.ok.status, &status, ITEM);
    CHECK_INT(status.is_err, 0);
    CHECK_NEXT(&rig, client.result.ok.status, &status, END);
    wisp_wrpc_reader_close(client.result.ok.status);
    CHECK_INT(store.n_bytes, SIZE);
    CHECK_INT(store.sum, SIZE);
    AWAIT(&rig.loop, wisp_wrpc_service_in_flight(store.service) == 0);
    wisp_wrpc_service_free(store.service);
    rig_deinit(&rig);
}

TEST(a_reader_that_takes_its_time_slows_the_writer_down)
{
    SETUP;
    struct store store;
    struct client client;
    store_init(&store, &rig, TYPE);
    store.keeps = true;
    start(&client, &rig, 0);
    write_all(&client, 20 << 20);
    AWAIT(&rig.loop, store.n_calls);
    AWAIT(&rig.loop, (20 << 20) - client.left >= 1 << 20);
    for (int i = 0; i < 10; i++) {
        settle(&rig, &rig.caller.bus);
        settle(&rig, &rig.callee.bus);
    }
    CHECK((20 << 20) - client.left <= 2 << 20);
    finish(&store, WISP_TAKE(store.kept));
    wisp_wrpc_reader_on_ready(store.data, on_data, &store);
    AWAIT(&rig.loop, !store.data);
    CHECK_INT(store.state, WISP_WRPC_READING_END);
    CHECK_INT(store.n_bytes, 20 << 20);
    AWAIT(&rig.loop, client.n);
    wisp_wrpc_value_close(client.type->result, &client.result);
    wisp_wrpc_writer_abort(store.names);
    AWAIT(&rig.loop, wisp_wrpc_service_in_flight(store.service) == 0);
    wisp_wrpc_service_free(store.service);
    rig_deinit(&rig);
}

TEST(a_closed_reader_closes_the_writer)
{
    SETUP;
    struct store store;
    struct client client;
    struct status status;
    store_init(&store, &rig, TYPE);
    store.keeps = true;
    start(&client, &rig, 0);
    write_all(&client, 20 << 20);
    AWAIT(&rig.loop, store.n_calls);
    finish(&store, WISP_TAKE(store.kept));
    wisp_wrpc_reader_close(store.data);
    AWAIT(&rig.loop, !client.data); /* it ended since nobody reads it */
    AWAIT(&rig.loop, client.n);
    /* And the other way round. */
    wisp_wrpc_reader_close(client.result.ok.names);
    AWAIT(&rig.loop, wisp_wrpc_writer_is_closed(store.names));
    wisp_wrpc_writer_end(store.names);
    wisp_wrpc_writer_abort(store.status);
    CHECK_NEXT(&rig, client.result.ok.status, &status, FAILED);
    CHECK_HAS(rig.err.text, "broken off");
    wisp_wrpc_reader_close(client.result.ok.status);
    AWAIT(&rig.loop, wisp_wrpc_service_in_flight(store.service) == 0);
    wisp_wrpc_service_free(store.service);
    rig_deinit(&rig);
}

TEST(what_stops_coming_from_others_fails)
{
    SETUP;
    struct store store;
    store_init(&store, &rig, TYPE);
    listen_by_hand(&rig, "C.>");
    listen_by_hand(&rig, "C");
    say(&rig, SUBJECT, "C", "01 \"x\" 00");
    AWAIT(&rig.loop, store.n_calls && rig.n_heard);
    char path[300];
    snprintf(path, sizeof path, "%s.params.1", heard_reply(&rig));
    say(&rig, path, "", "03 01 02");
    AWAIT(&rig.loop, !store.data); /* after the idle timeout */
    CHECK_INT(store.state, WISP_WRPC_READING_FAILED);
    CHECK_INT(store.err.kind, WISP_ERR_TIMEOUT);
    CHECK_INT(store.n_bytes, 2);
    wisp_wrpc_writer_abort(store.names);
    wisp_wrpc_service_free(store.service);
    rig_deinit(&rig);
}

static void pass_time(struct rig *rig, uint64_t ms)
{
    uint64_t until = uv_hrtime() / 1000000 + ms;
    while (uv_hrtime() / 1000000 < until) uv_run(&rig->loop, UV_RUN_NOWAIT);
}

TEST(our_own_may_take_their_time)
{
    SETUP;
    struct store store;
    struct client client;
    struct status status;
    store_init(&store, &rig, TYPE);
    start(&client, &rig, 5000);
    CHECK_OK(wisp_wrpc_writer_write(client.data, WISP_STR("some"), &rig.err), &rig.err);
    AWAIT(&rig.loop, client.n);
    pass_time(&rig, 3 * RIG_IDLE_MS);
    CHECK_OK(wisp_wrpc_writer_write(client.data, WISP_STR("more"), &rig.err), &rig.err);
    wisp_wrpc_writer_end(client.data);
    AWAIT(&rig.loop, !store.data);
    CHECK_INT(store.state, WISP_WRPC_READING_END);
    CHECK_INT(store.n_bytes, 8);
    CHECK_NEXT(&rig, client.result.ok.status, &status, ITEM);
    /* For they are asked. */
    struct wisp_str name;
    listen_by_hand(&rig, "_INBOX.>");
    AWAIT(&rig.loop, rig.n_heard >= 2);
    CHECK_HAS(heard(&rig), ".probe reply:");
    wisp_wrpc_writer_abort(store.names);
    CHECK_NEXT(&rig, client.result.ok.names, &name, FAILED);
    wisp_wrpc_value_close(client.type->result, &client.result);
    AWAIT(&rig.loop, wisp_wrpc_service_in_flight(store.service) == 0);
    wisp_wrpc_service_free(store.service);
    rig_deinit(&rig);
}

TEST(one_of_our_own_that_does_not_know_of_the_call_any_more)
{
    SETUP;
    struct client client;
    struct wisp_str name;
    const struct wisp_bus_header window = {WISP_STR("wisp-window"), WISP_STR("1000")};
    listen_by_hand(&rig, SUBJECT);
    listen_by_hand(&rig, "S.>");
    start(&client, &rig, 5000);
    AWAIT(&rig.loop, rig.n_heard);
    char caller[256], results[300];
    strcpy(caller, heard_reply(&rig));
    CHECK_OK(
        wisp_bus_publish(rig.hand.client, wisp_str_from(caller), WISP_STR("S"), &window, 1, WISP_STR(""), &rig.err),
        &rig.err);
    snprintf(results, sizeof results, "%s.results", caller);
    say(&rig, results, "", "00 00 00");
    AWAIT(&rig.loop, client.n);
    CHECK_NEXT(&rig, client.result.ok.names, &name, FAILED);
    CHECK_INT(rig.err.kind, WISP_ERR_TIMEOUT);
    CHECK_HAS(rig.err.text, "doesn't know of it");
    CHECK(wisp_wrpc_writer_is_closed(client.data));
    wisp_wrpc_writer_abort(client.data);
    wisp_wrpc_value_close(client.type->result, &client.result);
    rig_deinit(&rig);
}

TEST(a_call_that_fails_closes_its_writers)
{
    SETUP;
    struct store store;
    struct client client;
    start(&client, &rig, 5000);
    write_all(&client, 20 << 20);
    AWAIT(&rig.loop, client.n);
    CHECK_INT(client.err.kind, WISP_ERR_UNAVAILABLE);
    AWAIT(&rig.loop, !client.data);
    store_init(&store, &rig, TYPE);
    store.keeps = true;
    start(&client, &rig, 5000);
    write_all(&client, 20 << 20);
    AWAIT(&rig.loop, store.n_calls);
    wisp_wrpc_incoming_fail(store.kept);
    AWAIT(&rig.loop, !client.data && client.n);
    CHECK_INT(client.err.kind, WISP_ERR_GUEST);
    wisp_wrpc_reader_close(store.data);
    /* A result that can't be sent. */
    start(&client, &rig, 5000);
    AWAIT(&rig.loop, store.n_calls == 2);
    store.names = wisp_wrpc_writer_new(names_type(store.type));
    struct copy_result result = {.is_err = 7, .ok = {store.names, NULL}};
    CHECK_FAILS(wisp_wrpc_incoming_finish(store.kept, &result, &rig.err), INVALID);
    wisp_wrpc_writer_abort(store.names);
    wisp_wrpc_reader_close(store.data);
    AWAIT(&rig.loop, client.n);
    wisp_wrpc_writer_abort(client.data);
    wisp_wrpc_service_free(store.service);
    rig_deinit(&rig);
}

TEST(a_call_that_is_given_up_breaks_its_streams_off)
{
    SETUP;
    struct store store;
    struct client client;
    store_init(&store, &rig, TYPE);
    start(&client, &rig, 0);
    CHECK_OK(wisp_wrpc_writer_write(client.data, WISP_STR("some"), &rig.err), &rig.err);
    AWAIT(&rig.loop, store.n_bytes);
    if (!client.n) wisp_wrpc_call_cancel(client.call);
    wisp_wrpc_value_close(client.type->result, &client.result);
    wisp_wrpc_writer_abort(client.data);
    AWAIT(&rig.loop, !store.data);
    CHECK_INT(store.state, WISP_WRPC_READING_FAILED);
    wisp_wrpc_writer_abort(store.names);
    wisp_wrpc_service_free(store.service);
    rig_deinit(&rig);
}

TEST(the_end_of_the_lattice_breaks_streams_off)
{
    SETUP;
    struct store store;
    struct client client;
    struct wisp_str name;
    store_init(&store, &rig, TYPE);
    start(&client, &rig, 0);
    AWAIT(&rig.loop, client.n);
    wisp_wrpc_service_free(store.service);
    wisp_wrpc_free(WISP_TAKE(rig.callee.wrpc));
    wisp_wrpc_free(WISP_TAKE(rig.caller.wrpc));
    CHECK(wisp_wrpc_writer_is_closed(client.data) && wisp_wrpc_writer_is_closed(store.names));
    CHECK_NEXT(&rig, client.result.ok.names, &name, FAILED);
    AWAIT(&rig.loop, !store.data);
    CHECK_INT(store.state, WISP_WRPC_READING_FAILED);
    wisp_wrpc_writer_abort(client.data);
    wisp_wrpc_writer_abort(store.names);
    wisp_wrpc_value_close(client.type->result, &client.result);
    rig_deinit(&rig);
}

/* --- by hand --- */

TEST(the_caller_against_a_callee_by_hand)
{
    SETUP;
    struct client client;
    struct wisp_str name;
    struct status status;
    listen_by_hand(&rig, SUBJECT);
    listen_by_hand(&rig, "S.>");
    start(&client, &rig, 5000);
    CHECK_OK(wisp_wrpc_writer_write(client.data, WISP_STR("abc"), &rig.err), &rig.err);
    wisp_wrpc_writer_end(client.data);
    AWAIT(&rig.loop, rig.n_heard);
    CHECK_HAS(heard(&rig), " 017800\n");
    char caller[256], results[300];
    strcpy(caller, heard_reply(&rig));
    forget(&rig);
    /* Early bytes, and stray ends on the way to a path. */
    snprintf(results, sizeof results, "%s.results.0", caller);
    say(&rig, results, "", "");
    snprintf(results, sizeof results, "%s.results.0.0", caller);
    say(&rig, results, "", "02 01 \"a\" 01");
    say(&rig, caller, "S", "");
    AWAIT(&rig.loop, heard_on(&rig, "S.params.1") == 2);
    CHECK_HAS(heard(&rig), "S.params \nS.params.1 0361626300\nS.params.1 \n");
    snprintf(results, sizeof results, "%s.results", caller);
    say(&rig, results, "", "00 00 00");
    say(&rig, results, "", "");
    AWAIT(&rig.loop, client.n);
    CHECK_INT(client.err.kind, 0);
    snprintf(results, sizeof results, "%s.results.0.0", caller);
    say(&rig, results, "", "\"b\" 00");
    say(&rig, results, "", "");
    CHECK_NEXT(&rig, client.result.ok.names, &name, ITEM);
    CHECK_STR(name, "a");
    CHECK_NEXT(&rig, client.result.ok.names, &name, ITEM);
    CHECK_STR(name, "b");
    CHECK_NEXT(&rig, client.result.ok.names, &name, END);
    snprintf(results, sizeof results, "%s.results.0.1", caller);
    say(&rig, results, "", "01 02 \"no\"");
    CHECK_NEXT(&rig, client.result.ok.status, &status, ITEM);
    CHECK_STR(status.text, "no");
    wisp_wrpc_value_close(client.type->result, &client.result);
    rig_deinit(&rig);
}

TEST(inline_forms_are_understood)
{
    SETUP;
    struct client client;
    struct wisp_str name;
    struct status status;
    listen_by_hand(&rig, SUBJECT);
    start(&client, &rig, 5000);
    wisp_wrpc_writer_end(client.data);
    AWAIT(&rig.loop, rig.n_heard);
    char caller[256], results[300];
    strcpy(caller, heard_reply(&rig));
    snprintf(results, sizeof results, "%s.results", caller);
    say(&rig, caller, "S", "");
    say(&rig, results, "", "00 02 01 \"a\" 02");
    say(&rig, results, "", "\"bc\" 01 01 01");
    say(&rig, results, "", "\"n\"");
    say(&rig, results, "", "");
    AWAIT(&rig.loop, client.n);
    CHECK_INT(client.err.kind, 0);
    CHECK_NEXT(&rig, client.result.ok.names, &name, ITEM);
    CHECK_STR(name, "a");
    CHECK_NEXT(&rig, client.result.ok.names, &name, ITEM);
    CHECK_STR(name, "bc");
    CHECK_NEXT(&rig, client.result.ok.names, &name, END);
    CHECK_NEXT(&rig, client.result.ok.status, &status, ITEM);
    CHECK_INT(status.is_err, 1);
    CHECK_STR(status.text, "n");
    wisp_wrpc_value_close(client.type->result, &client.result);
    rig_deinit(&rig);
}

TEST(the_callee_against_a_caller_by_hand)
{
    SETUP;
    struct store store;
    store_init(&store, &rig, TYPE);
    listen_by_hand(&rig, "C.>");
    listen_by_hand(&rig, "C");
    say(&rig, SUBJECT, "C", "01 \"x\" 00");
    AWAIT(&rig.loop, store.n_calls && heard_on(&rig, "C.results") == 2);
    CHECK_HAS(heard(&rig), "C.results 000000\nC.results \n");
    char path[300];
    snprintf(path, sizeof path, "%s.params.1", heard_reply(&rig));
    say(&rig, path, "", "03 01 02");
    say(&rig, path, "", "03 01");
    say(&rig, path, "", "04 00");
    say(&rig, path, "", "");
    CHECK_OK(wisp_wrpc_writer_put(store.names, &WISP_STR("n1"), &rig.err), &rig.err);
    CHECK_OK(wisp_wrpc_writer_put(store.names, &WISP_STR("n2"), &rig.err), &rig.err);
    wisp_wrpc_writer_end(store.names);
    AWAIT(&rig.loop, heard_on(&rig, "C.results.0.1") == 2 && heard_on(&rig, "C.results.0.0") == 2);
    CHECK_INT(store.n_bytes, 4);
    CHECK_INT(store.sum, 10);
    CHECK_HAS(heard(&rig), "C.results.0.0 01026e3101026e3200\nC.results.0.0 \n");
    CHECK_HAS(heard(&rig), "C.results.0.1 00\nC.results.0.1 \n");
    AWAIT(&rig.loop, wisp_wrpc_service_in_flight(store.service) == 0);
    wisp_wrpc_service_free(store.service);
    rig_deinit(&rig);
}

/* --- streams in lists and in streams --- */

static void on_nested(struct wisp_wrpc_incoming *incoming, const void *args, void *env)
{
    struct store *store = env;
    memcpy(&store->kept, &incoming, sizeof incoming);
    store->data = *(struct wisp_wrpc_reader *const *)args;
    store->n_calls++;
}

static void on_nested_result(const void *result, const struct wisp_err *err, void *env)
{
    CHECK_OK(err ? -1 : 0, err);
    memcpy(env, result, 2 * sizeof(void *));
}

TEST(streams_within_streams_and_lists)
{
    SETUP;
    struct store store = {.rig = &rig, .type = func_of(&rig.arena, "(stream<stream<u8>>) -> list<future<u32>>")};
    const struct wisp_type *inner = store.type->params[0].type->element;
    const struct wisp_type *future = store.type->result->element;
    struct {
        struct wisp_wrpc_reader **ptr;
        size_t len;
    } got = {0};
    struct wisp_wrpc_call *call;
    struct wisp_wrpc_target target = {.id = WISP_STR("store"), .function = copy, .timeout_ms = 5000};
    CHECK_OK(wisp_wrpc_service_new(&store.service, rig.callee.wrpc, WISP_STR("store"), &rig.err), &rig.err);
    CHECK_OK(wisp_wrpc_service_add(store.service, &copy, store.type, on_nested, &store, &rig.err), &rig.err);
    settle(&rig, &rig.callee.bus);
    void *outer = wisp_wrpc_writer_new(store.type->params[0].type);
    CHECK_OK(wisp_wrpc_call_start(rig.caller.wrpc, &target, store.type, &outer, &rig.arena, on_nested_result, &got,
                                  &call, &rig.err),
             &rig.err);
    for (int i = 0; i < 20; i++) {
        void *one = wisp_wrpc_writer_new(inner);
        char text[2] = {(char)('a' + i), '\0'};
        CHECK_OK(wisp_wrpc_writer_put(outer, &one, &rig.err), &rig.err);
        CHECK_OK(wisp_wrpc_writer_write(one, wisp_str_from(text), &rig.err), &rig.err);
        wisp_wrpc_writer_end(one);
    }
    wisp_wrpc_writer_end(outer);
    AWAIT(&rig.loop, store.n_calls);
    settle(&rig, &rig.caller.bus);
    settle(&rig, &rig.callee.bus);
    for (int i = 0; i < 20; i++) {
        struct wisp_wrpc_reader *one;
        struct wisp_str bytes;
        enum wisp_wrpc_reading state;
        CHECK_NEXT(&rig, store.data, &one, ITEM);
        AWAIT(&rig.loop, (state = wisp_wrpc_reader_peek(one, &bytes, &rig.err)) != WISP_WRPC_READING_WAIT);
        CHECK_INT(state, WISP_WRPC_READING_ITEM);
        CHECK_INT(bytes.ptr[0], 'a' + i);
        wisp_wrpc_reader_consume(one, 1);
        AWAIT(&rig.loop, (state = wisp_wrpc_reader_peek(one, &bytes, &rig.err)) != WISP_WRPC_READING_WAIT);
        CHECK_INT(state, WISP_WRPC_READING_END);
        wisp_wrpc_reader_close(one);
    }
    void *ignored;
    CHECK_NEXT(&rig, store.data, &ignored, END);
    wisp_wrpc_reader_close(store.data);
    void *futures[] = {wisp_wrpc_writer_new(future), wisp_wrpc_writer_new(future)};
    struct {
        void **ptr;
        size_t len;
    } result = {futures, 2};
    CHECK_OK(wisp_wrpc_incoming_finish(store.kept, &result, &rig.err), &rig.err);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_OK(wisp_wrpc_writer_put(futures[i], &i, &rig.err), &rig.err);
        wisp_wrpc_writer_end(futures[i]);
    }
    AWAIT(&rig.loop, got.len == 2);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t number = 7;
        CHECK_NEXT(&rig, got.ptr[i], &number, ITEM);
        CHECK_INT(number, i);
        wisp_wrpc_reader_close(got.ptr[i]);
    }
    AWAIT(&rig.loop, wisp_wrpc_service_in_flight(store.service) == 0);
    wisp_wrpc_service_free(store.service);
    rig_deinit(&rig);
}
