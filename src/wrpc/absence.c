/* SPDX-License-Identifier: Apache-2.0 */
/* Calls while the other side is not there yet, or not there any more. */
#include "wrpc/wrpc_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PAUSE_MIN_MS = 2,
    PAUSE_MAX_MS = 100,
    PROBE_FIRST_MS = 1000,
    PROBE_EVERY_MS = 5000,
    PROBE_TIMEOUT_MS = 2000,
    ACCEPT_MAX_MS = 5000, /* callees accept as soon as they hear of a call: later than this it is lost */
    ACCEPT_MS = 250,      /* the same, when a process that may have had it has died */
};

/* The first message of a call. */
struct wisp_wrpc_again {
    struct wisp_arena arena;
    struct wisp_str subject, payload;
    struct wisp_bus_header *headers;
    size_t n_headers;
    uint64_t until_ms, pause_ms;
};

static void probe_later(struct wisp_wrpc_session *session, uint64_t after_ms)
{
    session->probe_ms = uv_now(session->wrpc->loop) + after_ms;
    wisp_wrpc_watch(session->wrpc, session);
}

/* --- not yet --- */

void wisp_wrpc_absence_sent(struct wisp_wrpc_session *session) { probe_later(session, ACCEPT_MAX_MS); }

void wisp_wrpc_absence_keep(struct wisp_wrpc_session *session, const struct wisp_wrpc_target *target,
                            struct wisp_str subject, struct wisp_str payload)
{
    struct wisp_wrpc_again *again = wisp_mem_calloc(1, sizeof *again);
    again->subject = wisp_arena_str(&again->arena, subject);
    again->payload = wisp_arena_str(&again->arena, payload);
    again->headers = WISP_NEW_ARRAY(&again->arena, struct wisp_bus_header, target->n_headers);
    for (; again->n_headers < target->n_headers; again->n_headers++) {
        const struct wisp_bus_header *header = &target->headers[again->n_headers];
        again->headers[again->n_headers] = (struct wisp_bus_header){wisp_arena_str(&again->arena, header->name),
                                                                    wisp_arena_str(&again->arena, header->value)};
    }
    again->until_ms = uv_now(session->wrpc->loop) + target->wait_ms;
    again->pause_ms = PAUSE_MIN_MS;
    session->again = again;
}

static void again_free(struct wisp_wrpc_again *again)
{
    if (!again) return;
    wisp_arena_deinit(&again->arena);
    free(again);
}

bool wisp_wrpc_absence_wait(struct wisp_wrpc_session *session)
{
    struct wisp_wrpc_again *again = session->again;
    uint64_t now = uv_now(session->wrpc->loop);
    if (!again || now >= again->until_ms) return false;
    session->probe_ms = UINT64_MAX; /* nobody has it */
    session->again_ms = now + again->pause_ms < again->until_ms ? now + again->pause_ms : again->until_ms;
    again->pause_ms = 2 * again->pause_ms < PAUSE_MAX_MS ? 2 * again->pause_ms : PAUSE_MAX_MS;
    wisp_wrpc_watch(session->wrpc, session);
    return true;
}

static void send_again(struct wisp_wrpc_session *session)
{
    const struct wisp_wrpc_again *again = session->again;
    struct wisp_err err = {0};
    wisp_wrpc_absence_sent(session);
    if (wisp_bus_publish(session->wrpc->bus, again->subject, wisp_bus_inbox_subject(session->inbox), again->headers,
                         again->n_headers, again->payload, &err) == 0)
        return;
    wisp_err_wrap(&err, "%s", session->label);
    wisp_wrpc_session_fail(session, &err);
}

/* --- taken --- */

bool wisp_wrpc_absence_accepted(struct wisp_wrpc_session *session, const struct wisp_bus_message *accept)
{
    bool is_ours = accept->n_headers > 0 && wisp_bus_header_get(accept, WISP_WRPC_PROBE_HEADER).len > 0;
    again_free(WISP_TAKE(session->again));
    session->again_ms = session->probe_ms = UINT64_MAX;
    if (is_ours) probe_later(session, PROBE_FIRST_MS);
    return is_ours;
}

void wisp_wrpc_absence_forget(struct wisp_wrpc_session *session)
{
    wisp_ring_remove(&session->calling);
    again_free(WISP_TAKE(session->again));
    if (session->probe) wisp_bus_request_cancel(WISP_TAKE(session->probe));
    free(WISP_TAKE(session->target));
}

/* --- no longer --- */

void wisp_wrpc_absence_answer(struct wisp_wrpc_session *session, const struct wisp_bus_message *message)
{
    struct wisp_err ignored;
    if (message->reply.len > 0)
        (void)!wisp_bus_publish(session->wrpc->bus, message->reply, WISP_STR(""), NULL, 0, WISP_STR(""), &ignored);
}

/* An answer, or none in time: it is there. Only "no responders" says that it is not. */
static void on_probed(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    struct wisp_wrpc_session *session = env;
    struct wisp_err failure = {0};
    (void)reply;
    session->probe = NULL;
    if (!err || err->kind != WISP_ERR_UNAVAILABLE) return;
    wisp_err_set(&failure, WISP_ERR_UNAVAILABLE, "%s: %s ended while it answered", session->label,
                 session->is_caller ? "the process that took the call" : "the caller");
    wisp_wrpc_session_fail(session, &failure);
}

/* Nobody has taken it for too long. It may have been executed all the same: a process can die between what it does and
 * the sending of what it said. So it is not sent again. */
static void lose(struct wisp_wrpc_session *session)
{
    struct wisp_err failure = {0};
    wisp_err_set(&failure, WISP_ERR_UNAVAILABLE, "%s: nobody said in time that he took the call", session->label);
    wisp_wrpc_session_fail(session, &failure);
}

static void on_own_probed(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    struct wisp_wrpc_session *session = env;
    struct wisp_err failure = {0};
    if (!err || err->kind != WISP_ERR_TIMEOUT) {
        on_probed(reply, err, env);
        return;
    }
    session->probe = NULL;
    wisp_err_set(&failure, WISP_ERR_TIMEOUT, "%s: the other side doesn't know of it any more", session->label);
    wisp_wrpc_session_fail(session, &failure);
}

static void ask(struct wisp_wrpc_session *session, const char *subject, uint64_t timeout_ms,
                wisp_bus_on_reply *on_reply)
{
    struct wisp_err ignored;
    if (wisp_bus_request(session->wrpc->bus, wisp_str_from(subject), NULL, 0, WISP_STR(""), timeout_ms, on_reply,
                         session, &session->probe, &ignored) < 0)
        session->probe = NULL;
}

static void ask_peer(struct wisp_wrpc_session *session, uint64_t timeout_ms, wisp_bus_on_reply *on_reply)
{
    char subject[WISP_BUS_SUBJECT_MAX];
    snprintf(subject, sizeof subject, "%s.probe", session->peer);
    ask(session, subject, timeout_ms, on_reply);
}

void wisp_wrpc_session_probe(struct wisp_wrpc_session *session)
{
    if (session->probe || !session->inbox) return;
    if (session->peer)
        ask_peer(session, PROBE_TIMEOUT_MS, on_probed);
    else if (session->probe_ms > uv_now(session->wrpc->loop) + ACCEPT_MS)
        probe_later(session, ACCEPT_MS);
}

void wisp_wrpc_session_probe_own(struct wisp_wrpc_session *session)
{
    if (session->probe || !session->inbox || !session->peer) return;
    ask_peer(session, session->wrpc->idle_timeout_ms, on_own_probed);
}

void wisp_wrpc_target_ended(struct wisp_wrpc *wrpc, struct wisp_str id)
{
    for (struct wisp_link *at = wrpc->calls.next; at != &wrpc->calls; at = at->next) {
        struct wisp_wrpc_session *session = WISP_OWNER(at, struct wisp_wrpc_session, calling);
        /* One that waits to be sent again is with nobody. */
        if (wisp_str_is(id, session->target) && session->again_ms == UINT64_MAX) wisp_wrpc_session_probe(session);
    }
}

/* --- time --- */

void wisp_wrpc_session_on_due(struct wisp_wrpc_session *session)
{
    uint64_t now = uv_now(session->wrpc->loop);
    if (session->again_ms <= now) {
        session->again_ms = UINT64_MAX;
        wisp_wrpc_watch(session->wrpc, session);
        send_again(session);
    } else if (session->probe_ms <= now && session->is_caller && !session->peer) {
        lose(session);
    } else if (session->probe_ms <= now) {
        probe_later(session, PROBE_EVERY_MS);
        wisp_wrpc_session_probe(session);
    } else if (session->ops->on_timeout) {
        session->deadline_ms = UINT64_MAX;
        wisp_wrpc_watch(session->wrpc, session);
        session->ops->on_timeout(session);
    } else {
        wisp_wrpc_session_time_out(session);
    }
}
