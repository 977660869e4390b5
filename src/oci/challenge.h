/* SPDX-License-Identifier: Apache-2.0 */
/* How a registry wants to be asked: the header WWW-Authenticate, and what its token server answers. Pure. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"

struct wisp_oci_challenge {
    enum { WISP_OCI_AUTH_NONE, WISP_OCI_AUTH_BASIC, WISP_OCI_AUTH_BEARER } scheme;
    struct wisp_str realm, service, scope; /* of a bearer challenge */
};

/* `header` may hold several challenges; a bearer's goes before a basic one's. What is malformed is not there: NONE. */
struct wisp_oci_challenge wisp_oci_challenge_parse(struct wisp_arena *arena, struct wisp_str header);

/* The URL to get a token from. `scope` is used when the challenge has none. DENIED when the realm is no plain URL, or
 * one of plain HTTP without `allow_http`. */
int wisp_oci_token_url(const struct wisp_oci_challenge *challenge, const char *scope, bool allow_http,
                       struct wisp_buf *ret_url, struct wisp_err *err) __attribute__((warn_unused_result));

/* The token of the server's answer, fit for a header, and for how long it is good. */
int wisp_oci_token_parse(struct wisp_arena *arena, struct wisp_str body, const char **ret_token, uint64_t *ret_valid_ms,
                         struct wisp_err *err) __attribute__((warn_unused_result));
