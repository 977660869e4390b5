/* SPDX-License-Identifier: Apache-2.0 */
/* Components with claims, and without them. */
#include "oci/claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_str binary = {(const char *)data, size};
    struct wisp_oci_claims claims;
    char digest[WISP_OCI_DIGEST_LEN + 1];
    (void)!wisp_oci_component_claims(&arena, binary, 1000, &claims, NULL);
    (void)!wisp_oci_component_digest(binary, digest, NULL);
    return 0;
}
