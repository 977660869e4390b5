/* SPDX-License-Identifier: Apache-2.0 */
/* How applications stand (status.c). */
#pragma once

#include "app/app.h"
#include "base/json.h"

/* As wadm has it; a new reference. */
json_t *wisp_app_status_json(const struct wisp_app_record *record);
/* The scalers of a plan; with the time, which may be NULL, for those that were not in the same state before. */
json_t *wisp_app_scalers_json(const struct wisp_app_planned *planned, const json_t *before, json_t *since);
/* The outcome of a plan. */
void wisp_app_status_take(struct wisp_app *app, struct wisp_app_record *record, const struct wisp_app_planned *planned);
/* If it is another one now. */
void wisp_app_status_publish(struct wisp_app *app, struct wisp_app_record *record);
/* A leader's word. */
void wisp_app_status_on_message(struct wisp_app *app, const struct wisp_bus_message *message);
/* Asks the leader how all stand: this manager begins to stand by. */
void wisp_app_status_ask(struct wisp_app *app);
/* "2026-01-02T03:04:05Z" */
json_t *wisp_app_time_json(uint64_t seconds);
