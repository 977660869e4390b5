/* SPDX-License-Identifier: Apache-2.0 */
#include "lattice/rig.h"

#include <stdlib.h>

#define START "provider.start.{H}"
#define STOP "provider.stop.{H}"
#define STARTED "{'success':true,'message':'successfully started provider'}"
#define STOPPED "{'success':true,'message':'successfully stopped provider'}"

static json_t *data_of(const struct wisp_lattice_action *action) { return rig_parse(action->provider.host_data); }

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

TEST(start)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.claims = json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:s}", "token", "a.b.c", "issuer", "AISS", "subject", "VSUB",
                           "name", "KV", "version", "0.2.0", "revision", 1, "config_schema", "{}");
    rig_tell(&rig, 1, "pc", "{\"url\":\"redis://x\"}", 1);
    rig_tell(&rig, 1, "lc", "{\"bucket\":\"b\"}", 2);
    tell_link(&rig, "comp", "kv", "\"lc\"", 3);
    CHECK_ANSWER(&rig, START,
                 "{'provider_ref':'oci://x/kv:1','provider_id':'kv','config':['pc'],'annotations':{'a':'b'}}", STARTED);
    CHECK(rig_take(&rig, WISP_LATTICE_FETCH, NULL)->is_provider);
    struct wisp_lattice_action *started = rig_take(&rig, WISP_LATTICE_PROVIDER_START, NULL);
    CHECK_STR(started->provider.id, "kv");
    CHECK_STR(started->provider.path, "/cache/artifact");
    CHECK_INT(started->provider.xkey.len, 56);
    WISP_CLEANUP_JSON json_t *data = data_of(started);
    CHECK_STR(wisp_json_str(data, "host_id"), wisp_lattice_host_id(rig.lattice));
    CHECK_STR(wisp_json_str(data, "provider_key"), "kv");
    CHECK_STR(wisp_json_str(data, "lattice_rpc_prefix"), "default");
    CHECK_STR(wisp_json_str(data, "lattice_rpc_url"), "nats://127.0.0.1:4222");
    CHECK(!json_object_get(data, "wisp_rpc_socket")); /* the host has none */
    CHECK_INT(wisp_json_str(data, "provider_xkey_private_key").len, 58);
    CHECK_INT(wisp_json_u64(data, "default_rpc_timeout_ms", 0), 2000);
    CHECK_JSON(&rig, json_object_get(data, "config"), "{'url':'redis://x'}");
    CHECK_JSON(&rig, json_object_get(data, "link_definitions"),
               "[{'source_id':'comp','target':'kv','name':'default','wit_namespace':'wasi','wit_package':'keyvalue',"
               "'interfaces':['store'],'source_config':{},'target_config':{'bucket':'b'},'source_secrets':null,"
               "'target_secrets':null}]");
    CHECK_JSON(&rig, json_object_get(data, "otel_config"),
               "{'enable_observability':false,'protocol':'Http','additional_ca_paths':[],'trace_level':'info'}");
    CHECK(!json_object_get(data, "wisp_spans_subject"));
    static const char *const required[] = {
        "link_name", "lattice_rpc_user_jwt", "lattice_rpc_user_seed", "env_values", "instance_id", "cluster_issuers",
        "secrets",   "host_xkey_public_key", "structured_logging",    "log_level"};
    for (size_t i = 0; i < WISP_COUNT(required); i++) CHECK(json_object_get(data, required[i]));
    CHECK_EVENT(&rig, "provider_started",
                "{'host_id':'{H}','image_ref':'oci://x/kv:1','provider_id':'kv','annotations':{'a':'b'},'claims':"
                "{'issuer':'AISS','tags':null,'name':'KV','version':'0.2.0','not_before_human':'never',"
                "'expires_human':'never'},'instance_id':'kv','public_key':'kv','link_name':'default'}");
    CHECK_STR(rig_take(&rig, WISP_LATTICE_PUBLISH, "wasmbus.rpc.default.kv.config.update")->payload,
              "{\"url\":\"redis://x\"}");
    rig_wait(&rig, 10);
    WISP_CLEANUP_JSON json_t *claims = rig_stored(&rig, 0, "CLAIMS_VSUB");
    CHECK_JSON(&rig, claims,
               "{'issuer':'AISS','name':'KV','revision':'1','subject':'VSUB','version':'0.2.0','config_schema':'{}'}");
    WISP_CLEANUP_JSON json_t *inventory = wisp_lattice_inventory(rig.lattice, rig.now);
    CHECK_JSON(&rig, json_object_get(inventory, "providers"),
               "[{'id':'kv','image_ref':'oci://x/kv:1','name':'KV','annotations':{'a':'b'},'revision':1}]");
    CHECK_ANSWER(&rig, START, "{'provider_ref':'x/kv:1','provider_id':'kv'}",
                 "{'success':false,'message':'provider with that ID is already running'}");
}

static const struct wisp_lattice_provider_report killed = {
    .has_run = true, .signal_number = 9, .ran_ms = 1234, .failures = 1};

static void tell_exit(struct rig *rig, const struct wisp_lattice_provider_report *report)
{
    wisp_lattice_on_provider(rig->lattice, rig->now, WISP_STR("kv"), WISP_LATTICE_PROVIDER_EXITED, report);
    rig_run(rig);
}

static void tell_news(struct rig *rig, enum wisp_lattice_provider_news news)
{
    wisp_lattice_on_provider(rig->lattice, rig->now, WISP_STR("kv"), news, NULL);
    rig_run(rig);
}

TEST(start_fails)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig.is_held[WISP_LATTICE_PROVIDER_START] = true;
    CHECK_ANSWER(&rig, START, "{'provider_ref':'x/kv:1','provider_id':'kv'}", STARTED);
    rig_fail(&rig, rig_take(&rig, WISP_LATTICE_PROVIDER_START, NULL), WISP_ERR_OS, "no such program");
    CHECK_EVENT(&rig, "provider_start_failed",
                "{'provider_ref':'x/kv:1','provider_id':'kv','host_id':'{H}','error':'no such program',"
                "'link_name':'default'}");
    CHECK_ANSWER(&rig, START, "{'provider_ref':'wasmcloud+builtin://messaging-nats','provider_id':'kv'}",
                 "{'success':false,'message':'there is no built-in provider `wasmcloud+builtin://messaging-nats`; "
                 "known: wisp://http-server'}");
    CHECK_ANSWER(&rig, START, "{'provider_ref':'x/kv:1','provider_id':'kv'}", STARTED);
}

static void start_kv(struct rig *rig)
{
    CHECK_ANSWER(rig, START, "{'provider_ref':'x/kv:1','provider_id':'kv','config':['pc']}", STARTED);
}

TEST(it_is_not_stopped_for_an_image_that_can_not_be_had)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{}", 1);
    start_kv(&rig);
    rig_clear(&rig);
    CHECK_ANSWER(&rig, STOP, "{'provider_id':'kv','replacement':'wisp://keyvalue-rediss'}",
                 "{'success':false,'message':'there is no built-in provider `wisp://keyvalue-rediss`; known: "
                 "wisp://http-server'}");
    rig.is_held[WISP_LATTICE_FETCH] = true;
    const char *reply = rig_send(&rig, STOP, "{'provider_id':'kv','replacement':'x/kv:2'}");
    struct wisp_lattice_action *fetch = rig_take(&rig, WISP_LATTICE_FETCH, NULL);
    CHECK_STR(fetch->reference, "x/kv:2");
    rig_fail(&rig, fetch, WISP_ERR_NOT_FOUND, "x/kv:2 is not in the registry");
    WISP_CLEANUP_JSON json_t *refusal = rig_reply_to(&rig, reply);
    CHECK_JSON(&rig, refusal, "{'success':false,'message':'x/kv:2 is not in the registry'}");
    CHECK_INT(rig_count(&rig, WISP_LATTICE_PROVIDER_ENDING) + rig_count(&rig, WISP_LATTICE_PROVIDER_STOP), 0);
    rig.is_held[WISP_LATTICE_FETCH] = false;
    reply = rig_send(&rig, STOP, "{'provider_id':'kv','replacement':'x/kv:3'}");
    rig_fail(&rig, rig_take(&rig, WISP_LATTICE_REQUEST, "wasmbus.rpc.default.kv.default.shutdown"), WISP_ERR_TIMEOUT,
             "no answer");
    rig_take(&rig, WISP_LATTICE_PROVIDER_STOP, NULL);
    CHECK(rig_has_event(&rig, "provider_stopped"));
    WISP_CLEANUP_JSON json_t *envelope = rig_reply_to(&rig, reply);
    CHECK_JSON(&rig, envelope, STOPPED);
}

TEST(stop)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{}", 1);
    CHECK_ANSWER(&rig, STOP, "{'provider_id':'kv'}",
                 "{'success':false,'message':'provider with that ID is not running'}");
    start_kv(&rig);
    rig_clear(&rig);
    const char *reply = rig_send(&rig, STOP, "{'provider_ref':'kv','host_id':''}");
    struct wisp_lattice_action *request =
        rig_take(&rig, WISP_LATTICE_REQUEST, "wasmbus.rpc.default.kv.default.shutdown");
    CHECK_STR(request->payload, rig_text(&rig, "{'host_id':'{H}'}"));
    CHECK_INT(request->timeout_ms, 300);
    CHECK_STR(rig_take(&rig, WISP_LATTICE_PROVIDER_ENDING, NULL)->provider.id, "kv");
    tell_exit(&rig, &(struct wisp_lattice_provider_report){.has_run = true});
    tell_news(&rig, WISP_LATTICE_PROVIDER_DUE);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_PROVIDER_RESTART_READY), 0); /* it was asked to */
    CHECK(!rig_has_event(&rig, "provider_exited"));
    rig_fail(&rig, request, WISP_ERR_TIMEOUT, "no answer");
    rig_take(&rig, WISP_LATTICE_PROVIDER_STOP, NULL);
    CHECK_EVENT(&rig, "provider_stopped",
                "{'host_id':'{H}','provider_id':'kv','annotations':{},'reason':'stop','instance_id':'kv',"
                "'public_key':'kv','link_name':'default'}");
    WISP_CLEANUP_JSON json_t *envelope = rig_reply_to(&rig, reply);
    CHECK_JSON(&rig, envelope, STOPPED);
    rig_wait(&rig, 60000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_REQUEST), 0); /* no health checks */
}

TEST(stop_while_starting)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{}", 1);
    rig.is_held[WISP_LATTICE_FETCH] = true;
    start_kv(&rig);
    struct wisp_lattice_action *fetch = rig_take(&rig, WISP_LATTICE_FETCH, NULL);
    CHECK_ANSWER(&rig, STOP, "{'provider_id':'kv'}", STOPPED);
    WISP_CLEANUP_JSON json_t *data = rig_event(&rig, "provider_start_failed");
    CHECK_STR(wisp_json_str(data, "error"), "stopped before it was started");
    rig_perform(&rig, fetch);
    rig_reply(&rig, fetch, "");
    CHECK_INT(rig_count(&rig, WISP_LATTICE_PROVIDER_START), 0);
}

TEST(health)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{}", 1);
    start_kv(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 4999);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_REQUEST), 0);
    static const struct {
        const char *answer, *event;
    } steps[] = {
        {"{'healthy':true}", "health_check_passed"},
        {"{'healthy':true,'message':'fine'}", "health_check_status"},
        {"nonsense", NULL},
        {"{'healthy':false}", "health_check_failed"},
        {"{'healthy':false}", "health_check_status"},
        {"{'healthy':true}", "health_check_passed"},
    };
    rig_wait(&rig, 1);
    for (size_t i = 0; i < WISP_COUNT(steps); i++) {
        struct wisp_lattice_action *request = rig_take(&rig, WISP_LATTICE_REQUEST, "wasmbus.rpc.default.kv.health");
        CHECK_INT(request->timeout_ms, 2000);
        rig_reply(&rig, request, steps[i].answer);
        if (steps[i].event) CHECK_EVENT(&rig, steps[i].event, "{'host_id':'{H}','provider_id':'kv'}");
        rig_wait(&rig, 30000);
    }
}

TEST(config_update)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{\"a\":\"1\"}", 1);
    start_kv(&rig);
    rig_clear(&rig);
    rig_tell(&rig, 1, "pc", "{\"a\":\"2\"}", 2);
    rig_run(&rig);
    CHECK_STR(rig_take(&rig, WISP_LATTICE_PUBLISH, "wasmbus.rpc.default.kv.config.update")->payload, "{\"a\":\"2\"}");
    CHECK_INT(rig.n_actions, 0);
}

TEST(link_delivery)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{}", 1);
    start_kv(&rig);
    struct wisp_lattice_action *start = rig_take(&rig, WISP_LATTICE_PROVIDER_START, NULL);
    const char *subject =
        wisp_arena_printf(&rig.arena, "wasmbus.rpc.default.%.*s.linkdefs.put", WISP_STR_ARG(start->provider.xkey));
    rig_wait(&rig, 5000);
    struct wisp_lattice_action *health = rig_take(&rig, WISP_LATTICE_REQUEST, "wasmbus.rpc.default.kv.health");
    /* before the first sign of life: sent, and once more then */
    tell_link(&rig, "comp", "kv", "", 2);
    rig_take(&rig, WISP_LATTICE_PUBLISH, subject);
    rig_reply(&rig, health, "{'healthy':true}");
    rig_take(&rig, WISP_LATTICE_PUBLISH, subject);
    rig_clear(&rig);
    /* the link is told before its config */
    tell_link(&rig, "comp", "kv", "\"late\"", 3);
    rig_wait(&rig, 3000);
    CHECK(!rig_find(&rig, WISP_LATTICE_PUBLISH, subject));
    rig_tell(&rig, 1, "late", "{\"x\":\"y\"}", 4);
    rig_wait(&rig, 3000);
    WISP_CLEANUP_JSON json_t *wire = rig_parse(rig_take(&rig, WISP_LATTICE_PUBLISH, subject)->payload);
    CHECK_JSON(&rig, json_object_get(wire, "target_config"), "{'x':'y'}");
    tell_link(&rig, "comp", "kv", "\"late\"", 5); /* nothing new */
    tell_link(&rig, "comp2", "other", "", 6);     /* not ours */
    rig_wait(&rig, 1000);
    CHECK(!rig_find(&rig, WISP_LATTICE_PUBLISH, subject));
    tell_link(&rig, "kv", "comp", "", 7); /* as source */
    rig_take(&rig, WISP_LATTICE_PUBLISH, subject);
}

TEST(restart)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{\"a\":\"1\"}", 1);
    start_kv(&rig);
    WISP_CLEANUP_JSON json_t *first = data_of(rig_take(&rig, WISP_LATTICE_PROVIDER_START, NULL));
    tell_link(&rig, "comp", "kv", "", 2);
    rig_tell(&rig, 1, "pc", "{\"a\":\"2\"}", 3);
    rig_run(&rig);
    rig_clear(&rig);
    static const struct wisp_str output[] = {WISP_STR_INIT("one"), WISP_STR_INIT("two")};
    struct wisp_lattice_provider_report report = killed;
    report.output = output;
    report.n_output = 2;
    report.pause_ms = 70;
    tell_exit(&rig, &report);
    CHECK_EVENT(&rig, "provider_exited",
                "{'host_id':'{H}','provider_id':'kv','signal':9,'ran_ms':1234,'failures':1,'restart_in_ms':70,"
                "'last_output':['one','two']}");
    CHECK_INT(rig_count(&rig, WISP_LATTICE_PROVIDER_RESTART_READY), 0); /* not before it is due */
    WISP_CLEANUP_JSON json_t *away = wisp_lattice_inventory(rig.lattice, rig.now);
    CHECK_JSON(&rig, json_object_get(json_array_get(json_object_get(away, "providers"), 0), "wisp"),
               "{'state':'restarting','restarts':0}");
    rig.now.now_ms += 70;
    tell_news(&rig, WISP_LATTICE_PROVIDER_DUE);
    struct wisp_lattice_action *ready = rig_take(&rig, WISP_LATTICE_PROVIDER_RESTART_READY, NULL);
    WISP_CLEANUP_JSON json_t *second = data_of(ready);
    CHECK_STR(ready->provider.id, "kv");
    CHECK_STR(ready->provider.reference, "x/kv:1");
    CHECK_STR(ready->provider.path, "/cache/artifact");
    CHECK_JSON(&rig, json_object_get(second, "config"), "{'a':'2'}");
    CHECK_INT(json_array_size(json_object_get(second, "link_definitions")), 1);
    CHECK(json_equal(json_object_get(first, "provider_xkey_private_key"),
                     json_object_get(second, "provider_xkey_private_key")));
    CHECK(!json_equal(json_object_get(first, "instance_id"), json_object_get(second, "instance_id")));
    rig_clear(&rig);
    tell_news(&rig, WISP_LATTICE_PROVIDER_UP);
    CHECK_EVENT(&rig, "provider_restarted",
                "{'host_id':'{H}','provider_id':'kv','restarts':1,'failures':1,'was_away_ms':70}");
    tell_news(&rig, WISP_LATTICE_PROVIDER_UP); /* once */
    CHECK(!rig_has_event(&rig, "provider_restarted"));
    rig_take(&rig, WISP_LATTICE_PUBLISH, "wasmbus.rpc.default.kv.config.update");
    CHECK(!rig_has_event(&rig, "provider_started"));
    wisp_lattice_on_provider(rig.lattice, rig.now, WISP_STR("nobody"), WISP_LATTICE_PROVIDER_UP, NULL);
}

TEST(failed)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{}", 1);
    start_kv(&rig);
    for (uint32_t i = 1; i < 8; i++) {
        rig_clear(&rig);
        tell_exit(&rig, &(struct wisp_lattice_provider_report){
                            .has_run = true, .exit_status = 3, .failures = i, .is_failed = i >= 5});
        CHECK(rig_has_event(&rig, "provider_exited"));
        CHECK_INT(rig_has_event(&rig, "provider_failed"), i == 5); /* told once */
        tell_news(&rig, WISP_LATTICE_PROVIDER_DUE);
        CHECK_INT(rig_count(&rig, WISP_LATTICE_PROVIDER_RESTART_READY), 1);
        if (i < 7) tell_news(&rig, WISP_LATTICE_PROVIDER_UP);
    }
    WISP_CLEANUP_JSON json_t *inventory = wisp_lattice_inventory(rig.lattice, rig.now);
    CHECK_JSON(&rig, json_object_get(json_array_get(json_object_get(inventory, "providers"), 0), "wisp"),
               "{'state':'failed','restarts':6}");
    rig_clear(&rig);
    tell_exit(&rig, &(struct wisp_lattice_provider_report){.failures = 8, .is_failed = true, .reason = "no such file"});
    CHECK_EVENT(&rig, "provider_exited",
                "{'host_id':'{H}','provider_id':'kv','reason':'no such file','ran_ms':0,'failures':8,"
                "'restart_in_ms':0,'last_output':[]}");
}

TEST(hung)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{}", 1);
    start_kv(&rig);
    rig_clear(&rig);
    static const char *const answers[] = {"{'healthy':true}", NULL, NULL, "nonsense", NULL, NULL};
    for (size_t i = 0; i < WISP_COUNT(answers); i++) {
        rig_wait(&rig, 30000);
        struct wisp_lattice_action *request = rig_take(&rig, WISP_LATTICE_REQUEST, "wasmbus.rpc.default.kv.health");
        if (answers[i])
            rig_reply(&rig, request, answers[i]);
        else
            rig_fail(&rig, request, WISP_ERR_TIMEOUT, "no answer");
    }
    CHECK_INT(rig_count(&rig, WISP_LATTICE_PROVIDER_HANG), 0);
    /* silence of a bus that is away means nothing */
    wisp_lattice_on_bus(rig.lattice, rig.now, false);
    rig_wait(&rig, 200000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_PROVIDER_HANG), 0);
    wisp_lattice_on_bus(rig.lattice, rig.now, true);
    rig_run(&rig);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(rig_count(&rig, WISP_LATTICE_PROVIDER_HANG), 0);
        rig_wait(&rig, 30000);
        rig_fail(&rig, rig_take(&rig, WISP_LATTICE_REQUEST, "wasmbus.rpc.default.kv.health"), WISP_ERR_TIMEOUT, "no");
    }
    struct wisp_lattice_action *hang = rig_take(&rig, WISP_LATTICE_PROVIDER_HANG, NULL);
    CHECK_STR(hang->provider.id, "kv");
    CHECK_STR(hang->text, "no answer to 3 health checks in a row");
    rig_clear(&rig);
    rig_wait(&rig, 100000);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_REQUEST), 0); /* nor is it asked before it is back */
    tell_exit(&rig, &killed);
    tell_news(&rig, WISP_LATTICE_PROVIDER_DUE);
    tell_news(&rig, WISP_LATTICE_PROVIDER_UP);
    rig_wait(&rig, 5000);
    rig_take(&rig, WISP_LATTICE_REQUEST, "wasmbus.rpc.default.kv.health");
}

/* Five hundred that start together are not asked together for ever, but those that are due within a second are. */
TEST(health_checks_spread)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    for (int i = 0; i < 500; i++) {
        char request[100];
        snprintf(request, sizeof request, "{'provider_ref':'x/kv:1','provider_id':'kv%d'}", i);
        rig_send(&rig, START, request);
    }
    rig_clear(&rig);
    size_t most = 0, n_busy = 0;
    for (int i = 0; i < 3000; i++) {
        rig_wait(&rig, 100);
        size_t n = rig_count(&rig, WISP_LATTICE_REQUEST);
        if (i >= 1500 && n > most) most = n;
        if (i >= 1500 && n > 0) n_busy++;
        for (struct wisp_lattice_action *request; (request = rig_find(&rig, WISP_LATTICE_REQUEST, NULL));)
            rig_reply(&rig, request, "{'healthy':true}");
        rig_clear(&rig);
    }
    CHECK(most > 0 && most < 150);
    CHECK(n_busy <= 151); /* of 150 s */
}

TEST(confinement)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{\"wisp.confine.user\":\"nobody\",\"wisp.confine.cpu\":\"2\",\"url\":\"x\"}", 1);
    CHECK_ANSWER(&rig, START,
                 "{'provider_ref':'x/kv:1','provider_id':'kv','config':['pc'],'annotations':{'wisp.confine.cpu':'1'}}",
                 STARTED);
    struct wisp_lattice_action *start = rig_take(&rig, WISP_LATTICE_PROVIDER_START, NULL);
    CHECK_JSON(&rig, start->provider.confine, "{'user':'nobody','cpu':'1'}");
    json_decref(start->provider.confine);
    WISP_CLEANUP_JSON json_t *data = data_of(start);
    CHECK_JSON(&rig, json_object_get(data, "config"), "{'url':'x'}");
    CHECK_STR(rig_take(&rig, WISP_LATTICE_PUBLISH, "wasmbus.rpc.default.kv.config.update")->payload, "{\"url\":\"x\"}");
    rig_clear(&rig);
    rig_tell(&rig, 1, "pc", "{\"wisp.confine.user\":\"somebody\",\"url\":\"x\"}", 2);
    rig_run(&rig);
    CHECK(!rig_find(&rig, WISP_LATTICE_PUBLISH, "wasmbus.rpc.default.kv.config.update"));
    CHECK_ANSWER(&rig, START,
                 "{'provider_ref':'wisp://http-server','provider_id':'http','annotations':{'wisp.confine.cpu':'1'}}",
                 STARTED);
    WISP_CLEANUP_JSON json_t *failed = rig_event(&rig, "provider_start_failed");
    CHECK_HAS(json_string_value(json_object_get(failed, "error")), "`wisp.confine.cpu`: a built-in provider");
}

TEST(http_routes)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{\"Default_Address\":\"127.0.0.1:9000\"}", 1);
    rig_tell(&rig, 1, "a", "{\"address\":\"0.0.0.0:8080\",\"Readonly_Mode\":\"true\"}", 2);
    rig_tell(
        &rig, 0, "COMPONENT_http",
        "{\"url\":\"\",\"links\":["
        "{\"source_id\":\"http\",\"target\":\"one\",\"name\":\"default\",\"wit_namespace\":\"wasi\",\"wit_package\":"
        "\"http\",\"interfaces\":[\"incoming-handler\"],\"source_config\":[\"a\"]},"
        "{\"source_id\":\"http\",\"target\":\"two\",\"name\":\"b\",\"wit_namespace\":\"wasi\",\"wit_package\":"
        "\"http\",\"interfaces\":[\"incoming-handler\"]},"
        "{\"source_id\":\"http\",\"target\":\"three\",\"name\":\"c\",\"wit_namespace\":\"wasi\",\"wit_package\":"
        "\"http\",\"interfaces\":[\"incoming-handler\"]},"
        "{\"source_id\":\"http\",\"target\":\"four\",\"name\":\"d\",\"wit_namespace\":\"wasi\",\"wit_package\":"
        "\"keyvalue\",\"interfaces\":[\"store\"]}]}",
        3);
    rig_send(&rig, START, "{'provider_ref':'wasmcloud+builtin://http-server','provider_id':'http','config':['pc']}");
    CHECK_INT(rig_count(&rig, WISP_LATTICE_FETCH) + rig_count(&rig, WISP_LATTICE_PROVIDER_START), 0);
    CHECK_EVENT(&rig, "provider_started",
                "{'host_id':'{H}','image_ref':'http-server','provider_id':'http','annotations':{}}");
    CHECK_EVENT(&rig, "health_check_passed", "{'host_id':'{H}','provider_id':'http'}");
    rig_wait(&rig, 5);
    struct wisp_lattice_action *http = rig_take(&rig, WISP_LATTICE_HTTP, NULL);
    CHECK_INT(http->n_routes, 2); /* the third wants the second's address */
    CHECK_STR(http->routes[0].component, "one");
    CHECK_STR(http->routes[0].address, "0.0.0.0:8080");
    CHECK_STR(wisp_json_str(http->routes[0].settings, "readonly_mode"), "true");
    CHECK_STR(http->routes[1].component, "two");
    CHECK_STR(http->routes[1].link_name, "b");
    CHECK_STR(http->routes[1].address, "127.0.0.1:9000");
    for (size_t i = 0; i < http->n_routes; i++) json_decref(http->routes[i].settings);
    rig_clear(&rig);
    for (uint64_t i = 0; i < 1000; i++) { /* many changes, few sets of routes */
        rig_tell(&rig, 1, "a", i % 2 ? "{\"address\":\"0.0.0.0:1\"}" : "{\"address\":\"0.0.0.0:2\"}", 10 + i);
        rig_run(&rig);
    }
    rig_wait(&rig, 100);
    CHECK_INT(rig_count(&rig, WISP_LATTICE_HTTP), 1);
    http = rig_take(&rig, WISP_LATTICE_HTTP, NULL);
    CHECK_STR(http->routes[0].address, "0.0.0.0:1");
    for (size_t i = 0; i < http->n_routes; i++) json_decref(http->routes[i].settings);
    CHECK_ANSWER(&rig, STOP, "{'provider_id':'http'}", STOPPED);
    rig_wait(&rig, 100);
    CHECK_INT(rig_take(&rig, WISP_LATTICE_HTTP, NULL)->n_routes, 0);
}

TEST(http_mode_unknown)
{
    WISP_CLEANUP_RIG struct rig rig;
    rig_new(&rig, NULL);
    rig_tell(&rig, 1, "pc", "{\"ROUTING_MODE\":\"magic\"}", 1);
    rig_send(&rig, START, "{'provider_ref':'wisp://http-server','provider_id':'http','config':['pc']}");
    WISP_CLEANUP_JSON json_t *data = rig_event(&rig, "provider_start_failed");
    CHECK_STR(wisp_json_str(data, "error"), "routing_mode `magic` is none of address, path, host");
}

static const char *const route_modes[] = {
    "{\"routing_mode\":\"path\",\"path\":\"/a\",\"address\":\"1.1.1.1:1\"}",
    "{\"routing_mode\":\"host\",\"host\":\"a.b\",\"path\":\"/c\"}",
    "{\"routing_mode\":\"path\"}",
    "{\"config_json\":\"{\\\"address\\\":\\\"2.2.2.2:2\\\",\\\"timeout_ms\\\":5}\",\"address\":\"1.1.1.1:1\"}",
    "{\"config_b64\":\"eyJhZGRyZXNzIjoiMy4zLjMuMzozIn0\"}",
};

TEST(http_modes)
{
    static const struct {
        const char *address, *host, *path;
    } expected[] = {{"0.0.0.0:8000", "", "/a"},
                    {"0.0.0.0:8000", "a.b", "/c"},
                    {NULL, NULL, NULL},
                    {"2.2.2.2:2", "", ""},
                    {"3.3.3.3:3", "", ""}};
    for (size_t i = 0; i < WISP_COUNT(expected); i++) {
        WISP_CLEANUP_RIG struct rig rig;
        rig_new(&rig, NULL);
        rig_tell(&rig, 1, "c", route_modes[i], 1);
        rig_tell(&rig, 0, "COMPONENT_http",
                 "{\"url\":\"\",\"links\":[{\"source_id\":\"http\",\"target\":\"one\",\"name\":\"default\","
                 "\"wit_namespace\":\"wasi\",\"wit_package\":\"http\",\"interfaces\":[\"incoming-handler\"],"
                 "\"source_config\":[\"c\"]}]}",
                 2);
        rig_send(&rig, START, "{'provider_ref':'wisp://http-server','provider_id':'http'}");
        rig_wait(&rig, 5);
        struct wisp_lattice_action *http = rig_take(&rig, WISP_LATTICE_HTTP, NULL);
        CHECK_INT(http->n_routes, expected[i].address != NULL);
        if (!expected[i].address) continue;
        CHECK_STR(http->routes[0].address, expected[i].address);
        CHECK_STR(http->routes[0].host, expected[i].host);
        CHECK_STR(http->routes[0].path, expected[i].path);
        json_decref(http->routes[0].settings);
    }
}
