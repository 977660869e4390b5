/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies and trailers of HTTP messages on their paths: chunks of list<u8> up to an empty one, and option<fields>. */
#pragma once

#include "wrpc/collect.h"
#include "wrpc/http_message.h"
#include "wrpc/session.h"

/* --- coming in --- */

/* Zeroed is empty. */
struct wisp_wrpc_http_in {
    struct wisp_buf body; /* taken out of its chunks; read up to `read` */
    size_t read;
    uint64_t received, consumed; /* bytes of body, ever */
    /* In a chunk, or in the number before it. */
    uint32_t chunk_left, number;
    unsigned number_shift;
    bool is_body_over, are_trailers_over;
    struct wisp_wrpc_collector trailer_bytes;
    struct wisp_wrpc_option_fields trailers; /* once are_trailers_over */
};

/* What the message itself brought; bytes of its paths may have come before it was complete. */
void wisp_wrpc_http_in_take(struct wisp_wrpc_http_in *in, const struct wisp_wrpc_http_front *front);
void wisp_wrpc_http_in_deinit(struct wisp_wrpc_http_in *in);
/* Bytes that came on a path, or its end; other paths are ignored. INVALID: malformed or broken off in the middle;
 * LIMIT: more than bytes_max wait to be read. Trailers go to the arena. */
int wisp_wrpc_http_in_feed(struct wisp_wrpc_http_in *in, const struct wisp_wrpc_http_types *types, struct wisp_str path,
                           struct wisp_str bytes, size_t bytes_max, struct wisp_arena *arena, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Unread bytes; empty when there are none (yet). */
struct wisp_str wisp_wrpc_http_in_peek(const struct wisp_wrpc_http_in *in);
/* The session's other side may send more for it. */
void wisp_wrpc_http_in_consume(struct wisp_wrpc_http_in *in, struct wisp_wrpc_session *session, size_t size);
/* All of the body was read, and the trailers are here. */
bool wisp_wrpc_http_in_is_over(const struct wisp_wrpc_http_in *in);

/* --- going out --- */

/* Sends bytes (perhaps none) of the body, and its end when it ends here. */
int wisp_wrpc_http_send_body(struct wisp_wrpc_session *session, struct wisp_str bytes, bool is_last,
                             struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_wrpc_http_send_trailers(struct wisp_wrpc_session *session, const struct wisp_wrpc_option_fields *trailers,
                                 struct wisp_err *err) __attribute__((warn_unused_result));
/* Ends both without their ends, so that the other side knows; nothing can be done when that fails. */
void wisp_wrpc_http_break_off(struct wisp_wrpc_session *session);
