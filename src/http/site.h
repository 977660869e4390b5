/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said about HTTP that is served, beside who answers it, as the http-server provider of wasmCloud has it.
 * Settings are texts:
 *
 *     timeout_ms               408 when no answer has come by then
 *     readonly_mode            "true": 405 for methods other than GET and HEAD
 *     cache_control            value of a header cache-control for responses that don't have one
 *     cors_allowed_origins     JSON lists; an empty one, and a missing one of origins or exposed headers: any. Any of
 *     cors_allowed_headers     these keys turns CORS on: preflights are answered, responses get access-control headers.
 *     cors_allowed_methods     Without them: [accept, accept-language, content-type, content-language],
 *     cors_exposed_headers     [GET, POST, PUT, DELETE, HEAD, OPTIONS]
 *     cors_max_age_secs        [300]
 *     tls_cert_file            PEM files, both or neither: HTTPS
 *     tls_priv_key_file
 *
 * `cors` and `tls` may also be JSON objects with these names without their prefix. */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "http/http.h"

enum { WISP_HTTP_SITE_LIST_MAX = 100 }; /* texts in a list */

struct wisp_http_cors {
    const struct wisp_str *origins;                                        /* compared as they are */
    size_t n_origins;                                                      /* 0: any */
    struct wisp_str allow_headers, allow_methods, expose_headers, max_age; /* values of headers */
};

struct wisp_http_site {
    uint64_t timeout_ms; /* 0: none. The answerer's to keep */
    bool is_read_only, has_cors;
    struct wisp_str cache_control; /* empty: none */
    struct wisp_http_cors cors;
    const char *tls_cert_path, *tls_key_path; /* for wisp_http_tls_new; NULL: plain */
};

/* `settings` is an object of texts with keys in lower case; what the site points to goes to the arena. INVALID names
 * the key. */
int wisp_http_site_read(struct wisp_http_site *ret_site, const json_t *settings, struct wisp_arena *arena,
                        struct wisp_err *err) __attribute__((warn_unused_result));

/* For on_request: answers what the site answers itself (preflights, 405): true, and the exchange, which must be a
 * server's, is done with. */
bool wisp_http_site_answer(const struct wisp_http_site *site, struct wisp_http_exchange *exchange);
/* Otherwise, before a response is started: it will get the site's headers. The site stays as long as a response may be
 * started. */
void wisp_http_site_decorate(const struct wisp_http_site *site, struct wisp_http_exchange *exchange);

/* False: the functions above have nothing to do. */
static inline bool wisp_http_site_may_answer(const struct wisp_http_site *site)
{
    return site->is_read_only || site->has_cors;
}
static inline bool wisp_http_site_has_headers(const struct wisp_http_site *site)
{
    return site->has_cors || site->cache_control.len;
}
