/* SPDX-License-Identifier: Apache-2.0 */
#include "lattice/rig.h"

#include <stdlib.h>

#define START "provider.start.{H}"
#define STOP "provider.stop.{H}"
#define STARTED "{'success':true,'message':'successfully started provider'}"
#define STOPPED "{'success':true,'message':'successfully stopped provider'}"

static const char *const kinds[] = {"keyvalue-redis", "messaging-nats"};
static const struct wisp_lattice_options with_kinds = {
    .seed = 7, .keys_from_seed = true, .builtin_kinds = kinds, .n_builtin_kinds = WISP_COUNT(kinds)};

static void tell_link(struct rig *rig, const char *source, const char *target, const char *config, uint64_t revision)
{
    char key[64], value[512];
    snprintf(key, sizeof key, "COMPONENT_%s", source);
    snprintf(value, sizeof value,
             "{\"url\":\"\",\"links\":[{\"source_id\":\"%s\",\"target\":\"%s\",\"name\":\"default\",\"wit_namespace\":"
             "\"wasi\",\"wit_package\":\"keyvalue\",\"interfaces\":[\"store\"],\"source_config\":[],"
             "\"target_config\":[%s]}]}",
             source, target, config);
    rig_tell(rig, 0, key, value, revision);
    rig_run(rig);
}

static void forget_json(struct wisp_lattice_action *put)
{
    json_decref(put->builtin.config);
    json_decref(put->builtin.secrets);
    json_decref(put->builtin.links);
}

#define LINK(config)                                                                                                   \
    "[{'source_id':'comp','target':'kv','name':'default','wit_namespace':'wasi','wit_package':'keyvalue',"             \
    "'interfaces':['store'],'source_config':{},'target_config':" config                                                \
    ",'source_secrets':null,'target_secrets':null}]"

static void check_put(struct rig *rig, const char *config, const char *links)
{
    struct wisp_lattice_action *put = rig_take(rig, WISP_LATTICE_BUILTIN_PUT, NULL);
    CHECK_STR(put->builtin.id, "kv");
    CHECK_STR(put->builtin.kind, "keyvalue-redis");
    CHECK_JSON(rig, put->builtin.config, config);
    CHECK_JSON(rig, put->builtin.secrets, "{}");
    CHECK_JSON(rig, put->builtin.links, links);
    forget_json(put);
}

TEST(references)
{
    static const struct {
        const char *reference, *plain;
        bool is_builtin;
    } cases[] = {
        {"wisp://keyvalue-redis", "wisp://keyvalue-redis", true},
        {"wasmcloud+builtin://messaging-nats", "messaging-nats", true},
        {"ghcr.io/wasmcloud/keyvalue-redis:0.29.0", "ghcr.io/wasmcloud/keyvalue-redis:0.29.0", true},
        {"ghcr.io/wasmcloud/keyvalue-redis", "ghcr.io/wasmcloud/keyvalue-redis", true},
        {"oci://ghcr.io/wasmcloud/http-server@sha256:00", "ghcr.io/wasmcloud/http-server@sha256:00", true},
        {"https://ghcr.io/wasmcloud/messaging-nats:1", "ghcr.io/wasmcloud/messaging-nats:1", true},
        {"ghcr.io/wasmcloud/keyvalue-redis-other:0.29.0", NULL, false},
        {"ghcr.io/wasmcloud/keyvalue-nats:0.3.1", NULL, false}, /* this host has no such kind */
        {"ghcr.io/wasmcloud/a/keyvalue-redis:1", NULL, false},
        {"docker.io/wasmcloud/keyvalue-redis:1", NULL, false},
        {"file:///ghcr.io/wasmcloud/keyvalue-redis", NULL, false},
    };
    for (size_t i = 0; i < WISP_COUNT(cases) * 2; i++) {
        WISP_CLEANUP_RIG struct rig rig;
        struct wisp_lattice_options options = with_kinds;
        const char *reference = cases[i / 2].reference;
        options.runs_real_images = i % 2;
        rig_new(&rig, &options);
        bool is_scheme = strstr(reference, "://") && !strstr(reference, "ghcr.io");
        bool expected = cases[i / 2].is_builtin && (is_scheme || !options.runs_real_images);
        WISP_CLEANUP_JSON json_t *answer =
            rig_ask(&rig, START, wisp_arena_printf(&rig.arena, "{'provider_ref':'%s','provider_id':'kv'}", reference));
        CHECK(json_is_true(json_object_get(answer, "success")));
        CHECK_INT(rig_count(&rig, WISP_LATTICE_FETCH), !expected);
        if (!expected) continue;
        WISP_CLEANUP_JSON json_t *inventory = wisp_lattice_inventory(rig.lattice, rig.now);
        const json_t *entry = json_array_get(json_object_get(inventory, "providers"), 0);
        CHECK_STR(wisp_json_str(entry, "image_ref"), cases[i / 2].plain);
    }
}

TEST(unknown)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, &with_kinds);
    CHECK_ANSWER(&rig, START, "{'provider_ref':'wisp://keyvalue','provider_id':'kv'}",
                 "{'success':false,'message':'there is no built-in provider `wisp://keyvalue`; known: "
                 "wisp://http-server, wisp://keyvalue-redis, wisp://messaging-nats'}");
}

TEST(life)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, &with_kinds);
    rig_tell(&rig, 1, "pc", "{\"url\":\"redis://x\"}", 1);
    rig_tell(&rig, 1, "lc", "{\"a\":\"1\"}", 2);
    tell_link(&rig, "comp", "kv", "\"lc\"", 3);
    CHECK_ANSWER(&rig, START,
                 "{'provider_ref':'wisp://keyvalue-redis','provider_id':'kv','config':['pc'],'annotations':{'a':'b'}}",
                 STARTED);
    check_put(&rig, "{'url':'redis://x'}", LINK("{'a':'1'}"));
    CHECK_EVENT(&rig, "provider_started",
                "{'host_id':'{H}','image_ref':'wisp://keyvalue-redis','provider_id':'kv','annotations':{'a':'b'}}");
    CHECK_EVENT(&rig, "health_check_passed", "{'host_id':'{H}','provider_id':'kv'}");
    rig_clear(&rig);
    rig_wait(&rig, 100000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_BUILTIN_PUT) + rig_count(&rig, WISP_LATTICE_REQUEST), 0);
    rig_clear(&rig);
    rig_tell(&rig, 1, "lc", "{\"a\":\"2\"}", 4); /* config of a link */
    rig_wait(&rig, 100);
    check_put(&rig, "{'url':'redis://x'}", LINK("{'a':'2'}"));
    rig_tell(&rig, 1, "pc", "{}", 5); /* its own */
    rig_wait(&rig, 100);
    check_put(&rig, "{}", LINK("{'a':'2'}"));
    tell_link(&rig, "other", "elsewhere", "", 6); /* not ours */
    rig_wait(&rig, 100);
    for (uint64_t i = 0; i < 500; i++) { /* many changes, few orders */
        tell_link(&rig, "comp", "kv", i % 2 ? "" : "\"lc\"", 10 + i);
        rig_wait(&rig, 1);
    }
    rig_wait(&rig, 100);
    CHECK(rig_count(&rig, WISP_LATTICE_BUILTIN_PUT) < 30);
    rig_clear(&rig);
    rig_tell(&rig, 0, "COMPONENT_comp", "{\"url\":\"\",\"links\":[]}", 1000); /* a link is gone */
    rig_wait(&rig, 100);
    check_put(&rig, "{}", "[]");
    rig_wait(&rig, 100);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_BUILTIN_PUT), 0);
    CHECK_ANSWER(&rig, STOP, "{'provider_id':'kv'}", STOPPED);
    CHECK_STR(rig_take(&rig, WISP_LATTICE_BUILTIN_REMOVE, NULL)->builtin.id, "kv");
    CHECK(rig_has_event(&rig, "provider_stopped"));
    rig_tell(&rig, 1, "pc", "{\"x\":\"y\"}", 1001);
    rig_wait(&rig, 100000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_BUILTIN_PUT), 0);
}

TEST(link_without_its_config_comes_later)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, &with_kinds);
    tell_link(&rig, "comp", "kv", "\"lc\"", 3);
    CHECK_ANSWER(&rig, START, "{'provider_ref':'wisp://keyvalue-redis','provider_id':'kv'}", STARTED);
    rig_wait(&rig, 3000);
    check_put(&rig, "{}", "[]");
    CHECK(rig_has_event(&rig, "provider_started"));
    rig_wait(&rig, 300000);
    rig_clear(&rig);
    rig_tell(&rig, 1, "lc", "{\"a\":\"1\"}", 4);
    rig_wait(&rig, 100);
    check_put(&rig, "{}", LINK("{'a':'1'}"));
}

TEST(start_that_fails)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, &with_kinds);
    rig.is_held[WISP_LATTICE_BUILTIN_PUT] = true;
    CHECK_ANSWER(&rig, START, "{'provider_ref':'wisp://keyvalue-redis','provider_id':'kv'}", STARTED);
    struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_BUILTIN_PUT, NULL);
    forget_json(put);
    rig_fail(&rig, put, WISP_ERR_INVALID, "`url` is no URL");
    CHECK_EVENT(&rig, "provider_start_failed",
                "{'provider_ref':'wisp://keyvalue-redis','provider_id':'kv','host_id':'{H}','error':'`url` is no URL',"
                "'link_name':'default'}");
    CHECK_ANSWER(&rig, START, "{'provider_ref':'wisp://keyvalue-redis','provider_id':'kv','config':['none']}", STARTED);
    rig_wait(&rig, 10000);
    WISP_CLEANUP_JSON json_t *failed = rig_event(&rig, "provider_start_failed");
    CHECK_HAS(json_string_value(json_object_get(failed, "error")), "`none` not found");
    CHECK_ANSWER(
        &rig, START,
        "{'provider_ref':'wisp://keyvalue-redis','provider_id':'kv','annotations':{'wisp.confine.user':'nobody'}}",
        STARTED);
    WISP_CLEANUP_JSON json_t *confined = rig_event(&rig, "provider_start_failed");
    CHECK_HAS(json_string_value(json_object_get(confined, "error")), "wisp.confine.user");
}

TEST(change_that_fails_is_tried_again)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, &with_kinds);
    CHECK_ANSWER(&rig, START, "{'provider_ref':'wisp://keyvalue-redis','provider_id':'kv'}", STARTED);
    rig_clear(&rig);
    rig.is_held[WISP_LATTICE_BUILTIN_PUT] = true;
    tell_link(&rig, "comp", "kv", "", 3);
    for (int i = 0; i < 3; i++) {
        rig_wait(&rig, 10000);
        struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_BUILTIN_PUT, NULL);
        forget_json(put);
        rig_fail(&rig, put, WISP_ERR_OS, "no");
    }
    rig.is_held[WISP_LATTICE_BUILTIN_PUT] = false;
    rig_wait(&rig, 10000);
    check_put(&rig, "{}", LINK("{}"));
    rig_wait(&rig, 100000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_BUILTIN_PUT), 0);
}

TEST(restored)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new_empty(&rig, &with_kinds);
    struct wisp_err err = {0};
    CHECK_OK(wisp_lattice_restore(rig.lattice,
                                  WISP_STR("{\"components\":[],\"providers\":[{\"provider_id\":\"kv\",\"provider_ref\":"
                                           "\"ghcr.io/wasmcloud/keyvalue-redis:1\"}]}"),
                                  &err),
             &err);
    wisp_lattice_on_state_loaded(rig.lattice, rig.now);
    rig_run(&rig);
    check_put(&rig, "{}", "[]");
}
