/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share of a lattice. */
#pragma once

#include "base/arena.h"
#include "wrpc/session.h"
#include "wrpc/value.h"

enum {
    WISP_WRPC_STREAM_BYTES_MAX = 16 << 20,
    WISP_WRPC_IDLE_TIMEOUT_MS = 30 * 1000,
    WISP_WRPC_WINDOW_BYTES = 2 << 20, /* of all streams that may be on their way to the bus */
    WISP_WRPC_CREDIT_BYTES = 1 << 20, /* of one stream that may be on its way here, unless stream_bytes_max is less */
};

/* Something to do before the loop sleeps. Embedded in what it is done for. */
struct wisp_wrpc_task {
    void (*run)(struct wisp_wrpc_task *task);
    struct wisp_link link;
};

struct wisp_wrpc_http_types;

struct wisp_wrpc {
    uv_loop_t *loop;
    struct wisp_bus_client *bus;
    char *lattice;
    size_t value_bytes_max, stream_bytes_max;
    uint64_t idle_timeout_ms;
    unsigned n_open_handles; /* the last one that closes frees */

    uv_timer_t timer;     /* armed for the first deadline or earlier */
    uint64_t armed_at_ms; /* UINT64_MAX: not armed */
    struct wisp_link timed;

    uv_prepare_t before_sleep;
    uv_idle_t stay_awake; /* active while there are tasks */
    struct wisp_link tasks;

    /* Sent since the bus last said that it has everything; what is behind the mark it was last asked with. */
    size_t n_unconfirmed, n_behind_mark;
    struct wisp_bus_request *mark;
    struct wisp_bus_subscription *ended; /* who says that a process is gone; NULL: nobody is heard */
    char *mark_subject;
    struct wisp_link waiting;
    struct wisp_link tails; /* sessions that go on by themselves */
    uv_timer_t accept_timer;
    struct wisp_link unaccepted; /* sessions, in the order of their times */
    struct wisp_link calls;      /* sessions of callers */

    struct wisp_wrpc_seen *seen, own_seen;

    struct wisp_buf scratch; /* for encoding; nobody keeps it across a callback */
    struct wisp_arena arena;
    const struct wisp_wrpc_http_types *http_types;
};

/* Once; harmless when queued already. From within a task: in the loop's next turn. */
void wisp_wrpc_defer(struct wisp_wrpc *wrpc, struct wisp_wrpc_task *task);
void wisp_wrpc_undefer(struct wisp_wrpc *wrpc, struct wisp_wrpc_task *task);

/* The first of its times. */
static inline uint64_t wisp_wrpc_session_due(const struct wisp_wrpc_session *session)
{
    uint64_t due = session->deadline_ms;
    if (session->again_ms < due) due = session->again_ms;
    return session->probe_ms < due ? session->probe_ms : due;
}
/* Sees that wisp_wrpc_session_on_due is called when one of its times has come. */
void wisp_wrpc_watch(struct wisp_wrpc *wrpc, struct wisp_wrpc_session *session);
void wisp_wrpc_session_on_due(struct wisp_wrpc_session *session);

/* Has the accept sent in a few milliseconds. */
void wisp_wrpc_accept_later(struct wisp_wrpc_session *session);

/* --- the other side is not there, or no longer (absence.c) --- */

/* With an accept: the one who accepts is there as long as something listens below its inbox. Others may listen to the
 * subjects of the protocol only. */
#define WISP_WRPC_PROBE_HEADER "wisp-probe"

/* The call has just been sent: somebody has to take it soon. */
void wisp_wrpc_absence_sent(struct wisp_wrpc_session *session);
/* What was sent can be sent again. */
void wisp_wrpc_absence_keep(struct wisp_wrpc_session *session, const struct wisp_wrpc_target *target,
                            struct wisp_str subject, struct wisp_str payload);
/* Nobody took it. False: there is no time left to wait for somebody. */
bool wisp_wrpc_absence_wait(struct wisp_wrpc_session *session);
/* Then: because nobody is known to run it. */
bool wisp_wrpc_absence_is_unknown(const struct wisp_wrpc_session *session);
/* Somebody serves the target. */
void wisp_wrpc_absence_served(struct wisp_wrpc_session *session);
/* Returns whether by one of our own. */
bool wisp_wrpc_absence_accepted(struct wisp_wrpc_session *session, const struct wisp_bus_message *accept);
/* The other side asks. */
void wisp_wrpc_absence_answer(struct wisp_wrpc_session *session, const struct wisp_bus_message *message);
void wisp_wrpc_absence_forget(struct wisp_wrpc_session *session);

/* Bytes were handed to the bus. */
void wisp_wrpc_count_sent(struct wisp_wrpc *wrpc, size_t size);
/* How many more should be; 0: the session's on_room follows. */
size_t wisp_wrpc_room(struct wisp_wrpc *wrpc, struct wisp_wrpc_session *session);
