/* SPDX-License-Identifier: Apache-2.0 */
#include "lattice/rig.h"

#include <stdlib.h>

#define SCALE "component.scale.{H}"
#define ACK "{'success':true,'message':''}"

static void start_echo(struct rig *rig)
{
    CHECK_ANSWER(rig, SCALE, "{'component_ref':'x/echo:1','component_id':'echo','count':10}", ACK);
    rig_clear(rig);
}

TEST(first_start)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.claims = json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:[s,s],s:i}", "token", "a.b.c", "issuer", "AISS", "subject",
                           "MSUB", "name", "Echo", "version", "0.1.0", "revision", 3, "call_alias", "al", "tags", "t1",
                           "t2", "expires_at", 1900000000);
    CHECK_ANSWER(&rig, SCALE,
                 "{'component_ref':'x/echo:1','component_id':'echo','count':10,'annotations':{'a':'b'},'host_id':''}",
                 ACK);
    CHECK_STR(rig_take(&rig, WISP_LATTICE_FETCH, NULL)->reference, "x/echo:1");
    struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_STR(put->component.id, "echo");
    CHECK_STR(put->component.reference, "x/echo:1");
    CHECK_STR(put->component.path, "/cache/artifact");
    CHECK_INT(put->component.instances_max, 10);
    CHECK(put->component.generation > 0);
    CHECK_EVENT(&rig, "component_scaled",
                "{'annotations':{'a':'b'},'host_id':'{H}','image_ref':'x/echo:1','max_instances':10,"
                "'component_id':'echo','public_key':'MSUB','claims':{'call_alias':'al','issuer':'AISS',"
                "'tags':['t1','t2'],'name':'Echo','version':'0.1.0','revision':'3','not_before_human':'never',"
                "'expires_human':'1900000000'}}");
    CHECK(!rig_has_event(&rig, "component_scaled"));
    rig_wait(&rig, 10);
    WISP_CLEANUP_JSON json_t *spec = rig_stored(&rig, 0, "COMPONENT_echo");
    CHECK_JSON(&rig, spec, "{'url':'x/echo:1','links':[]}");
    WISP_CLEANUP_JSON json_t *inventory = wisp_lattice_inventory(rig.lattice, rig.now);
    CHECK_JSON(&rig, json_object_get(inventory, "components"),
               "[{'id':'echo','image_ref':'x/echo:1','name':'Echo','annotations':{'a':'b'},'revision':3,"
               "'max_instances':10}]");
    WISP_CLEANUP_JSON json_t *answer = rig_ask(&rig, "host.get.{H}", "");
    CHECK_JSON(
        &rig,
        json_object_get(json_array_get(json_object_get(json_object_get(answer, "response"), "components"), 0), "wisp"),
        "{'digest':'x/echo:1','config':[]}");
    CHECK_ANSWER(&rig, "claims.get", "",
                 "{'success':true,'message':'','response':[{'issuer':'AISS','iss':'AISS','revision':'3','rev':'3',"
                 "'subject':'MSUB','sub':'MSUB','name':'Echo','version':'0.1.0','call_alias':'al','tags':'t1,t2'}]}");
}

TEST(scale_running)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    start_echo(&rig);
    CHECK_ANSWER(&rig, SCALE, "{'component_ref':'x/echo:1','component_id':'echo','count':4294967295}", ACK);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_FETCH), 0);
    struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_INT(put->component.instances_max, UINT32_MAX);
    CHECK_INT(put->component.generation, 1);
    CHECK_STR(put->component.path, "/cache/artifact");
    CHECK_EVENT(&rig, "component_scaled",
                "{'annotations':{},'host_id':'{H}','image_ref':'x/echo:1','max_instances':4294967295,"
                "'component_id':'echo'}");
    rig_clear(&rig);
    /* the same again: told, but nothing to do */
    CHECK_ANSWER(&rig, SCALE, "{'component_ref':'x/echo:1','component_id':'echo','count':4294967295}", ACK);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_COMPONENT_PUT), 0);
    CHECK(rig_has_event(&rig, "component_scaled"));
    /* another image without leave to update */
    rig_clear(&rig);
    WISP_CLEANUP_JSON json_t *warned =
        rig_ask(&rig, SCALE, "{'component_ref':'x/echo:2','component_id':'echo','count':3}");
    CHECK_HAS(json_string_value(json_object_get(warned, "message")), "runs from `x/echo:1`, not `x/echo:2`");
    CHECK_STR(rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL)->component.reference, "x/echo:1");
}

TEST(scale_and_update)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    start_echo(&rig);
    CHECK_ANSWER(&rig, SCALE, "{'component_ref':'x/echo:2','component_id':'echo','count':2,'allow_update':true}", ACK);
    CHECK_INT(rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL)->component.instances_max, 2);
    struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_STR(put->component.reference, "x/echo:2");
    CHECK_INT(put->component.generation, 2);
    CHECK_INT(put->component.instances_max, 2);
}

TEST(stop)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    start_echo(&rig);
    CHECK_ANSWER(&rig, SCALE, "{'component_id':'echo'}", ACK);
    CHECK_STR(rig_take(&rig, WISP_LATTICE_COMPONENT_REMOVE, NULL)->component.id, "echo");
    CHECK_EVENT(&rig, "component_scaled",
                "{'annotations':{},'host_id':'{H}','image_ref':'x/echo:1','max_instances':0,'component_id':'echo'}");
    WISP_CLEANUP_JSON json_t *inventory = wisp_lattice_inventory(rig.lattice, rig.now);
    CHECK_JSON(&rig, json_object_get(inventory, "components"), "[]");
    /* what does not run is told as stopped, too */
    CHECK_ANSWER(&rig, SCALE, "{'component_ref':'x/y:1','component_id':'nobody','count':0}", ACK);
    CHECK_EVENT(&rig, "component_scaled",
                "{'annotations':{},'host_id':'{H}','image_ref':'x/y:1','max_instances':0,'component_id':'nobody'}");
}

TEST(update)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    CHECK_ANSWER(&rig, "component.update.{H}", "{'component_id':'echo','new_component_ref':'x/echo:2'}",
                 "{'success':false,'message':'component echo not found'}");
    start_echo(&rig);
    CHECK_ANSWER(&rig, "component.update.{H}", "{'component_id':'echo','new_component_ref':'x/echo:1'}",
                 "{'success':true,'message':'component echo already updated to x/echo:1'}");
    CHECK_ANSWER(&rig, "component.update.{H}", "{'component_id':'echo','new_component_ref':'x/echo:2'}",
                 "{'success':true,'message':'component echo updating from x/echo:1 to x/echo:2'}");
    CHECK_EVENT(&rig, "component_scaled",
                "{'annotations':{},'host_id':'{H}','image_ref':'x/echo:2','max_instances':10,'component_id':'echo'}");
    CHECK_EVENT(&rig, "component_scaled",
                "{'annotations':{},'host_id':'{H}','image_ref':'x/echo:2','max_instances':0,'component_id':'echo'}");
    rig_clear(&rig);
    /* the same bytes under another name: no new generation */
    rig.digest = "x/echo:2";
    rig_send(&rig, "component.update.{H}", "{'component_id':'echo','new_component_ref':'x/echo:3'}");
    struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_INT(put->component.generation, 2);
    CHECK_STR(put->component.reference, "x/echo:3");
}

TEST(failures)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.is_held[WISP_LATTICE_FETCH] = true;
    rig_send(&rig, SCALE, "{'component_ref':'x/echo:1','component_id':'echo','count':1}");
    rig_fail(&rig, rig_take(&rig, WISP_LATTICE_FETCH, NULL), WISP_ERR_NOT_FOUND, "no such image");
    CHECK_EVENT(&rig, "component_scale_failed",
                "{'annotations':{},'host_id':'{H}','image_ref':'x/echo:1','component_id':'echo','max_instances':1,"
                "'error':'no such image'}");
    rig.is_held[WISP_LATTICE_FETCH] = false;
    rig.is_held[WISP_LATTICE_COMPONENT_PUT] = true;
    rig_send(&rig, SCALE, "{'component_ref':'x/echo:1','component_id':'echo','count':1}");
    rig_fail(&rig, rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL), WISP_ERR_INVALID, "no component");
    CHECK(rig_has_event(&rig, "component_scale_failed"));
    CHECK_ANSWER(&rig, SCALE, "{'component_id':'echo','count':1}",
                 "{'success':false,'message':'component_ref is empty and `echo` does not run here'}");
    WISP_CLEANUP_JSON json_t *bad = rig_ask(&rig, SCALE, "{'component_ref':'x','component_id':'a b','count':1}");
    CHECK(json_is_false(json_object_get(bad, "success")));
    WISP_CLEANUP_JSON json_t *many =
        rig_ask(&rig, SCALE, "{'component_ref':'x','component_id':'a','count':4294967296}");
    CHECK_HAS(json_string_value(json_object_get(many, "message")), "field `count` is not a number");
}

TEST(missing_config)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_send(&rig, SCALE, "{'component_ref':'x/echo:1','component_id':'echo','count':1,'config':['a']}");
    CHECK(!rig_has_event(&rig, "component_scale_failed"));
    rig_wait(&rig, 1500);
    rig_tell(&rig, 1, "a", "{\"k\":\"v\"}", 9); /* it was only late */
    rig_wait(&rig, 200);
    CHECK_STR(rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL)->component.config[0].value, "v");
    rig_send(&rig, SCALE, "{'component_ref':'x/echo:1','component_id':'two','count':1,'config':['b']}");
    rig_wait(&rig, 3000);
    WISP_CLEANUP_JSON json_t *data = rig_event(&rig, "component_scale_failed");
    CHECK_STR(wisp_json_str(data, "error"), "config `b` not found");
}

TEST(config_watch)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "a", "{\"k\":\"1\",\"only\":\"a\"}", 1);
    rig_tell(&rig, 1, "b", "{\"k\":\"2\"}", 2);
    rig_send(&rig, SCALE, "{'component_ref':'x/echo:1','component_id':'echo','count':1,'config':['a','b']}");
    struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_INT(put->component.n_config, 2);
    CHECK_STR(put->component.config[0].key, "k");
    CHECK_STR(put->component.config[0].value, "2");
    rig_clear(&rig);
    rig_tell(&rig, 1, "b", "{\"k\":\"3\"}", 3);
    rig_run(&rig);
    put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_STR(put->component.config[0].value, "3");
    CHECK_INT(put->component.generation, 1); /* no restart */
    CHECK(!rig_has_event(&rig, "component_scaled"));
    rig_tell(&rig, 1, "b", "{\"k\":\"3\"}", 4);
    rig_tell(&rig, 1, "b", "[]", 5); /* nonsense: the old value stays */
    rig_run(&rig);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_COMPONENT_PUT), 0);
    rig_tell(&rig, 1, "b", NULL, 6); /* deleted: as if empty */
    rig_run(&rig);
    CHECK_STR(rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL)->component.config[0].value, "1");
}

TEST(changes_while_busy)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "a", "{\"k\":\"0\"}", 1);
    rig.is_held[WISP_LATTICE_COMPONENT_PUT] = true;
    rig_send(&rig, SCALE, "{'component_ref':'x/echo:1','component_id':'echo','count':1,'config':['a']}");
    struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    for (int i = 0; i < 1000; i++) {
        char value[64];
        snprintf(value, sizeof value, "{\"k\":\"%d\"}", i);
        rig_tell(&rig, 1, "a", value, (uint64_t)i + 2);
        rig_run(&rig);
    }
    CHECK_INT(rig_count(&rig, WISP_LATTICE_COMPONENT_PUT), 0);
    rig_reply(&rig, put, "");
    put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL); /* one more, with the last value */
    CHECK_STR(put->component.config[0].value, "999");
    rig_fail(&rig, put, WISP_ERR_UNAVAILABLE, "not now"); /* tried again */
    rig_wait(&rig, 1000);
    put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_STR(put->component.config[0].value, "999");
    rig_reply(&rig, put, "");
    rig_wait(&rig, 60000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_COMPONENT_PUT), 0);
}

TEST(links)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(
        &rig, 0, "COMPONENT_echo",
        "{\"url\":\"\",\"links\":[{\"source_id\":\"echo\",\"target\":\"kv\",\"name\":\"default\",\"wit_namespace\":"
        "\"wasi\",\"wit_package\":\"keyvalue\",\"interfaces\":[\"store\",\"atomics\"]}]}",
        1);
    rig_send(&rig, SCALE, "{'component_ref':'x/echo:1','component_id':'echo','count':1}");
    struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_INT(put->component.n_links, 2);
    CHECK_STR(put->component.links[1].interface, "wasi:keyvalue/atomics");
    CHECK_STR(put->component.links[1].target, "kv");
    CHECK_STR(put->component.links[1].link_name, "default");
    rig_tell(&rig, 0, "COMPONENT_echo", "{\"url\":\"\",\"links\":[]}", 2);
    rig_run(&rig);
    CHECK_INT(rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL)->component.n_links, 0);
    rig_tell(&rig, 0, "COMPONENT_other", "{\"url\":\"\",\"links\":[]}", 3);
    rig_run(&rig);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_COMPONENT_PUT), 0);
}

TEST(limits)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "a", "{\"wisp.max-memory\":\"64M\",\"wisp.timeout\":\"1s\",\"wisp.queue\":\"7\"}", 1);
    rig_send(&rig, SCALE,
             "{'component_ref':'x/echo:1','component_id':'echo','count':1,'config':['a'],"
             "'annotations':{'wisp.timeout':'250ms','wisp.max-body':'1K'}}");
    struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_INT(put->component.memory_bytes_max, 64 << 20);
    CHECK_INT(put->component.timeout_ms, 250);
    CHECK_INT(put->component.queue_max, 7);
    CHECK_INT(put->component.body_bytes_max, 1024);
    rig_send(&rig, SCALE,
             "{'component_ref':'x/echo:1','component_id':'two','count':1,'annotations':{'wisp.queue':'lots'}}");
    WISP_CLEANUP_JSON json_t *data = rig_event(&rig, "component_scale_failed");
    CHECK_HAS(json_string_value(json_object_get(data, "error")), "wisp.queue");
}

TEST(one_after_another)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.is_held[WISP_LATTICE_FETCH] = true;
    rig_send(&rig, SCALE, "{'component_ref':'x/echo:1','component_id':'echo','count':1}");
    for (int i = 0; i < 63; i++)
        CHECK_ANSWER(&rig, SCALE,
                     i % 2 ? "{'component_ref':'x/echo:1','component_id':'echo','count':5}"
                           : "{'component_ref':'x/echo:1','component_id':'echo','count':0}",
                     ACK);
    WISP_CLEANUP_JSON json_t *refusal = rig_ask(&rig, SCALE, "{'component_id':'echo','count':2}");
    CHECK_HAS(rig_print(&rig, refusal), "too many commands");
    struct wisp_lattice_action *fetch = rig_take(&rig, WISP_LATTICE_FETCH, NULL);
    rig.is_held[WISP_LATTICE_FETCH] = false;
    rig_perform(&rig, fetch);
    rig_run(&rig);
    WISP_CLEANUP_JSON json_t *inventory = wisp_lattice_inventory(rig.lattice, rig.now);
    CHECK_JSON(&rig, json_object_get(inventory, "components"), "[]"); /* the last one said 0 */
    CHECK_INT(rig_count(&rig, WISP_LATTICE_COMPONENT_REMOVE), 32);
}

TEST(limit_of_components)
{
    struct wisp_lattice_options options = {.components_max = 2, .seed = 4, .keys_from_seed = true};
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, &options);
    CHECK_ANSWER(&rig, SCALE, "{'component_ref':'x','component_id':'a','count':1}", ACK);
    CHECK_ANSWER(&rig, SCALE, "{'component_ref':'x','component_id':'b','count':1}", ACK);
    CHECK_ANSWER(&rig, SCALE, "{'component_ref':'x','component_id':'c','count':1}",
                 "{'success':false,'message':'this host has its limit of 2 components'}");
    CHECK_ANSWER(&rig, SCALE, "{'component_ref':'x','component_id':'a','count':0}", ACK);
    CHECK_ANSWER(&rig, SCALE, "{'component_ref':'x','component_id':'c','count':1}", ACK);
}

TEST(save_and_restore)
{
    WISP_CLEANUP_RIG struct rig rig, again;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "a", "{}", 1);
    rig_send(&rig, SCALE,
             "{'component_ref':'x/echo:1','component_id':'echo','count':3,'config':['a'],'annotations':{'n':'m'}}");
    rig_wait(&rig, 100);
    struct wisp_lattice_action *save = rig_take(&rig, WISP_LATTICE_SAVE, NULL);
    WISP_CLEANUP_JSON json_t *saved = rig_parse(save->payload);
    CHECK_JSON(&rig, saved,
               "{'components':[{'component_id':'echo','component_ref':'x/echo:1','count':3,'config':['a'],"
               "'annotations':{'n':'m'}}],'providers':[]}");
    struct wisp_lattice_options options = {.seed = 5, .keys_from_seed = true};
    struct wisp_err err = {0};
    rig_new_empty(&again, &options);
    CHECK_FAILS(wisp_lattice_restore(again.lattice, WISP_STR("{\"components\":7}"), &err), INVALID);
    CHECK_OK(wisp_lattice_restore(again.lattice, save->payload, &err), &err);
    again.is_held[WISP_LATTICE_FETCH] = true;
    rig_tell(&again, 1, "a", "{}", 1);
    wisp_lattice_on_state_loaded(again.lattice, again.now);
    rig_run(&again);
    rig_fail(&again, rig_take(&again, WISP_LATTICE_FETCH, NULL), WISP_ERR_UNAVAILABLE, "registry is away");
    rig_clear(&again);
    again.is_held[WISP_LATTICE_FETCH] = false;
    rig_wait(&again, 2000);
    CHECK_INT(rig_take(&again, WISP_LATTICE_COMPONENT_PUT, NULL)->component.instances_max, 3);
    WISP_CLEANUP_JSON json_t *resaved = rig_parse(rig_take(&again, WISP_LATTICE_SAVE, NULL)->payload);
    CHECK(json_equal(saved, resaved));
    rig_wait(&again, 100000);
    CHECK_INT(rig_count(&again, WISP_LATTICE_FETCH), 1);
}

/* Whoever was told that it runs finds it running again, whenever this process dies. */
TEST(saved_before_it_is_told)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    for (int count = 3; count >= 0; count -= 3) {
        char request[100];
        snprintf(request, sizeof request, "{'component_ref':'x','component_id':'a','count':%d}", count);
        rig_clear(&rig);
        rig_send(&rig, SCALE, request);
        rig_wait(&rig, 100);
        const struct wisp_lattice_action *saved = NULL, *told = NULL;
        for (size_t i = 0; i < rig.n_actions && !told; i++) {
            const struct wisp_lattice_action *action = rig.actions[i];
            if (action->kind == WISP_LATTICE_SAVE) saved = action;
            if (action->kind == WISP_LATTICE_PUBLISH &&
                wisp_str_ends_with(action->subject, WISP_STR(".component_scaled")))
                told = action;
        }
        CHECK(saved && told);
        WISP_CLEANUP_JSON json_t *json = rig_parse(saved->payload);
        CHECK_INT(json_array_size(json_object_get(json, "components")), count > 0);
    }
}

TEST(save_and_restore_labels)
{
    struct wisp_lattice_label labels[] = {{WISP_STR("zone"), WISP_STR("a")}, {WISP_STR("disk"), WISP_STR("ssd")}};
    struct wisp_lattice_options options = {.labels = labels, .n_labels = 2, .seed = 5, .keys_from_seed = true};
    WISP_CLEANUP_RIG struct rig rig, again;
    rig_new(&rig, &options);
    rig_send(&rig, "label.put.{H}", "{'key':'zone','value':'b'}");
    rig_send(&rig, "label.put.{H}", "{'key':'rack','value':'7'}");
    rig_send(&rig, "label.put.{H}", "{'key':'brief','value':'x'}");
    rig_send(&rig, "label.del.{H}", "{'key':'disk'}");
    rig_send(&rig, "label.del.{H}", "{'key':'brief'}");
    rig_clear(&rig);
    rig_send(&rig, "host.stop.{H}", "{}");
    struct wisp_lattice_action *save = rig_take(&rig, WISP_LATTICE_SAVE, NULL);
    WISP_CLEANUP_JSON json_t *saved = rig_parse(save->payload);
    CHECK_JSON(&rig, saved, "{'components':[],'providers':[],'labels':{'zone':'b','rack':'7','disk':null}}");
    struct wisp_err err = {0};
    rig_new_empty(&again, &options);
    CHECK_FAILS(wisp_lattice_restore(again.lattice,
                                     WISP_STR("{\"components\":[],\"providers\":[],\"labels\":{\"a\":7}}"), &err),
                INVALID);
    CHECK_OK(wisp_lattice_restore(again.lattice, save->payload, &err), &err);
    WISP_CLEANUP_JSON json_t *inventory = wisp_lattice_inventory(again.lattice, again.now);
    const json_t *after = json_object_get(inventory, "labels");
    CHECK_STR(wisp_json_str(after, "zone"), "b");
    CHECK_STR(wisp_json_str(after, "rack"), "7");
    CHECK(!json_object_get(after, "disk"));
    CHECK(json_equal(after, wisp_lattice_startup_labels(again.lattice)));
}
