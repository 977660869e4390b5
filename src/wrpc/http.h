/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP over wRPC (wrpc:http@0.1.0): a component's HTTP handler, served to and called from other hosts. */
#pragma once

#include "http/http.h"
#include "wrpc/call.h"
#include "wrpc/serve.h"

/* The interface of such a call; its function is `handle`. */
#define WISP_WRPC_HTTP_INTERFACE "wrpc:http/incoming-handler@0.1.0"

/* --- serving --- */

/* Zero means the default in brackets. */
struct wisp_wrpc_http_options {
    struct wisp_http_handler handler;
    void *env;               /* for the handler */
    uint64_t body_bytes_max; /* [unlimited]; more: 413. See wisp_http_body_limit */
    size_t headers_max;      /* of a request, and of its trailers [100] */
};

/* Calls of wrpc:http/incoming-handler@0.1.0 `handle` become exchanges for the handler. All of http/http.h holds for
 * them, with these differences:
 *   - the peer is not known; version_minor is 1; the scheme is what the caller says, "http" when it does not;
 *   - content_length is known when there is such a header;
 *   - wisp_http_room bounds what is on its way to the bus, for the bus itself has no backpressure; a request's body
 * that is not read in time breaks the exchange off (WISP_HTTP_BODY_TOO_LARGE) when more than stream_bytes_max wait;
 *   - outcomes: BODY_MALFORMED also for a body that was broken off, TIMED_OUT for one that stopped coming, STOPPED when
 *     the service is freed (from within that call); that the caller is gone otherwise can't be known.
 * An exchange counts as in flight for draining. An abort ends the call without a result, or the body without its end.
 */
int wisp_wrpc_http_serve(struct wisp_wrpc_service *service, const struct wisp_wrpc_http_options *options,
                         struct wisp_err *err) __attribute__((warn_unused_result));
/* The one who called; NULL for an exchange that did not come over wRPC. */
const struct wisp_wrpc_caller *wisp_wrpc_http_caller(const struct wisp_http_exchange *exchange);

/* --- forwarding --- */

/* An exchange that a component elsewhere answers. */
struct wisp_wrpc_forward;

struct wisp_wrpc_forward_options {
    struct wisp_str target;                /* component id */
    const struct wisp_bus_header *headers; /* source-id, link-name, target-id, traceparent, ... */
    size_t n_headers;
    uint64_t timeout_ms; /* until the response's head is here; 0: none */
    uint64_t wait_ms;    /* as in struct wisp_wrpc_target */
};

/* Calls the target's incoming handler with the exchange's request and answers the exchange with what comes back; within
 * on_request or later. Bodies and trailers are streamed both ways. Whatever goes wrong is answered here too, and
 * logged: 503 when nobody serves the target, 504 after the timeout, 500 when it fails, the status that belongs to an
 * error code it answers with, 502 else; once the head is out, the exchange is aborted. From here on the exchange's
 * events go to the functions below, and nothing else is done with it. */
struct wisp_wrpc_forward *wisp_wrpc_forward_new(struct wisp_wrpc *wrpc, struct wisp_http_exchange *exchange,
                                                const struct wisp_wrpc_forward_options *options);
void wisp_wrpc_forward_on_body(struct wisp_wrpc_forward *forward);
void wisp_wrpc_forward_on_drain(struct wisp_wrpc_forward *forward);
/* In the exchange's on_close. Stops what still goes on; frees it. */
void wisp_wrpc_forward_free(struct wisp_wrpc_forward *forward);
