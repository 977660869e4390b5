/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app_rig.h"
#include "app/app_sample.h"

static void begin(void)
{
    rig_new();
    rig_add_host("A", "{\"zone\": \"a\"}");
    rig_add_host("B", "{\"zone\": \"b\"}");
    rig_start_manager(0);
    rig_wait(2000);
    CHECK_INT(rig_leader(), 0);
}

static void put(const char *manifest, const char *result)
{
    WISP_CLEANUP_JSON json_t *answer = rig_ask("put", manifest);
    if (!wisp_str_is(wisp_json_str(answer, "result"), result))
        wisp_test_fail(__FILE__, __LINE__, "%s", rig_print_taken(json_incref(answer)));
}

TEST(put_answers_as_wadm_does)
{
    begin();
    WISP_CLEANUP_JSON json_t *first = rig_ask("put", SHOP("v1", "r/web:1", "2"));
    CHECK_JSON(first, "{'result': 'created', 'name': 'shop', 'current_version': 'v1', 'total_versions': 1, 'message': "
                      "'application `shop` has version `v1` now', 'warnings': []}");
    WISP_CLEANUP_JSON json_t *second = rig_ask("put", SHOP("v2", "r/web:2", "2"));
    CHECK_JSON(second, "{'result': 'newversion', 'name': 'shop', 'current_version': 'v2', 'total_versions': 2, "
                       "'message': 'application `shop` has version `v2` now', 'warnings': []}");
    put(SHOP("v1", "r/web:1", "2"), "newversion"); /* the same once more */
    CHECK_HAS(rig_ask_for("put", SHOP("v1", "r/web:9", "2"), "message"), "is there already, with other content");
    CHECK_TEXT(rig_ask_for("put", "{\"a\": ", "result"), "error");
    CHECK_HAS(rig_ask_for("put.shop", "", "message"), "unsupported subject");
    WISP_CLEANUP_JSON json_t *stored = rig_stored(2, "default-shop"), *index = rig_stored(2, "default");
    CHECK_JSON(index, "['shop']");
    CHECK(json_is_null(json_object_get(stored, "deployed_version")));
    CHECK_INT(json_object_size(json_object_get(stored, "manifests")), 2);
    CHECK_TEXT(json_object_iter_key(json_object_iter(json_object_get(stored, "manifests"))), "v1");
    rig_free();
}

TEST(a_manifest_without_a_version_is_given_one)
{
    begin();
    const char *version = rig_ask_for("put", ONE_COMPONENT("x", "i", "1", ""), "current_version");
    CHECK_INT(strlen(version), 26);
    WISP_CLEANUP_JSON json_t *answer = rig_ask("get.x", "");
    const json_t *metadata = json_object_get(json_object_get(answer, "manifest"), "metadata");
    CHECK_STR(wisp_json_str(json_object_get(metadata, "annotations"), "version"), version);
    put(ONE_COMPONENT("x", "i:2", "1", ""), "newversion");
    rig_free();
}

TEST(get_list_versions_and_status_answer_as_wadm_does)
{
    begin();
    WISP_CLEANUP_JSON json_t *none = rig_ask("list", "");
    CHECK_JSON(none, "[]");
    put(SHOP("v1", "r/web:1", "2"), "created");
    put(SHOP("v2", "r/web:2", "2"), "newversion");
    WISP_CLEANUP_JSON json_t *list = rig_ask("list", ""), *all = rig_ask("get", "");
    CHECK_JSON(list, "[{'name': 'shop', 'version': 'v2', 'description': null, 'deployed_version': null, 'status': "
                     "'undeployed', 'status_message': '', 'detailed_status': {'status': {'type': 'undeployed', "
                     "'message': ''}, 'scalers': [], 'version': '', 'components': []}}]");
    CHECK(json_equal(json_object_get(all, "models"), list));
    CHECK_STR(wisp_json_str(all, "result"), "success");
    WISP_CLEANUP_JSON json_t *versions = rig_ask("versions.shop", "");
    CHECK_JSON(versions, "{'result': 'success', 'message': '', 'versions': [{'version': 'v1', 'deployed': false, "
                         "'created': '2026-01-01T00:00:02Z'}, {'version': 'v2', 'deployed': false, 'created': "
                         "'2026-01-01T00:00:02Z'}]}");
    CHECK_TEXT(rig_ask_for("versions.nope", "", "result"), "notfound");
    CHECK_TEXT(rig_ask_for("history.shop", "", "result"), "success");
    CHECK_TEXT(rig_ask_for("get.shop", "{\"version\": \"v1\"}", "result"), "success");
    CHECK_TEXT(rig_ask_for("get.shop", "{\"version\": \"v3\"}", "result"), "notfound");
    CHECK_TEXT(rig_ask_for("get.nope", "", "result"), "notfound");
    CHECK_TEXT(rig_ask_for("get.shop", "{", "result"), "error");
    WISP_CLEANUP_JSON json_t *status = rig_ask("status.nope", "");
    CHECK_JSON(status, "{'result': 'ok', 'message': '', 'status': {'status': {'type': 'undeployed', 'message': ''}, "
                       "'scalers': [], 'version': '', 'components': []}}");
    CHECK_HAS(rig_ask_for("status", "", "message"), "needs a name");
    CHECK_HAS(rig_ask_for("get.a.b", "", "message"), "can't be a name");
    CHECK_HAS(rig_ask_for("frobnicate.shop", "", "message"), "unsupported subject");
    rig_free();
}

TEST(deploy_rollback_undeploy_and_delete_leave_nothing)
{
    begin();
    put(SHOP("v1", "r/web:1", "2"), "created");
    WISP_CLEANUP_JSON json_t *deployed = rig_ask("deploy.shop", "");
    CHECK_JSON(deployed, "{'result': 'acknowledged', 'name': 'shop', 'version': 'v1', 'message': 'the application is "
                         "being deployed'}");
    rig_wait(1000);
    CHECK_TEXT(rig_state_of("shop"), "deployed");
    CHECK_INT(rig_count("shop-web"), 2);
    CHECK_INT(rig_count("shop-kv"), 1);
    put(SHOP("v2", "r/web:2", "4"), "newversion");
    CHECK_INT(rig_count("shop-web"), 2);
    CHECK_TEXT(rig_ask_for("deploy.shop", "{\"version\": \"latest\"}", "version"), "v2");
    CHECK_TEXT(rig_state_of("shop"), "reconciling"); /* never what was before */
    rig_wait(1000);
    CHECK_TEXT(rig_state_of("shop"), "deployed");
    CHECK_INT(rig_count("shop-web"), 4);
    CHECK_TEXT(rig_ask_for("deploy.shop", "{\"version\": \"v1\"}", "result"), "acknowledged");
    rig_wait(1000);
    CHECK_INT(rig_count("shop-web"), 2);
    CHECK_TEXT(rig_ask_for("deploy.shop", "{\"version\": \"v9\"}", "result"), "notfound");
    CHECK_TEXT(rig_ask_for("deploy.nope", "", "result"), "notfound");
    WISP_CLEANUP_JSON json_t *undeployed = rig_ask("undeploy.shop", "{}");
    CHECK_JSON(undeployed, "{'result': 'acknowledged', 'name': 'shop', 'version': null, 'message': 'the application is "
                           "being undeployed'}");
    rig_wait(2000);
    CHECK_TEXT(rig_state_of("shop"), "undeployed");
    CHECK_INT(rig_count("shop-web") + rig_count("shop-kv"), 0);
    CHECK_INT(json_object_size(rig.store[1]), 0);
    CHECK_TEXT(rig_ask_for("undeploy.shop", "", "result"), "acknowledged");
    CHECK_TEXT(rig_ask_for("undeploy.nope", "", "result"), "notfound");
    WISP_CLEANUP_JSON json_t *deleted = rig_ask("del.shop", "");
    CHECK_JSON(deleted, "{'result': 'deleted', 'message': 'it is deleted', 'undeploy': true}");
    CHECK_TEXT(rig_ask_for("del.shop", "", "result"), "noop");
    rig_wait(1000);
    CHECK(!json_object_get(rig.store[2], "default-shop"));
    WISP_CLEANUP_JSON json_t *index = rig_stored(2, "default");
    CHECK_JSON(index, "[]");
    rig_free();
}

TEST(a_delete_of_what_is_deployed_finishes_only_when_nothing_is_left)
{
    begin();
    put(SHOP("v1", "r/web:1", "2"), "created");
    rig_ask_for("deploy.shop", "", "result");
    rig_wait(1000);
    for (size_t i = 0; i < rig.n_hosts; i++) rig.hosts[i].mood = RIG_REFUSES;
    WISP_CLEANUP_JSON json_t *deleted = rig_ask("del.shop", "");
    CHECK_JSON(deleted, "{'result': 'deleted', 'message': 'it is deleted, and what ran of it is being stopped', "
                        "'undeploy': true}");
    rig_wait(20000);
    CHECK(json_object_get(rig.store[2], "default-shop"));
    CHECK_INT(json_object_size(rig.store[1]), 1); /* what runs still needs it */
    WISP_CLEANUP_JSON json_t *list = rig_ask("list", "");
    CHECK_JSON(list, "[]");
    CHECK_TEXT(rig_state_of("shop"), "reconciling");
    /* Put again meanwhile, with another content of the same version. */
    put(ONE_COMPONENT("shop", "r/new:1", "1", ""), "created");
    WISP_CLEANUP_JSON json_t *versions = rig_ask("versions.shop", "");
    CHECK_INT(json_array_size(json_object_get(versions, "versions")), 1);
    for (size_t i = 0; i < rig.n_hosts; i++) rig.hosts[i].mood = RIG_OBEYS;
    rig_wait(60000);
    CHECK_INT(rig_count("shop-web") + rig_count("shop-kv"), 0);
    CHECK_INT(json_object_size(rig.store[1]), 0);
    WISP_CLEANUP_JSON json_t *stored = rig_stored(2, "default-shop");
    CHECK(stored && !json_object_get(stored, "removed"));
    rig_free();
}

TEST(what_is_undeployed_is_listed_so_at_once_and_can_be_deleted)
{
    begin();
    put(SHOP("v1", "r/web:1", "2"), "created");
    rig_ask_for("deploy.shop", "", "result");
    rig_wait(1000);
    for (size_t i = 0; i < rig.n_hosts; i++) rig.hosts[i].mood = RIG_REFUSES;
    rig_ask_for("undeploy.shop", "", "result");
    for (int i = 0; i < 3; i++) {
        WISP_CLEANUP_JSON json_t *list = rig_ask("list", "");
        const json_t *summary = json_array_get(list, 0);
        CHECK_STR(wisp_json_str(summary, "status"), "undeployed");
        CHECK_STR(wisp_json_str(summary, "status_message"), "what runs of it is being stopped");
        rig_wait(500);
    }
    WISP_CLEANUP_JSON json_t *answer = rig_ask("status.shop", "");
    const json_t *status = json_object_get(json_object_get(answer, "status"), "status");
    CHECK_STR(wisp_json_str(status, "type"), "reconciling");
    CHECK_TEXT(rig_ask_for("del.shop", "{\"version\": \"v1\"}", "result"), "deleted");
    for (size_t i = 0; i < rig.n_hosts; i++) rig.hosts[i].mood = RIG_OBEYS;
    rig_wait(60000);
    CHECK_INT(rig_count("shop-web") + rig_count("shop-kv"), 0);
    CHECK(!json_object_get(rig.store[2], "default-shop"));
    rig_free();
}

TEST(a_version_can_be_deleted_by_itself)
{
    begin();
    put(SHOP("v1", "r/web:1", "2"), "created");
    put(SHOP("v2", "r/web:2", "2"), "newversion");
    rig_ask_for("deploy.shop", "{\"version\": \"v1\"}", "result");
    rig_wait(1000);
    CHECK_TEXT(rig_ask_for("del.shop", "{\"version\": \"v9\"}", "result"), "noop");
    WISP_CLEANUP_JSON json_t *first = rig_ask("del.shop", "{\"version\": \"v1\"}");
    CHECK(wisp_json_bool(first, "undeploy", false));
    rig_wait(1000);
    CHECK_INT(rig_count("shop-web"), 0);
    WISP_CLEANUP_JSON json_t *versions = rig_ask("versions.shop", "");
    CHECK_INT(json_array_size(json_object_get(versions, "versions")), 1);
    WISP_CLEANUP_JSON json_t *second = rig_ask("del.shop", "{\"version\": \"v2\"}");
    CHECK(wisp_json_bool(second, "undeploy", false));
    rig_wait(1000);
    CHECK(!json_object_get(rig.store[2], "default-shop"));
    rig_free();
}

static const char base[] =
    "{\"apiVersion\": \"core.oam.dev/v1beta1\", \"kind\": \"Application\", \"metadata\": {\"name\": \"base\", "
    "\"annotations\": {\"experimental.wasmcloud.dev/shared\": \"true\"}}, \"spec\": {\"components\": [{\"name\": "
    "\"kv\", \"type\": \"capability\", \"properties\": {\"image\": \"r/kv:1\"}}]}}";
static const char user[] =
    "{\"apiVersion\": \"core.oam.dev/v1beta1\", \"kind\": \"Application\", \"metadata\": {\"name\": \"user\", "
    "\"annotations\": {}}, \"spec\": {\"components\": [{\"name\": \"kv\", \"type\": \"capability\", \"properties\": "
    "{\"application\": {\"name\": \"base\", \"component\": \"kv\"}}}]}}";

TEST(shared_applications_stay_while_they_are_used)
{
    begin();
    put(base, "created");
    put(user, "created");
    CHECK_HAS(rig_ask_for("deploy.user", "", "message"), "which is not deployed");
    CHECK_TEXT(rig_ask_for("plan.user", "", "result"), "error");
    rig_ask_for("deploy.base", "", "result");
    CHECK_TEXT(rig_ask_for("deploy.user", "", "result"), "acknowledged");
    rig_wait(500);
    WISP_CLEANUP_JSON json_t *refused = rig_ask("undeploy.base", "");
    CHECK_STR(wisp_json_str(refused, "result"), "error");
    CHECK_HAS(rig_text(wisp_json_str(refused, "message")), "`user`");
    CHECK_TEXT(rig_ask_for("del.base", "", "result"), "error");
    CHECK_INT(rig_count("base-kv"), 1);
    rig_ask_for("undeploy.user", "", "result");
    CHECK_TEXT(rig_ask_for("undeploy.base", "", "result"), "acknowledged");
    rig_wait(500);
    CHECK_INT(rig_count("base-kv"), 0);
    rig_free();
}

TEST(a_plan_says_what_would_be_done_and_does_nothing)
{
    begin();
    put(ONE_COMPONENT("x", "i:1", "1", ""), "created");
    size_t before = rig.n_commands;
    WISP_CLEANUP_JSON json_t *answer = rig_ask("plan.x", "");
    const json_t *command = json_array_get(json_object_get(answer, "commands"), 0);
    CHECK_STR(wisp_json_str(answer, "result"), "success");
    CHECK_INT(json_array_size(json_object_get(answer, "commands")), 1);
    CHECK_STR(wisp_json_str(command, "kind"), "scale");
    CHECK_STR(wisp_json_str(command, "app"), "x");
    CHECK_STR(wisp_json_str(command, "reason"), "0 of 1 instances of spread `default` are there");
    CHECK_INT(wisp_json_u64(command, "found", 99), 0);
    CHECK(wisp_json_str(command, "scaler").len == 64 && wisp_json_str(command, "host").len == 1);
    CHECK_STR(wisp_json_str(json_object_get(command, "payload"), "component_ref"), "i:1");
    CHECK_INT(json_array_size(json_object_get(answer, "scalers")), 1);
    WISP_CLEANUP_JSON json_t *other = rig_ask("plan.y", ONE_COMPONENT("y", "i:1", "3", ""));
    CHECK(json_array_size(json_object_get(other, "commands")) == 2);
    CHECK_HAS(rig_ask_for("plan.z", ONE_COMPONENT("y", "i:1", "3", ""), "message"), "is of application `y`");
    CHECK_TEXT(rig_ask_for("plan.z", "", "result"), "notfound");
    CHECK_TEXT(rig_ask_for("plan.z", "spec: {", "result"), "error");
    rig_wait(1000);
    CHECK_INT(rig.n_commands, before);
    rig_free();
}

TEST(requests_that_write_are_served_one_after_the_other)
{
    begin();
    rig.managers[0].holds_writes = true;
    const char *first = rig_send("put", ONE_COMPONENT("x", "i:1", "1", ""));
    const char *second = rig_send("deploy.x", "");
    CHECK_INT(rig_said_count(first) + rig_said_count(second), 0);
    CHECK_TEXT(rig_ask_for("list", "", "nothing"), ""); /* reading is served */
    rig.managers[0].holds_writes = false;
    rig_kill_manager(0); /* with a write and a request that wait */
    rig_start_manager(0);
    rig_wait(4000);
    put(ONE_COMPONENT("x", "i:1", "1", ""), "created");
    /* Another one changed it, and that is not told yet. */
    rig.managers[0].has_state = false;
    rig_set(2, "default-x", "{\"manifests\": {}, \"deployed_version\": null}");
    rig.managers[0].has_state = true;
    CHECK_HAS(rig_ask_for("deploy.x", "", "message"), "somebody else changed");
    rig_free();
}

TEST(old_versions_make_room)
{
    begin();
    char version[8];
    for (int i = 0; i < 105; i++) {
        WISP_CLEANUP_JSON json_t *manifest = rig_parse(ONE_COMPONENT("x", "i:1", "1", ""));
        snprintf(version, sizeof version, "v%d", i);
        json_object_set_new(json_object_get(json_object_get(manifest, "metadata"), "annotations"), "version",
                            json_string(version));
        rig_ask_for("put", rig_print_taken(json_incref(manifest)), "result");
        if (i == 1) rig_ask_for("deploy.x", "", "result");
    }
    WISP_CLEANUP_JSON json_t *answer = rig_ask("versions.x", "");
    const json_t *versions = json_object_get(answer, "versions");
    CHECK_INT(json_array_size(versions), 100);
    CHECK_STR(wisp_json_str(json_array_get(versions, 0), "version"), "v1");
    CHECK(wisp_json_bool(json_array_get(versions, 0), "deployed", false));
    CHECK_STR(wisp_json_str(json_array_get(versions, 99), "version"), "v104");
    rig_free();
}

TEST(records_of_the_original_are_read_and_those_of_other_lattices_are_not)
{
    rig_new();
    rig_add_host("A", "{}");
    WISP_CLEANUP_JSON json_t *manifest = rig_parse(ONE_COMPONENT("x", "i:1", "2", ""));
    const char *record =
        rig_print_taken(json_pack("{s:{s:O}, s:s}", "manifests", "v1", manifest, "deployed_version", "v1"));
    rig_set(2, "default-x", record);
    rig_set(2, "default", "[\"x\"]");
    /* Lattice `default-b` and its application `x`. */
    rig_set(2, "default-b", "[\"x\"]");
    rig_set(2, "default-b-x", record);
    rig_start_manager(0);
    rig_wait(3000);
    CHECK_INT(rig_count("x-c"), 2);
    WISP_CLEANUP_JSON json_t *list = rig_ask("list", "");
    CHECK_INT(json_array_size(list), 1);
    WISP_CLEANUP_JSON json_t *other = rig_stored(2, "default-b"), *index = rig_stored(2, "default");
    CHECK_JSON(other, "['x']");
    CHECK_JSON(index, "['x']");
    CHECK_HAS(rig_ask_for("put", ONE_COMPONENT("b-x", "i", "1", ""), "message"), "another lattice");
    CHECK_TEXT(rig_ask_for("del.b-x", "", "result"), "noop");
    rig_free();
}

TEST(what_is_stored_and_can_not_be_understood_is_left_as_it_is)
{
    begin();
    put(SHOP("v1", "r/web:1", "2"), "created");
    rig_ask_for("deploy.shop", "", "result");
    rig_wait(1000);
    rig_change(2, "default-shop",
               "{\"manifests\": {\"v1\": {\"spec\": 7}}, \"deployed_version\": \"v1\", "
               "\"lattice\": \"default\"}");
    rig_wait(60000);
    CHECK_INT(rig_count("shop-web"), 2);
    CHECK_TEXT(rig_state_of("shop"), "failed");
    CHECK_HAS(rig_message_of("shop"), "can't be understood");
    CHECK_TEXT(rig_ask_for("undeploy.shop", "", "result"), "acknowledged");
    rig_wait(1000);
    CHECK_TEXT(rig_ask_for("del.shop", "", "result"), "deleted");
    rig_wait(60000);
    CHECK_INT(rig_count("shop-web"), 0); /* nobody's by now */
    rig_free();
}
