/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP(S) as a client: libcurl on a libuv loop. Owner: the loop thread.
 *
 * Two ways to ask. Plainly: a GET that follows redirects, or a POST with a content type. Redirects are followed here,
 * not by libcurl: at most a few, never from https to http, and what authorizes us at one server (scheme, host, port) is
 * not shown to another. Or with a `method`: any request as it is, whatever the answer is, over HTTP/1.1, with bodies
 * that stream both ways at the pace of the slower side: wisp_web_pause and on_send's WAIT hold back the server.
 *
 * Errors name scheme, host and path, never a query, for signed URLs are secrets. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <uv.h>

struct wisp_web;

struct wisp_web_options {
    const char *const *ca_paths; /* besides the system's certificates */
    size_t n_ca_paths;
    uint64_t stall_timeout_ms; /* without progress that the server owes; 0: none */
    bool no_system_ca;         /* only ca_paths */
};

int wisp_web_new(struct wisp_web **ret_web, uv_loop_t *loop, const struct wisp_web_options *options,
                 struct wisp_err *err) __attribute__((warn_unused_result));
/* There are no requests any more. The loop must run on to close what is left. */
void wisp_web_free(struct wisp_web *web);

#define WISP_WEB_LENGTH_UNKNOWN UINT64_MAX

/* What went wrong, for callers that have to tell. */
enum wisp_web_fault {
    WISP_WEB_FAULT_NONE,
    WISP_WEB_FAULT_NAME,            /* the host's name has no address */
    WISP_WEB_FAULT_REFUSED,         /* no connection */
    WISP_WEB_FAULT_CONNECT_TIMEOUT, /* neither one nor a refusal */
    WISP_WEB_FAULT_TLS,
    WISP_WEB_FAULT_CERTIFICATE,
    WISP_WEB_FAULT_TIMEOUT,  /* later */
    WISP_WEB_FAULT_BROKEN,   /* the connection ended too early */
    WISP_WEB_FAULT_PROTOCOL, /* what came is no HTTP, or too much of it */
    WISP_WEB_FAULT_CALLER,   /* on_head, on_body or on_send gave up, or what was asked for can't be */
    WISP_WEB_FAULT_OTHER,
};

struct wisp_web_field {
    struct wisp_str name, value;
};

/* Of the last response, not of redirects. */
struct wisp_web_response {
    long status;
    struct wisp_buf challenge; /* WWW-Authenticate; several joined by commas */
    struct wisp_buf digest;    /* Docker-Content-Digest */
    uint64_t range_start;      /* Content-Range: bytes START-...; UINT64_MAX without */
    uint64_t retry_after_ms;   /* Retry-After, in seconds only; 0 without */
    /* All headers as they came; kept only if there is an on_head. Valid until on_done has returned. */
    const struct wisp_web_field *fields;
    size_t n_fields;
    const struct wisp_web_field *trailers; /* likewise, in on_done */
    size_t n_trailers;
    enum wisp_web_fault fault; /* in on_done, when there is an error */
};
/* The value of the first header of this name, in any case; `ptr` NULL when there is none. */
struct wisp_str wisp_web_find(const struct wisp_web_response *response, const char *name);

struct wisp_web_header {
    const char *name, *value;
};

enum wisp_web_sending {
    WISP_WEB_SENDING_BYTES, /* at least one */
    WISP_WEB_SENDING_WAIT,  /* nothing yet: wisp_web_send_on will say when to ask again */
    WISP_WEB_SENDING_END,
    WISP_WEB_SENDING_FAILED, /* ends the request with `err` */
};

/* What to ask for. Strings are copied, the body is borrowed until on_done or cancel. */
struct wisp_web_ask {
    const char *url;           /* http:// or https:// */
    const char *target;        /* what the request line says instead of the URL's path and query; or NULL */
    const char *method;        /* "PUT"; NULL: a GET, or with a content type a POST, and only these follow redirects */
    const char *authorization; /* value of the header, or NULL */
    const char *accept;        /* or NULL */
    uint64_t range_start;      /* 0: all of it */
    uint64_t timeout_ms;       /* for all of it; 0: none, but for standing still */
    uint64_t stall_timeout_ms; /* without progress that the server owes; 0: that of wisp_web_options */
    uint64_t connect_timeout_ms; /* 0: 10 s */
    const char *content_type;    /* POST without `method`: redirects are not followed, they are the answer */
    struct wisp_str body;
    /* More of them; not with a plain GET. Content-Length, Transfer-Encoding and Connection are not the caller's. */
    const struct wisp_web_header *headers;
    size_t n_headers;
    bool is_bare; /* with `method`: no User-Agent or Accept but given ones, and no proxies that the environment names */
    /* With `method`: gives the body instead of `body`, up to `max` bytes at a time, of `body_size` in all
     * (WISP_WEB_LENGTH_UNKNOWN: chunked). Not asked any more once the server has answered with an error. */
    enum wisp_web_sending (*on_send)(void *buffer, size_t max, size_t *ret_n, void *env, struct wisp_err *err);
    uint64_t body_size;
    /* After on_send said END to a chunked body: its trailers, whose texts stay until on_done or cancel. May be NULL. */
    size_t (*on_trailers)(const struct wisp_web_header **ret_trailers, void *env);
    /* With `method`: the head has come, of the final response. An error ends the request. May be NULL. */
    int (*on_head)(const struct wisp_web_response *response, void *env, struct wisp_err *err);
    /* Part of the body; the response's head is known. An error ends the request and is given to on_done. NULL: the body
     * is skipped. */
    int (*on_body)(const struct wisp_web_response *response, struct wisp_str bytes, void *env, struct wisp_err *err);
    /* `err` is NULL, or UNAVAILABLE (also a body that was cut short), TIMEOUT, DENIED (certificates, redirects), LIMIT
     * (headers), or that of on_head, on_body, on_send. Also comes while paused. The request is gone. */
    void (*on_done)(const struct wisp_web_response *response, const struct wisp_err *err, void *env);
    void *env;
};

struct wisp_web_request;
/* Copies what it needs. Nothing of the above is called before this returns. Not from on_send, on_head, on_body. */
struct wisp_web_request *wisp_web_start(struct wisp_web *web, const struct wisp_web_ask *ask);
/* Without on_done. From on_send, on_head and on_body only for the request itself. NULL is fine. */
void wisp_web_cancel(struct wisp_web_request *request);

/* No on_body until resume, which calls it from the loop: the server is held back, what has arrived (at most some 128
 * KiB) is kept. From anywhere, also on_head and on_body. Time stands still for the stall timeout. */
void wisp_web_pause(struct wisp_web_request *request);
void wisp_web_resume(struct wisp_web_request *request);
/* After on_send said WAIT: asks it again, from the loop. */
void wisp_web_send_on(struct wisp_web_request *request);
