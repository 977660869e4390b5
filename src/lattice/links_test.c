/* SPDX-License-Identifier: Apache-2.0 */
#include "lattice/rig.h"

#include <stdlib.h>

#define LINK "'source_id':'http','target':'echo','wit_namespace':'wasi','wit_package':'http'"
#define WHOLE LINK ",'name':'default','interfaces':['incoming-handler'],'source_config':[],'target_config':[]"
#define WIRE                                                                                                           \
    LINK ",'name':'default','interfaces':['incoming-handler'],'source_config':{'k':'v'},'target_config':{},"           \
         "'source_secrets':null,'target_secrets':null"
#define SET "{'success':true,'message':'successfully set link'}"
#define DELETED "{'success':true,'message':'successfully deleted link'}"

TEST(put)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    CHECK_ANSWER(&rig, "config.put.c", "{'k':'v'}", "{'success':true,'message':'successfully put config'}");
    CHECK_ANSWER(&rig, "link.put", "{" LINK ",'interfaces':['incoming-handler'],'source_config':['c']}", SET);
    CHECK_EVENT(&rig, "linkdef_set",
                "{" LINK ",'name':'default','interfaces':['incoming-handler'],'source_config':['c'],"
                "'target_config':[]}");
    static const char *const subjects[] = {"wasmbus.rpc.default.http.linkdefs.put",
                                           "wasmbus.rpc.default.echo.linkdefs.put"};
    for (size_t i = 0; i < 2; i++) {
        WISP_CLEANUP_JSON json_t *wire = rig_parse(rig_take(&rig, WISP_LATTICE_PUBLISH, subjects[i])->payload);
        CHECK_JSON(&rig, wire, "{" WIRE "}");
    }
    WISP_CLEANUP_JSON json_t *spec = rig_stored(&rig, 0, "COMPONENT_http");
    CHECK_JSON(&rig, spec,
               "{'url':'','links':[{" LINK ",'name':'default','interfaces':['incoming-handler'],'source_config':['c'],"
               "'target_config':[]}]}");
    CHECK_ANSWER(&rig, "link.get", "",
                 "{'success':true,'message':'','response':[{" LINK
                 ",'name':'default','interfaces':['incoming-handler'],'source_config':['c'],'target_config':[]}]}");
    /* the same link with other settings replaces it */
    CHECK_ANSWER(&rig, "link.put", "{" WHOLE "}", SET);
    CHECK_ANSWER(&rig, "link.get", "", "{'success':true,'message':'','response':[{" WHOLE "}]}");
}

TEST(conflict)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    CHECK_ANSWER(&rig, "link.put", "{" WHOLE "}", SET);
    rig_clear(&rig);
    const char *other = "{'source_id':'http','target':'two','wit_namespace':'wasi','wit_package':'http',"
                        "'interfaces':['outgoing-handler','incoming-handler']}";
    WISP_CLEANUP_JSON json_t *refusal = rig_ask(&rig, "link.put", other);
    CHECK_HAS(rig_print(&rig, refusal), "goes to `echo` already");
    WISP_CLEANUP_JSON json_t *data = rig_event(&rig, "linkdef_set_failed");
    CHECK_STR(wisp_json_str(data, "target"), "two");
    CHECK(wisp_json_str(data, "error").len);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 0);
    /* no interface in common, or another name */
    CHECK_ANSWER(&rig, "link.put",
                 "{'source_id':'http','target':'two','wit_namespace':'wasi','wit_package':'http',"
                 "'interfaces':['types']}",
                 SET);
    CHECK_ANSWER(&rig, "link.put",
                 "{'source_id':'http','target':'two','name':'b','wit_namespace':'wasi','wit_package':'http',"
                 "'interfaces':['incoming-handler']}",
                 SET);
}

TEST(missing_config)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    const char *reply =
        rig_send(&rig, "link.put", "{" LINK ",'interfaces':['incoming-handler'],'target_config':['late']}");
    CHECK_INT(rig.n_actions, 0);
    rig_wait(&rig, 300);
    rig_tell(&rig, 1, "late", "{}", 1);
    rig_wait(&rig, 100);
    WISP_CLEANUP_JSON json_t *envelope = rig_reply_to(&rig, reply);
    CHECK_JSON(&rig, envelope, SET);
    reply = rig_send(&rig, "link.put", "{" LINK ",'interfaces':['incoming-handler'],'target_config':['SECRET_x']}");
    rig_wait(&rig, 1200);
    WISP_CLEANUP_JSON json_t *refusal = rig_reply_to(&rig, reply);
    CHECK_JSON(&rig, refusal, "{'success':false,'message':'Secret reference `SECRET_x` not found'}");
    CHECK(rig_has_event(&rig, "linkdef_set_failed"));
}

TEST(delete)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    CHECK_ANSWER(&rig, "link.put", "{" WHOLE "}", SET);
    rig_clear(&rig);
    CHECK_ANSWER(&rig, "link.del", "{'source_id':'http','name':'default','wit_namespace':'wasi','wit_package':'http'}",
                 DELETED);
    CHECK_EVENT(&rig, "linkdef_deleted", "{" LINK ",'name':'default','interfaces':['incoming-handler']}");
    WISP_CLEANUP_JSON json_t *wire =
        rig_parse(rig_take(&rig, WISP_LATTICE_PUBLISH, "wasmbus.rpc.default.http.linkdefs.del")->payload);
    CHECK_JSON(&rig, wire,
               "{" LINK ",'name':'default','interfaces':['incoming-handler'],'source_config':{},'target_config':{},"
               "'source_secrets':null,'target_secrets':null}");
    rig_take(&rig, WISP_LATTICE_PUBLISH, "wasmbus.rpc.default.echo.linkdefs.del");
    CHECK_ANSWER(&rig, "link.get", "", "{'success':true,'message':'','response':[]}");
    /* again: still said, with what is known */
    CHECK_ANSWER(&rig, "link.del", "{'source_id':'http','wit_namespace':'wasi','wit_package':'http'}", DELETED);
    CHECK_EVENT(&rig, "linkdef_deleted",
                "{'source_id':'http','name':'default','wit_namespace':'wasi','wit_package':'http'}");
    rig_clear(&rig);
    const char *reply = rig_send(&rig, "link.del", "{'source_id':'nobody','wit_namespace':'a','wit_package':'b'}");
    rig_wait(&rig, 250);
    WISP_CLEANUP_JSON json_t *envelope = rig_reply_to(&rig, reply);
    CHECK_JSON(&rig, envelope, "{'success':true,'message':'successfully deleted link (spec doesn\\u0027t exist)'}");
    CHECK(!rig_has_event(&rig, "linkdef_deleted"));
}

/* Another host writes between our look and our write. */
TEST(race)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.is_held[WISP_LATTICE_STATE_WRITE] = true;
    const char *reply = rig_send(&rig, "link.put", "{" WHOLE "}");
    struct wisp_lattice_action *write = rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL);
    CHECK_INT(write->expected, 0);
    rig_fail(&rig, write, WISP_ERR_EXISTS, "revision is 1");
    rig_tell(&rig, 0, "COMPONENT_http",
             rig_text(&rig, "{'url':'x','links':[{'source_id':'http','target':'o','name':'o','wit_namespace':'a',"
                            "'wit_package':'b','interfaces':['c'],'source_config':[],'target_config':[]}],'more':1}"),
             1);
    rig_run(&rig);
    write = rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL);
    CHECK_INT(write->expected, 1);
    WISP_CLEANUP_JSON json_t *value = rig_parse(write->value);
    CHECK_INT(json_array_size(json_object_get(value, "links")), 2);
    CHECK_STR(wisp_json_str(value, "url"), "x");
    CHECK_INT(wisp_json_u64(value, "more", 0), 1); /* what we don't know stays */
    struct wisp_lattice_done done = {.revision = 2};
    rig_done(&rig, write, &done);
    rig_run(&rig);
    WISP_CLEANUP_JSON json_t *envelope = rig_reply_to(&rig, reply);
    CHECK_JSON(&rig, envelope, SET);
}

TEST(gives_up)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.is_held[WISP_LATTICE_STATE_WRITE] = true;
    const char *reply = rig_send(&rig, "link.put", "{" WHOLE "}");
    size_t n_writes = 0;
    for (struct wisp_lattice_action *write; (write = rig_find(&rig, WISP_LATTICE_STATE_WRITE, NULL)); n_writes++) {
        rig_fail(&rig, write, WISP_ERR_EXISTS, "always somebody else");
        rig_wait(&rig, 400);
    }
    CHECK(n_writes > 2 && n_writes < 20);
    WISP_CLEANUP_JSON json_t *refusal = rig_reply_to(&rig, reply);
    CHECK_HAS(rig_print(&rig, refusal), "could not be changed in time");
    reply = rig_send(&rig, "link.put", "{" WHOLE "}");
    rig_fail(&rig, rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL), WISP_ERR_UNAVAILABLE, "no state");
    WISP_CLEANUP_JSON json_t *failed = rig_reply_to(&rig, reply);
    CHECK_HAS(rig_print(&rig, failed), "could not be written to the lattice's state: no state");
}

/* What waits for the same key goes together, and none is lost. */
TEST(together)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.is_held[WISP_LATTICE_STATE_WRITE] = true;
    const char *replies[100];
    for (int i = 0; i < 100; i++)
        replies[i] = rig_send(&rig, "link.put",
                              wisp_arena_printf(&rig.arena,
                                                "{'source_id':'s','target':'t%d','name':'n%d','wit_namespace':'a',"
                                                "'wit_package':'b','interfaces':['c']}",
                                                i, i));
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 1);
    rig.is_held[WISP_LATTICE_STATE_WRITE] = false;
    rig_perform(&rig, rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL));
    rig_run(&rig);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_STATE_WRITE), 1);
    for (int i = 0; i < 100; i++) {
        WISP_CLEANUP_JSON json_t *envelope = rig_reply_to(&rig, replies[i]);
        CHECK_JSON(&rig, envelope, SET);
    }
    WISP_CLEANUP_JSON json_t *spec = rig_stored(&rig, 0, "COMPONENT_s");
    CHECK_INT(json_array_size(json_object_get(spec, "links")), 100);
}

TEST(too_large_together)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.is_held[WISP_LATTICE_STATE_WRITE] = true;
    const char *replies[3];
    for (int i = 0; i < 3; i++)
        replies[i] = rig_send(&rig, "link.put",
                              wisp_arena_printf(&rig.arena,
                                                "{'source_id':'s','target':'t','name':'n%d','wit_namespace':'a',"
                                                "'wit_package':'b','interfaces':['c']}",
                                                i));
    rig_reply(&rig, rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL), "");
    rig_fail(&rig, rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL), WISP_ERR_LIMIT, "too large");
    rig_wait(&rig, 100);
    struct wisp_lattice_done done = {.revision = 2};
    rig_done(&rig, rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL), &done); /* one of them fits */
    rig_run(&rig);
    rig_fail(&rig, rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL), WISP_ERR_LIMIT, "too large");
    for (int i = 0; i < 3; i++) {
        WISP_CLEANUP_JSON json_t *envelope = rig_reply_to(&rig, replies[i]);
        CHECK_INT(json_is_true(json_object_get(envelope, "success")), i < 2);
    }
}

TEST(config_requests)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    CHECK_ANSWER(&rig, "config.get.a", "", "{'success':true,'message':'Configuration not found'}");
    CHECK_ANSWER(&rig, "config.put.a", "{ 'k' : 'v' }", "{'success':true,'message':'successfully put config'}");
    struct wisp_lattice_action *write = rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL);
    CHECK_INT(write->bucket, 1);
    CHECK_INT(write->expected, WISP_LATTICE_ANY_REVISION);
    CHECK_STR(write->value, "{ \"k\" : \"v\" }"); /* as it came */
    CHECK_EVENT(&rig, "config_set", "{'config_name':'a'}");
    CHECK_ANSWER(&rig, "config.get.a", "", "{'success':true,'message':'','response':{'k':'v'}}");
    CHECK_ANSWER(&rig, "config.del.a", "", "{'success':true,'message':'successfully deleted config'}");
    CHECK_EVENT(&rig, "config_deleted", "{'config_name':'a'}");
    CHECK_ANSWER(&rig, "config.get.a", "", "{'success':true,'message':'Configuration not found'}");
    WISP_CLEANUP_JSON json_t *refusal = rig_ask(&rig, "config.put.a", "{'k':7}");
    CHECK_HAS(rig_print(&rig, refusal), "failed to deserialize config: not a map of strings");
    WISP_CLEANUP_JSON json_t *named = rig_ask(&rig, "config.put.a b", "{}");
    CHECK(json_is_false(json_object_get(named, "success")));
}

/* Values from before our own write are still on their way when it is acknowledged. */
TEST(late_echo)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.is_held[WISP_LATTICE_STATE_WRITE] = true;
    rig_send(&rig, "config.put.a", "{'k':'new'}");
    struct wisp_lattice_done done = {.revision = 10};
    rig_done(&rig, rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL), &done);
    rig_tell(&rig, 1, "a", "{\"k\":\"old\"}", 8);
    rig_run(&rig);
    CHECK_ANSWER(&rig, "config.get.a", "", "{'success':true,'message':'','response':{'k':'new'}}");
    rig_tell(&rig, 1, "a", "{\"k\":\"new\"}", 10);
    rig_tell(&rig, 1, "a", "{\"k\":\"newer\"}", 11);
    CHECK_ANSWER(&rig, "config.get.a", "", "{'success':true,'message':'','response':{'k':'newer'}}");
    rig_send(&rig, "config.del.a", "");
    done.revision = 20;
    rig_done(&rig, rig_take(&rig, WISP_LATTICE_STATE_WRITE, NULL), &done);
    rig_tell(&rig, 1, "a", "{\"k\":\"older\"}", 15);
    rig_run(&rig);
    CHECK_ANSWER(&rig, "config.get.a", "", "{'success':true,'message':'Configuration not found'}");
    rig_tell(&rig, 1, "a", NULL, 20);
    rig_tell(&rig, 1, "a", "{\"k\":\"21\"}", 21);
    CHECK_ANSWER(&rig, "config.get.a", "", "{'success':true,'message':'','response':{'k':'21'}}");
}

TEST(many)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    enum { N = 10000 };
    for (int i = 0; i < N; i++) {
        char key[64], value[256];
        snprintf(key, sizeof key, "COMPONENT_c%d", i);
        snprintf(value, sizeof value,
                 "{\"url\":\"\",\"links\":[{\"source_id\":\"c%d\",\"target\":\"kv\",\"name\":\"default\","
                 "\"wit_namespace\":\"a\",\"wit_package\":\"b\",\"interfaces\":[\"c\"]}]}",
                 i);
        rig_tell(&rig, 0, key, value, (uint64_t)i + 1);
        snprintf(key, sizeof key, "config%d", i);
        rig_tell(&rig, 1, key, "{\"k\":\"v\"}", (uint64_t)i + 1);
    }
    rig_run(&rig);
    CHECK_INT(rig.n_actions, 0);
    for (int i = 0; i < N; i++) {
        char key[64];
        snprintf(key, sizeof key, "COMPONENT_c%d", i);
        rig_tell(&rig, 0, key, NULL, (uint64_t)i + N + 1);
    }
    CHECK_ANSWER(&rig, "link.get", "", "{'success':true,'message':'','response':[]}");
}
