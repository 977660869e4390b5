/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of the broker: how they begin and end, their bytes, their deadlines. */
#include "bus/broker.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SCRATCH_BYTES = 64 * 1024,
    PUSH_BYTES = 256 * 1024,       /* output is sent without waiting for the end of the loop's turn */
    KEPT_OUTPUT_BYTES = 64 * 1024, /* a buffer that grew larger is not kept */
    PINGS_OUT_MAX = 2,
};

void wisp_bus_broker_init(struct wisp_bus_broker *broker, const struct wisp_bus_broker_options *options)
{
    memset(broker, 0, sizeof *broker);
    broker->options = *options;
    broker->dice = options->secret | 1;
    wisp_bus_sublist_init(&broker->sublist, options->secret);
    wisp_ring_init(&broker->conns);
    wisp_buf_reserve(&broker->scratch, SCRATCH_BYTES);
}

void wisp_bus_broker_deinit(struct wisp_bus_broker *broker)
{
    assert(wisp_ring_is_empty(&broker->conns));
    wisp_bus_sublist_deinit(&broker->sublist);
    wisp_bus_table_deinit(&broker->sids);
    wisp_buf_deinit(&broker->scratch);
    wisp_buf_deinit(&broker->tail);
    free(broker->options.server_id);
    free(broker->options.server_name);
    free(broker->options.host);
    free(broker->options.token);
    free(broker->options.keys.at);
}

static void free_gone(struct wisp_bus_broker *broker)
{
    while (broker->gone) {
        struct wisp_bus_sub *sub = broker->gone;
        broker->gone = sub->next_gone;
        free(sub);
    }
}

/* --- begin and end --- */

static void schedule(struct wisp_bus_conn *conn)
{
    if (conn->is_scheduled) return;
    conn->is_scheduled = true;
    conn->broker->options.transport->schedule(conn);
}

void wisp_bus_conn_init(struct wisp_bus_conn *conn, struct wisp_bus_broker *broker, const struct wisp_bus_peer *peer)
{
    memset(conn, 0, sizeof *conn);
    conn->broker = broker;
    conn->peer = *peer;
    conn->id = ++broker->last_id;
    conn->is_verbose = conn->is_pedantic = conn->has_echo = true;
    wisp_ring_init(&conn->subs);
    wisp_ring_append(&broker->conns, &conn->link);
    wisp_bus_parser_init(&conn->parser, WISP_BUS_SIDE_SERVER);
    broker->stats.connections++;
    broker->stats.connections_total++;
    conn->owes_handshake = peer->uses_tls;
    conn->connect_deadline_ms = broker->now_ms + broker->options.auth_timeout_ms;
    conn->ping_at_ms = broker->now_ms + broker->options.ping_interval_ms;
    conn->owes_credentials = !peer->is_trusted && (broker->options.token || broker->options.keys.count > 0);
    /* Who still has to say who it is gets no memory for messages. */
    conn->parser.payload_bytes_max = conn->owes_credentials ? 0 : broker->options.payload_bytes_max;
    if (broker->stats.connections > broker->options.connections_max) {
        broker->stats.refused++;
        wisp_bus_conn_cut(conn, "maximum connections exceeded");
        return;
    }
    wisp_bus_conn_greet(conn);
}

void wisp_bus_conn_deinit(struct wisp_bus_conn *conn)
{
    wisp_bus_conn_forget_subs(conn);
    free_gone(conn->broker);
    wisp_ring_remove(&conn->link);
    wisp_buf_deinit(&conn->in);
    wisp_buf_deinit(&conn->out);
    conn->broker->stats.connections--;
}

void wisp_bus_conn_lost(struct wisp_bus_conn *conn, const char *reason)
{
    if (conn->phase == WISP_BUS_PHASE_LOST) return;
    if (!conn->reason) conn->reason = reason;
    conn->phase = WISP_BUS_PHASE_LOST;
    wisp_bus_conn_forget_subs(conn);
    schedule(conn);
}

void wisp_bus_conn_cut(struct wisp_bus_conn *conn, const char *reason)
{
    if (conn->phase != WISP_BUS_PHASE_OPEN) return;
    conn->reason = reason;
    conn->phase = WISP_BUS_PHASE_CLOSING;
    wisp_bus_conn_forget_subs(conn);
    wisp_bus_encode_err(&conn->out, reason);
    conn->write_deadline_ms = conn->broker->now_ms + conn->broker->options.write_timeout_ms;
    schedule(conn);
}

/* It did not read what it subscribed to. What is queued would be that much more for it to be late with. */
static void cut_slow_consumer(struct wisp_bus_conn *conn)
{
    if (conn->phase != WISP_BUS_PHASE_OPEN) return;
    conn->broker->stats.slow_consumers++;
    wisp_buf_deinit(&conn->out);
    wisp_bus_conn_cut(conn, "Slow Consumer");
}

/* --- output --- */

void wisp_bus_conn_wrote(struct wisp_bus_conn *conn)
{
    size_t max = conn->broker->options.pending_bytes_max;
    schedule(conn);
    if (conn->out.len < PUSH_BYTES && wisp_bus_conn_pending(conn) <= max) return;
    if (conn->in_flight == 0) conn->broker->options.transport->push(conn);
    if (wisp_bus_conn_pending(conn) > max) cut_slow_consumer(conn);
}

struct wisp_str wisp_bus_conn_output(const struct wisp_bus_conn *conn)
{
    return conn->in_flight > 0 ? (struct wisp_str){0} : wisp_buf_str(&conn->out);
}

void wisp_bus_conn_output_sent(struct wisp_bus_conn *conn)
{
    conn->was_idle = false;
    conn->out.len = 0;
    if (conn->out.capacity > KEPT_OUTPUT_BYTES) wisp_buf_deinit(&conn->out);
}

void wisp_bus_conn_output_take(struct wisp_bus_conn *conn, size_t size, struct wisp_buf *ret_buf)
{
    assert(size < conn->out.len && conn->in_flight == 0);
    *ret_buf = conn->out;
    conn->in_flight = conn->out.len - size;
    conn->out = (struct wisp_buf){0};
    wisp_bus_conn_output_moved(conn);
}

void wisp_bus_conn_output_moved(struct wisp_bus_conn *conn)
{
    if (conn->phase == WISP_BUS_PHASE_OPEN)
        conn->write_deadline_ms = conn->broker->now_ms + conn->broker->options.write_timeout_ms;
}

void wisp_bus_conn_output_done(struct wisp_bus_conn *conn, struct wisp_buf *buf)
{
    conn->in_flight = 0;
    conn->was_idle = false;
    buf->len = 0;
    if (!conn->out.data && buf->capacity <= KEPT_OUTPUT_BYTES) {
        conn->out = *buf;
        *buf = (struct wisp_buf){0};
    }
    wisp_buf_deinit(buf);
    if (conn->out.len > 0 || conn->phase != WISP_BUS_PHASE_OPEN) schedule(conn);
}

/* --- input --- */

bool wisp_bus_conn_wants_input(const struct wisp_bus_conn *conn)
{
    return conn->phase == WISP_BUS_PHASE_OPEN && conn->stalled_until_ms <= conn->broker->now_ms;
}

/* A short beginning of a frame is put in front of what will be read into the broker's buffer; a long one grows where it
 * is, up to the frame's size. */
char *wisp_bus_conn_space(struct wisp_bus_conn *conn, size_t *ret_size)
{
    struct wisp_bus_broker *broker = conn->broker;
    size_t start = conn->in.len;
    conn->uses_scratch = start <= SCRATCH_BYTES / 8 && conn->parser.needed <= SCRATCH_BYTES;
    if (conn->uses_scratch) {
        if (start > 0) memcpy(broker->scratch.data, conn->in.data, start);
        *ret_size = SCRATCH_BYTES - start;
        return broker->scratch.data + start;
    }
    size_t wanted = conn->parser.needed > start ? conn->parser.needed - start : 1;
    if (wanted > SCRATCH_BYTES && conn->in.len + SCRATCH_BYTES > conn->in.capacity) wanted = SCRATCH_BYTES;
    wisp_buf_reserve(&conn->in, wanted);
    *ret_size = conn->in.capacity - start;
    return conn->in.data + start;
}

static void on_fault(struct wisp_bus_conn *conn, enum wisp_bus_parsed fault)
{
    if (conn->owes_credentials) {
        conn->broker->stats.refused++;
        wisp_bus_conn_cut(conn, "Authorization Violation");
    } else if (fault == WISP_BUS_PARSED_BAD_ARGUMENTS) {
        /* Servers say nothing then. */
        wisp_bus_conn_lost(conn, wisp_bus_fault_text(fault));
    } else {
        wisp_bus_conn_cut(conn, wisp_bus_fault_text(fault));
    }
}

static void on_frame(struct wisp_bus_conn *conn, const struct wisp_bus_frame *frame)
{
    if (conn->owes_credentials && frame->op != WISP_BUS_OP_CONNECT) {
        on_fault(conn, WISP_BUS_PARSED_UNKNOWN_OPERATION);
        return;
    }
    switch (frame->op) {
    case WISP_BUS_OP_PUB:
        wisp_bus_conn_on_pub(conn, frame);
        break;
    case WISP_BUS_OP_SUB:
        wisp_bus_conn_on_sub(conn, frame);
        break;
    case WISP_BUS_OP_UNSUB:
        wisp_bus_conn_on_unsub(conn, frame);
        break;
    case WISP_BUS_OP_CONNECT:
        wisp_bus_conn_on_connect(conn, frame->text);
        break;
    case WISP_BUS_OP_PONG:
        break; /* as anything that came, it shows that the client is there */
    default:
        wisp_buf_append_str(&conn->out, WISP_BUS_PONG_LINE);
        wisp_bus_conn_wrote(conn);
    }
}

/* Returns how many of the bytes were used. */
static size_t run(struct wisp_bus_conn *conn, struct wisp_str bytes)
{
    size_t used = 0;
    while (conn->phase == WISP_BUS_PHASE_OPEN) {
        struct wisp_bus_frame frame;
        size_t size;
        struct wisp_str rest = {bytes.ptr + used, bytes.len - used};
        enum wisp_bus_parsed result = wisp_bus_parse(&conn->parser, rest, &frame, &size);
        if (result == WISP_BUS_PARSED_MORE) break;
        if (result != WISP_BUS_PARSED_FRAME) {
            on_fault(conn, result);
            break;
        }
        on_frame(conn, &frame);
        used += size;
    }
    return conn->phase == WISP_BUS_PHASE_OPEN ? used : bytes.len;
}

static void keep(struct wisp_bus_conn *conn, struct wisp_str rest)
{
    if (conn->uses_scratch) {
        conn->in.len = 0;
        wisp_buf_append_str(&conn->in, rest);
    } else if (rest.len > 0) {
        memmove(conn->in.data, rest.ptr, rest.len);
        conn->in.len = rest.len;
    }
    if (rest.len == 0 && conn->in.data) wisp_buf_deinit(&conn->in);
}

void wisp_bus_conn_input(struct wisp_bus_conn *conn, size_t size)
{
    struct wisp_bus_broker *broker = conn->broker;
    if (size == 0) return;
    struct wisp_str bytes = {conn->uses_scratch ? broker->scratch.data : conn->in.data, conn->in.len + size};
    conn->ping_at_ms = broker->now_ms + broker->options.ping_interval_ms;
    conn->pings_out = 0;
    size_t used = run(conn, bytes);
    keep(conn, (struct wisp_str){bytes.ptr + used, bytes.len - used});
    free_gone(broker);
}

/* --- deadlines --- */

static void ping(struct wisp_bus_conn *conn)
{
    if (conn->pings_out == PINGS_OUT_MAX) {
        wisp_bus_conn_cut(conn, "Stale Connection");
        return;
    }
    conn->pings_out++;
    conn->ping_at_ms = conn->broker->now_ms + conn->broker->options.ping_interval_ms;
    wisp_buf_append_str(&conn->out, WISP_BUS_PING_LINE);
    wisp_bus_conn_wrote(conn);
}

static void tick(struct wisp_bus_conn *conn)
{
    uint64_t now = conn->broker->now_ms;
    bool is_sending = conn->in_flight > 0 || conn->phase == WISP_BUS_PHASE_CLOSING;
    if (is_sending && now >= conn->write_deadline_ms) {
        if (conn->phase == WISP_BUS_PHASE_OPEN) conn->broker->stats.slow_consumers++;
        wisp_bus_conn_lost(conn, "Slow Consumer (nothing taken within the write timeout)");
        return;
    }
    if (conn->phase != WISP_BUS_PHASE_OPEN) return;
    if ((conn->owes_credentials || conn->owes_handshake) && now >= conn->connect_deadline_ms) {
        conn->broker->stats.refused++;
        wisp_bus_conn_cut(conn, "Authentication Timeout");
        return;
    }
    if (now >= conn->ping_at_ms) ping(conn);
    if (conn->was_idle && conn->out.len == 0) wisp_buf_deinit(&conn->out);
    conn->was_idle = true;
}

void wisp_bus_broker_tick(struct wisp_bus_broker *broker)
{
    /* No connection leaves the ring within this loop: `schedule` only takes note. */
    for (struct wisp_link *at = broker->conns.next; at != &broker->conns; at = at->next)
        tick(WISP_OWNER(at, struct wisp_bus_conn, link));
    free_gone(broker);
}
