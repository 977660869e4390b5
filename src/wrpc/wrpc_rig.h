/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a nats-server, and at it a caller, a callee, and a third one that is neither and speaks by hand. */
#pragma once

#include "bus/client_rig.h"
#include "wrpc/value_rig.h"
#include "wrpc/wrpc.h"

#include <stdio.h>

struct side {
    struct told bus;
    struct wisp_wrpc *wrpc;
};

struct rig {
    uv_loop_t loop;
    struct nats nats;
    struct side caller, callee;
    struct told hand;
    struct wisp_arena arena;
    struct wisp_err err;
    struct wisp_buf heard; /* by hand: "SUBJECT HEX\n" of each message */
    unsigned n_heard;
};

enum { RIG_IDLE_MS = 300, RIG_STREAM_MAX = 4 << 20 };

static inline void side_init(struct side *side, struct rig *rig)
{
    connect_to(&side->bus, &rig->loop, rig->nats.url);
    struct wisp_wrpc_options options = {.loop = &rig->loop,
                                        .bus = side->bus.client,
                                        .lattice = "default",
                                        .idle_timeout_ms = RIG_IDLE_MS,
                                        .stream_bytes_max = RIG_STREAM_MAX};
    CHECK_OK(wisp_wrpc_new(&side->wrpc, &options, &rig->err), &rig->err);
}

static inline void side_deinit(struct side *side)
{
    wisp_wrpc_free(side->wrpc);
    wisp_bus_client_free(side->bus.client);
}

static inline void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    CHECK_INT(uv_loop_init(&rig->loop), 0);
    nats_init(&rig->nats);
    nats_start(&rig->nats, "");
    side_init(&rig->caller, rig);
    side_init(&rig->callee, rig);
    connect_to(&rig->hand, &rig->loop, rig->nats.url);
}

static inline void rig_deinit(struct rig *rig)
{
    side_deinit(&rig->caller);
    side_deinit(&rig->callee);
    wisp_bus_client_free(rig->hand.client);
    end_loop(&rig->loop);
    nats_deinit(&rig->nats);
    wisp_arena_deinit(&rig->arena);
    wisp_buf_deinit(&rig->heard);
}

static inline void on_flushed(const struct wisp_err *err, void *env) { *(int *)env = err ? -1 : 1; }

/* Everything that this one has said is known to the server. */
static inline void settle(struct rig *rig, struct told *told)
{
    int done = 0;
    wisp_bus_flush(told->client, 5000, on_flushed, &done);
    AWAIT(&rig->loop, done);
    CHECK_INT(done, 1);
}

/* --- by hand --- */

static inline struct wisp_str unhex(struct wisp_arena *arena, const char *hex)
{
    char *bytes = wisp_arena_alloc(arena, strlen(hex) + 1), *at = bytes;
    while (*hex) {
        if (*hex == ' ') {
            hex++;
            continue;
        }
        if (*hex == '"') {
            for (hex++; *hex != '"'; hex++) *at++ = *hex;
            hex++;
            continue;
        }
        char pair[3] = {hex[0], hex[1], '\0'};
        *at++ = (char)strtoul(pair, NULL, 16);
        hex += 2;
    }
    return (struct wisp_str){bytes, (size_t)(at - bytes)};
}

static inline void on_heard(const struct wisp_bus_message *message, void *env)
{
    struct rig *rig = env;
    wisp_buf_printf(&rig->heard, "%.*s", WISP_STR_ARG(message->subject));
    if (message->reply.len > 0) wisp_buf_printf(&rig->heard, " reply:%.*s", WISP_STR_ARG(message->reply));
    for (size_t i = 0; i < message->n_headers; i++)
        wisp_buf_printf(&rig->heard, " %.*s:%.*s", WISP_STR_ARG(message->headers[i].name),
                        WISP_STR_ARG(message->headers[i].value));
    wisp_buf_append_char(&rig->heard, ' ');
    for (size_t i = 0; i < message->payload.len; i++)
        wisp_buf_printf(&rig->heard, "%02x", (uint8_t)message->payload.ptr[i]);
    wisp_buf_append_char(&rig->heard, '\n');
    rig->n_heard++;
}

static inline const char *heard(struct rig *rig)
{
    wisp_buf_append_char(&rig->heard, '\0');
    rig->heard.len--;
    return rig->heard.data;
}

static inline void forget(struct rig *rig)
{
    rig->heard.len = 0;
    rig->n_heard = 0;
}

/* How many of the lines heard have this subject ("C.results"). */
static inline unsigned heard_on(struct rig *rig, const char *subject)
{
    unsigned n = 0;
    size_t size = strlen(subject);
    for (const char *line = heard(rig); line && *line; line = strchr(line, '\n') + 1)
        n += strncmp(line, subject, size) == 0 && line[size] == ' ';
    return n;
}

static inline void listen_by_hand(struct rig *rig, const char *pattern)
{
    CHECK_OK(wisp_bus_subscribe(rig->hand.client, wisp_str_from(pattern), WISP_STR(""), on_heard, rig, NULL, &rig->err),
             &rig->err);
    settle(rig, &rig->hand);
}

static inline void say(struct rig *rig, const char *subject, const char *reply, const char *hex)
{
    CHECK_OK(wisp_bus_publish(rig->hand.client, wisp_str_from(subject), wisp_str_from(reply), NULL, 0,
                              unhex(&rig->arena, hex), &rig->err),
             &rig->err);
}

/* The reply subject of the last line that had one: where the other side listens. */
static inline const char *heard_reply(struct rig *rig)
{
    static char subject[256];
    const char *at = NULL;
    for (const char *next = heard(rig); next && (next = strstr(next, " reply:")); next++) at = next;
    CHECK(at);
    CHECK_INT(sscanf(at, " reply:%255s", subject), 1);
    return subject;
}
