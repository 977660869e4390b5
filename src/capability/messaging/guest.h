/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of wasmcloud:messaging@0.3.0. */
#pragma once

#include "base/arena.h"
#include "component/host.h"

enum {
    WISP_MESSAGING_ERROR_TIMEOUT,
    WISP_MESSAGING_ERROR_CONNECTION,
    WISP_MESSAGING_ERROR_DENIED,
    WISP_MESSAGING_ERROR_OTHER,
    WISP_MESSAGING_N_ERRORS
};
struct wisp_messaging_error {
    uint32_t tag;
    struct wisp_str text;
};

struct wisp_messaging_message;
struct wisp_messaging_metadata {
    struct wisp_messaging_pair {
        struct wisp_str key, value;
    } *list;
    size_t n;
};

/* Results of the functions below. */
struct wisp_messaging_text_option {
    uint32_t is_some;
    struct wisp_str text;
};
struct wisp_messaging_connect_result {
    uint32_t is_err;
    union {
        void *client;
        struct wisp_messaging_error error;
    };
};
struct wisp_messaging_done {
    uint32_t is_err;
    struct wisp_messaging_error error;
};
struct wisp_messaging_replies {
    uint32_t is_err;
    union {
        struct {
            struct wisp_messaging_message **list;
            size_t n;
        } messages;
        struct wisp_messaging_error error;
    };
};
struct wisp_messaging_send_args {
    void *client;
    struct wisp_str topic;
    struct wisp_messaging_message *message; /* owned */
};
struct wisp_messaging_ask_args {
    void *client;
    struct wisp_str topic;
    struct wisp_messaging_message *message;
    struct {
        uint32_t is_some;
        void *options; /* owned */
    } options;
};
struct wisp_messaging_reply_args {
    struct wisp_messaging_message *reply_to, *message; /* message: owned */
};
