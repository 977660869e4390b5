/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of key-value kinds: an instance with a link, and calls whose outcome is a line of text:
 * "done", "none", "some VALUE", "true", "7", "a b c" (keys, sorted), "a=1 b=none" (values), "other: TEXT", ... */
#pragma once

#include "base/json.h"
#include "bus/client_rig.h"
#include "capability/keyvalue/keyvalue.h"
#include "capability/kinds.h"
#include "provider/runtime.h"

static struct wisp_err err;

struct world {
    uv_loop_t loop;
    struct wisp_provider *provider;
    struct wisp_arena arena;
    bool is_closed;
};

struct outcome {
    struct world *world;
    const struct wisp_provider_export *export_;
    char *text;
    union wisp_keyvalue_result result; /* of those that ended well; what it points to is the world's */
    unsigned n;
};

/* Texts go to the JSON as they are; secrets may be NULL. */
static inline json_t *link_json(const struct world *world, const char *name, const char *config, const char *secrets)
{
    json_t *link = json_pack("{s:s, s:s%, s:s, s:s, s:s, s:[s,s,s], s:{}, s:o, s:o}", "source_id", "guest", "target",
                             world->provider->id.ptr, world->provider->id.len, "name", name, "wit_namespace", "wasi",
                             "wit_package", "keyvalue", "interfaces", "store", "atomics", "batch", "source_config",
                             "target_config", json_loads(config, 0, NULL), "target_secrets",
                             secrets ? json_loads(secrets, 0, NULL) : json_null());
    CHECK(link);
    return link;
}

static inline int put_link(struct world *world, const char *name, const char *config, const char *secrets)
{
    WISP_CLEANUP_JSON json_t *link = link_json(world, name, config, secrets);
    return wisp_provider_put_link(world->provider, link, &err);
}

static inline int open_world(struct world *world, const struct wisp_provider_options *options)
{
    struct wisp_provider_options filled = *options;
    *world = (struct world){0};
    CHECK_INT(uv_loop_init(&world->loop), 0);
    filled.id = "kv";
    filled.lattice = "default";
    filled.host_id = "host";
    filled.loop = &world->loop;
    filled.is_first = true;
    signal(SIGPIPE, SIG_IGN);
    return wisp_provider_new(&world->provider, &filled, &err);
}

static inline void on_world_closed(void *env) { *(bool *)env = true; }

static inline void close_provider(struct world *world)
{
    wisp_provider_close(world->provider, on_world_closed, &world->is_closed);
    AWAIT(&world->loop, world->is_closed);
}

static inline void close_world(struct world *world)
{
    if (!world->is_closed) close_provider(world);
    end_loop(&world->loop);
    wisp_arena_deinit(&world->arena);
}

/* --- outcomes as text --- */

static inline int compare_keys(const void *a, const void *b)
{
    return wisp_str_compare(*(const struct wisp_str *)a, *(const struct wisp_str *)b);
}

static inline void print_keys(const struct wisp_keyvalue_keys *keys, struct wisp_buf *out)
{
    struct wisp_str *sorted = (struct wisp_str *)(uintptr_t)keys->keys;
    if (keys->n) qsort(sorted, keys->n, sizeof *sorted, compare_keys);
    for (size_t i = 0; i < keys->n; i++) wisp_buf_printf(out, "%s%.*s", i ? " " : "", WISP_STR_ARG(sorted[i]));
    if (keys->has_cursor) wisp_buf_printf(out, " ...");
}

static inline void print_values(const struct wisp_keyvalue_values *values, struct wisp_buf *out)
{
    for (size_t i = 0; i < values->n; i++) {
        const struct wisp_keyvalue_maybe_pair *at = &values->pairs[i];
        struct wisp_str value = {(const char *)at->pair.value.ptr, at->pair.value.len};
        if (at->is_some)
            wisp_buf_printf(out, "%s%.*s=%.*s", i ? " " : "", WISP_STR_ARG(at->pair.key), WISP_STR_ARG(value));
        else
            wisp_buf_printf(out, "%snone", i ? " " : "");
    }
}

static inline void print_result(enum wisp_keyvalue_verb verb, const union wisp_keyvalue_result *result,
                                struct wisp_buf *out)
{
    static const char *const cases[] = {"no-such-store", "access-denied", "other: "};
    const struct wisp_keyvalue_error *error = &result->done.error;
    struct wisp_str value = {0};
    if (verb == WISP_KEYVALUE_GET && !result->value.is_err && result->value.is_some)
        value = (struct wisp_str){(const char *)result->value.value.ptr, result->value.value.len};
    if (result->done.is_err)
        wisp_buf_printf(out, "%s%.*s", cases[error->tag],
                        WISP_STR_ARG(error->tag == WISP_KEYVALUE_OTHER ? error->text : WISP_STR("")));
    else if (verb == WISP_KEYVALUE_GET)
        wisp_buf_printf(out, "%s%.*s", result->value.is_some ? "some " : "none", WISP_STR_ARG(value));
    else if (verb == WISP_KEYVALUE_EXISTS)
        wisp_buf_printf(out, "%s", result->found.exists ? "true" : "false");
    else if (verb == WISP_KEYVALUE_LIST_KEYS)
        print_keys(&result->keys, out);
    else if (verb == WISP_KEYVALUE_INCREMENT)
        wisp_buf_printf(out, "%llu", (unsigned long long)result->number.number);
    else if (verb == WISP_KEYVALUE_GET_MANY)
        print_values(&result->values, out);
    else
        wisp_buf_printf(out, "done");
}

static inline void on_outcome(const void *result, const struct wisp_err *failure, void *env)
{
    struct outcome *outcome = env;
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    CHECK_INT(outcome->n++, 0);
    if (failure) {
        wisp_buf_printf(&text, "failed: %s", failure->text);
    } else {
        wisp_value_copy(&outcome->world->arena, outcome->export_->type->result, result, &outcome->result);
        print_result((enum wisp_keyvalue_verb)(outcome->export_->func - wisp_keyvalue_funcs), &outcome->result, &text);
    }
    outcome->text = wisp_arena_cstr(&outcome->world->arena, wisp_buf_str(&text));
}

/* --- calls --- */

static inline const struct wisp_provider_export *find_verb(const struct world *world, enum wisp_keyvalue_verb verb)
{
    const struct wisp_provider_export *found = NULL;
    for (size_t i = 0; i < WISP_KEYVALUE_EXPORT_COUNT && !found; i++)
        found = wisp_provider_find(world->provider, wisp_str_from(wisp_keyvalue_exports[i]->name),
                                   wisp_str_from(wisp_keyvalue_funcs[verb].name));
    return found;
}

/* `args` stay until the outcome is there. */
static inline struct wisp_provider_call *start_call(struct world *world, const char *link_name,
                                                    enum wisp_keyvalue_verb verb, void *args, struct outcome *outcome)
{
    *outcome = (struct outcome){.world = world, .export_ = find_verb(world, verb)};
    CHECK(outcome->export_);
    struct wisp_provider_caller caller = {.source_id = WISP_STR("guest"), .link_name = wisp_str_from(link_name)};
    return wisp_provider_call_start(world->provider, outcome->export_, &caller, args, on_outcome, outcome);
}

static inline struct outcome call_over(struct world *world, const char *link_name, enum wisp_keyvalue_verb verb,
                                       void *args)
{
    struct outcome outcome;
    start_call(world, link_name, verb, args, &outcome);
    AWAIT(&world->loop, outcome.n);
    return outcome;
}

static inline size_t split_words(const char *text, struct wisp_str words[16])
{
    size_t n = 0;
    struct wisp_str rest = wisp_str_from(text), word;
    while (rest.len && n < 16) {
        if (!wisp_str_split(rest, ' ', &word, &rest)) word = rest, rest.len = 0;
        words[n++] = word;
    }
    return n;
}

/* Keys of the batch functions are words of `key`, values those of `value`. */
static inline const char *say_over(struct world *world, const char *link_name, enum wisp_keyvalue_verb verb,
                                   const char *bucket, const char *key, const char *value)
{
    struct wisp_str keys[16], values[16];
    size_t n = split_words(key ? key : "", keys);
    split_words(value ? value : "", values);
    struct wisp_keyvalue_pair pairs[16];
    struct wisp_bytes bytes = {(const uint8_t *)value, value ? strlen(value) : 0};
    for (size_t i = 0; i < n; i++) pairs[i].key = keys[i];
    for (size_t i = 0; i < n && verb == WISP_KEYVALUE_SET_MANY; i++)
        pairs[i].value = (struct wisp_bytes){(const uint8_t *)values[i].ptr, values[i].len};
    struct wisp_keyvalue_key_args one = {wisp_str_from(bucket), wisp_str_from(key)};
    struct wisp_keyvalue_set_args set = {one.bucket, one.key, bytes};
    struct wisp_keyvalue_list_args list = {.bucket = one.bucket};
    struct wisp_keyvalue_increment_args increment = {one.bucket, one.key, value ? strtoull(value, NULL, 10) : 0};
    struct wisp_keyvalue_keys_args many = {one.bucket, keys, n};
    struct wisp_keyvalue_pairs_args many_pairs = {one.bucket, pairs, n};
    void *const args[] = {&one, &set, &one, &one, &list, &increment, &many, &many_pairs, &many};
    return call_over(world, link_name, verb, args[verb]).text;
}

static inline const char *say(struct world *world, enum wisp_keyvalue_verb verb, const char *bucket, const char *key,
                              const char *value)
{
    return say_over(world, "default", verb, bucket, key, value);
}
#define GET(world, key) say((world), WISP_KEYVALUE_GET, "b", (key), NULL)
#define SET(world, key, value) say((world), WISP_KEYVALUE_SET, "b", (key), (value))
