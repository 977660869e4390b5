/* SPDX-License-Identifier: Apache-2.0 */
/* One connection's bytes: name, socket, TLS. */
#pragma once

#include "capability/keyvalue/redis_url.h"

#include <uv.h>

struct wisp_redis_link;

/* All come from the loop. After on_lost only close may follow. */
struct wisp_redis_link_events {
    void (*on_open)(void *env);
    void (*on_bytes)(struct wisp_str bytes, void *env);
    void (*on_writable)(void *env); /* an earlier write is done */
    void (*on_lost)(const struct wisp_err *err, void *env);
};

/* Begins to connect. `address` and `events` are borrowed for its life. */
struct wisp_redis_link *wisp_redis_link_new(uv_loop_t *loop, const struct wisp_redis_address *address,
                                            const struct wisp_redis_link_events *events, void *env);
/* No event comes after it, handles close in the loop's next turns. NULL is fine. */
void wisp_redis_link_close(struct wisp_redis_link *link);
/* Writes what is in `out` and empties it, or leaves it: then on_writable follows. A failure is permanent. */
int wisp_redis_link_send(struct wisp_redis_link *link, struct wisp_buf *out, struct wisp_err *err)
    __attribute__((warn_unused_result));
