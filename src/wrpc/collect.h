/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of an encoded value, which come in pieces of the peer's choice. Decoding is tried when there are twice as
 * many as last time, and at the end; so many small pieces cost no more than few large ones. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

/* Zeroed is empty. */
struct wisp_wrpc_collector {
    struct wisp_buf bytes;
    size_t next_try;
};

static inline void wisp_wrpc_collector_deinit(struct wisp_wrpc_collector *collector)
{
    wisp_buf_deinit(&collector->bytes);
}

/* Adds a piece; LIMIT beyond bytes_max. */
static inline int wisp_wrpc_collect(struct wisp_wrpc_collector *collector, struct wisp_str piece, size_t bytes_max,
                                    struct wisp_err *err)
{
    if (piece.len > bytes_max || collector->bytes.len > bytes_max - piece.len)
        return wisp_err_set(err, WISP_ERR_LIMIT, "more than %zu bytes", bytes_max);
    wisp_buf_append_str(&collector->bytes, piece);
    return 0;
}

static inline bool wisp_wrpc_collector_is_worth_a_try(struct wisp_wrpc_collector *collector, bool is_end)
{
    if (!is_end && collector->bytes.len < collector->next_try) return false;
    collector->next_try = collector->bytes.len * 2;
    return true;
}
