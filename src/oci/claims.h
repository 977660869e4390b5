/* SPDX-License-Identifier: Apache-2.0 */
/* Claims embedded in components (a custom section) and in provider archives: found, verified, read. Pure. */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "oci/oci.h"

/* Verifies a token: signature (DENIED), dates (DENIED), form (INVALID). `now` is in seconds since 1970. Views of
 * *ret_claims are the arena's. *ret_json is the whole, with an object `wascap` in it; the caller's, also on failure. */
int wisp_oci_claims_read(struct wisp_arena *arena, struct wisp_str token, int64_t now,
                         struct wisp_oci_claims *ret_claims, json_t **ret_json, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* Those of a component or core module, also that they were made for just this one. Empty when it carries none. INVALID
 * when it is no WebAssembly. */
int wisp_oci_component_claims(struct wisp_arena *arena, struct wisp_str binary, int64_t now,
                              struct wisp_oci_claims *ret_claims, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* --- sections.c --- */

/* Top-level section `wasmcloud_jwt` or `jwt`; empty when there is none. */
int wisp_oci_component_token(struct wisp_str binary, struct wisp_str *ret_token, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* SHA-256 of the binary without such sections at any depth, every length written the shortest way. */
int wisp_oci_component_digest(struct wisp_str binary, char ret_digest[WISP_OCI_DIGEST_LEN + 1], struct wisp_err *err)
    __attribute__((warn_unused_result));
