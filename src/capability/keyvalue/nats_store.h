/* SPDX-License-Identifier: Apache-2.0 */
/* KV buckets of JetStream over a bus client, as NATS clients keep them: KV_BUCKET is the stream, $KV.BUCKET.KEY a key's
 * subject, the last message its value. Reads ask the stream's leader, so that one reads what one has written.
 *
 * Keys are those that NATS allows. Cursors of list-keys are stream sequences: a key that is written between two pages
 * is listed again, one that is not is listed exactly once. */
#pragma once

#include "bus/client.h"
#include "capability/keyvalue/keyvalue.h"

struct wisp_keyvalue_nats;

struct wisp_keyvalue_nats_options {
    struct wisp_bus_client *bus; /* borrowed */
    struct wisp_str js_domain;   /* may be empty */
    struct wisp_str bucket;      /* empty: the one the component names */
    bool is_made;                /* buckets that are not there are made */
};

/* INVALID for a domain or bucket that can't be. */
int wisp_keyvalue_nats_new(struct wisp_keyvalue_nats **ret_store, uv_loop_t *loop,
                           const struct wisp_keyvalue_nats_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* There are no calls. NULL is fine. */
void wisp_keyvalue_nats_free(struct wisp_keyvalue_nats *store);
void wisp_keyvalue_nats_run(struct wisp_keyvalue_nats *store, struct wisp_provider_call *call,
                            enum wisp_keyvalue_verb verb, const void *args);
