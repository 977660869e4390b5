/* SPDX-License-Identifier: Apache-2.0 */
/* What a leader makes hosts do, and how it says that they stand. */
#include "app/app_rig.h"
#include "app/app_sample.h"

/* --- commands --- */

TEST(what_fails_is_held_back_and_told_and_tried_again)
{
    static const struct {
        enum rig_mood mood;
        const char *why;
    } cases[] = {{RIG_REFUSES, "no room"},
                 {RIG_FAILS, "image not found"},
                 {RIG_SILENT, "no answer"},
                 {RIG_LIES, "no outcome in time"}};
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        rig_begin(1);
        rig_all_are(cases[i].mood);
        size_t before = rig.n_commands;
        rig_deploy("x", ONE_COMPONENT("x", "i:1", "1", ""));
        rig_wait(62000);
        CHECK_TEXT(rig_state_of("x"), "failed");
        CHECK_HAS(rig_message_of("x"), cases[i].why);
        size_t n_said = rig_said_count("wadm.status.default.x");
        rig_wait(600000);
        CHECK(rig.n_commands - before < 30); /* within eleven minutes */
        CHECK(rig_said_count("wadm.status.default.x") - n_said < 40);
        rig_all_are(RIG_OBEYS);
        rig_wait(130000);
        CHECK_TEXT(rig_state_of("x"), "deployed");
        rig_free();
    }
}

TEST(who_puts_a_mistake_right_does_not_wait)
{
    rig_begin(1);
    rig_all_are(RIG_FAILS);
    rig_deploy("x", ONE_COMPONENT("x", "i:wrong", "1", ""));
    rig_wait(60000);
    rig_all_are(RIG_OBEYS);
    rig_deploy("x", ONE_COMPONENT("x", "i:right", "1", ""));
    rig_wait(100);
    CHECK_TEXT(rig_state_of("x"), "deployed");
    rig_free();
}

TEST(an_update_that_fails_is_told)
{
    rig_begin(1);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "1", ""));
    rig_wait(500);
    rig_all_are(RIG_SLOW);
    rig_deploy("x", ONE_COMPONENT("x", "i:2", "1", ""));
    rig_wait(500);
    struct rig_host *host = NULL;
    for (size_t i = 0; i < rig.n_hosts; i++)
        if (json_array_size(rig.hosts[i].waiting)) host = &rig.hosts[i];
    CHECK(host);
    /* Hosts say first that the count is right, with the old image, and then how the update went. */
    WISP_CLEANUP_JSON json_t *old = json_copy(json_array_get(json_array_get(host->waiting, 0), 1));
    json_object_set_new(old, "component_ref", json_string("i:1"));
    rig_tell_scaled(host, old, NULL);
    rig_wait(500);
    CHECK_TEXT(rig_state_of("x"), "reconciling");
    rig_fail(host, "component.scale", json_array_get(json_array_get(host->waiting, 0), 1));
    rig_wait(500);
    CHECK_TEXT(rig_state_of("x"), "failed");
    CHECK_HAS(rig_message_of("x"), "image not found");
    CHECK_INT(rig_count("x-c"), 1);
    rig_free();
}

TEST(a_provider_runs_on_when_its_new_image_can_not_be_had)
{
    rig_begin(1);
    rig_deploy("shop", SHOP("v1", "r/web:1", "2"));
    rig_wait(1000);
    rig_all_are(RIG_REFUSES);
    char *changed = wisp_arena_cstr(&rig.arena, wisp_str_from(SHOP("v2", "r/web:1", "2")));
    char *image = strstr(changed, "r/kv:1");
    CHECK(image);
    image[5] = '2';
    rig_deploy("shop", changed);
    rig_wait(5000);
    CHECK_INT(rig_count("shop-kv"), 1);
    CHECK_TEXT(rig_state_of("shop"), "failed");
    CHECK_HAS(rig_message_of("shop"), "no room");
    CHECK_HAS(rig_message_of("shop"), "`r/kv:1` runs on until `r/kv:2` can be had");
    rig_all_are(RIG_OBEYS);
    rig_wait(30000);
    CHECK_TEXT(rig_state_of("shop"), "deployed");
    rig_free();
}

TEST(a_host_that_undoes_what_it_does_is_not_fought)
{
    rig_begin(1);
    rig_all_are(RIG_FLIPS);
    size_t before = rig.n_commands;
    rig_deploy("shop", SHOP("v1", "r/web:1", "5"));
    rig_wait(60000);
    CHECK(rig.n_commands - before < 80); /* five hosts, two units */
    before = rig.n_commands;
    rig_wait(120000);
    CHECK(rig.n_commands - before < 30);
    rig_free();
}

TEST(outcomes_can_be_seen_without_events)
{
    rig_begin(1);
    rig_all_are(RIG_SAYS_NOTHING);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "3", ""));
    rig_wait(31000); /* a heartbeat */
    CHECK_TEXT(rig_state_of("x"), "deployed");
    rig_all_are(RIG_OBEYS);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "6", ""));
    rig_wait(500);
    CHECK_INT(rig_count("x-c"), 6);
    rig_free();
}

TEST(what_is_on_its_way_is_not_started_elsewhere)
{
    rig_begin(1);
    rig_all_are(RIG_SLOW);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "1", ""));
    rig_wait(500);
    for (int i = 0; i < 3; i++) {
        static const char *const ids[] = {"F", "G", "H"};
        rig_add_host(ids[i], "{}");
        rig_wait(500);
    }
    CHECK_TEXT(rig_state_of("x"), "reconciling");
    for (size_t i = 0; i < rig.n_hosts; i++) rig_catch_up(&rig.hosts[i]);
    rig_wait(500);
    CHECK_INT(rig_count("x-c"), 1);
    CHECK_TEXT(rig_state_of("x"), "deployed");
    /* And when it is not wanted any more before it is there, it goes. */
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "8", ""));
    rig_wait(100);
    rig_ask_for("undeploy.x", "", "result");
    rig_wait(100);
    for (int k = 0; k < 5; k++) {
        for (size_t i = 0; i < rig.n_hosts; i++) rig_catch_up(&rig.hosts[i]);
        rig_wait(500);
    }
    CHECK_INT(rig_count("x-c"), 0);
    CHECK_TEXT(rig_state_of("x"), "undeployed");
    rig_free();
}

TEST(an_update_goes_from_host_to_host)
{
    rig_begin(1);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "3", ""));
    rig_wait(500);
    rig_all_are(RIG_SLOW);
    rig_deploy("x", ONE_COMPONENT("x", "i:2", "3", ""));
    for (int step = 0; step < 3; step++) {
        size_t n_waiting = 0;
        rig_wait(500);
        CHECK_INT(rig_count("x-c"), 3);
        for (size_t i = 0; i < rig.n_hosts; i++) n_waiting += json_array_size(rig.hosts[i].waiting);
        CHECK_INT(n_waiting, 1);
        for (size_t i = 0; i < rig.n_hosts; i++) rig_catch_up(&rig.hosts[i]);
    }
    rig_wait(500);
    CHECK_TEXT(rig_state_of("x"), "deployed");
    size_t before = rig.n_commands;
    rig_wait(5000);
    CHECK_INT(rig.n_commands, before);
    rig_free();
}

/* --- status --- */

TEST(status_is_published_when_it_changes_and_says_since_when)
{
    rig_begin(1);
    rig_deploy("shop", SHOP("v1", "r/web:1", "2"));
    rig_wait(5000);
    size_t n = rig_said_count("wadm.status.default.shop");
    CHECK(n >= 2 && n < 12);
    WISP_CLEANUP_JSON json_t *status = rig_parse(rig_said_last("wadm.status.default.shop"));
    CHECK_STR(wisp_json_str(json_object_get(status, "status"), "type"), "deployed");
    const json_t *scalers = json_object_get(status, "scalers");
    CHECK(json_array_size(scalers) >= 3);
    for (size_t i = 0; i < json_array_size(scalers); i++) {
        const json_t *scaler = json_array_get(scalers, i);
        CHECK(wisp_str_starts_with(wisp_json_str(scaler, "since"), WISP_STR("2026-01-01T00:00:0")));
        CHECK_INT(wisp_json_u64(scaler, "found", 0), wisp_json_u64(scaler, "wanted", 9));
    }
    rig_wait(120000);
    CHECK_INT(rig_said_count("wadm.status.default.shop"), n);
    rig_free();
}

static const char *since_of(const char *name)
{
    WISP_CLEANUP_JSON json_t *answer = rig_ask(wisp_arena_printf(&rig.arena, "status.%s", name), "");
    const json_t *scalers = json_object_get(json_object_get(answer, "status"), "scalers");
    return rig_text(wisp_json_str(json_array_get(scalers, 0), "since"));
}

TEST(another_leader_knows_since_when)
{
    rig_begin(2);
    size_t first = (size_t)rig_leader();
    rig_add_host("F", "{\"zone\": \"far\"}"); /* so that no leader's end moves anything */
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "5",
                                  ", \"spread\": [{\"name\": \"s\", \"requirements\": {\"zone\": \"far\"}}]"));
    rig_wait(5000);
    const char *since = since_of("x"); /* the second one has heard of it */
    rig.hosts[2].is_up = true;
    rig_start_manager(2); /* this one has to ask */
    rig_wait(60000);
    CHECK_TEXT(since_of("x"), since);
    wisp_app_stop(rig.managers[first].app, rig.now);
    rig_run();
    rig_kill_manager(first);
    rig_wait(10000);
    size_t second = (size_t)rig_leader();
    CHECK(second != first);
    CHECK_TEXT(since_of("x"), since);
    wisp_app_stop(rig.managers[second].app, rig.now);
    rig_run();
    rig_kill_manager(second);
    rig_wait(10000);
    CHECK(rig_leader() >= 0);
    CHECK_TEXT(since_of("x"), since);
    rig_free();
}

TEST(the_health_of_providers_is_told)
{
    rig_begin(1);
    rig_deploy("shop", SHOP("v1", "r/web:1", "2"));
    rig_wait(1000);
    const char *id = NULL;
    for (size_t i = 0; i < rig.n_hosts; i++)
        if (json_object_get(rig.hosts[i].providers, "shop-kv")) id = rig.hosts[i].id;
    json_t *data = json_pack("{s:s, s:i, s:i, s:[s,s]}", "provider_id", "shop-kv", "status", 3, "failures", 5,
                             "last_output", "a", "no such database");
    rig_event(id, "provider_exited", json_incref(data));
    rig_wait(100);
    CHECK_TEXT(rig_state_of("shop"), "unhealthy");
    rig_event(id, "provider_failed", data);
    rig_wait(100);
    CHECK_TEXT(rig_state_of("shop"), "failed");
    CHECK_HAS(rig_message_of("shop"), "status 3, for the 5th time in a row: no such database");
    rig_event(id, "health_check_passed", json_pack("{s:s}", "provider_id", "shop-kv"));
    rig_wait(100);
    CHECK_TEXT(rig_state_of("shop"), "deployed");
    rig_event(id, "health_check_failed", json_pack("{s:s}", "provider_id", "shop-kv"));
    rig_wait(100);
    CHECK_TEXT(rig_state_of("shop"), "unhealthy");
    rig_free();
}
