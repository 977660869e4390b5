/* SPDX-License-Identifier: Apache-2.0 */
/* Changes that NATS and a file tell of, on their way to a component that answers later. */
#include "capability/keyvalue/keyvalue_rig.h"
#include "capability/keyvalue/watch.h"

#include <sqlite3.h>

static struct {
    struct wisp_buf text; /* "a=1 b! ": b was deleted */
    wisp_provider_on_result *on_result;
    void *env;
} component;

static int invoke(void *env, struct wisp_provider *provider, const struct wisp_provider_export *import,
                  const void *args, const struct wisp_provider_request *request, void **ret_handle,
                  struct wisp_err *invoke_err)
{
    const struct wisp_keyvalue_on_set_args *given = args;
    (void)env, (void)provider, (void)invoke_err;
    CHECK_STR(request->target_id, "guest");
    CHECK_STR(given->bucket, "b");
    wisp_buf_printf(&component.text, "%.*s", WISP_STR_ARG(given->key));
    if (import->func == &wisp_keyvalue_watcher_funcs[WISP_KEYVALUE_ON_SET])
        wisp_buf_printf(&component.text, "=%.*s ", (int)given->value.len, (const char *)given->value.ptr);
    else
        wisp_buf_append_str(&component.text, WISP_STR("! "));
    component.on_result = request->on_result;
    component.env = request->env;
    *ret_handle = &component;
    return 0;
}

static void cancel(void *env, void *handle)
{
    (void)env, (void)handle;
    component.on_result = NULL;
}

static bool has(const char *text)
{
    wisp_provider_on_result *on_result = component.on_result;
    component.on_result = NULL;
    if (on_result) on_result(NULL, NULL, component.env);
    return component.text.len == strlen(text) && memcmp(component.text.data, text, component.text.len) == 0;
}

/* Until it was told this, since the last time. */
static void expect(struct world *world, const char *text)
{
    while (!has(text)) {
        CHECK(component.text.len <= strlen(text));
        uv_run(&world->loop, UV_RUN_ONCE);
    }
    component.text.len = 0;
}

/* With a link to the component, and one (`default`) from it. `config` is that of both. */
static void open_watching(struct world *world, const struct wisp_provider_kind *kind, const char *dir,
                          const char *config, const char *watch)
{
    const struct wisp_provider_options options = {
        .kind = kind, .data_path = dir, .world = {.invoke = invoke, .cancel = cancel}};
    memset(&component, 0, sizeof component);
    CHECK_OK(open_world(world, &options), &err);
    CHECK_OK(put_link(world, "default", config, NULL), &err);
    json_t *settings = json_loads(config, 0, NULL);
    json_object_set_new(settings, "watch", json_string(watch));
    json_object_set_new(settings, "bucket", json_string("b"));
    WISP_CLEANUP_JSON json_t *link =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:[s], s:o, s:{}}", "source_id", "kv", "target", "guest", "name",
                  "default", "wit_namespace", "wasi", "wit_package", "keyvalue", "interfaces", "watcher",
                  "source_config", settings, "target_config");
    CHECK_OK(wisp_provider_put_link(world->provider, link, &err), &err);
}

static void close_watching(struct world *world)
{
    close_world(world);
    wisp_buf_deinit(&component.text);
}

TEST(a_file)
{
    struct world world;
    char dir[64], path[96];
    make_dir(dir);
    snprintf(path, sizeof path, "%s/keyvalue.db", dir);
    open_watching(&world, &wisp_keyvalue_sqlite, dir, "{}", "SET@a,DEL@a,SET@n,DEL@gone");
    CHECK_TEXT(SET(&world, "a", "1"), "done");
    expect(&world, "a=1 ");
    CHECK_TEXT(SET(&world, "unwatched", "1"), "done");
    CHECK_TEXT(SET(&world, "gone", "1"), "done");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_INCREMENT, "b", "n", "3"), "3");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_SET, "other", "a", "x"), "done");
    CHECK_TEXT(SET(&world, "a", ""), "done");
    expect(&world, "a= n=3 ");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_DELETE, "b", "a", NULL), "done");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_DELETE, "b", "n", NULL), "done");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_DELETE, "b", "gone", NULL), "done");
    expect(&world, "a! gone! ");
    /* Another process writes. */
    sqlite3 *other;
    CHECK_INT(sqlite3_open(path, &other), SQLITE_OK);
    CHECK_INT(sqlite3_exec(other, "INSERT INTO entry (bucket, key, value) VALUES ('b', 'a', x'3132')", 0, 0, 0), 0);
    expect(&world, "a=12 ");
    /* While it writes, it is waited for. */
    CHECK_INT(sqlite3_exec(other, "BEGIN EXCLUSIVE; UPDATE entry SET value = x'33' WHERE key = 'a'", 0, 0, 0), 0);
    for (int i = 0; i < 5; i++) uv_run(&world.loop, UV_RUN_ONCE);
    CHECK_INT(sqlite3_exec(other, "COMMIT", 0, 0, 0), 0);
    expect(&world, "a=3 ");
    sqlite3_close(other);
    close_watching(&world);
    remove_tree(dir);
}

TEST(what_a_file_had_before_is_not_told)
{
    struct world world;
    char dir[64];
    make_dir(dir);
    open_watching(&world, &wisp_keyvalue_sqlite, dir, "{}", "SET@a,DEL@a");
    CHECK_TEXT(SET(&world, "a", "1"), "done");
    expect(&world, "a=1 ");
    close_watching(&world);
    open_watching(&world, &wisp_keyvalue_sqlite, dir, "{}", "SET@a,DEL@a");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_DELETE, "b", "a", NULL), "done");
    expect(&world, "a! ");
    close_watching(&world);
    remove_tree(dir);
}

static void start_jetstream(struct nats *nats)
{
    char config[512];
    snprintf(config, sizeof config, "jetstream { store_dir: \"%s/js\" }", nats->dir);
    nats_start(nats, config);
}

static void await_end(struct world *world, const char *end)
{
    size_t n = strlen(end);
    while (component.text.len < n || memcmp(component.text.data + component.text.len - n, end, n) != 0) {
        uv_run(&world->loop, UV_RUN_ONCE);
        has("");
    }
    component.text.len = 0;
}

/* What was there before it watches is not told. */
static void await_watching(struct world *world)
{
    do CHECK_TEXT(SET(world, "a", "first"), "done"); /* makes the bucket, too */
    while (!component.text.len);
    CHECK_TEXT(SET(world, "a", "mark"), "done");
    await_end(world, "a=mark ");
}

TEST(nats)
{
    struct nats nats;
    struct world world;
    char config[256];
    nats_init(&nats);
    start_jetstream(&nats);
    snprintf(config, sizeof config, "{\"cluster_uri\": \"%s\", \"enable_bucket_auto_create\": \"true\"}", nats.url);
    open_watching(&world, &wisp_keyvalue_nats, NULL, config, "SET@a,DEL@a,SET@n");
    await_watching(&world);
    CHECK_TEXT(SET(&world, "a", "1"), "done");
    CHECK_TEXT(SET(&world, "unwatched", "1"), "done");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_INCREMENT, "b", "n", "3"), "3");
    CHECK_TEXT(SET(&world, "a", ""), "done");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_DELETE, "b", "a", NULL), "done");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_DELETE, "b", "n", NULL), "done");
    expect(&world, "a=1 n=3 a= a! ");
    /* A server that was away: it goes on where it was. */
    nats_kill(&nats);
    start_jetstream(&nats);
    CHECK_TEXT(GET(&world, "a"), "none"); /* reads wait for it */
    CHECK_TEXT(SET(&world, "a", "back"), "done");
    expect(&world, "a=back ");
    close_watching(&world);
    nats_deinit(&nats);
}

/* What changed while nobody could tell is told afterwards, as the last of it. */
TEST(nats_while_it_is_away)
{
    struct nats nats;
    struct world world, other;
    char config[256];
    const struct wisp_provider_options options = {.kind = &wisp_keyvalue_nats};
    nats_init(&nats);
    start_jetstream(&nats);
    snprintf(config, sizeof config, "{\"cluster_uri\": \"%s\", \"enable_bucket_auto_create\": \"true\"}", nats.url);
    CHECK_OK(open_world(&other, &options), &err);
    CHECK_OK(put_link(&other, "default", config, NULL), &err);
    CHECK_TEXT(SET(&other, "a", "before"), "done");
    open_watching(&world, &wisp_keyvalue_nats, NULL, config, "SET@a");
    await_watching(&world);
    nats_kill(&nats);
    start_jetstream(&nats);
    /* This loop does not run meanwhile. */
    CHECK_TEXT(GET(&other, "a"), "some mark");
    CHECK_TEXT(SET(&other, "a", "2"), "done");
    CHECK_TEXT(SET(&other, "a", "3"), "done");
    await_end(&world, "a=3 ");
    close_world(&other);
    close_watching(&world);
    nats_deinit(&nats);
}

TEST(settings_that_can_not_be)
{
    struct world world;
    const struct wisp_provider_options options = {.kind = &wisp_keyvalue_nats,
                                                  .world = {.invoke = invoke, .cancel = cancel}};
    static const char *const bad[] = {
        "{\"cluster_uri\": \"127.0.0.1:1\"}", "{\"cluster_uri\": \"127.0.0.1:1\", \"watch\": \"SET@a b\"}",
        "{\"cluster_uri\": \"127.0.0.1:1\", \"watch\": \"SET@a\", \"bucket\": \"a.b\"}", "{\"watch\": \"SET@a\"}"};
    CHECK_OK(open_world(&world, &options), &err);
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        WISP_CLEANUP_JSON json_t *link =
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:[s], s:o, s:{}}", "source_id", "kv", "target", "guest", "name",
                      "default", "wit_namespace", "wasi", "wit_package", "keyvalue", "interfaces", "watcher",
                      "source_config", json_loads(bad[i], 0, NULL), "target_config");
        CHECK(wisp_provider_put_link(world.provider, link, &err) < 0);
    }
    CHECK_HAS(err.text, "in memory"); /* without a bus and a directory */
    close_world(&world);
}
