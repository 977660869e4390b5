/* SPDX-License-Identifier: Apache-2.0 */
/* wasmcloud:messaging@0.3.0 as guests call it, down to a consumer that keeps what it is asked. */
#include "capability/kinds.h"
#include "capability/messaging/guest.h"
#include "capability/messaging/messaging.h"
#include "provider/outside.h"
#include "wasi/test_double.h"

static struct {
    struct wisp_err failure; /* instead of an answer */
    const char *refuses;     /* likewise, by the provider */
    int ends_with;           /* likewise: the guest is being ended */
    char subject[64], body[64];
    uint32_t timeout_ms;
    unsigned n_requests, n_publications;
} consumer;

static int ask_consumer(struct wisp_call *call, const struct wisp_provider_interface *interface,
                        const struct wisp_provider_func *func, const void *args, void *result, struct wisp_err *err)
{
    (void)call;
    CHECK(interface == &wisp_messaging_consumer);
    bool is_request = func == &interface->funcs[WISP_MESSAGING_VERB_REQUEST];
    const struct wisp_messaging_request_args *request = args; /* both begin with subject and body */
    snprintf(consumer.subject, sizeof consumer.subject, "%.*s", WISP_STR_ARG(request->subject));
    snprintf(consumer.body, sizeof consumer.body, "%.*s", (int)request->body.len, (const char *)request->body.ptr);
    if (consumer.ends_with) return consumer.ends_with;
    if (consumer.failure.kind) {
        *err = consumer.failure;
        return WISP_OUTSIDE_FAILED;
    }
    if (is_request) {
        struct wisp_messaging_request_result *answer = result;
        consumer.n_requests++;
        consumer.timeout_ms = request->timeout_ms;
        *answer = (struct wisp_messaging_request_result){
            .message = {.subject = WISP_STR("inbox"), .body = {(const uint8_t *)"pong", 4}, {1, WISP_STR("again")}}};
        if (consumer.refuses)
            *answer = (struct wisp_messaging_request_result){.is_err = 1, .error = wisp_str_from(consumer.refuses)};
    } else {
        consumer.n_publications++;
        *(struct wisp_messaging_result *)result =
            (struct wisp_messaging_result){consumer.refuses != NULL, wisp_str_from(consumer.refuses)};
    }
    return 0;
}

/* No arguments, no result. */
static struct {
} nothing;
#define NOTHING (&nothing)

static const struct wisp_outside outside = {.call = ask_consumer};

static void begin(void)
{
    fake_start();
    fake.wasi.outside = &outside;
}

static struct wisp_messaging_message *message_of(const char *text)
{
    struct wisp_messaging_message *message;
    struct wisp_bytes bytes = {(const uint8_t *)text, strlen(text)};
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[constructor]message", &bytes, &message), 0);
    return message;
}

static void *connect_as(const char *name)
{
    struct wisp_messaging_connect_result connected;
    struct wisp_str text = wisp_str_from(name);
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[static]client.connect", &text, &connected), 0);
    return connected.is_err ? NULL : connected.client;
}

static struct wisp_messaging_done send_to(void *client, const char *topic, const char *text)
{
    struct wisp_messaging_done done;
    struct wisp_messaging_send_args args = {client, wisp_str_from(topic), message_of(text)};
    CHECK_INT(INVOKE(wisp_messaging_guest_producer, "send", &args, &done), 0);
    return done;
}

static void drop(size_t resource, void *rep) { wisp_messaging_guest_types.resources[resource].drop(rep, &fake.wasi); }
enum { CLIENT, MESSAGE };

TEST(sending)
{
    begin();
    CHECK(!connect_as("other"));
    void *client = connect_as("");
    CHECK(client);
    CHECK_INT(send_to(client, "news", "sun").is_err, 0);
    CHECK_TEXT(consumer.subject, "news");
    CHECK_TEXT(consumer.body, "sun");
    consumer.refuses = "no";
    struct wisp_messaging_done done = send_to(client, "news", "sun");
    CHECK_INT(done.error.tag, WISP_MESSAGING_ERROR_OTHER);
    CHECK_STR(done.error.text, "no");
    wisp_err_set(&consumer.failure, WISP_ERR_NOT_FOUND, "nothing is linked");
    done = send_to(client, "news", "sun");
    CHECK_INT(done.error.tag, WISP_MESSAGING_ERROR_CONNECTION);
    CHECK_STR(done.error.text, "nothing is linked");
    consumer.ends_with = -7;
    struct wisp_messaging_send_args args = {client, WISP_STR("news"), message_of("x")};
    CHECK_INT(INVOKE(wisp_messaging_guest_producer, "send", &args, &done), -7);
    drop(CLIENT, client);
    fake_stop();
}

TEST(requests_and_replies)
{
    begin();
    void *client = connect_as("default"), *options;
    struct wisp_messaging_replies replies;
    struct wisp_messaging_ask_args ask = {client, WISP_STR("ping"), message_of("hello"), {0, NULL}};
    CHECK_INT(INVOKE(wisp_messaging_guest_request, "request", &ask, &replies), 0);
    CHECK_INT(replies.is_err, 0);
    CHECK_INT(replies.messages.n, 1);
    CHECK_INT(consumer.timeout_ms, UINT32_MAX);
    struct wisp_messaging_message *answer = replies.messages.list[0];
    struct wisp_bytes data;
    struct wisp_messaging_text_option text;
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.data", &answer, &data), 0);
    CHECK_STR(((struct wisp_str){(const char *)data.ptr, data.len}), "pong");
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.topic", &answer, &text), 0);
    CHECK_STR(text.text, "inbox");

    struct wisp_messaging_done done;
    struct wisp_messaging_reply_args reply = {answer, message_of("and then")};
    CHECK_INT(INVOKE(wisp_messaging_guest_request, "reply", &reply, &done), 0);
    CHECK_INT(done.is_err, 0);
    CHECK_TEXT(consumer.subject, "again");
    reply = (struct wisp_messaging_reply_args){ask.message, message_of("x")};
    CHECK_INT(INVOKE(wisp_messaging_guest_request, "reply", &reply, &done), 0);
    CHECK_HAS(done.error.text.ptr, "nobody waits");

    struct {
        void *options;
        uint32_t value;
    } set;
    for (int several = 0; several < 2; several++) {
        CHECK_INT(INVOKE(wisp_messaging_guest_request, "[constructor]request-options", NOTHING, &options), 0);
        set.options = options;
        set.value = 1234;
        CHECK_INT(INVOKE(wisp_messaging_guest_request, "[method]request-options.set-timeout-ms", &set, NOTHING), 0);
        set.value = several ? 2 : 1;
        CHECK_INT(INVOKE(wisp_messaging_guest_request, "[method]request-options.set-expected-replies", &set, NOTHING),
                  0);
        ask.options.is_some = 1;
        ask.options.options = options;
        CHECK_INT(INVOKE(wisp_messaging_guest_request, "request", &ask, &replies), 0);
        CHECK_INT(replies.is_err, several);
        if (!several) drop(MESSAGE, replies.messages.list[0]);
    }
    CHECK_INT(consumer.timeout_ms, 1234);
    CHECK_INT(consumer.n_requests, 2);
    ask.options.is_some = 0;
    wisp_err_set(&consumer.failure, WISP_ERR_TIMEOUT, "late");
    CHECK_INT(INVOKE(wisp_messaging_guest_request, "request", &ask, &replies), 0);
    CHECK_INT(replies.error.tag, WISP_MESSAGING_ERROR_TIMEOUT);
    drop(MESSAGE, answer);
    drop(MESSAGE, ask.message);
    drop(CLIENT, client);
    fake_stop();
}

struct set_args {
    struct wisp_messaging_message *message;
    struct wisp_str value;
};
struct pair_args {
    struct wisp_messaging_message *message;
    struct wisp_str key, value;
};
struct metadata_option {
    uint32_t is_some;
    struct wisp_messaging_metadata metadata;
};

TEST(what_a_message_holds)
{
    begin();
    struct wisp_messaging_message *message = message_of("one");
    struct wisp_messaging_text_option type;
    struct metadata_option metadata;
    struct wisp_messaging_done done;
    void *client = connect_as("");
    struct set_args set = {message, WISP_STR("text/plain")};
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.content-type", &message, &type), 0);
    CHECK_INT(type.is_some, 0);
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.set-content-type", &set, NOTHING), 0);
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.content-type", &message, &type), 0);
    CHECK_STR(type.text, "text/plain");
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.metadata", &message, &metadata), 0);
    CHECK_INT(metadata.is_some, 0);
    const char *const pairs[][2] = {{"a", "1"}, {"b", "2"}, {"a", "3"}};
    for (size_t i = 0; i < WISP_COUNT(pairs); i++) {
        struct pair_args args = {message, wisp_str_from(pairs[i][0]), wisp_str_from(pairs[i][1])};
        CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.add-metadata", &args, NOTHING), 0);
    }
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.metadata", &message, &metadata), 0);
    CHECK_INT(metadata.metadata.n, 2);
    CHECK_STR(metadata.metadata.list[0].value, "3");
    set.value = WISP_STR("a");
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.remove-metadata", &set, NOTHING), 0);
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.metadata", &message, &metadata), 0);
    CHECK_INT(metadata.metadata.n, 1);
    CHECK_STR(metadata.metadata.list[0].key, "b");
    struct wisp_messaging_send_args send = {client, WISP_STR("s"), message};
    CHECK_INT(INVOKE(wisp_messaging_guest_producer, "send", &send, &done), 0);
    CHECK_HAS(done.error.text.ptr, "metadata");
    drop(CLIENT, client);
    fake_stop();
}

/* --- messages to components --- */

static struct wisp_messaging_message *enter(const struct wisp_broker_message *wire)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_messaging_message *message;
    struct wisp_err err = {0};
    CHECK_OK(wisp_messaging_inside_handler.enter(wire, &arena, &message, &err), &err);
    return message;
}

TEST(a_message_becomes_an_object)
{
    begin();
    const struct wisp_broker_message wire = {
        .subject = WISP_STR("news"), .body = {(const uint8_t *)"sun", 3}, .reply_to = {1, WISP_STR("inbox")}};
    struct wisp_messaging_message *message = enter(&wire);
    struct wisp_messaging_text_option topic;
    struct wisp_bytes data;
    struct wisp_messaging_done done;
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.topic", &message, &topic), 0);
    CHECK_STR(topic.text, "news");
    CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.data", &message, &data), 0);
    CHECK_STR(((struct wisp_str){(const char *)data.ptr, data.len}), "sun");
    struct wisp_messaging_reply_args reply = {message, message_of("thanks")};
    CHECK_INT(INVOKE(wisp_messaging_guest_request, "reply", &reply, &done), 0);
    CHECK_TEXT(consumer.subject, "inbox");
    drop(MESSAGE, message);
    /* No guest got it. */
    message = enter(&wire);
    wisp_messaging_inside_handler.drop(&message);
    fake_stop();
}

TEST(what_components_say_of_messages)
{
    static const struct {
        struct wisp_messaging_done done;
        const char *text;
    } cases[] = {
        {{0}, NULL},
        {{1, {WISP_MESSAGING_ERROR_TIMEOUT, {0}}}, "timeout"},
        {{1, {WISP_MESSAGING_ERROR_CONNECTION, WISP_STR_INIT("no")}}, "connection: no"},
        {{1, {WISP_MESSAGING_ERROR_DENIED, WISP_STR_INIT("no")}}, "permission denied: no"},
        {{1, {WISP_MESSAGING_ERROR_OTHER, WISP_STR_INIT("no")}}, "no"},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
        struct wisp_messaging_result result;
        wisp_messaging_inside_handler.leave(&cases[i].done, &arena, &result);
        CHECK_INT(result.is_err, cases[i].text != NULL);
        if (cases[i].text) CHECK_STR(result.error, cases[i].text);
    }
}

/* The host's memory is not the guest's: it ends somewhere, and what is replaced or dropped is free again. */
TEST(too_much)
{
    begin();
    enum { SIZE = 64 << 20 };
    char *much = calloc(1, SIZE);
    struct {
        struct wisp_messaging_message *message;
        struct wisp_str data;
    } set = {message_of("x"), {much, SIZE}};
    for (int i = 0; i < 20; i++)
        CHECK_INT(INVOKE(wisp_messaging_guest_types, "[method]message.set-data", &set, NOTHING), 0);
    struct wisp_messaging_message *more[4];
    size_t n = 0;
    int r = 0;
    for (; n < WISP_COUNT(more); n++) {
        more[n] = NULL;
        struct wisp_bytes bytes = {(const uint8_t *)much, SIZE};
        r = INVOKE(wisp_messaging_guest_types, "[constructor]message", &bytes, &more[n]);
        if (r < 0) break;
    }
    CHECK(r < 0);
    CHECK_HAS(fake.trap, "256 MiB");
    for (size_t i = 0; i < n; i++) drop(MESSAGE, more[i]);
    drop(MESSAGE, set.message);
    drop(MESSAGE, message_of("x"));
    free(much);
    fake_stop();
}
