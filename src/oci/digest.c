/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/digest.h"

#include <stdio.h>

enum { HASH_SIZE = 32 };

void wisp_oci_hash_start(struct wisp_oci_hash *hash)
{
    if (!hash->context) hash->context = EVP_MD_CTX_new();
    if (!hash->context || !EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL)) wisp_mem_out(0);
}

void wisp_oci_hash_add(struct wisp_oci_hash *hash, const void *bytes, size_t size)
{
    if (size && !EVP_DigestUpdate(hash->context, bytes, size)) wisp_mem_out(0);
}

void wisp_oci_hash_end(struct wisp_oci_hash *hash, char ret_digest[WISP_OCI_DIGEST_LEN + 1])
{
    unsigned char bytes[HASH_SIZE];
    if (!EVP_DigestFinal_ex(hash->context, bytes, NULL)) wisp_mem_out(0);
    memcpy(ret_digest, "sha256:", 7);
    for (size_t i = 0; i < sizeof bytes; i++) sprintf(ret_digest + 7 + 2 * i, "%02x", bytes[i]);
}

void wisp_oci_hash_deinit(struct wisp_oci_hash *hash)
{
    EVP_MD_CTX_free(hash->context);
    hash->context = NULL;
}

void wisp_oci_digest(struct wisp_str bytes, char ret_digest[WISP_OCI_DIGEST_LEN + 1])
{
    WISP_CLEANUP_HASH struct wisp_oci_hash hash = {0};
    wisp_oci_hash_start(&hash);
    wisp_oci_hash_add(&hash, bytes.ptr, bytes.len);
    wisp_oci_hash_end(&hash, ret_digest);
}

static char hex_digit(char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) return c;
    return c >= 'A' && c <= 'F' ? (char)(c + 'a' - 'A') : '\0';
}

int wisp_oci_digest_parse(struct wisp_str text, char ret_digest[WISP_OCI_DIGEST_LEN + 1], struct wisp_err *err)
{
    char digest[WISP_OCI_DIGEST_LEN + 1] = "sha256:";
    if (!wisp_str_starts_with(text, WISP_STR("sha256:")))
        return wisp_str_starts_with(text, WISP_STR("sha"))
                   ? wisp_err_set(err, WISP_ERR_UNSUPPORTED, "digest is not of sha256")
                   : wisp_err_set(err, WISP_ERR_INVALID, "digest does not begin with `sha256:`");
    if (text.len != WISP_OCI_DIGEST_LEN)
        return wisp_err_set(err, WISP_ERR_INVALID, "digest has %zu digits, not 64", text.len - 7);
    for (size_t i = 7; i < text.len; i++) {
        digest[i] = hex_digit(text.ptr[i]);
        if (!digest[i]) return wisp_err_set(err, WISP_ERR_INVALID, "digest has other characters than 0-9 and a-f");
    }
    memcpy(ret_digest, digest, sizeof digest);
    return 0;
}
