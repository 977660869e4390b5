/* SPDX-License-Identifier: Apache-2.0 */
/* wasmcloud:messaging@0.3.0 as guests see it, made of the functions of 0.2.0's consumer: a client is the link, a
 * message is what has been put into it. Brokers behind the consumer know no metadata, so a message that has some is
 * refused; a request brings one reply. */
#include "capability/messaging/guest.h"

#include "capability/kinds.h"
#include "capability/messaging/messaging.h"
#include "provider/inside.h"
#include "provider/outside.h"
#include "wasi/app.h"

#include <stdlib.h>

enum {
    /* What all messages of this process's guests may take. They are outside of the guests' own memory. */
    MESSAGES_BYTES_MAX = 256 << 20,
    METADATA_MAX = 1000, /* pairs of a message */
};

struct client {
    struct wisp_str link_name; /* behind the struct */
};

/* Its owner's; NULL: there is none. */
struct text {
    char *ptr;
    size_t len;
};

struct wisp_messaging_message {
    struct text data, topic, content_type;
    struct text reply_to; /* none: nobody waits for a reply */
    bool has_metadata;
    struct pair {
        struct text key, value;
    } *pairs;
    size_t n_pairs;
};

struct options {
    uint32_t timeout_ms, n_replies;
};

static size_t messages_bytes; /* one thread runs guests */

/* --- messages --- */

static bool charge(size_t size)
{
    if (size > MESSAGES_BYTES_MAX - messages_bytes) return false;
    messages_bytes += size;
    return true;
}

static void free_text(struct text *text)
{
    messages_bytes -= text->ptr ? text->len : 0;
    free(text->ptr);
    *text = (struct text){0};
}

/* A copy in the place of what was there; false when that would be too much. */
static bool set_text(struct text *text, struct wisp_str to)
{
    if (!charge(to.len)) return false;
    free_text(text);
    *text = (struct text){wisp_mem_dup(to), to.len};
    return true;
}

static struct wisp_str str_of(const struct text *text) { return (struct wisp_str){text->ptr, text->len}; }
static struct wisp_messaging_text_option option_of(const struct text *text)
{
    return (struct wisp_messaging_text_option){text->ptr != NULL, str_of(text)};
}
static struct wisp_str str_of_bytes(struct wisp_bytes bytes)
{
    return (struct wisp_str){(const char *)bytes.ptr, bytes.len};
}

static void free_pairs(struct wisp_messaging_message *message)
{
    for (size_t i = 0; i < message->n_pairs; i++) {
        free_text(&message->pairs[i].key);
        free_text(&message->pairs[i].value);
    }
    messages_bytes -= message->n_pairs * sizeof *message->pairs;
    message->n_pairs = 0;
}

static void free_message(struct wisp_messaging_message *message)
{
    if (!message) return;
    free_text(&message->data);
    free_text(&message->topic);
    free_text(&message->content_type);
    free_text(&message->reply_to);
    free_pairs(message);
    free(message->pairs);
    free(message);
    messages_bytes -= sizeof *message;
}

static void drop_message(void *rep, void *context)
{
    (void)context;
    free_message(rep);
}

static struct wisp_messaging_message *new_message(void)
{
    return charge(sizeof(struct wisp_messaging_message)) ? wisp_mem_calloc(1, sizeof(struct wisp_messaging_message))
                                                         : NULL;
}

/* NULL: that would be too much. */
static struct wisp_messaging_message *message_from(const struct wisp_broker_message *wire)
{
    struct wisp_messaging_message *message = new_message();
    if (message && set_text(&message->data, str_of_bytes(wire->body)) && set_text(&message->topic, wire->subject) &&
        (!wire->reply_to.is_some || set_text(&message->reply_to, wire->reply_to.subject)))
        return message;
    free_message(message);
    return NULL;
}

static int trap_full(struct wisp_call *call)
{
    return wisp_call_trap(call, "messages take more than %d MiB", MESSAGES_BYTES_MAX >> 20);
}

static int message_new(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_bytes *data = args;
    struct wisp_messaging_message *message = new_message();
    if (!message || !set_text(&message->data, str_of_bytes(*data))) {
        free_message(message);
        return trap_full(call);
    }
    *(struct wisp_messaging_message **)result = message;
    return 0;
}

static int message_topic(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_messaging_message *const *message = args;
    *(struct wisp_messaging_text_option *)result = option_of(&(*message)->topic);
    return 0;
}

static int message_content_type(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_messaging_message *const *message = args;
    *(struct wisp_messaging_text_option *)result = option_of(&(*message)->content_type);
    return 0;
}

struct set_args {
    struct wisp_messaging_message *message;
    struct wisp_str value; /* or bytes */
};

static int message_set_content_type(struct wisp_call *call, const void *args, void *result)
{
    const struct set_args *set = args;
    (void)result;
    return set_text(&set->message->content_type, set->value) ? 0 : trap_full(call);
}

static int message_data(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_messaging_message *const *message = args;
    *(struct wisp_bytes *)result = (struct wisp_bytes){(const uint8_t *)(*message)->data.ptr, (*message)->data.len};
    return 0;
}

static int message_set_data(struct wisp_call *call, const void *args, void *result)
{
    const struct set_args *set = args;
    (void)result;
    return set_text(&set->message->data, set->value) ? 0 : trap_full(call);
}

struct metadata_option {
    uint32_t is_some;
    struct wisp_messaging_metadata metadata;
};

static int message_metadata(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_messaging_message *message = *(struct wisp_messaging_message *const *)args;
    struct metadata_option *option = result;
    struct wisp_messaging_pair *list = WISP_NEW_ARRAY(call->arena, struct wisp_messaging_pair, message->n_pairs);
    for (size_t i = 0; i < message->n_pairs; i++)
        list[i] = (struct wisp_messaging_pair){str_of(&message->pairs[i].key), str_of(&message->pairs[i].value)};
    *option = (struct metadata_option){message->has_metadata, {list, message->n_pairs}};
    return 0;
}

static struct pair *find_pair(struct wisp_messaging_message *message, struct wisp_str key)
{
    for (size_t i = 0; i < message->n_pairs; i++)
        if (wisp_str_equal(str_of(&message->pairs[i].key), key)) return &message->pairs[i];
    return NULL;
}

static int put_pair(struct wisp_call *call, struct wisp_messaging_message *message, struct wisp_str key,
                    struct wisp_str value)
{
    struct pair *pair = find_pair(message, key);
    message->has_metadata = true;
    if (!pair) {
        if (message->n_pairs == METADATA_MAX)
            return wisp_call_trap(call, "more than %d pairs of metadata", METADATA_MAX);
        if (!charge(sizeof *pair)) return trap_full(call);
        message->pairs = wisp_mem_realloc(message->pairs, (message->n_pairs + 1) * sizeof *pair);
        pair = &message->pairs[message->n_pairs++];
        *pair = (struct pair){0};
        if (!set_text(&pair->key, key)) return trap_full(call);
    }
    return set_text(&pair->value, value) ? 0 : trap_full(call);
}

struct pair_args {
    struct wisp_messaging_message *message;
    struct wisp_str key, value;
};

static int message_add_metadata(struct wisp_call *call, const void *args, void *result)
{
    const struct pair_args *add = args;
    (void)result;
    return put_pair(call, add->message, add->key, add->value);
}

struct metadata_args {
    struct wisp_messaging_message *message;
    struct wisp_messaging_metadata metadata;
};

static int message_set_metadata(struct wisp_call *call, const void *args, void *result)
{
    const struct metadata_args *set = args;
    (void)result;
    free_pairs(set->message);
    set->message->has_metadata = true;
    for (size_t i = 0; i < set->metadata.n; i++) {
        int r = put_pair(call, set->message, set->metadata.list[i].key, set->metadata.list[i].value);
        if (r < 0) return r;
    }
    return 0;
}

static int message_remove_metadata(struct wisp_call *call, const void *args, void *result)
{
    const struct set_args *given = args;
    struct wisp_messaging_message *message = given->message;
    struct pair *pair = find_pair(message, given->value);
    (void)call;
    (void)result;
    if (!pair) return 0;
    free_text(&pair->key);
    free_text(&pair->value);
    messages_bytes -= sizeof *pair;
    memmove(pair, pair + 1, (size_t)(message->pairs + message->n_pairs - (pair + 1)) * sizeof *pair);
    message->n_pairs--;
    return 0;
}

/* --- clients --- */

static void drop_plain(void *rep, void *context)
{
    (void)context;
    free(rep);
}

static struct wisp_messaging_error other(const char *text)
{
    return (struct wisp_messaging_error){WISP_MESSAGING_ERROR_OTHER, wisp_str_from(text)};
}

/* The name is the link's that the guest has chosen; none means the default one. */
static int client_connect(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_str *given = args, name = given->len ? *given : WISP_STR("default");
    struct wisp_messaging_connect_result *connected = result;
    struct wisp_str chosen = wisp_wasi_link_name(call->context, WISP_STR("wasmcloud:messaging/consumer"));
    *connected = (struct wisp_messaging_connect_result){
        .is_err = 1,
        .error = {WISP_MESSAGING_ERROR_CONNECTION, WISP_STR("the client's name is not that of the link in use")}};
    if (!wisp_str_equal(name, chosen)) return 0;
    struct client *client = wisp_mem_alloc(sizeof *client + name.len);
    memcpy(client + 1, name.ptr, name.len);
    client->link_name = (struct wisp_str){(char *)(client + 1), name.len};
    *connected = (struct wisp_messaging_connect_result){.client = client};
    return 0;
}

static int client_disconnect(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    (void)args;
    *(struct wisp_messaging_done *)result = (struct wisp_messaging_done){0};
    return 0;
}

static bool is_in_use(struct wisp_call *call, const struct client *client)
{
    return wisp_str_equal(client->link_name,
                          wisp_wasi_link_name(call->context, WISP_STR("wasmcloud:messaging/consumer")));
}

/* --- sending --- */

static struct wisp_messaging_error error_of(struct wisp_call *call, const struct wisp_err *err)
{
    struct wisp_str text = wisp_str_from(wisp_arena_printf(call->arena, "%s", err->text));
    if (!wisp_str_is_utf8(text)) text = WISP_STR("the provider failed");
    uint32_t tag = WISP_MESSAGING_ERROR_OTHER;
    if (err->kind == WISP_ERR_TIMEOUT) return (struct wisp_messaging_error){.tag = WISP_MESSAGING_ERROR_TIMEOUT};
    if (err->kind == WISP_ERR_DENIED) tag = WISP_MESSAGING_ERROR_DENIED;
    if (err->kind == WISP_ERR_NOT_FOUND || err->kind == WISP_ERR_UNAVAILABLE) tag = WISP_MESSAGING_ERROR_CONNECTION;
    return (struct wisp_messaging_error){tag, text};
}

static struct wisp_bytes data_of(const struct wisp_messaging_message *message)
{
    return (struct wisp_bytes){(const uint8_t *)message->data.ptr, message->data.len};
}

static int publish(struct wisp_call *call, struct wisp_str topic, const struct wisp_messaging_message *message,
                   struct wisp_messaging_done *done)
{
    struct wisp_broker_message wire = {.subject = topic, .body = data_of(message)};
    struct wisp_messaging_result result = {0};
    struct wisp_err err;
    *done = (struct wisp_messaging_done){.is_err = 1, .error = other("a message with metadata can't be sent")};
    if (message->n_pairs) return 0;
    int r = wisp_outside_call(call, &wisp_messaging_consumer,
                              &wisp_messaging_consumer.funcs[WISP_MESSAGING_VERB_PUBLISH], &wire, &result, &err);
    if (r < 0) return r;
    if (r == WISP_OUTSIDE_FAILED)
        done->error = error_of(call, &err);
    else if (result.is_err)
        done->error = (struct wisp_messaging_error){WISP_MESSAGING_ERROR_OTHER, result.error};
    else
        *done = (struct wisp_messaging_done){0};
    return 0;
}

static int send_message(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_messaging_send_args *send = args;
    struct wisp_messaging_message *message = send->message;
    struct wisp_messaging_done *done = result;
    int r = 0;
    if (is_in_use(call, send->client))
        r = publish(call, send->topic, message, done);
    else
        *done = (struct wisp_messaging_done){1, other("the guest uses another link now")};
    free_message(message);
    return r;
}

static int reply(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_messaging_reply_args *given = args;
    struct wisp_messaging_message *message = given->message;
    struct wisp_messaging_done *done = result;
    int r = 0;
    if (given->reply_to->reply_to.len)
        r = publish(call, str_of(&given->reply_to->reply_to), message, done);
    else
        *done = (struct wisp_messaging_done){1, other("nobody waits for a reply to this message")};
    free_message(message);
    return r;
}

/* --- asking --- */

static int options_new(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    (void)args;
    struct options *options = wisp_mem_alloc(sizeof *options);
    *options = (struct options){.timeout_ms = UINT32_MAX, .n_replies = 1};
    *(struct options **)result = options;
    return 0;
}

struct option_args {
    struct options *options;
    uint32_t value;
};

static int set_timeout(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    (void)result;
    const struct option_args *set = args;
    set->options->timeout_ms = set->value;
    return 0;
}

static int set_expected_replies(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    (void)result;
    const struct option_args *set = args;
    set->options->n_replies = set->value;
    return 0;
}

static int take_reply(struct wisp_call *call, const struct wisp_broker_message *wire,
                      struct wisp_messaging_replies *replies)
{
    struct wisp_messaging_message *message = message_from(wire);
    if (!message) return trap_full(call);
    struct wisp_messaging_message **list = WISP_NEW(call->arena, struct wisp_messaging_message *);
    *list = message;
    *replies = (struct wisp_messaging_replies){.messages = {list, 1}};
    return 0;
}

/* Without a time limit it takes as long as the guest may. */
static int request(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_messaging_ask_args *ask = args;
    struct wisp_messaging_replies *replies = result;
    struct options options = {.timeout_ms = UINT32_MAX, .n_replies = 1};
    if (ask->options.is_some) {
        options = *(const struct options *)ask->options.options;
        free(ask->options.options);
    }
    *replies = (struct wisp_messaging_replies){.is_err = 1, .error = other("a message with metadata can't be sent")};
    if (ask->message->n_pairs) return 0;
    replies->error = other("a request brings one reply, not several");
    if (options.n_replies > 1) return 0;
    replies->error = other("the guest uses another link now");
    if (!is_in_use(call, ask->client)) return 0;
    struct wisp_messaging_request_args wire = {ask->topic, data_of(ask->message), options.timeout_ms};
    struct wisp_messaging_request_result answer = {0};
    struct wisp_err err;
    int r = wisp_outside_call(call, &wisp_messaging_consumer,
                              &wisp_messaging_consumer.funcs[WISP_MESSAGING_VERB_REQUEST], &wire, &answer, &err);
    if (r < 0) return r;
    if (r == WISP_OUTSIDE_FAILED)
        replies->error = error_of(call, &err);
    else if (answer.is_err)
        replies->error = (struct wisp_messaging_error){WISP_MESSAGING_ERROR_OTHER, answer.error};
    else
        return take_reply(call, &answer.message, replies);
    return 0;
}

/* --- tables --- */

static const char *const types[] = {"messaging-error = variant{_, string, string, string}",
                                    "metadata = list<tuple<string, string>>", NULL};

static const struct wisp_host_func types_funcs[] = {
    {"[static]client.connect", "(string) -> result<own<client>, messaging-error>", client_connect,
     WISP_HOST_SIZES(struct wisp_str, struct wisp_messaging_connect_result)},
    {"[method]client.disconnect", "(borrow<client>) -> result<_, messaging-error>", client_disconnect,
     WISP_HOST_SIZES(void *, struct wisp_messaging_done)},
    {"[constructor]message", "(list<u8>) -> own<message>", message_new, WISP_HOST_SIZES(struct wisp_bytes, void *)},
    {"[method]message.topic", "(borrow<message>) -> option<string>", message_topic,
     WISP_HOST_SIZES(void *, struct wisp_messaging_text_option)},
    {"[method]message.content-type", "(borrow<message>) -> option<string>", message_content_type,
     WISP_HOST_SIZES(void *, struct wisp_messaging_text_option)},
    {"[method]message.set-content-type", "(borrow<message>, string)", message_set_content_type, sizeof(struct set_args),
     0},
    {"[method]message.data", "(borrow<message>) -> list<u8>", message_data, WISP_HOST_SIZES(void *, struct wisp_bytes)},
    {"[method]message.set-data", "(borrow<message>, list<u8>)", message_set_data, sizeof(struct set_args), 0},
    {"[method]message.metadata", "(borrow<message>) -> option<metadata>", message_metadata,
     WISP_HOST_SIZES(void *, struct metadata_option)},
    {"[method]message.add-metadata", "(borrow<message>, string, string)", message_add_metadata,
     sizeof(struct pair_args), 0},
    {"[method]message.set-metadata", "(borrow<message>, metadata)", message_set_metadata, sizeof(struct metadata_args),
     0},
    {"[method]message.remove-metadata", "(borrow<message>, string)", message_remove_metadata, sizeof(struct set_args),
     0},
};
static const struct wisp_host_resource types_resources[] = {{.name = "client", .drop = drop_plain},
                                                            {.name = "message", .drop = drop_message}};
const struct wisp_host_interface wisp_messaging_guest_types = {.name = "wasmcloud:messaging/types",
                                                               .version = "0.3.0",
                                                               .funcs = types_funcs,
                                                               .n_funcs = WISP_COUNT(types_funcs),
                                                               .resources = types_resources,
                                                               .n_resources = WISP_COUNT(types_resources),
                                                               .types = types};

static const struct wisp_host_func producer_funcs[] = {
    {"send", "(borrow<client>, string, own<message>) -> result<_, messaging-error>", send_message,
     WISP_HOST_SIZES(struct wisp_messaging_send_args, struct wisp_messaging_done)},
};
const struct wisp_host_interface wisp_messaging_guest_producer = {.name = "wasmcloud:messaging/producer",
                                                                  .version = "0.3.0",
                                                                  .funcs = producer_funcs,
                                                                  .n_funcs = WISP_COUNT(producer_funcs),
                                                                  .types = types};

static const struct wisp_host_func request_funcs[] = {
    {"[constructor]request-options", "() -> own<request-options>", options_new, 0, sizeof(void *)},
    {"[method]request-options.set-timeout-ms", "(borrow<request-options>, u32)", set_timeout,
     sizeof(struct option_args), 0},
    {"[method]request-options.set-expected-replies", "(borrow<request-options>, u32)", set_expected_replies,
     sizeof(struct option_args), 0},
    {"request",
     "(borrow<client>, string, borrow<message>, option<own<request-options>>) -> result<list<own<message>>, "
     "messaging-error>",
     request, WISP_HOST_SIZES(struct wisp_messaging_ask_args, struct wisp_messaging_replies)},
    {"reply", "(borrow<message>, own<message>) -> result<_, messaging-error>", reply,
     WISP_HOST_SIZES(struct wisp_messaging_reply_args, struct wisp_messaging_done)},
};
static const struct wisp_host_resource request_resources[] = {{.name = "request-options", .drop = drop_plain}};
const struct wisp_host_interface wisp_messaging_guest_request = {.name = "wasmcloud:messaging/request-reply",
                                                                 .version = "0.3.0",
                                                                 .funcs = request_funcs,
                                                                 .n_funcs = WISP_COUNT(request_funcs),
                                                                 .resources = request_resources,
                                                                 .n_resources = WISP_COUNT(request_resources),
                                                                 .types = types};

/* --- messages to components --- */

/* (own<message>) -> result<_, messaging-error> */
static bool is_handle_func(const struct wisp_func_type *type)
{
    const struct wisp_type *result = type->result;
    if (type->n_params != 1 || !wisp_inside_is_own(type->params[0].type, &types_resources[1])) return false;
    if (!result || result->kind != WISP_TYPE_RESULT || result->fields[0].type) return false;
    const struct wisp_type *error = result->fields[1].type;
    if (!error || error->kind != WISP_TYPE_VARIANT || error->n_fields != WISP_MESSAGING_N_ERRORS) return false;
    for (uint32_t i = 0; i < WISP_MESSAGING_N_ERRORS; i++) {
        const struct wisp_type *text = error->fields[i].type;
        if (i == WISP_MESSAGING_ERROR_TIMEOUT ? text != NULL : !text || text->kind != WISP_TYPE_STRING) return false;
    }
    return true;
}

static int enter_handler(const void *args, struct wisp_arena *arena, void *ret_args, struct wisp_err *err)
{
    struct wisp_messaging_message *message = message_from(args);
    (void)arena;
    if (!message) return wisp_err_set(err, WISP_ERR_LIMIT, "messages take more than %d MiB", MESSAGES_BYTES_MAX >> 20);
    *(struct wisp_messaging_message **)ret_args = message;
    return 0;
}

static void drop_handler(void *args) { free_message(*(struct wisp_messaging_message **)args); }

static void leave_handler(const void *guest_result, struct wisp_arena *arena, void *ret_result)
{
    const struct wisp_messaging_done *done = guest_result;
    static const char *const kinds[] = {[WISP_MESSAGING_ERROR_TIMEOUT] = "timeout",
                                        [WISP_MESSAGING_ERROR_CONNECTION] = "connection: ",
                                        [WISP_MESSAGING_ERROR_DENIED] = "permission denied: ",
                                        [WISP_MESSAGING_ERROR_OTHER] = ""};
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    struct wisp_messaging_result *result = ret_result;
    *result = (struct wisp_messaging_result){.is_err = done->is_err};
    if (!done->is_err) return;
    wisp_buf_append_str(&text, wisp_str_from(kinds[done->error.tag]));
    if (done->error.tag != WISP_MESSAGING_ERROR_TIMEOUT) wisp_buf_append_str(&text, done->error.text);
    result->error = wisp_arena_str(arena, wisp_buf_str(&text));
}

const struct wisp_inside wisp_messaging_inside_handler = {
    .interface = &wisp_messaging_handler,
    .func = &wisp_messaging_handler_funcs[0],
    .guest_interface = "wasmcloud:messaging/incoming-handler@0.3.0",
    .guest_func = "handle",
    .fits = is_handle_func,
    .enter = enter_handler,
    .drop = drop_handler,
    .leave = leave_handler,
};
