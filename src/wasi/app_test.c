/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/app.h"
#include "wasi/test_double.h"

#include <stdlib.h>

static struct {
    enum wisp_wasi_log_level level;
    char context[100], message[WISP_WASI_OUTPUT_LINE_MAX + 1], component[100];
} logged;

static void on_log(enum wisp_wasi_log_level level, struct wisp_str context, struct wisp_str message,
                   struct wisp_str component_id, void *env)
{
    CHECK(env == &logged);
    logged.level = level;
    snprintf(logged.context, sizeof logged.context, "%.*s", WISP_STR_ARG(context));
    snprintf(logged.message, sizeof logged.message, "%.*s", WISP_STR_ARG(message));
    snprintf(logged.component, sizeof logged.component, "%.*s", WISP_STR_ARG(component_id));
}

static const struct wisp_wasi_env config[] = {
    {WISP_STR_INIT("zone"), WISP_STR_INIT("first")},
    {WISP_STR_INIT("color"), WISP_STR_INIT("bl\xc3\xa4u")},
    {WISP_STR_INIT("zone"), WISP_STR_INIT("second")},
    {WISP_STR_INIT(""), WISP_STR_INIT("")},
};
static const struct wisp_wasi_secret secrets[] = {
    {WISP_STR_INIT("password"), {(const uint8_t *)"old", 3}, false},
    {WISP_STR_INIT("key"), {(const uint8_t *)"\xff\x00\x01", 3}, true},
    {WISP_STR_INIT("password"), {(const uint8_t *)"hush", 4}, false},
};
static const struct wisp_wasi_link links[] = {
    {WISP_STR_INIT("default"), WISP_STR_INIT("wasi:keyvalue/store"), WISP_STR_INIT("old-redis")},
    {WISP_STR_INIT("default"), WISP_STR_INIT("wasi:keyvalue/store"), WISP_STR_INIT("redis")},
    {WISP_STR_INIT("other"), WISP_STR_INIT("wasi:keyvalue/store"), WISP_STR_INIT("vault")},
    {WISP_STR_INIT("other"), WISP_STR_INIT("wasi:keyvalue/atomics"), WISP_STR_INIT("vault")},
};
static const struct wisp_wasi_app parts = {
    .component_id = WISP_STR_INIT("shop-front"),
    .config = config,
    .n_config = WISP_COUNT(config),
    .secrets = secrets,
    .n_secrets = WISP_COUNT(secrets),
    .links = links,
    .n_links = WISP_COUNT(links),
    .on_log = on_log,
    .on_log_env = &logged,
};

static void start(void)
{
    struct wisp_err err = {0};
    fake_start();
    CHECK_OK(wisp_wasi_app_new(&fake.wasi.app, &parts, &err), &err);
}

/* --- the application itself --- */

TEST(last_of_the_same_name_stays)
{
    start();
    const struct wisp_wasi_app *app = fake.wasi.app;
    CHECK_INT(app->n_config, 3);
    CHECK_STR(app->config[0].name, "");
    CHECK_STR(app->config[1].name, "color");
    CHECK_STR(app->config[2].value, "second");
    CHECK_INT(app->n_secrets, 2);
    CHECK_INT(app->n_links, 3);
    CHECK_STR(wisp_wasi_app_link(app, WISP_STR("default"), WISP_STR("wasi:keyvalue/store"))->target, "redis");
    CHECK(!wisp_wasi_app_link(app, WISP_STR("default"), WISP_STR("wasi:keyvalue/atomics")));
    CHECK(!wisp_wasi_app_link(NULL, WISP_STR("default"), WISP_STR("wasi:keyvalue/store")));
    fake_stop();
}

TEST(owners_share_it)
{
    struct wisp_err err = {0};
    struct wisp_wasi_app *app;
    CHECK_OK(wisp_wasi_app_new(&app, &parts, &err), &err);
    fake_start();
    fake.wasi.app = wisp_wasi_app_ref(app);
    wisp_wasi_app_unref(app);
    CHECK_STR(fake.wasi.app->component_id, "shop-front");
    fake_stop();
    wisp_wasi_app_unref(NULL);
}

TEST(texts_that_are_not_utf8_are_refused)
{
    struct wisp_err err = {0};
    struct wisp_wasi_app *app = NULL;
    const struct wisp_wasi_env pair = {WISP_STR_INIT("name"), WISP_STR_INIT("v\xff")};
    struct wisp_wasi_app bad = {.config = &pair, .n_config = 1};
    CHECK_FAILS(wisp_wasi_app_new(&app, &bad, &err), INVALID);
    CHECK_TEXT(err.text, "configuration value `name`: not UTF-8");
    const struct wisp_wasi_secret secret = {WISP_STR_INIT("password"), {(const uint8_t *)"h\xff", 2}, false};
    bad = (struct wisp_wasi_app){.secrets = &secret, .n_secrets = 1};
    CHECK_FAILS(wisp_wasi_app_new(&app, &bad, &err), INVALID);
    CHECK_TEXT(err.text, "secret `password`: not UTF-8");
    const struct wisp_wasi_link link = {WISP_STR_INIT("default"), WISP_STR_INIT("a:b/c"), WISP_STR_INIT("\xff")};
    bad = (struct wisp_wasi_app){.links = &link, .n_links = 1};
    CHECK_FAILS(wisp_wasi_app_new(&app, &bad, &err), INVALID);
    CHECK_TEXT(err.text, "link for `a:b/c`: not UTF-8");
    CHECK(!app);
}

/* --- wasi:config --- */

struct config_result {
    uint32_t is_err;
    struct {
        uint32_t is_some;
        struct wisp_str value;
    };
};
struct config_all_result {
    uint32_t is_err;
    struct {
        union {
            const struct wisp_wasi_env *ptr;
            uint32_t error;
        };
        size_t len;
        size_t unused;
    };
};

static struct config_result get_config(const struct wisp_host_interface *interface, const char *name)
{
    struct wisp_str args = wisp_str_from(name);
    struct config_result result;
    CHECK_INT(INVOKE(*interface, "get", &args, &result), 0);
    CHECK_INT(result.is_err, 0);
    return result;
}

TEST(configuration_is_read)
{
    start();
    struct config_result got = get_config(&wisp_wasi_config_store, "zone");
    CHECK_INT(got.is_some, 1);
    CHECK_STR(got.value, "second");
    CHECK_STR(get_config(&wisp_wasi_config_runtime, "color").value, "bl\xc3\xa4u");
    CHECK_INT(get_config(&wisp_wasi_config_store, "zon").is_some, 0);
    CHECK_INT(get_config(&wisp_wasi_config_store, "").is_some, 1);
    struct config_all_result all;
    CHECK_INT(fake_invoke(&wisp_wasi_config_store, "get-all", NULL, 0, &all, sizeof all), 0);
    CHECK_INT(all.is_err, 0);
    CHECK_INT(all.len, 3);
    CHECK_STR(all.ptr[2].name, "zone");
    fake_stop();
}

TEST(there_is_nothing_without_an_application)
{
    fake_start();
    CHECK_INT(get_config(&wisp_wasi_config_store, "zone").is_some, 0);
    struct config_all_result all;
    CHECK_INT(fake_invoke(&wisp_wasi_config_runtime, "get-all", NULL, 0, &all, sizeof all), 0);
    CHECK_INT(all.is_err, 0);
    CHECK_INT(all.len, 0);
    CHECK_STR(wisp_wasi_link_name(&fake.wasi, WISP_STR("a:b/c")), "default");
    fake_stop();
}

/* --- wasmcloud:secrets --- */

struct secret_result {
    uint32_t is_err;
    union {
        void *secret;
        uint32_t error;
    };
    struct wisp_str text;
};

static struct secret_result get_secret(const char *name)
{
    struct wisp_str args = wisp_str_from(name);
    struct secret_result result;
    CHECK_INT(INVOKE(wisp_wasmcloud_secrets_store, "get", &args, &result), 0);
    return result;
}

TEST(secrets_are_revealed)
{
    start();
    struct secret_result password = get_secret("password"), key = get_secret("key");
    CHECK_INT(password.is_err, 0);
    struct {
        uint32_t is_bytes;
        struct wisp_str value;
    } revealed;
    CHECK_INT(INVOKE(wisp_wasmcloud_secrets_reveal, "reveal", &password.secret, &revealed), 0);
    CHECK_INT(revealed.is_bytes, 0);
    CHECK_STR(revealed.value, "hush");
    CHECK_INT(INVOKE(wisp_wasmcloud_secrets_reveal, "reveal", &key.secret, &revealed), 0);
    CHECK_INT(revealed.is_bytes, 1);
    CHECK_INT(revealed.value.len, 3);
    CHECK(!fake_drop(&wisp_wasmcloud_secrets_store, "secret", key.secret));
    struct secret_result missing = get_secret("passwor");
    CHECK_INT(missing.is_err, 1);
    CHECK_INT(missing.error, 2);
    fake_stop();
}

/* --- wasi:logging --- */

static void log_line(uint32_t level, struct wisp_str context, struct wisp_str message)
{
    struct {
        uint32_t level;
        struct wisp_str context, message;
    } args = {level, context, message};
    CHECK_INT(fake_invoke(&wisp_wasi_logging, "log", &args, sizeof args, NULL, 0), 0);
}

TEST(lines_go_to_the_log)
{
    start();
    log_line(5, WISP_STR("cart"), WISP_STR("out of stock"));
    CHECK_INT(logged.level, WISP_WASI_LOG_CRITICAL);
    CHECK_TEXT(logged.context, "cart");
    CHECK_TEXT(logged.message, "out of stock");
    CHECK_TEXT(logged.component, "shop-front");
    /* Cut before the character that doesn't fit. */
    char *many = malloc(WISP_WASI_OUTPUT_LINE_MAX + 1);
    memset(many, 'x', WISP_WASI_OUTPUT_LINE_MAX - 1);
    memcpy(many + WISP_WASI_OUTPUT_LINE_MAX - 1, "\xc3\xa4", 2);
    log_line(0, WISP_STR(""), (struct wisp_str){many, WISP_WASI_OUTPUT_LINE_MAX + 1});
    CHECK_INT(strlen(logged.message), WISP_WASI_OUTPUT_LINE_MAX - 1);
    free(many);
    fake_stop();
    fake_start();
    log_line(1, WISP_STR("cart"), WISP_STR("nobody asked"));
    log_line(4, WISP_STR(""), WISP_STR("to wisp's log"));
    fake_stop();
}

/* --- wasmcloud:bus --- */

static void *make_target(const char *namespace, const char *package, const char *interface)
{
    struct wisp_str args[] = {wisp_str_from(namespace), wisp_str_from(package), wisp_str_from(interface)};
    void *target;
    CHECK_INT(INVOKE(wisp_wasmcloud_bus_lattice_2, "[constructor]call-target-interface", &args, &target), 0);
    return target;
}

struct link_result {
    uint32_t is_err;
    struct wisp_str error;
};

static struct link_result set_link(const char *name, bool with_blobs)
{
    void *targets[] = {make_target("wasi", "keyvalue", "store"),
                       with_blobs ? make_target("wasi", "blobstore", "container") : NULL};
    struct {
        struct wisp_str name;
        void **targets;
        size_t n_targets;
    } args = {wisp_str_from(name), targets, with_blobs ? 2 : 1};
    struct link_result result;
    CHECK_INT(INVOKE(wisp_wasmcloud_bus_lattice_2, "set-link-name", &args, &result), 0);
    return result;
}

static void check_link_name(const char *expected)
{
    CHECK_STR(wisp_wasi_link_name(&fake.wasi, WISP_STR("wasi:keyvalue/store")), expected);
}

TEST(guest_chooses_its_links)
{
    start();
    check_link_name("default");
    CHECK_INT(set_link("other", false).is_err, 0);
    check_link_name("other");
    CHECK_INT(set_link("other", false).is_err, 0);
    CHECK_INT(fake.wasi.n_chosen_links, 1);
    CHECK_STR(wisp_wasi_link_name(&fake.wasi, WISP_STR("wasi:keyvalue/atomics")), "default");
    struct link_result missing = set_link("third", false);
    CHECK_INT(missing.is_err, 1);
    CHECK_STR(missing.error, "interface `wasi:keyvalue/store` has no link named `third`");
    check_link_name("other");
    CHECK_INT(set_link("default", false).is_err, 0);
    check_link_name("default");
    /* All or nothing. */
    missing = set_link("other", true);
    CHECK_STR(missing.error, "interface `wasi:blobstore/container` has no link named `other`");
    check_link_name("default");
    fake_stop();
}

TEST(older_version_says_nothing_of_missing_links)
{
    start();
    void *targets[] = {make_target("wasi", "keyvalue", "store")};
    struct {
        struct wisp_str name;
        void **targets;
        size_t n_targets;
    } args = {WISP_STR("third"), targets, 1};
    CHECK_INT(fake_invoke(&wisp_wasmcloud_bus_lattice_1, "set-link-name", &args, sizeof args, NULL, 0), 0);
    check_link_name("default");
    targets[0] = make_target("wasi", "keyvalue", "store");
    args.name = WISP_STR("other");
    CHECK_INT(fake_invoke(&wisp_wasmcloud_bus_lattice_1, "set-link-name", &args, sizeof args, NULL, 0), 0);
    check_link_name("other");
    fake_stop();
}

TEST(targets_are_bounded_and_dropped)
{
    start();
    static char many[513];
    memset(many, 'x', 512);
    struct wisp_str args[] = {wisp_str_from(many), wisp_str_from("a"), wisp_str_from("b")};
    void *target;
    CHECK(INVOKE(wisp_wasmcloud_bus_lattice_2, "[constructor]call-target-interface", &args, &target) < 0);
    CHECK_HAS(fake.trap, "more than 512 bytes");
    CHECK(!fake_drop(&wisp_wasmcloud_bus_lattice_2, "call-target-interface", make_target("a", "b", "c")));
    fake_stop();
}

TEST(no_links_without_an_application)
{
    fake_start();
    CHECK_INT(set_link("other", false).is_err, 1);
    check_link_name("default");
    fake_stop();
}
