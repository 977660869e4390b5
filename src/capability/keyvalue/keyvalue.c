/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/keyvalue.h"

#include "base/log.h"
#include "base/parse.h"

#include <stdarg.h>
#include <stdio.h>

static void serve(struct wisp_provider_call *call, const void *args);

const struct wisp_provider_func wisp_keyvalue_funcs[] = {
    {"get", "(string, string) -> result<option<list<u8>>, error>", serve,
     WISP_HOST_SIZES(struct wisp_keyvalue_key_args, struct wisp_keyvalue_value)},
    {"set", "(string, string, list<u8>) -> result<_, error>", serve,
     WISP_HOST_SIZES(struct wisp_keyvalue_set_args, struct wisp_keyvalue_done)},
    {"delete", "(string, string) -> result<_, error>", serve,
     WISP_HOST_SIZES(struct wisp_keyvalue_key_args, struct wisp_keyvalue_done)},
    {"exists", "(string, string) -> result<bool, error>", serve,
     WISP_HOST_SIZES(struct wisp_keyvalue_key_args, struct wisp_keyvalue_found)},
    {"list-keys", "(string, option<u64>) -> result<record{list<string>, option<u64>}, error>", serve,
     WISP_HOST_SIZES(struct wisp_keyvalue_list_args, struct wisp_keyvalue_keys)},
    {"increment", "(string, string, u64) -> result<u64, error>", serve,
     WISP_HOST_SIZES(struct wisp_keyvalue_increment_args, struct wisp_keyvalue_number)},
    {"get-many", "(string, list<string>) -> result<list<option<tuple<string, list<u8>>>>, error>", serve,
     WISP_HOST_SIZES(struct wisp_keyvalue_keys_args, struct wisp_keyvalue_values)},
    {"set-many", "(string, list<tuple<string, list<u8>>>) -> result<_, error>", serve,
     WISP_HOST_SIZES(struct wisp_keyvalue_pairs_args, struct wisp_keyvalue_done)},
    {"delete-many", "(string, list<string>) -> result<_, error>", serve,
     WISP_HOST_SIZES(struct wisp_keyvalue_keys_args, struct wisp_keyvalue_done)},
};
static const char *const types[] = {"error = variant{_, _, string}", NULL};

const struct wisp_provider_interface wisp_keyvalue_store = {
    .name = "wrpc:keyvalue/store@0.2.0-draft",
    .link_interface = "wasi:keyvalue/store",
    .funcs = wisp_keyvalue_funcs,
    .n_funcs = WISP_KEYVALUE_INCREMENT,
    .types = types,
};
const struct wisp_provider_interface wisp_keyvalue_atomics = {
    .name = "wrpc:keyvalue/atomics@0.2.0-draft",
    .link_interface = "wasi:keyvalue/atomics",
    .funcs = wisp_keyvalue_funcs + WISP_KEYVALUE_INCREMENT,
    .n_funcs = 1,
    .types = types,
};
const struct wisp_provider_interface wisp_keyvalue_batch = {
    .name = "wrpc:keyvalue/batch@0.2.0-draft",
    .link_interface = "wasi:keyvalue/batch",
    .funcs = wisp_keyvalue_funcs + WISP_KEYVALUE_GET_MANY,
    .n_funcs = WISP_KEYVALUE_VERB_COUNT - WISP_KEYVALUE_GET_MANY,
    .types = types,
};
const struct wisp_provider_interface *const wisp_keyvalue_exports[] = {
    &wisp_keyvalue_store,
    &wisp_keyvalue_atomics,
    &wisp_keyvalue_batch,
};

/* --- what every kind checks --- */

static int check_key(struct wisp_str key, struct wisp_err *err)
{
    if (key.len == 0) return wisp_err_set(err, WISP_ERR_INVALID, "a key may not be empty");
    if (key.len <= WISP_KEYVALUE_KEY_MAX) return 0;
    return wisp_err_set(err, WISP_ERR_LIMIT, "a key has %zu bytes, at most %d are allowed", key.len,
                        WISP_KEYVALUE_KEY_MAX);
}

static int check_value(struct wisp_bytes value, struct wisp_err *err)
{
    if (value.len <= WISP_KEYVALUE_VALUE_MAX) return 0;
    return wisp_err_set(err, WISP_ERR_LIMIT, "a value has %zu bytes, at most %d are allowed", value.len,
                        WISP_KEYVALUE_VALUE_MAX);
}

static int check_count(size_t n, struct wisp_err *err)
{
    if (n <= WISP_KEYVALUE_BATCH_MAX) return 0;
    return wisp_err_set(err, WISP_ERR_LIMIT, "%zu keys in one call, at most %d are allowed", n,
                        WISP_KEYVALUE_BATCH_MAX);
}

static int check_keys(const struct wisp_keyvalue_keys_args *args, struct wisp_err *err)
{
    int r = check_count(args->n, err);
    for (size_t i = 0; i < args->n && r == 0; i++) r = check_key(args->keys[i], err);
    return r;
}

static int check_pairs(const struct wisp_keyvalue_pairs_args *args, struct wisp_err *err)
{
    int r = check_count(args->n, err);
    for (size_t i = 0; i < args->n && r == 0; i++) {
        r = check_key(args->pairs[i].key, err);
        if (r == 0) r = check_value(args->pairs[i].value, err);
    }
    return r;
}

static int check_args(enum wisp_keyvalue_verb verb, const void *args, struct wisp_err *err)
{
    const struct wisp_keyvalue_key_args *common = args; /* all begin with the bucket, those with one key go on so */
    if (common->bucket.len > WISP_KEYVALUE_BUCKET_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "the bucket's name has more than %d bytes", WISP_KEYVALUE_BUCKET_MAX);
    switch (verb) {
    case WISP_KEYVALUE_LIST_KEYS:
        return 0;
    case WISP_KEYVALUE_GET_MANY:
    case WISP_KEYVALUE_DELETE_MANY:
        return check_keys(args, err);
    case WISP_KEYVALUE_SET_MANY:
        return check_pairs(args, err);
    case WISP_KEYVALUE_SET: {
        int r = check_value(((const struct wisp_keyvalue_set_args *)args)->value, err);
        if (r < 0) return r;
        break;
    }
    default:
        break;
    }
    return check_key(common->key, err);
}

static void serve(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_keyvalue_kind *kind = call->provider->state;
    enum wisp_keyvalue_verb verb = (enum wisp_keyvalue_verb)(call->func - wisp_keyvalue_funcs);
    struct wisp_err err = {0};
    if (!call->link)
        wisp_keyvalue_fail(call, WISP_KEYVALUE_OTHER, "`%.*s` has no link `%.*s` to the provider `%.*s`",
                           WISP_STR_ARG(call->source_id), WISP_STR_ARG(call->link_name),
                           WISP_STR_ARG(call->provider->id));
    else if (check_args(verb, args, &err) < 0)
        wisp_keyvalue_fail_with(call, &err);
    else
        kind->run(call, verb, args);
}

int wisp_keyvalue_check_link(const struct wisp_provider_link *link, struct wisp_err *err)
{
    if (!link->is_source) return 0;
    return wisp_err_set(err, WISP_ERR_UNSUPPORTED,
                        "changes of keys can't be watched: this provider calls no components (wasi:keyvalue/watcher)");
}

/* --- answers --- */

/* Guests get text in UTF-8 only; what a server says, or is cut off, may be anything. */
static struct wisp_str clean(struct wisp_arena *arena, const char *text)
{
    struct wisp_str copy = wisp_str_from(wisp_arena_cstr(arena, wisp_str_from(text)));
    if (wisp_str_is_utf8(copy)) return copy;
    for (char *c = (char *)(uintptr_t)copy.ptr; *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    return copy;
}

static void fail_as(struct wisp_provider_call *call, enum wisp_keyvalue_error_case error_case, const char *text)
{
    union wisp_keyvalue_result result = {.done = {.is_err = 1, .error.tag = error_case}};
    if (error_case == WISP_KEYVALUE_OTHER) result.done.error.text = clean(call->arena, text);
    wisp_provider_return(call, &result);
}

void wisp_keyvalue_fail(struct wisp_provider_call *call, enum wisp_keyvalue_error_case error_case, const char *format,
                        ...)
{
    char text[WISP_ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fail_as(call, error_case, text);
}

void wisp_keyvalue_fail_with(struct wisp_provider_call *call, const struct wisp_err *err)
{
    if (err->kind == WISP_ERR_DENIED)
        WISP_LOG(WARN, "keyvalue", "access denied", WISP_BYTES("provider", call->provider->id),
                 WISP_BYTES("component", call->source_id), WISP_TEXT("error", err->text));
    fail_as(call, err->kind == WISP_ERR_DENIED ? WISP_KEYVALUE_ACCESS_DENIED : WISP_KEYVALUE_OTHER, err->text);
}

void wisp_keyvalue_fail_cancelled(struct wisp_provider_call *call)
{
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_CANCELLED, "cancelled");
    wisp_provider_fail(call, &err);
}

void wisp_keyvalue_return_done(struct wisp_provider_call *call)
{
    union wisp_keyvalue_result result = {.done = {0}};
    wisp_provider_return(call, &result);
}

void wisp_keyvalue_return_value(struct wisp_provider_call *call, struct wisp_bytes value)
{
    union wisp_keyvalue_result result = {.value = {.is_some = value.ptr != NULL, .value = value}};
    wisp_provider_return(call, &result);
}

void wisp_keyvalue_return_exists(struct wisp_provider_call *call, bool exists)
{
    union wisp_keyvalue_result result = {.found = {.exists = exists}};
    wisp_provider_return(call, &result);
}

void wisp_keyvalue_return_keys(struct wisp_provider_call *call, const struct wisp_str *keys, size_t n, uint64_t cursor)
{
    union wisp_keyvalue_result result = {.keys = {.keys = keys, .n = n, .has_cursor = cursor != 0, .cursor = cursor}};
    wisp_provider_return(call, &result);
}

void wisp_keyvalue_return_number(struct wisp_provider_call *call, uint64_t number)
{
    union wisp_keyvalue_result result = {.number = {.number = number}};
    wisp_provider_return(call, &result);
}

void wisp_keyvalue_return_values(struct wisp_provider_call *call, const struct wisp_keyvalue_maybe_pair *pairs,
                                 size_t n)
{
    union wisp_keyvalue_result result = {.values = {.pairs = pairs, .n = n}};
    wisp_provider_return(call, &result);
}

int wisp_keyvalue_add(struct wisp_str value, uint64_t delta, uint64_t *ret_sum, struct wisp_err *err)
{
    uint64_t number;
    if (wisp_parse_u64(value, UINT64_MAX, &number, NULL) < 0)
        return wisp_err_set(err, WISP_ERR_INVALID, "the value is no number");
    if (number > UINT64_MAX - delta) return wisp_err_set(err, WISP_ERR_LIMIT, "the sum is too large");
    *ret_sum = number + delta;
    return 0;
}
