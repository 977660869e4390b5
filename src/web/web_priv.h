/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder. */
#pragma once

#include "base/arena.h"
#include "web/web.h"

#include <curl/curl.h>

struct wisp_web {
    CURLM *multi;
    uv_loop_t *loop;
    uv_timer_t timer;
    struct wisp_buf certificates; /* PEM; empty: libcurl's own */
    uint64_t stall_timeout_ms;
    bool is_freed;
};

/* The head of a response as it comes in. */
struct wisp_web_head {
    bool keeps_fields;
    bool is_complete; /* what follows are trailers */
    struct wisp_arena arena;
    struct wisp_web_field *fields;
    size_t n_fields, n_allocated, size;
    size_t n_head_fields; /* those before is_complete */
};

struct wisp_web_request {
    struct wisp_web *web;
    struct wisp_web_ask ask; /* strings are ours, headers are gone after the start */
    CURL *easy;
    struct curl_slist *headers;
    uv_timer_t stall, nudge; /* nudge: goes on with what was paused, from the loop */
    unsigned n_redirects;
    struct wisp_web_response response;
    struct wisp_web_head head;
    struct wisp_err failure; /* of one of the caller's functions, or of ours within libcurl's */
    enum wisp_web_fault fault;
    uint64_t n_sent;
    bool is_paused, is_send_waiting; /* we, the caller */
    bool has_sent_all;
    bool has_begun;    /* a connection was there, and the request went out, or some of it */
    bool is_inside;    /* one of the caller's functions: libcurl is working on the request */
    bool is_cancelled; /* from inside */
    char detail[CURL_ERROR_SIZE];
};

/* --- request.c --- */

/* libcurl is done with it. */
void wisp_web_complete(struct wisp_web_request *request, CURLcode code);

/* libcurl doesn't look at its connection any more. */
void wisp_web_lost_interest(CURL *easy);

/* --- response.c --- */

void wisp_web_head_reset(struct wisp_web_head *head, struct wisp_web_response *response);
void wisp_web_head_deinit(struct wisp_web_head *head, struct wisp_web_response *response);
/* A line of it with its end. LIMIT when it is too large to be kept. */
int wisp_web_head_line(struct wisp_web_head *head, struct wisp_web_response *response, struct wisp_str line,
                       struct wisp_err *err) __attribute__((warn_unused_result));

/* --- redirect.c --- */

bool wisp_web_is_redirect(long status);
/* Makes the request one for `target`. */
int wisp_web_turn_to(struct wisp_web_request *request, const char *target, struct wisp_err *err)
    __attribute__((warn_unused_result));
