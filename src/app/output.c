/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app_priv.h"
#include "app/output_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct call {
    uint64_t id;
    wisp_app_on_outcome *on_outcome;
    struct wisp_app_note note;
};

static struct wisp_str key_of(const uint64_t *id) { return (struct wisp_str){(const char *)id, sizeof *id}; }

struct wisp_app_queued *wisp_app_emit(struct wisp_app *app, enum wisp_app_action_kind kind)
{
    struct wisp_app_queued *queued = wisp_mem_calloc(1, sizeof *queued);
    queued->action.kind = kind;
    if (app->last)
        app->last->next = queued;
    else
        app->first = queued;
    app->last = queued;
    return queued;
}

static void queued_free(struct wisp_app_queued *queued)
{
    if (!queued) return;
    wisp_arena_deinit(&queued->arena);
    free(queued);
}

bool wisp_app_next_action(struct wisp_app *app, struct wisp_app_action *ret_action)
{
    queued_free(WISP_TAKE(app->taken));
    if (!app->first) return false;
    app->taken = app->first;
    app->first = app->first->next;
    if (!app->first) app->last = NULL;
    *ret_action = app->taken->action;
    return true;
}

/* --- calls --- */

static uint64_t call_new(struct wisp_app *app, wisp_app_on_outcome *on_outcome, struct wisp_app_note note)
{
    struct call *call = wisp_mem_calloc(1, sizeof *call);
    *call = (struct call){++app->next_id, on_outcome, note};
    wisp_map_add(&app->calls, key_of(&call->id), call);
    return call->id;
}

static void call_free(struct call *call)
{
    free(call->note.text);
    json_decref(call->note.json);
    free(call);
}

void wisp_app_calls_done(struct wisp_app *app, uint64_t id, const struct wisp_app_done *done)
{
    struct call *call = wisp_map_remove(&app->calls, key_of(&id));
    if (!call) return;
    call->on_outcome(app, done, &call->note);
    call_free(call);
}

/* --- kinds of actions --- */

static struct wisp_str print(struct wisp_arena *arena, const json_t *value)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    if (value) wisp_json_print(value, &text);
    return wisp_arena_str(arena, wisp_buf_str(&text));
}

bool wisp_app_publish(struct wisp_app *app, struct wisp_str subject, const json_t *payload)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    if (!app->is_connected) return true;
    if (payload) wisp_json_print(payload, &text);
    if (text.len > WISP_BUS_PAYLOAD_MAX) return false;
    struct wisp_app_queued *queued = wisp_app_emit(app, WISP_APP_PUBLISH);
    queued->action.subject = wisp_arena_str(&queued->arena, subject);
    queued->action.payload = wisp_arena_str(&queued->arena, wisp_buf_str(&text));
    return true;
}

void wisp_app_request(struct wisp_app *app, struct wisp_str subject, const json_t *payload, uint64_t timeout_ms,
                      wisp_app_on_outcome *on_outcome, struct wisp_app_note note_taken)
{
    struct wisp_app_queued *queued = wisp_app_emit(app, WISP_APP_REQUEST);
    queued->action.id = call_new(app, on_outcome, note_taken);
    queued->action.subject = wisp_arena_str(&queued->arena, subject);
    queued->action.payload = print(&queued->arena, payload);
    queued->action.timeout_ms = timeout_ms;
}

void wisp_app_write(struct wisp_app *app, struct wisp_str key, const json_t *value, uint64_t expected,
                    wisp_app_on_outcome *on_outcome, struct wisp_app_note note_taken)
{
    struct wisp_app_queued *queued = wisp_app_emit(app, WISP_APP_STATE_WRITE);
    queued->action.id = call_new(app, on_outcome, note_taken);
    queued->action.bucket = WISP_APP_BUCKET_MANIFESTS;
    queued->action.key = wisp_arena_str(&queued->arena, key);
    queued->action.has_value = value;
    queued->action.value = print(&queued->arena, value);
    queued->action.expected = (int64_t)expected;
}

void wisp_app_log(struct wisp_app *app, int level, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct wisp_app_queued *queued = wisp_app_emit(app, WISP_APP_LOG);
    queued->action.level = level;
    queued->action.text = wisp_arena_str(&queued->arena, wisp_str_from(text));
}

void wisp_app_output_deinit(struct wisp_app *app)
{
    queued_free(WISP_TAKE(app->taken));
    while (app->first) {
        struct wisp_app_queued *queued = app->first;
        app->first = queued->next;
        queued_free(queued);
    }
    for (size_t i = 0; i < app->calls.capacity; i++)
        if (app->calls.slots[i].value) call_free(app->calls.slots[i].value);
    wisp_map_deinit(&app->calls);
}
