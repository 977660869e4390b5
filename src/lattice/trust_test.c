/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets backends and the policy service, played by the test with real keys. */
#include "lattice/rig.h"

#include "nkeys/nkeys.h"

#include <stdlib.h>

#define REFERENCE                                                                                                      \
    "{\"name\":\"%s\",\"type\":\"secret.wasmcloud.dev/v1alpha1\",\"backend\":\"nats-kv\",\"key\":\"k/%s\","            \
    "\"policy\":\"{\\\"type\\\":\\\"properties.secret.wasmcloud.dev/v1alpha1\\\",\\\"properties\\\":{}}\"}"
#define SCALE                                                                                                          \
    "{'component_ref':'x/echo:1','component_id':'echo','count':1,'config':['SECRET_a'],"                               \
    "'annotations':{'wasmcloud.dev/appspec':'app1'}}"
#define XKEY_SUBJECT "wasmcloud.secrets.v1alpha1.nats-kv.server_xkey"
#define GET_SUBJECT "wasmcloud.secrets.v1alpha1.nats-kv.get"

struct backend {
    struct rig rig;
    struct wisp_nkey key;
    bool asked_by_builtin;
};

static void backend_new(struct backend *backend)
{
    static const char *const kinds[] = {"keyvalue-redis"};
    struct wisp_lattice_options options = {.secrets_topic = "wasmcloud.secrets",
                                           .friendly_name = "f",
                                           .seed = 11,
                                           .keys_from_seed = true,
                                           .builtin_kinds = kinds,
                                           .n_builtin_kinds = 1};
    rig_new(&backend->rig, &options);
    backend->asked_by_builtin = false;
    wisp_nkey_generate(&backend->key, WISP_NKEY_CURVE);
    backend->rig.claims = json_pack("{s:s,s:s,s:s}", "token", "entity.jwt.text", "issuer", "A", "subject", "MSUB");
    char value[1024];
    snprintf(value, sizeof value, REFERENCE, "a", "a");
    rig_tell(&backend->rig, 1, "SECRET_a", value, 1);
}

static void answer_key(struct backend *backend)
{
    char text[WISP_NKEY_PUBLIC_LEN + 1];
    wisp_nkey_public_text(&backend->key, text);
    rig_reply(&backend->rig, rig_take(&backend->rig, WISP_LATTICE_REQUEST, XKEY_SUBJECT), text);
}

/* Opens the request, checks it, answers sealed. */
static void answer_secret(struct backend *backend, const char *payload)
{
    struct rig *rig = &backend->rig;
    struct wisp_lattice_action *request = rig_take(rig, WISP_LATTICE_REQUEST, GET_SUBJECT);
    struct wisp_err err = {0};
    enum wisp_nkey_kind kind;
    uint8_t sender[32];
    WISP_CLEANUP_BUF struct wisp_buf plain = {0}, sealed = {0};
    CHECK_STR(request->headers[0].name, "WasmCloud-Host-Xkey");
    CHECK_OK(wisp_nkey_parse_public(request->headers[0].value, &kind, sender, &err), &err);
    CHECK_OK(wisp_xkey_open(&backend->key, sender, request->payload, &plain, &err), &err);
    WISP_CLEANUP_JSON json_t *json = rig_parse(wisp_buf_str(&plain));
    CHECK_STR(wisp_json_str(json, "key"), "k/a");
    CHECK(json_is_null(json_object_get(json, "field")));
    json_t *context = json_object_get(json, "context");
    if (backend->asked_by_builtin) {
        WISP_CLEANUP_BUF struct wisp_buf entity = {0};
        CHECK_OK(wisp_jwt_verify(wisp_json_str(context, "entity_jwt"), &entity, &err), &err);
        WISP_CLEANUP_JSON json_t *entity_claims = rig_parse(wisp_buf_str(&entity));
        CHECK(wisp_str_starts_with(wisp_json_str(entity_claims, "sub"), WISP_STR("V")));
    } else {
        CHECK_STR(wisp_json_str(context, "entity_jwt"), "entity.jwt.text");
    }
    CHECK_STR(wisp_json_str(json_object_get(context, "application"), "name"), "app1");
    WISP_CLEANUP_BUF struct wisp_buf host = {0};
    CHECK_OK(wisp_jwt_verify(wisp_json_str(context, "host_jwt"), &host, &err), &err);
    WISP_CLEANUP_JSON json_t *host_claims = rig_parse(wisp_buf_str(&host));
    CHECK_STR(wisp_json_str(host_claims, "sub"), wisp_lattice_host_id(rig->lattice));
    wisp_xkey_seal(&backend->key, sender, wisp_str_from(rig_text(rig, payload)), &sealed);
    char text[WISP_NKEY_PUBLIC_LEN + 1];
    wisp_nkey_public_text(&backend->key, text);
    struct wisp_bus_header header = {WISP_STR("Server-Response-Xkey"), wisp_str_from(text)};
    struct wisp_lattice_done done = {.reply = {.payload = wisp_buf_str(&sealed), .headers = &header, .n_headers = 1}};
    rig_done(rig, request, &done);
    rig_run(rig);
}

static void backend_free(struct backend *backend) { rig_free(&backend->rig); }
#define CLEANUP_BACKEND __attribute__((cleanup(backend_free)))

TEST(component_secret)
{
    CLEANUP_BACKEND struct backend backend;
    struct rig *rig = &backend.rig;
    backend_new(&backend);
    rig_send(rig, "component.scale.{H}", SCALE);
    answer_key(&backend);
    answer_secret(&backend, "{'secret':{'version':'1','string_secret':'s3cret','binary_secret':null}}");
    struct wisp_lattice_action *put = rig_take(rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_INT(put->component.n_secrets, 1);
    CHECK_STR(put->component.secrets[0].name, "a");
    CHECK_STR(put->component.secrets[0].value, "s3cret");
    CHECK(!put->component.secrets[0].is_bytes);
    for (size_t i = 0; i < rig->n_actions; i++) { /* nowhere else */
        CHECK(!memmem(rig->actions[i]->payload.ptr, rig->actions[i]->payload.len, "s3cret", 6));
        CHECK(!memmem(rig->actions[i]->text.ptr, rig->actions[i]->text.len, "s3cret", 6));
    }
    rig_clear(rig);
    /* the reference changes: asked again, with the key as known */
    char value[1024];
    snprintf(value, sizeof value, REFERENCE, "b", "a");
    rig_tell(rig, 1, "SECRET_a", value, 2);
    rig_run(rig);
    answer_secret(&backend, "{'secret':{'version':'1','binary_secret':[0,255,7]}}");
    put = rig_take(rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_STR(put->component.secrets[0].name, "b");
    CHECK(put->component.secrets[0].is_bytes);
    CHECK_INT(put->component.secrets[0].value.len, 3);
    CHECK_INT((uint8_t)put->component.secrets[0].value.ptr[1], 255);
}

static const char *failure(struct rig *rig)
{
    WISP_CLEANUP_JSON json_t *data = rig_event(rig, "component_scale_failed");
    return wisp_arena_cstr(&rig->arena, wisp_json_str(data, "error"));
}

TEST(refusals)
{
    CLEANUP_BACKEND struct backend backend;
    struct rig *rig = &backend.rig;
    backend_new(&backend);
    rig_send(rig, "component.scale.{H}", SCALE);
    rig_fail(rig, rig_take(rig, WISP_LATTICE_REQUEST, XKEY_SUBJECT), WISP_ERR_TIMEOUT, "nobody there");
    CHECK_TEXT(failure(rig), "secret `a`: key of secrets backend `nats-kv`: nobody there");
    rig_send(rig, "component.scale.{H}", SCALE);
    answer_key(&backend);
    rig_reply(rig, rig_take(rig, WISP_LATTICE_REQUEST, GET_SUBJECT), "{'error':'SecretNotFound'}");
    CHECK_TEXT(failure(rig), "secret `a`: the backend says SecretNotFound");
    rig_send(rig, "component.scale.{H}", SCALE);
    rig_reply(rig, rig_take(rig, WISP_LATTICE_REQUEST, GET_SUBJECT), "{'error':{'InvalidEntityJWT':'expired'}}");
    CHECK_TEXT(failure(rig), "secret `a`: the backend says InvalidEntityJWT: expired");
    rig_send(rig, "component.scale.{H}", SCALE);
    answer_secret(&backend, "{'secret':{'version':'1'}}");
    CHECK_HAS(failure(rig), "neither a string nor bytes");
    /* a backend that was started anew has another key */
    rig_send(rig, "component.scale.{H}", SCALE);
    rig_reply(rig, rig_take(rig, WISP_LATTICE_REQUEST, GET_SUBJECT), "{'error':'DecryptionError'}");
    wisp_nkey_generate(&backend.key, WISP_NKEY_CURVE);
    answer_key(&backend);
    answer_secret(&backend, "{'secret':{'string_secret':'x'}}");
    CHECK_STR(rig_take(rig, WISP_LATTICE_COMPONENT_PUT, NULL)->component.secrets[0].value, "x");
}

TEST(no_topic_no_token)
{
    CLEANUP_BACKEND struct backend backend;
    struct rig *rig = &backend.rig;
    backend_new(&backend);
    json_decref(rig->claims);
    rig->claims = NULL;
    rig_send(rig, "component.scale.{H}", SCALE);
    CHECK_HAS(failure(rig), "only signed components and providers");
    WISP_CLEANUP_RIG struct rig plain;
    char value[1024];
    rig_new(&plain, NULL);
    plain.claims = json_pack("{s:s,s:s}", "token", "t", "subject", "M");
    snprintf(value, sizeof value, REFERENCE, "a", "a");
    rig_tell(&plain, 1, "SECRET_a", value, 1);
    rig_send(&plain, "component.scale.{H}", SCALE);
    CHECK_HAS(failure(&plain), "no secrets topic");
}

TEST(provider_secrets)
{
    CLEANUP_BACKEND struct backend backend;
    struct rig *rig = &backend.rig;
    backend_new(&backend);
    rig_tell(
        rig, 0, "COMPONENT_comp",
        "{\"url\":\"\",\"links\":[{\"source_id\":\"comp\",\"target\":\"kv\",\"name\":\"default\",\"wit_namespace\":"
        "\"wasi\",\"wit_package\":\"keyvalue\",\"interfaces\":[\"store\"],\"target_config\":[\"SECRET_a\"]}]}",
        2);
    rig_send(rig, "provider.start.{H}",
             "{'provider_ref':'x/kv:1','provider_id':'kv','config':['SECRET_a'],"
             "'annotations':{'wasmcloud.dev/appspec':'app1'}}");
    answer_key(&backend);
    answer_secret(&backend, "{'secret':{'string_secret':'own'}}");
    answer_secret(&backend, "{'secret':{'string_secret':'of the link'}}");
    WISP_CLEANUP_JSON json_t *data = rig_parse(rig_take(rig, WISP_LATTICE_PROVIDER_START, NULL)->provider.host_data);
    CHECK_JSON(rig, json_object_get(data, "secrets"), "{'a':{'kind':'String','value':'own'}}");
    json_t *link = json_array_get(json_object_get(data, "link_definitions"), 0);
    CHECK(json_is_null(json_object_get(link, "source_secrets")));
    const json_t *bytes = json_object_get(link, "target_secrets");
    char sealed[512];
    for (size_t i = 0; i < json_array_size(bytes); i++) sealed[i] = (char)json_integer_value(json_array_get(bytes, i));
    struct wisp_nkey own;
    struct wisp_err err = {0};
    enum wisp_nkey_kind kind;
    uint8_t host[32];
    WISP_CLEANUP_BUF struct wisp_buf plain = {0};
    CHECK_OK(wisp_nkey_from_seed(wisp_json_str(data, "provider_xkey_private_key"), &own, &err), &err);
    CHECK_OK(wisp_nkey_parse_public(wisp_json_str(data, "host_xkey_public_key"), &kind, host, &err), &err);
    CHECK_OK(wisp_xkey_open(&own, host, (struct wisp_str){sealed, json_array_size(bytes)}, &plain, &err), &err);
    CHECK_STR(wisp_buf_str(&plain), "{\"a\":{\"kind\":\"String\",\"value\":\"of the link\"}}");
    /* the process ends while the backend is away: tried until it is back */
    const struct wisp_lattice_provider_report report = {.has_run = true, .signal_number = 9, .failures = 1};
    wisp_lattice_on_provider(rig->lattice, rig->now, WISP_STR("kv"), WISP_LATTICE_PROVIDER_EXITED, &report);
    wisp_lattice_on_provider(rig->lattice, rig->now, WISP_STR("kv"), WISP_LATTICE_PROVIDER_DUE, NULL);
    rig_run(rig);
    for (int i = 0; i < 5; i++) {
        rig_fail(rig, rig_take(rig, WISP_LATTICE_REQUEST, GET_SUBJECT), WISP_ERR_TIMEOUT, "away");
        CHECK_INT(rig_count(rig, WISP_LATTICE_PROVIDER_RESTART_READY), 0);
        rig_wait(rig, 30000);
    }
    answer_secret(&backend, "{'secret':{'string_secret':'own2'}}");
    answer_secret(&backend, "{'secret':{'string_secret':'link2'}}");
    rig_take(rig, WISP_LATTICE_PROVIDER_RESTART_READY, NULL);
}

/* It has no image that somebody signed: the host signs for it. */
TEST(builtin_secrets)
{
    CLEANUP_BACKEND struct backend backend;
    struct rig *rig = &backend.rig;
    backend_new(&backend);
    backend.asked_by_builtin = true;
    rig_tell(
        rig, 0, "COMPONENT_comp",
        "{\"url\":\"\",\"links\":[{\"source_id\":\"comp\",\"target\":\"kv\",\"name\":\"default\",\"wit_namespace\":"
        "\"wasi\",\"wit_package\":\"keyvalue\",\"interfaces\":[\"store\"],\"target_config\":[\"SECRET_a\"]}]}",
        2);
    rig_send(rig, "provider.start.{H}",
             "{'provider_ref':'wisp://keyvalue-redis','provider_id':'kv','config':['SECRET_a'],"
             "'annotations':{'wasmcloud.dev/appspec':'app1'}}");
    answer_key(&backend);
    answer_secret(&backend, "{'secret':{'string_secret':'own'}}");
    answer_secret(&backend, "{'secret':{'binary_secret':[0,255,7]}}");
    struct wisp_lattice_action *put = rig_take(rig, WISP_LATTICE_BUILTIN_PUT, NULL);
    CHECK_JSON(rig, put->builtin.secrets, "{'a':'own'}");
    CHECK_JSON(rig, json_object_get(json_array_get(put->builtin.links, 0), "target_secrets"), "{'a':{'bytes':'AP8H'}}");
    CHECK(json_is_null(json_object_get(json_array_get(put->builtin.links, 0), "source_secrets")));
    json_decref(put->builtin.config);
    json_decref(put->builtin.secrets);
    json_decref(put->builtin.links);
    rig_wait(rig, 100000);
    CHECK_INT(rig_count(rig, WISP_LATTICE_REQUEST), 0); /* asked once */
}

/* --- backends of the host itself --- */

static const char *const own_backends[] = {"file", "env"};

static void own_new(struct rig *rig, const char *claims_token)
{
    static const char *const kinds[] = {"keyvalue-redis"};
    rig_new(rig, &(struct wisp_lattice_options){.secret_backends = own_backends,
                                                .n_secret_backends = WISP_COUNT(own_backends),
                                                .builtin_kinds = kinds,
                                                .n_builtin_kinds = WISP_COUNT(kinds),
                                                .seed = 11});
    if (claims_token) rig->claims = json_pack("{s:s,s:s}", "token", claims_token, "subject", "MSUB");
    rig_tell(rig, 1, "SECRET_a",
             "{\"name\":\"a\",\"backend\":\"file\",\"key\":\"prod/db\",\"field\":\"password\",\"version\":\"7\"}", 1);
}

static void give(struct rig *rig, const struct wisp_lattice_action *action, struct wisp_str secret)
{
    rig_done(rig, action, &(struct wisp_lattice_done){.secret = secret});
    rig_run(rig);
}

/* Nobody has signed the component, and there is no bus topic. */
TEST(own_backend)
{
    WISP_CLEANUP_RIG struct rig rig;
    own_new(&rig, NULL);
    rig_send(&rig, "component.scale.{H}", SCALE);
    struct wisp_lattice_action *asked = rig_take(&rig, WISP_LATTICE_SECRET, NULL);
    CHECK_STR(asked->secret.backend, "file");
    CHECK_STR(asked->secret.key, "prod/db");
    CHECK_STR(asked->secret.field, "password");
    CHECK_STR(asked->secret.version, "7");
    give(&rig, asked, WISP_STR("s3cret\n"));
    struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_INT(put->component.n_secrets, 1);
    CHECK_STR(put->component.secrets[0].name, "a");
    CHECK_STR(put->component.secrets[0].value, "s3cret\n");
    CHECK(!put->component.secrets[0].is_bytes);
    for (size_t i = 0; i < rig.n_actions; i++) { /* nowhere else */
        CHECK(!memmem(rig.actions[i]->payload.ptr, rig.actions[i]->payload.len, "s3cret", 6));
        CHECK(!memmem(rig.actions[i]->text.ptr, rig.actions[i]->text.len, "s3cret", 6));
    }
    rig_clear(&rig);
    /* another reference: read anew, and what is no text is bytes */
    rig_tell(&rig, 1, "SECRET_a", "{\"name\":\"b\",\"backend\":\"env\",\"key\":\"K\"}", 2);
    rig_run(&rig);
    asked = rig_take(&rig, WISP_LATTICE_SECRET, NULL);
    CHECK_STR(asked->secret.backend, "env");
    CHECK_STR(asked->secret.field, "");
    give(&rig, asked, (struct wisp_str){"\xff\0b", 3});
    put = rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL);
    CHECK_STR(put->component.secrets[0].name, "b");
    CHECK(put->component.secrets[0].is_bytes);
    CHECK_INT(put->component.secrets[0].value.len, 3);
    CHECK(memcmp(put->component.secrets[0].value.ptr, "\xff\0b", 3) == 0);
}

TEST(own_backend_refuses)
{
    WISP_CLEANUP_RIG struct rig rig;
    own_new(&rig, NULL);
    rig_send(&rig, "component.scale.{H}", SCALE);
    rig_fail(&rig, rig_take(&rig, WISP_LATTICE_SECRET, NULL), WISP_ERR_NOT_FOUND, "there is no such file");
    CHECK_TEXT(failure(&rig), "secret `a`: key `prod/db` of backend `file`: there is no such file");
    /* a name that this host has no backend of is one on the bus */
    rig_tell(&rig, 1, "SECRET_a", "{\"name\":\"a\",\"backend\":\"vault\",\"key\":\"k\"}", 2);
    rig_send(&rig, "component.scale.{H}", SCALE);
    CHECK_HAS(failure(&rig), "no secrets topic");
    rig_tell(&rig, 1, "SECRET_a", "{\"backend\":\"file\",\"key\":\"k\"}", 3);
    rig_send(&rig, "component.scale.{H}", SCALE);
    CHECK_HAS(failure(&rig), "no secrets topic");
    CHECK_INT(rig_count(&rig, WISP_LATTICE_SECRET), 0);
}

TEST(own_backend_for_a_provider)
{
    WISP_CLEANUP_RIG struct rig rig;
    own_new(&rig, "t");
    rig_send(&rig, "provider.start.{H}", "{'provider_ref':'x/kv:1','provider_id':'kv','config':['SECRET_a']}");
    give(&rig, rig_take(&rig, WISP_LATTICE_SECRET, NULL), WISP_STR("one"));
    WISP_CLEANUP_JSON json_t *data = rig_parse(rig_take(&rig, WISP_LATTICE_PROVIDER_START, NULL)->provider.host_data);
    CHECK_JSON(&rig, json_object_get(data, "secrets"), "{'a':{'kind':'String','value':'one'}}");
    /* its process ends: read anew, tried until it can be had */
    const struct wisp_lattice_provider_report report = {.has_run = true, .signal_number = 9, .failures = 1};
    wisp_lattice_on_provider(rig.lattice, rig.now, WISP_STR("kv"), WISP_LATTICE_PROVIDER_EXITED, &report);
    wisp_lattice_on_provider(rig.lattice, rig.now, WISP_STR("kv"), WISP_LATTICE_PROVIDER_DUE, NULL);
    rig_run(&rig);
    rig_fail(&rig, rig_take(&rig, WISP_LATTICE_SECRET, NULL), WISP_ERR_NOT_FOUND, "no");
    CHECK_INT(rig_count(&rig, WISP_LATTICE_PROVIDER_RESTART_READY), 0);
    rig_wait(&rig, 30000);
    give(&rig, rig_take(&rig, WISP_LATTICE_SECRET, NULL), WISP_STR("two"));
    WISP_CLEANUP_JSON json_t *again =
        rig_parse(rig_take(&rig, WISP_LATTICE_PROVIDER_RESTART_READY, NULL)->provider.host_data);
    CHECK_JSON(&rig, json_object_get(again, "secrets"), "{'a':{'kind':'String','value':'two'}}");
}

TEST(own_backend_for_a_builtin)
{
    WISP_CLEANUP_RIG struct rig rig;
    own_new(&rig, NULL);
    rig_tell(
        &rig, 0, "COMPONENT_comp",
        "{\"url\":\"\",\"links\":[{\"source_id\":\"comp\",\"target\":\"kv\",\"name\":\"default\",\"wit_namespace\":"
        "\"wasi\",\"wit_package\":\"keyvalue\",\"interfaces\":[\"store\"],\"target_config\":[\"SECRET_a\"]}]}",
        2);
    rig_send(&rig, "provider.start.{H}",
             "{'provider_ref':'wisp://keyvalue-redis','provider_id':'kv','config':['SECRET_a']}");
    give(&rig, rig_take(&rig, WISP_LATTICE_SECRET, NULL), WISP_STR("own"));
    give(&rig, rig_take(&rig, WISP_LATTICE_SECRET, NULL), (struct wisp_str){"\0\xff\7", 3});
    struct wisp_lattice_action *put = rig_take(&rig, WISP_LATTICE_BUILTIN_PUT, NULL);
    CHECK_JSON(&rig, put->builtin.secrets, "{'a':'own'}");
    CHECK_JSON(&rig, json_object_get(json_array_get(put->builtin.links, 0), "target_secrets"),
               "{'a':{'bytes':'AP8H'}}");
    json_decref(put->builtin.config);
    json_decref(put->builtin.secrets);
    json_decref(put->builtin.links);
}

/* --- policy --- */

static void policy_new(struct rig *rig)
{
    struct wisp_lattice_options options = {
        .policy_topic = "policy", .policy_changes_topic = "policy.changes", .seed = 12, .keys_from_seed = true};
    rig_new(rig, &options);
}

TEST(policy)
{
    WISP_CLEANUP_RIG struct rig rig;
    policy_new(&rig);
    rig_send(&rig, "component.scale.{H}", "{'component_ref':'x/echo:1','component_id':'echo','count':10}");
    struct wisp_lattice_action *request = rig_take(&rig, WISP_LATTICE_REQUEST, "policy");
    CHECK_INT(request->timeout_ms, 1000);
    WISP_CLEANUP_JSON json_t *json = rig_parse(request->payload);
    CHECK_STR(wisp_json_str(json, "kind"), "startComponent");
    CHECK_STR(wisp_json_str(json, "version"), "v1");
    CHECK_JSON(&rig, json_object_get(json, "request"),
               "{'componentId':'echo','imageRef':'x/echo:1','maxInstances':10,'annotations':{},'claims':null}");
    CHECK_STR(wisp_json_str(json_object_get(json, "host"), "publicKey"), wisp_lattice_host_id(rig.lattice));
    const char *denial = wisp_arena_printf(&rig.arena, "{'requestId':'%s','permitted':false,'message':'no'}",
                                           json_string_value(json_object_get(json, "requestId")));
    rig_reply(&rig, request, denial);
    WISP_CLEANUP_JSON json_t *data = rig_event(&rig, "component_scale_failed");
    CHECK_STR(wisp_json_str(data, "error"), "policy denied it: no");
    /* remembered, until the service changes its mind */
    rig_send(&rig, "component.scale.{H}", "{'component_ref':'x/echo:1','component_id':'echo','count':3}");
    CHECK_INT(rig_count(&rig, WISP_LATTICE_REQUEST), 0);
    CHECK(rig_has_event(&rig, "component_scale_failed"));
    const char *change = wisp_arena_printf(&rig.arena, "{'requestId':'%s','permitted':true}",
                                           json_string_value(json_object_get(json, "requestId")));
    struct wisp_bus_message message = {.subject = WISP_STR("policy.changes"),
                                       .payload = wisp_str_from(rig_text(&rig, change))};
    wisp_lattice_on_message(rig.lattice, rig.now, &message);
    rig_send(&rig, "component.scale.{H}", "{'component_ref':'x/echo:1','component_id':'echo','count':3}");
    WISP_CLEANUP_JSON json_t *target =
        rig_parse(rig_take(&rig, WISP_LATTICE_COMPONENT_PUT, NULL)->component.policy_target);
    CHECK_JSON(&rig, target,
               "{'componentId':'echo','imageRef':'x/echo:1','maxInstances':0,'annotations':{},'claims':null}");
}

TEST(policy_silent)
{
    WISP_CLEANUP_RIG struct rig rig;
    policy_new(&rig);
    rig_send(&rig, "provider.start.{H}", "{'provider_ref':'x/kv:1','provider_id':'kv'}");
    struct wisp_lattice_action *request = rig_take(&rig, WISP_LATTICE_REQUEST, "policy");
    WISP_CLEANUP_JSON json_t *json = rig_parse(request->payload);
    CHECK_STR(wisp_json_str(json, "kind"), "startProvider");
    CHECK_JSON(&rig, json_object_get(json, "request"),
               "{'providerId':'kv','imageRef':'x/kv:1','annotations':{},'claims':null}");
    rig_fail(&rig, request, WISP_ERR_TIMEOUT, "no answer");
    WISP_CLEANUP_JSON json_t *data = rig_event(&rig, "provider_start_failed");
    CHECK_STR(wisp_json_str(data, "error"), "the policy service did not decide: no answer");
    rig_send(&rig, "provider.start.{H}", "{'provider_ref':'x/kv:1','provider_id':'kv'}");
    rig_reply(&rig, rig_take(&rig, WISP_LATTICE_REQUEST, "policy"), "{'permitted':'maybe'}");
    CHECK(rig_has_event(&rig, "provider_start_failed")); /* asked again: not remembered */
    CHECK_INT(rig_count(&rig, WISP_LATTICE_PROVIDER_START), 0);
}
