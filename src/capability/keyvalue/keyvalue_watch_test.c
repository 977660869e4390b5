/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/keyvalue_rig.h"
#include "capability/keyvalue/watch.h"

/* --- the setting --- */

static const struct wisp_keyvalue_watched *keys;
static size_t n_keys;

TEST(keys)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    CHECK_OK(wisp_keyvalue_watch_read(WISP_STR(" SET@a , del@b:c,DEL@ a,,SET@x@y,set@a"), &arena, &keys, &n_keys, &err),
             &err);
    CHECK_INT(n_keys, 3);
    CHECK_STR(keys[0].key, "a");
    CHECK(keys[0].on_set && keys[0].on_delete);
    CHECK_STR(keys[1].key, "b:c");
    CHECK(!keys[1].on_set && keys[1].on_delete);
    CHECK_STR(keys[2].key, "x@y");
}

TEST(keys_that_can_not_be)
{
    static const char *const bad[] = {"", " , ", "a", "GET@a", "SET@", "@a", "SET@a,DEL"};
    WISP_CLEANUP_BUF struct wisp_buf many = {0};
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        CHECK(wisp_keyvalue_watch_read(wisp_str_from(bad[i]), &arena, &keys, &n_keys, &err) < 0);
        CHECK_HAS(err.text, "`watch`");
    }
    for (int i = 0; i <= WISP_KEYVALUE_WATCH_KEYS_MAX; i++) wisp_buf_printf(&many, "SET@k%d,", i);
    CHECK(wisp_keyvalue_watch_read(wisp_buf_str(&many), &arena, &keys, &n_keys, &err) < 0);
    CHECK_INT(err.kind, WISP_ERR_LIMIT);
}

/* --- changes --- */

static struct {
    char text[128]; /* of the call under way */
    wisp_provider_on_result *on_result;
    void *env;
    size_t n_calls, n_cancelled;
} component;

static int invoke(void *env, struct wisp_provider *provider, const struct wisp_provider_export *import,
                  const void *args, const struct wisp_provider_request *request, void **ret_handle,
                  struct wisp_err *invoke_err)
{
    const struct wisp_keyvalue_on_set_args *given = args;
    (void)env, (void)provider;
    if (wisp_str_is(given->key, "refused")) return wisp_err_set(invoke_err, WISP_ERR_LIMIT, "not this one");
    CHECK(!component.on_result); /* one at a time */
    bool is_set = import->func == &wisp_keyvalue_watcher_funcs[WISP_KEYVALUE_ON_SET];
    snprintf(component.text, sizeof component.text, "%s of %.*s: %.*s %.*s", import->func->name,
             WISP_STR_ARG(request->target_id), WISP_STR_ARG(given->bucket), WISP_STR_ARG(given->key));
    if (is_set)
        snprintf(component.text + strlen(component.text), 32, "=%.*s", (int)given->value.len,
                 (const char *)given->value.ptr);
    component.on_result = request->on_result;
    component.env = request->env;
    component.n_calls++;
    *ret_handle = &component;
    return 0;
}

static void cancel(void *env, void *handle)
{
    (void)env, (void)handle;
    component.n_cancelled++;
}

static void answer(const struct wisp_err *answer_err)
{
    wisp_provider_on_result *on_result = component.on_result;
    component.on_result = NULL;
    on_result(NULL, answer_err, component.env);
}

static const struct wisp_provider_interface *const imports[] = {&wisp_keyvalue_watcher};
static const struct wisp_provider_kind kind = {.name = "watching", .imports = imports, .n_imports = 1};

static struct wisp_keyvalue_watch *begin(struct world *world, const char *setting)
{
    const struct wisp_provider_options options = {.kind = &kind, .world = {.invoke = invoke, .cancel = cancel}};
    struct wisp_keyvalue_watch *watch;
    const struct wisp_setting settings = {WISP_STR("Watch"), wisp_str_from(setting), false};
    memset(&component, 0, sizeof component);
    CHECK_OK(open_world(world, &options), &err);
    const struct wisp_provider_link link = {
        .provider = world->provider, .target_id = WISP_STR("app"), .is_source = true, .settings = {&settings, 1}};
    CHECK_OK(wisp_keyvalue_watch_new(&watch, &link, WISP_STR("0"), &err), &err);
    return watch;
}

static struct wisp_bytes bytes(const char *text)
{
    return (struct wisp_bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}

TEST(changes_keep_their_order)
{
    struct world world;
    struct wisp_keyvalue_watch *watch = begin(&world, "SET@a,DEL@a,SET@b,DEL@c,SET@refused");
    struct wisp_keyvalue_change *first = wisp_keyvalue_watch_set(watch, WISP_STR("a"));
    struct wisp_keyvalue_change *second = wisp_keyvalue_watch_set(watch, WISP_STR("b"));
    CHECK(!wisp_keyvalue_watch_set(watch, WISP_STR("c")));
    CHECK(!wisp_keyvalue_watch_set(watch, WISP_STR("unwatched")));
    wisp_keyvalue_watch_deleted(watch, WISP_STR("b"));
    wisp_keyvalue_watch_deleted(watch, WISP_STR("a"));
    wisp_keyvalue_change_end(second, bytes("2"));
    CHECK_INT(component.n_calls, 0); /* the first one's value is not known yet */
    wisp_keyvalue_change_end(first, bytes(""));
    CHECK_TEXT(component.text, "on-set of app: 0 a=");
    answer(NULL);
    CHECK_TEXT(component.text, "on-set of app: 0 b=2");
    wisp_err_set(&err, WISP_ERR_GUEST, "it trapped");
    answer(&err);
    CHECK_TEXT(component.text, "on-delete of app: 0 a");
    answer(NULL);
    /* What could not be called, and what is gone before its value was read, holds nobody up. */
    first = wisp_keyvalue_watch_set(watch, WISP_STR("a"));
    second = wisp_keyvalue_watch_set(watch, WISP_STR("refused"));
    wisp_keyvalue_watch_deleted(watch, WISP_STR("c"));
    wisp_keyvalue_change_end(second, bytes("x"));
    wisp_keyvalue_change_end(first, bytes(NULL));
    CHECK_TEXT(component.text, "on-delete of app: 0 c");
    answer(NULL);
    CHECK_INT(component.n_calls, 4);
    wisp_keyvalue_watch_free(watch);
    close_world(&world);
}

TEST(what_is_on_its_way_is_given_up)
{
    struct world world;
    struct wisp_keyvalue_watch *watch = begin(&world, "SET@a,DEL@a");
    wisp_keyvalue_watch_deleted(watch, WISP_STR("a"));
    wisp_keyvalue_watch_deleted(watch, WISP_STR("a"));
    CHECK(wisp_keyvalue_watch_set(watch, WISP_STR("a")));
    wisp_keyvalue_watch_free(watch);
    CHECK_INT(component.n_calls, 1);
    CHECK_INT(component.n_cancelled, 1);
    close_world(&world);
}

/* A component that does not answer costs a bounded amount of memory. */
TEST(too_many)
{
    struct world world;
    struct wisp_keyvalue_watch *watch = begin(&world, "DEL@a,SET@a");
    for (int i = 0; i < 20 * 1000; i++) wisp_keyvalue_watch_deleted(watch, WISP_STR("a"));
    CHECK(!wisp_keyvalue_watch_set(watch, WISP_STR("a")));
    for (size_t n = 0; component.on_result; n++) {
        CHECK(n < 10 * 1000);
        answer(NULL);
    }
    CHECK_INT(component.n_calls, 10 * 1000);
    wisp_keyvalue_watch_free(watch);
    close_world(&world);
}
