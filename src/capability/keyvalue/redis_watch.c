/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/redis_watch.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct wisp_redis_watch {
    struct wisp_keyvalue_watch *watch;
    struct wisp_redis *redis, *subscriber;
    char prefix[32]; /* of channels: "__keyspace@0__:" */
    struct wisp_link readings;
    struct wisp_redis_request *check; /* of the server's configuration, NULL: none */
};

/* A value that was set, and that we ask for: notifications don't say it. */
struct reading {
    struct wisp_link link;
    struct wisp_keyvalue_change *change;
    struct wisp_redis_request *request;
};

/* --- what the server says --- */

static void reading_end(struct reading *reading, struct wisp_bytes value)
{
    struct wisp_keyvalue_change *change = reading->change;
    wisp_ring_remove(&reading->link);
    free(reading);
    wisp_keyvalue_change_end(change, value);
}

/* Without a value the key has been deleted since, which is another change, or it is no string. */
static void on_value(const struct redisReply *reply, const struct wisp_err *err, void *env)
{
    bool is_value = !err && reply->type == REDIS_REPLY_STRING && reply->len <= WISP_KEYVALUE_VALUE_MAX;
    reading_end(env, is_value ? (struct wisp_bytes){(const uint8_t *)reply->str, reply->len} : (struct wisp_bytes){0});
}

static void read_value(struct wisp_redis_watch *watch, struct wisp_str key)
{
    struct wisp_keyvalue_change *change = wisp_keyvalue_watch_set(watch->watch, key);
    struct wisp_str words[] = {WISP_STR("GET"), key};
    struct wisp_err err = {0};
    if (!change) return;
    struct reading *reading = wisp_mem_calloc(1, sizeof *reading);
    reading->change = change;
    wisp_ring_append(&watch->readings, &reading->link);
    if (wisp_redis_send(watch->redis, words, 2, true, on_value, reading, &reading->request, &err) < 0)
        reading_end(reading, (struct wisp_bytes){0});
}

static bool is_one_of(struct wisp_str word, const char *const *words)
{
    for (; *words; words++)
        if (wisp_str_is(word, *words)) return true;
    return false;
}

static void on_message(struct wisp_str channel, struct wisp_str event, void *env)
{
    static const char *const sets[] = {"set",       "setrange", "append",  "incrby", "incrbyfloat",
                                       "rename_to", "copy_to",  "restore", NULL};
    static const char *const deletions[] = {"del", "expired", "evicted", "rename_from", NULL};
    struct wisp_redis_watch *watch = env;
    size_t n = strlen(watch->prefix);
    if (!wisp_str_starts_with(channel, wisp_str_from(watch->prefix))) return;
    struct wisp_str key = {channel.ptr + n, channel.len - n};
    if (is_one_of(event, sets))
        read_value(watch, key);
    else if (is_one_of(event, deletions))
        wisp_keyvalue_watch_deleted(watch->watch, key);
}

/* Servers say nothing unless they are told to; what they are told is not ours to change. */
static void on_config(const struct redisReply *reply, const struct wisp_err *err, void *env)
{
    struct wisp_redis_watch *watch = env;
    watch->check = NULL;
    if (err || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) return;
    const struct redisReply *flags = reply->element[1];
    if (flags->type != REDIS_REPLY_STRING) return;
    bool has_kinds = strchr(flags->str, 'A') || (strchr(flags->str, 'g') && strchr(flags->str, '$'));
    if (has_kinds && strchr(flags->str, 'K')) return;
    WISP_LOG(WARN, "keyvalue",
             "the server does not tell of changes, no key is watched: CONFIG SET notify-keyspace-events K$gx",
             WISP_TEXT("server", wisp_redis_name(watch->redis)), WISP_TEXT("notify-keyspace-events", flags->str));
}

/* --- life --- */

static void subscribe(struct wisp_redis_watch *watch)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    size_t n;
    const struct wisp_keyvalue_watched *keys = wisp_keyvalue_watch_keys(watch->watch, &n);
    struct wisp_str *channels = WISP_NEW_ARRAY(&arena, struct wisp_str, n);
    for (size_t i = 0; i < n; i++)
        channels[i] = wisp_str_from(wisp_arena_printf(&arena, "%s%.*s", watch->prefix, WISP_STR_ARG(keys[i].key)));
    wisp_redis_subscribe(watch->subscriber, channels, n, on_message, watch);
}

int wisp_redis_watch_new(struct wisp_redis_watch **ret_watch, const struct wisp_provider_link *link,
                         struct wisp_redis *redis, struct wisp_str url, struct wisp_err *err)
{
    struct wisp_redis_watch *watch = wisp_mem_calloc(1, sizeof *watch);
    char db[16];
    watch->redis = redis;
    wisp_ring_init(&watch->readings);
    snprintf(db, sizeof db, "%" PRIu32, wisp_redis_db(redis));
    snprintf(watch->prefix, sizeof watch->prefix, "__keyspace@%s__:", db);
    int r = wisp_keyvalue_watch_new(&watch->watch, link, wisp_str_from(db), err);
    if (r == 0) r = wisp_redis_new(&watch->subscriber, link->provider->loop, url, err);
    if (r < 0) {
        wisp_redis_watch_free(watch);
        return r;
    }
    subscribe(watch);
    struct wisp_str words[] = {WISP_STR("CONFIG"), WISP_STR("GET"), WISP_STR("notify-keyspace-events")};
    struct wisp_err ignored;
    if (wisp_redis_send(redis, words, WISP_COUNT(words), true, on_config, watch, &watch->check, &ignored) < 0)
        watch->check = NULL;
    *ret_watch = watch;
    return 0;
}

void wisp_redis_watch_free(struct wisp_redis_watch *watch)
{
    if (!watch) return;
    if (watch->check) wisp_redis_cancel(watch->check);
    WISP_RING_EACH(at, &watch->readings)
    {
        struct reading *reading = WISP_OWNER(at, struct reading, link);
        wisp_redis_cancel(reading->request);
        wisp_ring_remove(&reading->link);
        free(reading);
    }
    wisp_redis_free(watch->subscriber);
    wisp_keyvalue_watch_free(watch->watch);
    free(watch);
}
