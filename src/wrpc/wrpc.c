/* SPDX-License-Identifier: Apache-2.0 */
/* A lattice: time, tasks before the loop sleeps, and the window of what is on its way to the bus. */
#include "wrpc/http_types.h"
#include "wrpc/wrpc_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    MARK_BYTES = 256 << 10, /* so often the bus is asked */
    MARK_TIMEOUT_MS = 5000,
    ACCEPT_AFTER_MS = 5, /* most answers are there by then; callers only watch those who have accepted */
};

/* --- tasks --- */

static void do_nothing(uv_idle_t *idle) { (void)idle; }

void wisp_wrpc_defer(struct wisp_wrpc *wrpc, struct wisp_wrpc_task *task)
{
    if (wisp_ring_is_member(&task->link)) return;
    if (wisp_ring_is_empty(&wrpc->tasks)) uv_idle_start(&wrpc->stay_awake, do_nothing);
    wisp_ring_append(&wrpc->tasks, &task->link);
}

void wisp_wrpc_undefer(struct wisp_wrpc *wrpc, struct wisp_wrpc_task *task)
{
    (void)wrpc; /* that it stays awake for one turn does no harm */
    wisp_ring_remove(&task->link);
}

static void before_sleep(uv_prepare_t *prepare)
{
    struct wisp_wrpc *wrpc = prepare->data;
    struct wisp_link now;
    uv_idle_stop(&wrpc->stay_awake);
    wisp_ring_init(&now);
    wisp_ring_move(&wrpc->tasks, &now);
    while (!wisp_ring_is_empty(&now)) {
        struct wisp_wrpc_task *task = WISP_OWNER(now.next, struct wisp_wrpc_task, link);
        wisp_ring_remove(&task->link);
        task->run(task);
    }
}

/* --- time --- */

static void on_timer(uv_timer_t *timer);

static void arm(struct wisp_wrpc *wrpc, uint64_t at_ms)
{
    uint64_t now = uv_now(wrpc->loop);
    wrpc->armed_at_ms = at_ms;
    uv_timer_start(&wrpc->timer, on_timer, at_ms > now ? at_ms - now : 0, 0);
}

void wisp_wrpc_watch(struct wisp_wrpc *wrpc, struct wisp_wrpc_session *session)
{
    uint64_t due = wisp_wrpc_session_due(session);
    if (due == UINT64_MAX) return;
    if (!wisp_ring_is_member(&session->timed)) wisp_ring_append(&wrpc->timed, &session->timed);
    if (due < wrpc->armed_at_ms) arm(wrpc, due);
}

static void on_timer(uv_timer_t *timer)
{
    struct wisp_wrpc *wrpc = timer->data;
    struct wisp_link seen;
    uint64_t now = uv_now(wrpc->loop), first = UINT64_MAX;
    wisp_ring_init(&seen);
    wrpc->armed_at_ms = 0; /* it is armed anew below */
    while (!wisp_ring_is_empty(&wrpc->timed)) {
        struct wisp_wrpc_session *session = WISP_OWNER(wrpc->timed.next, struct wisp_wrpc_session, timed);
        wisp_ring_remove(&session->timed);
        uint64_t due = wisp_wrpc_session_due(session);
        if (due <= now)
            wisp_wrpc_session_on_due(session);
        else if (due != UINT64_MAX)
            wisp_ring_append(&seen, &session->timed);
    }
    wisp_ring_move(&seen, &wrpc->timed);
    for (struct wisp_link *at = wrpc->timed.next; at != &wrpc->timed; at = at->next) {
        uint64_t due = wisp_wrpc_session_due(WISP_OWNER(at, struct wisp_wrpc_session, timed));
        if (due < first) first = due;
    }
    wrpc->armed_at_ms = UINT64_MAX;
    if (first != UINT64_MAX) arm(wrpc, first);
}

/* --- accepts --- */

static void on_accept_timer(uv_timer_t *timer)
{
    struct wisp_wrpc *wrpc = timer->data;
    uint64_t now = uv_now(wrpc->loop);
    struct wisp_err err = {0};
    while (!wisp_ring_is_empty(&wrpc->unaccepted)) {
        struct wisp_wrpc_session *session = WISP_OWNER(wrpc->unaccepted.next, struct wisp_wrpc_session, unaccepted);
        if (session->accept_ms > now) {
            uv_timer_start(timer, on_accept_timer, session->accept_ms - now, 0);
            return;
        }
        if (wisp_wrpc_session_accept_now(session, &err) < 0)
            WISP_LOG(DEBUG, "wrpc", "a caller can't be told that its call was accepted", WISP_TEXT("cause", err.text));
    }
}

void wisp_wrpc_accept_later(struct wisp_wrpc_session *session)
{
    struct wisp_wrpc *wrpc = session->wrpc;
    session->accept_ms = uv_now(wrpc->loop) + ACCEPT_AFTER_MS;
    wisp_ring_append(&wrpc->unaccepted, &session->unaccepted);
    if (!uv_is_active((uv_handle_t *)&wrpc->accept_timer))
        uv_timer_start(&wrpc->accept_timer, on_accept_timer, ACCEPT_AFTER_MS, 0);
}

/* --- the window --- */

static void ask(struct wisp_wrpc *wrpc);

/* Nobody serves that subject. A server says so when it has processed all that was sent before. Without a connection
 * there is no answer, but then it is the client that bounds what waits. */
static void on_mark(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    struct wisp_wrpc *wrpc = env;
    struct wisp_link waiting;
    (void)reply, (void)err;
    wrpc->mark = NULL;
    wrpc->n_unconfirmed = wrpc->n_behind_mark;
    wrpc->n_behind_mark = 0;
    if (wrpc->n_unconfirmed >= MARK_BYTES) ask(wrpc);
    wisp_ring_init(&waiting);
    wisp_ring_move(&wrpc->waiting, &waiting);
    while (!wisp_ring_is_empty(&waiting)) {
        struct wisp_wrpc_session *session = WISP_OWNER(waiting.next, struct wisp_wrpc_session, waiting);
        wisp_ring_remove(&session->waiting);
        session->ops->on_room(session);
    }
}

static void ask(struct wisp_wrpc *wrpc)
{
    struct wisp_err err;
    if (wisp_bus_request(wrpc->bus, wisp_str_from(wrpc->mark_subject), NULL, 0, WISP_STR(""), MARK_TIMEOUT_MS, on_mark,
                         wrpc, &wrpc->mark, &err) < 0) {
        /* Too much is pending: those who write will hear of it, too. */
        wrpc->mark = NULL;
        wrpc->n_unconfirmed = 0;
    }
    wrpc->n_behind_mark = 0;
}

void wisp_wrpc_count_sent(struct wisp_wrpc *wrpc, size_t size)
{
    wrpc->n_unconfirmed += size;
    if (wrpc->mark)
        wrpc->n_behind_mark += size;
    else if (wrpc->n_unconfirmed >= MARK_BYTES)
        ask(wrpc);
}

size_t wisp_wrpc_room(struct wisp_wrpc *wrpc, struct wisp_wrpc_session *session)
{
    if (wrpc->n_unconfirmed < WISP_WRPC_WINDOW_BYTES) return WISP_WRPC_WINDOW_BYTES - wrpc->n_unconfirmed;
    if (!wisp_ring_is_member(&session->waiting)) wisp_ring_append(&wrpc->waiting, &session->waiting);
    return 0;
}

/* --- subjects --- */

/* "[method]bucket.get" is "bucket.get" on the wire; "[constructor]bucket", "[static]bucket.open" alike. */
static struct wisp_str plain_name(struct wisp_str name)
{
    struct wisp_str head, tail;
    if (name.len > 0 && name.ptr[0] == '[' && wisp_str_split(name, ']', &head, &tail)) return tail;
    return name;
}

int wisp_wrpc_subject(struct wisp_str lattice, struct wisp_str target, const struct wisp_wrpc_function *function,
                      struct wisp_buf *out, struct wisp_err *err)
{
    const struct wisp_str parts[] = {lattice,
                                     WISP_STR("."),
                                     target,
                                     WISP_STR(".wrpc.0.0.1."),
                                     function->interface,
                                     function->interface.len ? WISP_STR(".") : WISP_STR(""),
                                     plain_name(function->name)};
    size_t start = out->len;
    for (size_t i = 0; i < WISP_COUNT(parts); i++) wisp_buf_append_str(out, parts[i]);
    if (wisp_bus_subject_is_valid((struct wisp_str){out->data + start, out->len - start})) return 0;
    out->len = start;
    return wisp_err_set(err, WISP_ERR_INVALID, "`%.*s` at `%.*s` in the lattice `%.*s` can't be a subject",
                        WISP_STR_ARG(function->name), WISP_STR_ARG(target), WISP_STR_ARG(lattice));
}

/* --- processes that are gone --- */

static void on_ended(const struct wisp_bus_message *message, void *env)
{
    struct wisp_str rest = message->subject, id = rest;
    for (struct wisp_str head; wisp_str_split(rest, '.', &head, &rest);) id = rest;
    wisp_wrpc_target_ended(env, id);
}

/* Without it calls wait until their time is over. */
static void listen_for_ends(struct wisp_wrpc *wrpc)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    struct wisp_err err = {0};
    wisp_buf_printf(&subject, "%s.%s.*", WISP_WRPC_ENDED, wrpc->lattice);
    if (wisp_bus_subscribe(wrpc->bus, wisp_buf_str(&subject), WISP_STR(""), on_ended, wrpc, &wrpc->ended, &err) < 0)
        WISP_LOG(WARN, "wrpc", "the end of other processes will not be noticed", WISP_TEXT("error", err.text));
}

/* --- it comes and goes --- */

static void on_closed(uv_handle_t *handle)
{
    struct wisp_wrpc *wrpc = handle->data;
    if (--wrpc->n_open_handles > 0) return;
    wisp_arena_deinit(&wrpc->arena);
    wisp_buf_deinit(&wrpc->scratch);
    free(wrpc->mark_subject);
    free(wrpc->lattice);
    free(wrpc);
}

static void open_handle(struct wisp_wrpc *wrpc, uv_handle_t *handle)
{
    handle->data = wrpc;
    uv_unref(handle);
    wrpc->n_open_handles++;
}

static int check_options(const struct wisp_wrpc_options *options, struct wisp_err *err)
{
    struct wisp_str lattice = wisp_str_from(options->lattice);
    if (wisp_bus_subject_is_valid(lattice) && !memchr(lattice.ptr, '.', lattice.len)) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "`%.*s` can't be the name of a lattice", WISP_STR_ARG(lattice));
}

int wisp_wrpc_new(struct wisp_wrpc **ret_wrpc, const struct wisp_wrpc_options *options, struct wisp_err *err)
{
    int r = check_options(options, err);
    if (r < 0) return r;
    struct wisp_wrpc *wrpc = wisp_mem_calloc(1, sizeof *wrpc);
    wrpc->loop = options->loop;
    wrpc->bus = options->bus;
    wrpc->lattice = wisp_mem_dup(wisp_str_from(options->lattice));
    wrpc->value_bytes_max = options->value_bytes_max ? options->value_bytes_max : WISP_WRPC_VALUE_BYTES_MAX;
    wrpc->stream_bytes_max = options->stream_bytes_max ? options->stream_bytes_max : WISP_WRPC_STREAM_BYTES_MAX;
    wrpc->idle_timeout_ms = options->idle_timeout_ms ? options->idle_timeout_ms : WISP_WRPC_IDLE_TIMEOUT_MS;
    wrpc->seen = options->seen ? options->seen : &wrpc->own_seen;
    wrpc->armed_at_ms = UINT64_MAX;
    struct wisp_buf subject = {0};
    wisp_buf_printf(&subject, "%s.wrpc.0.0.1.nobody", options->lattice);
    wrpc->mark_subject = wisp_mem_dup(wisp_buf_str(&subject));
    wisp_buf_deinit(&subject);
    wisp_ring_init(&wrpc->timed);
    wisp_ring_init(&wrpc->tasks);
    wisp_ring_init(&wrpc->waiting);
    wisp_ring_init(&wrpc->tails);
    wisp_ring_init(&wrpc->unaccepted);
    wisp_ring_init(&wrpc->calls);
    uv_timer_init(wrpc->loop, &wrpc->timer);
    open_handle(wrpc, (uv_handle_t *)&wrpc->timer);
    uv_timer_init(wrpc->loop, &wrpc->accept_timer);
    open_handle(wrpc, (uv_handle_t *)&wrpc->accept_timer);
    uv_idle_init(wrpc->loop, &wrpc->stay_awake);
    open_handle(wrpc, (uv_handle_t *)&wrpc->stay_awake);
    uv_prepare_init(wrpc->loop, &wrpc->before_sleep);
    open_handle(wrpc, (uv_handle_t *)&wrpc->before_sleep);
    uv_prepare_start(&wrpc->before_sleep, before_sleep);
    r = wisp_wrpc_http_types_make(&wrpc->arena, &wrpc->http_types, err);
    if (r < 0) {
        wisp_wrpc_free(wrpc);
        return r;
    }
    listen_for_ends(wrpc);
    *ret_wrpc = wrpc;
    return 0;
}

static void end_tails(struct wisp_wrpc *wrpc)
{
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_CANCELLED, "the connection to the lattice was closed");
    while (!wisp_ring_is_empty(&wrpc->tails))
        wisp_wrpc_session_fail(WISP_OWNER(wrpc->tails.next, struct wisp_wrpc_session, tail), &err);
}

void wisp_wrpc_free(struct wisp_wrpc *wrpc)
{
    if (!wrpc) return;
    end_tails(wrpc);
    if (wrpc->mark) wisp_bus_request_cancel(wrpc->mark);
    wisp_bus_unsubscribe(wrpc->ended);
    uv_close((uv_handle_t *)&wrpc->timer, on_closed);
    uv_close((uv_handle_t *)&wrpc->accept_timer, on_closed);
    uv_close((uv_handle_t *)&wrpc->stay_awake, on_closed);
    uv_close((uv_handle_t *)&wrpc->before_sleep, on_closed);
}
