/* SPDX-License-Identifier: Apache-2.0 */
/* What guests call, through to a store in memory. */
#include "capability/capability.h"
#include "capability/keyvalue/keyvalue_rig.h"
#include "provider/outside.h"
#include "wasi/test_double.h"

struct bucket;

struct open_result {
    uint32_t is_err;
    union {
        struct bucket *bucket;
        struct wisp_keyvalue_error error;
    };
};
struct key_args {
    const struct bucket *bucket;
    struct wisp_str key;
};
struct set_args {
    const struct bucket *bucket;
    struct wisp_str key;
    struct wisp_bytes value;
};
struct increment_args {
    const struct bucket *bucket;
    struct wisp_str key;
    uint64_t delta;
};
struct keys_args {
    const struct bucket *bucket;
    const struct wisp_str *keys;
    size_t n;
};
struct pairs_args {
    const struct bucket *bucket;
    const struct wisp_keyvalue_pair *pairs;
    size_t n;
};

static struct world world;
static struct {
    struct wisp_err failure; /* instead of asking the provider */
    int ends_with;           /* likewise: the guest is being ended */
    const char *link_interface;
} outside_says;

/* As whoever runs guests does it, but for the links. */
static int ask_provider(struct wisp_call *call, const struct wisp_provider_interface *interface,
                        const struct wisp_provider_func *func, const void *args, void *result, struct wisp_err *ret_err)
{
    struct outcome outcome;
    outside_says.link_interface = interface->link_interface;
    if (outside_says.ends_with) return outside_says.ends_with;
    if (outside_says.failure.kind) {
        *ret_err = outside_says.failure;
        return WISP_OUTSIDE_FAILED;
    }
    start_call(&world, "default", (enum wisp_keyvalue_verb)(func - wisp_keyvalue_funcs), (void *)(uintptr_t)args,
               &outcome);
    AWAIT(&world.loop, outcome.n);
    wisp_value_copy(call->arena, outcome.export_->type->result, &outcome.result, result);
    return 0;
}

static const struct wisp_outside outside = {.call = ask_provider};

static void begin(void)
{
    struct wisp_provider_options options = {.kind = &wisp_keyvalue_sqlite};
    CHECK_OK(open_world(&world, &options), &err);
    CHECK_OK(put_link(&world, "default", "{}", NULL), &err);
    fake_start();
    fake.wasi.outside = &outside;
}

static void finish(void)
{
    fake_stop();
    close_world(&world);
}

static struct bucket *open_bucket(const char *name)
{
    struct open_result opened;
    struct wisp_str text = wisp_str_from(name);
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "open", &text, &opened), 0);
    CHECK_INT(opened.is_err, 0);
    return opened.bucket;
}

static struct wisp_str text_of(struct wisp_bytes bytes)
{
    return (struct wisp_str){(const char *)bytes.ptr, bytes.len};
}

TEST(tables_fit_their_signatures)
{
    const struct wisp_host_interface *all[64];
    size_t n = 0;
    for (size_t i = 0; i < wisp_wasi_n_interfaces; i++) all[n++] = wisp_wasi_interfaces[i];
    for (size_t i = 0; i < wisp_capability_n_interfaces; i++) all[n++] = wisp_capability_interfaces[i];
    struct wisp_host *host;
    CHECK(n <= WISP_COUNT(all));
    CHECK_OK(wisp_host_new(&host, all, n, &err), &err);
    wisp_host_free(host);
}

TEST(a_bucket_and_its_methods)
{
    begin();
    struct bucket *bucket = open_bucket("b"), *other = open_bucket("");
    struct set_args set = {bucket, WISP_STR("k"), {(const uint8_t *)"v", 1}};
    struct key_args key = {bucket, WISP_STR("k")}, elsewhere = {other, WISP_STR("k")};
    struct wisp_keyvalue_done done;
    struct wisp_keyvalue_value value;
    struct wisp_keyvalue_found found;
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "[method]bucket.set", &set, &done), 0);
    CHECK_INT(done.is_err, 0);
    CHECK_TEXT(outside_says.link_interface, "wasi:keyvalue/store");
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "[method]bucket.get", &key, &value), 0);
    CHECK(!value.is_err && value.is_some);
    CHECK_STR(text_of(value.value), "v");
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "[method]bucket.get", &elsewhere, &value), 0);
    CHECK(!value.is_err && !value.is_some);
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "[method]bucket.exists", &key, &found), 0);
    CHECK(!found.is_err && found.exists);
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "[method]bucket.delete", &key, &done), 0);
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "[method]bucket.exists", &key, &found), 0);
    CHECK(!found.is_err && !found.exists);
    CHECK(!fake_drop(&wisp_keyvalue_guest_store, "bucket", bucket));
    CHECK(!fake_drop(&wisp_keyvalue_guest_store, "bucket", other));
    finish();
}

TEST(atomics_and_batch)
{
    begin();
    struct bucket *bucket = open_bucket("b");
    struct increment_args increment = {bucket, WISP_STR("n"), 3};
    struct wisp_keyvalue_number number;
    CHECK_INT(INVOKE(wisp_keyvalue_guest_atomics, "increment", &increment, &number), 0);
    CHECK(!number.is_err && number.number == 3);
    CHECK_TEXT(outside_says.link_interface, "wasi:keyvalue/atomics");
    const struct wisp_keyvalue_pair pairs[] = {{WISP_STR("a"), {(const uint8_t *)"1", 1}},
                                               {WISP_STR("b"), {(const uint8_t *)"2", 1}}};
    const struct wisp_str keys[] = {WISP_STR("b"), WISP_STR("none")};
    struct pairs_args set = {bucket, pairs, 2};
    struct keys_args get = {bucket, keys, 2};
    struct wisp_keyvalue_done done;
    struct wisp_keyvalue_values values;
    CHECK_INT(INVOKE(wisp_keyvalue_guest_batch, "set-many", &set, &done), 0);
    CHECK_INT(done.is_err, 0);
    CHECK_INT(INVOKE(wisp_keyvalue_guest_batch, "get-many", &get, &values), 0);
    CHECK(!values.is_err && values.n == 2 && values.pairs[0].is_some && !values.pairs[1].is_some);
    CHECK_STR(text_of(values.pairs[0].pair.value), "2");
    CHECK_INT(INVOKE(wisp_keyvalue_guest_batch, "delete-many", &get, &done), 0);
    CHECK_INT(done.is_err, 0);
    CHECK_TEXT(outside_says.link_interface, "wasi:keyvalue/batch");
    CHECK(!fake_drop(&wisp_keyvalue_guest_store, "bucket", bucket));
    finish();
}

/* Errors, never traps; and a guest that is being ended ends. */
TEST(failures_on_the_way)
{
    begin();
    struct bucket *bucket = open_bucket("b");
    struct key_args key = {bucket, WISP_STR("k")};
    struct wisp_keyvalue_value value;
    struct wisp_keyvalue_found found;
    wisp_err_set(&outside_says.failure, WISP_ERR_UNAVAILABLE, "nobody runs it");
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "[method]bucket.get", &key, &value), 0);
    CHECK_INT(value.is_err, 1);
    CHECK_INT(value.error.tag, WISP_KEYVALUE_OTHER);
    CHECK_STR(value.error.text, "nobody runs it");
    wisp_err_set(&outside_says.failure, WISP_ERR_INTERNAL, "cut \xe4");
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "[method]bucket.exists", &key, &found), 0);
    CHECK_STR(found.error.text, "the provider failed");
    wisp_err_set(&outside_says.failure, WISP_ERR_DENIED, "policy");
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "[method]bucket.exists", &key, &found), 0);
    CHECK_INT(found.error.tag, WISP_KEYVALUE_ACCESS_DENIED);
    outside_says.ends_with = -(int)WISP_ERR_CANCELLED;
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "[method]bucket.get", &key, &value), -(int)WISP_ERR_CANCELLED);
    fake.wasi.outside = NULL;
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store, "[method]bucket.get", &key, &value), 0);
    CHECK_STR(value.error.text, "nothing is linked to `wasi:keyvalue/store`");
    CHECK(!fake_drop(&wisp_keyvalue_guest_store, "bucket", bucket));
    finish();
}

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

TEST(second_draft_lists_by_text)
{
    begin();
    struct bucket *bucket = open_bucket("b");
    struct wisp_keyvalue_pair *pairs = WISP_NEW_ARRAY(&world.arena, struct wisp_keyvalue_pair, 1500);
    struct wisp_keyvalue_done done;
    struct pairs_args set = {bucket, pairs, 1500};
    struct list_2_args list = {.bucket = bucket};
    struct list_2_result page;
    for (int i = 0; i < 1500; i++) pairs[i].key = wisp_str_from(wisp_arena_printf(&world.arena, "%d", i));
    CHECK_INT(INVOKE(wisp_keyvalue_guest_batch_2, "set-many", &set, &done), 0);
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store_2, "[method]bucket.list-keys", &list, &page), 0);
    CHECK(!page.is_err && page.n == 1000 && page.has_cursor);
    list.has_cursor = 1;
    list.cursor = page.cursor;
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store_2, "[method]bucket.list-keys", &list, &page), 0);
    CHECK(!page.is_err && page.n == 500 && !page.has_cursor);
    list.cursor = WISP_STR("x");
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store_2, "[method]bucket.list-keys", &list, &page), 0);
    CHECK_INT(page.is_err, 1);
    wisp_err_set(&outside_says.failure, WISP_ERR_UNAVAILABLE, "gone");
    list.has_cursor = 0;
    CHECK_INT(INVOKE(wisp_keyvalue_guest_store_2, "[method]bucket.list-keys", &list, &page), 0);
    CHECK(page.is_err && page.error.tag == WISP_KEYVALUE_OTHER);
    CHECK_STR(page.error.text, "gone");
    CHECK(!fake_drop(&wisp_keyvalue_guest_store_2, "bucket", bucket));
    finish();
}

struct cas;
struct cas_result {
    uint32_t is_err;
    union {
        struct cas *cas;
        struct wisp_keyvalue_error error;
    };
};
struct swap_args {
    struct cas *cas;
    struct wisp_bytes value;
};
struct swap_result {
    uint32_t is_err;
    struct {
        uint32_t tag;
        union {
            struct wisp_keyvalue_error error;
            struct cas *cas;
        };
    } error;
};

TEST(second_draft_counts_with_signs_and_has_no_swap)
{
    begin();
    struct bucket *bucket = open_bucket("b");
    struct increment_args increment = {bucket, WISP_STR("n"), 3};
    struct key_args key = {bucket, WISP_STR("n")};
    struct wisp_keyvalue_number number;
    struct wisp_keyvalue_value value;
    struct cas_result made;
    CHECK_INT(INVOKE(wisp_keyvalue_guest_atomics_2, "increment", &increment, &number), 0);
    CHECK(!number.is_err && number.number == 3);
    increment.delta = (uint64_t)-1;
    CHECK_INT(INVOKE(wisp_keyvalue_guest_atomics_2, "increment", &increment, &number), 0);
    CHECK_STR(number.error.text, "counting down is not supported");
    CHECK_INT(INVOKE(wisp_keyvalue_guest_atomics_2, "[static]cas.new", &key, &made), 0);
    CHECK_INT(made.is_err, 0);
    CHECK_INT(INVOKE(wisp_keyvalue_guest_atomics_2, "[method]cas.current", &made.cas, &value), 0);
    CHECK_STR(text_of(value.value), "3");
    struct swap_args swap = {made.cas, {(const uint8_t *)"9", 1}};
    struct swap_result swapped;
    CHECK_INT(INVOKE(wisp_keyvalue_guest_atomics_2, "swap", &swap, &swapped), 0); /* takes the handle */
    CHECK(swapped.is_err && swapped.error.tag == 0 && swapped.error.error.tag == WISP_KEYVALUE_OTHER);
    CHECK_INT(INVOKE(wisp_keyvalue_guest_atomics_2, "[static]cas.new", &key, &made), 0);
    CHECK(!fake_drop(&wisp_keyvalue_guest_atomics_2, "cas", made.cas));
    CHECK(!fake_drop(&wisp_keyvalue_guest_store, "bucket", bucket));
    finish();
}
