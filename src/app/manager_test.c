/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app_rig.h"
#include "app/app_sample.h"

/* --- who leads --- */

TEST(one_leads_and_another_takes_over_when_it_is_silent)
{
    rig_begin(3);
    int first = rig_leader();
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "5", ""));
    rig_wait(500);
    CHECK_INT(rig_count("x-c"), 5);
    rig_kill_host((size_t)first);
    uint64_t died_ms = rig.now.now_ms;
    CHECK_INT(rig_count("x-c"), 4);
    while (rig_count("x-c") < 5 && rig.now.now_ms < died_ms + 10000) rig_wait(10);
    CHECK(rig.now.now_ms - died_ms <= 3000); /* of the virtual clock */
    CHECK(rig_leader() >= 0 && rig_leader() != first);
    rig_wait(100);
    CHECK_TEXT(rig_state_of("x"), "deployed");
    rig_free();
}

static size_t count_following(void)
{
    size_t n = 0;
    for (size_t i = 0; i < RIG_MANAGERS; i++) n += rig.managers[i].follows;
    return n;
}

TEST(of_many_only_three_follow_and_the_fourth_takes_over_nevertheless)
{
    rig_begin(3);
    rig_start_manager(3);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "5", ""));
    rig_wait(5000);
    CHECK_INT(count_following(), 3);
    CHECK(!rig.managers[3].follows && rig_leader() != 3);
    CHECK_INT(rig_count("x-c"), 5);
    for (size_t i = 0; i < 3; i++) rig_kill_host(i);
    rig_wait(1500);
    CHECK_INT(count_following(), 0);
    rig_wait(4000);
    CHECK_INT(rig_leader(), 3);
    CHECK_INT(rig_count("x-c"), 5);
    CHECK_TEXT(rig_state_of("x"), "deployed");
    for (size_t i = 0; i < 3; i++) rig.hosts[i].is_up = true;
    for (size_t i = 0; i < 3; i++) rig_start_manager(i);
    rig_wait(5000);
    CHECK_INT(count_following(), 3);
    CHECK_INT(rig_leader(), 3);
    rig_free();
}

#define OURS ", \"spread\": [{\"name\": \"ours\", \"requirements\": {\"kind\": \"ours\"}}]"

/* It had heard of the leader's host for the first time a moment before. */
TEST(one_that_has_just_come_takes_over)
{
    for (uint64_t wait_ms = 0; wait_ms < 1000; wait_ms += 100) {
        rig_begin(1);
        rig_deploy("x", ONE_COMPONENT("x", "i:1", "5", OURS));
        rig_wait(500);
        CHECK_INT(rig_count("x-c"), 5);
        rig.hosts[1].is_up = true;
        rig_start_manager(1);
        rig_wait(wait_ms);
        rig_kill_host(0);
        rig_wait(5500);
        CHECK_INT(rig_leader(), 1);
        CHECK_INT(rig_count("x-c"), 5);
        rig_free();
    }
}

TEST(who_can_not_renew_stops_before_another_begins)
{
    rig_begin(3);
    int first = rig_leader();
    rig.managers[first].holds_writes = true; /* the state takes for ever */
    bool had_pause = false;
    for (int i = 0; i < 400; i++) {
        rig_wait(10); /* rig_leader checks that there is one at most, rig_request that it is it who commands */
        had_pause |= rig_leader() < 0;
        if (i == 50) rig_send("put", ONE_COMPONENT("x", "i:1", "5", ""));
    }
    CHECK(had_pause && rig_leader() >= 0 && rig_leader() != first);
    rig_free();
}

TEST(only_the_leader_asks_hosts_what_they_run)
{
    rig_begin(3);
    size_t first = (size_t)rig_leader();
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "5", ""));
    rig_wait(500);
    rig_deploy("x", ONE_COMPONENT("x", "i:2", "5", "")); /* hosts tell of an end too, with every update */
    rig_wait(60000);
    CHECK(rig.n_asked[first] > 0 && rig.n_asked[first] <= 20);
    for (size_t i = 0; i < RIG_MANAGERS; i++) CHECK(i == first || !rig.n_asked[i]);
    rig_kill_host(first);
    rig_wait(10000);
    size_t second = (size_t)rig_leader();
    CHECK(rig.n_asked[second] >= 4);
    CHECK_INT(rig.n_asked[0] + rig.n_asked[1] + rig.n_asked[2], rig.n_asked[first] + rig.n_asked[second]);
    CHECK_INT(rig_count("x-c"), 5);
    rig_free();
}

TEST(a_leader_that_ends_gives_the_lease_up)
{
    rig_begin(2);
    int first = rig_leader();
    wisp_app_stop(rig.managers[first].app, rig.now);
    rig_run();
    rig_wait(150);
    CHECK(rig_leader() >= 0 && rig_leader() != first);
    CHECK_TEXT(rig_said_last(first ? "wisp.app.default.alive.B" : "wisp.app.default.alive.A"), "\"draining\"");
    size_t n = rig_said_count(first ? "wisp.app.default.alive.B" : "wisp.app.default.alive.A");
    rig_wait(2000);
    CHECK_INT(rig_said_count(first ? "wisp.app.default.alive.B" : "wisp.app.default.alive.A"), n);
    rig_free();
}

TEST(a_host_that_comes_back_at_once_leads_at_once)
{
    rig_begin(1);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "5", ""));
    rig_wait(500);
    rig_kill_manager(0);
    rig_start_manager(0);
    rig_wait(10);
    CHECK_INT(rig_leader(), 0);
    size_t before = rig.n_commands;
    rig_wait(5000);
    CHECK_INT(rig.n_commands, before); /* and starts nothing for lack of knowledge */
    rig_free();
}

TEST(nobody_leads_without_the_bus_or_the_state)
{
    rig_begin(1);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "5", ""));
    rig_wait(500);
    rig.managers[0].is_on_bus = false;
    wisp_app_on_bus(rig.managers[0].app, rig.now, false);
    for (size_t i = 0; i < rig.n_hosts; i++)
        CHECK(!rig.hosts[i].is_up || json_object_size(rig.hosts[i].components) <= 1);
    rig_wait(100000); /* all hosts are silent, for us */
    CHECK_INT(rig_leader(), -1);
    size_t before = rig.n_commands;
    rig.managers[0].is_on_bus = true;
    wisp_app_on_bus(rig.managers[0].app, rig.now, true);
    rig_wait(5000);
    CHECK_INT(rig_leader(), 0);
    CHECK_INT(rig.n_commands, before); /* nothing has changed, nothing is done */
    rig.managers[0].has_state = false;
    wisp_app_on_state_reachable(rig.managers[0].app, rig.now, false);
    CHECK_INT(rig_leader(), -1);
    wisp_app_on_state_reachable(rig.managers[0].app, rig.now, true);
    CHECK_INT(rig_leader(), -1); /* until it is known what has changed */
    rig_load(0);
    rig_wait(1000);
    CHECK_INT(rig_leader(), 0);
    CHECK_INT(rig.n_commands, before);
    rig_free();
}

TEST(a_passive_manager_only_beats)
{
    rig_new();
    struct wisp_err err = {0};
    struct wisp_app_options options = {.host_id = "A", .is_passive = true};
    CHECK_OK(wisp_app_new(&rig.managers[0].app, &options, rig.now, &err), &err);
    rig.managers[0].is_on_bus = true;
    wisp_app_on_bus(rig.managers[0].app, rig.now, true);
    rig_load(0);
    rig_wait(10000);
    CHECK_INT(rig_leader(), -1);
    CHECK_INT(rig.n_said, rig_said_count("wisp.app.default.alive.A"));
    CHECK_INT(rig.n_said, 15);
    rig_free();
}

/* --- the state --- */

static void wipe(void)
{
    for (int i = 0; i < RIG_BUCKETS; i++) json_object_clear(rig.store[i]);
    rig.revision = 0;
}

static void come_back(size_t i, json_t *const keys[RIG_BUCKETS])
{
    const char *key;
    json_t *unused;
    wisp_app_on_state_reachable(rig.managers[i].app, rig.now, true);
    for (int bucket = 0; bucket < RIG_BUCKETS; bucket++)
        json_object_foreach(keys[bucket], key, unused) if (!json_object_get(rig.store[bucket], key))
            rig_tell(i, bucket, key);
    rig_load(i);
}

TEST(a_state_that_was_wiped_is_put_back)
{
    rig_begin(3);
    rig_deploy("shop", SHOP("v1", "r/web:1", "4"));
    rig_wait(1000);
    json_t *keys[RIG_BUCKETS];
    for (int i = 0; i < RIG_BUCKETS; i++) keys[i] = json_copy(rig.store[i]);
    for (size_t i = 0; i < 3; i++) {
        rig.managers[i].has_state = false;
        wisp_app_on_state_reachable(rig.managers[i].app, rig.now, false);
    }
    wipe();
    rig_wait(500);
    for (size_t i = 0; i < 3; i++) come_back(i, keys);
    rig_wait(10000);
    CHECK(rig_leader() >= 0);
    CHECK_TEXT(rig_state_of("shop"), "deployed");
    WISP_CLEANUP_JSON json_t *record = rig_stored(2, "default-shop"), *index = rig_stored(2, "default");
    CHECK_STR(wisp_json_str(record, "deployed_version"), "v1");
    CHECK_JSON(index, "['shop']");
    CHECK(json_object_get(rig.store[1], "shop-tuning"));
    CHECK_INT(rig_count("shop-web"), 4);
    for (int i = 0; i < RIG_BUCKETS; i++) json_decref(keys[i]);
    rig_free();
}

TEST(a_leader_without_memory_stops_nothing_after_a_wipe)
{
    rig_begin(1);
    rig_deploy("shop", SHOP("v1", "r/web:1", "4"));
    rig_wait(1000);
    rig_kill_manager(0);
    wipe();
    rig_start_manager(0);
    rig_wait(590000);
    CHECK_INT(rig_count("shop-web"), 4);
    rig_wait(70000);
    CHECK_INT(rig_count("shop-web"), 0);
    rig_free();
}

TEST(what_was_deleted_while_one_was_away_stays_deleted)
{
    rig_begin(3);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "5", ""));
    rig_wait(500);
    size_t away = (size_t)(rig_leader() + 1) % 3;
    rig.managers[away].has_state = false;
    wisp_app_on_state_reachable(rig.managers[away].app, rig.now, false);
    json_t *keys[RIG_BUCKETS];
    for (int i = 0; i < RIG_BUCKETS; i++) keys[i] = json_copy(rig.store[i]);
    CHECK_TEXT(rig_ask_for("del.x", "", "result"), "deleted");
    rig_wait(2000);
    come_back(away, keys);
    for (size_t i = 0; i < 3; i++)
        if (i != away) rig_kill_host(i);
    rig_wait(10000);
    CHECK_INT(rig_leader(), (int)away);
    CHECK(!json_object_get(rig.store[2], "default-x"));
    CHECK_INT(rig_count("x-c"), 0);
    for (int i = 0; i < RIG_BUCKETS; i++) json_decref(keys[i]);
    rig_free();
}

TEST(an_undeploy_whose_leader_dies_is_completed_by_another)
{
    rig_begin(3);
    rig_deploy("shop", SHOP("v1", "r/web:1", "4"));
    rig_wait(1000);
    int first = rig_leader();
    for (size_t i = 0; i < rig.n_hosts; i++) rig.hosts[i].mood = RIG_SILENT; /* nobody hears what comes after it */
    rig_ask_for("del.shop", "", "result");
    rig_kill_host((size_t)first);
    for (size_t i = 0; i < rig.n_hosts; i++) rig.hosts[i].mood = RIG_OBEYS;
    rig_wait(20000);
    CHECK_INT(rig_count("shop-web") + rig_count("shop-kv"), 0);
    CHECK_INT(json_object_size(rig.store[1]), 0);
    CHECK(!json_object_get(rig.store[2], "default-shop"));
    rig_free();
}

/* --- hosts --- */

TEST(hosts_of_the_original_are_gone_by_their_heartbeats)
{
    rig_begin(1);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "3", ""));
    rig_wait(500);
    CHECK_INT(wisp_json_u64(json_object_get(rig.hosts[3].components, "x-c"), "max_instances", 0), 1);
    rig_kill_host(3);
    rig_wait(39000);
    CHECK_INT(rig_count("x-c"), 2);
    rig_wait(35000);
    CHECK_INT(rig_count("x-c"), 3);
    rig_free();
}

TEST(a_host_that_stops_in_order_is_replaced_at_once)
{
    rig_begin(1);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "3", ""));
    rig_wait(500);
    rig_kill_host(3);
    rig_event("D", "host_stopped", json_pack("{s:{}}", "labels"));
    rig_wait(500);
    CHECK_INT(rig_count("x-c"), 3);
    rig_free();
}

TEST(a_host_that_is_back_is_given_its_share_again)
{
    rig_begin(1);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "6", ""));
    rig_wait(500);
    json_object_clear(rig.hosts[3].components); /* it lost all when it began anew */
    rig_event("D", "host_started", json_pack("{s:{}}", "labels"));
    rig_wait(500);
    CHECK_INT(wisp_json_u64(json_object_get(rig.hosts[3].components, "x-c"), "max_instances", 0), 2);
    CHECK_INT(rig_count("x-c"), 6);
    rig_free();
}

TEST(heartbeats_without_annotations_change_nothing)
{
    rig_begin(1);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "6", ""));
    rig_wait(500);
    size_t before = rig.n_commands;
    WISP_CLEANUP_JSON json_t *inventory = rig_inventory(&rig.hosts[3]), *bare = json_deep_copy(inventory);
    json_object_set_new(json_array_get(json_object_get(bare, "components"), 0), "annotations", json_object());
    rig_event("D", "host_heartbeat", json_incref(bare));
    rig_wait(1000);
    CHECK_INT(rig.n_commands, before);
    CHECK_TEXT(rig_state_of("x"), "deployed");
    rig_free();
}

TEST(a_heartbeat_like_the_last_one_puts_right_what_was_heard_between_them)
{
    rig_begin(1);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "5", ""));
    rig_wait(500);
    rig_heartbeat(&rig.hosts[3]);
    WISP_CLEANUP_JSON json_t *before = json_deep_copy(json_object_get(rig.hosts[3].components, "x-c")),
                             *gone = json_deep_copy(before);
    json_object_set_new(gone, "component_ref", json_string("i:1"));
    json_object_set_new(gone, "component_id", json_string("x-c"));
    json_object_set_new(gone, "count", json_integer(7)); /* it says so, and it is not so */
    rig_tell_scaled(&rig.hosts[3], gone, NULL);
    size_t n = rig.n_commands;
    rig_heartbeat(&rig.hosts[3]);
    rig_wait(500);
    CHECK_TEXT(rig_state_of("x"), "deployed");
    CHECK(rig.n_commands - n <= 1);
    CHECK_INT(rig_count("x-c"), 5);
    WISP_CLEANUP_JSON json_t *status = rig_ask("status.x", "");
    const json_t *scaler = json_array_get(json_object_get(json_object_get(status, "status"), "scalers"), 0);
    CHECK_INT(wisp_json_u64(scaler, "found", 0), 5);
    rig_free();
}

TEST(strange_events_do_no_harm)
{
    static const char *const payloads[] = {
        "",
        "{",
        "[]",
        "{\"data\": []}",
        "{\"source\": \"D\", \"data\": {}}",
        "{\"source\": \"D\", \"data\": 7}",
        "{\"source\": \"a.b c>\", \"data\": {}}",
        "{\"source\": 5, \"data\": {}}",
        "{\"source\": \"D\", \"data\": {\"component_id\": \"x-c\", \"max_instances\": -4}}",
        "{\"source\": \"D\", \"data\": {\"component_id\": \"\", \"max_instances\": 4, \"annotations\": 4}}",
        "{\"source\": \"D\", \"data\": {\"provider_id\": 4, \"annotations\": [], \"image_ref\": {}}}",
        "{\"source\": \"D\", \"data\": {\"components\": [4, {}, {\"id\": \"\"}], \"providers\": {}, \"labels\": 3}}"};
    static const char *const names[] = {
        "host_heartbeat",         "host_started",    "component_scaled",    "provider_started", "provider_stopped",
        "component_scale_failed", "provider_exited", "health_check_failed", "nothing",          "linkdef_set"};
    rig_begin(1);
    rig_deploy("x", ONE_COMPONENT("x", "i:1", "6", ""));
    rig_wait(500);
    for (size_t i = 0; i < WISP_COUNT(names); i++)
        for (size_t k = 0; k < WISP_COUNT(payloads); k++)
            rig_deliver(wisp_arena_printf(&rig.arena, "wasmbus.evt.default.%s", names[i]), "", payloads[k]);
    rig_wait(1000);
    rig_heartbeat(&rig.hosts[3]);
    rig_wait(61000);
    CHECK_INT(rig_count("x-c"), 6);
    CHECK_TEXT(rig_state_of("x"), "deployed");
    rig_free();
}
