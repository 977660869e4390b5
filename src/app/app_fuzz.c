/* SPDX-License-Identifier: Apache-2.0 */
/* A manager, told anything: each line of the input is an event.
 *
 *     s SUBJECT PAYLOAD  a message, with a reply subject of its own
 *     a TAIL PAYLOAD     one for the API; e NAME PAYLOAD: an event of the lattice
 *     m KEY VALUE        the manifests' bucket tells a value; d: LATTICEDATA; c: CONFIGDATA; M KEY, D KEY, C KEY:
 * deletions o PAYLOAD          the oldest action that waits succeeds, with that reply; f: it fails; x: another one was
 * first y                  it is accepted t N                N hundred ms pass b, B
 * the bus is gone, is back; u, U: so is the state; l: it is loaded; n: a new one is opened z                  the host
 * ends
 *
 * Whatever comes: a message gets at most one reply, everything that is said is JSON, and commands are bounded. */
#include "app/app.h"

#include "base/json.h"
#include "base/parse.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PENDING_MAX = 4096, LINES_MAX = 300, ACTIONS_MAX = 100000 };

struct manager {
    struct wisp_app *app;
    struct wisp_app_now now;
    uint64_t pending[PENDING_MAX];
    size_t first, n_pending, n_actions;
    uint64_t revision;
    uint8_t replies[LINES_MAX];
    size_t line;
};

static void take_actions(struct manager *manager)
{
    struct wisp_app_action action;
    while (wisp_app_next_action(manager->app, &action)) {
        unsigned reply;
        char subject[32] = {0};
        WISP_CLEANUP_JSON json_t *json = NULL;
        bool is_said = action.kind == WISP_APP_PUBLISH || action.kind == WISP_APP_REQUEST;
        if (is_said && action.payload.len && wisp_json_parse(action.payload, &json, NULL) < 0) abort();
        if (action.subject.len && action.subject.len < sizeof subject)
            memcpy(subject, action.subject.ptr, action.subject.len);
        if (sscanf(subject, "reply.%u", &reply) == 1 && ++manager->replies[reply] > 1) abort();
        if (action.id && manager->n_pending < PENDING_MAX) manager->pending[manager->n_pending++] = action.id;
        if (++manager->n_actions > ACTIONS_MAX) abort();
    }
}

static void answer(struct manager *manager, enum wisp_err_kind err, struct wisp_str payload)
{
    if (manager->first == manager->n_pending) return;
    struct wisp_app_done done = {.reply.payload = payload, .revision = ++manager->revision};
    if (err) wisp_err_set(&done.err, err, "fuzzed");
    wisp_app_on_done(manager->app, manager->now, manager->pending[manager->first++], &done);
}

static void say(struct manager *manager, const char *prefix, struct wisp_str tail, struct wisp_str payload)
{
    char reply[32];
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    wisp_buf_printf(&subject, "%s%.*s", prefix, WISP_STR_ARG(tail));
    snprintf(reply, sizeof reply, "reply.%zu", manager->line);
    struct wisp_bus_message message = {
        .subject = wisp_buf_str(&subject), .reply = wisp_str_from(reply), .payload = payload};
    wisp_app_on_message(manager->app, manager->now, &message);
}

static void pass(struct manager *manager, struct wisp_str text)
{
    uint64_t n = 1, end;
    if (wisp_parse_u64(text, 2000, &n, NULL) < 0) n = 1;
    end = manager->now.now_ms + n * 100;
    for (int i = 0; i < 100; i++) {
        uint64_t next = wisp_app_next_tick_ms(manager->app);
        if (next > end) break;
        if (next > manager->now.now_ms) manager->now.now_ms = next;
        manager->now.wall_ns = (int64_t)manager->now.now_ms * 1000000;
        wisp_app_on_tick(manager->app, manager->now);
        take_actions(manager);
    }
    manager->now.now_ms = end;
    wisp_app_on_tick(manager->app, manager->now);
}

static void tell(struct manager *manager, int bucket, struct wisp_str key, const struct wisp_str *value)
{
    wisp_app_on_state(manager->app, manager->now, bucket, key, value, ++manager->revision);
}

static void feed_world(struct manager *manager, char kind, struct wisp_str rest)
{
    struct wisp_app *app = manager->app;
    switch (kind) {
    case 't':
        pass(manager, rest);
        break;
    case 'b':
    case 'B':
        wisp_app_on_bus(app, manager->now, kind == 'B');
        break;
    case 'u':
    case 'U':
        wisp_app_on_state_reachable(app, manager->now, kind == 'U');
        break;
    case 'l':
        wisp_app_on_state_loaded(app, manager->now);
        break;
    case 'n':
        wisp_app_on_state_opened(app, manager->now);
        break;
    case 'z':
        wisp_app_stop(app, manager->now);
        break;
    default:
        break;
    }
}

static void feed(struct manager *manager, char kind, struct wisp_str rest)
{
    struct wisp_str head = rest, tail = {0};
    wisp_str_split(rest, ' ', &head, &tail);
    switch (kind) {
    case 's':
        say(manager, "", head, tail);
        break;
    case 'a':
        say(manager, "wadm.api.default.model.", head, tail);
        break;
    case 'e':
        say(manager, "wasmbus.evt.default.", head, tail);
        break;
    case 'm':
        tell(manager, WISP_APP_BUCKET_MANIFESTS, head, &tail);
        break;
    case 'd':
    case 'c':
        tell(manager, kind == 'c', head, &tail);
        break;
    case 'M':
        tell(manager, WISP_APP_BUCKET_MANIFESTS, head, NULL);
        break;
    case 'D':
    case 'C':
        tell(manager, kind == 'C', head, NULL);
        break;
    case 'o':
        answer(manager, WISP_ERR_NONE, rest);
        break;
    case 'y':
        answer(manager, WISP_ERR_NONE, WISP_STR("{\"success\": true, \"message\": \"\"}"));
        break;
    case 'f':
        answer(manager, WISP_ERR_TIMEOUT, rest);
        break;
    case 'x':
        answer(manager, WISP_ERR_EXISTS, rest);
        break;
    default:
        feed_world(manager, kind, rest);
    }
    take_actions(manager);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manager *manager = wisp_mem_calloc(1, sizeof *manager);
    struct wisp_app_options options = {.host_id = "NA", .seed = 1, .apps_max = 20, .versions_max = 5};
    struct wisp_str rest = {(const char *)data, size}, line;
    struct wisp_err err = {0};
    manager->now.now_ms = 1000;
    if (wisp_app_new(&manager->app, &options, manager->now, &err) < 0) abort();
    while (rest.len && manager->line < LINES_MAX) {
        line = rest;
        if (!wisp_str_split(rest, '\n', &line, &rest)) rest = (struct wisp_str){0};
        struct wisp_str text = {line.ptr + 1, line.len ? line.len - 1 : 0};
        if (text.len && text.ptr[0] == ' ') text = (struct wisp_str){text.ptr + 1, text.len - 1};
        if (line.len) feed(manager, line.ptr[0], text);
        manager->line++;
    }
    wisp_app_free(manager->app);
    free(manager);
    return 0;
}
