/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/client_priv.h"

#include "oci/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    MANIFEST_MAX = 4 << 20,
    MANIFEST_TIMEOUT_MS = 60 * 1000,
    IGNORED_MAX = 1 << 20, /* of the body of an answer that is an error */
    MANIFEST_ATTEMPTS = 3,
    LAYER_ATTEMPTS = 6,
    LAYER_TIMEOUT_MS = 10 * 60 * 1000, /* and the time it takes at LAYER_SLOWEST */
    LAYER_SLOWEST = 16,                /* bytes per millisecond: a peer that drips must not hold a place for ever */
    FORGIVEN_BYTES = 1 << 20,          /* an attempt that got so far doesn't count */
    PAUSE_FIRST_MS = 200,
    PAUSE_MAX_MS = 5 * 1000,
    RETRY_AFTER_MAX_MS = 30 * 1000,
    PROGRESS_MS = 250,
};

static wisp_oci_step ask_for_manifest, follow, ask_for_layer, follow_layer;

/* --- jobs --- */

static void run_job(uv_work_t *work)
{
    struct wisp_oci_job *job = work->data;
    job->run(job);
}

static void end_job(uv_work_t *work, int status)
{
    struct wisp_oci_job *job = work->data;
    (void)status;
    if (job->download) job->download->job = NULL;
    job->done(job);
}

void wisp_oci_job_start(struct wisp_oci_job *job, struct wisp_oci_download *download)
{
    job->download = download;
    job->work.data = job;
    download->job = job;
    if (uv_queue_work(download->client->loop, &job->work, run_job, end_job) < 0) wisp_mem_out(0);
}

void wisp_oci_download_stop(struct wisp_oci_download *download)
{
    wisp_web_cancel(WISP_TAKE(download->request));
    if (download->job) download->job->download = NULL;
    download->job = NULL;
    uv_timer_stop(&download->timer);
    wisp_oci_part_discard(download->client->cache, &download->part);
}

/* --- failures --- */

static bool is_transient(enum wisp_err_kind kind) { return kind == WISP_ERR_UNAVAILABLE || kind == WISP_ERR_TIMEOUT; }

static bool recall(struct wisp_oci_download *download, char *ret_digest)
{
    const struct wisp_oci_reference *reference = &download->reference;
    return !reference->digest && wisp_oci_cache_recall(download->client->cache, reference->text, ret_digest);
}

void wisp_oci_download_fail(struct wisp_oci_download *download, struct wisp_err *err)
{
    if (download->is_from_cache || !is_transient(err->kind) || !recall(download, download->digest)) {
        wisp_oci_download_finish(download, NULL, err);
        return;
    }
    wisp_oci_part_discard(download->client->cache, &download->part);
    download->is_from_cache = true;
    download->is_in_index = false;
    download->unreachable = *err;
    memcpy(download->top_digest, download->digest, sizeof download->digest);
    follow(download);
}

/* 50 to 100 % of the pause, so that many don't come back in the same moment. */
static uint64_t jitter(uint64_t ms)
{
    uint32_t random = 0;
    (void)uv_random(NULL, NULL, &random, sizeof random, 0, NULL);
    return ms / 2 + random % (ms / 2 + 1);
}

static unsigned attempts_max(struct wisp_oci_download *download)
{
    char digest[WISP_OCI_DIGEST_LEN + 1];
    if (download->again == ask_for_layer) return LAYER_ATTEMPTS;
    return recall(download, digest) ? 1 : MANIFEST_ATTEMPTS;
}

void wisp_oci_download_retry(struct wisp_oci_download *download, struct wisp_err *err, uint64_t pause_ms)
{
    download->attempts++;
    if (!is_transient(err->kind) || download->attempts >= attempts_max(download)) {
        wisp_oci_download_fail(download, err);
        return;
    }
    uint64_t ms = (uint64_t)PAUSE_FIRST_MS << (download->attempts - 1);
    ms = jitter(ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS);
    if (pause_ms > RETRY_AFTER_MAX_MS) pause_ms = RETRY_AFTER_MAX_MS;
    download->has_authorized = false;
    wisp_oci_download_wait(download, ms > pause_ms ? ms : pause_ms, download->again);
}

/* A status that is neither success nor one the step knows. */
static void refuse(struct wisp_oci_download *download, const struct wisp_web_response *response, const char *what)
{
    struct wisp_err err = {0};
    long status = response->status;
    if (status == 401) {
        wisp_oci_download_authorize(download, wisp_buf_str(&response->challenge));
        return;
    }
    if (status == 404)
        wisp_err_set(&err, WISP_ERR_NOT_FOUND, "registry has no such %s", what);
    else if (status == 403)
        wisp_err_set(&err, WISP_ERR_DENIED, "registry does not allow it");
    else
        wisp_err_set(&err, status >= 500 || status == 429 || status == 408 ? WISP_ERR_UNAVAILABLE : WISP_ERR_INVALID,
                     "registry answered %ld to the request for the %s", status, what);
    wisp_oci_download_retry(download, &err, response->retry_after_ms);
}

/* --- requests --- */

/* Begins a step: nothing has been tried yet. */
static void set_step(struct wisp_oci_download *download, wisp_oci_step *step)
{
    download->again = step;
    download->attempts = 0;
    download->has_authorized = false;
    step(download);
}

static void get(struct wisp_oci_download *download, const char *what, const char *name, struct wisp_web_ask *request)
{
    const struct wisp_oci_reference *reference = &download->reference;
    WISP_CLEANUP_BUF struct wisp_buf url = {0};
    wisp_buf_printf(&url, "%s://%s/v2/%s/%s/%s",
                    wisp_oci_client_is_insecure(download->client, reference->registry) ? "http" : "https",
                    wisp_oci_registry_host(reference->registry), reference->repository, what, name);
    wisp_buf_append_char(&url, '\0');
    request->url = url.data;
    request->authorization = wisp_oci_pass_find(download->client, reference);
    request->env = download;
    download->body.len = 0;
    download->request = wisp_web_start(download->client->web, request);
}

static int keep_bytes(struct wisp_oci_download *download, const struct wisp_web_response *response,
                      struct wisp_str bytes, struct wisp_err *err)
{
    size_t max = response->status == 200 ? MANIFEST_MAX : IGNORED_MAX;
    if (download->body.len + bytes.len > max)
        return wisp_err_set(err, WISP_ERR_LIMIT, "registry's answer has more than %zu bytes", max);
    wisp_buf_append_str(&download->body, bytes);
    return 0;
}

/* --- manifests --- */

static int on_manifest_bytes(const struct wisp_web_response *response, struct wisp_str bytes, void *env,
                             struct wisp_err *err)
{
    return keep_bytes(env, response, bytes, err);
}

static void finish_with(struct wisp_oci_download *download, enum wisp_err_kind kind, const char *text)
{
    struct wisp_err err = {0};
    wisp_err_set(&err, kind, "%s", text);
    wisp_oci_download_finish(download, NULL, &err);
}

static void read_manifest(struct wisp_oci_download *download)
{
    struct wisp_oci_manifest manifest;
    struct wisp_err err = {0};
    if (wisp_oci_manifest_parse(wisp_buf_str(&download->body), download->kind, &manifest, &err) < 0) {
        wisp_oci_download_finish(download, NULL, &err);
    } else if (!manifest.is_index) {
        memcpy(download->layer, manifest.digest, sizeof download->layer);
        download->layer_size = manifest.size;
        follow_layer(download);
    } else if (download->is_in_index) {
        finish_with(download, WISP_ERR_UNSUPPORTED, "manifest: an index in an index");
    } else {
        download->is_in_index = true;
        memcpy(download->digest, manifest.digest, sizeof download->digest);
        follow(download);
    }
}

/* The registry's own word on the digest is optional, but must not be wrong. */
static bool is_as_said(struct wisp_str said, const char *digest)
{
    return !wisp_str_starts_with(said, WISP_STR("sha256:")) || wisp_str_is(said, digest);
}

static void take_manifest(struct wisp_oci_download *download, const struct wisp_web_response *response)
{
    char actual[WISP_OCI_DIGEST_LEN + 1];
    wisp_oci_digest(wisp_buf_str(&download->body), actual);
    if (!is_as_said(wisp_buf_str(&response->digest), actual) ||
        (download->digest[0] && strcmp(download->digest, actual))) {
        finish_with(download, WISP_ERR_INVALID, "manifest is not what its digest says");
        return;
    }
    memcpy(download->digest, actual, sizeof actual);
    if (!download->top_digest[0]) memcpy(download->top_digest, actual, sizeof actual);
    wisp_oci_cache_write(download->client->cache, actual, wisp_buf_str(&download->body));
    read_manifest(download);
}

/* Other tools push every reference in lower case. */
static bool try_lower_tag(struct wisp_oci_download *download)
{
    const char *tag = download->reference.tag;
    if (download->digest[0] || download->is_lower_tag || !tag || !strpbrk(tag, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        return false;
    download->is_lower_tag = true;
    set_step(download, ask_for_manifest);
    return true;
}

static void on_manifest(const struct wisp_web_response *response, const struct wisp_err *failure, void *env)
{
    struct wisp_oci_download *download = env;
    download->request = NULL;
    if (failure) {
        struct wisp_err err = *failure;
        wisp_oci_download_retry(download, &err, 0);
    } else if (response->status == 200) {
        take_manifest(download, response);
    } else if (response->status != 404 || !try_lower_tag(download)) {
        refuse(download, response, "artifact");
    }
}

static void ask_for_manifest(struct wisp_oci_download *download)
{
    char tag[160];
    snprintf(tag, sizeof tag, "%s", download->reference.tag ? download->reference.tag : "");
    for (char *c = tag; download->is_lower_tag && *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c + 'a' - 'A');
    get(download, "manifests", download->digest[0] ? download->digest : tag,
        &(struct wisp_web_ask){
            .accept = wisp_oci_manifest_types,
            .timeout_ms = MANIFEST_TIMEOUT_MS,
            .on_body = on_manifest_bytes,
            .on_done = on_manifest,
        });
}

/* The cache has less than what was asked for. */
static void fail_offline(struct wisp_oci_download *download)
{
    wisp_oci_download_finish(download, NULL, &download->unreachable);
}

/* The manifest's digest is known. */
static void follow(struct wisp_oci_download *download)
{
    if (wisp_oci_cache_read(download->client->cache, download->digest, MANIFEST_MAX, &download->body))
        read_manifest(download);
    else if (download->is_from_cache)
        fail_offline(download);
    else
        set_step(download, ask_for_manifest);
}

/* --- layers --- */

static void start_over(struct wisp_oci_download *download)
{
    download->received = 0;
    wisp_oci_hash_start(&download->hash);
    /* Should this fail, then the file is not what its digest says, which is looked at last. */
    if (ftruncate(download->part.fd, 0) < 0 || lseek(download->part.fd, 0, SEEK_SET) < 0) {
    }
}

/* The first bytes of an attempt: are they those that were asked for? */
static int check_start(struct wisp_oci_download *download, const struct wisp_web_response *response,
                       struct wisp_err *err)
{
    download->has_started = true;
    if (response->status == 206 && response->range_start == download->received) return 0;
    start_over(download);
    if (response->status == 200) return 0;
    return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "registry sent another range than was asked for");
}

static int on_layer_bytes(const struct wisp_web_response *response, struct wisp_str bytes, void *env,
                          struct wisp_err *err)
{
    struct wisp_oci_download *download = env;
    int r = 0;
    if (response->status != 200 && response->status != 206) return keep_bytes(download, response, bytes, err);
    if (!download->has_started) r = check_start(download, response, err);
    if (r < 0) return r;
    if (bytes.len > download->layer_size - download->received)
        return wisp_err_set(err, WISP_ERR_INVALID, "registry sends more than the %llu bytes of the manifest",
                            (unsigned long long)download->layer_size);
    wisp_oci_hash_add(&download->hash, bytes.ptr, bytes.len);
    download->received += bytes.len;
    return wisp_oci_part_write(&download->part, bytes.ptr, bytes.len, err);
}

static wisp_oci_step prepare;

static void check_layer(struct wisp_oci_download *download)
{
    char actual[WISP_OCI_DIGEST_LEN + 1];
    wisp_oci_hash_end(&download->hash, actual);
    if (strcmp(actual, download->layer) == 0) {
        prepare(download);
        return;
    }
    start_over(download);
    if (download->has_differed) {
        finish_with(download, WISP_ERR_INVALID, "layer is not what its digest says");
        return;
    }
    download->has_differed = true;
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "layer is not what its digest says");
    wisp_oci_download_retry(download, &err, 0);
}

static void retry_layer(struct wisp_oci_download *download, struct wisp_err *err)
{
    if (download->received > download->received_before + FORGIVEN_BYTES) download->attempts = 0;
    wisp_oci_download_retry(download, err, 0);
}

static void on_layer(const struct wisp_web_response *response, const struct wisp_err *failure, void *env)
{
    struct wisp_oci_download *download = env;
    struct wisp_err err = {0};
    download->request = NULL;
    uv_timer_stop(&download->timer);
    if (failure) {
        err = *failure;
        retry_layer(download, &err);
    } else if (response->status == 416) {
        start_over(download);
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "registry has lost a part of the layer");
        wisp_oci_download_retry(download, &err, 0);
    } else if (response->status != 200 && response->status != 206) {
        refuse(download, response, "layer");
    } else if (download->received < download->layer_size) {
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "layer ended after %llu of %llu bytes",
                     (unsigned long long)download->received, (unsigned long long)download->layer_size);
        retry_layer(download, &err);
    } else {
        check_layer(download);
    }
}

static void tell_progress(struct wisp_oci_download *download)
{
    struct wisp_oci_progress progress = {download->received, download->layer_size};
    wisp_oci_download_wait(download, PROGRESS_MS, tell_progress);
    for (struct wisp_oci_fetch *fetch = download->fetches, *next; fetch; fetch = next) {
        next = fetch->next;
        if (fetch->on_progress) fetch->on_progress(&progress, fetch->env);
    }
}

static void ask_for_layer(struct wisp_oci_download *download)
{
    download->received_before = download->received;
    download->has_started = false;
    get(download, "blobs", download->layer,
        &(struct wisp_web_ask){
            .range_start = download->received,
            .timeout_ms = LAYER_TIMEOUT_MS + download->layer_size / LAYER_SLOWEST,
            .on_body = on_layer_bytes,
            .on_done = on_layer,
        });
    wisp_oci_download_wait(download, PROGRESS_MS, tell_progress);
}

static bool is_in_cache(const struct wisp_oci_download *download)
{
    uint64_t size;
    WISP_CLEANUP_FD int fd = wisp_oci_cache_find(download->client->cache, WISP_OCI_BLOBS, download->layer, &size);
    return fd >= 0 && size == download->layer_size;
}

/* The layer's digest is known. */
static void follow_layer(struct wisp_oci_download *download)
{
    struct wisp_err err = {0};
    uint64_t size_max = download->client->options.size_max;
    if (download->layer_size > size_max) {
        wisp_err_set(&err, WISP_ERR_LIMIT, "artifact has %llu bytes, more than %llu",
                     (unsigned long long)download->layer_size, (unsigned long long)size_max);
        wisp_oci_download_finish(download, NULL, &err);
    } else if (is_in_cache(download)) {
        prepare(download);
    } else if (download->is_from_cache) {
        fail_offline(download);
    } else if (wisp_oci_part_start(download->client->cache, WISP_OCI_BLOBS, &download->part, &err) < 0) {
        wisp_oci_download_finish(download, NULL, &err);
    } else {
        start_over(download);
        set_step(download, ask_for_layer);
    }
}

/* --- the last step --- */

struct prepare_job {
    struct wisp_oci_job job;
    struct wisp_oci_prepare_options options;
    struct wisp_oci_part part;
    struct wisp_arena arena;
    struct wisp_oci_artifact artifact;
    bool is_damaged;
    struct wisp_err err;
};

static void run_prepare(struct wisp_oci_job *job)
{
    struct prepare_job *prepare_job = (struct prepare_job *)(void *)job;
    int r = wisp_oci_prepare(&prepare_job->options, &prepare_job->arena, &prepare_job->artifact,
                             &prepare_job->is_damaged, &prepare_job->err);
    assert((r < 0) == (prepare_job->err.kind != WISP_ERR_NONE));
    (void)r;
}

static void succeed(struct wisp_oci_download *download, struct wisp_oci_artifact *artifact)
{
    if (!download->reference.path) {
        artifact->manifest_digest = download->top_digest;
        artifact->is_from_cache = download->is_from_cache;
        if (!download->reference.digest && !download->is_from_cache)
            wisp_oci_cache_note(download->client->cache, download->reference.text, download->top_digest);
    }
    wisp_oci_download_finish(download, artifact, NULL);
}

static void prepare_done(struct wisp_oci_job *job)
{
    struct prepare_job *prepare_job = (struct prepare_job *)(void *)job;
    struct wisp_oci_download *download = job->download;
    if (!download) {
        /* nobody waits */
    } else if (!prepare_job->err.kind) {
        succeed(download, &prepare_job->artifact);
    } else if (prepare_job->is_damaged && !download->was_damaged) {
        download->was_damaged = true;
        follow_layer(download);
    } else {
        wisp_oci_download_finish(download, NULL, &prepare_job->err);
    }
    wisp_oci_cache_unref(prepare_job->options.cache);
    wisp_arena_deinit(&prepare_job->arena);
    free(prepare_job);
}

static const char *keep(struct wisp_arena *arena, const char *text)
{
    return text ? wisp_arena_cstr(arena, wisp_str_from(text)) : NULL;
}

/* What the job works with is its own: the download may be given up while it runs. */
static void prepare(struct wisp_oci_download *download)
{
    struct prepare_job *prepare_job = wisp_mem_calloc(1, sizeof *prepare_job);
    prepare_job->part = download->part;
    download->part.fd = -1;
    prepare_job->job.run = run_prepare;
    prepare_job->job.done = prepare_done;
    prepare_job->options = (struct wisp_oci_prepare_options){
        .cache = wisp_oci_cache_ref(download->client->cache),
        .kind = download->kind,
        .path = keep(&prepare_job->arena, download->reference.path),
        .digest = keep(&prepare_job->arena, download->layer),
        .part = &prepare_job->part,
        .size_max = download->client->options.size_max,
    };
    wisp_oci_job_start(&prepare_job->job, download);
}

/* --- the first step --- */

void wisp_oci_download_begin(struct wisp_oci_download *download)
{
    const struct wisp_oci_options *options = &download->client->options;
    const struct wisp_oci_reference *reference = &download->reference;
    if (download->refused.kind) {
        wisp_oci_download_finish(download, NULL, &download->refused);
    } else if (reference->path && !options->allow_files) {
        finish_with(download, WISP_ERR_DENIED, "local files are not allowed here");
    } else if (reference->path) {
        prepare(download);
    } else if (reference->digest) {
        memcpy(download->digest, reference->digest, sizeof download->digest);
        memcpy(download->top_digest, reference->digest, sizeof download->top_digest);
        follow(download);
    } else if (strcasecmp(reference->tag, "latest") == 0 && !options->allow_latest) {
        finish_with(download, WISP_ERR_DENIED, "tag `latest` is not allowed here: name a version");
    } else {
        set_step(download, ask_for_manifest);
    }
}
