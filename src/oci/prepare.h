/* SPDX-License-Identifier: Apache-2.0 */
/* From a file on disk to an artifact: hashed, its claims verified, a provider's executable taken out. Blocks: for a
 * pool thread. */
#pragma once

#include "base/arena.h"
#include "oci/cache.h"

struct wisp_oci_prepare_options {
    struct wisp_oci_cache *cache;
    enum wisp_oci_kind kind;
    const char *path;           /* a local file, or NULL: */
    const char *digest;         /* a blob of the cache */
    struct wisp_oci_part *part; /* that blob, hashed already and to be kept first; fd -1: it is in the cache */
    uint64_t size_max;
};

/* The artifact is the arena's, but for manifest_digest and is_from_cache, which are left alone. *ret_is_damaged: the
 * blob was not what its name says, or is gone, and should be had anew. */
int wisp_oci_prepare(const struct wisp_oci_prepare_options *options, struct wisp_arena *arena,
                     struct wisp_oci_artifact *ret_artifact, bool *ret_is_damaged, struct wisp_err *err)
    __attribute__((warn_unused_result));
