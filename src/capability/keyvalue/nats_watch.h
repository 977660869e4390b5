/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of a KV bucket for a link that watches them, by a consumer of its stream. After a lost connection it goes on
 * where it was: of a key that changed meanwhile, the last change is told (all that buckets without history have). */
#pragma once

#include "bus/client.h"
#include "capability/keyvalue/watch.h"

struct wisp_nats_watch;
/* `bus` is borrowed. INVALID for settings that can't be: `watch`, `bucket` ("default"), `js_domain`. A bucket that is
 * not there yet is waited for. */
int wisp_nats_watch_new(struct wisp_nats_watch **ret_watch, const struct wisp_provider_link *link,
                        struct wisp_bus_client *bus, struct wisp_err *err) __attribute__((warn_unused_result));
/* NULL is fine. */
void wisp_nats_watch_free(struct wisp_nats_watch *watch);
