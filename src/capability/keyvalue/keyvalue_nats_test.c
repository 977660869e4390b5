/* SPDX-License-Identifier: Apache-2.0 */
/* With a real nats-server, with and without JetStream. */
#include "capability/keyvalue/keyvalue_suite.h"

static void start_jetstream(struct nats *nats, const char *more)
{
    char config[512];
    snprintf(config, sizeof config, "jetstream { store_dir: \"%s/js\", %s }", nats->dir, more);
    nats_start(nats, config);
}

/* An instance without a bus; links say where to go. */
static void open_alone(struct world *world, const char *config)
{
    struct wisp_provider_options options = {.kind = &wisp_keyvalue_nats};
    WISP_CLEANUP_JSON json_t *object = config ? json_loads(config, 0, NULL) : NULL;
    options.config = object;
    CHECK_OK(open_world(world, &options), &err);
}

/* An instance with the bus at `url`. */
static void open_on(struct world *world, struct told *told, const char *url, const char *dir)
{
    struct wisp_provider_options options = {.kind = &wisp_keyvalue_nats, .data_path = dir};
    *world = (struct world){0};
    CHECK_INT(uv_loop_init(&world->loop), 0);
    connect_with(told, &world->loop, (struct wisp_bus_client_options){.urls = &url, .n_urls = 1});
    options.id = "kv";
    options.lattice = "default";
    options.host_id = "host";
    options.loop = &world->loop;
    options.bus = told->client;
    CHECK_OK(wisp_provider_new(&world->provider, &options, &err), &err);
}

static void close_on(struct world *world, struct told *told)
{
    close_provider(world);
    wisp_bus_client_free(told->client);
    close_world(world);
}

TEST(suite)
{
    struct nats nats;
    struct world world;
    char config[256];
    nats_init(&nats);
    start_jetstream(&nats, "max_mem: 64MB");
    open_alone(&world, NULL);
    snprintf(config, sizeof config, "{\"cluster_uri\": \"%s\", \"enable_bucket_auto_create\": \"true\"}", nats.url);
    CHECK_OK(put_link(&world, "default", config, NULL), &err);
    check_all(&world, true, true);
    close_world(&world);
    nats_deinit(&nats);
}

TEST(a_bucket_that_is_set_counts_and_is_not_made_unasked)
{
    struct nats nats;
    struct world world;
    char config[256];
    nats_init(&nats);
    start_jetstream(&nats, "max_mem: 64MB");
    /* What the provider's own configuration says holds where the link's says nothing. */
    snprintf(config, sizeof config, "{\"cluster_uri\": \"nats://127.0.0.1:1, %s\"}", nats.url);
    open_alone(&world, config);
    CHECK_OK(put_link(&world, "default", "{\"bucket\": \"shop\"}", NULL), &err);
    CHECK_TEXT(GET(&world, "a"), "no-such-store");
    CHECK_OK(put_link(&world, "maker", "{\"bucket\": \"shop\", \"enable_bucket_auto_create\": \"true\"}", NULL), &err);
    CHECK_TEXT(say_over(&world, "maker", WISP_KEYVALUE_SET, "x", "a", "1"), "done");
    CHECK_TEXT(GET(&world, "a"), "some 1");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_GET, "whatever", "a", NULL), "some 1");
    CHECK_HAS(GET(&world, "a b"), "other: `a b` is no key for NATS");
    CHECK_HAS(GET(&world, ".a"), "is no key for NATS");
    CHECK_HAS(GET(&world, "a..b"), "is no key for NATS");
    CHECK_HAS(GET(&world, ">"), "is no key for NATS");
    CHECK_OK(put_link(&world, "any", "{}", NULL), &err);
    CHECK_TEXT(say_over(&world, "any", WISP_KEYVALUE_GET, "no.name", "a", NULL), "no-such-store");
    close_world(&world);
    nats_deinit(&nats);
}

TEST(wrong_settings)
{
    struct world world;
    open_alone(&world, NULL);
    CHECK_FAILS(put_link(&world, "a", "{\"cluster_uri\": \"nats://127.0.0.1:1\", \"bucket\": \"a.b\"}", NULL), INVALID);
    CHECK_FAILS(put_link(&world, "b", "{\"cluster_uri\": \"nats://127.0.0.1:1\", \"js_domain\": \"*\"}", NULL),
                INVALID);
    CHECK_FAILS(put_link(&world, "c", "{\"cluster_uri\": \"nats://127.0.0.1:1\"}", "{\"client_jwt\": \"x.y.z\"}"),
                INVALID);
    CHECK_HAS(err.text, "client_seed");
    CHECK_FAILS(put_link(&world, "d", "{\"js_domain\": \"x\"}", NULL), INVALID);
    CHECK_HAS(err.text, "cluster_uri");
    close_world(&world);
}

TEST(domains)
{
    struct nats nats;
    struct world world;
    char config[256];
    nats_init(&nats);
    start_jetstream(&nats, "domain: leaf");
    open_alone(&world, NULL);
    snprintf(config, sizeof config,
             "{\"cluster_uri\": \"%s\", \"js_domain\": \"leaf\", \"bucket\": \"k\", \"enable_bucket_auto_create\": "
             "\"true\"}",
             nats.url);
    CHECK_OK(put_link(&world, "default", config, NULL), &err);
    check_all(&world, false, true);
    close_world(&world);
    nats_deinit(&nats);
}

/* Counters of several clients: each increment is answered with a number of its own. */
TEST(increments_of_many)
{
    enum { CALLS = 200 };
    struct nats nats;
    struct world world;
    char config[256];
    static struct outcome outcomes[CALLS];
    bool seen[CALLS + 1] = {false};
    struct wisp_keyvalue_increment_args args = {WISP_STR("b"), WISP_STR("n"), 1};
    nats_init(&nats);
    start_jetstream(&nats, "max_mem: 64MB");
    open_alone(&world, NULL);
    snprintf(config, sizeof config, "{\"cluster_uri\": \"%s\", \"enable_bucket_auto_create\": \"true\"}", nats.url);
    CHECK_OK(put_link(&world, "default", config, NULL), &err);
    CHECK_OK(put_link(&world, "other", config, NULL), &err);
    CHECK_TEXT(GET(&world, "n"), "none");
    for (int i = 0; i < CALLS; i += 4) {
        for (int j = i; j < i + 4; j++)
            start_call(&world, j % 2 ? "default" : "other", WISP_KEYVALUE_INCREMENT, &args, &outcomes[j]);
        for (int j = i; j < i + 4; j++) {
            AWAIT(&world.loop, outcomes[j].n);
            CHECK_INT(outcomes[j].result.number.is_err, 0);
            uint64_t number = outcomes[j].result.number.number;
            CHECK(number >= 1 && number <= CALLS && !seen[number]);
            seen[number] = true;
        }
    }
    CHECK_TEXT(GET(&world, "n"), "some 200");
    close_world(&world);
    nats_deinit(&nats);
}

/* More than a page of keys, with tombstones between them. */
TEST(long_lists)
{
    struct nats nats;
    struct world world;
    char config[256];
    struct wisp_keyvalue_list_args list = {.bucket = WISP_STR("b")};
    struct outcome cancelled;
    nats_init(&nats);
    start_jetstream(&nats, "max_mem: 64MB");
    open_alone(&world, NULL);
    snprintf(config, sizeof config, "{\"cluster_uri\": \"%s\", \"enable_bucket_auto_create\": \"true\"}", nats.url);
    CHECK_OK(put_link(&world, "default", config, NULL), &err);
    CHECK_TEXT(SET(&world, "gone", "x"), "done");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_DELETE, "b", "gone", NULL), "done");
    check_pages(&world, 12000);
    struct wisp_provider_call *call = start_call(&world, "default", WISP_KEYVALUE_LIST_KEYS, &list, &cancelled);
    for (int i = 0; i < 3; i++) uv_run(&world.loop, UV_RUN_NOWAIT);
    wisp_provider_call_cancel(call);
    CHECK_TEXT(GET(&world, "key-11999"), "some v");
    CHECK_INT(cancelled.n, 0);
    close_world(&world);
    nats_deinit(&nats);
}

/* What other KV clients wrote: several revisions, deletions by marker. */
TEST(buckets_of_others)
{
    struct nats nats;
    struct world world;
    struct told told;
    struct wisp_bus_header marker = {WISP_STR("KV-Operation"), WISP_STR("DEL")};
    nats_init(&nats);
    start_jetstream(&nats, "max_mem: 64MB");
    open_on(&world, &told, nats.url, NULL);
    CHECK_OK(put_link(&world, "default", "{}", NULL), &err);
    CHECK_TEXT(SET(&world, "a", "1"), "done");
    CHECK_TEXT(SET(&world, "n", "5"), "done");
    CHECK_OK(wisp_bus_publish(told.client, WISP_STR("$KV.b.a"), WISP_STR(""), &marker, 1, WISP_STR(""), &err), &err);
    CHECK_OK(wisp_bus_publish(told.client, WISP_STR("$KV.b.n"), WISP_STR(""), &marker, 1, WISP_STR(""), &err), &err);
    CHECK_TEXT(say(&world, WISP_KEYVALUE_LIST_KEYS, "b", NULL, NULL), "");
    CHECK_TEXT(GET(&world, "a"), "none");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_EXISTS, "b", "a", NULL), "false");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_INCREMENT, "b", "n", "3"), "3");
    close_on(&world, &told);
    nats_deinit(&nats);
}

/* Somebody removes the bucket: it is made again where that is asked for, and missing where it isn't. */
TEST(a_bucket_that_was_removed)
{
    struct nats nats;
    struct world world;
    struct told told;
    nats_init(&nats);
    start_jetstream(&nats, "max_mem: 64MB");
    open_on(&world, &told, nats.url, NULL);
    CHECK_OK(put_link(&world, "default", "{}", NULL), &err);
    CHECK_OK(put_link(&world, "strict", "{\"bucket\": \"b\"}", NULL), &err);
    CHECK_TEXT(SET(&world, "a", "1"), "done");
    CHECK_TEXT(say_over(&world, "strict", WISP_KEYVALUE_GET, "", "a", NULL), "some 1");
    CHECK_OK(wisp_bus_publish(told.client, WISP_STR("$JS.API.STREAM.DELETE.KV_b"), WISP_STR(""), NULL, 0, WISP_STR(""),
                              &err),
             &err);
    CHECK_HAS(say_over(&world, "strict", WISP_KEYVALUE_GET, "", "a", NULL), "other: JetStream: ");
    CHECK_TEXT(say_over(&world, "strict", WISP_KEYVALUE_GET, "", "a", NULL), "no-such-store");
    CHECK_HAS(SET(&world, "a", "2"), "other: ");
    CHECK_TEXT(SET(&world, "a", "2"), "done");
    CHECK_TEXT(say_over(&world, "strict", WISP_KEYVALUE_GET, "", "a", NULL), "some 2");
    close_on(&world, &told);
    nats_deinit(&nats);
}

/* The lattice's bus without JetStream, nothing else asked for: a file. */
TEST(without_jetstream)
{
    struct nats nats;
    struct world world;
    struct told told;
    char dir[64], config[256];
    nats_init(&nats);
    nats_start(&nats, "");
    make_dir(dir);
    open_on(&world, &told, nats.url, dir);
    CHECK_OK(put_link(&world, "default", "{}", NULL), &err);
    CHECK_OK(put_link(&world, "shop", "{\"bucket\": \"shop\", \"enable_bucket_auto_create\": \"true\"}", NULL), &err);
    snprintf(config, sizeof config, "{\"cluster_uri\": \"%s\"}", nats.url);
    CHECK_OK(put_link(&world, "explicit", config, NULL), &err);
    check_all(&world, true, true); /* begins before the bus is connected */
    CHECK_TEXT(say_over(&world, "shop", WISP_KEYVALUE_SET, "x", "a", "1"), "done");
    CHECK_TEXT(say_over(&world, "shop", WISP_KEYVALUE_GET, "y", "a", NULL), "some 1");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_GET, "shop", "a", NULL), "some 1");
    CHECK_HAS(say_over(&world, "explicit", WISP_KEYVALUE_GET, "b", "a", NULL), "other: JetStream does not answer");
    close_on(&world, &told);
    remove_tree(dir);
    nats_deinit(&nats);
}

TEST(without_a_bus)
{
    struct world world;
    open_alone(&world, NULL);
    CHECK_OK(put_link(&world, "default", "{}", NULL), &err);
    CHECK_TEXT(SET(&world, "a", "1"), "done");
    CHECK_TEXT(GET(&world, "a"), "some 1");
    close_world(&world);
}

TEST(nobody_there)
{
    struct world world;
    struct outcome outcome;
    struct wisp_keyvalue_key_args get = {WISP_STR("b"), WISP_STR("a")};
    char config[64];
    open_alone(&world, NULL);
    snprintf(config, sizeof config, "{\"cluster_uri\": \"127.0.0.1:%u\"}", free_port());
    CHECK_OK(put_link(&world, "default", config, NULL), &err);
    start_call(&world, "default", WISP_KEYVALUE_GET, &get, &outcome);
    AWAIT(&world.loop, outcome.n);
    CHECK_HAS(outcome.text, "other: ");
    start_call(&world, "default", WISP_KEYVALUE_GET, &get, &outcome);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    close_world(&world); /* with a call in flight */
}

TEST(a_ca_as_text)
{
    struct nats nats;
    struct world world;
    char config[512], path[128], pem[4096];
    nats_init(&nats);
    make_certificates(nats.dir);
    snprintf(config, sizeof config,
             "jetstream { store_dir: \"%s/js\" }\ntls { cert_file: \"%s/server.pem\", key_file: \"%s/server.key\" }",
             nats.dir, nats.dir, nats.dir);
    nats_start(&nats, config);
    snprintf(path, sizeof path, "%s/ca.pem", nats.dir);
    FILE *file = fopen(path, "r");
    CHECK(file);
    size_t n = fread(pem, 1, sizeof pem - 1, file);
    fclose(file);
    pem[n] = '\0';
    snprintf(config, sizeof config, "tls://localhost:%u", nats.port);
    WISP_CLEANUP_JSON json_t *object = json_pack("{s:s, s:s}", "cluster_uri", config, "enable_bucket_auto_create", "1");
    WISP_CLEANUP_JSON json_t *secrets = json_pack("{s:s}", "tls_ca", pem);
    WISP_CLEANUP_FREE char *config_text = json_dumps(object, 0), *secrets_text = json_dumps(secrets, 0);
    open_alone(&world, NULL);
    CHECK_OK(put_link(&world, "default", config_text, secrets_text), &err);
    CHECK_TEXT(SET(&world, "a", "1"), "done");
    CHECK_TEXT(GET(&world, "a"), "some 1");
    close_world(&world);
    nats_deinit(&nats);
}

/* --- a server that goes away --- */

struct load {
    struct world *world;
    const char *key;
    uint64_t n_done, n_failed;
    bool is_stopping, is_idle;
    struct wisp_keyvalue_increment_args args;
};

static void increment_next(struct load *load);

static void on_incremented(const void *result, const struct wisp_err *failure, void *env)
{
    struct load *load = env;
    CHECK(!failure);
    if (((const struct wisp_keyvalue_number *)result)->is_err)
        load->n_failed++;
    else
        load->n_done++;
    load->is_idle = load->is_stopping;
    if (!load->is_stopping) increment_next(load);
}

static void increment_next(struct load *load)
{
    struct wisp_provider_caller caller = {.source_id = WISP_STR("guest")};
    load->args = (struct wisp_keyvalue_increment_args){WISP_STR("b"), wisp_str_from(load->key), 1};
    wisp_provider_call_start(load->world->provider, find_verb(load->world, WISP_KEYVALUE_INCREMENT), &caller,
                             &load->args, on_incremented, load);
}

/* What was acknowledged is there; what failed was in flight when the server was killed. */
TEST(a_restart_under_load)
{
    static const char *const keys[] = {"k0", "k1", "k2", "k3"};
    struct nats nats;
    struct world world;
    struct load loads[WISP_COUNT(keys)];
    char config[256];
    nats_init(&nats);
    start_jetstream(&nats, "max_mem: 64MB");
    open_alone(&world, NULL);
    snprintf(config, sizeof config, "{\"cluster_uri\": \"%s\", \"enable_bucket_auto_create\": \"true\"}", nats.url);
    CHECK_OK(put_link(&world, "default", config, NULL), &err);
    CHECK_TEXT(GET(&world, "k0"), "none");
    for (size_t i = 0; i < WISP_COUNT(keys); i++) {
        loads[i] = (struct load){.world = &world, .key = keys[i]};
        increment_next(&loads[i]);
    }
    AWAIT(&world.loop, loads[0].n_done > 50);
    nats_kill(&nats);
    start_jetstream(&nats, "max_mem: 64MB");
    for (size_t i = 0; i < WISP_COUNT(keys); i++) {
        uint64_t before = loads[i].n_done;
        AWAIT(&world.loop, loads[i].n_done > before + 50);
        loads[i].is_stopping = true;
        AWAIT(&world.loop, loads[i].is_idle);
        const char *text = GET(&world, keys[i]);
        uint64_t stored = strtoull(text + strlen("some "), NULL, 10);
        if (stored < loads[i].n_done || stored > loads[i].n_done + loads[i].n_failed || loads[i].n_failed > 2)
            wisp_test_fail(__FILE__, __LINE__, "%s: %s, but %llu done and %llu failed", keys[i], text,
                           (unsigned long long)loads[i].n_done, (unsigned long long)loads[i].n_failed);
    }
    close_world(&world);
    nats_deinit(&nats);
}
