/* SPDX-License-Identifier: Apache-2.0 */
/* PUB, SUB, UNSUB: which message goes to whom. */
#include "bus/broker.h"

enum {
    STALL_MS = 5, /* how long a publisher is not read from when a subscriber is far behind */
    NUMBER_MAX = 20,
};

static void answer_ok(struct wisp_bus_conn *conn)
{
    if (!conn->is_verbose) return;
    wisp_buf_append_str(&conn->out, WISP_BUS_OK_LINE);
    wisp_bus_conn_wrote(conn);
}

static void answer_error(struct wisp_bus_conn *conn, const char *text)
{
    wisp_bus_encode_err(&conn->out, text);
    wisp_bus_conn_wrote(conn);
}

/* --- subscriptions --- */

static struct wisp_bus_sub *find_sub(const struct wisp_bus_conn *conn, struct wisp_str sid)
{
    const struct wisp_bus_broker *broker = conn->broker;
    uint64_t hash = wisp_bus_hash(broker->options.secret, conn->id, sid);
    struct wisp_bus_entry *entry = wisp_bus_table_first(&broker->sids, hash);
    for (; entry; entry = wisp_bus_entry_next(entry)) {
        struct wisp_bus_sub *sub = WISP_OWNER(entry, struct wisp_bus_sub, entry);
        if (sub->conn == conn && wisp_str_equal(sub->sid, sid)) return sub;
    }
    return NULL;
}

static void add_sub(struct wisp_bus_conn *conn, const struct wisp_bus_frame *frame)
{
    struct wisp_bus_broker *broker = conn->broker;
    struct wisp_bus_sub *sub = wisp_mem_calloc(1, sizeof *sub + frame->sid.len);
    sub->conn = conn;
    memcpy(sub->sid_bytes, frame->sid.ptr, frame->sid.len);
    sub->sid = (struct wisp_str){sub->sid_bytes, frame->sid.len};
    sub->entry.hash = wisp_bus_hash(broker->options.secret, conn->id, sub->sid);
    wisp_bus_table_add(&broker->sids, &sub->entry);
    wisp_ring_append(&conn->subs, &sub->link);
    wisp_bus_sublist_add(&broker->sublist, &sub->place, frame->subject, frame->queue);
    conn->n_subs++;
    broker->stats.subscriptions++;
}

/* It may be part of the match that is being worked on, so it is freed later. */
static void end_sub(struct wisp_bus_sub *sub)
{
    struct wisp_bus_broker *broker = sub->conn->broker;
    wisp_bus_sublist_remove(&broker->sublist, &sub->place);
    wisp_bus_table_remove(&broker->sids, &sub->entry);
    wisp_ring_remove(&sub->link);
    sub->conn->n_subs--;
    broker->stats.subscriptions--;
    sub->is_gone = true;
    sub->next_gone = broker->gone;
    broker->gone = sub;
}

void wisp_bus_conn_forget_subs(struct wisp_bus_conn *conn)
{
    while (!wisp_ring_is_empty(&conn->subs)) end_sub(WISP_OWNER(conn->subs.next, struct wisp_bus_sub, link));
}

void wisp_bus_conn_on_sub(struct wisp_bus_conn *conn, const struct wisp_bus_frame *frame)
{
    if (!wisp_bus_pattern_is_valid(frame->subject)) {
        answer_error(conn, "Invalid Subject");
        return;
    }
    if (!find_sub(conn, frame->sid)) {
        if (conn->n_subs >= conn->broker->options.subscriptions_max) {
            answer_error(conn, "maximum subscriptions exceeded");
            return;
        }
        add_sub(conn, frame);
    }
    answer_ok(conn);
}

void wisp_bus_conn_on_unsub(struct wisp_bus_conn *conn, const struct wisp_bus_frame *frame)
{
    struct wisp_bus_sub *sub = find_sub(conn, frame->sid);
    if (sub) {
        sub->max = frame->max;
        if (frame->max <= sub->delivered) end_sub(sub);
    }
    answer_ok(conn);
}

/* --- messages --- */

/* A message on its way: what its copies have in common. */
struct passage {
    struct wisp_bus_conn *from;
    const struct wisp_bus_frame *frame;
    struct wisp_str tail, plain_tail; /* of the line, from behind the sid: with headers, without */
    size_t bytes;
    bool was_delivered;
};

static char *put(char *at, struct wisp_str s)
{
    memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static size_t append_tail(struct wisp_buf *out, const struct wisp_bus_frame *frame, bool with_headers)
{
    size_t start = out->len;
    wisp_buf_append_char(out, ' ');
    if (frame->reply.len) {
        wisp_buf_append_str(out, frame->reply);
        wisp_buf_append_char(out, ' ');
    }
    char *at = wisp_buf_reserve(out, 2 * NUMBER_MAX + 3);
    if (with_headers) {
        at = wisp_bus_put_number(at, frame->headers.len);
        *at++ = ' ';
    }
    at = wisp_bus_put_number(at, (with_headers ? frame->headers.len : 0) + frame->payload.len);
    *at++ = '\r';
    *at++ = '\n';
    out->len = (size_t)(at - out->data);
    return out->len - start;
}

/* The tails stay in the broker's buffer until the next message. */
static struct passage begin(struct wisp_bus_conn *conn, const struct wisp_bus_frame *frame)
{
    struct wisp_buf *buf = &conn->broker->tail;
    buf->len = 0;
    size_t plain = append_tail(buf, frame, false);
    size_t full = frame->headers.len ? append_tail(buf, frame, true) : 0;
    return (struct passage){
        .from = conn,
        .frame = frame,
        .tail = {buf->data + (full ? plain : 0), full ? full : plain},
        .plain_tail = {buf->data, plain},
        .bytes = frame->headers.len + frame->payload.len,
    };
}

static void write_message(struct wisp_bus_conn *to, struct wisp_str sid, const struct passage *passage)
{
    const struct wisp_bus_frame *frame = passage->frame;
    struct wisp_str headers = to->has_headers ? frame->headers : (struct wisp_str){0};
    struct wisp_str tail = to->has_headers ? passage->tail : passage->plain_tail;
    size_t size = 8 + frame->subject.len + sid.len + tail.len + headers.len + frame->payload.len;
    char *start = wisp_buf_reserve(&to->out, size), *at = start;
    if (headers.len) *at++ = 'H';
    at = put(at, WISP_STR("MSG "));
    at = put(at, frame->subject);
    *at++ = ' ';
    at = put(at, sid);
    at = put(at, tail);
    if (headers.len) at = put(at, headers);
    if (frame->payload.len) at = put(at, frame->payload);
    at = put(at, WISP_STR("\r\n"));
    to->out.len += (size_t)(at - start);
}

/* False: it can't have it. */
static bool deliver(struct passage *passage, struct wisp_bus_sub *sub)
{
    struct wisp_bus_conn *to = sub->conn, *from = passage->from;
    if (sub->is_gone || (to == from && !from->has_echo)) return false;
    struct wisp_bus_broker *broker = to->broker;
    write_message(to, sub->sid, passage);
    broker->stats.out_messages++;
    broker->stats.out_bytes += passage->bytes;
    passage->was_delivered = true;
    if (++sub->delivered == sub->max) end_sub(sub);
    wisp_bus_conn_wrote(to);
    if (to != from && wisp_bus_conn_pending(to) > broker->options.pending_bytes_max / 2)
        from->stalled_until_ms = broker->now_ms + STALL_MS;
    return true;
}

/* A random number below `n`. */
static uint32_t throw_dice(struct wisp_bus_broker *broker, uint32_t n)
{
    uint64_t x = broker->dice;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    broker->dice = x;
    return (uint32_t)(((x >> 32) * n) >> 32);
}

static struct wisp_bus_sub *sub_at(const struct wisp_bus_match *match, uint32_t i)
{
    return WISP_OWNER(match->subs[i], struct wisp_bus_sub, place);
}

static void deliver_to_group(struct passage *passage, const struct wisp_bus_match *match,
                             const struct wisp_bus_match_group *group)
{
    uint32_t first = group->count > 1 ? throw_dice(passage->from->broker, group->count) : 0;
    for (uint32_t i = 0; i < group->count; i++)
        if (deliver(passage, sub_at(match, group->start + (first + i) % group->count))) return;
}

/* Nobody got it: who asked is told by its own subscription of the reply. */
static void tell_no_responders(struct wisp_bus_conn *conn, struct wisp_str reply)
{
    const struct wisp_bus_match *match = wisp_bus_sublist_match(&conn->broker->sublist, reply);
    for (uint32_t i = 0; i < match->n_subs; i++) {
        struct wisp_bus_sub *sub = sub_at(match, i);
        if (sub->conn != conn) continue;
        wisp_bus_encode_msg(&conn->out, reply, sub->sid, (struct wisp_str){0}, WISP_STR("NATS/1.0 503\r\n\r\n"),
                            (struct wisp_str){0});
        if (++sub->delivered == sub->max) end_sub(sub);
        wisp_bus_conn_wrote(conn);
        return;
    }
}

void wisp_bus_conn_on_pub(struct wisp_bus_conn *conn, const struct wisp_bus_frame *frame)
{
    struct wisp_bus_broker *broker = conn->broker;
    if (frame->headers.len && !conn->has_headers) {
        wisp_bus_conn_lost(conn, "HPUB without `headers` in CONNECT");
        return;
    }
    broker->stats.in_messages++;
    broker->stats.in_bytes += frame->headers.len + frame->payload.len;
    answer_ok(conn);
    if (conn->is_pedantic && !wisp_bus_subject_is_valid(frame->subject)) answer_error(conn, "Invalid Publish Subject");
    const struct wisp_bus_match *match = wisp_bus_sublist_match(&broker->sublist, frame->subject);
    bool was_delivered = false;
    if (match->n_subs > 0) {
        struct passage passage = begin(conn, frame);
        for (uint32_t i = 0; i < match->n_plain; i++) (void)deliver(&passage, sub_at(match, i));
        for (uint32_t i = 0; i < match->n_groups; i++) deliver_to_group(&passage, match, &match->groups[i]);
        was_delivered = passage.was_delivered;
    }
    if (!was_delivered && frame->reply.len && conn->wants_no_responders) tell_no_responders(conn, frame->reply);
}
