/* SPDX-License-Identifier: Apache-2.0 */
/* The objects of a container, for stores that have to know all names before they can tell the first one. Zeroed at
 * first. How many there may be is for whoever adds them to say. */
#pragma once

#include "capability/blobstore/store.h"

struct wisp_blobstore_listing {
    struct wisp_arena arena; /* the names lie in it */
    struct wisp_str *names;
    size_t n, capacity;
};

void wisp_blobstore_listing_deinit(struct wisp_blobstore_listing *listing);

/* Copies the name. Any thread, one at a time; so does sort. */
void wisp_blobstore_listing_add(struct wisp_blobstore_listing *listing, struct wisp_str name);
void wisp_blobstore_listing_sort(struct wisp_blobstore_listing *listing);
/* Answers a list-container-objects with the names from op->start to op->end, and takes them all; the op is gone. */
void wisp_blobstore_listing_answer(struct wisp_blobstore_listing *listing_taken, struct wisp_blobstore_op *op);
