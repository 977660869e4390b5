/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:keyvalue as guests see it: buckets are objects. A bucket is a name and nothing else; whether there is such a
 * store shows when it is used. Both drafts are here; what the second has and wrpc:keyvalue has not (compare-and-swap,
 * counting down) answers with an error. Whatever goes wrong on the way is the guest's `other`, never a trap. */
#include "capability/keyvalue/watch.h"
#include "capability/kinds.h"

#include "base/parse.h"
#include "provider/inside.h"
#include "provider/outside.h"

#include <stdio.h>
#include <stdlib.h>

struct bucket {
    struct wisp_str name; /* behind the struct */
};

static void drop_bucket(void *rep, void *context)
{
    (void)context;
    free(rep);
}

static struct wisp_keyvalue_done failed(struct wisp_str text)
{
    return (struct wisp_keyvalue_done){.is_err = 1, .error = {.tag = WISP_KEYVALUE_OTHER, .text = text}};
}

struct open_result {
    uint32_t is_err;
    union {
        struct bucket *bucket;
        struct wisp_keyvalue_error error;
    };
};

static struct bucket *bucket_new(struct wisp_str name)
{
    struct bucket *bucket = wisp_mem_alloc(sizeof *bucket + name.len);
    if (name.len) memcpy(bucket + 1, name.ptr, name.len);
    bucket->name = (struct wisp_str){(char *)(bucket + 1), name.len};
    return bucket;
}

static int open_bucket(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_str *name = args;
    struct open_result *opened = result;
    *opened = (struct open_result){.is_err = 1, .error.tag = WISP_KEYVALUE_NO_SUCH_STORE};
    if (name->len <= WISP_KEYVALUE_BUCKET_MAX) *opened = (struct open_result){.bucket = bucket_new(*name)};
    return 0;
}

/* Every result begins as struct wisp_keyvalue_done when it is an error. */
static int ask(struct wisp_call *call, const struct wisp_provider_interface *interface, enum wisp_keyvalue_verb verb,
               const void *args, void *result)
{
    struct wisp_err err = {0};
    int r = wisp_outside_call(call, interface, &wisp_keyvalue_funcs[verb], args, result, &err);
    if (r != WISP_OUTSIDE_FAILED) return r;
    struct wisp_keyvalue_done done = failed(wisp_str_from(wisp_arena_printf(call->arena, "%s", err.text)));
    if (!wisp_str_is_utf8(done.error.text)) done.error.text = WISP_STR("the provider failed");
    if (err.kind == WISP_ERR_DENIED) done.error = (struct wisp_keyvalue_error){.tag = WISP_KEYVALUE_ACCESS_DENIED};
    memcpy(result, &done, sizeof done);
    return 0;
}

/* --- store --- */

struct key_args {
    const struct bucket *bucket;
    struct wisp_str key;
};

static int ask_key(struct wisp_call *call, enum wisp_keyvalue_verb verb, const struct key_args *args, void *result)
{
    struct wisp_keyvalue_key_args wire = {args->bucket->name, args->key};
    return ask(call, &wisp_keyvalue_store, verb, &wire, result);
}

static int get(struct wisp_call *call, const void *args, void *result)
{
    return ask_key(call, WISP_KEYVALUE_GET, args, result);
}

static int delete(struct wisp_call *call, const void *args, void *result)
{
    return ask_key(call, WISP_KEYVALUE_DELETE, args, result);
}

static int exists(struct wisp_call *call, const void *args, void *result)
{
    return ask_key(call, WISP_KEYVALUE_EXISTS, args, result);
}

struct set_args {
    const struct bucket *bucket;
    struct wisp_str key;
    struct wisp_bytes value;
};

static int set(struct wisp_call *call, const void *args, void *result)
{
    const struct set_args *given = args;
    struct wisp_keyvalue_set_args wire = {given->bucket->name, given->key, given->value};
    return ask(call, &wisp_keyvalue_store, WISP_KEYVALUE_SET, &wire, result);
}

struct list_args {
    const struct bucket *bucket;
    uint32_t has_cursor;
    uint64_t cursor;
};

static int list_keys(struct wisp_call *call, const void *args, void *result)
{
    const struct list_args *given = args;
    struct wisp_keyvalue_list_args wire = {given->bucket->name, given->has_cursor, given->cursor};
    return ask(call, &wisp_keyvalue_store, WISP_KEYVALUE_LIST_KEYS, &wire, result);
}

/* The second draft's cursor is text. */
struct list_2_args {
    const struct bucket *bucket;
    uint32_t has_cursor;
    struct wisp_str cursor;
};
struct list_2_result {
    uint32_t is_err;
    union {
        struct {
            const struct wisp_str *keys;
            size_t n;
            uint32_t has_cursor;
            struct wisp_str cursor;
        };
        struct wisp_keyvalue_error error;
    };
};

static int list_keys_2(struct wisp_call *call, const void *args, void *result)
{
    const struct list_2_args *given = args;
    struct list_2_result *listed = result;
    struct wisp_keyvalue_list_args wire = {given->bucket->name, given->has_cursor, 0};
    struct wisp_keyvalue_keys keys;
    *listed = (struct list_2_result){.is_err = 1,
                                     .error = {WISP_KEYVALUE_OTHER, WISP_STR("the cursor is none that was given out")}};
    if (given->has_cursor && wisp_parse_u64(given->cursor, UINT64_MAX, &wire.cursor, NULL) < 0) return 0;
    int r = ask(call, &wisp_keyvalue_store, WISP_KEYVALUE_LIST_KEYS, &wire, &keys);
    if (r < 0) return r;
    if (keys.is_err) {
        listed->error = keys.error;
        return 0;
    }
    *listed = (struct list_2_result){.keys = keys.keys, .n = keys.n, .has_cursor = keys.has_cursor};
    if (keys.has_cursor)
        listed->cursor = wisp_str_from(wisp_arena_printf(call->arena, "%llu", (unsigned long long)keys.cursor));
    return 0;
}

/* --- atomics --- */

struct increment_args {
    const struct bucket *bucket;
    struct wisp_str key;
    uint64_t delta; /* second draft: int64_t */
};

static int increment(struct wisp_call *call, const void *args, void *result)
{
    const struct increment_args *given = args;
    struct wisp_keyvalue_increment_args wire = {given->bucket->name, given->key, given->delta};
    return ask(call, &wisp_keyvalue_atomics, WISP_KEYVALUE_INCREMENT, &wire, result);
}

static int increment_2(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_keyvalue_number *sum = result;
    struct wisp_keyvalue_done error = failed(WISP_STR("counting down is not supported"));
    int r = 0;
    if (((const struct increment_args *)args)->delta <= INT64_MAX) {
        r = increment(call, args, result);
        if (r < 0 || sum->is_err || sum->number <= INT64_MAX) return r;
        error = failed(WISP_STR("the sum is too large"));
    }
    memcpy(result, &error, sizeof error);
    return 0;
}

/* A handle to compare-and-swap: it remembers what it is about, and that is all that can be done with it. */
struct cas {
    struct bucket *bucket;
    struct wisp_str key; /* behind the struct */
};

static void drop_cas(void *rep, void *context)
{
    struct cas *cas = rep;
    drop_bucket(cas->bucket, context);
    free(cas);
}

struct cas_result {
    uint32_t is_err;
    union {
        struct cas *cas;
        struct wisp_keyvalue_error error;
    };
};

static int cas_new(struct wisp_call *call, const void *args, void *result)
{
    const struct key_args *given = args;
    struct cas_result *made = result;
    *made = (struct cas_result){.is_err = 1, .error = {WISP_KEYVALUE_OTHER, WISP_STR("the key is too long")}};
    if (given->key.len > WISP_KEYVALUE_KEY_MAX) return 0;
    struct open_result opened;
    int r = open_bucket(call, &given->bucket->name, &opened);
    if (r < 0) return r;
    struct cas *cas = wisp_mem_alloc(sizeof *cas + given->key.len);
    if (given->key.len) memcpy(cas + 1, given->key.ptr, given->key.len);
    *cas = (struct cas){.bucket = opened.bucket, .key = {(char *)(cas + 1), given->key.len}};
    *made = (struct cas_result){.cas = cas};
    return 0;
}

static int cas_current(struct wisp_call *call, const void *args, void *result)
{
    const struct cas *cas = *(const struct cas *const *)args;
    return ask_key(call, WISP_KEYVALUE_GET, &(struct key_args){cas->bucket, cas->key}, result);
}

struct swap_args {
    struct cas *cas;
    struct wisp_bytes value;
};
struct swap_result {
    uint32_t is_err;
    struct {
        uint32_t tag; /* store-error, cas-failed */
        union {
            struct wisp_keyvalue_error error;
            struct cas *cas;
        };
    } error;
};

static int swap(struct wisp_call *call, const void *args, void *result)
{
    drop_cas(((const struct swap_args *)args)->cas, call->context);
    *(struct swap_result *)result = (struct swap_result){
        .is_err = 1,
        .error.error = {WISP_KEYVALUE_OTHER, WISP_STR("compare-and-swap is not supported: wrpc:keyvalue has none")}};
    return 0;
}

/* --- batch --- */

struct keys_args {
    const struct bucket *bucket;
    const struct wisp_str *keys;
    size_t n;
};

static int ask_keys(struct wisp_call *call, enum wisp_keyvalue_verb verb, const struct keys_args *args, void *result)
{
    struct wisp_keyvalue_keys_args wire = {args->bucket->name, args->keys, args->n};
    return ask(call, &wisp_keyvalue_batch, verb, &wire, result);
}

static int get_many(struct wisp_call *call, const void *args, void *result)
{
    return ask_keys(call, WISP_KEYVALUE_GET_MANY, args, result);
}

static int delete_many(struct wisp_call *call, const void *args, void *result)
{
    return ask_keys(call, WISP_KEYVALUE_DELETE_MANY, args, result);
}

struct pairs_args {
    const struct bucket *bucket;
    const struct wisp_keyvalue_pair *pairs;
    size_t n;
};

static int set_many(struct wisp_call *call, const void *args, void *result)
{
    const struct pairs_args *given = args;
    struct wisp_keyvalue_pairs_args wire = {given->bucket->name, given->pairs, given->n};
    return ask(call, &wisp_keyvalue_batch, WISP_KEYVALUE_SET_MANY, &wire, result);
}

/* --- tables --- */

#define STORE_FUNCS                                                                                                    \
    {"open", "(string) -> result<own<bucket>, store-error>", open_bucket,                                              \
     WISP_HOST_SIZES(struct wisp_str, struct open_result)},                                                            \
        {"[method]bucket.get", "(borrow<bucket>, string) -> result<option<list<u8>>, store-error>", get,               \
         WISP_HOST_SIZES(struct key_args, struct wisp_keyvalue_value)},                                                \
        {"[method]bucket.set", "(borrow<bucket>, string, list<u8>) -> result<_, store-error>", set,                    \
         WISP_HOST_SIZES(struct set_args, struct wisp_keyvalue_done)},                                                 \
        {"[method]bucket.delete", "(borrow<bucket>, string) -> result<_, store-error>", delete,                        \
         WISP_HOST_SIZES(struct key_args, struct wisp_keyvalue_done)},                                                 \
    {                                                                                                                  \
        "[method]bucket.exists", "(borrow<bucket>, string) -> result<bool, store-error>", exists,                      \
            WISP_HOST_SIZES(struct key_args, struct wisp_keyvalue_found)                                               \
    }

static const struct wisp_host_func store_funcs[] = {
    STORE_FUNCS,
    {"[method]bucket.list-keys",
     "(borrow<bucket>, option<u64>) -> result<record{list<string>, option<u64>}, store-error>", list_keys,
     WISP_HOST_SIZES(struct list_args, struct wisp_keyvalue_keys)},
};
static const struct wisp_host_func store_2_funcs[] = {
    STORE_FUNCS,
    {"[method]bucket.list-keys",
     "(borrow<bucket>, option<string>) -> result<record{list<string>, option<string>}, store-error>", list_keys_2,
     WISP_HOST_SIZES(struct list_2_args, struct list_2_result)},
};
static const struct wisp_host_func atomics_funcs[] = {
    {"increment", "(borrow<bucket>, string, u64) -> result<u64, store-error>", increment,
     WISP_HOST_SIZES(struct increment_args, struct wisp_keyvalue_number)},
};
static const struct wisp_host_func atomics_2_funcs[] = {
    {"increment", "(borrow<bucket>, string, s64) -> result<s64, store-error>", increment_2,
     WISP_HOST_SIZES(struct increment_args, struct wisp_keyvalue_number)},
    {"[static]cas.new", "(borrow<bucket>, string) -> result<own<cas>, store-error>", cas_new,
     WISP_HOST_SIZES(struct key_args, struct cas_result)},
    {"[method]cas.current", "(borrow<cas>) -> result<option<list<u8>>, store-error>", cas_current,
     WISP_HOST_SIZES(struct cas *, struct wisp_keyvalue_value)},
    {"swap", "(own<cas>, list<u8>) -> result<_, variant{store-error, own<cas>}>", swap,
     WISP_HOST_SIZES(struct swap_args, struct swap_result)},
};
static const struct wisp_host_func batch_funcs[] = {
    {"get-many", "(borrow<bucket>, list<string>) -> result<list<option<tuple<string, list<u8>>>>, store-error>",
     get_many, WISP_HOST_SIZES(struct keys_args, struct wisp_keyvalue_values)},
    {"set-many", "(borrow<bucket>, list<tuple<string, list<u8>>>) -> result<_, store-error>", set_many,
     WISP_HOST_SIZES(struct pairs_args, struct wisp_keyvalue_done)},
    {"delete-many", "(borrow<bucket>, list<string>) -> result<_, store-error>", delete_many,
     WISP_HOST_SIZES(struct keys_args, struct wisp_keyvalue_done)},
};
/* `error` is a resource of wasi:io. */
static const char *const types[] = {"store-error = variant{_, _, string}", NULL};

/* The bucket is the same in both drafts, and a name that two interfaces have is known in those only that list it. */
static const struct wisp_host_resource resources[] = {
    {.name = "bucket", .drop = drop_bucket},
    {.name = "cas", .drop = drop_cas},
};
enum { BUCKET_ONLY = 1, BUCKET_AND_CAS };

#define INTERFACE(variable, name_, version_, funcs_, n_resources_)                                                     \
    const struct wisp_host_interface variable = {                                                                      \
        .name = "wasi:keyvalue/" name_,                                                                                \
        .version = version_,                                                                                           \
        .funcs = funcs_,                                                                                               \
        .n_funcs = WISP_COUNT(funcs_),                                                                                 \
        .resources = resources,                                                                                        \
        .n_resources = n_resources_,                                                                                   \
        .types = types,                                                                                                \
    }

INTERFACE(wisp_keyvalue_guest_store, "store", "0.2.0-draft", store_funcs, BUCKET_ONLY);
INTERFACE(wisp_keyvalue_guest_atomics, "atomics", "0.2.0-draft", atomics_funcs, BUCKET_ONLY);
INTERFACE(wisp_keyvalue_guest_batch, "batch", "0.2.0-draft", batch_funcs, BUCKET_ONLY);
INTERFACE(wisp_keyvalue_guest_store_2, "store", "0.2.0-draft2", store_2_funcs, BUCKET_ONLY);
INTERFACE(wisp_keyvalue_guest_atomics_2, "atomics", "0.2.0-draft2", atomics_2_funcs, BUCKET_AND_CAS);
INTERFACE(wisp_keyvalue_guest_batch_2, "batch", "0.2.0-draft2", batch_funcs, BUCKET_ONLY);

/* --- changes for components: wasi:keyvalue/watcher --- */

struct on_set_args {
    struct bucket *bucket;
    struct wisp_str key;
    struct wisp_bytes value;
};

/* (own<bucket>, string[, list<u8>]) */
static bool is_on_delete(const struct wisp_func_type *type)
{
    return type->n_params >= 2 && !type->result && wisp_inside_is_own(type->params[0].type, &resources[0]) &&
           type->params[1].type->kind == WISP_TYPE_STRING;
}

static bool is_on_delete_alone(const struct wisp_func_type *type) { return type->n_params == 2 && is_on_delete(type); }

static bool is_on_set(const struct wisp_func_type *type)
{
    if (type->n_params != 3 || !is_on_delete(type)) return false;
    const struct wisp_type *value = type->params[2].type;
    return value->kind == WISP_TYPE_LIST && value->element->kind == WISP_TYPE_U8;
}

static int enter_on_delete(const void *args, struct wisp_arena *arena, void *ret_args, struct wisp_err *err)
{
    const struct wisp_keyvalue_on_delete_args *wire = args;
    (void)arena;
    if (wire->bucket.len > WISP_KEYVALUE_BUCKET_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "the bucket's name is too long");
    /* The arguments of on-set begin like this. */
    struct {
        struct bucket *bucket;
        struct wisp_str key;
    } guest = {bucket_new(wire->bucket), wire->key};
    memcpy(ret_args, &guest, sizeof guest);
    return 0;
}

static int enter_on_set(const void *args, struct wisp_arena *arena, void *ret_args, struct wisp_err *err)
{
    const struct wisp_keyvalue_on_set_args *wire = args;
    struct on_set_args *guest = ret_args;
    guest->value = wire->value;
    return enter_on_delete(&(struct wisp_keyvalue_on_delete_args){wire->bucket, wire->key}, arena, guest, err);
}

static void drop_change(void *args) { free(*(struct bucket **)args); }

const struct wisp_inside wisp_keyvalue_inside_on_set = {
    .interface = &wisp_keyvalue_watcher,
    .func = &wisp_keyvalue_watcher_funcs[WISP_KEYVALUE_ON_SET],
    .guest_interface = "wasi:keyvalue/watcher@0.2.0-draft",
    .guest_func = "on-set",
    .fits = is_on_set,
    .enter = enter_on_set,
    .drop = drop_change,
};
const struct wisp_inside wisp_keyvalue_inside_on_delete = {
    .interface = &wisp_keyvalue_watcher,
    .func = &wisp_keyvalue_watcher_funcs[WISP_KEYVALUE_ON_DELETE],
    .guest_interface = "wasi:keyvalue/watcher@0.2.0-draft",
    .guest_func = "on-delete",
    .fits = is_on_delete_alone,
    .enter = enter_on_delete,
    .drop = drop_change,
};
