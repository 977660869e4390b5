/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:blobstore@0.2.0-draft as guests see it: containers and values are objects. Shared by guest.c (blobstore,
 * container) and guest_value.c (types). Whatever goes wrong on the way is the interface's error, a text. */
#pragma once

#include "capability/blobstore/blobstore.h"
#include "component/host.h"

/* Calls the link's target. 0, or negative: return it at once. Every result begins as struct wisp_blobstore_result when
 * it is an error, also one of the transport; its text is in the call's arena. */
int wisp_blobstore_ask(struct wisp_call *call, enum wisp_blobstore_func func, const void *args, void *result)
    __attribute__((warn_unused_result));
/* The outcome of a status, waiting for it. Closes it. As above. */
int wisp_blobstore_await(struct wisp_call *call, struct wisp_wrpc_reader *status,
                         struct wisp_blobstore_result *ret_result) __attribute__((warn_unused_result));
/* That it has something to say wakes the invocation. */
void wisp_blobstore_wake_by(struct wisp_call *call, struct wisp_wrpc_reader *reader);

/* --- guest_value.c --- */

struct wisp_blobstore_outgoing; /* outgoing-value */
struct wisp_blobstore_incoming; /* incoming-value */

int wisp_blobstore_outgoing_give(struct wisp_call *call, struct wisp_blobstore_outgoing *value,
                                 struct wisp_blobstore_id id, struct wisp_blobstore_result *ret_result)
    __attribute__((warn_unused_result));
/* Takes the readers. */
struct wisp_blobstore_incoming *wisp_blobstore_incoming_new(struct wisp_call *call,
                                                            const struct wisp_blobstore_data_args *args,
                                                            struct wisp_wrpc_reader *data,
                                                            struct wisp_wrpc_reader *status);
