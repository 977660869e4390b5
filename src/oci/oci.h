/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts: from a reference to a verified file on disk.
 *
 *     file:///abs/path, /abs/path            a local file
 *     oci://HOST/NAME[:TAG][@sha256:HEX]     a registry; https:// and http:// prefixes are dropped, as is oci://
 *     HOST[:PORT]/NAME[:TAG][@sha256:HEX]    the same
 *
 * Names are made lower-case; a tag is asked for as it is written, and in lower case when it isn't there. A first part
 * that looks like no host means docker.io.
 *
 * What came from a registry is kept in the cache by digest: DIR/blobs/sha256-HEX, what was taken out of provider
 * archives in DIR/exec, and what a reference stood for last in DIR/refs. Blobs are verified while they arrive, made
 * visible by rename, and resumed when a download broke. When a registry can't be reached, what the cache has for the
 * reference is used and said so. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <uv.h>

enum { WISP_OCI_DIGEST_LEN = 7 + 64 }; /* "sha256:" and hex */

enum wisp_oci_kind {
    WISP_OCI_COMPONENT,
    WISP_OCI_PROVIDER,
    WISP_OCI_FILE, /* either, as it is in the registry: nothing is unpacked, claims are not looked at */
};

struct wisp_oci_credential {
    const char *registry;        /* HOST[:PORT] */
    const char *user, *password; /* or */
    const char *token;           /* a bearer token */
};

struct wisp_oci_options {
    const char *cache_dir;       /* made when absent, 0700 */
    const char *const *insecure; /* registries reached by plain HTTP */
    size_t n_insecure;
    bool allow_latest;      /* references without digest whose tag is `latest` (or missing) */
    bool allow_files;       /* file:// */
    bool use_docker_config; /* ~/.docker/config.json and its credential helpers */
    const struct wisp_oci_credential *credentials;
    size_t n_credentials;
    const char *const *ca_paths; /* in addition to the system's */
    size_t n_ca_paths;
    uint64_t size_max;         /* of one artifact; 0: 1 GiB */
    uint64_t stall_timeout_ms; /* without a byte; 0: 30 s */
    uint32_t parallel_max;     /* downloads at once; 0: 8 */
};

struct wisp_oci_client;
int wisp_oci_client_new(struct wisp_oci_client **ret_client, uv_loop_t *loop, const struct wisp_oci_options *options,
                        struct wisp_err *err) __attribute__((warn_unused_result));
/* Ends fetches without their callbacks. Not from a callback. The loop must run on until what is left has closed. */
void wisp_oci_client_free(struct wisp_oci_client *client);
/* Adds or replaces (registry.put, config service). Copied. */
void wisp_oci_client_set_credential(struct wisp_oci_client *client, const struct wisp_oci_credential *credential);

/* What is embedded in a signed component or a provider archive. Empty strings when there is none. Views into the
 * artifact's arena. */
struct wisp_oci_claims {
    struct wisp_str token; /* the JWT */
    struct wisp_str issuer, subject, name, version, call_alias, vendor;
    struct wisp_str config_schema; /* JSON text */
    int32_t revision;
    const struct wisp_str *tags;
    size_t n_tags;
    int64_t issued_at, expires_at, not_before; /* seconds since 1970; 0: none */
};

/* The file stays where it is at least until the client is freed. */
struct wisp_oci_artifact {
    const char *path;            /* of the component, or of the provider's executable for this machine (mode 0755) */
    const char *digest;          /* "sha256:HEX" of that file */
    const char *manifest_digest; /* NULL for local files */
    uint64_t size;
    bool is_from_cache; /* the registry could not be asked */
    struct wisp_oci_claims claims;
};

struct wisp_oci_progress {
    uint64_t done_bytes, total_bytes; /* total 0: unknown */
};

struct wisp_oci_fetch;
struct wisp_oci_fetch_options {
    const char *reference; /* as users write it */
    enum wisp_oci_kind kind;
    /* May be NULL; a few a second, while the file itself arrives. May cancel its own fetch only. */
    void (*on_progress)(const struct wisp_oci_progress *progress, void *env);
    /* `artifact` is NULL with an error: NOT_FOUND, DENIED (credentials, file:// not allowed, latest not allowed, a bad
     * signature), INVALID (reference, manifest, digest differs), LIMIT, UNAVAILABLE, TIMEOUT, OS. Valid during the
     * call. */
    void (*on_done)(const struct wisp_oci_artifact *artifact, const struct wisp_err *err, void *env);
    void *env;
};
/* Callbacks come from the loop only. Several fetches of one reference share the download. */
struct wisp_oci_fetch *wisp_oci_fetch_start(struct wisp_oci_client *client,
                                            const struct wisp_oci_fetch_options *options);
void wisp_oci_fetch_cancel(struct wisp_oci_fetch *fetch);

/* "ghcr.io/x/echo:1" of "oci://ghcr.io/X/echo:1", the path of "file:///path", "name" of any other "scheme://name": what
 * hosts show for providers. */
void wisp_oci_reference_plain(struct wisp_str reference, struct wisp_buf *out);
