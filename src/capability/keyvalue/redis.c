/* SPDX-License-Identifier: Apache-2.0 */
/* Keys are as they are; Redis has no buckets, what the component names one is ignored. */
#include "base/log.h"
#include "base/parse.h"
#include "capability/keyvalue/keyvalue.h"
#include "capability/keyvalue/redis_watch.h"
#include "capability/kinds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char default_url[] = "redis://127.0.0.1:6379/";

/* One per URL, for all links that have it. */
struct connection {
    struct connection *next;
    struct wisp_redis *redis;
    char *url;
    unsigned n_links;
};

struct state {
    struct wisp_keyvalue_kind kind;
    struct connection *connections;
};

struct link_state {
    struct connection *connection;
    struct wisp_redis_watch *watch; /* of a link to a component; NULL: none, or another worker does it */
    bool was_warned;                /* about buckets */
};

struct asking {
    struct wisp_provider_call *call;
    enum wisp_keyvalue_verb verb;
    const struct wisp_keyvalue_keys_args *keys; /* get-many */
    struct wisp_redis_request *request;
};

/* --- replies --- */

static void unexpected(struct wisp_provider_call *call, const struct redisReply *reply)
{
    wisp_keyvalue_fail(call, WISP_KEYVALUE_OTHER, "Redis answered with something of another type (%d)", reply->type);
}

static struct wisp_bytes bytes_of(const struct redisReply *reply)
{
    return (struct wisp_bytes){(const uint8_t *)(reply->len ? reply->str : ""), reply->len};
}

static void return_value(struct wisp_provider_call *call, const struct redisReply *reply)
{
    if (reply->type == REDIS_REPLY_NIL)
        wisp_keyvalue_return_value(call, (struct wisp_bytes){0});
    else if (reply->type == REDIS_REPLY_STRING)
        wisp_keyvalue_return_value(call, bytes_of(reply));
    else
        unexpected(call, reply);
}

static void return_number(struct wisp_provider_call *call, const struct redisReply *reply, bool is_exists)
{
    if (reply->type != REDIS_REPLY_INTEGER)
        unexpected(call, reply);
    else if (is_exists)
        wisp_keyvalue_return_exists(call, reply->integer > 0);
    else if (reply->integer < 0)
        wisp_keyvalue_fail(call, WISP_KEYVALUE_OTHER, "the counter is negative: %lld", reply->integer);
    else
        wisp_keyvalue_return_number(call, (uint64_t)reply->integer);
}

/* Keys that are no UTF-8 can't be told to a component. */
static void return_keys(struct wisp_provider_call *call, const struct redisReply *reply)
{
    uint64_t cursor;
    const struct redisReply *at = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 ? reply->element[0] : NULL;
    if (!at || at->type != REDIS_REPLY_STRING || reply->element[1]->type != REDIS_REPLY_ARRAY ||
        wisp_parse_u64((struct wisp_str){at->str, at->len}, UINT64_MAX, &cursor, NULL) < 0) {
        unexpected(call, reply);
        return;
    }
    const struct redisReply *found = reply->element[1];
    struct wisp_str *keys = WISP_NEW_ARRAY(call->arena, struct wisp_str, found->elements);
    size_t n = 0;
    for (size_t i = 0; i < found->elements; i++) {
        struct wisp_str key = {found->element[i]->str, found->element[i]->len};
        if (found->element[i]->type == REDIS_REPLY_STRING && wisp_str_is_utf8(key)) keys[n++] = key;
    }
    wisp_keyvalue_return_keys(call, keys, n, cursor);
}

static void return_values(struct wisp_provider_call *call, const struct wisp_keyvalue_keys_args *asked,
                          const struct redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != asked->n) {
        unexpected(call, reply);
        return;
    }
    struct wisp_keyvalue_maybe_pair *pairs = WISP_NEW_ARRAY(call->arena, struct wisp_keyvalue_maybe_pair, asked->n);
    for (size_t i = 0; i < asked->n; i++) {
        pairs[i].is_some = reply->element[i]->type == REDIS_REPLY_STRING;
        pairs[i].pair.key = asked->keys[i];
        if (pairs[i].is_some) pairs[i].pair.value = bytes_of(reply->element[i]);
    }
    wisp_keyvalue_return_values(call, pairs, asked->n);
}

static void on_reply(const struct redisReply *reply, const struct wisp_err *err, void *env)
{
    struct asking *asking = env;
    struct wisp_provider_call *call = asking->call;
    call->on_cancel = NULL;
    if (err) {
        wisp_keyvalue_fail_with(call, err);
        return;
    }
    switch (asking->verb) {
    case WISP_KEYVALUE_GET:
        return_value(call, reply);
        break;
    case WISP_KEYVALUE_EXISTS:
    case WISP_KEYVALUE_INCREMENT:
        return_number(call, reply, asking->verb == WISP_KEYVALUE_EXISTS);
        break;
    case WISP_KEYVALUE_LIST_KEYS:
        return_keys(call, reply);
        break;
    case WISP_KEYVALUE_GET_MANY:
        return_values(call, asking->keys, reply);
        break;
    default:
        wisp_keyvalue_return_done(call);
    }
}

static void on_cancel(struct wisp_provider_call *call)
{
    wisp_redis_cancel(((struct asking *)call->user)->request);
    wisp_keyvalue_fail_cancelled(call);
}

/* --- commands --- */

static void ask(struct wisp_provider_call *call, enum wisp_keyvalue_verb verb, const void *args,
                const struct wisp_str *words, size_t n)
{
    const struct link_state *link = call->link->state;
    struct asking *asking = WISP_NEW(call->arena, struct asking);
    struct wisp_err err = {0};
    bool is_reading = verb == WISP_KEYVALUE_GET || verb == WISP_KEYVALUE_EXISTS || verb == WISP_KEYVALUE_LIST_KEYS ||
                      verb == WISP_KEYVALUE_GET_MANY;
    *asking = (struct asking){.call = call, .verb = verb, .keys = verb == WISP_KEYVALUE_GET_MANY ? args : NULL};
    if (wisp_redis_send(link->connection->redis, words, n, is_reading, on_reply, asking, &asking->request, &err) < 0) {
        wisp_keyvalue_fail_with(call, &err);
        return;
    }
    call->user = asking;
    call->on_cancel = on_cancel;
}

static void ask_one(struct wisp_provider_call *call, enum wisp_keyvalue_verb verb, const char *command,
                    const struct wisp_keyvalue_key_args *args)
{
    struct wisp_str words[] = {wisp_str_from(command), args->key};
    ask(call, verb, args, words, WISP_COUNT(words));
}

static void set(struct wisp_provider_call *call, const struct wisp_keyvalue_set_args *args)
{
    struct wisp_str words[] = {WISP_STR("SET"), args->key, {(const char *)args->value.ptr, args->value.len}};
    ask(call, WISP_KEYVALUE_SET, args, words, WISP_COUNT(words));
}

static void increment(struct wisp_provider_call *call, const struct wisp_keyvalue_increment_args *args)
{
    char delta[24];
    int n = snprintf(delta, sizeof delta, "%" PRIu64, args->delta);
    struct wisp_str words[] = {WISP_STR("INCRBY"), args->key, {delta, (size_t)n}};
    if (args->delta > INT64_MAX)
        wisp_keyvalue_fail(call, WISP_KEYVALUE_OTHER, "Redis counts to %" PRId64 " only", INT64_MAX);
    else
        ask(call, WISP_KEYVALUE_INCREMENT, args, words, WISP_COUNT(words));
}

static void list_keys(struct wisp_provider_call *call, const struct wisp_keyvalue_list_args *args)
{
    char cursor[24], count[16];
    snprintf(cursor, sizeof cursor, "%" PRIu64, args->has_cursor ? args->cursor : 0);
    snprintf(count, sizeof count, "%d", WISP_KEYVALUE_PAGE_KEYS);
    struct wisp_str words[] = {WISP_STR("SCAN"), wisp_str_from(cursor), WISP_STR("COUNT"), wisp_str_from(count)};
    ask(call, WISP_KEYVALUE_LIST_KEYS, args, words, WISP_COUNT(words));
}

static void ask_many(struct wisp_provider_call *call, enum wisp_keyvalue_verb verb, const char *command,
                     const struct wisp_keyvalue_keys_args *args)
{
    struct wisp_str *words = WISP_NEW_ARRAY(call->arena, struct wisp_str, args->n + 1);
    words[0] = wisp_str_from(command);
    for (size_t i = 0; i < args->n; i++) words[i + 1] = args->keys[i];
    if (args->n)
        ask(call, verb, args, words, args->n + 1);
    else if (verb == WISP_KEYVALUE_GET_MANY)
        wisp_keyvalue_return_values(call, NULL, 0);
    else
        wisp_keyvalue_return_done(call);
}

static void set_many(struct wisp_provider_call *call, const struct wisp_keyvalue_pairs_args *args)
{
    struct wisp_str *words = WISP_NEW_ARRAY(call->arena, struct wisp_str, 2 * args->n + 1);
    words[0] = WISP_STR("MSET");
    for (size_t i = 0; i < args->n; i++) {
        const struct wisp_keyvalue_pair *pair = &args->pairs[i];
        words[2 * i + 1] = pair->key;
        words[2 * i + 2] = (struct wisp_str){(const char *)pair->value.ptr, pair->value.len};
    }
    if (args->n)
        ask(call, WISP_KEYVALUE_SET_MANY, args, words, 2 * args->n + 1);
    else
        wisp_keyvalue_return_done(call);
}

static void warn_of_bucket(const struct wisp_provider_call *call, struct wisp_str bucket)
{
    struct link_state *link = call->link->state;
    if (link->was_warned || !bucket.len || wisp_str_is(bucket, "default")) return;
    link->was_warned = true;
    WISP_LOG(WARN, "keyvalue", "Redis has no buckets: the name is ignored", WISP_BYTES("bucket", bucket),
             WISP_BYTES("component", call->source_id), WISP_BYTES("provider", call->provider->id));
}

static void run(struct wisp_provider_call *call, enum wisp_keyvalue_verb verb, const void *args)
{
    warn_of_bucket(call, *(const struct wisp_str *)args);
    switch (verb) {
    case WISP_KEYVALUE_GET:
        ask_one(call, verb, "GET", args);
        break;
    case WISP_KEYVALUE_SET:
        set(call, args);
        break;
    case WISP_KEYVALUE_DELETE:
        ask_one(call, verb, "DEL", args);
        break;
    case WISP_KEYVALUE_EXISTS:
        ask_one(call, verb, "EXISTS", args);
        break;
    case WISP_KEYVALUE_LIST_KEYS:
        list_keys(call, args);
        break;
    case WISP_KEYVALUE_INCREMENT:
        increment(call, args);
        break;
    case WISP_KEYVALUE_GET_MANY:
        ask_many(call, verb, "MGET", args);
        break;
    case WISP_KEYVALUE_SET_MANY:
        set_many(call, args);
        break;
    default:
        ask_many(call, verb, "DEL", args);
    }
}

/* --- life --- */

static int connection_get(struct state *state, uv_loop_t *loop, struct wisp_str url, struct connection **ret_connection,
                          struct wisp_err *err)
{
    for (struct connection *connection = state->connections; connection; connection = connection->next)
        if (wisp_str_is(url, connection->url)) {
            connection->n_links++;
            *ret_connection = connection;
            return 0;
        }
    struct wisp_redis *redis;
    int r = wisp_redis_new(&redis, loop, url, err);
    if (r < 0) return wisp_err_wrap(err, "setting `url`");
    struct connection *connection = wisp_mem_alloc(sizeof *connection);
    *connection = (struct connection){state->connections, redis, wisp_mem_dup(url), 1};
    state->connections = connection;
    *ret_connection = connection;
    return 0;
}

static void connection_put(struct state *state, struct connection *connection)
{
    struct connection **at = &state->connections;
    if (--connection->n_links) return;
    while (*at != connection) at = &(*at)->next;
    *at = connection->next;
    wisp_redis_free(connection->redis);
    wisp_mem_wipe(connection->url);
    free(connection);
}

static int open_kind(struct wisp_provider *provider, struct wisp_err *err)
{
    (void)err;
    struct state *state = wisp_mem_calloc(1, sizeof *state);
    state->kind.run = run;
    provider->state = state;
    return 0;
}

static void close_kind(struct wisp_provider *provider) { free(WISP_TAKE(provider->state)); }

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    bool is_watched = link->is_source && wisp_provider_link_has(link, "watcher");
    int r = is_watched ? 0 : wisp_keyvalue_check_link(link, err);
    if (r < 0) return r;
    struct wisp_str url = wisp_settings_get(&link->settings, "url");
    struct connection *connection;
    if (!url.len) url = wisp_str_from(default_url);
    r = connection_get(provider->state, provider->loop, url, &connection, err);
    if (r < 0) return r;
    struct link_state *state = wisp_mem_alloc(sizeof *state);
    *state = (struct link_state){.connection = connection};
    if (is_watched && provider->is_first) r = wisp_redis_watch_new(&state->watch, link, connection->redis, url, err);
    if (r < 0) {
        connection_put(provider->state, connection);
        free(state);
        return r;
    }
    link->state = state;
    return 0;
}

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    struct link_state *state = WISP_TAKE(link->state);
    wisp_redis_watch_free(state->watch);
    connection_put(provider->state, state->connection);
    free(state);
}

static bool is_healthy(struct wisp_provider *provider, struct wisp_buf *text)
{
    const struct state *state = provider->state;
    bool is_healthy = true;
    for (const struct connection *connection = state->connections; connection; connection = connection->next)
        if (!wisp_redis_is_connected(connection->redis)) {
            wisp_buf_printf(text, "%snot connected to %s", is_healthy ? "" : ", ", wisp_redis_name(connection->redis));
            is_healthy = false;
        }
    return is_healthy;
}

static const struct wisp_provider_interface *const imports[] = {&wisp_keyvalue_watcher};

const struct wisp_provider_kind wisp_keyvalue_redis = {
    .name = "keyvalue-redis",
    .about = "Redis: keys as they are, buckets ignored",
    .exports = wisp_keyvalue_exports,
    .n_exports = WISP_KEYVALUE_EXPORT_COUNT,
    .imports = imports,
    .n_imports = WISP_COUNT(imports),
    .open = open_kind,
    .close = close_kind,
    .put_link = put_link,
    .del_link = del_link,
    .is_healthy = is_healthy,
};
