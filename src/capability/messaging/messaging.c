/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/messaging/messaging.h"

const char *const wisp_messaging_types[] = {"broker-message = record{string, list<u8>, option<string>}", NULL};

const struct wisp_provider_func wisp_messaging_handler_funcs[] = {
    {"handle-message", WISP_MESSAGING_PUBLISH, NULL,
     WISP_HOST_SIZES(struct wisp_broker_message, struct wisp_messaging_result)},
};
const struct wisp_provider_interface wisp_messaging_handler = {.name = "wasmcloud:messaging/handler@0.2.0",
                                                               .funcs = wisp_messaging_handler_funcs,
                                                               .n_funcs = WISP_COUNT(wisp_messaging_handler_funcs),
                                                               .types = wisp_messaging_types};

static const struct wisp_provider_func consumer_funcs[] = {
    [WISP_MESSAGING_VERB_REQUEST] = {"request", WISP_MESSAGING_REQUEST, NULL,
                                     WISP_HOST_SIZES(struct wisp_messaging_request_args,
                                                     struct wisp_messaging_request_result)},
    [WISP_MESSAGING_VERB_PUBLISH] = {"publish", WISP_MESSAGING_PUBLISH, NULL,
                                     WISP_HOST_SIZES(struct wisp_broker_message, struct wisp_messaging_result)},
};
const struct wisp_provider_interface wisp_messaging_consumer = {.name = "wasmcloud:messaging/consumer@0.2.0",
                                                                .funcs = consumer_funcs,
                                                                .n_funcs = WISP_COUNT(consumer_funcs),
                                                                .types = wisp_messaging_types};

/* As a guest may see it. */
static struct wisp_str text_of(struct wisp_provider_call *call, const struct wisp_err *err)
{
    char *text = wisp_arena_cstr(call->arena, wisp_str_from(err->text));
    if (!wisp_str_is_utf8(wisp_str_from(text)))
        for (char *c = text; *c; c++)
            if ((unsigned char)*c >= 0x80) *c = '?';
    return wisp_str_from(text);
}

void wisp_messaging_return_error(struct wisp_provider_call *call, const struct wisp_err *err)
{
    struct wisp_messaging_result result = {1, text_of(call, err)};
    wisp_provider_return(call, &result);
}

void wisp_messaging_return_request_error(struct wisp_provider_call *call, const struct wisp_err *err)
{
    struct wisp_messaging_request_result result = {.is_err = 1, .error = text_of(call, err)};
    wisp_provider_return(call, &result);
}
