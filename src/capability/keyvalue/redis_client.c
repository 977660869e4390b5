/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/redis_client.h"

#include "base/log.h"
#include "capability/keyvalue/keyvalue.h"
#include "capability/keyvalue/redis_link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    RETRY_MIN_MS = 20,
    RETRY_MAX_MS = 1000,
    TICK_MS = 100,
    SILENCE_MS = 10 * 1000,       /* no answer for so long while some are owed: the connection is dead */
    WAITING_BYTES_MAX = 64 << 20, /* of requests that are not sent yet, or may have to be sent again */
    IN_FLIGHT_MAX = 10000,
    REPLY_ELEMENTS_MAX = WISP_KEYVALUE_BATCH_MAX,
    REPLY_BYTES_MAX = WISP_KEYVALUE_ANSWER_MAX,
};

struct wisp_redis_request {
    struct wisp_redis_request *next;
    struct wisp_redis *client;
    wisp_redis_on_reply *on_reply; /* NULL: cancelled */
    void *env;
    uint64_t deadline_ms; /* for being sent */
    bool is_repeatable, is_sent;
    size_t size;
    char bytes[]; /* the command as it goes out */
};

struct queue {
    struct wisp_redis_request *first, **last;
    size_t n;
};

struct wisp_redis {
    uv_loop_t *loop;
    struct wisp_redis_address address;
    char *name;
    struct wisp_redis_link *link;
    redisReader *reader;
    size_t reply_size;
    struct queue waiting, sent;
    size_t n_bytes; /* of both queues */
    struct wisp_buf out;
    unsigned n_greetings; /* answers to AUTH, SELECT, PING that are owed */
    bool is_ready, was_told;
    uint64_t retry_ms, heard_ms, retry_at_ms;
    struct wisp_err reason;            /* why there is no connection */
    struct wisp_buf subscription;      /* the command */
    wisp_redis_on_message *on_message; /* NULL: for requests */
    void *message_env;
    uv_timer_t timer;
    uv_prepare_t prepare; /* what a turn of the loop asked for goes out in one write */
    unsigned n_handles;
};

/* --- queues --- */

static void push(struct queue *queue, struct wisp_redis_request *request)
{
    request->next = NULL;
    *queue->last = request;
    queue->last = &request->next;
    queue->n++;
}

static struct wisp_redis_request *pop(struct queue *queue)
{
    struct wisp_redis_request *request = queue->first;
    if (!request) return NULL;
    queue->first = request->next;
    if (!queue->first) queue->last = &queue->first;
    queue->n--;
    return request;
}

static void free_request(struct wisp_redis_request *request)
{
    request->client->n_bytes -= request->size;
    free(request);
}

/* Ends it; its callback may do anything but free the client. */
static void end(struct wisp_redis_request *request, const struct redisReply *reply, const struct wisp_err *err)
{
    wisp_redis_on_reply *on_reply = request->on_reply;
    void *env = request->env;
    free_request(request);
    if (on_reply) on_reply(reply, err, env);
}

/* --- replies --- */

static redisReplyObjectFunctions defaults, limited;

static void *create_string(const redisReadTask *task, char *bytes, size_t n)
{
    struct wisp_redis *client = task->privdata;
    client->reply_size += n;
    return client->reply_size <= REPLY_BYTES_MAX ? defaults.createString(task, bytes, n) : NULL;
}

static void *create_array(const redisReadTask *task, int n)
{
    return n <= REPLY_ELEMENTS_MAX ? defaults.createArray(task, n) : NULL;
}

static redisReader *new_reader(struct wisp_redis *client)
{
    redisReader *reader = redisReaderCreate();
    if (!reader) wisp_mem_out(0);
    defaults = limited = *reader->fn;
    limited.createString = create_string;
    limited.createArray = create_array;
    reader->fn = &limited;
    reader->privdata = client;
    return reader;
}

static int error_of(const struct redisReply *reply, struct wisp_err *err)
{
    static const char *const denials[] = {"NOAUTH", "NOPERM", "WRONGPASS", "DENIED"};
    struct wisp_str text = {reply->str, reply->len};
    enum wisp_err_kind kind = WISP_ERR_INVALID;
    for (size_t i = 0; i < WISP_COUNT(denials); i++)
        if (wisp_str_starts_with(text, wisp_str_from(denials[i]))) kind = WISP_ERR_DENIED;
    return wisp_err_set(err, kind, "Redis: %.*s", WISP_STR_ARG(text));
}

static void lose(struct wisp_redis *client, const struct wisp_err *err);
static void flush(struct wisp_redis *client);

static void on_greeting(struct wisp_redis *client, const struct redisReply *reply)
{
    struct wisp_err err = {0};
    if (reply->type == REDIS_REPLY_ERROR) {
        error_of(reply, &err);
        lose(client, &err);
        return;
    }
    if (--client->n_greetings) return;
    client->is_ready = true;
    client->retry_ms = RETRY_MIN_MS;
    client->was_told = false;
    WISP_LOG(DEBUG, "keyvalue", "connected to Redis", WISP_TEXT("server", client->name));
    wisp_buf_append_str(&client->out, wisp_buf_str(&client->subscription));
    flush(client);
}

static struct wisp_str text_at(const struct redisReply *reply, size_t index)
{
    const struct redisReply *part =
        reply->type == REDIS_REPLY_ARRAY && index < reply->elements ? reply->element[index] : NULL;
    return part && part->type == REDIS_REPLY_STRING ? (struct wisp_str){part->str, part->len} : (struct wisp_str){0};
}

/* Anything that is no message says that we are subscribed, or not. */
static void take_message(struct wisp_redis *client, const struct redisReply *reply)
{
    struct wisp_err err = {0};
    if (reply->type == REDIS_REPLY_ERROR) {
        error_of(reply, &err);
        lose(client, &err);
    } else if (wisp_str_is(text_at(reply, 0), "message")) {
        client->on_message(text_at(reply, 1), text_at(reply, 2), client->message_env);
    }
}

static void take_reply(struct wisp_redis *client, const struct redisReply *reply)
{
    struct wisp_err err = {0};
    if (client->n_greetings) {
        on_greeting(client, reply);
        return;
    }
    if (client->on_message) {
        take_message(client, reply);
        return;
    }
    struct wisp_redis_request *request = pop(&client->sent);
    if (!request) {
        wisp_err_set(&err, WISP_ERR_INVALID, "Redis answered what nobody asked");
        lose(client, &err);
    } else if (reply->type == REDIS_REPLY_ERROR) {
        error_of(reply, &err);
        end(request, NULL, &err);
    } else {
        end(request, reply, NULL);
    }
}

static void on_bytes(struct wisp_str bytes, void *env)
{
    struct wisp_redis *client = env;
    struct wisp_err err = {0};
    client->heard_ms = uv_now(client->loop);
    redisReaderFeed(client->reader, bytes.ptr, bytes.len);
    for (;;) {
        void *reply = NULL;
        int r = redisReaderGetReply(client->reader, &reply);
        if (r != REDIS_OK || client->reader->len - client->reader->pos > REPLY_BYTES_MAX) {
            if (reply) freeReplyObject(reply);
            wisp_err_set(&err, WISP_ERR_INVALID, "answer of Redis: %s",
                         r == REDIS_OK ? "too large" : client->reader->errstr);
            lose(client, &err);
            return;
        }
        if (!reply) break;
        client->reply_size = 0;
        struct wisp_redis_link *link = client->link;
        take_reply(client, reply);
        freeReplyObject(reply);
        if (client->link != link) return; /* lost meanwhile */
    }
    if (client->waiting.n) flush(client);
}

/* --- sending --- */

static void on_prepare(uv_prepare_t *prepare) { flush(prepare->data); }

static void flush_soon(struct wisp_redis *client)
{
    if (!uv_is_active((uv_handle_t *)&client->prepare)) uv_prepare_start(&client->prepare, on_prepare);
}

static void flush(struct wisp_redis *client)
{
    struct wisp_err err = {0};
    uv_prepare_stop(&client->prepare);
    if (!client->link) return;
    while (client->is_ready && client->waiting.n && client->sent.n < IN_FLIGHT_MAX && client->out.len < 1 << 20) {
        struct wisp_redis_request *request = pop(&client->waiting);
        if (!request->on_reply) {
            free_request(request);
            continue;
        }
        if (!client->sent.n) client->heard_ms = uv_now(client->loop);
        wisp_buf_append(&client->out, request->bytes, request->size);
        request->is_sent = true;
        push(&client->sent, request);
    }
    if (wisp_redis_link_send(client->link, &client->out, &err) < 0) lose(client, &err);
}

static void on_writable(void *env) { flush(env); }

/* By hand: printf took a quarter of all that a provider process does for a call. */
static void append_length(struct wisp_buf *out, char kind, size_t number)
{
    char text[24], *at = text + sizeof text;
    *--at = '\n';
    *--at = '\r';
    do *--at = (char)('0' + number % 10);
    while (number /= 10);
    *--at = kind;
    wisp_buf_append(out, at, (size_t)(text + sizeof text - at));
}

static void append_command(struct wisp_buf *out, const struct wisp_str *words, size_t n)
{
    append_length(out, '*', n);
    for (size_t i = 0; i < n; i++) {
        append_length(out, '$', words[i].len);
        wisp_buf_append_str(out, words[i]);
        wisp_buf_append(out, "\r\n", 2);
    }
}

static void start_ticking(struct wisp_redis *client);

int wisp_redis_send(struct wisp_redis *client, const struct wisp_str *words, size_t n, bool is_repeatable,
                    wisp_redis_on_reply *on_reply, void *env, struct wisp_redis_request **ret_request,
                    struct wisp_err *err)
{
    if (client->n_bytes > WAITING_BYTES_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "%s: %zu bytes are waiting to be sent", client->name, client->n_bytes);
    WISP_CLEANUP_BUF struct wisp_buf command = {0};
    append_command(&command, words, n);
    struct wisp_redis_request *request = wisp_mem_alloc(sizeof *request + command.len);
    *request = (struct wisp_redis_request){.client = client,
                                           .on_reply = on_reply,
                                           .env = env,
                                           .deadline_ms = uv_now(client->loop) + WISP_KEYVALUE_WAIT_MS,
                                           .is_repeatable = is_repeatable,
                                           .size = command.len};
    memcpy(request->bytes, command.data, command.len);
    client->n_bytes += command.len;
    push(&client->waiting, request);
    start_ticking(client);
    if (client->is_ready) flush_soon(client);
    *ret_request = request;
    return 0;
}

/* Its place in the queue stays: if it was sent, its answer comes and is skipped. */
void wisp_redis_cancel(struct wisp_redis_request *request) { request->on_reply = NULL; }

/* --- connections --- */

static void on_open(void *env)
{
    struct wisp_redis *client = env;
    const struct wisp_redis_address *address = &client->address;
    char db[16];
    snprintf(db, sizeof db, "%" PRIu32, address->db);
    struct wisp_str auth[] = {WISP_STR("AUTH"), wisp_str_from(address->user), wisp_str_from(address->password)};
    struct wisp_str old_auth[] = {WISP_STR("AUTH"), wisp_str_from(address->password)};
    struct wisp_str select[] = {WISP_STR("SELECT"), wisp_str_from(db)}, ping[] = {WISP_STR("PING")};
    client->heard_ms = uv_now(client->loop);
    client->n_greetings = 1;
    if (address->password) {
        if (address->user)
            append_command(&client->out, auth, WISP_COUNT(auth));
        else
            append_command(&client->out, old_auth, WISP_COUNT(old_auth));
        client->n_greetings++;
    }
    if (address->db) {
        append_command(&client->out, select, WISP_COUNT(select));
        client->n_greetings++;
    }
    /* A server that is still loading its data says so to this. */
    append_command(&client->out, ping, WISP_COUNT(ping));
    flush(client);
}

static void on_lost(const struct wisp_err *err, void *env) { lose(env, err); }

static const struct wisp_redis_link_events link_events = {on_open, on_bytes, on_writable, on_lost};

static void connect_now(struct wisp_redis *client)
{
    client->reader = new_reader(client);
    client->link = wisp_redis_link_new(client->loop, &client->address, &link_events, client);
    client->heard_ms = uv_now(client->loop);
}

static void drop_connection(struct wisp_redis *client)
{
    wisp_redis_link_close(WISP_TAKE(client->link));
    if (client->reader) redisReaderFree(WISP_TAKE(client->reader));
    client->out.len = 0;
    client->is_ready = false;
    client->n_greetings = 0;
    client->reply_size = 0;
}

/* Those that may be asked again go in front of those that wait, in their order. */
static void take_back(struct wisp_redis *client, struct queue *failed)
{
    struct queue again = {.last = &again.first};
    struct wisp_redis_request *request;
    while ((request = pop(&client->sent))) {
        request->is_sent = false;
        push(request->is_repeatable && request->on_reply ? &again : failed, request);
    }
    while ((request = pop(&client->waiting))) push(&again, request);
    while ((request = pop(&again))) push(&client->waiting, request);
}

static void fail_all(struct wisp_redis_request *first, const struct wisp_err *err)
{
    while (first) {
        struct wisp_redis_request *next = first->next;
        end(first, NULL, err);
        first = next;
    }
}

/* Also a server that lets nobody in: who waits hears that at once. */
static void lose(struct wisp_redis *client, const struct wisp_err *err)
{
    struct wisp_err lost = *err;
    if (!client->link) return;
    wisp_err_wrap(&lost, "%s", client->name);
    bool was_ready = client->is_ready;
    drop_connection(client);
    client->reason = lost;
    if (!client->was_told) {
        WISP_LOG(WARN, "keyvalue", was_ready ? "connection to Redis lost" : "no connection to Redis",
                 WISP_TEXT("error", lost.text));
        client->was_told = true;
    }
    /* The first attempt after a loss is made soon: a server that restarts is back in no time. */
    client->retry_at_ms = uv_now(client->loop) + client->retry_ms;
    client->retry_ms = client->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : client->retry_ms * 2;
    uv_timer_stop(&client->timer);
    start_ticking(client);
    struct queue failed = {.last = &failed.first};
    struct wisp_redis_request *request;
    take_back(client, &failed);
    if (lost.kind == WISP_ERR_DENIED) {
        while ((request = pop(&client->waiting))) push(&failed, request);
    } else {
        wisp_err_set(&lost, WISP_ERR_UNAVAILABLE, "%s: the connection was lost before the answer came", client->name);
    }
    fail_all(failed.first, &lost);
}

/* --- time --- */

static void fail_late(struct wisp_redis *client)
{
    struct wisp_err err = client->reason;
    struct queue late = {.last = &late.first}, kept = {.last = &kept.first};
    struct wisp_redis_request *request;
    if (err.kind == WISP_ERR_NONE) wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "%s: not connected", client->name);
    while ((request = pop(&client->waiting)))
        push(uv_now(client->loop) >= request->deadline_ms ? &late : &kept, request);
    while ((request = pop(&kept))) push(&client->waiting, request);
    fail_all(late.first, &err);
}

static void on_tick(uv_timer_t *timer)
{
    struct wisp_redis *client = timer->data;
    struct wisp_err err = {0};
    uint64_t now = uv_now(client->loop);
    bool is_owed = client->sent.n || (client->link && !client->is_ready);
    if (!client->link && now >= client->retry_at_ms) {
        connect_now(client);
    } else if (is_owed && now - client->heard_ms > SILENCE_MS) {
        wisp_err_set(&err, WISP_ERR_TIMEOUT, "no answer for %d s", SILENCE_MS / 1000);
        lose(client, &err);
    }
    if (!client->is_ready && client->waiting.n) fail_late(client);
    if (client->is_ready && !client->sent.n && !client->waiting.n) {
        uv_timer_stop(&client->timer);
    } else if (uv_timer_get_repeat(timer) != (client->link ? TICK_MS : RETRY_MIN_MS)) {
        uv_timer_stop(timer);
        start_ticking(client);
    }
}

static void start_ticking(struct wisp_redis *client)
{
    /* Reconnecting wants a finer clock than the rest. */
    uint64_t ms = client->link ? TICK_MS : RETRY_MIN_MS;
    if (!uv_is_active((uv_handle_t *)&client->timer)) uv_timer_start(&client->timer, on_tick, ms, ms);
}

/* --- life --- */

int wisp_redis_new(struct wisp_redis **ret_client, uv_loop_t *loop, struct wisp_str url, struct wisp_err *err)
{
    struct wisp_redis_address address;
    int r = wisp_redis_address_parse(url, &address, err);
    if (r < 0) {
        wisp_redis_address_deinit(&address);
        return r;
    }
    struct wisp_redis *client = wisp_mem_calloc(1, sizeof *client);
    *client = (struct wisp_redis){.loop = loop, .address = address, .retry_ms = RETRY_MIN_MS, .n_handles = 2};
    client->waiting.last = &client->waiting.first;
    client->sent.last = &client->sent.first;
    WISP_CLEANUP_BUF struct wisp_buf name = {0};
    wisp_buf_printf(&name, "%s://%s:%u", address.is_tls ? "rediss" : "redis", address.host, address.port);
    client->name = wisp_mem_dup(wisp_buf_str(&name));
    uv_timer_init(loop, &client->timer);
    uv_prepare_init(loop, &client->prepare);
    client->timer.data = client->prepare.data = client;
    connect_now(client);
    start_ticking(client);
    *ret_client = client;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct wisp_redis *client = handle->data;
    if (--client->n_handles) return;
    wisp_redis_address_deinit(&client->address);
    wisp_buf_deinit(&client->out);
    wisp_buf_deinit(&client->subscription);
    free(client->name);
    free(client);
}

void wisp_redis_free(struct wisp_redis *client)
{
    struct wisp_redis_request *request;
    if (!client) return;
    drop_connection(client);
    while ((request = pop(&client->sent)) || (request = pop(&client->waiting))) free_request(request);
    uv_close((uv_handle_t *)&client->timer, on_closed);
    uv_close((uv_handle_t *)&client->prepare, on_closed);
}

void wisp_redis_subscribe(struct wisp_redis *client, const struct wisp_str *channels, size_t n,
                          wisp_redis_on_message *on_message, void *env)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_str *words = WISP_NEW_ARRAY(&arena, struct wisp_str, n + 1);
    words[0] = WISP_STR("SUBSCRIBE");
    for (size_t i = 0; i < n; i++) words[i + 1] = channels[i];
    append_command(&client->subscription, words, n + 1);
    client->on_message = on_message;
    client->message_env = env;
}

uint32_t wisp_redis_db(const struct wisp_redis *client) { return client->address.db; }

bool wisp_redis_is_connected(const struct wisp_redis *client) { return client->is_ready; }

const char *wisp_redis_name(const struct wisp_redis *client) { return client->name; }
