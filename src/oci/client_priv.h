/* SPDX-License-Identifier: Apache-2.0 */
/* A client, and its downloads: what one reference needs until it is a file, shared by all who fetch it.
 *
 *     client.c     the fetches, the queue, the end of a download
 *     download.c   its steps: reference → manifest → layer → prepared artifact
 *     access.c     what a registry wants to see before it answers
 *
 * A download is QUEUED, then ACTIVE with exactly one of these under way: a request, a job on a pool thread, or a wait
 * for its timer. Owner of everything: the loop thread. */
#pragma once

#include "oci/challenge.h"
#include "oci/credentials.h"
#include "oci/prepare.h"
#include "oci/reference.h"
#include "web/web.h"

struct wisp_oci_download;
typedef void wisp_oci_step(struct wisp_oci_download *download);

/* What a registry has accepted once: the header Authorization for one of its repositories. */
struct wisp_oci_pass {
    struct wisp_oci_pass *next;
    char *key, *header;
    uint64_t expires_ms; /* of the loop's clock */
};

struct wisp_oci_account {
    struct wisp_oci_account *next;
    char *registry, *user, *password, *token;
};

struct wisp_oci_client {
    uv_loop_t *loop;
    struct wisp_oci_options options; /* numbers and booleans only */
    char **insecure;
    size_t n_insecure;
    struct wisp_oci_account *accounts;
    struct wisp_oci_pass *passes; /* newest first */
    struct wisp_oci_cache *cache;
    struct wisp_web *web;
    struct wisp_oci_download *downloads; /* in the order they came */
    uint32_t n_active;
};

struct wisp_oci_fetch {
    struct wisp_oci_fetch *next;
    struct wisp_oci_download *download;
    void (*on_progress)(const struct wisp_oci_progress *progress, void *env);
    void (*on_done)(const struct wisp_oci_artifact *artifact, const struct wisp_err *err, void *env);
    void *env;
};

struct wisp_oci_job;

struct wisp_oci_download {
    struct wisp_oci_download *next;
    struct wisp_oci_client *client;
    struct wisp_oci_fetch *fetches;
    enum { WISP_OCI_QUEUED, WISP_OCI_ACTIVE, WISP_OCI_DONE } state;
    struct wisp_arena arena;
    enum wisp_oci_kind kind;
    struct wisp_oci_reference reference;
    struct wisp_err refused; /* the reference is wrong */

    uv_timer_t timer;
    wisp_oci_step *step; /* when the timer fires */
    struct wisp_web_request *request;
    struct wisp_oci_job *job;

    /* The step that is being tried */
    wisp_oci_step *again;
    unsigned attempts;
    struct wisp_buf body;
    bool has_authorized; /* anew, for this step */
    bool is_lower_tag;   /* asked for in lower case, because it isn't there as written */

    /* The chain from the reference to the layer */
    char top_digest[WISP_OCI_DIGEST_LEN + 1]; /* what the reference stands for; empty: not known yet */
    char digest[WISP_OCI_DIGEST_LEN + 1];     /* of the manifest to be had now */
    bool is_in_index;
    char layer[WISP_OCI_DIGEST_LEN + 1];
    uint64_t layer_size;
    bool is_from_cache;
    struct wisp_err unreachable; /* why the cache has to do */

    /* The layer, while it arrives */
    struct wisp_oci_part part;
    struct wisp_oci_hash hash;
    uint64_t received, received_before; /* before this attempt */
    bool has_started;                   /* this attempt: its first byte is here */
    bool has_differed, was_damaged;     /* once is forgiven */
};

/* --- client.c --- */
void wisp_oci_download_finish(struct wisp_oci_download *download, const struct wisp_oci_artifact *artifact,
                              struct wisp_err *err);
void wisp_oci_download_wait(struct wisp_oci_download *download, uint64_t ms, wisp_oci_step *step);
bool wisp_oci_client_is_insecure(const struct wisp_oci_client *client, const char *registry);

/* --- download.c --- */
wisp_oci_step wisp_oci_download_begin;
/* Gives up whatever is under way. */
void wisp_oci_download_stop(struct wisp_oci_download *download);
/* The registry can't be reached, or not any more: the cache, or the end. */
void wisp_oci_download_fail(struct wisp_oci_download *download, struct wisp_err *err);
void wisp_oci_download_retry(struct wisp_oci_download *download, struct wisp_err *err, uint64_t pause_ms);

/* A piece of work on a pool thread. `download` is NULL for whoever finishes it when it was given up meanwhile. */
struct wisp_oci_job {
    uv_work_t work;
    struct wisp_oci_download *download;
    void (*run)(struct wisp_oci_job *job);
    void (*done)(struct wisp_oci_job *job); /* frees it */
};
void wisp_oci_job_start(struct wisp_oci_job *job, struct wisp_oci_download *download);

/* --- access.c --- */
/* The header that worked last time, or NULL. */
const char *wisp_oci_pass_find(struct wisp_oci_client *client, const struct wisp_oci_reference *reference);
void wisp_oci_passes_drop(struct wisp_oci_client *client, const char *registry); /* NULL: all */
void wisp_oci_accounts_free(struct wisp_oci_client *client);
/* After a 401: gets what is wanted, then does download->again. */
void wisp_oci_download_authorize(struct wisp_oci_download *download, struct wisp_str challenge);
