/* SPDX-License-Identifier: Apache-2.0 */
/* Actions, and requests under way (output.c). */
#pragma once

#include "app/app.h"
#include "base/json.h"

/* What whoever asked remembers of it; owned by the call. */
struct wisp_app_note {
    char *text;
    json_t *json;
    uint64_t number;
};
typedef void wisp_app_on_outcome(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note);

struct wisp_app_queued {
    struct wisp_app_action action;
    struct wisp_arena arena; /* of what the action points to */
    struct wisp_app_queued *next;
};

struct wisp_app_queued *wisp_app_emit(struct wisp_app *app, enum wisp_app_action_kind kind);
/* Nothing is said without the bus. False: it is larger than a message may be. */
bool wisp_app_publish(struct wisp_app *app, struct wisp_str subject, const json_t *payload);
void wisp_app_request(struct wisp_app *app, struct wisp_str subject, const json_t *payload, uint64_t timeout_ms,
                      wisp_app_on_outcome *on_outcome, struct wisp_app_note note_taken);
/* `value` NULL deletes. */
void wisp_app_write(struct wisp_app *app, struct wisp_str key, const json_t *value, uint64_t expected,
                    wisp_app_on_outcome *on_outcome, struct wisp_app_note note_taken);
void wisp_app_log(struct wisp_app *app, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Calls whoever waits for this. */
void wisp_app_calls_done(struct wisp_app *app, uint64_t id, const struct wisp_app_done *done);
void wisp_app_output_deinit(struct wisp_app *app);
