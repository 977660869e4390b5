/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that guests send. The objects are those of wasi:http/types; what carries them is above this module
 * (capability/http/guest.c, which defines the host interface wasi:http/outgoing-handler):
 *
 *     wisp_wasi_http_send ──▶ future ──▶ wisp_wasi_http_answer, or wisp_wasi_http_fail
 *                               └──────▶ on_drop: the guest, or the invocation, doesn't wait for it any more
 *
 * Bodies and trailers are streams (wrpc/stream.h). One thread. */
#pragma once

#include "wasi/http.h"
#include "wrpc/http_types.h"
#include "wrpc/stream.h"

/* The native structs of wrpc:http/outgoing-handler.handle. */
struct wisp_wasi_http_request {
    void *body, *trailers; /* stream<u8>, future<option<fields>> */
    struct wisp_wrpc_request_rest rest;
};
struct wisp_wasi_http_options {
    struct wisp_wrpc_option_u64 connect_ns, first_byte_ns, between_bytes_ns;
};
struct wisp_wasi_http_send {
    struct wisp_wasi_http_request request;
    struct {
        uint32_t is_some;
        struct wisp_wasi_http_options value;
    } options;
};
struct wisp_wasi_http_answer {
    uint32_t is_error;
    union {
        struct {
            void *body, *trailers;
            struct wisp_wrpc_response_rest rest;
        } response;
        struct wisp_wrpc_error_code error;
    } of;
};

struct wisp_future_response;

/* Type names for signatures, as wisp_host_interface.types has them. */
extern const char *const wisp_wasi_http_type_names[];

/* Takes over the arguments of `handle` (struct wisp_abi_send_args). `ret_send` gets what is to be sent, with writers of
 * these types (stream<u8>, future<option<fields>>) that belong to the request's body; it borrows from the request until
 * the future is answered, failed or dropped, and else from the arena. *ret_future is owned by the guest. Negative after
 * having trapped. */
int wisp_wasi_http_send(struct wisp_call *call, const void *args, const struct wisp_type *body_type,
                        const struct wisp_type *trailers_type, struct wisp_arena *arena,
                        struct wisp_wasi_http_send *ret_send, struct wisp_future_response **ret_future)
    __attribute__((warn_unused_result));
/* Not for one that is answered; NULL: nobody wants to know. The future is gone, or won't be looked at. */
void wisp_wasi_http_on_drop(struct wisp_future_response *future, void (*on_drop)(void *env), void *env);
/* Once, instead of on_drop: takes the readers of a response; copies the rest. The guest is woken. */
void wisp_wasi_http_answer(struct wisp_future_response *future, const struct wisp_wasi_http_answer *answer);
/* The same for an error without a payload but perhaps a text (that of internal-error; "": none). */
void wisp_wasi_http_fail(struct wisp_future_response *future, uint32_t error_code, const char *text);
