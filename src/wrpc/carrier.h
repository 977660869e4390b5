/* SPDX-License-Identifier: Apache-2.0 */
/* The streams and futures of one session, of both directions: bytes between their pipes and their paths. */
#pragma once

#include "wrpc/session.h"
#include "wrpc/stream_priv.h"

enum { WISP_WRPC_CARRIER_STREAMS_MAX = 1024 /* of one session at a time, each direction */ };

/* Embedded in what has the session. */
struct wisp_wrpc_carrier {
    struct wisp_wrpc_session *session;
    /* Nothing is under way any more, after something was. From the loop; may free the carrier. */
    void (*on_over)(struct wisp_wrpc_carrier *carrier);
    struct wisp_link outs, ins;
    size_t n_outs, n_ins;
    /* What came on paths of which is not known yet whether they exist. */
    struct wisp_link early;
    size_t n_early, n_early_bytes;
    bool takes_early;
    bool is_open;  /* the other side takes streams */
    bool is_timed; /* what comes and goes puts the session's idle timeout off */
};

/* `takes_early`: values with streams are still to come. */
void wisp_wrpc_carrier_init(struct wisp_wrpc_carrier *carrier, struct wisp_wrpc_session *session, bool takes_early,
                            void (*on_over)(struct wisp_wrpc_carrier *carrier));
/* Lets go of everything: readers here fail with the error, writers here are closed. Harmless when there is nothing. */
void wisp_wrpc_carrier_deinit(struct wisp_wrpc_carrier *carrier, enum wisp_err_kind kind, const char *text);

/* Takes the writers of a value that was encoded. */
void wisp_wrpc_carrier_send(struct wisp_wrpc_carrier *carrier, const struct wisp_wrpc_slots *slots);
/* Puts readers into a value that was decoded, the only one of this session. */
void wisp_wrpc_carrier_receive(struct wisp_wrpc_carrier *carrier, const struct wisp_wrpc_slots *slots);
/* The other side takes them from now on. */
int wisp_wrpc_carrier_open(struct wisp_wrpc_carrier *carrier, struct wisp_err *err) __attribute__((warn_unused_result));

static inline bool wisp_wrpc_carrier_is_over(const struct wisp_wrpc_carrier *carrier)
{
    return carrier->n_outs == 0 && carrier->n_ins == 0;
}

/* For the session's events; these may free the carrier. */
void wisp_wrpc_carrier_on_bytes(struct wisp_wrpc_carrier *carrier, struct wisp_str path, struct wisp_str bytes);
void wisp_wrpc_carrier_on_room(struct wisp_wrpc_carrier *carrier);
void wisp_wrpc_carrier_on_credit(struct wisp_wrpc_carrier *carrier, struct wisp_str path, struct wisp_str payload);
void wisp_wrpc_carrier_on_timeout(struct wisp_wrpc_carrier *carrier);
