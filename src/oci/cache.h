/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts on disk:
 *
 *     DIR/blobs/sha256-HEX   manifests and layers
 *     DIR/exec/sha256-HEX    executables taken out of provider archives, mode 0755
 *     DIR/refs/HEX           the manifest that a reference stood for last; HEX is the reference's SHA-256
 *
 * What is started from here runs with our rights, so only folders and files that nobody else can have written are used.
 * Everything appears by rename, and is hashed again whenever it is used. Together they are kept within the limit of
 * base/trim.h: files that are found, and those that hosts run, count as used. Functions on parts and blobs may run on
 * any thread; the count of references is the loop thread's. */
#pragma once

#include "oci/digest.h"

enum wisp_oci_shelf { WISP_OCI_BLOBS, WISP_OCI_EXEC, WISP_OCI_REFS, WISP_OCI_SHELF_COUNT };

struct wisp_oci_cache {
    unsigned n_refs;
    char *dir;
    int shelves[WISP_OCI_SHELF_COUNT];
    uint64_t limit_bytes;
    _Atomic uint64_t kept_bytes; /* since it was trimmed last */
};

/* Makes what is missing, and removes what broken-off downloads have left. DENIED when others can write there. */
int wisp_oci_cache_open(struct wisp_oci_cache **ret_cache, const char *dir, struct wisp_err *err)
    __attribute__((warn_unused_result));
struct wisp_oci_cache *wisp_oci_cache_ref(struct wisp_oci_cache *cache);
void wisp_oci_cache_unref(struct wisp_oci_cache *cache);

/* A file being written; no one sees it before it is kept. */
struct wisp_oci_part {
    int fd; /* -1: none */
    enum wisp_oci_shelf shelf;
    char name[64];
};

int wisp_oci_part_start(struct wisp_oci_cache *cache, enum wisp_oci_shelf shelf, struct wisp_oci_part *ret_part,
                        struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_oci_part_write(struct wisp_oci_part *part, const void *bytes, size_t size, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Waits for the disk. The part is gone then, also on failure. */
int wisp_oci_part_keep(struct wisp_oci_cache *cache, struct wisp_oci_part *part, const char *digest,
                       struct wisp_err *err) __attribute__((warn_unused_result));
/* Does nothing when there is none. */
void wisp_oci_part_discard(struct wisp_oci_cache *cache, struct wisp_oci_part *part);

/* A descriptor, or -1 when it is not there or not trustworthy. */
int wisp_oci_cache_find(const struct wisp_oci_cache *cache, enum wisp_oci_shelf shelf, const char *digest,
                        uint64_t *ret_size);
void wisp_oci_cache_remove(const struct wisp_oci_cache *cache, enum wisp_oci_shelf shelf, const char *digest);
/* Absolute, NUL-terminated. */
void wisp_oci_cache_path(const struct wisp_oci_cache *cache, enum wisp_oci_shelf shelf, const char *digest,
                         struct wisp_buf *out);

/* Manifests. False when it is not there, or is not what its name says. */
bool wisp_oci_cache_read(const struct wisp_oci_cache *cache, const char *digest, size_t size_max,
                         struct wisp_buf *ret_bytes);
void wisp_oci_cache_write(struct wisp_oci_cache *cache, const char *digest, struct wisp_str bytes);

/* What a reference stood for last. */
bool wisp_oci_cache_recall(const struct wisp_oci_cache *cache, const char *reference,
                           char ret_digest[WISP_OCI_DIGEST_LEN + 1]);
void wisp_oci_cache_note(struct wisp_oci_cache *cache, const char *reference, const char *digest);

/* The whole file, hashed; `size_max` is checked as it is read. */
int wisp_oci_hash_file(int fd, uint64_t size_max, char ret_digest[WISP_OCI_DIGEST_LEN + 1], struct wisp_err *err)
    __attribute__((warn_unused_result));
