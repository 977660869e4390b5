/* SPDX-License-Identifier: Apache-2.0 */
/* A broker without sockets for tests and the fuzzer: connections whose output is kept or, for one that is `lazy`, not
 * taken. */
#pragma once

#include "bus/broker.h"

#include <assert.h>

enum { RIG_CONNS = 8 };

struct rig_conn {
    struct wisp_bus_conn conn;
    struct wisp_buf seen;
    bool is_open, is_lazy;
};

struct rig {
    struct wisp_bus_broker broker;
    struct rig_conn conns[RIG_CONNS];
};

static inline void rig_drain(struct rig_conn *end)
{
    if (end->is_lazy) return;
    wisp_buf_append_str(&end->seen, wisp_bus_conn_output(&end->conn));
    if (end->conn.out.len > 0) wisp_bus_conn_output_sent(&end->conn);
}

static inline void rig_schedule(struct wisp_bus_conn *conn) { (void)conn; }
static inline void rig_push(struct wisp_bus_conn *conn) { rig_drain(WISP_OWNER(conn, struct rig_conn, conn)); }

static const struct wisp_bus_broker_transport rig_transport = {.schedule = rig_schedule, .push = rig_push};

/* `options` may be NULL. */
static inline void rig_init(struct rig *rig, const struct wisp_bus_broker_options *options)
{
    struct wisp_bus_broker_options filled = options ? *options : (struct wisp_bus_broker_options){0};
    memset(rig, 0, sizeof *rig);
    filled.transport = &rig_transport;
    filled.server_id = wisp_mem_dup(WISP_STR("ID"));
    filled.server_name = wisp_mem_dup(WISP_STR("rig"));
    filled.host = wisp_mem_dup(WISP_STR("127.0.0.1"));
    filled.secret = 7;
    if (!filled.payload_bytes_max) filled.payload_bytes_max = WISP_BUS_PAYLOAD_MAX;
    if (!filled.pending_bytes_max) filled.pending_bytes_max = 1 << 20;
    if (!filled.connections_max) filled.connections_max = RIG_CONNS;
    if (!filled.subscriptions_max) filled.subscriptions_max = 1000;
    if (!filled.ping_interval_ms) filled.ping_interval_ms = 1000;
    if (!filled.write_timeout_ms) filled.write_timeout_ms = 1000;
    if (!filled.auth_timeout_ms) filled.auth_timeout_ms = 1000;
    wisp_bus_broker_init(&rig->broker, &filled);
}

static inline void rig_open(struct rig *rig, size_t i, const struct wisp_bus_peer *peer)
{
    static const struct wisp_bus_peer nobody;
    assert(!rig->conns[i].is_open);
    rig->conns[i].is_open = true;
    wisp_bus_conn_init(&rig->conns[i].conn, &rig->broker, peer ? peer : &nobody);
}

static inline void rig_close(struct rig *rig, size_t i)
{
    if (!rig->conns[i].is_open) return;
    rig->conns[i].is_open = false;
    wisp_bus_conn_deinit(&rig->conns[i].conn);
    wisp_buf_deinit(&rig->conns[i].seen);
}

static inline void rig_deinit(struct rig *rig)
{
    for (size_t i = 0; i < RIG_CONNS; i++) rig_close(rig, i);
    assert(rig->broker.stats.subscriptions == 0 && rig->broker.sids.count == 0);
    wisp_bus_broker_deinit(&rig->broker);
}

/* Gives bytes to a connection, `piece` at a time, as far as it takes them; then everyone's output is taken. */
static inline void rig_feed(struct rig *rig, size_t i, struct wisp_str bytes, size_t piece)
{
    struct wisp_bus_conn *conn = &rig->conns[i].conn;
    while (bytes.len > 0 && conn->phase == WISP_BUS_PHASE_OPEN) {
        size_t size;
        char *at = wisp_bus_conn_space(conn, &size);
        assert(size > 0);
        if (size > piece) size = piece;
        if (size > bytes.len) size = bytes.len;
        memcpy(at, bytes.ptr, size);
        wisp_bus_conn_input(conn, size);
        bytes = (struct wisp_str){bytes.ptr + size, bytes.len - size};
    }
    for (size_t k = 0; k < RIG_CONNS; k++)
        if (rig->conns[k].is_open) rig_drain(&rig->conns[k]);
}
