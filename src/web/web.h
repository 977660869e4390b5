/* SPDX-License-Identifier: Apache-2.0 */
/* GET and POST over HTTP(S): libcurl on a libuv loop. Owner: the loop thread.
 *
 * Redirects are followed here, not by libcurl: at most a few, never from https to http, and what authorizes us at one
 * server (scheme, host, port) is not shown to another. Errors name scheme, host and path, never a query, for signed
 * URLs are secrets. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <uv.h>

struct wisp_web;

struct wisp_web_options {
    const char *const *ca_paths;
    size_t n_ca_paths;
    uint64_t stall_timeout_ms;
};

int wisp_web_new(struct wisp_web **ret_web, uv_loop_t *loop, const struct wisp_web_options *options,
                 struct wisp_err *err) __attribute__((warn_unused_result));
/* There are no requests any more. The loop must run on to close what is left. */
void wisp_web_free(struct wisp_web *web);

/* Of the last response, not of redirects. */
struct wisp_web_response {
    long status;
    struct wisp_buf challenge; /* WWW-Authenticate; several joined by commas */
    struct wisp_buf digest;    /* Docker-Content-Digest */
    uint64_t range_start;      /* Content-Range: bytes START-...; UINT64_MAX without */
    uint64_t retry_after_ms;   /* Retry-After, in seconds only; 0 without */
};

struct wisp_web_header {
    const char *name, *value;
};

/* What to ask for: a GET, or with a content type a POST. */
struct wisp_web_ask {
    const char *url;           /* http:// or https:// */
    const char *authorization; /* value of the header, or NULL */
    const char *accept;        /* or NULL */
    uint64_t range_start;      /* 0: all of it */
    uint64_t timeout_ms;       /* for all of it; 0: none, but for standing still */
    /* POST: redirects are not followed, they are the answer. */
    const char *content_type;
    struct wisp_str body;                  /* borrowed until on_done or cancel */
    const struct wisp_web_header *headers; /* more of them, borrowed likewise */
    size_t n_headers;
    /* Part of the body; the response's head is known. An error ends the request and is given to on_done. Not a place to
     * cancel or start requests from. NULL: the body is skipped. */
    int (*on_body)(const struct wisp_web_response *response, struct wisp_str bytes, void *env, struct wisp_err *err);
    /* `err` is NULL, or UNAVAILABLE (also a body that was cut short), TIMEOUT, DENIED (certificates, redirects), or
     * that of on_body. The request is gone. */
    void (*on_done)(const struct wisp_web_response *response, const struct wisp_err *err, void *env);
    void *env;
};

struct wisp_web_request;
/* Copies what it needs. on_done does not come before this returns. */
struct wisp_web_request *wisp_web_start(struct wisp_web *web, const struct wisp_web_ask *ask);
/* Without on_done. Not from on_body. NULL is fine. */
void wisp_web_cancel(struct wisp_web_request *request);
