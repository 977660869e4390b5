/* SPDX-License-Identifier: Apache-2.0 */
/* Redis' keyspace notifications for a link that watches keys. What happens while there is no connection is not told. */
#pragma once

#include "capability/keyvalue/redis_client.h"
#include "capability/keyvalue/watch.h"

struct wisp_redis_watch;
/* `redis` is borrowed: values are read by it. INVALID for settings that can't be. */
int wisp_redis_watch_new(struct wisp_redis_watch **ret_watch, const struct wisp_provider_link *link,
                         struct wisp_redis *redis, struct wisp_str url, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* NULL is fine. */
void wisp_redis_watch_free(struct wisp_redis_watch *watch);
