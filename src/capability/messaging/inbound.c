/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "capability/messaging/messaging.h"

#include <stdlib.h>

enum {
    LOG_PAUSE_MS = 10000,
    TRACEPARENT_MAX = 256, /* bytes; of a later version they may be more than today's 55 */
};

/* Complaints of one kind, at most one in a while. */
struct complaint {
    uint64_t n_since, last_ms;
    bool was_made;
};

struct wisp_inbound {
    struct wisp_provider *provider;
    struct wisp_str target_id; /* the arena's */
    struct wisp_arena arena;
    struct wisp_inbound_options options;
    struct wisp_link waiting, in_flight;
    size_t n_waiting, waiting_bytes, n_in_flight;
    struct complaint drops, failures;
    bool is_pumping;
};

struct delivery {
    struct wisp_link link;
    struct wisp_inbound *inbound;
    struct wisp_arena arena; /* of the message and the result */
    struct wisp_broker_message message;
    struct wisp_str traceparent;
    void *token;
    struct wisp_provider_invocation *invocation;
};

static void complain(struct wisp_inbound *inbound, struct complaint *complaint, const char *what,
                     struct wisp_str subject, const char *why)
{
    uint64_t now = uv_now(inbound->provider->loop);
    complaint->n_since++;
    if (complaint->was_made && now - complaint->last_ms < LOG_PAUSE_MS) return;
    WISP_LOG(WARN, "messaging", what, WISP_BYTES("component", inbound->target_id), WISP_BYTES("subject", subject),
             WISP_INT("count", complaint->n_since), WISP_TEXT("error", why));
    *complaint = (struct complaint){.last_ms = now, .was_made = true};
}

static void forget(struct delivery *delivery)
{
    wisp_ring_remove(&delivery->link);
    wisp_arena_deinit(&delivery->arena);
    free(delivery);
}

static void pump(struct wisp_inbound *inbound);

static void end(struct delivery *delivery)
{
    struct wisp_inbound *inbound = delivery->inbound;
    void *token = delivery->token;
    inbound->n_in_flight--;
    forget(delivery);
    if (inbound->options.on_handled) inbound->options.on_handled(token, inbound->options.env);
}

static void on_result(const void *result, const struct wisp_err *err, void *env)
{
    struct delivery *delivery = env;
    struct wisp_inbound *inbound = delivery->inbound;
    const struct wisp_messaging_result *handled = result;
    if (err) {
        complain(inbound, &inbound->failures, "a message was not handled", delivery->message.subject, err->text);
    } else if (handled->is_err) {
        const char *text = wisp_arena_cstr(&delivery->arena, handled->error);
        complain(inbound, &inbound->failures, "a component did not handle a message", delivery->message.subject, text);
    }
    end(delivery);
    pump(inbound);
}

static void start(struct delivery *delivery)
{
    struct wisp_inbound *inbound = delivery->inbound;
    struct wisp_err err;
    inbound->n_waiting--;
    inbound->waiting_bytes -= delivery->message.body.len;
    wisp_ring_remove(&delivery->link);
    wisp_ring_append(&inbound->in_flight, &delivery->link);
    inbound->n_in_flight++;
    const struct wisp_provider_request request = {.target_id = inbound->target_id,
                                                  .arena = &delivery->arena,
                                                  .on_result = on_result,
                                                  .env = delivery,
                                                  .traceparent = delivery->traceparent};
    if (wisp_provider_invoke(inbound->provider, &wisp_messaging_handler, wisp_messaging_handler.funcs,
                             &delivery->message, &request, &delivery->invocation, &err) == 0)
        return;
    complain(inbound, &inbound->failures, "a message was not handled", delivery->message.subject, err.text);
    end(delivery);
}

static void pump(struct wisp_inbound *inbound)
{
    if (inbound->is_pumping) return;
    inbound->is_pumping = true;
    while (!wisp_ring_is_empty(&inbound->waiting) && inbound->n_in_flight < inbound->options.in_flight_max)
        start(WISP_OWNER(inbound->waiting.next, struct delivery, link));
    inbound->is_pumping = false;
}

struct wisp_inbound *wisp_inbound_new(struct wisp_provider *provider, struct wisp_str target_id,
                                      const struct wisp_inbound_options *options)
{
    struct wisp_inbound *inbound = wisp_mem_calloc(1, sizeof *inbound);
    inbound->provider = provider;
    inbound->target_id = wisp_arena_str(&inbound->arena, target_id);
    inbound->options = *options;
    wisp_ring_init(&inbound->waiting);
    wisp_ring_init(&inbound->in_flight);
    return inbound;
}

void wisp_inbound_free(struct wisp_inbound *inbound)
{
    if (!inbound) return;
    while (!wisp_ring_is_empty(&inbound->waiting)) forget(WISP_OWNER(inbound->waiting.next, struct delivery, link));
    while (!wisp_ring_is_empty(&inbound->in_flight)) {
        struct delivery *delivery = WISP_OWNER(inbound->in_flight.next, struct delivery, link);
        wisp_provider_invocation_cancel(delivery->invocation);
        forget(delivery);
    }
    wisp_arena_deinit(&inbound->arena);
    free(inbound);
}

bool wisp_inbound_has_room(const struct wisp_inbound *inbound)
{
    return inbound->n_waiting < inbound->options.waiting_max &&
           inbound->waiting_bytes < inbound->options.waiting_bytes_max;
}

bool wisp_inbound_push(struct wisp_inbound *inbound, struct wisp_str subject, struct wisp_str body,
                       struct wisp_str reply_to, struct wisp_str traceparent, void *token)
{
    if (!wisp_inbound_has_room(inbound)) {
        complain(inbound, &inbound->drops, "a message was dropped", subject, "too many wait for the component");
        return false;
    }
    struct delivery *delivery = wisp_mem_calloc(1, sizeof *delivery);
    body = wisp_arena_str(&delivery->arena, body);
    delivery->inbound = inbound;
    delivery->token = token;
    if (traceparent.len <= TRACEPARENT_MAX) delivery->traceparent = wisp_arena_str(&delivery->arena, traceparent);
    delivery->message.subject = wisp_arena_str(&delivery->arena, subject);
    delivery->message.body = (struct wisp_bytes){(const uint8_t *)body.ptr, body.len};
    delivery->message.reply_to.is_some = reply_to.len > 0;
    delivery->message.reply_to.subject = wisp_arena_str(&delivery->arena, reply_to);
    wisp_ring_append(&inbound->waiting, &delivery->link);
    inbound->n_waiting++;
    inbound->waiting_bytes += body.len;
    pump(inbound);
    return true;
}
