/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, whole or by pieces, as "sha256:HEX" with lower-case letters. */
#pragma once

#include "oci/oci.h"

#include <openssl/evp.h>

/* Zeroed is a valid unused one. */
struct wisp_oci_hash {
    EVP_MD_CTX *context;
};

void wisp_oci_hash_start(struct wisp_oci_hash *hash); /* also again */
void wisp_oci_hash_add(struct wisp_oci_hash *hash, const void *bytes, size_t size);
void wisp_oci_hash_end(struct wisp_oci_hash *hash, char ret_digest[WISP_OCI_DIGEST_LEN + 1]);
void wisp_oci_hash_deinit(struct wisp_oci_hash *hash);
#define WISP_CLEANUP_HASH __attribute__((cleanup(wisp_oci_hash_deinit)))

void wisp_oci_digest(struct wisp_str bytes, char ret_digest[WISP_OCI_DIGEST_LEN + 1]);
/* "sha256:" and 64 hexadecimal digits, of either case. UNSUPPORTED for another algorithm. */
int wisp_oci_digest_parse(struct wisp_str text, char ret_digest[WISP_OCI_DIGEST_LEN + 1], struct wisp_err *err)
    __attribute__((warn_unused_result));
/* The 64 digits alone. */
static inline const char *wisp_oci_digest_hex(const char *digest) { return digest + 7; }
