/* SPDX-License-Identifier: Apache-2.0 */
/* A Kafka client for kafka_test.py, by librdkafka, whose answers are lines:
 *
 *     kafka_peer BROKER create TOPIC PARTITIONS
 *     kafka_peer BROKER produce TOPIC            lines of standard input, spread over the partitions
 *     kafka_peer BROKER consume TOPIC PARTITIONS all that is there, "PARTITION TEXT"
 *     kafka_peer BROKER committed GROUP TOPIC PARTITIONS   the sum of the offsets
 *
 * Ends with 1 and a text when something can't be done within ten seconds. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 10000 };

static void check(rd_kafka_resp_err_t r, const char *what)
{
    if (!r) return;
    fprintf(stderr, "%s: %s\n", what, rd_kafka_err2str(r));
    exit(1);
}

static rd_kafka_t *make(rd_kafka_type_t type, const char *broker, const char *group)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", broker, text, sizeof text);
    rd_kafka_conf_set(conf, "enable.partition.eof", "true", text, sizeof text);
    rd_kafka_conf_set(conf, "message.timeout.ms", "10000", text, sizeof text);
    if (group) rd_kafka_conf_set(conf, "group.id", group, text, sizeof text);
    rd_kafka_t *kafka = rd_kafka_new(type, conf, text, sizeof text);
    if (kafka) return kafka;
    fprintf(stderr, "%s\n", text);
    exit(1);
}

static void create(const char *broker, const char *topic, int n_partitions)
{
    char text[256];
    rd_kafka_t *kafka = make(RD_KAFKA_PRODUCER, broker, NULL);
    rd_kafka_NewTopic_t *made = rd_kafka_NewTopic_new(topic, n_partitions, 1, text, sizeof text);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka);
    size_t n;
    rd_kafka_CreateTopics(kafka, &made, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    check(event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT, "create");
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    check(n == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR_UNKNOWN, "create");
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(made);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(kafka);
}

static void produce(const char *broker, const char *topic)
{
    char line[65536];
    rd_kafka_t *kafka = make(RD_KAFKA_PRODUCER, broker, NULL);
    while (fgets(line, sizeof line, stdin))
        check(rd_kafka_producev(kafka, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                RD_KAFKA_V_VALUE(line, strcspn(line, "\n")), RD_KAFKA_V_END),
              "produce");
    check(rd_kafka_flush(kafka, WAIT_MS), "produce");
    rd_kafka_destroy(kafka);
}

static rd_kafka_topic_partition_list_t *partitions_of(const char *topic, int n, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
    for (int i = 0; i < n; i++) rd_kafka_topic_partition_list_add(list, topic, i)->offset = offset;
    return list;
}

static void consume(const char *broker, const char *topic, int n_partitions)
{
    rd_kafka_t *kafka = make(RD_KAFKA_CONSUMER, broker, "kafka_peer");
    rd_kafka_topic_partition_list_t *list = partitions_of(topic, n_partitions, RD_KAFKA_OFFSET_BEGINNING);
    check(rd_kafka_assign(kafka, list), "consume");
    rd_kafka_topic_partition_list_destroy(list);
    for (int n_left = n_partitions; n_left;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(kafka, WAIT_MS);
        if (!message) check(RD_KAFKA_RESP_ERR__TIMED_OUT, "consume");
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            n_left--;
        else if (!message->err)
            printf("%d %.*s\n", message->partition, (int)message->len, (const char *)message->payload);
        else if (message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            check(message->err, "consume");
        rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(kafka);
    rd_kafka_destroy(kafka);
}

static void committed(const char *broker, const char *group, const char *topic, int n_partitions)
{
    rd_kafka_t *kafka = make(RD_KAFKA_CONSUMER, broker, group);
    rd_kafka_topic_partition_list_t *list = partitions_of(topic, n_partitions, RD_KAFKA_OFFSET_INVALID);
    long long sum = 0;
    check(rd_kafka_committed(kafka, list, WAIT_MS), "committed");
    for (int i = 0; i < list->cnt; i++) sum += list->elems[i].offset > 0 ? list->elems[i].offset : 0;
    printf("%lld\n", sum);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(kafka);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 3 ? argv[2] : "";
    if (!strcmp(verb, "create") && argc == 5)
        create(argv[1], argv[3], atoi(argv[4]));
    else if (!strcmp(verb, "produce") && argc == 4)
        produce(argv[1], argv[3]);
    else if (!strcmp(verb, "consume") && argc == 5)
        consume(argv[1], argv[3], atoi(argv[4]));
    else if (!strcmp(verb, "committed") && argc == 6)
        committed(argv[1], argv[3], argv[4], atoi(argv[5]));
    else
        return 2;
    return 0;
}
