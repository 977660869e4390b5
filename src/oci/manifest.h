/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests: what a registry says an artifact consists of. Pure. */
#pragma once

#include "oci/oci.h"

/* A link of the chain from a reference to its bytes. */
struct wisp_oci_manifest {
    bool is_index; /* then the next thing is a manifest, otherwise it is the layer */
    char digest[WISP_OCI_DIGEST_LEN + 1];
    uint64_t size;
};

/* What to ask for, as the value of Accept. */
extern const char wisp_oci_manifest_types[];

/* Takes an OCI or Docker manifest of one layer of an accepted type, or an index, of which the entry for this machine
 * (for WebAssembly, when a component is wanted) is picked. INVALID, UNSUPPORTED; NOT_FOUND when nothing in the index
 * fits. */
int wisp_oci_manifest_parse(struct wisp_str text, enum wisp_oci_kind kind, struct wisp_oci_manifest *ret_manifest,
                            struct wisp_err *err) __attribute__((warn_unused_result));
