/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the store in JetStream:
 *
 *     nats_store.c   calls, buckets, time, connections that are lost
 *     nats_keys.c    what is done about single keys, one or many
 *     nats_list.c    listing keys */
#pragma once

#include "base/ring.h"
#include "capability/keyvalue/nats_store.h"
#include "state/jetstream_wire.h"

enum { WISP_NATS_KNOWN_MAX = 64 }; /* buckets that were there when we looked */

struct wisp_keyvalue_nats {
    struct wisp_bus_client *bus;
    char *api, *put; /* "$JS.API", "" or "$JS.DOMAIN.API." */
    char *bucket;    /* NULL: the component's */
    bool is_made;
    char *known[WISP_NATS_KNOWN_MAX];
    unsigned next_known;
    struct wisp_link ops;     /* calls */
    struct wisp_link resting; /* parts that met nobody and try again: JetStream is the last to be up again */
    uv_timer_t *timer;        /* runs while some rest or list */
    struct wisp_bus_watch watch;
};

/* What is done about one key. */
struct wisp_nats_part {
    struct wisp_nats_op *op;
    size_t index;
    struct wisp_link link; /* in the store's resting */
    struct wisp_bus_request *request;
    bool is_writing;
    uint64_t sum, revision; /* increment: what is being written, and over what */
};

/* A call. In its arena. */
struct wisp_nats_op {
    struct wisp_link link; /* in the store's */
    struct wisp_keyvalue_nats *store;
    struct wisp_provider_call *call;
    enum wisp_keyvalue_verb verb;
    const void *args;
    char *bucket, *prefix;            /* prefix: "$KV.BUCKET." */
    struct wisp_bus_request *request; /* about the bucket */
    struct wisp_nats_part *parts;
    struct wisp_keyvalue_maybe_pair *values;
    size_t n, n_begun, n_done, size;
    unsigned n_swaps;
    uint64_t deadline_ms; /* for trying again */
    /* list-keys */
    struct wisp_bus_subscription *delivery;
    struct wisp_str *keys;
    size_t n_keys, capacity;
    uint64_t cursor, heard_ms;
};

/* Nothing comes any more for it; its call is to be answered. */
struct wisp_provider_call *wisp_nats_op_stop(struct wisp_nats_op *op);
/* Answers; the next call looks whether the bucket is still there. */
void wisp_nats_op_fail(struct wisp_nats_op *op, const struct wisp_err *err);
/* A request to JetStream's API about the bucket: "STREAM.INFO". */
int wisp_nats_op_ask(struct wisp_nats_op *op, const char *what, struct wisp_str payload, wisp_bus_on_reply *on_reply,
                     void *env, struct wisp_bus_request **ret_request, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_nats_start_ticking(struct wisp_keyvalue_nats *store);

/* Each goes on until the call is answered. */
void wisp_nats_op_begin_keys(struct wisp_nats_op *op);
int wisp_nats_op_list(struct wisp_nats_op *op, struct wisp_err *err) __attribute__((warn_unused_result));
/* Again, after nobody was there or the connection was lost. */
int wisp_nats_part_begin(struct wisp_nats_part *part, struct wisp_err *err) __attribute__((warn_unused_result));
/* The connection was lost: what was only read is asked again. False: nobody knows whether it was written. */
bool wisp_nats_part_begin_again(struct wisp_nats_part *part);
