/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/client_priv.h"

#include <stdlib.h>

enum {
    SIZE_MAX_DEFAULT = 1 << 30,
    STALL_DEFAULT_MS = 30 * 1000,
    PARALLEL_DEFAULT = 8,
};

/* --- downloads --- */

static void free_download(uv_handle_t *handle)
{
    struct wisp_oci_download *download = handle->data;
    wisp_buf_deinit(&download->body);
    wisp_oci_hash_deinit(&download->hash);
    wisp_arena_deinit(&download->arena);
    free(download);
}

static void unlink_download(struct wisp_oci_download *download)
{
    struct wisp_oci_download **link = &download->client->downloads;
    while (*link != download) link = &(*link)->next;
    *link = download->next;
    if (download->state == WISP_OCI_ACTIVE) download->client->n_active--;
    download->state = WISP_OCI_DONE;
}

static void start_queued(struct wisp_oci_client *client)
{
    for (struct wisp_oci_download *d = client->downloads; d && client->n_active < client->options.parallel_max;
         d = d->next) {
        if (d->state != WISP_OCI_QUEUED) continue;
        d->state = WISP_OCI_ACTIVE;
        client->n_active++;
        wisp_oci_download_wait(d, 0, wisp_oci_download_begin);
    }
}

static void close_download(struct wisp_oci_download *download)
{
    wisp_oci_download_stop(download);
    uv_close((uv_handle_t *)&download->timer, free_download);
}

void wisp_oci_download_finish(struct wisp_oci_download *download, const struct wisp_oci_artifact *artifact,
                              struct wisp_err *err)
{
    struct wisp_oci_client *client = download->client;
    if (err) wisp_err_wrap(err, "%s", download->reference.text ? download->reference.text : "reference");
    unlink_download(download);
    start_queued(client);
    for (struct wisp_oci_fetch *fetch; (fetch = download->fetches);) {
        download->fetches = fetch->next;
        fetch->on_done(err ? NULL : artifact, err, fetch->env);
        free(fetch);
    }
    close_download(download);
}

static void on_timer(uv_timer_t *timer)
{
    struct wisp_oci_download *download = timer->data;
    download->step(download);
}

void wisp_oci_download_wait(struct wisp_oci_download *download, uint64_t ms, wisp_oci_step *step)
{
    download->step = step;
    uv_timer_start(&download->timer, on_timer, ms, 0);
}

static struct wisp_oci_download *new_download(struct wisp_oci_client *client,
                                              const struct wisp_oci_fetch_options *options)
{
    struct wisp_oci_download *download = wisp_mem_calloc(1, sizeof *download);
    download->client = client;
    download->kind = options->kind;
    download->part.fd = -1;
    uv_timer_init(client->loop, &download->timer);
    download->timer.data = download;
    if (wisp_oci_reference_parse(&download->arena, wisp_str_from(options->reference), &download->reference,
                                 &download->refused) < 0)
        download->reference = (struct wisp_oci_reference){0};
    return download;
}

/* One for the same thing that is under way already takes the place of the new one. */
static struct wisp_oci_download *share_or_add(struct wisp_oci_client *client, struct wisp_oci_download *download)
{
    struct wisp_oci_download **link = &client->downloads;
    for (; *link; link = &(*link)->next) {
        struct wisp_oci_download *other = *link;
        if (!other->reference.text || !download->reference.text || other->kind != download->kind ||
            strcmp(other->reference.text, download->reference.text) != 0)
            continue;
        download->state = WISP_OCI_DONE;
        close_download(download);
        return other;
    }
    *link = download;
    return download;
}

/* --- fetches --- */

struct wisp_oci_fetch *wisp_oci_fetch_start(struct wisp_oci_client *client,
                                            const struct wisp_oci_fetch_options *options)
{
    struct wisp_oci_fetch *fetch = wisp_mem_calloc(1, sizeof *fetch);
    *fetch = (struct wisp_oci_fetch){
        .download = share_or_add(client, new_download(client, options)),
        .on_progress = options->on_progress,
        .on_done = options->on_done,
        .env = options->env,
    };
    struct wisp_oci_fetch **tail = &fetch->download->fetches;
    while (*tail) tail = &(*tail)->next;
    *tail = fetch;
    start_queued(client);
    return fetch;
}

void wisp_oci_fetch_cancel(struct wisp_oci_fetch *fetch)
{
    struct wisp_oci_download *download = fetch->download;
    struct wisp_oci_client *client = download->client;
    struct wisp_oci_fetch **link = &download->fetches;
    while (*link != fetch) link = &(*link)->next;
    *link = fetch->next;
    free(fetch);
    if (download->fetches || download->state == WISP_OCI_DONE) return;
    unlink_download(download);
    close_download(download);
    start_queued(client);
}

/* --- clients --- */

static char *copy(const char *text) { return text ? wisp_mem_dup(wisp_str_from(text)) : NULL; }

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z') *text = (char)(*text + 'a' - 'A');
}

static void copy_options(struct wisp_oci_client *client, const struct wisp_oci_options *options)
{
    client->options = *options;
    if (!client->options.size_max) client->options.size_max = SIZE_MAX_DEFAULT;
    if (!client->options.stall_timeout_ms) client->options.stall_timeout_ms = STALL_DEFAULT_MS;
    if (!client->options.parallel_max) client->options.parallel_max = PARALLEL_DEFAULT;
    client->n_insecure = options->n_insecure;
    client->insecure = wisp_mem_calloc(options->n_insecure, sizeof *client->insecure);
    for (size_t i = 0; i < options->n_insecure; i++) {
        client->insecure[i] = copy(options->insecure[i]);
        lower(client->insecure[i]);
    }
    for (size_t i = 0; i < options->n_credentials; i++)
        wisp_oci_client_set_credential(client, &options->credentials[i]);
}

int wisp_oci_client_new(struct wisp_oci_client **ret_client, uv_loop_t *loop, const struct wisp_oci_options *options,
                        struct wisp_err *err)
{
    struct wisp_oci_client *client = wisp_mem_calloc(1, sizeof *client);
    client->loop = loop;
    copy_options(client, options);
    struct wisp_web_options web = {.ca_paths = options->ca_paths,
                                   .n_ca_paths = options->n_ca_paths,
                                   .stall_timeout_ms = client->options.stall_timeout_ms};
    int r = wisp_oci_cache_open(&client->cache, options->cache_dir, err);
    if (r == 0) r = wisp_web_new(&client->web, loop, &web, err);
    if (r < 0)
        wisp_oci_client_free(client);
    else
        *ret_client = client;
    return r;
}

static void free_fetches(struct wisp_oci_download *download)
{
    for (struct wisp_oci_fetch *fetch; (fetch = download->fetches);) {
        download->fetches = fetch->next;
        free(fetch);
    }
}

void wisp_oci_client_free(struct wisp_oci_client *client)
{
    if (!client) return;
    for (struct wisp_oci_download *download; (download = client->downloads);) {
        free_fetches(download);
        unlink_download(download);
        close_download(download);
    }
    wisp_oci_passes_drop(client, NULL);
    wisp_oci_accounts_free(client);
    wisp_web_free(client->web);
    wisp_oci_cache_unref(client->cache);
    for (size_t i = 0; i < client->n_insecure; i++) free(client->insecure[i]);
    free(client->insecure);
    free(client);
}

bool wisp_oci_client_is_insecure(const struct wisp_oci_client *client, const char *registry)
{
    for (size_t i = 0; i < client->n_insecure; i++)
        if (strcmp(client->insecure[i], registry) == 0) return true;
    return false;
}
