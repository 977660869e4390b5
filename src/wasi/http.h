/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:http: one invocation's side of an HTTP exchange, and the objects that the guest makes.
 *
 * The worker owns the exchange with the client (http/http.h) and the invocation; this state stands between them:
 *
 *     attach ─▶ [on_body, on_drain]* ─▶ detach (the exchange has ended) ─▶ reset (the instance is gone) ─▶ attach ...
 *                                       └──────── in either order ──────┘
 *
 * One object serves many invocations, one after the other, and keeps its memory. One thread. */
#pragma once

#include "wasi/wasi.h"

#include "http/http.h"

struct wisp_wasi_http;

/* Part of wisp_wasi_interfaces. */
extern const struct wisp_host_interface wisp_wasi_http_types;

enum {
    WISP_WASI_HTTP_OBJECTS_MAX = 10000,          /* wasi:http resources alive in one invocation; more trap */
    WISP_WASI_HTTP_FIELDS_BYTES_MAX = 128 << 10, /* names and values of one `fields`; more trap */
    WISP_WASI_HTTP_FIELDS_HEAP_MAX = 4 << 20,    /* storage of all `fields` of one invocation; more trap */
    WISP_WASI_HTTP_UNSENT_MAX = 1 << 20,         /* body written before the response is set, or the request
                                                  * is sent; then check-write says 0 */
};

struct wisp_wasi_http *wisp_wasi_http_new(void);
/* After reset. NULL is fine. */
void wisp_wasi_http_free(struct wisp_wasi_http *http);

/* Makes the state that `wasi` uses (sets wasi->http and wasi->exchange). Every invocation of a component that imports
 * wasi:http needs one. `exchange` NULL: a command, which has no request to answer. Both are borrowed, the exchange
 * until detach. */
void wisp_wasi_http_attach(struct wisp_wasi_http *http, struct wisp_wasi *wasi, struct wisp_http_exchange *exchange);

/* Whether guests can be shown this request: WIT strings are UTF-8, request lines need not be. */
bool wisp_wasi_http_is_valid_request(const struct wisp_http_exchange *exchange);

/* The arguments of wasi:http/incoming-handler.handle, to be given to wisp_instance_call. Once after attach. */
struct wisp_wasi_http_handle_args {
    void *request;  /* own<incoming-request> */
    void *outparam; /* own<response-outparam> */
};
void wisp_wasi_http_handle_args(struct wisp_wasi_http *http, struct wisp_wasi_http_handle_args *ret_args);

/* From the server's callbacks: let the invocation go on if it waits for this. */
void wisp_wasi_http_on_body(struct wisp_wasi_http *http);
void wisp_wasi_http_on_drain(struct wisp_wasi_http *http);
/* From on_close: the exchange won't be touched any more. A guest that runs on keeps what it may still ask for
 * (method, headers, ...); its streams report that they are closed. */
void wisp_wasi_http_detach(struct wisp_wasi_http *http);
/* After wisp_instance_free: forgets everything, for the next attach. */
void wisp_wasi_http_reset(struct wisp_wasi_http *http);

enum wisp_wasi_http_response {
    WISP_WASI_HTTP_NOT_SET,   /* nothing was sent; the worker must reply */
    WISP_WASI_HTTP_STREAMING, /* the head is set, the body is not finished */
    WISP_WASI_HTTP_COMPLETE,  /* the body is finished, or the client left before that */
    WISP_WASI_HTTP_REPLIED,   /* the component gave an error-code, or something that is no response; the client got an
                               * error status for it */
    WISP_WASI_HTTP_BROKEN, /* the guest dropped the body unfinished or did not keep to its length; the client was told
                            */
};
/* How far the response has come. After wisp_instance_free it isn't STREAMING any more. */
enum wisp_wasi_http_response wisp_wasi_http_response(const struct wisp_wasi_http *http);
/* What was wrong when REPLIED or BROKEN; for the log. "" otherwise. Valid until reset. */
const char *wisp_wasi_http_problem(const struct wisp_wasi_http *http);

/* Answers with an error status and its reason phrase as the body, with `cause` behind it and with `header` where those
 * are not NULL. Clients read the cause: a short text of ours, nothing of the guest or the host. For an exchange whose
 * response was not started. */
void wisp_wasi_http_reply(struct wisp_http_exchange *exchange, uint16_t status, const char *cause,
                          const struct wisp_http_header *header);
