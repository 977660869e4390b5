/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/blobstore/listing.h"

#include <stdlib.h>

void wisp_blobstore_listing_deinit(struct wisp_blobstore_listing *listing)
{
    wisp_arena_deinit(&listing->arena);
    free(listing->names);
    *listing = (struct wisp_blobstore_listing){0};
}

void wisp_blobstore_listing_add(struct wisp_blobstore_listing *listing, struct wisp_str name)
{
    if (listing->n == listing->capacity) {
        listing->capacity = listing->capacity ? 2 * listing->capacity : 64;
        listing->names = wisp_mem_realloc(listing->names, listing->capacity * sizeof *listing->names);
    }
    listing->names[listing->n++] = wisp_arena_str(&listing->arena, name);
}

static int compare(const void *a, const void *b)
{
    return wisp_str_compare(*(const struct wisp_str *)a, *(const struct wisp_str *)b);
}

void wisp_blobstore_listing_sort(struct wisp_blobstore_listing *listing)
{
    if (listing->n) qsort(listing->names, listing->n, sizeof *listing->names, compare);
}

/* --- the answer --- */

struct answer {
    struct wisp_blobstore_listing listing;
    size_t next, end;
};

static void answer_free(struct answer *answer)
{
    wisp_blobstore_listing_deinit(&answer->listing);
    free(answer);
}

static void on_abort(struct wisp_blobstore_download *download) { answer_free(download->user); }

static void pump(struct wisp_blobstore_download *download)
{
    struct answer *answer = download->user;
    while (!wisp_blobstore_download_is_unwanted(download) && answer->next < answer->end) {
        if (wisp_blobstore_download_room(download) == 0) return;
        if (wisp_blobstore_download_put(download, answer->listing.names[answer->next++]) < 0) {
            answer_free(answer);
            return;
        }
    }
    wisp_blobstore_download_end(download, NULL);
    answer_free(answer);
}

void wisp_blobstore_listing_answer(struct wisp_blobstore_listing *listing_taken, struct wisp_blobstore_op *op)
{
    struct answer *answer = wisp_mem_calloc(1, sizeof *answer);
    size_t n = listing_taken->n;
    answer->listing = *listing_taken;
    *listing_taken = (struct wisp_blobstore_listing){0};
    answer->end = op->end < n ? (size_t)op->end : n;
    answer->next = op->start < answer->end ? (size_t)op->start : answer->end;
    struct wisp_blobstore_download *download = wisp_blobstore_download_new(op);
    download->user = answer;
    download->on_room = pump;
    download->on_abort = on_abort;
    wisp_blobstore_download_start(download);
    pump(download);
}
