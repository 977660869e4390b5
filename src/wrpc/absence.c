/* SPDX-License-Identifier: Apache-2.0 */
/* Calls while the other side is not there yet, or not there any more. */
#include "wrpc/wrpc_priv.h"

#include <stdatomic.h>
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
    SEEN_MS = 15000,      /* who has served something so lately may come back, also when its whole host is gone */
};

/* The first message of a call. */
struct wisp_wrpc_again {
    struct wisp_arena arena;
    struct wisp_str subject, payload;
    struct wisp_bus_header *headers;
    size_t n_headers;
    uint64_t until_ms, pause_ms;
    uint64_t known_until_ms; /* when it turns out that somebody is to run the target */
    bool is_known;
};

static void probe_later(struct wisp_wrpc_session *session, uint64_t after_ms)
{
    session->probe_ms = uv_now(session->wrpc->loop) + after_ms;
    wisp_wrpc_watch(session->wrpc, session);
}

/* --- who is known --- */

void wisp_wrpc_absence_served(struct wisp_wrpc_session *session)
{
    uint64_t hash = wisp_str_hash(wisp_str_from(session->target));
    struct wisp_wrpc *wrpc = session->wrpc;
    atomic_store_explicit(&wrpc->seen->of[hash % WISP_WRPC_SEEN_MAX].hash, hash, memory_order_relaxed);
    atomic_store_explicit(&wrpc->seen->of[hash % WISP_WRPC_SEEN_MAX].at_ms, uv_now(wrpc->loop), memory_order_relaxed);
}

static bool was_seen(const struct wisp_wrpc_session *session)
{
    uint64_t hash = wisp_str_hash(wisp_str_from(session->target));
    const struct wisp_wrpc *wrpc = session->wrpc;
    uint64_t at_ms = atomic_load_explicit(&wrpc->seen->of[hash % WISP_WRPC_SEEN_MAX].at_ms, memory_order_relaxed);
    return atomic_load_explicit(&wrpc->seen->of[hash % WISP_WRPC_SEEN_MAX].hash, memory_order_relaxed) == hash &&
           uv_now(wrpc->loop) < at_ms + SEEN_MS;
}

static void set_known(struct wisp_wrpc_again *again)
{
    again->is_known = true;
    again->until_ms = again->known_until_ms;
}

static void on_runs(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    struct wisp_wrpc_session *session = env;
    (void)reply;
    session->probe = NULL;
    if (!err && session->again) set_known(session->again);
}

static void ask(struct wisp_wrpc_session *session, const char *subject, uint64_t timeout_ms,
                wisp_bus_on_reply *on_reply);

static void ask_who_runs(struct wisp_wrpc_session *session, uint64_t timeout_ms)
{
    struct wisp_str lattice = wisp_str_from(session->wrpc->lattice), id = wisp_str_from(session->target);
    char subject[WISP_BUS_SUBJECT_MAX];
    if (was_seen(session)) {
        set_known(session->again);
        return;
    }
    if (session->probe) return;
    snprintf(subject, sizeof subject, WISP_WRPC_RUNS, WISP_STR_ARG(lattice), WISP_STR_ARG(id));
    ask(session, subject, timeout_ms, on_runs);
}

bool wisp_wrpc_absence_is_unknown(const struct wisp_wrpc_session *session)
{
    return session->again && !session->again->is_known;
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
    again->until_ms = again->known_until_ms = uv_now(session->wrpc->loop) + target->wait_ms;
    again->is_known = target->unknown_wait_ms == 0 || target->unknown_wait_ms >= target->wait_ms;
    if (!again->is_known) again->until_ms = uv_now(session->wrpc->loop) + target->unknown_wait_ms;
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
    if (again && !again->is_known && now < again->until_ms) ask_who_runs(session, again->until_ms - now);
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
    wisp_wrpc_absence_served(session);
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
        if (session->is_caller)
            send_again(session);
        else
            wisp_wrpc_session_accept_again(session);
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
