/* SPDX-License-Identifier: Apache-2.0 */
/* wasmcloud:messaging@0.2.0 as C values, and what its providers share. */
#pragma once

#include "base/ring.h"
#include "provider/provider.h"

struct wisp_broker_message {
    struct wisp_str subject;
    struct wisp_bytes body;
    struct {
        uint32_t is_some;
        struct wisp_str subject;
    } reply_to;
};
struct wisp_messaging_request_args {
    struct wisp_str subject;
    struct wisp_bytes body;
    uint32_t timeout_ms;
};
struct wisp_messaging_request_result {
    uint32_t is_err;
    union {
        struct wisp_broker_message message;
        struct wisp_str error;
    };
};
/* Of publish and handle-message. */
struct wisp_messaging_result {
    uint32_t is_err;
    struct wisp_str error;
};

#define WISP_MESSAGING_REQUEST "(string, list<u8>, u32) -> result<broker-message, string>"
#define WISP_MESSAGING_PUBLISH "(broker-message) -> result<_, string>"
extern const char *const wisp_messaging_types[];
extern const struct wisp_provider_interface wisp_messaging_handler; /* what providers call */
extern const struct wisp_provider_func wisp_messaging_handler_funcs[];
/* What components call, without a provider's functions. */
enum wisp_messaging_verb { WISP_MESSAGING_VERB_REQUEST, WISP_MESSAGING_VERB_PUBLISH };
extern const struct wisp_provider_interface wisp_messaging_consumer;

void wisp_messaging_return_error(struct wisp_provider_call *call, const struct wisp_err *err);
void wisp_messaging_return_request_error(struct wisp_provider_call *call, const struct wisp_err *err);

/* --- messages to a component --- */

struct wisp_inbound_options {
    size_t in_flight_max, waiting_max, waiting_bytes_max;
    /* A message has been handled, as well as it could be. In any order. May be NULL. */
    void (*on_handled)(void *token, void *env);
    void *env;
};

/* Calls handle-message, so many at a time; others wait in order. What is too much is dropped, counted and logged; so is
 * what a component did not want. */
struct wisp_inbound;
struct wisp_inbound *wisp_inbound_new(struct wisp_provider *provider, struct wisp_str target_id,
                                      const struct wisp_inbound_options *options) __attribute__((returns_nonnull));
/* Gives up what is in flight. on_handled is not called any more. NULL is fine. */
void wisp_inbound_free(struct wisp_inbound *inbound);
/* Copied; reply_to and traceparent may be empty. False: it was dropped, and on_handled is not called for it. */
bool wisp_inbound_push(struct wisp_inbound *inbound, struct wisp_str subject, struct wisp_str body,
                       struct wisp_str reply_to, struct wisp_str traceparent, void *token);
/* A message would not be dropped. */
bool wisp_inbound_has_room(const struct wisp_inbound *inbound);
