/* SPDX-License-Identifier: Apache-2.0 */
/* What a host does when the lattice's state has been out of reach or is lost. */
#include "lattice/rig.h"

#include <stdlib.h>

#define SPEC(id, links) "{\"url\":\"x/" id ":1\",\"links\":[" links "]}"
#define LINK(source, target)                                                                                           \
    "{\"source_id\":\"" source "\",\"target\":\"" target "\",\"name\":\"default\",\"wit_namespace\":\"a\","            \
    "\"wit_package\":\"b\",\"interfaces\":[\"c\"],\"source_config\":[],\"target_config\":[]}"

/* Two specs and two configs are known; `echo` runs here. */
static void begin(struct rig *rig)
{
    rig_new(rig, NULL);
    rig_tell(rig, 0, "COMPONENT_echo", SPEC("echo", LINK("echo", "kv")), 11);
    rig_tell(rig, 0, "COMPONENT_far", SPEC("far", LINK("far", "kv")), 12);
    rig_tell(rig, 1, "used", "{\"k\":\"v\"}", 13);
    rig_tell(rig, 1, "spare", "{}", 14);
    rig_send(rig, "component.scale.{H}",
             "{'component_ref':'x/echo:1','component_id':'echo','count':1,'config':['used']}");
    rig_wait(rig, 10);
    rig_clear(rig);
}

static void lose_bus(struct rig *rig)
{
    wisp_lattice_on_bus(rig->lattice, rig->now, false);
    rig_run(rig);
}

static void find_state(struct rig *rig)
{
    wisp_lattice_on_bus(rig->lattice, rig->now, true);
    rig_run(rig);
}

static void loaded(struct rig *rig)
{
    wisp_lattice_on_state_loaded(rig->lattice, rig->now);
    rig_run(rig);
}

TEST(nothing_happened)
{
    WISP_CLEANUP_RIG struct rig rig;
    begin(&rig);
    lose_bus(&rig);
    rig_wait(&rig, 100000);
    CHECK_INT(rig.n_actions, 0);
    find_state(&rig);
    loaded(&rig);
    rig_wait(&rig, 5000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 0);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_COMPONENT_PUT), 0);
}

/* A state of our own machine is not told anew when only the bus was away. */
TEST(only_the_bus)
{
    WISP_CLEANUP_RIG struct rig rig;
    begin(&rig);
    lose_bus(&rig);
    rig_send(&rig, "component.scale.{H}", "{'component_ref':'x/two:1','component_id':'two','count':1}");
    rig_wait(&rig, 1000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 0);
    find_state(&rig);
    rig_wait(&rig, 61000);
    WISP_CLEANUP_JSON json_t *spec = rig_stored(&rig, 0, "COMPONENT_two");
    CHECK_STR(wisp_json_str(spec, "url"), "x/two:1");
}

TEST(wiped)
{
    WISP_CLEANUP_RIG struct rig rig;
    begin(&rig);
    lose_bus(&rig);
    find_state(&rig);
    /* as the state tells keys that are no more: with the last revision known */
    rig_tell(&rig, 0, "COMPONENT_echo", NULL, 11);
    rig_tell(&rig, 0, "COMPONENT_far", NULL, 12);
    rig_tell(&rig, 1, "used", NULL, 13);
    rig_tell(&rig, 1, "spare", NULL, 14);
    rig_run(&rig);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_COMPONENT_PUT), 0);
    loaded(&rig);
    CHECK_HAS(wisp_arena_cstr(&rig.arena, rig_take(&rig, WISP_LATTICE_LOG, NULL)->text), "has lost 4 keys");
    rig_wait(&rig, 200);
    WISP_CLEANUP_JSON json_t *spec = rig_stored(&rig, 0, "COMPONENT_echo");
    CHECK_STR(wisp_json_str(spec, "url"), "x/echo:1");
    CHECK_INT(json_array_size(json_object_get(spec, "links")), 1);
    WISP_CLEANUP_JSON json_t *config = rig_stored(&rig, 1, "used");
    CHECK_JSON(&rig, config, "{'k':'v'}");
    rig_wait(&rig, 2500); /* what this host does not use comes later */
    WISP_CLEANUP_JSON json_t *far = rig_stored(&rig, 0, "COMPONENT_far");
    WISP_CLEANUP_JSON json_t *spare = rig_stored(&rig, 1, "spare");
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 4);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_COMPONENT_PUT), 0); /* what runs has felt nothing */
    rig_wait(&rig, 60000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 4);
}

/* Another host was faster, and did not know of our link. */
TEST(wiped_and_put_back_by_another)
{
    WISP_CLEANUP_RIG struct rig rig;
    begin(&rig);
    lose_bus(&rig);
    find_state(&rig);
    rig_tell(&rig, 0, "COMPONENT_echo", SPEC("echo", LINK("echo", "new")), 1); /* revisions began anew */
    rig_tell(&rig, 0, "COMPONENT_far", NULL, 12);
    rig.is_held[WISP_LATTICE_STATE_WRITE] = true;
    loaded(&rig);
    rig_wait(&rig, 250);
    struct wisp_lattice_action *write = rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL);
    CHECK_STR(write->key, "COMPONENT_echo");
    CHECK_INT(write->expected, 1);
    WISP_CLEANUP_JSON json_t *value = rig_parse(write->value);
    CHECK_INT(json_array_size(json_object_get(value, "links")), 2);
    /* and `far` is put back by somebody before it is our turn */
    rig_tell(&rig, 0, "COMPONENT_far", SPEC("far", LINK("far", "kv")), 3);
    rig_run(&rig);
    rig_wait(&rig, 5000);
    CHECK(!rig_find(&rig, WISP_LATTICE_STATE_WRITE, NULL));
}

TEST(deleted_while_away)
{
    WISP_CLEANUP_RIG struct rig rig;
    begin(&rig);
    lose_bus(&rig);
    find_state(&rig);
    rig_tell(&rig, 1, "used", NULL, 20); /* a newer revision: somebody did */
    rig_run(&rig);
    CHECK_INT(rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL)->component.n_config, 0);
    rig_tell(&rig, 1, "spare", NULL, 14);
    loaded(&rig);
    rig_wait(&rig, 5000);
    /* `spare` was the last one and nobody says who deleted it: put back */
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 1);
    CHECK_STR(rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL)->key, "spare");
}

TEST(deleted_without_trace)
{
    WISP_CLEANUP_RIG struct rig rig;
    begin(&rig);
    lose_bus(&rig);
    find_state(&rig);
    rig_tell(&rig, 1, "used", NULL, 13);
    rig_run(&rig);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_COMPONENT_PUT), 0); /* not before it is certain */
    loaded(&rig);
    CHECK_INT(rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL)->component.n_config, 0);
    rig_wait(&rig, 5000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 0);
}

TEST(deleted_live)
{
    WISP_CLEANUP_RIG struct rig rig;
    begin(&rig);
    rig_tell(&rig, 0, "COMPONENT_far", NULL, 20);
    rig_tell(&rig, 1, "spare", NULL, 21);
    rig_tell(&rig, 1, "used", NULL, 22);
    rig_run(&rig);
    loaded(&rig);
    rig_wait(&rig, 5000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 0);
    WISP_CLEANUP_JSON json_t *links = rig_ask(&rig, "link.get", "");
    CHECK_INT(json_array_size(json_object_get(links, "response")), 1);
}

/* Another state is opened in place of the one that is gone: what it does not tell is not there. */
TEST(opened_anew)
{
    WISP_CLEANUP_RIG struct rig rig;
    begin(&rig);
    wisp_lattice_on_state_reachable(rig.lattice, rig.now, false);
    wisp_lattice_on_state_opened(rig.lattice, rig.now);
    rig_tell(&rig, 0, "COMPONENT_echo", SPEC("echo", LINK("echo", "kv")), 11);
    rig_tell(&rig, 1, "used", "{\"k\":\"v\"}", 13);
    rig_tell(&rig, 1, "spare", "{}", 14);
    loaded(&rig);
    rig_wait(&rig, 5000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 1);
    CHECK_STR(rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL)->key, "COMPONENT_far");
    CHECK_INT(rig_count(&rig, WISP_LATTICE_COMPONENT_PUT), 0);
}

/* Acknowledged, and deleted by somebody before it was told: the state never tells of it. */
TEST(acknowledged_and_gone)
{
    WISP_CLEANUP_RIG struct rig rig;
    begin(&rig);
    rig.is_held[WISP_LATTICE_STATE_WRITE] = true;
    rig_send(&rig, "config.put.brief", "{}");
    struct wisp_lattice_done done = {.revision = 40};
    rig_done(&rig, rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL), &done);
    rig_run(&rig);
    lose_bus(&rig);
    find_state(&rig);
    loaded(&rig);
    rig_wait(&rig, 5000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 0);
    CHECK_ANSWER(&rig, "config.get.brief", "", "{'success':true,'message':'Configuration not found'}");
}

TEST(cannot_write_yet)
{
    WISP_CLEANUP_RIG struct rig rig;
    begin(&rig);
    rig.is_held[WISP_LATTICE_STATE_WRITE] = true;
    rig_send(&rig, "component.scale.{H}", "{'component_ref':'x/two:1','component_id':'two','count':1}");
    rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL); /* runs all the same */
    for (int i = 0; i < 5; i++) {
        rig_wait(&rig, 31000);
        rig_fail(&rig, rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL), WISP_ERR_OS, "disk is full");
    }
    rig.is_held[WISP_LATTICE_STATE_WRITE] = false;
    rig_wait(&rig, 31000);
    WISP_CLEANUP_JSON json_t *spec = rig_stored(&rig, 0, "COMPONENT_two");
    CHECK_STR(wisp_json_str(spec, "url"), "x/two:1");
}

TEST(nonsense)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    static const char *const values[] = {"",
                                         "[]",
                                         "{\"links\":7}",
                                         "{\"links\":[7,{},{\"source_id\":\"other\"}]}",
                                         "\"\\u0000\"",
                                         "{\"a\":{\"b\":[]}}",
                                         "nul"};
    static const char *const keys[] = {"COMPONENT_a", "COMPONENT_", "CLAIMS_x", "LINKDEF_y", "CLAIMS_", "", "a"};
    uint64_t revision = 0;
    for (size_t i = 0; i < WISP_COUNT(values); i++)
        for (size_t k = 0; k < WISP_COUNT(keys); k++)
            for (int bucket = -1; bucket < 3; bucket++) rig_tell(&rig, bucket, keys[k], values[i], ++revision);
    rig_run(&rig);
    /* an unreadable spec is overwritten by the next change */
    CHECK_ANSWER(&rig, "link.get", "", "{'success':true,'message':'','response':[]}");
    rig_free(&rig);
    rig_new(&rig, NULL);
    rig.revision = 1;
    json_object_set_new(rig.buckets[0], "COMPONENT_a", json_pack("[s,i]", "garbage", 1));
    rig_tell(&rig, 0, "COMPONENT_a", "garbage", 1);
    CHECK_ANSWER(&rig, "link.put",
                 "{'source_id':'a','target':'b','wit_namespace':'c','wit_package':'d','interfaces':['e']}",
                 "{'success':true,'message':'successfully set link'}");
}

TEST(bounded)
{
    struct wisp_lattice_options options = {.configs_max = 3, .links_max = 3, .seed = 1, .keys_from_seed = true};
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, &options);
    for (int i = 0; i < 10; i++) {
        char key[32];
        snprintf(key, sizeof key, "COMPONENT_c%d", i);
        rig_tell(&rig, 0, key, "{}", (uint64_t)i + 1);
        rig_tell(&rig, 1, key, "{}", (uint64_t)i + 1);
    }
    rig_tell(&rig, 0, "COMPONENT_c0",
             "{\"links\":[" LINK("c0", "a") "," LINK("c0", "b") "," LINK("c0", "c") "," LINK("c0", "d") "]}", 50);
    rig_run(&rig);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_LOG), 2);
    WISP_CLEANUP_JSON json_t *links = rig_ask(&rig, "link.get", "");
    CHECK_INT(json_array_size(json_object_get(links, "response")), 3);
}
