/* SPDX-License-Identifier: Apache-2.0 */
/* Provider archives: tar, or tar in gzip, with claims.jwt, world.wasm, and TARGET.bin for each kind of machine. */
#pragma once

#include "base/arena.h"
#include "oci/digest.h"

/* Rust's name of a kind of machine, as ours: "x86_64-linux". */
const char *wisp_oci_par_target(void);

/* Whether the beginning of a file (512 bytes, if it has as many) is that of an archive. */
bool wisp_oci_par_is_one(struct wisp_str start);

struct wisp_oci_par_sink {
    /* The bytes of the executable, in order. */
    int (*write)(void *env, struct wisp_str bytes, struct wisp_err *err);
    void *env;
};

struct wisp_oci_par_options {
    const char *target;
    uint64_t size_max; /* of the executable */
    int64_t now;       /* seconds since 1970 */
};

/* Reads `fd` from its position. The executable goes to the sink while it is read, and is to be forgotten when an error
 * comes out: NOT_FOUND when there is none for the target (says for which there are), INVALID (what is missing or
 * differs from its hash), LIMIT, DENIED (claims). */
int wisp_oci_par_read(int fd, const struct wisp_oci_par_options *options, const struct wisp_oci_par_sink *sink,
                      struct wisp_arena *arena, struct wisp_oci_claims *ret_claims,
                      char ret_digest[WISP_OCI_DIGEST_LEN + 1], struct wisp_err *err)
    __attribute__((warn_unused_result));
