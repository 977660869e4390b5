/* SPDX-License-Identifier: Apache-2.0 */
/* Several hostile connections at one broker. The input is a list of steps: a byte that says which connection and what
 * (give it bytes, close and open it again, let time pass, stop or go on taking its output), and for bytes a length. */
#include "bus/broker_rig.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONNS = 4, STEPS_MAX = 2000 };

struct reader {
    const uint8_t *at, *end;
};

static unsigned next_byte(struct reader *reader) { return reader->at < reader->end ? *reader->at++ : 0; }

/* What a client gets is well-formed, whatever the others send. */
static void check_output(struct rig_conn *end)
{
    struct wisp_bus_parser parser;
    wisp_bus_parser_init(&parser, WISP_BUS_SIDE_CLIENT);
    size_t start = 0;
    while (start < end->seen.len) {
        struct wisp_bus_frame frame;
        size_t used;
        struct wisp_str rest = {end->seen.data + start, end->seen.len - start};
        enum wisp_bus_parsed result = wisp_bus_parse(&parser, rest, &frame, &used);
        if (result == WISP_BUS_PARSED_MORE) break;
        if (result != WISP_BUS_PARSED_FRAME) abort();
        start += used;
    }
    if (start != end->seen.len) abort();
    end->seen.len = 0;
}

static void reopen(struct rig *rig, size_t i)
{
    struct wisp_bus_peer peer = {.nonce = "nonce", .is_trusted = i > 0};
    rig_close(rig, i);
    rig->conns[i].is_lazy = false;
    rig_open(rig, i, &peer);
}

static void step(struct rig *rig, struct reader *reader)
{
    unsigned what = next_byte(reader), i = what % CONNS;
    struct rig_conn *end = &rig->conns[i];
    switch (what / CONNS % 8) {
    case 0:
        reopen(rig, i);
        break;
    case 1:
        rig->broker.now_ms += next_byte(reader);
        wisp_bus_broker_tick(&rig->broker);
        break;
    case 2:
        end->is_lazy = !end->is_lazy;
        break;
    default: {
        size_t size = next_byte(reader);
        if (what >= 128) size = size << 4 | 15;
        if (size > (size_t)(reader->end - reader->at)) size = (size_t)(reader->end - reader->at);
        rig_feed(rig, i, (struct wisp_str){(const char *)reader->at, size}, what & 64 ? 3 : SIZE_MAX);
        reader->at += size;
    }
    }
    for (size_t k = 0; k < CONNS; k++) check_output(&rig->conns[k]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rig rig;
    struct reader reader = {data, data + size};
    struct wisp_bus_broker_options options = {.token = wisp_mem_dup(WISP_STR("t")),
                                              .payload_bytes_max = 500,
                                              .pending_bytes_max = 4000,
                                              .subscriptions_max = 20,
                                              .ping_interval_ms = 100,
                                              .write_timeout_ms = 300,
                                              .auth_timeout_ms = 200};
    rig_init(&rig, &options);
    for (size_t i = 0; i < CONNS; i++) reopen(&rig, i);
    for (int i = 0; i < STEPS_MAX && reader.at < reader.end; i++) step(&rig, &reader);
    rig_deinit(&rig);
    return 0;
}
