/* SPDX-License-Identifier: Apache-2.0 */
#include "http/conn.h"

#include <stdio.h>
#include <time.h>

enum {
    SMALL_BLOCK_BYTES = 16 * 1024 - 64, /* most heads, most responses; with malloc's header, four pages */
    LARGE_BLOCK_SLACK = 16 * 1024,
    KEPT_SMALL = 256,
    KEPT_LARGE = 32,
    KEPT_EXCHANGES = 256,
};

static void fill_in_defaults(struct wisp_http_options *options)
{
    if (!options->head_bytes_max) options->head_bytes_max = 64 * 1024;
    if (!options->headers_max) options->headers_max = 100;
    if (!options->target_bytes_max) options->target_bytes_max = 8 * 1024;
    if (!options->body_bytes_max) options->body_bytes_max = WISP_HTTP_UNLIMITED;
    if (!options->connections_max) options->connections_max = SIZE_MAX;
    if (!options->body_window_bytes) options->body_window_bytes = 64 * 1024;
    if (!options->output_window_bytes) options->output_window_bytes = 64 * 1024;
    if (!options->head_timeout_ms) options->head_timeout_ms = 10 * 1000;
    if (!options->idle_timeout_ms) options->idle_timeout_ms = 60 * 1000;
    if (!options->body_timeout_ms) options->body_timeout_ms = 30 * 1000;
    if (!options->write_timeout_ms) options->write_timeout_ms = 30 * 1000;
}

static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }

void wisp_http_shared_init(struct wisp_http_shared *shared, const struct wisp_http_options *options,
                           const struct wisp_http_transport *transport)
{
    *shared = (struct wisp_http_shared){.options = *options, .transport = transport};
    struct wisp_http_options *o = &shared->options;
    fill_in_defaults(o);
    shared->head_limits = (struct wisp_http_head_limits){o->target_bytes_max, o->headers_max};
    wisp_http_parsers_init(&shared->parsers);

    /* A large block takes the longest head, or a window full of body and a read behind it. */
    size_t largest = max_size(o->head_bytes_max, max_size(o->body_window_bytes, o->output_window_bytes));
    size_t overhead = sizeof(struct wisp_http_block);
    shared->large_block_bytes = largest + LARGE_BLOCK_SLACK;
    shared->small_blocks =
        (struct wisp_http_recycler){.item_size = overhead + SMALL_BLOCK_BYTES, .kept_max = KEPT_SMALL};
    shared->large_blocks =
        (struct wisp_http_recycler){.item_size = overhead + shared->large_block_bytes, .kept_max = KEPT_LARGE};
    shared->exchanges = (struct wisp_http_recycler){.item_size = sizeof(struct wisp_http_exchange_full) +
                                                                 o->headers_max * sizeof(struct wisp_http_header),
                                                    .kept_max = KEPT_EXCHANGES};
    wisp_http_shared_set_date(shared, 0);
}

void wisp_http_shared_deinit(struct wisp_http_shared *shared)
{
    wisp_http_recycler_deinit(&shared->small_blocks);
    wisp_http_recycler_deinit(&shared->large_blocks);
    wisp_http_recycler_deinit(&shared->exchanges);
}

void wisp_http_shared_set_date(struct wisp_http_shared *shared, int64_t unix_seconds)
{
    /* Not strftime: names of days and months must not depend on the locale. */
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)unix_seconds;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char text[96];
    snprintf(text, sizeof text, "date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    memcpy(shared->date, text, WISP_HTTP_DATE_BYTES);
}

struct wisp_http_block *wisp_http_block_get(struct wisp_http_shared *shared, size_t size)
{
    size_t overhead = sizeof(struct wisp_http_block);
    struct wisp_http_recycler *recycler = size <= shared->small_blocks.item_size - overhead ? &shared->small_blocks
                                          : size <= shared->large_block_bytes               ? &shared->large_blocks
                                                                                            : NULL;
    struct wisp_http_block *block = recycler ? wisp_http_recycler_get(recycler) : wisp_mem_alloc(overhead + size);
    block->capacity = recycler ? recycler->item_size - overhead : size;
    return block;
}

void wisp_http_block_put(struct wisp_http_shared *shared, struct wisp_http_block *block)
{
    if (!block) return;
    size_t item_size = sizeof *block + block->capacity;
    if (item_size == shared->small_blocks.item_size)
        wisp_http_recycler_put(&shared->small_blocks, block);
    else if (item_size == shared->large_blocks.item_size)
        wisp_http_recycler_put(&shared->large_blocks, block);
    else
        free(block);
}
