/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"
#include "wrpc/wire.h"
#include "wrpc/wrpc_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    STATUS_TIMEOUT = 408,
    SUBJECT_SPARE = 256, /* for ".results." and a path behind a peer's inbox */
    HEARD_AFTER_MS = 100,
};

#define WINDOW_HEADER "wisp-window"
/* Of a call that is complete: an answer that comes soon needs neither accept nor end. */
#define DIRECT_HEADER "wisp-direct"

/* --- the end --- */

void wisp_wrpc_session_close(struct wisp_wrpc_session *session)
{
    if (!session->inbox) return;
    wisp_bus_inbox_close(WISP_TAKE(session->inbox));
    wisp_ring_remove(&session->timed);
    wisp_ring_remove(&session->waiting);
    wisp_ring_remove(&session->tail);
    wisp_ring_remove(&session->unaccepted);
    wisp_wrpc_absence_forget(session);
    free(WISP_TAKE(session->label));
    free(WISP_TAKE(session->peer));
    free(WISP_TAKE(session->unsent));
}

void wisp_wrpc_session_fail(struct wisp_wrpc_session *session, const struct wisp_err *err)
{
    wisp_wrpc_session_close(session);
    session->ops->on_failed(session, err);
}

void wisp_wrpc_session_set_timeout(struct wisp_wrpc_session *session, uint64_t timeout_ms)
{
    session->timeout_ms = timeout_ms;
    session->deadline_ms = timeout_ms ? uv_now(session->wrpc->loop) + timeout_ms : UINT64_MAX;
    if (timeout_ms) wisp_wrpc_watch(session->wrpc, session);
}

void wisp_wrpc_session_go_on(struct wisp_wrpc_session *session)
{
    wisp_ring_append(&session->wrpc->tails, &session->tail);
}

void wisp_wrpc_session_time_out(struct wisp_wrpc_session *session)
{
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_TIMEOUT, "%s: nothing more came within %llu ms", session->label,
                 (unsigned long long)session->timeout_ms);
    wisp_wrpc_session_fail(session, &err);
}

/* --- sending --- */

/* `what` is that side's word for what we send it, or "credit". */
static int publish_below(struct wisp_wrpc_session *session, const char *what, const char *path, struct wisp_str bytes,
                         struct wisp_err *err)
{
    char subject[WISP_BUS_SUBJECT_MAX];
    const char *const parts[] = {session->peer, ".", what, *path ? "." : "", path};
    size_t size = 0;
    for (size_t i = 0; i < WISP_COUNT(parts); i++) {
        size_t len = strnlen(parts[i], sizeof subject - size);
        memcpy(subject + size, parts[i], len);
        size += len;
    }
    return wisp_bus_publish(session->wrpc->bus, (struct wisp_str){subject, size}, WISP_STR(""), NULL, 0, bytes, err);
}

static int publish(struct wisp_wrpc_session *session, const char *path, struct wisp_str bytes, struct wisp_err *err)
{
    return publish_below(session, session->is_caller ? "params" : "results", path, bytes, err);
}

int wisp_wrpc_session_send(struct wisp_wrpc_session *session, const char *path, struct wisp_str bytes,
                           struct wisp_err *err)
{
    size_t max = wisp_bus_client_payload_max(session->wrpc->bus);
    int r = wisp_wrpc_session_accept_now(session, err);
    wisp_wrpc_count_sent(session->wrpc, bytes.len);
    while (r == 0 && bytes.len > 0) {
        size_t size = bytes.len < max ? bytes.len : max;
        r = publish(session, path, (struct wisp_str){bytes.ptr, size}, err);
        bytes.ptr += size;
        bytes.len -= size;
    }
    return r;
}

int wisp_wrpc_session_end(struct wisp_wrpc_session *session, const char *path, struct wisp_err *err)
{
    int r = wisp_wrpc_session_accept_now(session, err);
    return r == 0 ? publish(session, path, WISP_STR(""), err) : r;
}

/* The accept is not out, and the caller can do without. */
static bool skip_accept(struct wisp_wrpc_session *session)
{
    if (!session->is_direct || !wisp_ring_is_member(&session->unaccepted)) return false;
    wisp_ring_remove(&session->unaccepted);
    return true;
}

int wisp_wrpc_session_answer(struct wisp_wrpc_session *session, struct wisp_str bytes, struct wisp_err *err)
{
    /* Of several messages only the end says that they are all, and who gets them a while has to know from whom. */
    if (bytes.len <= wisp_bus_client_payload_max(session->wrpc->bus) && skip_accept(session)) {
        wisp_wrpc_count_sent(session->wrpc, bytes.len);
        return publish(session, "", bytes, err);
    }
    int r = wisp_wrpc_session_send(session, "", bytes, err);
    return r == 0 ? wisp_wrpc_session_end(session, "", err) : r;
}

/* Peers that don't know the header see an end like any other: that is all the protocol has. */
int wisp_wrpc_session_end_failed(struct wisp_wrpc_session *session, struct wisp_err *err)
{
    const struct wisp_bus_header failed = {WISP_STR(WISP_WRPC_FAILED_HEADER), WISP_STR("1")};
    char subject[WISP_BUS_SUBJECT_MAX];
    int size = snprintf(subject, sizeof subject, "%s.results", session->peer);
    struct wisp_str to = {subject, (size_t)size < sizeof subject ? (size_t)size : sizeof subject - 1};
    int r = skip_accept(session) ? 0 : wisp_wrpc_session_accept_now(session, err);
    return r == 0 ? wisp_bus_publish(session->wrpc->bus, to, WISP_STR(""), &failed, 1, WISP_STR(""), err) : r;
}

/* --- flow control --- */

size_t wisp_wrpc_session_room(struct wisp_wrpc_session *session)
{
    size_t room = wisp_wrpc_room(session->wrpc, session);
    uint64_t allowed = session->sent_max - session->sent;
    session->is_short_of_credit = allowed == 0;
    return allowed < room ? (size_t)allowed : room;
}

void wisp_wrpc_session_count(struct wisp_wrpc_session *session, size_t size)
{
    uint64_t allowed = session->sent_max - session->sent;
    session->sent += size < allowed ? size : allowed;
}

void wisp_wrpc_session_credit(struct wisp_wrpc_session *session, const char *path, struct wisp_str payload)
{
    struct wisp_err ignored;
    if (session->inbox && session->peer) (void)!publish_below(session, "credit", path, payload, &ignored);
}

void wisp_wrpc_session_allow(struct wisp_wrpc_session *session, uint64_t consumed)
{
    struct wisp_buf credit = {0};
    if (session->window == 0) return;
    if (consumed + session->window - session->granted < session->window / 2) return;
    session->granted = consumed + session->window;
    wisp_wrpc_put_unsigned(&credit, session->granted);
    wisp_wrpc_session_credit(session, "", wisp_buf_str(&credit));
    wisp_buf_deinit(&credit);
}

static void take_credit(struct wisp_wrpc_session *session, struct wisp_str payload)
{
    struct wisp_wrpc_input input = wisp_wrpc_input(payload);
    uint64_t sent_max = wisp_wrpc_read_unsigned(&input, 64);
    if (input.state != WISP_WRPC_READ_OK || sent_max <= session->sent_max) return;
    session->sent_max = sent_max;
    if (!session->is_short_of_credit) return;
    session->is_short_of_credit = false;
    if (session->ops->on_room) session->ops->on_room(session);
}

static uint64_t window_of(const struct wisp_wrpc *wrpc)
{
    return wrpc->stream_bytes_max < WISP_WRPC_CREDIT_BYTES ? wrpc->stream_bytes_max : WISP_WRPC_CREDIT_BYTES;
}

static void use_window(struct wisp_wrpc_session *session)
{
    session->window = session->granted = window_of(session->wrpc);
}

/* What the other side says that it takes. False: nothing. */
static bool take_window(struct wisp_wrpc_session *session, const struct wisp_bus_message *message)
{
    struct wisp_str text = message->n_headers ? wisp_bus_header_get(message, WINDOW_HEADER) : WISP_STR("");
    struct wisp_err ignored;
    return text.len > 0 && wisp_parse_u64(text, UINT64_MAX, &session->sent_max, &ignored) == 0;
}

/* --- the caller's side --- */

static int send_rest_of_params(struct wisp_wrpc_session *session, struct wisp_err *err)
{
    int r = 0;
    if (session->unsent_size > 0)
        r = wisp_wrpc_session_send(session, "", (struct wisp_str){session->unsent, session->unsent_size}, err);
    free(WISP_TAKE(session->unsent));
    return r == 0 ? wisp_wrpc_session_end(session, "", err) : r;
}

static void fail_with_status(struct wisp_wrpc_session *session, unsigned status)
{
    struct wisp_err err = {0};
    if (status == WISP_BUS_STATUS_NO_RESPONDERS && wisp_wrpc_absence_wait(session)) return;
    if (status == WISP_BUS_STATUS_NO_RESPONDERS)
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "nobody serves %s%s", session->label,
                     wisp_wrpc_absence_is_unknown(session) ? ", and no host is to run it" : "");
    else if (status == STATUS_TIMEOUT)
        wisp_err_set(&err, WISP_ERR_TIMEOUT, "%s: the bus says that it timed out", session->label);
    else
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "%s: the bus answered with status %u", session->label, status);
    wisp_wrpc_session_fail(session, &err);
}

/* A subject that we can send to below it. */
static bool is_usable(struct wisp_str subject)
{
    return subject.len <= WISP_BUS_SUBJECT_MAX - SUBJECT_SPARE && wisp_bus_subject_is_valid(subject);
}

static void on_accept(struct wisp_wrpc_session *session, const struct wisp_bus_message *message)
{
    struct wisp_err err = {0};
    if (message->status >= 300) {
        fail_with_status(session, message->status);
        return;
    }
    if (session->peer) return; /* a second one took the call as well; nothing can be done about that */
    if (!is_usable(message->reply)) {
        wisp_err_set(&err, WISP_ERR_INVALID, "%s was accepted without a subject for parameters", session->label);
        wisp_wrpc_session_fail(session, &err);
        return;
    }
    session->peer = wisp_mem_dup(message->reply);
    if (!take_window(session, message)) session->window = 0;
    bool is_ours = wisp_wrpc_absence_accepted(session, message);
    if (session->is_direct && is_ours) return; /* it has all parameters, and does not wait to be told so */
    if (send_rest_of_params(session, &err) < 0) {
        wisp_err_wrap(&err, "%s: sending the parameters", session->label);
        wisp_wrpc_session_fail(session, &err);
    } else if (session->ops->on_open) {
        session->ops->on_open(session);
    }
}

/* --- receiving --- */

/* What follows `word` and a dot in `*path`, or nothing when that is all of it. */
static bool take_word(struct wisp_str *path, struct wisp_str word)
{
    if (!wisp_str_starts_with(*path, word)) return false;
    struct wisp_str rest = {path->ptr + word.len, path->len - word.len};
    if (rest.len > 0 && *rest.ptr++ != '.') return false;
    if (rest.len > 0) rest.len--;
    *path = rest;
    return true;
}

/* Who sends parameters has got the accept. */
static void hear(struct wisp_wrpc_session *session)
{
    session->is_heard = true;
    session->again_ms = UINT64_MAX;
}

static void on_message(const struct wisp_bus_message *message, void *env)
{
    struct wisp_wrpc_session *session = env;
    struct wisp_str inbox = wisp_bus_inbox_subject(session->inbox), path = message->subject;
    struct wisp_str what = session->is_caller ? WISP_STR(".results") : WISP_STR(".params");
    path.ptr += inbox.len;
    path.len -= inbox.len;
    if (path.len == 0) {
        if (session->is_caller) on_accept(session, message);
        return;
    }
    if (take_word(&path, WISP_STR(".credit"))) {
        if (session->ops->on_credit)
            session->ops->on_credit(session, path, message->payload);
        else if (path.len == 0)
            take_credit(session, message->payload);
        return;
    }
    if (wisp_str_is(path, ".probe")) wisp_wrpc_absence_answer(session, message);
    if (!take_word(&path, what)) return;
    if (!session->is_caller && !path.len) hear(session);
    if (session->is_caller && !path.len && !message->payload.len &&
        wisp_bus_header_get(message, WISP_WRPC_FAILED_HEADER).len) {
        struct wisp_err err = {0};
        wisp_err_set(&err, WISP_ERR_GUEST, "%s failed", session->label);
        wisp_wrpc_session_fail(session, &err);
        return;
    }
    if (session->is_caller && !session->peer) wisp_wrpc_absence_served(session);
    session->ops->on_bytes(session, path, message->payload);
}

/* --- the beginning --- */

static int open_inbox(struct wisp_wrpc_session *session, const struct wisp_wrpc_session_ops *ops,
                      struct wisp_wrpc *wrpc, struct wisp_err *err)
{
    session->inbox = wisp_bus_inbox_open(wrpc->bus, on_message, session);
    if (!session->inbox) return wisp_err_set(err, WISP_ERR_LIMIT, "too many calls at once");
    session->ops = ops;
    session->wrpc = wrpc;
    session->deadline_ms = session->again_ms = session->probe_ms = session->sent_max = UINT64_MAX;
    return 0;
}

/* What is left for parameters in the first message. */
static size_t first_message_max(const struct wisp_wrpc *wrpc, const struct wisp_wrpc_target *target)
{
    size_t headers = target->n_headers ? sizeof "NATS/1.0\r\n\r\n" : 0;
    for (size_t i = 0; i < target->n_headers; i++)
        headers += target->headers[i].name.len + target->headers[i].value.len + sizeof ": \r\n";
    size_t max = wisp_bus_client_payload_max(wrpc->bus);
    headers += WISP_BUS_INBOX_MAX;
    return headers < max ? max - headers : 0;
}

static char *label_of(const struct wisp_wrpc_target *target)
{
    struct wisp_buf label = {0};
    wisp_buf_printf(&label, "`%.*s%s%.*s` at `%.*s`", WISP_STR_ARG(target->function.interface),
                    target->function.interface.len ? "." : "", WISP_STR_ARG(target->function.name),
                    WISP_STR_ARG(target->id));
    wisp_buf_append_char(&label, '\0');
    return label.data;
}

static struct wisp_wrpc_target with_header(const struct wisp_wrpc_target *target, const char *name, const char *value,
                                           struct wisp_arena *arena)
{
    struct wisp_wrpc_target more = *target;
    struct wisp_bus_header *headers = WISP_NEW_ARRAY(arena, struct wisp_bus_header, target->n_headers + 1);
    if (target->n_headers > 0) memcpy(headers, target->headers, target->n_headers * sizeof *headers);
    headers[more.n_headers++] = (struct wisp_bus_header){wisp_str_from(name), wisp_str_from(value)};
    more.headers = headers;
    return more;
}

/* The target with a header that says how the call may be answered: a little at a time, or shortly. */
static struct wisp_wrpc_target with_manner(struct wisp_wrpc_session *session, const struct wisp_wrpc_target *target,
                                           size_t params_size, bool has_streams, struct wisp_arena *arena)
{
    struct wisp_wrpc_target direct = with_header(target, DIRECT_HEADER, "1", arena);
    if (has_streams) {
        use_window(session);
        return with_header(target, WINDOW_HEADER, wisp_arena_printf(arena, "%llu", (unsigned long long)session->window),
                           arena);
    }
    /* Who sends no headers may talk to those who know none. */
    session->is_direct = target->n_headers > 0 && params_size <= first_message_max(session->wrpc, &direct);
    return session->is_direct ? direct : *target;
}

static int send_call(struct wisp_wrpc_session *session, const struct wisp_wrpc_target *target, struct wisp_str params,
                     struct wisp_err *err)
{
    struct wisp_wrpc *wrpc = session->wrpc;
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    size_t max = first_message_max(wrpc, target);
    struct wisp_str first = {params.ptr, params.len < max ? params.len : max};
    int r = wisp_wrpc_subject(wisp_str_from(wrpc->lattice), target->id, &target->function, &subject, err);
    if (r < 0) return r;
    r = wisp_bus_publish(wrpc->bus, wisp_buf_str(&subject), wisp_bus_inbox_subject(session->inbox), target->headers,
                         target->n_headers, first, err);
    if (r < 0) return wisp_err_wrap(err, "%s", session->label);
    wisp_wrpc_absence_sent(session);
    if (target->wait_ms) wisp_wrpc_absence_keep(session, target, wisp_buf_str(&subject), first);
    session->unsent_size = params.len - first.len;
    if (session->unsent_size > 0) {
        session->unsent = wisp_mem_alloc(session->unsent_size);
        memcpy(session->unsent, params.ptr + first.len, session->unsent_size);
    }
    return 0;
}

int wisp_wrpc_session_call(struct wisp_wrpc_session *session, const struct wisp_wrpc_session_ops *ops,
                           struct wisp_wrpc *wrpc, const struct wisp_wrpc_target *target, struct wisp_str params,
                           bool has_streams, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    *session = (struct wisp_wrpc_session){.is_caller = true};
    int r = open_inbox(session, ops, wrpc, err);
    if (r < 0) return r;
    session->label = label_of(target);
    session->target = wisp_mem_dup(target->id);
    const struct wisp_wrpc_target sent = with_manner(session, target, params.len, has_streams, &arena);
    r = send_call(session, &sent, params, err);
    if (r < 0) {
        wisp_wrpc_session_close(session);
        return r;
    }
    wisp_ring_append(&wrpc->calls, &session->calling);
    wisp_wrpc_session_set_timeout(session, target->timeout_ms);
    return 0;
}

int wisp_wrpc_session_accept(struct wisp_wrpc_session *session, const struct wisp_wrpc_session_ops *ops,
                             struct wisp_wrpc *wrpc, const struct wisp_bus_message *message, const char *label,
                             struct wisp_err *err)
{
    *session = (struct wisp_wrpc_session){0};
    if (!is_usable(message->reply))
        return wisp_err_set(err, WISP_ERR_INVALID, "a call of %s without a subject to answer to", label);
    int r = open_inbox(session, ops, wrpc, err);
    if (r < 0) return r;
    session->label = wisp_mem_dup(wisp_str_from(label));
    session->peer = wisp_mem_dup(message->reply);
    session->has_headers = message->n_headers > 0;
    session->is_direct = session->has_headers && wisp_bus_header_get(message, DIRECT_HEADER).len > 0;
    bool has_window = take_window(session, message);
    if (has_window) use_window(session);
    session->is_heard = has_window || session->is_direct; /* one of our own */
    wisp_wrpc_accept_later(session);
    return 0;
}

static int send_accept(struct wisp_wrpc_session *session, struct wisp_err *err)
{
    char window[24];
    struct wisp_bus_header headers[2] = {{WISP_STR(WISP_WRPC_PROBE_HEADER), WISP_STR("1")}};
    /* Callers that send no headers are not shown any. */
    size_t n_headers = session->has_headers;
    if (session->window) {
        int size = snprintf(window, sizeof window, "%llu", (unsigned long long)session->window);
        headers[n_headers++] = (struct wisp_bus_header){WISP_STR(WINDOW_HEADER), {window, (size_t)size}};
    }
    return wisp_bus_publish(session->wrpc->bus, wisp_str_from(session->peer), wisp_bus_inbox_subject(session->inbox),
                            headers, n_headers, WISP_STR(""), err);
}

int wisp_wrpc_session_accept_now(struct wisp_wrpc_session *session, struct wisp_err *err)
{
    if (!wisp_ring_is_member(&session->unaccepted)) return 0;
    wisp_ring_remove(&session->unaccepted);
    if (!session->is_heard) {
        session->again_ms = uv_now(session->wrpc->loop) + HEARD_AFTER_MS;
        wisp_wrpc_watch(session->wrpc, session);
    }
    return send_accept(session, err);
}

void wisp_wrpc_session_accept_again(struct wisp_wrpc_session *session)
{
    struct wisp_err ignored; /* whatever is sent next will have it, too */
    (void)!send_accept(session, &ignored);
    hear(session);
    if (session->ops->on_heard) session->ops->on_heard(session);
}
