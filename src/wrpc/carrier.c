/* SPDX-License-Identifier: Apache-2.0 */
#include "wrpc/carrier.h"

#include "wrpc/wire.h"
#include "wrpc/wrpc_priv.h"

#include <stdio.h>
#include <stdlib.h>

/* Of ours, going out. The pipe's reader belongs to it. */
struct out {
    struct wisp_link link;
    struct wisp_wrpc_carrier *carrier;
    struct wisp_wrpc_pipe *pipe;
    char *path;
    uint64_t sent, sent_max; /* bytes; UINT64_MAX: the other side does not say */
};

/* Theirs, coming in. The pipe's writer belongs to it. */
struct in {
    struct wisp_link link;
    struct wisp_wrpc_carrier *carrier;
    struct wisp_wrpc_pipe *pipe;
    char *path;
    uint64_t received, granted;
    bool is_whole; /* its path has ended */
};

struct early {
    struct wisp_link link;
    char *path;
    struct wisp_buf bytes;
    bool is_whole;
};

/* --- it comes and goes --- */

void wisp_wrpc_carrier_init(struct wisp_wrpc_carrier *carrier, struct wisp_wrpc_session *session, bool takes_early,
                            void (*on_over)(struct wisp_wrpc_carrier *carrier))
{
    *carrier = (struct wisp_wrpc_carrier){.session = session, .on_over = on_over, .takes_early = takes_early};
    wisp_ring_init(&carrier->outs);
    wisp_ring_init(&carrier->ins);
    wisp_ring_init(&carrier->early);
}

static void out_free(struct out *out)
{
    wisp_ring_remove(&out->link);
    out->carrier->n_outs--;
    wisp_wrpc_reader_close(&out->pipe->reader);
    free(out->path);
    free(out);
}

static void in_free(struct in *in)
{
    wisp_ring_remove(&in->link);
    in->carrier->n_ins--;
    in->pipe->carrier = NULL;
    wisp_wrpc_pipe_leave(in->pipe);
    free(in->path);
    free(in);
}

static void early_free(struct wisp_wrpc_carrier *carrier, struct early *early)
{
    wisp_ring_remove(&early->link);
    carrier->n_early--;
    carrier->n_early_bytes -= early->bytes.len;
    wisp_buf_deinit(&early->bytes);
    free(early->path);
    free(early);
}

static void forget_early(struct wisp_wrpc_carrier *carrier)
{
    while (!wisp_ring_is_empty(&carrier->early))
        early_free(carrier, WISP_OWNER(carrier->early.next, struct early, link));
}

void wisp_wrpc_carrier_deinit(struct wisp_wrpc_carrier *carrier, enum wisp_err_kind kind, const char *text)
{
    if (!carrier->session) return;
    while (!wisp_ring_is_empty(&carrier->outs)) {
        struct out *out = WISP_OWNER(carrier->outs.next, struct out, link);
        struct wisp_err ignored;
        if (carrier->is_open && carrier->session->inbox)
            (void)!wisp_wrpc_session_end(carrier->session, out->path, &ignored);
        out_free(out);
    }
    while (!wisp_ring_is_empty(&carrier->ins)) {
        struct in *in = WISP_OWNER(carrier->ins.next, struct in, link);
        wisp_wrpc_pipe_fail(in->pipe, kind, text);
        in_free(in);
    }
    forget_early(carrier);
    carrier->session = NULL;
}

/* After something was done that may have been the last. */
static void look_whether_over(struct wisp_wrpc_carrier *carrier)
{
    if (carrier->is_open && wisp_wrpc_carrier_is_over(carrier)) carrier->on_over(carrier);
}

static void put_timeout_off(struct wisp_wrpc_carrier *carrier)
{
    if (carrier->is_timed) wisp_wrpc_session_set_timeout(carrier->session, carrier->session->wrpc->idle_timeout_ms);
}

static char *join_paths(const char *base, const char *rest)
{
    struct wisp_buf path = {0};
    wisp_buf_printf(&path, "%s%s%s", base, *base && *rest ? "." : "", rest);
    wisp_buf_append_char(&path, '\0');
    return path.data;
}

/* --- going out --- */

static void on_pipe_ready(struct wisp_wrpc_reader *reader, void *env);

static void add_out(struct wisp_wrpc_carrier *carrier, struct wisp_wrpc_pipe *pipe, const char *base, const char *path)
{
    struct out *out = wisp_mem_calloc(1, sizeof *out);
    out->carrier = carrier;
    out->pipe = pipe;
    out->path = join_paths(base, path);
    wisp_ring_append(&carrier->outs, &out->link);
    carrier->n_outs++;
    wisp_wrpc_pipe_connect(pipe, carrier->session->wrpc->loop);
    if (carrier->n_outs > WISP_WRPC_CARRIER_STREAMS_MAX || strlen(out->path) >= WISP_WRPC_PATH_MAX) {
        out_free(out);
        return;
    }
    out->sent_max = carrier->session->sent_max;
    wisp_wrpc_reader_on_ready(&pipe->reader, on_pipe_ready, out);
}

/* What was in elements that are out goes out as well. */
static void take_nested(struct out *out)
{
    while (!wisp_ring_is_empty(&out->pipe->nested)) {
        struct wisp_wrpc_nested *nested = WISP_OWNER(out->pipe->nested.next, struct wisp_wrpc_nested, link);
        add_out(out->carrier, nested->pipe, out->path, nested->path);
        wisp_wrpc_nested_free(nested);
    }
}

static size_t room_for(const struct out *out, size_t wanted)
{
    struct wisp_wrpc_session *session = out->carrier->session;
    uint64_t allowed = out->sent_max - out->sent;
    if (allowed < wanted) wanted = (size_t)allowed;
    if (wanted == 0) return 0;
    size_t room = wisp_wrpc_room(session->wrpc, session);
    return room < wanted ? room : wanted;
}

/* Sends what there is and may be sent. The stream may be gone afterwards. */
static int pump(struct out *out, struct wisp_err *err)
{
    struct wisp_wrpc_pipe *pipe = out->pipe;
    struct wisp_wrpc_session *session = out->carrier->session;
    struct wisp_str bytes;
    if (!out->carrier->is_open) return 0;
    while ((bytes = wisp_wrpc_pipe_bytes(pipe)).len > 0 && (bytes.len = room_for(out, bytes.len)) > 0) {
        int r = wisp_wrpc_session_send(session, out->path, bytes, err);
        if (r < 0) return r;
        if (out->sent_max != UINT64_MAX) out->sent += bytes.len;
        wisp_wrpc_pipe_drop(pipe, bytes.len);
        put_timeout_off(out->carrier);
    }
    take_nested(out);
    if (wisp_wrpc_pipe_waiting(pipe) > 0 || (!pipe->is_whole && !pipe->failure)) return 0;
    /* One that was broken off ends as well, but without its last chunk. */
    int r = wisp_wrpc_session_end(session, out->path, err);
    out_free(out);
    return r;
}

/* From the loop only: the session may be gone afterwards. */
static bool judge(struct wisp_wrpc_carrier *carrier, int r, struct wisp_err *err)
{
    struct wisp_wrpc_session *session = carrier->session;
    if (r == 0) return true;
    wisp_err_wrap(err, "%s: sending a stream", session->label);
    wisp_wrpc_session_fail(session, err);
    return false;
}

static void on_pipe_ready(struct wisp_wrpc_reader *reader, void *env)
{
    struct out *out = env;
    struct wisp_wrpc_carrier *carrier = out->carrier;
    struct wisp_err err = {0};
    (void)reader;
    if (judge(carrier, pump(out, &err), &err)) look_whether_over(carrier);
}

static int pump_all(struct wisp_wrpc_carrier *carrier, struct wisp_err *err)
{
    int r = 0;
    for (struct wisp_link *at = carrier->outs.next, *next; r == 0 && at != &carrier->outs; at = next) {
        next = at->next; /* those that come from elements are appended, and have handlers of their own */
        r = pump(WISP_OWNER(at, struct out, link), err);
    }
    return r;
}

void wisp_wrpc_carrier_send(struct wisp_wrpc_carrier *carrier, const struct wisp_wrpc_slots *slots)
{
    for (uint32_t i = 0; i < slots->n; i++) {
        struct wisp_wrpc_writer *writer;
        memcpy(&writer, slots->items[i].from, sizeof writer);
        add_out(carrier, wisp_wrpc_pipe_take(slots->items[i].type, writer), "", slots->items[i].path);
    }
}

int wisp_wrpc_carrier_open(struct wisp_wrpc_carrier *carrier, struct wisp_err *err)
{
    carrier->is_open = true;
    WISP_RING_EACH(at, &carrier->outs) WISP_OWNER(at, struct out, link)->sent_max = carrier->session->sent_max;
    return pump_all(carrier, err);
}

void wisp_wrpc_carrier_on_room(struct wisp_wrpc_carrier *carrier)
{
    struct wisp_err err = {0};
    if (judge(carrier, pump_all(carrier, &err), &err)) look_whether_over(carrier);
}

static struct out *find_out(const struct wisp_wrpc_carrier *carrier, struct wisp_str path)
{
    for (struct wisp_link *at = carrier->outs.next; at != &carrier->outs; at = at->next)
        if (wisp_str_is(path, WISP_OWNER(at, struct out, link)->path)) return WISP_OWNER(at, struct out, link);
    return NULL;
}

/* Nobody reads it any more; none of them when the path is empty. */
static int stop(struct wisp_wrpc_carrier *carrier, struct wisp_str path, struct wisp_err *err)
{
    int r = 0;
    for (struct wisp_link *at = carrier->outs.next, *next; r == 0 && at != &carrier->outs; at = next) {
        struct out *out = WISP_OWNER(at, struct out, link);
        next = at->next;
        if (path.len > 0 && !wisp_str_is(path, out->path)) continue;
        r = wisp_wrpc_session_end(carrier->session, out->path, err);
        out_free(out);
    }
    return r;
}

void wisp_wrpc_carrier_on_credit(struct wisp_wrpc_carrier *carrier, struct wisp_str path, struct wisp_str payload)
{
    struct out *out = find_out(carrier, path);
    struct wisp_err err = {0};
    int r = 0;
    if (!carrier->is_open) return;
    if (payload.len == 0) {
        r = stop(carrier, path, &err);
    } else if (out) {
        struct wisp_wrpc_input input = wisp_wrpc_input(payload);
        uint64_t sent_max = wisp_wrpc_read_unsigned(&input, 64);
        if (input.state != WISP_WRPC_READ_OK || sent_max <= out->sent_max) return;
        out->sent_max = sent_max;
        r = pump(out, &err);
    }
    if (judge(carrier, r, &err)) look_whether_over(carrier);
}

/* --- coming in --- */

/* "So many bytes of it in all", or "no more of it". */
static void send_credit(const struct in *in, uint64_t granted)
{
    struct wisp_buf credit = {0};
    if (granted) wisp_wrpc_put_unsigned(&credit, granted);
    wisp_wrpc_session_credit(in->carrier->session, in->path, wisp_buf_str(&credit));
    wisp_buf_deinit(&credit);
}

/* Lets the other side send more when enough has been read. */
static void allow(struct in *in)
{
    uint64_t window = in->carrier->session->window;
    uint64_t done = in->pipe->is_hungry ? in->received : in->received - wisp_wrpc_pipe_waiting(in->pipe);
    wisp_wrpc_pipe_await_room(in->pipe);
    if (window == 0 || in->is_whole || done + window - in->granted < window / 2) return;
    in->granted = done + window;
    send_credit(in, in->granted);
}

static void on_pipe_room(struct wisp_wrpc_writer *writer, void *env)
{
    struct in *in = env;
    struct wisp_wrpc_carrier *carrier = in->carrier;
    if (!wisp_wrpc_writer_is_closed(writer)) {
        allow(in);
        return;
    }
    if (!in->is_whole && carrier->session->window) send_credit(in, 0);
    /* Where paths come up as they please, what still comes on this one must not look like another. */
    if (!in->is_whole && carrier->takes_early) return;
    in_free(in);
    look_whether_over(carrier);
}

static void take(struct in *in, struct wisp_str bytes, bool is_whole)
{
    struct wisp_wrpc *wrpc = in->carrier->session->wrpc;
    bool is_closed = in->pipe->reader.is_closed;
    if (in->is_whole) return;
    in->received += bytes.len;
    in->is_whole = is_whole;
    if (!is_closed && wisp_wrpc_pipe_waiting(in->pipe) + bytes.len > wrpc->stream_bytes_max)
        wisp_wrpc_pipe_fail(in->pipe, WISP_ERR_LIMIT, "more of it came than waits to be read here at most");
    if (!in->pipe->failure) wisp_wrpc_pipe_feed(in->pipe, bytes, is_whole);
    /* Its elements may be read later, and then those who make the readers in them must be there. */
    if (is_whole && (is_closed || !in->pipe->type->element->has_streams))
        in_free(in);
    else if (!is_closed)
        wisp_wrpc_pipe_await_room(in->pipe);
}

static struct wisp_wrpc_pipe *make_nested(struct wisp_wrpc_pipe *parent, const struct wisp_wrpc_slot *slot);

static struct early *find_early(const struct wisp_wrpc_carrier *carrier, struct wisp_str path)
{
    for (struct wisp_link *at = carrier->early.next; at != &carrier->early; at = at->next)
        if (wisp_str_is(path, WISP_OWNER(at, struct early, link)->path)) return WISP_OWNER(at, struct early, link);
    return NULL;
}

/* The path is taken over. */
static void add_in(struct wisp_wrpc_carrier *carrier, struct wisp_wrpc_pipe *pipe, char *path)
{
    struct in *in = wisp_mem_calloc(1, sizeof *in);
    in->carrier = carrier;
    in->pipe = pipe;
    in->path = path;
    in->granted = carrier->session->window;
    pipe->carrier = in;
    pipe->room = carrier->session->window ? (size_t)carrier->session->window : WISP_WRPC_PIPE_ROOM;
    if (pipe->type->element->has_streams) pipe->make_reader = make_nested;
    wisp_ring_append(&carrier->ins, &in->link);
    carrier->n_ins++;
    wisp_wrpc_writer_on_room(&pipe->writer, on_pipe_room, in);
    wisp_wrpc_pipe_await_room(pipe);
    struct early *early = find_early(carrier, wisp_str_from(path));
    if (!early) return;
    take(in, wisp_buf_str(&early->bytes), early->is_whole);
    early_free(carrier, early);
}

/* The path is taken over. */
static struct wisp_wrpc_pipe *make_pipe(struct wisp_wrpc_carrier *carrier, const struct wisp_wrpc_slot *slot,
                                        char *path)
{
    bool is_refused = carrier->n_ins >= WISP_WRPC_CARRIER_STREAMS_MAX || strlen(path) >= WISP_WRPC_PATH_MAX;
    struct wisp_wrpc_pipe *pipe;
    if (slot->is_inline || is_refused) {
        free(path);
        pipe = wisp_wrpc_pipe_made(slot->type, slot->is_inline ? slot : NULL);
        wisp_wrpc_pipe_connect(pipe, carrier->session->wrpc->loop);
        return pipe;
    }
    pipe = wisp_wrpc_pipe_take(slot->type, wisp_wrpc_writer_new(slot->type));
    wisp_wrpc_pipe_connect(pipe, carrier->session->wrpc->loop);
    add_in(carrier, pipe, path);
    return pipe;
}

static struct wisp_wrpc_pipe *make_nested(struct wisp_wrpc_pipe *parent, const struct wisp_wrpc_slot *slot)
{
    const struct in *in = parent->carrier;
    if (!in) return wisp_wrpc_pipe_made(slot->type, NULL);
    return make_pipe(in->carrier, slot, join_paths(in->path, slot->path));
}

void wisp_wrpc_carrier_receive(struct wisp_wrpc_carrier *carrier, const struct wisp_wrpc_slots *slots)
{
    carrier->takes_early = false;
    for (uint32_t i = 0; i < slots->n; i++) {
        const struct wisp_wrpc_slot *slot = &slots->items[i];
        if (!slot->type->element) continue; /* a handle */
        carrier->takes_early |= slot->type->element->has_streams;
        struct wisp_wrpc_pipe *pipe = make_pipe(carrier, slot, wisp_mem_dup(wisp_str_from(slot->path)));
        struct wisp_wrpc_reader *reader = &pipe->reader;
        memcpy(slot->at, &reader, sizeof reader);
    }
    if (!carrier->takes_early) forget_early(carrier);
}

/* Bytes of a path that is not known yet. */
static int keep(struct wisp_wrpc_carrier *carrier, struct wisp_str path, struct wisp_str bytes, struct wisp_err *err)
{
    struct early *early = find_early(carrier, path);
    size_t left = carrier->session->wrpc->stream_bytes_max - carrier->n_early_bytes;
    bool is_one_too_many = !early && carrier->n_early == WISP_WRPC_CARRIER_STREAMS_MAX;
    if (path.len >= WISP_WRPC_PATH_MAX) return 0;
    if (is_one_too_many || bytes.len > left)
        return wisp_err_set(err, WISP_ERR_LIMIT, "%s: too much came before it was clear what it belongs to",
                            carrier->session->label);
    if (!early) {
        early = wisp_mem_calloc(1, sizeof *early);
        early->path = wisp_mem_dup(path);
        wisp_ring_append(&carrier->early, &early->link);
        carrier->n_early++;
    }
    if (early->is_whole) return 0;
    wisp_buf_append_str(&early->bytes, bytes);
    carrier->n_early_bytes += bytes.len;
    early->is_whole = bytes.len == 0;
    return 0;
}

void wisp_wrpc_carrier_on_bytes(struct wisp_wrpc_carrier *carrier, struct wisp_str path, struct wisp_str bytes)
{
    struct wisp_err err = {0};
    put_timeout_off(carrier);
    WISP_RING_EACH(at, &carrier->ins)
    {
        struct in *in = WISP_OWNER(at, struct in, link);
        if (!wisp_str_is(path, in->path)) continue;
        take(in, bytes, bytes.len == 0);
        look_whether_over(carrier);
        return;
    }
    if (carrier->takes_early && keep(carrier, path, bytes, &err) < 0) wisp_wrpc_session_fail(carrier->session, &err);
}

/* --- time --- */

/* Somebody waits here for what does not come, or cares no more. */
static bool is_waiting(const struct in *in)
{
    if (in->pipe->reader.is_closed) return true;
    return !in->is_whole && (in->pipe->is_hungry || wisp_wrpc_pipe_waiting(in->pipe) == 0);
}

/* One of our own may take its time as long as it is there. Of others it is only known that nothing comes. */
void wisp_wrpc_carrier_on_timeout(struct wisp_wrpc_carrier *carrier)
{
    struct wisp_wrpc_session *session = carrier->session;
    struct wisp_err err = {0};
    unsigned n_waiting = 0;
    put_timeout_off(carrier);
    if (session->window > 0) {
        wisp_wrpc_session_probe_own(session);
        return;
    }
    WISP_RING_EACH(at, &carrier->ins) n_waiting += is_waiting(WISP_OWNER(at, struct in, link));
    if (n_waiting == 0) return;
    wisp_err_set(&err, WISP_ERR_TIMEOUT, "%s: nothing more of a stream came within %llu ms", session->label,
                 (unsigned long long)session->wrpc->idle_timeout_ms);
    wisp_wrpc_session_fail(session, &err);
}
