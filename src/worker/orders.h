/* SPDX-License-Identifier: Apache-2.0 */
/* What the control process of a host and its workers say to each other while they run: frames of one JSON object each,
 * some with a descriptor attached, over a Unix socket pair. Reader and writer are the same program; a reader checks
 * lengths and kinds all the same.
 *
 * Control to worker. All are idempotent: a worker that is started later gets the same ones and ends up the same.
 *
 *     {"do":"component", "id", "generation":N, "slot":N, "path", "digest", "reference",
 *      "instances_max":N, "queue_max":N, "memory_bytes_max":N, "timeout_ms":N, "body_bytes_max":N,
 *      "config":{K:V}, "secrets":{K: string | {"bytes": base64}}, "links":[{"name","interface","target"}],
 *      "policy_target": JSON as text, how a policy service knows it; needed when there is one}
 *          runs it. The same generation again: new limits, config, secrets, links for what runs already, from the next
 *          invocation on. Another generation: the new code takes over when it is ready, the old one finishes what is in
 *          flight. `slot` is its place in the shared memory (shared.h).
 *     {"do":"remove", "id"}                    takes no more calls; what is in flight finishes
 *     {"do":"provider", "id", "kind", "config":{K:V}, "secrets":{K: string | {"bytes": base64}}, "links":[LINK, ...],
 *      "data_path"}
 *          runs an instance of a kind of provider (capability/capability.h), or changes it: what is said is all of it.
 *          Worker 0 does what only one of them may do. Another kind or path: a new one takes over, the old one finishes
 *          what is in flight. A link, secrets in the clear: {"source_id", "target", "name", "wit_namespace",
 *          "wit_package", "interfaces":[], "source_config":{}, "target_config":{}, "source_secrets":{},
 *          "target_secrets":{}}
 *     {"do":"provider-remove", "id"}           takes no more calls; what is in flight finishes
 *     {"do":"listen", "address"} + descriptor  a bound socket, listening or not: serve HTTP on it. An address that is
 *                                              served already gets one more socket
 *     {"do":"unlisten", "address"}             closes its sockets; exchanges in flight finish
 *     {"do":"routes", "routes":[{"address","host","path","component","settings":{}}]}   all of them (router.h)
 *     {"do":"log"} + descriptor                becomes standard error (the log file was rotated)
 *     {"do":"drain"}                           no new calls; end when what is in flight is finished
 *
 * Worker to control:
 *
 *     {"is":"ready"}                                    it takes orders
 *     {"is":"component-ready", "id", "generation"}      it takes calls
 *     {"is":"component-uncached", "id", "generation"}   its code is not in the cache: compile, then order it again
 *     {"is":"component-failed", "id", "generation", "kind", "text"}
 *     {"is":"component-gone", "id", "generation"}       the last invocation of that generation has ended
 *     {"is":"provider-ready", "id"}                     for each "provider": it takes calls, by its new links
 *     {"is":"provider-failed", "id", "kind", "text"}    it does not run, or goes on as it was
 *     {"is":"listening", "address"}                     for each "listen"
 *     {"is":"listen-failed", "address", "kind", "text"}
 *     {"is":"telemetry", "signal":N, "n":N, "dropped":N, "items": base64}   items of telemetry/otlp.h
 *
 * A frame is four bytes, least significant first, then the JSON: the lower 31 bits are its size, the highest says that
 * a descriptor comes with it, as ancillary data of its first byte. */
#pragma once

#include "base/err.h"
#include "base/json.h"

#include <uv.h>

enum {
    WISP_ORDER_SIZE_MAX = WISP_JSON_SIZE_MAX,
    WISP_ORDERS_UNSENT_MAX = 256 << 20, /* more for a reader that is that slow ends the connection */
};

struct wisp_orders;

struct wisp_orders_handler {
    /* `fd` is -1 or the callee's to close. The order is borrowed. */
    void (*on_order)(struct wisp_orders *orders, const json_t *order, int fd, void *env);
    /* The other end is gone (kind NONE), or broke the protocol (`err` says how). The last call; free is allowed in
     * both. */
    void (*on_closed)(struct wisp_orders *orders, const struct wisp_err *err, void *env);
};

/* `fd` is one end of a Unix stream socket pair, taken over. */
int wisp_orders_new(struct wisp_orders **ret_orders, uv_loop_t *loop, int fd, const struct wisp_orders_handler *handler,
                    void *env, struct wisp_err *err) __attribute__((warn_unused_result));
/* Without on_closed. Its handle closes in the loop's next turns. NULL is fine. */
void wisp_orders_free(struct wisp_orders *orders);
/* Takes the reference of `order`; `fd` (-1: none) is duplicated for the other process, the caller keeps its own. Sent
 * at once as far as the other side takes it, the rest from the loop. */
void wisp_orders_send(struct wisp_orders *orders, json_t *order_taken, int fd);
/* Bytes that the other side did not take yet. */
size_t wisp_orders_unsent(const struct wisp_orders *orders);
