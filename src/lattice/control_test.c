/* SPDX-License-Identifier: Apache-2.0 */
#include "lattice/rig.h"

#include <stdlib.h>

TEST(start)
{
    struct wisp_lattice_label labels[] = {{WISP_STR("zone"), WISP_STR("a")}, {WISP_STR("hostcore.os"), WISP_STR("x")}};
    struct wisp_lattice_options options = {.friendly_name = "calm-lake-0007",
                                           .version = "1.6.2",
                                           .labels = labels,
                                           .n_labels = 2,
                                           .seed = 1,
                                           .keys_from_seed = true,
                                           .refuses_provider_auctions = true};
    WISP_CLEANUP_RIG struct rig rig;
    rig_new_empty(&rig, &options);
    rig_run(&rig);
    CHECK_INT(rig.n_actions, 0); /* not before the state is known */
    wisp_lattice_on_state_loaded(rig.lattice, rig.now);
    rig_run(&rig);
    CHECK_STR(rig_take(&rig, WISP_LATTICE_SUBSCRIBE, "wasmbus.ctl.v1.default.registry.put")->queue, "");
    CHECK_STR(rig_take(&rig, WISP_LATTICE_SUBSCRIBE, "wasmbus.ctl.v1.default.link.*")->queue,
              "wasmbus.ctl.v1.default.link");
    CHECK_STR(rig_take(&rig, WISP_LATTICE_SUBSCRIBE, "wasmbus.ctl.v1.default.config.>")->queue,
              "wasmbus.ctl.v1.default.config");
    CHECK_STR(rig_take(&rig, WISP_LATTICE_SUBSCRIBE, "wasmbus.ctl.v1.default.claims.get")->queue,
              "wasmbus.ctl.v1.default.claims");
    rig_take(&rig, WISP_LATTICE_SUBSCRIBE, rig_text(&rig, "wasmbus.ctl.v1.default.component.*.{H}"));
    rig_take(&rig, WISP_LATTICE_SUBSCRIBE, "wasmbus.ctl.v1.default.component.auction");
    CHECK(!rig_find(&rig, WISP_LATTICE_SUBSCRIBE, "wasmbus.ctl.v1.default.provider.auction"));
    WISP_CLEANUP_JSON json_t *data = rig_event(&rig, "host_started");
    CHECK_STR(wisp_json_str(data, "friendly_name"), "calm-lake-0007");
    CHECK_STR(wisp_json_str(data, "version"), "1.6.2");
    CHECK_INT(json_integer_value(json_object_get(data, "uptime_seconds")), 0);
    CHECK_STR(wisp_json_str(json_object_get(data, "labels"), "zone"), "a");
    CHECK_STR(wisp_json_str(json_object_get(data, "labels"), "hostcore.os"), "x"); /* the user's win */
    CHECK_STR(wisp_json_str(json_object_get(data, "labels"), "hostcore.osfamily"), "unix");
}

TEST(options)
{
    struct wisp_lattice *lattice;
    struct wisp_lattice_now now = {0};
    struct wisp_err err = {0};
    struct wisp_lattice_options bad[] = {
        {.lattice = "a.b"},
        {.lattice = ""},
        {.ctl_prefix = "a..b"},
        {.secrets_topic = "a.*"},
        {.policy_changes_topic = "x"},
        {.host_seed = "SNxyz"},
        {.host_seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"}, /* a user's */
    };
    for (size_t i = 0; i < WISP_COUNT(bad); i++) CHECK_FAILS(wisp_lattice_new(&lattice, &bad[i], now, &err), INVALID);
}

TEST(ping_and_inventory)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.now.now_ms = 1000 + 93784000; /* 1 day, 2:03:04 */
    WISP_CLEANUP_JSON json_t *envelope = rig_ask(&rig, "host.ping", "");
    json_t *host = json_object_get(envelope, "response");
    CHECK(json_is_true(json_object_get(envelope, "success")));
    json_object_del(host, "labels");
    CHECK_JSON(&rig, host,
               rig_text(&rig, "{'id':'{H}','friendly_name':'calm-lake-0007','lattice':'default','uptime_seconds':93784,"
                              "'uptime_human':'1day 2h 3m 4s','version':'1.6.2','ctl_host':'nats://127.0.0.1:4222',"
                              "'rpc_host':'nats://127.0.0.1:4222'}"));
    WISP_CLEANUP_JSON json_t *second = rig_ask(&rig, "host.get.{H}", "");
    json_t *inventory = json_object_get(second, "response");
    json_object_del(inventory, "labels");
    CHECK_JSON(&rig, inventory,
               rig_text(&rig, "{'host_id':'{H}','friendly_name':'calm-lake-0007','version':'1.6.2','uptime_human':"
                              "'1day 2h 3m 4s','uptime_seconds':93784,'components':[],'providers':[]}"));
}

TEST(heartbeat)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_wait(&rig, 29990);
    CHECK(!rig_has_event(&rig, "host_heartbeat"));
    rig_wait(&rig, 10);
    WISP_CLEANUP_JSON json_t *data = rig_event(&rig, "host_heartbeat");
    CHECK_STR(wisp_json_str(data, "uptime_human"), "30s");
    CHECK(json_is_array(json_object_get(data, "components")));
    rig_wait(&rig, 300000);
    size_t n = 0;
    while (rig_find(&rig, WISP_LATTICE_PUBLISH, "wasmbus.evt.default.host_heartbeat")) n++;
    CHECK_INT(n, 10);
}

TEST(labels)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    CHECK_ANSWER(&rig, "label.put.{H}", "{'key':'zone','value':'b'}",
                 "{'success':true,'message':'successfully put label'}");
    WISP_CLEANUP_JSON json_t *data = rig_event(&rig, "labels_changed");
    CHECK_STR(wisp_json_str(data, "host_id"), wisp_lattice_host_id(rig.lattice));
    CHECK_STR(wisp_json_str(json_object_get(data, "labels"), "zone"), "b");
    CHECK_ANSWER(&rig, "label.del.{H}", "{'key':'zone'}", "{'success':true,'message':'successfully deleted label'}");
    CHECK(rig_has_event(&rig, "labels_changed"));
    rig_clear(&rig);
    CHECK_ANSWER(&rig, "label.del.{H}", "{'key':'zone'}",
                 "{'success':true,'message':'successfully deleted label (no such label)'}");
    CHECK(!rig_has_event(&rig, "labels_changed"));
    CHECK_ANSWER(&rig, "label.put.{H}", "{'key':'zone'}",
                 "{'success':false,'message':'failed to deserialize host label: missing field `value`'}");
}

TEST(auctions)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    CHECK_ANSWER(&rig, "component.auction", "{'component_ref':'x/y:1','component_id':'echo','constraints':{}}",
                 rig_text(&rig,
                          "{'success':true,'message':'','response':{'component_ref':'x/y:1','component_id':'echo',"
                          "'host_id':'{H}','constraints':{}}}"));
    CHECK_ANSWER(&rig, "provider.auction",
                 "{'provider_ref':'x/p:1','provider_id':'kv','constraints':{'hostcore.os':'linux'}}",
                 rig_text(&rig, "{'success':true,'message':'','response':{'provider_ref':'x/p:1','provider_id':'kv',"
                                "'host_id':'{H}','constraints':{'hostcore.os':'linux'}}}"));
    rig_send(&rig, "component.auction", "{'component_id':'echo','constraints':{'hostcore.os':'plan9'}}");
    CHECK_INT(rig.n_actions, 0);
    rig_send(&rig, "component.scale.{H}", "{'component_ref':'x/y:1','component_id':'echo','count':1}");
    rig_clear(&rig);
    rig_send(&rig, "component.auction", "{'component_ref':'x/y:2','component_id':'echo','constraints':{}}");
    CHECK_INT(rig.n_actions, 0);
    WISP_CLEANUP_JSON json_t *refusal = rig_ask(&rig, "component.auction", "{'component_id':'echo'}");
    CHECK_HAS(rig_print(&rig, refusal), "missing field `constraints`");
}

TEST(registries)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    CHECK_ANSWER(&rig, "registry.put", "{'ghcr.io':{'username':'u','password':'p','registryType':'oci'}}",
                 "{'success':true,'message':'successfully put registries'}");
    struct wisp_lattice_action *action = rig_take(&rig, WISP_LATTICE_CREDENTIALS, NULL);
    CHECK_JSON(&rig, action->registries, "{'ghcr.io':{'username':'u','password':'p','registryType':'oci'}}");
    json_decref(action->registries);
    WISP_CLEANUP_JSON json_t *refusal = rig_ask(&rig, "registry.put", "{'ghcr.io':{'password':7}}");
    CHECK(json_is_false(json_object_get(refusal, "success")));
}

TEST(config_service)
{
    struct wisp_lattice_options options = {.asks_config_service = true, .seed = 3, .keys_from_seed = true};
    WISP_CLEANUP_RIG struct rig rig;
    rig_new_empty(&rig, &options);
    wisp_lattice_on_state_loaded(rig.lattice, rig.now);
    rig_run(&rig);
    struct wisp_lattice_action *request = rig_take(&rig, WISP_LATTICE_REQUEST, "wasmbus.cfg.default.req");
    rig_reply(&rig, request, "{'registryCredentials':{'r.io':{'token':'t'}}}");
    struct wisp_lattice_action *action = rig_take(&rig, WISP_LATTICE_CREDENTIALS, NULL);
    CHECK_JSON(&rig, action->registries, "{'r.io':{'token':'t'}}");
    json_decref(action->registries);
}

TEST(malformed)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    static const char *const tails[] = {
        "label.put.{H}",        "label.del.{H}",      "component.auction", "provider.auction", "component.scale.{H}",
        "component.update.{H}", "provider.start.{H}", "provider.stop.{H}", "link.put",         "link.del",
        "config.put.x",         "registry.put",       "host.stop.{H}"};
    static const char *const payloads[] = {"{", "[]", "7", "null", "{'a':", "\xff\xfe"};
    for (size_t i = 0; i < WISP_COUNT(tails); i++) {
        for (size_t k = 0; k < WISP_COUNT(payloads); k++) {
            WISP_CLEANUP_JSON json_t *refusal = rig_ask(&rig, tails[i], payloads[k]);
            CHECK(json_is_false(json_object_get(refusal, "success")));
            CHECK_HAS(json_string_value(json_object_get(refusal, "message")), "failed to deserialize");
            CHECK(!json_object_get(refusal, "response"));
        }
    }
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STOP_HOST), 0);
}

TEST(unsupported)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    static const char *const tails[] = {"link.sing",      "config.put.a.b",       "config.put",   "component.sing.{H}",
                                        "host.get.{H}.x", "provider.auction.{H}", "claims.get.x", "x"};
    for (size_t i = 0; i < WISP_COUNT(tails); i++)
        CHECK_ANSWER(&rig, tails[i], "", "{'success':false,'message':'unsupported subject'}");
}

TEST(stop)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    WISP_CLEANUP_JSON json_t *refusal = rig_ask(&rig, "host.stop.{H}", "{'host_id':'NOTHER'}");
    CHECK(json_is_false(json_object_get(refusal, "success")));
    CHECK_ANSWER(&rig, "host.stop.{H}", "{'host_id':'{H}','timeout':1500}",
                 "{'success':true,'message':'successfully handled stop host'}");
    WISP_CLEANUP_JSON json_t *data = rig_event(&rig, "host_stopped");
    CHECK(json_is_object(json_object_get(data, "labels")));
    CHECK_INT(rig_take(&rig, WISP_LATTICE_STOP_HOST, NULL)->timeout_ms, 1500);
    rig_take(&rig, WISP_LATTICE_UNSUBSCRIBE, "wasmbus.ctl.v1.default.link.*");
    CHECK_STR(rig_take(&rig, WISP_LATTICE_SAVE, NULL)->payload, "{\"components\":[],\"providers\":[]}");
    rig_clear(&rig);
    rig_send(&rig, "host.ping", "");
    rig_wait(&rig, 60000);
    CHECK_INT(rig.n_actions, 0);
}

TEST(same_id)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_wait(&rig, 300000);
    struct wisp_lattice_action *probe =
        rig_take(&rig, WISP_LATTICE_PUBLISH, rig_text(&rig, "wasmbus.ctl.v1.default.host.get.{H}"));
    rig_clear(&rig);
    struct wisp_bus_message own = {.subject = probe->subject, .reply = probe->reply};
    wisp_lattice_on_message(rig.lattice, rig.now, &own);
    rig_run(&rig);
    CHECK_INT(rig.n_actions, 0); /* it does not answer itself */
    struct wisp_bus_message other = {
        .subject = probe->reply,
        .payload = wisp_str_from(rig_text(&rig, "{'success':true,'message':'','response':{'host_id':'{H}',"
                                                "'friendly_name':'twin','uptime_human':'5s'}}"))};
    wisp_lattice_on_message(rig.lattice, rig.now, &other);
    rig_run(&rig);
    struct wisp_lattice_action *log = rig_take(&rig, WISP_LATTICE_LOG, NULL);
    CHECK_HAS(wisp_arena_cstr(&rig.arena, log->text), "another host of lattice `default` has this host's id");
    CHECK_HAS(wisp_arena_cstr(&rig.arena, log->text), "`twin`, up for 5s");
}

TEST(clocks_jump)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.now.now_ms = 5; /* back */
    wisp_lattice_on_tick(rig.lattice, rig.now);
    rig.now.wall_ns = -1;
    CHECK_ANSWER(&rig, "label.put.{H}", "{'key':'a','value':'b'}",
                 "{'success':true,'message':'successfully put label'}");
    WISP_CLEANUP_JSON json_t *event =
        rig_parse(rig_take(&rig, WISP_LATTICE_PUBLISH, "wasmbus.evt.default.labels_changed")->payload);
    CHECK_STR(wisp_json_str(event, "time"), "1969-12-31T23:59:59.999999999Z");
    rig.now.wall_ns = 1709164800000000000;
    rig_send(&rig, "label.put.{H}", "{'key':'a','value':'b'}");
    WISP_CLEANUP_JSON json_t *leap =
        rig_parse(rig_take(&rig, WISP_LATTICE_PUBLISH, "wasmbus.evt.default.labels_changed")->payload);
    CHECK_STR(wisp_json_str(leap, "time"), "2024-02-29T00:00:00.000000000Z");
}

TEST(without_bus)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    wisp_lattice_on_bus(rig.lattice, rig.now, false);
    rig_wait(&rig, 100000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_PUBLISH), 0);
    wisp_lattice_on_bus(rig.lattice, rig.now, true);
    rig_wait(&rig, 1000);
    CHECK(rig_has_event(&rig, "host_heartbeat"));
}

TEST(determinism)
{
    const char *ids[2];
    struct rig rigs[2];
    for (int i = 0; i < 2; i++) {
        rig_new(&rigs[i], NULL);
        rig_send(&rigs[i], "label.put.{H}", "{'key':'a','value':'b'}");
        ids[i] = wisp_arena_cstr(
            &rigs[i].arena, rig_take(&rigs[i], WISP_LATTICE_PUBLISH, "wasmbus.evt.default.labels_changed")->payload);
    }
    CHECK_TEXT(ids[0], ids[1]);
    for (int i = 0; i < 2; i++) rig_free(&rigs[i]);
}
