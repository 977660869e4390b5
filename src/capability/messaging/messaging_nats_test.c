/* SPDX-License-Identifier: Apache-2.0 */
/* Messages over the embedded bus and over a real nats-server. */
#include "bus/server.h"
#include "capability/messaging/messaging_rig.h"

#include <stdio.h>

struct here {
    uv_loop_t loop;
    struct wisp_bus_server *server;
    char url[64];
    struct told lattice; /* the provider's bus */
    struct told other;   /* somebody else on it */
    struct wisp_wrpc *wrpc;
};

static void here_init(struct here *here)
{
    struct wisp_err err;
    *here = (struct here){0};
    uv_loop_init(&here->loop);
    struct wisp_bus_server_options options = {.host = "127.0.0.1", .server_name = "test"};
    CHECK_OK(wisp_bus_server_new(&here->server, &here->loop, &options, &err), &err);
    snprintf(here->url, sizeof here->url, "nats://127.0.0.1:%u", wisp_bus_server_port(here->server));
    connect_to(&here->lattice, &here->loop, here->url);
    connect_to(&here->other, &here->loop, here->url);
}

static void rig_init(struct here *here, struct messaging_rig *rig, const char *host_id)
{
    messaging_rig_init(rig, &here->loop, &wisp_messaging_nats, here->lattice.client, here->wrpc, here->url, host_id,
                       true);
}

static void here_deinit(struct here *here)
{
    wisp_bus_client_free(here->lattice.client);
    wisp_bus_client_free(here->other.client);
    wisp_bus_server_free(here->server);
    end_loop(&here->loop);
}

static void on_flushed(const struct wisp_err *err, void *env)
{
    CHECK(!err);
    *(bool *)env = true;
}

static void flush(uv_loop_t *loop, struct wisp_bus_client *client)
{
    bool is_flushed = false;
    wisp_bus_flush(client, 5000, on_flushed, &is_flushed);
    AWAIT(loop, is_flushed);
}

static void publish(struct here *here, const char *subject, const char *reply, const char *body)
{
    struct wisp_err err;
    const struct wisp_bus_header header = {WISP_STR("traceparent"), wisp_str_from(body)};
    CHECK_OK(wisp_bus_publish(here->other.client, wisp_str_from(subject), wisp_str_from(reply), &header, 1,
                              wisp_str_from(body), &err),
             &err);
}

struct heard {
    unsigned n;
    char subject[64], reply[64], body[64], trace[64];
    struct wisp_bus_client *answers; /* NULL: it does not */
};

static void on_heard(const struct wisp_bus_message *message, void *env)
{
    struct heard *heard = env;
    struct wisp_err err;
    heard->n++;
    snprintf(heard->subject, sizeof heard->subject, "%.*s", WISP_STR_ARG(message->subject));
    snprintf(heard->reply, sizeof heard->reply, "%.*s", WISP_STR_ARG(message->reply));
    snprintf(heard->body, sizeof heard->body, "%.*s", WISP_STR_ARG(message->payload));
    snprintf(heard->trace, sizeof heard->trace, "%.*s", WISP_STR_ARG(wisp_bus_header_get(message, "traceparent")));
    if (heard->answers)
        CHECK_OK(wisp_bus_publish(heard->answers, message->reply, WISP_STR(""), NULL, 0, WISP_STR("pong"), &err), &err);
}

static void listen_to(struct here *here, const char *pattern, struct heard *heard)
{
    struct wisp_bus_subscription *subscription;
    struct wisp_err err;
    CHECK_OK(wisp_bus_subscribe(here->other.client, wisp_str_from(pattern), WISP_STR(""), on_heard, heard,
                                &subscription, &err),
             &err);
    flush(&here->loop, here->other.client);
}

TEST(publish_and_request)
{
    struct here here;
    struct messaging_rig rig;
    struct messaging_call call;
    struct heard heard = {0}, pings = {0};
    here_init(&here);
    rig_init(&here, &rig, "NHOST");
    CHECK_OK(rig_put(&rig, false, "default", "{}"), &rig.err);
    listen_to(&here, "news.>", &heard);
    pings.answers = here.other.client;
    listen_to(&here, "ping", &pings);
    rig_publish(&rig, &call, "news.today", "sun");
    AWAIT(&here.loop, call.is_done && heard.n == 1);
    CHECK(!call.is_err);
    CHECK_TEXT(heard.subject, "news.today");
    CHECK_TEXT(heard.body, "sun");
    CHECK_TEXT(heard.trace, "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01");
    rig_request(&rig, &call, "ping", "hello", 5000);
    AWAIT(&here.loop, call.is_done);
    CHECK(!call.is_err);
    CHECK_TEXT(call.text, "pong");
    rig_request(&rig, &call, "nobody.listens", "hello", 5000);
    AWAIT(&here.loop, call.is_done);
    CHECK(call.is_err);
    CHECK_HAS(call.text, "nobody answers");
    rig_request(&rig, &call, "news.slow", "hello", 50);
    AWAIT(&here.loop, call.is_done);
    CHECK(call.is_err);
    rig_request(&rig, &call, "news.slow", "hello", 60000);
    wisp_provider_call_cancel(call.call);
    const char *const bad[] = {"", "a b", "a..b", "a.*", "news.>"};
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        rig_publish(&rig, &call, bad[i], "x");
        AWAIT(&here.loop, call.is_done);
        CHECK(call.is_err);
        CHECK_HAS(call.text, "no subject");
    }
    rig_del(&rig, false, "default");
    for (int i = 0; i < 3; i++) uv_run(&here.loop, UV_RUN_NOWAIT);
    rig_publish(&rig, &call, "news.today", "sun");
    AWAIT(&here.loop, call.is_done);
    CHECK_HAS(call.text, "no link");
    messaging_rig_deinit(&rig);
    here_deinit(&here);
}

/* Two workers of one host and one of another: each host gets a copy; with a queue one of all does. */
TEST(subscriptions)
{
    struct here here;
    struct messaging_rig rigs[3];
    here_init(&here);
    for (int i = 0; i < 3; i++) {
        rig_init(&here, &rigs[i], i < 2 ? "NONE" : "NTWO");
        CHECK_OK(rig_put(&rigs[i], true, "default", "{\"subscriptions\":\"all.*, one.> | workers,,exact\"}"),
                 &rigs[i].err);
    }
    flush(&here.loop, here.lattice.client);
    for (int i = 0; i < 100; i++) {
        publish(&here, "all.x", "back", "a");
        publish(&here, "one.x.y", "", "b");
        publish(&here, "other", "", "c");
        publish(&here, "exact", "", "d");
    }
    AWAIT(&here.loop, rigs[0].n_given + rigs[1].n_given + rigs[2].n_given >= 500);
    for (int i = 0; i < 10; i++) uv_run(&here.loop, UV_RUN_NOWAIT);
    unsigned n[3][256] = {0};
    for (int i = 0; i < 3; i++)
        for (size_t j = 0; j < rigs[i].n_given; j++) n[i][(unsigned char)rigs[i].given[j].body[0]]++;
    CHECK_INT(n[0]['a'] + n[1]['a'], 100);
    CHECK_INT(n[2]['a'], 100);
    CHECK_INT(n[0]['d'] + n[1]['d'], 100);
    CHECK_INT(n[2]['d'], 100);
    CHECK_INT(n[0]['b'] + n[1]['b'] + n[2]['b'], 100);
    CHECK_INT(n[0]['c'] + n[1]['c'] + n[2]['c'], 0);
    for (size_t j = 0; j < rigs[2].n_given; j++) {
        CHECK_TEXT(rigs[2].given[j].reply, rigs[2].given[j].body[0] == 'a' ? "back" : "");
        CHECK_TEXT(rigs[2].given[j].trace, rigs[2].given[j].body);
    }
    rig_del(&rigs[2], true, "default");
    for (int i = 0; i < 3; i++) uv_run(&here.loop, UV_RUN_NOWAIT);
    flush(&here.loop, here.lattice.client);
    size_t before = rigs[2].n_given;
    publish(&here, "all.x", "", "e");
    flush(&here.loop, here.other.client);
    flush(&here.loop, here.lattice.client);
    CHECK_INT(rigs[2].n_given, before);
    for (int i = 0; i < 3; i++) messaging_rig_deinit(&rigs[i]);
    here_deinit(&here);
}

/* A component that does not answer holds so many at a time; the others wait, and what is too much is lost. */
TEST(too_many_messages)
{
    struct here here;
    struct messaging_rig rig;
    here_init(&here);
    rig_init(&here, &rig, "NHOST");
    CHECK_OK(rig_put(&rig, true, "default", "{\"subscriptions\":\"s\",\"max_in_flight\":\"7\"}"), &rig.err);
    flush(&here.loop, here.lattice.client);
    rig.answers = false;
    for (int i = 0; i < 9000; i++) publish(&here, "s", "", "x");
    flush(&here.loop, here.other.client);
    flush(&here.loop, here.lattice.client);
    CHECK_INT(rig.n_given, 7);
    rig.answers = true;
    rig.with_error = "not well";
    uv_timer_start(&rig.timer, rig_on_timer, 0, 0);
    AWAIT(&here.loop, rig.n_given == 7 + 8192 && rig.n_open == 0);
    CHECK_INT(rig.n_open_max, 7);
    rig.answers = false;
    for (int i = 0; i < 20; i++) publish(&here, "s", "", "x");
    AWAIT(&here.loop, rig.n_open == 7);
    messaging_rig_deinit(&rig); /* with some in flight, some waiting */
    CHECK_INT(rig.n_cancelled, 7);
    here_deinit(&here);
}

TEST(settings_that_cannot_be)
{
    struct here here;
    struct messaging_rig rig;
    here_init(&here);
    rig_init(&here, &rig, "NHOST");
    const struct {
        const char *config, *words;
    } bad[] = {
        {"{\"subscriptions\":\"a b\"}", "no subject"},
        {"{\"subscriptions\":\"a|q q\"}", "subscriptions"},
        {"{\"consumers\":\"x\"}", "consumers"},
        {"{\"subscriptions\":\"a\",\"max_in_flight\":\"0\"}", "max_in_flight"},
        {"{\"cluster_uris\":\"ftp://x\"}", ""},
        {"{\"client_jwt\":\"secret\"}", "client_seed"},
    };
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        if (rig_put(&rig, true, "default", bad[i].config) == 0)
            wisp_test_fail(__FILE__, __LINE__, "%s was taken", bad[i].config);
        CHECK_HAS(rig.err.text, bad[i].words);
        CHECK(!strstr(rig.err.text, "secret"));
    }
    messaging_rig_deinit(&rig);
    here_deinit(&here);
}

/* A server of its own, shared by two links, that goes and comes back. */
TEST(nats_server)
{
    struct here here;
    struct nats nats;
    struct messaging_rig rig;
    struct messaging_call call;
    char config[256];
    nats_init(&nats);
    nats_start(&nats, "");
    here_init(&here);
    rig_init(&here, &rig, "NHOST");
    snprintf(config, sizeof config, "{\"cluster_uris\":\"%s\",\"subscriptions\":\"loop\"}", nats.url);
    CHECK_OK(rig_put(&rig, true, "default", config), &rig.err);
    CHECK_OK(rig_put(&rig, true, "second", config), &rig.err);
    snprintf(config, sizeof config, "{\"cluster_uris\":\"%s\"}", nats.url);
    CHECK_OK(rig_put(&rig, false, "default", config), &rig.err);
    rig_publish(&rig, &call, "loop", "one"); /* kept until there is a connection */
    AWAIT(&here.loop, rig.n_given == 2);
    CHECK_TEXT(rig.given[0].body, "one");
    nats_kill(&nats);
    nats_start(&nats, "");
    for (unsigned i = 0; rig.n_given < 4; i++) {
        rig_publish(&rig, &call, "loop", "two");
        AWAIT(&here.loop, call.is_done);
        for (int j = 0; j < 20 && rig.n_given < 4; j++) {
            uv_run(&here.loop, UV_RUN_NOWAIT);
            usleep(5000);
        }
    }
    CHECK_TEXT(rig.given[2].body, "two");
    messaging_rig_deinit(&rig);
    here_deinit(&here);
    nats_deinit(&nats);
}

TEST(nats_server_with_tls)
{
    struct here here;
    struct nats nats;
    struct messaging_rig rig;
    struct messaging_call call;
    nats_init(&nats);
    make_certificates(nats.dir);
    char config[8192], path[128], line[512];
    snprintf(line, sizeof line, "tls: { cert_file: \"%s/server.pem\", key_file: \"%s/server.key\" }", nats.dir,
             nats.dir);
    nats_start(&nats, line);
    here_init(&here);
    rig_init(&here, &rig, "NHOST");
    snprintf(path, sizeof path, "%s/ca.pem", nats.dir);
    json_t *settings = json_object();
    FILE *file = fopen(path, "r");
    CHECK(file);
    char pem[4096] = "";
    size_t n = fread(pem, 1, sizeof pem - 1, file);
    fclose(file);
    CHECK(n > 0);
    json_object_set_new(settings, "tls_ca", json_string(pem));
    snprintf(line, sizeof line, "127.0.0.1:%u", nats.port);
    json_object_set_new(settings, "cluster_uris", json_string(line));
    json_object_set_new(settings, "subscriptions", json_string("s"));
    char *text = json_dumps(settings, JSON_COMPACT);
    snprintf(config, sizeof config, "%s", text);
    free(text);
    CHECK_OK(rig_put(&rig, true, "default", config), &rig.err);
    json_object_del(settings, "tls_ca");
    json_object_set_new(settings, "tls_ca_file", json_string(path));
    text = json_dumps(settings, JSON_COMPACT);
    snprintf(config, sizeof config, "%s", text);
    free(text);
    json_decref(settings);
    CHECK_OK(rig_put(&rig, false, "default", config), &rig.err);
    while (!rig.n_given) {
        rig_publish(&rig, &call, "s", "sealed");
        AWAIT(&here.loop, call.is_done);
        for (int j = 0; j < 20 && !rig.n_given; j++) {
            uv_run(&here.loop, UV_RUN_NOWAIT);
            usleep(5000);
        }
    }
    CHECK_TEXT(rig.given[0].body, "sealed");
    messaging_rig_deinit(&rig);
    here_deinit(&here);
    nats_deinit(&nats);
}
