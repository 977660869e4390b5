/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/watch.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    WAITING_MAX = 10 * 1000,      /* changes */
    WAITING_BYTES_MAX = 64 << 20, /* of their values; the last one may go beyond */
    LOG_PAUSE_MS = 10 * 1000,
};

const struct wisp_provider_func wisp_keyvalue_watcher_funcs[] = {
    [WISP_KEYVALUE_ON_SET] = {"on-set", "(string, string, list<u8>)", NULL, sizeof(struct wisp_keyvalue_on_set_args),
                              0},
    [WISP_KEYVALUE_ON_DELETE] = {"on-delete", "(string, string)", NULL, sizeof(struct wisp_keyvalue_on_delete_args), 0},
};
const struct wisp_provider_interface wisp_keyvalue_watcher = {
    .name = "wrpc:keyvalue/watcher@0.2.0-draft", .funcs = wisp_keyvalue_watcher_funcs, .n_funcs = 2};

/* --- what is watched --- */

static struct wisp_str trim(struct wisp_str text)
{
    while (text.len && text.ptr[0] == ' ') text.ptr++, text.len--;
    while (text.len && text.ptr[text.len - 1] == ' ') text.len--;
    return text;
}

static struct wisp_keyvalue_watched *find(struct wisp_keyvalue_watched *keys, size_t n, struct wisp_str key)
{
    for (size_t i = 0; i < n; i++)
        if (wisp_str_equal(keys[i].key, key)) return &keys[i];
    return NULL;
}

static int read_entry(struct wisp_str entry, bool *ret_is_set, struct wisp_str *ret_key, struct wisp_err *err)
{
    struct wisp_str what = {0};
    bool has_key = wisp_str_split(entry, '@', &what, ret_key);
    what = trim(what);
    *ret_key = trim(*ret_key);
    *ret_is_set = wisp_str_equal_nocase(what, WISP_STR("set"));
    if (!has_key || (!*ret_is_set && !wisp_str_equal_nocase(what, WISP_STR("del"))))
        return wisp_err_set(err, WISP_ERR_INVALID, "`watch`: `%.*s` is neither SET@KEY nor DEL@KEY",
                            WISP_STR_ARG(entry));
    if (ret_key->len == 0 || ret_key->len > WISP_KEYVALUE_KEY_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "`watch`: a key is missing or too long");
    return 0;
}

int wisp_keyvalue_watch_read(struct wisp_str setting, struct wisp_arena *arena,
                             const struct wisp_keyvalue_watched **ret_keys, size_t *ret_n, struct wisp_err *err)
{
    struct wisp_keyvalue_watched *keys =
        WISP_NEW_ARRAY(arena, struct wisp_keyvalue_watched, WISP_KEYVALUE_WATCH_KEYS_MAX);
    size_t n = 0;
    while (setting.len) {
        struct wisp_str entry = setting, rest = {0}, key = {0};
        bool is_set;
        wisp_str_split(setting, ',', &entry, &rest);
        setting = rest;
        entry = trim(entry);
        if (entry.len == 0) continue;
        int r = read_entry(entry, &is_set, &key, err);
        if (r < 0) return r;
        struct wisp_keyvalue_watched *watched = find(keys, n, key);
        if (!watched && n == WISP_KEYVALUE_WATCH_KEYS_MAX)
            return wisp_err_set(err, WISP_ERR_LIMIT, "`watch` has more than %d keys", WISP_KEYVALUE_WATCH_KEYS_MAX);
        if (!watched) {
            watched = &keys[n++];
            watched->key = wisp_arena_str(arena, key);
        }
        *(is_set ? &watched->on_set : &watched->on_delete) = true;
    }
    *ret_keys = keys;
    *ret_n = n;
    return n ? 0 : wisp_err_set(err, WISP_ERR_INVALID, "`watch` says no key: SET@KEY,DEL@KEY");
}

/* --- changes --- */

struct wisp_keyvalue_watch {
    struct wisp_provider *provider;
    struct wisp_arena arena;
    struct wisp_str target_id, bucket;
    const struct wisp_keyvalue_watched *keys;
    size_t n_keys;
    struct wisp_link changes; /* the first one may be under way */
    size_t n_changes, n_bytes;
    bool is_pumping;
    uint64_t n_lost, said_ms; /* lost: dropped, or not taken by the component */
};

struct wisp_keyvalue_change {
    struct wisp_link link;
    struct wisp_keyvalue_watch *watch;
    struct wisp_arena arena;
    struct wisp_keyvalue_on_set_args args; /* those of on-delete are its beginning */
    bool is_set, is_known, is_begun;
    struct wisp_provider_invocation *invocation;
};

static void complain(struct wisp_keyvalue_watch *watch, struct wisp_str key, const char *why)
{
    uint64_t now = uv_now(watch->provider->loop);
    watch->n_lost++;
    if (watch->said_ms && now - watch->said_ms < LOG_PAUSE_MS) return;
    watch->said_ms = now ? now : 1;
    WISP_LOG(WARN, "keyvalue", "a component was not told of a change", WISP_BYTES("component", watch->target_id),
             WISP_BYTES("key", key), WISP_INT("count", watch->n_lost), WISP_TEXT("error", why));
}

static void forget(struct wisp_keyvalue_change *change)
{
    wisp_ring_remove(&change->link);
    change->watch->n_changes--;
    change->watch->n_bytes -= change->args.value.len;
    wisp_arena_deinit(&change->arena);
    free(change);
}

static void pump(struct wisp_keyvalue_watch *watch);

static void on_result(const void *result, const struct wisp_err *err, void *env)
{
    struct wisp_keyvalue_change *change = env;
    struct wisp_keyvalue_watch *watch = change->watch;
    (void)result;
    if (err) complain(watch, change->args.key, err->text);
    forget(change);
    pump(watch);
}

static void begin(struct wisp_keyvalue_change *change)
{
    struct wisp_keyvalue_watch *watch = change->watch;
    struct wisp_err err = {0};
    const struct wisp_provider_request request = {
        .target_id = watch->target_id, .arena = &change->arena, .on_result = on_result, .env = change};
    const struct wisp_provider_func *func =
        &wisp_keyvalue_watcher_funcs[change->is_set ? WISP_KEYVALUE_ON_SET : WISP_KEYVALUE_ON_DELETE];
    change->is_begun = true;
    if (wisp_provider_invoke(watch->provider, &wisp_keyvalue_watcher, func, &change->args, &request,
                             &change->invocation, &err) == 0)
        return;
    complain(watch, change->args.key, err.text);
    forget(change);
}

static void pump(struct wisp_keyvalue_watch *watch)
{
    if (watch->is_pumping) return;
    watch->is_pumping = true;
    while (!wisp_ring_is_empty(&watch->changes)) {
        struct wisp_keyvalue_change *change = WISP_OWNER(watch->changes.next, struct wisp_keyvalue_change, link);
        if (change->is_begun || !change->is_known) break;
        begin(change);
    }
    watch->is_pumping = false;
}

static struct wisp_keyvalue_change *change_new(struct wisp_keyvalue_watch *watch, struct wisp_str key, bool is_set)
{
    const struct wisp_keyvalue_watched *watched = NULL;
    for (size_t i = 0; i < watch->n_keys && !watched; i++)
        if (wisp_str_equal(watch->keys[i].key, key)) watched = &watch->keys[i];
    if (!watched || !(is_set ? watched->on_set : watched->on_delete)) return NULL;
    if (watch->n_changes == WAITING_MAX || watch->n_bytes > WAITING_BYTES_MAX) {
        complain(watch, key, "too many wait for the component");
        return NULL;
    }
    struct wisp_keyvalue_change *change = wisp_mem_calloc(1, sizeof *change);
    change->watch = watch;
    change->args = (struct wisp_keyvalue_on_set_args){watch->bucket, watched->key, {0}};
    change->is_set = is_set;
    wisp_ring_append(&watch->changes, &change->link);
    watch->n_changes++;
    return change;
}

struct wisp_keyvalue_change *wisp_keyvalue_watch_set(struct wisp_keyvalue_watch *watch, struct wisp_str key)
{
    return change_new(watch, key, true);
}

void wisp_keyvalue_watch_deleted(struct wisp_keyvalue_watch *watch, struct wisp_str key)
{
    struct wisp_keyvalue_change *change = change_new(watch, key, false);
    if (!change) return;
    change->is_known = true;
    pump(watch);
}

void wisp_keyvalue_change_end(struct wisp_keyvalue_change *change, struct wisp_bytes value)
{
    struct wisp_keyvalue_watch *watch = change->watch;
    if (value.ptr) {
        struct wisp_str copy = wisp_arena_str(&change->arena, (struct wisp_str){(const char *)value.ptr, value.len});
        change->args.value = (struct wisp_bytes){(const uint8_t *)copy.ptr, copy.len};
        change->is_known = true;
        watch->n_bytes += value.len;
    } else {
        forget(change);
    }
    pump(watch);
}

/* --- life --- */

int wisp_keyvalue_watch_new(struct wisp_keyvalue_watch **ret_watch, const struct wisp_provider_link *link,
                            struct wisp_str bucket, struct wisp_err *err)
{
    struct wisp_keyvalue_watch *watch = wisp_mem_calloc(1, sizeof *watch);
    watch->provider = link->provider;
    watch->target_id = wisp_arena_str(&watch->arena, link->target_id);
    watch->bucket = wisp_arena_str(&watch->arena, bucket);
    wisp_ring_init(&watch->changes);
    int r = wisp_keyvalue_watch_read(wisp_settings_get(&link->settings, "watch"), &watch->arena, &watch->keys,
                                     &watch->n_keys, err);
    if (r < 0)
        wisp_keyvalue_watch_free(watch);
    else
        *ret_watch = watch;
    return r;
}

void wisp_keyvalue_watch_free(struct wisp_keyvalue_watch *watch)
{
    if (!watch) return;
    while (!wisp_ring_is_empty(&watch->changes)) {
        struct wisp_keyvalue_change *change = WISP_OWNER(watch->changes.next, struct wisp_keyvalue_change, link);
        if (change->invocation) wisp_provider_invocation_cancel(change->invocation);
        forget(change);
    }
    wisp_arena_deinit(&watch->arena);
    free(watch);
}

const struct wisp_keyvalue_watched *wisp_keyvalue_watch_keys(const struct wisp_keyvalue_watch *watch, size_t *ret_n)
{
    *ret_n = watch->n_keys;
    return watch->keys;
}
