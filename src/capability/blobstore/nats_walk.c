/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a stream, by a consumer that is asked for some at a time, so that no more come than are wanted. A
 * consumer that is gone, with its server or since nobody asked it for long, is made anew where the last one ended. */
#include "capability/blobstore/nats_priv.h"

#include <stdlib.h>

enum {
    STATUS_HEARTBEAT = 100,
    STATUS_NONE = 404,
    IDLE_S = 60, /* the server forgets a consumer that nobody asks */
};

struct wisp_objects_walk {
    struct wisp_link link; /* in the store's */
    struct wisp_objects *objects;
    struct wisp_objects_walk_options options;
    char *bucket, *filter, *consumer; /* consumer NULL: none yet */
    struct wisp_bus_subscription *subscription;
    char inbox[WISP_BUS_INBOX_MAX];
    struct wisp_objects_ask *ask;
    uint64_t next;     /* sequence; those before have been seen */
    unsigned n_wanted; /* of this batch */
    uint64_t heard_ms;
    unsigned n_begun; /* consumers, since the last message */
};

static void begin(struct wisp_objects_walk *walk);

static void leave_consumer(struct wisp_objects_walk *walk)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    struct wisp_err err = {0};
    wisp_bus_unsubscribe(WISP_TAKE(walk->subscription));
    if (!walk->consumer) return;
    wisp_buf_printf(&subject, "%s.CONSUMER.DELETE.OBJ_%s.%s", walk->objects->api, walk->bucket, walk->consumer);
    (void)!wisp_bus_publish(walk->objects->bus, wisp_buf_str(&subject), WISP_STR(""), NULL, 0, WISP_STR(""), &err);
    free(WISP_TAKE(walk->consumer));
}

static void end(struct wisp_objects_walk *walk, const struct wisp_err *err)
{
    wisp_ring_remove(&walk->link);
    leave_consumer(walk);
    walk->options.on_end(err, walk->options.env);
}

static void begin_again(struct wisp_objects_walk *walk)
{
    enum { TIMES_MAX = 10 };
    struct wisp_err err = {0};
    leave_consumer(walk);
    if (walk->n_begun < TIMES_MAX) {
        begin(walk);
        return;
    }
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "JetStream has no consumer that stays");
    end(walk, &err);
}

static void pull(struct wisp_objects_walk *walk)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0}, payload = {0};
    struct wisp_err err = {0};
    walk->n_wanted = walk->options.batch;
    walk->heard_ms = uv_now(walk->objects->provider->loop);
    wisp_buf_printf(&subject, "%s.CONSUMER.MSG.NEXT.OBJ_%s.%s", walk->objects->api, walk->bucket, walk->consumer);
    wisp_buf_printf(&payload, "{\"batch\":%u,\"no_wait\":true}", walk->options.batch);
    if (wisp_bus_publish(walk->objects->bus, wisp_buf_str(&subject), wisp_str_from(walk->inbox), NULL, 0,
                         wisp_buf_str(&payload), &err) < 0)
        end(walk, &err);
}

void wisp_objects_walk_pull(struct wisp_objects_walk *walk)
{
    if (walk->n_wanted) return;
    if (walk->consumer)
        pull(walk);
    else if (!walk->ask)
        begin(walk);
}

static void on_delivery(const struct wisp_bus_message *message, void *env)
{
    struct wisp_objects_walk *walk = env;
    struct wisp_state_js_position position;
    walk->heard_ms = uv_now(walk->objects->provider->loop);
    if (message->status == STATUS_HEARTBEAT) return;
    if (message->status == STATUS_NONE) {
        end(walk, NULL);
        return;
    }
    if (message->status || wisp_state_js_parse_position(message->reply, &position, NULL) < 0) {
        begin_again(walk);
        return;
    }
    walk->n_begun = 0;
    if (walk->n_wanted) walk->n_wanted--;
    if (position.stream_sequence >= walk->next) {
        walk->next = position.stream_sequence + 1;
        walk->options.on_message(message->payload, walk->options.env);
    }
    if (!position.pending)
        end(walk, NULL);
    else if (!walk->n_wanted)
        walk->options.on_batch(walk->options.env);
}

static void on_consumer(const json_t *answer, const struct wisp_err *failure, void *env)
{
    struct wisp_objects_walk *walk = env;
    struct wisp_str name = wisp_json_str(answer, "name");
    struct wisp_err err = {0};
    walk->ask = NULL;
    if (failure && failure->kind == WISP_ERR_NOT_FOUND) {
        wisp_err_set(&err, WISP_ERR_NOT_FOUND, "container `%s` does not exist", walk->bucket);
        end(walk, &err);
    } else if (failure) {
        end(walk, failure);
    } else if (!wisp_nats_is_name(name)) {
        wisp_err_set(&err, WISP_ERR_INVALID, "JetStream made a consumer without a name");
        end(walk, &err);
    } else {
        walk->consumer = wisp_mem_dup(name);
        if (wisp_json_u64(answer, "num_pending", 0))
            pull(walk);
        else
            end(walk, NULL);
    }
}

static json_t *consumer_config(const struct wisp_objects_walk *walk)
{
    bool is_last_only = walk->options.is_last_only, is_first = walk->next <= 1;
    json_t *config = json_pack("{s:s, s:s, s:s, s:b, s:i, s:I, s:s}", "ack_policy", "none", "filter_subject",
                               walk->filter, "replay_policy", "instant", "mem_storage", 1, "num_replicas", 1,
                               "inactive_threshold", (json_int_t)IDLE_S * 1000000000, "deliver_policy",
                               is_last_only ? "last_per_subject"
                               : is_first   ? "all"
                                            : "by_start_sequence");
    if (!is_last_only && !is_first) json_object_set_new(config, "opt_start_seq", json_integer((json_int_t)walk->next));
    return json_pack("{s:s+, s:o}", "stream_name", "OBJ_", walk->bucket, "config", config);
}

static void begin(struct wisp_objects_walk *walk)
{
    struct wisp_objects *objects = walk->objects;
    WISP_CLEANUP_BUF struct wisp_buf payload = {0};
    WISP_CLEANUP_JSON json_t *config = consumer_config(walk);
    struct wisp_err err = {0};
    walk->n_begun++;
    walk->n_wanted = walk->options.batch;
    walk->heard_ms = uv_now(objects->provider->loop);
    wisp_bus_unique_subject(objects->bus, walk->inbox);
    /* Where it can't be, nothing is heard, and that ends it. */
    (void)!wisp_bus_subscribe(objects->bus, wisp_str_from(walk->inbox), WISP_STR(""), on_delivery, walk,
                              &walk->subscription, &err);
    wisp_json_print(config, &payload);
    struct wisp_objects_request request = {
        .sort = WISP_OBJECTS_READS, .payload = wisp_buf_str(&payload), .on_answer = on_consumer, .env = walk};
    walk->ask = wisp_objects_ask_api(objects, "CONSUMER.CREATE", walk->bucket, &request);
    wisp_objects_start_ticking(objects);
}

struct wisp_objects_walk *wisp_objects_walk_new(struct wisp_objects *objects,
                                                const struct wisp_objects_walk_options *options)
{
    struct wisp_objects_walk *walk = wisp_mem_calloc(1, sizeof *walk);
    walk->objects = objects;
    walk->options = *options;
    walk->bucket = wisp_mem_dup(wisp_str_from(options->bucket));
    walk->filter = wisp_mem_dup(wisp_str_from(options->subject));
    walk->next = 1;
    wisp_ring_append(&objects->walks, &walk->link);
    begin(walk);
    return walk;
}

void wisp_objects_walk_free(struct wisp_objects_walk *walk)
{
    if (!walk) return;
    wisp_ring_remove(&walk->link);
    wisp_objects_cancel(walk->ask);
    leave_consumer(walk);
    free(walk->bucket);
    free(walk->filter);
    free(walk);
}

/* Those of whom nothing was heard for too long. */
void wisp_objects_tick_walks(struct wisp_objects *objects)
{
    struct wisp_err err = {0};
    WISP_RING_EACH(at, &objects->walks)
    {
        struct wisp_objects_walk *walk = WISP_OWNER(at, struct wisp_objects_walk, link);
        bool is_waiting = walk->n_wanted && !walk->ask;
        if (!is_waiting || uv_now(objects->provider->loop) - walk->heard_ms < WISP_OBJECTS_WAIT_MS) continue;
        wisp_err_set(&err, WISP_ERR_TIMEOUT, "JetStream stopped telling");
        end(walk, &err);
        return; /* others may be gone with it; they have their turn */
    }
}

/* Asks in flight see to themselves. */
void wisp_objects_lose_walks(struct wisp_objects *objects)
{
    WISP_RING_EACH(at, &objects->walks)
    {
        struct wisp_objects_walk *walk = WISP_OWNER(at, struct wisp_objects_walk, link);
        if (walk->ask) continue;
        bool is_waiting = walk->n_wanted > 0;
        wisp_bus_unsubscribe(WISP_TAKE(walk->subscription));
        free(WISP_TAKE(walk->consumer));
        walk->n_wanted = 0;
        if (is_waiting) begin(walk);
    }
}
