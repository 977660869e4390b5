/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing and consuming with librdkafka's own brokers, which live in this process. */
#include "capability/messaging/messaging_rig.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>

struct here {
    uv_loop_t loop;
    rd_kafka_t *kafka;
    rd_kafka_mock_cluster_t *cluster;
    char hosts[256];
};

static void here_init(struct here *here, int partitions)
{
    char text[256];
    *here = (struct here){0};
    uv_loop_init(&here->loop);
    here->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    CHECK(here->kafka);
    here->cluster = rd_kafka_mock_cluster_new(here->kafka, 1);
    CHECK(here->cluster);
    rd_kafka_mock_topic_create(here->cluster, "things", partitions, 1);
    snprintf(here->hosts, sizeof here->hosts, "%s", rd_kafka_mock_cluster_bootstraps(here->cluster));
}

static void here_deinit(struct here *here)
{
    end_loop(&here->loop); /* all clients have left */
    rd_kafka_mock_cluster_destroy(here->cluster);
    rd_kafka_destroy(here->kafka);
}

static void rig_init(struct here *here, struct messaging_rig *rig, bool is_first)
{
    messaging_rig_init(rig, &here->loop, &wisp_messaging_kafka, NULL, NULL, NULL, "NHOST", is_first);
}

static void put(struct here *here, struct messaging_rig *rig, const char *more)
{
    char config[1024];
    snprintf(config, sizeof config, "{\"hosts\":\"%s\",\"topic\":\"things\"%s}", here->hosts, more);
    CHECK_OK(rig_put(rig, false, "default", config), &rig->err);
}

static void publish(struct here *here, struct messaging_rig *rig, const char *body)
{
    struct messaging_call call;
    rig_publish(rig, &call, "things", body);
    AWAIT(&here->loop, call.is_done);
    CHECK_TEXT(call.text, "");
    CHECK(!call.is_err && !call.err.kind);
}

/* A new consumer starts where the topic ends; so one publishes until it hears. */
static void await_consumers(struct here *here, struct messaging_rig *publisher, struct messaging_rig *consumers, int n)
{
    for (int i = 0; i < n; i++)
        while (!consumers[i].n_given) {
            publish(here, publisher, "warm");
            uv_run(&here->loop, UV_RUN_NOWAIT);
            usleep(20000);
        }
}

static size_t count(const struct messaging_rig *rig, const char *body)
{
    size_t n = 0;
    for (size_t i = 0; i < rig->n_given; i++) n += strcmp(rig->given[i].body, body) == 0;
    return n;
}

TEST(publish_and_consume)
{
    struct here here;
    struct messaging_rig rig;
    struct messaging_call call;
    here_init(&here, 4);
    rig_init(&here, &rig, true);
    put(&here, &rig, "");
    await_consumers(&here, &rig, &rig, 1);
    CHECK_TEXT(rig.given[0].subject, "things");
    CHECK_TEXT(rig.given[0].reply, "things.reply");
    for (int i = 0; i < 100; i++) publish(&here, &rig, "x");
    AWAIT(&here.loop, count(&rig, "x") == 100);
    CHECK_INT(rig.n_open_max, 1);
    rig_request(&rig, &call, "things", "hello", 1000);
    AWAIT(&here.loop, call.is_done);
    CHECK(call.is_err);
    CHECK_HAS(call.text, "no requests");
    rig_publish(&rig, &call, "no topic", "hello");
    AWAIT(&here.loop, call.is_done);
    CHECK_HAS(call.text, "is no topic");
    rig_publish(&rig, &call, "things", "hello");
    if (!call.is_done) wisp_provider_call_cancel(call.call);
    messaging_rig_deinit(&rig);
    here_deinit(&here);
}

/* What the group has committed of the only partition, and where that ends. */
static void look_at_group(struct here *here, int64_t *ret_committed, int64_t *ret_end)
{
    char text[256];
    int64_t low;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    CHECK(!rd_kafka_conf_set(conf, "group.id", "g", text, sizeof text));
    CHECK(!rd_kafka_conf_set(conf, "bootstrap.servers", here->hosts, text, sizeof text));
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    CHECK(kafka);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "things", 0);
    CHECK_INT(rd_kafka_committed(kafka, list, 10000), 0);
    *ret_committed = list->elems[0].offset;
    CHECK_INT(rd_kafka_query_watermark_offsets(kafka, "things", 0, &low, ret_end, 10000), 0);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(kafka);
}

/* What was handled is committed when the worker leaves. */
TEST(group_commits)
{
    struct here here;
    struct messaging_rig rig;
    int64_t committed, end;
    here_init(&here, 1);
    rig_init(&here, &rig, false);
    put(&here, &rig, ",\"consumer_group\":\"g\",\"max_in_flight\":\"8\"");
    await_consumers(&here, &rig, &rig, 1);
    for (int i = 0; i < 50; i++) publish(&here, &rig, "x");
    AWAIT(&here.loop, count(&rig, "x") == 50 && rig.n_open == 0);
    messaging_rig_deinit(&rig);
    while (uv_run(&here.loop, UV_RUN_ONCE)) {
    }
    look_at_group(&here, &committed, &end);
    CHECK_INT(committed, end);
    here_deinit(&here);
}

/* The workers of a group share the partitions. */
TEST(group_shares)
{
    struct here here;
    struct messaging_rig rigs[2];
    here_init(&here, 8);
    for (int i = 0; i < 2; i++) {
        rig_init(&here, &rigs[i], i == 0);
        put(&here, &rigs[i], ",\"consumer_group\":\"g\"");
    }
    await_consumers(&here, &rigs[0], rigs, 2);
    for (int i = 0; i < 50; i++) publish(&here, &rigs[0], "x");
    AWAIT(&here.loop, count(&rigs[0], "x") + count(&rigs[1], "x") >= 50);
    AWAIT(&here.loop, rigs[0].n_open + rigs[1].n_open == 0);
    CHECK_INT(count(&rigs[0], "x") + count(&rigs[1], "x"), 50);
    for (int i = 0; i < 2; i++) messaging_rig_deinit(&rigs[i]);
    here_deinit(&here);
}

/* Without one, only the first worker reads; with named partitions, those. */
TEST(first_worker_and_partitions)
{
    struct here here;
    struct messaging_rig rigs[2];
    here_init(&here, 3);
    for (int i = 0; i < 2; i++) {
        rig_init(&here, &rigs[i], i == 0);
        put(&here, &rigs[i], ",\"consumer_partitions\":\"0, 2\",\"producer_partitions\":\"0,1,2\"");
    }
    await_consumers(&here, &rigs[0], &rigs[0], 1);
    for (int i = 0; i < 10; i++) publish(&here, &rigs[1], "x");
    AWAIT(&here.loop, count(&rigs[0], "x") == 20);
    CHECK_INT(rigs[1].n_given, 0);
    for (int i = 0; i < 2; i++) messaging_rig_deinit(&rigs[i]);
    here_deinit(&here);
}

TEST(broker_goes_and_comes)
{
    struct here here;
    struct messaging_rig rig;
    struct messaging_call call;
    here_init(&here, 1);
    rig_init(&here, &rig, true);
    put(&here, &rig, "");
    await_consumers(&here, &rig, &rig, 1);
    CHECK_INT(rd_kafka_mock_broker_set_down(here.cluster, 1), 0);
    rig_publish(&rig, &call, "things", "x");
    for (int i = 0; i < 20; i++) {
        uv_run(&here.loop, UV_RUN_NOWAIT);
        usleep(5000);
    }
    CHECK(!call.is_done);
    CHECK_INT(rd_kafka_mock_broker_set_up(here.cluster, 1), 0);
    AWAIT(&here.loop, call.is_done && count(&rig, "x") >= 1);
    CHECK(!call.is_err);
    messaging_rig_deinit(&rig);
    here_deinit(&here);
}

TEST(settings_that_cannot_be)
{
    struct here here;
    struct messaging_rig rig;
    here_init(&here, 1);
    rig_init(&here, &rig, true);
    CHECK_FAILS(rig_put(&rig, false, "default", "{\"topic\":\"a b\"}"), INVALID);
    CHECK_FAILS(rig_put(&rig, false, "default", "{\"consumer_partitions\":\"0,x\"}"), INVALID);
    CHECK_FAILS(rig_put(&rig, false, "default", "{\"producer_partitions\":\"99999999999\"}"), INVALID);
    CHECK_FAILS(rig_put(&rig, false, "default", "{\"max_in_flight\":\"0\"}"), INVALID);
    messaging_rig_deinit(&rig);
    here_deinit(&here);
}

/* Brokers that give a producer no numbers, and later do. */
TEST(a_producer_that_gave_up_is_replaced)
{
    enum { INIT_PRODUCER_ID = 22 };
    struct here here;
    struct messaging_rig rig;
    struct messaging_call call;
    here_init(&here, 1);
    rd_kafka_mock_push_request_errors(here.cluster, INIT_PRODUCER_ID, 1,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    rig_init(&here, &rig, true);
    put(&here, &rig, "");
    rig_publish(&rig, &call, "things", "lost"); /* or kept, if it came after the refusal */
    AWAIT(&here.loop, call.is_done);
    publish(&here, &rig, "kept");
    messaging_rig_deinit(&rig);
    here_deinit(&here);
}
