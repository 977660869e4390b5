/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps freed objects of one size for the next taker, last in, first out, so that a busy server works on the same few
 * warm objects and allocates nothing. In sanitizer builds nothing is kept: every use after release is seen. */
#pragma once

#include "base/mem.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define WISP_HTTP_RECYCLES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WISP_HTTP_RECYCLES 0
#endif
#endif
#ifndef WISP_HTTP_RECYCLES
#define WISP_HTTP_RECYCLES 1
#endif

struct wisp_http_recycler {
    size_t item_size; /* at least that of a pointer */
    size_t kept_max;  /* what comes back beyond this is freed */
    size_t n_kept;
    void *first; /* each kept item begins with a pointer to the next */
};

/* Uninitialised memory, aligned as malloc's; give it back with put. */
static inline void *wisp_http_recycler_get(struct wisp_http_recycler *recycler)
{
    void *item = recycler->first;
    if (!item) return wisp_mem_alloc(recycler->item_size);
    recycler->first = *(void **)item;
    recycler->n_kept--;
    return item;
}

static inline void wisp_http_recycler_put(struct wisp_http_recycler *recycler, void *item)
{
    if (!WISP_HTTP_RECYCLES || recycler->n_kept >= recycler->kept_max) {
        free(item);
        return;
    }
    *(void **)item = recycler->first;
    recycler->first = item;
    recycler->n_kept++;
}

/* Frees what is kept; items still out are their holders' business. */
static inline void wisp_http_recycler_deinit(struct wisp_http_recycler *recycler)
{
    while (recycler->first) {
        void *item = recycler->first;
        recycler->first = *(void **)item;
        free(item);
    }
    recycler->n_kept = 0;
}
