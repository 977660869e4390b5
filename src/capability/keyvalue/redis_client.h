/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a Redis server that is made again whenever it is lost. hiredis reads replies; the rest is here, since
 * its own asynchronous client looks names up in the loop's thread and knows no TLS.
 *
 * Requests go out in the order they were made, many at a time, and what is asked while there is no connection waits.
 * One loop, one thread; callbacks come from the loop only. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <uv.h>

#include <hiredis/hiredis.h>

struct wisp_redis;
struct wisp_redis_request;

/* redis://[USER[:PASSWORD]@]HOST[:PORT][/DB], or rediss:// for TLS; parts may be percent-encoded. INVALID, which does
 * not repeat the text, for what is none. Begins to connect. */
int wisp_redis_new(struct wisp_redis **ret_client, uv_loop_t *loop, struct wisp_str url, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Without callbacks; requests are gone. Its handles close in the loop's next turns. NULL is fine. */
void wisp_redis_free(struct wisp_redis *client);
bool wisp_redis_is_connected(const struct wisp_redis *client);
/* "redis://HOST:PORT", for people. */
const char *wisp_redis_name(const struct wisp_redis *client);

/* `reply` is valid during the callback and no error. With `err` there is none: INVALID or DENIED (the server said so),
 * UNAVAILABLE (not connected for too long, or the connection was lost before the answer: it may have been done). */
typedef void wisp_redis_on_reply(const struct redisReply *reply, const struct wisp_err *err, void *env);
/* Copies the words. `is_repeatable`: asked again when the connection is lost before the answer. The callback comes
 * exactly once unless cancelled. LIMIT when too much is waiting. */
int wisp_redis_send(struct wisp_redis *client, const struct wisp_str *words, size_t n, bool is_repeatable,
                    wisp_redis_on_reply *on_reply, void *env, struct wisp_redis_request **ret_request,
                    struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_redis_cancel(struct wisp_redis_request *request);

/* Makes it a connection for messages: as often as it is made it subscribes to these channels, and nothing may be sent
 * over it. Right after wisp_redis_new; the channels are copied. */
typedef void wisp_redis_on_message(struct wisp_str channel, struct wisp_str message, void *env);
void wisp_redis_subscribe(struct wisp_redis *client, const struct wisp_str *channels, size_t n,
                          wisp_redis_on_message *on_message, void *env);
uint32_t wisp_redis_db(const struct wisp_redis *client);
