/* SPDX-License-Identifier: Apache-2.0 */
/* `wisp://messaging-kafka`: records of a topic for a component, and what it publishes, over librdkafka. Its threads do
 * the network; what they have for us is announced on an event descriptor.
 *
 * Each worker of a host is a member of the consumer group, so the brokers share the partitions out among them. Without
 * a group only the first worker reads. Offsets are stored in the order of arrival, when everything before has been
 * handled: after a crash records may come twice, but none is left out. */
#include "base/log.h"
#include "capability/kinds.h"
#include "capability/messaging/messaging.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    PARTITIONS_MAX = 1000,
    IN_FLIGHT_MAX = 10000,
    WAITING_MAX = 256, /* then no more is fetched */
    WAITING_BYTES_MAX = 16 << 20,
    BATCH_MAX = 100, /* events of one turn of the loop */
    FLUSH_MS = 2000,
    FATAL_MAX = 200,
    LOG_LINES_MAX = 5, /* warnings in a window */
    TICK_MS = 60000,   /* who does not poll for five minutes is put out of the group */
};

#define LOG_WINDOW_NS UINT64_C(10000000000)

/* A client of librdkafka: a consumer or a producer. */
struct client {
    rd_kafka_t *kafka;
    rd_kafka_queue_t *queue;
    int event_fd;
    uv_poll_t *poll;
    void (*serve)(struct client *client);
    struct kafka_link *link;
};

/* What both sorts of clients have. Within seconds they are back after the brokers are. */
static const char *const common_settings[][2] = {
    {"reconnect.backoff.max.ms", "1000"},
    {"topic.metadata.refresh.interval.ms", "10000"}, /* topics that are made later */
};

/* What the brokers have is there once, and in order, however often it had to be sent: enable.idempotence. A component's
 * call is not to take longer than components are waited for. */
static const char *const producer_settings[][2] = {
    {"enable.idempotence", "true"},
    {"message.timeout.ms", "8000"},
    {"topic.metadata.propagation.max.ms", "3000"},
    {"linger.ms", "0"},
    {"queue.buffering.max.messages", "10000"},
    {"queue.buffering.max.kbytes", "65536"},
};
static const char *const consumer_settings[][2] = {
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "latest"},
    {"enable.partition.eof", "true"},
    {"session.timeout.ms", "10000"},
    {"queued.max.messages.kbytes", "16384"},
    /* What a group has not committed when it loses its brokers, it is given again; one that has committed nothing begins
     * at the new end, and what came meanwhile is left out. */
    {"auto.commit.interval.ms", "500"},
};

/* A record that a component has, or has not yet. In the order of arrival. */
struct record {
    struct wisp_link link;
    int32_t partition;
    int64_t offset;
    bool is_handled;
};

/* Something that a component publishes, to one partition or several. */
struct publication {
    struct wisp_provider_call *call; /* NULL: nobody waits */
    unsigned n_left;
    bool is_failed;
    char why[256];
};

struct kafka_link {
    uv_loop_t *loop;
    char *hosts;
    struct client producer, consumer; /* consumer.kafka NULL: another worker's */
    struct wisp_inbound *inbound;
    struct wisp_link records;
    char *topic, *reply_topic;
    bool has_group;
    int32_t producer_partitions[PARTITIONS_MAX];
    size_t n_producer_partitions;
    bool is_stalled;  /* there is more, but no room */
    uv_timer_t *tick; /* of the consumer */
};

/* --- librdkafka on the loop --- */

/* From librdkafka's threads. While brokers are away it says much: so a few lines in a while, the others for who debugs.
 */
static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    static _Atomic uint64_t window;
    static _Atomic unsigned n_lines;
    uint64_t now = uv_hrtime() / LOG_WINDOW_NS;
    (void)kafka;
    (void)facility;
    if (atomic_exchange(&window, now) != now) atomic_store(&n_lines, 0);
    if (level <= 4 && atomic_fetch_add(&n_lines, 1) < LOG_LINES_MAX)
        WISP_LOG(WARN, "kafka", text);
    else
        WISP_LOG(DEBUG, "kafka", text);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct client *client = poll->data;
    uint64_t count;
    (void)status;
    (void)events;
    if (!client) return;
    if (read(client->event_fd, &count, sizeof count) < 0 && errno != EAGAIN) return;
    client->serve(client);
}

static void on_handle_closed(uv_handle_t *handle) { free(handle); }

/* Makes the loop come back to it in its next turn. */
static void nudge(struct client *client)
{
    const uint64_t one = 1;
    if (write(client->event_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        WISP_LOG(WARN, "kafka", "cannot wake the loop", WISP_INT("errno", errno));
}

static int watch(struct client *client, uv_loop_t *loop, struct wisp_err *err)
{
    const uint64_t one = 1;
    client->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (client->event_fd < 0) return wisp_err_os(err, errno, "eventfd");
    client->poll = wisp_mem_alloc(sizeof *client->poll);
    int r = uv_poll_init(loop, client->poll, client->event_fd);
    if (r < 0) {
        free(WISP_TAKE(client->poll));
        return wisp_err_set(err, WISP_ERR_OS, "watching Kafka: %s", uv_strerror(r));
    }
    client->poll->data = client;
    uv_poll_start(client->poll, UV_READABLE, on_event);
    rd_kafka_queue_io_event_enable(client->queue, client->event_fd, &one, sizeof one);
    nudge(client); /* only of what comes to an empty queue it tells, and something may be there already */
    return 0;
}

static int set(rd_kafka_conf_t *conf, const char *key, const char *value, struct wisp_err *err)
{
    char text[256];
    if (rd_kafka_conf_set(conf, key, value, text, sizeof text) == RD_KAFKA_CONF_OK) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "Kafka's `%s`: %s", key, text);
}

static int set_all(rd_kafka_conf_t *conf, const char *const settings[][2], size_t n, struct wisp_err *err)
{
    for (size_t i = 0; i < n; i++) {
        int r = set(conf, settings[i][0], settings[i][1], err);
        if (r < 0) return r;
    }
    return 0;
}

/* Takes the configuration. */
static int make_client(struct client *client, rd_kafka_type_t type, rd_kafka_conf_t *conf, struct kafka_link *link,
                       struct wisp_err *err)
{
    char text[256];
    client->event_fd = -1;
    client->link = link;
    rd_kafka_conf_set_log_cb(conf, on_log);
    client->kafka = rd_kafka_new(type, conf, text, sizeof text);
    if (client->kafka) return 0;
    rd_kafka_conf_destroy(conf);
    return wisp_err_set(err, WISP_ERR_INVALID, "Kafka: %s", text);
}

/* --- leaving it, which takes time --- */

struct farewell {
    uv_work_t work;
    rd_kafka_t *kafka;
};

static void take_reports(rd_kafka_event_t *event);

/* Nobody waits for these reports any more; taking them frees what they are about. */
static void drain(rd_kafka_t *kafka)
{
    uint64_t end_ms = uv_hrtime() / 1000000 + FLUSH_MS;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(kafka);
    while (rd_kafka_outq_len(kafka) > 0 && uv_hrtime() / 1000000 < end_ms) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 50);
        if (event && rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR) take_reports(event);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
}

static void leave(uv_work_t *work)
{
    struct farewell *farewell = WISP_OWNER(work, struct farewell, work);
    if (rd_kafka_type(farewell->kafka) == RD_KAFKA_CONSUMER) {
        rd_kafka_consumer_close(farewell->kafka);
    } else {
        drain(farewell->kafka);
        rd_kafka_purge(farewell->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        drain(farewell->kafka);
    }
    rd_kafka_destroy(farewell->kafka);
}

static void on_left(uv_work_t *work, int status)
{
    (void)status;
    free(WISP_OWNER(work, struct farewell, work));
}

static void free_client(struct client *client, uv_loop_t *loop)
{
    if (client->poll) {
        client->poll->data = NULL;
        uv_poll_stop(client->poll);
        uv_close((uv_handle_t *)client->poll, on_handle_closed);
    }
    if (client->queue) {
        rd_kafka_queue_io_event_enable(client->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(client->queue);
    }
    if (client->event_fd >= 0) close(client->event_fd);
    if (!client->kafka) return;
    struct farewell *farewell = wisp_mem_alloc(sizeof *farewell);
    farewell->kafka = client->kafka;
    if (uv_queue_work(loop, &farewell->work, leave, on_left) < 0) free(farewell); /* it never fails with callbacks */
}

/* --- records --- */

/* What has been handled from the first record on can be forgotten, by the brokers too. */
static void store_offsets(struct kafka_link *link)
{
    while (!wisp_ring_is_empty(&link->records)) {
        struct record *record = WISP_OWNER(link->records.next, struct record, link);
        if (!record->is_handled) return;
        if (link->has_group) {
            rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
            rd_kafka_topic_partition_list_add(list, link->topic, record->partition)->offset = record->offset + 1;
            rd_kafka_offsets_store(link->consumer.kafka, list); /* fails for partitions that others have now */
            rd_kafka_topic_partition_list_destroy(list);
        }
        wisp_ring_remove(&record->link);
        free(record);
    }
}

static void on_handled(void *token, void *env)
{
    struct record *record = token;
    struct kafka_link *link = env;
    record->is_handled = true;
    store_offsets(link);
    if (!link->is_stalled || !wisp_inbound_has_room(link->inbound)) return;
    link->is_stalled = false;
    nudge(&link->consumer);
}

static void take_record(struct kafka_link *link, const rd_kafka_message_t *message)
{
    struct wisp_str body = {message->payload, message->len};
    struct record *record = wisp_mem_calloc(1, sizeof *record);
    record->partition = message->partition;
    record->offset = message->offset;
    wisp_ring_append(&link->records, &record->link);
    if (!wisp_inbound_push(link->inbound, wisp_str_from(link->topic), body, wisp_str_from(link->reply_topic),
                           WISP_STR(""), record))
        on_handled(record, link);
}

/* The end of a partition is committed like a record: else a group would begin at a later end after a restart, and what
 * came meanwhile be left out. */
static void take_end(struct kafka_link *link, const rd_kafka_message_t *message)
{
    struct record *record = wisp_mem_calloc(1, sizeof *record);
    *record = (struct record){.partition = message->partition, .offset = message->offset - 1, .is_handled = true};
    wisp_ring_append(&link->records, &record->link);
    store_offsets(link);
}

static void consume(struct client *client)
{
    struct kafka_link *link = client->link;
    for (int i = 0; i < BATCH_MAX; i++) {
        if (!wisp_inbound_has_room(link->inbound)) {
            link->is_stalled = true;
            return;
        }
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client->kafka, 0);
        if (!message) return;
        if (!message->err)
            take_record(link, message);
        else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            take_end(link, message);
        else
            WISP_LOG(WARN, "kafka", "reading a topic", WISP_TEXT("topic", link->topic),
                     WISP_TEXT("error", rd_kafka_message_errstr(message)));
        rd_kafka_message_destroy(message);
    }
    nudge(client);
}

static void on_tick(uv_timer_t *tick) { nudge(tick->data); }

/* The partitions that are named, or all that the topic turns out to have: a group of one's own does that. */
static int begin_to_consume(struct kafka_link *link, const int32_t *partitions, size_t n, struct wisp_err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (size_t i = 0; i < n; i++) rd_kafka_topic_partition_list_add(list, link->topic, partitions[i]);
    if (!n) rd_kafka_topic_partition_list_add(list, link->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t r =
        n ? rd_kafka_assign(link->consumer.kafka, list) : rd_kafka_subscribe(link->consumer.kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    return r ? wisp_err_set(err, WISP_ERR_INVALID, "topic `%s`: %s", link->topic, rd_kafka_err2str(r)) : 0;
}

static int set_group(rd_kafka_conf_t *conf, const struct wisp_provider_link *link, const char *group,
                     struct wisp_err *err)
{
    char own[512];
    /* Nobody commits for it, so it begins anew each time. */
    snprintf(own, sizeof own, "wisp-%.*s-%.*s-%.*s-%.*s", WISP_STR_ARG(link->provider->host_id),
             WISP_STR_ARG(link->provider->id), WISP_STR_ARG(link->source_id), WISP_STR_ARG(link->name));
    return set(conf, "group.id", group ? group : own, err);
}

static int make_consumer(struct kafka_link *own, const struct wisp_provider_link *link, const char *group,
                         struct wisp_err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (set(conf, "bootstrap.servers", own->hosts, err) < 0 || set_group(conf, link, group, err) < 0 ||
        set(conf, "enable.auto.commit", group ? "true" : "false", err) < 0 ||
        set_all(conf, common_settings, WISP_COUNT(common_settings), err) < 0 ||
        set_all(conf, consumer_settings, WISP_COUNT(consumer_settings), err) < 0) {
        rd_kafka_conf_destroy(conf);
        return -(int)WISP_ERR_INVALID;
    }
    own->consumer.serve = consume;
    if (make_client(&own->consumer, RD_KAFKA_CONSUMER, conf, own, err) < 0) return -(int)WISP_ERR_INVALID;
    rd_kafka_poll_set_consumer(own->consumer.kafka);
    own->consumer.queue = rd_kafka_queue_get_consumer(own->consumer.kafka);
    own->tick = wisp_mem_alloc(sizeof *own->tick);
    uv_timer_init(link->provider->loop, own->tick);
    own->tick->data = &own->consumer;
    uv_timer_start(own->tick, on_tick, TICK_MS, TICK_MS);
    return watch(&own->consumer, link->provider->loop, err);
}

/* --- publishing --- */

static void end_publication(struct publication *publication)
{
    if (--publication->n_left) return;
    struct wisp_provider_call *call = publication->call;
    struct wisp_err err;
    if (call && publication->is_failed) {
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "%s", publication->why);
        wisp_messaging_return_error(call, &err);
    } else if (call) {
        const struct wisp_messaging_result result = {0};
        wisp_provider_return(call, &result);
    }
    free(publication);
}

static void fail_publication(struct publication *publication, const char *why)
{
    publication->is_failed = true;
    snprintf(publication->why, sizeof publication->why, "%s", why);
}

static void take_reports(rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;
    while ((message = rd_kafka_event_message_next(event))) {
        struct publication *publication = message->_private;
        if (message->err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)
            fail_publication(publication, "the brokers did not take the record in time");
        else if (message->err)
            fail_publication(publication, rd_kafka_err2str(message->err));
        end_publication(publication);
    }
}

static void serve_producer(struct client *client)
{
    for (int i = 0; i < BATCH_MAX; i++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(client->queue, 0);
        if (!event) return;
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
            take_reports(event);
        else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            WISP_LOG(WARN, "kafka", rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
    }
    nudge(client);
}

static int make_producer(struct kafka_link *own, struct wisp_err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (set(conf, "bootstrap.servers", own->hosts, err) < 0 ||
        set_all(conf, common_settings, WISP_COUNT(common_settings), err) < 0 ||
        set_all(conf, producer_settings, WISP_COUNT(producer_settings), err) < 0) {
        rd_kafka_conf_destroy(conf);
        return -(int)WISP_ERR_INVALID;
    }
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    own->producer.serve = serve_producer;
    if (make_client(&own->producer, RD_KAFKA_PRODUCER, conf, own, err) < 0) return -(int)WISP_ERR_INVALID;
    own->producer.queue = rd_kafka_queue_get_main(own->producer.kafka);
    return watch(&own->producer, own->loop, err);
}

/* A producer that can't keep its promise (that may not have numbers for what it sends, or whose numbers the brokers
 * have lost) does nothing any more. The next record gets a new one, once nothing of the old one is under way. */
static int ensure_producer(struct kafka_link *own, struct wisp_err *err)
{
    char text[FATAL_MAX];
    if (!own->producer.kafka) return make_producer(own, err);
    if (!rd_kafka_fatal_error(own->producer.kafka, text, sizeof text)) return 0;
    serve_producer(&own->producer); /* what it has to say is counted as under way */
    if (rd_kafka_outq_len(own->producer.kafka)) return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "Kafka: %s", text);
    free_client(&own->producer, own->loop);
    own->producer = (struct client){.event_fd = -1};
    return make_producer(own, err);
}

static bool is_topic(struct wisp_str name)
{
    if (!name.len || name.len > 249 || wisp_str_is(name, ".") || wisp_str_is(name, "..")) return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (!((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static void on_publish_cancel(struct wisp_provider_call *call)
{
    struct publication *publication = call->user;
    struct wisp_err err;
    publication->call = NULL;
    wisp_err_set(&err, WISP_ERR_CANCELLED, "nobody waits for the record any more");
    wisp_provider_fail(call, &err);
}

static void publish(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_broker_message *message = args;
    struct kafka_link *link = call->link ? call->link->state : NULL;
    struct wisp_err err;
    if (!link || !is_topic(message->subject)) {
        if (link)
            wisp_err_set(&err, WISP_ERR_INVALID, "`%.*s` is no topic", WISP_STR_ARG(message->subject));
        else
            wisp_err_set(&err, WISP_ERR_NOT_FOUND, "there is no link `%.*s`", WISP_STR_ARG(call->link_name));
        wisp_messaging_return_error(call, &err);
        return;
    }
    if (ensure_producer(link, &err) < 0) {
        wisp_messaging_return_error(call, &err);
        return;
    }
    const char *topic = wisp_arena_cstr(call->arena, message->subject);
    size_t n = link->n_producer_partitions ? link->n_producer_partitions : 1;
    struct publication *publication = wisp_mem_calloc(1, sizeof *publication);
    publication->n_left = (unsigned)n + 1; /* one is ours, until all are sent */
    publication->call = call;
    call->user = publication;
    call->on_cancel = on_publish_cancel;
    for (size_t i = 0; i < n; i++) {
        int32_t partition = link->n_producer_partitions ? link->producer_partitions[i] : RD_KAFKA_PARTITION_UA;
        rd_kafka_resp_err_t r =
            rd_kafka_producev(link->producer.kafka, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_VALUE((void *)(uintptr_t)message->body.ptr, message->body.len),
                              RD_KAFKA_V_OPAQUE(publication), RD_KAFKA_V_END);
        if (!r) continue;
        fail_publication(publication, rd_kafka_err2str(r));
        publication->n_left--;
    }
    end_publication(publication);
}

static void request(struct wisp_provider_call *call, const void *args)
{
    struct wisp_err err;
    (void)args;
    wisp_err_set(&err, WISP_ERR_UNSUPPORTED, "Kafka has no requests; publish, and read the topic of the answers");
    wisp_messaging_return_request_error(call, &err);
}

/* --- links --- */

static int read_partitions(const struct wisp_settings *settings, const char *key, int32_t *partitions, size_t *ret_n,
                           struct wisp_err *err)
{
    struct wisp_str list = wisp_settings_get(settings, key);
    while (list.len) {
        struct wisp_str part;
        int64_t number = 0;
        if (!wisp_str_split(list, ',', &part, &list)) {
            part = list;
            list.len = 0;
        }
        while (part.len && part.ptr[0] == ' ') part = (struct wisp_str){part.ptr + 1, part.len - 1};
        while (part.len && part.ptr[part.len - 1] == ' ') part.len--;
        if (!part.len) continue;
        for (size_t i = 0; i < part.len && number <= INT32_MAX; i++) {
            if (part.ptr[i] < '0' || part.ptr[i] > '9')
                number = INT64_MAX / 16;
            else
                number = number * 10 + (part.ptr[i] - '0');
        }
        if (number > INT32_MAX || *ret_n == PARTITIONS_MAX)
            return wisp_err_set(err, WISP_ERR_INVALID, "`%s` is no list of partitions, at most %d", key,
                                PARTITIONS_MAX);
        partitions[(*ret_n)++] = (int32_t)number;
    }
    return 0;
}

static char *text_of(const struct wisp_settings *settings, const char *key, const char *otherwise,
                     struct wisp_arena *arena)
{
    struct wisp_str value = wisp_settings_get(settings, key);
    if (!value.len) return otherwise ? wisp_arena_cstr(arena, wisp_str_from(otherwise)) : NULL;
    return wisp_arena_cstr(arena, value);
}

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    struct kafka_link *own = WISP_TAKE(link->state);
    if (!own) return;
    wisp_inbound_free(own->inbound);
    if (own->tick) uv_close((uv_handle_t *)own->tick, on_handle_closed);
    WISP_RING_EACH(at, &own->records) free(WISP_OWNER(at, struct record, link));
    free_client(&own->consumer, provider->loop);
    free_client(&own->producer, provider->loop);
    free(own->hosts);
    free(own->topic);
    free(own->reply_topic);
    free(own);
}

static int open_link(struct wisp_provider_link *link, struct kafka_link *own, struct wisp_arena *arena,
                     struct wisp_err *err)
{
    const struct wisp_settings *settings = &link->settings;
    const char *hosts = text_of(settings, "hosts", "127.0.0.1:9092", arena);
    const char *topic = text_of(settings, "topic", "my-topic", arena);
    const char *group = text_of(settings, "consumer_group", NULL, arena);
    int32_t *partitions = WISP_NEW_ARRAY(arena, int32_t, PARTITIONS_MAX);
    size_t n_partitions = 0;
    uint64_t in_flight;
    if (!is_topic(wisp_str_from(topic))) return wisp_err_set(err, WISP_ERR_INVALID, "`topic`: `%s` is none", topic);
    if (read_partitions(settings, "consumer_partitions", partitions, &n_partitions, err) < 0 ||
        read_partitions(settings, "producer_partitions", own->producer_partitions, &own->n_producer_partitions, err) <
            0 ||
        wisp_settings_uint(settings, "max_in_flight", 1, &in_flight, err) < 0)
        return -(int)WISP_ERR_INVALID;
    if (!in_flight || in_flight > IN_FLIGHT_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "`max_in_flight` is not from 1 to %d", IN_FLIGHT_MAX);
    own->loop = link->provider->loop;
    own->hosts = wisp_mem_dup(wisp_str_from(hosts));
    own->topic = wisp_mem_dup(wisp_str_from(topic));
    own->reply_topic = wisp_mem_dup(wisp_str_from(wisp_arena_printf(arena, "%s.reply", topic)));
    own->has_group = group != NULL;
    int r = make_producer(own, err);
    bool is_ours = group && !n_partitions ? true : link->provider->is_first;
    if (r < 0 || !is_ours) return r;
    struct wisp_inbound_options options = {.in_flight_max = (size_t)in_flight,
                                           .waiting_max = WAITING_MAX,
                                           .waiting_bytes_max = WAITING_BYTES_MAX,
                                           .on_handled = on_handled,
                                           .env = own};
    own->inbound = wisp_inbound_new(link->provider, link->source_id, &options);
    r = make_consumer(own, link, group, err);
    return r < 0 ? r : begin_to_consume(own, partitions, n_partitions, err);
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    if (link->is_source) return 0; /* records go where publishing comes from */
    struct kafka_link *own = wisp_mem_calloc(1, sizeof *own);
    own->producer.event_fd = own->consumer.event_fd = -1;
    wisp_ring_init(&own->records);
    link->state = own;
    int r = open_link(link, own, &arena, err);
    if (r < 0) del_link(provider, link);
    return r;
}

static const struct wisp_provider_func consumer_funcs[] = {
    {"request", WISP_MESSAGING_REQUEST, request,
     WISP_HOST_SIZES(struct wisp_messaging_request_args, struct wisp_messaging_request_result)},
    {"publish", WISP_MESSAGING_PUBLISH, publish,
     WISP_HOST_SIZES(struct wisp_broker_message, struct wisp_messaging_result)},
};
static const struct wisp_provider_interface consumer_interface = {.name = "wasmcloud:messaging/consumer@0.2.0",
                                                                  .funcs = consumer_funcs,
                                                                  .n_funcs = WISP_COUNT(consumer_funcs),
                                                                  .types = wisp_messaging_types};
static const struct wisp_provider_interface *const exports[] = {&consumer_interface};
static const struct wisp_provider_interface *const imports[] = {&wisp_messaging_handler};

const struct wisp_provider_kind wisp_messaging_kafka = {
    .name = "messaging-kafka",
    .about = "Kafka: records of a topic, and publishing to any",
    .exports = exports,
    .n_exports = WISP_COUNT(exports),
    .imports = imports,
    .n_imports = WISP_COUNT(imports),
    .put_link = put_link,
    .del_link = del_link,
};
